"""The simulated cluster: what is seen, what is masked, and its files."""

import numpy as np
import pytest

import jaxspec as js
from jaxspec import InputError
from jaxspec.demo import cluster
from jaxspec.demo.cluster import MIN_EXPOSURE, PIXEL, cluster_truth, simulate_cluster


def test_cluster_of_full_size():
    image = simulate_cluster(seed=4)
    assert image.shape == (883, 883) and 230_000 < image.good.sum() < 250_000
    assert image.exposure.max() == pytest.approx(4.8e7, rel=1e-12)
    assert image.pixel_size == pytest.approx(PIXEL, rel=1e-6)
    assert image.exposure[image.good].min() >= MIN_EXPOSURE * 4.8e7
    assert not image.mask[543:563, 471:491].any()  # the core is seen
    truth = cluster_truth()
    x, y = js.centroid(image)
    assert np.hypot(x - truth["x0"], y - truth["y0"]) < 2.0
    lit = image.exposure > MIN_EXPOSURE * 4.8e7
    assert (image.mask & lit).sum() > 15_000  # sources, gaps and the outer chip
    outer = np.indices(image.shape)[0] < 150
    assert (lit & outer).any() and image.mask[outer].all()


@pytest.mark.parametrize("kind", ["single", "double"])
def test_the_background_of_the_cluster_is_that_of_its_model(kind):
    from jaxspec.likelihood.forward import predict

    image, truth = simulate_cluster(kind, 400, seed=2), cluster_truth(kind, 400)
    model = js.Model("beta" if kind == "single" else "double_beta")
    for name, value in truth.items():
        model[name].set(value)
    pull = (image.pixels.counts - (mean := predict(model, image, model.values))) / np.sqrt(mean)
    n = pull.size
    assert abs(pull.sum()) < 4 * np.sqrt(n) and abs((pull**2).mean() - 1) < 8 * np.sqrt(2 / n)
    away = image.mask & (image.exposure > 0.8 * image.exposure.max())
    assert image.counts[away].max() > 15  # but on the masked ones they shine


def test_regions_hide_all_light_of_the_point_sources():
    blank, rng = cluster._template(400), np.random.default_rng(3)
    blobs, regions = cluster._point_sources(blank, cluster_truth("double", 400), 400, rng)
    assert len(regions) == 10 and blobs.sum() > 400
    left = blank.masked("fk5\n" + "\n".join(regions)).good
    assert blobs[left].sum() == 0.0
    assert (left | blank.mask).mean() > 0.97  # and not much else


def test_cluster_from_files_is_the_same(tmp_path):
    memory = simulate_cluster("single", 96, seed=7)
    disk = simulate_cluster("single", 96, seed=7, folder=tmp_path / "new")
    for field in ("counts", "mask"):
        np.testing.assert_array_equal(getattr(memory, field), getattr(disk, field))
    np.testing.assert_allclose(disk.exposure, memory.exposure, rtol=1e-14)
    assert "multiplied by 100000 s" in disk.diagnostics[0] and disk.name == "cluster"
    names = {p.name for p in (tmp_path / "new").iterdir()}
    assert names == {"image.fits.gz", "expmap.fits.gz", "mask.reg", "truth.ecsv"}
    assert np.any(simulate_cluster("single", 96, seed=8).counts != memory.counts)


def test_truth_and_bad_input():
    assert cluster_truth("double")["rc2"] == 17.8515
    assert cluster_truth("single", 883 / 2)["x0"] == 481.231 / 2
    with pytest.raises(InputError, match="kind: is 'triple'"):
        simulate_cluster("triple")
    with pytest.raises(InputError, match="size: is 30"):
        simulate_cluster(size=30)
