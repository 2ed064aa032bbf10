"""Every oddity of OGIP files that the reader accepts, on files built here."""

import gzip
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from ogip_files import (
    COUNTS,
    DENSE,
    E_HI,
    E_LO,
    E_MAX,
    E_MIN,
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
from jaxspec.read.cache import ResponseCache
from jaxspec.read.ogip import read_arf, read_response, read_spectra, read_spectrum


def said(thing, words):
    return any(words in note for note in thing.diagnostics)


# ------------------------------------------------------------------ spectra


def test_plain_spectrum(put):
    s = read_spectrum(put("a.pha", pha()))
    assert s.name == "a" and s.exposure == 100.0 and s.poisserr is True
    assert np.array_equal(s.counts, COUNTS) and s.counts.dtype == np.float64
    assert np.array_equal(s.channel, np.arange(6))
    assert s.stat_err is s.sys_err is s.quality is s.grouping is s.background is s.response is None
    assert (s.areascal, s.backscal, s.diagnostics) == (1.0, 1.0, ())
    assert s.header["TELESCOP"] == "TEST"


@pytest.mark.parametrize("name", ["RATE", "RATES"])
def test_rates_become_counts(put, name):
    columns = {"COUNTS": None, name: ("D", COUNTS / 100.0), "STAT_ERR": ("E", np.full(6, 0.5))}
    s = read_spectrum(put("a.pha", pha(columns=columns, POISSERR=False)))
    assert np.allclose(s.counts, COUNTS) and np.allclose(s.stat_err, 50.0)


def test_counts_in_a_rate_unit(put):
    s = read_spectrum(put("a.pha", pha(columns={"COUNTS": ("D", COUNTS / 100.0, "count/s")})))
    assert np.allclose(s.counts, COUNTS) and said(s, "rate")


def test_keywords_may_be_columns(put):
    columns = {
        "AREASCAL": ("E", np.full(6, 0.5)),
        "BACKSCAL": ("D", np.arange(1.0, 7)),
        "EXPOSURE": ("D", np.full(6, 7.0)),
        "QUALITY": ("I", [0, 0, 1, 2, 5, 0]),
        "GROUPING": ("I", [1, -1, 1, 1, -1, 0]),
        "SYS_ERR": ("E", np.full(6, 0.25)),
        "POISSERR": ("L", np.zeros(6, bool)),
        "STAT_ERR": ("E", np.ones(6)),
    }
    s = read_spectrum(put("a.pha", pha(columns=columns, EXPOSURE=100.0, QUALITY=0)))
    assert s.exposure == 7.0 and s.poisserr is False
    assert np.array_equal(s.backscal, np.arange(1.0, 7)) and np.array_equal(s.areascal, [0.5] * 6)
    assert s.quality.tolist() == [0, 0, 1, 2, 5, 0] and s.quality.dtype == np.int16
    assert s.grouping.tolist() == [1, -1, 1, 1, -1, 0]
    assert np.array_equal(s.sys_err, [0.25] * 6)


def test_scalar_keywords(put):
    keys = dict(QUALITY=1, GROUPING=0, SYS_ERR=0.02, STAT_ERR=3.0, AREASCAL=2, BACKSCAL=0.5)
    s = read_spectrum(put("a.pha", pha(**keys)))
    assert s.quality.tolist() == [1] * 6 and s.grouping is None
    assert np.allclose(s.sys_err, 0.02) and np.allclose(s.stat_err, 3.0)
    assert (s.areascal, s.backscal) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [({}, True), ({"STAT_ERR": ("E", np.ones(6))}, False), ({"COUNTS": ("D", COUNTS + 0.5)}, True)],
)
def test_poisserr_absent(put, columns, expected):
    path = put("a.pha", pha(columns=columns, POISSERR=None))
    s = read_spectrum(path)
    assert s.poisserr is expected and said(s, "POISSERR is missing")
    assert read_spectrum(path, poisserr=not expected).poisserr is not expected


def test_poisserr_false_without_errors(put):
    s = read_spectrum(put("a.pha", pha(POISSERR=False)))
    assert s.poisserr is True and said(s, "no STAT_ERR")


def test_scaling_of_bad_channels_may_be_zero(put):
    columns = {"BACKSCAL": ("D", [0, 1, 1, 1, 1, 1.0]), "QUALITY": ("I", [1, 0, 0, 0, 0, 0])}
    s = read_spectrum(put("a.pha", pha(columns=columns)))
    assert s.backscal[0] == 1.0 and said(s, "BACKSCAL")


def test_descending_channels_are_sorted(put):
    s = read_spectrum(put("a.pha", pha(channel=np.arange(6)[::-1])))
    assert np.array_equal(s.channel, np.arange(6)) and np.array_equal(s.counts, COUNTS[::-1])


def test_scaled_and_unsigned_columns(put):
    hdu = pha_hdu()
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(6)),
        fits.Column("COUNTS", "J", bzero=2**31, array=COUNTS.astype(np.uint32)),
        fits.Column("STAT_ERR", "I", array=np.arange(6)),
    ]
    new = fits.BinTableHDU.from_columns(columns, header=hdu.header.copy(strip=True))
    new.header["XSCAL3"] = 0.5
    s = read_spectrum(put("a.pha", to_bytes(new).replace(b"XSCAL3", b"TSCAL3")))
    assert np.array_equal(s.counts, COUNTS) and np.allclose(s.stat_err, np.arange(6) * 0.5)


def test_ascii_table_and_primary_image(put):
    columns = [
        fits.Column("CHANNEL", "I6", array=np.arange(6)),
        fits.Column("COUNTS", "E15.7", array=COUNTS.astype(float)),
    ]
    hdu = fits.TableHDU.from_columns(columns, name="SPECTRUM")
    hdu.header["EXPOSURE"], hdu.header["POISSERR"] = 5.0, True
    image = fits.PrimaryHDU(np.ones((5, 7), np.int16))
    s = read_spectrum(put("a.pha", to_bytes(hdu, primary=image)))
    assert np.array_equal(s.counts, COUNTS) and s.exposure == 5.0


def test_header_values(put):
    primary = fits.PrimaryHDU()
    primary.header["OBS_ID"] = "10255-01-03-00"
    hdu = pha_hdu(TSTART=1.5, OBJECT="O'Brien's star", MJDREFI=49353, MJDREFF=6.965740740000000e-4)
    hdu.header["FILEN1"] = "x" * 100  # CONTINUE cards
    hdu.header["ANCRFILE"] = "y" * 80 + ".arf"
    hdu.header["TSTOP"] = "not a number"
    s = read_spectrum(put("a.pha", to_bytes(hdu, primary=primary)), arf=None)
    assert s.header["OBJECT"] == "O'Brien's star" and s.header["OBS_ID"] == "10255-01-03-00"
    assert s.header["MJDREFF"] == 6.965740740000000e-4 and s.header["ANCRFILE"].endswith("y.arf")
    assert "TSTOP" not in s.header and said(s, "TSTOP")


@pytest.mark.parametrize(
    ("keys", "iso"),
    [
        (dict(TSTART=86400.0, MJDREF=50814.0, TIMESYS="TT"), "1998-01-02 00:00:00.000"),
        (dict(TSTARTI=86399, TSTARTF=0.5, MJDREFI=50813, MJDREFF=1.0), "1998-01-01 23:59:59.500"),
        (dict(TSTART=1.0, TIMEUNIT="d", MJDREF=50814.0, TIMESYS="UTC"), "1998-01-02 00:00:00.000"),
        (dict(TSTART=10.0, TIMEZERO=50.0, MJDREF=50814.0), "1998-01-01 00:01:00.000"),
        (dict(TSTART=2.0, TIMEUNIT="hrs", MJDREF=50814.0), "1998-01-01 02:00:00.000"),
        (dict(TSTART=2000.0, TIMEUNIT="ms", MJDREF=50814.0), "1998-01-01 00:00:02.000"),
        (dict(TSTART=60.0, MJDREF=0.0, MJDREFI=50814), "1998-01-01 00:01:00.000"),
        (
            dict(TSTART=2.0, TIMEUNIT="orbit", MJDREF=5e4, DATE_OBS="1998-01-03"),
            "1998-01-03 00:00:00.000",
        ),
        (dict(DATE_OBS="08/09/98"), "1998-09-08 00:00:00.000"),
        (dict(DATE_OBS="08/09/98", TIME_OBS="00:09:52"), "1998-09-08 00:09:52.000"),
        (dict(TSTART=60.0, TIMEZERO=60.0, MJDREF=50814.0), "1998-01-01 00:01:00.000"),
        (dict(DATE_OBS="1998-09-08T01:02:03"), "1998-09-08 01:02:03.000"),
        (dict(TSTART=1.0, TIMESYS="1980 1 1 00:00:00", MJDREF=44239.0), "1980-01-01 00:00:01.000"),
    ],
)
def test_times(put, keys, iso):
    s = read_spectrum(put("a.pha", pha(**keys)))
    assert s.time_start.iso == iso


def test_no_time(put):
    s = read_spectrum(put("a.pha", pha(DATE_OBS="yesterday")))
    assert s.time_start is None and s.time_stop is None


# ------------------------------------------------------------------ type II


def type_two(extra=None, **keywords):
    counts = np.array([COUNTS, COUNTS * 2, COUNTS * 3])
    columns = {
        "SPEC_NUM": ("I", [1, 2, 3]),
        "CHANNEL": ("6I", np.tile(np.arange(1, 7), (3, 1))),
        "COUNTS": ("6J", counts),
        "EXPOSURE": ("D", [10.0, 20.0, 30.0]),
        "BACKFILE": ("8A", ["none", "none", "none"]),
    } | (extra or {})
    return to_bytes(table("SPECTRUM", columns, dict(POISSERR=True) | keywords))


def test_type_two(put):
    path = put("a.pha", type_two())
    s = read_spectrum(path + "{2}")
    assert s.name == "a{2}" and s.exposure == 20.0 and np.array_equal(s.counts, COUNTS * 2)
    assert np.array_equal(read_spectrum(path, row=3).counts, COUNTS * 3)
    assert [s.exposure for s in read_spectra(path)] == [10.0, 20.0, 30.0]
    assert [s.exposure for s in read_spectra(path + "[SPECTRUM]{3}")] == [30.0]
    with pytest.raises(InputError, match=r"3 spectra \(type II\)"):
        read_spectrum(path)
    for odd in (-2, 0, 1.5, "2", True):  # -2 read the first two
        with pytest.raises(InputError, match="row: is .* from 1 on"):
            read_spectrum(path, row=odd)
    with pytest.raises(InputError, match="no number 4; choose among 1-3"):
        read_spectrum(path + "{4}")


def test_rows_are_not_spec_num(put):
    path = put("a.pha", type_two({"SPEC_NUM": ("I", [5, 6, 1])}))
    assert read_spectrum(path + "{1}").exposure == 10.0


@pytest.mark.parametrize("odd", [("D", [1.0, np.nan, np.inf]), ("2A", ["x", "1", ""])])
def test_numbers_of_spectra_that_are_none_are_not_asked(put, odd):
    put("a.rsp", rmf())
    found = read_spectra(put("a.pha", type_two({"SPEC_NUM": odd}, RESPFILE="a.rsp")))
    assert [s.exposure for s in found] == [10.0, 20.0, 30.0]


def test_type_two_variable_length(put):
    rows = np.empty(2, object)
    rows[:] = [np.arange(6, dtype=np.int32), np.arange(4, dtype=np.int32)]
    columns = {"SPEC_NUM": ("I", [1, 2]), "CHANNEL": ("PJ()", rows), "COUNTS": ("PJ()", rows)}
    raw = to_bytes(table("SPECTRUM", columns, dict(POISSERR=True, EXPOSURE=1.0)))
    assert [len(s.counts) for s in read_spectra(put("a.pha", raw))] == [6, 4]


def test_grating_backgrounds_are_summed(put):
    up, down = np.ones((3, 6), int), np.full((3, 6), 2)
    extra = {"BACKGROUND_UP": ("6I", up), "BACKGROUND_DOWN": ("6I", down)}
    path = put("a.pha", type_two(extra, BACKSCUP=4.0, BACKSCDN=5.0))
    s = read_spectrum(path, row=2)
    assert np.array_equal(s.background.counts, np.full(6, 3.0)) and s.background.backscal == 9.0
    assert s.background.exposure == 20.0 and said(s.background, "BACKGROUND_UP")
    assert read_spectrum(path, row=2, background=None).background is None


def test_background_row_of_a_type_two_file(put):
    put("b.pha", type_two())
    path = put("a.pha", type_two({"BACKFILE": ("8A", ["b.pha", "b.pha{1}", "b.pha"])}))
    spectra = read_spectra(path)
    assert [s.background.exposure for s in spectra] == [10.0, 10.0, 30.0]


def test_another_mission_is_said(put):
    put("a.rsp", to_bytes(matrix_hdu(TELESCOP="NuSTAR"), ebounds_hdu()))
    put("b.pha", pha(TELESCOP="ASCA"))
    path = put("a.pha", pha(TELESCOP="XMM", BACKFILE="b.pha", RESPFILE="a.rsp"))
    spectrum = read_spectrum(path)
    assert said(spectrum, "the background is of ASCA")
    assert said(spectrum, "the response a.rsp is of NuSTAR")
    put("b.pha", pha(TELESCOP="xmm "))
    put("a.rsp", to_bytes(matrix_hdu(), ebounds_hdu()))
    assert not said(read_spectrum(path), "belong together")


# ------------------------------------------------------------------ responses


def test_response_values(put):
    r = read_response(put("a.rmf", rmf()), put("a.arf", arf()))
    assert np.array_equal(r.matrix.toarray(), DENSE.astype(np.float32))
    assert r.matrix.dtype == np.float32
    assert np.array_equal(r.area, [10, 20, 30, 40]) and np.array_equal(r.channel, np.arange(6))
    assert np.allclose(r.e_min, E_MIN) and r.e_min[0] < 0 and np.allclose(r.e_max, E_MAX)
    assert np.array_equal(r.e_lo, E_LO) and np.array_equal(r.e_hi, E_HI)
    assert r.name == "a.rmf + a.arf" and r.diagnostics == ()


@pytest.mark.parametrize("layout", ["vector", "variable", "fixed"])
@pytest.mark.parametrize("bounds_first", [True, False])
def test_layouts(put, layout, bounds_first):
    r = read_response(put("a.rmf", rmf(layout=layout, bounds_first=bounds_first)))
    assert np.array_equal(r.matrix.toarray(), DENSE.astype(np.float32))


def test_scalar_groups(put):
    dense = DENSE.copy()
    dense[2, 0] = 0
    r = read_response(put("a.rmf", rmf(dense=dense, layout="scalar")))
    assert np.array_equal(r.matrix.toarray(), dense.astype(np.float32))


@pytest.mark.parametrize(
    ("first", "tlmin", "begin", "words"),
    [
        (1, None, 1, "default of 1"),
        (1, None, 0, "default of 1"),
        (0, None, 0, "0, since 1 does not fit"),
        (1, 1, 0, "EBOUNDS begins with channel 0; F_CHAN 1 is taken as channel 0"),
        (0, 0, 1, "EBOUNDS begins with channel 1"),
        (0, -1, 0, "TLMIN of F_CHAN is -1, which does not fit"),
        (7, 0, 7, "TLMIN of F_CHAN is 0"),
        (0, "0", 0, None),
    ],
)
def test_first_channel(put, first, tlmin, begin, words):
    raw = rmf(first=first, tlmin=tlmin, ebounds=ebounds_hdu(first=begin))
    r = read_response(put("a.rmf", raw))
    assert np.array_equal(r.matrix.toarray(), DENSE.astype(np.float32))
    assert r.channel[0] == begin
    assert said(r, words) if words else r.diagnostics == ()


def test_descending_energies_and_zero(put):
    e_lo = np.array([3.0, 2, 1, 0])
    e_hi = np.array([5.0, 3, 2, 1])
    r = read_response(
        put("a.rmf", rmf(dense=DENSE[::-1], e_lo=e_lo, e_hi=e_hi)),
        put("a.arf", arf(e_lo, e_hi, [4.0, 3, 2, 1])),
    )
    assert np.array_equal(r.matrix.toarray(), DENSE.astype(np.float32))
    assert np.array_equal(r.area, [1, 2, 3, 4]) and np.array_equal(r.e_hi, [1, 2, 3, 5])
    assert 0 < r.e_lo[0] < 1e-9 and said(r, "reordered") and said(r, "ENERG_LO is 0")


def test_first_energy_row_that_is_upside_down(put):
    e_lo = np.array([2.0, 1.0, 1.5, 2.0])
    e_hi = np.array([1.0, 1.5, 2.0, 2.5])
    r = read_response(put("a.rmf", rmf(dense=DENSE[[3, 0, 1, 2]], e_lo=e_lo, e_hi=e_hi)))
    assert r.e_lo[0] == 0.5 and said(r, "row 1") and r.matrix[[0]].nnz == 0


def test_matrices_are_summed(put):
    raw = to_bytes(matrix_hdu(), matrix_hdu(dense=DENSE * 2), ebounds_hdu())
    path = put("a.rmf", raw)
    r = read_response(path)
    assert np.allclose(r.matrix.toarray(), 3 * DENSE) and said(r, "2 MATRIX extensions summed")
    assert np.allclose(read_response(path + "[2]").matrix.toarray(), 2 * DENSE)


def test_matrix_with_wider_energy_bins(put):
    wide = matrix_hdu(dense=DENSE[:2], e_lo=E_LO[[0, 2]], e_hi=E_HI[[1, 3]])
    r = read_response(put("a.rmf", to_bytes(wide, matrix_hdu(), ebounds_hdu())))
    assert np.allclose(r.matrix.toarray(), DENSE + DENSE[[0, 0, 1, 1]]) and said(r, "wider")


def test_overlapping_groups_are_added(put):
    columns = dict(
        ENERG_LO=("E", [1.0]),
        ENERG_HI=("E", [2.0]),
        N_GRP=("I", [3]),
        F_CHAN=("3I", [[2, 1, 0]]),
        N_CHAN=("3I", [[2, 2, 0]]),
        MATRIX=("4E", [[1.0, 2, 4, 8]]),
    )
    hdu = table("SPECRESP MATRIX", columns, dict(TLMIN4=0))
    r = read_response(put("a.rsp", to_bytes(hdu, ebounds_hdu())))
    assert r.matrix.toarray().tolist() == [[0, 4, 9, 2, 0, 0]]
    assert r.matrix.indices.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("unit", "factor"), [("TeV", 1e9), ("GeV", 1e6), ("MeV", 1e3), ("eV", 1e-3), ("", 1)]
)
def test_energy_units(put, unit, factor):
    raw = rmf(unit=unit, ebounds=ebounds_hdu(unit=unit))
    r = read_response(put("a.rmf", raw), put("a.arf", arf(unit=unit, area_unit="m2")))
    assert np.allclose(r.e_lo, E_LO * factor) and np.allclose(r.e_max, E_MAX * factor)
    assert np.allclose(r.area, [1e5, 2e5, 3e5, 4e5])


def test_ebounds_that_repeat_channels(put):
    bounds = ebounds_hdu()
    bounds.data["CHANNEL"] = 0
    bounds.header["TLMAX1"] = 5
    r = read_response(put("a.rmf", rmf(ebounds=bounds)))
    assert np.array_equal(r.channel, np.arange(6)) and said(r, "TLMIN to TLMAX")


def test_type_two_arf(put):
    columns = dict(ENERG_LO=("4E", [E_LO] * 2), ENERG_HI=("4E", [E_HI] * 2))
    columns["SPECRESP"] = ("4E", [[1.0, 2, 3, 4], [5.0, 6, 7, 8]])
    path = put("a.arf", to_bytes(table("SPECRESP", columns)))
    assert read_arf(path + "{2}")[2].tolist() == [5, 6, 7, 8]
    with pytest.raises(InputError, match="type II"):
        read_arf(path)
    for unit, right in (("eV", [5, 6, 7, 8]), ("Angstrom", None)):
        for name, edges in (("ENERG_LO", E_LO), ("ENERG_HI", E_HI)):
            columns[name] = ("4E", [edges * 1e3] * 2, unit)
        path = put("a.arf", to_bytes(table("SPECRESP", columns)))
        if right is None:
            with pytest.raises(InputError, match="the unit is 'Angstrom'"):
                read_arf(path + "{2}")
        else:
            np.testing.assert_allclose(read_arf(path + "{2}")[0], E_LO)


def test_an_area_that_is_there_twice(put):
    """A matrix that holds the area says so by its sums, where HDUCLAS3 says nothing."""
    both = read_response(put("a.rmf", rmf(dense=DENSE * 20)), put("a.arf", arf()))
    assert said(both, "a row that adds up to 20, and a.arf multiplies it")
    assert not said(read_response(put("a.rmf", rmf()), put("a.arf", arf())), "adds up to")


# ------------------------------------------------------------------ links


def test_links_are_followed(put):
    put("x/a.rmf", rmf())
    put("x/a.arf.gz", gzip.compress(arf()))
    put("x/b.pha", pha(counts=COUNTS * 2))
    keys = dict(RESPFILE="a.rmf", ANCRFILE="a.arf", BACKFILE="b.pha.gz")
    s = read_spectrum(put("x/a.pha", pha(**keys)))
    assert np.array_equal(s.background.counts, COUNTS * 2)
    assert np.array_equal(s.response.area, [10, 20, 30, 40])
    assert said(s, "no ARF") is False
    none = dict(background=None, response=None, arf=None)
    for nothing in (none, dict.fromkeys(none, "None")):
        s = read_spectrum(s.path, **nothing)
        assert s.background is s.response is None


def test_arguments_come_before_links(put):
    first = put("a.pha", pha(RESPFILE="gone.rmf", BACKFILE="gone.pha"))
    other = put("y/b.pha", pha(counts=COUNTS * 2))
    response = read_response(put("y/a.rmf", rmf()))
    area = read_arf(put("y/a.arf", arf()))
    s = read_spectrum(first, background=other, response=response, arf=area, exposure=9)
    assert s.exposure == 9.0 and s.background.exposure == 100.0
    assert np.array_equal(s.response.area, [10, 20, 30, 40])
    s = read_spectrum(first, background=s.background, response=put("y/a.rmf", rmf()))
    assert s.response.key == response.key and said(s, "no ARF")


@pytest.mark.parametrize("ending", [".rsp", ".rmf"])
def test_match(put, ending):
    put("a" + ending, rmf())
    path = put("a.pha.gz", gzip.compress(pha(RESPFILE="%match%")))
    assert read_spectrum(path).response.name == "a" + ending


def test_compressed_names(put):
    put("a.FTZ", gzip.compress(pha()[:5000]) + gzip.compress(pha()[5000:]))
    for name in ("a.FTZ", "a.FIT", "a.pha"):
        assert read_spectrum(put("a.FTZ", gzip.compress(pha())).replace("a.FTZ", name)).name == "a"
    path = put("b.pha", pha())
    assert np.array_equal(read_spectrum(path + ".gz").counts, COUNTS)
    two = gzip.compress(pha()[:5000]) + gzip.compress(pha()[5000:])
    assert np.array_equal(read_spectrum(put("c.pha.gz", two)).counts, COUNTS)


def test_selected_extension(put):
    raw = to_bytes(pha_hdu(name="A"), pha_hdu(name="B", counts=COUNTS * 3))
    path = put("a.pha", raw)
    for selector in ("[2]", "[B]", "[b]"):
        assert np.array_equal(read_spectrum(path + selector).counts, COUNTS * 3)
    bracket = put("odd[1].pha", pha())
    assert read_spectrum(bracket).name == "odd[1]"


def test_remote_files():
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe("/obs/a.pha.gz", gzip.compress(pha(RESPFILE="a.rmf", BACKFILE="b.pha")))
    fs.pipe("/obs/a.rmf.gz", gzip.compress(rmf()))
    fs.pipe("/obs/b.pha", pha(counts=COUNTS * 2))
    s = read_spectrum("memory://obs/a.pha")
    assert s.background.counts.sum() == 2 * COUNTS.sum() and s.response.matrix.nnz == 8
    with pytest.raises(InputError, match="memory://obs/none.pha: does not exist"):
        read_spectrum("memory://obs/none.pha")


@pytest.mark.parametrize(
    "link", ["../secret.rmf", "sub/../../secret.rmf", "{root}/secret.rmf", "memory://secret.rmf"]
)
def test_links_stay_in_their_folder(put, tmp_path, link):
    put("secret.rmf", rmf())
    put("obs/sub/x.rmf", rmf())
    path = put("obs/a.pha", pha(RESPFILE=link.format(root=tmp_path)))
    with pytest.raises(InputError, match="leads out of the folder"):
        read_spectrum(path)
    for inside in ("sub/x.rmf", "sub/../sub/x.rmf", f"{tmp_path}/obs/sub/x.rmf"):
        path = put("obs/a.pha", pha(RESPFILE=inside))
        assert read_spectrum(path).response.matrix.nnz == 8


@pytest.mark.parametrize("link", ["../s.rmf", "%2e%2e/s.rmf", "/s.rmf", "https://x.org/s.rmf"])
def test_remote_links_stay_in_their_folder(link):
    import fsspec

    fsspec.filesystem("memory").pipe("/top/obs/a.pha", pha(RESPFILE=link))
    with pytest.raises(InputError, match="leads out of the folder"):
        read_spectrum("memory://top/obs/a.pha")


# ------------------------------------------------------------------ channels


def test_channels_are_matched_by_number(put):
    path = put("a.rmf", rmf(ebounds=ebounds_hdu(first=0)))
    raw = pha(channel=np.arange(2, 5), counts=COUNTS[:3], DETCHANS=6)
    back = put("b.pha", pha(counts=COUNTS * 2))
    s = read_spectrum(put("a.pha", raw), response=path, background=back)
    assert np.array_equal(s.response.channel, s.channel)
    assert np.array_equal(s.response.matrix.toarray(), DENSE[:, 2:5].astype(np.float32))
    assert np.allclose(s.response.e_min, E_MIN[2:5])
    assert np.array_equal(s.background.counts, 2 * COUNTS[2:5])


def test_channels_counted_from_another_number(put):
    raw = pha(channel=np.arange(6), TLMIN1=0)
    response = put("a.rmf", rmf(first=1, tlmin=1, ebounds=ebounds_hdu(first=1)))
    s = read_spectrum(put("a.pha", raw), response=response)
    assert np.array_equal(s.response.matrix.toarray(), DENSE.astype(np.float32))
    assert said(s, "are those from 1") and np.array_equal(s.response.channel, s.channel)


def test_ebounds_in_the_spectrum(put):
    put("a.rmf", to_bytes(matrix_hdu()))
    s = read_spectrum(put("a.pha", pha(RESPFILE="a.rmf", extra=[ebounds_hdu()])))
    assert np.allclose(s.response.e_max, E_MAX) and said(s.response, "taken from the spectrum")


# ------------------------------------------------------------------ sharing


def test_equal_responses_are_one_object(put):
    put("a.rmf", rmf())
    put("b.rmf", gzip.compress(rmf(), mtime=0))
    put("c.rmf", rmf(dense=DENSE * 2))
    put("a.arf", arf())
    cache = ResponseCache()
    part = dict(channel=np.arange(3), counts=COUNTS[:3], DETCHANS=6)
    got = {
        name: read_spectrum(put(f"{name}.pha", pha(**keys)), cache=cache).response
        for name, keys in {
            "1": dict(RESPFILE="a.rmf"),
            "2": dict(RESPFILE="b.rmf"),
            "3": dict(RESPFILE="c.rmf"),
            "4": dict(RESPFILE="a.rmf", ANCRFILE="a.arf"),
            "5": dict(RESPFILE="b.rmf", ANCRFILE="a.arf"),
            "6": dict(RESPFILE="a.rmf") | part,
            "7": dict(RESPFILE="b.rmf") | part,
        }.items()
    }
    assert got["1"] is got["2"] and got["4"] is got["5"] and got["6"] is got["7"]
    assert len({r.key for r in got.values()}) == 4
    assert got["4"].matrix is got["1"].matrix


def test_same_bytes_are_not_parsed_twice(put, monkeypatch):
    cache, path = ResponseCache(), put("a.rmf", rmf())
    first = read_response(path, cache=cache)
    monkeypatch.setattr("jaxspec.read.cache.parse_rmf", None)
    assert read_response(path, cache=cache) is first


# ------------------------------------------------------------------ house rules


def test_reading_imports_neither_jax_nor_astropy(put):
    put("a.rmf", rmf())
    path = put("a.pha", pha(RESPFILE="a.rmf"))
    code = (
        "import sys; from jaxspec.read.ogip import read_spectrum; "
        f"read_spectrum({path!r}); print(sorted({{'jax', 'astropy', 'fsspec'}} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
