"""A small result with rows of every kind, fitted once, for the tests of figures and tables."""

import numpy as np
from toy import toy_response

from jaxspec._status import Status
from jaxspec._types import Spectrum
from jaxspec.fit.run import fit
from jaxspec.model.model import Model
from jaxspec.reduce.spectra import Failure, SpectrumList

RESPONSE = toy_response(32)


def spectrum(name, norm=0.02, day=0.0, index=1.7, seed=1, background=40.0, **fields):
    """Poisson spectrum of a power law over 1000 s, with a background of its own."""
    rng = np.random.default_rng(seed)
    energy = 0.5 * (RESPONSE.e_lo + RESPONSE.e_hi)
    flux = norm * energy**-index * (RESPONSE.e_hi - RESPONSE.e_lo) * RESPONSE.area
    source = flux @ RESPONSE.matrix.toarray() * 1000.0
    behind = np.full(32, float(background))
    header = {"TSTART": day * 86400.0, "MJDREF": 50000.0}
    return Spectrum(
        name=name,
        channel=np.arange(32),
        counts=rng.poisson(source + behind).astype(float),
        exposure=1000.0,
        background=Spectrum(
            f"{name}_b", np.arange(32), rng.poisson(behind).astype(float), exposure=1000.0
        )
        if background
        else None,
        response=RESPONSE,
        header=header if day is not None and day >= 0 else {},
        **fields,
    )


def mixed():
    """Three good spectra, one without time, one without counts, one that could not be read."""
    good = [spectrum(f"s{i}", day=float(10 * i), seed=i) for i in range(3)]
    empty = spectrum("empty", day=40.0, seed=9)
    empty = empty.replace(
        counts=np.zeros(32), background=empty.background.replace(counts=np.zeros(32))
    )
    failed = Failure("broken", "a/broken.pha", Status.IO_ERROR, "a/broken.pha: is cut off; fetch")
    return SpectrumList([*good, spectrum("timeless", day=-1.0, seed=5), empty, failed])


def fitted():
    """Power law on `mixed` from 1 to 12 keV."""
    return fit(Model("powerlaw"), mixed().notice("1-12"))
