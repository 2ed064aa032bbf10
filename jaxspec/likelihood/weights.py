"""Variances of the chi2 family, computed once on the host."""

from __future__ import annotations

import numpy as np


def chi2_variance(name, bins):
    """Variance (..., n_bin) of the net rate for the chi2 family, (counts/s)^2; NumPy, on the host.

    Parameters
    ----------
    name : str
        "chi2": ``bins.variance`` and ``bins.background_variance``; a bin without any error gets
        that of one count, in whichever of source and background the rate is smaller (XSPEC).
        "chi2-gehrels": (1 + sqrt(N + 0.75))^2 for source and background. "chi2-churazov": the
        mean counts in the smallest symmetric window of the given bins that holds 20 counts.
        "chi2-model": only what the model does not bring: the Poisson noise of the background in
        the source region and that of the background's own estimate.
    bins : BinCounts

    Returns
    -------
    (..., n_bin) float64, with ``bins.systematic`` added; inf in bins without exposure.

    Examples
    --------
    >>> from jaxspec.reduce.bins import make_bins
    >>> chi2_variance("chi2-gehrels", make_bins([0.0], t_s=10.0)).round(5)
    array([0.03482])
    """
    source, background = bins.variance, bins.background_variance
    weigh = {"chi2-gehrels": _gehrels, "chi2-churazov": _churazov}.get(name)
    if weigh is not None:
        source = weigh(bins.counts)
        loaded = bins.background_variance.any(axis=-1, keepdims=True)
        background = np.where(loaded, weigh(bins.background), 0.0)
    if name == "chi2-model":
        with np.errstate(divide="ignore", invalid="ignore"):
            source = np.where(bins.t_b > 0, bins.t_s * bins.background / bins.t_b, 0.0)
    return _add_rates(source, background, bins, replace=name != "chi2-model") + bins.systematic


def _add_rates(source, background, bins, replace):
    with np.errstate(divide="ignore", invalid="ignore"):
        per_s = 1.0 / bins.t_s**2
        per_b = np.where(bins.t_b > 0, 1.0 / bins.t_b**2, np.inf)
        total = source * per_s + np.where(bins.t_b > 0, background * per_b, 0.0)
        if replace:
            total = np.where(total > 0, total, np.minimum(per_s, per_b))
    return np.where(bins.t_s > 0, total, np.inf)


def _gehrels(counts):
    return (1.0 + np.sqrt(np.maximum(counts, 0.0) + 0.75)) ** 2


def _churazov(counts):
    n = counts.shape[-1]
    running = np.cumsum(counts, axis=-1)
    running = np.concatenate([np.zeros_like(running[..., :1]), running], axis=-1)
    place, half = np.arange(n), np.zeros(counts.shape, dtype=int)
    while True:
        lo, hi = np.maximum(place - half, 0), np.minimum(place + half + 1, n)
        inside = np.take_along_axis(running, hi, -1) - np.take_along_axis(running, lo, -1)
        grow = (inside < 20.0) & (hi - lo < n)
        if not grow.any():
            return inside / (hi - lo)
        half = half + grow
