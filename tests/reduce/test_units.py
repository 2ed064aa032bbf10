"""Units of maps: every spelling of real headers, and no map that is taken for another."""

import numpy as np
import pytest
from astropy.io import fits

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.likelihood.image_prepare import suited
from jaxspec.reduce.units import exposure_kind, kind_of_map, parse_unit

SHAPE = (9, 12)


def written(path, value, unit=None, **header):
    header = fits.Header(header | ({} if unit is None else {"BUNIT": unit}))
    fits.writeto(path, np.full(SHAPE, value, "f4"), header, overwrite=True)
    return path


@pytest.mark.parametrize(
    "text, factor, kind",
    [
        ("s", 1, "s"), ("S", 1, "s"), ("SEC", 1, "s"), ("seconds", 1, "s"), ("[s]", 1, "s"),
        ("ksec", 1e3, "s"), ("Msec", 1e6, "s"), ("hours", 3600, "s"), ("s/pixel", 1, "s"),
        ("1e4 s", 1e4, "s"), ("cm**2", 1, "cm2"), ("CM^2", 1, "cm2"), ("sq. cm", 1, "cm2"),
        ("m2", 1e4, "cm2"), ("cm**2 count/photon", 1, "cm2"),
        ("cm**2 sec", 1, "cm2 s"), ("cm^2 s count / photon", 1, "cm2 s"),
        ("(cm**2 s ct ph-1)", 1, "cm2 s"), ("s*cm^2", 1, "cm2 s"), ("cm²·s", 1, "cm2 s"),
        ("Sec.", 1, "s"), ("MSEC", 1e6, "s"), ("cm2-s", 1, "cm2 s"),
        ("cm**(2) ks", 1e3, "cm2 s"), ("cm^2 s/photon", 1, "cm2 s"),
        ("ms", 1e-3, "s"), ("mins", 60, "s"), ("Years", 31557600, "s"), ("milliseconds", 1e-3, "s"),
    ],
)  # fmt: skip
def test_every_spelling_of_an_exposure(text, factor, kind):
    assert exposure_kind({"BUNIT": text}, None, "map") == (pytest.approx(factor), kind)


@pytest.mark.parametrize(
    "text", ["", "Primary Array", "none", "UNITLESS", "N/A", "1", "%", "ct,s", "(1,2)"]
)
def test_what_is_no_unit_stays_unknown(text):
    assert parse_unit(text) is None and exposure_kind({"BUNIT": text}, None, "map") is None


@pytest.mark.parametrize(
    "text, what",
    [
        ("count/s", "a rate"), ("cts s^-1", "a rate"), ("COUNTS PER SECOND", "a rate"),
        ("cps", "a rate"), ("c/s", "a rate"), ("c s-1", "a rate"), ("1/s", "a rate"),
        ("Hits/s", "a rate"), ("count sec-1 arcmin-2 (0.1-2.4 keV)", "a rate"),
        ("1/cm2/s", "a flux"), ("erg s-1 cm-2 arcsec-2", "a flux"), ("e-", "not counts"),
        ("count s**(-1) pixel-1", "a rate"),
        ("count/s/arcmin**2", "a rate"), ("photon/cm**2/s", "a flux"),
        ("PHOTONS CM-2 SEC-1", "a flux"), ("erg/s/cm^2", "a flux"), ("ph/s/cm2/arcsec2", "a flux"),
        ("photon", "photons"), ("count/arcmin**2", "not counts"), ("count**2", "not counts"),
        ("adu", "not counts"), ("log(s)", "not counts"), ("Jy/beam", "not counts"),
    ],
)  # fmt: skip
def test_what_is_neither_counts_nor_an_exposure_is_refused(tmp_path, text, what):
    assert kind_of_map(parse_unit(text)).startswith(what)
    good = written(tmp_path / "n.fits", 2.0, "count", EXPOSURE=5e3)
    odd = written(tmp_path / "odd.fits", 2e-3, text, EXPOSURE=5e3)
    for options in ({}, {"exposure": good}):
        with pytest.raises(InputError, match="BUNIT is .*must hold counts"):
            js.read_image(odd, **options)
    with pytest.raises(InputError, match="not an exposure"):
        js.read_image(good, exposure=odd)
    with pytest.raises(InputError, match="not an exposure"):
        js.read_image(good, exposure=odd, exposure_time=False)
    for key in ("background", "rms"):
        with pytest.raises(InputError, match=f"the {key} must hold counts"):
            js.read_image(good, **{key: odd})
    assert js.read_image(odd, unit="count").counts[0, 0] == np.float32(2e-3)  # BUNIT is wrong


@pytest.mark.parametrize(
    "text", ["count", "Counts", "CTS/PIXEL", "events", "counts (0.5-2 keV)", "N/A", None]
)
def test_counts_are_counts(tmp_path, text):
    image = js.read_image(written(tmp_path / "n.fits", 3.0, text, EXPOSURE=5e3))
    assert (image.counts == 3).all() and not any("BUNIT" in note for note in image.diagnostics)
    assert (js.read_image(written(tmp_path / "k.fits", 3.0, "10**3 count", EXPOSURE=5e3)).counts
            == 3000).all()  # fmt: skip
    odd = js.read_image(written(tmp_path / "o.fits", 3.0, "FLOCKS", EXPOSURE=5e3))
    assert any("'FLOCKS'" in note for note in odd.diagnostics)
    for text in ("rate", "flux", "FLOCKS"):  # nobody knows what these are
        odd = written(tmp_path / "o.fits", 3.5, text, EXPOSURE=5e3)
        with pytest.raises(InputError, match=f"BUNIT is '{text}', which is not known"):
            js.read_image(odd)
        assert js.read_image(odd, unit="count").counts[0, 0] == 3.5


def test_the_user_says_a_unit_that_the_map_lacks(tmp_path):
    image = written(tmp_path / "n.fits", 3.0, EXPOSURE=5e3)
    bare = written(tmp_path / "e.fits", 2500.0)
    rate = written(tmp_path / "r.fits", 2500.0, "count/s")
    with pytest.raises(InputError, match="exposure_unit='s'"):  # 2500 may be seconds, or cm2
        js.read_image(image, exposure=bare)
    for given, factor, unit in (("s", 1, "s"), ("cm^2", 5e3, "cm2 s"), ("m2 s", 1e4, "cm2 s")):
        for path in (bare, rate):
            found = js.read_image(image, exposure=path, exposure_unit=given)
            assert found.exposure_unit == unit and (found.exposure == 2500 * factor).all()
    array = js.read_image(image, exposure=np.full(SHAPE, 2500.0), exposure_unit="s")
    assert array.exposure_unit == "s"
    with pytest.raises(InputError, match="exposure_unit: is 'parsnips'"):
        js.read_image(image, exposure=bare, exposure_unit="parsnips")
    with pytest.raises(InputError, match="'count', counts, and not an exposure"):
        js.read_image(image, exposure=bare, exposure_unit="count")
    found = js.read_image(image, exposure=written(tmp_path / "k.fits", 2.5, "ks"))
    assert (found.exposure == 2500).all() and found.exposure_unit == "s"
    assert "exposure map: multiplied by 1000 (s); BUNIT is 'ks'" in found.diagnostics


def test_a_time_is_not_multiplied_by_a_time(tmp_path):
    image = written(tmp_path / "n.fits", 3.0, EXPOSURE=5e3)
    for unit in ("s", "cm2 s"):
        seconds = written(tmp_path / "e.fits", 4000.0, unit)
        with pytest.raises(InputError, match="once more"):
            js.read_image(image, exposure=seconds, exposure_time=True)
    percent = written(tmp_path / "p.fits", 95.0)
    found = js.read_image(image, exposure=percent, exposure_time=True)
    assert found.exposure_unit == "" and (found.exposure == 95.0 * 5e3).all()


def test_an_unknown_unit_is_claimed_by_no_label():
    y, x = np.indices((30, 40))
    dark = np.zeros((30, 40), bool)
    exposure = np.full((30, 40), 2500.0)
    counts = np.random.default_rng(1).poisson(30 * np.exp(-np.hypot(x - 20, y - 15) / 4) + 1.0)
    wanted = {
        "": ("ct / (exposure pixel)", "ct / exposure", "ct exposure-1 pixel-1"),
        "s": ("ct / (s pixel)", "ct / s", "ct s-1 pixel-1"),
        "cm2 s": ("ct / (s cm2 pixel)", "ct / (s cm2)", "ct s-1 cm-2 pixel-1"),
    }
    for unit, (brightness, flux, profile) in wanted.items():
        image = js.Image("toy", counts.astype(float), exposure, dark, exposure_unit=unit)
        result = js.fit("beta", image)
        assert result.unit("S0") == brightness
        assert js.derived(result.model, result.params)["beta.flux"][1] == flux
        assert js.derived(result.model, result.params)["beta.log10_S0"][1] == f"dex({brightness})"
        radial = js.profile(image, center=(20, 15))
        assert radial.sb_unit == profile
        label = js.plot.profile(image, center=(20, 15)).axes[0].get_ylabel()
        assert label.startswith("Surface brightness"), label
        if unit == "":
            assert "[ct / (exposure pixel)]" in result.table["S0"].info.description
            assert result.table["S0"].unit is None and "exposure" in label
            assert js.fit("beta", radial).unit("S0") == brightness
    label = js.plot.profile(image, center=(20, 15), kind="counts").axes[0].get_ylabel()
    assert label.startswith("Counts")


def test_units_of_a_model_stay_with_its_copies_and_follow_the_next_image():
    """A posterior has a copy of the model, and said cm2 of every exposure."""
    flat = np.full((9, 12), 2500.0)
    image = js.Image("toy", flat / 500, flat, flat < 0, exposure_unit="s")
    model = suited(js.Model("beta"), image)
    for one in (model.copy(), model.at(model.values), suited(model, image)):
        assert one["S0"].unit == "ct / (s pixel)"
    for unit, wanted in (("cm2 s", "ct / (s cm2 pixel)"), ("", "ct / (exposure pixel)")):
        again = suited(model, image.replace(exposure_unit=unit))
        assert again["S0"].unit == again.copy()["S0"].unit == wanted


def test_what_was_guessed_of_an_image_reaches_its_result(tmp_path):
    image = written(tmp_path / "n.fits", 3.0, "FLOCKS", EXPOSURE=5e4)
    area = written(tmp_path / "e.fits", 400.0)  # no BUNIT: an area, by its numbers
    region = "physical; circle(99, 99, 3)"
    found = js.read_image(image, exposure=area, regions=region)
    said = " ".join(js.fit("background", found).notes)
    for words in ("multiplied by 50000 s (cm2 s); it peaks at 400", "'FLOCKS', no unit; taken",
                  "physical taken as image", "1 regions touch no pixel"):  # fmt: skip
        assert words in said
    sure = js.read_image(image, unit="count", exposure=area, exposure_unit="cm2")
    assert list(js.fit("background", sure).notes) == ["cstat: counts."]


def test_fractions_of_counts_are_said_in_the_result():
    dark = np.zeros((20, 20), bool)
    counts = np.random.default_rng(1).poisson(3.0, (20, 20)).astype(float)
    image = js.Image("toy", counts, np.full((20, 20), 10.0), dark, exposure_unit="s")
    assert "fractions" not in js.fit("const2d", image).summary()
    smooth = js.fit("const2d", image.replace(counts=counts / 4))
    assert "pixels hold fractions of counts" in smooth.summary()
