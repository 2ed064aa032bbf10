"""Good files of every kind that jaxspec reads, ways to damage them, and what is done with them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

REGIONS = {
    "ds9_image.reg": "global color=green\nimage\ncircle(16,16,5) # text={a}\n-box(10,10,4,6,30)\n"
    "ellipse(20,20,6,3,10)\nannulus(16,16,2,8)\npolygon(2,2,9,3,8,9)\n",
    "ds9_sky.reg": '# Region file format: DS9\nfk5\ncircle(6:00:00.0,+10:00:00,20")\n'
    'box(90.001,10.001,30",20",45)\n-ellipse(90.0,10.0,0.01,0.005,30)\n',
    "ciao.reg": "circle(16,16,5)\nrotbox(12,12,6,4,20)\n-ellipse(18,18,4,2,0)\n"
    "pie(16,16,2,8,0,90)\n",
    "ciao_sky.reg": 'circle(6:00:00.0,+10:00:00,0.5\')\nannulus(90.0d,10.0d,5",30")\n',
}
ODD = (
    """-1 0 1 2 -32768 99999999999999999999 1E400 -1E30 NAN INF T 'none' '~/x' '../../x' 'a&' '{9}'
1.5 '1' 3000000000 1E-30""".split()
    + [""]
)
WORDS = """nan inf -inf 1e400 -1 0 1e308 x 1e-320 ' " ( ) 12:61:99 -91 1e9 { % é -- ! 1d # ; |"""
WORDS = [*WORDS.split(), "", "\x00"]
ODD_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-30, 1e300, 5e-324)


class Kind(NamedTuple):
    """Files to damage, and ``prepare(good, place, fit)``, which gives ``path -> (end, what)``."""

    files: Callable
    prepare: Callable


# ------------------------------------------------------------------ good files


def make_good(folder):
    """Write good files, in a folder for each kind; all that a file needs lies beside it."""
    import jaxspec as js

    js.simulate_archive(folder / "archive", n=1, seed=3)
    (source,) = (folder / "archive").glob("*/stdprod/*_s2.pha.gz")
    (spectrum,) = js.read_pha(source)
    pha = folder / "pha"
    shutil.copytree(source.parent, pha)
    for file in pha.glob("*.gz"):
        import gzip

        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        if not file.name.endswith("_s2.pha.gz"):
            file.unlink()
    shutil.copy(source, pha / "packed.pha.gz")
    (pha / source.name).unlink()
    shutil.copytree(pha, folder / "response")
    response = folder / "response"
    js.write_response(spectrum.response, response / "made.rsp")
    js.write_arf((*_grid(spectrum), np.full(len(spectrum.response.e_lo), 2.0)), response / "a.arf")
    shutil.copytree(pha, folder / "several")
    _several(spectrum, folder / "several")
    for kind in ("image", "regions", "profile", "posterior"):
        (folder / kind).mkdir()
    image = js.simulate_cluster("double", size=64, seed=1, folder=folder / "image")
    for kind in ("regions", "profile", "posterior"):
        shutil.copytree(folder / "image", folder / kind, dirs_exist_ok=True)
    for name, text in REGIONS.items():
        (folder / "regions" / name).write_text(text)
    _region_table(folder / "regions" / "table_reg.fits")
    _psf(folder / "image" / "psf.fits")
    _profiles(image, folder / "profile")
    fitted = js.sample(
        js.Model("powerlaw"), spectrum.replace(background=None), draws=30, warmup=30, chains=2,
        seed=1, progress=False,
    )  # fmt: skip
    fitted.save(folder / "posterior" / "p.nc")
    (folder / "table").mkdir()
    result = js.fit("powerlaw", [spectrum, spectrum.replace(name="b")])
    for ending in ("ecsv", "fits"):
        result.write(folder / "table" / f"t.{ending}")
    real = os.environ.get("JAXSPEC_DATA")
    if real:
        _real(Path(real), folder)


def _grid(spectrum):
    return spectrum.response.e_lo, spectrum.response.e_hi


def _several(spectrum, folder):
    """Type II, and source and background as extensions of one file."""
    from astropy.io import fits

    counts, n = spectrum.counts, len(spectrum.counts)
    (rsp,) = folder.glob("*.rsp")
    columns = [
        fits.Column("SPEC_NUM", "J", array=[1, 1, 2]),
        fits.Column("CHANNEL", f"{n}J", array=np.tile(spectrum.channel, (3, 1))),
        fits.Column("COUNTS", f"{n}J", array=np.tile(counts, (3, 1))),
        fits.Column("QUALITY", f"{n}I", array=np.zeros((3, n), int)),
        fits.Column("EXPOSURE", "D", unit="s", array=[100.0, 200.0, 300.0]),
    ]
    keys = dict(HDUCLASS="OGIP", HDUCLAS1="SPECTRUM", POISSERR=True, RESPFILE=rsp.name)
    keys |= dict(AREASCAL=1.0, BACKSCAL=1.0, DETCHANS=n, BACKFILE="none", ANCRFILE="none")
    two = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    two.header.update(keys | dict(HDUCLAS4="TYPE:II"))
    fits.HDUList([fits.PrimaryHDU(), two]).writeto(folder / "two.pha")
    parts = []
    for i, role in enumerate(("TOTAL", "BKG")):
        table = fits.BinTableHDU.from_columns(
            [
                fits.Column("CHANNEL", "J", array=spectrum.channel),
                fits.Column("COUNTS", "E", array=counts // (i + 1)),
                fits.Column("GROUPING", "I", array=np.where(np.arange(n) % 2, -1, 1)),
            ],
            name="SPECTRUM",
        )
        table.header.update(keys | dict(HDUCLAS2=role, EXPOSURE=500.0, EXTVER=i + 1))
        parts.append(table)
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(folder / "parts.pha")


def _region_table(path):
    from astropy.io import fits

    columns = [
        fits.Column("SHAPE", "16A", array=["CIRCLE", "!ELLIPSE", "ROTBOX"]),
        fits.Column("X", "1D", array=[16.0, 12, 20]),
        fits.Column("Y", "1D", array=[16.0, 12, 20]),
        fits.Column("R", "2D", array=[[8.0, 0], [3, 2], [4, 6]]),
        fits.Column("ROTANG", "1D", array=[0.0, 20, 45]),
        fits.Column("COMPONENT", "J", array=[1, 1, 2]),
    ]
    fits.BinTableHDU.from_columns(columns, name="REGION").writeto(path)


def _psf(path):
    from astropy.io import fits

    y, x = np.indices((15, 15)) - 7
    fits.PrimaryHDU(np.exp(-(x**2 + y**2) / 8.0).astype(np.float32)).writeto(path)


def _profiles(image, folder):
    from astropy.io import fits

    r = np.arange(0.5, 15.5)
    sb = 10 / (1 + (r / 4) ** 2) ** 1.5 + 0.1
    np.savetxt(folder / "p.txt", np.column_stack([r, sb, 0.1 * sb]), header="r sb err")
    columns = [
        fits.Column(name, "D", array=values, unit=unit)
        for name, values, unit in (
            ("R", r, "arcsec"),
            ("SUR_BRI", sb, ""),
            ("SUR_BRI_ERR", sb / 9, ""),
        )
    ]
    fits.BinTableHDU.from_columns(columns).writeto(folder / "p.fits")


def _real(data, folder):
    """Some real files beside the simulated ones, no larger than 2 MB, with what they name."""
    for name in ("asca", "chandra", "nustar", "nicer"):
        for file in sorted((data / "xray_spectra" / name).glob("*")):
            if file.is_file() and file.stat().st_size < 2e6:
                shutil.copy(file, folder / "pha" / file.name)
    for file in sorted((data / "rxte_pca" / "sample" / "stdprod").glob("*/*.rsp")):
        shutil.copy(file, folder / "response" / f"real_{file.name}")


# ------------------------------------------------------------------ damage


def mutated(kind, good, rng):
    """Name and bytes of a damaged copy of one of the files of a kind."""
    files = KINDS[kind].files(good / kind)
    file = files[rng.integers(len(files))]
    raw = file.read_bytes()
    packed = raw[:2] == b"\x1f\x8b" and rng.random() < 0.8
    if packed:
        import gzip

        raw = gzip.decompress(raw)
    ways = _FITS if raw[:6] == b"SIMPLE" else _BYTES if _is_binary(raw) else _TEXT
    for _ in range(rng.integers(1, 4)):
        raw = ways[rng.integers(len(ways))](raw, rng)
    if packed:
        raw = gzip.compress(raw, 1)
    return file.name, raw


def _is_binary(raw):
    return b"\0" in raw[:2000] or raw[:4] == b"\x89HDF" or raw[:2] == b"\x1f\x8b"


def _flip(raw, rng):
    made = bytearray(raw)
    for at in rng.integers(max(len(made), 1), size=rng.integers(1, 9)):
        if made:
            made[at] = rng.integers(256)
    return bytes(made)


def _cut(raw, rng):
    return raw[: rng.integers(len(raw) + 1)]


def _append(raw, rng):
    return raw + rng.bytes(int(rng.integers(1, 6000)))


def _drop(raw, rng):
    step = 2880 if rng.random() < 0.5 else 1
    at = step * rng.integers(len(raw) // step + 1)
    return raw[:at] + raw[at + step * int(rng.integers(1, 4)) :]


def _twice(raw, rng):
    step = 2880 if rng.random() < 0.5 else 80
    at = step * rng.integers(len(raw) // step + 1)
    return raw[: at + step] + raw[at:]


def _cards(raw):
    """Where header cards with a value begin."""
    return [
        i
        for i in range(0, len(raw) - 79, 80)
        if raw[i + 8 : i + 10] == b"= " and raw[i : i + 8].isascii()
    ]


def _card(raw, rng):
    """Another value for a card, or another card in its place."""
    cards = _cards(raw)
    if not cards:
        return raw
    at = cards[rng.integers(len(cards))]
    way = rng.integers(4)
    if way == 0:
        other = cards[rng.integers(len(cards))]
        value = raw[other + 10 : other + 80]
    elif way == 1:
        return raw[:at] + b"COMMENT ".ljust(80) + raw[at + 80 :]
    elif way == 2:
        other = cards[rng.integers(len(cards))]
        return raw[:at] + raw[other : other + 80] + raw[at + 80 :]
    else:
        value = ODD[rng.integers(len(ODD))].encode().rjust(20 if rng.random() < 0.5 else 1)
    return raw[: at + 10] + value[:70].ljust(70) + raw[at + 80 :]


def _number(raw, rng):
    """Odd big-endian numbers somewhere in the data, alone or many."""
    made, size = bytearray(raw), int(rng.choice([2, 4, 8]))
    value = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
    if rng.random() < 0.5 or size == 2:
        whole = int(rng.choice([-1, 0, 1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1))]))
        piece = whole.to_bytes(size, "big", signed=True)
    else:
        with np.errstate(all="ignore"):
            piece = np.array(value).astype(f">f{size}").tobytes()
    at = int(rng.integers(max(len(made) - size, 1))) // 2 * 2
    step = int(rng.choice([size, 8, 10, 18, 20, 24]))
    for i in range(int(rng.choice([1, 1, 5, 200]))):
        if at + i * step + size <= len(made):
            made[at + i * step : at + i * step + size] = piece
    return bytes(made)


def _word(raw, rng):
    """Another word or number in a text."""
    import re

    text = raw.decode("utf-8", "replace")
    found = list(re.finditer(r"[-+.\w]+|\W", text))
    if not found:
        return raw
    match = found[rng.integers(len(found))]
    word = WORDS[rng.integers(len(WORDS))]
    return (text[: match.start()] + word + text[match.end() :]).encode("utf-8", "replace")


def _line(raw, rng):
    lines = raw.split(b"\n")
    at, way = rng.integers(len(lines)), rng.integers(3)
    other = lines[rng.integers(len(lines))]
    if way == 0:
        del lines[at]
    else:
        lines[at : at + way - 1] = [other]
    return b"\n".join(lines)


_BYTES = (_flip, _cut, _append, _drop, _twice, _number)
_FITS = (_flip, _cut, _append, _drop, _twice, _card, _card, _card, _card, _number, _number, _number)
_TEXT = (_word, _word, _word, _word, _line, _line, _flip, _cut)


# ------------------------------------------------------------------ what is done with them


def _spectra(good, place, fit):
    import jaxspec as js

    shutil.copytree(good / "pha", place, dirs_exist_ok=True)
    return lambda path: _fitted(js.read_pha(path, background="optional"), fit)


def _several_spectra(good, place, fit):
    import jaxspec as js

    shutil.copytree(good / "several", place, dirs_exist_ok=True)
    return lambda path: _fitted(js.read_pha(path), fit)


def _responses(good, place, fit):
    import jaxspec as js

    shutil.copytree(good / "response", place, dirs_exist_ok=True)
    (source,) = place.glob("*_s2.pha")

    def read(path):
        if path.suffix == ".arf":
            return _fitted(js.read_pha(source, arf=path), fit)
        response = js.read_response(path)
        return _fitted(js.read_pha(source, response=response, arf=None), fit)

    return read


def _fitted(spectra, fit):
    import jaxspec as js

    if not fit:
        return "read", ""
    result = js.fit("powerlaw", spectra.notice("2-20")[:3])
    return _judged(result)


def _judged(result):
    ok = result.ok
    if not ok.any():
        return "row with a status", ""
    good = np.isfinite(result.params[ok]).all() and np.isfinite(result.stat[ok]).all()
    for column in result.columns:
        error = np.asarray(result.error(column))[ok]
        good = good and bool(np.all(np.isfinite(error) & (error >= 0)))
    str(result), result.table
    return ("fitted", "") if good else ("nonsense", "OK without finite values and errors")


def _images(good, place, fit):
    import jaxspec as js

    shutil.copytree(good / "image", place, dirs_exist_ok=True)
    (counts,) = place.glob("image.fits*")
    (maps,) = place.glob("expmap.fits*")

    def read(path):
        given = {"exposure": maps}
        image = counts
        if path.name.startswith("expmap"):
            given["exposure"] = path
        elif path.name.startswith("psf"):
            given["psf"] = js.read_psf(path, pixel_size=1.0, image_pixel_size=1.0)
        else:
            image = path
        return _fitted_image(js.read_image(image, **given), fit)

    return read


def _fitted_image(image, fit):
    import jaxspec as js

    if not fit or max(np.shape(getattr(image, "counts", [0]))) > 80:
        return "read", ""
    return _judged(js.fit("beta", image))


def _regions(good, place, fit):
    import jaxspec as js

    shutil.copytree(good / "regions", place, dirs_exist_ok=True)
    (counts,) = place.glob("image.fits*")
    image = js.read_image(counts)

    def read(path):
        image.masked(regions=path)
        return "read", ""

    return read


def _profile(good, place, fit):
    import jaxspec as js

    shutil.copytree(good / "profile", place, dirs_exist_ok=True)
    return lambda path: _fitted_image(js.read_profile(path), fit)


def _printed(part, reader):
    """Kind of file that ``jaxspec.<reader>`` reads and that is then shown as text."""

    def prepare(good, place, fit):
        import jaxspec as js

        shutil.copytree(good / part, place, dirs_exist_ok=True)

        def read(path):
            str(getattr(js, reader)(path))
            return "read", ""

        return read

    return prepare


_posterior = _printed("posterior", "read_posterior")
_table = _printed("table", "read_result")


def _all(*patterns):
    return lambda folder: sorted(f for p in patterns for f in folder.glob(p) if f.is_file())


KINDS = {
    "pha": Kind(_all("*.pha", "*.pha.gz", "*.pi", "*.pi.gz"), _spectra),
    "several": Kind(_all("two.pha", "parts.pha"), _several_spectra),
    "response": Kind(_all("*.rsp", "*.rmf", "*.arf"), _responses),
    "image": Kind(_all("image.fits*", "expmap.fits*", "psf.fits"), _images),
    "regions": Kind(_all("*.reg", "*_reg.fits"), _regions),
    "profile": Kind(_all("p.txt", "p.fits"), _profile),
    "table": Kind(_all("t.ecsv", "t.fits"), _table),
    "posterior": Kind(_all("p.nc"), _posterior),
}
