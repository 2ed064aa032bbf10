"""Units in the spellings that files have, as astropy reads them."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

NO_UNIT = ("n/a", "na", "null", "none", "unknown", "unitless")
# Words as they are in headers, in lower case; everything else is asked of astropy.
_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ks", "ksec", "ksecs", "kilosec", "kiloseconds", "kilosecond"), "ks"),
    "Msec": "Ms", "MSEC": "Ms", **dict.fromkeys(("msec", "msecs", "milliseconds"), "ms"),
    **dict.fromkeys(("usec", "usecs", "microseconds"), "us"), "nanoseconds": "ns",
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"), **dict.fromkeys(("year", "years", "yrs"), "yr"),
    "cps": "ct s-1", "hz": "Hz",
    **dict.fromkeys(("ct", "cts", "count", "counts", "cnt", "cnts"), "ct"),
    **dict.fromkeys(("event", "events", "evt", "evts", "hit", "hits"), "ct"),
    **dict.fromkeys(("ph", "phs", "phot", "phots", "photon", "photons"), "ph"),
    **dict.fromkeys(("normalized", "normalised", "raw", "net"), ""),
    **dict.fromkeys(("pix", "px", "pixel", "pixels"), "pix"),
    **dict.fromkeys(("chan", "chans", "channel", "channels"), "chan"), "bins": "bin",
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), "cm"),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("mm", "millimeter", "millimeters"), "mm"),
    **dict.fromkeys(("erg", "ergs"), "erg"),
    **dict.fromkeys(("ev", "electronvolt"), "eV"),
    "kev": "keV", "mev": "MeV", "gev": "GeV", "tev": "TeV", "jy": "Jy", "adu": "adu", "dn": "DN",
    **dict.fromkeys(("electron", "electrons"), "electron"),
    **dict.fromkeys(("deg", "degree", "degrees"), "deg"),
    **dict.fromkeys(("arcmin", "arcmins", "amin"), "arcmin"),
    **dict.fromkeys(("arcsec", "arcsecs", "asec"), "arcsec"),
    **dict.fromkeys(("sr", "steradian"), "sr"),
}  # fmt: skip
_MARKS = str.maketrans({"²": "2", "³": "3", "⁻": "-", "¹": "1", "·": " ", "×": " ", "^": "^"})
# Energies beside a unit: "counts (0.5-2 keV)", "counts in 0.5-2 keV".
_BAND = re.compile(r"\(?\b(?:in\s+)?[\d.]+\s*(?:-|to)\s*[\d.]+\s*k?ev\b\s*\)?", re.I)


@cache
def unit_of(text: str) -> Any:
    """Unit of astropy from the text of a header, in any spelling; None if it is none.

    Examples
    --------
    >>> unit_of("Counts per second"), unit_of("hrs"), unit_of("Primary Array")
    (Unit("ct / s"), Unit("h"), None)
    """
    import astropy.units as u

    text = in_words_of_astropy(text)
    if text.lower() in ("", *NO_UNIT):
        return None
    if re.match(r"(log|ln|dex)[\w\s]*\(", text, re.I):  # of whatever: not the thing itself
        return u.mag
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a second slash, or a unit that FITS deprecates
            found = u.Unit(text)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return None if isinstance(found, u.StructuredUnit) else found  # "(1,2)", of several fields


def in_words_of_astropy(text: str) -> str:
    """The same unit, in one spelling."""
    text = _BAND.sub("", text.translate(_MARKS)).strip().strip("'\"").strip().rstrip(".")
    while text[:1] + text[-1:] in ("[]", "{}", "()"):
        text = text[1:-1].strip()
    text = re.sub(r"\bsq(uare)?\.?\s*(cm|m|arcmin|arcsec|deg)", r"\2**2", text, flags=re.I)
    text = re.sub(r"^c(?=\s*/|\s+s)", "ct", text, flags=re.I)
    text = re.sub(r"\be-(?=$|[\s/*])", "electron", text)
    text = re.sub(r"\bper\b", "/", text, flags=re.I)
    text = re.sub(r"(?<=[A-Za-z0-9])-(?=[A-Za-z])", " ", text)  # cm2-s
    text = re.sub(r"(\*\*|\^)\s*\(\s*([-+]?\d+)(?:\.0*)?\s*\)", r"**\2", text)  # s**(-1)

    def word(match) -> str:
        found: str = match[0]
        return str(_WORDS.get(found, _WORDS.get(found.lower(), found)))

    text = re.sub(r"[A-Za-z]+", word, text).strip()
    text = f"1{text}" if text.startswith("/") else text
    if re.match(r"1(\.0*)?\s*/[^()]*$", text):  # 1/cm2/s, which astropy does not read
        return f"1/({' '.join(text.split('/')[1:])})"
    return text


@cache
def seconds_in(text: str) -> float | None:
    """Seconds in a unit of time; None for what is none.

    Examples
    --------
    >>> [seconds_in(text) for text in ("ks", "hour", "Minutes", "[ms]", "keV")]
    [1000.0, 3600.0, 60.0, 0.001, None]
    """
    if text in ("s", "sec", "seconds"):
        return 1.0
    import astropy.units as u

    found = unit_of(text)
    return float(found.to(u.s)) if found is not None and found.is_equivalent(u.s) else None
