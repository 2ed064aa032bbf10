"""What a user may do wrong with images, and what wide annuli and priors must not do."""

import jax.numpy as jnp
import numpy as np
import pytest
from toy_images import simulated, template

import jaxspec as js
from jaxspec.errors import InputError

FEW = {"draws": 50, "warmup": 30, "progress": False}
TRUTH = {"x0": 23.0, "y0": 24.0, "S0": 2e-5, "rc": 3.0, "beta": 0.65, "B": 0.2}


@pytest.fixture(scope="module")
def image():
    return simulated("beta")


def test_wide_annuli_do_not_bias():
    """Annuli wider than the core: the model has to be averaged over their pixels."""
    image = js.fake("beta", template(), params=TRUTH, seed=5)
    rules = [{}, {"bins": "linear", "width": 4.0}, {"min_counts": 400}]
    radial = [js.profile(image, center=(23.0, 24.0), **rule) for rule in rules]
    result = js.fit("beta", radial)
    for name in ("S0", "rc", "beta", "B"):
        pull = (result.value(name) - TRUTH[name]) / result.error(name)
        assert (abs(pull) < 3.5).all(), (name, pull)


def test_nodes_are_the_pixels():
    image = template()
    radial = js.profile(image, center=(23.0, 24.0), edges=[0.0, 1.5, 6.0, 20.0])
    radii, weights = radial.nodes
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    distance = np.hypot(image.pixels.x - 23.0, image.pixels.y - 24.0)
    for i, (low, high) in enumerate(zip(radial.r_lo, radial.r_hi, strict=True)):
        inside = (distance >= low) & (distance < high)
        mean = np.average(distance[inside], weights=image.pixels.exposure[inside])
        assert (radii[i] * weights[i]).sum() == pytest.approx(mean)


def test_units_follow_the_exposure(image):
    seconds = image.replace(exposure_unit="s")
    dark = seconds.replace(exposure=np.zeros(image.shape))  # nothing is fitted
    assert js.fit("beta", [dark, dark]).unit("S0") == "ct / (s pixel)"
    assert js.fit("beta", js.profile(seconds)).unit("S0") == "ct / (s pixel)"
    with pytest.raises(InputError, match="different units"):
        js.fit("beta", [image, seconds])


def test_swapped_maps_are_refused(tmp_path, image):
    ny, nx = image.shape
    exposure = np.where(np.arange(nx) < nx // 3, 0.0, image.exposure)
    js.write_image(image, tmp_path / "image.fits", exposure=tmp_path / "map.fits")
    counts = np.where(np.arange(nx) < nx // 3, 1000.0, 0.0) * np.ones((ny, 1))
    with pytest.raises(InputError, match="swapped"):
        js.read_image(_written(tmp_path, counts), exposure=exposure, exposure_time=False)
    with pytest.raises(InputError, match="read_psf"):
        js.read_image(tmp_path / "image.fits", psf="psf.fits")


def _written(folder, counts):
    from astropy.io import fits

    header = fits.Header({"EXPOSURE": 1000.0})
    fits.writeto(folder / "counts.fits", counts, header)
    return folder / "counts.fits"


@pytest.mark.parametrize("call", [js.fit, lambda *a: js.sample(*a, **FEW)], ids=["fit", "sample"])
def test_nothing_to_do(call, image):
    with pytest.raises(InputError, match="no counts"):
        call("beta", image.replace(counts=np.zeros(image.shape)))


def test_a_model_that_is_not_finite_is_not_sampled(image):
    def bad(x, y, a):
        return a * jnp.log(x - 1e4)

    bad = js.component(bad, kind="image", parameters={"a": (1e-6, 0.0, 1.0)})
    with pytest.raises(InputError, match="not finite"):
        js.sample(bad(), image, **FEW)


def test_simulated_sources_are_in_the_middle():
    image = js.fake("beta", template(), params={"S0": 1e-3, "rc": 1.0, "B": 0.0}, seed=1)
    ny, nx = image.shape
    x, y = image.pixels.x, image.pixels.y
    weights = image.pixels.counts
    assert np.average(x, weights=weights) == pytest.approx((nx - 1) / 2, abs=1.0)
    assert np.average(y, weights=weights) == pytest.approx((ny - 1) / 2, abs=1.0)
