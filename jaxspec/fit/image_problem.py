"""An image and its model as the numbers that the compiled functions take, and its minimum."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.image_start import amplitude_mask, starts
from jaxspec.fit.levmar import Bounds, State, minimise
from jaxspec.likelihood.objective import Links
from jaxspec.likelihood.pixels import BLOCK, ImageObjective, Scene
from jaxspec.likelihood.scene import centers_of, fine_around, make_scene, small_core
from jaxspec.reduce.image import Image
from jaxspec.reduce.merge import merge, pad
from jaxspec.reduce.profile import RadialProfile

MERGE_FROM = 5000  # pixels; fewer are fitted as they are
RATIO = 0.15  # side of a super-pixel relative to its distance from the centre
N_START = 4
SAME = 1e-3  # of the statistic: two starts that end this near have found the same minimum


class Numbers(NamedTuple):
    """What the minimiser takes besides the data."""

    bounds: Bounds
    links: Links
    priors: dict
    tol: np.ndarray
    max_iter: np.ndarray


class ImageProblem(NamedTuple):
    """One image ready to be fitted.

    ``model`` is a copy with limits that fit the image; ``full`` and ``coarse`` scenes (``coarse``
    is ``full`` where nothing was merged); ``start`` (n_start, n_par).
    """

    model: object
    data: object
    objective: ImageObjective
    full: Scene
    coarse: Scene
    numbers: Numbers
    start: np.ndarray


def make_problem(
    model, data, *, stat, priors, tol, max_iter, integrate, coarse=True
) -> ImageProblem:
    """Prepare one image: limits, start, scenes."""
    check_pixels(data, stat)
    if isinstance(data, Image) and not np.any(data.counts[data.good]):
        raise InputError(
            "the good pixels hold no counts at all",
            file=data.path or data.name,
            remedy="check the image and its mask",
        )
    model = limited(model, data)
    priors = prior_map(model, priors)
    links = model.link_map()
    start = starts(model, data, N_START)
    n_pix = len(data.pixels.x)
    if not model.free_names:
        raise InputError(
            f"{model.expression} has no free parameter", parameter="model", remedy="thaw one"
        )
    if n_pix < len(model.free_names):
        raise InputError(
            f"{n_pix} pixels for {len(model.free_names)} free parameters",
            file=getattr(data, "path", "") or None,
            remedy="mask less, or freeze parameters",
        )
    full, merged = scenes(model, data, start[0], integrate, coarse)
    pars = model.parameters
    numbers = Numbers(
        bounds=Bounds(
            np.array([p.min for p in pars]),
            np.array([p.max for p in pars]),
            np.array([p.free for p in pars]),
            amplitude_mask(model),
            np.array([p.scale for _, p in model.tree.parameters]),
        ),
        links=Links(np.asarray(links.matrix, float), np.asarray(links.offset, float)),
        priors=priors,
        tol=np.asarray(tol, float),
        max_iter=np.asarray(max_iter),
    )
    objective = ImageObjective(model.tree, stat, links.functions)
    return ImageProblem(model, data, objective, full, merged, numbers, start)


def scenes(model, data, theta, integrate, coarse) -> tuple[Scene, Scene]:
    """The image at full resolution, and with pixels merged away from the sources."""
    full = make_scene(model, data, theta, integrate)
    pixels, centers = data.pixels, centers_of(model, theta)
    plain = isinstance(data, Image) and data.psf is None and np.isnan(pixels.error).all()
    if not (coarse and plain and centers) or len(pixels.x) < MERGE_FROM:
        return full, full
    merged = pad(merge(pixels, centers, RATIO))
    return full, Scene(merged, fine_around(model, merged, theta, integrate))


def check_pixels(data, stat):
    """Refuse pixels that cannot be data, such as NaN or negative counts."""
    p = data.pixels
    others = [p.exposure, p.background, p.area, p.error if stat == "chi2" else p.counts]
    bad = ~np.isfinite([p.counts, *others]).all(axis=0) | (np.array(others) < 0).any(axis=0)
    if bad.any():
        raise InputError(
            f"{bad.sum()} of {len(bad)} pixels of {data.name} have counts, exposure or background "
            "that are negative or not finite",
            file=getattr(data, "path", "") or None,
            remedy="mask them",
        )


def limited(model, data):
    """Copy of the model whose positions and lengths cannot leave the image; 1D for a profile."""
    model = model.copy()
    if isinstance(data, RadialProfile):
        for p in model.parameters:
            if p.name in ("x0", "y0", "ellip", "theta") and p.link is None:
                p.freeze(0.0)
        size = float(np.max(data.pixels.x))
        reach = {}
    else:
        ny, nx = data.shape
        size = float(max(nx, ny))
        reach = {"x0": (-0.5, nx - 0.5), "y0": (-0.5, ny - 0.5)}
    for p, (_, defined) in zip(model.parameters, model.tree.parameters, strict=True):
        p.unit = unit_for(data, defined.unit)
        if not p.free or defined.unit != "pixel":
            continue
        low, high = reach.get(p.name, (p.min, 2.0 * size))
        low, high = max(p.min, low), min(p.max, high)
        if low < high:
            limit(p, low, high, p.value)
    return model


def limit(p, low, high, value):
    """Set limits, and the value nearest to ``value``, without its counting as the user's."""
    was_set = p.is_set
    p.set(min(max(value, low), high), min=low, max=high)
    p.is_set = was_set


def angles_of(model) -> list[int]:
    """Places of free angles of ellipses that may take any value: they repeat every 180 degrees."""
    return [
        p.number - 1
        for p, (_, defined) in zip(model.parameters, model.tree.parameters, strict=True)
        if p.name == "theta" and p.free and (p.min, p.max) == (defined.hard_min, defined.hard_max)
    ]


def half_turn(problem, theta) -> ImageProblem:
    """The problem with angles limited to half a turn around those of ``theta``."""
    bounds = problem.numbers.bounds
    lower, upper = np.array(bounds.lower), np.array(bounds.upper)
    for i in angles_of(problem.model):
        lower[i], upper[i] = theta[i] - 90.0, theta[i] + 90.0
        limit(problem.model.parameters[i], lower[i], upper[i], theta[i])
    numbers = problem.numbers._replace(bounds=bounds._replace(lower=lower, upper=upper))
    return problem._replace(numbers=numbers)


def unit_for(data, unit) -> str:
    """Unit of a parameter on these data: an exposure in seconds, a profile in arcmin."""
    if isinstance(data, RadialProfile):
        table = not np.isnan(data.pixels.error).all()
        if unit == "pixel":
            return data.r_unit
        if table and unit.startswith("ct"):
            return data.sb_unit
        return unit if "cm-2" in data.sb_unit else unit.replace("s cm2", "s")
    return unit.replace("s cm2", "s") if data.exposure_unit == "s" else unit


def prior_map(model, priors) -> dict:
    """Priors by parameter index, from the model and from the call.

    The limits of the model are drawn in to where the priors are not zero.
    """
    if not isinstance(priors, dict | None):
        raise InputError(
            f"is a {type(priors).__name__}", parameter="priors", remedy="give {name: distribution}"
        )
    found = {p.number - 1: p.prior for p in model.parameters if p.prior is not None}
    for key, prior in (priors or {}).items():
        found[model[key].number - 1] = prior
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
    return found


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


def _draw_in(p, prior):
    """Keep a parameter inside the support of its prior: outside there is no slope to follow."""
    support = getattr(prior, "support", None)
    ends = (getattr(support, "lower_bound", p.min), getattr(support, "upper_bound", p.max))
    if (
        np.size(ends[0]) > 1
        or getattr(prior, "batch_shape", ())
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
    limit(p, low, high, p.value)


@partial(jax.jit, static_argnames=("objective",))
def minimise_from(objective, scene, numbers, theta) -> State:
    """Minimise from ``theta`` (n_par,)."""
    return minimise(
        lambda t: objective.quadratic(scene, numbers.links, numbers.priors, t),
        theta,
        numbers.bounds,
        n_bin=scene.pixels.x.shape[0],
        tol=numbers.tol,
        max_iter=numbers.max_iter,
        written_out=0,  # one lane; for 7 parameters that compiles in 2.4 s of CPU, not in 3.2
    )


def in_blocks(scene, length) -> Scene:
    """Scene whose pixels are padded to ``length`` and looked at in blocks, if it can be cut up."""
    whole = scene.grid is not None or scene.fine is not None or scene.radii is not None
    if whole or length % BLOCK or length <= BLOCK:
        return scene
    n = len(scene.pixels.x)
    pixels = pad(scene.pixels, length)
    return scene._replace(pixels=pixels, blocks=np.asarray(-(-n // BLOCK)))


def blocked(problem) -> tuple[Scene, Scene]:
    """Merged and full scene in the form that the minimiser takes; one scene if they are one."""
    length = len(problem.full.pixels.x)
    full = in_blocks(problem.full, length)
    same = problem.coarse is problem.full
    return full if same else in_blocks(problem.coarse, length), full


def find_minimum(problem) -> State:
    """Best minimum at full resolution, reached through the merged pixels; NumPy arrays."""
    coarse, full = blocked(problem)
    with jax.enable_x64(True):

        def descend(scene, theta):
            return jax.device_get(minimise_from(problem.objective, scene, problem.numbers, theta))

        state = descend(coarse, problem.start[0])
        for theta in problem.start[1:]:
            other = descend(coarse, theta)
            same = abs(_value(other) - _value(state)) < SAME
            state = min(state, other, key=_value)
            if same:
                break
        if coarse is not full:
            state = descend(full, state.theta)
    theta = np.array(state.theta)
    angles = angles_of(problem.model)
    theta[angles] = theta[angles] % 180.0
    return state._replace(theta=theta)


def solve(problem, integrate) -> tuple[ImageProblem, State]:
    """Minimum, and the problem as it was solved.

    Whether pixels are integrated is decided from the start. Where the fitted core says otherwise,
    the fit is done again; a core that is small with only one of the choices is integrated.
    """
    state = find_minimum(problem)
    if integrate is not None or isinstance(problem.data, RadialProfile):
        return problem, state
    for again in (False, True):
        used = problem.full.fine is not None
        wanted = small_core(problem.model, state.theta)
        if used == wanted or (again and used):
            break
        merged = problem.coarse is not problem.full
        full, coarse = scenes(problem.model, problem.data, state.theta, wanted, merged)
        problem = problem._replace(full=full, coarse=coarse, start=state.theta[None])
        state = find_minimum(problem)
    return problem, state


def _value(state):
    return float(state.at.value) if state.done and np.isfinite(state.at.value) else np.inf


def evaluate_at(problem, scene, theta):
    """`Quadratic` at one theta of a `blocked` scene: the minimiser with no iteration."""
    numbers = problem.numbers._replace(max_iter=np.asarray(0))
    with jax.enable_x64(True):
        return jax.device_get(minimise_from(problem.objective, scene, numbers, theta)).at
