"""Checks of an image model: what it predicts for a profile, and what it leaves over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.image import TINY
from jaxspec.reduce.image import Image
from jaxspec.reduce.regrid import in_pixels
from jaxspec.report.image_arrays import ProfileArrays, arrays_of, best_of, prediction, rings_of
from jaxspec.sample.posterior import Posterior

LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)
REPLICATES = 10  # data sets made from each draw, for smooth quantiles


@dataclass(frozen=True, eq=False)
class PredictiveProfile:
    """What a posterior predicts for a radial profile.

    Parameters
    ----------
    profile : ProfileArrays
    levels : (5,), the quantiles.
    model : (5, n), quantiles of the model over the draws, in ``profile.unit``.
    replicated : (5, n), quantiles of data that the draws predict, in ``profile.unit``.
    residuals : (5, n), quantiles of (replicated data - model at the mode) in sigma.
    p_value : float
        Posterior predictive p-value: how often chi2 of replicated data in these annuli is at
        least that of the data. Values near 0 say that the model does not describe the data.
    """

    profile: ProfileArrays
    levels: np.ndarray
    model: np.ndarray
    replicated: np.ndarray
    residuals: np.ndarray
    p_value: float


def predictive_profile(
    posterior, n=200, seed=0, center=None, bins="log", n_bins=32, **options
) -> PredictiveProfile:
    """Quantiles 2.5, 16, 50, 84 and 97.5 % of the model's profile, and of replicated data.

    Parameters
    ----------
    posterior : Posterior, with data.
    n : int, draws to use, evenly thinned.
    seed : int, of the replicated data: Poisson, or Gaussian for data with errors.
    center, bins, n_bins, **options : see `profile_arrays`.

    Returns
    -------
    PredictiveProfile

    Raises
    ------
    InputError
        As `profile_arrays`, or ``n`` is not positive.
    """
    if not isinstance(posterior, Posterior):
        raise InputError(
            f"is a {type(posterior).__name__}", parameter="posterior", remedy="use js.sample"
        )
    if isinstance(n, bool) or n != int(n) or n < 1:
        raise InputError(f"is {n!r}", parameter="n", remedy="give a number of draws, such as 200")
    look = {key: options.pop(key) for key in ("kind", "unit") if key in options}
    fitted = best_of(posterior)
    rings = rings_of(fitted, center, bins, n_bins, options)
    arrays = arrays_of(fitted, rings, **{"kind": "brightness", "unit": None} | look)
    draws = posterior.full.reshape(len(posterior), -1)
    draws = draws[np.linspace(0, len(draws) - 1, min(int(n), len(draws))).round().astype(int)]
    expected = prediction(fitted)
    means = np.array([rings.total(expected(draw)) for draw in draws])
    rng = np.random.default_rng(seed)
    error = rings.profile.error
    shape = (REPLICATES, *means.shape)
    if np.isnan(error).all():
        replicated = rng.poisson(means, shape).astype(float)
        variance = np.maximum(means, TINY)
    else:
        replicated, variance = rng.normal(means, error, shape), error**2 * np.ones_like(means)
    worse = _chi2(replicated, means, variance) >= _chi2(arrays.counts, means, variance)
    replicated = np.quantile(replicated.reshape(-1, len(arrays.r)), LEVELS, axis=0)
    return PredictiveProfile(
        arrays,
        np.array(LEVELS),
        arrays.brightness(np.quantile(means, LEVELS, axis=0)),
        arrays.brightness(replicated),
        (replicated - arrays.expected) / arrays.scatter,
        float(worse.mean()),
    )


def residual_image(source, smooth=None, row=0) -> np.ndarray:
    """Significance of what the model leaves over: (data - model) in sigma.

    Parameters
    ----------
    source : FitResult or Posterior, of an image.
    smooth : float or astropy angle, optional
        Standard deviation, in pixels, of the Gaussian with which the difference is smoothed;
        good pixels alone count. None for single pixels.
    row : int or name, of a FitResult.

    Returns
    -------
    (ny, nx) float64, NaN where masked
        Divided by the standard deviation that the smoothed difference has if the model is true
        (Poisson, or the rms map of the image): values scatter by 1, neighbours are correlated.

    Raises
    ------
    InputError
        As `profile_arrays`; a fit of a radial profile.
    """
    fitted = best_of(source, row)
    image = fitted.data
    if fitted.model is None or not isinstance(image, Image):
        raise InputError("is no fit of an image", parameter="source", remedy="fit an image")
    pixels = image.pixels
    expected = prediction(fitted)(fitted.params)
    variance = np.where(np.isnan(pixels.error), np.maximum(expected, TINY), pixels.error**2)
    away, variance = (
        np.nan_to_num(image.rebuild(v), nan=0.0) for v in (pixels.counts - expected, variance)
    )
    if smooth is not None:
        weights = gaussian_weights(in_pixels(image, smooth, "smooth"))
        away, variance = _convolved(away, weights), _convolved(variance, weights**2)
    return np.where(image.good, away, np.nan) / np.sqrt(np.where(image.good, variance, 1.0))


def gaussian_weights(sigma) -> np.ndarray:
    """Weights of a Gaussian over whole pixels, out to 4 sigma; they add up to 1.

    Examples
    --------
    >>> gaussian_weights(0.5).round(3).tolist()
    [0.0, 0.106, 0.787, 0.106, 0.0]
    """
    reach = max(int(np.ceil(4.0 * sigma)), 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / weights.sum()


# ---------------------------------------------------------------------------- parts


def _chi2(counts, means, variance):
    return ((counts - means) ** 2 / variance).sum(axis=-1)


def _convolved(values, weights):
    from scipy.ndimage import correlate1d

    for axis in (0, 1):
        values = correlate1d(values, weights, axis=axis, mode="constant")
    return values
