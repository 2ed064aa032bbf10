"""What all figures share: the style, new axes, limits that fit the data, error bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: Style file of the figures, for ``matplotlib.style.use``.
STYLE = str(Path(__file__).with_name("jaxspec.mplstyle"))

DECADES = 6.0  # a logarithmic axis reaches no further below its highest point
MANY = 20  # lines from which on they are thin, transparent and rasterised


def style():
    """Context in which the artists of one figure are made."""
    from matplotlib.style import context

    return context(STYLE)


def figure_of(fig, size):
    """``fig``, or a new pyplot figure of this size in inches."""
    if fig is not None:
        return fig
    from matplotlib.pyplot import figure

    return figure(figsize=size)


def axes_of(ax, size=(6.4, 4.4)):
    """``ax``, or the axes of a new pyplot figure."""
    return figure_of(None, size).add_subplot() if ax is None else ax


def plain_numbers(axis):
    """Write 0.1, 3, 20 at the ticks of a logarithmic axis; minor ones where it spans little."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else np.inf
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    if decades < 1.7:
        subs = (2, 3, 5, 7) if decades < 1.0 else (2, 5)
        axis.set_minor_locator(LogLocator(subs=np.arange(2, 10)))
        axis.set_minor_formatter(
            FuncFormatter(lambda x, _: f"{x:g}" if _leading(x) in subs else "")
        )
    else:
        axis.set_minor_formatter(NullFormatter())


def _leading(x):
    return round(x / 10 ** np.floor(np.log10(x) + 1e-9)) if x > 0 else 0


def energy_axis(ax, e_min, e_max, has_energies=True):
    """Limits, scale and ticks of the x axis: logarithmic over 1.5 octaves and more."""
    low, high = np.nanmin(e_min), np.nanmax(e_max)
    positive = e_max[np.isfinite(e_max) & (e_max > 0)]
    if has_energies and positive.size and high > 2.8 * max(low, 0.0):
        low = max(low, 0.3 * positive.min())
        ax.set_xscale("log")
        ax.set_xlim(low / 1.03, high * 1.03)
        plain_numbers(ax.xaxis)
    else:
        pad = 0.02 * (high - low)
        ax.set_xlim(low - pad, high + pad)


def flux_axis(ax, *values, errors=None):
    """Logarithmic y axis around the positive values; linear where there are none."""
    positive = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in map(np.ravel, values)])
    if not positive.size:
        return
    low, high = positive.min(), positive.max()
    if positive.size > 50:  # a few bins that happen to be almost empty do not stretch the axis
        low = np.percentile(positive, 0.5)
    if errors is not None:
        ends = np.ravel(values[0] + errors)
        high = max(high, np.nanmax(np.where(np.isfinite(ends), ends, -np.inf)))
    low = max(low, high * 10**-DECADES)
    span = max(np.log10(high / low), 0.3)
    ax.set_yscale("log", nonpositive="clip")
    ax.set_ylim(low * 10 ** (-0.08 * span), high * 10 ** (0.08 * span))
    if span < 2.0:
        plain_numbers(ax.yaxis)


def points(ax, arrays, values, errors, **options):
    """Crosses: one error upwards and downwards, half a bin to the sides."""
    options = {"fmt": "o", "ms": 2.2, "lw": 0.9, "color": "0.15", "zorder": 3} | options
    if len(values) > 200:
        options |= {"ms": 1.2, "lw": 0.6}
    errors = np.where(np.isfinite(errors), errors, 0.0)
    return ax.errorbar(
        arrays.energy, values, yerr=errors, xerr=arrays.half_width, gid="data", **options
    )


def steps(ax, e_min, e_max, values, **options):
    """Histogram line over bins; gaps between bins stay open."""
    x, y = outline(e_min, e_max, values)
    return ax.plot(x, y, **options)[0]


def outline(e_min, e_max, values):
    """Corners of a histogram, with NaN where bins do not touch."""
    x = np.column_stack([e_min, e_max, e_max]).ravel()
    y = np.column_stack([values, values, values]).ravel()
    gap = e_min[1:] > e_max[:-1] + 1e-3 * (e_max - e_min)[1:]
    y[2::3] = np.where(np.append(gap, True), np.nan, y[2::3])
    return x, y


def residual_panel(ax, arrays, kind):
    """Deviations of data from model: "delchi" or "ratio"."""
    from jaxspec.errors import InputError
    from jaxspec.report import labels

    if kind == "delchi":
        values, errors, middle = arrays.delchi, np.ones_like(arrays.delchi), 0.0
        label = labels.DELCHI
    elif kind == "ratio":
        values, errors, middle = arrays.ratio, arrays.ratio_error, 1.0
        label = labels.RATIO
    else:
        raise InputError(
            f"{kind!r} is not a choice", parameter="residuals", remedy="use 'delchi' or 'ratio'"
        )
    ax.axhline(middle, color="C1", lw=1.0, zorder=1)
    points(ax, arrays, values, errors)
    ax.set_ylabel(label)
    far = np.abs(values - middle)[np.isfinite(values)]
    if far.size:
        reach = (np.percentile(far, 99) if far.size > 50 else far.max()) * 1.15
        error = np.nanmedian(errors) if np.isfinite(errors).any() else 0.0
        reach = max(reach + error, 3.0 if kind == "delchi" else 0.05)
        ax.set_ylim(middle - reach, middle + reach)


def say(ax, text):
    """Small remark above the axes, on the left."""
    if text:
        ax.set_title(text, fontsize=8, color="0.35", loc="left")


def skipped(n, total, why="without a usable fit"):
    """Remark on what is not shown; blank if nothing is."""
    return f"{n} of {total} rows not shown ({why})" if n else ""
