"""Figures of a result: distributions of the parameters, and the parameters in time."""

from __future__ import annotations

import numpy as np

from jaxspec._status import Status
from jaxspec._types import Spectrum, mjd_start
from jaxspec.report import draw
from jaxspec.report.labels import parameter_label

MAX_COLUMNS = 3
FEW = 10  # values up to which the axis holds all of them
#: Mark of each status that has values.
MARKS = {
    Status.OK: {"marker": "o", "mfc": "C0", "mec": "C0", "label": "OK"},
    Status.AT_LIMIT: {"marker": "v", "mfc": "none", "mec": "C1", "label": "AT_LIMIT"},
    Status.HESSIAN_NOT_PD: {"marker": "s", "mfc": "none", "mec": "C3", "label": "HESSIAN_NOT_PD"},
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
    names = list(result.columns if names is None else names)
    lines, columns = _layout(len(names))
    usable = _usable(result)
    with draw.style():
        fig = draw.figure_of(fig, histogram_size(len(names)))
        grid = fig.subplots(lines, columns, squeeze=False).ravel()
        for ax, name in zip(grid, names, strict=False):
            _histogram(ax, result.value(name)[usable], result.error(name)[usable])
            ax.set_xlabel(parameter_label(_parameter(result, name), name))
        for ax in grid[len(names) :]:
            ax.set_axis_off()
        for ax in grid[::columns]:
            ax.set_ylabel("Spectra")
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
    names = list(result.columns if names is None else names)
    time, timed = times(result)
    usable = _usable(result) & np.isfinite(time)
    with draw.style():
        fig = draw.figure_of(fig, timeline_size(len(names)))
        panels = fig.subplots(max(len(names), 1), 1, sharex=True, squeeze=False).ravel()
        for ax, name in zip(panels, names, strict=False):
            _against_time(ax, result, time, usable, name)
            ax.set_ylabel(parameter_label(_parameter(result, name), name).replace(" [", "\n["))
        failed = ~_usable(result) & np.isfinite(time)
        if failed.any():
            edge = panels[0].get_xaxis_transform()
            panels[0].plot(
                time[failed],
                np.full(failed.sum(), 0.06),
                "x",
                color="C1",
                ms=5,
                transform=edge,
                label="no usable fit",
                clip_on=False,
                zorder=5,
            )
        _legend(panels, 1.24 if timed else 1.0)
        panels[-1].set_xlabel("Start of the observation [MJD]" if timed else "Row")
        if timed and usable.any():
            _years(panels[0])
            panels[-1].ticklabel_format(axis="x", useOffset=False, style="plain")
        fig.align_ylabels(panels)
        _remark(fig, _absent(result, time, failed))
    return fig


def histogram_size(n):
    """Inches (width, height) that suit ``n`` histograms."""
    lines, columns = _layout(n)
    return 3.3 * columns + 0.4, 2.9 * lines + 0.3


def timeline_size(n):
    """Inches (width, height) that suit ``n`` parameters in time."""
    return 7.6, 1.3 + 1.7 * max(n, 1)


def times(result):
    """MJD of each row, NaN where unknown; the number of the row if no time is known at all.

    Returns
    -------
    time : (n_row,) float64
    timed : bool, whether they are times.
    """
    time = np.array(
        [mjd_start(s.header or {}) if isinstance(s, Spectrum) else np.nan for s in result.spectra],
        dtype=float,
    )
    if np.isfinite(time).any():
        return time, True
    return np.arange(len(time), dtype=float), False


# ---------------------------------------------------------------------------- parts


def _layout(n):
    """Lines and columns for n panels."""
    columns = 2 if n == 4 else min(MAX_COLUMNS, max(n, 1))
    return max(1, -(-n // columns)), columns


def _histogram(ax, values, errors):
    finite = values[np.isfinite(values)]
    if not finite.size:
        draw.say(ax, "no usable row")
        return
    low, high, log = axis_range(finite, errors)
    inside = finite[(finite >= low) & (finite <= high)]
    count = int(np.clip(2.0 * len(inside) ** 0.5, 5, 40))
    edges = np.geomspace(low, high, count + 1) if log else np.linspace(low, high, count + 1)
    ax.hist(inside, edges, histtype="stepfilled", fc=(0.0, 0.447, 0.698, 0.35), ec="C0", lw=1.2)
    before, middle, after = np.percentile(finite, [16, 50, 84])
    ax.axvspan(max(before, low), min(after, high), color="C4", alpha=0.18, lw=0, zorder=0)
    ax.axvline(middle, color="C1", lw=1.2)
    if log:
        ax.set_xscale("log")
    else:
        ax.locator_params(axis="x", nbins=5)
    ax.set_xlim(low, high)
    ax.set_ylim(0, 1.18 * ax.get_ylim()[1])
    known = errors[np.isfinite(errors)]
    if known.size and not log and np.median(known) < 0.5 * (high - low):
        place = np.clip(middle, low + np.median(known), high - np.median(known))
        ax.errorbar(
            [place],
            [0.93],
            xerr=[np.median(known)],
            transform=ax.get_xaxis_transform(),
            color="0.2",
            capsize=2,
            lw=1.0,
        )
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
    for status, mark in MARKS.items():
        mine = shown & (result.status == status) & (value >= low) & (value <= high)
        if (shown & (result.status == status)).any():
            look = {"ms": 2.4 if small else 4.0, "mew": 0.8, "elinewidth": 0.6, "ls": "none"}
            bars = np.where(np.isfinite(error), error, 0.0)[mine]
            ax.errorbar(time[mine], value[mine], bars, ecolor="0.6", zorder=3, **look, **mark)
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
        panels[0].legend(
            marks.values(),
            marks.keys(),
            loc="lower right",
            bbox_to_anchor=(1.0, up),
            ncols=len(marks),
            borderaxespad=0.2,
            columnspacing=1.2,
            handletextpad=0.2,
        )


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


def _usable(result):
    return np.isin(result.status, result.USABLE)


def _parameter(result, name):
    place = result.columns.index(name) if name in result.columns else None
    free = [p for p in result.model.parameters if not p.frozen]
    return free[place] if place is not None else result.model[name]
