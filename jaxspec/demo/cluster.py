"""A cluster of galaxies as a CCD camera sees it: files like those of an observer, truth known.

Four chips in a square and one beside them, rolled on the sky; between the chips are gaps that the
dithering of the telescope makes fuzzy. Some columns are dead, the exposure falls off away from the
optical axis, and point sources lie all over the field, wider where the mirrors focus less well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxspec._ask import generator
from jaxspec._files import make_folder, write_bytes
from jaxspec.errors import InputError
from jaxspec.reduce.image import Image, read_image

FULL = 883  # pixels on a side; the numbers below are for this size
PIXEL = 4 * 0.492  # arcsec
SECONDS = 1.0e5
PEAK = 480.0  # cm2
MIN_EXPOSURE = 0.5  # of the maximum; a fit leaves out what has less

_AXIS = (463.0, 512.0)  # pixel of the optical axis, which is the middle of the square
_ROLL = 24.0  # degrees
_CHIP, _GAP, _DITHER = 256.0, 5.0, 4.0  # side, gap, amplitude of the dither, pixels
_OUTER = (-131.0, -440.0)  # the chip beside the square, from the axis on the detector
# Dead columns: place, whether in the upper (1) or lower (-1) chips, width
_COLUMNS = ((-201, 1, 6), (-88, -1, 1), (-37, 1, 5), (56, -1, 2), (113, -1, 6))
_SOURCES = 50

# Posterior means for a real cluster, from the course of which this is the exercise
TRUTHS = {
    "beta": {
        "x0": 481.231,
        "y0": 552.964,
        "S0": 1.0913e-5,
        "rc": 4.2977,
        "beta": 0.55237,
        "B": 0.0576,
    },
    "double_beta": {
        "x0": 481.243,
        "y0": 553.017,
        "S0": 1.0604e-5,
        "rc": 6.3289,
        "beta": 1.05148,
        "B": 0.08224,
        "S02": 1.0874e-6,
        "rc2": 17.8515,
        "beta2": 0.67542,
    },
}
_KINDS = {"single": "beta", "double": "double_beta"}
FILES = {"image": "image.fits.gz", "exposure": "expmap.fits.gz", "regions": "mask.reg"}


def simulate_cluster(kind="double", size=FULL, seed=0, folder=None, overwrite=False) -> Image:
    """Simulate the image of a cluster of galaxies, ready to be fitted.

    Parameters
    ----------
    kind : {"double", "single"}
        Model of the cluster, double_beta or beta, with an even background.
    size : int
        Pixels on a side, 64 or more. A smaller one shrinks the detector, and moves the centre
        with it; the cluster stays as large as it is, in pixels.
    seed : int
        Equal seeds give equal images.
    folder : path, optional
        Where to write the files of this observation (``image.fits.gz``, ``expmap.fits.gz`` in cm2,
        ``mask.reg``) and ``truth.ecsv``; it is made. The image is then read from them.
    overwrite : bool
        Whether files of these names in the folder may be replaced.

    Returns
    -------
    Image
        Its mask leaves out the point sources, the gaps, the outer chip, and what has less than
        half of the largest exposure. At full size about 240 000 pixels are good, and the exposure
        peaks at 4.8e7 cm2 s.

    Raises
    ------
    InputError
        An unknown kind, a size that is too small, or files that are there already.

    See Also
    --------
    cluster_truth : the parameters that were simulated.

    Examples
    --------
    >>> import jaxspec as js
    >>> image = js.simulate_cluster("single", size=883, seed=1)    # doctest: +SKIP
    >>> js.fit("beta", image).table["rc"]                          # doctest: +SKIP
    """
    from jaxspec.estimate.simulate import fake

    truth = cluster_truth(kind, size)
    rng = generator(seed)
    blank = _template(size)
    blobs, sources = _point_sources(blank, truth, size, rng)
    image = fake(_KINDS[kind], blank, params=truth, seed=rng, name="cluster")
    image = image.replace(counts=image.counts + rng.poisson(blobs))
    text = "\n".join(["# what does not belong to the cluster", "fk5", *sources, *_boxes(size)])
    if folder is None:
        return image.masked(text, MIN_EXPOSURE)
    return _written(image, text, truth, Path(folder), overwrite)


def cluster_truth(kind="double", size=FULL) -> dict:
    """Parameters of `simulate_cluster`, by name; the centre moves with the size of the image.

    Examples
    --------
    >>> cluster_truth("single")["rc"], cluster_truth("double", 441.5)["x0"]
    (4.2977, 240.6215)
    """
    if kind not in _KINDS:
        raise InputError(f"is {kind!r}", parameter="kind", remedy="use 'single' or 'double'")
    if not 64 <= size <= 8192:
        raise InputError(f"is {size}", parameter="size", remedy="give 64 to 8192 pixels")
    scale = size / FULL
    truth = TRUTHS[_KINDS[kind]]
    return truth | {name: truth[name] * scale for name in ("x0", "y0")}


def _written(image, regions, truth, folder, overwrite):
    """Write the files of an observation, and read them."""
    from astropy.table import Table

    from jaxspec.fit.tables import write_table
    from jaxspec.read.write_image import check_targets, write_image

    make_folder(folder)
    paths = {key: folder / name for key, name in FILES.items()}
    check_targets([*paths.values(), folder / "truth.ecsv"], overwrite)
    area = image.replace(exposure=image.exposure / SECONDS, exposure_unit="cm2")
    write_image(area, paths["image"], exposure=paths["exposure"], overwrite=overwrite)
    write_bytes(paths["regions"], regions + "\n", overwrite)
    table = Table({"name": list(truth), "value": list(truth.values())})
    write_table(table, folder / "truth.ecsv", overwrite)
    return read_image(
        paths["image"],
        exposure=paths["exposure"],
        regions=paths["regions"],
        min_exposure=MIN_EXPOSURE,
        name="cluster",
    )


# ---------------------------------------------------------------------------- the camera


def _template(size) -> Image:
    """Image without counts: exposure in cm2 s, and sky coordinates."""
    size = int(size)
    exposure = _exposure(size)
    return Image(
        "cluster",
        np.zeros((size, size)),
        exposure,
        exposure == 0,
        wcs=_sky(size),
        exposure_unit="cm2 s",
        exposure_time=SECONDS,
        header={"TELESCOP": "SIMULATED", "EXPOSURE": SECONDS, "OBJECT": "cluster"},
    )


def _sky(size):
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.radesys, wcs.wcs.equinox = "FK5", 2000.0
    wcs.wcs.crval = [161.92, -25.75]
    wcs.wcs.crpix = [a * size / FULL + 1 for a in _AXIS]
    wcs.wcs.cdelt = [-PIXEL / 3600, PIXEL / 3600]
    wcs.wcs.set()
    return wcs


def _detector(x, y, size):
    """Coordinates (u, v) on the detector, pixels of the full size, of pixels of the image."""
    angle, scale = np.deg2rad(_ROLL), FULL / size
    dx, dy = x * scale - _AXIS[0], y * scale - _AXIS[1]
    return (
        dx * np.cos(angle) + dy * np.sin(angle),
        dy * np.cos(angle) - dx * np.sin(angle),
    )


def _on_image(u, v, size):
    """Pixel of the image at detector coordinates."""
    angle, scale = np.deg2rad(_ROLL), size / FULL
    return (
        (_AXIS[0] + u * np.cos(angle) - v * np.sin(angle)) * scale,
        (_AXIS[1] + u * np.sin(angle) + v * np.cos(angle)) * scale,
    )


def _centres():
    """Middle of each chip on the detector; the last one is outside of the square."""
    half = (_CHIP + _GAP) / 2
    return [(a * half, b * half) for a in (-1, 1) for b in (-1, 1)] + [_OUTER]


def _exposure(size):
    """Exposure (size, size), cm2 s: chips, dead columns, and vignetting."""
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    u, v = _detector(x, y, size)
    seen = np.zeros_like(u)
    for cu, cv in _centres():
        lit = _inside(u - cu, _CHIP) * _inside(v - cv, _CHIP)
        for place, half, width in _COLUMNS:
            if abs(place - cu) < _CHIP / 2 and half * cv > 0:
                lit = lit * (1.0 - _inside(u - place, width))
        seen += lit
    away = np.hypot(u, v) * PIXEL / 600  # units of 10 arcmin
    seen *= 1.0 - 0.22 * away**2
    return np.maximum(seen, 0.0) * (PEAK * SECONDS / seen.max())


def _inside(distance, width):
    """Fraction of the time that a dithering point spends within ``width`` about 0."""

    def before(edge):
        return 0.5 + np.arcsin(np.clip((edge - distance) / _DITHER, -1.0, 1.0)) / np.pi

    return before(width / 2) - before(-width / 2)


# ---------------------------------------------------------------------------- what is left out


def _point_sources(image, truth, size, rng):
    """Expected counts (size, size) of the point sources, and a region around each."""
    n = max(round(_SOURCES * (size / FULL) ** 2), 3)
    far = 70.0 * size / FULL  # from the cluster, in pixels
    y, x = np.nonzero(image.exposure > MIN_EXPOSURE * image.exposure.max())
    free = np.hypot(x - truth["x0"], y - truth["y0"]) > far
    chosen = rng.choice(np.flatnonzero(free), n, replace=False)
    counts = 25.0 * rng.power(1.3, n) ** -1.0  # few bright ones, many faint
    blobs, regions = np.zeros(image.shape), []
    for px, py, total in zip(x[chosen], y[chosen], np.minimum(counts, 2000.0), strict=True):
        away = np.hypot(*_detector(px, py, size)) * PIXEL / 600
        sigma = 0.7 + 1.9 * away**2
        radius = 5.0 * sigma + 0.5
        half = int(np.ceil(radius))
        rows, columns = (slice(max(c - half, 0), c + half + 1) for c in (py, px))
        r2 = (np.arange(size)[columns] - px)[None, :] ** 2
        r2 = r2 + (np.arange(size)[rows] - py)[:, None] ** 2
        light = np.where(r2 < radius**2, np.exp(-0.5 * r2 / sigma**2), 0.0)
        shape = light / light.sum() * image.exposure[rows, columns] / image.exposure[py, px]
        blobs[rows, columns] += total * shape
        place = image.sky(px, py)
        regions.append(
            f'circle({place.ra.deg:.7f},{place.dec.deg:.7f},{1.01 * radius * PIXEL:.3f}")'
        )
    return blobs, regions


def _boxes(size):
    """Regions of the gaps between the chips and of the chip beside them."""
    wcs, scale = _sky(size), size / FULL
    long, narrow = 2 * _CHIP + _GAP, _GAP + _DITHER
    pieces = [(0.0, 0.0, long, narrow), (0.0, 0.0, narrow, long)]
    pieces.append((*_OUTER, _CHIP + 3 * _DITHER, _CHIP + 3 * _DITHER))
    lines = []
    for u, v, width, height in pieces:
        sky = wcs.pixel_to_world(*_on_image(u, v, size))
        sides = ",".join(f'{length * scale * PIXEL:.3f}"' for length in (width, height))
        lines.append(f"box({sky.ra.deg:.7f},{sky.dec.deg:.7f},{sides},{_ROLL:g})")
    return lines
