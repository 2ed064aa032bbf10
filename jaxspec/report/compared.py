"""Data beside what a model expects of them, as NumPy arrays: what the figures draw.

Spectra, images and radial profiles all become one `Compared`. What the model expects is what a fit
compares: the folded model in the bins of a spectrum, the sum over the good pixels of each annulus
(not the brightness at its nominal radius). Errors and scatter are those of the table of statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import jax
import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.fluxes import Curve, curves
from jaxspec.likelihood.forward import kind_of
from jaxspec.likelihood.image import TINY
from jaxspec.likelihood.image_prepare import pixel_bins
from jaxspec.likelihood.statistics import STATISTICS, statistic_name, weighted
from jaxspec.reduce.bins import bin_counts, bin_edges, make_bins
from jaxspec.report.fitted import Fitted, best_of, rings_of, units_of
from jaxspec.report.rebin import joined


@dataclass(frozen=True, eq=False)
class Compared:
    """Data and model bin by bin; arrays are (n,): one value for each bin, annulus or pixel.

    Data and model are kept as sums over each bin: counts/s of spectra (divided by AREASCAL, 1 in
    most files), counts of images and profiles. Divided by ``per`` they are in ``unit``, as are
    `data`, `error`, `model`, `components`, `background` and `expected_error`.

    Parameters
    ----------
    name : str
    x, edges : nominal place, and (low, high) edges, in ``x_unit``; the number of each pixel.
    per : width of the bin in keV, or exposure and solid angle; 1 without any.
    counts, sigma : data and their one-sigma errors. Spectra: the background is subtracted if
        ``subtracted``.
    behind : background. Spectra: as measured, scaled to the source region, zero without one;
        that of CORRFILE is in it.
        Images: last component of the model, None without a model.
    expected : the model, or None without one; with the background in it where the data have it.
    parts : dict of additive component to its part; exchangeable halves of one component apart.
    scatter : what ``counts - expected`` should scatter by if the model is true, or None.
    photons : photons/cm2/s of the model of a spectrum before folding, within each bin.
    curve : `jaxspec.likelihood.fluxes.Curve`, the model of a spectrum before folding.
    center : (x, y) pixels of annuli, or None.
    x_unit, unit : str
    """

    name: str
    x: np.ndarray
    edges: tuple[np.ndarray, np.ndarray]
    per: np.ndarray
    counts: np.ndarray
    sigma: np.ndarray
    x_unit: str
    unit: str
    behind: np.ndarray | None = None
    expected: np.ndarray | None = None
    parts: dict = field(default_factory=dict)
    scatter: np.ndarray | None = None
    photons: np.ndarray | None = None
    curve: Curve | None = None
    center: tuple[float, float] | None = None
    subtracted: bool = False

    @property
    def has_energies(self) -> bool:
        """Whether a spectrum has energies and not channels alone."""
        return self.x_unit == "keV"

    def in_unit(self, sums):
        """Sums (..., n) in ``unit``; NaN where there is nothing to divide by; None of None."""
        if sums is None:
            return None
        some = self.per > 0
        return np.where(some, sums, np.nan) / np.where(some, self.per, 1.0)

    @property
    def data(self) -> np.ndarray:
        """The data; those of profiles with the background in them."""
        return self.in_unit(self.counts)

    @property
    def error(self) -> np.ndarray:
        """One-sigma error of ``data``; a bin without counts has that of one count."""
        return self.in_unit(self.sigma)

    @property
    def background(self) -> np.ndarray | None:
        """The background."""
        return self.in_unit(self.behind)

    @property
    def model(self) -> np.ndarray | None:
        """The whole model."""
        return self.in_unit(self.expected)

    @property
    def components(self) -> dict:
        """Each component."""
        return {name: self.in_unit(part) for name, part in self.parts.items()}

    @property
    def expected_error(self) -> np.ndarray | None:
        """What ``data - model`` should scatter by."""
        return self.in_unit(self.scatter)

    @property
    def residuals(self) -> np.ndarray | None:
        """(data - model) in sigma; NaN where no deviation is defined."""
        if self.expected is None:
            return None
        return divide(self.counts - self.expected, self.scatter)

    @property
    def ratio(self) -> np.ndarray:
        """Data / model."""
        return divide(self.counts, self.expected)

    @property
    def ratio_error(self) -> np.ndarray:
        """Error of the data / model."""
        return divide(self.sigma, self.expected)

    @property
    def unfolded(self) -> np.ndarray:
        """Photons/cm2/s/keV, mean of the model of a spectrum over each bin."""
        return self.in_unit(self.photons)

    @property
    def ufspec(self) -> np.ndarray:
        """Unfolded data: data x (model / folded model), photons/cm2/s/keV.

        They depend on the model, whose shape inside the resolution they take over.
        """
        return self.data * divide(self.photons, self.expected)

    @property
    def ufspec_error(self) -> np.ndarray:
        """Error of ``ufspec``, from that of the data."""
        return self.error * divide(self.photons, self.expected)

    @property
    def eeufspec(self) -> np.ndarray:
        """``ufspec`` x E^2, keV^2 (photons/cm2/s/keV), E the geometric mean of the edges.

        0 where the nominal lower edge is not positive.
        """
        return self.ufspec * np.maximum(self.edges[0], 0.0) * self.edges[1]

    @property
    def eeufspec_error(self) -> np.ndarray:
        """Error of ``eeufspec``."""
        return self.ufspec_error * np.maximum(self.edges[0], 0.0) * self.edges[1]


# ---------------------------------------------------------------------------- spectra


def data_arrays(spectrum, *, subtract=True, rebin=None, stat="chi2") -> Compared:
    """Arrays of one spectrum, without a model.

    Parameters
    ----------
    spectrum : Spectrum
    subtract : bool, subtract the background.
    rebin : (min_significance, max_bins), optional
        For display alone: neighbours are joined until they reach that many sigma or bins.
    stat : str, a member of the chi2 family gives its own errors; else STAT_ERR or sqrt(counts),
        and one count where there is none.

    Returns
    -------
    Compared
        Counts/s/keV over the nominal energies; without a response, counts/s per channel.

    Examples
    --------
    >>> from jaxspec._types import Spectrum
    >>> counts = np.array([4.0, 9.0])
    >>> spectrum = Spectrum("a", channel=np.arange(2), counts=counts, exposure=10.0)
    >>> data_arrays(spectrum).data.round(2), data_arrays(spectrum).error.round(2)
    (array([0.4, 0.9]), array([0.2, 0.3]))
    """
    return joined(_of_spectrum(spectrum, statistic_name(stat), subtract), rebin)


def fit_arrays(result, row=0, *, subtract=None, rebin=None) -> Compared:
    """Arrays of one row of a fit; `model_arrays` with the best-fit model and its statistic.

    A posterior has one row, and its model is that at its mode.

    Raises
    ------
    InputError
        A row without a best fit, or what is no result of spectra.
    """
    best = best_of(result, row).of_spectrum()
    options = {"stat": best.stat, "subtract": subtract, "rebin": rebin}
    return model_arrays(best.data, best.model, **options)


def model_arrays(spectrum, model, *, stat="cstat", subtract=None, rebin=None) -> Compared:
    """Arrays of one spectrum and a model.

    Parameters
    ----------
    spectrum : Spectrum, with a response.
    model : Model
    stat : str
        Says how much the data should scatter around the model. Poisson statistics: as the counts
        that the model predicts, and the error of the background; the chi2 family: by its errors.
    subtract : bool, optional
        Subtract the background from the data (default, unless the statistic leaves it out, as
        "cash" does), or add it to the model.
    rebin : see `data_arrays`.
    """
    need_response(spectrum)
    stat = kind_of(spectrum).statistic(spectrum, stat)[0]
    entry = STATISTICS[stat]
    knows_background = entry.background or not entry.poisson
    subtract = knows_background if subtract is None else subtract
    made = _of_spectrum(spectrum, stat, subtract)
    fitted = Fitted(spectrum, model, model.values)
    expected = fitted.expected()
    bins = bin_counts(spectrum)
    scatter = root(entry.scatter(weighted(stat, bins), expected))
    if not subtract:  # a statistic without background knows CORRFILE all the same
        expected = expected + (made.behind if knows_background else bins.known)
    response = spectrum.response
    (curve,) = curves(model, [(response.e_lo, response.e_hi)], [model.values])
    model = {"expected": expected, "parts": fitted.parts(), "scatter": scatter, "curve": curve}
    return joined(replace(made, **model, photons=curve.between(*made.edges)), rebin)


def model_band(posterior, q=(0.025, 0.16, 0.84, 0.975), *, draws=200, seed=0, **options):
    """Quantiles of the folded model of a spectrum over its posterior.

    Parameters
    ----------
    posterior : Posterior of a spectrum
    q : (n_q,) fractions
    draws, seed : how many draws, chosen at random.
    **options : ``subtract, rebin`` of `fit_arrays`.

    Returns
    -------
    (n_q, n) counts/s/keV, in the bins of `fit_arrays`
    """
    best, rebin = best_of(posterior), options.pop("rebin", None)
    made = fit_arrays(posterior, **options)
    more = made.expected - best.expected()  # the background, where it is part of the model
    rates = best.expected(_some(posterior, draws, seed))
    each = [replace(made, expected=rate + more) for rate in rates]
    return np.quantile([joined(one, rebin).model for one in each], q, axis=0)


def curve_band(posterior, q=(0.025, 0.16, 0.84, 0.975), *, draws=200, seed=0):
    """Quantiles of the model of a spectrum before folding, over its posterior.

    Parameters
    ----------
    posterior, q, draws, seed : see `model_band`.

    Returns
    -------
    (n_q, n_energy) photons/cm2/s/keV, on the energies of the response
    """
    best = best_of(posterior).of_spectrum()
    grid, some = (best.data.response.e_lo, best.data.response.e_hi), _some(posterior, draws, seed)
    made = curves(best.model, [grid] * len(some), some)
    return np.quantile([curve.flux for curve in made], q, axis=0)


def _some(posterior, draws, seed):
    """Parameters (n, n_par) of draws chosen at random."""
    full = posterior.full.reshape(-1, posterior.full.shape[-1])
    return np.random.default_rng(seed).choice(full, min(draws, len(full)), replace=False)


def need_response(spectrum):
    """Raise `InputError` unless a model can be folded for this spectrum."""
    if getattr(spectrum, "response", None) is None:
        raise InputError(
            f"{spectrum.name} has no response, so that no model can be folded",
            remedy="read it with response=...",
        )


def _of_spectrum(spectrum, stat, subtract) -> Compared:
    bins = bin_counts(spectrum)
    behind = divide(bins.background, bins.t_b, 0.0) + bins.known
    if not subtract:
        own = {"variance": bins.variance, "systematic": bins.systematic}
        bins = make_bins(bins.counts, t_s=bins.t_s, **own)
    rate, variance = _net(STATISTICS[stat].errors, bins)
    low, high = bin_edges(spectrum)
    has_energies = spectrum.response is not None
    return Compared(
        name=spectrum.name,
        x=0.5 * (low + high),
        edges=(low, high),
        per=high - low,
        counts=rate,
        sigma=root(variance),
        behind=behind,
        x_unit="keV" if has_energies else "channel",
        unit="ct s-1 keV-1" if has_energies else "ct s-1 channel-1",
        subtracted=bool(subtract and (spectrum.background or spectrum.correction)),
    )


# ---------------------------------------------------------------------------- images


def profile_arrays(
    source, center=None, bins="log", n_bins=32, row=0, *, kind="brightness", unit=None, **options
) -> Compared:
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
    Compared

    Raises
    ------
    InputError
        A row without a fit, a result of spectra, no data, or a choice that cannot be used.

    Examples
    --------
    >>> from jaxspec.reduce.image import Image
    >>> image = Image("toy", np.ones((9, 9)), np.full((9, 9), 2.0), np.zeros((9, 9), bool))
    >>> found = profile_arrays(image, (4, 4), edges=[0, 1, 3])
    >>> found.data, found.unit, found.model is None
    (array([0.5, 0.5]), 'ct exposure-1 pixel-1', True)
    """
    fitted = best_of(source, row).of_image()
    return of_annuli(fitted, rings_of(fitted, center, bins, n_bins, options), kind, unit)


def of_annuli(fitted, rings, kind="brightness", unit=None) -> Compared:
    """Sums of data and model over annuli; see `profile_arrays`."""
    annuli = rings.profile
    per, scale, x_unit, unit = units_of(annuli, kind, unit)
    place = {"x": annuli.r * scale, "edges": (annuli.r_lo * scale, annuli.r_hi * scale)}
    made = _of_pixels(annuli, per=per, center=annuli.center, x_unit=x_unit, unit=unit, **place)
    if fitted.model is None:
        return made
    parts = {name: rings.total(part) for name, part in fitted.parts().items()}
    behind = parts[list(parts)[-1]]
    parts = {name: part for name, part in parts.items() if part.any()}
    made = _with_model(made, annuli, rings.total(fitted.expected()))
    return replace(made, parts=parts, behind=behind)


def of_pixels(fitted) -> Compared:
    """The good pixels of an image, in the order of its ``pixels``; the components left out."""
    number = np.arange(len(fitted.data.pixels.counts), dtype=float)
    units = {"per": np.ones_like(number), "x_unit": "", "unit": "ct pixel-1"}
    made = _of_pixels(fitted.data, x=number, edges=(number - 0.5, number + 0.5), **units)
    return _with_model(made, fitted.data, fitted.expected())


def _of_pixels(data, **fields) -> Compared:
    counts, variance = _net(*_pixel_bins(data))
    return Compared(name=data.name, counts=counts, sigma=root(variance), **fields)


def _with_model(made, data, expected):
    stat, bins = _pixel_bins(data)
    scatter = np.sqrt(STATISTICS[stat].scatter(bins, np.maximum(expected, TINY)))
    return replace(made, expected=expected, scatter=scatter)


def _pixel_bins(data):
    stat = kind_of(data).statistic(data, "auto")[0]
    return stat, pixel_bins(data.pixels, stat)


# ---------------------------------------------------------------------------- both


def _net(stat, bins):
    """What a model should be near, and the variance of that."""
    with jax.enable_x64(True):
        return tuple(np.asarray(v) for v in STATISTICS[stat].net(weighted(stat, bins)))


def divide(a, b, nothing=np.nan):
    """Divide where b is positive and finite; elsewhere give ``nothing``."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.divide(a, b, out=np.full(a.shape, nothing), where=np.isfinite(b) & (b > 0))


def root(variance):
    """Square root; NaN where there is none."""
    return np.sqrt(np.where(np.isfinite(variance) & (variance >= 0), variance, np.nan))
