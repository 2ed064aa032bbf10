"""Every lane of a group by itself."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxspec.fit.compiled import Minimum, parameters_of
from jaxspec.fit.descend import bounds, descend, lost, lower_of
from jaxspec.fit.lowest import lowest_minimum
from jaxspec.fit.problem import Group, remade
from jaxspec.fit.start import STARTS, is_turning
from jaxspec.likelihood.forward import kind_of

SEVERAL = 3  # starts for every image of several sources, and for joint sets


class Solved(NamedTuple):
    """A group and the minima of its lanes: ``end`` is a `Minimum` with a lane axis."""

    group: Group
    end: Minimum


def solve(group, items, options, progress=None) -> list[Solved]:
    """Fit all lanes of one group.

    Parameters
    ----------
    group : Group
    items : sequence of all data, by row.
    options : Options
    progress : bool, optional

    Returns
    -------
    list of Solved
        The group itself, or several where the arrays of a lane had to be made anew.
    """
    end = minimise_group(group, progress)
    settles = kind_of(items[int(group.full.index[0])]).settles
    if settles is None:
        return [Solved(group, end)]
    return _settled(group, end, items, options, settles)


def minimise_group(group, progress=None) -> Minimum:
    """Lowest minimum of every lane that its starts lead to."""
    if group.starts is None and group.several:
        return lowest_minimum(group, progress)
    batch = group.full if group.coarse is None else group.coarse
    everyone = np.arange(len(batch.index))
    end, starts = descend(group, batch, everyone, 0, group.starts, "fitting", progress)
    n_start = int(group.numbers.candidates.n)
    if (group.numbers.candidates.turn > 0).any():
        n_start = STARTS
    for rank in range(1, min(starts.shape[1], n_start)):
        again = everyone if group.several and rank < SEVERAL else lost(end, bounds(group))
        if not again.size:
            break
        new, _ = descend(group, batch, again, rank, starts[again], "other starts", progress)
        end = lower_of(end, new, again, group.numbers.tol)
    if group.coarse is not None:
        near = end.theta[:, None]
        near = np.repeat(near, starts.shape[1], axis=1)
        end, _ = descend(group, group.full, everyone, 0, near, "all pixels", progress)
    return end


def in_turn(group, theta):
    """``theta`` (n_lane, n_par) with angles that repeat brought into their first turn."""
    theta = np.array(theta)
    for i, p in enumerate(group.models[0].parameters):
        if is_turning(p):
            low = 0.0 if p.min <= 0.0 and p.max >= p.period else p.min
            theta[:, i] = low + (theta[:, i] - low) % p.period
    return theta


def _settled(group, end, items, options, settles) -> list[Solved]:
    """Fit lanes again whose arrays do not serve at their solution, at most twice.

    Whether pixels are integrated is decided from the start. Where the fitted source says otherwise,
    the fit is done again; one that is small with only one of the choices is integrated.
    """
    keep, made = [], []
    fine = getattr(group.full.gather(0), "fine", None) is not None
    values, _ = parameters_of(group.functions, group.numbers.links, end.theta)
    for lane, row in enumerate(group.full.index):
        wanted = settles(group.model(lane), items[row], values[lane], fine, options.integrate)
        if wanted is None:
            keep.append(lane)
        else:
            made += _again(group, lane, end, items, options, settles, wanted)
    if len(keep) == len(group.full.index):
        return [Solved(group, end)]
    if keep:
        kept = np.array(keep)
        made.insert(0, Solved(_some(group, kept), jax.tree.map(lambda x: x[kept], end)))
    return made


def _again(group, lane, end, items, options, settles, wanted):
    for attempt in range(2):
        theta = end.theta[lane if attempt == 0 else 0]
        group = remade(items, group, lane if attempt == 0 else 0, theta, wanted, options)
        end = minimise_group(group)
        values, _ = parameters_of(group.functions, group.numbers.links, end.theta)
        row = int(group.full.index[0])
        other = settles(group.models[0], items[row], values[0], wanted, options.integrate)
        if other is None or wanted:
            break
        wanted = other
    return [Solved(group, end)]


def _some(group, kept):
    """Group of some of the lanes."""
    full = group.full
    batch = full._replace(
        index=full.index[kept],
        bins=jax.tree.map(lambda x: x[kept], full.bins),
        mask=full.mask[kept],
        which=full.which[kept],
    )
    models = group.models if len(group.models) == 1 else [group.models[i] for i in kept]
    return group._replace(
        models=models, full=batch, coarse=None, own=group.own.take(kept), starts=group.starts[kept]
    )
