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

FIRST_ROUND = 8  # iterations before the slow lanes are gathered into chunks of their own


def fit_batch(tree, functions, batch, problem, rows, progress=None):
    """Fit all lanes of one batch and record them in ``rows``."""
    objective = Objective(tree, batch.stat, functions)
    nowhere = np.zeros((len(batch.index), len(problem.bounds.free)))

    def work(problem, theta, fresh):
        def one(chunk):
            lanes = chunk_lanes(batch, chunk)
            return fit_chunk(objective, batch.shared, lanes, problem, theta[chunk.lanes], fresh)

        return one

    few = np.minimum(problem.max_iter, FIRST_ROUND)
    first = problem._replace(max_iter=few)
    end = over_chunks(work(first, nowhere, np.array(True)), batch, None, "fitting", progress)
    slow = np.flatnonzero(~end.done)
    rest = problem._replace(max_iter=problem.max_iter - few)
    if slow.size and rest.max_iter > 0:
        go_on = work(rest, end.theta, np.array(False))
        more = over_chunks(go_on, batch, slow, "slow rows", progress)
        more = more._replace(iterations=more.iterations + few)
        end = jax.tree.map(lambda kept, new: put(kept, slow, new), end, more)
    covariance, expected, edm, held, definite = errors(end.theta, end.at, problem.bounds)
    params, spread = map(np.asarray, linked(objective, problem, end.theta))
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
