"""Links between parameters: one parameter as an expression of others, ``p3/5 + 6.7``.

Parameters are written as XSPEC's ``p3`` (numbers from 1) or by name, ``powerlaw.PhoIndex``. A bare
integer is a number here: XSPEC reads ``= 3`` as parameter 3, in jaxspec that is ``p3``.

Links that are affine (a constant plus multiples of parameters) become rows of a matrix, so that
changing them costs no compilation; all others stay expressions and are static.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.model.expression import fail_at

MAX_TOKENS = 200  # of one link; keeps the recursion over the expression shallow


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Reference:
    """The parameter with this index, counted from 0."""

    index: int


@dataclass(frozen=True)
class Call:
    """A function or an operator (``+ - * / ^ neg``) of expressions."""

    function: str
    arguments: tuple


def _degrees(function):
    return lambda x: function(jnp.deg2rad(x))


def _boxcar(x):
    return jnp.where((x > 0) & (x < 1), jnp.ones_like(x), jnp.zeros_like(x))


# name -> (number of arguments, function); XSPEC's LOG is to base 10
FUNCTIONS = {
    "+": (2, jnp.add),
    "-": (2, jnp.subtract),
    "*": (2, jnp.multiply),
    "/": (2, jnp.divide),
    "^": (2, jnp.power),
    "neg": (1, jnp.negative),
    "EXP": (1, jnp.exp),
    "SIN": (1, jnp.sin),
    "SIND": (1, _degrees(jnp.sin)),
    "COS": (1, jnp.cos),
    "COSD": (1, _degrees(jnp.cos)),
    "TAN": (1, jnp.tan),
    "TAND": (1, _degrees(jnp.tan)),
    "SINH": (1, jnp.sinh),
    "COSH": (1, jnp.cosh),
    "TANH": (1, jnp.tanh),
    "LOG": (1, jnp.log10),
    "LN": (1, jnp.log),
    "SQRT": (1, jnp.sqrt),
    "ABS": (1, jnp.abs),
    "INT": (1, jnp.trunc),
    "ASIN": (1, jnp.arcsin),
    "ACOS": (1, jnp.arccos),
    "ATAN": (1, jnp.arctan),
    "ERF": (1, jax.scipy.special.erf),
    "ERFC": (1, jax.scipy.special.erfc),
    "GAMMA": (1, jax.scipy.special.gamma),
    "SIGN": (1, jnp.sign),
    "HEAVISIDE": (1, lambda x: jnp.heaviside(x, 0.5)),
    "BOXCAR": (1, _boxcar),
    "ATAN2": (2, jnp.arctan2),
    "MAX": (2, jnp.maximum),
    "MIN": (2, jnp.minimum),
}
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "^": 4}
_TOKEN = re.compile(
    r"\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z_][\w.]*)|(\*\*|[-+*/^(),])|(\S))"
)


def parse_link(text: str, find: Callable[[str], int]) -> Number | Reference | Call:
    """Read a link expression.

    Parameters
    ----------
    text : str, for instance ``"p3/5 + 6.7"`` or ``"2*powerlaw.PhoIndex"``.
    find : callable, gives the index from 0 of a parameter's number (int) or name (str), or
        raises InputError.

    Raises
    ------
    InputError
        With the expression and a caret under the place of the error.

    Examples
    --------
    >>> parse_link("-p2", lambda number: number - 1)
    Call(function='neg', arguments=(Reference(index=1),))
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"a link is an expression such as 'p3/5 + 6.7', not {text!r}")
    parser = _Parser(text, find)
    tree = parser.expression(1)
    if parser.kind != "end":
        parser.fail("not expected here")
    return tree


class _Parser:
    """Precedence climbing: ``+ -``, then ``* /``, then the sign, then ``^`` from the right."""

    def __init__(self, text, find):
        self.text, self.find = text, find
        self.tokens, self.place = list(_tokens(text)), 0
        if len(self.tokens) > MAX_TOKENS:
            raise InputError(f"a link has more than {MAX_TOKENS} words and signs")

    @property
    def kind(self):
        return self.tokens[self.place][0]

    @property
    def word(self):
        return self.tokens[self.place][1]

    def fail(self, message):
        fail_at(self.text, self.tokens[self.place][2], message)

    def take(self, sign):
        if self.word != sign:
            self.fail(f"{sign!r} is missing here")
        self.place += 1

    def expression(self, rank):
        left = self.operand()
        while self.kind == "sign" and _RANK.get(self.word, 0) >= rank:
            name = self.word
            self.place += 1
            right = self.expression(_RANK[name] if name == "^" else _RANK[name] + 1)
            left = Call(name, (left, right))
        return left

    def operand(self):
        kind, word = self.kind, self.word
        if word in ("-", "+"):
            self.place += 1
            inner = self.expression(_RANK["neg"])
            return Call("neg", (inner,)) if word == "-" else inner
        if word == "(":
            self.place += 1
            inner = self.expression(1)
            self.take(")")
            return inner
        if kind == "number":
            self.place += 1
            return Number(float(word))
        if kind == "name":
            return self.call() if self.tokens[self.place + 1][1] == "(" else self.reference()
        return self.fail("a number or a parameter is missing here")

    def reference(self):
        number = re.fullmatch(r"[pP](\d+)", self.word)
        try:
            index = self.find(int(number[1]) if number else self.word)
        except InputError as error:
            self.fail(str(error))
        self.place += 1
        return Reference(index)

    def call(self):
        name = self.word.upper()
        if name not in FUNCTIONS:
            self.fail(f"there is no function {self.word!r}")
        self.place += 2
        arguments = [self.expression(1)]
        while self.word == ",":
            self.place += 1
            arguments.append(self.expression(1))
        count = FUNCTIONS[name][0]
        if len(arguments) != count:
            self.fail(f"{name} takes {count} argument{'s' * (count > 1)}, not {len(arguments)}")
        self.take(")")
        return Call(name, tuple(arguments))


def _tokens(text):
    """(kind, word, position) triples, the last of kind "end"."""
    place = 0
    while match := _TOKEN.match(text, place):
        number, name, sign, other = match.groups()
        place, position = match.end(), match.start(match.lastindex)
        if other:
            fail_at(text, position, f"{other!r} has no meaning in a link")
        kind = "number" if number else "name" if name else "sign"
        yield kind, "^" if sign == "**" else number or name or sign, position
    yield "end", "", len(text.rstrip())


def to_text(tree, rank: int = 0) -> str:
    """Write a link as text with XSPEC's parameter numbers.

    Examples
    --------
    >>> to_text(parse_link("(p3+1)*2", lambda number: number - 1))
    '(p3 + 1)*2'
    """
    if isinstance(tree, Number):
        short = f"{tree.value:g}"
        return short if float(short) == tree.value else repr(tree.value)
    if isinstance(tree, Reference):
        return f"p{tree.index + 1}"
    if tree.function not in _RANK:
        return f"{tree.function}({', '.join(map(to_text, tree.arguments))})"
    own = _RANK[tree.function]
    if tree.function == "neg":
        text = f"-{to_text(tree.arguments[0], own)}"
    else:
        # ^ groups from the right, the others from the left: the other side needs parentheses
        right = tree.function == "^"
        left_text = to_text(tree.arguments[0], own + right)
        sign = f" {tree.function} " if own == 1 else tree.function
        text = left_text + sign + to_text(tree.arguments[1], own + (not right))
    return f"({text})" if own < rank else text


def references(tree) -> frozenset[int]:
    """Collect the indices of the parameters in a link."""
    if isinstance(tree, Reference):
        return frozenset([tree.index])
    return frozenset().union(*map(references, getattr(tree, "arguments", ())))


def relabel(tree, places):
    """Return the link with every parameter index i replaced by ``places[i]``."""
    if isinstance(tree, Reference):
        return Reference(places[tree.index])
    if isinstance(tree, Call):
        return Call(tree.function, tuple(relabel(a, places) for a in tree.arguments))
    return tree


def evaluate(tree, params):
    """Value of a link, a scalar of JAX, for all parameters ``params`` (n_par,)."""
    if isinstance(tree, Number):
        return jnp.asarray(tree.value, dtype=params.dtype)
    if isinstance(tree, Reference):
        return params[tree.index]
    return FUNCTIONS[tree.function][1](*(evaluate(a, params) for a in tree.arguments))


def affine(tree, n_par: int) -> tuple[np.ndarray, float] | None:
    """Row (n_par,) and offset of a link that is affine in the parameters, else None.

    Raises
    ------
    InputError
        A constant part of the link is not finite (a division by zero).

    Examples
    --------
    >>> affine(parse_link("p2/5 + 6.7", lambda number: number - 1), 2)
    (array([0. , 0.2]), 6.7)
    """
    if not references(tree):
        with jax.enable_x64(True):
            value = float(evaluate(tree, jnp.zeros(0)))
        if not np.isfinite(value):
            raise InputError(f"{to_text(tree)} in a link is {value}")
        return np.zeros(n_par), value
    if isinstance(tree, Reference):
        row = np.zeros(n_par)
        row[tree.index] = 1.0
        return row, 0.0
    parts = [affine(a, n_par) for a in tree.arguments]
    if None in parts:
        return None
    return _affine_call(tree.function, parts)


def _affine_call(name, parts):
    if name == "neg":
        return -parts[0][0], -parts[0][1]
    if name not in ("+", "-", "*", "/"):
        return None
    (left_row, left), (right_row, right) = parts
    if name == "+":
        return left_row + right_row, left + right
    if name == "-":
        return left_row - right_row, left - right
    if name == "*" and not left_row.any():
        return left * right_row, left * right
    if right_row.any():
        return None
    if name == "*":
        return right * left_row, right * left
    if right == 0.0:
        raise InputError("a link divides by zero")
    return left_row / right, left / right


class LinkMap(NamedTuple):
    """All links of a model: parameters = matrix @ theta + offset, then the functions in order.

    Parameters
    ----------
    matrix : (n_par, n_par) float64; rows of the identity where there is no link.
    offset : (n_par,) float64
    functions : tuple of (index, expression), the links that are not affine; hashable.
    """

    matrix: np.ndarray
    offset: np.ndarray
    functions: tuple


def resolve_links(links: dict, names) -> LinkMap:
    """Order the links and resolve chains of them.

    Parameters
    ----------
    links : dict from parameter index to link expression.
    names : sequence of the full names of all parameters, for messages.

    Raises
    ------
    InputError
        Links that run in a circle.
    """
    n_par = len(names)
    matrix, offset, functions = np.eye(n_par), np.zeros(n_par), []
    waiting = dict(links)
    static: set[int] = set()
    while waiting:
        ready = [i for i, tree in waiting.items() if not references(tree) & waiting.keys()]
        if not ready:
            raise InputError(f"the links of {', '.join(names[i] for i in waiting)} run in a circle")
        for i in ready:
            tree = waiting.pop(i)
            form = None if references(tree) & static else affine(tree, n_par)
            if form is None:
                static.add(i)
                functions.append((i, tree))
                matrix[i] = 0.0
            else:
                row, constant = form
                matrix[i], offset[i] = row @ matrix, row @ offset + constant
    return LinkMap(matrix, offset, tuple(functions))


def apply_links(theta, matrix, offset, functions):
    """Parameters of the model from the parameters of the fit.

    Parameters
    ----------
    theta : (n_par,), all parameters; entries that are linked are ignored.
    matrix, offset, functions : see `LinkMap`; the functions must be static under ``jax.jit``.

    Returns
    -------
    (n_par,) parameters that obey all links.
    """
    # full precision also on devices that multiply float32 matrices in fewer bits by default
    params = jnp.matmul(matrix, theta, precision="highest") + offset
    for index, tree in functions:
        params = params.at[index].set(evaluate(tree, params))
    return params
