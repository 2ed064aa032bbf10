r"""Fit statistics of one bin: value, slope and curvature with respect to the model rate.

Symbols: S counts in the source region and B in the background region, t_s and t_b the exposures
with every scaling in them (t_s = T_s AREASCAL_s, t_b = T_b AREASCAL_b BACKSCAL_b / BACKSCAL_s),
m the model rate of the source in counts/s.

The four Poisson statistics differ only in what they say of the background. Once the background
is profiled out, each is described by mu, the expected counts in the source region, and all share

    slope = 2 t_s (1 - S / mu),    curvature = 2 t_s^2 / (mu + V),

the first because the statistic is stationary in the background (envelope theorem), the second
the expected (Fisher) information, V being the variance of the background estimate in the source
region: t_s^2/t_b^2 times B's expectation for wstat, times its variance for pgstat, else 0.

At least ``FLOOR`` counts are expected in any bin, as in XSPEC. Below that the value stays what it
is at the floor, while slope and curvature are those of the formula with mu at the floor: finite,
and pointing back to positive rates.

Sources: Cash 1979, ApJ 228, 939; XSPEC manual, appendix B (Arnaud); Wachter et al. 1979, ApJ
230, 274 (wstat); Gehrels 1986, ApJ 303, 336; Churazov et al. 1996, ApJ 471, 673.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.reduce.bins import BinCounts, make_bins

FLOOR = 1e-5  # counts; XSPEC's


class Bin(NamedTuple):
    """Statistic of each bin and its derivatives with respect to the model rate (counts/s)."""

    value: jax.Array
    slope: jax.Array
    curvature: jax.Array


class _Profile(NamedTuple):
    """A Poisson statistic with its background profiled out.

    ``mean`` is mu; ``expected`` and ``observed`` are half the expected and the true second
    derivative with respect to t_s m.
    """

    value: jax.Array
    mean: jax.Array
    expected: jax.Array
    observed: jax.Array


def _deviance(n, mean):
    """2 (mean - n + n ln(n / mean)), accurate where mean is close to a large n."""
    counted = n > 0
    safe_n = jnp.where(counted, n, 1.0)
    excess = mean - n
    near = counted & (jnp.abs(excess) < 0.5 * safe_n)
    far = counted & ~near
    log = jnp.where(
        near,
        jnp.log1p(jnp.where(near, excess / safe_n, 0.0)),
        jnp.log(jnp.where(far, mean / safe_n, 1.0)),
    )
    return jnp.where(counted, 2.0 * (excess - n * log), 2.0 * mean)


def _positive_root(b, c):
    """Larger root of x^2 + b x - c = 0 for c >= 0, without cancellation; max(-b, 0) at c = 0."""
    square = b * b + 4.0 * c
    curved = square > 0
    d = jnp.where(curved, jnp.sqrt(jnp.where(curved, square, 1.0)), 0.0)
    small = b >= 0
    bottom = jnp.where(small & curved, b + d, 1.0)
    return jnp.where(small, 2.0 * c / bottom, 0.5 * (d - b))


def _alpha(bins):
    """t_s / t_b; 0 where a bin has no background exposure, which leaves its background out."""
    seen = bins.t_b > 0
    return jnp.where(seen, bins.t_s / jnp.where(seen, bins.t_b, 1.0), 0.0)


def _known(bins, mean):
    """Give the profile of bins whose background is exactly known, ``mean`` counts in all."""
    mean = jnp.maximum(mean, FLOOR)
    return _Profile(_deviance(bins.counts, mean), mean, 1.0 / mean, bins.counts / mean**2)


def _cstat(bins, rate):
    return _known(bins, bins.t_s * rate)


def _pstat(bins, rate):
    return _known(bins, bins.t_s * rate + _alpha(bins) * bins.background)


def _wstat(bins, rate):
    # k = background counts expected in the source region: k^2 + (s - a (S + B)) k - a B s = 0
    source = jnp.maximum(bins.t_s * rate, FLOOR)
    alpha = _alpha(bins)
    a = alpha / (1.0 + alpha)
    k = _positive_root(source - a * (bins.counts + bins.background), a * bins.background * source)
    mean = source + k
    scaled = alpha > 0
    mean_b = jnp.where(scaled, k / jnp.where(scaled, alpha, 1.0), bins.background)
    value = _deviance(bins.counts, mean) + _deviance(bins.background, mean_b)
    # both Poisson terms bend: their curvatures S/mu^2 and B/k^2 act in series
    bottom = mean**2 * bins.background + k**2 * bins.counts
    bent = bottom > 0
    series = bins.counts * bins.background / jnp.where(bent, bottom, 1.0)
    observed = jnp.where(bent, series, bins.counts / mean**2)
    return _Profile(value, mean, 1.0 / (mean + alpha * k), observed)


def _pgstat(bins, rate):
    # mu solves mu^2 + (V - n) mu - S V = 0 with n = t_s (m + B / t_b)
    alpha = _alpha(bins)
    total = bins.t_s * rate + alpha * bins.background
    variance = alpha**2 * bins.background_variance
    exact = variance <= 0
    counted = bins.counts > 0
    # XSPEC keeps the unconstrained minimum for S = 0, where the background may become negative
    free = jnp.where(
        counted,
        _positive_root(variance - total, bins.counts * variance),
        total - variance,
    )
    mean = jnp.where(exact, jnp.maximum(total, FLOOR), free)
    ratio = jnp.where(counted, bins.counts / jnp.where(counted, mean, 1.0), 0.0)
    value = _deviance(bins.counts, mean) + variance * (1.0 - ratio) ** 2
    expected = 1.0 / (jnp.maximum(mean, FLOOR) + variance)
    bottom = jnp.where(counted, mean**2 + bins.counts * variance, 1.0)
    return _Profile(value, mean, expected, jnp.where(counted, bins.counts / bottom, 0.0))


def _poisson(profile, bins, rate):
    value, mean, expected, _ = profile(bins, rate)
    counted = bins.counts > 0
    ratio = jnp.where(counted, bins.counts / jnp.where(counted, mean, 1.0), 0.0)
    return Bin(value, 2.0 * bins.t_s * (1.0 - ratio), 2.0 * bins.t_s**2 * expected)


def _poisson_observed(profile, bins, rate):
    return 2.0 * bins.t_s**2 * profile(bins, rate).observed


def _weight(variance):
    usable = variance > 0
    return jnp.where(usable, 1.0 / jnp.where(usable, variance, 1.0), 0.0)


def _chi2(bins, rate):
    miss, weight = rate - bins.rate, _weight(bins.rate_variance)
    return Bin(miss**2 * weight, 2.0 * miss * weight, 2.0 * weight)


def _chi2_observed(bins, rate):
    return 2.0 * _weight(bins.rate_variance) * jnp.ones_like(rate)


def _model_weight(bins, rate):
    """Inverse variance with the model's own Poisson variance m / t_s in it, and its d/dm / var."""
    exposed = bins.t_s > 0
    t_s = jnp.where(exposed, bins.t_s, 1.0)
    weight = _weight(jnp.maximum(rate, FLOOR / t_s) / t_s + bins.rate_variance)
    weight = jnp.where(exposed, weight, 0.0)
    return weight, jnp.where(rate * t_s > FLOOR, weight / t_s, 0.0)


def _chi2_model(bins, rate):
    miss = rate - bins.rate
    weight, growth = _model_weight(bins, rate)
    value = miss**2 * weight
    return Bin(value, 2.0 * miss * weight - value * growth, 2.0 * weight)


def _chi2_model_observed(bins, rate):
    weight, growth = _model_weight(bins, rate)
    return 2.0 * weight * (1.0 - (rate - bins.rate) * growth) ** 2


class Statistic(NamedTuple):
    """One entry of ``STATISTICS``: its kernels, what it needs, one line of explanation."""

    kernel: Callable
    observed: Callable
    poisson: bool
    background: bool
    summary: str


def _poisson_entry(profile, background, summary):
    return Statistic(
        partial(_poisson, profile), partial(_poisson_observed, profile), True, background, summary
    )


STATISTICS = {
    "cash": _poisson_entry(_cstat, False, "Poisson deviance of the source region alone"),
    "cstat": _poisson_entry(_cstat, False, "as cash; wstat where a background is loaded"),
    "wstat": _poisson_entry(_wstat, True, "Poisson source, Poisson background profiled out"),
    "pstat": _poisson_entry(_pstat, True, "Poisson source, background known exactly"),
    "pgstat": _poisson_entry(_pgstat, True, "Poisson source, Gaussian background profiled out"),
    "chi2": Statistic(_chi2, _chi2_observed, False, False, "STAT_ERR, or sqrt(counts)"),
    "chi2-gehrels": Statistic(_chi2, _chi2_observed, False, False, "error 1 + sqrt(N + 0.75)"),
    "chi2-churazov": Statistic(
        _chi2, _chi2_observed, False, False, "variance from neighbouring bins"
    ),
    "chi2-model": Statistic(
        _chi2_model, _chi2_model_observed, False, False, "variance from the model"
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
    the chi2 family ``bins.rate_variance`` comes from `weighted`.
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

    def poisson(bins):
        exposed = bins.t_s > 0
        scale = jnp.where(exposed, 1.0 / jnp.where(exposed, bins.t_s, 1.0), 0.0)
        alpha = _alpha(bins) if STATISTICS[name].background else jnp.zeros_like(bins.t_s)
        net = bins.counts - alpha * bins.background
        variance = jnp.maximum(bins.counts, 1.0) + alpha**2 * bins.background_variance
        return net * scale, variance * scale**2

    return poisson


def chi2_variance(name, bins):
    """Variance (n_bin,) of the net rate for the chi2 family, (counts/s)^2; NumPy, on the host.

    Parameters
    ----------
    name : str
        "chi2": ``bins.variance`` and ``bins.background_variance``; a bin without any error gets
        that of one count, in whichever of source and background the rate is smaller (XSPEC).
        "chi2-gehrels": (1 + sqrt(N + 0.75))^2 for source and background. "chi2-churazov": the
        mean counts in the smallest symmetric window of the given bins that holds 20 counts.
        "chi2-model": only what the model does not bring: the Poisson noise of the background in
        the source region and that of the background's own estimate.
    bins : BinCounts

    Returns
    -------
    (n_bin,) float64, with ``bins.systematic`` added; inf in bins without exposure.

    Examples
    --------
    >>> chi2_variance("gehrels", make_bins([0.0], t_s=10.0)).round(5)
    array([0.03482])
    """
    name = statistic_name(name)
    source, background = bins.variance, bins.background_variance
    weigh = {"chi2-gehrels": _gehrels, "chi2-churazov": _churazov}.get(name)
    if weigh is not None:
        source = weigh(bins.counts)
        background = np.where(bins.background_variance > 0, weigh(bins.background), 0.0)
    if name == "chi2-model":
        with np.errstate(divide="ignore", invalid="ignore"):
            source = np.where(bins.t_b > 0, bins.t_s * bins.background / bins.t_b, 0.0)
    return _add_rates(source, background, bins, replace=name != "chi2-model") + bins.systematic


def _add_rates(source, background, bins, replace):
    with np.errstate(divide="ignore", invalid="ignore"):
        per_s = 1.0 / bins.t_s**2
        per_b = np.where(bins.t_b > 0, 1.0 / bins.t_b**2, np.inf)
        total = source * per_s + np.where(background > 0, background * per_b, 0.0)
        if replace:
            total = np.where(total > 0, total, np.minimum(per_s, per_b))
    return np.where(bins.t_s > 0, total, np.inf)


def _gehrels(counts):
    return (1.0 + np.sqrt(np.maximum(counts, 0.0) + 0.75)) ** 2


def _churazov(counts):
    n = len(counts)
    running = np.concatenate([[0.0], np.cumsum(counts)])
    bin_, half = np.arange(n), np.zeros(n, dtype=int)
    while True:
        lo, hi = np.maximum(bin_ - half, 0), np.minimum(bin_ + half + 1, n)
        inside = running[hi] - running[lo]
        grow = (inside < 20.0) & (hi - lo < n)
        if not grow.any():
            return inside / (hi - lo)
        half = half + grow


def weighted(name, bins):
    """``bins`` with ``rate_variance`` as the statistic wants it (unchanged for Poisson ones)."""
    if STATISTICS[statistic_name(name)].poisson:
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
        values = np.asarray(_values(name, weighted(name, bins), arrays["rate"].ravel()))
    return values.reshape(arrays["counts"].shape)


@partial(jax.jit, static_argnums=0)
def _values(name, bins: BinCounts, rate):
    return kernel(name)(bins, rate).value


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
