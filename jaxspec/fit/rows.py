"""Collects what the lanes give into rows, in the order of the data."""

from __future__ import annotations

import re
from collections import Counter

import jax
import numpy as np

from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.fit.compiled import parameters_of
from jaxspec.fit.covariance import errors
from jaxspec.fit.descend import bounds
from jaxspec.fit.result import FitResult
from jaxspec.fit.solve import in_turn
from jaxspec.likelihood.forward import kind_of
from jaxspec.likelihood.objective import PriorTerm
from jaxspec.likelihood.statistics import STATISTICS, statistic_name

CONVERGED = 1e-6  # expected decrease at the end point: a thousandth of a standard deviation
NEAR = 0.01  # the same where a direction is flat: rounding alone is more than that of others


_NUMBER = re.compile(r"[-+]?\d[\d.]*(e[-+]?\d+)?")
SPARSE = (
    "More than half of the bins have no background count: there W-stat underestimates the source; "
    "group the spectrum so that bins hold some background."
)
# Of 120 spectra of 110 counts in 444 bins, drawn from the model, it was 153 where 103 was expected.
UNTOLD = (
    "Bins hold less than one count, and most no background: W-stat then does not tell how well the "
    "model fits, and nothing is expected of it (stat_expected is NaN)."
)
TOGETHER = (
    "can be changed together without any effect on the model: there is no single minimum, and "
    "errors are not defined; freeze one of them."
)
OUTSIDE = (
    "lies outside of the fitted energies: only what the response brings into them speaks of it; "
    "limits keep it inside."
)
FIXED = "Nothing is free: the statistic is that of the values of the model."
LIMIT = "the iteration limit was reached; raise max_iter, or set a better start"
STUCK = "no step leads down any more, as where the statistic has a kink; set a better start"


class Rows:
    """Arrays (n_row, ...) filled as the lanes finish; `result` makes the `FitResult`."""

    def __init__(self, model, data):
        n, n_par = len(data), len(model.parameters)
        self.model, self.data = model, data
        self.params = np.full((n, n_par), np.nan)
        self.covariance = np.full((n, n_par, n_par), np.nan)
        self.fisher = np.full((n, n_par, n_par), np.nan)
        self.stat = np.full(n, np.nan)
        self.stat_expected = np.full(n, np.nan)
        self.stat_variance = np.full(n, np.nan)
        self.edm = np.full(n, np.nan)
        self.n_bins = np.zeros(n, dtype=int)
        self.iterations = np.zeros(n, dtype=int)
        self.status = np.full(n, Status.NO_DATA, dtype=int)
        self.messages = [Status.NO_DATA.sentence] * n
        self.stat_names = [""] * n
        self.notes = Counter()
        self.n_free = len(model.free_names)

    def reject(self, row, status, message=None):
        """End a row without a fit."""
        self.status[row] = status
        self.messages[row] = message or Status(status).sentence

    def remark(self, sentence):
        """Remember a sentence that concerns all rows; an empty one is none."""
        if sentence:
            self.notes[sentence] += len(self.data)

    def note(self, row, stat, sentence):
        """Remember which statistic a row uses, and why."""
        self.stat_names[row] = stat
        if sentence:
            self.notes[sentence] += 1

    def remark_data(self):
        """Remember what was assumed of the data; sentences that differ in numbers are one."""
        found = {}
        for item in self.data:
            for text in dict.fromkeys(kind_of(item).said(item)):
                alike = found.setdefault(_NUMBER.sub("#", text), [Counter(), item.name])
                alike[0][text] += 1
        for texts, name in found.values():
            first, n = next(iter(texts)), texts.total()
            where = f" (in {name}; others differ in the numbers)" if len(texts) > 1 else ""
            self.notes[f"{first}{where}."] += n

    def record(self, solved):
        """Take the lanes of a group that were fitted one by one.

        Parameters
        ----------
        solved : jaxspec.fit.solve.Solved
        """
        group, end = solved
        theta = in_turn(group, end.theta)
        found = errors(end.theta, end.local, bounds(group))
        self.fill(group, theta, end.local, found, end.iterations)

    def fill(self, group, theta, local, found, iterations, with_priors=True):
        """Take the lanes of a group.

        Parameters
        ----------
        group : Group
        theta : (n_lane, n_par)
        local : Quadratic, of which ``value`` (n_lane,) and ``mean`` (n_lane, n_bin) are used.
        found : Errors of the lanes, by theta.
        iterations : (n_lane,) int
        with_priors : bool, whether ``value`` holds the priors.
        """
        batch, rows = group.full, group.full.index
        with jax.enable_x64(True):
            params, d_params = parameters_of(group.functions, group.numbers.links, theta)
        back = np.swapaxes(d_params, -1, -2)
        self.params[rows] = params
        self.covariance[rows] = d_params @ found.covariance @ back
        self.fisher[rows] = d_params @ found.fisher @ back
        priors = group.numbers.priors if with_priors else {}
        self.stat[rows] = local.value - penalty(priors, params)
        self.edm[rows] = found.edm
        self.iterations[rows] = iterations
        self.n_bins[rows] = batch.mask.sum(axis=1)
        mean, variance = STATISTICS[batch.stat].expected(batch.bins, local.mean)
        self.stat_expected[rows] = np.where(batch.mask, mean, 0.0).sum(axis=1)
        self.stat_variance[rows] = np.where(batch.mask, variance, 0.0).sum(axis=1)
        if batch.stat == "wstat":
            empty = ((batch.bins.background <= 0) & batch.mask).sum(axis=1)
            sparse = empty > 0.5 * self.n_bins[rows]
            untold = sparse & ((batch.bins.counts * batch.mask).sum(axis=1) < self.n_bins[rows])
            self.notes[SPARSE] += int(sparse.sum())
            self.notes[UNTOLD] += int(untold.sum())
            self.stat_expected[rows[untold]] = self.stat_variance[rows[untold]] = np.nan
        cut = iterations >= int(group.numbers.max_iter)
        status = judge(found, local.value, params, cut)
        self.status[rows] = status
        sentences = {code: Status(code).sentence for code in np.unique(status)}
        if not self.model.free_names:
            sentences[Status.OK] = FIXED
            self.notes[FIXED] += int((status == Status.OK).sum())
        for row, code in zip(rows, status, strict=True):
            self.messages[row] = sentences[code]
        for lane in np.flatnonzero(status == Status.AT_LIMIT):
            said = f"{self._names(found.held[lane])}: {Status.AT_LIMIT.sentence}"
            self.messages[rows[lane]] = said
        for lane in np.flatnonzero(status == Status.NOT_CONVERGED):
            why = LIMIT if cut[lane] else STUCK
            left = f"{found.edm[lane]:.2g} of the statistic is still to gain"
            if found.worst[lane] >= 0:
                left += f", most of it in {self.model.parameters[found.worst[lane]].full_name}"
            self.messages[rows[lane]] = f"{Status.NOT_CONVERGED.sentence[:-1]}: {why}. {left}."
        for lane in np.flatnonzero(status == Status.DEGENERATE):
            which = self._names(found.alike[lane]) or "Some parameters"
            self.messages[rows[lane]] = f"{which} {TOGETHER}"
        usable = np.isin(status, FitResult.USABLE)
        self._say_what_is_outside(group, params, usable)
        self._say_what_links_do(params[usable])

    def _say_what_links_do(self, params):
        """Note which linked parameters are beyond their own limits, which links do not know."""
        for p in self.model.parameters:
            value = params[:, p.number - 1]
            beyond = int(((value < p.min) | (value > p.max)).sum()) if p.link else 0
            if beyond:
                sentence = (
                    f"{p.full_name} follows its link beyond its limits, {p.min:g} to {p.max:g}"
                )
                self.notes[f"{sentence}."] += beyond

    def _say_what_is_outside(self, group, params, usable):
        """Add to messages and notes which energies lie outside of what was fitted."""
        place = np.flatnonzero(usable)
        rows, band = group.full.index[place], group.own.band[place]
        for i, p in enumerate(self.model.parameters):
            if p.role != "energy" or not p.free:
                continue
            values, (low, high) = params[place, i], band.T
            for row in rows[(values < low) | (values > high)]:
                self.notes[f"{p.full_name} {OUTSIDE}"] += 1
                self.messages[row] += f" {p.full_name} {OUTSIDE}"

    def _names(self, which):
        """Full names of the parameters in ``which`` (n_par,) bool."""
        return ", ".join(self.model.parameters[i].full_name for i in np.flatnonzero(which))

    def result(self, model=None, together=None, **settings) -> FitResult:
        """Freeze the rows; ``model`` is that of the first datum, with its limits and units."""
        unusable = ~np.isin(self.status, FitResult.USABLE)
        bad = unusable & (self.status != Status.NOT_CONVERGED)
        for array in (self.params, self.stat, self.stat_expected, self.stat_variance):
            array[bad] = np.nan
        for array in (self.covariance, self.fisher):
            array[unusable] = np.nan
        return FitResult(
            model=self.model if model is None else model,
            data=self.data,
            params=self.params,
            covariances={"observed": self.covariance, "expected": self.fisher},
            stat=self.stat,
            stat_names=self.stat_names,
            n_bins=self.n_bins,
            stat_expected=self.stat_expected,
            stat_variance=self.stat_variance,
            status=self.status,
            messages=self.messages,
            iterations=self.iterations,
            edm=self.edm,
            notes={sentence: n for sentence, n in self.notes.items() if n},
            n_free=self.n_free,
            settings=settings,
            together=together,
        )


def prepare_rows(model, items, stat):
    """`Rows` of all data, and the statistic of each (None where there is none).

    A datum for which a statistic cannot be is a row that says why; if no datum can have the one
    that was asked for it, that is an error.
    """
    rows = Rows(model, items)
    rows.remark(flux_and_norm(model))
    if not isinstance(stat, str | list | tuple):
        raise InputError(f"{stat!r} is not a statistic", parameter="stat", remedy="use 'auto'")
    wanted = [stat] * len(items) if isinstance(stat, str) else list(stat)
    if len(wanted) != len(items):
        raise InputError(
            f"{len(wanted)} statistics for {len(items)} data",
            parameter="stat",
            remedy="give one name, or one for each datum",
        )
    for name in wanted:
        if str(name).strip().lower() != "auto":
            statistic_name(name)
    chosen, refused = [], []
    for i, (item, name) in enumerate(zip(items, wanted, strict=True)):
        if (status := getattr(item, "status", None)) is not None:
            rows.reject(i, status, item.message)
            chosen.append(None)
            continue
        try:
            used, note = kind_of(item).statistic(item, name)
        except InputError as error:  # such as wstat without a background: the others are fitted
            refused.append(error)
            rows.reject(i, Status.BAD_DATA, str(error).removeprefix(f"{item.name}: "))
            used, note = None, ""
        else:
            rows.note(i, used, note)
        chosen.append(used)
    if refused and not any(chosen):
        raise refused[0]
    rows.remark_data()
    return rows, chosen


def flux_and_norm(model):
    """A sentence for models in which a logarithmic flux and a norm both set the flux, else ""."""
    free = [p for p in model.parameters if p.free]
    fluxes = [p for p in free if p.role == "log amplitude"]
    norms = [model.parameters[i] for i in model.tree.norm_indices]
    if not fluxes or not all(p.free for p in norms):
        return ""
    flux = fluxes[0].label
    return f"{flux} and {norms[0].full_name} both set the flux: freeze one norm, or no fit ends."


def penalty(priors, params) -> np.ndarray:
    """Minus twice the logarithm of the priors (n_lane,); zero without any."""
    if not priors:
        return np.zeros(len(params))
    with jax.enable_x64(True):
        return -2.0 * np.asarray(jax.vmap(PriorTerm(priors).log_density)(params))


def judge(found, value, params, cut):
    """Status (n_lane,) from the end points.

    Parameters
    ----------
    found : Errors; value : (n_lane,), the statistic; params : (n_lane, n_par)
    cut : (n_lane,) bool, the iteration limit was reached.
    """
    held = np.any(found.held, axis=1)
    finite = np.isfinite(value) & np.all(np.isfinite(params), axis=1)
    status = np.full(len(held), Status.OK, dtype=int)
    status[held] = Status.AT_LIMIT
    status[~found.definite] = Status.HESSIAN_NOT_PD
    status[~found.distinct] = Status.DEGENERATE
    done = found.edm <= np.where(found.distinct, CONVERGED, NEAR)
    status[~done | (cut & ~found.distinct)] = Status.NOT_CONVERGED
    status[~finite] = Status.NAN_MODEL
    return status
