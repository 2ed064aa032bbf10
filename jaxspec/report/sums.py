"""Sums over bins: data, errors, folded models; what the arrays of the figures are made of."""

from __future__ import annotations

import numpy as np

from jaxspec._types import Spectrum
from jaxspec.errors import InputError
from jaxspec.estimate.simulate import fold
from jaxspec.reduce.bins import bin_counts, bin_edges, channel_columns, make_bins, spectrum_bins


def data_sums(spectrum, stat, subtract):
    """Edges and sums of each bin: rate, variance, background rate; (n_bin,) each."""
    from jaxspec.likelihood.statistics import STATISTICS, chi2_variance

    bins = bin_counts(spectrum)
    behind = divide(bins.background, bins.t_b, 0.0)
    if not subtract:
        bins = make_bins(
            bins.counts, t_s=bins.t_s, variance=bins.variance, systematic=bins.systematic
        )
    own = not STATISTICS[stat].poisson and stat != "chi2-model"
    variance = chi2_variance(stat if own else "chi2", bins)
    e_min, e_max = bin_edges(spectrum)
    return {
        "e_min": e_min,
        "e_max": e_max,
        "width": e_max - e_min,
        "rate": bins.rate,
        "variance": variance,
        "background": behind,
    }


def expected_variance(spectrum, stat, subtract, rate, sums):
    """Variance of data minus model, (counts/s)^2, as the statistic sees it."""
    from jaxspec.likelihood.statistics import STATISTICS, chi2_variance

    bins = bin_counts(spectrum)
    if stat == "chi2-model":
        return chi2_variance(stat, bins) + divide(np.maximum(rate, 0.0), bins.t_s)
    if not STATISTICS[stat].poisson:
        return sums["variance"]
    if subtract:
        rate = rate + sums["background"]
    known = stat in ("cash", "pstat") or spectrum.background is None
    spread = 0.0 if known else divide(bins.background_variance, bins.t_b**2, 0.0)
    return divide(np.maximum(rate, 0.0), bins.t_s) + spread


def rebin_sums(sums, rebin):
    """Join bins for display until they reach (min_significance, max_bins)."""
    if rebin is None or not len(sums["rate"]):
        return sums
    least, most = rebin
    starts, rate, variance, joined = [], 0.0, 0.0, most
    for i, (r, v) in enumerate(zip(sums["rate"], sums["variance"], strict=True)):
        gap = i > 0 and sums["e_min"][i] > sums["e_max"][i - 1] + 1e-3 * sums["width"][i]
        if joined >= most or gap or rate > 0 and rate >= least * np.sqrt(variance):
            starts.append(i)
            rate = variance = joined = 0
        rate, variance, joined = rate + r, variance + v, joined + 1
    out = {key: np.add.reduceat(value, starts) for key, value in sums.items()}
    out["e_min"] = sums["e_min"][starts]
    out["e_max"] = np.maximum.reduceat(sums["e_max"], starts)
    return out


def need_response(spectrum):
    """Raise `InputError` unless a model can be folded for this spectrum."""
    if not isinstance(spectrum, Spectrum) or spectrum.response is None:
        raise InputError(
            f"{spectrum.name} has no response, so that no model can be folded",
            remedy="read it with response=...",
        )


def fold_bins(flux, spectrum):
    """Counts/s (n, n_bin) in the bins of a spectrum from fluxes (n, n_energy)."""
    index, n = spectrum_bins(spectrum)
    rates = fold(flux, spectrum.response)[:, channel_columns(spectrum)]
    out = np.zeros((len(flux), n))
    np.add.at(out.T, index[index >= 0], rates.T[index >= 0])
    return out


def effective_area(spectrum):
    """Area (n_bin,) in cm2 of each bin, from the counts of a flat spectrum."""
    e_min, e_max = bin_edges(spectrum)
    flat = spectrum.response.e_hi - spectrum.response.e_lo
    return fold_bins(flat[None], spectrum)[0] / (e_max - e_min)


def between(grid, flux, e_min, e_max):
    """Photons/cm2/s from e_min to e_max, by monotone cubic interpolation of the running sum."""
    from scipy.interpolate import PchipInterpolator

    edges = np.append(grid[0], grid[1][-1])
    running = PchipInterpolator(edges, np.concatenate([[0.0], np.cumsum(flux)]))
    low, high = (np.clip(e, edges[0], edges[-1]) for e in (e_min, e_max))
    return running(high) - running(low)


def divide(a, b, nothing=np.nan):
    """Divide where b is positive and finite; elsewhere give ``nothing``."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.divide(a, b, out=np.full(a.shape, nothing), where=np.isfinite(b) & (b > 0))


def root(variance):
    """Square root; NaN where there is none."""
    return np.sqrt(np.where(np.isfinite(variance) & (variance >= 0), variance, np.nan))
