"""Tables on the screen."""

from __future__ import annotations

from collections import Counter

import numpy as np

from jaxspec._status import Status
from jaxspec._types import Spectrum, mjd_start

WIDTH = 110
MAX_ROWS = 25
NAME_WIDTH = 22


def screen_table(result, width=WIDTH, max_rows=MAX_ROWS) -> str:
    """Write a result as lines: one row per spectrum, then how many ended how.

    Parameters
    ----------
    result : FitResult
    width : int, characters of a line; parameters that find no room are named below the table.
    max_rows : int, rows shown; the first ones, with those that have no usable fit among them.
    """
    rows = _choose(result, max_rows)
    columns = [("spectrum", [shorten(result.names[r], NAME_WIDTH) for r in rows], "<")]
    if any(np.isfinite(_start(result, r)) for r in rows):
        columns.append(("MJD", [_number(_start(result, r), "{:.1f}") for r in rows], ">"))
    tail = [
        ("stat", [_number(result.stat[r], "{:.1f}") for r in rows], ">"),
        ("dof", [str(result.dof[r]) for r in rows], ">"),
        ("status", [Status(result.status[r]).name for r in rows], "<"),
    ]
    room = width - sum(_width(c) + 2 for c in columns + tail)
    hidden = []
    for name in result.columns:
        column = (name, _values(result, name, rows), "<")
        room -= _width(column) + 2
        (columns.append if room >= 0 and not hidden else hidden.append)(
            column if room >= 0 and not hidden else name
        )
    lines = _align(columns + tail)
    if len(rows) < len(result):
        lines.append(f"... {len(result) - len(rows)} more rows")
    if hidden:
        lines.append(f"not shown for want of room: {', '.join(hidden)}")
    lines.append(f"{len(result)} rows: {status_counts(result)}")
    return "\n".join(lines)


def status_counts(result) -> str:
    """How many rows ended how: "296 OK, 3 AT_LIMIT, 1 IO_ERROR"."""
    counts = Counter(Status(s).name for s in result.status)
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())


def with_error(value, error) -> str:
    """Value and error to two digits of the error.

    Examples
    --------
    >>> with_error(2.10712, 0.01482), with_error(0.000336, 0.0000091), with_error(517.29, 12.0)
    ('2.107 ± 0.015', '3.360e-4 ± 9.1e-6', '517 ± 12')
    >>> with_error(1.5, np.nan), with_error(np.nan, np.nan)
    ('1.5', '-')
    """
    if not np.isfinite(value):
        return "-"
    if not (np.isfinite(error) and error > 0):
        return _exponent(f"{value:.4g}")
    last = int(np.floor(np.log10(float(f"{error:.1e}")))) - 1  # place of the second digit
    top = int(np.floor(np.log10(max(abs(value), error))))
    if -4 < top < 5 and last > -6:
        return f"{value:.{max(0, -last)}f} ± {error:.{max(0, -last)}f}"
    digits = max(0, top - last)
    return f"{_exponent(f'{value:.{digits}e}')} ± {_exponent(f'{error:.1e}')}"


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
    unusable = np.flatnonzero(~np.isin(result.status, result.USABLE))
    late = [int(r) for r in unusable if r >= most][:5]
    return list(range(most - len(late))) + late


def _start(result, row):
    spectrum = result.spectra[row]
    return mjd_start(spectrum.header or {}) if isinstance(spectrum, Spectrum) else np.nan


def _values(result, name, rows):
    value, error = result.value(name), result.error(name)
    return [with_error(value[r], error[r]) for r in rows]


def _number(value, form):
    return form.format(value) if np.isfinite(value) else "-"


def _exponent(text):
    mantissa, e, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if e else text


def _width(column):
    return max(len(cell) for cell in (column[0], *column[1]))


def _align(columns):
    widths = [_width(column) for column in columns]
    head = [f"{title:{side}{w}}" for (title, _, side), w in zip(columns, widths, strict=True)]
    lines = ["  ".join(head).rstrip()]
    for i in range(len(columns[0][1])):
        cells = [f"{c[1][i]:{c[2]}{w}}" for c, w in zip(columns, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines
