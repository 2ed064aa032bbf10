"""Figures into files, without pyplot and its state."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from jaxspec._types import Spectrum
from jaxspec.report import draw, plot
from jaxspec.report.result_figures import histogram_size, timeline_size


def save_spectra(spectra, folder) -> list[str]:
    """Draw all spectra into ``spectra.png``; give its name (none without any spectrum)."""
    if not any(isinstance(s, Spectrum) for s in spectra):
        return []
    return [_save_axes(folder, "spectra.png", plot.spectra, spectra)]


def save_overview(result, folder, prefix="") -> list[str]:
    """Draw all models, the histograms and the timeline of a result into PNG files.

    Parameters
    ----------
    result : FitResult
    folder : path, which exists.
    prefix : str, put in front of the names.

    Returns
    -------
    list of str, the names of the files; none without a usable row.
    """
    if not np.isin(result.status, result.USABLE).any():
        return []
    n = max(len(result.columns), 1)
    return [
        _save_axes(folder, f"{prefix}models.png", plot.models, result),
        _save_figure(folder, f"{prefix}histograms.png", histogram_size(n), plot.histograms, result),
        _save_figure(folder, f"{prefix}timeline.png", timeline_size(n), plot.timeline, result),
    ]


def save_fit(result, row, folder, name=None, residuals="delchi", rebin=None) -> list[str]:
    """Draw one row, folded and unfolded, into PNG files; give their names."""
    name = file_name(name or result.names[row])
    options = {"residuals": residuals, "rebin": rebin}
    return [
        _save_figure(folder, f"{name}_fit.png", (6.4, 5.6), plot.fit, result, row, **options),
        _save_axes(folder, f"{name}_unfolded.png", plot.unfolded, result, row, rebin=rebin),
    ]


def file_name(name) -> str:
    """Name of a spectrum as part of a file name.

    Examples
    --------
    >>> file_name("obs 1/src{3}.pha")
    'obs_1_src_3_.pha'
    """
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "spectrum"


def _save_figure(folder, name, size, make, *arguments, **options):
    from matplotlib.figure import Figure

    with draw.style():
        figure = make(*arguments, fig=Figure(figsize=size), **options)
        figure.savefig(Path(folder) / name)
    return name


def _save_axes(folder, name, make, *arguments, **options):
    from matplotlib.figure import Figure

    with draw.style():
        figure = Figure(figsize=(6.4, 4.4))
        make(*arguments, ax=figure.add_subplot(), **options)
        figure.savefig(Path(folder) / name)
    return name
