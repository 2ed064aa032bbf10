"""Pareto-smoothed importance sampling for many observations at once.

Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25(72); the generalised Pareto distribution is
fitted to the largest weights as in Zhang & Stephens 2009, Technometrics 51, 316. Libraries do
this observation by observation; an image has hundreds of thousands.
"""

from __future__ import annotations

import numpy as np

PRIOR_K, PRIOR_DRAWS = 0.5, 10  # k is drawn to 0.5 as if ten more draws had said so
MIN_TAIL = 5


def psis(log_ratios, r_eff: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth importance weights.

    Parameters
    ----------
    log_ratios : (n, n_draw), logarithms of importance ratios, up to a constant in each row.
    r_eff : float, effective draws per draw; it sets how many weights count as the tail.

    Returns
    -------
    log_weights : (n, n_draw), in the order given; each row of weights has the sum 1.
    k : (n,), shape of the Pareto tail. Above 0.7 the weights cannot be trusted; 0 where the
        largest weights are all equal, inf where there are too few draws for a fit.

    Examples
    --------
    >>> ratios = np.random.default_rng(1).normal(size=(2, 1000)) * [[0.1], [3.0]]
    >>> weights, k = psis(ratios)
    >>> np.exp(weights).sum(axis=1).round(9).tolist(), (k > 0.7).tolist()
    ([1.0, 1.0], [False, True])
    """
    log_ratios = np.asarray(log_ratios, dtype=np.float64)
    order = np.argsort(log_ratios, axis=1)
    smoothed, k = smooth_sorted(np.take_along_axis(log_ratios, order, axis=1), r_eff)
    weights = np.empty_like(smoothed)
    np.put_along_axis(weights, order, smoothed, axis=1)
    return weights, k


def tail_length(n_draw: int, r_eff: float = 1.0) -> int:
    """How many of the largest weights are replaced by quantiles of the fitted tail."""
    if n_draw * r_eff > 225:
        return min(int(3 * np.sqrt(n_draw / r_eff)), n_draw - 1)
    return n_draw // 5


def smooth_sorted(x, r_eff: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Do as `psis` does, for rows that are sorted (ascending)."""
    x = x - x[:, -1:]
    length = tail_length(x.shape[1], r_eff)
    k = np.full(len(x), np.inf)
    if length >= MIN_TAIL:
        cutoff = np.exp(x[:, -length - 1 : -length])
        tail = np.exp(x[:, -length:]) - cutoff
        flat = tail[:, -1] <= 0
        k[flat] = 0.0
        # of equal weights at the lower end of the tail no scale can be told
        usable = (tail[:, _quarter(length)] > 0) & ~flat
        k[usable], sigma = pareto_fit(tail[usable])
        fitted = np.isfinite(k) & usable
        sigma = sigma[fitted[usable]]
        quantiles = _pareto_quantiles(length, k[fitted], sigma)
        x[fitted, -length:] = np.minimum(np.log(cutoff[fitted] + quantiles), 0.0)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True)), k


def pareto_fit(x) -> tuple[np.ndarray, np.ndarray]:
    """Generalised Pareto distribution of each row of excesses.

    Parameters
    ----------
    x : (n, length), ascending and not negative; the lower quartile is positive.

    Returns
    -------
    k, sigma : (n,), shape (drawn weakly to 0.5) and scale.
    """
    n, length = x.shape
    n_grid = 30 + int(np.sqrt(length))
    steps = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    with np.errstate(all="ignore"):  # a tail over hundreds of decades ends as k = inf
        b = 1 / x[:, -1:] + steps / (3 * x[:, _quarter(length), None])
        k = _mean_log(b, x)
        profile = length * (np.log(-b / k) - k - 1)
        weight = np.exp(profile - np.fmax.reduce(profile, axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        b = (b * weight).sum(axis=1)
        k = np.log1p(-b[:, None] * x).mean(axis=1)
        sigma = -k / b
    k = (length * k + PRIOR_DRAWS * PRIOR_K) / (length + PRIOR_DRAWS)
    return np.where(np.isfinite(k) & (sigma > 0), k, np.inf), sigma


def _quarter(length):
    return int(length / 4 + 0.5) - 1


def _mean_log(b, x):
    """Mean over x (n, length) of log(1 - b x) for each b (n, n_grid)."""
    terms = -b[:, :, None] * x[:, None, :]
    return np.log1p(terms, out=terms).mean(axis=2)  # fresh memory costs more than the logarithm


def _pareto_quantiles(length, k, sigma):
    logs = np.log1p(-np.arange(0.5, length) / length)
    k, sigma = k[:, None], sigma[:, None]
    shape = np.where(k == 0, 1.0, k)
    return sigma * np.where(k == 0, -logs, np.expm1(-shape * logs) / shape)
