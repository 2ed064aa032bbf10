import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.errors import InputError
from jaxspec.model.links import (
    Call,
    Number,
    Reference,
    affine,
    apply_links,
    evaluate,
    parse_link,
    references,
    relabel,
    resolve_links,
    to_text,
)

NAMES = {"powerlaw.phoindex": 0, "nh": 1, "gaussian_3.linee": 2}


def find(key):
    if isinstance(key, int) and 1 <= key <= 4:
        return key - 1
    if str(key).lower() in NAMES:
        return NAMES[key.lower()]
    raise InputError(f"there is no parameter {key!r}")


def read(text):
    return parse_link(text, find)


PARAMS = np.array([0.3, 2.0, 0.5, -1.5])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("p3/5 + 6.7", 6.8),
        ("P2", 2.0),
        ("3", 3.0),
        ("2*powerlaw.PhoIndex", 0.6),
        ("gaussian_3.LineE - NH", -1.5),
        ("1 - 2 - 3", -4.0),
        ("8/4/2", 1.0),
        ("2^3^2", 512.0),
        ("2**3", 8.0),
        ("-p2^2", -4.0),
        ("(-p2)^2", 4.0),
        ("2^-1", 0.5),
        ("-p2*3 + +1", -5.0),
        ("1.5e1 + .5", 15.5),
        ("exp(p1)", np.exp(0.3)),
        ("Sin(p1) + COS(p1) + tan(p1)", np.sin(0.3) + np.cos(0.3) + np.tan(0.3)),
        ("SIND(30) + COSD(60) + TAND(45)", 2.0),
        ("SINH(p1)+COSH(p1)+TANH(p1)", np.sinh(0.3) + np.cosh(0.3) + np.tanh(0.3)),
        ("LOG(1000) + LN(EXP(2))", 5.0),
        ("SQRT(p2)*ABS(p4)", 1.5 * np.sqrt(2.0)),
        ("INT(2.9) + INT(-2.9)", 0.0),
        ("ASIN(p3) + ACOS(p3) + ATAN(1)", 0.75 * np.pi),
        ("ERF(p1) + ERFC(p1)", 1.0),
        ("GAMMA(5)", 24.0),
        ("SIGN(p4) + SIGN(p1)", 0.0),
        ("HEAVISIDE(p4) + 2*HEAVISIDE(p1)", 2.0),
        ("BOXCAR(0.5) + BOXCAR(1.5) + BOXCAR(-0.5)", 1.0),
        ("ATAN2(1, -1)", 0.75 * np.pi),
        ("MAX(p1, p2) - min(p1, p2)", 1.7),
    ],
)
def test_values(text, value):
    assert float(evaluate(read(text), jnp.asarray(PARAMS))) == pytest.approx(
        value, rel=1e-13, abs=1e-14
    )
    assert read(to_text(read(text))) == read(text)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("p9", 0, "there is no parameter 9"),
        ("2*pho", 2, "there is no parameter 'pho'"),
        ("p1 p2", 3, "not expected"),
        ("3p1", 1, "not expected"),
        ("p1 +", 4, "missing"),
        ("*p1", 0, "missing"),
        ("(p1", 3, "')' is missing"),
        ("p1)", 2, "not expected"),
        ("FOO(p1)", 0, "no function 'FOO'"),
        ("MAX(p1)", 6, "takes 2 arguments, not 1"),
        ("EXP(p1, p2)", 10, "takes 1 argument, not 2"),
        ("p1 % 2", 3, "'%' has no meaning"),
        ("__import__('os')", 11, "has no meaning"),
    ],
)
def test_error_shows_the_place(text, column, words):
    with pytest.raises(InputError) as error:
        read(text)
    message, shown, caret = str(error.value).split("\n")
    assert words in message
    assert shown == "    " + text
    assert caret == "    " + " " * column + "^"


@pytest.mark.parametrize("text", ["", " ", None, 3, "+".join(["p1"] * 5000), "(" * 5000 + "p1"])
def test_refused_text(text):
    with pytest.raises(InputError):
        read(text)


@pytest.mark.parametrize(
    ("text", "row", "offset"),
    [
        ("p3/5 + 6.7", [0, 0, 0.2, 0], 6.7),
        ("2*(p1 - p2) - (p4 + 1)", [2, -2, 0, -1], -1.0),
        ("-p1*EXP(0)", [-1, 0, 0, 0], 0.0),
        ("7", [0, 0, 0, 0], 7.0),
        ("0*p1 + 1", [0, 0, 0, 0], 1.0),
    ],
)
def test_affine_links_become_numbers(text, row, offset):
    got_row, got_offset = affine(read(text), 4)
    np.testing.assert_allclose(got_row, row, atol=1e-15)
    assert got_offset == pytest.approx(offset)


@pytest.mark.parametrize("text", ["p1*p2", "1/p1", "p1^2", "EXP(p1)", "MAX(p1, 1) + p2"])
def test_other_links_are_not_affine(text):
    assert affine(read(text), 4) is None


@pytest.mark.parametrize("text", ["p1/0", "1/0 + p1", "LN(0)*p1", "EXP(p1/0)"])
def test_constants_that_are_not_finite(text):
    with pytest.raises(InputError, match="divides by zero|in a link is"):
        affine(read(text), 4)


def test_no_links():
    matrix, offset, functions = resolve_links({}, "abcd")
    np.testing.assert_array_equal(matrix, np.eye(4))
    np.testing.assert_array_equal(offset, np.zeros(4))
    assert functions == ()
    np.testing.assert_array_equal(apply_links(PARAMS, matrix, offset, functions), PARAMS)


def test_chains_are_resolved_whatever_their_order():
    # d = 2c + 1, c = b - a, b = exp(a); so c follows a function although it is affine itself
    links = {3: read("2*p3 + 1"), 2: read("p2 - p1"), 1: read("EXP(p1)")}
    params = apply_links(PARAMS, *resolve_links(links, "abcd"))
    c = np.exp(0.3) - 0.3
    np.testing.assert_allclose(params, [0.3, np.exp(0.3), c, 2 * c + 1], rtol=1e-14)
    affine_only = resolve_links({3: read("2*p3 + 1"), 2: read("p2 - p1")}, "abcd")
    assert affine_only.functions == ()
    np.testing.assert_allclose(apply_links(PARAMS, *affine_only), [0.3, 2.0, 1.7, 4.4], rtol=1e-14)
    hash(resolve_links(links, "abcd").functions)


@pytest.mark.parametrize("links", [{0: "p1"}, {0: "p2", 1: "p1"}, {0: "p2", 1: "EXP(p3)", 2: "p1"}])
def test_circles_are_refused(links):
    with pytest.raises(InputError, match="run in a circle"):
        resolve_links({i: read(text) for i, text in links.items()}, "abcd")


def test_gradient_through_links():
    links = {2: read("p1*3 + 1"), 3: read("SQRT(p3) + p2^2")}
    matrix, offset, functions = resolve_links(links, "abcd")

    def value(theta):
        return apply_links(theta, matrix, offset, functions)

    theta = jnp.asarray(PARAMS)
    forward, reverse = jax.jacfwd(value)(theta), jax.jacrev(value)(theta)
    np.testing.assert_allclose(forward, reverse, rtol=1e-13)
    root = np.sqrt(1.9)
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [3, 0, 0, 0], [1.5 / root, 4, 0, 0]]
    np.testing.assert_allclose(forward, expected, rtol=1e-13, atol=1e-15)


def test_affine_links_share_one_trace():
    traces = []

    def value(functions, theta, matrix, offset):
        traces.append(1)
        return apply_links(theta, matrix, offset, functions)

    run = jax.jit(value, static_argnums=0)
    for text in ("p1", "2*p1 + p2", "7"):
        matrix, offset, functions = resolve_links({3: read(text)}, "abcd")
        run(functions, PARAMS, matrix, offset)
    assert len(traces) == 1
    matrix, offset, functions = resolve_links({3: read("EXP(p1)")}, "abcd")
    run(functions, PARAMS, matrix, offset)
    assert len(traces) == 2


def trees(inner):
    pairs = st.sampled_from(["+", "-", "*", "/", "^", "MAX", "ATAN2"])
    return st.one_of(
        st.builds(lambda name, a, b: Call(name, (a, b)), pairs, inner, inner),
        st.builds(lambda name, a: Call(name, (a,)), st.sampled_from(["neg", "EXP", "LOG"]), inner),
    )


atoms = st.one_of(
    st.floats(0, 1e300).map(Number), st.integers(0, 3).map(lambda index: Reference(index))
)


@settings(deadline=None, max_examples=200)
@given(st.recursive(atoms, trees, max_leaves=12))
def test_text_reads_back(tree):
    assert read(to_text(tree)) == tree
    up, down = range(3, 103), [None] * 3 + list(range(100))
    assert references(relabel(tree, up)) == {i + 3 for i in references(tree)}
    assert relabel(relabel(tree, up), down) == tree


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="p12.()+-*/^ eExX,MAX", max_size=15))
def test_any_text_gives_a_link_or_an_input_error(text):
    try:
        tree = read(text)
    except InputError:
        return
    assert read(to_text(tree)) == tree
