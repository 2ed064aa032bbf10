"""RXTE PCA standard products as files: spectrum, background and response.

Columns, keywords and the order of the extensions follow the public products (OGIP 92-007 and
CAL/GEN/92-002).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from jaxspec._types import Response
from jaxspec.demo.pca_response import ENERGY_EDGES, THRESHOLD
from jaxspec.read.write import matrix_tables, put_keywords, store

N_CHANNEL = 129
#: MJDREF of RXTE, terrestrial time.
MJDREFI, MJDREFF = 49353, 6.965740740000000e-04

_ORIGIN = {"ORIGIN": "jaxspec", "CREATOR": "simulated, not an observation"}


def iso_date(met):
    """Calendar date (terrestrial time) of a mission elapsed time in seconds."""
    start = datetime(1858, 11, 17) + timedelta(days=MJDREFI + MJDREFF)
    return (start + timedelta(seconds=float(met))).isoformat(timespec="seconds")


def _times(gti):
    """Keywords of the times; dates are dd/mm/yy before 1999, as the archive has them."""
    keywords = {"TIMESYS": "TT", "TIMEUNIT": "s", "MJDREFI": MJDREFI, "MJDREFF": MJDREFF}
    keywords |= {"TSTART": float(gti[0, 0]), "TSTOP": float(gti[-1, 1])}
    for word, met in (("OBS", gti[0, 0]), ("END", gti[-1, 1])):
        date = iso_date(met)
        old = f"{date[8:10]}/{date[5:7]}/{date[2:4]}"
        keywords |= {f"DATE-{word}": old if date < "1999" else date, f"TIME-{word}": date[11:]}
    return keywords


def write_spectrum(path, counts, gti, pcus, *, object_name, position, respfile, backfile="NONE"):
    """Write a PHA file: SPECTRUM (129 channels from 0, errors sqrt(counts)) and STDGTI.

    Parameters
    ----------
    path : path, which must not exist; gzipped if it ends in ``.gz``.
    counts : (129,) float64 counts.
    gti : (n, 2) float64 s, good time intervals as mission elapsed time; they sum to EXPOSURE.
    pcus : tuple of int, the units that were on.
    object_name : str
    position : (2,) float deg, right ascension and declination.
    respfile, backfile : str, file names.
    """
    exposure, times = float(np.sum(gti[:, 1] - gti[:, 0])), _times(gti)
    summed = [f"X{layer}{side}SpecPcu{pcu}" for pcu in pcus for layer in "123" for side in "LR"]
    columns = [("CHANNEL", "1I", None, np.arange(N_CHANNEL)), ("COUNTS", "1D", "count", counts)]
    spectrum = _table("SPECTRUM", [*columns, ("STAT_ERR", "1D", "count", np.sqrt(counts))])
    keywords = dict(
        HDUCLASS="OGIP", HDUCLAS1="SPECTRUM", HDUCLAS2="TOTAL", HDUCLAS3="COUNT",
        HDUVERS1="1.1.0", PHAVERSN="1992a", TELESCOP="XTE", INSTRUME="PCA", FILTER="NONE",
        POISSERR=False, SYS_ERR=0, GROUPING=0, QUALITY=0, EXPOSURE=exposure, TIMEDEL=16.0,
        AREASCAL=1.0, BACKSCAL=1.0, CORRSCAL=0.0, BACKFILE=backfile, CORRFILE="NONE",
        RESPFILE=respfile, ANCRFILE="NONE", XFLT0001="NONE", CHANTYPE="PHA", DETCHANS=N_CHANNEL,
        TLMIN1=0, TLMAX1=N_CHANNEL - 1, OBJECT=object_name, RA_OBJ=position[0],
        DEC_OBJ=position[1], EQUINOX=2000.0,
    )  # fmt: skip
    rows = {f"ROWID{i}": name for i, name in enumerate(summed, start=1)}
    put_keywords(spectrum.header, keywords | times | rows | _ORIGIN)
    good = _table("STDGTI", [("START", "1D", "s", gti[:, 0]), ("STOP", "1D", "s", gti[:, 1])])
    keywords = {"HDUCLASS": "OGIP", "HDUCLAS1": "GTI", "HDUCLAS2": "ALL", "INSTRUME": "PCA"}
    put_keywords(good.header, keywords | times | {"TIMEZERO": 0.0, "ONTIME": exposure})
    store([spectrum, good], path, overwrite=False)


def write_response(path, matrix, edges, pcus):
    """Write a full response file (RSP).

    Parameters
    ----------
    path : path, which must not exist; gzipped if it ends in ``.gz``.
    matrix : (300, 129) float32 cm2.
    edges : (130,) float64 keV, nominal channel edges.
    pcus : tuple of int; as in the archive, MATRIX comes first for one unit and EBOUNDS otherwise.
    """
    from scipy.sparse import csr_array

    energy, bounds = ENERGY_EDGES.astype(np.float32), edges.astype(np.float32)
    response = Response(
        e_lo=energy[:-1], e_hi=energy[1:], matrix=csr_array(matrix), area=np.ones(len(matrix)),
        channel=np.arange(N_CHANNEL), e_min=bounds[:-1], e_max=bounds[1:],
    )  # fmt: skip
    tables = matrix_tables(response, response.matrix, "SPECRESP MATRIX", "FULL")
    tables[0].header["LO_THRES"] = THRESHOLD
    own = dict(TELESCOP="XTE", INSTRUME="PCA", DETNAM=f"PCU{pcus[0]}", CHANTYPE="PHA")
    for table in tables:
        put_keywords(table.header, own | _ORIGIN)
    store(tables if len(pcus) == 1 else tables[::-1], path, overwrite=False)


def _table(name, columns):
    from astropy.io import fits

    made = [fits.Column(key, form, unit=unit, array=data) for key, form, unit, data in columns]
    return fits.BinTableHDU.from_columns(made, name=name)
