"""Joint fits: sets of lanes with shared parameters, each set minimised as one, all compiled."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.fit.arrow import Arrow, join, split
from jaxspec.fit.chunks import lane_axes
from jaxspec.fit.compiled import Minimum
from jaxspec.fit.descend import over_chunks
from jaxspec.fit.levmar import Bounds, minimise
from jaxspec.fit.lowest import screen
from jaxspec.fit.sets import Layout
from jaxspec.fit.solve import SEVERAL
from jaxspec.fit.start import lowest_unlike
from jaxspec.likelihood.linear import Lane
from jaxspec.likelihood.objective import PriorTerm, Quadratic, lane_quadratic

AT_ONCE = 16  # lanes of a set that are evaluated at once: their derivatives stay in cache
SETS = 16  # sets that are minimised at once, if they are small
SMALL = 64  # lanes of a set up to which it is


class Part(NamedTuple):
    """Lanes of one group in the sets of a joint fit.

    Parameters
    ----------
    name : str, of the model.
    group : Group
    layout : Layout
    places : (n_set, n_place) int, lanes of each set, -1 for an empty place.
    """

    name: str
    group: Any
    layout: Layout
    places: np.ndarray


class PartData(NamedTuple):
    """One part of one set as arrays: ``lanes`` with an axis of places, links, priors."""

    lanes: Any
    links: Any
    own_priors: dict


def _evaluate(static, parts, shared_priors, like, theta) -> Quadratic:
    """`Quadratic` of one set in its long vector; the matrices are `Arrow`s.

    ``static`` holds (term, functions, layout, shared) of each part.
    """
    shared, owns = split(theta, like)
    value = jnp.zeros((), theta.dtype)
    gradient = jnp.zeros_like(shared)
    corners = [jnp.zeros((shared.size,) * 2, theta.dtype)] * 2
    pulls, sides, blocks, means = [], ([], []), ([], []), []
    for (term, functions, layout, common), part, own in zip(static, parts, owns, strict=True):
        q = _part(term, functions, layout, common, part, shared, own)
        if part.own_priors:
            prior = PriorTerm(part.own_priors)
            filled = fill(layout, shared, own)
            extra = jax.vmap(prior.quadratic)(filled)
            there = jnp.any(part.lanes.mask, axis=-1)
            extra = jax.tree.map(
                lambda x, t=there: jnp.where(t.reshape((-1,) + (1,) * (x.ndim - 1)), x, 0.0),
                extra[:4],
            )
            q = Quadratic(*jax.tree.map(jnp.add, q[:4], extra), q.mean)
        s, o, at = (
            np.array(layout.shared, dtype=int),
            np.array(layout.own, dtype=int),
            layout.places,
        )
        value = value + jnp.sum(q.value)
        gradient = gradient.at[at].add(jnp.sum(q.gradient[:, s], axis=0))
        pulls.append(q.gradient[:, o])
        for k, matrix in enumerate((q.fisher, q.hessian)):
            inner = jnp.sum(matrix[:, s][:, :, s], axis=0)
            corners[k] = corners[k].at[at[:, None], at[None, :]].add(inner)
            side = jnp.zeros((*own.shape, shared.size), theta.dtype)
            sides[k].append(side.at[:, :, at].add(matrix[:, o][:, :, s]))
            blocks[k].append(matrix[:, o][:, :, o])
        means.append(q.mean)
    if shared_priors:
        prior = PriorTerm(shared_priors).quadratic(shared)
        value, gradient = value + prior.value, gradient + prior.gradient
        corners = [corners[0] + prior.fisher, corners[1] + prior.hessian]
    fisher, hessian = (Arrow(corners[k], tuple(sides[k]), tuple(blocks[k])) for k in (0, 1))
    return Quadratic(value, join(gradient, pulls), fisher, hessian, tuple(means))


def fill(layout, shared, own):
    """Parameters (n_place, n_par) of all lanes of a part."""
    theta = jnp.zeros((own.shape[0], len(layout.slots)), shared.dtype)
    theta = theta.at[:, np.array(layout.shared, dtype=int)].set(shared[layout.places])
    return theta.at[:, np.array(layout.own, dtype=int)].set(own)


def _part(term, functions, layout, common, part, shared, own) -> Quadratic:
    """`Quadratic`s of all lanes of a part, with a lane axis.

    ``shared`` (n_shared,), ``own`` (n_place, n_own); ``common`` (static): all lanes have the same
    inputs, which then have no lane axis.
    """
    theta = fill(layout, shared, own)

    def one(lane, t):
        return lane_quadratic(term, functions, lane, part.links, {}, t)

    lanes = part.lanes
    n_place = own.shape[0]
    if n_place <= AT_ONCE:
        return jax.vmap(one, in_axes=(lane_axes(lanes, common), 0))(lanes, theta)
    if common:
        inputs = lanes.inputs
        return jax.lax.map(
            lambda x: one(lanes._replace(inputs=inputs, bins=x[0], mask=x[1]), x[2]),
            (lanes.bins, lanes.mask, theta), batch_size=AT_ONCE,
        )  # fmt: skip
    every = jax.tree.map(lambda x: x if x.ndim else jnp.broadcast_to(x, n_place), lanes)
    return jax.lax.map(lambda x: one(*x), (every, theta), batch_size=AT_ONCE)


def _nothing(parts, like, theta):
    """`Quadratic` of a set that was not evaluated; its shapes are those of `_evaluate`."""
    zeros = jax.tree.map(jnp.zeros_like, like)
    means = tuple(jnp.zeros_like(part.lanes.bins.counts) for part in parts)
    return Quadratic(jnp.full((), jnp.inf, theta.dtype), jnp.zeros_like(theta), zeros, zeros, means)


@partial(jax.jit, static_argnames=("static",))
def fit_sets(static, parts, shared_priors, like, theta, box, tol, max_iter) -> Minimum:
    """Minimise sets of one shape, each by itself.

    Parameters
    ----------
    static : tuple of (term, functions, layout, shared), static
    parts : tuple of PartData; arrays have the axes (n_set, n_place, ...), inputs that all lanes
        share none, links and priors none.
    shared_priors : dict from place in the shared vector to distribution
    like : Arrow of zeros, with the shapes of one set.
    theta : (n_set, n_long); box : Bounds of (n_set, n_long)
    tol, max_iter : scalars

    Returns
    -------
    Minimum with a set axis
    """

    def one(parts, theta, box):
        state = minimise(
            lambda t: _evaluate(static, parts, shared_priors, like, t),
            theta,
            box,
            nothing=_nothing(parts, like, theta),
            tol=tol,
            max_iter=max_iter,
        )
        return Minimum(state.theta, state.local, state.iterations, state.done)

    axes = tuple(
        PartData(lane_axes(part.lanes, common), None, None)
        for (*_, common), part in zip(static, parts, strict=True)
    )
    return jax.vmap(one, in_axes=(axes, 0, 0))(parts, theta, box)


class Joint(NamedTuple):
    """A joint fit ready to be minimised.

    ``parts`` list of Part; ``n_set``; ``n_shared``; ``shared_priors`` by place in the shared
    vector.
    """

    parts: list
    n_set: int
    n_shared: int
    shared_priors: dict

    @property
    def like(self) -> Arrow:
        """Zeros of the shapes of one set."""
        sizes = [(part.places.shape[1], len(part.layout.own)) for part in self.parts]
        return Arrow(
            np.zeros((self.n_shared,) * 2),
            tuple(np.zeros((m, o, self.n_shared)) for m, o in sizes),
            tuple(np.zeros((m, o, o)) for m, o in sizes),
        )

    @property
    def several(self) -> bool:
        """Whether there may be several minima."""
        return any(part.group.several for part in self.parts)


def minimise_sets(joint, progress=None) -> Minimum:
    """Lowest minimum of every set that its starts lead to; NumPy arrays with a set axis."""
    ranked = [_ranked(part) for part in joint.parts]
    box = box_of(joint)
    best = None
    stages = ["coarse", "full"] if any(p.group.coarse for p in joint.parts) else ["full"]
    n_start = min(SEVERAL if joint.several else 1, *(r[0].shape[1] for r in ranked))
    for rank in range(n_start):
        theta = np.clip(_start(joint, ranked, rank), box.lower, box.upper)
        end = _descend(joint, stages[0], theta, box, progress)
        if best is None:
            best = end
            continue
        lower = end.local.value < best.local.value - 1e-8
        best = jax.tree.map(
            lambda a, b, n=lower: np.where(n.reshape((-1,) + (1,) * (a.ndim - 1)), b, a), best, end
        )
    for stage in stages[1:]:
        best = _descend(joint, stage, best.theta, box, progress)
    return best


def _ranked(part):
    """Starts (n_lane, n_candidate, n_par) of every lane by itself, and their chi2."""
    group = part.group
    if group.starts is not None:
        order = np.arange(group.starts.shape[1], dtype=float)
        return group.starts, np.broadcast_to(order, group.starts.shape[:2])
    return screen(group, group.numbers)


def _start(joint, ranked, rank):
    """Long vectors (n_set, n_long): the candidate that fits all lanes of a set best, or the next.

    Candidates are compared model by model: groups of one model have the same ones.
    """
    shared = np.full((joint.n_set, joint.n_shared), np.nan)
    owns = []
    for name in dict.fromkeys(part.name for part in joint.parts):
        some = [(p, r) for p, r in zip(joint.parts, ranked, strict=True) if p.name == name]
        total, chosen = 0.0, []
        for part, (_, chi2) in some:
            there = (part.places >= 0)[..., None]
            known = np.minimum(chi2[np.maximum(part.places, 0)], 1e300)
            total = total + np.where(there, known, 0.0).sum(axis=1)
        group = some[0][0].group
        alone = np.eye(total.shape[1], dtype=bool)  # images: starts that differ already
        near = group.numbers.candidates.near if group.starts is None else alone
        pick = lowest_unlike(total, lambda best, near=near: near[best], rank + 1)[0][:, -1:]
        for part, (thetas, _) in some:
            there = (part.places >= 0)[..., None]
            chosen.append(np.where(there, thetas[np.maximum(part.places, 0), pick], np.nan))
        chosen = np.concatenate(chosen, axis=1)
        layout = some[0][0].layout
        sets = np.flatnonzero(np.any([(p.places >= 0).any(axis=1) for p, _ in some], axis=0))
        middle = np.nanmedian(chosen[sets][:, :, layout.shared], axis=1)
        at = np.ix_(sets, layout.places)
        shared[at] = np.where(np.isnan(shared[at]), middle, shared[at])
    for part, (thetas, chi2) in zip(joint.parts, ranked, strict=True):
        own = np.array(part.layout.own, dtype=int)
        best = np.argsort(chi2, axis=1, kind="stable")[:, min(rank, chi2.shape[1] - 1)]
        alone = thetas[np.arange(len(best)), best][:, own]
        owns.append(alone[np.maximum(part.places, 0)].reshape(joint.n_set, -1))
    return np.concatenate([np.nan_to_num(shared), *owns], axis=1)


def box_of(joint) -> Bounds:
    """Bounds (n_set, n_long): shared limits are those that all lanes allow."""
    lower = np.full((joint.n_set, joint.n_shared), -np.inf)
    upper = np.full((joint.n_set, joint.n_shared), np.inf)
    free = np.zeros((joint.n_set, joint.n_shared), bool)
    for part in joint.parts:
        free[:, part.layout.places] = True
    kinds = np.zeros((3, joint.n_shared), bool)
    own = [[] for _ in range(6)]
    for part in joint.parts:
        numbers, lanes, layout = part.group.numbers, part.group.own, part.layout
        s, o, at = list(layout.shared), list(layout.own), layout.places
        there = part.places >= 0
        place = np.maximum(part.places, 0)
        for name, into, worst in (
            ("lower", lower, np.maximum), ("upper", upper, np.minimum), ("free", free, np.minimum),
        ):  # fmt: skip
            values = getattr(lanes, name)[place][:, :, s]
            neutral = {"lower": -np.inf, "upper": np.inf, "free": True}[name]
            values = np.where(there[:, :, None], values, neutral)
            into[:, at] = worst(into[:, at], worst.reduce(values, axis=1))
        kinds[:, at] |= np.array(
            [k[s] for k in (numbers.amplitude, numbers.positive, numbers.energy)]
        )
        n_set, n_place = part.places.shape
        for k, values in enumerate(
            (
                lanes.lower[place][:, :, o],
                lanes.upper[place][:, :, o],
                lanes.free[place][:, :, o] & there[:, :, None],
                np.broadcast_to(numbers.amplitude[o], (n_set, n_place, len(o))),
                np.broadcast_to(numbers.positive[o], (n_set, n_place, len(o))),
                np.broadcast_to(numbers.energy[o], (n_set, n_place, len(o))),
            )
        ):
            own[k].append(values.reshape(n_set, -1))
    first = [lower, upper, free, *(np.broadcast_to(k, free.shape) for k in kinds)]
    return Bounds(*(np.concatenate([a, *b], axis=1) for a, b in zip(first, own, strict=True)))


def _descend(joint, stage, theta, box, progress, max_iter=None):
    """Minimise all sets from ``theta`` (n_set, n_long)."""
    size = max(part.places.shape[1] for part in joint.parts)
    at_once = min(SETS, joint.n_set) if size <= SMALL else 1
    numbers = joint.parts[0].group.numbers
    like = joint.like

    def work(chunk):
        static, parts = [], []
        for part in joint.parts:
            batch = part.group.coarse if stage == "coarse" and part.group.coarse else None
            made = part_data(part, batch or part.group.full, chunk.lanes)
            static.append((part.group.term, part.group.functions, part.layout, made[1]))
            parts.append(made[0])
        some = Bounds(*(field[chunk.lanes] for field in box))
        return fit_sets(
            tuple(static), tuple(parts), joint.shared_priors, like, theta[chunk.lanes], some,
            numbers.tol, numbers.max_iter if max_iter is None else np.asarray(max_iter),
        )  # fmt: skip

    return over_sets(work, joint.n_set, at_once, progress)


def evaluate_sets(joint, stage, theta, box):
    """`Quadratic`s of all sets at ``theta`` (n_set, n_long): the minimiser with no iteration."""
    return _descend(joint, stage, theta, box, False, max_iter=0).local


class _Sets(NamedTuple):
    """Sets as what `over_chunks` cuts into chunks."""

    index: np.ndarray
    which: np.ndarray
    shared: bool = False


def over_sets(work, n_set, at_once, progress):
    """Run ``work(chunk)`` over chunks of ``at_once`` sets."""
    every = np.arange(n_set)
    return over_chunks(work, _Sets(every, every), every, "joint", progress, size=at_once)


def part_data(part, batch, sets):
    """`PartData` of sets (n,) int, arrays (n, n_place, ...); and whether all lanes share inputs."""
    lanes = part.places[sets]
    there = lanes >= 0
    lanes = np.maximum(lanes, 0)
    common = batch.n_inputs == 1

    def by_set(x):
        return x.reshape(*lanes.shape, *np.shape(x)[1:]) if np.ndim(x) else x

    inputs = batch.gather(0 if common else batch.which[lanes.ravel()])
    if not common:
        inputs = jax.tree.map(by_set, inputs)
    bins = jax.tree.map(lambda x: x[lanes], batch.bins)
    data = Lane.of(inputs, bins, batch.mask[lanes] & there[..., None])
    own = set(part.layout.own)
    priors = {i: p for i, p in part.group.numbers.priors.items() if i in own}
    return PartData(data, part.group.numbers.links, priors), common
