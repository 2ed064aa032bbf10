"""`evaluate`: one XSPEC model on bin edges, as plain numbers."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.model.catalogue import ALIASES, CATALOGUE
from jaxspec.model.expression import Leaf, parse, resolve
from jaxspec.model.tree import build


def evaluate(expression: str, edges, parameters=(), flux=None, abund="angr", xsect="vern"):
    """Evaluate a model on energy bins.

    Parameters
    ----------
    expression : str
        XSPEC expression, or one component of any kind.
    edges : (n_energy + 1,) keV, positive and ascending.
    parameters : (n_par,)
        All parameters in XSPEC's order. For a single additive component the norm may be left
        out; it is 1 then.
    flux : (n_energy,) photons/cm2/s, optional
        What a single convolution component acts on, per bin of ``edges``. Within a bin it counts
        as evenly spread, outside the bins as zero.
    abund, xsect : str, abundance table and cross sections, as in XSPEC.

    Returns
    -------
    (n_energy,) float64 array
        Photons/cm2/s in each bin; mean factors for a multiplicative expression.

    Raises
    ------
    InputError
        An unknown model, a wrong number of parameters, edges that are not ascending.

    Examples
    --------
    >>> evaluate("powerlaw", [1.0, 2.0, 4.0], [2.0])
    array([0.5 , 0.25])
    """
    edges = _vector(edges, "edges")
    if len(edges) < 2 or edges[0] <= 0 or not np.all(np.diff(edges) > 0):
        raise InputError("edges must be positive and ascending, in keV, at least two")
    known = {c.name: c for c in CATALOGUE}
    single = None
    if isinstance(expression, str) and expression.strip().isidentifier():
        single = resolve(expression.strip(), known, ALIASES)
        root = Leaf(single, 1)
    else:
        root = parse(expression, known, ALIASES, complete=False)
    tree = build(root, abund, xsect)
    params = _parameters(tree, single, parameters)
    convolution = single is not None and single.kind == "con"
    if convolution != (flux is not None):
        raise InputError(
            f"{tree} needs flux=, what it acts on" if convolution else f"{tree} takes no flux=",
            remedy="flux= is for a single convolution component",
        )
    e_lo, e_hi = edges[:-1], edges[1:]
    with jax.enable_x64(True):
        tables = tree.prepare(e_lo, e_hi)
        if not convolution:
            return np.array(_flux(tree, e_lo, e_hi, tables, params))
        flux = _vector(flux, "flux")
        if len(flux) != len(e_lo):
            raise InputError(f"flux has {len(flux)} values for {len(e_lo)} bins")
        return np.array(_convolved(tree, e_lo, e_hi, tables, params, flux))


def _vector(values, what):
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim != 1 or not np.all(np.isfinite(array)):
        raise InputError(f"{what} is not a list of finite numbers")
    return array


def _parameters(tree, single, parameters):
    values = _vector(parameters, "parameters")
    names = [p.name for _, p in tree.parameters]
    if single is not None and single.kind == "add" and len(values) == len(names) - 1:
        values = np.append(values, 1.0)
    if len(values) != len(names):
        wanted = ", ".join(names) or "none"
        raise InputError(f"{tree} got {len(values)} parameters", remedy=f"give {wanted}")
    return values


@functools.partial(jax.jit, static_argnums=0)
def _flux(tree, e_lo, e_hi, tables, params):
    return tree.flux(e_lo, e_hi, tables, params)


@functools.partial(jax.jit, static_argnums=0)
def _convolved(tree, e_lo, e_hi, tables, params, flux):
    def inner(lo, hi):
        same = lo is e_lo and hi is e_hi
        return flux if same else rebin(e_lo, e_hi, flux, lo, hi)

    return tree.convolve(tree.root, inner, e_lo, e_hi, tables, params)


def rebin(e_lo, e_hi, flux, lo, hi):
    """Bring a flux that is even within each bin onto other bins.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) keV, adjoining bins.
    flux : (n_energy,) photons/cm2/s per bin.
    lo, hi : (n_new,) keV, the new bins, of any width; there is no flux outside the old bins.

    Returns
    -------
    (n_new,) photons/cm2/s per new bin.

    Notes
    -----
    Parts of a bin are added to sums over whole bins, rather than differences of one cumulative
    sum taken, which would lose small fluxes beside large ones.
    """
    e_lo, e_hi = jnp.asarray(e_lo), jnp.asarray(e_hi)
    lo, hi = (jnp.clip(x, e_lo[0], e_hi[-1]) for x in (lo, hi))
    density = flux / (e_hi - e_lo)
    zero = jnp.zeros(1, flux.dtype)
    whole = jnp.concatenate([zero, jnp.cumsum(flux)])
    first = jnp.clip(jnp.searchsorted(e_lo, lo, side="right") - 1, 0, len(e_lo) - 1)
    last = jnp.clip(jnp.searchsorted(e_lo, hi, side="right") - 1, 0, len(e_lo) - 1)
    apart = density[first] * (e_hi[first] - lo) + density[last] * (hi - e_lo[last])
    apart = apart + jnp.where(last > first + 1, whole[last] - whole[first + 1], 0.0)
    return jnp.where(first == last, density[first] * (hi - lo), apart)
