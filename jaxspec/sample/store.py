"""Reading posteriors from netCDF files that `jaxspec.sample.netcdf` wrote."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from jaxspec._ask import path_text
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import kind_of
from jaxspec.model.record import model_of
from jaxspec.read.paths import decompress, read_bytes
from jaxspec.sample.netcdf import FORMAT, STATS, need_netcdf, unsealed
from jaxspec.sample.posterior import Posterior, columns, fingerprint


def read_posterior(path, data=None, *, components=()) -> Posterior:
    """Read a posterior that `Posterior.save` wrote.

    Parameters
    ----------
    path : str or os.PathLike, local or any address that fsspec opens.
    data : Spectrum, Image or RadialProfile, optional
        What was sampled, for all that needs the likelihood again; also in a list of one.
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
    file = path_text(path)
    need_netcdf()
    try:
        raw, file = read_bytes(file)
    except FileNotFoundError:
        raise InputError("does not exist", file=file) from None
    groups, attributes = _load(unsealed(decompress(raw, file), file), file)
    settings = attributes["settings"]
    if isinstance(data, list | tuple) or hasattr(data, "names"):
        if len(data) != 1:
            raise InputError(
                f"are {len(data)}, and a posterior is of one",
                parameter="data",
                remedy="give data[i]",
            )
        data = data[0]
    if data is not None:
        kind_of(data)
        _check_data(settings["data"], fingerprint(data), file)
    try:
        model = model_of(attributes["model"], components)
        return _posterior(model, data, groups, attributes)
    except InputError as error:
        raise InputError(f"its model cannot be made: {error}", file=file) from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _not_ours(file, f"{type(error).__name__}: {error}") from error


def _check_data(was, found, file):
    """Refuse other data than those that were sampled, and say in what they differ."""
    if found["sha256"] == was.get("sha256"):
        if was.get("pixel_size") and found.get("pixel_size"):
            _check_pixels(was["pixel_size"], found["pixel_size"], file)
        return
    parts = was.get("parts", {})
    differ = [name for name, digest in found["parts"].items() if parts.get(name) != digest]
    raise InputError(
        f"was sampled on {was.get('name')} with {was.get('n_pix')} bins and "
        f"{was.get('counts')} counts; the data given are {found['name']} with "
        f"{found['n_pix']} and {found['counts']}, and differ in {', '.join(differ) or 'kind'}",
        file=file,
        remedy="give the same data, with the same mask and maps"
        + (f" ({was['path']})" if was.get("path") else ""),
    )


def _check_pixels(was, found, file):
    """Refuse the same numbers with pixels of another size: core radii would be others in arcsec."""
    if abs(found / was - 1.0) > 1e-6:
        raise InputError(
            f"was sampled on pixels of {was:g} arcsec, and those of the data given are {found:g}",
            file=file,
            remedy="give the image with its own sky coordinates",
        )


def _not_ours(file, why):
    return InputError(
        f"is not a posterior that jaxspec wrote ({why})", file=file, remedy="use posterior.save()"
    )


def _load(raw, file):
    """Groups as dicts of arrays, and the attributes with their JSON text read."""
    import h5py

    try:  # a netCDF file is an HDF5 file; xarray takes twenty times as long to say the same
        with h5py.File(io.BytesIO(raw), "r") as held:
            stored: Any = held
            attributes: Any = {key: _plain(value) for key, value in stored.attrs.items()}
            groups = {
                name: {k: _array(v) for k, v in stored[name].items() if v.dtype.kind in "biuf"}
                for name in ("posterior", "sample_stats")
                if name in stored
            }
    except Exception as error:  # h5py raises many kinds on damaged files
        raise _not_ours(file, f"{type(error).__name__}: {error}") from error
    if attributes.get("format") != FORMAT:
        raise _not_ours(file, f"its format is {attributes.get('format')!r}, not {FORMAT!r}")
    try:
        for key in ("model", "settings", "names", "best"):
            attributes[key] = json.loads(attributes[key])
        _check_settings(attributes["settings"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _not_ours(file, f"{type(error).__name__}: {error}") from error
    return groups, attributes


def _plain(value):
    """Attribute as text or a number: netCDF has arrays of one number."""
    value = value.decode() if isinstance(value, bytes) else value
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value


def _array(stored):
    """Numbers of a variable; netCDF has no Booleans, and says in an attribute what was one."""
    values = np.asarray(stored[()])
    return values.astype(bool) if _plain(stored.attrs.get("dtype")) == "bool" else values


# What is used of the settings later, long after the file was read.
_SETTINGS = {
    "data": dict,
    "stat": str,
    "integrate": bool | None,
    "priors": dict,
    "elsewhere": list,
    "seconds": dict | int | float,
    "deviance_at_mean": int | float,
}


def _check_settings(settings):
    for key, kind in _SETTINGS.items():
        value = settings["data"] if key == "data" else settings.get(key, _SETTINGS)
        if value is not _SETTINGS and not isinstance(value, kind):
            raise ValueError(f"its setting {key} is {value!r}")
    texts = [*settings.get("priors", {}).values(), *settings.get("elsewhere", [])]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its priors or other minima are no text")
    seconds = settings.get("seconds", {})
    steps = seconds.values() if isinstance(seconds, dict) else ()
    if not all(isinstance(value, int | float) for value in steps):
        raise ValueError("its seconds are no numbers")


def _posterior(model, data, groups, attributes):
    places, names, units = columns(model)
    if list(names) != attributes["names"]:
        raise ValueError(f"it holds {attributes['names']}, its model has {list(names)}")
    chains = np.stack([groups["posterior"][name] for name in names], axis=-1)
    full = np.empty((*chains.shape[:2], len(model)))
    full[...] = model.values
    full[..., places] = chains
    stats = {field: groups["sample_stats"][name] for name, field in STATS.items()}
    if any(values.shape != chains.shape[:2] for values in stats.values()):
        raise ValueError("its arrays have different lengths")
    best = np.asarray(attributes["best"], dtype=np.float64)
    if best.shape != (len(names),):
        raise ValueError(f"its best fit has {best.size} values, not {len(names)}")
    return Posterior(
        model=model,
        data=data,
        names=names,
        units=units,
        chains=chains,
        full=full,
        log_constant=float(attributes["log_constant"]),
        best=best,
        settings=attributes["settings"],
        **stats,
    )
