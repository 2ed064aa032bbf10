"""Data with a model above, and what the model leaves over below."""

from __future__ import annotations

import numpy as np

from jaxspec.report import draw

SIZE = (6.4, 5.6)
LINES = ((0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1)))


def panels(fig, columns=1, size=SIZE):
    """Figure and axes (2, columns): data above residuals without a gap, with common axes."""
    fig = draw.figure_of(fig, size)
    room = {"height_ratios": [3, 1.15], "hspace": 0.0}
    share = {"sharex": True, "sharey": "row", "squeeze": False}
    axes = fig.subplots(2, columns, gridspec_kw=room, **share)
    engine = getattr(fig, "get_layout_engine", lambda: None)()
    if engine is not None and "hspace" in engine.get():
        engine.set(hspace=0.0, h_pad=0.0)
    for ax in axes[0]:
        ax.tick_params(labelbottom=False, which="both")
    fig.align_ylabels(axes[:, 0])
    return fig, axes


def model(ax, x, whole, parts, label, edges=None):
    """Draw a model and, if there are several, its parts dashed.

    Parameters
    ----------
    ax : matplotlib axes
    x : (n,), where its values are.
    whole : (n,)
    parts : dict of name to (n,)
    label : str, of the whole.
    edges : (low, high), (n,) each, optional; then it is drawn in steps.
    """

    def line(values, **look):
        if edges is None:
            ax.plot(x, values, **look)
        else:
            draw.steps(ax, *edges, values, **look)

    line(whole, color=draw.color(0), lw=1.4, zorder=4, label=label)
    for i, (name, part) in enumerate(parts.items() if len(parts) > 1 else ()):
        look = {"color": draw.color(i % 6 + 1), "ls": LINES[i % len(LINES)]}
        line(part, lw=1.2, zorder=3, label=name, **look)


def bands(ax, x, quantiles, edges=None):
    """Draw what holds the model with 68 and 95 %.

    Parameters
    ----------
    ax : matplotlib axes
    x : (n,), where the values are.
    quantiles : (4, n), at 2.5, 16, 84 and 97.5 %
    edges : (low, high), (n,) each, optional; then it is drawn in steps.
    """
    if edges is not None:
        x, _ = draw.outline(*edges, quantiles[0])
        quantiles = [draw.outline(*edges, q)[1] for q in quantiles]
    low, inner_low, inner_high, high = quantiles
    look = {"color": draw.color(0), "lw": 0, "zorder": 2}
    ax.fill_between(x, low, high, alpha=0.25, **look)
    label = "model, 68 and 95 %"
    ax.fill_between(x, inner_low, inner_high, alpha=0.45, label=label, **look)


def residuals(ax, edges, values, errors, label, x=None, middle=0.0, least=3.0):
    """Draw deviations (n,) of data from a model, around the value ``middle`` of a perfect one.

    Those outside of the axis are arrows at its edge.
    """
    ax.axhline(middle, color=draw.color(0), lw=1.0, zorder=1)
    draw.points(ax, edges, values, errors, x)
    ax.set_ylabel(label)
    away = np.asarray(values) - middle
    reach = draw.reach(away, errors, least)
    ax.set_ylim(middle - reach, middle + reach)
    x = 0.5 * (edges[0] + edges[1]) if x is None else x
    for side, mark in ((1.0, "^"), (-1.0, "v")):  # what lies outside of the axis
        at = x[side * away > reach]
        if at.size:
            ax.plot(at, np.full(at.size, middle + 0.95 * side * reach), mark, color="r", ms=3.5)
