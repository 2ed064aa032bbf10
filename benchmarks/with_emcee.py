"""The tutorial's way in one cold process: numba likelihood and emcee; prints JSON.

python with_emcee.py FOLDER beta|double_beta SECONDS START, where START is a JSON of [mean, standard
deviation] of each parameter, from a posterior that is known already: the walkers start in it, which
spares emcee the search for the optimum and most of its burn-in.
"""

import json
import sys
import time

began = time.perf_counter()

import emcee  # noqa: E402
import numpy as np  # noqa: E402
from astropy.io import fits  # noqa: E402
from astropy.wcs import WCS  # noqa: E402
from numba import njit  # noqa: E402
from regions import Regions  # noqa: E402

NAMES = ["x0", "y0", "S0", "rc", "beta", "B", "S02", "rc2", "beta2"]


def read(folder):
    """Flat arrays of the good pixels, as in the tutorial."""
    with fits.open(f"{folder}/image.fits.gz") as file:
        counts, header = file[0].data.astype(float), file[0].header
    with fits.open(f"{folder}/expmap.fits.gz") as file:
        exposure = file[0].data.astype(float)
    if exposure.max() < 3000:  # cm2: the time is not in the map
        exposure = exposure * header["EXPOSURE"]
    mask = exposure < 0.5 * exposure.max()
    for region in Regions.read(f"{folder}/mask.reg", format="ds9"):
        inside = region.to_pixel(WCS(header)).to_mask().to_image(counts.shape)
        if inside is not None:
            mask |= inside != 0
    y, x = np.nonzero(~mask)
    return x.astype(float), y.astype(float), counts[~mask], exposure[~mask]


@njit(fastmath=True)
def log_likelihood(p, double, x, y, counts, exposure):
    """Poisson log-likelihood without ln N!, fused over the pixels."""
    total, a, a2 = 0.0, 0.5 - 3.0 * p[4], 0.0
    if double:
        a2 = 0.5 - 3.0 * p[8]
    for i in range(x.size):
        r2 = (x[i] - p[0]) ** 2 + (y[i] - p[1]) ** 2
        s = p[2] * np.exp(a * np.log(1.0 + r2 / p[3] ** 2))
        if double:
            s += p[6] * np.exp(a2 * np.log(1.0 + r2 / p[7] ** 2))
        mu = s * exposure[i] + p[5]
        total -= mu
        if counts[i] > 0:
            total += counts[i] * np.log(mu)
    return total


def main():
    folder, model, seconds, start = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    double = model == "double_beta"
    names = NAMES if double else NAMES[:6]
    values = json.loads(start)
    data = read(folder)
    size = 2.0 * 883
    low = np.array([-0.5, -0.5, 0, 1e-3, 0.2, 0, 0, 1e-3, 0.2])[: len(names)]
    high = np.array([883, 883, 1e12, size, 5, 1e12, 1e12, size, 5])[: len(names)]

    def posterior(p):
        if np.any(p <= low) or np.any(p >= high):
            return -np.inf
        return log_likelihood(p, double, *data)

    middle, sigma = np.array([values[name] for name in names]).T
    posterior(middle)  # compiles
    ready = time.perf_counter()
    rng = np.random.default_rng(1)
    walkers = 4 * len(names)
    first = middle + 0.5 * sigma * rng.standard_normal((walkers, len(names)))
    sampler = emcee.EnsembleSampler(walkers, len(names), posterior)
    state = first
    while time.perf_counter() - ready < seconds:
        state = sampler.run_mcmc(state, 20)
    done = time.perf_counter()
    chain = sampler.get_chain()
    chain = chain[len(chain) // 4 :]
    time_scale = emcee.autocorr.integrated_time(chain, quiet=True)
    ess = chain.shape[0] * walkers / time_scale
    print(
        json.dumps(
            {
                "draws": len(sampler.get_chain()),
                "walkers": walkers,
                "min_ess": float(ess.min()),
                "max_rhat": None,
                "divergent": 0,
                "acceptance": float(sampler.acceptance_fraction.mean()),
                "prepare_s": ready - began,
                "sample_s": done - ready,
                "pixels": len(data[0]),
                "names": names,
                "mean": chain.reshape(-1, len(names)).mean(axis=0).tolist(),
                "std": chain.reshape(-1, len(names)).std(axis=0).tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
