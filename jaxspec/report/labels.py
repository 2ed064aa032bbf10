"""Axis labels in words and mathematics."""

from __future__ import annotations

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

UNITS = {
    "keV": "keV",
    "1e22 / cm2": r"$10^{22}$ cm$^{-2}$",
    "1 / (keV cm2 s)": r"ph keV$^{-1}$ cm$^{-2}$ s$^{-1}$",
    "1 / (cm2 s)": r"ph cm$^{-2}$ s$^{-1}$",
    "1e39 erg / s / (10 kpc)2": r"$10^{39}$ erg s$^{-1}$ (10 kpc)$^{-2}$",
    "km2 / (10 kpc)2": r"km$^2$ (10 kpc)$^{-2}$",
    "3.02e-15 / (4 pi cm5)": r"$3.02\times10^{-15}/4\pi$ cm$^{-5}$",
    "pixel": "pixel",
    "deg": "deg",
    "ct / pixel": r"ct pixel$^{-1}$",
    "ct / (s cm2)": r"ct s$^{-1}$ cm$^{-2}$",
    "ct / (s cm2 pixel)": r"ct s$^{-1}$ cm$^{-2}$ pixel$^{-1}$",
    "ct / (s pixel)": r"ct s$^{-1}$ pixel$^{-1}$",
    "log10(erg / (cm2 s))": r"log$_{10}$ erg cm$^{-2}$ s$^{-1}$",
}

_WORDS = {
    "PhoIndex": "photon index",
    "PhoIndx1": "photon index 1",
    "PhoIndx2": "photon index 2",
    "nH": r"$N_\mathrm{H}$",
    "Tin": r"$T_\mathrm{in}$",
    "kT": "$kT$",
    "alpha": r"$\alpha$",
    "beta": r"$\beta$",
    "LineE": r"$E_\mathrm{line}$",
    "Sigma": r"$\sigma$",
    "BreakE": r"$E_\mathrm{break}$",
    "lg10Flux": "flux",
}


def parameter_label(parameter, column):
    """Label of a parameter: what it is, of which component where that is needed, and its unit.

    Parameters
    ----------
    parameter : ModelParameter
    column : str, its name in the table ("PhoIndex", or "powerlaw.norm" where "norm" is ambiguous).
    """
    words = _WORDS.get(parameter.name, parameter.name)
    if "." in column:
        words = f"{parameter.component} {words}"
    if words[0].islower() and words == words.lower() and "." not in column:
        words = words.capitalize()
    unit = UNITS.get(parameter.unit, parameter.unit)
    return f"{words} [{unit}]" if unit else words
