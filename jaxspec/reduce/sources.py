"""Where several sources are: one after the other, where counts stand out from those before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxspec.reduce.center import TRUSTED_EXPOSURE

WIDEST = 16.0  # pixels, of the Gaussians that are looked for
STEPS = 8  # of the centroid
ROUNDS = 2  # of taking rings around each source from what the others leave


class Found(NamedTuple):
    """A source: ``x, y`` pixels from 0, ``scale`` of its light, ``counts`` within three scales."""

    x: float
    y: float
    scale: float
    counts: float


def find_sources(image, n, known=()) -> list[Found]:
    """The ``n`` most significant sources of an image, besides those that are known.

    Each is where the image, smoothed by a Gaussian of 1, 2, 4, ... pixels, is the most standard
    deviations above what is expected; then the mean counts of the rings around it are expected
    too, so that a point source beside a cluster is not taken for a part of it, nor the flank of
    the cluster for a source.

    Parameters
    ----------
    image : Image
    n : int
    known : sequence of (x, y), places of other sources.

    Examples
    --------
    >>> import numpy as np
    >>> from jaxspec.reduce.image import Image
    >>> y, x = np.indices((40, 40))
    >>> counts = 50.0 / (1 + ((x - 20) ** 2 + (y - 18) ** 2) / 30) ** 1.5
    >>> counts[25, 23] += 60
    >>> image = Image("toy", counts, np.ones((40, 40)), np.zeros((40, 40), bool))
    >>> [(round(s.x), round(s.y)) for s in find_sources(image, 2)]
    [(20, 18), (23, 25)]
    """
    good = image.good & (image.exposure > 0)
    exposure = np.where(good, image.exposure, 0.0)
    counts = np.where(good, image.counts, 0.0)
    dark = np.zeros(image.shape) if image.background is None else image.background
    trusted = good & (exposure > TRUSTED_EXPOSURE * exposure.max(initial=0.0))
    if not trusted.any():
        return [Found(0.5 * (image.shape[1] - 1), 0.5 * (image.shape[0] - 1), 1.0, 0.0)] * n
    level = np.median(((counts - dark) / np.where(good, exposure, 1.0))[trusted])
    flat = np.where(good, dark + max(level, 0.0) * exposure, 0.0)
    rings = [np.zeros(image.shape) for _ in range(len(known) + n)]
    places, scales = list(known), []
    for k in range(len(known)):
        rings[k] = _rings(counts - flat - sum(rings), exposure, places[k])
    for k in range(len(known), len(rings)):
        expected = np.maximum(flat + sum(rings), 0.0)
        place, scale = _outstanding(image, counts, expected, trusted)
        places.append(_centred(counts - expected, place, scale))
        scales.append(scale)
        for _ in range(ROUNDS):
            for j in range(k + 1):
                others = sum(rings[:j], flat) + sum(rings[j + 1 : k + 1])
                if j >= len(known):
                    places[j] = _centred(counts - others, places[j], scales[j - len(known)])
                rings[j] = _rings(counts - others, exposure, places[j])
    found = []
    for k, scale in enumerate(scales, start=len(known)):
        x, y = places[k]
        near = _distance(image.shape, (x, y)) < 3 * scale
        found.append(Found(x, y, scale, float(rings[k][near].sum())))
    return found


def _distance(shape, place):
    y, x = np.indices(shape)
    return np.hypot(x - place[0], y - place[1])


def _rings(excess, exposure, place):
    """Counts (ny, nx) of the mean rate in rings of one pixel around a place, between their radii.

    Without a line from ring to ring the flanks of a bright core would stand out.
    """
    r = _distance(excess.shape, place)
    ring = r.astype(int).ravel()
    time = np.bincount(ring, exposure.ravel())
    seen = time > 0
    time = np.where(seen, time, 1.0)
    rate = np.bincount(ring, excess.ravel()) / time
    radius = np.bincount(ring, (exposure * r).ravel()) / time
    return np.interp(r, radius[seen], rate[seen]) * exposure


def _outstanding(image, counts, expected, trusted):
    """Pixel (x, y) where the counts stand out most, and the scale of the light there.

    How far they stand out is told by the errors of the counts, the scale by those of what is
    expected: a bright point is as many of its own errors high under a Gaussian of any width.
    """
    from scipy.ndimage import gaussian_filter

    def errors(variance, width):
        # the square of a Gaussian is one of a smaller width, and its sum 1 / (4 pi width2)
        smooth = gaussian_filter(variance, width / np.sqrt(2), mode="constant")
        if image.rms is None:  # no pixel is better known than one count in the Gaussian says
            smooth = np.maximum(smooth, 1.0 / (2 * np.pi * width**2))
        return np.sqrt(np.maximum(smooth, 1e-300) / (4 * np.pi * width**2))

    known = expected if image.rms is None else np.where(image.good, image.rms, 0.0) ** 2
    widths = 2.0 ** np.arange(int(np.log2(max(min(WIDEST, min(image.shape) / 8), 1.0))) + 1)
    excess = [gaussian_filter(counts - expected, width, mode="constant") for width in widths]
    noise = [errors(np.maximum(counts, known), width) for width in widths]
    high = [np.where(trusted, e / n, -np.inf) for e, n in zip(excess, noise, strict=True)]
    best = int(np.argmax([h.max() for h in high]))
    y, x = np.unravel_index(np.argmax(high[best]), image.shape)
    near = trusted & (_distance(image.shape, (x, y)) <= 2 * widths[best])
    seen = [(e / errors(known, w))[near].max() for e, w in zip(excess, widths, strict=True)]
    scale = float(widths[np.argmax(seen)])
    at = np.where(near, excess[int(np.argmax(seen))], -np.inf)
    y, x = np.unravel_index(np.argmax(at), image.shape)
    return (float(x), float(y)), scale


def _centred(excess, place, scale):
    """Centroid of what stands out, under a Gaussian that moves along; near the pixel it began."""
    y, x = np.indices(excess.shape)
    here = np.array(place)
    for _ in range(STEPS):
        weight = excess * np.exp(-0.5 * ((x - here[0]) ** 2 + (y - here[1]) ** 2) / scale**2)
        total = weight.sum()
        if not total > 0:
            return place
        step = np.array([(weight * (x - here[0])).sum(), (weight * (y - here[1])).sum()]) / total
        here = here + np.clip(2 * step, -scale, scale)
        if np.hypot(*(here - place)) > 2 * scale:
            return place
    return float(here[0]), float(here[1])
