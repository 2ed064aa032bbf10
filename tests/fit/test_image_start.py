"""The start of a fit needs no number from its user."""

import numpy as np
import pytest
from toy_images import TRUTHS, simulated, template

import jaxspec as js
from jaxspec._status import Status
from jaxspec.fit.problem import Options, make_groups
from jaxspec.fit.rows import Rows
from jaxspec.likelihood.hints import half_width, place
from jaxspec.likelihood.image_prepare import suited

WIDE = {"x0": (5.0, 42.0), "y0": (10.0, 42.0), "rc": (2.5, 7.0), "beta": (0.5, 1.2)}


def start_of(name, image, **values):
    model = js.Model(name)
    for key, value in values.items():
        model[key].set(value)
    return starts_of(model, image)


def starts_of(model, image):
    options = Options(None, 1e-8, 200)
    (group,) = make_groups(model, [image], ["cstat"], 1, Rows(model, [image]), options)
    return group.model(0), group.starts[0]


@pytest.mark.parametrize("seed", range(12))
def test_any_cluster_is_found(seed):
    """Anywhere on the image, of any width, over any background: the fit ends at the truth."""
    rng = np.random.default_rng(seed)
    truth = {k: rng.uniform(*v) for k, v in WIDE.items()} | {"B": rng.uniform(0, 0.3)}
    truth["S0"] = 10 ** rng.uniform(-6, -4)
    image = simulated(seed=seed, **truth)
    result = js.fit("beta", image)
    at_truth = js.Model("beta")
    for key, value in truth.items():
        at_truth[key].set(value)
    exact = js.fit(at_truth, image)
    assert result.stat[0] <= exact.stat[0] + 1e-4
    assert result.status[0] in (Status.OK, Status.AT_LIMIT), result.messages


def test_the_first_start_is_near():
    model, table = start_of("beta", simulated("beta"))
    assert table.shape == (5, len(model))
    first = dict(zip([p.name for p in model.parameters], table[0], strict=True))
    assert abs(first["x0"] - 22.3) < 1 and abs(first["y0"] - 25.1) < 1
    for name in ("S0", "rc", "beta"):
        assert 0.3 < first[name] / TRUTHS["beta"][name] < 3, name
    assert 0 < first["B"] < 1
    low, high = np.array([[p.min, p.max] for p in model.parameters]).T
    assert np.all((table >= low) & (table <= high))


def test_what_the_user_set_is_kept():
    image = simulated("beta")
    model, table = start_of("beta", image, rc=9.0, S0=2e-6, x0=20.0)
    for name, value in {"rc": 9.0, "S0": 2e-6, "x0": 20.0}.items():
        assert (table[:, model[name].number - 1] == value).all()
    assert abs(table[0, model["y0"].number - 1] - 25.1) < 1
    frozen = js.Model("beta")
    frozen["B"].freeze(0.25)
    frozen["rc"].freeze(3.0)
    _, table = starts_of(frozen, image)
    assert (table[:, frozen["B"].number - 1] == 0.25).all()
    assert (table[:, frozen["rc"].number - 1] == 3.0).all()


@pytest.mark.parametrize("total", [10, 40, 200])
def test_few_counts_give_finite_starts_and_an_honest_row(total):
    small = template((48, 48))
    one = js.fake("beta", small, params=TRUTHS["beta"] | {"S0": 1e-8, "B": 0.0}, seed=1)
    counts = np.zeros(one.shape)
    rng = np.random.default_rng(total)
    for x, y in rng.normal([22, 25], 3.0, (total, 2)).round().astype(int):
        counts[y, x] += 1
    image = one.replace(counts=counts)
    _, table = start_of("beta", image)
    assert np.isfinite(table).all()
    result = js.fit("beta", image)
    assert result.status[0] in (Status.OK, Status.AT_LIMIT, Status.HESSIAN_NOT_PD), result.messages
    error = 3.0 / np.sqrt(total) * 4
    assert abs(result.value("x0")[0] - 22) < error and abs(result.value("y0")[0] - 25) < error


def test_an_empty_image_ends_with_a_status():
    image = template()
    result = js.fit("beta", [image, image], progress=False)
    for row in range(2):
        assert len(result.messages[row]) > 10
        assert result.status[row] != Status.OK


def test_where_nothing_stands_out_a_fit_starts_all_the_same():
    counts = np.random.default_rng(1).poisson(3.0, (12, 12)).astype(float)
    flat = np.full((12, 12), 1e4)
    image = js.Image("noise", counts, flat, flat < 0)  # its centroid leaves the image
    result = js.fit("background", image)
    assert result.status[0] == Status.OK
    assert result.value("B")[0] == pytest.approx(counts.mean())
    for name in ("const2d", "beta"):
        assert np.isfinite(start_of(name, image)[1]).all()


def test_two_sources_are_told_apart():
    values = {"beta.x0": 14.0, "beta.y0": 15.0, "beta.S0": 9e-5, "beta_2.x0": 34.0,
              "beta_2.y0": 33.0, "beta_2.S0": 5e-5, "beta.rc": 2.0, "beta_2.rc": 2.0,
              "beta.beta": 0.9, "beta_2.beta": 0.9, "B": 0.1}  # fmt: skip
    image = js.fake("beta+beta", template(), params=values, seed=2)
    model, table = start_of("beta+beta", image)
    first = {p.full_name: v for p, v in zip(model.parameters, table[0], strict=True)}
    places = [(first[f"{c}.x0"], first[f"{c}.y0"]) for c in ("beta", "beta_2")]
    # the centroid of both lies between them; the second start is on the brighter one
    assert np.hypot(places[1][0] - 14.0, places[1][1] - 15.0) < 2.5 or (
        np.hypot(places[1][0] - 34.0, places[1][1] - 33.0) < 2.5
    )


def cluster(counts, core, x0, y0, side=40):
    """Expected counts of a round cluster over a background of 0.2."""
    y, x = np.indices((side, side))
    return 0.2 + counts / (1 + ((x - x0) ** 2 + (y - y0) ** 2) / core**2) ** 1.5


@pytest.mark.parametrize("name", ["beta+point", "point+beta"])
def test_a_point_source_starts_where_it_is_and_the_cluster_too(name):
    """It was put beside the core, where the cluster is brightest next to its centre."""
    rng = np.random.default_rng(3)
    flat = np.full((40, 40), 4e6)
    for _ in range(6):
        x0, y0 = rng.uniform(16, 24, 2)
        r, turn = rng.uniform(5, 12), rng.uniform(0, 2 * np.pi)
        x, y = x0 + r * np.cos(turn), y0 + r * np.sin(turn)
        core, height, light = rng.uniform(2, 4), rng.uniform(40, 300), rng.uniform(60, 400)
        expected = cluster(height, core, x0, y0)
        i, j = int(y), int(x)
        share = np.outer([1 - y + i, y - i], [1 - x + j, x - j])
        expected[i : i + 2, j : j + 2] += light * share
        image = js.Image("made", rng.poisson(expected) * 1.0, flat, flat < 0)
        model = js.Model(name)
        given = np.full(len(model), np.nan)
        places = dict(zip(name.split("+"), place(model, image, given), strict=True))
        assert np.hypot(places["beta"][0] - x0, places["beta"][1] - y0) < 1.5
        assert np.hypot(places["point"][0] - x, places["point"][1] - y) < 1.0
        assert 0.2 < given[model["flux"].number - 1] * 4e6 / light < 3.0
        model["beta.x0"].set(x0), model["beta.y0"].set(y0)
        places = dict(zip(name.split("+"), place(model, image, given), strict=True))
        assert places["beta"] == (x0, y0) and np.hypot(*np.subtract(places["point"], (x, y))) < 1.0


def test_a_cluster_alone_is_not_taken_for_the_point_source():
    flat = np.ones((40, 40))
    image = js.Image("made", cluster(200, 4, 19.5, 20.2), flat, flat < 0)
    model = js.Model("point+beta")
    places = place(model, image, np.full(len(model), np.nan))
    assert np.hypot(*np.subtract(places[1], (19.5, 20.2))) < 0.5
    bright = cluster(20, 4, 19.5, 20.2)
    bright[9, 30] = 2000.0  # brighter than all of the cluster
    places = place(model, image.replace(counts=bright), np.full(len(model), np.nan))
    assert np.hypot(*np.subtract(places[0], (30, 9))) < 0.5
    assert np.hypot(*np.subtract(places[1], (19.5, 20.2))) < 1.5


def test_half_width_of_known_profiles():
    for rc in (1.5, 4.0, 8.0):
        image = simulated("beta", rc=rc, S0=1e-4)
        annuli = js.profile(image, center=(22.3, 25.1), bins="log", n_bins=40).pixels
        exact = rc * np.sqrt(0.5 ** (1 / (0.5 - 3 * 0.7)) - 1)
        assert 0.5 < half_width(annuli, annuli.x) / exact < 2.5
    flat = annuli._replace(counts=np.zeros_like(annuli.counts))
    assert half_width(flat, flat.x) > 0


def test_lengths_cannot_leave_the_image_and_the_model_stays():
    model = js.Model("beta")
    image = simulated("beta")
    inside = suited(model, image)
    assert (inside["x0"].min, inside["x0"].max) == (-0.5, 47.5)
    assert inside["rc"].max == 96.0 and model["rc"].max == 1e6
    assert not inside["rc"].is_set
    model["rc"].set(3.0, min=2.0, max=5.0)
    assert (suited(model, image)["rc"].min, suited(model, image)["rc"].max) == (2.0, 5.0)
    profile = js.profile(image, center=(22.3, 25.1), bins="linear", n_bins=20)
    line = suited(js.Model("elliptical_beta"), profile)
    assert all(line[n].frozen and line[n].value == 0 for n in ("x0", "y0", "ellip", "theta"))
