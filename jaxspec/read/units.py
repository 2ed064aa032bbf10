"""What TUNIT of counts, rates and areas says, in the spellings that files have."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from jaxspec._units import unit_of

_COUNTS = ("", "count", "counts", "ct", "cts")
_RATES = ("count/s", "counts/s", "ct/s", "cts/s")


def counted(unit: str) -> tuple[str, float] | None:
    """What numbers of events in a channel are, by their unit.

    Parameters
    ----------
    unit : str, blank for counts.

    Returns
    -------
    (kind, factor), or None if the unit is not known
        "count", of which each is ``factor`` counts; "rate", ``factor`` counts/s; or "density",
        divided by a width in energy, an area or the like, with a factor of nan.

    Examples
    --------
    >>> counted("cts s-1"), counted("count/s/keV"), counted("furlong")
    (('rate', 1.0), ('density', nan), None)
    """
    text = " ".join(unit.lower().split())
    if text in _COUNTS:
        return "count", 1.0
    if text in _RATES:
        return "rate", 1.0
    return _counted(text)


@cache
def _counted(text):
    from astropy import units as u

    found: Any = _in_si(text)
    if found is None:
        return None
    powers = dict(zip(found.bases, found.powers, strict=True))
    for each in (u.chan, u.bin, u.pix):
        if powers.get(each) == -1:
            del powers[each]
    events = powers.pop(u.ct, 0) + powers.pop(u.ph, 0)
    seconds = powers.pop(u.s, 0)
    if events == 1 and powers:
        return "density", float("nan")
    if powers or (events, seconds) not in ((1, 0), (1, -1), (0, -1)):
        return None
    return ("rate" if seconds else "count"), float(found.scale)


@cache
def square_centimetres(unit: str) -> float | None:
    """Area in cm2 of a unit of effective area, of which a count per photon may be part.

    Returns
    -------
    float or None
        1 for a blank unit, None for what is no area.

    Examples
    --------
    >>> [square_centimetres(unit) for unit in ("m**2", "cm^2 counts/photon", "s")]
    [10000.0, 1.0, None]
    """
    text = unit.replace(" ", "").lower()
    if text in ("", "cm**2", "cm2", "cm^2"):
        return 1.0
    from astropy import units as u

    found: Any = _in_si(unit)
    if found is None:
        return None
    powers = dict(zip(found.bases, found.powers, strict=True))
    for event in (u.ct, u.ph):
        powers.pop(event, None)
    return float(found.scale) * 1e4 if powers == {u.m: 2} else None


def _in_si(text):
    """Unit of astropy in the SI, or None."""
    found = unit_of(text)
    try:
        found = None if found is None else found.decompose()
    except (ValueError, TypeError, AttributeError):  # mag: no unit of ours
        return None
    return found if found is not None and 0 < found.scale < math.inf else None
