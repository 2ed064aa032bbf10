"""How many of 550 RXTE spectra end in a minimum that is not the lowest one known.

Needs the standard products of the reference data. Each model is fitted from its defaults (twice:
the second call is timed), and from random values of its shapes; the lowest statistic that a row
ever had is what its fit is compared with. See README.md for the fields of the JSON.
"""

import os
import time

import numpy as np
from common import finish, machine, options, standard_products

import jaxspec as js

BAND = "3-25"
MODELS = {  # ranges of random starts; energies, temperatures and columns in the logarithm
    "powerlaw": {"PhoIndex": (1, 4)},
    "bknpower": {"BreakE": (3.2, 24.0), "PhoIndx1": (0, 4), "PhoIndx2": (0, 5)},
    "powerlaw+gaussian": {"PhoIndex": (1, 4), "LineE": (3.0, 20.0), "Sigma": (0.05, 6.0)},
    "highecut*powerlaw": {"cutoffE": (3.2, 22.0), "foldE": (3.0, 100.0), "PhoIndex": (0, 4)},
    "TBabs*(diskbb+powerlaw)": {"nH": (0.05, 30.0), "Tin": (0.3, 5.0), "PhoIndex": (1, 5)},
    "TBabs*(bbody+powerlaw+gaussian)": {
        "nH": (0.05, 30.0), "kT": (0.3, 5.0), "PhoIndex": (1, 5), "LineE": (3.0, 15.0),
        "Sigma": (0.05, 4.0),
    },
}  # fmt: skip
LINEAR = {"PhoIndex", "PhoIndx1", "PhoIndx2"}
COLUMNS = "model rows wrong wrong_ok worst cold_s cpu_s starts status".split()


def main():
    parser = options(__doc__, __file__)
    parser.add_argument("--data", default=os.environ.get("JAXSPEC_DATA"), help="reference data")
    parser.add_argument("--starts", type=int, default=16, help="random starts of every row")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    args = parser.parse_args()
    facts, cases = machine(), []
    spectra = standard_products(args.data, BAND, args.n)
    for name in args.models:
        cases.append(wrong(name, spectra, args.starts))
        print(f"{name}: {cases[-1]['wrong']} of {len(spectra)} wrong", flush=True)
    finish(args, facts, cases, COLUMNS, band_keV=BAND)


def wrong(name, spectra, starts):
    """Rows more than 1 above the lowest statistic known."""
    seconds = []
    for _ in range(2):
        began = time.process_time()
        result = js.fit(name, spectra, progress=False)
        seconds.append(time.process_time() - began)
    own = np.where(np.isfinite(result.stat), result.stat, np.inf)
    best, rng = own.copy(), np.random.default_rng(1)
    strata = {
        p: rng.permutation((np.arange(starts) + rng.random(starts)) / starts) for p in MODELS[name]
    }
    for k in range(starts):
        model = js.Model(name)
        for parameter, (low, high) in MODELS[name].items():
            u = strata[parameter][k]
            value = low + u * (high - low) if parameter in LINEAR else low * (high / low) ** u
            model[parameter].set(value)
        again = js.fit(model, spectra, progress=False)
        best = np.fmin(best, np.where(np.isfinite(again.stat), again.stat, np.inf))
    above = own - best
    return {
        "model": name,
        "rows": len(spectra),
        "wrong": int((above > 1).sum()),
        "wrong_ok": int(((above > 1) & result.ok).sum()),
        "worst": float(np.max(above)),
        "cold_s": seconds[0],
        "cpu_s": seconds[1],
        "starts": starts,
        "status": dict(result.status_counts),
    }


if __name__ == "__main__":
    main()
