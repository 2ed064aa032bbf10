"""Errors from the curvature of the statistic at the minimum; NumPy, on the host."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FLAT = 1e-14  # relative curvature below which a direction has no error


class Errors(NamedTuple):
    """Covariances and checks of lanes at their end points.

    Parameters
    ----------
    covariance, fisher : (n_lane, n_par, n_par)
        From the observed and the expected (Fisher) information; zero for what did not move.
    edm : (n_lane,), decrease of the statistic that is still expected.
    held : (n_lane, n_par) bool, free parameters on a limit or without influence.
    definite : (n_lane,) bool
        False where the observed information is not positive definite; its covariance is NaN.
    """

    covariance: np.ndarray
    fisher: np.ndarray
    edm: np.ndarray
    held: np.ndarray
    definite: np.ndarray


def movable(theta, gradient, acts, bounds):
    """Parameters (..., n_par) that are free, act on the model and are not pushed over a limit."""
    outward = (theta <= bounds.lower) & (gradient > 0)
    outward |= (theta >= bounds.upper) & (gradient < 0)
    return np.asarray(bounds.free) & ~outward & acts


def errors(theta, local, bounds) -> Errors:
    """Covariances and checks at end points.

    Parameters
    ----------
    theta : (..., n_par)
    local : Quadratic of arrays (..., n_par) and (..., n_par, n_par)
    bounds : Bounds of (..., n_par)
    """
    acts = np.diagonal(local.fisher, axis1=-2, axis2=-1) > 0
    mask = np.asarray(movable(theta, local.gradient, acts, bounds))
    covariance, definite = invert(local.hessian, local.fisher, mask)
    fisher, _ = invert(local.fisher, local.fisher, mask)
    best = np.where(definite[..., None, None], covariance, fisher)
    pull = np.where(mask, local.gradient, 0.0)
    edm = 0.25 * np.einsum("...i,...ij,...j->...", pull, best, pull)
    return Errors(covariance, fisher, edm, np.asarray(bounds.free) & ~mask, definite)


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


class SetCovariance(NamedTuple):
    """Covariance of one joint set, without forming it.

    A lane's own parameters follow the shared ones as ``-follow @ shared``, and scatter around that
    with ``own``: between two lanes the covariance is that of the shared parameters, carried over.

    Parameters
    ----------
    shared : (n_shared, n_shared)
    follow : list of (n_place, n_own, n_shared), one for each part.
    own : list of (n_place, n_own, n_own)
    definite : bool
    """

    shared: np.ndarray
    follow: list
    own: list
    definite: bool


def invert_set(corner, sides, blocks, scaling, mask, masks) -> SetCovariance:
    """2 / information of one set by elimination of the own parameters.

    Parameters
    ----------
    corner : (n_shared, n_shared); sides : list of (n_place, n_own, n_shared)
    blocks : list of (n_place, n_own, n_own)
    scaling : (shared, [own, ...]) diagonals of the expected information.
    mask, masks : the parameters that moved, (n_shared,) and [(n_place, n_own), ...].
    """
    follow, own, definite = [], [], True
    for side, block, diagonal, moved in zip(sides, blocks, scaling[1], masks, strict=True):
        if not moved.size:  # no parameter of its own
            follow.append(side)
            own.append(block)
            continue
        half, good = invert(block, _with_diagonal(diagonal), moved)
        half = np.where(good[:, None, None], 0.5 * half, 0.0)
        definite &= bool(good.all())
        side = side * moved[..., None] * mask
        follow.append(half @ side)
        own.append(2.0 * half)
        corner = corner - np.einsum("lok,lom->km", side, follow[-1])
    shared, good = invert(corner, np.diag(scaling[0]), mask)
    definite &= bool(good)
    return SetCovariance(shared if definite else shared * np.nan, follow, own, definite)


def _with_diagonal(values):
    return values[..., None] * np.eye(values.shape[-1])


def lane_covariance(found, part, place, layout) -> np.ndarray:
    """Covariance (n_par, n_par) of one lane of a `SetCovariance`."""
    lever = lane_lever(found, part, place, layout)
    own = np.array(layout.own, dtype=int)
    made = lever @ found.shared @ lever.T
    made[np.ix_(own, own)] += found.own[part][place]
    return made


def lane_lever(found, part, place, layout) -> np.ndarray:
    """How the parameters of a lane follow the shared ones, (n_par, n_shared)."""
    lever = np.zeros((len(layout.slots), len(found.shared)))
    lever[list(layout.shared), layout.places] = 1.0
    lever[list(layout.own)] = -found.follow[part][place]
    return lever
