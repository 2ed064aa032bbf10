"""The posterior density, and the cheap stand-in for it that drives the chains.

The stand-in is the likelihood of merged pixels plus the difference to the full likelihood,
expanded to second order around the mode (a control variate). Single beta model, 261 516 pixels
merged into 502: the difference that is left scatters by 0.0002 over the posterior, without the
expansion by 4.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxspec.likelihood.objective import PriorTerm, Term, linked
from jaxspec.sample.space import fill, free_and_volume

REACH = 12.0  # standard deviations at which the expansion is held, lest it rule far away


class Objective(NamedTuple):
    """The static half of the density: term of the data, links not affine, natural coordinates."""

    term: Term
    functions: tuple
    ties: tuple = ()

    def parameters(self, links, theta):
        """All parameters (n_par,) with links applied."""
        return linked(self.functions, links, theta)

    def log_likelihood(self, lane, params):
        """Log-likelihood of a `Lane`, without the constant."""
        return self.term.log_likelihood(lane, params)


class Correction(NamedTuple):
    """Full minus merged -ln L around ``u`` (d,): ``gradient``, ``hessian``, in ``unit`` (d, d)."""

    u: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    unit: np.ndarray


class Target(NamedTuple):
    """Everything that the density needs, traced: lanes, links, priors, space, correction."""

    full: NamedTuple
    coarse: NamedTuple
    links: NamedTuple
    priors: dict
    space: NamedTuple
    correction: Correction


def no_correction(u, unit) -> Correction:
    """The stand-in is the likelihood itself."""
    return Correction(u, np.zeros_like(u), np.zeros((len(u),) * 2), unit)


def prior_terms(objective, target, u):
    """All parameters (n_par,), and the logarithm of prior density and volume element."""
    free, volume = free_and_volume(objective.ties, target.space, u)
    params = objective.parameters(target.links, fill(target.space, free))
    return params, PriorTerm(target.priors).log_density(params) + volume


def log_stand_in(objective, target, u):
    """Logarithm of the stand-in for the posterior density of u (d,)."""
    params, prior = prior_terms(objective, target, u)
    c = target.correction
    away = u - c.u
    far = jnp.sum((c.unit @ away) ** 2) / REACH**2
    away = away / (1.0 + far * far) ** 0.25
    difference = c.gradient @ away + 0.5 * away @ c.hessian @ away
    return objective.log_likelihood(target.coarse, params) - difference + prior
