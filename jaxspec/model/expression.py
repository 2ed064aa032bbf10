"""XSPEC model expressions: text to a tree of components and back.

``TBabs*(diskbb+powerlaw)``, ``phabs(po+ga)``, ``(po+ga)wabs`` and ``cflux*po`` are read as XSPEC
reads them: names may be shortened to a unique prefix in any case, ``*`` may be left out next to
a parenthesis, and a convolution acts on everything to its right within its product, so that
``zashift*edge*po`` shifts ``edge*po`` while ``(zashift*edge)*po`` shifts the edge alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jaxspec.errors import InputError
from jaxspec.model.component import Component

MAX_DEPTH = 50  # parentheses or convolutions inside each other; real models need three or four
_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|([0-9.]+)|(\S))")


@dataclass(frozen=True)
class Leaf:
    """One component; ``number`` counts from 1 across the expression, as XSPEC's do."""

    component: Component
    number: int

    def __str__(self):
        return self.component.name


@dataclass(frozen=True)
class Sum:
    """Additive terms; none of them is itself a Sum."""

    terms: tuple

    def __str__(self):
        return "+".join(map(str, self.terms))


@dataclass(frozen=True)
class Product:
    """Factors of which at most one is additive; none of them is itself a Product."""

    factors: tuple

    def __str__(self):
        *first, last = self.factors
        words = [f"({f})" if isinstance(f, Sum | Convolved) else str(f) for f in first]
        return "*".join([*words, f"({last})" if isinstance(last, Sum) else str(last)])


@dataclass(frozen=True)
class Convolved:
    """A convolution component (a Leaf) acting on everything in ``inner``."""

    convolution: Leaf
    inner: Leaf | Sum | Product | Convolved

    def __str__(self):
        inner = f"({self.inner})" if isinstance(self.inner, Sum) else str(self.inner)
        return f"{self.convolution}*{inner}"


Node = Leaf | Sum | Product | Convolved


def kind(node: Node) -> str:
    """Kind of a tree: "add" (a flux), "mul" (factors), "con" (a convolution lacks its input)."""
    if isinstance(node, Leaf):
        return node.component.kind
    if isinstance(node, Sum):
        return "add"
    if isinstance(node, Convolved):
        return kind(node.inner)
    kinds = [kind(f) for f in node.factors]
    return "con" if kinds[-1] == "con" else "add" if "add" in kinds else "mul"


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield the components from left to right, in the order of their parameters."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Convolved):
        yield node.convolution
        yield from leaves(node.inner)
    else:
        for part in node.terms if isinstance(node, Sum) else node.factors:
            yield from leaves(part)


def renumber(node: Node, shift: int) -> Node:
    """Return the tree with ``shift`` added to every component number."""
    if isinstance(node, Leaf):
        return Leaf(node.component, node.number + shift)
    if isinstance(node, Convolved):
        return Convolved(renumber(node.convolution, shift), renumber(node.inner, shift))
    if isinstance(node, Sum):
        return Sum(tuple(renumber(t, shift) for t in node.terms))
    return Product(tuple(renumber(f, shift) for f in node.factors))


def add(terms: list, fail: Callable) -> Node:
    """Sum of terms, each of which must be additive; ``fail(message, index)`` raises."""
    flat = []
    for i, term in enumerate(terms):
        if kind(term) != "add" and len(terms) > 1:
            what = "a convolution" if kind(term) == "con" else "a multiplicative component"
            fail(f"{term} is {what} and cannot be a term of a sum on its own", i)
        flat.extend(term.terms if isinstance(term, Sum) else [term])
    return Sum(tuple(flat)) if len(flat) > 1 else flat[0]


def multiply(factors: list, fail: Callable, *, open_end: bool = False) -> Node:
    """Product of factors, convolutions taken from right to left; ``fail(message, index)`` raises.

    ``open_end`` allows a convolution at the end, for a product that is still being built.
    """
    additive = [i for i, f in enumerate(factors) if kind(f) == "add"]
    if len(additive) > 1:
        fail("two additive parts cannot be multiplied; join them with +", additive[1])
    if sum(kind(f) == "con" for f in factors) > MAX_DEPTH:
        fail(f"more than {MAX_DEPTH} convolutions in one product", 0)
    if kind(factors[-1]) == "con" and not open_end and len(factors) > 1:
        fail(f"the convolution {factors[-1]} has nothing to its right to act on", len(factors) - 1)
    flat: list = []
    for factor in reversed(factors):
        if kind(factor) == "con" and flat and kind(flat[-1]) != "con":
            inner = Product(tuple(flat)) if len(flat) > 1 else flat[0]
            flat = [Convolved(factor, inner)]
        else:
            flat = [*(factor.factors if isinstance(factor, Product) else [factor]), *flat]
    return Product(tuple(flat)) if len(flat) > 1 else flat[0]


def fail_at(text: str, position: int, message: str):
    """Raise InputError with the expression and a caret under the place."""
    start = max(0, position - 60) if len(text) > 120 else 0  # a window of what is very long
    shown = re.sub(r"\s", " ", text[start : start + 120])
    raise InputError(f"{message}\n    {shown}\n    {' ' * (position - start)}^")


def resolve(word: str, components: dict, aliases: dict) -> Component:
    """Find the component that a word stands for.

    Parameters
    ----------
    word : str, a name, an alias or a unique prefix, in any case.
    components : dict from name to Component.
    aliases : dict from lower-case alias to name.

    Raises
    ------
    InputError
        The word is unknown (close names are suggested) or an ambiguous prefix.
    """
    low = word.lower()
    for name, component in components.items():
        if name.lower() == low:
            return component
    if low in aliases:
        return components[aliases[low]]
    found = [name for name in components if name.lower().startswith(low)]
    if len(found) == 1:
        return components[found[0]]
    if found:
        raise InputError(f"{word!r} is ambiguous: it may be {', '.join(sorted(found))}")
    lower = {name.lower(): name for name in components} | aliases
    close = list(dict.fromkeys(lower[n] for n in difflib.get_close_matches(low, lower)))
    hint = f"; did you mean {' or '.join(close)}?" if close else "; `jaxspec models` lists them"
    raise InputError(f"there is no model component {word!r}{hint}")


def parse(
    text: str, components: dict, aliases: dict | None = None, *, complete: bool = True
) -> Node:
    """Read an XSPEC expression.

    Parameters
    ----------
    text : str, the expression.
    components : dict from name to Component: the words that may occur.
    aliases : dict from lower-case alias to name.
    complete : bool, False admits an expression without an additive component ("phabs*edge").

    Returns
    -------
    Leaf, Sum, Product or Convolved
        ``str()`` of it is the canonical expression, which parses to an equal tree.

    Raises
    ------
    InputError
        With the expression and a caret under the place of the error.

    Examples
    --------
    >>> po, wabs = Component("powerlaw", "add", (), None), Component("wabs", "mul", (), None)
    >>> str(parse("wa(po + PO)", {"powerlaw": po, "wabs": wabs}))
    'wabs*(powerlaw+powerlaw)'
    """
    if not isinstance(text, str):
        raise InputError(f"a model expression is a string, not {type(text).__name__}")
    if not text.strip():
        raise InputError("the model expression is empty", remedy='write for instance "powerlaw"')
    parser = _Parser(text, components, aliases or {})
    node = parser.sum(0)
    if parser.token != "end":
        parser.fail("this parenthesis closes nothing" if parser.token == ")" else "not expected")
    if kind(node) == "con":
        fail_at(text, 0, f"the convolution {node} has nothing to act on")
    if complete and kind(node) == "mul":
        fail_at(text, 0, f"{node} is multiplicative and needs an additive component to act on")
    return node


class _Parser:
    """Recursive descent over the tokens; ``token`` is a word, one of ``+*()`` or "end"."""

    def __init__(self, text, components, aliases):
        self.text, self.components, self.aliases = text, components, aliases
        self.tokens = list(_tokens(text))
        self.place = 0
        self.number = 0

    @property
    def token(self):
        return self.tokens[self.place][0]

    @property
    def position(self):
        return self.tokens[self.place][1]

    def fail(self, message):
        fail_at(self.text, self.position, message)

    def _fail_among(self, positions):
        return lambda message, index: fail_at(self.text, positions[index], message)

    def sum(self, depth):
        positions, terms = [self.position], [self.product(depth)]
        while self.token == "+":
            self.place += 1
            positions.append(self.position)
            terms.append(self.product(depth))
        return add(terms, self._fail_among(positions))

    def product(self, depth):
        positions, factors = [self.position], [self.factor(depth)]
        while self.token not in ("+", ")", "end"):
            explicit, beside = self.token == "*", self.tokens[self.place - 1][0] == ")"
            if explicit:
                self.place += 1
            elif self.token != "(" and not beside:
                self.fail("two words side by side: write * or + between them")
            positions.append(self.position)
            factors.append(self.factor(depth))
        return multiply(factors, self._fail_among(positions))

    def factor(self, depth):
        if self.token == "(":
            if depth >= MAX_DEPTH:
                self.fail(f"more than {MAX_DEPTH} parentheses inside each other")
            opening = self.position
            self.place += 1
            node = self.sum(depth + 1)
            if self.token != ")":
                fail_at(self.text, opening, "this parenthesis is never closed")
            if kind(node) == "con":
                self.fail(f"the convolution {node} has nothing to act on before this parenthesis")
            self.place += 1
            return node
        if self.token in ("+", "*", ")", "end"):
            what = "the end" if self.token == "end" else repr(self.token)
            self.fail(f"a component is missing before {what}")
        word, position = self.tokens[self.place]
        self.place += 1
        self.number += 1
        try:
            return Leaf(resolve(word, self.components, self.aliases), self.number)
        except InputError as error:
            fail_at(self.text, position, str(error))


def _tokens(text):
    """(token, position) pairs; everything that no expression may hold is refused here."""
    place = 0
    while match := _TOKEN.match(text, place):
        word, number, sign = match.groups()
        position, place = match.start(match.lastindex), match.end()
        if word and text[place : place + 1] == "{":
            fail_at(text, position, "table models (atable, mtable, etable) are not supported yet")
        if number and text[place : place + 1] == ":":
            fail_at(text, position, "numbered and named models (2:name) are not supported")
        if number:
            fail_at(text, position, f"a number is not a component; constant (factor={number}) is")
        if sign and sign not in "+*()":
            fail_at(text, position, f"{sign!r} has no meaning in a model expression")
        yield word or sign, position
    yield "end", len(text.rstrip())
