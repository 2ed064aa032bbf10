"""What a model expects of an image, as an image: to be looked at, subtracted, written."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.forward import predict, predict_parts

KINDS = ("model", "residuals")


def model_image(model, data, params, kind="model", integrate=None):
    """Expected counts of every exposed pixel, masked ones included.

    Parameters
    ----------
    model : Model of an image.
    data : Image
    params : (n_par,), all parameters of the model.
    kind : str
        "model"; "residuals", counts minus model, 0 where a pixel is left out; or the name of one
        component ("beta", "background").
    integrate : bool or None, as it was fitted.

    Returns
    -------
    Image
        The image with these numbers as its counts; nothing of a source where nothing is exposed.

    Raises
    ------
    InputError
        Data that are no image, or another ``kind``.
    """
    if not hasattr(data, "rebuild"):
        raise InputError(
            f"{data.name} is no image", remedy="spectra and profiles have plot.arrays, plot.fit"
        )
    whole = data.replace(mask=np.zeros(data.shape, bool))
    if kind in KINDS:
        values = predict(model, whole, params, integrate)
    else:
        parts = predict_parts(model, whole, params, integrate)
        if kind not in parts:
            raise InputError(
                f"is {kind!r}", parameter="kind", remedy=f"use one of {', '.join((*KINDS, *parts))}"
            )
        values = parts[kind]
    values = whole.rebuild(np.asarray(values))
    if kind == "residuals":
        values = np.where(data.mask, 0.0, data.counts - values)
    return data.replace(
        name=f"{data.name} {kind}",
        counts=values,
        path="",
        diagnostics=(f"{kind} of {model.expression} for {data.path or data.name}",),
    )
