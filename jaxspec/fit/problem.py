"""What is to be fitted, as groups of lanes: one model, one statistic, arrays of one shape."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.fit.chunks import chunk_lanes, chunk_positions
from jaxspec.fit.compiled import LaneNumbers, Numbers, parameters_of, start_chunk
from jaxspec.fit.priors import prior_map
from jaxspec.fit.start import candidates, is_turning, several_minima
from jaxspec.likelihood.forward import kind_of
from jaxspec.likelihood.objective import Links, Term
from jaxspec.likelihood.spectrum_prepare import make_batches
from jaxspec.reduce.batch import Batch


class Group(NamedTuple):
    """Lanes that are fitted with one model through one compiled program.

    Parameters
    ----------
    term, functions : static
        The objective of a lane, and the links that are not affine.
    models : list of Model
        One for each lane, or a single one for all: limits and units may follow the data.
    full : Batch
        The data; ``coarse`` : Batch or None, cheaper data that lead near the minimum.
    numbers : Numbers
    own : LaneNumbers of (n_lane, ...) arrays
    starts : (n_lane, n_start, n_par) or None where the data themselves are asked.
    """

    term: Term
    functions: tuple
    models: list
    full: Batch
    coarse: Batch | None
    numbers: Numbers
    own: LaneNumbers
    starts: Any

    def model(self, lane):
        """Model of a lane."""
        return self.models[0] if len(self.models) == 1 else self.models[lane]

    @property
    def several(self) -> bool:
        """Whether several parts of the model share the data, so that there are local minima."""
        turning = (self.numbers.candidates.turn > 0).any()
        return several_minima(self.term.forward.tree) or bool(turning)


class Options(NamedTuple):
    """Options of a fit: priors of the call, tolerance, iterations, how images are looked at."""

    priors: dict | None
    tol: float
    max_iter: int
    integrate: bool | None = None
    coarse: bool = True


def make_groups(model, items, stats, few, rows, options) -> list[Group]:
    """Groups of all data that can be fitted; the others are rejected in ``rows``.

    Parameters
    ----------
    model : Model
    items : sequence of data of one kind
    stats : list of str or None, the statistic of each; None leaves it out.
    few : int, bins below which a datum is rejected.
    rows : Rows, told of what is rejected.
    options : Options
    """
    kind = kind_of(items[0])
    if kind.make_lanes is None:
        own = model.copy()
        priors = prior_map(own, options.priors)
        numbers = make_numbers(own, priors, options)
        batches = make_batches(own, items, stats, few, rows.reject)
        return [_group(kind, [own], batch, None, numbers, None, None) for batch in batches]
    usable = _suited(kind, model, items, stats, few, rows, options)
    groups = []
    for stat in dict.fromkeys(stats[row] for row in usable):
        chosen = [row for row in usable if stats[row] == stat]
        groups += _image_groups(kind, items, stat, chosen, usable, options)
    return groups


def _suited(kind, model, items, stats, few, rows, options):
    """Model and priors of each datum that can be fitted, by row."""
    usable = {}
    for row, item in enumerate(items):
        if stats[row] is None:
            continue
        try:
            kind = kind_of(item)
            kind.check_data(item, stats[row])
            own = kind.suited(model, item)
            priors = prior_map(own, options.priors)
            if len(item.pixels.x) < few:
                raise InputError(
                    f"{len(item.pixels.x)} pixels for {few} free parameters",
                    file=getattr(item, "path", "") or None,
                    remedy="mask less, or freeze parameters",
                )
            usable[row] = own, priors
        except InputError as error:
            if len(items) == 1:
                raise
            rows.reject(row, Status.BAD_DATA, str(error))
    return usable


def _image_groups(kind, items, stat, chosen, usable, options, starts=None, integrate=None):
    """Groups of images of one statistic; ``starts`` (n_row, n_start, n_par) if they are known."""
    models = [usable[row][0] for row in chosen]
    data = [items[row] for row in chosen]
    numbers = make_numbers(models[0], usable[chosen[0]][1], options)
    hints = None
    if starts is None:
        hints = kind.hints(models, data, stat, chosen)
        starts = _starts_from(kind, hints, models, stat, numbers)
    functions = models[0].link_map().functions
    with jax.enable_x64(True):
        values, _ = parameters_of(functions, numbers.links, starts[:, 0])
    made = kind.make_lanes(
        models, data, stat, chosen, values,
        integrate=options.integrate if integrate is None else integrate, coarse=options.coarse,
    )  # fmt: skip
    place = {row: i for i, row in enumerate(chosen)}
    groups = []
    for full, coarse in made:
        at = [place[row] for row in full.index]
        some = [models[i] for i in at]
        groups.append(_group(kind, some, full, coarse, numbers, starts[at], None))
    return groups


def _starts_from(kind, hints, models, stat, numbers):
    """Start vectors (n_lane, n_start, n_par) from the hints."""
    term, functions = kind.make_term(models[0], stat), models[0].link_map().functions
    own = lane_numbers(models, len(models), hints)
    parts = []
    with jax.enable_x64(True):
        for chunk in chunk_positions(hints.batch):
            lanes = chunk_lanes(hints.batch, chunk.lanes)
            made = start_chunk(term, functions, False, lanes, numbers, own.take(chunk.lanes))
            parts.append(np.asarray(made)[: chunk.size])
    return np.concatenate(parts)


def _group(kind, models, full, coarse, numbers, starts, hints) -> Group:
    functions = models[0].link_map().functions
    band = full.band() if full.band and numbers.energy.any() else None
    own = lane_numbers(models, len(full.index), hints, band)
    return Group(
        kind.make_term(models[0], full.stat), functions, models, full, coarse, numbers, own, starts
    )


def make_numbers(model, priors, options) -> Numbers:
    """Numbers of a model that all lanes share."""
    links = model.link_map()
    return Numbers(
        links=Links(np.asarray(links.matrix, float), np.asarray(links.offset, float)),
        priors=priors,
        candidates=candidates(model),
        amplitude=np.array([p.role == "amplitude" for p in model.parameters]),
        positive=np.array([p.positive for p in model.parameters]),
        energy=np.array([p.role == "energy" for p in model.parameters]),
        tol=np.asarray(options.tol, float),
        max_iter=np.asarray(options.max_iter),
    )


def lane_numbers(models, n_lane, hints=None, band=None) -> LaneNumbers:
    """Limits of every lane; angles that repeat have none.

    Parameters
    ----------
    models : list of Model, one for each lane or a single one for all.
    n_lane : int
    hints : Hints, optional
    band : (n_lane, 2) keV, optional
    """
    box = np.array([_box(model) for model in models])  # (n, 3, n_par)
    box = np.broadcast_to(box, (n_lane, *box.shape[1:]))
    n_par = box.shape[-1]
    given = np.broadcast_to(np.nan, (n_lane, n_par)) if hints is None else hints.given
    width = np.broadcast_to(1.0, n_lane) if hints is None else hints.width
    band = np.broadcast_to(1.0, (n_lane, 2)) if band is None else band
    return LaneNumbers(box[:, 0], box[:, 1], box[:, 2] > 0, given, width, band)


def _box(model):
    turning = [is_turning(p) for p in model.parameters]
    low = [-np.inf if t else p.min for p, t in zip(model.parameters, turning, strict=True)]
    high = [np.inf if t else p.max for p, t in zip(model.parameters, turning, strict=True)]
    return low, high, [float(p.free) for p in model.parameters]


def remade(items, group, lane, theta, integrate, options) -> Group:
    """Group of one lane whose arrays are made anew near ``theta`` (n_par,)."""
    row = int(group.full.index[lane])
    model = group.model(lane)
    usable = {row: (model, group.numbers.priors)}
    kind = kind_of(items[row])
    starts = np.repeat(theta[None, None], group.starts.shape[1], axis=1)
    stat = group.full.stat
    return _image_groups(kind, items, stat, [row], usable, options, starts, integrate)[0]
