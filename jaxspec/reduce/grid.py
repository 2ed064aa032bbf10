"""Maps that belong to an image lie on its grid: the same shape, the same place on the sky."""

from __future__ import annotations

import os

import numpy as np

from jaxspec.read.image import Map, read_map


def companion(given, shape, wcs, label) -> Map:
    """A map that belongs to an image, read if it is a file.

    Parameters
    ----------
    given : str, os.PathLike or (ny, nx) array
    shape : (ny, nx) of the image.
    wcs : astropy.wcs.WCS or None, of the image.
    label : str, what the map is, for messages.

    Returns
    -------
    Map

    Raises
    ------
    InputError
        If it has another shape, or lies elsewhere on the sky by more than half a pixel.
    """
    if isinstance(given, str | os.PathLike):
        found = read_map(given)
    else:
        found = Map(np.array(given, np.float64, order="C"), {}, None, f"{label}=", "array")
    if found.data.shape != shape:
        raise found.fail(
            f"the {label} map has shape {found.data.shape} (rows, columns), the image {shape}",
            remedy="bring it to the grid of the image first",
        )
    if wcs is not None and found.wcs is not None:
        shift = _shift(shape, wcs, found.wcs)
        if not (shift <= 0.5).all():
            raise found.fail(
                f"the {label} map is off by up to {np.max(shift):.3g} pixels on the sky",
                remedy="bring it to the grid of the image first, or pass it as an array "
                "if its sky coordinates are known to be wrong",
            )
    return found


def _shift(shape, wcs, other):
    """Distance in pixels between the same places of two grids, at corners and middles."""
    from astropy.wcs.utils import pixel_to_pixel

    ny, nx = shape
    x, y = (v.ravel() for v in np.meshgrid([0, (nx - 1) / 2, nx - 1], [0, (ny - 1) / 2, ny - 1]))
    there = pixel_to_pixel(wcs, other, x, y)
    shift = np.hypot(there[0] - x, there[1] - y)
    known = np.isfinite(np.stack(wcs.wcs_pix2world(x, y, 0))).all(axis=0)
    return np.where(known, shift, 0.0)  # corners of an all-sky image lie on no sky
