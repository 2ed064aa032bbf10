"""What BUNIT says of a map, in the spellings that real headers have."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

from jaxspec.errors import InputError

# Words as they are in headers, in lower case; everything else is asked of astropy.
_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ks", "ksec", "ksecs", "kilosec", "kiloseconds", "kilosecond"), "ks"),
    "Msec": "Ms", "MSEC": "Ms", "msec": "ms", "cps": "ct s-1",
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("ct", "cts", "count", "counts", "cnt", "cnts"), "ct"),
    **dict.fromkeys(("event", "events", "evt", "evts", "hit", "hits"), "ct"),
    **dict.fromkeys(("ph", "phs", "phot", "phots", "photon", "photons"), "ph"),
    **dict.fromkeys(("pix", "px", "pixel", "pixels"), "pix"),
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
_NO_UNIT = ("n/a", "na", "null", "none", "unknown", "unitless")
# Energies beside a unit: "counts (0.5-2 keV)", "counts in 0.5-2 keV".
_BAND = re.compile(r"\(?\b(?:in\s+)?[\d.]+\s*(?:-|to)\s*[\d.]+\s*k?ev\b\s*\)?", re.I)
_EVENTS = ("ct", "ph")  # photons that fell in, and counts that were detected
EXPOSURES = ("s", "cm2", "cm2 s")


class MapUnit(NamedTuple):
    """A unit as powers of what matters for counts.

    Parameters
    ----------
    scale : float, in seconds, cm and so on.
    counts, photons, pixels : float, their powers.
    rest : astropy unit without these and without the scale, such as s or cm2 s.
    """

    scale: float
    counts: float
    photons: float
    pixels: float
    rest: Any

    @property
    def pure(self) -> bool:
        """Whether nothing but counts, photons and pixels is in it."""
        return not self.rest.bases


def parse_unit(text) -> MapUnit | None:
    """Unit of a map from the text of its BUNIT.

    Parameters
    ----------
    text : str
        In any spelling: ``count/s``, ``cts s^-1``, ``cm**2 sec``, ``(cm^2 s count / photon)``,
        ``PHOTONS CM-2 SEC-1``, ``counts per second``, ``erg/s/cm2``, ``cm²·s``.

    Returns
    -------
    MapUnit, or None if it is empty or no unit at all (XMM writes "Primary Array").

    Examples
    --------
    >>> found = parse_unit("Counts/PIXEL")
    >>> found.counts, found.pixels, found.pure
    (1.0, -1.0, True)
    >>> parse_unit("Primary Array") is None
    True
    """
    import astropy.units as u

    text = _in_words_of_astropy(str(text))
    if text.lower() in ("", *_NO_UNIT):
        return None
    if re.match(r"(log|ln|dex)[\w\s]*\(", text, re.I):  # of whatever: not the thing itself
        return MapUnit(1.0, 0.0, 0.0, 0.0, u.mag)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a second slash, or a unit that FITS deprecates
            unit: Any = u.Unit(text)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    if isinstance(unit, u.StructuredUnit):  # "ct,s": of several fields
        return None
    try:
        parts = unit.decompose(bases={u.ct, u.ph, u.pix, u.cm, u.s, u.erg, u.deg, u.electron})
    except (ValueError, TypeError, AttributeError):  # mag, log(s), adu, K: nothing of ours
        return MapUnit(1.0, 0.0, 0.0, 0.0, unit)
    powers = dict(zip((b.name for b in parts.bases), map(float, parts.powers), strict=True))
    known = [powers.pop(name, 0.0) for name in (*_EVENTS, "pix")]
    if not (powers or any(known)):  # a pure number, or a percentage, says nothing
        return None
    rest: Any = u.dimensionless_unscaled
    for name, power in powers.items():
        rest = rest * u.Unit(name) ** power
    return MapUnit(float(parts.scale.real), known[0], known[1], known[2], rest)


def _in_words_of_astropy(text):
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

    text = re.sub(r"[A-Za-z]+", word, text)
    if re.match(r"1(\.0*)?\s*/[^()]*$", text):  # 1/cm2/s, which astropy does not read
        return f"1/({' '.join(text.split('/')[1:])})"
    return text


def counts_scale(header, unit, file, what="image", whole=True):
    """Factor that turns a map into counts per pixel, and what there is to say about it.

    Parameters
    ----------
    header : dict, for BUNIT.
    unit : str or None
        What the user says the unit is; then BUNIT is not asked.
    file : str
    what : str, "image", "background" or "rms".
    whole : bool
        Whether the map holds whole numbers. An image that does not, and whose BUNIT is no unit
        that is known, is refused: it may be anything.

    Returns
    -------
    scale : float
    note : str, empty if the header says counts or nothing.

    Raises
    ------
    InputError
        If it is another unit than counts: a rate, a flux, photons, an exposure.

    Examples
    --------
    >>> counts_scale({"BUNIT": "counts/pixel"}, None, "image.fits")
    (1.0, '')
    """
    text, found, said = _asked(header, unit, _parameter(what), "use 'count'")
    if found is None:
        text = text.strip()
        if text.lower() in ("", "primary array", *_NO_UNIT):
            return 1.0, ""
        if what == "image" and not whole:
            raise InputError(
                f"BUNIT is {text!r}, which is not known, and the image holds fractions; it must "
                "hold counts",
                file=file,
                remedy="say unit='count' if these are counts (as of a mosaic), or give the counts "
                "image",
            )
        return 1.0, f"{what}: BUNIT is {text!r}, no unit; taken as counts"
    if found.pure and found.counts == 1 and found.photons == 0 and found.pixels in (0, -1):
        scale = found.scale
        return scale, "" if scale == 1 else f"{what}: multiplied by {scale:g}, the unit is {text!r}"
    raise InputError(
        f"{said} {text!r}, {kind_of_map(found)}; the {what} must hold counts",
        file=file,
        remedy=_remedy(found, what),
    )


def _parameter(what):
    return "unit" if what == "image" else "exposure_unit"


def _asked(header, unit, parameter, remedy):
    """Text of BUNIT or of what the user gave, its `MapUnit` or None, and how to begin to say it."""
    if unit is None:
        text = str(header.get("BUNIT", ""))
        return text, parse_unit(text), "BUNIT is"
    if (found := parse_unit(str(unit))) is None:
        raise InputError(f"is {unit!r}, which is no unit", parameter=parameter, remedy=remedy)
    return str(unit), found, "the unit is given as"


def kind_of_map(unit) -> str:
    """What a unit is, in words.

    Examples
    --------
    >>> kind_of_map(parse_unit("photon/cm**2/s")), kind_of_map(parse_unit("adu"))
    ('a flux', 'not counts')
    """
    events = unit.counts + unit.photons
    if unit.pure and unit.photons == 1 and unit.counts == 0:
        return "photons that were corrected for the detection"
    if events in (0, 1) and any(_alike(unit, u) for u in ("1/s", "1/(s deg2)")):
        return "a rate"
    if exposure_of(unit) is not None:
        return "an exposure"
    if any(_alike(unit, f"{u}/(cm2 s{per})") for u in ("1", "erg") for per in ("", " deg2")):
        return "a flux"
    return "not counts"


def _alike(unit, text):
    import astropy.units as u

    return isinstance(unit.rest, u.UnitBase) and unit.rest.is_equivalent(text)


def _remedy(unit, what):
    own = f"say {_parameter(what)}='count' if BUNIT is wrong" if what == "image" else (
        "give it as an array if BUNIT is wrong"
    )  # fmt: skip
    kind = kind_of_map(unit)
    if what == "image":
        if kind == "an exposure":
            return f"check that image and exposure map are not swapped, or {own}"
        return f"give the counts image, and what it was divided by as exposure=; {own}"
    if kind in ("a rate", "a flux"):
        return f"multiply it by the exposure first; {own}"
    return own


def exposure_of(unit) -> tuple[float, str] | None:
    """(factor, kind) of the unit of an exposure map; None if it is none.

    Counts per photon are a pure number here; ``s / photon`` is how some maps say it.
    """
    if (unit.counts, unit.photons) not in ((0, 0), (1, -1), (0, -1)):
        return None
    for kind in EXPOSURES:
        if _alike(unit, kind):
            return unit.scale * float(unit.rest.to(kind)), kind
    return None


def exposure_kind(header, unit, file):
    """(factor, kind) of an exposure map, None where its header does not say it.

    Parameters
    ----------
    header : dict, for BUNIT.
    unit : str or None
        What the user says the unit is; then BUNIT is not asked.
    file : str

    Raises
    ------
    InputError
        If the unit is known and is not that of an exposure.

    Examples
    --------
    >>> exposure_kind({"BUNIT": "cm**2 ksec"}, None, "map.fits")
    (1000.0, 'cm2 s')
    """
    remedy = "use 's', 'cm2' or 'cm2 s'"
    text, found, said = _asked(header, unit, "exposure_unit", remedy)
    if found is None:
        return None
    by_unit = exposure_of(found)
    if by_unit is None:
        raise InputError(
            f"{said} {text.strip()!r}, {kind_of_map(found)}, "
            "and not an exposure in s, cm2 or cm2 s",
            file=file,
            remedy="give the exposure map, or exposure_unit='s' ('cm2', 'cm2 s') if BUNIT is wrong",
        )
    return by_unit
