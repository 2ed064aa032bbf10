"""What the statistic would be if the model were true."""

from __future__ import annotations

import numpy as np

from jaxspec.likelihood.expected import expected_cstat


def expected_statistic(name, bins, rate):
    """Mean and variance of the statistic of each bin for data drawn from the model.

    Exact for cash, cstat and pstat (Kaastra 2017, A&A 605, A51). wstat and pgstat have a second
    datum and one nuisance parameter in each bin: taken is the source term, and for wstat what the
    background term exceeds that of a Gaussian datum. Against simulations the mean of wstat is then
    right to 2 % from about 10 background counts per bin on, and to 15 % (per bin) for one or two.
    The chi2 family has 1 and 2.

    Parameters
    ----------
    name : str, a key of `jaxspec.likelihood.statistics.STATISTICS`.
    bins : BinCounts of (..., n_bin) arrays
    rate : (..., n_bin) counts/s, the model of the source.

    Returns
    -------
    mean, variance : (..., n_bin) float64
    """
    rate = np.maximum(np.asarray(rate, dtype=float), 0.0)
    if name.startswith("chi2"):
        return np.ones_like(rate), np.full_like(rate, 2.0)
    if name in ("cash", "cstat"):
        return expected_cstat(bins.t_s * rate)
    seen = bins.t_b > 0
    background = np.where(seen, np.maximum(bins.background, 0.0), 0.0)
    alpha = np.where(seen, bins.t_s / np.where(seen, bins.t_b, 1.0), 0.0)
    mean, variance = expected_cstat(bins.t_s * rate + alpha * background)
    if name == "wstat":
        mean_b, variance_b = expected_cstat(background)
        return mean + np.maximum(mean_b - 1.0, 0.0), variance + np.maximum(variance_b - 2.0, 0.0)
    return mean, variance
