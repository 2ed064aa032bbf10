"""The objective of one lane: fold the model, compare with the data, and its derivatives."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.likelihood.statistics import STATISTICS, kernel, weighted
from jaxspec.model.links import apply_links


class Lane(NamedTuple):
    """All numbers of one spectrum that the objective needs.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    tables : tuple of (n_energy,), what ``tree.prepare`` made for these energies.
    matrix : (n_bin, n_energy) cm2, grouped redistribution times effective area.
    bins : BinCounts of (n_bin,) arrays.
    mask : (n_bin,) bool, False for padding.
    """

    e_lo: jax.Array
    e_hi: jax.Array
    tables: tuple
    matrix: jax.Array
    bins: NamedTuple
    mask: jax.Array


class Links(NamedTuple):
    """Affine links as numbers: parameters = matrix (n_par, n_par) @ theta + offset (n_par,)."""

    matrix: jax.Array
    offset: jax.Array


class Objective(NamedTuple):
    """The static half: model tree, statistic name, links that are not affine. Hashable."""

    tree: object
    stat: str
    functions: tuple

    def flux(self, lane, links, theta):
        """Model (n_energy,) in photons/cm2/s for theta (n_par,)."""
        params = apply_links(theta, links.matrix, links.offset, self.functions)
        return self.tree.flux(lane.e_lo, lane.e_hi, lane.tables, params)

    def rate(self, lane, links, theta):
        """Expected source count rate (n_bin,) in counts/s."""
        return lane.matrix @ self.flux(lane, links, theta)

    def tangents(self, lane, links, theta, directions):
        """Rate (n_bin,) and its derivatives (n_bin, n_direction) along directions."""

        def push(direction):
            return jax.jvp(lambda t: self.flux(lane, links, t), (theta,), (direction,))

        flux, slopes = jax.vmap(push, out_axes=(None, -1))(directions)
        folded = lane.matrix @ jnp.concatenate([flux[:, None], slopes], axis=-1)
        return folded[:, 0], folded[:, 1:]

    def bins(self, lane, rate):
        """Statistic of each bin with slope and curvature, zero in padding."""
        per_bin = kernel(self.stat)(lane.bins, rate)
        return jax.tree.map(lambda x: jnp.where(lane.mask, x, 0.0), per_bin)

    def value(self, lane, links, theta):
        """The statistic, summed over bins."""
        return jnp.sum(self.bins(lane, self.rate(lane, links, theta)).value)

    def quadratic(self, lane, links, theta):
        """Value, gradient and expected information of the statistic at theta."""
        eye = jnp.eye(theta.shape[0], dtype=theta.dtype)
        rate, jacobian = self.tangents(lane, links, theta, eye)
        per_bin = self.bins(lane, rate)
        gradient = per_bin.slope @ jacobian
        curvature = (jacobian * per_bin.curvature[:, None]).T @ jacobian
        return jnp.sum(per_bin.value), gradient, curvature


def weigh_lanes(name, bins):
    """``bins`` of (n_lane, n_bin) arrays with the variances that the statistic wants."""
    if STATISTICS[name].poisson:
        return bins
    rows = [weighted(name, type(bins)(*row)) for row in zip(*bins, strict=True)]
    return type(bins)(*(np.stack(field) for field in zip(*rows, strict=True)))
