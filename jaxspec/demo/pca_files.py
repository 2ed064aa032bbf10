"""The bytes of RXTE PCA standard products: spectrum, background and response files.

Layout, columns, keywords and the order of the extensions follow the public products (OGIP
92-007 and CAL/GEN/92-002). The headers are written here as text, card by card, because a
general FITS library needs several milliseconds for each file and an archive has many.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np

from jaxspec.demo.pca_response import ENERGY_EDGES, THRESHOLD

BLOCK = 2880
N_CHANNEL = 129
#: MJDREF of RXTE, terrestrial time.
MJDREFI, MJDREFF = 49353, 6.965740740000000e-04

_PHA = np.dtype([("CHANNEL", ">i2"), ("COUNTS", ">f8"), ("STAT_ERR", ">f8")])
_GTI = np.dtype([("START", ">f8"), ("STOP", ">f8")])
_EBOUNDS = np.dtype([("CHANNEL", ">i4"), ("E_MIN", ">f4"), ("E_MAX", ">f4")])


def card(key, value, comment=""):
    """One 80-character header card.

    Examples
    --------
    >>> card("DETCHANS", 129, "channels").rstrip()
    'DETCHANS=                  129 / channels'
    """
    if isinstance(value, str):
        text = "'" + value.replace("'", "''").ljust(8) + "'"
        text = text.ljust(20)
    elif isinstance(value, bool):
        text = ("T" if value else "F").rjust(20)
    elif isinstance(value, int | np.integer):
        text = str(value).rjust(20)
    else:
        text = f"{value:.13E}".rjust(20)
    line = f"{key:<8}= {text} / {comment}" if comment else f"{key:<8}= {text}"
    return line[:80].ljust(80)


def _pad(data, fill):
    return data + fill * (-len(data) % BLOCK)


def _header(cards):
    text = "".join(card(*entry) for entry in cards) + "END".ljust(80)
    return _pad(text.encode("ascii"), b" ")


def _table(name, rows, units, cards, formats, heap=b""):
    """Return a BINTABLE extension: header and data; ``units`` and ``formats`` by column name."""
    head = [("XTENSION", "BINTABLE", "binary table extension"), ("BITPIX", 8), ("NAXIS", 2)]
    head += [("NAXIS1", rows.dtype.itemsize), ("NAXIS2", len(rows)), ("PCOUNT", len(heap))]
    head += [("GCOUNT", 1), ("TFIELDS", len(formats))]
    for i, (column, form) in enumerate(formats.items(), start=1):
        head += [(f"TTYPE{i}", column), (f"TFORM{i}", form)]
        if column in units:
            head.append((f"TUNIT{i}", units[column]))
    head += [("EXTNAME", name), ("HDUCLASS", "OGIP"), *cards]
    return _header(head) + _pad(rows.tobytes() + heap, b"\0")


def iso_date(met):
    """Calendar date (terrestrial time) of a mission elapsed time in seconds."""
    start = datetime(1858, 11, 17) + timedelta(days=MJDREFI + MJDREFF)
    return (start + timedelta(seconds=float(met))).isoformat(timespec="seconds")


def _date_cards(gti):
    """DATE-OBS and the rest; dd/mm/yy before 1999, as the archive has it."""
    cards = []
    for word, met in (("OBS", gti[0, 0]), ("END", gti[-1, 1])):
        date = iso_date(met)
        old = f"{date[8:10]}/{date[5:7]}/{date[2:4]}"
        cards.append((f"DATE-{word}", old if date < "1999" else date))
        cards.append((f"TIME-{word}", date[11:]))
    return [*cards, ("TIMESYS", "TT", "time system")]


def _mission(*, filter_=True):
    cards = [("TELESCOP", "XTE", "mission"), ("INSTRUME", "PCA", "instrument")]
    return [*cards, ("FILTER", "NONE")] if filter_ else cards


@lru_cache(maxsize=64)
def _row_cards(pcus):
    names = [f"X{layer}{side}SpecPcu{pcu}" for pcu in pcus for layer in "123" for side in "LR"]
    return tuple((f"ROWID{i}", name, "column summed") for i, name in enumerate(names, start=1))


def pha_bytes(counts, stat_err, gti, pcus, *, object_name, position, respfile, backfile="NONE"):
    """Return a PHA file: PRIMARY, SPECTRUM (129 channels from 0) and STDGTI.

    Parameters
    ----------
    counts, stat_err : (129,) float64 counts.
    gti : (n, 2) float64 s, good time intervals as mission elapsed time; they sum to EXPOSURE.
    pcus : tuple of int, the units that were on.
    object_name : str.
    position : (2,) float deg, right ascension and declination.
    respfile, backfile : str, file names.

    Returns
    -------
    bytes
    """
    ra, dec = position
    dates = _date_cards(gti)
    times = [("MJDREFI", MJDREFI, "integer part of MJDREF"), ("MJDREFF", MJDREFF)]
    times += [("TSTART", gti[0, 0], "start"), ("TSTOP", gti[-1, 1], "stop")]
    sky = [("OBJECT", object_name), ("RA_OBJ", ra), ("DEC_OBJ", dec), ("EQUINOX", 2000.0)]
    exposure = float(np.sum(gti[:, 1] - gti[:, 0]))

    primary = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
    primary += [("CONTENT", "SPECTRUM"), ("ORIGIN", "jaxspec", "simulated, not an observation")]
    primary += _mission(filter_=False) + times + sky + dates

    spectrum = [("HDUCLAS1", "SPECTRUM"), ("HDUCLAS2", "TOTAL"), ("HDUCLAS3", "COUNT")]
    spectrum += [("HDUVERS1", "1.1.0"), ("POISSERR", False, "errors are in STAT_ERR")]
    spectrum += [("SYS_ERR", 0), ("GROUPING", 0), ("QUALITY", 0), *_mission()]
    spectrum += [("EXPOSURE", exposure, "s"), ("AREASCAL", 1.0), ("BACKSCAL", 1.0)]
    spectrum += [("CORRSCAL", 0.0), ("BACKFILE", backfile), ("CORRFILE", "NONE")]
    spectrum += [("RESPFILE", respfile), ("ANCRFILE", "NONE"), ("XFLT0001", "NONE")]
    spectrum += [("CHANTYPE", "PHA"), ("DETCHANS", N_CHANNEL), ("TLMIN1", 0)]
    spectrum += [("TLMAX1", N_CHANNEL - 1), *sky[:1], *_row_cards(pcus)]
    spectrum += [("ORIGIN", "jaxspec", "simulated, not an observation"), *sky[1:]]
    spectrum += [("PHAVERSN", "1992a"), *dates, ("TIMEUNIT", "s"), *times, ("TIMEDEL", 16.0)]

    rows = np.empty(N_CHANNEL, _PHA)
    rows["CHANNEL"], rows["COUNTS"], rows["STAT_ERR"] = np.arange(N_CHANNEL), counts, stat_err
    units = {"COUNTS": "count", "STAT_ERR": "count", "START": "s", "STOP": "s"}
    formats = {"CHANNEL": "1I", "COUNTS": "1D", "STAT_ERR": "1D"}
    data = _table("SPECTRUM", rows, units, spectrum, formats)

    intervals = np.empty(len(gti), _GTI)
    intervals["START"], intervals["STOP"] = gti[:, 0], gti[:, 1]
    good = [("HDUCLAS1", "GTI"), ("HDUCLAS2", "ALL"), ("INSTRUME", "PCA"), *times[:2], *dates]
    good += [("TIMEZERO", 0.0), ("TIMEUNIT", "s"), ("ONTIME", exposure)]
    return (
        _header(primary)
        + data
        + _table("STDGTI", intervals, units, good, {"START": "1D", "STOP": "1D"})
    )


def rsp_bytes(matrix, edges, pcus):
    """Return a full response file (RSP) with a variable-length MATRIX column.

    Parameters
    ----------
    matrix : (300, 129) float32 cm2.
    edges : (130,) float64 keV, nominal channel edges.
    pcus : tuple of int; as in the archive, MATRIX comes first for one unit and EBOUNDS otherwise.

    Returns
    -------
    bytes
    """
    primary = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
    primary += [("CONTENT", "RESPONSE MATRIX"), ("ORIGIN", "jaxspec", "analytic, for simulations")]
    first, second = (_matrix, _ebounds) if len(pcus) == 1 else (_ebounds, _matrix)
    tables = [part(matrix, edges, f"PCU{pcus[0]}") for part in (first, second)]
    return b"".join([_header(primary), *tables])


def _ebounds(_matrix, edges, detector):
    rows = np.empty(N_CHANNEL, _EBOUNDS)
    rows["CHANNEL"], rows["E_MIN"], rows["E_MAX"] = np.arange(N_CHANNEL), edges[:-1], edges[1:]
    cards = [("HDUCLAS1", "RESPONSE"), ("HDUCLAS2", "EBOUNDS"), ("HDUVERS", "1.3.0")]
    cards += [*_mission(), ("DETNAM", detector), ("DETCHANS", N_CHANNEL), ("CHANTYPE", "PHA")]
    cards += [("EFFAREA", 1.0), ("TLMIN1", 0), ("TLMAX1", N_CHANNEL - 1)]
    formats = {"CHANNEL": "J", "E_MIN": "E", "E_MAX": "E"}
    return _table("EBOUNDS", rows, {"E_MIN": "keV", "E_MAX": "keV"}, cards, formats)


def _matrix(matrix, _edges, detector):
    groups = [_groups(row) for row in matrix]
    n_max = max(1, max(len(first) for first, _ in groups))
    vector = (n_max,) if n_max > 1 else ()
    layout = [("lo", ">f4"), ("hi", ">f4"), ("n", ">i2"), ("f", ">i2", vector)]
    layout += [("c", ">i2", vector), ("length", ">i4"), ("offset", ">i4")]
    rows = np.zeros(len(matrix), layout)
    rows["lo"], rows["hi"] = ENERGY_EDGES[:-1], ENERGY_EDGES[1:]
    rows["n"] = [len(first) for first, _ in groups]
    first, count = np.zeros((2, len(matrix), n_max), int)
    for i, (f, c) in enumerate(groups):
        first[i, : len(f)], count[i, : len(c)] = f, c
    rows["f"], rows["c"] = (first, count) if n_max > 1 else (first[:, 0], count[:, 0])
    rows["length"] = count.sum(axis=1)
    rows["offset"] = 4 * (np.cumsum(rows["length"]) - rows["length"])
    heap = matrix[matrix > 0].astype(">f4").tobytes()

    times = "" if n_max == 1 else str(n_max)
    formats = {"ENERG_LO": "E", "ENERG_HI": "E", "N_GRP": "I", "F_CHAN": f"{times}I"}
    formats |= {"N_CHAN": f"{times}I", "MATRIX": f"PE({rows['length'].max()})"}
    cards = [("TLMIN4", 0), ("TLMAX4", N_CHANNEL - 1), ("HDUCLAS1", "RESPONSE")]
    cards += [("HDUCLAS2", "RSP_MATRIX"), ("HDUCLAS3", "FULL"), ("HDUVERS", "1.3.0")]
    cards += [*_mission(), ("DETNAM", detector), ("DETCHANS", N_CHANNEL)]
    cards += [("NUMGRP", int(rows["n"].sum())), ("NUMELT", int(rows["length"].sum()))]
    cards += [("CHANTYPE", "PHA"), ("LO_THRES", THRESHOLD), ("EFFAREA", 1.0)]
    units = {"ENERG_LO": "keV", "ENERG_HI": "keV"}
    return _table("SPECRESP MATRIX", rows, units, cards, formats, heap)


def _groups(row):
    """First channel and length of each run of positive values."""
    step = np.diff(np.concatenate([[0], (row > 0).astype(np.int8), [0]]))
    first = np.flatnonzero(step == 1)
    return first, np.flatnonzero(step == -1) - first
