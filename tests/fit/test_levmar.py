"""The minimiser, on functions that have nothing to do with spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from jaxspec.fit.arrow import cholesky_solve, solve
from jaxspec.fit.covariance import errors, invert
from jaxspec.fit.levmar import Bounds, minimise, nowhere
from jaxspec.likelihood.objective import Quadratic

X = np.linspace(0.0, 3.0, 30)


def residual(theta):
    return theta[0] * jnp.exp(-theta[1] * X) + theta[2] - DATA


DATA = 5.0 * np.exp(-1.3 * X) + 0.5 + 0.1 * np.sin(37 * X)


def evaluate(theta):
    r, jacobian = residual(theta), jax.jacfwd(residual)(theta)
    value, hessian = jnp.sum(r**2), jax.hessian(lambda t: jnp.sum(residual(t) ** 2))(theta)
    return Quadratic(value, 2 * r @ jacobian, 2 * jacobian.T @ jacobian, hessian, jnp.zeros(0))


def bounds(lower=-np.inf, upper=np.inf, free=(True, True, True), amplitude=(False,) * 3):
    box = [jnp.broadcast_to(jnp.asarray(b, float), (3,)) for b in (lower, upper)]
    return Bounds(*box, jnp.asarray(free), jnp.asarray(amplitude), *2 * [jnp.zeros(3, dtype=bool)])


def run(theta, box, function=evaluate, **options):
    options = {"tol": 1e-12, "max_iter": 100, **options}
    theta = jnp.asarray(theta)
    options["nothing"] = nowhere(theta, 0)
    return jax.jit(lambda t: minimise(function, t, box, **options))(theta)


@pytest.mark.parametrize("amplitude", [(False,) * 3, (True, False, False)])
def test_agrees_with_scipy(amplitude):
    state = run([1.0, 0.1, 0.0], bounds(amplitude=amplitude))
    best = scipy.optimize.least_squares(
        lambda t: np.asarray(residual(t)), [1.0, 0.1, 0.0], xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert state.done
    assert state.iterations < 15
    np.testing.assert_allclose(state.theta, best.x, rtol=1e-6)


def test_bounds_and_frozen_parameters():
    state = run([1.0, 0.1, 0.7], bounds(lower=[0, 0, 0.6], upper=[9, 9, 9]))
    best = scipy.optimize.least_squares(
        lambda t: np.asarray(residual(t)), [1.0, 0.1, 0.7], bounds=([0, 0, 0.6], [9, 9, 9])
    )
    assert state.theta[2] == 0.6
    np.testing.assert_allclose(state.theta, best.x, rtol=1e-4)
    frozen = run([1.0, 0.1, 0.7], bounds(free=[True, True, False]))
    assert frozen.theta[2] == 0.7
    assert frozen.done


@pytest.mark.parametrize("start", [3.0, 1e-6, -2.0])
def test_an_amplitude_that_may_be_negative_crosses_zero(start):
    """In its logarithm it stayed above zero for ever: no line in absorption was found."""

    def squares(theta):
        return jnp.sum(((theta[0] * jnp.exp(-X) + theta[2] - 2.0 + 0.7 * np.exp(-X)) / 0.1) ** 2)

    def quadratic(theta):
        hessian = jax.hessian(squares)(theta)
        return Quadratic(squares(theta), jax.grad(squares)(theta), hessian, hessian, jnp.zeros(0))

    box = bounds(lower=-9, upper=9, free=[True, False, True], amplitude=[True, False, False])
    state = run([start, 1.0, 0.0], box, quadratic)
    assert state.done
    np.testing.assert_allclose(state.theta[jnp.array([0, 2])], [-0.7, 2.0], rtol=1e-6)


def test_an_amplitude_that_is_not_there_ends_at_its_limit():
    def absent(theta):
        """Counts fall below the background: the best amplitude would be negative."""
        r = 1e-3 * theta[0] * jnp.exp(-X) + theta[2] - (0.5 - 0.2 * np.exp(-X))
        return jnp.sum((r / 0.1) ** 2)

    def quadratic(theta):
        hessian = jax.hessian(absent)(theta)
        return Quadratic(absent(theta), jax.grad(absent)(theta), hessian, hessian, jnp.zeros(0))

    state = run(
        [10.0, 1.0, 0.0],
        bounds(lower=[0, -9, -9], free=[True, False, True], amplitude=[True, False, False]),
        quadratic,
    )
    assert state.done
    assert state.theta[0] == 0.0


def test_steps_into_nan_are_taken_back():
    def walled(theta):
        q = evaluate(theta)
        return q._replace(value=jnp.where(theta[1] > 2.0, jnp.nan, q.value))

    state = run([1.0, 1.9, 0.0], bounds(), walled)
    assert state.done
    np.testing.assert_allclose(state.theta, run([1.0, 0.1, 0.0], bounds()).theta, rtol=1e-6)


def test_a_start_that_is_not_finite_ends_at_once():
    state = run([1.0, 1.0, 1.0], bounds(), lambda t: evaluate(t)._replace(value=jnp.nan * t[0]))
    assert state.done
    assert state.iterations == 0
    assert not np.isfinite(state.local.value)


def test_iterations_run_out():
    state = run([1.0, 0.1, 0.0], bounds(), max_iter=2)
    assert not state.done
    assert state.iterations == 2


@pytest.mark.parametrize("n", [1, 3, 8, 12])
def test_linear_solve(n, rng):
    a = rng.normal(size=(n, n))
    a = a @ a.T + np.eye(n)
    b = rng.normal(size=n)
    np.testing.assert_allclose(solve(jnp.asarray(a), jnp.asarray(b)), np.linalg.solve(a, b))
    assert np.isnan(cholesky_solve(jnp.asarray(-a), jnp.asarray(b))).any()


def test_covariance(rng):
    a = rng.normal(size=(5, 3, 3))
    information = a @ np.swapaxes(a, 1, 2) + np.eye(3)
    information[3] = -information[3]
    information[4] = np.nan
    mask = np.ones((5, 3), dtype=bool)
    mask[1, 0] = False
    covariance, definite = invert(information, np.tile(np.eye(3), (5, 1, 1)), mask)
    np.testing.assert_array_equal(definite, [True, True, True, False, False])
    np.testing.assert_allclose(covariance[0], 2 * np.linalg.inv(information[0]))
    np.testing.assert_allclose(covariance[1, 1:, 1:], 2 * np.linalg.inv(information[1, 1:, 1:]))
    assert (covariance[1, 0] == 0).all()
    assert np.isnan(covariance[3]).all()


def test_expected_decrease_at_the_end_point():
    at = Quadratic(np.array(1.0), np.array([2.0, 0, 0]), 2 * np.eye(3), 2 * np.eye(3), np.zeros(0))
    _, _, edm, held, definite, *_ = errors(np.zeros(3), at, bounds())
    assert edm == pytest.approx(1.0)  # value 1 + 2 x + x^2 falls to 0
    assert definite
    assert not held.any()
