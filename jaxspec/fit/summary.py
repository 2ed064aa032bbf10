"""A fit in a few lines of text."""

from __future__ import annotations

from collections import Counter

import numpy as np

from jaxspec._status import Status
from jaxspec.likelihood.forward import kind_of

ROWS = 10  # of a joint fit, of which own parameters are shown
REASONS = 3  # unusable rows whose message is shown


def summary(result) -> str:
    """How the rows ended, the parameters or their spread, and what was noticed."""
    ends = ", ".join(f"{n} {name}" for name, n in result.status_counts.most_common())
    used = Counter(name for name in result.stat_names if name)
    stats = ", ".join(f"{name} ({n})" for name, n in used.most_common())
    kind = kind_of(result.data[0])
    spectra = f"1 {kind.one}" if len(result) == 1 else f"{len(result)} {kind.many}"
    together = " together" if result.joint else ""
    if result.together is not None and result.together.names is not None:
        together = f" in {len(result.together.names)} joint sets"
    lines = [
        f"{result.model.expression} fitted to {spectra}{together}: {ends}",
        f"statistic: {stats or 'none'}; {result.settings.get('seconds', np.nan):.2f} s",
    ]
    if priors := result.settings.get("priors"):
        of = ", ".join(f"{name} ~ {prior}" for name, prior in priors.items())
        lines.append(f"maximum of the posterior, with {of}")
    usable = np.flatnonzero(result.usable)
    if usable.size == 1 or (usable.size and together == " together"):
        lines += one_row(result, usable[0])
    elif usable.size:
        lines += distribution(result, usable)
    lines += reasons(result)
    lines += [f"note ({n} rows): {sentence}" for sentence, n in result.notes.items()]
    return "\n".join(lines)


def reasons(result) -> list[str]:
    """Lines that say why rows have no usable result, the first few of them."""
    failed = np.flatnonzero(~result.usable)
    lines = [f"{result.names[i]}: {result.messages[i]}" for i in failed[:REASONS]]
    if len(failed) > REASONS:
        lines.append(f"... {len(failed) - REASONS} more rows without a result; see the messages")
    return lines


def label_of(result, column):
    """Name of a parameter with its unit."""
    unit = result.unit(column)
    return f"{column} [{unit}]" if unit else column


def one_row(result, row) -> list[str]:
    """Values and errors of one row; of a joint fit also what other rows have for themselves."""
    shown, own = [], set(result.settings.get("untied", ()))
    for column in result.columns:
        label = label_of(result, column)
        if result.full_name(column) in own:
            rows = [k for k in np.flatnonzero(result.usable) if k >= row][:ROWS]
            shown += [(f"{label} of {result.names[k]}", column, k) for k in rows]
        else:
            shown.append((label, column, row))
    width = max((len(label) for label, *_ in shown), default=0) + 2
    lines = [
        f"{label:<{width}}{result.value(column)[k]:.6g} {_error(result, column, k)}"
        for label, column, k in shown
    ]
    stat, dof = result.total if result.joint else (result.stat[row], result.dof[row])
    lines.append(f"{'stat / dof':<{max(width, 12)}}{stat:.2f} / {dof}")
    if result.status[row] != Status.OK:
        lines.append(result.messages[row])
    return lines


def _error(result, column, row):
    if result.is_fixed(column)[row]:
        return "(frozen here)"
    return f"+- {result.error(column)[row]:.2g}"


def distribution(result, rows) -> list[str]:
    """Median, central 68 % and typical error of every parameter over the usable rows."""
    labels = [label_of(result, column) for column in result.columns]
    width = max(map(len, [*labels, "parameter"])) + 2
    lines = [f"{'parameter':<{width}}{'median':>12}{'16 %':>12}{'84 %':>12}{'median err':>12}"]
    for label, column in zip(labels, result.columns, strict=True):
        low, middle, high = np.percentile(result.value(column)[rows], [16, 50, 84])
        error = result.error(column)[rows]
        known = error[np.isfinite(error)]
        typical = np.median(known) if known.size else np.nan
        lines.append(f"{label:<{width}}{middle:>12.5g}{low:>12.5g}{high:>12.5g}{typical:>12.3g}")
    return lines
