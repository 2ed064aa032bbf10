"""ASCII tables in FITS files, which are rare: rewritten as binary tables by astropy."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from jaxspec.read.astropy_hdus import astropy_hdus


def binary_tables(raw: bytes, file: str) -> bytes:
    """Return the FITS file with its ASCII tables as binary tables.

    Raises
    ------
    InputError
        If astropy cannot read a table.
    """
    from astropy.io import fits

    with astropy_hdus(raw, file, "a file with an ASCII table") as hdus:
        first: Any
        first, *others = hdus
        out = fits.HDUList([fits.PrimaryHDU(header=first.header)])
        for hdu in others:
            if isinstance(hdu, fits.TableHDU):
                table: Any = hdu
                names = {c.name: np.array(table.data[c.name]) for c in table.columns}
                columns = [
                    fits.Column(c.name, _ascii_form(names[c.name]), c.unit, array=names[c.name])
                    for c in table.columns
                ]
                keep = hdu.header.copy(strip=True)
                keep.remove("DATASUM", ignore_missing=True)  # that of the text
                hdu = fits.BinTableHDU.from_columns(columns, header=keep)
            out.append(hdu)
        stream = io.BytesIO()
        out.writeto(stream, output_verify="silentfix")
    return stream.getvalue()


def _ascii_form(values):
    return {"i": "K", "f": "D"}.get(values.dtype.kind) or f"{max(values.dtype.itemsize, 1)}A"
