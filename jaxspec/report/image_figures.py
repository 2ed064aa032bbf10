"""Figures of images: counts, exposure, masks, residuals; on the sky where it is known."""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.reduce.center import peak
from jaxspec.reduce.image import Image
from jaxspec.reduce.regrid import in_pixels, position
from jaxspec.report import draw, labels
from jaxspec.report.fitted import best_of
from jaxspec.report.image_checks import residual_image

STRETCHES = ("log", "sqrt", "asinh", "linear")
SIZE = (6.2, 4.7)  # inches, of one image: wide enough that its height limits it
OVERVIEW = (13.0, 3.8)
BAR_ASPECT = 22.0  # height of a colour bar over its width
BLANK = "0.78"  # grey of masked pixels
LEFT_OUT = (0.835, 0.369, 0.0)  # the style's orange
AXES = {
    "RA": "Right ascension",
    "DEC": "Declination",
    "GLON": "Galactic longitude",
    "GLAT": "Galactic latitude",
}
BARS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)  # arcsec
PIXEL_BARS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def image(image, ax=None, *, fig=None, stretch="log", masked=True, center=None, zoom=None):
    """Draw the counts of an image.

    Parameters
    ----------
    image : Image
    ax : matplotlib axes, optional; by default those of a new pyplot figure.
    fig : matplotlib figure, optional
        In which the axes are made, with sky coordinates if the image has them.
    stretch : {"log", "sqrt", "asinh", "linear"}
        How counts become colours; "log" is ``log(1 + 10 N)`` for images of few counts.
    masked : bool
        Leave masked pixels grey; else their counts are drawn as well.
    center : (x, y) in pixels or SkyCoord, optional; marked, and the middle of ``zoom``.
    zoom : float or angle, optional
        Side of the part that is shown, around ``center`` or the brightness peak; by default all
        that is exposed is shown.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    InputError
        An unknown stretch, or a place that is not on the image.

    Examples
    --------
    >>> import jaxspec as js
    >>> js.plot.image(js.read_image("image.fits.gz"), zoom=200)         # doctest: +SKIP
    """
    view = _view(image, center, zoom)
    with draw.style():
        ax = _axes(image, ax, fig)
        _counts(ax, image, view, stretch, masked)
        if center is not None:
            ax.plot(*position(image, center), "+", color="w", ms=9, mew=1.0, gid="center")
    return ax.figure


def exposure(image, ax=None, *, fig=None, masked=False, center=None, zoom=None):
    """Draw the exposure map; parameters and result as for `image`."""
    view = _view(image, center, zoom)
    with draw.style():
        ax = _axes(image, ax, fig)
        hidden = ~(image.exposure > 0) | (image.mask & masked)
        values = np.ma.masked_array(image.exposure, hidden)
        power = draw.power_of(values.compressed())
        shown = _show(ax, image, values / 10.0**power, view, cmap="viridis", vmin=0.0)
        unit = labels.unit_text(image.exposure_unit)
        unit = f"$10^{{{power}}}$ {unit}".strip() if power else unit
        _bar(ax, shown, f"Exposure [{unit}]" if unit else "Exposure")
    return ax.figure


def masks(image, ax=None, *, fig=None, center=None, zoom=None):
    """Draw which pixels are left out and which are not exposed; parameters as for `image`.

    The counts of the pixels that are used are seen in grey.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    view = _view(image, center, zoom)
    dark = ~(image.exposure > 0)
    kinds = (
        ("used", image.good, (1.0,) * 3),
        ("left out", image.mask & ~dark, LEFT_OUT),
        ("not exposed", image.mask & dark, (float(BLANK),) * 3),
    )
    with draw.style():
        ax = _axes(image, ax, fig)
        values = np.ma.masked_array(image.counts, image.mask)
        _show(ax, image, values, view, cmap="gray_r", norm=_norm(values, view, "log"))
        for name, where, color in kinds[1:]:
            if not where.any():
                continue
            flat = np.ma.masked_array(np.ones(image.shape), ~where)
            _show(ax, image, flat, view, cmap=ListedColormap([color]), gid=name)
        found = [(f"{name}: {where.sum():,}", color) for name, where, color in kinds if where.any()]
        ax.legend(
            handles=[Patch(fc=color, ec="0.35", label=label) for label, color in found],
            title="Pixels", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(found),
            handlelength=1.0, columnspacing=1.0,
        )  # fmt: skip
    return ax.figure


def overview(image, fig=None, *, stretch="log", center=None, zoom=None):
    """Draw the image, what is left of it after masking, and the exposure, side by side.

    Parameters
    ----------
    image : Image
    fig : matplotlib figure, optional; by default a new pyplot figure.
    stretch, center, zoom : as for `image`.

    Returns
    -------
    matplotlib figure
    """
    view = _view(image, center, zoom)
    with draw.style():
        fig = draw.figure_of(fig, OVERVIEW)
        panels = [fig.add_subplot(1, 3, n, projection=image.wcs) for n in (1, 2, 3)]
        _counts(panels[0], image, view, stretch, masked=False)
        _counts(panels[1], image, view, stretch, masked=True)
        exposure(image, panels[2], center=center, zoom=zoom)
        for ax, title in zip(panels, ("Counts", "Used in the fit", "Exposure"), strict=True):
            ax.set_title(title)
        for ax in panels[1:]:
            _no_ylabel(ax)
    return fig


def residuals(source, ax=None, *, fig=None, smooth=2.0, row=0, limit=None, center=None, zoom=None):
    """Draw where the data lie above (red) and below (blue) the model.

    Parameters
    ----------
    source : FitResult or Posterior, of an image.
    ax, fig, center, zoom : as for `image`.
    smooth : float, angle or None; see `jaxspec.report.image_checks.residual_image`.
    row : int or name, of a FitResult.
    limit : float, optional
        Sigma at the ends of the colour scale; by default what 99.9 % of the pixels stay within,
        at least 3.

    Returns
    -------
    matplotlib figure
    """
    found = residual_image(source, smooth, row)
    data = best_of(source, row).data
    view = _view(data, center, zoom)
    with draw.style():
        ax = _axes(data, ax, fig)
        values = np.ma.masked_invalid(found)
        if limit is None:
            far = np.abs(_inside(values, view))
            limit = max(3.0, float(np.percentile(far, 99.9))) if far.size else 3.0
        shown = _show(ax, data, values, view, cmap="RdBu_r", vmin=-limit, vmax=limit)
        _bar(ax, shown, labels.DELCHI, extend="both")
        _scale_bar(ax, data, view)
        if smooth is not None:
            ax.set_title(f"smoothed by a Gaussian of {_length(data, smooth)}", fontsize=9)
    return ax.figure


# ---------------------------------------------------------------------------- parts


def _counts(ax, image, view, stretch, masked):
    """Counts with colour bar and scale bar."""
    hidden = ~np.isfinite(image.counts) | (image.mask & masked)
    values = np.ma.masked_array(image.counts, hidden)
    norm = _norm(values, view, stretch)
    shown = _show(ax, image, values, view, cmap="inferno", norm=norm)
    ticks = _count_ticks(norm.vmax) if stretch == "log" else None
    _bar(ax, shown, "Counts per pixel", ticks=ticks)
    _scale_bar(ax, image, view)


def _axes(image, ax, fig):
    """``ax``, or new ones on the sky if the image is."""
    if ax is not None:
        return ax
    return draw.figure_of(fig, SIZE).add_subplot(projection=image.wcs)


def _view(image, center, zoom):
    """Edges (left, right, bottom, top) in pixels of what is shown."""
    if not isinstance(image, Image):
        raise InputError(
            f"is a {type(image).__name__}", parameter="image", remedy="give what js.read_image read"
        )
    ny, nx = image.shape
    if zoom is not None:
        x, y = peak(image) if center is None else position(image, center)
        half = in_pixels(image, zoom, "zoom") / 2
        if not (-half < x < nx - 1 + half and -half < y < ny - 1 + half):
            raise InputError(
                f"({x:.5g}, {y:.5g}) is not on the image", parameter="center",
                remedy="check the position and the order (x, y)",
            )  # fmt: skip
        return x - half, x + half, y - half, y + half
    lit = image.good | (image.exposure > 0)
    edges = []
    for axis, n in ((0, nx), (1, ny)):
        where = np.flatnonzero(lit.any(axis=axis))
        pad = 0.02 * n
        low, high = (where[0], where[-1]) if where.size else (0, n - 1)
        edges += [max(low - pad, -0.5), min(high + pad, n - 0.5)]
    return tuple(edges)


def _inside(values, view):
    """Values (n,) that are neither masked nor out of sight."""
    ny, nx = values.shape
    left, right, bottom, top = view
    columns = slice(max(int(np.ceil(left)), 0), min(int(right) + 1, nx))
    rows = slice(max(int(np.ceil(bottom)), 0), min(int(top) + 1, ny))
    return values[rows, columns].compressed()


def _norm(values, view, stretch):
    """Colour scale from 0 (or the lowest value) to the highest value in sight."""
    from astropy.visualization import (
        AsinhStretch,
        ImageNormalize,
        LinearStretch,
        LogStretch,
        SqrtStretch,
    )

    seen = _inside(values, view)
    low, high = (min(seen.min(), 0.0), seen.max()) if seen.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    # 0, 1 and 2 counts differ in colour whether the brightest pixel has 10 or 1000
    made = {
        "log": LogStretch(float(np.clip(10.0 * (high - low), 10.0, 1e5))),
        "sqrt": SqrtStretch(),
        "asinh": AsinhStretch(),
        "linear": LinearStretch(),
    }
    if stretch not in made:
        raise InputError(
            f"is {stretch!r}", parameter="stretch", remedy=f"use {', '.join(STRETCHES)}"
        )
    return ImageNormalize(vmin=low, vmax=high, stretch=made[stretch], clip=False)


def _show(ax, image, values, view, **look):
    """Draw values with masked ones in grey, label the axes, set the limits."""
    from matplotlib import colormaps

    if isinstance(look["cmap"], str):
        look["cmap"] = colormaps[look["cmap"]].with_extremes(bad=BLANK)
    shown = ax.imshow(values, origin="lower", interpolation="auto", **look)
    ax.set_xlim(*view[:2])
    ax.set_ylim(*view[2:])
    if hasattr(ax, "coords"):
        _sky_axes(ax, image)
    else:
        ax.set_xlabel("x [pixel]")
        ax.set_ylabel("y [pixel]")
        ax.tick_params(direction="out", which="both", top=False, right=False)
    return shown


def _sky_axes(ax, image):
    # WCSAxes moves its patch to the limits only when drawing, after the layout has been made
    ax.patch.set_in_layout(False)
    for coordinate, kind, side in zip(ax.coords, image.wcs.wcs.ctype, "bl", strict=False):
        coordinate.set_axislabel(AXES.get(kind.split("-")[0], kind), minpad=0.6)
        coordinate.set_ticks(number=4, direction="out")
        coordinate.set_ticklabel(exclude_overlapping=True, size=9)
        coordinate.set_ticks_position(side)
        coordinate.set_ticklabel_position(side)
        coordinate.set_axislabel_position(side)


def _no_ylabel(ax):
    """Leave out the label of the y axis, which the panel on the left has."""
    if hasattr(ax, "coords"):
        ax.coords[1].set_axislabel(" ")
        ax.coords[1].set_ticklabel_visible(False)
    else:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)


def _bar(ax, shown, label, **options):
    """Colour bar beside the image, as high as the image is drawn.

    Without the locator it would be as high as the room for the image, whatever the image's shape.
    """
    from matplotlib.colorbar import make_axes
    from matplotlib.transforms import Bbox

    beside, _ = make_axes(ax, fraction=0.06, pad=0.02, aspect=BAR_ASPECT)

    def place(axes, renderer):
        drawn, room = ax.get_position(), ax.figure.bbox
        width = drawn.height * room.height / BAR_ASPECT / room.width
        return Bbox.from_bounds(drawn.x1 + width / 2, drawn.y0, width, drawn.height)

    beside.set_axes_locator(place)
    bar = ax.figure.colorbar(shown, cax=beside, **options)
    bar.set_label(label)
    bar.minorticks_off()


def _count_ticks(high):
    """0, 1, 2, 5, 10 ... up to the highest number of counts.

    Examples
    --------
    >>> _count_ticks(60.0)
    [0, 1, 2, 5, 10, 20, 50]
    """
    steps = [0] + [m * 10**k for k in range(7) for m in (1, 2, 5)]
    return [s for s in steps if s <= high] if high >= 1 else None


def _scale_bar(ax, image, view):
    """Bar of a round length, about a fifth of the width."""
    from matplotlib.patheffects import withStroke
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    size, choices = image.pixel_size, BARS
    if size is None:
        size, choices = 1.0, PIXEL_BARS
    wanted = 0.2 * (view[1] - view[0]) * size
    length = min(choices, key=lambda choice: abs(np.log(choice / wanted)))
    label = f"{length} pixels" if image.pixel_size is None else _angle(length)
    bar = AnchoredSizeBar(
        ax.transData, length / size, label, "lower right", frameon=False, color="w",
        size_vertical=0.006 * (view[3] - view[2]), pad=0.6, sep=4,
    )  # fmt: skip
    edge = [withStroke(linewidth=2.0, foreground="0.15")]
    for artist in bar.findobj(lambda a: hasattr(a, "set_path_effects")):
        artist.set_path_effects(edge)
    ax.add_artist(bar)


def _angle(arcsec):
    """Angle in round units.

    Examples
    --------
    >>> _angle(30), _angle(120), _angle(3600)
    ('30″', '2′', '1°')
    """
    for factor, sign in ((3600, "°"), (60, "′")):
        if arcsec >= factor:
            return f"{arcsec / factor:g}{sign}"
    return f"{arcsec:g}″"


def _length(image, size):
    pixels = in_pixels(image, size, "smooth")
    text = f"{pixels:.3g} pixels"
    return text if image.pixel_size is None else f"{text} ({pixels * image.pixel_size:.3g}″)"
