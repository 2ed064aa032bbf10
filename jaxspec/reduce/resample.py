"""Light of one axis of a kernel in pixels of the image.

A kernel is spread within its own pixels by a cubic through the cumulative sum whose slopes are
limited (Fritsch & Carlson 1980): no light is lost and none becomes negative.
"""

from __future__ import annotations

import numpy as np

_CENTRED = 1e-6  # kernel pixels; a centre this close to that of a pixel needs no interpolation


def centred(array, axis, middle, scale):
    """Bring one axis to pixels of the image, an odd number with the source on the central one."""
    array = np.moveaxis(array, axis, 0)
    count, nearest = len(array), round(middle)
    if abs(scale - 1.0) < 1e-9 and abs(middle - nearest) < _CENTRED:
        half = max(nearest, count - 1 - nearest)
        made = np.zeros((2 * half + 1, *array.shape[1:]))
        made[half - nearest : half - nearest + count] = array
        return np.moveaxis(made, 0, axis)
    edges = (np.arange(count + 1) - 0.5 - middle) * scale
    half = max(0, int(np.ceil(max(-edges[0], edges[-1]) - 0.5 - 1e-9)))
    cumulative = np.concatenate([np.zeros((1, *array.shape[1:])), np.cumsum(array, axis=0)])
    wanted = np.clip(np.arange(-half, half + 2) - 0.5, edges[0], edges[-1])
    made = np.diff(_monotone_cubic(edges, cumulative)(wanted), axis=0)
    return np.moveaxis(np.clip(made, 0.0, None), 0, axis)  # rounding only


def stepped(array, axis, middle, scale, steps):
    """Light in a pixel of the image whose centre is 0, 1, 2, ... / steps pixels from the source."""
    array = np.moveaxis(array, axis, 0)
    edges = (np.arange(len(array) + 1) - 0.5 - middle) * scale
    half = int(np.ceil((max(-edges[0], edges[-1]) + 0.5) * steps))
    cumulative = np.concatenate([np.zeros((1, *array.shape[1:])), np.cumsum(array, axis=0)])
    at = np.arange(-half, half + 1) / steps
    curve = _monotone_cubic(edges, cumulative)
    high, low = (curve(np.clip(at + d, edges[0], edges[-1])) for d in (0.5, -0.5))
    return np.moveaxis(np.clip(high - low, 0.0, None), 0, axis)


def _monotone_cubic(edges, cumulative):
    """Cubic through the cumulative sum, its slopes limited so that it never falls."""
    from scipy.interpolate import CubicHermiteSpline, CubicSpline

    density = np.diff(cumulative, axis=0) / np.diff(edges).reshape(-1, *[1] * (cumulative.ndim - 1))
    slopes = CubicSpline(edges, cumulative)(edges, 1)
    lower = np.minimum(np.append(density[:1], density, 0), np.append(density, density[-1:], 0))
    return CubicHermiteSpline(edges, cumulative, np.clip(slopes, 0.0, 3.0 * lower))
