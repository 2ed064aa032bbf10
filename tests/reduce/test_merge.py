"""Merged pixels: nothing is lost, squares stay small beside their distance, padding is empty."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_images import TRUTHS, expected, template

from jaxspec.likelihood.image import TINY
from jaxspec.likelihood.image_prepare import pixel_bins
from jaxspec.likelihood.statistics import STATISTICS
from jaxspec.reduce.merge import SIZES, merge, pad
from jaxspec.reduce.pixels import Pixels


@st.composite
def problems(draw):
    """Random pixels of an image with holes, centres, and a ratio."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    ny, nx = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    keep = rng.random(ny * nx) < draw(st.sampled_from([0.1, 0.8, 1.0]))
    keep[rng.integers(keep.size)] = True
    y, x = (v.ravel()[keep].astype(float) for v in np.indices((ny, nx)))
    n = len(x)
    exposure = rng.uniform(1.0, 3.0, n) * (rng.random(n) < draw(st.sampled_from([0.0, 0.7, 1.0])))
    area = rng.uniform(0.2, 1.0, n)
    flat = Pixels(rng.poisson(2.0, n) * 1.0, x, y, exposure, rng.random(n), area, rng.random(n))
    centers = rng.uniform(-10, 70, (draw(st.integers(1, 3)), 2))
    return flat, centers, draw(st.floats(0.02, 2.0))


@settings(max_examples=60, deadline=None)
@given(problems())
def test_sums_are_conserved_and_squares_are_small(problem):
    pixels, centers, ratio = problem
    merged = merge(pixels, centers, ratio)
    for name in ("counts", "exposure", "background", "area"):
        assert getattr(merged, name).sum() == pytest.approx(getattr(pixels, name).sum(), rel=1e-12)
    assert (merged.error**2).sum() == pytest.approx((pixels.error**2).sum())
    # how many pixels each square holds, from a second run with an area of 1 each
    n = merge(pixels._replace(area=np.ones(len(pixels.x))), centers, ratio).area
    distance = np.min([np.hypot(merged.x - x, merged.y - y) for x, y in centers], axis=0)
    many = n > 1
    assert np.all(np.sqrt(n[many]) <= ratio * distance[many])
    assert n.max() <= SIZES[-1] ** 2 and np.all(n >= 1)


@settings(max_examples=40, deadline=None)
@given(problems())
def test_a_linear_sky_is_kept_exactly(problem):
    pixels, centers, ratio = problem

    def sky(p):
        return 2.0 + 0.3 * p.x - 0.2 * p.y

    merged = merge(pixels._replace(counts=sky(pixels) * pixels.exposure), centers, ratio)
    np.testing.assert_allclose(sky(merged) * merged.exposure, merged.counts, atol=1e-9)
    low, high = pixels.x.min() - 1e-9, pixels.x.max() + 1e-9
    assert np.all((merged.x >= low) & (merged.x <= high))


def test_far_from_the_centre_pixels_are_merged_and_near_it_they_are_not():
    pixels = template((64, 64)).pixels
    merged = merge(pixels, [(20.0, 30.0)], 0.15)
    assert len(merged.x) < 0.6 * len(pixels.x)
    near = np.hypot(pixels.x - 20, pixels.y - 30) < 2 / 0.15
    assert np.sum(np.hypot(merged.x - 20, merged.y - 30) < 2 / 0.15) == near.sum()
    truth = TRUTHS["beta"] | {"x0": 20.0, "y0": 30.0}
    fine = merge(pixels._replace(counts=expected("beta", pixels, truth)), [(20.0, 30.0)], 0.15)
    np.testing.assert_allclose(expected("beta", fine, truth), fine.counts, rtol=0.02)
    two = merge(pixels, [(20.0, 30.0), (50.0, 50.0)], 0.15)
    assert len(two.x) > len(merged.x)


def test_counts_keep_no_error_of_their_own():
    merged = merge(template().pixels, [(0.0, 0.0)], 1.0)
    assert np.isnan(merged.error).all()


def test_a_square_without_exposure_lies_in_its_middle():
    y, x = (v.ravel() * 1.0 for v in np.indices((4, 4)))
    one = np.ones(16)
    dark = Pixels(one * 0, x, y, one * 0, one, one, one * np.nan)
    merged = merge(dark, [(-1000.0, -1000.0)], 0.004)
    assert merged.x.tolist() == [1.5] and merged.y.tolist() == [1.5]


@pytest.mark.parametrize("stat", ["cstat", "chi2"])
@pytest.mark.parametrize("n", [9, 1000])
def test_padding_adds_nothing(n, stat, rng):
    flat = Pixels(*(rng.uniform(0.5, 2.0, n) for _ in Pixels._fields))
    if stat == "cstat":
        flat = flat._replace(counts=np.floor(3 * flat.counts), error=np.full(n, np.nan))
    padded = pad(flat)
    assert len(padded.x) > n
    assert np.isnan(padded.error).all() == (stat == "cstat")

    entry = STATISTICS[stat]

    @jax.jit
    def sums(pixels, bins):
        # as in a term: slopes meet the derivative of mu, here by a common factor; empty
        # pixels add nothing even without the mask
        mu = 1.3 * pixels.exposure + 0.2 * pixels.area + pixels.background
        terms = entry.kernel(bins, mu, TINY)
        curved = [terms.curvature * mu**2, entry.observed(bins, mu, TINY) * mu**2]
        parts = [terms.value, terms.slope * mu, *curved, entry.constant(bins)]
        return [part.sum() for part in parts]

    found = sums(padded, pixel_bins(padded, stat))
    np.testing.assert_allclose(found, sums(flat, pixel_bins(flat, stat)), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 65, 100, 129, 1000, 2000, 5001])
def test_padding_appends(n, rng):
    flat = Pixels(*(rng.uniform(0.5, 2.0, n) for _ in Pixels._fields))
    padded = pad(flat)
    assert n <= len(padded.x) < max(n + 8, 1.125 * n)
    for a, b in zip(flat, padded, strict=True):
        np.testing.assert_array_equal(a, b[:n])
    assert len(pad(padded).x) == len(padded.x)


def test_images_share_few_lengths():
    lengths = {len(pad(Pixels(*(np.ones(n),) * 7)).x) for n in range(1000, 4000)}
    assert len(lengths) <= 18
