"""Images and radial profiles as lanes of arrays: limits, statistics, pixels, merged pixels."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.image import BLOCK, TINY, ImageForward, ImageInputs
from jaxspec.likelihood.objective import Term
from jaxspec.likelihood.statistics import STATISTICS, statistic_name, weighted
from jaxspec.model.image_plane import fine_pixels
from jaxspec.reduce.batch import Batch, pad_bins
from jaxspec.reduce.bins import BinCounts, make_bins
from jaxspec.reduce.merge import merge, pad
from jaxspec.reduce.profile import PER_EXPOSURE, RadialProfile
from jaxspec.reduce.psf import convolution_grid

SMALL_CORE = 1.0  # pixels; a source below that is integrated over its pixels
MERGE_FROM = 5000  # pixels; fewer are fitted as they are
RATIO = 0.15  # side of a super-pixel relative to its distance from the centre


def check_model(model):
    """Refuse models that are not of an image."""
    if model.domain != "image":
        raise InputError(
            f"{model.expression} is a model of a spectrum",
            parameter="model",
            remedy="images take beta, double_beta, gauss2d ...; `jaxspec models` lists them",
        )


def make_term(model, stat) -> Term:
    """Term of an image model."""
    return Term(ImageForward(model.tree), stat, TINY)


def statistic(data, asked):
    """Name of the statistic for an image or a profile, and the reason.

    Counts get cstat, with the background map as a known part of the model; "wstat" and "pgstat"
    take the map for measured counts instead. Values with errors of their own get chi2.
    """
    name = asked if str(asked).strip().lower() == "auto" else statistic_name(asked)
    counts = np.isnan(data.pixels.error).all()
    if name == "auto":
        if not counts:
            return "chi2", "chi2: values with errors."
        return "cstat", _fractions(data) or "cstat: counts."
    entry = STATISTICS[name]
    if entry.poisson and not counts:
        raise InputError(
            f"{data.name} holds values with errors, not counts",
            parameter="stat",
            remedy='use "chi2" or "auto"',
        )
    if entry.background and not np.any(data.pixels.background):
        raise InputError(
            f"{name} needs a background map and {data.name} has none",
            parameter="stat",
            remedy='read the image with background=, or use "cstat"',
        )
    if name == "wstat" and np.any(data.pixels.background % 1.0):
        raise InputError(
            f"wstat takes the background for counts, and the map of {data.name} is not of whole "
            "numbers",
            parameter="stat",
            remedy='use "cstat", which takes the map as known, or give the map in counts',
        )
    means = ": the background map is taken for measured counts" if entry.background else ""
    return ("cstat" if name == "cash" else name), f"{name}, as asked{means}."


def check_data(data, stat):
    """Refuse pixels that cannot be data, such as NaN or negative counts."""
    p = data.pixels
    poisson = STATISTICS[stat].poisson
    known = [] if np.isnan(p.error).all() else [p.error]
    others = [p.exposure, p.background, p.area, *known, *([p.counts] if poisson else [])]
    bad = ~np.isfinite([p.counts, *others]).all(axis=0) | (np.array(others) < 0).any(axis=0)
    bad |= np.min([p.area, *known], axis=0) <= 0
    if bad.any():
        raise InputError(
            f"{bad.sum()} of {len(bad)} pixels of {data.name} have counts, exposure or background "
            "that are negative or not finite, or an error or area that is not above 0",
            file=getattr(data, "path", "") or None,
            remedy="mask them",
        )
    if not np.any(p.exposure):
        raise InputError(
            "no good pixel is exposed",
            file=getattr(data, "path", "") or data.name,
            remedy="check the exposure map and the mask",
        )
    if poisson and not isinstance(data, RadialProfile) and not np.any(p.counts):
        raise InputError(
            "the good pixels hold no counts at all",
            file=data.path or data.name,
            remedy="check the image and its mask",
        )


def _fractions(data):
    """A sentence on counts that are not whole numbers, which may be a rate in disguise."""
    values = data.pixels.counts
    odd = int((values % 1 != 0).sum())
    if not odd or isinstance(data, RadialProfile):
        return ""
    return (
        f"cstat: {odd} of {len(values)} pixels hold fractions of counts. The errors are right for "
        "counts only: make sure that this is no rate, flux or smoothed image."
    )


# What was assumed of an image and could be otherwise; the rest of its notes are facts.
DOUBTS = (
    "it peaks at", "unit unknown", "taken as counts", "taken as physical", "taken as image",
    "was read, and not", "touch no pixel", "without a number", "coordinates cannot be used",
)  # fmt: skip


def said(data):
    """Those notes on an image that its results have to repeat: guesses on units and regions."""
    notes = getattr(data, "diagnostics", ())
    return [note for note in notes if any(doubt in note for doubt in DOUBTS)]


def suited(model, data):
    """Copy of the model for these data.

    Positions and lengths cannot leave the image; a profile knows no positions and no ellipses;
    units follow the exposure.
    """
    model = model.copy()
    radial = isinstance(data, RadialProfile)
    size = float(np.max(data.pixels.x)) if radial else float(max(data.shape))
    ends = iter(())
    units = [own.unit for part in model.tree.components for own in part.parameters]
    for p, unit in zip(model.parameters, units, strict=True):
        p.unit = unit_for(data, unit)
        if radial and p.role in ("position", "angle", "ellipticity") and p.link is None:
            p.freeze(0.0)
        elif p.role == "position":
            axis, ends = next_axis(ends)
            if p.free and not radial:
                p.narrow(-0.5, data.shape[1 - axis] - 0.5)
        elif p.role == "length" and p.free:
            p.narrow(p.min, 2.0 * size)
    return model


def next_axis(ends):
    """0 for the x of a pair of positions, 1 for the y that follows it."""
    axis = next(ends, None)
    if axis is None:
        ends = iter((0, 1))
        axis = next(ends)
    return axis, ends


def unit_for(data, unit) -> str:
    """Unit of a parameter on these data: an exposure in seconds, a profile in arcmin."""
    if isinstance(data, RadialProfile):
        table = not np.isnan(data.pixels.error).all()
        if unit == "pixel":
            return data.r_unit
        if table and unit.startswith("ct"):
            return data.sb_unit
        per = next((u for u, text in PER_EXPOSURE.items() if text in data.sb_unit), "")
        return exposed_unit(unit, per)
    return exposed_unit(unit, data.exposure_unit)


def exposed_unit(unit, exposure_unit) -> str:
    """A catalogue's unit, which is for an exposure in cm2 s, for an exposure in another unit.

    Examples
    --------
    >>> exposed_unit("ct / (s cm2)", "s"), exposed_unit("ct / (s cm2 pixel)", "")
    ('ct / s', 'ct / (exposure pixel)')
    """
    own = {"cm2 s": "s cm2", "": "exposure"}.get(exposure_unit, exposure_unit)
    if own == "s cm2" or "s cm2" not in unit:
        return unit
    return unit.replace("(s cm2)", own).replace("s cm2", own)


# ------------------------------------------------------------------- sources of a model


def source_places(model) -> list[tuple[int, int]]:
    """Indices of the x and y of every source, in the model's order."""
    tree = model.tree
    return [
        tuple(first + i for i in places)
        for component, first in zip(tree.components, tree.first, strict=False)
        if (places := component.places("position"))
    ]


def centers_of(model, values) -> list[tuple[float, float]]:
    """Centres [(x, y), ...] of all sources; ``values`` (n_par,) with links applied."""
    return [(float(values[i]), float(values[j])) for i, j in source_places(model)]


def is_small(model, values) -> bool:
    """Whether a source is smaller than a pixel, so that its pixels have to be integrated."""
    lengths = [values[i] for i, p in enumerate(model.parameters) if p.role == "length"]
    return bool(lengths) and min(lengths) <= SMALL_CORE


def fine_around(model, pixels, values, integrate):
    """Pixels to integrate over: around sources that are smaller than a pixel, or as asked."""
    centers = centers_of(model, values)
    if integrate is False or not centers or (integrate is None and not is_small(model, values)):
        return None
    fine = fine_pixels(pixels, np.array(centers))
    return fine if len(fine.index) else None


# ------------------------------------------------------------------- arrays


class Scene(NamedTuple):
    """One image as numbers: inputs of the forward model, and BinCounts of the same length."""

    inputs: ImageInputs
    bins: BinCounts
    n_bin: int


def pixel_bins(pixels, stat, scale=1.0) -> BinCounts:
    """Counts of pixels as bins that are exposed for one second.

    Where the statistic has a background of its own, the background map is that: counts of an
    exposure that is ``1 / scale`` times as long.
    """
    background = pixels.background if STATISTICS[stat].background else 0.0
    error = None if np.isnan(pixels.error).all() else pixels.error**2
    bins = make_bins(pixels.counts, t_s=1.0, variance=error, background=background, t_b=1.0 / scale)
    return weighted(stat, bins)


def full_scene(model, data, stat, values, integrate=None) -> Scene:
    """All pixels of an image, or all annuli of a profile.

    Parameters
    ----------
    model : Model
    data : Image or RadialProfile
    stat : str
    values : (n_par,), parameters near which it is used: they say where the sources are.
    integrate : bool, optional
        Whether pixels around the centres are integrated over; by default where a source is smaller
        than a pixel.
    """
    pixels = data.pixels
    bins = pixel_bins(pixels, stat, _scale(model, stat))
    if STATISTICS[stat].background:
        pixels = pixels._replace(background=np.zeros_like(pixels.background))
    if getattr(data, "psf", None) is not None:
        grid, index = convolution_grid(data.psf, pixels)
        fine = fine_around(model, grid, values, integrate)
        return Scene(ImageInputs(pixels, fine, grid, index), bins, len(pixels.x))
    padded = pad(pixels)
    bins = _padded_bins(bins, len(padded.x))
    if not isinstance(data, RadialProfile):
        inputs = ImageInputs(padded, fine_around(model, padded, values, integrate))
    elif data.nodes is None or integrate is False:
        inputs = ImageInputs(padded)
    else:
        more = ((0, len(padded.x) - len(pixels.x)), (0, 0))
        radii, weights = (np.pad(a, more, mode="edge") for a in data.nodes)
        inputs = ImageInputs(padded, radii=radii, weights=weights)
    return Scene(inputs, bins, len(pixels.x))


def merged_scene(model, data, stat, values, integrate=None) -> Scene | None:
    """Pixels merged away from the sources; None where that is not possible or does not pay."""
    pixels, centers = data.pixels, centers_of(model, values)
    plain = not isinstance(data, RadialProfile) and data.psf is None and stat == "cstat"
    if not plain or not centers or len(pixels.x) < MERGE_FROM:
        return None
    merged = merge(pixels, centers, RATIO)
    padded = pad(merged)
    bins = _padded_bins(pixel_bins(merged, stat), len(padded.x))
    fine = fine_around(model, padded, values, integrate)
    return Scene(ImageInputs(padded, fine), bins, len(merged.x))


def _scale(model, stat):
    """Value of the factor of the background map, where the statistic takes the map for data."""
    if not STATISTICS[stat].background:
        return 1.0
    factor = model.parameters[-1]
    if factor.free:
        raise InputError(
            f"is free, but {stat} takes the background map for data",
            parameter=factor.full_name,
            remedy='freeze it, or use "cstat"',
        )
    return factor.value


def _padded_bins(bins, n):
    rows = pad_bins(BinCounts(*(field[None] for field in bins)), n)
    return BinCounts(*(field[0] for field in rows))


def in_blocks(scene, length) -> Scene:
    """Scene padded to ``length`` and looked at in blocks, if it can be cut up."""
    inputs = scene.inputs
    whole = inputs.grid is not None or inputs.fine is not None or inputs.radii is not None
    if whole or length % BLOCK or length <= BLOCK:
        return scene
    blocks = np.asarray(-(-len(inputs.pixels.x) // BLOCK))
    inputs = inputs._replace(pixels=pad(inputs.pixels, length), blocks=blocks)
    return scene._replace(inputs=inputs, bins=_padded_bins(scene.bins, length))


def _stacked(scenes, rows, stat):
    import jax

    blocks = scenes[0].inputs.blocks
    if blocks is not None:  # what is left of a shorter one are empty pixels
        blocks = np.max([scene.inputs.blocks for scene in scenes])
    inputs = [scene.inputs._replace(blocks=None) for scene in scenes]

    def gather(which):
        if np.ndim(which):
            made = jax.tree.map(lambda *x: np.stack(x), *(inputs[int(w)] for w in which))
        else:
            made = inputs[int(which)]
        return made._replace(blocks=blocks)

    n_bin = len(scenes[0].bins.counts)
    leaves = [*jax.tree.leaves(inputs[0]), *scenes[0].bins]
    return Batch(
        stat=stat,
        index=np.array(rows),
        bins=BinCounts(*(np.stack(f) for f in zip(*(s.bins for s in scenes), strict=True))),
        mask=np.arange(n_bin) < np.array([s.n_bin for s in scenes])[:, None],
        which=np.arange(len(scenes)),
        gather=gather,
        n_inputs=len(scenes),
        nbytes=sum(np.asarray(leaf).nbytes for leaf in leaves),
    )


def make_lanes(models, items, stat, rows, starts, *, integrate=None, coarse=True):
    """Images of one statistic as batches: all pixels, and merged ones where that pays.

    Parameters
    ----------
    models : list of Model, one for each item.
    items : list of Image or RadialProfile
    stat : str
    rows : list of int
    starts : (n_lane, n_par), parameters with links applied, near which the fits take place.
    integrate : bool or None; see `full_scene`.
    coarse : bool, whether pixels may be merged.

    Returns
    -------
    list of (Batch, Batch or None)
        Full and merged pixels, with the lanes in the same order.
    """
    alike = defaultdict(list)
    for row, model, data, values in zip(rows, models, items, starts, strict=True):
        full = full_scene(model, data, stat, values, integrate)
        merged = merged_scene(model, data, stat, values, integrate) if coarse else None
        length = len(full.inputs.pixels.x)
        full = in_blocks(full, length)
        merged = None if merged is None else in_blocks(merged, length)
        alike[_structure(full), _structure(merged)].append((row, full, merged))
    made = []
    for (_, has_merged), members in alike.items():
        index, full, merged = zip(*members, strict=True)
        made.append(
            (_stacked(full, index, stat), _stacked(merged, index, stat) if has_merged else None)
        )
    return made


def _structure(scene):
    """What scenes must have in common to be lanes of one batch."""
    import jax

    if scene is None:
        return None
    leaves, structure = jax.tree.flatten(scene.inputs)
    return structure, tuple(np.shape(leaf) for leaf in leaves)


def settles(model, data, values, batch_fine, integrate):
    """Value of ``integrate`` with which arrays have to be made anew at a solution; None if not.

    Parameters
    ----------
    model : Model
    data : Image or RadialProfile
    values : (n_par,), the solution with links applied.
    batch_fine : bool, whether pixels are integrated in the arrays at hand.
    integrate : bool or None, what the user asked.
    """
    if integrate is not None or isinstance(data, RadialProfile):
        return None
    wanted = is_small(model, values)
    return None if wanted == batch_fine else wanted
