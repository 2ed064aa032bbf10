import numpy as np
import pytest

from jaxspec.errors import InputError
from jaxspec.model.library import component
from jaxspec.model.model import Model

EXPRESSION = "TBabs*(powerlaw+gaussian+gaussian)"


@pytest.fixture
def model():
    return Model(EXPRESSION)


def test_numbers_names_and_defaults(model):
    assert [(p.number, p.full_name) for p in model.parameters] == [
        (1, "TBabs.nH"),
        (2, "powerlaw.PhoIndex"),
        (3, "powerlaw.norm"),
        (4, "gaussian.LineE"),
        (5, "gaussian.Sigma"),
        (6, "gaussian.norm"),
        (7, "gaussian_4.LineE"),
        (8, "gaussian_4.Sigma"),
        (9, "gaussian_4.norm"),
    ]
    index = model[2]
    assert (index.component, index.name, index.value) == ("powerlaw", "PhoIndex", 1.0)
    assert (index.min, index.soft_min, index.soft_max, index.max) == (-3.0, -2.0, 9.0, 10.0)
    assert (index.frozen, index.link, index.prior, index.is_set) == (False, None, None, False)
    assert model["gaussian.LineE"].unit == "keV"
    assert [p.label for p in model][:4] == ["nH", "PhoIndex", "powerlaw.norm", "gaussian.LineE"]


@pytest.mark.parametrize(
    ("key", "number"),
    [
        (1, 1),
        (np.int64(9), 9),
        ("powerlaw.PhoIndex", 2),
        ("POWERLAW.phoindex", 2),
        ("phoindex", 2),
        (" nh ", 1),
        ("gaussian.norm", 6),
        ("gaussian_3.norm", 6),
        ("gaussian_4.norm", 9),
        ("TBabs", 1),
    ],
)
def test_look_up(model, key, number):
    assert model[key] is model.parameters[number - 1]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("norm", "powerlaw.norm, gaussian.norm, gaussian_4.norm"),
        ("powerlaw", "powerlaw.PhoIndex, powerlaw.norm"),
        ("PhoIndx", "did you mean powerlaw.PhoIndex"),
        ("gauss.LineE", "did you mean gaussian.LineE"),
        ("qqqqqqq", "there are TBabs.nH, powerlaw.PhoIndex"),
        (0, "numbers 1 to 9"),
        (10, "numbers 1 to 9"),
        (-1, "numbers 1 to 9"),
        (True, "no parameter True"),
        (1.0, "no parameter 1.0"),
        (None, "no parameter None"),
    ],
)
def test_look_up_fails_with_help(model, key, words):
    with pytest.raises(InputError) as error:
        model[key]
    assert words in str(error.value)


def test_set_value_and_limits(model):
    index = model["PhoIndex"]
    assert index.set(2.0, min=0, max=5) is index
    assert (index.value, index.min, index.max, index.is_set) == (2.0, 0.0, 5.0, True)
    assert (index.soft_min, index.soft_max) == (0.0, 5.0)
    index.value = 3
    assert index.value == 3.0
    norm = model[3].set(min=1e-3, max=10.0)
    assert (norm.value, norm.is_set) == (1.0, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"value": np.nan}, "value nan is not a finite number"),
        ({"value": "a"}, "value 'a' is not a finite number"),
        ({"value": [1.0, 2.0]}, "not a finite number"),
        ({"max": np.inf}, "max inf is not a finite number"),
        ({"value": 11.0}, "11 is outside the limits -3 to 10"),
        ({"min": 2.0}, "1 is outside the limits 2 to 10"),
        ({"value": 2.0, "min": 3.0, "max": 3.0}, "min 3 is not below max 3"),
    ],
)
def test_refused_values_change_nothing(model, arguments, words):
    index = model["PhoIndex"]
    before = model.copy()
    with pytest.raises(InputError) as error:
        index.set(**arguments)
    assert str(error.value).startswith("parameter powerlaw.PhoIndex: ")
    assert words in str(error.value)
    assert model == before


def test_freeze_and_thaw(model):
    assert model.free_names == tuple(p.full_name for p in model)
    model["nH"].freeze(0.5)
    assert model["nH"].frozen and model["nH"].value == 0.5
    assert "TBabs.nH" not in model.free_names
    model["nH"].thaw()
    assert model["nH"].free


def test_links(model):
    model["gaussian_4.LineE"].link_to("p4*7/6.5 + 0")
    model["gaussian_4.Sigma"].link = "gaussian.Sigma"
    assert model["gaussian_4.Sigma"].link == "p5"
    assert model["gaussian_4.LineE"].value == 7.0
    model["gaussian.Sigma"].set(0.2)
    assert model["gaussian_4.Sigma"].value == 0.2
    np.testing.assert_allclose(model.values, [1, 1, 1, 6.5, 0.2, 1, 7.0, 0.2, 1])
    assert model.free_names[-2:] == ("gaussian.norm", "gaussian_4.norm")
    assert not model["gaussian_4.Sigma"].free
    matrix, _, functions = model.link_map()
    assert functions == ()
    np.testing.assert_allclose(matrix[6], [0, 0, 0, 7 / 6.5, 0, 0, 0, 0, 0])
    model["gaussian_4.LineE"].unlink()
    assert model["gaussian_4.LineE"].link is None
    assert model["gaussian_4.LineE"].value == 7.0


def test_link_errors_change_nothing(model):
    sigma = model["gaussian.Sigma"].link_to("p8")
    for expression, words in [
        ("p5", "run in a circle"),
        ("p99", "numbers 1 to 9"),
        ("norm", "may be any of"),
        ("p1/0", "divides by zero"),
    ]:
        with pytest.raises(InputError, match=words):
            model["gaussian_4.Sigma"].link_to(expression)
    assert model["gaussian_4.Sigma"].link is None
    for change in (lambda: sigma.set(1.0), sigma.freeze, lambda: sigma.freeze(1.0)):
        with pytest.raises(InputError, match="is linked to p8; call .unlink"):
            change()


def test_unlinked_value_stays_inside_the_limits(model):
    model["gaussian.Sigma"].link_to("100*p4")
    assert model["gaussian.Sigma"].value == 650.0
    assert model["gaussian.Sigma"].unlink().value == 20.0


def test_switches_are_never_free():
    from jaxspec.model.component import Parameter

    kinds = [
        Parameter("mode", 1.0, 0.0, 2.0, 0.0, 2.0, switch=True),
        Parameter("mode2", 1.0, 0.0, 2.0, 0.0, 2.0, switch=True),
        Parameter("level", 1.0, 0.0, 2.0, 0.0, 2.0),
    ]
    function = lambda e_lo, e_hi, mode, mode2, level: level * e_lo  # noqa: E731
    mine = component(function, name="mine", parameters=kinds)()
    assert mine.free_names == ("mine.level", "mine.norm")
    with pytest.raises(InputError, match="never fitted"):
        mine["mode"].thaw()
    with pytest.raises(InputError, match="a switch can be linked to a switch only"):
        mine["level"].link_to("mode")
    with pytest.raises(InputError, match="a switch can be linked to a switch only"):
        mine["mode"].link_to("level")
    assert mine["mode"].link_to("mode2").value == 1.0


def test_text_of_a_parameter(model):
    model["gaussian.Sigma"].link_to("p8")
    model["nH"].freeze(0.25)
    assert repr(model["nH"]).startswith("TBabs.nH = 0.25 ")
    assert repr(model["nH"]).endswith("(frozen)")
    assert repr(model["PhoIndex"]) == "powerlaw.PhoIndex = 1 (free)"
    assert repr(model["gaussian.Sigma"]) == "gaussian.Sigma = 0.1 keV (= p8)"
