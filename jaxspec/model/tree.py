"""Evaluation of a component tree: pure functions of arrays for one spectrum.

A tree of image components is evaluated by `jaxspec.model.image_plane`.

A `Tree` holds no number that a fit may change. It is hashable and compares by content, so that
it can be a static argument of ``jax.jit``: equal trees share one compilation whatever the values,
limits and links of the parameters are.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.model.component import Component, Parameter, Settings
from jaxspec.model.cross_sections import ABUNDANCES, CROSS_SECTIONS
from jaxspec.model.expression import Convolved, Leaf, Node, Product, Sum, kind, leaves


@dataclass(frozen=True)
class Tree:
    """A model's components and how they are joined.

    Parameters
    ----------
    root : Leaf, Sum, Product or Convolved
        What is evaluated.
    layout : tuple of Component
        All components in XSPEC's order; it fixes the order of the parameters. It may hold more
        than ``root`` does (see `additive_parts`).
    settings : Settings, abundance table and cross sections.

    Examples
    --------
    >>> norm = Parameter("norm", 1, 0, 1, 0, 1)
    >>> flat = Component("flat", "add", (norm,), lambda lo, hi: hi - lo, norm="norm")
    >>> tree = build(Sum((Leaf(flat, 1), Leaf(flat, 2))))
    >>> [name for name, _ in tree.parameters]
    ['flat.norm', 'flat_2.norm']
    >>> tree.flux(np.array([1.0, 3.0]), np.array([3.0, 4.0]), (), [5.0, 2.0]).tolist()
    [14.0, 7.0]
    """

    root: Node
    layout: tuple[Component, ...]
    settings: Settings = Settings()

    def __str__(self):
        return str(self.root)

    @property
    def kind(self) -> str:
        """Kind of the whole: "add" for a flux, "mul" for factors, "con" if input is missing."""
        return kind(self.root)

    @property
    def components(self) -> tuple[Component, ...]:
        """All components in XSPEC's order."""
        return self.layout

    @property
    def domain(self) -> str:
        """What the model describes: "spectrum" or "image"."""
        return self.layout[0].domain

    @property
    def whole_grid(self) -> bool:
        """True if a component wants all energies of the response."""
        return any(c.grid == "whole" for c in self.layout)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each component; a repeated one gets ``_n``, its number, as in PyXspec."""
        seen, names = Counter(), []
        for number, component in enumerate(self.layout, start=1):
            suffix = f"_{number}" if seen[component.name] else ""
            seen[component.name] += 1
            names.append(component.name + suffix)
        return tuple(names)

    @functools.cached_property
    def parameters(self) -> tuple[tuple[str, Parameter], ...]:
        """(full name, Parameter) of each parameter in XSPEC's order, norms included."""
        pairs = zip(self.names, self.layout, strict=True)
        return tuple((f"{name}.{p.name}", p) for name, c in pairs for p in c.parameters)

    @functools.cached_property
    def first(self) -> tuple[int, ...]:
        """Index of each component's first parameter, and the number of parameters at the end."""
        return tuple(np.cumsum([0, *(len(c.parameters) for c in self.layout)]).tolist())

    @property
    def norm_indices(self) -> tuple[int, ...]:
        """Where the norms stand that the tree applies; image components have none."""
        pairs = zip(self.layout, self.first[1:], strict=True)
        return tuple(end - 1 for c, end in pairs if c.norm)

    @functools.cached_property
    def additive_parts(self) -> tuple[tuple[str, Tree], ...]:
        """(component name, tree) for each additive component, the others left out.

        Every part takes the parameters and the tables of the whole model. A convolution that
        normalises its input (cflux) normalises each part for itself, so that parts under it do
        not add up to the whole.
        """
        numbers = [leaf.number for leaf in leaves(self.root) if leaf.component.kind == "add"]
        return tuple(
            (self.names[n - 1], Tree(_prune(self.root, n), self.layout, self.settings))
            for n in numbers
        )

    def prepare(self, e_lo, e_hi) -> tuple[np.ndarray, ...]:
        """Compute on the host what depends on the energies alone (cross sections).

        Parameters
        ----------
        e_lo, e_hi : (n_energy,) keV

        Returns
        -------
        tuple of (..., n_energy) arrays, one for each component that has ``prepare``, in order.
        """
        made = {}
        for component in self.layout:
            if component.prepare is not None and component not in made:
                made[component] = component.prepare(e_lo, e_hi, self.settings, component.source)
        return tuple(made[c] for c in self.layout if c.prepare is not None)

    def flux(self, e_lo, e_hi, tables, params):
        """Evaluate the model.

        Parameters
        ----------
        e_lo, e_hi : (n_energy,) keV, positive and ascending.
        tables : tuple of (n_energy,), from `prepare` for the same energies.
        params : (n_par,), all parameters in XSPEC's order, norms included.

        Returns
        -------
        (n_energy,) photons/cm2/s in each bin (factors if the tree is multiplicative).
        """
        if self.kind == "con":
            raise InputError(f"the convolution in {self} has nothing to act on")
        if self.domain == "image":
            raise InputError(
                f"{self} is a model of an image and has no spectrum", remedy="give it an image"
            )
        return self.evaluate(self.root, e_lo, e_hi, tables, params)

    def evaluate(self, node, e_lo, e_hi, tables, params):
        """Value of one node; ``tables`` is None on energies that were not prepared."""

        def value(part):
            return self.evaluate(part, e_lo, e_hi, tables, params)

        if isinstance(node, Sum):
            return functools.reduce(jnp.add, map(value, node.terms))
        if isinstance(node, Product):
            return functools.reduce(jnp.multiply, map(value, node.factors))
        if isinstance(node, Leaf):
            arguments, norm = self.arguments(node, e_lo, e_hi, tables, params)
            bins = node.component.kernel(e_lo, e_hi, *arguments)
            return bins if norm is None else norm * bins

        def inner(lo, hi):
            same = lo is e_lo and hi is e_hi
            return self.evaluate(node.inner, lo, hi, tables if same else None, params)

        return self.convolve(node.convolution, inner, e_lo, e_hi, tables, params)

    def convolve(self, leaf, inner, e_lo, e_hi, tables, params):
        """Apply one convolution of the tree to ``inner(e_lo, e_hi) -> (n_energy,)``."""
        arguments, _ = self.arguments(leaf, e_lo, e_hi, tables, params)
        return leaf.component.kernel(inner, e_lo, e_hi, *arguments)

    def arguments(self, leaf, e_lo, e_hi, tables, params):
        """Arguments of a kernel after the energies, and the norm (None without one)."""
        component, place = leaf.component, leaf.number - 1
        own = [params[i] for i in range(self.first[place], self.first[place + 1])]
        norm = own.pop() if component.norm else None
        if component.prepare is not None:
            if tables is None:
                own.append(_lookup(component, self.settings)(e_lo, e_hi))
            else:
                own.append(tables[sum(c.prepare is not None for c in self.layout[:place])])
        return own, norm


def build(root: Node, abund: str = "angr", xsect: str = "vern") -> Tree:
    """Tree of an expression whose components are numbered from 1.

    Raises
    ------
    InputError
        An abundance table or cross section that does not exist.
    """
    for word, known, what in ((abund, ABUNDANCES, "abund"), (xsect, CROSS_SECTIONS, "xsect")):
        if word not in known:
            raise InputError(f"{what}={word!r} is not known", remedy=f"use {', '.join(known)}")
    return Tree(root, tuple(leaf.component for leaf in leaves(root)), Settings(abund, xsect))


@functools.cache
def _lookup(component, settings):
    return component.lookup(settings, component.source)


def _prune(node, number):
    """Return the tree without all additive components but one; None where nothing is left."""
    if isinstance(node, Leaf):
        return None if node.component.kind == "add" and node.number != number else node
    if isinstance(node, Convolved):
        inner = _prune(node.inner, number)
        return None if inner is None else Convolved(node.convolution, inner)
    if isinstance(node, Sum):
        return next((t for t in (_prune(t, number) for t in node.terms) if t is not None), None)
    factors = [_prune(f, number) for f in node.factors]
    if None in factors:
        return None
    flat = [g for f in factors for g in (f.factors if isinstance(f, Product) else [f])]
    return Product(tuple(flat))
