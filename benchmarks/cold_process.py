"""From files to a table in a process that starts cold: import, read, fit with errors, write.

The library and the ``jaxspec fit`` command, each without JAX's persistent compilation cache, with
an empty one, and with one that a run before has filled. See README.md for the fields of the JSON.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import finish, last_json, machine, options, timed

COLUMNS = "n files how cache wall_s import_s read_s fit_s write_s other_s ok peak_mb".split()
PARTS = ("import_s", "read_s", "fit_s", "write_s")
WORK = """
import json, sys, time
times = [time.perf_counter()]
pattern, cache, stat, out = sys.argv[1:]
import jaxspec as js
import jax
if cache:
    js.use_compilation_cache(cache)
times.append(time.perf_counter())
spectra = js.read_pha(pattern, on_error="status", progress=False).notice("3-25")
times.append(time.perf_counter())
result = js.fit("powerlaw", spectra, stat=stat, progress=False)
times.append(time.perf_counter())
result.write(out, overwrite=True)
times.append(time.perf_counter())
import resource
parts = [b - a for a, b in zip(times, times[1:])]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(n=len(result), ok=int(result.ok.sum()), peak_mb=peak, parts=parts)))
"""


def main():
    parser = options(__doc__, __file__)
    parser.add_argument("--largest", type=int, default=10_000, help="leave larger archives out")
    parser.add_argument("--repeats", type=int, default=3, help="processes with 300 files each")
    parser.add_argument("--stat", default="cstat", help="cstat is W-stat here: files have one")
    parser.add_argument("--archive", help="pattern of real spectra, as for jaxspec.read_pha")
    args = parser.parse_args()
    facts, cases = machine(), []
    sizes = [args.n] if args.n else [n for n in (300, 10_000) if n <= args.largest]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for n in sizes:
            made = simulate(scratch / str(n), n)
            repeats = 1 if n > 1000 else args.repeats
            cases += measure(scratch / f"cache{n}", made, "simulated", args.stat, repeats)
        if args.archive:
            cases += measure(scratch / "cache", args.archive, "real", args.stat, args.repeats)
    finish(args, facts, cases, COLUMNS, model="powerlaw", band="3-25", repeats=args.repeats)


def simulate(folder, n):
    """Write an archive and give the pattern of its spectra."""
    code = f"import jaxspec; jaxspec.simulate_archive({str(folder)!r}, n={n}, seed=1)"
    subprocess.run([sys.executable, "-c", code], check=True)
    return f"{folder}/*/stdprod/xp*_s2.pha.gz"


def measure(cache, pattern, files, stat, repeats):
    """One case for each state of the compilation cache, the median process of each."""
    cases = []
    for how, run in (("library", library), ("command", command)):
        folder = f"{cache}_{how}"
        for state, where in (("none", ""), ("empty", folder), ("full", folder)):
            times = 1 if state == "empty" else repeats
            runs = [run(pattern, where, stat) for _ in range(times)]
            middle = sorted(runs, key=lambda one: one["wall_s"])[times // 2]
            cases.append({"files": files, "how": how, "cache": state, "stat": stat, **middle})
            print(f"{files}, {how}, cache {state}: {middle['wall_s']:.3g} s")
    for case in cases:
        case.setdefault("n", cases[0]["n"])
    return cases


def library(pattern, cache, stat):
    """Wall time of one process, interpreter included, and what it says of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.executable, "-c", WORK, pattern, cache, stat, f"{folder}/fits.ecsv"]
        wall, done = timed(lambda: subprocess.run(arguments, capture_output=True, text=True))
    said = last_json(done, arguments[:1])
    parts = dict(zip(PARTS, said.pop("parts"), strict=True))
    return {"wall_s": wall, **said, **parts, "other_s": wall - sum(parts.values())}


def command(pattern, cache, stat):
    """Wall time of ``jaxspec fit``, which compiles while it reads."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [sys.executable, "-m", "jaxspec.cli", "fit", pattern, "--model", "powerlaw"]
        arguments += ["--band", "3-25", "--stat", stat, "-o", f"{folder}/fits.ecsv", "--quiet"]
        arguments += [] if cache else ["--no-cache"]
        home = {**os.environ, "XDG_CACHE_HOME": cache or folder}
        wall, done = timed(
            lambda: subprocess.run(arguments, capture_output=True, text=True, env=home)
        )
    if done.returncode:
        sys.exit(f"jaxspec fit failed:\n{done.stderr}")
    return {"wall_s": wall}


if __name__ == "__main__":
    main()
