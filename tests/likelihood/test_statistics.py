import json
import subprocess
import sys
from decimal import Decimal, localcontext
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.errors import InputError
from jaxspec.likelihood import statistics
from jaxspec.likelihood.kernels import FLOOR
from jaxspec.likelihood.statistics import (
    STATISTICS,
    statistic,
    statistic_name,
    weighted,
)
from jaxspec.likelihood.weights import chi2_variance
from jaxspec.reduce.bins import make_bins

POISSON = [name for name, entry in STATISTICS.items() if entry.poisson]
CHI2 = [name for name in STATISTICS if name not in POISSON]


@partial(jax.jit, static_argnums=0)
def everything(name, bins, rate):
    """Bin, autodiff slope, observed curvature and its check by autodiff of the slope."""

    def value(r):
        return jnp.sum(STATISTICS[name].kernel(bins, r).value)

    def slope(r):
        return jnp.sum(STATISTICS[name].kernel(bins, r).slope)

    return (
        STATISTICS[name].kernel(bins, rate),
        jax.grad(value)(rate),
        STATISTICS[name].observed(bins, rate),
        jax.grad(slope)(rate),
    )


def grid():
    """Bins over zeros, few and many counts, equal and very unequal exposures."""
    axes = [
        [0.0, 1.0, 7.0, 150.0, 3e4],  # S
        [0.0, 1.0, 30.0, 2e4],  # B
        [0.0, 0.3, 5.0, 90.0],  # sigma
        [2.0, 500.0],  # t_s
        [0.5, 4000.0],  # t_b
        [-0.5, 0.0, 1e-9, 0.02, 0.9, 40.0],  # rate
    ]
    counts, background, sigma, t_s, t_b, rate = (x.ravel() for x in np.meshgrid(*axes))
    bins = make_bins(counts, t_s=t_s, background=background, background_variance=sigma**2, t_b=t_b)
    return bins, rate


def above_floor(name, bins, rate):
    """Where no floor acts, and away from the kink of wstat at B = 0."""
    alpha = bins.t_s / bins.t_b
    expected = bins.t_s * rate
    if name == "pstat" or name == "pgstat":
        expected = expected + alpha * bins.background
    above = expected > 2 * FLOOR
    if name == "pgstat":
        above |= bins.background_variance > 0
    if name == "wstat":
        kink = bins.counts * bins.t_s / (bins.t_s + bins.t_b)
        above &= (bins.background > 0) | (np.abs(bins.t_s * rate - kink) > 1e-9)
    return above


def test_xspec_reference_cases(reference_dir):
    """12.9.1's own numbers; ``bvar`` stands where its code takes sigma^2, here counts^2.

    (What that version hands to this place is t_b times the variance of the background rate; ours
    is always sigma in counts, so that the column is used as it is.)
    """
    file = reference_dir / "xspec" / "statistics_cases.json"
    cases = json.loads(file.read_text())["cases"]
    for name, number in {"cstat": 70, "wstat": 280, "pstat": 280, "pgstat": 840}.items():
        mine = [case for case in cases if case["stat"] == name]
        assert len(mine) == number
        column = {
            key: np.array([case.get(key, 0.0) for case in mine]) for key in mine[0] if key != "stat"
        }
        options = {"counts": column["s"], "exposure": column["ts"], "rate": column["y"]}
        if name != "cstat":
            options |= {"background": column["b"], "background_exposure": column["tb"]}
        if name == "pgstat":
            options |= {"background_error": np.sqrt(column["bvar"])}
        value = statistic(name, **options)
        np.testing.assert_allclose(value, column["value"], rtol=1e-10, atol=1e-10)


# name, S, B, sigma, t_s, t_b, rate, value: worked by hand from conventions' corner cases
CORNERS = [
    ("cstat", 0, 0, 0, 10.0, 1.0, 0.3, 6.0),
    ("cstat", 0, 0, 0, 10.0, 1.0, 0.0, 2e-5),
    ("cstat", 4, 0, 0, 10.0, 1.0, 0.4, 0.0),
    ("cstat", 1, 0, 0, 10.0, 1.0, 0.0, 2 * (1e-5 - 1 + 5 * np.log(10))),
    ("wstat", 0, 3, 0, 10.0, 30.0, 0.2, 2 * (2 - 3 * np.log(30 / 40))),
    ("wstat", 5, 0, 0, 10.0, 30.0, 0.1, 2 * (-30 * 0.1 - 5 * np.log(10 / 40))),
    ("wstat", 1, 0, 0, 10.0, 30.0, 0.5, 2 * (5 + np.log(1 / 5) - 1)),
    ("wstat", 5, 6, 0, 10.0, 30.0, 0.3, 0.0),  # m = S/t_s - B/t_b
    ("pstat", 0, 0, 0, 10.0, 30.0, -1.0, 2e-5),
    ("pstat", 3, 6, 0, 10.0, 30.0, 0.1, 0.0),
    ("pgstat", 0, 2, 3.0, 10.0, 30.0, 0.4, 2 * (4 + 2 / 3 - 9 / 2 / 9)),
    ("pgstat", 3, 6, 2.0, 10.0, 30.0, 0.1, 0.0),
]


@pytest.mark.parametrize(("name", "s", "b", "sigma", "t_s", "t_b", "rate", "value"), CORNERS)
def test_corner_cases(name, s, b, sigma, t_s, t_b, rate, value):
    options = {"counts": s, "exposure": t_s, "rate": rate}
    if STATISTICS[name].background:
        options |= {"background": b, "background_exposure": t_b}
    if name == "pgstat":
        options["background_error"] = sigma
    assert statistic(name, **options) == pytest.approx(value, rel=1e-12, abs=1e-12)


def test_wstat_and_pgstat_are_the_minimum_over_the_background(rng):
    def deviance(n, mean):
        return 2 * (mean - n + (n * np.log(n / mean) if n else 0.0))

    for _ in range(40):
        s, b = rng.poisson(5.0), rng.poisson(8.0)
        t_s, t_b, m = rng.uniform(1, 10), rng.uniform(1, 30), rng.uniform(0.01, 2)
        sigma = rng.uniform(0.5, 3)
        f = np.linspace(-m, (s + b + 20) / min(t_s, t_b), 40_001)[1:]
        options = {"counts": s, "background": b, "exposure": t_s, "background_exposure": t_b}
        w = deviance(s, t_s * (m + f)) + deviance(b, t_b * np.maximum(f, 1e-300))
        best = w[f > 0].min() if b else min(w[f > 0].min(), deviance(s, t_s * m))
        assert statistic("wstat", rate=m, **options) == pytest.approx(best, abs=1e-4)
        assert statistic("wstat", rate=m, **options) <= best + 1e-12
        if s:
            best = (deviance(s, t_s * (m + f)) + ((b - t_b * f) / sigma) ** 2).min()
            value = statistic("pgstat", rate=m, background_error=sigma, **options)
            assert value <= best + 1e-12
            assert value == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("name", STATISTICS)
def test_derivatives(name):
    bins, rate = grid()
    bins = weighted(name, bins)
    result, gradient, observed, bend = everything(name, bins, rate)
    for x in (*result, gradient, observed, bend):
        assert np.isfinite(x).all()
    assert (result.curvature > 0).all()
    assert (np.asarray(observed) >= 0).all()
    smooth = above_floor(name, bins, rate) if name in POISSON else rate > 2 * FLOOR
    scale = 1e-9 * (np.asarray(bins.t_s) + np.abs(result.slope))
    assert (np.abs(gradient - result.slope) <= scale)[smooth].all()
    scale = 1e-9 * np.asarray(result.curvature) + 1e-7 * np.abs(bend) + 1e-12
    assert (np.abs(observed - bend) <= scale)[smooth].all()


@pytest.mark.parametrize("name", ["cstat", "pstat", "wstat"])
def test_below_the_floor_the_slope_pulls_back(name):
    bins = make_bins([3.0, 0.0], t_s=10.0, background=0.0, t_b=10.0)
    low = STATISTICS[name].kernel(bins, jnp.array([-2.0, -2.0]))
    floor = STATISTICS[name].kernel(bins, jnp.array([FLOOR / 10, FLOOR / 10]))
    assert np.allclose(low.value, floor.value, rtol=1e-12)
    assert np.allclose(low.slope, floor.slope, rtol=1e-12)
    assert np.isfinite(low.curvature).all()
    if name != "wstat":  # wstat explains the counts by background instead
        assert float(low.slope[0]) == pytest.approx(20.0 * (1 - 3 / FLOOR))


def test_expected_curvature_is_the_fisher_information(rng):
    """Mean observed curvature over simulated data at the truth equals the expected one."""
    m, f, t_s, t_b, n = 2.0, 1.0, 40.0, 60.0, 4000
    bins = make_bins(
        rng.poisson(t_s * (m + f), n), t_s=t_s, background=rng.poisson(t_b * f, n), t_b=t_b
    )
    at = jnp.full(n, m)
    expected = 2 / ((m + f) / t_s + f / t_b)
    assert np.mean(STATISTICS["wstat"].kernel(bins, at).curvature) == pytest.approx(
        expected, rel=0.01
    )
    assert np.mean(STATISTICS["wstat"].observed(bins, at)) == pytest.approx(expected, rel=0.02)
    assert np.std(STATISTICS["wstat"].kernel(bins, at).slope) == pytest.approx(
        np.sqrt(2 * expected), rel=0.05
    )


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4, -3e4, 6e7])
def test_large_counts_keep_precision(offset):
    """S = 1e8 against 50-digit arithmetic."""
    s, t_s, b, t_b = 100_000_000, 7.0, 5_000_000, 3.0
    rate = (s + offset) / t_s
    with localcontext() as context:
        context.prec = 50
        mean = Decimal(t_s) * Decimal(rate)
        exact = float(2 * (mean - s + s * (Decimal(s) / mean).ln()))
    assert (
        abs(statistic("cstat", counts=s, exposure=t_s, rate=rate) - exact) <= 1e-9 + 1e-14 * exact
    )
    rate -= b / t_b
    with localcontext() as context:
        context.prec = 50
        ts, tb, m = Decimal(t_s), Decimal(t_b), Decimal(rate)
        t = ts + tb
        half = t * m - s - b
        f = ((half * half + 4 * t * b * m).sqrt() - half) / (2 * t)
        mean, mean_b = ts * (m + f), tb * f
        exact = float(2 * (mean - s + s * (s / mean).ln() + mean_b - b + b * (b / mean_b).ln()))
    value = statistic(
        "wstat", counts=s, exposure=t_s, background=b, background_exposure=t_b, rate=rate
    )
    assert abs(value - exact) <= 1e-9 + 1e-14 * exact


number = st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.integers(0, 50).map(float))
exposure = st.floats(1e-3, 1e7)


@settings(max_examples=150, deadline=None)
@given(number, number, number, exposure, exposure, st.floats(-1e4, 1e6))
def test_any_numbers_give_finite_results_above_saturation(s, b, sigma, t_s, t_b, rate):
    bins = make_bins([s], t_s=t_s, background=b, background_variance=sigma**2, t_b=t_b)
    rate = np.array([rate])
    for name in ("cstat", "wstat", "pstat", "pgstat", "chi2", "chi2-model"):
        ready = weighted(name, bins)
        result, gradient, observed, _ = everything(name, ready, rate)
        for x in (*result, gradient, observed):
            assert np.isfinite(x).all(), name
        assert float(result.curvature[0]) >= 0 and float(observed[0]) >= 0
        best = STATISTICS[name].net(ready)[0]
        best = np.maximum(best, 0.0) if name in ("cstat", "wstat") else best
        least = float(everything(name, ready, np.asarray(best))[0].value[0])
        if s > 0 or name != "pgstat":  # S = 0 follows XSPEC below an unphysical background
            assert float(result.value[0]) >= least - 1e-6 * (1 + abs(least) + 1e-6 * (s + b))


def test_no_exposure_and_no_background_exposure_are_harmless():
    bins = make_bins([4.0, 0.0], t_s=[10.0, 0.0], background=[3.0, 1.0], t_b=[0.0, 5.0])
    for name in POISSON:
        result = STATISTICS[name].kernel(bins, jnp.array([0.3, 0.3]))
        assert np.isfinite(np.stack(result)).all(), name
        assert float(result.slope[1]) == 0.0
    lone = make_bins([4.0], t_s=10.0)
    with_b = float(STATISTICS["wstat"].kernel(bins, jnp.array([0.3, 0.3])).value[0])
    assert with_b == pytest.approx(
        float(STATISTICS["cstat"].kernel(lone, jnp.array([0.3])).value[0])
    )
    variance = chi2_variance("chi2", bins)
    assert variance[0] == pytest.approx(4 / 100) and np.isinf(variance[1])


def test_kernels_follow_float32():
    bins = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), grid()[0])
    rate = jnp.asarray(grid()[1], jnp.float32)
    for name in ("wstat", "pgstat", "chi2-model"):
        for x in (*STATISTICS[name].kernel(bins, rate), STATISTICS[name].observed(bins, rate)):
            assert x.dtype == jnp.float32 and bool(jnp.isfinite(x).all())


def test_chi2_weights():
    bins = make_bins([0.0, 16.0, 25.0], t_s=10.0, background=[0.0, 4.0, 0.0], t_b=20.0)
    standard = [
        1 / 400,
        16 / 100 + 4 / 400,
        25 / 100,
    ]  # no counts: the smaller of the one-count rates
    np.testing.assert_allclose(chi2_variance("chi2", bins), standard)
    gehrels = (1 + np.sqrt(np.array([0.75, 16.75, 25.75]))) ** 2 / 100
    gehrels += (1 + np.sqrt(np.array([0.75, 4.75, 0.75]))) ** 2 / 400
    np.testing.assert_allclose(chi2_variance("chi2-gehrels", bins), gehrels)
    counts = np.array([30.0, 3.0, 3.0, 3.0, 9.0])
    # windows: itself; +-1 -> 36; +-2 -> 48; +-2 clipped -> 18 then +-3 -> 48; all of it
    expected = np.array([30, 36 / 3, 48 / 5, 48 / 5, 48 / 5]) / 4
    got = chi2_variance("chi2-churazov", make_bins(counts, t_s=2.0))
    np.testing.assert_allclose(got[:3], expected[:3])
    np.testing.assert_allclose(got[3:], [48 / 5 / 4, 48 / 5 / 4])
    edge = chi2_variance("chi2-churazov", make_bins([5.0, 5.0, 9.0, 5.0, 5.0], t_s=1.0))
    assert edge[2] == pytest.approx(29 / 5)  # three bins hold 19: not yet 20
    no_background = make_bins([0.0], t_s=10.0)
    assert chi2_variance("chi2", no_background)[0] == pytest.approx(1 / 100)
    model = weighted("chi2-model", bins)
    value = STATISTICS["chi2-model"].kernel(model, jnp.full(3, 0.5)).value
    noise = 0.5 / 10 + np.array([0, 0.2 / 10 + 4 / 400, 0])
    np.testing.assert_allclose(value, (0.5 - bins.rate) ** 2 / noise)
    own = statistic("chi2", counts=[4.0], exposure=2.0, error=[3.0], rate=0.5)
    assert own[0] == pytest.approx((2 - 0.5) ** 2 / (9 / 4))


def test_systematic_error_widens_chi2():
    plain = make_bins([100.0], t_s=10.0)
    wide = make_bins([100.0], t_s=10.0, systematic=(0.05 * 10.0) ** 2)
    assert chi2_variance("chi2", plain)[0] == pytest.approx(1.0)
    assert chi2_variance("chi2", wide)[0] == pytest.approx(1.25)


def test_statistic_front():
    lone = {"counts": [3, 0], "exposure": 100.0, "rate": 0.05}
    both = lone | {"background": [2, 1], "background_exposure": 300.0}
    np.testing.assert_array_equal(statistic("cstat", **both), statistic("wstat", **both))
    np.testing.assert_array_equal(statistic("cash", **both), statistic("cstat", **lone))
    np.testing.assert_array_equal(
        statistic("cash", background=[2, 1], **lone), statistic("cstat", **lone)
    )
    assert statistic("C-stat", **lone).dtype == np.float64
    assert statistic("cstat", counts=1, rate=1.0).shape == ()


def test_statistic_works_in_a_float32_session():
    """The front door is float64 whatever the session's setting, and leaves it alone."""
    code = (
        "import jax, jaxspec.likelihood.statistics as s\n"
        "v = s.statistic('cstat', counts=[10**8], exposure=7.0, rate=(10**8 + 1e4) / 7)\n"
        "assert v.dtype == 'float64' and abs(v[0] - 0.99993333833) < 1e-9, v\n"
        "assert not jax.config.jax_enable_x64\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("chi3", {"counts": 1}, "'chi3' is not a statistic; choose one of cash, cstat"),
        ("wstat", {"counts": 1}, "wstat needs a background"),
        ("wstat", {"counts": 1, "background": 2}, "without background_exposure"),
        ("pgstat", {"counts": 1, "background": 2, "background_exposure": 1}, "error of the back"),
        ("cstat", {"counts": -1}, "parameter counts: -1 counts cannot be Poisson"),
        ("pstat", {"counts": 1, "background": -2, "background_exposure": 1}, "background: -2"),
        ("cstat", {"counts": np.nan}, "parameter counts: not finite"),
        ("cstat", {"counts": 1, "exposure": 0.0}, "exposure 0 s is not positive"),
        ("chi2", {"counts": 1, "error": -1.0}, "error -1 is negative"),
        ("cstat", {"counts": [1, 2], "rate": [1, 2, 3]}, "not arrays of one shape"),
        ("cstat", {"counts": "many"}, "not arrays of one shape"),
    ],
)
def test_bad_input(name, options, text):
    with pytest.raises(InputError, match=text):
        statistic(name, **options)


def test_floor():
    options = {"counts": [0, 2], "exposure": 10.0, "background": [3, 1], "background_exposure": 20}
    high = statistic("wstat", rate=0.0, **options)
    low = statistic("wstat", rate=0.0, floor=1e-25, **options)
    t = np.log(20 / 30)
    np.testing.assert_allclose(high - low, [2e-5, 2e-5 * (1 - 2 / (10 * 3 / 30))], rtol=1e-4)
    np.testing.assert_allclose(low[0], -6 * t, rtol=1e-14)


def test_names():
    assert {statistic_name(name) for name in statistics.SYNONYMS} <= set(STATISTICS)
    for name in STATISTICS:
        assert statistic_name(name.upper().replace("-", " ")) == name
