"""Is an exposure map a map of seconds, of cm2, or of cm2 s? Decided, or asked for."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.write_image import UNKNOWN
from jaxspec.reduce.units import exposure_kind

# No imaging X-ray telescope in use collects more (all of XMM: 3000 cm2 at 1.5 keV).
LARGEST_AREA = 3000.0  # cm2
# A map that peaks lower may hold per cent, kiloseconds, or the seconds of a survey as well.
SMALLEST_AREA = 150.0


def header_exposure(header, file, needed=True):
    """EXPOSURE of a header in seconds; NaN if it is absent and not needed."""
    value = header.get("EXPOSURE")
    if value is None and not needed:
        return np.nan
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < np.inf:
        return float(value)
    others = [f"{k} is {header[k]}" for k in ("ONTIME", "LIVETIME") if k in header]
    found = "is missing" if value is None else f"is {value!r}"
    raise InputError(
        f"EXPOSURE {found}" + (f" ({', '.join(others)})" if others else ""),
        file=file,
        remedy="give exposure_time= in seconds",
    )


def time_factor(peak, unit, seconds, file, given=None):
    """Whether an exposure map must be multiplied by the exposure time.

    Parameters
    ----------
    peak : float
        Maximum of the map.
    unit : str
        BUNIT of the map.
    seconds : float
        EXPOSURE, NaN if unknown.
    file : str
        For messages.
    given : str, optional
        Unit that the user gave, in place of BUNIT.

    Returns
    -------
    factor : float
        Converts the numbers of the map to s, cm2 or cm2 s.
    kind : {"s", "cm2", "cm2 s"}
        What the map is.
    reason : str

    Raises
    ------
    InputError
        If it cannot be told, or the unit is not that of an exposure.

    Notes
    -----
    BUNIT decides where it names a unit. Else the peak does: more than any telescope's area and
    near EXPOSURE (a fifth to ten times, for mosaics) is a map in seconds; far above it, in
    cm2 s; a possible area (150 to 3000) and less than a tenth of EXPOSURE is a map in cm2, unless
    BUNIT says something that is no unit.

    Examples
    --------
    >>> time_factor(28000.0, "", 28337.0, "map.fits")[1]
    's'
    """
    by_unit = exposure_kind({"BUNIT": unit}, given, file)
    if by_unit:
        said = f"BUNIT is {unit.strip()!r}" if given is None else f"exposure_unit={given!r}"
        return (*by_unit, said)
    reason = f"it peaks at {peak:.5g} and EXPOSURE is {seconds:.5g} s"
    if np.isnan(seconds):
        reason = f"it peaks at {peak:.5g}, more than the area of any telescope, without EXPOSURE"
    ratio = peak / seconds
    if peak > LARGEST_AREA:
        if ratio > 10:
            return 1.0, "cm2 s", reason
        if ratio >= 0.2 or np.isnan(seconds):
            return 1.0, "s", reason
    elif peak >= SMALLEST_AREA and ratio < 0.1 and unit.strip().lower() in ("", "primary array"):
        return 1.0, "cm2", reason
    raise InputError(
        f"BUNIT {unit.strip()!r} and the peak of {peak:.5g} (EXPOSURE {seconds:.5g} s) do not "
        "tell whether this exposure map holds seconds, cm2 or cm2 s",
        file=file,
        remedy="say exposure_unit='s' ('cm2', 'cm2 s'), or give exposure_time=True to multiply it "
        "by EXPOSURE, a number to multiply it by that time in seconds, False to take it as it is",
    )


def exposure_of_map(data, header, seconds, exposure_time, file, given=None):
    """Exposure in cm2 s, or in s, from an exposure map.

    Parameters
    ----------
    data : (ny, nx) float64
        The map as in its file.
    header : dict
        Of the map, for BUNIT.
    seconds : float
        EXPOSURE of the image (or of the map), NaN if unknown.
    exposure_time : "auto", bool or float
        See `jaxspec.reduce.image.read_image`.
    file : str
        For messages.
    given : str, optional
        Unit that the user gave, in place of BUNIT.

    Returns
    -------
    exposure : (ny, nx) float64
    unit : {"cm2 s", "s", ""}
        Empty where neither the header nor the user says it.
    note : str
        What was decided, and why.
    """
    peak = float(np.max(data, initial=-np.inf, where=np.isfinite(data)))
    if not peak > 0:
        raise InputError(
            "the exposure map is nowhere positive", file=file, remedy="give another map"
        )
    bunit = str(header.get("BUNIT", ""))
    if isinstance(exposure_time, str) and given is None and bunit.strip().lower() == UNKNOWN:
        return data, "", "exposure map: taken as it is (no unit); BUNIT is 'unknown'"
    if isinstance(exposure_time, str):
        factor, kind, reason = time_factor(peak, bunit, seconds, file, given)
        multiply = kind == "cm2"
    else:
        factor, kind = exposure_kind(header, given, file) or (1.0, "")
        multiply, reason = exposure_time is not False, f"exposure_time={exposure_time}"
        if multiply and kind in ("s", "cm2 s"):
            raise InputError(
                f"the map is in {kind} already, and exposure_time={exposure_time} would "
                "multiply it by a time once more",
                file=file,
                remedy="leave exposure_time= out, or say exposure_unit='cm2' if BUNIT is wrong",
            )
    if not multiply:
        taken = "taken as it is" if factor == 1 else f"multiplied by {factor:g}"
        return data * factor, kind, f"exposure map: {taken} ({kind or 'no unit'}); {reason}"
    if np.isnan(seconds):
        header_exposure(header, file)
    if not kind and peak <= 1.1:  # a relative map peaks at 1
        kind = "s"
    else:
        kind = "cm2 s" if kind else ""
    times = f"{seconds:.6g} s" if factor == 1 else f"{factor:g} and {seconds:.6g} s"
    note = f"exposure map: multiplied by {times} ({kind or 'unit unknown'}); {reason}"
    return data * (factor * seconds), kind, note
