"""Several modes of one posterior, sampled together.

Chains that start around one mode find another one late or never, and R-hat does not know. Where
the fit knows of other minima, space is cut into regions, one for each mode, and a chain moves in
the coordinates of the region that it is in. Reversible moves make a draw:

- a jump: the same z in the coordinates of another mode, accepted by the ratio of the densities
  and of the volume elements;
- NUTS inside of the region: what leaves it is refused;
- a jump, NUTS and a jump again: the other way round it is the same move.

The shares of the modes follow from the jumps: nothing is estimated beside the chains.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.sample.nuts import checked, density, start_chains, transition_of
from jaxspec.sample.target import Correction, log_stand_in, no_correction
from jaxspec.sample.tune import Tuned, chunks, points
from jaxspec.sample.warp import Warp, bend_of, invert, straight

WALKS = 2  # of NUTS, in a draw
SETTLING = 25  # draws in which the chains spread over the modes, not kept
FEW_JUMPS = 100  # of all chains: a share of a half is then known to about 5 %
VALLEY = 3.5  # standard deviations; modes whose means are nearer may be halves of one
TOLD = 3  # parameters that a sentence on the modes names


class Regions(NamedTuple):
    """All modes; arrays with an axis of modes before all others.

    ``warp``; its inverse ``back`` (d, d) and ``bend`` (d, d, d), see `bend_of`; ``volume``, the
    logarithm of its volume element; ``step_size``; ``correction`` of the stand-in.
    """

    warp: Warp
    back: np.ndarray
    bend: np.ndarray
    volume: np.ndarray
    step_size: np.ndarray
    correction: Correction


def regions_of(tuned, corrections) -> Regions:
    """Regions around the modes of a list of `Tuned`."""
    made = [
        Regions(
            one.warp,
            np.linalg.inv(one.warp.factor),
            bend_of(one.warp),
            np.linalg.slogdet(one.warp.factor)[1],
            np.asarray(one.step_size, float),
            correction,
        )
        for one, correction in zip(tuned, corrections, strict=True)
    ]
    return jax.tree.map(lambda *x: np.stack(x), *made)


def region(regions, u):
    """Number of the mode whose warped unit Gaussian is the highest at u (d,); JAX."""

    def height(one):
        w = one.back @ (u - one.warp.center)
        z = jnp.zeros_like(w)
        for j in range(len(w)):
            z = z.at[j].set(w[j] - z @ one.bend[j] @ z)
        return -0.5 * z @ z - one.volume

    return jnp.argmax(jax.vmap(height)(regions))


@partial(jax.jit, static_argnames=("objective", "max_depth", "sampler"))
def advance_several(objective, target, regions, chains, key, n, check, *, max_depth, sampler):
    """Move all chains by ``n`` draws through the regions; see `jaxspec.sample.nuts.advance`."""
    transition = transition_of(objective, sampler, max_depth)
    n_mode = len(regions.volume)

    def at(place):
        one = jax.tree.map(lambda x: x[place], regions)
        return one, target._replace(correction=one.correction)

    def choose(yes, new, old):
        return jax.tree.map(lambda a, b: jnp.where(yes, a, b), new, old)

    def jump(here, key):
        key, key_of_place = jax.random.split(key)
        away = jax.random.randint(key_of_place, (), 1, n_mode)
        place = (here.place + away) % n_mode
        one, there = at(place)
        energy, slope = jax.value_and_grad(lambda z: -log_stand_in(objective, there, one.warp(z)))(
            here.z
        )
        gain = here.energy - energy + one.volume - regions.volume[here.place]
        yes = (jnp.log(jax.random.uniform(key)) < gain) & (
            region(regions, one.warp(here.z)) == place
        )
        return choose(yes, here._replace(energy=energy, slope=slope, place=place), here)

    def walk(here, key):
        one, there = at(here.place)
        new = transition(there, one.warp, one.step_size, here.z, here.energy, here.slope, key)
        yes = region(regions, one.warp(new.z)) == here.place
        moved = here._replace(z=new.z, energy=new.potential_energy, slope=new.z_grad)
        return choose(yes, moved, here), (new.diverging, new.num_steps, new.accept_prob)

    def move(here, keys):
        n_step = 2 * WALKS + 1
        keys = jax.vmap(lambda k: jax.random.split(k, n_step))(keys)

        def walk_on(here, noticed, i):
            here, seen = jax.vmap(walk)(here, keys[:, i])
            diverging, steps, accepted = (a + b for a, b in zip(noticed, seen, strict=True))
            return here, (diverging, steps, accepted)

        def step(i, carry):
            here, noticed = carry
            return jax.lax.cond(
                i % 2 == 1,
                lambda: walk_on(here, noticed, i),
                lambda: (jax.vmap(jump)(here, keys[:, i]), noticed),
            )

        n_chain = len(here.z)
        blank = (
            jnp.zeros(n_chain, bool), jnp.zeros(n_chain, int), jnp.zeros(n_chain, here.z.dtype)
        )  # fmt: skip
        here, noticed = jax.lax.fori_loop(0, n_step, step, (here, blank))
        diverging, steps, accepted = noticed
        return here, (diverging, steps, accepted / WALKS)

    def full(z, place):
        one, there = at(place)
        return density(objective, there, one.warp(z))

    return checked(move, full, chains, key, n, check)


def compile_several(objective, target, shape, how):
    """Have `advance_several` compiled, by a call that asks for no draw.

    ``shape`` is the number of modes, chains and coordinates; ``target`` and ``how`` as they will
    be for `draw_several`.
    """
    n_mode, n_chain, d = shape
    with jax.enable_x64(True):
        zero, unit = np.zeros(d), np.eye(d)
        tuned = [Tuned(None, straight(zero, unit), 0.1)] * n_mode
        regions = regions_of(tuned, [no_correction(zero, unit)] * n_mode)
        chains, key = start_chains(np.zeros((n_chain, d))), jax.random.key(0)
        options = {"max_depth": how.max_depth, "sampler": how.sampler}
        numbers = np.asarray(0), np.asarray(True)
        advance_several(objective, target, regions, chains, key, *numbers, **options)


def _start(regions, tuned, n_chain):
    """Chains where the warm-up left them, in turn from each mode, in the region that is there.

    A chain that claimed another region would be refused wherever it goes.
    """
    ends = [points(one.warp, one.chains.z) for one in tuned]
    u = np.stack([ends[i % len(tuned)][i] for i in range(n_chain)])
    with jax.enable_x64(True):
        place = np.asarray(jax.vmap(partial(region, regions))(u))
    z = np.stack([invert(tuned[k].warp, u[i : i + 1])[0] for i, k in enumerate(place)])
    return start_chains(z, place)


def draw_several(objective, target, key, tuned, corrections, how, count):
    """Draws of all modes, and their unlimited parameters.

    Parameters
    ----------
    objective, target : of one lane.
    key : PRNG key
    tuned : list of Tuned, one for each mode; corrections : list of Correction.
    how : How; count : callable, told of every ``n`` draws.

    Returns
    -------
    Draws of (n_draw, n_chain, ...), u (n_draw, n_chain, d)
    """
    regions = regions_of(tuned, corrections)
    chains, parts = _start(regions, tuned, how.chains), []
    options = {"max_depth": how.max_depth, "sampler": how.sampler}
    with jax.enable_x64(True):
        for number, n in enumerate([*chunks(SETTLING), *chunks(how.draws)]):
            here, check = jax.random.fold_in(key, number), np.asarray(True)
            chains, made = jax.device_get(
                advance_several(
                    objective, target, regions, chains, here, np.asarray(n), check, **options
                )
            )
            if number >= len(chunks(SETTLING)):
                parts.append(jax.tree.map(lambda a, n=n: a[:n], made))
                count(n * how.chains)
    made = jax.tree.map(lambda *a: np.concatenate(a), *parts)
    u = np.empty_like(made.z)
    for k, one in enumerate(tuned):
        u[made.place == k] = points(one.warp, made.z[made.place == k])
    return made, u


def _humps(draws, place):
    """Place of each draw, with regions that cut one hump counted as one of them.

    The means of the halves of a Gaussian are 2.6 of their standard deviations apart, those of an
    even hump 3.5, or `VALLEY`.
    """
    place = np.array(place)
    for k in np.unique(place)[1:]:
        for j in np.unique(place[place < k]):
            one, other = draws[place == k], draws[place == j]
            if min(len(one), len(other)) < 2:
                continue
            spread = 0.5 * (np.cov(one.T) + np.cov(other.T))
            width = np.sqrt(np.diagonal(spread)) + 1e-300
            step = (one.mean(axis=0) - other.mean(axis=0)) / width
            inverse = np.linalg.pinv(spread / np.outer(width, width), rcond=1e-6, hermitian=True)
            if step @ inverse @ step < VALLEY**2:
                place[place == k] = j
                break
    return place


def sentence(names, draws, place) -> list[str]:
    """One sentence on the modes of a posterior; none where the chains were in one only.

    Parameters
    ----------
    names : of the parameters.
    draws : (n_chain, n_draw, n_par); place : (n_chain, n_draw) int, the mode of each draw.
    """
    place = _humps(draws, place)
    seen, count = np.unique(place, return_counts=True)
    if len(seen) < 2:
        return []
    seen, count = seen[np.argsort(-count)], np.sort(count)[::-1]
    mean = np.array([draws[place == k].mean(axis=0) for k in seen])
    width = np.sqrt(np.mean([draws[place == k].var(axis=0) for k in seen], axis=0)) + 1e-300
    telling = np.sort(np.argsort(-np.ptp(mean, axis=0) / width)[:TOLD])
    parts = [
        f"{n / place.size:.0%} of the draws around "
        + ", ".join(f"{names[i]} = {centre[i]:.3g}" for i in telling)
        for n, centre in zip(count, mean, strict=True)
    ]
    jumps = int(np.sum(np.diff(place, axis=1) != 0))
    trust = (
        "a mean with a standard deviation describes none; look at the triangle"
        if jumps >= FEW_JUMPS
        else "which is too seldom to know their shares"
    )
    return [
        f"the posterior has {len(seen)} modes, {'; '.join(parts)}: the chains changed between them "
        f"{jumps} times, {trust}"
    ]
