"""Figures of one spectrum, and of all spectra or models over energy."""

from __future__ import annotations

import numpy as np

from jaxspec._types import Spectrum
from jaxspec.errors import InputError
from jaxspec.report import draw, labels, panels
from jaxspec.report.compared import curve_band, data_arrays, fit_arrays, model_band
from jaxspec.report.fitted import best_of, need_fit, part_of
from jaxspec.report.stacks import stack_models, stack_spectra
from jaxspec.sample.posterior import Posterior


def data(spectrum, ax=None, *, subtract=True, background=True, rebin=None):
    """Draw one spectrum with its errors.

    Parameters
    ----------
    spectrum : Spectrum
    ax : matplotlib axes, optional; by default those of a new pyplot figure.
    subtract : bool, subtract the background from the data.
    background : bool, draw the background as well.
    rebin : (min_significance, max_bins), optional
        Join bins for display, as ``setplot rebin``.

    Returns
    -------
    matplotlib figure

    Examples
    --------
    >>> import jaxspec as js
    >>> js.plot.data(js.read_pha("xp*_s2.pha")[0].notice("3-25"))      # doctest: +SKIP
    """
    if not isinstance(spectrum, Spectrum):
        raise InputError(
            f"is a {type(spectrum).__name__}", parameter="spectrum", remedy="give one spectrum"
        )
    with draw.style():
        ax = draw.axes_of(ax)
        arrays = data_arrays(spectrum, subtract=subtract, rebin=rebin)
        _label_axes(ax, arrays, spectrum)
        if not len(arrays.data):
            draw.say(ax, "no bin is left by quality, grouping and ranges")
            return ax.figure
        draw.points(ax, arrays.edges, arrays.data, arrays.error, label=arrays.name)
        shown = _background(ax, arrays) if background else np.zeros(0)
        draw.energy_axis(ax, *arrays.edges, arrays.has_energies)
        draw.flux_axis(ax, arrays.data, shown, errors=arrays.error)
        draw.legend(ax)
    return ax.figure


def fit(result, row=0, fig=None, *, residuals="delchi", subtract=None, background=True, rebin=None):
    """Draw data and folded model of one row, with the residuals below.

    A posterior is shown by the model at its mode, and the bands that hold the model with
    68 and 95 % probability.

    Parameters
    ----------
    result : FitResult, or Posterior or JointPosterior of spectra
    row : int or name, of a FitResult or JointPosterior.
    fig : matplotlib figure, optional; by default a new pyplot figure.
    residuals : {"delchi", "ratio"}
        (data - model) / error, or data / model. With a Poisson statistic the error is that of the
        model's counts and the background.
    subtract, background, rebin : see `data`; a statistic without background leaves it in the data.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    InputError
        A row without a best fit.
    """
    result = part_of(result, row)
    arrays = fit_arrays(result, row, subtract=subtract, rebin=rebin)
    left_over = _left_over(arrays, residuals)
    best, edges = best_of(result, row), arrays.edges
    with draw.style():
        fig, ((upper,), (lower,)) = panels.panels(fig)
        _label_axes(upper, arrays, best.data)
        draw.points(upper, edges, arrays.data, arrays.error, label=arrays.name)
        parts, label = arrays.components, best.model.expression
        panels.model(upper, arrays.x, arrays.model, parts, label, edges)
        if isinstance(result, Posterior):
            options = {"subtract": subtract, "rebin": rebin}
            panels.bands(upper, arrays.x, model_band(result, **options), edges)
        shown = _background(upper, arrays) if background else np.zeros(0)
        draw.flux_axis(upper, arrays.data, arrays.model, shown, errors=arrays.error)
        upper.set_title(_outcome(result, row), fontsize=9, loc="right")
        panels.residuals(lower, edges, **left_over)
        lower.set_xlabel(upper.get_xlabel())
        upper.set_xlabel("")
        draw.energy_axis(lower, *edges)
        draw.legend(upper)  # last: where data lie is known then
    return fig


def unfolded(result, row=0, ax=None, *, kind="eeufspec", rebin=None):
    """Draw the unfolded spectrum of one row: data x model / folded model.

    The points take over the shape of the model inside the resolution, and the figure says so. A
    posterior is shown by the model at its mode, with bands as in `fit`.

    Parameters
    ----------
    result : FitResult, or Posterior or JointPosterior of spectra
    row : int or name, of a FitResult or JointPosterior.
    ax : matplotlib axes, optional
    kind : {"eeufspec", "ufspec"}
        keV^2 (photons/cm2/s/keV), or photons/cm2/s/keV.
    rebin : see `data`.

    Returns
    -------
    matplotlib figure
    """
    if kind not in ("eeufspec", "ufspec"):
        raise InputError(
            f"{kind!r} is not a choice", parameter="kind", remedy="use 'eeufspec' or 'ufspec'"
        )
    result = part_of(result, row)
    arrays = fit_arrays(result, row, rebin=rebin)
    values, errors = getattr(arrays, kind), getattr(arrays, f"{kind}_error")
    e_lo, e_hi, flux, parts = arrays.curve
    band = (e_hi > arrays.edges[0].min()) & (e_lo < arrays.edges[1].max())
    e_lo, e_hi = e_lo[band], e_hi[band]
    factor = e_lo * e_hi if kind == "eeufspec" else np.ones_like(e_lo)
    with draw.style():
        ax = draw.axes_of(ax)
        draw.points(ax, arrays.edges, values, errors, label=arrays.name)
        whole = flux[band] * factor
        parts = {name: part[band] * factor for name, part in parts.items()}
        middle = np.sqrt(e_lo * e_hi)
        panels.model(ax, middle, whole, parts, result.model.expression)
        if isinstance(result, Posterior):
            panels.bands(ax, middle, curve_band(result)[:, band] * factor)
        ax.set_xlabel(labels.ENERGY)
        ax.set_ylabel(labels.FLUX["eemodel" if kind == "eeufspec" else "model"])
        draw.energy_axis(ax, *arrays.edges)
        draw.flux_axis(ax, values, whole, errors=errors)
        ax.set_title("unfolded: the points depend on the model", fontsize=9, loc="right")
        draw.legend(ax)
    return ax.figure


def spectra(spectra, ax=None, *, subtract=True, area=False, rebin=None):
    """Draw all spectra over each other, coloured by time.

    Parameters
    ----------
    spectra : SpectrumList or list of Spectrum
    ax : matplotlib axes, optional
    subtract, rebin : see `data`.
    area : bool
        Divide by the effective area, so that different numbers of detectors are comparable.

    Returns
    -------
    matplotlib figure
    """
    stack = stack_spectra(spectra, subtract=subtract, area=area, rebin=rebin)
    with draw.style():
        ax = draw.axes_of(ax)
        ax.set_xlabel(labels.ENERGY if stack.has_energies else labels.CHANNEL)
        rate = labels.RATE if stack.has_energies else labels.CHANNEL_RATE
        ax.set_ylabel(labels.AREA_RATE if area else rate)
        _lines(ax, stack)
        draw.say(ax, draw.skipped(stack.skipped, len(spectra), "unreadable or empty"))
    return ax.figure


def models(result, ax=None, *, kind="eemodel"):
    """Draw the best-fit models of all usable rows, coloured by time.

    Parameters
    ----------
    result : FitResult
    ax : matplotlib axes, optional
    kind : {"eemodel", "emodel", "model", "folded"}
        E^2, E or 1 times photons/cm2/s/keV before folding, or counts/s/keV after it.

    Returns
    -------
    matplotlib figure
    """
    need_fit(result)
    stack = stack_models(result, kind)
    with draw.style():
        ax = draw.axes_of(ax)
        ax.set_xlabel(labels.ENERGY)
        ax.set_ylabel(labels.FLUX[kind])
        ax.set_title(result.model.expression, fontsize=9, loc="right")
        band = None
        if kind != "folded" and len(stack.rows):
            bins = stack_spectra([result.spectra[row] for row in stack.rows])
            band = np.nanmin(bins.e_min), np.nanmax(bins.e_max)
        _lines(ax, stack, band)
        draw.say(ax, draw.skipped(stack.skipped, len(result)))
    return ax.figure


# ---------------------------------------------------------------------------- parts


def _lines(ax, stack, band=None):
    """One line for each row of a stack, with a colour bar for the time."""
    from matplotlib.collections import LineCollection

    if not len(stack.rows):
        return
    values = np.where(stack.values > 0, stack.values, np.nan)
    inside = np.isfinite(stack.values)
    if band is not None:
        inside &= (stack.e_max > band[0]) & (stack.e_min < band[1])
        values = np.where(inside, values, np.nan)
    middle = 0.5 * (stack.e_min + stack.e_max)
    many = len(values) > draw.MANY
    timed = np.isfinite(stack.time)
    look = {"linewidths": 0.5 if many else 1.2, "alpha": 0.6 if many else 0.9, "rasterized": many}
    order = np.argsort(stack.time, kind="stable")
    for chosen, options in (
        (order[~timed[order]], {"colors": "0.55"}),
        (order[timed[order]], {"array": stack.time[order][timed[order]], "cmap": "viridis"}),
    ):
        if chosen.size:
            paths = np.stack([middle[chosen], values[chosen]], axis=-1)
            drawn = LineCollection(list(paths), **options, **look)
            ax.add_collection(drawn)
    if timed.any() and np.ptp(stack.time[timed]) > 0:
        bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02)
        bar.solids.set(alpha=1)
        bar.set_label("Start [MJD]")
        bar.formatter.set_useOffset(False)
    low, high = np.where(inside, stack.e_min, np.nan), np.where(inside, stack.e_max, np.nan)
    draw.energy_axis(ax, low, high, stack.has_energies)
    draw.flux_axis(ax, values)


def _outcome(result, row):
    """How well the model does, in a few words."""
    if isinstance(result, Posterior):
        return f"mode of {len(result)} draws"
    return draw.outcome(result, result.number(row))


def _label_axes(ax, arrays, spectrum):
    """Label both axes; "normalized" says, as in XSPEC, that AREASCAL divides the counts."""
    rate = labels.RATE if arrays.has_energies else labels.CHANNEL_RATE
    if np.any(np.asarray(spectrum.areascal) != 1.0):
        rate = f"Normalized {rate[0].lower()}{rate[1:]}"
    ax.set_xlabel(labels.ENERGY if arrays.has_energies else labels.CHANNEL)
    ax.set_ylabel(rate)


def _background(ax, arrays):
    """Draw the background if there is one; gives what has to fit on the axis."""
    if not (arrays.background > 0).any():
        return np.zeros(0)
    label = "background" + (" (subtracted)" if arrays.subtracted else "")
    values = np.where(arrays.background > 0, arrays.background, np.nan)
    draw.steps(ax, *arrays.edges, values, color="0.6", lw=0.9, label=label, zorder=2)
    return arrays.background


def _left_over(arrays, kind):
    """What the panel of the residuals shows: values, errors and how they are called."""
    if kind == "delchi":
        values = arrays.residuals
        return {"values": values, "errors": np.ones_like(values), "label": labels.DELCHI}
    if kind == "ratio":
        about_one = {"label": labels.RATIO, "middle": 1.0, "least": 0.05}
        return {"values": arrays.ratio, "errors": arrays.ratio_error} | about_one
    raise InputError(
        f"{kind!r} is not a choice", parameter="residuals", remedy="use 'delchi' or 'ratio'"
    )
