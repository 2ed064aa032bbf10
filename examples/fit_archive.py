"""Fit a power law to a whole archive of RXTE PCA spectra, and look at the result.

Simulates an archive with the layout of the public one, reads it, groups it, fits every spectrum in
one call, prints a summary and draws the figures. Exits with 1 if the truths are not recovered.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import jaxspec as js

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--small", action="store_true", help="24 observations instead of 300")
parser.add_argument("--out", type=Path, default=Path("fit_archive"))
options = parser.parse_args()

js.use_compilation_cache()
archive = options.out / "archive"
if (archive / "truth.ecsv").exists():
    sys.exit(f"{archive} exists; give another --out")
truth = js.simulate_archive(archive, n=24 if options.small else 300, seed=2)
print(f"simulated {len(truth)} observations in {archive}/")

# A file that cannot be read would become a row with its own status.
spectra = js.read_pha(f"{archive}/*/stdprod/xp*_s2.pha.gz", on_error="status")
spectra = spectra.notice("3-25").group(min_counts=20)
print(spectra)

# The column is known, and no starting values are needed. Where the disc contributes, a power law
# alone is wrong, and the statistic shows it.
model = js.Model("TBabs*powerlaw")
model["nH"].freeze(0.6)
result = js.fit(model, spectra)
print(result.summary())
result.write(options.out / "fits.ecsv", overwrite=True)

js.plot.spectra(spectra).savefig(options.out / "spectra.png")
js.plot.models(result).savefig(options.out / "models.png")
js.plot.histograms(result).savefig(options.out / "histograms.png")
js.plot.timeline(result).savefig(options.out / "timeline.png")
js.plot.fit(result, 0).savefig(options.out / "first.png")
print(f"wrote fits.ecsv and five figures to {options.out}/")

# Compare with the truth where the source has no disc.
place = {str(obsid).replace("-", ""): i for i, obsid in enumerate(truth["obsid"])}
rows = np.array([place[name[2:-3]] for name in result.names])
plain = (np.asarray(truth["diskbb.norm"])[rows] == 0.0) & result.ok
pull = (result.value("PhoIndex") - np.asarray(truth["PhoIndex"])[rows]) / result.error("PhoIndex")
inside = np.mean(np.abs(pull[plain]) < 1.0)
print(f"photon index: {100 * inside:.0f} % of {plain.sum()} within one error (68 % expected)")
if not 0.68 - 4.0 * np.sqrt(0.22 / plain.sum()) < inside <= 1.0:
    sys.exit("the truths are not recovered")
