"""What a caller gave, asked where it comes in: what is of the wrong kind is an `InputError`."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from jaxspec.errors import InputError


def path_text(path, parameter="path") -> str:
    """Text of a path or an address; raises `InputError` for what is none.

    Examples
    --------
    >>> path_text("a.pha")
    'a.pha'
    """
    if isinstance(path, str | os.PathLike):
        return os.fspath(path)
    raise InputError(f"is {path!r:.60}", parameter=parameter, remedy="give a path")


def changed(item, changes) -> Any:
    """`dataclasses.replace`; a field that there is not raises `InputError` with the nearest."""
    names = [field.name for field in fields(item)]
    for name in changes.keys() - set(names):
        near = get_close_matches(name, names, 1)
        raise InputError(
            f"a {type(item).__name__} has no field {name!r}",
            remedy=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}",
        )
    return replace(item, **changes)


def expect(value, attribute, parameter, remedy):
    """Raise `InputError` for what lacks an attribute that such things have."""
    if not hasattr(value, attribute):
        raise InputError(f"is {value!r:.60}", parameter=parameter, remedy=f"give {remedy}")


def generator(seed) -> np.random.Generator:
    """Random numbers from a seed; raises `InputError` for what is none."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise InputError(
            f"is {seed!r:.60}", parameter="seed", remedy="give a whole number from 0 on"
        ) from None


def numbers(value, parameter, remedy="give a number") -> np.ndarray:
    """Array of float64 of a number or of several; raises `InputError` for what is none.

    Examples
    --------
    >>> numbers([1, 2], "exposure")
    array([1., 2.])
    """
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"is {value!r:.60}", parameter=parameter, remedy=remedy) from None
