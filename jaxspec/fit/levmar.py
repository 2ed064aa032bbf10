"""Levenberg-Marquardt on a likelihood, for one lane.

Steps are taken with the expected (Fisher) information, which always points downhill, and near the
minimum with the observed one where that is positive definite: Newton's method, which converges
quadratically also where the model does not fit. Bounds are kept by projection: a
parameter that sits on a bound and is pushed outwards is held for the step. Nothing here knows
about spectra.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxspec.fit import arrow
from jaxspec.likelihood.objective import Quadratic


class Bounds(NamedTuple):
    """Box (n_par,), which parameters may move, which are ``amplitude``s, ``positive``, ``energy``s.

    The first two are stepped in their logarithm. Norm and shape of a component are tied by a curved
    valley that is nearly straight in ln(norm); a positive quantity (a temperature) must not reach
    zero by one long step, for at zero the component is gone and there is no gradient that leads
    back. An energy where something happens moves by `HOP` of itself at most: outside of the band of
    the data it has no gradient either.
    """

    lower: jax.Array
    upper: jax.Array
    free: jax.Array
    amplitude: jax.Array
    positive: jax.Array
    energy: jax.Array

    @property
    def vanishing(self):
        """Amplitudes (n_par,) that cannot be negative: at their limit the component is gone."""
        return self.amplitude & (self.lower >= 0)


HOP = 0.2  # without it 73 of 550 PCA spectra lose the break of bknpower, with it 4


class State(NamedTuple):
    """What the next step needs; ``edm`` is the expected decrease of the statistic by that step."""

    theta: jax.Array
    local: Quadratic
    step: jax.Array
    edm: jax.Array
    damping: jax.Array
    iterations: jax.Array
    done: jax.Array


def movable(theta, at, bounds):
    """Mask (n_par,) of the parameters that a step may change.

    Held are the frozen ones, those on a bound with the statistic falling outwards, and those
    without any influence on the model at this point (a component whose norm is 0).
    """
    outward = ((theta <= bounds.lower) & (at.gradient > 0)) | (
        (theta >= bounds.upper) & (at.gradient < 0)
    )
    return bounds.free & ~outward & (arrow.diagonal(at.fisher) > 0)


def scale_of(information, mask):
    """Factors (n_par,) that give the information a unit diagonal; 1 where ``mask`` is False."""
    diagonal = arrow.diagonal(information)
    return jax.lax.rsqrt(jnp.where(mask & (diagonal > 0), diagonal, 1.0))


NEAR = 0.003  # Newton's method from an expected decrease below this part of the statistic: 62 real
# PCA spectra took 3.4 iterations on average with powerlaw (Newton always 3.6, never 4.2) and 18
# with TBabs*(diskbb+powerlaw) (19.8 and 21.8)

SURE = 3.0  # standard deviations
FAINT = 4e-5  # of the statistic, per bin: twice what the floor of 1e-5 expected counts is worth


def propose(theta, at, damping, bounds, written_out=arrow.WRITTEN_OUT):
    """Damped step (n_par,), to be subtracted, and its expected decrease."""
    mask = movable(theta, at, bounds)
    scale = scale_of(at.fisher, mask)
    rhs = jnp.where(mask, at.gradient * scale, 0.0)
    more = damping * jnp.ones_like(rhs)
    logarithm = in_logarithm(theta, at, bounds)
    bend = jnp.where(logarithm, at.gradient / jnp.where(logarithm, theta, 1.0), 0.0)
    both = jax.tree.map(lambda *m: jnp.stack(m), at.fisher, arrow.add_diagonal(at.hessian, bend))

    def solved(information):
        damped = arrow.add_diagonal(arrow.masked(information, scale, mask), more)
        return arrow.solve(damped, rhs, written_out)

    x, sharp = jax.vmap(solved)(both)
    near = rhs @ x < 2.0 * NEAR * at.value
    x = jnp.where(near & jnp.all(jnp.isfinite(sharp)), sharp, x)
    # for the damped step x: the model falls by rhs.x - x.H.x / 2 = (rhs.x + damping x.x) / 2
    return x * scale, 0.5 * (rhs @ x + damping * (x @ x))


def in_logarithm(theta, at, bounds):
    """Mask (n_par,) of the parameters stepped in their logarithm that are above 0.

    What may be negative (the norm of a line in absorption) is so only while it is `SURE` standard
    deviations above 0: in its logarithm it would never cross 0.
    """
    sure = theta * theta * arrow.diagonal(at.fisher) > 2.0 * SURE**2
    return (bounds.amplitude | bounds.positive) & (theta > 0) & ((bounds.lower >= 0) | sure)


def move(theta, step, at, bounds):
    """Take a step (to be subtracted) inside the bounds.

    An amplitude whose best value is about zero or below, and that would lower the statistic by
    less than ``FAINT`` per bin if it vanished, is set to its limit: in its logarithm it would never
    get there.
    """
    n_bin = bins_of(at)
    logarithm = in_logarithm(theta, at, bounds)
    ratio = jnp.where(logarithm, step / jnp.where(logarithm, theta, 1.0), 0.0)
    longest = jnp.where(bounds.positive, 1.0, 3.0)
    trial = jnp.where(logarithm, theta * jnp.exp(-jnp.clip(ratio, -longest, longest)), theta - step)
    hop = HOP * jnp.maximum(jnp.abs(theta), 1e-2)
    trial = jnp.where(bounds.energy, jnp.clip(trial, theta - hop, theta + hop), trial)
    falling = at.gradient > 0.25 * theta * arrow.diagonal(at.fisher)
    faint = bounds.vanishing & (theta > 0) & falling & (trial * at.gradient < FAINT * (1 + n_bin))
    trial = jnp.where(faint, bounds.lower, trial)
    trial = jnp.clip(trial, bounds.lower, bounds.upper)
    return jnp.where(bounds.free, trial, theta)


def bins_of(at):
    """Number of bins (n_par,) that each parameter acts on: all, or those of its own lane."""
    sizes = [mean.size for mean in jax.tree.leaves(at.mean)]
    if not isinstance(at.fisher, arrow.Arrow):
        return sum(sizes)
    shared = jnp.full(at.fisher.corner.shape[-1], sum(sizes), at.value.dtype)
    pairs = zip(at.mean, at.fisher.sides, strict=True)
    return arrow.join(
        shared, [jnp.full(side.shape[:2], mean.shape[-1], shared.dtype) for mean, side in pairs]
    )


def nowhere(theta, n_bin) -> Quadratic:
    """What is known of a statistic that was not evaluated: nothing.

    Parameters
    ----------
    theta : (n_par,); n_bin : int
    """
    square = jnp.zeros((theta.shape[0],) * 2, theta.dtype)
    zero = jnp.zeros((), theta.dtype)
    mean = jnp.zeros(n_bin, theta.dtype)
    return Quadratic(zero + jnp.inf, jnp.zeros_like(theta), square, square, mean)


def start(theta, nothing):
    """State before the statistic was evaluated; the first `advance` does so at theta (n_par,).

    Evaluating it here as well would put the model twice into the compiled code.
    """
    zero = jnp.zeros((), theta.dtype)
    return State(
        theta=theta,
        local=nothing,
        step=jnp.zeros_like(theta),
        edm=zero,
        damping=zero + 1e-3,
        iterations=jnp.asarray(-1),
        done=jnp.asarray(False),
    )


def advance(evaluate, state, bounds, tol, written_out=arrow.WRITTEN_OUT):
    """One trial step: taken if the statistic falls, else more damping."""
    trial = move(state.theta, state.step, state.local, bounds)
    new = evaluate(trial)
    finite = jnp.isfinite(new.value) & jnp.all(jnp.isfinite(new.gradient))
    first = state.iterations < 0
    before = jnp.where(first, new.value, state.local.value)
    decrease = before - new.value
    rounding = 64 * jnp.finfo(trial.dtype).eps * jnp.abs(before)
    accept = finite & (decrease >= -rounding)
    ratio = decrease / jnp.maximum(state.edm, rounding)
    factor = jnp.where(ratio > 0.75, 0.05, jnp.where(ratio > 0.1, 0.5, 4.0))
    factor = jnp.where(accept, jnp.where(first, 1.0, factor), 10.0)
    damping = jnp.clip(state.damping * factor, 1e-12, 1e12)
    theta = jnp.where(accept, trial, state.theta)
    at = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, state.local)
    step, edm = propose(theta, at, damping, bounds, written_out)
    converged = (edm <= tol) & (damping <= 0.1)
    hopeless = (damping >= 1e12) | (first & ~accept)
    return State(theta, at, step, edm, damping, state.iterations + 1, converged | hopeless)


def minimise(evaluate, theta, bounds, *, nothing, tol, max_iter, written_out=arrow.WRITTEN_OUT):
    """Minimise a statistic from ``theta``.

    Parameters
    ----------
    evaluate : callable
        ``theta (n_par,) -> Quadratic``; the statistic has the scale of chi2 (a change of 1 is one
        standard deviation of one parameter).
    theta : (n_par,) start, inside the bounds.
    bounds : Bounds
    nothing : Quadratic of the shapes that ``evaluate`` gives, see `nowhere`.
    tol : scalar
        Expected decrease at which the minimum counts as reached; a decrease of ``tol`` is a
        distance of sqrt(tol) standard deviations.
    max_iter : scalar int (traced). With 0, the statistic is evaluated once.
    written_out : int, static
        Parameters up to which the solve is unrolled: fast for many lanes, slow to compile.

    Returns
    -------
    State
        ``done`` and ``edm <= tol`` mean converged; ``done`` with a larger ``edm`` means stuck, or
        that the statistic is not finite at the start.
    """

    def unfinished(state):
        return ~state.done & (state.iterations < max_iter)

    return jax.lax.while_loop(
        unfinished,
        lambda state: advance(evaluate, state, bounds, tol, written_out),
        start(theta, nothing),
    )
