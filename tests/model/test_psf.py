"""The point spread function: kernels, resampling, convolution."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, signal
from scipy.special import ndtr

from jaxspec.errors import InputError
from jaxspec.model.image_plane import (
    components,
    expected_counts,
    expected_counts_psf,
    fine_pixels,
    surface,
)
from jaxspec.model.model import Model
from jaxspec.reduce.pixels import Pixels
from jaxspec.reduce.psf import Psf, convolution_grid, gaussian_psf, king_psf, read_psf

SIZE = 40


def frame(keep=None, exposure=1.0):
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    keep = np.ones((SIZE, SIZE), dtype=bool) if keep is None else keep
    x, y = x[keep], y[keep]
    one = np.ones(x.size)
    return Pixels(0 * one, x, y, exposure * one, 0 * one, one.copy(), np.nan * one)


@functools.partial(jax.jit, static_argnums=0)
def blurred(tree, grid, index, pixels, params, fine=None):
    return expected_counts_psf(tree, grid, index, pixels, params, fine)


def predict(model, psf, pixels):
    return np.array(blurred(model.tree, *convolution_grid(psf, pixels), pixels, model.values))


def model_of(text, **values):
    model = Model(text)
    for name, value in values.items():
        model[name].set(value)
    return model


def gaussian(x, y, x0, y0, flux, sigma):
    r2 = (x - x0) ** 2 + (y - y0) ** 2
    return flux * np.exp(-0.5 * r2 / sigma**2) / (2 * np.pi * sigma**2)


def in_pixels(x, y, x0, y0, flux, sigma):
    """The same, integrated over the pixels."""
    made = flux
    for offset in (x - x0, y - y0):
        made = made * (ndtr((offset + 0.5) / sigma) - ndtr((offset - 0.5) / sigma))
    return made


def test_equals_a_direct_convolution_also_under_masks_and_beyond_the_edge(rng):
    kernel = rng.uniform(0, 1, (7, 5))
    psf = Psf.from_image(kernel, center=(2, 3))
    model = model_of("beta+const2d", x0=1.0, y0=-2.0, S0=2.0, rc=3.0, C0=0.1, B=0.3)
    keep = rng.uniform(size=(SIZE, SIZE)) > 0.3
    pixels = frame(keep, exposure=0.7)
    y, x = np.mgrid[-3 : SIZE + 3, -2 : SIZE + 2].astype(float)
    sky = np.array(surface(model.tree, x, y, model.values))
    wide = signal.fftconvolve(sky, kernel / kernel.sum(), mode="valid")
    np.testing.assert_allclose(predict(model, psf, pixels), wide[keep] * 0.7 + 0.3, rtol=1e-12)


def test_light_is_conserved_and_stays_where_it_is():
    model = model_of("gauss2d", x0=19.3, y0=20.1, S0=2.0, sigma=2.0, B=0.0)
    off_centre = gaussian(*np.meshgrid(np.arange(16), np.arange(15)), 8.7, 6.6, 1.0, 1.2)
    pixels = frame()
    for psf in (gaussian_psf(fwhm=2.5), Psf.from_image(off_centre), king_psf(1.0, 2.0, 9)):
        counts = predict(model, psf, pixels)
        assert counts.sum() == pytest.approx(8 * np.pi * 2, rel=1e-4)
        assert counts @ pixels.x / counts.sum() == pytest.approx(19.3, abs=2e-3)
        assert counts @ pixels.y / counts.sum() == pytest.approx(20.1, abs=2e-3)


def test_a_gaussian_becomes_a_wider_one():
    model = model_of("gauss2d", x0=19.3, y0=20.1, S0=2.0, sigma=2.0, B=0.0)
    pixels = frame()
    wide = in_pixels(pixels.x, pixels.y, 19.3, 20.1, 16 * np.pi, np.hypot(2.0, 1.5))
    np.testing.assert_allclose(predict(model, gaussian_psf(sigma=1.5), pixels), wide, atol=1e-6)


@pytest.mark.parametrize(("x0", "y0"), [(19.37, 20.81), (-1.2, 39.6)])
def test_a_point_source_is_the_psf(x0, y0):
    model = model_of("point", x0=x0, y0=y0, flux=5.0, B=0.0)
    pixels = frame()
    expected = in_pixels(pixels.x, pixels.y, x0, y0, 5.0, 1.5)
    np.testing.assert_allclose(predict(model, gaussian_psf(sigma=1.5), pixels), expected, atol=2e-6)


@pytest.mark.parametrize("sigma", [0.2, 0.425, 0.6])
def test_a_point_under_a_narrow_psf_is_where_it_is(sigma):
    """Shared between four pixels it was off by 0.1 pixel: six of its errors at 5000 counts."""
    pixels, psf = frame(), gaussian_psf(sigma=sigma)
    grid, index = convolution_grid(psf, pixels)
    assert grid.sharp and grid.fine is not None
    for x0, y0 in ((19.37, 20.81), (20.0, 20.5), (0.3, 39.4)):
        model = model_of("point", x0=x0, y0=y0, flux=5.0, B=0.0)
        got = predict(model, psf, pixels)
        np.testing.assert_allclose(
            got, in_pixels(pixels.x, pixels.y, x0, y0, 5.0, sigma), atol=0.015
        )
    place = model["point.x0"].number - 1

    @jax.jit
    def light(v):
        params = jax.numpy.asarray(model.values).at[place].set(v)
        return expected_counts_psf(model.tree, grid, index, pixels, params)

    slope = jax.jvp(light, (20.3,), (1.0,))[1]
    step = 1e-5
    np.testing.assert_allclose(
        slope, (light(20.3 + step) - light(20.3 - step)) / (2 * step), atol=1e-6
    )


def test_a_point_far_outside_is_not_seen_and_none_wraps_around():
    pixels = frame()
    for x0, y0 in ((-300.0, 5.0), (-9.4, 5.0), (48.3, 5.0), (20.0, 49.0)):
        model = model_of("point", x0=x0, y0=y0, flux=5.0, B=0.0)
        assert predict(model, gaussian_psf(sigma=1.5), pixels).max() < 1e-6


@pytest.mark.parametrize("sigma", [0.1, 0.4, 0.8, 0.86, 1.0])
def test_a_narrow_psf_loses_no_light(sigma):
    for x0, y0 in ((19.5, 20.5), (19.0, 20.0), (19.2, 20.9)):
        model = model_of("point", x0=x0, y0=y0, flux=5.0, B=0.0)
        pixels = frame()
        counts = predict(model, gaussian_psf(sigma=sigma), pixels)
        assert counts.min() >= 0 and counts.sum() == pytest.approx(5.0, rel=2e-4)
        # the pixels of a source that is narrower than they are do not say where in them it is
        expected = in_pixels(pixels.x, pixels.y, x0, y0, 5.0, sigma)
        np.testing.assert_allclose(counts, expected, atol=0.03 if sigma < 0.4 else 1e-3)
        for axis, place in ((pixels.x, x0), (pixels.y, y0)):
            mean = expected @ axis / expected.sum()
            assert counts @ axis / counts.sum() == pytest.approx(mean, abs=0.005)
            assert sigma < 0.8 or mean == pytest.approx(place, abs=0.02)
        if sigma == 0.1 and x0 == 19.0:
            without = np.array(expected_counts(model.tree, pixels, model.values))
            np.testing.assert_allclose(counts, without, atol=1e-5)


@pytest.mark.parametrize("sigma, light", [(0.6, 1e-4), (0.9, 1e-4), (1.0, 1e-4), (1.3, 3e-4)])
def test_a_psf_known_in_pixels_loses_and_adds_no_light(sigma, light):
    """Ringing that was cut off at 0 added 2.6 % to the flux at 2.1 pixels FWHM."""
    pixels, side = frame(), np.arange(21.0)
    x, y = np.meshgrid(side, side)
    psf = Psf.from_image(in_pixels(x.ravel(), y.ravel(), 10.0, 10.0, 1.0, sigma).reshape(x.shape))
    model = model_of("point", x0=19.3, y0=20.7, flux=5.0, B=0.0)
    counts = predict(model, psf, pixels)
    assert counts.sum() == pytest.approx(5.0, rel=light)
    far = np.hypot(pixels.x - 19.3, pixels.y - 20.7) > 7 * max(sigma, 0.9)
    assert counts[far].sum() < 2e-3


def test_components_add_up_with_a_psf():
    model = model_of("beta+point", B=0.2, S0=2.0, flux=5.0)
    model["beta.x0"].set(12.0), model["beta.y0"].set(13.0), model["beta.rc"].set(2.0)
    model["point.x0"].set(30.0), model["point.y0"].set(8.4)
    pixels = frame(exposure=3.0)
    grid, index = convolution_grid(gaussian_psf(fwhm=3.0), pixels)
    parts = components(model.tree, pixels, model.values, grid=grid, index=index)
    whole = predict(model, gaussian_psf(fwhm=3.0), pixels)
    np.testing.assert_allclose(sum(parts.values()), whole, rtol=1e-10)
    assert float(parts["point"].sum()) == pytest.approx(15.0, rel=1e-4)


def test_a_small_core_is_integrated_before_the_convolution():
    model = model_of("beta", x0=19.3, y0=20.1, S0=2.0, rc=0.4, beta=1.2, B=0.0)
    pixels, psf = frame(), gaussian_psf(sigma=1.5)
    grid, index = convolution_grid(psf, pixels)
    fine = fine_pixels(grid, (19.3, 20.1))
    plain = expected_counts(model.tree, pixels, model.values, fine_pixels(pixels, (19.3, 20.1)))
    counts = blurred(model.tree, grid, index, pixels, model.values, fine)
    assert float(counts.sum()) == pytest.approx(float(plain.sum()), rel=1e-4)
    assert float(blurred(model.tree, grid, index, pixels, model.values).sum()) != pytest.approx(
        float(plain.sum()), rel=5e-3
    )


def test_gradient_is_that_of_finite_differences():
    model = model_of("beta+point", B=0.2, S0=2.0, flux=5.0)
    model["beta.x0"].set(12.0), model["beta.y0"].set(13.0), model["beta.rc"].set(2.0)
    model["point.x0"].set(30.2), model["point.y0"].set(8.4)
    pixels = frame(exposure=3.0)
    pixels.exposure[::5] = 0.0
    grid, index = convolution_grid(gaussian_psf(fwhm=3.0), pixels)
    weight = np.sin(np.arange(len(index)))

    def total(p):
        return weight @ expected_counts_psf(model.tree, grid, index, pixels, p)

    value, params = jax.jit(total), model.values
    gradient = jax.jit(jax.grad(total))(params)
    np.testing.assert_allclose(gradient, jax.jit(jax.jacfwd(total))(params), rtol=1e-9)
    for i in range(len(params)):
        move = np.eye(len(params))[i] * 1e-3
        near, wide = (value(params + k * move) - value(params - k * move) for k in (1, 2))
        slope = float(8 * near - wide) / 12e-3
        assert float(gradient[i]) == pytest.approx(slope, rel=1e-6, abs=1e-7)


def kernel_image(pixel, sigma=3.0, size=40.0, shift=0.0):
    """A Gaussian integrated over pixels of its own size, in units of image pixels."""
    from scipy.special import ndtr

    edges = np.arange(-size / 2, size / 2 + 1e-9, pixel) + shift
    one = np.diff(ndtr(edges / sigma))
    return one[:, None] * one[None, :]


@pytest.mark.parametrize(
    ("pixel", "error"), [(0.25, 1e-6), (0.4, 1e-5), (1.0, 5e-4), (1.6, 4e-3), (2.0, 1e-2)]
)
def test_coarse_and_fine_kernels_agree(pixel, error):
    psf = Psf.from_image(kernel_image(pixel), pixel_size=pixel, image_pixel_size=1.0)
    half = psf.sampled.shape[0] // 2
    direct = kernel_image(1.0, size=2 * half + 1.0)
    assert psf.sampled.sum() == pytest.approx(1.0, abs=1e-12)
    # an even number of pixels across, or coarse ones, have to be interpolated
    np.testing.assert_allclose(psf.sampled, direct, rtol=0, atol=error * direct.max())


def test_a_kernel_in_image_pixels_is_taken_as_it_is():
    odd = gaussian(*np.meshgrid(np.arange(9.0), np.arange(7.0)), 4.0, 3.0, 1.0, 1.0)
    sampled = Psf.from_image(odd).sampled
    np.testing.assert_allclose(sampled, odd / odd.sum(), rtol=1e-14)
    corner = np.zeros((4, 6))
    corner[1, 4] = 1.0
    assert np.argwhere(Psf.from_image(corner).sampled == 1.0).tolist() == [[2, 4]]
    even = Psf.from_image(np.ones((2, 2))).sampled
    np.testing.assert_allclose(even, np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]), atol=1e-12)


def test_the_centre_can_be_given():
    image = np.zeros((5, 5))
    image[2, 2], image[2, 3] = 3.0, 1.0
    for center, x in ((None, 2.25), ("array", 2.0), ((3, 2), 3.0)):
        psf = Psf.from_image(image, center=center)
        made = psf.sampled
        half = made.shape[1] // 2
        mean = made.sum(axis=0) @ np.arange(-half, half + 1)
        assert psf.center == (x, 2.0) and mean == pytest.approx(2.25 - x, abs=0.05)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.floats(0.2, 4.0),
    st.integers(0, 2**31 - 1),
)
def test_resampling_loses_nothing(ny, nx, scale, seed):
    image = np.random.default_rng(seed).uniform(0, 1, (ny, nx)) + 0.01
    psf = Psf.from_image(image, pixel_size=scale, image_pixel_size=1.0)
    made = psf.sampled
    assert made.min() >= 0 and made.sum() == pytest.approx(1.0, abs=1e-12)
    assert all(n % 2 for n in made.shape)
    twice = psf.rebinned(2.0)
    assert twice.scale == scale / 2 and twice.sampled.sum() == pytest.approx(1.0, abs=1e-12)


def test_makers():
    psf = gaussian_psf(fwhm=4.0)
    half = psf.sampled.shape[0] // 2
    x, y = np.meshgrid(np.arange(-half, half + 1.0), np.arange(-half, half + 1.0))
    expected = in_pixels(x, y, 0.0, 0.0, 1.0, 4.0 / np.sqrt(8 * np.log(2)))
    np.testing.assert_allclose(psf.sampled, expected, atol=1e-9)
    king = king_psf(2.0, 1.5, radius=30).sampled

    def light(x):
        return integrate.dblquad(
            lambda u, v: (1 + (u * u + v * v) / 4.0) ** -1.5, -0.5, 0.5, x - 0.5, x + 0.5
        )[0]

    assert king[30, 30] / king[30, 34] == pytest.approx(light(0) / light(4), rel=1e-6)
    assert king_psf(2.0, 1.01).sampled.shape == (257, 257)
    assert king_psf(2.0, 2.5).sampled.shape == (21, 21)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: gaussian_psf(), "either fwhm= or sigma="),
        (lambda: gaussian_psf(sigma=-1), "not a positive number"),
        (lambda: gaussian_psf(sigma=1e4), "reaches 60000 pixels"),
        (lambda: king_psf(1.0, 1.0), "alpha above 1"),
        (lambda: Psf.from_image(np.zeros((3, 3))), "no light"),
        (lambda: Psf.from_image([[1.0, np.nan]]), "NaN"),
        (lambda: Psf.from_image([[1.0, -0.1]]), "negative"),
        (lambda: Psf.from_image("kernel"), "not a 2-D array"),
        (lambda: Psf.from_image(np.ones(3)), "not a 2-D array"),
        (lambda: Psf.from_image(np.ones((3, 3)), pixel_size=1.0), "belong together"),
        (lambda: Psf.from_image(np.ones((3, 3)), center=(5, 1)), "not a place on the kernel"),
        (lambda: Psf.from_image(np.ones((3, 3)), center="middle"), "not a place on the kernel"),
        (
            lambda: convolution_grid(
                gaussian_psf(sigma=1.0), frame()._replace(x=np.full(1600, 0.5))
            ),
            "single pixels",
        ),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_read(tmp_path):
    from astropy.io import fits

    kernel = kernel_image(0.5)
    hdu = fits.PrimaryHDU(kernel)
    hdu.writeto(tmp_path / "plain.fits")
    hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CDELT1=-0.5 / 3600, CDELT2=0.5 / 3600)
    hdu.header.update(CRPIX1=1, CRPIX2=1, CRVAL1=10.0, CRVAL2=0.0)
    hdu.writeto(tmp_path / "sky.fits")
    psf = read_psf(tmp_path / "sky.fits", image_pixel_size=1.0)
    assert psf.scale == pytest.approx(0.5, rel=1e-6) and "sky.fits" in repr(psf)
    same = read_psf(tmp_path / "plain.fits", image_pixel_size=1.0, pixel_size=0.5)
    np.testing.assert_allclose(psf.sampled, same.sampled, atol=1e-7)
    assert read_psf(tmp_path / "plain.fits").scale == 1.0
    with pytest.raises(InputError, match="0.5 arcsec.*image_pixel_size"):
        read_psf(tmp_path / "sky.fits")
    with pytest.raises(InputError, match="give pixel_size"):
        read_psf(tmp_path / "plain.fits", image_pixel_size=1.0)
    hdu.header["CDELT1"] = -1.0 / 3600
    hdu.writeto(tmp_path / "wide.fits")
    with pytest.raises(InputError, match="not square: 1 by 0.5 arcsec.*square pixels first"):
        read_psf(tmp_path / "wide.fits", image_pixel_size=1.0)
    fits.PrimaryHDU(kernel - 1).writeto(tmp_path / "negative.fits")
    with pytest.raises(InputError, match="negative.fits"):
        read_psf(tmp_path / "negative.fits")


def test_a_slip_in_the_units_is_no_memory_error():
    kernel = np.ones((25, 25))
    with pytest.raises(InputError, match="would reach 4.5e.04 pixels"):
        Psf.from_image(kernel, pixel_size=3600.0, image_pixel_size=1.0)
    with pytest.raises(InputError, match="more than 2048"):
        _ = Psf(kernel, 200.0, (12.0, 12.0)).sampled
