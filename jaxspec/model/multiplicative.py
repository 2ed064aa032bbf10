"""Multiplicative kernels: the mean factor in each bin.

Edges ``e_lo, e_hi`` (n_energy,) keV as in `additive`; a bin that holds a threshold is split there,
so that values and derivatives with respect to the threshold are right on coarse bins too.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxspec._numerics import exprel
from jaxspec.model.quadrature import legendre_nodes


def constant(e_lo, e_hi, factor):
    """Energy-independent factor.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    factor : scalar.

    Returns
    -------
    (n_energy,) factor in every bin.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> constant(jnp.asarray([1.0]), jnp.asarray([2.0]), 0.5).tolist()
    [0.5]
    """
    return factor * jnp.ones_like(e_lo)


def edge(e_lo, e_hi, edgeE, MaxTau):
    """Absorption edge: 1 below edgeE, exp(-MaxTau (E/edgeE)^-3) above.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    edgeE : scalar keV, threshold.
    MaxTau : scalar, optical depth at the threshold.

    Returns
    -------
    (n_energy,) mean factor in each bin.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> [f"{x:.4g}" for x in edge(jnp.asarray([6.0, 7.0]), jnp.asarray([7.0, 7.001]), 7.0, 1.0)]
    ['1', '0.368']
    """
    start = jnp.clip(edgeE, e_lo, e_hi)
    absorbed = jnp.zeros_like(e_lo)
    for node, weight in legendre_nodes(4):
        ratio = jnp.minimum(edgeE / (start + node * (e_hi - start)), 1.0)
        absorbed = absorbed + weight * jnp.expm1(-MaxTau * ratio**3)
    return 1.0 + absorbed * (e_hi - start) / (e_hi - e_lo)


def highecut(e_lo, e_hi, cutoffE, foldE):
    """High-energy cutoff: exp((cutoffE - E)/foldE) above cutoffE.

    As in XSPEC, E - cutoffE is never less than 1 eV, so that the factor below the cutoff is
    exp(-0.001 keV/foldE) and not exactly 1.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV
    cutoffE : scalar keV, where the cutoff begins.
    foldE : scalar keV, e-folding energy.

    Returns
    -------
    (n_energy,) mean factor in each bin, exact.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> lo, hi = jnp.asarray([1.0, 10.0]), jnp.asarray([2.0, 11.0])
    >>> [f"{x:.4g}" for x in highecut(lo, hi, 5.0, 15.0)]
    ['0.9999', '0.6932']
    """
    begin = cutoffE + 1e-3
    start = jnp.clip(begin, e_lo, e_hi)
    above = (e_hi - start) / (e_hi - e_lo)
    decay = jnp.exp(-jnp.maximum(start - begin, 0.0) / foldE) * exprel((start - e_hi) / foldE)
    return jnp.exp(-1e-3 / foldE) * (1.0 - above + above * decay)
