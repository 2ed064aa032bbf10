"""`evaluate` with a model, and inside JAX's transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxspec as js
from jaxspec.errors import InputError

EDGES = np.geomspace(0.5, 8.0, 41)


def test_a_model_brings_its_abundances_and_cross_sections():
    model = js.Model("phabs*powerlaw", abund="wilm", xsect="bcmc")
    values = [2.0, 1.7, 0.3]
    told = js.evaluate(model.expression, EDGES, values, abund="wilm", xsect="bcmc")
    np.testing.assert_allclose(js.evaluate(model, EDGES, values), told, rtol=1e-14)
    other = js.evaluate(model.expression, EDGES, values, abund="angr", xsect="vern")
    assert abs(other.sum() / told.sum() - 1) > 0.1
    np.testing.assert_allclose(js.evaluate(model.at(values), EDGES), told, rtol=1e-14)


@pytest.mark.parametrize("expression", ["TBabs", "phabs*powerlaw"])
def test_an_expression_alone_does_not_take_abundances_silently(expression):
    values = [1.0] if expression == "TBabs" else [1.0, 2.0, 1.0]
    with pytest.warns(UserWarning, match="angr is taken; give abund="):
        taken = js.evaluate(expression, EDGES, values)
    np.testing.assert_array_equal(taken, js.evaluate(expression, EDGES, values, abund="angr"))
    js.evaluate("wabs", EDGES, [1.0])  # whose abundances are its own: no warning, an error here


def test_tables_beside_a_model_are_refused():
    with pytest.raises(InputError, match=r"its own tables: abund wilm.*assign \.abund"):
        js.evaluate(js.Model("TBabs*powerlaw", abund="wilm"), EDGES, abund="angr")


def test_own_components_and_links():
    def flat(e_lo, e_hi, level):
        return level * (e_hi - e_lo)

    flat = js.component(flat, parameters={"level": (1.0, 0.0, 10.0)})
    model = js.Model("constant*(flat+powerlaw)", components=[flat])
    model["powerlaw.norm"].link_to("2*p3")
    value = js.evaluate(model, EDGES, [2.0, 3.0, 0.5, 2.0, 77.0])
    slope = 1 / EDGES[:-1] - 1 / EDGES[1:]
    np.testing.assert_allclose(value, 2 * (1.5 * np.diff(EDGES) + slope), rtol=1e-12)


def test_gradient_jit_and_vmap():
    model = js.Model("TBabs*(powerlaw+gaussian)", abund="wilm")
    model["LineE"].set(6.4)
    values = np.array([0.5, 1.8, 1.0, 6.4, 0.05, 0.1])

    def total(p):
        return jnp.sum(js.evaluate(model, EDGES, p) * jnp.arange(40.0))

    with jax.enable_x64(True):
        got = np.array(jax.grad(total)(values))
    for i, slope in enumerate(got):
        step = 1e-5 * np.eye(6)[i]
        high, low = (js.evaluate(model, EDGES, values + s) @ np.arange(40.0) for s in (step, -step))
        np.testing.assert_allclose(slope, (high - low) / 2e-5, rtol=1e-5)
    compiled = jax.jit(lambda p: js.evaluate(model, EDGES, p))(jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(compiled, js.evaluate(model, EDGES, values), rtol=1e-4)


def test_gradient_by_one_number_of_a_list():
    """The norm of a single component may be left out there as well."""

    def total(index):
        return js.evaluate("powerlaw", [1.0, 2.0, 4.0], [index]).sum()

    x = np.linspace(1.0, 4.0, 200001)
    expected = -np.trapezoid(np.log(x) / x**2, x)
    np.testing.assert_allclose(jax.grad(total)(2.0), expected, rtol=1e-5)
    each = jax.vmap(total)(jnp.array([2.0, 0.0]))
    np.testing.assert_allclose(each, [0.75, 3.0], rtol=1e-5)
