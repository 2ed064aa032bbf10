"""Simulated images: the numbers follow the model and the template."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxspec as js
from jaxspec import InputError
from jaxspec.demo import cluster
from jaxspec.estimate.simulate import fake
from jaxspec.read.write_image import write_image

VALUES = {"x0": 9.0, "y0": 11.0, "S0": 2e-4, "rc": 3.0, "beta": 0.7, "B": 0.3}


def template(shape=(20, 18), **changes):
    """Exposure that rises to the right; the first column is not exposed, the first row masked."""
    exposure = np.broadcast_to(np.linspace(0.0, 5e4, shape[1]), shape).copy()
    mask = exposure == 0
    mask[0] = True
    header = {"TELESCOP": "TOY"}
    image = js.Image("toy", np.full(shape, 7.0), exposure, mask, header=header, exposure_time=25.0)
    return image.replace(exposure_unit="cm2 s", **changes)


def beta_counts(image, S0=2e-4, rc=3.0, beta=0.7, B=0.3):
    y, x = np.indices(image.shape)
    r2 = (x - 9.0) ** 2 + (y - 11.0) ** 2
    sky = S0 * (1 + r2 / rc**2) ** (0.5 - 3 * beta)
    return np.where(image.exposure > 0, sky * image.exposure + B, 0.0)


def test_counts_are_poisson_around_the_model():
    n, image = 600, template()
    made = fake("beta", image, params=VALUES | {"S0": np.full(n, 2e-4)}, seed=3)
    counts = np.array([i.counts for i in made])
    mean = beta_counts(image)
    assert np.all(counts[:, :, 0] == 0) and np.all(counts == np.round(counts))
    lit = mean > 0
    pull = (counts.mean(axis=0) - mean)[lit] / np.sqrt(mean[lit] / n)
    assert np.abs(pull).max() < 4.5
    ratio = counts.var(axis=0)[lit] / mean[lit]
    assert abs(ratio.mean() - 1) < 0.02
    assert counts[:, 0, 1:].sum() > 0  # masked pixels have counts too


def test_one_and_many_and_names():
    image = template()
    one = fake("beta", image, params=VALUES, seed=1, name="mine")
    assert isinstance(one, js.Image) and one.name == "mine" and one.path == ""
    for field in ("exposure", "mask", "header", "wcs", "exposure_time", "exposure_unit"):
        assert getattr(one, field) is getattr(image, field)
    assert "rc=3" in one.diagnostics[0] and image.counts[3, 3] == 7.0
    many = fake("beta", image, params=VALUES | {"rc": [2.0, 4.0]}, seed=1)
    assert [i.name for i in many] == ["fake_1", "fake_2"]
    assert "rc=4" in many[1].diagnostics[0]
    assert len(fake("beta", image, params=VALUES | {"rc": [2.0]})) == 1


def test_seed_decides():
    a, b, c = (fake("beta", template(), params=VALUES, seed=seed).counts for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert np.any(a != c)


def test_background_map_without_exposure_gives_counts():
    background = np.zeros((20, 18))
    background[:, 0] = 50.0
    image = template(background=background)
    counts = fake("beta", image, params=VALUES | {"scale": 2.0}, seed=2).counts
    assert abs(counts[:, 0].mean() - 100.3) < 4 * np.sqrt(100 / 20)


def test_errors_of_the_template_give_gaussian_numbers():
    image = template(rms=np.full((20, 18), 0.5))
    counts = fake("beta", image, params=VALUES, seed=2).counts
    pull = (counts - beta_counts(image)) / 0.5
    assert abs(pull.std() - 1) < 0.15 and abs(pull.mean()) < 0.2


def test_psf_of_the_template_is_used():
    values = {"x0": 9.0, "y0": 11.0, "flux": 1.0, "B": 0.0}
    image = template(exposure=np.full((20, 18), 1e4), psf=js.gaussian_psf(sigma=2.0))
    seen = fake("point", image, params=values, seed=1).counts
    y, x = np.indices(image.shape)
    spread = np.sqrt((seen * ((x - 9) ** 2 + (y - 11) ** 2)).sum() / seen.sum() / 2)
    assert abs(spread - 2.0) < 0.1
    assert fake("point", image.replace(psf=None), params=values, seed=1).counts[11, 9] > 9000


def test_links_and_values_of_the_model_hold():
    model = js.Model("beta")
    for name, value in VALUES.items():
        model[name].set(value)
    model["rc"].link_to("beta.x0 / 3")
    image = template()
    np.testing.assert_array_equal(
        fake(model, image, seed=5).counts, fake("beta", image, params=VALUES, seed=5).counts
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"exposure": 3.0}, "exposure: is for spectra"),
        ({"background": template()}, "background: is for spectra"),
        ({"backscal": 2.0}, "backscal: is for spectra"),
        ({"model": "powerlaw"}, "model of a spectrum"),
        ({"params": {"rc": [1.0, np.nan]}}, "rc"),
        ({"params": {"rc": [1.0, 2.0], "B": [0.1, 0.1, 0.1]}}, "lengths"),
        ({"params": {"Rc2": 1.0}}, "no parameter"),
        ({"params": VALUES | {"S0": -1.0}}, "the model is -"),
        ({"params": VALUES | {"S0": 1e14}}, "counts are expected"),
    ],
)
def test_bad_input(change, match):
    with pytest.raises(InputError, match=match):
        fake(**({"model": "beta", "response": template()} | change))


def test_spectra_still_need_an_exposure():
    with pytest.raises(InputError, match="response: is None; give a Response"):
        fake("powerlaw", None)


# ---------------------------------------------------------------------------- files


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    whole=st.booleans(),
    gzipped=st.booleans(),
    unit=st.sampled_from(["cm2 s", "s"]),
)
def test_what_is_written_reads_back_equal(tmp_path_factory, shape, whole, gzipped, unit):
    folder, rng = tmp_path_factory.mktemp("write"), np.random.default_rng(sum(shape))
    counts = rng.poisson(3.0, shape) + (0.0 if whole else 0.25)
    mask = np.zeros(shape, bool)
    mask[0, 1:] = True
    image = template(shape, counts=counts, exposure=rng.uniform(1e4, 2e4, shape), mask=mask)
    image = image.replace(
        wcs=cluster._sky(shape[0]), background=rng.uniform(0, 1, shape), exposure_unit=unit
    )
    end = ".fits.gz" if gzipped else ".fits"
    paths = {key: folder / f"{key}{end}" for key in ("exposure", "background", "mask")}
    write_image(image, folder / f"counts{end}", **paths)
    again = js.read_image(folder / f"counts{end}", **paths)
    for field in ("counts", "exposure", "background", "mask"):
        np.testing.assert_array_equal(getattr(again, field), getattr(image, field))
    assert again.exposure_unit == unit and again.exposure_time == 25.0
    assert again.header["TELESCOP"] == "TOY"
    assert again.sky(1, 2).separation(image.sky(1, 2)).arcsec < 1e-6


def test_a_rebinned_image_reads_back_with_its_areas(tmp_path):
    image = template((10, 13), counts=np.ones((10, 13))).rebin(3)
    assert 0 < (image.area[image.good] < 1).sum() < image.good.sum()
    names = {key: tmp_path / f"{key}.fits" for key in ("exposure", "mask")}
    with pytest.raises(InputError, match="good only in part.*give area="):
        write_image(image, tmp_path / "n.fits", **names)
    write_image(image, tmp_path / "model.fits")  # the counts alone are what they are
    names["area"] = tmp_path / "area.fits"
    write_image(image, tmp_path / "n.fits", **names)
    again = js.read_image(tmp_path / "n.fits", **names)
    np.testing.assert_array_equal(again.pixels.area, image.pixels.area)
    np.testing.assert_array_equal(again.mask, image.mask)
    for odd in (np.zeros_like(image.area), 2 * np.ones_like(image.area), image.area * np.nan):
        with pytest.raises(InputError, match="the area of .* above 0 and at most 1"):
            js.read_image(tmp_path / "n.fits", **(names | {"area": odd}))


def test_an_exposure_of_unknown_unit_reads_back_as_it_is(tmp_path):
    """By its peak it would be taken for an area, and multiplied by EXPOSURE."""
    image = template().replace(exposure_unit="", exposure_time=1e5)
    image = image.replace(exposure=image.exposure * (2500 / image.exposure.max()))
    write_image(image, tmp_path / "n.fits", exposure=tmp_path / "e.fits")
    again = js.read_image(tmp_path / "n.fits", exposure=tmp_path / "e.fits")
    np.testing.assert_array_equal(again.exposure, image.exposure)
    assert again.exposure_unit == "" and again.exposure_time == 1e5
    told = js.read_image(tmp_path / "n.fits", exposure=tmp_path / "e.fits", exposure_unit="s")
    assert told.exposure_unit == "s"


def test_whole_counts_are_integers_in_the_file(tmp_path):
    from astropy.io import fits

    write_image(template(), tmp_path / "a.fits", exposure=tmp_path / "e.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        assert hdus[0].data.dtype.kind == "i" and hdus[0].header["BUNIT"] == "count"
    with fits.open(tmp_path / "e.fits") as hdus:
        assert hdus[0].header["BUNIT"] == "cm2 s"


def test_writing_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(InputError, match="has no rms map"):
        write_image(template(), tmp_path / "a.fits", rms=tmp_path / "r.fits")
    with pytest.raises(InputError, match="is given for two maps"):
        write_image(template(), tmp_path / "a.fits", exposure=tmp_path / "a.fits")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="folder does not exist"):
        write_image(template(), tmp_path / "nowhere" / "a.fits")


def test_an_exposure_map_that_was_read_is_not_overwritten(tmp_path):
    """The simulated image is made from the observer's map, and must not be written over it."""
    observed, exposure = tmp_path / "image.fits", tmp_path / "expmap.fits"
    write_image(template(), observed, exposure=exposure)
    before = exposure.read_bytes()
    with pytest.raises(InputError, match="expmap.fits: the file exists already"):
        write_image(template(), tmp_path / "fake.fits", exposure=exposure)
    assert exposure.read_bytes() == before and not (tmp_path / "fake.fits").exists()
    write_image(template().replace(exposure_unit=""), observed, exposure=exposure, overwrite=True)
    assert exposure.read_bytes() != before
