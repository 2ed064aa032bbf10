"""Columns of a spectrum with what may be wrong in them: repaired as XSPEC does, and said.

Each function takes a row of `jaxspec.read.pha`, adds to its ``notes`` what was repaired, and raises
`InputError` for what cannot be repaired.
"""

from __future__ import annotations

import numpy as np

from jaxspec.read.plausible import (
    FAINTEST,
    LEAST_ERROR,
    LEAST_SCALE,
    LONELY,
    MOST_ERROR,
    MOST_RATE,
    MOST_SCALE,
    PERCENT,
    UNLIKE,
)
from jaxspec.read.units import counted

NEVER = (1, 5)  # QUALITY of channels that are never used


def quality_flags(table, n):
    """QUALITY (n,) as int16, or None where it is 0 throughout; outside of 0 to 5 it becomes 0."""
    values = table.vector("QUALITY", n)
    if values is None or (np.ndim(values) == 0 and values == 0):
        return None
    values = np.broadcast_to(values, n).astype(float)
    wrong = ~((values >= 0) & (values <= 5))
    if wrong.any():
        table.notes.append(f"QUALITY is not 0 to 5 in {wrong.sum()} channels; taken as 0 there")
        values[wrong] = 0
    return values.astype(np.int16)


def grouping_flags(table, n):
    """GROUPING (n,) as int16, or None where no channels are joined; not -1, 0 or 1 becomes 1."""
    values = table.vector("GROUPING", n)
    if values is None:
        return None
    if np.ndim(values) == 0:
        if values not in (0.0, 1.0):
            table.notes.append(f"the keyword GROUPING is {values:g}; no channels are joined")
        return None
    wrong = ~np.isin(values, (-1, 0, 1))
    if wrong.any():
        table.notes.append(
            f"GROUPING is not -1, 0 or 1 in {wrong.sum()} channels; taken as 1 there"
        )
        values = np.where(wrong, 1, values)
    return values.astype(np.int16) if values.any() else None


def note_lost_starts(table, quality, grouping):
    """Say where a group begins at a channel of QUALITY 1, which has no part in the grouping."""
    if quality is None or grouping is None:
        return
    there = np.flatnonzero(quality != 1)
    lost = np.diff(np.cumsum((grouping == 1) & (quality == 1))[there], prepend=0) > 0
    number = int(np.sum(lost[1:] & (grouping[there][1:] == -1)))
    if number:
        table.notes.append(
            f"{number} groups begin at a channel of QUALITY 1, which is as if it were not there: "
            "what is left of them continues the group before, as in XSPEC"
        )


def forgive(table, name, values, wrong, quality, remedy="repair the file"):
    """Put 0 where ``wrong`` (n,) and QUALITY says bad; those channels are never used.

    Parameters
    ----------
    values : (n,) float, changed in place.
    quality : (n,) int16 or None, changed in place: 2 to 4 become 5, which is always dropped.
    """
    if not wrong.any():
        return values
    good = np.ones(len(values), bool) if quality is None else quality == 0
    if np.any(wrong & good):
        i = int(np.argmax(wrong & good))
        raise table.fail(f"row {i + 1} is {values[i]}", name, remedy)
    table.notes.append(f"{name} is no number in {wrong.sum()} bad channels, which are never used")
    values[wrong], table.lost = 0.0, table.lost | wrong
    assert quality is not None  # else all channels are good, and one that is wrong has raised
    quality[wrong & ~np.isin(quality, NEVER)] = 5
    return values


def error_column(table, name, n, factor, quality, unused=False):
    """STAT_ERR or SYS_ERR (n,); None where it is absent, or zero throughout.

    ``unused``: POISSERR says that it has no meaning; what cannot be errors is left out then.
    """
    values = table.vector(name, n)
    if values is None or (np.ndim(values) == 0 and values == 0):
        return None
    values = np.broadcast_to(np.asarray(values) * factor, n).copy()
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any() and unused:
        table.notes.append(f"{name} holds numbers that are no errors; POISSERR is T: left out")
        return None
    if name == "SYS_ERR":
        wrong |= values > PERCENT
    if name == "SYS_ERR" and np.any(values[~wrong] >= 1):
        number = np.sum(values >= 1)
        table.notes.append(f"SYS_ERR is a fraction and 1 or more in {number} channels: per cent?")
    remedy = "repair the file"
    if name == "SYS_ERR":
        remedy += "; it is a fraction of the counts"
    if name == "STAT_ERR":
        remedy += ", or read it with poisserr=True if the counts are Poisson"
    return forgive(table, name, values, wrong, quality, remedy)


def without_errors(table, channel, counts, errors, quality):
    """QUALITY (n,) with 5 where STAT_ERR is 0, or next to it, among real errors.

    Such a channel would outweigh all others, or be given an error that nobody has measured. Counts
    of 0 may have any error where the others are sqrt(counts): they are Poisson.

    Parameters
    ----------
    channel, counts, errors : (n,)
    quality : (n,) int16 or None
    """
    good = np.ones(len(counts), bool) if quality is None else ~np.isin(quality, NEVER)
    seen = good & (counts != 0)
    share = np.divide(errors, abs(counts), out=np.zeros(len(counts)), where=seen)
    real = seen & (share > 0)
    if not real.any():
        return quality  # no errors at all: said where they are needed
    typical = float(np.median(share[real]))
    if not LEAST_ERROR < typical < MOST_ERROR:
        table.notes.append(f"STAT_ERR is {typical:.3g} of the counts on the median: is it damaged?")
    none = seen & (share < LEAST_ERROR) & (share < UNLIKE * typical)
    real &= ~none
    if np.any(abs(errors - np.sqrt(abs(counts)))[real] > UNLIKE * errors[real]):
        none |= good & (errors == 0)
    if not none.any():
        return quality
    which = ", ".join(str(c) for c in channel[none][:3]) + (", ..." if none.sum() > 3 else "")
    what = "is" if none.sum() == 1 else "are"
    table.notes.append(
        f"STAT_ERR is {errors[none].max():.3g} in {none.sum()} channels ({which}) and real in "
        f"others; these {what} left out".replace("these is", "this is")
    )
    quality = np.zeros(len(counts), np.int16) if quality is None else quality.copy()
    quality[none] = 5
    return quality


def scaling(table, name, n, quality):
    """AREASCAL or BACKSCAL: float, or an array if it is a column; 1 if it is absent or 0."""
    values = table.vector(name, n)
    if values is None:
        return 1.0
    if np.ndim(values) == 0:
        if values == 0:
            table.notes.append(f"{name} is 0; taken as 1")
            return 1.0
        if not 0 < values < np.inf:
            raise table.fail(f"{name} is {values:g}, it must be positive", remedy="set it to 1")
        return values
    good = np.ones(n, bool) if quality is None else quality == 0
    wrong = ~(np.isfinite(values) & (values > 0))
    real = wrong & good & (values != 0)
    if real.any():
        i = int(np.argmax(real))
        raise table.fail(f"row {i + 1} is {values[i]:g}, it must be positive", name)
    odd = good & ~wrong & ((values < LEAST_SCALE) | (values > MOST_SCALE))
    if odd.any():
        i = int(np.argmax(odd))
        table.notes.append(f"{name} of row {i + 1} is {values[i]:.3g}: is its TFORM right?")
    if np.any(wrong & good):
        table.notes.append(f"{name} is 0 in {np.sum(wrong & good)} channels; taken as 1 there")
    if np.any(wrong & ~good):
        number = np.sum(wrong & ~good)
        table.notes.append(f"{name} is not positive in {number} bad channels; 1 is put there")
        table.lost = table.lost | (wrong & (values != 0))
    values[wrong] = 1.0
    return values


def count_factor(table, name, values, exposure):
    """Counts in one of ``values`` (n_channel,), by the name of the column, TUNIT and HDUCLAS3."""
    unit, is_rate = table.hdu.unit(name), name != "COUNTS"
    found = counted(unit)
    if found is None:
        taken = "counts/s" if is_rate else "counts"
        table.notes.append(f"{name} has the unit {unit!r}, which is not known; taken as {taken}")
    kind, factor = ("rate" if is_rate else "count", 1.0) if found is None else found
    if kind == "density":
        raise table.fail(
            f"the unit is {unit!r}", name, "it must hold the counts or counts/s of each channel"
        )
    if kind == "rate" and not is_rate:
        table.notes.append(f"COUNTS has the unit {unit!r}; read as a rate")
    if kind == "count" and is_rate and unit:
        table.notes.append(f"{name} has the unit {unit!r}; read as a rate, by its name")
    if str(table.scalar("HDUCLAS3", "")).strip().upper() == "RATE" and kind == "count":
        if not is_rate and not unit and not are_whole(values):
            table.notes.append("HDUCLAS3 is RATE, and COUNTS are not whole; read as a rate")
            kind = "rate"
        elif not is_rate:
            table.notes.append("HDUCLAS3 is RATE but the column is COUNTS; read as counts")
    return factor * (exposure if is_rate or kind == "rate" else 1.0)


def note_odd_counts(table, name, counts, exposure):
    """Say what is odd about counts (n_channel,): negative, next to nothing, too many, a spike."""
    if np.any(counts < 0):
        table.notes.append(f"{name} is negative in {np.sum(counts < 0)} channels")
    size = abs(counts)
    faint = (size > 0) & (size < FAINTEST)
    if faint.any():
        i = int(np.argmax(faint))
        table.notes.append(f"{name} of row {i + 1} is {counts[i]:.3g}: is its TFORM right?")
    if size.sum() > MOST_RATE * exposure:
        table.notes.append(
            f"{name} adds up to {size.sum():.3g} counts in {exposure:g} s: is its TFORM right?"
        )
    i = int(np.argmax(size))
    others = size.sum() - size[i]
    if 0 < i < len(size) - 1 and size[i] > LONELY * max(others, 1000.0 / LONELY) and others > 0:
        table.notes.append(
            f"{name} of row {i + 1} is {counts[i]:.6g} counts, all others together are "
            f"{others:.6g}: is it damaged?"
        )


def error_factor(table, name, factor, exposure):
    """Counts in one of STAT_ERR, by its own TUNIT; ``factor``, that of ``name``, if it has none."""
    unit = table.hdu.unit("STAT_ERR") if "STAT_ERR" in table.columns else ""
    found, own = counted(unit), counted(table.hdu.unit(name))
    if not unit or (name != "COUNTS" and "COUNTS" not in table.columns and own == found):
        return factor
    if found is None or found[0] == "density":
        table.notes.append(f"STAT_ERR has the unit {unit!r}; taken as that of {name}")
        return factor
    made = found[1] * (exposure if found[0] == "rate" else 1.0)
    if made != factor:
        table.notes.append(f"STAT_ERR is in {unit}, {name} is not; each is read in its own unit")
    return made


def are_whole(values):
    """Whether all finite numbers are whole."""
    values = values[np.isfinite(values)]
    return bool(np.all(values == np.rint(values)))


def poisserr_flag(table, given):
    """POISSERR as True, False, or None where nobody says."""
    if given is not None:
        return bool(given)
    flag = table.scalar("POISSERR")
    if isinstance(flag, str):
        text = flag.strip().upper()
        return text.startswith("T") if text in ("T", "TRUE", "F", "FALSE") else None
    if flag is not None and flag not in (0, 1):
        table.notes.append(f"POISSERR is {flag}, not T or F; taken as T")
    return None if flag is None else bool(flag)
