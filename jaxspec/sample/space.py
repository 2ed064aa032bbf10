"""Parameters without limits: what a sampler moves in, and the way to the model's parameters.

A parameter with two limits is a logistic function of an unlimited one, with one limit an
exponential; where the limits are far away both are logarithms of the distance to the nearer one.
The prior is flat between the limits, times what the user gave.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FREE, LOWER, UPPER, BOTH = range(4)


class Space(NamedTuple):
    """Free parameters (n_free,) among all of a model.

    ``theta`` (n_par,) holds what is not free; ``index`` (n_free,) places in it; ``low, high``;
    ``kind`` which limits are finite (LOWER, UPPER, BOTH or FREE of them).
    """

    theta: np.ndarray
    index: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kind: np.ndarray


class Slopes(NamedTuple):
    """First and second derivative of the parameters, and of the log Jacobian, by u (n_free,)."""

    first: np.ndarray
    second: np.ndarray
    log_first: np.ndarray
    log_second: np.ndarray


def make_space(theta, bounds) -> Space:
    """Space of the parameters that ``bounds`` (`jaxspec.fit.levmar.Bounds`) calls free."""
    index = np.flatnonzero(bounds.free)
    low, high = np.asarray(bounds.lower)[index], np.asarray(bounds.upper)[index]
    kind = np.isfinite(low) * LOWER + np.isfinite(high) * UPPER
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    return Space(np.asarray(theta, float), index, low, high, kind)


def to_free(space, u, np=jnp):
    """Free parameters (n_free,) from unlimited ones; JAX, or NumPy if that is given."""
    exp = np.exp(np.where((space.kind == LOWER) | (space.kind == UPPER), u, 0.0))
    tail = np.exp(-np.abs(u))
    both = space.low + (space.high - space.low) * np.where(u > 0, 1.0, tail) / (1.0 + tail)
    one = np.where(space.kind == LOWER, space.low + exp, space.high - exp)
    one = np.where(space.kind == BOTH, both, one)
    return np.where(space.kind == FREE, u, one)


def to_theta(space, u):
    """All parameters (n_par,), before links; JAX."""
    return jnp.asarray(space.theta).at[space.index].set(to_free(space, u))


def log_jacobian(space, u):
    """Logarithm of the volume element of `to_free`, up to a constant; JAX."""
    both = jax.nn.log_sigmoid(u) + jax.nn.log_sigmoid(-u)
    return jnp.sum(jnp.where(space.kind == BOTH, both, jnp.where(space.kind == FREE, 0.0, u)))


def from_theta(space, theta, margin):
    """Unlimited parameters (n_free,); what sits on a limit is moved inside by ``margin``; NumPy."""
    p = np.asarray(theta)[space.index]
    width = np.where(space.kind == BOTH, space.high - space.low, np.inf)
    margin = np.minimum(margin, 0.25 * width)
    p = np.where(space.kind & LOWER, np.maximum(p, space.low + margin), p)
    p = np.where(space.kind & UPPER, np.minimum(p, space.high - margin), p)
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = np.log(p - space.low), np.log(space.high - p)
    table = [p, below, above, below - above]
    return np.choose(space.kind, table)


def slopes(space, u) -> Slopes:
    """Derivatives of `to_free` and `log_jacobian`; NumPy."""
    s = np.where(u > 0, 1.0, np.exp(np.minimum(u, 0.0))) / (1.0 + np.exp(-np.abs(u)))
    flat = s * np.where(u > 0, np.exp(-np.abs(u)), 1.0) / (1.0 + np.exp(-np.abs(u)))
    exp = np.exp(np.where((space.kind == LOWER) | (space.kind == UPPER), u, 0.0))
    width = space.high - space.low
    one, zero = np.ones_like(u), np.zeros_like(u)
    return Slopes(
        first=np.choose(space.kind, [one, exp, -exp, width * flat]),
        second=np.choose(space.kind, [zero, exp, -exp, width * flat * (1.0 - 2.0 * s)]),
        log_first=np.choose(space.kind, [zero, one, one, 1.0 - 2.0 * s]),
        log_second=np.choose(space.kind, [zero, zero, zero, -2.0 * flat]),
    )
