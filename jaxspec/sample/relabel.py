"""Label switching: the two cores of a double beta model are the same model when exchanged."""

from __future__ import annotations

import numpy as np

from jaxspec.fit.image_problem import prior_text

PAIRS = (("S0", "S02"), ("rc", "rc2"), ("beta", "beta2"))


def relabel(model, priors, params):
    """Call the half with the narrower centre the first one in every draw.

    Near its centre a beta model is ``S0 (1 - r2/w2)`` with ``w = rc / sqrt(3 beta - 1/2)``; the
    halves are sorted by w, since rc alone says little where beta is large. Done for each
    ``double_beta`` whose two halves are free and have the same limits and priors, so that
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
        if component.name != "double_beta":
            continue
        place = {p.name: begin + i for i, p in enumerate(component.parameters)}
        pairs = [(place[a], place[b]) for a, b in PAIRS]
        halves = list(zip(*pairs[1:], strict=True))
        if not all(_alike(model.parameters, priors, a, b) for a, b in pairs):
            continue
        width = [params[..., core] ** 2 / (3 * params[..., slope] - 0.5) for core, slope in halves]
        swap = width[0] > width[1]
        for a, b in pairs:
            x, y = params[..., a].copy(), params[..., b].copy()
            params[..., a], params[..., b] = np.where(swap, y, x), np.where(swap, x, y)
    return params


def _alike(parameters, priors, a, b):
    p, q = parameters[a], parameters[b]
    prior = [None if i not in priors else prior_text(priors[i]) for i in (a, b)]
    linked = any(r.link is not None for r in parameters)
    same = (p.min, p.max) == (q.min, q.max)
    return p.free and q.free and same and not linked and prior[0] == prior[1]
