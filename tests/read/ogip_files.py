"""Tiny OGIP files, built with astropy, for the tests of the reader."""

import io

import numpy as np
from astropy.io import fits

COUNTS = np.array([0, 4, 9, 2, 7, 1])
DENSE = np.array(
    [[0.5, 0.5, 0, 0, 0, 0], [0, 0.25, 0.5, 0.25, 0, 0], [0.1, 0, 0, 0.4, 0.5, 0], [0] * 6]
)
E_LO, E_HI = np.array([0.5, 1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 5.0])
E_MIN, E_MAX = np.arange(6) * 0.8 - 0.01, np.arange(6) * 0.8 + 0.79


def to_bytes(*hdus, primary=None):
    stream = io.BytesIO()
    fits.HDUList([primary or fits.PrimaryHDU(), *hdus]).writeto(stream)
    return stream.getvalue()


def table(name, columns, keywords=None):
    """``columns``: name -> (format, values) or (format, values, unit)."""
    made = [
        fits.Column(k, v[0], array=v[1], unit=v[2] if len(v) > 2 else None)
        for k, v in columns.items()
        if v is not None
    ]
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    for key, value in (keywords or {}).items():
        if value is not None:
            hdu.header[key] = value
    return hdu


def pha_hdu(channel=None, counts=COUNTS, columns=None, name="SPECTRUM", **keywords):
    channel = np.arange(len(counts)) if channel is None else channel
    made = {"CHANNEL": ("I", channel), "COUNTS": ("J", counts, "count")} | (columns or {})
    base = dict(EXPOSURE=100.0, POISSERR=True, HDUCLAS1="SPECTRUM", TELESCOP="TEST")
    base |= dict(DETCHANS=len(counts), RESPFILE="none", ANCRFILE="NONE", BACKFILE="")
    return table(name, made, base | {k.replace("_OBS", "-OBS"): v for k, v in keywords.items()})


def pha(*args, extra=(), primary=None, **kwargs):
    return to_bytes(pha_hdu(*args, **kwargs), *extra, primary=primary)


def groups(dense, first):
    """N_GRP, F_CHAN, N_CHAN and MATRIX of every row (F_CHAN counted from ``first``)."""
    rows = []
    for row in np.asarray(dense):
        used = np.flatnonzero(row)
        runs = np.split(used, np.flatnonzero(np.diff(used) > 1) + 1) if len(used) else []
        rows.append(([r[0] + first for r in runs], [len(r) for r in runs], row[used]))
    return rows


def objects(values, kind):
    out = np.empty(len(values), object)
    for i, v in enumerate(values):
        out[i] = np.asarray(v, kind)
    return out


def fill(values, width, kind):
    out = np.zeros((len(values), width), kind)
    for i, v in enumerate(values):
        out[i, : len(v)] = v
    return out


def matrix_hdu(
    dense=DENSE, first=0, tlmin=0, e_lo=E_LO, e_hi=E_HI, layout="vector", unit="keV", **keywords
):
    """``layout``: scalar, vector or variable groups; "fixed" has a fixed-length MATRIX too."""
    rows = groups(dense, first)
    n_grp = [len(r[0]) for r in rows]
    width, longest = max(n_grp), max(len(r[2]) for r in rows)
    if layout == "variable":
        f = (f"PI({width})", objects([r[0] for r in rows], np.int16))
        n = (f"PI({width})", objects([r[1] for r in rows], np.int16))
    elif layout == "scalar":
        f = ("J", fill([r[0] for r in rows], 1, int)[:, 0])
        n = ("J", fill([r[1] for r in rows], 1, int)[:, 0])
    else:
        f = (f"{width}I", fill([r[0] for r in rows], width, int))
        n = (f"{width}I", fill([r[1] for r in rows], width, int))
    if layout == "fixed":
        m = (f"{longest}E", fill([r[2] for r in rows], longest, np.float32))
    else:
        m = (f"PE({longest})", objects([r[2] for r in rows], np.float32))
    columns = dict(ENERG_LO=("E", e_lo, unit), ENERG_HI=("E", e_hi, unit), N_GRP=("I", n_grp))
    columns |= dict(F_CHAN=f, N_CHAN=n, MATRIX=m)
    base = dict(HDUCLAS1="RESPONSE", HDUCLAS2="RSP_MATRIX", TLMIN4=tlmin)
    return table("MATRIX", columns, base | keywords)


def ebounds_hdu(first=0, e_min=E_MIN, e_max=E_MAX, unit="keV", kind="I"):
    channel = np.arange(first, first + len(e_min))
    columns = dict(CHANNEL=(kind, channel), E_MIN=("E", e_min, unit), E_MAX=("E", e_max, unit))
    return table("EBOUNDS", columns, dict(HDUCLAS2="EBOUNDS", TLMIN1=first))


def rmf(bounds_first=False, ebounds=None, **kwargs):
    hdus = [matrix_hdu(**kwargs), ebounds_hdu() if ebounds is None else ebounds]
    return to_bytes(*(hdus[::-1] if bounds_first else hdus))


def arf(e_lo=E_LO, e_hi=E_HI, area=(10.0, 20.0, 30.0, 40.0), unit="keV", area_unit="cm**2"):
    columns = dict(ENERG_LO=("E", e_lo, unit), ENERG_HI=("E", e_hi, unit))
    columns["SPECRESP"] = ("E", area, area_unit)
    return to_bytes(table("SPECRESP", columns, dict(HDUCLAS2="SPECRESP")))
