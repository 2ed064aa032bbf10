"""From data and labels to joint fits, and from their end points to rows."""

from __future__ import annotations

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.arrow import split
from jaxspec.fit.compiled import parameters_of
from jaxspec.fit.covariance import (
    Errors,
    invert_sets,
    lane_alike,
    lane_covariances,
    lane_levers,
    movable,
    ridged,
)
from jaxspec.fit.priors import prior_text
from jaxspec.fit.problem import make_groups
from jaxspec.fit.result import Together
from jaxspec.fit.sets import layouts_of, members
from jaxspec.fit.solve import in_turn
from jaxspec.fit.together import Joint, Part, box_of, minimise_sets
from jaxspec.likelihood.forward import kind_of, same_data
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
        return {
            name: Together.nothing(labels[name], len(m.parameters)) for name, m in models.items()
        }
    made = record(joint, end, labels, rows)
    for name, together in made.items():
        together.fixed = ~np.isnan(own[name].fixed)
    return made


def solve_joint(models, items, stats, labels, own, share, rows, options, progress=None):
    """`Joint` of all data that can be fitted, and the `Minimum` of its sets; None without any."""
    layouts, slots = layouts_of(models, {n: u.own for n, u in own.items()}, share)
    _check_shared(models, items, labels, slots)
    n_set = 1 + max(int(label.max()) for label in labels.values())
    joint = _assemble(models, items, stats, labels, own, layouts, n_set, rows, options)
    if not joint.parts:
        return joint, None
    _note_repeated(joint, items, labels, rows)
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
                    _add_prior(priors, layout.slots[i], prior, model.parameters[i])
    n_shared = layouts[next(iter(models))].n_shared
    return Joint(parts, n_set, n_shared, priors)


def _add_prior(priors, slot, prior, parameter):
    """Note the prior of a shared parameter, which may have only one."""
    known = priors.setdefault(slot, prior)
    if known is not prior and prior_text(known) != prior_text(prior):
        raise InputError(
            f"is shared and has two priors, {prior_text(known)} and {prior_text(prior)}",
            parameter=parameter.full_name,
            remedy="give one of the models no prior, or both the same",
        )


def _note_repeated(joint, items, labels, rows):
    """Say where one set has the same data twice: they count twice, and errors are too small."""
    seen = {}
    for part in joint.parts:
        name = part.name
        for row in part.group.full.index:
            item, label = items[name][row], labels[name][row]
            known = seen.setdefault((label, getattr(item, "path", "") or id(item)), [])
            if any(same_data(one, item) for one in known):
                sentence = f"{item.name} is in one joint fit twice, and counts twice."
                rows[name].notes[sentence] += 1
            known.append(item)


def _check_shared(models, items, labels, slots):
    """Refuse sets in which a shared parameter means something else for each datum."""
    shared = {}  # for two models, roles of what they share, with the name of one of each
    for one, name, index in ((slot[0][0], *member) for slot in slots for member in slot):
        parameter = models[name].parameters[index]
        shared.setdefault((one, name), {}).setdefault(parameter.role, parameter.full_name)
    in_sets = {name: {} for name in models}
    for name, data in items.items():
        for label, item in zip(labels[name], data, strict=True):
            if getattr(item, "status", None) is None:
                in_sets[name].setdefault(label, []).append(item)
    for (one, other), roles in shared.items():
        for label in in_sets[one].keys() & in_sets[other].keys():
            first = in_sets[one][label][0]
            check = kind_of(first).check_shared
            for item in in_sets[other][label] if check else ():
                if item is not first and kind_of(item).check_shared:
                    check(first, item, roles)


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
    shared, owns = split(end.theta, joint.like)
    for k, part in enumerate(joint.parts):
        settles = kind_of(items[part.name][int(part.group.full.index[0])]).settles
        if settles is None:
            continue
        fine = getattr(part.group.full.gather(0), "fine", None) is not None
        for s, p in np.argwhere(part.places >= 0):
            theta = _lane_theta(part.layout, shared[s], owns[k][s, p])
            lane = part.places[s, p]
            row = int(part.group.full.index[lane])
            datum = items[part.name][row]
            if settles(part.group.model(lane), datum, theta, fine, None):
                return True
    return False


def _lane_theta(layout, shared, own):
    """Parameters (..., n_par) of lanes from shared (..., n_shared) and own ones (..., n_own)."""
    theta = np.zeros((*own.shape[:-1], len(layout.slots)))
    theta[..., list(layout.shared)] = shared[..., layout.places]
    theta[..., list(layout.own)] = own
    return theta


def record(joint, end, labels, rows) -> dict:
    """Covariances of all sets, cut into rows; gives `Together` by model name."""
    like, box, local = joint.like, box_of(joint), end.local
    scaling = _diagonals(local.fisher)
    acts = np.concatenate([x.reshape(joint.n_set, -1) for x in (scaling[0], *scaling[1])], axis=1)
    mask = movable(end.theta, local.gradient, acts > 0, box)
    found = [invert_sets(m, scaling, *split(mask, like)) for m in (local.hessian, local.fisher)]
    pull = split(np.where(mask, local.gradient, 0.0), like)
    distinct = found[1].definite
    edm = _decreases(found, *pull)
    if not distinct.all():  # what is left to gain in the directions that act
        near = invert_sets(ridged(local.fisher, scaling), scaling, *split(mask, like))
        edm = np.where(distinct, edm, _decrease(near, *pull))
    hidden = np.where(distinct[:, None, None], found[0].shared, np.nan)
    found[0] = found[0]._replace(shared=hidden, definite=found[0].definite & distinct)
    held = box.free & ~mask
    made = {}
    for name, label in labels.items():
        n_par = len(rows[name].model.parameters)
        made[name] = Together.nothing(label, n_par, found[0].shared, edm)
    for k, part in enumerate(joint.parts):
        place = rows[part.name], made[part.name]
        _record_part(joint, k, part, end, found, scaling, edm, held, *place)
    for name, together in made.items():
        _count_free(joint, box, name, together)
    return made


def _count_free(joint, box, name, together):
    """Free parameters of each set, those of other models left out."""
    shared, owns = split(box.free, joint.like)
    parts = [(part, own) for part, own in zip(joint.parts, owns, strict=True) if part.name == name]
    slots = sorted({slot for part, _ in parts for slot in part.layout.places})
    together.n_free[:] = shared[:, slots].sum(axis=1)
    for _, own in parts:
        together.n_free += own.sum(axis=(1, 2))


def _record_part(joint, k, part, end, found, scaling, edm, held, rows, together):
    """Rows of the lanes of one part."""
    s, p = np.nonzero(part.places >= 0)
    order = np.argsort(part.places[s, p])  # every lane stands in one place
    s, p = s[order], p[order]
    shared, owns = split(end.theta, joint.like)
    shared_held, own_held = split(held, joint.like)
    theta = _lane_theta(part.layout, shared[s], owns[k][s, p])
    errors = Errors(
        covariance=lane_covariances(found[0], k, part.layout)[s, p],
        fisher=lane_covariances(found[1], k, part.layout)[s, p],
        edm=edm[s],
        held=_lane_theta(part.layout, shared_held[s], own_held[k][s, p]) > 0,
        definite=found[0].definite[s],
        distinct=found[1].definite[s],
        alike=lane_alike(found[1], k, part.layout, scaling)[s, p],
        worst=np.full(len(s), -1),
    )
    _, d_params = parameters_of(part.group.functions, part.group.numbers.links, theta)
    lever = lane_levers(found[0], k, part.layout)[s, p]
    together.levers[part.group.full.index] = d_params @ lever
    mean = end.local.mean[k][s, p]
    local = end.local._replace(value=_values(part, mean), mean=mean)
    theta, iterations = in_turn(part.group, theta), end.iterations[s]
    rows.fill(part.group, theta, local, errors, iterations, with_priors=False)


def _values(part, mean):
    """Statistic (n_lane,) of each lane from its mean."""
    batch, term = part.group.full, part.group.term
    with jax.enable_x64(True):
        value = STATISTICS[term.stat].kernel(batch.bins, mean, term.floor).value
        return np.where(batch.mask, np.asarray(value), 0.0).sum(axis=1)


def _diagonals(matrix):
    """Diagonals of all sets: shared (n_set, n_shared), own [(n_set, n_place, n_own), ...]."""
    blocks = [np.diagonal(block, axis1=-2, axis2=-1) for block in matrix.blocks]
    return np.diagonal(matrix.corner, axis1=-2, axis2=-1), blocks


def _decreases(found, shared, owns):
    """Expected decrease (n_set,) of the statistic, by the expected information where it must be."""
    observed, expected = (_decrease(each, shared, owns) for each in found)
    return np.where(found[0].definite, observed, expected)


def _decrease(found, shared, owns):
    total = 0.0
    for follow, scatter, own in zip(found.follow, found.own, owns, strict=True):
        shared = shared - np.einsum("slok,slo->sk", follow, own)
        total = total + np.einsum("slo,slop,slp->s", own, scatter, own)
    return 0.25 * (total + np.einsum("si,sij,sj->s", shared, found.shared, shared))
