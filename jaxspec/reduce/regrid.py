"""Cut-out and rebinning: fewer pixels, the same sky."""

from __future__ import annotations

import operator

import numpy as np

from jaxspec._ask import numbers
from jaxspec.errors import InputError


def position(image, center):
    """Pixel coordinates of a position.

    Parameters
    ----------
    image : Image
    center : (x, y) in pixels from 0, or astropy.coordinates.SkyCoord

    Returns
    -------
    x, y : float

    Raises
    ------
    InputError
        If it is neither, or the image has no sky coordinates.
    """
    if hasattr(center, "transform_to"):
        if image.wcs is None:
            raise InputError(
                "has no sky coordinates", file=image.path or image.name, remedy="give (x, y)"
            )
        center = image.wcs.world_to_pixel(center)
    try:
        x, y = (float(v) for v in center)
    except (TypeError, ValueError):
        x = y = np.nan
    if not (np.isfinite(x) and np.isfinite(y)):
        raise InputError(
            f"is {center!r}", parameter="center", remedy="give (x, y) in pixels or a SkyCoord"
        )
    return x, y


def in_pixels(image, size, parameter):
    """A length in pixels: a number as it is, an angle by the pixel size.

    Examples
    --------
    >>> in_pixels(None, 12, "radius")
    12.0
    """
    if hasattr(size, "unit"):
        if image.pixel_size is None:
            raise InputError(
                f"is {size}, and the image has no pixel size",
                parameter=parameter,
                remedy="give pixels",
            )
        try:
            size = float(size.to_value("arcsec")) / image.pixel_size
        except Exception as error:  # astropy's unit errors
            raise InputError(f"is {size}", parameter=parameter, remedy="give an angle") from error
    size = numbers(size, parameter, "give a positive length")
    if not (np.ndim(size) == 0 and np.isfinite(size) and size > 0):
        raise InputError(f"is {size}", parameter=parameter, remedy="give a positive length")
    return float(size)


def cutout(image, center, size):
    """Part of an image, whose pixels keep their place on the sky.

    Parameters
    ----------
    image : Image
    center : (x, y) in pixels, or SkyCoord
    size : float or astropy Quantity, or (width, height) of them
        In pixels or as an angle; rounded to whole pixels, and cut at the edges of the image.

    Returns
    -------
    Image

    Raises
    ------
    InputError
        If it does not overlap the image, or no good pixel is in it.
    """
    pair = size if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2:
        raise InputError(f"is {size}", parameter="size", remedy="give one size or (width, height)")
    window = []
    for at, length, n in zip(position(image, center), pair, image.shape[::-1], strict=True):
        length = max(round(in_pixels(image, length, "size")), 1)
        first = int(np.ceil(at - length / 2))
        window.append(slice(max(first, 0), min(first + length, n)))
        if window[-1].stop <= window[-1].start:
            raise InputError(
                f"the cut-out at {at:.6g} lies outside of the image ({n} pixels)",
                parameter="center",
                remedy="check the position and the order (x, y)",
            )
    columns, rows = window
    part = {k: v[rows, columns].copy() for k in _FIELDS if (v := getattr(image, k)) is not None}
    if part["mask"].all():
        raise InputError(
            "no good pixel is in the cut-out", file=image.path or image.name, parameter="center"
        )
    note = f"cut out: x {columns.start}-{columns.stop - 1}, y {rows.start}-{rows.stop - 1}"
    start = (columns.start, rows.start)
    return image.replace(
        **part,
        wcs=None if image.wcs is None else image.wcs.slice((rows, columns)),
        header=moved_physical(image.header, start, 1),
        diagnostics=(*image.diagnostics, note),
    )


_FIELDS = ("counts", "exposure", "mask", "background", "rms", "area")


def rebin(image, factor):
    """Merge factor x factor pixels into one.

    Counts and background are sums over the good pixels, rms is their quadratic sum. With S per
    new pixel, that is factor^2 times the S of a small one, ``S * exposure`` stays the expected
    counts if the new exposure is the sum over the good pixels divided by factor^2; ``area``
    becomes the good fraction of each pixel, so that ``B * area`` stays right too, with B per
    new pixel. A new pixel is masked only where it holds no good pixel. Rows and columns that
    do not fill a pixel at the far edges are kept, as a pixel with less area.

    Parameters
    ----------
    image : Image
    factor : int, 1 or more

    Returns
    -------
    Image

    Raises
    ------
    InputError
        If the factor is not a positive whole number, or the sky coordinates are distorted.

    Examples
    --------
    >>> from jaxspec.reduce.image import Image
    >>> image = Image("toy", np.ones((4, 4)), np.full((4, 4), 8.0), np.eye(4, dtype=bool))
    >>> rebin(image, 2).counts, rebin(image, 2).exposure, rebin(image, 2).area
    (array([[2., 4.],
           [4., 2.]]), array([[4., 8.],
           [8., 4.]]), array([[0.5, 1. ],
           [1. , 0.5]]))
    """
    try:
        f = operator.index(factor)
    except TypeError:
        f = 0
    if not 1 <= f <= min(image.shape):
        raise InputError(
            f"is {factor}", parameter="factor", remedy="give a whole number of pixels, from 1"
        )
    if f > 1 and image.wcs is not None and image.wcs.has_distortion:
        raise InputError(
            "has distorted sky coordinates (SIP), which cannot be rebinned",
            file=image.path or image.name,
            remedy="go without them: image.replace(wcs=None)",
        )
    good = _blocks(image.good, f).sum((1, 3))

    def total(values):
        return _blocks(np.where(image.good, values, 0.0), f).sum((1, 3))

    area = image.good if image.area is None else image.area
    return image.replace(
        counts=total(image.counts),
        exposure=total(image.exposure) / f**2,
        mask=good == 0,
        background=None if image.background is None else total(image.background),
        rms=None if image.rms is None else np.sqrt(total(image.rms**2)),
        area=total(area) / f**2,
        psf=None if image.psf is None else image.psf.rebinned(f),
        wcs=None if image.wcs is None else _coarser(image.wcs, f),
        header=moved_physical(image.header, (0, 0), f),
        diagnostics=(*image.diagnostics, f"rebinned: {f} x {f} pixels merged"),
    )


def _coarser(wcs, f):
    """Sky coordinates of pixels that are f times as large (`WCS.slice` forgets a CD matrix)."""
    wcs = wcs.deepcopy()
    wcs.wcs.crpix = (wcs.wcs.crpix - 0.5) / f + 0.5
    if wcs.wcs.has_cd():
        wcs.wcs.cd = wcs.wcs.cd * f
    else:
        wcs.wcs.cdelt = wcs.wcs.cdelt * f
    return wcs


def _blocks(values, f):
    """(ny, f, nx, f) view, filled with zeros at the far edges."""
    ny, nx = values.shape
    full = np.zeros((-(-ny // f) * f, -(-nx // f) * f), values.dtype)
    full[:ny, :nx] = values
    return full.reshape(full.shape[0] // f, f, full.shape[1] // f, f)


def moved_physical(header, start, step):
    """Header with the physical coordinates (LTM, LTV) of a cut-out and rebinned image.

    Examples
    --------
    >>> moved_physical({}, (10, 0), 2)["LTV1"]
    -4.75
    """
    header = dict(header)
    for i, first in zip((1, 2), start, strict=True):
        scale, shift = header.get(f"LTM{i}_{i}", 1.0), header.get(f"LTV{i}", 0.0)
        header[f"LTM{i}_{i}"] = scale / step
        header[f"LTV{i}"] = (shift - first - 0.5) / step + 0.5
    return header
