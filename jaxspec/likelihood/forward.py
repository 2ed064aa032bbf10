"""Which forward model belongs to which data, and what models expect of data.

This is the only place outside of reading and preparing that asks what kind of data it has. A kind
is a `Kind`: everything else treats all kinds alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from jaxspec._types import Response, Spectrum, mjd_start
from jaxspec.errors import InputError
from jaxspec.likelihood import image_prepare, spectrum_prepare
from jaxspec.likelihood.hints import image_hints
from jaxspec.likelihood.image import BLOCK
from jaxspec.likelihood.linear import Lane
from jaxspec.likelihood.origin import (
    counts_in_band,
    failure_origin,
    image_origin,
    image_parts,
    spectrum_origin,
    spectrum_sources,
)
from jaxspec.reduce.batch import Plan
from jaxspec.reduce.bins import bin_counts, spectrum_bins
from jaxspec.reduce.data import DataList
from jaxspec.reduce.fold import Patterns, fold_wide
from jaxspec.reduce.frames import check_alike
from jaxspec.reduce.image import Image
from jaxspec.reduce.profile import RadialProfile
from jaxspec.reduce.recorded import Recorded, RecordedImage, RecordedProfile
from jaxspec.reduce.spectra import Failure, SpectrumList

AT_ONCE = 6_000_000  # fluxes evaluated at once, 50 MB: 20 000 sets of parameters on 300 energies


class Kind(NamedTuple):
    """What fits and samplers need to know of one kind of data.

    Parameters
    ----------
    one, many : str, what one datum and several are called.
    collection : class of a list of them.
    bins : str, what its bins are called.
    has_pixels : bool, whether its bins are pixels of a plane, which can be summed over annuli.
    check_model : ``model -> None``; raises `InputError` for a model of another kind.
    statistic : ``(datum, asked) -> (name, note)``
    suited : ``(model, datum) -> Model`` with limits and units for the datum.
    check_data : ``(datum, stat) -> None``; raises `InputError` for what cannot be data.
    make_term : ``(model, stat) -> Term``
    hints : ``(models, items, stat, rows) -> Hints``, or None where fits start from the data itself.
    make_lanes : ``(models, items, stat, rows, starts, integrate=, coarse=) -> [(full, coarse)]``
    settles : ``(model, datum, values, batch) -> bool``
        Whether the arrays that were made near the start serve at the solution too; else the value
        of ``integrate`` that would.
    facts : ``datum -> (start (MJD), exposure (s), counts of the fitted bins)``, NaN where unknown.
    origin : ``datum -> dict``, the files it was made from, their hashes, and what was done to them.
    sources : ``datum -> [path]``, files that a result must not be written over.
    said : ``datum -> iterable of str``, what was assumed of it that concerns a fit.
    check_shared : ``(datum, other, {role: parameter name}) -> None``, or None
        Raises `InputError` where a parameter that both share means something else in each.
    """

    one: str
    many: str
    collection: type
    bins: str
    has_pixels: bool
    check_model: Callable
    statistic: Callable
    suited: Callable
    check_data: Callable
    make_term: Callable
    hints: Callable | None
    make_lanes: Callable | None
    settles: Callable | None
    facts: Callable
    origin: Callable
    sources: Callable
    said: Callable = lambda datum: ()
    check_shared: Callable | None = None


def _spectrum_facts(item):
    return mjd_start(item.header or {}), item.exposure, counts_in_band(item)


def _failure_facts(item):
    return np.nan, np.nan, np.nan


def _image_facts(item):
    start = mjd_start(getattr(item, "header", None) or {})
    return start, getattr(item, "exposure_time", np.nan), item.pixels.counts.sum()


SPECTRA = Kind(
    one="spectrum",
    many="spectra",
    collection=SpectrumList,
    bins="bins",
    has_pixels=False,
    check_model=spectrum_prepare.check_model,
    statistic=spectrum_prepare.statistic,
    suited=lambda model, datum: model,
    check_data=lambda datum, stat: None,
    make_term=spectrum_prepare.make_term,
    hints=None,
    make_lanes=None,
    settles=None,
    facts=_spectrum_facts,
    origin=spectrum_origin,
    sources=spectrum_sources,
    said=spectrum_prepare.said,
)
IMAGES = Kind(
    one="image",
    many="images",
    collection=DataList,
    bins="pixels",
    has_pixels=True,
    check_model=image_prepare.check_model,
    statistic=image_prepare.statistic,
    suited=image_prepare.suited,
    check_data=image_prepare.check_data,
    make_term=image_prepare.make_term,
    hints=image_hints,
    make_lanes=image_prepare.make_lanes,
    settles=image_prepare.settles,
    facts=_image_facts,
    origin=image_origin,
    sources=lambda item: [item.path] if getattr(item, "path", "") else [],
    said=image_prepare.said,
    check_shared=check_alike,
)
PROFILES = IMAGES._replace(one="profile", many="profiles", bins="annuli", has_pixels=False)
_KNOWN = {"facts": lambda item: item.facts, "origin": lambda item: item.origin}
_KNOWN |= {"sources": lambda item: [item.path] if item.path else [], "said": lambda item: ()}
KINDS = {
    Spectrum: SPECTRA,
    RecordedImage: IMAGES._replace(**_KNOWN),
    RecordedProfile: PROFILES._replace(**_KNOWN),
    Recorded: SPECTRA._replace(**_KNOWN),
    Failure: SPECTRA._replace(
        facts=_failure_facts,
        origin=failure_origin,
        sources=lambda item: [item.path],
        said=lambda item: (),
    ),
    Image: IMAGES,
    RadialProfile: PROFILES,
}


def kind_of(datum) -> Kind:
    """Kind of one datum.

    Raises
    ------
    InputError
        For what is no data.
    """
    for known, kind in KINDS.items():
        if isinstance(datum, known):
            return kind
    remedy = "read spectra with jaxspec.read_pha, images with jaxspec.read_image"
    if isinstance(datum, str):
        raise InputError(f"{datum!r} is a path, not data", remedy=f"read it first: {remedy}")
    raise InputError(f"{datum!r} is neither a spectrum nor an image", remedy=remedy)


def content(datum) -> tuple:
    """Arrays that tell data apart: counts of all good bins, then where they are."""
    if isinstance(datum, Spectrum):
        index, n = spectrum_bins(datum)
        bins = bin_counts(datum, index, n)
        return bins.counts, bins.background, bins.t_s, bins.t_b, index
    return datum.pixels.counts, datum.pixels.x, datum.pixels.y


def whole_content(datum) -> dict:
    """Everything in a datum on which its likelihood depends: name to arrays."""
    if isinstance(datum, Spectrum):
        index, n = spectrum_bins(datum)
        bins = bin_counts(datum, index, n)
        response = datum.response
        matrix = () if response is None else (response.area, response.e_lo, response.e_hi)
        found = {name: (values,) for name, values in zip(bins._fields, bins, strict=True)}
        # the key of a response is a hash of its content
        key = () if response is None else (np.frombuffer(str(response.key).encode(), np.uint8),)
        return found | {"channels": (index,), "response": (*key, *matrix)}
    return image_parts(datum)


def same_data(one, other) -> bool:
    """Whether two data have the same bins, with the same counts and errors."""
    if one is other:
        return True
    if kind_of(one).one != kind_of(other).one:
        return False
    pairs = zip(_bins_of(one), _bins_of(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def _bins_of(datum) -> tuple:
    """Arrays of `content`, and the errors of all bins."""
    if isinstance(datum, Spectrum):
        index, n = spectrum_bins(datum)
        return *bin_counts(datum, index, n), index
    return *content(datum), datum.pixels.error


def in_one_piece(lane) -> Lane:
    """Lane without the blocks that a minimiser looks at, and without what pads the last of them."""
    if getattr(lane.inputs, "blocks", None) is None:
        return lane
    part = slice(int(lane.inputs.blocks) * BLOCK)
    whole = (lane.inputs.pixels, lane.bins, lane.mask)
    pixels, bins, mask = jax.tree.map(lambda x: x[..., part], whole)
    return Lane(lane.inputs._replace(pixels=pixels, blocks=None), bins, mask)


# ------------------------------------------------------------------- one datum


def lane_of(model, datum, values=None, integrate=None, stat=None):
    """Term and `Lane` of one datum, all its bins, for evaluation on the host.

    Parameters
    ----------
    model : Model
    datum : Spectrum, Image or RadialProfile
    values : (n_par,), near which it is used (images: where the sources are).
    integrate : bool or None; see `jaxspec.likelihood.image_prepare.full_scene`.
    stat : str, by default the automatic one.

    Returns
    -------
    term : Term
    lane : Lane of NumPy arrays
    n_bin : int, bins that are not padding.
    """
    kind = kind_of(datum)
    kind.check_model(model)
    stat = kind.statistic(datum, "auto")[0] if stat is None else stat
    term = kind.make_term(model, stat)
    if kind.make_lanes is None:

        def reject(row, status, message):
            raise InputError(f"{datum.name}: {message or status.sentence}")

        batches = spectrum_prepare.make_batches(model, [datum], [stat], 1, reject)
        batch = batches[0]
    else:
        values = model.values if values is None else np.asarray(values, float)
        made = kind.make_lanes(
            [model], [datum], stat, [0], [values], integrate=integrate, coarse=False
        )
        batch = made[0][0]
    bins = type(batch.bins)(*(field[0] for field in batch.bins))
    lane = Lane.of(batch.gather(0), bins, batch.mask[0])
    return term, lane, int(batch.mask[0].sum())


@partial(jax.jit, static_argnames=("term",))
def _means(term, inputs, params):
    return jax.lax.map(lambda p: term.forward.mean(inputs, p), params)


@partial(jax.jit, static_argnames=("term",))
def _parts(term, inputs, params):
    return jax.lax.map(lambda p: term.forward.parts(inputs, p), params)


@partial(jax.jit, static_argnames=("term",))
def _pointwise(term, lane, params):
    return jax.lax.map(lambda p: term.pointwise(lane, p), params)


@partial(jax.jit, static_argnames=("term",))
def _totals(term, lane, params):
    return jax.lax.map(lambda p: term.log_likelihood(lane, p), params) + term.constant(lane)


def _evaluated(work, model, datum, params, integrate, stat, inputs_only):
    params = np.asarray(params, float)
    rows = np.atleast_2d(params)
    with jax.enable_x64(True):
        term, lane, n_bin = lane_of(model, datum, rows[0], integrate, stat)
        made = work(term, lane.inputs if inputs_only else lane, rows)
        made = jax.tree.map(np.asarray, made)
    return made, n_bin, params.ndim == 1


def _cut(array, n_bin, single):
    array = array[:, :n_bin]
    return array[0] if single else array


def predict(model, datum, params, integrate=None) -> np.ndarray:
    """What a model expects of each bin of a datum.

    Parameters
    ----------
    model : Model
    datum : Spectrum, Image or RadialProfile
    params : (n_par,) or (n, n_par), all parameters with links applied.
    integrate : bool or None; see `jaxspec.likelihood.image_prepare.full_scene`.

    Returns
    -------
    (n_bin,) or (n, n_bin) float64
        Counts/s of the source in the noticed bins of a spectrum; counts in the good pixels of an
        image (in the order of its ``pixels``) or in annuli, backgrounds included.
    """
    made, n_bin, single = _evaluated(_means, model, datum, params, integrate, None, True)
    return _cut(made, n_bin, single)


def predict_parts(model, datum, params, integrate=None) -> dict[str, np.ndarray]:
    """`predict` for each additive component by itself, by name, in the order of the model."""
    made, n_bin, single = _evaluated(_parts, model, datum, params, integrate, None, True)
    return {name: _cut(made[name], n_bin, single) for name in model.tree.names if name in made}


def log_likelihoods(model, datum, params, integrate=None, stat=None) -> np.ndarray:
    """Log-likelihood (n,) of a datum for (n, n_par) parameters, constants included."""
    made, _, single = _evaluated(_totals, model, datum, params, integrate, stat, False)
    return made[0] if single else made


def log_constant(model, datum, integrate=None, stat=None) -> float:
    """What of the log-likelihood of a datum depends on no parameter, such as -sum ln N!."""
    with jax.enable_x64(True):
        term, lane, _ = lane_of(model, datum, None, integrate, stat)
        return float(term.constant(lane))


def pointwise_log_likelihood(model, datum, params, integrate=None, stat=None) -> np.ndarray:
    """Log-likelihood (n, n_bin) of every bin, constants included, for (n, n_par) parameters."""
    made, n_bin, _ = _evaluated(_pointwise, model, datum, params, integrate, stat, False)
    return made[:, :n_bin]


@partial(jax.jit, static_argnames=("term",))
def _rates(term, inputs, params):
    return jax.vmap(lambda p: term.forward.mean(inputs, p))(params)


@partial(jax.jit, static_argnames=("term",))
def _fluxes(term, inputs, params):
    flux = term.forward.tree.flux
    return jax.vmap(lambda p: flux(inputs.e_lo, inputs.e_hi, inputs.tables, p))(params)


def channel_rates(model, response: Response, params) -> np.ndarray:
    """Expected counts/s in every channel of a response.

    Parameters
    ----------
    model : Model of a spectrum
    response : Response
    params : (n, n_par), links applied.

    Returns
    -------
    (n, n_channel) float64, for AREASCAL 1
    """
    n = len(response.channel)
    every = np.arange(n)
    fine = replace(response, wide=())  # all channels of wider parts are folded on the host
    plan = Plan(every, n, every, fine, every.tobytes())
    shape = (len(response.e_lo), n)
    SPECTRA.check_model(model)
    term = SPECTRA.make_term(model, "cstat")
    params = np.asarray(params, float)
    with jax.enable_x64(True):
        foldings = spectrum_prepare.Foldings([plan], shape, Patterns(True), model.tree.prepare)
        each = max(1, AT_ONCE // max(*shape, foldings.length if foldings.sparse else 0))
        made = []
        for i in range(0, len(params), each):
            some = params[i : i + each]
            made.append(np.asarray(_rates(term, foldings(0), some)))
            if response.wide:
                flux = np.asarray(_fluxes(term, foldings(0), some))
                made[-1] = made[-1] + fold_wide(response, flux)
    return np.concatenate(made)
