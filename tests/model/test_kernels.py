"""Every model of the catalogue goes through one table, kernel_table.py."""

import json
import math
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_table import CASES, bremsstrahlung
from scipy.integrate import quad

from jaxspec.model import absorption
from jaxspec.model.additive import gaussian, powerlaw
from jaxspec.model.catalogue import CATALOGUE

EDGES = np.geomspace(0.6, 18.0, 15)  # coarse: each bin is 27 % wide
N_BIN = 14
WIDE = np.array([1e-3, 0.02, 0.5, 1.0, 2.0, 3.5, 5.0, 6.4, 7.0, 10.0, 12.0, 20.0, 50.0, 200.0, 1e3])


COMPONENTS = {c.name: c for c in CATALOGUE}


def inner(lo, hi):
    """What the convolutions act on, as in the stored XSPEC values."""
    return powerlaw(lo, hi, 1.8) + 0.1 * gaussian(lo, hi, 6.4, 0.3)


def table(name, e_lo, e_hi, abund="angr", xsect="vern"):
    """What the kernel gets after its parameters: nothing, or the prepared cross sections."""
    prepare = COMPONENTS[name].prepare
    return () if prepare is None else (prepare(e_lo, e_hi, (abund, xsect)),)


def call(name, e_lo, e_hi, params, tables):
    """The kernel on arrays; the convolutions act on `inner`."""
    component = COMPONENTS[name]
    kernel = partial(component.kernel, inner) if component.kind == "con" else component.kernel
    return kernel(e_lo, e_hi, *(params[i] for i in range(params.shape[0])), *tables)


in_one = jax.jit(call, static_argnums=0)


def evaluate(name, edges, params, abund="angr", xsect="vern"):
    """Value for any number of bins."""
    lo, hi = edges[:-1], edges[1:]
    tables = table(name, lo, hi, abund, xsect)
    return np.asarray(in_one(name, lo, hi, jnp.array(params, float), tables))


def n_shape(name):
    component = COMPONENTS[name]
    return len(component.parameters) - (component.kind == "add")


@cache
def compiled(name):
    """Value, forward and reverse Jacobian for 14 bins; compiled once for all tests."""

    @jax.jit
    def everything(e_lo, e_hi, params, tables):
        f = partial(call, name, e_lo, e_hi, tables=tables)
        value, pullback = jax.vjp(f, params)
        reverse = jax.vmap(lambda row: pullback(row)[0])(jnp.eye(N_BIN))
        return value, jax.jacfwd(f)(params), reverse

    return everything


def derivatives(name, params, edges=None, e_hi=None):
    """Value, forward and reverse Jacobian as NumPy arrays; EDGES unless other bins are given."""
    edges = EDGES if edges is None else edges
    lo, hi = (edges[:-1], edges[1:]) if e_hi is None else (edges, e_hi)
    out = compiled(name)(lo, hi, jnp.array(params, float), table(name, lo, hi))
    return tuple(map(np.asarray, out))


def test_every_model_is_in_the_table():
    assert set(CASES) == set(COMPONENTS)
    assert all(len(CASES[c.name].params) == n_shape(c.name) for c in CATALOGUE)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.formula is not None])
def test_value_against_quadrature(name):
    case = CASES[name]
    edges = EDGES if case.grid is None else case.grid
    value = derivatives(name, case.params, edges)[0]
    for lo, hi, got in zip(edges[:-1], edges[1:], value, strict=True):
        cuts = [lo, *sorted(b for b in case.breaks(*case.params) if lo < b < hi), hi]
        true = sum(
            quad(case.formula, a, b, args=case.params, epsrel=1e-8, epsabs=1e-300)[0]
            for a, b in zip(cuts[:-1], cuts[1:], strict=True)
        )
        if COMPONENTS[name].kind == "mul":
            true /= hi - lo
        # A quadrature node may sit on the other side of a step of the bremss fits.
        rtol = case.rtol if name != "bremss" or len(cuts) == 2 else 3e-3
        assert abs(got - true) <= rtol * abs(true) + 1e-15, (lo, hi)


def test_bremss_is_accurate_where_its_fits_are_smooth():
    edges = np.geomspace(1.02, 4.9, N_BIN + 1) * 3.3
    true = [
        quad(bremsstrahlung, a, b, args=(3.3,), epsrel=1e-8)[0]
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    np.testing.assert_allclose(derivatives("bremss", (3.3,), edges)[0], true, rtol=1e-6)


@pytest.mark.parametrize("kt", [0.05, 0.3, 0.8, 5.0, 20.0, 80.0])
def test_bremss_in_each_regime_of_the_gaunt_factor(kt):
    e = np.geomspace(1.1e-4, 29.0, N_BIN) * kt
    value = derivatives("bremss", (kt,), e, e * 1.0001)[0] / (e * 1e-4)
    np.testing.assert_allclose(value, [bremsstrahlung(x * 1.00005, kt) for x in e], rtol=3e-6)


@pytest.mark.parametrize("kt", [0.05432 / 0.1, 0.01358 / 0.1, 13.58, 54.32])
def test_bremss_is_continuous_in_temperature(kt):
    """XSPEC changes from one fit to another in one step here."""
    for end in (1.0, 1 / 0.95, 1 / 0.9):
        lower, upper = (derivatives("bremss", (kt * end * (1 + d),))[0] for d in (-1e-9, 1e-9))
        np.testing.assert_allclose(lower, upper, rtol=1e-6)


def test_cflux_gives_the_flux_whatever_the_response_covers():
    density = partial(CASES["zashift"].formula, z=0.0)
    true = quad(lambda e: e * density(e), 0.5, 10.0, points=[6.4], epsrel=1e-10)[0]
    scale = 10.0**-11 / (true * 1.60219e-9)
    for edges in (EDGES, np.array([20.0, 21.0])):
        value = evaluate("cflux", edges, (0.5, 10.0, -11.0))
        expected = scale * jax.jit(inner)(edges[:-1], edges[1:])
        np.testing.assert_allclose(value, expected, rtol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree(name):
    params = np.array(CASES[name].params)
    _, forward, reverse = derivatives(name, params)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9, atol=1e-300)
    for i, p in enumerate(params):
        h = 1e-5 * max(abs(p), 1e-2)
        step = h * np.eye(len(params))[i]
        up, down = (derivatives(name, params + s)[0] for s in (step, -step))
        numeric = (up - down) / (2 * h)
        scale = np.abs(numeric).max()
        np.testing.assert_allclose(forward[:, i], numeric, rtol=1e-5, atol=1e-8 * scale)


def starts_of(parameter):
    """Values of starts; those of an energy are parts of a band, here 0.3 to 10 keV."""
    if parameter.role != "energy":
        return parameter.starts
    return [0.3 * (10 / 0.3) ** part for part in parameter.starts]


def hard_limits(name):
    parameters = COMPONENTS[name].parameters[: n_shape(name)]
    default = [p.default for p in parameters]
    for i, p in enumerate(parameters):
        for limit in (p.hard_min, p.hard_max, p.soft_min, p.soft_max, *starts_of(p)):
            yield (*default[:i], limit, *default[i + 1 :])


@pytest.mark.parametrize("name", CASES)
def test_finite_at_every_edge(name):
    for params in (*CASES[name].edges, *hard_limits(name)):
        value, forward, reverse = derivatives(name, params, WIDE)
        assert np.all(np.isfinite(value)), params
        assert np.all(value >= 0), params
        assert np.all(np.isfinite(forward)), params
        rounding = 1e-12 * np.abs(reverse).max(0) + 1e-15 * np.abs(reverse).max()
        assert np.all(np.abs(forward - reverse) <= 1e-7 * np.abs(reverse) + rounding), params


@pytest.mark.parametrize("name", CASES)
def test_single_precision_stays(name):
    tables = [t.astype("f4") for t in table(name, EDGES[:-1], EDGES[1:])]
    lo, hi = EDGES[:-1].astype("f4"), EDGES[1:].astype("f4")
    params = jnp.array(CASES[name].params, jnp.float32)
    f = partial(call, name, jnp.asarray(lo), jnp.asarray(hi), tables=tables)
    value, tangent = jax.jit(lambda p: jax.jvp(f, (p,), (p,)))(params)
    assert value.dtype == tangent.dtype == jnp.float32
    expected = derivatives(name, CASES[name].params)[0]
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6 * expected.max())


def test_line_keeps_its_photons_and_its_far_wings():
    value = evaluate("gaussian", np.geomspace(1e-3, 1e3, 200), (6.4, 0.4))
    assert abs(value.sum() - 1) < 1e-14
    edges = 0.02 * np.arange(50, 1001)
    value = evaluate("gaussian", edges, (6.4, 0.1))
    for wing in (value[edges[1:] < 3.401], value[edges[:-1] > 9.399]):
        np.testing.assert_allclose(wing.sum(), 4.906713927148e-198, rtol=1e-9)  # 30 sigma


@pytest.mark.parametrize(("name", "at"), [("bknpower", 1), ("edge", 0), ("highecut", 0)])
def test_threshold_moves_smoothly_through_a_bin(name, at):
    """The derivative with respect to a threshold is that of the bin integral, not zero."""
    params = np.array(CASES[name].params)
    for threshold in (EDGES[8] * 1.01, 0.5 * (EDGES[8] + EDGES[9]), EDGES[9] * 0.99):
        params[at] = threshold
        slope = derivatives(name, params)[1][8, at]
        h = 1e-5
        values = []
        for sign in (1, -1):
            shifted = params.copy()
            shifted[at] += sign * h
            values.append(derivatives(name, shifted)[0][8])
        assert slope != 0
        np.testing.assert_allclose(slope, (values[0] - values[1]) / (2 * h), rtol=1e-5)


def test_powerlaw_at_unity_is_the_logarithm():
    width = math.log(2.5)
    for offset in (0.0, 1e-12, -1e-8, 1e-5, -1e-4):
        value = powerlaw(jnp.array([2.0]), jnp.array([5.0]), 1.0 + offset)
        x = offset * width
        true = 2**-offset * width * (1 - x / 2 + x * x / 6 - x**3 / 24)
        np.testing.assert_allclose(value[0], true, rtol=1e-13)


# Values of XSPEC 12.9.1, present only beside the reference data.


@cache
def stored_file(path):
    with open(path) as f:
        return json.load(f)


def stored(folder, file, name):
    content = stored_file(folder / "xspec" / file)
    cases = [c for c in content["cases"] if c["model"] == name]
    assert cases, name
    return content, cases


@pytest.mark.parametrize("name", CASES)
def test_against_xspec_on_narrow_bins(name, reference_dir):
    content, cases = stored(reference_dir, "fine_grid_cases.json", name)
    edges = 0.2 * 400 ** (np.arange(3001) / 3000)
    bins = np.array(content["bins"])
    for case in cases:
        value = evaluate(name, edges, case["params"], case.get("abund"), case.get("xsect"))[bins]
        expected = np.array(case["values"])
        known = expected > 1e-10 * expected.max()
        if name == "zashift":  # there was no input above 80 keV
            known &= edges[bins + 1] < 80 / (1 + case["params"][0])
        deviation = np.abs(value[known] / expected[known] - 1)
        assert deviation.max() < CASES[name].xspec, case["params"]
        bright = deviation[expected[known] > 1e-3 * expected.max()]
        assert bright.max() < (3e-4 if name == "zashift" else 1.2e-4), case["params"]
        assert np.median(deviation) < (1e-5 if COMPONENTS[name].prepare else 4e-5)


COARSE_EXACT = {"powerlaw": 5e-9, "bknpower": 1e-9, "constant": 1e-7, "gaussian": 1e-8}


@pytest.mark.parametrize("name", COARSE_EXACT)
def test_against_xspec_on_coarse_bins(name, reference_dir):
    """Only where XSPEC integrates exactly; it puts the last 1e-6 of a line in one bin."""
    content, cases = stored(reference_dir, "coarse_grid_cases.json", name)
    for case in cases:
        edges = np.array(content["grids"][case["grid"]])
        value = evaluate(name, edges, case["params"])
        if name == "gaussian" and case["params"][1] < 2 * np.diff(edges).max():
            continue  # XSPEC does not move narrow lines inside a bin, see test_narrow_lines.py
        atol = 1e-6 if name == "gaussian" else 0
        np.testing.assert_allclose(value, case["values"], rtol=COARSE_EXACT[name], atol=atol)


@pytest.mark.parametrize(
    ("name", "worst"), [("phabs", 1.2e-4), ("TBabs", 2e-2), ("wabs", 1e-5)], ids=str
)
def test_transmission_against_xspec_on_coarse_bins(name, worst, reference_dir):
    """XSPEC's own bin rule, bins with edges included; it computes phabs and wabs in single."""
    content, cases = stored(reference_dir, "coarse_grid_cases.json", name)
    for case in cases:
        edges = np.array(content["grids"][case["grid"]])
        value = evaluate(name, edges, case["params"], case["abund"], case["xsect"])
        expected = np.array(case["values"])
        known = expected > 1e-4  # below, XSPEC's single precision shows
        deviation = np.abs(value[known] / expected[known] - 1)
        assert np.median(deviation) < 1e-5
        assert deviation.max() < (5e-5 if case["xsect"] == "obcm" else worst), case["params"]


def test_wabs_is_its_published_polynomial():
    e = np.array([0.0135, 0.02, 0.05, 0.9, 3.0, 7.5, 20.0])
    row = {0.02: 0.336, 20.0: 9.532, 7.5: 6.29 + 0.309 * 7.5}
    sigma = jax.jit(absorption.sigma_wabs)(e)
    for x, expected in row.items():
        np.testing.assert_allclose(sigma[e == x], expected / x**3, rtol=1e-12)
    assert sigma[e == 0.0135] == 0


def test_disc_is_continuous_and_right_where_its_two_expansions_meet():
    """(Tin/E)^(8/3) G(E/Tin) with G by quadrature, on both sides of E = 5 Tin."""
    t = 1.2
    e = np.array([1.0, 3.0, 5.5, 5.99, 6.01, 8.0])
    for lo in e:
        x = lo * (1 + 5e-7) / t
        g = quad(lambda y: y ** (5 / 3) / np.expm1(y), x, x + 60, epsrel=1e-12, limit=200)[0]
        true = (lo * (1 + 5e-7)) ** 2 / 361 * x ** (-8 / 3) * g
        width = lo * (1 + 1e-6) - lo
        value = evaluate("diskbb", np.array([lo, lo + width]), (t,))[0] / width
        np.testing.assert_allclose(value, true, rtol=2e-9)
