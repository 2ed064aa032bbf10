"""The lowest of several minima: many shapes are looked at, few descended, and lanes learn.

A spectrum has many minima along the energy of a break or a line, and several where components take
each other's place. Candidate shapes are evaluated without descending; the best that differ are
descended for some steps, and the best of those to the end. What other lanes of the batch have
found are candidates then: spectra of one archive resemble one another.
"""

from __future__ import annotations

import numpy as np

from jaxspec.fit.chunks import chunk_lanes
from jaxspec.fit.compiled import rank_chunk
from jaxspec.fit.descend import bounds, descend, lower_of, over_chunks
from jaxspec.fit.parts import alone, combine_chunk, of_others, parts_of, rate_chunk
from jaxspec.fit.start import alike, distinct_starts, far_apart, lowest_unlike

# Chosen on 550 PCA spectra (3-25 keV) against the lowest minimum that any of some hundred starts
# has found; rows that are more than 1 above it are counted. There are more with each part beyond
# the second: TBabs*(bbody+powerlaw+gaussian) is A.
FEW = 16  # candidates that are descended for STEPS iterations: 8 leave 5 rows of the four models
# with one or two parts, 16 leave 2. Twice as many with three parts
BEST = 3, 16  # that go on to their minimum, with one or two parts and with more: 6 leave 1 row of
# the four models, for a third more time; of A 12 leave 6 rows, 16 leave 3, for a sixth more time
STEPS = 6  # with three parts 12: 6 leave twice as many of A
HARDLY = 16  # lanes up to which all candidates go on: there are few to learn from
ROUNDS = 6  # in which lanes learn; the last ones find next to nothing
OTHERS = 6  # solutions of other lanes that are tried in a round: 3 leave 19 rows of
# powerlaw+gaussian, 6 leave 5. Four times as many with three parts
PROMISING = 5.0  # times a lane's statistic, up to which a solution of another is tried for it; 20
# with three parts: 0.1 in a temperature is as much in a bright spectrum
HOPELESS = 1e6  # times: a line in another place may be far off until all others give way. With 5
# six of 135 rows of A missed a line above the band
CLOSE = 1.05  # times the statistic, up to which it goes on after STEPS iterations
PLACES = 3  # solutions with one part changed that are tried,
APART = 6  # rows apart
CROSSED = 64  # shapes of each of three or more parts that lanes try from one another; without that
# 15 rows of A are left
TRIED = 12  # of which so many are descended
GAIN = 0.01  # by which another minimum has to be lower: the bits of a lane do not change for less


def lowest_minimum(group, progress=None):
    """`Minimum` of all lanes of a spectral model that may have several minima."""
    everyone = np.arange(len(group.full.index))
    parts = parts_of(group.models[0])
    more = max(1, len(parts.tables) - 1)
    best_few = BEST[more > 1] if len(everyone) > HARDLY else HARDLY * more
    starts, value = screen_parts(group, parts, FEW * more)
    first = int(np.isfinite(value).any(axis=0).sum()) or 1
    tried = [
        _descend(group, everyone, starts[:, rank], progress, STEPS * more) for rank in range(first)
    ]
    thetas = np.stack([end.theta for end in tried], axis=1)
    value = np.stack([end.local.value for end in tried], axis=1)
    best, known = _unlike(thetas, value, group.numbers, best_few)
    end = _descend(group, everyone, best[:, 0], progress)
    for rank in range(1, best_few):
        some = np.flatnonzero(np.isfinite(known[:, rank]))
        end = _tried(group, end, some, best[some, rank], progress)
    end = _freed(group, end, everyone, starts, progress)
    end = _scanned(group, end, parts, progress)
    end = _learned(group, end, progress, more**2)
    if more > 1 and len(everyone) > HARDLY:
        end = _learned(group, _crossed(group, end, progress), progress, more**2)
    return end


def screen(group, numbers, choose=None):
    """All candidates (n_lane, n_candidate, n_par) of ``numbers``, and their statistic.

    With ``choose(lanes, thetas, value)``, which is called for each chunk, what that gives: all
    candidates of 100 000 lanes would be half a gigabyte.
    """

    def work(lanes, own, chunk):
        made = rank_chunk(group.term, group.functions, group.full.shared, lanes, numbers, own)
        return made if choose is None else choose(chunk, *map(np.asarray, made))

    return _over_alike(group, work)


def screen_parts(group, parts, few):
    """The best combinations of the shapes that the parts of a model may have.

    Returns
    -------
    thetas : (n_lane, few, n_par), unlike one another; value : (n_lane, few), ascending.
    """

    def work(lanes, own, chunk):
        args = group.term, group.functions, group.full.shared, lanes, group.numbers
        best = combine_chunk(*args, own, parts, few)
        return _rated(*args, group.own.take(chunk), parts.thetas[best])

    thetas, value = _over_alike(group, work)
    order = np.argsort(value, axis=1, kind="stable")
    thetas = np.take_along_axis(thetas, order[..., None], axis=1)
    return thetas, np.take_along_axis(value, order, axis=1)


def _rated(term, functions, shared, lanes, numbers, own, rows):
    """`rate_chunk` in pieces of `FEW` rows: one program, whatever their number is."""
    made = []
    for i in range(0, rows.shape[1], FEW):
        some = rows[:, np.minimum(np.arange(i, i + FEW), rows.shape[1] - 1)]
        made.append(rate_chunk(term, functions, shared, lanes, numbers, own, some))
    thetas, value = (np.concatenate(x, axis=1) for x in zip(*made, strict=True))
    return thetas[:, : rows.shape[1]], value[:, : rows.shape[1]]


def _over_alike(group, work):
    """``work(lanes, own, positions)`` for chunks of lanes with the same energies and limits."""
    batch, own = group.full, group.own
    inputs = batch.which if batch.shared else batch.grid()
    rows = np.concatenate([np.reshape(x, (len(inputs), -1)) for x in (inputs, *own)], axis=1)
    label = np.unique(np.nan_to_num(rows), axis=0, return_inverse=True)[1].ravel()

    def on_chunk(chunk):
        return work(chunk_lanes(batch, chunk.lanes), own.take(chunk.lanes[0]), chunk.lanes)

    return over_chunks(on_chunk, batch, None, "looking for starts", False, by=label)


def _descend(group, positions, theta, progress, steps=None):
    """`Minimum` of the lanes at ``positions`` from theta (n, n_par)."""
    group = group._replace(starts=np.broadcast_to(0.0, (len(group.full.index), 1, theta.shape[-1])))
    label = "fitting"
    return descend(group, group.full, positions, 0, theta[:, None], label, progress, steps)[0]


def _tried(group, end, positions, theta, progress):
    """``end`` where the lanes at ``positions`` have no lower minimum near theta (n, n_par)."""
    if not positions.size:
        return end
    return lower_of(end, _descend(group, positions, theta, progress), positions, GAIN)


def _same(thetas, other, numbers):
    """Whether thetas (..., n_par) have the same shapes, to a tenth."""
    near = np.abs(thetas - other) <= 0.1 * np.maximum(np.abs(thetas), np.abs(other)) + 0.01
    return near[..., ~numbers.amplitude].all(axis=-1)


def _unlike(thetas, value, numbers, n):
    """The ``n`` best of thetas (n_lane, n_try, n_par) that are not one minimum, and their value."""

    def like(best):
        return _same(thetas, np.take_along_axis(thetas, best[:, None, None], axis=1), numbers)

    chosen, known = lowest_unlike(value, like, n)
    return np.take_along_axis(thetas, chosen[..., None], axis=1), known


def _freed(group, end, which, starts, progress):
    """Descend again where a shape ended on a limit or without influence, with that moved away.

    A line of width 0, a break out of the band: there the statistic has no slope that leads back.
    """
    box = bounds(group)
    idle = np.diagonal(end.local.fisher, axis1=-2, axis2=-1) <= 0
    stuck = idle | (end.theta <= box.lower) | (end.theta >= box.upper)
    stuck &= np.asarray(box.free) & ~group.numbers.amplitude
    again = which[stuck[which].any(axis=1)]
    theta = np.where(stuck, starts[:, 0], end.theta)[again]
    return _tried(group, end, again, theta, progress)


def _scanned(group, end, parts, progress):
    """Try each solution with one part changed, and new amplitudes, where that promises most.

    That is where the residuals are: a line as narrow as the resolution has no slope that leads to
    it from further away.
    """
    rows, place = alone(group.models[0], parts, group.numbers.candidates.spread)
    if not len(rows):
        return end

    def like(_, at):
        return abs(place - place[at][:, None]) <= APART

    tried = _part_changed(group, end, rows, group.numbers, like, PLACES)
    return _promising(group, end, *tried, progress, HOPELESS)


def _crossed(group, end, progress):
    """Try each solution with one part as it is in another lane's, and new amplitudes.

    Two minima of a spectrum often differ in one part only, which some other lane has found.
    """
    rows = of_others(group.models[0], end.theta[np.isfinite(end.local.value)], CROSSED)
    if not len(rows):
        return end
    none = np.zeros(rows.shape[1], bool)  # energies are energies here
    numbers = group.numbers._replace(candidates=group.numbers.candidates._replace(spread=none))

    def like(thetas, at):
        return _same(thetas, np.take_along_axis(thetas, at[:, None, None], axis=1), numbers)

    tried = _part_changed(group, end, rows, numbers, like, TRIED)
    return _promising(group, end, *tried, progress, HOPELESS)


def _part_changed(group, end, rows, numbers, like, n):
    """The ``n`` best (n_lane, n, n_par) of each solution with one part as in rows, all unlike.

    With their statistic. ``like(thetas, places)`` tells which of a chunk are like those.
    """
    own, before = group.own._replace(given=end.theta), end.local.value

    def work(lanes, _, chunk):
        args = group.term, group.functions, group.full.shared, lanes, numbers
        table = np.broadcast_to(rows, (len(chunk), *rows.shape))
        thetas, value = _rated(*args, own.take(chunk), table)
        same = _same(thetas, own.given[chunk][:, None], group.numbers)
        value = np.where(same & (value > before[chunk, None] - GAIN), np.inf, value)
        best, value = lowest_unlike(value, lambda at: like(thetas, at), n)
        return np.take_along_axis(thetas, best[..., None], axis=1), value

    return _over_alike(group, work)


def _promising(group, end, starts, known, progress, much):
    """``end`` after trying starts (n_lane, n_try, n_par), up to ``much`` times what is known.

    They take some steps, and go on if that brings them near what is known already.
    """
    for rank in range(known.shape[1]):
        again = np.flatnonzero(known[:, rank] < much * end.local.value + 10.0)
        if not again.size:
            break
        new = _descend(group, again, starts[again, rank], progress, STEPS)
        near = new.local.value < CLOSE * end.local.value[again] + 1.0
        end = _tried(group, end, again[near], new.theta[near], progress)
    return end


def _learned(group, end, progress, times):
    """Try the solutions of other lanes, then those that this has changed, until none is left.

    ``times`` as many as of a model of one or two parts.
    """
    news = np.arange(len(group.full.index))
    for _ in range(ROUNDS if len(news) > 1 else 0):
        found = []
        for candidates in _from_solutions(group, end, news, times):
            numbers = group.numbers._replace(candidates=candidates)

            def others(lanes, thetas, value, own=end.theta, numbers=numbers):
                value = np.where(_same(thetas, own[lanes][:, None], numbers), np.inf, value)
                return distinct_starts(thetas, value, numbers.candidates, OTHERS * times)

            found.append(screen(group, numbers, others))
        thetas, value = (np.concatenate(x, axis=1) for x in zip(*found, strict=True))
        starts, known = _unlike(thetas, value, group.numbers, OTHERS * times)
        before = end.local.value.copy()
        end = _promising(group, end, starts, known, progress, PROMISING * times)
        news = np.flatnonzero(end.local.value < before - GAIN)
        if not news.size:
            break
        end = _freed(group, end, news, starts, progress)
    return end


def _from_solutions(group, end, which, n_table):
    """Up to ``n_table`` `Candidates` that stand for the solutions of the lanes ``which``.

    The first ones are as far apart as can be, the next ones stand between them.
    """
    known = group.numbers.candidates
    n = len(known.table)
    thetas = np.unique(end.theta[which[np.isfinite(end.local.value[which])]], axis=0)
    if not len(thetas):
        return [known]
    chosen = far_apart(thetas[:, ~group.numbers.amplitude], n_table * n)
    none, made = np.zeros(thetas.shape[1], bool), []
    for i in range(0, len(chosen), n):
        some = chosen[i : i + n]
        table = thetas[some + some[:1] * (n - len(some))]
        made.append(
            known._replace(
                table=table, n=np.asarray(len(some)), relative=none, spread=none, near=alike(table)
            )
        )
    return made
