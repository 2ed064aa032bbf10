"""Modes of the posteriors of lanes: where their chains start, and in which coordinates."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxspec.fit.descend import evaluate
from jaxspec.fit.levmar import Bounds
from jaxspec.sample import space as spaces
from jaxspec.sample.laplace import expand, factor, find_mode, start_of
from jaxspec.sample.minima import APART, other_minima_of
from jaxspec.sample.steps import in_step
from jaxspec.sample.target import Correction, no_correction

LEAST = 0.002  # of the probability, by its Gaussian: a mode with less is left out


class Optimum(NamedTuple):
    """Where one lane starts.

    ``model`` with the limits of the sampler; ``bounds`` (n_par,); ``theta`` (n_par,) and ``local``,
    the optimum and the Quadratic there.
    """

    model: Any
    bounds: Bounds
    theta: np.ndarray
    local: Any


def modes_of(group, ties, lanes, optima, spaces_of):
    """Mode of each lane (`Expansion`), Cholesky factor (d, d) of the covariance, `Correction`.

    ``lanes`` (n,) int; ``optima, spaces_of``, and what is handed back, are lists of n.
    """

    def around(batch):
        def answer(questions, which):
            theta = np.stack(
                [_theta(ties, spaces_of[i], u) for u, i in zip(questions, which, strict=True)]
            )
            local = evaluate(group, batch, lanes[which], theta)
            return [
                expand(ties, spaces_of[i], jax.tree.map(lambda x, k=k: x[k], local), questions[k])
                for k, i in enumerate(which)
            ]

        return answer

    starts = [
        start_of(ties, s, one.theta, one.local) for s, one in zip(spaces_of, optima, strict=True)
    ]
    full = around(group.full)
    if group.coarse is None:
        modes = in_step([find_mode(u) for u in starts], full)
        units = [factor(mode.hessian) for mode in modes]
        corrections = [
            no_correction(m.u, np.linalg.inv(unit)) for m, unit in zip(modes, units, strict=True)
        ]
        return modes, units, corrections
    coarse = around(group.coarse)
    near = in_step([find_mode(u) for u in starts], coarse)
    modes = in_step([find_mode(mode.u) for mode in near], full)
    merged = coarse([mode.u for mode in modes], list(range(len(modes))))
    units = [factor(mode.hessian) for mode in modes]
    corrections = [
        Correction(m.u, m.gradient - c.gradient, m.hessian - c.hessian, np.linalg.inv(unit))
        for m, c, unit in zip(modes, merged, units, strict=True)
    ]
    return modes, units, corrections


def _theta(ties, space, u):
    with jax.enable_x64(True):
        return np.asarray(spaces.theta_at(ties, space, u))


def own(modes, units, k, u):
    """Which of u (n, d) belong to mode k rather than to another, by the Gaussians around them."""
    heights = [
        -0.5 * np.sum(np.linalg.solve(unit, (u - mode.u).T) ** 2, axis=0)
        - np.log(np.diagonal(unit)).sum()
        for mode, unit in zip(modes, units, strict=True)
    ]
    return np.argmax(heights, axis=0) == k


def other_modes(group, ties, lanes, first, space, mode, unit):
    """Modes, factors and corrections of one lane beside the first: lists, empty for most."""
    found = other_minima_of(group, int(lanes[0]), *first)
    modes, units, corrections = [mode], [unit], []
    for theta, local in found:
        start = first._replace(theta=theta, local=local)
        (here,), (width,), (correction,) = modes_of(group, ties, lanes, [start], [space])
        share = _evidence(here, width) - _evidence(mode, unit)
        apart = min(
            np.linalg.norm(np.linalg.solve(w, here.u - m.u))
            for m, unit_of in zip(modes, units, strict=True)
            for w in (unit_of, width)
        )
        if apart > APART and share > np.log(LEAST):
            modes.append(here)
            units.append(width)
            corrections.append(correction)
    return modes[1:], units[1:], corrections


def _evidence(mode, unit):
    """Logarithm of the probability of a mode, as a Gaussian, up to a constant."""
    return -mode.value + np.log(np.diagonal(unit)).sum()
