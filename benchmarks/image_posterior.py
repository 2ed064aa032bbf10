"""Posterior of the tutorial's cluster in a process that starts cold, beside numba and emcee.

The 883 x 883 image, its exposure map and its regions lie on disk; each run is a process of its own
that imports, reads, masks, finds the optimum, samples and computes R-hat and effective sample
sizes, without a compilation cache. The other side is what the tutorial suggests: a fused numba
likelihood of the good pixels and emcee with the same flat priors, whose walkers start in the known
posterior. emcee is stopped after a set time; its rate of effective draws is what is compared. See
README.md for the fields of the JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import finish, last_json, machine, options, timed

COLUMNS = (
    "model engine draws wall_s min_ess ess_per_s max_rhat divergent acceptance prepare_s sample_s"
).split()
OURS = """
import json, sys, time
folder, model, draws, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
times = [time.perf_counter()]
import jaxspec as js
image = js.read_image(f"{folder}/image.fits.gz", exposure=f"{folder}/expmap.fits.gz",
                      regions=f"{folder}/mask.reg", min_exposure=0.5)
times.append(time.perf_counter())
posterior = js.sample(model, image, draws=draws, seed=seed, progress=False)
times.append(time.perf_counter())
rhat, ess = posterior.rhat, posterior.ess
times.append(time.perf_counter())
stages = posterior.settings["seconds"]
print(json.dumps(dict(
    min_ess=float(ess.min()), max_rhat=float(rhat.max()), divergent=posterior.n_divergent,
    acceptance=posterior.acceptance, stages=stages, pixels=posterior.settings["pixels"],
    merged_pixels=posterior.settings["merged_pixels"], read_s=times[1] - times[0],
    sample_s=times[2] - times[1], diagnostics_s=times[3] - times[2],
    names=posterior.names, mean=posterior.mean.tolist(), std=posterior.std.tolist())))
"""


def main():
    parser = options(__doc__, __file__)
    parser.add_argument("--size", type=int, default=883, help="side of the image in pixels")
    parser.add_argument(
        "--draws",
        type=int,
        nargs=2,
        default=(250, 200),
        metavar="N",
        help="per chain, of the single and of the double beta model",
    )
    parser.add_argument("--repeats", type=int, default=3, help="cold processes, seeds 1, 2 ...")
    parser.add_argument("--emcee-seconds", type=float, default=120.0, help="0 leaves emcee out")
    args = parser.parse_args()
    facts, cases = machine(), []
    with tempfile.TemporaryDirectory() as scratch:
        for kind, model, draws in zip(
            ("single", "double"), ("beta", "double_beta"), args.draws, strict=True
        ):
            folder = Path(scratch) / kind
            simulate(kind, args.size, folder)
            runs = [ours(folder, model, draws, seed + 1) for seed in range(args.repeats)]
            cases += runs
            if args.emcee_seconds:
                cases.append(theirs(folder, model, args.emcee_seconds, runs[0]))
    finish(args, facts, cases, COLUMNS, size=args.size)


def simulate(kind, size, folder):
    """Write image, exposure map and regions with the tutorial's truth."""
    import jaxspec as js

    js.simulate_cluster(kind, size=size, seed=1, folder=folder)


def run_cold(arguments):
    """Seconds of wall clock of a fresh process and the JSON that it printed last."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION")}
    wall, done = timed(
        lambda: subprocess.run(
            arguments, capture_output=True, text=True, check=False, env=environment
        )
    )
    return wall, last_json(done, arguments[0])


def ours(folder, model, draws, seed):
    """One cold process of jaxspec."""
    wall, found = run_cold([sys.executable, "-c", OURS, str(folder), model, str(draws), str(seed)])
    ready = wall - found["stages"]["draws"] - found["diagnostics_s"]
    return {
        "model": model, "engine": "jaxspec", "draws": draws, "seed": seed, "wall_s": wall,
        "ess_per_s": found["min_ess"] / found["stages"]["draws"], "prepare_s": ready, **found,
    }  # fmt: skip


def theirs(folder, model, seconds, reference):
    """One cold process of numba and emcee, stopped after ``seconds`` of sampling."""
    script = Path(__file__).with_name("with_emcee.py")
    pairs = zip(reference["mean"], reference["std"], strict=True)
    start = json.dumps(dict(zip(reference["names"], pairs, strict=True)))
    wall, found = run_cold([sys.executable, str(script), str(folder), model, str(seconds), start])
    found["ess_per_s"] = found["min_ess"] / found["sample_s"]
    return {"model": model, "engine": "numba+emcee", "wall_s": wall, **found}


if __name__ == "__main__":
    main()
