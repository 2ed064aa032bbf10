"""CORRFILE and CORRSCAL: read, subtracted by every statistic, shown, and written."""

import numpy as np
import pytest
from astropy.io import fits
from ogip_files import COUNTS, DENSE, E_HI, E_LO, pha, rmf
from scipy.optimize import minimize_scalar

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.likelihood.goodness import expected_cstat
from jaxspec.likelihood.kernels import FLOOR
from jaxspec.likelihood.statistics import STATISTICS, weighted
from jaxspec.read.ogip import read_spectrum
from jaxspec.reduce.bins import bin_counts, net_rate, spectrum_bins
from jaxspec.reduce.group import group

CORRECTION = np.array([2, 1, 3, 0, 4, 1])


def said(thing, words):
    return any(words in note for note in thing.diagnostics)


def test_correction_is_read_as_a_rate(put):
    """Count rate of CORRFILE times CORRSCAL, whatever its BACKSCAL (XSPEC manual, corfile)."""
    put("c.cor", pha(counts=CORRECTION, EXPOSURE=400.0, BACKSCAL=3.0))
    keys = dict(CORRFILE="c.cor", CORRSCAL=-0.5, AREASCAL=2.0)
    s = read_spectrum(put("a.pha", pha(**keys)))
    known = -0.5 * CORRECTION / 400.0
    bins = bin_counts(s)
    assert np.allclose(bins.rate, COUNTS / 200.0 - known / 2.0)  # t_s holds AREASCAL
    assert np.allclose(bins.rate_variance, COUNTS / 200.0**2)  # no error of its own
    assert net_rate(s)[0] == pytest.approx(np.sum(COUNTS / 100.0 - known))
    assert net_rate(s)[1] == pytest.approx(np.sqrt(COUNTS.sum()) / 100.0)
    grouped = s.replace(grouping=np.array([1, -1, -1, 1, -1, -1], np.int16))
    assert np.allclose(bin_counts(grouped).rate, np.add.reduceat(bins.rate, [0, 3]))
    plain = read_spectrum(s.path, correction=None)
    assert plain.correction is None and np.allclose(bin_counts(plain).rate, COUNTS / 200.0)


def test_correction_by_argument(put):
    put("c.cor", pha(counts=CORRECTION))
    path = put("a.pha", pha())
    s = read_spectrum(path, correction=path.replace("a.pha", "c.cor"))
    assert s.corrscal == 1.0 and said(s, "CORRSCAL is missing")
    assert np.allclose(bin_counts(s).known, CORRECTION / 100.0)
    zero = put("b.pha", pha(CORRFILE="gone.cor", CORRSCAL=0.0))
    assert read_spectrum(zero).correction is None
    zero = read_spectrum(zero, correction=s.correction)
    assert said(zero, "CORRSCAL is 0") and not bin_counts(zero).known.any()
    gone = put("d.pha", pha(CORRFILE="gone.cor", CORRSCAL=1.0))
    with pytest.raises(InputError, match="CORRFILE is 'gone.cor'"):
        read_spectrum(gone)
    assert read_spectrum(gone, correction="optional").correction is None
    assert read_spectrum(put("e.pha", pha(CORRSCAL=-1.0))).correction is None


# ------------------------------------------------------------------ what it does


SOURCE, BEHIND = COUNTS * 4 + 10, COUNTS * 2 + 5
KNOWN = 100.0 * 0.7 * CORRECTION * 10 / 1000.0  # counts in the source region
NORM = 0.004


@pytest.fixture
def corrected(put):
    put("a.rsp", rmf(dense=DENSE * 100))
    put("c.cor", pha(counts=CORRECTION * 10, EXPOSURE=1000.0))
    put("b.pha", pha(counts=BEHIND, EXPOSURE=300.0))
    keys = dict(RESPFILE="a.rsp", CORRFILE="c.cor", CORRSCAL=0.7, BACKFILE="b.pha")
    return read_spectrum(put("a.pha", pha(counts=SOURCE, **keys)))


def powerlaw():
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(1.0)
    return model


def mean(norm):
    """Counts of ``norm / E`` folded by hand."""
    return 100.0 * norm * np.log(E_HI / E_LO) @ (DENSE.astype(np.float32) * 100.0)


def cstat(n, m):
    return 2 * (m - n + n * np.log(n / m))


def by_hand(stat, norm):
    """Statistic of all channels; that of W is minimised over the background by SciPy."""
    source = mean(norm) + KNOWN
    if stat == "cstat":
        return cstat(SOURCE, source).sum()
    if stat == "pstat":
        return cstat(SOURCE, source + BEHIND / 3).sum()
    if stat == "pgstat":

        def gauss(behind, n, b, m):
            return cstat(n, m + behind) + (b - 3 * behind) ** 2 / b

        return _profiled(gauss, source)
    if stat == "chi2":
        return np.sum((SOURCE - BEHIND / 3 - source) ** 2 / (SOURCE + BEHIND / 9))

    def both(behind, n, b, m):
        return cstat(n, m + behind) + cstat(b, 3 * behind)

    return _profiled(both, source)


def _profiled(of, source):
    """Sum over the bins of the least value for any background in the source region."""
    options = {"bounds": (1e-9, 100.0), "method": "bounded", "options": {"xatol": 1e-9}}
    rows = zip(SOURCE, BEHIND, source, strict=True)
    return sum(minimize_scalar(of, args=row, **options).fun for row in rows)


@pytest.mark.parametrize("stat", ["cstat", "wstat", "pstat", "pgstat", "chi2"])
def test_statistics_know_the_correction(corrected, stat):
    spectrum = corrected.replace(background=None) if stat == "cstat" else corrected
    entry, bins, rate = STATISTICS[stat], bin_counts(spectrum), mean(NORM) / 100.0

    def total(rate):
        return float(np.sum(entry.kernel(bins, rate, FLOOR).value))

    assert total(rate) == pytest.approx(by_hand(stat, NORM), rel=1e-8)
    slope = (total(rate * (1 + 1e-6)) - total(rate * (1 - 1e-6))) / 2e-6
    made = float(np.sum(entry.kernel(bins, rate, FLOOR).slope * rate))
    assert made == pytest.approx(slope, rel=1e-5)
    likelihood = entry.log_likelihood(bins, rate, FLOOR) + entry.constant(bins)
    more = entry.log_likelihood(bins, rate * 1.1, FLOOR) + entry.constant(bins)
    assert -2 * float(np.sum(more - likelihood)) == pytest.approx(total(rate * 1.1) - total(rate))
    variance = entry.scatter(weighted(stat, bins), rate)
    known = (BEHIND / 3 if stat in ("wstat", "pstat", "pgstat") else 0.0) + KNOWN
    own = BEHIND / 9 if stat in ("wstat", "pgstat", "chi2") else 0.0
    drawn = SOURCE if stat == "chi2" else mean(NORM) + known
    assert np.allclose(variance, (drawn + own) / 1e4)
    if stat != "chi2":
        assert np.allclose(entry.net(bins)[0], bins.rate)
    if stat == "cstat":
        assert np.allclose(entry.expected(bins, rate)[0], expected_cstat(mean(NORM) + KNOWN)[0])


def test_fit_of_one_corrected_spectrum_among_others(corrected):
    """Spectra with and without a correction share a batch."""
    spectra = [corrected, corrected.replace(name="plain", correction=None)]
    result = js.fit(powerlaw(), spectra, stat="wstat")
    table = result.table
    value, norm = np.array(table["stat"]), table["norm"].value
    options = {"bounds": (1e-4, 0.1), "method": "bounded", "options": {"xatol": 1e-9}}
    best = minimize_scalar(lambda norm: by_hand("wstat", norm), **options)
    assert value[0] == pytest.approx(best.fun, rel=1e-7)
    assert [n for text, n in result.notes.items() if "CORRFILE" in text] == [1]
    assert norm[0] == pytest.approx(best.x, rel=1e-4) and norm[1] > 1.03 * best.x


def test_correction_in_figures_and_groups(corrected):
    data = js.plot.data_arrays(corrected)
    assert np.allclose(data.counts, (SOURCE - BEHIND / 3 - KNOWN) / 100.0)
    model = powerlaw()
    model["norm"].set(NORM)
    for spectrum, stat in ((corrected, "wstat"), (corrected.replace(background=None), "cstat")):
        for subtract in (True, False):
            made = js.plot.model_arrays(spectrum, model, stat=stat, subtract=subtract)
            behind = KNOWN + (BEHIND / 3 if spectrum.background else 0.0)
            expected = mean(NORM) + (0.0 if subtract else behind)
            assert np.allclose(made.expected * 100.0, expected, rtol=1e-6)
            assert np.allclose(made.counts * 100.0, SOURCE - (behind if subtract else 0.0))
    snr = group(corrected, min_snr=3.0)
    assert (
        spectrum_bins(snr)[1]
        < spectrum_bins(group(corrected.replace(correction=None), min_snr=3.0))[1]
    )


def test_corrections_that_cannot_be_used(corrected):
    other = corrected.correction
    short = other.replace(channel=np.arange(4), counts=CORRECTION[:4] * 1.0)
    with pytest.raises(InputError, match="correction: has 4 channels"):
        corrected.replace(correction=short)
    with pytest.raises(InputError, match="exposure: is 0.0"):
        other.replace(exposure=0.0)
    row = js.fit(powerlaw(), [corrected.replace(corrscal=np.nan)], on_error="status").table
    assert row["status"][0] == "BAD_DATA"


def test_correction_is_written(corrected, tmp_path):
    js.write_pha(corrected, tmp_path / "w.pha")
    header = fits.getheader(tmp_path / "w.pha", 1)
    assert (header["CORRFILE"], header["CORRSCAL"]) == ("c.cor", 0.7)
    again = read_spectrum(tmp_path / "w.pha")
    assert np.allclose(bin_counts(again).rate, bin_counts(corrected).rate)
    js.write_pha(corrected.replace(corrscal=-2.0), tmp_path / "v.pha", corrfile="c.cor")
    assert read_spectrum(tmp_path / "v.pha").corrscal == -2.0
    (tmp_path / "x").mkdir()
    js.write_pha(corrected, tmp_path / "x/w.pha")  # where there is no such file
    header = fits.getheader(tmp_path / "x/w.pha", 1)
    assert (header["CORRFILE"], header["CORRSCAL"]) == ("none", 0.0)
