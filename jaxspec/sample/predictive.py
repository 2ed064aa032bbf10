"""What a posterior predicts for a radial profile of its data, and how often that is as far off."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxspec._ask import generator
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import AT_ONCE, kind_of, predict
from jaxspec.likelihood.image import TINY
from jaxspec.likelihood.image_prepare import centers_of
from jaxspec.reduce.profile import RadialProfile
from jaxspec.reduce.profile import profile as sum_in_annuli

DRAWS = 200  # of the posterior, evenly thinned
REPLICATES = 10  # data sets made from each draw, for smooth quantiles
FEW = 0.005  # of the replicated data; p below it, or above 1 - FEW, is said in words


class Rings(NamedTuple):
    """Annuli, and the one of each pixel (n_pix,), -1 outside; None if bins are annuli."""

    profile: RadialProfile
    index: np.ndarray | None

    def total(self, values):
        """Sum of values of the pixels (n_pix,) over each annulus."""
        if self.index is None:
            return np.asarray(values)
        inside = self.index >= 0
        return np.bincount(self.index[inside], np.asarray(values)[inside], len(self.profile))


def rings_of(data, model, params, center=None, bins="log", n_bins=32, options=None) -> Rings:
    """Annuli of an image, by default around the model's first source; those of a profile."""
    if not kind_of(data).has_pixels:
        return Rings(data, None)
    if center is None and model is not None:
        center = next(iter(centers_of(model, params)), None)
    found = sum_in_annuli(data, center, bins, n_bins=n_bins, **(options or {}))
    x, y = found.center
    distance = np.hypot(data.pixels.x - x, data.pixels.y - y)
    index = np.searchsorted(found.r_lo, distance, side="right") - 1
    return Rings(found, np.where(distance < found.r_hi[index], index, -1))


class Replicas(NamedTuple):
    """Of each draw: expected counts (n_draw, n), data made from them, and how often those are off.

    ``p_value``: how often chi2 of the replicated data is at least that of the data.
    """

    means: np.ndarray
    data: np.ndarray
    p_value: float


def replicas(posterior, rings, n=DRAWS, seed=0) -> Replicas:
    """Data in annuli that draws of a posterior predict: Poisson, or Gaussian with errors."""
    data, integrate = posterior.data, posterior.settings.get("integrate")
    draws = posterior.full.reshape(len(posterior), -1)
    draws = draws[np.linspace(0, len(draws) - 1, min(int(n), len(draws))).round().astype(int)]
    each, means = max(1, AT_ONCE // len(data.pixels.counts)), []
    for i in range(0, len(draws), each):
        expected = predict(posterior.model, data, draws[i : i + each], integrate)
        means += [rings.total(mean) for mean in expected]
    means = np.array(means)
    rng, error = generator(seed), rings.profile.error
    shape = (REPLICATES, *means.shape)
    if np.isnan(error).all():
        made, variance = rng.poisson(means, shape).astype(float), np.maximum(means, TINY)
    else:
        made, variance = rng.normal(means, error, shape), error**2 * np.ones_like(means)

    def chi2(counts):
        return ((counts - means) ** 2 / variance).sum(axis=-1)

    return Replicas(means, made, float((chi2(made) >= chi2(rings.profile.counts)).mean()))


def sentence(posterior) -> str:
    """The posterior predictive p-value of an image or profile in words; empty for other data."""
    title = "posterior predictive p of the radial profile"
    try:
        p = posterior.predictive_p
    except InputError:  # no data, or no source in them to lay annuli around
        return ""
    if np.isnan(p):
        return ""
    if p < FEW:
        return f"{title} is below {FEW:g}: the model does not describe the data"
    if p > 1 - FEW:
        return f"{title} is above {1 - FEW:g}: the data scatter less than the model expects"
    return f"{title}: {p:.2f}"
