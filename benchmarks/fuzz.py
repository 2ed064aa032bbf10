"""Damaged files of every kind: does each end in a typed error, a row with a status, or numbers?

Good files are simulated, copied with some bytes, header cards, numbers or lines changed, and read;
what reads is fitted. That is done in processes with limits of memory and of time for each file. An
exception that is not of `jaxspec.errors`, a hang or the death of the process is a fault, and so is
a fit that calls itself OK without finite numbers: the script then exits with 1. A fault is found
again by its number: the same seed, kind and number give the same file. See README.md for the
fields of the JSON.
"""

import argparse
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
from collections import Counter
from pathlib import Path

import numpy as np
from fuzz_files import KINDS, make_good, mutated

HERE = Path(__file__).parent
MEMORY = 12 * 2**30  # bytes of address space; JAX and its threads take 4 of them before any data
FAULTS = ("untyped", "hang", "death", "nonsense")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="files of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    limit = "processor time for a file; on the clock ten times of it"
    parser.add_argument("--seconds", type=float, default=30.0, help=limit)
    parser.add_argument("--no-fit", action="store_true", help="only read")
    parser.add_argument("--only", type=int, help="number of one file, in this process")
    parser.add_argument("--good", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "fuzz.json")
    args = parser.parse_args()
    if args.good is not None:
        return work(args)
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    try:
        make_good(folder)
        args.good = folder
        if args.only is not None:
            args.start, args.n = args.only, args.only + 1
            return work(args)
        cases = [run_kind(kind, args) for kind in args.kinds.split(",")]
    finally:
        shutil.rmtree(folder)
    for case in cases:
        print(case["kind"].ljust(12), json.dumps(case["ends"]))
        for file, what in case["refused"].items():
            print("    refused although it is good:", file, what[:200])
        for fault in case["faults"]:
            print(
                "   ", fault["end"], fault["what"], f"({fault['files']} files, {fault['number']})"
            )
    args.out.write_text(json.dumps({"seed": args.seed, "n": args.n, "cases": cases}, indent=1))
    return 1 if any(case["faults"] for case in cases) else 0


def run_kind(kind, args):
    """Outcome of all files of a kind; a new process goes on where one has ended."""
    ends, faults, refused, start, began = Counter(), {}, {}, 0, time.perf_counter()

    def note(number, end, what):
        ends[end] += 1
        if end in FAULTS:
            fault = dict(end=end, what=what, files=0, number=number)
            faults.setdefault((end, what), fault)["files"] += 1

    while start < args.n:
        command = [sys.executable, __file__, "--good", args.good, "--kinds", kind]
        command += ["--n", args.n, "--start", start, "--seed", args.seed, "--seconds", args.seconds]
        command += ["--no-fit"] if args.no_fit else []
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
            code = run.wait()
            said.seek(0)
            text = said.read()
        if start < args.n:
            hangs = "Timeout (" in text or code == -signal.SIGPROF
            where = [x.strip() for x in text.splitlines() if "jaxspec" in x]
            what = where[0] if where else text.strip().rpartition("\n")[2]
            note(start, "hang" if hangs else "death", f"exit {code}: {what}"[:200])
            start += 1
    seconds = time.perf_counter() - began
    found = list(faults.values())
    return dict(kind=kind, seconds=seconds, ends=dict(ends), faults=found, refused=refused)


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
    try_one = KINDS[kind].prepare(args.good, place, not args.no_fit)
    faulthandler.register(signal.SIGPROF, all_threads=True, chain=True)  # says where, and ends
    limit = 2 * args.seconds  # the first one compiles
    if args.start == 0:  # a good file that is refused tests nothing
        for file in KINDS[kind].files(args.good / kind):
            end, what = outcome(try_one, place / file.name, True)
            if end in ("typed error", *FAULTS):
                print(json.dumps(dict(file=file.name, what=f"{end}: {what}")), flush=True)
    for number in range(args.start, args.n):
        seed = [args.seed, sorted(KINDS).index(kind), number]
        file, raw = mutated(kind, args.good, np.random.default_rng(seed))
        (place / file).write_bytes(raw)
        signal.setitimer(signal.ITIMER_PROF, limit)
        faulthandler.dump_traceback_later(10 * limit, exit=True)
        end, what = outcome(try_one, place / file, args.only is not None)
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(dict(number=number, end=end, what=what)), flush=True)
        if end == "fitted":
            limit = args.seconds
        if args.only is not None:
            shutil.copy(place / file, Path.cwd() / f"fuzz_{number}_{file}")
        shutil.copy(args.good / kind / file, place / file)
    return 0


def outcome(try_one, path, aloud):
    """How one file ended, and what was said."""
    from jaxspec.errors import FitError, InputError

    try:
        return try_one(path)
    except (InputError, FitError) as error:
        return "typed error", str(error) if aloud else ""
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
