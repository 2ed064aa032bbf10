"""Published radial profiles, from files."""

from __future__ import annotations

import io
import warnings

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.fits import open_hdus
from jaxspec.read.paths import decompress, read_bytes, split_selectors, stem
from jaxspec.read.plausible import file_notes
from jaxspec.reduce.profile import RadialProfile

_R, _SB = ("RMID", "RADIUS", "R"), ("SUR_BRI", "SB", "SURFACE_BRIGHTNESS")
_ERR = ("SUR_BRI_ERR", "ERR_SB", "SB_ERR", "ERR", "ERROR")
_WIDTH = ("WIDTH", "DR", "ERR_RADIUS")


def read_profile(path, *, r=None, sb=None, sb_err=None, unit=None) -> RadialProfile:
    """Read a published surface-brightness profile.

    Parameters
    ----------
    path : str or os.PathLike
        FITS table, with the columns of CIAO (RMID or R, SUR_BRI, SUR_BRI_ERR) or of pyproffit
        (RADIUS, WIDTH, SB, ERR_SB); or text with the columns ``r sb err`` or
        ``r dr sb err ...``. Widths (WIDTH, dr) are half the width of the annulus.
    r, sb, sb_err : str, optional
        Names of the columns of a FITS table, if they are others.
    unit : str, optional
        Of the radii; by default TUNIT, else "pixel".

    Returns
    -------
    RadialProfile

    Raises
    ------
    InputError
        If the file holds no such table or numbers that cannot be fitted.
    """
    address = split_selectors(path)
    try:
        raw, file = read_bytes(address.file)
    except FileNotFoundError:
        raise InputError("does not exist", file=address.file, remedy="check the path") from None
    raw = decompress(raw, file)
    try:
        if raw[:6] == b"SIMPLE":
            return _from_fits(raw, file, (r, sb, sb_err), unit)
        if given := [n for n in (r, sb, sb_err) if n is not None]:
            raise InputError(
                f"is text, whose columns have no names such as {given[0]!r}",
                remedy="leave out r=, sb= and sb_err=: columns are r sb err, or r dr sb err",
            )
        return _from_text(raw, file, unit)
    except InputError as error:
        if error.file is not None:
            raise
        raise InputError(
            error.problem, file=file, column=error.parameter, remedy=error.remedy
        ) from None


def _from_fits(raw, file, wanted, unit):
    known = (_R, _SB, _ERR)
    for hdu in (hdus := open_hdus(raw, file)):
        names = [_first(hdu, *pair) for pair in zip(wanted, known, strict=True)]
        if None in names:
            continue
        if len(set(names)) < 3:
            raise hdu.fail("is given for two of r, sb and sb_err", max(names, key=names.count))
        if not hdu.n_rows:
            raise hdu.fail("has no rows", remedy="remake the file")
        radius, sb, err = (_numbers(hdu, n) for n in names)
        lo = hi = None
        if radius.ndim == 2:
            lo, hi = radius[:, 0], radius[:, -1]
            radius = radius.mean(axis=1)
        elif (width := _first(hdu, None, _WIDTH)) is not None:
            half = _numbers(hdu, width)
            lo, hi = np.maximum(radius - half, 0.0), radius + half
        unit, notes = unit or hdu.unit(names[0]) or "pixel", tuple(file_notes(hdus, [hdu]))
        return RadialProfile.from_table(
            radius, sb, err, lo, hi, unit, sb_unit=hdu.unit(names[1]), name=stem(file),
            diagnostics=notes,
        )  # fmt: skip
    raise InputError(
        "no table with a radius, a surface brightness and its error",
        file=file,
        remedy="name the columns with r=, sb= and sb_err=",
    )


def _numbers(hdu, name):
    values = hdu.column(name)
    if values.dtype.kind not in "iuf":
        raise hdu.fail("the column does not hold numbers", name)
    return np.asarray(values, np.float64)


def _first(hdu, given, known):
    names = known if given is None else (given.upper(),)
    return next((n for n in names if hdu.has(n)), None)


def _from_text(raw, file, unit):
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of no rows
            rows = np.loadtxt(io.StringIO(raw.decode("utf-8", errors="replace")), ndmin=2)
    except ValueError as error:
        raise InputError(
            f"is no table of numbers ({error})",
            file=file,
            remedy="give numbers between blanks; lines of words begin with #",
        ) from None
    if rows.shape[0] == 0:
        raise InputError("has no rows", file=file, remedy="remake the file")
    if rows.shape[1] < 3:
        raise InputError(
            f"has {rows.shape[1]} columns", file=file, remedy="give r, sb, err or r, dr, sb, err"
        )
    radius, lo, hi, notes = rows[:, 0], None, None, []
    if rows.shape[1] > 3:
        notes.append("columns are read as r, dr (half of the width), sb and its error")
        lo, hi = np.maximum(radius - rows[:, 1], 0.0), radius + rows[:, 1]
        rows = rows[:, 1:]
    if unit is None:
        notes.append("radii are taken in pixels; unit= tells another unit")
    return RadialProfile.from_table(
        radius, rows[:, 1], rows[:, 2], lo, hi, unit or "pixel", name=stem(file),
        diagnostics=tuple(notes),
    )  # fmt: skip
