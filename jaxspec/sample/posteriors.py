"""Posteriors of many data: a row, a status and a `Posterior` for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from jaxspec._ask import row_number
from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.sample.summary import made_by


class Posteriors(Sequence):
    """Independent posteriors in the order of the data.

    ``posteriors[3]`` and ``posteriors["name"]`` give the `Posterior` of one datum, or raise
    `InputError` with the message of a row that has none; iterating, and a slice, give None there.

    Attributes
    ----------
    names : list of str
    status : (n_row,) int, see `Status`; messages : list of str
        NOT_CONVERGED where R-hat, an effective sample size or a divergence says so.
    fit : FitResult, the fits from which the chains started.
    seconds : float
    """

    def __init__(self, names, posteriors, status, messages, fit, seconds):
        self.names, self._items = list(names), list(posteriors)
        self.status, self.messages = np.asarray(status), list(messages)
        self.fit, self.seconds = fit, seconds

    @classmethod
    def of(cls, items, made, fit, seconds) -> Posteriors:
        """From the `Drawn` lanes by row; rows without one keep the status of their fit."""
        status, messages, posteriors = fit.status.copy(), list(fit.messages), []
        for row in range(len(items)):
            drawn = made.get(row)
            posteriors.append(None if drawn is None else drawn.finished(fit))
            if drawn is not None:
                status[row], messages[row] = judge(posteriors[-1])
        return cls(items.names, posteriors, status, messages, fit, seconds)

    @classmethod
    def of_sets(cls, names, posteriors, seconds) -> Posteriors:
        """From joint posteriors, one for each label."""
        judged = [
            (Status.NAN_MODEL, "No fit of this set was finite.") if p is None else judge(p)
            for p in posteriors
        ]
        status, messages = zip(*judged, strict=True)
        first = next((p for p in posteriors if p is not None), None)
        fit = None if first is None else first.fit
        return cls(map(str, names), posteriors, status, messages, fit, seconds)

    def __len__(self):
        return len(self._items)

    def __getitem__(self, row):
        if isinstance(row, slice):
            return self._items[row]
        row = row_number(self.names, row)
        found = self._items[row]
        if found is None:
            raise InputError(f"row {row} has no posterior: {self.messages[row]}")
        return found

    def __iter__(self):
        return iter(self._items)

    @property
    def ok(self) -> np.ndarray:
        """Rows (n_row,) whose chains have nothing to be warned of."""
        return self.status == Status.OK

    @cached_property
    def table(self):
        """`astropy.table.QTable`, one row per datum.

        Columns: name, then the median of each parameter that was not frozen with ``_lo`` and
        ``_hi``, its 16 and 84 % quantiles; rhat (the largest), ess (the smallest bulk effective
        sample size), divergent, status, message.
        """
        from astropy.table import QTable

        from jaxspec.fit.tables import astropy_unit

        first = next((p for p in self._items if p is not None), None)
        table = QTable({"name": self.names})
        for i, name in enumerate(() if first is None else first.names):
            unit = astropy_unit(first.units[i])
            three = np.array(
                [
                    np.full(3, np.nan) if p is None else p.quantiles([0.5, 0.16, 0.84])[:, i]
                    for p in self._items
                ]
            )
            for k, suffix in enumerate(("", "_lo", "_hi")):
                table[f"{name}{suffix}"] = three[:, k] * (1 if unit is None else unit)
        for column, of in (
            ("rhat", lambda p: p.rhat.max()),
            ("ess", lambda p: p.ess.min()),
            ("divergent", lambda p: p.n_divergent),
        ):
            table[column] = [np.nan if p is None else float(of(p)) for p in self._items]
        table["status"] = [Status(s).name for s in self.status]
        table["message"] = self.messages
        if first is not None:
            table.meta.update(made_by(first))
        return table

    def write(self, path, overwrite=False):
        """Write the table, with the files of each datum and their hashes.

        Raises
        ------
        InputError
            As `jaxspec.fit.result.FitResult.write`.
        """
        from jaxspec.fit.store import add_origin, refuse_inputs
        from jaxspec.fit.tables import check_path, write_table

        check_path(path, overwrite)
        table = self.table.copy(copy_data=False)
        if self.fit is not None and self.fit.names == self.names:  # a row per datum, not per set
            refuse_inputs(path, self.fit.data)
            add_origin(table, self.fit.data)
        return write_table(table, path, overwrite)

    def summary(self) -> str:
        """How the rows ended, and the worst diagnostics."""
        ends = Counter(Status(s).name for s in self.status)
        some = [p for p in self._items if p is not None]
        lines = [
            f"{self.fit.model.expression}: {len(self)} posteriors in {self.seconds:.1f} s: "
            + ", ".join(f"{n} {name}" for name, n in ends.most_common())
        ]
        if some:
            n_chain, n_draw = some[0].chains.shape[:2]
            lines.append(
                f"{n_chain} chains of {n_draw} draws each; largest R-hat "
                f"{max(p.rhat.max() for p in some):.3f}, smallest ESS "
                f"{min(p.ess.min() for p in some):.0f}, "
                f"{sum(p.n_divergent for p in some)} divergent draws"
            )
        return "\n".join(lines)

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>{self.table._repr_html_()}"


def judge(posterior) -> tuple[int, str]:
    """Status of one posterior and a sentence.

    Divergences count: they may hide a part of the posterior, of which R-hat sees nothing.
    """
    if posterior.converged:
        return Status.OK, " ".join(["The chains agree.", *posterior.left_out])
    return Status.NOT_CONVERGED, "; ".join(posterior.warnings)
