"""Tables of results, and what each format needs to write them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
from astropy.table import QTable, Table
from astropy.units import Unit
from astropy.utils.exceptions import AstropyWarning

from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import kind_of

FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".fit": "fits", ".parquet": "parquet"}


def facts(data) -> np.ndarray:
    """Start (MJD), exposure (s) and counts of each datum, (n, 3); NaN if unknown."""
    rows = [kind_of(item).facts(item) for item in data]
    return np.array(rows, dtype=float).reshape(-1, 3)


def data_table(result) -> QTable:
    """One row per datum."""
    known = facts(result.data)
    table = _begin(result.names, known[:, 0], known[:, 1], known[:, 2])
    for column in result.columns:
        _parameter(table, result, column, result.value(column), result.error(column))
    dof = None if result.joint else result.dof
    return _end(
        table, result, result.stat, result.stat_names, result.n_bins, dof,
        result.stat_expected, result.stat_variance, result.status, result.messages,
    )  # fmt: skip


def set_table(result) -> QTable:
    """One row per label of a joint fit."""
    together = result.together
    groups = [np.flatnonzero(together.label == s) for s in range(len(together.names))]
    first = np.array([next((r for r in g if result.usable[r]), g[0]) for g in groups])
    known = facts(result.data)

    def total(values):
        parts = [np.asarray(values, float)[g] for g in groups]
        return np.array([np.nan if np.isnan(p).all() else np.nansum(p) for p in parts])

    start = np.array([np.nanmin(np.append(known[g, 0], np.inf)) for g in groups])
    names = [str(name) for name in together.names]
    table = _begin(
        names, np.where(np.isfinite(start), start, np.nan), total(known[:, 1]), total(known[:, 2])
    )
    own = set(result.settings.get("untied", ()))
    for column in result.columns:
        value, error = result.value(column), result.error(column)
        if result.model[column].full_name not in own:
            _parameter(table, result, column, value[first], error[first])
            continue
        for k in range(max(map(len, groups))):
            rows = [g[k] if k < len(g) else None for g in groups]
            pick = [[np.nan if r is None else x[r] for r in rows] for x in (value, error)]
            _parameter(table, result, column, *map(np.array, pick), suffix=f"_{k + 1}")
    n_bins = total(result.n_bins).astype(int)
    stats = [", ".join(sorted({result.stat_names[r] for r in g} - {""})) for g in groups]
    dof = np.where(n_bins > 0, n_bins - together.n_free, 0)
    status = result.status[first]
    messages = [
        " ".join([result.messages[r], *result.left_out(g[g != r])])
        for r, g in zip(first, groups, strict=True)
    ]
    return _end(
        table, result, total(result.stat), stats, n_bins, dof,
        total(result.stat_expected), total(result.stat_variance), status, messages,
    )  # fmt: skip


def astropy_unit(text):
    """Unit object for a parameter's unit string; None for dimensionless or unknown."""
    if not (text := text.strip()):
        return None
    try:
        return Unit(text)
    except ValueError:
        return None


def _begin(names, time, exposure, counts) -> QTable:
    table = QTable()
    table["name"] = names
    table["time"] = time * Unit("d")
    table["exposure"] = exposure * Unit("s")
    table["counts"] = counts
    return table


def _parameter(table, result, column, value, error, suffix=""):
    parameter = result.model[column]
    unit = astropy_unit(parameter.unit)
    factor = 1 if unit is None else unit
    table[f"{column}{suffix}"] = value * factor
    table[f"{column}{suffix}_err"] = error * factor
    table[f"{column}{suffix}"].info.description = parameter.full_name


def _end(table, result, stat, stat_names, n_bins, dof, mean, variance, status, messages) -> QTable:
    table["stat"] = stat
    table["stat_name"] = stat_names
    table["n_bins"] = n_bins
    if dof is not None:
        table["dof"] = dof
    table["stat_expected"] = mean
    table["stat_expected_err"] = np.sqrt(variance)
    table["status"] = [Status(s).name for s in status]
    table["message"] = messages
    table.meta.update(result.provenance())
    return table


def write_table(table, path, overwrite=True) -> Path:
    """Write a QTable with its units and its metadata; the ending chooses the format.

    Raises
    ------
    InputError
        See `check_path`; a file that exists, without ``overwrite``.
    """
    path = check_path(path)
    if path.exists() and not overwrite:
        raise InputError("the file exists", file=path, remedy="use overwrite=True")
    _write(table, path, FORMATS[path.suffix])
    return path


def check_path(path) -> Path:
    """Refuse another ending than .ecsv, .fits, .fit or .parquet, and a folder that is not there."""
    path = Path(path)
    if path.suffix not in FORMATS:
        raise InputError(
            f"the ending {path.suffix!r} is not known",
            file=path,
            remedy=f"use one of {', '.join(FORMATS)}",
        )
    if not path.parent.is_dir():
        raise InputError("the folder does not exist", file=path, remedy="create it first")
    return path


def _write(table, path, form):
    if form == "fits":
        flat = Table(table, copy=False)
        flat.meta = {key: _text(value) for key, value in table.meta.items()}
        for name in {"name", "message"} & set(flat.colnames):
            flat[name] = [str(text).encode("ascii", "replace").decode() for text in table[name]]
        with warnings.catch_warnings():
            # long values become HIERARCH or CONTINUE cards, and 1e22 cm-2 is no FITS unit
            warnings.simplefilter("ignore", AstropyWarning)
            flat.write(path, format=form, overwrite=True)
        return
    table.write(path, format=form, overwrite=True)


def _text(value):
    return json.dumps(value, default=str) if isinstance(value, dict) else str(value)
