"""netCDF and ArviZ: everything comes back, nothing else is taken for a posterior."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import numpyro.distributions as dist
import pytest
from toy_posterior import (
    flat_posterior,
    make_posterior,
    tilted_posterior,
    toy_image,
    toy_pointwise,
)

import jaxspec as js
from jaxspec.errors import InputError, MissingExtraError
from jaxspec.reduce.data import DataList
from jaxspec.sample.netcdf import SEAL, sealed, to_arviz
from jaxspec.sample.store import read_posterior

xarray = pytest.importorskip("xarray")
h5netcdf = pytest.importorskip("h5netcdf")
ARRAYS = "chains full log_likelihood log_prior diverging accepted steps best".split()


@pytest.fixture(scope="module")
def image():
    return toy_image(slope=1.5)


@pytest.fixture(scope="module")
def posterior(image):
    rng = np.random.default_rng(9)
    return tilted_posterior(
        image,
        n_draw=50,
        log_prior=rng.normal(size=(4, 50)),
        diverging=rng.random((4, 50)) < 0.1,
        accepted=rng.random((4, 50)) < 0.9,
        steps=rng.integers(1, 64, size=(4, 50)),
        settings={"seed": 7, "step": np.float64(0.3), "metric": np.eye(2), "seconds": {"a": 1.0}},
    )


@pytest.fixture
def saved(posterior, tmp_path):
    return posterior.save(tmp_path / "posterior.nc")


def same(one, other):
    for name in ARRAYS:
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype, name
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    for name in ("names", "units", "log_constant", "model"):
        assert getattr(one, name) == getattr(other, name), name


def test_round_trip(posterior, saved):
    back = read_posterior(saved)
    same(posterior, back)
    assert back.data is None and back.fit is None
    assert back.settings["seed"] == 7 and back.settings["step"] == 0.3
    assert back.settings["metric"] == [[1.0, 0.0], [0.0, 1.0]]
    assert back.fingerprint == posterior.fingerprint
    assert repr(back) == repr(posterior)
    np.testing.assert_array_equal(back.rhat, posterior.rhat)
    for form in ("mean", "variance"):
        assert back.dic(form) == pytest.approx(posterior.dic(form), abs=1e-9)
    with pytest.raises(InputError, match="without them"):
        back.waic()


def test_saved_again_without_data(saved, tmp_path):
    back = read_posterior(saved)
    again = read_posterior(back.save(tmp_path / "again.nc"))
    same(back, again)
    assert again.dic() == back.dic() and again.fingerprint == back.fingerprint


def test_with_the_data(posterior, saved, image):
    back = read_posterior(saved, data=image)
    assert back.loo().elpd == pytest.approx(posterior.loo().elpd)
    with pytest.raises(InputError, match=r"posterior.nc: was sampled on toy with 69 bins"):
        read_posterior(saved, data=image.masked(where=image.counts > 9))


def test_parameters_limits_and_links(image, tmp_path):
    model = js.Model("beta+const2d+beta")
    model["beta.x0"].set(4.0, min=1, max=7)
    model["beta_3.x0"].link_to("p1 + 1.25")
    model["beta_3.y0"].link_to("SQRT(p2^2)/3")
    model["beta.rc"].freeze(0.1 + 0.2)
    model["B"].set(3.0)
    model["beta.beta"].prior = dist.TruncatedNormal(0.6, 0.1, low=0.3)
    full = np.broadcast_to(model.values, (2, 5, len(model))).copy()
    full[..., 0] += np.arange(10).reshape(2, 5) / 10
    full[..., model["beta_3.x0"].number - 1] = full[..., 0] + 1.25
    given = make_posterior(model, image, full, log_likelihood=np.zeros((2, 5)))
    path = replace(given, data=None).save(tmp_path / "links.nc")
    back = read_posterior(path)
    model["beta.beta"].prior = None  # its text alone is in the file
    same(given, back)
    assert back.model["beta_3.x0"].link == "p1 + 1.25" and back.model["beta.rc"].frozen
    assert back.model["beta.x0"].is_set and not back.model["beta.S0"].is_set
    held = json.loads(xarray.open_datatree(path, engine="h5netcdf").attrs["model"])
    assert held["parameters"][model["beta.beta"].number - 1]["prior"] == (
        "LeftTruncatedDistribution(low=0.3, Normal(loc=0.6, scale=0.1))"
    )


def test_own_components(image, tmp_path):
    def ramp(x, y, slope):
        return slope * x

    ramp = js.component(ramp, kind="image", parameters={"slope": (1e-8, 0.0, 1.0)})
    model = js.Model("ramp+const2d", components=[ramp])
    full = np.broadcast_to(model.values, (1, 4, len(model)))
    given = make_posterior(model, image, full, log_likelihood=np.zeros((1, 4)))
    path = replace(given, data=None).save(tmp_path / "own.nc")
    same(given, read_posterior(path, components=[ramp]))
    with pytest.raises(InputError, match=r"own.nc: its model cannot be made: .*ramp"):
        read_posterior(path)
    known = given.save(tmp_path / "known.nc")
    assert read_posterior(known, DataList([image]), components=[ramp]).data is image
    with pytest.raises(InputError, match="data: are 2, and a posterior is of one"):
        read_posterior(path, [image, image], components=[ramp])
    with pytest.raises(InputError, match="neither a spectrum nor an image"):
        read_posterior(path, 5, components=[ramp])
    steep = js.component(
        lambda x, y, slope: 2 * slope * x,
        kind="image",
        name="ramp",
        parameters={"slope": (1e-8, 0.0, 1.0)},
    )
    with pytest.raises(InputError, match="its ramp gave other values"):
        read_posterior(path, components=[steep])


def test_arviz_data(posterior):
    arviz = pytest.importorskip("arviz")
    found = posterior.to_arviz()
    assert type(found).__name__ in ("InferenceData", "DataTree")
    np.testing.assert_array_equal(found["posterior"]["C0"].values, posterior["C0"])
    assert found["posterior"]["B"].attrs["units"] == "ct / pixel"
    stats = found["sample_stats"]
    np.testing.assert_array_equal(stats["diverging"].values, posterior.diverging)
    np.testing.assert_array_equal(stats["n_steps"].values, posterior.steps)
    np.testing.assert_allclose(
        stats["lp"].values, posterior.log_likelihood + posterior.log_prior, rtol=0
    )
    np.testing.assert_array_equal(stats["log_likelihood"].values, posterior.log_likelihood)
    terms = found["log_likelihood"]["counts"]  # the terms are right: they add up, pixel by pixel
    assert terms.dims == ("chain", "draw", "bin") and terms.shape == (4, 50, 69)
    expected = toy_pointwise(posterior.model, posterior.data, posterior.full.reshape(200, -1))
    np.testing.assert_allclose(terms.values.reshape(200, -1), expected, rtol=1e-10)
    summary = arviz.summary(found, round_to=None)
    np.testing.assert_allclose(summary["ess_bulk"], posterior.ess, rtol=0.01)


def test_arviz_has_the_loo_of_the_pixels(posterior):
    arviz = pytest.importorskip("arviz")
    ours = posterior.loo()
    found = arviz.loo(posterior.to_arviz())
    assert found.n_data_points == 69
    assert float(getattr(found, "elpd_loo", getattr(found, "elpd", np.nan))) == pytest.approx(
        ours.elpd, abs=0.3
    )
    assert float(found.se) == pytest.approx(ours.se, rel=0.03)


def test_many_terms_are_thinned_and_none_invented(posterior):
    pytest.importorskip("arviz")
    few = posterior.to_arviz(most=4 * 69 * 12)["log_likelihood"]["counts"]
    every = posterior.to_arviz()["log_likelihood"]["counts"]
    assert few.shape == (4, 12, 69)
    np.testing.assert_array_equal(few.values, every.sel(draw=few["draw"]).values)
    for found in (posterior.to_arviz(pointwise=False), replace(posterior, data=None).to_arviz()):
        assert "log_likelihood" not in (getattr(found, "children", None) or found.groups())


def test_arviz_reads_the_file(posterior, saved):
    arviz = pytest.importorskip("arviz")
    found = arviz.from_netcdf(saved)
    np.testing.assert_array_equal(found["posterior"]["B"].values, posterior["B"])
    assert found.attrs["inference_library"] == "jaxspec"


@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_arviz_1_gets_a_tree(posterior, monkeypatch, version):
    arviz = ModuleType("arviz")  # has no InferenceData
    if version == "1.2":
        arviz.InferenceData = xarray.DataTree
    monkeypatch.setitem(sys.modules, "arviz", arviz)
    tree = to_arviz(posterior)
    assert isinstance(tree, xarray.DataTree)
    assert set(tree.children) == {"posterior", "sample_stats", "log_likelihood"}
    np.testing.assert_array_equal(tree["posterior"]["B"].values, posterior["B"])


@pytest.mark.parametrize("package", ["arviz", "xarray", "h5netcdf", "h5py"])
def test_missing_libraries_are_named(posterior, saved, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # import of None raises ImportError
    calls = [] if package.startswith("h5") else [posterior.to_arviz]
    if package != "arviz":
        calls += [lambda: posterior.save(tmp_path / "x.nc"), lambda: read_posterior(saved)]
    for call in calls:
        with pytest.raises(MissingExtraError, match=rf"{package} is not installed.*\[bayes\]"):
            call()


def test_reading_needs_no_arviz(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    assert len(read_posterior(saved)) == 200


def edit(path, **attributes):
    with h5netcdf.File(path, "a") as file:
        for key, value in attributes.items():
            file.attrs[key] = value
    seal(path)


def seal(path):
    """What was changed on purpose is read."""
    Path(path).write_bytes(sealed(Path(path).read_bytes().partition(SEAL)[0]))


def test_files_that_are_not_ours(posterior, saved, tmp_path):
    with pytest.raises(InputError, match="nowhere.nc: does not exist"):
        read_posterior(tmp_path / "nowhere.nc")
    text = tmp_path / "text.nc"
    text.write_text("chains")
    with pytest.raises(InputError, match="text.nc: is not a posterior that jaxspec wrote"):
        read_posterior(text)
    plain = tmp_path / "plain.nc"
    xarray.Dataset({"a": ("x", np.arange(3))}).to_netcdf(plain, engine="h5netcdf")
    with pytest.raises(InputError, match="its end, a hash of the rest, is missing"):
        read_posterior(plain)
    seal(plain)
    with pytest.raises(InputError, match=r"its format is None, not 'jaxspec posterior 3'"):
        read_posterior(plain)
    cut = tmp_path / "cut.nc"
    cut.write_bytes(Path(saved).read_bytes()[:3000])
    with pytest.raises(InputError, match="cut.nc: is not a posterior"):
        read_posterior(cut)
    with pytest.raises(InputError, match="the folder does not exist"):
        posterior.save(tmp_path / "nowhere" / "x.nc")


@pytest.mark.parametrize(
    "attributes",
    [
        {"model": "__import__('os')"},
        {"model": "[]"},
        {"model": '{"expression": "beta"}'},
        {"model": '{"expression": 3, "abund": "angr", "xsect": "vern", "parameters": []}'},
        {"model": '{"expression": "beta", "abund": "angr", "xsect": "vern", "parameters": []}'},
        {"settings": "{"},
        {"settings": "[]"},
        {"settings": "{}"},
        {"settings": "[" * 50_000},
        {"settings": '{"data": {}, "elsewhere": 3}'},
        {"settings": '{"data": {}, "priors": []}'},
        {"settings": '{"data": {}, "priors": {"beta.rc": 3}}'},
        {"settings": '{"data": {}, "seconds": {"fit": "x"}}'},
        {"best": "[1.0]"},
        {"names": '["C0"]'},
        {"best": '["a"]'},
        {"log_constant": "much"},
    ],
)
def test_altered_attributes_are_refused(saved, attributes):
    edit(saved, **attributes)
    with pytest.raises(InputError, match="posterior.nc: "):
        read_posterior(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"link": "__import__('os').getcwd()"},
        {"link": "p1"},
        {"value": 1e99},
        {"min": "x"},
        {"full_name": "const2d.norm"},
    ],
)
def test_altered_parameters_are_refused(saved, change):
    with h5netcdf.File(saved, "r") as file:
        model = json.loads(file.attrs["model"])
    model["parameters"][0].update(change)
    edit(saved, model=json.dumps(model))
    with pytest.raises(InputError, match="posterior.nc: "):
        read_posterior(saved)


def test_arrays_of_other_lengths_are_refused(posterior, tmp_path):
    path = replace(posterior, steps=posterior.steps[:, :10]).save
    with pytest.raises(ValueError, match="conflicting sizes"):
        path(tmp_path / "x.nc")
    saved = posterior.save(tmp_path / "y.nc")
    with pytest.importorskip("h5py").File(saved, "a") as file:
        del file["sample_stats/n_steps"]
    seal(saved)
    with pytest.raises(InputError, match="y.nc: is not a posterior"):
        read_posterior(saved)


def test_any_other_data_are_refused(posterior, saved, image):
    """Counts and places were all that was compared: another exposure map went unnoticed."""
    psf = js.gaussian_psf(fwhm=3.0)
    for change, words in (
        ({"exposure": image.exposure * 1.1}, "exposure"),
        ({"background": np.full(image.shape, 0.1)}, "background"),
        ({"area": np.full(image.shape, 0.5)}, "area"),
        ({"rms": np.ones(image.shape)}, "error"),
        ({"psf": psf}, "psf"),
        ({"exposure_unit": "cm2 s"}, "unit"),
    ):
        with pytest.raises(InputError, match=f"differ in {words}; give the same data"):
            read_posterior(saved, data=image.replace(**change))
    assert read_posterior(saved, data=image.replace(name="another name")).data is not None


def test_pixels_of_another_size_are_refused(posterior, tmp_path, image):
    """The likelihood is the same, and a core radius in arcsec is another."""
    from astropy.wcs import WCS

    def on_the_sky(step):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-step, step]
        return image.replace(wcs=wcs)

    path = replace(posterior, data=on_the_sky(0.001)).save(tmp_path / "p.nc")
    assert read_posterior(path, data=on_the_sky(0.001)).data is not None
    assert read_posterior(path, data=image).data is not None
    with pytest.raises(InputError, match="pixels of 3.6 arcsec, and those of the data given"):
        read_posterior(path, data=on_the_sky(0.002))


def test_a_posterior_knows_what_it_was_made_from(posterior, saved, image):
    data = image.replace(path="a/image.fits", diagnostics=("regions: 3 pixels left out",))
    known = replace(posterior, data=data).fingerprint
    assert known["path"] == "a/image.fits" and known["exposure_unit"] == "s"
    assert known["diagnostics"] == ["regions: 3 pixels left out"]
    assert read_posterior(saved).table.meta["DATA"]["exposure_unit"] == "s"


def test_a_flipped_bit_is_found(saved, posterior):
    """In a number, or where HDF5 would look for ever."""
    whole = Path(saved).read_bytes()
    for place in np.linspace(10, len(whole) - 1, 40).astype(int):
        bad = bytearray(whole)
        bad[place] ^= 1
        Path(saved).write_bytes(bad)
        if place > len(whole) - 90:  # the hash itself, or the words before it
            continue
        with pytest.raises(InputError, match="is damaged or was changed"):
            read_posterior(saved)
    Path(saved).write_bytes(whole)
    same(posterior, read_posterior(saved))
    assert xarray.open_datatree(saved, engine="h5netcdf")["posterior"].sizes["draw"] == 50
    Path(saved).write_bytes(whole + b"garbage")
    with pytest.raises(InputError, match="is damaged or was changed"):
        read_posterior(saved)
    Path(saved).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is not a posterior"):
        read_posterior(saved)


def test_large_settings(image, tmp_path):
    metric = np.random.default_rng(1).normal(size=(100, 100))
    posterior = flat_posterior(image, n_draw=5, settings={"metric": metric})
    back = read_posterior(posterior.save(tmp_path / "large.nc"))
    np.testing.assert_array_equal(back.settings["metric"], metric)
