"""Joint fits against independent solutions: dense Newton, single calls, and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from toy import toy_response
from toy_images import TRUTHS, log_likelihood, simulated

import jaxspec as js

RESPONSE = toy_response(n_channel=40, n_energy=60, fwhm=3.0)
MATRIX = RESPONSE.matrix.toarray() * RESPONSE.area[:, None]
N_OWN = N_SHARED = 2
N_ROW = 30


def photons(index):
    """Integral of E^-index over the bins of the response."""
    a = 1.0 - index
    return (RESPONSE.e_hi**a - RESPONSE.e_lo**a) / a


def deviance(mean, counts, xp=np):
    """cstat of arrays of NumPy, or of those of JAX, which are slow one operation at a time."""
    ratio = xp.where(counts > 0, counts, 1.0) / mean
    return 2.0 * xp.sum(mean - counts + counts * xp.log(xp.where(counts > 0, ratio, 1.0)))


def one_spectrum(theta, counts, exposure):
    """cstat of two power laws, by (own index, own norm, shared index, shared norm)."""
    flux = theta[1] * photons(theta[0]) + theta[3] * photons(theta[2])
    return deviance(exposure * (flux @ MATRIX), counts, jnp)


# Under one jit: otherwise every operation of the second derivative is compiled by itself.
slopes_and_curvature = jax.jit(
    jax.vmap(lambda *at: (jax.grad(one_spectrum)(*at), jax.hessian(one_spectrum)(*at)))
)


def dense_system(theta, counts, exposure):
    """Gradient and Hessian in ``[shared, own of row 0, own of row 1, ...]``, as a full matrix."""
    n_row = len(counts)
    size = N_SHARED + n_row * N_OWN
    own = theta[N_SHARED:].reshape(n_row, N_OWN)
    every = np.concatenate([own, np.tile(theta[:N_SHARED], (n_row, 1))], axis=1)
    slopes, curved = map(np.asarray, slopes_and_curvature(every, counts, exposure))
    gradient, hessian = np.zeros(size), np.zeros((size, size))
    for row in range(n_row):
        begin = N_SHARED + row * N_OWN
        at = np.array([begin, begin + 1, 0, 1])
        gradient[at] += slopes[row]
        hessian[np.ix_(at, at)] += curved[row]
    return gradient, hessian


def two_powerlaws():
    model = js.Model("powerlaw+powerlaw")
    for number, value in enumerate((1.5, 0.2, 3.2, 0.1), 1):
        model[number].set(value)
    return model


@pytest.fixture(scope="module")
def dense():
    """Spectra, their joint fit, and the minimum that Newton's method on the full matrix finds."""
    rng = np.random.default_rng(5)
    model = two_powerlaws()
    names = [p.full_name for p in model.parameters]
    truth = [rng.uniform(1.0, 1.7, N_ROW), 10 ** rng.uniform(-1.3, 0.0, N_ROW), 3.2, 0.1]
    params = dict(zip(names, truth, strict=True))
    spectra = js.fake(model, RESPONSE, exposure=2000.0, params=params, seed=6)
    fit = js.fit(model, spectra, stat="cstat", joint=True, untie=names[:2], tol=1e-20)
    counts = np.array([s.counts for s in spectra])
    exposure = np.array([s.exposure for s in spectra])
    theta = np.concatenate([truth[2:], np.stack(truth[:2], axis=1).ravel()])
    for _ in range(20):
        gradient, hessian = dense_system(theta, counts, exposure)
        step = np.linalg.solve(hessian, gradient)
        theta = theta - step
    assert np.sqrt(0.5 * step @ hessian @ step) < 1e-9  # in standard deviations, all together
    return fit, theta, 2.0 * np.linalg.inv(hessian)


def test_eliminating_lanes_is_solving_the_full_system(dense):
    fit, theta, covariance = dense
    assert fit.ok.all() and fit.n_free == N_SHARED + N_ROW * N_OWN
    sigma = np.sqrt(np.diag(covariance))
    found = np.concatenate([fit.params[0, 2:], fit.params[:, :2].ravel()])
    assert np.abs((found - theta) / sigma).max() < 1e-8
    assert np.ptp(fit.params[:, 2:], axis=0).max() == 0.0


def test_covariances_are_those_of_the_full_system(dense):
    fit, _, covariance = dense
    sigma = np.sqrt(np.diag(covariance))
    places = [[2 + 2 * row, 3 + 2 * row, 0, 1] for row in range(N_ROW)]
    for a in range(N_ROW):
        for b in (a, (a + 7) % N_ROW):
            units = np.outer(sigma[places[a]], sigma[places[b]])
            wanted = covariance[np.ix_(places[a], places[b])]
            np.testing.assert_allclose(
                fit.covariance(a, other=b) / units, wanted / units, atol=1e-8
            )


def test_sets_in_one_call_are_those_of_single_calls():
    """Six sets, one of them smaller: the same minima, errors and statistics as six calls."""
    sizes = [3, 3, 2, 3, 3, 3]
    labels = np.repeat([f"set {k}" for k in range(6)], sizes)
    n = len(labels)
    first = np.append(True, labels[1:] != labels[:-1])
    rng = np.random.default_rng(2)
    truth = {
        "factor": np.where(first, 1.0, rng.uniform(0.7, 1.3, n)),
        "PhoIndex": rng.uniform(1.5, 2.2, 6)[np.repeat(np.arange(6), sizes)],
        "powerlaw.norm": 0.3,
    }
    spectra = js.fake("constant*powerlaw", RESPONSE, exposure=500.0, params=truth, seed=9)
    factors = [1.0 if f else None for f in first]
    model = js.Model("constant*powerlaw")

    def fitted(where, joint):
        untie = {"constant.factor": [factors[i] for i in where]}
        return js.fit(model, spectra[where], stat="cstat", joint=joint, untie=untie)

    every = fitted(np.arange(n), labels)
    assert every.ok.all() and len(every.table) == 6
    for k, name in enumerate(dict.fromkeys(labels)):
        where = np.flatnonzero(labels == name)
        alone = fitted(where, True)
        np.testing.assert_allclose(every.params[where], alone.params, rtol=1e-10)
        np.testing.assert_allclose(every.stat[where], alone.stat, rtol=1e-10)
        for column in ("factor", "PhoIndex", "powerlaw.norm"):
            np.testing.assert_allclose(every.error(column)[where], alone.error(column), rtol=1e-8)
        between = every.covariance(where[0], other=where[1])
        np.testing.assert_allclose(between, alone.covariance(0, other=1), rtol=1e-8, atol=1e-14)
        assert every.together.n_free[k] == alone.n_free == 1 + len(where)
    apart = every.covariance(0, other=3)
    assert (apart == 0).all()  # another set


def scipy_minimum(statistic, theta, sigma):
    """Minimum from half a standard deviation away, in units of the errors that are checked."""
    best = minimize(
        lambda u: statistic(theta + u * sigma),
        np.resize([0.5, -0.5], len(theta)),
        method="BFGS",
        jac="3-point",
        options={"gtol": 1e-4},
    )
    assert np.linalg.norm(best.jac) < 1e-3, best.message
    return best.x


@pytest.fixture(scope="module")
def clusters():
    """One cluster with two exposures, each with its own background, and the joint fit of both."""
    images = [simulated("beta", seed=1), simulated("beta", seed=2, B=0.3)]
    return images, js.fit("beta", images, joint=True, untie=["B"], tol=1e-12)


def test_images_together(clusters):
    """Shared parameters agree, the errors are smaller."""
    images, joint = clusters
    apart = js.fit("beta", images)
    assert joint.ok.all() and apart.ok.all()
    for name in ("rc", "beta", "S0"):
        value, error = joint.value(name), joint.error(name)[0]
        assert value[0] == value[1]
        assert abs(value[0] - TRUTHS["beta"][name]) < 4 * error
        assert error < apart.error(name).min()
    assert joint.stat.sum() > apart.stat.sum()


def test_two_images_against_scipy(clusters):
    images, fit = clusters
    assert fit.ok.all()
    shared = [name for name in TRUTHS["beta"] if name != "B"]
    theta = np.array([*(fit.value(name)[0] for name in shared), *fit.value("B")])
    sigma = np.array([*(fit.error(name)[0] for name in shared), *fit.error("B")])

    def statistic(theta):
        values = dict(zip(shared, theta[:-2], strict=True))
        return -2.0 * sum(
            log_likelihood("beta", image.pixels, values | {"B": b})
            for image, b in zip(images, theta[-2:], strict=True)
        )

    away = scipy_minimum(statistic, theta, sigma)
    assert np.abs(away).max() < 1e-3


def glow(x, y, x0, y0, level, width):
    """Round patch whose brightness is 5e-5 of the norm of the spectrum beside it."""
    r2 = (x - x0) ** 2 + (y - y0) ** 2
    return 5e-5 * level * jnp.exp(-0.5 * r2 / width**2)


def test_an_image_and_a_spectrum_against_scipy():
    """The amplitude of an image is the norm of a spectrum."""
    patch = js.component(
        glow,
        kind="image",
        parameters={
            "x0": (24.0, 0.0, 1000.0, "position"),
            "y0": (24.0, 0.0, 1000.0, "position"),
            "level": (1.0, 0.0, 100.0, "amplitude"),
            "width": (3.0, 0.1, 100.0, "length"),
        },
    )
    empty = simulated("beta").replace(mask=np.zeros((48, 48), bool))
    sky = {"x0": 22.0, "y0": 25.0, "level": 0.3, "width": 4.0, "B": 0.5}
    image = js.fake(patch(), empty, params=sky, seed=3)
    spectrum = js.fake("powerlaw", RESPONSE, 100.0, params={"PhoIndex": 1.8, "norm": 0.3}, seed=4)
    fit = js.fit(
        {"sky": (patch(), image), "all": ("powerlaw", spectrum)},
        joint=True,
        share=[{"sky": "level", "all": "norm"}],
        tol=1e-12,
    )
    both = fit["sky"], fit["all"]
    assert all(part.ok.all() for part in both)
    assert both[0].value("level")[0] == both[1].value("norm")[0]
    assert both[0].error("level")[0] == pytest.approx(both[1].error("norm")[0], rel=1e-12)
    names = ["x0", "y0", "level", "width", "B"]
    pairs = [(both[0], name) for name in names] + [(both[1], "PhoIndex")]
    theta = np.array([part.value(name)[0] for part, name in pairs])
    sigma = np.array([part.error(name)[0] for part, name in pairs])
    pixels = image.pixels

    def statistic(theta):
        x0, y0, level, width, b, index = theta
        r2 = (pixels.x - x0) ** 2 + (pixels.y - y0) ** 2
        mean = 5e-5 * level * np.exp(-0.5 * r2 / width**2) * pixels.exposure + b * pixels.area
        folded = 100.0 * level * (photons(index) @ MATRIX)
        return float(deviance(mean, pixels.counts) + deviance(folded, spectrum[0].counts))

    away = scipy_minimum(statistic, theta, sigma)
    assert np.abs(away).max() < 1e-3
    # the errors too: those of the curvature of the same function, all parameters together
    steps = 0.05 * np.diag(sigma)
    curved = np.array(
        [
            [
                statistic(theta + a + b) - statistic(theta + a - b)
                - statistic(theta - a + b) + statistic(theta - a - b)
                for b in steps
            ]
            for a in steps
        ]
    ) / (4 * 0.05**2)  # fmt: skip
    errors = np.sqrt(np.diag(2.0 * np.linalg.inv(curved)))  # in units of those that were found
    np.testing.assert_allclose(errors, 1.0, rtol=2e-3)


def test_components_that_vanish_in_some_of_many_spectra():
    """Two counts of a source of its own on a common background of thirty: some norms are zero.

    The limit is where the minimum of each spectrum with that background has it, and nothing waits.
    """
    n = 300
    model = js.Model("powerlaw+powerlaw")
    own, rest = (p.full_name for p in model.parameters if p.name == "norm")
    model[3].set(0.5)
    values = (1.7, np.full(n, 0.002), 0.2, 0.03)
    params = dict(zip([p.full_name for p in model.parameters], values, strict=True))
    spectra = js.fake(model, RESPONSE, exposure=10.0, params=params, seed=1)
    model[1].freeze(1.7)
    fit = js.fit(model, spectra, stat="cstat", joint=True, untie=[own])
    assert fit.usable.all(), fit.status_counts
    gone = fit.value(own) == 0.0
    assert 0.02 * n < gone.sum() < 0.5 * n
    assert ((fit.status == js.Status.AT_LIMIT) == gone).all()
    *_, index, level = fit.params[0]
    source, common = photons(1.7) @ MATRIX, level * photons(index) @ MATRIX
    for row, spectrum in enumerate(spectra):

        def alone(norm, counts=spectrum.counts):
            return deviance(10.0 * (norm * source + common), counts)

        inside = minimize_scalar(
            alone, bounds=(0.0, 0.1), method="bounded", options={"xatol": 1e-9}
        )
        assert fit.stat[row] == pytest.approx(min(inside.fun, alone(0.0)), abs=1e-6)
    assert fit.value(rest)[0] == pytest.approx(0.03, abs=4 * fit.error(rest)[0])
