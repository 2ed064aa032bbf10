from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import toy_response, toy_spectrum

from jaxspec.errors import InputError
from jaxspec.reduce.bins import bin_counts, bin_edges, spectrum_bins
from jaxspec.reduce.group import _limited, group, resolution, ungroup
from jaxspec.reduce.select import ignore, ignore_bad, notice


def sizes(spectrum):
    index, n = spectrum_bins(spectrum)
    return np.bincount(index[index >= 0], minlength=n).tolist()


def test_min_counts():
    spectrum = toy_spectrum([3.0, 4, 9, 1, 1, 2, 8, 1, 0, 2])
    grouped = group(spectrum, min_counts=5)
    assert grouped.grouping.tolist() == [1, -1, 1, 1, -1, -1, -1, -1, -1, -1]
    assert bin_counts(grouped).counts.tolist() == [7, 9, 15]  # the last 3 counts are joined
    assert grouped.quality is None and spectrum.grouping is None
    assert ungroup(grouped).grouping is None


def test_too_few_counts_make_one_bin():
    assert sizes(group(toy_spectrum([1.0, 0, 1]), min_counts=5)) == [3]
    assert sizes(group(toy_spectrum(np.zeros(3)), min_snr=1)) == [3]


def test_factor():
    assert sizes(group(toy_spectrum(np.ones(10)), factor=4)) == [4, 4, 2]
    assert sizes(group(toy_spectrum(np.ones(10)), factor=4, min_counts=5)) == [10]
    assert sizes(group(toy_spectrum(np.ones(20)), factor=4, min_counts=5)) == [8, 12]


def test_min_snr_subtracts_the_background():
    counts = np.full(40, 10.0)
    plain = group(toy_spectrum(counts), min_snr=6)
    assert sizes(plain) == [4] * 10  # 40 / sqrt(40) = 6.3
    background = toy_spectrum(np.full(40, 8.0), exposure=2000.0)
    net = group(toy_spectrum(counts, background=background), min_snr=6)
    # n channels: 6 n / sqrt(12 n) >= 6 from n = 12
    assert sizes(net) == [12, 12, 16]
    bins = bin_counts(net)
    assert (bins.rate / np.sqrt(bins.rate_variance) >= 6).all()
    own = toy_spectrum(counts, poisserr=False, stat_err=np.full(40, 1.0))
    assert sizes(group(own, min_snr=15)) == [3] * 12 + [4]  # 10 n / sqrt(n) >= 15 from n = 3


def test_groups_stay_inside_the_noticed_ranges():
    spectrum = notice(toy_spectrum(np.ones(32)), "2-5, 8-12")  # 0.5 keV each
    grouped = group(spectrum, min_counts=4)
    low, high = bin_edges(grouped)
    assert low.tolist() == [2, 8, 10] and high.tolist() == [5, 10, 12]
    assert bin_counts(grouped).counts.tolist() == [6, 4, 4]
    assert sizes(grouped.replace(filters=())) == [1] * 4 + [6] + [1] * 6 + [4, 4] + [1] * 8
    again = group(group(spectrum, factor=3), min_counts=4)  # the old grouping does not matter
    assert np.array_equal(again.grouping, grouped.grouping)


def test_bad_channels_count_nothing_and_end_bins():
    """QUALITY 1 does not end a bin, 2 and 5 do; what does not reach the minimum is said."""
    quality = np.array([5, 0, 1, 1, 0, 0, 2, 0])
    spectrum = toy_spectrum(np.full(8, 3.0), quality=quality)
    grouped = group(spectrum, min_counts=6)
    assert spectrum_bins(grouped)[0].tolist() == [-1, 0, -1, -1, 0, 0, 1, 2]
    assert grouped.diagnostics[0].startswith("2 of the bins do not reach the minimum")
    strict = group(ignore_bad(grouped), min_counts=3)
    assert spectrum_bins(strict)[0].tolist() == [-1, 0, -1, -1, 1, 2, -1, 3]
    assert grouped.quality is spectrum.quality and strict.diagnostics == ()


def test_resolution_of_a_gaussian_response():
    for fwhm in (2.5, 6.0):
        width = resolution(toy_response(200, 400, fwhm=fwhm))
        assert np.allclose(width[20:180], fwhm, rtol=0.05)
    assert np.allclose(resolution(toy_response(50, 100)), 1.0, atol=0.5)


def test_resolution_passes_over_dead_rows():
    rsp = toy_response(60, 60, fwhm=4.0)
    dense = rsp.matrix.toarray()
    dense[20:25] = 0.0
    width = resolution(replace(rsp, matrix=scipy.sparse.csr_array(dense)))
    assert np.allclose(width[10:50], 4.0, rtol=0.05)
    empty = replace(rsp, matrix=scipy.sparse.csr_array(np.zeros_like(dense)))
    assert resolution(empty).tolist() == [1.0] * 60


def test_optimal_widths_by_hand():
    """Kaastra & Bleeker 2016, their approximation for x = ln[N_r (1 + 0.2 ln R)]."""
    n, fwhm = 1000, 80.0
    rsp = toy_response(n, n, fwhm=fwhm)
    for counts in (0.0, 0.02, 100.0, 1e6):
        spectrum = group(toy_spectrum(np.full(n, counts), response=rsp), optimal=True)
        middle = sizes(spectrum)[len(sizes(spectrum)) // 2]
        element = 1.314 * counts * fwhm
        x = np.log(element * (1 + 0.2 * np.log(n / fwhm))) if counts else -np.inf
        share = 1.0 if x <= 2.119 else (0.08 + 7.0 / x + 1.8 / x**2) / (1 + 5.9 / x)
        assert abs(middle - int(fwhm * share)) <= 1, counts
    assert middle <= 35  # bright spectra: well below the FWHM; faint ones: one FWHM


def test_no_bin_is_wider_than_any_of_its_channels_allows():
    opens = _limited(np.array([5, 5, 2, 5, 5, 5, 1, 3]))
    assert opens.tolist() == [True, False, True, False, True, False, True, True]


def test_optimal_with_minimum_counts():
    rsp = toy_response(128, 256, fwhm=6.0)
    counts = np.random.default_rng(1).poisson(30 * np.exp(-np.arange(128) / 20))
    spectrum = notice(toy_spectrum(counts, response=rsp), "1-14")
    alone = group(spectrum, optimal=True)
    joined = group(spectrum, optimal=True, min_counts=25)
    assert bin_counts(joined).counts.min() >= 25 > bin_counts(alone).counts.min()
    assert set(np.flatnonzero(joined.grouping == 1)) <= set(np.flatnonzero(alone.grouping == 1))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({}, "no rule for the grouping; give min_counts="),
        ({"factor": 2, "optimal": True}, "exclude each other"),
        ({"min_counts": 0}, "parameter min_counts: 0 is not positive"),
        ({"min_snr": np.nan}, "parameter min_snr: nan is not positive"),
        ({"factor": 1.5}, "parameter factor: 1.5 is not a whole number"),
    ],
)
def test_bad_rules(rule, text):
    with pytest.raises(InputError, match=text):
        group(toy_spectrum(np.ones(4)), **rule)


def test_optimal_needs_a_response():
    with pytest.raises(InputError, match="optimal grouping needs the resolution"):
        group(toy_spectrum(np.ones(4), response=None), optimal=True)
    assert sizes(group(toy_spectrum(np.ones(4), response=None), factor=2)) == [2, 2]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
    st.integers(1, 60),
    st.sampled_from([None, "2-9", "0-3, 10-12"]),
    st.sampled_from([{}, {"factor": 3}, {"optimal": True}]),
    st.randoms(use_true_random=False),
)
def test_grouping_keeps_counts_and_reaches_the_minimum(counts, least, selection, rule, random):
    quality = np.array([random.choice([0, 0, 0, 0, 2, 5]) for _ in counts])
    spectrum = toy_spectrum(counts, response=toy_response(len(counts), fwhm=3.0), quality=quality)
    if selection:
        spectrum = notice(spectrum, selection)
    before = bin_counts(spectrum)
    grouped = group(spectrum, min_counts=least, **rule)
    after = bin_counts(grouped)
    assert after.counts.sum() == before.counts.sum()
    assert grouped.filters == spectrum.filters and grouped.quality is spectrum.quality
    assert set(np.unique(grouped.grouping)) <= {-1, 1}
    kept_before, kept_after = spectrum_bins(spectrum)[0] >= 0, spectrum_bins(grouped)[0] >= 0
    assert np.array_equal(kept_before, kept_after)
    short = int((after.counts < least).sum())
    said = [note for note in grouped.diagnostics if "do not reach" in note]
    assert said == [] if not short else said[0].startswith(f"{short} of the bins")
    index = spectrum_bins(grouped)[0]
    for b in np.flatnonzero(after.counts < least):  # alone between what ends bins
        first, last = np.flatnonzero(index == b)[[0, -1]]
        for beside in (first - 1, last + 1):
            if 0 <= beside < len(index):
                assert quality[beside] != quality[first] or index[beside] < 0


def test_ignore_after_group_still_acts():
    grouped = group(toy_spectrum(np.ones(16)), factor=2)
    assert sizes(ignore(grouped, "3-5")) == [2, 2, 2, 2, 2, 2]
