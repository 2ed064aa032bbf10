"""Where the fit of an image starts: positions and shapes from the data, no number from the user.

The profile around the centroid says how wide the source is; lengths are tried at a few multiples
of that width. Expected counts are linear in the amplitudes (S0, flux, B ...), which therefore
follow from the profile for each candidate shape; the candidates are ranked by their chi2.
"""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.likelihood.scene import model_values
from jaxspec.model.image_plane import expected_counts
from jaxspec.model.links import apply_links
from jaxspec.reduce.center import centroid, peak
from jaxspec.reduce.pixels import Pixels
from jaxspec.reduce.profile import RadialProfile, profile

N_ANNULI = 40
WIDTHS = {1: (0.35, 0.7, 1.5, 3.0), 2: (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)}
SLOPES = (0.6, 1.0)  # of the first beta model of several; one alone finds its slope from 0.6
ELLIP = 0.2  # at 0 there is no angle to find
SWEEPS = 60  # of the multiplicative update; amplitudes need to be good to some per cent only
MOST = 64  # candidates


def starts(model, data, n_start: int) -> np.ndarray:
    """Start vectors for the minimiser, the most promising first.

    Parameters
    ----------
    model : Model of an image; values that its user has set are kept.
    data : Image or RadialProfile
    n_start : int

    Returns
    -------
    (n_start, n_par)
    """
    theta = np.array([p.value for p in model.parameters])
    centers = place(model, data, theta)
    annuli, width = annuli_around(data, centers[0] if len(centers) else None)
    table = candidates(model, theta, width)
    table, chi2 = scale(model, annuli, table)
    order = np.argsort(chi2)[:n_start]
    chosen = turned(model, table[order], n_start)
    return np.concatenate([chosen, np.repeat(chosen[:1], n_start - len(chosen), axis=0)])


def amplitude_mask(model) -> np.ndarray:
    """Which parameters (n_par,) the expected counts are proportional to: their unit has counts."""
    return np.array([p.unit.startswith("ct") for _, p in model.tree.parameters])


def length_mask(model) -> np.ndarray:
    """Which parameters (n_par,) are lengths, such as core radii."""
    return np.array([p.unit == "pixel" and p.scale for _, p in model.tree.parameters])


def turned(model, rows, n_start) -> np.ndarray:
    """For ellipses, the best start at several angles: the profile knows nothing of them."""
    angles = [p.number - 1 for p in model.parameters if p.name == "theta" and untouched(p)]
    if not angles:
        return rows
    rows = np.repeat(rows[:1], n_start, axis=0)
    rows[:, angles] = (np.arange(n_start) * 180.0 / n_start)[:, None]
    for p in model.parameters:
        if p.name == "ellip" and untouched(p):
            rows[:, p.number - 1] = np.clip(ELLIP, p.min, p.max)
    return rows


def untouched(parameter) -> bool:
    """Whether the data may choose where a parameter starts."""
    return parameter.free and not parameter.is_set


def place(model, data, theta) -> list:
    """Put every source at its place in ``theta``; gives the centres [(x, y), ...].

    The first source of the model goes to the centroid, each further one to the brightest
    point that is left.
    """
    by_name = {p.full_name: p for p in model.parameters}
    owners = [p.component for p in model.parameters if p.name == "x0"]
    centers = []
    for owner in owners:
        pair = [by_name[f"{owner}.{axis}"] for axis in ("x0", "y0")]
        if not isinstance(data, RadialProfile) and any(untouched(p) for p in pair):
            found = centroid(data) if not centers else peak(_without(data, centers))
            for p, value in zip(pair, found, strict=True):
                if untouched(p):
                    theta[p.number - 1] = np.clip(value, p.min, p.max)
        values = model_values(model, theta)
        centers.append(tuple(values[p.number - 1] for p in pair))
    return centers


def _without(image, centers):
    """The image with the surroundings of earlier sources masked."""
    y, x = np.indices(image.shape)
    reach = 0.1 * min(image.shape)
    near = np.min([np.hypot(x - cx, y - cy) for cx, cy in centers], axis=0) < reach
    left = image.mask | near
    return image if left.all() else image.replace(mask=left)


def annuli_around(data, center) -> tuple[Pixels, float]:
    """Annuli as Pixels that lie to the right of the centre, and the width of the source."""
    if isinstance(data, RadialProfile):
        annuli = data.pixels
        middle = (0.0, 0.0)
    else:
        middle = centroid(data) if center is None else center
        annuli = profile(data, center=middle, bins="log", n_bins=N_ANNULI).pixels
        annuli = annuli._replace(x=annuli.x + middle[0], y=annuli.y + middle[1])
    return annuli, half_width(annuli, annuli.x - middle[0])


def half_width(annuli, r) -> float:
    """Radius at which the brightness above the outermost level falls to half of its maximum."""
    order = np.argsort(r)
    r, counts, area = r[order], annuli.counts[order], annuli.area[order]
    level = counts / np.maximum(area, 1e-300)
    # at least 50 counts (or four points) in what is called the centre, a tenth of all outside
    inner = max(np.searchsorted(np.cumsum(counts), 50.0), 1) if np.isnan(annuli.error[0]) else 4
    inner = min(inner, max(len(r) // 4, 1))
    outer = max(len(r) // 10, 1)
    top = counts[:inner].sum() / area[:inner].sum()
    floor = counts[-outer:].sum() / area[-outer:].sum()
    below = np.flatnonzero(level[inner:] < floor + 0.5 * (top - floor))
    at = r[inner + below[0]] if below.size else r[-1] / 4
    return float(max(at, 0.5))


def candidates(model, theta, width) -> np.ndarray:
    """Table (n_candidate, n_par) of shapes around the width of the source."""
    is_length = length_mask(model)
    lengths = [p for p in model.parameters if untouched(p) and is_length[p.number - 1]]
    slopes = [p for p in model.parameters if untouched(p) and p.name == "beta"]
    factors = WIDTHS[min(max(len(lengths), 1), 2)]
    grid = itertools.product(*[[f * width for f in factors]] * len(lengths))
    rows = [c for c in grid if len(set(c)) == len(c) and tuple(sorted(c)) == c] or [()]
    if len(rows) > MOST:
        pick = np.random.default_rng(0).permutation(len(rows))[:MOST]
        rows = [rows[i] for i in sorted(pick)]
    table = []
    for values in rows:
        for slope in SLOPES if len(lengths) > 1 and slopes else (None,):
            row = theta.copy()
            for p, value in zip(lengths, values, strict=True):
                row[p.number - 1] = np.clip(value, p.min, p.max)
            if slope is not None:
                row[slopes[0].number - 1] = np.clip(slope, slopes[0].min, slopes[0].max)
            table.append(row)
    return np.array(table)


@partial(jax.jit, static_argnames=("tree", "functions"))
def _expected(tree, functions, links, annuli, table):
    """Expected counts (n_row, n_pix)."""

    def expected(theta):
        return expected_counts(tree, annuli, apply_links(theta, *links, functions))

    return jax.vmap(expected)(table)


def scale(model, annuli, table):
    """Set the amplitudes of every candidate from the profile; gives the table and chi2 of each."""
    links = model.link_map()
    active = amplitude_mask(model) & np.array([untouched(p) for p in model.parameters])
    # expected counts are linear in the amplitudes: all off, and each of them alone at 1
    switched = np.concatenate([np.zeros((1, len(active))), np.eye(len(active))[active]])
    rows = np.where(active, switched[None], table[:, None]).reshape(-1, len(active))
    with jax.enable_x64(True):
        arrays = jax.tree.map(jnp.asarray, ((links.matrix, links.offset), annuli, rows))
        mu = np.asarray(_expected(model.tree, links.functions, *arrays))
    mu = mu.reshape(len(table), len(switched), -1)
    poisson = np.isnan(annuli.error)
    variance = np.where(poisson, annuli.counts + 1.0, annuli.error**2)
    chi2 = np.empty(len(table))
    for i, row in enumerate(table):
        columns, rest = (mu[i, 1:] - mu[i, :1]).T, annuli.counts - mu[i, 0]
        unit = np.sqrt((columns**2 / variance[:, None]).sum(axis=0))
        columns = columns / np.where(unit > 0, unit, 1.0)
        amount = _non_negative(columns / variance[:, None] ** 0.5, rest / variance**0.5)
        row[active] = amount / np.where(unit > 0, unit, 1.0)
        chi2[i] = ((rest - columns @ amount) ** 2 / variance).sum()
    low, high = np.array([[p.min, p.max] for p in model.parameters]).T
    table = np.where(active, np.clip(table, low, high), table)
    return table, np.where(np.isfinite(chi2), chi2, np.inf)


def _non_negative(columns, target):
    """Least squares with positive amounts (Lee & Seung 2001); columns have length 1."""
    matrix, right = columns.T @ columns, columns.T @ target
    least = 0.1  # a tenth of its own error: an amplitude of exactly zero would never move
    amount = np.maximum(right / max(columns.shape[1], 1), least)
    for _ in range(SWEEPS):
        amount = amount * np.maximum(right, 0.0) / np.maximum(matrix @ amount, 1e-300)
    return np.maximum(amount, least)
