"""Whether SciPy finds a lower minimum of RXTE spectra than jaxspec does, from a grid of starts.

Needs the standard products of the reference data. Models, folding, PGSTAT and minimiser share
nothing with jaxspec but the numbers that it has read from the files, and TBabs. Amplitudes follow
by non-negative least squares; the best shapes of a grid go through Nelder-Mead, and at the end all
parameters together. ``differs`` of the JSON is the largest relative difference between both
statistics at jaxspec's own solutions.
"""

import itertools
import os
import time

import jax
import numpy as np
from common import finish, machine, options, standard_products
from scipy.optimize import minimize, nnls
from scipy.special import erf

import jaxspec as js
from jaxspec.reduce.bins import bin_counts, spectrum_bins

BAND = "3-25"
BEST = 4  # starts of a spectrum that are followed
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
COLUMNS = "model rows jaxspec_higher scipy_higher worst differs seconds".split()


def integral(density, lo, hi):
    """Over bins, in the logarithm of the energy."""
    e = lo * (hi / lo) ** (0.5 * (1 + NODES[:, None]))
    return 0.5 * np.log(hi / lo) * (WEIGHTS[:, None] * e * density(e)).sum(axis=0)


def power(lo, hi, g):
    return np.log(hi / lo) if abs(g - 1) < 1e-9 else (hi ** (1 - g) - lo ** (1 - g)) / (1 - g)


def broken(lo, hi, g1, e, g2):
    mid = np.clip(e, lo, hi)
    return power(lo, mid, g1) + e ** (g2 - g1) * power(mid, hi, g2)


def line(lo, hi, e, width):
    a, b = ((x - e) / (np.sqrt(2) * max(width, 1e-3)) for x in (lo, hi))
    return 0.5 * (erf(b) - erf(a))


def planck(lo, hi, kt):
    return integral(lambda e: e**2 * 8.0525 / kt**4 / np.expm1(np.minimum(e / kt, 600)), lo, hi)


def disc(lo, hi, t):
    u, w = np.polynomial.legendre.leggauss(80)
    x = np.exp(-5.0 * (1 + u))  # T / Tin, in the logarithm

    def density(e):
        z = np.minimum(e[..., None] / (t * x), 600.0)
        # XSPEC's constant; today's h, c and parsec give 2.768e-3
        return 2.770083e-3 * e**2 * (5.0 * w * x ** (-8 / 3) / np.expm1(z)).sum(axis=-1)

    return integral(density, lo, hi)


def cutoff(lo, hi, e, fold):
    """Mean factor in each bin."""
    begin, fold = e + 1e-3, max(fold, 1e-9)
    start = np.clip(begin, lo, hi)
    above = np.exp(np.minimum((begin - start) / fold, 0.0)) * -np.expm1((start - hi) / fold) * fold
    return np.exp(-1e-3 / fold) * (start - lo + above) / (hi - lo)


# Parts of each model from its shapes, and a grid of them; ``log`` is what is searched in logarithm.
MODELS = {
    "bknpower": (
        lambda lo, hi, a, g1, e, g2: [broken(lo, hi, g1, e, g2)],
        [(1.0, 2.0, 3.0), (3.6, 5.0, 7.0, 10.0, 14.0, 20.0), (1.0, 2.0, 3.0, 4.0)],
        ["PhoIndx1", "BreakE", "PhoIndx2"],
    ),
    "highecut*powerlaw": (
        lambda lo, hi, a, e, f, g: [cutoff(lo, hi, e, f) * power(lo, hi, g)],
        [(3.6, 5.0, 7.0, 10.0, 14.0, 20.0), (3.0, 10.0, 30.0, 100.0), (1.0, 2.0, 3.0)],
        ["cutoffE", "foldE", "PhoIndex"],
    ),
    "powerlaw+gaussian": (
        lambda lo, hi, a, g, e, s: [power(lo, hi, g), line(lo, hi, e, s)],
        [(1.5, 2.0, 2.7), (3.5, 5.0, 6.5, 8.0, 11.0, 16.0, 35.0), (0.2, 1.5, 5.0)],
        ["PhoIndex", "LineE", "Sigma"],
    ),
    "TBabs*(diskbb+powerlaw)": (
        lambda lo, hi, a, n, t, g: a(n) * np.array([disc(lo, hi, t), power(lo, hi, g)]),
        [(0.1, 2.0, 8.0), (0.4, 0.8, 1.3, 2.5), (1.5, 2.0, 2.7, 4.0)],
        ["nH", "Tin", "PhoIndex"],
    ),
    "TBabs*(bbody+powerlaw+gaussian)": (
        lambda lo, hi, a, n, t, g, e, s: (
            a(n) * np.array([planck(lo, hi, t), power(lo, hi, g), line(lo, hi, e, s)])
        ),
        [(0.1, 5.0), (0.5, 1.1, 4.0, 8.0), (1.5, 2.2, 3.5), (5.0, 6.4, 36.0), (0.5, 2.0)],
        ["nH", "kT", "PhoIndex", "LineE", "Sigma"],
    ),
}
LINEAR = {"PhoIndex", "PhoIndx1", "PhoIndx2"}


def pgstat(m, b):
    """XSPEC manual, appendix B; ``m`` in counts/s."""
    s, back, ts, tb, v = b.counts, b.background, b.t_s, b.t_b, b.background_variance
    h = ts * v - tb * back + tb**2 * m
    root = np.sqrt(np.maximum(h**2 - 4 * tb**2 * (ts * v * m - s * v - tb * back * m), 0.0))
    f = np.where(s > 0, (root - h) / (2 * tb**2), back / tb - ts * v / tb**2)
    mu = np.maximum(ts * (m + f), 1e-300)
    value = mu - s * np.log(mu) - s * (1 - np.log(np.maximum(s, 1.0)))
    return 2 * np.sum(value + (back - tb * f) ** 2 / np.where(v > 0, 2 * v, 1.0))


class Spectrum:
    """Statistic of one spectrum."""

    def __init__(self, spectrum, parts):
        index, n = spectrum_bins(spectrum)
        self.bins, response = bin_counts(spectrum, index, n), spectrum.response
        used = np.flatnonzero((np.asarray(index) >= 0) & (np.asarray(index) < n))
        choose = np.zeros((len(index), n))
        choose[used, np.asarray(index)[used]] = 1.0
        self.fold = (response.matrix.toarray() * response.area[:, None]) @ choose
        self.lo, self.hi, self.parts = np.maximum(response.e_lo, 1e-6), response.e_hi, parts
        edges = np.append(self.lo, self.hi[-1])
        self.absorbed = jax.jit(lambda nh: js.evaluate("TBabs", edges, nh[None]))

    def columns(self, shapes):
        with np.errstate(all="ignore"):
            made = MODELS[self.parts][0](self.lo, self.hi, self.transmitted, *shapes)
            return np.nan_to_num(np.array(made) @ self.fold, posinf=0.0, neginf=0.0)

    def transmitted(self, nh):
        with jax.enable_x64(True):
            return np.asarray(self.absorbed(np.asarray(nh)))

    def amplitudes(self, columns):
        b = self.bins
        error = np.sqrt(np.maximum(b.counts, 1.0) / b.t_s**2 + b.background_variance / b.t_b**2)
        scale = np.maximum((columns / error).max(axis=1), 1e-300)
        rate = b.counts / b.t_s - b.background / b.t_b
        return nnls((columns / error / scale[:, None]).T, rate / error)[0] / scale

    def stat(self, shapes, amount=None):
        columns = self.columns(shapes)
        amount = self.amplitudes(columns) if amount is None else amount
        value = pgstat(np.maximum(amount @ columns, 1e-12), self.bins)
        return value if np.isfinite(value) else 1e30


def lowest(one, grid, names):
    """The lowest statistic that SciPy finds."""
    log = np.array([name not in LINEAR for name in names])

    def shapes(x):
        return np.where(log, np.exp(np.clip(np.where(log, x, 0.0), -9, 5)), x)

    starts = sorted((one.stat(g), g) for g in itertools.product(*grid))[:BEST]
    best = np.inf
    for _, start in starts:
        x = np.where(log, np.log(start), start)
        x = minimize(lambda x: one.stat(shapes(x)), x, method="Nelder-Mead").x
        amount = np.log(np.maximum(one.amplitudes(one.columns(shapes(x))), 1e-12))
        n = len(x)
        both = minimize(
            lambda z, n=n: one.stat(shapes(z[:n]), np.exp(np.clip(z[n:], -60, 60))),
            np.concatenate([x, amount]),
            method="Nelder-Mead",
            options={"maxiter": 3000, "xatol": 1e-6, "fatol": 1e-4, "adaptive": True},
        )
        best = min(best, both.fun)
    return best


def main():
    parser = options(__doc__, __file__)
    parser.add_argument("--data", default=os.environ.get("JAXSPEC_DATA"), help="reference data")
    parser.add_argument("--every", type=int, default=22, help="only each of so many spectra")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    args = parser.parse_args()
    facts, cases = machine(), []
    spectra = standard_products(args.data, BAND, args.n)
    for name in args.models:
        cases.append(compared(name, spectra, args.every))
        print(cases[-1], flush=True)
    finish(args, facts, cases, COLUMNS, band_keV=BAND, every=args.every)


def compared(name, spectra, every):
    """Both statistics of some spectra; jaxspec fits all, as its users do."""
    result = js.fit(name, spectra, progress=False)
    _, grid, names = MODELS[name]
    above, differs, began = [], 0.0, time.perf_counter()
    for row in range(0, len(spectra), every):
        one, own = Spectrum(spectra[row], name), result.stat[row]
        if not np.isfinite(own):
            continue
        norm = np.array([p.name == "norm" for p in js.Model(name)])
        same = one.stat(result.params[row][~norm], result.params[row][norm])
        differs = max(differs, abs(same - own) / own)
        above.append(own - lowest(one, grid, names))
    above = np.array(above)
    return {
        "model": name,
        "rows": len(above),
        "jaxspec_higher": int((above > 1).sum()),
        "scipy_higher": int((above < -1).sum()),
        "worst": float(above.max()),
        "differs": float(differs),
        "seconds": time.perf_counter() - began,
    }


if __name__ == "__main__":
    main()
