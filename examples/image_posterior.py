"""A cluster of galaxies in an X-ray image: from the files to the posterior of two models.

Walks through the tutorial "X-ray Image Data" of the KIPAC course on statistical methods on
a simulated observation: reading, exposure, masks, profile, a beta and a double beta model, their
posteriors, and which of them is to be preferred. Exits with 1 if the truth is not recovered.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import jaxspec as js

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--small", action="store_true", help="200 x 200 pixels instead of 883 x 883")
parser.add_argument("--out", type=Path, default=Path("image_posterior"))
options = parser.parse_args()
size, draws = (200, 250) if options.small else (883, 1000)
js.use_compilation_cache()
options.out.mkdir(parents=True, exist_ok=True)


def save(figure, name):
    """Write a figure."""
    figure.savefig(options.out / f"{name}.png")


# ---- the data: counts, an exposure map in cm2, and regions that were drawn on the image
data = options.out / "data"
js.simulate_cluster("double", size=size, seed=1, folder=data, overwrite=True)
image = js.read_image(data / "image.fits.gz", exposure=data / "expmap.fits.gz")
print(image)
print("shape (y, x) and exposure time:", image.shape, image.exposure_time, "s")
print(image.diagnostics[0])  # whether the map was multiplied by the exposure time, and why
print("the first pixel is at", image.sky(0, 0).to_string("hmsdms"))
save(js.plot.image(image), "image")
save(js.plot.exposure(image), "exposure")

# ---- what is left out: point sources, gaps, the outer chip; and what is hardly exposed
regions = (data / "mask.reg").read_text()
print("regions, as DS9 writes them:", *regions.splitlines()[1:5], "...", sep="\n  ")
masked = image.masked(regions)
low = image.exposure < 0.5 * image.exposure.max()
image = masked.masked(where=low)  # the union; read_image(..., regions=, min_exposure=0.5) does both
print(
    f"left out: {masked.mask.sum()} by regions, {low.sum()} by exposure, {image.mask.sum()} in all"
)
save(js.plot.overview(image), "overview")

# ---- flat arrays of the good pixels, and back
pixels = image.pixels
print(f"{len(pixels.x)} pixels with {pixels.counts.sum():.0f} counts")
rebuilt = image.rebuild(pixels.counts)
assert np.all((rebuilt == image.counts) | np.isnan(rebuilt))
assert np.array_equal(np.isnan(rebuilt), image.mask)

# ---- profiles: about the mean of the pixels, which is silly, and about the centroid
silly = js.profile(image, center=(pixels.x.mean(), pixels.y.mean()))
print("brightest annulus of the silly profile at", f"{silly.r[np.argmax(silly.sb)]:.1f} pixels")
center = js.centroid(image)
print("centroid ({:.2f}, {:.2f}), peak ({:.2f}, {:.2f})".format(*center, *js.peak(image)))
radial = js.profile(image, center=center)
columns = radial.table["r", "counts", "area", "sb", "sb_err"]
columns["counts_per_pixel"] = radial.counts_per_pixel
for name in columns.colnames:
    columns[name].info.format = ".5g"
print(*columns[::4].pformat(max_width=-1), sep="\n")
save(js.plot.profile(radial), "profile")

# ---- models: parameters by name, with limits; no start values are needed
print(js.Model("beta"))
fits, posteriors = {}, {}
for name in ("beta", "double_beta"):
    fits[name] = js.fit(name, image)
    print(fits[name].summary())
    save(js.plot.profile(fits[name]), f"{name}_fit")

    posterior = js.sample(name, image, chains=4, draws=draws, seed=2)
    print(posterior)  # means, errors, R-hat, effective sample sizes, warnings
    assert posterior.chains.shape == (4, draws, len(posterior.names))
    save(js.plot.traces(posterior), f"{name}_traces")
    save(js.plot.triangle(posterior), f"{name}_triangle")
    save(js.plot.profile(posterior), f"{name}_profile")
    save(js.plot.residuals(posterior), f"{name}_residuals")
    posterior.table.write(options.out / f"{name}.ecsv", overwrite=True)
    posteriors[name] = posterior

# ---- which model? With the terms that do not depend on parameters, and without as in the course
save(js.plot.compare(posteriors), "comparison")
for name, posterior in posteriors.items():
    print(f"DIC of {name}:", posterior.dic(), "without constants:", posterior.dic(constant=False))
found = js.compare(posteriors)
print(found)

# ---- posterior means
for name, posterior in posteriors.items():
    print(name)
    for parameter, mean in sorted(zip(posterior.names, posterior.mean, strict=True)):
        print(f"  {parameter}: {mean:.8g}")

# ---- against the truth
best, truth = posteriors["double_beta"], js.cluster_truth("double", size)
pulls = {n: (best[n].mean() - v) / best[n].std() for n, v in truth.items()}
print("sigmas from the truth:", {name: f"{pull:+.1f}" for name, pull in pulls.items()})
problems = [name for name, pull in pulls.items() if abs(pull) > 4.5]
problems += [name for name, r in zip(best.names, best.rhat, strict=True) if r > 1.1]
if problems or found.names[0] != "double_beta":
    sys.exit(f"the truth is not recovered: {problems}, preferred {found.names[0]}")
print(f"wrote tables and figures to {options.out}/")
