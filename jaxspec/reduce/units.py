"""What BUNIT says of a map, in the spellings that real headers have."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxspec._units import NO_UNIT, unit_of
from jaxspec.errors import InputError

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

    unit = unit_of(str(text))
    if unit is None:
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
        if text.lower() in ("", "primary array", *NO_UNIT):
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
    if unit.pure and unit.counts == 1 and unit.photons == 0 and unit.pixels in (0, -1):
        return "counts"
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
