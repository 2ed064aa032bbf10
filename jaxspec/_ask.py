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


def probability(value, parameter) -> float:
    """A number between 0 and 1, both excluded; raises `InputError` for what is none.

    Examples
    --------
    >>> probability(0.9, "level")
    0.9
    """
    found = numbers(value, parameter)
    if found.ndim or not 0 < found < 1:
        raise InputError(
            f"is {value!r:.60}, no probability", parameter=parameter, remedy="give 0.9 for 90 %"
        )
    return float(found)


def row_number(names, row) -> int:
    """Number of a row from its number or its name; ``names`` are those of all rows.

    Raises
    ------
    InputError
        There is no such row.
    """
    if isinstance(row, str):
        if row not in names:
            raise InputError(f"there is no row named {row!r}", remedy=".names lists them")
        return names.index(row)
    whole = isinstance(row, int | np.integer) and not isinstance(row, bool)
    if not whole or not -len(names) <= row < len(names):
        raise InputError(f"there is no row {row!r}", remedy=f"the rows are 0 to {len(names) - 1}")
    return int(row) % len(names)
