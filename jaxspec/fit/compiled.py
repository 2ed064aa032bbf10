"""The one place where lanes are mapped: compiled functions over a chunk of lanes.

A chunk has a fixed number of lanes, so that 300 spectra and 100 000 run through the same compiled
code. Every argument but terms, links that are not affine, and shapes is traced: freezing, limits,
values and exposures never recompile.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxspec.fit.arrow import WRITTEN_OUT
from jaxspec.fit.chunks import lane_axes
from jaxspec.fit.levmar import Bounds, minimise, nowhere
from jaxspec.fit.start import Candidates, best_starts, rank_candidates
from jaxspec.likelihood.linear import Lane
from jaxspec.likelihood.objective import Links, Quadratic, lane_quadratic, linked

# Compiler options of what runs a few times on little: 0.8 s of compiling become 0.5.
SELDOM = {"xla_backend_optimization_level": 0}
LARGE = 2**20  # bytes of a lane that is alone in its chunk, from which compiling quickly pays more


class Numbers(NamedTuple):
    """The numbers that all lanes of a fit share, traced.

    ``links``; ``priors``, a dict from parameter index to distribution; ``candidates``; ``amplitude,
    positive, energy`` (n_par,), see `Bounds`; ``tol`` and ``max_iter`` of the minimiser.
    """

    links: Links
    priors: dict
    candidates: Candidates
    amplitude: jax.Array
    positive: jax.Array
    energy: jax.Array
    tol: jax.Array
    max_iter: jax.Array


class LaneNumbers(NamedTuple):
    """What each lane has for itself, (n_lane, n_par) arrays and one (n_lane,).

    ``lower, upper`` limits and ``free``; ``given, width``: see `jaxspec.likelihood.hints.Hints`;
    ``band`` (n_lane, 2), lowest and highest energy of the data (keV).
    Compiled functions of single lanes also take what `common` gives, without the axis of lanes.
    """

    lower: Any
    upper: Any
    free: Any
    given: Any
    width: Any
    band: Any

    def take(self, lanes) -> LaneNumbers:
        """Numbers of some lanes."""
        return LaneNumbers(*(field[lanes] for field in self))

    def common(self) -> LaneNumbers | None:
        """What all lanes have, without the axis of lanes; None where they differ.

        The candidates are then the same for all lanes, and models are evaluated and folded once in
        a chunk that shares its inputs: a fifth of the time of 64 PCA spectra.
        """
        if all(np.array_equal(f, np.broadcast_to(f[:1], f.shape), equal_nan=True) for f in self):
            return LaneNumbers(*(field[0] for field in self))
        return None


class Minimum(NamedTuple):
    """Where the minimiser left a lane: theta (n_par,), the statistic around it, how it ended."""

    theta: jax.Array
    local: Quadratic
    iterations: jax.Array
    done: jax.Array


def bounds_of(numbers, own) -> Bounds:
    """Bounds (n_par,) of one lane, or (n_lane, n_par) of all."""
    return Bounds(
        own.lower, own.upper, own.free, numbers.amplitude, numbers.positive, numbers.energy
    )


def _ranked(term, functions, shared, lanes, numbers, own, axes=None):
    def one(lane, own):
        hint = own.given, own.width, own.band
        box = bounds_of(numbers, own)
        return rank_candidates(term, functions, lane, numbers.links, numbers.candidates, box, hint)

    return over_lanes(one, shared, lanes, own, axes=axes)


def _is_alone(lanes):
    """Whether the chunk is one large lane."""
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(lanes))
    return len(lanes.mask) == 1 and size > LARGE


def on_one_grid(term, shared, lanes):
    """Lanes that have the same energies, with these once, and the axes of lanes that are left."""
    axes = lane_axes(lanes, shared)
    if shared or _is_alone(lanes):
        return lanes, axes
    lanes = lanes._replace(inputs=term.forward.one_grid(lanes.inputs))
    return lanes, axes._replace(inputs=axes.inputs._replace(e_lo=None, e_hi=None, tables=None))


def over_lanes(work, shared, lanes, *own, axes=None):
    """``work(lane, *own)`` for every lane; for a large one by itself without an axis of lanes.

    With that axis XLA copies the matrix of a loop once more: 250 MB for a calorimeter.
    """
    if not _is_alone(lanes):
        axes = lane_axes(lanes, shared) if axes is None else axes
        return jax.vmap(work, in_axes=(axes, *(_own_axes(x) for x in own)))(lanes, *own)
    whole = lanes.inputs if shared else _first(lanes.inputs)
    own = (x if _own_axes(x) is None else _first(x) for x in own)
    made = work(Lane(whole, _first(lanes.bins), lanes.mask[0]), *own)
    return jax.tree.map(lambda x: x[None], made)


def _own_axes(own):
    """Axis of lanes of an argument: none of what they have in common."""
    return None if isinstance(own, LaneNumbers) and np.ndim(own.width) == 0 else 0


def _first(tree):
    return jax.tree.map(lambda x: x[0] if np.ndim(x) else x, tree)


def _starts(term, functions, shared, lanes, numbers, own):
    """Start vectors (n_lane, n_start, n_par)."""
    thetas, value = _ranked(term, functions, shared, lanes, numbers, own)
    return jax.vmap(lambda t, v: best_starts(t, v, numbers.candidates))(thetas, value)


@partial(jax.jit, static_argnames=("term", "functions", "shared"), compiler_options=SELDOM)
def start_chunk(term, functions, shared, lanes, numbers, own):
    """Start vectors (n_lane, n_start, n_par) of a chunk, the most promising first."""
    return _starts(term, functions, shared, lanes, numbers, own)


@partial(jax.jit, static_argnames=("term", "functions", "shared"))
def rank_chunk(term, functions, shared, lanes, numbers, own):
    """All candidates (n_lane, n_candidate, n_par) of a chunk of spectra, and their statistic.

    All lanes have the same energies and candidates: ``own`` has no lane axis. What of a model
    depends on the candidate alone is evaluated once.
    """
    lanes, axes = on_one_grid(term, shared, lanes)
    return _ranked(term, functions, shared, lanes, numbers, own, axes)


@partial(jax.jit, static_argnames=("term", "functions", "shared"))
def fit_chunk(term, functions, shared, lanes, numbers, own, starts, rank, fresh):
    """Fit every lane of the chunk by itself.

    Parameters
    ----------
    term, functions, shared : static
    lanes : Lane with a lane axis, see `jaxspec.fit.chunks.chunk_lanes`.
    numbers : Numbers
    own : LaneNumbers
    starts : (n_lane, n_start, n_par), where to start; not looked at if ``fresh``.
    rank : int (traced), which of the starts.
    fresh : bool (traced), whether to find the starts in the data first; None where they never are,
        which leaves that out of the program.

    Returns
    -------
    Minimum with a lane axis; starts : (n_lane, n_start, n_par)
    """
    if fresh is not None:
        starts = jax.lax.cond(
            fresh, lambda: _starts(term, functions, shared, lanes, numbers, own), lambda: starts
        )
    n_bin = lanes.mask.shape[1]
    alone = _is_alone(lanes)

    def one(lane, own, theta):
        state = minimise(
            lambda t: lane_quadratic(term, functions, lane, numbers.links, numbers.priors, t),
            theta,
            bounds_of(numbers, own),
            nothing=nowhere(theta, n_bin),
            tol=numbers.tol,
            max_iter=numbers.max_iter,
            written_out=0 if alone else WRITTEN_OUT,
        )
        return Minimum(state.theta, state.local, state.iterations, state.done)

    return over_lanes(one, shared, lanes, own, starts[:, rank]), starts


def parameters_of(functions, links, theta):
    """All parameters (n_lane, n_par) with links applied, and their derivatives by theta.

    Affine links are a matrix product; only others need to be differentiated.
    """
    if functions:
        params, d_params = _parameters(functions, links, theta)
        return np.asarray(params), np.asarray(d_params)
    square = np.broadcast_to(links.matrix, (len(theta), *links.matrix.shape))
    return theta @ links.matrix.T + links.offset, square


@partial(jax.jit, static_argnames=("functions",))
def _parameters(functions, links, theta):
    def to_params(t):
        return linked(functions, links, t)

    return jax.vmap(lambda t: (to_params(t), jax.jacfwd(to_params)(t)))(theta)
