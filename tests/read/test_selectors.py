"""Which extensions and rows are meant: braces, EXTVER, parts of responses, roles of spectra."""

import numpy as np
import pytest
from astropy.io import fits
from ogip_files import (
    COUNTS,
    DENSE,
    E_HI,
    E_LO,
    arf,
    ebounds_hdu,
    matrix_hdu,
    pha,
    pha_hdu,
    rmf,
    table,
    to_bytes,
)

from jaxspec.errors import InputError
from jaxspec.read.ogip import read_arf, read_response, read_spectra, read_spectrum
from jaxspec.read.paths import Address, chosen, split_selectors
from jaxspec.read.write import write_pha
from jaxspec.reduce.spectra import read_pha


def said(thing, words):
    return any(words in note for note in thing.diagnostics)


def factor(response):
    """How often the matrix is that of the test files."""
    return round(response.matrix.sum() / DENSE.sum(), 6)


# ------------------------------------------------------------------ text


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", [7]),
        ("1-2", [1, 2]),
        ("3,1", [3, 1]),
        ("1,3-4", [1, 3, 4]),
        ("*", [1, 2, 3, 4]),
        ("**", [1, 2, 3, 4]),
        ("3-", [3, 4]),
        ("-2", [1, 2]),
        ("2-**", [2, 3, 4]),
        ("2 - 3", [2, 3]),
        ("2-9", [2, 3, 4, 9]),
        ("2,1-3", [2, 1, 3]),
    ],
)
def test_numbers_in_braces(text, numbers):
    assert chosen(Address("a.pha", None, text), range(1, 5)) == numbers


@pytest.mark.parametrize("text", ["", "-", "a", "1-2-3", "1,,2", "1.5", "2:3"])
def test_braces_that_hold_no_numbers(text):
    with pytest.raises(InputError, match="no choice of numbers"):
        split_selectors(f"a.pha{{{text}}}")


def test_extension_after_a_plus(put):
    path = put("a.pha", to_bytes(pha_hdu(name="A"), pha_hdu(name="B", counts=COUNTS * 3)))
    assert read_spectrum(path + "+2").counts.sum() == 3 * COUNTS.sum()
    odd = put("b+1", pha(counts=COUNTS * 2))
    assert read_spectrum(odd).counts.sum() == 2 * COUNTS.sum()
    assert split_selectors("s3://bucket/b+1") == Address("s3://bucket/b+1")


# ------------------------------------------------------------------ responses


def test_numbers_that_run_down():
    with pytest.raises(InputError, match=r"\{3-1\} runs from 3 down to 1; choose as in \{1-3\}"):
        chosen(Address("a.pha", None, "3-1"), range(1, 5))


def test_a_matrix_twice_in_one_file(put):
    """No part of a response is another part of it."""
    path = put("a.rsp", to_bytes(ebounds_hdu(), matrix_hdu(dense=DENSE), matrix_hdu(dense=DENSE)))
    with pytest.raises(InputError, match="one is a copy of another"):
        read_response(path)
    assert factor(read_response(path + "{2}")) == 1


def several(*keywords, dense=DENSE, bounds=None, **common):
    """Response file whose matrices are 1, 2, ... times one."""
    parts = [matrix_hdu(dense=dense * k, **common, **own) for k, own in enumerate(keywords, 1)]
    return to_bytes(ebounds_hdu() if bounds is None else bounds, *parts)


@pytest.mark.parametrize("selector", ["{2}", "[MATRIX,2]", "[matrix, 2]", "[3]", "[MATRIX]{2}"])
def test_one_of_several_responses(put, selector):
    path = put("a.rsp2", several(*(dict(EXTVER=k, TSTART=9.0 * k) for k in (1, 2, 3))))
    assert factor(read_response(path + selector)) == 2
    spectrum = put("a.pha", pha(RESPFILE="a.rsp2" + selector))
    assert factor(read_spectrum(spectrum).response) == 2
    assert factor(read_spectrum(put("b.pha", pha()), response=path + selector).response) == 2


def test_extver_is_no_place_in_the_file(put):
    path = put("a.rsp2", several(dict(EXTVER=7), dict(EXTVER=2), dict(EXTVER=1)))
    assert factor(read_response(path + "{1}")) == 3 and factor(read_response(path + "{7}")) == 1
    with pytest.raises(InputError, match="no response number 3; choose one of MATRIX"):
        read_response(path + "{3}")


def test_rsp_num_where_there_is_no_extver(put):
    path = put("a.rsp2", several(dict(RSP_NUM=2), dict(RSP_NUM=1)))
    assert factor(read_response(path + "{1}")) == 2
    path = put("b.rsp2", several(dict(TSTART=1.0), dict(TSTART=2.0)))
    assert factor(read_response(path + "{2}")) == 2  # by place


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        (dict(TSTART=1.0), dict(TSTART=2.0), "TSTART"),
        (dict(RSP_NUM=1, EXTVER=1), dict(RSP_NUM=2, EXTVER=2), "RSP_NUM"),
        (dict(HDUCLAS3="FULL"), dict(HDUCLAS3="REDIST"), "HDUCLAS3"),
        (dict(TG_M=-1), dict(TG_M=1), "TG_M"),
        (dict(EXTVER=1), dict(EXTVER=2), "fill the same channels"),
        (dict(HDUCLAS3="REDIST"), dict(HDUCLAS3="REDIST"), "more than one count"),
    ],
)
def test_several_responses_are_not_summed(put, one, two, why):
    path = put("a.rsp2", several(one, two, dense=DENSE / 2))
    with pytest.raises(InputError, match="holds several responses") as caught:
        read_response(path)
    text = str(caught.value)
    assert why in text and "MATRIX (extension 2" in text and "MATRIX (extension 3" in text
    assert factor(read_response(path + "{*}")) == 1.5  # as asked for


def test_parts_of_one_response_are_summed(put):
    narrow, tail = DENSE * 0.8, np.full((2, 6), 0.02)
    wide = dict(dense=tail, e_lo=E_LO[[0, 2]], e_hi=E_HI[[1, 3]])
    keys = dict(HDUCLAS3="REDIST", TSTART=5.0, RSP_NUM=1)
    parts = [matrix_hdu(dense=narrow, EXTVER=1, **keys), matrix_hdu(**wide, EXTVER=2, **keys)]
    path = put("a.rmf", to_bytes(*parts, ebounds_hdu()))
    r = read_response(path)
    assert np.allclose(r.matrix.toarray(), narrow + 0.02) and said(r, "2 MATRIX extensions summed")
    assert factor(read_response(path + "{1}")) == pytest.approx(0.8)
    assert factor(read_response(path + "{1-2}")) == pytest.approx(r.matrix.sum() / DENSE.sum())


@pytest.mark.parametrize("same", [dict(TSTART=5.0), dict(RSP_NUM=1)])
def test_matrices_that_say_they_are_parts(put, same):
    keys = dict(HDUCLAS3="REDIST", **same)
    path = put("a.rmf", several(dict(EXTVER=1), dict(EXTVER=2), **keys))
    assert factor(read_response(path)) == 3


def test_parts_of_each_interval(put):
    keys = [dict(EXTVER=k, TSTART=float(k)) for k in (1, 1, 2, 2)]
    path = put("a.rsp2", several(*keys))
    assert factor(read_response(path + "{2}")) == 3 + 4
    with pytest.raises(InputError, match="several responses"):
        read_response(path)


def test_ebounds_of_the_chosen_response(put):
    bounds = [ebounds_hdu(), ebounds_hdu(e_min=np.arange(6.0), e_max=np.arange(1.0, 7))]
    for version, hdu in enumerate(bounds, 1):
        hdu.header["EXTVER"] = version
    parts = [matrix_hdu(dense=DENSE * k, EXTVER=k, TSTART=float(k)) for k in (1, 2)]
    path = put("a.rsp2", to_bytes(*bounds, *parts))
    assert read_response(path + "{2}").e_max[0] == 1.0
    assert read_response(path + "{1}").e_max[0] == pytest.approx(0.79)


# ------------------------------------------------------------------ areas


def areas(n, **keywords):
    columns = dict(SPEC_NUM=("I", np.arange(1, n + 1)))
    columns |= dict(ENERG_LO=("4E", [E_LO] * n), ENERG_HI=("4E", [E_HI] * n))
    columns["SPECRESP"] = ("4E", [np.full(4, 10.0 * k) for k in range(1, n + 1)])
    return table("SPECRESP", columns, keywords)


def rows(n, start=1, **keywords):
    """Type II spectra with 1, 2, ... times the counts."""
    columns = {
        "SPEC_NUM": ("I", np.arange(start, start + n)),
        "CHANNEL": ("6I", np.tile(np.arange(6), (n, 1))),
        "COUNTS": ("6J", [COUNTS * k for k in range(1, n + 1)]),
    }
    columns |= {k: keywords.pop(k) for k in list(keywords) if isinstance(keywords[k], tuple)}
    base = dict(POISSERR=True, EXPOSURE=10.0, HDUCLAS1="SPECTRUM", HDUCLAS4="TYPE:II")
    return table(keywords.pop("name", "SPECTRUM"), columns, base | keywords)


def times(spectra):
    return [s.counts.sum() / COUNTS.sum() for s in spectra]


def test_areas_of_type_two_belong_to_rows(put):
    put("a.rmf", rmf())
    put("a.arf", to_bytes(areas(3)))
    path = put("a.pha", to_bytes(rows(3, RESPFILE="a.rmf", ANCRFILE="a.arf")))
    assert [s.response.area[0] for s in read_spectra(path)] == [10, 20, 30]
    assert [s.response.area[0] for s in read_spectra(path + "{2-3}")] == [20, 30]
    one = read_spectra(path, arf=put("one.arf", to_bytes(areas(1))))
    assert [s.response.area[0] for s in one] == [10, 10, 10]
    part = put("b.pha", to_bytes(rows(2, start=2, RESPFILE="a.rmf", ANCRFILE="a.arf")))
    assert [s.response.area[0] for s in read_spectra(part)] == [20, 30]  # by SPEC_NUM
    none = put("c.pha", to_bytes(rows(2, start=8, RESPFILE="a.rmf", ANCRFILE="a.arf")))
    with pytest.raises(InputError, match=r"3 areas \(type II\)"):
        read_spectra(none)


def test_areas_by_extver(put):
    parts = [fits.HDUList.fromstring(arf(area=np.full(4, 10.0 * k)))[1] for k in (1, 2)]
    for version, hdu in zip((3, 5), parts, strict=True):
        hdu.header["EXTVER"] = version
    path = put("a.arf", to_bytes(*parts))
    assert read_arf(path + "{5}")[2][0] == read_arf(path + "[SPECRESP,5]")[2][0] == 20
    assert read_arf(path + "[1]")[2][0] == 10
    with pytest.raises(InputError, match="several areas; choose one .* EXTVER 3"):
        read_arf(path)
    with pytest.raises(InputError, match=r"has no \{2\}"):
        read_arf(path + "{2}")


# ------------------------------------------------------------------ spectra


def test_rows_are_counted_as_xspec_does(put):
    path = put("a.pha", to_bytes(rows(4, start=2)))
    for selector, found in {
        "{2}": [2],
        "{1-2}": [1, 2],
        "{1,3}": [1, 3],
        "{3-}": [3, 4],
        "{*}": [1, 2, 3, 4],
        "[SPECTRUM]{4,1}": [4, 1],
    }.items():
        assert times(read_spectra(path + selector)) == found
    assert times(read_pha(path.replace("a.pha", "*.pha") + "{1-2}")) == [1, 2]
    assert read_spectra(path + "{2}")[0].name == "a{2}"
    assert said(read_spectrum(path, row=2), "3 more spectra")
    assert not said(read_spectra(path)[0], "more spectra")
    with pytest.raises(InputError, match="holds 2 spectra"):
        read_spectrum(path + "{1-2}")
    with pytest.raises(InputError, match="no number 9"):
        read_spectra(path + "{3-9}")


def test_extensions_by_extver(put):
    hdus = [pha_hdu(counts=COUNTS * k, EXTVER=v) for k, v in ((1, 4), (2, 7))]
    path = put("a.pha", to_bytes(*hdus))
    assert times(read_spectra(path + "{7}")) == times(read_spectra(path + "[SPECTRUM,7]")) == [2]
    assert times(read_spectra(path + "{4-7}")) == [1, 2]
    (first,) = read_spectra(path)
    assert times([first]) == [1] and said(first, "SPECTRUM (extension 2)")
    with pytest.raises(InputError, match=r"no number 1; choose one of SPECTRUM \(extension 1, EXT"):
        read_spectra(path + "{1}")
    plain = put("b.pha", to_bytes(pha_hdu(), pha_hdu(counts=COUNTS * 2)))
    assert times(read_spectra(plain + "{2}")) == [2]


# ------------------------------------------------------------------ sources and backgrounds


def bkg(counts=COUNTS * 5, **keywords):
    return pha_hdu(counts=counts, **dict(HDUCLAS2="BKG", EXPOSURE=400.0) | keywords)


TOTAL = dict(HDUCLAS2="TOTAL")
ONE_FILE = {
    "background last": lambda: (pha_hdu(**TOTAL), bkg()),
    "background first": lambda: (bkg(), pha_hdu(**TOTAL)),
    "other name": lambda: (pha_hdu(**TOTAL), bkg(name="BACKGROUND")),
    "name alone": lambda: (pha_hdu(), bkg(name="BACKGROUND", HDUCLAS2=None)),
    "linked to itself": lambda: (pha_hdu(BACKFILE="a.pha", **TOTAL), bkg()),
    "by number": lambda: (pha_hdu(BACKFILE="a.pha[2]"), pha_hdu(counts=COUNTS * 5, EXPOSURE=400.0)),
    "after a plus": lambda: (pha_hdu(BACKFILE="a.pha+2"), bkg()),
    "by braces": lambda: (pha_hdu(BACKFILE="a.pha{2}", **TOTAL), bkg()),
    "by EXTVER": lambda: (
        pha_hdu(BACKFILE="a.pha{9}", EXTVER=1),
        pha_hdu(counts=COUNTS * 3, EXTVER=2),
        bkg(EXTVER=9),
    ),
    "not marked": lambda: (pha_hdu(BACKFILE="a.pha"), bkg(HDUCLAS2=None)),
    "rows": lambda: (
        rows(2, HDUCLAS2=("8A", ["TOTAL", "BKG"]), COUNTS=("6J", [COUNTS, 5 * COUNTS])),
    ),
    "rows, linked": lambda: (
        rows(2, BACKFILE=("8A", ["a.pha{2}", "none"]), COUNTS=("6J", [COUNTS, 5 * COUNTS])),
    ),
}


@pytest.mark.parametrize("arrangement", ONE_FILE)
def test_source_and_background_in_one_file(put, arrangement):
    path = put("a.pha", to_bytes(*ONE_FILE[arrangement]()))
    s = read_spectra(path)[0]
    assert np.array_equal(s.counts, COUNTS) and np.array_equal(s.background.counts, COUNTS * 5)
    assert s.background.exposure == (10.0 if "rows" in arrangement else 400.0)
    assert said(s, "of the same file")
    assert read_spectra(path, background=None)[0].background is None
    assert read_spectra(path, background=lambda s: "auto")[0].background is not None


@pytest.mark.parametrize("arrangement", ["background last", "rows", "not marked"])
def test_background_of_one_file_after_writing(put, arrangement):
    path = put("a.pha", to_bytes(*ONE_FILE[arrangement]()))
    write_pha(read_spectra(path)[0], path.replace("a.pha", "w.pha"))
    again = read_spectrum(path.replace("a.pha", "w.pha"))
    assert np.array_equal(again.counts, COUNTS)
    assert np.array_equal(again.background.counts, COUNTS * 5)


def test_row_of_a_background_after_writing(put):
    put("b.pha", to_bytes(rows(3)))
    path = put("a.pha", to_bytes(rows(3, BACKFILE="b.pha")))
    write_pha(read_spectrum(path, row=2), path.replace("a.pha", "w.pha"))
    assert times([read_spectrum(path.replace("a.pha", "w.pha")).background]) == [2]


def test_background_that_is_read_by_itself(put):
    path = put("a.pha", to_bytes(pha_hdu(**TOTAL), bkg()))
    assert len(read_spectra(path)) == 1 and not said(read_spectrum(path), "other spectra")
    for selector in ("[2]", "{2}"):
        s = read_spectrum(path + selector)
        assert s.exposure == 400.0 and s.background is None
    alone = read_spectrum(put("b.pha", to_bytes(bkg())))
    assert alone.exposure == 400.0 and alone.background is None


def test_other_file_comes_before_the_own_background(put):
    put("b.pha", pha(counts=COUNTS * 2))
    path = put("a.pha", to_bytes(pha_hdu(BACKFILE="b.pha", **TOTAL), bkg()))
    assert np.array_equal(read_spectrum(path).background.counts, COUNTS * 2)
    both = put("c.pha", to_bytes(pha_hdu(), bkg(counts=COUNTS * 7)))
    assert np.array_equal(read_spectrum(path, background=both).background.counts, COUNTS * 7)


@pytest.mark.parametrize("link", ["a.pha", "a.pha[1]", "a.pha{1}"])
def test_background_that_is_the_spectrum(put, link):
    path = put("a.pha", pha(BACKFILE=link))
    with pytest.raises(InputError, match="names the spectrum itself"):
        read_spectrum(path)


def test_rows_of_source_and_background(put):
    source, behind = rows(3, HDUCLAS2="TOTAL"), rows(3, HDUCLAS2="BKG", name="BACK")
    behind.data["COUNTS"] *= 10
    path = put("a.pha", to_bytes(source, behind))
    spectra = read_spectra(path)
    assert times(spectra) == [1, 2, 3]
    assert times(s.background for s in spectra) == [10, 20, 30]
    one = put("b.pha", to_bytes(rows(3), bkg()))
    assert times(s.background for s in read_spectra(one)) == [5, 5, 5]
    mixed = ["TOTAL", "BKG", "TOTAL", "BKG"]
    path = put("c.pha", to_bytes(rows(4, HDUCLAS2=("8A", mixed))))
    spectra = read_spectra(path)
    assert times(spectra) == [1, 3] and times(s.background for s in spectra) == [2, 4]
    put("d.pha", to_bytes(rows(4)))
    path = put("e.pha", to_bytes(rows(2, start=3, BACKFILE="d.pha")))
    assert times(s.background for s in read_spectra(path)) == [3, 4]  # by SPEC_NUM
    path = put("f.pha", to_bytes(rows(2, start=7, BACKFILE="d.pha")))
    with pytest.raises(InputError, match="none of them is known to be the background"):
        read_spectra(path)


def test_several_backgrounds_in_one_file(put):
    pairs = [(pha_hdu(counts=COUNTS * k, EXTVER=k), bkg(COUNTS * 10 * k, EXTVER=k)) for k in (1, 2)]
    path = put("a.pha", to_bytes(*[hdu for pair in pairs for hdu in pair]))
    two = read_spectra(path + "{1-2}")
    assert times(two) == [1, 2] and times(s.background for s in two) == [10, 20]
    path = put("b.pha", to_bytes(pha_hdu(), bkg(), bkg()))
    with pytest.raises(
        InputError, match=r"may be the background, as any of SPECTRUM \(extension 2"
    ):
        read_spectra(path)


def test_net_spectra_say_so(put):
    put("b.pha", pha())
    s = read_spectrum(put("a.pha", pha(BACKFILE="b.pha", HDUCLAS2="NET")))
    assert said(s, "HDUCLAS2 is NET")
    path = put("both.pha", to_bytes(pha_hdu(HDUCLAS2="NET"), pha_hdu(HDUCLAS2="BKG")))
    s = read_spectrum(path)  # what nothing names is not subtracted once more
    assert s.background is None and said(s, "SPECTRUM (extension 2) was subtracted already")
    assert read_spectrum(path, background=path + "[2]").background is not None


def test_background_without_exposure(put):
    put("b.pha", pha(EXPOSURE=None))
    path = put("a.pha", pha(BACKFILE="b.pha"))
    with pytest.raises(InputError, match="pass that Spectrum as background"):
        read_spectrum(path, exposure=50.0)
    alone = read_spectrum(path.replace("a.pha", "b.pha"), exposure=7.0)
    assert read_spectrum(path, background=alone).background.exposure == 7.0
