import numpy as np
import pytest
from scipy.stats import poisson

from jaxspec.likelihood.goodness import LARGE, expected_cstat
from jaxspec.likelihood.kernels import FLOOR
from jaxspec.likelihood.statistics import STATISTICS
from jaxspec.reduce.bins import make_bins


def brute(mu):
    n = np.arange(int(mu + 40 * np.sqrt(mu) + 60))
    with np.errstate(divide="ignore", invalid="ignore"):
        c = 2 * (mu - n + np.where(n > 0, n * np.log(n / mu), 0.0))
    p = poisson.pmf(n, mu)
    mean = np.sum(p * c)
    return mean, np.sum(p * (c - mean) ** 2)


MUS = [1e-6, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0, 25.0, LARGE * 0.999, LARGE, LARGE * 1.5, 100.0, 3e3]


def test_against_poisson_sums():
    mean, variance = expected_cstat(np.array(MUS))
    exact = np.array([brute(mu) for mu in MUS])
    few = np.array(MUS) < LARGE
    np.testing.assert_allclose(mean[few], exact[few, 0], rtol=1e-12)
    np.testing.assert_allclose(variance[few], exact[few, 1], rtol=1e-9)
    np.testing.assert_allclose(mean, exact[:, 0], rtol=2e-6)
    np.testing.assert_allclose(variance, exact[:, 1], rtol=1.2e-5)


def test_shapes_and_limits():
    mean, variance = expected_cstat(np.full((3, 4), 2.0))
    assert mean.shape == variance.shape == (3, 4)
    mean, variance = expected_cstat([0.0, -1.0, 1e12])
    assert mean == pytest.approx([0, 0, 1]) and variance == pytest.approx([0, 0, 2])
    assert expected_cstat(5.0)[0].shape == ()


def simulated(name, source, behind, alpha, relative=None, n=20000):
    """Relative deviations of the expected mean and variance from simulated ones, and their noise.

    The truth is given to the statistic; background counts of the source region are alpha times
    ``behind``, which is Poisson or Gaussian with a relative error.
    """
    rng = np.random.default_rng(7)
    counts = rng.poisson(source + alpha * behind, n).astype(float)
    if relative is None:
        background, variance = rng.poisson(behind, n).astype(float), None
    else:
        background = np.maximum(rng.normal(behind, relative * behind, n), 0.0)
        variance = np.full(n, (relative * behind) ** 2)
    times = {"t_s": 1.0, "t_b": np.full(n, 1 / alpha)}
    bins = make_bins(counts, background=background, background_variance=variance, **times)
    rate = np.full(n, float(source))
    value = np.asarray(STATISTICS[name].kernel(bins, rate, FLOOR).value)
    mean, spread = STATISTICS[name].expected(bins, rate)
    noise = 4 * value.std() / value.mean() / np.sqrt(n)
    return mean.mean() / value.mean() - 1, spread.mean() / value.var() - 1, noise


@pytest.mark.parametrize(
    ("behind", "best", "spread"),
    [(0.3, 0.06, 0.4), (1.0, 0.07, 0.3), (3.0, 0.04, 0.2), (10, 0.02, 0.1)],
)
@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_expected_wstat_against_simulations(behind, best, spread, alpha):
    for source in (0.5, 2.0, 20.0):
        off, variance_off, noise = simulated("wstat", source, behind, alpha)
        assert abs(off) < best + noise, source
        assert abs(variance_off) < spread, source


def test_a_strong_source_leaves_the_background_to_fit_itself():
    """The excess of the background term counted in full there: 9 % too much."""
    for behind in (1.0, 3.0):
        off, _, noise = simulated("wstat", 20.0, behind, 0.5, n=40000)
        assert abs(off) < 0.02 + noise


@pytest.mark.parametrize("relative", [0.1, 0.3])
@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_expected_pgstat_against_simulations(relative, alpha):
    for source, behind in ((0.5, 3.0), (2.0, 10.0), (20.0, 50.0)):
        off, variance_off, noise = simulated("pgstat", source, behind, alpha, relative)
        assert abs(off) < 0.015 + noise
        assert abs(variance_off) < 0.12
