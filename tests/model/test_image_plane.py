"""Expected counts of an image model without a PSF."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from jaxspec.errors import InputError
from jaxspec.model.image_plane import components, expected_counts, fine_pixels, surface
from jaxspec.model.model import Model
from jaxspec.reduce.pixels import Pixels


def frame(n, **changes):
    y, x = (v.ravel() for v in np.mgrid[:n, :n].astype(float))
    one = np.ones(n * n)
    made = Pixels(0 * one, x, y, one, 0 * one, one.copy(), np.nan * one)
    return made._replace(**changes)


@functools.partial(jax.jit, static_argnums=0)
def predict(tree, pixels, params, fine=None):
    return expected_counts(tree, pixels, params, fine)


def beta_model(rc=4.3, x0=12.3, y0=11.8):
    model = Model("beta")
    for name, value in (("x0", x0), ("y0", y0), ("S0", 2.0), ("rc", rc), ("beta", 0.8)):
        model[name].set(value)
    model["B"].set(0.3)
    return model


def test_the_pieces(rng):
    pixels = frame(24)
    exposure, known = rng.uniform(0, 2, 576), rng.uniform(0, 1, 576)
    exposure[:30] = 0.0
    pixels = pixels._replace(exposure=exposure, background=known, area=np.full(576, 2.0))
    model = beta_model()
    model["scale"].set(1.5)
    params = model.values
    counts = predict(model.tree, pixels, params)
    sky = surface(model.tree, pixels.x, pixels.y, params)
    np.testing.assert_allclose(counts, sky * exposure + 0.3 * 2 + 1.5 * known, rtol=1e-13)
    parts = components(model.tree, pixels, params)
    assert list(parts) == ["beta", "background"]
    np.testing.assert_allclose(sum(parts.values()), counts, rtol=1e-13)
    np.testing.assert_array_equal(counts[:30], parts["background"][:30])


def test_linear_in_brightness_and_background():
    pixels, model = frame(24, exposure=np.linspace(0, 1, 576)), beta_model()

    def at(s0, b):
        model["S0"].set(s0)
        model["B"].set(b)
        return predict(model.tree, pixels, model.values)

    none = at(0.0, 0.0)
    assert np.all(none == 0)
    np.testing.assert_allclose(at(3.0, 0.5), 3 * at(1.0, 0.0) + 0.5 * at(0.0, 1.0), rtol=1e-13)


def test_gradient_with_zero_exposure():
    pixels, model = frame(24), beta_model(x0=12.0, y0=11.0)  # a pixel at r = 0
    pixels.exposure[::3] = 0.0
    params = model.values
    jac = jax.jit(jax.jacfwd(lambda p: expected_counts(model.tree, pixels, p)))(params)
    back = jax.jit(jax.jacrev(lambda p: expected_counts(model.tree, pixels, p)))(params)
    np.testing.assert_allclose(jac, back, rtol=1e-11, atol=1e-15)
    assert np.all(np.isfinite(jac))
    assert np.all(jac[::3, :5] == 0) and np.all(jac[:, 5] == 1)
    for i in range(6):
        move = np.eye(7)[i] * 1e-4
        near, wide = (
            predict(model.tree, pixels, params + k * move)
            - predict(model.tree, pixels, params - k * move)
            for k in (1, 2)
        )
        slope = (8 * near - wide) / 12e-4
        np.testing.assert_allclose(jac[:, i], slope, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(("x0", "y0"), [(12.0, 11.0), (12.5, 11.5), (12.31, 10.86)])
def test_a_small_core_is_integrated(x0, y0):
    model = beta_model(0.4, x0, y0)
    model["B"].set(0.0)
    pixels = frame(24)
    fine = fine_pixels(pixels, (x0, y0))

    def sky(y, x):
        return 2.0 * (1 + ((x - x0) ** 2 + (y - y0) ** 2) / 0.16) ** -1.9

    total = integrate.dblquad(sky, -0.5, 23.5, -0.5, 23.5, epsrel=1e-7)[0]
    found = predict(model.tree, pixels, model.values, fine)
    assert float(found.sum()) == pytest.approx(total, rel=1e-3)
    coarse = predict(model.tree, pixels, model.values)
    assert abs(float(coarse.sum()) / total - 1) > 0.01
    middle = int(np.argmax(found))
    px, py = pixels.x[middle], pixels.y[middle]
    one = integrate.dblquad(sky, px - 0.5, px + 0.5, py - 0.5, py + 0.5, epsrel=1e-8)[0]
    assert float(found[middle]) == pytest.approx(one, rel=1e-3)
    far = np.setdiff1d(np.arange(576), fine.index)
    np.testing.assert_allclose(found[far], coarse[far], rtol=1e-14)
    parts = components(model.tree, pixels, model.values, fine)
    np.testing.assert_allclose(parts["beta"], found, rtol=1e-13)


def test_a_wide_core_needs_no_integration():
    model, pixels = beta_model(), frame(24)
    fine = fine_pixels(pixels, [(12.3, 11.8)])
    with_it = predict(model.tree, pixels, model.values, fine)
    without = predict(model.tree, pixels, model.values)
    np.testing.assert_allclose(with_it, without, rtol=0.02)
    assert np.any(with_it != without)


def test_fine_pixels_are_single_ones_near_the_centres():
    pixels = frame(24)
    pixels.area[24 * 5 + 5] = 4.0
    fine = fine_pixels(pixels, [(5, 5), (0, 0)], radius=1.1, order=3)
    assert fine.index.tolist() == [0, 1, 24, 101, 124, 126, 149]
    assert fine.weight.sum() == pytest.approx(1.0) and len(fine.x) == 9
    assert len(fine_pixels(pixels, (-50, -50)).index) == 0
    model = beta_model()
    nothing = fine_pixels(pixels, (-50, -50))
    np.testing.assert_array_equal(
        expected_counts(model.tree, pixels, jnp.asarray(model.values), nothing),
        expected_counts(model.tree, pixels, jnp.asarray(model.values)),
    )
    for arguments in (((1, 2, 3),), ([(1, np.nan)],), ((1, 2), -1.0), ((1, 2), 3.0, 0)):
        with pytest.raises(InputError):
            fine_pixels(pixels, *arguments)


def test_a_spectral_model_has_no_surface():
    with pytest.raises(InputError, match="model of a spectrum"):
        expected_counts(Model("po").tree, frame(3), np.ones(2))


def test_equal_trees_compile_once():
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def counted(tree, pixels, params):
        traces.append(tree)
        return expected_counts(tree, pixels, params)

    for b in (0.1, 0.2):
        model = beta_model()
        model["B"].freeze(b)
        counted(model.tree, frame(4), model.values)
    assert len(traces) == 1
