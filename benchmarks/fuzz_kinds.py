"""What is done with the files of each kind: they are read, and some are fitted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

MOST_CHANNELS = 300  # of a fit; each of the real files, which have more, compiles for seconds


class Kind(NamedTuple):
    """Patterns of the files to damage, and ``prepare(place)``, which gives ``(path, fit) -> end``.

    An end is "read", "fitted" or "row with a status", or what is nonsense in what was read.
    """

    patterns: tuple[str, ...]
    prepare: Callable

    def files(self, folder):
        """Good files of this kind."""
        return sorted({f for p in self.patterns for f in Path(folder).glob(p) if f.is_file()})


class Nonsense(Exception):
    """What was read or fitted cannot be."""


# ------------------------------------------------------------------ spectra


def _spectra(place):
    import jaxspec as js

    users = _users(place)

    def read(path, fit):
        user = users.get(path.name)
        if user is not None and path.name.endswith((".pha", ".pi")):
            return _fitted(js.read_pha(user), fit)  # a background or a correction, damaged
        return _fitted(js.read_pha(path, background="optional"), fit)

    return read


def _users(place):
    """Name of a file to the path of the first spectrum whose header names it."""
    from astropy.io import fits

    found = {}
    for path in sorted([*place.glob("*.pha"), *place.glob("*.pi")]):
        header = fits.getheader(path, "SPECTRUM")
        for key in ("BACKFILE", "CORRFILE"):
            found.setdefault(str(header.get(key, "none")), path)
    return found


def _several(place):
    import jaxspec as js

    return lambda path, fit: _fitted(js.read_pha(path), fit)


def _responses(place):
    import jaxspec as js

    (source,) = place.glob("*_s2.pha")

    def read(path, fit):
        if path.name == "rows.arf":
            return _fitted(js.read_pha(source, arf=f"{path}{{2}}"), fit)
        if path.suffix == ".arf":
            return _fitted(js.read_pha(source, arf=path), fit)
        if path.suffix == ".rmf":
            response = js.read_response(path)
        else:
            response = js.read_response(f"{path}{{2}}" if path.suffix == ".rsp2" else path)
        return _fitted(js.read_pha(source, response=response, arf=None), fit)

    return read


def _inspected(place):
    from jaxspec.report.describe import describe_file

    def read(path, fit):
        _sound(describe_file(path).strip(), "an empty description")
        return "read"

    return read


def _fitted(spectra, fit):
    import jaxspec as js

    for spectrum in spectra:
        response = spectrum.response
        if response is not None:
            for values in (response.e_lo, response.e_hi, response.e_min, response.e_max):
                _sound(np.isfinite(values).all(), "energies that are not finite")
            _sound((response.e_lo < response.e_hi).all(), "energy bins that descend")
            _sound((response.e_lo[1:] >= response.e_lo[:-1]).all(), "energies that descend")
            _sound(np.isfinite(response.area).all() and (response.area >= 0).all(), "areas")
            _sound(np.isfinite(response.matrix.data).all(), "a matrix that is not finite")
    if not fit or len(spectra[0].channel) > MOST_CHANNELS:
        return "read"
    return _judged(js.fit("powerlaw", spectra.notice("2-20")[:1]))


def _judged(result):
    ok = result.ok
    if not ok.any():
        return "row with a status"
    sound = np.isfinite(result.params[ok]).all() and np.isfinite(result.stat[ok]).all()
    for column in result.columns:
        error = np.asarray(result.error(column))[ok]
        sound = sound and bool(np.all(np.isfinite(error) & (error >= 0)))
    str(result), result.table
    _sound(sound, "OK without finite values and errors")
    return "fitted"


def _sound(holds, what):
    if not holds:
        raise Nonsense(what)


# ------------------------------------------------------------------ images


def _images(place):
    import jaxspec as js

    keys = ("exposure", "background", "rms", "mask")
    exposure = js.read_image(place / "image.fits.gz", exposure=place / "expmap.fits.gz").exposure

    def read(path, fit):
        given, image = {"exposure": exposure}, place / "image.fits.gz"
        if path.name.startswith("psf"):
            given["psf"] = js.read_psf(path, pixel_size=1.0, image_pixel_size=1.0)
        elif path.stem in keys:
            given[path.stem] = path
        elif path.name.startswith("expmap"):
            given["exposure"] = path
        else:
            image = path
        found = js.read_image(image, **given)
        good = found.good
        _sound(np.isfinite(found.counts[good]).all(), "counts that are not finite")
        _sound(np.isfinite(found.exposure[good]).all(), "an exposure that is not finite")
        _sound((found.exposure[good] > 0).all(), "good pixels without exposure")
        return _fitted_image(found, fit)

    return read


def _fitted_image(image, fit):
    import jaxspec as js

    repr(image)
    if not fit or max(np.shape(getattr(image, "counts", [0]))) > 80:
        return "read"
    return _judged(js.fit("beta", image))


def _regions(place):
    import jaxspec as js

    image = js.read_image(place / "image.fits.gz")

    def read(path, fit):
        masked = image.masked(regions=path)
        _sound(masked.diagnostics != image.diagnostics, "nothing said of what was left out")
        return "read"

    return read


def _profile(place):
    import jaxspec as js

    return lambda path, fit: _fitted_image(js.read_profile(path), fit)


# ------------------------------------------------------------------ what jaxspec wrote itself


def _read_back(name):
    """A file that jaxspec wrote, read by its function of that name."""

    def of(place):
        import jaxspec as js

        def read(path, fit):
            found = getattr(js, name)(path)
            str(found), found.table
            return "read"

        return read

    return of


def _summary(place):
    """A run into a folder whose summary is damaged; nothing beside the folder may be removed."""
    from jaxspec.run.folder import begin_writing, claim, finish

    beside = place.parent / f"{place.name}_beside"
    beside.mkdir()
    (beside / "kept.txt").write_text("x")

    def read(path, fit):
        for name in ("fits.ecsv", "spectra.png", "notes.txt"):
            (place / name).write_text("x")
        claim(place, "jaxspec fit", ["fits.ecsv"], overwrite=True)
        begin_writing(place, "jaxspec fit", ["fits.ecsv"])
        finish(place, {"command": "jaxspec fit", "files": ["fits.ecsv"]})
        _sound((place / "notes.txt").exists(), "a file of the user was removed")
        _sound((beside / "kept.txt").exists(), "a file in another folder was removed")
        return "read"

    return read


KINDS = {
    "image": Kind(("*.fits", "*.fits.gz"), _images),
    "regions": Kind(("*.reg", "*_reg.fits"), _regions),
    "profile": Kind(("p*",), _profile),
    "table": Kind(("*.ecsv", "*.fits", "*.parquet"), _read_back("read_result")),
    "posterior": Kind(("*.nc",), _read_back("read_posterior")),
    "summary": Kind(("summary.json",), _summary),
    "pha": Kind(("*.pha", "*.pha.gz", "*.pha.Z", "*.pi"), _spectra),
    "several": Kind(("two.pha", "parts.pha"), _several),
    "response": Kind(("*.rsp", "*.rsp.gz", "*.rsp2", "*.rmf", "*.arf"), _responses),
    "inspect": Kind(("*.pha", "*.pha.gz", "*.rsp", "*.arf"), _inspected),
}


def ready(kind, good, place):
    """Copy the good files of a kind to a place, and give what reads one of them."""
    shutil.copytree(good / kind, place, dirs_exist_ok=True)
    return KINDS[kind].prepare(place)
