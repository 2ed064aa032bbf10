"""The point spread function of an image, and the grid on which a model is convolved with it.

NumPy only; the convolution itself is `jaxspec.model.image_plane.expected_counts_psf`.

The convention: a PSF is centred on its centroid, unless ``center`` says otherwise. A convolution
then leaves every source where it is, whatever the size of the kernel image (odd, even) and
wherever the PSF lies on it. One PSF serves the whole image.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from jaxspec._checks import fix_arrays
from jaxspec.errors import InputError
from jaxspec.reduce.resample import centred, stepped

LARGEST = 2048  # pixels from the centre to the edge of a kernel, 134 MB
FOLDED = 20_000_000  # numbers of the transform of a narrow PSF, 320 MB

# Strength of the PSF at the highest frequency of the pixels above which a phase makes it ring. What
# rings below 0 is cut off, and the rest adds up over the image: 0.03 (a Gaussian of 2.1 pixels
# FWHM) is 2.6 % of the flux, 0.005 (2.45 pixels) 0.6 %, 0.0003 (3 pixels) 0.03 %.
_RINGING = 0.03
# From here on frequencies are folded: exact of a PSF that is known in finer steps than pixels; the
# light of one that is known in pixels is spread within them by a cubic.
_FOLD_FROM = 1e-4


@dataclass(frozen=True, eq=False)
class Psf:
    """A point spread function, one for the whole image.

    Parameters
    ----------
    kernel : (ny, nx) float64, sum 1, in pixels of its own.
    scale : float, size of a pixel of the kernel in pixels of the image.
    center : (x, y), where on the kernel the source is; its first pixel has the centre (0, 0).
    name : str
    doubts : tuple of str, why the file that it was read from may be damaged.

    The kernel cannot be changed.

    Examples
    --------
    >>> psf = gaussian_psf(fwhm=3.0)
    >>> psf
    Psf(gaussian fwhm 3, 17 x 17 pixels of the image)
    >>> psf.rebinned(2).sampled.shape
    (9, 9)
    """

    kernel: np.ndarray
    scale: float = 1.0
    center: tuple[float, float] = (0.0, 0.0)
    name: str = ""
    doubts: tuple[str, ...] = ()

    def __post_init__(self):
        fix_arrays(self, ("kernel",), ndim=2)

    @classmethod
    def from_image(
        cls, array, *, pixel_size=None, image_pixel_size=None, center=None, name="kernel"
    ) -> Psf:
        """PSF of a kernel image.

        Parameters
        ----------
        array : (ny, nx), not negative; normalised here.
        pixel_size, image_pixel_size : float
            Size of a pixel of the kernel and of the image, in one unit; without both the kernel
            is in pixels of the image.
        center : (x, y) or "array", optional
            Where on the array the source is, in its pixels; "array" is its geometric centre,
            which lies between pixels where a side is even. By default the centroid.
        name : str

        Raises
        ------
        InputError
            Negative or NaN pixels, no light, sizes that are not positive, a centre outside.

        Examples
        --------
        >>> fine = Psf.from_image(np.ones((4, 4)), pixel_size=0.5, image_pixel_size=1.0)
        >>> fine.sampled.shape, round(float(fine.sampled[1, 1]), 6)
        ((3, 3), 0.25)
        """
        kernel = _checked(array, name)
        scale = _scale(pixel_size, image_pixel_size)
        ny, nx = kernel.shape
        if center is None:
            center = (kernel.sum(axis=0) @ np.arange(nx), kernel.sum(axis=1) @ np.arange(ny))
        elif isinstance(center, str) and center == "array":
            center = ((nx - 1) / 2, (ny - 1) / 2)
        try:
            x, y = (float(v) for v in center)
        except (TypeError, ValueError):
            x = y = np.nan
        if not (-0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5):
            raise InputError(
                f"{center!r} is not a place on the kernel of {nx} x {ny} pixels",
                parameter="center",
                remedy='give (x, y) in pixels from 0, "array", or nothing for the centroid',
            )
        made = cls(kernel, scale, (x, y), name)
        _check_reach(made)
        return made

    def rebinned(self, factor) -> Psf:
        """Return the PSF for an image of which factor x factor pixels were merged."""
        return replace(self, scale=self.scale / factor)

    @property
    def width(self) -> float:
        """Standard deviation, in pixels of the image, of the Gaussian of the same peak and sum."""
        peak = np.max(self.kernel) / np.sum(self.kernel)
        return float(self.scale / np.sqrt(2 * np.pi * peak))

    @functools.cached_property
    def sampled(self) -> np.ndarray:
        """Kernel (2 hy + 1, 2 hx + 1) in pixels of the image, centred, sum 1.

        A kernel in pixels of the image is taken as it is; any other is integrated over these
        pixels, its light spread within its own by a cubic through the cumulative sum whose slopes
        are limited (Fritsch & Carlson 1980): no light is lost and none becomes negative.
        """
        _check_reach(self)
        made = self.kernel
        for axis, middle in enumerate(reversed(self.center)):
            made = centred(made, axis, middle, self.scale)
        return made / made.sum()

    def __repr__(self):
        ny, nx = self.sampled.shape
        return f"Psf({self.name}, {nx} x {ny} pixels of the image)"


def gaussian_psf(*, fwhm: float | None = None, sigma: float | None = None) -> Psf:
    """Round Gaussian, integrated over the pixels out to 6 sigma.

    Parameters
    ----------
    fwhm, sigma : float, one of them, in pixels of the image.

    Examples
    --------
    >>> float(gaussian_psf(sigma=2.0).sampled.sum())
    1.0
    """
    if (fwhm is None) == (sigma is None):
        raise InputError("give either fwhm= or sigma=, in pixels")
    width = _positive(fwhm if sigma is None else sigma, "fwhm" if sigma is None else "sigma")
    one = width / np.sqrt(8.0 * np.log(2.0)) if sigma is None else width
    name = f"gaussian {'fwhm' if fwhm is not None else 'sigma'} {width:g}"
    from scipy.special import ndtr

    _check_radius(6.0 * one, name)
    n, half = _parts(one, 6.0 * one)
    edges = (np.arange(2 * half + 2) - half - 0.5) / n
    line = np.diff(ndtr(edges / one))
    kernel = np.outer(line, line)
    return Psf(kernel / kernel.sum(), 1.0 / n, (float(half), float(half)), name)


def king_psf(r_core: float, alpha: float, radius: float | None = None) -> Psf:
    """King profile ``(1 + r2/r_core2)^-alpha``, as of XMM-Newton (Ghizzardi 2001, EPIC-MCT-TN-008).

    Parameters
    ----------
    r_core : float, pixels of the image.
    alpha : float, above 1, where all the light is finite.
    radius : float, optional
        Pixels; the PSF ends there and has the light 1 inside. By default it holds 99 % of the
        light of the endless profile, at most 128 pixels.

    Examples
    --------
    >>> king_psf(1.3, 1.5, radius=20)
    Psf(king r_core 1.3 alpha 1.5, 41 x 41 pixels of the image)
    """
    r_core, alpha = _positive(r_core, "r_core"), _positive(alpha, "alpha")
    if alpha <= 1:
        raise InputError(f"alpha={alpha:g} has no finite light", remedy="give alpha above 1")
    if radius is None:
        log_u = np.log(100.0) / (alpha - 1.0)  # outside is (1 + r2/r_core2)^(1 - alpha)
        radius = min(128.0, r_core * np.sqrt(np.expm1(min(log_u, 100.0))))
    name = f"king r_core {r_core:g} alpha {alpha:g}"
    return _round_psf(
        lambda r2: (1.0 + r2 / r_core**2) ** -alpha, _positive(radius, "radius"), r_core, name
    )


def read_psf(path, *, image_pixel_size=None, pixel_size=None, center=None, hdu=None) -> Psf:
    """Read a PSF from a FITS image.

    Parameters
    ----------
    path : str or os.PathLike, as for `jaxspec.read.image.read_map`.
    image_pixel_size : float, arcsec
        Size of the image's pixels; needed where the file says the size of its own.
    pixel_size : float, arcsec
        Size of the kernel's pixels, in place of what the file says.
    center : see `Psf.from_image`.
    hdu : int or str, optional

    Raises
    ------
    InputError
        A file that cannot be read, a kernel that cannot be used, or an unknown pixel size.
    """
    from jaxspec.read.image import read_map

    found = read_map(path, hdu)
    if odd := [note for note in found.diagnostics if "not square" in note]:
        raise found.fail(odd[0], remedy="bring the PSF to square pixels first")
    if pixel_size is None and found.wcs is not None:
        pixel_size = float(np.sqrt(found.wcs.proj_plane_pixel_area().to_value("arcsec2")))
    if (pixel_size is None) != (image_pixel_size is None):
        known = f"has pixels of {pixel_size:g} arcsec" if pixel_size else "says no size of pixels"
        missing = "image_pixel_size" if pixel_size else "pixel_size"
        raise InputError(known, file=found.file, hdu=found.hdu, remedy=f"give {missing}= in arcsec")
    try:
        psf = Psf.from_image(
            found.data,
            pixel_size=pixel_size,
            image_pixel_size=image_pixel_size,
            center=center,
            name=str(path).rpartition("/")[2],
        )
    except InputError as error:
        raise InputError(str(error), file=found.file, hdu=found.hdu) from None
    return replace(psf, doubts=found.doubts)


class Grid(NamedTuple):
    """Rectangle on which a model is evaluated and convolved.

    ``x, y`` (ny, nx) pixels: the box around the image's pixels, the reach of the PSF on each side
    of it, and what makes the sides fast to transform. ``transfer`` (ny, nx // 2 + 1) Fourier
    transform of the PSF. ``low, high`` (2,): x and y between which a point source can be seen.
    ``sharp``: the PSF is too narrow (below about 2 pixels FWHM) to be moved by a phase. ``fine``
    (s, s, ny, nx // 2 + 1) is the transform of a narrow PSF (below about 3 pixels) in steps of 1/s
    pixel: at the frequencies of the grid, and at those above that the pixels fold onto them. None
    of a wide PSF, or where it would be too large.
    """

    x: np.ndarray
    y: np.ndarray
    transfer: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sharp: np.ndarray
    fine: np.ndarray | None = None

    @property
    def area(self) -> float:
        """Every entry is one pixel of the image."""
        return 1.0


def convolution_grid(psf: Psf, pixels) -> tuple[Grid, np.ndarray]:
    """Grid for an image, and where its pixels are on it.

    Parameters
    ----------
    psf : Psf
    pixels : Pixels, single pixels of the image (not merged ones).

    Returns
    -------
    grid : Grid
    index : (n_pix,) int, places of the pixels in the flattened grid.

    Raises
    ------
    InputError
        Merged pixels or annuli.
    """
    from scipy import fft

    x, y = (np.asarray(v, dtype=np.float64) for v in (pixels.x, pixels.y))
    single = (x == np.round(x)) & (y == np.round(y)) & (np.asarray(pixels.area) == 1)
    if not single.all() or not x.size:
        raise InputError(
            "a PSF needs the single pixels of an image; these are merged ones or none",
            remedy="fit the image, or leave the PSF out",
        )
    next_fast_len: Any = fft.next_fast_len
    kernel = psf.sampled
    half_y, half_x = (n // 2 for n in kernel.shape)
    x_low, y_low = x.min() - half_x, y.min() - half_y
    nx = next_fast_len(int(x.max() + half_x - x_low) + 1, real=True)
    ny = next_fast_len(int(y.max() + half_y - y_low) + 1, real=True)
    wide = np.zeros((ny, nx))
    wide[: kernel.shape[0], : kernel.shape[1]] = kernel
    transfer = np.fft.rfft2(np.roll(wide, (-half_y, -half_x), axis=(0, 1)))
    grid_x, grid_y = np.meshgrid(x_low + np.arange(nx), y_low + np.arange(ny))
    low = np.array([x_low, y_low]) - 0.5
    high = np.array([x.max() + half_x, y.max() + half_y]) + 0.5
    index = ((y - y_low) * nx + (x - x_low)).astype(np.int64)
    edge = max(np.abs(transfer[ny // 2]).max(), np.abs(transfer[:, -1]).max())
    sharp = edge > _RINGING
    fine = _fine_transform(psf, (ny, nx)) if edge > _FOLD_FROM else None
    return Grid(grid_x, grid_y, transfer, low, high, np.asarray(sharp), fine), index


def _fine_transform(psf, shape):
    """`Grid.fine` of a PSF; None where the grid is too large for it."""
    from scipy import fft

    ny, nx = shape
    for s in (2, 4, 8, 16):
        if s * s * ny * nx > FOLDED:
            break
        made = psf.kernel
        for axis, middle in enumerate(reversed(psf.center)):
            made = stepped(made, axis, middle, psf.scale, s)
        wide = np.zeros((s * ny, s * nx))
        half_y, half_x = (n // 2 for n in made.shape)
        if made.shape[0] > s * ny or made.shape[1] > s * nx:
            return None
        wide[: made.shape[0], : made.shape[1]] = made / made.sum()
        full = np.asarray(fft.fft2(np.roll(wide, (-half_y, -half_x), axis=(0, 1))))
        folds = full.reshape(s, ny, s, nx).transpose(0, 2, 1, 3)[..., : nx // 2 + 1]
        # a pixel has no power at whole cycles: what lies below the last of them tells
        top = (
            np.abs(full[3 * s * ny // 8 : s * ny // 2]),
            np.abs(full[:, 3 * s * nx // 8 : s * nx // 2]),
        )
        if max(part.max(initial=0.0) for part in top) < 1e-3:
            return np.ascontiguousarray(folds)
    return None


def _checked(array, name):
    try:
        kernel = np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        kernel = np.zeros(0)
    if kernel.ndim != 2 or not kernel.size:
        raise InputError(f"the PSF {name} is not a 2-D array of numbers")
    if not np.all(np.isfinite(kernel)) or kernel.min() < 0:
        raise InputError(
            f"the PSF {name} has negative, infinite or NaN pixels",
            remedy="set them to 0, np.clip(np.nan_to_num(kernel), 0, None), if they are noise",
        )
    if not kernel.sum() > 0:
        raise InputError(f"the PSF {name} has no light")
    return kernel / kernel.sum()


def _scale(pixel_size, image_pixel_size):
    if (pixel_size is None) != (image_pixel_size is None):
        raise InputError("pixel_size and image_pixel_size belong together", remedy="give both")
    if pixel_size is None:
        return 1.0
    return _positive(pixel_size, "pixel_size") / _positive(image_pixel_size, "image_pixel_size")


def _check_reach(psf):
    """Refuse a kernel that would fill the memory, which a slip in the units makes."""
    sides = [max(c, n - 1 - c) for c, n in zip(psf.center, reversed(psf.kernel.shape), strict=True)]
    reach = (max(sides) + 0.5) * psf.scale
    if not reach <= LARGEST:
        ny, nx = psf.kernel.shape
        raise InputError(
            f"the PSF {psf.name}, {nx} x {ny} pixels of {psf.scale:g} image pixels each, would "
            f"reach {reach:.4g} pixels from its centre, more than {LARGEST}",
            parameter="pixel_size",
            remedy="give pixel_size and image_pixel_size in one unit, arcsec in read_psf, or cut "
            "the kernel out around its core",
        )


def _positive(value, what):
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and number > 0):
        raise InputError(f"{what}={value!r} is not a positive number")
    return number


def _check_radius(radius, name):
    if radius > LARGEST:
        raise InputError(
            f"the PSF {name} reaches {radius:g} pixels", remedy="widths are in pixels of the image"
        )


def _parts(width, radius):
    """Pixels of a kernel in one of the image, odd, and from its centre to its edge."""
    n = 2 * int(min(2.0 / width, 30.0, 2000.0 / radius)) // 2 + 1 if width < 2.0 else 1
    n += 1 - n % 2
    return n, max(1, int(np.ceil(radius * n)))


def _round_psf(profile, radius, width, name):
    """PSF of a profile of r2, integrated over the pixels of the kernel."""
    _check_radius(radius, name)
    n, half = _parts(width, radius)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    offset = np.arange(-half, half + 1.0)
    kernel = np.zeros((len(offset), len(offset)))
    for dy, wy in zip(nodes / 2, weights / 2, strict=True):
        for dx, wx in zip(nodes / 2, weights / 2, strict=True):
            r2 = ((offset + dy)[:, None] ** 2 + (offset + dx)[None, :] ** 2) / n**2
            kernel += wx * wy * profile(r2)
    return Psf(kernel / kernel.sum(), 1.0 / n, (float(half), float(half)), name)
