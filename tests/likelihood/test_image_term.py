"""The term of images: SciPy's densities, and derivatives by JAX and by differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import xlogy
from scipy.stats import norm, poisson
from toy_images import TRUTHS, brightness, expected, simulated, template, vector

import jaxspec as js
from jaxspec.likelihood.forward import (
    lane_of,
    log_likelihoods,
    pointwise_log_likelihood,
    predict,
)
from jaxspec.likelihood.image import BLOCK, TINY
from jaxspec.likelihood.image_prepare import (
    centers_of,
    fine_around,
    full_scene,
    in_blocks,
    pixel_bins,
)
from jaxspec.likelihood.linear import Lane
from jaxspec.likelihood.objective import (
    Links,
    lane_quadratic,
    linked,
    pull_back,
)
from jaxspec.likelihood.statistics import STATISTICS
from jaxspec.reduce.merge import pad
from jaxspec.reduce.profile import profile

SMALL = {"x0": 6.2, "y0": 5.4, "S0": 2e-6, "rc": 2.0, "beta": 0.7, "B": 0.15}
quadratic = jax.jit(lane_quadratic, static_argnums=(0, 1))


@pytest.fixture(scope="module")
def image():
    """13 x 11 pixels with masked and unexposed ones, and a background map."""
    background = np.full((13, 11), 0.05)
    small = template((13, 11), background=background)
    exposure = small.exposure.copy()
    exposure[4, :3] = 0.0
    return js.fake("beta", small.replace(exposure=exposure), params=SMALL, seed=2)


def beta_vectors(**changes):
    model = js.Model("beta")
    return model, np.array([vector(model, SMALL | {"rc": rc} | changes) for rc in (2.0, 3.0)])


def as_dict(model, values):
    return {p.name: v for p, v in zip(model.parameters, values, strict=True)}


def test_poisson_likelihood_is_scipys(image):
    model, params = beta_vectors()
    pixels = image.pixels
    assert (pixels.counts == 0).any() and (pixels.exposure == 0).any() and image.mask.any()
    assert len(pad(pixels).x) > len(pixels.x)
    terms = [poisson.logpmf(pixels.counts, expected("beta", pixels, as_dict(model, p)))
             for p in params]  # fmt: skip
    np.testing.assert_allclose(
        pointwise_log_likelihood(model, image, params), terms, rtol=1e-11, atol=1e-13
    )
    np.testing.assert_allclose(log_likelihoods(model, image, params), np.sum(terms, axis=1))
    mu = expected("beta", pixels, as_dict(model, params[0]))
    np.testing.assert_allclose(predict(model, image, params[0]), mu, rtol=1e-12)
    np.testing.assert_allclose(image.rebuild(mu)[image.good], mu)


def test_gaussian_likelihood_is_scipys(image):
    rms = np.random.default_rng(3).uniform(0.5, 2.0, image.shape)
    image = image.replace(rms=rms, counts=image.counts - 1.3)
    model, params = beta_vectors()
    pixels = image.pixels
    mu = [expected("beta", pixels, as_dict(model, p)) for p in params]
    terms = norm.logpdf(pixels.counts, mu, pixels.error)
    np.testing.assert_allclose(pointwise_log_likelihood(model, image, params), terms, rtol=1e-11)
    np.testing.assert_allclose(log_likelihoods(model, image, params), terms.sum(axis=1))


def test_nothing_expected_is_finite(image):
    model, params = beta_vectors(S0=0.0, B=0.0, scale=0.0)
    empty = image.replace(counts=np.zeros(image.shape))
    np.testing.assert_allclose(log_likelihoods(model, empty, params), 0.0, atol=1e-20)
    bad = log_likelihoods(model, image, params)
    assert np.isfinite(bad).all() and (bad < -50 * image.pixels.counts.sum()).all()
    model, params = beta_vectors(S0=1e-30, B=1e-24, scale=0.0)
    good = image.pixels
    mu = expected("beta", good, as_dict(model, params[0]))
    exact = poisson.logpmf(good.counts, np.maximum(mu, TINY)).sum()
    assert log_likelihoods(model, image, params)[0] == pytest.approx(exact, rel=1e-10)


def test_a_psf_keeps_the_order_of_the_pixels(image):
    blurred = image.replace(psf=js.gaussian_psf(fwhm=3.0))
    model, params = beta_vectors()
    mu = predict(model, blurred, params[0])
    terms = poisson.logpmf(image.pixels.counts, mu)
    found = pointwise_log_likelihood(model, blurred, params[:1])[0]
    np.testing.assert_allclose(found, terms, rtol=1e-10, atol=1e-13)
    assert log_likelihoods(model, blurred, params)[0] == pytest.approx(terms.sum())
    unblurred = expected("beta", image.pixels, as_dict(model, params[0]))
    assert mu.max() < 0.95 * unblurred.max()


def test_a_small_core_is_integrated(image):
    model, params = beta_vectors(S0=5e-5)
    params[0, model["rc"].number - 1] = 0.5
    whole = image.replace(mask=np.zeros(image.shape, bool), background=None)
    found = predict(model, whole, params[0]).reshape(image.shape)
    sampled = predict(model, whole, params[0], integrate=False).reshape(image.shape)
    y, x = np.indices(image.shape)
    offset = (np.arange(40) + 0.5) / 40 - 0.5
    values = as_dict(model, params[0])
    mean = np.mean(
        [[brightness("beta", x + dx, y + dy, values) for dx in offset] for dy in offset],
        axis=(0, 1),
    )
    near = np.hypot(x - SMALL["x0"], y - SMALL["y0"]) < 5
    exact = (mean * image.exposure + SMALL["B"])[near]
    np.testing.assert_allclose(found[near], exact, rtol=2e-3)
    assert np.abs(sampled[near] / exact - 1).max() > 0.03


def test_where_the_sources_are_follows_links(image):
    model = js.Model("beta+beta")
    model["beta_2.x0"].link_to("beta.x0 + 3")
    names = [p.full_name for p in model.parameters]
    theta = vector(model, {"beta.x0": 2.0, "beta.y0": 3.0, "beta_2.y0": 4.0})
    assert centers_of(model, linked(*links_of(model), theta)) == [(2.0, 3.0), (5.0, 4.0)]
    model["beta_2.y0"].link_to("exp(beta.y0) / 4")
    theta[names.index("beta.y0")] = np.log(20.0)
    values = linked(*links_of(model), theta)
    np.testing.assert_allclose(centers_of(model, values)[1], (5.0, 5.0))
    assert values[names.index("beta_2.y0")] == pytest.approx(5.0)
    assert fine_around(js.Model("background"), image.pixels, [0.1, 1.0], None) is None


def test_annuli_are_averaged_over_their_radii(image):
    annuli = profile(image, (6.0, 5.0), "linear", width=2)
    model, params = beta_vectors(x0=0.0, y0=0.0)
    pixels, (radii, weights) = annuli.pixels, annuli.nodes
    values = as_dict(model, params[0])
    sky = np.sum(weights * brightness("beta", radii, 0.0, values), axis=1)
    mu = sky * pixels.exposure + values["B"] * pixels.area + pixels.background
    found = predict(model, annuli, params[0])
    np.testing.assert_allclose(found, mu, rtol=1e-12)
    middle = predict(model, annuli, params[0], integrate=False)
    np.testing.assert_allclose(middle, expected("beta", pixels, values), rtol=1e-12)
    assert np.abs(middle / found - 1).max() > 1e-3


# --- the quadratic form of the minimiser ------------------------------------------------------


def links_of(model):
    """Links of a model as numbers, and those that are not affine."""
    found = model.link_map()
    made = Links(np.asarray(found.matrix, float), np.asarray(found.offset, float))
    return found.functions, made


def prepared(image, name, values, links=(), stat="cstat"):
    """Model, (term, functions), lane, links and theta (which is not the best fit)."""
    model = js.Model(name)
    for key, link in links:
        model[key].link_to(link)
    functions, made = links_of(model)
    theta = vector(model, values)
    term, lane, _ = lane_of(model, image, theta, stat=stat)
    return model, (term, functions), lane, made, theta


def mean_of(static, lane, links, theta):
    term, functions = static
    return term.forward.mean(lane.inputs, linked(functions, links, theta))


def statistic(static, lane, links):
    """The statistic as a function of theta, from its textbook form."""

    def value(theta):
        bins, used = lane.bins, lane.mask
        mu = mean_of(static, lane, links, theta)
        if static[0].stat == "chi2":
            return jnp.sum(jnp.where(used, (bins.counts - mu) ** 2 / bins.variance, 0.0))
        n = bins.counts
        mu = jnp.where(used, mu, 1.0)
        return 2 * jnp.sum(jnp.where(used, mu - n - n * jnp.log(mu), 0.0)) + 2 * jnp.sum(
            jnp.where(n > 0, n * jnp.log(jnp.where(n > 0, n, 1.0)), 0.0)
        )

    return value


def assert_quadratic(static, lane, links, theta, priors=None):
    priors = priors or {}
    found = jax.device_get(quadratic(*static, lane, links, priors, theta))
    value = statistic(static, lane, links)

    def target(t):
        params = linked(static[1], links, t)
        return value(t) - 2 * sum(p.log_prob(params[i]) for i, p in priors.items())

    @jax.jit
    def derivatives(t):
        return jax.grad(target)(t), jax.hessian(target)(t)

    gradient, hessian = jax.device_get(derivatives(theta))
    scale = np.sqrt(np.abs(np.diagonal(found.fisher))) + 1e-12
    units = np.outer(scale, scale)
    np.testing.assert_allclose(found.gradient / scale, gradient / scale, atol=1e-7)
    np.testing.assert_allclose(found.hessian / units, hessian / units, atol=1e-7)
    steps = np.diag(1e-4 / scale) * (np.abs(gradient) > 0)
    points = np.stack([theta, *(theta + steps), *(theta - steps)])
    values = np.asarray(jax.jit(lambda p: jax.lax.map(target, p))(points))
    assert found.value == pytest.approx(values[0], rel=1e-11)
    n = len(theta)
    slopes = (values[1 : n + 1] - values[n + 1 :]) / 2e-4
    np.testing.assert_allclose(slopes, gradient / scale, rtol=1e-4, atol=1e-4)
    return found


CASES = {
    "affine link": ("beta", SMALL, [("y0", "x0 - 0.8")], {}),
    "bent link": (
        "double_beta",
        SMALL | {"S02": 1e-7, "rc2": 5.0, "beta2": 0.8},
        [("beta2", "0.5*exp(beta)"), ("rc2", "rc^2")],
        {},
    ),
    "psf": ("beta", SMALL, [], {"psf": js.gaussian_psf(fwhm=3.0)}),
    "small core": ("beta", SMALL | {"rc": 0.8}, [], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_quadratic(image, case):
    name, values, links, changes = CASES[case]
    image = image.replace(**changes)
    _, static, lane, links, theta = prepared(image, name, values, links)
    assert (lane.inputs.grid is not None) == (case == "psf")
    assert (lane.inputs.fine is not None) == (case == "small core")
    found = assert_quadratic(static, lane, links, theta)

    mean = partial(mean_of, static, lane, links)
    jacobian, mu = jax.device_get(jax.jit(lambda t: (jax.jacfwd(mean)(t), mean(t)))(theta))
    used = lane.mask > 0
    fisher = 2 * jacobian[used].T @ (jacobian[used] / mu[used, None])
    np.testing.assert_allclose(found.fisher, fisher, rtol=1e-9, atol=1e-12 * fisher.max())
    np.testing.assert_allclose(found.mean[used], mu[used])


def test_the_reverse_derivative_is_that_of_the_quadratic(image):
    _, static, lane, _, theta = prepared(image, "beta", SMALL)
    term = static[0]
    value, slope = jax.jit(jax.value_and_grad(partial(term.log_likelihood, lane)))(theta)
    found = jax.jit(term.quadratic)(lane, theta)
    np.testing.assert_allclose(slope, -0.5 * found.gradient, rtol=1e-9)
    total = value + term.constant(lane)
    assert total == pytest.approx(log_likelihoods(js.Model("beta"), image, theta), rel=1e-12)


def test_quadratic_of_chi2(image):
    rms = np.random.default_rng(3).uniform(0.5, 2.0, image.shape)
    image = image.replace(rms=rms)
    _, static, lane, links, theta = prepared(image, "beta", SMALL, stat="chi2")
    found = assert_quadratic(static, lane, links, theta)
    assert np.all(np.linalg.eigvalsh(found.fisher) > -1e-9)


def test_quadratic_with_priors(image):
    model, static, lane, links, theta = prepared(image, "beta", SMALL)
    place = model["rc"].number - 1
    priors = {place: dist.Normal(2.5, 0.3), model["beta"].number - 1: dist.LogNormal(-0.4, 0.1)}
    found = assert_quadratic(static, lane, links, theta, priors)
    bare = quadratic(*static, lane, links, {}, theta)
    assert found.fisher[place, place] - bare.fisher[place, place] == pytest.approx(2 / 0.3**2)


def test_blocks_of_pixels_change_nothing():
    """Also where there is more room than pixels, as for merged ones."""
    image = simulated(image=template((40, 40)))
    model, static, _, links, theta = prepared(image, "beta", TRUTHS["beta"])
    scene = full_scene(model, image, "cstat", theta)
    assert BLOCK < scene.inputs.pixels.x.size < 2 * BLOCK

    def lane(scene):
        there = np.arange(len(scene.bins.counts)) < scene.n_bin
        return Lane.of(scene.inputs, scene.bins, there)

    whole = jax.device_get(quadratic(*static, lane(scene), links, {}, theta))
    cut = lane(in_blocks(scene, 4 * BLOCK))
    assert cut.inputs.blocks == 2 and cut.inputs.pixels.x.size == 4 * BLOCK
    blocks = jax.device_get(quadratic(*static, cut, links, {}, theta))
    mean = blocks.mean[: whole.mean.size]
    for a, b in zip(blocks._replace(mean=mean), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * np.abs(b).max())
    assert not blocks.mean[2 * BLOCK :].any()
    one = cut._replace(inputs=cut.inputs._replace(blocks=np.asarray(1)))
    first = jax.device_get(quadratic(*static, one, links, {}, theta))
    assert first.value < 0.9 * whole.value


def test_kernels_are_the_derivatives_of_the_likelihood(image):
    pixels = image.pixels
    mu = np.random.default_rng(1).uniform(0.01, 5.0, len(pixels.x))
    mu[:3] = 1e-20
    for stat, data in (("cstat", pixels), ("chi2", pixels._replace(error=mu + 1))):
        bins, entry = pixel_bins(data, stat), STATISTICS[stat]

        @jax.jit
        def derivatives(m, entry=entry, bins=bins):
            def deviance(v):
                return jnp.sum(-2 * entry.log_likelihood(bins, v, TINY))

            slope, bent = jax.jvp(jax.grad(deviance), (m,), (jnp.ones_like(m),))
            return entry.kernel(bins, m, TINY), entry.observed(bins, m, TINY), slope, bent

        terms, observed, slope, bent = derivatives(mu)
        np.testing.assert_allclose(terms.slope, slope, rtol=1e-12)
        np.testing.assert_allclose(observed, bent, rtol=1e-12)
        weight = terms.curvature * (mu if stat == "cstat" else data.error**2)
        np.testing.assert_allclose(weight, 2.0)
        if stat == "cstat":
            exact = 2 * (poisson.logpmf(data.counts, data.counts) - poisson.logpmf(data.counts, mu))
        else:
            exact = ((data.counts - mu) / data.error) ** 2
        np.testing.assert_allclose(terms.value, exact, atol=1e-9)


def test_everything_is_finite_where_nothing_is_expected(image):
    _, static, lane, links, theta = prepared(
        image, "beta", SMALL | {"S0": 0.0, "B": 0.0, "scale": 0.0}
    )
    found = quadratic(*static, lane, links, {}, theta)
    for part in found:
        assert np.isfinite(part).all()


# --- other statistics, other coordinates ------------------------------------------------------


def wstat(s, b, m, ratio):
    """Of counts s and b, the second exposed ``ratio`` times as long; XSPEC manual, appendix B."""
    t = 1 + ratio
    f = (s + b - t * m + np.sqrt((t * m - s - b) ** 2 + 4 * t * b * m)) / (2 * t)
    logs = xlogy(s, m + f) + xlogy(b, ratio * f) - xlogy(s, s) - xlogy(b, b)
    return 2 * (m + t * f - logs - s - b)


def pgstat(s, b, m, ratio):
    """The same where b is Gaussian with variance b."""
    variance, n = b / ratio**2, m + b / ratio
    some = 0.5 * (n - variance + np.sqrt((n - variance) ** 2 + 4 * s * variance))
    mu = np.where(s > 0, some, n - variance)
    return (
        2 * (mu - s - xlogy(s, np.where(s > 0, mu, 1.0)) + xlogy(s, s)) + (n - mu) ** 2 / variance
    )


@pytest.mark.parametrize("stat", ["wstat", "pgstat", "chi2"])
def test_other_statistics_equal_their_formulas(image, stat):
    rng = np.random.default_rng(5)
    scale = 0.5
    image = image.replace(background=1.0 + rng.poisson(3.0, image.shape))
    if stat == "chi2":
        image = image.replace(rms=rng.uniform(0.5, 2.0, image.shape))
    model = js.Model("beta")
    model["scale"].value = scale
    theta = vector(model, SMALL)
    term, lane, n_bin = lane_of(model, image, theta, stat=stat)
    pixels = image.pixels

    def value(t):
        if stat == "chi2":
            mu = expected("beta", pixels, as_dict(model, t))
            return np.sum(((pixels.counts - mu) / pixels.error) ** 2)
        mu = expected("beta", pixels._replace(background=0.0), as_dict(model, t))
        formula = {"wstat": wstat, "pgstat": pgstat}[stat]
        return np.sum(formula(pixels.counts, pixels.background, mu, 1 / scale))

    assert n_bin == len(pixels.x) < len(lane.mask)
    found = jax.device_get(jax.jit(term.quadratic)(lane, theta))
    assert found.value == pytest.approx(value(theta), rel=1e-10)
    units = np.sqrt(np.diagonal(found.fisher)) + 1e-12
    for i in np.flatnonzero(np.diagonal(found.fisher)):
        step = np.zeros_like(theta)
        step[i] = 1e-4 / units[i]
        slope = (value(theta + step) - value(theta - step)) / 2e-4
        assert slope == pytest.approx(found.gradient[i] / units[i], rel=1e-4, abs=1e-4)


def test_pull_back_through_a_bent_map_equals_differences(image):
    _, (term, _), lane, _, base = prepared(image, "beta", SMALL)
    n = len(base)
    mix = np.random.default_rng(4).normal(size=(n, n)) / n

    def to_params(t):
        return base * jnp.exp(0.3 * (mix @ jnp.sin(t)) + 0.1 * t**2)

    @jax.jit
    def pulled(t):
        return pull_back(term.quadratic(lane, to_params(t)), to_params, t)

    at = np.linspace(-0.3, 0.4, n)
    found, plain = jax.device_get((pulled(at), jax.jit(term.quadratic)(lane, to_params(at))))
    step = 1e-5
    there, back = ([pulled(at + sign * step * e) for e in np.eye(n)] for sign in (1, -1))

    def slope(of):
        return np.array([of(a) - of(b) for a, b in zip(there, back, strict=True)]) / (2 * step)

    largest = np.abs(found.hessian).max()
    np.testing.assert_allclose(slope(lambda q: q.value), found.gradient, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(
        slope(lambda q: q.gradient), found.hessian, rtol=1e-6, atol=1e-8 * largest
    )
    by = [to_params(at + step * e) - to_params(at - step * e) for e in np.eye(n)]
    by = np.array(by).T / (2 * step)
    np.testing.assert_allclose(
        by.T @ plain.fisher @ by, found.fisher, rtol=1e-6, atol=1e-8 * largest
    )
    assert found.value == plain.value
