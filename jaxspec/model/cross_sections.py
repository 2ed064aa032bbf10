"""Photoabsorption cross sections of atoms, hydrogen molecules and grains (NumPy, on the host).

Energies are eV arrays, cross sections cm2. Coefficients are in ``jaxspec/model/data``, each file
with its source.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from jaxspec.model.quadrature import load_data

ABUNDANCES = ("angr", "aspl", "feld", "aneb", "grsa", "wilm", "lodd", "lpgp", "lpgs")
CROSS_SECTIONS = ("bcmc", "obcm", "vern")
MEGABARN = 1e-18
LOWEST = 13.6  # eV; nothing absorbs below the Lyman edge
AVOGADRO = 6.022045e23  # the value behind the published fits
HELIUM_SCALE = AVOGADRO / 4.0026 * 1e-24 * 6.646  # of bcmc and obcm

_HE_YAN = (1, -4.7416, 14.8200, -30.8678, 37.3584, -23.4585, 5.9133)
_HE_RESONANCES = (  # q, nu, gamma/Ryd
    (2.81, 1.610, 2.64061e-3),
    (2.51, 2.795, 6.20116e-4),
    (2.45, 3.817, 2.56061e-4),
    (2.44, 4.824, 1.320159e-4),
)
_HE_MARR_WEST = (  # powers of log10(lambda/A), from 46 A and below
    (-29.53607, 7.083061, 0.8678646, -1.221932, 0.04052997, 0.1317109, -0.03265795, 0.002500933),
    (-24.65188, 4.354679, -3.553024, 5.573040, -5.872938, 3.720797, -1.226919, 0.1576657),
)
_H2 = (
    (1, -2.003, -4.806, 50.577, -171.044, 231.608, -81.885),  # above 85 eV, x^(-1/2)
    (0.664, -11.768, 78.118, -231.339, 368.053, -189.953),  # 30-85 eV, 1/x
    (0.071, -0.673, 1.977, -0.692),  # 18-30 eV, 1/x
    (-37.895, 99.723, -87.227, 25.4),  # 15.4-18 eV, x
)


class Elements:
    """Columns of ``elements.txt``: Z, weight, gas fraction, and the abundance tables."""

    def __init__(self):
        table = load_data("elements.txt", usecols=(0, 2, 3, *range(4, 13)))
        self.z = table[:, 0].astype(int)
        self.weight, self.gas = table[:, 1], table[:, 2]
        self.abundance = dict(zip(ABUNDANCES, table[:, 3:].T, strict=True))


@cache
def elements() -> Elements:
    """Return the 18 absorbing elements, in order of Z."""
    return Elements()


def _by_element(rows_z, values):
    """Sum rows of (n_row, n_energy) values into (n_element, n_energy)."""
    z = elements().z
    return (z[:, None] == rows_z).astype(values.dtype) @ values


def verner(energy):
    """Neutral atoms: Verner & Yakovlev 1995 with Verner et al. 1996 for the valence shells.

    Parameters
    ----------
    energy : (n_energy,) eV

    Returns
    -------
    (18, n_energy) cm2, in the order of `elements`.

    Examples
    --------
    >>> float(verner(np.array([1000.0]))[0, 0]).__format__(".4g")  # hydrogen at 1 keV
    '1.141e-23'
    """
    rows = load_data("verner.txt").T[:, :, None]
    z, _, shell_l, lo, hi, e_0, sigma_0, y_a, p, y_w, y_0, y_1 = rows
    x = energy / e_0 - y_0
    y = np.sqrt(x * x + y_1 * y_1)
    shape = np.exp((0.5 * p - 5.5 - shell_l) * np.log(y) - p * np.log1p(np.sqrt(y / y_a)))
    sigma = sigma_0 * ((x - 1) ** 2 + y_w**2) * shape
    return MEGABARN * _by_element(z[:, 0], np.where((energy >= lo) & (energy < hi), sigma, 0.0))


def balucinska_mccammon(energy, helium):
    """Balucinska-Church & McCammon 1992, with ``helium`` (n_energy,) cm2 for helium.

    Parameters
    ----------
    energy : (n_energy,) eV
    helium : (n_energy,) cm2, from `helium_yan` (bcmc) or `helium_marr_west` (obcm).

    Returns
    -------
    (18, n_energy) cm2, in the order of `elements`.

    Examples
    --------
    >>> e = np.array([1000.0])
    >>> float(balucinska_mccammon(e, 0 * e)[0, 0]).__format__(".4g")
    '1.137e-23'
    """
    z, lo, hi = load_data("balucinska_mccammon.txt").T[:3, :, None]
    inside = (energy >= lo) & (energy < hi)
    sigma = _by_element(z[:, 0], np.exp(np.where(inside, _log_fits(energy[None]), -np.inf)))
    sigma[1] = HELIUM_SCALE * helium
    return sigma


def balucinska_mccammon_bins(e_lo, e_hi, helium, xp=np):
    """`balucinska_mccammon` in bins, as XSPEC has it.

    The value is that at the middle of the bin. Where an edge of an element lies inside, the
    logarithms of the fits below and above it, each at the middle of its part, count by their shares
    of the bin.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) eV, arrays of ``xp``.
    helium : (n_energy,) cm2, at the middle of the bins.
    xp : module, numpy or jax.numpy.

    Returns
    -------
    (18, n_energy) cm2
    """
    z, lo, hi = load_data("balucinska_mccammon.txt").astype(e_lo.dtype).T[:3, :, None]
    e_lo, e_hi = e_lo[None], e_hi[None]
    begin, end = xp.clip(e_lo, lo, hi), xp.clip(e_hi, lo, hi)
    share = (end - begin) / (e_hi - e_lo)
    sigma = xp.exp(_by_element(z[:, 0], share * _log_fits(0.5 * (begin + end), xp)))
    return xp.where(elements().z[:, None] == 2, HELIUM_SCALE * helium[None], sigma)


def _log_fits(energy, xp=np):
    """Logarithm of each fit (n_row, n_energy); energy (1 or n_row, n_energy) eV.

    The coefficients are those of XSPEC, which holds them in single precision (without that, cross
    sections differ by up to 2e-5).
    """
    table = load_data("balucinska_mccammon.txt").astype(np.float32).astype(energy.dtype)
    log_e = xp.log(energy)
    polynomial = 0.0
    for column in table.T[:3:-1, :, None]:
        polynomial = polynomial * log_e + column
    return np.log(table[:, 3, None]) + polynomial - 3 * log_e - float(np.float32(55.26204))


def _helium_resonances(energy):
    """Fano profiles of the doubly excited states of helium near 60 eV (Oza 1986; Fernley 1987)."""
    factor = 1.0
    for q, nu, width in _HE_RESONANCES:
        offset = 2 * (energy / 13.605698 - (3 - 1 / nu**2 + 1.807317)) / width
        factor = factor * (offset - q) ** 2 / (1 + offset**2)
    return factor


def helium_yan(energy):
    """Helium: Yan, Sadeghpour & Dalgarno 1998, ApJ 496, 1044, with resonances."""
    smooth = 733e-24 * (energy / 1e3) ** -3.5 * _polynomial(_HE_YAN, (energy / 24.58) ** -0.5)
    return np.where(energy >= 24.58, smooth * _helium_resonances(energy), 0.0)


def helium_marr_west(energy):
    """Helium: Marr & West 1976, ADNDT 18, 497; with resonances above 46 Angstrom, as in XSPEC."""
    wavelength = 12398.54 / energy  # this value of h c belongs to the fit as it is in use
    long, short = (10.0 ** _polynomial(c, np.log10(wavelength)) for c in _HE_MARR_WEST)
    sigma = np.where(wavelength >= 46.0, long * _helium_resonances(energy), short)
    return np.where(wavelength <= 503.97, sigma, 0.0)


def hydrogen_band(energy):
    """Atomic hydrogen: Band et al. 1990, A&A 237, 267."""
    y = 2 * energy / 13.599
    return np.where(energy >= 13.599, 605e-18 / (y**1.5 * (1 + np.sqrt(y)) ** 4), 0.0)


def hydrogen_molecule(energy):
    """Molecular hydrogen: Yan et al. 1998; Wilms et al. 2000 from 30 to 85 eV."""
    x = energy / 15.4
    hard, middle, soft, edge = _H2
    return np.select(
        [energy > 85, energy > 30, energy > 18, energy > 15.4],
        [
            45.57e-24 * (energy / 1e3) ** -3.5 * _polynomial(hard, x**-0.5),
            1e-18 * _polynomial(middle, 1 / x),
            2e-17 * x**-0.252 * _polynomial(soft, 1 / x),
            1e-16 * _polynomial(edge, x),
        ],
        0.0,
    )


def fine_structure(energy, sigma):
    """Put the measured and calculated resonances of O K, Ne K and Fe L in (18, n_energy) sigma."""
    table, z = load_data("fine_structure.txt"), elements().z
    iron = (energy >= 745.0) & (energy <= 795.0)
    iron_sigma = 1.645 * MEGABARN * (energy / 720.74) ** -3.2
    sigma[z == 26] = np.where(iron, iron_sigma, sigma[z == 26])
    for element in (8, 10, 26):
        e, s = table[table[:, 0] == element, 1:].T
        inside = (energy >= e[0]) & (energy <= e[-1])
        row = MEGABARN * np.interp(energy, e, s)
        sigma[z == element] = np.where(inside, row, sigma[z == element])
    return sigma


def grains(sigma, mass):
    """Absorption per hydrogen by spherical grains that shield themselves.

    Sizes follow a^-3.5 from 0.025 to 0.25 micron, the density is 1 g/cm3; Wilms, Allen & McCray
    2000, ApJ 542, 914, appendix A.

    Parameters
    ----------
    sigma : (n_energy,) cm2 per hydrogen of all the matter in grains, unshielded.
    mass : float, g of grains per hydrogen.

    Returns
    -------
    (n_energy,) cm2 per hydrogen.
    """
    from scipy.special import erf

    small, large, density = 0.025e-4, 0.25e-4, 1.0
    depth = 4 / 3 * density * sigma / mass  # optical depth of the mean chord per cm of radius
    number = mass / (4 / 3 * np.pi * density * 2 * (np.sqrt(large) - np.sqrt(small)))

    def side(a):  # 1 - exp(-depth a) and the incomplete gamma function of 1/2
        x = depth * a
        return -np.expm1(-x) / np.sqrt(a), np.sqrt(np.pi * depth) * erf(np.sqrt(x))

    (small_term, small_gamma), (large_term, large_gamma) = side(small), side(large)
    return number * np.pi / 0.5 * (small_term - large_term + large_gamma - small_gamma)


def _polynomial(coefficients, x):
    return np.polynomial.polynomial.polyval(x, coefficients)
