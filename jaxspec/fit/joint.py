"""All lanes together: shared parameters once, untied parameters once for each spectrum."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.chunks import linked, quadratic_chunk, start_chunk
from jaxspec.fit.covariance import Ending, errors
from jaxspec.fit.independent import over_chunks
from jaxspec.fit.lanes import chunk_lanes
from jaxspec.fit.levmar import Bounds, advance, start
from jaxspec.likelihood.objective import Objective, Quadratic


def fit_joint(model, functions, batches, problem, untie, rows):
    """Fit all batches with one parameter vector and record every lane in ``rows``."""
    if not batches:
        return
    own = untied(model, untie)
    free = np.array([p.free for p in model.parameters])
    rows.n_free = int((free & ~own).sum() + (free & own).sum() * sum(len(b.index) for b in batches))
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

    def quadratics(theta):
        vectors = [np.asarray(theta)[p] for p in places]
        return each(lambda o, b, lanes, t: quadratic_chunk(o, b.shared, lanes, problem, t), vectors)

    def evaluate(theta):
        return together(quadratics(theta), places, theta.size)

    bounds = Bounds(*(spread(x, place) for x in problem.bounds))
    state = start(jnp.asarray(theta), 0)
    while not state.done and state.iterations < problem.max_iter:
        state = advance(evaluate, state, bounds, problem.tol)
    ends = quadratics(state.theta)
    record(state, ends, objectives, problem, places, bounds, batches, rows)


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
    """Sum the lanes' vectors or matrices on the long vector."""
    rank = parts[0].ndim - 1
    out = np.zeros((size,) * rank)
    for part, place in zip(parts, places, strict=True):
        np.add.at(out, place if rank == 1 else (place[:, :, None], place[:, None, :]), part)
    return jnp.asarray(out)


def together(parts, places, size) -> Quadratic:
    """One `Quadratic` of the long vector from those of the lanes."""
    return Quadratic(
        value=jnp.asarray(sum(part.value.sum() for part in parts)),
        gradient=scatter([part.gradient for part in parts], places, size),
        expected=scatter([part.expected for part in parts], places, size),
        observed=scatter([part.observed for part in parts], places, size),
        rate=jnp.zeros(0),
    )


def record(state, ends, objectives, problem, places, bounds, batches, rows):
    """Covariance of the whole, cut into rows."""
    theta, at, bounds = jax.tree.map(np.asarray, (state.theta, state.at, bounds))
    covariance, fisher, edm, held, definite = errors(theta, at, bounds)
    for objective, end, place, batch in zip(objectives, ends, places, batches, strict=True):
        params, spread_one = linked(objective, problem, theta[place])
        cut = (place[:, :, None], place[:, None, :])
        back = np.swapaxes(spread_one, -1, -2)
        n = len(place)
        ending = Ending(
            params=params,
            value=end.value,
            edm=np.full(n, edm),
            rate=end.rate,
            covariance=spread_one @ covariance[cut] @ back,
            covariance_expected=spread_one @ fisher[cut] @ back,
            held=held[place],
            definite=np.full(n, definite),
            iterations=np.full(n, int(state.iterations)),
        )
        rows.record(batch, ending)
