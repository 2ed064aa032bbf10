"""Many posteriors in one call: each as when alone, failures as rows, calibrated."""

import numpy as np
import numpyro.distributions as dist
import pytest
from astropy.table import QTable
from scipy.special import logsumexp
from scipy.stats import chisquare, poisson, truncnorm
from toy import toy_response

import jaxspec as js
from jaxspec import Status
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import predict
from jaxspec.sample.nuts import advance_lanes

pytestmark = pytest.mark.runs_long
BAD = 20
RESPONSE = toy_response(n_channel=32, n_energy=40, fwhm=3.0)
FEW = {"draws": 200, "warmup": 300, "progress": False, "stat": "cstat"}
PRIORS = {"PhoIndex": dist.Uniform(1.0, 3.0), "norm": dist.LogUniform(0.05, 0.5)}


@pytest.fixture(scope="module")
def truths():
    rng = np.random.default_rng(8)
    return {
        "PhoIndex": rng.uniform(1, 3, 40),
        "norm": np.exp(rng.uniform(*np.log([0.05, 0.5]), 40)),
    }


@pytest.fixture(scope="module")
def spectra(truths):
    """One of them, in the middle, cannot be used."""
    made = js.fake("powerlaw", RESPONSE, exposure=1000.0, params=truths, seed=9)
    bad = made[BAD].replace(counts=np.full(32, np.nan))
    return js.SpectrumList([*made[:BAD], bad, *made[BAD + 1 :]])


@pytest.fixture(scope="module")
def many(spectra):
    return js.sample("powerlaw", spectra, priors=PRIORS, seed=1, **FEW)


def test_each_lane_is_as_when_alone(many, spectra):
    """Before and after a row of bad data, which touches nobody."""
    for row in (17, 39):
        alone = js.sample("powerlaw", spectra[row], priors=PRIORS, seed=1, sampler="hmc", **FEW)
        np.testing.assert_allclose(many[row].chains, alone.chains, rtol=1e-4)
        np.testing.assert_allclose(many[row].log_likelihood, alone.log_likelihood, rtol=1e-8)
        assert many[row].fit.stat[0] == pytest.approx(alone.fit.stat[0], rel=1e-9)
    assert not np.allclose(many[0].chains, many[1].chains)


def test_rows_say_how_they_ended(many, spectra, tmp_path):
    good = np.arange(40) != BAD
    assert len(many) == 40 and many.ok[good].mean() > 0.8
    table = many.table
    assert list(table["name"]) == spectra.names and (table["rhat"] < 1.03)[good].mean() > 0.9
    assert many.write(tmp_path / "many.fits").stat().st_size > 5000
    written = QTable.read(many.write(tmp_path / "many.ecsv"))
    assert written.meta["SEED"] == many[0].settings["seed"] and "jax" in written.meta["VERSIONS"]
    hashes = [str(h) for h in written["data_sha256"]]
    assert len(set(hashes)) == len(many) and written.meta["PARAMS"][0]["full_name"]
    with pytest.raises(InputError, match="exists already"):
        many.write(tmp_path / "many.ecsv")
    with pytest.raises(InputError, match="is not a result"):
        js.read_result(tmp_path / "many.ecsv")
    assert (table["PhoIndex_lo"] < table["PhoIndex"])[good].all()
    assert "40 posteriors" in many.summary() and many["fake_3"] is many[2]
    with pytest.raises(InputError, match="no row 40; the rows are 0 to 39"):
        many[40]
    with pytest.raises(InputError, match="no row named"):
        many["fake_99"]


def test_ranks_of_the_truth_are_uniform(many, truths):
    """Simulation-based calibration: truths are drawn from the prior, ranks are uniform."""
    for name, values in truths.items():
        pairs = [(p, v) for p, v in zip(many, values, strict=True) if p is not None]
        rank = [np.mean(p[name].ravel() < v) for p, v in pairs]
        counts = np.histogram(rank, bins=6, range=(0, 1))[0]
        assert chisquare(counts).pvalue > 1e-3, (name, counts)


@pytest.mark.parametrize("by", ["bins", "pixels"])
def test_predictive_criteria_of_spectra(many, spectra, by):
    """Bins of spectra are what is predicted; pixels is another word for them."""
    posterior, spectrum = many[3], spectra[3]
    found = posterior.waic(by=by, max_draws=40)
    some = posterior.full.reshape(800, -1)[np.linspace(0, 799, 40).round().astype(int)]
    rates = np.array([predict(js.Model("powerlaw"), spectrum, p) for p in some])
    terms = poisson.logpmf(spectrum.counts, rates * spectrum.exposure)
    exact = logsumexp(terms, axis=0) - np.log(40) - terms.var(axis=0, ddof=1)
    np.testing.assert_allclose(found.pointwise, exact, rtol=1e-8)
    assert found.by == "bins" and "32 bins" in repr(found)


def test_nuts_and_hmc_agree(spectra, many):
    nuts = js.sample("powerlaw", spectra[:4], priors=PRIORS, seed=2, sampler="nuts", **FEW)
    for a, b in zip(nuts, many, strict=False):
        error = np.hypot(a.mcse, b.mcse)
        assert np.all(np.abs(a.mean - b.mean) < 4.5 * error)
        assert a.settings["sampler"] == "nuts" and b.settings["sampler"] == "hmc"


def test_bad_data_are_a_row_without_a_posterior(many):
    assert many.status[BAD] == Status.BAD_DATA and list(many)[BAD] is None
    with pytest.raises(InputError, match="row 20 has no posterior: The counts hold .* not finite"):
        many[BAD]
    assert np.isnan(many.table["PhoIndex"][BAD])
    assert np.isfinite(many.table["PhoIndex"]).sum() == 39


def test_numbers_do_not_recompile(many, spectra):
    before = advance_lanes._cache_size()
    model = js.Model("powerlaw")
    model["norm"].set(0.2, min=1e-3, max=5.0)
    short = FEW | {"draws": 40, "warmup": 40}
    js.sample(model, spectra[10:40], priors=PRIORS, seed=5, target_accept=0.8, **short)
    assert advance_lanes._cache_size() == before


def test_a_list_of_one_is_a_list(spectra):
    short = FEW | {"draws": 40, "warmup": 40, "sampler": "hmc"}
    found = js.sample("powerlaw", spectra[:1], priors=PRIORS, seed=1, **short)
    assert isinstance(found, js.Posteriors) and len(found.table) == 1
    one = js.sample("powerlaw", spectra[0], priors=PRIORS, seed=1, **short)
    np.testing.assert_array_equal(found[0].chains, one.chains)


def test_hmc_below_a_limit_is_a_gaussian_that_is_cut(spectra):
    """Momentum and length of a trajectory once came from one random key: a tenth of a sigma off."""
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(2.0)
    alone = js.fit(model, spectra[0], stat="chi2")
    best, sigma = alone.value("norm")[0], alone.error("norm")[0]
    model["norm"].set(0.9 * best, min=0.0, max=best - sigma)
    how = {"stat": "chi2", "sampler": "hmc", "draws": 1500, "warmup": 300, "progress": False}
    found = js.sample(model, spectra[0], seed=3, **how)
    exact = truncnorm(-np.inf, -1.0, best, sigma)
    error = exact.std() / np.sqrt(found.ess[0])
    assert abs(found["norm"].mean() - exact.mean()) < 4 * error
    for q in (0.16, 0.5, 0.84):
        below = (found["norm"] < exact.ppf(q)).mean()
        assert below == pytest.approx(q, abs=4 * np.sqrt(q * (1 - q) / found.ess_tail[0])), q
