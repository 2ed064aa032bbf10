"""``jaxspec image`` and ``jaxspec demo image``: outputs, exit codes, one-line errors."""

import importlib
import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from click.testing import CliRunner
from toy_posterior import flat_posterior, toy_image

import jaxspec as js
from jaxspec.cli import main
from jaxspec.demo.cluster import cluster_truth, simulate_cluster
from jaxspec.model.model import Model
from jaxspec.report import save as figures

SAME = "beta,beta+background"  # one model by two names, so that it is compiled once


def call(*arguments, code=0):
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done


def one_line(done):
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("jaxspec: error: "), done.stderr
    assert "Traceback" not in done.output
    return lines[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    simulate_cluster("single", 64, seed=3, folder=folder)
    psf = np.exp(-0.5 * (np.hypot(*(np.indices((9, 9)) - 4.0)) / 0.8) ** 2)
    fits.writeto(folder / "psf.fits", psf)
    return folder


@pytest.fixture(scope="module")
def arguments(files):
    given = [files / "image.fits.gz", "--expmap", files / "expmap.fits.gz", "--no-cache"]
    return [*given, "--regions", files / "mask.reg", "--min-exposure", 0.5]


@pytest.fixture(scope="module")
def run(arguments, tmp_path_factory):
    """One run with everything that can be written; how posteriors are drawn is tested elsewhere."""
    out = tmp_path_factory.mktemp("run") / "deep" / "out"
    options = ["--draws", 60, "--warmup", 60, "--seed", 3, "--out", out]
    whole = figures.save

    def save(thing, folder, prefix="", overwrite=False):
        if isinstance(thing, dict):
            return [f"{len(thing)}.png"]
        return (
            [f"{prefix}drawn.png"]
            if hasattr(thing, "chains")
            else whole(thing, folder, prefix, overwrite=overwrite)
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", save)
        return out, call("image", *arguments, "--compare", SAME, *options)


def test_what_is_said(run):
    _, done = run
    assert "64 x 64 pixels" in done.output and "regions: " in done.output
    assert "exposure map: multiplied by 100000 s" in done.output
    assert "lies on a parameter limit" in done.output  # B, of which a small detector sees little
    assert "4 chains of 60 draws" in done.output
    assert "hardly preferred to" in done.output and "do not tell them apart" in done.output
    assert "summary.json, profile.ecsv" in done.output


def test_tables_and_summary(run):
    out, _ = run
    summary = json.loads((out / "summary.json").read_text())
    assert summary["command"] == "jaxspec image" and set(summary["fits"]) == set(SAME.split(","))
    truth = cluster_truth("single", 64)
    numbers = summary["fits"]["beta"]["parameters"]
    for name in ("x0", "y0", "S0", "rc", "beta"):
        assert abs(numbers[name]["value"] - truth[name]) < 5 * numbers[name]["error"]
    assert numbers["B"] == {"value": 0.0, "error": None, "unit": "ct / pixel"}
    table = QTable.read(out / "beta_fit.ecsv")
    assert table["rc"][0].value == pytest.approx(numbers["rc"]["value"])
    assert table["status"][0] == summary["fits"]["beta"]["status"] == "AT_LIMIT"
    chains = Table.read(out / "beta_chains.parquet")
    assert len(chains) == 240 and set(truth) < set(chains.colnames)
    posterior = js.read_posterior(out / "beta_posterior.nc")
    np.testing.assert_array_equal(posterior["rc"].ravel(), chains["rc"])
    assert posterior.settings["seed"] == 3
    assert summary["comparison"]["preferred"] in SAME.split(",")
    drawn = {"beta_drawn.png", "beta+background_drawn.png", "2.png"}
    assert len(set(summary["files"])) == len(summary["files"]) and drawn < set(summary["files"])
    files = {p.name for p in out.iterdir()} - {"summary.json"}
    assert files == set(summary["files"]) - drawn and {"image.png", "masks.png"} < files


def test_one_model_that_is_only_fitted(arguments, tmp_path):
    done = call("image", *arguments, "-o", tmp_path / "a", "--freeze", "beta=0.55", "--set", "rc=4")
    assert "chains" not in done.output and "beta " not in done.output.split("statistic")[1]
    names = {p.name for p in (tmp_path / "a").iterdir()}
    assert {"fit.ecsv", "profile.ecsv", "profile.png", "residuals.png"} <= names
    assert not names & {"posterior.ecsv", "posterior.nc", "chains.parquet"}
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert "beta" not in summary["fits"]["beta"]["parameters"] and summary["posteriors"] == {}


def test_a_second_run_into_one_folder(arguments, tmp_path, monkeypatch):
    """Refused unless told; then nothing of the first run is left among the second's."""
    monkeypatch.setattr(figures, "save", lambda *_, **__: [])
    command = ["image", *arguments, "-o", tmp_path, "-m", "const2d"]
    (tmp_path / "notes.txt").write_text("mine")
    an_earlier = tmp_path / "fit.ecsv"
    an_earlier.write_text("old")
    assert "holds fit.ecsv already" in one_line(call(*command, code=1))
    call(*command, "--overwrite", "--quiet")
    assert "rows" not in an_earlier.read_text() and len(QTable.read(an_earlier)) == 1
    said = one_line(call(*command, code=1))
    assert "holds an earlier run of `jaxspec image`" in said and "--overwrite" in said
    (tmp_path / "2.png").write_text("of a comparison")
    summary = json.loads((tmp_path / "summary.json").read_text())
    summary["files"].append("2.png")
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    done = call(*command, "--overwrite")
    assert "files are replaced" in done.output and "notes.txt" in done.output
    assert "removed what an earlier run had left" in done.output
    assert not (tmp_path / "2.png").exists() and (tmp_path / "notes.txt").read_text() == "mine"


def test_quiet_and_without_a_folder(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("image", *arguments, "-m", "const2d", "--quiet").output == ""
    assert list(tmp_path.iterdir()) == []


def test_psf_and_background_are_read(files, arguments):
    """Both reach the fit: what was read is seen in the line about the image."""
    flat = np.full(fits.getdata(files / "image.fits.gz").shape, 0.1)
    fits.writeto(files / "flat.fits", flat, overwrite=True)
    background = ["--background", files / "flat.fits", "--thaw", "scale", "--freeze", "B=0"]
    done = call("image", *arguments, *background, "-m", "const2d", "--freeze", "C0=0")
    assert "background" in done.output.splitlines()[0] and "scale" in done.output
    from jaxspec.run.image import read_data

    image_pixel = 4 * 0.492
    image = read_data(
        files / "image.fits.gz",
        expmap=files / "expmap.fits.gz",
        psf=files / "psf.fits",
        psf_pixel=image_pixel / 2,
    )
    assert image.psf.sampled.shape == (5, 5)


def test_without_the_extra_the_netcdf_is_left_out(monkeypatch, tmp_path, rng):
    from jaxspec.errors import MissingExtraError
    from jaxspec.run.results import LEFT_OUT, write_results
    from jaxspec.sample.posterior import Posterior

    def refuse(*_):
        raise MissingExtraError("h5netcdf", "bayes")

    monkeypatch.setattr(Posterior, "save", refuse)
    image = toy_image()
    posteriors = {"background": flat_posterior(image, n_draw=20)}
    names, notes = write_results(tmp_path, image, {}, posteriors)
    assert notes == [f"{LEFT_OUT}h5netcdf is not installed; " + notes[0].partition("; ")[2]]
    assert "pip install" in notes[0] and "posterior.nc" not in names
    assert (tmp_path / "chains.parquet").exists()


def test_parameters_of_several_models():
    from jaxspec.run.image import prepared

    models = prepared(
        ["beta", "double_beta"],
        [("rc", 3.0), ("rc2", 30.0)],
        [("beta2", None), ("B", 0.1)],
        ["scale"],
    )
    assert models["beta"]["rc"].value == models["double_beta"]["rc"].value == 3.0
    assert models["double_beta"]["rc2"].value == 30.0 and models["double_beta"]["beta2"].frozen
    assert all(m["B"].frozen and m["B"].value == 0.1 and m["scale"].free for m in models.values())
    assert isinstance(models["beta"], Model)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--model", "powerlaw"], "model of a spectrum"),
        (["--model", "bate"], "bate"),
        (["--freeze", "rc2=3"], "no parameter 'rc2'"),
        (["--set", "rc=-3"], "rc"),
        (["--regions", "nowhere.reg"], "nowhere.reg: is neither a region file"),
        (["--expmap", "nowhere.fits"], "nowhere.fits: does not exist"),
        (["--psf", "nowhere.fits"], "nowhere.fits: does not exist"),
    ],
)
def test_errors_are_one_line(arguments, change, says):
    assert says in one_line(call("image", *arguments, "--quiet", *change, code=1))


def test_a_folder_that_cannot_be_made(arguments, files):
    done = call("image", *arguments, "--out", files / "psf.fits" / "out", code=1)
    assert "cannot be made" in one_line(done)


def test_no_usable_fit_is_exit_code_1(arguments, monkeypatch):
    module = importlib.import_module("jaxspec.fit.run")
    true_fit = module.fit

    def fit(*args, **options):
        result = true_fit(*args, **options)
        result.status[:] = 3
        return result

    monkeypatch.setattr(module, "fit", fit)
    done = call("image", *arguments, "-m", "const2d", "--sample", code=1)
    assert "no usable fit: const2d" in done.stderr and "chains" not in done.output


@pytest.mark.parametrize(
    "wrong",
    [
        ["image"],
        ["image", "x.fits", "--compare", "beta"],
        ["image", "x.fits", "--compare", "beta,,gauss2d"],
        ["image", "x.fits", "--exposure-time", "long"],
        ["image", "x.fits", "--min-exposure", "2"],
        ["image", "x.fits", "--set", "rc"],
        ["image", "x.fits", "--chains", "0"],
        ["demo", "image", "-n", "30"],
        ["demo", "rxte", "--size", "100"],
        ["demo", "image", "--size", "3"],
        ["demo", "gamma"],
    ],
)
def test_wrong_usage_is_exit_code_2(wrong):
    done = call(*wrong, code=2)
    assert "Error:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "expected"), [("auto", "auto"), ("YES", True), ("no", False), ("12.5", 12.5)]
)
def test_exposure_time(given, expected):
    from jaxspec.cli.image import _exposure_time

    assert _exposure_time(None, None, given) == expected


def test_demo_image_is_started_with_its_options(monkeypatch, tmp_path):
    from jaxspec.demo import image as demo_image

    seen = []
    monkeypatch.setattr(demo_image, "run_image_demo", lambda out, **o: seen.append((out, o)))
    monkeypatch.chdir(tmp_path)
    call("demo", "image", "--no-cache", "--size", 100, "--draws", 50, "--seed", 4)
    call("demo", "image", "--no-cache", "--out", "here")
    (first, options), (second, defaults) = seen
    assert str(first) == "jaxspec-demo-image" and str(second) == "here"
    assert {k: options[k] for k in ("size", "draws", "seed")} == {
        "size": 100,
        "draws": 50,
        "seed": 4,
    }
    assert set(defaults) == {"seed", "say"}
