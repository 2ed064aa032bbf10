"""Components of users whose parameters have familiar names and other meanings.

``theta`` is no angle, ``rc`` no radius, ``beta`` no slope of a cluster, ``norm`` no norm and ``x0``
no position: names are for people, and a component says what it means by roles.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from toy import toy_response

import jaxspec as js

SHAPE = (24, 40)
RESPONSE = toy_response(n_channel=24, n_energy=30, fwhm=3.0)


def stripe(x, y, level, theta):
    """Vertical stripe; ``theta`` is its place in tenths of a pixel."""
    return level * jnp.exp(-0.5 * ((x - 0.1 * theta) / 4.0) ** 2) + 0.0 * y


def plane(x, y, level, rc, beta):
    """Falls exponentially upwards, at the rate ``beta``, and rises to the right by ``rc``."""
    return level * (1.0 + rc * x) * jnp.exp(-beta * y)


def band(x, y, level, x0):
    """Horizontal band of the width ``x0``."""
    return level * jnp.exp(-0.5 * ((y - 11.0) / x0) ** 2) + 0.0 * x


def steeper(e_lo, e_hi, norm):
    """Factor E^norm."""
    return (0.5 * (e_lo + e_hi)) ** norm


def thermal(e_lo, e_hi, x0, theta):
    """E^-theta exp(-E / x0) at the middle of each bin."""
    middle = 0.5 * (e_lo + e_hi)
    return (e_hi - e_lo) * jnp.exp(-middle / x0 - theta * jnp.log(middle))


LEVEL = (1e-6, 0.0, 1.0, "amplitude")
LEVELS = {"level": 1e-5, "B": 2.0}


class Case(NamedTuple):
    """A component, what the model is made of, its truth, starts that are set, what is frozen."""

    component: object
    expression: str
    truth: dict
    starts: dict
    frozen: dict


CASES = {
    "theta": Case(
        js.component(
            stripe, kind="image", parameters={"level": LEVEL, "theta": (240.0, 0.0, 1000.0)}
        ),
        "stripe",
        {"theta": 250.0, **LEVELS},
        {"theta": 240.0},
        {},
    ),
    "rc and beta": Case(
        js.component(
            plane,
            kind="image",
            parameters={"level": LEVEL, "rc": (0.02, -0.02, 1.0), "beta": (0.2, 0.0, 2.0)},
        ),
        "plane",
        {"rc": 0.05, "beta": 0.10, "level": 1e-5},
        {},
        {"B": 0.5},  # which it would be hard to tell from the plane
    ),
    "x0 of an image": Case(
        js.component(band, kind="image", parameters={"level": LEVEL, "x0": (3.0, 0.5, 12.0)}),
        "band",
        {"x0": 4.0, **LEVELS},
        {},
        {},
    ),
    "norm": Case(
        js.component(steeper, kind="mul", parameters={"norm": (0.0, -3.0, 3.0)}),
        "steeper*powerlaw",
        {"steeper.norm": -0.7, "powerlaw.norm": 0.5},
        {},
        {"PhoIndex": 1.0},
    ),
    "x0 of a spectrum": Case(
        js.component(thermal, parameters={"x0": (5.0, 0.5, 40.0), "theta": (0.5, -2.0, 2.0)}),
        "thermal",
        {"x0": 4.0, "theta": -0.3, "norm": 0.2},
        {},
        {},
    ),
}


def model_of(case):
    model = js.Model(case.expression, components=[case.component])
    for name, value in case.starts.items():
        model[name].set(value)
    for name, value in case.frozen.items():
        model[name].freeze(value)
    return model


def data_of(case, model):
    truth = case.truth | case.frozen
    if case.component.component.domain == "spectrum":
        return js.fake(model, RESPONSE, exposure=2000.0, params=truth, seed=4)[0]
    dark = np.zeros(SHAPE)
    empty = js.Image("toy", dark, dark + 4e6, dark > 0, exposure_unit="cm2 s")
    return js.fake(model, empty, params=truth, seed=4)


@pytest.mark.parametrize("name", CASES)
def test_fit_and_posterior_are_at_the_truth(name):
    case = CASES[name]
    model = model_of(case)
    data = data_of(case, model)
    fit = js.fit(model, data, on_error="raise")
    assert fit.status[0] == js.Status.OK, fit.messages[0]
    drawn = js.sample(model, data, chains=4, draws=300, warmup=200, seed=2, progress=False)
    assert drawn.rhat.max() < 1.03 and drawn.n_divergent == 0
    for parameter, true in case.truth.items():
        value, error = fit.value(parameter)[0], fit.error(parameter)[0]
        assert error < 0.2 * abs(true), f"{parameter} is hardly known"  # else anything would pass
        assert abs(value - true) < 4 * error, parameter
        draws = drawn[parameter]
        assert abs(draws.mean() - true) < 4 * error, parameter
        assert abs(draws.mean() - value) < 0.4 * error, parameter
        assert draws.std() == pytest.approx(error, rel=0.2), parameter


def test_what_has_no_role_gets_none():
    """The stripe's ``theta`` neither repeats nor is moved to the centroid or the width."""
    for case in CASES.values():
        for p in model_of(case).parameters:
            if p.name in ("theta", "rc", "beta", "x0") or p.full_name == "steeper.norm":
                assert p.role == "" and p.period == 0.0
