"""Surface brightness of image components: pure functions of positions.

Every kernel is ``kernel(x, y, *parameters)``: ``x, y`` are arrays of one shape, in pixels of the
image (0-based, the centre of the first pixel is 0, x right, y up); every parameter is a scalar.
It gives an array of the same shape: counts/s/cm2/pixel for what the telescope images, counts/pixel
for a background that it does not. All gradients are finite everywhere, also where the textbook
form has a cusp or an edge; nothing is integrated over the pixel here (see `image_plane`).

Ellipses are those of Sherpa's beta2d: ``theta`` (here in degrees) is the angle of the major axis,
counter-clockwise from the x axis; the minor axis is ``1 - ellip`` times the major one, and radii
are measured along the major axis.
"""

from __future__ import annotations

import jax.numpy as jnp


def _r2(x, y, x0, y0):
    return (x - x0) ** 2 + (y - y0) ** 2


def _elliptical_r2(x, y, x0, y0, ellip, theta):
    """Square of the semi-major axis of the ellipse through each point."""
    angle = jnp.deg2rad(theta)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    dx, dy = x - x0, y - y0
    along, across = dx * cos + dy * sin, (dy * cos - dx * sin) / (1.0 - ellip)
    return along**2 + across**2


def _beta(r2, S0, rc, beta):
    # log(1 + u), not log1p(u): the absolute error of the logarithm is what the power keeps, and
    # log1p costs twice as much
    return S0 * jnp.exp((0.5 - 3.0 * beta) * jnp.log(1.0 + r2 * (1.0 / (rc * rc))))


def beta(x, y, x0, y0, S0, rc, beta):
    """Beta model, ``S0 (1 + r2/rc2)^(-3 beta + 1/2)`` (Cavaliere & Fusco-Femiano 1976)."""
    return _beta(_r2(x, y, x0, y0), S0, rc, beta)


def double_beta(x, y, x0, y0, S0, rc, beta, S02, rc2, beta2):
    """Sum of two beta models with one centre."""
    r2 = _r2(x, y, x0, y0)
    return _beta(r2, S0, rc, beta) + _beta(r2, S02, rc2, beta2)


def elliptical_beta(x, y, x0, y0, S0, rc, beta, ellip, theta):
    """Beta model on ellipses; ``rc`` is along the major axis."""
    return _beta(_elliptical_r2(x, y, x0, y0, ellip, theta), S0, rc, beta)


def gauss2d(x, y, x0, y0, S0, sigma, ellip, theta):
    """Gaussian on ellipses; ``sigma`` (not a full width) is along the major axis."""
    r2 = _elliptical_r2(x, y, x0, y0, ellip, theta)
    return S0 * jnp.exp(-0.5 * r2 / (sigma * sigma))


def sersic_b(n):
    """b(n) of a Sersic profile: Ciotti & Bertin 1999 (A&A 352, 447, eq. 18), n at least 0.5."""
    series = 46.0 / 25515.0 + (131.0 / 1148175.0 - 2194697.0 / 30690717750.0 / n) / n
    return 2.0 * n - 1.0 / 3.0 + (4.0 / 405.0 + series / n) / n


def sersic(x, y, x0, y0, Se, re, n):
    """Sersic profile: half of the light is inside ``re``, where the brightness is ``Se``.

    The gradient has a cusp at r = 0; there it is zero, as by symmetry.
    """
    b = sersic_b(n)
    u = _r2(x, y, x0, y0) / (re * re)
    off_centre = u > 1e-24
    power = jnp.exp(jnp.log(jnp.where(off_centre, u, 1.0)) * (0.5 / n))
    return Se * jnp.exp(-b * (jnp.where(off_centre, power, 0.0) - 1.0))


def point(x, y, x0, y0, flux):
    """Point source without a PSF: shared bilinearly between the four nearest pixels."""

    def share(distance):
        # not 1 - |distance|, whose slope on the centre of a pixel is that of one side
        return jnp.maximum(jnp.minimum(1.0 - distance, 1.0 + distance), 0.0)

    return flux * share(x - x0) * share(y - y0)


def disk2d(x, y, x0, y0, S0, r):
    """Uniform disk; its edge falls smoothly from S0 to 0 between r - 1/2 and r + 1/2 pixel."""
    r2 = _r2(x, y, x0, y0)
    distance = jnp.where(r2 > 0.0, jnp.sqrt(jnp.where(r2 > 0.0, r2, 1.0)), 0.0)
    inside = jnp.clip(r - distance + 0.5, 0.0, 1.0)
    return S0 * inside * inside * (3.0 - 2.0 * inside)


def shell2d(x, y, x0, y0, S0, r, width):
    """Uniform spherical shell seen from outside: path length through it, S0 at the centre.

    Inner radius ``r``, outer radius ``r + width``. Both edges are averaged over about one pixel,
    so that the infinite slope of the path length at an edge becomes a finite one.
    """
    r2, outer = _r2(x, y, x0, y0), r + width
    return S0 / width * (_half_chord(r2, outer) - _half_chord(r2, r))


def _half_chord(r2, radius):
    """sqrt(radius2 - r2), 0 outside, averaged over radius2 +- radius (half a pixel each side)."""
    step = jnp.sqrt(radius * radius + 0.25)  # at least half a pixel for a tiny sphere

    def primitive(u):
        inside = u > 0.0
        safe = jnp.where(inside, u, 1.0)
        return jnp.where(inside, safe * jnp.sqrt(safe), 0.0)

    depth = radius * radius - r2
    return (primitive(depth + step) - primitive(depth - step)) / (3.0 * step)


def const2d(x, y, C0):
    """Even sky emission, seen through the telescope like every source."""
    return C0 * jnp.ones_like(x)


def background(x, y, B, scale):
    """Even background in counts/pixel; ``scale`` acts on the background map, not here."""
    return B * jnp.ones_like(x)
