"""Label switching: parts of a component that are the same model when exchanged."""

from __future__ import annotations

import numpy as np

from jaxspec.fit.priors import prior_text


def relabel(model, priors, params):
    """Sort the exchangeable parts of every component, in every draw.

    Done where the parameters of the parts are free and have the same limits and priors, so that
    exchanging them changes nothing in the posterior: that is exact.

    Parameters
    ----------
    model : Model
    priors : dict from parameter index to prior.
    params : (..., n_par)

    Returns
    -------
    (..., n_par)
    """
    params = np.array(params)
    for component, begin in zip(model.tree.components, model.tree.first, strict=False):
        if component.exchangeable is None:
            continue
        parts = np.array(
            [[begin + component.names.index(n) for n in p] for p in component.exchangeable.parts]
        )
        if not all(
            _alike(model.parameters, priors, parts[0, k], other)
            for row in parts[1:]
            for k, other in enumerate(row)
        ):
            continue
        halves = params[..., parts]  # (..., n_part, n_own)
        order = np.argsort(component.exchangeable.order(*np.moveaxis(halves, -1, 0)), axis=-1)
        params[..., parts] = np.take_along_axis(halves, order[..., None], axis=-2)
    return params


def _alike(parameters, priors, a, b):
    p, q = parameters[a], parameters[b]
    prior = [None if i not in priors else prior_text(priors[i]) for i in (a, b)]
    linked = any(r.link is not None for r in parameters)
    same = (p.min, p.max) == (q.min, q.max)
    return p.free and q.free and same and not linked and prior[0] == prior[1]
