"""The posterior: its numbers, names, diagnostics, warnings and text."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import QTable
from toy_posterior import flat_posterior, make_posterior, tilted_posterior, toy_image

import jaxspec as js
from jaxspec._text import digits
from jaxspec.errors import InputError
from jaxspec.sample import diagnostics
from jaxspec.sample.posterior import columns, fingerprint
from jaxspec.sample.posteriors import judge


@pytest.fixture(scope="module")
def image():
    return toy_image(slope=1.5)


@pytest.fixture(scope="module")
def posterior(image):
    made = tilted_posterior(image)
    made.model["B"].set(min=-100.0)  # whose draws would pile up at 0, see test_limits.py
    return made


def test_numbers(posterior):
    assert posterior.names == ("C0", "B")
    assert posterior.units == ("ct / (s cm2 pixel)", "ct / pixel")
    assert posterior.chains.shape == (4, 1000, 2) and len(posterior) == 4000
    assert posterior.flat.shape == (4000, 2)
    np.testing.assert_array_equal(posterior.flat[1000], posterior.chains[1, 0])
    np.testing.assert_allclose(posterior.mean, posterior.chains.mean((0, 1)))
    np.testing.assert_allclose(posterior.std, posterior.flat.std(axis=0, ddof=1))
    np.testing.assert_allclose(posterior.quantiles(0.5), posterior.median)
    assert posterior.quantiles([0.1, 0.9]).shape == (2, 2)
    assert posterior.n_divergent == 0 and posterior.acceptance == 1.0


def test_parameters_by_name(posterior):
    np.testing.assert_array_equal(posterior["B"], posterior.chains[:, :, 1])
    np.testing.assert_array_equal(posterior["const2d.C0"], posterior.chains[:, :, 0])
    np.testing.assert_array_equal(posterior["scale"], np.ones((4, 1000)))  # frozen
    in_order = posterior.array(["B", "C0"])
    np.testing.assert_array_equal(in_order, posterior.chains[:, :, ::-1])
    with pytest.raises(InputError, match="there are const2d.C0"):
        posterior["rc"]


def test_columns_are_short_where_unambiguous():
    model = js.Model("beta+beta")
    model["beta_2.x0"].link_to("p1")
    model["beta_2.y0"].freeze()
    places, names, units = columns(model)
    assert names[:3] == ("beta.x0", "y0", "beta.S0") and "beta_2.x0" in names
    assert "beta_2.y0" not in names and len(places) == len(names) == len(units) == 10
    assert units[0] == "pixel"


def test_diagnostics_equal_arviz(rng):
    arviz = pytest.importorskip("arviz")
    # autocorrelated, heavy-tailed, and one parameter whose chains disagree
    noise = rng.standard_t(3, size=(4, 300, 3))
    chains = np.cumsum(noise, axis=1) * 0.1 + noise
    chains[..., 2] += np.arange(4)[:, None]
    for found, function, options in (
        (diagnostics.rhat, arviz.rhat, {}),
        (diagnostics.ess_bulk, arviz.ess, {"method": "bulk"}),
        (diagnostics.ess_tail, arviz.ess, {"method": "tail", "prob": (0.05, 0.95)}),
        (diagnostics.mcse, arviz.mcse, {"method": "mean"}),
    ):
        expected = [np.squeeze(function(chains[..., i], **options)) for i in range(3)]
        np.testing.assert_allclose(found(chains), expected, rtol=1e-6)
    assert diagnostics.rhat(chains)[2] > 1.1


def test_diagnostics_in_the_corners(rng):
    chains = rng.normal(size=(2, 100, 3))
    chains[..., 0] = 1.0
    chains[1, 5, 1] = np.nan
    for function in (diagnostics.rhat, diagnostics.ess_bulk, diagnostics.ess_tail):
        values = function(chains)
        assert np.isnan(values[:2]).all() and np.isfinite(values[2])
        assert np.isnan(function(chains[:, :3])).all()
        assert np.isfinite(function(chains[:1])[2]) == (function is not diagnostics.rhat)
    stuck = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 50, 1))
    assert not diagnostics.rhat(stuck)[0] < 1.01  # each chain at a value of its own


def test_good_chains_have_no_warnings(posterior):
    assert posterior.converged and posterior.warnings == []
    assert (posterior.rhat < 1.01).all() and (posterior.ess > 3000).all()
    assert "no warnings" in repr(posterior)


def test_each_defect_has_its_warning(posterior):
    def sentences(**changes):
        changed = replace(posterior, **changes)
        assert not changed.converged
        assert all(f"warning: {text}" in repr(changed) for text in changed.warnings)
        return changed.warnings

    apart = posterior.chains + np.array([0.0, 1.0])[None, None] * np.arange(4)[:, None, None]
    found = sentences(chains=apart)
    assert any("R-hat of B (" in text and "C0" not in text for text in found)
    assert any("bulk ESS of B (" in text and "below 400" in text for text in found)
    slow = np.repeat(posterior.chains[:, ::20], 20, axis=1)
    assert any("tail ESS" in text for text in sentences(chains=slow))
    diverging = np.zeros((4, 1000), dtype=bool)
    diverging[2, :7] = True
    assert sentences(diverging=diverging) == [
        "7 of 4000 draws diverged: a part of the posterior may have been missed; use a higher "
        "target acceptance or tighter priors"
    ]
    (text,) = sentences(accepted=np.arange(4000).reshape(4, 1000) % 4 == 0)
    assert "only 25% of the proposals" in text
    still = posterior.chains.copy()
    still[..., 0] = 2.0
    (text,) = sentences(chains=still)
    assert "not defined for C0:" in text


def test_text(posterior):
    lines = repr(posterior).splitlines()
    assert lines[0] == "const2d+background on toy: 4 chains of 1000 draws, 2.0 s"
    assert lines[1].split("  ")[0] == "parameter" and lines[1].endswith("ESS tail")
    cells = lines[3].removeprefix("B [ct / pixel]").split()
    assert len(cells) == 8
    assert float(cells[0]) == pytest.approx(posterior.mean[1], abs=0.01)
    assert float(cells[1]) == pytest.approx(posterior.std[1], rel=0.05)
    assert len({len(line) for line in lines[1:4]}) == 1
    assert "<pre>const2d" in posterior._repr_html_()
    assert digits(4.5, 0.25) == "4.50" and digits(np.nan, 1.0) == "nan"
    assert digits(0.01, 3.0) == "0.0" and digits(1234.4, 120.0) == "1234"
    assert digits(-2.5e11, 3e9) == "-2.500e+11" and digits(2e-9, 5e-6) == "2.0e-09"


def test_table(posterior, tmp_path):
    table = posterior.table
    assert isinstance(table, QTable)
    assert list(table["name"]) == ["C0", "B"]
    assert list(table["unit"]) == list(posterior.units)
    np.testing.assert_allclose(table["mean"], posterior.mean)
    low, high = np.percentile(posterior.flat, [16, 84], axis=0)
    np.testing.assert_allclose(table["q16"], low)
    np.testing.assert_allclose(table["q84"], high)
    np.testing.assert_allclose(table["mcse"], posterior.std / np.sqrt(posterior.ess), rtol=0.05)
    for name in ("sd", "median", "rhat", "ess_bulk", "ess_tail"):
        assert np.isfinite(table[name]).all()
    assert table.meta["MODEL"] == "const2d+background"
    assert table.meta["FROZEN"] == {"background.scale": 1.0}
    table.write(tmp_path / "posterior.ecsv")
    assert QTable.read(tmp_path / "posterior.ecsv").meta["SETTINGS"]["seed"] == 1


def test_one_short_chain(image):
    short = flat_posterior(image, n_chain=1, n_draw=3)
    assert "1 chain of 3 draws" in repr(short) and not short.converged
    assert np.isnan(short.table["rhat"][0])


def test_fingerprint_sees_counts_and_mask(image):
    mine = fingerprint(image)
    assert mine["n_pix"] == image.good.sum() and mine["counts"] == image.counts[image.good].sum()
    other = image.counts.copy()
    other[4, 4] += 1
    assert fingerprint(image.replace(counts=other))["sha256"] != mine["sha256"]
    assert fingerprint(image.masked(where=image.counts > 8))["sha256"] != mine["sha256"]
    other = image.counts.copy()
    other[0, 0] += 1  # masked
    assert fingerprint(image.replace(counts=other, name="x"))["sha256"] == mine["sha256"]


def test_without_data(posterior):
    lost = replace(posterior, data=None)
    for call in (lost.dic, lost.waic, lost.loo):
        with pytest.raises(InputError, match=r"read_posterior\(path, data="):
            call()
    assert lost.dic("variance") == posterior.dic("variance")  # needs no data
    assert lost.fingerprint == {}


def test_deviance_at_mean_obeys_links(image):
    model = js.Model("const2d")
    model["B"].link_to("2*p1^2")
    draws = tilted_posterior(image).full.copy()
    draws[..., 1] = 2 * draws[..., 0] ** 2
    posterior = make_posterior(model, image, draws)
    mean = draws[..., 0].mean()
    at = posterior.deviance_at_mean
    fixed = make_posterior(model, image, np.array([[[mean, 2 * mean**2, 1.0]]]))
    assert at == pytest.approx(-2 * fixed.log_likelihood[0, 0], rel=1e-10)


def test_a_row_with_divergent_draws_is_not_ok(posterior):
    assert judge(posterior) == (js.Status.OK, "The chains agree.")
    diverging = np.zeros((4, 1000), dtype=bool)
    diverging[2, 7] = True
    status, message = judge(replace(posterior, diverging=diverging))
    assert status == js.Status.NOT_CONVERGED and "1 of 4000 draws diverged" in message
