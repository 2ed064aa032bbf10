import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxspec.errors import InputError
from jaxspec.reduce.ranges import energy, parse_ranges

INF = np.inf


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("3-25", [(3, 25)]),
        ("3-25 keV", [(3, 25)]),
        (" 3 - 25keV ", [(3, 25)]),
        ("3:25", [(3, 25)]),
        ("0.5-3, 4-7", [(0.5, 3), (4, 7)]),
        ("0.5-3;4-7 keV", [(0.5, 3), (4, 7)]),
        ("3000-25000 eV", [(3, 25)]),
        ("500-3000, 4000-7000 eV", [(0.5, 3), (4, 7)]),
        ("500-3000 eV, 4-7 keV", [(0.5, 3), (4, 7)]),
        ("500 eV - 3 keV", [(0.5, 3)]),
        ("500-3000, 4000 eV - 7 keV", [(0.5, 3), (4, 7)]),
        ("0.4-20 TeV", [(4e8, 2e10)]),
        ("**-0.5 8.0-**", [(-INF, 0.5), (8, INF)]),
        ("**-0.5,8.0-**", [(-INF, 0.5), (8, INF)]),
        ("15-**", [(15, INF)]),
        ("**-**", [(-INF, INF)]),
        ("1e-1-2.5e+1", [(0.1, 25)]),
        (".5-3.", [(0.5, 3)]),
        ((3, 25), [(3, 25)]),
        ([3.0, 25.0], [(3, 25)]),
        (np.array([3.0, 25.0]), [(3, 25)]),
        ((None, 0.5), [(-INF, 0.5)]),
        ([(0.5, 3), (4, 7)], [(0.5, 3), (4, 7)]),
        (np.array([[0.5, 3], [4, 7]]), [(0.5, 3), (4, 7)]),
        (["0.5-3", "4-7 keV"], [(0.5, 3), (4, 7)]),
        (("0.4 TeV", "20 TeV"), [(4e8, 2e10)]),
        ([3, 25] * u.keV, [(3, 25)]),
        ((3000 * u.eV, 25 * u.keV), [(3, 25)]),
        ([(500 * u.eV, 3 * u.keV), (4, 7)], [(0.5, 3), (4, 7)]),
    ],
)
def test_energies(given, expected):
    got = parse_ranges(given)
    assert isinstance(got, tuple)
    np.testing.assert_allclose(got, expected)


def test_wavelengths_turn_round():
    ((lo, hi),) = parse_ranges([1.0, 10.0] * u.AA)
    assert lo == pytest.approx(1.2398, rel=1e-4) and hi == pytest.approx(12.398, rel=1e-4)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1-3,57-129", [(1, 3), (57, 129)]),
        ("3 7 9-11", [(3, 3), (7, 7), (9, 11)]),
        (4, [(4, 4)]),
        ((1, 3), [(1, 3)]),
        ([1, 3, 5], [(1, 1), (3, 3), (5, 5)]),
        ("**-3", [(-INF, 3)]),
    ],
)
def test_channels(given, expected):
    assert parse_ranges(given, what="channels") == tuple(expected)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("", "holds no range"),
        ([], "holds no range"),
        (None, "holds no range"),
        (5.0, "holds no range"),
        ("25-3", "25 to 3 is not a range"),
        ((25, 3), "25 to 3 is not a range"),
        ([25, 3] * u.keV, "is not a range"),
        ("3-3", "3 to 3 is not a range"),
        ("5", "is not a range or list of ranges"),
        ("a-b", "is not a range or list"),
        ("3-25 parsec", "'parsec' is not a unit of energy"),
        ("3-25-40", "is not a range or list"),
        ("-1-5", "is not a range or list"),
        ("1:1-3", "is not a range or list"),
        ((np.nan, 3), "is not a number"),
        ((1, "x"), "is not a"),
        ([(1, 2, 3)], "is not a range"),
        ([1, 3] * u.kg, "is not an energy"),
    ],
)
def test_bad_energies(given, text):
    with pytest.raises(InputError, match=text):
        parse_ranges(given)


@pytest.mark.parametrize("given", ["1-3 keV", [1, 3] * u.keV, "x", "**"])
def test_bad_channels(given):
    with pytest.raises(InputError):
        parse_ranges(given, what="channels")


def test_energy():
    assert energy("0.4 TeV") == pytest.approx(4e8)
    assert energy(1 * u.GeV) == pytest.approx(1e6)
    assert energy(2, "TeV") == pytest.approx(2e9)
    with pytest.raises(InputError, match="is not an energy"):
        energy("green")


positive = st.floats(1e-3, 1e6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(positive, positive).filter(lambda p: p[0] < p[1]), min_size=1))
def test_text_round_trip(pairs):
    text = ", ".join(f"{lo!r}-{hi!r}" for lo, hi in pairs)
    assert parse_ranges(text) == tuple(pairs) == parse_ranges(pairs)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789.-*: ,;eEkVx", max_size=12))
def test_any_text_parses_or_raises_input_error(text):
    try:
        ranges = parse_ranges(text)
    except InputError:
        return
    assert all(lo < hi for lo, hi in ranges)
