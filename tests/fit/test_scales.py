"""Scales and systematic errors inside groups: fits against a code that goes channel by channel."""

import math

import numpy as np
import pytest
from toy import toy_response, toy_spectrum

import jaxspec as js
from jaxspec.report.compared import fit_arrays

N, SIZE = 24, 3
RESPONSE = toy_response(N, 60, fwhm=2.0)


def scaled(seed=3):
    """Counts of a power law with scales and systematic errors that change in every channel."""
    rng = np.random.default_rng(seed)
    areas = {key: rng.uniform(0.3, 1.0, N) for key in ("source", "background")}
    scales = {"source": rng.uniform(0.5, 2.0, N), "background": rng.uniform(4.0, 9.0, N)}
    behind = toy_spectrum(
        rng.poisson(20.0, N),
        response=None,
        exposure=700.0,
        areascal=areas["background"],
        backscal=scales["background"],
        sys_err=rng.uniform(0, 0.1, N),
    )
    (made,) = js.fake(
        "powerlaw",
        RESPONSE,
        1000.0,
        {"PhoIndex": 1.7, "norm": 0.05},
        behind,
        seed=seed,
        areascal=areas["source"],
        backscal=scales["source"],
    )
    return made.replace(
        grouping=np.where(np.arange(N) % SIZE, -1, 1),
        quality=np.where(np.arange(N) % 7 == 2, 1, 0),
        sys_err=rng.uniform(0, 0.1, N),
        background=behind,
    )


SPECTRUM = scaled()


def by_channel(spectrum, params):
    """Bins as lists of channels, and all that a statistic needs, without an array operation."""
    index, norm = params
    rsp, behind = spectrum.response, spectrum.background
    flux = []
    for lo, hi, area in zip(rsp.e_lo, rsp.e_hi, rsp.area, strict=True):
        flux.append(norm * (hi ** (1 - index) - lo ** (1 - index)) / (1 - index) * area)
    matrix = rsp.matrix.toarray()
    groups = []
    for i in range(N):
        if spectrum.quality[i] == 1:
            continue  # as if it were not in the file
        if spectrum.grouping[i] != -1 or not groups:
            groups.append([])
        groups[-1].append(i)
    for which in groups:
        counts, back = sum(spectrum.counts[which]), sum(behind.counts[which])
        area = counts / sum(spectrum.counts[i] / spectrum.areascal[i] for i in which)
        scale = counts / sum(spectrum.counts[i] / spectrum.backscal[i] for i in which)
        area_b = back / sum(behind.counts[i] / behind.areascal[i] for i in which)
        scale_b = back / sum(behind.counts[i] / behind.backscal[i] for i in which)
        expected = 0.0
        for i in which:
            rate = sum(flux[j] * matrix[j, i] for j in range(len(flux)))
            expected += spectrum.exposure * spectrum.areascal[i] * rate
        t_s = spectrum.exposure * area
        t_b = behind.exposure * area_b * scale_b / scale
        systematic = max(spectrum.sys_err[i] for i in which) * counts
        systematic_b = max(behind.sys_err[i] for i in which) * back
        yield counts, back, expected, t_s, t_b, systematic, systematic_b


def chi2(counts, back, expected, t_s, t_b, systematic, systematic_b):
    variance = (counts + systematic**2) / t_s**2 + (back + systematic_b**2) / t_b**2
    return (counts / t_s - back / t_b - expected / t_s) ** 2 / variance


def cash(counts, back, expected, *_):
    return 2 * (expected - counts + counts * math.log(counts / expected))


def pstat(counts, back, expected, t_s, t_b, *_):
    return cash(counts, back, expected + back * t_s / t_b)


@pytest.mark.parametrize("one", [chi2, cash, pstat])
def test_statistic(one):
    result = js.fit("powerlaw", SPECTRUM, stat=one.__name__)
    assert result.status[0] == 0 and result.n_bins[0] == 7  # one of 8 begins with QUALITY 1
    total = sum(one(*found) for found in by_channel(SPECTRUM, result.params[0]))
    assert result.stat[0] == pytest.approx(total, rel=1e-10)
    if one is chi2:
        drawn = fit_arrays(result)
        for i, (counts, back, expected, t_s, t_b, *_) in enumerate(
            by_channel(SPECTRUM, result.params[0])
        ):
            width = drawn.edges[1][i] - drawn.edges[0][i]
            net = counts / t_s - back / t_b
            assert drawn.data[i] == pytest.approx(net / width, rel=1e-10)
            assert drawn.model[i] == pytest.approx(expected / t_s / width, rel=1e-10)


def test_expected_counts_give_the_truth_for_any_grouping():
    """As in RGS spectra: every other channel has half of the area."""
    area = np.where(np.arange(N) % 2, 0.5, 1.0)
    truth = {"PhoIndex": 2.5, "norm": 0.5}
    ones = toy_spectrum(np.zeros(N), response=RESPONSE)
    model = js.Model("powerlaw")
    for name, value in truth.items():
        model[name].set(value)
    from jaxspec.estimate.simulate import expected_rates

    expected = expected_rates(model, RESPONSE)[0] * 1000.0 * area
    whole = ones.replace(counts=expected, areascal=area)
    sizes = (1, 2, 4, 5)
    data = [whole.replace(grouping=np.where(np.arange(N) % size, -1, 1)) for size in sizes]
    result = js.fit("powerlaw", data, stat="cash")
    np.testing.assert_allclose(result.stat, 0.0, atol=1e-9)
    np.testing.assert_allclose(result.params, 4 * [[2.5, 0.5]], rtol=1e-6)


def test_one_without_a_background_does_not_stop_the_others():
    """The row says why; if nothing can have the statistic, that is an error."""
    alone = SPECTRUM.replace(background=None, name="alone")
    data = js.SpectrumList([SPECTRUM, alone, SPECTRUM.replace(name="third")])
    for stat in ("pstat", ["pstat", "pgstat", "pstat"]):
        result = js.fit("powerlaw", data, stat=stat)
        assert result.status.tolist() == [0, js.Status.BAD_DATA, 0]
        assert "needs a background and none is loaded" in result.messages[1]
        assert result.messages[1].count("alone") == 0
    joint = js.fit("powerlaw", data, stat="pstat", joint=True)
    assert joint.status.tolist() == [0, js.Status.BAD_DATA, 0]
    with pytest.raises(js.InputError, match="alone: pstat needs a background"):
        js.fit("powerlaw", alone, stat="pstat")
    with pytest.raises(js.InputError, match="'pstatt' is not a statistic"):
        js.fit("powerlaw", data, stat="pstatt")
    with pytest.raises(js.FitError, match="alone: pstat needs a background"):
        js.fit("powerlaw", data, stat="pstat", on_error="raise")


def test_systematic_errors_of_a_list():
    data = js.SpectrumList([SPECTRUM.replace(sys_err=None, background=None)])
    assert js.fit("powerlaw", data).stat_names == ["cstat"]
    asked = data.systematic(0.05)
    result = js.fit("powerlaw", asked)
    assert result.stat_names == ["chi2"]
    assert any("systematic error (SYS_ERR)" in note for note in result.notes)
    bins = js.fit("powerlaw", data, stat="chi2")
    assert bins.stat[0] > result.stat[0]  # larger errors
    assert asked.systematic(0)[0].sys_err is None
    for bad in (-0.1, 1.0, 5, np.nan, "x", None):
        with pytest.raises(js.InputError, match="parameter systematic: .* is not a fraction"):
            data.systematic(bad)
