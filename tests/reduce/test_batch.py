"""Ragged to rectangular: what is padded, shared, cut and rejected."""

import numpy as np
import pytest
from toy import toy_response, toy_spectrum

import jaxspec as js
from jaxspec._status import Status
from jaxspec.likelihood.spectrum_prepare import make_batches
from jaxspec.reduce.batch import (
    MAX_BUCKETS,
    merge_shapes,
    pad_energies,
    padded,
    plan_lanes,
)
from jaxspec.reduce.bins import bin_counts
from jaxspec.reduce.fold import Patterns, find_pattern, fold
from jaxspec.reduce.select import notice
from jaxspec.reduce.stack import stack_counts


def plan(spectra, stats=None, few=1):
    rejected = {}

    def reject(row, status, message):
        rejected[row] = status

    lanes = plan_lanes(spectra, stats or ["cstat"] * len(spectra), few, reject)
    return lanes, rejected


def batches(spectra, model=None):
    model, rejected = model or js.Model("powerlaw"), []
    made = make_batches(
        model, spectra, ["cstat"] * len(spectra), 1, lambda *why: rejected.append(why)
    )
    assert not rejected
    return made


@pytest.mark.parametrize("n", [1, 7, 8, 27, 33, 100, 300, 1024, 4096])
def test_padding_is_small_and_stable(n):
    assert n <= padded(n) <= max(8, 1.34 * n)
    assert padded(padded(n)) == padded(n)


def test_few_shapes_are_left():
    shapes = {(8 * k, 64): [0] * 10**6 for k in range(1, 9)}
    merged = merge_shapes(shapes)
    assert len(merged) == MAX_BUCKETS
    assert sum(len(v) for v in merged.values()) == sum(len(v) for v in shapes.values())
    assert (64, 64) in merged


def test_shapes_of_few_lanes_share_one_compilation():
    assert list(merge_shapes({(8, 64): [0] * 100, (16, 32): [0] * 200})) == [(16, 64)]


def test_folding_equals_the_plain_sum():
    response = toy_response(n_channel=24, n_energy=50, fwhm=4.0)
    grouping = np.where(np.arange(24) % 3 == 0, 1, -1).astype(np.int16)
    spectrum = toy_spectrum(np.arange(24), response=response, grouping=grouping)
    spectrum = notice(spectrum, (4.0, 9.0))
    (lane,), _ = plan([spectrum])
    folding = fold(lane.plan, find_pattern(lane.plan, whole_grid=True))
    matrix = folding.dense()
    assert matrix.shape == folding.shape == (50, lane.plan.n_bins)
    dense = response.matrix.toarray() * response.area[:, None]
    index = lane.plan.index
    for k in range(lane.plan.n_bins):
        np.testing.assert_allclose(matrix[:, k], dense[:, index == k].sum(axis=1))
    cut = fold(lane.plan, find_pattern(lane.plan))
    assert len(cut.e_lo) <= 50
    first = np.searchsorted(response.e_lo, cut.e_lo[0])
    np.testing.assert_allclose(cut.dense(), matrix[first : first + len(cut.e_lo)])
    assert matrix.sum() == pytest.approx(cut.dense().sum())
    wide = cut.dense((64, lane.plan.n_bins + 3))
    np.testing.assert_array_equal(wide[: len(cut.e_lo), : lane.plan.n_bins], cut.dense())
    assert wide.sum() == pytest.approx(cut.dense().sum())


def test_responses_with_elements_at_the_same_places_share_a_pattern():
    one = toy_response(n_channel=24, n_energy=50, fwhm=4.0)
    other = one.replace(matrix=2.0 * one.matrix)
    narrow = toy_response(n_channel=24, n_energy=50, fwhm=None)
    spectra = [toy_spectrum(np.arange(24), response=r) for r in (one, other, narrow)]
    lanes, _ = plan(spectra)
    patterns = Patterns()
    first, second, third = (patterns.of(lane.plan) for lane in lanes)
    assert first is second and first is not third
    twice = fold(lanes[1].plan, second).dense()
    np.testing.assert_allclose(twice, 2 * fold(lanes[0].plan, first).dense())


def test_foldings_of_several_numbers_are_stacked():
    responses = [toy_response(fwhm=w) for w in (2.0, 3.0, 4.0)]
    (batch,) = batches([toy_spectrum(np.ones(32), response=r) for r in responses])
    assert batch.n_inputs == 3 and not batch.shared
    several = batch.gather(np.array([2, 0]))
    for k, number in enumerate((2, 0)):
        one = batch.gather(number)
        np.testing.assert_array_equal(several.matrix[k], one.matrix)
        np.testing.assert_array_equal(several.e_lo[k], one.e_lo)
        dense = responses[number].matrix.toarray() * responses[number].area[:, None]
        assert one.matrix.sum() == pytest.approx(dense.sum())


def test_energies_that_do_not_act_are_cut():
    spectrum = notice(toy_spectrum(np.ones(32)), (4.0, 6.0))  # diagonal response
    (batch,) = batches([spectrum])
    real = batch.gather(0).matrix.any(axis=1).sum()
    assert real < 10

    def scaled(inner, e_lo, e_hi, factor):
        return factor * inner(e_lo, e_hi)

    scaled = js.component(scaled, kind="con", parameters={"factor": (1.0, 0.0, 2.0)})
    (whole,) = batches([spectrum], js.Model("scaled*powerlaw", components=[scaled]))
    assert whole.gather(0).e_lo.shape[0] == padded(40)


def test_padded_energies_are_real():
    lo, hi = pad_energies(np.array([1.0, 2.0]), np.array([2.0, 4.0]), 8)
    assert (hi > lo).all()
    np.testing.assert_allclose(hi[:-1], lo[1:])


def test_equal_responses_are_stored_once():
    spectra = [toy_spectrum(np.full(32, k)) for k in range(20)]
    assert len({id(s.response) for s in spectra}) == 20
    (batch,) = batches(spectra)
    assert batch.n_inputs == 1
    assert batch.shared
    np.testing.assert_array_equal(batch.which, 0)


def test_lanes_keep_their_rows_and_counts():
    narrow = [toy_spectrum(np.full(10, k), name=f"n{k}") for k in range(3)]
    wide = [toy_spectrum(np.full(60, k), name=f"w{k}") for k in range(3)]
    spectra = [narrow[0], wide[0], narrow[1], wide[1], narrow[2], wide[2]]
    seen = {}
    for batch in batches(spectra):
        for k, row in enumerate(batch.index):
            seen[int(row)] = batch.bins.counts[k][batch.mask[k]]
    for row, spectrum in enumerate(spectra):
        np.testing.assert_array_equal(seen[row], spectrum.counts)


def test_stacked_counts_equal_those_one_by_one(rng):
    grouping = np.where(np.arange(32) % 4 == 0, 1, -1).astype(np.int16)
    spectra = []
    for k in range(5):
        background = toy_spectrum(
            rng.poisson(5, 32),
            exposure=500.0 + k,
            backscal=2.0,
            stat_err=np.full(32, 1.5),
            poisserr=False,
        )
        spectra.append(
            toy_spectrum(
                rng.poisson(30, 32), grouping=grouping, areascal=0.9, background=background
            )
        )
    lanes, _ = plan(spectra)
    stacked = stack_counts(spectra, lanes[0].plan)
    vector = [s.replace(areascal=np.full(32, 0.9)) for s in spectra]
    slow = stack_counts(vector, lanes[0].plan)
    for k, spectrum in enumerate(spectra):
        for name, value in bin_counts(spectrum)._asdict().items():
            np.testing.assert_allclose(getattr(stacked, name)[k], value, err_msg=name)
            np.testing.assert_allclose(getattr(slow, name)[k], value, err_msg=name)


def test_what_cannot_be_fitted_is_rejected_with_its_reason():
    good = toy_spectrum(np.ones(32))
    values = good.response.matrix.data.copy()
    values[3] = np.nan
    matrix = good.response.matrix.copy()
    matrix.data = values
    holes = good.response.replace(matrix=matrix)
    short = toy_spectrum(np.ones(8), response=None).replace(response=good.response)
    spectra = {
        Status.NO_DATA: notice(good, (200.0, 300.0)),
        Status.FEW_COUNTS: notice(good, (4.0, 4.1)),
        Status.NO_RESPONSE: good.replace(response=None),
        Status.NAN_MODEL: good.replace(response=holes),
        Status.BAD_DATA: good.replace(counts=np.where(np.arange(32) == 2, np.nan, 1.0)),
    }
    lanes, rejected = plan([*spectra.values(), good], few=2)
    assert list(rejected.values()) == list(spectra)
    assert [lane.row for lane in lanes] == [5]
    _, rejected = plan([good.replace(counts=good.counts - 2)])
    assert set(rejected.values()) == {Status.BAD_DATA}
    _, rejected = plan([short.replace(channel=np.arange(100, 108))])
    assert rejected == {0: Status.BAD_DATA}
