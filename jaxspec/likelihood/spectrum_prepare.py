"""Spectra as lanes of arrays: statistics, bins, and foldings that are made when they are needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial

import numpy as np

from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.likelihood.choose import choose_statistic
from jaxspec.likelihood.kernels import FLOOR
from jaxspec.likelihood.objective import Term
from jaxspec.likelihood.spectrum import Sparse, SpectrumForward, SpectrumInputs, Split
from jaxspec.likelihood.statistics import weighted
from jaxspec.reduce.batch import (
    Batch,
    merge_shapes,
    pad_energies,
    padded,
    plan_lanes,
    stack_lanes,
)
from jaxspec.reduce.fold import Patterns, fold

# Bytes of foldings that are kept until they are asked for again. Making one anew costs little:
# a joint fit of 600 PCA spectra with their own responses takes 0.72 s without any and 0.68 s with
# 64 or 256 MB; 40 spectra of 800 x 2400 fitted by themselves 2.8, 2.9 and 2.9 s.
KEPT = 2**26
OFTEN = 64  # lanes with one folding, a full chunk, that are a batch of their own: their last bits
# do not depend on what else is in the list
# Elements of a grouped matrix from which it may be held sparse, and the share below which it is. A
# power law on 1024 x 1024 elements, 2, 5 and 10 % of them filled: 11, 17 and 24 ms sparse and
# 24 to 27 ms dense; on 4096 x 4096: 68, 192 and 358 ms, and 333 to 487 ms; on 512 x 512 both 10 ms.
LARGE, FILL = 2**20, 0.05


def check_model(model):
    """Refuse models that are not of a spectrum."""
    if model.domain != "spectrum":
        raise InputError(
            f"{model.expression} is a model of an image, and these are not images",
            parameter="model",
            remedy="read images with jaxspec.read_image",
        )
    if model.tree.kind != "add":
        raise InputError(
            f"{model.expression} has no additive component, so that it makes no photons",
            parameter="model",
            remedy="multiply it with one, for example powerlaw",
        )


def make_term(model, stat) -> Term:
    """Term of a spectral model."""
    return Term(SpectrumForward(model.tree), stat, FLOOR)


def statistic(spectrum, asked):
    """Name of the statistic and the reason; see `jaxspec.likelihood.choose`."""
    return choose_statistic(spectrum, asked)


def said(spectrum):
    """What was assumed of a spectrum, of what is subtracted from it, and of its response."""
    parts = {"": spectrum, "background: ": spectrum.background}
    parts |= {"correction: ": spectrum.correction, "response: ": spectrum.response}
    for prefix, part in parts.items():
        name = getattr(part, "name", "")
        for text in getattr(part, "diagnostics", ()):
            yield prefix + (text.removeprefix(f"{name}: ") if name else text)


class Foldings:
    """Inputs of the forward model for each distinct folding, made when they are asked for.

    Dense matrices of many responses do not fit into memory; those asked for last are kept, up to
    ``KEPT`` bytes.
    """

    def __init__(self, plans, shape, patterns, prepare):
        self.plans, self.shape, self.patterns, self.prepare = plans, shape, patterns, prepare
        self.tables, self.kept, self.held = {}, {}, 0
        self.sparse = self._is_sparse()
        n_energy, n_bin = shape
        rows = sum(part.n_row for part in max((p.response.wide for p in plans), key=len))
        self.nbytes = 24 * self.length if self.sparse else 8 * n_energy * n_bin
        self.nbytes += 8 * rows * n_bin

    def _is_sparse(self):
        """Whether the largest of the matrices is better held as its elements alone."""
        self.length = padded(max(len(self.patterns.of(plan).used) for plan in self.plans))
        elements = self.shape[0] * self.shape[1]
        return elements >= LARGE and self.length < FILL * elements

    def __call__(self, which) -> SpectrumInputs:
        """Inputs of one folding, or stacked ones of several."""
        if np.ndim(which):
            rows = [self._of(int(w)) for w in which]
            return _stack(rows)
        return self._of(int(which))

    def _of(self, number):
        made = self.kept.get(number)
        if made is None:
            made = self._make(self.plans[number])
            if self.held + self.nbytes <= KEPT:
                self.kept[number] = made
                self.held += self.nbytes
        return made

    def _make(self, plan):
        folding = fold(plan, self.patterns.of(plan))
        key = (folding.e_lo.tobytes(), folding.e_hi.tobytes())
        if key not in self.tables:  # once for each distinct grid
            grid = pad_energies(folding.e_lo, folding.e_hi, self.shape[0])
            self.tables[key] = *grid, self.prepare(*grid)
        if self.sparse:
            matrix = _elements(folding, self.length, self.shape[1])
        else:
            matrix = folding.dense(self.shape)
        for part in self.patterns.wide_of(plan) if plan.response.wide else ():
            matrix = _split(matrix, part, self.shape)
        return SpectrumInputs(*self.tables[key], matrix)


def _elements(folding, length, n_bin):
    """`Sparse` with its elements in ascending bins, filled up with zeros."""
    order = np.argsort(folding.bin, kind="stable")
    more = length - len(order)
    return Sparse(
        np.append(folding.energy[order], np.zeros(more, int)).astype(np.int32),
        np.append(folding.bin[order], np.full(more, n_bin - 1)).astype(np.int32),
        np.append(folding.value[order], np.zeros(more)),
        np.zeros(n_bin, bool),
    )


def _split(matrix, part, shape):
    """`Split` padded to ``shape`` (n_energy, n_bin)."""
    more, (n_block, n, n_row) = shape[0] - len(part.row), part.matrix.shape
    wide = part.matrix
    if n_block * n < shape[1]:
        wide = np.zeros((1, shape[1], n_row))
        wide[0, : n_block * n] = part.matrix.reshape(-1, n_row)
    row = np.pad(part.row, (0, more), mode="edge").astype(np.int32)
    return Split(matrix, row, np.pad(part.area, (0, more)), wide)


def _stack(rows):
    import jax

    if len(rows) == 1:  # a view: a large matrix is not copied
        return jax.tree.map(lambda x: x[None], rows[0])
    return jax.tree.map(lambda *x: np.stack(x), *rows)


def make_batches(model, spectra, stats, few, reject) -> list[Batch]:
    """Put spectra into padded batches.

    Parameters
    ----------
    model : Model
    spectra : sequence of Spectrum
    stats : sequence of str or None; None leaves a spectrum out.
    few : int, bins below which a spectrum is rejected with FEW_COUNTS.
    reject : callable (row, status, message or None), told of every spectrum left out.

    Returns
    -------
    list of Batch, few of them for each statistic.
    """
    lanes = plan_lanes(spectra, stats, few, reject)
    patterns = Patterns(model.tree.whole_grid)
    by_stat = defaultdict(lambda: defaultdict(list))
    shapes, contents = {}, {}
    for lane in lanes:
        if id(lane.plan) not in shapes:
            shapes[id(lane.plan)] = _shape(lane.plan, patterns)
            contents[id(lane.plan)] = _content(lane.plan)
        if shapes[id(lane.plan)] is None:
            name = lane.plan.response.name
            reject(lane.row, Status.BAD_DATA, f"The response {name} does not fit into memory.")
    lanes = [lane for lane in lanes if shapes[id(lane.plan)] is not None]
    uses = Counter((lane.stat, contents[id(lane.plan)]) for lane in lanes)
    for lane in lanes:
        often = uses[lane.stat, contents[id(lane.plan)]] >= OFTEN
        by_stat[lane.stat, often][shapes[id(lane.plan)]].append(lane)
    return [
        _fill(model, stat, shape, members, patterns)
        for (stat, _), shapes in by_stat.items()
        for shape, members in merge_shapes(shapes).items()
    ]


def _shape(plan, patterns):
    """Padded shape of a folding; None where its pattern does not fit into memory."""
    try:
        pattern = patterns.of(plan)
    except MemoryError:
        return None
    return padded(pattern.last - pattern.first), padded(plan.n_bins)


def _grids(plans, patterns):
    """Number (n_plan,) of the energies that each is folded from."""
    numbers, grids = {}, []
    for plan in plans:
        pattern, response = patterns.of(plan), plan.response
        part = slice(pattern.first, pattern.last)
        key = response.e_lo[part].tobytes(), response.e_hi[part].tobytes()
        grids.append(numbers.setdefault(key, len(numbers)))
    return np.array(grids)


def _content(plan):
    """What makes foldings equal."""
    return plan.response.key, plan.binning


def _fill(model, stat, shape, lanes, patterns) -> Batch:
    lanes, bins, mask = stack_lanes(lanes, shape[1], partial(weighted, stat))
    plans, place, number = [], {}, {}
    for lane in lanes:
        if id(lane.plan) not in number:  # equal contents are one folding
            key = _content(lane.plan)
            if key not in place:
                place[key] = len(plans)
                plans.append(lane.plan)
            number[id(lane.plan)] = place[key]
    which = np.array([number[id(lane.plan)] for lane in lanes])
    gather = Foldings(plans, shape, patterns, model.tree.prepare)
    return Batch(
        stat=stat,
        index=np.array([lane.row for lane in lanes]),
        bins=bins,
        mask=mask,
        which=which,
        gather=gather,
        n_inputs=len(plans),
        nbytes=gather.nbytes,
        band=lambda: np.array([plan.band for plan in plans])[which],
        grid=lambda: _grids(plans, patterns)[which],
    )
