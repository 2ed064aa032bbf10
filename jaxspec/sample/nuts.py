"""NUTS with numpyro, several chains at once, each draw checked against the full likelihood.

The chains move by the stand-in of `jaxspec.sample.target`. One NUTS transition leaves the stand-in
density invariant and is reversible, so that it may serve as the proposal of a Metropolis step with
the ratio of full and stand-in density: delayed acceptance (Christen & Fox 2005, J. Comput. Graph.
Stat. 14, 795). The chains then sample the full posterior, however good the stand-in is; how good
it is shows in the fraction of accepted proposals.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo

from jaxspec.fit.chunks import lane_axes
from jaxspec.sample.target import log_stand_in, prior_terms

NO_ADAPTATION = {"adapt_step_size": False, "adapt_mass_matrix": False}
NOWHERE = 1e9  # energy of a start that has not been evaluated

TRAJECTORY = 1.8  # of HMC, in units of the posterior's width: a little more than a quarter turn
STILL = 1e-9  # of the same: no move at all
JITTER = 0.2  # of it, draw by draw, so that no trajectory returns to where it began
CHUNK = 25  # draws between two looks of the host: the progress bar, the step size


class Chains(NamedTuple):
    """Where the chains are.

    ``z`` (n_chain, d); ``energy`` -ln(stand-in) there and its ``slope`` by z; ``excess``
    ln(full / stand-in) and ``log_likelihood`` (n_chain,); ``place`` (n_chain,) int, the mode whose
    coordinates z are, where there are several.
    """

    z: jax.Array
    energy: jax.Array
    slope: jax.Array
    excess: jax.Array
    log_likelihood: jax.Array
    place: jax.Array


def start_chains(z, place=0) -> Chains:
    """Chains at ``z`` (n_chain, d) that know nothing of the density there.

    The energy is set so high that NUTS leaves for the first point that it looks at; to evaluate
    the density here would put it into the compiled program once more.
    """
    n_chain = len(z)
    return Chains(
        z=z,
        energy=np.full(n_chain, NOWHERE),
        slope=np.zeros_like(z),
        excess=np.full(n_chain, -np.inf),
        log_likelihood=np.full(n_chain, np.nan),
        place=np.broadcast_to(place, n_chain).astype(np.int64),
    )


class Draws(NamedTuple):
    """What a chunk gives, (CHUNK, n_chain, ...): only the first ``n`` draws are filled."""

    z: jax.Array
    log_likelihood: jax.Array
    accepted: jax.Array
    diverging: jax.Array
    steps: jax.Array
    accept_prob: jax.Array
    place: jax.Array


@partial(jax.jit, static_argnames=("objective", "max_depth", "sampler"))
def advance(objective, target, warp, chains, step_size, key, n, check, *, max_depth, sampler):
    """Move all chains of one lane by ``n`` draws (at most CHUNK).

    Parameters
    ----------
    objective : jaxspec.sample.target.Objective, static
    target : Target
    warp : Warp
    chains : Chains
    step_size : scalar
    key : PRNG key
    n : int (traced); with 0 this only compiles.
    check : bool (traced), whether draws are checked with the full likelihood; otherwise the
        chains sample the stand-in (warm-up).
    max_depth : int, static, of the NUTS tree.
    sampler : "nuts" or "hmc", static
        NUTS looks for the length of each trajectory by itself. HMC takes trajectories of about
        ``TRAJECTORY``: in coordinates in which the posterior is nearly a sphere that is as good,
        and no lane waits for the longest tree of another.

    Returns
    -------
    Chains, Draws
    """
    return _advance(objective, target, warp, chains, step_size, key, n, check, max_depth, sampler)


@partial(jax.jit, static_argnames=("objective", "shared", "max_depth", "sampler"))
def advance_lanes(
    objective, shared, targets, warps, chains, step_sizes, keys, n, check, *, max_depth, sampler
):
    """`advance` of several lanes; arrays (n_lane, ...) but for inputs that are ``shared``.

    Draws of z (n_lane, n, n_chain, d); ``n`` and ``check`` are one number for all lanes.
    """

    def one(target, warp, chains, step_size, key):
        return _advance(
            objective, target, warp, chains, step_size, key, n, check, max_depth, sampler
        )

    axes = targets._replace(
        full=lane_axes(targets.full, shared), coarse=lane_axes(targets.coarse, shared),
        links=None, priors=None, space=0, correction=0,
    )  # fmt: skip
    return jax.vmap(one, in_axes=(axes, 0, 0, 0, 0))(targets, warps, chains, step_sizes, keys)


def transition_of(objective, sampler, max_depth):
    """One transition of NUTS or HMC, with a unit metric.

    Returns
    -------
    callable ``(target, warp, step_size, z, energy, slope, key) -> numpyro's state``
        For one chain; ``energy`` and ``slope`` are those of the stand-in at ``z`` (d,).
    """
    how = {"max_tree_depth": max_depth} if sampler == "nuts" else {"trajectory_length": TRAJECTORY}

    def transition(target, warp, step_size, z, energy, slope, key):
        start, step = hmc(lambda z: -log_stand_in(objective, target, warp(z)), algo=sampler.upper())
        with jax.numpy_dtype_promotion("standard"):  # numpyro divides floats by integers
            blank = jax.eval_shape(
                lambda z: start(ParamInfo(z, 0.0, z), 0, 1.0, rng_key=key, **how, **NO_ADAPTATION),
                z,
            )
        unit = jnp.ones(z.shape, z.dtype)
        if sampler == "hmc":
            # two keys: ``fold_in(key, 1)`` is the very key from which numpyro draws the momentum,
            # and a length that follows the momentum makes the draws those of another density
            key, key_of_length = jax.random.split(key)
        zero = jax.tree.map(
            lambda a: jnp.zeros(a.shape, a.dtype),
            blank._replace(rng_key=None, adapt_state=blank.adapt_state._replace(rng_key=None)),
        )
        metric = zero.adapt_state._replace(
            step_size=step_size,
            inverse_mass_matrix=unit,
            mass_matrix_sqrt=unit,
            mass_matrix_sqrt_inv=unit,
            rng_key=key,
        )
        state = zero._replace(
            z=z, potential_energy=energy, z_grad=slope, adapt_state=metric, rng_key=key
        )
        if sampler == "hmc":
            jitter = jax.random.uniform(key_of_length, (), z.dtype, -JITTER, JITTER)
            # a chain that knows nothing of where it is looks there first, without a move
            length = jnp.where(energy > 0.5 * NOWHERE, STILL, TRAJECTORY * (1.0 + jitter))
            state = state._replace(trajectory_length=length)
        with jax.numpy_dtype_promotion("standard"):
            return step(state)

    return transition


def _advance(objective, target, warp, chains, step_size, key, n, check, max_depth, sampler):
    transition = partial(transition_of(objective, sampler, max_depth), target, warp, step_size)

    def move(here, keys):
        new = jax.vmap(transition)(here.z, here.energy, here.slope, keys)
        there = here._replace(z=new.z, energy=new.potential_energy, slope=new.z_grad)
        return there, (new.diverging, new.num_steps, new.accept_prob)

    return checked(move, lambda z, _: density(objective, target, warp(z)), chains, key, n, check)


def density(objective, target, u):
    """Full log-likelihood at u (d,), without the constant, and the log of the posterior density."""
    params, prior = prior_terms(objective, target, u)
    value = objective.log_likelihood(target.full, params)
    return value, value + prior


def checked(move, full, chains, key, n, check):
    """``n`` draws of all chains, each a move by the stand-in that the full density accepts.

    Parameters
    ----------
    move : callable ``(Chains, keys) -> Chains, (diverging, steps, accept_prob)``
        Leaves the stand-in invariant, and is reversible.
    full : callable ``(z, place) -> log-likelihood, log density`` of one chain.
    chains, key, n, check : see `advance`.

    Returns
    -------
    Chains, Draws
    """

    def one(i, carry):
        old, out = carry
        keys = jax.random.split(jax.random.fold_in(key, i), len(old.z) + 1)
        new, (diverging, steps, accept_prob) = move(old, keys[1:])
        value, log_density = jax.lax.cond(
            check,
            lambda: jax.lax.map(lambda at: full(*at), (new.z, new.place)),
            lambda: (-new.energy, -new.energy),
        )
        now = log_density + new.energy
        threshold = jnp.log(jax.random.uniform(keys[0], now.shape))
        # NaN is rejected; where chains start unchecked (excess -inf) the first draw is taken
        accepted = threshold < now - old.excess

        def choose(a, b):
            return jnp.where(accepted.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

        old = old._replace(log_likelihood=out.log_likelihood[i - 1])
        here = jax.tree.map(choose, new._replace(excess=now, log_likelihood=value), old)
        made = Draws(
            here.z, here.log_likelihood, accepted, diverging, steps, accept_prob, here.place
        )
        return here, jax.tree.map(lambda o, m: o.at[i].set(m), out, made)

    z = chains.z
    shape = (CHUNK + 1, len(z))  # the last row stands for the draw before the first
    flags = jnp.zeros(shape, bool)
    out = Draws(
        z=jnp.zeros((*shape, z.shape[1]), z.dtype),
        log_likelihood=jnp.zeros(shape, z.dtype).at[-1].set(chains.log_likelihood),
        accepted=flags,
        diverging=flags,
        steps=jnp.zeros(shape, int),
        accept_prob=jnp.zeros(shape, z.dtype),
        place=jnp.zeros(shape, chains.place.dtype),
    )
    here, out = jax.lax.fori_loop(0, n, one, (chains, out))
    last = out.log_likelihood[n - 1]
    return here._replace(log_likelihood=last), jax.tree.map(lambda o: o[:CHUNK], out)
