"""Text for people: aligned columns, numbers to the digits of their errors, short names."""

from __future__ import annotations

import math
from collections import Counter


def align(rows, right=(), gap="  ") -> list[str]:
    """Write rows as lines whose columns line up.

    Parameters
    ----------
    rows : sequence of sequences of str, all of one length; a head is the first of them.
    right : places of the columns that are flush right; the others are flush left.
    gap : str, between two columns.

    Returns
    -------
    list of str
        Lines without blanks at their ends.

    Examples
    --------
    >>> align([("name", "rate"), ("a", "1.5"), ("long one", "12.5")], right=[1])
    ['name      rate', 'a          1.5', 'long one  12.5']
    """
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.rjust if i in right else str.ljust for i in range(len(widths))]
    return [
        gap.join(pad(text, n) for pad, text, n in zip(sides, row, widths, strict=True)).rstrip()
        for row in rows
    ]


def decimals(error) -> int:
    """Decimals that show two digits of a positive error; negative beyond 100.

    Examples
    --------
    >>> decimals(0.015), decimals(0.0996), decimals(1234.0)
    (3, 2, -2)
    """
    # rounded first: 0.0996 is written as 0.10, which needs one decimal less than 0.09
    return 1 - math.floor(math.log10(float(f"{error:.1e}")))


def digits(value, error) -> str:
    """A number to two digits of its error; to six digits where the error says nothing.

    Examples
    --------
    >>> digits(481.23081, 0.012), digits(1.0913064e-05, 2.1e-8), digits(0.0, 0.0)
    ('481.231', '1.0913e-05', '0')
    """
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.6g}"
    places, size = decimals(error), math.floor(math.log10(max(abs(value), error)))
    if -4 < size < 6:
        return f"{value:.{max(places, 0)}f}"
    return f"{value:.{min(max(size + places, 1), 15)}e}"


def with_error(value, error) -> str:
    """Value and error to two digits of the error; "-" for a value that is not a number.

    Examples
    --------
    >>> with_error(2.10712, 0.01482), with_error(0.000336, 0.0000091), with_error(517.29, 12.0)
    ('2.107 ± 0.015', '3.360e-4 ± 9.1e-6', '517 ± 12')
    >>> with_error(1.5, math.nan), with_error(math.nan, math.nan)
    ('1.5', '-')
    """
    if not math.isfinite(value):
        return "-"
    text = _exponent(digits(value, error))
    known = math.isfinite(error) and error > 0
    return f"{text} ± {_exponent(digits(error, error))}" if known else text


def with_interval(value, error, low, high) -> str:
    """`with_error`, with both errors where the interval is not about symmetric.

    Examples
    --------
    >>> with_interval(0.52, 0.14, 0.397, 0.681), with_interval(2.1, 0.1, 2.0, 2.2)
    ('0.52 -0.12 +0.16', '2.10 ± 0.10')
    """
    if not lopsided(value, low, high):
        return with_error(value, error)
    parts = (_exponent(digits(part, error)) for part in (value, value - low, high - value))
    return "{} -{} +{}".format(*parts)


def lopsided(value, low, high) -> bool:
    """Whether one side of an interval is a tenth longer than the other: amplitudes of few counts.

    Examples
    --------
    >>> lopsided(1.0, 0.9, 1.1), lopsided(1.0, 0.9, 1.12)
    (False, True)
    """
    return high - value > 1.1 * (value - low)


def short_names(parameters) -> list[str]:
    """Name of each parameter where no other one has it, in any case; else its full name.

    Parameters
    ----------
    parameters : sequence of objects with ``name`` and ``full_name``
    """
    parameters = list(parameters)
    count = Counter(p.name.lower() for p in parameters)
    return [p.name if count[p.name.lower()] == 1 else p.full_name for p in parameters]


def _exponent(text):
    mantissa, e, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if e else text
