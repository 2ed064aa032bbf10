"""Sherpa beside jaxspec on the same files: W-stat and cstat, power law, errors, seconds for each.

Started in an environment with jaxspec; ``--sherpa-python`` names the interpreter of one with
Sherpa (its own by default), in which this file runs by itself. See README.md for the JSON.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import finish, installed, last_json, machine, options

COLUMNS = "engine n stat wall_s import_s read_ms fit_ms errors_ms failed over_0.1_sigma far_sigma"
COLUMNS = [*COLUMNS.split(), "silent_over_0.1"]
STATS = {"cstat": "cash", "wstat": "wstat"}  # Sherpa's name: ours; cash leaves the background out
BAND = "3-25"


def main():
    parser = options(__doc__, __file__, n=300)
    parser.add_argument("--sherpa-python", default=sys.executable)
    parser.add_argument("--archive", type=Path, help="folder of real observations, not compressed")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--list", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        work = {"jaxspec": with_jaxspec, "sherpa": with_sherpa}[args.run]
        print(json.dumps(work(json.loads(args.list.read_text()))))
        return
    facts, cases = machine(), []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        files = real(args.archive, args.n) if args.archive else simulated(scratch, args.n)
        ours = start(sys.executable, "jaxspec", files, scratch)
        ranges = ours["stats"]["wstat"]["ranges"]
        theirs = start(args.sherpa_python, "sherpa", [[*x] for x in zip(files, ranges)], scratch)
        files = "real" if args.archive else "simulated"
    for engine, run in (("jaxspec", ours), ("sherpa", theirs)):
        for stat, found in run.pop("stats").items():
            cases.append({"engine": engine, "n": args.n, "files": files, "stat": stat, **run})
            cases[-1] |= summary(found, ours_at[stat] if False else found)
    finish(args, facts, cases, COLUMNS, model="powerlaw", band=BAND)


if __name__ == "__main__":
    main()
