"""Responses by content, so that equal files become one object in memory."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from jaxspec.read.area import with_area
from jaxspec.read.arf import parse_arf
from jaxspec.read.fits import open_hdus
from jaxspec.read.links import Places
from jaxspec.read.paths import decompress
from jaxspec.read.response import parse_rmf, select_channels


class ResponseCache:
    """Responses that were read so far, found again by the content of their files.

    Files are recognised by a hash of their bytes as stored, before anything is parsed;
    responses that differ only in their headers are recognised by ``Response.key`` after it.
    Give the same cache to several reading calls, and spectra that share a response hold the
    same object.

    Examples
    --------
    >>> cache = ResponseCache()
    >>> len(cache)
    0
    """

    def __init__(self):
        self._by_file = {}
        self._by_content = {}
        self._places = {}

    def places(self, root=None) -> Places:
        """Folders that were listed so far, for links that may not leave ``root``."""
        root = None if root is None else os.fspath(root)
        if root not in self._places:
            self._places[root] = Places(root)
        return self._places[root]

    def __len__(self):
        return len(self._by_content)

    def _once(self, key, make):
        value = self._by_file.get(key)
        if value is None:
            value = make()
            if hasattr(value, "key"):  # what was assumed of one file may not be so of another
                said = (text.removeprefix(f"{value.name}: ") for text in value.diagnostics)
                value = self._by_content.setdefault((value.key, *said), value)
            value = self._by_file.setdefault(key, value)
        return value

    def rmf(self, raw: bytes, file: str, address=None, spare_ebounds=None):
        """Response of an RMF or RSP file, given its bytes as stored."""
        spare = spare_ebounds.content() if spare_ebounds else b""
        key = ("rmf", _digest(raw), _selectors(address), _digest(spare))
        return self._once(
            key,
            lambda: parse_rmf(
                open_hdus(decompress(raw, file), file), _short(file), address, spare_ebounds
            ),
        )

    def arf(self, raw: bytes, file: str, address=None, source=None):
        """Grid and area of an ARF file and what was assumed, given its bytes as stored."""
        key = ("arf", _digest(raw), _selectors(address), source)
        return self._once(
            key, lambda: parse_arf(open_hdus(decompress(raw, file), file), address, source)
        )

    def combine(self, response, arf, name: str, said=()):
        """Response with the area of an ARF, of which ``said`` was assumed."""
        key = ("area", response.key, b"".join(np.asarray(a, float).tobytes() for a in arf))
        return self._once((*key[:2], _digest(key[2])), lambda: with_area(response, arf, name, said))

    def select(self, response, index, channel):
        """Response with the channels at ``index`` only, under the numbers ``channel``."""
        key = ("channels", response.key, *(np.asarray(a, int).tobytes() for a in (index, channel)))
        return self._once(key, lambda: select_channels(response, index, channel))


def _selectors(address):
    return None if address is None else address[1:]


def _digest(raw):
    return hashlib.sha256(raw).digest()


def _short(file):
    return file.replace("\\", "/").rpartition("/")[2]
