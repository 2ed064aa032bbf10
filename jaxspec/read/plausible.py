"""What the numbers of a response and of a spectrum can be, and what is said of those that are odd.

Each limit is far from anything that an instrument gives. What cannot be raises `InputError`; what
may be meant becomes a sentence among the diagnostics.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from jaxspec._checks import ROUNDING, bounds_ascend
from jaxspec._types import mjd_start, observed_seconds

AREA = 1e14  # cm2; the largest telescopes, of showers in the air or in water, have 1e11
NEGATIVE = 0.5  # of the positive sum of a row; it reaches 0.12 in a matrix of EPIC-pn
SPIKE = 1e3  # times both neighbours; an absorption edge is a factor of ten at most
ONE_COUNT = 1.1  # sum of a row of a redistribution, above which a photon makes several counts
EXPOSURE = 1e13  # seconds, 300 000 years; many detectors may be added up in one spectrum
SEVERAL = 20.0  # detectors or observations whose exposures may be added up in a span of time
COUNTABLE = 1e15  # counts of a channel; above, a double does not hold every whole number
MOST_RATE = 1e8  # counts/s; the brightest source gave 1e5 in the largest detector
FAINTEST = 1e-35  # counts of a channel; below lie whole numbers that are read as real ones
LONELY = 10.0  # times the counts of all other channels together
LEAST_SCALE, MOST_SCALE = 1e-20, 1e15  # of AREASCAL and BACKSCAL, in whatever unit of area
PERCENT = 100.0  # SYS_ERR of more is beyond the counts even if it is meant in per cent
MOST_ERROR = 1e4  # of the counts, on the median
LEAST_ERROR = 1e-7  # of the counts: sqrt(N) / N needs 1e14 counts for it
LATEST = 1e5  # MJD, of the year 2132
APART = 30.0  # times; energies of photons and channels, eV beside keV are 1000
UNLIKE = 1e-3  # of the relative errors of the other channels
_ONCE = ("EXPOSURE", "AREASCAL", "BACKSCAL", "CORRSCAL", "POISSERR", "RESPFILE", "ANCRFILE")
_ONCE += ("BACKFILE", "CORRFILE", "HDUCLAS3", "TELESCOP")


def check_matrix(hdu, indptr, data, notes):
    """Look at the values of a MATRIX extension, row by row.

    Parameters
    ----------
    hdu : HDU
    indptr : (n_row + 1,) int, where the values of each row lie in ``data``.
    data : (n_value,) finite numbers, of any byte order.
    notes : list of str, added to.

    Raises
    ------
    InputError
        Negative values that are no rounding, or values beyond any area.
    """
    rows = np.flatnonzero(np.diff(indptr))
    if not len(rows):
        return
    low, high = float(data.min()), float(data.max())
    if high > AREA:
        raise hdu.fail(
            f"row {_row_of(indptr, data.argmax())} holds {high:g}, more than any area in cm2",
            "MATRIX",
            "remake the response",
        )
    sums = np.add.reduceat(data, indptr[rows], dtype=float)
    if low < 0:
        _check_negative(hdu, indptr, data, rows, sums, notes)
    inner = sums[1:-1]
    spikes = inner > SPIKE * np.maximum(np.maximum(sums[2:], sums[:-2]), 0.0)
    spikes &= np.minimum(sums[2:], sums[:-2]) > 0
    if spikes.any():
        i = int(np.argmax(spikes))
        notes.append(
            f"{hdu.label}: row {rows[i + 1] + 1} adds up to {inner[i]:.4g}, its neighbours to "
            f"{sums[i]:.4g} and {sums[i + 2]:.4g}: is it damaged?"
        )
    kind = str(hdu.get("HDUCLAS3", "")).strip().upper()
    if kind == "REDIST" and sums.max() > ONE_COUNT and not hdu.unit("MATRIX"):
        notes.append(
            f"{hdu.label}: HDUCLAS3 is REDIST but row {rows[sums.argmax()] + 1} adds up to "
            f"{sums.max():.4g} counts for a photon: does it hold the area?"
        )


def _row_of(indptr, at):
    return int(np.searchsorted(indptr, at, "right"))


def _check_negative(hdu, indptr, data, rows, sums, notes):
    positive = np.add.reduceat(np.maximum(data, 0), indptr[rows], dtype=float)
    lost = positive - sums
    i = int(np.argmax(lost - NEGATIVE * positive))
    low, number = float(data.min()), int(np.sum(data < 0))
    if lost[i] > NEGATIVE * positive[i]:
        raise hdu.fail(
            f"row {rows[i] + 1} holds negative values that add up to {-lost[i]:.4g}, the others to "
            f"{positive[i]:.4g}",
            "MATRIX",
            "remake the response",
        )
    notes.append(f"{hdu.label}: {number} elements are negative, the least {low:.3g}; used as such")


def check_areas(hdu, area):
    """Raise `InputError` for areas (n_energy,) cm2 beyond any telescope's."""
    if area.max(initial=0.0) > AREA:
        at = int(area.argmax())
        raise hdu.fail(f"row {at + 1} is {area[at]:g} cm2, more than any area", "SPECRESP")


def bounds_notes(label, channel, e_min, e_max) -> list[str]:
    """What is odd about the energies of channels (n_channel,), in sentences."""
    if not np.any(e_max > e_min):
        return [f"{label}: the channels have no energies (E_MIN is {e_min[0]:g}); notice channels"]
    notes, empty = [], ~(e_max > e_min)
    if empty.any():
        i = int(np.argmax(empty))
        notes.append(
            f"{label}: {empty.sum()} channels have no width in energy, the first is {channel[i]} "
            f"at {e_min[i]:g} keV"
        )
    if not bounds_ascend(e_min, e_max):
        step = np.diff(e_min) if np.any(np.diff(e_min) < 0) else np.diff(e_max)
        up = np.sum(step > 0) >= np.sum(step < 0)
        i = int(np.argmax(step < 0 if up else step > 0))
        return [
            *notes,
            f"{label}: the energies of the channels are out of order at channel {channel[i + 1]}, "
            f"{e_min[i + 1]:.6g}-{e_max[i + 1]:.6g} keV after {e_min[i]:.6g}-{e_max[i]:.6g}; "
            "notice channels",
        ]
    first, last = (e_min[1:], e_max[:-1]) if e_min[-1] >= e_min[0] else (e_min[:-1], e_max[1:])
    width = e_max - e_min
    off = abs(first - last) > 0.5 * np.minimum(width[1:], width[:-1]) + ROUNDING * abs(last)
    if off.any():
        i = int(np.argmax(off))
        notes.append(
            f"{label}: the energies of {off.sum()} neighbouring channels do not meet, the first "
            f"are channels {channel[i]}, {e_min[i]:.6g}-{e_max[i]:.6g} keV, and {channel[i + 1]}, "
            f"{e_min[i + 1]:.6g}-{e_max[i + 1]:.6g}"
        )
    return notes


def energies_note(e_lo, e_hi, matrix, e_min, e_max) -> str:
    """What to say where the energies of photons and those of their channels are worlds apart.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    matrix : csr_array (n_energy, n_channel)
    e_min, e_max : (n_channel,) keV
    """
    rows = np.flatnonzero(np.diff(matrix.indptr))
    rows = rows[:: max(1, len(rows) // 16)]
    nominal, ratios = 0.5 * (e_min + e_max), []
    for row in rows:
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        peak = nominal[matrix.indices[part][np.argmax(matrix.data[part])]]
        if peak > 0:
            ratios.append(0.5 * (e_lo[row] + e_hi[row]) / peak)
    if len(ratios) and not 1 / APART < np.median(ratios) < APART:
        return (
            f"photons of {e_lo[0]:.4g}-{e_hi[-1]:.4g} keV are seen in channels that are called "
            f"{e_min.min():.4g}-{e_max.max():.4g} keV: is one of the units wrong?"
        )
    return ""


def times_notes(header, exposure) -> list[str]:
    """What is odd about the times of a header, in sentences; ``exposure`` in seconds."""
    notes, begin = [], mjd_start(header)
    if begin > LATEST:
        notes.append(f"TSTART and MJDREF give MJD {begin:.6g}, far in the future: is one wrong?")
    span = observed_seconds(header)
    if span is not None and span < 0:
        notes.append(f"TSTOP is {-span:.6g} s before TSTART")
    in_seconds = str(header.get("TIMEUNIT", "s")).strip().lower().startswith("s")
    if span is not None and in_seconds and 0 < SEVERAL * span < exposure:
        notes.append(
            f"EXPOSURE is {exposure:.6g} s, but TSTOP - TSTART is {span:.6g} s: is it in seconds?"
        )
    return notes


def scales_note(own, other, name) -> tuple[str, ...]:
    """What to say where AREASCAL of a spectrum and of its background are worlds apart."""
    own, other = float(np.mean(own)), float(np.mean(other))
    if 1 / APART < other / own < APART:
        return ()
    return (f"AREASCAL of the {name} is {other:.4g}, that of the spectrum {own:.4g}: is it right?",)


def file_notes(hdus, used) -> list[str]:
    """What is odd about a file and the extensions that are used of it, in sentences."""
    rest = _rest(hdus)
    notes = [rest] if rest else []
    for hdu in used:
        end = hdu.start + hdu.size
        if hdu.raw[end : end + -hdu.size % 2880].strip(b"\0 "):
            notes.append(
                f"{hdu.label}: the data go on behind row {hdu.n_rows}, the last by NAXIS2; not read"
            )
        stated = str(hdu.get("DATASUM", "")).strip()
        if stated.isdigit() and int(stated) != hdu.data_sum:
            notes.append(
                f"{hdu.label}: DATASUM does not fit: the data were changed afterwards (some tools "
                "leave it as it was), or are damaged"
            )
        head = hdu.raw[hdu.begin : hdu.end]
        cards = Counter(head[i : i + 9] for i in range(0, len(head), 80))
        twice = [key for key in _ONCE if cards[b"%-8b=" % key.encode()] > 1]
        if twice:
            said = ", ".join(f"{key} = {hdu.get(key)}" for key in twice)
            notes.append(f"{hdu.label}: several values of a keyword; the first is taken: {said}")
    return notes


def _rest(hdus) -> str:
    """What is in a file after its extensions, in a sentence, or an empty text."""
    last = hdus[-1]
    raw, end = last.raw, last.start + last.size
    if end > len(raw):
        return f"the file ends {end - len(raw)} bytes inside of {last.label}: was it cut short?"
    end += -last.size % 2880
    if end > len(raw):
        return f"the file ends inside of the last block of {last.label}: was it cut short?"
    rest = raw[end:]
    if not rest.strip(b"\0 "):
        return ""
    if rest[:8] == b"XTENSION":
        return f"the header of extension {len(hdus)} is damaged; what follows it is not read"
    return f"{len(rest)} bytes after the last extension are none; not read"
