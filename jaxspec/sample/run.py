"""``sample``: posteriors of spectra, images and profiles, from the optimum by NUTS or HMC."""

from __future__ import annotations

import time
from dataclasses import replace

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.problem import Options, make_groups
from jaxspec.fit.run import (
    as_data,
    as_model,
    check_integrate,
    given_priors,
    is_list,
    joint_task,
    prepare_rows,
)
from jaxspec.likelihood.statistics import STATISTICS
from jaxspec.sample.elsewhere import other_minima
from jaxspec.sample.lanes import How, sample_group
from jaxspec.sample.posterior import Posterior
from jaxspec.sample.posteriors import Posteriors
from jaxspec.sample.sets import sample_sets
from jaxspec.sample.tune import ROUNDS


@np.errstate(all="ignore")
def sample(
    model,
    data=None,
    *,
    joint=False,
    untie=(),
    share=(),
    priors=None,
    chains=4,
    draws=1000,
    warmup=300,
    seed=0,
    stat="auto",
    target_accept=0.9,
    max_depth=8,
    sampler="auto",
    merge=True,
    integrate=None,
    progress=None,
) -> Posterior | Posteriors:
    """Draw from the posterior of a model, of one datum or of each of many.

    The chains start around the optimum, with the curvature there as metric, and move in
    coordinates that the warm-up bends into the shape of the posterior. On large images they are
    driven by merged pixels, and every draw is accepted or rejected by the likelihood of all
    pixels, so that the draws are from the posterior at full resolution; the fraction accepted is
    ``posterior.acceptance``.

    Parameters
    ----------
    model : Model or str
        XSPEC expression, or image components such as "double_beta". The model is not changed.
    data : Spectrum, Image or RadialProfile, or a list of them
        The posteriors of a list are independent of each other, and drawn in the same call.
    joint, untie, share : see `jaxspec.fit`
        Data that are fitted together are sampled together; with labels, each set by itself.
        ``model`` may be a dict of name to (model, data).
    priors : dict of name to numpyro distribution, optional
        Every parameter has a flat prior between its limits, multiplied by what is given here or
        set as ``model["rc"].prior``. On images, positions are limited to the image, lengths to
        twice its size.
    chains, draws : int
        Number of chains, and of draws that each of them keeps.
    warmup : int
        Draws per chain before those, for the step size and the coordinates.
    seed : int
        The same seed gives the same draws on the same machine.
    stat : str, as for `jaxspec.fit`.
    target_accept : float
        Acceptance probability at which the step size aims; raise it if draws diverge.
    max_depth : int
        Of the NUTS tree; a draw takes at most 2^max_depth steps.
    sampler : "auto", "nuts" or "hmc"
        "auto" is NUTS for one datum, and HMC with trajectories of fixed length for several: there
        no lane waits for the longest tree of another.
    merge : bool
        False: all pixels drive the chains. Slower; the same posterior.
    integrate : bool, optional
        Take the mean of the model over pixels near the centres; by default where a core is smaller
        than a pixel.
    progress : bool, optional
        Progress bar with draws per second; by default on a terminal or in a notebook.

    Returns
    -------
    Posterior
        For one datum (not in a list).
    JointPosterior
        With ``joint=True``.
    Posteriors
        For a list: a row, a status and a Posterior for each, as when it is sampled alone.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Notes
    -----
    NUTS is numpyro's (Hoffman & Gelman 2014; Phan et al. 2019); the check at full resolution is
    delayed acceptance (Christen & Fox 2005). The two halves of a double beta model are sorted by
    the widths of their cores.

    Examples
    --------
    >>> import jaxspec as js
    >>> image = js.read_image("image.fits.gz", exposure="expmap.fits.gz")   # doctest: +SKIP
    >>> posterior = js.sample("double_beta", image, seed=1)                 # doctest: +SKIP
    >>> posterior["rc"].mean(), posterior.rhat, posterior.dic()             # doctest: +SKIP
    """
    began = time.perf_counter()
    options = {"chains": chains, "draws": draws, "warmup": warmup, "max_depth": max_depth}
    _check(options | {"seed": seed}, target_accept, sampler)
    check_integrate(integrate)
    if joint is not False or isinstance(model, dict):
        how = How(chains, draws, warmup, seed, target_accept, max_depth,
                  "nuts" if sampler == "auto" else sampler, progress)  # fmt: skip
        fit_options = Options(priors, 1e-8, 200, integrate, merge)
        return _sample_joint(model, data, stat, joint, untie, share, fit_options, how, began)
    if untie or share:
        raise InputError(
            "has a meaning only in joint fits", parameter="untie" if untie else "share",
            remedy="add joint=True",
        )  # fmt: skip
    items = as_data(data)
    model = as_model(model, items)
    _check_free([model])
    rows, stats = prepare_rows(model, items, stat)
    _check_likelihood(stats)
    few = max(1, len(model.free_names))
    fit_options = Options(priors, 1e-8, 200, integrate, merge)
    single = not is_list(data)
    if sampler == "auto":
        sampler = "nuts" if len(items) == 1 else "hmc"
    how = How(chains, draws, warmup, seed, target_accept, max_depth, sampler, progress)
    with jax.enable_x64(True):
        groups = make_groups(model, items, stats, few, rows, fit_options)
    if single and not groups:
        raise InputError(f"{items[0].name}: {rows.messages[0]}")
    made = {}
    for group in groups:
        made |= sample_group(group, items, rows, fit_options, how, began)
    whole = rows.result(groups[0].model(0) if groups else model, seconds=0.0)
    if single:
        posterior = made[0].finished(whole)
        others = [*posterior.settings["elsewhere"], *other_minima(posterior, model, priors)]
        return replace(posterior, settings=posterior.settings | {"elsewhere": others})
    return Posteriors.of(items, made, whole, time.perf_counter() - began)


def _check_free(models):
    if not any(model.free_names for model in models):
        raise InputError(
            "has no free parameter", parameter="model",
            remedy="thaw one; js.fit gives the statistic of fixed values",
        )  # fmt: skip


def _sample_joint(model, data, stat, joint, untie, share, fit_options, how, began):
    """Posteriors of joint sets."""
    task = joint_task(model, data, stat, joint, untie)
    _check_free(task.models.values())
    priors = given_priors(task, fit_options.priors, share)
    fit_options = fit_options._replace(priors=priors)
    for stats in task.stats.values():
        _check_likelihood(stats)
    made = sample_sets(*task[:5], share, task.rows, fit_options, how, began)
    if task.names is None:
        if not made or made[0] is None:
            raise InputError("nothing could be fitted; fit the same data to see why")
        return made[0]
    return Posteriors.of_sets(task.names, made, time.perf_counter() - began)


def _check_likelihood(stats):
    """Refuse statistics that are no likelihood of the data."""
    if wrong := [name for name in stats if name is not None and not STATISTICS[name].likelihood]:
        raise InputError(
            f"{wrong[0]} is no likelihood: its errors follow the model",
            parameter="stat",
            remedy="use a Poisson statistic, or chi2 with errors of the data",
        )


def _check(options, target_accept, sampler):
    least = {"chains": 1, "draws": 4, "warmup": ROUNDS * 10, "max_depth": 1, "seed": 0}
    for name, value in options.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < least[name]:
            raise InputError(
                f"{value!r} is not a whole number from {least[name]} on", parameter=name
            )
    if not 0 < target_accept < 1:
        raise InputError(
            f"{target_accept!r} is not between 0 and 1",
            parameter="target_accept",
            remedy="0.9 is usual",
        )
    if sampler not in ("auto", "nuts", "hmc"):
        raise InputError(
            f"{sampler!r} is not a sampler", parameter="sampler", remedy="use auto, nuts or hmc"
        )
