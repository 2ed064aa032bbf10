"""What a statistic would be if the model were true: mean and variance of each bin; NumPy.

Each ``expected_*`` of a statistic takes ``(bins, rate)``, a `jaxspec.reduce.bins.BinCounts` of
(..., n_bin) arrays and the model of the source, (..., n_bin) counts/s, and gives mean and variance
of the statistic of each bin for data drawn from the model, both (..., n_bin).
"""

from __future__ import annotations

import numpy as np

LARGE = 30.0  # expected counts from which the expansion in 1/mu is used
TERMS = 90  # Poisson terms below that: P(N > 89 | mu = 30) is below 1e-17


def expected_cstat(mu):
    r"""Mean and variance of the cstat of one Poisson bin whose expectation is ``mu``.

    Summed over bins they tell whether a fit is acceptable: the total is close to normal from some
    tens of counts on (Kaastra 2017, A&A 605, A51, whose fitted polynomials these exact sums
    replace). Below ``mu`` = 30 the Poisson sum is carried out; above it the expansion

        E = 1 + 1/(6 mu) + 1/(6 mu^2) + 19/(60 mu^3),
        V = 2 + 2/(3 mu) + 4/(3 mu^2) + 701/(180 mu^3)

    (from the central moments) is used, good to 2e-5.

    Parameters
    ----------
    mu : array_like, counts
        Expected counts; any shape; a negative value or 0 counts as 0.

    Returns
    -------
    mean, variance : arrays of the shape of ``mu``

    Examples
    --------
    >>> mean, variance = expected_cstat([0.1, 1.0, 1e4])
    >>> mean.round(4), variance.round(4)
    (array([0.4741, 1.1468, 1.    ]), array([0.8604, 1.3646, 2.0001]))
    """
    mu = np.asarray(mu, dtype=float)
    shape = mu.shape
    mu = np.maximum(mu, 0.0).ravel()
    inverse = 1.0 / np.maximum(mu, LARGE)
    mean = 1.0 + inverse * (1 / 6 + inverse * (1 / 6 + inverse * 19 / 60))
    variance = 2.0 + inverse * (2 / 3 + inverse * (4 / 3 + inverse * 701 / 180))
    few = mu < LARGE
    if few.any():
        mean[few], variance[few] = _poisson_sums(mu[few])
    return mean.reshape(shape), variance.reshape(shape)


def _poisson_sums(mu):
    probability = np.exp(-mu)
    log_mu = np.log(np.maximum(mu, 1e-300))
    first, second = np.zeros_like(mu), np.zeros_like(mu)
    for n in range(TERMS):
        if n:
            probability = probability * (mu / n)
        deviance = 2.0 * (mu - n + (n * (np.log(n) - log_mu) if n else 0.0))
        term = probability * deviance
        first += term
        second += term * deviance
    return first, second - first**2


def excess(value, mean, variance):
    """How far a statistic is above what is expected, in sigmas; NaN where nothing is expected."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (value - mean) / np.sqrt(variance)
    return np.where(np.isfinite(found), found, np.nan)


def expected_cash(bins, rate):
    """Of the source region alone; exact (Kaastra 2017, A&A 605, A51)."""
    return expected_cstat(bins.t_s * _positive(rate + bins.known))


def expected_pstat(bins, rate):
    """With a background known exactly; exact."""
    return expected_cstat(bins.t_s * _positive(rate + bins.known) + _behind(bins))


def expected_wstat(bins, rate):
    """With a Poisson background profiled out.

    It is a second datum and one nuisance parameter in each bin: taken is the source term, and what
    the background term exceeds that of a Gaussian datum, times the background's share of the
    counts in the source region (a strong source leaves the background to fit itself). Against
    simulations of 0.3 to 50 background and 0.5 to 20 source counts in a bin the mean is right to
    7 %, from 10 background counts on to 2 %; the variance to 30 and 6 %.
    """
    mean, variance = expected_pstat(bins, rate)
    mean_b, variance_b = expected_cstat(np.where(bins.t_b > 0, bins.background, 0.0))
    behind = _behind(bins)
    total = bins.t_s * _positive(rate + bins.known) + behind
    share = np.where(total > 0, behind / np.where(total > 0, total, 1.0), 0.0)
    excess, excess_variance = np.maximum(mean_b - 1.0, 0.0), np.maximum(variance_b - 2.0, 0.0)
    return mean + share * excess, variance + share * excess_variance


def expected_pgstat(bins, rate):
    """With a Gaussian background profiled out: its source term.

    Against simulations of 3 to 50 background counts, known to 10 or 30 %, and 0.5 to 20 source
    counts in a bin the mean is right to 2.5 %, the variance to 8 %.
    """
    return expected_pstat(bins, rate)


def expected_chi2(bins, rate):
    """1 and 2: Gaussian data."""
    return np.ones_like(rate), np.full_like(rate, 2.0)


def _positive(rate):
    return np.maximum(np.asarray(rate, dtype=float), 0.0)


def _behind(bins):
    """Expected background counts in the source region."""
    seen = bins.t_b > 0
    alpha = np.where(seen, bins.t_s / np.where(seen, bins.t_b, 1.0), 0.0)
    return alpha * np.where(seen, np.maximum(bins.background, 0.0), 0.0)
