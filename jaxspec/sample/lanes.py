"""From the optima of a group of lanes to their chains."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.chunks import chunk_lanes, chunk_positions, chunk_size
from jaxspec.fit.covariance import errors
from jaxspec.fit.descend import bounds as bounds_of
from jaxspec.fit.levmar import Bounds
from jaxspec.fit.solve import in_turn, solve
from jaxspec.fit.start import is_turning
from jaxspec.likelihood.forward import content, in_one_piece
from jaxspec.sample import space as spaces
from jaxspec.sample.drawn import Drawn
from jaxspec.sample.modes import Optimum, modes_of, other_modes, own
from jaxspec.sample.nuts import start_chains
from jaxspec.sample.several import compile_several, draw_several
from jaxspec.sample.steps import in_step
from jaxspec.sample.target import Objective, Target, no_correction
from jaxspec.sample.tune import draw, lanes_mover, mover, points, warm_up
from jaxspec.sample.warp import straight

# times the warm-up, where there are several modes. Abell 1835 with flat priors, seeds 1, 4, 5: the
# smallest ESS is 520, 307, 645; with twice the warm-up 604 to 783 for 8 % more time.
LONGER = 2


class How(NamedTuple):
    """Options of a call of `jaxspec.sample`."""

    chains: int
    draws: int
    warmup: int
    seed: int
    target_accept: float
    max_depth: int
    sampler: str
    progress: bool | None


def sample_group(group, items, rows, fit_options, how, began) -> dict[int, Drawn]:
    """Fit and sample all lanes of a group.

    Parameters
    ----------
    group : Group
    items : sequence of all data, by row.
    rows : Rows, told of the fits.
    fit_options : Options; how : How
    began : float, `time.perf_counter` when the call began.

    Returns
    -------
    dict of row to Drawn, of the lanes that have an optimum
    """
    _check_limits(group.models[0])
    seconds = {"prepare": time.perf_counter() - began}
    with ThreadPoolExecutor(1) as pool:
        # XLA compiles the sampler on another core while optimum and mode are being looked for
        ready = pool.submit(_compile, group, how)
        with jax.enable_x64(True):
            parts = solve(group, items, fit_options, how.progress)
        seconds["fit"] = time.perf_counter() - began - seconds["prepare"]
        made = {}
        for solved in parts:
            rows.record(solved)
            made |= _sample_solved(solved, items, how, seconds, ready)
    return made


def _check_limits(model):
    """Flat priors need an end on both sides."""
    for p in model.parameters:
        if p.free and not np.isfinite([p.min, p.max]).all():
            raise InputError(
                f"has the limits {p.min:g} to {p.max:g}",
                parameter=p.full_name,
                remedy="set finite limits with .set(min=..., max=...), or freeze it",
            )


def _sample_solved(solved, items, how, seconds, ready) -> dict[int, Drawn]:
    group, end = solved
    usable = np.flatnonzero(np.isfinite(end.local.value))
    if len(items) == 1 and not usable.size:
        raise InputError(
            f"{group.models[0].expression} is not finite where the fit starts",
            parameter="model",
            remedy="check the component, its limits and the start values",
        )
    chunks = chunk_positions(group.full, usable) if usable.size else []
    total = usable.size * how.chains * how.draws
    with counter(total, how.progress) as count:

        def work(chunk):
            return _sample_chunk(group, end, items, chunk, how, dict(seconds), count, ready)

        if len(chunks) < 2:
            parts = [work(chunk) for chunk in chunks]
        else:
            first = work(chunks[0])  # alone, so that one thread compiles
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                parts = [first, *pool.map(work, chunks[1:])]
    return {drawn.row: drawn for part in parts for drawn in part}


def _sample_chunk(group, end, items, chunk, how, seconds, count, ready) -> list[Drawn]:
    """Chains of the lanes of one chunk, as soon as the sampler is ``ready``."""
    began = time.perf_counter()
    lanes = chunk.lanes[: chunk.size]
    optima = [optimum(group, end, lane) for lane in lanes]
    ties = spaces.ties_of(optima[0].model)
    spaces_of = [_space(ties, one) for one in optima]
    modes, units, corrections = modes_of(group, ties, lanes, optima, spaces_of)
    seconds["mode"] = time.perf_counter() - began
    ready.result()
    seconds["compile"] = time.perf_counter() - began - seconds["mode"]
    data = [items[int(group.full.index[lane])] for lane in lanes]
    streams = [stream_of(how.seed, datum) for datum in data]
    objective = Objective(group.term, group.functions, ties)
    targets = [
        Target(None, None, group.numbers.links, group.numbers.priors, space, correction)
        for space, correction in zip(spaces_of, corrections, strict=True)
    ]
    movers = _movers(group, objective, chunk, targets, streams, how)
    modes, units = [[one] for one in modes], [[one] for one in units]
    corrections = [[one] for one in corrections]
    if len(chunk.lanes) == 1:
        others = other_modes(group, ties, lanes, optima[0], spaces_of[0], modes[0][0], units[0][0])
        for kept, more in zip((modes, units, corrections), others, strict=True):
            kept[0] += more
    if len(modes[0]) == 1:
        tuned = _tuned(modes, units, streams, how, movers[0])
        tuned_at = time.perf_counter()
        made = in_step([draw(one[0], how.draws, count) for one in tuned], movers[1])
        u = [
            points(one[0].warp, m.z.reshape(-1, m.z.shape[-1])).reshape(m.z.shape)
            for one, m in zip(tuned, made, strict=True)
        ]
    else:
        full, coarse = _lanes(group, chunk.lanes)
        with jax.enable_x64(True):
            target = jax.device_put(targets[0]._replace(full=full, coarse=coarse))
        with ThreadPoolExecutor(1) as pool:
            shape = len(modes[0]), how.chains, len(units[0][0])
            joined = pool.submit(compile_several, objective, target, shape, how)
            tuned = _tuned(modes, units, streams, how, movers[0])
            joined.result()
        tuned_at = time.perf_counter()
        key = jax.random.fold_in(jax.random.key(streams[0]), 2)
        one, places = draw_several(objective, target, key, tuned[0], corrections[0], how, count)
        made, u = [one], [places]
    seconds["warm-up"] = tuned_at - began - seconds["mode"] - seconds["compile"]
    seconds["draws"] = time.perf_counter() - tuned_at
    merged = group.full if group.coarse is None else group.coarse
    inputs = group.full.gather(int(group.full.which[lanes[0]]))
    settings = {
        **how._asdict(),
        "stat": group.full.stat,
        "integrate": getattr(inputs, "fine", None) is not None,
        "seconds": seconds,
    }
    settings.pop("progress")
    return [
        Drawn(
            row=int(group.full.index[lane]),
            datum=data[i],
            model=optima[i].model,
            objective=objective,
            target=targets[i],
            constant=_constant(group, lane),
            u=u[i],
            mode=modes[i][0].u,
            draws=made[i],
            settings=settings
            | {
                "step_size": float(tuned[i][0].step_size),
                "modes": len(tuned[i]),
                "pixels": int(group.full.mask[lane].sum()),
                "merged_pixels": int(merged.mask[lane].sum()),
            },
        )
        for i, lane in enumerate(lanes)
    ]


def _tuned(modes, units, streams, how, answer):
    """`Tuned` of all modes (second list) of all lanes (first list)."""

    def routine(i, k):
        mode, unit = modes[i][k], units[i][k]
        mine = partial(own, modes[i], units[i], k) if len(modes[i]) > 1 else None
        z = _scatter(streams[i] + k, how.chains, len(mode.u))
        n = how.warmup if mine is None else LONGER * how.warmup
        return warm_up(mode.u, unit, z, n, how.target_accept, mine)

    made = [in_step([routine(i, 0) for i in range(len(modes))], answer)]
    # one lane only has other modes; in_step would ask for them at once
    made += [in_step([routine(0, k)], answer) for k in range(1, len(modes[0]))]
    return [[made[0][i], *(more[0] for more in made[1:] if i == 0)] for i in range(len(modes))]


def optimum(group, end, lane) -> Optimum:
    """Optimum of one lane, with angles limited to half a turn around it."""
    theta = in_turn(group, end.theta[lane : lane + 1])[0]
    model = group.model(lane).copy()
    box = jax.tree.map(np.array, bounds_of(group))
    lower, upper = box.lower[lane], box.upper[lane]
    for i, p in enumerate(model.parameters):
        if is_turning(p):
            lower[i], upper[i] = theta[i] - 0.5 * p.period, theta[i] + 0.5 * p.period
            p.set(theta[i], min=lower[i], max=upper[i])
    one = Bounds(lower, upper, box.free[lane], box.amplitude, box.positive, box.energy)
    return Optimum(model, one, theta, jax.tree.map(lambda x: x[lane], end.local))


def _space(ties, one):
    """Unlimited parameters of one lane."""
    error = np.sqrt(np.diagonal(errors(one.theta, one.local, one.bounds).fisher))
    return spaces.make_space(one.theta, one.bounds, ties, error)


def _movers(group, objective, chunk, targets, streams, how):
    """What answers the routines of warm-up and of drawing."""
    full, coarse = _lanes(group, chunk.lanes)
    keys = [jax.random.key(stream) for stream in streams]
    if len(chunk.lanes) == 1:
        target = targets[0]._replace(full=full, coarse=coarse)
        moves = [
            mover(objective, target, jax.random.fold_in(keys[0], k), how.max_depth, check,
                  how.sampler)
            for k, check in ((1, False), (2, True))
        ]  # fmt: skip
        return [lambda asked, which, m=m: [m(*asked[0])] for m in moves]
    fill = [min(i, chunk.size - 1) for i in range(len(chunk.lanes))]
    space, correction = (
        jax.tree.map(lambda *x: np.stack(x), *(getattr(targets[i], name) for i in fill))
        for name in ("space", "correction")
    )
    stacked = targets[0]._replace(full=full, coarse=coarse, space=space, correction=correction)
    made = []
    for k, check in ((1, False), (2, True)):
        some = jax.numpy.stack([jax.random.fold_in(keys[i], k) for i in fill])
        made.append(
            lanes_mover(
                objective, group.full.shared, stacked, some, how.max_depth, check, how.sampler
            )
        )
    return made


def _lanes(group, lanes):
    """Full and coarse data of some lanes in one piece; without a lane axis for a single one."""
    made = []
    for batch in (group.full, group.coarse):
        if batch is None:
            made.append(made[0])
            continue
        found = chunk_lanes(batch, lanes)
        if len(lanes) == 1:
            inputs = batch.gather(int(batch.which[lanes[0]]))
            bins = jax.tree.map(lambda x: x[0], found.bins)
            found = found._replace(inputs=inputs, bins=bins, mask=found.mask[0])
        found = in_one_piece(found)
        if len(lanes) == 1:
            found = found._replace(bins=jax.tree.map(_short, found.bins))
        made.append(found)
    return made


def _short(values):
    """One number where all are the same: 4 % of the time of 240 000 pixels is reading ones."""
    return values[0] if len(values) and np.all(values == values[0]) else values


def _constant(group, lane) -> float:
    """What the log-likelihood of a lane leaves out."""
    full, _ = _lanes(group._replace(coarse=None), np.array([lane]))
    with jax.enable_x64(True):
        return float(group.term.constant(full))


def _compile(group, how):
    """Have the sampler of a single datum compiled: a call that asks for no draw."""
    if chunk_size(group.full) > 1:
        return
    model, box = group.model(0), jax.tree.map(np.array, bounds_of(group))
    theta = np.array([p.value for p in model.parameters])
    period = np.array([p.period if is_turning(p) else 0.0 for p in model.parameters])
    low = np.where(period > 0, theta - 0.5 * period, box.lower[0])
    high = np.where(period > 0, theta + 0.5 * period, box.upper[0])
    bounds = Bounds(low, high, box.free[0], box.amplitude, box.positive, box.energy)
    ties = spaces.ties_of(model)
    space = spaces.make_space(theta, bounds, ties)
    d = len(space.index)
    full, coarse = _lanes(group, np.array([0]))
    numbers, correction = group.numbers, no_correction(np.zeros(d), np.eye(d))
    target = Target(full, coarse, numbers.links, numbers.priors, space, correction)
    objective = Objective(group.term, group.functions, ties)
    idle = mover(objective, target, jax.random.key(0), how.max_depth, False, how.sampler)
    idle(straight(np.zeros(d), np.eye(d)), start_chains(np.zeros((how.chains, d))), 0.1, 0)


def stream_of(seed, *data) -> int:
    """Number of the random stream of one datum, or of data that are sampled together.

    It follows from the seed and from the data: a spectrum is sampled alike alone and among others,
    and no two spectra share their random numbers.
    """
    digest = hashlib.sha256(str(seed).encode())
    for array in (array for datum in data for array in content(datum)):
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return int.from_bytes(digest.digest()[:4], "little")


def _scatter(stream, n_chain, d):
    """Where chains start (n_chain, d), in units of the posterior's width."""
    return np.random.default_rng(stream).standard_normal((n_chain, d))


@contextmanager
def counter(total, progress):
    """Progress bar that counts draws, and so tells draws per second."""
    if progress is False:
        yield lambda n: None
        return
    from tqdm.auto import tqdm

    # disable=None: not where nobody could see it
    with tqdm(total=total, desc="sampling", unit=" draws", disable=None, leave=False) as bar:
        yield bar.update
