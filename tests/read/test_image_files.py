"""Reading FITS maps and regions: what is in the file comes out, what is wrong is said."""

import gzip
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.errors import InputError
from jaxspec.read.image import physical_keywords, read_map
from jaxspec.read.region_shapes import Length
from jaxspec.read.regions import parse_regions, read_regions
from jaxspec.reduce.image import read_image
from jaxspec.reduce.psf import read_psf

SKY = dict(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRPIX1=20.5, CRPIX2=15.5, CRVAL1=150.0)
SKY |= dict(CRVAL2=2.0, CDELT1=-0.001, CDELT2=0.001, EXPOSURE=1000.0, TELESCOP="TOY")


def write(path, data, header=None, extra=()):
    header = fits.Header(dict(SKY, **(header or {})))
    fits.HDUList([fits.PrimaryHDU(data, header), *extra]).writeto(path, overwrite=True)
    return path


def counts(shape=(30, 40)):
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape) % 100


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "u2", "f4", "f8"])
def test_every_type_of_pixel(tmp_path, kind):
    found = read_map(write(tmp_path / "a.fits", counts().astype(kind)))
    assert found.data.dtype == np.float64 and found.data.dtype.isnative
    assert found.data.flags.c_contiguous
    np.testing.assert_array_equal(found.data, counts())
    assert found.header["EXPOSURE"] == 1000 and found.header["TELESCOP"] == "TOY"


def test_scaled_and_blank_pixels(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[1, 2], [3, -99]], np.int16))
    hdu.header["BLANK"] = -99
    hdu.header.set("BSCALE", 0.5)
    hdu.header.set("BZERO", 10.0)
    raw = hdu.header.tostring(padding=True).encode() + np.array(
        [[1, 2], [3, -99]], ">i2"
    ).tobytes().ljust(2880, b"\0")
    (tmp_path / "a.fits").write_bytes(raw)
    np.testing.assert_array_equal(
        read_map(tmp_path / "a.fits").data, [[10.5, 11.0], [11.5, np.nan]]
    )


def test_blank_of_unsigned_integers_is_no_number(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[1, 2], [3, 65535]], np.uint16))
    raw = hdu.header.copy()
    raw["BLANK"] = 32767  # of the numbers as they are stored
    stored = (np.array([[1, 2], [3, 65535]]) - 32768).astype(">i2").tobytes()
    (tmp_path / "a.fits").write_bytes(
        raw.tostring(padding=True).encode() + stored.ljust(2880, b"0")
    )
    np.testing.assert_array_equal(read_map(tmp_path / "a.fits").data, [[1, 2], [3, np.nan]])


def test_an_extension_is_chosen_by_its_version(tmp_path):
    parts = [fits.ImageHDU(counts() + n, name="SCI", ver=n) for n in (1, 2)]
    path = write(tmp_path / "a.fits", None, extra=parts)
    for wanted in ("SCI,2", " sci , 2", ("SCI", 2), 2, "2"):
        np.testing.assert_array_equal(read_map(path, wanted).data, counts() + 2)
    np.testing.assert_array_equal(read_map(f"{path}[SCI,2]").data, counts() + 2)
    with pytest.raises(InputError, match="2 extensions 'SCI'.*SCI,1, SCI,2"):
        read_map(path, "SCI")
    with pytest.raises(InputError, match="no extension 'SCI,3'"):
        read_map(path, "SCI,3")
    with pytest.raises(InputError, match="'SCI,2' in brackets, and for 1 with hdu="):
        read_map(f"{path}[SCI,2]", 1)
    first = read_map(path)
    np.testing.assert_array_equal(first.data, counts() + 1)
    assert "1 was read, and not the other images 2 SCI" in first.diagnostics[-1]
    assert first.header["EXPOSURE"] == 1000  # of the primary header, which has no data
    other = write(tmp_path / "b.fits", counts(), extra=[fits.ImageHDU(counts(), name="SCI")])
    assert "EXPOSURE" not in read_map(other, "SCI").header


def test_a_cube_of_one_plane_is_an_image(tmp_path):
    found = read_map(write(tmp_path / "a.fits", counts()[None, None], {"CTYPE3": "FREQ"}))
    np.testing.assert_array_equal(found.data, counts())
    assert found.wcs.pixel_to_world(19.5, 14.5).ra.deg == pytest.approx(150.0)


def test_compressed_remote_and_selected(tmp_path):
    import fsspec

    extra = [fits.ImageHDU(counts() + 1, name="SECOND"), fits.CompImageHDU(counts() + 2, name="Z")]
    path = write(tmp_path / "a.fits", counts(), extra=extra)
    raw = path.read_bytes()
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "c.FTZ").write_bytes(gzip.compress(raw))
    with fsspec.open("memory://maps/d.fits.gz", "wb") as stream:
        stream.write(gzip.compress(raw))
    for name in (tmp_path / "b.fits.gz", tmp_path / "c.FTZ", "memory://maps/d.fits.gz"):
        np.testing.assert_array_equal(read_map(name).data, counts())
    np.testing.assert_array_equal(read_map(tmp_path / "b.fits").data, counts())  # its twin
    for hdu, plus in ((1, 1), ("second", 1), ("2", 2), (2, 2)):
        np.testing.assert_array_equal(read_map(path, hdu).data, counts() + plus)
    np.testing.assert_array_equal(read_map(f"{path}[SECOND]").data, counts() + 1)


def test_the_first_image_is_found_behind_an_empty_primary(tmp_path):
    table = fits.BinTableHDU(Table({"x": [1.0]}), name="EVENTS")
    hdus = [fits.PrimaryHDU(), table, fits.ImageHDU(counts(), name="IMG")]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    found = read_map(tmp_path / "a.fits")
    assert found.hdu == "IMG" and found.wcs is None and found.diagnostics


def test_sky_coordinates_are_kept_in_silence(tmp_path):
    header = {
        "MJDREF": 50814.0,
        "DATE-OBS": "1999-01-01",
        "DATE-END": "1999-01-02",
        "RADECSYS": "FK5",
    }
    path = write(tmp_path / "a.fits", counts(), header)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_map(path)
    sky = found.wcs.pixel_to_world(19.5, 14.5)
    assert (sky.ra.deg, sky.dec.deg) == pytest.approx((150.0, 2.0))


@pytest.mark.parametrize(
    "header, expected",
    [
        ({"LTM1_1": 0.5, "LTV1": 3.0, "LTM2_2": 0.25, "LTV2": 0.0}, (0.5, 3.0, 0.25, 0.0)),
        (dict(CRPIX1P=0.5, CRVAL1P=100.0, CDELT1P=4.0, CRPIX2P=0.5, CRVAL2P=0.0, CDELT2P=2.0),
         (0.25, -24.5, 0.5, 0.5)),
        (dict(CRPIX1Q=0.5, CRVAL1Q=100.0, CD1_1Q=4.0, CRPIX2Q=0.5, CRVAL2Q=0.0, CD2_2Q=2.0,
              WCSNAMEQ="PHYSICAL"), (0.25, -24.5, 0.5, 0.5)),
        (dict(CRPIX1A=0.5, CRVAL1A=10.0, CRPIX2A=0.5, CRVAL2A=0.0, WCSNAMEA="PHYSICAL",
              LTM1_1=7.0), (1.0, -9.5, 1.0, 0.5)),  # the name wins, and the step is 1
        (dict(CRPIX1P=0.5, CRVAL1P=1.0, CDELT1P=4.0, CRPIX2P=0.5, CRVAL2P=0.0, CDELT2P=2.0,
              WCSNAMEP="DETECTOR"), ()),
    ],
)  # fmt: skip
def test_physical_coordinates(tmp_path, header, expected):
    found = read_map(write(tmp_path / "a.fits", counts(), header)).header
    keys = ("LTM1_1", "LTV1", "LTM2_2", "LTV2")
    assert tuple(found[k] for k in keys if k in found) == expected
    turned = dict(CRPIX1P=1.0, CRVAL1P=0.0, CRPIX2P=1.0, CRVAL2P=0.0, PC1_2P=0.5)
    assert physical_keywords(turned)["LTM1_2"]


def bad_files(folder):
    """(what, path, options, words of the message)."""
    good = write(folder / "good.fits", counts()).read_bytes()
    yield "missing", folder / "no.fits", {}, "does not exist"
    for name, raw, words in (
        ("empty", b"", "is empty"),
        ("text", b"hello", "not a FITS file"),
        ("cut", good[:6000], "cannot be read"),
        ("cut gzip", gzip.compress(good)[:-50], "end too early"),
    ):
        (folder / name).write_bytes(raw)
        yield name, folder / name, {}, words
    cube = write(folder / "cube.fits", np.zeros((2, 3, 4), "f4"))
    yield "cube", cube, {}, "no 2-D image"
    table = folder / "table.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(Table({"x": [1.0]}), name="EVENTS")]).writeto(
        table
    )
    card = b"NAXIS   =           2147483648".ljust(80)
    raw = (folder / "good.fits").read_bytes()
    (folder / "axes.fits").write_bytes(raw[:160] + card + raw[240:])
    yield "two thousand million axes", folder / "axes.fits", {}, "NAXIS is 2147483648"
    hdu = fits.CompImageHDU(np.zeros((64, 64), np.int16))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / "many.fits")
    raw = (folder / "many.fits").read_bytes()
    for axis in (b"ZNAXIS1", b"ZNAXIS2"):
        at = raw.index(axis + b" = ")
        raw = raw[: at + 10] + b"100000".rjust(20) + raw[at + 30 :]
    (folder / "many.fits").write_bytes(raw)
    yield "10^10 pixels", folder / "many.fits", {}, "100000 x 100000 pixels"
    yield "table", table, {}, "no 2-D image"
    yield "asked for a table", table, {"hdu": "EVENTS"}, "a table of 1 rows"
    yield "no such extension", folder / "good.fits", {"hdu": "NOPE"}, "no extension 'NOPE'"
    yield "no such number", folder / "good.fits", {"hdu": 7}, "no extension 7"


def test_bad_files_are_named(tmp_path):
    for what, path, options, words in bad_files(tmp_path):
        with pytest.raises(InputError) as caught:
            read_map(path, **options)
        assert words in str(caught.value) and path.name in str(caught.value), what


@pytest.mark.parametrize(
    "odd", [{"EQUINOX": 1e300}, {"CRVAL1": 1e300}, {"CD1_1": 0.0, "CD2_2": 0.0}]
)
def test_sky_coordinates_that_cannot_be_used_are_said(tmp_path, odd):
    found = read_map(write(tmp_path / "a.fits", counts(), odd))
    assert found.wcs is None and "sky coordinates" in found.diagnostics[0]


def with_card(path, key, value):
    """The file with other text as the value of a card, as no FITS writer would write it."""
    raw, name = path.read_bytes(), key.ljust(8).encode() + b"= "
    at = raw.index(name)
    path.write_bytes(raw[: at + 10] + value.encode().rjust(20).ljust(70) + raw[at + 80 :])
    return path


@pytest.mark.parametrize("key", ["CRVAL1", "CRPIX2", "CDELT1", "EQUINOX"])
@pytest.mark.parametrize("value", ["abc", "'text'", "NaN", "1.5.5", "T", "(1,2)"])
def test_a_coordinate_that_is_no_number_places_nothing(tmp_path, key, value):
    """wcslib passes over it: the image would lie at 0 degrees."""
    path = write(tmp_path / "a.fits", counts(), {"EQUINOX": 2000.0})
    found = read_map(with_card(path, key, value))
    assert found.wcs is None and key in found.diagnostics[0]


@pytest.mark.parametrize("key", ["CRVAL1", "CRPIX2"])
def test_coordinates_that_are_not_there_are_not_zero(tmp_path, key):
    path = write(tmp_path / "a.fits", counts())
    path.write_bytes(path.read_bytes().replace(key.ljust(8).encode(), b"HISTORY "))
    found = read_map(path)
    assert found.wcs is None and f"no {key}" in found.diagnostics[0]


def test_a_number_in_quotes_and_a_blank_equinox_are_understood(tmp_path):
    path = write(tmp_path / "a.fits", counts(), {"EQUINOX": 2000.0})
    found = read_map(with_card(with_card(path, "CRVAL1", "'150.0'"), "EQUINOX", ""))
    assert found.wcs.wcs.crval.tolist() == [150.0, 2.0] and not found.diagnostics


def test_a_card_that_cannot_be_read_is_said(tmp_path):
    path = write(tmp_path / "a.fits", counts(), {"EXPOSURE": 100.0, "LTV1": 3.0})
    found = read_map(with_card(with_card(path, "EXPOSURE", "100 s"), "LTV1", "3 4"))
    assert "EXPOSURE" not in found.header and np.isnan(found.header["LTV1"])
    assert any("EXPOSURE cannot be read" in text for text in found.diagnostics)


# ---------------------------------------------------------------------- regions


def kinds(text):
    return [(s.kind, s.frame, s.include) for s in parse_regions(text).shapes]


@pytest.mark.parametrize(
    "text, expected",
    [
        ('\nFK5\ncircle(16:00:01.2,+10:00:00,3")\nbox(10,20,5",6",45)\n',
         [("round", "fk5", True), ("box", "fk5", True)]),
        ('ICRS; circle(10,20,3") # {"color":"red; blue"}', [("round", "icrs", True)]),
        ("galactic; polygon(1,1,2,1,2,2)", [("polygon", "galactic", True)]),
        ('fk5 ellipse(1,2,3",4",5)', [("round", "fk5", True)]),
        ("image\n-circle(5,5,2)\ncircle(5,5,4)",
         [("round", "image", False), ("round", "image", True)]),
        ("physical; circle(1,2,3)-circle(1,2,1)",
         [("round", "physical", True), ("round", "physical", False)]),
        ("image; circle(1,2,3) # include=0", [("round", "image", False)]),
        ("image; rotbox(1,2,3,4,5); box(1,2,3,4)", [("box", "image", True)] * 2),
        ("image; annulus(9,9,2,4,6)", [("round", "image", True)]),
        ("image\n# composite(1,2,0) || composite=1\ncircle(1,2,3) ||\ncircle 2 3 4 # text={a;b}",
         [("round", "image", True)] * 2),
        ("image\n# panda(1,2,3,4,5,6,7,8)", [("round", "image", True)]),
        ("# Region file format: CIAO version 1.0\nRECT(1,2,3,4)\nfield()",
         [("rectangle", "physical", True), ("field", "image", True)]),
    ],
)  # fmt: skip
def test_text_of_ds9_js9_and_ciao(text, expected):
    assert kinds(text) == expected


def test_numbers_say_what_they_are():
    arcsec, physical, image = (lambda v, u=u: Length(v, u) for u in ("arcsec", "physical", "image"))
    for text, frame, place, size in (
        ("fk5; circle(10:00:00,-02:30:00,0.5')", "fk5", (150.0, -2.5), arcsec(30.0)),
        ("fk5; circle(10h00m00s,-2d30m00s,0.5')", "fk5", (150.0, -2.5), arcsec(30.0)),
        ("galactic; circle(10:30:00,2:30:00,0.01)", "galactic", (10.5, 2.5), arcsec(36.0)),
        ("fk5; circle(150,2.5,5i)", "fk5", (150.0, 2.5), image(5.0)),
        ("physical; circle(60i,40i,5)", "image", (60.0, 40.0), physical(5.0)),
        ('image; circle(60,40,5")', "image", (60.0, 40.0), arcsec(5.0)),
        ("image; circle(150d,2.5d,5p)", "fk5", (150.0, 2.5), physical(5.0)),
        ("circle(150d,2.5d,5)", "fk5", (150.0, 2.5), physical(5.0)),  # CIAO from here on
        ("circle(10:00:00.0,+02:30:00,0.01d)", "fk5", (150.0, 2.5), arcsec(36.0)),
        ("circle(4000.5,3900,20)", "physical", (4000.5, 3900.0), physical(20.0)),
    ):
        (shape,) = parse_regions(text).shapes
        assert shape.frame == frame and shape.places == (place,), text
        assert shape.outer[0] == pytest.approx(size) and shape.outer[0].unit == size.unit, text


def test_what_is_passed_over_is_said():
    found = parse_regions("circle(1,2,3)\n# text(4,5) text={here}")
    assert len(found.shapes) == 1
    assert "physical" in found.diagnostics[0] and "1 labels" in found.diagnostics[1]


@pytest.mark.parametrize(
    "text, words",
    [
        ("image; panda(1,2,3,4,5,6,7)", "7 numbers"),
        ("image; wedge(1,2,3,4,5,6,7,8)", "wedge"),
        ('fk5; circle(55.72,-53.62,1e400")', "not finite"),
        ('fk5; ellipse(55.72,-53.62,1e9",10",0)', "larger than the sky"),
        ("fk5; circle(55.72,-93.62,3)", "pole"),
        ("circle(60i,40,3)", "several kinds"),
        ("rect(1,2,3,4,5)", "5 numbers"),
        ("image; point(1,2)", "no area"),
        ("image; circle(1,2,3)&box(1,2,3,4)", "intersects"),
        ("linear; circle(1,2,3)", "linear"),
        ("image; circle(1,2)", "2 numbers"),
        ("image; circle(1,2,x)", "circle(1,2,x)"),
        ("image; circle(1,2,-3)", "positive"),
        ("image; circle(1,2,3q)", "no size"),
        ('fk5; circle(10,20,5")foo', "foo"),
        ("&&((DETX,DETY) IN circle(1,2,3))", "not understood"),
        ("image;\n# nothing here", "no region"),
    ],
)
def test_what_is_not_understood_is_refused(text, words):
    with pytest.raises(InputError) as caught:
        parse_regions(text, "my.reg")
    assert words in str(caught.value) and "my.reg" in str(caught.value)


@settings(deadline=None, max_examples=150)
@given(st.text("circlebox()-+!#;, \n123.\"'nan&|{}fk5image", max_size=60))
def test_any_text_is_parsed_or_refused(text):
    try:
        assert parse_regions(text).shapes
    except InputError:
        pass


def test_source_list(tmp_path):
    (tmp_path / "list.txt").write_text("# x y r\n10 20 3.5\n11,21,4\n\n")
    (found,) = read_regions(str(tmp_path / "list.txt"))
    assert [(s.places[0], s.outer[0].value) for s in found.shapes] == [
        ((10, 20), 3.5),
        ((11, 21), 4),
    ]
    assert {s.frame for s in found.shapes} == {"image"}
    assert "counted from 1" in found.diagnostics[0]
    for bad in ("10 20 0", "10 20 3 4", "10 20 nan", "5 inf 3", "1e300 4 2"):
        (tmp_path / "bad.txt").write_text(f"1 2 3\n{bad}\n")
        with pytest.raises(InputError, match="source 2"):
            read_regions(tmp_path / "bad.txt")


def test_files_text_and_objects_in_a_list(tmp_path):
    from regions import CirclePixelRegion, PixCoord

    (tmp_path / "a.reg").write_text("image; circle(1,2,3)")
    sets = read_regions(
        [tmp_path / "a.reg", "image; box(1,2,3,4,0)", CirclePixelRegion(PixCoord(1, 2), 3)]
    )
    assert [len(s.shapes) for s in sets] == [1, 1, 1]
    with pytest.raises(InputError, match="neither a region file"):
        read_regions(str(tmp_path / "b.reg"))
    with pytest.raises(InputError, match="int is not a region"):
        read_regions(3)


def region_table(path, **columns):
    fits.BinTableHDU(Table(columns), name="SRCLIST").writeto(path, overwrite=True)
    return path


def test_fits_tables(tmp_path):
    path = region_table(
        tmp_path / "a.fits",
        RA=[1.0, 2.0, 3.0], X=[10.0, 20.0, 30.0], Y=[11.0, 21.0, 31.0], NET_COUNTS=[5.0, 6.0, 7.0],
        SHAPE=["ellipse", "Circle ", "!circle"], R=[[3.0, 2.0], [4.0, 0.0], [1.0, 0.0]],
        ROTANG=[30.0, 0.0, 0.0],
    )  # fmt: skip
    (found,) = read_regions(path)
    assert [s.kind for s in found.shapes] == ["round"] * 3 and not found.by_component
    assert [s.include for s in found.shapes] == [True, True, False]
    assert {s.frame for s in found.shapes} == {"physical"}
    assert [size.value for size in found.shapes[0].outer] == [3.0, 2.0]
    assert found.shapes[0].tilt == 30.0 and found.shapes[1].places == ((20.0, 21.0),)
    (found,) = read_regions(region_table(tmp_path / "b.fits", X=[1.0], Y=[2.0], R=[3.0]))
    assert found.shapes[0].outer[0] == Length(3.0, "physical")


def test_fits_table_on_the_sky(tmp_path):
    import astropy.units as u

    path = region_table(tmp_path / "a.fits", RA=[150.0], DEC=[2.0], R=[10.0] * u.arcsec)
    (found,) = read_regions(path)
    assert found.shapes[0].frame == "icrs" and found.shapes[0].outer[0] == Length(10.0, "arcsec")
    turned = region_table(
        tmp_path / "c.fits", X=[1.0] * u.pixel, Y=[2.0] * u.pixel, R=[[1.0, 2.0]] * u.mm,
        SHAPE=["ellipse"], ROTANG=[np.pi / 2] * u.rad,
    )  # fmt: skip
    (found,) = read_regions(turned)
    assert found.shapes[0].tilt == pytest.approx(90) and "R is in mm" in found.diagnostics[1]
    with pytest.raises(InputError, match="not an angle"):
        read_regions(region_table(tmp_path / "b.fits", RA=[150.0], DEC=[2.0], R=[10.0]))


@pytest.mark.parametrize(
    "columns, words",
    [
        (dict(A=[1.0]), "no table of regions"),
        (dict(X=[1.0], Y=[1.0], R=[2.0], SHAPE=["pie"]), "pie"),
        (dict(X=[1.0], Y=[1.0], R=[2.0], SHAPE=["point"]), "point"),
        (dict(X=[1.0], Y=[1.0], R=[[2.0, 3.0]], SHAPE=["panda"]), "panda"),
        (dict(X=[np.inf], Y=[1.0], R=[2.0]), "not finite"),
        (dict(X=[[1.0, 2.0]], Y=[1.0], R=[2.0]), "row 1 cannot be used"),
        (dict(X=[1.0], Y=[1.0], R=[2.0], COMPONENT=[np.nan]), "row 1 cannot be used"),
        (dict(X=[1.0], Y=[1.0], R=["wide"]), "row 1 cannot be used"),
        (dict(X=[1.0], Y=[1.0], R=[2.0], ROTANG=["x"], SHAPE=["rotbox"]), "row 1 cannot be used"),
        (dict(X=[1.0], Y=[1.0], R=[-2.0]), "not positive"),
    ],
)
def test_bad_fits_tables(tmp_path, columns, words):
    with pytest.raises(InputError) as caught:
        read_regions(region_table(tmp_path / "a.fits", **columns))
    assert words in str(caught.value) and "a.fits" in str(caught.value)


@pytest.mark.parametrize("key", ["NAXIS", "TFIELDS"])
def test_more_axes_or_columns_than_can_be_are_refused_at_once(tmp_path, key):
    """Astropy would ask for each of two thousand million."""
    path = region_table(tmp_path / "a.fits", X=[1.0], Y=[2.0], R=[3.0])
    raw = path.read_bytes()
    at = raw.rindex(key.ljust(8).encode() + b"= ")
    path.write_bytes(raw[: at + 10] + b"2147483648".rjust(20).ljust(70) + raw[at + 80 :])
    with pytest.raises(InputError, match=f"{key} is 2147483648"):
        read_regions(path)


def test_files_that_may_be_damaged_say_so(tmp_path):
    """NAXIS2 of a smaller image, bytes behind the end, a DATASUM that does not fit."""
    path = write(tmp_path / "a.fits", counts())
    raw = path.read_bytes()
    assert read_map(path).doubts == ()
    short = raw.replace(b"NAXIS2  =                   30", b"NAXIS2  =                   29")
    path.write_bytes(short)
    assert read_map(path).doubts == (
        "PRIMARY: the data go on behind row 29, the last by NAXIS2; not read",
    )
    path.write_bytes(raw + raw[-80:].replace(b"\0", b"x"))
    assert "bytes after the last extension" in read_map(path).doubts[0]
    write(path, counts(), {"DATASUM": "17"})
    assert "DATASUM does not fit" in read_map(path).doubts[0]
    found = read_image(path)
    assert any("PRIMARY: DATASUM does not fit" in n for n in found.diagnostics)
    psf = read_psf(path, pixel_size=1.0, image_pixel_size=1.0)
    good = write(tmp_path / "b.fits", counts())
    notes = read_image(good, psf=psf, background=path).diagnostics
    assert [n.partition(":")[0] for n in notes if "DATASUM" in n] == ["background", "PSF"]


def test_one_physical_scale_is_no_scale(tmp_path):
    """The other was lost: 1 would put regions elsewhere."""
    header = read_map(write(tmp_path / "a.fits", counts(), {"LTM2_2": 0.25, "LTV1": 3.0})).header
    assert np.isnan(header["LTM1_1"]) and header["LTM2_2"] == 0.25
