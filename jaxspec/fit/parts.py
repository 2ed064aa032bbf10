"""Candidates of every additive part by itself, and all their combinations.

A sum is linear in its parts: each part is evaluated and folded once for each of its own shapes,
and what a combination of them can be follows from small matrices of products. Thousands of
combinations cost what some hundred evaluations of the parts do.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.fit.compiled import bounds_of, on_one_grid, over_lanes
from jaxspec.fit.start import (
    SWEEPS,
    drawn,
    far_apart,
    placed,
    places,
    weighted_data,
    with_amplitudes,
)
from jaxspec.likelihood.hints import untouched
from jaxspec.likelihood.objective import linked
from jaxspec.likelihood.spectrum import project
from jaxspec.model.expression import leaves

COMBINED = 16384  # combinations at most; starts are made finer while there are fewer
COLUMNS = 512  # of one part at most
LIKE = 0.25  # of the way through the values of every shape: what is nearer is one family. Of 109
# PCA spectra with TBabs*(bbody+powerlaw+gaussian) 0.35 leaves 27 in a higher minimum, this 11
SCANNED = 128  # energies at which a part is looked for: 3 % apart in 0.3-10 keV
EVERYWHERE = -0.1, 1.25  # parts of the band: what is beyond it makes counts in it, too
ABOUT = 0.1  # of an energy that the user has set: how far from there it is looked for


class Parts(NamedTuple):
    """Candidate shapes of the additive parts of a model. Amplitudes in them say nothing.

    Energies are parts of the band where ``spread`` of the `Candidates` of the model says so.

    Parameters
    ----------
    tables : tuple of (n_shared, n_own, n_par), one for each part
        For each choice of what parts share (an absorption), each choice of what only this part has.
    chosen : (n_combined, 1 + n_part) int
        A combination: which of what is shared, which of what each part has for itself.
    thetas : (n_combined, n_par), all shapes of it.
    place : (n_combined, n_par), see `jaxspec.fit.start.places`.
    """

    tables: tuple
    chosen: np.ndarray
    thetas: np.ndarray
    place: np.ndarray


def parts_of(model) -> Parts:
    """Candidates of a model. Their number depends on its tree alone, as in `Candidates`."""
    tree = model.tree
    defined = [p for _, p in tree.parameters]
    shared, own = _owners(tree)
    values = _as_fine_as_may_be(defined, shared, own)
    rng = np.random.default_rng(0)
    common = _rows([values[i] for i in shared], COLUMNS, rng)
    single = [_rows([values[i] for i in some], COLUMNS // len(common) or 1, rng) for some in own]
    given = np.array([np.nan if untouched(p) else p.value for p in model.parameters])

    def filled(*pieces):
        n = len(pieces[0][1])
        thetas = np.broadcast_to([float(p.default) for p in defined], (n, len(defined))).copy()
        for index, rows in pieces:
            thetas[:, index] = rows
        return np.where(np.isnan(given), thetas, given)

    tables = []
    for some, rows in zip(own, single, strict=True):
        both = np.repeat(common, len(rows), axis=0), np.tile(rows, (len(common), 1))
        made = filled((shared, both[0]), (some, both[1]))
        tables.append(made.reshape(len(common), len(rows), -1))
    sizes = [len(common), *map(len, single)]
    if math.prod(sizes) <= COMBINED:
        chosen = np.indices(sizes).reshape(len(sizes), -1).T
    else:
        chosen = drawn([np.arange(n) for n in sizes], COMBINED, rng)
    pieces = [(shared, common), *zip(own, single, strict=True)]
    thetas = filled(*((i, rows[at]) for (i, rows), at in zip(pieces, chosen.T, strict=True)))
    return Parts(tuple(tables), chosen, thetas, places(thetas))


def alone(model, parts, spread) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n_row, n_par) that change one part of a solution only; NaN is what keeps its value.

    All shapes of each part of several; and those that stand at an energy all over the band, as they
    are and as sharp as they may be. Of a single part the sharp ones alone: without them 9 of 550
    PCA spectra with highecut*powerlaw miss a sharp cutoff above the band, where photons still make
    counts in it. An energy that the user has set is looked for about that value;
    ``spread`` (n_par,) bool, see `Candidates`, tells the others. With the rows, a number (n_row,)
    for each: those that are close are much the same change.
    """
    _, own = _owners(model.tree)
    defined = [p for _, p in model.tree.parameters]
    free = np.array([p.free for p in model.parameters])
    rows, place = [np.zeros((0, len(free)))], [np.zeros(0, int)]
    for some, table in zip(own, parts.tables, strict=True):
        middle, made = table[len(table) // 2], []
        if len(own) > 1 and some:
            made.append((_only(some, middle), np.arange(len(middle))))
        for i in (i for i in some if model.parameters[i].role == "energy"):
            p, step = model.parameters[i], (np.arange(SCANNED) + 0.5) / SCANNED
            sharp = np.repeat(middle[:1], SCANNED, axis=0)
            sharp[:, i] = p.value * (1.0 + ABOUT * (2.0 * step - 1.0))
            if spread[i]:
                sharp[:, i] = EVERYWHERE[0] + step * (EVERYWHERE[1] - EVERYWHERE[0])
            widths = _widths(model, i)
            both = [_only([i], sharp)] if len(own) > 1 else []
            for j in widths:
                sharp[:, j] = defined[j].starts[0]
            if len(own) > 1 or widths:
                both.append(_only([i, *widths], sharp))
                made.append((np.concatenate(both), np.tile(np.arange(SCANNED), len(both))))
        for changed, number in made:
            rows.append(changed)
            place.append(number + 2 * SCANNED + place[-1].max(initial=0))
    return np.where(free, np.concatenate(rows), np.nan), np.concatenate(place)


def _widths(model, i):
    """What tells how sharp the component with the energy ``i`` is: its start values ascend."""
    tree = model.tree
    n = np.searchsorted(tree.first, i, side="right")
    return [
        j
        for j in range(tree.first[n - 1], tree.first[n])
        if j != i and untouched(model.parameters[j])
        if (p := tree.parameters[j][1]).starts and p.role not in ("slope", "energy", "amplitude")
    ]


def of_others(model, thetas, n) -> np.ndarray:
    """Rows (n_row, n_par) that give one part of a model the shapes it has in ``thetas``.

    Up to ``n`` for each part that has shapes of its own, as far apart as can be; NaN is what keeps
    its value.
    """
    rows = [np.zeros((0, thetas.shape[1]))]
    for some in filter(None, _owners(model.tree)[1]):
        shapes = np.unique(thetas[:, some], axis=0)
        shapes = shapes[far_apart(shapes, n)]
        rows.append(np.full((len(shapes), thetas.shape[1]), np.nan))
        rows[-1][:, some] = shapes
    return np.concatenate(rows)


def _only(some, table):
    """``table`` (n, n_par) with NaN for all parameters but some."""
    return np.where(np.isin(np.arange(table.shape[1]), some), table, np.nan)


def _owners(tree):
    """Indices of the shapes that several parts have, and of those that each has for itself."""
    parts = []
    for _, part in tree.additive_parts:
        every = _indices(tree, part)
        parts.append([i for i in every if "amplitude" not in tree.parameters[i][1].role])
    uses = Counter(itertools.chain(*parts))
    shared = [i for i, n in uses.items() if n > 1]
    return shared, [[i for i in part if uses[i] == 1] for part in parts]


def _indices(tree, part):
    """Indices of all parameters of the components of a part."""
    numbers = [leaf.number for leaf in leaves(part.root)]
    return [i for n in numbers for i in range(tree.first[n - 1], tree.first[n])]


def _as_fine_as_may_be(defined, shared, own):
    """Start values of each parameter, with values between them while there is room for more."""
    values = [np.array(p.starts or (p.default,), float) for p in defined]

    def fits():
        each = [math.prod(len(values[i]) for i in some) for some in (shared, *own)]
        room = all(each[0] * n <= COLUMNS for n in each[1:])
        return room and math.prod(each) <= COMBINED

    every = [i for some in own for i in some] + shared
    for i in sorted(every, key=lambda i: defined[i].role != "energy"):  # these have most minima
        before = values[i]
        between = np.sqrt(before[:-1] * before[1:]) if before[0] > 0 else _middles(before)
        values[i] = np.sort(np.concatenate([before, between]))
        if not fits():
            values[i] = before
    return values


def _middles(values):
    return 0.5 * (values[:-1] + values[1:])


def _rows(choices, most, rng):
    """All combinations (n, len(choices)) of the choices, or ``most`` drawn ones."""
    n = math.prod(map(len, choices))
    if n <= most:
        return np.array(list(itertools.product(*choices)), float).reshape(n, len(choices))
    return drawn(choices, most, rng)


@partial(jax.jit, static_argnames=("term", "functions", "shared", "few"))
def combine_chunk(term, functions, shared, lanes, numbers, own, parts, few):
    """The best combinations of a chunk of spectra, by the nearest to the data that each can be.

    Parameters
    ----------
    term, functions, shared : static; lanes, numbers : see `jaxspec.fit.compiled.fit_chunk`.
    own : LaneNumbers without an axis of lanes; all lanes have the same energies.
    parts : Parts
    few : int, static

    Returns
    -------
    (n_lane, few) int, places among the combinations of ``parts``; unlike one another.
    """
    lanes, axes = on_one_grid(term, shared, lanes)
    tree, box = term.forward.tree, bounds_of(numbers, own)
    amplitude = np.array(["amplitude" in p.role for _, p in tree.parameters])
    unit = numbers.candidates.scalable & amplitude
    negative = amplitude & (box.lower < 0)
    signed = [jnp.any(negative[np.array(_indices(tree, p))]) for _, p in tree.additive_parts]

    def flux(part, grid, row):
        theta = jnp.where(unit, 1.0, placed(row, numbers.candidates.spread, own.band, box))
        params = linked(functions, numbers.links, theta)
        return part.flux(grid.e_lo, grid.e_hi, grid.tables, params)

    def one(lane):
        fluxes = [  # what depends on no lane is evaluated once
            jax.vmap(jax.vmap(partial(flux, part, lane.inputs)))(table)
            for (_, part), table in zip(tree.additive_parts, parts.tables, strict=True)
        ]
        distances = _distances(term, lane, fluxes, parts.chosen, signed)
        return _nearest(distances, parts.place, few)

    return over_lanes(one, shared, lanes, axes=axes)


@partial(jax.jit, static_argnames=("term", "functions", "shared"))
def rate_chunk(term, functions, shared, lanes, numbers, own, rows):
    """Give rows of shapes to lanes of a chunk, with the amplitudes that are best there.

    Parameters
    ----------
    term, functions, shared : static; lanes, numbers : see `jaxspec.fit.compiled.fit_chunk`.
    own : LaneNumbers, with ``given`` for what is NaN in the rows.
    rows : (n_lane, n_row, n_par), see `Parts`.

    Returns
    -------
    thetas : (n_lane, n_row, n_par)
    value : (n_lane, n_row), their statistic; infinite where it is not finite.
    """
    lanes, axes = on_one_grid(term, shared, lanes)
    known, links = numbers.candidates, numbers.links

    def one(lane, own, rows):
        box = bounds_of(numbers, own)

        def rated(row):
            theta = placed(row, known.spread, own.band, box)
            theta = jnp.where(jnp.isnan(row), own.given, theta)
            return with_amplitudes(term, functions, lane, links, known.scalable, box, theta)

        return jax.vmap(rated)(rows)

    thetas, value = over_lanes(one, shared, lanes, own, rows, axes=axes)
    return thetas, jnp.where(jnp.isfinite(value), value, jnp.inf)


def _distances(term, lane, fluxes, chosen, signed):
    """Weighted squares (n_combined,) between data and the nearest sum of the parts.

    Without the constant that all combinations have. Parts are added, or taken off as well where
    ``signed``, a Boolean for each, says so.
    """
    target, weight = weighted_data(term, lane)
    n_part, at = len(fluxes), chosen[:, 0]
    columns = [
        project(f.reshape(-1, f.shape[-1]), lane.inputs.matrix).reshape(*f.shape[:2], -1)
        for f in fluxes
    ]
    matrix = [[None] * n_part for _ in fluxes]
    right = []
    for k, own in enumerate(columns):
        right.append((own @ (weight * target))[at, chosen[:, 1 + k]])
        matrix[k][k] = ((own * own) @ weight)[at, chosen[:, 1 + k]]
        for other in range(k):
            products = jnp.einsum("sib,sjb,b->sij", own, columns[other], weight)
            both = products[at, chosen[:, 1 + k], chosen[:, 1 + other]]
            matrix[k][other] = matrix[other][k] = both
    acts = [matrix[k][k] > 0 for k in range(n_part)]
    safe = [jnp.where(a, matrix[k][k], 1.0) for k, a in enumerate(acts)]

    def sweep(_, x):
        x = list(x)
        for k in range(n_part):
            rest = right[k] - sum(matrix[k][m] * x[m] for m in range(n_part) if m != k)
            least = jnp.where(signed[k], -jnp.inf, 0.0)
            x[k] = jnp.where(acts[k], jnp.maximum(rest / safe[k], least), 0.0)
        return tuple(x)

    start = tuple(jnp.zeros_like(r) for r in right)
    x = jax.lax.fori_loop(0, SWEEPS if n_part > 1 else 1, sweep, start)
    pairs = itertools.product(range(n_part), repeat=2)
    distance = sum(matrix[k][m] * x[k] * x[m] for k, m in pairs)
    distance = distance - 2.0 * sum(r * amount for r, amount in zip(right, x, strict=True))
    return jnp.where(jnp.isfinite(distance), distance, jnp.inf)


def _nearest(distance, place, few):
    """Places (few,) of the nearest combinations that are not of one family; the nearest first."""

    def pick(left, _):
        best = jnp.argmin(left)
        like = (jnp.abs(place - place[best][None]) <= LIKE).all(axis=1)
        return jnp.where(like, jnp.inf, left), best

    return jax.lax.scan(pick, distance, None, length=few)[1]
