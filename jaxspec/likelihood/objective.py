"""The objective: what a forward model expects, compared with data; priors; changes of parameters.

Every term gives a `Quadratic` in the parameters of one model; `pull_back` carries it through any
map of parameters: links, limits, the coordinates of a sampler.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.likelihood.statistics import STATISTICS
from jaxspec.model.links import apply_links


class Links(NamedTuple):
    """Affine links as numbers: parameters = matrix (n_par, n_par) @ theta + offset (n_par,)."""

    matrix: jax.Array
    offset: jax.Array


class Quadratic(NamedTuple):
    """A statistic (minus twice a log-likelihood) around one point.

    ``value``; ``gradient`` (n,); ``fisher`` and ``hessian`` (n, n), its expected and its true
    second derivatives; ``mean`` (n_bin,), what the model expects of the data.
    """

    value: jax.Array
    gradient: jax.Array
    fisher: jax.Array
    hessian: jax.Array
    mean: jax.Array


class Term(NamedTuple):
    """One forward model, one statistic, the least expected counts of a bin. Static: hashable."""

    forward: Any
    stat: str
    floor: float

    def quadratic(self, lane, params) -> Quadratic:
        """The statistic of a `Lane` around ``params`` (n_par,), to second order."""
        pieces = self.forward.cut(lane)
        if pieces is None:
            return self._quadratic(lane, params)
        table, n_piece = pieces
        zero = jnp.zeros((), params.dtype)
        square = jnp.zeros((params.size,) * 2, params.dtype)

        def step(i, carry):
            total, mean = carry
            part = self._quadratic(jax.tree.map(lambda a: a[i], table), params)
            return jax.tree.map(jnp.add, total, tuple(part[:4])), mean.at[i].set(part.mean)

        begin = (zero, jnp.zeros_like(params), square, square), jnp.zeros_like(table.bins.counts)
        total, mean = jax.lax.fori_loop(0, n_piece, step, begin)
        return Quadratic(*total, mean.ravel())

    def _quadratic(self, lane, params):
        stat = STATISTICS[self.stat]
        mean, jacobian, curve = self.forward.linear(lane.inputs, params)
        per_bin = stat.kernel(lane.bins, mean, self.floor)
        bent = stat.observed(lane.bins, mean, self.floor)
        value, slope, curvature, bent = (x * lane.mask for x in (*per_bin, bent))
        return Quadratic(
            value=jnp.sum(value),
            gradient=jacobian @ slope,
            fisher=(jacobian * curvature[None]) @ jacobian.T,
            hessian=(jacobian * bent[None]) @ jacobian.T + curve(slope),
            mean=mean,
        )

    def pointwise(self, lane, params):
        """Log-likelihood (n_bin,) of every bin, constants included; 0 in padding."""
        stat = STATISTICS[self.stat]
        mean = self.forward.mean(lane.inputs, params)
        value = stat.log_likelihood(lane.bins, mean, self.floor) + stat.constant(lane.bins)
        return value * lane.mask

    def constant(self, lane):
        """What `log_likelihood` leaves out, summed over the bins."""
        return jnp.sum(STATISTICS[self.stat].constant(lane.bins) * lane.mask)

    def log_likelihood(self, lane, params):
        """Log-likelihood without the constant; its reverse derivative is that of ``pull``."""
        return _log_likelihood(self, lane, params)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _log_likelihood(term, lane, params):
    mean = term.forward.mean(lane.inputs, params)
    value = STATISTICS[term.stat].log_likelihood(lane.bins, mean, term.floor)
    return jnp.sum(value * lane.mask)


def _forwards(term, lane, params):
    mean, pull = term.forward.pull(lane.inputs, params)
    stat = STATISTICS[term.stat]
    value = stat.log_likelihood(lane.bins, mean, term.floor)
    slope = stat.kernel(lane.bins, mean, term.floor).slope
    gradient = pull(-0.5 * slope * lane.mask)
    return jnp.sum(value * lane.mask), (gradient, lane)


def _backwards(term, saved, cotangent):
    gradient, lane = saved
    return jax.tree.map(_no_tangent, lane), cotangent * gradient


def _no_tangent(x):
    """Data have no derivative."""
    inexact = jnp.issubdtype(x.dtype, jnp.inexact)
    return jnp.zeros_like(x) if inexact else np.zeros(x.shape, jax.dtypes.float0)


_log_likelihood.defvjp(_forwards, _backwards)


class PriorTerm(NamedTuple):
    """Independent priors: ``distributions``, a dict from parameter index to distribution."""

    distributions: dict

    def log_density(self, params):
        """Sum of the logarithms of the prior densities."""
        parts = [prior.log_prob(params[i]) for i, prior in self.distributions.items()]
        return sum(parts, jnp.zeros((), params.dtype))

    def quadratic(self, params) -> Quadratic:
        """Minus twice `log_density` around ``params``; its Fisher matrix is never negative."""

        def penalty(p):
            return -2.0 * self.log_density(p)

        bent = jax.hessian(penalty)(params)
        return Quadratic(
            value=penalty(params),
            gradient=jax.grad(penalty)(params),
            fisher=jnp.diag(jnp.maximum(jnp.diagonal(bent), 0.0)),
            hessian=bent,
            mean=jnp.zeros(0, params.dtype),
        )


def pull_back(quadratic, to_params, theta) -> Quadratic:
    """`Quadratic` in theta from that in ``params = to_params(theta)``: the chain rule, once."""

    def slopes(t):
        by_t = jax.jacfwd(to_params)(t)
        return quadratic.gradient @ by_t, by_t

    bend, by_theta = jax.jacfwd(slopes, has_aux=True)(theta)  # one trace of the map for both
    return quadratic._replace(
        gradient=by_theta.T @ quadratic.gradient,
        fisher=by_theta.T @ quadratic.fisher @ by_theta,
        hessian=by_theta.T @ quadratic.hessian @ by_theta + bend,
    )


def linked(functions, links, theta):
    """All parameters (n_par,) with links applied."""
    return apply_links(theta, links.matrix, links.offset, functions)


def lane_quadratic(term, functions, lane, links, priors, theta) -> Quadratic:
    """`Quadratic` in theta (n_par,) of one datum and the priors.

    ``functions`` (static) are the links that are not affine; ``priors`` is a dict from parameter
    index to distribution.
    """

    def to_params(t):
        return linked(functions, links, t)

    params = to_params(theta)
    total = term.quadratic(lane, params)
    if priors:
        prior = PriorTerm(priors).quadratic(params)
        total = Quadratic(*jax.tree.map(jnp.add, total[:4], prior[:4]), total.mean)
    if not functions:  # affine: no bending, and the Jacobian is at hand
        by = links.matrix
        return total._replace(
            gradient=by.T @ total.gradient,
            fisher=by.T @ total.fisher @ by,
            hessian=by.T @ total.hessian @ by,
        )
    return pull_back(total, to_params, theta)
