"""Read observations of three files each (spectrum, background, response) on one core.

Simulated archives, plain and compressed, with responses that observations share and with one for
each; ``--archive`` adds folders of real standard products. See README.md for the JSON.
"""

import gzip
import os
import tempfile
from pathlib import Path

from common import finish, machine, median, options, peak_mb

COLUMNS = "archive n responses ms_each spectra_ms_each astropy_ms_each peak_mb".split()
PATTERNS = ("xp*_s2.pha*", "src*.pha*")  # spectra in simulated and in real archives


def main():
    parser = options(__doc__, __file__, n=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--archive", type=Path, action="append", default=[], help="folder of real observations"
    )
    args = parser.parse_args()
    facts = machine()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, folder in simulated(Path(scratch), args.n):
            cases.append(measure(name, spectra_in(folder), args.repeats))
    for folder in args.archive:
        files = spectra_in(folder)[: args.n]
        cases.append(measure(f"real: {folder.name}", files, args.repeats))
    finish(args, facts, cases, COLUMNS, repeats=args.repeats)


def spectra_in(folder):
    return sorted(path for pattern in PATTERNS for path in folder.rglob(pattern))


def simulated(scratch, n):
    """Archives by name: as they are made, unpacked, and with responses that all differ."""
    import jaxspec as js

    made = {name: scratch / name for name in ("gz", "plain", "gz, distinct", "plain, distinct")}
    js.simulate_archive(made["gz"], n=n, seed=1)
    for path in made["gz"].rglob("*.gz"):
        data = gzip.decompress(path.read_bytes())
        own = data
        if ".rsp" in path.name:
            own = data.replace(b"analytic, for simulations", path.name[:25].ljust(25).encode())
            assert own != data
        place = path.relative_to(made["gz"])
        for name, content in (("plain", data), ("plain, distinct", own)):
            target = (made[name] / place).with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        target = made["gz, distinct"] / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(own, compresslevel=2, mtime=0))
    return made.items()


def measure(name, files, repeats):
    """Milliseconds for each observation: whole, with known responses, and astropy alone."""
    import jaxspec as js
    from jaxspec.read.ogip import ResponseCache, read_spectra

    def read(cache=None):
        return js.read_pha(files, cache=cache, progress=False)

    seconds, spectra = median(read, repeats)
    known = ResponseCache()
    for path in files:
        read_spectra(path, cache=known)
    without, _ = median(lambda: read(known), repeats)
    few = files[:30]
    astropy, _ = median(lambda: [read_with_astropy(s) for s in spectra[: len(few)]], repeats)
    return {
        "archive": name,
        "n": len(files),
        "responses": len({id(s.response) for s in spectra}),
        "ms_each": 1e3 * seconds / len(files),
        "spectra_ms_each": 1e3 * without / len(files),
        "astropy_ms_each": 1e3 * astropy / len(few),
        "peak_mb": peak_mb(),
    }


def read_with_astropy(spectrum):
    """Open the three files with astropy and touch every number, nothing more."""
    from astropy.io import fits

    response = Path(spectrum.path).parent / spectrum.header["RESPFILE"]
    if not response.exists():
        response = response.with_name(f"{response.name}.gz")
    for path in (spectrum.path, spectrum.background.path, response):
        with fits.open(path, memmap=False) as hdus:
            for hdu in hdus[1:]:
                for column in hdu.columns.names:
                    hdu.data[column]


if __name__ == "__main__":
    main()
