"""Where a fit starts: shapes from a short list, amplitudes from the data.

The mean is linear in its amplitudes, so that for each candidate shape the best non-negative
amplitudes follow from a small quadratic problem; the candidates are ranked by their chi2.
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

CANDIDATES = 32  # at most; three values for each of three shapes are 27
MANY = 4096  # combinations from which they are drawn, not listed
SWEEPS = 30  # of the multiplicative update; amplitudes need to be good to some per cent only
STARTS = 5  # the best candidates, from which fits may start
WIDTHS = {1: (0.35, 0.7, 1.5, 3.0), 2: (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)}  # lengths, in the hint's


class Candidates(NamedTuple):
    """Start candidates that all lanes share.

    Parameters
    ----------
    table : (n_candidate, n_par), of which the first ``n`` rows are different.
    relative : (n_par,) bool, lengths, which are in units of each lane's width.
    scalable : (n_par,) bool, amplitudes to take from the data.
    turn : (n_par,), the period of angles that the ranking knows nothing of; 0 for all others.
    """

    table: jax.Array
    n: jax.Array
    relative: jax.Array
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
    table = _combinations(choices, lengths)
    relative = np.zeros(len(defined), bool)
    for i, p in enumerate(model.parameters):
        if not untouched(p):
            table[:, i] = p.value
        elif i in lengths:
            relative[i] = True
        else:
            table[:, i] = np.clip(table[:, i], p.min, p.max)
    different = np.unique(table, axis=0)
    repeated = np.repeat(different[:1], len(table) - len(different), axis=0)
    return Candidates(
        table=np.concatenate([different, repeated]),
        n=np.asarray(len(different)),
        relative=relative,
        scalable=np.array([untouched(p) and "amplitude" in p.role for p in model.parameters]),
        turn=np.array([p.period if is_turning(p) and untouched(p) else 0.0 for p in model]),
    )


def is_turning(p) -> bool:
    """Whether an angle may take any value: it is periodic, and nobody set limits."""
    return p.free and p.period > 0 and (p.min, p.max) == p.hard and p.max - p.min >= p.period


def _combinations(choices, lengths):
    """At most `CANDIDATES` rows (n, n_par) of the product; lengths of several sources ascend."""
    rng = np.random.default_rng(0)
    if math.prod(map(len, choices)) > MANY:
        return np.stack([rng.choice(c, CANDIDATES) for c in choices], axis=1)
    rows = np.array(list(itertools.product(*choices)), dtype=float)
    rows = rows[np.all(np.diff(rows[:, lengths], axis=1) > 0, axis=1)]
    if len(rows) > CANDIDATES:
        rows = rows[np.sort(rng.permutation(len(rows))[:CANDIDATES])]
    return rows


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
    hint : (given (n_par,), width), see `jaxspec.likelihood.hints.Hints`.

    Returns
    -------
    thetas : (n_candidate, n_par); chi2 : (n_candidate,), infinite for repetitions.
    """
    target, variance = STATISTICS[term.stat].net(lane.bins)
    usable = (lane.mask > 0) & (variance > 0)
    weight = jnp.where(usable, 1.0 / jnp.where(usable, variance, 1.0), 0.0)
    index, is_log = amplitudes(term.forward.tree)
    index, is_log = np.array(index, dtype=int), np.array(is_log, dtype=bool)
    tiny = jnp.finfo(target.dtype).tiny
    given, width = hint

    def to_params(theta):
        return linked(functions, links, theta)

    def one(row):
        theta = jnp.where(candidates.relative, row * width, row)
        theta = jnp.clip(jnp.where(jnp.isnan(given), theta, given), box.lower, box.upper)
        mean, slopes = term.forward.slopes(lane.inputs, to_params(theta), tuple(index.tolist()))
        slopes = jax.jacfwd(to_params)(theta)[index][:, index].T @ slopes
        active = candidates.scalable[index]
        per_unit = slopes * jnp.where(is_log, 1.0 / np.log(10.0), 1.0)[:, None]
        columns = jnp.where(active[:, None], per_unit, 0.0)
        present = jnp.where(is_log, 1.0, theta[index])
        rest = target - (mean - present @ columns)
        matrix = (columns * weight[None]) @ columns.T
        right = columns @ (weight * rest)
        amount = _non_negative(matrix, right, tiny)
        scored = jnp.where(active & (jnp.diagonal(matrix) > 0), amount, present)
        move = scored - present
        chi2 = move @ matrix @ move - 2.0 * move @ (columns @ (weight * (target - mean)))
        chi2 = chi2 + jnp.sum(weight * (target - mean) ** 2)
        scaled = jnp.where(is_log, theta[index] + jnp.log10(jnp.maximum(scored, tiny)), scored)
        theta = theta.at[index].set(jnp.where(active, scaled, theta[index]))
        return jnp.clip(theta, box.lower, box.upper), chi2

    thetas, chi2 = jax.vmap(one)(candidates.table)
    real = (jnp.arange(len(chi2)) < candidates.n) & jnp.isfinite(chi2)
    return thetas, jnp.where(real, chi2, jnp.inf)


def _non_negative(matrix, right, tiny):
    """Minimise x.matrix.x / 2 - right.x over positive x (Lee & Seung 2001, NIPS 13)."""
    diagonal = jnp.diagonal(matrix)
    safe = jnp.where(diagonal > 0, diagonal, 1.0)
    least = 0.1 * jax.lax.rsqrt(safe)  # a tenth of its own error: never exactly zero
    n = right.shape[0]
    amount = jnp.maximum(right / safe / max(n, 1), least)
    if n < 2:
        return amount

    def sweep(_, x):
        return x * jnp.maximum(right, 0.0) / jnp.maximum(matrix @ x, tiny)

    return jnp.maximum(jax.lax.fori_loop(0, SWEEPS, sweep, amount), least)


def best_starts(thetas, chi2, candidates):
    """The best candidates (`STARTS` or fewer, n_par) of one lane, the best one first.

    Where a direction on the image is free, they are the best one turned.
    """
    n_start = min(STARTS, len(chi2))
    turning = jnp.any(candidates.turn > 0)
    rank = jnp.minimum(jnp.arange(n_start), candidates.n - 1)
    chosen = thetas[jnp.argsort(chi2)[jnp.where(turning, 0, rank)]]
    angle = jnp.arange(n_start)[:, None] / n_start * candidates.turn[None]
    return jnp.where(candidates.turn[None] > 0, angle, chosen)
