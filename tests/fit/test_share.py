"""What can be shared between models, and what cannot; the result of a joint fit of several."""

import pickle

import numpy as np
import numpyro.distributions as dist
import pytest
from toy import toy_response

import jaxspec as js
from jaxspec.errors import InputError

RESPONSE = toy_response(n_channel=20, n_energy=24, fwhm=3.0)


@pytest.fixture(scope="module")
def spectra():
    params = {"PhoIndex": 1.8, "norm": np.array([0.3, 0.2])}
    return js.fake("powerlaw", RESPONSE, exposure=400.0, params=params, seed=3)


@pytest.fixture(scope="module")
def result(spectra):
    both = {"pn": ("powerlaw", spectra[0]), "mos": ("powerlaw", spectra[1])}
    return js.fit(both, joint=True, share="PhoIndex", stat="cstat")


def frozen(value):
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(value)
    return model


def within(low, high):
    model = js.Model("powerlaw")
    model["PhoIndex"].set(0.5 * (low + high), min=low, max=high)
    return model


def linked():
    model = js.Model("powerlaw")
    model["PhoIndex"].link_to("norm * 4")
    return model


CANNOT = [
    (frozen(1.7), frozen(2.0), ["PhoIndex"], r"frozen at 1.7 in 'a', 2 in 'b'"),
    (frozen(1.7), "powerlaw", ["PhoIndex"], "frozen in 'a' and free elsewhere"),
    (within(0, 1), within(2, 3), ["PhoIndex"], "0 to 1 in 'a', 2 to 3 in 'b'"),
    (linked(), "powerlaw", ["PhoIndex"], "linked in 'a'"),
    ("powerlaw", "cutoffpl", [{"a": "PhoIndex", "b": "HighECut"}], "its role is slope in 'a', pos"),
    ("powerlaw", "bbody", ["norm"], "its unit is 1 / .* in 'a', 1e39 erg"),
    ("powerlaw", "powerlaw", 3, "3 is no list"),
    ("powerlaw", "powerlaw", [3], "is no list"),
    ("powerlaw", "powerlaw", [{"c": "norm", "a": "norm"}], "no model 'c'; use a, b"),
    ("powerlaw", "powerlaw", [{"a": "kT", "b": "norm"}], "kT"),
    ("powerlaw", "powerlaw", ["norm", "norm"], "shared twice"),
]


@pytest.mark.parametrize(("a", "b", "share", "said"), CANNOT)
def test_what_cannot_be_one_is_refused(spectra, a, b, share, said):
    both = {"a": (a, spectra[0]), "b": (b, spectra[1])}
    for work in (js.fit, js.sample):
        with pytest.raises(InputError, match=said):
            work(both, joint=True, share=share)


def test_untie_says_of_which_model(spectra):
    both = {"a": ("powerlaw", spectra), "b": ("powerlaw", spectra[1])}
    for untie in ({"c": ["norm"]}, {"a.norm": [0.3, None]}):
        with pytest.raises(InputError, match="untie: there is no model '(c|a.norm)'"):
            js.fit(both, joint=True, untie=untie)
    with pytest.raises(InputError, match="names one model alone"):
        js.fit(both, joint=True, share=[{"a": "norm"}])
    found = js.fit(both, joint=True, share=["PhoIndex"], untie={"a": {"norm": [0.3, None]}})
    assert found["a"].value("norm")[0] == 0.3 and found["a"].ok.all()


def test_rows_without_a_fit_have_no_covariance(spectra):
    bad = spectra[1].replace(counts=np.full(len(spectra[1].counts), np.nan))
    both = {"a": ("powerlaw", [spectra[0], bad]), "b": ("powerlaw", spectra[1])}
    found = js.fit(both, joint=True, share=["PhoIndex"], stat="cstat")
    assert np.isnan(found["a"].covariance(0, other=1)).all()
    assert np.isnan(found.covariance(("b", 0), ("a", 1))).all()
    assert np.isfinite(found.covariance(("b", 0), ("a", 0))).all()


def with_prior(mean):
    model = js.Model("powerlaw")
    model["PhoIndex"].prior = dist.Normal(mean, 0.01)
    return model


def test_a_shared_parameter_has_one_prior(spectra):
    def fitted(a, b):
        both = {"a": (a, spectra[0]), "b": (b, spectra[1])}
        return js.fit(both, joint=True, share=["PhoIndex"], stat="cstat")

    with pytest.raises(InputError, match="two priors"):
        fitted(with_prior(1.81), with_prior(1.7))
    once = fitted(with_prior(1.81), "powerlaw")
    free = fitted("powerlaw", "powerlaw")
    value, error = (getattr(free["a"], what)("PhoIndex")[0] for what in ("value", "error"))
    mean = (value / error**2 + 1.81 / 0.01**2) / (1 / error**2 + 1 / 0.01**2)
    for found in (once, fitted("powerlaw", with_prior(1.81)), fitted(*[with_prior(1.81)] * 2)):
        assert found["b"].value("PhoIndex")[0] == pytest.approx(mean, abs=0.1 * error)


@pytest.mark.parametrize("joint", [1, [["a", "b"]], [None, "a"], ["a", np.nan]])
def test_labels_that_are_none_are_refused(spectra, joint):
    with pytest.raises(InputError, match="joint"):
        js.fit("powerlaw", spectra, joint=joint)


def test_yes_and_no_are_no_values(spectra):
    with pytest.raises(InputError, match="None"):
        js.fit("powerlaw", spectra, joint=True, untie={"norm": [True, None]})


@pytest.mark.parametrize("word", ["untie", "share"])
def test_words_of_joint_fits_need_one(spectra, word):
    for work in (js.fit, js.sample):
        with pytest.raises(InputError, match="joint|dict of models"):
            work("powerlaw", spectra, **{word: ["norm"]})


def test_frozen_at_one_value_may_be_shared(spectra):
    both = {"a": (frozen(1.8), spectra[0]), "b": (frozen(1.8), spectra[1])}
    found = js.fit(both, joint=True, share=["PhoIndex"], stat="cstat")
    assert found.n_free == 2 and found["b"].value("PhoIndex")[0] == 1.8


def test_no_model_at_all_is_refused():
    with pytest.raises(InputError, match="is empty"):
        js.fit({}, joint=True)


def test_covariance_asks_for_rows(result):
    assert result.covariance(("pn", 0), ("mos", 0)).shape == (2, 2)
    for wrong in ("pn", ("pn", 5), ("pn", -1), ("apec", 0), ("pn",)):
        with pytest.raises(InputError):
            result.covariance(wrong, ("mos", 0))


def test_the_summary_says_how_long_it_took(result):
    assert "nan s" not in result.summary()


def test_results_can_be_pickled(result):
    again = pickle.loads(pickle.dumps(result))
    assert again.table["value"].tolist() == result.table["value"].tolist()
    beta = pickle.loads(pickle.dumps(js.Model("beta")))
    assert beta.parameters[0].full_name == "beta.x0"


def test_the_table_is_written(result, tmp_path):
    path = result.write(tmp_path / "joint.ecsv")
    assert "PhoIndex" in path.read_text()
    with pytest.raises(InputError, match=r"'\.txt' is not known"):
        result.write(tmp_path / "joint.txt")


def test_priors_of_a_call_say_of_which_model(spectra):
    """A name that one model has, a name that is shared, or the name of the model before it."""
    both = {"a": ("powerlaw", spectra[0]), "b": ("constant*powerlaw", spectra[1])}
    tight = dist.Normal(2.5, 1e-4)

    def fit(name):
        return js.fit(both, joint=True, stat="cstat", priors={name: tight})

    one = fit("a.PhoIndex")
    assert one["a"].value("PhoIndex")[0] == pytest.approx(2.5, abs=1e-3)
    assert one["b"].value("PhoIndex")[0] < 2.2
    one_model = {"a": ("powerlaw", spectra[0]), "b": ("powerlaw", spectra[1])}
    anyhow = {"phoindex": tight}  # names are read in any case, as everywhere
    shared = js.fit(one_model, joint=True, stat="cstat", priors=anyhow, share="PhoIndex")
    np.testing.assert_allclose([r.value("PhoIndex")[0] for r in shared.values()], 2.5, atol=1e-3)
    for name, said in (("PhoIndex", "is in a and b; say which, as in 'a.PhoIndex'"),
                       ("kT", "is in none"), ("a.kT", "no parameter 'kT'")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            fit(name)
    twice = {"a.PhoIndex": tight, "a.powerlaw.PhoIndex": dist.Normal(1, 1)}
    with pytest.raises(InputError, match="two priors"):
        js.fit(both, joint=True, stat="cstat", priors=twice)
