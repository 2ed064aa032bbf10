"""``jaxspec demo``: simulate an archive, fit it, say what was found and whether it is true."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np

from jaxspec._status import Status
from jaxspec._types import Spectrum
from jaxspec.errors import InputError
from jaxspec.report.environment import devices, versions
from jaxspec.report.text import screen_table

COMMAND = "jaxspec demo"
PATTERN = "*/stdprod/xp*_s2.pha.gz"
BAND = "3-25"
FIGURES = ("spectra", "models", "histograms", "timeline")
REGIMES = ("hard", "intermediate", "soft", "faint")


def run_demo(out, n=300, seed=1, say=print) -> dict:
    """Simulate ``n`` PCA observations with four flaws, fit them and write everything to ``out``.

    Parameters
    ----------
    out : path
        Folder; it is made, and must be empty or hold an earlier demonstration.
    n, seed : int
    say : callable, gets the lines for the screen.

    Returns
    -------
    dict, what ``summary.json`` holds.

    Raises
    ------
    InputError
        A folder with other files in it, or too few observations.
    """
    out, seconds = Path(out), {}
    _make_room(out)
    summary = {"command": COMMAND, "finished": False, "n": n, "seed": seed}
    _write_json(out, summary)
    truth = _timed(seconds, "simulate", _simulate, out, n, seed)
    spectra = _timed(seconds, "read", _read, out)
    result = _timed(seconds, "fit", _fit, spectra)
    say(screen_table(result))
    _timed(seconds, "tables", _write_tables, result, out)
    shown = _timed(seconds, "figures", _draw, result, out)
    regime = regimes(result)
    truths = recovered(result, truth)
    findings = describe(result, truth, regime, truths)
    say("\n" + "\n".join(findings))
    summary |= {
        "finished": True,
        "model": result.model.expression,
        "frozen": {p.full_name: p.value for p in result.model.parameters if p.frozen},
        "band_keV": BAND,
        "statistics": dict(Counter(filter(None, result.stat_names))),
        "status": dict(Counter(Status(s).name for s in result.status)),
        "regimes": dict(Counter(regime)),
        "truths": truths,
        "findings": findings,
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
        "files": [*(f"fits{end}" for end in (".ecsv", ".fits", ".parquet")), *shown],
        "versions": versions(),
        "devices": devices(),
    }
    summary["seconds"]["total"] = round(sum(seconds.values()), 3)
    _write_json(out, summary)
    spent = ", ".join(f"{step} {value:.1f} s" for step, value in summary["seconds"].items())
    say(f"\n{spent}\nin {out}/: summary.json, {', '.join(summary['files'])}, archive/")
    return summary


def regimes(result) -> list[str]:
    """Spectral state of each row from its fit: one of ``REGIMES``, blank without a usable fit.

    Faint: the net rate is below the background rate. Else by the disc's share of the model's energy
    flux from 3 to 25 keV: above a half soft; above 0.15, or a photon index above 2, intermediate;
    else hard.
    """
    from jaxspec.reduce.bins import bin_counts
    from jaxspec.report.fluxes import fluxes

    words = [""] * len(result)
    usable = np.flatnonzero(np.isin(result.status, result.USABLE))
    spectra = [result.spectra[row] for row in usable]
    grids = [(s.response.e_lo, s.response.e_hi) for s in spectra]
    parts = fluxes(result.model.tree, grids, result.params[usable])
    index = result.value("PhoIndex")
    for row, spectrum, (e_lo, e_hi), flux in zip(usable, spectra, grids, parts, strict=True):
        energy = np.sqrt(e_lo * e_hi)
        total, disc, _ = (flux * energy)[:, (energy > 3) & (energy < 25)].sum(axis=1)
        bins = bin_counts(spectrum)
        if bins.rate.sum() < (bins.background / bins.t_b).sum():
            words[row] = "faint"
        elif disc > 0.5 * total:
            words[row] = "soft"
        else:
            words[row] = "intermediate" if disc > 0.15 * total or index[row] > 2.0 else "hard"
    return words


def recovered(result, truth) -> dict:
    """Compare fits with truths: median pull and fraction within one error, per parameter.

    Rows with status OK are compared; those of the disc only where it is on.
    """
    place = _truth_rows(result, truth)
    out = {}
    for name in result.columns:
        value, error = result.value(name), result.error(name)
        true = np.append(np.asarray(truth[name].value, dtype=float), np.nan)[place]
        compared = result.ok & np.isfinite(error) & np.isfinite(true) & (true != 0.0)
        if compared.any():
            pull = ((value - true) / error)[compared]
            out[name] = {
                "rows": int(compared.sum()),
                "median_pull": round(float(np.median(pull)), 4),
                "within_68_percent": round(float(np.mean(np.abs(pull) < 1.0)), 4),
            }
    return out


def describe(result, truth, regime, truths) -> list[str]:
    """Sentences on what was found."""
    lines = []
    regime = np.array(regime)
    index = result.value("PhoIndex")
    rows = [(word, index[(regime == word) & result.ok]) for word in REGIMES]
    told = [
        f"{word} ({(regime == word).sum()} rows, median photon index {np.median(values):.2f})"
        for word, values in rows
        if values.size
    ]
    lines.append(f"Found {len(told)} regimes: {', '.join(told)}.")
    place = _truth_rows(result, truth)
    known = np.append(np.asarray(truth["regime"], dtype=str), "")[place]
    both = (regime != "") & (known != "")
    if both.any():
        lines.append(
            f"{100 * np.mean(regime[both] == known[both]):.0f} % of them are in the regime "
            "that the simulation gave them."
        )
    lines += _index_sentence(result, regime)
    for row in np.flatnonzero(result.status > Status.AT_LIMIT):
        name = Path(result.spectra[row].path).parts[-3] if result.spectra[row].path else ""
        lines.append(
            f"{name or result.names[row]}: {Status(result.status[row]).name}: "
            f"{_short(result.messages[row])}"
        )
    for name, found in truths.items():
        lines.append(
            f"{name}: {100 * found['within_68_percent']:.0f} % of {found['rows']} rows within one "
            f"error of the truth (expected 68 %), median pull {found['median_pull']:+.2f}."
        )
    return lines


# ---------------------------------------------------------------------------- steps


def _simulate(out, n, seed):
    from jaxspec.estimate.pca_archive import simulate_archive

    return simulate_archive(out / "archive", n=n, seed=seed, flaws=True)


def _read(out):
    from jaxspec.reduce.spectra import read_pha

    return read_pha(str(out / "archive" / PATTERN), on_error="status").notice(BAND)


def _fit(spectra):
    from jaxspec.estimate.pca_archive import MODEL, NH
    from jaxspec.fit.run import fit
    from jaxspec.model.model import Model

    model = Model(MODEL)
    model["TBabs.nH"].freeze(NH)
    return fit(model, spectra)


def _write_tables(result, out):
    for ending in (".ecsv", ".fits", ".parquet"):
        result.write(out / f"fits{ending}")


def _draw(result, out):
    from jaxspec.report.save import save_fit, save_overview

    names = save_overview(result, out)
    regime = regimes(result)
    for word in REGIMES[:3]:
        rows = [row for row in np.flatnonzero(result.ok) if regime[row] == word]
        if rows:
            counts = [result.spectra[row].counts.sum() for row in rows]
            row = rows[int(np.argsort(counts)[len(rows) // 2])]
            names += save_fit(result, row, out, name=word)
    return names


def _timed(seconds, step, work, *arguments):
    began = time.perf_counter()
    value = work(*arguments)
    seconds[step] = time.perf_counter() - began
    return value


# ---------------------------------------------------------------------------- sentences


def _index_sentence(result, regime):
    """How the index moves between the hard and the soft rows."""
    index = result.value("PhoIndex")
    bright = result.ok & (regime != "faint") & (regime != "")
    if bright.sum() < 5:
        return []
    low, high = np.percentile(index[bright], [5, 95])
    return [
        f"The photon index of the bright rows moves between {low:.2f} and {high:.2f} (90 % of them)."
    ]


def _short(message):
    """First part of a message, without the path in front and the remedy behind."""
    text = message.split("; ")[0]
    head, _, rest = text.partition(": ")
    return rest if "/" in head and rest else text


def _truth_rows(result, truth):
    """Row of the table of truths for each spectrum, -1 where there is none."""
    place = {str(obsid): i for i, obsid in enumerate(truth["obsid"])}
    out = []
    for spectrum in result.spectra:
        parts = Path(spectrum.path).parts
        good = isinstance(spectrum, Spectrum) and len(parts) >= 3
        out.append(place.get(parts[-3], -1) if good else -1)
    return np.array(out)


# ---------------------------------------------------------------------------- files


def _make_room(out):
    """Make the folder; from an earlier demonstration in it, remove the simulated files."""
    if out.exists() and not out.is_dir():
        raise InputError("is a file", file=out, remedy="give another --out")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise InputError(
            "holds files that are not of a demonstration", file=out, remedy="give another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    archive = out / "archive"
    for file in [*archive.glob("*/stdprod/xp*.gz"), archive / "truth.ecsv"]:
        file.unlink(missing_ok=True)
    for folder in [*archive.glob("*/stdprod"), *archive.glob("*")]:
        if not any(folder.iterdir()):
            folder.rmdir()


def _is_ours(out):
    try:
        return json.loads((out / "summary.json").read_text(encoding="utf-8"))["command"] == COMMAND
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_json(out, content):
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (out / "summary.json").write_text(text + "\n", encoding="utf-8")
