"""What a component of a user's own has to be: its name, its parameters, its function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.model.component import ROLES, Parameter

ON_IMAGES = ("position", "length", "angle", "ellipticity")
KINDS = {"add": "additive", "mul": "multiplicative", "con": "convolution", "image": "image"}
_LEADING = {"con": "inner, e_lo, e_hi", "image": "x, y"}


def name_of(function, name) -> str:
    """Name of a component, by default that of its function."""
    if not callable(function):
        raise InputError(f"{function!r} is not a function", parameter="function")
    name = name or getattr(function, "__name__", "")
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise InputError(f"{name!r} is not a component name", remedy="give name= as one word")
    return name


def parameters_of(owner, given, image) -> list[Parameter]:
    """Parameters of a component of spectra or of an image, as `jaxspec.component` takes them."""
    if isinstance(given, dict) or given is None:
        items = (given or {}).items()
    else:
        items = [(None, p) for p in (given if isinstance(given, Iterable) else [given])]
    made = [_parameter(owner, name, item, image) for name, item in items]
    if sum(p.role == "position" for p in made) % 2:
        raise InputError(f"{owner}: positions come in pairs, x and then y")
    low = [p.name.lower() for p in made]
    if len(set(low)) < len(low):
        raise InputError(f"{owner}: two parameters share a name: {', '.join(low)}")
    return made


def _parameter(owner, name, item, image):
    if isinstance(item, Parameter):
        made = item if name is None else item._replace(name=name)
    else:
        try:
            *numbers, role = item if len(item) == 4 else (*item, "")
            value, low, high = (float(x) for x in numbers)
        except (TypeError, ValueError):
            message = f"{item!r} does not describe a parameter"
            remedy = "give a dict of name to (value, min, max[, role]) or a list of Parameter"
            raise InputError(message, parameter=f"{owner}.{name}", remedy=remedy) from None
        period = 360.0 if role == "angle" else 0.0
        made = Parameter(name, value, low, high, low, high, role=role, period=period)
    allowed = ROLES if image else [r for r in ROLES if r not in ON_IMAGES]
    if made.role not in allowed:
        raise InputError(
            f"{made.role!r} is not a role of a parameter of {'images' if image else 'spectra'}",
            parameter=f"{owner}.{made.name}",
            remedy=f"use one of {', '.join(r for r in allowed if r)}, or none",
        )
    if not made.hard_min <= made.default <= made.hard_max or made.hard_min == made.hard_max:
        limits = f"{made.hard_min:g} to {made.hard_max:g}"
        raise InputError(
            f"{made.default:g} is not inside the limits {limits}", parameter=f"{owner}.{made.name}"
        )
    return made


def check_result(function, kind, name, n_parameter):
    """Refuse a function that cannot be traced, or gives something else than numbers per bin."""
    shape = (2, 3) if kind == "image" else (3,)
    points = jax.ShapeDtypeStruct(shape, np.float64)
    parameters = [jax.ShapeDtypeStruct((), np.float64)] * n_parameter
    call = partial(function, lambda lo, hi: hi - lo) if kind == "con" else function
    try:
        with jax.enable_x64(True):
            made = jax.eval_shape(call, points, points, *parameters)
    except Exception as error:
        text = str(error).strip().splitlines()
        raise InputError(
            f"the function of {name} cannot be compiled: {type(error).__name__}: "
            f"{text[0] if text else ''}",
            remedy="write it with jax.numpy, and choices as jnp.where",
        ) from error
    found = getattr(made, "shape", None)
    if found != shape:
        what = f"an array of shape {found}" if found is not None else f"{made!r}"
        raise InputError(
            f"the function of {name} gives {what} for arguments of shape {shape}",
            remedy=f"give an array of the shape of {_LEADING.get(kind, 'e_lo, e_hi')}",
        )
    if not jnp.issubdtype(made.dtype, jnp.floating):
        raise InputError(
            f"the function of {name} gives numbers of type {made.dtype}",
            remedy="give real ones, such as jnp.where(choice, 1.0, 0.0)",
        )


def check_meaning(component):
    """Refuse coordinates and exchangeable parts that do not work, or of other parameters."""
    name, names = component.name, component.names
    natural = [n for tie in component.natural for n in (tie.of, tie.carried, tie.rival) if n]
    parts = component.exchangeable.parts if component.exchangeable else ()
    if unknown := [n for n in (*natural, *(n for part in parts for n in part)) if n not in names]:
        raise InputError(
            f"{name} has no parameter {unknown[0]!r}",
            parameter="natural" if unknown[0] in natural else "exchangeable",
            remedy=f"use {', '.join(names)}",
        )
    before = set()
    for tie in component.natural:
        if tie.rival and (tie.rival not in before or not tie.corner > 0):
            raise InputError(
                f"has the rival {tie.rival}, which has no natural coordinate before it, or a "
                "corner that is not above 0",
                parameter=f"{name}.{tie.of}",
            )
        before.add(tie.of)
        p = component.parameters[names.index(tie.of)]
        with jax.enable_x64(True):
            x = np.linspace(p.soft_min, p.soft_max, 21)[1:-1]
            to = np.array([float(tie.to(v)) for v in x])
            back = np.array([float(tie.back(v)) for v in to])
        steps = np.diff(to)
        if not (np.all(steps > 0) or np.all(steps < 0)) or not np.allclose(back, x, rtol=1e-6):
            raise InputError(
                "has a natural coordinate that is not monotone between the limits, or whose `back` "
                "is not the inverse of `to`",
                parameter=f"{name}.{tie.of}",
            )


def check_signature(function, kind, name, expected, tables):
    """Refuse a function that takes other arguments than the parameters say."""
    given = list(inspect.signature(function).parameters.values())
    leading = 3 if kind == "con" else 2
    places = [a.name for a in given if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    if len(places) >= leading and any(a.kind == a.VAR_POSITIONAL for a in given):
        return
    ends = places[leading + len(expected) :]
    if places[leading : leading + len(expected)] != expected or len(ends) != len(tables):
        expected = [*expected, *tables]
        first = _LEADING.get(kind, "e_lo, e_hi")
        raise InputError(
            f"the function of {name} takes ({', '.join(places)})",
            remedy=f"it should take ({', '.join([first, *expected])})",
        )
