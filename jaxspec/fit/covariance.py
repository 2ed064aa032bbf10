"""Errors from the curvature of the statistic at the minimum."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxspec.fit.levmar import movable, scaled, solve
from jaxspec.likelihood.statistics import observed_curvature
from jaxspec.model.links import apply_links


class Local(NamedTuple):
    """The statistic of one lane around its end point.

    ``params`` (n_par,) with links applied and their derivative ``spread`` (n_par, n_par);
    ``rate`` (n_bin,) counts/s; ``gradient`` (n_par,); ``expected`` and ``observed`` information
    (n_par, n_par), both second derivatives of the statistic.
    """

    params: jax.Array
    spread: jax.Array
    rate: jax.Array
    value: jax.Array
    gradient: jax.Array
    expected: jax.Array
    observed: jax.Array


class Ending(NamedTuple):
    """What is known about one lane at its end point.

    ``covariance`` (observed information) and ``covariance_expected`` (Fisher information) are
    (n_par, n_par) over all parameters, links applied, zero for what did not move; ``held`` marks
    free parameters on a limit or without influence; ``definite`` is False where the observed
    information is not positive definite (its covariance is then NaN).
    """

    params: jax.Array
    value: jax.Array
    edm: jax.Array
    rate: jax.Array
    covariance: jax.Array
    covariance_expected: jax.Array
    held: jax.Array
    definite: jax.Array


def local(objective, lane, links, theta) -> Local:
    """Expand the statistic of one lane around theta (n_par,).

    Folding is linear, so that the second derivatives of the model are needed only after the
    residuals have been folded back onto the energies: of one sum instead of every bin.
    """
    eye = jnp.eye(theta.shape[0], dtype=theta.dtype)
    rate, jacobian = objective.tangents(lane, links, theta, eye)
    per_bin = objective.bins(lane, rate)
    true_curvature = jnp.where(
        lane.mask, observed_curvature(objective.stat)(lane.bins, rate), 0.0
    )
    back = per_bin.slope @ lane.matrix
    bending = jax.jacfwd(jax.jacfwd(lambda t: back @ objective.flux(lane, links, t)))(theta)

    def link(t):
        return apply_links(t, links.matrix, links.offset, objective.functions)

    return Local(
        params=link(theta),
        spread=jax.jacfwd(link)(theta),
        rate=rate,
        value=jnp.sum(per_bin.value),
        gradient=per_bin.slope @ jacobian,
        expected=(jacobian * per_bin.curvature[:, None]).T @ jacobian,
        observed=(jacobian * true_curvature[:, None]).T @ jacobian + bending,
    )


def invert(information, mask):
    """Covariance (2 / information) over the masked parameters; NaN if it is not definite."""
    matrix, scale = scaled(information, mask)
    eye = jnp.eye(mask.shape[0], dtype=matrix.dtype)
    inverse = jax.vmap(lambda column: solve(matrix, column), in_axes=1, out_axes=1)(eye)
    both = mask[:, None] & mask[None, :]
    positive = jnp.all(jnp.where(mask, jnp.diagonal(information) > 0, True))
    definite = positive & jnp.all(jnp.isfinite(inverse)) & jnp.all(jnp.diagonal(inverse) > 0)
    covariance = 2.0 * inverse * scale[:, None] * scale[None, :]
    return jnp.where(both, jnp.where(definite, covariance, jnp.nan), 0.0), definite


def errors(gradient, expected, observed, theta, bounds):
    """Covariances (observed, expected), edm, held mask and definiteness at an end point."""
    mask = movable(theta, gradient, expected, bounds)
    covariance, definite = invert(observed, mask)
    covariance_expected, _ = invert(expected, mask)
    pull = jnp.where(mask, gradient, 0.0)
    edm = 0.25 * pull @ (covariance_expected @ pull)
    return covariance, covariance_expected, edm, bounds.free & ~mask, definite


def finish(objective, lane, links, theta, bounds) -> Ending:
    """Errors and checks at the end point of one lane that is fitted by itself."""
    at = local(objective, lane, links, theta)
    covariance, fisher, edm, held, definite = errors(
        at.gradient, at.expected, at.observed, theta, bounds
    )
    return Ending(
        params=at.params,
        value=at.value,
        edm=edm,
        rate=at.rate,
        covariance=at.spread @ covariance @ at.spread.T,
        covariance_expected=at.spread @ fisher @ at.spread.T,
        held=held,
        definite=definite,
    )
