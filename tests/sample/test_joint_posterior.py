"""Posteriors of joint fits: one long vector of shared and own parameters."""

import numpy as np
import numpyro.distributions as dist
import pytest
from matplotlib.figure import Figure
from scipy.stats import gamma, poisson
from toy import toy_response

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.fit.arrow import Arrow
from jaxspec.likelihood.forward import predict
from jaxspec.sample.sets import dense

RESPONSE = toy_response(n_channel=24, n_energy=30, fwhm=3.0)
UNTIE = {"constant.factor": [1.0, None, None]}
FEW = {"draws": 250, "warmup": 120, "progress": False, "stat": "cstat"}


def model_of():
    model = js.Model("constant*powerlaw")
    model["factor"].set(min=0.1, max=10.0)
    model["norm"].set(min=1e-3, max=10.0)
    return model


@pytest.fixture(scope="module")
def spectra():
    truth = {"factor": [1.0, 0.8, 1.2], "PhoIndex": 1.8, "powerlaw.norm": 0.3}
    return js.fake("constant*powerlaw", RESPONSE, exposure=400.0, params=truth, seed=3)


@pytest.fixture(scope="module")
def posterior(spectra):
    return js.sample(model_of(), spectra, joint=True, untie=UNTIE, seed=1, **FEW)


def test_it_is_as_wide_as_the_joint_fit_says(posterior, spectra):
    fit = js.fit(model_of(), spectra, joint=True, untie=UNTIE, stat="cstat")
    assert " 1 (frozen here)" in fit.summary() and "nan" not in fit.summary()
    np.testing.assert_array_equal(fit.is_fixed("factor"), [True, False, False])
    assert posterior.names == ("PhoIndex", "norm", "factor[fake_2]", "factor[fake_3]")
    assert posterior.rhat.max() < 1.03
    pairs = [("PhoIndex", "PhoIndex", 0), ("norm", "norm", 0),
             ("factor[fake_2]", "factor", 1), ("factor[fake_3]", "factor", 2)]  # fmt: skip
    for name, column, row in pairs:
        error = fit.error(column)[row]
        assert abs(posterior[name].mean() - fit.value(column)[row]) < 0.3 * error, name
        assert posterior[name].std() == pytest.approx(error, rel=0.15), name
    # between rows as well: the factors of two instruments are correlated through the norm
    own = posterior.array(["factor[fake_2]", "factor[fake_3]"]).reshape(-1, 2)
    between = fit.covariance(1, other=2)[0, 0] / (fit.error("factor")[1] * fit.error("factor")[2])
    assert np.corrcoef(own.T)[0, 1] == pytest.approx(between, abs=0.12)


def test_each_datum_has_its_part(posterior, spectra):
    second = posterior.of(1)
    assert list(posterior.members) == [("", 0), ("", 1), ("", 2)]
    mode = posterior.best[list(posterior.names).index("factor[fake_2]")]
    assert second.best[second.names.index("factor")] == mode
    np.testing.assert_array_equal(second["factor"], posterior["factor[fake_2]"])
    assert (posterior.of("fake_1")["factor"] == 1.0).all()
    values = [posterior.of(k).full[0, 7] for k in range(3)]
    model = js.Model("constant*powerlaw")
    total = 0.0
    for spectrum, value in zip(spectra, values, strict=True):
        mean = predict(model, spectrum, value) * spectrum.exposure
        total += poisson.logpmf(spectrum.counts, mean).sum()
    assert posterior.log_likelihood[0, 7] == pytest.approx(total, rel=1e-9)
    with pytest.raises(InputError, match="no row 7"):
        posterior.of(7)
    with pytest.raises(InputError, match="no parameter"):
        posterior["factor"]
    with pytest.raises(InputError, match="joint posterior"):
        posterior.save("a.nc")
    assert "fake_1, fake_2, fake_3" in repr(posterior)


def test_deviance_is_that_of_all_data_or_of_one(posterior, spectra):
    model = js.Model("constant*powerlaw")
    one = posterior.of(1)

    def deviance(spectrum, value):
        mean = predict(model, spectrum, value) * spectrum.exposure
        return -2.0 * poisson.logpmf(spectrum.counts, mean).sum()

    at_mean = [deviance(s, posterior.of(k).full.mean(axis=(0, 1))) for k, s in enumerate(spectra)]
    assert posterior.dic().deviance_at_mean == pytest.approx(sum(at_mean), rel=1e-9)
    assert posterior.dic().p_d == pytest.approx(4.0, abs=0.6)
    assert one.dic().deviance_at_mean == pytest.approx(at_mean[1], rel=1e-9)
    seen = deviance(spectra[1], one.full[2, 5])
    assert -2.0 * one.log_likelihood[2, 5] == pytest.approx(seen, rel=1e-9)
    assert one.waic().elpd == pytest.approx(-0.5 * at_mean[1], abs=4.0)
    with pytest.raises(InputError, match="use .of"):
        posterior.waic()


def test_figures_show_the_part_of_one_datum(posterior):
    whole, part = Figure(), Figure()
    js.plot.fit(posterior, "fake_2", whole)
    js.plot.fit(posterior.of(1), 0, part)
    for a, b in zip(whole.axes[0].collections, part.axes[0].collections, strict=True):
        for one, other in zip(a.get_paths(), b.get_paths(), strict=True):
            np.testing.assert_array_equal(one.vertices, other.vertices)
    band = js.plot.curve_band(posterior.of(1), (0.16, 0.5, 0.84))
    spread = 0.5 * (band[2] - band[0]) / band[1]
    assert (np.diff(band, axis=0) > 0).all() and 0.002 < spread.min() < spread.max() < 0.1
    with pytest.raises(InputError, match="use .of"):
        js.plot.profile(posterior)


def test_what_was_left_out_and_equal_names(spectra):
    counts = np.full(len(spectra[0].counts), np.nan)
    same = [s.replace(name="one") for s in spectra]
    some = [same[0], spectra[1].replace(name="bad", counts=counts), same[2]]
    model = model_of()
    model["factor"].freeze(1.0)
    few = FEW | {"draws": 40, "warmup": 40}
    found = js.sample(model, some, joint=True, untie=["norm"], seed=2, **few)
    assert found.names == ("PhoIndex", "norm[one_1]", "norm[one_2]")
    assert abs(found["norm[one_2]"].mean() / found["norm[one_1]"].mean() - 1.2) < 0.1
    assert found.warnings[0].startswith("bad was left out: The counts hold numbers")
    for row, said in ((1, "bad has no part in it: The counts"), ("one", "no row named 'one'")):
        with pytest.raises(InputError, match=said):
            found.of(row)
    with pytest.raises(InputError, match=r"of one datum; use .of\(row\)"):
        found.derived()
    table = js.fit(model, some, joint=["a", "a", "b"], stat="cstat").table
    assert "bad was left out" in table["message"][0] and "left out" not in table["message"][1]
    table = js.fit(model, some, joint=["a", "b", "c"], stat="cstat").table
    assert np.isnan(table["stat"][1]) and table["dof"][1] == 0
    with pytest.raises(InputError, match="no likelihood"):
        js.sample(model, spectra, joint=True, **(few | {"stat": "chi2-model"}))


def test_labels_give_a_row_each(spectra):
    model = model_of()
    model["factor"].freeze(1.0)
    some = spectra[np.array([0, 0, 2])]
    found = js.sample(model, some, joint=["a", "a", "b"], seed=2, **FEW)
    assert found.names == ["a", "b"] and len(found.table) == 2
    assert found["b"].chains.shape == (4, 250, 2)


def test_a_shared_norm_has_a_gamma_posterior():
    """Counts of two spectra of fixed slope: the norm is Gamma distributed with both."""
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(2.0)
    model["norm"].set(min=1e-6, max=10.0)
    pair = js.fake(model, RESPONSE, exposure=[30.0, 50.0], params={"norm": 0.03}, seed=5)
    found = js.sample(model, pair, joint=True, seed=4, draws=500, warmup=120, progress=False,
                      stat="cstat", priors={"norm": dist.Gamma(2.0, 50.0)})  # fmt: skip
    one = np.array([2.0, 1.0])
    unit = sum((predict(model, s, one) * s.exposure).sum() for s in pair)
    total = sum(s.counts.sum() for s in pair)
    exact = gamma(total + 2.0, scale=1 / (unit + 50.0))
    n = found.ess.min()
    assert abs(found["norm"].mean() - exact.mean()) < 4.5 * exact.std() / np.sqrt(n)
    assert found["norm"].std() == pytest.approx(exact.std(), rel=4.5 / np.sqrt(2 * n))


def test_dense_form_of_an_arrow(rng):
    corner = np.eye(2)
    sides = (rng.standard_normal((2, 1, 2)),)
    blocks = (np.full((2, 1, 1), 3.0),)
    whole = dense(Arrow(corner, sides, blocks))
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_array_equal(whole[2:, :2], sides[0][:, 0])
    assert whole[3, 3] == 3.0 and whole[2, 3] == 0.0


def test_figures_of_a_joint_posterior_and_of_its_parts(posterior):
    from matplotlib.figure import Figure

    made = js.plot.triangle(posterior, Figure())
    labels = [ax.get_xlabel() for ax in made.axes]
    assert any("factor of fake_2" in label.replace("\n", " ") for label in labels)
    assert len(js.plot.traces(posterior, Figure()).axes) == 4
    assert posterior.parameter("factor[fake_3]").full_name == "constant.factor"
    one = posterior.of(1)
    drawn = js.plot.fit(one, fig=Figure())
    assert "mode of 1000 draws" in drawn.axes[0].get_title("right")
    band = js.plot.model_band(one)
    rates = js.plot.fit_arrays(one).model
    assert (band[0] < rates).mean() > 0.9 and (band[3] > rates).mean() > 0.9
    # a rate of n counts is known to about 1 / sqrt(n) of all counts: far better than one bin
    width = (band[2] - band[1]) / 2 / rates
    total = one.data.counts.sum() ** -0.5
    assert (width > 0.5 * total).all() and (width < 8 * total).all()


def test_figures_say_what_they_take(posterior):
    for draw in (js.plot.histograms, js.plot.timeline, js.plot.models, js.plot.data, js.plot.image):
        with pytest.raises(InputError, match="is a JointPosterior"):
            draw(posterior)
