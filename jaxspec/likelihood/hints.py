"""What data say of where a fit should start, before any model is evaluated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.image import ImageInputs
from jaxspec.likelihood.image_prepare import pixel_bins, source_places
from jaxspec.reduce.batch import Batch, pad_bins
from jaxspec.reduce.bins import BinCounts
from jaxspec.reduce.center import centroid, peak
from jaxspec.reduce.merge import pad
from jaxspec.reduce.profile import RadialProfile, profile
from jaxspec.reduce.sources import find_sources

N_ANNULI = 40
NARROW = 2.0  # pixels, or widths of the PSF: wider light is not that of a point source


class Hints(NamedTuple):
    """Where lanes start.

    Parameters
    ----------
    batch : Batch or None
        Few numbers that stand for the data while candidates are compared; None for the data.
    given : (n_lane, n_par), values that the data say; NaN where they say nothing.
    width : (n_lane,), the unit of lengths.
    """

    batch: Any
    given: np.ndarray
    width: np.ndarray


def image_hints(models, items, stat, rows) -> Hints:
    """Positions of the sources, the width of the first one, and its radial profile.

    A source that is alone goes to the centroid; of several, each goes to where the image stands out
    most from those before. The profile around the first (that is no point) says how wide it is.

    Parameters
    ----------
    models : list of Model, one for each item; values that their users set are kept.
    items : list of Image or RadialProfile
    stat : str
    rows : list of int
    """
    given = np.full((len(items), len(models[0].parameters)), np.nan)
    width, found = np.ones(len(items)), []
    for i, (model, data) in enumerate(zip(models, items, strict=True)):
        centers = place(model, data, given[i])
        owners = _owners(model, source_places(model))
        centers = sorted(zip(centers, owners, strict=True), key=lambda pair: pair[1][0].point)
        annuli, width[i] = annuli_around(data, centers[0][0] if centers else None)
        found.append(annuli)
    length = max(len(pad(annuli).x) for annuli in found)
    scenes = [pad(annuli, length) for annuli in found]
    bins = [pixel_bins(annuli, stat) for annuli in found]
    bins = [pad_bins(BinCounts(*(f[None] for f in b)), length) for b in bins]

    def gather(which):
        parts = [scenes[int(w)] for w in np.atleast_1d(which)]
        pixels = type(parts[0])(*(np.stack(f) for f in zip(*parts, strict=True)))
        return ImageInputs(pixels if np.ndim(which) else type(pixels)(*(f[0] for f in pixels)))

    batch = Batch(
        stat=stat,
        index=np.array(rows),
        bins=BinCounts(*(np.concatenate(f) for f in zip(*bins, strict=True))),
        mask=np.arange(length) < np.array([len(annuli.x) for annuli in found])[:, None],
        which=np.arange(len(items)),
        gather=gather,
        n_inputs=len(items),
        nbytes=16 * 8 * length,
    )
    return Hints(batch, given, width)


def untouched(parameter) -> bool:
    """Whether the data may choose where a parameter starts."""
    return parameter.free and not parameter.is_set


def place(model, data, given) -> list:
    """Put every source at its place in ``given`` (n_par,); gives the centres [(x, y), ...]."""
    values, pars = model.values, model.parameters
    pairs = source_places(model)
    moving = [pair for pair in pairs if any(untouched(pars[i]) for i in pair)]
    if isinstance(data, RadialProfile) or not moving:
        return [tuple(values[i] for i in pair) for pair in pairs]
    if len(pairs) == 1:
        found = [source_at(data)]
    else:
        fixed = [pair for pair in pairs if all(pars[i].link is None for i in pair)]
        known = [tuple(values[i] for i in pair) for pair in fixed if pair not in moving]
        found = _assigned(model, moving, find_sources(data, len(moving), known), data, given)
    for pair, where in zip(moving, found, strict=True):
        for i, value in zip(pair, where, strict=True):
            if untouched(pars[i]):
                values[i] = given[i] = np.clip(value, pars[i].min, pars[i].max)
    return [tuple(values[i] for i in pair) for pair in pairs]


def _assigned(model, moving, found, data, given):
    """Places [(x, y), ...] of the sources that move: point sources go to what is narrow.

    If less is narrow than there are point sources, they take what was found last. Their amplitudes
    are put into ``given`` (n_par,): the profile around another source, by which amplitudes are
    found, does not show them.
    """
    owners = _owners(model, moving)
    n = sum(owner.point for owner, _ in owners)
    most = NARROW * max(1.0, 0.0 if data.psf is None else data.psf.width)
    width = [one.scale if one.scale <= most else np.inf for one in found]
    narrow = sorted(sorted(range(len(found)), key=lambda k: (width[k], -k))[:n])
    wide = [k for k in range(len(found)) if k not in narrow]
    wide.sort(key=lambda k: -found[k].counts / found[k].scale ** 2)  # the brightest is the first
    made = []
    ny, nx = data.shape
    for owner, first in owners:
        one = found[(narrow if owner.point else wide).pop(0)]
        made.append((one.x, one.y))
        pixel = int(np.clip(round(one.y), 0, ny - 1)), int(np.clip(round(one.x), 0, nx - 1))
        for j in owner.places("amplitude") if owner.point else ():
            p = model.parameters[first + j]
            if untouched(p) and data.exposure[pixel] > 0:
                flux = max(one.counts, 1.0) / data.exposure[pixel]
                given[first + j] = np.clip(flux, p.min, p.max)
    return made


def _owners(model, pairs):
    """Component of each pair of coordinates, and the index of its first parameter."""
    at = [int(np.searchsorted(model.tree.first, pair[0], side="right")) - 1 for pair in pairs]
    return [(model.tree.components[i], model.tree.first[i]) for i in at]


def source_at(image) -> tuple[float, float]:
    """Centroid of the source, or the brightest place where nothing stands out."""
    try:
        return centroid(image)
    except InputError:
        return peak(image)


def annuli_around(data, center):
    """Annuli as Pixels that lie to the right of the centre, and the width of the source."""
    if isinstance(data, RadialProfile):
        annuli, middle = data.pixels, (0.0, 0.0)
    else:
        middle = source_at(data) if center is None else center
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
