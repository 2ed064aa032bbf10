"""What an image model expects of an image or of a radial profile: counts in pixels or annuli."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxspec.likelihood.linear import Lane, Linear
from jaxspec.model.image_plane import (
    components,
    expected_counts,
    expected_counts_psf,
    surface,
    unvignetted,
)

# Pixels whose second derivatives are taken at once. A double beta model on 262 144 pixels takes
# 61 ms in blocks of 1024, 81 in blocks of 4096 and of 16 384, 184 in one piece.
BLOCK = 1024

TINY = 1e-25  # expected counts below which a pixel counts as having this many


class ImageInputs(NamedTuple):
    """What the expected counts of one image or profile need.

    Parameters
    ----------
    pixels : Pixels of (n_pix,) arrays; empty ones (see `jaxspec.reduce.merge.pad`) add nothing.
    fine : Fine or None, the pixels whose brightness is integrated.
    grid, index : of `jaxspec.reduce.psf.convolution_grid`, or None without a PSF.
    blocks : int (traced) or None
        How many blocks of ``BLOCK`` pixels are looked at; None for all pixels at once. Merged and
        single pixels, padded to one length, then share the compiled code.
    radii, weights : (n_pix, n_node) or None
        Of annuli: radii over which the brightness is averaged.
    """

    pixels: NamedTuple
    fine: NamedTuple | None = None
    grid: NamedTuple | None = None
    index: jax.Array | None = None
    blocks: jax.Array | None = None
    radii: jax.Array | None = None
    weights: jax.Array | None = None


class ImageForward(NamedTuple):
    """Counts of the pixels of an image. Static: hashable, equal by content."""

    tree: Any

    def mean(self, inputs, params):
        """Expected counts (n_pix,) for all parameters (n_par,), links applied."""
        pixels = inputs.pixels
        if inputs.radii is not None:
            sky = surface(self.tree, inputs.radii, jnp.zeros_like(inputs.radii), params)
            sky = jnp.sum(sky * inputs.weights, axis=1)
            return sky * pixels.exposure + unvignetted(self.tree, pixels, params)
        if inputs.grid is None:
            return expected_counts(self.tree, pixels, params, inputs.fine)
        return expected_counts_psf(
            self.tree, inputs.grid, inputs.index, pixels, params, inputs.fine
        )

    def parts(self, inputs, params) -> dict:
        """The same for each component alone, by name."""
        nodes = None if inputs.radii is None else (inputs.radii, inputs.weights)
        own = (inputs.fine, inputs.grid, inputs.index, nodes)
        return components(self.tree, inputs.pixels, params, *own)

    def slopes(self, inputs, params, wanted):
        """Mean (n_pix,) and its derivatives (n_wanted, n_pix) by the parameters ``wanted``."""
        mean, push = jax.linearize(lambda p: self.mean(inputs, p), params)
        unit = jnp.eye(params.size, dtype=params.dtype)[jnp.array(wanted, dtype=int)]
        return mean, jax.vmap(push)(unit)

    def linear(self, inputs, params) -> Linear:
        """Mean, Jacobian and the curvature of weighted sums."""
        mean, jacobian = self.slopes(inputs, params, range(params.size))

        def curve(weight):
            return jax.hessian(lambda p: jnp.sum(weight * self.mean(inputs, p)))(params)

        return Linear(mean, jacobian, curve)

    def pull(self, inputs, params):
        """Mean (n_pix,), and a function from weights (n_pix,) to d sum(weight mean)/d params.

        Reverse mode: a brightness is elementwise, so that it costs three values, not one for
        each parameter.
        """
        mean, back = jax.vjp(lambda p: self.mean(inputs, p), params)
        return mean, lambda weight: back(weight)[0]

    def cut(self, lane):
        """Lane as a table of blocks that stay in cache with their derivatives, and their number.

        None where the pixels hang together (PSF, integrated pixels, annuli) or are few.
        """
        if lane.inputs.blocks is None:
            return None
        pixels, bins, mask = jax.tree.map(
            lambda a: a.reshape(-1, BLOCK), (lane.inputs.pixels, lane.bins, lane.mask)
        )
        return Lane(ImageInputs(pixels), bins, mask), lane.inputs.blocks
