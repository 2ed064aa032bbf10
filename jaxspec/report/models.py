"""The catalogue of models as text."""

from __future__ import annotations

import difflib

from jaxspec._text import align
from jaxspec.errors import InputError
from jaxspec.model.catalogue import ALIASES, CATALOGUE
from jaxspec.model.surface_catalogue import SURFACE_ALIASES, SURFACES

KINDS = {"add": "additive", "mul": "multiplicative", "con": "convolution", "image": "image"}
EVERY = (*CATALOGUE, *SURFACES)


def _kind(component):
    return component.domain if component.domain == "image" else component.kind


def list_models() -> str:
    """All models: name, parameters, what they are."""
    kinds = [_kind(c) for c in EVERY]
    rows = [(f"  {c.name}", ", ".join(p.name for p in c.parameters), c.summary) for c in EVERY]
    told = align(rows)
    lines = []
    for kind, title in KINDS.items():
        lines += ["", title] if lines else [title]
        lines += [line for line, own in zip(told, kinds, strict=True) if own == kind]
    return "\n".join([*lines, "", "jaxspec models NAME shows units, defaults and limits"])


def show_model(name) -> str:
    """One model: its parameters with defaults, limits and units, and its source.

    Raises
    ------
    InputError
        No such model, or a beginning that fits several.
    """
    c = find_model(name)
    aliases = SURFACE_ALIASES if c.domain == "image" else ALIASES
    short = sorted(alias for alias, full in aliases.items() if full == c.name)
    lines = [f"{c.name} ({KINDS[_kind(c)]}): {c.summary}", f"source: {c.reference}"]
    if short:
        lines.append(f"short:  {', '.join(short)}")
    head = ("parameter", "default", "hard limits", "soft limits", "unit")
    rows = [
        (
            p.name,
            f"{p.default:g}",
            f"{p.hard_min:g} .. {p.hard_max:g}",
            f"{p.soft_min:g} .. {p.soft_max:g}",
            p.unit + (" (switch)" if p.switch else " (frozen)" if p.frozen else ""),
        )
        for p in c.parameters
    ]
    return "\n".join([*lines, "", *align([head, *rows])])


def find_model(name):
    """Component of the catalogues by name, short name or unambiguous beginning, in any case.

    A word that means a component of spectra and one of images ("gaussian") gives the former.
    """
    low = name.strip().lower()
    by_name = {c.name.lower(): c for c in EVERY}
    if low not in by_name:
        low = ALIASES.get(low, SURFACE_ALIASES.get(low, low)).lower()
    found = (
        [by_name[low]] if low in by_name else [c for n, c in by_name.items() if n.startswith(low)]
    )
    if len(found) == 1 and low:
        return found[0]
    if found and low:
        names = ", ".join(c.name for c in found)
        raise InputError(f"{name!r} may be any of {names}", remedy="give more of the name")
    close = [by_name[n].name for n in difflib.get_close_matches(low, by_name)]
    ask = f"did you mean {' or '.join(close)}?" if close else "jaxspec models lists them"
    raise InputError(f"there is no model {name!r}", remedy=ask)
