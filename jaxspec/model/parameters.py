"""The parameters of a model as its user sees and changes them."""

from __future__ import annotations

import difflib
import math

from jaxspec.errors import InputError
from jaxspec.model.component import Parameter
from jaxspec.model.links import affine, parse_link, references, to_text


class ModelParameter:
    """One parameter of a `Model`: its value, limits, and whether it is free.

    ``min`` and ``max`` are what a fit must not pass; at first they are XSPEC's hard limits.
    XSPEC's soft limits are kept in ``soft_min`` and ``soft_max`` for information; they do not
    bound the fit.

    Attributes
    ----------
    number : int, from 1 across the model, as in XSPEC.
    component : str, "powerlaw", or "gaussian_3" for a repeated one (3 is the component's number).
    name, full_name : str, "PhoIndex" and "powerlaw.PhoIndex".
    label : str, the name where it is unique in the model, else the full name.
    unit : str
    min, max, soft_min, soft_max : float
    frozen : bool
    switch : bool, the parameter chooses between algorithms and is never fitted.
    role, period, symbol : what it means, see `jaxspec.model.component.Parameter`.
    positive : bool, fits step in its logarithm.
    is_set : bool, the user gave the value; a fit then starts from it.
    prior : numpyro distribution or None; fits then give the maximum of the posterior.
    hard : (float, float), the limits before anybody set others.

    Examples
    --------
    >>> from jaxspec.model.model import Model
    >>> model = Model("gaussian+gaussian")
    >>> model["gaussian.LineE"].set(6.4, min=6, max=7)
    gaussian.LineE = 6.4 keV (free)
    >>> model["gaussian_2.LineE"].link_to("p1*7.06/6.4")
    gaussian_2.LineE = 7.06 keV (= p1*7.06/6.4)
    """

    __slots__ = (
        "_model",
        "_index",
        "_link",
        "_value",
        "number",
        "component",
        "name",
        "unit",
        "full_name",
        "switch",
        "role",
        "period",
        "symbol",
        "positive",
        "hard",
        "_min",
        "_max",
        "soft_min",
        "soft_max",
        "frozen",
        "is_set",
        "prior",
    )

    def __init__(self, model, index: int, component: str, definition: Parameter):
        self._model, self._index, self._link = model, index, None
        self.number, self.component = index + 1, component
        self.name, self.unit = definition.name, definition.unit
        self.full_name = f"{component}.{definition.name}"
        self.switch, self.role = definition.switch, definition.role
        self.period, self.symbol = definition.period, definition.symbol
        self.positive = definition.positive
        self.hard = (float(definition.hard_min), float(definition.hard_max))
        self._min, self._max = float(definition.hard_min), float(definition.hard_max)
        self.soft_min, self.soft_max = float(definition.soft_min), float(definition.soft_max)
        self._value = float(definition.default)
        self.frozen = definition.frozen or definition.switch
        self.is_set = False
        self.prior = None

    @property
    def label(self) -> str:
        """The name where no other parameter of the model has it, else the full name."""
        same = sum(p.name.lower() == self.name.lower() for p in self._model.parameters)
        return self.name if same == 1 else self.full_name

    @property
    def value(self) -> float:
        """Value; for a linked parameter, what the link gives."""
        return self._value if self._link is None else float(self._model.values[self._index])

    @value.setter
    def value(self, value):
        self.set(value)

    @property
    def min(self) -> float:
        """Lower limit of fits; assigning one is `set(min=...)`, and may be minus infinity."""
        return self._min

    @min.setter
    def min(self, low):
        self._min = self._limit(low, self._max, "min", low)

    @property
    def max(self) -> float:
        """Upper limit of fits; assigning one is `set(max=...)`, and may be infinite."""
        return self._max

    @max.setter
    def max(self, high):
        self._max = self._limit(self._min, high, "max", high)

    @property
    def link(self) -> str | None:
        """The link as text with parameter numbers, ``"p3/5 + 6.7"``; None if there is none.

        Assigning an expression links the parameter, as in PyXspec; assigning None unlinks it.
        """
        return None if self._link is None else to_text(self._link)

    @link.setter
    def link(self, expression):
        self.unlink() if expression is None else self.link_to(expression)

    @property
    def free(self) -> bool:
        """True if a fit may change the parameter: neither frozen nor linked."""
        return not self.frozen and self._link is None

    def set(self, value=None, *, min=None, max=None):
        """Set the value, the limits, or both.

        Parameters
        ----------
        value : float, optional
            New value; a fit starts from it.
        min, max : float, optional
            New limits of the fit, in place of XSPEC's hard limits; soft limits are clipped.

        Returns
        -------
        ModelParameter
            Itself, so that ``model["nH"].set(0.5).freeze()`` works.

        Raises
        ------
        InputError
            A number that is not finite, a value outside the limits, or a linked parameter.
        """
        if value is not None and self._link is not None:
            self._fail(f"is linked to {self.link}", "call .unlink() before setting a value")
        low = self.min if min is None else self._number(min, "min")
        high = self.max if max is None else self._number(max, "max")
        new = self._value if value is None else self._number(value, "value")
        if low >= high:
            self._fail(f"min {low:g} is not below max {high:g}", "use .freeze(value) to fix it")
        if self._link is None and not low <= new <= high:
            self._fail(
                f"{new:g} is outside the limits {low:g} to {high:g}",
                f"set({new:g}, min=..., max=...) changes both" if value is not None else None,
            )
        self._min, self._max, self._value = low, high, new
        self.soft_min = _clip(self.soft_min, low, high)
        self.soft_max = _clip(self.soft_max, low, high)
        self.is_set = self.is_set or value is not None
        return self

    def narrow(self, low: float, high: float):
        """Draw the limits in, and the value with them, without its counting as the user's.

        Nothing changes where no room would be left between the limits.
        """
        low, high = max(self._min, low), min(self._max, high)
        if low < high:
            self._min, self._max = low, high
            self._value = _clip(self._value, low, high)
            self.soft_min = _clip(self.soft_min, low, high)
            self.soft_max = _clip(self.soft_max, low, high)

    def freeze(self, value=None):
        """Keep the parameter fixed in fits, at ``value`` if one is given."""
        if self._link is not None:
            self._fail(f"is linked to {self.link}", "call .unlink() before freezing it")
        if value is not None:
            self.set(value)
        self.frozen = True
        return self

    def thaw(self):
        """Let fits change the parameter."""
        if self.switch:
            self._fail("is a switch and is never fitted")
        self.frozen = False
        return self

    def link_to(self, expression: str):
        """Make the parameter follow others.

        Parameters
        ----------
        expression : str
            ``"p3/5 + 6.7"`` with XSPEC's numbers or ``"2*powerlaw.PhoIndex"`` with names;
            a bare integer is a number (XSPEC's ``= 3`` is ``"p3"``). See `jaxspec.model.links`
            for the functions.

        Raises
        ------
        InputError
            An expression that cannot be read, or links in a circle.
        """
        tree = parse_link(expression, lambda key: find(self._model, key)._index)
        for index in references(tree):
            if self._model.parameters[index].switch != self.switch:
                self._fail("a switch can be linked to a switch only")
        affine(tree, len(self._model.parameters))  # raises if a constant in it is not finite
        before, self._link = self._link, tree
        try:
            self._model.link_map()
        except InputError:
            self._link = before
            raise
        return self

    def unlink(self):
        """Remove the link; the parameter keeps its present value, drawn to the nearer limit."""
        if self._link is not None:
            value = self.value
            self._link = None
            if math.isfinite(value):
                self._value = _clip(value, self.min, self.max)
        return self

    def _limit(self, low, high, what, given):
        """The limit that is given, if the value lies between both."""
        try:
            number, inside = float(given), low <= self._value <= high
        except (TypeError, ValueError):
            number, inside = math.nan, False
        if math.isnan(number):
            self._fail(f"{what} {given!r} is not a number")
        if not inside and self._link is None:
            self._fail(f"{self._value:g} is outside the limits {low:g} to {high:g}")
        return number

    def _number(self, value, what):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            self._fail(f"{what} {value!r} is not a finite number")
        return number

    def _fail(self, problem, remedy=None):
        raise InputError(problem, parameter=self.full_name, remedy=remedy)

    def __repr__(self):
        return f"{self.full_name} = {self.value:g} {self.unit}".rstrip() + f" ({self.state})"

    @property
    def state(self) -> str:
        """The word "free" or "frozen", or "= " and the link."""
        return f"= {self.link}" if self._link is not None else "frozen" if self.frozen else "free"


def _clip(value, low, high):
    return min(max(value, low), high)


def find(model, key) -> ModelParameter:
    """Find a parameter by number (from 1), full name, or name where it is unique.

    Names are read in any case; a repeated component may carry its number or not where that is
    clear ("gaussian_2.LineE" for the first gaussian).

    Raises
    ------
    InputError
        No such parameter (close names are suggested), or a name that several share.
    """
    parameters = model.parameters
    if not isinstance(key, str):
        number = key if hasattr(key, "__index__") and not isinstance(key, bool) else None
        if number is None or not 1 <= number <= len(parameters):
            raise InputError(
                f"there is no parameter {key!r}",
                remedy=f"{model.expression} has numbers 1 to {len(parameters)}",
            )
        return parameters[int(number) - 1]
    low = key.strip().lower()
    numbered = [f"{c.name}_{i}" for i, c in enumerate(model.tree.components, start=1)]
    owner = [n for n, c in zip(numbered, model.tree.components, strict=True) for _ in c.parameters]
    for spelled in (
        [p.full_name for p in parameters],
        [f"{o}.{p.name}" for o, p in zip(owner, parameters, strict=True)],
        [p.name for p in parameters],
        [p.component for p in parameters],
    ):
        found = [p for p, s in zip(parameters, spelled, strict=True) if s.lower() == low]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(p.full_name for p in found)
            raise InputError(f"{key!r} may be any of {names}", remedy="give one of these names")
    every = {s.lower(): p.full_name for p in parameters for s in (p.name, p.full_name)}
    close = list(dict.fromkeys(every[n] for n in difflib.get_close_matches(low, every)))
    names = " or ".join(close) if close else ", ".join(p.full_name for p in parameters)
    ask = f"did you mean {names}?" if close else f"there are {names}"
    raise InputError(f"there is no parameter {key!r} in {model.expression}", remedy=ask)
