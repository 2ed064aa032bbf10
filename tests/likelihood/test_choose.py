import numpy as np
import pytest
from toy import toy_spectrum

from jaxspec.errors import InputError
from jaxspec.likelihood.choose import choose_statistic, is_poisson

COUNTS = np.array([0.0, 3, 4, 10])
ROOT = np.sqrt(COUNTS)
POISSON = toy_spectrum(COUNTS, poisserr=True)
MODELLED = toy_spectrum(COUNTS + 0.3, poisserr=False, stat_err=0.1 * (COUNTS + 1))
DISGUISED = toy_spectrum(COUNTS, poisserr=False, stat_err=np.where(COUNTS > 0, ROOT, 1.87))
BARE = toy_spectrum(COUNTS + 0.3, poisserr=False)


@pytest.mark.parametrize(
    ("source", "background", "requested", "name", "note"),
    [
        (POISSON, None, "auto", "cstat", "no background"),
        (POISSON, POISSON, "auto", "wstat", "Poisson background"),
        (DISGUISED, DISGUISED, "AUTO", "wstat", "Poisson background"),
        (POISSON, MODELLED, "auto", "pgstat", "modelled background (POISSERR=F"),
        (POISSON, BARE, "auto", "chi2", "neither Poisson"),
        (MODELLED, None, "auto", "chi2", "not Poisson"),
        (MODELLED, POISSON, "auto", "chi2", "not Poisson"),
        (POISSON, None, "cstat", "cstat", "as asked"),
        (POISSON, POISSON, "cstat", "wstat", "as in XSPEC"),
        (POISSON, MODELLED, "cstat", "wstat", "pgstat (or auto)"),
        (POISSON, POISSON, "cash", "cash", "left out"),
        (POISSON, POISSON, "pgstat", "pgstat", "sqrt(counts)"),
        (POISSON, POISSON, "gehrels", "chi2-gehrels", "as asked"),
    ],
)
def test_choice(source, background, requested, name, note):
    got, sentence = choose_statistic(source.replace(background=background), requested)
    assert got == name
    assert note in sentence and sentence.endswith(".")


def test_sys_err_is_mentioned_for_poisson_statistics_only():
    source = POISSON.replace(sys_err=np.full(4, 0.01))
    assert "SYS_ERR" in choose_statistic(source)[1]
    assert "SYS_ERR" not in choose_statistic(source, "chi2")[1]
    assert "SYS_ERR" not in choose_statistic(source.replace(sys_err=np.zeros(4)))[1]


def test_is_poisson():
    assert is_poisson(POISSON) and is_poisson(DISGUISED)
    assert not is_poisson(DISGUISED.replace(stat_err=1.01 * ROOT))
    assert not is_poisson(POISSON.replace(counts=COUNTS - 1))
    assert not is_poisson(POISSON.replace(counts=COUNTS * np.nan))
    assert not is_poisson(BARE)


def test_errors():
    with pytest.raises(InputError, match="toy: wstat needs a background and none is loaded"):
        choose_statistic(POISSON, "wstat")
    with pytest.raises(InputError, match="is not a statistic"):
        choose_statistic(POISSON, "likelihood")
