"""The objective of an image or of a radial profile: expected counts against pixels."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from jaxspec.likelihood.objective import Objective, Quadratic
from jaxspec.model.image_plane import (
    expected_counts,
    expected_counts_psf,
    surface,
    unvignetted,
)

# Pixels whose second derivatives are taken at once. A double beta model on 262 144 pixels takes
# 61 ms in blocks of 1024, 81 in blocks of 4096 and of 16 384, 184 in one piece.
BLOCK = 1024

TINY = 1e-25  # expected counts below which a pixel counts as having this many

LOG_2PI = float(np.log(2.0 * np.pi))


class Scene(NamedTuple):
    """All numbers of one image.

    Parameters
    ----------
    pixels : Pixels of (n_pix,) arrays; empty ones (see `jaxspec.reduce.merge.pad`) add nothing.
    fine : Fine or None, the pixels whose brightness is integrated.
    grid, index : of `jaxspec.model.psf.convolution_grid`, or None without a PSF.
    radii, weights : (n_pix, n_node) or None
        Of annuli: radii over which the brightness is averaged.
    blocks : int (traced) or None
        How many blocks of ``BLOCK`` pixels `ImageObjective.quadratic` looks at; None for all pixels
        at once. Merged and single pixels, padded to one length, then share the compiled code.
    """

    pixels: NamedTuple
    fine: NamedTuple | None = None
    grid: NamedTuple | None = None
    index: jax.Array | None = None
    blocks: jax.Array | None = None
    radii: jax.Array | None = None
    weights: jax.Array | None = None


class PixelTerms(NamedTuple):
    """Statistic of each pixel (n_pix,), its slope and expected and observed curvature by mu."""

    value: jax.Array
    slope: jax.Array
    expected: jax.Array
    observed: jax.Array


def pixel_terms(stat, pixels, mu) -> PixelTerms:
    """Statistic of every pixel for expected counts ``mu`` (n_pix,): "cstat" or "chi2"."""
    if stat == "chi2":
        weight = pixels.error**-2.0
        away = mu - pixels.counts
        return PixelTerms(away**2 * weight, 2 * away * weight, 2 * weight, 2 * weight)
    n = pixels.counts
    mu = jnp.maximum(mu, TINY)
    some = n > 0
    ratio = jnp.log(jnp.where(some, n, 1.0) / jnp.where(some, mu, 1.0))
    return PixelTerms(
        value=2.0 * (mu - n + n * ratio),
        slope=2.0 * (1.0 - n / mu),
        expected=jnp.where(pixels.area > 0, 2.0 / mu, 0.0),
        observed=2.0 * n / mu**2,
    )


def log_likelihood_terms(stat, pixels, mu):
    """Log-likelihood of every pixel without what does not depend on the model."""
    if stat == "chi2":
        return -0.5 * ((mu - pixels.counts) / pixels.error) ** 2
    mu = jnp.maximum(mu, TINY)
    return pixels.counts * jnp.log(mu) - mu


def log_constant_terms(stat, pixels):
    """What `log_likelihood_terms` leaves out: ``-ln N!``, or the norm of the Gaussian."""
    if stat == "chi2":
        return -jnp.log(pixels.error) - 0.5 * LOG_2PI
    return -gammaln(pixels.counts + 1.0)


class ImageObjective(NamedTuple):
    """The static half: model tree, statistic name, links that are not affine. Hashable."""

    tree: object
    stat: str
    functions: tuple

    parameters = Objective.parameters
    spread = Objective.spread

    def expected(self, scene, params):
        """Expected counts (n_pix,)."""
        if scene.radii is not None:
            sky = surface(self.tree, scene.radii, jnp.zeros_like(scene.radii), params)
            sky = jnp.sum(sky * scene.weights, axis=1)
            return sky * scene.pixels.exposure + unvignetted(self.tree, scene.pixels, params)
        if scene.grid is None:
            return expected_counts(self.tree, scene.pixels, params, scene.fine)
        return expected_counts_psf(
            self.tree, scene.grid, scene.index, scene.pixels, params, scene.fine
        )

    def log_likelihood(self, scene, params):
        """Log-likelihood of all pixels, without the constant."""
        mu = self.expected(scene, params)
        return jnp.sum(log_likelihood_terms(self.stat, scene.pixels, mu))

    def quadratic(self, scene, links, priors, theta) -> Quadratic:
        """The statistic minus twice the logarithm of the priors, around theta.

        ``priors`` is a dict from parameter index to numpyro distribution.
        """
        if scene.blocks is None:
            total = self._data_term(scene, links, theta)
        else:
            total = self._in_blocks(scene, links, theta)
        if not priors:
            return total

        def penalty(t):
            return -2.0 * log_prior(priors, self.parameters(links, t))

        bent = jax.hessian(penalty)(theta)
        return total._replace(
            value=total.value + penalty(theta),
            gradient=total.gradient + jax.grad(penalty)(theta),
            expected=total.expected + jnp.diag(jnp.maximum(jnp.diagonal(bent), 0.0)),
            observed=total.observed + bent,
        )

    def _data_term(self, scene, links, theta):
        def expected(t):
            return self.expected(scene, self.parameters(links, t))

        mu, push = jax.linearize(expected, theta)
        jacobian = jax.vmap(push)(jnp.eye(theta.size, dtype=theta.dtype))
        terms = pixel_terms(self.stat, scene.pixels, mu)
        bending = jax.hessian(lambda t: jnp.sum(terms.slope * expected(t)))(theta)
        return Quadratic(
            value=jnp.sum(terms.value),
            gradient=jacobian @ terms.slope,
            expected=(jacobian * terms.expected[None]) @ jacobian.T,
            observed=(jacobian * terms.observed[None]) @ jacobian.T + bending,
            rate=mu,
        )

    def _in_blocks(self, scene, links, theta):
        """Sum over blocks of pixels that stay in cache with all their derivatives."""
        table = jax.tree.map(lambda a: a.reshape(-1, BLOCK), scene.pixels)
        n = theta.size
        zero = jnp.zeros((), theta.dtype)
        nothing = (zero, jnp.zeros_like(theta), *(jnp.zeros((n, n), theta.dtype),) * 2)

        def step(i, carry):
            total, mu = carry
            part = self._data_term(Scene(jax.tree.map(lambda a: a[i], table)), links, theta)
            return jax.tree.map(jnp.add, total, tuple(part[:4])), mu.at[i].set(part.rate)

        start = nothing, jnp.zeros_like(table.x)
        total, mu = jax.lax.fori_loop(0, scene.blocks, step, start)
        return Quadratic(*total, mu.ravel())


def log_prior(priors, params):
    """Sum of the logarithms of the prior densities."""
    return sum((prior.log_prob(params[i]) for i, prior in priors.items()), jnp.zeros(()))


@partial(jax.jit, static_argnames=("objective",))
def expected_of(objective, scene, params):
    """Expected counts (n_pix,) of one vector of all parameters."""
    return objective.expected(scene, params)


@partial(jax.jit, static_argnames=("stat",))
def constant_of(stat, pixels):
    """Sum of `log_constant_terms`; empty pixels give nothing."""
    return jnp.sum(jnp.where(pixels.area > 0, log_constant_terms(stat, pixels), 0.0))


@partial(jax.jit, static_argnames=("objective",))
def pointwise_of(objective, scene, params):
    """Log-likelihood (n, n_pix) of every pixel, with constants, for (n, n_par) parameters."""
    constant = log_constant_terms(objective.stat, scene.pixels)

    def one(p):
        mu = objective.expected(scene, p)
        return log_likelihood_terms(objective.stat, scene.pixels, mu) + constant

    return jax.lax.map(one, params)


@partial(jax.jit, static_argnames=("objective",))
def totals_of(objective, scene, params):
    """Log-likelihoods (n,) of many parameter vectors (n, n_par), one after the other."""
    return jax.lax.map(lambda p: objective.log_likelihood(scene, p), params)
