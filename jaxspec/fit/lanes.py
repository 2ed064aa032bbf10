"""Cutting a batch into chunks of lanes of one fixed size."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxspec.likelihood.objective import Lane

SIZES = {"cpu": (1, 4, 16), "gpu": (1, 64, 4096)}  # lanes in a chunk; each size compiles once
# On two cores, 550 PCA spectra with their own responses took 120 microseconds each in chunks of
# 16 and 180 in chunks of 64: less waiting for the slowest lane, and the responses stay in cache.
LARGEST = {"cpu": 2**25, "gpu": 2**31}  # bytes of responses in one chunk


class Chunk(NamedTuple):
    """``lanes`` (n_chunk,) positions in the batch, of which the first ``size`` count."""

    lanes: np.ndarray
    size: int


def chunk_size(batch, n_lane):
    """Lanes per chunk: enough for all lanes if they are few, less if responses are large."""
    backend = jax.default_backend()
    sizes = SIZES.get(backend, SIZES["gpu"])
    each = 0 if batch.shared else batch.matrix[0].nbytes
    fitting = [n for n in sizes if n * each <= LARGEST.get(backend, LARGEST["gpu"])] or [1]
    return next((n for n in fitting if n >= n_lane), fitting[-1])


def chunk_positions(batch, positions=None, size=None) -> list[Chunk]:
    """Chunks that cover the given lanes (all by default).

    The last chunk is filled up with repetitions of a lane. If the batch is ``shared``, no chunk
    mixes responses.
    """
    size = size or chunk_size(batch, len(batch.index))
    positions = np.arange(len(batch.index)) if positions is None else np.asarray(positions)
    if batch.shared:
        used = batch.response[positions]
        groups = [positions[used == r] for r in np.unique(used)]
    else:
        groups = [positions]
    chunks = []
    for group in groups:
        for begin in range(0, len(group), size):
            part = group[begin : begin + size]
            filled = np.concatenate([part, np.full(size - len(part), part[0])])
            chunks.append(Chunk(filled, len(part)))
    return chunks


def chunk_lanes(batch, chunk) -> Lane:
    """The arrays of one chunk: responses once if the batch is ``shared``, else one per lane."""
    lanes = chunk.lanes
    used = batch.response[lanes[0]] if batch.shared else batch.response[lanes]
    return Lane(
        e_lo=batch.e_lo[used],
        e_hi=batch.e_hi[used],
        tables=tuple(table[used] for table in batch.tables),
        matrix=batch.matrix[used],
        bins=jax.tree.map(lambda x: x[lanes], batch.bins),
        mask=batch.mask[lanes],
    )
