"""The one place where ragged becomes rectangular: spectra -> lanes -> padded batches.

Spectra of like shape share a batch. Every batch is padded with masked bins and with real, positive
energies, so that a model evaluated on the padding stays finite. Responses are not held here: they
are folded chunk by chunk, see `jaxspec.reduce.fold`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxspec._status import Status
from jaxspec._types import Response, Spectrum
from jaxspec.errors import InputError
from jaxspec.reduce.bins import BinCounts, channel_columns, channel_weights, spectrum_bins
from jaxspec.reduce.sane import bad_area, bad_data, bad_matrix
from jaxspec.reduce.stack import stack_counts

MAX_BUCKETS = 4  # shapes per statistic; every one is a compilation
COMPILATION = 2**27  # padded matrix elements of all lanes that cost as much as compiling once more:
# a lane of 320 x 56 elements takes about 0.15 ms, a compilation 1.2 s
SPAN = 50.0  # from the lowest to the highest energy where something is looked for: channels that
# begin at 0 keV hold hardly a count there
SHARED_FROM = 8  # lanes with the same inputs from which a chunk of lanes is given them once


class Plan(NamedTuple):
    """Which channels make which bin.

    ``index`` (n_channel,) is the bin of each channel, -1 for dropped ones; ``columns``
    (n_channel,) is where the channel stands in the response; ``binning`` is the content of
    ``index``, ``columns`` and ``weights``, so that spectra which are summed alike can be found;
    ``weights`` (n_channel,) of the channels in the sums over the response, or None, see
    `jaxspec.reduce.bins.channel_weights`.
    """

    index: np.ndarray
    n_bins: int
    columns: np.ndarray
    response: Response
    binning: bytes
    weights: np.ndarray | None = None

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest energy (keV) of the channels that count, to two digits."""
        used = self.columns[self.index >= 0]
        low, high = self.response.e_min[used].min(), self.response.e_max[used].max()
        return float(f"{max(low, high / SPAN):.1e}"), float(f"{high:.1e}")


class PlannedLane(NamedTuple):
    """One spectrum that will be fitted, with the row it belongs to."""

    row: int
    stat: str
    spectrum: Spectrum
    plan: Plan


class Batch(NamedTuple):
    """Data of one statistic and one padded shape, as arrays with a lane axis.

    Parameters
    ----------
    stat : str
    index : (n_lane,) int, row of each lane.
    bins : BinCounts of (n_lane, n_bin) arrays; mask : (n_lane, n_bin) bool, False for padding.
    which : (n_lane,) int, which of the ``n_inputs`` inputs of the forward model.
    gather : callable
        Inputs of several numbers, an int array, stacked; of one number, an int, as they are.
    n_inputs, nbytes : int, how many inputs there are, and the size of one.
    band : callable that gives (n_lane, 2) keV, lowest and highest energy of the bins; None for what
        has none. Few fits ask for it: it takes a tenth of the time of a power law.
    grid : callable that gives (n_lane,) int, the same where models are evaluated on the same
        energies; None likewise.
    """

    stat: str
    index: np.ndarray
    bins: BinCounts
    mask: np.ndarray
    which: np.ndarray
    gather: Callable
    n_inputs: int
    nbytes: int
    band: Callable | None = None
    grid: Callable | None = None

    @property
    def shared(self) -> bool:
        """True if so many lanes have the same inputs that they are chunked by them."""
        return len(self.index) >= SHARED_FROM * self.n_inputs


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
        except MemoryError:
            problem = Status.BAD_DATA, "Its channels do not fit into memory."
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
        seen = response.matrix.data
        if not (response.area.any() and (seen[:1].any() or seen.any() or response.wide)):
            raise InputError(
                f"the response {response.name} has no effective area: nothing of a model is seen"
            )
        bounds = (response.channel.tobytes(), response.e_min.tobytes(), response.e_max.tobytes())
        if (bounds, choice) not in plans:  # responses of one instrument share their channels
            index, n_bins = spectrum_bins(spectrum)
            columns = channel_columns(spectrum)
            binning = index.tobytes() + columns.tobytes()
            plans[bounds, choice] = index, n_bins, columns, binning
        index, n_bins, columns, binning = plans[bounds, choice]
        plans[key] = Plan(index, n_bins, columns, response, binning)
    plan = plans[key]
    weights = channel_weights(spectrum, plan.index, plan.n_bins)
    if weights is None:
        return plan
    return plan._replace(weights=weights, binning=plan.binning + weights.tobytes())


def _unusable(spectrum, stat, plan, few, sane):
    """(status, message) if the spectrum cannot be fitted, else None."""
    if plan.n_bins == 0:
        return Status.NO_DATA, None
    if plan.n_bins < few:
        bins = "1 bin" if plan.n_bins == 1 else f"{plan.n_bins} bins"
        return Status.FEW_COUNTS, f"{bins} for {few} free parameters; nothing was fitted."
    bad = bad_data(spectrum, not stat.startswith("chi2"), stat != "cash", stat == "wstat")
    if bad:
        return Status.BAD_DATA, bad
    response = spectrum.response
    if id(response) not in sane:
        sane[id(response)] = _unusable_response(response, sane)
    if sane[id(response)] is None and response.doubtful and (bad := bad_area(spectrum)):
        return Status.BAD_DATA, bad
    return sane[id(response)]


def _unusable_response(response, sane):
    parts = (response.matrix.data, response.area, response.e_lo, response.e_hi)
    parts += tuple(part.data for part in response.wide)
    if not all(_finite(part, sane) for part in parts):
        return Status.NAN_MODEL, f"The response {response.name} holds numbers that are not finite."
    if id(response.matrix) not in sane:
        sane[id(response.matrix)] = bad_matrix(response)
    bad = sane[id(response.matrix)]
    return (Status.BAD_DATA, bad) if bad else None


def _finite(array, known):
    """Whether all numbers are finite; asked once of each array, a million of them at a time."""
    if id(array) not in known:
        pieces = (array[at : at + 2**20] for at in range(0, len(array), 2**20))
        known[id(array)] = all(np.isfinite(piece).all() for piece in pieces)
    return known[id(array)]


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
        a, b = min(cost, key=cost.__getitem__)
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


def stack_lanes(lanes, n_bin, weigh):
    """Bins of planned lanes that share a statistic, padded to ``n_bin``.

    Parameters
    ----------
    lanes : list of PlannedLane
    n_bin : int
    weigh : callable ``BinCounts -> BinCounts``, the variances that the statistic wants.

    Returns
    -------
    lanes : list of PlannedLane, in the order of the arrays.
    bins : BinCounts of (n_lane, n_bin) arrays
    mask : (n_lane, n_bin) bool
    """
    alike = defaultdict(list)
    for lane in lanes:
        alike[lane.plan.binning, lane.spectrum.background is None].append(lane)
    lanes = [lane for members in alike.values() for lane in members]
    parts = [
        pad_bins(weigh(stack_counts([m.spectrum for m in members], members[0].plan)), n_bin)
        for members in alike.values()
    ]
    bins = BinCounts(*(np.concatenate(field) for field in zip(*parts, strict=True)))
    n_bins = np.array([lane.plan.n_bins for lane in lanes])
    return lanes, bins, np.arange(n_bin) < n_bins[:, None]


PADDING = BinCounts(*np.array([0.0, 1, 0, 1, 1, 1, 0, 1, 0, 0]))  # a bin that no kernel minds


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
