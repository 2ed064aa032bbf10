"""Likelihood of images: SciPy's densities, and derivatives by JAX and by differences."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm, poisson
from toy_images import TRUTHS, brightness, expected, simulated, template, vector

import jaxspec as js
from jaxspec.likelihood.objective import Links
from jaxspec.likelihood.pixels import (
    BLOCK,
    TINY,
    ImageObjective,
    log_likelihood_terms,
    pixel_terms,
)
from jaxspec.likelihood.scene import (
    centers_of,
    fine_around,
    log_likelihoods,
    make_scene,
    model_values,
    pointwise_log_likelihood,
    predict,
)
from jaxspec.reduce.merge import pad

SMALL = {"x0": 6.2, "y0": 5.4, "S0": 2e-6, "rc": 2.0, "beta": 0.7, "B": 0.15}


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
    assert centers_of(model, theta) == [(2.0, 3.0), (5.0, 4.0)]
    model["beta_2.y0"].link_to("exp(beta.y0) / 4")
    theta[names.index("beta.y0")] = np.log(20.0)
    np.testing.assert_allclose(centers_of(model, theta)[1], (5.0, 5.0))
    assert model_values(model, theta)[names.index("beta_2.y0")] == pytest.approx(5.0)
    assert fine_around(js.Model("background"), image.pixels, [0.1, 1.0], None) is None


# --- the quadratic form of the minimiser ------------------------------------------------------


def prepared(image, name, values, links=(), stat="cstat", priors=None):
    """Objective, scene, links and theta (which is not the best fit)."""
    model = js.Model(name)
    for key, link in links:
        model[key].link_to(link)
    found = model.link_map()
    theta = vector(model, values)
    objective = ImageObjective(model.tree, stat, found.functions)
    made = Links(np.asarray(found.matrix, float), np.asarray(found.offset, float))
    return model, objective, make_scene(model, image, theta), made, theta


def statistic(objective, scene, links):
    """The statistic as a function of theta, from its textbook form."""

    def value(theta):
        pixels = scene.pixels
        mu = objective.expected(scene, objective.parameters(links, theta))
        if objective.stat == "chi2":
            return jnp.sum(((pixels.counts - mu) / pixels.error) ** 2)
        n, used = pixels.counts, pixels.area > 0
        mu = jnp.where(used, mu, 1.0)
        return 2 * jnp.sum(jnp.where(used, mu - n - n * jnp.log(mu), 0.0)) + 2 * jnp.sum(
            jnp.where(n > 0, n * jnp.log(jnp.where(n > 0, n, 1.0)), 0.0)
        )

    return value


def assert_quadratic(objective, scene, links, theta, priors=None):
    priors = priors or {}
    found = jax.device_get(jax.jit(objective.quadratic)(scene, links, priors, theta))
    value = statistic(objective, scene, links)

    def target(t):
        params = objective.parameters(links, t)
        return value(t) - 2 * sum(p.log_prob(params[i]) for i, p in priors.items())

    @jax.jit
    def derivatives(t):
        return jax.grad(target)(t), jax.hessian(target)(t)

    gradient, hessian = jax.device_get(derivatives(theta))
    scale = np.sqrt(np.abs(np.diagonal(found.expected))) + 1e-12
    units = np.outer(scale, scale)
    np.testing.assert_allclose(found.gradient / scale, gradient / scale, atol=1e-7)
    np.testing.assert_allclose(found.observed / units, hessian / units, atol=1e-7)
    steps = np.diag(1e-4 / scale) * (np.abs(gradient) > 0)
    points = np.stack([theta, *(theta + steps), *(theta - steps)])
    values = np.asarray(jax.jit(lambda p: jax.lax.map(target, p))(points))
    assert found.value == pytest.approx(values[0], rel=1e-11)
    n = len(theta)
    slopes = (values[1 : n + 1] - values[n + 1 :]) / 2e-4
    np.testing.assert_allclose(slopes, gradient / scale, rtol=1e-4, atol=1e-4)
    return found


CASES = {
    "affine link": ("beta", SMALL, [("y0", "x0 - 0.8")]),
    "bent link": (
        "double_beta",
        SMALL | {"S02": 1e-7, "rc2": 5.0, "beta2": 0.8},
        [("beta2", "0.5*exp(beta)"), ("rc2", "rc^2")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_quadratic(image, case):
    name, values, links = CASES[case]
    _, objective, scene, links, theta = prepared(image, name, values, links)
    found = assert_quadratic(objective, scene, links, theta)

    def mean(t):
        return objective.expected(scene, objective.parameters(links, t))

    jacobian, mu = jax.device_get(jax.jit(lambda t: (jax.jacfwd(mean)(t), mean(t)))(theta))
    used = scene.pixels.area > 0
    fisher = 2 * jacobian[used].T @ (jacobian[used] / mu[used, None])
    np.testing.assert_allclose(found.expected, fisher, rtol=1e-9, atol=1e-12 * fisher.max())
    np.testing.assert_allclose(found.rate[used], mu[used])


def test_quadratic_of_chi2(image):
    rms = np.random.default_rng(3).uniform(0.5, 2.0, image.shape)
    image = image.replace(rms=rms)
    _, objective, scene, links, theta = prepared(image, "beta", SMALL, stat="chi2")
    found = assert_quadratic(objective, scene, links, theta)
    assert np.all(np.linalg.eigvalsh(found.expected) > -1e-9)


def test_quadratic_with_priors(image):
    model, objective, scene, links, theta = prepared(image, "beta", SMALL)
    place = model["rc"].number - 1
    priors = {place: dist.Normal(2.5, 0.3), model["beta"].number - 1: dist.LogNormal(-0.4, 0.1)}
    found = assert_quadratic(objective, scene, links, theta, priors)
    bare = jax.jit(objective.quadratic)(scene, links, {}, theta)
    assert found.expected[place, place] - bare.expected[place, place] == pytest.approx(2 / 0.3**2)


def test_blocks_of_pixels_change_nothing():
    """Also where there is more room than pixels, as for merged ones."""
    image = simulated(image=template((40, 40)))
    _, objective, scene, links, theta = prepared(image, "beta", TRUTHS["beta"])
    assert BLOCK < scene.pixels.x.size < 2 * BLOCK
    quadratic = jax.jit(objective.quadratic)
    whole = jax.device_get(quadratic(scene, links, {}, theta))
    cut = scene._replace(pixels=pad(scene.pixels, 4 * BLOCK), blocks=np.asarray(2))
    blocks = jax.device_get(quadratic(cut, links, {}, theta))
    rate = blocks.rate[: whole.rate.size]
    for a, b in zip(blocks._replace(rate=rate), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * np.abs(b).max())
    assert not blocks.rate[2 * BLOCK :].any()
    first = jax.device_get(quadratic(cut._replace(blocks=np.asarray(1)), links, {}, theta))
    assert first.value < 0.9 * whole.value


def test_terms_are_the_derivatives_of_the_likelihood(image):
    pixels = image.pixels
    mu = np.random.default_rng(1).uniform(0.01, 5.0, len(pixels.x))
    mu[:3] = 1e-20
    for stat, data in (("cstat", pixels), ("chi2", pixels._replace(error=mu + 1))):

        @jax.jit
        def derivatives(m, stat=stat, data=data):
            def deviance(v):
                return jnp.sum(-2 * log_likelihood_terms(stat, data, v))

            slope, bent = jax.jvp(jax.grad(deviance), (m,), (jnp.ones_like(m),))
            return pixel_terms(stat, data, m), slope, bent

        terms, slope, bent = derivatives(mu)
        np.testing.assert_allclose(terms.slope, slope, rtol=1e-12)
        np.testing.assert_allclose(terms.observed, bent, rtol=1e-12)
        weight = terms.expected * (mu if stat == "cstat" else data.error**2)
        np.testing.assert_allclose(weight, 2.0)
        if stat == "cstat":
            exact = 2 * (poisson.logpmf(data.counts, data.counts) - poisson.logpmf(data.counts, mu))
        else:
            exact = ((data.counts - mu) / data.error) ** 2
        np.testing.assert_allclose(terms.value, exact, atol=1e-9)


def test_everything_is_finite_where_nothing_is_expected(image):
    _, objective, scene, links, theta = prepared(
        image, "beta", SMALL | {"S0": 0.0, "B": 0.0, "scale": 0.0}
    )
    found = jax.jit(objective.quadratic)(scene, links, {}, theta)
    for part in found:
        assert np.isfinite(part).all()
