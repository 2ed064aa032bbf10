"""Every lane by itself; the slow ones are gathered into chunks of their own and go on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from jaxspec.fit.chunks import chunk_lanes, chunk_positions
from jaxspec.fit.compiled import Minimum, fit_chunk, parameters_of, rank_chunk
from jaxspec.fit.levmar import Bounds
from jaxspec.fit.problem import Group, remade
from jaxspec.fit.start import STARTS, alike, distinct_starts, is_turning
from jaxspec.likelihood.forward import kind_of
from jaxspec.reduce.spectra import bar

SEVERAL = (
    3  # starts for every lane of a model of several additive components, which has local minima:
)
# of 277 observations of GRS 1915+105 with TBabs*(diskbb+powerlaw), one start leaves 53 more than 1
# above the lowest minimum that any of 16 starts finds, two leave 19 and three none
FEW, STEPS, BEST, ROUNDS, NEIGH, MARGIN, CLOSE = 6, 6, 2, 6, 3, 100, 50
FIRST_ROUND = 8  # iterations before the slow lanes are gathered into chunks of their own


class Solved(NamedTuple):
    """A group and the minima of its lanes: ``end`` is a `Minimum` with a lane axis."""

    group: Group
    end: Minimum


def solve(group, items, options, progress=None) -> list[Solved]:
    """Fit all lanes of one group.

    Parameters
    ----------
    group : Group
    items : sequence of all data, by row.
    options : Options
    progress : bool, optional

    Returns
    -------
    list of Solved
        The group itself, or several where the arrays of a lane had to be made anew.
    """
    end = minimise_group(group, progress)
    settles = kind_of(items[int(group.full.index[0])]).settles
    if settles is None:
        return [Solved(group, end)]
    return _settled(group, end, items, options, settles)


def minimise_group(group, progress=None) -> Minimum:
    """Lowest minimum of every lane that its starts lead to."""
    if group.starts is None and group.several:
        return _lowest_of_several(group, progress)
    batch = group.full if group.coarse is None else group.coarse
    everyone = np.arange(len(batch.index))
    end, starts = descend(group, batch, everyone, 0, group.starts, "fitting", progress)
    n_start = int(group.numbers.candidates.n)
    if (group.numbers.candidates.turn > 0).any():
        n_start = STARTS
    for rank in range(1, min(starts.shape[1], n_start)):
        again = everyone if group.several and rank < SEVERAL else lost(end, bounds(group))
        if not again.size:
            break
        new, _ = descend(group, batch, again, rank, starts[again], "other starts", progress)
        end = lower_of(group, end, new, again)
    if group.coarse is not None:
        near = end.theta[:, None]
        near = np.repeat(near, starts.shape[1], axis=1)
        end, _ = descend(group, group.full, everyone, 0, near, "all pixels", progress)
    return end


def _lowest_of_several(group, progress):
    """Lowest minimum of every lane of a spectral model that may have several.

    Many shapes are looked at, the best few that differ are descended for some steps, and of
    those the best go on to their minimum. Then the lanes learn from one another.
    """
    starts, known = distinct_starts(*screen(group, group.numbers), group.numbers.candidates, FEW)
    everyone = np.arange(len(group.full.index))
    group = group._replace(starts=starts)
    tried = [
        descend(group, group.full, everyone, rank, starts, "fitting", progress, steps=STEPS)[0]
        for rank in range(min(FEW, int(np.isfinite(known).any(axis=0).sum())))
    ]
    thetas = np.stack([end.theta for end in tried], axis=1)
    value = np.stack([end.local.value for end in tried], axis=1)
    best = unlike(thetas, value, group.numbers, BEST)
    group = group._replace(starts=best)
    end, _ = descend(group, group.full, everyone, 0, best, "fitting", progress)
    for rank in range(1, BEST):
        new, _ = descend(group, group.full, everyone, rank, best, "other starts", progress)
        end = lower_of(group, end, new, everyone)
    news = everyone
    shape = ~group.numbers.amplitude
    for _ in range(ROUNDS if len(everyone) > 1 else 0):
        numbers = group.numbers._replace(candidates=from_solutions(group, end, news))
        thetas, value = screen(group, numbers)
        own = end.theta[:, None]
        same = np.abs(thetas - own) <= 0.1 * np.maximum(np.abs(thetas), np.abs(own)) + 0.01
        value = np.where(same[:, :, shape].all(axis=-1), np.inf, value)
        starts, known = distinct_starts(thetas, value, numbers.candidates, NEIGH)
        some = group._replace(starts=starts)
        before = end.local.value.copy()
        for rank in range(NEIGH):
            again = np.flatnonzero(known[:, rank] < end.local.value * (1 + MARGIN / 100) + 10)
            if not again.size:
                break
            new, _ = descend(some, group.full, again, rank, starts[again], "x", progress, steps=STEPS)
            near = new.local.value < end.local.value[again] * (1 + CLOSE / 1000) + 1

            again, theta = again[near], new.theta[near]
            if again.size:
                go = group._replace(starts=np.repeat(end.theta[:, None], NEIGH, axis=1))
                new, _ = descend(go, group.full, again, 0, np.repeat(theta[:, None], NEIGH, axis=1), "x", progress)
                was = end.local.value.copy()
                end = lower_of(group, end, new, again)

        news = np.flatnonzero(end.local.value < before - 0.1)
        if not news.size:
            break
    return end


def unlike(thetas, value, numbers, n):
    """The best ``n`` of thetas (n_lane, n_try, n_par) that are not the same minimum."""
    value, lanes = np.where(np.isfinite(value), value, np.inf), np.arange(len(value))
    shape = ~numbers.amplitude
    chosen = []
    for _ in range(n):
        best = np.argmin(value, axis=1)
        chosen.append(np.where(np.isfinite(value[lanes, best]), best, chosen[0] if chosen else best))
        at = thetas[lanes, best][:, None]
        same = np.abs(thetas - at) <= 0.1 * np.maximum(np.abs(thetas), np.abs(at)) + 0.01
        value = np.where(same[:, :, shape].all(axis=-1), np.inf, value)
    return thetas[lanes[:, None], np.stack(chosen, axis=1)]


def from_solutions(group, end, which):
    """`Candidates` that stand for the solutions of all lanes."""
    known = group.numbers.candidates
    n = len(known.table)
    good = which[np.isfinite(end.local.value[which])]
    thetas = np.unique(np.round(end.theta[good], 10), axis=0)
    part = ranks(thetas[:, ~group.numbers.amplitude])
    far = np.abs(part - 0.5).max(axis=1)
    chosen = [int(np.argmin(far))]
    away = np.abs(part - part[chosen[0]]).max(axis=1)
    while len(chosen) < min(n, len(thetas)):
        chosen.append(int(np.argmax(away)))
        away = np.minimum(away, np.abs(part - part[chosen[-1]]).max(axis=1))
    table = np.concatenate([thetas[chosen], np.repeat(thetas[chosen[:1]], n - len(chosen), axis=0)])
    none = np.zeros(table.shape[1], bool)
    return known._replace(table=table, n=np.asarray(len(chosen)), relative=none, spread=none, near=alike(table))


def ranks(table):
    rank = np.stack([np.unique(c, return_inverse=True)[1] for c in table.T], axis=1)
    return rank / np.maximum(rank.max(axis=0), 1)


def screen(group, numbers):
    """All candidates (n_lane, n_candidate, n_par) of a group, and their statistic."""
    batch, own = group.full, group.own
    inputs = batch.which if batch.shared else batch.grid
    rows = np.concatenate([np.reshape(x, (len(inputs), -1)) for x in (inputs, *own)], axis=1)
    alike_in = np.unique(np.nan_to_num(rows), axis=0, return_inverse=True)[1].ravel()

    def work(chunk):
        lanes = chunk_lanes(batch, chunk.lanes)
        first = own.take(chunk.lanes[0])
        return rank_chunk(group.term, group.functions, batch.shared, lanes, numbers, first)

    return over_chunks(work, batch, None, "looking for starts", False, by=alike_in)


def lower_of(group, end, new, positions):
    """``end`` with the lanes at ``positions`` replaced by ``new`` where that is lower."""
    lower = np.flatnonzero(new.local.value < end.local.value[positions] - group.numbers.tol)
    return jax.tree.map(lambda kept, x: put(kept, positions[lower], x[lower]), end, new)


def descend(group, batch, positions, rank, starts, label, progress, steps=None):
    """Minimise the lanes at ``positions``; those that need long are gathered and go on.

    Parameters
    ----------
    group : Group; batch : Batch, its full or its coarse data.
    positions : (n,) int
    rank : int, which of the starts.
    starts : (n, n_start, n_par), or None to find them in the data.
    label, progress : see `jaxspec.reduce.spectra.bar`.
    steps : int, after which all stop; by default they go on to the minimum.

    Returns
    -------
    Minimum of arrays (n, ...), starts (n, n_start, n_par), in the order of ``positions``
    """
    numbers, n_par = group.numbers, len(group.numbers.amplitude)
    fresh, known = starts is None, group.starts is not None
    n_start = min(STARTS, len(numbers.candidates.table)) if fresh else starts.shape[1]
    table = np.zeros((len(batch.index), n_start, n_par))
    if not fresh:
        table[positions] = starts

    common = group.own.common()

    def work(numbers, table, rank, fresh):
        def one(chunk):
            own = group.own.take(chunk.lanes) if common is None else common
            return fit_chunk(
                group.term, group.functions, batch.shared, chunk_lanes(batch, chunk.lanes),
                numbers, own,
                table[chunk.lanes], np.asarray(rank), None if known else np.asarray(fresh),
            )  # fmt: skip

        return one

    few = np.minimum(numbers.max_iter, FIRST_ROUND if steps is None else steps)
    first = work(numbers._replace(max_iter=few), table, rank, fresh)
    end, starts = over_chunks(first, batch, positions, label, progress)
    slow = np.flatnonzero(~end.done)
    if slow.size and numbers.max_iter > few and steps is None:
        rest = numbers._replace(max_iter=numbers.max_iter - few)
        table[positions] = end.theta[:, None]
        go_on = work(rest, table, 0, False)
        more, _ = over_chunks(go_on, batch, positions[slow], label, progress)
        more = more._replace(iterations=more.iterations + few)
        end = jax.tree.map(lambda kept, new: put(kept, slow, new), end, more)
    return end, starts


def evaluate(group, batch, positions, theta):
    """`Quadratic` of lanes at ``theta`` (n, n_par): the minimiser with no iteration."""
    n_start = STARTS if group.starts is None else group.starts.shape[1]
    n_start = min(n_start, len(group.numbers.candidates.table)) if group.starts is None else n_start
    starts = np.repeat(np.asarray(theta, float)[:, None], n_start, axis=1)
    still = group._replace(numbers=group.numbers._replace(max_iter=np.asarray(0)))
    end, _ = descend(still, batch, np.asarray(positions), 0, starts, "", False)
    return end.local


def lost(end, bounds):
    """Positions of lanes that did not converge, or in which a component vanished on the way."""
    idle = np.diagonal(end.local.fisher, axis1=-2, axis2=-1) <= 0
    gone = bounds.amplitude & (end.theta <= bounds.lower)
    bad = ~end.done | ~np.isfinite(end.local.value) | np.any(bounds.free & (idle | gone), axis=1)
    return np.flatnonzero(bad)


def put(array, index, values):
    """Copy of ``array`` with ``values`` at ``index``."""
    array = array.copy()
    array[index] = values
    return array


def over_chunks(work, batch, positions, label, progress, size=None, by=None):
    """Run ``work(chunk)`` for all chunks; its arrays with the lanes in the order of positions.

    XLA leaves the interpreter free while it computes, so that threads fill the cores.
    """
    chunks = chunk_positions(batch, positions, size, by)

    def in_double(chunk):
        with jax.enable_x64(True):
            return jax.tree.map(lambda x: np.asarray(x)[: chunk.size], work(chunk))

    if len(chunks) == 1:
        parts = [in_double(chunks[0])]
    else:
        # the first alone, so that one thread compiles
        first = in_double(chunks[0])
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            rest = pool.map(in_double, chunks[1:])
            parts = [first, *bar(rest, label, progress, total=len(chunks) - 1)]
    lanes = np.concatenate([chunk.lanes[: chunk.size] for chunk in chunks])
    order = np.argsort(lanes, kind="stable")  # chunks of a shared batch are sorted by inputs
    return jax.tree.map(lambda *x: np.concatenate(x)[order], *parts)


def in_turn(group, theta):
    """``theta`` (n_lane, n_par) with angles that repeat brought into their first turn."""
    theta = np.array(theta)
    for i, p in enumerate(group.models[0].parameters):
        if is_turning(p):
            low = 0.0 if p.min <= 0.0 and p.max >= p.period else p.min
            theta[:, i] = low + (theta[:, i] - low) % p.period
    return theta


def _settled(group, end, items, options, settles) -> list[Solved]:
    """Fit lanes again whose arrays do not serve at their solution, at most twice.

    Whether pixels are integrated is decided from the start. Where the fitted source says otherwise,
    the fit is done again; one that is small with only one of the choices is integrated.
    """
    keep, made = [], []
    fine = getattr(group.full.gather(0), "fine", None) is not None
    values, _ = parameters_of(group.functions, group.numbers.links, end.theta)
    for lane, row in enumerate(group.full.index):
        wanted = settles(group.model(lane), items[row], values[lane], fine, options.integrate)
        if wanted is None:
            keep.append(lane)
        else:
            made += _again(group, lane, end, items, options, settles, wanted)
    if len(keep) == len(group.full.index):
        return [Solved(group, end)]
    if keep:
        kept = np.array(keep)
        made.insert(0, Solved(_some(group, kept), jax.tree.map(lambda x: x[kept], end)))
    return made


def _again(group, lane, end, items, options, settles, wanted):
    for attempt in range(2):
        theta = end.theta[lane if attempt == 0 else 0]
        group = remade(items, group, lane if attempt == 0 else 0, theta, wanted, options)
        end = minimise_group(group)
        values, _ = parameters_of(group.functions, group.numbers.links, end.theta)
        row = int(group.full.index[0])
        other = settles(group.models[0], items[row], values[0], wanted, options.integrate)
        if other is None or wanted:
            break
        wanted = other
    return [Solved(group, end)]


def _some(group, kept):
    """Group of some of the lanes."""
    full = group.full
    batch = full._replace(
        index=full.index[kept],
        bins=jax.tree.map(lambda x: x[kept], full.bins),
        mask=full.mask[kept],
        which=full.which[kept],
    )
    models = group.models if len(group.models) == 1 else [group.models[i] for i in kept]
    return group._replace(
        models=models, full=batch, coarse=None, own=group.own.take(kept), starts=group.starts[kept]
    )


def bounds(group) -> Bounds:
    """Bounds (n_lane, n_par) of all lanes."""
    own, numbers = group.own, group.numbers
    kinds = numbers.amplitude, numbers.positive, numbers.energy
    return Bounds(own.lower, own.upper, own.free, *kinds)
