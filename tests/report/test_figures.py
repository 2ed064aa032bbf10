"""Figures: what is drawn and written on them, also for odd input."""

import re
import subprocess
import sys
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fitted_rows import mixed, spectrum
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from toy import toy_spectrum

from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.model.catalogue import CATALOGUE
from jaxspec.model.surface_catalogue import SURFACES
from jaxspec.reduce.spectra import SpectrumList
from jaxspec.report import draw, labels, panels, plot
from jaxspec.report.result_figures import axis_range
from jaxspec.report.save import file_name, save


def new_axes():
    return Figure(layout="constrained").add_subplot()


def drawn(figure):
    """Draw, so that what fails only then fails here."""
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    return figure


def unusable(result):
    return int((~np.isin(result.status, result.USABLE)).sum())


def symbol_of(parameter):
    return getattr(parameter, "symbol", "") or parameter.name


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(plt.Text))


def points(ax):
    (container,) = [c for c in ax.containers if hasattr(c, "has_yerr")][:1]
    return container.lines[0].get_data()


def test_data_figure_shows_the_arrays():
    s = spectrum("source")
    ax = new_axes()
    assert drawn(plot.data(s, ax)) is ax.figure
    arrays = plot.data_arrays(s)
    np.testing.assert_allclose(points(ax), [arrays.x, arrays.data])
    assert ax.get_xlabel() == labels.ENERGY and ax.get_ylabel() == labels.RATE
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "source" in texts(ax.figure) and "background (subtracted)" in texts(ax.figure)


def test_areascal_is_named_on_the_axis():
    (ax,) = plot.data(spectrum("a").replace(areascal=2.0), new_axes()).axes
    assert ax.get_ylabel().startswith("Normalized counts")


def test_without_axes_a_pyplot_figure_is_made_and_not_shown(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("show was called"))
    figure = plot.data(spectrum("a"))
    assert plt.gcf() is figure


@pytest.mark.parametrize(
    "odd",
    [
        spectrum("plain", background=0),
        toy_spectrum(np.zeros(8)),
        toy_spectrum([3.0, 0.0, 5.0], response=None),
        toy_spectrum([7.0]),
        toy_spectrum(np.zeros(0), response=None),
        spectrum("negative", norm=1e-9, seed=3),
        spectrum("bad", quality=np.ones(32, dtype=np.int16)),
    ],
    ids=["no background", "zero", "channels", "one bin", "no channel", "faint", "all bad"],
)
def test_data_figure_copes(odd):
    drawn(plot.data(odd, new_axes()))
    drawn(plot.spectra([odd], new_axes()))


def test_the_legend_lies_on_no_data():
    """Of few counts the error bars reach everywhere."""
    for seed in (2, 3, 4):
        few = toy_spectrum(np.random.default_rng(seed).poisson(0.5, 100))
        ax = drawn(plot.data(few, new_axes())).axes[0]
        box = ax.get_legend().get_window_extent()
        bars = [(p, g.get_transform()) for g in ax.collections for p in g.get_paths()]
        assert not any(p.transformed(to).intersects_bbox(box, False) for p, to in bars)


def test_fit_figure_has_data_model_and_residuals(result):
    figure = Figure()
    assert drawn(plot.fit(result, 1, figure)) is figure
    upper, lower = figure.axes
    arrays = plot.fit_arrays(result, 1)
    np.testing.assert_allclose(points(upper), [arrays.x, arrays.data])
    np.testing.assert_allclose(points(lower), [arrays.x, arrays.residuals])
    (line,) = [line for line in upper.lines if line.get_label() == "powerlaw"]
    np.testing.assert_allclose(np.unique(line.get_ydata()[0::3]), np.unique(arrays.model))
    assert lower.get_ylabel() == labels.DELCHI and lower.get_xlabel() == labels.ENERGY
    assert f"wstat {result.stat[1]:.1f} / {result.dof[1]} dof" in texts(figure)


def test_fit_figure_with_ratio_and_by_name(result):
    figure = drawn(plot.fit(result, "s2", Figure(), residuals="ratio", rebin=(5, 3)))
    arrays = plot.fit_arrays(result, 2, rebin=(5, 3))
    np.testing.assert_allclose(points(figure.axes[1])[1], arrays.ratio)
    with pytest.raises(InputError, match="residuals"):
        plot.fit(result, 0, Figure(), residuals="chi")


def test_unfolded_figure_says_that_it_depends_on_the_model(result):
    ax = drawn(plot.unfolded(result, 0, new_axes())).axes[0]
    np.testing.assert_allclose(points(ax)[1], plot.fit_arrays(result, 0).eeufspec)
    assert "depend on the model" in texts(ax.figure)
    assert ax.get_ylabel() == labels.FLUX["eemodel"]
    drawn(plot.unfolded(result, 0, new_axes(), kind="ufspec"))
    with pytest.raises(InputError, match="eeufspec"):
        plot.unfolded(result, 0, new_axes(), kind="data")


def test_rows_without_a_fit_have_no_fit_figure(result):
    with pytest.raises(InputError, match="no best fit"):
        plot.fit(result, 5, Figure())


def test_all_spectra_are_lines_coloured_by_time():
    ax = drawn(plot.spectra(mixed(), new_axes())).axes[0]
    lines = ax.findobj(LineCollection)
    timed = [c for c in lines if c.get_array() is not None and len(c.get_paths()) == 4]
    assert np.sort(timed[0].get_array()).tolist() == [50000.0, 50010.0, 50020.0, 50040.0]
    assert "Start [MJD]" in texts(ax.figure)
    assert "1 of 6 rows not shown" in texts(ax.figure)


def test_many_spectra_are_thin_and_rasterised():
    many = [spectrum(f"s{i}", day=float(i), seed=i) for i in range(30)]
    ax = drawn(plot.spectra(many, new_axes(), area=True)).axes[0]
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert lines.get_rasterized() and lines.get_linewidths()[0] < 1.0
    assert ax.get_ylabel() == labels.AREA_RATE


def test_spectra_without_times_have_no_colour_bar():
    timeless = [spectrum(f"s{i}", day=-1.0, seed=i) for i in range(2)]
    ax = drawn(plot.spectra(timeless, new_axes())).axes[0]
    assert len(ax.figure.axes) == 1
    drawn(plot.spectra(SpectrumList([mixed()[5]]), new_axes()))  # nothing but a failure


def test_models_figure(result):
    ax = drawn(plot.models(result, new_axes())).axes[0]
    assert f"{unusable(result)} of 6 rows not shown" in texts(ax.figure)
    assert ax.get_xlim()[1] < 14.0  # the noticed band, not the whole response
    drawn(plot.models(result, new_axes(), kind="folded"))


def test_histograms(result):
    figure = drawn(plot.histograms(result, Figure()))
    shown = [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]
    index, norm = (symbol_of(p) for p in result.model.parameters)
    units = r"$\mathrm{keV^{-1}}$ $\mathrm{s^{-1}}$ $\mathrm{cm^{-2}}$"
    assert shown == [index, f"{norm} [{units}]"]
    assert f"{unusable(result)} of 6 rows not shown (without a usable fit)" in texts(figure)
    (one,) = [ax for ax in drawn(plot.histograms(result, Figure(), names=["norm"])).axes]
    assert one.get_xlabel().startswith(norm)


def test_timeline_marks_the_status(result):
    status = result.status.copy()
    status[2] = Status.AT_LIMIT
    result = replace(result, status=status)
    figure = drawn(plot.timeline(result, Figure()))
    index = figure.axes[0]
    good = np.flatnonzero(result.ok & ~np.isin(result.names, ["timeless"]))
    time, value = points(index)
    np.testing.assert_allclose(time, 50000.0 + 10.0 * good)
    np.testing.assert_allclose(value, result.value("PhoIndex")[good])
    said = texts(figure)
    assert "AT_LIMIT" in said and "OK" in said
    assert "2 of 6 rows not shown (time unknown or file unreadable)" in said
    assert figure.axes[-1].get_xlabel() in ("Start of the observation [MJD]", "Year")


def test_timeline_without_times_counts_rows(result):
    timeless = SpectrumList(
        s.replace(header={}) if hasattr(s, "header") else s for s in result.spectra
    )
    figure = drawn(plot.timeline(replace(result, data=timeless), Figure()))
    assert figure.axes[-1].get_xlabel() == "Row"
    assert "no usable fit" in texts(figure)


def test_a_single_row_and_a_result_without_usable_rows(result, tmp_path):
    cut = {
        k: getattr(result, k)[:1]
        for k in (
            "params",
            "stat",
            "stat_names",
            "n_bins",
            "stat_expected",
            "stat_variance",
            "status",
            "messages",
            "iterations",
            "edm",
        )
    }
    cut["data"] = result.spectra[:1]
    cut["covariances"] = {k: v[:1] for k, v in result.covariances.items()}
    single = replace(result, **cut)
    for make in (plot.histograms, plot.timeline):
        drawn(make(single, Figure()))
    drawn(plot.models(single, new_axes()))
    failed = replace(single, status=np.array([1]))
    for make in (plot.histograms, plot.timeline):
        drawn(make(failed, Figure()))
    drawn(plot.models(failed, new_axes()))
    assert save(failed, tmp_path) == []


@pytest.mark.parametrize(
    ("values", "limits", "log"),
    [
        (np.r_[np.linspace(1.0, 2.0, 40), 900.0], (0.96, 2.04), False),
        (np.geomspace(1e-3, 1e2, 41), (1e-3 / 1.7, 170.0), True),
        (np.array([2.0]), (1.8, 2.2), False),
        (np.full(30, 2.0), (1.8, 2.2), False),
        (np.zeros(3), (-1.2, 1.2), False),
    ],
    ids=["outlier", "decades", "one", "constant", "zeros"],
)
def test_axis_range(values, limits, log):
    low, high, is_log = axis_range(values)
    assert is_log == log and low < values.min() and high >= np.percentile(values, 97)
    assert low >= limits[0] and high <= limits[1]


def test_axis_range_of_few_values_holds_their_errors():
    low, high, _ = axis_range(np.array([2.0]), np.array([0.5]))
    assert low < 1.5 and high > 2.5


def test_files_are_written_without_pyplot(result, tmp_path):
    plt.close("all")
    names = save(result.spectra, tmp_path) + save(result, tmp_path, prefix="x_")
    names += save(result, tmp_path, prefix="s0_", row=0)
    assert names == [
        "spectra.png",
        "x_models.png",
        "x_histograms.png",
        "x_timeline.png",
        "s0_fit.png",
        "s0_unfolded.png",
    ]
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)
    assert plt.get_fignums() == []


def test_names_of_files_stay_in_their_folder():
    assert "/" not in file_name("../../etc/x") and file_name("..") == "spectrum"


def test_every_unit_of_the_catalogue_has_a_label():
    units = {p.unit for c in (*CATALOGUE, *SURFACES) for p in c.parameters} - {""}
    for text in map(labels.unit_text, units):
        assert text == text.strip() and "  " not in text
        plain = re.sub(r"\^\{-?\d+\}", "", text.replace(r"\mathrm", ""))
        assert not re.search(r"[a-z)]\d", plain.replace("log10", "log")), text  # powers are raised


def test_style_is_a_style():
    from matplotlib import rc_params_from_file

    settings = rc_params_from_file(plot.STYLE, use_default_template=False)
    assert settings["xtick.direction"] == "in" and settings["ytick.minor.visible"]


def test_style_does_not_leak(result):
    before = dict(plt.rcParams)
    plot.fit(result, 0)
    assert dict(plt.rcParams) == before


def test_a_backend_that_starts_with_the_first_figure_stays_awake(monkeypatch):
    """As that of a notebook, which shows the figures of interactive sessions alone."""
    made, before = plt.figure, matplotlib.is_interactive()

    def waking(*arguments, **options):
        matplotlib.interactive(True)
        return made(*arguments, **options)

    monkeypatch.setattr(plt, "figure", waking)
    matplotlib.interactive(False)
    try:
        plot.data(spectrum("a"))
        assert matplotlib.is_interactive()
        matplotlib.interactive(False)
        with draw.off_screen():
            plot.data(spectrum("a"))
        assert not matplotlib.is_interactive()
    finally:
        matplotlib.interactive(before)


def pixels(figure):
    """Colours (n, 3) of all pixels, drawn where the style does not hold."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].reshape(-1, 3)


def test_colours_are_those_of_the_style(result):
    for figure in (plot.fit(result, 0), plot.histograms(result), plot.timeline(result)):
        found = pixels(figure)
        assert (found == [0x00, 0x72, 0xB2]).all(axis=1).any()
        for foreign in ([0x1F, 0x77, 0xB4], [0xFF, 0x7F, 0x0E], [0x2C, 0xA0, 0x2C]):
            assert not (found == foreign).all(axis=1).any()


@pytest.mark.parametrize(
    "limits", [(0.76, 0.97), (1.05, 1.9), (3.1, 4.9), (71.0, 96.0), (1.0, 9.0), (0.3, 12.0)]
)
def test_every_logarithmic_axis_has_numbers(limits):
    ax = new_axes()
    ax.set_yscale("log")
    ax.set_ylim(*limits)
    draw.plain_numbers(ax.yaxis)
    ax.figure.draw_without_rendering()
    ticks = [*ax.yaxis.get_major_ticks(), *ax.yaxis.get_minor_ticks()]
    told = {t.label1.get_text(): t.get_loc() for t in ticks if t.label1.get_text()}
    inside = {text: at for text, at in told.items() if limits[0] <= at <= limits[1]}
    assert 2 <= len(inside) <= 8
    for text, at in inside.items():
        assert float(text) == pytest.approx(at)


def test_importing_the_figures_imports_no_matplotlib():
    code = "import sys, jaxspec; jaxspec.plot.data; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_fixture_has_the_rows_it_promises(result):
    assert result.status.tolist()[:4] == [0, 0, 0, 0] and result.status[5] == 7


def test_deviations_outside_of_the_axis_are_arrows():
    ax = Figure().subplots()
    values = np.zeros(300)
    values[[3, 70]] = 40.0, -30.0
    edges = np.arange(300.0), np.arange(1.0, 301.0)
    panels.residuals(ax, edges, values, np.ones(300), "sigma")
    arrows = {
        line.get_marker(): line.get_xdata() for line in ax.lines if np.size(line.get_xdata()) == 1
    }
    np.testing.assert_array_equal(arrows["^"], [3.5])
    np.testing.assert_array_equal(arrows["v"], [70.5])
