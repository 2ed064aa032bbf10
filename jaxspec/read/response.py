"""RMF, ARF and RSP: FITS extensions to `Response` (OGIP CAL/GEN/92-002 and its 2020 update)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxspec._checks import energy_gaps, energy_problem, fixed_matrix
from jaxspec._types import Response, Wide
from jaxspec.read.fits import HDU
from jaxspec.read.matrices import area_in, choose_ebounds, choose_matrices, refuse_wholes
from jaxspec.read.paths import Address
from jaxspec.read.plausible import bounds_notes, check_matrix, energies_note, file_notes
from jaxspec.read.units import square_centimetres

KEV = dict(ev=1e-3, kev=1.0, mev=1e3, gev=1e6, tev=1e9)
BLOCK = 2**22  # values that are looked at at once
# Elements, 1.5 MB, up to which a matrix on wider energy bins is spread and added. Apart, five fits
# of 1200, 2400 and 4800 channels took 20, 16 and 37 ms, spread 26, 76 and 480.
SPREAD = 2**17
_TINY = 1e-10  # of ENERG_HI: stands in for ENERG_LO = 0, where most models have a pole


def select_channels(response: Response, index, channel) -> Response:
    """Return the response with the channels at ``index`` only, which are called ``channel``."""
    index = np.asarray(index)
    if np.array_equal(index, np.arange(len(response.channel))):
        return response.replace(channel=channel)
    matrix = response.matrix[:, index]
    matrix.sort_indices()
    place = np.full(len(response.channel) + 1, -1)  # one more, for column -1
    place[index] = np.arange(len(index))
    return response.replace(
        matrix=fixed_matrix(matrix, copy=False),
        wide=tuple(replace(part, column=place[part.column]) for part in response.wide),
        channel=channel,
        e_min=response.e_min[index],
        e_max=response.e_max[index],
    )


# ---------------------------------------------------------------------------- columns


def numbers(hdu: HDU, name: str, kind=float) -> np.ndarray:
    """Scalar column as float or int64, finite."""
    if not hdu.has(name):
        raise hdu.fail(
            f"the column is missing, there are only {', '.join(hdu.columns) or 'none'}",
            name,
            "is this the right file or extension?",
        )
    column = hdu.columns[name]
    if column.is_vector or column.code in "ALX":
        raise hdu.fail("the column does not hold one number per row", name)
    values = hdu.column(name)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise hdu.fail(f"row {row + 1} is {values[row]}", name, "repair or remake the file")
    return values.astype(np.float64 if kind is float else np.int64)


def _energies(hdu: HDU, name: str):
    """Energy column in keV."""
    return numbers(hdu, name) * in_kev(hdu, name)


def in_kev(hdu: HDU, name: str) -> float:
    """Factor to keV of a column of energies, 1 where it has no unit."""
    unit = hdu.unit(name)
    if unit and unit.lower() not in KEV:
        raise hdu.fail(f"the unit is {unit!r}", name, "energies must be eV, keV, MeV, GeV or TeV")
    return KEV[unit.lower() or "kev"]


def energy_grid(hdu: HDU):
    """Ascending true-energy grid in keV, its rows in that order or None, and what was assumed."""
    e_lo, e_hi, notes = _energies(hdu, "ENERG_LO"), _energies(hdu, "ENERG_HI"), []
    if not len(e_lo):
        raise hdu.fail("has no rows")
    if np.all(e_lo >= e_hi) and np.any(e_lo > e_hi):
        e_lo, e_hi = e_hi, e_lo
        notes.append(f"{hdu.label}: ENERG_LO lies above ENERG_HI; exchanged")
    order = None
    if len(e_lo) > 2 and e_lo[0] >= e_hi[0] == e_lo[1] < e_lo[2] and _is_empty(hdu, 0):
        wrong, e_lo[0] = e_lo[0], max(e_hi[0] - (e_hi[1] - e_lo[1]), 0.5 * e_hi[0])
        notes.append(
            f"{hdu.label}: ENERG_LO of row 1, which has no channels, is {wrong:g}, above its "
            f"ENERG_HI; replaced by {e_lo[0]:g} keV"
        )
    if np.any(np.diff(e_lo) < 0):
        order = np.argsort(e_lo, kind="stable")
        e_lo, e_hi = e_lo[order], e_hi[order]
        notes.append(f"{hdu.label}: energies do not ascend; rows reordered")
    wide = e_hi != e_lo
    if wide.any() and not wide.all():  # CALDB PSPC: nothing falls into such a bin
        order = np.flatnonzero(wide) if order is None else order[wide]
        e_lo, e_hi = e_lo[wide], e_hi[wide]
        notes.append(f"{hdu.label}: {np.sum(~wide)} energy bins have no width; left out")
    if e_lo[0] == 0.0 < e_hi[0]:
        e_lo[0] = _TINY * e_hi[0]
        notes.append(f"{hdu.label}: the first ENERG_LO is 0; replaced by {e_lo[0]:.3g} keV")
    check_energies(hdu, e_lo, e_hi, notes)
    return e_lo, e_hi, order, notes


def check_energies(hdu, e_lo, e_hi, notes):
    """Raise `InputError` for energies that are no grid; say in ``notes`` where it has gaps."""
    if problem := energy_problem(e_lo, e_hi):
        units = [hdu.unit(name) or "blank" for name in ("ENERG_LO", "ENERG_HI")]
        if units[0] != units[1]:
            problem += f" (the units are {units[0]} and {units[1]})"
        raise hdu.fail(problem, "ENERG_LO", "correct the units and energies, or remake the file")
    if gaps := energy_gaps(e_lo, e_hi):
        notes.append(f"{hdu.label}: {gaps}")


def _is_empty(hdu, row):
    return hdu.has("N_GRP") and not np.any(hdu.row("N_GRP", row))


def _ebounds(hdu: HDU):
    """Channel numbers, ascending, with their nominal energies in keV."""
    channel, notes = numbers(hdu, "CHANNEL", int), []
    e_min, e_max = _energies(hdu, "E_MIN"), _energies(hdu, "E_MAX")
    if not len(channel):
        raise hdu.fail("has no channels")
    step = np.diff(channel)
    if np.any(step <= 0) and len(np.unique(channel)) < len(channel):
        channel = _stated_channels(hdu, len(channel))
        notes.append(f"{hdu.label}: CHANNEL repeats numbers; TLMIN to TLMAX is used instead")
        step = np.diff(channel)
    if np.any(step < 0):
        order = np.argsort(channel, kind="stable")
        channel, e_min, e_max = channel[order], e_min[order], e_max[order]
        notes.append(f"{hdu.label}: CHANNEL does not ascend; rows reordered")
    if np.any(e_min > e_max):
        e_min, e_max = np.minimum(e_min, e_max), np.maximum(e_min, e_max)
        notes.append(f"{hdu.label}: E_MIN lies above E_MAX in some channels; exchanged")
    notes += bounds_notes(hdu.label, channel, e_min, e_max)
    return channel, e_min, e_max, notes


def _stated_channels(hdu, n):
    """Channel numbers from TLMIN and TLMAX, for a CHANNEL column that cannot be right."""
    column = hdu.columns["CHANNEL"].n
    first, last = hdu.integer(f"TLMIN{column}"), hdu.integer(f"TLMAX{column}")
    if first is None or last is None or last - first + 1 != n:
        raise hdu.fail("a channel number occurs twice", "CHANNEL", "repair the response")
    return np.arange(first, last + 1)


# ---------------------------------------------------------------------------- matrix


class _Runs(NamedTuple):
    """One MATRIX extension: rows in the order of the file, channels counted from 0.

    ``e_lo, e_hi`` (n_energy,) keV, ascending, and ``order`` (n_energy,) the rows in that order, or
    None for all as they are; ``indptr`` (n_row + 1,) where the values of each row lie in ``data``;
    ``row, first, width`` (n_run,).
    """

    hdu: HDU
    e_lo: np.ndarray
    e_hi: np.ndarray
    order: np.ndarray | None
    row: np.ndarray
    first: np.ndarray
    width: np.ndarray
    indptr: np.ndarray
    data: np.ndarray


def _read_runs(hdu: HDU, channel):
    """`_Runs` of an extension, its values as they are stored, and what was assumed."""
    e_lo, e_hi, order, grid_notes = energy_grid(hdu)
    for name in ("F_CHAN", "N_CHAN", "MATRIX"):
        if not hdu.has(name):
            raise hdu.fail("the column is missing", name, "is this the right file or extension?")
    n_grp = numbers(hdu, "N_GRP", int)
    if np.any(n_grp < 0):
        raise hdu.fail(f"has the value {n_grp.min()}", "N_GRP")
    first, width = (_groups(hdu, name, n_grp) for name in ("F_CHAN", "N_CHAN"))
    if np.any(width < 0):
        raise hdu.fail(f"has the value {width.min()}", "N_CHAN")
    if np.any(width > len(channel)):
        raise hdu.fail(f"is {width.max()} but EBOUNDS has {len(channel)} channels", "N_CHAN")
    offset, notes = _channel_offset(hdu, first, width, channel)
    ends = np.concatenate([[0], np.cumsum(width)])
    indptr = ends[np.concatenate([[0], np.cumsum(n_grp)])]
    data = hdu.ragged("MATRIX", np.diff(indptr), native=False)
    for at in range(0, len(data), BLOCK):
        good = np.isfinite(data[at : at + BLOCK]) if data.dtype.kind == "f" else np.ones(1)
        if not good.all():
            row = int(np.searchsorted(indptr, at + np.argmin(good), "right"))
            raise hdu.fail(f"row {row} holds NaN or infinity", "MATRIX", "remake the response")
    check_matrix(hdu, indptr, data, notes)
    if (factor := square_centimetres(hdu.unit("MATRIX"))) not in (None, 1.0):
        notes.append(f"{hdu.label}: MATRIX is in {hdu.unit('MATRIX')}; multiplied by {factor:g}")
    row = np.repeat(np.arange(len(n_grp)), n_grp)
    runs = _Runs(hdu, e_lo, e_hi, order, row, first - offset, width, indptr, data)
    return runs, grid_notes + notes


def _values(runs):
    """Values of an extension in native byte order, a redistribution or cm2."""
    data = runs.data.astype(np.float32 if runs.data.dtype.str[1:] == "f4" else np.float64)
    factor = square_centimetres(runs.hdu.unit("MATRIX"))
    if factor not in (None, 1.0):
        data *= data.dtype.type(factor)
    return data


def _matrix(runs, channel):
    """One MATRIX extension as a csr_array, rows by ascending energy."""
    from scipy.sparse import csr_array

    row, first, width = runs.row, runs.first, runs.width
    ends = np.concatenate([[0], np.cumsum(width)])
    index = np.arange(ends[-1], dtype=np.int32) + np.repeat(
        (first - ends[:-1]).astype(np.int32), width
    )
    shape = (len(runs.indptr) - 1, len(channel))
    matrix = csr_array((_values(runs), index, runs.indptr.astype(np.int32)), shape=shape)
    if np.any((row[1:] == row[:-1]) & (first[1:] < (first + width)[:-1]) & (width[1:] > 0)):
        matrix.sum_duplicates()
    return matrix if runs.order is None else matrix[runs.order]


def _wide(runs, channel, row) -> Wide:
    """One MATRIX extension kept as its runs; ``row`` (n_energy,) acts at each fine energy."""
    at = np.full(len(runs.indptr) - 1, -1)
    at[slice(None) if runs.order is None else runs.order] = np.arange(len(runs.e_lo))
    starts = np.concatenate([[0], np.cumsum(runs.width)])[:-1]
    sort = np.argsort(at[runs.row], kind="stable")
    sort = sort[at[runs.row][sort] >= 0]  # rows of no width are left out
    swapped = runs.hdu.unit("MATRIX") != "" or runs.data.dtype.kind != "f"
    return Wide(
        row=row,
        n_row=len(runs.e_lo),
        run_row=at[runs.row][sort],
        first=runs.first[sort],
        width=runs.width[sort],
        start=starts[sort],
        column=np.arange(len(channel)),
        data=_values(runs) if swapped else runs.data,
    )


def _groups(hdu, name, n_grp) -> np.ndarray:
    if hdu.columns[name].code in "ALX":
        raise hdu.fail("the column does not hold numbers", name)
    values = hdu.ragged(name, n_grp)
    if values.dtype.kind == "f":
        whole = np.isfinite(values).all() and np.all(values == np.rint(values))
        if not whole or np.any(abs(values) > 2**31):
            raise hdu.fail("holds numbers that cannot be channels", name)
    return values.astype(np.int64)


def _channel_offset(hdu, first, width, channel):
    """F_CHAN of the first channel of EBOUNDS: TLMIN, or what makes all groups fit."""
    used = width > 0
    if not used.any():
        return 0, []
    low, high = first[used].min(), (first + width)[used].max()
    stated = hdu.integer(f"TLMIN{hdu.columns['F_CHAN'].n}")
    begin = int(channel[0])
    wanted = (1, 0, begin) if stated is None else (stated, begin) if stated >= 0 else (begin,)
    for offset in wanted:
        if low >= offset and high - offset <= len(channel):
            break
    else:
        raise hdu.fail(
            f"the groups span channels {low}-{high - 1} but EBOUNDS has {channel[0]}-{channel[-1]}",
            "F_CHAN",
            "is TLMIN of F_CHAN right, and EBOUNDS of the same response?",
        )
    if stated is None:
        why = "the default of 1" if offset == 1 else f"{offset}, since 1 does not fit EBOUNDS"
        return offset, [f"{hdu.label}: F_CHAN has no TLMIN; the first channel is taken as {why}"]
    if offset != stated:
        return offset, [
            f"{hdu.label}: TLMIN of F_CHAN is {stated}, which does not fit; {offset} is taken"
        ]
    if stated != begin:
        return offset, [
            f"{hdu.label}: TLMIN of F_CHAN is {stated} and EBOUNDS begins with channel {begin}; "
            f"F_CHAN {stated} is taken as channel {begin}"
        ]
    return offset, []


def _sum_matrices(parts, channel):
    """Add matrices; one with wider energy bins acts on every finer bin inside its own.

    Returns
    -------
    e_lo, e_hi, matrix, wide, notes
        ``wide`` holds what would be too large if it were spread over the finer bins.
    """
    finest, *others = sorted(parts, key=lambda p: -len(p.e_lo))
    e_lo, e_hi, total = finest.e_lo, finest.e_hi, _matrix(finest, channel)
    middle, slack, wide, notes = 0.5 * (e_lo + e_hi), 1e-3 * (e_hi - e_lo), [], []
    for other in others:
        hdu, lo, hi = other.hdu, other.e_lo, other.e_hi
        row = np.clip(np.searchsorted(lo, middle, "right") - 1, 0, len(lo) - 1)
        if len(lo) != len(e_lo):
            notes.append(f"{hdu.label} {hdu.index}: wider energy bins, applied to finer ones")
        if np.any(lo[row] > e_lo + slack) or np.any(hi[row] < e_hi - slack):
            raise hdu.fail(
                "its energy bins do not contain those of the other MATRIX extension",
                "ENERG_LO",
                "choose one extension with file[n] or file{n}",
            )
        sizes = np.diff(other.indptr)
        sizes = sizes if other.order is None else sizes[other.order]
        if len(lo) < len(e_lo) and sizes[row].sum() > SPREAD:
            wide.append(_wide(other, channel, row))
        else:
            total = total.astype(float) + _matrix(other, channel)[row]  # single would round sums
    return e_lo, e_hi, total, tuple(wide), notes


def parse_rmf(hdus, name: str, address=None, spare_ebounds=None) -> Response:
    """Build a response from the extensions of an RMF or RSP file.

    Parameters
    ----------
    hdus : list of HDU
    name : str
        Name for messages.
    address : Address or None
        MATRIX extensions that the user chose.
    spare_ebounds : HDU or None
        EBOUNDS from elsewhere (the spectrum), used if this file has none.

    Returns
    -------
    Response
        With an area of one everywhere.

    Raises
    ------
    InputError
        If extensions or columns are missing, there are several responses and no choice among them,
        or their numbers cannot be a response.
    """
    address = Address(name) if address is None else address
    found = choose_matrices(hdus, address)
    bounds: Any = choose_ebounds(hdus, found, spare_ebounds)
    channel, e_min, e_max, notes = _ebounds(bounds)
    own = [] if bounds is spare_ebounds else [bounds]
    notes += [f"{name}: {note}" for note in file_notes(hdus, [*own, *found])]
    if bounds is spare_ebounds:
        notes.append(f"{name}: no EBOUNDS; taken from the spectrum")
    parts = []
    for hdu in found:
        runs, more = _read_runs(hdu, channel)
        parts.append(runs)
        notes += more
    if len(parts) > 1 and address.numbers is None:
        refuse_wholes(parts)
    e_lo, e_hi, matrix, wide, sum_notes = _sum_matrices(parts, channel)
    if not matrix.data.any() and not any(part.data.any() for part in wide):
        notes.append(f"{name}: every element of the matrix is 0: is it damaged?")
    if note := energies_note(e_lo, e_hi, matrix, e_min, e_max):
        notes.append(f"{name}: {note}")
    if not parts[0].hdu.unit("MATRIX") and not _is_full(found[0]) and area_in(hdus, found):
        notes.append(
            f"{name}: holds an area (SPECRESP) too, which is used if it is named as ANCRFILE or arf"
        )
    if len(parts) > 1:
        notes.append(f"{name}: {len(parts)} MATRIX extensions summed")
    return Response(
        e_lo=e_lo,
        e_hi=e_hi,
        matrix=fixed_matrix(matrix, copy=False),
        area=np.ones(len(e_lo)),
        channel=channel,
        e_min=e_min,
        e_max=e_max,
        name=name,
        diagnostics=tuple(notes + sum_notes),
        wide=wide,
        full=_is_full(found[0]),
        telescope=str(found[0].get("TELESCOP") or "").strip(),
    )


def _is_full(hdu):
    return str(hdu.get("HDUCLAS3", "")).strip().upper() == "FULL"
