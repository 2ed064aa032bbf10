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
    ln(full / stand-in) and ``log_likelihood`` (n_chain,).
    """

    z: jax.Array
    energy: jax.Array
    slope: jax.Array
    excess: jax.Array
    log_likelihood: jax.Array


def start_chains(z) -> Chains:
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
    )


class Draws(NamedTuple):
    """What a chunk gives, (CHUNK, n_chain, ...): only the first ``n`` draws are filled."""

    z: jax.Array
    log_likelihood: jax.Array
    accepted: jax.Array
    diverging: jax.Array
    steps: jax.Array
    accept_prob: jax.Array


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


def _advance(objective, target, warp, chains, step_size, key, n, check, max_depth, sampler):
    def potential(z):
        return -log_stand_in(objective, target, warp(z))

    start, step = hmc(potential, algo=sampler.upper())
    how = {"max_tree_depth": max_depth} if sampler == "nuts" else {"trajectory_length": TRAJECTORY}
    with jax.numpy_dtype_promotion("standard"):  # numpyro divides floats by integers
        blank = jax.eval_shape(
            lambda z: start(ParamInfo(z, 0.0, z), 0, 1.0, rng_key=key, **how, **NO_ADAPTATION),
            chains.z[0],
        )
    unit = jnp.ones(chains.z.shape[1], chains.z.dtype)

    def transition(z, energy, slope, key):
        """One NUTS transition, from numpyro's state with a unit metric."""
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

    def full(z):
        params, prior = prior_terms(objective, target, warp(z))
        value = objective.log_likelihood(target.full, params)
        return value, value + prior

    def one(i, carry):
        z, energy, slope, excess, out = carry
        keys = jax.random.split(jax.random.fold_in(key, i), len(z) + 1)
        new = jax.vmap(transition)(z, energy, slope, keys[1:])
        value, density = jax.lax.cond(
            check,
            lambda: jax.lax.map(full, new.z),
            lambda: (-new.potential_energy, -new.potential_energy),
        )
        now = density + new.potential_energy
        threshold = jnp.log(jax.random.uniform(keys[0], now.shape))
        # NaN is rejected; where chains start unchecked (excess -inf) the first draw is taken
        accepted = threshold < now - excess

        def choose(a, b):
            return jnp.where(accepted.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

        old = (z, energy, slope, excess, out.log_likelihood[i - 1])
        found = (new.z, new.potential_energy, new.z_grad, now, value)
        z, energy, slope, excess, value = jax.tree.map(choose, found, old)
        made = Draws(z, value, accepted, new.diverging, new.num_steps, new.accept_prob)
        return z, energy, slope, excess, jax.tree.map(lambda o, m: o.at[i].set(m), out, made)

    z, energy, slope, excess, log_likelihood = chains
    shape = (CHUNK + 1, len(z))  # the last row stands for the draw before the first
    flags = jnp.zeros(shape, bool)
    out = Draws(
        z=jnp.zeros((*shape, z.shape[1]), z.dtype),
        log_likelihood=jnp.zeros(shape, z.dtype).at[-1].set(log_likelihood),
        accepted=flags,
        diverging=flags,
        steps=jnp.zeros(shape, int),
        accept_prob=jnp.zeros(shape, z.dtype),
    )
    z, energy, slope, excess, out = jax.lax.fori_loop(0, n, one, (z, energy, slope, excess, out))
    last = out.log_likelihood[n - 1]
    return Chains(z, energy, slope, excess, last), jax.tree.map(lambda o: o[:CHUNK], out)
