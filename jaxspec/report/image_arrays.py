"""The numbers behind the figures of an image model, as NumPy arrays.

A model is compared with the data in annuli by its exact sum over the good pixels of each annulus,
not by its value at the nominal radius: exposure gaps, masks and the curvature of the model inside
an annulus are then the same on both sides. The model of a posterior is that at its mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.result import FitResult
from jaxspec.likelihood.forward import predict, predict_parts
from jaxspec.likelihood.image import TINY
from jaxspec.likelihood.image_prepare import centers_of
from jaxspec.reduce.image import Image
from jaxspec.reduce.profile import RadialProfile
from jaxspec.reduce.profile import profile as sum_in_annuli
from jaxspec.sample.posterior import Posterior, columns

ARCSEC = {"arcsec": 1.0, "arcmin": 60.0, "arcsecond": 1.0, "arcminute": 60.0}
#: The halves of a double beta model, each with the brightness that is set to zero for it.
CORES = {"core 1": "S02", "core 2": "S0"}


@dataclass(frozen=True, eq=False)
class ProfileArrays:
    """A radial profile as it is drawn; arrays are (n,), one value per annulus.

    Parameters
    ----------
    name : str
    r, r_lo, r_hi : nominal radius and edges, in ``r_unit``.
    counts, sigma : sums over the good pixels of the data, and their one-sigma errors.
    per : what counts are divided by to give ``unit``.
    expected : counts of the model, or None without one.
    parts : dict of component to its counts; the two cores of a double beta apart.
    scatter : what ``counts - expected`` should scatter by, or None without a model.
    center : (x, y) pixels, or None.
    r_unit, unit : str
    """

    name: str
    r: np.ndarray
    r_lo: np.ndarray
    r_hi: np.ndarray
    counts: np.ndarray
    sigma: np.ndarray
    per: np.ndarray
    expected: np.ndarray | None
    parts: dict
    scatter: np.ndarray | None
    center: tuple[float, float] | None
    r_unit: str
    unit: str

    def brightness(self, counts) -> np.ndarray:
        """Counts (..., n) as brightness in ``unit``; NaN where nothing is exposed."""
        some = self.per > 0
        return np.where(some, counts, np.nan) / np.where(some, self.per, 1.0)

    @property
    def data(self) -> np.ndarray:
        """Brightness of the data, background included."""
        return self.brightness(self.counts)

    @property
    def error(self) -> np.ndarray:
        """One-sigma error of ``data``; an annulus without counts has that of one count."""
        return self.brightness(self.sigma)

    @property
    def model(self) -> np.ndarray | None:
        """Brightness of the whole model."""
        return None if self.expected is None else self.brightness(self.expected)

    @property
    def components(self) -> dict:
        """Brightness of each component; they add up to ``model``."""
        return {name: self.brightness(counts) for name, counts in self.parts.items()}

    @property
    def residuals(self) -> np.ndarray | None:
        """(data - model) in sigma, of the counts that the model expects."""
        return None if self.expected is None else (self.counts - self.expected) / self.scatter


def profile_arrays(
    source, center=None, bins="log", n_bins=32, row=0, *, kind="brightness", unit=None, **options
) -> ProfileArrays:
    """Radial profile of data and model.

    Parameters
    ----------
    source : FitResult, Posterior, or Image or RadialProfile, which have no model
    center : (x, y) in pixels or SkyCoord, optional
        By default that of the model's first source, without one the centroid.
    bins, n_bins, **options : of `jaxspec.profile`
        ``rmax``, ``min_counts``, ``width``, ``edges``. All binning is ignored where a profile was
        fitted.
    row : int or name, of a FitResult.
    kind : {"brightness", "counts"}
        Counts divided by the exposure and the solid angle, or by the solid angle alone.
    unit : {"pixel", "arcsec", "arcmin"}, optional
        Of radii and solid angles; by default arcmin where the pixel size is known.

    Returns
    -------
    ProfileArrays

    Raises
    ------
    InputError
        A row without a fit, a result of spectra, no data, or a choice that cannot be used.

    Examples
    --------
    >>> image = Image("toy", np.ones((9, 9)), np.full((9, 9), 2.0), np.zeros((9, 9), bool))
    >>> found = profile_arrays(image, (4, 4), edges=[0, 1, 3])
    >>> found.data, found.unit, found.model is None
    (array([0.5, 0.5]), 'ct pixel-1', True)
    """
    fitted = best_of(source, row)
    rings = rings_of(fitted, center, bins, n_bins, options)
    return arrays_of(fitted, rings, kind, unit)


# ---------------------------------------------------------------------------- parts


class Fitted(NamedTuple):
    """Data with the model that is shown: its parameters (n_par,), or None without a model."""

    data: object
    model: object = None
    params: np.ndarray | None = None
    integrate: bool | None = None


class Rings(NamedTuple):
    """Annuli, and the one of each pixel (n_pix,), -1 outside; None if pixels are annuli."""

    profile: RadialProfile
    index: np.ndarray | None

    def total(self, values):
        """Sum of values of the pixels (n_pix,) over each annulus."""
        if self.index is None:
            return np.asarray(values)
        inside = self.index >= 0
        return np.bincount(self.index[inside], np.asarray(values)[inside], len(self.profile))


def best_of(source, row=0) -> Fitted:
    """Data, model and parameters to show: the best fit, or the mode of a posterior."""
    if isinstance(source, Image | RadialProfile):
        return Fitted(source)
    if isinstance(source, Posterior):
        source._need_data("the figure")
        params = source.full[0, 0].copy()
        params[columns(source.model)[0]] = source.best
        return Fitted(source.data, source.model, params, source.settings.get("integrate"))
    if not isinstance(source, FitResult):
        raise InputError(
            f"is a {type(source).__name__}",
            parameter="source",
            remedy="give what js.fit, js.sample or js.profile made",
        )
    model = source.best(row)
    row = source.names.index(row) if isinstance(row, str) else row
    data = source.spectra[row]
    if not isinstance(data, Image | RadialProfile):
        raise InputError("is a fit of spectra", parameter="source", remedy="use plot.fit")
    return Fitted(data, model, source.params[row], source.settings.get("integrate"))


def rings_of(fitted, center, bins, n_bins, options) -> Rings:
    """Annuli of the data, by default around the model's first source."""
    data = fitted.data
    if isinstance(data, RadialProfile):
        return Rings(data, None)
    if center is None and fitted.model is not None:
        center = next(iter(centers_of(fitted.model, fitted.params)), None)
    found = sum_in_annuli(data, center, bins, n_bins=n_bins, **options)
    x, y = found.center
    distance = np.hypot(data.pixels.x - x, data.pixels.y - y)
    index = np.searchsorted(found.r_lo, distance, side="right") - 1
    return Rings(found, np.where(distance < found.r_hi[index], index, -1))


def arrays_of(fitted, rings, kind, unit) -> ProfileArrays:
    """Sums of data and model over the annuli; see `profile_arrays`."""
    annuli = rings.profile
    per, scale, r_unit, unit = _units(fitted.data, annuli, kind, unit)
    poisson = np.isnan(annuli.error)
    expected, parts, scatter = None, {}, None
    if fitted.model is not None:
        expected = rings.total(prediction(fitted)(fitted.params))
        parts = {name: rings.total(values) for name, values in _parts(fitted).items()}
        parts = {name: values for name, values in parts.items() if values.any()}
        scatter = np.where(poisson, np.sqrt(np.maximum(expected, TINY)), annuli.error)
    return ProfileArrays(
        name=annuli.name,
        r=annuli.r * scale,
        r_lo=annuli.r_lo * scale,
        r_hi=annuli.r_hi * scale,
        counts=annuli.counts,
        sigma=np.where(poisson, np.sqrt(np.maximum(annuli.counts, 1.0)), annuli.error),
        per=per,
        expected=expected,
        parts=parts,
        scatter=scatter,
        center=annuli.center,
        r_unit=r_unit,
        unit=unit,
    )


def _units(data, annuli, kind, unit):
    """What counts are divided by, radii are multiplied by, and the units of both."""
    if kind not in ("brightness", "counts"):
        raise InputError(f"is {kind!r}", parameter="kind", remedy="use 'brightness' or 'counts'")
    if unit not in (None, "pixel", "arcsec", "arcmin"):
        raise InputError(f"is {unit!r}", parameter="unit", remedy="use pixel, arcsec or arcmin")
    size = annuli.pixel_size if annuli.r_unit == "pixel" else None
    if unit in ARCSEC and size is None and unit != annuli.r_unit:
        raise InputError("has no pixel size", file=annuli.name, parameter="unit")
    if annuli.center is None:  # a table has no counts, and units of its own
        return annuli.exposure, 1.0, annuli.r_unit, annuli.sb_unit
    unit = unit or ("pixel" if size is None else "arcmin")
    scale = 1.0 if unit == "pixel" else size / ARCSEC[unit]
    solid = f"{unit}-1" if unit == "pixel" else f"{unit}-2"
    if kind == "counts":
        return annuli.area * scale**2, scale, unit, f"ct {solid}"
    return annuli.exposure * scale**2, scale, unit, annuli.sb_unit.replace("pixel-1", solid)


def prediction(fitted):
    """Function from parameters (n_par,) to expected counts (n_pix,)."""
    return lambda params: predict(fitted.model, fitted.data, params, fitted.integrate)


def _parts(fitted) -> dict:
    """Expected counts (n_pix,) of each component, exchangeable parts of one component apart."""
    model, tree = fitted.model, fitted.model.tree

    def evaluate(params):
        return predict_parts(model, fitted.data, params, fitted.integrate)

    twins = {n: c for n, c in zip(tree.names, tree.components, strict=True) if c.exchangeable}
    whole, parts = evaluate(fitted.params), {}
    for name in tree.names:
        if name not in twins:
            parts[name] = whole[name]
            continue
        prefix = f"{name} " if len(twins) > 1 else ""
        for k, label in enumerate(CORES):
            params = np.array(fitted.params, float)
            params[_amplitudes_but(model, name, twins[name], k)] = 0.0
            parts[f"{prefix}{label}"] = evaluate(params)[name]
    return parts


def _amplitudes_but(model, name, component, part):
    """Indices of the amplitudes of all exchangeable parts but one."""
    others = [p for k, p in enumerate(component.exchangeable.parts) if k != part]
    found = [model[f"{name}.{n}"] for names in others for n in names]
    return [p.number - 1 for p in found if p.role == "amplitude"]
