"""Whether images and profiles that share parameters have the same pixels on the sky."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError

ARCSEC = {"arcsec": 1.0, "arcmin": 60.0, "arcsecond": 1.0, "arcminute": 60.0, "deg": 3600.0}
SIZE = 1e-3  # relative difference of pixel sizes that is rounding
SHIFT = 0.1  # pixels between two grids that nobody sees
IN_SIZES = ("position", "length", "amplitude")  # roles that are in pixels, or per pixel


def unit_size(data) -> float | None:
    """Size in arcsec of the unit of lengths of an image or profile; None where it is unknown."""
    unit = getattr(data, "r_unit", "pixel")
    return data.pixel_size if unit == "pixel" else ARCSEC.get(unit)


def shift(one, other) -> float:
    """How far pixels of one image are from the same ones of another, in pixels; 0 if unknown.

    The corners and the middle of the first image are compared.
    """
    if getattr(one, "wcs", None) is None or getattr(other, "wcs", None) is None:
        return 0.0
    ny, nx = one.shape
    x = np.array([0.0, nx - 1.0, 0.0, nx - 1.0, 0.5 * (nx - 1)])
    y = np.array([0.0, 0.0, ny - 1.0, ny - 1.0, 0.5 * (ny - 1)])
    there = other.wcs.world_to_pixel(one.wcs.pixel_to_world(x, y))
    far = np.hypot(there[0] - x, there[1] - y).max()
    return float(far) if np.isfinite(far) else np.inf


def check_alike(one, other, shared: dict):
    """Refuse to share parameters that mean different things on two images or profiles.

    Parameters
    ----------
    one, other : Image or RadialProfile
    shared : dict of role to the name of a parameter that both have in common.

    Raises
    ------
    InputError
        Pixels of another size, or at another place on the sky.
    """
    size, other_size = unit_size(one), unit_size(other)
    in_sizes = [shared[role] for role in IN_SIZES if role in shared]
    if in_sizes and size and other_size and abs(size / other_size - 1.0) > SIZE:
        raise InputError(
            f"is shared, but {one.name} has pixels of {size:g} arcsec and {other.name} of "
            f"{other_size:g}",
            parameter=in_sizes[0],
            remedy="rebin the images to one size of pixels, or untie what is in pixels",
        )
    if "position" in shared and (far := shift(one, other)) > SHIFT:
        raise InputError(
            f"is shared, but pixels of {one.name} and {other.name} are up to {far:.1f} pixels "
            "apart on the sky",
            parameter=shared["position"],
            remedy="cut the images out on one grid, or untie the positions",
        )
