"""Cutting a batch into chunks of lanes of one fixed size."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxspec.likelihood.objective import Lane

CHUNK = {"cpu": 16, "gpu": 4096}


class Chunk(NamedTuple):
    """``lanes`` (n_chunk,) positions in the batch, of which the first ``size`` count."""

    lanes: np.ndarray
    size: int


def chunk_positions(batch, positions=None, size=None) -> list[Chunk]:
    """Chunks that cover the given lanes (all by default).

    The last chunk is filled up with repetitions of a lane. If the batch is ``shared``, no chunk
    mixes responses.
    """
    size = size or CHUNK.get(jax.default_backend(), CHUNK["gpu"])
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
