"""ARF files: effective area on an energy grid (OGIP CAL/GEN/92-002a)."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.fits import find_hdu, names_of
from jaxspec.read.response import KEV, energy_grid, numbers


def parse_arf(hdus, wanted=None, row=None):
    """Energy grid (keV) and effective area (cm2) from the extensions of an ARF file.

    Parameters
    ----------
    hdus : list of HDU
    wanted : str or None
        SPECRESP extension that the user chose.
    row : int or None
        Row of a type II ARF, from 1.

    Returns
    -------
    e_lo, e_hi, area : (n_energy,) arrays
    """
    found = find_hdu(hdus, wanted, ("SPECRESP",), (("HDUCLAS2", "SPECRESP"),))
    if not found:
        raise InputError(
            f"has no SPECRESP extension, only {names_of(hdus)}",
            file=hdus[0].file,
            remedy="give an ARF file as arf=...",
        )
    hdu = found[0]
    if not hdu.has("SPECRESP"):
        raise hdu.fail("the column is missing", "SPECRESP", "is this an ARF?")
    if hdu.columns["SPECRESP"].is_vector:
        return _arf_row(hdu, row)
    e_lo, e_hi, order, _ = energy_grid(hdu)
    area = _positive_area(hdu, numbers(hdu, "SPECRESP"))
    return e_lo, e_hi, area if order is None else area[order]


def _arf_row(hdu, row):
    if row is None or not 1 <= row <= hdu.n_rows:
        raise hdu.fail(f"has {hdu.n_rows} areas (type II)", remedy="choose one with file.arf{n}")
    columns = {}
    for name in ("ENERG_LO", "ENERG_HI", "SPECRESP"):
        if not hdu.has(name) or hdu.columns[name].code in "ALX":
            raise hdu.fail("the column is missing, or holds no numbers", name)
        unit = hdu.unit(name).lower() if name != "SPECRESP" else ""
        columns[name] = np.atleast_1d(hdu.row(name, row - 1)).astype(float) * KEV.get(unit, 1.0)
    e_lo, e_hi, area = columns.values()
    if not len(e_lo) == len(e_hi) == len(area) or not np.isfinite([e_lo, e_hi]).all():
        raise hdu.fail(f"row {row} is no energy grid", "ENERG_LO")
    order = np.argsort(e_lo, kind="stable")
    order = order[e_lo[order] != e_hi[order]]
    return e_lo[order], e_hi[order], _positive_area(hdu, area)[order]


def _positive_area(hdu, area):
    unit = hdu.unit("SPECRESP").replace(" ", "").lower()
    if unit in ("m**2", "m2", "m^2"):
        area = area * 1e4
    if not np.isfinite(area).all() or np.any(area < 0):
        i = int(np.argmin(np.isfinite(area) & (area >= 0)))
        raise hdu.fail(f"row {i + 1} is {area[i]}", "SPECRESP", "remake the ARF")
    return area
