"""Every lane by itself; the slow ones are gathered into chunks of their own and go on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxspec.fit.chunks import fit_chunk
from jaxspec.likelihood.objective import Objective
from jaxspec.fit.lanes import chunk_lanes, chunk_positions
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
    ending = over_chunks(work(first, nowhere, np.array(True)), batch, None, "fitting", progress)
    slow = np.flatnonzero(~ending.done)
    rest = problem._replace(max_iter=problem.max_iter - few)
    if slow.size and rest.max_iter > 0:
        go_on = work(rest, ending.theta, np.array(False))
        more = over_chunks(go_on, batch, slow, "slow rows", progress)
        more = more._replace(iterations=more.iterations + few)
        for kept, new in zip(ending, more, strict=True):
            kept[slow] = new
    rows.record(batch, ending)


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
