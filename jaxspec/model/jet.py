"""Model value with first and second derivatives, component by component.

A spectral model is a sum of products of components, and each component knows only its own few
parameters. Differentiating every kernel for itself and joining the results by the rules for sums
and products costs little more than the value; pushing all parameters through the whole tree costs
their number, squared for second derivatives.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxspec.model.expression import Convolved, Leaf, Sum, leaves


class Jet(NamedTuple):
    """Value (n_energy,) and derivatives by parameter index; what is absent is zero.

    ``first`` holds i -> (n_energy,), ``second`` holds (i, j) with i <= j -> (n_energy,).
    """

    value: jax.Array
    first: dict
    second: dict


def model_jet(tree, e_lo, e_hi, tables, params, wanted, order=2) -> Jet:
    """Evaluate a tree with its derivatives.

    Parameters
    ----------
    tree : Tree
    e_lo, e_hi : (n_energy,) keV
    tables : tuple of (n_energy,), from ``tree.prepare``.
    params : (n_par,), all parameters, links applied.
    wanted : set of int, parameters to differentiate by.
    order : 1 or 2

    Returns
    -------
    Jet, in photons/cm2/s and per unit of each parameter.
    """
    return _node(tree, tree.root, e_lo, e_hi, tables, params, frozenset(wanted), order)


def _node(tree, node, e_lo, e_hi, tables, params, wanted, order):
    def jet(part):
        return _node(tree, part, e_lo, e_hi, tables, params, wanted, order)

    if isinstance(node, Leaf):
        return _leaf(tree, node, e_lo, e_hi, tables, params, wanted, order)
    if isinstance(node, Convolved):
        return _convolved(tree, node, e_lo, e_hi, tables, params, wanted, order)
    parts = [jet(part) for part in (node.terms if isinstance(node, Sum) else node.factors)]
    total = parts[0]
    for part in parts[1:]:
        total = _plus(total, part) if isinstance(node, Sum) else _times(total, part)
    return total


def _plus(a, b):
    return Jet(a.value + b.value, _merge(a.first, b.first), _merge(a.second, b.second))


def _merge(a, b):
    return {**a, **b, **{key: a[key] + b[key] for key in a.keys() & b.keys()}}


def _times(a, b):
    """Product rule; the factors have no parameter in common."""
    first = _merge(
        {i: d * b.value for i, d in a.first.items()}, {i: d * a.value for i, d in b.first.items()}
    )
    second = _merge(
        {k: d * b.value for k, d in a.second.items()},
        {k: d * a.value for k, d in b.second.items()},
    )
    for i, left in a.first.items():
        for j, right in b.first.items():
            second = _merge(second, {(min(i, j), max(i, j)): left * right})
    return Jet(a.value * b.value, first, second)


def _leaf(tree, leaf, e_lo, e_hi, tables, params, wanted, order):
    component = leaf.component
    start = tree.first[leaf.number - 1]
    arguments, norm = tree.arguments(leaf, e_lo, e_hi, tables, params)
    n_shape = len(component.parameters) - (norm is not None)
    own = [k for k in range(n_shape) if start + k in wanted and not component.parameters[k].switch]

    def kernel(*shapes):
        filled = list(arguments)
        for k, shape in zip(own, shapes, strict=True):
            filled[k] = shape
        return component.kernel(e_lo, e_hi, *filled)

    shape = _derivatives(kernel, [arguments[k] for k in own], [start + k for k in own], order)
    if norm is None:
        return shape
    place = start + n_shape
    amplitude = Jet(norm, {place: jnp.ones_like(norm)} if place in wanted else {}, {})
    return _times(amplitude, shape)


def _derivatives(function, values, places, order):
    """Jet of an elementwise function of few scalars, each derivative pushed by itself."""
    if not values:
        return Jet(function(), {}, {})
    first, second = {}, {}
    one = [jnp.ones_like(value) for value in values]

    def push(i, at):
        """Value and derivative by the i-th scalar."""

        def along(x):
            return function(*at[:i], x, *at[i + 1 :])

        return jax.jvp(along, (at[i],), (one[i],))

    if order == 1:
        for i, place in enumerate(places):
            value, first[place] = push(i, values)
        return Jet(value, first, second)
    for i, place in enumerate(places):
        for j in range(i + 1):

            def pushed(y, i=i, j=j):
                return push(i, [*values[:j], y, *values[j + 1 :]])

            (value, first[place]), (_, mixed) = jax.jvp(pushed, (values[j],), (one[j],))
            second[places[j], place] = mixed
    return Jet(value, first, second)


def _convolved(tree, node, e_lo, e_hi, tables, params, wanted, order):
    """Differentiate a convolution through everything inside it, all parameters at once."""
    inside = [node.convolution, *leaves(node.inner)]
    places = [
        i
        for leaf in inside
        for i in range(tree.first[leaf.number - 1], tree.first[leaf.number])
        if i in wanted and not tree.parameters[i][1].switch
    ]

    def value(x):
        filled = [params[i] for i in range(len(tree.parameters))]
        for k, i in enumerate(places):
            filled[i] = x[k]
        return tree.evaluate(node, e_lo, e_hi, tables, filled)

    if not places:
        return Jet(value(()), {}, {})
    at = jnp.stack([params[i] for i in places])
    first = jax.jacfwd(value)(at)
    second = jax.jacfwd(jax.jacfwd(value))(at) if order == 2 else None
    pairs = [(k, m) for k in range(len(places)) for m in range(k, len(places))]
    return Jet(
        value(at),
        {i: first[:, k] for k, i in enumerate(places)},
        {} if order == 1 else {(places[k], places[m]): second[:, k, m] for k, m in pairs},
    )
