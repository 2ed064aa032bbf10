"""Ranges as people write them: "3-25", "0.5-3, 4-7 keV", "**-0.5 8.0-**", quantities, pairs."""

from __future__ import annotations

import re

import numpy as np

from jaxspec.errors import InputError

KEV = {"ev": 1e-3, "kev": 1.0, "mev": 1e3, "gev": 1e6, "tev": 1e9}
REMEDY = "write '3-25', '0.5-3, 4-7 keV', '**-0.5 8.0-**', a pair (3, 25) or a list of pairs"

_NUMBER = r"(\*\*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\d.])"
_UNIT = r"\s*([A-Za-z]+)?"
_END = r"(?:\s*[,;]\s*|\s+(?=[*.\d])|\s*$)"
_RANGE = re.compile(rf"{_NUMBER}{_UNIT}\s*[-:]\s*{_NUMBER}{_UNIT}{_END}")
_ONE = re.compile(rf"\s*{_NUMBER}{_UNIT}{_END}")


def parse_ranges(ranges, *, what="energies") -> tuple[tuple[float, float], ...]:
    """Energy, channel or bin ranges as a tuple of (lo, hi).

    Parameters
    ----------
    ranges : str, pair, Quantity, or a list of them
        Strings hold ``lo-hi`` or ``lo:hi``, separated by commas, semicolons or blanks; ``**`` is
        an open end. A unit (eV, keV, MeV, GeV, TeV) also holds for what stands left of it
        without one; keV where there is none. Pairs are numbers in keV, `astropy.units.Quantity`
        (wavelengths too), strings such as "0.4 TeV", or None for an open end.
        A whole number is an energy as well, where XSPEC would take it for a channel: channels
        are given with ``what="channels"``.
    what : {"energies", "channels", "bins"}
        Channels and bins take no unit and may be single numbers.

    Returns
    -------
    tuple of (float, float), keV or numbers; -inf and inf at open ends.

    Raises
    ------
    InputError
        Nothing given, an empty or reversed range, NaN, an unknown unit.

    Examples
    --------
    >>> parse_ranges("0.5-3, 4-7")
    ((0.5, 3.0), (4.0, 7.0))
    >>> parse_ranges("**-500 eV 8.0-**")
    ((-inf, 0.5), (8.0, inf))
    >>> parse_ranges("3, 57-129", what="channels")
    ((3.0, 3.0), (57.0, 129.0))
    """
    if isinstance(ranges, str):
        pairs = _from_string(ranges, what)
    elif what != "energies" and ranges is not None and _is_single(ranges):
        number = _number(ranges, what, ranges)
        pairs = [(number, number)]
    elif _is_pair(ranges):
        pairs = [_pair(ranges, what)]
    else:
        pairs = _from_list(ranges, what)
    for lo, hi in pairs:
        if not lo <= hi or (lo == hi and what == "energies"):
            raise InputError(f"{ranges!r}: {lo:g} to {hi:g} is not a range", remedy=REMEDY)
    return tuple(pairs)


def energy(value, default="keV"):
    """One energy in keV from a number (in ``default``), "0.4 TeV" or a Quantity.

    Examples
    --------
    >>> energy("500 eV"), energy(3)
    (0.5, 3.0)
    """
    if hasattr(value, "unit"):
        return _quantity(value)
    if isinstance(value, str):
        match = _ONE.fullmatch(value)
        if match is None or match[1] == "**":
            raise InputError(f"{value!r} is not an energy", remedy="write '0.4 TeV' or a number")
        return float(match[1]) * _factor(match[2] or default, value)
    return _number(value, "energies", value) * _factor(default, value)


def _from_string(text, what):
    """Read range after range; units are filled in from the right at the end."""
    found, at, text = [], 0, text.strip()
    if text.lower() == "bad":
        raise InputError(
            "'bad' is not a range",
            remedy="ignore_bad() (--ignore-bad) drops bad channels",
        )
    while at < len(text):
        match = _RANGE.match(text, at)
        if match is not None:
            found.append(match.groups())
        else:
            match = _ONE.match(text, at) if what != "energies" else None
            if match is None or match[1] == "**":
                raise InputError(f"{text!r} is not a range or list of ranges", remedy=REMEDY)
            found.append((match[1], match[2], match[1], match[2]))
        at = match.end()
    if not found:
        raise InputError(f"{text!r} holds no range", remedy=REMEDY)
    pairs, unit = [], None
    for lo, lo_unit, hi, hi_unit in reversed(found):
        unit = hi_unit or unit
        low = _end(lo, lo_unit or unit, -np.inf, what, text)
        pairs.append((low, _end(hi, unit, np.inf, what, text)))
        unit = lo_unit or unit
    return pairs[::-1]


def _end(number, unit, open_end, what, text):
    if number == "**":
        return open_end
    if what != "energies":
        if unit is not None:
            raise InputError(f"{text!r}: {what} have no unit", remedy="leave the unit out")
        return float(number)
    return float(number) * _factor(unit or "keV", text)


def _factor(unit, text):
    if unit.lower() not in KEV:
        raise InputError(
            f"{text!r}: {unit!r} is not a unit of energy", remedy="use eV, keV, MeV, GeV or TeV"
        )
    return KEV[unit.lower()]


def _is_pair(value):
    """Whether value is one (lo, hi); a list of two strings that are ranges is not."""
    try:
        if len(value) != 2:
            return False
    except TypeError:
        return False
    return all(_is_single(v) for v in value)


def _is_single(value):
    if isinstance(value, str):
        return _ONE.fullmatch(value) is not None
    return not isinstance(value, list | tuple) and getattr(value, "ndim", 0) == 0


def _pair(value, what):
    lo, hi = value[0], value[1]
    if hasattr(value, "unit") or hasattr(lo, "unit") or hasattr(hi, "unit"):
        if what != "energies":
            raise InputError(f"{value!r}: {what} have no unit", remedy="give plain numbers")
        both = (_open(lo, -np.inf, what), _open(hi, np.inf, what))
        falling = both[0] > both[1] and not _is_energy(lo)  # a range of wavelengths
        return (both[1], both[0]) if falling else both
    return _open(lo, -np.inf, what), _open(hi, np.inf, what)


def _open(value, open_end, what):
    if value is None or (isinstance(value, str) and value.strip() == "**"):
        return open_end
    if what == "energies":
        return energy(value)
    return _number(value, what, value)


def _number(value, what, given):
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if np.isnan(number):
        raise InputError(f"{given!r} is not a number ({what})", remedy=REMEDY)
    return number


def _quantity(value):
    from astropy import units

    try:
        number = float(value.to_value(units.keV, equivalencies=units.spectral()))
    except (units.UnitsError, TypeError):
        raise InputError(
            f"{value!r} is not an energy", remedy="use a unit of energy, frequency or wavelength"
        ) from None
    return _number(number, "energies", value)


def _is_energy(value):
    return str(getattr(value.unit, "physical_type", "")).startswith("energy")


def _from_list(ranges, what):
    try:
        items = list(ranges)
    except TypeError:
        items = []
    if not items:
        raise InputError(f"{ranges!r} holds no range", remedy=REMEDY)
    pairs = []
    for item in items:
        if isinstance(item, str) or _is_pair(item):
            pairs.extend(parse_ranges(item, what=what))
        elif what != "energies" and _is_single(item):
            pairs.append((_number(item, what, item),) * 2)
        else:
            raise InputError(f"{item!r} is not a range", remedy=REMEDY)
    return pairs
