"""Several modes sampled together: shares and shapes of a density that is known."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_nuts import around, target_of

from jaxspec.sample import several
from jaxspec.sample.lanes import How
from jaxspec.sample.nuts import start_chains
from jaxspec.sample.target import no_correction
from jaxspec.sample.tune import Tuned, at_home, points
from jaxspec.sample.warp import Warp, invert, straight

D = 3
MEAN = np.array([[0.0, 0.0, 0.0], [20.0, 4.0, -1.0]])
SIGMA = np.array([[1.0, 0.5, 1.0], [2.0, 0.2, 0.5]])
SHARE = np.array([0.3, 0.7])


class Pair(NamedTuple):
    """Two Gaussians; the scene is the logarithm of their shares, and a shift of both."""

    name: str = "pair"
    ties: tuple = ()

    def parameters(self, links, theta):
        return links.matrix @ theta + links.offset

    def log_likelihood(self, scene, params):
        away = (params[None] - MEAN - scene["shift"]) / SIGMA
        heights = scene["share"] - 0.5 * jnp.sum(away**2, axis=1) - np.log(SIGMA).sum(axis=1)
        return jax.nn.logsumexp(heights)


def scene(share, shift):
    return {"share": np.log(np.asarray(share)), "shift": np.asarray(shift, float)}


def warps(middle):
    """Warps that are a little too wide, and bent; the second is narrower than its mode."""
    bend = np.zeros((D, D, D))
    bend[1, 0, 0] = 0.05
    return [
        Warp(middle + MEAN[0] + 0.2, np.diag(1.2 * SIGMA[0]), bend),
        straight(middle + MEAN[1], np.diag(0.8 * SIGMA[1])),
    ]


HOW = How(4, 2000, 30, 1, 0.9, 6, "nuts", False)


def drawn(share, coarse, warps, step_size=0.7, how=HOW):
    """Draws (n_draw, n_chain, D) of a density whose stand-in has other shares, with their place."""
    target, middle = target_of(scene(share, 0.0), scene(coarse, 0.1))
    tuned = [
        Tuned(start_chains(around(k)), warp, step_size) for k, warp in enumerate(warps(middle))
    ]
    corrections = [no_correction(middle, np.eye(D))] * 2
    told = []
    made, u = several.draw_several(
        Pair(), target, jax.random.key(3), tuned, corrections, how, told.append
    )
    assert sum(told) == how.draws * how.chains
    return u - middle, made


def test_shares_and_shapes_of_two_modes_are_right():
    u, made = drawn(SHARE, [0.6, 0.4], warps)
    second = u[..., 0] > 8.0
    # jumps at every draw: of 8000 draws more than 1500 are worth as much as independent ones
    assert second.mean() == pytest.approx(SHARE[1], abs=4 * np.sqrt(0.21 / 1500))
    assert np.all(np.abs(second.mean(axis=0) - SHARE[1]) < 0.1)
    for k, mine in enumerate((u[~second], u[second])):
        assert np.all(np.abs(mine.mean(axis=0) - MEAN[k]) < 0.12 * SIGMA[k])
        assert np.all(np.abs(mine.std(axis=0) / SIGMA[k] - 1) < 0.08)
    assert np.mean(made.place == second) > 0.99
    assert 0.3 < made.accepted.mean() < 1.0 and (made.steps > 0).all()
    text = several.sentence(("a", "b", "c"), np.swapaxes(u, 0, 1), made.place.T)[0]
    assert (
        "2 modes" in text
        and f"{second.mean():.0%} of the draws around a = {u[second][:, 0].mean():.3g}" in text
    )
    assert several.sentence(("a", "b", "c"), np.swapaxes(u, 0, 1), 0 * made.place.T) == []
    once = np.repeat([[0, 1]], len(u), axis=0).T.repeat(2, axis=0)  # chains that never change
    there = MEAN[once] + np.random.default_rng(1).normal(0, 1, (*once.shape, D))
    assert "0 times, which is too seldom" in several.sentence("abc", there, once)[0]


def test_regions_that_cut_one_mode_into_two_leave_it_as_it_is():
    """A walk that left its region would draw the density twice where the regions meet."""

    def halves(middle):
        wide = np.diag([0.7, 0.5, 1.0])
        return [straight(middle + [x, 0.0, 0.0], wide) for x in (-1.0, 1.0)]

    u, made = drawn([1.0, 1e-30], [1.0, 1e-30], halves, step_size=0.6)
    assert 0.3 < made.place.mean() < 0.7
    # one hump is not called two modes
    assert several.sentence("abc", np.swapaxes(u, 0, 1), made.place.T) == []
    flat = u.reshape(-1, D)
    assert np.all(np.abs(flat.mean(axis=0)) < 0.1 * SIGMA[0])
    assert np.all(np.abs(flat.std(axis=0) / SIGMA[0] - 1) < 0.04)  # 1.10 if walks leave regions


def test_a_point_belongs_to_the_region_of_the_highest_gaussian():
    made = warps(np.zeros(D))
    tuned = [Tuned(None, warp, 0.5) for warp in made]
    regions = several.regions_of(tuned, [no_correction(np.zeros(D), np.eye(D))] * 2)
    u = np.random.default_rng(1).uniform([-4, -2, -3], [26, 6, 3], (300, D))
    heights = [
        -0.5 * np.sum(invert(warp, u) ** 2, axis=1) - np.linalg.slogdet(warp.factor)[1]
        for warp in made
    ]
    found = np.asarray(jax.vmap(partial(several.region, regions))(u))
    np.testing.assert_array_equal(found, np.argmax(heights, axis=0))
    assert 30 < found.sum() < 270


def test_a_chain_that_the_warm_up_left_elsewhere_begins_in_the_region_where_it_is():
    made = warps(np.zeros(D))
    z = [invert(made[0], np.array([MEAN[0], MEAN[1]])), np.zeros((2, D))]
    tuned = [Tuned(start_chains(at), warp, 0.5) for at, warp in zip(z, made, strict=True)]
    lost = [tuned[0]._replace(chains=start_chains(z[0][::-1])), tuned[1]]
    regions = several.regions_of(tuned, [no_correction(np.zeros(D), np.eye(D))] * 2)
    for given, place in ((tuned, [0, 1]), (lost, [1, 1])):
        begun = several._start(regions, given, 2)
        np.testing.assert_array_equal(begun.place, place)
        where = [points(made[k], begun.z[i : i + 1])[0] for i, k in enumerate(place)]
        np.testing.assert_allclose(where, MEAN[place], atol=1e-9)


def test_draws_and_chains_of_another_mode_do_not_shape_a_warp():
    rng = np.random.default_rng(1)
    seen = np.concatenate([rng.normal(0, 1, (50, D)), rng.normal(20, 1, (30, D))])
    here = np.array([[0.5, 0, 0], [20.0, 20, 20]])
    kept, mine = at_home(lambda u: u[:, 0] < 10, here, seen, np.zeros(D))
    assert mine.shape == (50, D) and (mine < 10).all()
    np.testing.assert_array_equal(kept[0], here[0])
    assert (kept[1] < 10).all()
    kept, mine = at_home(lambda u: u[:, 0] < -99, here, seen, np.zeros(D))
    assert np.all(kept == 0) and len(mine) == 1
