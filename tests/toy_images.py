"""Small simulated clusters, and an independent NumPy likelihood to check the library by."""

import numpy as np
from scipy.special import gammaincinv, gammaln

import jaxspec as js

SHAPE = (48, 48)
CENTRE = {"x0": 22.3, "y0": 25.1}
TRUTHS = {
    "beta": {**CENTRE, "S0": 3e-5, "rc": 4.0, "beta": 0.7, "B": 0.1},
    "double_beta": {
        **CENTRE,
        "S0": 4e-4,
        "rc": 2.0,
        "beta": 0.9,
        "S02": 3e-5,
        "rc2": 9.0,
        "beta2": 0.9,
        "B": 0.1,
    },
    "elliptical_beta": {
        **CENTRE,
        "S0": 3e-5,
        "rc": 4.0,
        "beta": 0.7,
        "ellip": 0.35,
        "theta": 118.0,
        "B": 0.1,
    },
    "gauss2d": {**CENTRE, "S0": 1e-5, "sigma": 4.0, "ellip": 0.3, "theta": 35.0, "B": 0.1},
    "sersic": {**CENTRE, "Se": 5e-6, "re": 6.0, "n": 1.5, "B": 0.1},
    "const2d": {"C0": 2e-7, "B": 0.2},
}


def template(shape=SHAPE, **changes):
    """Vignetted exposure of 4e6 cm2 s at most; a corner and a disc are masked."""
    y, x = np.indices(shape)
    middle = (shape[1] / 2, shape[0] / 2)
    r2 = ((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (shape[0] / 2) ** 2
    mask = (x < 0.1 * shape[1]) & (y < 0.1 * shape[0])
    mask |= np.hypot(x - 0.8 * shape[1], y - 0.8 * shape[0]) < 0.06 * shape[0]
    image = js.Image("toy", np.zeros(shape), 4e6 * (1 - 0.15 * r2), mask, exposure_unit="cm2 s")
    return image.replace(**changes)


def simulated(name="beta", seed=1, image=None, **changes):
    """Image of the truth of a model; ``changes`` to its values."""
    image = template() if image is None else image
    return js.fake(name, image, params=TRUTHS[name] | changes, seed=seed)


def brightness(name, x, y, p):
    """Surface brightness of one component, written down from the papers."""
    dx, dy = x - p.get("x0", 0.0), y - p.get("y0", 0.0)
    r2 = dx**2 + dy**2
    if "ellip" in p:
        t = np.radians(p["theta"])
        r2 = (dx * np.cos(t) + dy * np.sin(t)) ** 2
        r2 = r2 + ((dy * np.cos(t) - dx * np.sin(t)) / (1 - p["ellip"])) ** 2
    if name == "gauss2d":
        return p["S0"] * np.exp(-r2 / p["sigma"] ** 2 / 2)
    if name == "sersic":
        b = gammaincinv(2 * p["n"], 0.5)
        return p["Se"] * np.exp(-b * ((np.sqrt(r2) / p["re"]) ** (1 / p["n"]) - 1))
    if name == "const2d":
        return p["C0"] + 0 * r2
    total = p["S0"] * (1 + r2 / p["rc"] ** 2) ** (0.5 - 3 * p["beta"])
    if name == "double_beta":
        total = total + p["S02"] * (1 + r2 / p["rc2"] ** 2) ** (0.5 - 3 * p["beta2"])
    return total


def expected(name, pixels, p):
    """Expected counts (n_pix,) of ``pixels``, with B and the background map."""
    sky = brightness(name, pixels.x, pixels.y, p)
    return sky * pixels.exposure + p["B"] * pixels.area + p.get("scale", 1.0) * pixels.background


def log_likelihood(name, pixels, p):
    """Poisson log-likelihood with its constant."""
    mu = expected(name, pixels, p)
    return np.sum(pixels.counts * np.log(mu) - mu - gammaln(pixels.counts + 1))


def vector(model, values):
    """All parameters (n_par,) of a model with some of them set."""
    out = np.array([p.value for p in model.parameters])
    for key, value in values.items():
        out[model[key].number - 1] = value
    return out
