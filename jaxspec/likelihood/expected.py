"""What cstat should be if the model is right: mean and variance of each bin's contribution."""

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
