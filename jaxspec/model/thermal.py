"""Additive kernels: black bodies, the disc, bremsstrahlung; conventions as in `additive`."""

from __future__ import annotations

import math
from functools import cache

import jax.numpy as jnp
import numpy as np

from jaxspec.model.quadrature import integrate_bins, load_data

COLDEST = 1e-5  # keV; a hard limit may be kT = 0, where the spectrum vanishes
DISC_SPLIT, DISC_DEGREE, DISC_SHIFT = 5.0, 14, 4.0
GAUNT_HELIUM = 4 * 0.085  # Z^2 n(He)/n(H) of XSPEC's bremss


def _planck(x):
    """1 / (exp(x) - 1) for x > 0, without overflow (constant where exp(x) would overflow)."""
    largest = 0.98 * math.log(float(jnp.finfo(x.dtype).max))
    return 1.0 / jnp.expm1(jnp.minimum(x, largest))


def bbodyrad(e_lo, e_hi, kT):
    """Black body by its area, 1.0344e-3 E^2 / (exp(E/kT) - 1).

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    kT : scalar keV, temperature.

    Returns
    -------
    (n_energy,) photons/cm2/s for norm 1 = (radius/km)^2 / (distance/10 kpc)^2.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in bbodyrad(jnp.asarray([1.0]), jnp.asarray([2.0]), 1.0)]
    ['0.000654']
    """
    rate = 1.0 / jnp.maximum(kT, COLDEST)
    return 1.0344e-3 * integrate_bins(lambda e, log_e: e**2 * _planck(e * rate), e_lo, e_hi)


def bbody(e_lo, e_hi, kT):
    """Black body by its luminosity, 8.0525 E^2 / (kT^4 (exp(E/kT) - 1)).

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    kT : scalar keV, temperature.

    Returns
    -------
    (n_energy,) photons/cm2/s for norm 1 = (luminosity/1e39 erg/s) / (distance/10 kpc)^2.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in bbody(jnp.asarray([1.0]), jnp.asarray([2.0]), 1.0)]
    ['5.091']
    """
    rate = 1.0 / jnp.maximum(kT, COLDEST)

    def density(e, log_e):
        return (e * rate) ** 2 * _planck(e * rate)

    return 8.0525 * rate**2 * integrate_bins(density, e_lo, e_hi)


@cache
def _disc_coefficients():
    """Polynomials for G(x) = integral of y^(5/3) / (exp(y) - 1) from x to infinity.

    Below DISC_SPLIT: G = G(0) - x^(5/3) P(x); above: G = exp(-x) x^(5/3) Q(1 / (x + DISC_SHIFT)).
    Both arguments are scaled to [-1, 1]. G is computed here by 80-point quadrature in y^(1/3),
    where it is smooth, and is reproduced to 1e-9.
    """
    node, weight = np.polynomial.legendre.leggauss(80)
    node, weight = (node + 1) / 2, weight / 2

    def inner(s):  # (G(0) - G(x)) / x^(5/3) with y = x v^3
        y = (s[:, None] + 1) / 2 * DISC_SPLIT * node**3 + 1e-300
        return (3 * node**4 * y / np.expm1(y)) @ weight

    def outer(s):  # exp(x) G(x) / x^(5/3); the cut at 1e5 is where it has reached 1
        x = np.minimum(2 * (DISC_SPLIT + DISC_SHIFT) / np.maximum(s + 1, 1e-9) - DISC_SHIFT, 1e5)
        lo, hi = np.cbrt(x)[:, None], np.cbrt(x + 45)[:, None]
        v = lo + (hi - lo) * node
        integrand = 3 * v**7 * np.exp(x[:, None] - v**3) / -np.expm1(-(v**3))
        return (integrand @ weight) * (hi - lo)[:, 0] / x ** (5 / 3)

    chebyshev = np.polynomial.chebyshev
    return tuple(
        tuple(map(float, chebyshev.cheb2poly(chebyshev.chebinterpolate(f, DISC_DEGREE))))
        for f in (inner, outer)
    )


@cache
def _disc_at_zero():
    """G(0) = Gamma(8/3) zeta(8/3)."""
    from scipy.special import gamma, zeta

    return float(gamma(8 / 3) * zeta(8 / 3))


def _polynomial(coefficients, x):
    """Horner's rule, ascending coefficients."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def diskbb(e_lo, e_hi, Tin):
    """Disc of black bodies with T ~ r^-3/4; Mitsuda et al. 1984, PASJ 36, 741.

    E^2/361 times the integral over t from 0 to 1 of t^(-11/3) / (exp(E/(t Tin)) - 1), which is
    (Tin/E)^(8/3) G(E/Tin) with one function G. XSPEC's own diskbb is a fit to it, good to 0.1 %.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    Tin : scalar keV, temperature at the inner radius; zero flux at Tin = 0.

    Returns
    -------
    (n_energy,) photons/cm2/s for norm 1 = (R_in/km)^2 / (distance/10 kpc)^2 cos(inclination).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in diskbb(jnp.asarray([1.0]), jnp.asarray([2.0]), 1.0)]
    ['0.002663']
    """
    inner, outer = _disc_coefficients()
    at_zero = _disc_at_zero()
    rate = 1.0 / jnp.maximum(Tin, COLDEST)
    cube_root_rate = jnp.exp(jnp.log(rate) / 3)

    def density(e, log_e):
        x, root = e * rate, jnp.exp(log_e / 3) * cube_root_rate
        x53 = root**5
        small = jnp.minimum(x, DISC_SPLIT)
        cool = at_zero - x53 * _polynomial(inner, small * (2 / DISC_SPLIT) - 1.0)
        shifted = 2 * (DISC_SPLIT + DISC_SHIFT) / (jnp.maximum(x, DISC_SPLIT) + DISC_SHIFT)
        wien = jnp.exp(-x) * x53 * _polynomial(outer, shifted - 1.0)
        return jnp.where(x < DISC_SPLIT, cool, wien) * root / e

    return integrate_bins(density, e_lo, e_hi, order=4) / (361.0 * rate**3)


def _hinge_basis(x, nodes, maximum=jnp.maximum):
    """1, x - nodes[0], max(x - nodes[k], 0): a basis of the piecewise linear functions."""
    return [x * 0 + 1, x - nodes[0], *(maximum(x - n, 0) for n in nodes[1:-1])]


@cache
def _gaunt_coefficients():
    """Gaunt tables as coefficients of hinge bases, linear in gamma (and in log u)."""
    ratio = load_data("gaunt_born_ratio.txt").reshape(7, 6, 5)
    table = load_data("gaunt_low_temperature.txt")
    gamma, log_gamma = tuple(map(float, ratio[:, 0, 0])), tuple(np.arange(-1, 2.1, 0.5).tolist())
    log_u = tuple(np.arange(-4, 1.6, 0.5).tolist())
    bounds = tuple(map(float, ratio[0, :-1, 1]))

    def solve(nodes, values):
        grid = np.array(nodes)
        return np.linalg.solve(np.stack(_hinge_basis(grid, nodes, np.maximum), 1), values)

    polynomial = solve(gamma, ratio[:, :, 2:].reshape(7, 18)).reshape(7, 6, 3)
    kurucz = solve(log_u, solve(log_gamma, table).T).T
    return gamma, log_gamma, log_u, bounds, polynomial, kurucz


def _smooth_step(x):
    x = jnp.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _gaunt_of_temperature(kT):
    """Coefficients in u of the Gaunt factor of hydrogen and helium: (6, 3) ratio and (12,) table.

    XSPEC changes from the Born approximation to the fits at 1000 gamma = 1 and on to the table at
    gamma = 0.1 in one step; here the change takes 5 and 10 % in gamma, so that the model is
    continuous in kT.
    """
    gamma_nodes, log_gamma_nodes, _, _, polynomial, kurucz = _gaunt_coefficients()
    dtype = kT.dtype
    born_ratio = jnp.zeros(polynomial.shape[1:], dtype)
    table = jnp.zeros(kurucz.shape[1:], dtype)
    unity = np.zeros(polynomial.shape[1:])
    unity[:, 0] = 1.0
    for charge, abundance in ((1, 1.0), (2, GAUNT_HELIUM)):
        gamma = 13.58 * charge**2 / kT  # times 1000
        fitted = _smooth_step((gamma - 0.95) / 0.05)
        cold = _smooth_step((gamma - 90.0) / 10.0)
        g = jnp.stack(_hinge_basis(jnp.clip(gamma, 1.0, 100.0), gamma_nodes))
        ratio = jnp.tensordot(g, jnp.asarray(polynomial, dtype), 1)
        ratio = (1 - fitted) * jnp.asarray(unity, dtype) + (fitted - cold) * ratio
        log_gamma = jnp.clip(jnp.log10(gamma) - 3, -1.0, 2.0)
        g = jnp.stack(_hinge_basis(log_gamma, log_gamma_nodes))
        born_ratio += abundance * ratio
        table += abundance * cold * (g @ jnp.asarray(kurucz, dtype))
    return born_ratio, table


def _born_gaunt(u, log_u, half):
    """exp(-u) times the Born Gaunt factor (sqrt(3)/pi) exp(u/2) K0(u/2); half is exp(-u/2).

    K0 by the approximations 9.8.5 and 9.8.6 of Abramowitz & Stegun (error below 1e-7).
    """
    small = jnp.minimum(u, 4.0) * 0.5
    t = (small / 3.75) ** 2
    i0 = (1.0, 3.5156229, 3.089942, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
    k0 = (-0.57721566, 0.4227842, 0.23069756, 0.0348859, 0.00262698, 0.0001075, 0.0000074)
    log_half = jnp.minimum(log_u, math.log(4.0)) - math.log(4.0)
    below = half * (_polynomial(k0, (small * 0.5) ** 2) - log_half * _polynomial(i0, t))
    large = jnp.maximum(u, 4.0) * 0.5
    k0 = (1.25331414, -0.07832358, 0.02189568, -0.01062446, 0.00587872, -0.0025154, 0.00053208)
    above = half * half * _polynomial(k0, 2.0 / large) / jnp.sqrt(large)
    return 0.5513 * jnp.where(u < 4.0, below, above)


def bremss(e_lo, e_hi, kT):
    """Thermal bremsstrahlung of hydrogen and helium, n(He)/n(H) = 0.085.

    (g(1) + 4 x 0.085 g(2)) exp(-E/kT) / (E sqrt(kT)) with the Gaunt factors g(Z) of Kellogg,
    Baldwin & Koch 1975, ApJ 199, 299, and below kT = 0.136 Z^2 keV those tabulated by Kurucz. The
    fits have steps of up to 0.4 % at E/kT = 0.03, 0.3, 1, 5 and 15, which are kept.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    kT : scalar keV, temperature.

    Returns
    -------
    (n_energy,) photons/cm2/s for norm 1 = 3.02e-15/(4 pi D^2) x integral of n_e n_ion dV, D in cm.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in bremss(jnp.asarray([1.0]), jnp.asarray([2.0]), 7.0)]
    ['0.4412']
    """
    kT = jnp.maximum(jnp.asarray(kT, e_lo.dtype), COLDEST)
    born_ratio, table = _gaunt_of_temperature(kT)
    _, _, log_u_nodes, bounds, _, _ = _gaunt_coefficients()
    log_kT = jnp.log(kT)

    def density(e, log_e):
        u, log_u = e / kT, log_e - log_kT
        half = jnp.exp(-0.5 * u)
        c0, c1, c2 = born_ratio[0]
        for n, bound in enumerate(bounds, start=1):
            new, beyond = born_ratio[n], u > bound
            c0, c1, c2 = (jnp.where(beyond, new[i], c) for i, c in enumerate((c0, c1, c2)))
        v = jnp.clip(u, 0.003, 50.0)
        fitted = _born_gaunt(u, log_u, half) * (c0 + v * (c1 + v * c2))
        basis = _hinge_basis(jnp.minimum(log_u / math.log(10), 1.5), log_u_nodes)
        cold = sum(b * t for b, t in zip(basis, table, strict=True))
        return (fitted + half * half * cold) / e

    return integrate_bins(density, e_lo, e_hi, order=3) / jnp.sqrt(kT)
