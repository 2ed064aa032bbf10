"""Parameters without limits: what a sampler moves in, and the way to the model's parameters.

Each parameter is ``low + soft (softplus(u) - softplus(u - (high - low) / soft))`` of an unlimited
one. Far from the limits, seen in units of ``soft``, that is linear; with ``soft`` as wide as the
whole range it is the logarithm of the distance to the nearer limit. The prior is flat between the
limits, times what the user gave.

Components may have natural coordinates (`jaxspec.model.component.Natural`): what is moved instead
of a parameter p is ``to(p)``, and a second parameter is carried along.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.fit.compiled import SELDOM
from jaxspec.model.component import Natural


class Tie(NamedTuple):
    """A natural coordinate: places among the free parameters (-1 for none). Static."""

    of: int
    carried: int
    natural: Natural
    rival: int = -1


class Space(NamedTuple):
    """Free parameters (n_free,) among all of a model.

    ``theta`` (n_par,) holds what is not free; ``index`` (n_free,) places in it; ``low``, ``soft``
    and ``reach`` = (high - low) / soft, in natural coordinates where there are any.
    """

    theta: np.ndarray
    index: np.ndarray
    low: np.ndarray
    soft: np.ndarray
    reach: np.ndarray


def ties_of(model) -> tuple[Tie, ...]:
    """Natural coordinates of all components of a model whose parameters are free.

    A coordinate is left out where it is not finite and monotone between the limits.
    """
    free = [i for i, p in enumerate(model.parameters) if p.free]
    place = {i: k for k, i in enumerate(free)}
    found = []
    for component, begin in zip(model.tree.components, model.tree.first, strict=False):
        for natural in component.natural:
            of = begin + component.names.index(natural.of)
            carried = component.names.index(natural.carried) + begin if natural.carried else -1
            rival = component.names.index(natural.rival) + begin if natural.rival else -1
            if of in place and (carried in place or carried < 0) and _works(natural, model, of):
                alone = place.get(rival) not in {tie.of for tie in found}
                places = place[of], place.get(carried, -1)
                found.append(Tie(*places, natural, -1 if alone else place[rival]))
    return tuple(found)


def _works(natural, model, index):
    p = model.parameters[index]
    if not np.isfinite([p.min, p.max]).all():
        return False
    steps = np.diff([float(natural.to(x)) for x in np.linspace(p.min, p.max, 33)])
    return bool(np.isfinite(steps).all() and (np.all(steps > 0) or np.all(steps < 0)))


def make_space(theta, bounds, ties=(), error=None) -> Space:
    """Space of the free parameters.

    Parameters
    ----------
    theta : (n_par,), best fit.
    bounds : jaxspec.fit.levmar.Bounds
        Finite limits. Amplitudes and positive quantities are moved in their logarithm.
    ties : tuple of Tie
    error : (n_par,), standard deviations; the others are linear beyond this distance from a limit.
    """
    index = np.flatnonzero(bounds.free)
    low, high = np.asarray(bounds.lower)[index], np.asarray(bounds.upper)[index]
    p = np.clip(np.asarray(theta, float)[index], low, high)
    soft = np.full(len(index), np.nan) if error is None else np.asarray(error, float)[index]
    logarithmic = (np.asarray(bounds.amplitude) | np.asarray(bounds.positive))[index] & (low >= 0)
    for tie in ties:
        ends = [float(tie.natural.to(x[tie.of])) for x in (low, high)]
        soft[tie.of] *= abs(float(jax.grad(tie.natural.to)(float(p[tie.of]))))
        low[tie.of], high[tie.of] = min(ends), max(ends)
        logarithmic[tie.of] = False
    whole = high - low
    usable = np.isfinite(soft) & (soft > 1e-12 * np.abs(p)) & ~logarithmic
    soft = np.where(usable, np.minimum(soft, whole), whole)
    for tie in ties:
        if tie.rival >= 0:  # to be compared, both are measured in one unit
            soft[[tie.of, tie.rival]] = soft[[tie.of, tie.rival]].max()
    return Space(np.array(theta, float), index, low, soft, whole / soft)


def free_and_volume(ties, space, u):
    """Free parameters (n_free,), and the log of the volume element up to a constant; JAX."""
    u = jnp.asarray(u)
    for tie in ties:
        if tie.rival >= 0:
            below = _below_maximum(tie, space, u[tie.rival])
            u = u.at[tie.of].add(-below).at[tie.rival].add(u[tie.of] - below)
    for tie in ties:
        if tie.carried >= 0:
            here = (x[tie.of] for x in (u, space.low, space.soft, space.reach))
            u = u.at[tie.carried].add(tie.natural.shift(_limited(*here)))
    p = _limited(u, space.low, space.soft, space.reach)
    volume = jnp.sum(-jax.nn.softplus(-u) - jax.nn.softplus(u - space.reach))
    for tie in ties:
        value, slope = jax.value_and_grad(tie.natural.back)(p[tie.of])
        p, volume = p.at[tie.of].set(value), volume + jnp.log(jnp.abs(slope))
    return p, volume


def _below_maximum(tie, space, difference):
    """By how much the coordinate of a tie is below the rounded maximum of it and its rival; JAX.

    ``difference`` is how much larger the rival is. The volume element of the map from difference
    and maximum is 1.
    """
    apart = difference + (space.low[tie.rival] - space.low[tie.of]) / space.soft[tie.of]
    corner = tie.natural.corner / space.soft[tie.of]
    return corner * jax.nn.softplus(apart / corner)


def _limited(u, low, soft, reach):
    """Parameters (in natural coordinates) from unlimited ones, each by itself; JAX."""
    return low + soft * (jax.nn.softplus(u) - jax.nn.softplus(u - reach))


def to_free(ties, space, u):
    """Free parameters (n_free,) from unlimited ones; JAX."""
    return free_and_volume(ties, space, u)[0]


def to_theta(ties, space, u):
    """All parameters (n_par,), before links; JAX."""
    return fill(space, to_free(ties, space, u))


def fill(space, free):
    """All parameters (n_par,) from the free ones (n_free,); JAX."""
    return jnp.asarray(space.theta).at[space.index].set(free)


@partial(jax.jit, static_argnames=("ties",), compiler_options=SELDOM)
def theta_at(ties, space, u):
    """`to_theta`, compiled."""
    return to_theta(ties, space, u)


def from_theta(ties, space, theta, margin):
    """Unlimited parameters (n_free,) of ``theta`` (n_par,); NumPy.

    What is nearer to a limit than ``margin`` (n_free,) is moved inside.
    """
    p = np.array(theta, float)[space.index]
    margin = np.broadcast_to(margin, p.shape).copy()
    for tie in ties:
        p[tie.of], margin[tie.of] = float(tie.natural.to(p[tie.of])), 0.01 * space.soft[tie.of]
    least = np.minimum(margin / space.soft, 0.25 * space.reach)
    y = np.clip((p - space.low) / space.soft, least, space.reach - least)
    u = y + np.log(-np.expm1(-y)) - np.log(-np.expm1(y - space.reach))
    for tie in ties:
        if tie.carried >= 0:
            u[tie.carried] -= float(
                tie.natural.shift(space.low[tie.of] + space.soft[tie.of] * y[tie.of])
            )
    for tie in reversed(ties):
        if tie.rival >= 0:
            u[tie.rival] -= u[tie.of]
            u[tie.of] += float(_below_maximum(tie, space, u[tie.rival]))
    return u
