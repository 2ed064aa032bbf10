"""Masks of an image: regions on its pixels, low exposure. True is a pixel that is left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.regions import Circle, read_regions


def inside_regions(source, shape, wcs, header):
    """Which pixels lie in the union of some regions.

    A pixel lies in a region if its centre does. ``-circle(...)`` takes its area out of the
    other regions of the same file, wherever it stands in it; several files are united.

    Parameters
    ----------
    source : see `jaxspec.read.regions.read_regions`
    shape : (ny, nx)
    wcs : astropy.wcs.WCS or None
        For regions on the sky.
    header : dict
        LTM1_1, LTV1, ... for regions in physical coordinates.

    Returns
    -------
    inside : (ny, nx) bool
    diagnostics : tuple of str
        What was assumed, and the regions that touch no pixel.

    Raises
    ------
    InputError
        If a region is not understood, or needs sky coordinates that the image does not have,
        or a file holds excluded regions only.
    """
    inside, notes, sets = np.zeros(shape, bool), [], read_regions(source)
    on_sky = any(s.frame == "sky" for found in sets for s in found.shapes)
    centre = _image_centre(shape, wcs) if on_sky and wcs is not None else None
    for found in sets:
        notes.extend(found.diagnostics)
        if not any(s.include for s in found.shapes):
            raise InputError(
                "holds excluded regions (-) only, which takes nothing out of nothing",
                file=found.name,
                remedy="delete the minus signs, to leave these areas out or to keep them",
            )
        part, empty = np.zeros(shape, bool), []
        for region in sorted(found.shapes, key=lambda s: not s.include):
            window, hit = _pixels_inside(region, shape, wcs, header, found.name, centre)
            if not hit.any():
                empty.append(region.text)
            elif region.include:
                part[window] |= hit
            else:
                part[window] &= ~hit
        if any(s.frame == "physical" for s in found.shapes) and "LTM1_1" not in header:
            notes.append(f"{found.name}: the image has no LTM and LTV; physical taken as image")
        if empty:
            few = "; ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
            notes.append(f"{found.name}: {len(empty)} regions touch no pixel of the image ({few})")
        inside |= part
    return inside, tuple(notes)


def _pixels_inside(shape, size, wcs, header, name, centre):
    """Window of the image around a region, and which of its pixels lie in the region."""
    region, x_of, y_of = shape.region, (1.0, 0.0), (1.0, 0.0)
    if hasattr(region, "to_pixel"):
        if wcs is None:
            raise InputError(
                f"{shape.text} is on the sky, and the image has no sky coordinates",
                file=name,
                remedy="give the regions in image coordinates",
            )
        region = region.to_pixel(wcs) if shape.frame == "object" else _as_drawn(region, wcs, centre)
    elif shape.frame == "physical":
        x_of, y_of = _from_physical(header, shape.origin, name)
    box = _bounds(region)
    if box is None:
        if not hasattr(shape.region, "to_pixel"):  # else it is behind the tangent plane
            raise InputError(f"{shape.text} holds a number that is not finite", file=name)
        return np.s_[:0, :0], np.zeros((0, 0), bool)
    columns = _span(box[:2], x_of, size[1])
    rows = _span(box[2:], y_of, size[0])
    x = (np.arange(columns.start, columns.stop) - x_of[1]) / x_of[0]
    y = (np.arange(rows.start, rows.stop) - y_of[1]) / y_of[0]
    return (rows, columns), _contains(region, x[None, :], y[:, None])


def _image_centre(size, wcs):
    """Sky position of the middle of the image, and pixels per arcsec there."""
    import astropy.units as u
    from regions import CircleSkyRegion

    middle = wcs.pixel_to_world((size[1] - 1) / 2, (size[0] - 1) / 2)
    circle: Any = CircleSkyRegion(middle, 10 * u.arcsec).to_pixel(wcs)
    return middle, circle.radius / 10


def _as_drawn(region, wcs, centre):
    """Sky region on the pixels as DS9 draws it: with the scale and the north of the image centre.

    A circle is a circle then, and its radius in pixels does not depend on where it stands;
    region.to_pixel() takes the scale and the north of the region's own position instead.
    """
    from regions import CirclePixelRegion, PixCoord

    if not hasattr(region, "center"):
        return region.to_pixel(wcs)
    place = PixCoord(*(float(v) for v in wcs.world_to_pixel(region.center)))
    middle, scale = centre
    if hasattr(region, "radius"):  # a circle needs no second conversion, and most are circles
        return CirclePixelRegion(place, region.radius.to_value("arcsec") * scale)
    there = region.copy(center=middle.transform_to(region.center.frame)).to_pixel(wcs)
    return there.copy(center=place)


def _bounds(region):
    """(x_lo, x_hi, y_lo, y_hi) in the coordinates of the region, with a margin; None if NaN."""
    if isinstance(region, Circle):
        r = region.radius
        return (region.x - r, region.x + r, region.y - r, region.y + r)
    try:
        box = region.bounding_box
    except (ValueError, OverflowError):
        return None
    return (box.ixmin - 1, box.ixmax + 1, box.iymin - 1, box.iymax + 1)


def _span(bounds, scale, size):
    ends = sorted(scale[0] * b + scale[1] for b in bounds)
    lo = min(max(math.floor(ends[0]), 0), size)
    return slice(lo, max(min(math.ceil(ends[1]) + 1, size), lo))


def _contains(region, x, y):
    if isinstance(region, Circle):
        return np.hypot(x - region.x, y - region.y) < region.radius
    from regions import PixCoord

    inside = region.contains(PixCoord(*np.broadcast_arrays(x, y)))
    return inside if region.meta.get("include", True) else ~inside


def _from_physical(header, origin, name):
    """(scale, shift) of both axes: pixel (from 0) = scale * value + shift."""
    if header.get("LTM1_2") or header.get("LTM2_1"):
        raise InputError(
            "the physical coordinates of the image are rotated (LTM1_2)",
            file=name,
            remedy="save the regions in fk5, icrs or image coordinates",
        )
    axes = ((header.get(f"LTM{i}_{i}", 1.0), header.get(f"LTV{i}", 0.0)) for i in (1, 2))
    return [(scale, scale * origin + shift - 1.0) for scale, shift in axes]


def low_exposure(exposure, fraction):
    """Which pixels have less exposure than a fraction of the maximum of the map.

    Parameters
    ----------
    exposure : (ny, nx) float64
    fraction : float, 0 to 1

    Returns
    -------
    (ny, nx) bool
    """
    if not 0 <= fraction <= 1:
        raise InputError(
            f"is {fraction}",
            parameter="min_exposure",
            remedy="give a fraction of the maximum of the exposure map, 0 to 1",
        )
    return exposure < fraction * exposure.max()


def unite(mask, image, regions=None, min_exposure=None, where=None, keep=None):
    """Add pixels to a mask.

    Parameters
    ----------
    mask : (ny, nx) bool, True where a pixel is left out already.
    image : Image, for its size, exposure and coordinates.
    regions, min_exposure, where, keep
        As in `jaxspec.reduce.image.Image.masked`.

    Returns
    -------
    mask : (ny, nx) bool
    diagnostics : tuple of str

    Raises
    ------
    InputError
        If no pixel is left, or an argument cannot be used.
    """
    steps, notes = [], []
    if regions is not None:
        inside, found = inside_regions(regions, image.shape, image.wcs, image.header)
        steps.append(("regions", inside))
        notes.extend(found)
    if keep is not None:
        inside, found = inside_regions(keep, image.shape, image.wcs, image.header)
        steps.append(("outside of keep", ~inside))
        notes.extend(found)
    if min_exposure is not None:
        steps.append(("min_exposure", low_exposure(image.exposure, min_exposure)))
    if where is not None:
        steps.append(("where", _as_mask(where, image.shape)))
    for label, left_out in steps:
        notes.append(f"{label}: {int((left_out & ~mask).sum())} pixels left out")
        mask = mask | left_out
    if mask.all():
        what = "; ".join(notes) or "all pixels are masked"
        raise InputError(
            f"no pixel is left ({what})", file=image.path or image.name, remedy="mask less"
        )
    return mask, tuple(notes)


def _as_mask(where, shape):
    where = np.asarray(where)
    if where.shape != shape or where.dtype != bool:
        raise InputError(
            f"is {where.dtype} of shape {where.shape}, not bool of shape {shape}",
            parameter="where",
            remedy="give True where a pixel is to be left out",
        )
    return where
