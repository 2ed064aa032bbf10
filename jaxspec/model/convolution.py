"""Convolution kernels: they get ``inner(e_lo, e_hi)``, the model they act on, per bin."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxspec._constants import XSPEC_KEV_TO_ERG

FLUX_BINS = 400
LOWEST_ENERGY = 1e-3  # keV; Emin = 0 is allowed, a logarithmic grid needs more


def zashift(inner, e_lo, e_hi, Redshift):
    """Redshift of an additive model: inner at E(1+z), divided by 1+z.

    Parameters
    ----------
    inner : callable, ``inner(e_lo, e_hi)`` photons/cm2/s per bin in the source frame.
    e_lo, e_hi : (n_energy,) keV, observed.
    Redshift : scalar, above -1.

    Returns
    -------
    (n_energy,) photons/cm2/s per observed bin.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from jaxspec.model.additive import powerlaw
    >>> inner = lambda lo, hi: powerlaw(lo, hi, 2.0)
    >>> [f"{x:.4g}" for x in zashift(inner, jnp.asarray([1.0]), jnp.asarray([2.0]), 1.0)]
    ['0.125']
    """
    stretch = 1.0 + Redshift
    return inner(e_lo * stretch, e_hi * stretch) / stretch


def energy_flux(inner, e_lo, e_hi, Emin, Emax):
    """Energy flux of a model between Emin and Emax, on a grid of its own.

    The grid has `FLUX_BINS` logarithmic bins from Emin (at least `LOWEST_ENERGY`) to Emax, so that
    the result does not depend on the energies of the response.

    Parameters
    ----------
    inner : callable, ``inner(e_lo, e_hi)`` photons/cm2/s per bin.
    e_lo, e_hi : (n_energy,) keV; they give the dtype only.
    Emin, Emax : scalars keV.

    Returns
    -------
    scalar erg/cm2/s; zero or negative where Emax <= Emin.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> e = jnp.asarray([1.0])
    >>> flux = energy_flux(lambda lo, hi: hi - lo, e, e, 1.0, 3.0)  # 1 photon/keV: 4 keV
    >>> round(float(flux) / 1.60219e-9, 5)
    4.0
    """
    step = jnp.arange(FLUX_BINS + 1, dtype=e_lo.dtype) / FLUX_BINS
    start = jnp.log(jnp.maximum(Emin, LOWEST_ENERGY))
    edges = jnp.exp(start + step * (jnp.log(jnp.maximum(Emax, LOWEST_ENERGY)) - start))
    lo, hi = edges[:-1], edges[1:]
    # Photons spread evenly over each bin, as in XSPEC: for E^-2 and Emax/Emin = 20 it is 1e-5 off.
    return XSPEC_KEV_TO_ERG * jnp.sum(inner(lo, hi) * 0.5 * (lo + hi))


def cflux(inner, e_lo, e_hi, Emin, Emax, lg10Flux):
    """Scale a model so that its energy flux from Emin to Emax is 10^lg10Flux.

    Parameters
    ----------
    inner : callable, ``inner(e_lo, e_hi)`` photons/cm2/s per bin; needs one norm frozen.
    e_lo, e_hi : (n_energy,) keV
    Emin, Emax : scalars keV, the band; it need not lie inside the energies of the response.
    lg10Flux : scalar, log10 of the flux in erg/cm2/s.

    Returns
    -------
    (n_energy,) photons/cm2/s per bin; zero where the model has no flux in the band.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from jaxspec.model.additive import powerlaw
    >>> inner = lambda lo, hi: powerlaw(lo, hi, 2.0)
    >>> lo, hi = jnp.asarray([2.0]), jnp.asarray([10.0])
    >>> out = cflux(inner, lo, hi, 2.0, 10.0, -9.0)
    >>> round(float(out[0]), 4)  # 0.4 photons carry ln 5 keV
    0.1551
    """
    flux = energy_flux(inner, e_lo, e_hi, Emin, Emax)
    visible = flux > 0
    scale = jnp.exp(math.log(10) * lg10Flux - jnp.log(jnp.where(visible, flux, 1.0)))
    return inner(e_lo, e_hi) * jnp.where(visible, scale, 0.0)
