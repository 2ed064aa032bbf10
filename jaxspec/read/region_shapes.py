"""What a region is before it lies on an image: shapes with places, lengths and angles."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jaxspec.errors import InputError

SKY = {
    "fk5": "fk5", "j2000": "fk5", "icrs": "icrs", "fk4": "fk4", "b1950": "fk4",
    "galactic": "galactic", "ecliptic": "barycentricmeanecliptic",
}  # fmt: skip
LARGEST = 180 * 3600.0  # arcsec; nothing on the sky is larger


class Length(NamedTuple):
    """A size: ``unit`` is "image", "physical" (pixels of these) or "arcsec"."""

    value: float
    unit: str


class Shape(NamedTuple):
    """One region.

    Parameters
    ----------
    kind : "round" (circles, ellipses and rings of these), "box" (and frames of boxes),
        "rectangle" (two corners), "polygon", "field" (everything), or "object" for a region
        of the ``regions`` package.
    frame : "image", "physical", or a key of `SKY`: of ``places``.
    places : tuple of (x, y); in image and physical pixels counted from 1, in degrees on the sky.
    outer, inner : two `Length`, half widths along the axes; a sector has no outer edge.
    angles : (start, stop) degrees of a piece of cake, counter-clockwise; None for all around.
    tilt : float, degrees by which the axes are turned counter-clockwise.
    by_sky : bool
        Angles count from the west of the frame (DS9), which is the x axis where north is up;
        else from the x axis of the physical coordinates (CIAO, FITS tables).
    include : bool, False for what is taken out.
    component : int
        Shapes of one component are intersected; see `RegionSet`.
    text : str, for messages.
    region : object, of kind "object".
    """

    kind: str
    frame: str
    places: tuple[tuple[float, float], ...] = ()
    outer: tuple[Length, Length] | None = None
    inner: tuple[Length, Length] | None = None
    angles: tuple[float, float] | None = None
    tilt: float = 0.0
    by_sky: bool = True
    include: bool = True
    component: int = 0
    text: str = ""
    region: Any = None


class RegionSet(NamedTuple):
    """The regions of one file or text.

    Parameters
    ----------
    shapes : tuple of Shape
    name : str, the file, for messages.
    diagnostics : tuple of str, what was assumed.
    by_component : bool
        The rule of CIAO and of FITS tables: a point is in the set if it is in all shapes of one
        component (and in none that the component excludes). Else the rule of DS9: in any
        included shape, and in no excluded one, wherever these stand.
    listed : bool, a list of x, y and radius without a word on their units: image pixels.
    """

    shapes: tuple[Shape, ...]
    name: str
    diagnostics: tuple[str, ...] = ()
    by_component: bool = False
    listed: bool = False


def checked(shape, file) -> Shape:
    """The shape, if all its numbers can be; else an InputError."""
    sizes = [*(shape.outer or ()), *(shape.inner or ())]
    numbers = [v for place in shape.places for v in place] + [s.value for s in sizes]
    numbers += [shape.tilt, *(shape.angles or ())]
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{shape.text} holds a number that is not finite", file=file)
    if any(s.value < 0 for s in sizes):
        raise InputError(f"{shape.text} holds a size that is not positive", file=file)
    if any(s.unit == "arcsec" and s.value > LARGEST for s in sizes):
        raise InputError(
            f"{shape.text} is larger than the sky",
            file=file,
            remedy="sizes without a unit are degrees on the sky; write 10\" or 10' for others",
        )
    if shape.frame in SKY and any(abs(place[1]) > 90 for place in shape.places):
        raise InputError(f"{shape.text} lies beyond a pole (latitude above 90 degrees)", file=file)
    if shape.frame in SKY and any(abs(place[0]) > 360 for place in shape.places):
        raise InputError(
            f"{shape.text} lies beyond 360 degrees",
            file=file,
            remedy="write a right ascension as hours (10:00:00) or degrees (150.0)",
        )
    return shape
