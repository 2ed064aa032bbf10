"""Cross sections: recipes, the nine abundance tables, tables published by others."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxspec.errors import InputError
from jaxspec.model import absorption
from jaxspec.model import cross_sections as xs

ENERGY = np.geomspace(0.1, 20.0, 301)


def test_hydrogen_is_close_to_the_exact_cross_section():
    """Stobbe's formula for a hydrogen-like atom in its ground state."""
    e = np.array([14.0, 30.0, 100.0, 1000.0])
    k = np.sqrt(e / 13.6057 - 1)
    exact = 6.3042e-18 * (13.6057 / e) ** 4
    exact = exact * np.exp(4 - 4 * np.arctan(k) / k) / (1 - np.exp(-2 * np.pi / k))
    np.testing.assert_allclose(xs.verner(e)[0], exact, rtol=0.02)
    np.testing.assert_allclose(xs.hydrogen_band(e), exact, rtol=0.08)


@pytest.mark.parametrize(
    ("symbol", "edge", "jump"), [(4, 543.1, 20.0), (15, 7112.0, 7.0), (9, 1840.0, 10.0)]
)
def test_k_edges_are_where_they_belong(symbol, edge, jump):
    """O, Fe and Si: the cross section rises by about the known factor at the K edge."""
    below, above = xs.verner(np.array([edge * 0.97, edge * 1.03]))[symbol]
    assert 0.4 * jump < above / below < 2 * jump


def test_cross_sections_of_helium_agree():
    e = np.array([40.0, 100.0, 250.0, 280.0])
    yan, marr = xs.helium_yan(e), xs.helium_marr_west(e)
    np.testing.assert_allclose(yan, marr, rtol=0.12)
    np.testing.assert_allclose(yan, xs.verner(e)[1], rtol=0.1)


def test_molecular_hydrogen_is_continuous_and_twice_the_atom():
    for edge in (85.0, 30.0):
        below, above = xs.hydrogen_molecule(np.array([edge * (1 - 1e-9), edge * (1 + 1e-9)]))
        np.testing.assert_allclose(below, above, rtol=0.05)
    hard = np.array([500.0, 1000.0])
    ratio = xs.hydrogen_molecule(hard) / xs.hydrogen_band(hard)
    assert np.all((ratio > 2.0) & (ratio < 3.5))


def test_thin_grains_absorb_like_gas_and_thick_ones_less():
    mass = 1e-26
    thin = np.array([1e-26])  # 1 cm2/g: transparent grains
    np.testing.assert_allclose(xs.grains(thin, mass), thin, rtol=1e-4)
    thick = np.array([1e-20])
    assert xs.grains(thick, mass) < 0.1 * thick
    # Opaque grains: the mean geometrical cross section per mass, 3/(4 rho sqrt(a_min a_max)).
    area = 0.75 / np.sqrt(0.025e-4 * 0.25e-4) * mass
    np.testing.assert_allclose(xs.grains(np.array([1e-15]), mass), area, rtol=1e-3)


def test_abundances():
    for name in xs.ABUNDANCES:
        table = xs.elements().abundance[name]
        assert table.shape == (18,)
        assert table[0] == 1
        assert np.all(table > 0)
    assert xs.elements().abundance["angr"][15] == 4.68e-5
    assert xs.elements().abundance["wilm"][4] == 4.9e-4
    assert xs.elements().z.tolist()[-3:] == [26, 27, 28]


@pytest.mark.parametrize("xsect", xs.CROSS_SECTIONS)
def test_phabs_is_linear_in_the_abundances(xsect):
    sigma = {a: absorption.sigma_phabs(ENERGY, a, xsect) for a in xs.ABUNDANCES}
    assert len({s[0] for s in sigma.values()}) == 9
    # Without metals, hydrogen and helium alone are left far below all edges.
    assert np.all(sigma["angr"] > sigma["wilm"] * 0.99)


def test_phabs_absorbs_only_between_its_limits():
    sigma = absorption.sigma_phabs(np.array([1e-6, 0.01, 0.014, 99.0, 101.0, 1e4]), "angr", "bcmc")
    assert (sigma > 0).tolist() == [False, False, True, True, False, False]


def test_known_column_depths():
    """Optical depth of 1e22/cm2 at 1 keV: about 2.45 for angr, less for wilm."""
    one = np.array([1.0])
    np.testing.assert_allclose(absorption.sigma_phabs(one, "angr", "vern"), 2.45, rtol=0.03)
    np.testing.assert_allclose(absorption.sigma_wabs(jnp.array(one)), 2.422, rtol=1e-3)
    np.testing.assert_allclose(absorption.sigma_tbabs(one, "wilm"), 1.74, rtol=0.03)


STORED = {  # computed here, after they agreed with ELISA's tables to 4e-5 and with XSPEC
    "vern": [367.581, 28.6248, 9.67216, 4.57105, 2.50248, 0.151497, 0.0280865],
    "bcmc": [370.599, 29.397, 10.35688, 5.427498, 2.591242, 0.1550692, 0.0277601],
    "obcm": [409.131, 30.9143, 11.0303, 5.810582, 2.786571, 0.1698054, 0.02889178],
    "TBabs": [368.73, 27.3173, 5.06395, 3.91884, 1.73754, 0.0995624, 0.0170815],
}


@pytest.mark.parametrize("name", STORED)
def test_stored_values(name):
    """angr for phabs, wilm for TBabs, 1e-22 cm2."""
    energy = np.array([0.12, 0.3, 0.54, 0.72, 1.0, 3.0, 7.2])
    if name == "TBabs":
        sigma = absorption.sigma_tbabs(energy, "wilm")
    else:
        sigma = absorption.sigma_phabs(energy, "angr", name)
    np.testing.assert_allclose(sigma, STORED[name], rtol=4e-6)


@pytest.mark.parametrize(
    ("sigma", "abund", "xsect"),
    [
        (absorption.sigma_phabs, "solar", "vern"),
        (absorption.sigma_phabs, "angr", "verner"),
        (absorption.sigma_tbabs, "ANGR", "vern"),
    ],
)
def test_unknown_tables_are_named(sigma, abund, xsect):
    with pytest.raises(InputError, match="choose one of"):
        sigma(ENERGY, abund, xsect)


def test_prepare_takes_the_mean_of_the_edges_and_bins_may_be_apart():
    lo, hi = np.array([1.0, 3.0, 3.5]), np.array([1.2, 3.5, 4.0])
    table = absorption.prepare_tbabs(lo, hi, ("wilm", "vern"))
    sigma = absorption.sigma_tbabs
    np.testing.assert_allclose(table, 0.5 * (sigma(lo) + sigma(hi)), rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "xsect"), [("phabs", "vern"), ("phabs", "obcm"), ("tbabs", "vern")]
)
def test_lookup_gives_what_prepare_gives(name, xsect, rng):
    e = np.sort(
        np.concatenate([ENERGY, rng.uniform(0.02, 150.0, 2000), rng.uniform(0.5, 0.75, 500)])
    )
    prepared = getattr(absorption, f"prepare_{name}")(e[:-1], e[1:], ("aspl", xsect))
    lookup = getattr(absorption, f"lookup_{name}")(("aspl", xsect))
    found = np.asarray(jax.jit(lookup)(jnp.array(e[:-1]), jnp.array(e[1:])))
    np.testing.assert_allclose(found, prepared, rtol=1e-4, atol=1e-12)  # the worst is at O K
    known = prepared > 0
    assert np.median(np.abs(found[known] / prepared[known] - 1)) < 1e-6
    assert lookup is getattr(absorption, f"lookup_{name}")(("aspl", xsect))


def test_lookup_is_differentiable_in_the_redshift_and_keeps_the_precision():
    lookup = absorption.lookup_tbabs(("wilm", "vern"))

    @jax.jit
    def mean(z):
        return jnp.mean(lookup(jnp.array(ENERGY[:-1]) * (1 + z), jnp.array(ENERGY[1:]) * (1 + z)))

    slope = jax.jit(jax.grad(mean))(0.3)
    numeric = (mean(0.3 + 1e-5) - mean(0.3 - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope, numeric, rtol=0.05)
    single = lookup(jnp.array(ENERGY[:-1], jnp.float32), jnp.array(ENERGY[1:], jnp.float32))
    assert single.dtype == jnp.float32
    outside = lookup(jnp.array([1e-9, 1e5]), jnp.array([1e-8, 1e6]))
    assert np.all(np.isfinite(outside))


def test_prepare_is_fast():
    lo, hi = ENERGY[:-1], ENERGY[1:]
    for prepare in (absorption.prepare_tbabs, absorption.prepare_phabs):
        prepare(lo, hi, ("wilm", "vern"))
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            prepare(lo, hi, ("wilm", "vern"))
            seconds.append(time.perf_counter() - start)
        assert min(seconds) < 0.02


@pytest.mark.parametrize(
    ("file", "median", "p99"),
    [
        ("phabs_angr", 2e-6, 2e-3),
        ("phabs_aspl", 2e-6, 2e-3),
        ("tbabs_angr", 2e-6, 3e-3),
        ("tbabs_aspl", 2e-6, 3e-3),
        ("tbabs_wilm", 2e-6, 3e-3),
        ("wabs_angr", 2e-6, 2e-3),
    ],
)
def test_against_the_tables_of_astromodels(file, median, p99, data_dir):
    """Their grid averages over edges and resonances; between these only the rounding is left."""
    from astropy.io import fits

    model, abund = file.split("_")
    with fits.open(data_dir / "absorption_tables" / f"astromodels_xsect_{file}.fits") as hdus:
        energy = hdus[1].data["ENERGY"].astype(float)
        expected = hdus[1].data["SIGMA"].astype(float)
    own = {
        "phabs": lambda: absorption.sigma_phabs(energy, abund, "vern"),
        "tbabs": lambda: absorption.sigma_tbabs(energy, abund),
        "wabs": lambda: np.asarray(absorption.sigma_wabs(jnp.array(energy))),
    }[model]()
    deviation = np.abs(own / expected - 1)
    assert np.median(deviation) < median
    assert np.quantile(deviation, 0.99) < p99


@pytest.mark.parametrize("abund", xs.ABUNDANCES)
def test_against_the_tables_of_elisa(abund, data_dir, tmp_path):
    h5py = pytest.importorskip("h5py")
    import gzip

    path = tmp_path / "xsect.hdf5"
    path.write_bytes(
        gzip.decompress((data_dir / "absorption_tables" / "elisa_xsect.hdf5.gz").read_bytes())
    )
    with h5py.File(path) as f:
        energy = f["energy"][:].astype(float)
        for xsect, largest in (("vern", 2e-6), ("bcmc", 4e-5), ("obcm", 4e-5)):
            own = absorption.sigma_phabs(energy, abund, xsect)
            np.testing.assert_allclose(own, f[f"phabs/{xsect}/{abund}"][:], rtol=largest)
        deviation = np.abs(absorption.sigma_tbabs(energy, abund) / f[f"tbabs/vern/{abund}"][:] - 1)
    assert deviation.max() < 4e-4
    assert np.median(deviation) < 1e-6


def trapezoids(lo, hi, n_h):
    """wabs in one bin, part by part, as XSPEC does: the polynomial of a part holds at its ends."""
    from jaxspec.model.quadrature import load_data

    total = 0.0
    for start, end, *c in load_data("morrison_mccammon.txt"):
        a, b = max(lo, start), min(hi, end)
        if b > a:
            sigma = [np.polyval(c[::-1], e) / e**3 if e >= 0.0136 else 0.0 for e in (a, b)]
            total += 0.5 * (b - a) * np.exp(-n_h * np.array(sigma)).sum()
    return total / (hi - lo)


def test_wabs_splits_bins_at_its_breaks():
    """Bins with one break, with many, that begin or end on one, and in which nothing absorbs."""
    edges = [0.005, 0.012, 0.02, 0.3, 0.4, 0.5, 0.75, 1.303, 1.32, 3.0, 9.0, 25.0, 40.0]
    lo, hi = np.array(edges[:-1]), np.array(edges[1:])
    for n_h in (0.0, 0.1, 3.0):
        expected = [trapezoids(a, b, n_h) for a, b in zip(lo, hi, strict=True)]
        value = absorption.wabs(jnp.array(lo), jnp.array(hi), n_h)
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_wabs_is_split_where_its_energies_are_redshifted():
    import jaxspec as js

    value = js.evaluate(js.models.zashift()(js.models.wabs() * js.models.powerlaw()), [0.4, 0.5])
    np.testing.assert_allclose(value, trapezoids(0.4, 0.5, 1.0) * math.log(1.25), rtol=1e-12)


@pytest.mark.parametrize("xsect", ["bcmc", "obcm"])
def test_phabs_averages_logarithms_over_an_edge(xsect):
    """In a bin over O K both fits of oxygen count, at the middles of their shares of the bin."""
    lo, hi, edge = 526.0, 545.0, 531.7
    middle = 0.5 * (lo + hi)
    logs, own = {}, {0.0: 0.5 * (lo + edge), 531.7: 0.5 * (edge + hi)}
    from jaxspec.model.quadrature import load_data

    table = load_data("balucinska_mccammon.txt").astype(np.float32).astype(float)  # as XSPEC
    for z, start, _, scale, *c in table:
        start = round(start, 1)
        if z == 8:
            for at in (own[start], middle):
                e = math.log(at)
                logs[start, at] = math.log(scale) + np.polyval(c[::-1], e) - 3 * e
                logs[start, at] -= float(np.float32(55.26204))
    share = (edge - lo) / (hi - lo)
    below, above = (logs[key] for key in own.items())
    oxygen = math.exp(share * below + (1 - share) * above)
    around = absorption.sigma_phabs(np.array([middle * 1e-3]), "wilm", xsect)
    number = list(xs.elements().z).index(8)
    abundance = xs.elements().abundance["wilm"][number]
    rest = around - 1e22 * abundance * math.exp(logs[531.7, middle])
    bins = absorption.prepare_phabs(np.array([lo * 1e-3]), np.array([hi * 1e-3]), ("wilm", xsect))
    np.testing.assert_allclose(bins, rest + 1e22 * abundance * oxygen, rtol=1e-12)
    assert abs(bins / around - 1) > 0.1
