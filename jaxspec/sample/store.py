"""A posterior as ArviZ data and as a netCDF file, and back.

The file has ArviZ's groups (posterior, sample_stats, log_likelihood), so that ArviZ reads it too;
the model and the settings are JSON text in its attributes.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace

import numpy as np

from jaxspec.errors import InputError, MissingExtraError
from jaxspec.fit.priors import prior_text
from jaxspec.model.model import Model
from jaxspec.read.paths import decompress, read_bytes
from jaxspec.sample.posterior import Posterior, columns, fingerprint

FORMAT = "jaxspec posterior 1"
ENGINE = "h5netcdf"

_STATS = {
    "diverging": "diverging",
    "n_steps": "steps",
    "accepted": "accepted",
    "log_prior": "log_prior",
}
_LIMITS = ("min", "max", "soft_min", "soft_max")
_FLAGS = ("frozen", "is_set")


def to_arviz(posterior):
    """Posterior as ArviZ data.

    Returns
    -------
    arviz.InferenceData, or xarray.DataTree with ArviZ 1
        Groups ``posterior`` (one variable per parameter), ``sample_stats`` (diverging, n_steps,
        accepted, log_prior, lp) and ``log_likelihood`` (total).

    Raises
    ------
    MissingExtraError
        ArviZ is not installed.
    """
    try:
        import arviz
    except ImportError:
        raise MissingExtraError("arviz", "bayes") from None
    groups, attributes = _groups(posterior), _attributes(posterior)
    if hasattr(arviz, "InferenceData"):
        return arviz.InferenceData(attrs=attributes, **groups)
    return _tree(groups, attributes)


def save(posterior, path) -> str:
    """Write a posterior to a netCDF file that `read_posterior` and ArviZ read.

    Everything is kept but the data, the fit, and the priors (their text is).

    Parameters
    ----------
    posterior : Posterior
    path : str or os.PathLike, local; a file of this name is replaced.

    Returns
    -------
    str, the path.

    Raises
    ------
    InputError
        A folder that does not exist.
    MissingExtraError
        xarray or h5netcdf is not installed.
    """
    path = os.fspath(path)
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise InputError("the folder does not exist", file=path, remedy="create it first")
    _need_netcdf()
    if posterior.data is not None:  # for the DIC after reading without data
        settings = dict(posterior.settings, deviance_at_mean=posterior.deviance_at_mean)
        posterior = replace(posterior, settings=settings)
    _tree(_groups(posterior), _attributes(posterior)).to_netcdf(path, engine=ENGINE)
    return path


def read_posterior(path, data=None, *, components=()) -> Posterior:
    """Read a posterior that `Posterior.save` wrote.

    Parameters
    ----------
    path : str or os.PathLike, local or any address that fsspec opens.
    data : Image or RadialProfile, optional
        What was sampled, for all that needs the likelihood again.
    components : sequence of what `jaxspec.component` made, if the model has components of your own.

    Returns
    -------
    Posterior
        With ``data`` and ``fit`` None unless given; priors are not restored.

    Raises
    ------
    InputError
        The file does not exist or is not such a file, or ``data`` are other data.
    MissingExtraError
        xarray or h5netcdf is not installed.

    Examples
    --------
    >>> import jaxspec as js
    >>> js.read_posterior("a1835.nc", data=image).loo()    # doctest: +SKIP
    """
    file = os.fspath(path)
    _need_netcdf()
    try:
        raw, file = read_bytes(file)
    except FileNotFoundError:
        raise InputError("does not exist", file=file) from None
    groups, attributes = _load(decompress(raw, file), file)
    settings = attributes["settings"]
    if data is not None and fingerprint(data)["sha256"] != settings["data"].get("sha256"):
        was, found = settings["data"], fingerprint(data)
        raise InputError(
            f"was sampled on {was.get('name')} with {was.get('n_pix')} pixels and "
            f"{was.get('counts'):.10g} counts; the data given are {found['name']} with "
            f"{found['n_pix']} and {found['counts']:.10g}",
            file=file,
            remedy="give the same data with the same mask",
        )
    try:
        model = _model(attributes["model"], components)
        return _posterior(model, data, groups, attributes)
    except InputError as error:
        raise InputError(f"its model cannot be made: {error}", file=file) from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _not_ours(file, f"{type(error).__name__}: {error}") from error


def _need_netcdf():
    for package in ("xarray", ENGINE):
        try:
            __import__(package)
        except ImportError:
            raise MissingExtraError(package, "bayes") from None


def _not_ours(file, why):
    return InputError(
        f"is not a posterior that jaxspec wrote ({why})", file=file, remedy="use posterior.save()"
    )


def _groups(posterior):
    """Dict from group name to xarray.Dataset."""
    import xarray

    draws = ("chain", "draw")
    n_chain, n_draw = posterior.chains.shape[:2]
    coordinates = {"chain": np.arange(n_chain), "draw": np.arange(n_draw)}

    def dataset(variables):
        return xarray.Dataset(variables, coordinates)

    pairs = enumerate(zip(posterior.names, posterior.units, strict=True))
    chains = {
        name: (draws, posterior.chains[:, :, i], {"units": unit}) for i, (name, unit) in pairs
    }
    stats = {name: (draws, getattr(posterior, field)) for name, field in _STATS.items()}
    stats["lp"] = (draws, posterior.log_likelihood + posterior.log_prior)
    return {
        "posterior": dataset(chains),
        "sample_stats": dataset(stats),
        "log_likelihood": dataset({"total": (draws, posterior.log_likelihood)}),
    }


def _attributes(posterior):
    model, settings = posterior.model, dict(posterior.settings, data=posterior.fingerprint)
    held = {
        "expression": model.expression,
        "abund": model.abund,
        "xsect": model.xsect,
        "parameters": [_parameter(p) for p in model.parameters],
    }
    return {
        "format": FORMAT,
        "inference_library": "jaxspec",
        "model": _to_json(held),
        "settings": _to_json(settings),
        "names": _to_json(posterior.names),
        "best": _to_json(posterior.best),
        "log_constant": float(posterior.log_constant),
    }


def _parameter(p):
    kept = {name: getattr(p, name) for name in ("full_name", "unit", *_LIMITS, *_FLAGS, "value")}
    prior = None if p.prior is None else prior_text(p.prior)
    return kept | {"link": p.link, "prior": prior}


def _to_json(value):
    def plain(v):
        return v.tolist() if hasattr(v, "tolist") else prior_text(v)

    return json.dumps(value, default=plain)


def _tree(groups, attributes):
    import xarray

    return xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=attributes), **groups})


def _load(raw, file):
    """Groups as dicts of arrays, and the attributes with their JSON text read."""
    import xarray

    try:
        with xarray.open_datatree(io.BytesIO(raw), engine=ENGINE) as tree:
            attributes = dict(tree.attrs)
            groups = {
                name: {key: v.to_numpy() for key, v in node.data_vars.items()}
                for name, node in tree.children.items()
            }
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise _not_ours(file, str(error)) from error
    if attributes.get("format") != FORMAT:
        raise _not_ours(file, f"its format is {attributes.get('format')!r}, not {FORMAT!r}")
    try:
        for key in ("model", "settings", "names", "best"):
            attributes[key] = json.loads(attributes[key])
        attributes["settings"]["data"].get("sha256")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_ours(file, f"{type(error).__name__}: {error}") from error
    return groups, attributes


def _model(held, components):
    model = Model(
        held["expression"], abund=held["abund"], xsect=held["xsect"], components=components
    )
    pairs = list(zip(model.parameters, held["parameters"], strict=True))
    for p, entry in pairs:
        if p.full_name != entry["full_name"]:
            raise InputError(f"parameter {entry['full_name']!r} is {p.full_name!r} here")
        p.set(None if entry["link"] else entry["value"], min=entry["min"], max=entry["max"])
        p.soft_min, p.soft_max = float(entry["soft_min"]), float(entry["soft_max"])
        p.unit = str(entry["unit"])
        p.frozen, p.is_set = bool(entry["frozen"]), bool(entry["is_set"])
    for p, entry in pairs:
        if entry["link"]:
            p.link_to(entry["link"])
    return model


def _posterior(model, data, groups, attributes):
    places, names, units = columns(model)
    if list(names) != attributes["names"]:
        raise ValueError(f"it holds {attributes['names']}, its model has {list(names)}")
    chains = np.stack([groups["posterior"][name] for name in names], axis=-1)
    full = np.empty((*chains.shape[:2], len(model)))
    full[...] = model.values
    full[..., places] = chains
    stats = {field: groups["sample_stats"][name] for name, field in _STATS.items()}
    likelihood = groups["log_likelihood"]["total"]
    if any(values.shape != chains.shape[:2] for values in (likelihood, *stats.values())):
        raise ValueError("its arrays have different lengths")
    return Posterior(
        model=model,
        data=data,
        names=names,
        units=units,
        chains=chains,
        full=full,
        log_likelihood=likelihood,
        log_constant=float(attributes["log_constant"]),
        best=np.asarray(attributes["best"], dtype=np.float64),
        settings=attributes["settings"],
        **stats,
    )
