"""Traces and triangles: the draws that are drawn, their labels, and no state left behind."""

import logging
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from small_cluster import DOUBLE, SINGLE, cluster, posterior_of
from toy_posterior import flat_posterior, toy_image

from jaxspec.errors import InputError
from jaxspec.report import plot
from jaxspec.report.labels import unit_text
from jaxspec.report.posterior_figures import (
    folded,
    interval,
    label_of,
    scaled,
)


@pytest.fixture(scope="module")
def image():
    return cluster()


@pytest.fixture(scope="module")
def double(image):
    return posterior_of(DOUBLE, image, n_draw=200)


@pytest.fixture(scope="module")
def single(image):
    return posterior_of(SINGLE, image, n_draw=200)


def drawn(figure):
    figure.draw_without_rendering()
    return figure


def texts(figure):
    return " | ".join(t.get_text() for t in figure.findobj(plt.Text))


def panels(figure, n):
    return np.array(figure.axes).reshape(n, n)


# ---------------------------------------------------------------------------- traces


def test_traces_hold_a_line_for_each_chain(double):
    figure = Figure()
    names = ["S0", "rc", "x0", "B"]
    assert drawn(plot.traces(double, figure, names=names)) is figure
    for ax, name in zip(figure.axes, names, strict=True):
        chains = np.array([line.get_ydata() for line in ax.lines if line.get_gid() is None])
        assert chains.shape == double.chains.shape[:2]
        power = np.log10(double[name].mean() / chains.mean())
        assert power == pytest.approx(round(power), abs=1e-9)
        np.testing.assert_allclose(chains * 10 ** round(power), double[name])
        assert f"{double.rhat[double.names.index(name)]:.3f}" in ax.texts[0].get_text()
        assert f"ESS {double.ess[double.names.index(name)]:.0f}" in ax.texts[0].get_text()


def test_many_parameters_stand_in_two_columns(double):
    figure = drawn(plot.traces(double, Figure()))
    shown = [ax for ax in figure.axes if ax.get_ylabel()]
    assert len(shown) == len(double.names) == 9 and len(figure.axes) == 10
    assert len({round(ax.get_position().x0, 3) for ax in shown}) == 2
    for ax in shown:
        assert ax.yaxis.get_offset_text().get_text() == ""


def test_ticks_have_no_offset(double):
    chains = double.chains.copy()
    chains[..., 0] = 481.231 + 1e-4 * np.random.default_rng(1).standard_normal(chains.shape[:2])
    tight = replace(double, chains=chains)
    (ax,) = drawn(plot.traces(tight, Figure(), names=["x0"])).axes
    assert ax.yaxis.get_offset_text().get_text() == ""
    low, high = ax.get_ylim()
    ticks = [float(re.sub(r"[^\d.]", "", t.get_text())) for t in ax.get_yticklabels()]
    assert len(ticks) >= 2 and len(set(ticks)) == len(ticks)
    assert low <= min(ticks) < max(ticks) <= high
    axes = panels(drawn(plot.triangle(tight, Figure(), names=["x0", "rc"])), 2)
    assert axes[1, 0].xaxis.get_offset_text().get_text() == ""


def test_divergences_are_marked_where_they_happened(double):
    diverging = np.zeros_like(double.diverging)
    diverging[1, 17] = diverging[3, 17] = diverging[0, 40] = True
    names = ["rc", "beta"]
    figure = drawn(plot.traces(replace(double, diverging=diverging), Figure(), names=names))
    (marks,) = [line for line in figure.axes[0].lines if line.get_gid() == "diverging"]
    assert marks.get_xdata().tolist() == [17, 40]
    assert "3 of 800 draws diverged" in texts(figure)
    assert "diverged" not in texts(drawn(plot.traces(double, Figure(), names=names)))


def test_bad_chains_are_red(double):
    shifted = double.chains.copy()
    shifted[0, :, 3] += 5.0
    shifted = replace(double, chains=shifted)
    figure = drawn(plot.traces(shifted, Figure(), names=["rc", "x0"]))
    assert [ax.texts[0].get_color() for ax in figure.axes] == ["r", "0.1"]


def test_labels_have_units_and_powers(double):
    values, label = scaled(double, "S0")
    assert label == f"{symbol(double, 'S0')} [$10^{{-5}}$ {unit_text('ct / (s cm2 pixel)')}]"
    np.testing.assert_allclose(values * 1e-5, double["S0"])
    assert label_of(double, "rc2") == f"{symbol(double, 'rc2')} [{unit_text('pixel')}]"
    assert label_of(double, "beta") == symbol(double, "beta")
    assert label_of(double, "background.scale") == f"background {symbol(double, 'scale')}"
    named = replace(double, units=tuple(u.replace("s cm2", "s") for u in double.units))
    assert label_of(named, "S02", -6).endswith(f"[$10^{{-6}}$ {unit_text('ct / (s pixel)')}]")
    figure = drawn(plot.traces(double, Figure()))
    assert r"[$10^{-6}$" in texts(figure) and "pix^{-1}" in texts(figure)


def symbol(posterior, name):
    return getattr(posterior.model[name], "symbol", "") or name


def test_frozen_and_single_parameters():
    posterior = flat_posterior(toy_image(), n_draw=50)
    drawn(plot.traces(posterior, Figure()))
    figure = drawn(plot.traces(posterior, Figure(), names=["B", "scale"]))
    assert "ESS" in figure.axes[0].texts[0].get_text() and not figure.axes[1].texts
    drawn(plot.triangle(posterior, Figure()))
    drawn(plot.triangle(posterior, Figure(), names=["B", "scale"]))


def test_names_that_do_not_exist(double):
    for make in (plot.traces, plot.triangle):
        with pytest.raises(InputError, match="rcc"):
            make(double, names=["rcc"])
        with pytest.raises(InputError, match="names"):
            make(double, names=[])


# ---------------------------------------------------------------------------- triangle


def test_triangle_has_one_panel_for_each_pair(double):
    names = ["rc", "beta", "S0"]
    figure = Figure(layout="constrained")
    assert drawn(plot.triangle(double, figure, names=names)) is figure
    axes = panels(figure, 3)
    told = [ax.get_xlabel().split("\n")[0] for ax in axes[2]]
    assert told == [symbol(double, name) for name in names]
    assert "10^{-5}" in axes[2, 0].get_ylabel() and "pix" in axes[2, 0].get_ylabel()
    for i, name in enumerate(names):
        low, high = axes[2, i].get_xlim()
        values, _ = scaled(double, name)
        assert low < np.percentile(values, 1) and high > np.percentile(values, 99)
        median = np.median(values)
        assert f"{median:.2g}"[:3] in axes[i, i].get_title()
    assert axes[1, 0].collections and not axes[0, 1].has_data()


def test_triangle_has_no_offsets_and_labels_at_the_edges_alone(double):
    figure = drawn(plot.triangle(double, Figure(), names=["x0", "S0", "rc", "B"]))
    axes = panels(figure, 4)
    for ax in axes.ravel():
        for axis in (ax.xaxis, ax.yaxis):
            assert axis.get_offset_text().get_text() == ""
    inner, corner = axes[2, 1], axes[3, 0]
    assert not any(t.get_text() for t in inner.get_xticklabels() if t.get_visible())
    assert inner.get_xlabel() == "" and inner.get_ylabel() == ""
    assert corner.get_xlabel() and corner.get_ylabel()
    assert any(t.get_text() for t in corner.get_xticklabels() if t.get_visible())


def test_contours_hold_68_and_95_percent(double):
    figure = drawn(plot.triangle(double, Figure(), names=["rc", "beta"]))
    ax = panels(figure, 2)[1, 0]
    points = double.array(["rc", "beta"]).reshape(-1, 2)
    lines = [c for c in ax.collections if np.ma.size(c.get_facecolor()) == 0]
    found = sorted(
        np.mean(np.any([path.contains_points(points) for path in _closed(c, i)], axis=0))
        for c in lines
        for i in range(len(c.get_paths()))
    )
    np.testing.assert_allclose(found, [0.68, 0.95], atol=0.06)


def _closed(collection, i):
    from matplotlib.path import Path

    return [Path(p) for p in collection.get_paths()[i].to_polygons(closed_only=False)]


def test_several_posteriors_share_their_parameters(single, double):
    figure = drawn(plot.triangle({"single": single, "double": double}, Figure()))
    axes = panels(figure, len(single.names))  # those of the double alone are not shown
    assert len(axes[0, 0].patches) == 2
    heights = [patch.get_xy()[:, 1].max() for patch in axes[3, 3].patches]
    np.testing.assert_allclose(heights, 1.0)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["single", "double"]
    low, high = axes[-1, 3].get_xlim()
    assert low < single["rc"].min() or low < double["rc"].min()
    assert low < DOUBLE["rc"] < SINGLE["rc"] < high


def test_truths_are_lines_inside_of_the_panels(double):
    figure = drawn(plot.triangle(double, Figure(), names=["rc", "S0"], truths={"S0": 6e-5}))
    axes = panels(figure, 2)
    assert len(axes[0, 0].lines) == 0
    assert axes[1, 1].lines[0].get_xdata()[0] == pytest.approx(6.0)
    assert axes[1, 1].get_xlim()[1] > 6.0


def test_what_a_triangle_refuses(double):
    with pytest.raises(InputError, match="js.sample"):
        plot.triangle([double, double])
    few = replace(double, chains=double.chains[:1, :5], full=double.full[:1, :5])
    with pytest.raises(InputError, match="5 draws for 9"):
        plot.triangle(few)


def test_corner_leaves_no_state(double):
    plt.close("all")
    root = logging.getLogger()
    before = (list(root.handlers), list(root.filters), root.level, dict(plt.rcParams))
    few = replace(double, chains=double.chains[:1, :12], full=double.full[:1, :12])
    drawn(plot.triangle(few, Figure(), names=["rc", "beta"]))
    assert before == (list(root.handlers), list(root.filters), root.level, dict(plt.rcParams))
    assert plt.get_fignums() == []


def test_a_new_figure_is_made_and_not_shown(double, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("show was called"))
    for make in (plot.traces, plot.triangle):
        made = make(double, names=["rc", "beta"])
        assert plt.gcf() is made


def test_sizes_grow_with_the_number_of_parameters(double):
    names = list(double.names)
    sizes = [plot.triangle(double, names=names[:n]).get_size_inches()[0] for n in (1, 2, 5)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert plot.traces(double).get_size_inches()[1] < 10  # nine parameters in two columns


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((4.26, 4.2977, 4.34), "$4.298_{-0.038}^{+0.042}$"),
        ((100.0, 700.0, 920.0), "$700_{-600}^{+220}$"),
        ((2.0, 2.0, 2.0), "$2$"),
    ],
)
def test_interval(numbers, text):
    assert interval(*numbers) == text


def test_long_names_are_broken():
    label = "factor of P0112880201M1S001SRSPEC0000"
    assert folded(label) == "factor of\nP0112880201M1S001\nSRSPEC0000"
    assert folded("norm [$a$ $b$ $c$]") == "norm\n[$a$ $b$\n$c$]"
    assert folded(r"$\log_{10}$ of everything there is") == r"$\log_{10}$ of everything there is"
