"""Writing result tables: what each format needs."""

from __future__ import annotations

import json
import warnings

from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning


def write_table(table, path, form):
    """Write a QTable as ECSV, FITS or Parquet with its units and its metadata."""
    if form == "fits":
        flat = Table(table, copy=False)
        flat.meta = {key: _text(value) for key, value in table.meta.items()}
        for name in ("name", "message"):
            flat[name] = [str(text).encode("ascii", "replace").decode() for text in table[name]]
        with warnings.catch_warnings():
            # long values become HIERARCH or CONTINUE cards, and 1e22 cm-2 is no FITS unit
            warnings.simplefilter("ignore", AstropyWarning)
            flat.write(path, format=form, overwrite=True)
        return
    table.write(path, format=form, overwrite=True)


def _text(value):
    return json.dumps(value, default=str) if isinstance(value, dict) else str(value)
