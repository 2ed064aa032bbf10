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
import numpy as np

from jaxspec.fit.levmar import Bounds, minimise
from jaxspec.fit.start import start_one
from jaxspec.likelihood.objective import Lane, Links, Quadratic
from jaxspec.likelihood.statistics import net_rate


class Problem(NamedTuple):
    """The numbers of a model that all lanes share.

    ``table`` (n_candidate, n_par) start candidates, the first ``n_start`` different;
    ``scalable`` (n_par,) amplitudes to take from
    the data; ``rank`` of the candidate to start from; ``bounds``; ``links``; ``tol`` and
    ``max_iter`` of the minimiser.
    """

    table: jax.Array
    scalable: jax.Array
    n_start: jax.Array
    rank: jax.Array
    bounds: Bounds
    links: Links
    tol: jax.Array
    max_iter: jax.Array


class Minimum(NamedTuple):
    """Where the minimiser left a lane: theta (n_par,), the statistic around it, how it ended."""

    theta: jax.Array
    at: Quadratic
    iterations: jax.Array
    done: jax.Array


def _axes(shared):
    """Axes of a Lane for vmap; a response that the whole chunk shares has no lane axis."""
    folding = None if shared else 0
    return Lane(folding, folding, folding, folding, 0, 0)


def _start(objective, shared, lanes, problem):
    """Start vectors (n_lane, n_par)."""

    def one(lane):
        target, variance = net_rate(objective.stat)(lane.bins)
        usable = lane.mask & (variance > 0)
        weight = jnp.where(usable, 1.0 / jnp.where(usable, variance, 1.0), 0.0)
        return start_one(objective, lane, target, weight, problem)

    return jax.vmap(one, in_axes=(_axes(shared),))(lanes)


@partial(jax.jit, static_argnames=("objective", "shared"))
def start_chunk(objective, shared, lanes, problem):
    """Start vectors (n_lane, n_par), for joint fits."""
    return _start(objective, shared, lanes, problem)


@partial(jax.jit, static_argnames=("objective", "shared"))
def fit_chunk(objective, shared, lanes, problem, theta, fresh):
    """Fit every lane of the chunk by itself.

    Parameters
    ----------
    objective, shared : static
    lanes : Lane with a lane axis
    problem : Problem
    theta : (n_lane, n_par), where to go on; not looked at if ``fresh``.
    fresh : bool (traced), whether to start from the data.

    Returns
    -------
    Minimum with a lane axis
    """
    theta = jax.lax.cond(fresh, lambda: _start(objective, shared, lanes, problem), lambda: theta)

    def one(lane, theta):
        state = minimise(
            lambda t: objective.quadratic(lane, problem.links, t),
            theta,
            problem.bounds,
            n_bin=lane.mask.size,
            tol=problem.tol,
            max_iter=problem.max_iter,
        )
        return Minimum(state.theta, state.at, state.iterations, state.done)

    return jax.vmap(one, in_axes=(_axes(shared), 0))(lanes, theta)


@partial(jax.jit, static_argnames=("objective", "shared"))
def quadratic_chunk(objective, shared, lanes, problem, theta):
    """`Quadratic` of every lane at its theta, for joint fits."""

    def one(lane, theta):
        return objective.quadratic(lane, problem.links, theta)

    return jax.vmap(one, in_axes=(_axes(shared), 0))(lanes, theta)


def linked(objective, problem, theta):
    """All parameters (n_lane, n_par) with links applied, and their derivatives by theta.

    Affine links are a matrix product; only others need to be differentiated.
    """
    links = problem.links
    if objective.functions:
        params, spread = _linked(objective, links, theta)
        return np.asarray(params), np.asarray(spread)
    return theta @ links.matrix.T + links.offset, np.broadcast_to(
        links.matrix, (len(theta), *links.matrix.shape)
    )


@partial(jax.jit, static_argnames=("objective",))
def _linked(objective, links, theta):
    return jax.vmap(lambda t: (objective.parameters(links, t), objective.spread(links, t)))(theta)
