"""Fits of images and profiles: truths, an independent likelihood, errors, and bad input."""

import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.optimize import minimize
from scipy.stats import poisson
from toy_images import CENTRE, TRUTHS, log_likelihood, simulated, template

import jaxspec as js
from jaxspec import Status
from jaxspec.errors import InputError
from jaxspec.fit.compiled import fit_chunk

FINISHED = (Status.OK, Status.AT_LIMIT, Status.HESSIAN_NOT_PD)


def pulls(result, truth, row=0):
    """(fit - truth) / error of every parameter of a truth that was fitted."""
    return {
        name: (result.value(name)[row] - truth[name]) / result.error(name)[row]
        for name in truth
        if name in result.columns
    }


def assert_true(result, truth, most=4.0):
    assert result.status[0] == Status.OK, result.messages
    found = pulls(result, truth)
    assert found and all(np.isfinite(p) and abs(p) < most for p in found.values()), found
    away = (result.stat[0] - result.stat_expected[0]) / np.sqrt(result.stat_variance[0])
    assert abs(away) < 4.5
    used = result.spectra[0].pixels.x.size
    assert result.n_bins[0] == used and result.dof[0] == used - len(result.model.free_names)


@pytest.fixture(scope="module")
def image():
    return simulated("beta")


@pytest.fixture(scope="module")
def fitted(image):
    return js.fit("beta", image)


@pytest.mark.parametrize("name", ["beta", "double_beta", "elliptical_beta", "gauss2d", "sersic"])
def test_truths(name):
    result = js.fit(name, simulated(name, seed=3))
    assert_true(result, TRUTHS[name])


@pytest.mark.parametrize("name", ["elliptical_beta", "gauss2d"])
@pytest.mark.parametrize("theta", [3.0, 48.0, 93.0, 138.0, 175.0])
def test_ellipses_are_found_at_any_angle(name, theta):
    truth = TRUTHS[name] | {"theta": theta, "ellip": 0.3}
    result = js.fit(name, simulated(name, seed=int(theta), theta=theta, ellip=0.3))
    assert result.status[0] == Status.OK
    assert 0 <= result.value("theta")[0] < 180
    away = (result.value("theta")[0] - theta + 90) % 180 - 90
    assert abs(away) < 4 * result.error("theta")[0]
    assert abs(pulls(result, truth)["ellip"]) < 4


def in_sigmas(result, name):
    """Parameters as standard deviations from the best fit, back to values by name."""
    center = {p.name: v for p, v in zip(result.model.parameters, result.params[0], strict=True)}
    step = {key: result.error(key)[0] for key in result.columns}
    return lambda t: (
        center | {k: center[k] + s * v for (k, s), v in zip(step.items(), t, strict=True)}
    )


@pytest.mark.parametrize("name", ["beta", "sersic"])
def test_the_optimum_is_that_of_scipy(name):
    """An independent NumPy likelihood and minimiser end within 1e-3 standard deviations."""
    image = simulated(name, seed=3)
    result = js.fit(name, image)
    values = in_sigmas(result, name)

    def cost(t):
        return -log_likelihood(name, image.pixels, values(t))

    n = len(result.columns)
    found = minimize(cost, np.full(n, 0.4), method="BFGS", options={"gtol": 1e-4})
    assert np.abs(found.x).max() < 1e-3
    # the errors are those of the NumPy likelihood
    step = 0.02 * np.eye(n)
    bent = [(cost(s) - 2 * cost(0 * s) + cost(-s)) / 0.02**2 for s in step]
    correlation = result.covariance(0) / np.outer(*2 * [np.sqrt(np.diag(result.covariance(0)))])
    np.testing.assert_allclose(bent, np.diag(np.linalg.inv(correlation)), rtol=0.02)
    # the statistic is twice the distance to the saturated likelihood
    counts = image.pixels.counts
    saturated = poisson.logpmf(counts, counts).sum()
    assert result.stat[0] == pytest.approx(2 * (saturated + cost(np.zeros(n))), rel=1e-9)


def test_errors_are_calibrated():
    """Pulls of 100 small images, fitted in one call, have mean 0 and width 1."""
    small = template((24, 24))
    truth = {"x0": 11.4, "y0": 12.3, "S0": 4e-5, "rc": 2.5, "beta": 0.8, "B": 1.5}
    images = js.fake("beta", small, params=truth | {"S0": np.full(100, 4e-5)}, seed=5)
    result = js.fit("beta", images, progress=False)
    assert result.names == [i.name for i in images]
    assert result.ok.sum() >= 98
    for name, value in truth.items():
        pull = ((result.value(name) - value) / result.error(name))[result.ok]
        assert abs(pull.mean()) < 4.0 / np.sqrt(pull.size), name
        assert abs(pull.std() - 1) < 4.0 / np.sqrt(2 * pull.size), name
    low = np.mean((result.stat - result.stat_expected) / np.sqrt(result.stat_variance))
    assert abs(low + 0.12) < 0.45  # six free parameters of 570 pixels


def test_a_bad_image_has_a_row_of_its_own(image, fitted):
    masked = image.replace(mask=np.ones(image.shape, bool), name="masked")
    counts = image.counts.copy()
    counts[20:25, 20:25] = np.nan
    broken = image.replace(counts=counts, name="broken")
    negative = image.replace(counts=-1.0 - image.counts, name="negative")
    few = image.replace(name="few", mask=np.arange(48 * 48).reshape(48, 48) > 3)
    exact = image.replace(rms=np.zeros(image.shape), name="without errors")
    void = image.replace(area=np.zeros(image.shape), name="of no area")
    rows = [masked, image, broken, negative, few, image, exact, void]
    result = js.fit("beta", rows, progress=False)
    bad = [0, 2, 3, 4, 6, 7]
    assert not np.isin(result.status[bad], result.USABLE).any(), result.table
    for row in bad:
        assert len(result.messages[row]) > 10
        assert np.isnan(result.error("rc")[row])
    for row in (1, 5):
        np.testing.assert_array_equal(result.params[row], fitted.params[0])
        assert result.stat[row] == fitted.stat[0] and result.status[row] == Status.OK
    assert "masked" in result.table["name"]
    for alone in (masked, few):
        with pytest.raises(InputError):
            js.fit("beta", alone)


def test_an_image_that_nothing_exposed_is_a_row(image):
    dark = image.replace(name="dark", exposure=np.zeros(image.shape))
    result = js.fit("beta", [image, dark])
    assert list(result.status) == [Status.OK, Status.BAD_DATA]
    assert "no good pixel is exposed" in result.messages[1]


def test_images_of_one_shape_share_compiled_code(image, fitted):
    before = fit_chunk._cache_size()
    model = js.Model("beta")
    model["rc"].freeze(4.0)
    model["S0"].set(1e-5, min=1e-7, max=1e-2)
    js.fit(model, simulated("beta", seed=9), max_iter=50)
    masked = image.masked(where=np.indices(image.shape)[0] < 1)
    js.fit("beta", masked)
    assert fit_chunk._cache_size() == before


def test_frozen_and_set(image, fitted):
    model = js.Model("beta")
    model["B"].freeze(0.1)
    model["rc"].set(9.0)
    result = js.fit(model, image)
    assert result.value("B")[0] == 0.1 and "B" not in result.columns
    assert np.isnan(result.error("B")[0]) and result.stat[0] >= fitted.stat[0]
    assert abs(result.value("rc")[0] - fitted.value("rc")[0]) < fitted.error("rc")[0]
    assert model["rc"].value == 9.0 and model["x0"].max == 1e6  # the given model is left alone
    assert result.best(0)["rc"].value == result.value("rc")[0]


def test_nothing_is_free(image):
    model = js.Model("beta")
    for p in model.parameters:
        p.freeze()
    with pytest.raises(InputError, match="no free parameter"):
        js.sample(model, image, draws=50, warmup=30, progress=False)
    with pytest.raises(InputError, match="no free parameter"):
        js.sample({"a": (model, [image])}, joint=True, draws=50, warmup=30, progress=False)
    result = js.fit(model, image)
    mean = result.image()
    good = image.good
    terms = js.statistic("cash", counts=image.counts[good], exposure=1.0, rate=mean[good])
    np.testing.assert_allclose(result.stat, terms.sum(), rtol=1e-10)
    assert result.ok.all() and result.table["dof"][0] == good.sum()


def test_linked(image, fitted):
    """rc = 5.7 beta, which is true: the statistic hardly rises and one error is lost."""
    model = js.Model("beta")
    model["rc"].link_to("beta * 4 / 0.7")
    result = js.fit(model, image)
    assert 0 <= result.stat[0] - fitted.stat[0] < 12
    assert result.value("rc")[0] == pytest.approx(result.value("beta")[0] * 4 / 0.7)
    assert result.error("rc")[0] == pytest.approx(result.error("beta")[0] * 4 / 0.7)
    assert result.error("rc")[0] < fitted.error("rc")[0]
    assert len(result.model.free_names) == 5


# Flat beside the prior that a test is about: all fits with priors are compiled once.
BESIDE = {"beta": dist.Uniform(0.3, 3.0), "rc": dist.Normal(4.0, 1e5)}


def test_priors_pull_as_much_as_a_gaussian_says(image, fitted):
    names = fitted.columns
    covariance, place = fitted.covariance(0), names.index("rc")
    best = np.array([fitted.value(n)[0] for n in names])
    sigma = np.sqrt(covariance[place, place])
    mean, width = float(best[place] + sigma), float(0.8 * sigma)
    result = js.fit("beta", image, priors=BESIDE | {"rc": dist.Normal(mean, width)})
    gain = covariance[place] / (covariance[place, place] + width**2)
    exact = best + gain * (mean - best[place])
    found = np.array([result.value(n)[0] for n in names])
    errors = np.sqrt(np.diag(covariance))
    assert np.abs((found - exact) / errors).max() < 0.06
    assert np.abs((found - best) / errors).max() > 0.5
    assert result.error("rc")[0] == pytest.approx(1 / np.hypot(1 / sigma, 1 / width), rel=0.1)
    model = js.Model("beta")
    model["rc"].prior, model["beta"].prior = dist.Normal(mean, width), BESIDE["beta"]
    np.testing.assert_array_equal(js.fit(model, image).params, result.params)


def test_the_statistic_leaves_the_prior_out(image):
    tight = BESIDE | {"rc": dist.Normal(5.0, 1e-5)}
    result = js.fit("beta", image, priors=tight)
    model = js.Model("beta")
    model["rc"].freeze(float(result.value("rc")[0]))
    assert result.stat[0] == pytest.approx(js.fit(model, image).stat[0], abs=1e-3)
    assert "beta.rc ~ Normal(loc=5" in result.summary()


def test_a_prior_that_ends_is_a_limit(image, fitted):
    low = float(fitted.value("beta")[0] + 3 * fitted.error("beta")[0])
    result = js.fit("beta", image, priors=BESIDE | {"beta": dist.Uniform(low, 3 * low)})
    assert result.status[0] == Status.AT_LIMIT and "beta.beta" in result.messages[0]
    assert result.value("beta")[0] == low and result.stat[0] > fitted.stat[0] + 4


@pytest.mark.parametrize(
    "priors, text",
    [
        ({"rc": 5.0}, "not a prior"),
        ({"rC2": dist.Normal(1, 2)}, "no parameter 'rC2'"),
        ({"scale": dist.Normal(1.0, 0.1)}, "not free"),
        ({"rc": dist.Poisson(3.0)}, "discrete"),
        ({"rc": dist.Normal(np.ones(2), 1.0)}, "several"),
        ({"rc": dist.Uniform(1e4, 2e4)}, "zero there"),
        ({"rc": dist.Delta(4.0)}, "no density; freeze"),
    ],
)
def test_priors_that_are_none(image, priors, text):
    with pytest.raises(InputError, match=text):
        js.fit("beta", image, priors=priors)


def test_a_component_that_is_not_there_is_said(image):
    """A source where fewer counts are than the rest expects ends with flux 0, and is named."""
    model = js.Model("beta+point")
    model["point.x0"].freeze(30.0)
    model["point.y0"].freeze(31.0)
    counts = image.counts.copy()
    counts[29:33, 28:32] = 0.0
    dark = image.replace(counts=counts)
    result = js.fit(model, dark)
    assert result.status[0] == Status.AT_LIMIT
    assert "flux" in result.messages[0] and result.value("flux")[0] == 0.0
    assert np.isnan(result.error("flux")[0]) and np.isfinite(result.error("rc")[0])
    assert result.stat[0] == pytest.approx(js.fit("beta", dark).stat[0], abs=1e-6)


def test_two_cores_on_one_do_no_harm(image, fitted):
    """A double beta fitted to a single one is not worse, and its row says what it is."""
    result = js.fit("double_beta", image)
    assert result.stat[0] <= fitted.stat[0] + 1e-3
    assert result.stat[0] > fitted.stat[0] - 12
    assert result.status[0] in FINISHED, result.messages


def test_rms_is_fitted_with_chi2():
    mean = simulated("beta", seed=2)
    rms = np.sqrt(np.maximum(mean.counts, 1.0)) * 0.5
    image = js.fake("beta", mean.replace(rms=rms), params=TRUTHS["beta"], seed=6)
    result = js.fit("beta", image)
    assert result.stat_names == ["chi2"]
    assert_true(result, TRUTHS["beta"])
    with pytest.raises(InputError, match='use "chi2"'):
        js.fit("beta", image, stat="cstat")


def test_profile_with_poisson_counts(image, fitted):
    """Annuli of the image give the image's fit within a fraction of its errors."""
    center = tuple(fitted.value(n)[0] for n in ("x0", "y0"))
    profile = js.profile(image, center=center, bins="linear", n_bins=40)
    result = js.fit("beta", profile)
    assert result.stat_names == ["cstat"] and result.status[0] == Status.OK
    for name in ("S0", "rc", "beta", "B"):
        assert abs(result.value(name)[0] - fitted.value(name)[0]) < fitted.error(name)[0]
        assert result.error(name)[0] == pytest.approx(fitted.error(name)[0], rel=0.15)
    assert not {"x0", "y0"} & set(result.columns)
    with pytest.raises(InputError, match="is no image"):
        result.image()


def test_profile_with_errors_is_fitted_with_chi2(rng):
    r = np.linspace(0.5, 40, 60)
    truth = {"S0": 4.0, "rc": 6.0, "beta": 0.65, "B": 0.02}
    sb = 4.0 * (1 + (r / 6.0) ** 2) ** (0.5 - 3 * 0.65) + 0.02
    error = 0.03 * sb + 0.002
    table = js.RadialProfile.from_table(r, sb + error * rng.standard_normal(60), error)
    result = js.fit("beta", table)
    assert result.stat_names == ["chi2"] and result.status[0] == Status.OK
    found = pulls(result, truth)
    assert len(found) == 4 and max(np.abs(list(found.values()))) < 3.5

    def residuals(p):
        model = p[0] * (1 + (r / p[1]) ** 2) ** (0.5 - 3 * p[2]) + p[3]
        return np.sum(((table.counts - model) / error) ** 2)

    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000, "maxfev": 4000}
    exact = minimize(residuals, list(truth.values()), method="Nelder-Mead", options=options)
    assert result.stat[0] == pytest.approx(exact.fun, abs=1e-6)
    for name, value in zip(truth, exact.x, strict=True):
        assert abs(result.value(name)[0] - value) < 2e-3 * result.error(name)[0]


POINT = {"point.x0": 34.4, "point.y0": 13.7, "flux": 4e-4}
BETA = {f"beta.{k}" if k in ("x0", "y0", "beta") else k: v for k, v in TRUTHS["beta"].items()}


@pytest.mark.parametrize("psf", [False, True])
def test_point_source_on_a_cluster(psf):
    image = template(psf=js.gaussian_psf(fwhm=3.0) if psf else None)
    image = js.fake("beta+point", image, params=BETA | POINT, seed=8)
    result = js.fit("beta+point", image)
    assert_true(result, BETA | POINT)
    if psf:  # without it the core is too wide
        blind = js.fit("beta+point", image.replace(psf=None))
        assert blind.stat[0] > result.stat[0] + 50


def test_two_clusters():
    """The brightest is the first, though the other has more counts."""
    truth = {
        "beta.x0": 15.2, "beta.y0": 16.1, "beta.S0": 8e-5, "beta.rc": 3.0, "beta.beta": 0.8,
        "beta_2.x0": 33.4, "beta_2.y0": 32.2, "beta_2.S0": 4e-5, "beta_2.rc": 5.0,
        "beta_2.beta": 0.8, "B": 0.1,
    }  # fmt: skip
    image = js.fake("beta+beta", template(), params=truth, seed=8)
    result = js.fit("beta+beta", image)
    assert_true(result, truth)


def test_both_halves_of_one_call(image):
    """Model given as text or object, data alone or in a list: one answer."""
    a = js.fit("beta", image)
    b = js.fit(js.Model("beta"), [image])
    np.testing.assert_array_equal(a.params, b.params)
    assert a.spectra[0] is image and len(a) == 1
    assert str(a.table["rc"].unit) == "pix" and a.table["name"][0] == image.name
    assert CENTRE["x0"] == pytest.approx(a.value("x0")[0], abs=0.5)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda i: js.fit("powerlaw", i), "model of a spectrum"),
        (lambda i: js.fit("beta", i, stat="wstat"), "needs a background map"),
        (lambda i: js.fit("beta", i, stat="chi3"), "not a statistic"),
        (lambda i: js.fit("beta", [i, 3]), "Image|image"),
        (lambda i: js.fit("beta", []), "no spectrum or image"),
    ],
)
def test_bad_calls(image, call, text):
    with pytest.raises(InputError, match=text):
        call(image)
