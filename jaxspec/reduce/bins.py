"""Bins of a spectrum: their edges, counts, errors and exposures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxspec.errors import InputError
from jaxspec.reduce.channels import bin_index, in_use


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


def channel_columns(spectrum):
    """Where each channel of a spectrum stands in its response: (n_channel,) indices.

    Channels are matched by number, as in XSPEC. Where files number the same channels from another
    first one, the readers have given the response the numbers of the spectrum.

    Raises
    ------
    InputError
        A channel number that the response lacks.
    """
    theirs, ours = spectrum.response.channel, spectrum.channel
    if np.array_equal(theirs, ours):
        return np.arange(len(ours))
    order = np.argsort(theirs, kind="stable")
    column = np.searchsorted(theirs, ours, sorter=order)
    column = order[np.minimum(column, len(theirs) - 1)]
    if np.array_equal(theirs[column], ours):
        return column
    remedy = "load the response that was made for this spectrum"
    if len(theirs) == len(ours):
        remedy += "; if its channels are these in this order, give it their numbers with replace"
    raise InputError(
        f"the spectrum has {len(ours)} channels, {ours.min()} to {ours.max()}, and its "
        f"response {spectrum.response.name} {len(theirs)}, {theirs.min()} to {theirs.max()}: "
        f"channel {ours[theirs[column] != ours][0]} is not there",
        file=spectrum.path or spectrum.name,
        remedy=remedy,
    )


def channel_energies(spectrum):
    """Nominal energies (e_min, e_max), (n_channel,) keV; (None, None) without a response."""
    response = spectrum.response
    if response is None:
        return None, None
    column = channel_columns(spectrum)
    return response.e_min[column], response.e_max[column]


def spectrum_bins(spectrum):
    """`bin_index` of a spectrum: (index (n_channel,), n_bin).

    Raises
    ------
    InputError
        Ranges of energies where those of the channels are out of order; see `bin_index`.
    """
    response = spectrum.response
    if response is not None and not response.bounds_ascend:
        if any(step.unit == "keV" for step in spectrum.filters):
            raise InputError(
                "the energies of its channels (EBOUNDS) are out of order or missing: ranges "
                "of energies have no meaning",
                file=response.name or spectrum.path or spectrum.name,
                remedy="notice and ignore channels, or repair the response",
            )
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


def _check_channels(spectrum):
    background = spectrum.background
    if len(background.counts) != len(spectrum.counts):
        raise InputError(
            f"the background has {len(background.counts)} channels, the spectrum "
            f"{len(spectrum.counts)}",
            file=background.path or background.name,
            remedy="use the background that was made for this spectrum",
        )


def exposures(spectrum):
    """t_s and t_b per channel, seconds with scalings: two floats or (n_channel,) arrays.

    Those of the bins are in `bin_counts`.

    t_s = T_s AREASCAL_s and t_b = T_b AREASCAL_b BACKSCAL_b / BACKSCAL_s; t_b = t_s without a
    background. Where BACKSCAL_s is 0, or BACKSCAL_b is, t_b is 0: nothing is subtracted there.
    """
    t_s = spectrum.exposure * spectrum.areascal
    background = spectrum.background
    if background is None:
        return t_s, t_s
    _check_channels(spectrum)
    area, scale = background.exposure * background.areascal, spectrum.backscal
    if isinstance(scale, np.ndarray):
        seen = scale > 0
        ratio = np.where(seen, background.backscal / np.where(seen, scale, 1.0), 0.0)
    else:
        ratio = background.backscal / scale if scale > 0 else 0.0 * np.asarray(background.backscal)
    return t_s, area * ratio


def is_net(spectrum) -> bool:
    """Whether a background was subtracted already: HDUCLAS2 is NET, or good counts are negative."""
    kind = str((spectrum.header or {}).get("HDUCLAS2", "")).strip().upper()
    return kind == "NET" or bool((in_use(spectrum.counts, spectrum.quality) < 0).any())


class _Sums:
    """Sums over the channels of each bin of a spectrum."""

    def __init__(self, index, n):
        self.kept = np.flatnonzero(index >= 0)
        self.where, self.n = index[self.kept], n
        self.alone = len(self.where) == n  # every bin is one channel

    def total(self, values):
        """Sum (n_bin,) of values (n_channel,)."""
        values = values[self.kept]
        if self.alone:
            return values.astype(float)
        return np.bincount(self.where, weights=values, minlength=self.n)

    def largest(self, values):
        """Largest (n_bin,) of values (n_channel,); the channels of a bin follow each other."""
        if self.alone or not self.n:
            return values[self.kept].astype(float)
        starts = np.flatnonzero(np.diff(self.where, prepend=-1))
        return np.maximum.reduceat(values[self.kept].astype(float), starts)

    def scale(self, values, counts, net=False):
        """AREASCAL or BACKSCAL (n_bin,) of bins, as XSPEC makes it of that of the channels.

        The mean over the counts: sum(N) / sum(N / scale), without counts n / sum(1 / scale); the
        plain mean for ``net`` spectra. Channels of scale 0 have no part in it.
        """
        if np.ndim(values) == 0:
            return np.full(self.n, float(values))
        if self.alone:
            return self.total(values)
        seen = values > 0
        if net:
            return self.total(values) * _inverse(self.total(np.ones(len(values))))
        per = np.where(seen, 1.0 / np.where(seen, values, 1.0), 0.0)
        filled = self.total(counts * per)
        some, none = self.total(np.where(seen, counts, 0.0)), self.total(seen.astype(float))
        return np.where(filled > 0, some * _inverse(filled), none * _inverse(self.total(per)))


def channel_weights(spectrum, index, n):
    """Share of AREASCAL that each channel of a bin has in the AREASCAL of the bin, or None.

    With it the model is folded channel by channel, and the expected counts of a bin are the sum of
    T AREASCAL_i m_i over its channels, however few counts have made the mean of `bin_counts`.

    Returns
    -------
    (n_channel,) float64, 1 on average; None where it is 1 in all channels.
    """
    if np.ndim(spectrum.areascal) == 0 or len(spectrum.areascal) != len(index):
        return None  # one of another length is refused with the data
    sums = _Sums(index, n)
    if sums.alone:
        return None
    area = sums.scale(spectrum.areascal, spectrum.counts, is_net(spectrum))
    weights = np.ones(len(index))
    weights[sums.kept] = spectrum.areascal[sums.kept] * _inverse(area)[sums.where]
    return None if np.allclose(weights, 1.0, rtol=1e-14, atol=0) else weights


def bin_counts(spectrum, index=None, n=0) -> BinCounts:
    """Sum counts, errors and exposures over each kept bin.

    Where AREASCAL or BACKSCAL differ from channel to channel, a bin has the mean that XSPEC takes:
    sum(N) / sum(N / AREASCAL), over the counts N of the source or of the background. So
    counts / t_s is the sum of the channels' N / (T AREASCAL). SYS_ERR is a fraction: the variance
    of a bin is that of its largest SYS_ERR times all its counts, since the channels of a bin are
    wrong together; that of the background is part of ``background_variance``.

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
    sums, behind, back = _Sums(index, n), spectrum.background, {}
    counts = sums.total(spectrum.counts)
    t_s = spectrum.exposure * sums.scale(spectrum.areascal, spectrum.counts, is_net(spectrum))
    if behind is not None:
        _check_channels(spectrum)
        own = sums.scale(spectrum.backscal, spectrum.counts, is_net(spectrum))
        area = sums.scale(behind.areascal, behind.counts)
        scale = sums.scale(behind.backscal, behind.counts) * _inverse(own)
        back["background"] = sums.total(behind.counts)
        back["background_variance"] = sums.total(channel_variance(behind))
        if behind.sys_err is not None:
            part = sums.largest(behind.sys_err) * back["background"]
            back["background_variance"] = back["background_variance"] + part**2
        back["t_b"] = behind.exposure * area * scale
    systematic = 0.0
    if spectrum.sys_err is not None:
        systematic = (sums.largest(spectrum.sys_err) * counts * _inverse(t_s)) ** 2
    correction = corrected_counts(spectrum)
    known = 0.0 if correction is None else sums.total(correction) * _inverse(t_s)
    variance = sums.total(channel_variance(spectrum))
    return make_bins(counts, t_s=t_s, variance=variance, systematic=systematic, known=known, **back)


def net_rate(spectrum):
    """Net count rate of the selection and its error, counts/s, as XSPEC prints them.

    The background is scaled to the source region; the error holds STAT_ERR (or sqrt(counts)) of
    both, and SYS_ERR times the source rate of each bin, the bins in quadrature. AREASCAL does not
    divide the rate.

    Returns
    -------
    rate, error : float
    """
    bins = bin_counts(spectrum)
    area = bins.t_s / spectrum.exposure
    rate = bins.counts / spectrum.exposure - area * bins.background * _inverse(bins.t_b)
    variance = bins.variance / spectrum.exposure**2
    variance = variance + area**2 * bins.systematic
    if spectrum.background is not None:
        variance = variance + area**2 * bins.background_variance * _inverse(bins.t_b) ** 2
    rate = rate - area * bins.known
    return float(rate.sum()), float(np.sqrt(variance.sum()))
