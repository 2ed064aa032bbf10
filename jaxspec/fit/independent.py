"""Every lane by itself; the slow ones are gathered into chunks of their own and go on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxspec.fit.chunks import fit_chunk, linked
from jaxspec.fit.covariance import Ending, errors
from jaxspec.fit.lanes import chunk_lanes, chunk_positions
from jaxspec.likelihood.objective import Objective
from jaxspec.reduce.spectra import bar

TRIES = 5  # starts at most, for lanes that lose a component or do not converge
SEVERAL = (
    3  # starts for every lane of a model of several additive components, which has local minima:
)
# of 277 observations of GRS 1915+105 with TBabs*(diskbb+powerlaw), one start leaves 53 more than 1
# above the lowest minimum that any of 16 starts finds, two leave 19 and three none
FIRST_ROUND = 8  # iterations before the slow lanes are gathered into chunks of their own


def fit_batch(tree, functions, batch, problem, rows, progress=None):
    """Fit all lanes of one batch and record them in ``rows``."""
    objective = Objective(tree, batch.stat, functions)
    everyone = np.arange(len(batch.index))
    end = descend(objective, batch, problem, everyone, "fitting", progress)
    several = len(tree.norm_indices) > 1
    for rank in range(1, min(TRIES, int(problem.n_start))):
        again = everyone if several and rank < SEVERAL else lost(end, problem.bounds)
        if not again.size:
            break
        other = problem._replace(rank=np.asarray(rank))
        new = descend(objective, batch, other, again, "other starts", progress)
        lower = np.flatnonzero(new.at.value < end.at.value[again] - problem.tol)
        end = jax.tree.map(lambda kept, x, k=lower, a=again: put(kept, a[k], x[k]), end, new)
    covariance, expected, edm, held, definite = errors(end.theta, end.at, problem.bounds)
    params, spread = linked(objective, problem, end.theta)
    back = np.swapaxes(spread, -1, -2)
    ending = Ending(
        params=params,
        value=end.at.value,
        edm=edm,
        rate=end.at.rate,
        covariance=spread @ covariance @ back,
        covariance_expected=spread @ expected @ back,
        held=held,
        definite=definite,
        iterations=end.iterations,
    )
    rows.record(batch, ending)


def descend(objective, batch, problem, positions, label, progress):
    """Minimise the lanes at ``positions``; those that need long are gathered and go on.

    Returns
    -------
    Minimum of arrays in the order of ``positions``
    """
    n_par = len(problem.bounds.free)
    nowhere = np.zeros((len(batch.index), n_par))

    def work(problem, theta, fresh):
        def one(chunk):
            lanes = chunk_lanes(batch, chunk)
            return fit_chunk(objective, batch.shared, lanes, problem, theta[chunk.lanes], fresh)

        return one

    few = np.minimum(problem.max_iter, FIRST_ROUND)
    first = work(problem._replace(max_iter=few), nowhere, np.array(True))
    end = over_chunks(first, batch, positions, label, progress)
    slow = np.flatnonzero(~end.done)
    if slow.size and problem.max_iter > few:
        rest = problem._replace(max_iter=problem.max_iter - few)
        go_on = work(rest, put(nowhere, positions, end.theta), np.array(False))
        more = over_chunks(go_on, batch, positions[slow], label, progress)
        more = more._replace(iterations=more.iterations + few)
        end = jax.tree.map(lambda kept, new: put(kept, slow, new), end, more)
    return end


def lost(end, bounds):
    """Positions of lanes that did not converge, or in which a component vanished on the way."""
    idle = np.diagonal(end.at.expected, axis1=-2, axis2=-1) <= 0
    gone = bounds.amplitude & (end.theta <= bounds.lower)
    bad = ~end.done | ~np.isfinite(end.at.value) | np.any(bounds.free & (idle | gone), axis=1)
    return np.flatnonzero(bad)


def put(array, index, values):
    """Copy of ``array`` with ``values`` at ``index``."""
    array = array.copy()
    array[index] = values
    return array


def over_chunks(work, batch, positions, label, progress):
    """Run ``work(chunk)`` for all chunks; its arrays with the lanes in the order of positions.

    XLA leaves the interpreter free while it computes, so that threads fill the cores.
    """
    chunks = chunk_positions(batch, positions)

    def in_double(chunk):
        with jax.enable_x64(True):
            return jax.tree.map(lambda x: np.asarray(x)[: chunk.size], work(chunk))

    if len(chunks) == 1:
        parts = [in_double(chunks[0])]
    else:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            parts = list(bar(pool.map(in_double, chunks), label, progress, total=len(chunks)))
    lanes = np.concatenate([chunk.lanes[: chunk.size] for chunk in chunks])
    order = np.argsort(lanes, kind="stable")  # chunks of a shared batch are sorted by response
    return jax.tree.map(lambda *x: np.concatenate(x)[order], *parts)
