"""Posteriors that are known exactly: Poisson counts of one rate, or of two terms."""

import numpy as np
from scipy.special import gammaln

import jaxspec as js
from jaxspec.reduce.image import Image
from jaxspec.sample.posterior import Posterior, columns


def toy_image(name="toy", seed=3, slope=0.0, shape=(8, 9)):
    """Counts of about 4 in each pixel, the exposure rising to the right; one corner is masked."""
    exposure = np.broadcast_to(np.linspace(1.0, 3.0, shape[1]), shape).copy()
    counts = np.random.default_rng(seed).poisson(4.0 + slope * (exposure - 2.0)).astype(float)
    mask = np.zeros(shape, dtype=bool)
    mask[0, :3] = True
    return Image(name, counts, exposure, mask, exposure_unit="s")


def toy_pointwise(model, data, params):
    """ln L (n, n_pix) of C0 * exposure + B, with its constant: NumPy, to check the library by."""
    pixels = data.pixels
    mu = params[:, [model["B"].number - 1]] * pixels.area[None]
    if "const2d" in model.expression:
        mu = mu + params[:, [model["C0"].number - 1]] * pixels.exposure[None]
    return pixels.counts * np.log(mu) - mu - gammaln(pixels.counts + 1)[None]


def make_posterior(model, data, full, **changes):
    """Posterior of draws ``full`` (n_chain, n_draw, n_model_par)."""
    likelihood = toy_pointwise(model, data, full.reshape(-1, full.shape[2])).sum(axis=1)
    known = {
        "log_likelihood": likelihood.reshape(full.shape[:2]),
        "log_constant": -gammaln(data.pixels.counts + 1).sum(),
    }
    return drawn_posterior(model, data, full, **known | changes)


def drawn_posterior(model, data, full, **changes):
    """Posterior of any data; ``changes`` hold at least its log_likelihood and log_constant."""
    places, names, units = columns(model)
    shape = full.shape[:2]
    given = {
        "model": model,
        "data": data,
        "names": names,
        "units": units,
        "chains": full[..., places],
        "full": full,
        "log_prior": np.zeros(shape),
        "diverging": np.zeros(shape, dtype=bool),
        "accepted": np.ones(shape, dtype=bool),
        "steps": np.full(shape, 7),
        "best": full[..., places].mean(axis=(0, 1)),
        "settings": {"seed": 1, "seconds": {"compile": 1.5, "draws": 0.5}},
    }
    return Posterior(**given | changes)


def flat_posterior(data, n_chain=4, n_draw=1000, seed=5, **changes):
    """One rate for all pixels, even prior: independent draws of a Gamma distribution."""
    model = js.Model("background")
    pixels, rng = data.pixels, np.random.default_rng(seed)
    full = np.ones((n_chain, n_draw, len(model)))
    rate = rng.gamma(pixels.counts.sum() + 1, 1 / pixels.area.sum(), size=(n_chain, n_draw))
    full[..., model["B"].number - 1] = rate
    return make_posterior(model, data, full, **changes)


def tilted_posterior(data, n_chain=4, n_draw=1000, seed=6, **changes):
    """C0 * exposure + B: draws around the least-squares solution, near enough to be compared."""
    model = js.Model("const2d")
    pixels, rng = data.pixels, np.random.default_rng(seed)
    design = np.stack([pixels.exposure, pixels.area], axis=1)
    weight = 1 / np.full(len(pixels.counts), pixels.counts.mean())
    covariance = np.linalg.inv(design.T @ (design * weight[:, None]))
    center = covariance @ (design.T @ (weight * pixels.counts))
    full = np.ones((n_chain, n_draw, len(model)))
    pair = [model["C0"].number - 1, model["B"].number - 1]
    full[..., pair] = rng.multivariate_normal(center, covariance, size=(n_chain, n_draw))
    return make_posterior(model, data, full, **changes)
