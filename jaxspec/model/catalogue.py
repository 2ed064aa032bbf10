"""The models: one table, from which the parser, ``jaxspec models`` and the docs are made.

Names, order, defaults and limits are those of XSPEC's model.dat (12.15).
"""

from __future__ import annotations

from jaxspec.model import absorption, additive, convolution, multiplicative, thermal
from jaxspec.model.component import Component
from jaxspec.model.component import Parameter as P

INDEX_STARTS = (1.0, 2.0, 3.0, 4.0)
TEMPERATURE_STARTS = (0.15, 0.4, 1.0, 2.5, 8.0)
COLUMN_STARTS = (0.1, 1.0, 4.0, 12.0)
CUTOFF_STARTS = (2.0, 8.0, 30.0, 120.0)
# See the role "energy". The two outside of the band: photons of higher energies, too, make counts
# in it, and what begins below it bends all of it.
BAND_STARTS = (-0.2, *((k + 0.5) / 8 for k in range(8)), 1.25)
AT_1_KEV = "1 / (keV cm2 s)"


def _index(name="PhoIndex", default=1.0, symbol=r"$\Gamma$"):
    starts = INDEX_STARTS
    return P(name, default, -2.0, 9.0, -3.0, 10.0, starts=starts, role="slope", symbol=symbol)


def _kev(name, default, soft, hard=None, **options):
    return P(name, default, *soft, *(hard or soft), unit="keV", **options)


def _additive(name, kernel, parameters, norm_unit, summary, reference):
    norm = P("norm", 1.0, 0.0, 1e24, 0.0, 1e24, unit=norm_unit, role="amplitude")
    texts = {"summary": summary, "reference": reference}
    return Component(name, "add", (*parameters, norm), kernel, **texts, norm=norm.name)


def _cutoff(name, soft, hard, symbol, starts=CUTOFF_STARTS):
    options = {"starts": starts, "role": "positive", "symbol": symbol}
    return _kev(name, 15.0, soft, hard, **options)


def _temperature(name, default, soft, hard=None, symbol="$kT$"):
    options = {"starts": TEMPERATURE_STARTS, "role": "positive", "symbol": symbol}
    return _kev(name, default, soft, hard, **options)


_NH = {"unit": "1e22 / cm2", "starts": COLUMN_STARTS, "symbol": r"$N_\mathrm{H}$"}
COLUMN = (P("nH", 1.0, 0.0, 1e5, 0.0, 1e6, **_NH),)
EMIN = _kev("Emin", 0.5, (0.0, 1e6), frozen=True)
EMAX = _kev("Emax", 10.0, (0.0, 1e6), frozen=True)

CATALOGUE: tuple[Component, ...] = (
    _additive(
        "powerlaw",
        additive.powerlaw,
        (_index(),),
        AT_1_KEV,
        "Power law; norm at 1 keV",
        "closed form",
    ),
    _additive(
        "cutoffpl",
        additive.cutoffpl,
        (
            _index(),
            _cutoff("HighECut", (1.0, 500.0), (0.01, 500.0), r"$E_\mathrm{cut}$"),
        ),
        AT_1_KEV,
        "Power law with an exponential cutoff",
        "XSPEC manual, cutoffpl",
    ),
    _additive(
        "bknpower",
        additive.bknpower,
        (
            _index("PhoIndx1", symbol=r"$\Gamma_1$"),
            _kev(
                "BreakE",
                5.0,
                (0.01, 1e6),
                (0.0, 1e6),
                starts=BAND_STARTS,
                role="energy",
                symbol=r"$E_\mathrm{break}$",
            ),
            _index("PhoIndx2", 2.0, r"$\Gamma_2$"),
        ),
        AT_1_KEV,
        "Broken power law",
        "closed form",
    ),
    _additive(
        "logpar",
        additive.logpar,
        (
            P("alpha", 1.5, 0.0, 4.0, 0.0, 4.0, starts=INDEX_STARTS, symbol=r"$\alpha$"),
            P("beta", 0.2, -4.0, 4.0, -4.0, 4.0, starts=(0.0, 0.5), symbol=r"$\beta$"),
            _kev("pivotE", 1.0, (1e-6, 1e6), frozen=True, switch=True),
        ),
        AT_1_KEV,
        "Log-parabola; norm at pivotE",
        "Massaro et al. 2004, A&A 413, 489",
    ),
    _additive(
        "gaussian",
        additive.gaussian,
        (
            _kev(
                "LineE",
                6.5,
                (0.0, 1e6),
                starts=BAND_STARTS,
                role="energy",
                symbol=r"$E_\mathrm{line}$",
            ),
            _kev(
                "Sigma",
                0.1,
                (0.0, 10.0),
                (0.0, 20.0),
                starts=(0.1, 0.5, 1.5, 4.0),
                symbol=r"$\sigma$",
            ),
        ),
        "1 / (cm2 s)",
        "Gaussian line; norm is all its photons",
        "closed form",
    ),
    _additive(
        "bbody",
        thermal.bbody,
        (_temperature("kT", 3.0, (0.01, 100.0), (1e-4, 200.0)),),
        "1e39 erg / s / (10 kpc)2",
        "Black body by luminosity",
        "Planck's law; XSPEC manual, bbody",
    ),
    _additive(
        "bbodyrad",
        thermal.bbodyrad,
        (_temperature("kT", 3.0, (1e-3, 100.0), (1e-4, 200.0)),),
        "km2 / (10 kpc)2",
        "Black body by area",
        "Planck's law; XSPEC manual, bbodyrad",
    ),
    _additive(
        "diskbb",
        thermal.diskbb,
        (_temperature("Tin", 1.0, (0.0, 1000.0), symbol=r"$T_\mathrm{in}$"),),
        "km2 / (10 kpc)2",
        "Accretion disc, T ~ r^-3/4; norm (Rin/D10)^2 cos(i)",
        "Mitsuda et al. 1984, PASJ 36, 741; Makishima et al. 1986, ApJ 308, 635",
    ),
    _additive(
        "bremss",
        thermal.bremss,
        (_kev("kT", 7.0, (1e-4, 100.0), (1e-4, 200.0), starts=(1.0, 5.0, 20.0), symbol="$kT$"),),
        "3.02e-15 / (4 pi cm5)",
        "Thermal bremsstrahlung, n(He)/n(H) = 0.085",
        "Kellogg, Baldwin & Koch 1975, ApJ 199, 299; Karzas & Latter 1961, ApJS 6, 167",
    ),
    Component(
        "constant",
        "mul",
        (P("factor", 1.0, 0.0, 1e10, 0.0, 1e10, starts=(1.0,)),),
        multiplicative.constant,
        summary="Energy-independent factor",
        reference="closed form",
    ),
    Component(
        "edge",
        "mul",
        (
            _kev("edgeE", 7.0, (0.0, 100.0), starts=BAND_STARTS, role="energy"),
            P("MaxTau", 1.0, 0.0, 5.0, 0.0, 10.0, starts=(0.1, 0.5)),
        ),
        multiplicative.edge,
        summary="Absorption edge, tau ~ E^-3",
        reference="XSPEC manual, edge",
    ),
    Component(
        "highecut",
        "mul",
        (
            _kev(
                "cutoffE",
                10.0,
                (0.01, 1e6),
                (1e-4, 1e6),
                starts=BAND_STARTS,
                role="energy",
            ),
            _cutoff("foldE", (0.01, 1e6), (1e-4, 1e6), r"$E_\mathrm{fold}$", (0.3, *CUTOFF_STARTS)),
        ),
        multiplicative.highecut,
        summary="High-energy cutoff above cutoffE",
        reference="XSPEC manual, highecut",
    ),
    Component(
        "phabs",
        "mul",
        COLUMN,
        absorption.absorption,
        absorption.prepare_phabs,
        absorption.lookup_phabs,
        "Photoelectric absorption by neutral gas (abund, xsect)",
        "Verner et al. 1996, ApJ 465, 487; Balucinska-Church & McCammon 1992, ApJ 400, 699",
    ),
    Component(
        "TBabs",
        "mul",
        COLUMN,
        absorption.absorption,
        absorption.prepare_tbabs,
        absorption.lookup_tbabs,
        "Absorption by gas, molecules and grains (abund)",
        "Wilms, Allen & McCray 2000, ApJ 542, 914",
    ),
    Component(
        "wabs",
        "mul",
        COLUMN,
        absorption.wabs,
        summary="Absorption with the abundances of Anders & Ebihara 1982 (for old papers)",
        reference="Morrison & McCammon 1983, ApJ 270, 119",
    ),
    Component(
        "zashift",
        "con",
        (P("Redshift", 0.0, -0.999, 10.0, -0.999, 10.0, frozen=True),),
        convolution.zashift,
        summary="Redshift an additive model",
        reference="XSPEC manual, zashift",
    ),
    Component(
        "cflux",
        "con",
        (
            EMIN,
            EMAX,
            P(
                "lg10Flux",
                -12.0,
                -100.0,
                100.0,
                -100.0,
                100.0,
                unit="log10(erg / (cm2 s))",
                role="log amplitude",
            ),
        ),
        convolution.cflux,
        summary="Make the energy flux from Emin to Emax a parameter; needs one norm frozen",
        reference="XSPEC manual, cflux",
    ),
)

# Short names in use that are not, or not only, a prefix of one model; lower case.
ALIASES: dict[str, str] = {
    "po": "powerlaw",
    "pow": "powerlaw",
    "pl": "powerlaw",
    "cutoff": "cutoffpl",
    "bkn": "bknpower",
    "bknpo": "bknpower",
    "ga": "gaussian",
    "gau": "gaussian",
    "gauss": "gaussian",
    "bb": "bbody",
    "bbod": "bbody",
    "bbrad": "bbodyrad",
    "dbb": "diskbb",
    "diskb": "diskbb",
    "br": "bremss",
    "brems": "bremss",
    "con": "constant",
    "const": "constant",
    "ed": "edge",
    "hi": "highecut",
    "pha": "phabs",
    "tb": "TBabs",
    "tbabs": "TBabs",
    "wa": "wabs",
    "zash": "zashift",
}
