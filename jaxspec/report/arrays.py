"""The numbers behind the figures of one spectrum, as NumPy arrays.

Data and folded models are densities over the nominal energies of the bins, counts/s/keV, divided by
AREASCAL (1 in most files) as the model that is compared with them is; without a response, counts/s
per channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxspec.report.fluxes import fluxes
from jaxspec.report.sums import (
    between,
    data_sums,
    divide,
    expected_variance,
    fold_bins,
    need_response,
    rebin_sums,
    root,
)


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
        return divide(self.data - self.model, self.expected_error)

    @property
    def ratio(self) -> np.ndarray:
        """Data / model."""
        return divide(self.data, self.model)

    @property
    def ratio_error(self) -> np.ndarray:
        """Error of the data / model."""
        return divide(self.error, self.model)

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
        """``ufspec`` x E^2, keV^2 (photons/cm2/s/keV), E the geometric mean of the edges."""
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
        return divide(self.unfolded, self.model)


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
    >>> from jaxspec._types import Spectrum
    >>> counts = np.array([4.0, 9.0])
    >>> spectrum = Spectrum("a", channel=np.arange(2), counts=counts, exposure=10.0)
    >>> data_arrays(spectrum).data.round(2), data_arrays(spectrum).error.round(2)
    (array([0.4, 0.9]), array([0.2, 0.3]))
    """
    sums = data_sums(spectrum, stat, subtract)
    return DataArrays(**_data_fields(spectrum, rebin_sums(sums, rebin), subtract))


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
    need_response(spectrum)
    return _model_arrays(spectrum, model, model.values, stat, subtract, rebin)


def _data_fields(spectrum, sums, subtract):
    width = sums["width"]
    return {
        "name": spectrum.name,
        "e_min": sums["e_min"],
        "e_max": sums["e_max"],
        "data": sums["rate"] / width,
        "error": root(sums["variance"]) / width,
        "background": sums["background"] / width,
        "subtracted": bool(subtract and spectrum.background is not None),
        "has_energies": spectrum.response is not None,
    }


def _model_arrays(spectrum, model, values, stat, subtract, rebin):
    from jaxspec.likelihood.statistics import statistic_name

    stat = statistic_name(stat)
    subtract = stat != "cash" if subtract is None else subtract
    grid = (spectrum.response.e_lo, spectrum.response.e_hi)
    flux = fluxes(model.tree, [grid], np.asarray(values)[None])[0]
    folded = fold_bins(flux, spectrum)
    sums = data_sums(spectrum, stat, subtract)
    if not subtract and stat != "cash":
        folded[0] += sums["background"]
    sums["expected"] = expected_variance(spectrum, stat, subtract, folded[0], sums)
    sums["photons"] = between(grid, flux[0], sums["e_min"], sums["e_max"])
    sums |= {f"model {i}": part for i, part in enumerate(folded)}
    sums = rebin_sums(sums, rebin)
    width, density = sums["width"], flux / (grid[1] - grid[0])
    names = [name for name, _ in model.tree.additive_parts] or [str(model.tree)]
    parts = [sums[f"model {i}"] / width for i in range(len(folded))]
    return FitArrays(
        **_data_fields(spectrum, sums, subtract),
        stat=stat,
        model=parts[0],
        components=dict(zip(names, parts[1:] or parts, strict=True)),
        expected_error=root(sums["expected"]) / width,
        e_lo=grid[0],
        e_hi=grid[1],
        flux=density[0],
        component_flux=dict(zip(names, density[1:] if len(density) > 1 else density, strict=True)),
        unfolded=sums["photons"] / width,
    )
