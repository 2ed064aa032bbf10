"""Warm-up: find the step size and the coordinates in which the chains move."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxspec.sample.nuts import (
    CHUNK,
    NOWHERE,
    Chains,
    advance,
    advance_lanes,
    start_chains,
)
from jaxspec.sample.warp import fit_warp, invert, straight

FEW = 4  # draws per coordinate that a warp is fitted to
ROUNDS = 3  # of warm-up; each but the last ends with a new warp
GAINS = (2.0, 1.5, 1.0, 0.7, 0.5, 0.3)  # of ln(step size) per unit of acceptance, chunk by chunk


class Tuned(NamedTuple):
    """Chains after the warm-up, the warp they move in, and the step size."""

    chains: Chains
    warp: object
    step_size: float


def warm_up(center, factor, z, warmup, target_accept, own=None):
    """Adapt step size and warp to the stand-in density.

    A routine for `jaxspec.sample.steps`: it yields ``(warp, chains, step_size, n)``, is sent
    ``(Chains, Draws)`` of the stand-in, NumPy arrays, and returns a `Tuned`.

    Parameters
    ----------
    center, factor : (d,), (d, d), mode and Cholesky factor of the covariance there.
    z : (n_chain, d), where the chains start, in units of ``factor`` from ``center``.
    warmup : int, draws per chain in all.
    target_accept : float, mean acceptance probability that the step size aims at.
    own : callable ``u (n, d) -> (n,) bool``, optional
        What belongs to this mode, where there are others. The warp is fitted to that alone, and
        chains that have left begin again inside.
    """
    warp = straight(center, factor)
    step_size = 0.8 * len(center) ** -0.25
    chains = start_chains(z)
    for number in range(ROUNDS):
        sizes = chunks(warmup // ROUNDS)
        kept = []
        for size, gain in zip(sizes, _gains(len(sizes), number), strict=True):
            chains, draws = yield warp, chains, step_size, size
            step_size *= np.exp(gain * (np.mean(draws.accept_prob[:size]) - target_accept))
            kept.append(draws.z[:size])
        if number < ROUNDS - 1:
            chains = chains._replace(z=unstuck(chains))
            here = points(warp, chains.z)
            seen = points(warp, moved(kept, sum(sizes) // 4))
            if own is not None:
                here, seen = at_home(own, here, seen, center)
            if len(seen) > FEW * len(center):
                warp = fit_warp(seen)
            chains = start_chains(invert(warp, here))
    return Tuned(chains._replace(excess=np.full(len(chains.z), -np.inf)), warp, step_size)


def draw(tuned, draws, count):
    """All draws, (draws, n_chain, ...) each; a routine that yields what `warm_up` yields.

    ``count(n)`` is told of every ``n`` draws.
    """
    chains, parts = tuned.chains, []
    for n in chunks(draws):
        chains, made = yield tuned.warp, chains, tuned.step_size, n
        parts.append(jax.tree.map(lambda a, n=n: a[:n], made))
        count(n * len(chains.z))
    return jax.tree.map(lambda *a: np.concatenate(a), *parts)


def unstuck(chains):
    """Where the chains are (n_chain, d); those that never moved join the others.

    A chain that started where the density is 0 or not finite has seen nothing but divergences.
    """
    lost = chains.energy > 0.5 * NOWHERE
    if not lost.any() or lost.all():
        return chains.z
    z = np.array(chains.z)
    z[lost] = np.resize(z[~lost], (lost.sum(), z.shape[1]))
    return z


def at_home(own, here, seen, center):
    """Where the chains are (n_chain, d), and draws (n, d), without what is another mode's."""
    seen = seen[own(seen)]
    if not len(seen):
        seen = center[None]
    here, lost = np.array(here), ~own(here)
    here[lost] = seen[np.linspace(0, len(seen) - 1, lost.sum()).astype(int)]
    return here, seen


def moved(kept, skip):
    """Draws (n, d) of the chains that moved, without the first on their way from the start."""
    z = np.concatenate(kept)
    still = np.all(z == z[:1], axis=(0, 2))
    use = z[skip:, ~still] if not still.all() else z[skip:]
    return use.reshape(-1, z.shape[-1])


def points(warp, z):
    """Unlimited parameters (n, d) of warped coordinates (n, d); NumPy."""
    bend = np.einsum("jkl,nk,nl->nj", warp.bend, z, z)
    return warp.center + z @ warp.factor.T + bend


def chunks(n):
    """Sizes of the calls that make n draws."""
    return [min(CHUNK, n - done) for done in range(0, n, CHUNK)]


def _gains(n, number):
    later = GAINS[1:] if number else GAINS
    return [later[min(i, len(later) - 1)] for i in range(n)]


def mover(objective, target, key, max_depth, check, sampler="nuts"):
    """``move(warp, chains, step_size, n)``: `advance` with its random numbers counted up."""
    count = iter(range(1 << 30))

    def move(warp, chains, step_size, n):
        with jax.enable_x64(True):
            here = jax.random.fold_in(key, next(count))
            numbers = np.asarray(step_size), here, np.asarray(n), np.asarray(check)
            options = {"max_depth": max_depth, "sampler": sampler}
            made = advance(objective, target, warp, chains, *numbers, **options)
            return jax.device_get(made)

    return move


def lanes_mover(objective, shared, targets, keys, max_depth, check, sampler):
    """`mover` of several lanes: answers the routines of all of them in one compiled call.

    Parameters
    ----------
    objective, shared : static
    targets : Target with a lane axis (but for inputs that are ``shared``, links and priors).
    keys : (n_lane,) PRNG keys
    max_depth, check, sampler : see `advance`.

    Returns
    -------
    callable ``(questions, which) -> answers`` for `jaxspec.sample.steps.in_step`
        All lanes have to ask, for the same number of draws.
    """
    count = iter(range(1 << 30))

    def answer(questions, which):
        warps, chains, steps, sizes = zip(*questions, strict=True)
        n_asking, n_lane = len(which), len(keys)
        fill = [min(i, n_asking - 1) for i in range(n_lane)]  # lanes that only pad the chunk

        def stack(parts):
            return jax.tree.map(lambda *x: np.stack(x), *(parts[i] for i in fill))

        with jax.enable_x64(True):
            number = next(count)
            here = jax.vmap(lambda k: jax.random.fold_in(k, number))(keys)
            made = advance_lanes(
                objective, shared, targets, stack(warps), stack(chains), np.array(steps)[fill],
                here, np.asarray(sizes[0]), np.asarray(check), max_depth=max_depth, sampler=sampler,
            )  # fmt: skip
            made = jax.device_get(made)
        return [jax.tree.map(lambda x, i=i: x[i], made) for i in range(n_asking)]

    return answer
