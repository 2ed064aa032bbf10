"""Minimising lanes from given starts; the slow ones are gathered into chunks of their own."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxspec.fit.chunks import chunk_lanes, chunk_positions
from jaxspec.fit.compiled import bounds_of, fit_chunk
from jaxspec.fit.levmar import Bounds
from jaxspec.fit.start import STARTS
from jaxspec.reduce.spectra import bar

FIRST_ROUND = 8  # iterations before the slow lanes are gathered into chunks of their own


def descend(group, batch, positions, rank, starts, label, progress, steps=None):
    """Minimise the lanes at ``positions``; those that need long are gathered and go on.

    Parameters
    ----------
    group : Group; batch : Batch, its full or its coarse data.
    positions : (n,) int
    rank : int, which of the starts.
    starts : (n, n_start, n_par), or None to find them in the data.
    label, progress : see `jaxspec.reduce.spectra.bar`.
    steps : int, after which all stop; by default they go on to the minimum.

    Returns
    -------
    Minimum of arrays (n, ...), starts (n, n_start, n_par), in the order of ``positions``
    """
    numbers, n_par = group.numbers, len(group.numbers.amplitude)
    fresh, known = starts is None, group.starts is not None
    n_start = min(STARTS, len(numbers.candidates.table)) if fresh else starts.shape[1]
    table = np.zeros((len(batch.index), n_start, n_par))
    if not fresh:
        table[positions] = starts

    common = group.own.common()

    def work(numbers, table, rank, fresh):
        def one(chunk):
            own = group.own.take(chunk.lanes) if common is None else common
            return fit_chunk(
                group.term, group.functions, batch.shared, chunk_lanes(batch, chunk.lanes),
                numbers, own,
                table[chunk.lanes], np.asarray(rank), None if known else np.asarray(fresh),
            )  # fmt: skip

        return one

    few = np.minimum(numbers.max_iter, FIRST_ROUND if steps is None else steps)
    first = work(numbers._replace(max_iter=few), table, rank, fresh)
    end, starts = over_chunks(first, batch, positions, label, progress)
    slow = np.flatnonzero(~end.done)
    if slow.size and numbers.max_iter > few and steps is None:
        rest = numbers._replace(max_iter=numbers.max_iter - few)
        table[positions] = end.theta[:, None]
        go_on = work(rest, table, 0, False)
        more, _ = over_chunks(go_on, batch, positions[slow], label, progress)
        more = more._replace(iterations=more.iterations + few)
        end = jax.tree.map(lambda kept, new: put(kept, slow, new), end, more)
    return end, starts


def evaluate(group, batch, positions, theta):
    """`Quadratic` of lanes at ``theta`` (n, n_par): the minimiser with no iteration."""
    n_start = STARTS if group.starts is None else group.starts.shape[1]
    n_start = min(n_start, len(group.numbers.candidates.table)) if group.starts is None else n_start
    starts = np.repeat(np.asarray(theta, float)[:, None], n_start, axis=1)
    still = group._replace(numbers=group.numbers._replace(max_iter=np.asarray(0)))
    end, _ = descend(still, batch, np.asarray(positions), 0, starts, "", False)
    return end.local


def lost(end, bounds):
    """Positions of lanes that did not converge, or in which a component vanished on the way."""
    idle = np.diagonal(end.local.fisher, axis1=-2, axis2=-1) <= 0
    gone = bounds.vanishing & (end.theta <= bounds.lower)
    bad = ~end.done | ~np.isfinite(end.local.value) | np.any(bounds.free & (idle | gone), axis=1)
    return np.flatnonzero(bad)


def lower_of(end, new, positions, by):
    """``end`` with the lanes at ``positions`` replaced by ``new`` where that is lower by ``by``."""
    lower = np.flatnonzero(new.local.value < end.local.value[positions] - by)
    return jax.tree.map(lambda kept, x: put(kept, positions[lower], x[lower]), end, new)


def put(array, index, values):
    """Copy of ``array`` with ``values`` at ``index``."""
    array = array.copy()
    array[index] = values
    return array


def over_chunks(work, batch, positions, label, progress, size=None, by=None):
    """Run ``work(chunk)`` for all chunks; its arrays with the lanes in the order of positions.

    XLA leaves the interpreter free while it computes, so that threads fill the cores.
    """
    chunks = chunk_positions(batch, positions, size, by)

    def in_double(chunk):
        with jax.enable_x64(True):
            return jax.tree.map(lambda x: np.asarray(x)[: chunk.size], work(chunk))

    if len(chunks) == 1:
        parts = [in_double(chunks[0])]
    else:
        # the first alone, so that one thread compiles
        first = in_double(chunks[0])
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            rest = pool.map(in_double, chunks[1:])
            parts = [first, *bar(rest, label, progress, total=len(chunks) - 1)]
    lanes = np.concatenate([chunk.lanes[: chunk.size] for chunk in chunks])
    order = np.argsort(lanes, kind="stable")  # chunks of a shared batch are sorted by inputs
    return jax.tree.map(lambda *x: np.concatenate(x)[order], *parts)


def bounds(group) -> Bounds:
    """Bounds (n_lane, n_par) of all lanes."""
    return bounds_of(group.numbers, group.own)
