"""Profiles, centroid and peak: against loops, against truth, against published numbers."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from jaxspec.errors import InputError
from jaxspec.reduce.center import centroid, peak
from jaxspec.reduce.image import Image, read_image
from jaxspec.reduce.profile import RadialProfile, profile
from jaxspec.reduce.profile_files import read_profile

X0, Y0 = 93.3, 71.8


def cluster(seed=3, amplitude=20.0, background=0.05, holes=True):
    """A vignetted beta model with gaps and masked holes near the centre."""
    y, x = np.indices((160, 200))
    r = np.hypot(x - X0, y - Y0)
    exposure = 1e4 * (1 - 0.3 * np.hypot(x - 110, y - 60) / 150)
    exposure[:, 60:63] = 0.0
    mask = exposure == 0
    if holes:
        mask |= (np.hypot(x - 99, y - 75) < 4) | (np.hypot(x - 130, y - 75) < 12)
    model = amplitude * (1 + (r / 5) ** 2) ** -1.5 * exposure / 1e4 + background
    counts = np.random.default_rng(seed).poisson(model).astype(float)
    header = fits.Header(dict(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRPIX1=100.5, CRPIX2=80.5))
    header.update(CRVAL1=150.0, CRVAL2=20.0, CDELT1=-1 / 3600, CDELT2=1 / 3600)
    maps = dict(exposure_unit="cm2 s", wcs=WCS(header), background=np.full(r.shape, 0.01))
    return Image("toy", counts, exposure, mask, **maps)


IMAGE = cluster()


def looped(image, center, r_lo, r_hi):
    """Sums over annuli, one mask at a time, as the tutorial does."""
    p = image.pixels
    d = np.hypot(p.x - center[0], p.y - center[1])
    rings = [(d >= a) & (d < b) for a, b in zip(r_lo, r_hi, strict=True)]
    return [np.array([v[j].sum() for j in rings]) for v in (p.counts, p.exposure, p.area)]


@pytest.mark.parametrize(
    "options",
    [
        {}, {"rmax": 40.0, "n_bins": 9}, {"bins": "linear"}, {"bins": "linear", "width": 7.5},
        {"bins": "linear", "width": 5 * u.arcsec, "rmax": 1 * u.arcmin},
        {"edges": [2.0, 5.0, 60.0]}, {"edges": [2.0, 5.0] * u.arcsec},
        {"bins": "min_counts", "min_counts": 300}, {"min_counts": 50},
    ],
)  # fmt: skip
def test_sums_equal_a_loop(options):
    found = profile(IMAGE, (X0, Y0), **options)
    counts, exposure, area = looped(IMAGE, (X0, Y0), found.r_lo, found.r_hi)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_allclose(found.exposure, exposure)
    np.testing.assert_array_equal(found.area, area)
    np.testing.assert_allclose(found.background, 0.01 * area)
    np.testing.assert_allclose(found.sb, (counts - 0.01 * area) / exposure)
    np.testing.assert_allclose(found.sb_err, np.sqrt(np.maximum(counts, 1)) / exposure)
    np.testing.assert_allclose(found.counts_per_pixel, counts / area)
    if "rmax" not in options and "edges" not in options:
        assert found.counts.sum() == IMAGE.pixels.counts.sum()
    if "min_counts" in options:
        assert (found.counts >= options["min_counts"]).all()


def test_the_bins_of_the_tutorial():
    found = profile(IMAGE, (X0, Y0), rmax=600.0)
    r2 = np.exp(np.linspace(0.0, np.log(600.0), 32))
    r1 = np.append(0.0, r2[:-1])
    r = np.sqrt(r1 * r2)
    r[0] = np.sqrt(0.3 * r2[0])
    kept = looped(IMAGE, (X0, Y0), r1, r2)[2] > 0
    assert not kept.all()  # annuli off the image are dropped
    for key, expected in (("r_lo", r1), ("r_hi", r2), ("r", r)):
        np.testing.assert_allclose(getattr(found, key), expected[kept])


def test_pixels_of_a_profile():
    found = profile(IMAGE, (X0, Y0), "linear", width=5)
    p = found.pixels
    np.testing.assert_array_equal(p.x, found.r)
    assert (p.y == 0).all() and np.isnan(p.error).all()
    np.testing.assert_array_equal(p.area, found.area)
    rms = profile(IMAGE.replace(rms=np.full(IMAGE.shape, 3.0)), (X0, Y0), "linear", width=5)
    np.testing.assert_allclose(rms.pixels.error, 3 * np.sqrt(rms.area))
    np.testing.assert_allclose(rms.sb_err, rms.pixels.error / rms.exposure)
    assert found.sb_unit == "ct s-1 cm-2 pixel-1" and found.pixel_size == pytest.approx(1.0)
    assert list(found.table.columns)[:3] == ["r", "r_lo", "r_hi"] and len(found.table) == len(found)


def test_a_pixel_on_an_edge_is_in_the_outer_annulus():
    found = profile(IMAGE, (90, 70), edges=[0.0, 1.0, 3.0, 5.0])  # 3-4-5, and along the axes
    expected = looped(IMAGE, (90, 70), found.r_lo, found.r_hi)
    np.testing.assert_array_equal(found.area, expected[2])
    assert found.area[:2].tolist() == [1, 24]


def test_nominal_radii():
    found = profile(IMAGE, (X0, Y0), edges=[2.0, 5.0, 60.0])
    np.testing.assert_allclose(found.r, [3.5, 32.5])
    np.testing.assert_allclose(profile(IMAGE, (X0, Y0), "linear", width=5).r[:2], [2.5, 7.5])


def test_an_annulus_without_counts_has_the_error_of_one():
    empty = IMAGE.replace(counts=np.zeros(IMAGE.shape), background=None)
    found = profile(empty, (X0, Y0), "linear", width=20)
    assert (found.sb == 0).all()
    np.testing.assert_allclose(found.sb_err, 1 / found.exposure)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"bins": "square"}, "bins"), ({"rmax": -1.0}, "rmax"), ({"rmax": 0.5}, "rmax"),
        ({"bins": "min_counts"}, "min_counts"), ({"edges": [3, 2]}, "edges"),
        ({"bins": "linear", "width": 0}, "width"), ({"n_bins": 0}, "n_bins"),
        ({"edges": [900, 901]}, "no good pixel"), ({"rmax": 3 * u.s}, "rmax"),
    ],
)  # fmt: skip
def test_bad_choices(options, words):
    with pytest.raises(InputError, match=words):
        profile(IMAGE, (X0, Y0), **options)


# ---------------------------------------------------------------------- centre


def test_centroid_finds_the_centre_in_spite_of_holes():
    found = np.array([centroid(cluster(seed), (90.0, 75.0), 30) for seed in range(12)])
    assert abs(found.mean(0) - (X0, Y0)).max() < 0.25
    assert found.std(0).max() < 0.5
    assert np.hypot(*(np.array(centroid(IMAGE)) - (X0, Y0))) < 1.0
    assert profile(IMAGE).center == centroid(IMAGE)
    sky = IMAGE.sky(90.0, 75.0)
    np.testing.assert_allclose(
        centroid(IMAGE, sky, 30 * u.arcsec), centroid(IMAGE, (90.0, 75.0), 30), atol=1e-6
    )


def test_the_default_circle_suits_faint_and_bright_sources():
    for amplitude, background, limit in ((2.0, 0.3, 1.5), (200.0, 0.05, 0.3)):
        image = cluster(5, amplitude, background)
        assert np.hypot(*(np.array(centroid(image)) - (X0, Y0))) < limit


def test_without_noise_the_centroid_is_exact():
    y, x = np.indices((161, 200))
    model = 20 * (1 + ((x - X0) ** 2 + (y - Y0) ** 2) / 25) ** -1.5 + 0.05
    image = Image("toy", model, np.full(model.shape, 10.0), np.zeros(model.shape, bool))
    np.testing.assert_allclose(centroid(image, (91.0, 73.0), 40), (X0, Y0), atol=0.02)
    cut = image.cutout((X0 + 20, Y0), (60, 60))  # the source near the edge
    here = centroid(cut)
    np.testing.assert_allclose(here, (X0 - 84, Y0 - 42), atol=0.05)


def test_peak_is_not_at_edges_or_holes():
    x, y = peak(IMAGE)
    assert np.hypot(x - X0, y - Y0) < 3
    edge, spot = np.indices(IMAGE.shape)[1] > 190, np.zeros(IMAGE.shape, bool)
    spot[10, 195] = True  # a few counts where next to nothing is exposed
    noisy = IMAGE.replace(
        exposure=np.where(edge, 1.0, IMAGE.exposure), counts=np.where(spot, 5.0, IMAGE.counts)
    )
    x, y = peak(noisy, smooth=3)
    assert np.hypot(x - X0, y - Y0) < 3
    mask = np.ones((5, 5), bool)
    mask[3, 2] = False
    lone = Image("one", np.ones((5, 5)), np.ones((5, 5)), mask)
    assert peak(lone) == (2.0, 3.0)


def test_no_source_is_said():
    flat = IMAGE.replace(counts=np.zeros(IMAGE.shape))
    with pytest.raises(InputError, match="no source"):
        centroid(flat, (X0, Y0), 20)
    with pytest.raises(InputError, match="no source"):
        centroid(flat, (X0, Y0), 20, fixed=True)


# ---------------------------------------------------------------------- published profiles


def test_from_table():
    found = RadialProfile.from_table([1, 2], [5.0, -1.0], [0.5, 0.25], unit="arcmin", name="p")
    np.testing.assert_array_equal(found.sb, [5, -1])
    np.testing.assert_array_equal(found.sb_err, [0.5, 0.25])
    assert (found.pixels.exposure == 1).all() and (found.pixels.error == [0.5, 0.25]).all()
    assert "2 annuli, 1-2 arcmin" in repr(found)
    for args, words in (
        (([1, 2], [5.0], [0.5, 0.2]), "sb"),
        (([1, 2], [5.0, 4.0], [0.5, 0.0]), "sb_err: is 0.0 in row 2"),
        (([1, -2], [5.0, 4.0], [0.5, 1.0]), "r"),
        (([1, 2], [np.nan, 4.0], [0.5, 1.0]), "sb"),
        (([3, 1, 3], [5.0, 4.0, 5.0], [0.5, 1.0, 0.5]), "r.*is 3.0 in row 1 and in 1 more"),
        (([1], [5.0], [0.5], [2.0], [1.0]), "r_lo.*is 2.0, above r_hi, in row 1"),
    ):
        with pytest.raises(InputError, match=words.split(":")[0]):
            RadialProfile.from_table(*args)


def test_profiles_in_files(tmp_path):
    columns = dict(
        R=[[0.0, 2.0], [2.0, 5.0]] * u.arcmin, SUR_BRI=[3.0, 2.0], SUR_BRI_ERR=[0.1, 0.2]
    )
    fits.BinTableHDU(Table(columns)).writeto(tmp_path / "ciao.fits")
    found = read_profile(tmp_path / "ciao.fits")
    assert found.r.tolist() == [1, 3.5] and found.r_hi.tolist() == [2, 5]
    assert found.r_unit == "arcmin" and found.sb.tolist() == [3, 2] and found.name == "ciao"
    columns = dict(RADIUS=[0.5, 1.5], WIDTH=[0.5, 0.5], SB=[3.0, 2.0], ERR_SB=[0.1, 0.2])
    fits.BinTableHDU(Table(columns)).writeto(tmp_path / "p.fits")
    assert read_profile(tmp_path / "p.fits").r_hi.tolist() == [1, 2]
    assert read_profile(tmp_path / "p.fits").diagnostics == ()
    raw = (tmp_path / "p.fits").read_bytes()
    raw = raw.replace(b"NAXIS2  =                    2", b"NAXIS2  =                    1")
    (tmp_path / "short.fits").write_bytes(raw)
    assert "the data go on behind row 1" in read_profile(tmp_path / "short.fits").diagnostics[0]
    other = read_profile(tmp_path / "p.fits", sb="ERR_SB", sb_err="sb")
    assert other.sb.tolist() == [0.1, 0.2]
    (tmp_path / "a.txt").write_text("# r dr sb err\n1 1 5 .1\n3 1 4 .2\n")
    assert read_profile(tmp_path / "a.txt").r_lo.tolist() == [0, 2]
    assert "half of the width" in read_profile(tmp_path / "a.txt").diagnostics[0]
    (tmp_path / "edges.txt").write_text("0 1 5 .1\n1 2 4 .2\n2 3 3 .1\n")  # r_lo r_hi sb err
    with pytest.raises(InputError, match="edges.txt column r_hi: .*row 2.* they overlap"):
        read_profile(tmp_path / "edges.txt")  # was fitted, with rc off by 3 sigma
    with pytest.raises(InputError, match="is text, whose columns have no names such as 'x'"):
        read_profile(tmp_path / "a.txt", r="x")
    with pytest.raises(InputError, match="given for two of r, sb and sb_err"):
        read_profile(tmp_path / "p.fits", sb="ERR_SB")
    (tmp_path / "b.txt").write_text("1 5 .1\n3 4 .2\n")
    assert "taken in pixels" in read_profile(tmp_path / "b.txt").diagnostics[0]
    assert read_profile(tmp_path / "b.txt", unit="kpc").sb_err.tolist() == [0.1, 0.2]
    for name, text, words in (
        ("c.txt", "hello", "no table of numbers"),
        ("d.txt", "1 2\n", "2 columns"),
        ("e.txt", "1 5 0\n", "e.txt column sb_err: is 0.0"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=words):
            read_profile(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        read_profile(tmp_path / "no.fits")
    with pytest.raises(InputError, match="no table with a radius"):
        read_profile(tmp_path / "ciao.fits", r="nope")
    words = {"R": [1.0, 2.0], "SUR_BRI": ["a", "b"], "SUR_BRI_ERR": [1.0, 1.0]}
    fits.BinTableHDU(Table(words)).writeto(tmp_path / "words.fits")
    with pytest.raises(InputError, match="column SUR_BRI: the column does not hold numbers"):
        read_profile(tmp_path / "words.fits")
    for name in ("ciao.fits", "empty.txt"):  # the rows of a FITS table end with the file
        if name == "ciao.fits":
            with fits.open(tmp_path / name, mode="update") as hdus:
                hdus[-1].data = hdus[-1].data[:0]
        else:
            (tmp_path / name).write_text("# r sb err\n")
        with pytest.raises(InputError, match=f"{name}.*: has no rows"):
            read_profile(tmp_path / name)


# ---------------------------------------------------------------------- real data


def test_a3158_centre(data_dir):
    folder = data_dir / "images" / "a3158_rosat_pyproffit"
    image = read_image(
        folder / "b_37.fits.gz",
        exposure=folder / "expose_mask_37.fits.gz",
        background=folder / "back_37.fits.gz",
        regions=folder / "test_region.reg",
    )
    # The circle in which the reference was measured: it is not centred on the cluster.
    start = SkyCoord(55.5399273, -53.5573404, unit="deg")
    found = image.sky(*centroid(image, start, 20 * u.arcmin, fixed=True))
    assert found.ra.deg == pytest.approx(55.68516349, abs=2e-3)
    assert found.dec.deg == pytest.approx(-53.62244440, abs=2e-3)
    # Centred on itself, the answer hardly depends on where it starts, and is near the peak.
    free = centroid(image, start, 20 * u.arcmin)
    np.testing.assert_allclose(free, centroid(image, radius=20 * u.arcmin), atol=0.05)
    assert np.hypot(*np.subtract(free, peak(image))) < 4


def test_published_files(data_dir):
    folder = data_dir / "images"
    found = read_profile(folder / "profiles" / "1838_rprofile_rmid.fits")
    assert len(found) == 38 and found.r[0] == 12.5
    assert found.sb[0] == pytest.approx(3.87151687) and found.sb_err[0] == pytest.approx(0.09957683)
    found = read_profile(folder / "a3158_rosat_pyproffit" / "reference_depr.fits")
    assert len(found) == 100 and found.r_unit == "arcmin" and found.r_hi[-1] == pytest.approx(50)
    assert len(read_profile(folder / "profiles" / "data.txt")) == 75
