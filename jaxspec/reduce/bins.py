"""From channels to bins: quality, grouping and filters, then counts, errors and exposures.

The order is that of XSPEC: channels of QUALITY 1 and 5 are dropped, inside groups too; GROUPING
joins the rest (+1 starts a bin, -1 continues it, 0 is a bin of its own); QUALITY 2 goes only after
`jaxspec.reduce.select.ignore_bad`; ranges act on the bins. A bin with no channel left vanishes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxspec.errors import InputError


class BinCounts(NamedTuple):
    """What the statistics need to know of each bin; all (n_bin,) float64.

    ``counts``, ``background`` and their variances are in counts; ``t_s`` and ``t_b`` are seconds
    with all scalings in them, so that background / t_b is the background's count rate in the
    source region; ``known`` is a rate in the source region that is known without error (CORRFILE);
    ``rate`` is the net rate counts / t_s - background / t_b - known; ``systematic`` is the variance
    of ``rate`` due to SYS_ERR and ``rate_variance`` all of it, (counts/s)^2. Without a background,
    ``background`` is 0 and ``t_b`` is ``t_s``.
    """

    counts: np.ndarray
    variance: np.ndarray
    background: np.ndarray
    background_variance: np.ndarray
    t_s: np.ndarray
    t_b: np.ndarray
    rate: np.ndarray
    rate_variance: np.ndarray
    systematic: np.ndarray
    known: np.ndarray


def make_bins(
    counts,
    *,
    t_s,
    variance=None,
    background: ArrayLike = 0.0,
    background_variance=None,
    t_b=None,
    systematic: ArrayLike = 0.0,
    known: ArrayLike = 0.0,
) -> BinCounts:
    """`BinCounts` from its independent parts; variances are Poisson unless given.

    Examples
    --------
    >>> make_bins([4.0, 9.0], t_s=2.0, background=2.0, t_b=4.0).rate
    array([1.5, 4. ])
    """
    counts = np.asarray(counts, dtype=float)
    variance = counts if variance is None else variance
    background_variance = background if background_variance is None else background_variance
    parts = (
        variance,
        background,
        background_variance,
        t_s,
        t_s if t_b is None else t_b,
        systematic,
        known,
    )
    parts = [np.broadcast_to(np.asarray(p, dtype=float), counts.shape) for p in parts]
    variance, background, background_variance, t_s, t_b, systematic, known = parts
    per_s, per_b = _inverse(t_s), _inverse(t_b)
    rate = counts * per_s - background * per_b - known
    spread = variance * per_s**2 + background_variance * per_b**2 + systematic
    return BinCounts(
        counts, variance, background, background_variance, t_s, t_b, rate, spread, systematic, known
    )


def _inverse(t):
    """1 / t, and 0 where there is no exposure."""
    return np.divide(1.0, t, out=np.zeros_like(t), where=t > 0)


def bin_index(grouping, quality, filters, e_min, e_max, channel):
    """Bin number of each channel.

    It depends on nothing else than its arguments, so that spectra of one instrument share it.

    Parameters
    ----------
    grouping, quality : (n_channel,) int, or None for GROUPING 1 and QUALITY 0 everywhere.
    filters : tuple of Filter
    e_min, e_max : (n_channel,) keV, or None where no energies are known.
    channel : (n_channel,) int, CHANNEL values.

    Returns
    -------
    index : (n_channel,) int64, -1 for dropped channels, else 0 .. n_bin - 1 in channel order.
    n_bin : int

    Raises
    ------
    InputError
        An energy range without energies.

    Examples
    --------
    >>> bin_index(np.array([1, -1, 1, -1]), np.array([0, 5, 0, 0]), (), None, None, np.arange(4))
    (array([ 0, -1,  1,  1]), 2)
    """
    n = len(channel)
    usable = _usable(quality, filters, n)
    if grouping is None:
        group = start = np.arange(n)
    else:
        opens = grouping != -1
        opens[:1] = True
        group = np.cumsum(opens) - 1
        start = np.flatnonzero(opens)
    keep = np.logical_or.reduceat(usable, start) if n else np.zeros(0, bool)
    spans = {}
    for step in filters:
        if step.unit == "bad" or not n:
            continue
        if step.unit not in spans:
            spans[step.unit] = _spans(step.unit, usable, start, e_min, e_max, channel)
        inside = _inside(step, *spans[step.unit])
        keep = keep & (inside if step.kind == "notice" else ~inside)
    number = np.cumsum(keep) - 1
    return np.where(usable & keep[group], number[group], -1), int(keep.sum())


def _usable(quality, filters, n):
    if quality is None:
        return np.ones(n, bool)
    if any(step.unit == "bad" for step in filters):
        return quality <= 0
    return (quality != 1) & (quality != 5)


def _spans(unit, usable, start, e_min, e_max, channel):
    """Lower and upper end of each group, from its usable channels only."""
    if unit == "bin":
        ordinal = np.arange(1, len(start) + 1)
        return ordinal, ordinal
    if unit == "channel":
        low = high = channel
    elif e_min is None:
        raise InputError(
            "no response is loaded, so that channels have no energies",
            remedy="load a response, or select with channels= or bins=",
        )
    else:
        low, high = np.minimum(e_min, e_max), np.maximum(e_min, e_max)
    low = np.minimum.reduceat(np.where(usable, low, np.inf), start)
    return low, np.maximum.reduceat(np.where(usable, high, -np.inf), start)


def _inside(step, low, high):
    """Whether each group overlaps a range; bins that share no more than an edge do not."""
    inside = np.zeros(len(low), bool)
    for lo, hi in step.ranges:
        if step.unit == "keV":
            inside |= (high > lo) & (low < hi)
        else:
            inside |= (high >= lo) & (low <= hi)
    return inside


def channel_columns(spectrum):
    """Where each channel of a spectrum stands in its response: (n_channel,) indices.

    Channels are matched by number; responses that number the same count of channels from another
    first one are matched in order.

    Raises
    ------
    InputError
        A channel that the response lacks.
    """
    theirs, ours = spectrum.response.channel, spectrum.channel
    if len(theirs) == len(ours):
        return np.arange(len(ours))
    order = np.argsort(theirs, kind="stable")
    column = np.searchsorted(theirs, ours, sorter=order)
    column = order[np.minimum(column, len(theirs) - 1)]
    if not np.array_equal(theirs[column], ours):
        raise InputError(
            f"the spectrum has {len(ours)} channels, {ours.min()} to {ours.max()}, and its "
            f"response {spectrum.response.name} {len(theirs)}, {theirs.min()} to {theirs.max()}",
            file=spectrum.path or spectrum.name,
            remedy="load the response that was made for this spectrum",
        )
    return column


def channel_energies(spectrum):
    """Nominal energies (e_min, e_max), (n_channel,) keV; (None, None) without a response."""
    response = spectrum.response
    if response is None:
        return None, None
    if len(response.channel) == len(spectrum.channel):
        return response.e_min, response.e_max
    column = channel_columns(spectrum)
    return response.e_min[column], response.e_max[column]


def spectrum_bins(spectrum):
    """`bin_index` of a spectrum: (index (n_channel,), n_bin)."""
    return bin_index(
        spectrum.grouping,
        spectrum.quality,
        spectrum.filters,
        *channel_energies(spectrum),
        spectrum.channel,
    )


def bin_edges(spectrum):
    """Lower and upper edge of each kept bin.

    Returns
    -------
    e_min, e_max : (n_bin,) float64
        keV; without a response, CHANNEL values minus and plus one half.
    """
    index, n = spectrum_bins(spectrum)
    low, high = channel_energies(spectrum)
    if low is None or high is None:
        low, high = spectrum.channel - 0.5, spectrum.channel + 0.5
    kept = index >= 0
    e_min, e_max = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(e_min, index[kept], np.minimum(low, high)[kept])
    np.maximum.at(e_max, index[kept], np.maximum(low, high)[kept])
    return e_min, e_max


def sum_bins(values, index, n):
    """Sum of ``values`` (n_channel,) over the channels of each of ``n`` bins."""
    kept = index >= 0
    return np.bincount(index[kept], weights=values[kept], minlength=n)


def channel_variance(spectrum):
    """Variance of the counts, (n_channel,): STAT_ERR^2 where POISSERR is false, else the counts."""
    if spectrum.poisserr or spectrum.stat_err is None:
        return spectrum.counts
    return spectrum.stat_err**2


def corrected_counts(spectrum):
    """Counts (n_channel,) of CORRFILE in the source region, exactly known; None without one.

    Its count rate times CORRSCAL is subtracted (XSPEC manual, corfile); BACKSCAL has no part in it.

    Raises
    ------
    InputError
        If the correction has other channels.
    """
    correction = spectrum.correction
    if correction is None:
        return None
    if len(correction.counts) != len(spectrum.counts):
        raise InputError(
            f"the correction has {len(correction.counts)} channels, the spectrum "
            f"{len(spectrum.counts)}",
            file=correction.path or correction.name,
            remedy="use the CORRFILE that was made for this spectrum",
        )
    return correction.counts * (spectrum.corrscal * spectrum.exposure / correction.exposure)


def exposures(spectrum):
    """t_s and t_b per channel, seconds with scalings: two floats or (n_channel,) arrays.

    t_s = T_s AREASCAL_s and t_b = T_b AREASCAL_b BACKSCAL_b / BACKSCAL_s; t_b = t_s without a
    background. Where BACKSCAL_s is 0, or BACKSCAL_b is, t_b is 0: nothing is subtracted there.
    """
    t_s = spectrum.exposure * spectrum.areascal
    background = spectrum.background
    if background is None:
        return t_s, t_s
    if len(background.counts) != len(spectrum.counts):
        raise InputError(
            f"the background has {len(background.counts)} channels, the spectrum "
            f"{len(spectrum.counts)}",
            file=background.path or background.name,
            remedy="use the background that was made for this spectrum",
        )
    area, scale = background.exposure * background.areascal, spectrum.backscal
    if isinstance(scale, np.ndarray):
        seen = scale > 0
        ratio = np.where(seen, background.backscal / np.where(seen, scale, 1.0), 0.0)
    else:
        ratio = background.backscal / scale if scale > 0 else 0.0 * np.asarray(background.backscal)
    return t_s, area * ratio


def bin_counts(spectrum, index=None, n=0) -> BinCounts:
    """Sum counts, errors and exposures over each kept bin.

    Where AREASCAL or BACKSCAL differ from channel to channel, the exposures of a bin are the mean
    over its channels (as Sherpa's wstat takes them). SYS_ERR is a fraction of the total source
    counts of each channel, added in quadrature over the channels of a bin.

    Parameters
    ----------
    spectrum : Spectrum
    index, n : what `spectrum_bins` gave, if it is already known.

    Returns
    -------
    BinCounts of (n_bin,) float64 arrays; ``rate_variance`` is that of "chi2" but for the
    replacement of zeros, see `jaxspec.likelihood.weights.chi2_variance`.
    """
    if index is None:
        index, n = spectrum_bins(spectrum)
    kept = index >= 0
    where = index[kept]
    alone = len(where) == n  # every bin is one channel

    def total(values):
        values = values[kept]
        return values.astype(float) if alone else np.bincount(where, weights=values, minlength=n)

    def mean(values):
        if not isinstance(values, np.ndarray) or values.ndim == 0:
            return np.full(n, float(values))
        return total(values) if alone else total(values) / np.bincount(where, minlength=n)

    t_s, t_b = (mean(t) for t in exposures(spectrum))
    background, background_variance = 0.0, 0.0
    if spectrum.background is not None:
        background = total(spectrum.background.counts)
        background_variance = total(channel_variance(spectrum.background))
    correction = corrected_counts(spectrum)
    systematic = 0.0
    if spectrum.sys_err is not None:
        systematic = total((spectrum.sys_err * spectrum.counts) ** 2) * _inverse(t_s) ** 2
    return make_bins(
        total(spectrum.counts),
        t_s=t_s,
        variance=total(channel_variance(spectrum)),
        background=background,
        background_variance=background_variance,
        t_b=t_b,
        systematic=systematic,
        known=0.0 if correction is None else total(correction) * _inverse(t_s),
    )


def net_rate(spectrum):
    """Net count rate of the selection and its error, counts/s, as XSPEC prints them.

    The background is scaled to the source region; the error holds STAT_ERR (or sqrt(counts)) of
    both, and SYS_ERR times the total source rate, channel by channel in quadrature. AREASCAL does
    not divide the rate.

    Returns
    -------
    rate, error : float
    """
    index, _ = spectrum_bins(spectrum)
    kept = index >= 0
    t_s, t_b = exposures(spectrum)
    rate = spectrum.counts / spectrum.exposure
    variance = channel_variance(spectrum) / spectrum.exposure**2
    if spectrum.sys_err is not None:
        variance = variance + (spectrum.sys_err * rate) ** 2
    if spectrum.background is not None:
        per_b = spectrum.areascal * _inverse(np.asarray(t_b, dtype=float))
        rate = rate - spectrum.background.counts * per_b
        variance = variance + channel_variance(spectrum.background) * per_b**2
    correction = corrected_counts(spectrum)
    if correction is not None:
        rate = rate - correction / spectrum.exposure
    return float(rate[kept].sum()), float(np.sqrt(variance[kept].sum()))
