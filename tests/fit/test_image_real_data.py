"""Real profiles and images: A3158 (ROSAT), A1835 (XMM-Newton), and published fits of them."""

import numpy as np
import pytest

import jaxspec as js
from jaxspec import Status

CENTRE = (276.19, 281.38)  # of the published profile of A3158, pixels counted from 0


@pytest.fixture(scope="module")
def a3158(data_dir):
    folder = data_dir / "images" / "a3158_rosat_pyproffit"
    return js.read_image(
        folder / "b_37.fits.gz",
        exposure=folder / "expose_mask_37.fits.gz",
        background=folder / "back_37.fits.gz",
        regions=folder / "test_region.reg",
    )


@pytest.fixture(scope="module")
def a3158_profile(data_dir):
    """Fit of the published profile, which was made in elliptical annuli around CENTRE."""
    table = js.read_profile(data_dir / "images" / "a3158_rosat_pyproffit" / "reference_depr.fits")
    return js.fit("beta", table)


@pytest.fixture(scope="module")
def a1835(data_dir):
    folder = data_dir / "images" / "a1835_xmm_mos2"
    return js.read_image(
        folder / "P0098010101M2U009IMAGE_3000.FTZ",
        exposure=folder / "P0098010101M2U009EXPMAP3000.FTZ",
        regions=folder / "M2ptsrc.txt",
        min_exposure=0.2,
    )


def test_profile_of_1838(data_dir):
    """Sherpa's own fit of this table is the reference."""
    table = js.read_profile(data_dir / "images" / "profiles" / "1838_rprofile_rmid.fits")
    model = js.Model("beta")
    model["B"].freeze(0.0)
    result = js.fit(model, table)
    assert result.status[0] == Status.OK and result.stat_names == ["chi2"]
    assert result.stat[0] == pytest.approx(217.450, abs=1e-2) and result.dof[0] == 35
    for name, value in {"rc": 125.829, "beta": 4.1633, "S0": 4.42821}.items():
        assert result.value(name)[0] == pytest.approx(value, rel=1e-3)


def test_published_profile_of_a3158(a3158_profile):
    result = a3158_profile
    assert result.status[0] == Status.OK
    for name, value in {"beta": 0.74974619, "rc": 4.23294907}.items():
        assert result.value(name)[0] == pytest.approx(value, rel=1e-3)
    assert np.log10(result.value("S0")[0]) == pytest.approx(-1.47141617, abs=1e-3)
    assert np.log10(result.value("B")[0]) == pytest.approx(-3.68761514, abs=1e-3)
    assert result.unit("rc") == "arcmin"


def test_image_of_a3158(a3158):
    result = js.fit("beta", a3158)
    assert result.status[0] == Status.OK and result.n_bins[0] == a3158.good.sum()
    x, y = js.centroid(a3158)
    assert np.hypot(result.value("x0")[0] - x, result.value("y0")[0] - y) < 4
    # the background map is right to some per cent: what is left is little
    assert 0 < result.value("B")[0] < 0.03
    assert 0 < result.error("beta")[0] < 0.02 and result.unit("S0") == "ct / (s pixel)"
    elliptical = js.fit("elliptical_beta", a3158)
    assert elliptical.status[0] == Status.OK
    assert elliptical.stat[0] < result.stat[0] - 100
    assert elliptical.value("ellip")[0] == pytest.approx(0.23, abs=0.08)


def test_image_and_profile_of_a3158_agree(a3158, a3158_profile):
    """Ellipses around the same centre, inside 25 arcmin: within three errors."""
    y, x = np.indices(a3158.shape)
    inner = a3158.masked(where=np.hypot(x - CENTRE[0], y - CENTRE[1]) >= 100)
    model = js.Model("elliptical_beta")
    model["x0"].freeze(CENTRE[0])
    model["y0"].freeze(CENTRE[1])
    result = js.fit(model, inner)
    assert result.status[0] == Status.OK
    for name, unit in (("beta", 1.0), ("rc", inner.pixel_size / 60)):
        here, error = result.value(name)[0] * unit, result.error(name)[0] * unit
        there, other = a3158_profile.value(name)[0], a3158_profile.error(name)[0]
        assert abs(here - there) < 3 * np.hypot(error, other), name


@pytest.mark.runs_long
def test_image_of_a1835(a1835):
    """Two beta models are preferred by far; the chains agree."""
    assert 1.3e5 < a1835.good.sum() < 1.4e5
    single = js.fit("beta", a1835)
    few = {"draws": 100, "warmup": 150, "progress": False}
    double = js.sample("double_beta", a1835, seed=3, target_accept=0.95, **few)
    assert double.rhat.max() < 1.2 and double.diverging.mean() < 0.04
    assert single.stat[0] - double.fit.stat[0] > 200
    assert double.acceptance > 0.8  # jumps between two modes count
    assert double.settings["merged_pixels"] < 0.05 * double.settings["pixels"]
    assert abs(double["x0"].mean() - 327.8) < 0.3
    assert abs(double["y0"].mean() - 346.9) < 0.3
    assert single.value("beta")[0] == pytest.approx(0.58, abs=0.02)
