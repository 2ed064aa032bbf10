import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxspec.errors import InputError
from jaxspec.model.component import Component, Parameter
from jaxspec.model.expression import Leaf, parse
from jaxspec.model.tree import build

EDGES = np.geomspace(1.0, 10.0, 9)
LO, HI = EDGES[:-1], EDGES[1:]
NORM = Parameter("norm", 1.0, 0.0, 1e24, 0.0, 1e24)


def number(name, default=1.0):
    return Parameter(name, default, -10.0, 10.0, -10.0, 10.0)


def line(e_lo, e_hi, slope):
    return (e_hi - e_lo) * (1.0 + slope * 0.5 * (e_lo + e_hi))


def flat(e_lo, e_hi):
    return e_hi - e_lo


def power(e_lo, e_hi, index):
    return (0.5 * (e_lo + e_hi)) ** index


def screen(e_lo, e_hi, depth, table):
    return jnp.exp(-depth * table)


def screen_table(e_lo, e_hi, settings, source):
    return 1.0 / (e_lo * e_hi) + float(settings.abund == "wilm")


def screen_lookup(settings, source):
    return lambda e_lo, e_hi: screen_table(e_lo, e_hi, settings, source)


def stretch(inner, e_lo, e_hi, z):
    return inner(e_lo * (1 + z), e_hi * (1 + z)) / (1 + z)


def double(inner, e_lo, e_hi):
    return 2.0 * inner(e_lo, e_hi)


COMPONENTS = {
    c.name: c
    for c in [
        Component("line", "add", (number("slope"), NORM), line, norm="norm"),
        Component("flat", "add", (NORM,), flat, norm="norm"),
        Component("power", "mul", (number("index"),), power),
        Component("screen", "mul", (number("depth"),), screen, screen_table, screen_lookup),
        Component("stretch", "con", (number("z"),), stretch),
        Component("double", "con", (), double, grid="whole"),
    ]
}


def tree_of(text, **options):
    return build(parse(text, COMPONENTS, complete=False), **options)


def flux(text, params, **options):
    tree = tree_of(text, **options)
    return tree.flux(LO, HI, tree.prepare(LO, HI), jnp.asarray(params))


def test_layout_of_the_parameters():
    tree = tree_of("screen*(line+power*flat+line)")
    assert [name for name, _ in tree.parameters] == [
        "screen.depth",
        "line.slope",
        "line.norm",
        "power.index",
        "flat.norm",
        "line_5.slope",
        "line_5.norm",
    ]
    assert tree.norm_indices == (2, 4, 6)
    assert [c.name for c in tree.components] == ["screen", "line", "power", "flat", "line"]
    assert not tree.whole_grid
    assert tree_of("double*flat").whole_grid
    assert tree_of("power").kind == "mul"


def test_flux_is_products_and_sums_of_bin_values():
    got = flux("screen*(line+power*flat+line)", [0.5, 0.1, 2.0, 0.7, 3.0, -0.05, 4.0])
    inside = 2.0 * line(LO, HI, 0.1) + power(LO, HI, 0.7) * 3.0 * flat(LO, HI)
    inside = inside + 4.0 * line(LO, HI, -0.05)
    np.testing.assert_allclose(got, np.exp(-0.5 / (LO * HI)) * inside, rtol=1e-14)
    np.testing.assert_allclose(flux("power", [2.0]), power(LO, HI, 2.0), rtol=1e-14)


def test_abundances_reach_the_tables():
    plain, wilm = flux("screen*flat", [1.0, 1.0]), flux("screen*flat", [1.0, 1.0], abund="wilm")
    np.testing.assert_allclose(wilm, plain * np.exp(-1.0), rtol=1e-14)
    for options in ({"abund": "none"}, {"xsect": "none"}):
        with pytest.raises(InputError, match="not known; use"):
            tree_of("flat", **options)


def test_convolution_order():
    z, s = 0.5, 1.5
    shifted = power(s * LO, s * HI, 2.0) * flat(s * LO, s * HI) / s
    np.testing.assert_allclose(flux("stretch*power*flat", [z, 2.0, 1.0]), shifted, rtol=1e-14)
    apart = power(s * LO, s * HI, 2.0) / s * flat(LO, HI)
    np.testing.assert_allclose(flux("(stretch*power)*flat", [z, 2.0, 1.0]), apart, rtol=1e-14)
    outside = power(LO, HI, 2.0) * flat(s * LO, s * HI) / s
    np.testing.assert_allclose(flux("power*stretch*flat", [2.0, z, 1.0]), outside, rtol=1e-14)
    twice = flat(1.2 * s * LO, 1.2 * s * HI) / (1.2 * s)
    np.testing.assert_allclose(flux("stretch*stretch*flat", [z, 0.2, 1.0]), twice, rtol=1e-14)


def test_tables_on_the_same_energies_and_lookup_on_others():
    tree = tree_of("double*screen*flat")
    marked = (np.zeros_like(LO),)  # a table that no lookup would give
    got = tree.flux(LO, HI, marked, jnp.asarray([1.0, 1.0]))
    np.testing.assert_allclose(got, 2.0 * flat(LO, HI), rtol=1e-14)
    tree = tree_of("stretch*screen*flat")
    got = tree.flux(LO, HI, marked, jnp.asarray([0.5, 1.0, 1.0]))
    expected = np.exp(-1.0 / (2.25 * LO * HI)) * flat(LO, HI)
    np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_one_table_per_prepared_component_in_order():
    tree = tree_of("screen*(flat+screen*flat)")
    assert len(tree.prepare(LO, HI)) == 2
    tables = (np.zeros_like(LO), np.ones_like(LO))
    got = tree.flux(LO, HI, tables, jnp.asarray([1.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(got, flat(LO, HI) * (1.0 + np.exp(-1.0)), rtol=1e-14)


def test_additive_parts_add_up():
    tree = tree_of("screen*(line+stretch*(power*flat+line))*power")
    params = jnp.asarray([0.5, 0.1, 2.0, 0.3, 0.7, 3.0, -0.05, 4.0, 0.2])
    tables = tree.prepare(LO, HI)
    parts = tree.additive_parts
    assert [label for label, _ in parts] == ["line", "flat", "line_6"]
    assert str(parts[1][1]) == "screen*(stretch*power*flat)*power"
    assert all(p.parameters == tree.parameters for _, p in parts)
    total = sum(p.flux(LO, HI, tables, params) for _, p in parts)
    np.testing.assert_allclose(total, tree.flux(LO, HI, tables, params), rtol=1e-13)


def test_parts_leave_no_empty_convolution_or_factor():
    parts = tree_of("stretch*line+power*line+flat").additive_parts
    assert [str(tree) for _, tree in parts] == ["stretch*line", "power*line", "flat"]


def test_a_convolution_without_input_is_refused():
    tree = build(Leaf(COMPONENTS["double"], 1))
    assert tree.kind == "con"
    with pytest.raises(InputError, match="nothing to act on"):
        tree.flux(LO, HI, (), jnp.zeros(0))


def test_equal_trees_share_one_trace():
    traces = []

    def value(tree, params):
        traces.append(tree)
        return tree.flux(jnp.asarray(LO), jnp.asarray(HI), tree.prepare(LO, HI), params)

    run = jax.jit(value, static_argnums=0)
    for text, params in [("screen*flat", [1.0, 2.0]), (" SCREEN( fla ) ", [0.1, 7.0])]:
        run(tree_of(text), jnp.asarray(params))
    assert tree_of("screen*flat") == tree_of("screen(flat)")
    assert len(traces) == 1
    run(tree_of("screen*flat", abund="wilm"), jnp.asarray([1.0, 2.0]))
    assert len(traces) == 2


@pytest.mark.parametrize("text", ["stretch*screen*(line+power*flat)", "(stretch*screen)*line"])
def test_gradient_forward_reverse_and_finite_difference(text):
    tree = tree_of(text)
    params = jnp.linspace(0.2, 0.8, len(tree.parameters))
    tables = tree.prepare(LO, HI)

    @jax.jit
    def value(p):
        return tree.flux(LO, HI, tables, p)

    forward = jax.jit(jax.jacfwd(value))(params)
    reverse = jax.jit(jax.jacrev(value))(params)
    np.testing.assert_allclose(forward, reverse, rtol=1e-12)
    step = 1e-6
    for i in range(len(params)):
        up, down = value(params.at[i].add(step)), value(params.at[i].add(-step))
        np.testing.assert_allclose(forward[:, i], (up - down) / (2 * step), rtol=1e-7, atol=1e-8)
