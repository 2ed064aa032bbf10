"""DIC, WAIC and LOO against closed forms of the Gamma-Poisson posterior, and against ArviZ."""

import copy
import pickle

import numpy as np
import pytest
from scipy.stats import nbinom, poisson
from toy import toy_response, toy_spectrum
from toy_posterior import (
    drawn_posterior,
    flat_posterior,
    tilted_posterior,
    toy_image,
    toy_pointwise,
)

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import predict
from jaxspec.reduce.profile import RadialProfile
from jaxspec.sample import information
from jaxspec.sample.information import annuli, loo_terms, pointwise, waic_terms


@pytest.fixture(scope="module")
def image():
    return toy_image()


@pytest.fixture(scope="module")
def posterior(image):
    return flat_posterior(image)


def exact_loo(counts):
    """Log predictive density of each pixel given all others: a negative binomial."""
    others = counts.sum() - counts
    return nbinom.logpmf(counts, others + 1, 1 - 1 / len(counts))


def test_dic(posterior, image):
    found = posterior.dic()
    counts = image.pixels.counts
    rate = posterior["B"]
    mean_d = -2 * np.mean([poisson.logpmf(counts, r).sum() for r in rate.ravel()[::4]])
    at_mean = -2 * poisson.logpmf(counts, rate.mean()).sum()
    assert found.deviance_mean == pytest.approx(mean_d, abs=0.1)
    assert found.deviance_at_mean == pytest.approx(at_mean, abs=1e-8)
    assert found.p_d == pytest.approx(1.0, abs=0.1)
    assert found == found.dic == found.deviance_mean + found.p_d
    assert found.form == "mean" and found.constant is True
    assert "mean(D) - D(mean), constant terms included" in found.sentence


def test_dic_by_the_variance(posterior):
    found = posterior.dic(form="variance")
    deviance = -2 * posterior.log_likelihood
    assert found.p_d == pytest.approx(deviance.var(ddof=1) / 2)
    assert found.p_d == pytest.approx(1.0, abs=0.15)
    assert float(found) == pytest.approx(deviance.mean() + found.p_d)
    assert np.isnan(found.deviance_at_mean)


@pytest.mark.parametrize("form", ["mean", "variance"])
def test_dic_without_the_constant(posterior, image, form):
    whole, short = posterior.dic(form), posterior.dic(form, constant=False)
    assert short.constant is False and "constant terms excluded" in short.sentence
    assert short.p_d == pytest.approx(whole.p_d)
    shift = 2 * poisson.logpmf(image.pixels.counts, 1.0).sum() + 2 * image.good.sum()
    assert short - whole == pytest.approx(shift)
    assert short < 0 < whole


def test_dic_is_a_number(posterior):
    found = posterior.dic()
    assert f"{found:.1f}" == f"{found.dic:.1f}"
    assert found - posterior.dic() == 0.0 and found < 1e9
    assert repr(found).startswith(f"{found.dic:.2f} (pD ")
    for twin in (copy.copy(found), pickle.loads(pickle.dumps(found))):
        assert twin == found and twin.p_d == found.p_d
    with pytest.raises(InputError, match="'mean' or 'variance'"):
        posterior.dic("median")


def test_negative_p_d_is_explained(posterior):
    posterior = flat_posterior(posterior.data, log_likelihood=np.zeros((4, 1000)))
    found = posterior.dic()
    assert found.p_d < 0 and "form='variance'" in found.sentence


@pytest.mark.parametrize("criterion", ["waic", "loo"])
def test_predictive_density_is_exact(posterior, image, criterion):
    counts = image.pixels.counts
    found = getattr(posterior, criterion)(max_draws=4000)
    exact = exact_loo(counts)
    assert found.n_draws == 4000 and found.by == "pixels" and found.criterion == criterion
    np.testing.assert_allclose(found.pointwise, exact, atol=0.01)
    assert found.elpd == pytest.approx(exact.sum(), abs=0.1)
    assert found.se == pytest.approx(np.sqrt(len(counts) * exact.var()), rel=0.01)
    assert found.p == pytest.approx(counts.var() / counts.mean(), rel=0.15)
    assert found.deviance == -2 * found.elpd
    assert found.n_bad == 0 and repr(found).startswith(criterion.upper())
    if criterion == "loo":
        assert found.pareto_k.shape == counts.shape and "none above 0.7" in found.sentence
    else:
        assert found.pareto_k is None


def test_thinning_is_even_and_said(posterior):
    found = posterior.loo(max_draws=100)
    assert found.n_draws == 100 and "100 of 4000 draws" in found.sentence
    assert found.elpd == pytest.approx(posterior.loo(max_draws=4000).elpd, abs=0.2)
    _, terms, total, r_eff = pointwise(posterior, "pixels", 100, None)
    assert terms.shape == (69, 100) and total == 4000 and r_eff == 1.0
    every = posterior.full.reshape(4000, -1)
    at = np.linspace(0, 3999, 100).round().astype(int)
    np.testing.assert_allclose(terms.T, toy_pointwise(posterior.model, posterior.data, every[at]))
    assert "all 4000 draws" in posterior.waic(max_draws=9999).sentence


def test_blocks_change_nothing(posterior, monkeypatch):
    whole = posterior.loo("pixels"), posterior.waic("annuli", center=(4, 4))
    monkeypatch.setattr(information, "ROWS", 7)
    monkeypatch.setattr(information, "NUMBERS", 69 * 50)
    parts = posterior.loo("pixels"), posterior.waic("annuli", center=(4, 4))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.pointwise, other.pointwise, rtol=1e-12)
    monkeypatch.setattr(information, "NUMBERS", 69 * 300)
    assert posterior.waic().n_draws == 300  # calls of one size only


def test_annuli_are_sums_over_pixels(posterior, image):
    pixels = image.pixels
    order, starts = annuli(pixels, (4.0, 4.0), 6)
    radius = np.hypot(pixels.x - 4, pixels.y - 4)[order]
    assert (np.diff(radius) >= 0).all() and sorted(order) == list(range(69))
    counts = np.add.reduceat(pixels.counts[order], starts)
    assert len(starts) == 6 and abs(counts - counts.mean()).max() <= pixels.counts.max()
    _, terms, _, _ = pointwise(posterior, "annuli", 50, (4.0, 4.0))
    _, single, _, _ = pointwise(posterior, "pixels", 50, None)
    np.testing.assert_allclose(terms.sum(axis=0), single.sum(axis=0))
    order, starts = annuli(pixels, (4.0, 4.0))
    np.testing.assert_allclose(terms[2], single[order[starts[2] : starts[3]]].sum(axis=0))
    none = pixels._replace(counts=np.zeros(69))
    assert len(annuli(none, (0, 0))[1]) == 1


def test_annuli_need_a_centre(posterior):
    with pytest.raises(InputError, match=r"background has no centre x0, y0; give center="):
        posterior.loo("annuli")


def test_profiles_are_annuli_already(image):
    ones = np.ones(12)
    edges = np.arange(13.0)
    counts = np.random.default_rng(1).poisson(30.0, 12).astype(float)
    profile = RadialProfile(
        edges[:-1], edges[1:], edges[:-1] + 0.5, counts, ones, 7 * ones, 0 * ones, np.nan * ones
    )
    posterior = flat_posterior(profile)
    np.testing.assert_array_equal(posterior.loo("annuli").pointwise, posterior.loo().pointwise)


def test_bad_arguments(posterior):
    with pytest.raises(InputError, match="'bins' or 'annuli'"):
        posterior.waic("rings")
    with pytest.raises(InputError, match="max_draws"):
        posterior.loo(max_draws=1)


def test_influential_data_are_noticed(rng):
    image = toy_image(shape=(4, 4))
    counts = image.counts.copy()
    counts[2, 2] = 400.0
    posterior = tilted_posterior(image.replace(counts=counts))
    found = posterior.loo()
    assert found.n_bad >= 1 and found.pareto_k.argmax() == np.argmax(found.pointwise < -100)
    assert "not to be trusted" in found.sentence
    assert posterior.waic().n_bad >= 1 and "prefer loo" in posterior.waic().sentence


def test_equals_arviz(rng):
    arviz = pytest.importorskip("arviz")
    if not hasattr(arviz, "InferenceData"):
        pytest.skip("written for the interface of ArviZ 0")
    log_lik = -0.5 * (0.2 * rng.normal(size=(4, 100, 1)) + rng.normal(size=30)) ** 2
    data = arviz.from_dict(
        posterior={"a": rng.normal(size=(4, 100))}, log_likelihood={"y": log_lik}
    )
    mine = log_lik.reshape(400, 30).T
    expected = arviz.loo(data, pointwise=True, reff=1.0)
    elpd, p, k = loo_terms(mine)
    np.testing.assert_allclose(elpd, expected.loo_i.to_numpy(), atol=1e-6)
    np.testing.assert_allclose(k, expected.pareto_k.to_numpy(), atol=1e-6)
    assert p.sum() == pytest.approx(expected.p_loo, abs=1e-6)
    expected = arviz.waic(data, pointwise=True)
    elpd, p = waic_terms(mine)
    # ArviZ divides the variance by n, the paper by n - 1
    np.testing.assert_allclose(elpd + p, expected.waic_i.to_numpy() + p * 399 / 400, atol=1e-9)


def test_a_spectrum_has_bins(rng):
    counts = np.array([3.0, 7.0, 5.0, 9.0, 4.0, 6.0])
    spectrum = toy_spectrum(counts, response=toy_response(6, 6))  # one energy bin in each channel
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(0.0)
    model["norm"].set(2e-4, min=1e-9, max=1.0)
    # one rate for all bins: with an even prior its posterior is a Gamma distribution
    values = np.tile(model.values, (4, 1000, 1))
    one = predict(model, spectrum, model.values) * spectrum.exposure
    rate = rng.gamma(counts.sum() + 1, 1 / 6, (4, 1000))
    values[..., model["norm"].number - 1] *= rate / one.mean()
    likelihood = poisson.logpmf(counts, rate[..., None]).sum(axis=-1)
    found = drawn_posterior(
        model, spectrum, values, log_likelihood=likelihood, log_constant=0.0,
        settings={"stat": "cstat", "seed": 1},
    )  # fmt: skip
    np.testing.assert_allclose(one, one[0], rtol=1e-9)
    loo = found.loo(max_draws=4000)
    assert loo.by == "bins" and "6 bins" in loo.sentence
    np.testing.assert_allclose(loo.pointwise, exact_loo(counts), atol=0.03)
    assert found.waic().elpd == pytest.approx(exact_loo(counts).sum(), abs=0.3)
    with pytest.raises(InputError, match="a spectrum has no annuli"):
        found.loo("annuli")
