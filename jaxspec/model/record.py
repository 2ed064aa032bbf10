"""A model as plain values, and back: for files of results and posteriors."""

from __future__ import annotations

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.model.catalogue import CATALOGUE
from jaxspec.model.evaluate import evaluate
from jaxspec.model.model import Model
from jaxspec.model.surface_catalogue import SURFACES

# Where components of a user's own are evaluated, to be known again: keV, or pixels.
_EDGES = np.geomspace(0.1, 100.0, 13)
_X, _Y = np.array([0.0, 1.5, 7.0, 30.0, 200.0]), np.array([0.0, 3.5, -2.0, 40.0, 100.0])

_LIMITS = ("min", "max", "soft_min", "soft_max")
_FLAGS = ("frozen", "is_set")


def model_record(model, prior_text=str) -> dict:
    """What is needed to make a model again, but priors, of which the text is kept.

    Parameters
    ----------
    model : Model
    prior_text : callable, text of a prior.

    Returns
    -------
    dict of text, numbers, lists and dicts, which JSON and YAML hold

    Examples
    --------
    >>> record = model_record(Model("powerlaw"))
    >>> record["expression"], record["parameters"][0]["full_name"]
    ('powerlaw', 'powerlaw.PhoIndex')
    >>> model_of(record | {"own": None}) == Model("powerlaw")
    True
    """
    return {
        "expression": model.expression,
        "abund": model.abund,
        "xsect": model.xsect,
        "parameters": [_parameter(p, prior_text) for p in model.parameters],
    }


def _parameter(p, prior_text):
    kept = {"full_name": p.full_name, "unit": p.unit, "value": float(p.value)}
    kept |= {name: float(getattr(p, name)) for name in _LIMITS}
    kept |= {name: bool(getattr(p, name)) for name in _FLAGS}
    prior = None if p.prior is None else prior_text(p.prior)
    return kept | {"link": p.link, "prior": prior}


def own_record(model) -> dict | None:
    """Which components of a model are a user's own, and numbers by which they are known again.

    A file holds no code: who reads it brings the components. Others of the same names would give
    another model, without a word.

    Parameters
    ----------
    model : Model

    Returns
    -------
    dict of names and values, or None where all components are of the catalogue

    Examples
    --------
    >>> own_record(Model("TBabs*powerlaw")) is None
    True
    """
    tree, known = model.tree, (*CATALOGUE, *SURFACES)
    own = [i for i, c in enumerate(tree.components) if c not in known]
    if not own:
        return None
    values = model.values
    if model.domain == "spectrum":
        found = [evaluate(model, _EDGES)]
    else:
        with jax.enable_x64(True):
            found = [
                tree.components[i].kernel(_X, _Y, *values[tree.first[i] : tree.first[i + 1]])
                for i in own
            ]
    names = sorted({tree.components[i].name for i in own})
    return {"names": names, "values": np.concatenate(found).astype(float).tolist()}


def _check_own(model, recorded):
    """Refuse components of a user's own that are not those with which the record was made."""
    found = own_record(model)
    if found == recorded:
        return
    was, now = (set(r["names"]) if r else set() for r in (recorded, found))
    for names, where in ((was - now, "a component of its own"), (now - was, "of the catalogue")):
        if names:
            raise InputError(
                f"its {', '.join(sorted(names))} is {where}, and not what is found here",
                parameter="components",
                remedy="give in components= what it was made with, and nothing else",
            )
    a, b = (np.asarray(r["values"], dtype=float) for r in (recorded, found))
    size = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    if a.shape != b.shape or not np.allclose(a, b, 1e-5, 1e-9 * size, equal_nan=True):
        raise InputError(
            f"its {', '.join(sorted(was))} gave other values than the one that is given here",
            parameter="components",
            remedy="give the functions that it was made with",
        )


def model_of(record, components=()) -> Model:
    """Make a model from its record.

    Parameters
    ----------
    record : dict, of `model_record`, and as ``own`` that of `own_record`.
    components : sequence of what `jaxspec.component` made, if the model has components of your own.

    Raises
    ------
    InputError
        The model cannot be made, has other parameters than were recorded, or components of a
        user's own that are not those which were recorded.
    KeyError, TypeError, ValueError
        It is no such record.
    """
    model = Model(
        record["expression"], abund=record["abund"], xsect=record["xsect"], components=components
    )
    pairs = list(zip(model.parameters, record["parameters"], strict=True))
    for p, entry in pairs:
        if p.full_name != entry["full_name"]:
            raise InputError(f"parameter {entry['full_name']!r} is {p.full_name!r} here")
        p.set(None if entry["link"] else entry["value"], min=entry["min"], max=entry["max"])
        p.soft_min, p.soft_max = float(entry["soft_min"]), float(entry["soft_max"])
        p.unit = str(entry["unit"])
        p.frozen, p.is_set = bool(entry["frozen"]), bool(entry["is_set"])
    for p, entry in pairs:
        if entry["link"]:
            p.link_to(entry["link"])
    _check_own(model, record["own"])
    return model
