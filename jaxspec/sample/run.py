"""``sample``: the posterior of a model of one spectrum or image, from the optimum by NUTS."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.chunks import chunk_lanes
from jaxspec.fit.covariance import errors
from jaxspec.fit.priors import prior_texts
from jaxspec.fit.problem import Group, Options, make_groups
from jaxspec.fit.run import as_data, as_model, prepare_rows
from jaxspec.fit.solve import bounds as bounds_of
from jaxspec.fit.solve import in_turn, solve
from jaxspec.fit.start import is_turning
from jaxspec.likelihood.linear import Lane
from jaxspec.likelihood.objective import PriorTerm, lane_quadratic
from jaxspec.sample import space as spaces
from jaxspec.sample.laplace import expand, factor, find_mode, start_of
from jaxspec.sample.nuts import CHUNK, start_chains
from jaxspec.sample.posterior import Posterior, columns
from jaxspec.sample.relabel import relabel
from jaxspec.sample.target import Correction, Objective, Target, no_correction
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
    """Draw from the posterior of a model of one spectrum, image or profile.

    The chains start around the optimum, with the curvature there as metric, and move in
    coordinates that the warm-up bends into the shape of the posterior. On large images they are
    driven by merged pixels, and every draw is accepted or rejected by the likelihood of all
    pixels, so that the draws are from the posterior at full resolution; the fraction accepted is
    ``posterior.acceptance``.

    Parameters
    ----------
    model : Model or str
        XSPEC expression, or image components such as "double_beta". The model is not changed.
    data : Spectrum, Image or RadialProfile
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
    options = {"chains": chains, "draws": draws, "warmup": warmup, "max_depth": max_depth}
    _check(options | {"seed": seed}, target_accept)
    items = as_data(data)
    if len(items) != 1:
        raise InputError(
            f"{len(items)} data are given", parameter="data", remedy="sample them one by one"
        )
    how = Options(priors, 1e-8, 200, integrate, merge)
    model = as_model(model, items)
    rows, stats = prepare_rows(model, items, stat)
    with jax.enable_x64(True):
        groups = make_groups(model, items, stats, len(model.free_names), rows, how)
    if not groups:
        raise InputError(f"{items[0].name}: {rows.messages[0]}")
    problem = _problem(groups[0])
    _check_limits(problem)
    seconds = {"prepare": time.perf_counter() - began}
    with ThreadPoolExecutor(1) as pool:
        # XLA compiles the sampler on another core while the optimum is being looked for
        ready = pool.submit(_compile, problem, chains, max_depth)
        with jax.enable_x64(True):
            solved = solve(groups[0], items, how)[0]
        seconds["fit"] = time.perf_counter() - began - sum(seconds.values())
        if not np.isfinite(solved.end.local.value[0]):
            raise InputError(
                f"{model.expression} is not finite where the fit starts",
                parameter="model",
                remedy="check the component, its limits and the start values",
            )
        rows.record(solved)
        problem = _at_optimum(solved)
        target, mode, unit = _target(problem)
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
        "stat": stats[0],
        "step_size": float(tuned.step_size),
        "pixels": int(problem.full.mask.sum()),
        "merged_pixels": int(problem.coarse.mask.sum()),
        "integrate": getattr(problem.full.inputs, "fine", None) is not None,
        "priors": prior_texts(problem.model, problem.numbers.priors),
        "seconds": seconds,
    }
    return _posterior(problem, target, rows, items[0], mode, tuned, made, settings)


class Problem(NamedTuple):
    """One datum ready to be sampled.

    ``model`` with the limits of the sampler; ``objective`` (static); ``full`` and ``coarse`` Lane
    (one and the same without merged pixels); ``numbers`` of the fit; ``bounds`` (n_par,);
    ``theta`` (n_par,) and ``local``, the optimum and the Quadratic there, None before the fit.
    """

    model: Any
    objective: Objective
    full: Lane
    coarse: Lane
    numbers: Any
    bounds: Any
    theta: np.ndarray
    local: Any = None


def _problem(group: Group) -> Problem:
    """What can be said before the fit."""
    full = _lane(group.full)
    coarse = full if group.coarse is None else _lane(group.coarse)
    box = jax.tree.map(lambda x: x[0], bounds_of(group)._replace(amplitude=None, positive=None))
    box = box._replace(amplitude=group.numbers.amplitude, positive=group.numbers.positive)
    model = group.model(0)
    theta = np.array([p.value for p in model.parameters])
    turning = np.array([is_turning(p) for p in model.parameters])
    period = np.array([p.period for p in model.parameters])
    lower = np.where(turning, theta - 0.5 * period, box.lower)
    upper = np.where(turning, theta + 0.5 * period, box.upper)
    objective = Objective(group.term, group.functions)
    box = box._replace(lower=lower, upper=upper)
    return Problem(model, objective, full, coarse, group.numbers, box, theta)


def _lane(batch) -> Lane:
    """The only lane of a batch, without its axis."""
    lanes = chunk_lanes(batch, np.array([0]))
    inputs = batch.gather(0)
    return Lane(inputs, type(lanes.bins)(*(f[0] for f in lanes.bins)), lanes.mask[0])


def _at_optimum(solved) -> Problem:
    """The problem at its optimum, with angles limited to half a turn around it."""
    group, end = solved
    theta = in_turn(group, end.theta)[0]
    model = group.model(0).copy()
    for p, value in zip(model.parameters, theta, strict=True):
        if is_turning(p):
            p.min, p.max = value - 0.5 * p.period, value + 0.5 * p.period
            p._value = value
    turned = _problem(group._replace(models=[model]))
    box = turned.bounds._replace(
        lower=np.where(np.isfinite(turned.bounds.lower), turned.bounds.lower,
                       [p.min for p in model.parameters]),
        upper=np.where(np.isfinite(turned.bounds.upper), turned.bounds.upper,
                       [p.max for p in model.parameters]),
    )  # fmt: skip
    local = jax.tree.map(lambda x: x[0], end.local)
    return turned._replace(bounds=box, theta=theta, local=local)


@partial(jax.jit, static_argnames=("objective",))
def _quadratic(objective, lane, links, priors, theta):
    return lane_quadratic(objective.term, objective.functions, lane, links, priors, theta)


def _compile(problem, chains, max_depth):
    """Have the sampler compiled: a call that asks for no draw."""
    space = spaces.make_space(problem.theta, problem.bounds, spaces.beta_pairs(problem.model))
    d = len(space.index)
    nowhere = np.zeros(d)
    target = _make_target(problem, space, no_correction(nowhere, np.eye(d)))
    idle = mover(problem.objective, target, jax.random.key(0), max_depth, False)
    idle(straight(nowhere, np.eye(d)), start_chains(np.zeros((chains, d))), 0.1, 0)


def _check_limits(problem):
    """Flat priors need an end on both sides."""
    for p, low, high in zip(
        problem.model.parameters, problem.bounds.lower, problem.bounds.upper, strict=True
    ):
        if p.free and not np.isfinite([low, high]).all():
            raise InputError(
                f"has the limits {low:g} to {high:g}",
                parameter=p.full_name,
                remedy="set finite limits with .set(min=..., max=...), or freeze it",
            )


def _make_target(problem, space, correction):
    numbers = problem.numbers
    return Target(problem.full, problem.coarse, numbers.links, numbers.priors, space, correction)


def _target(problem):
    """Target, mode of the posterior, and Cholesky factor of the covariance there."""
    pairs = spaces.beta_pairs(problem.model)
    numbers = problem.numbers
    error = np.sqrt(np.diagonal(errors(problem.theta, problem.local, problem.bounds).fisher))
    space = spaces.make_space(problem.theta, problem.bounds, pairs, error)

    def around(lane):
        def evaluate(u):
            theta = np.array(space.theta)
            theta[space.index] = spaces.slopes(space, u).value
            with jax.enable_x64(True):
                local = _quadratic(problem.objective, lane, numbers.links, numbers.priors, theta)
                return expand(space, jax.device_get(local), u)

        return evaluate

    start = start_of(space, problem.theta, problem.local)
    coarse, full = around(problem.coarse), around(problem.full)
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


def _posterior(problem, target, rows, datum, mode, tuned, made, settings):
    """Draws as parameters of the model, in the form that is handed back."""
    model, objective = problem.model, problem.objective
    shape = made.z.shape[:2]
    u = points(tuned.warp, made.z.reshape(-1, made.z.shape[-1]))
    params, log_priors = _parameters(objective, target, np.concatenate([u, mode.u[None]]))
    params = relabel(model, problem.numbers.priors, params)
    places, names, units = columns(model)
    with jax.enable_x64(True):
        constant = float(objective.term.constant(problem.full))

    def by_chain(values):
        return np.swapaxes(np.reshape(values, (*shape, *np.shape(values)[1:])), 0, 1)

    full = by_chain(params[:-1])
    seconds = sum(settings["seconds"][name] for name in ("prepare", "fit"))
    result = rows.result(model, seconds=seconds)
    return Posterior(
        model=model,
        data=datum,
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
        return params, PriorTerm(target.priors).log_density(params)

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
