"""Where a fit starts: shapes from a short list, amplitudes from the data.

The mean is linear in its amplitudes, so that for each candidate shape the best non-negative
amplitudes follow from small quadratic problems; the candidates are ranked by their statistic.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.likelihood.hints import untouched
from jaxspec.likelihood.objective import linked
from jaxspec.likelihood.statistics import STATISTICS

CANDIDATES = {False: 32, True: 128}  # at most, of models with one minimum and with several
MANY = 4096  # combinations from which they are drawn, not listed
STEPS = 2  # of Newton's method for amplitudes
SWEEPS = 12  # over the amplitudes, which need to be good to some per cent only
STARTS = 5  # the best candidates, from which fits may start
NEAR = 0.2  # of the way through the values of every shape: closer candidates lead to one minimum
WIDTHS = {1: (0.35, 0.7, 1.5, 3.0), 2: (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)}  # lengths, in the hint's


class Candidates(NamedTuple):
    """Start candidates that all lanes share.

    Parameters
    ----------
    table : (n_candidate, n_par), of which the first ``n`` rows are different.
    relative : (n_par,) bool, lengths, which are in units of each lane's width.
    spread : (n_par,) bool, energies, which are parts of each lane's band.
    near : (n_candidate, n_candidate) bool, which are alike.
    scalable : (n_par,) bool, amplitudes to take from the data.
    turn : (n_par,), the period of angles that the ranking knows nothing of; 0 for all others.
    """

    table: jax.Array
    n: jax.Array
    relative: jax.Array
    spread: jax.Array
    near: jax.Array
    scalable: jax.Array
    turn: jax.Array


def candidates(model) -> Candidates:
    """Start values from the catalogue and from what the user set.

    The length of the table depends on the model's tree alone, so that setting or freezing a
    parameter costs no compilation; the last rows are then repetitions.
    """
    defined = [p for _, p in model.tree.parameters]
    lengths = [i for i, p in enumerate(defined) if p.role == "length"]
    factors = WIDTHS[min(max(len(lengths), 1), 2)]
    choices = [factors if p.role == "length" else p.starts or (p.default,) for p in defined]
    most = CANDIDATES[len(lengths) == 0 and several_minima(model.tree)]
    table = _combinations(choices, lengths, most)
    spread = np.array([p.role == "energy" and len(p.starts) > 1 for p in defined])
    relative = np.zeros(len(defined), bool)
    for i, p in enumerate(model.parameters):
        if not untouched(p):
            table[:, i], spread[i] = p.value, False
        elif i in lengths:
            relative[i] = True
        elif not spread[i]:
            table[:, i] = np.clip(table[:, i], p.min, p.max)
    different = np.unique(table, axis=0)
    repeated = np.repeat(different[:1], len(table) - len(different), axis=0)
    table = np.concatenate([different, repeated])
    return Candidates(
        table=table,
        n=np.asarray(len(different)),
        relative=relative,
        spread=spread,
        near=alike(table),
        scalable=np.array([untouched(p) and "amplitude" in p.role for p in model.parameters]),
        turn=np.array([p.period if is_turning(p) and untouched(p) else 0.0 for p in model]),
    )


def several_minima(tree) -> bool:
    """Whether the statistic of a spectrum may have several minima for this model."""
    roles = [p.role for _, p in tree.parameters]
    return "energy" in roles or roles.count("amplitude") > 1


def alike(table):
    """Pairs (n, n) of rows that differ in no column by more than `NEAR` of its values."""
    place = places(table)
    return (np.abs(place[:, None] - place[None]) <= NEAR).all(axis=-1)


def places(table):
    """Where the numbers (n, n_par) stand among the different ones of their column, from 0 to 1."""
    rank = np.stack([np.unique(column, return_inverse=True)[1] for column in table.T], axis=1)
    return rank / np.maximum(rank.max(axis=0), 1)


def far_apart(table, n) -> list[int]:
    """Up to ``n`` rows of a table (n_row, n_column), each as far from those before as can be."""
    if not len(table):
        return []
    place = places(table)
    chosen = [int(np.argmin(np.abs(place - 0.5).max(axis=1, initial=0.0)))]
    away = np.full(len(table), np.inf)
    while len(chosen) < min(n, len(table)):
        away = np.minimum(away, np.abs(place - place[chosen[-1]]).max(axis=1, initial=0.0))
        chosen.append(int(np.argmax(away)))
    return chosen


def is_turning(p) -> bool:
    """Whether an angle may take any value: it is periodic, and nobody set limits."""
    return p.free and p.period > 0 and (p.min, p.max) == p.hard and p.max - p.min >= p.period


def _combinations(choices, lengths, most):
    """At most ``most`` rows (n, n_par) of the product; lengths of several sources ascend.

    Where there are more, every value of a parameter is in as many rows as any other.
    """
    rng = np.random.default_rng(0)
    if not lengths and math.prod(map(len, choices)) > most:
        return drawn(choices, most, rng)
    if math.prod(map(len, choices)) > MANY:
        return np.stack([rng.choice(c, most) for c in choices], axis=1)
    rows = np.array(list(itertools.product(*choices)), dtype=float)
    rows = rows[np.all(np.diff(rows[:, lengths], axis=1) > 0, axis=1)]
    if len(rows) > most:
        rows = rows[np.sort(rng.permutation(len(rows))[:most])]
    return rows


def drawn(choices, n, rng):
    """Rows (n, len(choices)) drawn of the product; each value is in as many as any other."""
    turns = [rng.permutation(np.resize(np.arange(len(c)), n)) for c in choices]
    return np.stack([np.asarray(c)[t] for c, t in zip(choices, turns, strict=True)], axis=1)


def amplitudes(tree):
    """Indices (static) of the amplitudes, and which of them act as log10."""
    index = tuple(i for i, (_, p) in enumerate(tree.parameters) if "amplitude" in p.role)
    return index, tuple(tree.parameters[i][1].role == "log amplitude" for i in index)


def rank_candidates(term, functions, lane, links, candidates, box, hint):
    """All candidates of one lane with their amplitudes, and how well they fit.

    Parameters
    ----------
    term, functions : static
    lane : Lane
    links : Links
    candidates : Candidates
    box : Bounds of (n_par,)
    hint : (given (n_par,), width, band (2,)), see `jaxspec.fit.compiled.LaneNumbers`.

    Returns
    -------
    thetas : (n_candidate, n_par); value : (n_candidate,), the statistic, infinite for repetitions.
    """
    given, width, band = hint

    def one(row):
        theta = placed(row, candidates.spread, band, box)
        theta = jnp.where(candidates.relative, row * width, theta)
        theta = jnp.clip(jnp.where(jnp.isnan(given), theta, given), box.lower, box.upper)
        return with_amplitudes(term, functions, lane, links, candidates.scalable, box, theta)

    thetas, value = jax.vmap(one)(candidates.table)
    real = (jnp.arange(len(value)) < candidates.n) & jnp.isfinite(value)
    return thetas, jnp.where(real, value, jnp.inf)


def placed(row, spread, band, box):
    """Values (n_par,) of a candidate, inside its limits: energies are at a part of the band.

    Parameters
    ----------
    row : (n_par,); spread : (n_par,) bool, which are parts of the band, 0 to 1 and beyond.
    band : (2,) keV, of the data; the limits of a parameter narrow it.
    box : Bounds of (n_par,)
    """
    low, high = jnp.maximum(band[0], box.lower), jnp.minimum(band[1], box.upper)
    low, high = (jnp.where(spread, x, 1.0) for x in (low, high))
    energy = low * jnp.maximum(high / low, 1.0) ** jnp.where(spread, row, 0.0)
    return jnp.clip(jnp.where(spread, energy, row), box.lower, box.upper)


def with_amplitudes(term, functions, lane, links, scalable, box, theta):
    """``theta`` (n_par,) with the amplitudes that fit the data best, and the statistic there.

    Parameters
    ----------
    scalable : (n_par,) bool, amplitudes that may be changed.
    others : see `rank_candidates`.
    """
    stat = STATISTICS[term.stat]
    target, weight = weighted_data(term, lane)
    index, is_log = amplitudes(term.forward.tree)
    index, is_log = np.array(index, dtype=int), np.array(is_log, dtype=bool)
    tiny = jnp.finfo(target.dtype).tiny

    def to_params(theta):
        return linked(functions, links, theta)

    mean, slopes = term.forward.slopes(lane.inputs, to_params(theta), tuple(index.tolist()))
    slopes = jax.jacfwd(to_params)(theta)[index][:, index].T @ slopes
    active = scalable[index]
    signed = ~is_log & (box.lower[index] < 0)
    columns = jnp.where(active[:, None], slopes, 0.0)
    columns = columns * jnp.where(is_log, 1.0 / np.log(10.0), 1.0)[:, None]
    present = jnp.where(is_log, 1.0, theta[index])

    # what is nearest to the data, then steps of Newton's method for the statistic itself
    matrix = (columns * weight[None]) @ columns.T
    rest = target - (mean - present @ columns)
    amount = _amounts(matrix, columns @ (weight * rest), present, active, signed)

    def look(_, seen):
        """The statistic where the last step went, and the next one: traced once for all."""
        last, _, _ = seen
        bins = stat.kernel(lane.bins, mean + (last - present) @ columns, term.floor)
        slope, bent = bins.slope * lane.mask, bins.curvature * lane.mask
        matrix = (columns * bent[None]) @ columns.T
        new = _amounts(matrix, matrix @ last - columns @ slope, last, active, signed)
        new = jnp.where(jnp.all(jnp.isfinite(new)), new, last)
        return new, last, jnp.sum(bins.value * lane.mask)

    begin = amount, amount, jnp.zeros((), mean.dtype)
    _, amount, value = jax.lax.fori_loop(0, 1 + STEPS, look, begin)
    scaled = jnp.where(is_log, theta[index] + jnp.log10(jnp.maximum(amount, tiny)), amount)
    theta = theta.at[index].set(jnp.where(active, scaled, theta[index]))
    return jnp.clip(theta, box.lower, box.upper), value


def weighted_data(term, lane):
    """Rates (n_bin,) that a model should be near, and their weights; 0 where nothing is known."""
    target, variance = STATISTICS[term.stat].net(lane.bins)
    usable = (lane.mask > 0) & (variance > 0)
    return target, jnp.where(usable, 1.0 / jnp.where(usable, variance, 1.0), 0.0)


def _amounts(matrix, right, start, active, signed):
    """Minimise x.matrix.x / 2 - right.x over x that are positive, one amplitude after the other.

    What is not ``active`` stays at ``start``; what is ``signed`` may be negative. No amplitude of
    the others is exactly zero: a tenth of its own error is left, from which a fit finds its way
    back.
    """
    diagonal = jnp.diagonal(matrix)
    acts = active & (diagonal > 0)
    safe = jnp.where(acts, diagonal, 1.0)
    least = jnp.where(signed, -jnp.inf, 0.1 * jax.lax.rsqrt(safe))
    n = right.shape[0]
    if n == 1:
        return jnp.where(acts, jnp.maximum(right / safe, least), start)

    def sweep(_, x):
        for i in range(n):
            best = x[i] + (right[i] - matrix[i] @ x) / safe[i]
            x = x.at[i].set(jnp.where(acts[i], jnp.maximum(best, least[i]), x[i]))
        return x

    begin = jnp.where(acts, jnp.maximum(right / safe / n, least), start)
    return jax.lax.fori_loop(0, SWEEPS, sweep, begin)


def lowest_unlike(value, like, n):
    """The ``n`` lowest of each row that are not like one another, the lowest first.

    Parameters
    ----------
    value : (n_lane, n_try)
    like : callable ``places (n_lane,) -> (n_lane, n_try)`` bool, which are like those.
    n : int

    Returns
    -------
    places : (n_lane, n) int
    value : (n_lane, n), infinite for repetitions of the first where there are fewer.
    """
    value, lanes = np.where(np.isfinite(value), value, np.inf), np.arange(len(value))
    chosen, known = [], []
    for _ in range(n):
        best = np.argmin(value, axis=1)
        known.append(value[lanes, best])
        chosen.append(np.where(np.isfinite(known[-1]), best, chosen[0] if chosen else best))
        value = np.where(like(best), np.inf, value)
    return np.stack(chosen, axis=1), np.stack(known, axis=1)


def distinct_starts(thetas, value, candidates, n):
    """The ``n`` best candidates of every lane that are not alike; the best one first.

    Parameters
    ----------
    thetas : (n_lane, n_candidate, n_par); value : (n_lane, n_candidate)
    candidates : Candidates
    n : int

    Returns
    -------
    starts : (n_lane, n, n_par)
    value : (n_lane, n), infinite for repetitions where there are fewer.
    """
    chosen, known = lowest_unlike(value, lambda best: candidates.near[best], n)
    return np.take_along_axis(thetas, chosen[..., None], axis=1), known


def best_starts(thetas, value, candidates):
    """The best candidates (`STARTS` or fewer, n_par) of one lane, the best one first.

    Where a direction on the image is free, they are the best one turned.
    """
    n_start = min(STARTS, len(value))
    turning = jnp.any(candidates.turn > 0)
    rank = jnp.minimum(jnp.arange(n_start), candidates.n - 1)
    chosen = thetas[jnp.argsort(value)[jnp.where(turning, 0, rank)]]
    angle = jnp.arange(n_start)[:, None] / n_start * candidates.turn[None]
    return jnp.where(candidates.turn[None] > 0, angle, chosen)
