"""Masks of an image: regions on its pixels, low exposure. True is a pixel that is left out."""

from __future__ import annotations

import os
from functools import cache

import numpy as np

from jaxspec._ask import numbers
from jaxspec.errors import InputError
from jaxspec.read.regions import on_the_sky, read_regions
from jaxspec.reduce.grid import companion
from jaxspec.reduce.shapes import Plane, pixels_inside, place_all

SHOWN = 300  # letters of a text of regions that a note repeats


def inside_regions(source, shape, wcs, header, complement=False):
    """Which pixels lie in the union of some regions.

    A pixel lies in a region if its centre does. How the shapes of one file are joined is the
    rule of its dialect, see `jaxspec.read.region_shapes.RegionSet`; several files are united.

    Parameters
    ----------
    source : see `jaxspec.read.regions.read_regions`
    shape : (ny, nx)
    wcs : astropy.wcs.WCS or None
        For regions on the sky.
    header : dict
        LTM1_1, LTV1, ... for regions in physical coordinates.
    complement : bool
        Whether a file of excluded shapes only stands for everything else.

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
    inside, notes = np.zeros(shape, bool), []
    plane = Plane.of(shape, wcs, header)
    axes = cache(plane.axes)
    sets = read_regions(source)
    for found in sets:
        notes.extend(found.diagnostics)
        if not any(s.include for s in found.shapes) and not (complement and len(sets) == 1):
            raise InputError(
                "holds excluded regions (-) only: it selects everything else",
                file=found.name,
                remedy="give it as keep=, or delete the minus signs"
                if len(sets) == 1
                else "put what it cuts out into the text or file of the regions that it cuts",
            )
        places, hits, empty = place_all(found.shapes, plane, found.name), [], []
        if found.listed:
            _check_list(found, plane, places)
        for one, where in zip(found.shapes, places, strict=True):
            window, hit = pixels_inside(one, where, plane, axes, found.name)
            hits.append((one, window, hit))
            if not hit.any():
                empty.append(one.text)
        inside |= _by_component(hits, shape) if found.by_component else _included(hits, shape)
        physical = any(s.frame == "physical" for s in found.shapes)
        if physical and "LTM1_1" not in header:
            notes.append(f"{found.name}: the image has no LTM and LTV; physical taken as image")
        if empty:
            few = "; ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
            notes.append(f"{found.name}: {len(empty)} regions touch no pixel of the image ({few})")
    return inside, tuple(notes)


def _check_list(found, plane, places):
    """Refuse a list of circles in pixels that is one in degrees, or that misses the image."""
    ny, nx = plane.size
    where = np.concatenate(places)
    size = np.array([s.outer[0].value for s in found.shapes])[:, None]
    if not ((where > -size) & (where < [nx, ny] + size)).all(axis=1).any():
        raise on_the_sky("has no circle on the image", found.name)
    if plane.wcs is None:
        return
    x, y = plane.wcs.wcs_world2pix(where + 1.0, 0).T  # as if these were RA and Dec
    if ((x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)).all():
        raise on_the_sky("has all its positions on the image if they are RA and Dec", found.name)


def _included(hits, shape):
    """The rule of DS9: all included areas, without all excluded ones."""
    inside = np.full(shape, not any(one.include for one, *_ in hits))
    for wanted in (True, False):
        for one, window, hit in hits:
            if one.include == wanted:
                inside[window] = inside[window] | hit if wanted else inside[window] & ~hit
    return inside


def _by_component(hits, shape):
    """The rule of CIAO and of FITS tables: intersections within a component, then the union."""
    inside, parts = np.zeros(shape, bool), {}
    for hit in hits:
        parts.setdefault(hit[0].component, []).append(hit)
    for members in parts.values():
        if len(members) == 1 and members[0][0].include:  # the usual: no need of the whole image
            _, window, hit = members[0]
            inside[window] |= hit
            continue
        part = np.ones(shape, bool)
        for one, window, hit in members:
            if one.include:
                whole = np.zeros(shape, bool)
                whole[window] = hit
                part &= whole
            else:
                part[window] &= ~hit
        inside |= part
    return inside


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
    if not 0 <= numbers(fraction, "min_exposure") <= 1:
        raise InputError(
            f"is {fraction}",
            parameter="min_exposure",
            remedy="give a fraction of the maximum of the exposure map, 0 to 1",
        )
    return exposure < fraction * exposure.max()


def unite(mask, image, regions=None, min_exposure=None, where=None, keep=None, file=None):
    """Add pixels to a mask.

    Parameters
    ----------
    mask : (ny, nx) bool, True where a pixel is left out already.
    image : Image, for its size, exposure and coordinates.
    regions, min_exposure, where, keep, file
        As in `jaxspec.reduce.image.Image.masked`; ``file`` is its ``mask``.

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
        steps.append(("regions", inside, regions))
        notes.extend(found)
    if keep is not None:
        inside, found = inside_regions(keep, image.shape, image.wcs, image.header, complement=True)
        steps.append(("outside of keep", ~inside, keep))
        notes.extend(found)
    if min_exposure is not None:
        low = low_exposure(image.exposure, min_exposure)
        steps.append(("min_exposure", low, f"{min_exposure:g}"))
    if where is not None:
        steps.append(("where", _as_mask(where, image.shape), None))
    if file is not None:
        steps.append(("mask", left_out_in(file, image), file))
    for label, left_out, source in steps:
        n = int((left_out & ~mask).sum())
        notes.append(f"{label}: {n} pixels left out{_by(source)}")
        mask = mask | left_out
    if mask.all():
        what = "; ".join(notes) or "all pixels are masked"
        raise InputError(
            f"no pixel is left ({what})", file=image.path or image.name, remedy="mask less"
        )
    return mask, tuple(notes)


def _by(source):
    """What left pixels out, for a note: the file, or the beginning of the text."""
    items = source if isinstance(source, list | tuple) else [source]
    texts = [os.fspath(s) for s in items if isinstance(s, str | os.PathLike)]
    text = ", ".join(" ".join(t.split()) for t in texts)
    return f" by {text[:SHOWN]}{'...' * (len(text) > SHOWN)}" if text else ""


def _as_mask(where, shape):
    where = np.asarray(where)
    if where.shape != shape or where.dtype != bool:
        raise InputError(
            f"is {where.dtype} of shape {where.shape}, not bool of shape {shape}",
            parameter="where",
            remedy="give True where a pixel is to be left out; a FITS image of 1 (use) and 0 "
            "(leave out) is given as mask=",
        )
    return where


def left_out_in(file, image):
    """(ny, nx) bool, what a mask in a FITS file leaves out: 0 or NaN; 1 (any one number) is used.

    That is the convention of eSASS and of most pipelines, and the opposite of ``image.mask``.
    """
    if not isinstance(file, str | os.PathLike):
        raise InputError(
            f"is {type(file).__name__}, not a file",
            parameter="mask",
            remedy="give an array as image.masked(where=array), True where a pixel is left out",
        )
    found = companion(file, image.shape, image.wcs, "mask")
    values = np.unique(found.data[np.isfinite(found.data) & (found.data != 0)])
    if len(values) > 1 or (values < 0).any():
        few = ", ".join(f"{v:g}" for v in values[:4]) + (", ..." if len(values) > 4 else "")
        raise found.fail(
            f"a mask holds 1 and 0, and this holds {few}",
            remedy="make a mask of it first, 1 where a pixel is used",
        )
    return ~(found.data > 0)
