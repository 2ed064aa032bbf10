"""Text helpers: columns that line up, rounding by the error, short names."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxspec._text import align, decimals, digits, short_names, with_error


def test_columns_line_up_to_either_side():
    rows = [("par", "value", "unit"), ("PhoIndex", "2", ""), ("norm", "10.25", "keV")]
    lines = align(rows, right=[1])
    assert [line.index(cell) for line, cell in zip(lines, ("value", "2", "10"), strict=True)] == [
        10,
        14,
        10,
    ]
    assert lines[1] == lines[1].rstrip() and lines[0].index("unit") == lines[2].index("keV")
    assert align([]) == []


@pytest.mark.parametrize(
    ("error", "places"), [(0.0149, 3), (9.94, 1), (9.96, 0), (0.0996, 2), (150.0, -1)]
)
def test_errors_are_rounded_before_their_digits_are_counted(error, places):
    assert decimals(error) == places


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (12.34, 9.96, "12"),
        (481.23081, 0.012, "481.231"),
        (1.0913064e-05, 2.1e-8, "1.0913e-05"),
        (-9.6e23, 1e22, "-9.60e+23"),
        (2.5, np.inf, "2.5"),
    ],
)
def test_digits_follow_the_error(value, error, text):
    assert digits(value, error) == text


def test_error_and_value_end_at_the_same_digit():
    assert with_error(12.34, 9.96) == "12 ± 10"
    assert with_error(0.5, 1.04e-3) == "0.5000 ± 0.0010"


def test_names_are_short_where_they_are_clear_in_any_case():
    made = [SimpleNamespace(name=n, full_name=f"{c}.{n}") for c, n in ("ax", "bx", "cy", "cY")]
    assert short_names(made) == ["a.x", "b.x", "c.y", "c.Y"]
    assert short_names(made[1:3]) == ["x", "y"]
