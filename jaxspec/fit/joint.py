"""All lanes together: shared parameters once, untied parameters once for each spectrum."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.chunks import local_chunk, quadratic_chunk, start_chunk
from jaxspec.fit.covariance import Ending, errors
from jaxspec.fit.independent import over_chunks
from jaxspec.fit.levmar import Bounds, Quadratic, advance, start
from jaxspec.likelihood.objective import Objective
from jaxspec.fit.lanes import chunk_lanes


def fit_joint(model, functions, batches, problem, untie, rows):
    """Fit all batches with one parameter vector and record every lane in ``rows``."""
    if not batches:
        return
    own = untied(model, untie)
    objectives = [Objective(model.tree, batch.stat, functions) for batch in batches]
    counts = [len(batch.index) for batch in batches]
    place = positions(own, sum(counts))
    places = np.split(place, np.cumsum(counts)[:-1])

    def each(work, *arrays):
        """Per batch: ``work(objective, batch, lanes, *rows of arrays)`` over its chunks."""
        out = []
        for k, (objective, batch) in enumerate(zip(objectives, batches, strict=True)):

            def one(chunk, k=k, objective=objective, batch=batch):
                lanes = chunk_lanes(batch, chunk)
                return work(objective, batch, lanes, *(a[k][chunk.lanes] for a in arrays))

            out.append(over_chunks(one, batch, None, "joint", False))
        return out

    begin = each(lambda o, b, lanes: start_chunk(o, b.shared, lanes, problem))
    theta = gather_start(np.concatenate(begin), place)

    def evaluate(theta):
        vectors = [np.asarray(theta)[p] for p in places]
        parts = each(
            lambda o, b, lanes, t: quadratic_chunk(o, b.shared, lanes, problem, t), vectors
        )
        return scatter(parts, places, theta.size)

    bounds = Bounds(*(spread(x, place) for x in problem.bounds))
    state = start(evaluate, jnp.asarray(theta), bounds)
    while not state.done and state.iterations < problem.max_iter:
        state = advance(evaluate, state, bounds, problem.tol)
    vectors = [np.asarray(state.theta)[p] for p in places]
    parts = each(lambda o, b, lanes, t: local_chunk(o, b.shared, lanes, problem, t), vectors)
    record(parts, places, state, bounds, batches, rows)


def untied(model, untie):
    """Mask (n_par,) of the parameters that every spectrum has for itself."""
    own = np.zeros(len(model.parameters), dtype=bool)
    for name in untie:
        parameter = model[name]
        if parameter.frozen or parameter.link is not None:
            raise InputError(
                "cannot be untied: it is frozen or linked", parameter=name, remedy="thaw it first"
            )
        own[parameter.number - 1] = True
    return own


def positions(own, n_lane):
    """Place (n_lane, n_par) of each lane's parameter in the one long vector."""
    shared = np.cumsum(~own) - 1
    n_shared, n_own = int((~own).sum()), int(own.sum())
    place = np.tile(shared, (n_lane, 1))
    place[:, own] = n_shared + np.arange(n_lane * n_own).reshape(n_lane, n_own)
    return place


def gather_start(per_lane, place):
    """One long start vector: own values where untied, the median over lanes where shared."""
    theta = np.empty(place.max() + 1)
    for column in range(place.shape[1]):
        where = place[:, column]
        shared = where[0] == where[-1]
        theta[where] = np.median(per_lane[:, column]) if shared else per_lane[:, column]
    return theta


def spread(values, place):
    """A per-parameter array (n_par,) on the long vector."""
    out = np.empty(place.max() + 1, dtype=np.asarray(values).dtype)
    out[place] = values
    return jnp.asarray(out)


def scatter(parts, places, size):
    """Sum the lanes' values, gradients and curvatures on the long vector."""
    value, gradient, curvature = 0.0, np.zeros(size), np.zeros((size, size))
    for (v, g, c), place in zip(parts, places, strict=True):
        value += v.sum()
        np.add.at(gradient, place, g)
        np.add.at(curvature, (place[:, :, None], place[:, None, :]), c)
    return Quadratic(jnp.asarray(value), jnp.asarray(gradient), jnp.asarray(curvature))


def record(parts, places, state, bounds, batches, rows):
    """Covariance of the whole, cut into rows."""
    theta = state.theta
    expected = scatter([(p.value, p.gradient, p.expected) for p in parts], places, theta.size)
    observed = scatter([(p.value, p.gradient, p.observed) for p in parts], places, theta.size)
    covariance, fisher, edm, held, definite = map(
        np.asarray,
        errors(expected.gradient, expected.curvature, observed.curvature, theta, bounds),
    )
    for part, place, batch in zip(parts, places, batches, strict=True):
        cut = (place[:, :, None], place[:, None, :])
        spread_t = np.swapaxes(part.spread, -1, -2)
        n = len(place)
        ending = Ending(
            params=part.params,
            value=part.value,
            edm=np.full(n, edm),
            rate=part.rate,
            covariance=part.spread @ covariance[cut] @ spread_t,
            covariance_expected=part.spread @ fisher[cut] @ spread_t,
            held=held[place],
            definite=np.full(n, bool(definite)),
        )
        rows.record(batch, ending, np.full(n, int(state.iterations)))

