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

from jaxspec.likelihood.objective import Quadratic


class Bounds(NamedTuple):
    """Box (n_par,), which parameters may move at all, which are ``amplitude``s or ``scale``s.

    Both are stepped in their logarithm. Norm and shape of a component are tied by a curved valley
    that is nearly straight in ln(norm); a scale (a temperature) must not reach zero by one long
    step, for at zero the component is gone and there is no gradient that leads back.
    """

    lower: jax.Array
    upper: jax.Array
    free: jax.Array
    amplitude: jax.Array
    scale: jax.Array


class State(NamedTuple):
    """What the next step needs; ``edm`` is the expected decrease of the statistic by that step."""

    theta: jax.Array
    at: Quadratic
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
    return bounds.free & ~outward & (jnp.diagonal(at.expected) > 0)


def scale_of(information, mask):
    """Factors (n_par,) that give the information a unit diagonal; 1 where ``mask`` is False."""
    diagonal = jnp.diagonal(information)
    return jax.lax.rsqrt(jnp.where(mask & (diagonal > 0), diagonal, 1.0))


def masked(information, scale, mask):
    """Scaled information (n_par, n_par), identity where ``mask`` is False."""
    both = mask[:, None] & mask[None, :]
    eye = jnp.eye(mask.shape[0], dtype=information.dtype)
    return jnp.where(both, information * scale[:, None] * scale[None, :], eye)


def cholesky_solve(matrix, rhs):
    """Solve ``matrix @ x = rhs`` for a small positive definite matrix, written out.

    Elementwise operations fuse under vmap and leave the loop over lanes to XLA. For 128 lanes
    of 5 parameters on one CPU core: 33 microseconds against 143 for the batched LAPACK calls.
    """
    n = matrix.shape[0]
    factor = [[None] * n for _ in range(n)]
    for j in range(n):
        pivot = matrix[j, j] - sum((factor[j][k] ** 2 for k in range(j)), 0.0)
        factor[j][j] = jnp.sqrt(pivot)
        for i in range(j + 1, n):
            dot = sum((factor[i][k] * factor[j][k] for k in range(j)), 0.0)
            factor[i][j] = (matrix[i, j] - dot) / factor[j][j]
    y = []
    for i in range(n):
        y.append((rhs[i] - sum((factor[i][k] * y[k] for k in range(i)), 0.0)) / factor[i][i])
    x = [None] * n
    for i in reversed(range(n)):
        dot = sum((factor[k][i] * x[k] for k in range(i + 1, n)), 0.0)
        x[i] = (y[i] - dot) / factor[i][i]
    return jnp.stack(x)


NEAR = 0.003  # Newton's method from an expected decrease below this part of the statistic: 62 real
# PCA spectra took 3.4 iterations on average with powerlaw (Newton always 3.6, never 4.2) and 18
# with TBabs*(diskbb+powerlaw) (19.8 and 21.8)

FAINT = 4e-5  # of the statistic, per bin: twice what the floor of 1e-5 expected counts is worth

WRITTEN_OUT = 8  # parameters up to which the solve is unrolled; compile time grows as the cube


def solve(matrix, rhs, written_out=WRITTEN_OUT):
    """Solve a positive definite system of any size; NaN where it is not positive definite."""
    if matrix.shape[0] <= written_out:
        return cholesky_solve(matrix, rhs)
    return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), rhs)


def propose(theta, at, damping, bounds, written_out=WRITTEN_OUT):
    """Damped step (n_par,), to be subtracted, and its expected decrease."""
    mask = movable(theta, at, bounds)
    scale = scale_of(at.expected, mask)
    rhs = jnp.where(mask, at.gradient * scale, 0.0)
    more = damping * jnp.eye(mask.shape[0], dtype=rhs.dtype)
    logarithm = in_logarithm(theta, bounds)
    bend = jnp.where(logarithm, at.gradient / jnp.where(logarithm, theta, 1.0), 0.0)
    both = jnp.stack([at.expected, at.observed + jnp.diag(bend)])
    x, sharp = jax.vmap(lambda info: solve(masked(info, scale, mask) + more, rhs, written_out))(
        both
    )
    near = rhs @ x < 2.0 * NEAR * at.value
    x = jnp.where(near & jnp.all(jnp.isfinite(sharp)), sharp, x)
    # for the damped step x: the model falls by rhs.x - x.H.x / 2 = (rhs.x + damping x.x) / 2
    return x * scale, 0.5 * (rhs @ x + damping * (x @ x))


def in_logarithm(theta, bounds):
    """Mask (n_par,) of the amplitudes and scales that are positive."""
    return (bounds.amplitude | bounds.scale) & (theta > 0)


def move(theta, step, at, bounds):
    """Take a step (to be subtracted) inside the bounds.

    An amplitude whose best value is about zero or below, and that would lower the statistic by
    less than ``FAINT`` per bin if it vanished, is set to its limit: in its logarithm it would never
    get there.
    """
    logarithm = in_logarithm(theta, bounds)
    ratio = jnp.where(logarithm, step / jnp.where(logarithm, theta, 1.0), 0.0)
    longest = jnp.where(bounds.scale, 1.0, 3.0)
    trial = jnp.where(logarithm, theta * jnp.exp(-jnp.clip(ratio, -longest, longest)), theta - step)
    falling = at.gradient > 0.25 * theta * jnp.diagonal(at.expected)
    faint = (
        bounds.amplitude
        & (theta > 0)
        & falling
        & (trial * at.gradient < FAINT * (1 + at.rate.size))
    )
    trial = jnp.where(faint, bounds.lower, trial)
    trial = jnp.clip(trial, bounds.lower, bounds.upper)
    return jnp.where(bounds.free, trial, theta)


def start(theta, n_bin):
    """State before the statistic was evaluated at all; the first `advance` does so at theta.

    Evaluating it here as well would put the model twice into the compiled code.
    """
    zero = jnp.zeros((), theta.dtype)
    eye = jnp.eye(theta.shape[0], dtype=theta.dtype)
    rate = jnp.zeros(n_bin, theta.dtype)
    nowhere = Quadratic(zero + jnp.inf, jnp.zeros_like(theta), eye, eye, rate)
    return State(
        theta=theta,
        at=nowhere,
        step=jnp.zeros_like(theta),
        edm=zero,
        damping=zero + 1e-3,
        iterations=jnp.asarray(-1),
        done=jnp.asarray(False),
    )


def advance(evaluate, state, bounds, tol, written_out=WRITTEN_OUT):
    """One trial step: taken if the statistic falls, else more damping."""
    trial = move(state.theta, state.step, state.at, bounds)
    new = evaluate(trial)
    finite = jnp.isfinite(new.value) & jnp.all(jnp.isfinite(new.gradient))
    first = state.iterations < 0
    before = jnp.where(first, new.value, state.at.value)
    decrease = before - new.value
    rounding = 64 * jnp.finfo(trial.dtype).eps * jnp.abs(before)
    accept = finite & (decrease >= -rounding)
    ratio = decrease / jnp.maximum(state.edm, rounding)
    factor = jnp.where(ratio > 0.75, 0.05, jnp.where(ratio > 0.1, 0.5, 4.0))
    factor = jnp.where(accept, jnp.where(first, 1.0, factor), 10.0)
    damping = jnp.clip(state.damping * factor, 1e-12, 1e12)
    theta = jnp.where(accept, trial, state.theta)
    at = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, state.at)
    step, edm = propose(theta, at, damping, bounds, written_out)
    converged = (edm <= tol) & (damping <= 0.1)
    hopeless = (damping >= 1e12) | (first & ~accept)
    return State(theta, at, step, edm, damping, state.iterations + 1, converged | hopeless)


def minimise(evaluate, theta, bounds, *, n_bin, tol, max_iter, written_out=WRITTEN_OUT):
    """Minimise a statistic from ``theta``.

    Parameters
    ----------
    evaluate : callable
        ``theta (n_par,) -> Quadratic``; the statistic has the scale of chi2 (a change of 1 is one
        standard deviation of one parameter).
    theta : (n_par,) start, inside the bounds.
    bounds : Bounds
    n_bin : int, length of ``Quadratic.rate``.
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
        start(theta, n_bin),
    )
