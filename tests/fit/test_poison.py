"""Sixty kinds of spectra that cannot be, among good ones: each ends as a row or a typed error."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from toy import toy_response

import jaxspec as js
from jaxspec._status import Status
from jaxspec._types import Filter, Spectrum
from jaxspec.errors import InputError

N = 32
RESPONSE = toy_response(N)
TRUTH = {"PhoIndex": 1.8, "norm": 0.3}
STATISTICS = ("wstat", "pgstat", "chi2")


def good(n, seed=0):
    """Spectra with a background, as they should be."""
    sky = Spectrum("sky", np.arange(N), np.full(N, 40.0), 2000.0, backscal=2.0)
    made = js.fake("powerlaw", RESPONSE, [1000.0] * n, TRUTH, background=sky, seed=seed)
    return list(made)


GOOD = good(70)


def counts(change):
    """Counts after a change in place."""

    def poison(s):
        values = s.counts.copy()
        change(values)
        return s.replace(counts=values)

    return poison


def at(value, where=slice(3, 4)):
    def change(values):
        values[where] = value

    return counts(change)


def fields(**changes):
    return lambda s: s.replace(**changes)


def sky(**changes):
    return lambda s: s.replace(background=s.background.replace(**changes))


def response(**changes):
    """Response with changed fields; a function gets the field."""

    def poison(s):
        new = {k: v(getattr(RESPONSE, k)) if callable(v) else v for k, v in changes.items()}
        return s.replace(response=replace(RESPONSE, **new))

    return poison


def scaled(factor):
    return response(matrix=lambda m: scipy.sparse.csr_array(m * factor))


def matrix_value(value):
    def change(m):
        m = m.copy()
        m.data[5] = value
        return m

    return response(matrix=change)


def mine(values, where=slice(3, 4), size=N):
    """Array that is right but for a value."""
    made = np.ones(size)
    made[where] = values
    return made


def zeros_where(n):
    made = np.ones(N, dtype=np.int16)
    made[n:] = -1
    return made


def noticed(lo, hi, unit="keV"):
    return fields(filters=(Filter("notice", unit, ((lo, hi),)),))


KINDS = {
    "nan counts": at(np.nan),
    "inf counts": at(np.inf),
    "minus inf counts": at(-np.inf),
    "negative counts": at(-5.0),
    "all counts nan": at(np.nan, slice(None)),
    "no counts": at(0.0, slice(None)),
    "one count": counts(lambda v: (v.fill(0.0), v.__setitem__(7, 1.0))),
    "huge counts": at(1e300),
    "all counts huge": at(1e200, slice(None)),
    "tiny counts": at(1e-300, slice(None)),
    "half counts": at(0.5, slice(None)),
    "one channel huge": at(1e15),
    "zero exposure": fields(exposure=0.0),
    "negative exposure": fields(exposure=-10.0),
    "nan exposure": fields(exposure=np.nan),
    "inf exposure": fields(exposure=np.inf),
    "tiny exposure": fields(exposure=1e-300),
    "huge exposure": fields(exposure=1e300),
    "zero areascal": fields(areascal=0.0),
    "negative areascal": fields(areascal=-1.0),
    "nan areascal": fields(areascal=np.nan),
    "zeros in areascal": fields(areascal=mine(0.0)),
    "nan in areascal": fields(areascal=mine(np.nan)),
    "zero backscal": fields(backscal=0.0),
    "negative backscal": fields(backscal=-1.0),
    "nan backscal": fields(backscal=np.nan),
    "huge backscal": fields(backscal=1e300),
    "tiny backscal": fields(backscal=1e-300),
    "nan in backscal": fields(backscal=mine(np.nan)),
    "nan background": sky(counts=mine(np.nan)),
    "inf background": sky(counts=mine(np.inf)),
    "negative background": sky(counts=mine(-3.0)),
    "no background counts": sky(counts=np.zeros(N)),
    "huge background": sky(counts=np.full(N, 1e300)),
    "background without time": sky(exposure=0.0),
    "background of nan time": sky(exposure=np.nan),
    "background of negative time": sky(exposure=-1.0),
    "background of zero backscal": sky(backscal=0.0),
    "background of negative backscal": sky(backscal=-2.0),
    "background of nan backscal": sky(backscal=np.nan),
    "background of huge backscal": sky(backscal=1e300),
    "background of other length": sky(counts=np.ones(N // 2), channel=np.arange(N // 2)),
    "background with nan error": sky(stat_err=mine(np.nan), poisserr=False),
    "background with no error": sky(stat_err=np.zeros(N), poisserr=False),
    "nan error": fields(stat_err=mine(np.nan), poisserr=False),
    "no error": fields(stat_err=np.zeros(N), poisserr=False),
    "negative error": fields(stat_err=mine(-1.0), poisserr=False),
    "nan systematic": fields(sys_err=mine(np.nan)),
    "huge systematic": fields(sys_err=np.full(N, 1e200)),
    "zero matrix": scaled(0.0),
    "empty matrix": response(matrix=lambda m: scipy.sparse.csr_array(m.shape)),
    "nan in the matrix": matrix_value(np.nan),
    "negative matrix": scaled(-1.0),
    "negative element": matrix_value(-1.0),
    "huge matrix": scaled(1e200),
    "tiny matrix": scaled(1e-200),
    "nan area": response(area=lambda a: a * mine(np.nan, size=len(a))),
    "zero area": response(area=lambda a: 0 * a),
    "negative area": response(area=lambda a: -a),
    "a hole in the area": response(area=lambda a: a * mine(0.0, slice(5, 20), len(a))),
    "nan energies": response(e_lo=lambda e: e * mine(np.nan, size=len(e))),
    "tiny energies": response(e_lo=lambda e: e * 1e-30, e_hi=lambda e: e * 1e-30),
    "energies from zero": response(e_lo=lambda e: np.where(e == e[0], 0.0, e)),
    "energies below zero": response(e_lo=lambda e: e - 1.0, e_hi=lambda e: e - 1.0),
    "descending energies": response(e_lo=lambda e: e[::-1], e_hi=lambda e: e[::-1]),
    "bins without width": response(e_hi=lambda e: e - (e[1] - e[0])),
    "huge energies": response(e_lo=lambda e: e * 1e200, e_hi=lambda e: e * 1e200),
    "no response": fields(response=None),
    "response of other length": fields(response=toy_response(N // 2)),
    "one channel": noticed(3, 3, "channel"),
    "two channels": noticed(3, 4, "channel"),
    "nothing noticed": noticed(900.0, 1000.0),
    "range upside down": noticed(7.0, 3.0),
    "nan range": noticed(np.nan, np.nan),
    "all bad": fields(quality=np.full(N, 1, np.int16)),
    "one group": fields(grouping=zeros_where(1)),
    "odd grouping": fields(grouping=np.full(N, 7, np.int16)),
    "channels unsorted": fields(channel=np.arange(N)[::-1]),
    "channels twice": fields(channel=np.zeros(N, int)),
    "shorter counts": fields(counts=np.ones(N // 2)),
    "no channels": fields(channel=np.arange(0), counts=np.zeros(0)),
}  # fmt: skip


def poisoned(kind):
    """The spectrum, or None where it is refused when it is made."""
    try:
        return KINDS[kind](GOOD[0]).replace(name=kind)
    except InputError:
        return None


@pytest.fixture(scope="module")
def fitted():
    """Fits of good ones alone, and of the same ones among all kinds, for every statistic."""
    among = [s for s in map(poisoned, KINDS) if s is not None]
    step = -(-len(among) // len(GOOD))
    mixed, place = [], []
    for i, s in enumerate(GOOD):
        place.append(len(mixed))
        mixed += [s, *among[i * step : (i + 1) * step]]
    made = {}
    for stat in STATISTICS:
        alone = js.fit("powerlaw", js.SpectrumList(GOOD), stat)
        made[stat] = alone, js.fit("powerlaw", js.SpectrumList(mixed), stat), place
    return made


@pytest.mark.parametrize("stat", STATISTICS)
def test_good_ones_are_the_same_bit_by_bit(fitted, stat):
    alone, mixed, place = fitted[stat]
    assert alone.ok.all() and len(mixed) > 80
    for field in ("params", "stat", "edm", "iterations", "status", "n_bins"):
        assert np.array_equal(getattr(mixed, field)[place], getattr(alone, field)), field
    for kind, values in alone.covariances.items():
        assert np.array_equal(mixed.covariances[kind][place], values)


@pytest.mark.parametrize("stat", STATISTICS)
def test_no_row_is_ok_without_numbers(fitted, stat):
    _, mixed, _ = fitted[stat]
    ok = mixed.ok
    assert np.isfinite(mixed.params[ok]).all() and np.isfinite(mixed.stat[ok]).all()
    errors = np.diagonal(mixed.covariances["observed"], axis1=1, axis2=2)[ok]
    assert (errors > 0).all() and np.isfinite(errors).all(), np.array(mixed.names)[ok]
    assert all(len(text) > 10 for text in mixed.messages)
    bad = mixed.status == Status.BAD_DATA
    assert bad.sum() > 10


def test_errors_of_nothing_weigh_nothing(fitted):
    _, mixed, _ = fitted["chi2"]
    row = mixed.names.index("no error")
    assert mixed.status[row] == Status.BAD_DATA and "STAT_ERR is 0" in mixed.messages[row]


def test_what_is_wrong_is_said(fitted):
    _, mixed, _ = fitted["wstat"]
    said = dict(zip(mixed.names, zip(mixed.status, mixed.messages, strict=True), strict=True))
    assert said["nan counts"][0] == Status.BAD_DATA and "finite" in said["nan counts"][1]
    assert said["nan background"][0] == Status.BAD_DATA, said["nan background"]
    for kind in ("nan backscal", "background of nan time", "nan areascal", "zero exposure"):
        assert poisoned(kind) is None and kind not in said  # refused where it is made
