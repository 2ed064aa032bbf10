"""Radial profiles of data and models, alone and side by side."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.result import FitResult
from jaxspec.report import draw, labels, panels
from jaxspec.report.compared import profile_arrays
from jaxspec.report.image_checks import predictive_profile
from jaxspec.sample.posterior import Posterior

AREAS = ("pixel-1", "arcsec-2", "arcmin-2")
PREDICTED = "0.82"  # grey of what data are predicted to be
FAINT = 30.0  # a background fainter than the lowest data by more than this is off the axis


def profile(source, fig=None, *, row=0, draws=200, seed=0, **options):
    """Draw a radial profile with the model, its components, and the residuals below.

    The model is summed over the same pixels as the data. A posterior is shown by the model at its
    mode, the band that holds the model with 95 % (and 68 %) probability, and in grey the band
    in which 95 % of such data would lie.

    Parameters
    ----------
    source : FitResult, Posterior; or Image or RadialProfile, without model and residuals
    fig : matplotlib figure, optional; by default a new pyplot figure.
    row : int or name, of a FitResult.
    draws, seed : of the bands, see `jaxspec.report.image_checks.predictive_profile`.
    **options
        ``center, bins, n_bins, kind, unit`` and others of
        `jaxspec.report.compared.profile_arrays`.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    InputError
        As `profile_arrays`.

    Examples
    --------
    >>> import jaxspec as js
    >>> js.plot.profile(js.fit("beta", image), unit="arcsec")           # doctest: +SKIP
    """
    arrays, predicted = _arrays(source, row, draws, seed, options)
    with draw.style():
        if arrays.expected is None:
            fig = draw.figure_of(fig, (6.4, 4.4))
            upper = fig.subplots()
            _draw(upper, None, arrays, None)
        else:
            fig, ((upper,), (lower,)) = panels.panels(fig)
            _draw(upper, lower, arrays, predicted)
            upper.set_title(_outcome(source, row, predicted), fontsize=9, loc="right")
        upper.set_title(arrays.name, fontsize=9, loc="left")
        _limits([upper], [arrays])
    return fig


def compare(results, fig=None, *, draws=200, seed=0, **options):
    """Draw the profiles of several models of the same data side by side.

    Parameters
    ----------
    results : dict from name to Posterior, or to FitResult (of which the first row is shown)
        Above posteriors stand the deviance information criteria and their differences to the
        best; above fits the statistics.
    fig, draws, seed, **options : see `profile`; all panels have the annuli of the first.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    InputError
        Posteriors of different data, or less than two.
    """
    titles = _titles(results)
    found, center = [], options.pop("center", None)
    for source in results.values():
        found.append(_arrays(source, 0, draws, seed, options | {"center": center}))
        center = found[0][0].center if center is None else center
    with draw.style():
        fig, axes = panels.panels(fig, len(found), (0.8 + 4.6 * len(found), 5.4))
        for (upper, lower), (arrays, predicted), title in zip(axes.T, found, titles, strict=True):
            _draw(upper, lower, arrays, predicted)
            upper.set_title(title, fontsize=10)
            if upper is not axes[0, 0]:
                upper.set_ylabel("")
                lower.set_ylabel("")
        _limits(axes[0], [arrays for arrays, _ in found])
        reach = max(draw.reach(arrays.residuals, np.ones(1), 3.0) for arrays, _ in found)
        axes[1, 0].set_ylim(-reach, reach)
    return fig


# ---------------------------------------------------------------------------- parts


def _arrays(source, row, draws, seed, options):
    """Profile, and what is predicted for it if it is from a posterior."""
    if isinstance(source, Posterior):
        predicted = predictive_profile(source, draws, seed, **options)
        return predicted.profile, predicted
    return profile_arrays(source, row=row, **options), None


def _draw(upper, lower, arrays, predicted):
    edges = _left(arrays), arrays.edges[1]
    draw.points(upper, edges, arrays.data, arrays.error, x=arrays.x, label="data")
    upper.set_ylabel(_brightness_label(arrays))
    bottom = upper if lower is None else lower
    bottom.set_xlabel(f"Radius [{arrays.x_unit}]")
    if arrays.expected is None:
        return
    panels.model(upper, arrays.x, arrays.model, arrays.components, "total")
    errors = np.ones_like(arrays.x)
    panels.residuals(lower, edges, arrays.residuals, errors, labels.DELCHI, x=arrays.x)
    if predicted is None:
        return
    grey = {"color": PREDICTED, "lw": 0}
    panels.bands(upper, arrays.x, np.delete(predicted.model, 2, axis=0))
    label = "predicted data, 95 %"
    _band(upper, edges, predicted.replicated, label=label, zorder=0, **grey)
    _band(lower, edges, predicted.residuals, zorder=0, **grey)


def _band(ax, edges, quantiles, **look):
    """Outer two quantiles as a band with steps at the edges of the annuli."""
    x, low = draw.outline(*edges, quantiles[0])
    _, high = draw.outline(*edges, quantiles[-1])
    ax.fill_between(x, low, high, **look)


def _left(arrays):
    """Inner edges for a logarithmic axis, which has no zero."""
    return np.where(arrays.edges[0] > 0, arrays.edges[0], 0.6 * arrays.x)


def _limits(axes, all_arrays):
    """The same limits for all panels: data and models, a faint background, no wings of a core."""
    values = np.concatenate([a.data for a in all_arrays])
    errors = np.concatenate([a.error for a in all_arrays])
    models = [a.model for a in all_arrays if a.expected is not None]
    positive = values[np.isfinite(values) & (values > 0)]
    faint = [a.background for a in all_arrays if a.expected is not None]
    if positive.size:
        faint = [np.where(v > positive.min() / FAINT, v, np.nan) for v in faint]
    first, (ax, *_) = all_arrays[0], axes
    ax.set_xscale("log")
    ax.set_xlim(_left(first).min() / 1.03, first.edges[1].max() * 1.03)
    draw.plain_numbers(ax.xaxis)
    draw.flux_axis(ax, values, *models, *faint, errors=errors)
    for ax in axes:
        draw.legend(ax, least=2)


def _brightness_label(arrays):
    per = arrays.unit.removeprefix("ct ")  # "exposure-1 arcmin-2" of an exposure in no known unit
    name = "Counts" if per in AREAS and per != arrays.unit else "Surface brightness"
    return f"{name} [{labels.unit_text(arrays.unit)}]" if arrays.unit else name


def _outcome(source, row, predicted):
    """How well the model does, in a few words."""
    if predicted is not None:
        p, least = predicted.p_value, 1.0 / 200
        return f"posterior predictive p {f'< {least:g}' if p < least else f'= {p:.2f}'}"
    return draw.outcome(source, source.number(row))


def _titles(results):
    """Title of each panel: the criterion or the statistic, with the difference to the best."""
    if not isinstance(results, dict) or len(results) < 2:
        raise InputError(
            "a comparison takes a dict of two results or more",
            parameter="results",
            remedy='plot.compare({"single": a, "double": b})',
        )
    if all(isinstance(one, Posterior) for one in results.values()):
        from jaxspec.estimate.compare import compare as ranked

        found, what = ranked(results), "DIC"
        values = {name: float(found.results[name]) for name in results}
    elif all(isinstance(one, FitResult) for one in results.values()):
        what = next(iter(results.values())).stat_names[0]
        values = {name: float(one.stat[0]) for name, one in results.items()}
    else:
        raise InputError(
            "are not all posteriors, nor all fits", parameter="results", remedy="use one kind"
        )
    best = min(values.values())
    titles = []
    for name, value in values.items():
        more = rf", $\Delta${what} {value - best:.1f}" if value > best else " (lowest)"
        titles.append(f"{name}: {what} {value:.1f}{more}")
    return titles
