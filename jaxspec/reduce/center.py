"""Where a source is: the brightness peak and the centroid, from the data alone."""

from __future__ import annotations

import numpy as np

from jaxspec._ask import expect
from jaxspec.errors import InputError
from jaxspec.reduce.regrid import in_pixels, position

# Pixels below this fraction of the largest exposure are too noisy to tell where a source is.
TRUSTED_EXPOSURE = 0.2


def peak(image, smooth=None):
    """Brightest place of the exposure-corrected, smoothed image.

    Parameters
    ----------
    image : Image
    smooth : float or angle, optional
        Standard deviation of the Gaussian in pixels (or as an astropy angle); by default
        a hundredth of the shorter side, at least 2 pixels.

    Returns
    -------
    x, y : float pixels from 0

    Notes
    -----
    Counts and exposure are smoothed apart, masked pixels counting in neither, so that holes
    and gaps make no peak; the median count level is taken off first, since the background is
    not vignetted and would rise towards the edges. Places where less than 30 % of the
    smoothing weight is on good pixels, or the exposure is below 20 % of the largest, are not
    considered.

    Examples
    --------
    >>> from jaxspec.reduce.image import Image
    >>> y, x = np.indices((40, 50))
    >>> counts = 1000.0 * np.exp(-((x - 30.2) ** 2 + (y - 12.0) ** 2) / 18)
    >>> peak(Image("toy", counts, np.ones((40, 50)), np.zeros((40, 50), bool)))
    (30.0, 12.0)
    """
    expect(image, "good", "image", "an Image")
    if smooth is None:
        smooth = max(min(image.shape) / 100, 2.0)
    counts, exposure, weight = _smoothed(image, in_pixels(image, smooth, "smooth"))
    trusted = image.good & (weight > 0.3) & (exposure > TRUSTED_EXPOSURE * exposure.max())
    if not trusted.any():  # a few scattered pixels
        trusted = image.good & (exposure > 0)
    if not trusted.any():
        raise InputError("no good pixel is exposed", file=image.path or image.name)
    level = np.median(counts[trusted] / weight[trusted])
    bright = np.full(image.shape, -np.inf)
    bright[trusted] = (counts[trusted] - level * weight[trusted]) / exposure[trusted]
    y, x = np.unravel_index(np.argmax(bright), image.shape)
    return float(x), float(y)


def _excess(image):
    """(ny, nx) counts less the background map, zero where masked."""
    counts = image.counts if image.background is None else image.counts - image.background
    return np.where(image.good, counts, 0.0)


def _smoothed(image, sigma):
    """Excess counts, exposure and number of good pixels, smoothed by a Gaussian."""
    from scipy.ndimage import gaussian_filter

    maps = (_excess(image), np.where(image.good, image.exposure, 0.0), image.good * 1.0)
    return [gaussian_filter(v, sigma, mode="constant") for v in maps]


def centroid(image, center=None, radius=None, *, fixed=False):
    """Centre of the brightness in a circle, iterated until the circle is centred on it.

    Parameters
    ----------
    image : Image
    center : (x, y) in pixels or SkyCoord, optional
        Where to start; by default at the brightness peak.
    radius : float or angle, optional
        Of the circle, in pixels (or an astropy angle); by default the one in which the source
        around the start stands out most (excess counts over the square root of the counts).
    fixed : bool
        Leave the circle where it is, and take the whole brightness of those pixels whose
        smoothed brightness is above the mean of the image. This follows pyproffit (Eckert et
        al. 2020, OJAp 3, 12); what is left of the background pulls the result towards the
        middle of the circle, which the default avoids.

    Returns
    -------
    x, y : float pixels from 0

    Raises
    ------
    InputError
        If there is no source: no good pixel or no excess over the surroundings in the circle.

    Notes
    -----
    The brightness is (counts - background)/exposure less the level between 1 and 1.5 radii.
    Masked pixels, and places off the image, take the mean of their distance from the centre,
    so that holes do not push the centroid away.

    Examples
    --------
    >>> from jaxspec.reduce.image import Image
    >>> y, x = np.indices((40, 50))
    >>> counts = 1000.0 * np.exp(-((x - 30.2) ** 2 + (y - 12.0) ** 2) / 18)
    >>> image = Image("toy", counts, np.ones((40, 50)), np.zeros((40, 50), bool))
    >>> np.round(centroid(image, radius=10.0), 2)
    array([30.2, 12. ])
    """
    expect(image, "good", "image", "an Image")
    x, y = peak(image) if center is None else position(image, center)
    radius = _best_radius(image, x, y) if radius is None else in_pixels(image, radius, "radius")
    radius = max(radius, 1.5)
    if fixed:
        return _fixed_circle(image, x, y, radius)
    for _ in range(50):
        dx, dy = _step(image, x, y, radius)
        x, y = x + dx, y + dy
        if np.hypot(dx, dy) < 1e-3:
            break
    return float(x), float(y)


def _fixed_circle(image, x, y, radius):
    """Centroid of what stands out from the mean brightness in one circle."""
    excess, good = _excess(image), image.good & (image.exposure > 0)
    counts, exposure, _ = _smoothed(image, 10 / np.sqrt(12))  # as wide as a box of 10 pixels
    mean = excess[good].sum() / image.exposure[good].sum()
    rows, columns = np.indices(image.shape)
    use = good & (counts > mean * exposure) & (np.hypot(columns - x, rows - y) < radius)
    bright = excess[use] / image.exposure[use]
    if not bright.sum() > 0:
        raise _no_source(image, x, y, radius)
    return float(columns[use] @ bright / bright.sum()), float(rows[use] @ bright / bright.sum())


def _no_source(image, x, y, radius):
    return InputError(
        f"no source at x={x:.1f}, y={y:.1f}: no excess over the surroundings within "
        f"{radius:.1f} pixels",
        file=image.path or image.name,
        remedy="give center= and radius=",
    )


def _best_radius(image, x, y):
    """Radius of the largest signal to noise, among those with the nearer half of the pixels."""
    rows, columns = np.nonzero(image.good)
    ring = np.hypot(columns - x, rows - y).astype(int)
    pixels = np.cumsum(np.bincount(ring))
    counts = np.cumsum(np.bincount(ring, image.counts[image.good]))
    half = max(int(np.searchsorted(pixels, pixels[-1] / 2)), 1)
    level = (counts[-1] - counts[half - 1]) / max(pixels[-1] - pixels[half - 1], 1)
    noise = np.sqrt(np.maximum(np.abs(counts[:half]), 1.0))
    best = np.argmax((counts[:half] - level * pixels[:half]) / noise)
    return max(float(best + 1), 3.0)


def _step(image, x, y, radius):
    """From a centre to the centroid of the circle around it."""
    outer = int(np.ceil(1.5 * radius))
    columns = int(round(x)) + np.arange(-outer, outer + 1)
    rows = int(round(y)) + np.arange(-outer, outer + 1)
    dx, dy = columns[None, :] - x, rows[:, None] - y
    distance = np.hypot(dx, dy)
    usable = image.good & (image.exposure > TRUSTED_EXPOSURE * image.exposure.max())
    usable = _window(usable, rows, columns)
    counts = _window(_excess(image), rows, columns)
    inside = distance < radius
    around = usable & ~inside & (distance < 1.5 * radius)
    level = counts[around].mean() if around.any() else 0.0
    exposure = np.where(usable, _window(image.exposure, rows, columns), 1.0)
    bright = np.where(usable, (counts - level) / exposure, 0.0)

    ring = np.minimum((distance * (32 / radius)).astype(int), 32)
    mean = np.bincount(ring[usable], bright[usable], 33)
    mean = mean / np.maximum(np.bincount(ring[usable], minlength=33), 1)
    bright = np.where(usable, bright, mean[ring])[inside]
    total = bright.sum()
    if not total > 0:
        raise _no_source(image, x, y, radius)
    dx, dy = (np.broadcast_to(d, inside.shape)[inside] for d in (dx, dy))
    return (bright * dx).sum() / total, (bright * dy).sum() / total


def _window(values, rows, columns):
    """Part of an array; zeros (False) off its edges."""
    ny, nx = values.shape
    on = ((rows >= 0) & (rows < ny))[:, None] & ((columns >= 0) & (columns < nx))[None, :]
    part = values[np.clip(rows, 0, ny - 1)[:, None], np.clip(columns, 0, nx - 1)[None, :]]
    return np.where(on, part, np.zeros((), values.dtype))
