"""Cutting a batch into chunks of lanes of one fixed size."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxspec.likelihood.linear import Lane

# Lanes in a chunk; each size that is used compiles once. Measured on two cores: 550 PCA spectra
# with their own responses need 106 microseconds each in chunks of 16 and 175 in chunks of 64 (few
# responses stay in cache, and fewer lanes wait for the slowest); 20 000 with one response need
# 90, 65, 180 and 300 in chunks of 16, 64, 256 and 1024.
SIZES = {"cpu": {"own": (1, 4, 16), "shared": (1, 4, 16, 64)}}
LARGE = {"own": (1, 64, 4096), "shared": (1, 64, 4096)}  # for GPUs: not measured yet
BYTES = {"cpu": 2**25}  # of inputs in one chunk
LARGE_BYTES = 2**31
# Bytes of inputs above which a lane is a chunk of its own. Measured on two cores, power laws
# in chunks of 1, 4 and 16: 1.8, 1.3 and 1.4 ms each for 256 kB; 1.7, 2.2 and 2.6 for 512 kB;
# 6.1, 7.9 and 8.6 for 2 MB.
ALONE = 2**18


class Chunk(NamedTuple):
    """``lanes`` (n_chunk,) positions in the batch, of which the first ``size`` count."""

    lanes: np.ndarray
    size: int


def chunk_size(batch):
    """Lanes per chunk: as many as share their inputs, or as there are; few if they are large."""
    backend = jax.default_backend()
    sizes = SIZES.get(backend, LARGE)["shared" if batch.shared else "own"]
    wanted = len(batch.index) / (batch.n_inputs if batch.shared else 1)
    if not batch.shared and batch.nbytes > ALONE:
        return 1
    if not batch.shared:
        most = BYTES.get(backend, LARGE_BYTES) // batch.nbytes
        sizes = [n for n in sizes if n <= most] or [1]
    return next((n for n in sizes if n >= wanted), sizes[-1])


def chunk_positions(batch, positions=None, size=None, by=None) -> list[Chunk]:
    """Chunks that cover the given lanes (all by default).

    The last chunk is filled up with repetitions of a lane. If the batch is ``shared``, no chunk
    mixes inputs; with ``by`` (n_lane,), none mixes lanes that differ in that.
    """
    size = size or chunk_size(batch)
    positions = np.arange(len(batch.index)) if positions is None else np.asarray(positions)
    if by is None and batch.shared:
        by = batch.which
    if by is not None:
        used = by[positions]
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


def chunk_lanes(batch, lanes) -> Lane:
    """Arrays of the lanes (n,): inputs once if the batch is ``shared``, else one per lane."""
    which = batch.which[lanes]
    return Lane.of(
        batch.gather(int(which[0]) if batch.shared else which),
        jax.tree.map(lambda x: x[lanes], batch.bins),
        batch.mask[lanes],
    )


def lane_axes(lanes, shared) -> Lane:
    """Axes of `chunk_lanes` for vmap: what a whole chunk shares has no lane axis."""
    inputs = None if shared else jax.tree.map(lambda x: 0 if np.ndim(x) else None, lanes.inputs)
    return Lane(inputs, 0, 0)
