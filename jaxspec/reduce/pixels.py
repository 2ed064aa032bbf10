"""Pixels: what the image fits take, whether the data are pixels, super-pixels or annuli."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pixels(NamedTuple):
    """Flat arrays of the data that a surface model is compared with.

    A pixel of an image, a super-pixel of several merged pixels and an annulus of a radial
    profile all have this form; the expected counts are
    ``S(x, y) * exposure + B * area + scale * background``.

    Parameters
    ----------
    counts : (n_pix,) float64
        Counts (of a published profile: its surface brightness).
    x, y : (n_pix,) float64 pixels
        Position; the centre of the first pixel is 0. An annulus has x = r and y = 0.
    exposure : (n_pix,) float64 cm2 s (or s)
        Sum over what was merged.
    background : (n_pix,) float64 counts
        Known expected counts (from a background map), zeros without one.
    area : (n_pix,) float64
        Number of image pixels merged: 1 for a pixel, less for a rebinned pixel of which a part
        was masked.
    error : (n_pix,) float64
        One-sigma error for chi2, NaN where the statistic is Poisson.
    """

    counts: np.ndarray
    x: np.ndarray
    y: np.ndarray
    exposure: np.ndarray
    background: np.ndarray
    area: np.ndarray
    error: np.ndarray
