"""A posterior as ArviZ data and as a netCDF file.

The file has ArviZ's groups (posterior, sample_stats), so that ArviZ reads it too; the model, the
settings and what is known of the data are JSON text in its attributes. `jaxspec.sample.store`
reads it back. The log-likelihood of all data together is one of the sample_stats: a group
``log_likelihood`` is for terms of single pixels or bins, which ArviZ counts as observations.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import numpy as np

from jaxspec._environment import imported
from jaxspec._files import check_free, write_bytes
from jaxspec.errors import InputError, MissingExtraError
from jaxspec.fit.priors import prior_text
from jaxspec.likelihood.forward import content, pointwise_log_likelihood
from jaxspec.model.record import model_record, own_record

FORMAT = "jaxspec posterior 3"
ENGINE = "h5netcdf"
SEAL = b"\njaxspec sha256 "

STATS = {
    "diverging": "diverging",
    "n_steps": "steps",
    "accepted": "accepted",
    "log_prior": "log_prior",
    "log_likelihood": "log_likelihood",
}
MOST = 50_000_000  # terms of the log-likelihood that are handed to ArviZ; more draws are thinned
CHUNK = 5_000_000  # terms that are computed at a time


def to_arviz(posterior, *, pointwise=True, most=MOST):
    """Posterior as ArviZ data.

    Parameters
    ----------
    posterior : Posterior
    pointwise : bool
        Whether to compute the log-likelihood of every pixel, annulus or bin, which ArviZ's ``loo``
        and ``waic`` need; left out where the posterior has no data.
    most : int
        Terms (draws times pixels) at most; of more, the group holds evenly thinned draws, at
        least ten of each chain.

    Returns
    -------
    arviz.InferenceData, or xarray.DataTree with ArviZ 1
        Groups ``posterior`` (one variable per parameter), ``sample_stats`` (diverging, n_steps,
        accepted, log_prior, log_likelihood, lp) and ``log_likelihood`` (``counts``: chain, draw,
        bin).

    Raises
    ------
    MissingExtraError
        ArviZ is not installed.
    """
    try:
        arviz = imported("arviz")
        import xarray
    except ImportError as error:
        raise MissingExtraError(error.name or "arviz", "bayes") from None
    groups, attributes = _groups(posterior), _attributes(posterior)
    if pointwise and posterior.data is not None:
        groups["log_likelihood"] = _pointwise(posterior, most)
    old = getattr(arviz, "InferenceData", xarray.DataTree)
    # ArviZ 1.2 keeps the name, for the tree
    if isinstance(old, type) and not issubclass(old, xarray.DataTree):
        return old(attrs=attributes, **groups)
    return _tree(groups, attributes)


def _pointwise(posterior, most):
    """Dataset of the log-likelihood (chain, draw, bin) of single bins."""
    import xarray

    n_chain, n_draw = posterior.chains.shape[:2]
    n_bin = len(content(posterior.data)[0])
    kept = min(n_draw, max(most // (n_chain * n_bin), 10))
    draws = np.linspace(0, n_draw - 1, kept).round().astype(int)
    params = posterior.full[:, draws].reshape(n_chain * kept, -1)
    how = posterior.settings.get("integrate"), posterior.settings.get("stat")
    chunk = max(CHUNK // n_bin, 1)
    parts = [
        pointwise_log_likelihood(posterior.model, posterior.data, params[i : i + chunk], *how)
        for i in range(0, len(params), chunk)
    ]
    terms = np.concatenate(parts).reshape(n_chain, kept, n_bin)
    coordinates = {"chain": np.arange(n_chain), "draw": draws, "bin": np.arange(n_bin)}
    return xarray.Dataset({"counts": (("chain", "draw", "bin"), terms)}, coordinates)


def save(posterior, path, overwrite=False) -> str:
    """Write a posterior to a netCDF file that `read_posterior` and ArviZ read.

    Everything is kept but the data, the fit, and the priors: their text is, and of the data
    their name, file, unit, mask and a hash, so that no other data are taken for them.

    Parameters
    ----------
    posterior : Posterior
    path : str or os.PathLike, local or any address that fsspec can write to
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    str, the path.

    Raises
    ------
    InputError
        A folder that does not exist, a file that exists and may not be replaced, or that cannot
        be written.
    MissingExtraError
        xarray or h5netcdf is not installed.
    """
    path = os.fspath(path)
    check_free(path, overwrite)
    need_netcdf()
    if posterior.data is not None:  # for the DIC after reading without data
        settings = dict(posterior.settings, deviance_at_mean=posterior.deviance_at_mean)
        posterior = replace(posterior, settings=settings)
    tree = _tree(_groups(posterior), _attributes(posterior))
    # in memory: HDF5 ends the process where it cannot write to a file
    write_bytes(path, sealed(bytes(tree.to_netcdf(None, engine=ENGINE))), overwrite)
    return path


def sealed(raw: bytes) -> bytes:
    """Put a hash of a file behind its end, where HDF5 does not look."""
    return raw + SEAL + hashlib.sha256(raw).hexdigest().encode()


def unsealed(raw: bytes, file) -> bytes:
    """Take the hash away again; damaged files may keep HDF5 busy for ever, or give wrong numbers.

    Raises
    ------
    InputError
        The bytes are others than were written, or there is no hash.
    """
    inner, seal, digest = raw.rpartition(SEAL)
    if not seal:
        raise InputError(
            "is not a posterior that jaxspec wrote, or not all of it (its end, a hash of the rest, "
            "is missing)",
            file=file,
            remedy="fetch it again, or use posterior.save()",
        )
    if hashlib.sha256(inner).hexdigest().encode() != digest:
        raise InputError(
            "is damaged or was changed: its content is not what was written",
            file=file,
            remedy="fetch or save it again",
        )
    return inner


def need_netcdf():
    """Raise `MissingExtraError` unless netCDF files can be written and read."""
    for package in ("xarray", ENGINE, "h5py"):  # h5netcdf does not ask for h5py any more
        try:
            __import__(package)
        except ImportError:
            raise MissingExtraError(package, "bayes") from None


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
    stats = {name: (draws, getattr(posterior, field)) for name, field in STATS.items()}
    stats["lp"] = (draws, posterior.log_likelihood + posterior.log_prior)
    return {
        "posterior": dataset(chains),
        "sample_stats": dataset(stats),
    }


def _attributes(posterior):
    model, settings = posterior.model, dict(posterior.settings, data=posterior.fingerprint)
    held = model_record(model, prior_text) | {"own": own_record(model)}
    return {
        "format": FORMAT,
        "inference_library": "jaxspec",
        "model": _to_json(held),
        "settings": _to_json(settings),
        "names": _to_json(posterior.names),
        "best": _to_json(posterior.best),
        "log_constant": float(posterior.log_constant),
    }


def _to_json(value):
    def plain(v):
        return v.tolist() if hasattr(v, "tolist") else prior_text(v)

    return json.dumps(value, default=plain)


def _tree(groups, attributes):
    import xarray

    return xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=attributes), **groups})
