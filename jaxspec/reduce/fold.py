"""Responses, grouped as a plan says and cut to the energies that matter, as NumPy arrays.

Channels are summed into bins before anything is made dense: the elements of the sparse matrix are
added straight into the grouped one. Responses of one instrument have their elements at the same
places, so that the places are found once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxspec.reduce.batch import padded

SINGLE = 2**24  # elements from which numbers that single precision holds exactly stay in it, in
IN_BLOCK = 64  # blocks of so many bins, which are made double one by one: 16384 bins and 3520 rows
# take 230 MB instead of 461, and 0.13 s instead of 0.10 s; 0.6 s if they are made double at once


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


class WideFolding(NamedTuple):
    """Grouped part of a response on wider energy bins.

    ``row`` (n_energy,) ascending, which row acts at an energy; ``area`` (n_energy,) cm2;
    ``matrix`` (n_block, n, n_row), the redistribution alone, bins in blocks of n and zeros after
    them: padding it later would take its memory once more.
    """

    row: np.ndarray
    area: np.ndarray
    matrix: np.ndarray


def group_wide(wide, columns, index, n_bins, weights=None) -> np.ndarray:
    """Redistribution of all rows of a `Wide` summed into bins: (n_block, n, n_row).

    ``columns, index, n_bins, weights`` are those of a `jaxspec.reduce.batch.Plan`.

    Made from a few rows at a time: the channels of all rows would take more memory than their bins.
    """
    bin_of = _bin_of(columns, index, int(wide.column.max(initial=-1)) + 2)[wide.column]
    kept = np.flatnonzero(bin_of >= 0)
    kept = kept[np.argsort(bin_of[kept], kind="stable")]
    filled, starts = np.unique(bin_of[kept], return_index=True)
    alone = len(filled) == len(kept)
    n = padded(n_bins)
    each = None
    if weights is not None:
        each = _by_column(columns, weights, int(wide.column.max(initial=-1)) + 2)[wide.column[kept]]
    exact = alone and each is None and _is_single(wide) and n * wide.n_row >= SINGLE
    made = np.zeros((n, wide.n_row), np.float32 if exact else np.float64)
    for begin, end, rows in wide.blocks() if len(kept) else ():
        rows = rows[:, kept] if each is None else rows[:, kept] * each
        made[filled, begin:end] = (rows if alone else np.add.reduceat(rows, starts, axis=1)).T
    return made.reshape(-1, IN_BLOCK if exact else n, wide.n_row)


def _is_single(wide):
    """Whether no number has more digits than single precision: runs that overlap are sums."""
    row, end = wide.run_row, wide.first + wide.width
    overlap = (row[1:] == row[:-1]) & (wide.first[1:] < end[:-1])
    return wide.data.dtype.str[1:] == "f4" and not overlap.any()


def fold_wide(response, flux) -> np.ndarray:
    """Counts/s (n, n_channel) that fluxes (n, n_energy) make in the wider parts of a response.

    Block by block: all channels of all rows are never in memory.
    """
    flux = flux * response.area
    total = np.zeros((len(flux), len(response.channel)))
    for part in response.wide:
        starts = np.flatnonzero(np.diff(part.row, prepend=-1))
        on_rows = np.zeros((len(flux), part.n_row))
        on_rows[:, part.row[starts]] = np.add.reduceat(flux, starts, axis=1)
        kept = part.column >= 0
        for begin, end, rows in part.blocks():
            total[:, part.column[kept]] += (on_rows[:, begin:end] @ rows)[:, kept]
    return total


def _bin_of(columns, index, n_channel):
    """Bin of each channel of a response, -1 where it is dropped."""
    kept = np.flatnonzero(index >= 0)
    bin_of = np.full(n_channel, -1)
    bin_of[columns[kept]] = index[kept]
    return bin_of


def _by_column(columns, values, n_channel):
    """Values of the channels of a spectrum by their place in a response."""
    placed = np.zeros(n_channel)
    placed[columns] = values
    return placed


def find_pattern(plan, whole_grid=False, wide=()) -> Pattern:
    """Places of the elements of a plan's response that act on its bins.

    Parameters
    ----------
    plan : jaxspec.reduce.batch.Plan
    whole_grid : bool, keep all energies (models in which one bin depends on others).
    wide : sequence of arrays, what `group_wide` made of the wider parts.
    """
    matrix = plan.response.matrix
    n_energy, n_channel = matrix.shape
    bins = _bin_of(plan.columns, plan.index, n_channel)[matrix.indices]
    used = np.flatnonzero(bins >= 0)
    energy = np.repeat(np.arange(n_energy), np.diff(matrix.indptr))[used]
    first, last = 0, n_energy
    area_there = plan.response.area[energy]
    if not whole_grid:
        acting = [energy[(matrix.data[used] * area_there) != 0]]
        acting += [
            np.flatnonzero(rows.any(axis=(0, 1))[part.row] & (plan.response.area != 0))
            for part, rows in zip(plan.response.wide, wide, strict=True)
        ]
        acting = np.concatenate(acting)
        first, last = (acting.min(), acting.max() + 1) if acting.size else (0, n_energy)
    inside = (energy >= first) & (energy < last)
    return Pattern(
        matrix.indices, matrix.indptr, used[inside], used[~inside & (area_there != 0)],
        energy[inside] - first, bins[used[inside]], int(first), int(last),
    )  # fmt: skip


def fold(plan, pattern) -> Folding:
    """Grouped response of a plan whose matrix the pattern fits."""
    response, part = plan.response, slice(pattern.first, pattern.last)
    area = np.asarray(response.area[part], float)
    value = response.matrix.data[pattern.used] * area[pattern.energy]
    if plan.weights is not None:
        each = _by_column(plan.columns, plan.weights, response.matrix.shape[1])
        value = value * each[response.matrix.indices[pattern.used]]
    return Folding(
        np.asarray(response.e_lo[part], float),
        np.asarray(response.e_hi[part], float),
        pattern.energy,
        pattern.bin,
        value,
        (pattern.last - pattern.first, plan.n_bins),
    )


class Patterns:
    """Patterns found so far; responses whose elements lie at the same places share one."""

    def __init__(self, whole_grid=False):
        self.whole_grid, self.known, self.grouped, self.planned = whole_grid, {}, {}, {}

    def of(self, plan) -> Pattern:
        """Pattern of a plan."""
        if id(plan) not in self.planned:
            self.planned[id(plan)] = plan, self._find(plan)  # held, so that its id stays its own
        return self.planned[id(plan)][1]

    def _find(self, plan) -> Pattern:
        response = plan.response
        area = response.area != 0
        key = (plan.binning, response.matrix.shape, area.tobytes(), *map(id, response.wide))
        for pattern in self.known.setdefault(key, []):
            if pattern.fits(response.matrix):
                return pattern
        found = find_pattern(plan, self.whole_grid, self._wide(plan))
        self.known[key].append(found)
        return found

    def _wide(self, plan) -> list:
        """Grouped wider parts; equal ones, as with areas of their own, are made once."""
        made = []
        for part in plan.response.wide:
            key = id(part), plan.binning
            if key not in self.grouped:
                rows = group_wide(part, plan.columns, plan.index, plan.n_bins, plan.weights)
                self.grouped[key] = part, rows
            made.append(self.grouped[key][1])
        return made

    def wide_of(self, plan) -> list[WideFolding]:
        """Wider parts of a plan, cut to the energies of its pattern."""
        pattern, made = self.of(plan), []
        cut = slice(pattern.first, pattern.last)
        for part, rows in zip(plan.response.wide, self._wide(plan), strict=True):
            row = part.row[cut]
            made.append(WideFolding(row, plan.response.area[cut], rows))
        return made
