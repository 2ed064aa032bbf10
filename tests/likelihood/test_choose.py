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
EXACT = MODELLED.replace(stat_err=0.0 * COUNTS)
NET = toy_spectrum(COUNTS + 0.3, poisserr=True, header={"HDUCLAS2": "NET"})
SYSTEMATIC = toy_spectrum(COUNTS, poisserr=True, sys_err=np.full(4, 0.01))


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
        (POISSON, BARE, "pgstat", "pgstat", "no STAT_ERR; sqrt(counts)"),
        (POISSON, EXACT, "auto", "pgstat", "0 throughout: it counts as known exactly"),
        (NET, None, "auto", "cstat", "a background was subtracted already"),
        (POISSON, SYSTEMATIC, "gehrels", "chi2-gehrels", "SYS_ERR of the background is left out"),
    ],
)
def test_choice(source, background, requested, name, note):
    got, sentence = choose_statistic(source.replace(background=background), requested)
    assert got == name
    assert note in sentence and sentence.endswith(".")


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


def test_systematic_errors_ask_for_chi2():
    """Also with few counts, where that is a bias: then it is said; not for channels never used."""
    many = toy_spectrum(np.full(4, 50.0), sys_err=np.full(4, 0.01))
    name, note = choose_statistic(many)
    assert name == "chi2" and "systematic error (SYS_ERR)" in note and "few" not in note
    few = many.replace(counts=COUNTS)
    assert "fewer than 20 counts bias it: group(min_counts=20)" in choose_statistic(few)[1]
    assert choose_statistic(many.replace(background=POISSON))[0] == "chi2"
    unused = few.replace(sys_err=np.array([0, 0, 0.1, 0]), quality=np.array([0, 0, 1, 0]))
    assert choose_statistic(unused)[0] == "cstat"
    name, note = choose_statistic(many, "cstat")
    assert name == "cstat" and "SYS_ERR is left out" in note
    assert "SYS_ERR" not in choose_statistic(many, "chi2")[1]
    assert "SYS_ERR" not in choose_statistic(few.replace(sys_err=np.zeros(4)))[1]
