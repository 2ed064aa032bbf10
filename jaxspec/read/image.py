"""One FITS map (counts, exposure, background, rms) with its header and its sky coordinates."""

from __future__ import annotations

import math
import re
import warnings
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.astropy_hdus import astropy_hdus, readable
from jaxspec.read.fits import open_hdus
from jaxspec.read.paths import decompress, read_bytes, split_selectors
from jaxspec.read.plausible import file_notes

_KEYS = (
    "TELESCOP INSTRUME DETNAM FILTER OBJECT OBSERVER OBS_ID DATE-OBS DATE-END TSTART TSTOP MJDREF "
    "TIMESYS EXPOSURE ONTIME LIVETIME RA_PNT DEC_PNT PA_PNT RA_NOM DEC_NOM ROLL_NOM RADESYS "
    "EQUINOX BUNIT CONTENT HDUCLAS1 CREATOR ENERGYLO ENERGYHI DSVAL1"
).split()


MOST_PIXELS = 2**29  # 4 GiB in memory; a packed file of some kB may claim any number
_COORDINATES = re.compile(
    r"(CRVAL|CRPIX|CDELT|CROTA)[12]|(PC|CD)[12]_[12]|LONPOLE|LATPOLE|EQUINOX|PV[12]_\d+"
)
_PLACES = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")


class Map(NamedTuple):
    """A two-dimensional image as it is in a file.

    Parameters
    ----------
    data : (ny, nx) float64, C order; scaled by BSCALE and BZERO, NaN where BLANK.
    header : dict, the keywords worth keeping, with LTM1_1, LTV1, LTM2_2, LTV2 for the physical
        coordinates where the file has them (also as the alternate WCS P or L).
    wcs : astropy.wcs.WCS or None
        Celestial coordinates of (x, y), None where the file has none that can be used.
    file, hdu : str, for messages.
    diagnostics : tuple of str, what was assumed.
    doubts : tuple of str, why the file may be damaged.
    """

    data: np.ndarray
    header: dict
    wcs: Any
    file: str
    hdu: str
    diagnostics: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def fail(self, problem, remedy=None):
        """Return the error that says what is wrong here."""
        return InputError(problem, file=self.file, hdu=self.hdu, remedy=remedy)


def read_map(path, hdu=None) -> Map:
    """Read one two-dimensional image of a FITS file.

    Parameters
    ----------
    path : str or os.PathLike
        Plain, gzipped (``.gz``, ``.FTZ``) or fpacked; local or any address that fsspec opens.
        ``file.fits[2]``, ``file.fits[NAME]`` and ``file.fits[NAME,EXTVER]`` choose an extension.
    hdu : int or str, optional
        The same, "NAME", "NAME,2" or a number; by default the first that holds a 2-D image.

    Raises
    ------
    InputError
        If the file cannot be read, or what was asked for is a table, a cube or not there.

    Notes
    -----
    Axes of length 1 beyond the second, as in a cube of one plane, are dropped. EXPOSURE of an
    empty primary header holds for an image behind it that has none (the INHERIT convention).
    """
    address = split_selectors(path)
    if address.hdu is not None and hdu is not None and str(hdu) != address.hdu:
        raise InputError(
            f"is asked for extension {address.hdu!r} in brackets, and for {hdu!r} with hdu=",
            file=address.file,
            remedy="leave one of them out",
        )
    hdu = address.hdu if hdu is None else hdu
    try:
        raw, file = read_bytes(address.file)
    except FileNotFoundError:
        raise InputError(
            "does not exist, plain or compressed", file=address.file, remedy="check the path"
        ) from None
    raw = decompress(raw, file)
    if raw[:6] != b"SIMPLE":
        found = "is empty" if not raw else f"is not a FITS file (it starts with {raw[:20]!r})"
        raise InputError(found, file=file, remedy="give a FITS image, plain or gzipped")
    with astropy_hdus(raw, file, "a FITS image", uint=False) as hdus:
        chosen, others = _choose(hdus, hdu, file)
        alone = [hdu.name for hdu in hdus].count(chosen.name) == 1
        label = (alone and chosen.name) or str(hdus.index(chosen))
        if math.prod(chosen.shape) > MOST_PIXELS:
            raise InputError(
                f"the image has {chosen.shape[-1]} x {chosen.shape[-2]} pixels, and {MOST_PIXELS} "
                "at most are read",
                file=file,
                hdu=label,
                remedy="cut out or rebin what is needed first",
            )
        header, lost = readable(chosen.header)
        data = np.array(chosen.data, dtype=np.float64, order="C")
        data = data.reshape(data.shape[-2:])
        inherited = _inherited(hdus[0], header)
        doubts = _doubts(raw, file, hdus.index(chosen))
    if not data.size:
        raise InputError("the image has no pixel", file=file, hdu=label)
    wcs, notes = celestial_wcs(header, lost)
    if absent := [key for key in lost if key in _KEYS]:
        notes += (f"{', '.join(absent)} cannot be read, and counts as not given",)
    keep = inherited | {key: header[key] for key in _KEYS if key in header}
    if others:
        notes = (*notes, f"{file}: {label} was read, and not the other images {others}")
    return Map(data, keep | physical_keywords(header, lost), wcs, file, label, notes, doubts)


def _doubts(raw, file, index):
    """Why the file may be damaged, as far as its headers can be read without astropy."""
    try:
        hdus = open_hdus(raw, file, ascii_tables=False)
        return tuple(file_notes(hdus, hdus[index : index + 1]))
    except InputError:
        return ()


def _inherited(primary, header):
    """EXPOSURE of a primary header without data, for an image that does not say its own."""
    if primary.shape or not header.get("INHERIT", True):
        return {}
    known, _ = readable(primary.header)
    return {k: known[k] for k in ("EXPOSURE",) if k in known}


def _choose(hdus, wanted, file) -> Any:
    """The HDU asked for, or the first with a 2-D image and the names of the others."""
    if wanted is None:
        maps = [(i, hdu) for i, hdu in enumerate(hdus) if _is_map(hdu)]
        if not maps:
            raise InputError(
                f"holds no 2-D image, only {_content(hdus)}",
                file=file,
                remedy="bin events into an image first, or take one plane out of a cube",
            )
        return maps[0][1], ", ".join(f"{i} {hdu.name or '-'}" for i, hdu in maps[1:])
    found = _named(hdus, wanted)
    if not found:
        raise InputError(f"has no extension {wanted!r}, only {_content(hdus)}", file=file)
    if not _is_map(found[0]):
        raise InputError(
            f"extension {wanted!r} is {_kind(found[0])}, not a 2-D image",
            file=file,
            remedy=f"choose hdu= among {_content(hdus)}",
        )
    if len(found) > 1:
        versions = ", ".join(f"{wanted},{hdu.ver}" for hdu in found)
        raise InputError(
            f"has {len(found)} extensions {wanted!r}",
            file=file,
            remedy=f"choose one by its EXTVER, {versions}, or by its number in {_content(hdus)}",
        )
    return found[0], ""


def _named(hdus, wanted):
    """HDUs of a number, of a name, or of a name and EXTVER."""
    name, version = wanted if isinstance(wanted, tuple) and len(wanted) == 2 else (wanted, None)
    if version is None and isinstance(name, str):
        name, _, version = name.partition(",")
    name, version = str(name).strip().upper(), str(version or "").strip()
    if name.isdigit():
        return [hdu for i, hdu in enumerate(hdus) if i == int(name)]
    named = [hdu for hdu in hdus if hdu.name == name]
    return [hdu for hdu in named if not version or str(hdu.ver) == version]


def _is_map(hdu):
    shape = hdu.shape if hdu.is_image else ()
    return len(shape) >= 2 and all(n == 1 for n in shape[:-2])


def _kind(hdu):
    if not hdu.is_image:
        return f"a table of {hdu.header.get('NAXIS2', 0)} rows"
    return f"an array of shape {hdu.shape}" if hdu.shape else "without data"


def _content(hdus):
    return ", ".join(f"{i} {h.name or '-'} ({_kind(h)})" for i, h in enumerate(hdus))


def celestial_wcs(header, lost=()):
    """Return the celestial WCS of an image header, or None, and what there is to say about it.

    A coordinate that is no number makes all of them unusable: wcslib would pass over it, and
    place the image at 0 degrees. ``lost`` are keywords whose cards could not be read.
    """
    from astropy.wcs import WCS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mended dates and units are no news to the user
            header = _with_numbers(header, lost)
            wcs = WCS(header, naxis=2)
            usable = wcs.has_celestial and np.isfinite(wcs.proj_plane_pixel_area().value)
            if usable:  # some fail only when they are used: an odd equinox, a matrix of zeros
                _check_given(header)
                place: Any = wcs.pixel_to_world(wcs.wcs.crpix[0] - 1, wcs.wcs.crpix[1] - 1)
                usable = bool(np.isfinite(place.icrs.ra.deg + place.icrs.dec.deg))
                usable = usable and bool((np.abs(wcs.wcs.crval) < 1e4).all())
    except Exception as error:  # wcslib and astropy raise many kinds
        return None, (f"the sky coordinates cannot be used ({error})",)
    if not usable:
        return None, ("the header has no sky coordinates",)
    sides = [float(v.to_value("arcsec")) for v in wcs.proj_plane_pixel_scales()]
    if max(sides) > 1.01 * min(sides):
        return wcs, (f"pixels are not square: {sides[0]:.4g} by {sides[1]:.4g} arcsec",)
    return wcs, ()


def _with_numbers(header, lost):
    """Header whose coordinates are numbers, also where they were written as text."""
    for key in lost:
        if _COORDINATES.fullmatch(key) or key in ("RADESYS", "RADECSYS"):
            raise ValueError(f"{key} cannot be read")
    for key in [key for key in header if _COORDINATES.fullmatch(key)]:
        value = header[key]
        if isinstance(value, str) and _is_number(value):
            header = header.copy()
            header[key] = float(value)
        elif value is None and key in ("EQUINOX", "LONPOLE", "LATPOLE"):
            continue  # blank: not given
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{key} is {value!r}, not a number")
    for key in ("RADESYS", "RADECSYS"):
        if not isinstance(value := header.get(key) or "", str):
            raise ValueError(f"{key} is {value!r}, not a frame")
    return header


def _is_number(text):
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _check_given(header):
    """Refuse sky coordinates without a place or a size: whoever writes them writes these too."""
    absent = [key for key in _PLACES if key not in header]
    if not any(f"{key}{i}" in header for key in ("CDELT", "CD1_", "CD2_", "PC1_", "PC2_")
               for i in (1, 2)):  # fmt: skip
        absent.append("CDELT1")
    if absent:
        raise ValueError(f"the header has no {', '.join(absent)}")


def physical_keywords(header, lost=()) -> dict:
    """LTM1_1, LTV1, LTM2_2, LTV2: image (from 1) = LTM * physical + LTV; empty if not given.

    As DS9 does it, alternate coordinates that are named PHYSICAL win over these keywords. Those
    with the letters P and L, which Chandra and XMM use, count without a name. Rotated physical
    coordinates (LTM1_2) are kept too, so that their use can be refused; one that is no number (or
    is among the ``lost``, which could not be read) is NaN.
    """
    names = {a: str(header.get(f"WCSNAME{a}", "")).strip().upper() for a in ascii_uppercase}
    for letter in (a for a in ascii_uppercase if names[a].startswith("PHYSICAL")):
        if found := _alternate(header, lost, letter):
            return found
    keys = ("LTM1_1", "LTM1_2", "LTM2_1", "LTM2_2", "LTV1", "LTV2")
    found = {k: _number(header, k) for k in keys if k in header or k in lost}
    if len(scales := found.keys() & {"LTM1_1", "LTM2_2"}) == 1 and found[scales.pop()] != 1.0:
        return {"LTM1_1": np.nan, "LTM2_2": np.nan, "LTV1": 0.0, "LTV2": 0.0} | found
    if found:
        return {"LTM1_1": 1.0, "LTM2_2": 1.0, "LTV1": 0.0, "LTV2": 0.0} | found
    return next((p for a in "PL" if not names[a] and (p := _alternate(header, lost, a))), {})


def _number(header, key, default=np.nan):
    """Value of a keyword as a number: NaN where it is none."""
    try:
        return float(header.get(key, default))
    except (TypeError, ValueError):
        return np.nan


def _alternate(header, lost, letter):
    """The same keywords of the alternate coordinates of a letter; empty if they are not there."""

    def number(key, default):
        return np.nan if key + letter in lost else _number(header, key + letter, default)

    found = {}
    for i, j in ("12", "21"):
        places = [f"{key}{i}{letter}" for key in ("CRVAL", "CRPIX")]
        if not all(key in header or key in lost for key in places):
            return {}
        step = number(f"CDELT{i}", 1.0)
        matrix = [number(f"CD{i}_{k}", number(f"PC{i}_{k}", float(k == i)) * step) for k in (i, j)]
        if matrix[0] == 0:
            return {}
        found[f"LTM{i}_{i}"] = 1.0 / matrix[0]
        found[f"LTV{i}"] = number(f"CRPIX{i}", np.nan) - number(f"CRVAL{i}", np.nan) / matrix[0]
        if matrix[1]:
            found[f"LTM{i}_{j}"] = 1.0 / matrix[1]
    return found
