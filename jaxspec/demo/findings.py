"""What the demonstration found, from its fits and against the truths of the simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxspec._status import Status

REGIMES = ("hard", "intermediate", "soft", "faint")
PARAMETERS = ("PhoIndex", "powerlaw.norm", "Tin", "diskbb.norm")


def is_poor(result, sigma=3.0) -> np.ndarray:
    """Rows (n_row,) whose statistic is that much above its expectation (Kaastra 2017)."""
    return result.excess > sigma


def collect(fits, poor, truth) -> dict:
    """Put together, for each spectrum, what its better model says and what is true.

    Parameters
    ----------
    fits : dict, "powerlaw" of all spectra and "disk" of the rows ``poor``.
    poor : (n_poor,) int
    truth : table of the simulation.

    Returns
    -------
    dict of (n_row,) arrays: ok, regime, disk_share, true_regime, flaw, and for each of
    ``PARAMETERS`` its value, "_err" and "_true"; NaN or blank where there is none.
    """
    simple = fits["powerlaw"]
    place = _truth_rows(simple, truth)
    table = {"ok": simple.ok.copy(), "n_poor": len(poor)}
    for name in PARAMETERS:
        own = {"PhoIndex": "PhoIndex", "powerlaw.norm": "norm"}.get(name)
        for key, get in ((name, "value"), (f"{name}_err", "error")):
            values = getattr(simple, get)(own) if own else np.full(len(simple), np.nan)
            table[key] = values.copy()
            if "disk" in fits:
                table[key][poor] = getattr(fits["disk"], get)(name)
        table[f"{name}_true"] = np.append(np.asarray(truth[name].value, float), np.nan)[place]
    if "disk" in fits:
        table["ok"][poor] = fits["disk"].ok
    for key, name in (("true_regime", "regime"), ("flaw", "flaw")):
        table[key] = np.append(np.asarray(truth[name], str), "")[place]
    table["disk_share"] = _disk_share(fits, poor, len(simple))
    table["regime"] = _regimes(simple, table)
    return table


def recovered(table) -> dict:
    """Median pull and fraction within one error for each parameter, over the rows that are OK."""
    out = {}
    for name in PARAMETERS:
        value, error, true = (table[f"{name}{end}"] for end in ("", "_err", "_true"))
        compared = table["ok"] & (error > 0) & np.isfinite(true) & (true != 0.0)
        if compared.any():
            pull = ((value - true)[compared]) / error[compared]
            out[name] = {
                "rows": int(compared.sum()),
                "median_pull": round(float(np.median(pull)), 4),
                "within_one_error": round(float(np.mean(np.abs(pull) < 1.0)), 4),
            }
    return out


def sentences(fits, table) -> list[str]:
    """Say in a few sentences what was found."""
    regime, ok, index = table["regime"], table["ok"], table["PhoIndex"]
    lines = []
    if "disk" in fits:
        lines.append(
            f"A power law is enough for {np.sum(regime != '') - table['n_poor']} spectra; "
            f"{table['n_poor']} need a disc as well."
        )
    told = []
    for word in REGIMES:
        rows = (regime == word) & ok
        if rows.any():
            low, high = np.percentile(index[rows], [16, 84])
            told.append(f"{word} ({rows.sum()} spectra, photon index {low:.2f} to {high:.2f})")
    lines.append(f"Regimes: {', '.join(told) or 'none'}.")
    hot = table["Tin"][ok & np.isfinite(table["Tin_err"])]
    if hot.size > 2:
        low, high = np.percentile(hot, [5, 95])
        lines.append(f"The disc is between {low:.2f} and {high:.2f} keV hot.")
    both = (regime != "") & (table["true_regime"] != "") & (table["flaw"] == "")
    if both.any():
        right = np.mean(regime[both] == table["true_regime"][both])
        lines.append(f"{100 * right:.0f} % are in the regime that the simulation gave them.")
    lines += _failures(fits, table)
    for name, found in recovered(table).items():
        lines.append(
            f"{name}: {100 * found['within_one_error']:.0f} % of {found['rows']} within one error "
            f"of the truth (68 % expected), median pull {found['median_pull']:+.2f}."
        )
    return lines


# ---------------------------------------------------------------------------- parts


def _disk_share(fits, poor, n):
    """Share (n,) of the disc in the energy flux from 3 to 25 keV."""
    from jaxspec.likelihood.fluxes import curves

    share = np.zeros(n)
    if "disk" not in fits:
        return share
    result = fits["disk"]
    rows = np.flatnonzero(result.usable)
    grids = [(s.response.e_lo, s.response.e_hi) for s in (result.spectra[r] for r in rows)]
    for row, curve in zip(rows, curves(result.model, grids, result.params[rows]), strict=True):
        energy = np.sqrt(curve.e_lo * curve.e_hi)
        weight = (curve.e_hi - curve.e_lo) * energy * ((energy > 3.0) & (energy < 25.0))
        total, disc = curve.flux @ weight, next(iter(curve.components.values())) @ weight
        share[poor[row]] = disc / total if total > 0 else 0.0
    return share


def _regimes(result, table):
    """Word for each row: faint below the background rate; else by disc share and photon index."""
    from jaxspec.reduce.bins import bin_counts

    words = np.full(len(result), "", dtype="U12")
    for row in np.flatnonzero(result.usable):
        bins = bin_counts(result.spectra[row])
        share, index = table["disk_share"][row], table["PhoIndex"][row]
        if bins.rate.sum() < (bins.background / bins.t_b).sum():
            words[row] = "faint"
        elif share > 0.5:
            words[row] = "soft"
        else:
            words[row] = "intermediate" if share > 0.1 or index > 1.9 else "hard"
    return words


def _failures(fits, table):
    """One line for each row that is not OK: its last status and why."""
    lines = []
    result = fits["powerlaw"]
    for row in np.flatnonzero(~table["ok"]):
        status, message = Status(result.status[row]), result.messages[row]
        if status == Status.OK:
            status, message = Status.AT_LIMIT, "the disc, or a part of it, is not constrained"
        flaw = f" (simulated flaw: {table['flaw'][row]})" if table["flaw"][row] else ""
        lines.append(f"{_obsid(result.spectra[row])}: {status.name}: {_short(message)}{flaw}.")
    return lines[:8] + ([f"... {len(lines) - 8} more rows are not OK."] if len(lines) > 8 else [])


def _short(message):
    """First part of a message, without a path in front and the remedy behind."""
    text = message.split("; ")[0]
    head, _, rest = text.partition(": ")
    return (rest if "/" in head and rest else text).rstrip(".")


def _obsid(item):
    """Folder of the observation: <ObsID>/stdprod/file."""
    parts = Path(item.path).parts
    return parts[-3] if len(parts) >= 3 else item.name


def _truth_rows(result, truth):
    """Row of the table of truths for each spectrum, -1 where there is none."""
    place = {str(obsid): i for i, obsid in enumerate(truth["obsid"])}
    return np.array([place.get(_obsid(item), -1) for item in result.spectra])
