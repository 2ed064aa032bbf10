"""The batched fit: right numbers, a status in every row, no lane touches another."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from toy import toy_response, toy_spectrum

import jaxspec as js
from jaxspec._status import Status
from jaxspec.errors import FitError, InputError
from jaxspec.fit.compiled import Minimum, fit_chunk
from jaxspec.fit.descend import lost
from jaxspec.fit.levmar import Bounds
from jaxspec.likelihood.objective import Quadratic
from jaxspec.reduce.bins import bin_counts
from jaxspec.reduce.spectra import Failure

RESPONSE = toy_response(n_channel=40, n_energy=60, fwhm=3.0)


@pytest.fixture(scope="module")
def model():
    model = js.Model("powerlaw")
    model["PhoIndex"].set(min=-1, max=5)
    return model


@pytest.fixture(scope="module")
def spectra():
    rng = np.random.default_rng(3)
    indices, norms = rng.uniform(1.0, 3.0, 100), 10 ** rng.uniform(-1.5, 0.5, 100)
    return js.fake(
        js.Model("powerlaw"),
        RESPONSE,
        exposure=2000.0,
        params={"PhoIndex": indices, "norm": norms},
        seed=4,
    )


@pytest.fixture(scope="module")
def result(model, spectra):
    return js.fit(model, spectra, stat="cstat")


def same_rows(a, b):
    for field in ("params", "stat", "status", "edm", "iterations", "stat_expected"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field), err_msg=field)
    for kind in ("observed", "expected"):
        np.testing.assert_array_equal(a.covariances[kind], b.covariances[kind])


def cash(theta, spectrum):
    """The statistic with nothing of jaxspec in it."""
    index, norm = theta
    lo, hi = RESPONSE.e_lo, RESPONSE.e_hi
    power = 1.0 - index
    flux = norm * (np.log(hi / lo) if power == 0 else (hi**power - lo**power) / power)
    mean = np.maximum(spectrum.exposure * ((flux * RESPONSE.area) @ RESPONSE.matrix), 1e-5)
    n = spectrum.counts
    log = np.where(n > 0, n * np.log(np.where(n > 0, n, 1.0) / mean), 0.0)
    return 2.0 * np.sum(mean - n + log)


def test_every_lane_is_at_the_true_minimum(result, spectra):
    assert result.ok.all()
    for row in (0, 17, 56, 99):
        found = result.params[row]
        best = scipy.optimize.minimize(
            cash,
            found * 1.01,
            args=(spectra[row],),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 2000},
        )
        assert result.stat[row] == pytest.approx(cash(found, spectra[row]), abs=1e-8)
        assert result.stat[row] <= best.fun + 1e-7
        sigma = np.sqrt(np.diag(result.covariance(row)))
        np.testing.assert_array_less(np.abs(found - best.x) / sigma, 2e-3)


def test_observed_covariance_is_the_inverse_of_half_the_hessian(result, spectra):
    row = 5
    theta = result.params[row]
    step = 1e-4 * np.sqrt(np.diag(result.covariance(row))) + 0 * theta
    hessian = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            e_i, e_j = np.eye(2)[i] * step * 100, np.eye(2)[j] * step * 100
            hessian[i, j] = (
                cash(theta + e_i + e_j, spectra[row])
                - cash(theta + e_i - e_j, spectra[row])
                - cash(theta - e_i + e_j, spectra[row])
                + cash(theta - e_i - e_j, spectra[row])
            ) / (4 * np.sum(e_i) * np.sum(e_j))
    np.testing.assert_allclose(result.covariance(row), 2 * np.linalg.inv(hessian), rtol=2e-3)
    # close to the expected one, and not the same
    expected = result.covariance(row, "expected")
    np.testing.assert_allclose(expected, result.covariance(row), rtol=0.3)
    assert np.abs(expected / result.covariance(row) - 1).max() > 1e-6


def test_one_by_one_is_the_same_as_all_at_once(model, spectra, result):
    for row in (3, 42):
        alone = js.fit(model, spectra[row], stat="cstat")
        np.testing.assert_allclose(alone.params[0], result.params[row], rtol=1e-9)
        np.testing.assert_allclose(alone.error("norm"), result.error("norm")[row], rtol=1e-7)


def test_shuffled_lanes_agree(model, spectra, result, rng):
    order = rng.permutation(len(spectra))
    shuffled = js.fit(model, spectra[order], stat="cstat")
    same_rows(shuffled, taken(result, order))


def taken(result, order):
    names = ("params", "stat", "status", "edm", "iterations", "stat_expected")
    covariances = {k: v[order] for k, v in result.covariances.items()}
    fields = {name: getattr(result, name)[order] for name in names}
    return dataclasses.replace(result, covariances=covariances, **fields)


def bad_spectra(spectra):
    good = spectra[0]
    holes = RESPONSE.matrix.copy()
    holes.data[7] = np.nan
    nan_response = RESPONSE.replace(matrix=holes)
    return {
        Status.NO_DATA: good.replace(name="empty", quality=np.full(40, 5, dtype=np.int16)),
        Status.FEW_COUNTS: js.SpectrumList([good.replace(name="one")]).notice(channels="7")[0],
        Status.NAN_MODEL: good.replace(name="nan", response=nan_response),
        Status.NO_RESPONSE: good.replace(name="no response", response=None),
        Status.IO_ERROR: Failure("missing", "missing.pha", Status.IO_ERROR, "missing.pha: gone"),
        Status.AT_LIMIT: good.replace(name="zero", counts=np.zeros(40)),
        Status.BAD_DATA: good.replace(
            name="negative", counts=good.counts - good.counts.min() - 5.0
        ),
    }


def test_bad_spectra_end_with_their_status_and_leave_the_others_alone(model, spectra, result):
    bad = bad_spectra(spectra)
    items = list(spectra)
    for place, item in zip((0, 3, 20, 50, 51, 64, 90), bad.values(), strict=True):
        items.insert(place, item)
    mixed = js.fit(model, js.SpectrumList(items), stat="cstat")
    rows = {name: i for i, name in enumerate(mixed.names)}
    for status, item in bad.items():
        row = rows[item.name]
        assert mixed.status[row] == status, item.name
        assert len(mixed.messages[row]) > 10
        if status != Status.AT_LIMIT:
            assert np.isnan(mixed.params[row]).all()
    names = [item.name for item in bad.values()]
    good = np.array([i for i, item in enumerate(items) if item.name not in names])
    same_rows(taken(mixed, good), result)


def test_a_lane_in_a_wider_batch_gives_the_same_fit(model, spectra, result):
    """Padding of bins and energies: a spectrum with more bins joins the batch."""
    wide = toy_response(n_channel=44, n_energy=70, fwhm=3.0)
    more = js.fake(js.Model("powerlaw"), wide, exposure=2000.0, seed=1)
    both = js.fit(model, spectra[:20] + more, stat="cstat")
    np.testing.assert_allclose(both.params[:20], result.params[:20], rtol=1e-9)
    np.testing.assert_allclose(both.stat[:20], result.stat[:20], rtol=1e-10)
    np.testing.assert_allclose(
        both.covariances["observed"][:20], result.covariances["observed"][:20], rtol=1e-7
    )


def test_numbers_do_not_recompile(model, spectra):
    js.fit(model, spectra[:3], stat="cstat")
    before = fit_chunk._cache_size()
    other = model.copy()
    other["PhoIndex"].freeze(2.2)
    other["norm"].set(0.3, min=1e-5, max=10.0)
    js.fit(other, spectra[:70], stat="cstat", max_iter=50, tol=1e-6)
    slow = js.SpectrumList(s.replace(exposure=s.exposure * 2) for s in spectra)
    js.fit(other, slow, stat="cstat")
    assert fit_chunk._cache_size() == before
    js.fit(model, spectra[:3], stat="chi2-gehrels")
    assert fit_chunk._cache_size() == before + 1


def test_frozen_and_bounded_parameters(model, spectra):
    frozen = model.copy()
    frozen["PhoIndex"].freeze(2.0)
    result = js.fit(frozen, spectra[:4], stat="cstat")
    assert (result.params[:, 0] == 2.0).all()
    assert result.columns == ["norm"]
    assert (result.dof == 39).all()
    bounded = model.copy()
    bounded["PhoIndex"].set(3.7, min=3.5, max=4.0)
    result = js.fit(bounded, spectra[:4], stat="cstat")
    assert (result.status == Status.AT_LIMIT).all()
    assert (result.value("PhoIndex") == 3.5).all()
    assert np.isnan(result.error("PhoIndex")).all()
    assert np.isfinite(result.error("norm")).all()
    assert "powerlaw.PhoIndex" in result.messages[0]


def test_links_move_together(spectra):
    linked = js.Model("powerlaw+powerlaw")
    linked[3].link_to("p1 + 1")
    linked[4].link_to("p2 * 0")
    plain = js.fit("powerlaw", spectra[:4], stat="cstat")
    result = js.fit(linked, spectra[:4], stat="cstat")
    np.testing.assert_allclose(result.params[:, :2], plain.params, rtol=1e-6)
    np.testing.assert_allclose(result.params[:, 2], plain.params[:, 0] + 1.0, rtol=1e-6)
    np.testing.assert_allclose(
        result.covariances["observed"][:, 2, 2], plain.covariances["observed"][:, 0, 0], rtol=1e-5
    )


def test_a_start_far_away_is_found_again(spectra):
    far = js.Model("powerlaw")
    far["PhoIndex"].set(-2.5)
    far["norm"].set(1e3)
    result = js.fit(far, spectra[:20], stat="cstat")
    near = js.fit("powerlaw", spectra[:20], stat="cstat")
    assert result.ok.all()
    np.testing.assert_allclose(result.params, near.params, rtol=1e-4)


def test_statistic_for_each_spectrum(model, spectra):
    mixed = js.fit(model, spectra[:4], stat=["cstat", "chi2", "cash", "chi2-gehrels"])
    assert mixed.stat_names == ["cstat", "chi2", "cash", "chi2-gehrels"]
    apart = js.fit(model, spectra[1], stat="chi2")
    np.testing.assert_allclose(mixed.stat[1], apart.stat[0], rtol=1e-9)
    bins = bin_counts(spectra[1])
    rate = (bins.counts - 0) / bins.t_s
    np.testing.assert_allclose(bins.rate, rate)


def test_iteration_limit_is_reported(spectra):
    result = js.fit("powerlaw", spectra[:3], stat="cstat", max_iter=1)
    assert (result.status == Status.NOT_CONVERGED).all()
    assert np.isfinite(result.params).all()
    assert np.isnan(result.error("norm")).all()
    with pytest.raises(FitError, match="iteration limit"):
        js.fit("powerlaw", spectra[:3], stat="cstat", max_iter=1, on_error="raise")


def test_expected_statistic(result):
    assert np.abs((result.stat - result.stat_expected) / np.sqrt(result.stat_variance)).mean() < 1.2
    assert (result.dof == 38).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": []}, "no spectrum"),
        ({"data": "a.pha"}, "read it first"),
        ({"data": [1]}, "neither a spectrum nor an image"),
        ({"stat": "foo"}, "foo"),
        ({"stat": ["cstat"]}, "1 statistics"),
        ({"on_error": "skip"}, "on_error"),
        ({"untie": ["norm"]}, "joint=True"),
        ({"model": "nonsense"}, "nonsense"),
        ({"stat": "wstat"}, "background"),
        ({"model": "TBabs", "parsed": True}, "additive"),
    ],
)
def test_arguments_that_cannot_be_used(model, spectra, arguments, message):
    if arguments.pop("parsed", False):
        arguments["model"] = js.models.TBabs()
    call = {"model": model, "data": spectra[:2], **arguments}
    with pytest.raises(InputError, match=message):
        js.fit(**call)


def test_calibration_of_values_and_errors():
    """1000 spectra of one truth: pulls are standard normal, intervals cover."""
    truth = {"PhoIndex": 1.8, "norm": 0.3}
    fakes = js.fake(
        js.Model("powerlaw"), RESPONSE, exposure=np.full(1000, 2000.0), params=truth, seed=11
    )
    result = js.fit("powerlaw", fakes, stat="cstat")
    assert result.ok.all()
    for name, value in truth.items():
        pull = (result.value(name) - value) / result.error(name)
        assert abs(pull.mean()) < 0.1
        assert pull.std() == pytest.approx(1.0, abs=0.05)
        assert np.mean(np.abs(pull) < 1) == pytest.approx(0.683, abs=0.03)
    assert np.mean(result.stat - result.stat_expected) == pytest.approx(-2.0, abs=1.5)
    assert scipy.sparse.issparse(RESPONSE.matrix)


def test_toy_spectrum_without_background_uses_cstat():
    result = js.fit("powerlaw", toy_spectrum(np.arange(60, 20, -1), response=RESPONSE))
    assert result.stat_names == ["cstat"]
    assert any("cstat" in note for note in result.notes)


def test_assigning_to_a_model_is_not_ignored():
    model = js.Model("powerlaw")
    model["PhoIndex"] = 2.5
    assert model["PhoIndex"].value == 2.5
    with pytest.raises(InputError, match=r'model\["PhoIndex"\]'):
        model.PhoIndex = 2.0
    with pytest.raises(AttributeError):
        model["PhoIndex"].vlaue = 3.0


def test_a_spectrum_without_response_is_told_so_after_notice_too(spectra):
    bare = js.SpectrumList([spectra[0].replace(response=None), spectra[1]])
    result = js.fit("powerlaw", bare.notice("0-16"), stat="cstat")
    assert list(result.status) == [Status.NO_RESPONSE, Status.OK]


@pytest.mark.parametrize("rule", [{"min_counts": -1}, {"min_counts": "a"}, {"factor": 2.5}, {}])
def test_grouping_rules_are_checked_at_the_call(spectra, rule):
    with pytest.raises(InputError):
        spectra.group(**rule)


@pytest.mark.parametrize(
    "limits", [{"max_iter": 0}, {"max_iter": 2.5}, {"tol": np.nan}, {"tol": -1}]
)
def test_limits_of_the_minimiser_are_checked(spectra, limits):
    with pytest.raises(InputError):
        js.fit("powerlaw", spectra[:2], **limits)


def test_two_components_end_in_the_lower_minimum():
    """A disc and a power law, whose share and shapes differ from lane to lane."""
    rng = np.random.default_rng(5)
    truth = {
        "Tin": rng.uniform(0.4, 2.5, 16),
        "diskbb.norm": rng.uniform(200.0, 600.0, 16),
        "PhoIndex": rng.uniform(1.5, 2.6, 16),
        "powerlaw.norm": rng.uniform(0.2, 1.0, 16),
    }
    model = js.Model("diskbb+powerlaw")
    fakes = js.fake(model, RESPONSE, exposure=5000.0, params=truth, seed=2).notice("1-15")
    result = js.fit(model, fakes, stat="cstat")
    assert result.ok.all()
    assert (result.stat < result.stat_expected + 4 * np.sqrt(result.stat_variance)).all()
    for name, value in truth.items():
        assert np.median(np.abs(result.value(name) - value) / result.error(name)) < 1.2


def test_lanes_that_lost_a_component_are_found():
    n = np.ones(4)
    information = np.tile(np.eye(2), (4, 1, 1))
    information[1, 0, 0] = 0.0  # a shape without influence
    at = Quadratic(n.copy(), np.zeros((4, 2)), information, information, np.zeros((4, 1)))
    at.value[3] = np.nan
    theta = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    end = Minimum(theta, at, n, np.ones(4, dtype=bool))
    free, norm = np.array([True, True]), np.array([False, True])
    bounds = Bounds(np.zeros(2), np.full(2, 9.0), free, norm, ~norm, ~free)
    np.testing.assert_array_equal(lost(end, bounds), [1, 2, 3])
    np.testing.assert_array_equal(lost(end._replace(done=np.arange(4) > 0), bounds), range(4))


def test_cflux_with_a_free_norm_is_explained(spectra):
    bare = spectra[0].replace(response=None)  # nothing to fit: it is said of the model
    result = js.fit("cflux*powerlaw", [bare], stat="cstat")
    assert any("freeze one norm" in note for note in result.notes)
