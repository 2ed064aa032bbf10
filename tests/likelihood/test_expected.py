import numpy as np
import pytest
from scipy.stats import poisson

from jaxspec.likelihood.goodness import LARGE, expected_cstat


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
