"""What is written beside the columns that users see, so that a result can be read back.

A written table has the columns of ``result.table``, then those of `origin_columns` (where they
differ from row to row) and of `state_columns`; its metadata say what is the same in all rows.
`jaxspec.fit.read_back` makes the result again.
"""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.priors import prior_text
from jaxspec.likelihood.forward import kind_of
from jaxspec.model.record import model_record, own_record

FORMAT = "jaxspec result 4"
FACTS = ("time", "exposure", "counts")
HASHES = ("data_sha256", "response_key")
INFORMATION = ("observed", "expected")


def full_table(result):
    """Table of a `FitResult` with everything that is needed to make it again."""
    from jaxspec.fit.tables import data_table

    table = result.table.copy(copy_data=False)
    labelled = result.together is not None and result.together.names is not None
    members = data_table(result) if labelled else table
    meta = result_meta(result, members)
    if labelled:  # a row is a set; the rows of the data go along as text
        add_origin(members, result.data)
        _add(members, state_columns(result))
        meta["MEMBERS"] = {"meta": plain(members.meta.get("DATA", {})), "rows": as_lists(members)}
    else:
        add_origin(table, result.data)
        _add(table, state_columns(result))
    table.meta.update(packed(meta))
    return table


def joint_table(joint):
    """Table of a `JointResult` with everything that is needed to make it again."""
    from jaxspec.fit.tables import data_table

    table, parts = joint.table.copy(copy_data=False), {}
    for name, result in joint.items():
        rows = data_table(result)
        add_origin(rows, result.data)
        _add(rows, state_columns(result))
        parts[name] = {
            "meta": plain({**rows.meta, **result_meta(result, rows)}),
            "rows": as_lists(rows),
        }
    slots = [[[name, int(i)] for name, i in members] for members in joint.slots]
    own = {n: {"own": u.own.tolist(), "fixed": u.fixed.tolist()} for n, u in joint.own.items()}
    first = next(iter(joint.values()))
    meta = {
        "SETTINGS": first.provenance()["SETTINGS"],
        "VERSIONS": first.provenance()["VERSIONS"],
        "DEVICES": first.provenance()["DEVICES"],
        "MODELS": parts,
        "RESULT": sealed({"format": FORMAT, "slots": slots, "own": plain(own)}),
    }
    table.meta.update(packed(meta))
    return table


def add_origin(table, data):
    """Say in a table with a row per datum what each was made from.

    What is the same for all goes to ``meta["DATA"]``, the rest into columns.
    """
    origins = [kind_of(item).origin(item) for item in data]
    names = list(dict.fromkeys(name for origin in origins for name in origin))
    common = {}
    for name in names:
        values = [str(origin.get(name, "")) for origin in origins]
        known = {value for value, origin in zip(values, origins, strict=True) if name in origin}
        if len(known) == 1:  # a file that could not be read has no band, and is no reason
            common[name] = known.pop()
        else:
            table[name] = values
    table.meta["DATA"] = common


def state_columns(result) -> dict:
    """What the columns for users do not say of each row: (n_row, ...) arrays by name.

    Covariances are packed: the lower triangle, row by row, over the parameters not frozen.
    """
    low = np.tril_indices(len(result.shown))
    packed = {
        f"covariance_{kind}": _square(result, kind)[:, low[0], low[1]] for kind in INFORMATION
    }
    return {
        "stat_variance": result.stat_variance,
        "iterations": result.iterations,
        "edm": result.edm,
        **{name: values for name, values in packed.items() if values.shape[1]},
    }


def _square(result, kind):
    return result.covariances[kind][np.ix_(range(len(result)), result.shown, result.shown)]


def result_meta(result, rows) -> dict:
    """What all rows have in common: the model with its limits and links, how it was fitted.

    ``rows`` is the table with a row for each datum.
    """
    together = result.together
    origins = [kind_of(item).origin(item) for item in result.data]
    return {
        "PARAMS": model_record(result.model, prior_text)["parameters"],
        "RESULT": sealed(
            {
                "format": FORMAT,
                "kind": kind_of(result.data[0]).one,
                "n_free": int(result.n_free),
                "own": own_record(result.model),
                "sha256": result_digest(result, rows, origins),
                "together": None if together is None else together_record(together),
            }
        ),
    }


def sealed(record) -> dict:
    """A dict of plain values, with the `seal_of` it as ``seal``."""
    return record | {"seal": seal_of(record)}


def seal_of(record) -> str:
    """Hash by which it is known that the values of a dict were changed, ``seal`` left out."""
    rest = {key: value for key, value in record.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:32]


def result_digest(result, rows, origins) -> str:
    """Hash by which a table that was changed or damaged is known.

    Parameters
    ----------
    result : FitResult, of which all numbers, and the model but for its priors, are taken.
    rows : table or dict of columns, with a row for each datum; `FACTS` of them are taken.
    origins : list of dict, what each datum was made from; `HASHES` of them are taken.
    """
    low = np.tril_indices(len(result.shown))
    arrays = [getattr(result, name) for name in _NUMBERS] + [result.params[:, result.shown]]
    arrays += [_square(result, kind)[:, low[0], low[1]] for kind in INFORMATION]
    arrays += [np.ma.filled(getattr(rows[k], "value", rows[k]), np.nan) for k in FACTS]
    made = model_record(result.model)
    for entry in made["parameters"]:
        entry["prior"] = None
        entry["value"] = None if entry["link"] else entry["value"]
    known = [[str(origin.get(k) or "") for k in HASHES] for origin in origins]
    digest = hashlib.sha256(json.dumps([made, known]).encode())
    for values in arrays:
        values = np.array(values, dtype="<f8", order="C")
        values[np.isnan(values)] = np.nan  # of one kind
        digest.update((values + 0.0).tobytes())  # without the sign of zero
    return digest.hexdigest()[:32]


_NUMBERS = (
    "stat", "n_bins", "stat_expected", "stat_variance", "status", "iterations", "edm",
)  # fmt: skip


def together_record(together) -> dict:
    """What the rows of a joint fit have in common, as lists."""
    kept = {
        name: getattr(together, name) for name in ("label", "shared", "edm", "levers", "n_free")
    }
    shapes = {name: list(np.shape(value)) for name, value in kept.items()}
    fixed = together.fixed
    return plain(kept | {"shapes": shapes, "names": together.names, "fixed": fixed})


def as_lists(table) -> dict:
    """Columns of a table as lists of plain values, units left out."""
    values = {name: getattr(table[name], "value", table[name]) for name in table.colnames}
    return {name: plain(np.asarray(column)) for name, column in values.items()}


def plain(value):
    """Text, numbers, lists and dicts for metadata; what is none of them becomes text.

    Examples
    --------
    >>> plain({"a": np.array([1.0, 2.0]), 3: (np.int64(1), None)})
    {'a': [1.0, 2.0], '3': [1, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    known = value is None or isinstance(value, bool | int | float | str)
    return value if known else prior_text(value)


def packed(meta) -> dict:
    """Metadata in which what people do not read is one text of JSON each: YAML of it is slow."""
    deep = ("RESULT", "MEMBERS", "MODELS")
    return {key: json.dumps(value) if key in deep else value for key, value in meta.items()}


def refuse_inputs(path, data):
    """Refuse to write a result over a file that was fitted, be it said that it may be replaced.

    Raises
    ------
    InputError
        The path is that of a spectrum, its background, or what its header links to.
    """
    file = os.fspath(path)
    if not os.path.exists(file):
        return
    for item in data:
        for source in kind_of(item).sources(item):
            if os.path.exists(source) and os.path.samefile(source, file):
                raise InputError(
                    f"is the file of {item.name}, and is not replaced by its result",
                    file=file,
                    remedy="choose another name",
                )


def _add(table, columns):
    for name, values in columns.items():
        table[name] = values
