"""Memory of responses: a calorimeter of 60 000 channels and two grids, and areas of one's own.

Every case runs in a process of its own, on simulated data. README.md explains the JSON.
"""

import json
import tempfile
import time
from pathlib import Path

from common import finish, held_mb, in_fresh_process, machine, options, peak_mb, timed

COLUMNS = "what n bins first_s warm_s prepare_us before_mb peak_mb off_sigma folded_off ok".split()
TRUTH = {"PhoIndex": 1.8, "norm": 0.1}


def main():
    parser = options(__doc__, __file__)
    parser.add_argument("--largest", type=int, default=100_000, help="leave longer lists out")
    parser.add_argument("--channels", type=int, default=60_000, help="of the calorimeter")
    parser.add_argument("--case", help="one case as JSON, in this process")
    args = parser.parse_args()
    if args.case:
        case = json.loads(args.case)
        print(json.dumps(WORK[case.pop("what")](**case)))
        return
    facts, cases = machine(), []
    with tempfile.TemporaryDirectory() as folder:
        grid = {"folder": folder, "n": args.channels}
        todo = [{"what": "write", **grid}, {"what": "read", **grid}]
        todo += [{"what": "fit", **grid, "group": g} for g in ("none", "min_counts", "optimal")]
        todo += [{"what": "own areas", "n": n} for n in (4, 40, 400)]
        todo += [{"what": "own responses", "n": n} for n in (1000, 10_000, 100_000)]
        todo += [{"what": "PCA and Chandra", "n": 100}]
        for case in todo:
            if "folder" in case or case["n"] <= args.largest:
                one = in_fresh_process(__file__, case)
                print(f"{case['what']} {case['n']}: peak {one.get('peak_mb', 0):.0f} MB")
                cases += [{"what": case["what"], **one}] if one else []
    finish(args, facts, cases, COLUMNS, truth=TRUTH)


# ---------------------------------------------------------------------------- a calorimeter


def write(folder, n):
    """RMF of a core on fine energies and a loss tail on bins 16 times as wide, and an ARF."""
    import numpy as np
    from astropy.io import fits

    import jaxspec as js

    edges, factor = np.arange(n + 1) * 30.0 / n, 16
    sigma = 5e-3 / 2.355 / (30.0 / n)
    half = max(int(4 * sigma), 1)
    shape = np.exp(-0.5 * (np.arange(-half, half + 1) / max(sigma, 0.3)) ** 2)
    shape = (shape / shape.sum()).astype(np.float32)
    low = np.arange(n) - half
    begin, end = low.clip(0), (low + 2 * half + 1).clip(max=n)
    core = [shape[a - i : b - i] for i, a, b in zip(low, begin, end, strict=True)]
    width = (np.arange(n // factor) + 1) * factor - 1
    loss = np.random.default_rng(1).uniform(0.5, 1.5, n).astype(np.float32) * np.float32(0.3 / n)
    tail = [loss[:w] for w in width]
    tables = [
        _matrix(edges, begin, end - begin, core),
        _matrix(edges[::factor], 0 * width, width, tail),
    ]
    columns = [
        fits.Column("CHANNEL", "J", array=np.arange(n)),
        fits.Column("E_MIN", "D", unit="keV", array=edges[:-1]),
        fits.Column("E_MAX", "D", unit="keV", array=edges[1:]),
    ]
    tables.append(fits.BinTableHDU.from_columns(columns, name="EBOUNDS"))
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(f"{folder}/split.rmf")
    js.write_arf((edges[:-1], edges[1:], _area(edges)), f"{folder}/split.arf")
    return {}


def _area(edges):
    import numpy as np

    return np.where(edges[1:] > 0.3, 200.0 - 3.0 * edges[1:], 0.0)


def _matrix(edges, first, width, rows):
    import numpy as np
    from astropy.io import fits

    values = np.empty(len(rows), object)
    values[:] = rows
    columns = [
        fits.Column("ENERG_LO", "D", unit="keV", array=edges[:-1]),
        fits.Column("ENERG_HI", "D", unit="keV", array=edges[1:]),
        fits.Column("N_GRP", "I", array=np.ones(len(rows))),
        fits.Column("F_CHAN", "J", array=first),
        fits.Column("N_CHAN", "J", array=width),
        fits.Column("MATRIX", "PE()", array=values),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="MATRIX")
    hdu.header.update(HDUCLAS1="RESPONSE", HDUCLAS2="RSP_MATRIX", HDUCLAS3="REDIST", TLMIN4=0)
    return hdu


def _read(folder):
    import jaxspec as js

    return js.read_response(f"{folder}/split.rmf", f"{folder}/split.arf")


def read(folder, n):
    """Reading alone; the size of the file is part of the peak."""
    before = held_mb()
    seconds, _ = timed(lambda: _read(folder))
    size = Path(f"{folder}/split.rmf").stat().st_size / 1e6
    return {"n": n, "first_s": seconds, "file_mb": size, "before_mb": before, "peak_mb": peak_mb()}


def fit(folder, n, group):
    """Simulate, group and fit 2-10 keV; peaks of the whole process."""
    import numpy as np

    import jaxspec as js

    response = _read(folder)
    data = js.fake("powerlaw", response, 20_000.0, TRUTH, seed=1).notice("2-10")
    rules = {"min_counts": {"min_counts": 20}, "optimal": {"optimal": True}}
    if group in rules:
        data = data.group(**rules[group])
    before = held_mb()
    first, result = timed(lambda: js.fit("powerlaw", data, "cstat", progress=False))
    warm, result = timed(lambda: js.fit("powerlaw", data, "cstat", progress=False))
    peak = peak_mb()
    error = np.sqrt(np.diag(result.covariances["observed"][0]))
    off = (result.params[0] - list(TRUTH.values())) / error
    return {
        "n": n,
        "group": group,
        "bins": int(result.n_bins[0]),
        "first_s": first,
        "warm_s": warm,
        "before_mb": before,
        "peak_mb": peak,
        "off_sigma": float(np.abs(off).max()),
        "folded_off": _folded_off(folder, n, data[0]),
        "ok": int(result.ok.sum()),
    }


def _folded_off(folder, n, spectrum):
    """Largest relative difference of the bins from a folding by scipy on the arrays of the file."""
    import numpy as np
    import scipy.sparse
    from astropy.io import fits

    import jaxspec as js
    from jaxspec.likelihood.forward import predict
    from jaxspec.reduce.bins import spectrum_bins

    total, power = np.zeros(n), 1.0 - TRUTH["PhoIndex"]
    with fits.open(f"{folder}/split.rmf") as hdus:
        edges = np.append(hdus[1].data["ENERG_LO"], hdus[1].data["ENERG_HI"][-1]).astype(float)
        edges[0] = 1e-10 * edges[1]  # as the reader says that it does
        flux = TRUTH["norm"] * np.diff(edges**power) / power * _area(edges)
        for table in hdus[1].data, hdus[2].data:
            step = n // len(table)
            rows = np.add.reduceat(flux, np.arange(0, n, step))
            for i in range(0, len(table), 500):
                part = table[i : i + 500]
                first, width = part["F_CHAN"], part["N_CHAN"]
                channels = np.concatenate(
                    [np.arange(a, a + w) for a, w in zip(first, width, strict=True)]
                )
                values = np.concatenate(list(part["MATRIX"])).astype(float)
                ends = np.concatenate([[0], np.cumsum(width)])
                shape = (len(part), n)
                total += rows[i : i + 500] @ scipy.sparse.csr_array((values, channels, ends), shape)
    index, n_bin = spectrum_bins(spectrum)
    kept = index >= 0
    right = np.bincount(index[kept], total[kept], n_bin)
    found = predict(js.Model("powerlaw"), spectrum, np.array(list(TRUTH.values())))
    return float(np.abs(found / right - 1).max())


# ---------------------------------------------------------------------------- many spectra


def own_areas(n):
    """Ungrouped spectra of a CCD, 800 channels and 2400 energies, each with an area of its own."""
    from dataclasses import replace

    import jaxspec as js

    response = ccd(2400, 800, 12.0)
    data = []
    for i in range(n):
        area = response.area * (1 + 1e-3 * i)
        own = replace(response, area=area)
        data += js.fake("powerlaw", own, 10_000.0, {"PhoIndex": 1.8, "norm": 1e-3}, seed=i)
    return fitted(js.SpectrumList(data).notice("0.3-10"))


def own_responses(n):
    """PCA spectra, each with an area of its own."""
    from workload import spectra

    return fitted(spectra(n, "cstat", "distinct"), n <= 10_000)


def pca_and_chandra(n):
    """PCA spectra, and one with a much larger response, in one list."""
    from workload import spectra

    import jaxspec as js

    large = ccd(1078, 1024, 11.0)
    one = js.fake("powerlaw", large, 10_000.0, {"PhoIndex": 1.8, "norm": 1e-3}, seed=1)
    return fitted(js.SpectrumList([*spectra(n, "cstat", "distinct"), *one.notice("0.3-9")]))


def ccd(n_energy, n_channel, top):
    """Response of a CCD: lines as wide as the root of the energy, and a shelf below them."""
    import numpy as np
    import scipy.sparse

    import jaxspec as js

    edges, bounds = np.linspace(0.1, top, n_energy + 1), np.linspace(0.0, top, n_channel + 1)
    at, seen = 0.5 * (edges[1:] + edges[:-1]), 0.5 * (bounds[1:] + bounds[:-1])
    lines = np.exp(-0.5 * ((seen - at[:, None]) / (0.06 * np.sqrt(at / 6))[:, None]) ** 2)
    lines /= lines.sum(axis=1, keepdims=True)
    matrix = np.where(lines > 1e-6, lines, 0.0) + (seen < at[:, None]) * 2e-3 / n_channel
    return js.Response(
        e_lo=edges[:-1],
        e_hi=edges[1:],
        matrix=scipy.sparse.csr_array(matrix),
        area=1000.0 * np.exp(-((at - 1.5) ** 2) / 20.0),
        channel=np.arange(n_channel),
        e_min=bounds[:-1],
        e_max=bounds[1:],
    )


def fitted(data, again=True):
    """Fit a list; the preparation of its arrays is timed by itself."""
    import jaxspec as js

    before = held_mb()
    first, result = timed(lambda: js.fit("powerlaw", data, "cstat", progress=False))
    made = {"n": len(data), "bins": int(result.n_bins[0]), "first_s": first, "before_mb": before}
    made |= {"peak_mb": peak_mb(), "ok": int(result.ok.sum())}
    if again:
        made["warm_s"], _ = timed(lambda: js.fit("powerlaw", data, "cstat", progress=False))
    prepare = min(prepared(data) for _ in range(3 if again else 1))
    return made | {"prepare_us": 1e6 * prepare / len(data)}


def prepared(data):
    """Processor seconds for all arrays of a list on the host, chunk by chunk as fits want them."""
    import jaxspec as js
    from jaxspec.fit.chunks import chunk_lanes, chunk_positions
    from jaxspec.likelihood.spectrum_prepare import make_batches

    began = time.process_time()
    for batch in make_batches(js.Model("powerlaw"), data, ["cstat"] * len(data), 2, print):
        for chunk in chunk_positions(batch):
            chunk_lanes(batch, chunk.lanes)
    return time.process_time() - began


WORK = {
    "write": write,
    "read": read,
    "fit": fit,
    "own areas": own_areas,
    "own responses": own_responses,
    "PCA and Chandra": pca_and_chandra,
}


if __name__ == "__main__":
    main()
