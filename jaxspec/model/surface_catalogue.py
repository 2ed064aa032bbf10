"""The image components: one table, as `jaxspec.model.catalogue` is for spectra.

Positions and lengths are in pixels of the image. S0 and its like are in counts/s/cm2/pixel for an
exposure in cm2 s; they follow the exposure where that is in seconds or has no unit.
"""

from __future__ import annotations

from jaxspec.model import surface
from jaxspec.model.component import Component
from jaxspec.model.component import Parameter as P

BRIGHTNESS = "ct / (s cm2 pixel)"
_BETA = "Cavaliere & Fusco-Femiano 1976, A&A 49, 137"
_CENTRE = tuple(P(name, 0.0, -1e6, 1e6, -1e6, 1e6, unit="pixel") for name in ("x0", "y0"))
_ELLIPSE = (
    # a scale: at 0 there is no slope along theta that leads back
    P("ellip", 0.0, 0.0, 0.95, 0.0, 0.99, starts=(0.2,), scale=True),
    P("theta", 0.0, 0.0, 180.0, -360.0, 360.0, unit="deg", starts=(45.0,)),
)


def _brightness(name="S0", default=1e-5):
    return P(name, default, 0.0, 1e6, 0.0, 1e12, unit=BRIGHTNESS)


def _length(name, default, hard_min=1e-3):
    return P(name, default, 0.1, 1e4, hard_min, 1e6, unit="pixel", scale=True)


def _slope(name="beta", default=0.6):
    # 3 beta - 1/2 stays positive; below about 1/3 the wings are flatter than any cluster's
    return P(name, default, 0.34, 2.0, 0.2, 5.0)


def _image(name, kernel, parameters, summary, reference="closed form", vignetted=True):
    return Component(
        name,
        "add",
        parameters,
        kernel,
        summary=summary,
        reference=reference,
        domain="image",
        vignetted=vignetted,
    )


BACKGROUND = _image(
    "background",
    surface.background,
    (
        P("B", 0.0, 0.0, 1e6, 0.0, 1e12, unit="ct / pixel"),
        P("scale", 1.0, 0.0, 10.0, 0.0, 1e6, frozen=True),
    ),
    "Even background, not vignetted, and the scale of the image's background map",
    vignetted=False,
)

SURFACES: tuple[Component, ...] = (
    _image(
        "beta",
        surface.beta,
        (*_CENTRE, _brightness(), _length("rc", 5.0), _slope()),
        "Beta model of a cluster",
        _BETA,
    ),
    _image(
        "double_beta",
        surface.double_beta,
        (
            *_CENTRE,
            _brightness(),
            _length("rc", 5.0),
            _slope(),
            _brightness("S02", 1e-6),
            _length("rc2", 20.0),
            _slope("beta2"),
        ),
        "Two beta models with one centre",
        _BETA,
    ),
    _image(
        "elliptical_beta",
        surface.elliptical_beta,
        (*_CENTRE, _brightness(), _length("rc", 5.0), _slope(), *_ELLIPSE),
        "Beta model on ellipses; theta is that of the major axis, counter-clockwise from x",
        f"{_BETA}; Sherpa, beta2d",
    ),
    _image(
        "gauss2d",
        surface.gauss2d,
        (*_CENTRE, _brightness(), _length("sigma", 5.0), *_ELLIPSE),
        "Gaussian; sigma along the major axis",
    ),
    _image(
        "sersic",
        surface.sersic,
        (
            *_CENTRE,
            _brightness("Se"),
            _length("re", 10.0),
            P("n", 1.0, 0.5, 8.0, 0.5, 10.0, starts=(1.0, 4.0), scale=True),
        ),
        "Sersic profile; Se is the brightness at re, inside which is half of the light",
        "Ciotti & Bertin 1999, A&A 352, 447",
    ),
    _image(
        "point",
        surface.point,
        (*_CENTRE, P("flux", 1e-5, 0.0, 1e6, 0.0, 1e12, unit="ct / (s cm2)")),
        "Point source; takes the shape of the image's PSF",
    ),
    _image(
        "disk2d",
        surface.disk2d,
        (*_CENTRE, _brightness(), _length("r", 10.0, 0.1)),
        "Uniform disk with an edge softened over one pixel",
    ),
    _image(
        "shell2d",
        surface.shell2d,
        (*_CENTRE, _brightness(), _length("r", 10.0), _length("width", 2.0, 0.1)),
        "Uniform spherical shell in projection: inner radius and width; S0 at its centre",
    ),
    _image(
        "const2d",
        surface.const2d,
        (_brightness("C0", 1e-8),),
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
