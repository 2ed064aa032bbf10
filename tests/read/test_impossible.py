"""Numbers that no instrument gives: an error, or a sentence in the diagnostics."""

import gzip
import zlib

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

import jaxspec as js
from jaxspec._status import Status
from jaxspec._types import start_times
from jaxspec.errors import InputError
from jaxspec.read import paths
from jaxspec.read.cache import ResponseCache
from jaxspec.read.ogip import read_arf, read_response, read_spectra, read_spectrum

HUGE = np.where(np.arange(6) == 1, 1e20, DENSE)
SPIKE = DENSE * np.array([[1.0], [5e4], [1.0], [1.0]])


def said(datum, text):
    return sum(text in note for note in datum.diagnostics)


def with_units(low, high, factor=1):
    hdu = matrix_hdu(e_lo=E_LO * factor, e_hi=E_HI * factor)
    hdu.columns[0].unit, hdu.columns[1].unit = low, high
    return to_bytes(hdu, ebounds_hdu())


ERRORS = {
    "bins overlap": (rmf(e_hi=E_HI * 1.5), "row 1 is 0.5-1.5 keV and row 2 1-3"),
    "the last reaches over": (rmf(e_lo=[0.5, 1, 2, 2.5]), "energy bins overlap: row 3 is 2-3"),
    "ENERG_LO in eV": (with_units("eV", "keV"), "overlap.*the units are eV and keV"),
    "ENERG_HI in eV": (with_units("keV", "eV"), "the units are keV and eV"),
    "negative matrix": (rmf(dense=-DENSE), "holds negative values that add up to -1, the"),
    "negative row": (rmf(dense=DENSE * [[1], [-1], [1], [1]]), "row 2 holds negative"),
    "mostly negative row": (rmf(dense=DENSE * [1, -0.6, 1, -1, 1, 1]), "holds negative"),
    "whole numbers read as real": (
        rmf(dense=np.eye(6)[:4], layout="scalar").replace(b"'J       '", b"'E       '"),
        "F_CHAN: holds numbers that cannot be channels",
    ),
    "huge elements": (rmf(dense=HUGE), "holds 1e.20, more than any area in cm2"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_responses_that_cannot_be(put, kind):
    raw, words = ERRORS[kind]
    path = put("a.rmf", raw)
    with pytest.raises(InputError, match=words) as error:
        read_response(path)
    assert "a.rmf[MATRIX] column" in str(error.value)


def bounds(e_min=E_MIN, e_max=E_MAX):
    return rmf(ebounds=ebounds_hdu(e_min=e_min, e_max=e_max))


TOLD = {
    "gaps": (rmf(e_hi=E_HI - 0.05), "leave 3 gaps, the widest at"),
    "one gap": (rmf(e_lo=[0.5, 1, 2, 3.5]), "1 gaps, the widest at 3-3.5 keV"),
    "a spike": (rmf(dense=SPIKE), "row 2 adds up to 5e.04, its neighbours to 1 and 1"),
    "more than a photon": (
        rmf(dense=3 * DENSE, HDUCLAS3="REDIST"),
        "adds up to 3 counts for a photon",
    ),
    "ringing": (rmf(dense=np.where(DENSE == 0.1, -0.01, DENSE)), "1 elements are negative"),
    "no energies of channels": (bounds(E_MIN * 0, E_MAX * 0), "the channels have no energies"),
    "shuffled": (bounds(E_MIN[[0, 3, 2, 1, 4, 5]], E_MAX[[0, 3, 2, 1, 4, 5]]), "channel 2, 1.59"),
    "reversed E_MIN": (bounds(E_MIN[::-1]), "E_MIN lies above E_MAX in some channels"),
    "one without width": (bounds(e_max=np.where(E_MIN == E_MIN[2], E_MIN, E_MAX)), "no width"),
    "channels apart": (bounds(e_max=E_MAX - 0.5), "5 neighbouring channels do not meet"),
    "photons in eV, blank": (
        with_units("", "", 1e3),
        "photons of 500-5000 keV are seen in channels that are called .* one of the units wrong",
    ),
    "channels in eV, blank": (
        bounds(E_MIN * 1e3 + 1e3, E_MAX * 1e3 + 1e3),
        "called 990-5790 keV: is one of the units wrong",
    ),
    "an area that nothing names": (
        rmf() + arf()[2880:],
        r"holds an area \(SPECRESP\) too",
    ),
    "garbage behind": (rmf() + b"x" * 2880, "2880 bytes after the last extension"),
    "a damaged header behind": (
        rmf() + pha()[2880:4000],
        "the header of extension 3 is damaged",
    ),
}


@pytest.mark.parametrize("kind", TOLD)
def test_odd_responses_say_so(put, kind):
    raw, words = TOLD[kind]
    import re

    response = read_response(put("a.rmf", raw))
    assert any(re.search(words, note) for note in response.diagnostics), response.diagnostics


def test_usual_responses_say_nothing(put):
    for raw in (rmf(), bounds(E_MAX[::-1], E_MIN[::-1]), rmf() + b"\0" * 2880):
        assert not any("EBOUNDS: the" in n for n in read_response(put("a.rmf", raw)).diagnostics)
    assert read_response(put("a.rmf", rmf() + b"\0" * 2880)).diagnostics == ()


def test_areas(put):
    with pytest.raises(InputError, match="row 2 is 1e.20 cm2, more than any area"):
        read_arf(put("a.arf", arf(area=[10.0, 1e20, 30, 40])))
    with pytest.raises(InputError, match="energy bins overlap"):
        read_arf(put("a.arf", arf(e_hi=E_HI * 1.5)))
    both = read_response(put("a.rmf", rmf()), put("a.arf", arf() + b"rubbish" * 10))
    assert said(both, "a.arf: 70 bytes after the last extension") == 1


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("m**2", 1e4), ("M2", 1e4), ("mm^2", 0.01), ("m**2 count/photon", 1e4), ("10**4 cm**2", 1e4)],
)
def test_units_of_areas(put, unit, factor):
    area = np.array([10.0, 20, 30, 40])
    found = read_arf(put("a.arf", arf(area=area / factor, area_unit=unit)))[2]
    np.testing.assert_allclose(found, area, rtol=1e-6)
    hdu = matrix_hdu(dense=DENSE / factor)
    hdu.columns["MATRIX"].unit = unit
    full = read_response(put("a.rsp", to_bytes(hdu, ebounds_hdu())))
    np.testing.assert_allclose(full.matrix.toarray(), DENSE, rtol=1e-6)


def test_units_that_are_none_of_area(put):
    both = read_response(put("a.rmf", rmf()), put("a.arf", arf(area_unit="cm")))
    assert said(both, "the unit 'cm' is none of area; taken as cm2") == 1
    assert both.area.tolist() == [10, 20, 30, 40]


def test_energies_out_of_order_cannot_be_noticed(tmp_path):
    """A row with a status, unless channels are noticed, which are right."""
    flags = [0, 3, 2, 1, 4, 5]
    for name, raw in (("good", rmf()), ("bad", bounds(E_MIN[flags], E_MAX[flags]))):
        (tmp_path / f"{name}.rmf").write_bytes(raw)
        (tmp_path / f"{name}.pha").write_bytes(pha(COUNTS * 10 + 9, RESPFILE=f"{name}.rmf"))
    (tmp_path / "good.pha").write_bytes(pha(counts=COUNTS * 10 + 9, RESPFILE="good.rmf"))
    (tmp_path / "bad.pha").write_bytes(pha(counts=COUNTS * 10 + 9, RESPFILE="bad.rmf"))
    spectra = js.read_pha([tmp_path / "good.pha", tmp_path / "bad.pha"])
    result = js.fit("powerlaw", spectra.notice("0.5-4"))
    assert result.ok[0] and result.status[1] == Status.BAD_DATA
    assert "out of order" in result.messages[1]
    channels = js.fit("powerlaw", spectra.notice(channels="0-4"))
    assert channels.ok.all() and np.array_equal(*channels.params)
    assert any("out of order at channel" in note for note in channels.notes)


@pytest.mark.parametrize(
    ("value", "comment", "seconds"),
    [
        (2.5e6, "ms", 2500.0),
        (2.5e6, "[ms] time", 2500.0),
        (2.5, "[ks]", 2500.0),
        (2500.0, "[s] exposure", 2500.0),
        *((2500.0 / n, t, 2500.0) for t, n in {"hour": 3600, "hrs": 3600, "ksec": 1e3}.items()),
        *((2500.0 / n, f"[{t}]", 2500.0) for t, n in {"minute": 60, "Days": 86400}.items()),
        (2500.0, "exposure in ms or s", 2500.0),
        (2500.0, "", 2500.0),
    ],
)
def test_unit_of_the_exposure(tmp_path, value, comment, seconds):
    hdu = pha_hdu()
    hdu.header["EXPOSURE"] = (value, comment)
    (tmp_path / "s.pha").write_bytes(to_bytes(hdu))
    s = read_spectrum(tmp_path / "s.pha")
    assert s.exposure == pytest.approx(seconds, rel=1e-12)
    assert said(s, "in another unit; taken as 2500 s") == (value != seconds)
    assert read_spectrum(tmp_path / "s.pha", exposure=7.0).exposure == 7.0


def test_an_exposure_longer_than_the_observation(tmp_path):
    """Twenty detectors may be added up, but a thousand times the time is another unit."""
    times = dict(TSTART=1e8, TSTOP=1e8 + 100.0)
    s = read(tmp_path, EXPOSURE=1e5, **times)
    assert said(s, "EXPOSURE is 100000 s, but TSTOP - TSTART is 100 s") == 1
    assert read(tmp_path, EXPOSURE=1.5e3, **times).diagnostics == ()
    assert read(tmp_path, EXPOSURE=1e5, TIMEUNIT="d", **times).diagnostics == ()
    assert read(tmp_path, EXPOSURE=1e5).diagnostics == ()


def test_equal_responses_keep_what_was_assumed_of_each(put):
    """A file that was mended and one that was not hold the same numbers."""
    cache = ResponseCache()
    good = read_response(put("a.rmf", rmf(tlmin=0)), cache=cache)
    mended = read_response(put("b.rmf", rmf(tlmin=-1)), cache=cache)
    again = read_response(put("c.rmf", rmf(tlmin=0, ORIGIN="me")), cache=cache)
    assert good.key == mended.key and again is good
    assert good.diagnostics == () and said(mended, "TLMIN of F_CHAN is -1") == 1


def test_unit_of_the_exposure_of_type_ii(tmp_path):
    counts = ("6J", [COUNTS, COUNTS + 1])
    columns = {"CHANNEL": None, "COUNTS": counts, "EXPOSURE": ("D", [5e4, 7e4], "ms")}
    (tmp_path / "two.pha").write_bytes(to_bytes(pha_hdu(columns=columns)))
    assert [s.exposure for s in read_spectra(tmp_path / "two.pha")] == [50.0, 70.0]
    columns["EXPOSURE"] = ("D", [5.0, 7.0], "orbit")
    (tmp_path / "two.pha").write_bytes(to_bytes(pha_hdu(columns=columns)))
    two = read_spectra(tmp_path / "two.pha")
    assert two[1].exposure == 7.0 and said(two[1], "unit 'orbit', which is not known; taken as se")


def read(tmp_path, **keywords):
    (tmp_path / "s.pha").write_bytes(pha(**keywords))
    return read_spectrum(tmp_path / "s.pha")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        (dict(EXPOSURE=1e20), "EXPOSURE is 1e.20 s, 3.17e.12 years"),
        (dict(SYS_ERR=1e30), "SYS_ERR: row 1 is 1e.30.*a fraction of the counts"),
        (dict(columns={"SYS_ERR": ("D", [0, 0, 500.0, 0, 0, 0])}), "SYS_ERR: row 3 is 500"),
    ],
)
def test_beyond_any_plausible_number(tmp_path, keywords, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, **keywords)


REAL = np.array([3.0, 3.0, 4.0, 2.5, 3.5, 2.0])


@pytest.mark.parametrize("least", [0.0, 1e-30, 1e-9])
def test_one_error_of_nothing_among_real_ones(tmp_path, least):
    """It is named and left out; the fit is that of the same file with the channel marked bad."""
    (tmp_path / "r.rmf").write_bytes(rmf())
    errors = np.where(np.arange(6) == 4, least, REAL)
    common = dict(POISSERR=False, RESPFILE="r.rmf", counts=COUNTS * 5)
    s = read(tmp_path, columns={"STAT_ERR": ("D", errors)}, **common)
    assert s.quality.tolist() == [0, 0, 0, 0, 5, 0]
    assert said(s, "in 1 channels (4) and real in others; this is left out") == 1
    quality = ("I", [0, 0, 0, 0, 5, 0])
    marked = read(tmp_path, columns={"STAT_ERR": ("D", REAL), "QUALITY": quality}, **common)
    one, other = (js.fit("powerlaw", [x], "chi2") for x in (s, marked))
    assert one.n_bins[0] == 5 and one.stat[0] == pytest.approx(other.stat[0], rel=1e-12)
    assert any("STAT_ERR is" in note and "(4)" in note for note in one.notes)


def test_errors_of_nothing_that_mean_something(tmp_path):
    """Errors sqrt(counts) of 0 counts are Poisson; where errors are real, 0 +- 0 is no datum."""
    root = np.sqrt(COUNTS.astype(float))
    s = read(tmp_path, columns={"STAT_ERR": ("D", root)}, POISSERR=False)
    assert s.quality is None and s.diagnostics == ()
    s = read(tmp_path, columns={"STAT_ERR": ("D", np.where(COUNTS, REAL, 0))}, POISSERR=False)
    assert s.quality.tolist() == [5, 0, 0, 0, 0, 0]
    s = read(tmp_path, columns={"STAT_ERR": ("D", COUNTS * 0.0)}, POISSERR=False)
    assert s.quality is None  # no errors at all: a row with a status when it is fitted


def test_poisserr_that_is_a_number(tmp_path):
    assert said(read(tmp_path, POISSERR=1000), "POISSERR is 1000, not T or F; taken as T") == 1
    assert read(tmp_path, POISSERR=1).diagnostics == ()


def test_a_table_without_rows(tmp_path):
    columns = {"CHANNEL": ("6I", np.zeros((0, 6))), "COUNTS": ("6J", np.zeros((0, 6)))}
    (tmp_path / "two.pha").write_bytes(to_bytes(pha_hdu(columns=columns)))
    with pytest.raises(InputError, match="two.pha.*: holds no spectrum: its table has no rows"):
        read_spectra(tmp_path / "two.pha")
    for link in ("CORRFILE", "BACKFILE"):
        (tmp_path / "user.pha").write_bytes(pha(**{link: "two.pha"}, CORRSCAL=1.0))
        with pytest.raises(InputError, match="two.pha"):
            read_spectra(tmp_path / "user.pha")
    (tmp_path / "s.pha").write_bytes(pha())
    both = js.read_pha([tmp_path / "two.pha", tmp_path / "s.pha"], on_error="status")
    assert len(both) == 2 and both[0].status == Status.IO_ERROR


def test_garbage_behind_a_spectrum(tmp_path):
    (tmp_path / "s.pha").write_bytes(pha() + b"\xff" * 1000)
    assert said(read_spectrum(tmp_path / "s.pha"), "1000 bytes after the last extension") == 1
    (tmp_path / "s.pha").write_bytes(pha(extra=[table("GTI", {"START": ("D", [1.0])})])[:-2000])
    s = read_spectrum(tmp_path / "s.pha")
    assert said(s, "ends inside of the last block of GTI") == 1  # the fill: was there more?
    (tmp_path / "s.pha").write_bytes(pha(extra=[table("GTI", {"START": ("D", [1.0])})])[:-2876])
    assert said(read_spectrum(tmp_path / "s.pha"), "the file ends 4 bytes inside of GTI") == 1


@pytest.mark.parametrize("members", [1, 3])
def test_what_unpacks_to_too_much(tmp_path, monkeypatch, members):
    """It ends when the limit is reached: no more is unpacked than that and one piece."""
    monkeypatch.setattr(paths, "LARGEST", 3 * 2**20)
    monkeypatch.setattr(paths, "_PIECE", 2**18)
    done = []
    true = zlib.decompressobj

    class Counted:
        def __init__(self, *args):
            self.engine = true(*args)

        def __getattr__(self, name):
            return getattr(self.engine, name)

        def decompress(self, *args):
            made = self.engine.decompress(*args)
            done.append(len(made))
            return made

    monkeypatch.setattr(paths.zlib, "decompressobj", Counted)
    raw = b"".join(
        gzip.compress(b"SIMPLE" + b"\0" * (30 * 2**20 // members)) for _ in range(members)
    )
    (tmp_path / "bomb.pha.gz").write_bytes(raw)
    with pytest.raises(InputError, match="bomb.pha.gz: holds more than .* GiB once it is unpacked"):
        read_spectrum(tmp_path / "bomb.pha.gz")
    assert sum(done) < 3 * 2**20 + 2**19
    (tmp_path / "good.pha.gz").write_bytes(
        gzip.compress(pha()[:2880]) + gzip.compress(pha()[2880:])
    )
    assert read_spectrum(tmp_path / "good.pha.gz").counts.tolist() == COUNTS.tolist()


def test_too_little_memory_is_a_row(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / f"{name}.pha").write_bytes(pha())
    true = paths._fetch_local

    def fetch(file):
        if file.endswith("a.pha"):
            raise MemoryError
        return true(file)

    monkeypatch.setattr(paths, "_fetch_local", fetch)
    with pytest.raises(InputError, match="a.pha: does not fit into memory"):
        js.read_pha(tmp_path / "a.pha")
    both = js.read_pha([tmp_path / "a.pha", tmp_path / "b.pha"], on_error="status")
    assert both[0].status == Status.IO_ERROR and both[1].counts.sum() == COUNTS.sum()


def test_inspect_shows_what_was_assumed(tmp_path):
    """Of a response alone, of one behind a spectrum, of a background and of an ARF."""
    from jaxspec.report.describe import describe_file

    (tmp_path / "r.rmf").write_bytes(rmf(e_hi=E_HI - 0.05))
    (tmp_path / "a.arf").write_bytes(arf(e_hi=E_HI - 0.05))
    (tmp_path / "b.pha").write_bytes(pha(BACKSCAL=0.0))
    (tmp_path / "s.pha").write_bytes(pha(RESPFILE="r.rmf", ANCRFILE="a.arf", BACKFILE="b.pha"))
    for name in ("r.rmf", "a.arf", "s.pha"):
        assert "leave 3 gaps, the widest at" in describe_file(tmp_path / name), name
    text = describe_file(tmp_path / "s.pha")
    assert "response: a.arf: SPECRESP: the energy bins" in text
    assert "background: BACKSCAL is 0; taken as 1" in text
    (tmp_path / "f.rsp").write_bytes(rmf(HDUCLAS3="FULL", dense=DENSE * 50))
    assert "with the area in it (HDUCLAS3 FULL)" in describe_file(tmp_path / "f.rsp")


def card(key, value):
    return f"{key:8s}= {value:>20}".encode()


def test_data_behind_the_last_row_are_said(put):
    """NAXIS2 is too small: the other rows would be lost without a word."""
    raw = pha(channel=np.arange(40), counts=np.arange(40))
    s = read_spectrum(put("s.pha", raw.replace(card("NAXIS2", 40), card("NAXIS2", 4))))
    assert len(s.counts) == 4 and said(s, "SPECTRUM: the data go on behind row 4, the last by") == 1
    raw = rmf().replace(card("NAXIS2", 6), card("NAXIS2", 4))
    with pytest.raises(InputError, match="EBOUNDS has 4 channels|channels"):
        read_response(put("r.rmf", raw))


def test_a_datasum_that_does_not_fit_is_said(put):
    """Of a spectrum, an area and a matrix; that of an ASCII table is not asked of its copy."""
    hdu = pha_hdu()
    hdu.add_datasum()
    raw = to_bytes(hdu)
    assert not said(read_spectrum(put("s.pha", raw)), "DATASUM")
    damaged = raw[:-2880] + raw[-2880:].replace(b"\x00\x09", b"\x01\x09")  # 9 -> 265 counts
    s = read_spectrum(put("s.pha", damaged))
    assert s.counts[2] == 265 and said(s, "SPECTRUM: DATASUM does not fit") == 1
    text = fits.TableHDU.from_columns(
        [fits.Column(n, "I6", array=v) for n, v in (("CHANNEL", np.arange(6)), ("COUNTS", COUNTS))],
        header=hdu.header.copy(strip=True),
        name="SPECTRUM",
    )
    text.add_datasum()
    s = read_spectrum(put("t.pha", to_bytes(text)))
    assert s.counts.tolist() == COUNTS.tolist() and not said(s, "DATASUM")
    matrix, bounds = matrix_hdu(), ebounds_hdu()
    matrix.header["DATASUM"], bounds.header["DATASUM"] = "123", "0"
    notes = read_response(put("r.rmf", to_bytes(matrix, bounds))).diagnostics
    assert sum("MATRIX: DATASUM" in n or "EBOUNDS: DATASUM" in n for n in notes) == 2


def test_one_name_for_two_columns_is_refused_where_it_is_read(put):
    columns = {"AREASCAL": ("E", np.full(6, 0.9)), "ARFASCAL": ("E", np.full(6, 0.01))}
    raw = pha(columns=columns)
    assert read_spectrum(put("s.pha", raw)).areascal[0] == np.float32(0.9)
    twice = raw.replace(b"'ARFASCAL'", b"'AREASCAL'")
    with pytest.raises(InputError, match="s.pha.*AREASCAL: there are several columns of this name"):
        read_spectrum(put("s.pha", twice))
    unused = twice.replace(b"AREASCAL", b"OTHER   ")
    assert read_spectrum(put("s.pha", unused)).areascal == 1.0


def test_one_keyword_with_two_values_is_said(put):
    hdu = pha_hdu(BACKSCAL=2.0)
    hdu.header.append(("EXPOSURE", 7.0))
    s = read_spectrum(put("s.pha", to_bytes(hdu)))
    assert s.exposure == 100 and said(s, "the first is taken: EXPOSURE = 100.0") == 1


@pytest.mark.parametrize("key", ["EXPOSURE", "BACKSCAL", "AREASCAL"])
def test_true_is_no_number(put, key):
    with pytest.raises(InputError, match=f"{key} is True, not a number"):
        read_spectrum(put("s.pha", pha(**{key: True})))


@pytest.mark.parametrize(
    "name, unit, own, error, words",
    [
        ("COUNTS", "count", "count/s", 200.0, "STAT_ERR is in count/s, COUNTS is not"),
        ("COUNTS", "count", "count", 2.0, ""),
        ("COUNTS", "count", "pixel", 2.0, "STAT_ERR has the unit 'pixel'; taken as that of COUNTS"),
        ("COUNTS", "count", "(1,2)", 2.0, "STAT_ERR has the unit '(1,2)'; taken as"),
        ("RATE", "count/s", "count", 2.0, "STAT_ERR is in count, RATE is not"),
        ("RATE", "count/s", "", 200.0, ""),
        ("RATE", "", "count/s", 200.0, ""),
        ("RATE", "count", "count", 200.0, ""),
    ],
)
def test_errors_are_in_their_own_unit(put, name, unit, own, error, words):
    columns = {"COUNTS": None, name: ("E", COUNTS + 0.5, unit), "STAT_ERR": ("E", [2.0] * 6, own)}
    s = read_spectrum(put("s.pha", pha(columns=columns, POISSERR=False)))
    assert s.counts[1] == (4.5 if name == "COUNTS" else 450) and s.stat_err.tolist() == [error] * 6
    assert said(s, "STAT_ERR") == bool(words) and said(s, words or "STAT_ERR") == bool(words)


def test_counts_that_no_detector_gives(put):
    """Whole numbers that are read as real ones, or the other way round; one damaged channel."""
    raw = pha().replace(b"'J       '", b"'E       '")
    assert said(read_spectrum(put("s.pha", raw)), "COUNTS of row 2 is 5.61e-45: is its TFORM") == 1
    raw = pha(columns={"COUNTS": ("D", COUNTS * 1.0)}).replace(b"'D       '", b"'K       '")
    with pytest.raises(InputError, match="COUNTS: row 2 is 4.6"):
        read_spectrum(put("s.pha", raw))
    raw = pha(columns={"BACKSCAL": ("D", np.full(6, 1.5))}).replace(b"'D       '", b"'K       '")
    assert (
        said(read_spectrum(put("s.pha", raw)), "BACKSCAL of row 1 is 4.61e+18: is its TFORM") == 1
    )
    raw = pha(columns={"COUNTS": ("E", COUNTS * 1.0)}).replace(b"'E       '", b"'J       '")
    words = "COUNTS adds up to 5.4e+09 counts in 10 s: is its TFORM right?"
    s = read_spectrum(put("s.pha", raw.replace(card("EXPOSURE", 100.0), card("EXPOSURE", 10.0))))
    assert said(s, words) == 1, s.diagnostics
    one = np.where(np.arange(6) == 3, 43776, COUNTS)
    words = "COUNTS of row 4 is 43776 counts, all others together are 21: is it damaged?"
    assert said(read_spectrum(put("s.pha", pha(counts=one))), words) == 1
    assert not said(read_spectrum(put("s.pha", pha())), "damaged")
    errors = {"STAT_ERR": ("D", np.full(6, 1e-310))}
    s = read_spectrum(put("s.pha", pha(columns=errors, POISSERR=False)))
    assert said(s, "of the counts on the median: is it damaged?") == 1


def test_an_area_of_the_background_that_is_worlds_apart_is_said(put):
    put("b.pha", pha(AREASCAL=1024.0))
    s = read_spectrum(put("s.pha", pha(BACKFILE="b.pha")))
    assert said(s, "AREASCAL of the background is 1024, that of the spectrum 1: is it right?") == 1
    put("b.pha", pha(AREASCAL=4.0))
    assert not said(read_spectrum(put("s.pha", pha(BACKFILE="b.pha"))), "AREASCAL of")


def test_areas_that_are_converted_are_said(put):
    path = put("a.arf", arf(area_unit="m**2"))
    area = read_response(put("r.rmf", rmf()), path)
    assert area.area[0] == 1e5 and said(area, "SPECRESP is in m**2; multiplied by 10000") == 1
    hdu = matrix_hdu()
    hdu.columns["MATRIX"].unit = "m**2"
    found = read_response(put("m.rmf", to_bytes(hdu, ebounds_hdu())))
    assert said(read_response(put("z.rmf", rmf(dense=DENSE * 1e-60))), "every element of the") == 1
    assert found.matrix[0, 0] == 5e3 and said(found, "MATRIX is in m**2; multiplied by 1") == 1


def test_times_that_cannot_be_are_said(put):
    times = dict(TSTART=1e8, TSTOP=1.1e8, MJDREFI=50000, MJDREFF=0.5)
    s = read_spectrum(put("s.pha", pha(**times)))
    assert not said(s, "TST") and start_times([s])[0] == pytest.approx(51157.9, abs=0.1)
    s = read_spectrum(put("s.pha", pha(**times | {"MJDREFF": 3000000000})))
    assert said(s, "TSTART and MJDREF give MJD 3.00005e+09, far in the future") == 1
    assert said(read_spectrum(put("s.pha", pha(**times | {"TSTOP": 0.0}))), "TSTOP is 1e+08 s") == 1


def test_a_header_without_its_end_is_not_joined_to_the_next(put):
    """The counts of the background would be those of the source."""
    both = to_bytes(pha_hdu(HDUCLAS2="TOTAL"), pha_hdu(counts=COUNTS * 7, HDUCLAS2="BKG"))
    at = both.find(b"END".ljust(80), 2880)
    with pytest.raises(InputError, match="s.pha"):
        read_spectrum(put("s.pha", both[:at] + b"EBD" + both[at + 3 :]))
    at = both.find(b"END".ljust(80), at + 80)
    s = read_spectrum(put("s.pha", both[:at] + b"EBD" + both[at + 3 :]))
    assert s.counts.tolist() == COUNTS.tolist() and said(s, "header of extension 2 is damaged") == 1
