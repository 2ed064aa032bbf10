"""Calibration of posteriors of spectra by simulation, all of a model in one call.

Truths are drawn from the prior, a spectrum is simulated for each, all are sampled in one call under
the same prior, and the rank of each truth among thinned draws is noted. Ranks of a correct sampler
are uniform (Cook, Gelman & Rubin 2006; Talts et al. 2018); chi2 over bins of rank and KS give
p-values for each parameter. Few counts are expected of most spectra, so that the posteriors are
wide and bent; the priors of the first model cut some of them off. See README.md for the fields of
the JSON.
"""

import jax
import numpy as np
import numpyro.distributions as dist
from calibrate_images import BINS, RANKS, rank_of, uniformity
from common import finish, machine, options, timed
from workload import observation

import jaxspec as js

CHAINS, DRAWS, WARMUP = 4, 250, 300
CASES = {
    "powerlaw": {
        "stat": "cstat",
        "exposure": 20.0,
        "band": "3-20",
        "priors": {"PhoIndex": dist.Uniform(1.0, 3.0), "norm": dist.LogUniform(0.01, 0.3)},
    },
    "TBabs*(diskbb+powerlaw)": {
        "stat": "pgstat",
        "exposure": 200.0,
        "band": "3-25",
        "priors": {
            "nH": dist.LogNormal(np.log(3.0), 0.4),
            "Tin": dist.LogNormal(np.log(1.3), 0.2),
            "diskbb.norm": dist.LogNormal(np.log(60.0), 0.5),
            "PhoIndex": dist.Normal(2.2, 0.3),
            "powerlaw.norm": dist.LogNormal(0.0, 0.5),
        },
    },
}
COLUMNS = (
    "model parameter spectra p_value ks_p_value mean_rank rank_sd ms_each max_rhat min_ess "
    "divergent ok"
).split()


def main():
    parser = options(__doc__, __file__, n=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    facts, cases = machine(), []
    for name in CASES:
        seconds, (table, rest) = timed(lambda name=name: ranks(name, args.n, args.seed))
        shared = {"model": name, "spectra": args.n, "ms_each": 1e3 * seconds / args.n, **rest}
        cases += [shared | {"parameter": p, **uniformity(r)} for p, r in table.items()]
    finish(args, facts, cases, COLUMNS, ranks=RANKS, bins=BINS)


def truths_of(priors, n, seed):
    """Draws (n,) of each prior."""
    keys = jax.random.split(jax.random.key(seed), len(priors))
    return {
        name: np.asarray(prior.sample(key, (n,)), float)
        for key, (name, prior) in zip(keys, priors.items(), strict=True)
    }


def ranks(name, n, seed=1, **settings):
    """Ranks (n,) of the truth in each parameter, and what was noticed.

    ``settings`` go to `jaxspec.sample`.
    """
    case, template = CASES[name], observation()
    settings = {"chains": CHAINS, "draws": DRAWS, "warmup": WARMUP, "progress": False} | settings
    truths = truths_of(case["priors"], n, seed)
    background = template.background if case["stat"] == "pgstat" else None
    spectra = js.fake(
        name, template.response, case["exposure"], truths, background=background, seed=seed
    ).notice(case["band"])
    found = js.sample(
        name, spectra, priors=case["priors"], stat=case["stat"], seed=seed, **settings
    )
    table = {
        key: np.array([rank_of(t, p[key]) for t, p in zip(values, found, strict=True)])
        for key, values in truths.items()
    }
    return table, {
        "stat": case["stat"],
        "counts": float(np.median([s.counts.sum() for s in spectra])),
        "max_rhat": float(max(p.rhat.max() for p in found)),
        "min_ess": float(min(p.ess.min() for p in found)),
        "divergent": sum(p.n_divergent for p in found),
        "ok": float(found.ok.mean()),
    }


if __name__ == "__main__":
    main()
