"""PHA extensions, type I and II, to `Spectrum` (OGIP 92-007 and 92-007a), links not followed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxspec._types import Spectrum
from jaxspec._units import seconds_in
from jaxspec.read.choose import COUNTED
from jaxspec.read.fits import HDU
from jaxspec.read.match import channel_limits, take_channels
from jaxspec.read.paths import is_set
from jaxspec.read.plausible import COUNTABLE, EXPOSURE, file_notes, times_notes
from jaxspec.read.repair import (
    are_whole,
    count_factor,
    error_column,
    error_factor,
    forgive,
    grouping_flags,
    note_lost_starts,
    note_odd_counts,
    poisserr_flag,
    quality_flags,
    scaling,
    without_errors,
)

_TEXT_KEYS = (
    "TELESCOP INSTRUME DETNAM FILTER OBJECT OBS_ID DATE-OBS DATE-END TIME-OBS TIME-END TIMESYS "
    "TIMEUNIT CHANTYPE HDUCLAS2 BACKFILE RESPFILE ANCRFILE CORRFILE"
).split()
_NUMBER_KEYS = (
    "TSTART TSTARTI TSTARTF TSTOP TSTOPI TSTOPF MJDREF MJDREFI MJDREFF TIMEZERO "
    "RA_OBJ DEC_OBJ RA_PNT DEC_PNT DETCHANS CORRSCAL"
).split()


class _Row:
    """One spectrum of a table: every keyword may be a column, which then comes first."""

    def __init__(self, hdu: HDU, primary: HDU, row: int | None):
        self.hdu, self.primary, self.row = hdu, primary, row
        self.columns = hdu.columns
        self.notes: list[str] = []
        self.lost: Any = False  # whether each channel had something that is no number

    def fail(self, problem, column=None, remedy=None):
        return self.hdu.fail(problem, column, remedy)

    def get(self, key, default=None) -> Any:
        """Column values (all rows for type I, this row for type II), else the keyword."""
        if key not in self.columns:
            return self.hdu.get(key, default)
        if self.row is None:
            if self.columns[key].is_vector:
                raise self.fail("the column holds arrays but the spectrum is of type I", key)
            return self.hdu.column(key)
        return self.hdu.row(key, self.row)

    def scalar(self, key, default=None):
        """One value: a keyword, or a column that is the same in all channels."""
        if key not in self.columns:
            return self.hdu.get(key, default)
        value = self.get(key)
        if isinstance(value, np.ndarray):
            if not value.size or np.any(value != value.flat[0]):
                raise self.fail("the value must be the same in all channels", key)
            value = value.flat[0]
        if isinstance(value, np.generic):
            value = value.item()
        return value.decode("latin-1").strip() if isinstance(value, bytes) else value

    def text(self, key):
        """Text of a keyword, else of the primary header; None if absent."""
        value = self.scalar(key)
        return self.primary.get(key) if value is None else value

    def vector(self, key, n) -> Any:
        """Float values per channel, or one float for a keyword; None if absent."""
        value = self.get(key)
        if value is None:
            return None
        if np.ndim(value) == 0:
            return self._float(key, value)
        if len(value) != n:
            raise self.fail(f"has {len(value)} values for {n} channels", key)
        if value.dtype.kind not in "iufb":
            raise self.fail("the column does not hold numbers", key)
        return value.astype(np.float64)

    def _float(self, key, value):
        if isinstance(value, bytes | np.bytes_):
            value = value.decode("latin-1")
        try:
            if value is True:  # of type bool, which would be 1
                raise ValueError
            return float(value)
        except ValueError:
            raise self.fail(f"{key} is {value!r}, not a number") from None


def parse_pha(
    hdus,
    hdu: HDU,
    row: int | None,
    name: str,
    *,
    exposure=None,
    poisserr=None,
    argument=None,
    unused=None,
) -> Spectrum:
    """Build one spectrum, without background and response.

    Parameters
    ----------
    hdus : list of HDU
        All extensions of the file.
    hdu : HDU
        The SPECTRUM extension.
    row : int or None
        Row from 0 in a type II file.
    name : str
        Name for tables.
    exposure : float or None
        Seconds; in place of EXPOSURE.
    poisserr : bool or None
        In place of POISSERR.
    argument : str or None
        For a background or correction, the argument as which it may be given.
    unused : (n_channel,) bool or None
        Of a background: channels that are bad in the spectrum, so that nothing is asked of them.

    Returns
    -------
    Spectrum
        Channels ascend. Counts of a background or correction are NaN where it has no numbers.

    Raises
    ------
    InputError
        Naming the column or keyword that is missing or cannot be right.
    """
    table = _Row(hdu, hdus[0], row)
    table.notes += file_notes(hdus, [hdu])
    channel = _channels(table)
    n = len(channel)
    exposure = _exposure(table, exposure, argument)
    quality, grouping = quality_flags(table, n), grouping_flags(table, n)
    flags = quality
    if unused is not None and len(unused) != n:
        unused = None  # other channels: compared, or refused, where they are matched
    if unused is not None and unused.any():
        flags = np.where(unused, 5, 0 if quality is None else quality).astype(np.int16)
    counts, factor = _counts(table, n, exposure, flags)
    flag = poisserr_flag(table, poisserr)
    note_lost_starts(table, quality, grouping)
    stat_err = error_column(table, "STAT_ERR", n, factor, flags, unused=flag is True)
    if flag is not True and stat_err is not None:
        quality = without_errors(table, channel, counts, stat_err, quality)
    sys_err = error_column(table, "SYS_ERR", n, 1.0, flags)
    areascal, backscal = (scaling(table, key, n, flags) for key in ("AREASCAL", "BACKSCAL"))
    if argument is not None:  # where it is bad, but not the spectrum
        if quality is not None and flag is not False:
            table.lost = table.lost | ((counts < 0) & (quality > 0))
        counts = np.where(table.lost & (True if unused is None else ~unused), np.nan, counts)
    spectrum = Spectrum(
        name=name,
        channel=channel,
        counts=counts,
        exposure=exposure,
        stat_err=stat_err,
        sys_err=sys_err,
        quality=quality,
        grouping=grouping,
        areascal=areascal,
        backscal=backscal,
        poisserr=_poisserr(table, counts, stat_err, flag, given=poisserr is not None),
        path=hdu.file,
        header=_header(table, n),
        diagnostics=(),
        sha256=hdu.file_sha256,
    )
    spectrum = _ascending(spectrum, hdu)
    table.notes += times_notes(spectrum.header or {}, spectrum.exposure)
    return spectrum.replace(diagnostics=tuple(table.notes))


def _channels(table):
    if "CHANNEL" not in table.columns:
        n = len(np.atleast_1d(table.get(_counts_name(table))))
        if not n:
            raise table.fail("has no channels")
        table.notes.append(f"there is no CHANNEL column; channels are numbered from 1 to {n}")
        return np.arange(1, n + 1)
    channel = np.atleast_1d(table.get("CHANNEL"))
    if channel.dtype.kind not in "iuf":
        raise table.fail("the column does not hold numbers", "CHANNEL")
    if not len(channel):
        raise table.fail("has no channels", "CHANNEL")
    if channel.dtype.kind == "f" and not np.all(np.isfinite(channel) & (abs(channel) < 2**31)):
        raise table.fail("holds numbers that cannot be channels", "CHANNEL")
    channel = channel.astype(np.int64)
    if np.any(channel[1:] <= channel[:-1]) and len(np.unique(channel)) != len(channel):
        raise table.fail("a channel number occurs twice", "CHANNEL")
    return channel


def _exposure(table, given, argument):
    remedy = "pass exposure=... in seconds"
    if argument is not None:
        remedy = f"read it by itself with its exposure, and pass that Spectrum as {argument}=..."
    value = table.scalar("EXPOSURE") if given is None else given
    if value is None:
        raise table.fail(f"EXPOSURE is missing{_other_times(table)}", remedy=remedy)
    value = table._float("EXPOSURE", value)
    if given is None:
        value *= _exposure_factor(table, value)
    if not (math.isfinite(value) and value > 0):
        raise table.fail(f"EXPOSURE is {value:g} s, it must be positive", remedy=remedy)
    if value > EXPOSURE:
        years = value / 31557600.0
        raise table.fail(f"EXPOSURE is {value:g} s, {years:.3g} years", remedy=remedy)
    return value


def _other_times(table):
    """What the headers have in place of EXPOSURE, for the message; it may be another time."""
    found = {key: table.hdu.get(key) for key in ("LIVETIME", "ONTIME", "EXPTIME")}
    found["EXPOSURE in the primary header"] = table.primary.get("EXPOSURE")
    text = ", ".join(f"{key} is {value}" for key, value in found.items() if value is not None)
    return f" ({text})" if text else ""


def _exposure_factor(table, value):
    """Seconds in the unit of EXPOSURE: TUNIT of the column, else the comment of the keyword.

    The FITS standard puts the unit of a keyword in brackets before its comment, as in "[ms] time";
    a comment that is nothing but a unit says it too.
    """
    stated = "EXPOSURE" in table.columns
    unit = table.hdu.unit("EXPOSURE") if stated else table.hdu.comment("EXPOSURE")
    if not stated and unit[:1] == "[":
        stated, unit = True, unit[1:].partition("]")[0]
    if not stated and len(unit.split()) != 1:
        return 1.0
    factor = seconds_in(unit)
    if factor is None and stated and unit.strip():
        table.notes.append(f"EXPOSURE has the unit {unit!r}, which is not known; taken as seconds")
    if factor in (None, 1.0):
        return 1.0
    table.notes.append(f"EXPOSURE is {value:g} in another unit; taken as {value * factor:g} s")
    return factor


def _counts_name(table):
    name = next((c for c in COUNTED if c in table.columns), None)
    if name is None:
        raise table.fail(
            f"COUNTS or RATE is missing, there are only {', '.join(table.columns)}",
            remedy="is this a PHA file?",
        )
    return name


def _counts(table, n, exposure, quality):
    """Return the counts, and the factor that turns STAT_ERR into counts."""
    name = _counts_name(table)
    values = np.atleast_1d(table.vector(name, n))
    if len(values) != n:
        raise table.fail(f"has {len(values)} values for {n} channels", name)
    factor = count_factor(table, name, values, exposure)
    wrong = ~(np.isfinite(values) & (abs(values * factor) <= COUNTABLE))
    values = forgive(table, name, values * factor, wrong, quality)
    note_odd_counts(table, name, values, exposure)
    if name != "COUNTS" and "COUNTS" in table.columns:
        table.notes.append(f"{name} and COUNTS are both there; {name} is taken, as XSPEC does")
    factor = error_factor(table, name, factor, exposure)
    return values, factor


def _poisserr(table, counts, stat_err, flag, given):
    if flag is not None:
        if not flag and stat_err is None and not given:
            table.notes.append("POISSERR is F but there is no STAT_ERR; Poisson errors are assumed")
            return True
        return flag
    whole = are_whole(counts)
    flag = stat_err is None
    kind, error = "whole" if whole else "not whole", "no" if flag else "a"
    stated = table.scalar("POISSERR")
    found = "missing" if stated is None else f"{stated!r}, neither T nor F"
    table.notes.append(
        f"POISSERR is {found}; counts are {kind} and there is {error} STAT_ERR, so {'FT'[flag]}"
    )
    return flag


def _header(table, n):
    header = {}
    for key in _TEXT_KEYS:
        value = table.text(key)
        if value is not None:
            header[key] = value if isinstance(value, str) else str(value)
    for key in _NUMBER_KEYS:
        value = table.text(key)
        if value is None:
            continue
        try:
            value = float(value) if isinstance(value, str) else value
        except ValueError:
            value = math.nan
        if math.isfinite(value) and not isinstance(value, bool):
            header[key] = value
        elif key != "CORRSCAL" or is_set(header.get("CORRFILE")):
            table.notes.append(f"{key} is not a number; left out")
    if header.get("DETCHANS", n) < n:
        table.notes.append(f"DETCHANS is {header.pop('DETCHANS'):g} for {n} channels; left out")
    header |= channel_limits(table, header.get("DETCHANS"))
    if header.get("TIMEZERO") and header["TIMEZERO"] == header.get("TSTART"):
        del header["TIMEZERO"]  # EXOSAT: the epoch of the times in the file, not an offset to it
        table.notes.append("TIMEZERO equals TSTART; not added to it")
    return header


def _ascending(spectrum, hdu):
    """Sort by channel; groups are runs of neighbours, so grouped data must come sorted."""
    step = np.diff(spectrum.channel)
    if np.all(step > 0):
        return spectrum
    if spectrum.grouping is not None and np.any(spectrum.grouping < 1):
        raise hdu.fail(
            "does not ascend, but GROUPING joins neighbours", "CHANNEL", "sort the file and regroup"
        )
    return take_channels(spectrum, np.argsort(spectrum.channel))


def builtin_background(hdu: HDU, row: int, source: Spectrum) -> Spectrum | None:
    """Background from the columns BACKGROUND_UP and BACKGROUND_DOWN of a grating file.

    Both sides are summed; BACKSCAL is the sum of BACKSCUP and BACKSCDN (Chandra PHA2 files).
    """
    table = _Row(hdu, hdu, row)
    n, counts, scale, used = len(source.channel), 0.0, 0.0, []
    for name, key in (("BACKGROUND_UP", "BACKSCUP"), ("BACKGROUND_DOWN", "BACKSCDN")):
        if name not in table.columns:
            continue
        side = table.vector(name, n)
        if not np.isfinite(side).all() or np.any(side < 0):
            raise table.fail("holds values that cannot be counts", name)
        weight = table.vector(key, n)
        if weight is None:
            table.notes.append(f"{key} is missing; 1 is assumed")
            weight = 1.0
        if not np.all(np.isfinite(weight) & (np.asarray(weight) > 0)):
            raise table.fail(f"{key} is not positive")
        counts, scale, used = counts + side, scale + weight, [*used, name]
    if not used:
        return None
    order = np.argsort(table.get("CHANNEL"))
    note = f"background is {' + '.join(used)} with the sum of their BACKSC keywords as BACKSCAL"
    return Spectrum(
        name=f"{source.name} background",
        channel=source.channel,
        counts=np.broadcast_to(counts, n)[order],
        exposure=source.exposure,
        areascal=source.areascal,
        backscal=scale[order] if isinstance(scale, np.ndarray) else scale,
        path=source.path,
        header=dict(source.header or {}),
        diagnostics=(*table.notes, note),
        sha256=source.sha256,
    )
