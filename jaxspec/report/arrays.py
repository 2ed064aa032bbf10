"""The numbers behind every figure, as NumPy arrays.

Data and folded models are densities over the nominal energies of the bins, counts/s/keV, divided by
AREASCAL (1 in most files) as the model that is compared with them is; without a response, counts/s
per channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxspec._types import Spectrum, mjd_start
from jaxspec.errors import InputError
from jaxspec.reduce.batch import Plan, fold_plan
from jaxspec.reduce.bins import bin_counts, bin_edges, channel_columns, make_bins, spectrum_bins
from jaxspec.report.fluxes import fluxes


@dataclass(frozen=True, eq=False)
class DataArrays:
    """One spectrum as it is drawn; all arrays are (n_bin,).

    Parameters
    ----------
    name : str
    e_min, e_max : edges of the bins, keV; CHANNEL values -+ 1/2 where ``has_energies`` is False.
    data, error : counts/s/keV; the background is subtracted if ``subtracted``.
    background : counts/s/keV, scaled to the source region; zero without one.
    """

    name: str
    e_min: np.ndarray
    e_max: np.ndarray
    data: np.ndarray
    error: np.ndarray
    background: np.ndarray
    subtracted: bool
    has_energies: bool

    @property
    def energy(self) -> np.ndarray:
        """Middle of each bin."""
        return 0.5 * (self.e_min + self.e_max)

    @property
    def half_width(self) -> np.ndarray:
        """Half the width of each bin."""
        return 0.5 * (self.e_max - self.e_min)


@dataclass(frozen=True, eq=False)
class FitArrays(DataArrays):
    """A spectrum with its model; arrays are (n_bin,) unless said otherwise.

    Parameters
    ----------
    stat : str, the statistic that tells which deviations are expected.
    model : counts/s/keV, folded; with the background in it where the data have it.
    components : dict of additive component to its folded part, counts/s/keV.
    expected_error : counts/s/keV
        What ``data - model`` should scatter by. Poisson statistics: from the counts that the model
        predicts, and the error of the background; the chi2 family: its own errors.
    e_lo, e_hi : (n_energy,) keV, energies of the response.
    flux : (n_energy,) photons/cm2/s/keV, the model before folding; component_flux : dict of those.
    unfolded : photons/cm2/s/keV, mean of ``flux`` over each bin.
    """

    stat: str
    model: np.ndarray
    components: dict
    expected_error: np.ndarray
    e_lo: np.ndarray
    e_hi: np.ndarray
    flux: np.ndarray
    component_flux: dict
    unfolded: np.ndarray

    @property
    def delchi(self) -> np.ndarray:
        """(data - model) / expected error; NaN where no deviation is defined."""
        return _divide(self.data - self.model, self.expected_error)

    @property
    def ratio(self) -> np.ndarray:
        """Data / model."""
        return _divide(self.data, self.model)

    @property
    def ratio_error(self) -> np.ndarray:
        """Error of the data / model."""
        return _divide(self.error, self.model)

    @property
    def ufspec(self) -> np.ndarray:
        """Unfolded data: data x (model / folded model), photons/cm2/s/keV.

        They depend on the model, whose shape inside the resolution they take over.
        """
        return self.data * self._unfold()

    @property
    def ufspec_error(self) -> np.ndarray:
        """Error of ``ufspec``, from that of the data."""
        return self.error * self._unfold()

    @property
    def eeufspec(self) -> np.ndarray:
        """``ufspec`` x E^2, keV^2 (photons/cm2/s/keV); E is the geometric mean of the bin's edges."""
        return self.ufspec * self.energy_squared

    @property
    def eeufspec_error(self) -> np.ndarray:
        """Error of ``eeufspec``."""
        return self.ufspec_error * self.energy_squared

    @property
    def energy_squared(self) -> np.ndarray:
        """E^2 of each bin, keV^2; 0 where the nominal lower edge is not positive."""
        return np.maximum(self.e_min, 0.0) * self.e_max

    def _unfold(self):
        return _divide(self.unfolded, self.model)


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


def data_arrays(spectrum, *, subtract=True, rebin=None, stat="chi2") -> DataArrays:
    """Arrays of one spectrum.

    Parameters
    ----------
    spectrum : Spectrum
    subtract : bool, subtract the background.
    rebin : (min_significance, max_bins), optional
        For display alone: neighbours are joined until they reach that many sigma or bins.
    stat : str, a member of the chi2 family gives its own errors; else STAT_ERR or sqrt(counts),
        and one count where there is none.

    Examples
    --------
    >>> counts = np.array([4.0, 9.0])
    >>> spectrum = Spectrum("a", channel=np.arange(2), counts=counts, exposure=10.0)
    >>> data_arrays(spectrum).data.round(2), data_arrays(spectrum).error.round(2)
    (array([0.4, 0.9]), array([0.2, 0.3]))
    """
    sums = _data_sums(spectrum, stat, subtract)
    return DataArrays(**_data_fields(spectrum, _rebin(sums, rebin), subtract))


def fit_arrays(result, row, *, subtract=None, rebin=None) -> FitArrays:
    """Arrays of one row of a fit; `model_arrays` with the best-fit model and its statistic.

    Raises
    ------
    InputError
        A row without a best fit.
    """
    if isinstance(row, str):
        result.best(row)
        row = result.names.index(row)
    model, stat = result.best(row), result.stat_names[row]
    return model_arrays(result.spectra[row], model, stat=stat, subtract=subtract, rebin=rebin)


def model_arrays(spectrum, model, *, stat="cstat", subtract=None, rebin=None) -> FitArrays:
    """Arrays of one spectrum and a model.

    Parameters
    ----------
    spectrum : Spectrum, with a response.
    model : Model
    stat : str, see `FitArrays`.
    subtract : bool, optional
        Subtract the background from the data (default, unless the statistic is "cash", which leaves
        it out), or add it to the model.
    rebin : see `data_arrays`.
    """
    _need_response(spectrum)
    return _model_arrays(spectrum, model, model.values, stat, subtract, rebin)


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
    kept, arrays, areas, known = [], [], {}, True
    for row, spectrum in enumerate(spectra):
        if not isinstance(spectrum, Spectrum) or not len(spectrum.channel):
            continue
        one = data_arrays(spectrum, subtract=subtract, rebin=None if area else rebin)
        values = one.data, one.error
        if area:
            _need_response(spectrum)
            values = tuple(_divide(v, _effective_area(spectrum, areas)) for v in values)
        if len(one.data):
            kept.append(row)
            known = known and one.has_energies
            arrays.append((one.e_min, one.e_max, *values))
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
    kept = np.flatnonzero(np.isin(result.status, result.USABLE))
    spectra = [result.spectra[row] for row in kept]
    grids = [(s.response.e_lo, s.response.e_hi) for s in spectra]
    totals = fluxes(result.model.tree, grids, result.params[kept], parts=False)
    arrays, foldings = [], {}
    for spectrum, flux in zip(spectra, totals, strict=True):
        if kind == "folded":
            e_min, e_max = bin_edges(spectrum)
            folded = flux[0] @ _folding(spectrum, foldings).matrix
            arrays.append((e_min, e_max, folded / (e_max - e_min), None))
        else:
            e_lo, e_hi = spectrum.response.e_lo, spectrum.response.e_hi
            density = flux[0] / (e_hi - e_lo) * (e_lo * e_hi) ** powers[kind]
            arrays.append((e_lo, e_hi, density, None))
    return _stack(result.spectra, kept, arrays, True)


# ---------------------------------------------------------------------------- sums over bins


def _data_sums(spectrum, stat, subtract):
    """Edges and sums of each bin: rate, variance, background rate; (n_bin,) each."""
    from jaxspec.likelihood.statistics import STATISTICS, chi2_variance

    bins = bin_counts(spectrum)
    behind = _divide(bins.background, bins.t_b, 0.0)
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


def _data_fields(spectrum, sums, subtract):
    width = sums["width"]
    return {
        "name": spectrum.name,
        "e_min": sums["e_min"],
        "e_max": sums["e_max"],
        "data": sums["rate"] / width,
        "error": _root(sums["variance"]) / width,
        "background": sums["background"] / width,
        "subtracted": bool(subtract and spectrum.background is not None),
        "has_energies": spectrum.response is not None,
    }


def _model_arrays(spectrum, model, values, stat, subtract, rebin):
    from jaxspec.likelihood.statistics import statistic_name

    stat = statistic_name(stat)
    subtract = stat != "cash" if subtract is None else subtract
    response, folding = spectrum.response, _folding(spectrum, {})
    grid = (response.e_lo, response.e_hi)
    flux = fluxes(model.tree, [grid], np.asarray(values)[None])[0]
    folded = flux @ folding.matrix
    sums = _data_sums(spectrum, stat, subtract)
    if not subtract and stat != "cash":
        folded[0] += sums["background"]
    sums["expected"] = _expected_variance(spectrum, stat, subtract, folded[0], sums)
    sums["photons"] = _between(grid, flux[0], sums["e_min"], sums["e_max"])
    sums |= {f"model {i}": part for i, part in enumerate(folded)}
    sums = _rebin(sums, rebin)
    width, density = sums["width"], flux / (grid[1] - grid[0])
    names = [name for name, _ in model.tree.additive_parts] or [str(model.tree)]
    parts = [sums[f"model {i}"] / width for i in range(len(folded))]
    return FitArrays(
        **_data_fields(spectrum, sums, subtract),
        stat=stat,
        model=parts[0],
        components=dict(zip(names, parts[1:] or parts, strict=True)),
        expected_error=_root(sums["expected"]) / width,
        e_lo=grid[0],
        e_hi=grid[1],
        flux=density[0],
        component_flux=dict(zip(names, density[1:] if len(density) > 1 else density, strict=True)),
        unfolded=sums["photons"] / width,
    )


def _expected_variance(spectrum, stat, subtract, rate, sums):
    """Variance of data minus model, (counts/s)^2, as the statistic sees it."""
    from jaxspec.likelihood.statistics import STATISTICS, chi2_variance

    bins = bin_counts(spectrum)
    if stat == "chi2-model":
        return chi2_variance(stat, bins) + _divide(np.maximum(rate, 0.0), bins.t_s)
    if not STATISTICS[stat].poisson:
        return sums["variance"]
    if subtract:
        rate = rate + sums["background"]
    known = stat in ("cash", "pstat") or spectrum.background is None
    spread = 0.0 if known else _divide(bins.background_variance, bins.t_b**2, 0.0)
    return _divide(np.maximum(rate, 0.0), bins.t_s) + spread


def _rebin(sums, rebin):
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


# ---------------------------------------------------------------------------- small helpers


def _need_response(spectrum):
    if not isinstance(spectrum, Spectrum) or spectrum.response is None:
        raise InputError(
            f"{spectrum.name} has no response, so that no model can be folded",
            remedy="read it with response=...",
        )


def _folding(spectrum, known):
    """Grouped response on its whole grid; one for all spectra with equal response and bins."""
    index, n = spectrum_bins(spectrum)
    key = (spectrum.response.key, index.tobytes())
    if key not in known:
        plan = Plan(index, n, channel_columns(spectrum), spectrum.response)
        known[key] = fold_plan(plan, whole_grid=True)
    return known[key]


def _effective_area(spectrum, known):
    """Area (n_bin,) in cm2 of each bin, from the counts of a flat spectrum."""
    folding = _folding(spectrum, known)
    e_min, e_max = bin_edges(spectrum)
    return (folding.e_hi - folding.e_lo) @ folding.matrix / (e_max - e_min)


def _between(grid, flux, e_min, e_max):
    """Photons/cm2/s from e_min to e_max, the flux of each energy bin spread evenly over it."""
    edges = np.append(grid[0], grid[1][-1])
    running = np.concatenate([[0.0], np.cumsum(flux)])
    return np.interp(e_max, edges, running) - np.interp(e_min, edges, running)


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
        time=np.array([mjd_start(spectra[row].header or {}) for row in kept], dtype=float),
        e_min=rectangle(0),
        e_max=rectangle(1),
        values=rectangle(2),
        errors=rectangle(3) if has_errors else None,
        skipped=len(spectra) - len(kept),
        has_energies=has_energies,
    )


def _divide(a, b, nothing=np.nan):
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.divide(a, b, out=np.full(a.shape, nothing), where=np.isfinite(b) & (b > 0))


def _root(variance):
    return np.sqrt(np.where(np.isfinite(variance) & (variance >= 0), variance, np.nan))
