import csv
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import toy_response, toy_spectrum

from jaxspec._types import Filter
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import predict
from jaxspec.likelihood.statistics import statistic
from jaxspec.model.model import Model
from jaxspec.reduce.bins import (
    bin_counts,
    bin_edges,
    channel_columns,
    exposures,
    make_bins,
    net_rate,
    spectrum_bins,
    sum_bins,
)
from jaxspec.reduce.channels import bin_index
from jaxspec.reduce.select import ignore, ignore_bad, notice, notice_all

CHANNEL = np.arange(8)
BAD = Filter("ignore", "bad", ())


@pytest.mark.parametrize(
    ("grouping", "quality", "filters", "expected"),
    [
        (None, None, (), [0, 1, 2, 3, 4, 5, 6, 7]),
        (None, [0, 1, 2, 5, 0, 0, 0, 0], (), [0, -1, 1, -1, 2, 3, 4, 5]),
        (None, [0, 1, 2, 5, 0, 0, 0, 0], (BAD,), [0, -1, -1, -1, 1, 2, 3, 4]),
        ([1, -1, -1, 1, -1, 0, 0, 1], None, (), [0, 0, 0, 1, 1, 2, 3, 4]),
        ([-1, -1, 1, 1, 1, 1, 1, 1], None, (), [0, 0, 1, 2, 3, 4, 5, 6]),
        ([1, -1, -1, 1, -1, 1, -1, -1], [5, 0, 1, 5, 5, 0, 2, 0], (), [-1, 0, -1, -1, -1, 1, 2, 3]),
        (
            [1, -1, -1, 1, -1, 1, -1, -1],
            [5, 0, 1, 5, 5, 0, 2, 0],
            (BAD,),
            [-1, 0, -1, -1, -1, 1, -1, 2],
        ),
        # QUALITY 2, 3, 4 and 5 split a group, whatever is next to them; two of one kind do not
        (
            [1, -1, -1, -1, -1, -1, -1, -1],
            [0, 0, 2, 2, 3, 5, 5, 0],
            (),
            [0, 0, 1, 1, 2, -1, -1, 3],
        ),
        (
            [1, -1, -1, -1, 1, -1, -1, -1],
            [0, 0, 2, 0, 0, 0, 0, 0],
            (BAD,),
            [0, 0, -1, 1, 2, 2, 2, 2],
        ),
        # QUALITY 1 is as if it were not there, its GROUPING included, between others too
        ([1, -1, -1, -1, 1, -1, -1, -1], [0, 0, 1, 0, 0, 0, 0, 0], (), [0, 0, -1, 0, 1, 1, 1, 1]),
        ([1, -1, 1, -1, 1, -1, -1, -1], [0, 0, 1, 0, 0, 2, 1, 2], (), [0, 0, -1, 0, 1, 2, -1, 2]),
        # GROUPING -1 after nothing begins a bin
        ([1, -1, -1, -1, 1, -1, -1, -1], [1, 1, 0, 0, 5, 0, 0, 0], (), [-1, -1, 0, 0, -1, 1, 1, 1]),
        # ordinals do not count channels of QUALITY 1
        (
            None,
            [1, 0, 5, 0, 0, 0, 0, 0],
            (Filter("ignore", "bin", ((1, 3),)),),
            [-1, -1, -1, -1, 0, 1, 2, 3],
        ),
        (None, [1] * 8, (), [-1] * 8),
        (
            [1, -1, 1, -1, 1, -1, 1, -1],
            None,
            (Filter("notice", "bin", ((2, 3),)),),
            [-1, -1, 0, 0, 1, 1, -1, -1],
        ),
        (
            [1, -1, 1, -1, 1, -1, 1, -1],
            None,
            (Filter("ignore", "channel", ((3, 3),)),),
            [0, 0, -1, -1, 1, 1, 2, 2],
        ),
        # ordinals count bad bins; a bad channel does not stretch the range of its bin
        (
            None,
            [5, 0, 0, 0, 0, 0, 0, 0],
            (Filter("ignore", "bin", ((1, 2),)),),
            [-1, -1, 0, 1, 2, 3, 4, 5],
        ),
        (
            [1, -1, 1, 1, 1, 1, 1, 1],
            [0, 5, 0, 0, 0, 0, 0, 0],
            (Filter("ignore", "channel", ((1, 1),)),),
            [0, -1, 1, 2, 3, 4, 5, 6],
        ),
    ],
)
def test_bin_index(grouping, quality, filters, expected):
    grouping = None if grouping is None else np.array(grouping)
    quality = None if quality is None else np.array(quality)
    index, n = bin_index(grouping, quality, filters, None, None, CHANNEL)
    assert index.tolist() == expected
    assert n == max(expected) + 1


def walk(grouping, quality, bad):
    """Bins as lists of channels, by walking over the channels that are there."""
    bins, before = [], None
    for i, (flag, kind) in enumerate(zip(grouping, quality, strict=True)):
        if kind == 1:
            continue
        if flag != -1 or kind != before:
            bins.append([])
        bins[-1].append(i)
        before = kind
    dropped = (2, 3, 4, 5) if bad else (5,)
    return [which for which in bins if quality[which[0]] not in dropped]


@pytest.mark.parametrize("filters", [(), (BAD,)])
def test_bins_are_those_of_a_walk(filters):
    rng = np.random.default_rng(1)
    for _ in range(100):
        grouping = rng.choice([1, -1, -1, -1, 0], 40)
        quality = rng.choice([0, 0, 0, 0, 0, 1, 2, 3, 5], 40)
        index, n = bin_index(grouping, quality, filters, None, None, np.arange(40))
        got = [np.flatnonzero(index == b).tolist() for b in range(n)]
        assert got == walk(grouping, quality, bool(filters))


def test_flags_of_another_length():
    with pytest.raises(InputError, match="QUALITY has 3 values for 8 channels"):
        bin_index(None, np.zeros(3), (), None, None, CHANNEL)
    with pytest.raises(InputError, match="GROUPING has 9 values for 8 channels"):
        bin_index(np.ones(9), None, (), None, None, CHANNEL)


def test_energy_ranges_act_on_overlapping_bins():
    spectrum = toy_spectrum(np.ones(16), grouping=np.array([1, -1] * 8))  # 8 bins of 2 keV
    low, high = bin_edges(spectrum)
    assert low[:2].tolist() == [0.0, 2.0] and high[-1] == 16.0
    assert bin_edges(notice(spectrum, "3-7"))[0].tolist() == [2.0, 4.0, 6.0]
    assert bin_edges(ignore(spectrum, "3-7"))[0].tolist() == [0.0, 8.0, 10.0, 12.0, 14.0]
    assert bin_edges(notice(spectrum, "4-6"))[0].tolist() == [4.0]  # an edge alone is no overlap
    two = notice(spectrum, "0-3, 10-11")
    assert bin_edges(two)[0].tolist() == [0.0, 2.0, 10.0]
    assert bin_edges(notice(two, "2-12"))[0].tolist() == [2.0, 10.0]  # notice narrows
    assert spectrum_bins(notice_all(two))[1] == 8
    inner = notice(spectrum, "**-6 8-**")
    assert bin_edges(inner)[0].tolist() == [0.0, 2.0, 4.0, 8.0, 10.0, 12.0, 14.0]


def test_filters_survive_regrouping():
    spectrum = notice(toy_spectrum(np.arange(16.0)), "4-12")
    assert bin_counts(spectrum).counts.tolist() == list(range(4, 12))
    for factor in (2, 4):
        grouped = spectrum.replace(grouping=np.where(np.arange(16) % factor, -1, 1))
        assert bin_counts(grouped).counts.sum() == sum(range(4, 12))
        assert spectrum_bins(grouped)[1] == 8 // factor


def test_descending_energies():
    rsp = toy_response(8)
    from dataclasses import replace

    down = replace(rsp, e_min=rsp.e_max[::-1], e_max=rsp.e_min[::-1])
    spectrum = notice(toy_spectrum(np.arange(8.0), response=down), "0-5")
    low, high = bin_edges(spectrum)
    assert low.tolist() == [4.0, 2.0, 0.0] and high.tolist() == [6.0, 4.0, 2.0]


def test_counts_errors_and_exposures():
    background = toy_spectrum(
        [2.0, 4, 6, 8],
        exposure=500.0,
        poisserr=False,
        stat_err=np.array([0.5, 1, 1, 2]),
        backscal=4.0,
        areascal=2.0,
    )
    spectrum = toy_spectrum(
        [10.0, 20, 30, 40],
        background=background,
        backscal=0.5,
        areascal=3.0,
        sys_err=np.array([0.1, 0.0, 0.1, 0.2]),
        grouping=np.array([1, -1, 1, -1]),
    )
    bins = bin_counts(spectrum)
    assert bins.counts.tolist() == bins.variance.tolist() == [30, 70]
    assert bins.background.tolist() == [6, 14]
    assert bins.background_variance.tolist() == [1.25, 5]
    assert bins.t_s.tolist() == [3000, 3000]
    assert bins.t_b.tolist() == [8000, 8000]  # 500 x 2 x 4 / 0.5
    np.testing.assert_allclose(bins.systematic, np.array([3.0, 14.0]) ** 2 / 3000**2)
    np.testing.assert_allclose(bins.rate, np.array([30, 70]) / 3000 - np.array([6, 14]) / 8000)
    variance = np.array([30, 70]) / 3000**2 + np.array([1.25, 5]) / 8000**2 + bins.systematic
    np.testing.assert_allclose(bins.rate_variance, variance)
    rate, error = net_rate(spectrum)
    assert rate == pytest.approx(100 / 1000 - 20 * 3 / 8000)
    assert error**2 == pytest.approx(100e-6 + 6.25 * 9 / 8000**2 + (3**2 + 14**2) * 1e-6)
    assert sum_bins(spectrum.counts, *spectrum_bins(spectrum)).tolist() == [30, 70]


def test_vector_scalings():
    """A constant vector is the scalar; otherwise a bin has the mean over its counts."""
    background = toy_spectrum(np.ones(4), backscal=np.array([1.0, 2, 3, 0]))
    spectrum = toy_spectrum(
        np.ones(4) * 5,
        background=background,
        backscal=np.full(4, 0.5),
        grouping=np.array([1, -1, 1, 1]),
    )
    bins = bin_counts(spectrum)
    np.testing.assert_allclose(bins.t_b, [2000 / 0.75, 6000, 0])  # 2 / (1/1 + 1/2) is 4/3
    assert bins.rate[2] == 5 / 1000  # nothing is known of the background there
    assert np.isfinite(np.stack(bins)).all()
    scalar = bin_counts(spectrum.replace(backscal=0.5))
    np.testing.assert_allclose(scalar.t_b, bins.t_b, rtol=1e-14)
    rate, _ = net_rate(spectrum)
    assert rate == pytest.approx(20 / 1000 - 1 / 2000 - 1 / 4000 - 1 / 6000)
    none = exposures(spectrum.replace(backscal=np.array([0.0, 1, 1, 1])))[1]
    assert none[0] == 0 and np.all(none[1:3] > 0)


def channel_by_channel(spectrum, which):
    """XSPEC's sums over one bin, a channel after the other: counts, systematic error, scales.

    ``which`` are its channels. Gives total, fraction, and the AREASCAL and BACKSCAL of the bin.
    """
    total = fraction = per_area = per_back = 0.0
    for i in which:
        total += spectrum.counts[i]
        fraction = max(fraction, 0.0 if spectrum.sys_err is None else spectrum.sys_err[i])
        per_area += spectrum.counts[i] / spectrum.areascal[i]
        per_back += spectrum.counts[i] / spectrum.backscal[i]
    if total == 0:
        inverse = [
            sum(1 / scale[i] for i in which) for scale in (spectrum.areascal, spectrum.backscal)
        ]
        return total, fraction, len(which) / inverse[0], len(which) / inverse[1]
    return total, fraction, total / per_area, total / per_back


def scaled_spectrum(seed=3, n=24, **fields):
    """A grouped spectrum whose scales and systematic errors change from channel to channel."""
    rng = np.random.default_rng(seed)
    scales = {"areascal": rng.uniform(0.3, 1.0, n), "backscal": rng.uniform(0.5, 2.0, n)}
    behind = {"areascal": rng.uniform(0.3, 1.0, n), "backscal": rng.uniform(3.0, 9.0, n)}
    background = toy_spectrum(
        rng.poisson(2.0, n) * (np.arange(n) > 4),
        sys_err=rng.uniform(0, 0.2, n),
        exposure=700.0,
        **behind,
    )
    fields = {"grouping": np.where(np.arange(n) % 3, -1, 1), "background": background} | fields
    counts = rng.poisson(9.0, n) * (np.arange(n) > 3)
    return toy_spectrum(counts, sys_err=rng.uniform(0, 0.1, n), **scales, **fields)


@pytest.mark.parametrize("quality", [None, np.where(np.arange(24) % 7 == 2, 1, 0)])
def test_bins_are_those_of_a_loop_over_channels(quality):
    """Systematic errors and scales inside groups, against a loop that knows no arrays."""
    spectrum = scaled_spectrum(quality=quality)
    index, n = spectrum_bins(spectrum)
    bins, behind = bin_counts(spectrum), spectrum.background
    for b in range(n):
        which = np.flatnonzero(index == b)
        total, fraction, area, back = channel_by_channel(spectrum, which)
        total_b, fraction_b, area_b, back_b = channel_by_channel(behind, which)
        t_s, t_b = 1000.0 * area, 700.0 * area_b * back_b / back
        assert bins.counts[b] == total and bins.background[b] == total_b
        assert bins.t_s[b] == pytest.approx(t_s, rel=1e-12)
        assert bins.t_b[b] == pytest.approx(t_b, rel=1e-12)
        assert bins.systematic[b] == pytest.approx((fraction * total / t_s) ** 2, rel=1e-12)
        variance = total_b + (fraction_b * total_b) ** 2
        assert bins.background_variance[b] == pytest.approx(variance, rel=1e-12)
    assert bins.counts.min() == 0 < bins.background.max()  # the mean without counts is tested too
    area = np.array([channel_by_channel(spectrum, np.flatnonzero(index == b))[2] for b in range(n)])
    rate, error = net_rate(spectrum)
    net = bins.counts / 1000 - area * bins.background / bins.t_b
    assert rate == pytest.approx(net.sum(), rel=1e-12)
    assert error**2 == pytest.approx((area**2 * bins.rate_variance).sum(), rel=1e-12)


def test_net_spectra_have_plain_means():
    areas = np.array([0.2, 0.6])
    group = np.array([1, -1])
    kept = toy_spectrum([1.0, 3.0], areascal=areas, grouping=group)
    assert bin_counts(kept).t_s == pytest.approx(1000 * 4 / (1 / 0.2 + 3 / 0.6))
    net = kept.replace(header={"HDUCLAS2": "NET"})
    assert bin_counts(net).t_s == pytest.approx(400.0)
    below = kept.replace(counts=np.array([-1.0, 3.0]))
    assert bin_counts(below).t_s == pytest.approx(400.0)


def test_models_are_folded_channel_by_channel():
    """Expected counts of a bin are the sum of T AREASCAL_i m_i, however few counts there are."""
    spectrum = scaled_spectrum(quality=np.where(np.arange(24) % 7 == 2, 1, 0))
    index, n = spectrum_bins(spectrum)
    model, values = Model("powerlaw"), [1.5, 2.0]
    rsp, expected = spectrum.response, np.zeros(n)
    flux = 2.0 * (rsp.e_hi**-0.5 - rsp.e_lo**-0.5) / -0.5 * rsp.area
    for i, b in enumerate(index):
        if b >= 0:
            per_channel = sum(flux[j] * rsp.matrix[j, i] for j in range(len(flux)))
            expected[b] += 1000.0 * spectrum.areascal[i] * per_channel
    got = predict(model, spectrum, values) * bin_counts(spectrum).t_s
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    alone = spectrum.replace(grouping=None)
    plain = predict(model, alone, values)
    np.testing.assert_array_equal(plain, predict(model, alone.replace(areascal=1.0), values))


def test_ignore_everything_then_notice():
    """As in XSPEC: after ``ignore **-**`` every notice adds; else it narrows."""
    spectrum = toy_spectrum(np.ones(16), quality=np.where(np.arange(16) == 5, 5, 0))
    nothing = ignore(spectrum, "**-**")
    assert spectrum_bins(nothing)[1] == 0
    low, _ = bin_edges(notice(nothing, "3-8"))
    assert low.tolist() == [3.0, 4.0, 6.0, 7.0]
    both = notice(notice(nothing, "2-4"), "6-8")
    assert bin_edges(both)[0].tolist() == [2.0, 3.0, 6.0, 7.0]
    assert bin_edges(ignore(both, "7-9"))[0].tolist() == [2.0, 3.0, 6.0]
    again = notice(ignore(both, channels="**-**"), channels="1-2")
    assert bin_edges(again)[0].tolist() == [1.0, 2.0]


def test_no_background():
    bins = bin_counts(toy_spectrum(np.arange(4.0), areascal=2.0))
    assert bins.t_b.tolist() == bins.t_s.tolist() == [2000] * 4
    assert not bins.background.any()


def test_everything_dropped():
    spectrum = toy_spectrum(np.ones(4), quality=np.full(4, 5))
    assert spectrum_bins(spectrum)[1] == 0
    assert bin_counts(spectrum).counts.shape == (0,) == bin_edges(spectrum)[0].shape
    assert net_rate(spectrum) == (0.0, 0.0)


def test_channels_of_the_response():
    rsp = toy_response(10, first=1)
    part = toy_spectrum(np.ones(4), response=rsp, first=5)
    assert channel_columns(part).tolist() == [4, 5, 6, 7]
    assert bin_edges(part)[0].tolist() == rsp.e_min[4:8].tolist()
    for first in (0, 2):  # equally many, and one of another number
        shifted = toy_spectrum(np.ones(10), response=rsp, first=first)
        with pytest.raises(InputError, match=f"channel {0 if first == 0 else 11} is not there"):
            channel_columns(shifted)
        named = shifted.replace(response=rsp.replace(channel=shifted.channel))
        assert channel_columns(named).tolist() == list(range(10))
    with pytest.raises(InputError, match="has 12 channels, 0 to 11, and its response toy.rsp 10"):
        bin_edges(toy_spectrum(np.ones(12), response=rsp))


def test_channels_in_another_order_are_found_by_number():
    """A spectrum made by hand whose channels descend is the one whose channels ascend."""
    up = toy_spectrum(np.arange(8.0))
    down = up.replace(channel=up.channel[::-1], counts=up.counts[::-1])
    assert channel_columns(down).tolist() == up.channel[::-1].tolist()
    np.testing.assert_array_equal(bin_edges(down)[0], bin_edges(up)[0][::-1])


def test_background_of_another_length():
    with pytest.raises(InputError, match="background: has 5 channels and the spectrum 4"):
        toy_spectrum(np.ones(4), background=toy_spectrum(np.ones(5), name="b"))
    with pytest.raises(InputError, match="background: has channel 0 where the spectrum has 1"):
        toy_spectrum(np.ones(4), first=1, background=toy_spectrum(np.ones(4), name="b"))


def test_energies_need_a_response():
    with pytest.raises(InputError, match="no response is loaded"):
        bin_index(None, None, (Filter("notice", "keV", ((1, 2),)),), None, None, CHANNEL)
    low, high = bin_edges(toy_spectrum(np.ones(3), response=None))
    assert low.tolist() == [-0.5, 0.5, 1.5] and high.tolist() == [0.5, 1.5, 2.5]


flags = st.lists(
    st.tuples(st.sampled_from([1, -1, 0]), st.sampled_from([0, 0, 0, 1, 2, 5])),
    min_size=1,
    max_size=24,
)
step = st.builds(
    lambda kind, lo, width: Filter(kind, "keV", ((lo, lo + width),)),
    st.sampled_from(["notice", "ignore"]),
    st.floats(0, 16),
    st.floats(0.1, 16),
)


@settings(max_examples=150, deadline=None)
@given(flags, st.lists(st.one_of(step, st.just(BAD)), max_size=3), st.integers(0, 9))
def test_bins_partition_the_kept_channels(flags, filters, seed):
    grouping, quality = (np.array(x) for x in zip(*flags, strict=True))
    counts = np.random.default_rng(seed).poisson(3.0, len(flags))
    spectrum = toy_spectrum(counts, grouping=grouping, quality=quality, filters=tuple(filters))
    index, n = spectrum_bins(spectrum)
    kept = index[index >= 0]
    assert set(kept) == set(range(n)) and (np.diff(kept) >= 0).all()
    assert not np.isin(quality[index >= 0], [1, 5]).any()
    bins = bin_counts(spectrum)
    assert bins.counts.sum() == counts[index >= 0].sum()
    low, high = bin_edges(spectrum)
    assert (low < high).all()
    assert list(zip(low, high, strict=True)) == _left(spectrum)


def _left(spectrum):
    """Edges of the bins that the steps leave, one bin after the other.

    A notice narrows; once an ignore has left nothing, notices add what they name.
    """
    bad = tuple(f for f in spectrum.filters if f.unit == "bad")
    all_of_them = list(zip(*bin_edges(spectrum.replace(filters=bad)), strict=True))
    left, adds = list(all_of_them), False
    for step in spectrum.filters:
        for lo, hi in step.ranges:
            inside = [(a, b) for a, b in all_of_them if b > lo and a < hi]
            if step.kind == "ignore":
                left = [one for one in left if one not in inside]
            elif adds:
                left = [one for one in all_of_them if one in left or one in inside]
            else:
                left = [one for one in left if one in inside]
        adds = adds or (step.kind == "ignore" and not left and len(step.ranges) > 0)
    return left


def test_make_bins_broadcasts():
    bins = make_bins([1.0, 2.0], t_s=4.0, background=1.0, t_b=2.0)
    assert all(x.shape == (2,) for x in bins)
    assert make_bins([1.0], t_s=0.0).rate_variance[0] == 0.0


# Real data ------------------------------------------------------------------------------------


def read(path, **options):
    return pytest.importorskip("jaxspec.read.ogip").read_spectrum(path, **options)


def test_s54405(data_dir):
    """XSPEC manual: 125 channels, 85 after `ignore bad`, 45 after `ignore 15-**`; net rate."""
    folder = data_dir / "xray_spectra" / "xspec_walkthrough"
    spectrum = read(folder / "s54405.pha", response=folder / "s54405.rsp")
    # XSPEC prints the net rate before `ignore bad`, the 40 channels of QUALITY 5 included
    rate, error = net_rate(spectrum.replace(quality=None))
    assert rate == pytest.approx(3.783, abs=5e-4) and error == pytest.approx(0.1367, abs=5e-5)
    assert spectrum_bins(ignore_bad(spectrum))[1] == 85
    selected = ignore(ignore_bad(spectrum), "15-**")
    index, n = spectrum_bins(selected)
    assert n == 45
    assert np.flatnonzero(index[2:] < 0)[0] + 3 == 48  # ordinals 48-125 are out


def test_sacmult(data_dir):
    file = data_dir / "rxte_pca" / "misc" / "sacmult.pha"
    rate, error = net_rate(read(f"{file}{{2}}", background=None, response=None))
    assert rate == pytest.approx(2.023, abs=5e-4) and error == pytest.approx(0.1257, abs=5e-5)


def test_grs1915_net_rates(data_dir, tmp_path):
    """XSPEC's net rate and error of 554 observations in three bands, to their printed digits."""
    folder = data_dir / "rxte_pca"
    with tarfile.open(folder / "grs1915_pcu2.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    text = (folder / "grs1915_xspec_reference.csv").read_text()
    table = list(csv.DictReader(text.splitlines()))
    where = {p.parent.name: p.parent for p in tmp_path.rglob("src_pcu2.pha")}
    assert len(table) == len(where) == 554
    worst = 0.0
    for row in table:
        place = where[row["obsid"]]
        spectrum = read(place / "src_pcu2.pha", background=place / "bkg_pcu2.pha", response=None)
        for band in ("soft", "hard", "broad"):
            first, last = int(row[f"{band}_ch0"]), int(row[f"{band}_ch1"])
            got = net_rate(notice(spectrum, bins=(first, last)))
            expected = float(row[f"{band}_rate"]), float(row[f"{band}_err"])
            worst = max(worst, *(abs(g / e - 1) for g, e in zip(got, expected, strict=True)))
    assert worst < 5e-4


def power_law_rate(spectrum, index, norm):
    """Folded power law without absorption, per channel (closed form on the response's bins)."""
    rsp, a = spectrum.response, 1.0 - index
    return norm * ((rsp.e_hi**a - rsp.e_lo**a) / a * rsp.area) @ rsp.matrix


@pytest.mark.parametrize(
    ("grouped", "selection", "scale", "n", "floor", "expected"),
    [
        (True, None, None, 46, 1e-5, 62.12275005769554),
        (True, "**-0.5, 3-4, 7-**", None, 35, 1e-5, 39.84715083397662),
        (False, None, None, 1024, 1e-25, 652.9968167212116),
        (False, "**-0.5, 3-4, 7-**", None, 375, 1e-5, 416.0601496345599),
        (True, None, 0.9, 46, 1e-5, 71.21845954979574),
        (False, None, 0.9, 1024, 1e-25, 663.0160968458746),
    ],
)
def test_3c273_wstat(data_dir, grouped, selection, scale, n, floor, expected):
    """Sherpa's wstat totals; it has no floor, which shows in the 259 dead channels above 11 keV."""
    spectrum = read(data_dir / "xray_spectra" / "chandra" / "3c273.pi")
    if not grouped:
        spectrum = spectrum.replace(grouping=None)
    if selection:
        spectrum = ignore(spectrum, selection)
    model = (1.782, 1.622e-4)
    if scale:
        model = (1.7, 1.7e-4)
        spectrum = spectrum.replace(backscal=np.full(1024, spectrum.backscal * scale))
    index, count = spectrum_bins(spectrum)
    assert count == n
    bins = bin_counts(spectrum)
    values = statistic(
        "wstat",
        counts=bins.counts,
        background=bins.background,
        exposure=bins.t_s,
        background_exposure=bins.t_b,
        rate=sum_bins(power_law_rate(spectrum, *model), index, n),
        floor=floor,
    )
    assert values.sum() == pytest.approx(expected, rel=1e-11)


def test_3c273_band(data_dir):
    spectrum = read(data_dir / "xray_spectra" / "chandra" / "3c273.pi")
    bins = bin_counts(spectrum)
    assert (bins.rate * bins.t_s).sum() == pytest.approx(706.85714, abs=1e-5)
    assert spectrum_bins(notice(spectrum, "0.1-6"))[1] == 44


def test_bad_channels_inside_groups(data_dir):
    """ASCA: XSPEC 12.14.1 has 71 bins and a chi-square of 69.34 (wabs(.05)*powerlaw, published)."""
    folder = data_dir / "xray_spectra" / "asca"
    spectrum = read(folder / "s0_mar24_bin.pha", background=None)
    index, n = spectrum_bins(ignore(spectrum, "7-**"))  # 16 bad channels after channel 0
    assert n == 72 and np.flatnonzero(index == 0).tolist() == [0]
    selected = ignore(spectrum, "**-0.5 7.0-**")
    assert spectrum_bins(selected)[1] == 71
    low, high = bin_edges(selected)
    assert 0.5 * (low + high)[0] == pytest.approx(0.514538884, abs=1e-6)
    assert 0.5 * (high - low)[1] == pytest.approx(0.0286426246, abs=1e-6)
    model = Model("phabs*powerlaw")
    rate = predict(model, selected, [0.05, 1.7, 2.7e-4])
    bins = bin_counts(selected)
    assert ((bins.rate - rate) ** 2 / bins.rate_variance).sum() == pytest.approx(69.34, abs=0.005)
