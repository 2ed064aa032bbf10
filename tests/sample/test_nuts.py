"""The sampler on densities that are known: Gaussians and a banana, with a wrong stand-in."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxspec.fit.levmar import Bounds
from jaxspec.likelihood.objective import Links
from jaxspec.sample.nuts import CHUNK, start_chains
from jaxspec.sample.space import make_space
from jaxspec.sample.steps import alone
from jaxspec.sample.target import REACH, Correction, Target, log_stand_in, no_correction
from jaxspec.sample.tune import mover, points, warm_up
from jaxspec.sample.warp import Warp, straight

D = 3
CHAINS = 4


class Toy(NamedTuple):
    """An objective with the methods that the sampler calls; the scene is the density."""

    name: str = "toy"
    ties: tuple = ()

    def parameters(self, links, theta):
        return links.matrix @ theta + links.offset

    def log_likelihood(self, scene, params):
        bent = params.at[1].add(-scene["bend"] * (params[0] ** 2 - 1.0 + 3.0 * params[0]))
        away = scene["root"] @ (bent - scene["mean"])
        return -0.5 * away @ away


def density(mean, sigma, bend=0.0):
    """Gaussian of independent parameters; the second is bent along the first."""
    return {
        "mean": np.array(mean, float),
        "root": np.diag(1.0 / np.array(sigma, float)),
        "bend": np.asarray(bend, float),
    }


FULL = density([0.5, -1.0, 2.0], [1.0, 2.0, 0.5])
WRONG = density([0.9, -2.0, 2.3], [1.3, 2.4, 0.6])
BANANA = density([0.0, 0.0, 0.0], [1.0, 0.4, 1.0], bend=1.0)


def target_of(full, coarse, correction=None):
    """Limits so far away that the map is linear and its volume constant."""
    huge = np.full(D, 1e5)
    no = np.zeros(D, bool)
    bounds = Bounds(-huge, huge, ~no, no, no, no)
    space = make_space(np.zeros(D), bounds, (), np.ones(D))
    middle = (space.low - 0.0) * -1.0  # u of theta = 0
    correction = correction or no_correction(middle, np.eye(D))
    return Target(full, coarse, Links(np.eye(D), np.zeros(D)), {}, space, correction), middle


def around(seed):
    return np.random.default_rng(seed).standard_normal((CHAINS, D))


def draw(target, warp, n=1500, seed=0, check=True, step_size=0.7):
    """Draws of u, (n, chains, D), and of the other columns."""
    move = mover(Toy(), target, jax.random.key(seed), 6, check)
    chains = start_chains(around(seed))
    parts = []
    while n:
        size = min(CHUNK, n)
        chains, made = move(warp, chains, step_size, size)
        parts.append(jax.tree.map(lambda a, size=size: a[:size], made))
        n -= size
    made = jax.tree.map(lambda *a: np.concatenate(a), *parts)
    return points(warp, made.z.reshape(-1, D)).reshape(made.z.shape), made


def assert_gaussian(u, mean, sigma, least=800):
    """Mean and width within 4.5 standard errors for ``least`` independent draws."""
    flat = u[100:].reshape(-1, D)
    sigma = np.array(sigma)
    assert np.all(np.abs(flat.mean(axis=0) - mean) < 4.5 * sigma / np.sqrt(least))
    assert np.all(np.abs(flat.std(axis=0) / sigma - 1) < 4.5 / np.sqrt(2 * least))


def test_a_wrong_stand_in_is_corrected_exactly():
    """The test that the check is exact: without it the chains have the wrong density."""
    target, middle = target_of(FULL, WRONG)
    warp = straight(middle, np.eye(D))
    u, made = draw(target, warp)
    assert_gaussian(u - middle, FULL["mean"], 1 / np.diag(FULL["root"]))
    assert 0.2 < made.accepted.mean() < 0.9
    wrong, unchecked = draw(target, warp, check=False)
    assert_gaussian(wrong - middle, WRONG["mean"], 1 / np.diag(WRONG["root"]))
    with pytest.raises(AssertionError):
        assert_gaussian(wrong - middle, FULL["mean"], 1 / np.diag(FULL["root"]))
    assert unchecked.accepted.all()
    # a rejected draw is the one before, with its likelihood
    again = np.flatnonzero(~made.accepted[1:, 0]) + 1
    assert again.size > 50
    np.testing.assert_array_equal(made.z[again, 0], made.z[again - 1, 0])
    np.testing.assert_array_equal(made.log_likelihood[again, 0], made.log_likelihood[again - 1, 0])
    exact = [Toy().log_likelihood(FULL, jnp.asarray(p)) for p in u[::300, 1] - middle]
    np.testing.assert_allclose(made.log_likelihood[::300, 1], exact, atol=1e-8)


def test_the_right_stand_in_is_always_accepted():
    target, middle = target_of(FULL, FULL)
    u, made = draw(target, straight(middle, np.eye(D)), n=600)
    assert made.accepted.all() and not made.diverging.any()
    assert_gaussian(u - middle, FULL["mean"], 1 / np.diag(FULL["root"]), least=400)


def test_any_warp_gives_the_same_density():
    target, middle = target_of(FULL, FULL)
    bend = np.zeros((D, D, D))
    bend[1, 0, 0], bend[2, 0, 1] = 0.4, -0.2
    warp = Warp(middle + 0.3, np.array([[1.2, 0, 0], [0.3, 1.5, 0], [0.1, 0.2, 0.8]]), bend)
    u, _ = draw(target, warp, step_size=0.4)
    assert_gaussian(u - middle, FULL["mean"], 1 / np.diag(FULL["root"]), least=500)


def test_the_expansion_mends_a_stand_in_to_second_order():
    """Full and merged differ by a quadratic form: corrected, they are the same near the mode."""
    _, middle = target_of(FULL, WRONG)
    mode = middle + FULL["mean"]

    def minus(scene, u):
        return -Toy().log_likelihood(scene, u - middle)

    gradient, hessian = (
        np.asarray(d(partial(minus, FULL))(mode) - d(partial(minus, WRONG))(mode))
        for d in (jax.grad, jax.hessian)
    )
    target, _ = target_of(FULL, WRONG, Correction(mode, gradient, hessian, np.eye(D)))
    value = jax.jit(lambda u: log_stand_in(Toy(), target, u) + minus(FULL, u))
    rng = np.random.default_rng(1)
    near = np.array([value(mode + 1.5 * rng.standard_normal(D)) for _ in range(20)])
    assert np.ptp(near) < 0.05 * REACH**-2 * 1.5**4 * 100
    direction = rng.standard_normal(D)
    far = np.array([jax.grad(value)(mode + t * direction) for t in (1e3, 1e4)])
    assert np.isfinite(far).all()
    _, made = draw(target, straight(middle, np.eye(D)), n=200)
    assert made.accepted.mean() > 0.97


def test_warm_up_finds_step_and_bends():
    target, middle = target_of(BANANA, BANANA)
    move = mover(Toy(), target, jax.random.key(2), 6, False)
    moved = []

    def counted(warp, chains, step_size, n):
        moved.append(n)
        return move(warp, chains, step_size, n)

    steps = warm_up(middle, np.eye(D), around(1), 300, 0.85)
    tuned = alone(steps, lambda asked: counted(*asked))
    assert sum(moved) == 300
    assert np.all(tuned.chains.excess == -np.inf)
    bent, made = draw(target, tuned.warp, n=400, step_size=tuned.step_size)
    assert 0.7 < made.accept_prob.mean() < 0.97
    assert made.steps.mean() < 10 and made.diverging.mean() < 0.03
    x, y = (bent - middle)[50:].reshape(-1, D)[:, :2].T
    assert np.abs(x.mean()) < 0.15 and x.std() == pytest.approx(1.0, rel=0.12)
    assert (y - x**2 + 1 - 3 * x).std() == pytest.approx(0.4, rel=0.12)


def test_seed_decides_and_chains_continue():
    target, middle = target_of(FULL, WRONG)
    warp = straight(middle, np.eye(D))
    a, b, c = (draw(target, warp, n=60, seed=seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(a, b)
    assert np.all(a != c)
    assert np.all(np.ptp(a, axis=1) > 0)  # chains differ from each other


def test_no_draw_only_compiles():
    target, middle = target_of(FULL, WRONG)
    chains = start_chains(around(1))
    move = mover(Toy(), target, jax.random.key(2), 6, True)
    after, made = move(straight(middle, np.eye(D)), chains, 0.5, 0)
    np.testing.assert_array_equal(after.z, chains.z)
    assert made.z.shape == (CHUNK, CHAINS, D) and not made.z.any()
