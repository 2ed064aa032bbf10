"""Derivatives joined component by component equal those of JAX pushed through the whole tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxspec.model.jet import model_jet
from jaxspec.model.model import Model

EDGES = np.geomspace(0.5, 20.0, 13)
LO, HI = EDGES[:-1], EDGES[1:]

CASES = {
    "powerlaw": [1.7, 2.0],
    "TBabs*(highecut*powerlaw+powerlaw)": [0.5, 5.0, 20.0, 2.1, 0.7, 1.5, 0.2],
    "TBabs*phabs(powerlaw+constant*gaussian)": [0.3, 0.1, 1.5, 1.0, 0.7, 6.4, 0.4, 0.05],
    "edge*zashift*TBabs*powerlaw": [7.0, 0.4, 0.1, 0.2, 1.8, 1.0],
    "TBabs*cflux*powerlaw": [0.2, 2.0, 10.0, -11.0, 1.7, 1.0],
}


@pytest.mark.parametrize("expression", CASES)
def test_first_and_second_derivatives(expression):
    tree = Model(expression).tree
    params = jnp.asarray(CASES[expression])
    tables = tree.prepare(LO, HI)
    n = len(tree.parameters)

    def flux(p):
        return tree.flux(LO, HI, tables, p)

    @jax.jit
    def both(p):
        jet = model_jet(tree, LO, HI, tables, p, range(n), order=2)
        return jet, flux(p), jax.jacfwd(flux)(p), jax.jacfwd(jax.jacfwd(flux))(p)

    jet, value, first, second = both(params)
    scale = float(jnp.abs(jet.value).max())
    np.testing.assert_allclose(jet.value, value, rtol=1e-12)
    for i in range(n):
        got = jet.first.get(i, np.zeros(len(LO)))
        np.testing.assert_allclose(got, first[:, i], rtol=1e-9, atol=1e-12 * scale, err_msg=str(i))
        for j in range(i, n):
            got = jet.second.get((i, j), np.zeros(len(LO)))
            np.testing.assert_allclose(
                got, second[:, i, j], rtol=1e-8, atol=1e-11 * scale, err_msg=f"{i} {j}"
            )


def test_only_what_is_wanted_is_differentiated():
    expression = "TBabs*(highecut*powerlaw+powerlaw)"
    tree, params = Model(expression).tree, jnp.asarray(CASES[expression])
    jet = model_jet(tree, LO, HI, tree.prepare(LO, HI), params, {4, 6}, order=1)
    assert set(jet.first) == {4, 6}
    assert jet.second == {}


def test_switches_are_not_differentiated():
    tree = Model("logpar").tree
    jet = model_jet(tree, LO, HI, (), jnp.asarray([1.5, 0.2, 1.0, 1.0]), range(4))
    assert set(jet.first) == {0, 1, 3}
