"""What a fit hands back: one row per spectrum."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.stats import norm

from jaxspec._ask import probability, row_number
from jaxspec._environment import versions
from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.likelihood.goodness import excess

ROWS = (
    "params",
    "stat",
    "stat_names",
    "n_bins",
    "stat_expected",
    "stat_variance",
    "status",
    "messages",
    "iterations",
    "edm",
)


@dataclass(eq=False)
class Together:
    """What the rows of a joint fit have in common.

    Parameters
    ----------
    label : (n_row,) int, the joint set of each row.
    shared : (n_set, n_shared, n_shared), covariances of what the rows of a set share.
    edm : (n_set,)
    levers : (n_row, n_par, n_shared)
        How the parameters of a row follow the shared ones; zero for rows that were left out.
    n_free : (n_set,) int, free parameters.
    names : list, the labels that the user gave, or None for one set of everything.
    fixed : (n_row, n_par) bool, what is held at a value that was given for the row; None: nothing.
    """

    label: np.ndarray
    shared: np.ndarray
    edm: np.ndarray
    levers: np.ndarray
    n_free: np.ndarray
    names: list | None = None
    fixed: np.ndarray | None = None

    @classmethod
    def nothing(cls, label, n_par, shared=None, edm=()):
        """Sets whose lanes were not recorded yet."""
        n_set = 1 + int(np.max(label))
        shared = np.zeros((n_set, 0, 0)) if shared is None else shared
        levers = np.zeros((len(label), n_par, shared.shape[-1]))
        return cls(label, shared, np.asarray(edm), levers, np.zeros(n_set, dtype=int))

    def covariance(self, a, b) -> np.ndarray:
        """Covariance (n_par, n_par) between the parameters of two different rows."""
        if self.label[a] != self.label[b]:
            return np.zeros((self.levers.shape[1],) * 2)
        return self.levers[a] @ self.shared[self.label[a]] @ self.levers[b].T


@dataclass(frozen=True, eq=False)
class FitResult:
    """Best-fit parameters, errors and a status for every datum.

    Parameters
    ----------
    model : Model, as it was fitted.
    data : SpectrumList or DataList, in the order of the rows; ``spectra`` is the same.
    params : (n_row, n_par), every parameter of the model, links applied.
    covariances : dict of (n_row, n_par, n_par), "observed" and "expected" information.
    stat, stat_expected, stat_variance : (n_row,)
        The statistic, and what it would be on average, with its variance, if the best-fit model
        were true (Kaastra 2017).
    n_bins, iterations : (n_row,) int
    status : (n_row,) int, see `Status`; messages : list of str, the same in words.
    edm : (n_row,) decrease of the statistic that is still expected at the end point.
    n_free : int, free parameters of each row, or of all rows together in a joint fit.
    stat_names : list of str, the statistic of each row; notes : dict sentence -> rows.
    settings : dict, seconds and options of the call.
    together : Together or None, of joint fits.
    """

    model: object
    data: object
    params: np.ndarray
    covariances: dict
    stat: np.ndarray
    stat_names: list
    n_bins: np.ndarray
    stat_expected: np.ndarray
    stat_variance: np.ndarray
    status: np.ndarray
    messages: list
    iterations: np.ndarray
    edm: np.ndarray
    n_free: int
    notes: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    together: Together | None = None

    USABLE = (Status.OK, Status.AT_LIMIT, Status.HESSIAN_NOT_PD, Status.DEGENERATE)

    def __len__(self):
        return len(self.status)

    @property
    def spectra(self):
        """The data, by the name that they have in fits of spectra."""
        return self.data

    @property
    def names(self) -> list[str]:
        """Name of each datum."""
        return self.data.names

    @property
    def usable(self) -> np.ndarray:
        """Rows (n_row,) that have a best fit."""
        return np.isin(self.status, self.USABLE)

    @property
    def status_counts(self) -> Counter:
        """How many rows ended how."""
        return Counter(Status(s).name for s in self.status)

    @property
    def ok(self) -> np.ndarray:
        """Rows (n_row,) that converged with all errors defined."""
        return self.status == Status.OK

    @cached_property
    def columns(self) -> list[str]:
        """Name in the table of each parameter that was not frozen: short where unambiguous."""
        shown = [p for p in self.model.parameters if not p.frozen]
        short = Counter(p.name for p in shown)
        return [p.name if short[p.name] == 1 else p.full_name for p in shown]

    @cached_property
    def shown(self) -> np.ndarray:
        """Indices of the parameters in ``columns``."""
        return np.array([p.number - 1 for p in self.model.parameters if not p.frozen], dtype=int)

    def _place(self, name):
        if name in self.columns:
            return self.shown[self.columns.index(name)]
        return self.model[name].number - 1

    def full_name(self, name) -> str:
        """Full name of a parameter that is given by its name in ``columns``."""
        return self.model.parameters[self._place(name)].full_name

    def value(self, name) -> np.ndarray:
        """Best-fit values (n_row,) of one parameter."""
        return self.params[:, self._place(name)]

    def unit(self, name) -> str:
        """Unit of one parameter as text, empty for a pure number."""
        return self.model.parameters[self._place(name)].unit

    def error(self, name, kind="observed") -> np.ndarray:
        """One-sigma errors (n_row,) of one parameter; NaN where the status says why."""
        place = self._place(name)
        with np.errstate(invalid="ignore"):
            sigma = np.sqrt(self._covariance(kind)[:, place, place])
        return np.where(sigma > 0, sigma, np.nan)

    def interval(self, name, level=0.6827) -> np.ndarray:
        """Intervals (n_row, 2) of one parameter from its error.

        That of an amplitude that cannot be negative is symmetric in its logarithm: near the
        minimum of few counts the statistic is closer to a parabola there. How often such intervals
        hold the truth is in the docs (results).

        Parameters
        ----------
        name : str
        level : float, the probability that is wanted, between 0 and 1.

        Raises
        ------
        InputError
            A level that is no probability, such as 90 for 90 %.

        Examples
        --------
        >>> result.interval("norm", 0.9)                               # doctest: +SKIP
        """
        value, error = self.value(name), self.error(name)
        reach = float(norm.isf(0.5 * (1.0 - probability(level, "level")))) * error
        parameter = self.model.parameters[self._place(name)]
        if parameter.role != "amplitude" or parameter.min < 0:
            return np.stack([value - reach, value + reach], axis=1)
        positive = value > 0
        ratio = np.where(positive, reach / np.where(positive, value, 1.0), np.nan)
        return np.stack([value * np.exp(-ratio), value * np.exp(ratio)], axis=1)

    @property
    def excess(self) -> np.ndarray:
        """How far (n_row,) the statistic is above what the best-fit model expects, in sigmas.

        Above 3 the model does not describe the data, and errors from the curvature mean little;
        below -3 the errors of the data are too large. NaN where the statistic expects nothing.
        """
        found = excess(self.stat, self.stat_expected, self.stat_variance)
        return np.where(self.usable, found, np.nan)

    def is_fixed(self, name) -> np.ndarray:
        """Rows (n_row,) in which a joint fit held a parameter at a value that was given for it."""
        fixed = None if self.together is None else self.together.fixed
        return np.zeros(len(self), bool) if fixed is None else fixed[:, self._place(name)]

    def covariance(self, row, kind="observed", *, other=None) -> np.ndarray:
        """Covariance of one row over the parameters in ``columns``, or of two rows.

        Parameters
        ----------
        row : int
        other : int, optional
            Another row: the covariance of the parameters of ``row`` (first axis) with those of
            ``other``, from the observed information; zero unless they were fitted together.
        kind : "observed" or "expected"

        Returns
        -------
        (n_column, n_column)
        """
        shown = np.ix_(self.shown, self.shown)
        row = self.number(row)
        other = None if other is None else self.number(other)
        if other is None or other == row:
            return self._covariance(kind)[row][shown]
        if self.together is None:
            between = np.zeros((len(self.shown),) * 2)
        else:
            between = self.together.covariance(row, other)[shown]
        return where_known(between, (self, row), (self, other))

    def _covariance(self, kind):
        if kind not in self.covariances:
            raise InputError(
                f"{kind!r} is not a kind of information",
                parameter="kind",
                remedy="use 'observed' or 'expected'",
            )
        return self.covariances[kind]

    @property
    def dof(self) -> np.ndarray:
        """Degrees of freedom (n_row,): bins minus free parameters.

        Raises
        ------
        InputError
            A joint fit, whose parameters belong to no row.
        """
        if self.joint:
            raise InputError("a row of a joint fit has no dof of its own", remedy="use .total")
        return np.where(self.n_bins > 0, self.n_bins - self.n_free, 0)

    @property
    def joint(self) -> bool:
        """True if data were fitted together."""
        return bool(self.settings.get("joint"))

    @property
    def total(self) -> tuple[float, int]:
        """Statistic and degrees of freedom of all rows together."""
        free = self.n_free if self.joint else self.n_free * int((self.n_bins > 0).sum())
        return float(np.nansum(self.stat)), int(self.n_bins.sum()) - free

    def left_out(self, rows) -> list[str]:
        """A sentence on each of some rows, numbers or (n_row,) bool, that a fit could not use."""
        numbers = np.arange(len(self))[rows]
        names = self.names
        return [
            f"{names[k]} was left out: {self.messages[k]}" for k in numbers if not self.n_bins[k]
        ]

    def row(self, row) -> FitResult:
        """Result of one row by itself."""
        cut = {k: getattr(self, k)[row : row + 1] for k in ROWS}
        cut["covariances"] = {k: v[row : row + 1] for k, v in self.covariances.items()}
        return replace(self, **cut, data=type(self.data)([self.data[row]]), together=None)

    def number(self, row) -> int:
        """Number of a row from its number or its name."""
        return row_number(self.names, row)

    def best(self, row):
        """Model with its values set to the best fit of one row (index or name)."""
        row = self.number(row)
        if self.status[row] not in self.USABLE:
            raise InputError(f"row {row} has no best fit: {self.messages[row]}")
        return self.model.at(self.params[row])

    def model_image(self, row=0, kind="model"):
        """The best-fit model of an image, or what it leaves, as an `Image`.

        Parameters
        ----------
        row : int or name
        kind : "model", "residuals" (counts minus model), or the name of a component.

        Returns
        -------
        Image
            Its ``counts`` are the numbers (ny, nx), of masked pixels as well; ``js.write_image``
            makes a FITS file of it.

        Raises
        ------
        InputError
            A row without a fit, or of a spectrum or a profile; another ``kind``.

        Examples
        --------
        >>> import jaxspec as js
        >>> js.write_image(result.model_image(), "model.fits")          # doctest: +SKIP
        """
        from jaxspec.fit.model_image import model_image

        number = self.number(row)
        integrate = self.settings.get("integrate")
        best = self.best(row)
        return model_image(best, self.data[number], self.params[number], kind, integrate)

    def image(self, row=0, kind="model") -> np.ndarray:
        """Counts (ny, nx) that the best fit expects of every pixel; see `model_image`."""
        return self.model_image(row, kind).counts

    @cached_property
    def table(self):
        """`astropy.table.QTable`, one row per datum, or per label of a joint fit with labels.

        Columns: name, time (MJD of the start, in the file's time scale), exposure, counts (of the
        bins that were fitted, background included), then each parameter that was not frozen with
        ``_err`` (amplitudes also ``_lo`` and ``_hi``, see `interval`), stat, stat_name, n_bins,
        dof, stat_expected, stat_expected_err, stat_excess (in sigmas), status, message. A
        datum of a joint fit has no dof. A row of a label is its whole set: parameters that every
        datum has for itself get columns ``factor_1``, ``factor_2`` ... in the order of the data.
        """
        from jaxspec.fit.tables import data_table, set_table

        labelled = self.together is not None and self.together.names is not None
        return set_table(self) if labelled else data_table(self)

    @cached_property
    def members(self):
        """`astropy.table.QTable`, one row per datum, whatever was fitted together."""
        from jaxspec.fit.tables import data_table

        return data_table(self)

    def provenance(self) -> dict:
        """What was run and how well it fits: model, frozen values, links, statistics, settings."""
        from jaxspec.fit.store import plain
        from jaxspec.fit.summary import verdict

        pars, settings = self.model.parameters, dict(self.settings)
        made = {key: settings.get(key) for key in ("versions", "devices")}
        return {
            "MODEL": self.model.expression,
            "ABUND": self.model.abund,
            "XSECT": self.model.xsect,
            "FROZEN": {p.full_name: float(p.value) for p in pars if p.frozen},
            "LINKS": {p.full_name: str(p.link) for p in pars if p.link is not None},
            "STATS": {
                "asked": plain(settings.get("stat", "")),
                "used": dict(Counter(name for name in self.stat_names if name)),
            },
            "VERDICT": verdict(self),
            "NOTES": dict(self.notes),
            "SETTINGS": plain({k: v for k, v in settings.items() if k not in made}),
            "VERSIONS": made["versions"] or versions(),
            "DEVICES": made["devices"] or [],
        }

    def write(self, path, overwrite=False):
        """Write the table, and with it all that `jaxspec.read_result` needs to read it back.

        To the columns of ``table`` come the files with their hashes, the band and the grouping
        (where they differ from row to row, else they are in the metadata), and the covariances.

        Parameters
        ----------
        path : str or os.PathLike
            The ending chooses: ``.ecsv``, ``.fits`` or ``.parquet``.
        overwrite : bool
            Whether an existing file may be replaced.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        InputError
            For another ending, a folder that does not exist, or a file that exists and may not be
            replaced or is one of the files that were fitted.
        """
        from jaxspec.fit.store import full_table, refuse_inputs
        from jaxspec.fit.tables import check_path, write_table

        check_path(path, overwrite)
        refuse_inputs(path, self.data)
        return write_table(full_table(self), path, overwrite)

    def summary(self) -> str:
        """A few lines of text: how the rows ended, the parameters, what was noticed."""
        from jaxspec.fit.summary import summary

        return summary(self)

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>{self.table._repr_html_()}"


def where_known(between, one, other) -> np.ndarray:
    """Covariance ``between`` two rows, (result, row) each; NaN where either has none."""
    known = [
        np.isfinite(np.diagonal(result.covariances["observed"][row]))[result.shown]
        for result, row in (one, other)
    ]
    return np.where(known[0][:, None] & known[1][None, :], between, np.nan)
