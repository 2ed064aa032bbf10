"""Collects what the lanes give into rows, in the order of the spectra."""

from __future__ import annotations

from collections import Counter

import numpy as np

from jaxspec._status import Status
from jaxspec.fit.result import FitResult
from jaxspec.likelihood.goodness import expected_statistic

CONVERGED = 1e-6  # expected decrease at the end point: a thousandth of a standard deviation


SPARSE = (
    "More than half of the bins have no background count: there W-stat underestimates the source; "
    "group the spectrum so that bins hold some background."
)


class Rows:
    """Arrays (n_row, ...) filled as the lanes finish; `result` makes the `FitResult`."""

    def __init__(self, model, spectra):
        n, n_par = len(spectra), len(model.parameters)
        self.model, self.spectra = model, spectra
        self.params = np.full((n, n_par), np.nan)
        self.covariance = np.full((n, n_par, n_par), np.nan)
        self.covariance_expected = np.full((n, n_par, n_par), np.nan)
        self.stat = np.full(n, np.nan)
        self.expected = np.full(n, np.nan)
        self.expected_variance = np.full(n, np.nan)
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
            self.notes[sentence] += len(self.spectra)

    def note(self, row, stat, sentence):
        """Remember which statistic a row uses, and why."""
        self.stat_names[row] = stat
        if sentence:
            self.notes[sentence] += 1

    def record(self, batch, ending):
        """Take the lanes of a batch: ``ending`` is an `Ending` with a lane axis."""
        rows = batch.index
        self.params[rows] = ending.params
        self.covariance[rows] = ending.covariance
        self.covariance_expected[rows] = ending.covariance_expected
        self.stat[rows] = ending.value
        self.edm[rows] = ending.edm
        self.iterations[rows] = ending.iterations
        self.n_bins[rows] = batch.mask.sum(axis=1)
        mean, variance = expected_statistic(batch.stat, batch.bins, ending.rate)
        self.expected[rows] = np.where(batch.mask, mean, 0.0).sum(axis=1)
        self.expected_variance[rows] = np.where(batch.mask, variance, 0.0).sum(axis=1)
        if batch.stat == "wstat":
            empty = ((batch.bins.background <= 0) & batch.mask).sum(axis=1) > 0.5 * self.n_bins[
                rows
            ]
            self.notes[SPARSE] += int(empty.sum())
        status = judge(ending)
        self.status[rows] = status
        free = [p.full_name for p in self.model.parameters]
        for row, code, held in zip(rows, status, ending.held, strict=True):
            self.messages[row] = Status(code).sentence
            if code == Status.AT_LIMIT:
                names = ", ".join(free[i] for i in np.flatnonzero(held))
                self.messages[row] = f"{names}: {Status.AT_LIMIT.sentence}"

    def result(self, **settings) -> FitResult:
        """Freeze the rows."""
        unusable = ~np.isin(self.status, FitResult.USABLE)
        bad = unusable & (self.status != Status.NOT_CONVERGED)
        for array in (self.params, self.stat, self.expected, self.expected_variance):
            array[bad] = np.nan
        for array in (self.covariance, self.covariance_expected):
            array[unusable] = np.nan
        return FitResult(
            model=self.model,
            spectra=self.spectra,
            params=self.params,
            covariances={"observed": self.covariance, "expected": self.covariance_expected},
            stat=self.stat,
            stat_names=self.stat_names,
            n_bins=self.n_bins,
            expected=self.expected,
            expected_variance=self.expected_variance,
            status=self.status,
            messages=self.messages,
            iterations=self.iterations,
            edm=self.edm,
            notes={sentence: n for sentence, n in self.notes.items() if n},
            n_free=self.n_free,
            settings=settings,
        )


def judge(ending):
    """Status (n_lane,) from the end points."""
    held = np.any(ending.held, axis=1)
    converged = ending.edm <= CONVERGED
    finite = np.isfinite(ending.value) & np.all(np.isfinite(ending.params), axis=1)
    status = np.full(len(held), Status.OK, dtype=int)
    status[held] = Status.AT_LIMIT
    status[~ending.definite] = Status.HESSIAN_NOT_PD
    status[~converged] = Status.NOT_CONVERGED
    status[~finite] = Status.NAN_MODEL
    return status
