"""Narrow lines on real responses: are they found 0.2 keV from their start, and are errors honest?

A power law with a line at 6.4 keV whose width is 0, 1 or 10 eV (frozen there in the fit) is
simulated on the responses of Chandra ACIS, XMM EPIC-pn and NuSTAR FPMA, each time at another place
inside an energy bin, and fitted with the line started 0.2 keV off, above and below in turn. A line
is found where LineE is within 5 of its errors of the truth. Pulls of LineE and of the norm of the
found lines have mean 0 and standard deviation 1 if values and errors are right. See README.md for
the fields of the JSON. Needs JAXSPEC_DATA.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np
from common import finish, machine, options, timed

import jaxspec as js

FOLDER = Path(os.environ.get("JAXSPEC_DATA", "../../shared/data")) / "xray_spectra"
RESPONSES = {
    "ACIS": ("chandra/9774.rmf.gz", "chandra/9774.arf", 1e5, 3e-5),
    "EPIC-pn": ("ngc7793_ulx_pn/PN.rmf.gz", "ngc7793_ulx_pn/PN.arf", 3e4, 3e-5),
    "FPMA": ("nustar/nustar_fpma.rmf.gz", "nustar/nustar_fpma.arf", 3e4, 1e-4),
}
BAND, LINE, OFF = "4-9", 6.4, 0.2
COLUMNS = (
    "response sigma_ev spectra line_counts line_error_ev found pull_mean pull_sd norm_mean norm_sd"
).split()


def main():
    parser = options(__doc__, __file__, n=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    facts, cases = machine(), []
    for name, (rmf, arf, exposure, norm) in RESPONSES.items():
        response = js.read_response(FOLDER / rmf, FOLDER / arf)
        for width in (0.0, 1e-3, 1e-2):
            seconds, case = timed(partial(pulls, response, width, exposure, norm, args))
            cases.append({"response": name, "sigma_ev": 1e3 * width, "seconds": seconds, **case})
    finish(args, facts, cases, COLUMNS, line=LINE, off=OFF)


def folded(response, centre, width):
    """Counts/s in each channel (n, n_channel) for lines of 1 photon/cm2/s; nothing of jaxspec's.

    The response at an energy is interpolated between the middles of its energy bins, so that a
    line moves inside a bin, too; a wide line is a sum of 41 such energies.
    """
    matrix = response.matrix.toarray() * response.area[:, None]
    middle = 0.5 * (response.e_lo + response.e_hi)
    offset = np.linspace(-4.0, 4.0, 41) if width else np.zeros(1)
    weight = np.exp(-0.5 * offset**2)
    total = np.zeros((len(centre), matrix.shape[1]))
    for x, w in zip(offset, weight / weight.sum(), strict=True):
        place = np.interp(centre + x * width, middle, np.arange(len(middle)))
        row = place.astype(int)
        part = (place - row)[:, None]
        total += w * ((1 - part) * matrix[row] + part * matrix[row + 1])
    return total


def pulls(response, width, exposure, norm, args):
    """Simulate and fit ``args.n`` spectra with a line of one width (keV)."""
    rng = np.random.default_rng(args.seed)
    centre = LINE + rng.uniform(-0.05, 0.05, args.n)
    continuum = {"PhoIndex": 1.8, "norm": np.full(args.n, 5 * norm)}
    spectra = js.fake("powerlaw", response, exposure, continuum, seed=rng)
    mean = exposure * norm * folded(response, centre, width)
    spectra = [
        s.replace(counts=s.counts + rng.poisson(m)) for s, m in zip(spectra, mean, strict=True)
    ]
    spectra = js.SpectrumList(spectra).notice(BAND)
    model = js.Model("powerlaw+gaussian")
    model["Sigma"].freeze(width)
    found, rows, errors = [], [], []
    for sign in (-1, 1):
        start = model.copy()
        start["LineE"].set(LINE + sign * OFF, min=5.0, max=8.0)
        every = np.arange(args.n)[slice((1 + sign) // 2, None, 2)]
        some = js.SpectrumList([spectra[i] for i in every])
        result = js.fit(start, some, stat="cstat")
        pull = (result.value("LineE") - centre[every]) / result.error("LineE")
        amount = (result.value("gaussian.norm") - norm) / result.error("gaussian.norm")
        errors.extend(result.error("LineE"))
        found.append(np.abs(pull) < 5)
        rows.append(np.stack([pull, amount]))
    found, rows = np.concatenate(found), np.concatenate(rows, axis=1)
    pull, amount = rows[:, found]
    return {
        "spectra": args.n,
        "line_counts": float(mean.sum() / args.n),
        "line_error_ev": 1e3 * float(np.nanmedian(errors)),
        "found": int(found.sum()),
        "pull_mean": float(pull.mean()),
        "pull_sd": float(pull.std(ddof=1)),
        "norm_mean": float(amount.mean()),
        "norm_sd": float(amount.std(ddof=1)),
    }


if __name__ == "__main__":
    main()
