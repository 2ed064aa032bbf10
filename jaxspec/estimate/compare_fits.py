"""Which of several models is to be preferred, by the statistics of their fits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jaxspec._status import Status
from jaxspec._text import align
from jaxspec.errors import InputError
from jaxspec.fit.joint_result import JointResult
from jaxspec.likelihood.forward import same_data
from jaxspec.likelihood.statistics import STATISTICS

CRITERIA = ("aic", "bic")
SHOWN = 20  # rows and notes that are printed
NESTED = (
    "Differences of the statistic follow chi-square only for nested models none of which has a "
    "parameter on a limit: no p-value is given."
)
MAP = (
    "maximum of the posterior: the statistic is that of the data there, above its minimum, and "
    "AIC and BIC are meant for minima"
)


class Unit(NamedTuple):
    """What is compared: one datum, or data that were fitted together.

    ``members`` list of (datum, statistic); ``note`` what is to be noticed, empty for nothing.
    """

    name: str
    members: list
    stat: float
    n_free: int
    n_bins: int
    usable: bool
    note: str


@dataclass(frozen=True, eq=False, repr=False)
class FitComparison:
    """Models by AIC or BIC, for each datum or joint set that they were fitted to.

    Parameters
    ----------
    criterion : "aic" or "bic"
    models : tuple of str, in the order given.
    names : list of str, the data or the labels of joint sets.
    values : (n_row, n_model), the criterion; lower is better, NaN without a usable fit.
    stat : (n_row, n_model), the statistic.
    n_free, dof : (n_row, n_model) int, free parameters; bins minus these.
    notes : list of dict from model to str, what is to be noticed in each row.
    """

    criterion: str
    models: tuple[str, ...]
    names: list
    values: np.ndarray
    stat: np.ndarray
    n_free: np.ndarray
    dof: np.ndarray
    notes: list

    def __len__(self):
        return len(self.names)

    @cached_property
    def differences(self) -> np.ndarray:
        """The criterion (n_row, n_model) minus that of the best model of the row."""
        return self.values - self._of_best(self.values)[:, None]

    @cached_property
    def best(self) -> list[str]:
        """Model of the lowest criterion in each row; "" where fewer than two can be compared."""
        comparable = np.isfinite(self.values).sum(axis=1) > 1
        return [self.models[i] if c else "" for i, c in zip(self._best, comparable, strict=True)]

    @cached_property
    def by(self) -> np.ndarray:
        """How much lower (n_row,) the best model is than the next; NaN where none is compared."""
        return np.sort(self.differences, axis=1)[:, 1]

    @cached_property
    def _best(self):
        return np.argmin(np.where(np.isfinite(self.values), self.values, np.inf), axis=1)

    def _of_best(self, array):
        return array[np.arange(len(array)), self._best]

    @cached_property
    def table(self):
        """`astropy.table.QTable`; of one row: a row per model, the best one first.

        Columns: name, the criterion, difference, stat, n_free, dof, stat_difference and
        n_free_difference (to the best model), note. Of many: a row per datum with name, best, by,
        then ``aic``, ``difference``, ``stat`` and ``n_free`` of every model as ``aic[model]``,
        and note.
        """
        from astropy.table import QTable

        table = QTable(self._one(0) if len(self) == 1 else self._many())
        table.meta["SENTENCE"] = self.sentence
        return table

    def _one(self, row):
        order = np.argsort(self.values[row], kind="stable")  # NaN last
        best = order[0]
        columns = {"name": [self.models[i] for i in order], self.criterion: self.values[row, order]}
        columns["difference"] = self.differences[row, order]
        for name in ("stat", "n_free", "dof"):
            columns[name] = getattr(self, name)[row, order]
        for name in ("stat", "n_free"):
            values = getattr(self, name)[row]
            columns[f"{name}_difference"] = (values - values[best])[order]
        columns["note"] = [self.notes[row].get(self.models[i], "") for i in order]
        return columns

    def _many(self):
        columns = {"name": self.names, "best": self.best, "by": self.by}
        for i, model in enumerate(self.models):
            for name in ("values", "differences", "stat", "n_free"):
                label = {"values": self.criterion, "differences": "difference"}.get(name, name)
                columns[f"{label}[{model}]"] = getattr(self, name)[:, i]
        columns["note"] = ["; ".join(f"{m}: {n}" for m, n in x.items()) for x in self.notes]
        return columns

    @cached_property
    def sentence(self) -> str:
        """What is preferred and how strongly; for many rows, how often."""
        if len(self) > 1:
            return self._counts()
        if not self.best[0]:
            return "nothing can be compared: fewer than two models have a usable fit"
        columns = self._one(0)
        names = columns["name"]
        return in_words(self.criterion, names, columns["difference"][1])

    def _counts(self):
        said = []
        best = np.array(self.best)
        for model in self.models:
            ahead = self.by[best == model]
            said.append(f"{model} in {len(ahead)} ({(ahead >= 10).sum()} by 10 or more)")
        text = f"lowest {self.criterion.upper()} of {len(self)} rows: {', '.join(said)}"
        left = int((best == "").sum())
        return f"{text}; {left} cannot be compared" if left else text

    def __repr__(self):
        lines = self._table_of_one() if len(self) == 1 else self._table_of_many()
        found = [
            f"{model}: {note}" if len(self) == 1 else f"{name}, {model}: {note}"
            for name, notes in zip(self.names, self.notes, strict=True)
            for model, note in notes.items()
        ]
        more = [f"... {len(found) - SHOWN} more notes; see .table"] if len(found) > SHOWN else []
        return "\n".join([*lines, self.sentence, *found[:SHOWN], *more, NESTED])

    def _table_of_one(self):
        head = ["model", self.criterion.upper(), "difference", "stat", "free", "dof", "d stat"]
        rows = [[*head, "d free"]]
        columns = self._one(0)
        columns.pop("note")
        for name, *numbers in zip(*columns.values(), strict=True):
            value, difference, stat, free, dof, d_stat, d_free = numbers
            floats = [_text(x) for x in (value, difference, stat)]
            rows.append([name, *floats, str(free), str(dof), _text(d_stat), f"{d_free:+d}"])
        return align(rows, right=range(1, len(rows[0])))

    def _table_of_many(self):
        label = self.criterion.upper()
        rows = [["name", "best", "by", *(f"{label} {model}" for model in self.models)]]
        for name, best, by, values in zip(
            self.names[:SHOWN], self.best, self.by, self.values, strict=False
        ):
            rows.append([str(name), best or "-", _text(by), *map(_text, values)])
        lines = align(rows, right=range(2, len(rows[0])))
        if len(self) > SHOWN:
            lines.append(f"... {len(self) - SHOWN} more rows; see .table")
        return lines

    def _repr_html_(self):
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"


def _text(number):
    return f"{number:.2f}" if np.isfinite(number) else "-"


def in_words(criterion, names, difference):
    """How strongly the first of ``names`` is preferred, by the usual rule of thumb."""
    words = ["hardly", "slightly", "clearly", "strongly"]
    word = words[np.searchsorted([2.0, 5.0, 10.0], difference, side="right")]
    return preferred(word, criterion, names, f"{difference:.1f}")


def preferred(word, criterion, names, by):
    """Sentence that says what is preferred to the next best model."""
    best, other = names[:2]
    text = f"{best} is {word} preferred to {other}: its {criterion.upper()} is lower by {by}"
    return text + ("; the data do not tell them apart" if word == "hardly" else "")


def compare_fits(results, criterion="aic") -> FitComparison:
    """Compare fits; see `jaxspec.estimate.compare.compare`.

    Parameters
    ----------
    results : dict of name to FitResult or JointResult, two or more.
    criterion : "aic" or "bic"
    """
    if criterion not in CRITERIA:
        raise InputError(
            f"is {criterion!r}, and these are fits", parameter="criterion",
            remedy=f"use {', '.join(CRITERIA)}",
        )  # fmt: skip
    units = {name: _units(result) for name, result in results.items()}
    (first, one), *others = units.items()
    for name, other in others:
        _check_same(first, one, name, other)
    rows = list(zip(*units.values(), strict=True))
    stat, n_free, n_bins, usable = (
        np.array([[getattr(unit, key) for unit in row] for row in rows])
        for key in ("stat", "n_free", "n_bins", "usable")
    )
    price = 2.0 if criterion == "aic" else np.log(np.maximum(n_bins, 1))
    return FitComparison(
        criterion=criterion,
        models=tuple(results),
        names=[unit.name for unit in one],
        values=np.where(usable, stat + price * n_free, np.nan),
        stat=stat,
        n_free=n_free,
        dof=np.where(n_bins > 0, n_bins - n_free, 0),
        notes=[{m: u.note for m, u in zip(results, row, strict=True) if u.note} for row in rows],
    )


def _units(result) -> list[Unit]:
    """What was fitted by itself: every datum, every joint set, or everything."""
    if isinstance(result, JointResult):
        parts = [(part, np.arange(len(part))) for part in result.values()]
        return [_unit("all", parts, result.n_free)]
    if not result.joint:
        free = result.n_free
        return [_unit(name, [(result, [i])], free) for i, name in enumerate(result.names)]
    together = result.together
    names = ["all"] if together.names is None else together.names
    sets = [np.flatnonzero(together.label == s) for s in range(len(names))]
    return [
        _unit(name, [(result, rows)], int(free))
        for name, rows, free in zip(names, sets, together.n_free, strict=True)
    ]


def _unit(name, parts, n_free) -> Unit:
    """Unit of rows of one result or of several, ``parts`` list of (FitResult, rows)."""
    every = [(part, i) for part, rows in parts for i in rows]
    used = [(part, i) for part, i in every if part.n_bins[i] > 0]
    usable = bool(used) and all(part.usable[i] for part, i in used)
    said = [part.messages[i] for part, i in used or every if part.status[i] != Status.OK]
    said = list(dict.fromkeys(said))
    if used and len(used) < len(every):
        said.append(f"{len(every) - len(used)} of {len(every)} data were left out")
    if any(part.settings.get("priors") for part, _ in parts):
        said.append(MAP)
    return Unit(
        name=str(name),
        members=[(part.data[i], part.stat_names[i]) for part, i in used],
        stat=float(sum(part.stat[i] for part, i in used)) if used else np.nan,
        n_free=n_free,
        n_bins=int(sum(part.n_bins[i] for part, i in used)),
        usable=usable,
        note="; ".join(text.rstrip(".") for text in said),
    )


def _check_same(first, one, name, other):
    """Refuse results whose statistics cannot be compared."""
    if len(one) != len(other):
        raise InputError(
            f"{first} has {len(one)} fits and {name} has {len(other)}",
            remedy="fit both models to the same data, both with the same joint=",
        )
    for a, b in zip(one, other, strict=True):
        if not (a.members and b.members):
            continue
        if len(a.members) != len(b.members):
            raise InputError(
                f"{first} and {name} were fitted to {len(a.members)} and {len(b.members)} data "
                f"in {a.name}",
                remedy="fit both models to the same data, both with the same joint=",
            )
        for (datum, stat), (theirs, their_stat) in zip(a.members, b.members, strict=True):
            _check_statistics(first, stat, name, their_stat, datum)
            if not same_data(datum, theirs):
                raise InputError(
                    f"{first} and {name} were not fitted to the same data: {datum.name} with "
                    f"{a.n_bins} bins and {theirs.name} with {b.n_bins} bins differ in counts, "
                    "errors, ranges or grouping",
                    remedy="fit both models to the same data",
                )


def _check_statistics(first, stat, name, their_stat, datum):
    if stat != their_stat:
        raise InputError(
            f"{first} has {stat} and {name} has {their_stat} for {datum.name}",
            parameter="stat",
            remedy="fit both models with the same statistic",
        )
    if not STATISTICS[stat].likelihood:
        raise InputError(
            f"{stat} of {datum.name} is no likelihood: the errors, and with them its constant, "
            "depend on the model",
            parameter="stat",
            remedy="fit with cstat, or chi2",
        )
