"""Write OGIP spectra (PHA type I) and responses (RMF, RSP, ARF) with their mandatory keywords."""

from __future__ import annotations

import gzip
import io
import math
import os
from pathlib import Path

import numpy as np

from jaxspec._ask import expect, numbers, path_text
from jaxspec._files import write_bytes
from jaxspec._types import Response, Spectrum
from jaxspec.errors import InputError
from jaxspec.read.paths import is_set, split_selectors, twins

_LINKS = dict(backfile="BACKFILE", respfile="RESPFILE", ancrfile="ANCRFILE", corrfile="CORRFILE")
_OWN = {
    "BACKFILE",
    "RESPFILE",
    "ANCRFILE",
    "CORRFILE",
    "CHANTYPE",
    "DETCHANS",
    "HDUCLAS2",
    "FILTER",
}


def write_pha(
    spectrum: Spectrum,
    path,
    *,
    backfile=None,
    respfile=None,
    ancrfile=None,
    corrfile=None,
    overwrite=False,
):
    """Write one spectrum as a PHA type I file.

    Parameters
    ----------
    spectrum : Spectrum
        Its background, correction and response are not written, only their names and CORRSCAL;
        filters are not either.
    path : str or os.PathLike
        Gzipped if it ends in ``.gz`` or ``.FTZ``; local or any fsspec address.
    backfile, respfile, ancrfile, corrfile : str, optional
        Links; by default those in the header of the spectrum whose files lie beside the new one,
        else "none".
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the file exists and may not be replaced, or cannot be written.

    Examples
    --------
    >>> s = Spectrum("a", channel=np.arange(3), counts=np.array([1.0, 4, 2]), exposure=10.0)
    >>> write_pha(s, "memory://doc/w.pha", respfile="a.rsp")
    """
    from astropy.io import fits

    expect(spectrum, "counts", "spectrum", "a Spectrum")
    header = dict(spectrum.header or {})
    among = spectrum.channel if spectrum.response is None else spectrum.response.channel
    columns = [fits.Column("CHANNEL", "J", array=spectrum.channel), _counts_column(spectrum)]
    keywords = {}
    for name, values in (("STAT_ERR", spectrum.stat_err), ("SYS_ERR", spectrum.sys_err)):
        if values is None:
            keywords[name] = 0
        else:
            unit = "count" if name == "STAT_ERR" else None
            columns.append(fits.Column(name, "D", unit=unit, array=values))
    for name, values in (("QUALITY", spectrum.quality), ("GROUPING", spectrum.grouping)):
        if values is None:
            keywords[name] = 0
        else:
            columns.append(fits.Column(name, "I", array=values))
    for name, values in (("AREASCAL", spectrum.areascal), ("BACKSCAL", spectrum.backscal)):
        if np.ndim(values):
            columns.append(fits.Column(name, "D", array=values))
        else:
            keywords[name] = float(values)
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    given = dict(backfile=backfile, respfile=respfile, ancrfile=ancrfile, corrfile=corrfile)
    links = {k: given[a] or _still_there(header.get(k), path) for a, k in _LINKS.items()}
    put_keywords(
        hdu.header,
        dict(
            HDUCLASS="OGIP",
            HDUCLAS1="SPECTRUM",
            HDUVERS="1.2.1",
            HDUCLAS2=header.get("HDUCLAS2") or "TOTAL",
            HDUCLAS3="COUNT",
            HDUCLAS4="TYPE:I",
            PHAVERSN="1992a",
            TELESCOP=header.get("TELESCOP", "UNKNOWN"),
            INSTRUME=header.get("INSTRUME", "UNKNOWN"),
            FILTER=header.get("FILTER", "none"),
            EXPOSURE=float(spectrum.exposure),
            POISSERR=bool(spectrum.poisserr),
            CHANTYPE=header.get("CHANTYPE", "PI"),
            DETCHANS=int(header.get("DETCHANS", len(among))),
            TLMIN1=int(header.get("TLMIN1", among.min())),
            TLMAX1=int(header.get("TLMAX1", among.max())),
            CORRSCAL=_corrscal(spectrum, links["CORRFILE"]),
            **keywords,
            **links,
        ),
    )
    put_keywords(
        hdu.header, {k: v for k, v in header.items() if k not in hdu.header and k not in _OWN}
    )
    store([hdu], path, overwrite)


def _corrscal(spectrum, link):
    """CORRSCAL of the spectrum, 0 where no correction is named."""
    if link == "none":
        return 0.0
    stated = (spectrum.header or {}).get("CORRSCAL", 1.0)
    return float(stated if spectrum.correction is None else spectrum.corrscal)


def _still_there(link, path):
    """A link of the original file, if what it names lies beside the new one too, else "none"."""
    if not is_set(link):
        return "none"
    folder = Path(str(path)).parent
    names = {link.strip(), split_selectors(link.strip()).file}
    there = any((folder / n).is_file() for name in names for n in (name, *twins(name)))
    return link if there else "none"


def write_arf(response, path, *, overwrite=False):
    """Write the effective area of a response as an ARF file.

    Parameters
    ----------
    response : Response, or tuple (e_lo, e_hi, area) in keV and cm2
    path, overwrite
        As for `write_pha`.

    Raises
    ------
    InputError
        If the file exists and may not be replaced, or cannot be written.

    Examples
    --------
    >>> write_arf((np.array([1.0, 2]), np.array([2.0, 3]), np.array([10.0, 20])), "memory://w.arf")
    """
    from astropy.io import fits

    telescope = getattr(response, "telescope", "") or "UNKNOWN"
    if isinstance(response, Response):
        response = (response.e_lo, response.e_hi, response.area)
    if not isinstance(response, tuple | list) or len(response) != 3:
        remedy = "give a Response, or (e_lo, e_hi, area)"
        raise InputError(f"is {response!r:.60}", parameter="response", remedy=remedy)
    e_lo, e_hi, area = (numbers(a, "response") for a in response)
    columns = [
        fits.Column("ENERG_LO", "D", unit="keV", array=e_lo),
        fits.Column("ENERG_HI", "D", unit="keV", array=e_hi),
        fits.Column("SPECRESP", "D", unit="cm**2", array=area),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECRESP")
    more = dict(ARFVERSN="1992a", TELESCOP=telescope)
    put_keywords(hdu.header, _response_keywords("SPECRESP", "1.1.0") | more)
    store([hdu], path, overwrite)


def write_rmf(response: Response, path, *, overwrite=False):
    """Write the matrix of a response, without its area, as an RMF file.

    Parameters
    ----------
    response : Response
    path, overwrite
        As for `write_pha`.

    Raises
    ------
    InputError
        If the file exists and may not be replaced, or cannot be written.

    Examples
    --------
    The area goes into a file of its own::

        write_rmf(response, "a.rmf")
        write_arf(response, "a.arf")
    """
    expect(response, "matrix", "response", "a Response")
    store(matrix_tables(response, response.matrix, "MATRIX", "REDIST"), path, overwrite)


def write_response(response: Response, path, *, overwrite=False):
    """Write a full response, the matrix times the area, as an RSP file.

    Parameters
    ----------
    response : Response
        Where the area is one throughout, the matrix is written unchanged.
    path, overwrite
        As for `write_pha`.

    Raises
    ------
    InputError
        If the file exists and may not be replaced, or cannot be written, or the response has a part
        on wider energy bins and an area.

    Examples
    --------
    One file that needs no ARF::

        write_response(response, "a.rsp")
    """
    expect(response, "matrix", "response", "a Response")
    matrix = response.matrix
    if response.wide and not np.all(response.area == 1.0):
        raise InputError(
            f"{response.name} has a part on wider energy bins, over which the area changes",
            file=os.fspath(path),
            remedy="write two files, with write_rmf and write_arf",
        )
    if not np.all(response.area == 1.0):
        matrix = matrix.copy()
        matrix.data = matrix.data * np.repeat(response.area, np.diff(matrix.indptr))
    store(matrix_tables(response, matrix, "SPECRESP MATRIX", "FULL"), path, overwrite)


# ---------------------------------------------------------------------------- parts


def _counts_column(spectrum):
    from astropy.io import fits

    counts = np.asarray(spectrum.counts, float)
    whole = np.all(counts == np.rint(counts)) and np.all(abs(counts) < 2**31)
    return fits.Column("COUNTS", "J" if whole else "D", unit="count", array=counts)


def _response_keywords(kind, version):
    return dict(
        HDUCLASS="OGIP",
        HDUCLAS1="RESPONSE",
        HDUVERS1="1.0.0",
        HDUCLAS2=kind,
        HDUVERS2=version,
        TELESCOP="UNKNOWN",
        INSTRUME="UNKNOWN",
        FILTER="none",
    )


def matrix_tables(response, matrix, name, kind) -> list:
    """Tables of a response: its matrices under a name and their HDUCLAS3, and EBOUNDS."""
    from astropy.io import fits

    grid = response.e_lo, response.e_hi
    tables = [_matrix_table(response.channel, *grid, matrix, name, kind)]
    tables += [_wide_table(response, part, name, kind) for part in response.wide]
    columns = [
        fits.Column("CHANNEL", "J", array=response.channel),
        fits.Column("E_MIN", "D", unit="keV", array=response.e_min),
        fits.Column("E_MAX", "D", unit="keV", array=response.e_max),
    ]
    bounds = fits.BinTableHDU.from_columns(columns, name="EBOUNDS")
    limits = dict(TLMIN1=int(response.channel[0]), TLMAX1=int(response.channel[-1]))
    common = _of_matrix(response.channel)
    put_keywords(bounds.header, _response_keywords("EBOUNDS", "1.2.0") | common | limits)
    for table in (*tables, bounds):
        table.header["TELESCOP"] = response.telescope or "UNKNOWN"
    return [*tables, bounds]


def _of_matrix(channel):
    return dict(RMFVERSN="1992a", CHANTYPE="PI", DETCHANS=len(channel))


def _wide_table(response, part, name, kind):
    """Table of a `Wide`: the rows that act at some energy of the response."""
    from scipy.sparse import csr_array, vstack

    kept = part.column >= 0
    place = csr_array(
        (np.ones(kept.sum()), (np.flatnonzero(kept), part.column[kept])),
        shape=(len(kept), len(response.channel)),
    )
    matrix = csr_array(vstack([csr_array(rows) @ place for _, _, rows in part.blocks()]))
    used, first = np.unique(part.row, return_index=True)
    last = np.append(first[1:], len(part.row)) - 1
    matrix = matrix[used].astype(np.float32 if part.data.dtype.itemsize == 4 else float)
    return _matrix_table(
        response.channel, response.e_lo[first], response.e_hi[last], matrix, name, kind
    )


def _matrix_table(channel, e_lo, e_hi, matrix, name, kind):
    """MATRIX extension: rows as runs of neighbouring channels."""
    from astropy.io import fits

    first, channels = int(channel[0]), len(channel)
    matrix = matrix.sorted_indices()
    n_grp, f_chan, n_chan = _runs(matrix)
    widest = max(int(n_grp.max(initial=0)), 1)
    vector = f"{widest}J" if widest > 1 else "J"
    code = "E" if matrix.data.dtype == np.float32 else "D"
    rows = np.empty(len(n_grp), object)
    for i, (a, b) in enumerate(zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)):
        rows[i] = matrix.data[a:b]
    columns = [
        fits.Column("ENERG_LO", "D", unit="keV", array=e_lo),
        fits.Column("ENERG_HI", "D", unit="keV", array=e_hi),
        fits.Column("N_GRP", "J", array=n_grp),
        fits.Column("F_CHAN", vector, array=_padded(f_chan + first, n_grp, widest)),
        fits.Column("N_CHAN", vector, array=_padded(n_chan, n_grp, widest)),
        fits.Column("MATRIX", f"P{code}()", array=rows),
    ]
    table = fits.BinTableHDU.from_columns(columns, name=name)
    limits = dict(TLMIN4=first, TLMAX4=first + channels - 1)
    size = dict(NUMGRP=int(n_grp.sum()), NUMELT=int(matrix.nnz), LO_THRES=0.0)
    put_keywords(
        table.header,
        _response_keywords("RSP_MATRIX", "1.3.0")
        | _of_matrix(channel)
        | dict(HDUCLAS3=kind)
        | limits
        | size,
    )
    return table


def _runs(matrix):
    """Find runs of neighbouring channels: number per row, first index and length of each."""
    index, rows = matrix.indices.astype(np.int64), matrix.shape[0]
    row = np.repeat(np.arange(rows), np.diff(matrix.indptr))
    begin = np.ones(len(index), bool)
    begin[1:] = (np.diff(index) != 1) | (np.diff(row) != 0)
    start = np.flatnonzero(begin)
    length = np.diff(np.append(start, len(index)))
    return np.bincount(row[start], minlength=rows), index[start], length


def _padded(values, n_grp, width):
    table = np.zeros((len(n_grp), width), np.int64)
    table[np.arange(width) < n_grp[:, None]] = values
    return table if width > 1 else table[:, 0]


def put_keywords(header, keywords):
    """Set keywords; floats keep all their digits, which astropy cuts at 20 characters."""
    from astropy.io import fits

    for key, value in keywords.items():
        if isinstance(value, str):
            value = value.encode("ascii", "replace").decode()
        if isinstance(value, float) and not math.isfinite(value):
            header[key] = str(value)  # FITS has no such number
        elif isinstance(value, float) and len(repr(value)) > 20:
            header.append(fits.Card.fromstring(f"{key:<8}= {repr(value).upper()}"))
        else:
            header[key] = value


def store(hdus, path, overwrite):
    """Write a FITS file, gzipped by its ending; an empty primary is put before tables."""
    from astropy.io import fits

    stream = io.BytesIO()
    first = [] if isinstance(hdus[0], fits.PrimaryHDU) else [fits.PrimaryHDU()]
    fits.HDUList([*first, *hdus]).writeto(stream)
    raw = stream.getvalue()
    if path_text(path).endswith((".gz", ".FTZ")):
        raw = gzip.compress(raw, 6, mtime=0)
    write_bytes(path, raw, overwrite)
