"""Fit simulated PCA spectra in memory: compilation, run, memory, distance from the minimum.

Every case runs in a process of its own. See README.md for the fields of the JSON.
"""

import json
from collections import Counter

from common import finish, held_mb, in_fresh_process, machine, median, options, peak_mb, timed

CASES = (
    (300, "shared", "cstat"),
    (300, "shared", "pgstat"),
    (300, "distinct", "cstat"),
    (300, "distinct", "pgstat"),
    (10_000, "shared", "cstat"),
    (10_000, "shared", "pgstat"),
    (10_000, "distinct", "cstat"),
    (10_000, "distinct", "pgstat"),
    (100_000, "shared", "cstat"),
)
COLUMNS = (
    "n responses stat first_s compile_s warm_s warm_us_each iterations lane_efficiency "
    "far_sigma peak_mb kb_each ok"
).split()
CHECKED = 50  # spectra whose minimum is looked for again


def main():
    parser = options(__doc__, __file__)
    parser.add_argument("--largest", type=int, default=100_000, help="leave larger cases out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="print where a warm call spends")
    parser.add_argument("--case", help="one case as JSON, in this process")
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(**json.loads(args.case))))
        return
    facts, cases = machine(), []
    for n, responses, stat in CASES:
        if n > args.largest or (args.n and n != CASES[0][0]):
            continue
        case = {"n": args.n or n, "responses": responses, "stat": stat}
        case |= {"repeats": args.repeats, "profile": args.profile}
        cases.append(in_fresh_process(__file__, case))
        print(f"{case['n']} {responses} {stat}: {cases[-1]['warm_s']:.3g} s")
    memory_growth(cases)
    finish(args, facts, cases, COLUMNS, model="powerlaw", repeats=args.repeats)


def memory_growth(cases):
    """Memory that each further spectrum takes, data included: kB, from the smaller case before."""
    smaller = {}
    for case in cases:
        kind = case["responses"], case["stat"]
        if kind in smaller:
            less = smaller[kind]
            more = case["peak_mb"] - less["peak_mb"]
            case["kb_each"] = 1024 * more / (case["n"] - less["n"])
        smaller[kind] = case


def measure(n, responses, stat, repeats, profile):
    """All numbers of one case."""
    import jax
    from workload import BAND, spectra

    import jaxspec as js

    batch = spectra(n, stat, responses)
    before = held_mb()
    stages = listen(jax)

    def fit():
        return js.fit("powerlaw", batch, stat=stat, progress=False)

    first, result = timed(fit)
    stages, peak = dict(stages), peak_mb()
    warm, result = median(fit, repeats)
    if profile:
        show_profile(fit)
    device = jax.devices()[0]
    used, sizes = efficiency(fit)
    return {
        "n": n,
        "responses": responses,
        "stat": stat,
        "band_keV": BAND,
        "bins": int(result.n_bins[0]),
        "device": f"{device.platform} {device.device_kind}",
        "first_s": first,
        "compile_s": sum(stages.values()),
        **stages,
        "warm_s": warm,
        "warm_us_each": 1e6 * warm / n,
        "iterations": float(result.iterations.mean()),
        "most_iterations": int(result.iterations.max()),
        "lane_efficiency": used,
        "chunk_sizes": sizes,
        "ok": int(result.ok.sum()),
        "far_sigma": farthest(batch, stat, result),
        "checked": min(CHECKED, n),
        "before_mb": before,
        "peak_mb": peak,
    }


def listen(jax):
    """Seconds of tracing, lowering and XLA, summed while the process lives."""
    names = {
        "/jax/core/compile/jaxpr_trace_duration": "trace_s",
        "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower_s",
        "/jax/core/compile/backend_compile_duration": "xla_s",
    }
    stages = Counter()

    def add(event, seconds, **_):
        if event in names:
            stages[names[event]] += seconds

    jax.monitoring.register_event_duration_secs_listener(add)
    return stages


def efficiency(fit):
    """Evaluations that the lanes needed, over those that their chunks executed; chunk sizes.

    A chunk runs until its slowest lane is done, and is filled up with repetitions of a lane. One
    fit is made with the compiled function watched.
    """
    from importlib import import_module

    import numpy as np

    engine, calls = import_module("jaxspec.fit.solve"), []
    compiled = engine.fit_chunk

    def watched(*args):
        end, starts = compiled(*args)
        iterations = np.asarray(end.iterations)
        calls.append((len(iterations), int(iterations.max()) + 1))
        return end, starts

    engine.fit_chunk = watched
    try:
        needed = int((fit().iterations + 1).sum())
    finally:
        engine.fit_chunk = compiled
    executed = sum(lanes * evaluations for lanes, evaluations in calls)
    return needed / executed, sorted({lanes for lanes, _ in calls})


def farthest(batch, stat, result):
    """Largest distance (sigma) of some spectra from the minimum of an independent likelihood."""
    import numpy as np
    from independent import Likelihood, minimum

    rows = np.random.default_rng(5).permutation(len(batch))[:CHECKED]
    return max(minimum(Likelihood(batch[i], stat), result.params[i])[1] for i in rows)


def show_profile(call):
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.runcall(call)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
