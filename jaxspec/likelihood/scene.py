"""From data and model to the scene of the compiled functions, and likelihoods of many draws."""

from __future__ import annotations

import jax
import numpy as np

from jaxspec.likelihood.pixels import (
    ImageObjective,
    Scene,
    constant_of,
    expected_of,
    pointwise_of,
    totals_of,
)
from jaxspec.model.image_plane import fine_pixels
from jaxspec.model.psf import convolution_grid
from jaxspec.reduce.merge import pad
from jaxspec.reduce.profile import RadialProfile

SMALL_CORE = 1.0  # pixels; a core below that is integrated over its pixels
CORES = ("rc", "sigma", "re")


def model_values(model, theta) -> np.ndarray:
    """All parameters (n_par,) with the links of the model applied; NumPy."""
    links = model.link_map()
    if not links.functions:
        return links.matrix @ np.asarray(theta) + links.offset
    copy = model.copy()
    for p, value in zip(copy.parameters, theta, strict=True):
        if p.link is None:
            p.value = np.clip(value, p.min, p.max)
    return copy.values


def centers_of(model, theta) -> list:
    """Centres [(x, y), ...] of all sources for one vector of parameters."""
    values = model_values(model, theta)
    at = {p.full_name: values[p.number - 1] for p in model.parameters}
    owners = [p.component for p in model.parameters if p.name == "x0"]
    return [(at[f"{owner}.x0"], at[f"{owner}.y0"]) for owner in owners]


def small_core(model, theta) -> bool:
    """Whether a core is smaller than a pixel, so that its pixels have to be integrated."""
    values = model_values(model, theta)
    lengths = [values[p.number - 1] for p in model.parameters if p.name in CORES]
    return bool(lengths) and min(lengths) <= SMALL_CORE


def fine_around(model, pixels, theta, integrate):
    """Pixels to integrate over: around cores that are smaller than a pixel, or as asked."""
    centers = centers_of(model, theta)
    if integrate is False or not centers or (integrate is None and not small_core(model, theta)):
        return None
    fine = fine_pixels(pixels, np.array(centers))
    return fine if len(fine.index) else None


def make_scene(model, data, theta, integrate=None) -> Scene:
    """Scene of an image or a profile at full resolution.

    Parameters
    ----------
    model : Model
    data : Image or RadialProfile
    theta : (n_par,), parameters near which the scene is used: they say where the sources are.
    integrate : bool, optional
        Whether pixels around the centres are integrated over; by default where a core is smaller
        than a pixel.
    """
    pixels = data.pixels
    psf = getattr(data, "psf", None)
    if psf is not None:
        grid, index = convolution_grid(psf, pixels)
        return Scene(pixels, fine_around(model, grid, theta, integrate), grid, index)
    padded = pad(pixels)
    if isinstance(data, RadialProfile):
        if data.nodes is None or integrate is False:
            return Scene(padded)
        more = ((0, len(padded.x) - len(pixels.x)), (0, 0))
        radii, weights = (np.pad(a, more, mode="edge") for a in data.nodes)
        return Scene(padded, radii=radii, weights=weights)
    return Scene(padded, fine_around(model, padded, theta, integrate))


def _prepared(model, data, params, integrate):
    stat = "cstat" if np.isnan(data.pixels.error).all() else "chi2"
    objective = ImageObjective(model.tree, stat, ())  # parameters come with links applied
    return objective, make_scene(model, data, params[0], integrate)


def log_likelihoods(model, data, params, integrate=None) -> np.ndarray:
    """Log-likelihood of all data, constants included.

    Parameters
    ----------
    model : Model
    data : Image or RadialProfile
    params : (n, n_par), all parameters of the model with links applied.
    integrate : bool, optional; see `make_scene`.

    Returns
    -------
    (n,)
    """
    params = np.atleast_2d(np.asarray(params, float))
    with jax.enable_x64(True):
        objective, scene = _prepared(model, data, params, integrate)
        totals = np.asarray(totals_of(objective, scene, params))
        return totals + float(constant_of(objective.stat, scene.pixels))


def pointwise_log_likelihood(model, data, params, integrate=None) -> np.ndarray:
    """Log-likelihood (n, n_pix) of every pixel in the order of ``data.pixels``, with constants."""
    params = np.atleast_2d(np.asarray(params, float))
    with jax.enable_x64(True):
        objective, scene = _prepared(model, data, params, integrate)
        terms = np.asarray(pointwise_of(objective, scene, params))
    return terms[:, : len(data.pixels.x)]


def predict(model, data, params, integrate=None) -> np.ndarray:
    """Expected counts (n_pix,) in the order of ``data.pixels``."""
    params = np.asarray(params, float)
    with jax.enable_x64(True):
        objective, scene = _prepared(model, data, params[None], integrate)
        return np.asarray(expected_of(objective, scene, params))[: len(data.pixels.x)]
