"""Draws of one lane as parameters of its model."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxspec.fit.priors import prior_texts
from jaxspec.likelihood.objective import PriorTerm
from jaxspec.sample import space as spaces
from jaxspec.sample.posterior import Posterior, columns
from jaxspec.sample.relabel import relabel
from jaxspec.sample.several import sentence
from jaxspec.sample.target import Objective, Target


class Drawn(NamedTuple):
    """What the chains of one lane gave.

    Parameters
    ----------
    row : int; datum : what was sampled; model : Model, with the limits of the sampler.
    objective, target : of the lane; the data in the target are not looked at.
    constant : float, what the log-likelihoods leave out.
    u : (n_draw, n_chain, d), unlimited parameters of the draws.
    mode : (d,), those of the mode.
    draws : Draws of (n_draw, n_chain, ...) arrays
    settings : dict
    """

    row: int
    datum: Any
    model: Any
    objective: Objective
    target: Target
    constant: float
    u: np.ndarray
    mode: np.ndarray
    draws: Any
    settings: dict

    def finished(self, fit) -> Posterior:
        """`Posterior`; ``fit`` is the FitResult of all rows or of this one."""
        model, made = self.model, self.draws
        shape = made.z.shape[:2]
        u = self.u.reshape(-1, self.u.shape[-1])
        params, log_priors = self._parameters(np.concatenate([u, self.mode[None]]))
        params = relabel(model, self.target.priors, params)
        places, names, units = columns(model)

        def by_chain(values):
            return np.swapaxes(np.reshape(values, (*shape, *np.shape(values)[1:])), 0, 1)

        full = by_chain(params[:-1])
        modes = sentence(names, full[..., places], made.place.T)
        return Posterior(
            model=model,
            data=self.datum,
            names=names,
            units=units,
            chains=full[..., places],
            full=full,
            log_likelihood=made.log_likelihood.T + self.constant,
            log_constant=self.constant,
            log_prior=by_chain(log_priors[:-1]),
            diverging=made.diverging.T,
            accepted=made.accepted.T,
            steps=made.steps.T,
            best=params[-1, places],
            settings=self.settings
            | {"priors": prior_texts(model, self.target.priors), "elsewhere": modes},
            fit=fit.row(self.row if len(fit) > 1 else 0),
        )

    def _parameters(self, u):
        with jax.enable_x64(True):
            target = self.target
            found = _parameters(self.objective, target.links, target.priors, target.space, u)
            return jax.device_get(found)


@partial(jax.jit, static_argnames=("objective",))
def _parameters(objective, links, priors, space, u):
    """All parameters (n, n_par) and log prior densities (n,) of unlimited parameters (n, d)."""

    def one(u):
        params = objective.parameters(links, spaces.to_theta(objective.ties, space, u))
        return params, PriorTerm(priors).log_density(params)

    return jax.vmap(one)(u)
