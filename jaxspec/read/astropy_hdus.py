"""FITS files that astropy reads (images, region tables): opened with care.

What a header says of axes and columns is checked before astropy asks for each of them, and no
damaged card reaches those who ask for its value.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from typing import Any

from jaxspec.errors import InputError
from jaxspec.read.paths import LARGEST

MOST = 999  # axes and columns: FITS standard 4.0, sections 4.4.1.1 and 7.3.1
_COUNTS = re.compile(rb"(Z?NAXIS|TFIELDS) *=[ +]*0*(\d{4,})", re.I)
_SIDES = re.compile(rb"(Z?NAXIS\d{1,3}) *=[ +]*0*(\d{10,})", re.I)


@contextmanager
def astropy_hdus(raw: bytes, file: str, what: str, uint: bool = True):
    """Open the bytes of a FITS file with astropy.

    Parameters
    ----------
    raw : bytes
        Uncompressed file.
    file : str
        Name for messages.
    what : str
        What it should be, for messages.
    uint : bool
        Whether unsigned integers stay such; BLANK among them would then be a number.

    Yields
    ------
    list of HDU
        Data must be taken within the ``with``.

    Raises
    ------
    InputError
        The file is damaged, here or where something is asked for within the ``with``.
    """
    from astropy.io import fits

    check_numbers(raw, file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy comments on headers that it can read
            with fits.open(io.BytesIO(raw), memmap=False, uint=uint) as hdus:
                every: Any = list(hdus)
                yield every
    except InputError:
        raise
    except Exception as error:  # astropy raises many kinds on damaged files
        raise InputError(
            f"cannot be read as {what} ({error})", file=file, remedy="fetch the file again"
        ) from error


def check_numbers(raw, file):
    """Refuse headers of more axes, columns or pixels than can be: astropy would do each.

    Raises
    ------
    InputError
    """
    for pattern, most, text in (
        (_COUNTS, MOST, "FITS knows {} at most"),
        (_SIDES, LARGEST, "more than {} are not read"),
    ):
        for match in pattern.finditer(raw):
            if match.start() % 80 == 0 and int(match[2]) > most:
                name = match[1].decode().upper()
                raise InputError(
                    f"{name} is {int(match[2])}, and {text.format(most)}",
                    file=file,
                    remedy="fetch the file again",
                )


def readable(header):
    """Copy of a header without the cards that cannot be read, and their keywords."""
    from astropy.io.fits import Header, VerifyError

    kept, lost = [], []
    for card in header.cards:
        try:
            _ = card.value
        except (VerifyError, ValueError):
            lost.append(card.keyword)
        else:
            kept.append(card)
    return (Header(kept), lost) if lost else (header, lost)
