"""The numbers behind the figures."""

import numpy as np
import pytest
from fitted_rows import RESPONSE, spectrum
from toy import toy_response, toy_spectrum

from jaxspec._types import Spectrum
from jaxspec.errors import InputError
from jaxspec.model.model import Model
from jaxspec.reduce.group import group
from jaxspec.reduce.select import notice
from jaxspec.report.compared import data_arrays, fit_arrays, model_arrays
from jaxspec.report.stacks import stack_models, stack_spectra

WIDTH = 0.5  # keV, of each channel of the toy response


@pytest.fixture(scope="module")
def model():
    two = Model("powerlaw+powerlaw")
    two["powerlaw.PhoIndex"].set(2.0)
    two["powerlaw.norm"].set(0.05)
    two["powerlaw_2.PhoIndex"].set(0.5)
    two["powerlaw_2.norm"].set(0.002)
    return two


def power(norm, index, e_lo, e_hi):
    return norm * (e_hi ** (1 - index) - e_lo ** (1 - index)) / (1 - index)


def flux_of(model, e_lo, e_hi):
    v = model.values
    return power(v[1], v[0], e_lo, e_hi), power(v[3], v[2], e_lo, e_hi)


def test_data_are_net_counts_per_second_and_kev():
    s = spectrum("a")
    got = data_arrays(s)
    net = s.counts - s.background.counts
    np.testing.assert_allclose(got.data, net / 1000.0 / WIDTH)
    np.testing.assert_allclose(got.error, np.sqrt(s.counts + s.background.counts) / 1000.0 / WIDTH)
    np.testing.assert_allclose(got.background, s.background.counts / 1000.0 / WIDTH)
    assert got.subtracted and got.has_energies
    whole = data_arrays(s, subtract=False)
    np.testing.assert_allclose(whole.data, s.counts / 1000.0 / WIDTH)
    assert not whole.subtracted


def test_scalings_are_in_the_data():
    s = spectrum("a")
    s = s.replace(areascal=2.0, background=s.background.replace(exposure=4000.0, backscal=0.5))
    expected = s.counts / 2000.0 - s.background.counts / 2000.0
    np.testing.assert_allclose(data_arrays(s).data, expected / WIDTH)


def test_without_response_the_axis_is_channels():
    got = data_arrays(toy_spectrum([4.0, 9.0], response=None, first=7, exposure=1.0))
    np.testing.assert_allclose(got.edges, [[6.5, 7.5], [7.5, 8.5]])
    np.testing.assert_allclose([got.data, got.error], [[4.0, 9.0], [2.0, 3.0]])
    assert not got.has_energies


def test_zero_counts_have_the_error_of_one():
    got = data_arrays(toy_spectrum([0.0, 4.0], response=None, exposure=10.0))
    np.testing.assert_allclose(got.error, [0.1, 0.2])


def test_components_add_up_to_the_folded_model(model):
    got = model_arrays(notice(spectrum("a"), "1-12"), model)
    assert list(got.components) == ["powerlaw", "powerlaw_2"]
    np.testing.assert_allclose(sum(got.components.values()), got.model)
    np.testing.assert_allclose(sum(got.curve.components.values()), got.curve.flux)
    for part, flux in zip(
        got.curve.components.values(), flux_of(model, got.curve.e_lo, got.curve.e_hi), strict=True
    ):
        np.testing.assert_allclose(part, flux / (got.curve.e_hi - got.curve.e_lo), rtol=1e-9)


def test_folded_model_is_flux_times_response(model):
    got = model_arrays(notice(spectrum("a"), "1-12"), model)
    rate = (sum(flux_of(model, RESPONSE.e_lo, RESPONSE.e_hi)) * RESPONSE.area) @ RESPONSE.matrix
    kept = (RESPONSE.e_max > 1.0) & (RESPONSE.e_min < 12.0)
    np.testing.assert_allclose(got.model, rate[kept] / WIDTH, rtol=1e-9)


def test_residuals_and_unfolded_follow_their_formulas(model):
    got = model_arrays(notice(spectrum("a"), "1-12"), model, stat="wstat")
    s = spectrum("a")
    kept = (RESPONSE.e_max > 1.0) & (RESPONSE.e_min < 12.0)
    np.testing.assert_allclose(got.ratio, got.data / got.model)
    np.testing.assert_allclose(got.ratio_error, got.error / got.model)
    behind = s.background.counts[kept]
    variance = (got.model * WIDTH * 1000.0 + behind + behind) / (1000.0 * WIDTH) ** 2
    np.testing.assert_allclose(got.residuals, (got.data - got.model) / np.sqrt(variance))
    exact = sum(flux_of(model, *got.edges)) / WIDTH
    np.testing.assert_allclose(got.unfolded, exact, rtol=0.02)
    np.testing.assert_allclose(got.unfolded.sum(), exact.sum(), rtol=3e-3)
    np.testing.assert_allclose(got.ufspec, got.data * got.unfolded / got.model)
    np.testing.assert_allclose(got.eeufspec, got.ufspec * got.edges[0] * got.edges[1])
    np.testing.assert_allclose(got.eeufspec_error * got.data, got.eeufspec * got.error)


def test_unfolded_is_exact_where_bins_and_energies_agree(model):
    response = toy_response(32, 32)
    edges = np.linspace(0.5, 16.5, 33)
    response = response.replace(e_lo=edges[:-1], e_hi=edges[1:], e_min=edges[:-1], e_max=edges[1:])
    got = model_arrays(spectrum("a", background=0).replace(response=response), model)
    exact = sum(flux_of(model, edges[:-1], edges[1:])) / WIDTH
    np.testing.assert_allclose(got.unfolded, exact, rtol=1e-9)


def test_chi2_family_uses_its_own_errors(model):
    s = spectrum("a", background=0)
    chi2 = model_arrays(s, model, stat="chi2")
    np.testing.assert_allclose(chi2.residuals, (chi2.data - chi2.model) / chi2.error)
    gehrels = model_arrays(s, model, stat="chi2-gehrels")
    np.testing.assert_allclose(gehrels.error, (1 + np.sqrt(s.counts + 0.75)) / 1000.0 / WIDTH)
    np.testing.assert_allclose(gehrels.expected_error, gehrels.error)
    weighted = model_arrays(s, model, stat="chi2-model")
    np.testing.assert_allclose(
        weighted.expected_error, np.sqrt(weighted.model / (1000.0 * WIDTH)), rtol=1e-9
    )


def test_background_that_is_not_subtracted_is_in_the_model(model):
    s = spectrum("a")
    with_it, without = (model_arrays(s, model, stat="wstat", subtract=x) for x in (False, True))
    np.testing.assert_allclose(with_it.model - without.model, without.background)
    np.testing.assert_allclose(with_it.expected_error, without.expected_error)
    np.testing.assert_allclose(with_it.residuals, without.residuals)
    both = (model_arrays(s, model, stat="chi2", subtract=x) for x in (False, True))
    np.testing.assert_allclose(*(one.residuals for one in both))
    cash = model_arrays(s, model, stat="cash")
    assert not cash.subtracted
    np.testing.assert_allclose(cash.model, without.model)


def test_rebin_joins_for_display_and_keeps_the_counts(model):
    s = notice(spectrum("a"), "1-5, 7-12")
    fine, coarse = (model_arrays(s, model, rebin=r) for r in (None, (1e9, 3)))
    assert len(coarse.data) == 3 + 4  # 8 and 10 bins, three by three
    for name in ("data", "model", "background", "unfolded"):
        a = getattr(fine, name) @ fine.per
        assert getattr(coarse, name) @ coarse.per == pytest.approx(a)
    assert not np.any((coarse.edges[0] < 6.0) & (coarse.edges[1] > 6.0))  # no bin over the gap
    np.testing.assert_allclose(sum(coarse.components.values()), coarse.model)
    significant = data_arrays(s, rebin=(3.0, 100))
    assert np.all((significant.data / significant.error)[:3] >= 3.0)


def test_groups_are_shown_as_grouped(model):
    s = group(notice(spectrum("a"), "1-12"), factor=4)
    got = model_arrays(s, model)
    assert len(got.data) == 6
    np.testing.assert_allclose(got.per[:5], 4 * WIDTH)


def test_fit_arrays_are_those_of_the_best_model(result):
    got = fit_arrays(result, "s1")
    same = model_arrays(result.spectra[1], result.best(1), stat="wstat")
    np.testing.assert_array_equal(got.model, same.model)
    assert abs(np.mean(got.residuals)) < 1.0 and 0.5 < np.std(got.residuals) < 1.6
    with pytest.raises(InputError, match="no best fit"):
        fit_arrays(result, 5)
    with pytest.raises(InputError, match="no row named"):
        fit_arrays(result, "nobody")


def test_a_model_needs_a_response(model):
    with pytest.raises(InputError, match="has no response"):
        model_arrays(toy_spectrum([1.0, 2.0], response=None), model)


def test_stack_of_spectra_is_padded_and_says_what_it_lacks(result):
    spectra = list(result.spectra)
    spectra[0] = notice(spectra[0], "2-4")
    got = stack_spectra(spectra)
    assert got.values.shape == (5, 22) and got.skipped == 1
    assert np.isfinite(got.values[0]).sum() == 4
    np.testing.assert_allclose(got.values[1], data_arrays(spectra[1]).data)
    np.testing.assert_allclose(got.time, [50000.0, 50010.0, 50020.0, np.nan, 50040.0])
    area = stack_spectra(spectra, area=True)
    flat = (RESPONSE.e_hi - RESPONSE.e_lo) * RESPONSE.area @ RESPONSE.matrix / WIDTH
    np.testing.assert_allclose(area.values[1], got.values[1] / flat[2:24])
    assert stack_spectra([]).values.shape == (0, 0)


def test_stack_of_models(result):
    unfolded = stack_models(result, "model")
    assert unfolded.rows.tolist() == [r for r in range(5) if result.status[r] in result.USABLE]
    index, norm = result.params[1]
    edges = RESPONSE.e_lo, RESPONSE.e_hi
    np.testing.assert_allclose(
        unfolded.values[1], power(norm, index, *edges) / (edges[1] - edges[0]), rtol=1e-9
    )
    squared = stack_models(result, "eemodel")
    np.testing.assert_allclose(
        squared.values[1], unfolded.values[1] * edges[0] * edges[1], rtol=1e-12
    )
    folded = stack_models(result, "folded")
    np.testing.assert_allclose(folded.values[1], fit_arrays(result, 1).model, rtol=1e-12)
    with pytest.raises(InputError, match="kind"):
        stack_models(result, "other")


def test_only_numpy_comes_back(result):
    got = fit_arrays(result, 0)
    for value in vars(got).values():
        assert not isinstance(value, np.ndarray) or type(value) is np.ndarray
    assert isinstance(result.spectra[0], Spectrum)
