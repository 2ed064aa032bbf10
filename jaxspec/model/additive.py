"""Additive kernels: power laws and lines; photons/cm2/s in each bin for norm 1.

Every kernel takes bin edges ``e_lo, e_hi`` (n_energy,) in keV, positive and ascending, and scalar
parameters, and follows their dtype. Formulas as in the XSPEC manual; integrals are exact or
Gauss-Legendre, see `jaxspec.model.quadrature.integrate_bins`.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.scipy.special import erfc

from jaxspec._numerics import exprel
from jaxspec.model.quadrature import integrate_bins, log_width

TINY_ENERGY = 1e-6  # keV; thresholds may be 0 (a hard limit), logarithms of them may not
LINE_FLOOR = 1e-7  # keV; at and below this Sigma a gaussian is a delta function


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


def gaussian(e_lo, e_hi, LineE, Sigma):
    """Gaussian line of unit area over all energies (not renormalised to E > 0).

    With Sigma = 0 all photons are in the bin with e_lo < LineE <= e_hi. Up to `LINE_FLOOR` the line
    counts as such a delta function: its derivatives with respect to LineE and Sigma are zero there.

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
    >>> gaussian(jnp.asarray([6.0, 6.4]), jnp.asarray([6.4, 7.0]), 6.4, 0.0).tolist()
    [1.0, 0.0]
    """
    wide = Sigma > LINE_FLOOR
    scale = math.sqrt(0.5) / jnp.where(wide, Sigma, 1.0)
    lo, hi = (e_lo - LineE) * scale, (e_hi - LineE) * scale
    right = lo + hi > 0  # the difference is taken on the tail side, where no digits are lost
    near, far = jnp.where(right, lo, -hi), jnp.where(right, hi, -lo)
    delta = ((e_lo < LineE) & (LineE <= e_hi)).astype(lo.dtype)
    return jnp.where(wide, 0.5 * (erfc(near) - erfc(far)), delta)
