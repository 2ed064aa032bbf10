"""Priors of a fit: from the model and from the call, and as text."""

from __future__ import annotations

import jax
import numpy as np

from jaxspec.errors import InputError


def prior_map(model, priors) -> dict:
    """Priors by parameter index; the limits of the model are drawn in to where they are not zero.

    Parameters
    ----------
    model : Model, whose limits are changed.
    priors : dict of name to numpyro distribution, or None
        In addition to those set on the parameters, which they replace.

    Raises
    ------
    InputError
        What is no prior, a prior of a parameter that is not free, one that is zero everywhere
        between the limits.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> from jaxspec.model.model import Model
    >>> list(prior_map(Model("powerlaw"), {"PhoIndex": dist.Normal(2.0, 0.1)}))
    [0]
    """
    if not isinstance(priors, dict | None):
        raise InputError(
            f"{priors!r} is not a dict of parameter name to distribution", parameter="priors"
        )
    found = {p.number - 1: p.prior for p in model.parameters if p.prior is not None}
    found |= by_index(model, priors or {})
    for index, prior in found.items():
        p = model.parameters[index]
        if not callable(getattr(prior, "log_prob", None)):
            raise InputError(
                f"{prior!r} is not a prior",
                parameter=p.full_name,
                remedy="give a distribution of numpyro.distributions, such as LogUniform(1, 100)",
            )
        if not p.free:
            raise InputError(
                "has a prior but is not free", parameter=p.full_name, remedy="thaw or unlink it"
            )
        _draw_in(p, prior)
    return jax.tree.map(_in_double, found)


def _in_double(x):
    """Numbers of a prior as what they are traced to: 5, 5.0 and an array are one program."""
    array = np.asarray(x)
    return array.astype(np.float64) if array.dtype.kind in "iuf" else x


def by_index(model, priors) -> dict:
    """Priors by parameter index, from those by name; refuses two for one parameter."""
    found, names = {}, {}
    for key, prior in priors.items():
        index = model[key].number - 1
        if index in found:
            raise InputError(
                f"has two priors, by the names {names[index]} and {key}",
                parameter=model.parameters[index].full_name,
                remedy="give one",
            )
        found[index], names[index] = prior, key
    return found


def _draw_in(p, prior):
    """Keep a parameter inside the support of its prior: outside there is no slope to follow."""
    support = getattr(prior, "support", None)
    ends = (getattr(support, "lower_bound", p.min), getattr(support, "upper_bound", p.max))
    if (
        np.size(ends[0]) > 1
        or getattr(prior, "batch_shape", ())
        or getattr(prior, "event_shape", ())
        or getattr(support, "is_discrete", False)
    ):
        raise InputError(
            "has a prior that is discrete or of several numbers",
            parameter=p.full_name,
            remedy="give a distribution of one real number",
        )
    low, high = max(p.min, float(ends[0])), min(p.max, float(ends[1]))
    if low >= high:
        raise InputError(
            f"has limits {p.min:g} to {p.max:g}, but a prior that is zero there",
            parameter=p.full_name,
            remedy="change the limits or the prior",
        )
    p.narrow(low, high)
    # a bounded support was drawn in, so that a density that is zero here has no slope anywhere
    ends = np.clip([p.min, p.max], -1e6, 1e6)
    inside = ends[0] + (ends[1] - ends[0]) * np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    if not np.isfinite(np.asarray(prior.log_prob(inside))).any():
        raise InputError(
            f"has a prior {prior_text(prior)} that is no density",
            parameter=p.full_name,
            remedy="freeze the parameter to hold it at a value",
        )


def prior_text(prior) -> str:
    """A numpyro distribution as text, for records.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> prior_text(dist.Normal(0.6, 0.1))
    'Normal(loc=0.6, scale=0.1)'
    """
    names = getattr(prior, "arg_constraints", {})
    parts = [f"{name}={np.asarray(getattr(prior, name)).tolist()}" for name in names]
    if (base := getattr(prior, "base_dist", None)) is not None:
        parts.append(prior_text(base))
    return f"{type(prior).__name__}({', '.join(parts)})" if parts else str(prior)


def prior_texts(model, priors: dict) -> dict[str, str]:
    """Priors of `prior_map` as text, by full parameter name."""
    return {model.parameters[i].full_name: prior_text(prior) for i, prior in priors.items()}
