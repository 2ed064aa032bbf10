"""Bent coordinates: exactly invertible, of constant volume, and straight where it matters."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.sample.tune import points
from jaxspec.sample.warp import Warp, fit_warp, invert, straight


@st.composite
def warps(draw):
    """Random factor, and bends in the form that `fit_warp` makes them."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    d = draw(st.integers(1, 7))
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.exp(rng.uniform(-2, 2, d))
    bend = np.zeros((d, d, d))
    for j in range(d):
        row, column = np.triu_indices(j)
        bend[j, row, column] = draw(st.sampled_from([0.0, 0.3])) * rng.standard_normal(row.size)
    scale = np.exp(rng.uniform(-1, 1, d))
    made = Warp(rng.standard_normal(d), axes * scale, np.einsum("ij,jkl->ikl", axes, bend))
    return made, rng.standard_normal((50, d))


@settings(max_examples=60, deadline=None)
@given(warps())
def test_invert_undoes_points(case):
    warp, z = case
    np.testing.assert_allclose(invert(warp, points(warp, z)), z, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(points(warp, z)[0], warp(z[0]), rtol=1e-9, atol=1e-9)


def test_the_volume_element_is_constant():
    rng = np.random.default_rng(4)
    draws = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4))
    draws[:, 1] += draws[:, 0] ** 2
    warp = fit_warp(draws)
    assert np.abs(warp.bend).max() > 0.05
    jacobian = jax.jit(jax.vmap(jax.jacfwd(warp)))(3 * rng.standard_normal((100, 4)))
    volume = np.linalg.slogdet(np.asarray(jacobian))[1]
    np.testing.assert_allclose(volume, np.linalg.slogdet(warp.factor)[1], atol=1e-8)


def banana(n=4000, seed=1):
    """Five directions of different width; two are bent along the longest, one along a product."""
    z = np.random.default_rng(seed).standard_normal((n, 5))
    u = z * [10.0, 3.0, 1.0, 0.5, 0.2]
    u[:, 2] += 0.8 * z[:, 0] ** 2
    u[:, 3] += 0.6 * z[:, 0] * z[:, 1]
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))[0]
    return u @ turn.T + 5.0


def bent_part(z):
    """Largest R2 of the regression of a coordinate on all products of the others."""
    found = []
    for j in range(z.shape[1]):
        others = np.delete(z, j, axis=1)
        row, column = np.triu_indices(others.shape[1])
        features = np.column_stack([np.ones(len(z)), others[:, row] * others[:, column]])
        rest = z[:, j] - features @ np.linalg.lstsq(features, z[:, j], rcond=None)[0]
        found.append(1 - rest.var() / z[:, j].var())
    return max(found)


def test_fit_warp_straightens_a_banana():
    draws = banana()
    warp = fit_warp(draws)
    new = invert(warp, banana(seed=9))
    mean, axes = draws.mean(axis=0), np.linalg.cholesky(np.cov(draws.T))
    white = np.linalg.solve(axes, (draws - mean).T).T
    assert bent_part(white) > 0.4 and bent_part(new) < 0.05
    np.testing.assert_allclose(np.cov(new.T), np.eye(5), atol=0.15)
    np.testing.assert_allclose(new.mean(axis=0), 0.0, atol=0.1)


def test_straight_draws_get_a_covariance_and_hardly_a_bend():
    rng = np.random.default_rng(3)
    root = np.array([[1e-6, 0.0], [3.0, 2.0]])
    draws = rng.standard_normal((2000, 2)) @ root.T + [1e-5, 4.0]
    warp = fit_warp(draws)
    np.testing.assert_allclose(warp.factor @ warp.factor.T, np.cov(draws.T), rtol=0.03, atol=1e-20)
    np.testing.assert_allclose(warp.center, [1e-5, 4.0], rtol=0.05)
    bend = np.linalg.solve(warp.factor, warp.bend.reshape(2, -1))
    assert np.abs(bend).max() < 0.05


@pytest.mark.parametrize("n", [3, 10, 30])
def test_few_draws_give_no_bend_they_cannot_know(n):
    draws = banana(n)
    warp = fit_warp(draws)
    assert np.isfinite(np.linalg.slogdet(warp.factor)[1])
    z = np.random.default_rng(1).standard_normal((20, 5))
    np.testing.assert_allclose(invert(warp, points(warp, z)), z, atol=1e-4)


def test_straight_is_affine():
    warp = straight(np.array([1.0, 2.0]), np.array([[2.0, 0.0], [1.0, 3.0]]))
    np.testing.assert_allclose(warp(np.array([1.0, 1.0])), [3.0, 6.0])
    assert not warp.bend.any()


def test_rounding_does_not_turn_an_axis():
    """A lane among others and alone differ by rounding; their chains have to stay together."""
    rng = np.random.default_rng(7)
    for d in (2, 3, 5):
        for _ in range(60):
            draws = rng.standard_normal((200, d)) @ rng.standard_normal((d, d))
            near = draws * (1.0 + 1e-13 * rng.standard_normal(draws.shape))
            one, other = fit_warp(draws), fit_warp(near)
            np.testing.assert_allclose(one.factor, other.factor, atol=1e-8 * np.ptp(draws))
