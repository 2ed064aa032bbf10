"""Figures of chains: traces, and the triangle of all pairs of parameters."""

from __future__ import annotations

import logging
import textwrap
from contextlib import contextmanager

import numpy as np

from jaxspec._environment import imported
from jaxspec._text import decimals
from jaxspec.errors import InputError
from jaxspec.report import draw
from jaxspec.report.labels import parameter_label
from jaxspec.sample.posterior import Posterior
from jaxspec.sample.posteriors import Posteriors
from jaxspec.sample.summary import MAX_RHAT, MIN_ESS

ONE_COLUMN = 6  # parameters up to which the traces stand in one column
LEVELS = (0.68, 0.95)  # of the probability that the contours hold
SHADES = (0.3, 0.6)  # opacity outside and inside of the inner contour
BINS = 25
WIDTH = 17  # characters of a line of a label
TICKS, LINE = 0.62, 0.16  # inches below and beside a triangle: for ticks, for each line of a label


def traces(posterior, fig=None, *, names=None):
    """Draw every chain of each parameter, draw by draw.

    Above each panel stand R-hat and the effective sample size (of the bulk), in red where they are
    worse than they should be. Draws that diverged are red marks at the bottom.

    Parameters
    ----------
    posterior : Posterior
    fig : matplotlib figure, optional; by default a new pyplot figure.
    names : list of str, optional; the parameters, by default all that were not frozen.

    Returns
    -------
    matplotlib figure
    """
    need_posterior(posterior)
    names = _names(posterior, names)
    n_chain, n_draw = posterior.chains.shape[:2]
    lines, columns = draw.grid_of(len(names), 1 if len(names) <= ONE_COLUMN else 2)
    bad = np.flatnonzero(posterior.diverging.any(axis=0))
    with draw.style():
        fig = draw.figure_of(fig, (7.4 if columns == 1 else 11.0, 0.7 + 1.35 * lines))
        panels = fig.subplots(lines, columns, sharex=True, squeeze=False).T.ravel()
        for ax, name in zip(panels, names, strict=False):
            values, label = scaled(posterior, name)
            for i, chain in enumerate(values):
                ax.plot(chain, color=draw.color(i), lw=0.5, alpha=0.75, rasterized=n_draw > 2000)
            ax.plot(
                bad, np.full(bad.size, 0.05), "|", color="r", ms=6, mew=0.8, zorder=5,
                transform=ax.get_xaxis_transform(), gid="diverging",
            )  # fmt: skip
            ax.set_ylabel(folded(label), fontsize=8.5)
            _diagnostics(ax, posterior, name, n_chain)
            _plain_ticks(ax.yaxis)
            ax.set_xlim(0, n_draw - 1)
        for ax in panels[len(names) :]:
            ax.set_axis_off()
        for ax in panels[lines - 1 : len(names) : lines]:
            ax.set_xlabel("Draw")
        fig.align_ylabels(panels[: len(names)])
        if bad.size:
            text = f"{posterior.n_divergent} of {len(posterior)} draws diverged"
            fig.supxlabel(text, fontsize=8, color="r", x=0.01, ha="left")
    return fig


def triangle(posterior, fig=None, *, names=None, truths=None):
    """Draw the distribution of each parameter, and of each pair with contours of 68 and 95 %.

    Parameters
    ----------
    posterior : Posterior, or dict from name to Posterior, drawn over each other
    fig : matplotlib figure, optional
        By default a new pyplot figure. Its layout engine is switched off.
    names : list of str, optional
        The parameters; by default all that were not frozen in any of the posteriors.
    truths : dict of name to value, optional; drawn as lines.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    InputError
        No posterior, a parameter that is not in the model, or fewer draws than parameters.
    """
    from matplotlib.colors import to_rgb

    corner = imported("corner")
    many = posterior if isinstance(posterior, dict) else {"": posterior}
    if not many:
        raise InputError("is empty", parameter="posterior", remedy="use js.sample")
    for one in many.values():
        need_posterior(one)
    first = next(iter(many.values()))
    if names is None:
        names = [n for n in first.names if all(n in one.names for one in many.values())]
    names = _names(first, names)
    samples, labels, known = _samples(many, names, truths)
    limits = [_limits(samples, truth, i) for i, truth in enumerate(known)]
    labels = [folded(label) for label in labels]
    margin = TICKS + LINE * max(label.count("\n") + 1 for label in labels)
    with draw.style(), _quiet():
        side = margin + 0.4 + min(1.75 * len(names), 1.05 * len(names) + 2.1)
        fig = draw.figure_of(fig, (side, side))
        for engine in ("tight", "none"):  # "none" alone keeps what constrained layout forbids
            fig.set_layout_engine(engine)
        for i, sample in enumerate(samples):
            color = to_rgb(draw.color(i))
            fill = {"colors": [(*color, alpha) for alpha in (0.0, *SHADES)]}
            corner.corner(
                sample, fig=fig, range=limits, bins=_bins(sample, limits), color=color,
                levels=LEVELS, smooth=1.2, plot_datapoints=False, plot_density=False,
                no_fill_contours=True, fill_contours=True, contourf_kwargs=fill,
                contour_kwargs={"linewidths": 0.9}, hist_kwargs={"density": True, "lw": 1.2},
                truths=known, truth_color="0.3",
            )  # fmt: skip
        axes = np.array(fig.axes).reshape(len(names), len(names))
        _tidy(fig, axes, labels, margin)
        if len(samples) == 1:
            for ax, column in zip(axes.diagonal(), samples[0].T, strict=True):
                ax.set_title(interval(*np.percentile(column, [16, 50, 84])), fontsize=8)
        else:
            _legend(fig, list(many))
    return fig


def need_posterior(posterior):
    """Raise `InputError` unless it is the posterior of one datum or joint fit."""
    if isinstance(posterior, Posteriors):
        raise InputError(
            "is a list of posteriors", parameter="posterior", remedy="give one of them, as in [0]"
        )
    if not isinstance(posterior, Posterior):
        raise InputError("is no posterior", parameter="posterior", remedy="use js.sample")


def label_of(posterior, name, power=0) -> str:
    """Parameter with its unit, from which a power of ten is taken out."""
    parameter = posterior.parameter(name)
    known = dict(zip(posterior.names, posterior.units, strict=True))
    return parameter_label(parameter, name, known.get(name), power)


def scaled(posterior, name):
    """Draws (n_chain, n_draw) of a parameter in handy numbers, and their label.

    Small and large numbers are divided by the power of ten that the label names.
    """
    values = posterior[name]
    power = draw.power_of(values)
    return values / 10.0**power, label_of(posterior, name, power)


# ---------------------------------------------------------------------------- parts


def _names(posterior, names):
    names = list(posterior.names if names is None else names)
    if not names:
        raise InputError("is empty", parameter="names", remedy=f"choose of {posterior.names}")
    for name in names:
        posterior[name]  # says which names there are
    return names


def _diagnostics(ax, posterior, name, n_chain):
    """R-hat and effective sample size in the corner."""
    if name not in posterior.names:
        return
    place = posterior.names.index(name)
    rhat, ess = posterior.rhat[place], posterior.ess[place]
    fine = rhat <= MAX_RHAT and ess >= MIN_ESS * n_chain
    ax.text(
        0.992, 0.95, rf"$\hat{{R}}$ {rhat:.3f}, ESS {ess:.0f}", transform=ax.transAxes,
        ha="right", va="top", fontsize=8, color="0.1" if fine else "r", zorder=6,
        bbox={"fc": "w", "ec": "none", "alpha": 0.8, "pad": 1.5},
    )  # fmt: skip


def folded(label):
    """Label in lines: the name, broken where it is long, and the unit in one or two lines."""
    name, _, unit = label.partition(" [")
    if "$" not in name:
        lines = name.replace(" of ", " of\n").splitlines()
        name = "\n".join(part for line in lines for part in textwrap.wrap(line, WIDTH))
    if not unit:
        return name
    words, half = unit.split(" "), -(-len(unit.split(" ")) // 2)
    if len(words) > 2:
        words = [" ".join(words[:half]), " ".join(words[half:])]
        return f"{name}\n[" + "\n".join(words)
    return f"{name}\n[{unit}"


def _plain_ticks(axis, n=4):
    """Whole numbers at the ticks, no offset beside the axis."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    axis.set_major_locator(MaxNLocator(n, prune="both"))
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    axis.set_major_formatter(formatter)


def _samples(many, names, truths):
    """Draws (n, n_par) of each posterior over one power of ten per parameter, labels, truths."""
    first = next(iter(many.values()))
    true = [(truths or {}).get(name) for name in names]
    powers = [
        draw.power_of(np.array([np.abs(one[name]).max() for one in many.values()] + [t or 0.0]))
        for name, t in zip(names, true, strict=True)
    ]
    samples = []
    for label, one in many.items():
        samples.append(one.array(names).reshape(-1, len(names)) / 10.0 ** np.array(powers, float))
        if len(one) <= len(names):
            raise InputError(
                f"{label} has {len(one)} draws for {len(names)} parameters".strip(),
                parameter="posterior",
                remedy="draw more",
            )
    labels = [label_of(first, name, power) for name, power in zip(names, powers, strict=True)]
    known = [None if t is None else t / 10.0**p for t, p in zip(true, powers, strict=True)]
    return samples, labels, known


def _limits(samples, truth, i):
    """Range of parameter ``i``: all but the last draws of each tail, and the truth."""
    ends = np.concatenate([np.percentile(s[:, i], [0.15, 99.85]) for s in samples])
    ends = ends if truth is None else np.append(ends, truth)
    low, high = ends.min(), ends.max()
    pad = 0.05 * (high - low) or 0.01 * abs(low) or 1.0
    return low - pad, high + pad


def _bins(sample, limits):
    """Bins over the limits of which each sample fills about the same number."""
    bins = []
    for column, (low, high) in zip(sample.T, limits, strict=True):
        width = np.ptp(np.percentile(column, [0.15, 99.85]))
        bins.append(int(np.clip(BINS * (high - low) / width, BINS, 300)) if width else BINS)
    return bins


def _tidy(fig, axes, labels, margin):
    """Ticks, labels and margins that suit any number of panels; equal heights of histograms."""
    n = len(labels)
    width, height = fig.get_size_inches()
    fig.subplots_adjust(
        left=margin / width, right=1 - 0.1 / width, bottom=margin / height, top=1 - 0.3 / height,
        wspace=0.06, hspace=0.06,
    )  # fmt: skip
    beyond = -0.5 / (axes[0, 0].get_position().height * height)  # inches below the panels
    for row in range(n):
        for column in range(row + 1):
            ax = axes[row, column]
            at_left, at_bottom = column == 0 and row > 0, row == n - 1
            ax.tick_params(labelsize=8, which="both", top=False, right=False)
            ax.tick_params(labelleft=at_left, labelbottom=at_bottom, labelrotation=45)
            _plain_ticks(ax.xaxis, 3)
            if row != column:
                _plain_ticks(ax.yaxis, 3)
            ax.set_xlabel(labels[column] if at_bottom else "", fontsize=9)
            ax.set_ylabel(labels[row] if at_left else "", fontsize=9)
            ax.xaxis.set_label_coords(0.5, beyond)
            ax.yaxis.set_label_coords(beyond, 0.5)
    for ax in axes.diagonal():
        for outline in ax.patches:
            xy = outline.get_xy()
            outline.set_xy(xy / [1.0, max(xy[:, 1].max(), 1e-300)])
        ax.set_ylim(0.0, 1.12)


def _legend(fig, names):
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=draw.color(i), label=name) for i, name in enumerate(names)]
    fig.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.97, 0.97))


def interval(low, middle, high) -> str:
    """Median with the distances to the 16 and 84 % quantiles, to two digits of the smaller.

    Examples
    --------
    >>> interval(4.26, 4.2977, 4.34)
    '$4.298_{-0.038}^{+0.042}$'
    """
    least = min(middle - low, high - middle)
    if not least > 0:
        return f"${middle:.5g}$"
    places = max(0, decimals(least))
    below, above = f"{middle - low:.{places}f}", f"{high - middle:.{places}f}"
    return f"${middle:.{places}f}_{{-{below}}}^{{+{above}}}$"


@contextmanager
def _quiet():
    """Without what corner says through the root logger, and the handler this would install."""
    root, handler = logging.getLogger(), logging.NullHandler()

    def nothing(record):
        return False

    root.addHandler(handler)
    root.addFilter(nothing)
    try:
        yield
    finally:
        root.removeFilter(nothing)
        root.removeHandler(handler)
