"""An analytic stand-in for the response and the background of the RXTE PCA.

The numbers are rounded facts of the instrument: channel energies from the HEASARC table of the
five gain epochs (https://heasarc.gsfc.nasa.gov/docs/xte/e-c_table.html), xenon edges, escape
energies and resolution from Jahoda et al. (2006, ApJS 163, 401). The effective area follows the
public responses within about 10 % from 3 to 60 keV: right for simulations and tests, not for
the analysis of observed data.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

#: First detector channel (of 256) of each of the 129 channels of Standard 2, and the end.
STD2_EDGES = np.concatenate(
    [[0], np.arange(5, 54), np.arange(54, 136, 2), np.arange(136, 238, 3), [238, 242, 246], [250]]
    + [[256]]
)

#: Start of each gain epoch (UTC) and end of the mission.
EPOCH_STARTS = (
    "1996-01-30T00:00:00",
    "1996-03-21T18:33:00",
    "1996-04-15T23:05:00",
    "1999-03-22T17:37:00",
    "2000-05-13T00:00:00",
    "2012-01-05T00:00:00",
)

# keV = sum_k coefficient[k] (detector channel edge)^k: a cubic through the table (0.02 keV).
_ENERGY_OF_EDGE = {
    1: (2.24468e-01, 2.546422e-01, 9.438935e-05, 2.017495e-07),
    2: (7.12058e-02, 3.047567e-01, 1.121603e-04, 2.412394e-07),
    3: (1.63142e-01, 3.516664e-01, 1.287913e-04, 2.711427e-07),
    4: (3.39400e-02, 4.153755e-01, 1.534647e-04, 3.300055e-07),
    5: (2.48865e-02, 4.039933e-01, 1.458381e-04, 2.887099e-07),
}

#: Area of PCU 0 to 4 relative to the mean.
PCU_AREA = np.array([1.02, 1.00, 1.01, 0.99, 0.95])

#: True-energy bin edges (keV) of every response: 300 logarithmic bins, as in the archive.
ENERGY_EDGES = np.geomspace(1.5, 80.0, 301)

XE_L_EDGE, XE_K_EDGE = 4.782, 34.561
_ESCAPES = ((XE_L_EDGE, 4.11, 0.015), (XE_K_EDGE, 29.70, 0.39), (XE_K_EDGE, 33.62, 0.12))
THRESHOLD = 1e-6


def mjd_of(date):
    """MJD of an ISO date and time; no time scale is applied.

    Examples
    --------
    >>> mjd_of("1996-01-01T12:00:00")
    50083.5
    """
    return (datetime.fromisoformat(date) - datetime(1858, 11, 17)).total_seconds() / 86400.0


EPOCH_MJD = np.array([mjd_of(date) for date in EPOCH_STARTS])


def epoch_of(mjd):
    """Gain epoch 1 to 5 at an MJD (scalar or array); dates outside the mission take the nearest.

    Examples
    --------
    >>> int(epoch_of(52000.0))
    5
    """
    return np.clip(np.searchsorted(EPOCH_MJD, mjd, side="right"), 1, 5)


def channel_edges(epoch):
    """(130,) keV: nominal energy edges of the 129 channels in a gain epoch."""
    return np.polynomial.polynomial.polyval(STD2_EDGES, _ENERGY_OF_EDGE[epoch])


def effective_area(energy):
    """(n,) cm2 of one mean PCU at ``energy`` keV: window, xenon gas, K and L edges."""
    window = 1.38 * (energy / 3.0) ** -3.9
    window += np.where(energy > XE_L_EDGE, 0.14 * (energy / XE_L_EDGE) ** -2.7, 0.0)
    below_k = 0.514 * (energy / 20.0) ** -3.0
    above_k = 0.396 * (energy / XE_K_EDGE) ** -2.3
    gas = np.where(energy < XE_K_EDGE, below_k, above_k)
    return 1350.0 * np.exp(-window) * -np.expm1(-gas)


@lru_cache(maxsize=5)
def redistribution(epoch):
    """(300, 129) float64 cm2: area times redistribution of one mean PCU in a gain epoch.

    A Gaussian of 18 % FWHM at 6 keV, its width growing as the square root of the energy, and
    the xenon L, K-alpha and K-beta escape peaks.
    """
    edges = channel_edges(epoch)
    middle = np.sqrt(ENERGY_EDGES[:-1] * ENERGY_EDGES[1:])
    escapes = [(middle - loss, np.where(middle > edge, part, 0.0)) for edge, loss, part in _ESCAPES]
    main = 1.0 - sum(part for _, part in escapes)
    matrix = np.zeros((middle.size, edges.size - 1))
    for centre, part in [(middle, main), *escapes]:
        centre = np.where(part > 0, centre, 1.0)
        width = 0.18 / 2.3548 * np.sqrt(6.0 * np.maximum(centre, 1.0))
        below = ndtr((edges - centre[:, None]) / width[:, None])
        matrix += part[:, None] * np.diff(below, axis=1)
    return matrix * effective_area(middle)[:, None]


def response_matrix(epoch, pcus):
    """(300, 129) float32 cm2: the response of the PCUs ``pcus`` summed, small values dropped."""
    matrix = redistribution(epoch) * PCU_AREA[list(pcus)].sum()
    return np.where(matrix > THRESHOLD, matrix, 0.0).astype(np.float32)


def background_rate(epoch, activation=1.0):
    """(129,) counts/s of one PCU: power law, xenon fluorescence and activation, cosmic part.

    About 21 counts/s in all and 9.5 counts/s from 3 to 25 keV (25 and 11 in public spectra);
    ``activation`` scales the part that follows the passages of the South Atlantic Anomaly.
    """
    edges = channel_edges(epoch)
    energy = np.maximum(0.5 * (edges[1:] + edges[:-1]), 0.5)
    steady = 1.3 * (energy + 1.0) ** -0.5 * np.exp(-((energy / 75.0) ** 4))
    steady += 0.22 * np.exp(-0.5 * ((energy - 4.8) / 1.1) ** 2)
    induced = 0.27 * np.exp(-0.5 * ((energy - 28.5) / 2.4) ** 2) + 0.05 * np.exp(-energy / 40.0)
    window = -np.expm1(-((energy / 2.0) ** 2))
    return (steady + activation * induced) * window * np.diff(edges)
