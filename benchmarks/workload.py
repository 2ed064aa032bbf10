"""Simulated PCA spectra in memory: one response for all, or one for each."""

import tempfile

import numpy as np

import jaxspec as js

BAND = "3-13.7"  # 27 channels in gain epoch 5


def observation():
    """One simulated observation in gain epoch 5, with its response and modelled background."""
    with tempfile.TemporaryDirectory() as folder:
        js.simulate_archive(f"{folder}/archive", n=4, seed=1)
        return js.read_pha(f"{folder}/archive/*/stdprod/xp*_s2.pha.gz")[-1]


def spectra(n, stat, responses="shared", seed=3):
    """Power laws of many slopes, fluxes and exposures, 27 bins each.

    Parameters
    ----------
    n : int
    stat : str, "cstat" (no background) or "pgstat" (modelled background).
    responses : {"shared", "distinct"}
        "distinct" gives each spectrum a response of its own: areas that differ by one part in a
        million, so that nothing can be shared.
    """
    rng = np.random.default_rng(seed)
    model = observation()
    params = {"PhoIndex": rng.uniform(1.5, 2.5, n), "norm": 10 ** rng.uniform(-1.0, 0.5, n)}
    exposure = np.exp(rng.uniform(np.log(500.0), np.log(15000.0), n))
    background = model.background if stat == "pgstat" else None
    made = js.fake("powerlaw", model.response, exposure, params, background=background, seed=rng)
    if responses == "distinct":
        made = [s.replace(response=scaled(s.response, i)) for i, s in enumerate(made)]
    return js.SpectrumList(made).notice(BAND)


def scaled(response, i):
    """The response with an area that no other has."""
    return response.replace(area=response.area * (1.0 + 1e-6 * i))
