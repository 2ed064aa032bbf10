"""The posterior around its mode: where chains start, and the metric that they move in."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.fit.compiled import SELDOM
from jaxspec.likelihood.objective import Quadratic, pull_back
from jaxspec.sample.space import free_and_volume, from_theta

STEPS = 40
NEAR = 1e-3  # the chains need no more: the expansion holds the gradient that is left
WIDEST = 3.0  # a logistic distribution, which is a flat prior between limits, has 1.8
FLOOR = 1e-6  # of the largest curvature (in scaled parameters): below, a direction has no width


class Expansion(NamedTuple):
    """Minus the log posterior around ``u`` (n_free,), to second order."""

    u: np.ndarray
    value: float
    gradient: np.ndarray
    hessian: np.ndarray


def expand(ties, space, quadratic, u) -> Expansion:
    """Carry a `Quadratic` of the statistic (at ``to_theta(ties, space, u)``) over to ``u``."""
    square = np.ix_(space.index, space.index)
    local = quadratic.gradient[space.index], quadratic.hessian[square]
    with jax.enable_x64(True):
        found = jax.device_get(_expand(ties, space, *local, np.asarray(u, float)))
    volume, gradient, hessian = found
    return Expansion(u, 0.5 * float(quadratic.value) - float(volume), gradient, hessian)


@partial(jax.jit, static_argnames=("ties",), compiler_options=SELDOM)
def _expand(ties, space, gradient, hessian, u):
    """Log volume element, gradient (d,) and Hessian (d, d) of minus the log posterior.

    The chain rule for ``gradient`` (d,) and ``hessian`` (d, d) of the statistic by the free
    parameters; minus twice the log volume is one parameter more.
    """

    def to_params(v):
        free, volume = free_and_volume(ties, space, v)
        return jnp.append(free, volume)

    bent = jnp.pad(hessian, (0, 1))
    statistic = Quadratic(0.0, jnp.append(gradient, -2.0), bent, bent, None)
    found = pull_back(statistic, to_params, u)
    return to_params(u)[-1], 0.5 * found.gradient, 0.5 * found.hessian


def find_mode(start, near=NEAR):
    """Mode of the posterior density in the unlimited parameters, by damped Newton steps.

    A routine for `jaxspec.sample.steps`: it yields u (d,), is sent the `Expansion` there, and
    returns that of the mode.

    Parameters
    ----------
    start : (d,), where to start.
    near : float, expected decrease at which the mode counts as reached.
    """
    here = yield start
    for _ in range(STEPS):
        width, direction = spectrum(here.hessian)
        step = direction @ ((direction.T @ here.gradient) / width)
        decrease = 0.5 * here.gradient @ step
        if not decrease > near:
            break
        step = step * min(1.0, 5.0 / np.sqrt(2.0 * decrease))
        for _ in range(12):
            there = yield here.u - step
            if there.value < here.value + 1e-9 * abs(here.value) * 1e-3:
                break
            step = 0.3 * step
        else:
            break
        here = there
    return here


def spectrum(hessian):
    """Eigenvalues (d,), made positive and bounded from below, and eigenvectors (d, d).

    Where the posterior is not curved upwards its width is taken from the size of the curvature.
    """
    width, direction = np.linalg.eigh(hessian)
    width = np.abs(width)
    return np.maximum(width, FLOOR * width.max()), direction


def factor(hessian):
    """Lower triangular L with L L^T the inverse of the (repaired) Hessian.

    No standard deviation is wider than ``WIDEST``: where the curvature is that of a plateau, the
    chains would start far outside.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), 1e-300))
    width, direction = spectrum(hessian * np.outer(scale, scale))
    covariance = (direction / width) @ direction.T * np.outer(scale, scale)
    shrink = np.minimum(WIDEST / np.sqrt(np.diagonal(covariance)), 1.0)
    return np.linalg.cholesky(covariance * np.outer(shrink, shrink))


def start_of(ties, space, theta, quadratic):
    """Unlimited parameters of a best fit; a tenth of an error away from the limits."""
    curvature = np.diagonal(quadratic.fisher)[space.index]
    error = np.sqrt(2.0 / np.maximum(curvature, 1e-300))
    return from_theta(ties, space, theta, np.where(curvature > 0, 0.1 * error, 1e-3))
