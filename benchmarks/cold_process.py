"""From files to a table in a process that starts cold: import, read, fit with errors, write.

Without JAX's persistent compilation cache, with an empty one, and with one that a run before has
filled. See README.md for the fields of the JSON.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import finish, last_json, machine, options

COLUMNS = "n files cache wall_s import_s read_s fit_s write_s other_s ok peak_mb".split()
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
result.write(out)
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
    for name, folder, times in (
        ("none", "", repeats),
        ("empty", cache, 1),
        ("full", cache, repeats),
    ):
        runs = sorted(
            (once(pattern, folder, stat) for _ in range(times)), key=lambda r: r["wall_s"]
        )
        cases.append({"files": files, "cache": name, **runs[len(runs) // 2]})
        print(f"{cases[-1]['n']} {files}, cache {name}: {cases[-1]['wall_s']:.3g} s")
    return cases


def once(pattern, cache, stat):
    """Wall time of one process, interpreter included, and what it says of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", WORK, pattern, str(cache), stat, f"{folder}/fits.ecsv"]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        wall = time.perf_counter() - began
    said = last_json(done, command[:1])
    parts = dict(zip(PARTS, said.pop("parts"), strict=True))
    return {"wall_s": wall, "stat": stat, **said, **parts, "other_s": wall - sum(parts.values())}


if __name__ == "__main__":
    main()
