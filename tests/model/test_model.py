import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxspec.errors import InputError
from jaxspec.model.component import Exchangeable, Natural, Parameter
from jaxspec.model.evaluate import evaluate, rebin
from jaxspec.model.library import component, models
from jaxspec.model.links import apply_links
from jaxspec.model.model import Model

EDGES = np.geomspace(0.5, 10.0, 25)
LO, HI = EDGES[:-1], EDGES[1:]


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (lambda: models.TBabs() * (models.diskbb() + models.powerlaw()), "TBabs*(diskbb+powerlaw)"),
        (lambda: models.powerlaw() + models.gaussian() * models.wabs(), "po+ga*wabs"),
        (lambda: (models.powerlaw() + models.gaussian()) * models.wabs(), "(po+ga)wabs"),
        (lambda: models.zashift() * models.edge() * models.powerlaw(), "zashift*edge*po"),
        (lambda: models.zashift(models.edge()) * models.powerlaw(), "(zashift*edge)*po"),
        (lambda: models.zashift()(models.edge()) * models.powerlaw(), "(zashift*edge)*po"),
        (lambda: models.edge() * (models.zashift() * models.powerlaw()), "edge*zashift*po"),
        (
            lambda: models.TBabs() * (models.zashift() * models.edge()) * models.powerlaw(),
            "TBabs*(zashift*edge)*po",
        ),
        (
            lambda: models.TBabs() * models.cflux() * (models.powerlaw() + models.gaussian()),
            "TBabs*cflux*(po+ga)",
        ),
        (
            lambda: models.cflux() * models.zashift() * models.powerlaw(),
            "cflux*zashift*powerlaw",
        ),
        (
            lambda: models.cflux() * (models.edge() * models.zashift()) * models.powerlaw(),
            "cflux*edge*zashift*powerlaw",
        ),
    ],
)
def test_operators_give_the_parsed_model(built, text):
    assert built() == Model(text)
    assert built().tree == Model(text).tree
    assert built().expression == Model(text).expression
    assert built() != Model("bbody")


def test_operands_keep_their_state():
    left = models.wabs(nH=0.5)
    line = models.gaussian() + models.gaussian()
    line["gaussian.LineE"].set(6.4, min=6, max=7)
    line["gaussian_2.LineE"].link_to("gaussian.LineE*7.06/6.4")
    line["gaussian.Sigma"].freeze(0.01)
    line["gaussian_2.Sigma"].prior = "a prior"
    model = left * (models.powerlaw() + line)
    assert model.expression == "wabs*(powerlaw+gaussian+gaussian)"
    assert model["nH"].value == 0.5 and model["nH"].is_set
    assert not model["PhoIndex"].is_set
    first, second = model["gaussian.LineE"], model["gaussian_4.LineE"]
    assert (first.min, first.max, first.value) == (6.0, 7.0, 6.4)
    assert second.link == "p4*7.06/6.4"
    assert second.value == pytest.approx(7.06)
    assert model["gaussian.Sigma"].frozen
    assert model["gaussian_4.Sigma"].prior == "a prior"
    first.set(6.5)
    assert line["gaussian.LineE"].value == 6.4


def test_copy_is_independent():
    model = Model("TBabs*(po+ga)", abund="wilm", xsect="bcmc")
    model["LineE"].set(6.4)
    model["Sigma"].link_to("LineE/100")
    copy = model.copy()
    assert copy == model
    copy["LineE"].set(6.5)
    assert model["LineE"].value == 6.4 and copy != model
    assert copy["Sigma"].value == pytest.approx(0.065)
    open_chain = (models.cflux() * models.powerlaw()).copy() * models.edge()
    assert open_chain.expression == "cflux*powerlaw*edge"


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (lambda m: 2 * m, r"models.constant\(factor=2\)"),
        (lambda m: m * 2.5, r"models.constant\(factor=2.5\)"),
        (lambda m: np.float64(2) * m, "models.constant"),
        (lambda m: 1 + m, "models.constant"),
        (lambda m: m + 1, "models.constant"),
        (lambda m: m * models.edge, r"edge has to be called"),
        (lambda m: m * m, "join them with +"),
        (lambda m: m + models.edge(), "cannot be a term of a sum"),
        (lambda m: m + models.cflux(), "cannot be a term of a sum"),
        (lambda m: m(models.edge()), "is additive"),
        (lambda m: Model("wabs"), "needs an additive component"),
        (lambda m: Model("po", abund="x"), "abund='x' is not known; use angr"),
        (lambda m: Model("po", xsect="x"), "xsect='x' is not known; use"),
        (lambda m: models.powerlaw(PhoIndx=2), "did you mean powerlaw.PhoIndex"),
    ],
)
def test_operators_explain_what_they_refuse(operation, words):
    with pytest.raises(InputError, match=words):
        operation(models.powerlaw())


def test_other_operands_are_a_type_error():
    with pytest.raises(TypeError):
        models.powerlaw() + "powerlaw"
    with pytest.raises(TypeError):
        models.powerlaw() * None


def test_abundances_of_operands():
    absorbed = Model("TBabs*po", abund="wilm")
    assert (models.powerlaw() + absorbed).abund == "wilm"
    assert (models.edge() * absorbed).abund == "wilm"
    with pytest.raises(InputError, match="different abund"):
        absorbed + Model("phabs*po")
    other = Model("phabs*po")
    other.abund = "wilm"
    assert (absorbed + other).abund == "wilm"
    other.xsect = "bcmc"
    assert other.xsect == "bcmc"
    with pytest.raises(InputError, match="different abund"):
        absorbed + other


def test_tables_of_the_parameters():
    model = Model("TBabs*(po+ga)")
    model["nH"].freeze(0.5)
    model["Sigma"].link_to("p4/100")
    lines = repr(model).splitlines()
    assert lines[0] == "TBabs*(powerlaw+gaussian)   (abund angr, xsect vern)"
    words = lines[1].split()
    assert words == ["par", "comp", "component", "parameter", "unit", "value", "limits", "state"]
    assert len(lines) == 2 + len(model)
    assert lines[2].split()[:4] == ["1", "1", "TBabs", "nH"] and lines[2].endswith("frozen")
    assert lines[6].endswith("= p4/100")
    shown = zip(lines[2:5], ("nH", "PhoIndex", "norm"), strict=True)
    assert len({line.index(f" {word} ") for line, word in shown}) == 1
    page = model._repr_html_()
    assert page.count("<tr>") == page.count("</tr>") == 1 + len(model)
    mine = component(
        lambda e_lo, e_hi, x: x * e_lo, name="mine", parameters=[one("x", unit="<b>")]
    )()
    assert "<b>" not in mine._repr_html_() and "&lt;b&gt;" in mine._repr_html_()


def one(name, **options):
    return Parameter(name, 1.0, 0.0, 2.0, 0.0, 2.0, **options)


def test_library_lists_the_catalogue():
    assert {"powerlaw", "TBabs", "cflux", "diskbb"} <= set(dir(models))
    assert repr(models.powerlaw).startswith("powerlaw(PhoIndex, norm): additive")
    model = models.powerlaw(phoindex=2.0, norm=0.1)
    np.testing.assert_array_equal(model.values, [2.0, 0.1])


def slab(e_lo, e_hi, depth):
    return jnp.exp(-depth / (0.5 * (e_lo + e_hi)))


def ramp(e_lo, e_hi, slope, level):
    return (level + slope * 0.5 * (e_lo + e_hi)) * (e_hi - e_lo)


def test_own_components():
    mine = component(ramp, parameters={"slope": (0.5, -5, 5), "level": (1.0, 0, 9)})
    screen = component(slab, kind="mul", name="screen", parameters=[one("depth")])
    model = Model("scr*(ramp+powerlaw)", components=[mine, screen.component])
    assert model == screen() * (mine() + models.powerlaw())
    assert [p.name for p in model][:4] == ["depth", "slope", "level", "norm"]
    assert (model["slope"].min, model["slope"].soft_max) == (-5.0, 5.0)
    model["ramp.norm"].set(3.0)
    model["powerlaw.norm"].set(0.0)
    got = model.tree.flux(LO, HI, (), jnp.asarray(model.values))
    np.testing.assert_allclose(got, slab(LO, HI, 1.0) * 3.0 * ramp(LO, HI, 0.5, 1.0), rtol=1e-13)
    shift = component(
        lambda inner, e_lo, e_hi, x: inner(e_lo + x, e_hi + x),
        kind="con",
        name="shift",
        parameters={"x": (1.0, 0.0, 2.0)},
    )
    moved = shift(mine(slope=2.0), x=0.5)
    got = moved.tree.flux(LO, HI, (), jnp.asarray(moved.values))
    np.testing.assert_allclose(got, ramp(LO + 0.5, HI + 0.5, 2.0, 1.0), rtol=1e-13)


def test_own_component_may_replace_one_of_the_catalogue():
    mine = component(lambda e_lo, e_hi: e_hi - e_lo, name="Powerlaw")
    model = Model("powerlaw", components=[mine])
    assert [p.full_name for p in model] == ["Powerlaw.norm"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "sum"}, "kind='sum' is not known"),
        ({"name": "a b"}, "is not a component name"),
        ({"parameters": {"slope": (1, 0, 2)}}, r"takes \(e_lo, e_hi, slope, level\); it should"),
        (
            {"parameters": {"level": (1, 0, 2), "slope": (1, 0, 2)}},
            r"it should take \(e_lo, e_hi, level, slope\)",
        ),
        ({"kind": "con", "parameters": [one("slope")]}, r"should take \(inner, e_lo, e_hi, slope"),
        ({"parameters": {"slope": 1.0}}, "ramp.slope: 1.0 does not describe a parameter"),
        ({"parameters": ["slope", "level"]}, "does not describe a parameter"),
        ({"parameters": {"slope": (3, 0, 2)}}, "ramp.slope: 3 is not inside the limits 0 to 2"),
    ],
)
def test_own_component_is_checked(arguments, words):
    with pytest.raises(InputError, match=words):
        component(ramp, **arguments)


def test_own_component_must_be_a_function():
    with pytest.raises(InputError, match="3.0 is not a function"):
        component(3.0, name="mine")
    with pytest.raises(InputError, match="share a name"):
        component(lambda e_lo, e_hi, a, A: e_lo, name="mine", parameters=[one("a"), one("A")])
    with pytest.raises(InputError, match="mine.norm: is added and applied for you"):
        component(lambda e_lo, e_hi, Norm: e_lo, name="mine", parameters=[one("Norm")])
    free = component(lambda e_lo, e_hi, *p: p[0] + e_lo, name="mine", parameters=[one("a")])
    assert len(free()) == 2


NATURAL = [
    (Natural("zz", jnp.log, jnp.exp), None, "no parameter 'zz'; use a"),
    (Natural("a", jnp.log, jnp.exp, "b", jnp.log), None, "no parameter 'b'"),
    (Natural("a", jnp.log, jnp.log), None, "mine.a: .* not the inverse"),
    (Natural("a", lambda a: (a - 1.0) ** 2, jnp.sqrt), None, "mine.a: .* not monotone"),
    (None, Exchangeable((("a",), ("q",)), np.asarray), "no parameter 'q'"),
]


@pytest.mark.parametrize(("natural", "exchangeable", "words"), NATURAL)
def test_coordinates_and_halves_of_an_own_component_are_checked(natural, exchangeable, words):
    with pytest.raises(InputError, match=words):
        component(
            lambda e_lo, e_hi, a: a * e_lo, name="mine", parameters={"a": (1.0, 0.1, 3.0)},
            natural=(natural,) if natural else (), exchangeable=exchangeable,
        )  # fmt: skip


def test_a_file_that_a_component_reads_is_part_of_it(tmp_path):
    def scaled(e_lo, e_hi, settings, source):
        return e_lo * float(Path(source.path).read_text())

    def made(path):
        return component(
            lambda e_lo, e_hi, table: table, kind="mul", name="screen", source=path, prepare=scaled,
            lookup=lambda settings, source: lambda e_lo, e_hi: e_lo,
        ).component  # fmt: skip

    for name, text in (("a", "2.0"), ("b", "2.0"), ("c", "3.0")):
        (tmp_path / name).write_text(text)
    a, b, c = (made(tmp_path / name) for name in "abc")
    assert a.source == b.source != c.source
    model = Model("screen*powerlaw", components=[c])
    np.testing.assert_array_equal(model.tree.prepare(LO, HI)[0], 3.0 * LO)


def test_components_of_a_model_are_components():
    mine = component(lambda e_lo, e_hi: e_hi - e_lo, name="mine", parameters=None)
    assert Model("mine", components=mine) == mine()
    with pytest.raises(InputError, match="components: 3 is no component"):
        Model("mine", components=3)
    with pytest.raises(InputError, match="two of them have one name"):
        Model("mine", components=[mine, mine])
    with pytest.raises(InputError, match="nofile.txt"):
        component(lambda e_lo, e_hi: e_lo, name="mine", source="nofile.txt")


def by_choice(e_lo, e_hi, a):
    return e_lo if a > 1 else e_hi


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (lambda e_lo, e_hi, a: np.asarray(e_lo) * a, "add", "mine cannot be compiled: TracerArray"),
        (by_choice, "add", r"mine cannot be compiled: TracerBool.*jnp\.where"),
        (lambda e_lo, e_hi, a: missing, "add", "NameError: name 'missing'"),  # noqa: F821
        (lambda e_lo, e_hi, a: None, "mul", "mine gives None for"),
        (lambda e_lo, e_hi, a: a, "mul", r"shape \(\) for .* shape \(3,\); .* of e_lo, e_hi"),
        (lambda e_lo, e_hi, a: e_lo[1:], "add", r"gives an array of shape \(2,\)"),
        (lambda e_lo, e_hi, a: e_lo * 1j, "add", "complex"),
        (lambda e_lo, e_hi, a: jnp.where(e_lo > a, 1, 0), "mul", "numbers of type int"),
        (lambda inner, e_lo, e_hi, a: inner, "con", "mine cannot be compiled: TypeError"),
        (lambda x, y, a: a, "image", r"shape \(2, 3\); give an array of the shape of x, y"),
    ],
)
def test_faults_of_an_own_function_are_found_where_it_is_made(function, kind, words):
    with pytest.raises(InputError, match=words):
        component(function, kind=kind, name="mine", parameters=[one("a")])


def test_changes_that_cost_no_compilation():
    traces = []

    def value(tree, functions, params, matrix, offset):
        traces.append(1)
        params = apply_links(params, matrix, offset, functions)
        return tree.flux(LO, HI, (), params)

    run = jax.jit(value, static_argnums=(0, 1))

    def call(model):
        matrix, offset, functions = model.link_map()
        return run(model.tree, functions, model.values, matrix, offset)

    model = Model("constant*(po+ga)")
    call(model)
    model["PhoIndex"].set(2.0, min=0, max=3)
    call(model)
    model["constant.factor"].freeze(0.5)
    call(model)
    model["LineE"].link_to("p2*3")
    call(model)
    model["LineE"].link_to("2*PhoIndex + gaussian.Sigma")
    call(model)
    call(models.constant() * (models.powerlaw(PhoIndex=1.5) + models.gaussian()))
    assert len(traces) == 1
    model["LineE"].link_to("3*SQRT(p2)")
    call(model)
    assert len(traces) == 2


def test_gradient_of_the_flux_through_links():
    model = Model("constant*(po+ga)")
    model["PhoIndex"].set(1.7)
    model["Sigma"].set(0.5)
    model["gaussian.norm"].link_to("powerlaw.norm/5 + 0.1")
    model["LineE"].link_to("4*SQRT(PhoIndex)")
    links = model.link_map()

    @jax.jit
    def total(theta):
        flux = model.tree.flux(LO, HI, (), apply_links(theta, *links))
        return jnp.sum(flux * jnp.arange(float(len(LO))))

    theta = jnp.asarray(model.values)
    forward = jax.jit(jax.jacfwd(total))(theta)
    reverse = jax.jit(jax.grad(total))(theta)
    np.testing.assert_allclose(forward, reverse, rtol=1e-11)
    step = 1e-6 * np.eye(len(theta))
    slopes = [(total(theta + s) - total(theta - s)) / 2e-6 for s in step]
    np.testing.assert_allclose(forward, slopes, rtol=1e-6, atol=1e-7)
    linked = [p.number - 1 for p in model if p.link is not None]
    np.testing.assert_array_equal(forward[np.array(linked)], 0.0)


def test_evaluate_single_components():
    exact = 1 / LO - 1 / HI
    np.testing.assert_allclose(evaluate("powerlaw", EDGES, [2.0]), exact, rtol=1e-12)
    np.testing.assert_allclose(evaluate("PO", list(EDGES), (2.0, 3.0)), 3 * exact, rtol=1e-12)
    np.testing.assert_allclose(evaluate("constant", EDGES, [0.3]), 0.3, rtol=1e-14)
    shifted = evaluate("zashift", EDGES, [0.0], flux=exact)
    np.testing.assert_allclose(shifted, exact, rtol=1e-12)
    product = evaluate("constant*edge", EDGES, [0.5, 2.0, 0.0])
    np.testing.assert_allclose(product, 0.5, rtol=1e-14)
    whole = evaluate("constant*zashift*po", EDGES, [0.5, 0.2, 2.0, 7.0])
    np.testing.assert_allclose(whole, 3.5 * exact / 1.2**2, rtol=1e-12)


def test_evaluate_is_double_precision_in_any_session():
    with jax.enable_x64(False):
        got = evaluate("powerlaw", EDGES, [2.0])
    assert got.dtype == np.float64 and isinstance(got, np.ndarray) and got.flags.writeable
    np.testing.assert_allclose(got, 1 / LO - 1 / HI, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("powerlow", EDGES, [2.0]), "did you mean powerlaw"),
        (("po+", EDGES, [2.0]), "missing before the end"),
        (("powerlaw", EDGES, []), "got 0 parameters; give PhoIndex, norm"),
        (("powerlaw", EDGES, [1.0, 2.0, 3.0]), "got 3 parameters"),
        (("po+po", EDGES, [1.0, 2.0, 3.0]), "got 3 parameters"),
        (("powerlaw", EDGES, [np.nan]), "parameters is not a list of finite numbers"),
        (("powerlaw", EDGES, [2.0], LO), "takes no flux="),
        (("zashift", EDGES, [0.0]), "needs flux="),
        (("zashift", EDGES, [0.0], LO[1:]), "flux has 23 values for 24 bins"),
        (("powerlaw", EDGES[::-1], [2.0]), "edges must be positive and ascending"),
        (("powerlaw", [0.0, 1.0], [2.0]), "edges must be positive"),
        (("powerlaw", [1.0], [2.0]), "edges must be positive"),
        (("powerlaw", None, [2.0]), "edges is not a list"),
        ((3, EDGES, [2.0]), "is a string"),
    ],
)
def test_evaluate_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        evaluate(*arguments)


def test_rebin_counts_parts_of_bins():
    flux = np.array([1.0, 10.0, 100.0, 1e-12])
    old = np.array([1.0, 2.0, 3.0, 5.0, 6.0])
    new = np.array([0.5, 1.5, 1.75, 4.0, 5.25, 5.5, 6.0, 9.0])
    onto = jax.jit(lambda lo, hi: rebin(old[:-1], old[1:], jnp.asarray(flux), lo, hi))
    got = onto(new[:-1], new[1:])
    expected = [0.5, 0.25, 0.25 + 10 + 50, 50 + 0.25e-12, 0.25e-12, 0.5e-12, 0.0]
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    same = onto(old[:-1], old[1:])
    np.testing.assert_allclose(same, flux, rtol=1e-13)
    slope = jax.grad(lambda x: onto(x[None], x[None] + 1.0)[0])
    assert slope(1.5) == pytest.approx(9.0)


@pytest.mark.parametrize("name", ["powerlaw", "TBabs", "zashift", "cflux"])
def test_evaluate_against_xspec(reference_dir, name):
    table = json.loads((reference_dir / "xspec" / "fine_grid_cases.json").read_text())
    edges = 0.2 * 400 ** (np.arange(3001) / 3000)
    cases = [c for c in table["cases"] if c["model"] == name]
    assert len(cases) >= 3
    for case in cases:
        flux = None
        if case["type"] == "con":
            index, *line = case["input"]["params"]
            flux = evaluate("po", edges, [index]) + 0.1 * evaluate("gaussian", edges, line)
        options = {key: case[key] for key in ("abund", "xsect") if key in case}
        got = evaluate(name, edges, case["params"], flux=flux, **options)
        tolerance = 1e-3 if name == "TBabs" else 1e-4
        values = np.array(case["values"])
        scale = np.maximum(values, 1e-6 * values.max())
        assert np.max(np.abs(got[table["bins"]] - values) / scale) < tolerance
