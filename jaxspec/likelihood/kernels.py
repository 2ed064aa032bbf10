r"""Fit statistics of one bin: value, slope and curvature with respect to the model rate.

Symbols: S counts in the source region and B in the background region, t_s and t_b the exposures
with every scaling in them (t_s = T_s AREASCAL_s, t_b = T_b AREASCAL_b BACKSCAL_b / BACKSCAL_s),
m the model rate of the source in counts/s, to which the rate of a CORRFILE is added.

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

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

FLOOR = 1e-5  # counts; XSPEC's


class Bin(NamedTuple):
    """Statistic of each bin and its derivatives with respect to the model rate (counts/s)."""

    value: jax.Array
    slope: jax.Array
    curvature: jax.Array


class Profile(NamedTuple):
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


def alpha_of(bins):
    """Give t_s / t_b; 0 where a bin has no background exposure, which leaves its background out."""
    seen = bins.t_b > 0
    return jnp.where(seen, bins.t_s / jnp.where(seen, bins.t_b, 1.0), 0.0)


def _known(bins, mean, floor):
    """Give the profile of bins whose background is exactly known, ``mean`` counts in all."""
    mean = jnp.maximum(mean, floor)
    return Profile(_deviance(bins.counts, mean), mean, 1.0 / mean, bins.counts / mean**2)


def cstat(bins, rate, floor):
    """Profile without any background."""
    return _known(bins, bins.t_s * (rate + bins.known), floor)


def pstat(bins, rate, floor):
    """Profile of a background known without error."""
    return _known(bins, bins.t_s * (rate + bins.known) + alpha_of(bins) * bins.background, floor)


def wstat(bins, rate, floor):
    """Profile of a background measured as Poisson counts."""
    # k = background counts expected in the source region: k^2 + (s - a (S + B)) k - a B s = 0
    source = jnp.maximum(bins.t_s * (rate + bins.known), floor)
    alpha = alpha_of(bins)
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
    return Profile(value, mean, 1.0 / (mean + alpha * k), observed)


def pgstat(bins, rate, floor):
    """Profile of a background known with a Gaussian error."""
    # mu solves mu^2 + (V - n) mu - S V = 0 with n = t_s (m + B / t_b)
    alpha = alpha_of(bins)
    total = bins.t_s * (rate + bins.known) + alpha * bins.background
    variance = alpha**2 * bins.background_variance
    exact = variance <= 0
    counted = bins.counts > 0
    # XSPEC keeps the unconstrained minimum for S = 0, where the background may become negative
    free = jnp.where(
        counted,
        _positive_root(variance - total, bins.counts * variance),
        total - variance,
    )
    mean = jnp.where(exact, jnp.maximum(total, floor), free)
    ratio = jnp.where(counted, bins.counts / jnp.where(counted, mean, 1.0), 0.0)
    value = _deviance(bins.counts, mean) + variance * (1.0 - ratio) ** 2
    expected = 1.0 / (jnp.maximum(mean, floor) + variance)
    bottom = jnp.where(counted, mean**2 + bins.counts * variance, 1.0)
    return Profile(value, mean, expected, jnp.where(counted, bins.counts / bottom, 0.0))


def poisson(profile, bins, rate, floor=FLOOR):
    """`Bin` of a Poisson statistic from its profile."""
    value, mean, expected, _ = profile(bins, rate, floor)
    counted = bins.counts > 0
    ratio = jnp.where(counted, bins.counts / jnp.where(counted, mean, 1.0), 0.0)
    return Bin(value, 2.0 * bins.t_s * (1.0 - ratio), 2.0 * bins.t_s**2 * expected)


def poisson_observed(profile, bins, rate, floor=FLOOR):
    """Second derivative of a Poisson statistic from its profile."""
    return 2.0 * bins.t_s**2 * profile(bins, rate, floor).observed


def _weight(variance):
    usable = variance > 0
    return jnp.where(usable, 1.0 / jnp.where(usable, variance, 1.0), 0.0)


def chi2(bins, rate, floor=FLOOR):
    """`Bin` of chi2 with the variance of the data; there is no floor."""
    miss, weight = rate - bins.rate, _weight(bins.rate_variance)
    return Bin(miss**2 * weight, 2.0 * miss * weight, 2.0 * weight)


def chi2_observed(bins, rate, floor=FLOOR):
    """Second derivative of `chi2`."""
    return 2.0 * _weight(bins.rate_variance) * jnp.ones_like(rate)


def _model_weight(bins, rate, floor):
    """Inverse variance with the model's own Poisson variance m / t_s in it, and its d/dm / var."""
    exposed = bins.t_s > 0
    t_s = jnp.where(exposed, bins.t_s, 1.0)
    weight = _weight(jnp.maximum(rate, floor / t_s) / t_s + bins.rate_variance)
    weight = jnp.where(exposed, weight, 0.0)
    return weight, jnp.where(rate * t_s > floor, weight / t_s, 0.0)


def chi2_model(bins, rate, floor=FLOOR):
    """`Bin` of chi2 with the variance of the model, which the derivative knows of."""
    miss = rate - bins.rate
    weight, growth = _model_weight(bins, rate, floor)
    value = miss**2 * weight
    return Bin(value, 2.0 * miss * weight - value * growth, 2.0 * weight)


def chi2_model_observed(bins, rate, floor=FLOOR):
    """Second derivative of `chi2_model`."""
    weight, growth = _model_weight(bins, rate, floor)
    return 2.0 * weight * (1.0 - (rate - bins.rate) * growth) ** 2


def cash_log_likelihood(bins, rate, floor=FLOOR):
    """Logarithm of the Poisson probability but for ``-ln S!``; one logarithm per bin."""
    mean = jnp.maximum(bins.t_s * (rate + bins.known), floor)
    return bins.counts * jnp.log(mean) - mean


def log_factorial(bins):
    """``-ln S!``, what `cash_log_likelihood` leaves out."""
    return -gammaln(bins.counts + 1.0)


def _saturated(n):
    """Logarithm of the Poisson probability of n where n is expected."""
    return jnp.where(n > 0, n * jnp.log(jnp.where(n > 0, n, 1.0)) - n, 0.0) - gammaln(n + 1.0)


def saturated(bins):
    """What half a deviance of the source region leaves out of its log-likelihood."""
    return _saturated(bins.counts)


def saturated_both(bins):
    """The same where the background is Poisson as well."""
    return _saturated(bins.counts) + _saturated(bins.background)


def saturated_gauss(bins):
    """The same where the background is Gaussian."""
    return _saturated(bins.counts) + log_gauss(bins.background_variance)


def log_gauss(variance):
    """Logarithm of the norm of a Gaussian; 0 where there is no variance."""
    some = (variance > 0) & (variance < jnp.inf)
    return jnp.where(some, -0.5 * jnp.log(2.0 * jnp.pi * jnp.where(some, variance, 1.0)), 0.0)


def log_gauss_rate(bins):
    """What half of chi2 leaves out."""
    return log_gauss(bins.rate_variance)
