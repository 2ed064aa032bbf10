"""Unlimited parameters: round trips, volume elements, and derivatives against JAX."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxspec as js
from jaxspec.fit.levmar import Bounds
from jaxspec.likelihood.objective import Quadratic
from jaxspec.model.surface_catalogue import SURFACES
from jaxspec.sample import space as spaces
from jaxspec.sample.laplace import expand, factor, find_mode, start_of
from jaxspec.sample.steps import alone

# x0, frozen, S0, rc, beta, S02, rc2, beta2, B; as in a double beta model
LOW = np.array([-0.5, 0.0, 0.0, 1e-3, 0.2, 0.0, 1e-3, 0.2, 0.0])
HIGH = np.array([47.5, 9.0, 1e12, 96.0, 5.0, 1e12, 96.0, 5.0, 1e12])
FREE = np.arange(9) != 1
AMPLITUDE = np.isin(np.arange(9), [2, 5, 8])
SCALE = np.isin(np.arange(9), [3, 6])
THETA = np.array([22.3, 4.0, 1e-5, 2.5, 0.8, 3e-6, 9.0, 0.7, 0.1])
ERROR = np.array([0.1, 0.0, 1e-6, 0.3, 0.05, 5e-7, 1.5, 0.1, 0.02])
BOUNDS = Bounds(LOW, HIGH, FREE, AMPLITUDE, SCALE, np.zeros(9, bool))
INDEX = np.flatnonzero(FREE)
(DOUBLE,) = (c for c in SURFACES if c.name == "double_beta")
ALONE = tuple(
    spaces.Tie(*(np.flatnonzero(INDEX == i)[0].item() for i in places), natural)
    for places, natural in zip(((4, 3), (7, 6)), DOUBLE.natural, strict=True)
)
TIES = ALONE[0], ALONE[1]._replace(rival=ALONE[0].of)

free_of = jax.jit(partial(spaces.to_free, TIES))
volume_of = jax.jit(lambda space, u: spaces.free_and_volume(TIES, space, u)[1])
jacobian_of = jax.jit(jax.jacfwd(partial(spaces.to_free, TIES), argnums=1))


def space_at(theta=THETA, error=ERROR):
    return spaces.make_space(theta, BOUNDS, TIES, error)


def constant_of(space):
    """What `free_and_volume` leaves out."""
    return np.log(space.soft * -np.expm1(-space.reach)).sum()


@st.composite
def thetas(draw):
    """Parameters inside the limits, near them or in the middle."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    width = draw(st.sampled_from([0.3, 2.0, 8.0]))
    logarithmic = AMPLITUDE | SCALE
    theta = np.where(
        logarithmic,
        THETA * np.exp(width * rng.standard_normal(9)),
        THETA + 2 * width * ERROR * rng.standard_normal(9),
    )
    return np.where(FREE, np.clip(theta, LOW + 1e-3 * ERROR, HIGH - 1e-3 * ERROR), THETA)


@settings(max_examples=80, deadline=None)
@given(thetas(), thetas())
def test_round_trip(start, theta):
    start[[4, 7]] = THETA[[4, 7]]  # slopes stay a hundredth of their error away from a limit
    theta[[4, 7]] = np.clip(theta[[4, 7]], 0.21, 4.5)
    space = space_at(start)
    u = spaces.from_theta(TIES, space, theta, np.full(8, 1e-300))
    assert np.isfinite(u).all()
    np.testing.assert_allclose(np.asarray(free_of(space, u)), theta[INDEX], rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(thetas(), thetas())
def test_the_volume_element_is_that_of_the_map(start, theta):
    space = space_at(start)
    u = spaces.from_theta(TIES, space, theta, 0.1 * ERROR[INDEX])
    exact = np.linalg.slogdet(np.asarray(jacobian_of(space, u)))[1]
    constant = constant_of(space)
    assert float(volume_of(space, u)) + constant == pytest.approx(exact, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 5.0, 300.0]))
def test_any_number_gives_parameters_inside_the_limits(seed, width):
    space = space_at()
    u = width * np.random.default_rng(seed).standard_normal(8)
    p = np.asarray(free_of(space, u))
    tiny = 1e-12 * np.maximum(np.abs(LOW[INDEX]), 1)
    assert np.all(p >= LOW[INDEX] - tiny) and np.all(p <= HIGH[INDEX] * (1 + 1e-12))
    assert np.isfinite(float(volume_of(space, u)))


def test_far_from_limits_it_is_linear_and_for_amplitudes_a_logarithm():
    space = space_at()
    u = spaces.from_theta(TIES, space, THETA, ERROR[INDEX])
    step = np.eye(8)
    one = np.asarray(free_of(space, u + step[0])) - THETA[INDEX]
    assert one[0] == pytest.approx(ERROR[0], rel=1e-6) and np.allclose(one[1:], 0, atol=1e-12)
    for k in (1, 4, 7):
        raised = np.asarray(free_of(space, u + 0.5 * step[k]))
        assert raised[k] / THETA[INDEX][k] == pytest.approx(np.exp(0.5), rel=1e-6)


def test_the_centre_of_a_beta_model_depends_on_the_width_alone():
    """Moving kappa keeps rc2 / (3 beta - 1/2), the curvature at the centre."""
    space = space_at()
    u = spaces.from_theta(TIES, space, THETA, ERROR[INDEX])
    moved = np.asarray(free_of(space, u + 0.7 * np.eye(8)[3]))
    rc, beta = moved[2], moved[3]
    assert beta != pytest.approx(THETA[4], rel=0.01)
    width = THETA[3] ** 2 / (3 * THETA[4] - 0.5)
    assert rc**2 / (3 * beta - 0.5) == pytest.approx(
        width, rel=3e-3
    )  # rc is not far below its limit


def test_two_slopes_move_by_their_difference_and_their_rounded_maximum():
    """The larger kappa stays, whichever it is, where the difference grows at its expense alone."""
    far = BOUNDS._replace(lower=np.where(np.isin(np.arange(9), [4, 7]), 0.17, LOW))
    space = spaces.make_space(THETA, far, TIES, ERROR)
    for slopes in ((0.4, 2.0), (2.0, 0.4)):
        theta = THETA.copy()
        theta[[4, 7]] = slopes
        u = spaces.from_theta(TIES, space, theta, ERROR[INDEX])
        moved = np.asarray(free_of(space, u + 0.1 * np.eye(8)[3]))
        kappa = np.array([[1 / (3 * b - 0.5) for b in pair] for pair in (slopes, moved[[3, 6]])])
        large = int(np.argmax(kappa[0]))
        shifts = kappa[1] - kappa[0]
        assert abs(shifts[large]) < 1e-4 < 1e-3 < abs(shifts[1 - large])
        assert (shifts[1 - large] > 0) == (large == 1)
    assert space.soft[3] == space.soft[6]  # one unit for both


def test_a_start_on_a_limit_is_moved_inside():
    theta = THETA.copy()
    theta[[0, 2, 3, 4, 5]] = LOW[0], 0.0, HIGH[3], LOW[4], 0.0
    theta[7] = HIGH[7]
    quadratic = Quadratic(0.0, np.zeros(9), np.diag(2 / np.maximum(ERROR, 1e-9) ** 2), np.eye(9), 0)
    space = space_at(theta)
    u = start_of(TIES, space, theta, quadratic)
    p = np.asarray(free_of(space, u))
    assert np.isfinite(u).all() and np.all((p > LOW[INDEX]) & (p < HIGH[INDEX]))
    np.testing.assert_allclose(p[[0, 1]], [LOW[0] + 0.1 * ERROR[0], 0.1 * ERROR[2]], rtol=1e-3)


# --- the posterior around its mode --------------------------------------------------------------

CURVATURE = np.diag(2 / np.maximum(ERROR, 1e-3) ** 2)
CURVATURE[3, 4] = CURVATURE[4, 3] = 0.8 * np.sqrt(CURVATURE[3, 3] * CURVATURE[4, 4])


def bowl(theta):
    """A statistic that is not quadratic: the cube keeps the third order visible."""
    away = (theta - THETA) * jnp.asarray(FREE, float)
    return away @ (0.5 * CURVATURE @ away) + 0.1 * jnp.sum((away / ERROR.clip(1e-3)) ** 3)


@jax.jit
def quadratic_at(theta):
    expected = jnp.asarray(CURVATURE)
    return Quadratic(
        bowl(theta), jax.grad(bowl)(theta), expected, jax.hessian(bowl)(theta), jnp.zeros(1)
    )


def negative_log_posterior(space, u):
    return 0.5 * bowl(spaces.to_theta(TIES, space, u)) - volume_of(space, u)


DERIVATIVES = jax.jit(
    lambda space, u: (
        negative_log_posterior(space, u),
        jax.grad(negative_log_posterior, argnums=1)(space, u),
        jax.hessian(negative_log_posterior, argnums=1)(space, u),
    )
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0, 3.0]))
def test_expand(seed, width):
    space = space_at()
    start = spaces.from_theta(TIES, space, THETA, ERROR[INDEX])
    u = start + width * np.random.default_rng(seed).standard_normal(8)
    at = jax.device_get(quadratic_at(np.asarray(spaces.to_theta(TIES, space, u))))
    found = expand(TIES, space, at, u)
    value, gradient, hessian = jax.device_get(DERIVATIVES(space, u))
    assert found.value == pytest.approx(value, rel=1e-9, abs=1e-6)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.hessian, hessian, rtol=1e-6, atol=1e-7 * np.abs(hessian).max())


def test_find_mode_is_where_the_slope_vanishes():
    space = space_at()

    def evaluate(u):
        theta = np.asarray(spaces.to_theta(TIES, space, u))
        return expand(TIES, space, jax.device_get(quadratic_at(theta)), u)

    start = spaces.from_theta(TIES, space, THETA, ERROR[INDEX])
    mode = alone(find_mode(start + 0.5, near=1e-12), evaluate)
    _, gradient, hessian = jax.device_get(DERIVATIVES(space, mode.u))
    assert 0.5 * gradient @ np.linalg.solve(hessian, gradient) < 1e-8
    unit = factor(mode.hessian)
    np.testing.assert_allclose(unit @ unit.T, np.linalg.inv(hessian), rtol=1e-5, atol=1e-12)
    loose = alone(find_mode(start + 0.5), evaluate)
    assert 0 <= loose.value - mode.value < 1e-2


def test_factor_of_what_is_not_curved_upwards_is_finite():
    bent = np.diag([4.0, -9.0, 1e-12])
    unit = factor(bent)
    np.testing.assert_allclose(np.diag(unit)[:2], [0.5, 1 / 3])
    assert np.isfinite(unit).all()


def test_ties_of_a_model():
    model = js.Model("gauss2d+double_beta+beta")
    for p in model.parameters:
        if p.role == "position":
            p.freeze()
    names = [p.full_name for p in model.parameters if p.free]
    pairs = [(names[t.carried], names[t.of]) for t in spaces.ties_of(model)]
    assert pairs == [
        ("double_beta.rc", "double_beta.beta"),
        ("double_beta.rc2", "double_beta.beta2"),
        ("beta.rc", "beta.beta"),
    ]
    model["beta.beta"].set(0.6, min=0.1)  # kappa has a pole in between
    model["double_beta.rc"].freeze()
    assert [names[t.of] for t in spaces.ties_of(model)][:1] != ["double_beta.beta"]
    assert len(spaces.ties_of(model)) == 1


def test_without_errors_everything_spans_its_limits():
    space = spaces.make_space(THETA, BOUNDS, TIES)
    np.testing.assert_allclose(space.reach, 1.0)
    u = spaces.from_theta(TIES, space, THETA, np.full(8, 1e-30))
    np.testing.assert_allclose(free_of(space, u), THETA[INDEX], rtol=1e-9)
