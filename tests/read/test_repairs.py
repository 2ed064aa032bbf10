"""What XSPEC repairs with a warning is repaired, and said; the rest is an error."""

import numpy as np
import pytest
from ogip_files import COUNTS, DENSE, arf, pha, pha_hdu, rmf, to_bytes

import jaxspec as js
from jaxspec._status import Status
from jaxspec._types import start_times
from jaxspec.errors import InputError
from jaxspec.read.ogip import read_response, read_spectra, read_spectrum
from jaxspec.read.write import write_pha
from jaxspec.reduce.bins import bin_counts

HALF = np.array([0, 1, 0, 0, 5, 2])  # QUALITY


def read(tmp_path, *args, **keywords):
    (tmp_path / "s.pha").write_bytes(pha(*args, **keywords))
    return read_spectrum(tmp_path / "s.pha")


def said(spectrum, text):
    return sum(text in note for note in spectrum.diagnostics)


def test_flags(tmp_path):
    grouping = np.array([1, 2, -1, 0, 7, -1])
    s = read(tmp_path, columns={"GROUPING": ("I", grouping), "QUALITY": ("I", [0, 6, -1, 0, 2, 0])})
    assert s.grouping.tolist() == [1, 1, -1, 0, 1, -1] and s.quality.tolist() == [0, 0, 0, 0, 2, 0]
    assert said(s, "GROUPING is not -1, 0 or 1 in 2 channels; taken as 1") == 1
    assert said(s, "QUALITY is not 0 to 5 in 2 channels; taken as 0") == 1
    key = read(tmp_path, GROUPING=5, QUALITY=9)
    assert key.grouping is None and key.quality.tolist() == [0] * 6
    assert said(key, "the keyword GROUPING is 5") == said(key, "QUALITY is not 0 to 5") == 1
    assert read(tmp_path, GROUPING=0, QUALITY=0).diagnostics == ()


def test_groups_that_begin_at_a_bad_channel(tmp_path):
    """QUALITY 1 is as if it were not there, GROUPING 1 of such channels too; that is said."""
    grouping = ("I", [1, -1, 1, -1, 1, -1])
    s = read(tmp_path, columns={"GROUPING": grouping, "QUALITY": ("I", [0, 0, 1, 0, 1, 1])})
    assert said(s, "1 groups begin at a channel of QUALITY 1") == 1
    assert bin_counts(s).counts.tolist() == [COUNTS[[0, 1, 3]].sum()]
    s = read(tmp_path, columns={"GROUPING": grouping, "QUALITY": ("I", [1, 0, 0, 1, 0, 0])})
    assert said(s, "QUALITY 1") == 0 and len(bin_counts(s).counts) == 3


@pytest.mark.parametrize("name", ["AREASCAL", "BACKSCAL"])
def test_scales_of_zero(tmp_path, name):
    key = read(tmp_path, **{name: 0.0})
    assert getattr(key, name.lower()) == 1.0 and said(key, f"{name} is 0; taken as 1") == 1
    column = ("D", [0.5, 0.0, 0.5, 0.0, np.nan, -1.0])
    s = read(tmp_path, columns={name: column, "QUALITY": ("I", HALF)})
    assert getattr(s, name.lower()).tolist() == [0.5, 1.0, 0.5, 1.0, 1.0, 1.0]
    assert said(s, f"{name} is 0 in 1 channels") == said(s, "in 3 bad channels; 1 is put") == 1
    with pytest.raises(InputError, match=f"column {name}: row 2 is -3"):
        read(tmp_path, columns={name: ("D", [1.0, -3, 1, 1, 1, 1])})


def test_no_channel_column(tmp_path):
    (tmp_path / "r.rmf").write_bytes(rmf())
    s = read(tmp_path, columns={"CHANNEL": None}, RESPFILE="r.rmf")
    assert s.channel.tolist() == [1, 2, 3, 4, 5, 6] and said(s, "numbered from 1 to 6") == 1
    assert s.response.channel.tolist() == [1, 2, 3, 4, 5, 6]
    assert said(s, "channels 1-6 are those from 0 in r.rmf") == 1
    two = {"CHANNEL": None, "COUNTS": ("6J", [COUNTS, COUNTS + 1])}
    (tmp_path / "two.pha").write_bytes(to_bytes(pha_hdu(columns=two)))
    second = read_spectra(tmp_path / "two.pha")[1]
    assert second.channel.tolist() == [1, 2, 3, 4, 5, 6]
    assert second.counts.tolist() == (COUNTS + 1).tolist()


def test_rate_beside_counts(tmp_path):
    """XSPEC takes RATE; a STAT_ERR whose unit is counts stays in counts."""
    rate, error = ("D", np.full(6, 0.5), "count/s"), np.full(6, 2.0)
    s = read(tmp_path, columns={"RATE": rate, "STAT_ERR": ("D", error)}, POISSERR=False)
    assert s.counts.tolist() == [50.0] * 6 and s.stat_err.tolist() == [200.0] * 6
    assert said(s, "RATE and COUNTS are both there; RATE is taken") == 1
    s = read(tmp_path, columns={"RATE": rate, "STAT_ERR": ("D", error, "count")}, POISSERR=False)
    assert s.stat_err.tolist() == [2.0] * 6


@pytest.mark.parametrize("poisserr", [True, False])
@pytest.mark.parametrize("name", ["COUNTS", "STAT_ERR", "SYS_ERR"])
def test_numbers_of_bad_channels(tmp_path, name, poisserr):
    """NaN in channels of QUALITY above 0 is forgiven; they are never used then."""
    values = np.where(HALF > 0, np.nan, [3.0, 1, 2, 4, 1, 5])
    columns = {"QUALITY": ("I", HALF), name: ("D", values)}
    s = read(tmp_path, columns=columns, POISSERR=poisserr)
    used = bin_counts(s)
    if name == "STAT_ERR" and poisserr:  # has no meaning: left out as a whole
        assert s.stat_err is None and s.quality.tolist() == HALF.tolist()
    else:
        assert s.quality.tolist() == [0, 1, 0, 0, 5, 5] and len(used.counts) == 3
        assert said(s, f"{name} is no number in 3 bad channels") == 1
    assert np.isfinite(np.stack(used)).all()
    columns["QUALITY"] = ("I", HALF * 0)
    if name != "STAT_ERR" or not poisserr:
        with pytest.raises(InputError, match=f"column {name}: row 2 is nan"):
            read(tmp_path, columns=columns, POISSERR=poisserr)


def test_numbers_of_a_background_where_the_spectrum_is_bad(tmp_path):
    """Nothing is asked of them either."""
    bad = np.array([0, 1, 0, 0, 5, 0])
    odd = {name: ("D", np.where(bad, np.nan, 2.0)) for name in ("COUNTS", "BACKSCAL", "SYS_ERR")}
    (tmp_path / "b.pha").write_bytes(pha(columns=odd))
    s = read(tmp_path, columns={"QUALITY": ("I", bad)}, BACKFILE="b.pha")
    assert s.background.counts.tolist() == [2, 0, 2, 2, 0, 2] and s.background.quality is None
    assert said(s.background, "COUNTS is no number in 2 bad channels") == 1
    assert np.isfinite(np.stack(bin_counts(s))).all() and len(bin_counts(s).counts) == 4
    with pytest.raises(InputError, match="b.pha.* column COUNTS: row 2 is nan"):
        read(tmp_path, BACKFILE="b.pha")


@pytest.mark.parametrize("name", ["COUNTS", "STAT_ERR", "BACKSCAL"])
def test_numbers_of_a_background_where_it_alone_is_bad(tmp_path, name):
    """Without them nothing can be subtracted there: the channels are left out, not kept whole."""
    bad = np.array([0, 1, 0, 0, 5, 0])
    odd = {name: ("D", np.where(bad, np.nan, 2.0)), "QUALITY": ("I", bad)}
    (tmp_path / "b.pha").write_bytes(pha(columns=odd, POISSERR=name != "STAT_ERR"))
    s = read(tmp_path, BACKFILE="b.pha")
    assert s.quality.tolist() == [0, 5, 0, 0, 5, 0] and np.isfinite(s.background.counts).all()
    assert said(s, "the background has no numbers in 2 channels; these are left out") == 1
    assert bin_counts(s).counts.tolist() == COUNTS[bad == 0].tolist()
    if name == "COUNTS":
        corrected = read(tmp_path, CORRSCAL=1.0, CORRFILE="b.pha")
        assert corrected.quality.tolist() == [0, 5, 0, 0, 5, 0]
        odd["COUNTS"] = ("J", np.where(bad, -1, 2))
        (tmp_path / "b.pha").write_bytes(pha(columns=odd))
        assert read(tmp_path, BACKFILE="b.pha").quality.tolist() == [0, 5, 0, 0, 5, 0]


def test_a_scale_that_is_missing_is_said(tmp_path):
    (tmp_path / "b.pha").write_bytes(pha(BACKSCAL=2.0))
    assert said(read(tmp_path, BACKFILE="b.pha"), "BACKSCAL is missing; 1 is assumed") == 1
    (tmp_path / "b.pha").write_bytes(pha())
    s = read(tmp_path, BACKFILE="b.pha", BACKSCAL=2.0)
    assert said(s, "BACKSCAL of the background is missing") == 1 == len(s.diagnostics)


def test_channels_that_are_all_and_yet_too_few(tmp_path):
    """DETCHANS says that these are all channels: a response of more is one of another binning."""
    (tmp_path / "r.rmf").write_bytes(rmf())
    first = dict(counts=COUNTS[:4], columns={"CHANNEL": ("I", np.arange(4))}, RESPFILE="r.rmf")
    for keys in ({}, {"DETCHANS": 5}, {"TLMIN1": 0, "TLMAX1": 3}):
        with pytest.raises(InputError, match=r"of [45] channels \(DETCHANS\) but r.rmf has 6"):
            read(tmp_path, **first, **keys)
    for keys in ({"DETCHANS": 6}, {"TLMIN1": 0, "TLMAX1": 5}):  # a part of them
        s = read(tmp_path, **first, **keys)
        assert len(s.response.channel) == 4 and not said(s, "DETCHANS")
    s = read(tmp_path, **first, DETCHANS=None)
    assert said(s, "DETCHANS is missing and r.rmf has 6") == 1 and len(s.response.channel) == 4
    (tmp_path / "b.pha").write_bytes(pha())
    with pytest.raises(InputError, match=r"of 4 channels \(DETCHANS\) but .*b.pha has 6"):
        read(tmp_path, **first | {"RESPFILE": "none"}, BACKFILE="b.pha")


def test_fewer_detchans_than_channels(tmp_path):
    (tmp_path / "r.rmf").write_bytes(rmf())
    s = read(tmp_path, DETCHANS=3, RESPFILE="r.rmf")
    assert said(s, "DETCHANS is 3 for 6 channels; left out") == 1 and "DETCHANS" not in s.header


def test_poisserr_that_is_a_word(tmp_path):
    s = read(tmp_path, POISSERR="yes")
    assert s.poisserr and said(s, "POISSERR is 'yes', neither T nor F; counts are whole") == 1
    s = read(tmp_path, POISSERR="no", columns={"STAT_ERR": ("D", np.ones(6))})
    assert not s.poisserr and said(s, "POISSERR is 'no', neither T nor F; counts are") == 1


RATES = {
    "cts s-1": 1.0, "counts per second": 1.0, "Hz": 1.0, "cps": 1.0, "count/s/channel": 1.0,
    "count/ks": 1e-3, "count min-1": 1 / 60,
}  # fmt: skip


@pytest.mark.parametrize("unit", RATES)
def test_units_of_rates(tmp_path, unit):
    """COUNTS in a unit of rates are rates, however it is spelled, and multiples count."""
    values = np.array([0.5, 1.0, 2.0, 0.0, 3.0, 4.0])
    columns = {"COUNTS": ("D", values, unit), "STAT_ERR": ("D", values / 4, unit)}
    s = read(tmp_path, columns=columns, POISSERR=False)
    np.testing.assert_allclose(s.counts, 100 * RATES[unit] * values, rtol=1e-14)
    np.testing.assert_allclose(s.stat_err, 25 * RATES[unit] * values, rtol=1e-14)
    assert said(s, f"COUNTS has the unit {unit!r}; read as a rate") == 1
    columns = {"COUNTS": None, "RATE": ("D", values, unit)}
    np.testing.assert_allclose(read(tmp_path, columns=columns).counts, s.counts, rtol=1e-14)


def test_units_that_are_no_counts_of_a_channel(tmp_path):
    for unit in ("count/s/keV", "photons cm-2 s-1"):
        with pytest.raises(InputError, match="column COUNTS: the unit is .* of each channel"):
            read(tmp_path, columns={"COUNTS": ("D", np.ones(6), unit)})
    s = read(tmp_path, columns={"COUNTS": ("D", np.ones(6), "furlong")})
    assert s.counts.tolist() == [1.0] * 6 and said(s, "which is not known; taken as counts") == 1


def test_hduclas3_that_is_not_of_the_column(tmp_path):
    """Rates in a column COUNTS, which nothing but HDUCLAS3 says, and counts with RATE there."""
    s = read(tmp_path, columns={"COUNTS": ("D", COUNTS / 8)}, HDUCLAS3="RATE")
    assert s.counts.tolist() == (COUNTS * 12.5).tolist()
    assert said(s, "COUNTS are not whole; read as a rate") == 1
    s = read(tmp_path, HDUCLAS3="RATE")
    assert s.counts.tolist() == COUNTS.tolist() and said(s, "is COUNTS; read as counts") == 1
    assert read(tmp_path, HDUCLAS3="COUNT").diagnostics == ()


def test_errors_without_a_meaning(tmp_path):
    for values in (np.full(6, -1.0), np.full(6, np.nan)):
        s = read(tmp_path, columns={"STAT_ERR": ("D", values)}, POISSERR=True)
        assert s.stat_err is None and s.poisserr and said(s, "POISSERR is T: left out") == 1
        with pytest.raises(InputError, match="or read it with poisserr=True"):
            read(tmp_path, columns={"STAT_ERR": ("D", values)}, POISSERR=False)
        assert read_spectrum(tmp_path / "s.pha", poisserr=True).stat_err is None


def test_systematic_errors_in_per_cent_are_noticed(tmp_path):
    s = read(tmp_path, columns={"SYS_ERR": ("D", [0, 1, 2.5, 0.9, 0, 0])})
    assert said(s, "SYS_ERR is a fraction and 1 or more in 2 channels") == 1
    assert read(tmp_path, SYS_ERR=0.02).diagnostics == ()


def test_counts_of_minus_one_in_bad_channels(tmp_path):
    """They do not make the spectrum one of negative counts."""
    from jaxspec.likelihood.choose import choose_statistic

    counts = np.array([3, -1, 2, 4, -1, 5])
    s = read(tmp_path, counts=counts, columns={"QUALITY": ("I", HALF)})
    assert s.counts[1] == -1 and choose_statistic(s)[0] == "cstat"
    assert choose_statistic(s.replace(quality=None))[0] == "chi2"


SHIFTS = [(0, 1, "first"), (1, 0, "zero"), (5, 100, "far")]


@pytest.mark.parametrize(("first", "theirs", "name"), SHIFTS)
def test_part_of_the_channels(tmp_path, first, theirs, name):
    """TLMIN says which channels of the response a part of the spectrum is on."""
    from ogip_files import ebounds_hdu, matrix_hdu

    response = to_bytes(matrix_hdu(first=theirs, tlmin=theirs), ebounds_hdu(first=theirs))
    (tmp_path / "r.rmf").write_bytes(response)
    keys = {"RESPFILE": "r.rmf", "DETCHANS": 6, "TLMIN1": first}
    part = slice(2, 5)
    channel = np.arange(first, first + 6)
    full = read(tmp_path, channel=channel, **keys, TLMAX1=first + 5)
    for last in (first + 5, None):  # without TLMAX, DETCHANS says how many there are
        s = read(tmp_path, channel[part], COUNTS[part], **keys, TLMAX1=last)
        assert s.response.e_min.tolist() == full.response.e_min[part].tolist()
        assert s.response.channel.tolist() == s.channel.tolist() == (channel[part]).tolist()
        assert said(s, f"channels {first + 2}-{first + 4} are those from {theirs + 2} in") == 1
    write_pha(s, tmp_path / "again.pha", respfile="r.rmf")
    again = read_spectrum(tmp_path / "again.pha")
    assert again.header["TLMIN1"] == first and again.header["TLMAX1"] == first + 5
    assert again.header["DETCHANS"] == 6 and again.channel.tolist() == s.channel.tolist()
    assert again.response.e_min.tolist() == s.response.e_min.tolist()


def test_part_with_a_background_numbered_otherwise(tmp_path):
    (tmp_path / "b.pha").write_bytes(pha(channel=np.arange(1, 7), TLMIN1=1, TLMAX1=6, DETCHANS=6))
    keys = {"TLMIN1": 0, "TLMAX1": 5, "DETCHANS": 6, "BACKFILE": "b.pha"}
    s = read(tmp_path, np.arange(2, 5), COUNTS[2:5], **keys)
    assert s.background.counts.tolist() == COUNTS[2:5].tolist()
    assert s.background.channel.tolist() == s.channel.tolist() == [2, 3, 4]


def test_limits_that_cannot_be(tmp_path):
    """CHANNEL outside of TLMIN to TLMAX: these are left out, and that is said."""
    (tmp_path / "r.rmf").write_bytes(rmf())
    s = read(tmp_path, TLMIN1=1, TLMAX1=6, RESPFILE="r.rmf")
    assert said(s, "outside of its TLMIN to TLMAX, 1 to 6; these are left out") == 1
    assert s.response.channel.tolist() == [0, 1, 2, 3, 4, 5] and "TLMIN1" not in s.header


def response_of(tmp_path, e_lo, e_hi, dense, arf_bytes=None, **keywords):
    from ogip_files import ebounds_hdu, matrix_hdu

    raw = to_bytes(matrix_hdu(dense, e_lo=e_lo, e_hi=e_hi, **keywords), ebounds_hdu())
    (tmp_path / "r.rmf").write_bytes(raw)
    if arf_bytes is None:
        return read_response(tmp_path / "r.rmf")
    (tmp_path / "a.arf").write_bytes(arf_bytes)
    return read_response(tmp_path / "r.rmf", tmp_path / "a.arf")


@pytest.mark.parametrize("reverse", [False, True])
def test_energy_bins_without_width(tmp_path, reverse):
    """They are left out of matrix and area: the response is that of a file without them."""
    lo, hi = np.array([0.5, 1.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0, 3.0, 5.0])
    dense = np.insert(DENSE, 1, [9.0, 9, 0, 0, 9, 9], axis=0)
    area = np.array([10.0, 77, 20, 30, 40])
    turn = slice(None, None, -1 if reverse else 1)
    wide = lo != hi
    r = response_of(tmp_path, lo[turn], hi[turn], dense[turn], arf(lo[turn], hi[turn], area[turn]))
    assert np.array_equal(r.e_lo, lo[wide]) and np.array_equal(r.e_hi, hi[wide])
    assert np.allclose(r.matrix.toarray(), DENSE) and r.area.tolist() == [10, 20, 30, 40]
    assert said(r, "1 energy bins have no width; left out") == 2
    assert said(r, "a.arf: SPECRESP: 1 energy bins") == 1
    without = arf(lo[wide], hi[wide], area[wide])  # the ARF may lack them
    again = response_of(tmp_path, lo[turn], hi[turn], dense[turn], without)
    assert np.array_equal(again.area, r.area)


def test_energy_bins_without_width_in_a_part_of_its_own(tmp_path, monkeypatch):
    from ogip_files import ebounds_hdu, matrix_hdu

    from jaxspec.read import response as module

    monkeypatch.setattr(module, "SPREAD", 0)  # keeps the wider matrix apart
    lo, hi = np.array([0.5, 0.5, 2.0]), np.array([0.5, 2.0, 5.0])
    tail = np.array([[7.0] * 6, [0.1, 0.1, 0, 0, 0, 0], [0.2, 0.2, 0.2, 0, 0, 0]])
    hdus = matrix_hdu(), matrix_hdu(tail, e_lo=lo, e_hi=hi), ebounds_hdu()
    (tmp_path / "r.rmf").write_bytes(to_bytes(*hdus))
    (part,) = read_response(tmp_path / "r.rmf").wide
    assert part.row.tolist() == [0, 0, 1, 1] and np.allclose(part.dense(0, 2), tail[1:])


def test_an_arf_that_differs_outside_of_the_band(tmp_path):
    """It is read; bins at energies that differ are not fitted, the others as with the right ARF."""
    edges = np.linspace(0.2, 4.8, 24)
    middle = 0.5 * (edges[1:] + edges[:-1])
    dense = (np.clip(((middle + 0.01) / 0.8).astype(int), 0, 5)[:, None] == np.arange(6)) * 1.0
    area = 10 * middle
    right = arf(edges[:-1], edges[1:], area)
    hi = edges[1:].copy()
    hi[-1] = 4.75
    for other in (arf(edges[:-1], hi, area), arf(edges[:-2], edges[1:-1], area[:-1])):
        r = response_of(tmp_path, edges[:-1], edges[1:], dense, other)
        assert np.allclose(r.doubtful, [(edges[-2], edges[-1])])
        assert said(r, "has other energy bins at 4.6-4.8 keV: not to be used") == 1
        keys = {"RESPFILE": "r.rmf", "ANCRFILE": "a.arf"}
        s = js.SpectrumList([read(tmp_path, counts=COUNTS + 30, **keys)])
        whole = js.fit("powerlaw", s, stat="cstat")
        assert whole.status[0] == Status.BAD_DATA
        assert "other energy bins than the response at 4.6-4.8 keV" in whole.messages[0]
        band = js.fit("powerlaw", s.notice("0.8-3.9"), stat="cstat")
        true = s.notice("0.8-3.9")[0].replace(
            response=response_of(tmp_path, edges[:-1], edges[1:], dense, right)
        )
        expected = js.fit("powerlaw", true, stat="cstat")
        assert band.status[0] == expected.status[0] == 0
        np.testing.assert_allclose(band.params, expected.params, rtol=1e-9)
    with pytest.raises(InputError, match=r"a.arf: bin \d+ is .* keV but .* keV in r.rmf"):
        response_of(
            tmp_path, edges[:-1], edges[1:], dense, arf(edges[:-1] + 0.05, edges[1:] + 0.05, area)
        )
    with pytest.raises(InputError, match="a.arf: has 4 energies but r.rmf has 23"):
        response_of(tmp_path, edges[:-1], edges[1:], dense, arf())


DATES = [
    ({"DATE_OBS": "2020-03-01T12:00:00"}, 58909.5),
    ({"DATE_OBS": "2020-03-01T12:00:00.0Z"}, 58909.5),
    ({"DATE_OBS": "01/03/95", "TIME_OBS": "06:00:00"}, 49777.25),
    ({"DATE_OBS": "2020-03-01", "TSTART": 5.0}, 58909.0),  # no MJDREF
    ({"DATE_OBS": "2020-03-01", "TSTART": 43200.0, "MJDREFI": 50000}, 50000.5),
    ({"DATE_OBS": "yesterday"}, np.nan),
    ({}, np.nan),
]


@pytest.mark.parametrize(("keywords", "mjd"), DATES)
def test_times_of_tables_are_those_of_the_spectrum(tmp_path, keywords, mjd):
    s = read(tmp_path, **keywords)
    assert start_times([s])[0] == pytest.approx(mjd, abs=1e-9, nan_ok=True)
    assert (s.time_start is None) == np.isnan(mjd)
    assert s.time_start is None or s.time_start.mjd == pytest.approx(mjd, abs=1e-9)
