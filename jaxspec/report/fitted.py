"""What a figure is of: data with the model that is shown, and annuli around its source.

The model of a posterior is that at its mode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.joint_result import JointResult
from jaxspec.fit.result import FitResult
from jaxspec.likelihood.forward import predict, predict_parts
from jaxspec.reduce.frames import ARCSEC
from jaxspec.sample import predictive
from jaxspec.sample.joint_posterior import JointPosterior
from jaxspec.sample.posterior import Posterior, columns
from jaxspec.sample.posteriors import Posteriors
from jaxspec.sample.predictive import Rings


class Fitted(NamedTuple):
    """Data with the model that is shown: its parameters (n_par,), or None without a model."""

    data: object
    model: object = None
    params: np.ndarray | None = None
    integrate: bool | None = None
    stat: str = "auto"

    def of_image(self) -> Fitted:
        """Itself, unless the data are no image or profile."""
        if not hasattr(self.data, "pixels"):
            raise InputError("is a fit of spectra", parameter="source", remedy="use plot.fit")
        return self

    def of_spectrum(self) -> Fitted:
        """Itself, unless the data are no spectrum."""
        if hasattr(self.data, "pixels"):
            raise InputError(
                "is a fit of images",
                parameter="source",
                remedy="use plot.profile",
            )
        return self

    def expected(self, params=None) -> np.ndarray:
        """What the model expects of each bin (n_bin,), or (n, n_bin) for other parameters."""
        params = self.params if params is None else params
        return predict(self.model, self.data, params, self.integrate)

    def parts(self) -> dict:
        """The same for each component, exchangeable halves of one component apart."""
        tree = self.model.tree
        twins = {n: c for n, c in zip(tree.names, tree.components, strict=True) if c.exchangeable}
        parts = {}
        for name, whole in self._parts(self.params).items():
            if name not in twins:
                parts[name] = whole
                continue
            prefix = f"{name} " if len(twins) > 1 else ""
            for k in range(len(twins[name].exchangeable.parts)):
                params = np.array(self.params, float)
                params[_amplitudes_but(self.model, name, twins[name], k)] = 0.0
                parts[f"{prefix}core {k + 1}"] = self._parts(params)[name]
        return parts

    def _parts(self, params):
        return predict_parts(self.model, self.data, params, self.integrate)


def _amplitudes_but(model, name, component, part):
    """Indices of the amplitudes of all exchangeable parts but one."""
    others = [p for k, p in enumerate(component.exchangeable.parts) if k != part]
    found = [model[f"{name}.{n}"] for names in others for n in names]
    return [p.number - 1 for p in found if p.role == "amplitude"]


def best_of(source, row=0) -> Fitted:
    """Data, model and parameters to show: the best fit, or the mode of a posterior.

    Parameters
    ----------
    source : FitResult, Posterior; or Image or RadialProfile, which have no model.
    row : int or name, of a FitResult.
    """
    if hasattr(source, "pixels"):
        return Fitted(source)
    if isinstance(source, Posterior):
        source._need_data("the figure")
        params = source.full[0, 0].copy()
        params[columns(source.model)[0]] = source.best
        model, settings = source.model.at(params), source.settings
        stat = settings.get("stat", "auto")
        return Fitted(source.data, model, params, settings.get("integrate"), stat)
    need_fit(source, "give what js.fit, js.sample or js.profile made")
    model = source.best(row)
    row = source.number(row)
    integrate, stat = source.settings.get("integrate"), source.stat_names[row]
    return Fitted(source.spectra[row], model, source.params[row], integrate, stat)


def part_of(source, row):
    """The posterior of one datum of a joint posterior; anything else as it is."""
    return source.of(row) if isinstance(source, JointPosterior) else source


def need_fit(result, remedy="give what js.fit made"):
    """Raise `InputError` unless it is the result of one fit."""
    if isinstance(result, Posteriors | JointResult):
        rows = [0] if isinstance(result, Posteriors) else result
        remedy = f"give one of them, as in {' or '.join(f'[{row!r}]' for row in rows)}"
    if not isinstance(result, FitResult):
        raise InputError(f"is a {type(result).__name__}", parameter="source", remedy=remedy)


def rings_of(fitted, center, bins, n_bins, options) -> Rings:
    """Annuli of the data, by default around the model's first source."""
    return predictive.rings_of(
        fitted.data, fitted.model, fitted.params, center, bins, n_bins, options
    )


def units_of(annuli, kind, unit):
    """What counts are divided by, what radii are multiplied by, and the units of both."""
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
