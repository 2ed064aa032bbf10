"""Figures of images and their models into files, without pyplot and its state."""

from __future__ import annotations

from pathlib import Path

from jaxspec.reduce.image import Image
from jaxspec.report import draw
from jaxspec.report import image_figures as images
from jaxspec.report import posterior_figures as chains
from jaxspec.report import profile_figures as profiles
from jaxspec.report.image_arrays import best_of


def save_image(image, folder, prefix="") -> list[str]:
    """Draw counts, masked counts and exposure into ``image.png``, and ``masks.png``.

    Parameters
    ----------
    image : Image
    folder : path, which exists.
    prefix : str, put in front of the names.

    Returns
    -------
    list of str, the names of the files.
    """
    return [
        _save(folder, f"{prefix}image.png", images.OVERVIEW, images.overview, image),
        _save(folder, f"{prefix}masks.png", images.SIZE, images.masks, image),
    ]


def save_image_fit(source, folder, prefix="", row=0, smooth=2.0) -> list[str]:
    """Draw profile and residuals of a fit (one row) or posterior; parameters as `save_image`.

    ``smooth`` is that of the residual image. A fit of a radial profile has no residual image.
    """
    names = [
        _save(folder, f"{prefix}profile.png", profiles.SIZE, profiles.profile, source, row=row)
    ]
    if isinstance(best_of(source, row).data, Image):
        size, look = images.SIZE, {"row": row, "smooth": smooth}
        name = f"{prefix}residuals.png"
        names.append(_save(folder, name, size, images.residuals, source, **look))
    return names


def save_posterior(posterior, folder, prefix="", smooth=2.0) -> list[str]:
    """Draw profile, residuals, traces and triangle of a posterior; as `save_image_fit`.

    Without data (read from a file) there are traces and triangle alone.
    """
    n = len(posterior.names)
    names = []
    if posterior.data is not None:
        names += save_image_fit(posterior, folder, prefix, smooth=smooth)
    return [
        *names,
        _save(folder, f"{prefix}traces.png", chains.trace_size(n), chains.traces, posterior),
        _save(folder, f"{prefix}triangle.png", chains.triangle_size(n), chains.triangle, posterior),
    ]


def save_comparison(results, folder, prefix="") -> list[str]:
    """Draw the profiles of several models side by side into ``comparison.png``.

    ``results`` is a dict from name to Posterior or FitResult; see `jaxspec.plot.compare`.
    """
    size = profiles.compare_size(len(results))
    return [_save(folder, f"{prefix}comparison.png", size, profiles.compare, results)]


def _save(folder, name, size, make, *arguments, **options):
    from matplotlib.figure import Figure

    with draw.style():
        figure = Figure(figsize=size)
        make(*arguments, fig=figure, **options)
        figure.savefig(Path(folder) / name)
    return name
