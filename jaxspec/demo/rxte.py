"""``jaxspec demo``: simulate an archive, fit it, say what was found and whether it is true."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from jaxspec._environment import devices, versions
from jaxspec.demo import findings
from jaxspec.report.text import screen_table
from jaxspec.run.folder import begin_writing, finish, make_room, timed

COMMAND = "jaxspec demo"
PATTERN = "*/stdprod/xp*_s2.pha.gz"
BAND = "3-25"
FORMATS = (".ecsv", ".fits", ".parquet")
ROWS_SHOWN = 12


def run_demo(out, n=300, seed=1, say=print) -> dict:
    """Simulate ``n`` PCA observations with four flaws, fit them and write everything to ``out``.

    An absorbed power law is fitted to all; where its statistic is more than three standard
    deviations above what is expected of a true model, a disc is added.

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
    make_room(out, COMMAND, say)
    summary = {"command": COMMAND, "finished": False, "n": n, "seed": seed}
    begin_writing(out, names=(), **summary)
    truth = timed(seconds, "simulate", _simulate, out, n, seed)
    spectra = timed(seconds, "read", _read, out)
    fits = {"powerlaw": timed(seconds, "fit power law", _fit, spectra, "TBabs*powerlaw")}
    poor = np.flatnonzero(findings.is_poor(fits["powerlaw"]))
    if poor.size:
        model = "TBabs*(diskbb+powerlaw)"
        fits["disk"] = timed(seconds, "fit with disc", _fit, spectra[poor], model)
    for result in fits.values():
        say(f"{result.model.expression}\n{screen_table(result, max_rows=ROWS_SHOWN)}\n")
    table = findings.collect(fits, poor, truth)
    sentences = findings.sentences(fits, table)
    say("\n".join(sentences))
    files = timed(seconds, "tables", _write_tables, fits, out)
    begin_writing(out, names=files, **summary)
    files += timed(seconds, "figures", _draw, fits, poor, table, out)
    seconds["total"] = sum(seconds.values())
    summary |= {
        "finished": True,
        "models": {name: result.model.expression for name, result in fits.items()},
        "frozen": {"TBabs.nH": float(fits["powerlaw"].model["TBabs.nH"].value)},
        "band_keV": BAND,
        "statistics": dict(Counter(filter(None, fits["powerlaw"].stat_names))),
        "status": {name: dict(result.status_counts) for name, result in fits.items()},
        "regimes": dict(Counter(word for word in table["regime"].tolist() if word)),
        "truths": findings.recovered(table),
        "findings": sentences,
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
        "files": files,
        "versions": versions(),
        "devices": devices(),
    }
    finish(out, summary, say)
    spent = ", ".join(f"{step} {value:.1f} s" for step, value in seconds.items())
    say(f"\n{spent}\nin {out}/: archive/, summary.json, {', '.join(files)}")
    return summary


# ---------------------------------------------------------------------------- steps


def _simulate(out, n, seed):
    from jaxspec.demo.pca_archive import simulate_archive

    return simulate_archive(out / "archive", n=n, seed=seed, flaws=True, overwrite=True)


def _read(out):
    from jaxspec.reduce.spectra import read_pha

    return read_pha(str(out / "archive" / PATTERN), on_error="status").notice(BAND)


def _fit(spectra, expression):
    from jaxspec.demo.pca_archive import NH
    from jaxspec.fit.run import fit
    from jaxspec.model.model import Model

    model = Model(expression)
    model["TBabs.nH"].freeze(NH)
    return fit(model, spectra)


def _write_tables(fits, out):
    return [
        result.write(out / f"{k}{end}", overwrite=True).name
        for k, result in fits.items()
        for end in FORMATS
    ]


def _draw(fits, poor, table, out):
    """Figures of everything, and one spectrum of each regime; gives their names."""
    from jaxspec.report.save import save

    files = save(fits["powerlaw"].spectra, out, overwrite=True)
    for name, result in fits.items():
        files += save(result, out, f"{name}_", overwrite=True)
    for word in findings.REGIMES:
        rows = np.flatnonzero((table["regime"] == word) & table["ok"])
        if rows.size:
            counts = [fits["powerlaw"].spectra[row].counts.sum() for row in rows]
            row = rows[np.argsort(counts)[len(rows) // 2]]
            chosen = ("disk", int(np.searchsorted(poor, row))) if row in poor else ("powerlaw", row)
            files += save(fits[chosen[0]], out, f"{word}_", chosen[1], overwrite=True)
    return files
