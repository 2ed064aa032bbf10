"""Quantities that follow from the parameters of an image model: log S0, rc in arcsec, fluxes.

They are computed from fitted values or from draws of a posterior; the parameters themselves stay
those of the model.
"""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError


def derived(model, params, pixel_size=None, radius=None) -> dict:
    """Quantities in other units, and fluxes, of every component of an image model.

    Parameters
    ----------
    model : Model of an image.
    params : (..., n_par), all parameters in the model's order: values, or draws.
    pixel_size : float, arcsec per pixel of the image; None leaves out what needs it.
    radius : float, pixels; the fluxes are those inside this distance from a component's centre
        (along the major axis of an elliptical one). None for the whole plane.

    Returns
    -------
    dict from full name to (values (...,), unit)
        ``beta.log10_S0``; ``beta.rc_arcsec``; ``beta.flux`` in counts/(s cm2), or per unit of
        the exposure that was fitted; of a double beta also ``flux_1``, ``flux_2`` of its parts.

    Raises
    ------
    InputError
        A spectral model, a wrong number of parameters, sizes that are not positive.

    Notes
    -----
    A beta model has a finite flux in the whole plane for beta > 1/2 only,
    ``pi S0 rc2 / (3 beta - 3/2)``; it is NaN at or below, where the light goes on for ever. The
    logarithm of a brightness of 0 is -inf. A disk's softened edge and that of a shell are counted
    as sharp; const2d, background and own components have no flux here.

    Examples
    --------
    >>> from jaxspec.model.model import Model
    >>> model = Model("beta")
    >>> model["S0"].set(1e-4), model["rc"].set(10.0), model["beta"].set(1.0)  # doctest: +ELLIPSIS
    (...)
    >>> found = derived(model, model.values, pixel_size=2.0)
    >>> {name: (round(float(value), 6), unit) for name, (value, unit) in found.items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'beta.log10_S0': (-4.0, 'dex(ct / (s cm2 pixel))'),
     'beta.rc_arcsec': (20.0, 'arcsec'),
     'beta.flux': (0.020944, 'ct / (s cm2)')}
    """
    if model.domain != "image":
        raise InputError(f"{model.expression} is not a model of an image")
    params = np.asarray(params, dtype=np.float64)
    if params.shape[-1:] != (len(model),):
        raise InputError(
            f"params has the shape {params.shape}",
            remedy=f"the last axis holds the {len(model)} parameters of {model.expression}",
        )
    for value, what in ((pixel_size, "pixel_size"), (radius, "radius")):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{what}={value!r} is not a positive number")
    made = {}
    size = np.inf if radius is None else float(radius)
    tree = model.tree
    for name, component, first in zip(tree.names, tree.components, tree.first, strict=False):
        own = {n: params[..., first + i] for i, n in enumerate(component.names)}
        units = [model.parameters[first + i].unit for i in range(len(component.names))]
        flux_unit = "ct / (s cm2)"
        for p, unit in zip(component.parameters, units, strict=True):
            if p.role == "amplitude" and component.vignetted:
                flux_unit = _of_flux(unit)
                with np.errstate(divide="ignore"):
                    made[f"{name}.log10_{p.name}"] = (np.log10(own[p.name]), f"dex({unit})")
            if p.role == "length" and pixel_size is not None:
                made[f"{name}.{p.name}_arcsec"] = (own[p.name] * pixel_size, "arcsec")
        for part, flux in component.flux(own, size).items() if component.flux else ():
            made[f"{name}.{part}"] = (flux, flux_unit)
    return made


def _of_flux(unit):
    """Unit of the integral over pixels of what is in ``unit``: "ct / s" for "ct / (s pixel)"."""
    whole = unit.replace(" pixel)", ")")
    return whole.replace("(", "").replace(")", "") if " " not in whole[4:].strip("/ ()") else whole
