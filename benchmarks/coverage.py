"""How often intervals hold the truth, by simulated spectra of few and many counts.

A power law on the PCA's response, 5000 spectra for each number of counts, fitted in one call; with
cstat, and with as many background counts again by W-stat. Intervals of the index are value +-
error; those of the norm, here at 6 keV where it hardly depends on the index, also symmetric in the
logarithm. The docs show the table. See README.md for the fields of the JSON.
"""

import numpy as np
from common import finish, machine, options, timed
from workload import BAND, observation

import jaxspec as js
from jaxspec.reduce.bins import spectrum_bins

COUNTS = (15, 50, 200, 2000)
LEVELS = (0.6827, 0.90)
INDEX, PIVOT = 2.0, 6.0  # keV
COLUMNS = "stat counts parameter interval level covered error spectra".split()


def main():
    parser = options(__doc__, __file__, n=5000)
    args = parser.parse_args()
    facts, cases = machine(), []
    for stat in ("cstat", "wstat"):
        for counts in COUNTS:
            seconds, found = timed(lambda s=stat, c=counts: covered(s, c, args.n))
            cases += [{"stat": stat, "counts": counts, "seconds": seconds, **f} for f in found]
    finish(args, facts, cases, COLUMNS, band_keV=BAND, index=INDEX)


def covered(stat, counts, n):
    """Share of intervals that hold the truth, for each parameter and level."""
    matrix, truth = observation().response, {"alpha": INDEX, "norm": 0.01}
    model = js.Model("logpar")
    model["beta"].freeze(0.0)
    model["pivotE"].freeze(PIVOT)
    bright = js.fake(model, matrix, exposure=1e4, params=truth, seed=1).notice(BAND)[0]
    index, _ = spectrum_bins(bright)
    exposure = 1e4 * counts / bright.counts[index >= 0].sum()
    options = {"exposure": np.full(n, exposure), "params": truth, "seed": counts}
    if stat == "wstat":
        level = bright.counts * (exposure / 1e4)
        back = bright.replace(counts=np.round(level * 1000.0), exposure=exposure * 1000.0)
        options["background"] = back
    spectra = js.fake(model, matrix, **options).notice(BAND)
    if stat == "wstat":  # a background of its own for each, as long as the source
        rng = np.random.default_rng(counts)
        spectra = js.SpectrumList(
            s.replace(background=back.replace(counts=rng.poisson(level), exposure=exposure))
            for s in spectra
        )
    result = js.fit(model, spectra, stat=stat, progress=False)
    ok = result.ok
    found = []
    for name in truth:
        value, error = result.value(name), result.error(name)
        for level in LEVELS:
            low, high = result.interval(name, level).T
            kinds = {"logarithmic" if name == "norm" else "symmetric": (low, high)}
            if name == "norm":
                reach = error * (np.log(high / value) / (error / value))
                kinds["symmetric"] = value - reach, value + reach
            for kind, (low, high) in kinds.items():
                share = np.mean(((low <= truth[name]) & (truth[name] <= high))[ok])
                found.append(
                    {
                        "parameter": name, "interval": kind, "level": level,
                        "covered": float(share),
                        "error": float(np.sqrt(share * (1 - share) / ok.sum())),
                        "spectra": int(ok.sum()),
                    }
                )  # fmt: skip
    return found


if __name__ == "__main__":
    main()
