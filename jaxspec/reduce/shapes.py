"""Which pixels of an image lie in a region."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.region_shapes import SKY, Shape

# A pixel whose centre lies on an edge is outside; this share of the size is taken for "on".
_ON = 1.0 - 1e-7
FARTHEST = 1e12  # pixels from the image


class Plane(NamedTuple):
    """The pixels of an image, with what is needed to place a region on them.

    Parameters
    ----------
    size : (ny, nx)
    wcs : astropy.wcs.WCS or None
    physical : ((scale, scale), (shift, shift)), image pixels from 0 = scale * value + shift.
    rotated : bool, the physical coordinates are, and cannot be used.
    own : str, frame of an image that does not say its own, else "".
    """

    size: tuple[int, int]
    wcs: Any
    physical: tuple
    rotated: bool
    own: str = ""

    @classmethod
    def of(cls, size, wcs, header):
        """Plane of an image: its shape, sky coordinates, and header with LTM1_1, LTV1, ..."""
        scale = tuple(float(header.get(f"LTM{i}_{i}", 1.0)) for i in (1, 2))
        shift = tuple(float(header.get(f"LTV{i}", 0.0)) - 1.0 for i in (1, 2))
        rotated = bool(header.get("LTM1_2") or header.get("LTM2_1"))
        # wcslib fills in ICRS where a header says nothing
        said = wcs is None or wcs.wcs.radesys != "ICRS" or {"RADESYS", "EQUINOX"} & set(header)
        own = "" if said else "icrs"
        return cls(size, wcs, (scale, shift), rotated, own)

    def frame_of(self, frame):
        """Astropy's name of a frame.

        FK5 and ICRS differ by 0.02 arcsec. An image that does not say which of them it is in is
        in that of the regions.
        """
        return self.own if self.own and SKY[frame] in ("fk5", "icrs") else SKY[frame]

    def axes(self, frame):
        """(2, 2) matrix of pixels per arcsec toward west and north, at the image's centre.

        DS9 draws with the scale and the north of the centre, so that the size of a region in
        pixels does not depend on where it stands.
        """
        import astropy.units as u
        from astropy.coordinates import SkyCoord

        ny, nx = self.size
        middle: Any = self.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
        # merged, the equinox of the image would become that of the frame
        system = SkyCoord(0 * u.deg, 0 * u.deg, frame=frame)
        middle = middle.transform_to(system, merge_attributes=False)
        start = np.array(self.wcs.world_to_pixel(middle), float)
        columns = []
        for angle in (-90.0, 0.0):  # west, north
            there = middle.directional_offset_by(angle * u.deg, 10 * u.arcsec)
            columns.append((np.array(self.wcs.world_to_pixel(there), float) - start) / 10)
        return np.stack(columns, axis=1)


def place_all(shapes, plane, name):
    """Pixel coordinates (from 0) of the places of each shape: list of (n, 2), NaN if behind."""
    found: list[Any] = [np.empty((0, 2))] * len(shapes)
    for frame in {s.frame for s in shapes} - {"object"}:
        members = [i for i, s in enumerate(shapes) if s.frame == frame and s.places]
        if not members:
            continue
        flat = np.array([p for i in members for p in shapes[i].places], float)
        pixels = _to_pixels(flat, frame, plane, shapes[members[0]].text, name)
        ends = np.cumsum([len(shapes[i].places) for i in members])[:-1]
        for i, part in zip(members, np.split(pixels, ends), strict=True):
            found[i] = part
    return found


def _to_pixels(values, frame, plane, text, name):
    if frame == "image":
        return values - 1.0
    if frame == "physical":
        _check_physical(plane, name)
        return values * plane.physical[0] + plane.physical[1]
    from astropy.coordinates import SkyCoord

    _check_sky(plane, text, name)
    where: Any = SkyCoord(values[:, 0], values[:, 1], unit="deg", frame=plane.frame_of(frame))
    return np.stack(plane.wcs.world_to_pixel(where), axis=1).astype(float)


def _check_sky(plane, text, name):
    if plane.wcs is None:
        raise InputError(
            f"{text} is on the sky, and the image has no sky coordinates",
            file=name,
            remedy="give the regions in image coordinates",
        )


def _check_physical(plane, name):
    if plane.rotated:
        raise InputError(
            "the physical coordinates of the image are rotated (LTM1_2)",
            file=name,
            remedy="save the regions in fk5, icrs or image coordinates",
        )
    numbers = np.array(plane.physical)
    if not np.isfinite(numbers).all() or not numbers[0].all():
        raise InputError(
            "the physical coordinates of the image (LTM1_1, LTV1 or CRPIX1P, ...) are no numbers",
            file=name,
            remedy="save the regions in fk5, icrs or image coordinates",
        )


def pixels_inside(shape: Shape, places, plane, axes, name):
    """Window of the image around a region, and which of its pixels lie in the region.

    Parameters
    ----------
    shape : Shape
    places : (n, 2) pixels from 0, of `place_all`.
    plane : Plane
    axes : callable, `Plane.axes` of a frame; it may remember.
    name : str, for messages.

    Returns
    -------
    window : (slice, slice) of rows and columns
    inside : bool array of that window
    """
    if shape.kind == "object":
        return _object_inside(shape, plane, name)
    if shape.kind == "field":
        return np.s_[:, :], np.ones(plane.size, bool)
    if not np.isfinite(places).all():  # behind the tangent plane
        return np.s_[:0, :0], np.zeros((0, 0), bool)
    _check_near(np.abs(places), shape, name)
    if shape.kind == "polygon":
        window = _window(places.min(axis=0), places.max(axis=0), plane.size)
        return window, _in_polygon(places, *_grid(window))
    turn, unit = _basis(shape, plane, axes, name)
    if shape.kind == "rectangle":
        half = np.abs(turn @ (places[1] - places[0])) / 2
        centre, outer, inner = places.mean(axis=0), half, None
    else:
        centre = places[0]
        outer, inner = (
            _sizes(s, unit, shape, plane, axes, name) for s in (shape.outer, shape.inner)
        )
    window = np.s_[0 : plane.size[0], 0 : plane.size[1]]
    if outer is not None:
        reach = np.hypot(*outer) * np.abs(np.linalg.inv(turn)).sum(axis=1)
        _check_near(reach, shape, name)
        window = _window(centre - reach, centre + reach, plane.size)
    x, y = _grid(window)
    dx, dy = x - centre[0], y - centre[1]
    u, v = turn[0, 0] * dx + turn[0, 1] * dy, turn[1, 0] * dx + turn[1, 1] * dy
    t = math.radians(shape.tilt)
    across, along = u * math.cos(t) + v * math.sin(t), v * math.cos(t) - u * math.sin(t)
    form = "box" if shape.kind == "rectangle" else shape.kind
    inside = np.ones(across.shape, bool) if outer is None else _within(form, across, along, outer)
    if inner is not None:
        inside &= ~_within(form, across, along, inner)
    if shape.angles is not None:
        inside &= _in_range(across, along, shape.angles)
    return window, inside


def _check_near(pixels, shape, name):
    """Refuse what no image can reach, and arithmetic cannot hold."""
    if not (pixels < FARTHEST).all():
        raise InputError(f"{shape.text} reaches {pixels.max():.3g} pixels far", file=name)


def _basis(shape, plane, axes, name):
    """(2, 2) from pixels to the lengths in which a shape is drawn, and their unit."""
    units = {s.unit for s in (*(shape.outer or ()), *(shape.inner or ()))}
    turned = shape.kind != "round" or shape.angles or len(set(shape.outer or ())) > 1
    drawn = units.pop() if len(units) == 1 and not turned else None  # a circle has no north
    if shape.frame == "image" and drawn != "physical" or drawn == "image":
        return np.eye(2), "image"
    if shape.frame in SKY and shape.by_sky and drawn != "physical":
        return np.linalg.inv(axes(plane.frame_of(shape.frame))), "arcsec"
    _check_physical(plane, name)
    return np.diag(1.0 / np.array(plane.physical[0])), "physical"


def _sizes(sizes, unit, shape, plane, axes, name):
    """Half widths in the unit of the basis."""
    if sizes is None:
        return None
    return np.array([s.value * _ratio(s.unit, unit, shape, plane, axes, name) for s in sizes])


def _ratio(unit, wanted, shape, plane, axes, name):
    """How many of a unit one of another is."""
    if unit == wanted:
        return 1.0
    pixels = {"image": 1.0}
    if "physical" in (unit, wanted):
        _check_physical(plane, name)
        pixels["physical"] = math.sqrt(abs(plane.physical[0][0] * plane.physical[0][1]))
    if "arcsec" in (unit, wanted):
        _check_sky(plane, shape.text, name)
        frame = plane.frame_of(shape.frame) if shape.frame in SKY else "icrs"
        pixels["arcsec"] = math.sqrt(abs(np.linalg.det(axes(frame))))
    return pixels[unit] / pixels[wanted]


def _within(form, x, y, size):
    if not size.all():
        return np.zeros(x.shape, bool)
    if form == "box":
        return (np.abs(x) < size[0] * _ON) & (np.abs(y) < size[1] * _ON)
    return (x / size[0]) ** 2 + (y / size[1]) ** 2 < _ON**2


def _in_range(x, y, angles):
    """Directions from start (in) to stop (out), counter-clockwise; equal ones are all around."""
    span = angles[1] - angles[0]
    if abs(span) >= 360 or span % 360 == 0:
        return np.ones(x.shape, bool)
    direction = np.degrees(np.arctan2(y, x))
    return (direction - angles[0] + 1e-7) % 360 < span % 360


def _in_polygon(corners, x, y):
    """Even-odd rule, edge by edge; what lies on an edge is outside."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    on = inside.copy()
    for (xa, ya), (xb, yb) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        dx, dy, length = xb - xa, yb - ya, math.hypot(xb - xa, yb - ya)
        if not length:
            continue
        if dy:
            inside ^= ((y >= ya) != (y >= yb)) & (x < xa + (y - ya) * dx / dy)
        beside = np.abs((x - xa) * dy - (y - ya) * dx) < 1e-7 * length
        if beside.any():
            along = ((x - xa) * dx + (y - ya) * dy) / length**2
            on |= beside & (along > -1e-7) & (along < 1 + 1e-7)
    return inside & ~on


def _window(low, high, size):
    """Rows and columns from one corner (x, y) to another, with a margin, on the image."""
    ends = []
    for axis in (1, 0):
        lo = min(max(math.floor(low[axis]) - 1, 0), size[1 - axis])
        ends.append(slice(lo, max(min(math.ceil(high[axis]) + 2, size[1 - axis]), lo)))
    return tuple(ends)


def _grid(window):
    rows, columns = window
    return np.arange(columns.start, columns.stop)[None, :], np.arange(rows.start, rows.stop)[
        :, None
    ]


def _object_inside(shape, plane, name):
    """A region of the ``regions`` package, by its own methods."""
    from copy import deepcopy

    from regions import PixCoord

    region = deepcopy(shape.region)
    region.meta["include"] = True  # the set knows; some versions of the package turn it around
    if hasattr(region, "to_pixel"):
        _check_sky(plane, shape.text, name)
        region = region.to_pixel(plane.wcs)
    window = np.s_[0 : plane.size[0], 0 : plane.size[1]]
    try:
        box = region.bounding_box
        window = _window((box.ixmin, box.iymin), (box.ixmax, box.iymax), plane.size)
    except (ValueError, OverflowError):
        raise InputError(f"{shape.text} holds a number that is not finite", file=name) from None
    except NotImplementedError:  # compound regions have none
        pass
    return window, region.contains(PixCoord(*np.broadcast_arrays(*_grid(window))))
