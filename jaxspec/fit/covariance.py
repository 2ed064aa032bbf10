"""Errors from the curvature of the statistic at the minimum."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxspec.fit.levmar import masked, movable, scale_of, solve


class Ending(NamedTuple):
    """What is known about one lane at its end point.

    ``theta`` (n_par,) as the minimiser left it, ``params`` with links applied; ``iterations``;
    ``done``, False where the iterations ran out; ``value`` of the statistic and the ``edm`` still
    expected; ``rate`` (n_bin,) counts/s;
    ``covariance`` (observed information) and ``covariance_expected`` (Fisher information) are
    (n_par, n_par) over all parameters, links applied, zero for what did not move; ``held`` marks
    free parameters on a limit or without influence; ``definite`` is False where the observed
    information is not positive definite (its covariance is then NaN).
    """

    theta: jax.Array
    params: jax.Array
    iterations: jax.Array
    done: jax.Array
    value: jax.Array
    edm: jax.Array
    rate: jax.Array
    covariance: jax.Array
    covariance_expected: jax.Array
    held: jax.Array
    definite: jax.Array


def invert(information, mask):
    """Covariance (2 / information) over the masked parameters; NaN if it is not definite."""
    scale = scale_of(information, mask)
    eye = jnp.eye(mask.shape[0], dtype=information.dtype)
    matrix = masked(information, scale, mask)
    inverse = jax.vmap(lambda column: solve(matrix, column), in_axes=1, out_axes=1)(eye)
    both = mask[:, None] & mask[None, :]
    definite = jnp.all(jnp.isfinite(inverse))
    covariance = 2.0 * inverse * scale[:, None] * scale[None, :]
    return jnp.where(both, jnp.where(definite, covariance, jnp.nan), 0.0), definite


def errors(at, theta, bounds):
    """Covariances (observed, expected), edm, held mask and definiteness at an end point.

    Parameters
    ----------
    at : Quadratic at theta (n_par,)
    bounds : Bounds
    """
    mask = movable(theta, at, bounds)
    covariance, definite = invert(at.observed, mask)
    covariance_expected, _ = invert(at.expected, mask)
    pull = jnp.where(mask, at.gradient, 0.0)
    best = jnp.where(definite, covariance, covariance_expected)
    edm = 0.25 * pull @ (best @ pull)
    return covariance, covariance_expected, edm, bounds.free & ~mask, definite


def finish(objective, links, state, bounds) -> Ending:
    """Errors and checks where the minimiser left one lane that is fitted by itself."""
    covariance, fisher, edm, held, definite = errors(state.at, state.theta, bounds)
    spread = objective.spread(links, state.theta)
    return Ending(
        theta=state.theta,
        params=objective.parameters(links, state.theta),
        iterations=state.iterations,
        done=state.done,
        value=state.at.value,
        edm=edm,
        rate=state.at.rate,
        covariance=spread @ covariance @ spread.T,
        covariance_expected=spread @ fisher @ spread.T,
        held=held,
        definite=definite,
    )
