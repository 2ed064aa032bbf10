"""Good files of every kind that jaxspec reads, in a folder for each kind."""

import gzip
import json
import os
import shutil
from pathlib import Path

import numpy as np

REGIONS = {
    "ds9_image.reg": "global color=green\nimage\ncircle(16,16,5) # text={a}\n-box(10,10,4,6,30)\n"
    "ellipse(20,20,6,3,10)\nannulus(16,16,2,8)\npolygon(2,2,9,3,8,9)\n",
    "ds9_sky.reg": '# Region file format: DS9\nfk5\ncircle(6:00:00.0,+10:00:00,20")\n'
    'box(90.001,10.001,30",20",45)\n-ellipse(90.0,10.0,0.01,0.005,30)\n',
    "ciao.reg": "circle(16,16,5)\nrotbox(12,12,6,4,20)\n-ellipse(18,18,4,2,0)\n"
    "pie(16,16,2,8,0,90)\n",
    "pieces.reg": "image\npanda(16,16,0,360,4,5,20,2)\nepanda(16,16,0,90,1,4,2,20,10,1,0)\n"
    "bpanda(16,16,0,360,1,10,6,30,20,1,0)\n# vector(1,2,3,4)\n",
    "joined.reg": "# Region file format: CIAO version 1.0\nrectangle(2,2,9,9)&circle(5,5,3)\n"
    "field()-sector(16,16,0,90)\npolygon(2,2,9,3,8,9)-circle(8,4,1)\n",
    "galactic.reg": "galactic;circle(270.0,30.0,1.5') # color={red;blue}\necliptic\n"
    'ellipse(170:00:00,-28:00:00,20",10",45)\n',
    "list.reg": "# x y r\n10.5 12.5 3\n20, 22, 1.5\n30 31 2 # far\n",
    "ciao_sky.reg": 'circle(6:00:00.0,+10:00:00,0.5\')\nannulus(90.0d,10.0d,5",30")\n',
}


def make_good(folder):
    """Write good files, in a folder for each kind; all that a file needs lies beside it."""
    import jaxspec as js

    js.simulate_archive(folder / "archive", n=1, seed=3)
    (source,) = (folder / "archive").glob("*/stdprod/*_s2.pha.gz")
    (spectrum,) = js.read_pha(source)
    _spectra(source, spectrum, folder)
    _responses(spectrum, folder / "response")
    shutil.copytree(folder / "pha", folder / "several")
    _several(spectrum, folder / "several")
    shutil.copytree(folder / "several", folder / "inspect")
    shutil.copy(folder / "response" / "a.arf", folder / "inspect")
    for kind in ("image", "profile", "table", "posterior", "summary"):
        (folder / kind).mkdir()
    image = js.simulate_cluster("double", size=64, seed=1, folder=folder / "image")
    shutil.copytree(folder / "image", folder / "regions")
    _maps(image, folder / "image")
    for name, text in REGIONS.items():
        (folder / "regions" / name).write_text(text)
    _region_tables(folder / "regions")
    _profiles(folder / "profile")
    _results(spectrum, image, folder)
    if real := os.environ.get("JAXSPEC_DATA"):
        _real(Path(real), folder)


def _spectra(source, spectrum, folder):
    """Type I: simulated ones as they are, and with all columns and links that there are."""
    import jaxspec as js

    pha = folder / "pha"
    shutil.copytree(source.parent, pha)
    for file in pha.glob("*.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    shutil.copytree(pha, folder / "response")
    shutil.copy(source, pha / "packed.pha.gz")
    raw = gzip.decompress(source.read_bytes())
    (pha / "packed.pha.Z").write_bytes(compressed(raw))
    n = len(spectrum.channel)
    grouping = np.where(np.arange(n) % 4, -1, 1)
    quality = np.where(np.arange(n) % 40 == 3, 2, 0)
    whole = spectrum.replace(
        grouping=grouping, quality=quality, sys_err=np.full(n, 0.01), corrscal=0.5,
        correction=spectrum.replace(counts=spectrum.counts // 9),
        areascal=np.linspace(0.9, 1, n), backscal=np.linspace(1, 2, n),
    )  # fmt: skip
    names = dict(respfile=next(pha.glob("*.rsp")).name, backfile=next(pha.glob("*_b2.pha")).name)
    js.write_pha(whole, pha / "whole.pha", corrfile="correction.pha", **names)
    js.write_pha(whole.correction, pha / "correction.pha")
    rate = spectrum.counts / spectrum.exposure
    _rates(spectrum.channel, rate, names, pha / "rate.pha")
    _text_table(spectrum, names, pha / "text.pha")


def _rates(channel, rate, names, path):
    from astropy.io import fits

    columns = [
        fits.Column("CHANNEL", "I", array=channel),
        fits.Column("RATE", "E", unit="count/s", array=rate),
        fits.Column("STAT_ERR", "E", unit="count/s", array=0.1 * rate + 0.01),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    table.header.update(
        HDUCLASS="OGIP", HDUCLAS1="SPECTRUM", HDUCLAS3="RATE", POISSERR=False, EXPOSURE=500.0,
        AREASCAL=1.0, BACKSCAL=1.0, CORRSCAL=1.0, DETCHANS=len(channel), TLMIN1=int(channel[0]),
        RESPFILE=names["respfile"], BACKFILE="none", ANCRFILE="none", QUALITY=0, GROUPING=0,
    )  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def _text_table(spectrum, names, path):
    """Counts in an ASCII table of FITS."""
    from astropy.io import fits

    columns = [
        fits.Column("CHANNEL", "I6", array=spectrum.channel),
        fits.Column("COUNTS", "I9", unit="count", array=spectrum.counts.astype(int)),
    ]
    table = fits.TableHDU.from_columns(columns, name="SPECTRUM")
    table.header.update(
        HDUCLASS="OGIP", HDUCLAS1="SPECTRUM", POISSERR=True, EXPOSURE=500.0, AREASCAL=1.0,
        BACKSCAL=1.0, DETCHANS=len(spectrum.channel), RESPFILE=names["respfile"],
        BACKFILE=names["backfile"], ANCRFILE="none",
    )  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def compressed(raw):
    """Bytes as compress(1) writes them with codes of 9 bits, each byte by itself."""
    bits = np.unpackbits(np.frombuffer(raw, "u1").astype("<u2").view("u1"), bitorder="little")
    codes = bits.reshape(-1, 16)[:, :9].ravel()
    return b"\x1f\x9d\x89" + np.packbits(codes, bitorder="little").tobytes()


def _responses(spectrum, folder):
    """An RSP as jaxspec writes it, two matrices in one file, ARFs of both types, an RMF."""
    from astropy.io import fits

    import jaxspec as js
    from jaxspec.read.write import write_rmf

    js.write_response(spectrum.response, folder / "made.rsp")
    js.write_response(spectrum.response, folder / "packed.rsp.gz")
    write_rmf(spectrum.response, folder / "a.rmf")
    n = len(spectrum.response.e_lo)
    js.write_arf(
        (spectrum.response.e_lo, spectrum.response.e_hi, np.full(n, 2.0)), folder / "a.arf"
    )
    low, high = np.tile(spectrum.response.e_lo, (2, 1)), np.tile(spectrum.response.e_hi, (2, 1))
    columns = [
        fits.Column("SPEC_NUM", "J", array=[1, 2]),
        fits.Column("ENERG_LO", f"{n}E", unit="keV", array=low),
        fits.Column("ENERG_HI", f"{n}E", unit="keV", array=high),
        fits.Column("SPECRESP", f"{n}E", unit="cm**2", array=np.full((2, n), 2.0)),
    ]
    rows = fits.BinTableHDU.from_columns(columns, name="SPECRESP")
    rows.header.update(HDUCLASS="OGIP", HDUCLAS1="RESPONSE", HDUCLAS2="SPECRESP")
    fits.HDUList([fits.PrimaryHDU(), rows]).writeto(folder / "rows.arf")
    with fits.open(folder / "made.rsp") as hdus:
        matrix = next(h for h in hdus if "MATRIX" in h.name)
        more = [fits.BinTableHDU(matrix.data, matrix.header.copy()) for _ in range(2)]
        for version, hdu in enumerate(more, 1):
            hdu.header.update(EXTVER=version, TSTART=100.0 * version, TSTOP=100.0 * version + 99)
        others = [h.copy() for h in hdus if h.name == "EBOUNDS"]
        fits.HDUList([fits.PrimaryHDU(), *others, *more]).writeto(folder / "two.rsp2")


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


def _region_tables(folder):
    from astropy.io import fits

    columns = [
        fits.Column("SHAPE", "16A", array=["CIRCLE", "!ELLIPSE", "ROTBOX", "POLYGON"]),
        fits.Column("X", "4D", array=[[16.0] * 4, [12] * 4, [20] * 4, [2, 9, 8, 2]]),
        fits.Column("Y", "4D", array=[[16.0] * 4, [12] * 4, [20] * 4, [2, 3, 9, 2]]),
        fits.Column("R", "2D", array=[[8.0, 0], [3, 2], [4, 6], [0, 0]]),
        fits.Column("ROTANG", "1D", array=[0.0, 20, 45, 0]),
        fits.Column("COMPONENT", "J", array=[1, 1, 2, 3]),
    ]
    fits.BinTableHDU.from_columns(columns, name="REGION").writeto(folder / "table_reg.fits")
    columns = [
        fits.Column("RA", "1D", unit="deg", array=[161.92, 161.921]),
        fits.Column("DEC", "1D", unit="deg", array=[-25.75, -25.751]),
        fits.Column("R", "1E", unit="arcsec", array=[8.0, 4.0]),
    ]
    fits.BinTableHDU.from_columns(columns, name="SRCLIST").writeto(folder / "sources_reg.fits")


def _maps(image, folder):
    """All maps of an image, packed ones, one in an extension, and a PSF."""
    from astropy.io import fits

    import jaxspec as js

    scale = {"LTM1_1": 0.25, "LTM2_2": 0.25, "LTV1": -900.0, "LTV2": -800.0}
    full = image.replace(
        background=np.full(image.shape, 0.1), rms=np.sqrt(image.counts + 1),
        header=image.header | scale,
    )  # fmt: skip
    names = ("exposure", "background", "rms", "mask")
    js.write_image(full, folder / "counts.fits", **{k: folder / f"{k}.fits" for k in names})
    with fits.open(folder / "counts.fits") as hdus:
        packed = fits.CompImageHDU(hdus[0].data, hdus[0].header)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / "counts_fpacked.fits")
    y, x = np.indices((15, 15)) - 7
    fits.PrimaryHDU(np.exp(-(x**2 + y**2) / 8.0).astype(np.float32)).writeto(folder / "psf.fits")


def _profiles(folder):
    from astropy.io import fits

    r = np.arange(0.5, 15.5)
    sb = 10 / (1 + (r / 4) ** 2) ** 1.5 + 0.1
    np.savetxt(folder / "p.txt", np.column_stack([r, sb, 0.1 * sb]), header="r sb err")
    four = np.column_stack([r, np.full(len(r), 0.5), sb, 0.1 * sb])
    np.savetxt(folder / "p4.txt", four, header="r dr sb err")
    for name, radius in (("p", r), ("p2", np.column_stack([r - 0.5, r + 0.5]))):
        columns = [
            fits.Column("R", "2D" if radius.ndim > 1 else "D", array=radius, unit="arcsec"),
            fits.Column("SUR_BRI", "D", array=sb, unit="count/arcsec2"),
            fits.Column("SUR_BRI_ERR", "D", array=sb / 9),
        ]
        fits.BinTableHDU.from_columns(columns).writeto(folder / f"{name}.fits")


def _results(spectrum, image, folder):
    """Tables of results in every format, joint fits, posteriors, the summary of a run."""
    import jaxspec as js

    two = [spectrum, spectrum.replace(name="b")]
    result = js.fit("powerlaw", two)
    for ending in ("ecsv", "fits", "parquet"):
        result.write(folder / "table" / f"t.{ending}")
    together = js.fit("powerlaw", two, joint=["x", "x"])
    together.write(folder / "table" / "together.ecsv")
    models = {"a": ("powerlaw", two[:1]), "b": ("powerlaw", two[1:])}
    js.fit(models, joint=True).write(folder / "table" / "joint.ecsv")
    js.fit("beta", image).write(folder / "table" / "image.ecsv")
    for name, model, data in (
        ("p.nc", "powerlaw", spectrum.replace(background=None)),
        ("image.nc", "beta", image),
    ):
        drawn = js.sample(
            js.Model(model), data, draws=30, warmup=30, chains=2, seed=1, progress=False
        )
        drawn.save(folder / "posterior" / name)
    names = ["fits.ecsv", "spectra.png"]
    text = json.dumps({"command": "jaxspec fit", "finished": True, "files": names}, indent=2)
    (folder / "summary" / "summary.json").write_text(text)
    for name in names:
        (folder / "summary" / name).write_text("x")


def _real(data, folder):
    """Some real files beside the simulated ones, no larger than 2 MB, with what they name."""
    for name in ("asca", "chandra", "nustar", "nicer"):
        for file in sorted((data / "xray_spectra" / name).glob("*")):
            # r1grspec.pha names a response that is not there
            if file.is_file() and file.stat().st_size < 2e6 and file.name != "r1grspec.pha":
                shutil.copy(file, folder / "pha" / file.name)
    for file in sorted((data / "rxte_pca" / "sample" / "stdprod").glob("*/*.rsp")):
        shutil.copy(file, folder / "response" / f"real_{file.name}")
