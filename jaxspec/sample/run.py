"""``sample``: the posterior of an image model, from the optimum by NUTS."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.covariance import errors
from jaxspec.fit.image_problem import (
    blocked,
    evaluate_at,
    half_turn,
    make_problem,
    prior_text,
    solve,
)
from jaxspec.fit.images import ImageList, finish, gather, image_model, image_statistic
from jaxspec.likelihood.pixels import constant_of, log_prior
from jaxspec.reduce.image import Image
from jaxspec.reduce.profile import RadialProfile
from jaxspec.sample import space as spaces
from jaxspec.sample.laplace import expand, factor, find_mode, start_of
from jaxspec.sample.nuts import CHUNK, start_chains
from jaxspec.sample.posterior import Posterior, columns
from jaxspec.sample.relabel import relabel
from jaxspec.sample.target import Correction, Target, no_correction
from jaxspec.sample.tune import ROUNDS, mover, points, warm_up
from jaxspec.sample.warp import straight


def sample(
    model,
    data,
    *,
    priors=None,
    chains=4,
    draws=1000,
    warmup=300,
    seed=0,
    stat="auto",
    target_accept=0.9,
    max_depth=8,
    merge=True,
    integrate=None,
    progress=None,
) -> Posterior:
    """Draw from the posterior of an image model.

    The chains start around the optimum, with the curvature there as metric, and move in
    coordinates that the warm-up bends into the shape of the posterior. On large images they are
    driven by merged pixels, and every draw is accepted or rejected by the likelihood of all
    pixels, so that the draws are from the posterior at full resolution; the fraction accepted is
    ``posterior.acceptance``.

    Parameters
    ----------
    model : Model or str
        Image components, such as "double_beta". The model is not changed.
    data : Image or RadialProfile
    priors : dict of name to numpyro distribution, optional
        Every parameter has a flat prior between its limits, multiplied by what is given here or
        set as ``model["rc"].prior``. Positions are limited to the image, lengths to twice its size.
    chains, draws : int
        Number of chains, and of draws that each of them keeps.
    warmup : int
        Draws per chain before those, for the step size and the coordinates.
    seed : int
        The same seed gives the same draws on the same machine.
    stat : "auto", "cstat" or "chi2"
    target_accept : float
        Acceptance probability at which the step size aims; raise it if draws diverge.
    max_depth : int
        Of the NUTS tree; a draw takes at most 2^max_depth steps.
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
    if not isinstance(data, Image | RadialProfile):
        raise InputError(
            f"data is a {type(data).__name__}",
            parameter="data",
            remedy="give one image (jaxspec.read_image) or radial profile (jaxspec.profile)",
        )
    options = {"chains": chains, "draws": draws, "warmup": warmup, "max_depth": max_depth}
    _check(options | {"seed": seed}, target_accept)
    model = image_model(model)
    stat = image_statistic(data, stat)
    problem = make_problem(
        model, data, stat=stat, priors=priors, tol=1e-8, max_iter=200,
        integrate=integrate, coarse=merge,
    )  # fmt: skip
    _check_limits(problem)
    seconds = {"prepare": time.perf_counter() - began}
    with ThreadPoolExecutor(1) as pool:
        # XLA compiles the sampler on another core while the optimum is being looked for
        ready = pool.submit(_compile, problem, chains, max_depth)
        problem, fit = solve(problem, integrate)
        seconds["fit"] = time.perf_counter() - began - sum(seconds.values())
        if not np.isfinite(fit.at.value):
            raise InputError(
                f"{problem.model.expression} is not finite where the fit starts",
                parameter="model",
                remedy="check the component, its limits and the start values",
            )
        problem = half_turn(problem, fit.theta)
        target, mode, unit = _target(problem, fit)
        seconds["mode"] = time.perf_counter() - began - sum(seconds.values())
        ready.result()
        seconds["compile"] = time.perf_counter() - began - sum(seconds.values())
    key = jax.random.key(seed)
    move = mover(problem.objective, target, jax.random.fold_in(key, 1), max_depth, False)
    z = np.random.default_rng(seed).standard_normal((chains, len(mode.u)))
    tuned = warm_up(move, mode.u, unit, z, warmup, target_accept)
    seconds["warm-up"] = time.perf_counter() - began - sum(seconds.values())
    move = mover(problem.objective, target, jax.random.fold_in(key, 2), max_depth, True)
    made = _draw(move, tuned, draws, progress)
    seconds["draws"] = time.perf_counter() - began - sum(seconds.values())
    settings = {
        "seed": seed,
        **options,
        "target_accept": target_accept,
        "stat": stat,
        "step_size": float(tuned.step_size),
        "pixels": len(data.pixels.x),
        "merged_pixels": int((problem.coarse.pixels.area > 0).sum()),
        "integrate": problem.full.fine is not None,
        "priors": _priors_text(problem),
        "seconds": seconds,
    }
    return _posterior(problem, target, fit, mode, tuned, made, settings)


def _compile(problem, chains, max_depth):
    """Have the sampler compiled: a call that asks for no draw."""
    bounds = problem.numbers.bounds
    space = spaces.make_space(problem.start[0], bounds, spaces.beta_pairs(problem.model))
    d = len(space.index)
    nowhere = np.zeros(d)
    target = _make_target(problem, space, no_correction(nowhere, np.eye(d)))
    idle = mover(problem.objective, target, jax.random.key(0), max_depth, False)
    idle(straight(nowhere, np.eye(d)), start_chains(np.zeros((chains, d))), 0.1, 0)


def _priors_text(problem):
    names = [p.full_name for p in problem.model.parameters]
    return {names[i]: prior_text(prior) for i, prior in problem.numbers.priors.items()}


def _check_limits(problem):
    """Flat priors need an end on both sides."""
    bounds = problem.numbers.bounds
    for p, low, high in zip(problem.model.parameters, bounds.lower, bounds.upper, strict=True):
        if p.free and not np.isfinite([low, high]).all():
            raise InputError(
                f"has the limits {low:g} to {high:g}",
                parameter=p.full_name,
                remedy="set finite limits with .set(min=..., max=...), or freeze it",
            )


def _make_target(problem, space, correction):
    numbers = problem.numbers
    return Target(problem.full, problem.coarse, numbers.links, numbers.priors, space, correction)


def _target(problem, fit):
    """Target, mode of the posterior, and Cholesky factor of the covariance there."""
    pairs = spaces.beta_pairs(problem.model)
    bounds = problem.numbers.bounds
    error = np.sqrt(np.diagonal(errors(fit.theta, fit.at, bounds)[1]))
    space = spaces.make_space(fit.theta, bounds, pairs, error)

    def around(scene):
        def evaluate(u):
            theta = np.array(space.theta)
            theta[space.index] = spaces.slopes(space, u).value
            return expand(space, evaluate_at(problem, scene, theta), u)

        return evaluate

    start = start_of(space, fit.theta, fit.at)
    coarse, full = map(around, blocked(problem))
    mode = find_mode(coarse, coarse(start))
    if problem.full is problem.coarse:
        unit = factor(mode.hessian)
        correction = no_correction(mode.u, np.linalg.inv(unit))
    else:
        mode = find_mode(full, full(mode.u))
        merged = coarse(mode.u)
        unit = factor(mode.hessian)
        correction = Correction(
            mode.u, mode.gradient - merged.gradient, mode.hessian - merged.hessian,
            np.linalg.inv(unit),
        )  # fmt: skip
    return _make_target(problem, space, correction), mode, unit


def _draw(move, tuned, draws, progress):
    """All draws, (draws, n_chain, ...) each."""
    n_chain = len(tuned.chains.z)
    chains, parts, left = tuned.chains, [], draws
    with counter(draws * n_chain, progress) as count:
        while left:
            n = min(CHUNK, left)
            chains, made = move(tuned.warp, chains, tuned.step_size, n)
            parts.append(jax.tree.map(lambda a, n=n: a[:n], made))
            left -= n
            count(n * n_chain)
    return jax.tree.map(lambda *a: np.concatenate(a), *parts)


@contextmanager
def counter(total, progress):
    """Progress bar that counts draws, and so tells draws per second."""
    if progress is False:
        yield lambda n: None
        return
    from tqdm.auto import tqdm

    # disable=None: not where nobody could see it
    with tqdm(total=total, desc="sampling", unit=" draws", disable=None, leave=False) as bar:
        yield bar.update


def _posterior(problem, target, fit, mode, tuned, made, settings):
    """Draws as parameters of the model, in the form that is handed back."""
    model, objective = problem.model, problem.objective
    shape = made.z.shape[:2]
    u = points(tuned.warp, made.z.reshape(-1, made.z.shape[-1]))
    params, log_priors = _parameters(objective, target, np.concatenate([u, mode.u[None]]))
    params = relabel(model, problem.numbers.priors, params)
    places, names, units = columns(model)
    with jax.enable_x64(True):
        constant = float(constant_of(objective.stat, problem.full.pixels))

    def by_chain(values):
        return np.swapaxes(np.reshape(values, (*shape, *np.shape(values)[1:])), 0, 1)

    full = by_chain(params[:-1])
    seconds = sum(settings["seconds"][name] for name in ("prepare", "fit"))
    result = gather(model, ImageList([problem.data]), [finish(problem, fit)], seconds=seconds)
    return Posterior(
        model=model,
        data=problem.data,
        names=names,
        units=units,
        chains=full[..., places],
        full=full,
        log_likelihood=made.log_likelihood.T + constant,
        log_constant=constant,
        log_prior=by_chain(log_priors[:-1]),
        diverging=made.diverging.T,
        accepted=made.accepted.T,
        steps=made.steps.T,
        best=params[-1, places],
        settings=settings,
        fit=result,
    )


@partial(jax.jit, static_argnames=("objective",))
def _parameters_of(objective, target, u):
    def one(u):
        params = objective.parameters(target.links, spaces.to_theta(target.space, u))
        return params, log_prior(target.priors, params)

    return jax.vmap(one)(u)


def _parameters(objective, target, u):
    with jax.enable_x64(True):
        return jax.device_get(_parameters_of(objective, target, u))


def _check(options, target_accept):
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
