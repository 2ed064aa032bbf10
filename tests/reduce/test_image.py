"""Images: read with their maps, masked, cut out, rebinned; every number stays where it was."""

import re
import subprocess
import sys

import astropy.units
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.errors import InputError
from jaxspec.reduce.exposure import time_factor
from jaxspec.reduce.image import Image, read_image

SHAPE = (30, 40)
SKY = dict(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRPIX1=20.5, CRPIX2=15.5, CRVAL1=150.0)
SKY |= dict(CRVAL2=60.0, CDELT1=-0.001, CDELT2=0.001, EXPOSURE=20000.0)


def write(path, data, header=None, without=()):
    header = fits.Header({k: v for k, v in dict(SKY, **(header or {})).items() if k not in without})
    fits.writeto(path, data, header, overwrite=True)
    return path


def make(tmp_path, counts=None, exposure=None, header=None, **options):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, SHAPE).astype("i4") if counts is None else counts
    path = write(tmp_path / "img.fits", counts, header)
    if exposure is not None:
        options["exposure"] = write(tmp_path / "exp.fits", exposure.astype("f4"))
    return read_image(path, **options)


def area_map(peak=400.0):
    y, x = np.indices(SHAPE)
    return peak * (1 - 0.01 * np.hypot(x - 20, y - 15))


def toy(ny=12, nx=17, seed=0):
    rng = np.random.default_rng(seed)
    header = fits.Header(dict(SKY, LTM1_1=0.25, LTV1=0.375, LTM2_2=0.25, LTV2=0.375))
    return Image(
        "toy",
        rng.poisson(3.0, (ny, nx)).astype(float),
        rng.uniform(50.0, 100.0, (ny, nx)),
        rng.random((ny, nx)) < 0.3,
        background=rng.random((ny, nx)),
        rms=rng.uniform(1, 2, (ny, nx)),
        wcs=WCS(header),
        header=dict(header),
    )


# ---------------------------------------------------------------------- made by hand


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("counts", np.ones(5), r"has shape \(5,\)"),
        ("counts", "abc", "no array of numbers"),
        ("counts", np.ones(SHAPE) + 1j, "complex"),
        ("exposure", np.ones((30, 39)), r"\(30, 39\), and the counts \(30, 40\)"),
        ("exposure", 1e4, r"has shape \(\)"),
        ("exposure", np.ones(SHAPE) * astropy.units.ks, "has the unit ks"),
        ("background", np.ones((1, 40)), r"\(1, 40\), and the counts"),
        ("mask", np.zeros((30, 39), bool), r"\(30, 39\), and the counts"),
        ("mask", np.zeros(SHAPE, int), "is int64, not bool"),  # ~mask would be -1
        ("exposure_unit", "parsec", "is 'parsec'; use one of 'cm2 s'"),
        ("psf", np.ones((3, 3)), "is ndarray; make it by"),
        ("wcs", "TAN", "is str; make it by astropy.wcs.WCS"),
    ],
)
def test_images_are_checked_where_they_are_made(field, value, words):
    fields = dict(counts=np.ones(SHAPE), exposure=np.ones(SHAPE), mask=np.zeros(SHAPE, bool))
    with pytest.raises(InputError, match=f"hand parameter {field}: .*{words}"):
        Image("hand", **(fields | {field: value}))


def test_arrays_of_an_image_are_numbers_and_its_mask_whole():
    counts = np.ma.masked_greater(np.arange(12).reshape(3, 4), 9)
    exposure = np.ones((3, 4), ">f4")
    made = Image("hand", counts, exposure, np.eye(3, 4, dtype=bool))
    np.testing.assert_array_equal(made.mask, np.eye(3, 4, dtype=bool) | (counts.data > 9))
    for values in (made.counts, made.exposure):
        assert type(values) is np.ndarray and values.dtype == np.float64 and values.dtype.isnative
    same = made.replace(name="other")
    assert same.counts is made.counts and same.mask is made.mask


# ---------------------------------------------------------------------- reading


def test_area_map_is_multiplied_by_the_exposure_time(tmp_path):
    image = make(tmp_path, exposure=area_map())
    np.testing.assert_allclose(image.exposure, area_map() * 20000, rtol=1e-6)
    assert image.exposure_unit == "cm2 s" and image.exposure_time == 20000
    assert any("multiplied by 20000 s" in note for note in image.diagnostics)
    assert image.counts.dtype == np.float64 and image.good.all()
    assert image.pixel_size == pytest.approx(3.6)
    kept = make(tmp_path, exposure=area_map(), exposure_time=False)
    np.testing.assert_allclose(kept.exposure, area_map(), rtol=1e-6)
    forced = make(tmp_path, exposure=area_map(), exposure_time=10.0)
    np.testing.assert_allclose(forced.exposure, area_map() * 10, rtol=1e-6)


@pytest.mark.parametrize(
    "peak, unit, seconds, factor, kind",
    [
        (28168.0, "Primary Array", 28337.4, 1, "s"),  # XMM
        (3123.0, "", np.nan, 1, "s"),  # ROSAT
        (600.0, "", 80000.0, 1, "cm2"),  # Chandra
        (4.8e7, "", 80000.0, 1, "cm2 s"),
        (600.0, "s", 80000.0, 1, "s"),
        (30.0, "ks", 30000.0, 1e3, "s"),
        (30.0, "ksec", 30000.0, 1e3, "s"),
        (600.0, "SEC", 80000.0, 1, "s"),
        (28168.0, "cm**2", 28337.4, 1, "cm2"),
        (0.05, "m2", 28337.4, 1e4, "cm2"),
        (3.0, "cm**2 s count photon**-1", 28337.4, 1, "cm2 s"),
        (3.0, "cm**2 count/photon", 28337.4, 1, "cm2"),
    ],
)
def test_what_an_exposure_map_holds(peak, unit, seconds, factor, kind):
    found = time_factor(peak, unit, seconds, "map")
    assert found[0] == pytest.approx(factor) and found[1] == kind


@pytest.mark.parametrize(
    "peak, seconds",
    [(1.0, 2e4), (500.0, 500.0), (900.0, 2000.0), (600.0, np.nan), (5000.0, 60000.0),
     (95.0, 2e4), (20.0, 2e4), (145.0, 2e3)],  # per cent, ks, a survey
)  # fmt: skip
def test_an_exposure_map_that_tells_nothing_is_asked_about(peak, seconds):
    with pytest.raises(InputError, match="exposure_time=True"):
        time_factor(peak, "", seconds, "map")
    with pytest.raises(InputError, match="exposure_time=True"):
        time_factor(400.0, "relative", 2e4, "map")


def test_without_a_map(tmp_path):
    image = make(tmp_path)
    assert (image.exposure == 20000).all() and image.exposure_unit == "s"
    assert "everywhere" in image.diagnostics[0]
    path = write(tmp_path / "a.fits", np.ones(SHAPE), {"ONTIME": 5.0}, without=["EXPOSURE"])
    with pytest.raises(InputError, match=r"EXPOSURE is missing \(ONTIME is 5.0\); give exposure"):
        read_image(path)
    assert (read_image(path, exposure_time=7.0).exposure == 7).all()
    with pytest.raises(InputError, match="EXPOSURE is missing"):
        bare = write(tmp_path / "e.fits", area_map(), {"BUNIT": "cm2"}, without=["EXPOSURE"])
        read_image(path, exposure=bare)


def test_masks_are_united_and_counted(tmp_path):
    exposure = area_map()
    exposure[:, :3] = 0.0
    exposure[5, 20] = np.nan
    image = make(
        tmp_path, exposure=exposure, min_exposure=0.9, regions="image; circle(11, 16, 4)",
        keep="image; box(20.5, 15.5, 30, 20, 0)",
    )  # fmt: skip
    y, x = np.indices(SHAPE)
    peak = np.nanmax(exposure)
    with np.errstate(invalid="ignore"):
        bad = ~(exposure >= 0.9 * np.float32(peak)) | (np.hypot(x - 10, y - 15) < 4)
    bad |= (np.abs(x - 19.5) >= 15) | (np.abs(y - 14.5) >= 10)
    np.testing.assert_array_equal(image.mask, bad)
    notes = " ".join(image.diagnostics)
    assert "1 NaN pixels taken as unexposed" in notes and "91 unexposed pixels left out" in notes
    assert "regions:" in notes and "outside of keep:" in notes and "min_exposure:" in notes
    assert np.isfinite(image.exposure).all()
    assert f"exposure map: {tmp_path}/exp.fits[PRIMARY]" in image.diagnostics  # what it was made of
    assert re.search(r"regions: \d+ pixels left out by image; ", notes)


def test_background_and_rms_maps(tmp_path):
    counts = np.full(SHAPE, -0.25)
    image = make(tmp_path, counts, rms=np.full(SHAPE, 2.0), background=np.full(SHAPE, 0.5))
    assert (image.pixels.error == 2).all() and (image.pixels.background == 0.5).all()
    dip = np.full(SHAPE, 0.5)
    dip[0, 0] = -1e-6
    image = make(tmp_path, background=dip)
    assert image.background[0, 0] == 0 and "slightly below zero" in image.diagnostics[-1]
    assert np.isnan(image.pixels.error).all()
    fraction = make(tmp_path, np.full(SHAPE, 1.5))
    assert "1200 good pixels hold fractions" in fraction.diagnostics[-1]


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(counts=-1.0), "counts of 1 good pixels cannot be used: -1.0 at x=7, y=4"),
        (dict(counts=np.inf), "inf at x=7, y=4"),
        (dict(exposure=-1.0), "at x=7, y=4"),
        (dict(exposure=np.inf), "at x=7, y=4"),
        (dict(background=-1.0), "background of 1 good"),
        (dict(background=np.nan), "background of 1 good"),
        (dict(rms=0.0), "rms of 1 good"),
        (dict(rms=1e-30), "rms of 1 good pixels cannot be used: 1e-30 at x=7, y=4"),
    ],
)
def test_bad_pixels_are_refused_unless_masked(tmp_path, change, words):
    (key, value), maps = next(iter(change.items())), {}
    arrays = {k: np.full(SHAPE, 4000.0 if k == "exposure" else 1.0) for k in {key, "counts"}}
    arrays[key][4, 7] = value
    counts = arrays.pop("counts")
    maps = dict(arrays, exposure_time=False)
    if key == "counts":
        maps["exposure"] = np.full(SHAPE, 4000.0)
    path = write(tmp_path / "img.fits", counts)
    with pytest.raises(InputError) as caught:
        read_image(path, **maps)
    assert words in str(caught.value)
    if key != "exposure":
        image = read_image(path, regions="image; circle(8, 5, 0.7)", **maps)
        assert image.mask.sum() == 1 and np.isfinite(image.counts).all()


def test_pixels_without_a_number_are_left_out_and_said(tmp_path):
    counts = np.ones(SHAPE)
    counts[:3], counts[10, 10] = np.nan, 0.0
    exposure = np.full(SHAPE, 4000.0)
    exposure[:1] = 0.0
    path = write(tmp_path / "img.fits", counts)
    image = read_image(path, exposure=exposure, exposure_time=False)
    np.testing.assert_array_equal(image.mask, np.isnan(counts))
    assert np.isfinite(image.counts).all() and image.counts[image.good].sum() == 27 * 40 - 1
    assert "80 pixels without a number (NaN or BLANK) left out" in image.diagnostics
    exposure[20, 5], counts[25, 9] = 1e-300, 3e6
    path = write(tmp_path / "img.fits", counts)
    image = read_image(path, exposure=exposure, exposure_time=False)
    assert image.mask[20, 5] and image.mask.sum() == 121
    assert "exposure map: 1 pixels below 1e-09 of the largest taken as unexposed" in (
        image.diagnostics
    )
    words = "the pixel x=9, y=25 holds 3e+06 counts, all others 1077: is it damaged?"
    assert words in image.diagnostics


def test_an_image_is_no_map_of_itself(tmp_path):
    path = write(tmp_path / "img.fits", np.full(SHAPE, 4.0))
    for key in ("exposure", "background", "rms"):
        with pytest.raises(InputError, match=f"the {key} map is the image itself"):
            read_image(path, exposure_time=10.0, **{key: f"{path}[0]"})


def test_grids_must_agree(tmp_path):
    with pytest.raises(InputError, match=r"shape \(30, 39\).*image \(30, 40\)"):
        make(tmp_path, exposure=np.ones((30, 39)))
    path = write(tmp_path / "img.fits", np.ones(SHAPE))
    data = np.full(SHAPE, 4e4)
    for change, ok in (
        ({"CRPIX1": 20.9}, True),
        ({"CRPIX1": 21.1}, False),
        ({"CDELT1": -0.00104}, False),
        ({"CDELT1": 0.001}, False),
    ):
        other = write(tmp_path / "exp.fits", data, change)
        if ok:
            assert read_image(path, exposure=other).good.all()
        else:
            with pytest.raises(InputError, match="off by up to"):
                read_image(path, exposure=other)


def test_arrays_serve_as_maps(tmp_path):
    image = make(tmp_path, background=[[0.5] * 40] * 30)
    path = write(tmp_path / "a.fits", np.ones(SHAPE), {"CDELT1": -0.002})
    given = read_image(path, exposure=np.full(SHAPE, 4e4))
    assert (image.background == 0.5).all() and (given.exposure == 4e4).all()
    assert "not square: 7.2 by 3.6 arcsec" in given.diagnostics[0]
    with pytest.raises(InputError, match=r"exposure=.*shape \(\)"):
        read_image(path, exposure=3.0)


def test_nothing_left(tmp_path):
    for options in (
        {"regions": "image; box(20, 15, 100, 100, 0)"},
        {"keep": "image; circle(500, 500, 3)"},
        {"exposure": np.zeros(SHAPE)},
    ):
        with pytest.raises(InputError, match="no pixel is left|nowhere positive"):
            make(tmp_path, **({"exposure_time": False} | options))
    with pytest.raises(InputError, match="min_exposure"):
        make(tmp_path, min_exposure=1.5)
    with pytest.raises(InputError, match="exposure_time"):
        make(tmp_path, exposure_time="yes")


# ---------------------------------------------------------------------- regions on pixels


@pytest.mark.parametrize(
    "shape",
    [
        "circle(20.3,15.2,6.1)", "ellipse(20.3,15.2,8,4,30)", "box(20,15,12.3,5.7,25)",
        "polygon(3.2,3.1,30.4,5.3,12.2,25.7)", "annulus(18,12,3.3,8.1)", "circle(1,1,5)",
        "ellipse(20,15,3,2,9,6,40)", "circle(39,29,9)", "box(20,15,12,5,24,10,25)",
    ],
)  # fmt: skip
def test_a_pixel_is_in_if_its_centre_is(shape):
    """The same pixels as Region.to_mask(mode="center"), which the KIPAC tutorial uses."""
    from regions import Regions

    image = Image("toy", np.ones(SHAPE), np.ones(SHAPE), np.zeros(SHAPE, bool))
    expected = np.zeros(SHAPE, bool)
    for region in Regions.parse(f"image\n{shape}", format="ds9"):
        expected |= region.to_mask(mode="center").to_image(SHAPE) > 0
    np.testing.assert_array_equal(image.masked(f"image; {shape}").mask, expected)
    assert expected.any()


def test_ds9_image_coordinates_count_from_one():
    image = Image("toy", np.ones(SHAPE), np.ones(SHAPE), np.zeros(SHAPE, bool))
    assert np.argwhere(image.masked("image; circle(8, 5, 0.7)").mask).tolist() == [[4, 7]]


@pytest.mark.parametrize("frame", ["fk5", "icrs", "galactic"])
def test_sky_regions_have_the_scale_and_north_of_the_image_centre(tmp_path, frame):
    image = make(tmp_path)
    where = image.sky(30.0, 20.0).transform_to(frame)
    lon, lat = (getattr(where.spherical, k).deg for k in ("lon", "lat"))
    inside = image.masked(f'{frame}; circle({lon}, {lat}, {5.3 * 3.6}")').mask
    y, x = np.indices(SHAPE)
    np.testing.assert_array_equal(inside, np.hypot(x - 30, y - 20) < 5.3)
    if frame == "fk5":
        inside = image.masked(f'{frame}; box({lon}, {lat}, {4.5 * 3.6}", {12.5 * 3.6}", 0)').mask
        np.testing.assert_array_equal(inside, (abs(x - 30) < 2.25) & (abs(y - 20) < 6.25))


def test_a_wide_field_does_not_turn_or_stretch_regions(tmp_path):
    """At 60 degrees north, a degree to the side, north is turned by almost 2 degrees."""
    image = make(tmp_path, header={"CDELT1": -0.05, "CDELT2": 0.05})
    where = image.sky(39.0, 14.5)
    text = f"fk5; box({where.ra.deg}, {where.dec.deg}, {9.1 * 0.05}, {29.1 * 0.05}, 0)"
    y, x = np.indices(SHAPE)
    expected = (abs(x - 39) < 4.55) & (abs(y - 14.5) < 14.55)
    np.testing.assert_array_equal(image.masked(text).mask, expected)


def test_excluded_areas_come_back_and_files_are_united():
    image = toy(30, 40).replace(mask=np.zeros((30, 40), bool))
    ring = "image\n-circle(20,15,3)\ncircle(20,15,8)"
    y, x = np.indices(image.shape)
    r = np.hypot(x - 19, y - 14)
    np.testing.assert_array_equal(image.masked(ring).mask, (r >= 3) & (r < 8))
    both = image.masked([ring, "image; circle(20,15,2)"]).mask  # another file: its own set
    np.testing.assert_array_equal(both, ((r >= 3) & (r < 8)) | (r < 2))
    with pytest.raises(InputError, match="excluded regions"):
        image.masked("image; -circle(20,15,3)")


def test_physical_coordinates_and_source_lists(tmp_path):
    image = toy(30, 40).replace(mask=np.zeros((30, 40), bool))
    y, x = np.indices(image.shape)
    expected = np.hypot(x - 12, y - 9) < 2.6
    # physical = (13 - 0.375) / 0.25, (10 - 0.375) / 0.25
    np.testing.assert_array_equal(image.masked("circle(50.5, 38.5, 10.4)").mask, expected)
    (tmp_path / "list.txt").write_text("13 10 2.6\n")
    np.testing.assert_array_equal(image.masked(tmp_path / "list.txt").mask, expected)
    table = fits.BinTableHDU.from_columns(
        [fits.Column(n, "D", array=[v]) for n, v in (("X", 50.5), ("Y", 38.5), ("R", 10.4))]
    )
    table.writeto(tmp_path / "src.fits")
    np.testing.assert_array_equal(image.masked(tmp_path / "src.fits").mask, expected)
    bare = image.replace(header={}).masked("physical; circle(13, 10, 2.6)")
    np.testing.assert_array_equal(bare.mask, expected)
    assert "no LTM" in bare.diagnostics[0]
    with pytest.raises(InputError, match="rotated"):
        image.replace(header={"LTM1_1": 1.0, "LTM1_2": 0.5}).masked("circle(1,2,3)")


def test_regions_that_touch_nothing_are_said(tmp_path):
    image = make(tmp_path)
    for text in (
        "image; circle(500,500,3)",
        'fk5; circle(330,-60,5")',
        "image; circle(8.5,5.5,0.1)",
    ):
        out = image.masked(text)
        assert out.good.all() and "1 regions touch no pixel" in " ".join(out.diagnostics)
    with pytest.raises(InputError, match="not finite"):
        image.masked("image; circle(nan, 3, 4)")
    with pytest.raises(InputError, match="no sky coordinates"):
        image.replace(wcs=None).masked('fk5; circle(150,60,5")')


def test_region_objects_are_taken_as_they_are(tmp_path):
    import astropy.units as u
    from regions import CirclePixelRegion, CircleSkyRegion, PixCoord

    image = make(tmp_path)
    sky = CircleSkyRegion(image.sky(30.0, 20.0), 18 * u.arcsec)
    expected = sky.to_pixel(image.wcs).to_mask(mode="center").to_image(SHAPE) > 0
    np.testing.assert_array_equal(image.masked(sky).mask, expected)
    outside = CirclePixelRegion(PixCoord(30, 20), 5, meta={"include": False})
    with pytest.raises(InputError, match="excluded"):
        image.masked(outside)


# ---------------------------------------------------------------------- pixels and grids


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_pixels_and_back(ny, nx, seed):
    image = toy(ny, nx, seed)
    if image.mask.all():
        return
    pixels = image.pixels
    np.testing.assert_array_equal(
        image.rebuild(pixels.counts)[image.good], image.counts[image.good]
    )
    assert np.isnan(image.rebuild(pixels.counts)[image.mask]).all()
    x, y = pixels.x.astype(int), pixels.y.astype(int)
    for key in ("counts", "exposure", "background"):
        np.testing.assert_array_equal(getattr(pixels, key), getattr(image, key)[y, x])
    np.testing.assert_array_equal(pixels.error, image.rms[y, x])
    assert (pixels.area == 1).all()
    with pytest.raises(InputError, match="one value per good pixel"):
        image.rebuild(np.zeros(len(x) + 1))


def test_cutout_keeps_the_sky():
    image = toy(30, 40)
    part = image.cutout((19, 14), (11, 7))
    assert part.shape == (7, 11)
    np.testing.assert_array_equal(part.counts, image.counts[11:18, 14:25])
    here, there = image.sky(19, 14), part.sky(5, 3)
    assert here.separation(there).arcsec < 1e-6
    import astropy.units as u

    again = image.cutout(here, (11 * 3.6 * u.arcsec, 7 * 3.6 * u.arcsec))
    np.testing.assert_array_equal(again.counts, part.counts)
    edge = image.cutout((0, 0), 10)
    assert edge.shape == (5, 5) and edge.counts[0, 0] == image.counts[0, 0]
    assert image.cutout((20, 15), 10).counts[0, 0] == image.counts[10, 15]
    for center, words in (
        ((99, 3), "outside of the image"),
        ((np.nan, 1), "center"),
        (3, "center"),
    ):
        with pytest.raises(InputError, match=words):
            image.cutout(center, 4)
    with pytest.raises(InputError, match="size"):
        image.cutout((5, 5), -1)
    with pytest.raises(InputError, match="no sky coordinates"):
        image.replace(wcs=None).cutout(SkyCoord(1, 2, unit="deg"), 4)


def test_masks_commute_with_cutout_in_physical_coordinates():
    image = toy(30, 40)
    text = "physical; circle(50.5, 38.5, 10.4)"
    a = image.masked(text).cutout((12, 9), 15)
    b = image.cutout((12, 9), 15).masked(text)
    np.testing.assert_array_equal(a.mask, b.mask)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 20), st.integers(2, 20), st.integers(1, 5), st.integers(0, 99))
def test_rebinning_keeps_the_good_counts_and_the_model(ny, nx, f, seed):
    image = toy(ny, nx, seed)
    if f > min(image.shape) or image.mask.all():
        return
    small, big = image.pixels, image.rebin(f).pixels
    assert big.counts.sum() == small.counts.sum()
    for key in ("background", "area"):
        scale = f**2 if key == "area" else 1
        assert getattr(big, key).sum() * scale == pytest.approx(getattr(small, key).sum())
    assert (big.error**2).sum() == pytest.approx((small.error**2).sum())
    # A flat sky and a flat background, per new pixel: f^2 times those of a small one.
    model = f**2 * 0.01 * big.exposure + f**2 * 0.3 * big.area
    assert model.sum() == pytest.approx((0.01 * small.exposure + 0.3).sum())
    assert (image.rebin(f).mask == ~(image.rebin(f).area > 0)).all()


def test_rebinned_sky_and_physical_coordinates():
    image = toy(30, 41).replace(mask=np.zeros((30, 41), bool))
    big = image.rebin(4)
    assert big.shape == (8, 11) and big.pixel_size == pytest.approx(4 * image.pixel_size)
    assert big.sky(0, 0).separation(image.sky(1.5, 1.5)).arcsec < 1e-6
    assert big.sky(3, 5).separation(image.sky(13.5, 21.5)).arcsec < 1e-6
    turned = {
        f"CD{i}_{j}": v for i, j, v in ((1, 1, -9e-4), (1, 2, 4e-4), (2, 1, 4e-4), (2, 2, 9e-4))
    }
    old = {k: v for k, v in SKY.items() if not k.startswith("CDELT")}
    turned = image.replace(wcs=WCS(fits.Header(old | turned)))
    for f in (2, 3):
        assert turned.rebin(f).pixel_size == pytest.approx(f * turned.pixel_size)
        there = turned.sky(7 * f + (f - 1) / 2, 4 * f + (f - 1) / 2)
        assert turned.rebin(f).sky(7, 4).separation(there).arcsec < 1e-6
    twice = image.rebin(2).rebin(2)
    np.testing.assert_allclose(twice.exposure, big.exposure)
    np.testing.assert_allclose(twice.area, big.area)
    # A box around the pixel (2, 1): small pixels 8-11 and 4-7; physical (v + 1 - 0.375) / 0.25.
    text = "physical; box(40.5, 24.5, 15, 15, 0)"
    assert np.argwhere(big.masked(text).mask).tolist() == [[1, 2]]
    assert image.masked(text).mask.sum() == 16
    for scale, shift, n in (("LTM1_1", "LTV1", 3), ("LTM2_2", "LTV2", 5)):  # of the same place
        small, large = image.header, image.cutout((20, 15), (36, 26)).rebin(4).header
        first = 2  # where the cut-out begins, on both axes
        physical = (first + 4 * n + 2.5 - small[shift]) / small[scale]
        assert large[scale] * physical + large[shift] == pytest.approx(n + 1)
    for factor in (0, 1.5, 99):
        with pytest.raises(InputError, match="factor"):
            image.rebin(factor)
    bent = fits.Header(SKY | dict(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP"))
    bent.update(A_ORDER=2, B_ORDER=2, A_2_0=1e-4)
    with pytest.raises(InputError, match="distorted"):
        image.replace(wcs=WCS(bent)).rebin(2)


def test_psf_is_rebinned_with_the_image():
    class Kernel:
        factor = 1

        def rebinned(self, factor):
            made = Kernel()
            made.factor = factor
            return made

    assert toy().replace(psf=Kernel()).rebin(2).psf.factor == 2


def test_where_and_the_words_for_it():
    image = toy()
    bright = image.counts > 4
    np.testing.assert_array_equal(image.masked(where=bright).mask, image.mask | bright)
    with pytest.raises(InputError, match="where"):
        image.masked(where=image.counts)
    assert "toy: 17 x 12 pixels of 3.6" in repr(image) and "background" in repr(image)
    with pytest.raises(InputError, match="no sky"):
        image.replace(wcs=None).sky(1, 2)


def test_reading_images_does_not_import_jax():
    code = "import sys, jaxspec.reduce.profile, jaxspec.reduce.image\n"
    code += "print(sorted({'jax', 'astropy', 'regions', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------------- real data


def a3158(data_dir):
    folder = data_dir / "images" / "a3158_rosat_pyproffit"
    maps = {"exposure": "expose_mask_37.fits.gz", "background": "back_37.fits.gz"}
    maps = {key: folder / name for key, name in maps.items()}
    return read_image(folder / "b_37.fits.gz", **maps), folder / "test_region.reg"


def test_a3158_exposure_drop(data_dir):
    image, regions = a3158(data_dir)
    assert image.exposure_unit == "s" and image.exposure.max() == pytest.approx(3122.96, abs=0.01)
    masked = image.masked(regions)
    drop = image.pixels.exposure.sum() - masked.pixels.exposure.sum()
    assert drop == pytest.approx(5570958.27998, rel=1e-9)


def test_a1835_source_list(data_dir):
    folder = data_dir / "images" / "a1835_xmm_mos2"
    image = read_image(
        folder / "P0098010101M2U009IMAGE_3000.FTZ",
        exposure=folder / "P0098010101M2U009EXPMAP3000.FTZ",
    )
    assert image.exposure_unit == "s" and image.counts.sum() == 36174
    masked = image.masked(folder / "M2ptsrc.txt")
    sources = image.good & masked.mask
    assert sources.sum() > 2000
    # The circles are on the sources: moved by half a radius or so, they hold fewer counts.
    moved = [image.counts[np.roll(sources, s, (0, 1))].sum() for s in ((4, 0), (-4, 0), (0, 4))]
    assert image.counts[sources].sum() > 1.1 * max(moved)
