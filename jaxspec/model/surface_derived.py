"""Quantities that follow from the parameters of an image model: log S0, rc in arcsec, fluxes.

They are computed from fitted values or from draws of a posterior; the parameters themselves stay
those of the model.
"""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.model.surface import sersic_b
from jaxspec.model.surface_catalogue import SURFACES

_LENGTHS = ("rc", "rc2", "sigma", "re", "r", "width")
_BETAS = (("S0", "rc", "beta"), ("S02", "rc2", "beta2"))


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
        ``beta.log10_S0``; ``beta.rc_arcsec``; ``beta.flux`` in counts/(s cm2), of a double beta
        also ``flux_1``, ``flux_2`` of its two parts.

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
    tree = model.tree
    for name, component, first in zip(tree.names, tree.components, tree.first, strict=False):
        names = [p.name for p in component.parameters]
        own = {n: params[..., first + i] for i, n in enumerate(names)}
        for n, p in zip(names, component.parameters, strict=True):
            if p.unit.startswith("ct") and component.vignetted:
                with np.errstate(divide="ignore"):
                    made[f"{name}.log10_{n}"] = (np.log10(own[n]), f"dex({p.unit})")
            if n in _LENGTHS and p.unit == "pixel" and pixel_size is not None:
                made[f"{name}.{n}_arcsec"] = (own[n] * pixel_size, "arcsec")
        kind = component.name if component in SURFACES else ""
        for part, flux in _fluxes(kind, own, radius).items():
            made[f"{name}.{part}"] = (flux, "ct / (s cm2)")
    return made


def _fluxes(kind, own, radius):
    """Flux by name ("flux", "flux_1", ...) of one component of the catalogue."""
    size = np.inf if radius is None else float(radius)
    axis_ratio = 1.0 - own.get("ellip", 0.0)
    if kind in ("beta", "elliptical_beta"):
        return {"flux": axis_ratio * beta_flux(own["S0"], own["rc"], own["beta"], size)}
    if kind == "double_beta":
        parts = [beta_flux(own[s], own[r], own[b], size) for s, r, b in _BETAS]
        return {"flux": parts[0] + parts[1], "flux_1": parts[0], "flux_2": parts[1]}
    if kind == "gauss2d":
        inside = -np.expm1(-0.5 * (size / own["sigma"]) ** 2)
        return {"flux": axis_ratio * 2.0 * np.pi * own["S0"] * own["sigma"] ** 2 * inside}
    if kind == "sersic":
        return {"flux": _sersic_flux(own["Se"], own["re"], own["n"], size)}
    if kind == "disk2d":
        return {"flux": np.pi * own["S0"] * np.minimum(own["r"], size) ** 2}
    if kind == "shell2d":
        return {"flux": _shell_flux(own["S0"], own["r"], own["width"], size)}
    return {}


def beta_flux(S0, rc, beta, radius=np.inf):
    """Integral of a beta model over the plane or within a radius (pixels), counts/(s cm2).

    ``pi S0 rc2 ((1 + R2/rc2)^p - 1) / p`` with ``p = 3/2 - 3 beta``; for p = 0 the logarithm, and
    for the whole plane ``-pi S0 rc2 / p`` where p < 0, NaN where not.

    Examples
    --------
    >>> float(beta_flux(1.0, 1.0, 0.5, 3.0) / np.pi), float(beta_flux(1.0, 1.0, 0.5))
    (2.302585092994046, nan)
    """
    S0, rc, beta = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (S0, rc, beta)))
    power = 1.5 - 3.0 * beta
    safe = np.where(power == 0, 1.0, power)
    if np.isinf(radius):
        growth = np.where(power < 0, -1.0 / safe, np.nan)
    else:
        log_u = np.log1p((radius / rc) ** 2)
        growth = np.where(power == 0, log_u, np.expm1(safe * log_u) / safe)
    return np.pi * S0 * rc**2 * growth


def _sersic_flux(Se, re, n, size):
    from scipy.special import gamma, gammainc

    b = sersic_b(n)
    inside = gammainc(2.0 * n, b * (size / re) ** (1.0 / n))
    return 2.0 * np.pi * n * Se * re**2 * np.exp(b) * b ** (-2.0 * n) * gamma(2.0 * n) * inside


def _shell_flux(S0, r, width, size):
    def sphere(radius):  # integral of sqrt(radius2 - d2) over the circle
        cut = np.minimum(size, radius)
        return 2.0 * np.pi / 3.0 * (radius**3 - (radius**2 - cut**2) ** 1.5)

    return S0 / width * (sphere(r + width) - sphere(r))
