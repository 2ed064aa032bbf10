"""Write an image as FITS files that `jaxspec.read_image` reads: counts, and maps beside them."""

from __future__ import annotations

import os

import numpy as np

from jaxspec._ask import expect
from jaxspec._files import check_free
from jaxspec.errors import InputError
from jaxspec.read.write import put_keywords, store

UNKNOWN = "unknown"
MAPS = ("exposure", "background", "rms", "area", "mask")
_UNITS = {"background": "count", "rms": "count", "area": "", "mask": ""}


def write_image(
    image,
    path,
    *,
    exposure=None,
    background=None,
    rms=None,
    area=None,
    mask=None,
    overwrite=False,
):
    """Write the counts of an image, and each map for which a path is given, to a file of its own.

    Reading them again with `jaxspec.read_image` gives equal arrays, sky coordinates and exposure
    time. The mask is read with ``mask=``; the PSF is not written.

    Parameters
    ----------
    image : Image
    path : str or os.PathLike
        File for the counts (int32 if they are whole numbers), with EXPOSURE and sky coordinates.
        Gzipped if it ends in ``.gz`` or ``.FTZ``; local or any fsspec address, like the others.
    exposure : str or os.PathLike, optional
        File for the exposure map, with its unit as BUNIT, "unknown" if it is not known.
    background, rms : str or os.PathLike, optional
    area : str or os.PathLike, optional
        Good fraction of each pixel, of an image that was rebinned over masked pixels. Where it is
        not 1, it has to be written with the exposure or the mask: a background of B counts per
        pixel would come out too low without it.
    mask : str or os.PathLike, optional
        0 where a pixel is left out and 1 where it is used, as ``read_image(mask=...)`` reads it
        and as most pipelines have it: the opposite of ``image.mask``.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    InputError
        If a map is asked for that the image does not have, ``area`` is missing, a file exists and
        may not be replaced, or a file cannot be written.

    Examples
    --------
    >>> from jaxspec.reduce.image import Image, read_image
    >>> blank = np.zeros((2, 3), bool)
    >>> image = Image("toy", np.ones((2, 3)), np.full((2, 3), 9.0), blank, exposure_unit="s")
    >>> write_image(image, "memory://doc/i.fits", exposure="memory://doc/e.fits")
    >>> read_image("memory://doc/i.fits", exposure="memory://doc/e.fits").exposure
    array([[9., 9., 9.],
           [9., 9., 9.]])
    """
    expect(image, "exposure_unit", "image", "an Image")
    check_targets([path, exposure, background, rms, area, mask], overwrite)
    partial = image.area is not None and (image.area[image.good] != 1).any()
    if partial and area is None and (exposure is not None or mask is not None):
        raise InputError(
            "was rebinned over masked pixels: its pixels are good only in part",
            file=image.name,
            parameter="area",
            remedy="give area= a file as well, and read_image the same one",
        )
    counts = image.counts
    if np.array_equal(counts, np.round(counts)) and np.abs(counts).max(initial=0.0) < 2**31:
        counts = counts.astype(np.int32)
    files = [(counts, path, "count")]
    for name, target in zip(MAPS, (exposure, background, rms, area, mask), strict=True):
        if target is None:
            continue
        values = getattr(image, name)
        if values is None:
            raise InputError(f"has no {name} map", file=image.name, remedy=f"leave {name}= out")
        values = (~values).astype(np.uint8) if name == "mask" else values
        unit = (image.exposure_unit or UNKNOWN) if name == "exposure" else _UNITS[name]
        files.append((values, target, unit))
    for values, target, unit in files:
        _write(image, values, target, unit, overwrite)


def check_targets(paths, overwrite):
    """Find out before the first file is written whether all of them can be, each its own."""
    given = [os.fspath(path) for path in paths if path is not None]
    if twice := [path for path in given if given.count(path) > 1]:
        raise InputError("is given for two maps", file=twice[0], remedy="write each to its own")
    for path in given:
        check_free(path, overwrite)


def _write(image, values, path, unit, overwrite):
    from astropy.io import fits

    hdu = fits.PrimaryHDU(values)
    if image.wcs is not None:
        # relax=True keeps distortions, which are no part of the standard
        hdu.header.update(image.wcs.to_header(relax=True))
    known = {"EXPOSURE": float(image.exposure_time)} if image.exposure_time > 0 else {}
    kept = {k: v for k, v in image.header.items() if k not in hdu.header and k != "BUNIT"}
    put_keywords(hdu.header, kept | known | ({"BUNIT": unit} if unit else {}))
    store([hdu], path, overwrite)
