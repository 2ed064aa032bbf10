"""A model as plain values, and back: for files of results and posteriors."""

from __future__ import annotations

from jaxspec.errors import InputError
from jaxspec.model.model import Model

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
    >>> model_of(record) == Model("powerlaw")
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


def model_of(record, components=()) -> Model:
    """Make a model from its record.

    Parameters
    ----------
    record : dict, of `model_record`.
    components : sequence of what `jaxspec.component` made, if the model has components of your own.

    Raises
    ------
    InputError
        The model cannot be made, or has other parameters than were recorded.
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
    return model
