"""Figures of images and image models: the arrays behind them, and what is drawn."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from small_cluster import DOUBLE, PIXEL, SINGLE, cluster, fit_of, model_of, posterior_of, sky

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import predict
from jaxspec.report import plot
from jaxspec.report.image_checks import gaussian_weights
from jaxspec.report.labels import unit_text
from jaxspec.report.save import save


@pytest.fixture(scope="module")
def image():
    return cluster()


@pytest.fixture(scope="module")
def double(image):
    return posterior_of(DOUBLE, image)


@pytest.fixture(scope="module")
def single(image):
    """A model that does not describe the data."""
    return posterior_of(SINGLE, image)


@pytest.fixture(scope="module")
def fitted(image):
    return fit_of(SINGLE, image)


def drawn(figure):
    """Draw, so that what fails only then fails here."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    return figure


def texts(thing):
    figure = thing if isinstance(thing, Figure) else thing.figure
    found = [t.get_text() for t in figure.findobj(plt.Text)]
    for ax in figure.axes:
        found += [c.get_axislabel() for c in getattr(ax, "coords", ())]
    return " | ".join(found)


def shown(ax, n=0):
    return ax.images[n].get_array()


def points(ax):
    (container,) = [c for c in ax.containers if hasattr(c, "has_yerr")][:1]
    return container.lines[0].get_data()


def line(ax, label):
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return found.get_ydata()


# ---------------------------------------------------------------------------- arrays


def test_profile_arrays_are_exact_sums_over_the_pixels(image, double):
    arrays = plot.profile_arrays(double, n_bins=12)
    pixels, model = image.pixels, double.model
    expected = predict(model, image, model.values)
    r = np.hypot(pixels.x - DOUBLE["x0"], pixels.y - DOUBLE["y0"]) * PIXEL / 60
    assert arrays.center == (DOUBLE["x0"], DOUBLE["y0"])
    ends = np.append(arrays.edges[1][:-1], np.inf)  # the last edge is at the farthest pixel
    inside = [(r >= lo) & (r < hi) for lo, hi in zip(arrays.edges[0], ends, strict=True)]
    np.testing.assert_allclose(arrays.expected, [expected[i].sum() for i in inside], rtol=1e-12)
    np.testing.assert_allclose(arrays.counts, [pixels.counts[i].sum() for i in inside])
    assert arrays.expected.sum() == pytest.approx(expected.sum(), rel=1e-3)


def test_components_add_up_and_the_cores_are_apart(image, double):
    arrays = plot.profile_arrays(double, n_bins=12)
    assert list(arrays.components) == ["core 1", "core 2", "background"]
    np.testing.assert_allclose(sum(arrays.parts.values()), arrays.expected, rtol=1e-12)
    np.testing.assert_allclose(sum(arrays.components.values()), arrays.model, rtol=1e-12)
    first = model_of(DOUBLE | {"S02": 0.0, "B": 0.0})
    whole = predict(first, image, first.values).sum()
    assert arrays.parts["core 1"].sum() == pytest.approx(whole, rel=1e-6)


def test_two_double_betas_are_told_apart(image):
    model = js.Model("double_beta+double_beta")
    for p in model.parameters:
        if p.name in DOUBLE and p.name != "B":
            p.set(DOUBLE[p.name])
    posterior = replace(
        posterior_of(DOUBLE, image), model=model, full=model.values[None, None],
        chains=np.zeros((1, 1, 0)), names=(), best=model.values[:-1],
    )  # fmt: skip
    arrays = plot.profile_arrays(posterior, n_bins=5)
    names = [f"double_beta{n} core {i}" for n in ("", "_2") for i in (1, 2)]
    assert list(arrays.parts) == names  # and no background, which is zero
    np.testing.assert_allclose(sum(arrays.parts.values()), arrays.expected, rtol=1e-12)


def test_profile_arrays_in_other_units(image, double):
    annuli = js.profile(image, (DOUBLE["x0"], DOUBLE["y0"]), n_bins=12)
    pixel = plot.profile_arrays(double, n_bins=12, unit="pixel")
    np.testing.assert_allclose(pixel.data, annuli.sb)
    np.testing.assert_allclose(pixel.error, annuli.sb_err)
    assert (pixel.x_unit, pixel.unit) == ("pixel", annuli.sb_unit)
    arcmin = plot.profile_arrays(double, n_bins=12)
    assert (arcmin.x_unit, arcmin.unit) == ("arcmin", "ct s-1 cm-2 arcmin-2")
    np.testing.assert_allclose(arcmin.x, pixel.x * PIXEL / 60)
    np.testing.assert_allclose(arcmin.data, pixel.data / (PIXEL / 60) ** 2)
    counts = plot.profile_arrays(double, n_bins=12, kind="counts", unit="arcsec")
    np.testing.assert_allclose(counts.data, annuli.counts / annuli.area / PIXEL**2)
    assert counts.unit == "ct arcsec-2"
    np.testing.assert_allclose(pixel.residuals, arcmin.residuals)


def test_profile_arrays_without_a_model(image):
    arrays = plot.profile_arrays(image, bins="min_counts", min_counts=50)
    assert arrays.model is None and arrays.residuals is None and arrays.components == {}
    assert (arrays.counts >= 50).all()


def test_profile_arrays_of_a_published_profile():
    r, rng = np.linspace(1.0, 20.0, 20), np.random.default_rng(1)
    sb = 3.0 * (1 + (r / 4) ** 2) ** (-3 * 0.6 + 0.5)
    table = js.RadialProfile.from_table(
        r, sb + rng.normal(0, 0.02, 20), np.full(20, 0.02), unit="arcmin", sb_unit="ct s-1"
    )
    values = {"x0": 0.0, "y0": 0.0, "S0": 3.0, "rc": 4.0, "beta": 0.6, "B": 0.0}
    result = fit_of(values, table)
    arrays = plot.profile_arrays(result)
    assert (arrays.x_unit, arrays.unit) == ("arcmin", "ct s-1")
    np.testing.assert_allclose(arrays.model, sb, rtol=1e-12)
    np.testing.assert_allclose(arrays.residuals, (table.sb - sb) / 0.02, rtol=1e-9)
    upper, lower = drawn(plot.profile(result, Figure())).axes
    assert lower.get_xlabel() == "Radius [arcmin]"
    with pytest.raises(InputError, match="no pixel size"):
        plot.profile_arrays(result, unit="arcsec")
    with pytest.raises(InputError, match="no fit of an image"):
        plot.residual_image(result)


def test_choices_that_cannot_be_used(image, double, fitted):
    for options, word in (
        ({"kind": "flux"}, "kind"),
        ({"unit": "kpc"}, "unit"),
        ({"bins": "best"}, "log, linear"),
    ):
        with pytest.raises(InputError, match=word):
            plot.profile_arrays(double, **options)
    with pytest.raises(InputError, match="js.fit"):
        plot.profile_arrays("beta")
    with pytest.raises(InputError, match="without them"):
        plot.profile_arrays(replace(double, data=None))
    with pytest.raises(InputError, match="js.sample"):
        plot.predictive_profile(fitted)
    with pytest.raises(InputError, match="number of draws"):
        plot.predictive_profile(double, n=0)
    with pytest.raises(InputError, match="no fit of an image"):
        plot.residual_image(image)
    with pytest.raises(InputError, match="pixel size"):
        plot.profile_arrays(image.replace(wcs=None), unit="arcsec")


def test_fits_of_spectra_are_refused(result):
    with pytest.raises(InputError, match="plot.fit"):
        plot.profile(result)


def test_predictive_profile_of_a_true_and_of_a_wrong_model(double, single):
    found = plot.predictive_profile(double, n=100, n_bins=16)
    arrays = found.profile
    assert (np.diff(found.model, axis=0) >= 0).all()
    np.testing.assert_allclose(found.model[2], arrays.model, rtol=0.02)
    assert (found.replicated[0] <= found.model[0]).all()
    inside = (arrays.data >= found.replicated[0]) & (arrays.data <= found.replicated[-1])
    assert inside.mean() > 0.8 and 0.01 < found.p_value < 0.99
    expected = (arrays.per * found.replicated[-1] - arrays.expected) / arrays.scatter
    np.testing.assert_allclose(found.residuals[-1], expected, rtol=1e-9)
    assert plot.predictive_profile(single, n=100, n_bins=16).p_value < 0.001
    assert double.predictive_p == plot.predictive_profile(double).p_value
    said = "posterior predictive p of the radial profile"
    assert f"{said}: {double.predictive_p:.2f}" in double.summary()
    assert f"{said} is below 0.005: the model does not describe the data" in repr(single)


def test_predictive_profile_depends_on_the_seed_alone(double):
    one, same, other = (plot.predictive_profile(double, n=20, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.replicated, same.replicated)
    assert (one.replicated != other.replicated).any()


def test_poisson_scatter_of_replicated_data(image):
    sure = posterior_of(DOUBLE, image, spread=0.0)
    found = plot.predictive_profile(sure, n=200, n_bins=8)
    bright = found.profile.expected > 100
    np.testing.assert_allclose(
        found.residuals[:, bright].mean(1), [-1.96, -1, 0, 1, 1.96], atol=0.1
    )


def test_residual_image_of_the_true_model_has_unit_scatter(image, double):
    for smooth in (None, 1.5):
        found = plot.residual_image(double, smooth)
        np.testing.assert_array_equal(np.isnan(found), image.mask)
        assert np.nanstd(found) == pytest.approx(1.0, abs=0.08 if smooth is None else 0.15)
    pixels = image.pixels
    expected = predict(double.model, image, double.model.values)
    away = (pixels.counts - expected) / np.sqrt(expected)
    np.testing.assert_allclose(plot.residual_image(double)[image.good], away, rtol=1e-9)


def test_masked_pixels_do_not_bleed(image, double):
    wild = np.where(image.mask, 1e6, image.counts)
    other = replace(double, data=image.replace(counts=wild))
    np.testing.assert_array_equal(
        plot.residual_image(double, 2.0)[image.good], plot.residual_image(other, 2.0)[image.good]
    )


def test_residual_image_with_errors_and_smoothing_as_an_angle(image, double):
    from astropy import units as u

    errors = image.replace(rms=np.full(image.shape, 3.0))
    found = plot.residual_image(replace(double, data=errors))
    expected = predict(double.model, image, double.model.values)
    np.testing.assert_allclose(found[image.good], (image.pixels.counts - expected) / 3, rtol=1e-9)
    np.testing.assert_allclose(
        plot.residual_image(double, 2.0 * image.pixel_size * u.arcsec),
        plot.residual_image(double, 2.0),
    )


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 30.0))
def test_weights_of_the_smoothing(sigma):
    weights = gaussian_weights(sigma)
    assert weights.sum() == pytest.approx(1.0) and (weights == weights[::-1]).all()
    assert len(weights) % 2 == 1 and weights.argmax() == len(weights) // 2


# ---------------------------------------------------------------------------- images


def test_image_masks_pixels_and_has_sky_axes(image):
    ax = drawn(plot.image(image, fig=Figure())).axes[0]
    array = shown(ax)
    np.testing.assert_array_equal(np.ma.getmaskarray(array), image.mask)
    np.testing.assert_array_equal(array.compressed(), image.counts[image.good])
    assert ax.images[0].norm.vmax == image.counts[image.good].max()
    assert "Right ascension" in texts(ax) and "Declination" in texts(ax)
    assert "Counts per pixel" in texts(ax) and "″" in texts(ax)
    assert ax.images[0].cmap.get_bad()[3] == 1.0


def test_image_without_masks_and_without_sky(image):
    flat = image.replace(wcs=None)
    ax = drawn(plot.image(flat, masked=False, fig=Figure())).axes[0]
    assert not np.ma.getmaskarray(shown(ax)).any() and ax.images[0].norm.vmax == 1000
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [pixel]", "y [pixel]")
    assert "10 pixels" in texts(ax)
    own = Figure().add_subplot()
    assert drawn(plot.image(image, own)) is own.figure  # plain axes are labelled in pixels
    assert own.get_xlabel() == "x [pixel]"


def test_galactic_axes(image):
    wcs = sky(image.shape, ("GLON-TAN", "GLAT-TAN"))
    assert "Galactic longitude" in texts(drawn(plot.image(image.replace(wcs=wcs), fig=Figure())))


@pytest.mark.parametrize("stretch", ["log", "sqrt", "asinh", "linear"])
def test_stretches_rise_from_zero_to_one(image, stretch):
    norm = plot.image(image, fig=Figure(), stretch=stretch).axes[0].images[0].norm
    values = np.asarray(norm([0.0, 1.0, 10.0, norm.vmax]))
    assert values[0] == 0 and values[-1] == pytest.approx(1) and (np.diff(values) > 0).all()


def test_zoom(image):
    ax = drawn(plot.image(image, fig=Figure(), zoom=10.0)).axes[0]
    assert np.diff(ax.get_xlim()) == pytest.approx(10) and np.diff(ax.get_ylim()) == 10
    assert np.mean(ax.get_xlim()) == pytest.approx(DOUBLE["x0"], abs=1)
    there = SkyCoord(*[v for v in image.wcs.wcs_pix2world([[5.0, 30.0]], 0)[0]], unit="deg")
    ax = drawn(plot.image(image, fig=Figure(), center=there, zoom=8)).axes[0]
    (mark,) = [one for one in ax.lines if one.get_gid() == "center"]
    np.testing.assert_allclose(np.ravel(mark.get_data()), [5, 30], atol=1e-6)
    np.testing.assert_allclose(ax.get_ylim(), [26, 34], atol=1e-6)
    near = image.counts[26:35, 1:10][image.good[26:35, 1:10]]
    assert ax.images[0].norm.vmax == near.max()


def test_zoomed_sky_axes_can_be_laid_out(image):
    figure = Figure(layout="constrained")  # a warning of a layout that fails is an error here
    ax = drawn(plot.image(image, fig=figure, center=(40, 38), zoom=3)).axes[0]
    assert ax.get_position().width > 0.4


def test_what_an_image_figure_refuses(image):
    with pytest.raises(InputError, match="stretch"):
        plot.image(image, fig=Figure(), stretch="cube")
    with pytest.raises(InputError, match="not on the image"):
        plot.image(image, fig=Figure(), center=(900, 3), zoom=5)


def test_exposure_is_drawn_where_there_is_any(image):
    ax = drawn(plot.exposure(image, fig=Figure())).axes[0]
    np.testing.assert_array_equal(np.ma.getmaskarray(shown(ax)), image.exposure <= 0)
    assert shown(ax).max() == pytest.approx(image.exposure.max() / 1e7)
    assert r"$10^{7}$ $\mathrm{cm^{2}}$ $\mathrm{s}$" in texts(ax)
    plain = image.replace(exposure_unit="", exposure=np.ones(image.shape))
    assert "Exposure" in texts(drawn(plot.exposure(plain, fig=Figure()))).split(" | ")


def test_masks_tell_left_out_from_not_exposed(image):
    ax = drawn(plot.masks(image, fig=Figure())).axes[0]
    kinds = {one.get_gid(): ~np.ma.getmaskarray(one.get_array()) for one in ax.images[1:]}
    np.testing.assert_array_equal(kinds["not exposed"], image.exposure <= 0)
    np.testing.assert_array_equal(kinds["left out"], image.mask & (image.exposure > 0))
    assert f"used: {image.good.sum():,}" in texts(ax) and "left out: 9" in texts(ax)
    free = image.replace(mask=np.zeros(image.shape, bool), exposure=np.ones(image.shape))
    assert len(drawn(plot.masks(free, fig=Figure())).axes[0].images) == 1


def test_overview_has_three_panels(image):
    figure = Figure()
    assert drawn(plot.overview(image, figure)) is figure
    panels = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in panels] == ["Counts", "Used in the fit", "Exposure"]
    assert not np.ma.getmaskarray(shown(panels[0])).any()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown(panels[1])), image.mask)
    drawn(plot.overview(image.replace(wcs=None), Figure(), zoom=12))


def test_colour_bar_is_as_high_as_the_image(image):
    wide = image.cutout((24, 22), (40, 12))
    figure = Figure(layout="constrained")
    ax = drawn(plot.image(wide, fig=figure)).axes[0]
    bar = figure.axes[-1]
    assert bar.get_position().height == pytest.approx(ax.get_position().height, rel=1e-3)
    assert bar.get_position().x0 > ax.get_position().x1


def test_empty_and_dark_images_can_be_drawn(image):
    zero = image.replace(counts=np.zeros(image.shape))
    drawn(plot.image(zero, fig=Figure()))
    dark = zero.replace(exposure=np.zeros(image.shape), mask=np.ones(image.shape, bool))
    for make in (plot.image, plot.exposure, plot.masks):
        drawn(make(dark, fig=Figure()))


def test_residual_figure_has_symmetric_limits(image, double):
    ax = drawn(plot.residuals(double, fig=Figure())).axes[0]
    np.testing.assert_allclose(shown(ax).compressed(), plot.residual_image(double, 2.0)[image.good])
    low, high = ax.images[0].get_clim()
    assert low == -high and high >= 3
    assert "2 pixels (4″)" in texts(ax)
    limited = plot.residuals(double, fig=Figure(), limit=5).axes[0]
    assert limited.images[0].get_clim() == (-5, 5)
    drawn(plot.residuals(double, fig=Figure(), smooth=None, zoom=10))


# ---------------------------------------------------------------------------- profiles


def test_profile_figure_of_a_fit(fitted):
    figure = Figure()
    assert drawn(plot.profile(fitted, figure, n_bins=14)) is figure
    upper, lower = figure.axes
    arrays = plot.profile_arrays(fitted, n_bins=14)
    np.testing.assert_allclose(points(upper), [arrays.x, arrays.data])
    np.testing.assert_allclose(points(lower), [arrays.x, arrays.residuals])
    np.testing.assert_allclose(line(upper, "total"), arrays.model)
    np.testing.assert_allclose(line(upper, "beta"), arrays.components["beta"])
    assert (upper.get_xscale(), upper.get_yscale()) == ("log", "log")
    assert f"Surface brightness [{unit_text(arrays.unit)}]" in texts(figure)
    assert f"cstat {fitted.stat[0]:.1f} / {fitted.dof[0]} dof" in texts(figure)
    low, high = lower.get_ylim()
    assert low == -high and high > np.abs(arrays.residuals).max()


def test_profile_figure_of_a_posterior_has_bands(double):
    upper, lower = drawn(plot.profile(double, Figure(), draws=50)).axes
    bands = [c for c in upper.collections if isinstance(c, FillBetweenPolyCollection)]
    assert len(bands) == 3
    found = plot.predictive_profile(double, 50)
    ends = bands[0].get_paths()[0].vertices[:, 1]
    assert ends.min() == pytest.approx(found.model[0].min())
    assert ends.max() == pytest.approx(found.model[-1].max())
    assert len([c for c in lower.collections if isinstance(c, FillBetweenPolyCollection)]) == 1
    assert f"posterior predictive p = {found.p_value:.2f}" in texts(upper)
    names = [t.get_text() for t in upper.get_legend().get_texts()]
    assert names[0] == "data" and {"core 1", "core 2", "background", "total"} < set(names)


def test_profile_figure_of_data_alone(image):
    for source in (image, js.profile(image, n_bins=9)):
        (ax,) = drawn(plot.profile(source, Figure())).axes
        assert np.isfinite(points(ax)).all() and not ax.get_legend()


def test_wings_of_a_core_do_not_stretch_the_axis(double):
    upper = drawn(plot.profile(double, Figure())).axes[0]
    arrays = plot.profile_arrays(double)
    lowest = min(arrays.data[arrays.counts > 0].min(), arrays.components["background"].min())
    assert lowest / 3 < upper.get_ylim()[0] < lowest


def test_a_background_off_the_axis_is_not_in_the_legend(image):
    faint = posterior_of(SINGLE | {"B": 1e-9}, image)
    upper = drawn(plot.profile(faint, Figure())).axes[0]
    names = [t.get_text() for t in upper.get_legend().get_texts()]
    assert "beta" in names and "background" not in names


def test_comparison(single, double):
    figure = drawn(plot.compare({"single": single, "double": double}, Figure(), draws=20))
    ranked = js.compare({"single": single, "double": double})
    titles = [ax.get_title() for ax in figure.axes[:2]]
    assert titles[0].startswith(f"single: DIC {single.dic():.1f}")
    assert f"DIC {ranked.differences[1]:.1f}" in titles[0].split(", ")[1]
    assert titles[1] == f"double: DIC {double.dic():.1f} (lowest)"
    upper, lower = figure.axes[:2], figure.axes[2:]
    assert upper[0].get_ylim() == upper[1].get_ylim()
    assert lower[0].get_ylim() == lower[1].get_ylim()
    assert lower[0].get_ylim()[1] > np.abs(points(lower[0])[1]).max()


def test_comparison_of_fits_and_what_is_refused(fitted, single):
    figure = drawn(plot.compare({"a": fitted, "b": fitted}, Figure()))
    assert figure.axes[0].get_title() == f"a: cstat {fitted.stat[0]:.1f} (lowest)"
    for results in ({"a": single}, [single, single], {"a": single, "b": fitted}):
        with pytest.raises(InputError, match="results"):
            plot.compare(results)


@pytest.mark.parametrize(
    ("unit", "label"),
    [
        ("ct s-1 cm-2 arcmin-2", "ct s^{-1} arcmin^{-2} cm^{-2}"),
        ("ct / (s cm2 pixel)", "ct pix^{-1} s^{-1} cm^{-2}"),
        ("ct / (s pixel)", "ct pix^{-1} s^{-1}"),
        ("ct / pixel", "ct pix^{-1}"),
        ("1e22 / cm2", "10^{22} cm^{-2}"),
        ("", ""),
    ],
)
def test_units_in_mathematics(unit, label):
    assert unit_text(unit) == " ".join(rf"$\mathrm{{{word}}}$" for word in label.split())


def test_units_of_xspec_keep_their_words():
    assert unit_text("km2 / (10 kpc)2") == "km$^{2}$ / (10 kpc)$^{2}$"
    assert unit_text("log10(erg / (cm2 s))") == "log10(erg / (cm$^{2}$ s))"


# ---------------------------------------------------------------------------- files, state


def test_files_are_written_without_pyplot(image, single, double, fitted, tmp_path):
    plt.close("all")
    before = dict(plt.rcParams)
    names = save(image, tmp_path) + save(fitted, tmp_path, "fit_")
    few = replace(single, names=single.names[:2], units=single.units[:2])
    names += save(few, tmp_path, "single_")
    names += save(replace(few, data=None), tmp_path, "bare_")
    names += save({"single": single, "double": double}, tmp_path)
    assert names == [
        "image.png",
        "masks.png",
        "fit_profile.png",
        "fit_residuals.png",
        "single_profile.png",
        "single_residuals.png",
        "single_traces.png",
        "single_triangle.png",
        "bare_traces.png",
        "bare_triangle.png",
        "comparison.png",
    ]
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)
    assert plt.get_fignums() == [] and dict(plt.rcParams) == before


def test_a_new_figure_is_made_and_not_shown(image, fitted, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("show was called"))
    for make, source in ((plot.image, image), (plot.profile, fitted), (plot.overview, image)):
        made = make(source)
        assert plt.gcf() is made
    assert len(plt.get_fignums()) == 3
