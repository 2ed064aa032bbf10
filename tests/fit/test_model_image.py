"""The model of an image as an array and as a file."""

import numpy as np
import pytest
from toy_images import TRUTHS, brightness, simulated

import jaxspec as js
from jaxspec.errors import InputError


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(2)
    plain = simulated(B=0.3)
    return plain.replace(background=rng.uniform(0, 0.05, plain.shape))


@pytest.fixture(scope="module")
def result(image):
    return js.fit("beta", image)


def expected(image, result):
    y, x = np.indices(image.shape).astype(float)
    p = {name: float(result.value(name)[0]) for name in (*TRUTHS["beta"], "scale")}
    sky = brightness("beta", x, y, p) * image.exposure
    return sky, p["B"] + p["scale"] * image.background


def test_the_model_is_that_of_every_pixel(image, result):
    sky, flat = expected(image, result)
    assert image.mask.any()
    np.testing.assert_allclose(result.image(), sky + flat, rtol=1e-10)
    np.testing.assert_allclose(result.image(kind="beta"), sky, rtol=1e-10)
    np.testing.assert_allclose(result.image(0, "background"), flat, rtol=1e-10)
    left = np.where(image.mask, 0.0, image.counts - sky - flat)
    np.testing.assert_allclose(result.image(kind="residuals"), left, rtol=1e-10, atol=1e-9)
    good = result.image()[image.good]
    np.testing.assert_allclose(good.sum(), image.counts[image.good].sum(), rtol=1e-4)


def test_it_is_written_and_read(tmp_path, image, result):
    made = result.model_image()
    assert made.exposure is image.exposure and "beta" in made.diagnostics[0]
    js.write_image(made, tmp_path / "model.fits.gz")
    again = js.read_image(tmp_path / "model.fits.gz", exposure_time=1.0)
    np.testing.assert_array_equal(again.counts, result.image())


def test_what_has_no_model_image_is_refused(result):
    with pytest.raises(InputError, match="use one of model, residuals, beta, background"):
        result.image(kind="beta_2")
    with pytest.raises(InputError, match="no row"):
        result.image(3)
