"""How well chains have mixed: R-hat, effective sample sizes, Monte Carlo errors.

The formulas are those of arviz-stats (Vehtari et al. 2021, Bayesian Analysis 16, 667); what is
added here is what happens in the corners: chains too short, stuck, or not finite.
"""

from __future__ import annotations

import numpy as np

MIN_DRAWS = 4  # of each chain, which is split into halves


def rhat(chains) -> np.ndarray:
    """Rank-normalised split R-hat of each parameter.

    Parameters
    ----------
    chains : (n_chain, n_draw, n_par)

    Returns
    -------
    (n_par,), near 1 where the chains agree; NaN where there is one chain only, a chain is shorter
    than four draws, or the parameter has one value only or one that is not finite.

    Examples
    --------
    >>> chains = np.random.default_rng(1).normal(size=(4, 500, 1))
    >>> bool(rhat(chains)[0] < 1.01), bool(rhat(chains + np.arange(4)[:, None, None])[0] > 1.1)
    (True, True)
    """
    return _each("rhat", chains)


def ess_bulk(chains) -> np.ndarray:
    """Effective sample size for the centre of each parameter (n_par,).

    NaN as for `rhat`, but one chain will do.
    """
    return _each("ess", chains, method="bulk")


def ess_tail(chains) -> np.ndarray:
    """Effective sample size for the 5 % and 95 % quantiles (n_par,).

    NaN as for `rhat`, but one chain will do.
    """
    return _each("ess", chains, method="tail", prob=(0.05, 0.95))


def mcse(chains) -> np.ndarray:
    """Monte Carlo standard error of the mean of each parameter (n_par,).

    NaN as for `rhat`, but one chain will do.
    """
    return _each("mcse", chains, method="mean")


def _each(function, chains, **options):
    from arviz_stats.base import array_stats

    chains = np.asarray(chains, dtype=np.float64)
    values = np.full(chains.shape[-1], np.nan)
    moving = np.isfinite(chains).all((0, 1)) & (np.ptp(chains, axis=(0, 1)) > 0)
    if chains.shape[1] < MIN_DRAWS or not moving.any():
        return values
    # chains that each stand still at values of their own have no variance inside
    with np.errstate(divide="ignore", invalid="ignore"):
        found = getattr(array_stats, function)(
            chains[..., moving], chain_axis=0, draw_axis=1, **options
        )
    values[moving] = found
    return values
