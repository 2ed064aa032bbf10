"""Additive kernels: power laws and lines; photons/cm2/s in each bin for norm 1.

Every kernel takes bin edges ``e_lo, e_hi`` (n_energy,) in keV, positive and ascending, and scalar
parameters, and follows their dtype. Formulas as in the XSPEC manual; integrals are exact or
Gauss-Legendre, see `jaxspec.model.quadrature.integrate_bins`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc

from jaxspec._numerics import exprel
from jaxspec.model.quadrature import integrate_bins, log_width

TINY_ENERGY = 1e-6  # keV; thresholds may be 0 (a hard limit), logarithms of them may not
LINE_FLOOR = 1e-7  # keV; narrower than this nothing is where nothing may be spread
SPREAD = 0.5  # bins; the least with which the mean energy of the bins follows a line; see gaussian


def _power_integral(log_lo, width, index):
    """Integral of E^-index over [E, E exp(width)], log_lo = ln E; smooth through index = 1."""
    slope = 1.0 - index
    return jnp.exp(slope * log_lo) * width * exprel(slope * width)


def powerlaw(e_lo, e_hi, PhoIndex):
    """Power law E^-PhoIndex.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    PhoIndex : scalar, photon index.

    Returns
    -------
    (n_energy,) photons/cm2/s, exact, for 1 photon/keV/cm2/s at 1 keV.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in powerlaw(jnp.asarray([1.0, 2.0]), jnp.asarray([2.0, 4.0]), 2.0)]
    ['0.5', '0.25']
    """
    return _power_integral(jnp.log(e_lo), log_width(e_lo, e_hi), PhoIndex)


def cutoffpl(e_lo, e_hi, PhoIndex, HighECut):
    """Power law with an exponential cutoff, E^-PhoIndex exp(-E/HighECut).

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    PhoIndex : scalar, photon index.
    HighECut : scalar keV, e-folding energy.

    Returns
    -------
    (n_energy,) photons/cm2/s for 1 photon/keV/cm2/s at 1 keV, extrapolated without the cutoff.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in cutoffpl(jnp.asarray([1.0]), jnp.asarray([2.0]), 0.0, 1.0)]
    ['0.2325']
    """
    rate = 1.0 / HighECut
    return integrate_bins(lambda e, log_e: jnp.exp(-PhoIndex * log_e - e * rate), e_lo, e_hi)


def bknpower(e_lo, e_hi, PhoIndx1, BreakE, PhoIndx2):
    """Broken power law: E^-PhoIndx1 up to BreakE, then BreakE^(PhoIndx2-PhoIndx1) E^-PhoIndx2.

    The bin that holds the break is split there, so that the value and the derivative with respect
    to BreakE are exact.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    PhoIndx1, PhoIndx2 : scalars, photon indices below and above the break.
    BreakE : scalar keV.

    Returns
    -------
    (n_energy,) photons/cm2/s for 1 photon/keV/cm2/s at 1 keV of the lower power law.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in bknpower(jnp.asarray([1.0]), jnp.asarray([2.0]), 0.0, 1.5, 0.0)]
    ['1']
    """
    log_lo, width = jnp.log(e_lo), log_width(e_lo, e_hi)
    log_break = jnp.log(jnp.maximum(BreakE, TINY_ENERGY))
    below = jnp.clip(log_break - log_lo, 0.0, width)
    # Above the bin the scale is multiplied by an empty integral; there any finite value will do.
    scale = jnp.exp((PhoIndx2 - PhoIndx1) * jnp.minimum(log_break, log_lo + width))
    upper = _power_integral(log_lo + below, width - below, PhoIndx2)
    return _power_integral(log_lo, below, PhoIndx1) + scale * upper


def logpar(e_lo, e_hi, alpha, beta, pivotE):
    """Log-parabola (E/pivotE)^-(alpha + beta log10(E/pivotE)); Massaro et al. 2004, A&A 413, 489.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    alpha : scalar, photon index at pivotE.
    beta : scalar, curvature.
    pivotE : scalar keV, a scale that is not fitted.

    Returns
    -------
    (n_energy,) photons/cm2/s for 1 photon/keV/cm2/s at pivotE.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in logpar(jnp.asarray([1.0]), jnp.asarray([2.0]), 2.0, 0.0, 1.0)]
    ['0.5']
    """
    log_pivot, curvature = jnp.log(pivotE), beta / math.log(10)

    def density(e, log_e):
        x = log_e - log_pivot
        return jnp.exp(-x * (alpha + curvature * x))

    return integrate_bins(density, e_lo, e_hi)


@jax.custom_jvp
def _normal_between(lo, hi):
    """Normal probability between two scores lo <= hi, to full accuracy in both tails."""
    right = lo + hi > 0  # the difference is taken on the tail side, where no digits are lost
    near, far = jnp.where(right, lo, -hi), jnp.where(right, hi, -lo)
    return 0.5 * (erfc(near * math.sqrt(0.5)) - erfc(far * math.sqrt(0.5)))


@_normal_between.defjvp
def _normal_density(scores, moves):
    at_lo, at_hi = (jnp.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi)) for z in scores)
    return _normal_between(*scores), at_hi * moves[1] - at_lo * moves[0]


def width_at(e_lo, e_hi, energy):
    """Width of the energy bins about an energy, interpolated between the centres of the bins.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    energy : scalar keV

    Returns
    -------
    scalar keV; at most a quarter of the way to the nearer end of the grid, so that eight standard
    deviations of half a width fit in between; 0 outside.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> edges = jnp.linspace(1.0, 2.0, 11)
    >>> [round(float(width_at(edges[:-1], edges[1:], e)), 3) for e in (1.5, 1.96, 2.5)]
    [0.1, 0.01, 0.0]
    """
    first, last = e_lo[:1], e_hi[-1:]
    centre = 0.5 * (e_lo + e_hi)
    width = jnp.minimum(e_hi - e_lo, 0.25 * jnp.minimum(centre - first, last - centre))
    at, none = jnp.concatenate([first, centre, last]), jnp.zeros_like(first)
    width = jnp.concatenate([none, width, none])
    gap = at[1:] - at[:-1]
    slope = (width[1:] - width[:-1]) / jnp.where(gap > 0, gap, 1.0)
    here = (at[:-1] <= energy) & (energy < at[1:])
    return jnp.sum(jnp.where(here, width[:-1] + slope * (energy - at[:-1]), 0.0))


def gaussian(e_lo, e_hi, LineE, Sigma):
    """Gaussian line of unit area over all energies (not renormalised to E > 0).

    A line that the bins resolve is integrated exactly. XSPEC does so for all lines: a narrow one
    stays in one bin, and moving it changes nothing. Here a narrow line is shared with the next
    bins, as if to Sigma^2 were added (`SPREAD` bins)^2 exp(-(Sigma/bin)^4). The mean energy of
    these bins then follows LineE (to 0.3 % of a bin where their widths are equal, 3 % where they
    grow by a half), and neither slope vanishes while Sigma is above 0. From Sigma = 2 bins on the
    addition is below 1e-8 of Sigma^2.

    Nothing is spread over the ends of the grid: a narrow line is inside with all its photons, or
    outside; on an end itself it is half inside.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    LineE : scalar keV, centre.
    Sigma : scalar keV, standard deviation.

    Returns
    -------
    (n_energy,) photons/cm2/s for 1 photon/cm2/s in the line.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> edges = jnp.linspace(6.0, 7.0, 11)
    >>> line = gaussian(edges[:-1], edges[1:], 6.45, 0.0)
    >>> [f"{x:.3f}" for x in line[2:7]]
    ['0.001', '0.157', '0.683', '0.157', '0.001']
    """
    width = width_at(e_lo, e_hi, LineE)
    ratio = (Sigma / jnp.maximum(width, TINY_ENERGY)) ** 2
    sigma = jnp.maximum(Sigma, LINE_FLOOR)
    scale = jax.lax.rsqrt(sigma**2 + (SPREAD * width) ** 2 * jnp.exp(-(ratio**2)))
    return _normal_between((e_lo - LineE) * scale, (e_hi - LineE) * scale)
