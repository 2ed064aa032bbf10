"""Checks of an image model: what it predicts for a profile, and what it leaves over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.forward import kind_of
from jaxspec.reduce.regrid import in_pixels
from jaxspec.report.compared import Compared, of_annuli, of_pixels
from jaxspec.report.fitted import best_of, rings_of
from jaxspec.sample.posterior import Posterior
from jaxspec.sample.predictive import replicas

LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)


@dataclass(frozen=True, eq=False)
class PredictiveProfile:
    """What a posterior predicts for a radial profile.

    Parameters
    ----------
    profile : Compared
    levels : (5,), the quantiles.
    model : (5, n), quantiles of the model over the draws, in ``profile.unit``.
    replicated : (5, n), quantiles of data that the draws predict, in ``profile.unit``.
    residuals : (5, n), quantiles of (replicated data - model at the mode) in sigma.
    p_value : float
        Posterior predictive p-value: how often chi2 of replicated data in these annuli is at
        least that of the data. Values near 0 say that the model does not describe the data.
    """

    profile: Compared
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
    fitted = best_of(posterior).of_image()
    rings = rings_of(fitted, center, bins, n_bins, options)
    made = of_annuli(fitted, rings, **look)
    found = replicas(posterior, rings, n, seed)
    replicated = np.quantile(found.data.reshape(-1, len(made.x)), LEVELS, axis=0)
    return PredictiveProfile(
        made,
        np.array(LEVELS),
        made.in_unit(np.quantile(found.means, LEVELS, axis=0)),
        made.in_unit(replicated),
        (replicated - made.expected) / made.scatter,
        found.p_value,
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
    fitted = best_of(source, row).of_image()
    image = fitted.data
    if fitted.model is None or not kind_of(image).has_pixels:
        raise InputError("is no fit of an image", parameter="source", remedy="fit an image")
    made = of_pixels(fitted)
    away, variance = (
        np.nan_to_num(image.rebuild(v), nan=0.0)
        for v in (made.counts - made.expected, made.scatter**2)
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


def _convolved(values, weights):
    from scipy.ndimage import correlate1d

    for axis in (0, 1):
        values = correlate1d(values, weights, axis=axis, mode="constant")
    return values
