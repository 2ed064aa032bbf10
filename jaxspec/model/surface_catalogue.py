"""The image components: one table, as `jaxspec.model.catalogue` is for spectra.

Positions and lengths are in pixels of the image. S0 and its like are in counts/s/cm2/pixel for an
exposure in cm2 s; they follow the exposure where that is in seconds or has no unit.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxspec.model import surface
from jaxspec.model import surface_flux as fluxes
from jaxspec.model.component import Component, Exchangeable, Natural
from jaxspec.model.component import Parameter as P

BRIGHTNESS = "ct / (s cm2 pixel)"
_BETA = "Cavaliere & Fusco-Femiano 1976, A&A 49, 137"
_CENTRE = tuple(
    P(f"{axis}0", 0.0, -1e6, 1e6, -1e6, 1e6, unit="pixel", role="position", symbol=f"${axis}_0$")
    for axis in "xy"
)
_ANGLE = {"unit": "deg", "role": "angle", "period": 180.0, "symbol": r"$\theta$"}
_ELLIPSE = (
    # starts away from 0, where there is no slope along theta
    P("ellip", 0.0, 0.0, 0.95, 0.0, 0.99, starts=(0.2,), role="ellipticity", symbol=r"$\epsilon$"),
    P("theta", 0.0, 0.0, 180.0, -360.0, 360.0, starts=(45.0,), **_ANGLE),
)


def _amplitude(name, default, unit, symbol):
    return P(name, default, 0.0, 1e6, 0.0, 1e12, unit=unit, role="amplitude", symbol=symbol)


def _brightness(name="S0", default=1e-5, symbol="$S_0$"):
    return _amplitude(name, default, BRIGHTNESS, symbol)


def _length(name, default, hard_min=1e-3, symbol=""):
    role = {"unit": "pixel", "role": "length", "symbol": symbol or f"${name}$"}
    return P(name, default, 0.1, 1e4, hard_min, 1e6, **role)


def _core(name="rc", default=5.0, symbol=r"$r_\mathrm{c}$"):
    return _length(name, default, symbol=symbol)


def _slope(name="beta", starts=(0.6, 1.0), symbol=r"$\beta$"):
    # 3 beta - 1/2 stays positive; below about 1/3 the wings are flatter than any cluster's
    return P(name, 0.6, 0.34, 2.0, 0.2, 5.0, starts=starts, role="slope", symbol=symbol)


# Abell 1835, seeds 3 to 6: 2 to 4 of 4000 draws of 8 to 12 steps diverged; without a rival 7 to 31
# of 10 to 15 steps. Its ridge turns from one slope to the other over about that difference.
CORNER = 0.1


def _kappa(beta):
    return 1.0 / (3.0 * beta - 0.5)


def _slope_of(kappa):
    return (1.0 / kappa + 0.5) / 3.0


def _shift(kappa):
    return -0.5 * jnp.log(kappa)


def _natural(core, slope, rival=""):
    """Coordinates of a beta model: kappa = 1 / (3 beta - 1/2) and w = rc sqrt(kappa).

    The model is ``S0 (1 + kappa r2/w2)^(-1/kappa)``, whose centre depends on w alone and which
    changes evenly with kappa, down to the Gaussian at 0. Of two beta models with one centre the
    wings are those of the larger kappa, be it that of the narrow or of the wide one.
    """
    return Natural(
        of=slope,
        to=_kappa,
        back=_slope_of,
        carried=core,
        shift=_shift,
        rival=rival,
        corner=CORNER,
    )


def _width(rc, beta):
    """Near its centre a beta model is S0 (1 - r2/w2); rc alone says little where beta is large."""
    return rc / np.sqrt(3.0 * beta - 0.5)


def _image(name, kernel, parameters, summary, reference="closed form", **meaning):
    texts = {"summary": summary, "reference": reference}
    return Component(name, "add", parameters, kernel, **texts, domain="image", **meaning)


BACKGROUND = _image(
    "background",
    surface.background,
    (
        _amplitude("B", 0.0, "ct / pixel", "$B$"),
        P("scale", 1.0, 0.0, 10.0, 0.0, 1e6, frozen=True),
    ),
    "Even background, not vignetted, and the scale of the image's background map",
    vignetted=False,
)

SURFACES: tuple[Component, ...] = (
    _image(
        "beta",
        surface.beta,
        (*_CENTRE, _brightness(), _core(), _slope()),
        "Beta model of a cluster",
        _BETA,
        natural=(_natural("rc", "beta"),),
        flux=fluxes.beta,
    ),
    _image(
        "double_beta",
        surface.double_beta,
        (
            *_CENTRE,
            _brightness(),
            _core(),
            _slope(),
            _brightness("S02", 1e-6, r"$S_{0,2}$"),
            _core("rc2", 20.0, r"$r_{\mathrm{c},2}$"),
            _slope("beta2", (), r"$\beta_2$"),
        ),
        "Two beta models with one centre",
        _BETA,
        natural=(_natural("rc", "beta"), _natural("rc2", "beta2", rival="beta")),
        exchangeable=Exchangeable(
            (("S0", "rc", "beta"), ("S02", "rc2", "beta2")),
            lambda S0, rc, beta: _width(rc, beta),
        ),
        flux=fluxes.double_beta,
    ),
    _image(
        "elliptical_beta",
        surface.elliptical_beta,
        (*_CENTRE, _brightness(), _core(), _slope(), *_ELLIPSE),
        "Beta model on ellipses; theta is that of the major axis, counter-clockwise from x",
        f"{_BETA}; Sherpa, beta2d",
        natural=(_natural("rc", "beta"),),
        flux=fluxes.elliptical_beta,
    ),
    _image(
        "gauss2d",
        surface.gauss2d,
        (*_CENTRE, _brightness(), _length("sigma", 5.0, symbol=r"$\sigma$"), *_ELLIPSE),
        "Gaussian; sigma along the major axis",
        flux=fluxes.gauss2d,
    ),
    _image(
        "sersic",
        surface.sersic,
        (
            *_CENTRE,
            _brightness("Se", symbol=r"$S_\mathrm{e}$"),
            _length("re", 10.0, symbol=r"$r_\mathrm{e}$"),
            P("n", 1.0, 0.5, 8.0, 0.5, 10.0, starts=(1.0, 4.0), role="positive", symbol="$n$"),
        ),
        "Sersic profile; Se is the brightness at re, inside which is half of the light",
        "Ciotti & Bertin 1999, A&A 352, 447",
        flux=fluxes.sersic,
    ),
    _image(
        "point",
        surface.point,
        (*_CENTRE, _amplitude("flux", 1e-5, "ct / (s cm2)", "$F$")),
        "Point source; takes the shape of the image's PSF",
        point=True,
    ),
    _image(
        "disk2d",
        surface.disk2d,
        (*_CENTRE, _brightness(), _length("r", 10.0, 0.1)),
        "Uniform disk with an edge softened over one pixel",
        flux=fluxes.disk2d,
    ),
    _image(
        "shell2d",
        surface.shell2d,
        (*_CENTRE, _brightness(), _length("r", 10.0), _length("width", 2.0, 0.1)),
        "Uniform spherical shell in projection: inner radius and width; S0 at its centre",
        flux=fluxes.shell2d,
    ),
    _image(
        "const2d",
        surface.const2d,
        (_brightness("C0", 1e-8, "$C_0$"),),
        "Even sky emission, vignetted",
    ),
    BACKGROUND,
)

SURFACE_ALIASES: dict[str, str] = {
    "gaussian": "gauss2d",
    "disk": "disk2d",
    "shell": "shell2d",
    "constant": "const2d",
}
