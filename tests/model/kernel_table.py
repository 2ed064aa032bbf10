"""The table of model cases: parameters, formula, tolerances; test_kernels.py runs it.

The formulas are integrated by SciPy, independently of the kernels.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.special import k0

from jaxspec.model.quadrature import load_data


class Case(NamedTuple):
    """One model of the table.

    ``grid`` are the bins of the comparison with the integral, where the coarse ones will not do: a
    line is integrated exactly where the bins resolve it.

    ``formula(E, *params)`` is the density per keV (add) or the factor (mul) at one energy, None for
    the tabulated absorption (see test_absorption.py). ``breaks(params)`` are energies to split the
    reference integral at. ``rtol`` is for coarse bins against that integral; ``xspec`` is for the
    stored values on narrow bins, ``why`` says what XSPEC does where that is above 1e-4.
    """

    params: tuple
    formula: object
    rtol: float
    xspec: float
    edges: tuple = ()
    breaks: object = lambda *p: ()
    why: str = ""
    grid: object = None


def disc(e, t):
    """Direct integral over the temperature of the rings."""

    def ring(x):
        y = e / (t * max(x, 1e-6))
        return x ** (-11 / 3) * math.exp(-y) / -math.expm1(-y)

    return e**2 / 361 * quad(ring, 0, 1, epsrel=1e-11, limit=200)[0]


def gaunt(u, kt, charge):
    """The rule of bremss step by step, with K0 from SciPy."""
    gamma = 0.01358 * charge**2 / kt
    if gamma > 0.1:
        table = load_data("gaunt_low_temperature.txt")
        row, column = 2 * math.log10(gamma) + 2, min(2 * math.log10(u) + 8, 11)
        j, k = int(row), min(max(int(column), 0), 10)
        s, t = row - j, column - k
        low = (1 - s) * table[j, k] + s * table[j + 1, k]
        return (1 - t) * low + t * ((1 - s) * table[j, k + 1] + s * table[j + 1, k + 1])
    born = 0.5513 * math.exp(u / 2) * k0(u / 2)
    if gamma < 1e-3:
        return born
    ratio = load_data("gaunt_born_ratio.txt").reshape(7, 6, 5)
    column = np.searchsorted(ratio[0, :, 1], u)
    v = max(u, 0.003)
    values = ratio[:, column, 2:] @ np.array([1, v, v * v])
    return born * np.interp(1e3 * gamma, ratio[:, 0, 0], values)


def bremsstrahlung(e, kt):
    u = e / kt
    return (gaunt(u, kt, 1) + 0.34 * gaunt(u, kt, 2)) * math.exp(-u) / e / math.sqrt(kt)


def fold(e, cutoff, width):
    return math.exp(-max(e - cutoff, 1e-3) / width)


TRAPEZOID = "trapezoid on the edges: (E/kT dlnE)^2/12 in the Wien tail"
CASES = {
    "powerlaw": Case(
        (1.7,), lambda e, g: e**-g, 1e-13, 1e-8, edges=((1.0,), (2.0,), (1 + 1e-9,), (1 - 1e-5,))
    ),
    "cutoffpl": Case(
        (1.7, 8.0), lambda e, g, c: e**-g * math.exp(-e / c), 1e-8, 3e-5, edges=((1.0, 0.01),)
    ),
    "bknpower": Case(
        (1.4, 4.1, 2.3),
        lambda e, g, b, h: e**-g if e < b else b ** (h - g) * e**-h,
        1e-12,
        1e-8,
        edges=((1.0, 5.0, 2.0), (1.0, 4.3, 2.0), (2.0, 1e-4, 1.0), (2.0, 1e5, 1.0), (10, 0, -3)),
        breaks=lambda g, b, h: (b,),
    ),
    "logpar": Case(
        (1.6, 0.4, 1.5),
        lambda e, a, b, p: (e / p) ** (-a - b * math.log10(e / p)),
        1e-11,
        1e-4,
        edges=((1.0, 0.0, 1.0),),
        why="Simpson's rule, 4e-5",
    ),
    "gaussian": Case(
        (6.4, 0.7),
        lambda e, c, s: math.exp(-0.5 * ((e - c) / s) ** 2) / (s * math.sqrt(2 * math.pi)),
        1e-9,
        1e-7,
        edges=(
            (6.4, 0.0),
            (6.39, 0.0),
            (7.0, 0.0),
            (6.4, 1e-7),
            (6.4, 2e-7),
            (0.0, 0.0),
            (6.4, 20.0),
            (1e-3, 0.0),
            (1e3, 0.0),
            (1e6, 1e-3),
        ),
        breaks=lambda c, s: (c,),
        grid=np.geomspace(5.0, 8.0, 15),
    ),
    "bbody": Case(
        (1.1,),
        lambda e, t: 8.0525 * e**2 / (t**4 * np.expm1(e / t)),
        2e-6,
        5e-4,
        edges=((1e-3,), (0.01,)),
        why=TRAPEZOID,
    ),
    "bbodyrad": Case(
        (1.1,),
        lambda e, t: 1.0344e-3 * e**2 / np.expm1(e / t),
        2e-6,
        5e-4,
        edges=((1e-3,), (0.01,)),
        why=TRAPEZOID,
    ),
    "diskbb": Case(
        (1.1,), disc, 2e-5, 1.2e-4, edges=((1e-3,), (0.2,), (5.0,)), why="a fit, good to 1e-3"
    ),
    "bremss": Case(
        (3.3,),
        bremsstrahlung,
        3e-4,
        3e-4,
        edges=((0.1358,), (0.5432,), (0.55,), (13.58,), (13.9,), (54.32,), (1e-3,)),
        breaks=lambda t: tuple(t * u for u in (0.03, 0.3, 1, 5, 15)),
        why=TRAPEZOID,
    ),
    "constant": Case((0.7,), lambda e, f: f, 1e-14, 1e-7),
    "edge": Case(
        (7.0, 0.8),
        lambda e, c, t: 1.0 if e < c else math.exp(-t * (c / e) ** 3),
        1e-8,
        1e-5,
        edges=((7.0, 0.0), (6.4, 1.0), (0.01, 1.0), (90.0, 10.0)),
        breaks=lambda c, t: (c,),
    ),
    "highecut": Case(
        (4.7, 9.0),
        fold,
        1e-12,
        1e-4,
        edges=((5.0, 15.0), (6.0, 15.0), (5e3, 1.0), (0.01, 0.01)),
        breaks=lambda c, f: (c + 1e-3,),
    ),
    "phabs": Case((0.3,), None, 0, 1e-3, edges=((0.0,),)),
    "TBabs": Case((0.3,), None, 0, 1.5e-3, edges=((0.0,),), why="1.4e-3 at Fe L2 where T < 1e-7"),
    "wabs": Case((0.3,), None, 0, 1e-4, edges=((0.0,),)),
    "zashift": Case(
        (0.4,),
        lambda e, z: (e * (1 + z)) ** -1.8 + 0.1 * CASES["gaussian"].formula(e * (1 + z), 6.4, 0.3),
        1e-9,
        3e-4,
        edges=((-0.999,), (-0.5,)),
        breaks=lambda z: (6.4 / (1 + z),),
        why="XSPEC rebins what was binned before",
        grid=np.linspace(4.0, 5.2, 15),
    ),
    "cflux": Case(
        (0.5, 10.0, -11.0),
        None,
        0,
        2e-5,
        edges=((0.0, 10.0, -11.0), (10.0, 0.5, -11.0), (2.0, 2.0, -11.0), (50.0, 90.0, -11.0)),
    ),
}
