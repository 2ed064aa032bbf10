"""Simulated images: any model, seen with the exposure, background and PSF of a template."""

from __future__ import annotations

import numpy as np

from jaxspec._ask import expect, generator
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import predict
from jaxspec.likelihood.image_prepare import check_model, next_axis
from jaxspec.model.model import Model

MOST = 1e15  # counts in a pixel; beyond, doubles do not count


def fake_image(model, image, theta, seed=None, name="fake", single=True):
    """Draw counts for every pixel of a template.

    Parameters
    ----------
    model : Model or str, of an image.
    image : Image
        Gives exposure, mask, PSF, background map and sky coordinates. Its counts do not matter.
    theta : (n, n_par)
        Values of all parameters, one row per image; links are applied here.
    seed : int or numpy.random.Generator, optional
    name : str; ``_1`` to ``_n`` are appended unless there is one image.
    single : bool, whether to return an Image and not a list of them.

    Returns
    -------
    Image, or list of n Image
        Poisson numbers; for a template with rms errors Gaussian ones of that width. Masked pixels
        get counts as well, so that they look like real ones; a pixel with neither exposure nor
        background gets none.

    Raises
    ------
    InputError
        A model that is no image model, or is negative or not finite somewhere.
    """
    model, rng = image_model(model), generator(seed)
    names = [name] if single else [f"{name}_{i}" for i in range(1, len(theta) + 1)]
    made = []
    for own, values in zip(names, theta, strict=True):
        mean = expected_image(model, image, values)
        if image.rms is None:
            counts = rng.poisson(mean).astype(float)
        else:
            counts = mean + image.rms * rng.standard_normal(image.shape)
        says = f"simulated: {_text(model, values)}"
        made.append(image.replace(name=own, counts=counts, path="", diagnostics=(says,)))
    return made[0] if single else made


def image_model(model) -> Model:
    """Model of an image from a Model or an expression."""
    model = Model(model) if isinstance(model, str) else model
    expect(model, "link_map", "model", "a Model or an expression")
    check_model(model)
    return model


def centred(model, image):
    """Copy of the model whose sources without a position are in the middle of the image."""
    model = model.copy()
    ny, nx = image.shape
    ends = iter(())
    for p in model.parameters:
        if p.role == "position":
            axis, ends = next_axis(ends)
            if p.free and not p.is_set:
                p.set(((nx, ny)[axis] - 1) / 2)
    return model


def expected_image(model, image, theta) -> np.ndarray:
    """Expected counts (ny, nx) of all pixels, masked ones too; 0 where nothing is exposed.

    Parameters
    ----------
    model : Model of an image.
    image : Image, the template.
    theta : (n_par,), all parameters of the model; links are applied here.

    Raises
    ------
    InputError
        If they are negative, not finite, or too many to be drawn.
    """
    whole = image.replace(mask=np.zeros(image.shape, dtype=bool))
    mean = predict(model, whole, model.linked(theta)).reshape(image.shape)
    exposed = image.exposure > 0
    if image.background is not None:
        exposed |= image.background > 0
    mean = np.where(exposed, mean, 0.0)
    bad = ~(np.isfinite(mean) & (mean >= 0))
    if bad.any():
        y, x = np.argwhere(bad)[0]
        raise InputError(
            f"the model is {mean[y, x]:.6g} at x={x}, y={y} for {_text(model, theta)}",
            remedy="check the values and the background map",
        )
    if mean.max() > MOST:
        raise InputError(
            f"{mean.max():.3g} counts are expected in one pixel for {_text(model, theta)}",
            parameter="exposure",
            remedy="check exposure and brightness",
        )
    return mean


def _text(model, theta):
    pairs = zip(model.parameters, theta, strict=True)
    return f"{model.expression}, " + ", ".join(f"{p.label}={v:.6g}" for p, v in pairs)
