"""Small spectra and responses for tests, made by hand."""

import numpy as np
import scipy.sparse

from jaxspec._types import Response, Spectrum


def toy_response(n_channel=32, n_energy=40, e_top=16.0, fwhm=None, first=0):
    """Diagonal or Gaussian response (fwhm in channels) over 0-e_top keV, 10 cm2 everywhere."""
    edges = np.linspace(0.02, e_top, n_energy + 1)
    bounds = np.linspace(0.0, e_top, n_channel + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    at = np.interp(middle, bounds, np.arange(n_channel + 1)) - 0.5
    sigma = (fwhm or 0.1) / 2.3548
    matrix = np.exp(-0.5 * ((np.arange(n_channel) - at[:, None]) / sigma) ** 2)
    if fwhm is None:
        matrix = (np.arange(n_channel) == np.rint(at)[:, None]).astype(float)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Response(
        e_lo=edges[:-1],
        e_hi=edges[1:],
        matrix=scipy.sparse.csr_array(matrix),
        area=np.full(n_energy, 10.0),
        channel=np.arange(first, first + n_channel),
        e_min=bounds[:-1],
        e_max=bounds[1:],
        name="toy.rsp",
    )


def toy_spectrum(counts, response=True, **fields):
    """Spectrum of the given counts over 1000 s on `toy_response`."""
    counts = np.asarray(counts, dtype=float)
    first = fields.pop("first", 0)
    return Spectrum(
        name=fields.pop("name", "toy"),
        channel=np.arange(first, first + len(counts)),
        counts=counts,
        exposure=fields.pop("exposure", 1000.0),
        response=toy_response(len(counts), first=first) if response is True else response,
        **fields,
    )
