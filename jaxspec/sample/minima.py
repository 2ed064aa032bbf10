"""Other minima that the starts of a fit lead to, of nearly the same statistic."""

from __future__ import annotations

import jax
import numpy as np

from jaxspec.fit.covariance import errors
from jaxspec.fit.descend import descend, evaluate
from jaxspec.sample.relabel import relabel

NEAR = 16.0  # in the statistic: a wider mode may hold more probability than its depth says
APART = 3.0  # standard deviations of either, that make two minima of one


def other_minima_of(group, lane, model, bounds, theta, local) -> list:
    """Other minima of one image, from all starts that its fit knew of.

    Parameters
    ----------
    group : Group; lane : int
    model, bounds : Model and Bounds (n_par,) of the lane.
    theta, local : (n_par,) and Quadratic, the minimum that the fit chose.

    Returns
    -------
    list of (theta, Quadratic), without copies in which exchangeable parts have changed places
    """
    if group.starts is None:
        return []
    batch = group.full if group.coarse is None else group.coarse
    at, starts = np.array([lane]), group.starts[[lane]]
    known = [(theta, local)]
    chosen = _first(evaluate(group, batch, at, theta[None]))
    tried = [(theta, chosen)]
    for rank in range(starts.shape[1]):
        end, _ = descend(group, batch, at, rank, starts, "other minima", False)
        near = _first(end.theta), _first(end.local)
        if not near[1].value < chosen.value + 2 * NEAR or not _new(tried, *near, bounds):
            continue
        tried.append(near)
        if group.coarse is not None:
            again = np.repeat(near[0][None, None], starts.shape[1], axis=1)
            end, _ = descend(group, group.full, at, 0, again, "other minima", False)
        place = relabel(model, group.numbers.priors, _first(end.theta))
        found = place, _first(evaluate(group, group.full, at, place[None]))
        settled = errors(found[0], found[1], bounds)
        sound = bool(settled.definite) and not settled.held.any()
        if sound and found[1].value < local.value + NEAR and _new(known, *found, bounds):
            known.append(found)
    return known[1:]


def _first(tree):
    return jax.tree.map(lambda x: np.asarray(x)[0], tree)


def _new(known, theta, local, bounds):
    """Whether a minimum is none of those known, as seen from either."""
    if not np.isfinite(local.value):
        return False
    return all(
        min(_away(theta - old, info, bounds.free) for info in (local, there)) > APART
        for old, there in known
    )


def _away(step, local, free):
    """Standard deviations of a step (n_par,)."""
    step = np.where(free, step, 0.0)
    return float(np.sqrt(max(0.5 * step @ local.fisher @ step, 0.0)))
