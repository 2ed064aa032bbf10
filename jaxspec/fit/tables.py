"""Tables of results, and what each format needs to write them."""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
from pathlib import Path, PurePath

import numpy as np
from astropy.table import QTable, Table
from astropy.units import Unit
from astropy.utils.exceptions import AstropyWarning

from jaxspec._files import check_free, write_bytes
from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import kind_of
from jaxspec.likelihood.goodness import excess


def facts(data) -> np.ndarray:
    """Start (MJD), exposure (s) and counts of each datum, (n, 3); NaN if unknown."""
    rows = [kind_of(item).facts(item) for item in data]
    return np.array(rows, dtype=float).reshape(-1, 3)


def data_table(result) -> QTable:
    """One row per datum."""
    known = facts(result.data)
    table = _begin(result.names, known[:, 0], known[:, 1], known[:, 2])
    for column in result.columns:
        _parameter(
            table, result, column, result.value(column), result.error(column),
            result.interval(column),
        )  # fmt: skip
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
        both = result.interval(column)
        if result.full_name(column) not in own:
            _parameter(table, result, column, value[first], error[first], both[first])
            continue
        for k in range(max(map(len, groups))):
            rows = [g[k] if k < len(g) else None for g in groups]
            none = np.full(2, np.nan)
            pick = [[np.nan if r is None else x[r] for r in rows] for x in (value, error)]
            pick.append([none if r is None else both[r] for r in rows])
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


_DESCRIPTIONS = {
    "time": "start of the observation, MJD in the time scale of its file",
    "exposure": "exposure of the file, live time",
    "counts": "counts of the bins that were fitted, background included",
}


def _begin(names, time, exposure, counts) -> QTable:
    table = QTable()
    table["name"] = names
    table["time"] = time * Unit("d")
    table["exposure"] = exposure * Unit("s")
    table["counts"] = counts
    for column, description in _DESCRIPTIONS.items():
        table[column].info.description = description
    return table


def _parameter(table, result, column, value, error, interval, suffix=""):
    parameter = result.model[result.full_name(column)]
    unit = astropy_unit(parameter.unit)
    factor = 1 if unit is None else unit
    table[f"{column}{suffix}"] = value * factor
    table[f"{column}{suffix}_err"] = error * factor
    if parameter.role == "amplitude":
        table[f"{column}{suffix}_lo"] = interval[:, 0] * factor
        table[f"{column}{suffix}_hi"] = interval[:, 1] * factor
    said = f" [{parameter.unit}]" if unit is None and parameter.unit else ""
    table[f"{column}{suffix}"].info.description = f"{parameter.full_name}{said}"


def _end(table, result, stat, stat_names, n_bins, dof, mean, variance, status, messages) -> QTable:
    table["stat"] = stat
    table["stat_name"] = stat_names
    table["n_bins"] = n_bins
    if dof is not None:
        table["dof"] = dof
    table["stat_expected"] = mean
    table["stat_expected_err"] = np.sqrt(variance)
    table["stat_excess"] = excess(stat, mean, variance)
    table[
        "stat_excess"
    ].info.description = (
        "statistic minus stat_expected, over stat_expected_err: above 3 the model does not fit"
    )
    table["status"] = [Status(s).name for s in status]
    table["message"] = messages
    table.meta.update(result.provenance())
    return table


def write_table(table, path, overwrite=False) -> Path:
    """Write a table with its units and its metadata; the ending chooses the format.

    Parameters
    ----------
    table : Table or QTable
    path : str or os.PathLike, ending in .ecsv, .fits, .fit or .parquet
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        See `check_path`; or it cannot be written.
    """
    check_path(path, overwrite)
    try:
        content = _CONTENT[ending(path)](table)
    except OSError as error:  # Parquet goes through the folder for temporary files
        raise InputError(f"cannot be written: {error}", file=path) from error
    write_bytes(path, content, overwrite)
    return Path(path)


def check_path(path, overwrite=False) -> None:
    """Refuse a name to which `write_table` could not write.

    Raises
    ------
    InputError
        Another ending than .ecsv, .fits, .fit or .parquet; a folder that does not exist; a file
        that exists and may not be replaced.
    """
    if ending(path) not in _CONTENT:
        raise InputError(
            f"the ending {ending(path)!r} is not known",
            file=path,
            remedy=f"use one of {', '.join(_CONTENT)}",
        )
    check_free(path, overwrite)


def ending(path) -> str:
    """Ending of a file name, by which the format is chosen."""
    return PurePath(path).suffix.lower()


def _ecsv(table) -> bytes:
    stream = io.StringIO()
    table.write(stream, format="ascii.ecsv")
    return _no_comments(stream.getvalue()).encode()


def _no_comments(text) -> str:
    """ECSV with quotes around what begins a row with "#", as a name may: it is no comment."""
    lines = text.split("\n")
    begin = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    for i in range(begin, len(lines)):
        if lines[i].startswith("#"):
            first, gap, rest = lines[i].partition(" ")
            lines[i] = f'"{first}"{gap}{rest}'
    return "\n".join(lines)


def _fits(table) -> bytes:
    flat = Table(table, copy=False)
    flat.meta = {key: _text(value) for key, value in table.meta.items()}
    for name in flat.colnames:
        if flat[name].dtype.kind == "U":
            flat[name] = [str(text).encode("ascii", "replace").decode() for text in table[name]]
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # long values become HIERARCH or CONTINUE cards, and 1e22 cm-2 is no FITS unit
        warnings.simplefilter("ignore", AstropyWarning)
        flat.write(stream, format="fits")
    return stream.getvalue()


def _parquet(table) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # astropy writes it to files only
        path = os.path.join(folder, "table.parquet")
        table.write(path, format="parquet")
        with open(path, "rb") as stream:
            return stream.read()


_CONTENT = {".ecsv": _ecsv, ".fits": _fits, ".fit": _fits, ".parquet": _parquet}


def _text(value):
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
