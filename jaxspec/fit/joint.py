"""From data and labels to joint fits, and from their end points to rows."""

from __future__ import annotations

import jax
import numpy as np

from jaxspec.fit.arrow import split
from jaxspec.fit.compiled import parameters_of
from jaxspec.fit.covariance import (
    Errors,
    invert_set,
    lane_covariance,
    lane_lever,
    movable,
)
from jaxspec.fit.problem import make_groups
from jaxspec.fit.result import Together
from jaxspec.fit.sets import layouts_of, members
from jaxspec.fit.solve import in_turn
from jaxspec.fit.together import Joint, Part, box_of, minimise_sets
from jaxspec.likelihood.forward import kind_of
from jaxspec.likelihood.statistics import STATISTICS


def fit_joint(models, items, stats, labels, own, share, rows, options, progress=None):
    """Fit data together and record every lane.

    Parameters
    ----------
    models, items, stats, rows : dicts of name to Model, data, statistics and Rows
    labels : dict of name to (n_row,) int, the set of each datum.
    own : dict of name to Untied
    share : see `jaxspec.fit.sets.layouts_of`.
    options : Options
    progress : bool, optional

    Returns
    -------
    dict of name to Together
    """
    joint, end = solve_joint(models, items, stats, labels, own, share, rows, options, progress)
    if end is None:
        return {name: Together.nothing(labels[name]) for name in models}
    return record(joint, end, labels, rows)


def solve_joint(models, items, stats, labels, own, share, rows, options, progress=None):
    """`Joint` of all data that can be fitted, and the `Minimum` of its sets; None without any."""
    layouts, _ = layouts_of(models, {n: u.own for n, u in own.items()}, share)
    n_set = 1 + max(int(label.max()) for label in labels.values())
    joint = _assemble(models, items, stats, labels, own, layouts, n_set, rows, options)
    if not joint.parts:
        return joint, None
    end = minimise_sets(joint, progress)
    if options.integrate is None and _too_coarse(joint, items, end):
        finer = options._replace(integrate=True)
        joint = _assemble(models, items, stats, labels, own, layouts, n_set, rows, finer)
        end = minimise_sets(joint, progress)
    return joint, end


def _assemble(models, items, stats, labels, own, layouts, n_set, rows, options):
    """`Joint` of all data that can be fitted."""
    parts, priors = [], {}
    for name, model in models.items():
        groups = make_groups(model, items[name], stats[name], 1, rows[name], options)
        for group in groups:
            group = _fixed_in_rows(group, own[name].fixed)
            layout = layouts[name]
            places = members(labels[name], n_set, group.full.index)
            parts.append(Part(name, group, layout, places))
            for i, prior in group.numbers.priors.items():
                if layout.slots[i] >= 0:
                    priors.setdefault(layout.slots[i], prior)
    n_shared = layouts[next(iter(models))].n_shared
    return Joint(parts, n_set, n_shared, priors)


def _fixed_in_rows(group, fixed):
    """Freeze untied parameters where a row has a value for them."""
    values = fixed[group.full.index]
    here = ~np.isnan(values)
    if not here.any():
        return group
    own = group.own
    own = own._replace(
        free=own.free & ~here,
        given=np.where(here, values, own.given),
        lower=np.where(here, values, own.lower),
        upper=np.where(here, values, own.upper),
    )
    starts = group.starts
    if starts is not None:
        starts = np.where(here[:, None], values[:, None], starts)
    return group._replace(own=own, starts=starts)


def _too_coarse(joint, items, end):
    """Whether a source became smaller than a pixel, so that pixels have to be integrated."""
    shared, owns = zip(*(split(theta, joint.like) for theta in end.theta), strict=True)
    for k, part in enumerate(joint.parts):
        settles = kind_of(items[part.name][int(part.group.full.index[0])]).settles
        if settles is None:
            continue
        fine = getattr(part.group.full.gather(0), "fine", None) is not None
        for s, p in np.argwhere(part.places >= 0):
            theta = _lane_theta(part.layout, shared[s], owns[s][k][p])
            lane = part.places[s, p]
            row = int(part.group.full.index[lane])
            datum = items[part.name][row]
            if settles(part.group.model(lane), datum, theta, fine, None):
                return True
    return False


def _lane_theta(layout, shared, own):
    theta = np.zeros(len(layout.slots))
    theta[list(layout.shared)] = np.asarray(shared)[layout.places]
    theta[list(layout.own)] = own
    return theta


def record(joint, end, labels, rows) -> dict:
    """Covariances of all sets, cut into rows; gives `Together` by model name."""
    like, box = joint.like, box_of(joint)
    acts = np.stack([_diagonal(end.local.fisher, s) for s in range(joint.n_set)])
    mask = movable(end.theta, end.local.gradient, acts > 0, box)
    found = {"observed": [], "expected": []}
    edm = np.empty(joint.n_set)
    for s in range(joint.n_set):
        for kind, matrix in (("observed", end.local.hessian), ("expected", end.local.fisher)):
            found[kind].append(_inverse(matrix, s, acts[s], mask[s], like))
        best = found["observed"][s]
        best = best if best.definite else found["expected"][s]
        edm[s] = _decrease(best, np.where(mask[s], end.local.gradient[s], 0.0), like)
    held = box.free & ~mask
    made = {name: Together.nothing(labels[name], found["observed"], edm) for name in labels}
    for k, part in enumerate(joint.parts):
        _record_part(joint, k, part, end, found, edm, held, rows[part.name], made[part.name])
    for name, together in made.items():
        parts = [part for part in joint.parts if part.name == name]
        _count_free(joint, box, parts, together)
    return made


def _count_free(joint, box, parts, together):
    """Free parameters of each set, those of other models left out."""
    for s in range(joint.n_set):
        _, owns = split(box.free[s], joint.like)
        n = 0
        for k, part in enumerate(joint.parts):
            if part in parts:
                n += int(owns[k].sum())
        slots = {slot for part in parts for slot in part.layout.places}
        together.n_free[s] = n + int(box.free[s][sorted(slots)].sum())


def _record_part(joint, k, part, end, found, edm, held, rows, together):
    """Rows of the lanes of one part."""
    n_lane, n_par = len(part.group.full.index), len(part.layout.slots)
    theta = np.zeros((n_lane, n_par))
    covariance, fisher = np.zeros((2, n_lane, n_par, n_par))
    holding = np.zeros((n_lane, n_par), bool)
    definite, lane_edm = np.zeros(n_lane, bool), np.zeros(n_lane)
    iterations = np.zeros(n_lane, int)
    mean, levers = np.zeros(part.group.full.bins.counts.shape), {}
    for s, p in np.argwhere(part.places >= 0):
        lane = part.places[s, p]
        shared, owns = split(end.theta[s], joint.like)
        shared_held, own_held = split(held[s], joint.like)
        theta[lane] = _lane_theta(part.layout, shared, owns[k][p])
        holding[lane] = _lane_theta(part.layout, shared_held, own_held[k][p]) > 0
        covariance[lane] = lane_covariance(found["observed"][s], k, p, part.layout)
        fisher[lane] = lane_covariance(found["expected"][s], k, p, part.layout)
        levers[lane] = lane_lever(found["observed"][s], k, p, part.layout)
        definite[lane], lane_edm[lane] = found["observed"][s].definite, edm[s]
        iterations[lane] = end.iterations[s]
        mean[lane] = end.local.mean[k][s, p]
    _, d_params = parameters_of(part.group.functions, part.group.numbers.links, theta)
    rows_of = part.group.full.index
    together.levers.update({int(rows_of[i]): d_params[i] @ lever for i, lever in levers.items()})
    local = end.local._replace(value=_values(part, mean), mean=mean)
    errors = Errors(covariance, fisher, lane_edm, holding, definite)
    rows.fill(part.group, in_turn(part.group, theta), local, errors, iterations, with_priors=False)


def _values(part, mean):
    """Statistic (n_lane,) of each lane from its mean."""
    batch, term = part.group.full, part.group.term
    with jax.enable_x64(True):
        value = STATISTICS[term.stat].kernel(batch.bins, mean, term.floor).value
        return np.where(batch.mask, np.asarray(value), 0.0).sum(axis=1)


def _diagonal(matrix, s):
    parts = [np.diagonal(block[s], axis1=1, axis2=2).ravel() for block in matrix.blocks]
    return np.concatenate([np.diagonal(matrix.corner[s]), *parts])


def _inverse(matrix, s, diagonal, mask, like):
    shared, parts = split(np.asarray(diagonal), like)
    mask, masks = split(np.asarray(mask), like)
    sides, blocks = [side[s] for side in matrix.sides], [block[s] for block in matrix.blocks]
    return invert_set(matrix.corner[s], sides, blocks, (shared, parts), mask, masks)


def _decrease(found, gradient, like):
    """Expected decrease of the statistic of one set."""
    shared, owns = split(gradient, like)
    total = 0.0
    for part, own in enumerate(owns):
        shared = shared - np.einsum("lok,lo->k", found.follow[part], own)
        total += np.einsum("lo,lop,lp->", own, found.own[part], own)
    return 0.25 * float(total + shared @ found.shared @ shared)
