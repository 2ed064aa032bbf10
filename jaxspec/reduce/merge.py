"""Merging pixels where a model is smooth: fewer numbers for a likelihood to look at."""

from __future__ import annotations

import numpy as np

from jaxspec.reduce.pixels import Pixels

SIZES = (1, 2, 4, 8, 16, 32)  # sides of the squares that may be merged, in pixels


def merge(pixels: Pixels, centers, ratio: float) -> Pixels:
    """Merge pixels into squares that grow with the distance from the nearest centre.

    Parameters
    ----------
    pixels : Pixels, (n_pix,)
    centers : (n_centers, 2), x and y in pixels.
    ratio : float
        Largest side of a square relative to its distance from the nearest centre.

    Returns
    -------
    Pixels
        Counts, exposure, background and area are sums; x and y are means weighted by the
        exposure, so that the first moment of a smooth model is kept.

    Examples
    --------
    >>> x, y = (c.ravel() for c in np.meshgrid(np.arange(64.0), np.arange(64.0)))
    >>> flat = Pixels(*(np.ones(4096) for _ in Pixels._fields))._replace(x=x, y=y)
    >>> merged = merge(flat, [(32.0, 32.0)], 0.3)
    >>> len(merged.x), merged.area.sum()
    (532, np.float64(4096.0))
    """
    x, y = pixels.x, pixels.y
    centers = np.asarray(centers, dtype=float).reshape(-1, 2)
    level = np.zeros(len(x), dtype=np.int64)
    for i, size in enumerate(SIZES[1:], start=1):
        # the middle of the square decides, so that a whole square has one size
        bx, by = (np.floor(x / size) + 0.5) * size - 0.5, (np.floor(y / size) + 0.5) * size - 0.5
        distance = np.min([np.hypot(bx - cx, by - cy) for cx, cy in centers], axis=0)
        level[size <= ratio * (distance - 0.7 * size)] = i
    size = np.asarray(SIZES)[level]
    column, row = np.floor(x / size).astype(np.int64), np.floor(y / size).astype(np.int64)
    column, row = column - column.min(), row - row.min()
    square = (level * (row.max() + 1) + row) * (column.max() + 1) + column
    _, where = np.unique(square, return_inverse=True)
    n = np.bincount(where)

    def total(values):
        return np.bincount(where, values)

    exposure = total(pixels.exposure)
    weight = np.where(exposure[where] > 0, pixels.exposure, 1.0)
    norm = total(weight)
    with np.errstate(invalid="ignore"):
        error = np.sqrt(total(pixels.error**2))
    return Pixels(
        counts=total(pixels.counts),
        x=np.where(n > 1, total(weight * x) / norm, total(x) / n),
        y=np.where(n > 1, total(weight * y) / norm, total(y) / n),
        exposure=exposure,
        background=total(pixels.background),
        area=total(pixels.area),
        error=error,
    )


def pad(pixels: Pixels, length: int | None = None) -> Pixels:
    """Append empty pixels up to one of few lengths (or ``length``), to share compiled code.

    An empty pixel has no exposure, area, background and counts, and an infinite error: it adds
    nothing to any statistic. The next of 8, 9, ... 15, 16 times a power of two costs 12 % at most.
    """
    n = len(pixels.x)
    step = max(2 ** (max(n - 1, 1).bit_length() - 4), 8)
    more = -n % step if length is None else length - n
    zero, poisson = np.zeros(()), np.isnan(pixels.error).all()
    error = np.array(np.nan if poisson else np.inf)
    empty = Pixels(zero, pixels.x[-1], pixels.y[-1], zero, zero, zero, error)
    return Pixels(
        *(np.append(a, np.full(more, fill)) for a, fill in zip(pixels, empty, strict=True))
    )
