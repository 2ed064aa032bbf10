"""Fit statistics by name, and `statistic`, which evaluates one on plain arrays.

The kernels themselves, and what their symbols mean, are in `jaxspec.likelihood.kernels`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.kernels import (
    FLOOR,
    alpha_of,
    chi2,
    chi2_model,
    chi2_model_observed,
    chi2_observed,
    cstat,
    pgstat,
    poisson,
    poisson_observed,
    pstat,
    wstat,
)
from jaxspec.likelihood.weights import chi2_variance
from jaxspec.reduce.bins import BinCounts, make_bins


class Statistic(NamedTuple):
    """One entry of ``STATISTICS``: its kernels, what it needs, one line of explanation."""

    kernel: Callable
    observed: Callable
    poisson: bool
    background: bool
    summary: str


def _poisson_entry(profile, background, summary):
    return Statistic(
        partial(poisson, profile), partial(poisson_observed, profile), True, background, summary
    )


STATISTICS = {
    "cash": _poisson_entry(cstat, False, "Poisson deviance of the source region alone"),
    "cstat": _poisson_entry(cstat, False, "as cash; wstat where a background is loaded"),
    "wstat": _poisson_entry(wstat, True, "Poisson source, Poisson background profiled out"),
    "pstat": _poisson_entry(pstat, True, "Poisson source, background known exactly"),
    "pgstat": _poisson_entry(pgstat, True, "Poisson source, Gaussian background profiled out"),
    "chi2": Statistic(chi2, chi2_observed, False, False, "STAT_ERR, or sqrt(counts)"),
    "chi2-gehrels": Statistic(chi2, chi2_observed, False, False, "error 1 + sqrt(N + 0.75)"),
    "chi2-churazov": Statistic(
        chi2, chi2_observed, False, False, "variance from neighbouring bins"
    ),
    "chi2-model": Statistic(
        chi2_model, chi2_model_observed, False, False, "variance from the model"
    ),
}

SYNONYMS = {
    "c": "cstat",
    "c-stat": "cstat",
    "w": "wstat",
    "w-stat": "wstat",
    "p-stat": "pstat",
    "pg": "pgstat",
    "pg-stat": "pgstat",
    "chi": "chi2",
    "chisq": "chi2",
    "chi-square": "chi2",
    "chi-squared": "chi2",
    "chi2-standard": "chi2",
    "chi2xspecvar": "chi2",
    "gehrels": "chi2-gehrels",
    "chi2gehrels": "chi2-gehrels",
    "churazov": "chi2-churazov",
    "chi2churazov": "chi2-churazov",
    "chi2modvar": "chi2-model",
    "chi2model": "chi2-model",
}


def statistic_name(name):
    """Find the name under which ``name`` stands in ``STATISTICS``.

    Case, blanks and underscores do not matter; raises `InputError` with the list of names.

    Examples
    --------
    >>> statistic_name("Chi2_Gehrels"), statistic_name("C-stat")
    ('chi2-gehrels', 'cstat')
    """
    key = str(name).strip().lower().replace("_", "-").replace(" ", "-")
    key = SYNONYMS.get(key, key)
    if key not in STATISTICS:
        raise InputError(
            f"{name!r} is not a statistic", remedy=f"choose one of {', '.join(STATISTICS)}"
        )
    return key


def kernel(name):
    """Give the function ``(bins, rate) -> Bin`` of a statistic.

    ``bins`` is a `jaxspec.reduce.bins.BinCounts` of (n_bin,) arrays, ``rate`` (n_bin,) the model
    in counts/s. Everything is elementwise, finite, and follows the dtype of its arguments. For
    the chi2 family ``bins.rate_variance`` comes from `weighted`. A third argument, ``floor``,
    replaces ``FLOOR``; so for `observed_curvature`.
    """
    return STATISTICS[statistic_name(name)].kernel


def observed_curvature(name):
    """Give the function ``(bins, rate) -> (n_bin,)`` of the true second derivative, >= 0.

    Below the floor it is that of the formula with the expected counts at the floor.
    """
    return STATISTICS[statistic_name(name)].observed


def net_rate(name):
    """Give the function ``bins -> (rate, variance)`` of what the model should be near, counts/s.

    The background is subtracted unless the statistic leaves it out; the variance is that of the
    chi2 family where that is the statistic, and otherwise Poisson with at least one count.
    """
    name = statistic_name(name)
    if not STATISTICS[name].poisson:
        return lambda bins: (bins.rate, bins.rate_variance)

    def net(bins):
        exposed = bins.t_s > 0
        scale = jnp.where(exposed, 1.0 / jnp.where(exposed, bins.t_s, 1.0), 0.0)
        alpha = alpha_of(bins) if STATISTICS[name].background else jnp.zeros_like(bins.t_s)
        counts = bins.counts - alpha * bins.background
        variance = jnp.maximum(bins.counts, 1.0) + alpha**2 * bins.background_variance
        return counts * scale, variance * scale**2

    return net


def weighted(name, bins):
    """``bins`` with ``rate_variance`` as the statistic wants it (unchanged for Poisson ones)."""
    name = statistic_name(name)
    if STATISTICS[name].poisson:
        return bins
    return bins._replace(rate_variance=chi2_variance(name, bins))


def statistic(
    name,
    *,
    counts,
    background=None,
    exposure=1.0,
    background_exposure=None,
    background_error=None,
    rate=0.0,
    error=None,
    floor=FLOOR,
):
    """Evaluate a fit statistic bin by bin.

    Parameters
    ----------
    name : str
        One of ``STATISTICS`` or its synonyms. "cstat" with a background is "wstat", as in XSPEC;
        "cash" leaves the background out.
    counts, background : (n_bin,) or scalar
        Counts in the source and in the background region.
    exposure, background_exposure : (n_bin,) or scalar, seconds
        With every scaling in them: T_s AREASCAL_s, and T_b AREASCAL_b BACKSCAL_b / BACKSCAL_s.
    background_error : (n_bin,) or scalar, counts
        Standard deviation of ``background``: needed by pgstat; sqrt(background) elsewhere.
    rate : (n_bin,) or scalar
        Model of the source in counts/s, before the scalings.
    error : (n_bin,) or scalar, counts
        Standard deviation of ``counts`` for "chi2"; sqrt(counts) unless given.
    floor : float, counts
        Least expected counts of a bin: XSPEC's 1e-5. Sherpa has none to speak of; 1e-25 gives
        its totals where bins of the response are dead (2e-5 less for each empty one).

    Returns
    -------
    (n_bin,) float64 NumPy array (or a scalar array if every argument is one).

    Raises
    ------
    InputError
        An unknown name, a missing argument, negative counts or an exposure that is not positive.

    Examples
    --------
    >>> statistic("cstat", counts=[3, 0], exposure=100.0, rate=0.05).round(4)
    array([ 0.935, 10.   ])
    """
    name = statistic_name(name)
    if name == "cstat" and background is not None:
        name = "wstat"
    if name == "cash":
        background = None
    _require(name, background, background_exposure, background_error)
    arrays = {
        "counts": counts,
        "background": 0.0 if background is None else background,
        "exposure": exposure,
        "background_exposure": exposure if background is None else background_exposure,
        "background_error": background_error,
        "rate": rate,
        "error": error,
    }
    arrays = _broadcast(arrays)
    _check(arrays, STATISTICS[name].poisson)
    error, background_error = arrays["error"], arrays["background_error"]
    bins = make_bins(
        arrays["counts"].ravel(),
        t_s=arrays["exposure"].ravel(),
        variance=None if error is None else error.ravel() ** 2,
        background=arrays["background"].ravel(),
        background_variance=None if background_error is None else background_error.ravel() ** 2,
        t_b=arrays["background_exposure"].ravel(),
    )
    with jax.enable_x64(True):
        values = _values(name, weighted(name, bins), arrays["rate"].ravel(), float(floor))
        values = np.asarray(values)
    return values.reshape(arrays["counts"].shape)


@partial(jax.jit, static_argnums=0)
def _values(name, bins: BinCounts, rate, floor):
    return kernel(name)(bins, rate, floor).value


def _require(name, background, background_exposure, background_error):
    if STATISTICS[name].background and background is None:
        raise InputError(f"{name} needs a background", remedy="give background= or use cash")
    if background is not None and background_exposure is None:
        raise InputError(
            "a background without background_exposure",
            remedy="give background_exposure=, scalings included",
        )
    if name == "pgstat" and background_error is None:
        raise InputError(
            "pgstat needs the error of the background", remedy="give background_error="
        )


def _broadcast(arrays):
    try:
        given = {k: np.asarray(v, dtype=float) for k, v in arrays.items() if v is not None}
        shape = np.broadcast_shapes(*(v.shape for v in given.values()))
    except (TypeError, ValueError) as why:
        raise InputError(f"the arguments are not arrays of one shape ({why})") from None
    given = {k: np.broadcast_to(v, shape) for k, v in given.items()}
    return {k: given.get(k) for k in arrays}


def _check(arrays, poisson):
    for key, values in arrays.items():
        if values is None:
            continue
        if not np.isfinite(values).all():
            raise InputError("not finite", parameter=key, remedy="leave such bins out")
        if key.endswith("exposure") and (values <= 0).any():
            raise InputError(f"the exposure {values.min():g} s is not positive", parameter=key)
        if key.endswith("error") and (values < 0).any():
            raise InputError(f"the error {values.min():g} is negative", parameter=key)
        if key == "counts" and poisson and (values < 0).any():
            raise InputError(
                f"{values.min():g} counts cannot be Poisson", parameter=key, remedy="use chi2"
            )
    if poisson and arrays["background_error"] is None and (arrays["background"] < 0).any():
        raise InputError(
            f"{arrays['background'].min():g} counts cannot be Poisson",
            parameter="background",
            remedy="use pgstat or chi2",
        )
