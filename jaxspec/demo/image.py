"""``jaxspec demo image``: a simulated cluster from its files to the comparison of two models."""

from __future__ import annotations

import numpy as np

from jaxspec._environment import devices, versions
from jaxspec._text import align, with_error
from jaxspec.run.folder import begin_writing, finish, make_room, timed
from jaxspec.run.image import possible_files, write_all
from jaxspec.run.results import (
    comparison_numbers,
    fit_numbers,
    image_numbers,
    posterior_numbers,
)

COMMAND = "jaxspec demo image"
MODELS = {"beta": "single", "double_beta": "double"}
TRUE = "double_beta"
FIELDS = ("truth", "mean", "sd", "sigma", "rhat", "ess")


def run_image_demo(out, size=883, seed=1, draws=1000, say=print) -> dict:
    """Simulate a cluster with two beta components, and find them again.

    The cluster is written as an observer gets it (counts, exposure map in cm2, regions), read and
    masked. A beta and a double beta model are fitted and sampled, and compared by their DIC; the
    posterior of the latter is held against the truth.

    Parameters
    ----------
    out : path
        Folder; it is made, and must be empty or hold an earlier demonstration.
    size, seed : int, see `jaxspec.simulate_cluster`.
    draws : int, of each of the four chains.
    say : callable, gets the lines for the screen.

    Returns
    -------
    dict, what ``summary.json`` holds.

    Raises
    ------
    InputError
        A folder with other files in it, or a size that cannot be simulated.
    """
    from jaxspec.demo.cluster import cluster_truth
    from jaxspec.estimate.compare import compare

    truth, seconds = cluster_truth(MODELS[TRUE], size), {}
    out = make_room(out, COMMAND, say)
    summary = {"command": COMMAND, "finished": False, "size": size, "seed": seed, "draws": draws}
    begin_writing(out, names=possible_files(MODELS), **summary)
    image = timed(seconds, "simulate and read", _observe, out, size, seed)
    say("\n  ".join([str(image), *image.diagnostics]) + "\n")
    fits, posteriors = {}, {}
    for name in MODELS:
        fits[name] = timed(seconds, f"fit {name}", _fit, name, image)
        posteriors[name] = timed(seconds, f"sample {name}", _sample, name, image, draws, seed)
        say(f"{posteriors[name].summary()}\n")
    comparison = timed(seconds, "compare", compare, posteriors)
    say(f"{comparison}\n")
    found = against_truth(posteriors[TRUE], truth)
    say(truth_table(found))
    everything = (image, fits, posteriors, comparison)
    names = timed(seconds, "files", write_all, out, *everything, say, True)
    seconds["total"] = sum(seconds.values())
    summary |= {
        "finished": True,
        "image": image_numbers(image),
        "simulated": TRUE,
        "truths": found,
        "fits": {name: fit_numbers(result) for name, result in fits.items()},
        "posteriors": {name: posterior_numbers(item) for name, item in posteriors.items()},
        "comparison": comparison_numbers(comparison),
        "findings": sentences(found, posteriors[TRUE], comparison),
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
        "files": names,
        "versions": versions(),
        "devices": devices(),
    }
    finish(out, summary, say)
    say("\n".join(["", *summary["findings"], ""]))
    say(", ".join(f"{step} {value:.1f} s" for step, value in seconds.items()))
    say(f"in {out}/: data/, summary.json, {', '.join(names)}")
    return summary


def _observe(out, size, seed):
    from jaxspec.demo.cluster import simulate_cluster

    return simulate_cluster(MODELS[TRUE], size=size, seed=seed, folder=out / "data", overwrite=True)


def _fit(name, image):
    from jaxspec.fit.run import fit

    return fit(name, image, on_error="raise")


def _sample(name, image, draws, seed):
    from jaxspec.sample.run import sample

    return sample(name, image, draws=draws, seed=seed)


def against_truth(posterior, truth) -> dict:
    """Compare posterior means with what was simulated.

    Parameters
    ----------
    posterior : Posterior
    truth : dict of name to value

    Returns
    -------
    dict of name to dict
        truth, mean, sd, sigma (difference of mean and truth in standard deviations), rhat, ess.
    """
    found = {}
    columns = (posterior.names, posterior.mean, posterior.std, posterior.rhat, posterior.ess)
    for name, mean, sd, rhat, ess in zip(*columns, strict=True):
        values = (truth[name], mean, sd, (mean - truth[name]) / sd, rhat, ess)
        found[name] = dict(zip(FIELDS, map(float, values), strict=True))
    return found


def truth_table(found) -> str:
    """Lines of a table of what `against_truth` gives."""
    rows = [("", "truth", "posterior mean ± sd", "sigma", "R-hat", "ESS")]
    for name, row in found.items():
        mixed = (f"{row['sigma']:+.1f}", f"{row['rhat']:.3f}", f"{row['ess']:.0f}")
        truth, mean = with_error(row["truth"], np.nan), with_error(row["mean"], row["sd"])
        rows.append((name, truth, mean, *mixed))
    return "\n".join(align(rows, right=(1, 3, 4, 5)))


def sentences(found, posterior, comparison) -> list[str]:
    """What was found, in words."""
    away = np.array([abs(row["sigma"]) for row in found.values()])
    worst = list(found)[int(away.argmax())]
    return [
        f"{(away < 1).sum()} of {len(away)} parameters are within one standard deviation of the "
        f"truth, the farthest ({worst}) is at {away.max():.1f}",
        comparison.sentence,
        f"least effective sample size {posterior.ess.min():.0f}, largest R-hat "
        f"{posterior.rhat.max():.3f}, {posterior.n_divergent} divergences",
    ]
