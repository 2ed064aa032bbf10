"""A hundred posteriors in one call: compilation, run, effective draws per second, how rows ended.

TBabs*(diskbb+powerlaw) and powerlaw on simulated PCA spectra of one response, under the flat priors
between wide limits that a user gets without more thought. Three rows are sampled again alone and
compared with what they were among the others. Every case runs in a process of its own, once cold;
the second call, with another seed, is the warm one. See README.md for the fields of the JSON.
"""

import json

from common import finish, in_fresh_process, machine, options, timed

# truths: flat between these; the limits of the fit are those of DISC in spectrum_posterior.py
TRUTHS = {
    "powerlaw": {"PhoIndex": (1.5, 2.8), "norm": (0.05, 1.0)},
    "TBabs*(diskbb+powerlaw)": {
        "nH": (1.0, 8.0),
        "Tin": (0.9, 1.8),
        "diskbb.norm": (30.0, 150.0),
        "PhoIndex": (1.8, 2.8),
        "powerlaw.norm": (0.3, 3.0),
    },
}
COLUMNS = (
    "model n cold_s compile_s warm_s ms_each draws_per_s ess_per_s least_ess_per_s min_ess "
    "max_rhat divergent ok failed identical largest_difference"
).split()
EXPOSURE = 1500.0
ROWS = (0, 37, -1)


def main():
    parser = options(__doc__, __file__, n=100)
    parser.add_argument("--draws", type=int, default=500, help="per chain, of four")
    parser.add_argument("--case", help="one case as JSON, in this process")
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(**json.loads(args.case))))
        return
    facts, cases = machine(), []
    for model in TRUTHS:
        cases.append(in_fresh_process(__file__, {"model": model, "n": args.n, "draws": args.draws}))
        print(f"{model}: {cases[-1]['warm_s']:.3g} s", flush=True)
    finish(args, facts, cases, COLUMNS, draws=args.draws, exposure_s=EXPOSURE)


def spectra_of(expression, n, seed=11):
    """Simulated PCA spectra (3-25 keV) with a modelled background."""
    import numpy as np
    from workload import observation

    import jaxspec as js

    template, rng = observation(), np.random.default_rng(seed)
    truths = {key: rng.uniform(*ends, n) for key, ends in TRUTHS[expression].items()}
    return js.fake(expression, template.response, EXPOSURE, truths,
                   background=template.background, seed=rng).notice("3-25")  # fmt: skip


def measure(model, n, draws):
    """All numbers of one case."""
    from collections import Counter

    import jax
    import numpy as np
    from fit_spectra import listen
    from spectrum_posterior import DISC, SLOPE, limited

    import jaxspec as js

    spectra = spectra_of(model, n)
    of = limited(model, DISC if "diskbb" in model else SLOPE)
    how = {"stat": "pgstat", "draws": draws, "progress": False}
    stages = listen(jax)
    cold, _ = timed(lambda: js.sample(of, spectra, seed=1, **how))
    compiled = sum(stages.values())
    warm, found = timed(lambda: js.sample(of, spectra, seed=2, **how))
    differences = []
    for row in ROWS:
        alone = js.sample(of, spectra[row], seed=2, sampler="hmc", **how)
        away = np.abs(alone.chains - found[row].chains) / alone.std
        differences.append(float(away.max()))
    ess = np.array([min(p.ess.min(), p.ess_tail.min()) for p in found if p is not None])
    return {
        "model": model,
        "n": n,
        "cold_s": cold,
        "compile_s": compiled,
        "warm_s": warm,
        "ms_each": 1e3 * warm / n,
        "draws_per_s": 4 * draws * n / warm,
        "ess_per_s": float(ess.sum() / warm),
        "least_ess_per_s": float(ess.min() * n / warm),
        "min_ess": float(ess.min()),
        "max_rhat": float(max(p.rhat.max() for p in found)),
        "divergent": sum(p.n_divergent for p in found),
        "ok": float(found.ok.mean()),
        "failed": int(sum(p is None for p in found)),
        "status": Counter(js.Status(s).name for s in found.status),
        "identical": sum(d == 0 for d in differences),
        "largest_difference": max(differences),
    }


if __name__ == "__main__":
    main()
