"""The lowest of several minima: breaks and lines far from any default, lanes that learn."""

import numpy as np
import pytest
from toy import toy_response

import jaxspec as js
from jaxspec._status import Status
from jaxspec.fit import lowest
from jaxspec.fit.lowest import APART
from jaxspec.fit.parts import COLUMNS, COMBINED, alone, of_others, parts_of
from jaxspec.fit.start import candidates, distinct_starts, several_minima
from jaxspec.likelihood.objective import Links
from jaxspec.model.model import Model

RESPONSE = toy_response(n_channel=60, n_energy=80, fwhm=2.0)
CCD = toy_response(n_channel=400, n_energy=400, e_top=10.0, fwhm=6.0)
BREAKS = np.array([3.0, 3.6, 7.0, 8.2])


@pytest.fixture(scope="module")
def broken():
    """Spectra whose breaks lie all over the band, and the model they are of."""
    params = {"PhoIndx1": 1.5, "PhoIndx2": 3.2, "BreakE": BREAKS, "norm": 3.0}
    spectra = js.fake("bknpower", RESPONSE, exposure=np.full(4, 3000.0), params=params, seed=5)
    return spectra.notice("0-11")


@pytest.fixture(scope="module")
def result(broken):
    return js.fit("bknpower", broken, stat="cstat")


def test_breaks_are_found_wherever_they_are(broken, result):
    """From the default, 5 keV, half of them ended without a break."""
    assert (result.status == Status.OK).all(), result.messages
    pull = (result.value("BreakE") - BREAKS) / result.error("BreakE")
    assert np.all(np.abs(pull) < 4)
    assert np.all(np.abs(result.excess) < 4)


def test_no_other_start_is_lower(broken, result):
    for energy in (2.6, 8.5):
        model = js.Model("bknpower")
        model["BreakE"].set(energy)
        again = js.fit(model, broken, stat="cstat")
        found = np.where(np.isfinite(again.stat), again.stat, np.inf)
        assert np.all(result.stat < found + 1e-4)


def test_a_spectrum_alone_ends_where_it_does_among_others(broken, result):
    for row in (0, 3):
        alone = js.fit("bknpower", broken[row], stat="cstat")
        np.testing.assert_allclose(alone.stat, result.stat[row], rtol=1e-9)


def test_a_break_outside_of_the_data_is_said(broken):
    model = js.Model("bknpower")
    model["BreakE"].set(14.0, min=12.0)
    result = js.fit(model, broken, stat="cstat")
    usable = result.usable
    assert usable.any()
    said = [m for m, u in zip(result.messages, usable, strict=True) if u]
    assert all("BreakE lies outside of the fitted energies" in m for m in said)
    assert any("BreakE lies outside" in note for note in result.notes)


def test_a_value_that_the_user_set_is_where_a_fit_starts(broken):
    model = js.Model("bknpower")
    model["BreakE"].set(4.0)
    assert set(candidates(model).table[:, 1]) == {4.0}
    assert not candidates(model).spread[1]


def test_limits_narrow_where_a_line_is_looked_for():
    params = {"PhoIndex": 1.8, "powerlaw.norm": 1.0, "LineE": 6.3, "Sigma": 0.05}
    params["gaussian.norm"] = 0.08
    spectra = js.fake("powerlaw+gaussian", CCD, exposure=8000.0, params=params, seed=2)
    model = js.Model("powerlaw+gaussian")
    model["LineE"].set(min=5.8, max=6.8)
    model["Sigma"].freeze(0.05)
    result = js.fit(model, spectra, stat="cstat")
    assert result.ok.all(), result.messages
    assert abs(result.value("LineE")[0] - 6.3) < 4 * result.error("LineE")[0]


def test_a_narrow_line_off_its_start_is_found_in_a_large_spectrum():
    """Its own width is none, and the resolution 0.15 keV: at 6.6 keV nothing tells where it is."""
    params = {"PhoIndex": 1.8, "powerlaw.norm": 0.5, "LineE": 6.4, "Sigma": 0.0}
    params["gaussian.norm"] = 0.01
    spectrum = js.fake("powerlaw+gaussian", CCD, exposure=2e4, params=params, seed=3)[0]
    model = js.Model("powerlaw+gaussian")
    model["LineE"].set(6.6)
    model["Sigma"].freeze(0.0)
    result = js.fit(model, spectrum, stat="cstat")
    assert result.ok.all(), result.messages
    assert abs(result.value("LineE")[0] - 6.4) < 4 * result.error("LineE")[0] < 0.1


def test_a_line_in_absorption_is_found_where_its_norm_may_be_negative():
    """All candidates had positive norms: every one of such spectra got a line somewhere else."""
    params = {"PhoIndex": 1.8, "powerlaw.norm": 1.0, "LineE": 3.0, "Sigma": 0.05}
    params["gaussian.norm"] = -0.01
    model = js.Model("powerlaw+gaussian")
    model["gaussian.norm"].set(min=-10.0)
    spectrum = js.fake(model, CCD, exposure=8000.0, params=params, seed=3)[0]
    model["Sigma"].freeze(0.05)
    result = js.fit(model, spectrum, stat="cstat")
    assert result.ok.all()
    for name in ("LineE", "gaussian.norm"):
        assert abs(result.value(name)[0] - params[name]) < 4 * result.error(name)[0], name
    half = 0.5 * np.ptp(result.interval("gaussian.norm"))  # the limits are no logarithm's
    assert half == pytest.approx(result.error("gaussian.norm")[0], rel=1e-3)


def test_parts_of_a_model_are_combined():
    """As many for every choice of values, so that nothing is compiled anew; never too many."""
    expression = "TBabs*(bbody+powerlaw+gaussian)"
    model = js.Model(expression)
    parts = parts_of(model)
    assert parts.tables[0].shape[:2] == (4, 9)  # columns density, and the temperature made finer
    assert len(parts.thetas) == np.prod([4, *(t.shape[1] for t in parts.tables)]) <= COMBINED
    assert len(np.unique(parts.thetas, axis=0)) == len(parts.thetas)
    model["kT"].set(0.7)
    model["LineE"].freeze(6.4)
    again = parts_of(model)
    assert [t.shape for t in again.tables] == [t.shape for t in parts.tables]
    assert set(again.thetas[:, 1]) == {0.7} and set(again.thetas[:, 5]) == {6.4}
    assert candidates(js.Model(expression)).spread[5] and not candidates(model).spread[5]
    many = parts_of(js.Model("TBabs*(bbody+diskbb+bknpower+gaussian+gaussian+gaussian)"))
    assert len(many.thetas) == COMBINED
    assert all(t.shape[0] * t.shape[1] <= COLUMNS for t in many.tables)
    kinds = {len(np.unique(many.thetas[:, i])) for i in (1, 3, 5)}
    assert min(kinds) >= 4


def test_changes_of_one_part_know_which_are_alike():
    """A line at one energy is one change, as wide as it was or sharp; parts are never alike."""
    model = js.Model("bbody+powerlaw+gaussian")
    rows, place = alone(model, parts_of(model), candidates(model).spread)
    line = np.isfinite(rows[:, 4])
    assert np.isnan(rows[line][:, [0, 2]]).all() and np.isnan(rows[:, [1, 3, 6]]).all()
    at = {energy: set(place[rows[:, 4] == energy]) for energy in rows[line][-100:, 4]}
    assert all(len(places) == 1 for places in at.values())
    moved = np.isnan(rows[:, 5]) & line
    assert moved.sum() == len(set(place[moved])) == 128
    assert place[line].min() - place[~line].max() > APART


@pytest.mark.parametrize(
    ("expression", "changed"),
    [("highecut*powerlaw", [0, 1]), ("TBabs*highecut*powerlaw", [1, 2]), ("bknpower", [])],
)
def test_a_sharp_change_of_a_single_part_is_looked_for(expression, changed):
    """Spectra of the PCA miss a cutoff at 37 keV, above the band, with anything but a sharp one."""
    model = js.Model(expression)
    rows, _ = alone(model, parts_of(model), candidates(model).spread)
    assert len(rows) == (128 if changed else 0)
    assert np.isfinite(rows[:, changed]).all()
    assert np.isnan(np.delete(rows, changed, axis=1)).all()
    if changed:
        assert rows[:, changed[0]].max() > 1.2 and set(rows[:, changed[1]]) == {0.3}


def test_lanes_try_single_parts_of_one_another():
    model, n = js.Model("TBabs*(bbody+powerlaw+gaussian)"), 4
    thetas = np.random.default_rng(1).random((9, len(model.parameters)))
    thetas[:, 3] = 2.0  # the slope is the same in all
    rows = of_others(model, thetas, n)
    parts = [[1], [3], [5, 6]]  # kT; PhoIndex; LineE, Sigma: not nH, which all share, and no norms
    changed = [np.flatnonzero(~np.isnan(row)).tolist() for row in rows]
    assert changed == [parts[0]] * n + [parts[1]] + [parts[2]] * n
    for row, some in zip(rows, changed, strict=True):
        assert (row[some] == thetas[:, some]).all(axis=1).any()
    assert {thetas[:, 1].min(), thetas[:, 1].max()} < set(rows[:n, 1])  # as far apart as can be


def test_a_part_that_another_lane_has_found_is_tried(monkeypatch):
    """A lane that lost a line takes it from another, whose continuum and other line differ."""
    energies = np.array([[3.0, 5.0], [3.0, 8.0], [5.0, 8.0]])
    params = {"PhoIndex": np.array([1.2, 2.0, 2.8]), "powerlaw.norm": 3.0}
    for k, name in enumerate(("gaussian", "gaussian_3")):
        params |= {f"{name}.LineE": energies[:, k], f"{name}.Sigma": 0.1, f"{name}.norm": 0.4}
    expression, done = "powerlaw+gaussian+gaussian", []
    spectra = js.fake(expression, RESPONSE, exposure=np.full(3, 3e3), params=params, seed=5)

    def spoil(group, end, progress, _):
        """In place of learning: before the lanes cross, the first one loses its line at 5 keV."""
        if not done:
            done.append(end.local.value.copy())
            theta = end.theta.copy()
            lost = 2 if abs(theta[0, 2] - 5.0) < 1 else 5
            theta[0, lost] = 10.0
            end = lowest._descend(group, np.arange(3), theta, progress, 0)
            assert end.local.value[0] > done[0][0] + 100
        return end

    monkeypatch.setattr(lowest, "HARDLY", 2)
    monkeypatch.setattr(lowest, "_learned", spoil)
    result = js.fit(expression, spectra.notice("1-11"), stat="cstat")
    np.testing.assert_allclose(result.stat, done[0], rtol=1e-6)
    np.testing.assert_allclose(np.sort(result.params[:, [2, 5]], axis=1), energies, atol=0.1)


@pytest.mark.parametrize("signed", [(False, False, False), (False, True, True)], ids=str)
def test_distances_of_combinations_are_those_of_least_squares(broken, signed):
    """Against bounded least squares that share nothing; also where parts may be negative."""
    from functools import partial

    import jax
    from scipy.optimize import lsq_linear

    from jaxspec.fit.parts import _distances
    from jaxspec.likelihood.forward import lane_of, predict_parts

    model = js.Model("powerlaw+bbody+gaussian")
    rows = np.array([[1.2, 1.0, 0.6, 1.0, 4.0, 0.5, 1.0], [3.5, 1.0, 2.0, 1.0, 6.0, 1.0, 1.0]])
    chosen = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]])
    with jax.enable_x64(True):
        term, lane, n_bin = lane_of(model, broken[2], stat="chi2")
        grid = lane.inputs
        fluxes = [
            jax.jit(jax.vmap(partial(part.flux, grid.e_lo, grid.e_hi, grid.tables)))(rows)[None]
            for _, part in model.tree.additive_parts
        ]
        made = jax.jit(_distances, static_argnums=0)(term, lane, fluxes, chosen, signed)
        distance = np.asarray(made)
    weight = 1.0 / np.sqrt(lane.bins.rate_variance[:n_bin])
    data = lane.bins.rate[:n_bin] * weight
    parts = [predict_parts(model, broken[2], row) for row in rows]
    for value, (_, *which) in zip(distance, chosen, strict=True):
        names = zip(model.tree.names, which, strict=True)
        columns = np.stack([parts[k][name] * weight for name, k in names])
        least = lsq_linear(columns.T, data, (np.where(signed, -np.inf, 0.0), np.inf))
        assert value == pytest.approx(2 * least.cost - data @ data, rel=1e-3)


def test_which_models_may_have_several_minima():
    several = ["bknpower", "powerlaw+gaussian", "highecut*powerlaw", "TBabs*(diskbb+powerlaw)"]
    assert all(several_minima(Model(e).tree) for e in several)
    assert not any(several_minima(Model(e).tree) for e in ("powerlaw", "TBabs*cutoffpl"))


def test_starts_that_are_taken_differ():
    known = candidates(Model("bknpower"))
    value = np.arange(len(known.table), dtype=float)[None]
    starts, _ = distinct_starts(known.table[None], value, known, 5)
    chosen = [int(np.flatnonzero((known.table == s).all(axis=1))[0]) for s in starts[0]]
    assert chosen[0] == 0
    assert not known.near[np.ix_(chosen, chosen)][~np.eye(5, dtype=bool)].any()


def test_amplitudes_of_candidates_are_the_best_ones(broken):
    """Against a non-negative least squares that shares nothing."""
    import jax
    import jax.numpy as jnp
    from scipy.optimize import nnls

    from jaxspec.fit.levmar import Bounds
    from jaxspec.fit.start import with_amplitudes
    from jaxspec.likelihood.forward import lane_of, predict_parts

    model = js.Model("powerlaw+bbody+gaussian")
    model["kT"].set(1.5)
    model["PhoIndex"].set(2.5)
    n = len(model.parameters)
    free, none = np.ones(n, bool), np.zeros(n, bool)
    box = Bounds(*np.array([[p.min, p.max] for p in model.parameters]).T, free, none, none, none)
    scalable = np.array([p.role == "amplitude" for p in model.parameters])
    with jax.enable_x64(True):
        term, lane, n_bin = lane_of(model, broken[1], stat="chi2")
        links = Links(np.eye(n), np.zeros(n))
        start = jnp.asarray(model.values)
        work = jax.jit(lambda start: with_amplitudes(term, (), lane, links, scalable, box, start))
        theta, value = work(start)
    parts = predict_parts(model, broken[1], model.values)
    bins = lane.bins
    weight = 1.0 / np.sqrt(bins.rate_variance[:n_bin])
    norms = [model[f"{name}.norm"].value for name in parts]
    columns = np.stack([p / k for p, k in zip(parts.values(), norms, strict=True)])
    best, rest = nnls((columns * weight).T, bins.rate[:n_bin] * weight)
    assert float(value) < rest**2 * 1.02 + 0.5
    found = np.asarray(theta)[scalable]
    error = np.sqrt(np.diagonal(np.linalg.pinv((columns * weight) @ (columns * weight).T)))
    assert np.all(np.abs(found - best) < 0.5 * error + 0.2 * best)
