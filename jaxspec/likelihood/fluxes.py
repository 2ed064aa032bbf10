"""Spectral models before folding, for curves and for shares of energy bands."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Curve(NamedTuple):
    """A spectral model before folding.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    flux : (n_energy,) photons/cm2/s/keV, of the whole model.
    components : dict of additive component to its (n_energy,)
    """

    e_lo: np.ndarray
    e_hi: np.ndarray
    flux: np.ndarray
    components: dict

    @property
    def photons(self) -> np.ndarray:
        """Photons/cm2/s (n_energy,) in each bin."""
        return self.flux * (self.e_hi - self.e_lo)

    def between(self, low, high) -> np.ndarray:
        """Photons/cm2/s from ``low`` to ``high`` (n,) keV.

        The running sum is interpolated by monotone cubics.
        """
        from scipy.interpolate import PchipInterpolator

        edges = np.append(self.e_lo, self.e_hi[-1])
        running = PchipInterpolator(edges, np.concatenate([[0.0], np.cumsum(self.photons)]))
        low, high = (np.clip(e, edges[0], edges[-1]) for e in (low, high))
        return running(high) - running(low)


def curves(model, grids, params) -> list[Curve]:
    """Evaluate a model on energies of its own for each set of parameters.

    Parameters
    ----------
    model : Model of a spectrum
    grids : list of n (e_lo, e_hi), (n_energy,) keV each; lengths may differ.
    params : (n, n_par), links applied.

    Returns
    -------
    list of n Curve
    """
    tree, known, made = model.tree, {}, []
    with jax.enable_x64(True):
        for grid, values in zip(grids, np.asarray(params, float), strict=True):
            e_lo, e_hi = (np.asarray(e, float) for e in grid)
            key = e_lo.tobytes(), e_hi.tobytes()
            if key not in known:  # once for each distinct grid
                known[key] = tree.prepare(e_lo, e_hi)
            whole, *parts = np.asarray(_densities(tree, e_lo, e_hi, known[key], values))
            names = [name for name, _ in tree.additive_parts]
            made.append(Curve(e_lo, e_hi, whole, dict(zip(names, parts, strict=True))))
    return made


@partial(jax.jit, static_argnames=("tree",))
def _densities(tree, e_lo, e_hi, tables, params):
    trees = [tree, *(part for _, part in tree.additive_parts)]
    rows = [one.flux(e_lo, e_hi, tables, params) for one in trees]
    return jnp.stack([row / (e_hi - e_lo) for row in rows])
