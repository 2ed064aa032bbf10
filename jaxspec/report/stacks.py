"""The numbers behind the figures of many spectra or models: rectangles of NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxspec._ask import expect
from jaxspec._types import start_times
from jaxspec.errors import InputError
from jaxspec.likelihood.fluxes import curves
from jaxspec.likelihood.forward import channel_rates, predict
from jaxspec.model.model import Model
from jaxspec.reduce.bins import bin_edges, channel_columns, spectrum_bins, sum_bins
from jaxspec.report.compared import data_arrays, divide, need_response


@dataclass(frozen=True, eq=False)
class Stack:
    """Many spectra, or the models of many rows, as rectangles padded with NaN.

    Parameters
    ----------
    rows : (n,) int, places in the list or result that they came from.
    names : list of str
    time : (n,) MJD of the start, NaN where unknown.
    e_min, e_max : (n, n_bin) keV
    values : (n, n_bin), what was asked for; errors : the same, or None.
    skipped : int, entries that have nothing to show.
    has_energies : bool, False if any has channels only.
    """

    rows: np.ndarray
    names: list
    time: np.ndarray
    e_min: np.ndarray
    e_max: np.ndarray
    values: np.ndarray
    errors: np.ndarray | None
    skipped: int
    has_energies: bool = True


def stack_spectra(spectra, *, subtract=True, area=False, rebin=None) -> Stack:
    """All spectra, counts/s/keV.

    Parameters
    ----------
    spectra : sequence of Spectrum (failures are skipped).
    subtract, rebin : see `data_arrays`.
    area : bool
        Divide by the effective area of each bin (that for a flat spectrum), counts/s/keV/cm2, which
        makes different numbers of detectors comparable.
    """
    kept, arrays, known = [], [], True
    expect(spectra, "__iter__", "spectra", "a list of spectra")
    for row, spectrum in enumerate(spectra):
        if not len(getattr(spectrum, "channel", ())):
            continue  # a failure has none
        one = data_arrays(spectrum, subtract=subtract, rebin=None if area else rebin)
        values = one.data, one.error
        if area:
            need_response(spectrum)
            values = tuple(divide(v, effective_area(spectrum)) for v in values)
        if len(one.data):
            kept.append(row)
            known = known and one.has_energies
            arrays.append((*one.edges, *values))
    return _stack(spectra, kept, arrays, known)


def stack_models(result, kind="eemodel") -> Stack:
    """Best-fit models of all usable rows.

    Parameters
    ----------
    result : FitResult
    kind : {"folded", "model", "emodel", "eemodel"}
        Counts/s/keV in the bins of each spectrum; or photons/cm2/s/keV on the energies of its
        response, the latter times E or E^2 with E the geometric mean of the edges.
    """
    powers = {"model": 0.0, "emodel": 0.5, "eemodel": 1.0}
    if kind != "folded" and kind not in powers:
        known = ", ".join(["folded", *powers])
        raise InputError(f"{kind!r} is not a choice", parameter="kind", remedy=f"use {known}")
    kept = np.flatnonzero(result.usable)
    spectra, params = [result.spectra[row] for row in kept], result.params[kept]
    arrays = []
    if kind == "folded":
        for spectrum, values in zip(spectra, params, strict=True):
            low, high = bin_edges(spectrum)
            rates = predict(result.model, spectrum, values)
            arrays.append((low, high, rates / (high - low), None))
    else:
        grids = [(s.response.e_lo, s.response.e_hi) for s in spectra]
        for e_lo, e_hi, flux, _ in curves(result.model, grids, params):
            arrays.append((e_lo, e_hi, flux * (e_lo * e_hi) ** powers[kind], None))
    return _stack(result.spectra, kept, arrays, True)


def effective_area(spectrum):
    """Area (n_bin,) in cm2 of each bin, from the counts of a flat spectrum."""
    rates = channel_rates(Model("powerlaw"), spectrum.response, [[0.0, 1.0]])[0]
    low, high = bin_edges(spectrum)
    return sum_bins(rates[channel_columns(spectrum)], *spectrum_bins(spectrum)) / (high - low)


def _stack(spectra, kept, arrays, has_energies):
    longest = max((len(a[0]) for a in arrays), default=0)

    def rectangle(column):
        out = np.full((len(arrays), longest), np.nan)
        for row, each in zip(out, arrays, strict=True):
            row[: len(each[column])] = each[column]
        return out

    has_errors = bool(arrays) and arrays[0][3] is not None
    return Stack(
        rows=np.array(kept, dtype=int),
        names=[spectra[row].name for row in kept],
        time=start_times(spectra[row] for row in kept),
        e_min=rectangle(0),
        e_max=rectangle(1),
        values=rectangle(2),
        errors=rectangle(3) if has_errors else None,
        skipped=len(spectra) - len(kept),
        has_energies=has_energies,
    )
