"""Joint fits: shared parameters once, untied ones for each spectrum."""

import numpy as np
import numpyro.distributions as dist
import pytest
from astropy.wcs import WCS
from toy import toy_response
from toy_images import simulated

import jaxspec as js
from jaxspec import Status
from jaxspec.errors import InputError

RESPONSE = toy_response(n_channel=40, n_energy=60, fwhm=3.0)


@pytest.fixture(scope="module")
def spectra():
    return js.fake(
        js.Model("powerlaw"),
        RESPONSE,
        exposure=3000.0,
        params={"PhoIndex": 1.9, "norm": np.array([0.05, 0.2, 0.8, 0.4])},
        seed=8,
    )


def test_everything_untied_is_the_independent_fit(spectra):
    apart = js.fit("powerlaw", spectra, stat="cstat")
    joint = js.fit("powerlaw", spectra, stat="cstat", joint=True, untie=["PhoIndex", "norm"])
    np.testing.assert_allclose(joint.params, apart.params, rtol=1e-5)
    np.testing.assert_allclose(joint.error("norm"), apart.error("norm"), rtol=1e-3)
    np.testing.assert_allclose(joint.stat, apart.stat, rtol=1e-8)


def test_one_shared_parameter(spectra):
    joint = js.fit("powerlaw", spectra, stat="cstat", joint=True, untie=["norm"])
    assert joint.ok.all()
    index = joint.value("PhoIndex")
    assert (index == index[0]).all()
    assert abs(index[0] - 1.9) < 4 * joint.error("PhoIndex")[0]
    # the minimum over the shared index is that of the sum of the independent fits
    apart = js.Model("powerlaw")
    sums = []
    for value in index[0] + np.array([-1, 0, 1]) * joint.error("PhoIndex")[0]:
        apart["PhoIndex"].freeze(value)
        sums.append(js.fit(apart, spectra, stat="cstat").stat.sum())
    assert sums[1] == pytest.approx(joint.stat.sum(), abs=1e-6)
    np.testing.assert_allclose([sums[0] - sums[1], sums[2] - sums[1]], 1.0, rtol=0.02)
    # better known together than alone
    assert (
        joint.error("PhoIndex")[0]
        < js.fit("powerlaw", spectra, stat="cstat").error("PhoIndex").min()
    )


def test_identical_spectra_together_are_one_with_more_exposure(spectra):
    twice = js.fit("powerlaw", spectra[[2, 2]], stat="cstat", joint=True)
    long = spectra[2].replace(counts=2 * spectra[2].counts, exposure=2 * spectra[2].exposure)
    once = js.fit("powerlaw", [long, *spectra[:3]], stat="cstat")
    np.testing.assert_allclose(twice.params[0], once.params[0], rtol=1e-6)
    np.testing.assert_allclose(twice.error("norm")[0], once.error("norm")[0], rtol=1e-5)
    assert "is in one joint fit twice, and counts twice" in twice.summary()


def test_statistics_may_differ(spectra):
    joint = js.fit("powerlaw", spectra[:2], stat=["cstat", "chi2"], joint=True, untie=["norm"])
    assert joint.stat_names == ["cstat", "chi2"]
    assert joint.ok.all()


def test_links_and_untie(spectra):
    model = js.Model("powerlaw+powerlaw")
    model[3].link_to("p1")
    model[4].link_to("0.5*p2")
    joint = js.fit(model, spectra, stat="cstat", joint=True, untie=["powerlaw.norm"])
    np.testing.assert_allclose(joint.params[:, 3], 0.5 * joint.params[:, 1])
    with pytest.raises(InputError, match="frozen or linked"):
        js.fit(model, spectra, joint=True, untie=[model[3].full_name])
    with pytest.raises(InputError):
        js.fit("powerlaw", spectra, joint=True, untie=["kT"])


def test_a_bad_spectrum_does_not_stop_the_others(spectra):
    bad = spectra[0].replace(name="bad", quality=np.full(40, 1, dtype=np.int16))
    good = js.fit("powerlaw", spectra, stat="cstat", joint=True, untie=["norm"])
    mixed = js.fit(
        "powerlaw", js.SpectrumList([bad, *spectra]), stat="cstat", joint=True, untie=["norm"]
    )
    assert mixed.status[0] == js.Status.NO_DATA
    np.testing.assert_array_equal(mixed.params[1:], good.params)


def test_a_prior_counts_once_for_a_shared_parameter(spectra):
    """A narrow prior on the shared index adds its information to that of all data, once."""
    free = js.fit("powerlaw", spectra, stat="cstat", joint=True, untie=["norm"])
    best, sigma = free.value("PhoIndex")[0], free.error("PhoIndex")[0]
    prior = dist.Normal(best + sigma, sigma)
    joint = js.fit(
        "powerlaw", spectra, stat="cstat", joint=True, untie=["norm"], priors={"PhoIndex": prior}
    )
    assert joint.ok.all()
    assert (joint.value("PhoIndex")[0] - best) / sigma == pytest.approx(0.5, abs=0.03)
    assert joint.error("PhoIndex")[0] == pytest.approx(sigma / np.sqrt(2), rel=0.03)


def test_a_prior_on_one_spectrum(spectra):
    free = js.fit("powerlaw", spectra, stat="cstat")
    best, sigma = free.value("PhoIndex")[0], free.error("PhoIndex")[0]
    prior = dist.Normal(best + 0.1 * sigma, 0.1 * sigma)
    pulled = js.fit("powerlaw", spectra[0], stat="cstat", priors={"PhoIndex": prior})
    # the weights are 1 and 100
    away = (pulled.value("PhoIndex")[0] - best) / sigma
    assert away == pytest.approx(0.1 * 100 / 101, abs=0.005)
    assert pulled.error("PhoIndex")[0] == pytest.approx(sigma / np.sqrt(101), rel=0.03)
    assert pulled.stat[0] > free.stat[0]


def test_what_has_no_response_is_a_row(spectra):
    data = js.SpectrumList([*spectra, spectra[0].replace(name="nr", response=None)])
    joint = js.fit("powerlaw", data.notice("0-16"), joint=True, untie=["norm"], stat="cstat")
    assert list(joint.status) == [*4 * [Status.OK], Status.NO_RESPONSE]
    assert not any("twice" in note for note in joint.notes)


def on_the_sky(image, size=2.0, shift=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [10.0, 20.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [1.0 + shift, 1.0], [-size / 3600, size / 3600]
    return image.replace(wcs=wcs)


def test_images_that_share_pixels_lie_on_one_grid():
    image = simulated("beta", seed=1)
    # dark: where it is not refused, nothing is fitted
    image = image.replace(exposure=np.zeros(image.shape))
    first = on_the_sky(image)
    with pytest.raises(InputError, match="x0: is shared, but .* has pixels of 2 arcsec and .* 4"):
        js.fit("beta", [first, on_the_sky(image, 4.0)], joint=True)
    moved = on_the_sky(image, shift=3.0)
    with pytest.raises(InputError, match="x0: is shared, but .* up to 3.0 pixels apart"):
        js.fit("beta", [first, moved], joint=True)
    with pytest.raises(InputError, match="are up to 3.0 pixels apart"):
        both = {"a": ("beta", first), "b": ("beta", moved)}
        js.fit(both, joint=True, share=["x0", "rc"])
    # each with its own centre, or each in a set of its own
    for how in ({"joint": True, "untie": ["x0", "y0"]}, {"joint": ["a", "b"]}):
        assert (js.fit("beta", [first, moved], **how).status == Status.BAD_DATA).all()


@pytest.mark.parametrize("how", [{}, {"joint": True}, {"joint": True, "untie": ["norm"]}])
def test_what_the_data_cannot_tell_apart_is_said(spectra, how):
    """Status and errors hang on no rounding where a factor and a norm are one amplitude."""
    result = js.fit("constant*powerlaw", spectra, stat="cstat", **how)
    assert (result.status == Status.DEGENERATE).all()
    assert np.isnan(result.error("factor")).all() and np.isfinite(result.params).all()
    said = "constant.factor, powerlaw.norm can be changed together"
    assert all(m.startswith(said) for m in result.messages)
    plain = js.fit("powerlaw", spectra, stat="cstat", **how)
    np.testing.assert_allclose(result.stat, plain.stat, atol=1e-6)


@pytest.mark.parametrize(
    ("untie", "said"),
    [
        ({"constant.factor": [np.nan, None]}, "is untied with"),
        ({"constant.factor": ["1.5", None]}, "is untied with"),
        ({"constant.factor": [1, None], "factor": [None, 1]}, "untied twice"),
        (3, "no list of names"),
    ],
)
def test_what_unties_nothing_is_refused(spectra, untie, said):
    with pytest.raises(InputError, match=said):
        js.fit("constant*powerlaw", spectra[:2], joint=True, untie=untie, stat="cstat")


def test_what_is_no_model_or_row_or_choice_is_refused(spectra):
    for model in (None, 3, ("powerlaw",)):
        with pytest.raises(InputError, match="is no model"):
            js.fit(model, spectra)
    with pytest.raises(InputError, match="not True, False or None"):
        js.fit("powerlaw", spectra, integrate="yes")
    two = {"PhoIndex": dist.Normal(2, 1), "powerlaw.PhoIndex": dist.Normal(1, 1)}
    with pytest.raises(InputError, match="two priors"):
        js.fit("powerlaw", spectra, priors=two)


def test_the_summary_shows_what_every_row_has_for_itself(spectra):
    untie = {"factor": [1.0, None]}
    joint = js.fit("constant*powerlaw", spectra[:2], joint=True, untie=untie, stat="cstat")
    text = " ".join(joint.summary().split())
    assert f"factor of {joint.names[0]} 1 (frozen here)" in text
    assert f"factor of {joint.names[1]} {joint.value('factor')[1]:.6g} +-" in text
    for wrong in (9, 1.5, "nobody", True):
        with pytest.raises(InputError, match="no row"):
            joint.best(wrong)
