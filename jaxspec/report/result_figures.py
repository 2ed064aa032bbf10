"""Figures of a result: distributions of the parameters, and the parameters in time."""

from __future__ import annotations

import numpy as np

from jaxspec._status import Status
from jaxspec._types import start_times
from jaxspec.report import draw
from jaxspec.report.fitted import need_fit
from jaxspec.report.labels import parameter_label, parameter_of

FEW = 10  # values up to which the axis holds all of them
#: Mark of each status that has values: marker, colour in the cycle of the style, filled.
MARKS = {
    Status.OK: ("o", 0, True),
    Status.AT_LIMIT: ("v", 1, False),
    Status.HESSIAN_NOT_PD: ("s", 3, False),
    Status.DEGENERATE: ("P", 3, False),
}


def histograms(result, fig=None, *, names=None):
    """Draw the distribution of each fitted parameter over the usable rows.

    The line is the median, the band holds the middle 68 %; the bar above shows the typical (median)
    error of one row to both sides.

    Parameters
    ----------
    result : FitResult
    fig : matplotlib figure, optional; by default a new pyplot figure.
    names : list of str, optional; the parameters, by default all that were not frozen.

    Returns
    -------
    matplotlib figure
    """
    need_fit(result)
    names = list(result.columns if names is None else names)
    lines, columns = draw.grid_of(len(names), 2 if len(names) == 4 else 3)
    usable = result.usable
    with draw.style():
        fig = draw.figure_of(fig, (3.3 * columns + 0.4, 2.9 * lines + 0.3))
        grid = fig.subplots(lines, columns, squeeze=False).ravel()
        for ax, name in zip(grid, names, strict=False):
            _histogram(ax, result.value(name)[usable], result.error(name)[usable])
            ax.set_xlabel(_label(result, name))
        for ax in grid[len(names) :]:
            ax.set_axis_off()
        for ax in grid[::columns]:
            ax.set_ylabel("Spectra")
        _legend(grid[: len(names)], 1.1 if grid[0].get_title("left") else 1.0)
        _remark(fig, draw.skipped(int((~usable).sum()), len(result)))
    return fig


def timeline(result, fig=None, *, names=None):
    """Draw each fitted parameter against time, with errors and a mark for the status.

    Rows without a usable fit are crosses at the bottom of the first panel. Values far from all
    others are arrows at the edge. Without times in the files, the number of the row stands in.

    Parameters
    ----------
    result : FitResult
    fig : matplotlib figure, optional; by default a new pyplot figure.
    names : list of str, optional; the parameters, by default all that were not frozen.

    Returns
    -------
    matplotlib figure
    """
    need_fit(result)
    names = list(result.columns if names is None else names)
    time = start_times(result.spectra)
    timed = bool(np.isfinite(time).any())
    time = time if timed else np.arange(len(time), dtype=float)
    fitted = result.usable
    usable, failed = fitted & np.isfinite(time), ~fitted & np.isfinite(time)
    with draw.style():
        fig = draw.figure_of(fig, (7.6, 1.3 + 1.7 * max(len(names), 1)))
        panels = fig.subplots(max(len(names), 1), 1, sharex=True, squeeze=False).ravel()
        for ax, name in zip(panels, names, strict=False):
            _against_time(ax, result, time, usable, name)
            ax.set_ylabel(_label(result, name).replace(" [", "\n["))
        if failed.any():
            edge = {"transform": panels[0].get_xaxis_transform(), "clip_on": False, "zorder": 5}
            look = {"color": draw.color(1), "ms": 5, "label": "no usable fit"} | edge
            panels[0].plot(time[failed], np.full(failed.sum(), 0.06), "x", **look)
        _legend(panels, 1.24 if timed else 1.0)
        panels[-1].set_xlabel("Start of the observation [MJD]" if timed else "Row")
        if timed and usable.any():
            _years(panels[0])
            panels[-1].ticklabel_format(axis="x", useOffset=False, style="plain")
        fig.align_ylabels(panels)
        _remark(fig, _absent(result, time, failed))
    return fig


# ---------------------------------------------------------------------------- parts


def _histogram(ax, values, errors):
    finite = values[np.isfinite(values)]
    if not finite.size:
        draw.say(ax, "no usable row")
        return
    low, high, log = axis_range(finite, errors)
    inside = finite[(finite >= low) & (finite <= high)]
    count = int(np.clip(2.0 * len(inside) ** 0.5, 5, 40))
    edges = np.geomspace(low, high, count + 1) if log else np.linspace(low, high, count + 1)
    blue = draw.color(0)
    ax.hist(inside, edges, histtype="stepfilled", fc=(blue, 0.35), ec=blue, lw=1.2)
    before, middle, after = np.percentile(finite, [16, 50, 84])
    ax.axvspan(max(before, low), min(after, high), color=draw.color(4), alpha=0.18, lw=0, zorder=0,
               label="middle 68 %")  # fmt: skip
    ax.axvline(middle, color=draw.color(1), lw=1.2, label="median")
    if log:
        ax.set_xscale("log")
    else:
        ax.locator_params(axis="x", nbins=5)
    ax.set_xlim(low, high)
    ax.set_ylim(0, 1.18 * ax.get_ylim()[1])
    known = errors[np.isfinite(errors)]
    if known.size and not log and np.median(known) < 0.5 * (high - low):
        place = np.clip(middle, low + np.median(known), high - np.median(known))
        look = {"color": "0.2", "capsize": 2, "lw": 1.0, "transform": ax.get_xaxis_transform()}
        look["label"] = "typical error of a row"
        ax.errorbar([place], [0.93], xerr=[np.median(known)], **look)
    ax.yaxis.get_major_locator().set_params(integer=True)
    beyond = len(finite) - len(inside)
    draw.say(ax, f"{beyond} off the axis" if beyond else "")


def axis_range(values, errors=None):
    """Limits (low, high) and whether to use a logarithmic axis, for one parameter.

    The range holds all values unless a few lie far from the rest: beyond the 5th or 95th percentile
    by more than the distance between these two.
    """
    low, high = np.percentile(values, [5, 95])
    log = bool(low > 0 and high / low > 30)
    scaled = np.log(values[values > 0]) if log else values
    low, high = np.percentile(scaled, [5, 95])
    known = np.zeros(1) if errors is None or log else errors[np.isfinite(errors)]
    typical = np.median(known) if known.size else 0.0
    reach = max(high - low, typical)
    if reach <= 0:
        reach = 0.05 * abs(low) or 1.0
    if len(values) > FEW:
        near = scaled[(scaled >= low - reach) & (scaled <= high + reach)]
        low, high = near.min(), near.max()
    else:
        room = max(0.3 * reach, 1.3 * typical)
        low, high = scaled.min() - room, scaled.max() + room
    if high - low <= 0:
        low, high = low - reach, high + reach
    pad = 0.04 * (high - low)
    low, high = low - pad, high + pad
    return (np.exp(low), np.exp(high), True) if log else (low, high, False)


def _against_time(ax, result, time, usable, name):
    value, error = result.value(name), result.error(name)
    shown = usable & np.isfinite(value)
    if not shown.any():
        draw.say(ax, "no usable row")
        return
    low, high, log = axis_range(value[shown], error[shown])
    if log:
        ax.set_yscale("log", nonpositive="clip")
    small = shown.sum() > 60
    for status, (marker, i, filled) in MARKS.items():
        own = shown & (result.status == status)
        if own.any():
            mine = own & (value >= low) & (value <= high)
            bars = np.where(np.isfinite(error), error, 0.0)[mine]
            color = draw.color(i)
            look = {"marker": marker, "mec": color, "mfc": color if filled else "none"}
            look |= {"ms": 2.4 if small else 4.0, "mew": 0.8, "elinewidth": 0.6, "ls": "none"}
            look |= {"ecolor": "0.6", "zorder": 3, "label": status.name}
            ax.errorbar(time[mine], value[mine], bars, **look)
    for beyond, place, marker in ((value < low, 0.03, "v"), (value > high, 0.97, "^")):
        out = shown & beyond
        if out.any():
            edge = {"transform": ax.get_xaxis_transform(), "label": "off the axis"}
            ax.plot(time[out], np.full(out.sum(), place), marker, color="0.5", ms=3.5, **edge)
    ax.set_ylim(low, high)


def _legend(panels, up):
    """One legend above the first panel for the marks of all."""
    marks = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            marks.setdefault(label, handle)
    if marks:
        place = {"loc": "lower right", "bbox_to_anchor": (1.0, up), "ncols": len(marks)}
        tight = {"borderaxespad": 0.2, "columnspacing": 1.2, "handletextpad": 0.2}
        panels[0].legend(marks.values(), marks.keys(), **place, **tight)


def _years(ax):
    """Calendar years along the top."""

    def year(mjd):
        return 2000.0 + (np.asarray(mjd) - 51544.0) / 365.25

    def mjd(year):
        return 51544.0 + (np.asarray(year) - 2000.0) * 365.25

    ax.tick_params(top=False, which="both")
    top = ax.secondary_xaxis("top", functions=(year, mjd))
    top.set_xlabel("Year")
    top.ticklabel_format(useOffset=False, style="plain")


def _absent(result, time, failed):
    unknown = ~np.isfinite(time)
    parts = [f"{failed.sum()} of {len(result)} rows have no usable fit" if failed.any() else ""]
    parts.append(draw.skipped(int(unknown.sum()), len(result), "time unknown or file unreadable"))
    return "; ".join(part for part in parts if part)


def _remark(fig, text):
    if text:
        fig.supxlabel(text, fontsize=8, color="0.35", x=0.01, ha="left")


def _label(result, name):
    return parameter_label(parameter_of(result.model, result.columns, name), name)
