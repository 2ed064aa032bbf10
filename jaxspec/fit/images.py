"""Fitting images and radial profiles: one row each."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.fit.chunks import linked
from jaxspec.fit.covariance import Ending, errors
from jaxspec.fit.image_problem import make_problem, prior_text, solve
from jaxspec.fit.result import FitResult
from jaxspec.fit.rows import judge
from jaxspec.likelihood.expected import expected_cstat
from jaxspec.likelihood.pixels import log_prior
from jaxspec.model.model import Model
from jaxspec.reduce.image import Image
from jaxspec.reduce.profile import RadialProfile
from jaxspec.reduce.spectra import bar

STATISTICS = ("auto", "cstat", "cash", "chi2")


class ImageList(tuple):
    """The images (or profiles) of a result, in the order of its rows."""

    @property
    def names(self) -> list[str]:
        """One name per entry."""
        return [item.name for item in self]


def are_images(data) -> bool:
    """Whether these are data for image models rather than spectra."""
    if isinstance(data, Image | RadialProfile):
        return True
    return (
        isinstance(data, list | tuple)
        and len(data) > 0
        and all(isinstance(item, Image | RadialProfile) for item in data)
    )


def image_model(model) -> Model:
    """Model of an image from a Model or an expression."""
    model = Model(model) if isinstance(model, str) else model
    if model.domain != "image":
        raise InputError(
            f"{model.expression} is a model of a spectrum",
            parameter="model",
            remedy="images take beta, double_beta, gauss2d ...; `jaxspec models` lists them",
        )
    return model


def image_statistic(data, stat) -> str:
    """Chi2 for data with errors of their own, Poisson for counts."""
    if stat not in STATISTICS:
        raise InputError(
            f"{stat!r} is not a statistic for images",
            parameter="stat",
            remedy=f"use one of {', '.join(STATISTICS)}",
        )
    error = data.pixels.error
    if stat in ("auto", "cstat", "cash") and np.isnan(error).all():
        return "cstat"
    if stat in ("auto", "chi2") and np.all(error > 0):
        return "chi2"
    if stat == "chi2":
        raise InputError(
            f"{data.name} has no errors, which chi2 needs",
            parameter="stat",
            remedy='use "cstat" for counts, or read an rms map with rms=',
        )
    raise InputError(
        f"{data.name} holds values with errors, not counts",
        parameter="stat",
        remedy='use "chi2" or "auto"',
    )


def fit_images(
    model, data, stat="auto", *, priors=None, integrate=None, max_iter=200, tol=1e-8, progress=None
) -> FitResult:
    """Fit an image model to every image or profile; see `jaxspec.fit.run.fit`."""
    began = time.perf_counter()
    model = image_model(model)
    items = ImageList([data] if isinstance(data, Image | RadialProfile) else data)
    options = {"priors": priors, "integrate": integrate, "tol": tol, "max_iter": max_iter}
    if len(units := {getattr(item, "exposure_unit", "") for item in items}) > 1:
        raise InputError(
            f"the images have exposures in different units: {', '.join(sorted(units))}",
            parameter="data",
            remedy="fit them in separate calls",
        )

    def one(item):
        problem = make_problem(model, item, stat=image_statistic(item, stat), **options)
        problem, state = solve(problem, integrate)
        return finish(problem, state), problem.model

    def guarded(item):
        try:
            return one(item)
        except InputError as error:
            return failed(model, str(error)), None

    if len(items) == 1:
        ends = [one(items[0])]
    else:
        ends = in_threads(guarded, items, progress)
    texts = {p.full_name: p.prior for p in model.parameters if p.prior is not None}
    texts |= {model[key].full_name: prior for key, prior in (priors or {}).items()}
    fitted = [used for _, used in ends if used is not None]
    # limits and units are those of the first image
    shown = fitted[0] if fitted else model.copy()
    rows = [row for row, _ in ends]
    return gather(
        shown,
        items,
        rows,
        tol=tol,
        max_iter=max_iter,
        integrate=integrate,
        priors={name: prior_text(prior) for name, prior in texts.items()},
        seconds=time.perf_counter() - began,
    )


def in_threads(work, items, progress) -> list:
    """Results of ``work(item)`` in order; the first alone, so that it compiles once.

    XLA leaves the interpreter free while it computes.
    """
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        first = [work(items[0])]
        rest = pool.map(work, items[1:])
        return first + list(bar(rest, "fitting", progress, total=len(items) - 1))


def finish(problem, state) -> dict:
    """One row from the end point of the minimiser."""
    bounds = problem.numbers.bounds
    covariance, fisher, edm, held, definite = errors(state.theta, state.at, bounds)
    with jax.enable_x64(True):
        params, spread = linked(problem.objective, problem.numbers, state.theta[None])
    params, spread = params[0], spread[0]
    covariance, fisher = (spread @ c @ spread.T for c in (covariance, fisher))
    used = ~(problem.full.pixels.area == 0)
    penalty = 0.0
    if priors := problem.numbers.priors:
        with jax.enable_x64(True):
            penalty = -2.0 * float(log_prior(priors, params))
    ending = Ending(
        params, state.at.value, edm, state.at.rate, covariance, fisher, held, definite, 0
    )
    one = Ending(*(np.asarray(x)[None] for x in ending))
    status = int(judge(one)[0])
    message = Status(status).sentence
    if status == Status.AT_LIMIT:
        names = [p.full_name for p in problem.model.parameters]
        message = f"{', '.join(names[i] for i in np.flatnonzero(held))}: {message}"
    mean, variance = np.ones(used.sum()), np.full(used.sum(), 2.0)
    if problem.objective.stat == "cstat":
        mean, variance = expected_cstat(state.at.rate[used])
    return {
        "params": params,
        "observed": covariance,
        "fisher": fisher,
        "stat": float(state.at.value) - penalty,
        "stat_name": problem.objective.stat,
        "n_bins": int(used.sum()),
        "expected": float(mean.sum()),
        "expected_variance": float(variance.sum()),
        "status": status,
        "message": message,
        "iterations": int(state.iterations),
        "edm": float(edm),
    }


def failed(model, message) -> dict:
    """Row of an image that could not be prepared."""
    n = len(model.parameters)
    row = dict.fromkeys(("stat", "expected", "expected_variance", "edm"), np.nan)
    return row | {
        "params": np.full(n, np.nan),
        "observed": np.full((n, n), np.nan),
        "fisher": np.full((n, n), np.nan),
        "stat_name": "",
        "n_bins": 0,
        "status": int(Status.BAD_DATA),
        "message": message,
        "iterations": 0,
    }


def gather(model, items, rows, **settings) -> FitResult:
    """`FitResult` of all rows."""

    def column(name):
        return np.array([row[name] for row in rows])

    status = column("status")
    unusable = ~np.isin(status, FitResult.USABLE)
    covariances = {"observed": column("observed"), "expected": column("fisher")}
    for array in covariances.values():
        array[unusable] = np.nan
    return FitResult(
        model=model,
        spectra=items,
        params=column("params"),
        covariances=covariances,
        stat=column("stat"),
        stat_names=[row["stat_name"] for row in rows],
        n_bins=column("n_bins"),
        expected=column("expected"),
        expected_variance=column("expected_variance"),
        status=status,
        messages=[row["message"] for row in rows],
        iterations=column("iterations"),
        edm=column("edm"),
        notes=dict(Counter()),
        n_free=len(model.free_names),
        settings=settings,
    )
