"""Posteriors of images and spectra: closed forms, emcee, merged pixels, priors, bad arguments."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import gamma, kstest, norm, poisson
from toy import toy_response, toy_spectrum
from toy_images import TRUTHS, brightness, log_likelihood, simulated, template

import jaxspec as js
from jaxspec import Status
from jaxspec.errors import InputError
from jaxspec.likelihood import image_prepare
from jaxspec.sample import lanes, modes, relabel
from jaxspec.sample.diagnostics import ess_bulk
from jaxspec.sample.nuts import advance
from jaxspec.sample.tune import mover

FEW = {"draws": 60, "warmup": 40, "progress": False}


@pytest.fixture(scope="module")
def image():
    return simulated("beta")


@pytest.fixture(scope="module")
def posterior(image):
    return js.sample("beta", image, seed=1, draws=400, warmup=150, progress=False)


def independent(posterior, name):
    """Draws of one parameter thinned to about independent ones, and how many they are worth."""
    values = posterior[name]
    n = float(ess_bulk(values[..., None])[0])
    step = max(int(np.ceil(values.size / n)), 1)
    return values.ravel()[::step], n


# --- closed forms -------------------------------------------------------------------------------


def constant_model():
    model = js.Model("const2d")
    model["B"].freeze(0.0)
    return model


def test_gamma_posterior_frozen_and_linked():
    """One rate: with a flat prior the posterior of C0 is a Gamma distribution."""
    image = simulated("const2d", B=0.0)
    pixels = image.pixels
    linked = js.Model("const2d")
    linked["B"].link_to("C0 * 2e6")
    for model, extra in ((constant_model(), 0.0), (linked, 2e6)):
        exact = gamma(pixels.counts.sum() + 1, scale=1 / (pixels.exposure + extra).sum())
        posterior = js.sample(model, image, seed=2, draws=500, warmup=60, progress=False)
        values, n = independent(posterior, "C0")
        assert n > 400 and posterior.names == (("C0", "B") if extra else ("C0",))
        assert abs(posterior["C0"].mean() - exact.mean()) < 4 * exact.std() / np.sqrt(n)
        assert posterior["C0"].std() == pytest.approx(exact.std(), rel=4 / np.sqrt(2 * n))
        assert kstest(values, exact.cdf).pvalue > 1e-3
        np.testing.assert_allclose(posterior["B"], extra * posterior["C0"])
        pairs = zip(posterior["C0"][0, :5], posterior["B"][0, :5], strict=True)
        terms = [log_likelihood("const2d", pixels, {"C0": c, "B": b}) for c, b in pairs]
        np.testing.assert_allclose(posterior.log_likelihood[0, :5], terms)
        assert len(posterior.rhat) == len(posterior.names) and posterior.rhat.max() < 1.02
    assert linked["B"].link is not None and linked["C0"].max == 1e12


def test_a_prior_multiplies():
    """The same with a LogNormal prior, against the product of both on a grid."""
    image = simulated("const2d", B=0.0)
    pixels = image.pixels
    counts, exposure = pixels.counts.sum(), pixels.exposure.sum()
    center, sigma = counts / exposure, np.sqrt(counts) / exposure
    prior = dist.LogNormal(np.log(center) + 0.05, 0.02)
    few = {"seed": 2, "draws": 300, "warmup": 60, "progress": False}
    posterior = js.sample(constant_model(), image, priors={"C0": prior}, **few)
    grid = np.linspace(center - 6 * sigma, center + 6 * sigma, 4001)
    log_post = counts * np.log(grid) - exposure * grid - np.log(grid)
    log_post += norm.logpdf(np.log(grid), np.log(center) + 0.05, 0.02)
    weight = np.exp(log_post - log_post.max())
    weight /= weight.sum()
    values, n = independent(posterior, "C0")
    assert n > 250
    assert kstest(values, lambda x: np.interp(x, grid, np.cumsum(weight))).pvalue > 1e-3
    assert abs(grid @ weight - center) > 0.2 * sigma  # the prior mattered
    np.testing.assert_allclose(posterior.log_prior, prior.log_prob(posterior["C0"]), rtol=1e-6)
    model = constant_model()
    model["C0"].prior = prior
    np.testing.assert_array_equal(js.sample(model, image, **few).chains, posterior.chains)
    assert "LogNormal" in str(posterior.settings["priors"])


def test_profile_with_errors_has_a_gaussian_posterior(rng):
    """Values with errors, two linear amplitudes: the posterior is Gaussian."""
    r, error = np.linspace(1, 30, 40), rng.uniform(0.1, 0.3, 40)
    shape = (1 + (r / 6.0) ** 2) ** (0.5 - 3 * 0.7)
    values = 8.0 * shape + 2.0 + error * rng.standard_normal(40)
    table = js.RadialProfile.from_table(r, values, error)
    design = np.column_stack([shape, np.ones(40)]) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    center = covariance @ design.T @ (values / error)
    model = js.Model("beta")
    model["rc"].freeze(6.0)
    model["beta"].freeze(0.7)
    posterior = js.sample(model, table, seed=4, draws=400, warmup=100, progress=False)
    assert posterior.names == ("S0", "B") and posterior.settings["stat"] == "chi2"
    for place, name in enumerate(posterior.names):
        _, n = independent(posterior, name)
        sigma = np.sqrt(covariance[place, place])
        assert abs(posterior[name].mean() - center[place]) < 4.5 * sigma / np.sqrt(n)
        assert posterior[name].std() == pytest.approx(sigma, rel=4.5 / np.sqrt(2 * n))
    found = np.corrcoef(posterior["S0"].ravel(), posterior["B"].ravel())[0, 1]
    exact = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert found == pytest.approx(exact, abs=0.08)
    mean = posterior["S0"][0, 0] * shape + posterior["B"][0, 0]
    assert posterior.log_likelihood[0, 0] == pytest.approx(norm.logpdf(values, mean, error).sum())


def test_a_spectrum_has_a_gamma_posterior(rng):
    """A power law of fixed slope on counts without background: its norm is Gamma distributed."""
    response = toy_response()
    flux = 1 / response.e_lo - 1 / response.e_hi  # photon index 2, norm 1
    unit = (flux * response.area) @ response.matrix * 1000.0
    counts = rng.poisson(0.03 * unit)
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(2.0)
    data = toy_spectrum(counts, response=response)
    posterior = js.sample(model, data, seed=2, draws=500, warmup=60, progress=False, stat="cash")
    exact = gamma(counts.sum() + 1, scale=1 / unit.sum())
    values, n = independent(posterior, "norm")
    assert n > 400 and posterior.names == ("norm",) and posterior.acceptance == 1.0
    assert abs(posterior["norm"].mean() - exact.mean()) < 4 * exact.std() / np.sqrt(n)
    assert posterior["norm"].std() == pytest.approx(exact.std(), rel=4 / np.sqrt(2 * n))
    assert kstest(values, exact.cdf).pvalue > 1e-3
    one = poisson.logpmf(counts, posterior["norm"][0, 0] * unit).sum()
    assert posterior.log_likelihood[0, 0] == pytest.approx(one, rel=1e-9)
    assert posterior.data is data and posterior.settings["stat"] == "cash"


# --- against an independent sampler -------------------------------------------------------------


@pytest.mark.runs_long
def test_emcee_agrees(image, posterior):
    """emcee on a NumPy likelihood: means within 4.5 errors, widths within 15 %."""
    emcee = pytest.importorskip("emcee")
    pixels, names = image.pixels, posterior.names

    def log_posterior(theta):
        v = dict(zip(names, theta, strict=True))
        if min(v["S0"], v["rc"], v["B"]) <= 0 or not 0.2 < v["beta"] < 5 or v["rc"] > 96:
            return -np.inf
        sky = brightness("beta", pixels.x, pixels.y, v)
        mu = sky * pixels.exposure + v["B"]
        return np.sum(pixels.counts * np.log(mu) - mu)

    rng = np.random.default_rng(5)
    start = posterior.mean + posterior.std * rng.standard_normal((24, 6)) * 0.5
    sampler = emcee.EnsembleSampler(24, 6, log_posterior)
    sampler._random.seed(5)
    sampler.run_mcmc(start, 800)
    chain = sampler.get_chain(discard=200)
    for place, name in enumerate(names):
        other, n = chain[:, :, place], ess_bulk(chain.transpose(1, 0, 2))[place]
        mine, own = posterior[name], ess_bulk(posterior.chains)[place]
        error = np.hypot(other.std() / np.sqrt(n), mine.std() / np.sqrt(own))
        assert abs(other.mean() - mine.mean()) < 4.5 * error, name
        assert mine.std() == pytest.approx(other.std(), rel=0.15), name


def test_what_is_handed_back(image, posterior):
    assert posterior.chains.shape == (4, 400, 6) and posterior.full.shape == (4, 400, 7)
    assert posterior.names == ("x0", "y0", "S0", "rc", "beta", "B")
    assert posterior.acceptance == 1.0 and posterior.n_divergent == 0
    assert posterior.rhat.max() < 1.02 and posterior.ess.min() > 600
    assert posterior.data is image and posterior.fit.status[0] == Status.OK
    settings = posterior.settings
    assert settings["pixels"] == settings["merged_pixels"] == image.good.sum()
    assert not settings["integrate"] and settings["seed"] == 1 and settings["draws"] == 400
    assert set(settings["seconds"]) == {"prepare", "fit", "mode", "compile", "warm-up", "draws"}
    for chain, draw in ((0, 0), (1, 100), (3, 399)):
        values = dict(zip(posterior.names, posterior.chains[chain, draw], strict=True))
        exact = log_likelihood("beta", image.pixels, values)
        assert posterior.log_likelihood[chain, draw] == pytest.approx(exact, abs=1e-7)
    np.testing.assert_allclose(posterior.log_prior, 0.0)
    pull = [(posterior[k].mean() - v) / posterior[k].std() for k, v in TRUTHS["beta"].items()]
    assert np.abs(pull).max() < 4
    fit = posterior.fit
    for name in posterior.names:
        assert abs(posterior[name].mean() - fit.value(name)[0]) < 0.6 * fit.error(name)[0]
        assert posterior[name].std() == pytest.approx(fit.error(name)[0], rel=0.25)


def test_the_seed_decides(image):
    a, b, c = (js.sample("beta", image, seed=seed, **FEW) for seed in (7, 7, 8))
    np.testing.assert_array_equal(a.chains, b.chains)
    np.testing.assert_array_equal(a.log_likelihood, b.log_likelihood)
    assert np.all(a.chains[:, -1] != c.chains[:, -1])


def test_images_of_one_shape_share_compiled_code(posterior):
    before = advance._cache_size()
    model = js.Model("beta")
    model["rc"].set(3.0, min=1.0, max=20.0)
    other = simulated("beta", seed=12, rc=5.0)
    js.sample(model, other.masked(where=np.indices(other.shape)[0] < 1), seed=3, **FEW)
    js.sample("beta", other, seed=4, draws=60, warmup=40, target_accept=0.7, progress=False)
    assert advance._cache_size() == before


# --- merged pixels ------------------------------------------------------------------------------


COARSE = {"seed": 3, "draws": 400, "warmup": 100, "progress": False}


@pytest.fixture
def merging(monkeypatch):
    """Pixels of small images are merged too."""
    monkeypatch.setattr(image_prepare, "MERGE_FROM", 0)


def assert_same(a, b, most=4.5):
    """Means and widths of two posteriors agree within their Monte Carlo errors."""
    for name in a.names:
        n, m = (float(ess_bulk(p[name][..., None])[0]) for p in (a, b))
        error = np.hypot(a[name].std() / np.sqrt(n), b[name].std() / np.sqrt(m))
        assert abs(a[name].mean() - b[name].mean()) < most * error, name
        ratio = np.log(a[name].std() / b[name].std())
        assert abs(ratio) < most * np.sqrt(0.5 / n + 0.5 / m), name


@pytest.mark.usefixtures("merging")
def test_merged_pixels_give_the_same_posterior(image, posterior, monkeypatch):
    """Squares 0.3 as wide as their distance, twice what is usual."""
    monkeypatch.setattr(image_prepare, "RATIO", 0.3)
    merged = js.sample("beta", image, **COARSE)
    assert merged.settings["merged_pixels"] < 0.3 * merged.settings["pixels"]
    assert 0.97 < merged.acceptance < 1
    assert_same(merged, posterior)
    values = dict(zip(merged.names, merged.chains[2, 50], strict=True))
    full = log_likelihood("beta", image.pixels, values)
    assert merged.log_likelihood[2, 50] == pytest.approx(full, abs=1e-7)


@pytest.mark.usefixtures("merging")
def test_merging_can_be_refused(image):
    found = js.sample("beta", image, merge=False, seed=3, **FEW)
    assert found.settings["merged_pixels"] == found.settings["pixels"] and found.acceptance == 1.0


@pytest.mark.usefixtures("merging")
def test_the_check_alone_makes_it_exact(image, posterior, monkeypatch):
    """Without the expansion the stand-in is wrong by standard deviations; checked, it is right."""

    def unmended(u, gradient, hessian, unit):
        return modes.no_correction(u, unit)

    def unchecked(objective, target, key, max_depth, check, sampler):
        return mover(objective, target, key, max_depth, False, sampler)

    monkeypatch.setattr(image_prepare, "RATIO", 0.5)
    monkeypatch.setattr(modes, "Correction", unmended)
    checked = js.sample("beta", image, **COARSE)
    assert 0.2 < checked.acceptance < 0.7
    assert_same(checked, posterior)
    monkeypatch.setattr(lanes, "mover", unchecked)
    wrong = js.sample("beta", image, **COARSE)
    with pytest.raises(AssertionError):
        assert_same(wrong, posterior)
    pull = (wrong.mean - posterior.mean) / posterior.std
    assert np.abs(pull).max() > 0.4


# --- several images -----------------------------------------------------------------------------


def test_images_are_lanes_too(posterior):  # of the same shape: its code is compiled
    images = [simulated("beta", seed=s, rc=4.0 + s) for s in (1, 2)]
    both = js.sample("beta", images, seed=3, draws=100, warmup=60, progress=False, sampler="nuts")
    for s, one in enumerate(both, start=1):
        assert abs(one["rc"].mean() - 4.0 - s) < 4 * one["rc"].std()


# --- what may be sampled ------------------------------------------------------------------------


def test_limits_are_kept(image, posterior):
    model = js.Model("beta")
    low = float(posterior["rc"].mean())
    model["rc"].set(min=low, max=low + 5)
    found = js.sample(model, image, seed=6, draws=200, warmup=150, progress=False)
    assert found["rc"].min() >= low
    # half of a Gaussian: its mean is 0.8 sigma above the cut
    away = (found["rc"].mean() - low) / posterior["rc"].std()
    assert away == pytest.approx(0.8, abs=0.25)


def test_double_beta_and_labels():
    image = simulated("double_beta", seed=2)
    found = js.sample(
        "double_beta", image, seed=2, draws=150, warmup=150, target_accept=0.9, progress=False
    )
    assert found.rhat.max() < 1.06 and found.diverging.mean() < 0.03
    place = {name: found.model[name].number - 1 for name in TRUTHS["double_beta"]}
    width = [found[a] ** 2 / (3 * found[b] - 0.5) for a, b in (("rc", "beta"), ("rc2", "beta2"))]
    assert np.all(width[0] <= width[1])
    for name, value in TRUTHS["double_beta"].items():
        assert abs(found[name].mean() - value) < 4.5 * found[name].std(), name
    # exchanging halves changes no likelihood, and relabelling undoes it
    swapped = found.full.copy()
    (double, _) = found.model.tree.components
    for a, b in zip(*double.exchangeable.parts, strict=True):
        swapped[..., place[a]], swapped[..., place[b]] = found[b], found[a]
    again = relabel.relabel(found.model, {}, swapped)
    np.testing.assert_array_equal(again, found.full)
    from jaxspec.likelihood.forward import log_likelihoods

    some = swapped[0, :5]
    np.testing.assert_allclose(
        log_likelihoods(found.model, image, some, False), found.log_likelihood[0, :5], rtol=1e-10
    )


def test_labels_stay_where_the_halves_differ():
    model = js.Model("double_beta")
    rows = np.tile([p.value for p in model.parameters], (5, 1))
    rows[:, model["rc"].number - 1] = 30.0
    assert not np.array_equal(relabel.relabel(model, {}, rows), rows)
    assert np.array_equal(relabel.relabel(model, {model["S0"].number - 1: 1}, rows), rows)
    for change in (
        lambda m: m["rc"].set(max=50.0),
        lambda m: m["beta2"].freeze(0.7),
        lambda m: m["S02"].link_to("S0 / 10"),
    ):
        other = model.copy()
        change(other)
        assert np.array_equal(relabel.relabel(other, {}, rows), rows)


def test_a_point_source_behind_a_psf():
    template_ = template((24, 24), psf=js.gaussian_psf(fwhm=3.0))
    values = {"x0": 11.3, "y0": 12.2, "flux": 3e-4, "B": 0.3}
    image = js.fake("point", template_, params=values, seed=3)
    found = js.sample("point", image, seed=1, **FEW)
    for name, value in values.items():
        assert abs(found[name].mean() - value) < 4.5 * found[name].std(), name
    assert found["flux"].std() == pytest.approx(found.fit.error("flux")[0], rel=0.3)


# --- bad arguments ------------------------------------------------------------------------------


def no_limit():
    model = js.Model("beta")
    model["S0"].max = np.inf
    return model


@pytest.mark.parametrize(
    "change, text",
    [
        ({"chains": 0}, "chains"),
        ({"draws": 3}, "draws"),
        ({"draws": 10.5}, "whole number"),
        ({"warmup": 5}, "warmup"),
        ({"max_depth": True}, "max_depth"),
        ({"target_accept": 1.0}, "target_accept"),
        ({"target_accept": np.nan}, "target_accept"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": None}, "seed"),
        ({"stat": "chi3"}, "not a statistic"),
        ({"model": "powerlaw"}, "model of a spectrum"),
        ({"model": no_limit()}, "finite limits"),
        ({"data": [1, 2]}, "neither a spectrum nor an image"),
        ({"data": "image.fits"}, "read_image"),
        ({"sampler": "gibbs"}, "not a sampler"),
        ({"priors": {"rc": 3}}, "not a prior"),
        ({"priors": {"nonsense": dist.Normal(0, 1)}}, "nonsense"),
        ({"priors": [dist.Normal(0, 1)]}, "priors"),
    ],
)
def test_bad_arguments(image, change, text):
    given = {"model": "beta", "data": image} | FEW | change
    with pytest.raises(InputError, match=text):
        js.sample(given.pop("model"), given.pop("data"), **given)


def test_jax_is_left_as_it_was(image):
    assert jax.config.jax_enable_x64  # the tests run so
    assert isinstance(js.sample("beta", image, **FEW).chains, np.ndarray)
