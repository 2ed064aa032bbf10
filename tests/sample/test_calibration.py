"""Simulation-based calibration of a small beta model; the long run is in benchmarks."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.runs_long
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N = 64  # as many as a chunk has lanes


@pytest.fixture(scope="module")
def calibrate():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("calibrate_images")
        for name in ("calibrate_images", "common"):
            sys.modules.pop(name, None)


def test_ranks_of_the_truth_are_uniform(calibrate):
    limits = calibrate.LIMITS["beta"] | {"x0": (6.5, 8.5), "y0": (6.5, 8.5)}
    few = {"draws": 60, "warmup": 90, "together": True}
    found, noticed = calibrate.ranks("beta", N, seed=3, side=16, limits=limits, **few)
    assert set(found) == set(limits) and noticed["max_rhat"] < 1.5
    some = {}
    for name, ranks in found.items():
        assert ranks.min() >= 0 and ranks.max() < calibrate.RANKS
        result = calibrate.uniformity(ranks)
        assert result["p_value"] > 1e-3, (name, result)
        assert abs(result["mean_rank"]) < 3.5, (name, result)
        assert 0.7 < result["rank_sd"] < 1.3, (name, result)
        some[name] = result["p_value"]
    assert np.median(list(some.values())) > 0.02


def test_wrong_ranks_are_seen(calibrate):
    """What chi2, mean and width tell from a posterior that is shifted, too narrow, too wide."""
    rng = np.random.default_rng(1)
    truth, draws = rng.standard_normal((N, 1)), rng.standard_normal((N, calibrate.RANKS - 1))

    def of(values):
        return calibrate.uniformity(np.sum(values < truth, axis=1))

    right = of(draws)
    assert right["p_value"] > 1e-3 and abs(right["mean_rank"]) < 3
    assert abs(of(draws + 1.0)["mean_rank"]) > 4
    assert of(0.4 * draws)["rank_sd"] > 1.25 and of(0.4 * draws)["p_value"] < 0.01
    assert of(3.0 * draws)["rank_sd"] < 0.65
