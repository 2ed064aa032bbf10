"""FITS region tables (CIAO, XMM SAS, wavdetect): shapes by row, joined by COMPONENT."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.astropy_hdus import astropy_hdus
from jaxspec.read.region_shapes import Length, RegionSet, Shape, checked

# Numbers of R, and of ROTANG, that a shape needs.
_NEEDS = {
    "circle": (1, 0), "ellipse": (2, 0), "annulus": (2, 0), "elliptannulus": (4, 0),
    "box": (2, 0), "rotbox": (2, 1), "boxannulus": (4, 0), "rectangle": (0, 0),
    "rotrectangle": (0, 1), "pie": (2, 2), "sector": (0, 2), "polygon": (0, 0), "field": (0, 0),
}  # fmt: skip


_COLUMNS = ("SHAPE", "X", "Y", "RA", "DEC", "R", "ROTANG", "COMPONENT")

# What it is made of: the form, and the places in R of its inner and outer half widths.
_FORMS = {
    "circle": ("round", None, (0, 0)), "ellipse": ("round", None, (0, 1)),
    "annulus": ("round", (0, 0), (1, 1)), "elliptannulus": ("round", (0, 1), (2, 3)),
    "pie": ("round", (0, 0), (1, 1)), "sector": ("round", None, None),
    "box": ("box", None, (0, 1)), "rotbox": ("box", None, (0, 1)),
    "boxannulus": ("box", (0, 1), (2, 3)), "rectangle": ("rectangle", None, None),
    "rotrectangle": ("rectangle", None, None), "polygon": ("polygon", None, None),
    "field": ("field", None, None),
}  # fmt: skip


def read_region_table(raw: bytes, file: str, hdu=None) -> RegionSet:
    """Read a FITS region table, such as the source list of wavdetect.

    Parameters
    ----------
    raw : bytes
        Uncompressed file.
    file : str
        Name for messages.
    hdu : str, optional
        Name or number of the extension; by default the first table of regions.

    Notes
    -----
    X and Y are physical coordinates (for Chandra and XMM: sky pixels), with SHAPE, R, ROTANG
    as in the FITS region convention; without SHAPE, R is the radius of a circle. RA and DEC
    are used where X and Y are absent, or X and Y where their unit is an angle; R must then have
    an angular unit. Rows with one COMPONENT are intersected and components united
    (XMM SAS, selectlib); ``!SHAPE`` is what lies outside. Without COMPONENT, the included rows are
    united, and the excluded ones taken out of all.
    """
    table, header = _table(raw, file, hdu)
    names = {name.upper(): name for name in table.colnames if name.upper() in _COLUMNS}
    rows = [{key: table[name][i] for key, name in names.items()} for i in range(len(table))]
    units = {key: table[name].unit for key, name in names.items()}
    frame, x, y = "physical", "X", "Y"
    if "X" not in names or "Y" not in names:
        frame, x, y = "icrs", "RA", "DEC"
    elif units["X"] is not None and units["X"].is_equivalent("deg"):
        frame = "icrs"
    _check_columns(header, file)
    for key in (x, y):
        unit = units[key]
        if unit is not None and not any(unit.is_equivalent(u) for u in ("deg", "pixel")):
            raise InputError(
                f"is in {unit}, which is no position on the sky",
                file=file,
                column=key,
                remedy="give X and Y in pixels of the sky plane, or RA and DEC in degrees",
            )
    length = _length_unit(units.get("R"), frame, file)
    to_degrees = _degrees(units[x]) if frame == "icrs" else 1.0
    turn = _degrees(units.get("ROTANG"))
    shapes = []
    for number, row in enumerate(rows, 1):
        kind = str(row.get("SHAPE", "circle")).strip().lower()
        include, kind = not kind.startswith(("!", "-")), kind.lstrip("!+-")
        try:
            component = int(_values(row["COMPONENT"])[0]) if "COMPONENT" in names else 0
            places = np.array([_values(row[x]), _values(row[y])]) * to_degrees
            r, angles = _values(row.get("R", ())), _values(row.get("ROTANG", 0.0)) * turn
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise InputError(f"row {number} cannot be used ({error})", file=file) from None
        made = _shape(kind, frame, places.T, r, angles, length, file)
        shapes.append(made._replace(include=include, component=component))
    notes = [f"{file}: {len(shapes)} regions of a FITS table"]
    unit = units.get("R")
    if length[1] == "physical" and unit is not None and not unit.is_equivalent("pixel"):
        notes.append(f"{file}: R is in {unit}, taken as physical pixels")
    return RegionSet(tuple(shapes), file, tuple(notes), by_component="COMPONENT" in names)


def _degrees(unit) -> float:
    """How many degrees one of a unit is; 1 where it says nothing of angles."""
    return float(unit.to("deg")) if unit is not None and unit.is_equivalent("deg") else 1.0


def _table(raw, file, wanted):
    from astropy.io import fits
    from astropy.table import Table

    with astropy_hdus(raw, file, "a table of regions") as every:
        content = ", ".join(f"{i} {h.name or '-'}" for i, h in enumerate(every))
        images = any(h.is_image and len(h.shape) == 2 for h in every)
        chosen = [
            h for i, h in enumerate(every)
            if wanted is None or str(i) == wanted.strip() or h.name == wanted.strip().upper()
        ]  # fmt: skip
        tables = [h for h in chosen if isinstance(h, fits.BinTableHDU | fits.TableHDU)]
        found = next(((Table.read(t), dict(t.header)) for t in tables if _has_sources(t)), None)
    if found is None or not len(found[0]):
        remedy = "give a table with X, Y (or RA, DEC) and R, or a DS9 file"
        if images and wanted is None:
            remedy = "an image of 1 (use) and 0 (leave out) is given as mask="
        where = "" if wanted is None else f" in extension {wanted!r}, only {content}"
        raise InputError(f"holds no table of regions{where}", file=file, remedy=remedy)
    if len(found[0]) > len(raw):
        raise InputError(f"a file of {len(raw)} bytes has no {len(found[0])} rows", file=file)
    return found


def _has_sources(hdu):
    names = {name.upper() for name in hdu.columns.names}
    return ("R" in names or "SHAPE" in names) and ({"X", "Y"} <= names or {"RA", "DEC"} <= names)


def _check_columns(header, file):
    """Refuse a table whose positions are not those of the sky plane."""
    for number in range(1, 10):
        named = str(header.get(f"MFORM{number}", "")).replace(" ", "").upper()
        if named and named not in ("X,Y", "RA,DEC", "R"):
            raise InputError(
                f"its positions are {named}, not X,Y of the sky plane",
                file=file,
                remedy="give the regions in sky coordinates (X,Y or RA,DEC)",
            )


def _length_unit(unit, frame, file):
    """(factor, unit) of the numbers of R."""
    if unit is not None and unit.is_equivalent("deg"):
        return float(unit.to("arcsec")), "arcsec"
    if frame == "icrs":
        raise InputError(
            "positions are RA and DEC, but R is not an angle",
            file=file,
            column="R",
            remedy="give R in arcsec (TUNIT), or X and Y",
        )
    return 1.0, "physical"


def _values(cell):
    return np.atleast_1d(np.ma.filled(np.ma.asarray(cell, float), np.nan)).ravel()


def _shape(kind, frame, places, r, angles, length, file) -> Shape:
    where = ",".join(f"{v:g}" for v in places[0])
    text = f"{kind}({where})"
    if kind not in _NEEDS:
        raise InputError(f"{text} has no area, or a shape that is not supported", file=file)
    need_r, need_angle = _NEEDS[kind]
    if len(r) < need_r or len(angles) < need_angle:
        raise InputError(f"{text} needs {need_r} R and {need_angle} ROTANG", file=file)

    def pair(places, half):
        a, b = (Length(float(r[k]) * half * length[0], length[1]) for k in places)
        return a, b

    points = _polygon(places) if kind == "polygon" else places[: 2 if "rectangle" in kind else 1]
    if len(points) < {"polygon": 3, "rectangle": 2, "rotrectangle": 2}.get(kind, 1):
        raise InputError(f"{text} has {len(points)} positions, too few", file=file)
    form, inner, outer = _FORMS[kind]
    turned = need_angle == 1 or kind in ("ellipse", "elliptannulus", "boxannulus", "box")
    made = Shape(
        form, frame, () if form == "field" else tuple((float(a), float(b)) for a, b in points),
        inner=pair(inner, 0.5 if form == "box" else 1.0) if inner else None,
        outer=pair(outer, 0.5 if form == "box" else 1.0) if outer else None,
        angles=(float(angles[0]), float(angles[1])) if need_angle == 2 else None,
        tilt=float(angles[0]) if turned else 0.0, text=text, by_sky=False,
    )  # fmt: skip
    return checked(made, file)


def _polygon(places):
    """Corners of a polygon, whose vectors may be longer than it.

    It ends at NaN, where it comes back to its first corner (as CFITSIO has it), where its last
    corner is repeated, or with zeros.
    """
    places = places[np.isfinite(places).all(axis=1)]
    away = (places != places[:1]).any(axis=1)
    moved = away.argmax() if away.any() else len(places)
    back = np.flatnonzero(~away[moved:])
    places = places[: moved + back[0]] if len(back) else places
    real = np.flatnonzero(places.any(axis=1))
    places = places[: real[-1] + 1] if len(real) else places
    keep = np.ones(len(places), bool)
    keep[1:] = (places[1:] != places[:-1]).any(axis=1)
    return places[keep]
