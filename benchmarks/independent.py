"""The same likelihoods written a second time in plain NumPy: a power law, cstat and pgstat.

Shares with jaxspec only the response as it was read and the choice of bins.
"""

import numpy as np

from jaxspec.reduce.bins import spectrum_bins


class Likelihood:
    """Statistic and its gradient for one spectrum, as a function of (PhoIndex, norm)."""

    def __init__(self, spectrum, stat):
        index, n = spectrum_bins(spectrum)
        join = (index[:, None] == np.arange(n)).astype(float)
        response, self.stat = spectrum.response, stat
        matrix = (response.matrix.toarray() * response.area[:, None]) @ join
        self.matrix = np.ascontiguousarray(matrix.T) * spectrum.exposure
        self.ln_lo, self.ln_hi = np.log(response.e_lo), np.log(response.e_hi)
        self.counts = spectrum.counts @ join
        if stat == "pgstat":
            ratio = spectrum.exposure / spectrum.background.exposure
            self.background = ratio * (spectrum.background.counts @ join)
            self.variance = ratio**2 * (spectrum.background.stat_err**2 @ join)

    def flux(self, index, norm):
        """Photons in each energy bin and their derivatives by index and norm."""
        a = 1.0 - index if abs(1.0 - index) > 1e-6 else 1e-6  # removable singularity
        low, high = np.exp(a * self.ln_lo), np.exp(a * self.ln_hi)
        unit = (high - low) / a
        slope = (unit - (high * self.ln_hi - low * self.ln_lo)) / a
        return norm * unit, norm * slope, unit

    def value_and_gradient(self, theta):
        source, *slopes = (self.matrix @ part for part in self.flux(*theta))
        if self.stat == "cstat":
            mean, penalty = np.maximum(source, 1e-5), 0.0
        else:  # the background is a Gaussian parameter of each bin, solved for
            half = 0.5 * (source + self.background - self.variance)
            mean = half + np.sqrt(half**2 + self.counts * self.variance)
            penalty = self.variance * (1.0 - self.counts / mean) ** 2
        ratio = self.counts / mean
        log = np.log(np.where(self.counts > 0, ratio, 1.0))
        value = np.sum(2.0 * (mean - self.counts + self.counts * log) + penalty)
        return value, np.array([2.0 * np.sum((1.0 - ratio) * slope) for slope in slopes])

    def value(self, theta):
        return self.value_and_gradient(theta)[0]

    def gradient(self, theta):
        return self.value_and_gradient(theta)[1]

    def information(self, theta):
        """Second derivatives (2, 2), by central differences of the gradient."""
        steps = 1e-5 * np.diag([1.0, theta[1]])
        rows = [self.gradient(theta + h) - self.gradient(theta - h) for h in steps]
        matrix = np.array(rows) / (2.0 * np.diagonal(steps)[:, None])
        return 0.5 * (matrix + matrix.T)

    def start(self):
        """Index 2 and the norm that gives as many counts as were seen above the background."""
        net = self.counts.sum() - (self.background.sum() if self.stat == "pgstat" else 0.0)
        return np.array([2.0, max(net, 1.0) / (self.matrix @ self.flux(2.0, 1.0)[0]).sum()])


def minimum(likelihood, theta):
    """The minimum near theta by Newton's method, the errors there, and the distance in sigma."""
    best = np.array(theta, dtype=float)
    for _ in range(50):
        step = np.linalg.solve(likelihood.information(best), likelihood.gradient(best))
        best = best - step
        if np.all(np.abs(step) < 1e-10 * np.abs(best)):
            break
    else:
        raise RuntimeError(f"no minimum near {theta}")
    return best, distance(likelihood, best, theta)


def distance(likelihood, best, theta):
    """How many standard deviations theta is from the minimum."""
    away = np.asarray(theta) - best
    return float(np.sqrt(max(0.5 * away @ likelihood.information(best) @ away, 0.0)))
