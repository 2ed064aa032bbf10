"""Where a fit starts: shapes from a short list, amplitudes from the data.

The folded model is linear in its norms, so that for each candidate shape the best non-negative
norms follow from a small quadratic problem; the candidate with the lowest chi2 wins.
"""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np

CANDIDATES = 32  # at most; three values for each of three shapes are 27
SWEEPS = 30  # of the multiplicative update; amplitudes need to be good to some per cent only


def candidates(model):
    """Start values from the catalogue and from what the user set.

    Returns
    -------
    table : (n_candidate, n_par)
        Its length depends on the model's tree alone, so that setting or freezing a parameter costs
        no compilation; the last rows are then repetitions.
    n : int, number of different rows.
    """
    choices = [p.starts or (p.default,) for _, p in model.tree.parameters]
    grid = list(itertools.product(*choices))
    if len(grid) > CANDIDATES:
        pick = np.random.default_rng(0).permutation(len(grid))[:CANDIDATES]
        grid = [grid[i] for i in sorted(pick)]
    table = np.array(grid, dtype=float)
    for column, p in enumerate(model.parameters):
        if p.is_set or p.frozen or p.link is not None:
            table[:, column] = p.value
        else:
            table[:, column] = np.clip(table[:, column], p.min, p.max)
    different = np.unique(table, axis=0)
    repeated = np.repeat(different[:1], len(table) - len(different), axis=0)
    return np.concatenate([different, repeated]), len(different)


def amplitudes(tree):
    """Indices of the parameters that scale a part of the model, and which act as log10."""
    names = [name.rsplit(".", 1)[-1] for name, _ in tree.parameters]
    logs = [i for i, name in enumerate(names) if name == "lg10Flux"]
    index = (*tree.norm_indices, *logs)
    return index, tuple(i in logs for i in index)


def start_one(objective, lane, target, weight, problem):
    """Start vector (n_par,) for one lane.

    Parameters
    ----------
    target, weight : (n_bin,)
        Net count rate and its inverse variance (zero in padding).
    problem : Problem
        ``rank`` says which candidate is taken: 0 the best, 1 the second best, and so on.
    """
    index, is_log = amplitudes(objective.tree)
    index, is_log = np.array(index, dtype=int), np.array(is_log, dtype=bool)

    links, bounds = problem.links, problem.bounds
    tiny = jnp.finfo(target.dtype).tiny

    def try_candidate(theta):
        rate, slopes, _ = objective.tangents(lane, links, theta, index)
        active = problem.scalable[index]
        per_unit = slopes[index] * jnp.where(is_log, 1.0 / np.log(10.0), 1.0)[:, None]
        columns = jnp.where(active[:, None], per_unit, 0.0)
        present = jnp.where(is_log, 1.0, theta[index])
        rest = target - (rate - present @ columns)
        matrix = (columns * weight[None]) @ columns.T
        right = columns @ (weight * rest)
        diagonal = jnp.diagonal(matrix)
        safe = jnp.where(diagonal > 0, diagonal, 1.0)
        least = 0.1 * jax.lax.rsqrt(safe)  # a tenth of its own error: never exactly zero
        amount = jnp.maximum(right / safe / index.size, least)
        if index.size > 1:
            # Lee & Seung 2001: keeps every amplitude positive and lowers chi2 in each sweep

            def sweep(_, x):
                return x * jnp.maximum(right, 0.0) / jnp.maximum(matrix @ x, tiny)

            amount = jnp.maximum(jax.lax.fori_loop(0, SWEEPS, sweep, amount), least)
        scored = jnp.where(active & (diagonal > 0), amount, present)
        move = scored - present
        chi2 = move @ matrix @ move - 2.0 * move @ (columns @ (weight * (target - rate)))
        chi2 = chi2 + jnp.sum(weight * (target - rate) ** 2)
        scaled = jnp.where(is_log, theta[index] + jnp.log10(jnp.maximum(scored, tiny)), scored)
        theta = theta.at[index].set(jnp.where(active, scaled, theta[index]))
        return jnp.clip(theta, bounds.lower, bounds.upper), chi2

    thetas, chi2 = jax.vmap(try_candidate)(problem.table)
    real = (jnp.arange(len(chi2)) < problem.n_start) & jnp.isfinite(chi2)
    order = jnp.argsort(jnp.where(real, chi2, jnp.inf))
    return thetas[order[jnp.minimum(problem.rank, problem.n_start - 1)]]
