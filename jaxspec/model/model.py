"""`Model`: what a user writes, changes and fits."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec._text import align
from jaxspec.errors import InputError
from jaxspec.model import parameters as _parameters
from jaxspec.model.component import Component
from jaxspec.model.domain import vocabulary, with_background
from jaxspec.model.expression import Node, add, leaves, multiply, parse, renumber
from jaxspec.model.links import LinkMap, apply_links, relabel, resolve_links
from jaxspec.model.parameters import ModelParameter
from jaxspec.model.surface_catalogue import BACKGROUND
from jaxspec.model.tree import Tree, build

_KEPT = ("_value", "_min", "_max", "soft_min", "soft_max", "frozen", "prior", "is_set")


class Model:
    """A model of a spectrum or of an image, with its parameters.

    Parameters
    ----------
    expression : str
        XSPEC expression, ``"TBabs*(diskbb+powerlaw)"``; prefixes, aliases and any case will do.
        Or a sum of image components, ``"double_beta+point"``: an expression that has the full
        name of one is about an image, and gets a ``background`` at its end.
    abund : str, XSPEC's abundance table ("angr", "wilm", ...).
    xsect : str, photoelectric cross sections ("vern", "bcmc", "obcm").
    components : sequence of what `jaxspec.component` made, usable in the expression by name.

    Raises
    ------
    InputError
        An expression that cannot be read; the message shows the place.

    Notes
    -----
    ``js.models.TBabs()*(js.models.diskbb()+js.models.powerlaw())`` makes the same model. Python
    reads ``a*b*c`` as ``(a*b)*c``, so that a convolution acts on everything that is multiplied
    from its right; call it, ``cflux(edge)*powerlaw``, to have it act on one part alone.

    Examples
    --------
    >>> model = Model("wa(po)")
    >>> model.expression
    'wabs*powerlaw'
    >>> model["PhoIndex"].set(2.0, min=0, max=5)
    powerlaw.PhoIndex = 2 (free)
    >>> model["wabs.nH"].freeze(0.5).frozen
    True
    >>> model.free_names
    ('powerlaw.PhoIndex', 'powerlaw.norm')
    >>> image = Model("beta")
    >>> image.expression, image.domain
    ('beta+background', 'image')
    >>> image["B"].freeze(0.0)  # no background
    background.B = 0 ct / pixel (frozen)
    """

    __array_ufunc__ = None  # NumPy numbers leave ``number * model`` to __rmul__
    __hash__ = None

    def __init__(
        self,
        expression: str,
        *,
        abund: str = "angr",
        xsect: str = "vern",
        components: Sequence = (),
    ):
        if not isinstance(components, Iterable):
            components = [components]
        found = [getattr(c, "component", c) for c in components]
        if wrong := [c for c in found if not isinstance(c, Component)]:
            raise InputError(
                f"{wrong[0]!r} is no component",
                parameter="components",
                remedy="give what js.component made",
            )
        own = {c.name: c for c in found}
        if len(own) < len(found):
            raise InputError("two of them have one name", parameter="components")
        self._start(parse(expression, *vocabulary(expression, own)), abund, xsect)

    @classmethod
    def of(cls, root: Node, abund: str = "angr", xsect: str = "vern") -> Model:
        """Model of a component tree whose components are numbered from 1, with default values."""
        model = cls.__new__(cls)
        model._start(root, abund, xsect)
        return model

    def _start(self, root, abund, xsect):
        if next(leaves(root)).component.domain == "image":
            root = with_background(root)
        self._tree = build(root, abund, xsect)
        self._chain = (root,)  # factors that a further ``*`` continues, see _product
        names = [name.rpartition(".")[0] for name, _ in self._tree.parameters]
        self._parameters = tuple(
            ModelParameter(self, i, names[i], p) for i, (_, p) in enumerate(self._tree.parameters)
        )

    @property
    def tree(self) -> Tree:
        """The static component tree, for evaluation."""
        return self._tree

    @property
    def expression(self) -> str:
        """The expression with XSPEC's spelling of every name."""
        return str(self._tree)

    @property
    def domain(self) -> str:
        """What the model describes: "spectrum" or "image"."""
        return self._tree.domain

    @property
    def abund(self) -> str:
        """Abundance table; may be assigned."""
        return self._tree.settings.abund

    @abund.setter
    def abund(self, abund):
        self._tree = build(self._tree.root, abund, self.xsect)

    @property
    def xsect(self) -> str:
        """Photoelectric cross sections; may be assigned."""
        return self._tree.settings.xsect

    @xsect.setter
    def xsect(self, xsect):
        self._tree = build(self._tree.root, self.abund, xsect)

    @property
    def parameters(self) -> tuple[ModelParameter, ...]:
        """All parameters in XSPEC's order, norms included."""
        return self._parameters

    @property
    def values(self) -> np.ndarray:
        """Values (n_par,) of all parameters, links applied."""
        raw = np.array([p._value for p in self._parameters])
        if all(p._link is None for p in self._parameters):
            return raw
        with jax.enable_x64(True):
            return np.array(apply_links(raw, *self.link_map()))

    def at(self, values) -> Model:
        """Copy with other values (n_par,); linked parameters follow what they are linked to."""
        model = self.copy()
        for parameter, value in zip(model.parameters, values, strict=True):
            if parameter.link is None:
                parameter.value = float(value)
        return model

    def linked(self, values) -> np.ndarray:
        """Values (..., n_par) with the links of the model applied to them."""
        links = self.link_map()
        with jax.enable_x64(True):
            apply = jnp.vectorize(lambda one: apply_links(one, *links), signature="(n)->(n)")
            return np.array(apply(np.asarray(values, float)))

    @property
    def free_names(self) -> tuple[str, ...]:
        """Full names of the parameters that a fit changes."""
        return tuple(p.full_name for p in self._parameters if p.free)

    def link_map(self) -> LinkMap:
        """All links: numbers for the affine ones, expressions for the others."""
        links = {i: p._link for i, p in enumerate(self._parameters) if p._link is not None}
        return resolve_links(links, [p.full_name for p in self._parameters])

    def __getitem__(self, key) -> ModelParameter:
        """Parameter by number from 1, by full name, or by name where it is unique."""
        return _parameters.find(self, key)

    def __setitem__(self, key, value):
        """Set the value of a parameter, as ``model[key].set(value)`` does."""
        self[key].set(value)

    def __setattr__(self, name, value):
        if not name.startswith("_") and name not in ("abund", "xsect"):
            raise InputError(
                f"a model has no attribute {name!r} that could be assigned",
                remedy=f'set a parameter with model["{name}"].set({value!r})',
            )
        super().__setattr__(name, value)

    def __iter__(self):
        return iter(self._parameters)

    def __len__(self):
        return len(self._parameters)

    def copy(self) -> Model:
        """Return an independent copy with the same values, limits and links."""
        new = Model.of(self._tree.root, self.abund, self.xsect)
        new._chain = self._chain
        return new._adopt(self, range(len(self)))

    def _adopt(self, other, places):
        """Take over the state of another model's parameters; number i becomes ``places[i]``."""
        for p in other._parameters:
            mine = self._parameters[places[p._index]]
            for name in ("unit", *_KEPT):
                setattr(mine, name, getattr(p, name))
            mine._link = None if p._link is None else relabel(p._link, places)
        return self

    def _join(self, other, root):
        abund, xsect = _tables(self, other)
        new = Model.of(root, abund, xsect)
        count = len(self)
        return new._adopt(self, range(count))._adopt(other, range(count, count + len(other)))

    def _join_images(self, other):
        """Sum of two image models; the background is that of the operand that changed it."""
        new = Model.of(with_background(self._tree.root, other._tree.root))
        count = len(BACKGROUND.parameters)
        end = range(len(new) - count, len(new))
        default, mine, theirs = (model._state()[-count:] for model in (new, self, other))
        if mine != default and theirs != default and mine != theirs:
            raise InputError(
                "both operands have a background of their own",
                remedy="leave the background of one of them as it is",
            )
        edge = len(self) - count
        steps = [(self, [*range(edge), *end]), (other, [*range(edge, len(new) - count), *end])]
        for model, places in steps if theirs != default else reversed(steps):
            new._adopt(model, places)
        return new

    def __add__(self, other):
        if (other := _operand(other, "+")) is NotImplemented:
            return other
        if _shared_domain(self, other) == "image":
            return self._join_images(other)
        nodes = [self._tree.root, renumber(other._tree.root, len(self._tree.components))]
        return self._join(other, add(nodes, _fail))

    def __mul__(self, other):
        if (other := _operand(other, "*")) is NotImplemented:
            return other
        if _shared_domain(self, other) == "image":
            raise InputError("models of images cannot be multiplied", remedy="join them with +")
        count = len(self._tree.components)
        # on the right, an operand of several factors stood in parentheses: it is one group,
        # unless it still waits for something to convolve
        right = other._chain if other._tree.kind == "con" else (other._tree.root,)
        chain = [*self._chain, *(renumber(node, count) for node in right)]
        new = self._join(other, multiply(chain, _fail, open_end=True))
        new._chain = tuple(chain)
        return new

    def __call__(self, inner) -> Model:
        """Apply a convolution (or factor) to one part: ``cflux(edge)*powerlaw``."""
        if self._tree.kind == "add":
            raise InputError(f"{self.expression} is additive and acts on nothing")
        new = self * inner
        new._chain = (new._tree.root,)
        return new

    def __radd__(self, other):
        return _operand(other, "+")

    def __rmul__(self, other):
        return _operand(other, "*")

    def __eq__(self, other):
        if not isinstance(other, Model):
            return NotImplemented
        return self._tree == other._tree and self._state() == other._state()

    def _state(self):
        return [[*(getattr(p, n) for n in _KEPT), p._link] for p in self._parameters]

    def _rows(self):
        values, names = self.values, self._tree.names
        for p, value in zip(self._parameters, values, strict=True):
            number = str(names.index(p.component) + 1)
            limits = f"{p.min:g} .. {p.max:g}"
            yield str(p.number), number, p.component, p.name, p.unit, f"{value:g}", limits, p.state

    def _title(self):
        tables = [f"(abund {self.abund}, xsect {self.xsect})"] if self.domain == "spectrum" else []
        return [self.expression, *tables]

    def __repr__(self):
        rows = align([_HEADER, *self._rows()], right=(0, 1, 5))
        return "\n".join(["   ".join(self._title()), *rows])

    def _repr_html_(self):
        title = html.escape(" ".join(self._title()))
        head = "".join(f"<th>{cell}</th>" for cell in _HEADER)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return f"<table><caption>{title}</caption><tr>{head}</tr>{body}</table>"


_WHAT = {"spectrum": "spectra", "image": "images"}
_HEADER = ("par", "comp", "component", "parameter", "unit", "value", "limits", "state")


def _fail(message, _):
    raise InputError(message)


def _operand(other, sign):
    """Return the right operand of an operator if it is a model; explain what else is meant."""
    if isinstance(other, Model):
        return other
    if isinstance(other, int | float | np.number):
        raise InputError(
            f"a number cannot be an operand of {sign} here",
            remedy=f"use the component models.constant(factor={other}), whose factor is fitted "
            "unless it is frozen",
        )
    if isinstance(getattr(other, "component", None), Component):
        raise InputError(f"{other.component.name} has to be called", remedy="write it with ()")
    return NotImplemented


def _shared_domain(left, right):
    if left.domain != right.domain:
        raise InputError(
            f"{left.expression} is a model of {_WHAT[left.domain]}, {right.expression} one of "
            f"{_WHAT[right.domain]}; they cannot be joined",
            remedy="fit spectra and images with models of their own",
        )
    return left.domain


def _tables(left, right):
    """Abundances and cross sections of two models; the one that uses them decides."""

    def uses(model):
        return any(c.prepare is not None for c in model.tree.components)

    pairs = [(m.abund, m.xsect) for m in (left, right) if uses(m)] or [(left.abund, left.xsect)]
    if len(set(pairs)) > 1:
        raise InputError(
            f"the operands have different abund, xsect: {pairs[0]} and {pairs[1]}",
            remedy="assign .abund and .xsect of one of them",
        )
    return pairs[0]
