"""Fit several spectra together: one photon index for all, a norm for each.

Exits with 1 if the truths are not recovered.
"""

import argparse
import sys
import tempfile

import numpy as np

import jaxspec as js

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--small", action="store_true", help="4 spectra instead of 20")
n = 4 if parser.parse_args().small else 20

js.use_compilation_cache()
with tempfile.TemporaryDirectory() as folder:
    js.simulate_archive(folder, n=1, seed=3)
    template = js.read_pha(f"{folder}/*/stdprod/xp*_s2.pha.gz")[0]

# Spectra of one source that only changes its brightness.
index = 1.8
norms = np.geomspace(0.02, 0.2, n)
spectra = js.fake(
    "TBabs*powerlaw",
    template.response,
    exposure=500.0,
    params={"nH": 0.6, "PhoIndex": index, "norm": norms},
    background=template.background,
    seed=4,
).notice("3-25")

model = js.Model("TBabs*powerlaw")
model["nH"].freeze(0.6)
alone = js.fit(model, spectra)
joint = js.fit(model, spectra, joint=True, untie=["norm"])
print(joint.summary())

one, one_error = joint.value("PhoIndex")[0], joint.error("PhoIndex")[0]
print(f"each by itself: index {alone.value('PhoIndex').round(3)}")
print(f"errors of these: {alone.error('PhoIndex').round(3)}")
print(f"together: index {one:.4f} +- {one_error:.4f}; truth {index}")
pull = (joint.value("norm") - norms) / joint.error("norm")
print(f"norms: pulls {pull.round(2)}")

good = joint.ok.all() and np.ptp(joint.value("PhoIndex")) == 0.0
good = good and abs(one - index) < 4.0 * one_error and np.abs(pull).max() < 5.0
if not (good and one_error < alone.error("PhoIndex").min()):
    sys.exit("the truths are not recovered")
