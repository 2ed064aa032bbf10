"""Regions: DS9 and JS9 text, source lists, FITS region tables; parsed, not yet on an image.

The shapes are parsed by the ``regions`` package. The statements are taken apart here first,
because that package leaves out what it does not know, and has no physical coordinates.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from typing import Any, NamedTuple

from jaxspec.errors import InputError
from jaxspec.read.paths import decompress, read_bytes

SKY = ("fk5", "icrs", "fk4", "j2000", "b1950", "galactic", "ecliptic")
_OTHER_FRAMES = ("linear", "amplifier", "detector", "tile", "wcs", *(f"wcs{c}" for c in "abcdefgh"))
_AREAS = ("circle", "ellipse", "box", "polygon", "annulus")
_LABELS = ("text", "vector", "ruler", "compass", "projection", "composite")
_FRAME = re.compile(rf"({'|'.join((*SKY, 'image', 'physical', *_OTHER_FRAMES))})\b(?!\s*\()", re.I)
_SHAPE = re.compile(
    r"(?P<sign>[-+!&*|\s]*)(?P<name>[a-z]\w*)\s*(?:\((?P<a>[^()]*)\)|(?P<b>[^()|]*))"
)
_QUOTED = re.compile(r"""(?<==)\s*(\{[^}]*\}|"[^"]*"|'[^']*')|\{[^}]*\}""")


class Circle(NamedTuple):
    """A circle in image pixels (from 0), without need for the ``regions`` package."""

    x: float
    y: float
    radius: float


class Shape(NamedTuple):
    """One region.

    Parameters
    ----------
    region : Circle, or a sky or pixel region of the ``regions`` package.
    frame : "sky", "image", "physical", or "object" for a region that the user made.
    origin : float
        What must be added to the coordinates of a physical region: 1 if the parser took it off.
    include : bool, False for ``-circle(...)``.
    text : str, for messages.
    """

    region: Any
    frame: str
    origin: float
    include: bool
    text: str


class RegionSet(NamedTuple):
    """The regions of one file or text: the included ones without the excluded ones."""

    shapes: tuple[Shape, ...]
    name: str
    diagnostics: tuple[str, ...] = ()


def read_regions(source) -> list[RegionSet]:
    """Read regions of any kind.

    Parameters
    ----------
    source : str, os.PathLike, region object, or list of them
        DS9 or JS9 text (lines, or statements with ``;``); the name of a file with such text,
        with a source list (columns x y radius in image pixels, counted from 1 as in DS9, the
        convention of the XMM lists), or with a FITS region table (CIAO); a region of the
        ``regions`` package.

    Returns
    -------
    list of RegionSet
        One per source.

    Raises
    ------
    InputError
        If something is not understood: nothing is left out in silence.
    """
    if isinstance(source, str):
        return [_read_text_or_file(source)]
    if isinstance(source, os.PathLike):
        return [_read_file(os.fspath(source))]
    if hasattr(source, "to_sky") or hasattr(source, "to_pixel"):
        include = bool(source.meta.get("include", True))
        shape = Shape(source, "object", 0.0, include, type(source).__name__)
        return [RegionSet((shape,), "regions=")]
    try:
        items = list(source)
    except TypeError:
        raise InputError(
            f"{type(source).__name__} is not a region",
            parameter="regions",
            remedy="give DS9 text, a file name, a region object or a list of these",
        ) from None
    return [found for item in items for found in read_regions(item)]


def _read_text_or_file(source):
    is_text = "\n" in source or ";" in source or re.search(r"[a-z]\s*\(", source, re.I)
    if is_text and "://" not in source and not (len(source) < 4096 and os.path.exists(source)):
        return parse_regions(source, "regions=")
    return _read_file(source)


def _read_file(file):
    try:
        raw, file = read_bytes(file)
    except FileNotFoundError:
        raise InputError(
            "is neither a region file nor region text",
            file=file,
            remedy="check the path, or write regions as 'fk5; circle(ra, dec, 5\")'",
        ) from None
    raw = decompress(raw, file)
    if raw[:6] == b"SIMPLE":
        return read_region_table(raw, file)
    text = raw.decode("utf-8", errors="replace")
    rows = [line.split("#")[0].replace(",", " ").split() for line in text.splitlines()]
    rows = [row for row in rows if row]
    if rows and all(_is_number(word) for word in rows[0]):
        return _source_list(rows, file)
    return parse_regions(text, file)


def _is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True


def _source_list(rows, file):
    shapes = []
    for n, row in enumerate(rows, 1):
        values = [float(word) for word in row if _is_number(word)]
        if len(values) != 3 or len(row) != 3 or not 0 < values[2] < float("inf"):
            raise InputError(
                f"source {n} is {' '.join(row)!r}, not x, y and a positive radius",
                file=file,
                remedy="give three columns in image pixels, counted from 1",
            )
        x, y, radius = values
        circle = Circle(x - 1.0, y - 1.0, radius)
        shapes.append(Shape(circle, "image", 0.0, True, f"circle({x:g},{y:g},{radius:g})"))
    note = f"{file}: a list of {len(shapes)} circles in image pixels counted from 1"
    return RegionSet(tuple(shapes), file, (note,))


# ---------------------------------------------------------------------- DS9 and JS9 text


def parse_regions(text: str, name: str = "regions=") -> RegionSet:
    """Parse DS9 or JS9 text.

    Parameters
    ----------
    text : str
        Frames ``fk5 icrs fk4 galactic ecliptic image physical`` (physical where none is named,
        as in DS9) and shapes ``circle ellipse box rotbox polygon annulus``; ``-`` or ``!`` in
        front takes the area back out. Labels (text, vector, ruler, compass) are passed over.
    name : str
        For messages.

    Examples
    --------
    >>> parse_regions("image; circle(10, 10, 3)").shapes[0].region.radius
    3.0
    """
    shapes, labels, frame, named = [], 0, "physical", False
    for statement in _statements(text):
        body, _, comment = statement.partition("#")
        body = body.strip()
        match = _FRAME.match(body)
        if match:
            frame, named, body = match[1].lower(), True, body[match.end() :].strip()
            if frame in _OTHER_FRAMES:
                raise InputError(
                    f"the coordinates {frame!r} are not supported",
                    file=name,
                    remedy="save the regions as fk5, icrs, galactic, image or physical",
                )
        if not body:
            body, comment = _written_as_comment(comment), ""
        excluded = re.search(r"\binclude\s*=\s*0", comment) is not None
        for sign, shape, values in _shapes_of(body, name):
            if shape in _LABELS:
                labels += shape != "composite"
                continue
            include = not (excluded or "-" in sign or "!" in sign)
            shapes.extend(_parse_shape(frame, shape, values, include, name))
    if not shapes:
        raise InputError("holds no region", file=name, remedy="give circle, box, ... in DS9 format")
    notes = []
    if not named:
        notes.append(f"{name}: names no coordinates; taken as physical, as DS9 does")
    if labels:
        notes.append(f"{name}: {labels} labels without an area passed over")
    return RegionSet(tuple(shapes), name, tuple(notes))


def _statements(text):
    """Lines and what ``;`` separates, without quoted text, comments and global settings."""
    for line in text.lstrip("\ufeff").splitlines():
        line = line.strip()
        if line.lower().startswith("global"):
            continue
        for statement in _QUOTED.sub("", line).split(";"):
            if statement.strip():
                yield statement.strip().lower()


def _written_as_comment(comment):
    """DS9 writes its own shapes as comments: ``# panda(...)``, ``# text(...)``."""
    match = re.match(r"\s*(-?[a-z]+)\s*\(", comment)
    names = (*_LABELS, "panda", "epanda", "bpanda", "cpanda", "segment")
    return comment.strip() if match and match[1].lstrip("-") in names else ""


def _shapes_of(body, name):
    """(sign, shape, arguments) of a statement such as ``circle(1,2,3)-circle(1,2,1) ||``."""
    at = 0
    while body[at:].strip(" |&"):
        match = _SHAPE.match(body, at)
        if match is None:
            raise _not_understood(body, name)
        sign, shape = match["sign"], match["name"]
        if shape in _LABELS:  # what follows is text
            yield sign, shape, ""
            return
        if "&" in sign or "*" in sign:
            raise InputError(
                f"{body!r} intersects regions, which is not supported",
                file=name,
                remedy="write the areas as one list of included and excluded (-) regions",
            )
        values = match["a"] if match["a"] is not None else match["b"]
        yield sign, shape, values.replace(",", " ").split()
        at = match.end()


def _not_understood(body, name):
    return InputError(
        f"{body!r} is not understood",
        file=name,
        remedy=f"use {', '.join(_AREAS)}, as DS9 saves them",
    )


def _parse_shape(frame, shape, values, include, name):
    from regions import Regions

    text = f"{shape}({','.join(values)})"
    if shape in ("point", "line", "segment"):
        raise InputError(
            f"{text} has no area", file=name, remedy="draw a circle or a box, or delete it"
        )
    kind = "box" if shape == "rotbox" else shape
    if kind not in _AREAS:
        raise InputError(
            f"the shape of {text} is not supported",
            file=name,
            remedy=f"use {', '.join(_AREAS)}",
        )
    if kind in ("box", "ellipse") and len(values) == 4:  # CIAO leaves out the angle
        values = [*values, "0"]
    wanted = {"circle": 3, "box": 5, "ellipse": 5, "annulus": 4, "polygon": 6}[kind]
    if len(values) < wanted or (kind == "circle" and len(values) > 3):
        raise InputError(f"{text} has {len(values)} numbers, not {wanted}", file=name)
    system = "image" if frame == "physical" else frame
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it warns about what it leaves out
            found = Regions.parse(f"{system}\n{kind}({','.join(values)})", format="ds9")
    except Exception as error:  # astropy and regions raise many kinds
        raise InputError(
            f"{text} in {frame} coordinates cannot be used ({error})",
            file=name,
            remedy="write sky positions in degrees or h:m:s and sizes in arcsec, "
            "image and physical ones in pixels",
        ) from error
    if not len(found):
        raise _not_understood(text, name)
    where = "sky" if frame in SKY else frame
    return [Shape(r, where, 1.0, include, f"{frame}; {text}") for r in found]


# ---------------------------------------------------------------------- FITS region tables


def read_region_table(raw: bytes, file: str) -> RegionSet:
    """Read a FITS region table, such as the source list of wavdetect.

    Parameters
    ----------
    raw : bytes
        Uncompressed file.
    file : str
        Name for messages.

    Notes
    -----
    X and Y are physical coordinates (for Chandra and XMM: sky pixels), with SHAPE, R, ROTANG
    as in the FITS region convention; without SHAPE, R is the radius of a circle. RA and DEC
    are used where X and Y are absent; R must then have an angular unit.
    """
    from astropy.io import fits
    from astropy.table import Table

    try:
        with warnings.catch_warnings(), fits.open(io.BytesIO(raw), memmap=False) as hdus:
            warnings.simplefilter("ignore")
            tables = [h for h in hdus if isinstance(h, fits.BinTableHDU | fits.TableHDU)]
            table = next((t for t in map(Table.read, tables) if _has_sources(t)), None)
    except Exception as error:  # astropy raises many kinds on damaged files
        raise InputError(f"its tables cannot be read ({error})", file=file) from error
    if table is None or not len(table):
        raise InputError(
            "holds no table of regions",
            file=file,
            remedy="give a table with X, Y (or RA, DEC) and R, or a DS9 file",
        )
    table.rename_columns(table.colnames, [name.upper() for name in table.colnames])
    if "X" not in table.colnames:
        shapes = _sky_circles(table, file)
    else:
        shapes = _physical_shapes(table, file)
    note = f"{file}: {len(shapes)} regions of a FITS table"
    return RegionSet(tuple(shapes), file, (note,))


def _has_sources(table):
    names = {name.upper() for name in table.colnames}
    return "R" in names and ({"X", "Y"} <= names or {"RA", "DEC"} <= names)


def _sky_circles(table, file):
    import numpy as np
    from astropy.coordinates import SkyCoord
    from regions import CircleSkyRegion

    radius = table["R"]
    if radius.unit is None or not radius.unit.is_equivalent("deg") or radius.ndim > 1:
        raise InputError(
            "positions are RA and DEC, but R is not an angle",
            file=file,
            column="R",
            remedy="give R in arcsec (TUNIT), or X and Y",
        )
    where: Any = SkyCoord(np.asarray(table["RA"]), np.asarray(table["DEC"]), unit="deg")
    sizes = radius.quantity.to("arcsec")
    return [
        Shape(CircleSkyRegion(c, r), "sky", 0.0, True, f"icrs; circle({c.ra.deg},{c.dec.deg})")
        for c, r in zip(where, sizes, strict=True)
    ]


def _physical_shapes(table, file):
    import numpy as np
    from astropy.table import QTable
    from regions import Regions

    names = [n for n in ("X", "Y", "R", "ROTANG") if n in table.colnames]
    shapes, seen = [], set()
    for n, row in enumerate(table):
        shape = str(row["SHAPE"]).strip().lower() if "SHAPE" in table.colnames else "circle"
        include, kind = not shape.startswith(("!", "-")), shape.lstrip("!+-")
        text = f"{shape}({row['X']},{row['Y']})"
        component = row["COMPONENT"] if "COMPONENT" in table.colnames else n
        if include and component in seen:
            raise InputError(f"intersects {text} in one COMPONENT, unsupported", file=file)
        seen.add(component)
        one: Any = QTable({name: np.asarray(row[name], float)[None] for name in names})
        one["SHAPE"] = [kind]
        if "ROTANG" in names:
            one["ROTANG"].unit = "deg"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = Regions.parse(one, format="fits")
        except Exception as error:  # astropy and regions raise many kinds
            raise InputError(f"{text} cannot be used ({error})", file=file) from error
        if kind == "point" or not len(found):
            raise InputError(f"{text} has no area, or a shape that is not supported", file=file)
        shapes.extend(Shape(r, "physical", 0.0, include, text) for r in found)
    return shapes
