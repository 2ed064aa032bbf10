"""A fit in a few lines of text."""

from __future__ import annotations

from collections import Counter

import numpy as np

from jaxspec._status import Status
from jaxspec._text import lopsided
from jaxspec.likelihood.forward import kind_of

ROWS = 10  # of a joint fit, of which own parameters are shown
REASONS = 3  # unusable rows whose message is shown
FAR = 3  # sigmas between the statistic and what it is expected to be
DOUBT = ": the model does not describe the data"
ERRORS = ", and these errors mean little"
LARGE = ": the errors of the data, or systematic errors, are too large"


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
    done = "fitted to" if result.model.free_names else "evaluated for"
    lines = [
        f"{result.model.expression} {done} {spectra}{together}: {ends}",
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
    lines += [f"note: {sentence}" for sentence in verdict(result)]
    lines += reasons(result)
    lines += [f"note ({n} rows): {sentence}" for sentence, n in result.notes.items()]
    return "\n".join(lines)


def verdict(result) -> list[str]:
    """Sentences on how well the model describes the data, by the expected statistic."""
    excess = result.excess
    known = np.isfinite(excess)
    if not known.any():
        return []
    doubt = DOUBT + (ERRORS if result.model.free_names else "")
    above, below = int((excess > FAR).sum()), int((excess < -FAR).sum())
    if known.sum() == 1:
        row = int(np.flatnonzero(known)[0])
        error = np.sqrt(result.stat_variance[row])
        said = f"if the model were true, the statistic would be {result.stat_expected[row]:.4g} "
        said += f"+- {error:.2g}: it is {abs(excess[row]):.2g} sigma "
        said += "above" if excess[row] > 0 else "below"
        return [said + (doubt if above else LARGE if below else "")]
    part = result.stat[known] / np.maximum(result.n_bins[known] - _free(result), 1)
    said = f"stat/dof median {np.median(part):.3g}; "
    rows = f"of {int(known.sum())} rows"
    if above:
        said += f"{above} {rows} more than {FAR} sigma above what the model expects{doubt}"
    else:
        said += f"none {rows} more than {FAR} sigma above what the model expects"
    return [said] + ([f"{below} {rows} more than {FAR} sigma below{LARGE}"] if below else [])


def _free(result):
    """Free parameters of each row; those of joint fits belong to no row."""
    return 0 if result.joint else result.n_free


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
    error, value = result.error(column)[row], result.value(column)[row]
    low, high = result.interval(column)[row]
    if lopsided(value, low, high):
        return f"-{value - low:.2g} +{high - value:.2g}"
    return f"+- {error:.2g}"


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
