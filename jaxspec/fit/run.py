"""``fit``: many spectra or images, one call, a status for every row."""

from __future__ import annotations

import time

import jax
import numpy as np

from jaxspec._types import Spectrum
from jaxspec.errors import FitError, InputError
from jaxspec.fit.images import are_images, fit_images
from jaxspec.fit.independent import fit_batch
from jaxspec.fit.joint import fit_joint
from jaxspec.fit.problem import make_problem
from jaxspec.fit.result import FitResult
from jaxspec.fit.rows import Rows
from jaxspec.likelihood.choose import choose_statistic
from jaxspec.likelihood.objective import weigh_lanes
from jaxspec.model.model import Model
from jaxspec.reduce.batch import make_batches, plan_lanes
from jaxspec.reduce.spectra import Failure, SpectrumList


def fit(
    model,
    spectra,
    stat="auto",
    *,
    joint=False,
    untie=(),
    priors=None,
    integrate=None,
    max_iter=200,
    tol=1e-8,
    on_error="status",
    progress=None,
) -> FitResult:
    """Fit a model to every spectrum or image, each by itself or all spectra together.

    Parameters
    ----------
    model : Model or str
        A string is an XSPEC expression, or a sum of image components. The model is not changed.
    spectra : Spectrum, SpectrumList or list of Spectrum; Image, RadialProfile or a list of them
    stat : str or list of str
        "auto", "cstat", "cash", "wstat", "pgstat", "pstat", "chi2", "chi2-gehrels",
        "chi2-churazov", "chi2-model"; a list gives one per spectrum. "cstat" becomes W-stat where a
        background is loaded, as in XSPEC. What was used, and why, is in ``result.notes``.
    joint : bool
        Fit all spectra together with one set of parameters.
    untie : list of str
        With ``joint``: parameters that each spectrum has for itself.
    priors : dict of name to numpyro distribution, optional
        For images: the maximum of the posterior instead of the likelihood. Priors set on the
        parameters of the model count too.
    integrate : bool, optional
        For images: take the mean of the model over the pixels around the centres instead of its
        value at their middle. By default where a core is smaller than a pixel.
    max_iter : int
        Iterations after which a lane ends with NOT_CONVERGED.
    tol : float
        Expected decrease of the statistic at which a minimum counts as reached; 1e-8 is 1e-4
        standard deviations.
    on_error : {"status", "raise"}
        "raise" turns the first row without a usable result into a `FitError`.
    progress : bool, optional
        Progress bar; by default for long work, on a terminal or in a notebook.

    Returns
    -------
    FitResult
        One row per spectrum, in the order given.

    Raises
    ------
    InputError
        If an argument cannot be used.
    FitError
        Only with ``on_error="raise"``.

    Examples
    --------
    >>> import jaxspec as js
    >>> spectra = js.read_pha("obs/*_s2.pha").notice("3-25")       # doctest: +SKIP
    >>> result = js.fit("TBabs*powerlaw", spectra, stat="cstat")   # doctest: +SKIP
    >>> result.table                                               # doctest: +SKIP
    """
    began = time.perf_counter()
    if on_error not in ("status", "raise"):
        raise InputError(
            f"{on_error!r} is not a choice", parameter="on_error", remedy="use 'status' or 'raise'"
        )
    untie = [untie] if isinstance(untie, str) else list(untie)
    _check_limits(max_iter, tol)
    if are_images(spectra):
        if joint or untie:
            raise InputError("images are fitted one by one", parameter="joint")
        options = {"priors": priors, "integrate": integrate, "max_iter": max_iter, "tol": tol}
        result = fit_images(model, spectra, stat, progress=progress, **options)
        if on_error == "raise":
            _raise_first(result)
        return result
    if priors or integrate is not None:
        raise InputError(
            "is for images", parameter="priors" if priors else "integrate", remedy="leave it out"
        )
    if untie and not joint:
        raise InputError(
            "untie has a meaning only in joint fits", parameter="untie", remedy="add joint=True"
        )
    model = Model(model) if isinstance(model, str) else model.copy()
    if model.domain == "image":
        raise InputError(
            f"{model.expression} is a model of an image, and these are not images",
            parameter="model",
            remedy="read images with jaxspec.read_image",
        )
    if model.tree.kind != "add":
        raise InputError(
            f"{model.expression} has no additive component, so that it makes no photons",
            parameter="model",
            remedy="multiply it with one, for example powerlaw",
        )
    spectra = _as_list(spectra)
    rows = Rows(model, spectra)
    rows.remark(cflux_and_norm(model))
    stats = _statistics(spectra, stat, rows)
    few = 1 if joint else max(1, len(model.free_names))
    lanes = plan_lanes(spectra, stats, few, rows.reject)
    with jax.enable_x64(True):
        batches = make_batches(
            lanes, model.tree.prepare, weigh_lanes, whole_grid=model.tree.has_convolution
        )
        problem = make_problem(model, tol=tol, max_iter=max_iter)
        functions = model.link_map().functions
        if joint:
            fit_joint(model, functions, batches, problem, untie, rows)
        else:
            for batch in batches:
                fit_batch(model.tree, functions, batch, problem, rows, progress)
    result = rows.result(
        seconds=time.perf_counter() - began, tol=tol, max_iter=max_iter, joint=joint
    )
    if on_error == "raise":
        _raise_first(result)
    return result


def _check_limits(max_iter, tol):
    if isinstance(max_iter, bool) or not isinstance(max_iter, int | np.integer) or max_iter < 1:
        raise InputError(f"{max_iter!r} is not a positive whole number", parameter="max_iter")
    if isinstance(tol, str) or not 0 < tol < np.inf:
        raise InputError(
            f"{tol!r} is not a positive number", parameter="tol", remedy="1e-8 is usual"
        )


def _as_list(spectra):
    if isinstance(spectra, Spectrum):
        spectra = [spectra]
    if isinstance(spectra, str):
        raise InputError(
            f"{spectra!r} is a path, not a spectrum", remedy="read it first: jaxspec.read_pha(...)"
        )
    if not isinstance(spectra, SpectrumList):
        try:
            spectra = SpectrumList(spectra)
        except TypeError:
            raise InputError(
                f"{spectra!r} is not a list of spectra", remedy="read files with jaxspec.read_pha"
            ) from None
    if not len(spectra):
        raise InputError("there is no spectrum to fit", parameter="spectra")
    return spectra


def _statistics(spectra, stat, rows):
    """Statistic of every spectrum (None where there is none), with the reasons."""
    if not isinstance(stat, str | list | tuple):
        raise InputError(f"{stat!r} is not a statistic", parameter="stat", remedy="use 'auto'")
    wanted = [stat] * len(spectra) if isinstance(stat, str) else list(stat)
    if len(wanted) != len(spectra):
        raise InputError(
            f"{len(wanted)} statistics for {len(spectra)} spectra",
            parameter="stat",
            remedy="give one name, or one for each spectrum",
        )
    chosen = []
    for i, (spectrum, name) in enumerate(zip(spectra, wanted, strict=True)):
        if isinstance(spectrum, Failure):
            rows.reject(i, spectrum.status, spectrum.message)
            chosen.append(None)
            continue
        used, note = choose_statistic(spectrum, name)
        rows.note(i, used, note)
        chosen.append(used)
    return chosen


def cflux_and_norm(model):
    """A sentence for models in which cflux and a norm both set the flux, else an empty one."""
    free = {p.name for p in model.parameters if p.free}
    norms = [model.parameters[i] for i in model.tree.norm_indices]
    if "lg10Flux" not in free or not all(p.free for p in norms):
        return ""
    return f"lg10Flux and {norms[0].full_name} both set the flux: freeze one norm, or no fit ends."


def _raise_first(result):
    for name, status, message in zip(result.names, result.status, result.messages, strict=True):
        if not np.isin(status, result.USABLE):
            raise FitError(f"{name}: {message}")
