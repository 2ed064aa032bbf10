"""ARF files: effective area on an energy grid (OGIP CAL/GEN/92-002a)."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.choose import partner_row
from jaxspec.read.extensions import find_hdu, listed, names_of
from jaxspec.read.matrices import numbers_of
from jaxspec.read.paths import Address, chosen
from jaxspec.read.plausible import check_areas, file_notes
from jaxspec.read.response import check_energies, energy_grid, in_kev, numbers
from jaxspec.read.units import square_centimetres


def parse_arf(hdus, address=None, source=None):
    """Energy grid (keV), effective area (cm2) and what was assumed, of an ARF file.

    Parameters
    ----------
    hdus : list of HDU
    address : Address or None
        What the user chose: ``[...]`` an extension, the number in braces one by EXTVER, or a row
        of type II.
    source : SourceRow or None
        The row of a type II spectrum, that of a type II ARF where the user chose none.

    Returns
    -------
    (e_lo, e_hi, area) : (n_energy,) arrays
    notes : tuple of str

    Raises
    ------
    InputError
        If there is no area, or several and no choice among them.
    """
    address = Address(hdus[0].file) if address is None else address
    hdu, row = choose_area(hdus, address, source)
    if row is not None:
        grid, notes = _arf_row(hdu, row)
    else:
        e_lo, e_hi, order, notes = energy_grid(hdu)
        area = _positive_area(hdu, numbers(hdu, "SPECRESP"), notes)
        grid = e_lo, e_hi, area if order is None else area[order]
    return grid, (*notes, *file_notes(hdus, [hdu]))


def choose_area(hdus, address, source=None):
    """SPECRESP extension that an address means, and the row of one of type II, from 0, or None."""
    kind = (("HDUCLAS2", "SPECRESP"),)
    found = find_hdu(hdus, address.hdu, ("SPECRESP",), kind, (("SPECRESP",),))
    if not found:
        raise InputError(
            f"has no SPECRESP extension, only {names_of(hdus)}",
            file=hdus[0].file,
            remedy="give an ARF file as arf=...",
        )
    hdu, number = found[0], address.numbers
    if len(found) > 1:
        hdu, number = _numbered(found, address), None
    if not hdu.has("SPECRESP"):
        raise hdu.fail("the column is missing", "SPECRESP", "is this an ARF?")
    n = hdu.n_rows if hdu.columns["SPECRESP"].is_vector else None
    rows = range(1, (n or 1) + 1)
    if number is not None:
        wanted = chosen(address, rows)
        if len(wanted) != 1 or wanted[0] not in rows:
            has = "one area (type I)" if n is None else f"{n} areas (type II)"
            raise hdu.fail(f"has {has} and no {{{number}}}", remedy="choose one of its numbers")
        return hdu, None if n is None else wanted[0] - 1
    if n is None or n == 1:
        return hdu, None if n is None else 0
    row = None if source is None else partner_row(hdu, source, rows=range(n))
    if row is None:
        raise hdu.fail(f"has {n} areas (type II)", remedy="choose one with file.arf{n}")
    return hdu, row


def _numbered(found, address):
    """One of several extensions, by the number in braces."""
    versions = numbers_of(found)
    wanted = chosen(address, versions)
    if len(wanted) == 1 and wanted[0] in versions:
        return found[versions.index(wanted[0])]
    raise InputError(
        "holds several areas" if address.numbers is None else f"has no {{{address.numbers}}}",
        file=found[0].file,
        remedy=f"choose one as in file.arf{{2}}, of {listed(found, ('TSTART',))}",
    )


def _arf_row(hdu, row):
    columns = {}
    for name in ("ENERG_LO", "ENERG_HI", "SPECRESP"):
        if not hdu.has(name) or hdu.columns[name].code in "ALX":
            raise hdu.fail("the column is missing, or holds no numbers", name)
        columns[name] = np.atleast_1d(hdu.row(name, row)).astype(float)
        if name != "SPECRESP":
            columns[name] *= in_kev(hdu, name)
    e_lo, e_hi, area = columns.values()
    if not len(e_lo) == len(e_hi) == len(area) or not np.isfinite([e_lo, e_hi]).all():
        raise hdu.fail(f"row {row + 1} is no energy grid", "ENERG_LO")
    order = np.argsort(e_lo, kind="stable")
    order = order[e_lo[order] != e_hi[order]]
    notes = []
    e_lo, e_hi, area = e_lo[order], e_hi[order], _positive_area(hdu, area, notes)[order]
    check_energies(hdu, e_lo, e_hi, notes)
    return (e_lo, e_hi, area), notes


def _positive_area(hdu, area, notes):
    """Area in cm2; what is said of its unit is added to ``notes``."""
    unit = hdu.unit("SPECRESP")
    factor = square_centimetres(unit)
    if factor is None:
        notes.append(f"{hdu.label}: the unit {unit!r} is none of area; taken as cm2")
    elif factor != 1.0:
        area = area * factor
        notes.append(f"{hdu.label}: SPECRESP is in {unit}; multiplied by {factor:g}, to cm2")
    if not np.isfinite(area).all() or np.any(area < 0):
        i = int(np.argmin(np.isfinite(area) & (area >= 0)))
        raise hdu.fail(f"row {i + 1} is {area[i]}", "SPECRESP", "remake the ARF")
    check_areas(hdu, area)
    return area
