"""Calibration of image posteriors by simulation: are the true values anywhere among the draws?

Truths are drawn from the prior, an image is simulated for each and sampled under the same prior,
and the rank of the truth among thinned draws is noted. Ranks of a correct sampler are uniform
(Cook, Gelman & Rubin 2006; Talts et al. 2018); chi2 over bins of rank gives one p-value for each
parameter. The prior is flat inside narrow limits; those of the two halves of the double beta model
are disjoint in rc, so that there are no labels to switch. See README.md for the fields of the JSON.
"""

import importlib
import sys

import numpy as np
from common import finish, machine, options, timed

import jaxspec as js

SIDE = 32
PEAK = 4e6  # cm2 s
BINS = 10
RANKS = 100  # 0 to 99: a truth among 99 draws
CHAINS, DRAWS, WARMUP = 4, 200, 200
LIMITS = {
    "beta": {
        "x0": (14.5, 16.5),
        "y0": (14.5, 16.5),
        "S0": (5e-6, 5e-5),
        "rc": (1.5, 4.5),
        "beta": (0.5, 1.2),
        "B": (0.1, 1.0),
    },
    "double_beta": {
        "x0": (14.5, 16.5),
        "y0": (14.5, 16.5),
        "S0": (2e-5, 2e-4),
        "rc": (1.2, 2.5),
        "beta": (0.6, 1.5),
        "S02": (5e-6, 3e-5),
        "rc2": (5.0, 9.0),
        "beta2": (0.6, 1.2),
        "B": (0.1, 1.0),
    },
}
COLUMNS = (
    "model parameter images p_value mean_rank rank_sd ms_each max_rhat divergent acceptance"
).split()


def main():
    parser = options(__doc__, __file__, n=200)
    parser.add_argument("--models", nargs="+", choices=LIMITS, default=list(LIMITS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--coarse", action="store_true", help="merge pixels coarsely: the exact correction is used"
    )
    args = parser.parse_args()
    if args.coarse:
        problem = importlib.import_module("jaxspec.likelihood.image_prepare")
        problem.MERGE_FROM, problem.RATIO = 0, 0.5
    facts, cases = machine(), []
    for name in args.models:
        seconds, found = timed(lambda name=name: ranks(name, args.n, args.seed, progress=True))
        table, rest = found
        shared = {"model": name, "images": args.n, "ms_each": 1e3 * seconds / args.n, **rest}
        cases += [shared | {"parameter": p, **uniformity(r)} for p, r in table.items()]
    finish(args, facts, cases, COLUMNS, side=SIDE, ranks=RANKS, bins=BINS, coarse=args.coarse)


def prior_model(name, limits):
    """Model whose free parameters are limited to the prior."""
    model = js.Model(name)
    for key, (low, high) in limits.items():
        model[key].set(0.5 * (low + high), min=low, max=high)
        model[key].is_set = False  # the data choose the start
    return model


def template(side=SIDE):
    """Square image, the exposure falling outwards."""
    y, x = np.indices((side, side)) - 0.5 * (side - 1)
    r2 = (x**2 + y**2) / (0.5 * side) ** 2
    dark = np.zeros((side, side))
    return js.Image("calibration", dark, PEAK * (1 - 0.15 * r2), dark > 0, exposure_unit="cm2 s")


def ranks(name, n, seed=1, side=SIDE, limits=None, progress=False, together=False, **settings):
    """Ranks (n,) of the truth in each parameter, and what was noticed.

    ``together`` samples all images in one call; ``settings`` go to `jaxspec.sample`.
    """
    limits = LIMITS[name] if limits is None else limits
    settings = {"chains": CHAINS, "draws": DRAWS, "warmup": WARMUP, "progress": False} | settings
    model, rng = prior_model(name, limits), np.random.default_rng(seed)
    truths = {key: rng.uniform(low, high, n) for key, (low, high) in limits.items()}
    images = js.fake(name, template(side), params=truths, seed=rng)
    if together:
        posteriors = js.sample(model, images, seed=seed, **settings)
    else:
        posteriors = (js.sample(model, x, seed=seed + i, **settings) for i, x in enumerate(images))
    found = {key: np.empty(n, int) for key in limits}
    rhat, divergent, acceptance = [], 0, []
    for i, posterior in enumerate(posteriors):
        for key in limits:
            found[key][i] = rank_of(truths[key][i], posterior[key])
        rhat.append(posterior.rhat.max())
        divergent += posterior.n_divergent
        acceptance.append(posterior.acceptance)
        if progress and (i + 1) % 20 == 0:
            print(f"{name}: {i + 1} of {n}", file=sys.stderr, flush=True)
    noticed = {
        "max_rhat": float(np.max(rhat)),
        "rhat_above_1.05": int(np.sum(np.array(rhat) > 1.05)),
        "divergent": int(divergent),
        "acceptance": float(np.mean(acceptance)),
    }
    return found, noticed


def rank_of(truth, draws):
    """Rank of a truth, 0 to 99, among 99 evenly thinned draws (n_chain, n_draw)."""
    # chain after chain would be cut unevenly: one draw of every chain, then the next
    draws = draws.T.ravel()
    return np.sum(draws[np.linspace(0, draws.size - 1, RANKS - 1).round().astype(int)] < truth)


def uniformity(found):
    """p-values of chi2 for even bins of rank and of KS; mean and width of ranks scaled to 0, 1."""
    from scipy.stats import chisquare, kstest

    counts = np.bincount(found * BINS // RANKS, minlength=BINS)
    scaled = (found + 0.5) / RANKS
    return {
        "p_value": float(chisquare(counts).pvalue),
        "ks_p_value": float(kstest(scaled, "uniform").pvalue),
        "mean_rank": float((scaled.mean() - 0.5) * np.sqrt(12 * len(found))),
        "rank_sd": float(scaled.std() * np.sqrt(12)),
        "counts": counts.tolist(),
    }


if __name__ == "__main__":
    main()
