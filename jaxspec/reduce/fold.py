"""Responses, grouped as a plan says and cut to the energies that matter, as NumPy arrays.

Channels are summed into bins before anything is made dense: the elements of the sparse matrix are
added straight into the grouped one. Responses of one instrument have their elements at the same
places, so that the places are found once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pattern(NamedTuple):
    """Which elements of a sparse response make which element of the grouped matrix.

    ``indices, indptr`` of the response's CSR matrix that it holds for; ``used`` (n_used,) places in
    ``data``; ``left_out``, places of zeros at energies that were cut off; ``energy`` (n_used,)
    rows, counted from ``first``; ``bin`` (n_used,) columns; ``first, last`` rows that act on a
    bin, half open.
    """

    indices: np.ndarray
    indptr: np.ndarray
    used: np.ndarray
    left_out: np.ndarray
    energy: np.ndarray
    bin: np.ndarray
    first: int
    last: int

    def fits(self, matrix) -> bool:
        """Whether another CSR matrix has its elements at the same places."""
        same = matrix.indices is self.indices and matrix.indptr is self.indptr
        if not same:
            same = np.array_equal(matrix.indptr, self.indptr)
            same = same and np.array_equal(matrix.indices, self.indices)
        return same and not matrix.data[self.left_out].any()


class Folding(NamedTuple):
    """Grouped response: elements ``value`` (n_used,) cm2 of a matrix ``shape`` (n_energy, n_bin).

    Row ``energy`` and column ``bin`` may repeat: such elements add up. ``e_lo, e_hi`` (n_energy,)
    keV.
    """

    e_lo: np.ndarray
    e_hi: np.ndarray
    energy: np.ndarray
    bin: np.ndarray
    value: np.ndarray
    shape: tuple[int, int]

    def dense(self, shape=None) -> np.ndarray:
        """Matrix (n_energy, n_bin) cm2, filled up with zeros to ``shape``."""
        n_energy, n_bin = self.shape if shape is None else shape
        flat = self.energy * n_bin + self.bin
        return np.bincount(flat, self.value, n_energy * n_bin).reshape(n_energy, n_bin)


def find_pattern(plan, whole_grid=False) -> Pattern:
    """Places of the elements of a plan's response that act on its bins.

    Parameters
    ----------
    plan : jaxspec.reduce.batch.Plan
    whole_grid : bool, keep all energies (models in which one bin depends on others).
    """
    matrix = plan.response.matrix
    n_energy, n_channel = matrix.shape
    kept = np.flatnonzero(plan.index >= 0)
    bin_of = np.full(n_channel, -1)
    bin_of[plan.columns[kept]] = plan.index[kept]
    bins = bin_of[matrix.indices]
    used = np.flatnonzero(bins >= 0)
    energy = np.repeat(np.arange(n_energy), np.diff(matrix.indptr))[used]
    first, last = 0, n_energy
    area_there = plan.response.area[energy]
    if not whole_grid and used.size:
        acting = energy[(matrix.data[used] * area_there) != 0]
        first, last = (acting[0], acting[-1] + 1) if acting.size else (0, n_energy)
    inside = (energy >= first) & (energy < last)
    return Pattern(
        matrix.indices, matrix.indptr, used[inside], used[~inside & (area_there != 0)],
        energy[inside] - first, bins[used[inside]], int(first), int(last),
    )  # fmt: skip


def fold(plan, pattern) -> Folding:
    """Grouped response of a plan whose matrix the pattern fits."""
    response, part = plan.response, slice(pattern.first, pattern.last)
    area = np.asarray(response.area[part], float)
    return Folding(
        np.asarray(response.e_lo[part], float),
        np.asarray(response.e_hi[part], float),
        pattern.energy,
        pattern.bin,
        response.matrix.data[pattern.used] * area[pattern.energy],
        (pattern.last - pattern.first, plan.n_bins),
    )


class Patterns:
    """Patterns found so far; responses whose elements lie at the same places share one."""

    def __init__(self, whole_grid=False):
        self.whole_grid, self.known = whole_grid, {}

    def of(self, plan) -> Pattern:
        """Pattern of a plan."""
        area = plan.response.area != 0
        key = (plan.binning, plan.response.matrix.shape, area.tobytes())
        for pattern in self.known.setdefault(key, []):
            if pattern.fits(plan.response.matrix):
                return pattern
        self.known[key].append(find_pattern(plan, self.whole_grid))
        return self.known[key][-1]
