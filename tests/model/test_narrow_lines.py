"""Lines that the energy bins do not resolve: smooth, whole, at the right energy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from jaxspec.model.additive import gaussian

EQUAL = np.linspace(5.0, 8.0, 76)  # 40 eV, as the response of NuSTAR has
GROWING = np.geomspace(5.0, 8.0, 76)
STEPPED = np.concatenate([np.arange(100) * 0.01 + 5.5, 6.5 + 0.015 * np.arange(51)])
JUMPING = np.concatenate([np.arange(40) * 0.025 + 5.5, 6.5 + 0.5 * np.arange(6)])
GRIDS = {"equal": EQUAL, "growing": GROWING, "stepped": STEPPED, "jumping": JUMPING}
WIDTHS = [0.0, 1e-3, 1e-2]  # keV


@jax.jit
def _at(lo, hi, centres, sigma):
    def one(centre, width):
        return gaussian(lo, hi, centre, width)

    each = jax.vmap(one, (0, None))(centres, sigma)
    by_centre = jax.vmap(jax.jacfwd(one), (0, None))(centres, sigma)
    by_sigma = jax.vmap(jax.jacfwd(one, 1), (0, None))(centres, sigma)
    twice = jax.vmap(jax.jacfwd(jax.jacfwd(one)), (0, None))(centres, sigma)
    return each, by_centre, by_sigma, twice


def line(edges, centres, sigma):
    """Photons per bin, slopes by LineE and Sigma, second slope by LineE, for many centres."""
    lo, hi, at = (jnp.asarray(x) for x in (edges[:-1], edges[1:], centres))
    return tuple(np.asarray(x) for x in _at(lo, hi, at, sigma))


def across(edges):
    """Centres from 6.45 to 6.55 keV: some equal bins, or over the steps of the stepped grids."""
    return np.linspace(6.45, 6.55, 201)


@pytest.mark.parametrize("sigma", WIDTHS)
@pytest.mark.parametrize("grid", GRIDS)
def test_no_photon_is_lost_and_none_is_negative(grid, sigma):
    value = line(GRIDS[grid], across(grid), sigma)[0]
    assert value.min() >= 0
    np.testing.assert_allclose(value.sum(1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("sigma", WIDTHS)
@pytest.mark.parametrize(("grid", "off"), [("equal", 0.003), ("growing", 0.01), ("stepped", 0.09)])
def test_mean_energy_of_the_bins_follows_the_line(grid, off, sigma):
    """To ``off`` bins, and its slope is 1; a line in one bin is off by half a bin, slope 0."""
    edges, centres = GRIDS[grid], across(grid)
    value, by_centre, _, _ = line(edges, centres, sigma)
    middle = 0.5 * (edges[:-1] + edges[1:])
    width = np.diff(edges)[np.searchsorted(edges, centres) - 1]
    assert np.abs((value @ middle - centres) / width).max() < off
    slope = by_centre @ middle
    assert 0.85 < slope.min() and slope.max() < 1.15


@pytest.mark.parametrize("sigma", WIDTHS)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_thousandth_of_a_bin_moves_little(grid, sigma):
    """The model is continuous, and its slope is that of finite differences, at bin edges too."""
    edges = GRIDS[grid]
    step = 1e-3 * np.diff(edges).min()
    at = [6.5, *edges[np.abs(edges - 6.5) < 0.06][:3], *across(grid)[::40]]
    centres = np.array([c + d * step for c in at for d in (-1, 0, 1)])
    value, by_centre, _, _ = line(edges, centres, sigma)
    low, here, high = value[0::3], value[1::3], value[2::3]
    assert np.abs(high - here).max() < 3e-3
    scale = np.abs(by_centre).max()
    np.testing.assert_allclose((high - low) / (2 * step), by_centre[1::3], atol=0.02 * scale)


@pytest.mark.parametrize("grid", GRIDS)
def test_slopes_are_finite_and_there(grid):
    for sigma in (0.0, 1e-9, 1e-7, 1e-4, 1e-2):
        value, by_centre, by_sigma, twice = line(GRIDS[grid], across(grid), sigma)
        for x in (value, by_centre, by_sigma, twice):
            assert np.all(np.isfinite(x))
        assert np.all(np.abs(by_centre).max(1) > 0.2)
        if sigma > 1e-8:  # the line is even in Sigma: no slope at 0
            assert np.all(np.abs(by_sigma).max(1) > 0)


def test_widths_add_up_below_the_bin_too():
    """d variance / d Sigma^2 is 1 for a line that folds right; not less than 3/4 here."""
    middle = 0.5 * (EQUAL[:-1] + EQUAL[1:])
    for ratio in (0.1, 0.3, 0.6, 1.0, 1.3, 2.0):
        sigma = ratio * 0.04
        value, _, by_sigma, _ = line(EQUAL, across("equal"), sigma)
        away = (middle - (value @ middle)[:, None]) ** 2
        slope = (by_sigma * away).sum(1) / (2 * sigma)
        assert 0.75 < slope.min() and slope.max() < 1.25
        assert np.all((value * away).sum(1) < sigma**2 + 0.35 * 0.04**2)


def test_resolved_lines_are_the_integral():
    for ratio in (2.1, 3.0, 10.0):
        sigma = ratio * 0.04
        value = line(EQUAL, np.array([6.513]), sigma)[0][0]
        np.testing.assert_allclose(value, np.diff(norm.cdf(EQUAL, 6.513, sigma)), atol=2e-8)


def test_at_the_ends_of_the_grid_a_line_is_inside_or_outside():
    edges = np.array([6.0, 6.2, 6.4, 6.6])
    centres = np.array([5.9, 5.9999, 6.0001, 6.05, 6.55, 6.5999, 6.6001, 7.0])
    inside = [0, 0, 1, 1, 1, 1, 0, 0]
    for sigma in (0.0, 1e-6):
        total = line(edges, centres, sigma)[0].sum(1)
        np.testing.assert_allclose(total, inside, atol=1e-10)
    wide = line(edges, np.array([6.6]), 0.5)[0].sum()
    np.testing.assert_allclose(wide, 0.5 - norm.cdf(-1.2), rtol=1e-3)


@pytest.mark.parametrize("sigma", WIDTHS)
def test_folded_line_moves_its_counts(sigma):
    """Through a Gaussian redistribution of 3 bins, counts and their slope are those of the line."""
    resolution, channels = 0.12, np.linspace(5.2, 7.8, 105)
    middle = 0.5 * (EQUAL[:-1] + EQUAL[1:])
    matrix = np.diff(norm.cdf(channels[None], middle[:, None], resolution), axis=1)
    centres = across("equal")
    value, by_centre, _, _ = line(EQUAL, centres, sigma)
    width = np.hypot(resolution, sigma)
    true = np.diff(norm.cdf(channels[None], centres[:, None], width), axis=1)
    slope = -np.diff(norm.pdf(channels[None], centres[:, None], width), axis=1)
    assert np.abs(value @ matrix - true).max() < 0.025 * true.max()
    assert np.abs(by_centre @ matrix - slope).max() < 0.07 * slope.max()
