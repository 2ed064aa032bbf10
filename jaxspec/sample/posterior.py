"""What sampling hands back: chains of equal weight, and what can be said about them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.forward import content, whole_content
from jaxspec.likelihood.origin import numbers_hash
from jaxspec.sample import diagnostics, information


@dataclass(frozen=True, eq=False)
class Posterior:
    """Chains of draws from the posterior of one spectrum, image or radial profile.

    Parameters
    ----------
    model : Model, as it was sampled.
    data : Spectrum, Image or RadialProfile; None after reading from a file.
    names, units : tuple of str
        One per parameter that was not frozen, linked ones included; short where unambiguous.
    chains : (n_chain, n_draw, n_par) float64, equally weighted draws of these parameters.
    full : (n_chain, n_draw, n_model_par) float64
        All parameters of the model in its order, frozen and linked ones included.
    log_likelihood : (n_chain, n_draw)
        Of all data at full resolution, with all constants.
    log_constant : float, the part of it that depends on no parameter (-sum ln N! for Poisson).
    log_prior : (n_chain, n_draw)
    diverging : (n_chain, n_draw) bool
    accepted : (n_chain, n_draw) bool
        Whether the exact correction of a coarsened likelihood took the proposal; True where the
        full likelihood drove the chain.
    steps : (n_chain, n_draw) int, leapfrog steps.
    best : (n_par,), mode of the posterior.
    settings : dict, seed, step sizes, seconds by stage, versions, options.
    fit : FitResult or None, the fit from which the chains started.
    left_out : tuple of str, sentences on data of a joint fit that could not be used.
    """

    model: object
    data: object
    names: tuple[str, ...]
    units: tuple[str, ...]
    chains: np.ndarray
    full: np.ndarray
    log_likelihood: np.ndarray
    log_constant: float
    log_prior: np.ndarray
    diverging: np.ndarray
    accepted: np.ndarray
    steps: np.ndarray
    best: np.ndarray
    settings: dict = field(default_factory=dict)
    fit: object = None
    left_out: tuple[str, ...] = ()

    def __len__(self):
        return self.chains.shape[0] * self.chains.shape[1]

    def __getitem__(self, name) -> np.ndarray:
        """Draws (n_chain, n_draw) of one parameter, by short or full name; frozen ones too."""
        if name in self.names:
            return self.chains[:, :, self.names.index(name)]
        return self.full[:, :, self.model[name].number - 1]

    def parameter(self, name):
        """Parameter of the model that a name in ``names``, or any other, stands for."""
        if name in self.names:
            shown = [p for p in self.model.parameters if not p.frozen]
            return shown[self.names.index(name)]
        return self.model[name]

    def array(self, names) -> np.ndarray:
        """Draws (n_chain, n_draw, len(names)) in the order asked."""
        return np.stack([self[name] for name in names], axis=-1)

    @property
    def flat(self) -> np.ndarray:
        """All draws (n_chain * n_draw, n_par), chain after chain."""
        return self.chains.reshape(-1, self.chains.shape[-1])

    @property
    def mean(self) -> np.ndarray:
        """Posterior means (n_par,)."""
        return self.flat.mean(axis=0)

    @property
    def median(self) -> np.ndarray:
        """Posterior medians (n_par,)."""
        return np.median(self.flat, axis=0)

    @property
    def std(self) -> np.ndarray:
        """Posterior standard deviations (n_par,)."""
        return self.flat.std(axis=0, ddof=1)

    def quantiles(self, q) -> np.ndarray:
        """Posterior quantiles, of the shape of ``q`` (fractions) followed by (n_par,)."""
        return np.quantile(self.flat, q, axis=0)

    @cached_property
    def rhat(self) -> np.ndarray:
        """Rank-normalised split R-hat (n_par,), see `jaxspec.sample.diagnostics`."""
        return diagnostics.rhat(self.chains)

    @cached_property
    def ess(self) -> np.ndarray:
        """Bulk effective sample size (n_par,)."""
        return diagnostics.ess_bulk(self.chains)

    @cached_property
    def ess_tail(self) -> np.ndarray:
        """Effective sample size (n_par,) for the 5 % and 95 % quantiles."""
        return diagnostics.ess_tail(self.chains)

    @cached_property
    def mcse(self) -> np.ndarray:
        """Monte Carlo standard error of the means (n_par,)."""
        return diagnostics.mcse(self.chains)

    @cached_property
    def predictive_p(self) -> float:
        """Posterior predictive p-value of the radial profile of an image, as in its figure.

        How often chi2 of replicated data, in annuli around the source, is at least that of the
        data: near 0 the model does not describe them, near 1 they scatter too little. NaN for
        spectra.

        Raises
        ------
        InputError
            The data were not given to `read_posterior`, or hold no source for the annuli.
        """
        from jaxspec.sample.predictive import replicas, rings_of

        self._need_data("the posterior predictive p-value")
        if not hasattr(self.data, "pixels"):
            return np.nan
        params = self.full[0, 0].copy()
        params[columns(self.model)[0]] = self.best
        return replicas(self, rings_of(self.data, self.model, params)).p_value

    @property
    def n_divergent(self) -> int:
        """Number of draws whose trajectory diverged."""
        return int(self.diverging.sum())

    @property
    def acceptance(self) -> float:
        """Fraction of draws that the exact correction took; 1 if nothing was coarsened."""
        return float(self.accepted.mean())

    @cached_property
    def warnings(self) -> list[str]:
        """Sentences on data left out, on chains, limits and other minima; empty if all is well."""
        from jaxspec.sample.summary import limits_of, warnings_of

        elsewhere = self.settings.get("elsewhere", ())
        return [*self.left_out, *warnings_of(self), *limits_of(self), *elsewhere]

    @property
    def converged(self) -> bool:
        """True if there is nothing to warn of in the chains themselves."""
        from jaxspec.sample.summary import warnings_of

        return not warnings_of(self)

    @cached_property
    def fingerprint(self) -> dict:
        """What tells the data apart: name, number of bins, counts, and a hash of them."""
        return self.settings.get("data", {}) if self.data is None else fingerprint(self.data)

    @cached_property
    def deviance_at_mean(self) -> float:
        """-2 ln L at the posterior means, with all constants.

        Raises
        ------
        InputError
            The posterior was read from a file that does not hold it, without data.
        """
        if self.data is None and "deviance_at_mean" in self.settings:
            return float(self.settings["deviance_at_mean"])
        self._need_data("the likelihood at the posterior mean")
        from jaxspec.likelihood.forward import log_likelihoods

        mean = self.model.linked(self.full.mean(axis=(0, 1)))[None]
        integrate, stat = self.settings.get("integrate"), self.settings.get("stat")
        return -2.0 * float(log_likelihoods(self.model, self.data, mean, integrate, stat)[0])

    def dic(self, form: str = "mean", *, constant: bool = True):
        """Deviance information criterion; see `jaxspec.sample.information.dic`."""
        return information.dic(self, form, constant)

    def waic(self, by: str = "bins", *, max_draws: int = 500, center=None):
        """Widely applicable information criterion; see `jaxspec.sample.information.waic`."""
        return information.waic(self, by, max_draws, center)

    def loo(self, by: str = "bins", *, max_draws: int = 500, center=None):
        """Leave-one-out cross-validation; see `jaxspec.sample.information.loo`."""
        return information.loo(self, by, max_draws, center)

    def derived(self, radius=None) -> dict:
        """Physical quantities of every draw: log10 S0, core radii in arcsec, fluxes.

        Parameters
        ----------
        radius : float, pixels; fluxes inside of it. None is the whole plane, where that is finite.

        Returns
        -------
        dict of name to (values (n_chain, n_draw), unit), see `jaxspec.derived`.
        """
        from jaxspec.model.surface_derived import derived

        size = getattr(self.data, "pixel_size", self.fingerprint.get("pixel_size"))
        return derived(self.model, self.full, size, radius)

    def model_image(self, kind="model"):
        """The model at the mode of the posterior as an `Image`; see `FitResult.model_image`."""
        from jaxspec.fit.model_image import model_image

        self._need_data("the model image")
        params = self.full[0, 0].copy()
        params[columns(self.model)[0]] = self.best
        model = self.model.at(params)
        return model_image(model, self.data, params, kind, self.settings.get("integrate"))

    def image(self, kind="model") -> np.ndarray:
        """Counts (ny, nx) that the mode expects of every pixel; see `model_image`."""
        return self.model_image(kind).counts

    def _need_data(self, what):
        if self.data is None:
            raise InputError(
                f"{what} needs the data, and this posterior was read from a file without them",
                remedy="use read_posterior(path, data=...)",
            )

    def to_arviz(self, **options):
        """Posterior as ArviZ data; see `jaxspec.sample.netcdf.to_arviz`."""
        from jaxspec.sample.netcdf import to_arviz

        return to_arviz(self, **options)

    def save(self, path, overwrite=False):
        """Write a netCDF file, return its path; see `jaxspec.sample.netcdf.save`."""
        from jaxspec.sample.netcdf import save

        return save(self, path, overwrite)

    @cached_property
    def table(self):
        """`astropy.table.QTable`, one row per parameter.

        Columns: name, unit, mean, sd, median, q16, q84, rhat, ess_bulk, ess_tail, mcse, and what
        was assumed: prior (a density between the limits), min, max.
        """
        from jaxspec.sample.summary import table

        return table(self)

    def summary(self) -> str:
        """A few lines of text: the parameters with their errors, and what is to be noticed."""
        from jaxspec.sample.summary import summary

        return summary(self)

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


def columns(model) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Which parameters of a model a posterior shows.

    Returns
    -------
    places : (n_par,) int, indices of the parameters that are not frozen.
    names, units : tuple of str; the names are short where unambiguous among these parameters.

    Examples
    --------
    >>> from jaxspec.model.model import Model
    >>> columns(Model("beta"))[1]
    ('x0', 'y0', 'S0', 'rc', 'beta', 'B')
    """
    shown = [p for p in model.parameters if not p.frozen]
    short = Counter(p.name for p in shown)
    names = tuple(p.name if short[p.name] == 1 else p.full_name for p in shown)
    places = np.array([p.number - 1 for p in shown], dtype=int)
    return places, names, tuple(p.unit for p in shown)


def fingerprint(data) -> dict:
    """What tells data apart: name, number of bins or pixels, counts, hashes of all that a fit uses.

    Returns
    -------
    dict
        name, n_pix, counts; ``parts``, a short hash of each of counts, positions, exposure,
        background, errors, PSF, ... ; ``sha256`` of them together; of an image also its path, unit
        and pixel size, and the diagnostics that say how it was masked.
    """
    parts = {name: numbers_hash(arrays) for name, arrays in whole_content(data).items()}
    counts = content(data)[0]
    known = {key: getattr(data, key, None) for key in ("path", "exposure_unit", "pixel_size")}
    return {
        "name": data.name,
        "n_pix": len(counts),
        "counts": float(np.nansum(counts)),
        "sha256": hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest(),
        "parts": {name: digest[:16] for name, digest in parts.items()},
        **{key: value for key, value in known.items() if value not in (None, "")},
        "diagnostics": list(getattr(data, "diagnostics", ())),
    }
