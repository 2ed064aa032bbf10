"""Every lane by itself: start, minimise, gather the slow lanes and go on, finish."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxspec.fit.chunks import finish_chunk, minimise_chunk, start_chunk
from jaxspec.likelihood.objective import Objective
from jaxspec.fit.lanes import chunk_lanes, chunk_positions
from jaxspec.reduce.spectra import bar

FIRST_ROUND = 12  # iterations before the slow lanes are gathered into chunks of their own


def fit_batch(tree, functions, batch, problem, rows, progress=None):
    """Fit all lanes of one batch and record them in ``rows``."""
    objective = Objective(tree, batch.stat, functions)
    first = problem._replace(max_iter=np.minimum(problem.max_iter, FIRST_ROUND))
    rest = problem._replace(max_iter=problem.max_iter - first.max_iter)

    def begin(chunk):
        lanes = chunk_lanes(batch, chunk)
        theta = start_chunk(objective, batch.shared, lanes, problem)
        return minimise_chunk(objective, batch.shared, lanes, first, theta)

    minimum = over_chunks(begin, batch, None, "fitting", progress)
    slow = np.flatnonzero(~minimum.done)
    if slow.size and rest.max_iter > 0:

        def go_on(chunk):
            lanes = chunk_lanes(batch, chunk)
            return minimise_chunk(objective, batch.shared, lanes, rest, minimum.theta[chunk.lanes])

        more = over_chunks(go_on, batch, slow, "slow rows", progress)
        more = more._replace(iterations=more.iterations + minimum.iterations[slow])
        for kept, new in zip(minimum, more, strict=True):
            kept[slow] = new

    def end(chunk):
        lanes = chunk_lanes(batch, chunk)
        return finish_chunk(objective, batch.shared, lanes, problem, minimum.theta[chunk.lanes])

    ending = over_chunks(end, batch, None, "errors", progress)
    rows.record(batch, ending, minimum.iterations)


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
    order = np.argsort(lanes, kind="stable")
    return jax.tree.map(lambda *x: np.concatenate(x)[order], *parts)
