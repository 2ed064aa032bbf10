"""`evaluate`: one model on bin edges, as plain numbers, or inside JAX's transformations."""

from __future__ import annotations

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.model.catalogue import ALIASES, CATALOGUE
from jaxspec.model.component import Settings
from jaxspec.model.expression import Leaf, parse, resolve
from jaxspec.model.links import apply_links
from jaxspec.model.model import Model
from jaxspec.model.surface_catalogue import SURFACES
from jaxspec.model.tree import build

_ON_IMAGES = {c.name.lower() for c in SURFACES}


@np.errstate(all="ignore")
def evaluate(model, edges, parameters=None, flux=None, abund=None, xsect=None):
    """Evaluate a model on energy bins.

    Parameters
    ----------
    model : Model, or str
        A model brings its abundances, cross sections and own components. A string is an XSPEC
        expression, or one component of any kind.
    edges : (n_energy + 1,) keV, positive and ascending.
    parameters : (n_par,), optional
        All parameters in XSPEC's order; those of the model if there is one. Linked parameters
        follow what they are linked to. For a single additive component the norm may be left out;
        it is 1 then.
    flux : (n_energy,) photons/cm2/s, optional
        What a single convolution component acts on, per bin of ``edges``. Within a bin it counts
        as evenly spread, outside the bins as zero.
    abund, xsect : str, optional
        Abundance table and cross sections of an expression. Without them XSPEC's own defaults are
        taken, angr and vern, and a warning says so where they matter.

    Returns
    -------
    (n_energy,) float64 array
        Photons/cm2/s in each bin; mean factors for a multiplicative expression. While JAX traces
        ``parameters`` (``jax.grad``, ``jax.jit``, ``jax.vmap``) it is a JAX array of their
        precision: single unless ``jax.enable_x64`` is on outside.

    Raises
    ------
    InputError
        An unknown model, a wrong number of parameters, edges that are not ascending, tables
        beside a model that has its own.

    Examples
    --------
    >>> evaluate("powerlaw", [1.0, 2.0, 4.0], [2.0])
    array([0.5 , 0.25])
    >>> grad = jax.grad(lambda index: evaluate("powerlaw", [1.0, 2.0, 4.0], [index]).sum())
    >>> round(float(grad(2.0)), 4)
    -0.4034
    """
    edges = _vector(edges, "edges")
    if len(edges) < 2 or edges[0] <= 0 or not np.all(np.diff(edges) > 0):
        raise InputError("edges must be positive and ascending, in keV, at least two")
    given = isinstance(model, Model)
    tree = _tree_of_model(model, abund, xsect) if given else _tree_of_text(model, abund, xsect)
    if parameters is None:
        parameters = model.values if given else ()
    single = tree.root.component if isinstance(tree.root, Leaf) else None
    params = _parameters(tree, single, parameters)
    convolution = single is not None and single.kind == "con"
    if convolution != (flux is not None):
        raise InputError(
            f"{tree} needs flux=, what it acts on" if convolution else f"{tree} takes no flux=",
            remedy="flux= is for a single convolution component",
        )
    if flux is not None:
        flux = _vector(flux, "flux")
        if len(flux) != len(edges) - 1:
            raise InputError(f"flux has {len(flux)} values for {len(edges) - 1} bins")
    links = model.link_map() if given else None
    if isinstance(params, jax.core.Tracer):
        return _call(tree, edges, params, flux, links)
    with jax.enable_x64(True):
        return np.array(_call(tree, edges, params, flux, links))


def _tree_of_model(model, abund, xsect):
    if abund is not None or xsect is not None:
        raise InputError(
            f"{model.expression} has its own tables: abund {model.abund}, xsect {model.xsect}",
            parameter="abund" if abund is not None else "xsect",
            remedy="assign .abund and .xsect of the model",
        )
    return model.tree


def _tree_of_text(text, abund, xsect):
    known = {c.name: c for c in CATALOGUE}
    if isinstance(text, str) and text.strip().lower() in _ON_IMAGES:
        raise InputError(
            f"{text.strip()} is a component of images, which have no energies",
            remedy="fit an image with it",
        )
    if isinstance(text, str) and text.strip().isidentifier():
        root = Leaf(resolve(text.strip(), known, ALIASES), 1)
    else:
        root = parse(text, known, ALIASES, complete=False)
    tree = build(root, abund or Settings().abund, xsect or Settings().xsect)
    if abund is None and any(c.prepare is not None for c in tree.components):
        warnings.warn(
            f"{tree} depends on the abundances, and {tree.settings.abund} is taken; give abund=, "
            "or the Model, which knows its own",
            stacklevel=3,
        )
    return tree


def _call(tree, edges, params, flux, links):
    """Values in the precision of the parameters; the tables are made on the host."""
    params = jnp.asarray(params)
    if links is not None:
        matrix, offset, functions = links
        numbers = (jnp.asarray(x, params.dtype) for x in (matrix, offset))
        params = apply_links(params, *numbers, functions)
    e_lo, e_hi = edges[:-1], edges[1:]
    tables = tree.prepare(e_lo, e_hi)
    e_lo, e_hi, tables, flux = jax.tree.map(
        lambda x: jnp.asarray(x, params.dtype), (e_lo, e_hi, tables, flux)
    )
    if flux is None:
        return _flux(tree, e_lo, e_hi, tables, params)
    return _convolved(tree, e_lo, e_hi, tables, params, flux)


def _vector(values, what):
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim != 1 or not np.all(np.isfinite(array)):
        raise InputError(f"{what} is not a list of finite numbers")
    return array


def _parameters(tree, single, parameters):
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(parameters)):
        one = isinstance(parameters, jax.core.Tracer)
        values = parameters if one else jnp.stack([jnp.asarray(x, float) for x in parameters])
    else:
        values = _vector(parameters, "parameters")
    names = [p.name for _, p in tree.parameters]
    if single is not None and single.kind == "add" and len(values) == len(names) - 1:
        append = jnp.append if isinstance(values, jax.core.Tracer) else np.append
        values = append(values, 1.0)
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
