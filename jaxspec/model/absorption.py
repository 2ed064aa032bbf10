"""Photoelectric absorption: phabs, TBabs, wabs.

All three are exp(-nH sigma), nH in 1e22 hydrogen atoms/cm2, sigma in 1e-22 cm2 per hydrogen. The
cross sections of phabs and TBabs do not depend on what is fitted: ``prepare_*`` computes them once
per energy grid by XSPEC's rules (see there), and ``lookup_*`` gives a JAX function with the same
result for energies that depend on a parameter. Those of wabs are a few polynomials and need
neither. XSPEC splits bins at absorption edges for wabs and for the cross sections bcmc and obcm.
"""

from __future__ import annotations

from functools import cache

import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.model import cross_sections as xs
from jaxspec.model.quadrature import load_data

UNIT = 1e22


def absorption(e_lo, e_hi, nH, sigma):
    """Transmission exp(-nH sigma).

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV, not used: they are in sigma.
    nH : scalar, 1e22 hydrogen atoms/cm2.
    sigma : (n_energy,) 1e-22 cm2 per hydrogen, from a ``prepare`` or ``lookup`` function.

    Returns
    -------
    (n_energy,) transmitted fraction.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> e_lo, e_hi = np.array([1.0]), np.array([1.1])
    >>> sigma = jnp.asarray(prepare_tbabs(e_lo, e_hi, ("wilm", "vern")))
    >>> [f"{x:.4g}" for x in absorption(e_lo, e_hi, 0.5, sigma)]
    ['0.4625']
    """
    return jnp.exp(-nH * sigma)


def _abundance(abund):
    if abund not in xs.ABUNDANCES:
        raise InputError(
            f"abundance table {abund!r} is not known",
            parameter="abund",
            remedy=f"choose one of {', '.join(xs.ABUNDANCES)}",
        )
    return xs.elements().abundance[abund]


def _helium(xsect):
    return xs.helium_yan if xsect == "bcmc" else xs.helium_marr_west


def sigma_phabs(energy, abund="angr", xsect="vern"):
    """Cross section per hydrogen of neutral gas.

    Parameters
    ----------
    energy : (n_energy,) keV; zero outside 13.6 eV - 100 keV.
    abund : str, abundance table.
    xsect : "vern" (Verner et al. 1996), "bcmc" or "obcm" (Balucinska-Church & McCammon 1992 with
        the helium of Yan et al. 1998 or Marr & West 1976).

    Returns
    -------
    (n_energy,) 1e-22 cm2.

    Examples
    --------
    >>> [f"{x:.4g}" for x in sigma_phabs(np.array([1.0]), "angr", "vern")]
    ['2.502']
    """
    abundance = _abundance(abund)
    ev = np.asarray(energy, float) * 1e3
    inside = (ev >= xs.LOWEST) & (ev <= 1e5)
    ev = np.clip(ev, xs.LOWEST, 1e5)
    if xsect == "vern":
        sigma = xs.verner(ev)
    elif xsect in xs.CROSS_SECTIONS:
        sigma = xs.balucinska_mccammon(ev, _helium(xsect)(ev))
    else:
        raise InputError(
            f"cross sections {xsect!r} are not known",
            parameter="xsect",
            remedy=f"choose one of {', '.join(xs.CROSS_SECTIONS)}",
        )
    return np.where(inside, UNIT * (abundance @ sigma), 0.0)


def sigma_tbabs(energy, abund="wilm", xsect="vern"):
    """Cross section per hydrogen of gas, molecules and grains; Wilms, Allen & McCray 2000.

    A fifth of the hydrogen is molecular; the depletion of the elements in grains is fixed.

    Parameters
    ----------
    energy : (n_energy,) keV; zero below 13.6 eV.
    abund : str, abundance table.
    xsect : str, ignored, as in XSPEC.

    Returns
    -------
    (n_energy,) 1e-22 cm2.

    Examples
    --------
    >>> [f"{x:.4g}" for x in sigma_tbabs(np.array([1.0]), "wilm")]
    ['1.738']
    """
    abundance, atoms = _abundance(abund), xs.elements()
    ev = np.asarray(energy, float) * 1e3
    inside = ev >= xs.LOWEST
    ev = np.maximum(ev, xs.LOWEST)
    sigma = xs.verner(ev)
    sigma[0], sigma[1] = xs.hydrogen_band(ev), xs.helium_yan(ev)
    sigma = xs.fine_structure(ev, sigma)
    gas = abundance * atoms.gas
    gas[0] *= 0.8
    solid = abundance * (1 - atoms.gas)
    total = gas @ sigma + 0.1 * xs.hydrogen_molecule(ev)
    total = total + xs.grains(solid @ sigma, solid @ atoms.weight / xs.AVOGADRO)
    return np.where(inside, UNIT * total, 0.0)


@cache
def _wabs_ranges():
    """Upper ends of the energy ranges of wabs (the last one inf), and c0, c1, c2 of each."""
    _, upper, *coefficients = load_data("morrison_mccammon.txt").T
    return upper, np.stack(coefficients)


def sigma_wabs(energy):
    """Cross section per hydrogen of Morrison & McCammon 1983, ApJ 270, 119 (in JAX).

    Parameters
    ----------
    energy : (n_energy,) keV; zero below 13.6 eV.

    Returns
    -------
    (n_energy,) 1e-22 cm2; at an edge the value below it.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in sigma_wabs(jnp.asarray([1.0]))]
    ['2.422']
    """
    upper, table = _wabs_ranges()
    row = sum((energy > bound).astype(int) for bound in upper[:-1].tolist())
    c0, c1, c2 = (jnp.asarray(c, energy.dtype)[row] for c in table)
    e = jnp.maximum(energy, 1e-3)
    sigma = (c0 + e * (c1 + e * c2)) / e**3
    return jnp.where(energy >= xs.LOWEST * 1e-3, sigma, 0.0)


def wabs(e_lo, e_hi, nH):
    """Transmission of cold gas with the abundances of Anders & Ebihara 1982.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    nH : scalar, 1e22 hydrogen atoms/cm2.

    Returns
    -------
    (n_energy,) mean over each bin by the trapezoidal rule between its edges and the absorption
    edges inside it (XSPEC's rule).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in wabs(jnp.asarray([1.0]), jnp.asarray([1.1]), 0.5)]
    ['0.3451']
    """
    upper, table = _wabs_ranges()
    breaks = upper[:-1]
    powers = np.stack([np.ones_like(breaks), breaks, breaks**2]) / breaks**3
    sides = [(table[:, :-1] * powers).sum(0), (table[:, 1:] * powers).sum(0)]
    below, above = (jnp.exp(-nH * jnp.asarray(sigma, e_lo.dtype)) for sigma in sides)
    lower, upper = (jnp.asarray([e], e_lo.dtype) for e in ([0.0, *breaks], [*breaks, 1e30]))
    begin = jnp.clip(e_lo[:, None], lower, upper)  # of the part of each bin in each range
    end = jnp.clip(e_hi[:, None], lower, upper)
    half = 0.5 * (end - begin) / (e_hi - e_lo)[:, None]
    first, last = begin > lower, end < upper  # whether the part begins, or ends, with the bin
    total = jnp.exp(-nH * sigma_wabs(e_lo)) * jnp.sum(jnp.where(first, half, 0.0), 1)
    total = total + jnp.exp(-nH * sigma_wabs(e_hi)) * jnp.sum(jnp.where(last, half, 0.0), 1)
    total = total + jnp.where(first, 0.0, half)[:, 1:] @ above
    return total + jnp.where(last, 0.0, half)[:, :-1] @ below


def _edge_mean(sigma, e_lo, e_hi, settings):
    """Mean of a cross section over the two edges of each bin; shared edges are computed once."""
    edges, index = np.unique(np.concatenate([e_lo, e_hi]), return_inverse=True)
    both = sigma(edges, *settings)[index].reshape(2, -1)
    return 0.5 * (both[0] + both[1])


def prepare_phabs(e_lo, e_hi, settings, source=None):
    """Mean cross section of neutral gas in each bin by XSPEC's rules: (n_energy,) 1e-22 cm2.

    With vern it is the mean of `sigma_phabs` at the two edges. With bcmc and obcm it is the
    value at the middle; at an edge the logarithms at the middle of both parts of the bin are
    averaged.
    """
    abund, xsect = settings
    if xsect == "vern":
        return _edge_mean(sigma_phabs, e_lo, e_hi, settings)
    lo, hi = np.asarray(e_lo, float), np.asarray(e_hi, float)
    helium = _helium(xsect)(np.clip(500 * (lo + hi), xs.LOWEST, 1e5))
    return _sigma_of_bins(lo, hi, helium, abund)


def _sigma_of_bins(e_lo, e_hi, helium, abund, xp=np):
    """`balucinska_mccammon_bins` of all elements: (n_energy,) 1e-22 cm2 for keV."""
    lo, hi = (1e3 * xp.clip(e, xs.LOWEST * 1e-3, 1e2) for e in (e_lo, e_hi))
    middle = 0.5 * (e_lo + e_hi)
    inside = (middle >= xs.LOWEST * 1e-3) & (middle <= 1e2)
    lo, hi = (xp.where(inside, e, safe) for e, safe in ((lo, 1e3), (hi, 2e3)))
    sigma = UNIT * xs.balucinska_mccammon_bins(lo, hi, helium, xp)
    return xp.where(inside, _abundance(abund).astype(e_lo.dtype) @ sigma, 0.0)


def prepare_tbabs(e_lo, e_hi, settings, source=None):
    """`sigma_tbabs` averaged over the edges of each bin: (n_energy,) 1e-22 cm2."""
    return _edge_mean(sigma_tbabs, e_lo, e_hi, settings)


@cache
def _table_energies():
    """Energies (keV) between which sigma E^3 is close to linear in ln E; edges are doubled."""
    verner = load_data("verner.txt")
    edges = [*verner[:, 3], *verner[:, 4], *load_data("balucinska_mccammon.txt")[:, 2]]
    edges += [13.599, 15.4, 18, 24.58, 24.601, 30, 85, 745, 795, 12398.54 / 46, 1e5]
    z, structure, _ = load_data("fine_structure.txt").T
    edges += [e for element in (8, 10, 26) for e in structure[z == element][[0, -1]]]
    edges = np.array([e for e in edges if xs.LOWEST < e < 1e6])
    resonances = 13.605698 * np.linspace(4.4, 4.81, 400)
    grid = np.geomspace(xs.LOWEST, 1e6, 6000)
    points = [grid, structure, resonances, edges * (1 - 1e-9), edges * (1 + 1e-9)]
    below = xs.LOWEST * np.array([1e-9, 1 - 1e-9])
    return np.unique(np.concatenate([below, *points])) * 1e-3


def _lookup(sigma, settings):
    e = _table_energies()
    log_e, scaled = np.log(e), sigma(e, *settings) * e**3

    def at(energy):
        x, y = jnp.asarray(log_e, energy.dtype), jnp.asarray(scaled, energy.dtype)
        return jnp.interp(jnp.log(energy), x, y) / energy**3

    return lambda e_lo, e_hi: 0.5 * (at(e_lo) + at(e_hi))


@cache
def lookup_phabs(settings, source=None):
    """JAX function (e_lo, e_hi) -> `prepare_phabs`, within 1e-5 from 13.6 eV to 1 MeV."""
    abund, xsect = settings
    if xsect == "vern":
        return _lookup(sigma_phabs, settings)
    e = _table_energies()
    log_e, scaled = np.log(e), _helium(xsect)(np.clip(e * 1e3, xs.LOWEST, 1e5)) * UNIT * e**3

    def bins(e_lo, e_hi):
        middle = 0.5 * (e_lo + e_hi)
        x, y = jnp.asarray(log_e, middle.dtype), jnp.asarray(scaled, middle.dtype)
        helium = jnp.interp(jnp.log(middle), x, y) / middle**3 / UNIT
        return _sigma_of_bins(e_lo, e_hi, helium, abund, jnp)

    return bins


@cache
def lookup_tbabs(settings, source=None):
    """JAX function (e_lo, e_hi) -> `prepare_tbabs`, within 1e-4 (O K), mostly 1e-6."""
    return _lookup(sigma_tbabs, settings)
