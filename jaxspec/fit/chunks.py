"""The one place where lanes are mapped: compiled functions over a chunk of lanes.

A chunk has a fixed number of lanes, so that 300 spectra and 100 000 run through the same compiled
code. Every argument but the objective is traced: freezing, limits, values and exposures never
recompile.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxspec.fit.covariance import finish, local
from jaxspec.fit.levmar import Bounds, Quadratic, minimise
from jaxspec.fit.start import start_one
from jaxspec.likelihood.objective import Lane, Links
from jaxspec.likelihood.statistics import net_rate


class Problem(NamedTuple):
    """The numbers of a model that all lanes share.

    ``table`` (n_candidate, n_par) start candidates; ``scalable`` (n_par,) amplitudes to take from
    the data; ``bounds``; ``links``; ``tol`` and ``max_iter`` of the minimiser.
    """

    table: jax.Array
    scalable: jax.Array
    bounds: Bounds
    links: Links
    tol: jax.Array
    max_iter: jax.Array


class Minimum(NamedTuple):
    """Where the minimiser of each lane stopped (n_lane, ...)."""

    theta: jax.Array
    edm: jax.Array
    iterations: jax.Array
    done: jax.Array


def _axes(shared):
    """Axes of a Lane for vmap: with one response for the whole chunk the matrix has no lane axis."""
    folding = None if shared else 0
    return Lane(folding, folding, folding, folding, 0, 0)


@partial(jax.jit, static_argnames=("objective", "shared"))
def start_chunk(objective, shared, lanes, problem):
    """Start vectors (n_lane, n_par)."""

    def one(lane):
        target, variance = net_rate(objective.stat)(lane.bins)
        usable = lane.mask & (variance > 0)
        weight = jnp.where(usable, 1.0 / jnp.where(usable, variance, 1.0), 0.0)
        return start_one(
            objective,
            lane,
            problem.links,
            target,
            weight,
            problem.table,
            problem.scalable,
            problem.bounds,
        )

    return jax.vmap(one, in_axes=(_axes(shared),))(lanes)


@partial(jax.jit, static_argnames=("objective", "shared"))
def minimise_chunk(objective, shared, lanes, problem, theta):
    """Run every lane of the chunk to its minimum, or to ``problem.max_iter``."""

    def one(lane, theta):
        def evaluate(t):
            return Quadratic(*objective.quadratic(lane, problem.links, t))

        state = minimise(
            evaluate, theta, problem.bounds, tol=problem.tol, max_iter=problem.max_iter
        )
        return Minimum(state.theta, state.edm, state.iterations, state.done)

    return jax.vmap(one, in_axes=(_axes(shared), 0))(lanes, theta)


@partial(jax.jit, static_argnames=("objective", "shared"))
def finish_chunk(objective, shared, lanes, problem, theta):
    """Errors and checks of every lane of the chunk: `Ending` with a lane axis."""

    def one(lane, theta):
        return finish(objective, lane, problem.links, theta, problem.bounds)

    return jax.vmap(one, in_axes=(_axes(shared), 0))(lanes, theta)


@partial(jax.jit, static_argnames=("objective", "shared"))
def quadratic_chunk(objective, shared, lanes, problem, theta):
    """Value, gradient and expected information of every lane, for joint fits."""

    def one(lane, theta):
        return objective.quadratic(lane, problem.links, theta)

    return jax.vmap(one, in_axes=(_axes(shared), 0))(lanes, theta)


@partial(jax.jit, static_argnames=("objective", "shared"))
def local_chunk(objective, shared, lanes, problem, theta):
    """The statistic around theta for every lane, for joint fits: `Local` with a lane axis."""

    def one(lane, theta):
        return local(objective, lane, problem.links, theta)

    return jax.vmap(one, in_axes=(_axes(shared), 0))(lanes, theta)
