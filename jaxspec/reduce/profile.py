"""Radial profiles: annuli around a centre of an image, or a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxspec._ask import expect
from jaxspec._checks import fix_arrays, kept
from jaxspec.errors import InputError
from jaxspec.reduce.center import centroid
from jaxspec.reduce.pixels import Pixels
from jaxspec.reduce.regrid import in_pixels, position

NODES = 16  # radii at which the model of an annulus is taken
OVERLAP = 0.05  # of the narrower annulus, which edges that were rounded may overlap
PER_EXPOSURE = {"cm2 s": "s-1 cm-2", "s": "s-1", "cm2": "cm-2"}  # the longest first


@dataclass(frozen=True, eq=False)
class RadialProfile:
    """Sums over annuli, or a published profile; fitted through `pixels`. Its arrays are fixed.

    Parameters
    ----------
    r_lo, r_hi, r : (n,) float64, in ``r_unit``
        Edges and nominal radius of the annuli; pixels at r_lo are in, those at r_hi are not.
    counts : (n,) float64 counts (of a table: its surface brightness).
    exposure : (n,) float64, summed over the pixels, in the image's unit (of a table: 1).
    area : (n,) float64, good pixels in the annulus (of a table: 1).
    background : (n,) float64, expected counts of the background map, zeros without one.
    error : (n,) float64, one-sigma error of ``counts`` for chi2; NaN where Poisson.
    center : (x, y) pixels, or None for a table.
    pixel_size : float arcsec, or None.
    r_unit, sb_unit : str
    name : str
    nodes : (radii, weights), both (n, NODES), or None
        Where the exposed pixels of each annulus are; a fit averages the model over them. None for
        a table, whose model is taken at ``r``.
    diagnostics : tuple of str, what is odd about the file that it was read from.
    """

    r_lo: np.ndarray
    r_hi: np.ndarray
    r: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray
    area: np.ndarray
    background: np.ndarray
    error: np.ndarray
    center: tuple[float, float] | None = None
    pixel_size: float | None = None
    r_unit: str = "pixel"
    sb_unit: str = ""
    name: str = ""
    nodes: tuple[np.ndarray, np.ndarray] | None = None
    diagnostics: tuple[str, ...] = ()

    def __post_init__(self):
        fix_arrays(self, "r_lo r_hi r counts exposure area background error".split(), ndim=1)
        nodes = None if self.nodes is None else tuple(kept(part, part) for part in self.nodes)
        object.__setattr__(self, "nodes", nodes)

    def __len__(self):
        return len(self.r)

    @property
    def sb(self) -> np.ndarray:
        """Surface brightness (counts - background)/exposure; NaN where nothing is exposed."""
        return self._per_exposure(self.counts - self.background)

    @property
    def sb_err(self) -> np.ndarray:
        """One-sigma error of `sb`: the given one, else the square root of the counts.

        An annulus without counts has the error of one count, not zero.
        """
        poisson = np.sqrt(np.maximum(self.counts, 1.0))
        return self._per_exposure(np.where(np.isnan(self.error), poisson, self.error))

    def _per_exposure(self, values):
        exposed = self.exposure > 0
        return np.where(exposed, values, np.nan) / np.where(exposed, self.exposure, 1.0)

    @property
    def counts_per_pixel(self) -> np.ndarray:
        """Mean counts of a pixel."""
        return self.counts / self.area

    @property
    def pixels(self) -> Pixels:
        """The annuli in the form that a fit takes: x = r, y = 0."""
        return Pixels(
            self.counts,
            self.r,
            np.zeros_like(self.r),
            self.exposure,
            self.background,
            self.area,
            self.error,
        )

    @property
    def table(self):
        """All columns as `astropy.table.QTable`."""
        from astropy.table import QTable

        names = "r r_lo r_hi counts exposure area background sb sb_err".split()
        meta = {"r_unit": self.r_unit, "sb_unit": self.sb_unit, "name": self.name}
        if self.center is not None:
            meta |= {"center": list(self.center), "pixel_size": self.pixel_size}
        return QTable({name: getattr(self, name) for name in names}, meta=meta)

    def __repr__(self):
        where = "" if self.center is None else " around ({:.2f}, {:.2f})".format(*self.center)
        return (
            f"RadialProfile({self.name}: {len(self)} annuli{where}, "
            f"{self.r_lo[0]:.4g}-{self.r_hi[-1]:.4g} {self.r_unit})"
        )

    @classmethod
    def from_table(cls, r, sb, sb_err, r_lo=None, r_hi=None, unit="pixel", **names):
        """Profile from published numbers, to be fitted with chi2.

        Parameters
        ----------
        r, sb, sb_err : (n,) array
            Radius, surface brightness and its one-sigma error.
        r_lo, r_hi : (n,) array, optional
            Edges of the annuli; by default r itself.
        unit : str
            Of the radii.
        **names
            ``name``, ``sb_unit``, ``diagnostics``.

        Raises
        ------
        InputError
            If lengths differ, something is not finite, an error is not positive, a radius is
            there twice, or annuli overlap.

        Examples
        --------
        >>> RadialProfile.from_table([1, 2], [5.0, 4.0], [0.1, 0.1], unit="arcmin")
        RadialProfile(: 2 annuli, 1-2 arcmin)
        """
        r, sb, sb_err = (np.asarray(v, np.float64) for v in (r, sb, sb_err))
        r_lo = r if r_lo is None else np.asarray(r_lo, np.float64)
        r_hi = r if r_hi is None else np.asarray(r_hi, np.float64)
        for label, v in (("r", r), ("sb", sb), ("sb_err", sb_err), ("r_lo", r_lo), ("r_hi", r_hi)):
            if v.shape != (r.size,) or not r.size:
                raise InputError(f"has shape {v.shape}, not ({r.size},)", parameter=label)
            bad = ~np.isfinite(v) | ((v <= 0) if label == "sb_err" else (v < 0) & (label != "sb"))
            if bad.any():
                n = int(np.flatnonzero(bad)[0])
                raise InputError(
                    f"is {v[n]} in row {n + 1}", parameter=label, remedy="leave that row out"
                )
        values, first, number = np.unique(r, return_index=True, return_counts=True)
        if np.any(number > 1):
            n = int(np.argmax(number))
            raise InputError(
                f"is {values[n]} in row {first[n] + 1} and in {number[n] - 1} more",
                parameter="r",
                remedy="leave out all but one",
            )
        if np.any(r_lo > r_hi):
            n = int(np.argmax(r_lo > r_hi))
            raise InputError(f"is {r_lo[n]}, above r_hi, in row {n + 1}", parameter="r_lo")
        order = np.argsort(r_lo, kind="stable")
        width = (r_hi - r_lo)[order]
        over = r_hi[order][:-1] - r_lo[order][1:] - OVERLAP * np.minimum(width[:-1], width[1:])
        if np.any(over > 0):
            n = int(np.argmax(over))
            a, b = order[n], order[n + 1]
            raise InputError(
                f"is {r_hi[a]:g} in row {a + 1}, and the annulus of row {b + 1} begins at "
                f"{r_lo[b]:g}: they overlap",
                parameter="r_hi",
                remedy="give edges that do not; a width (dr) is half of the annulus",
            )
        one, zero = np.ones_like(r), np.zeros_like(r)
        return cls(r_lo, r_hi, r, sb, one, one, zero, sb_err, r_unit=unit, **names)


def profile(
    image,
    center=None,
    bins="log",
    *,
    rmax=None,
    n_bins=32,
    min_counts=None,
    width=None,
    edges=None,
):
    """Sum an image in annuli.

    Parameters
    ----------
    image : Image
    center : (x, y) in pixels or SkyCoord, optional
        By default the centroid.
    bins : {"log", "linear", "min_counts"}
        "log": n_bins edges from 1 pixel to rmax, and 0 before them, with the nominal radius
        sqrt(r_lo r_hi) (sqrt(0.3) r_hi in the first): the Profile class of the KIPAC course on
        statistical methods, tutorial "X-ray Image Data". "linear": annuli of one width.
        "min_counts": annuli of one width, merged outwards until each has min_counts.
    rmax : float or angle, optional
        Largest radius; by default that of the farthest good pixel.
    n_bins : int
    min_counts : float, optional
        Merge annuli outwards until each has so many counts, for any choice of bins; what is
        left over at the end joins the last.
    width : float or angle, optional
        Of the linear annuli; by default rmax / n_bins, for "min_counts" 1 pixel.
    edges : (n + 1,) array of pixels or angle, optional
        The edges themselves, instead of all the above but min_counts. The nominal radius is
        the middle of an annulus, as it is for all but "log".

    Returns
    -------
    RadialProfile
        In pixels; annuli without a good pixel are left out.

    Raises
    ------
    InputError
        If the choices cannot be used, or no good pixel lies in the annuli.

    Examples
    --------
    >>> from jaxspec.reduce.image import Image
    >>> image = Image("toy", np.ones((9, 9)), np.full((9, 9), 2.0), np.zeros((9, 9), bool))
    >>> found = profile(image, (4, 4), edges=[0, 1, 3])
    >>> found.r, found.counts, found.sb
    (array([0.5, 2. ]), array([ 1., 24.]), array([0.5, 0.5]))
    """
    expect(image, "good", "image", "an Image")
    center = centroid(image) if center is None else position(image, center)
    pixels = image.pixels
    distance = np.hypot(pixels.x - center[0], pixels.y - center[1])
    if rmax is None:
        rmax = np.nextafter(distance.max(), np.inf)
    rmax = in_pixels(image, rmax, "rmax")
    if edges is not None:
        bins, edges = "edges", _given_edges(image, edges)
    else:
        edges = _make_edges(image, bins, rmax, n_bins, min_counts, width)
    ring = np.searchsorted(edges, distance, side="right") - 1
    used = (ring >= 0) & (ring < len(edges) - 1)

    def total(values):
        return np.bincount(ring[used], values[used], len(edges) - 1)

    area = total(pixels.area)
    sums = [total(v) for v in (pixels.counts, pixels.exposure, pixels.background)]
    filled = np.flatnonzero(area > 0)
    if not filled.size:
        raise InputError(
            f"no good pixel lies in the annuli around ({center[0]:.1f}, {center[1]:.1f})",
            file=image.path or image.name,
            remedy="check center= and rmax=",
        )
    starts = filled if min_counts is None else filled[_merge(sums[0][filled], min_counts)]
    groups = np.searchsorted(filled, starts)
    last = filled[np.append(groups[1:], filled.size) - 1]
    lo, hi = edges[starts], edges[last + 1]
    counts, exposure, background, area, variance = (
        np.add.reduceat(v[filled], groups) for v in (*sums, area, total(pixels.error**2))
    )
    r = (lo + hi) / 2
    if bins == "log":
        r = np.where(lo > 0, np.sqrt(lo * hi), np.sqrt(0.3) * hi)
    unit = f"ct {per_exposure(image.exposure_unit)} pixel-1"
    return RadialProfile(
        lo, hi, r, counts, exposure, area, background, np.sqrt(variance), center, image.pixel_size,
        "pixel", unit, image.name, _nodes(np.append(lo, hi[-1]), distance, pixels.exposure),
    )  # fmt: skip


def _nodes(edges, distance, exposure):
    """Mean radii (n, NODES) of groups of pixels in each annulus, and their share of its exposure.

    Up to NODES pixels stand for themselves; more are grouped in the order of their radii. Where an
    annulus is not exposed at all, its pixels count alike.
    """
    n = len(edges) - 1
    order = np.argsort(distance)
    order = order[(distance[order] >= edges[0]) & (distance[order] < edges[-1])]
    r, weight = distance[order], exposure[order]
    ring = np.searchsorted(edges, r, side="right") - 1
    members = np.bincount(ring, minlength=n)
    rank = np.arange(len(r)) - (np.cumsum(members) - members)[ring]
    place = ring * NODES + rank * NODES // np.maximum(members[ring], NODES)
    weight = np.where(np.bincount(ring, weight, n)[ring] > 0, weight, 1.0)
    total = np.bincount(place, weight, n * NODES)
    mean = np.bincount(place, weight * r, n * NODES) / np.where(total > 0, total, 1.0)
    total = total.reshape(n, NODES)
    # a group without pixels lies at the inner edge, with no weight
    radii = np.where(total > 0, mean.reshape(n, NODES), edges[:-1, None])
    return radii, total / total.sum(axis=1, keepdims=True)


def per_exposure(unit) -> str:
    """What the unit of a surface brightness holds for an exposure in some unit; "" is unknown."""
    return PER_EXPOSURE.get(unit, "exposure-1")


def _make_edges(image, bins, rmax, n_bins, min_counts, width):
    if bins not in ("log", "linear", "min_counts"):
        raise InputError(
            f"{bins!r} is not a choice", parameter="bins", remedy="use log, linear or min_counts"
        )
    if isinstance(n_bins, bool) or n_bins != int(n_bins) or n_bins < 1:
        raise InputError(f"is {n_bins}", parameter="n_bins", remedy="give a whole number from 1")
    if bins == "log":
        if rmax <= 1:
            raise InputError(
                f"is {rmax:.3g} pixels, and the first annulus of log bins ends at 1",
                parameter="rmax",
                remedy="use bins='linear'",
            )
        edges = np.append(0.0, np.exp(np.linspace(0.0, np.log(rmax), int(n_bins))))
        edges[-1] = rmax  # which exp(log(rmax)) may miss, and the farthest pixel with it
        return edges
    if bins == "min_counts" and min_counts is None:
        raise InputError("is missing", parameter="min_counts", remedy="give a number of counts")
    default = rmax / n_bins if bins == "linear" else 1.0
    width = default if width is None else in_pixels(image, width, "width")
    n = int(np.ceil(rmax / width - 1e-9))
    if n > 1_000_000:
        raise InputError(f"makes {n} annuli", parameter="width", remedy="make it wider")
    return width * np.arange(n + 1.0)


def _given_edges(image, edges):
    if hasattr(edges, "unit"):
        edges = edges.value * in_pixels(image, 1.0 * edges.unit, "edges")
    edges = np.asarray(edges, np.float64)
    if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0:
        raise InputError(f"are {edges}", parameter="edges", remedy="give ascending radii from 0 on")
    return edges


def _merge(counts, wanted):
    """Where the groups start that have the wanted counts; the rest joins the last."""
    starts, have, at = [0], 0.0, 0
    for at, n in enumerate(counts, 1):
        have += n
        if have >= wanted:
            starts.append(at)
            have = 0.0
    return np.array(starts[:-1] or [0])
