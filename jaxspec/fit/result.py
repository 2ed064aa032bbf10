"""What a fit hands back: one row per spectrum."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from jaxspec._status import Status
from jaxspec._types import Spectrum, mjd_start
from jaxspec.errors import InputError

FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".fit": "fits", ".parquet": "parquet"}


@dataclass(frozen=True, eq=False)
class FitResult:
    """Best-fit parameters, errors and a status for every spectrum.

    Parameters
    ----------
    model : Model, as it was fitted.
    spectra : SpectrumList, in the order of the rows.
    params : (n_row, n_par), every parameter of the model, links applied.
    covariances : dict of (n_row, n_par, n_par), "observed" and "expected" information.
    stat, expected, expected_variance : (n_row,)
        The statistic, and what it would be on average, with its variance, if the best-fit model
        were true (Kaastra 2017).
    n_bins, iterations : (n_row,) int
    status : (n_row,) int, see `Status`; messages : list of str, the same in words.
    edm : (n_row,) decrease of the statistic that is still expected at the end point.
    n_free : int, free parameters of each row, or of all rows together in a joint fit.
    stat_names : list of str, the statistic of each row; notes : dict sentence -> rows.
    settings : dict, seconds and options of the call.
    """

    model: object
    spectra: object
    params: np.ndarray
    covariances: dict
    stat: np.ndarray
    stat_names: list
    n_bins: np.ndarray
    expected: np.ndarray
    expected_variance: np.ndarray
    status: np.ndarray
    messages: list
    iterations: np.ndarray
    edm: np.ndarray
    n_free: int
    notes: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)

    USABLE = (Status.OK, Status.AT_LIMIT, Status.HESSIAN_NOT_PD)

    def __len__(self):
        return len(self.status)

    @property
    def names(self) -> list[str]:
        """Name of each spectrum."""
        return self.spectra.names

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
    def _shown(self):
        return np.array([p.number - 1 for p in self.model.parameters if not p.frozen], dtype=int)

    def _place(self, name):
        if name in self.columns:
            return self._shown[self.columns.index(name)]
        return self.model[name].number - 1

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

    def covariance(self, row, kind="observed") -> np.ndarray:
        """Covariance of one row over the parameters in ``columns``."""
        return self._covariance(kind)[row][np.ix_(self._shown, self._shown)]

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

        In a joint fit parameters belong to no row: the bins alone; see `total`.
        """
        if self.joint:
            return self.n_bins.copy()
        return np.where(self.n_bins > 0, self.n_bins - self.n_free, 0)

    @property
    def joint(self) -> bool:
        """True if all spectra were fitted together."""
        return bool(self.settings.get("joint"))

    @property
    def total(self) -> tuple[float, int]:
        """Statistic and degrees of freedom of all rows together."""
        free = self.n_free if self.joint else self.n_free * int((self.n_bins > 0).sum())
        return float(np.nansum(self.stat)), int(self.n_bins.sum()) - free

    def best(self, row):
        """Model with its values set to the best fit of one row (index or name)."""
        if isinstance(row, str):
            row = self.names.index(row) if row in self.names else _unknown_row(row)
        if self.status[row] not in self.USABLE:
            raise InputError(f"row {row} has no best fit: {self.messages[row]}")
        model = self.model.copy()
        for parameter, value in zip(model.parameters, self.params[row], strict=True):
            if parameter.link is None:
                parameter.value = float(value)
        return model

    @cached_property
    def table(self):
        """`astropy.table.QTable`, one row per spectrum.

        Columns: name, time (MJD of the start, in the file's time scale), exposure, counts, then
        each parameter that was not frozen with ``_err``, stat, stat_name, n_bins, dof, expected,
        expected_err, status, message.
        """
        from astropy.table import QTable
        from astropy.units import Unit

        facts = np.array([_facts(item) for item in self.spectra], dtype=float).reshape(-1, 3)
        table = QTable()
        table["name"] = self.names
        table["time"] = facts[:, 0] * Unit("d")
        table["exposure"] = facts[:, 1] * Unit("s")
        table["counts"] = facts[:, 2]
        for column, place in zip(self.columns, self._shown, strict=True):
            parameter = self.model.parameters[place]
            unit = astropy_unit(parameter.unit)
            table[column] = _with_unit(self.params[:, place], unit)
            table[f"{column}_err"] = _with_unit(self.error(column), unit)
            table[column].info.description = parameter.full_name
        table["stat"] = self.stat
        table["stat_name"] = self.stat_names
        table["n_bins"] = self.n_bins
        table["dof"] = self.dof
        table["expected"] = self.expected
        table["expected_err"] = np.sqrt(self.expected_variance)
        table["status"] = [Status(s).name for s in self.status]
        table["message"] = self.messages
        table.meta.update(self.provenance())
        return table

    def provenance(self) -> dict:
        """What was run: model, frozen values, statistics, settings, versions."""
        pars = self.model.parameters
        return {
            "MODEL": self.model.expression,
            "ABUND": self.model.tree.abund,
            "XSECT": self.model.tree.xsect,
            "FROZEN": {p.full_name: float(p.value) for p in pars if p.frozen},
            "LINKS": {p.full_name: str(p.link) for p in pars if p.link is not None},
            "NOTES": dict(self.notes),
            "SETTINGS": dict(self.settings),
            "VERSIONS": {name: _version(name) for name in ("jaxspec-engine", "jax", "numpy")},
        }

    def write(self, path, overwrite=True):
        """Write the table; the ending chooses: ``.ecsv``, ``.fits`` or ``.parquet``.

        Raises
        ------
        InputError
            For another ending, or a folder that does not exist.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise InputError(
                f"the ending {path.suffix!r} is not known",
                file=path,
                remedy=f"use one of {', '.join(FORMATS)}",
            )
        if not path.parent.is_dir():
            raise InputError("the folder does not exist", file=path, remedy="create it first")
        if path.exists() and not overwrite:
            raise InputError("the file exists", file=path, remedy="use overwrite=True")
        from jaxspec.fit.tables import write_table

        write_table(self.table, path, FORMATS[path.suffix])
        return path

    def summary(self) -> str:
        """A few lines of text: how the rows ended, the parameters, what was noticed."""
        from jaxspec.fit.summary import summary

        return summary(self)

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>{self.table._repr_html_()}"


def _facts(item):
    """Start (MJD), exposure (s) and counts of a spectrum, an image or a profile; NaN if unknown."""
    start = mjd_start(getattr(item, "header", None) or {})
    if isinstance(item, Spectrum):
        return start, item.exposure, item.counts.sum()
    pixels = getattr(item, "pixels", None)
    counts = np.nan if pixels is None else pixels.counts.sum()
    return start, getattr(item, "exposure_time", np.nan), counts


def astropy_unit(text):
    """Unit object for XSPEC's unit string; None for dimensionless or unknown."""
    from astropy.units import Unit

    text = text.strip()
    if not text:
        return None
    text = _XSPEC_UNITS.get(text, text)
    try:
        return Unit(text)
    except ValueError:
        return None


_XSPEC_UNITS = {
    "10^22 atoms / cm^2": "1e22 cm-2",
    "10^22": "1e22 cm-2",
    "cgs": "",
}


def _with_unit(values, unit):
    return values if unit is None else values * unit


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _unknown_row(name):
    raise InputError(f"there is no row named {name!r}", remedy="result.names lists them")
