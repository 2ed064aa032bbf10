"""Light of image components inside a radius: closed forms, NumPy.

Each function of a component takes its parameters, a dict of name to array (...,), and a radius in
pixels, which may be infinite, and gives a dict of name to flux (...,) in counts/(s cm2).
"""

from __future__ import annotations

import numpy as np

from jaxspec.model.surface import sersic_b


def beta(own, radius):
    """`beta_flux` of a beta model."""
    return {"flux": beta_flux(own["S0"], own["rc"], own["beta"], radius)}


def elliptical_beta(own, radius):
    """Inside the ellipse whose major axis is ``radius``."""
    return {"flux": (1.0 - own["ellip"]) * beta(own, radius)["flux"]}


def double_beta(own, radius):
    """Both parts and their sum."""
    first = beta_flux(own["S0"], own["rc"], own["beta"], radius)
    second = beta_flux(own["S02"], own["rc2"], own["beta2"], radius)
    return {"flux": first + second, "flux_1": first, "flux_2": second}


def gauss2d(own, radius):
    """Inside the ellipse whose major axis is ``radius``."""
    inside = -np.expm1(-0.5 * (radius / own["sigma"]) ** 2)
    whole = (1.0 - own["ellip"]) * 2.0 * np.pi * own["S0"] * own["sigma"] ** 2
    return {"flux": whole * inside}


def sersic(own, radius):
    """By the incomplete gamma function (Ciotti & Bertin 1999)."""
    from scipy.special import gamma, gammainc

    re, n = own["re"], own["n"]
    b = sersic_b(n)
    inside = gammainc(2.0 * n, b * (radius / re) ** (1.0 / n))
    whole = 2.0 * np.pi * n * own["Se"] * re**2 * np.exp(b) * b ** (-2.0 * n) * gamma(2.0 * n)
    return {"flux": whole * inside}


def disk2d(own, radius):
    """The softened edge counts as sharp."""
    return {"flux": np.pi * own["S0"] * np.minimum(own["r"], radius) ** 2}


def shell2d(own, radius):
    """The softened edges count as sharp."""

    def sphere(outer):  # integral of sqrt(outer2 - d2) over the circle
        cut = np.minimum(radius, outer)
        return 2.0 * np.pi / 3.0 * (outer**3 - (outer**2 - cut**2) ** 1.5)

    r, width = own["r"], own["width"]
    return {"flux": own["S0"] / width * (sphere(r + width) - sphere(r))}


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
