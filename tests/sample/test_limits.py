"""What a posterior has to say of its limits, its priors, and of other minima."""

import numpy as np
import numpyro.distributions as dist
import pytest
from toy_posterior import make_posterior, toy_image

import jaxspec as js
from jaxspec.sample.summary import PILED


def drawn(values, **limits):
    """Posterior of a flat background whose draws of B are given."""
    model = js.Model("background")
    model["B"].set(10.0, **limits)
    full = np.broadcast_to(model.values, (4, 1000, len(model))).copy()
    full[..., model["B"].number - 1] = values
    return make_posterior(model, toy_image(), full)


@pytest.mark.parametrize("distance, said", [(1.0, True), (1.5, True), (2.3, False), (5.0, False)])
def test_draws_that_pile_up_at_a_limit_are_named(distance, said):
    rng = np.random.default_rng(1)
    values = rng.normal(10.0, 1.0, 40_000)
    low, high = 10.0 - distance, 10.0 + distance
    upper = values[values < high][:4000].reshape(4, 1000)
    lower = values[values > low][:4000].reshape(4, 1000)
    for found, word in (
        (drawn(upper, min=0, max=high), "upper"), (drawn(lower, min=low, max=99), "lower"),
    ):  # fmt: skip
        text = [w for w in found.warnings if w.startswith(f"B piles up at its {word} limit")]
        assert bool(text) == said and found.converged == (not said or found.converged)
        assert not any("lower" in w for w in found.warnings if word == "upper")
    assert 0 < PILED < 0.1


def test_chains_are_not_called_unconverged_for_a_limit():
    rng = np.random.default_rng(1)
    found = drawn(np.abs(rng.normal(0.0, 1.0, (4, 1000))), min=0, max=50)
    assert found.converged and "B piles up at its lower limit 0" in found.warnings[0]
    assert "warning: B piles up" in repr(found)


def test_tables_say_priors_and_limits():
    rng = np.random.default_rng(1)
    found = drawn(rng.normal(10.0, 1.0, (4, 1000)), min=0, max=50)
    row = found.table[0]
    assert (row["prior"], row["min"], row["max"]) == ("flat", 0.0, 50.0)
    found.settings["priors"] = {"background.B": "Normal(loc=10.0, scale=2.0)"}
    from jaxspec.run.results import posterior_numbers

    assert found.table["prior"][0] == "flat"  # made once
    again = drawn(rng.normal(10.0, 1.0, (4, 1000)), min=0, max=50)
    again.settings["priors"] = found.settings["priors"]
    numbers = posterior_numbers(again)["parameters"]["B"]
    assert numbers["prior"] == "Normal(loc=10.0, scale=2.0)" and numbers["max"] == 50.0


def mirrored(contrast):
    """Two sources at x = 15 and 45 of one model; the second is fainter by a factor."""
    y, x = np.indices((30, 61)).astype(float)
    exposure = np.full(x.shape, 2e4)
    spot = np.exp(-0.5 * ((x - 15) ** 2 + (y - 15) ** 2) / 9)
    sky = 3e-4 * (spot + contrast * spot[:, ::-1])
    counts = np.random.default_rng(11).poisson(sky * exposure + 0.3).astype(float)
    if contrast == 1:
        counts[:, 31:] = counts[:, :30][:, ::-1]
    return js.Image("mirror", counts, exposure, x < 0, exposure_unit="s")


@pytest.mark.parametrize("contrast, said", [(1, True), (0.3, False)])
def test_another_place_that_is_as_good_is_said(contrast, said):
    model = js.Model("gauss2d")
    for name in ("ellip", "theta"):
        model[name].freeze(0.0)
    model["sigma"].set(3.0, max=10.0)
    model["sigma"].prior = dist.Normal(3.0, 1.0)
    found = js.sample(model, mirrored(contrast), seed=1, draws=20, warmup=30, progress=False)
    text = [w for w in found.warnings if "another minimum" in w]
    assert bool(text) == said
    if said:
        assert "gauss2d.x0 = 4" in text[0] or "gauss2d.x0 = 1" in text[0]
