"""Errors from the curvature of the statistic at the minimum; NumPy, on the host."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Relative curvature below which a direction has no error. The Fisher information of parameters that
# act exactly alike is below 4e-16; of two black bodies that hardly differ, 5e-14. The observed
# information says nothing: rounding gives it anything from -1e-7 to 1e-9 there.
FLAT = 1e-14
# The same of what elimination leaves of shared parameters, where large numbers cancel: 3e-14 of the
# curvature of the factor in constant*powerlaw with untied norms.
REDUCED = 1e-12
RIDGE = 1e-9  # of the curvature along each parameter, so that flat directions do not count
ALIKE = 0.3  # share of the largest, from which a parameter is named as part of such a direction


class Errors(NamedTuple):
    """Covariances and checks of lanes at their end points.

    Parameters
    ----------
    covariance, fisher : (n_lane, n_par, n_par)
        From the observed and the expected (Fisher) information; zero for what did not move.
    edm : (n_lane,), decrease of the statistic that is still expected.
    held : (n_lane, n_par) bool, free parameters on a limit or without influence.
    definite : (n_lane,) bool
        False where the information is not positive definite; the covariance is NaN.
    distinct : (n_lane,) bool
        False where parameters can be changed together without any effect on the model.
    alike : (n_lane, n_par) bool, these parameters, where they were looked for.
    worst : (n_lane,) int, the parameter along which most is left to gain; -1 if not looked for.
    """

    covariance: np.ndarray
    fisher: np.ndarray
    edm: np.ndarray
    held: np.ndarray
    definite: np.ndarray
    distinct: np.ndarray
    alike: np.ndarray
    worst: np.ndarray


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
    fisher, distinct = invert(local.fisher, local.fisher, mask)
    covariance[~distinct] = np.nan
    best = np.where(definite[..., None, None], covariance, fisher)
    alike = np.zeros(mask.shape, dtype=bool)
    if not distinct.all():  # what is left to gain in the directions that act
        ridge = RIDGE * _with_diagonal(np.diagonal(local.fisher, axis1=-2, axis2=-1))
        near, _ = invert(local.fisher + ridge, local.fisher, mask)
        best = np.where(distinct[..., None, None], best, near)
        alike = _alike(local.fisher, mask) & ~distinct[..., None]
    pull = np.where(mask, local.gradient, 0.0)
    edm = 0.25 * np.einsum("...i,...ij,...j->...", pull, best, pull)
    held = np.asarray(bounds.free) & ~mask
    gain = np.abs(pull * np.einsum("...ij,...j->...i", best, pull))
    worst = np.argmax(np.where(np.isfinite(gain), gain, 0.0), axis=-1)
    return Errors(covariance, fisher, edm, held, definite & distinct, distinct, alike, worst)


def _alike(fisher, mask):
    """Parameters (..., n_par) that make up the flattest direction."""
    matrix, _, _ = _in_units(fisher, fisher, mask)
    share = np.where(mask, np.abs(np.linalg.eigh(matrix)[1][..., 0]), 0.0)
    return share > ALIKE * share.max(axis=-1, keepdims=True, initial=0.0)


def invert(information, scaling, mask, flat=FLAT):
    """Covariance, 2 / information over the masked parameters, and where it is definite.

    Parameters
    ----------
    information : (..., n_par, n_par), second derivatives of the statistic.
    scaling : (..., n_par, n_par), the expected information; its diagonal gives the units in which
        directions are compared.
    mask : (..., n_par) bool
    flat : float, relative curvature below which a direction is flat.
    """
    matrix, units, finite = _in_units(information, scaling, mask)
    width, direction = np.linalg.eigh(matrix)
    definite = finite & (width[..., 0] > flat * width[..., -1])
    width = np.where(definite[..., None], width, np.nan)
    inverse = (direction / width[..., None, :]) @ np.swapaxes(direction, -1, -2)
    both = mask[..., :, None] & mask[..., None, :]
    return np.where(both, 2.0 * inverse * units, 0.0), definite


def _in_units(information, scaling, mask):
    """Information in units of ``scaling``, these units, and where it is finite; see `invert`.

    The identity for what is masked out, or not finite.
    """
    diagonal = np.diagonal(scaling, axis1=-2, axis2=-1)
    scale = np.where(mask, 1.0 / np.sqrt(np.where(mask, diagonal, 1.0)), 0.0)
    units = scale[..., :, None] * scale[..., None, :]
    matrix = information * units
    matrix = matrix + np.eye(mask.shape[-1]) * ~mask[..., None, :]
    finite = np.isfinite(matrix).all(axis=(-2, -1))
    return np.where(finite[..., None, None], matrix, np.eye(mask.shape[-1])), units, finite


class SetCovariances(NamedTuple):
    """Covariances of joint sets, without forming them.

    A lane's own parameters follow the shared ones as ``-follow @ shared``, and scatter around that
    with ``own``: between two lanes the covariance is that of the shared parameters, carried over.

    Parameters
    ----------
    shared : (n_set, n_shared, n_shared)
    follow : list of (n_set, n_place, n_own, n_shared), one for each part.
    own : list of (n_set, n_place, n_own, n_own)
    definite : (n_set,) bool
    flattest : (n_set, n_shared), along which the statistic changes least.
    alike : list of (n_set, n_place, n_own) bool, own parameters that a lane cannot tell apart.
    """

    shared: np.ndarray
    follow: list
    own: list
    definite: np.ndarray
    flattest: np.ndarray
    alike: list


def invert_sets(matrix, scaling, mask, masks) -> SetCovariances:
    """2 / information of all sets by elimination of the own parameters.

    Parameters
    ----------
    matrix : Arrow of arrays with a set axis in front
    scaling : (shared, [own, ...]) diagonals of the expected information.
    mask, masks : the parameters that moved, (n_set, n_shared) and [(n_set, n_place, n_own), ...].
    """
    corner, follow, own, alike = matrix.corner, [], [], []
    definite = np.ones(len(corner), dtype=bool)
    parts = zip(matrix.sides, matrix.blocks, scaling[1], masks, strict=True)
    for side, block, diagonal, moved in parts:
        if not moved.size:  # no parameter of its own
            follow.append(side)
            own.append(block)
            alike.append(moved)
            continue
        half, good = invert(block, _with_diagonal(diagonal), moved)
        alike.append(_alike(block, moved) & ~good[..., None])
        half = np.where(good[..., None, None], 0.5 * half, 0.0)
        definite &= good.all(axis=1)
        side = side * moved[..., None] * mask[:, None, None, :]
        follow.append(half @ side)
        own.append(2.0 * half)
        corner = corner - np.einsum("slok,slom->skm", side, follow[-1])
    shared, good = invert(corner, _with_diagonal(scaling[0]), mask, REDUCED)
    definite &= good
    shared = np.where(definite[:, None, None], shared, np.nan)
    reduced, units, _ = _in_units(corner, _with_diagonal(scaling[0]), mask)
    unit = np.sqrt(np.diagonal(units, axis1=-2, axis2=-1))
    flattest = np.linalg.eigh(reduced)[1][..., 0] * unit if unit.size else unit
    return SetCovariances(shared, follow, own, definite, flattest, alike)


def ridged(matrix, scaling):
    """Arrow matrix of all sets with `RIDGE` of its diagonal (shared, [own, ...]) added."""
    shared, owns = scaling
    blocks = [b + RIDGE * _with_diagonal(d) for b, d in zip(matrix.blocks, owns, strict=True)]
    return matrix._replace(
        corner=matrix.corner + RIDGE * _with_diagonal(shared), blocks=tuple(blocks)
    )


def _with_diagonal(values):
    return values[..., None] * np.eye(values.shape[-1])


def lane_covariances(found, part, layout) -> np.ndarray:
    """Covariances (n_set, n_place, n_par, n_par) of the lanes of a part."""
    lever = lane_levers(found, part, layout)
    own = np.array(layout.own, dtype=int)
    made = lever @ found.shared[:, None] @ np.swapaxes(lever, -1, -2)
    made[..., own[:, None], own] += found.own[part]
    return made


def lane_alike(found, part, layout, scaling) -> np.ndarray:
    """Parameters (n_set, n_place, n_par) bool that can be changed together without any effect.

    ``scaling``: see `invert_sets`.
    """
    own, alone = np.array(layout.own, dtype=int), found.alike[part]
    moved = lane_levers(found, part, layout) @ found.flattest[:, None, :, None]
    weight = np.zeros(moved.shape[:-1])
    weight[..., list(layout.shared)] = scaling[0][:, None, layout.places] / weight.shape[1]
    weight[..., own] = scaling[1][part]
    share = np.abs(moved[..., 0]) * np.sqrt(np.maximum(weight, 0.0))
    most = share.max(axis=-1, keepdims=True, initial=0.0)
    alike = (share > ALIKE * most) & (most > 0.1 / np.sqrt(weight.shape[1]))  # not of other models
    alike &= ~alone.any(axis=-1)[..., None]
    alike[..., own] |= alone
    return alike & ~found.definite[:, None, None]


def lane_levers(found, part, layout) -> np.ndarray:
    """How the parameters of lanes follow the shared ones, (n_set, n_place, n_par, n_shared)."""
    follow = found.follow[part]
    lever = np.zeros((*follow.shape[:2], len(layout.slots), follow.shape[-1]))
    lever[..., list(layout.shared), layout.places] = 1.0
    lever[..., list(layout.own), :] = -follow
    return lever
