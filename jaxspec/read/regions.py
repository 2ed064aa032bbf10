"""Regions of any kind: text of DS9, JS9 and CIAO, source lists, FITS tables, region objects."""

from __future__ import annotations

import os
import re

from jaxspec.errors import InputError
from jaxspec.read.paths import decompress, read_bytes, split_selectors
from jaxspec.read.region_shapes import Length, RegionSet, Shape, checked
from jaxspec.read.region_table import read_region_table
from jaxspec.read.region_text import parse_regions


def read_regions(source) -> list[RegionSet]:
    """Read regions of any kind.

    Parameters
    ----------
    source : str, os.PathLike, region object, or list of them
        DS9, JS9 or CIAO text (lines, or statements with ``;``); the name of a file with such
        text, with a source list (columns x y radius in image pixels, counted from 1 as in DS9,
        the convention of the XMM lists), or with a FITS region table (``file.fits[NAME]``
        chooses one); a region of the ``regions`` package.

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
    if _is_object(source):
        return [_objects([source])]
    try:
        items = list(source)
    except TypeError:
        raise InputError(
            f"{type(source).__name__} is not a region",
            parameter="regions",
            remedy="give DS9 text, a file name, a region object or a list of these",
        ) from None
    objects = [item for item in items if _is_object(item)]
    rest = [found for item in items if not _is_object(item) for found in read_regions(item)]
    return ([_objects(objects)] if objects else []) + rest


def _is_object(source):
    return hasattr(source, "to_sky") or hasattr(source, "to_pixel")


def _objects(regions):
    """Regions of the ``regions`` package as one set: those of a list belong together."""
    shapes = [
        Shape(
            "object",
            "object",
            include=bool(region.meta.get("include", True)),
            text=type(region).__name__,
            region=region,
        )
        for region in regions
    ]
    return RegionSet(tuple(shapes), "regions=")


def _read_text_or_file(source):
    is_text = "\n" in source or ";" in source or re.search(r"[a-z]\s*\(", source, re.I)
    if is_text and "://" not in source and not (len(source) < 4096 and os.path.exists(source)):
        return parse_regions(source, "regions=")
    return _read_file(source)


def _read_file(path):
    address = split_selectors(path)
    try:
        raw, file = read_bytes(address.file)
    except FileNotFoundError:
        raise InputError(
            "is neither a region file nor region text",
            file=address.file,
            remedy="check the path, or write regions as 'fk5; circle(ra, dec, 5\")'",
        ) from None
    raw = decompress(raw, file)
    if raw[:6] == b"SIMPLE":
        return read_region_table(raw, file, address.hdu)
    text = raw.decode("utf-8", errors="replace")
    lines = [line.partition("#") for line in text.splitlines()]
    rows = [row for line in lines if (row := line[0].replace(",", " ").split())]
    names = []
    if len(rows) > 1 and all(word.isidentifier() for word in rows[0]):
        if all(map(_is_number, rows[1])):
            names, *rows = rows
    if rows and all(map(_is_number, rows[0])):
        said = " ".join([*names, *(line[2] for line in lines)]).lower()
        words = set(re.findall(r"[a-z]\w*", said))
        if words & {"ra", "dec", "fk5", "icrs"} and not words & {"x", "y", "pixel", "pixels"}:
            raise on_the_sky("says that its positions are RA and Dec", file)
        return _source_list(rows, file)
    return parse_regions(text, file)


def on_the_sky(problem, file) -> InputError:
    """Error on a list of x, y and radius that is not in image pixels."""
    return InputError(
        f"{problem}, and a list of x, y and radius is in image pixels",
        file=file,
        remedy="write each line as 'fk5; circle(ra, dec, 5\")'",
    )


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
        usable = len(values) == 3 == len(row) and all(abs(v) < 1e9 for v in values)
        if not usable or not values[2] > 0:
            raise InputError(
                f"source {n} is {' '.join(row)!r}, not x, y and a positive radius",
                file=file,
                remedy="give three columns in image pixels, counted from 1",
            )
        x, y, radius = values
        size = Length(radius, "image")
        text = f"circle({x:g},{y:g},{radius:g})"
        shapes.append(checked(Shape("round", "image", ((x, y),), (size, size), text=text), file))
    note = f"{file}: a list of {len(shapes)} circles in image pixels counted from 1"
    return RegionSet(tuple(shapes), file, (note,), listed=True)
