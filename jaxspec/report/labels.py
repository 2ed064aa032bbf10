"""Axis labels in words and mathematics."""

from __future__ import annotations

import re

RATE = r"Counts s$^{-1}$ keV$^{-1}$"
CHANNEL_RATE = r"Counts s$^{-1}$ channel$^{-1}$"
AREA_RATE = r"Counts cm$^{-2}$ s$^{-1}$ keV$^{-1}$"
ENERGY = "Energy [keV]"
CHANNEL = "Channel"
RATIO = "Data / model"
DELCHI = r"(data$-$model)/$\sigma$"
FLUX = {
    "folded": RATE,
    "model": r"Photons cm$^{-2}$ s$^{-1}$ keV$^{-1}$",
    "emodel": r"keV (photons cm$^{-2}$ s$^{-1}$ keV$^{-1}$)",
    "eemodel": r"keV$^2$ (photons cm$^{-2}$ s$^{-1}$ keV$^{-1}$)",
}


def unit_text(unit) -> str:
    r"""Unit in mathematics, in words between which a label may be broken.

    Examples
    --------
    >>> print(unit_text("1e22 / cm2"), unit_text("km2 / (10 kpc)2"))
    $\mathrm{10^{22}}$ $\mathrm{cm^{-2}}$ km$^{2}$ / (10 kpc)$^{2}$
    """
    from astropy.units import Unit

    try:
        text = Unit(unit).to_string("latex_inline")
    except ValueError:  # one of XSPEC's own
        return re.sub(r"(?<!log)(?<=[a-z)])(\d+)", r"$^{\1}$", unit)
    text = text.removeprefix(r"$\mathrm{").removesuffix("}$").replace(r"1 \times ", "")
    return " ".join(rf"$\mathrm{{{word}}}$" for word in text.split(r"\,") if word)


def parameter_of(model, columns, name):
    """Parameter of a column of a table of all that were not frozen, or any other by its name."""
    if name in columns:
        return [p for p in model.parameters if not p.frozen][list(columns).index(name)]
    return model[name]


def parameter_label(parameter, column, unit=None, power=0) -> str:
    """Symbol of a parameter, of which component where that is needed, and unit.

    Parameters
    ----------
    parameter : ModelParameter
    column : str, its name in the table: "PhoIndex", "powerlaw.norm" where "norm" is ambiguous,
        "factor[pn]" where one datum of several has it for itself.
    unit : str, optional; by default that of the parameter.
    power : int, power of ten that was taken out of the values.
    """
    words = getattr(parameter, "symbol", "") or parameter.name
    column, _, datum = column.partition("[")
    if "." in column:
        words = f"{column.rpartition('.')[0].replace('_', ' ').replace('.', ' ')} {words}"
    if datum:
        words += f" of {datum.removesuffix(']')}"
    unit = unit_text(parameter.unit if unit is None else unit)
    inside = " ".join(filter(None, (f"$10^{{{power}}}$" if power else "", unit)))
    return f"{words} [{inside}]" if inside else words
