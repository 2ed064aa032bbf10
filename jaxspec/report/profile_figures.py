"""Radial profiles of data and models, alone and side by side."""

from __future__ import annotations

import re

import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.result import FitResult
from jaxspec.report import draw
from jaxspec.report.image_arrays import profile_arrays
from jaxspec.report.image_checks import predictive_profile
from jaxspec.sample.posterior import Posterior

SIZE = (6.4, 5.6)
RESIDUALS = r"(data$-$model)/$\sigma$"
PREDICTED = "0.82"  # grey of what data are predicted to be
FAINT = 30.0  # a background fainter than the lowest data by more than this is off the axis
_COMPONENT_LINES = ((0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1)))


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
        `jaxspec.report.image_arrays.profile_arrays`.

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
        fig = draw.figure_of(fig, SIZE if arrays.expected is not None else (6.4, 4.4))
        if arrays.expected is None:
            upper = fig.subplots()
            _draw(upper, None, arrays, None)
        else:
            upper, lower = fig.subplots(2, 1, sharex=True, gridspec_kw=_GRID)
            _close_gap(fig)
            _draw(upper, lower, arrays, predicted)
            upper.set_title(_outcome(source, row, predicted), fontsize=9, loc="right")
            fig.align_ylabels([upper, lower])
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
        fig = draw.figure_of(fig, compare_size(len(found)))
        axes = fig.subplots(2, len(found), sharex=True, sharey="row", gridspec_kw=_GRID)
        _close_gap(fig)
        for (upper, lower), (arrays, predicted), title in zip(axes.T, found, titles, strict=True):
            _draw(upper, lower, arrays, predicted)
            upper.set_title(title, fontsize=10)
            if upper is not axes[0, 0]:
                upper.set_ylabel("")
                lower.set_ylabel("")
        _limits(axes[0], [arrays for arrays, _ in found])
        reach = max(_reach(arrays) for arrays, _ in found)
        axes[1, 0].set_ylim(-reach, reach)
        fig.align_ylabels(axes[:, 0])
    return fig


def compare_size(n):
    """Inches (width, height) that suit ``n`` models."""
    return 0.8 + 4.6 * n, 5.4


def unit_label(unit):
    """Unit in mathematics.

    Examples
    --------
    >>> unit_label("ct s-1 cm-2 arcmin-2")
    'ct s$^{-1}$ cm$^{-2}$ arcmin$^{-2}$'
    >>> unit_label("ct / (s cm2 pixel)")
    'ct s$^{-1}$ cm$^{-2}$ pixel$^{-1}$'
    """
    above, _, below = unit.partition(" / ")
    inverse = [re.sub(r"(?<=[a-z])$", "1", w) for w in below.strip("()").split()]
    inverse = [re.sub(r"(\d+)$", r"-\1", w) for w in inverse]
    return re.sub(r"(?<=[a-z])(-?\d+)", r"$^{\1}$", " ".join([above, *inverse]))


# ---------------------------------------------------------------------------- parts

_GRID = {"height_ratios": [3, 1.15], "hspace": 0.0}


def _arrays(source, row, draws, seed, options):
    """Profile, and what is predicted for it if it is from a posterior."""
    if isinstance(source, Posterior):
        predicted = predictive_profile(source, draws, seed, **options)
        return predicted.profile, predicted
    return profile_arrays(source, row=row, **options), None


def _draw(upper, lower, arrays, predicted):
    x = arrays.r
    wide = np.maximum([x - _left(arrays), arrays.r_hi - x], 0.0)
    points = {"fmt": "o", "ms": 2.6, "lw": 0.9, "color": "0.1", "zorder": 5, "gid": "data"}
    upper.errorbar(x, arrays.data, yerr=arrays.error, xerr=wide, label="data", **points)
    upper.set_xscale("log")
    upper.set_ylabel(_brightness_label(arrays))
    bottom = upper if lower is None else lower
    bottom.set_xlabel(f"Radius [{arrays.r_unit}]")
    if arrays.expected is None:
        return
    _model(upper, arrays, predicted)
    lower.axhline(0.0, color="C0", lw=1.0, zorder=1)
    if predicted is not None:
        _band(lower, arrays, predicted.residuals, color=PREDICTED, lw=0, zorder=0)
    lower.errorbar(x, arrays.residuals, yerr=np.ones_like(x), xerr=wide, **points)
    lower.set_ylabel(RESIDUALS)
    reach = _reach(arrays)
    lower.set_ylim(-reach, reach)


def _model(ax, arrays, predicted):
    """Components dashed, the whole as a line, with the bands of a posterior."""
    for i, (name, values) in enumerate(arrays.components.items()):
        style = _COMPONENT_LINES[i % len(_COMPONENT_LINES)]
        color = f"C{i % 6 + 1}"
        ax.plot(arrays.r, values, color=color, ls=style, lw=1.2, zorder=3, label=name)
    ax.plot(arrays.r, arrays.model, color="C0", lw=1.4, zorder=4, label="total")
    if predicted is not None:
        low, inner_low, _, inner_high, high = predicted.model
        ax.fill_between(arrays.r, low, high, color="C0", alpha=0.25, lw=0, zorder=2)
        ax.fill_between(
            arrays.r, inner_low, inner_high, color="C0", alpha=0.45, lw=0, zorder=2,
            label="model, 68 and 95 %",
        )  # fmt: skip
        label = "predicted data, 95 %"
        _band(ax, arrays, predicted.replicated, color=PREDICTED, lw=0, zorder=0, label=label)


def _band(ax, arrays, quantiles, **look):
    """Outer two quantiles as a band with steps at the edges of the annuli."""
    x, low = draw.outline(_left(arrays), arrays.r_hi, quantiles[0])
    _, high = draw.outline(_left(arrays), arrays.r_hi, quantiles[-1])
    ax.fill_between(x, low, high, **look)


def _left(arrays):
    """Inner edges for a logarithmic axis, which has no zero."""
    return np.where(arrays.r_lo > 0, arrays.r_lo, 0.6 * arrays.r)


def _reach(arrays):
    """Sigma up to which the residuals are shown."""
    far = np.abs(arrays.residuals)[np.isfinite(arrays.residuals)]
    return max(3.5, 1.1 * (far.max() + 1.0)) if far.size else 3.5


def _limits(axes, all_arrays):
    """The same limits for all panels: data and models, a faint background, no wings of a core."""
    kept, faint = [], []
    for arrays in all_arrays:
        kept += [arrays.data, arrays.data + arrays.error]
        kept += [] if arrays.expected is None else [arrays.model]
        faint += [v for name, v in arrays.components.items() if name == "background"]
    kept, faint = (np.concatenate([*v, []]) for v in (kept, faint))
    kept, faint = (v[np.isfinite(v) & (v > 0)] for v in (kept, faint))
    first = all_arrays[0]
    axes[0].set_xlim(_left(first).min() / 1.05, first.r_hi.max() * 1.05)
    draw.plain_numbers(axes[0].xaxis)
    if kept.size:
        low, high = max(kept.min(), kept.max() * 10**-draw.DECADES), kept.max()
        low = min([low, *faint[faint > low / FAINT]])
        for ax in axes:
            ax.set_yscale("log", nonpositive="clip")
        axes[0].set_ylim(low / 2.0, high * 1.6)
    for ax in axes:
        _legend(ax)


def _legend(ax):
    """Legend with the data first, and without lines that are off the axis."""
    bottom = ax.get_ylim()[0]
    hidden = [line for line in ax.lines if np.nanmax(line.get_ydata(), initial=0.0) < bottom]
    handles, names = ax.get_legend_handles_labels()
    shown = [(h, n) for h, n in zip(handles, names, strict=True) if h not in hidden]
    if len(shown) > 1:
        ax.legend(*zip(*sorted(shown, key=lambda pair: pair[1] != "data"), strict=True))


def _brightness_label(arrays):
    name = "Counts" if arrays.unit.startswith("ct") and " s-1" not in arrays.unit else None
    name = name or "Surface brightness"
    return f"{name} [{unit_label(arrays.unit)}]" if arrays.unit else name


def _outcome(source, row, predicted):
    """How well the model does, in a few words."""
    if predicted is not None:
        p, least = predicted.p_value, 1.0 / 200
        return f"posterior predictive p {f'< {least:g}' if p < least else f'= {p:.2f}'}"
    row = source.names.index(row) if isinstance(row, str) else row
    return f"{source.stat_names[row]} {source.stat[row]:.1f} / {source.dof[row]} dof"


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


def _close_gap(fig):
    engine = getattr(fig, "get_layout_engine", lambda: None)()
    if engine is not None and "hspace" in engine.get():
        engine.set(hspace=0.0, h_pad=0.0)
