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


def stripe(x, y, level, theta, x0, rc, beta):
    """Vertical stripe at ``theta`` tenths of a pixel and of the width ``x0``.

    It falls exponentially upwards at the rate ``beta``, with waves of the height ``rc``.
    """
    across = jnp.exp(-0.5 * ((x - 0.1 * theta) / x0) ** 2)
    return level * across * jnp.exp(-beta * y) * (1.0 + rc * jnp.cos(0.8 * y))


def bump(e_lo, e_hi, norm):
    """Factor of a broad line at 6 keV, or of a dip where ``norm`` is negative."""
    return jnp.exp(norm * jnp.exp(-0.125 * (0.5 * (e_lo + e_hi) - 6.0) ** 2))


def thermal(e_lo, e_hi, x0, theta):
    """E^-theta exp(-E / x0) at the middle of each bin."""
    middle = 0.5 * (e_lo + e_hi)
    return (e_hi - e_lo) * jnp.exp(-middle / x0 - theta * jnp.log(middle))


class Case(NamedTuple):
    """Components, what the model is made of, its truth, starts that are set."""

    components: list
    expression: str
    truth: dict
    starts: dict


CASES = {
    "image": Case(
        [
            js.component(
                stripe,
                kind="image",
                parameters={
                    "level": (1e-6, 0.0, 1.0, "amplitude"),
                    "theta": (240.0, 0.0, 1000.0),
                    "x0": (3.0, 0.5, 12.0),
                    "rc": (0.0, -0.9, 0.9),
                    "beta": (0.2, 0.0, 2.0),
                },
            )
        ],
        "stripe",
        {"theta": 250.0, "x0": 4.0, "rc": 0.4, "beta": 0.1, "level": 3e-5, "B": 2.0},
        {"theta": 240.0},
    ),
    "spectrum": Case(
        [
            js.component(bump, kind="mul", parameters={"norm": (0.0, -3.0, 3.0)}),
            js.component(thermal, parameters={"x0": (5.0, 0.5, 40.0), "theta": (0.5, -2.0, 2.0)}),
        ],
        "bump*thermal",
        {"bump.norm": -0.7, "x0": 4.0, "theta": -0.3, "thermal.norm": 0.2},
        {},
    ),
}


def model_of(case):
    model = js.Model(case.expression, components=case.components)
    for name, value in case.starts.items():
        model[name].set(value)
    return model


def data_of(case, model):
    if model.domain == "spectrum":
        return js.fake(model, RESPONSE, exposure=20000.0, params=case.truth, seed=4)[0]
    dark = np.zeros(SHAPE)
    empty = js.Image("toy", dark, dark + 4e6, dark > 0, exposure_unit="cm2 s")
    return js.fake(model, empty, params=case.truth, seed=4)


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
            if p.name in ("theta", "rc", "beta", "x0") or p.full_name == "bump.norm":
                assert p.role == "" and p.period == 0.0
