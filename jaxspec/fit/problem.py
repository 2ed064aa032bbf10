"""The user's model as the numbers that the compiled functions take."""

from __future__ import annotations

import numpy as np

from jaxspec.fit.chunks import Problem
from jaxspec.fit.levmar import Bounds
from jaxspec.fit.start import amplitudes, candidates
from jaxspec.likelihood.objective import Links


def make_problem(model, *, tol, max_iter) -> Problem:
    """Start candidates, limits, masks and links of a `Model` as arrays."""
    pars = model.parameters
    links = model.link_map()
    free = np.array([not p.frozen and p.link is None for p in pars])
    norm = np.zeros(len(pars), dtype=bool)
    norm[list(model.tree.norm_indices)] = True
    scalable = np.zeros(len(pars), dtype=bool)
    for i in amplitudes(model.tree)[0]:
        scalable[i] = free[i] and not pars[i].is_set
    table, n_start = candidates(model)
    return Problem(
        table=table,
        n_start=np.asarray(n_start),
        scalable=scalable,
        rank=np.asarray(0),
        bounds=Bounds(
            np.array([p.min for p in pars], dtype=float),
            np.array([p.max for p in pars], dtype=float),
            free,
            norm,
            np.array([p.scale for _, p in model.tree.parameters]),
        ),
        links=Links(np.asarray(links.matrix, float), np.asarray(links.offset, float)),
        tol=np.asarray(tol, float),
        max_iter=np.asarray(max_iter),
    )
