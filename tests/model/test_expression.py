import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.errors import InputError
from jaxspec.model.component import Component
from jaxspec.model.expression import (
    MAX_DEPTH,
    Convolved,
    Leaf,
    Product,
    Sum,
    add,
    kind,
    leaves,
    multiply,
    parse,
    renumber,
)

KINDS = {
    "powerlaw": "add",
    "gaussian": "add",
    "bbody": "add",
    "bbodyrad": "add",
    "phabs": "mul",
    "wabs": "mul",
    "TBabs": "mul",
    "edge": "mul",
    "cflux": "con",
    "zashift": "con",
}
COMPONENTS = {name: Component(name, kind, (), None) for name, kind in KINDS.items()}
ALIASES = {"tb": "TBabs", "bb": "bbody"}


def read(text, **options):
    return parse(text, COMPONENTS, ALIASES, **options)


def leaf(name, number):
    return Leaf(COMPONENTS[name], number)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("powerlaw", "powerlaw"),
        ("PO", "powerlaw"),
        ("phabs(po+ga)", "phabs*(powerlaw+gaussian)"),
        ("(po+ga)wabs", "(powerlaw+gaussian)*wabs"),
        ("wa*phabs*po", "wabs*phabs*powerlaw"),
        (" tb * ( po + wa(ga + edge * bb) ) ", "TBabs*(powerlaw+wabs*(gaussian+edge*bbody))"),
        ("(po)(edge)", "powerlaw*edge"),
        ("((po))", "powerlaw"),
        ("po+(ga+bb)", "powerlaw+gaussian+bbody"),
        ("edge*(wa*(phabs*po))", "edge*wabs*phabs*powerlaw"),
        ("bbody+bbodyr", "bbody+bbodyrad"),
        ("tbabs*zashift(cflux*po)", "TBabs*zashift*cflux*powerlaw"),
        ("(cflux*edge)po", "(cflux*edge)*powerlaw"),
        ("edge*(cflux*po)*wa", "edge*(cflux*powerlaw)*wabs"),
    ],
)
def test_canonical_expression(text, canonical):
    assert str(read(text)) == canonical
    assert read(canonical) == read(text)


def test_tree_of_sum_and_product():
    expected = Product((leaf("phabs", 1), Sum((leaf("powerlaw", 2), leaf("gaussian", 3)))))
    assert read("phabs(po+ga)") == expected
    assert kind(expected) == "add"
    assert [x.number for x in leaves(expected)] == [1, 2, 3]


def test_convolutions_act_on_all_to_their_right():
    edge, po = leaf("edge", 2), leaf("powerlaw", 3)
    assert read("cflux*edge*po") == Convolved(leaf("cflux", 1), Product((edge, po)))
    assert read("(cflux*edge)*po") == Product((Convolved(leaf("cflux", 1), edge), po))
    assert read("edge*cflux*po") == Product(
        (leaf("edge", 1), Convolved(leaf("cflux", 2), leaf("powerlaw", 3)))
    )
    twice = read("cflux*zashift*po")
    assert twice == Convolved(leaf("cflux", 1), Convolved(leaf("zashift", 2), leaf("powerlaw", 3)))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("phabs", 0, "needs an additive component"),
        ("phabs*edge", 0, "needs an additive component"),
        ("cflux", 0, "nothing to act on"),
        ("*po", 0, "missing before '*'"),
        ("po*", 3, "missing before the end"),
        ("po+", 3, "missing before the end"),
        ("wa**po", 3, "missing before '*'"),
        ("wa*(*po)", 4, "missing before '*'"),
        ("()", 1, "missing before ')'"),
        ("wa po", 3, "side by side"),
        ("wa\tpo", 3, "side by side"),
        ("wa*(po+ga", 3, "never closed"),
        ("po)", 2, "closes nothing"),
        ("po+wa", 3, "cannot be a term"),
        ("wa*(edge+po)", 4, "cannot be a term"),
        ("wa*(po+cflux)", 7, "cannot be a term"),
        ("po*cflux", 3, "nothing to its right"),
        ("(cflux)*po", 6, "nothing to act on"),
        ("wa*(po*cflux)+ga", 7, "nothing to its right"),
        ("po*ga", 3, "join them with +"),
        ("po+bbo", 3, "ambiguous: it may be bbody, bbodyrad"),
        ("wa*powerlow", 3, "did you mean powerlaw?"),
        ("wa*qqqqqq", 3, "jaxspec models"),
        ("wa*atable{a.fits}", 3, "table models"),
        ("2*po", 0, "constant"),
        ("2:fe po", 0, "named models"),
        ("po-ga", 2, "'-' has no meaning"),
        ("po;ga", 2, "';' has no meaning"),
    ],
)
def test_error_shows_the_place(text, column, words):
    with pytest.raises(InputError) as error:
        read(text)
    message, shown, caret = str(error.value).split("\n")
    assert words in message
    assert shown == "    " + text.replace("\t", " ")
    assert caret == "    " + " " * column + "^"


@pytest.mark.parametrize("text", ["", "   ", None, 3])
def test_nothing_to_read(text):
    with pytest.raises(InputError):
        read(text)


def test_nesting_has_a_limit():
    def nested(n):
        return "(" * n + "po" + ")" * n

    assert read(nested(MAX_DEPTH)) == leaf("powerlaw", 1)
    with pytest.raises(InputError, match="parentheses inside each other") as error:
        read(nested(100_000))
    assert len(str(error.value)) < 400
    with pytest.raises(InputError, match="convolutions in one product"):
        read("cflux*" * 5000 + "po")
    assert len(read("+".join(["po"] * 3000)).terms) == 3000


def test_incomplete_expression_on_request():
    assert kind(read("phabs*edge", complete=False)) == "mul"


def test_renumber_moves_every_component():
    tree = read("tb*cflux*(po+edge*ga)")
    assert [x.number for x in leaves(renumber(tree, 4))] == [5, 6, 7, 8, 9]
    assert renumber(renumber(tree, 4), -4) == tree


def test_product_left_open_closes_later():
    def fail(message, _):
        raise InputError(message)

    parts = [leaf("TBabs", 1), leaf("cflux", 2)]
    assert kind(multiply(parts, fail, open_end=True)) == "con"
    with pytest.raises(InputError, match="nothing to its right"):
        multiply(parts, fail)
    assert multiply([*parts, leaf("powerlaw", 3)], fail) == read("tb*cflux*po")
    assert add([leaf("powerlaw", 1)], fail) == leaf("powerlaw", 1)


additive = st.sampled_from(["po", "GA", "bb", "bbodyrad"])
factor = st.sampled_from(["tb*", "edge*", "cflux*", "zashift*", "(cflux*wa)*", "(tb)", ""])
tail = st.sampled_from(["", "*edge", "*(cflux*wa)", "*(tb*edge)"])


def deeper(inner):
    group = st.lists(inner, min_size=1, max_size=3).map(lambda t: f"({' + '.join(t)})")
    return st.builds(
        lambda first, second, core, last: first + second + core + last, factor, factor, group, tail
    )


@settings(deadline=None, max_examples=150)
@given(st.lists(st.recursive(additive, deeper, max_leaves=8), min_size=1, max_size=3))
def test_canonical_expression_reads_back(terms):
    tree = read("+".join(terms))
    assert read(str(tree)) == tree
    assert str(read(str(tree))) == str(tree)
    assert hash(read(str(tree))) == hash(tree)
    assert [x.number for x in leaves(tree)] == list(range(1, len(list(leaves(tree))) + 1))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([*"()*+ {<2", "po", "tb", "cflux", "x", "é"]), max_size=12))
def test_any_text_gives_a_tree_or_an_input_error(parts):
    try:
        tree = read("".join(parts))
    except InputError:
        return
    assert kind(tree) == "add"
    assert read(str(tree)) == tree
