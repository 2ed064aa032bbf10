"""Pareto smoothing against the libraries that do it row by row."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.sample.psis import pareto_fit, psis, smooth_sorted


@pytest.mark.parametrize("n_draw, r_eff", [(60, 1.0), (225, 1.0), (500, 0.4), (4000, 1.0)])
def test_equals_arviz_stats(rng, n_draw, r_eff):
    ratios = rng.normal(size=(40, n_draw)) * np.geomspace(1e-6, 5.0, 40)[:, None]
    weights, k = psis(ratios, r_eff)
    expected, expected_k = array_stats.psislw(-ratios, r_eff=r_eff, axis=-1)
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(k, expected_k, rtol=0, atol=1e-9)
    assert k.min() < 0.7 < k.max()


def test_equals_arviz(rng):
    arviz = pytest.importorskip("arviz")
    if not hasattr(arviz, "psislw"):
        pytest.skip("ArviZ 1 takes it from arviz-stats")
    # a square number of draws, for which both round the length of the tail alike
    ratios = rng.standard_t(3, size=(20, 400)) * np.geomspace(1e-3, 3.0, 20)[:, None]
    weights, k = psis(ratios)
    expected, expected_k = arviz.psislw(ratios)
    np.testing.assert_allclose(k, expected_k, rtol=0, atol=1e-6)
    np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)


def test_shape_of_a_known_tail(rng):
    for shape in (-0.3, 0.2, 0.9):
        excess = np.sort(np.expm1(-shape * np.log(rng.random((50, 2000)))) / shape, axis=1)
        k, sigma = pareto_fit(excess)
        assert abs(k.mean() - shape) < 0.02
        assert abs(sigma.mean() - 1.0) < 0.02


def test_weights_without_a_tail():
    weights, k = psis(np.zeros((1, 500)))
    assert k[0] == 0.0
    np.testing.assert_allclose(weights, -np.log(500))
    few = np.random.default_rng(1).normal(size=(2, 20))
    weights, k = psis(few)  # four draws in the tail tell nothing: left as they are
    assert np.isinf(k).all()
    np.testing.assert_allclose(weights - few, (weights - few)[:, :1] * np.ones(20))


def test_repeated_draws():
    ratios = np.repeat(np.random.default_rng(2).normal(size=(3, 100)), 10, axis=1)
    weights, k = psis(ratios)
    assert np.isfinite(weights).all() and np.isfinite(k).all()
    steps = np.zeros((1, 500))
    steps[0, -3:] = 1.0, 2.0, 3.0  # nearly all of the tail is at the cutoff
    weights, k = psis(steps)
    assert np.isinf(k[0]) and np.isfinite(weights).all()


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1e-8, 300.0),
    shift=st.floats(-1e6, 1e6),
    n_draw=st.integers(2, 600),
)
def test_always_normalised_and_in_order(seed, scale, shift, n_draw):
    ratios = np.random.default_rng(seed).normal(size=(4, n_draw)) * scale
    weights, k = psis(ratios + shift)
    np.testing.assert_allclose(np.exp(weights).sum(axis=1), 1.0, rtol=1e-9)
    assert not np.isnan(k).any()
    order = np.argsort(ratios + shift, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(weights, order, axis=1), axis=1) >= -1e-6).all()
    rows, _ = smooth_sorted(np.sort(ratios + shift, axis=1))
    np.testing.assert_allclose(np.sort(rows, axis=1), np.sort(weights, axis=1), atol=1e-9)
