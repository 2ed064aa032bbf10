"""Posterior densities of spectra written a second time in NumPy, and emcee on them.

Shares nothing with jaxspec but the arrays of spectrum and response as they were read, and one
table: the transmission of TBabs for nH = 1. Walkers are rows; every function takes all at once.
"""

from itertools import pairwise

import numpy as np

FLOOR = 1e-5  # counts that are expected at least, as in XSPEC
NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)


class Folded:
    """Counts of a spectrum in a band, and the response to it. Channels only, no grouping.

    Parameters
    ----------
    spectrum : Spectrum; band : (low, high) keV; stat : "cstat", "wstat" or "pgstat".
    """

    def __init__(self, spectrum, band, stat):
        response, self.stat = spectrum.response, stat
        use = (response.e_max > band[0]) & (response.e_min < band[1])
        self.e_lo, self.e_hi = response.e_lo, response.e_hi
        matrix = response.matrix.toarray() * response.area[:, None] * spectrum.exposure
        self.matrix, self.counts = np.ascontiguousarray(matrix[:, use]), spectrum.counts[use]
        seen = self.matrix.sum(axis=1) > 0
        self.matrix, self.e_lo, self.e_hi = self.matrix[seen], self.e_lo[seen], self.e_hi[seen]
        self.unit_absorption = None
        if stat != "cstat":
            other = spectrum.background
            self.background = other.counts[use]
            self.ratio = spectrum.exposure * spectrum.backscal / (other.exposure * other.backscal)
            if stat == "pgstat":
                self.variance = (self.ratio * other.stat_err[use]) ** 2

    def log_likelihood(self, flux):
        """(n_walker,) of the flux (n_walker, n_energy) in photons/cm2/s, up to a constant."""
        source = flux @ self.matrix
        return getattr(self, f"_{self.stat}")(source)

    def _cstat(self, source):
        mean = np.maximum(source, FLOOR)
        return (self.counts * np.log(mean) - mean).sum(axis=1)

    def _wstat(self, source):
        """The Poisson background that is likeliest for this source, bin by bin."""
        source = np.maximum(source, FLOOR)
        n, b, r = self.counts, self.background, 1.0 / self.ratio
        # the expected background f in the source region maximises both Poisson terms:
        # (1 + r) f^2 + ((1 + r) s - n - b) f - b s = 0
        half = 0.5 * ((1.0 + r) * source - n - b)
        f = (np.sqrt(half**2 + (1.0 + r) * b * source) - half) / (1.0 + r)
        f = np.maximum(f, 0.0)
        mean, behind = source + f, r * f
        log_behind = np.log(np.where(b > 0, np.maximum(behind, 1e-300), 1.0))
        return (n * np.log(mean) - mean + b * log_behind - behind).sum(axis=1)

    def _pgstat(self, source):
        """The Gaussian background that is likeliest for this source, bin by bin."""
        n, v, total = self.counts, self.variance, source + self.ratio * self.background
        half = 0.5 * (total - v)
        mean = np.where(n > 0, half + np.sqrt(half**2 + n * v), total - v)
        off = (mean - total) ** 2 / np.where(v > 0, v, 1.0)
        log = np.log(np.where(n > 0, mean, 1.0))
        return (n * log - mean - 0.5 * off).sum(axis=1)


def powerlaw(folded, index, norm):
    """Photons/cm2/s in each energy bin (n_walker, n_energy)."""
    a = 1.0 - index[:, None]
    a = np.where(np.abs(a) < 1e-7, 1e-7, a)
    return norm[:, None] * (folded.e_hi**a - folded.e_lo**a) / a


def diskbb(folded, temperature, norm):
    """The same of a disc with T ~ r^(-3/4), by quadrature over the energy bins.

    The integral over all radii of 2 pi r B(E, T(r)) / E; with x = E/T it holds the one function
    ``disc_integral`` of E/Tin. XSPEC's constant is 361, which the constants of nature make 361.27.
    """
    middle, half = 0.5 * (folded.e_hi + folded.e_lo), 0.5 * (folded.e_hi - folded.e_lo)
    energy = (middle[:, None] + half[:, None] * NODES).ravel()
    y = energy / temperature[:, None]
    density = energy**2 / 361.0 * y ** (-8.0 / 3.0) * disc_integral(y)
    parts = density.reshape(len(temperature), -1, len(NODES)) * WEIGHTS
    return norm[:, None] * half * parts.sum(axis=2)


def _disc_table():
    """ln y and ln of the integral of x^(5/3) / (e^x - 1) from y to infinity."""
    from scipy.integrate import quad

    ln_y = np.linspace(np.log(1e-3), np.log(300.0), 12001)
    y = np.exp(ln_y)
    pieces = [quad(lambda x: x ** (5 / 3) / np.expm1(x), a, b)[0] for a, b in pairwise(y)]
    tail = y[-1] ** (5 / 3) * np.exp(-y[-1])
    return ln_y, np.log(np.append(np.cumsum(pieces[::-1])[::-1], 0.0) + tail)


_table = []


def disc_integral(y):
    if not _table:
        _table.extend(_disc_table())
    return np.exp(np.interp(np.log(y), *_table))


def absorbed(folded, nH, flux):
    """TBabs: a power of the transmission for nH = 1, which ``folded.unit_absorption`` holds."""
    return np.exp(nH[:, None] * np.log(folded.unit_absorption)) * flux


class Density:
    """Logarithm of a posterior density, flat in the parameters between limits.

    Parameters
    ----------
    log_likelihood : callable of (n_walker, n_par) parameters
    limits : (n_par, 2)
    logarithmic : (n_par,) bool, what the walkers move the logarithm of; the density stays one in
        the parameter itself.
    """

    def __init__(self, log_likelihood, limits, logarithmic):
        self.log_likelihood, self.limits = log_likelihood, np.asarray(limits, float)
        self.logarithmic = np.asarray(logarithmic)

    def parameters(self, u):
        return np.where(self.logarithmic, np.exp(np.where(self.logarithmic, u, 0.0)), u)

    def coordinates(self, p):
        return np.where(self.logarithmic, np.log(np.where(self.logarithmic, p, 1.0)), p)

    def __call__(self, u):
        p, out = self.parameters(u), np.full(len(u), -np.inf)
        inside = np.all((p > self.limits[:, 0]) & (p < self.limits[:, 1]), axis=1)
        if inside.any():
            volume = (u * self.logarithmic).sum(axis=1)
            out[inside] = self.log_likelihood(p[inside]) + volume[inside]
        return np.where(np.isnan(out), -np.inf, out)


def run_emcee(density, start, steps, seed=1):
    """Draws (steps, walkers, n_par) of the parameters, burn-in left out, and autocorrelation times.

    ``start`` (n, n_par) are points in the posterior, from which the walkers are picked; a fifth of
    the steps more is thrown away first, so that they forget it. Half the moves are differential
    evolution, which suits narrow correlated posteriors.
    """
    import emcee

    rng, walkers = np.random.default_rng(seed), 8 * start.shape[1]
    first = density.coordinates(start[rng.choice(len(start), walkers, replace=False)])
    moves = [(emcee.moves.StretchMove(), 0.5), (emcee.moves.DEMove(), 0.5)]
    sampler = emcee.EnsembleSampler(walkers, first.shape[1], density, vectorize=True, moves=moves)
    sampler.random_state = np.random.RandomState(seed).get_state()
    state = sampler.run_mcmc(first, steps // 5)
    sampler.reset()
    sampler.run_mcmc(state, steps)
    tau = sampler.get_autocorr_time(quiet=True)
    return density.parameters(sampler.get_chain()), tau


STATISTICS = {
    "mean": lambda x: x.mean(),
    "sd": lambda x: x.std(),
    "q05": lambda x: np.quantile(x, 0.05),
    "q95": lambda x: np.quantile(x, 0.95),
}


def blocks_of(draws, n):
    """``n`` equal blocks of consecutive draws (n_draw, n_chain): list of flat arrays."""
    return [part.ravel() for part in np.array_split(draws, n)]


def compare(ours, theirs):
    """Both posteriors of one parameter side by side.

    Parameters
    ----------
    ours, theirs : lists of arrays, blocks of draws that are long against the autocorrelation.

    Returns
    -------
    dict of statistic to {"sigma", "z"}: the difference in posterior standard deviations and in
    Monte Carlo standard errors, which are taken from the scatter of the blocks: no formula for
    autocorrelation has to be believed.
    """
    out, width = {}, np.concatenate(theirs).std()
    for name, of in STATISTICS.items():
        values, errors = [], []
        for blocks in (ours, theirs):
            each = [of(block) for block in blocks]
            values.append(of(np.concatenate(blocks)))
            errors.append(np.std(each, ddof=1) / np.sqrt(len(each)))
        difference = values[0] - values[1]
        out[name] = {"sigma": difference / width, "z": difference / np.hypot(*errors)}
    return out
