"""Posteriors of joint fits: the chains move in one long vector of shared and own parameters."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.arrow import Arrow
from jaxspec.fit.chunks import lane_axes
from jaxspec.fit.joint import record, solve_joint
from jaxspec.fit.start import is_turning
from jaxspec.fit.together import box_of, evaluate_sets, fill, part_data
from jaxspec.likelihood.forward import in_one_piece
from jaxspec.likelihood.objective import Links, PriorTerm, linked
from jaxspec.sample import space as spaces
from jaxspec.sample.joint_posterior import JointPosterior
from jaxspec.sample.lanes import counter, stream_of
from jaxspec.sample.laplace import expand, factor, find_mode, start_of
from jaxspec.sample.steps import alone
from jaxspec.sample.target import Correction, Target, no_correction
from jaxspec.sample.tune import draw, mover, points, warm_up


class SetObjective(NamedTuple):
    """The static half of the density of a joint set.

    ``static`` holds (term, functions, layout, common) of each part, ``sizes`` (n_place, n_own);
    ``n_shared`` the length of the shared vector; ``ties`` see `jaxspec.sample.space`.
    """

    static: tuple
    sizes: tuple
    n_shared: int
    ties: tuple = ()

    def parameters(self, links, theta):
        """The long vector: links act lane by lane."""
        return theta

    def lanes(self, parts, theta):
        """Parameters (n_place, n_par) of the lanes of each part, links applied."""
        at, out = self.n_shared, []
        for (_, functions, layout, _), (n_place, n_own), part in zip(
            self.static, self.sizes, parts, strict=True
        ):
            own = theta[at : at + n_place * n_own].reshape(n_place, n_own)
            at += n_place * n_own
            filled = fill(layout, theta[: self.n_shared], own)
            out.append(jax.vmap(lambda t, f=functions, p=part: linked(f, p.links, t))(filled))
        return out

    def log_likelihood(self, parts, theta):
        """Sum over all lanes, without the constant; empty places give nothing."""
        total = jnp.zeros((), theta.dtype)
        for (term, _, _, common), part, params in zip(
            self.static, parts, self.lanes(parts, theta), strict=True
        ):
            axes = lane_axes(part.lanes, common)
            total += jnp.sum(jax.vmap(term.log_likelihood, in_axes=(axes, 0))(part.lanes, params))
        return total

    def constant(self, parts):
        """What `log_likelihood` leaves out."""
        return sum(
            jnp.sum(jax.vmap(term.constant, in_axes=(lane_axes(p.lanes, common),))(p.lanes))
            for (term, _, _, common), p in zip(self.static, parts, strict=True)
        )


def sample_sets(models, items, stats, labels, own, share, rows, fit_options, how, began):
    """Fit and sample joint sets.

    Parameters
    ----------
    models, items, stats, labels, own, share, rows : see `jaxspec.fit.joint.fit_joint`.
    fit_options : Options; how : How
    began : float, `time.perf_counter` when the call began.

    Returns
    -------
    list of JointPosterior or None, one for each set
    """
    with jax.enable_x64(True):
        joint, end = solve_joint(
            models, items, stats, labels, own, share, rows, fit_options, how.progress
        )
        if end is None:
            return []
        together = record(joint, end, labels, rows)
    seconds = {"fit": time.perf_counter() - began}
    fits = {name: rows[name].result(models[name], together[name], joint=True) for name in models}
    box = box_of(joint)
    out = []
    with counter(joint.n_set * how.chains * how.draws, how.progress) as count:
        for s in range(joint.n_set):
            if not np.isfinite(end.local.value[s]):
                out.append(None)
                continue
            out.append(_sample_set(joint, s, end, box, items, fits, how, dict(seconds), count))
    return out


def _sample_set(joint, s, end, box, items, fits, how, seconds, count) -> JointPosterior:
    """Chains of one set."""
    began = time.perf_counter()
    theta, bounds = _bounded(joint, s, end.theta[s], box)
    ties = _ties(joint, bounds)
    local = _dense(end.local, s)
    error = _errors(local, bounds)
    space = spaces.make_space(theta, bounds, ties, error)
    objective, full, coarse = _objective(joint, s, ties)
    mode, unit, correction = _mode(joint, s, end.theta, box, space, ties, local)
    names, parameters = _names(joint, s, items, bounds)
    links = Links(np.zeros((0, 0)), np.zeros(0))
    target = Target(full, coarse, links, _priors(joint, s), space, correction)
    seconds["mode"] = time.perf_counter() - began
    data = [items[p.name][int(p.group.full.index[lane])] for p, lane in _members(joint, s)]
    stream = stream_of(how.seed, *data)
    key = jax.random.key(stream)
    moves = [
        mover(objective, target, jax.random.fold_in(key, k), how.max_depth, check, how.sampler)
        for k, check in ((1, False), (2, True))
    ]
    z = np.random.default_rng(stream).standard_normal((how.chains, len(mode.u)))
    steps = warm_up(mode.u, unit, z, how.warmup, how.target_accept)
    tuned = alone(steps, lambda asked: moves[0](*asked))
    seconds["warm-up"] = time.perf_counter() - began - seconds["mode"]
    made = alone(draw(tuned, how.draws, count), lambda asked: moves[1](*asked))
    seconds["draws"] = time.perf_counter() - began - seconds["mode"] - seconds["warm-up"]
    u = points(tuned.warp, made.z.reshape(-1, made.z.shape[-1]))
    with jax.enable_x64(True):
        every = np.concatenate([u, mode.u[None]])
        found = _parameters(objective, full, target.priors, space, every)
        long, lanes, prior = jax.device_get(found)
        constant = float(objective.constant(full))

    def by_chain(values):
        shape = made.z.shape[:2]
        return np.swapaxes(np.reshape(values[:-1], (*shape, *np.shape(values)[1:])), 0, 1)

    chains = by_chain(long)[..., space.index]
    order = list(items)
    drawn = {
        (p.name, int(p.group.full.index[p.places[s, m]])): lanes[k][:, m]
        for k, p in enumerate(joint.parts)
        for m in np.flatnonzero(p.places[s] >= 0)
    }
    drawn = {key: drawn[key] for key in sorted(drawn, key=lambda k: (order.index(k[0]), k[1]))}
    integrated = {
        (p.name, int(p.group.full.index[lane])): _integrated(p.group.full, lane)
        for p, lane in _members(joint, s)
    }
    settings = how._asdict() | {"seconds": seconds, "step_size": float(tuned.step_size)}
    settings.pop("progress")
    model = next(iter(fits.values())).model
    return JointPosterior(
        model=model, data=None, names=names, units=tuple(p.unit for p in parameters),
        chains=chains, full=by_chain(long),
        log_likelihood=made.log_likelihood.T + constant, log_constant=constant,
        log_prior=by_chain(prior), diverging=made.diverging.T, accepted=made.accepted.T,
        steps=made.steps.T, best=long[-1, space.index], settings=settings,
        fit=next(iter(fits.values())) if len(fits) == 1 else fits,
        members={key: by_chain(one) for key, one in drawn.items()},
        modes={key: one[-1] for key, one in drawn.items()},
        items=items, fits=fits, parameters=parameters, integrated=integrated,
        left_out=tuple(x for f in fits.values() for x in f.left_out(f.together.label == s)),
    )  # fmt: skip


@partial(jax.jit, static_argnames=("objective",))
def _parameters(objective, parts, priors, space, u):
    """Long vectors (n, n_long), parameters of the lanes, log prior densities (n,)."""

    def one(u):
        theta = spaces.to_theta(objective.ties, space, u)
        return theta, objective.lanes(parts, theta), PriorTerm(priors).log_density(theta)

    return jax.vmap(one)(u)


def _integrated(batch, lane) -> bool:
    """Whether the mean of the model over pixels is taken."""
    return getattr(batch.gather(int(batch.which[lane])), "fine", None) is not None


def _members(joint, s):
    """(part, lane) of all data of a set."""
    return [(p, lane) for p in joint.parts for lane in p.places[s] if lane >= 0]


def _objective(joint, s, ties):
    """Objective of a set, its full and its coarse data."""
    static, sizes, stages = [], [], {"full": [], "coarse": []}
    for part in joint.parts:
        for stage, batch in (("full", part.group.full), ("coarse", part.group.coarse)):
            data, common = part_data(part, batch or part.group.full, np.array([s]))
            lanes = data.lanes
            inputs = lanes.inputs if common else jax.tree.map(_first, lanes.inputs)
            bins, mask = jax.tree.map(lambda x: x[0], (lanes.bins, lanes.mask))
            whole = in_one_piece(lanes._replace(inputs=inputs, bins=bins, mask=mask))
            stages[stage].append(data._replace(lanes=whole))
        static.append((part.group.term, part.group.functions, part.layout, common))
        sizes.append((part.places.shape[1], len(part.layout.own)))
    objective = SetObjective(tuple(static), tuple(sizes), joint.n_shared, ties)
    full = tuple(stages["full"])
    merged = any(part.group.coarse is not None for part in joint.parts)
    return objective, full, tuple(stages["coarse"]) if merged else full


def _first(x):
    return x[0] if np.ndim(x) else x


def _slots(joint, s):
    """(ModelParameter, names of its models, row or None) of each place in the long vector."""
    found = [None] * joint.n_shared
    own = []
    for part in joint.parts:
        model = part.group.models[0]
        for i, slot in enumerate(part.layout.slots):
            if slot >= 0:
                p, of, _ = found[slot] or (model.parameters[i], (), None)
                found[slot] = p, (*of, part.name) if part.name not in of else of, None
        for lane in part.places[s]:
            row = int(part.group.full.index[lane]) if lane >= 0 else -1
            own += [(model.parameters[i], (part.name,), row) for i in part.layout.own]
    return found + own


def _bounded(joint, s, theta, box):
    """Optimum and bounds (n_long,) of a set; angles are limited to half a turn."""
    lower, upper = box.lower[s].copy(), box.upper[s].copy()
    for k, slot in enumerate(_slots(joint, s)):
        if slot is not None and is_turning(slot[0]):
            lower[k], upper[k] = theta[k] + np.array([-0.5, 0.5]) * slot[0].period
        if box.free[s][k] and not np.isfinite([lower[k], upper[k]]).all():
            raise InputError(
                f"has the limits {lower[k]:g} to {upper[k]:g}",
                parameter=slot[0].full_name,
                remedy="set finite limits with .set(min=..., max=...), or freeze it",
            )
    one = jax.tree.map(lambda x: x[s], box)
    return theta, one._replace(lower=lower, upper=upper)


def _ties(joint, bounds):
    """Natural coordinates of shared parameters, at their places among the free ones."""
    place = {int(i): k for k, i in enumerate(np.flatnonzero(bounds.free))}
    found = {}
    for part in joint.parts:
        model = part.group.models[0]
        free = [i for i, p in enumerate(model.parameters) if p.free]
        for tie in spaces.ties_of(model):
            of = part.layout.slots[free[tie.of]]
            carried = part.layout.slots[free[tie.carried]] if tie.carried >= 0 else -1
            rival = part.layout.slots[free[tie.rival]] if tie.rival >= 0 else -1
            if of in place and (carried in place or tie.carried < 0):
                compared = place[rival] if rival in found else -1
                found[of] = spaces.Tie(place[of], place.get(carried, -1), tie.natural, compared)
    return tuple(found.values())


def _names(joint, s, items, bounds):
    """Names of the free parameters, and these.

    Own ones carry the name of their datum. Where several models were joined, those of one model
    carry its name; what models share does so only where it would be mistaken for another.
    """
    slots = [slot for slot, free in zip(_slots(joint, s), bounds.free, strict=True) if free]
    several = len({part.name for part in joint.parts}) > 1
    shared = Counter(p.full_name for p, of, _ in slots if len(of) > 1)
    data, names = {name: some.names for name, some in items.items()}, []
    for p, of, row in slots:
        name = p.full_name if several else p.label
        if several and (len(of) == 1 or shared[name] > 1):
            name = f"{of[0]}.{name}"
        names.append(name if row is None else f"{name}[{data[of[0]][row]}]")
    return tuple(names), tuple(p for p, _, _ in slots)


def _priors(joint, s):
    """Priors by place in the long vector; one on an own parameter counts for every lane."""
    found, at = dict(joint.shared_priors), joint.n_shared
    for part in joint.parts:
        priors = part.group.numbers.priors
        for lane in part.places[s]:
            for k, i in enumerate(part.layout.own):
                if i in priors and lane >= 0 and part.group.own.free[lane, i]:
                    found[at + k] = priors[i]
            at += len(part.layout.own)
    return found


def _dense(local, s):
    """`Quadratic` of one set with plain matrices (n_long, n_long); NumPy."""
    return local._replace(
        value=local.value[s],
        gradient=local.gradient[s],
        fisher=dense(jax.tree.map(lambda x: x[s], local.fisher)),
        hessian=dense(jax.tree.map(lambda x: x[s], local.hessian)),
    )


def dense(matrix: Arrow) -> np.ndarray:
    """Plain matrix (n_long, n_long) of an arrow head; NumPy."""
    n_shared = len(matrix.corner)
    n = n_shared + sum(block.shape[0] * block.shape[1] for block in matrix.blocks)
    out, at = np.zeros((n, n)), n_shared
    out[:n_shared, :n_shared] = matrix.corner
    for side, block in zip(matrix.sides, matrix.blocks, strict=True):
        for one, own in zip(side, block, strict=True):
            here = slice(at, at + len(own))
            out[here, here], out[here, :n_shared], out[:n_shared, here] = own, one, one.T
            at += len(own)
    return out


def _errors(local, bounds):
    """Standard deviations (n_long,) from the curvature along each parameter; NaN where none."""
    curvature = np.diagonal(local.fisher)
    free = np.flatnonzero(bounds.free)
    out = np.full(len(curvature), np.nan)
    inside = local.fisher[np.ix_(free, free)]
    with np.errstate(invalid="ignore", divide="ignore"):
        out[free] = np.sqrt(2.0 * np.diagonal(np.linalg.pinv(inside, hermitian=True)))
    return out


def _mode(joint, s, every, box, space, ties, local):
    """Mode of set ``s`` (`Expansion`), Cholesky factor (d, d) of the covariance, `Correction`.

    ``every`` (n_set, n_long), where the other sets stay.
    """

    def around(stage):
        def answer(u):
            with jax.enable_x64(True):
                theta = np.array(every)
                theta[s] = spaces.theta_at(ties, space, u)
                found = evaluate_sets(joint, stage, theta, box)
            return expand(ties, space, _dense(found, s), u)

        return answer

    start = start_of(ties, space, every[s], local)
    if not any(part.group.coarse is not None for part in joint.parts):
        mode = alone(find_mode(start), around("full"))
        unit = factor(mode.hessian)
        return mode, unit, no_correction(mode.u, np.linalg.inv(unit))
    near = alone(find_mode(start), around("coarse"))
    mode = alone(find_mode(near.u), around("full"))
    merged, unit = around("coarse")(mode.u), factor(mode.hessian)
    gradient, hessian = mode.gradient - merged.gradient, mode.hessian - merged.hessian
    return mode, unit, Correction(mode.u, gradient, hessian, np.linalg.inv(unit))
