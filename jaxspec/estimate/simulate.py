"""Simulated spectra from any model and response, and images; many at once."""

from __future__ import annotations

import functools

import numpy as np

from jaxspec._types import Spectrum
from jaxspec.errors import InputError
from jaxspec.reduce.image import Image
from jaxspec.reduce.spectra import SpectrumList

MOST = 1e15  # counts in a channel; beyond, doubles do not count
CHUNK = 20_000  # spectra evaluated at once: 50 MB of fluxes for 300 energies
DENSE = 2_000_000  # matrix elements up to which a dense product is faster than a sparse one


def fake(
    model,
    response,
    exposure=None,
    params=None,
    background=None,
    seed=None,
    name="fake",
    backscal=1.0,
):
    """Simulate spectra, Poisson counts of a model folded through a response; or images.

    Parameters
    ----------
    model : Model or str
        Its present values are used where ``params`` says nothing.
    response : Response or Image
        An image is the template of images: exposure, mask, background map, PSF and sky coordinates
        are taken from it, its counts are not; sources whose x0 and y0 nobody gave are put in its
        middle. See `jaxspec.estimate.simulate_image`.
    exposure : float or (n,) s
        For spectra only, as are ``background`` and ``backscal``.
    params : dict of str to float or (n,), optional
        Values by parameter name, as in ``model[name]``; arrays of n values give n spectra, or n
        images.
    background : Spectrum, optional
        Its rate, scaled by the exposures and by BACKSCAL, is added to the source. Each simulated
        spectrum carries a background of its own: Poisson numbers with the given counts as the
        expectation, or for POISSERR = F Gaussian numbers of width STAT_ERR, set to zero where
        they fall below it. Its channels must be those of the response.
    seed : int or numpy.random.Generator, optional
        Equal seeds give equal counts.
    name : str
        Name of the spectrum or image; with n of them ``_1`` to ``_n`` are appended.
    backscal : float
        BACKSCAL of the simulated spectra.

    Returns
    -------
    SpectrumList
        One spectrum, or n, with the response attached and ``poisserr`` True.
    Image, or list of Image
        For a template: one for single values, a list for arrays.

    Raises
    ------
    InputError
        Unknown parameters, arrays of different lengths, an exposure that is not positive, a
        model that is negative or not finite, a background on other channels.

    Examples
    --------
    >>> import jaxspec as js
    >>> response = js.read_response("xp90058110300.rsp.gz")                    # doctest: +SKIP
    >>> js.fake("powerlaw", response, 2000.0, {"PhoIndex": [1.5, 2.0]}, seed=1)   # doctest: +SKIP
    >>> image = js.read_image("image.fits", exposure="expmap.fits")             # doctest: +SKIP
    >>> js.fake("beta", image, params={"rc": 6.0, "B": 0.1}, seed=1)            # doctest: +SKIP
    """
    if isinstance(response, Image):
        return _images(model, response, exposure, params, background, seed, name, backscal)
    rng = np.random.default_rng(seed)
    exposure, single = _exposures(exposure)
    flux = model_flux(model, response.e_lo, response.e_hi, params)
    n = max(len(flux), len(exposure))
    if len(flux) not in (1, n) or len(exposure) not in (1, n):
        raise InputError(
            f"{len(flux)} values are given for the parameters and {len(exposure)} exposures",
            remedy="give arrays of one length",
        )
    single = single and _is_single(params)
    exposure = np.broadcast_to(exposure, n)
    expected = fold(flux, response) * exposure[:, None]
    backgrounds = [None] * n
    if background is not None:
        _check_background(background, response)
        backgrounds = _backgrounds(background, n, rng)
        ratio = backscal / np.asarray(background.backscal, dtype=float)
        expected = expected + background.counts * ratio * exposure[:, None] / background.exposure
    if expected.max(initial=0.0) > MOST:
        raise InputError(
            f"{expected.max():.3g} counts are expected in one channel",
            parameter="exposure",
            remedy="check exposure and norm",
        )
    counts = rng.poisson(expected).astype(float)
    names = [name] if single else [f"{name}_{i}" for i in range(1, n + 1)]
    return SpectrumList(
        Spectrum(
            name=names[i],
            channel=response.channel,
            counts=counts[i],
            exposure=float(exposure[i]),
            backscal=backscal,
            background=backgrounds[i],
            response=response,
        )
        for i in range(n)
    )


def _images(model, image, exposure, params, background, seed, name, backscal):
    """Simulated images; what belongs to spectra is refused."""
    from jaxspec.estimate.simulate_image import centred, fake_image, image_model

    for key, given in (
        ("exposure", exposure is not None),
        ("background", background is not None),
        ("backscal", backscal != 1.0),
    ):
        if given:
            raise InputError(
                "is for spectra", parameter=key, remedy="it is part of the template image"
            )
    model = centred(image_model(model), image)
    theta = _theta(model, params or {})
    return fake_image(model, image, theta, seed, name, _is_single(params))


def fold(flux, response):
    """Fold fluxes into counts per second in each channel.

    Parameters
    ----------
    flux : (n, n_energy) photons/cm2/s in each bin
    response : Response

    Returns
    -------
    (n, n_channel) counts/s, for AREASCAL 1
    """
    matrix = response.matrix
    if matrix.shape[0] * matrix.shape[1] <= DENSE:
        matrix = matrix.toarray()
    return np.asarray((flux * response.area) @ matrix)


def model_flux(model, e_lo, e_hi, params=None):
    """Model in each energy bin for n sets of parameters, in one compiled call.

    Parameters
    ----------
    model : Model or str
    e_lo, e_hi : (n_energy,) keV
    params : dict of str to float or (n,), optional
        Values that replace those of the model.

    Returns
    -------
    (n, n_energy) float64 photons/cm2/s; n is 1 if all values are scalars.

    Raises
    ------
    InputError
        Unknown, linked or non-finite parameters; a negative or non-finite model.
    """
    import jax

    from jaxspec.model.model import Model

    model = Model(model) if isinstance(model, str) else model
    theta = _theta(model, params or {})
    links = model.link_map()
    with jax.enable_x64(True):
        tables = tuple(np.asarray(t, dtype=float) for t in model.tree.prepare(e_lo, e_hi))
        fixed = (np.asarray(e_lo, float), np.asarray(e_hi, float), tables)
        fixed += (np.asarray(links.matrix, float), np.asarray(links.offset, float))
        parts = [
            _evaluator()(model.tree, links.functions, *fixed, theta[i : i + CHUNK])
            for i in range(0, len(theta), CHUNK)
        ]
        flux = np.concatenate([np.asarray(part) for part in parts])
    bad = ~(np.isfinite(flux) & (flux >= 0)).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        values = ", ".join(
            f"{p.full_name}={v:.6g}" for p, v in zip(model.parameters, theta[row], strict=True)
        )
        raise InputError(f"the model is negative or not finite for {values} (set {row + 1})")
    return flux


@functools.cache
def _evaluator():
    """Compiled once for each tree, form of links, grid and number of sets."""
    import jax

    from jaxspec.model.links import apply_links

    def evaluate(tree, functions, e_lo, e_hi, tables, matrix, offset, theta):
        def one(values):
            full = apply_links(values, matrix, offset, functions)
            return tree.flux(e_lo, e_hi, tables, full)

        return jax.vmap(one)(theta)

    return jax.jit(evaluate, static_argnums=(0, 1))


def _theta(model, params):
    """(n, n_par) values of all parameters."""
    given = [(model[name], np.asarray(value, dtype=float)) for name, value in params.items()]
    for par, value in given:
        if par.link is not None:
            raise InputError(f"is linked to {par.link}", parameter=par.full_name)
        if value.ndim > 1 or value.size == 0 or not np.isfinite(value).all():
            raise InputError("is not a finite number or a list of them", parameter=par.full_name)
    lengths = {value.size for _, value in given if value.ndim}
    if len(lengths) > 1:
        raise InputError(f"parameter arrays have lengths {sorted(lengths)}", remedy="use one")
    theta = np.tile(model.values, (max(lengths, default=1), 1))
    for par, value in given:
        theta[:, par.number - 1] = value
    return theta


def _is_single(params):
    return all(np.ndim(value) == 0 for value in (params or {}).values())


def _exposures(exposure):
    values = np.asarray(exposure, dtype=float)
    if values.ndim > 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"exposure is {exposure!r}", remedy="give seconds, a positive number each")
    return np.atleast_1d(values), values.ndim == 0


def _check_background(background, response):
    if not np.array_equal(background.channel, response.channel):
        raise InputError(
            f"the background has {len(background.channel)} channels, "
            f"the response {len(response.channel)}, or their numbers differ",
            file=background.path or background.name,
        )
    file = background.path or background.name
    if not (np.isfinite(background.counts) & (background.counts >= 0)).all():
        raise InputError("the background has counts below zero or not finite", file=file)
    if not background.poisserr and background.stat_err is None:
        raise InputError("POISSERR is F and there is no STAT_ERR", file=file)


def _backgrounds(background, n, rng):
    """Draw n copies of a background."""
    shape = (n, len(background.counts))
    if background.poisserr:
        counts = rng.poisson(background.counts, shape).astype(float)
    else:
        drawn = background.counts + background.stat_err * rng.normal(size=shape)
        counts = np.maximum(drawn, 0.0)
    return [
        background.replace(name=f"{background.name}_{i}", counts=row)
        for i, row in enumerate(counts, start=1)
    ]
