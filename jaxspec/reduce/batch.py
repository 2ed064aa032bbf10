"""The one place where ragged becomes rectangular: spectra -> lanes -> padded batches.

Spectra of like shape share a batch. Every batch is padded with masked bins and with real, positive
energies, so that a model evaluated on the padding stays finite. Responses are stored once for each
distinct content, already grouped, multiplied by the area and cut to the energies that act on the
noticed bins.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from jaxspec._status import Status
from jaxspec._types import Response, Spectrum
from jaxspec.errors import InputError
from jaxspec.reduce.bins import BinCounts, channel_columns, spectrum_bins
from jaxspec.reduce.stack import stack_counts

MAX_BUCKETS = 4  # shapes per statistic; every one is a compilation
COMPILATION = 2**27  # padded matrix elements of all lanes that cost as much as compiling once more:
# a lane of 320 x 56 elements takes about 0.15 ms, a compilation 1.2 s
DENSE = 2**25  # elements up to which a whole matrix is made dense: for PCA 33 microseconds, not 84
SHARED_FROM = 8  # lanes per response from which a chunk of lanes is given one common response


class Plan(NamedTuple):
    """Which channels make which bin.

    ``index`` (n_channel,) is the bin of each channel, -1 for dropped ones; ``columns``
    (n_channel,) is where the channel stands in the response; ``binning`` is the content of
    ``index``, so that spectra which are summed alike can be found.
    """

    index: np.ndarray
    n_bins: int
    columns: np.ndarray
    response: Response
    binning: bytes


class PlannedLane(NamedTuple):
    """One spectrum that will be fitted, with the row it belongs to."""

    row: int
    stat: str
    spectrum: Spectrum
    plan: Plan


class Folding(NamedTuple):
    """Grouped response: ``matrix`` (n_energy, n_bin) cm2 on ``e_lo, e_hi`` (n_energy,) keV."""

    e_lo: np.ndarray
    e_hi: np.ndarray
    matrix: np.ndarray


class Batch(NamedTuple):
    """Lanes of one statistic and one padded shape.

    Parameters
    ----------
    stat : str
    index : (n_lane,) int, row of each lane.
    bins : BinCounts of (n_lane, n_bin) arrays; mask : (n_lane, n_bin) bool, False for padding.
    response : (n_lane,) int, which of the n_response foldings.
    e_lo, e_hi : (n_response, n_energy) keV; tables : tuple of (n_response, n_energy).
    matrix : (n_response, n_energy, n_bin) cm2
    shared : bool, True if lanes are to be chunked by response.
    """

    stat: str
    index: np.ndarray
    bins: BinCounts
    mask: np.ndarray
    response: np.ndarray
    e_lo: np.ndarray
    e_hi: np.ndarray
    tables: tuple
    matrix: np.ndarray
    shared: bool


def plan_lanes(spectra, stats, few, reject) -> list[PlannedLane]:
    """Sort out what can be fitted.

    Parameters
    ----------
    spectra : sequence of Spectrum (entries whose statistic is None are skipped).
    stats : sequence of str or None
    few : int, bins below which a spectrum is rejected with FEW_COUNTS.
    reject : callable (row, status, message or None), told of every spectrum left out.
    """
    plans, lanes, sane = {}, [], {}
    for row, (spectrum, stat) in enumerate(zip(spectra, stats, strict=True)):
        if stat is None:
            continue
        if spectrum.response is None:
            reject(row, Status.NO_RESPONSE, None)
            continue
        try:
            plan = _plan(spectrum, plans)
            problem = _unusable(spectrum, stat, plan, few, sane)
        except InputError as error:
            problem = Status.BAD_DATA, str(error)
        if problem:
            reject(row, *problem)
        else:
            lanes.append(PlannedLane(row, stat, spectrum, plan))
    return lanes


def _plan(spectrum, plans):
    """Plan of a spectrum; one for all that share response, grouping, quality and filters."""
    response = spectrum.response
    choice = (
        spectrum.channel.tobytes(),
        None if spectrum.grouping is None else spectrum.grouping.tobytes(),
        None if spectrum.quality is None else spectrum.quality.tobytes(),
        spectrum.filters,
    )
    key = (id(response), choice)
    if key not in plans:
        bounds = (response.channel.tobytes(), response.e_min.tobytes(), response.e_max.tobytes())
        if (bounds, choice) not in plans:  # responses of one instrument share their channels
            index, n_bins = spectrum_bins(spectrum)
            plans[bounds, choice] = index, n_bins, channel_columns(spectrum), index.tobytes()
        index, n_bins, columns, binning = plans[bounds, choice]
        plans[key] = Plan(index, n_bins, columns, response, binning)
    return plans[key]


def _unusable(spectrum, stat, plan, few, sane):
    """(status, message) if the spectrum cannot be fitted, else None."""
    if plan.n_bins == 0:
        return Status.NO_DATA, None
    if plan.n_bins < few:
        bins = "1 bin" if plan.n_bins == 1 else f"{plan.n_bins} bins"
        return Status.FEW_COUNTS, f"{bins} for {few} free parameters; nothing was fitted."
    if not np.isfinite(spectrum.counts).all():
        return Status.BAD_DATA, "The counts hold numbers that are not finite."
    if not stat.startswith("chi2") and (spectrum.counts < 0).any():
        return Status.BAD_DATA, f"{spectrum.counts.min():g} counts cannot be Poisson; use chi2."
    if not (np.isfinite(spectrum.exposure) and spectrum.exposure > 0):
        return Status.BAD_DATA, f"The exposure is {spectrum.exposure}, not a positive time."
    response = spectrum.response
    if id(response) not in sane:
        parts = (response.matrix.data, response.area, response.e_lo, response.e_hi)
        sane[id(response)] = all(np.isfinite(part).all() for part in parts)
    if not sane[id(response)]:
        return Status.NAN_MODEL, f"The response {response.name} holds numbers that are not finite."
    return None


def fold_plan(plan, whole_grid=False) -> Folding:
    """Group a response as a plan says and cut it to the energies that matter.

    Parameters
    ----------
    plan : Plan
    whole_grid : bool, keep all energies (models in which one bin depends on others).
    """
    response = plan.response
    kept = np.flatnonzero(plan.index >= 0)
    columns, starts = plan.columns[kept], np.flatnonzero(np.diff(plan.index[kept], prepend=-1))
    if np.prod(response.matrix.shape) <= DENSE:
        matrix = response.matrix.toarray()[:, columns].astype(float)
    else:
        matrix = response.matrix[:, columns].toarray().astype(float)
    if len(starts) < len(kept):
        matrix = np.add.reduceat(matrix, starts, axis=1)
    matrix *= response.area[:, None]
    n_energy = len(matrix)
    acting = np.flatnonzero(matrix.any(axis=1))
    first, last = (0, n_energy) if whole_grid or not acting.size else (acting[0], acting[-1] + 1)
    return Folding(
        np.asarray(response.e_lo[first:last], float),
        np.asarray(response.e_hi[first:last], float),
        matrix[first:last],
    )


def make_batches(lanes, prepare, weigh, whole_grid=False) -> list[Batch]:
    """Put lanes into padded batches.

    Parameters
    ----------
    lanes : list of PlannedLane
    prepare : callable ``(e_lo, e_hi) -> tuple of (n_energy,) arrays``, the model's tables.
    weigh : callable ``(stat, BinCounts) -> BinCounts``, the variances that the statistic wants.
    whole_grid : bool, see `fold_plan`.

    Returns
    -------
    list of Batch, at most ``MAX_BUCKETS`` for each statistic.
    """
    foldings, of_plan = {}, {}
    for lane in lanes:
        if id(lane.plan) not in of_plan:
            key = (lane.plan.response.key, lane.plan.binning)
            if key not in foldings:
                foldings[key] = fold_plan(lane.plan, whole_grid)
            of_plan[id(lane.plan)] = key
    by_stat = defaultdict(lambda: defaultdict(list))
    for lane in lanes:
        shape = foldings[of_plan[id(lane.plan)]].matrix.shape
        by_stat[lane.stat][padded(shape[0]), padded(shape[1])].append(lane)
    prepared = {}
    return [
        fill_batch(stat, shape, members, foldings, of_plan, prepare, prepared, weigh)
        for stat, shapes in by_stat.items()
        for shape, members in merge_shapes(shapes).items()
    ]


def padded(n):
    """Length to which n is padded: steps of 8 at least and of n/4 at most."""
    step = max(8, 1 << max(0, int(n).bit_length() - 3))
    return -(-n // step) * step


def merge_shapes(shapes):
    """Join shapes as long as the padding costs less than a compilation, or they are too many."""
    shapes = dict(shapes)
    while len(shapes) > 1:
        cost = {
            (a, b): sum(len(shapes[s]) * (area(joined(a, b)) - area(s)) for s in (a, b))
            for a in shapes
            for b in shapes
            if a < b
        }
        a, b = min(cost, key=cost.get)
        if cost[a, b] > COMPILATION and len(shapes) <= MAX_BUCKETS:
            break
        members = shapes.pop(a) + shapes.pop(b)
        shapes[joined(a, b)] = shapes.pop(joined(a, b), []) + members
    return shapes


def joined(a, b):
    """The shape that holds both."""
    return max(a[0], b[0]), max(a[1], b[1])


def area(shape):
    """Elements of a matrix of this shape."""
    return shape[0] * shape[1]


def fill_batch(stat, shape, lanes, foldings, of_plan, prepare, prepared, weigh) -> Batch:
    """Padded arrays for lanes that share a shape."""
    used = list(dict.fromkeys(of_plan[id(lane.plan)] for lane in lanes))
    place = {key: i for i, key in enumerate(used)}
    n_energy, n_bin = shape
    matrix = np.zeros((len(used), n_energy, n_bin))
    e_lo, e_hi = np.empty((2, len(used), n_energy))
    for i, key in enumerate(used):
        folding = foldings[key]
        rows, columns = folding.matrix.shape
        matrix[i, :rows, :columns] = folding.matrix
        e_lo[i], e_hi[i] = pad_energies(folding.e_lo, folding.e_hi, n_energy)
    tables = prepare_grids(e_lo, e_hi, prepare, prepared)
    alike = defaultdict(list)
    for lane in lanes:
        alike[lane.plan.binning].append(lane)
    lanes = [lane for members in alike.values() for lane in members]
    parts = [
        pad_bins(
            weigh(stat, stack_counts([lane.spectrum for lane in members], members[0].plan)), n_bin
        )
        for members in alike.values()
    ]
    n_bins = np.array([lane.plan.n_bins for lane in lanes])
    response = np.array([place[of_plan[id(lane.plan)]] for lane in lanes])
    return Batch(
        stat=stat,
        index=np.array([lane.row for lane in lanes]),
        bins=BinCounts(*(np.concatenate(field) for field in zip(*parts, strict=True))),
        mask=np.arange(n_bin) < n_bins[:, None],
        response=response,
        e_lo=e_lo,
        e_hi=e_hi,
        tables=tables,
        matrix=matrix,
        shared=len(lanes) >= SHARED_FROM * len(used),
    )


PADDING = BinCounts(0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0)  # a bin that no kernel minds


def pad_bins(bins, n):
    """Fill (n_lane, n_bin) arrays up to ``n`` bins with harmless values."""
    missing = n - bins.counts.shape[-1]
    return BinCounts(
        *(
            np.pad(field, ((0, 0), (0, missing)), constant_values=filler)
            for field, filler in zip(bins, PADDING, strict=True)
        )
    )


def pad_energies(e_lo, e_hi, n):
    """Continue an energy grid upwards with bins as wide as its last one."""
    missing = n - len(e_lo)
    width = e_hi[-1] - e_lo[-1]
    more = e_hi[-1] + width * np.arange(missing + 1)
    return np.concatenate([e_lo, more[:-1]]), np.concatenate([e_hi, more[1:]])


def prepare_grids(e_lo, e_hi, prepare, prepared):
    """Tables (n_response, n_energy), computed once for each distinct grid."""
    rows = []
    for lo, hi in zip(e_lo, e_hi, strict=True):
        key = (lo.tobytes(), hi.tobytes())
        if key not in prepared:
            prepared[key] = prepare(lo, hi)
        rows.append(prepared[key])
    return tuple(np.stack(column) for column in zip(*rows, strict=True))
