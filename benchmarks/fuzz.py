"""Damaged files of every kind: does each end in a typed error, a row with a status, or numbers?

Good files are simulated, copied with some bytes, header cards, columns, numbers or lines changed,
and read; some of those that can be read are fitted. That is done in processes with limits of memory
and of time for each file. An exception that is not of `jaxspec.errors`, a hang or the death of the
process is a fault, and so is nonsense in what was read, or a fit that calls itself OK without
finite numbers: the script then exits with 1. A fault is found again by its number: the same seed,
kind and number give the same file. See README.md for the fields of the JSON.
"""

import argparse
import atexit
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from fuzz_damage import damaged
from fuzz_files import make_good
from fuzz_kinds import KINDS, Nonsense, ready

HERE = Path(__file__).parent
MEMORY = 12 * 2**30  # bytes of address space; JAX and its threads take 4 of them before any data
FAULTS = ("untyped", "hang", "death", "nonsense")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="files of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    limit = "processor time for a file; on the clock a hundred times of it"
    parser.add_argument("--seconds", type=float, default=30.0, help=limit)
    parser.add_argument("--fit", type=int, default=10, help="fit every n-th file; 0 for none")
    parser.add_argument("--only", type=int, help="number of one file, in this process")
    files = "folder for the good files, which are made if it does not exist, and left there"
    parser.add_argument("--files", type=Path, help=files)
    parser.add_argument("--good", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "fuzz.json")
    args = parser.parse_args()
    if args.good is not None:
        return work(args)
    args.good = args.files or Path(tempfile.mkdtemp(prefix="fuzz"))
    cases = []
    try:
        if not (args.good / "image").exists():
            args.good.mkdir(exist_ok=True)
            make_good(args.good)
        if args.only is not None:
            args.start, args.n = args.only, args.only + 1
            return work(args)
        for kind in args.kinds.split(","):
            cases.append(run_kind(kind, args))
            show(cases[-1])
    finally:
        if args.files is None:
            shutil.rmtree(args.good)
    return 1 if any(case["faults"] for case in cases) else 0


def show(case):
    """Print how the files of a kind ended."""
    print(case["kind"].ljust(12), f"{case['seconds']:.0f} s", json.dumps(case["ends"]), flush=True)
    for file, what in case["refused"].items():
        print("    refused although it is good:", file, what[:200])
    for fault in case["faults"]:
        print(f"    {fault['end']}: {fault['what']} ({fault['files']} files, {fault['number']})")


def keep(case, out):
    """Put a case into the JSON, in place of an earlier one of the same kind and seed."""
    cases = json.loads(out.read_text())["cases"] if out.exists() else []
    others = [c for c in cases if (c["kind"], c["seed"]) != (case["kind"], case["seed"])]
    out.write_text(json.dumps({"cases": [*others, case]}, indent=1) + "\n")


def run_kind(kind, args):
    """Outcome of all files of a kind; a new process goes on where one has ended.

    Every thousand files the JSON is written, so that a run that is cut off is not lost.
    """
    ends, faults, refused, start, began = Counter(), {}, {}, 0, time.perf_counter()

    def note(number, end, what):
        ends[end] += 1
        if end in FAULTS:
            fault = dict(end=end, what=what, files=0, number=number)
            faults.setdefault((end, what), fault)["files"] += 1

    def so_far():
        case = dict(kind=kind, seed=args.seed, n=start, fit=args.fit)
        case["seconds"] = round(time.perf_counter() - began)
        return case | dict(ends=dict(ends), faults=list(faults.values()), refused=refused)

    while start < args.n:
        command = [sys.executable, __file__, "--good", args.good, "--kinds", kind]
        command += ["--n", args.n, "--start", start, "--seed", args.seed, "--seconds", args.seconds]
        command += ["--fit", args.fit]
        with tempfile.TemporaryFile("w+") as said:
            run = subprocess.Popen(
                [str(c) for c in command], stdout=subprocess.PIPE, stderr=said, text=True
            )
            assert run.stdout is not None
            for line in run.stdout:
                found = json.loads(line)
                if "file" in found:
                    refused[found["file"]] = found["what"]
                    continue
                start = found["number"] + 1
                note(**found)
                if start % 1000 == 0:
                    keep(so_far(), args.out)
            code = run.wait()
            said.seek(0)
            text = said.read()
        if start < args.n:
            hangs = "Timeout (" in text or code == -signal.SIGPROF
            where = [x.strip() for x in text.splitlines() if "jaxspec" in x]
            what = where[0] if where else text.strip().rpartition("\n")[2]
            note(start, "hang" if hangs else "death", f"exit {code}: {what}"[:200])
            start += 1
    keep(so_far(), args.out)
    return so_far()


# ------------------------------------------------------------------ in the process


def work(args):
    """Read files from number ``start`` on, a line of JSON for each."""
    import faulthandler

    import jaxspec as js

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.environ.setdefault("MPLBACKEND", "Agg")
    kind = args.kinds.split(",")[0]
    place = Path(tempfile.mkdtemp(prefix=f"fuzz_{kind}", dir=args.good))
    js.use_compilation_cache(args.good / "cache")  # the next process need not compile again
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    try_one = ready(kind, args.good, place)
    files = KINDS[kind].files(args.good / kind)
    faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)  # says where, and ends
    limit = 2 * args.seconds  # the first one compiles
    if args.start == 0:  # a good file that is refused tests nothing
        for file in files:
            end, what = outcome(try_one, place / file.name, False, True)
            if end in ("typed error", *FAULTS):
                print(json.dumps(dict(file=file.name, what=f"{end}: {what}")), flush=True)
            shutil.copy(file, place / file.name)
    for number in range(args.start, args.n):
        rng = np.random.default_rng([args.seed, zlib.crc32(kind.encode()), number])
        file = files[rng.integers(len(files))]
        path = place / file.name
        path.write_bytes(damaged(file.read_bytes(), file.name, rng))
        if args.only is not None:
            shutil.copy(path, Path.cwd() / f"fuzz_{number}_{file.name}")
        fit = args.fit > 0 and number % args.fit == 0
        signal.setitimer(signal.ITIMER_PROF, limit)
        faulthandler.dump_traceback_later(100 * limit, exit=True)
        end, what = outcome(try_one, path, fit, args.only is not None)
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(dict(number=number, end=end, what=what)), flush=True)
        if end == "fitted":
            limit = args.seconds
        shutil.copy(file, path)
    return 0


def outcome(try_one, path, fit, aloud):
    """How one file ended, and what was said."""
    from jaxspec.errors import FitError, InputError

    try:
        return try_one(path, fit), ""
    except (InputError, FitError) as error:
        return "typed error", str(error) if aloud else ""
    except Nonsense as error:
        return "nonsense", str(error)
    except Exception as error:  # any: that is what is looked for
        if aloud:
            traceback.print_exc()
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if "jaxspec" in f.filename and "benchmarks" not in f.filename]
        last = own[-1] if own else frames[-1]
        place = f"{Path(last.filename).parent.name}/{Path(last.filename).name} {last.name}"
        return "untyped", f"{type(error).__name__} in {place}: {str(error)[:80]}"


if __name__ == "__main__":
    sys.exit(main())
