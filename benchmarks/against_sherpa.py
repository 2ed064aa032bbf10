"""Sherpa beside jaxspec on the same files: cstat and W-stat, a power law from 3 to 25 keV, errors.

Run it with jaxspec; ``--sherpa-python`` names an interpreter that has Sherpa (the same by default),
in which this file runs once more by itself. See README.md for the fields of the JSON.
"""

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import finish, installed, last_json, machine, options

COLUMNS = "engine stat n wall_s import_s read_ms fit_ms errors_ms failed".split()
COLUMNS += ["over_0.1_sigma", "of_them_silent", "far_sigma", "stat_above", "stat_below"]
OURS = {"cstat": "cash", "wstat": "wstat"}  # by Sherpa's name; our cash leaves the background out


def main():
    parser = options(__doc__, __file__, n=300)
    parser.add_argument("--sherpa-python", default=sys.executable)
    parser.add_argument("--archive", type=Path, help="folder of real standard products, unpacked")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        engine, task = args.work
        work = with_sherpa if engine == "sherpa" else with_jaxspec
        print(json.dumps(work(**json.loads(Path(task).read_text()))))
        return
    facts, cases = machine(), []
    with tempfile.TemporaryDirectory() as scratch:
        task = Path(scratch) / "task.json"
        folder = args.archive or simulated(Path(scratch), args.n)
        files = [str(path) for path in sorted(folder.rglob("xp*_s2.pha"))[: args.n]]
        for stat in OURS:
            task.write_text(json.dumps({"files": files, "stat": stat}))
            ours = process(sys.executable, "jaxspec", task)
            more = {"files": files, "stat": stat, "channels": ours["rows"].pop("channels")}
            task.write_text(json.dumps(more))
            theirs = process(args.sherpa_python, "sherpa", task)
            cases += [summary(x, ours["rows"]) for x in (ours, theirs)]
    finish(args, facts, cases, COLUMNS, model="powerlaw", archive=bool(args.archive))


def simulated(scratch, n):
    """Write an archive and unpack it: the file names in its headers have no .gz."""
    import jaxspec as js

    js.simulate_archive(scratch / "archive", n=n, seed=1)
    for path in (scratch / "archive").rglob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    return scratch / "archive"


def process(python, engine, task):
    """What one engine says, and the seconds of its whole process."""
    command = [python, __file__, "--work", engine, str(task)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - began
    said = last_json(done, command)
    return {"engine": engine, "wall_s": wall - said.pop("again_s", 0.0), **said}


def with_jaxspec(files, stat):
    """Read and fit all at once; errors come with the fit."""
    clock = Clock()
    import jax  # noqa: F401  (its import is counted)

    import jaxspec as js

    import_s = clock()
    spectra = js.read_pha(files, progress=False).notice("3-25")
    n, read_s = len(spectra), clock()
    js.fit("powerlaw", spectra, stat=OURS[stat], progress=False)
    first = clock()
    result = js.fit("powerlaw", spectra, stat=OURS[stat], progress=False)
    warm = clock()
    return {
        "stat": stat,
        "version": js.__version__,
        "import_s": import_s,
        "read_ms": 1e3 * read_s / n,
        "first_s": first,
        "fit_ms": 1e3 * warm / n,
        "errors_ms": "in fit",
        "again_s": warm,  # only this benchmark fits twice
        "rows": {
            "params": result.params.tolist(),
            "errors": [list(x) for x in zip(*map(result.error, result.columns), strict=True)],
            "stat": result.stat.tolist(),
            "ok": result.ok.tolist(),
            "channels": [noticed(s) for s in spectra],
        },
    }


def noticed(spectrum):
    """First and last channel in the band, so that both engines fit the same bins."""
    from jaxspec.reduce.bins import spectrum_bins

    index, _ = spectrum_bins(spectrum)
    inside = spectrum.channel[index >= 0]
    return [int(inside[0]), int(inside[-1])]


def with_sherpa(files, stat, channels):
    """As a careful user would: each response parsed once, levmar, the start from the counts."""
    import logging

    clock = Clock()
    from sherpa.astro import io
    from sherpa.astro.instrument import Response1D
    from sherpa.estmethods import Covariance
    from sherpa.fit import Fit
    from sherpa.models.basic import PowLaw1D
    from sherpa.optmethods import LevMar
    from sherpa.stats import CStat, WStat

    logging.getLogger("sherpa").setLevel(logging.ERROR)
    import_s = clock()
    io.read_rmf = by_content(io.read_rmf)
    data = [io.read_pha(path) for path in files]
    for one, (first, last) in zip(data, channels, strict=True):
        one.set_analysis("channel")
        one.notice(first, last)
    n, read_s, fits = len(data), clock(), []
    statistic = {"cstat": CStat, "wstat": WStat}[stat]()
    for one in data:
        model = PowLaw1D("p")
        folded = Response1D(one)(model)
        model.gamma = 2.0
        model.ampl = one.get_dep(True).sum() / one.eval_model_to_fit(folded).sum()
        fits.append(Fit(one, folded, statistic, LevMar(), Covariance()))
    results = [fit.fit() for fit in fits]
    fit_s = clock()
    errors = [fit.est_errors().parmaxes for fit in fits]
    return {
        "stat": stat,
        "version": installed("sherpa"),
        "import_s": import_s,
        "read_ms": 1e3 * read_s / n,
        "fit_ms": 1e3 * fit_s / n,
        "errors_ms": 1e3 * clock() / n,
        "rows": {
            "params": [list(map(float, r.parvals)) for r in results],
            "errors": [[None if x is None else float(x) for x in row] for row in errors],
            "stat": [float(r.statval) for r in results],
            "ok": [bool(r.succeeded) for r in results],
        },
    }


def by_content(read):
    """A reader that parses files of equal content once."""
    seen = {}

    def remembered(path):
        key = hashlib.sha256(Path(path).read_bytes()).digest()
        if key not in seen:
            seen[key] = read(path)
        return seen[key]

    return remembered


class Clock:
    """Seconds since the call before."""

    def __init__(self):
        self.before = time.perf_counter()

    def __call__(self):
        now = time.perf_counter()
        seconds, self.before = now - self.before, now
        return seconds


def summary(said, best):
    """One case; distances are from our minimum (checked by fit_spectra.py), in our errors."""
    found = said["rows"]
    rows = zip(found["params"], best["params"], best["errors"], strict=True)
    far = [max(abs(x - b) / e for x, b, e in zip(*row, strict=True)) for row in rows]
    excess = [a - b for a, b in zip(found["stat"], best["stat"], strict=True)]
    return {
        **{key: value for key, value in said.items() if key != "rows"},
        "n": len(far),
        "failed": found["ok"].count(False),
        "over_0.1_sigma": sum(x > 0.1 for x in far),
        "of_them_silent": sum(x > 0.1 and ok for x, ok in zip(far, found["ok"], strict=True)),
        "far_sigma": max(far),
        "stat_above": max(excess),
        "stat_below": max(-x for x in excess),
    }


if __name__ == "__main__":
    main()
