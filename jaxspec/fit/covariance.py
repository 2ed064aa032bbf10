"""Errors from the curvature of the statistic at the minimum; NumPy, on the host."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FLAT = 1e-14  # relative curvature below which a direction has no error


class Ending(NamedTuple):
    """What is known about the lanes at their end points, (n_lane, ...).

    Parameters
    ----------
    params : (n_lane, n_par), all parameters, links applied.
    value : (n_lane,), the statistic; edm : (n_lane,), the decrease still expected.
    rate : (n_lane, n_bin) counts/s
    covariance, covariance_expected : (n_lane, n_par, n_par)
        From the observed and the expected (Fisher) information; zero for what did not move.
    held : (n_lane, n_par) bool, free parameters on a limit or without influence.
    definite : (n_lane,) bool
        False where the observed information is not positive definite; its covariance is NaN.
    iterations : (n_lane,) int
    """

    params: np.ndarray
    value: np.ndarray
    edm: np.ndarray
    rate: np.ndarray
    covariance: np.ndarray
    covariance_expected: np.ndarray
    held: np.ndarray
    definite: np.ndarray
    iterations: np.ndarray


def errors(theta, at, bounds):
    """Covariances and checks at end points.

    Parameters
    ----------
    theta : (..., n_par)
    at : Quadratic of arrays (..., n_par) and (..., n_par, n_par)
    bounds : Bounds of (n_par,)

    Returns
    -------
    covariance, covariance_expected : (..., n_par, n_par)
    edm : (...,)
    held : (..., n_par) bool
    definite : (...,) bool
    """
    outward = (theta <= bounds.lower) & (at.gradient > 0)
    outward |= (theta >= bounds.upper) & (at.gradient < 0)
    acts = np.diagonal(at.expected, axis1=-2, axis2=-1) > 0
    mask = np.asarray(bounds.free) & ~outward & acts
    covariance, definite = invert(at.observed, at.expected, mask)
    covariance_expected, _ = invert(at.expected, at.expected, mask)
    best = np.where(definite[..., None, None], covariance, covariance_expected)
    pull = np.where(mask, at.gradient, 0.0)
    edm = 0.25 * np.einsum("...i,...ij,...j->...", pull, best, pull)
    return covariance, covariance_expected, edm, np.asarray(bounds.free) & ~mask, definite


def invert(information, scaling, mask):
    """Covariance, 2 / information over the masked parameters, and where it is definite.

    Parameters
    ----------
    information : (..., n_par, n_par), second derivatives of the statistic.
    scaling : (..., n_par, n_par), the expected information; its diagonal gives the units in which
        directions are compared.
    mask : (..., n_par) bool
    """
    diagonal = np.diagonal(scaling, axis1=-2, axis2=-1)
    scale = np.where(mask, 1.0 / np.sqrt(np.where(mask, diagonal, 1.0)), 0.0)
    units = scale[..., :, None] * scale[..., None, :]
    matrix = information * units
    matrix = matrix + np.eye(mask.shape[-1]) * ~mask[..., None, :]
    finite = np.isfinite(matrix).all(axis=(-2, -1))
    matrix = np.where(finite[..., None, None], matrix, np.eye(mask.shape[-1]))
    width, direction = np.linalg.eigh(matrix)
    definite = finite & (width[..., 0] > FLAT * width[..., -1])
    width = np.where(definite[..., None], width, np.nan)
    inverse = (direction / width[..., None, :]) @ np.swapaxes(direction, -1, -2)
    both = mask[..., :, None] & mask[..., None, :]
    return np.where(both, 2.0 * inverse * units, 0.0), definite
