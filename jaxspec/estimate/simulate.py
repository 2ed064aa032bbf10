"""Simulated spectra from any model and response, and images; many at once."""

from __future__ import annotations

import numpy as np

from jaxspec._ask import expect, generator, numbers
from jaxspec._types import Response, Spectrum
from jaxspec.errors import InputError
from jaxspec.estimate.simulate_image import centred, fake_image, image_model
from jaxspec.likelihood.forward import channel_rates, kind_of
from jaxspec.model.model import Model
from jaxspec.reduce.bins import _inverse, exposures
from jaxspec.reduce.spectra import SpectrumList

MOST = 1e15  # counts in a channel; beyond, doubles do not count


@np.errstate(all="ignore")
def fake(
    model,
    response,
    exposure=None,
    params=None,
    background=None,
    seed=None,
    name="fake",
    backscal=1.0,
    areascal=1.0,
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
        Its rate, scaled by exposure, BACKSCAL and AREASCAL, is added to the source. Each simulated
        spectrum carries a background of its own: Poisson numbers with the given counts as the
        expectation, or for POISSERR = F Gaussian numbers of width STAT_ERR, set to zero where
        they fall below it. Its channels are those of the response, or equally many that are
        numbered from another first one.
    seed : int or numpy.random.Generator, optional
        Equal seeds give equal counts.
    name : str
        Name of the spectrum or image; with n of them ``_1`` to ``_n`` are appended.
    backscal, areascal : float or (n_channel,)
        BACKSCAL and AREASCAL of the simulated spectra; the model and the background are multiplied
        by AREASCAL, as they are in a fit.

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
    if not isinstance(response, Response | None):
        scales = {"backscal": backscal, "areascal": areascal}
        return _images(model, response, exposure, params, background, seed, name, scales)
    expect(response, "channel", "response", "a Response, or an image as template")
    if background is not None:
        expect(background, "counts", "background", "a Spectrum")
    rng = generator(seed)
    exposure, single = _exposures(exposure)
    rates = expected_rates(model, response, params)
    n = max(len(rates), len(exposure))
    if len(rates) not in (1, n) or len(exposure) not in (1, n):
        raise InputError(
            f"{len(rates)} values are given for the parameters and {len(exposure)} exposures",
            remedy="give arrays of one length",
        )
    single = single and _is_single(params)
    exposure = np.broadcast_to(exposure, n)
    given = {"backscal": backscal, "areascal": areascal}
    scales = {key: _scale(value, key, response) for key, value in given.items()}
    one = Spectrum(name, response.channel, np.zeros(len(response.channel)), 1.0, **scales)
    backgrounds = [None] * n
    if background is not None:
        background = _on_channels(background, response)
        backgrounds = _backgrounds(background, n, rng)
    t_s, t_b = exposures(one.replace(background=background))  # those of a fit
    if background is not None:
        rates = rates + background.counts * _inverse(np.asarray(t_b, float))
    expected = rates * t_s * exposure[:, None]
    if expected.max(initial=0.0) > MOST:
        raise InputError(
            f"{expected.max():.3g} counts are expected in one channel",
            parameter="exposure",
            remedy="check exposure and norm",
        )
    counts = rng.poisson(expected).astype(float)
    counts.flags.writeable = False  # so that the spectra share it
    names = [name] if single else [f"{name}_{i}" for i in range(1, n + 1)]
    return SpectrumList(
        Spectrum(
            name=names[i],
            channel=response.channel,
            counts=counts[i],
            exposure=float(exposure[i]),
            background=backgrounds[i],
            response=response,
            **scales,
        )
        for i in range(n)
    )


def _scale(value, key, response):
    """A scale as a float or (n_channel,) array; raises InputError if it is not positive."""
    try:
        values = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    fits = values.shape in ((), response.channel.shape)
    if not fits or not np.all((values > 0) & (values < np.inf)):
        raise InputError(
            f"is {value!r}", parameter=key, remedy="give a positive number, or one for each channel"
        )
    return values if values.ndim else float(values)


def _images(model, image, exposure, params, background, seed, name, scales):
    """Simulated images; what belongs to spectra is refused."""
    for key, given in (
        ("exposure", exposure is not None),
        ("background", background is not None),
        *((key, np.any(np.asarray(value) != 1.0)) for key, value in scales.items()),
    ):
        if given:
            raise InputError(
                "is for spectra", parameter=key, remedy="it is part of the template image"
            )
    if not kind_of(image).has_pixels:
        raise InputError("is no image", parameter="response", remedy="give a response or an image")
    model = centred(image_model(model), image)
    theta = _theta(model, params or {})
    return fake_image(model, image, theta, seed, name, _is_single(params))


def expected_rates(model, response, params=None):
    """Model folded through a response, for n sets of parameters.

    Parameters
    ----------
    model : Model or str
    response : Response
    params : dict of str to float or (n,), optional
        Values that replace those of the model.

    Returns
    -------
    (n, n_channel) float64 counts/s, for AREASCAL 1; n is 1 if all values are scalars.

    Raises
    ------
    InputError
        Unknown, linked or non-finite parameters; a model that is negative or not finite.
    """
    model = Model(model) if isinstance(model, str) else model
    expect(model, "link_map", "model", "a Model or an expression")
    theta = _theta(model, params or {})
    rates = channel_rates(model, response, model.linked(theta))
    bad = ~(np.isfinite(rates) & (rates >= 0)).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        values = ", ".join(
            f"{p.full_name}={v:.6g}" for p, v in zip(model.parameters, theta[row], strict=True)
        )
        raise InputError(f"the model is negative or not finite for {values} (set {row + 1})")
    return rates


def _theta(model, params):
    """(n, n_par) values of all parameters."""
    expect(params, "items", "params", "a dict of names and values")
    given = [(model[name], numbers(value, name)) for name, value in params.items()]
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
    values = numbers(exposure, "exposure", "give seconds, a positive number each")
    if values.ndim > 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"exposure is {exposure!r}", remedy="give seconds, a positive number each")
    return np.atleast_1d(values), values.ndim == 0


def _on_channels(background, response):
    """Background with the channel numbers of the response, after a look at its numbers."""
    ours, theirs = background.channel, response.channel
    if not np.array_equal(ours, theirs):
        if len(ours) != len(theirs) or not np.array_equal(np.diff(ours), np.diff(theirs)):
            raise InputError(
                f"the background has {len(ours)} channels ({ours[0]}-{ours[-1]}), the response "
                f"{len(theirs)} ({theirs[0]}-{theirs[-1]})",
                file=background.path or background.name,
                remedy="use a background on the channels of the response",
            )
        note = f"channels {ours[0]}-{ours[-1]} are those from {theirs[0]} in {response.name}"
        background = background.replace(channel=theirs, diagnostics=(*background.diagnostics, note))
    file = background.path or background.name
    if not (np.isfinite(background.counts) & (background.counts >= 0)).all():
        raise InputError("the background has counts below zero or not finite", file=file)
    if not background.poisserr and background.stat_err is None:
        raise InputError("POISSERR is F and there is no STAT_ERR", file=file)
    return background


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
