"""Fit a model of your own: one pure function of the bin edges and its parameters.

The component is a power law that bends smoothly. Exits with 1 if the truths are not recovered.
"""

import argparse
import sys
import tempfile

import numpy as np

import jaxspec as js

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--small", action="store_true", help="4 spectra instead of 100")
n = 4 if parser.parse_args().small else 100


def bent(e_lo, e_hi, low, high, bend):
    """Photons per bin: index ``low`` far below ``bend`` keV, ``high`` far above, 1 at 1 keV.

    Simpson's rule over each bin; JAX differentiates it, so that nothing else has to be written.
    """

    def density(energy):
        return energy**-low * ((1.0 + energy / bend) / (1.0 + 1.0 / bend)) ** (low - high)

    middle = 0.5 * (e_lo + e_hi)
    return (e_hi - e_lo) / 6.0 * (density(e_lo) + 4.0 * density(middle) + density(e_hi))


limits = {"low": (1.5, 0.0, 4.0), "high": (3.0, 0.0, 6.0), "bend": (8.0, 2.0, 40.0)}
bent = js.component(bent, parameters=limits)
model = js.Model("TBabs*bent", components=[bent])
model["nH"].freeze(0.6)
model["bend"].freeze(8.0)
print(model)

js.use_compilation_cache()
with tempfile.TemporaryDirectory() as folder:
    js.simulate_archive(folder, n=1, seed=3)
    response = js.read_pha(f"{folder}/*/stdprod/xp*_s2.pha.gz")[0].response

truth = {"low": 1.2, "high": 2.9, "norm": 0.8}
norms = {**truth, "norm": np.full(n, truth["norm"])}
spectra = js.fake(model, response, exposure=1000.0, params=norms, seed=5).notice("3-25")
result = js.fit(model, spectra, stat="cstat")
print(result.summary())

for name, true in truth.items():
    pull = (result.value(name) - true) / result.error(name)
    print(f"{name}: pulls {pull.mean():+.2f} +- {pull.std():.2f} over {n} spectra")
    if not (result.ok.all() and abs(pull.mean()) < 4.0 / np.sqrt(n) and np.abs(pull).max() < 5.0):
        sys.exit("the truths are not recovered")
