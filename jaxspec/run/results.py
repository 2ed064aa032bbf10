"""Results of image models as files and as numbers: tables, chains, netCDF."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxspec._status import Status
from jaxspec.errors import MissingExtraError
from jaxspec.fit.model_image import KINDS
from jaxspec.likelihood.image_prepare import source_places
from jaxspec.read.write_image import write_image
from jaxspec.report.save import file_name
from jaxspec.sample.summary import made_by

LEFT_OUT = "posterior.nc was left out: "


#: Files of every image, and of every model.
FILES = ("profile.ecsv", "comparison.ecsv")
OF_MODEL = (
    "fit.ecsv", "model.fits.gz", "residuals.fits.gz",
    "posterior.ecsv", "chains.parquet", "posterior.nc",
)  # fmt: skip


def write_results(
    folder, image, fits, posteriors, comparison=None, overwrite=False
) -> tuple[list[str], list[str]]:
    """Write tables and images: profile, fits, models, residuals, posteriors, chains, comparison.

    Parameters
    ----------
    folder : path, which exists.
    image : Image
    fits, posteriors : dict of name to FitResult, to Posterior
    comparison : Comparison, optional
    overwrite : bool, whether existing files may be replaced.

    Returns
    -------
    names : list of str
        Files; the name of the model is put in front where there are several.
    notes : list of str
        What could not be written, and why.
    """
    from jaxspec.fit.tables import write_table
    from jaxspec.reduce.profile import profile

    folder = Path(folder)
    names, notes = [], []

    def keep(table, name):
        write_table(table, folder / name, overwrite)
        names.append(name)

    keep(profile(image, center=_center(image, fits)).table, "profile.ecsv")
    for key, result in fits.items():
        names.append(result.write(folder / f"{prefix_of(key, fits)}fit.ecsv", overwrite).name)
        if result.status[0] in result.USABLE:
            for kind in KINDS:
                name = f"{prefix_of(key, fits)}{kind}.fits.gz"
                write_image(result.model_image(kind=kind), folder / name, overwrite=overwrite)
                names.append(name)
    for key, posterior in posteriors.items():
        prefix = prefix_of(key, fits)
        keep(posterior.table, f"{prefix}posterior.ecsv")
        keep(chains_table(posterior), f"{prefix}chains.parquet")
        try:
            posterior.save(folder / f"{prefix}posterior.nc", overwrite)
            names.append(f"{prefix}posterior.nc")
        except MissingExtraError as error:
            notes.append(f"{LEFT_OUT}{error}")
    if comparison is not None:
        keep(comparison.table, "comparison.ecsv")
    return names, list(dict.fromkeys(notes))


def prefix_of(key, several) -> str:
    """What is put in front of the files of one of several models; nothing if it is alone."""
    return f"{file_name(key)}_" if len(several) > 1 else ""


def _center(image, fits):
    """Centre of the first model that has one and could be fitted, else of the good pixels."""
    for result in fits.values():
        owners = source_places(result.model)
        if owners and result.status[0] in result.USABLE:
            return tuple(float(result.params[0, i]) for i in owners[0])
    return float(image.pixels.x.mean()), float(image.pixels.y.mean())


def chains_table(posterior):
    """`astropy.table.Table` of all draws: chain, draw, the parameters, log-likelihood, diverging.

    Parameters
    ----------
    posterior : Posterior

    Returns
    -------
    Table
        One row per draw, chain after chain.
    """
    from astropy.table import Table

    n_chain, n_draw = posterior.chains.shape[:2]
    table = Table()
    table["chain"] = np.repeat(np.arange(n_chain), n_draw)
    table["draw"] = np.tile(np.arange(n_draw), n_chain)
    for name, values in zip(posterior.names, posterior.flat.T, strict=True):
        table[name] = values
    table["log_likelihood"] = posterior.log_likelihood.ravel()
    table["diverging"] = posterior.diverging.ravel()
    table.meta.update(made_by(posterior), DATA=dict(posterior.fingerprint))
    return table


# ---------------------------------------------------------------------------- for summary.json


def fit_numbers(result) -> dict:
    """Best fit of one image: values and errors by name, statistic, status in words."""
    values = {
        name: {
            "value": result.value(name)[0],
            "error": result.error(name)[0],
            "unit": result.unit(name),
        }
        for name in result.columns
    }
    return {
        "model": result.model.expression,
        "status": Status(result.status[0]).name,
        "message": result.messages[0],
        "statistic": result.stat_names[0],
        "stat": result.stat[0],
        "dof": result.dof[0],
        "parameters": values,
    }


def posterior_numbers(posterior) -> dict:
    """Posterior in numbers: moments and diagnostics by parameter, warnings, DIC, seconds."""
    table = posterior.table
    keys = [name for name in table.colnames if name != "name"]
    rows = zip(posterior.names, table, strict=True)
    dic = posterior.dic()
    return {
        "parameters": {name: {key: row[key] for key in keys} for name, row in rows},
        "chains": posterior.chains.shape[0],
        "draws": posterior.chains.shape[1],
        "divergent": posterior.n_divergent,
        "acceptance": posterior.acceptance,
        "warnings": list(posterior.warnings),
        "dic": float(dic),
        "p_d": dic.p_d,
        "dic_without_constants": float(posterior.dic(constant=False)),
        "seconds": posterior.settings.get("seconds", {}),
        "seed": posterior.settings.get("seed"),
    }


def image_numbers(image) -> dict:
    """What was read, and what was assumed: sizes, good pixels, counts, diagnostics."""
    return {
        "file": image.path,
        "shape": list(image.shape),
        "good_pixels": int(image.good.sum()),
        "counts": image.counts[image.good].sum(),
        "peak_exposure": image.exposure.max(),
        "exposure_unit": image.exposure_unit,
        "exposure_time": image.exposure_time,
        "pixel_arcsec": image.pixel_size,
        "diagnostics": list(image.diagnostics),
    }


def comparison_numbers(comparison) -> dict:
    """Criterion by model, and which is preferred."""
    pairs = zip(comparison.names, comparison.values, strict=True)
    return {
        "criterion": comparison.criterion,
        "values": dict(pairs),
        "preferred": comparison.names[0],
        "sentence": comparison.sentence,
    }
