"""Posteriors of spectra beside emcee on a likelihood that is written once more in NumPy.

Single spectra of four models and statistics, and a joint fit of three instruments. Means, standard
deviations and the 5 and 95 % quantiles must agree within the Monte Carlo errors of both. The data
are simulated; ``--data FOLDER`` adds real ones. See README.md for the fields of the JSON.
"""

import tempfile
from pathlib import Path

import numpy as np
from common import finish, machine, options, timed
from plain_posterior import (
    Density,
    Folded,
    absorbed,
    blocks_of,
    compare,
    diskbb,
    powerlaw,
    run_emcee,
)

import jaxspec as js

COLUMNS = (
    "case parameter mean_z sd_z q05_z q95_z worst_sigma min_ess emcee_ess max_rhat divergent "
    "converged sample_s emcee_s"
).split()
BLOCKS = 20
DISC = {"nH": (0.0, 20.0), "Tin": (0.05, 5.0), "diskbb.norm": (0.0, 1e6), "PhoIndex": (0.0, 5.0),
        "powerlaw.norm": (0.0, 100.0)}  # fmt: skip
SLOPE = {"PhoIndex": (-3.0, 10.0), "norm": (0.0, 1e4)}
JOINT = {"nH": (0.0, 20.0), "PhoIndex": (0.0, 5.0), "norm": (0.0, 100.0)}
FACTOR = (0.1, 10.0)


def main():
    parser = options(__doc__, __file__)
    parser.add_argument("--draws", type=int, default=5000, help="per chain, of four")
    parser.add_argument(
        "--steps", type=int, default=12000, help="of each walker of emcee, 8 per parameter"
    )
    parser.add_argument("--data", type=Path, help="folder of real data, see CONTRIBUTING.md")
    parser.add_argument("--cases", nargs="+", help="only these")
    args = parser.parse_args()
    facts, lines = machine(), []
    problems = simulated() | (real(args.data) if args.data else {})
    for name, make in problems.items():
        if args.cases and name not in args.cases:
            continue
        lines += beside(name, *make(), args.draws, args.steps)
        print(
            f"{name}: {lines[-1]['sample_s']:.3g} s, emcee {lines[-1]['emcee_s']:.3g} s", flush=True
        )
    worst = max(abs(line[f"{s}_z"]) for line in lines for s in ("mean", "sd", "q05", "q95"))
    print(f"largest difference {worst:.2f} standard errors, "
          f"{max(line['worst_sigma'] for line in lines):.3f} sigma")  # fmt: skip
    finish(args, facts, lines, COLUMNS, draws=args.draws, steps=args.steps, blocks=BLOCKS)


def beside(name, sample, density, draws, steps):
    """Lines of one case: sample with both, and compare.

    ``sample(draws)`` gives names and the posterior; ``density`` has the same parameters in order.
    """
    seconds, posterior = timed(lambda: sample(draws))
    start = posterior.flat
    theirs_s, (theirs, tau) = timed(lambda: run_emcee(density, start, steps))
    shared = {
        "case": name,
        "model": posterior.model.expression,
        "max_rhat": float(posterior.rhat.max()),
        "divergent": posterior.n_divergent,
        "warnings": list(posterior.warnings),
        "converged": posterior.converged,
        "sample_s": seconds,
        "emcee_s": theirs_s,
    }
    lines = []
    for i, parameter in enumerate(posterior.names):
        ours = blocks_of(posterior.chains[:, :, i].T, BLOCKS)
        found = compare(ours, blocks_of(theirs[:, :, i], BLOCKS))
        lines.append(
            shared
            | {"parameter": parameter, "mean": posterior.mean[i], "sd": posterior.std[i]}
            | {f"{s}_z": float(x["z"]) for s, x in found.items()}
            | {f"{s}_sigma": float(x["sigma"]) for s, x in found.items()}
            | {
                "worst_sigma": float(max(abs(x["sigma"]) for x in found.values())),
                "min_ess": float(min(posterior.ess[i], posterior.ess_tail[i])),
                "emcee_ess": float(theirs[:, :, i].size / tau[i]),
            }
        )
    return lines


def limited(expression, limits):
    """Model whose parameters have these limits: the flat prior of both sides."""
    model = js.Model(expression)
    for key, (low, high) in limits.items():
        model[key].set(np.clip(model[key].value, low, high), min=low, max=high)
        model[key].is_set = False  # the data choose the start
    return model


def problem(expression, limits, spectrum, band, stat, sampler="auto"):
    """What `beside` needs of one spectrum."""
    model, folded = limited(expression, limits), folded_with_absorption(spectrum, band, stat)
    noticed = js.SpectrumList([spectrum]).notice(f"{band[0]}-{band[1]}")

    def sample(draws):
        return js.sample(
            model, noticed[0], stat=stat, draws=draws, seed=1, progress=False, sampler=sampler
        )

    flux = disc_flux if expression.startswith("TBabs") else power_flux
    logarithmic = [key.endswith("norm") for key in limits]
    density = Density(
        lambda p: folded.log_likelihood(flux(folded, p)), list(limits.values()), logarithmic
    )
    return sample, density


def folded_with_absorption(spectrum, band, stat):
    """Spectrum with the transmission of TBabs for nH = 1 on its energies."""
    folded = Folded(spectrum, band, stat)
    edges = np.append(folded.e_lo, folded.e_hi[-1])
    folded.unit_absorption = js.evaluate("TBabs", edges, [1.0], abund="angr")
    return folded


def power_flux(folded, p):
    return powerlaw(folded, p[:, 0], p[:, 1])


def disc_flux(folded, p):
    parts = diskbb(folded, p[:, 1], p[:, 2]) + powerlaw(folded, p[:, 3], p[:, 4])
    return absorbed(folded, p[:, 0], parts)


def simulated():
    """Cases on simulated PCA spectra, by name."""
    with tempfile.TemporaryDirectory() as folder:
        js.simulate_archive(f"{folder}/archive", n=8, seed=1)
        archive = js.read_pha(f"{folder}/archive/*/stdprod/xp*_s2.pha.gz")
    early, middle, late = archive[0], archive[3], archive[-1]

    def power():
        spectrum = js.fake(
            "powerlaw", late.response, 500.0, {"PhoIndex": 2.1, "norm": 0.05}, seed=2
        )
        return problem("powerlaw", SLOPE, spectrum[0], (3, 20), "cstat")

    def disc():
        truth = {"nH": 4.0, "Tin": 1.3, "diskbb.norm": 60.0, "PhoIndex": 2.2, "powerlaw.norm": 1.5}
        spectrum = js.fake("TBabs*(diskbb+powerlaw)", late.response, 1500.0, truth,
                           background=late.background, seed=3)  # fmt: skip
        return problem("TBabs*(diskbb+powerlaw)", DISC, spectrum[0], (3, 25), "pgstat")

    def cut(truth, limits):
        """Posterior cut by limits, sampled as one of a list would be."""
        truth = {"nH": 4.0, "Tin": 1.3, "diskbb.norm": 60.0, "PhoIndex": 2.2,
                 "powerlaw.norm": 1.5} | truth  # fmt: skip
        spectrum = js.fake("TBabs*(diskbb+powerlaw)", late.response, 1500.0, truth,
                           background=late.background, seed=6)[0]  # fmt: skip
        limits = DISC | limits
        return problem("TBabs*(diskbb+powerlaw)", limits, spectrum, (3, 25), "pgstat", "hmc")

    def few():
        rate = late.background.replace(counts=np.full(len(late.background.counts), 0.6),
                                       exposure=20.0, poisserr=True, stat_err=None)  # fmt: skip
        spectrum = js.fake("powerlaw", late.response, 8.0, {"PhoIndex": 1.9, "norm": 0.02},
                           background=rate, seed=4)  # fmt: skip
        return problem("powerlaw", SLOPE, spectrum[0], (3, 20), "wstat")

    def joint():
        truths, some = (1.0, 0.85, 1.2), []
        for i, (one, factor) in enumerate(zip((late, middle, early), truths, strict=True)):
            truth = {"factor": factor, "nH": 3.0, "PhoIndex": 2.0, "powerlaw.norm": 0.5}
            some += js.fake("constant*TBabs*powerlaw", one.response, 400.0, truth, seed=5 + i,
                            background=one.background, name=f"epoch{i}")  # fmt: skip
        return joint_problem(some, (3, 20))

    return {
        "powerlaw, cstat": power,
        "disc, pgstat": disc,
        "few counts, wstat": few,
        "three instruments": joint,
        "cut at nH": lambda: cut({"nH": 0.05}, {}),
        "cut at PhoIndex": lambda: cut({}, {"PhoIndex": (2.2, 5.0)}),
        "cut at both": lambda: cut({}, {"nH": (0.0, 4.0), "PhoIndex": (2.0, 2.2)}),
    }


def joint_problem(spectra, band):
    """Three instruments with pgstat: factor 1 for the first, free for the others."""
    model = limited("constant*TBabs*powerlaw", JOINT | {"factor": FACTOR})
    folded = [folded_with_absorption(s, band, "pgstat") for s in spectra]
    noticed = js.SpectrumList(spectra).notice(f"{band[0]}-{band[1]}")
    untie = {"constant.factor": [1.0, None, None]}

    def sample(draws):
        return js.sample(model, noticed, joint=True, untie=untie, stat="pgstat", draws=draws,
                         seed=1, progress=False)  # fmt: skip

    def log_likelihood(p):
        total = 0.0
        for one, factor in zip(folded, (1.0, p[:, 3:4], p[:, 4:5]), strict=True):
            flux = absorbed(one, p[:, 0], powerlaw(one, p[:, 1], p[:, 2]))
            total = total + one.log_likelihood(factor * flux)
        return total

    limits = [*JOINT.values(), FACTOR, FACTOR]
    return sample, Density(log_likelihood, limits, [False, False, True, False, False])


def real(folder):
    """Cases on real data, by name."""
    pca, chandra = folder / "rxte_pca/sample/stdprod", folder / "xray_spectra/chandra"

    def disc():
        spectrum = js.read_pha(sorted(pca.glob("*/xp*_s2.pha"))[0])[0]
        return problem("TBabs*(diskbb+powerlaw)", DISC, spectrum, (3, 25), "pgstat")

    def few():
        spectrum = js.read_pha(chandra / "obs1.pi")[0]
        return problem("powerlaw", SLOPE, spectrum, (0.5, 7), "wstat")

    return {"real disc, pgstat": disc, "real few counts, wstat": few}


if __name__ == "__main__":
    main()
