"""Parameters without limits: what a sampler moves in, and the way to the model's parameters.

Each parameter is ``low + soft (softplus(u) - softplus(u - (high - low) / soft))`` of an unlimited
one. Far from the limits, seen in units of ``soft``, that is linear; with ``soft`` as wide as the
whole range it is the logarithm of the distance to the nearer limit. The prior is flat between the
limits, times what the user gave.

For beta models, what is moved instead of slope and core radius is ``kappa = 1 / (3 beta - 1/2)``
and ``w = rc sqrt(kappa)``: the model is ``S0 (1 + kappa r2/w2)^(-1/kappa)``, whose centre depends
on w alone and which changes evenly with kappa, down to the Gaussian at 0.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Space(NamedTuple):
    """Free parameters (n_free,) among all of a model.

    ``theta`` (n_par,) holds what is not free; ``index`` (n_free,) places in it; ``low``, ``soft``
    and ``reach`` = (high - low) / soft, of kappa for slopes; ``is_slope`` (n_free,) bool;
    ``core, slope`` (n_pair,) places among the free ones of core radii and of their slopes.
    """

    theta: np.ndarray
    index: np.ndarray
    low: np.ndarray
    soft: np.ndarray
    reach: np.ndarray
    is_slope: np.ndarray
    core: np.ndarray
    slope: np.ndarray


def make_space(theta, bounds, pairs=(), error=None) -> Space:
    """Space of the free parameters.

    Parameters
    ----------
    theta : (n_par,), best fit.
    bounds : jaxspec.fit.levmar.Bounds
        Finite limits. Amplitudes and positive quantities are moved in their logarithm.
    pairs : list of (core radius, slope) of beta models, places among all parameters.
    error : (n_par,), standard deviations; the others are linear beyond this distance from a limit.
    """
    index = np.flatnonzero(bounds.free)
    place = {int(i): k for k, i in enumerate(index)}
    both = [(place[a], place[b]) for a, b in pairs if a in place and b in place]
    core, slope = np.array(both, dtype=int).reshape(-1, 2).T
    is_slope = np.isin(np.arange(len(index)), slope)
    low, high = np.asarray(bounds.lower)[index], np.asarray(bounds.upper)[index]
    p = np.clip(np.asarray(theta, float)[index], low, high)
    soft = np.full(len(index), np.nan) if error is None else np.asarray(error, float)[index]
    with np.errstate(divide="ignore"):
        low, high = np.where(is_slope, kappa(high), low), np.where(is_slope, kappa(low), high)
        soft = np.where(is_slope, 3.0 * kappa(p) ** 2 * soft, soft)
    whole = high - low
    logarithmic = (np.asarray(bounds.amplitude) | np.asarray(bounds.positive))[index]
    usable = np.isfinite(soft) & (soft > 1e-12 * np.abs(p)) & ~logarithmic
    soft = np.where(usable, np.minimum(soft, whole), whole)
    return Space(np.array(theta, float), index, low, soft, whole / soft, is_slope, core, slope)


def beta_pairs(model) -> list[tuple[int, int]]:
    """Places of core radius and slope of every component that has these coordinates.

    The limits of a slope have to lie where kappa is finite; elsewhere it is moved as it is.
    """
    found = []
    for component, begin in zip(model.tree.components, model.tree.first, strict=False):
        for natural in component.natural:
            core, slope = (begin + component.names.index(n) for n in (natural.carried, natural.of))
            if model.parameters[slope].min > 1.0 / 6.0:
                found.append((core, slope))
    return found


def kappa(beta):
    """1 / (3 beta - 1/2); its own inverse is `slope_of`."""
    return 1.0 / np.maximum(3.0 * beta - 0.5, 1e-3)


def slope_of(kappa):
    """Slope beta of a kappa."""
    return (1.0 / kappa + 0.5) / 3.0


def free_and_volume(space, u):
    """Free parameters (n_free,), and the log of the volume element up to a constant; JAX."""
    u = jnp.asarray(u)
    kappas = _limited(u[space.slope], *(a[space.slope] for a in space[2:5]))
    u = u.at[space.core].add(-0.5 * jnp.log(kappas))
    q = _limited(u, space.low, space.soft, space.reach)
    edges = -jax.nn.softplus(-u) - jax.nn.softplus(u - space.reach)
    p = jnp.where(space.is_slope, slope_of(jnp.where(space.is_slope, q, 1.0)), q)
    return p, jnp.sum(edges) - 2.0 * jnp.sum(jnp.log(kappas))


def _limited(u, low, soft, reach):
    """Parameters (kappa for slopes) from unlimited ones, each by itself; JAX."""
    return low + soft * (jax.nn.softplus(u) - jax.nn.softplus(u - reach))


def to_free(space, u):
    """Free parameters (n_free,) from unlimited ones; JAX."""
    return free_and_volume(space, u)[0]


def to_theta(space, u):
    """All parameters (n_par,), before links; JAX."""
    return jnp.asarray(space.theta).at[space.index].set(to_free(space, u))


def log_jacobian(space, u):
    """Logarithm of the volume element of the free parameters, up to a constant; JAX."""
    return free_and_volume(space, u)[1]


def from_theta(space, theta, margin):
    """Unlimited parameters (n_free,) of ``theta`` (n_par,); NumPy.

    What is nearer to a limit than ``margin`` (n_free,) is moved inside.
    """
    p = np.asarray(theta, float)[space.index]
    p, margin = _to_kappa(space, p), np.where(space.is_slope, 0.01 * space.soft, margin)
    least = np.minimum(margin / space.soft, 0.25 * space.reach)
    y = np.clip((p - space.low) / space.soft, least, space.reach - least)
    u = y + np.log(-np.expm1(-y)) - np.log(-np.expm1(y - space.reach))
    u[space.core] += 0.5 * np.log(p[space.slope])
    return u


def _to_kappa(space, p):
    return np.where(space.is_slope, kappa(p), p)


class Slopes(NamedTuple):
    """Parameters at u and their derivatives by u, each by itself, (n_free,).

    ``log_volume`` and its two derivatives; ``shift`` are those of the logarithm of sqrt(1/kappa)
    that core radii are moved by.
    """

    value: np.ndarray
    first: np.ndarray
    second: np.ndarray
    log_volume: np.ndarray
    log_first: np.ndarray
    log_second: np.ndarray
    shift_first: np.ndarray
    shift_second: np.ndarray


def slopes(space, u) -> Slopes:
    """Derivatives without the tie between slope and core (see `through_cores`); NumPy."""
    u = np.array(u, float)
    before = u[space.slope]
    k = space.low + space.soft * (np.logaddexp(u, 0) - np.logaddexp(u - space.reach, 0))
    u[space.core] -= 0.5 * np.log(k[space.slope])
    u[space.slope] = before
    q = space.low + space.soft * (np.logaddexp(u, 0) - np.logaddexp(u - space.reach, 0))
    low, high = _sigmoid(u), _sigmoid(space.reach - u)
    size = -np.expm1(-space.reach)
    first = space.soft * low * high * size
    log_first = (1.0 - low) - (1.0 - high)
    log_second = -low * (1.0 - low) - high * (1.0 - high)
    second = first * log_first
    log_volume = np.log(np.maximum(space.soft * size, 1e-300)) + _log(low) + _log(high)
    inverse = np.where(space.is_slope, 1.0 / np.where(space.is_slope, q, 1.0), 0.0)
    by_kappa, twice = -(inverse**2) / 3.0, 2.0 * inverse**3 / 3.0
    return Slopes(
        value=np.where(space.is_slope, (inverse + 0.5) / 3.0, q),
        first=np.where(space.is_slope, by_kappa * first, first),
        second=np.where(space.is_slope, twice * first**2 + by_kappa * second, second),
        log_volume=log_volume + 2.0 * _log(np.where(space.is_slope, inverse, 1.0)),
        log_first=log_first - 2.0 * inverse * first,
        log_second=log_second + 2.0 * inverse**2 * first**2 - 2.0 * inverse * second,
        shift_first=-0.5 * inverse * first,
        shift_second=-0.5 * (inverse * second - inverse**2 * first**2),
    )


def through_cores(space, by_limits, gradient, hessian):
    """Carry derivatives by the unlimited core radii over to those by w; NumPy."""
    chain = np.eye(len(gradient))
    chain[space.core, space.slope] = by_limits.shift_first[space.slope]
    bent = np.zeros_like(hessian)
    bent[space.slope, space.slope] = gradient[space.core] * by_limits.shift_second[space.slope]
    return chain.T @ gradient, chain.T @ hessian @ chain + bent


def _sigmoid(x):
    tail = np.exp(-np.abs(x))
    return np.where(x > 0, 1.0, tail) / (1.0 + tail)


def _log(x):
    return np.log(np.maximum(x, 1e-300))
