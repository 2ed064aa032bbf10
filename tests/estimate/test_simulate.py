"""`fake`: the numbers follow the model, the background and the seed."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import kstest

from jaxspec import InputError, Model, Response, Spectrum, fake
from jaxspec.estimate.simulate import expected_rates
from jaxspec.likelihood.forward import AT_ONCE
from jaxspec.likelihood.spectrum_prepare import FILL
from jaxspec.reduce.bins import bin_counts


def make_response(n_energy=40, n_channel=20):
    edges = np.geomspace(1.0, 20.0, n_energy + 1)
    bounds = np.geomspace(1.0, 20.0, n_channel + 1)
    middle = np.sqrt(edges[1:] * edges[:-1])
    centre = np.sqrt(bounds[1:] * bounds[:-1])
    matrix = np.exp(-0.5 * ((middle[:, None] - centre) / (0.2 * middle[:, None])) ** 2)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Response(
        e_lo=edges[:-1],
        e_hi=edges[1:],
        matrix=sp.csr_array(matrix),
        area=100.0 * (1 + 0.1 * middle),
        channel=np.arange(n_channel),
        e_min=bounds[:-1],
        e_max=bounds[1:],
    )


RESPONSE = make_response()


def powerlaw(index, norm=1.0):
    """Closed form of the integral over each bin."""
    lo, hi = RESPONSE.e_lo, RESPONSE.e_hi
    return norm * (hi ** (1 - index) - lo ** (1 - index)) / (1 - index)


def make_background(poisserr=True, **changes):
    counts = np.linspace(30.0, 400.0, 20)
    error = None if poisserr else np.full(20, 6.0)
    back = Spectrum("back", np.arange(20), counts, 500.0, stat_err=error, poisserr=poisserr)
    return back.replace(**changes)


def folded(flux):
    """Counts/s of fluxes (..., n_energy), as the definition says."""
    return (np.asarray(flux) * RESPONSE.area) @ RESPONSE.matrix.toarray()


def test_rates_of_many_parameter_sets():
    index = np.array([1.2, 1.7, 2.5])
    rates = expected_rates("powerlaw", RESPONSE, {"PhoIndex": index, "norm": 3.0})
    expected = folded([powerlaw(i, 3.0) for i in index])
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_rates_in_chunks_are_the_same(monkeypatch):
    args = ("powerlaw", RESPONSE, {"PhoIndex": np.linspace(1.1, 3.0, 7)})
    whole = expected_rates(*args)
    monkeypatch.setattr("jaxspec.likelihood.forward.AT_ONCE", 3 * len(RESPONSE.e_lo))
    np.testing.assert_allclose(expected_rates(*args), whole, rtol=1e-13)
    assert AT_ONCE > 3 * len(RESPONSE.e_lo)


def test_links_and_values_of_the_model_hold():
    model = Model("powerlaw+powerlaw")
    model["powerlaw.norm"].set(2.0)
    model["powerlaw_2.PhoIndex"].link_to("powerlaw.PhoIndex + 1")
    model["powerlaw_2.norm"].freeze(0.5)
    rates = expected_rates(model, RESPONSE, {"powerlaw.PhoIndex": [1.5, 2.5]})
    expected = folded([powerlaw(i, 2.0) + powerlaw(i + 1, 0.5) for i in (1.5, 2.5)])
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    with pytest.raises(InputError, match="is linked"):
        expected_rates(model, RESPONSE, {"powerlaw_2.PhoIndex": 2.0})


def test_folding_dense_and_sparse_agree(monkeypatch):
    expected = folded([powerlaw(1.3, 2.0), powerlaw(2.2, 2.0)])
    args = ("powerlaw", RESPONSE, {"PhoIndex": [1.3, 2.2], "norm": 2.0})
    np.testing.assert_allclose(expected_rates(*args), expected, rtol=1e-13)
    monkeypatch.setattr("jaxspec.likelihood.spectrum_prepare.LARGE", 0)
    monkeypatch.setattr("jaxspec.likelihood.spectrum_prepare.FILL", 2.0)
    np.testing.assert_allclose(expected_rates(*args), expected, rtol=1e-13)
    assert FILL < 1.0


def test_counts_are_poisson_around_the_model():
    n = 4000
    spectra = fake("powerlaw", RESPONSE, np.full(n, 3.0), {"PhoIndex": 1.8}, seed=4)
    counts = np.array([s.counts for s in spectra])
    mean = 3.0 * folded(powerlaw(1.8))
    assert np.all(abs(counts.mean(axis=0) - mean) < 4.5 * np.sqrt(mean / n))
    ratio = counts.var(axis=0) / mean
    assert np.all(abs(ratio - 1) < 6 * np.sqrt(2 / n))
    assert np.all(counts == np.round(counts))


def test_one_and_many():
    one = fake("powerlaw", RESPONSE, 10.0, seed=1, name="only")
    assert [s.name for s in one] == ["only"] and one[0].poisserr
    assert one[0].response is RESPONSE and one[0].exposure == 10.0
    three = fake("powerlaw", RESPONSE, [1.0, 10.0, 100.0], seed=1)
    assert three.names == ["fake_1", "fake_2", "fake_3"]
    assert [s.exposure for s in three] == [1.0, 10.0, 100.0]
    both = fake("powerlaw", RESPONSE, [1.0, 100.0], {"PhoIndex": [1.5, 2.5]}, seed=1)
    assert len(both) == 2 and len(fake("powerlaw", RESPONSE, 5.0, {"norm": [1.0]})) == 1
    assert three[0].counts.base is three[1].counts.base is not None


def test_seed_decides():
    draws = [fake("powerlaw", RESPONSE, 10.0, seed=seed)[0].counts for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.any(draws[0] != draws[2])
    assert np.any(fake("powerlaw", RESPONSE, 10.0)[0].counts != draws[0])


@pytest.mark.parametrize("poisserr", [True, False])
def test_background_is_added_and_carried(poisserr):
    n = 3000
    back = make_background(poisserr, backscal=2.0)
    settings = {"params": {"PhoIndex": 1.8}, "seed": 8, "backscal": 0.5}
    spectra = fake("powerlaw", RESPONSE, np.full(n, 3.0), background=back, **settings)
    added = back.counts * (3.0 / 500.0) * (0.5 / 2.0)
    mean = 3.0 * folded(powerlaw(1.8)) + added
    counts = np.array([s.counts for s in spectra])
    assert np.all(abs(counts.mean(axis=0) - mean) < 4.5 * np.sqrt(mean / n))

    carried = np.array([s.background.counts for s in spectra])
    sigma = np.sqrt(back.counts) if poisserr else back.stat_err
    assert np.all(abs(carried.mean(axis=0) - back.counts) < 4.5 * sigma / np.sqrt(n))
    pulls = (carried[:, -1] - back.counts[-1]) / sigma[-1]
    assert kstest(pulls, "norm").pvalue > (1e-6 if poisserr else 1e-3)
    one = spectra[0].background
    assert one.poisserr is poisserr and one.exposure == 500.0 and one.backscal == 2.0
    assert spectra[0].backscal == 0.5


def test_background_that_counts_channels_from_another_number():
    back = make_background(counts=np.linspace(1e6, 2e6, 20), channel=np.arange(1, 21))
    spectrum = fake("powerlaw", RESPONSE, 500.0, {"norm": 1e-20}, background=back, seed=1)[0]
    assert np.all(abs(spectrum.counts - back.counts) < 5 * np.sqrt(back.counts))
    assert np.array_equal(spectrum.background.channel, RESPONSE.channel)
    assert "channels 1-20 are those from 0" in spectrum.background.diagnostics[0]


def test_areas_are_those_of_a_fit():
    """AREASCAL and BACKSCAL of source and background, by channel, as a loop would have them."""
    n, rng = 4000, np.random.default_rng(5)
    area, scale = rng.uniform(0.2, 1.0, 20), rng.uniform(0.5, 2.0, 20)
    behind = {"areascal": rng.uniform(0.2, 1.0, 20), "backscal": rng.uniform(2.0, 8.0, 20)}
    back = make_background(**behind)
    settings = {"params": {"PhoIndex": 1.8}, "seed": 8, "areascal": area, "backscal": scale}
    spectra = fake("powerlaw", RESPONSE, np.full(n, 3.0), background=back, **settings)
    rates, mean = folded(powerlaw(1.8)), np.zeros(20)
    for i in range(20):
        per_second = back.counts[i] / (500.0 * behind["areascal"][i] * behind["backscal"][i])
        mean[i] = 3.0 * area[i] * (rates[i] + per_second * scale[i])
    counts = np.array([s.counts for s in spectra])
    assert np.all(abs(counts.mean(axis=0) - mean) < 4.5 * np.sqrt(mean / n))
    bins = bin_counts(spectra[0].replace(counts=mean, background=back))
    np.testing.assert_allclose(bins.rate, rates, rtol=1e-12)


def test_modelled_background_does_not_fall_below_zero():
    back = make_background(False, counts=np.zeros(20))
    spectra = fake("powerlaw", RESPONSE, np.ones(200), background=back, seed=3)
    assert min(s.background.counts.min() for s in spectra) == 0.0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"exposure": 0.0}, "exposure"),
        ({"exposure": [1.0, np.nan]}, "exposure"),
        ({"exposure": []}, "exposure"),
        ({"params": {"PhoIndex": [1.0, np.nan]}}, "PhoIndex"),
        ({"params": {"PhoIndex": np.ones((2, 2))}}, "PhoIndex"),
        ({"params": {"PhoIndex": [1.0, 2.0], "norm": [1.0, 2.0, 3.0]}}, "lengths"),
        ({"params": {"PhoIndex": [1.0, 2.0]}, "exposure": [1.0, 2.0, 3.0]}, "one length"),
        ({"params": {"Gamma": 1.0}}, "Gamma"),
        ({"areascal": 0.0}, "areascal"),
        ({"areascal": np.ones(3)}, "areascal"),
        ({"backscal": "wide"}, "backscal"),
        ({"params": {"norm": -1.0}}, "negative or not finite"),
        ({"background": make_background(channel=np.arange(0, 40, 2))}, "channels"),
        ({"background": make_background(channel=np.arange(8), counts=np.ones(8))}, "channels"),
        ({"background": make_background(counts=np.full(20, -1.0))}, "below zero"),
        ({"background": make_background(poisserr=False, stat_err=None)}, "STAT_ERR"),
    ],
)
def test_bad_input(change, match):
    settings = {"model": "powerlaw", "response": RESPONSE, "exposure": 1.0} | change
    with pytest.raises(InputError, match=match):
        fake(**settings)
