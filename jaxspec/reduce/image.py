"""Image: counts, exposure and mask on one grid of pixels; read, masked, cut out, rebinned."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from jaxspec._ask import changed
from jaxspec.errors import InputError
from jaxspec.read.image import read_map
from jaxspec.read.paths import stem
from jaxspec.reduce import regrid
from jaxspec.reduce.exposure import exposure_of_map, header_exposure
from jaxspec.reduce.grid import companion
from jaxspec.reduce.image_checks import (
    as_maps,
    check_apart,
    check_swapped,
    checked,
    in_counts,
    seconds_given,
    unexposed,
)
from jaxspec.reduce.mask import unite
from jaxspec.reduce.pixels import Pixels


@dataclass(frozen=True, eq=False)
class Image:
    """An X-ray image, ready to be fitted.

    Arrays are (y, x): ``counts[y, x]``; x is to the right, y up, and the centre of the first
    pixel is (0, 0). Its model is ``N = S(x, y) * exposure + B * area + scale * background``.

    Parameters
    ----------
    name : str, shown in tables (file stem unless given).
    counts : (ny, nx) float64 counts.
    exposure : (ny, nx) float64, in ``exposure_unit``.
    mask : (ny, nx) bool, True where the pixel is left out.
    background : (ny, nx) float64 expected counts per pixel, not vignetted, or None.
    rms : (ny, nx) float64 one-sigma errors, or None; with them a fit uses chi2.
    psf : jaxspec.reduce.psf.Psf or None.
    wcs : astropy.wcs.WCS or None, celestial.
    exposure_unit : "cm2 s", "s" or "" (unknown).
    exposure_time : float, seconds; NaN where the files do not say it.
    path : str, where it was read from.
    header : dict, the header keywords worth keeping.
    diagnostics : tuple of str, what was assumed and done.
    area : (ny, nx) float64 or None
        Good fraction of each pixel, after rebinning over masked pixels; None is 1 everywhere.

    The arrays cannot be changed: `replace` and `masked` make another image.

    Raises
    ------
    InputError
        Arrays of different shapes, what is no array of numbers, a unit that is not known.

    Examples
    --------
    >>> import numpy as np
    >>> image = Image("toy", np.ones((2, 3)), np.full((2, 3), 10.0), np.zeros((2, 3), bool))
    >>> image.shape, image.masked(where=image.exposure < 5).good.sum()
    ((2, 3), np.int64(6))
    """

    name: str
    counts: np.ndarray
    exposure: np.ndarray
    mask: np.ndarray
    background: np.ndarray | None = None
    rms: np.ndarray | None = None
    psf: Any = None
    wcs: Any = None
    exposure_unit: str = ""
    exposure_time: float = np.nan
    path: str = ""
    header: dict = field(default_factory=dict)
    diagnostics: tuple[str, ...] = ()
    area: np.ndarray | None = None

    def __post_init__(self):
        for key, values in as_maps(self).items():
            object.__setattr__(self, key, values)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (ny, nx)."""
        return self.counts.shape

    @property
    def good(self) -> np.ndarray:
        """(ny, nx) bool, True where a pixel is used."""
        return ~self.mask

    @cached_property
    def pixel_size(self) -> float | None:
        """Side of a pixel in arcsec (square root of its area), None without sky coordinates."""
        if self.wcs is None:
            return None
        self.wcs.wcs.set()  # units of a WCS made by hand are not known before
        return float(np.sqrt(self.wcs.proj_plane_pixel_area().to_value("arcsec2")))

    @cached_property
    def pixels(self) -> Pixels:
        """The good pixels as flat arrays, row by row; `rebuild` is the way back."""
        good = self.good
        y, x = np.nonzero(good)

        def flat(values, default):
            return np.full(len(x), default) if values is None else values[good]

        made = Pixels(
            self.counts[good],
            x.astype(np.float64),
            y.astype(np.float64),
            self.exposure[good],
            flat(self.background, 0.0),
            flat(self.area, 1.0),
            flat(self.rms, np.nan),
        )
        for values in made:
            values.flags.writeable = False
        return made

    def rebuild(self, values) -> np.ndarray:
        """Put values of the good pixels back on the image.

        Parameters
        ----------
        values : (n_pix,) in the order of `pixels`

        Returns
        -------
        (ny, nx) float64, NaN where masked
        """
        values, n = np.asarray(values), int(self.good.sum())
        if values.shape != (n,):
            raise InputError(
                f"has shape {values.shape}, not ({n},)",
                parameter="values",
                remedy="give one value per good pixel, in the order of image.pixels",
            )
        out = np.full(self.shape, np.nan)
        out[self.good] = values
        return out

    def masked(self, regions=None, min_exposure=None, where=None, keep=None, mask=None) -> Image:
        """Leave out more pixels; what was left out before stays out.

        Parameters
        ----------
        regions : str, path, region object, or list of them
            What lies in their union is left out; see `jaxspec.read.regions.read_regions`.
        min_exposure : float
            Pixels below this fraction of the maximum of the exposure are left out.
        where : (ny, nx) bool
            True where a pixel is left out.
        keep : as regions
            What lies outside of their union is left out.
        mask : str or os.PathLike
            FITS image on the same grid: 0 (or NaN) is left out, 1 is used. ``file[NAME]``
            chooses an extension.

        Returns
        -------
        Image

        Raises
        ------
        InputError
            If no pixel is left, or an argument cannot be used.
        """
        united, notes = unite(self.mask, self, regions, min_exposure, where, keep, mask)
        return self.replace(mask=united, diagnostics=(*self.diagnostics, *notes))

    def cutout(self, center, size) -> Image:
        """Part of the image around a position; see `jaxspec.reduce.regrid.cutout`."""
        return regrid.cutout(self, center, size)

    def rebin(self, factor) -> Image:
        """Merge factor x factor pixels; see `jaxspec.reduce.regrid.rebin`."""
        return regrid.rebin(self, factor)

    def sky(self, x, y):
        """Sky position of pixel coordinates, as `astropy.coordinates.SkyCoord`."""
        if self.wcs is None:
            raise InputError(
                "has no sky coordinates",
                file=self.path or self.name,
                remedy="read an image whose header has them (CTYPE1, CRVAL1, ...)",
            )
        return self.wcs.pixel_to_world(x, y)

    def replace(self, **changes) -> Image:
        """Return a copy with some fields changed."""
        return changed(self, changes)

    def __repr__(self):
        ny, nx = self.shape
        size = "" if self.pixel_size is None else f' of {self.pixel_size:.3g}"'
        extras = [k for k in ("background", "rms", "psf") if getattr(self, k) is not None]
        parts = [
            f"{nx} x {ny} pixels{size}",
            f"{self.good.sum()} good",
            f"{self.counts[self.good].sum():.6g} counts on them",
            f"exposure up to {self.exposure.max():.4g} {self.exposure_unit}".rstrip(),
        ]
        return f"Image({self.name}: {', '.join(parts + extras)})"


def read_image(
    path,
    *,
    exposure=None,
    background=None,
    rms=None,
    area=None,
    psf=None,
    regions=None,
    keep=None,
    min_exposure=None,
    mask=None,
    hdu=None,
    exposure_time="auto",
    exposure_unit=None,
    unit=None,
    name=None,
) -> Image:
    """Read a counts image with its exposure map, and choose the pixels to fit.

    Parameters
    ----------
    path : str or os.PathLike
        FITS image of counts: plain, ``.gz``, ``.FTZ``, local or any address that fsspec opens.
    exposure : str, os.PathLike or (ny, nx) array, optional
        Exposure map in s, cm2 or cm2 s. Without one, the exposure is EXPOSURE everywhere.
        Pixels of zero (or NaN) exposure are left out, as are those of the image without a number.
    background, rms : str, os.PathLike or (ny, nx) array, optional
        Expected background counts per pixel; one-sigma errors (a fit then uses chi2, and the
        counts may be negative).
    area : str, os.PathLike or (ny, nx) array, optional
        Good fraction of each pixel, 0 to 1, of an image that was rebinned over masked pixels, as
        `jaxspec.write_image` writes it.
    psf : jaxspec.reduce.psf.Psf, optional
    regions : str, path, region object, or list of them, optional
        What lies in them is left out: DS9 or JS9 text or files, source lists, FITS tables.
    keep : as regions, optional
        What lies outside of them is left out.
    min_exposure : float, optional
        Pixels below this fraction of the maximum of the exposure map are left out.
    mask : str or os.PathLike, optional
        FITS image on the same grid: 0 (or NaN) is left out, 1 is used.
    hdu : int or str, optional
        Extension of the counts; by default the first with a 2-D image. In all files,
        ``file.fits[NAME]``, ``file.fits[NAME,EXTVER]`` or ``file.fits[2]`` chooses one.
    exposure_time : "auto", True, False or seconds
        Whether the exposure map is multiplied by EXPOSURE of the image. "auto" does so for
        a map in cm2, told by its BUNIT or else by its peak, and says so in ``diagnostics``.
        A number multiplies the map (without a map, it is the exposure of every pixel).
    exposure_unit : str, optional
        Unit of the exposure map, "s", "cm2" or "cm2 s", where its BUNIT is absent or wrong.
        Without either, and with ``exposure_time`` given, the unit is unknown and stays so.
    unit : str, optional
        Unit of the image, where its BUNIT is wrong: only counts are accepted. Rates, fluxes
        and photons are refused, and so are fractions in a unit that is not known: their numbers
        do not scatter as counts do.
    name : str, optional
        By default the file stem.

    Returns
    -------
    Image

    Raises
    ------
    InputError
        If a file cannot be read, the grids differ (shape, or sky position by more than half a
        pixel), a map has another unit than it must have, EXPOSURE is missing where it is needed,
        a good pixel is negative or infinite, or no pixel is left.

    Examples
    --------
    >>> import jaxspec as js
    >>> image = js.read_image("image.fits.gz", exposure="expmap.fits.gz",
    ...                       regions="mask.reg", min_exposure=0.5)   # doctest: +SKIP
    """
    if psf is not None and not hasattr(psf, "sampled"):
        raise InputError(
            f"is {psf!r}, not a PSF",
            parameter="psf",
            remedy="use jaxspec.read_psf(path, ...), jaxspec.gaussian_psf or jaxspec.king_psf",
        )
    counts = in_counts(read_map(path, hdu), "image", unit)
    notes, blank = [*counts.diagnostics, *counts.doubts], np.isnan(counts.data)
    if (seconds := seconds_given(exposure_time, counts)) is not None:
        time = seconds
    else:
        time = header_exposure(counts.header, counts.file, needed=exposure is None)
    if exposure is None:
        exposed, unit = np.full(counts.data.shape, time), "s"
        notes.append(f"exposure: {time:.6g} s everywhere, without a map")
        dark = np.zeros(counts.data.shape, bool)
    else:
        found = companion(exposure, counts.data.shape, counts.wcs, "exposure")
        check_apart(counts, found, "exposure")
        time = time if time == time else header_exposure(found.header, found.file, needed=False)
        exposed, unit, note = exposure_of_map(
            found.data, found.header, time, exposure_time, found.file, exposure_unit
        )
        dark, more = unexposed(exposed, counts, found)
        check_swapped(counts, dark, found)
        notes += [note, *_read_from(found, "exposure map"), *more]
        exposed = np.where(dark, 0.0, exposed)
    if lost := (blank & ~dark).sum():
        notes.append(f"{lost} pixels without a number (NaN or BLANK) left out")
    maps = {}
    for key, given in (("background", background), ("rms", rms)):
        if given is not None:
            found = in_counts(companion(given, counts.data.shape, counts.wcs, key), key)
            check_apart(counts, found, key)
            maps[key] = found.data
            notes += [*_read_from(found, key), *(n for n in found.diagnostics if n.startswith(key))]
    notes += [f"PSF: {doubt}" for doubt in getattr(psf, "doubts", ())]
    if area is not None:
        found = companion(area, counts.data.shape, counts.wcs, "area")
        maps["area"] = found.data
        notes += _read_from(found, "area")
    counts.data.flags.writeable = exposed.flags.writeable = False  # nobody else's: not copied
    image = Image(
        name or stem(counts.file),
        counts.data,
        exposed,
        dark | blank,
        psf=psf,
        wcs=counts.wcs,
        exposure_unit=unit,
        exposure_time=time,
        path=counts.file,
        header=counts.header,
        diagnostics=tuple(notes),
        **maps,
    )
    return checked(image.masked(regions, min_exposure, keep=keep, mask=mask))


def _read_from(found, what):
    """Note on the file of a map; an array has none."""
    doubts = [f"{what}: {doubt}" for doubt in found.doubts]
    return [] if found.hdu == "array" else [f"{what}: {found.file}[{found.hdu}]", *doubts]
