"""``fit``: many spectra or images, one call, a status for every row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxspec._environment import devices, versions
from jaxspec.errors import FitError, InputError
from jaxspec.fit.joint import fit_joint
from jaxspec.fit.joint_result import JointResult
from jaxspec.fit.priors import by_index, prior_map, prior_texts
from jaxspec.fit.problem import Options, make_groups
from jaxspec.fit.result import FitResult
from jaxspec.fit.rows import prepare_rows
from jaxspec.fit.sets import labels_of, layouts_of, untied
from jaxspec.fit.solve import solve
from jaxspec.likelihood.forward import kind_of
from jaxspec.model.model import Model


def fit(
    model,
    data=None,
    stat="auto",
    *,
    joint=False,
    untie=(),
    share=(),
    priors=None,
    integrate=None,
    max_iter=200,
    tol=1e-8,
    on_error="status",
    progress=None,
) -> FitResult | JointResult:
    """Fit a model to every spectrum or image, each by itself or together.

    Parameters
    ----------
    model : Model or str, or dict of name to (Model or str, data)
        A string is an XSPEC expression, or a sum of image components. The model is not changed.
        Where all its parameters are frozen, the statistic of these values is given, as by
        XSPEC's ``statistic`` after ``newpar``; figures and tables are those of a fit.
        A dict joins several models, each with its own data, of one kind or of several.
    data : one datum or a list: Spectrum, SpectrumList, Image, RadialProfile
        Left out where ``model`` is a dict.
    stat : str or list of str
        "auto", "cstat", "cash", "wstat", "pgstat", "pstat", "chi2", "chi2-gehrels",
        "chi2-churazov", "chi2-model"; a list gives one per datum. "cstat" becomes W-stat where a
        spectrum has a background loaded, as in XSPEC. What was used, and why, is in
        ``result.notes``.
    joint : bool, str or array of one label per datum
        True: all data together with one set of parameters. Labels: those of one label together,
        all labels in one call. A word is a label of the data themselves: an attribute, or a
        keyword of their headers such as "OBJECT".
    untie : str, list of str, or dict of name to list
        In joint fits: parameters that each datum has for itself. A dict gives for each datum a
        number, at which the parameter is frozen there, or None, where it is free:
        ``untie={"constant.factor": [1.0, None, None]}``.
    share : list of str or dict
        Where ``model`` is a dict: parameters that are one in all models that have them; a dict
        says how each model calls it, ``share=[{"gas": "kT", "core": "apec.kT"}]``.
    priors : dict of name to numpyro distribution, optional
        The maximum of the posterior instead of the likelihood. Priors set on the parameters of
        the model count too. Where several models are joined, ``"name.parameter"`` says of which.
    integrate : bool, optional
        For images: take the mean of the model over the pixels around the centres instead of its
        value at their middle. By default where a source is smaller than a pixel.
    max_iter : int
        Iterations after which a fit ends with NOT_CONVERGED.
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
        One row per datum, in the order given; ``table`` has one row per label where labels were
        given.
    JointResult
        Where ``model`` is a dict: a `FitResult` for each name.

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
    >>> three = js.fit("constant*powerlaw", spectra[:3], joint=True,
    ...                untie={"constant.factor": [1.0, None, None]})       # doctest: +SKIP
    """
    began = time.perf_counter()
    if on_error not in ("status", "raise"):
        raise InputError(
            f"{on_error!r} is not a choice", parameter="on_error", remedy="use 'status' or 'raise'"
        )
    _check_limits(max_iter, tol)
    check_integrate(integrate)
    options = Options(priors, tol, max_iter, integrate)
    with np.errstate(all="ignore"):  # what NumPy is told to raise on must not end a batch
        if isinstance(model, dict):
            result = _fit_models(model, data, stat, joint, untie, share, options, progress)
        else:
            result = _fit_one_model(model, data, stat, joint, untie, share, options, progress)
    result.settings["seconds"] = time.perf_counter() - began
    for part in [result, *getattr(result, "values", list)()]:
        part.settings.update(stat=stat, versions=versions(), devices=devices())
    if on_error == "raise":
        _raise_first(result)
    return result


def _fit_one_model(model, data, stat, joint, untie, share, options, progress):
    alone = joint is False or joint is None
    if untie and alone:
        raise InputError(
            "untie has a meaning only in joint fits", parameter="untie", remedy="add joint=True"
        )
    if share:
        raise InputError(
            "share joins several models", parameter="share", remedy="give a dict of models"
        )
    items = as_data(data)
    model = as_model(model, items)
    rows, stats = prepare_rows(model, items, stat)
    shown, priors = _as_shown(model, items, options)
    settings = {"tol": options.tol, "max_iter": options.max_iter, "joint": not alone}
    if options.integrate is not None:
        settings["integrate"] = options.integrate
    if priors:
        settings["priors"] = priors
    together = None
    with jax.enable_x64(True):
        if alone:
            rows.n_free = len(shown.free_names)
            few = max(1, rows.n_free)
            for group in make_groups(model, items, stats, few, rows, options):
                for solved in solve(group, items, options, progress):
                    rows.record(solved)
        else:
            own = untied(model, untie, len(items))
            number, names = labels_of(items, joint)
            made = fit_joint(
                {"": model}, {"": items}, {"": stats}, {"": number}, {"": own}, (), {"": rows},
                options, progress,
            )  # fmt: skip
            together = made[""]
            together.names = None if joint is True else names
            rows.n_free = int(together.n_free.sum())
            settings["untied"] = own.names(model)
    return rows.result(shown, together, **settings)


class JointTask(NamedTuple):
    """Data and models of a joint fit, by model name (empty for a single model).

    ``names`` are the labels of the sets, None for one set of everything.
    """

    models: dict
    items: dict
    stats: dict
    labels: dict
    own: dict
    rows: dict
    names: list | None


def joint_task(models, data, stat, joint, untie) -> JointTask:
    """Read what a joint fit was asked; see `fit` for the arguments and errors."""
    several = isinstance(models, dict)
    if several and data is not None:
        raise InputError("is part of the dict of models", parameter="data", remedy="leave it out")
    if several and joint is not True:
        raise InputError(
            "several models are fitted together", parameter="joint", remedy="add joint=True"
        )
    if several and untie and not isinstance(untie, dict):
        raise InputError(
            f"{untie!r} does not say of which model",
            parameter="untie",
            remedy='give a dict, {"name": ["parameter"]}',
        )
    if several and (unknown := [name for name in untie if name not in models]):
        raise InputError(
            f"there is no model {unknown[0]!r}",
            parameter="untie",
            remedy='give a dict for each model, {"name": {"parameter": [1.0, None]}}',
        )
    entries = models if several else {"": (models, data)}
    if not entries:
        raise InputError("is empty", parameter="model", remedy='give {"name": (model, data)}')
    task = JointTask({}, {}, {}, {}, {}, {}, None)
    for name, entry in entries.items():
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise InputError(
                f"{name!r} has {entry!r}", parameter="model", remedy="give (model, data)"
            )
        if isinstance(entry[1], str | Model) and not isinstance(entry[0], str | Model):
            raise InputError(
                f"{name!r} has (data, model)", parameter="model", remedy="give (model, data)"
            )
        items = as_data(entry[1])
        model = as_model(entry[0], items)
        asked = stat.get(name, "auto") if isinstance(stat, dict) else stat
        rows, stats = prepare_rows(model, items, asked)
        of = dict(untie).get(name, ()) if several else untie
        number, names = labels_of(items, joint)
        task.models[name], task.items[name], task.rows[name] = model, items, rows
        task.stats[name], task.labels[name] = stats, number
        task.own[name] = untied(model, of, len(items))
        if joint is not True:
            task = task._replace(names=names)
    return task


def given_priors(task, priors, share):
    """Set the priors of a call on the models of a `JointTask`; None, for no others are left then.

    A key is a parameter of one of them, or of those that share it, or "model.parameter".

    Raises
    ------
    InputError
        A parameter that no model has, or that several have without sharing it; two priors of one.
    """
    if not isinstance(priors, dict) or "" in task.models:
        return priors
    layouts, _ = layouts_of(task.models, {n: u.own for n, u in task.own.items()}, share)
    given = {name: {} for name in task.models}
    for key, prior in priors.items():
        of, _, rest = str(key).partition(".")
        if rest and of in given:
            given[of][rest] = prior
            continue
        having = {name: i for name, m in task.models.items() if (i := _index(m, key)) is not None}
        slots = {layouts[name].slots[i] for name, i in having.items()}
        if not having or len(having) > 1 and (len(slots) > 1 or -1 in slots):
            found = f"is in {' and '.join(having)}" if having else "is in none of the models"
            example = f"{next(iter(given))}.{str(key).rpartition('.')[2]}"
            raise InputError(
                f"{key!r} {found}", parameter="priors", remedy=f"say which, as in {example!r}"
            )
        for name in having:
            given[name][key] = prior
    for name, model in task.models.items():
        for index, prior in by_index(model, given[name]).items():
            model.parameters[index].prior = prior
    return None


def _index(model, key):
    """Index of a parameter, None where the model has none of this name."""
    try:
        return model[key].number - 1
    except InputError:
        return None


def _fit_models(models, data, stat, joint, untie, share, options, progress):
    """Several models, each with its data, in one joint fit."""
    began = time.perf_counter()
    task = joint_task(models, data, stat, joint, untie)
    options = options._replace(priors=given_priors(task, options.priors, share))
    with jax.enable_x64(True):
        made = fit_joint(*task[:5], share, task.rows, options, progress)
    results = {}
    for name, together in made.items():
        shown, priors = _as_shown(task.models[name], task.items[name], options)
        settings = {"joint": True, "tol": options.tol, "max_iter": options.max_iter}
        settings["untied"] = task.own[name].names(shown)
        task.rows[name].n_free = int(together.n_free.sum())
        results[name] = task.rows[name].result(shown, together, **settings, priors=priors)
    for result in results.values():
        result.settings["seconds"] = time.perf_counter() - began
    return JointResult.of(task.models, task.own, share, results)


def is_list(data) -> bool:
    """Whether these are several data, be they one in a list."""
    return isinstance(data, Sequence) and not isinstance(data, str)


def as_data(data):
    """List of data of one kind.

    Raises
    ------
    InputError
        Nothing, what is no data, or data of several kinds.
    """
    items = data if is_list(data) else [data]
    if not len(items):
        raise InputError("there is no spectrum or image to fit", parameter="data")
    models = {kind_of(item).make_term for item in items}
    if len(models) > 1:
        raise InputError(
            "the data are of several kinds", parameter="data",
            remedy='fit them together as {"a": (model, images), "b": (model, spectra)}',
        )  # fmt: skip
    collection = kind_of(items[0]).collection
    return items if isinstance(items, collection) else collection(items)


def as_model(model, items):
    """Copy of a model, or model of an expression, for these data; refuses what cannot be fitted."""
    if not isinstance(model, str | Model):
        raise InputError(
            f"{model!r} is no model", parameter="model", remedy="give a Model or an expression"
        )
    model = Model(model) if isinstance(model, str) else model.copy()
    kind_of(items[0]).check_model(model)
    units = {getattr(item, "exposure_unit", "") for item in items}
    if len(units) > 1:
        raise InputError(
            "the data have exposures in different units: "
            + ", ".join(unit or "none" for unit in sorted(units)),
            parameter="data",
            remedy="fit them in separate calls",
        )
    return model


def _as_shown(model, items, options):
    """Model with the limits and units of the first datum, and its priors as text."""
    kind = kind_of(items[0])
    shown = kind.suited(model, items[0])
    shown = shown.copy() if shown is model else shown
    return shown, prior_texts(shown, prior_map(shown, options.priors))


def _check_limits(max_iter, tol):
    if isinstance(max_iter, bool) or not isinstance(max_iter, int | np.integer) or max_iter < 1:
        raise InputError(f"{max_iter!r} is not a positive whole number", parameter="max_iter")
    if isinstance(tol, str | None) or not 0 < tol < np.inf:
        raise InputError(
            f"{tol!r} is not a positive number", parameter="tol", remedy="1e-8 is usual"
        )


def check_integrate(integrate):
    """Refuse what is neither yes nor no nor None."""
    if not isinstance(integrate, bool | np.bool_ | None):
        raise InputError(
            f"{integrate!r} is not True, False or None",
            parameter="integrate",
            remedy="leave it out",
        )


def _raise_first(result):
    for part in getattr(result, "values", lambda: [result])():
        for name, usable, message in zip(part.names, part.usable, part.messages, strict=True):
            if not usable:
                raise FitError(f"{name}: {message}")
