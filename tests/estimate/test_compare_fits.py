"""Comparison of fits by AIC and BIC: numbers by hand, what is refused, what is said."""

from dataclasses import replace

import numpy as np
import numpyro.distributions as dist
import pytest
from astropy.table import QTable
from scipy.stats import poisson
from toy import toy_response
from toy_images import simulated, template

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.estimate.compare_fits import FitComparison
from jaxspec.likelihood.forward import predict

RESPONSE = toy_response(n_channel=40, n_energy=60, fwhm=3.0)
N_BIN = 40


def steep():
    """Power law of frozen index: one parameter less."""
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(2.0)
    return model


@pytest.fixture(scope="module")
def spectra():
    # the first two have index 2, the third does not
    params = {"PhoIndex": [2.0, 2.0, 1.5], "norm": [0.05, 0.2, 0.1]}
    return js.fake("powerlaw", RESPONSE, exposure=1000.0, params=params, seed=3)


@pytest.fixture(scope="module")
def fits(spectra):
    return {
        "free": js.fit("powerlaw", spectra, stat="cstat"),
        "frozen": js.fit(steep(), spectra, stat="cstat"),
    }


@pytest.fixture(scope="module")
def alone(fits):
    return {name: result.row(2) for name, result in fits.items()}


def test_numbers_by_hand(alone):
    for criterion, price in (("aic", 2.0), ("bic", np.log(N_BIN))):
        found = js.compare(alone, criterion)
        assert found.criterion == criterion and found.models == ("free", "frozen")
        free, frozen = (float(alone[name].stat[0]) for name in ("free", "frozen"))
        np.testing.assert_allclose(found.values, [[free + 2 * price, frozen + price]], rtol=1e-14)
        table = found.table
        assert isinstance(table, QTable) and list(table["name"]) == ["free", "frozen"]
        np.testing.assert_allclose(table["difference"], [0.0, frozen - free - price])
        np.testing.assert_allclose(table["stat_difference"], [0.0, frozen - free])
        assert list(table["n_free"]) == [2, 1] and list(table["n_free_difference"]) == [0, -1]
        assert list(table["dof"]) == [N_BIN - 2, N_BIN - 1]
        assert list(table["note"]) == ["", ""]
    assert js.compare(alone).criterion == "aic"


def test_the_statistic_is_minus_twice_the_log_likelihood(alone):
    """Differences of AIC follow from Poisson probabilities alone, computed by SciPy."""
    wanted = []
    for result, k in zip(alone.values(), (2, 1), strict=True):
        spectrum = result.data[0]
        mean = predict(result.model, spectrum, result.params[0]) * spectrum.exposure
        wanted.append(-2.0 * poisson.logpmf(spectrum.counts, mean).sum() + 2.0 * k)
    found = js.compare(alone)
    assert found.values[0, 1] - found.values[0, 0] == pytest.approx(wanted[1] - wanted[0], rel=1e-9)


def test_words_and_text_of_one(alone):
    found = js.compare(alone)
    assert found.best == ["free"]
    assert found.sentence == (
        f"free is strongly preferred to frozen: its AIC is lower by {found.by[0]:.1f}"
    )
    lines = repr(found).splitlines()
    assert lines[0].split() == "model AIC difference stat free dof d stat d free".split()
    assert lines[1].split()[0] == "free" and lines[2].split()[-1] == "-1"
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[3] == found.sentence
    assert "no p-value" in lines[-1]
    assert found._repr_html_().startswith("<pre>model")


def test_many_rows(fits):
    found = js.compare(fits)
    assert len(found) == 3 and found.values.shape == (3, 2)
    by_hand = np.stack([r.stat + 2 * k for r, k in zip(fits.values(), (2, 1), strict=True)], axis=1)
    np.testing.assert_allclose(found.values, by_hand)
    assert found.best == [("free", "frozen")[i] for i in by_hand.argmin(axis=1)]
    assert found.best[2] == "free"
    np.testing.assert_allclose(found.by, np.abs(by_hand[:, 0] - by_hand[:, 1]))
    table = found.table
    assert table.colnames[:3] == ["name", "best", "by"] and len(table) == 3
    np.testing.assert_allclose(table["aic[frozen]"], by_hand[:, 1])
    np.testing.assert_allclose(table["stat[free]"], fits["free"].stat)
    assert list(table["n_free[free]"]) == [2, 2, 2]
    assert (np.minimum(table["difference[free]"], table["difference[frozen]"]) == 0).all()
    lines = repr(found).splitlines()
    assert lines[0].split() == ["name", "best", "by", "AIC", "free", "AIC", "frozen"]
    assert lines[3].split()[:2] == ["fake_3", "free"]
    assert "lowest AIC of 3 rows: free in" in lines[4]


def test_many_rows_are_cut_when_printed(fits):
    long = {name: replace_rows(result, 30) for name, result in fits.items()}
    lines = repr(js.compare(long)).splitlines()
    assert len(lines) == 24 and lines[21] == "... 10 more rows; see .table"
    assert len(js.compare(long).table) == 30


def replace_rows(result, n, **changes):
    """Result of n rows that repeat those of another."""
    at = np.arange(n) % len(result)
    arrays = {
        name: getattr(result, name)[at]
        for name in ("params", "stat", "n_bins", "status", "edm", "iterations")
    }
    lists = {key: [getattr(result, key)[i] for i in at] for key in ("stat_names", "messages")}
    data = type(result.data)([result.data[i] for i in at])
    return replace(result, data=data, **(arrays | lists | changes))


def test_rows_without_a_usable_fit(fits):
    status = np.array([js.Status.NOT_CONVERGED, js.Status.AT_LIMIT, js.Status.HESSIAN_NOT_PD])
    messages = [js.Status(s).sentence for s in status]
    messages[1] = f"powerlaw.PhoIndex: {messages[1]}"
    bad = replace(fits["free"], status=status, messages=messages)
    found = js.compare({**fits, "free": bad})
    assert np.isnan(found.values[0, 0]) and np.isfinite(found.values[1:]).all()
    assert found.best[0] == "" and np.isnan(found.by[0])
    assert found.stat[0, 0] == fits["free"].stat[0]  # shown all the same
    assert "before the minimum" in found.notes[0]["free"]
    assert found.notes[1]["free"].startswith("powerlaw.PhoIndex: The minimum lies on a parameter")
    assert "not curved upwards" in found.notes[2]["free"]
    assert "1 cannot be compared" in found.sentence
    text = repr(found)
    assert "fake_2, free: powerlaw.PhoIndex: The minimum lies" in text
    assert "free: The fit ended before" in found.table["note"][0]
    one = js.compare({"free": bad.row(0), "frozen": fits["frozen"].row(0)})
    assert "nothing can be compared" in one.sentence and one.best == [""]
    assert list(one.table["name"]) == ["frozen", "free"]
    pair = {"free": bad.row(0), "frozen": fits["frozen"].row(0)}
    with_third = js.compare({**pair, "free again": fits["free"].row(0)})
    assert with_third.best[0] in ("frozen", "free again") and np.isfinite(with_third.by[0])


def test_a_rejected_row_is_said(spectra):
    bad = spectra[0].replace(name="bad", quality=np.full(N_BIN, 1, dtype=np.int16))
    some = js.SpectrumList([bad, spectra[1]])
    found = js.compare({"a": js.fit("powerlaw", some, stat="cstat"),
                        "b": js.fit(steep(), some, stat="cstat")})  # fmt: skip
    assert found.best[0] == "" and found.best[1] != ""
    assert found.notes[0]["a"].startswith("No usable channel")
    assert list(found.dof[0]) == [0, 0]


def test_a_prior_is_said(alone):
    prior = {"PhoIndex": dist.Normal(2.0, 0.01)}
    drawn = js.fit("powerlaw", alone["free"].data, stat="cstat", priors=prior)
    found = js.compare({"prior": drawn, "frozen": alone["frozen"]})
    assert "maximum of the posterior" in found.notes[0]["prior"]
    assert "frozen" not in found.notes[0]
    assert found.values[0, 0] == drawn.stat[0] + 4.0


def test_joint_fits(spectra, fits):
    """One norm for all against one each; labels give a row each."""
    shared = js.fit("powerlaw", spectra, stat="cstat", joint=True, untie=["norm"])
    apart = js.fit("powerlaw", spectra, stat="cstat", joint=True, untie=["PhoIndex", "norm"])
    found = js.compare({"one index": shared, "three": apart})
    assert list(found.n_free[0]) == [4, 6] and found.best == ["three"]
    np.testing.assert_allclose(
        found.values, [[shared.stat.sum() + 8, fits["free"].stat.sum() + 12]], rtol=1e-8
    )
    assert list(found.dof[0]) == [3 * N_BIN - 4, 3 * N_BIN - 6]
    labels = {"joint": ["a", "b", "a"], "untie": ["norm"]}
    sets = {name: js.fit(model, spectra, stat="cstat", **labels)
            for name, model in (("free", "powerlaw"), ("frozen", steep()))}  # fmt: skip
    found = js.compare(sets, "bic")
    assert found.names == ["a", "b"]
    assert found.n_free.tolist() == [[3, 2], [2, 1]]
    stat = sets["free"].stat
    assert found.values[0, 0] == pytest.approx(stat[0] + stat[2] + 3 * np.log(2 * N_BIN))
    assert found.values[1, 0] == pytest.approx(stat[1] + 2 * np.log(N_BIN))
    with pytest.raises(InputError, match="one index has 1 fits and sets has 2"):
        js.compare({"one index": shared, "sets": sets["free"]})


def test_several_models_together(spectra):
    def joined(first, **options):
        parts = {"a": ("powerlaw", first), "b": ("powerlaw", spectra[2])}
        return js.fit(parts, stat="cstat", joint=True, **options)

    tied, loose = joined(spectra[:2], share=["PhoIndex"]), joined(spectra[:2])
    found = js.compare({"tied": tied, "loose": loose})
    assert list(found.n_free[0]) == [3, 4]
    total = [sum(r.stat.sum() for r in result.values()) for result in (tied, loose)]
    np.testing.assert_allclose(found.values, [[total[0] + 6, total[1] + 8]])
    # a datum that was rejected has no parameters
    bad = spectra[1].replace(quality=np.full(N_BIN, 1, dtype=np.int16))
    fewer = joined(js.SpectrumList([spectra[0], bad]), untie={"a": ["norm"]})
    assert fewer.n_free == 4 and fewer.total[1] == 2 * N_BIN - 4
    with pytest.raises(InputError, match="fitted to 3 and 2 data in all"):
        js.compare({"tied": tied, "fewer": fewer})


def test_images():
    image = simulated("const2d", image=template((24, 24)), C0=1e-4, B=50.0)
    dark = js.Model("const2d")  # without what is seen of the sky
    dark["C0"].set(1e-9).freeze()
    bright = js.fit("const2d", image)
    found = js.compare({"bright": bright, "dark": js.fit(dark, image)})
    assert isinstance(found, FitComparison) and found.best == ["bright"]
    assert list(found.n_free[0]) == [2, 1]
    other = replace(bright, data=type(bright.data)([image.masked(where=image.counts > 420)]))
    with pytest.raises(InputError, match="were not fitted to the same data"):
        js.compare({"bright": bright, "other": other})


def refused(a, b, match, **options):
    with pytest.raises(InputError, match=match):
        js.compare({"a": a, "b": b}, **options)


def test_refusals(spectra, fits, alone):
    one = alone["free"]
    refused(one, alone["frozen"], "these are fits; use aic, bic", criterion="dic")
    refused(one, alone["frozen"], "form: have no meaning for fits", form="mean")
    refused(one, fits["frozen"], "a has 1 fits and b has 3")
    refused(one, "powerlaw", "a is a FitResult, b is a str")
    third = spectra[2]
    chi2 = replace(one, stat_names=["chi2"])
    refused(one, chi2, "a has cstat and b has chi2 for fake_3")
    model_errors = replace(one, stat_names=["chi2-model"])
    refused(model_errors, model_errors, "chi2-model of fake_3 is no likelihood")
    grouped = third.replace(grouping=np.where(np.arange(N_BIN) % 2, -1, 1).astype(np.int16))
    for changed in (grouped, spectra.notice("2-8")[2], third.replace(counts=third.counts + 1)):
        refused(
            one,
            replace(one, data=js.SpectrumList([changed])),
            "a and b were not fitted to the same data: fake_3 with 40 bins and",
        )
    wider = third.replace(sys_err=np.full(N_BIN, 0.05))
    refused(chi2, replace(chi2, data=js.SpectrumList([wider])), "differ in counts, errors")
    with pytest.raises(InputError, match="two posteriors or more"):
        js.compare({"a": one})


def test_equal_data_need_not_be_the_same_object(spectra, alone):
    copy = js.fit(steep(), spectra[2].replace(), stat="cstat")
    assert copy.data[0] is not alone["free"].data[0]
    assert js.compare({"free": alone["free"], "frozen": copy}).best == ["free"]
