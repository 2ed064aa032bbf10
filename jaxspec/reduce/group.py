"""Grouping of channels into bins: minimum counts, minimum S/N, constant factor, optimal.

Only the channels that the energy and channel filters of the spectrum leave are grouped, so that
bins end where a range ends: notice first, then group. All other channels become bins of their own,
which the filters go on dropping. Channels of QUALITY 1 and 5 count nothing; those of QUALITY 2 to 5
end a bin, as in XSPEC (see `jaxspec.reduce.channels`), those of QUALITY 1 do not. What is left at
the end of a range and does not reach the minimum is joined to the last bin, so that no count is
lost (grppha would mark these channels QUALITY 2). Where a whole range, or what lies between two
channels of bad QUALITY, does not reach it, it is one bin all the same, and a diagnostic says so.
QUALITY itself is never changed.
"""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.reduce.bins import (
    _inverse,
    channel_columns,
    channel_energies,
    channel_variance,
    corrected_counts,
    exposures,
)
from jaxspec.reduce.channels import bin_index

SHORT = "do not reach the minimum of the grouping: too few counts in a range"
FWHM_TO_ELEMENT = 1.314  # 1 / (fraction of a Gaussian inside its FWHM): Kaastra & Bleeker 2016


def group(spectrum, *, min_counts=None, min_snr=None, factor=None, optimal=False):
    """Group the channels of a spectrum.

    Parameters
    ----------
    spectrum : Spectrum
    min_counts : float, optional
        Source-region counts (background not subtracted) that every bin reaches.
    min_snr : float, optional
        Signal to noise that every bin reaches: counts minus the scaled background, over the error
        of that difference (STAT_ERR where POISSERR is false). As ftgrouppha's snmin with a
        background file.
    factor : int, optional
        Channels per bin.
    optimal : bool
        Bin widths from the resolution of the response and the counts, by Kaastra & Bleeker 2016
        (A&A 587, A151). With ``min_counts`` or ``min_snr``, neighbouring optimal (or ``factor``)
        bins are then joined until the minimum is reached.

    Returns
    -------
    Spectrum
        The same data with a new ``grouping``; ``diagnostics`` say where a minimum is not reached.

    Raises
    ------
    InputError
        No rule, both ``factor`` and ``optimal``, a minimum that is not positive, or ``optimal``
        without a response.

    Examples
    --------
    >>> from jaxspec._types import Spectrum
    >>> counts = np.array([3.0, 4, 9, 1, 0])
    >>> spectrum = Spectrum("a", channel=np.arange(5), counts=counts, exposure=1.0)
    >>> group(spectrum, min_counts=5).grouping
    array([ 1, -1,  1, -1, -1], dtype=int16)
    """
    check_rule(min_counts, min_snr, factor, optimal)
    noticed, usable = _noticed(spectrum)
    grouping = np.ones(len(spectrum.channel), dtype=np.int16)
    sizes = _optimal_sizes(spectrum, usable) if optimal else None
    short = 0
    for run in _runs(noticed):
        grouping[run] = -1
        grouping[run[0]] = 1
        for channels in _unbroken(run, spectrum.quality):
            if not usable[channels[0]]:
                continue
            if sizes is not None:
                opens = _limited(sizes[channels])
            else:
                opens = np.arange(len(channels)) % (factor or 1) == 0
            if min_counts is not None or min_snr is not None:
                opens, reached = _join(spectrum, channels, opens, min_counts, min_snr)
                short += not reached
            grouping[channels] = np.where(opens, 1, -1)
    notes = tuple(n for n in spectrum.diagnostics if SHORT not in n)
    if short:
        notes += (f"{short} of the bins {SHORT}",)
    return spectrum.replace(grouping=grouping, diagnostics=notes)


def ungroup(spectrum):
    """Return the spectrum with every channel its own bin."""
    return spectrum.replace(grouping=None)


def check_rule(min_counts=None, min_snr=None, factor=None, optimal=False):
    """Raise InputError for a grouping rule that cannot be followed; see `group`."""
    remedy = "give min_counts=, min_snr=, factor= or optimal=True"
    if min_counts is None and min_snr is None and factor is None and not optimal:
        raise InputError("no rule for the grouping", remedy=remedy)
    if factor is not None and optimal:
        raise InputError("factor and optimal exclude each other", remedy=remedy)
    for name, value in (("min_counts", min_counts), ("min_snr", min_snr), ("factor", factor)):
        if value is None:
            continue
        if isinstance(value, str) or not value > 0:
            raise InputError(f"{value!r} is not positive", parameter=name)
    if factor is not None and factor != int(factor):
        raise InputError(f"{factor} is not a whole number", parameter="factor")


def _noticed(spectrum):
    """Masks (n_channel,): inside the filters whatever the quality, and of good quality."""
    steps = tuple(s for s in spectrum.filters if s.unit in ("keV", "channel"))
    energies = channel_energies(spectrum)
    inside, _ = bin_index(None, None, steps, *energies, spectrum.channel)
    bad = tuple(s for s in spectrum.filters if s.unit == "bad")
    good, _ = bin_index(None, spectrum.quality, bad, *energies, spectrum.channel)
    return inside >= 0, good >= 0


def _runs(mask):
    """Index arrays of the unbroken stretches of a mask."""
    where = np.flatnonzero(mask)
    return np.split(where, np.flatnonzero(np.diff(where) > 1) + 1) if len(where) else []


def _unbroken(run, quality):
    """Split a stretch where other QUALITY begins; channels of QUALITY 1 are left out."""
    if quality is None:
        return [run]
    run = run[quality[run] != 1]
    breaks = np.flatnonzero(np.diff(np.maximum(quality[run], 0))) + 1
    return [part for part in np.split(run, breaks) if len(part)]


def _join(spectrum, channels, opens, min_counts, min_snr):
    """Where bins open if they close only at the minima, and whether any did.

    What is left joins the last bin.
    """
    starts = np.flatnonzero(opens)
    sums = [np.add.reduceat(x, starts) for x in _signal(spectrum, channels)]
    closed, counts, net, variance = [], 0.0, 0.0, 0.0
    for piece, (c, n, v) in enumerate(zip(*(s.tolist() for s in sums), strict=True)):
        counts, net, variance = counts + c, net + n, variance + v
        if min_counts is not None and counts < min_counts * (1 - 1e-12):
            continue
        if min_snr is not None and not (net > 0 and net * net >= min_snr**2 * variance):
            continue
        closed.append(piece)
        counts = net = variance = 0.0
    out = np.zeros(len(channels), bool)
    out[0] = True
    out[starts[[piece + 1 for piece in closed[:-1]]]] = True
    return out, bool(closed)


def _signal(spectrum, channels):
    """Collect counts, net counts and their variance of the given channels."""
    counts = spectrum.counts[channels].astype(float)
    variance = channel_variance(spectrum)[channels].astype(float)
    background, correction = spectrum.background, corrected_counts(spectrum)
    net = counts if correction is None else counts - correction[channels]
    if background is None:
        return counts, net, variance
    t_s, t_b = exposures(spectrum)
    alpha = np.broadcast_to(t_s * _inverse(np.asarray(t_b, dtype=float)), spectrum.counts.shape)
    alpha = alpha[channels]
    net = net - alpha * background.counts[channels]
    return counts, net, variance + alpha**2 * channel_variance(background)[channels]


def resolution(response):
    """Full width at half maximum of the response at each of its channels, in channels.

    Each channel takes the row of the matrix whose energies hold the middle of the channel; the
    half-maximum points beside the highest channel of that row are interpolated. Rows without any
    response take the value of their neighbours. Never below 1. What `Response.wide` adds is looked
    at only among the channels of the matrix.

    Parameters
    ----------
    response : Response

    Returns
    -------
    (n_channel,) float64
    """
    middle = 0.5 * (response.e_min + response.e_max)
    row = np.searchsorted(response.e_hi, middle).clip(0, len(response.e_hi) - 1)
    rows, back = np.unique(row, return_inverse=True)
    width = np.concatenate([_widths(_cut(response, block)) for block in _blocks(rows)])[back]
    known = np.isfinite(width)
    if not known.any():
        return np.ones(len(width))
    at = np.arange(len(width))
    return np.maximum(np.interp(at, at[known], width[known]), 1.0)


def _blocks(rows, size=256):
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _cut(response, rows):
    """Rows of a response, cut to the channels that they act on and one more at either side."""
    matrix = response.matrix[rows]
    last = matrix.shape[1] - 1
    if not matrix.nnz:
        return np.zeros((len(rows), 1))
    low, high = max(matrix.indices.min() - 1, 0), min(matrix.indices.max() + 1, last)
    made = matrix[:, low : high + 1].toarray().astype(float)
    for part in response.wide:
        of = part.row[rows]
        seen = np.flatnonzero((part.column >= low) & (part.column <= high))
        made[:, part.column[seen] - low] += part.dense(of[0], of[-1] + 1)[of - of[0]][:, seen]
    return made


def _widths(matrix):
    """FWHM of each row (n_row, n_channel), in channels; NaN for empty rows."""
    at = np.arange(matrix.shape[1])
    peak = matrix.argmax(axis=1)[:, None]
    half = 0.5 * matrix.max(axis=1)[:, None]
    below = matrix < half
    left = np.where(below & (at < peak), at, -1).max(axis=1)
    right = np.where(below & (at > peak), at, len(at)).min(axis=1)
    low = _crossing(matrix, half[:, 0], left, left + 1)
    high = _crossing(matrix, half[:, 0], right, right - 1)
    return np.where(half[:, 0] > 0, high - low, np.nan)


def _crossing(matrix, half, outer, inner):
    """Where a row crosses ``half`` between two neighbouring channels; -0.5 off at the ends."""
    line, last = np.arange(len(matrix)), matrix.shape[1] - 1
    exists = (outer >= 0) & (outer <= last)
    low = matrix[line, outer.clip(0, last)]
    high = matrix[line, inner.clip(0, last)]
    rise = np.where(exists & (high > low), high - low, 1.0)
    step = np.where(exists, (half - low) / rise, 0.5)
    return outer + (inner - outer) * step


def _optimal_sizes(spectrum, usable):
    """Largest bin, in channels, that each channel may be part of.

    Kaastra & Bleeker 2016: a bin of a fraction of the FWHM that falls with
    x = ln[N_r (1 + 0.2 ln R)], N_r counts in a resolution element and R resolution elements.
    """
    if spectrum.response is None:
        raise InputError(
            "optimal grouping needs the resolution of a response and none is loaded",
            file=spectrum.path or spectrum.name,
            remedy="load a response, or group by min_counts",
        )
    fwhm = resolution(spectrum.response)[channel_columns(spectrum)]
    elements = max((1.0 / fwhm)[usable].sum(), 1.0)
    running = np.concatenate([[0.0], np.cumsum(np.where(usable, spectrum.counts, 0.0))])
    edges, at = np.arange(len(running)), np.arange(len(fwhm)) + 0.5
    inside = np.interp(at + fwhm / 2, edges, running) - np.interp(at - fwhm / 2, edges, running)
    inside = FWHM_TO_ELEMENT * np.maximum(inside, 0.0)
    x = np.log(np.maximum(inside * (1 + 0.2 * np.log(elements)), 1.0))
    x = np.maximum(x, 2.119)
    fraction = np.minimum((0.08 * x + 7.0 + 1.8 / x) / (x + 5.9), 1.0)
    return np.maximum((fwhm * fraction).astype(int), 1)


def _limited(sizes):
    """Where bins open if none may be wider than the size of any of its channels."""
    opens, left = np.zeros(len(sizes), bool), 0
    for channel, size in enumerate(sizes.tolist()):
        if left == 0:
            opens[channel], begin, left = True, channel, size
        else:  # this channel allows a bin from begin of at most its own size
            left = min(left, size - (channel - begin))
            if left <= 0:
                opens[channel], begin, left = True, channel, size
        left -= 1
    return opens
