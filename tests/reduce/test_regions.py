"""Regions on pixels, each dialect by its own rule, against geometry that is written down here."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

import jaxspec as js
from jaxspec.errors import InputError

SHAPE = (80, 120)
Y, X = np.indices(SHAPE) + 1.0  # as DS9 and FITS count
R = np.hypot(X - 60, Y - 40)
ANGLE = np.degrees(np.arctan2(Y - 40, X - 60)) % 360
PHYSICAL = {"LTM1_1": 0.25, "LTM2_2": 0.25, "LTV1": -900.0, "LTV2": -800.0}


def sky(turn=0.0, flip=1, **more):
    """Header with pixels of 4 arcsec, (60, 40) at (150, 2.5), north turned by some degrees."""
    c, s, k = np.cos(np.radians(turn)), np.sin(np.radians(turn)), 4 / 3600
    place = dict(CRVAL1=150.0, CRVAL2=2.5, CRPIX1=60.0, CRPIX2=40.0, RADESYS="FK5")
    matrix = dict(CD1_1=-flip * k * c, CD1_2=k * s, CD2_1=flip * k * s, CD2_2=k * c)
    return fits.Header(dict(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", **place, **matrix, **more))


def image(header=None):
    header = sky(**PHYSICAL) if header is None else header
    free = np.zeros(SHAPE, bool)
    return js.Image(
        "toy", np.ones(SHAPE), np.ones(SHAPE), free, wcs=WCS(header), header=dict(header)
    )


def check(text, expected, on=None):
    np.testing.assert_array_equal((on or image()).masked(regions=text).mask, expected, str(text))


CIAO = "# Region file format: CIAO version 1.0\n"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("image; pie(60,40,5,20,0,90)", (R >= 5) & (R < 20) & (ANGLE < 90)),
        ("image; pie(60,40,5,20,300,30)", (R >= 5) & (R < 20) & ((ANGLE >= 300) | (ANGLE < 30))),
        ("image; sector(60,40,100,140)", (ANGLE >= 100) & (ANGLE < 140)),
        ("image; panda(60,40,0,360,4,5,20,2)", (R >= 5) & (R < 20)),
        ("image; panda(60,40,30,120,3,5,20,2)",
         (R >= 5) & (R < 20) & (ANGLE >= 30) & (ANGLE < 120)),
        ("image; epanda(60,40,0,90,1,4,2,20,10,1,0)",
         (np.hypot((X - 60) / 20, (Y - 40) / 10) < 1) & (ANGLE < 90)
         & ~(np.hypot((X - 60) / 4, (Y - 40) / 2) < 1)),
        ("image; bpanda(60,40,0,360,1,10,6,30,20,1,0)",
         (abs(X - 60) < 15) & (abs(Y - 40) < 10) & ~((abs(X - 60) < 5) & (abs(Y - 40) < 3))),
        ("image; field()-circle(60,40,10)", R >= 10),
        ("image; panda(60,40,30,30,1,5,20,1)", (R >= 5) & (R < 20)),  # DS9: all around
        ("image; annulus(60,40,5,20,n=3)", (R >= 5) & (R < 20)),
        ("# was: image; circle(3840,3360,80)\nimage\ncircle(60,40,5.05)", R < 5.05),
        ("image; circle(60,40,5.05) # twice; circle(20,20,9)", R < 5.05),  # words: a comment
        ("image; circle(60,40,5.05) # color=red or so; circle(20,20,9)", R < 5.05),
        ("image; circle(60,40,5.05) # color=#ff0000 ruler=fk5 arcsec; circle(60,40,9)", R < 9),
        (CIAO + "# circle(3840,3360,36); circle(3840,3360,80)\ncircle(3840,3360,20.2)", R < 5.05),
        ("rectangle(3800,3320,3880,3400)", (abs(X - 60) < 10) & (abs(Y - 40) < 10)),
        ("rotrectangle(3800,3320,3880,3400,90)", (abs(X - 60) < 10) & (abs(Y - 40) < 10)),
        ("ellipse(3840,3360,80,40,90)", np.hypot((X - 60) / 10, (Y - 40) / 20) < 1),
        ('circle(3840,3360,20.2")', R < 5.05),  # CIAO: an angle at a physical position
        (CIAO + "circle(10:00:00,+02:30:00,0.337')", R < 5.055),
        (CIAO + "circle(150d,2.5d,20.2)", R < 5.05),
        ('fk5; circle(150,2.5,20.2")', R < 5.05),
        ("fk5; circle(150,2.5,5.05i)", R < 5.05),
        ("fk5; box(150,2.5,20.2p,9i,0)", (abs(X - 60) < 2.525) & (abs(Y - 40) < 4.5)),
    ],
)  # fmt: skip
def test_shapes(text, expected):
    assert 0 < expected.sum() < expected.size
    check(text, expected)


@pytest.mark.parametrize("turn, flip", [(0, 1), (33, 1), (180, 1), (0, -1), (33, -1)])
def test_a_piece_of_the_sky_is_the_same_piece_on_every_image(turn, flip):
    """DS9's angles count from west over north; CIAO's from the x axis."""
    header = sky(turn, flip, **PHYSICAL)
    on = image(header)
    there = on.wcs.pixel_to_world(X - 1, Y - 1)
    middle = on.wcs.pixel_to_world(59.5, 39.5)
    east = (there.ra.deg - 150.0) * np.cos(np.radians(2.5)) * 3600
    north = (there.dec.deg - 2.5) * 3600
    angle = np.degrees(np.arctan2(north, -east)) % 360
    inside = (np.hypot(east, north) < 77.7) & (angle >= 20.3) & (angle < 111.1)
    got = on.masked(regions='fk5; panda(150,2.5,20.3,111.1,3,0,77.7",1)').mask
    assert (got ^ inside).sum() <= 1 and inside.sum() > 200  # the sphere is no plane
    assert middle.separation(there[39, 59]).arcsec < 4
    plain = (R >= 1) & (R < 19.3) & (ANGLE >= 20.3) & (ANGLE < 111.1)
    check(CIAO + "pie(10:00:00,+02:30:00,4,77.2,20.3,111.1)", plain, on)


def test_north_of_another_equinox_is_that_of_the_regions():
    """Near a pole the norths of 1950 and 2000 differ by degrees."""
    from astropy.coordinates import FK5

    on = image(fits.Header(dict(sky(), RADESYS="FK4", EQUINOX=1950.0, CRVAL2=80.0)))
    there = on.wcs.pixel_to_world(X - 1, Y - 1).transform_to(FK5(equinox="J2000"))
    middle = there[39, 59]
    away, angle = middle.separation(there).arcsec, middle.position_angle(there).rad
    inside = (abs(away * np.sin(angle)) < 200.15) & (abs(away * np.cos(angle)) < 10.1)
    check(f'fk5; box({middle.ra.deg:.9f},{middle.dec.deg:.9f},400.3",20.2",0)', inside, on)


def test_the_rule_of_ds9_and_that_of_ciao_differ():
    a, b, c = (np.hypot(X - x, Y - 40) < 8.1 for x in (40, 50, 45))
    shapes = "circle({},40,8.1)\n".format
    ds9 = "# Region file format: DS9\nimage\n"
    check(ds9 + shapes(40) + shapes(50) + "-" + shapes(45), (a | b) & ~c)
    check(ds9 + "-" + shapes(45) + shapes(40) + shapes(50), (a | b) & ~c)  # wherever it stands
    physical = "circle({},3360,32.4)".format
    one, two, three = physical(3760), physical(3800), physical(3780)
    check(f"{CIAO}{one}\n{two}\n-{three}", a | (b & ~c))  # CIAO: the one before it
    check(f"{CIAO}{one}+{two}-{three}", a | (b & ~c))
    check(f"{CIAO}{one}-{three}+{two}", (a & ~c) | b)
    check(f"{CIAO}{one}*{three}", a & c)
    check(f"{CIAO}{one}&!{three}", a & ~c)
    check(f"{CIAO}{one}|{two}", a | b)
    check(f"{one}\n{two}\n-{three}", a | (b & ~c))  # neither says its name: CIAO, and said
    notes = image().masked(regions=f"{one}\n-{three}").diagnostics
    assert "plain numbers taken as physical" in notes[0] and "-shape as CIAO does" in notes[0]
    with pytest.raises(InputError, match="which DS9 does not"):
        image().masked(regions="image; circle(40,40,8)*circle(45,40,8)")


@pytest.mark.parametrize(
    "text, words",
    [
        ('fk5; circle(150:00:00,2:30:00,20")', "beyond 360 degrees.*as hours"),  # 150 h are 90 deg
        ('fk5; circle(510.0,2.5,20")', "beyond 360 degrees"),
        ('fk5; circle(10:75:00,2:30:00,20")', "60 minutes or seconds, or more"),
        ('fk5; circle(10:00:00,2:30:75,20")', "60 minutes or seconds, or more"),
    ],
)
def test_positions_that_wrap_around_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        image().masked(regions=text)


def test_what_settings_exclude():
    ring = (R < 10.1) & ~(R < 5.05)
    for word in ("0", "no", "false"):
        check(f"image; circle(60,40,10.1); circle(60,40,5.05) # include={word}", ring)
    check("global include=1\nimage\ncircle(60,40,5.05) # include=yes", R < 5.05)
    with pytest.raises(InputError, match="global settings exclude all"):
        image().masked(regions="global color=green include=0\nimage\ncircle(60,40,5)")


def test_excluded_only_selects_everything_else(tmp_path):
    path = table(tmp_path, SHAPE=["!CIRCLE"] * 2, X=[3760.0, 3800.0], Y=[3360.0] * 2, R=[32.4] * 2,
                 COMPONENT=[1, 1])  # fmt: skip
    sources = (np.hypot(X - 40, Y - 40) < 8.1) | (np.hypot(X - 50, Y - 40) < 8.1)
    for excluded in (path, "image; -circle(40,40,8.1)-circle(50,40,8.1)"):
        with pytest.raises(InputError, match="give it as keep="):
            image().masked(regions=excluded)
        np.testing.assert_array_equal(image().masked(keep=excluded).mask, sources)


def table(folder, name="a.fits", **columns):
    extra = columns.pop("extra", {})
    hdu = fits.BinTableHDU(Table(columns), fits.Header(extra), name="REGION")
    hdu.writeto(folder / name, overwrite=True)
    return folder / name


def test_components_of_a_table_are_intersections(tmp_path):
    """XMM SAS, selectlib: AND within a component, OR between them; !SHAPE is what lies outside."""
    a, b, c = (np.hypot(X - x, Y - 40) < 8.1 for x in (40, 50, 45))
    place = dict(X=[3760.0, 3800.0, 3780.0], Y=[3360.0] * 3, R=[32.4] * 3)
    plain = ["CIRCLE", "circle ", "Circle"]
    for signs, component, expected in (
        (("", "", ""), [1, 1, 2], (a & b) | c),
        (("", "", "!"), [1, 2, 1], (a & ~c) | b),
        (("", "", "!"), [1, 2, 2], a | (b & ~c)),
        (("", "", "-"), [7, 7, 7], a & b & ~c),
    ):
        kinds = [sign + kind for sign, kind in zip(signs, plain, strict=True)]
        check(table(tmp_path, SHAPE=kinds, COMPONENT=component, **place), expected)
    check(table(tmp_path, SHAPE=["circle", "circle", "!circle"], **place), (a | b) & ~c)


def test_all_shapes_of_a_table(tmp_path):
    two = [[3840.0, 3840.0], [3360.0, 3360.0]]
    for kind, r, angle, expected in (
        ("PIE", [20.0, 80.0], [0.0, 90.0], (R >= 5) & (R < 20) & (ANGLE < 90)),
        ("SECTOR", [0.0, 0.0], [100.0, 140.0], (ANGLE >= 100) & (ANGLE < 140)),
        ("ANNULUS", [20.0, 80.0], [0.0, 0.0], (R >= 5) & (R < 20)),
        ("ROTBOX", [80.0, 40.0], [90.0, 0.0], (abs(X - 60) < 5) & (abs(Y - 40) < 10)),
        ("ELLIPSE", [80.0, 40.0], [90.0, 0.0], np.hypot((X - 60) / 10, (Y - 40) / 20) < 1),
        ("FIELD", [0.0, 0.0], [0.0, 0.0], None),
    ):
        path = table(tmp_path, SHAPE=[kind], X=[two[0]], Y=[two[1]], R=[r], ROTANG=[angle])
        if expected is None:
            with pytest.raises(InputError, match="no pixel is left"):
                image().masked(regions=path)
        else:
            check(path, expected)
    path = table(tmp_path, SHAPE=["RECTANGLE"], X=[[3800.0, 3880.0]], Y=[[3320.0, 3400.0]])
    check(path, (abs(X - 60) < 10) & (abs(Y - 40) < 10))
    corners = [[3800.0, 3880.0, 3880.0, np.nan]], [[3320.0, 3320.0, 3400.0, np.nan]]
    path = table(tmp_path, SHAPE=["POLYGON"], X=corners[0], Y=corners[1], R=[0.0])
    check(path, (X < 70) & (Y > 30) & (Y - 40 < X - 60))
    square = [3800.0, 3880.0, 3880.0, 3800.0], [3320.0, 3320.0, 3400.0, 3400.0]
    for tail in ((0.0, 0.0), (square[0][0], square[1][0]), (square[0][3], square[1][3])):
        x, y = ([[*side, fill, fill, 0.0]] for side, fill in zip(square, tail, strict=True))
        if tail[0] == square[0][3]:  # the last corner again, and no zeros
            x, y = ([row[0][:-1]] for row in (x, y))
        path = table(tmp_path, SHAPE=["POLYGON"], X=x, Y=y, R=[0.0])
        check(path, (abs(X - 60) < 10) & (abs(Y - 40) < 10))
    millimetres = Table({"X": [3840.0], "Y": [3360.0], "R": [20.0]})
    millimetres["X"].unit = millimetres["Y"].unit = "mm"
    millimetres.write(tmp_path / "mm.fits")
    with pytest.raises(InputError, match="mm, which is no position on the sky"):
        image().masked(regions=tmp_path / "mm.fits")
    path = table(tmp_path, SHAPE=["CIRCLE"], X=[3840.0], Y=[3360.0], R=[20.0],
                 extra={"MFORM1": "DETX,DETY"})  # fmt: skip
    with pytest.raises(InputError, match="DETX,DETY"):
        image().masked(regions=path)


def test_a_table_is_chosen_by_its_extension(tmp_path):
    small = fits.BinTableHDU(Table({"X": [3840.0], "Y": [3360.0], "R": [20.2]}), name="SMALL")
    large = fits.BinTableHDU(Table({"X": [3840.0], "Y": [3360.0], "R": [40.2]}), name="LARGE")
    fits.HDUList([fits.PrimaryHDU(), small, large]).writeto(tmp_path / "two.fits")
    check(tmp_path / "two.fits", R < 5.05)
    check(f"{tmp_path}/two.fits[LARGE]", R < 10.05)
    check(f"{tmp_path}/two.fits[2]", R < 10.05)
    with pytest.raises(InputError, match="in extension 'NONE', only 0 PRIMARY, 1 SMALL, 2 LARGE"):
        image().masked(regions=f"{tmp_path}/two.fits[NONE]")


def test_compound_region_objects():
    from regions import CirclePixelRegion, PixCoord

    one, two = (CirclePixelRegion(PixCoord(x, 39), 8.1) for x in (39, 44))
    check(one & two, (np.hypot(X - 40, Y - 40) < 8.1) & (np.hypot(X - 45, Y - 40) < 8.1))
    check(one ^ two, (np.hypot(X - 40, Y - 40) < 8.1) ^ (np.hypot(X - 45, Y - 40) < 8.1))


def test_excluded_objects_cut_the_others_of_their_list():
    from regions import Regions

    text = "image\ncircle(60,40,10.1)\n-circle(60,40,5.05)"
    ring = (R < 10.1) & ~(R < 5.05)
    for found in (Regions.parse(text, format="ds9"), list(Regions.parse(text, format="ds9"))):
        check(found, ring)
        np.testing.assert_array_equal(image().masked(keep=found).mask, ~ring)
    check(Regions.parse(text, format="ds9")[0], R < 10.1)
    with pytest.raises(InputError, match="put what it cuts out into the text"):
        image().masked(keep=["image; circle(60,40,10)", "image; -circle(60,40,5)"])


@pytest.mark.parametrize(
    "text, words",
    [
        ("# RA DEC R\n150.0 2.5 0.005", "says that its positions are RA and Dec"),
        ("ra,dec,radius\n150.0,2.5,0.005", "says that its positions are RA and Dec"),
        ("150.0 2.5 20", "has no circle on the image"),
        ("60 40 5\n10:00:00 2:30:00 20", "source 2 is"),
    ],
)
def test_a_list_of_the_sky_is_not_taken_for_pixels(tmp_path, text, words):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        image().masked(regions=tmp_path / "list.txt")


def test_a_list_that_fits_the_sky_and_the_image_is_asked_for(tmp_path):
    (tmp_path / "list.txt").write_text("50.01 20.01 3\n49.98 19.99 2\n")
    on = image(fits.Header(dict(sky(), CRVAL1=50.0, CRVAL2=20.0)))
    with pytest.raises(InputError, match="if they are RA and Dec"):
        on.masked(regions=tmp_path / "list.txt")
    plain = image().masked(regions=tmp_path / "list.txt").mask  # of a field elsewhere: pixels
    assert plain[19, 49] and plain.sum() < 40
    (tmp_path / "names.txt").write_text("x y r\n60 40 5.05\n")
    check(tmp_path / "names.txt", R < 5.05)


# ---------------------------------------------------------------------- masks that are images


@pytest.mark.parametrize("odd", [{"LTV1": np.nan}, {"LTM2_2": 0.0}])
def test_physical_coordinates_that_are_no_numbers_are_refused_where_they_are_used(odd):
    on = image(sky())
    on.header.update(PHYSICAL | odd)
    check("image; circle(60,40,10)", R < 10, on)
    with pytest.raises(InputError, match="are no numbers"):
        on.masked(regions="physical; circle(3840,3360,40)")


@pytest.mark.parametrize(
    "text", ["polygon(1,1,5,1,5,1e300)", "circle(1e300,1,5)", "ellipse(5,5,1e308,1e308,3)"]
)
def test_regions_that_no_number_can_hold_are_refused(text):
    with pytest.raises(InputError, match="pixels far"):
        image().masked(regions=f"image; {text}")


def test_a_mask_may_be_a_fits_image(tmp_path):
    header = fits.Header({"EXPOSURE": 1000.0})
    fits.writeto(tmp_path / "n.fits", np.ones(SHAPE, "i2"), header)
    good = (X < 41) | (Y > 30)
    for name, values in {
        "a": good.astype("u1"), "b": np.where(good, 1.0, np.nan), "c": good * 255.0,
    }.items():  # fmt: skip
        fits.writeto(tmp_path / f"{name}.fits", values)
        found = js.read_image(tmp_path / "n.fits", mask=tmp_path / f"{name}.fits")
        np.testing.assert_array_equal(found.mask, ~good)
        assert (
            f"mask: {(~good).sum()} pixels left out by {tmp_path}/{name}.fits" in found.diagnostics
        )
    extra = fits.ImageHDU((~good).astype("i2"), name="OTHER")
    fits.HDUList([fits.PrimaryHDU(good.astype("i2")), extra]).writeto(tmp_path / "two.fits")
    other = js.read_image(tmp_path / "n.fits", mask=f"{tmp_path}/two.fits[OTHER]")
    np.testing.assert_array_equal(other.mask, good)
    both = image().masked(mask=tmp_path / "a.fits", regions="image; circle(20,20,3)")
    np.testing.assert_array_equal(both.mask, ~good | (np.hypot(X - 20, Y - 20) < 3))


def test_masks_that_are_no_masks_are_refused(tmp_path):
    def written(values, **header):
        fits.writeto(tmp_path / "m.fits", values, fits.Header(header), overwrite=True)
        return tmp_path / "m.fits"

    with pytest.raises(InputError, match="a mask holds 1 and 0, and this holds 2, 3"):
        image().masked(mask=written(2.0 + (X > 40)))
    with pytest.raises(InputError, match="holds -1"):
        image().masked(mask=written(-1.0 * (X > 40)))
    with pytest.raises(InputError, match=r"the mask map has shape \(80, 119\)"):
        image().masked(mask=written(np.ones((80, 119))))
    shifted = dict(sky()) | {"CRPIX1": 62.0}
    with pytest.raises(InputError, match="off by up to 2 pixels"):
        image().masked(mask=written(np.ones(SHAPE), **shifted))
    with pytest.raises(InputError, match="where=array"):
        image().masked(mask=np.ones(SHAPE))
    with pytest.raises(InputError, match="given as mask="):
        image().masked(regions=written(np.ones(SHAPE)))
    with pytest.raises(InputError, match="no pixel is left"):
        image().masked(mask=written(np.zeros(SHAPE)))
