"""What all figures share: the style, new figures, colours, axes that fit the data, legends."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np

#: Style file of the figures, for ``matplotlib.style.use``.
STYLE = str(Path(__file__).with_name("jaxspec.mplstyle"))

DECADES = 6.0  # a logarithmic axis reaches no further below its highest point
MANY = 20  # lines from which on they are thin, transparent and rasterised
COLOURS = 7  # in the cycle of the style

_off_screen = ContextVar("jaxspec figures off screen", default=False)


@contextmanager
def style():
    """Context in which the artists of one figure are made."""
    from matplotlib import rcParams
    from matplotlib.style import context

    interactive = rcParams["interactive"]
    try:
        with context(STYLE):
            try:
                yield
            finally:
                # the first figure of a notebook starts its backend, which switches this on for
                # all figures to come; the context would switch it off again
                interactive = rcParams["interactive"]
    finally:
        rcParams["interactive"] = interactive


@contextmanager
def off_screen():
    """Context in which new figures do without pyplot, its state and its windows."""
    token = _off_screen.set(True)
    try:
        yield
    finally:
        _off_screen.reset(token)


def figure_of(fig, size):
    """``fig``, or a new figure of this size in inches: of pyplot unless `off_screen`."""
    if fig is not None:
        return fig
    if _off_screen.get():
        from matplotlib.figure import Figure

        return Figure(figsize=size)
    from matplotlib.pyplot import figure

    return figure(figsize=size)


def axes_of(ax, size=(6.4, 4.4)):
    """``ax``, or the axes of a new figure."""
    return figure_of(None, size).add_subplot() if ax is None else ax


def color(i):
    """Colour ``i`` of the style as text.

    The name "C0" would be looked up when the figure is drawn, where the style does not hold.
    """
    from matplotlib.colors import to_hex

    return to_hex(f"C{i % COLOURS}")


def grid_of(n, columns):
    """Lines and columns of ``n`` panels in so many columns, at least one of each."""
    columns = max(min(n, columns), 1)
    return max(-(-n // columns), 1), columns


def power_of(values):
    """Power of ten to take out of the values, 0 where they are handy."""
    values = np.asarray(values, float)
    size = np.max(np.abs(values[np.isfinite(values)]), initial=0.0)
    power = int(np.floor(np.log10(size))) if size > 0 else 0
    return 0 if -2 <= power <= 4 else power


def plain_numbers(axis):
    """Write 0.1, 3, 20 at the ticks of a logarithmic axis; minor ones where it spans little."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else np.inf
    subs = () if decades >= 1.7 else (2, 5) if decades >= 1.0 else (2, 3, 5, 7)
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())
    if not subs:
        return
    axis.set_minor_locator(LogLocator(subs=np.arange(2, 10)))
    scales = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high) + 1)
    if np.sum([(low <= m * scales) & (m * scales <= high) for m in (1, *subs)]) < 2:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))  # as from 7 to 10
        return
    axis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:g}" if _leading(x) in subs else ""))


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


def points(ax, edges, values, errors, x=None, **options):
    """Crosses: one error upwards and downwards, to the edges (low, high) of the bin sideways."""
    options = {"fmt": "o", "ms": 2.4, "lw": 0.9, "color": "0.12", "zorder": 5} | options
    if len(values) > 200:
        options |= {"ms": 1.2, "lw": 0.6}
    low, high = edges
    x = 0.5 * (low + high) if x is None else x
    sideways = np.maximum([x - low, high - x], 0.0)
    errors = np.where(np.isfinite(errors), errors, 0.0)
    return ax.errorbar(x, values, yerr=errors, xerr=sideways, gid="data", **options)


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


def reach(values, errors, least):
    """How far the deviations ``values`` and their errors reach to both sides of zero."""
    far = np.abs(values)[np.isfinite(values)]
    if not far.size:
        return least
    error = np.nanmedian(errors) if np.isfinite(errors).any() else 0.0
    return max((np.percentile(far, 99) if far.size > 50 else far.max()) * 1.15 + error, least)


def legend(ax, least=1):
    """Legend with the data first, without lines off the axis; none below ``least`` entries."""
    bottom = ax.get_ylim()[0]
    shown = [
        (handle, name)
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
        if not hasattr(handle, "get_ydata") or np.nanmax(handle.get_ydata(), initial=0) >= bottom
    ]
    if len(shown) >= least:
        data_first = sorted(shown, key=lambda pair: not hasattr(pair[0], "has_yerr"))
        _make_room(ax, ax.legend(*zip(*data_first, strict=True)))


def _make_room(ax, made):
    """Raise the top of the axes where data lie under the legend, error bars among them."""
    box = made.get_window_extent()
    drawn = [(line.get_path(), line.get_transform()) for line in ax.lines]
    for group in ax.collections:
        drawn += [(path, group.get_transform()) for path in group.get_paths()]
    if not any(p.transformed(to).intersects_bbox(box, filled=False) for p, to in drawn):
        return
    share = 1.0 - min(box.height / ax.bbox.height + 0.05, 0.5)
    low, high = ax.get_ylim()
    log = ax.get_yscale() == "log"
    ax.set_ylim(low, low * (high / low) ** (1 / share) if log else low + (high - low) / share)
    made.set_loc("upper right")


def outcome(result, row):
    """How well the model of a row does, in a few words."""
    from jaxspec._status import Status

    # parameters of a joint fit belong to no row
    of = f"{result.n_bins[row]} bins" if result.joint else f"{result.dof[row]} dof"
    text = f"{result.stat_names[row]} {result.stat[row]:.1f} / {of}"
    status = Status(result.status[row])
    return text if status == Status.OK else f"{text}, {status.name}"


def say(ax, text):
    """Small remark above the axes, on the left."""
    if text:
        ax.set_title(text, fontsize=8, color="0.35", loc="left")


def skipped(n, total, why="without a usable fit"):
    """Remark on what is not shown; blank if nothing is."""
    return f"{n} of {total} rows not shown ({why})" if n else ""
