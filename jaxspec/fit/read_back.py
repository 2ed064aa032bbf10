"""Results from the tables that they were written to."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace

import numpy as np

from jaxspec._ask import path_text
from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.fit.joint_result import JointResult
from jaxspec.fit.result import FitResult, Together
from jaxspec.fit.sets import Untied
from jaxspec.fit.store import FACTS, FORMAT, HASHES, INFORMATION, result_digest, seal_of
from jaxspec.fit.tables import ending
from jaxspec.likelihood.forward import kind_of
from jaxspec.model.record import model_of
from jaxspec.read.astropy_hdus import check_numbers
from jaxspec.read.paths import read_bytes
from jaxspec.reduce.data import DataList
from jaxspec.reduce.recorded import recorded
from jaxspec.reduce.spectra import SpectrumList


def read_result(path, data=None, *, components=()) -> FitResult | JointResult:
    """Read a result that ``result.write`` wrote: parameters, covariances, statuses, all of it.

    Parameters
    ----------
    path : str or os.PathLike
        ``.ecsv``, ``.fits`` or ``.parquet``, local or any address that fsspec opens.
    data : what was fitted, optional
        Read, noticed and grouped as for the fit, with the same systematic errors (the column or
        metadata ``systematic`` holds them, they are not given anew); then figures and everything
        else that needs the data work too. A dict of name to data for a joint fit of several models.
    components : sequence of what `jaxspec.component` made, if the model has components of your own.

    Returns
    -------
    FitResult or JointResult
        Without ``data``, its data are known by what the table says of them: name, file, time,
        exposure, counts. Priors are not restored, their text is in ``settings``.

    Raises
    ------
    InputError
        The file does not exist or is no such table, or ``data`` are other data than were fitted;
        the message says what differs.

    Examples
    --------
    >>> import jaxspec as js
    >>> result = js.read_result("fits.ecsv")                       # doctest: +SKIP
    >>> result.value("PhoIndex"), result.covariance(0)             # doctest: +SKIP
    >>> spectra = js.read_pha("obs/*_s2.pha").notice("3-25")       # doctest: +SKIP
    >>> js.plot.fit(js.read_result("fits.ecsv", spectra), 0)       # doctest: +SKIP
    """
    file = path_text(path)
    columns, meta = _load(file)
    meta = {key: _unpacked(value) for key, value in meta.items()}
    found = meta.get("RESULT")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _not_ours(file, "its metadata hold no RESULT of this version")
    try:
        _check_seal(found, file)
        if "MODELS" in meta:
            return _joint(meta, data, components, file)
        if "MEMBERS" in meta:
            columns = {k: np.asarray(v) for k, v in meta["MEMBERS"]["rows"].items()}
            meta["DATA"] = meta["MEMBERS"]["meta"]
        return _result(columns, meta, data, components, file)
    except InputError as error:
        if error.file == file:
            raise
        raise InputError(f"cannot be read back: {error}", file=file) from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise _not_ours(file, f"{type(error).__name__}: {error}") from error


def _not_ours(file, why):
    return InputError(
        f"is not a result that jaxspec wrote ({why})", file=file, remedy="use result.write()"
    )


# ---------------------------------------------------------------------------- the file


def _load(file):
    """Columns as arrays without units, and the metadata."""
    from astropy.table import Table

    readers = {".ecsv": _ecsv, ".fits": _fits, ".fit": _fits, ".parquet": _parquet}
    if (end := ending(file)) not in readers:
        raise InputError(
            f"the ending {end!r} is not known", file=file, remedy=f"use one of {', '.join(readers)}"
        )
    try:
        raw, file = read_bytes(file)
    except FileNotFoundError:
        raise InputError("does not exist", file=file, remedy="check the path") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units that FITS does not know
            table = readers[end](raw, file)
            if isinstance(table, Table):
                columns = {name: _values(table[name]) for name in table.colnames}
                table = (columns, dict(table.meta))
    except InputError:
        raise
    except Exception as error:  # each format has its own
        raise InputError(f"cannot be read as a table: {error}", file=file) from error
    return table


def _ecsv(raw, _):
    from astropy.table import Table

    return Table.read(raw.decode(), format="ascii.ecsv")


def _fits(raw, file):
    from astropy.table import Table

    check_numbers(raw, file)
    return Table.read(io.BytesIO(raw), format="fits", character_as_bytes=False)


def _parquet(raw, _):
    """Read with pyarrow alone: astropy's reader needs pandas."""
    import pyarrow
    import pyarrow.parquet
    from astropy.table.meta import get_header_from_yaml

    table = pyarrow.parquet.read_table(pyarrow.BufferReader(raw))
    text = (table.schema.metadata or {}).get(b"table_meta_yaml", b"")
    header = get_header_from_yaml(text.decode().split("\n")) if text else {}
    columns = {name: np.asarray(table[name].to_pylist()) for name in table.column_names}
    return columns, dict(header.get("meta", {}))


def _values(column):
    """Array of a column; what is masked is NaN, or empty text."""
    values = np.ma.asarray(getattr(column, "value", column))
    if values.dtype.kind in "SU":
        return np.ma.filled(values.astype(str), "")
    return np.ma.filled(values.astype(float), np.nan) if values.dtype.kind == "f" else values.data


def _unpacked(value):
    """Metadata that were written as text of JSON."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


# ---------------------------------------------------------------------------- the result


def _result(columns, meta, data, components, file) -> FitResult:
    found = meta["RESULT"]
    record = {
        "expression": meta["MODEL"],
        "abund": meta["ABUND"],
        "xsect": meta["XSECT"],
        "parameters": meta["PARAMS"],
        "own": found["own"],
    }
    _check_seal(found, file)
    model = model_of(record, components)
    names = [str(name) for name in columns["name"]]
    origins = _origins(columns, meta.get("DATA", {}), len(names))
    if data is None:
        items = _recorded(found["kind"], names, columns, origins)
    else:
        items = _checked(data, names, origins, file)
    blank = FitResult(
        model=model, data=items, params=np.zeros((0, len(model))), covariances={},
        stat=_float(columns["stat"]), stat_names=[str(s) for s in columns["stat_name"]],
        n_bins=_int(columns["n_bins"]), stat_expected=_float(columns["stat_expected"]),
        stat_variance=_float(columns["stat_variance"]),
        status=np.array([Status[str(s)] for s in columns["status"]], dtype=int),
        messages=[str(s) for s in columns["message"]], iterations=_int(columns["iterations"]),
        edm=_float(columns["edm"]), n_free=int(found["n_free"]), notes=dict(meta["NOTES"]),
        settings=_settings(meta), together=_together(found["together"]),
    )  # fmt: skip
    covariances = {kind: _covariance(blank, columns, kind, len(names)) for kind in INFORMATION}
    made = replace(blank, params=_params(blank, columns), covariances=covariances)
    if found["sha256"] != result_digest(made, columns, origins):
        raise _damaged(file)
    return made


def _check_seal(found, file):
    if found["seal"] != seal_of(found):
        raise _damaged(file)


def _damaged(file):
    return InputError(
        "is damaged or was changed: its numbers are not those that were written",
        file=file,
        remedy="read it as a table, or write the result again",
    )


def _settings(meta):
    seconds = meta["SETTINGS"].get("seconds", 0.0)
    if not isinstance(seconds, int | float):
        raise ValueError(f"its seconds are {seconds!r}")
    return dict(meta["SETTINGS"], versions=dict(meta["VERSIONS"]), devices=list(meta["DEVICES"]))


def _params(result, columns):
    """(n_row, n_par); a frozen parameter is NaN where a row has no values at all."""
    shown = [_float(columns[name]) for name in result.columns]
    params = np.tile(result.model.values, (len(result.status), 1)).astype(float)
    if shown:
        params[:, result.shown] = np.stack(shown, axis=1)
        params[np.isnan(params[:, result.shown]).all(axis=1)] = np.nan
    return params


def _covariance(result, columns, kind, n_row):
    """(n_row, n_par, n_par) from the packed triangle; NaN where a row has no errors at all."""
    n_par, shown = len(result.model), result.shown
    whole = np.zeros((n_row, n_par, n_par))
    if not len(shown):
        return whole
    triangle = _float(columns[f"covariance_{kind}"]).reshape(n_row, -1)
    low = np.tril_indices(len(shown))
    square = np.zeros((n_row, len(shown), len(shown)))
    square[:, low[0], low[1]] = triangle
    square[:, low[1], low[0]] = triangle
    whole[np.ix_(range(n_row), shown, shown)] = square
    whole[np.isnan(triangle).all(axis=1)] = np.nan
    return whole


def _together(held):
    if held is None:
        return None
    shapes = held["shapes"]
    kept = {
        name: np.asarray(held[name], dtype=int if name in ("label", "n_free") else float)
        for name in ("label", "shared", "edm", "levers", "n_free")
    }
    kept = {name: values.reshape(shapes[name]) for name, values in kept.items()}
    fixed = None if held["fixed"] is None else np.asarray(held["fixed"], dtype=bool)
    return Together(**kept, names=held["names"], fixed=fixed)


def _joint(meta, data, components, file) -> JointResult:
    if data is not None and (not isinstance(data, dict) or set(data) != set(meta["MODELS"])):
        raise InputError(
            "joins several models", file=file, parameter="data",
            remedy=f"give a dict with the data of {', '.join(meta['MODELS'])}",
        )  # fmt: skip
    joint = JointResult()
    for name, part in meta["MODELS"].items():
        columns = {key: np.asarray(values) for key, values in part["rows"].items()}
        own = None if data is None else data[name]
        joint[name] = _result(columns, part["meta"], own, components, file)
    found = meta["RESULT"]
    if set(found["own"]) != set(joint):
        raise _damaged(file)
    joint.slots = [[(name, int(i)) for name, i in members] for members in found["slots"]]
    joint.own = {
        name: Untied(np.asarray(u["own"], bool), np.asarray(u["fixed"], float))
        for name, u in found["own"].items()
    }
    joint.settings = _settings(meta)
    return joint


# ---------------------------------------------------------------------------- the data


def _origins(columns, common, n_row):
    own = [name for name in _ORIGIN if name in columns]
    return [common | {name: str(columns[name][row]) for name in own} for row in range(n_row)]


_ORIGIN = (
    "file", "sha256", "background", "background_sha256", "correction", "response",
    "response_key", "band",
    "grouping", "systematic", "data_sha256", "made",
)  # fmt: skip


def _recorded(kind, names, columns, origins):
    facts = np.stack([_float(columns[name]) for name in FACTS], axis=1)
    rows = zip(names, facts.tolist(), origins, strict=True)
    items = [recorded(kind, name, fact, origin) for name, fact, origin in rows]
    return (SpectrumList if kind == "spectrum" else DataList)(items)


def _checked(data, names, origins, file):
    """Data as a list, if they are those of the rows."""
    from jaxspec.fit.run import as_data

    items = as_data(data)
    if len(items) != len(names):
        raise InputError(
            f"has {len(names)} rows, and {len(items)} data were given", file=file, parameter="data"
        )
    for name, item, origin in zip(names, items, origins, strict=True):
        given = kind_of(item).origin(item)
        for key in HASHES:
            if origin.get(key) and given.get(key) != origin[key]:
                raise InputError(
                    f"row {name!r} was fitted to other data than {item.name!r} "
                    f"({_differing(origin, given, key)})",
                    file=file,
                    parameter="data",
                    remedy="read, notice, group or mask them as for the fit, with the same "
                    "systematic errors and maps, and in the same order",
                )
    return items


def _differing(then, now, key):
    """What is no longer as it was, in words; the hash of ``key`` where nothing else is."""
    named = [k for k in _ORIGIN if not k.endswith(("sha256", "_key")) and then.get(k) != now.get(k)]
    named = named or [key]
    return "; ".join(f"{k} was {then.get(k, '')}, is {now.get(k, '')}" for k in named)


def _float(values):
    return np.asarray(values, dtype=float)


def _int(values):
    return np.asarray(values).astype(int)
