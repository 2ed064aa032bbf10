"""The demonstration on a simulated cluster, small and with two simple models."""

import json

import numpy as np
import pytest
from astropy.table import QTable, Table

import jaxspec as js
from jaxspec import InputError
from jaxspec.demo import image as demo_image
from jaxspec.run import image as image_run
from jaxspec.run.folder import make_room, plain, write_json

SIZE, DRAWS = 64, 60


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run: its summary, folder and what was said."""
    out, said = tmp_path_factory.mktemp("demo") / "out", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_image, "MODELS", {"beta+background": "", "beta": "single"})
        patch.setattr(demo_image, "TRUE", "beta")
        patch.setattr(image_run, "draw_all", lambda *_: [])  # tested with the command
        summary = demo_image.run_image_demo(out, SIZE, seed=1, draws=DRAWS, say=said.append)
    return summary, out, "\n".join(said)


def test_the_truth_is_recovered(demo):
    summary, _, said = demo
    assert list(summary["truths"]) == ["x0", "y0", "S0", "rc", "beta", "B"]
    for name, row in summary["truths"].items():
        assert abs(row["sigma"]) < 4.5 or name == "B"  # of which a small detector sees little
        assert row["sigma"] == pytest.approx((row["mean"] - row["truth"]) / row["sd"])
    assert summary["truths"]["rc"]["truth"] == 4.2977
    assert "R-hat" in said and "4.2977" in said
    assert summary["comparison"]["preferred"] in ("beta", "beta+background")
    assert "the data do not tell them apart" in said


def test_everything_is_written(demo):
    summary, out, said = demo
    assert json.loads((out / "summary.json").read_text()) == plain(summary)
    assert summary["finished"] and summary["seed"] == 1 and summary["versions"]["jax"]
    assert all((out / name).stat().st_size > 200 for name in summary["files"])
    assert {"simulate and read", "sample beta", "compare", "total"} <= set(summary["seconds"])
    assert {"image.fits.gz", "expmap.fits.gz", "mask.reg"} <= {
        p.name for p in (out / "data").iterdir()
    }
    assert "summary.json" in said and "beta_chains.parquet" in said
    assert any("within one standard deviation" in line for line in summary["findings"])


def test_tables_agree_with_the_summary(demo):
    summary, out, _ = demo
    chains = Table.read(out / "beta_chains.parquet")
    assert len(chains) == 4 * DRAWS
    assert chains["rc"].mean() == pytest.approx(summary["truths"]["rc"]["mean"])
    posterior = QTable.read(out / "beta_posterior.ecsv")
    numbers = summary["posteriors"]["beta"]["parameters"]
    np.testing.assert_allclose(posterior["mean"], [row["mean"] for row in numbers.values()])
    fit = QTable.read(out / "beta_fit.ecsv")
    assert fit["rc"][0].value == pytest.approx(summary["fits"]["beta"]["parameters"]["rc"]["value"])
    again = js.read_posterior(out / "beta_posterior.nc")
    assert again.chains.shape == (4, DRAWS, 6)
    counts = QTable.read(out / "profile.ecsv")["counts"].sum()
    assert counts == pytest.approx(summary["image"]["counts"], rel=1e-3)


def test_files_are_those_that_were_fitted(demo):
    summary, out, _ = demo
    image = js.read_image(
        out / "data/image.fits.gz",
        exposure=out / "data/expmap.fits.gz",
        regions=out / "data/mask.reg",
        min_exposure=0.5,
    )
    assert image.good.sum() == summary["image"]["good_pixels"]


def test_foreign_folders_are_left_alone(tmp_path, demo):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not of a demonstration"):
        demo_image.run_image_demo(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="kind|size"):
        demo_image.run_image_demo(tmp_path / "new", size=3)
    assert not (tmp_path / "new").exists()
    assert make_room(demo[1], demo_image.COMMAND) == demo[1]


def test_summaries_hold_no_nan(tmp_path):
    write_json(tmp_path, {"a": np.float64("nan"), "b": [np.inf, np.bool_(True)], "c": (1, None)})
    assert json.loads((tmp_path / "summary.json").read_text()) == {
        "a": None,
        "b": [None, True],
        "c": [1, None],
    }
