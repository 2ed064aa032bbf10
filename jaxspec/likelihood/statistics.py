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
from jaxspec.likelihood.goodness import (
    expected_cash,
    expected_chi2,
    expected_pgstat,
    expected_pstat,
    expected_wstat,
)
from jaxspec.likelihood.kernels import (
    FLOOR,
    alpha_of,
    cash_log_likelihood,
    chi2,
    chi2_model,
    chi2_model_observed,
    chi2_observed,
    cstat,
    log_factorial,
    log_gauss_rate,
    pgstat,
    poisson,
    poisson_observed,
    pstat,
    saturated,
    saturated_both,
    saturated_gauss,
    wstat,
)
from jaxspec.likelihood.weights import chi2_variance
from jaxspec.reduce.bins import BinCounts, make_bins


class Statistic(NamedTuple):
    """One entry of ``STATISTICS``: all that is ever asked of a statistic.

    ``bins`` is a `jaxspec.reduce.bins.BinCounts` of (..., n_bin) arrays, ``rate`` (..., n_bin) the
    model of the source in counts/s. The first four are elementwise, finite, and in JAX.

    Parameters
    ----------
    kernel : ``(bins, rate, floor) -> Bin``: value, slope and Fisher curvature by the rate.
    observed : ``(bins, rate, floor) -> (..., n_bin)``, the true second derivative, >= 0.
    log_likelihood : ``(bins, rate, floor) -> (..., n_bin)``, without `constant`.
    constant : ``bins -> (..., n_bin)``, what does not depend on the model.
    net : ``bins -> (rate, variance)`` of what the model should be near, counts/s.
    expected : ``(bins, rate) -> (mean, variance)`` of the statistic if the model is true; NumPy.
    scatter : ``(bins, rate) -> (..., n_bin)``, variance of net rate minus model, (counts/s)^2.
    errors : str, statistic whose `net` gives the errors that data are drawn with.
    poisson, background : bool, whether counts are Poisson; whether a background is needed.
    summary : str
    likelihood : bool
        Whether the value is -2 ln L but for a term that depends on the data alone; not where the
        model sets the errors.
    """

    kernel: Callable
    observed: Callable
    log_likelihood: Callable
    constant: Callable
    net: Callable
    expected: Callable
    scatter: Callable
    errors: str
    poisson: bool
    background: bool
    summary: str
    likelihood: bool = True


def _per_second(bins):
    exposed = bins.t_s > 0
    return jnp.where(exposed, 1.0 / jnp.where(exposed, bins.t_s, 1.0), 0.0)


def _net_source(bins):
    """The background is left out; at least the variance of one count."""
    scale = _per_second(bins)
    return bins.counts * scale - bins.known, jnp.maximum(bins.counts, 1.0) * scale**2


def _net_both(bins):
    """The background is subtracted."""
    scale, alpha = _per_second(bins), alpha_of(bins)
    variance = jnp.maximum(bins.counts, 1.0) + alpha**2 * bins.background_variance
    net = (bins.counts - alpha * bins.background) * scale - bins.known
    return net, variance * scale**2


def _net_chi2(bins):
    return bins.rate, bins.rate_variance


def _divided(a, b):
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=np.isfinite(b) & (b > 0))


def _scatter_source(bins, rate):
    """Poisson, the model alone."""
    return _divided(np.maximum(rate + bins.known, 0.0), bins.t_s)


def _scatter_known(bins, rate):
    """Poisson with the background known."""
    behind = np.nan_to_num(_divided(bins.background, bins.t_b))
    return _divided(np.maximum(rate + bins.known + behind, 0.0), bins.t_s)


def _scatter_both(bins, rate):
    """Poisson with the error of the background."""
    own = np.nan_to_num(_divided(bins.background_variance, bins.t_b**2))
    return _scatter_known(bins, rate) + own


def _scatter_chi2(bins, rate):
    return np.asarray(bins.rate_variance)


def _scatter_model(bins, rate):
    return bins.rate_variance + _divided(np.maximum(rate, 0.0), bins.t_s)


def _half(value):
    """Log-likelihood from a statistic that is minus twice it."""
    return lambda bins, rate, floor=FLOOR: -0.5 * value(bins, rate, floor).value


def _poisson_entry(profile, background, net, expected, scatter, summary, constant=saturated):
    value = partial(poisson, profile)
    alone = profile is cstat
    return Statistic(
        kernel=value,
        observed=partial(poisson_observed, profile),
        log_likelihood=cash_log_likelihood if alone else _half(value),
        constant=log_factorial if alone else constant,
        net=net,
        expected=expected,
        scatter=scatter,
        errors="chi2",
        poisson=True,
        background=background,
        summary=summary,
    )


def _chi2_entry(summary, errors="chi2", value=chi2, observed=chi2_observed, scatter=_scatter_chi2):
    return Statistic(
        kernel=value,
        observed=observed,
        log_likelihood=_half(value),
        constant=log_gauss_rate,
        net=_net_chi2,
        expected=expected_chi2,
        scatter=scatter,
        errors=errors,
        poisson=False,
        background=False,
        summary=summary,
    )


_SOURCE = (False, _net_source, expected_cash, _scatter_source)
STATISTICS = {
    "cash": _poisson_entry(cstat, *_SOURCE, "Poisson deviance of the source region alone"),
    "cstat": _poisson_entry(cstat, *_SOURCE, "as cash; wstat where a background is loaded"),
    "wstat": _poisson_entry(
        wstat, True, _net_both, expected_wstat, _scatter_both,
        "Poisson source, Poisson background profiled out", saturated_both,
    ),
    "pstat": _poisson_entry(
        pstat, True, _net_both, expected_pstat, _scatter_known,
        "Poisson source, background known exactly",
    ),
    "pgstat": _poisson_entry(
        pgstat, True, _net_both, expected_pgstat, _scatter_both,
        "Poisson source, Gaussian background profiled out", saturated_gauss,
    ),
    "chi2": _chi2_entry("STAT_ERR, or sqrt(counts)"),
    "chi2-gehrels": _chi2_entry("error 1 + sqrt(N + 0.75)", "chi2-gehrels"),
    "chi2-churazov": _chi2_entry("variance from neighbouring bins", "chi2-churazov"),
    "chi2-model": _chi2_entry(
        "variance from the model", "chi2", chi2_model, chi2_model_observed, _scatter_model
    )._replace(likelihood=False),
}  # fmt: skip

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


def weighted(name, bins):
    """``bins`` with ``rate_variance`` as the statistic wants it (unchanged for Poisson ones)."""
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
    for key, value in (("counts", counts), ("exposure", exposure), ("rate", rate)):
        if value is None:
            raise InputError("is missing", parameter=key, remedy="give a number or an array")
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
    return STATISTICS[name].kernel(bins, rate, floor).value


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
