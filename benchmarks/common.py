"""What the benchmarks share: facts of the machine, timing, fresh processes, JSON.

Needs nothing but the standard library until a function asks for more, so that it can be imported
in the environment of another package.
"""

import argparse
import glob
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jaxspec-engine", "jax", "jaxlib", "numpy", "scipy", "astropy", "iminuit", "sherpa")
QUIET = 0.1  # cores busy with other work above which the numbers are called provisional


def options(doc, script, **defaults):
    """Parser with ``--n`` and ``--out``."""
    parser = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    parser.add_argument("--n", type=int, help="number of spectra", default=defaults.get("n"))
    parser.add_argument("--out", type=Path, default=RESULTS / f"{Path(script).stem}.json")
    return parser


def standard_products(data, band, n=None):
    """The 550 RXTE spectra of the reference data, or the first ``n``, noticed in ``band``."""
    import jaxspec as js

    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(f"{data}/rxte_pca/stdprod_bh_sample.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        spectra = js.read_pha(sorted(glob.glob(f"{folder}/**/xp*_s2.pha*", recursive=True)))
    return spectra[:n].notice(band)


def machine():
    """Processor, cores, load average and versions, as they are now; call it first."""
    return {
        "others": others_seconds(),
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_at_start": [round(x, 2) for x in os.getloadavg()],
        **{name: found for name in PACKAGES if (found := installed(name))},
    }


def others_seconds():
    """Processor seconds that all processes but this one and its children have spent, and now."""
    user, nice, system, _, _, *interrupts = map(int, read_fields("/proc/stat")[1:9])
    total = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return total - sum(x.ru_utime + x.ru_stime for x in own), time.perf_counter()


def read_fields(path):
    return Path(path).read_text().split("\n", 1)[0].split()


def processor():
    """Name of the processor, with family and model where the name alone says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    return f"{facts.get('model name')} (family {facts.get('cpu family')}, {facts.get('model')})"


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def timed(function):
    """Seconds and the value of one call."""
    began = time.perf_counter()
    value = function()
    return time.perf_counter() - began, value


def median(function, repeats):
    """Median seconds of several calls, and the value of the last."""
    seconds = []
    for _ in range(repeats):
        one, value = timed(function)
        seconds.append(one)
    return statistics.median(seconds), value


def peak_mb():
    """Largest memory this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def held_mb():
    """Memory this process holds now, MB."""
    pages = int(read_fields("/proc/self/statm")[1])
    return pages * resource.getpagesize() / 2**20


def in_fresh_process(script, case, python=sys.executable):
    """Run ``script --case JSON`` in a new process; the JSON of the last line it prints.

    Compilation and peak memory can only be measured once in a process.
    """
    command = [python, str(script), "--case", json.dumps(case)]
    return last_json(subprocess.run(command, capture_output=True, text=True), command)


def last_json(done, command):
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    *before, last = done.stdout.rstrip().splitlines()
    if before:
        print("\n".join(before))
    return json.loads(last)


def rounded(value, digits=4):
    """Numbers in nested lists and dicts to a few significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(x, digits) for key, x in value.items()}
    return [rounded(x, digits) for x in value] if isinstance(value, list) else value


def finish(args, facts, cases, columns, **settings):
    """Print the table and write the JSON."""
    show(cases, columns)
    (spent, now), (before, began) = others_seconds(), facts.pop("others")
    facts["other_work_cores"] = round((spent - before) / (now - began), 2)
    facts["quiet"] = facts["other_work_cores"] < QUIET
    if not facts["quiet"]:
        print(f"PROVISIONAL: other work kept {facts['other_work_cores']} cores busy meanwhile")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": facts, "settings": settings, "cases": rounded(cases)}
    args.out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written: {args.out}")


def show(cases, columns):
    """One line for each case."""
    rows = [[str(rounded(case.get(name, ""), 3)) for name in columns] for case in cases]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in [columns, *rows]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
