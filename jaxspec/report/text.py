"""Tables on the screen."""

from __future__ import annotations

import numpy as np

from jaxspec._status import Status
from jaxspec._text import align, with_interval
from jaxspec._types import start_times
from jaxspec.fit.summary import verdict

WIDTH = 110
MAX_ROWS = 25
NAME_WIDTH = 22


def screen_table(result, width=WIDTH, max_rows=MAX_ROWS) -> str:
    """Write a result as lines: one row per spectrum, how many ended how, and what fits are worth.

    Parameters
    ----------
    result : FitResult
    width : int, characters of a line; parameters that find no room are named below the table.
    max_rows : int, rows shown; the first ones, with those that have no usable fit among them.
    """
    rows = _choose(result, max_rows)
    columns = [("spectrum", *(shorten(result.names[r], NAME_WIDTH) for r in rows))]
    time = start_times(result.spectra)[rows]
    if np.isfinite(time).any():
        columns.append(("MJD", *(_number(t) for t in time)))
    tail = [
        ("stat", *(_number(result.stat[r]) for r in rows)),
        ("bins", *map(str, result.n_bins[rows]))
        if result.joint
        else ("dof", *map(str, result.dof[rows])),
        ("status", *(Status(result.status[r]).name for r in rows)),
    ]
    room = width - sum(_width(c) for c in columns + tail)
    hidden = []
    for name in result.columns:
        known = np.where(result.is_fixed(name), np.nan, result.error(name))
        given = zip(result.value(name), known, *result.interval(name).T, strict=True)
        shown = list(given)
        column = (name, *(with_interval(*shown[row]) for row in rows))
        room -= _width(column)
        if room >= 0 and not hidden:
            columns.append(column)
        else:
            hidden.append(name)
    columns += tail
    right = [i for i, column in enumerate(columns) if column[0] in ("MJD", "stat", "dof", "bins")]
    lines = align(zip(*columns, strict=True), right)
    if len(rows) < len(result):
        lines.append(f"... {len(result) - len(rows)} more rows")
    if hidden:
        lines.append(f"not shown for want of room: {', '.join(hidden)}")
    if result.joint and result.together.names is None:
        stat, dof = result.total
        lines.append(f"together: stat / dof  {stat:.2f} / {dof}")
    lines.append(f"{len(result)} rows: {status_counts(result)}")
    return "\n".join(lines + verdict(result))


def status_counts(result) -> str:
    """How many rows ended how: "296 OK, 3 AT_LIMIT, 1 IO_ERROR"."""
    return ", ".join(f"{n} {name}" for name, n in result.status_counts.most_common())


def shorten(text, width) -> str:
    """Text cut in the middle to a width.

    Examples
    --------
    >>> shorten("a-very-long-name.pha", 11)
    'a-ver...pha'
    """
    if len(text) <= width:
        return text
    keep = width - 3
    return f"{text[: keep - keep // 2 + 1]}...{text[len(text) - keep // 2 + 1 :]}"


def _choose(result, most):
    """Rows to show: all, or the first ones with up to five unusable ones in place of the last."""
    n = len(result)
    if n <= most:
        return list(range(n))
    unusable = np.flatnonzero(~result.usable)
    late = [int(r) for r in unusable if r >= most][:5]
    return list(range(most - len(late))) + late


def _number(value):
    return f"{value:.1f}" if np.isfinite(value) else "-"


def _width(column):
    """Characters of a column with the gap beside it."""
    return max(map(len, column)) + 2
