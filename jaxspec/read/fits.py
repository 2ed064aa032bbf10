"""FITS bytes to header values and table columns, without copying what is not asked for.

Only what OGIP files need: binary tables with fixed and variable-length columns. ASCII tables
go through astropy. Layout: Pence et al. 2010, A&A 524, A42 (FITS 3.0).
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import cached_property
from typing import Any

import numpy as np

from jaxspec.errors import InputError

_BLANK = b" " * 77
_FORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])(.*)", re.S)
_VARIABLE = re.compile(r"([LXBIJKAEDCM])(?:\(\d*\))?")
_BYTES = dict(B=1, I=2, J=4, K=8, A=1, E=4, D=8, C=8, M=16, L=1, P=8, Q=16)
_DTYPE = dict(B="u1", I=">i2", J=">i4", K=">i8", E=">f4", D=">f8", L="S1", A="S", P=">i4", Q=">i8")
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([EDed][+-]?\d+)?")


class Column:
    """Where one column of a table lies: number, type letter, repeat count, offset in the row."""

    __slots__ = ("n", "code", "repeat", "offset", "element", "doubled")

    def __init__(self, n, code, repeat, offset, element):
        self.n, self.code, self.repeat, self.offset, self.element = n, code, repeat, offset, element
        self.doubled = False  # whether a later column has the same name

    @property
    def is_vector(self):
        """Whether a row holds an array."""
        return self.element is not None or (self.repeat > 1 and self.code != "A")


class HDU:
    """One header, its data unit and the file that they lie in."""

    def __init__(self, raw, file, index, begin, end):
        self.raw, self.file, self.index = raw, file, index
        self.begin, self.end = begin, end
        self.start = end + 80 + -(end + 80 - begin) % 2880
        self._cards = self._columns = None
        self._values = {}
        # The few keywords that every extension needs are searched, since a file may have many
        # extensions (GTI, regions) that nobody asks for; the others go through a dict.
        self.name = str(self._early("EXTNAME", "" if index else "PRIMARY")).strip().upper()
        self.size = self._size()

    def __repr__(self):
        return self.label

    def _early(self, key, default=None) -> Any:
        name = key.ljust(8).encode()
        at = self.raw.find(name, self.begin, self.end)
        while at >= 0 and (at - self.begin) % 80:
            at = self.raw.find(name, at + 1, self.end)
        if at >= 0:
            self._values[key] = card_value(self.raw, at)
        return self._values.get(key, default)

    @property
    def label(self):
        """Name for messages."""
        return self.name or str(self.index)

    @property
    def stated_version(self):
        """EXTVER, or None if it is not given."""
        value = self.get("EXTVER")
        return value if type(value) is int else None

    @property
    def version(self):
        """EXTVER, 1 if it is not given."""
        return 1 if self.stated_version is None else self.stated_version

    def fail(self, problem, column=None, remedy=None):
        """Return the error that says what is wrong here."""
        return InputError(problem, file=self.file, hdu=self.label, column=column, remedy=remedy)

    def get(self, key, default=None):
        """Value of a keyword: str, bool, int or float; the default if it has none."""
        try:
            value = self._values[key]
        except KeyError:
            if self._cards is None:
                raw, begin, end = self.raw, self.begin, self.end
                self._cards = {raw[i : i + 8]: i for i in range(end - 80, begin - 80, -80)}
            at = self._cards.get(b"%-8b" % key.encode())
            value = self._values[key] = None if at is None else card_value(self.raw, at)
        return default if value is None else value

    def comment(self, key) -> str:
        """Comment of a keyword, blank if there is none."""
        self.get(key)
        if self._cards is None:
            self.get("COMMENT")  # no value: makes the dict
        at = (self._cards or {}).get(b"%-8b" % key.encode())
        card = b"" if at is None else self.raw[at + 10 : at + 80].lstrip()
        return "" if card[:1] == b"'" else card.partition(b"/")[2].strip().decode("latin-1")

    def integer(self, key, default=None) -> Any:
        """Value of a keyword that must be a whole number (text such as '0' is accepted)."""
        value = self.get(key, default)
        if value is None or type(value) is int:
            return value
        try:
            whole = int(value)
        except (ValueError, OverflowError):
            whole = None
        if whole is None or whole != float(value) or abs(whole) > 2**53:
            raise self.fail(f"{key} is {value!r}, not a whole number")
        return whole

    def _size(self):
        """Bytes of the data unit, without the fill."""
        n_axes = self._early("NAXIS")
        if type(n_axes) is not int or not 0 <= n_axes <= 999:
            raise self.fail(f"NAXIS is {n_axes}")
        if not n_axes:
            return 0
        axes = [self._early(f"NAXIS{i + 1}") for i in range(n_axes)]
        others = [self._early("PCOUNT", 0), self._early("GCOUNT", 1), self._early("BITPIX")]
        if any(type(v) is not int for v in axes + others) or min(axes + others[:2]) < 0:
            raise self.fail("a mandatory keyword (BITPIX, NAXISn) is missing or not a number")
        return abs(others[2]) // 8 * others[1] * (others[0] + math.prod(axes))

    @cached_property
    def file_sha256(self) -> str:
        """Hash of the whole unpacked file."""
        return hashlib.sha256(self.raw).hexdigest()

    def content(self):
        """Bytes of the header and the data unit."""
        return self.raw[self.begin : self.start + self.size]

    @cached_property
    def data_sum(self) -> int:
        """Sum of the data unit in one's complement of 32 bits, as DATASUM is (FITS 4.0)."""
        end = min(self.start + self.size + -self.size % 2880, len(self.raw))
        words = np.frombuffer(self.raw, ">u4", max(end - self.start, 0) // 4, min(self.start, end))
        total = int(words.sum(dtype=np.uint64))
        while total >> 32:
            total = (total & 0xFFFFFFFF) + (total >> 32)
        return total

    # ------------------------------------------------------------------ tables

    @property
    def n_rows(self):
        """Number of rows."""
        return self.integer("NAXIS2", 0)

    @property
    def columns(self):
        """Dict of upper-case column name to `Column`; empty if this is no binary table."""
        if self._columns is None:
            self._columns = self._find_columns()
            header = self.raw[self.begin : self.end]
            self._is_plain = not any(k in header for k in (b"TSCAL", b"TZERO", b"TNULL"))
        return self._columns

    def _find_columns(self):
        if self.get("XTENSION") not in ("BINTABLE", "A3DTABLE"):
            return {}
        if self.get("ZTABLE") is True:
            raise self.fail("is a compressed table", remedy="unpack the file with funpack")
        width, offset, columns = self.integer("NAXIS1", 0), 0, {}
        for n in range(1, min(self.integer("TFIELDS", 0), 999) + 1):
            column = self._column(n, offset)
            name = str(self.get(f"TTYPE{n}", "")).strip().upper()
            offset += (
                column.repeat * _BYTES[column.code]
                if column.code != "X"
                else ((column.repeat + 7) // 8)
            )
            if name and column.repeat and columns.setdefault(name, column) is not column:
                columns[name].doubled = True
        if offset != width:
            raise self.fail(f"the columns take {offset} bytes but a row has {width}")
        if not 0 <= width * self.n_rows <= self.size:  # NAXIS may be damaged, and NAXIS2 be whole
            raise self.fail(f"NAXIS1 and NAXIS2 are {width} and {self.n_rows}, but NAXIS is not 2")
        if self.start + self.size > len(self.raw):
            raise self.fail(
                f"the file ends after {len(self.raw)} bytes, inside this extension",
                remedy="fetch the file again",
            )
        return columns

    def _column(self, n, offset):
        form = str(self.get(f"TFORM{n}", "")).strip()
        match = _FORM.fullmatch(form)
        if match is None:
            raise self.fail(f"TFORM{n} is {form!r}, not a column format")
        repeat, code, rest = int(match[1] or 1), match[2], match[3]
        element = None
        if code in "PQ":
            inner = _VARIABLE.match(rest)
            if inner is None or repeat > 1:
                raise self.fail(f"TFORM{n} is {form!r}, not a column format")
            element = inner[1]
        return Column(n, code, repeat, offset, element)

    def has(self, name):
        """Whether the table has this column."""
        return name in self.columns

    def unit(self, name):
        """TUNIT of a column, blank if absent."""
        return str(self.get(f"TUNIT{self.columns[name].n}", "")).strip()

    def _view(self, column):
        if column.doubled:
            name = str(self.get(f"TTYPE{column.n}")).strip()
            raise self.fail("there are several columns of this name", name, "rename all but one")
        if column.code not in _DTYPE:
            raise self.fail(f"columns of type {column.code} cannot hold numbers")
        kind, size, shape = _DTYPE[column.code], _BYTES[column.code], (self.n_rows,)
        strides = (self.integer("NAXIS1"),)
        if column.code == "A":
            kind, size = f"S{column.repeat}", column.repeat
        elif column.repeat > 1 or column.element:
            shape += (column.repeat if not column.element else 2,)
            strides += (size if not column.element else size // 2,)
        if not self.n_rows:  # where it would begin may be behind the end of the file
            return np.empty(shape, kind)
        return np.ndarray(shape, kind, self.raw, self.start + column.offset, strides)

    def column(self, name):
        """Values of a fixed-width column in native byte order: (rows,) or (rows, repeat)."""
        column = self.columns[name]
        return self._native(column, self._view(column))

    def row(self, name, row):
        """Values of one row (from 0) of any column: a scalar or an array."""
        column = self.columns[name]
        if column.element is None:
            return self._native(column, self._view(column)[row : row + 1])[0]
        take = np.zeros(self.n_rows, np.int64)
        take[row] = max(int(self._view(column)[row, 0]), 0)
        return self.ragged(name, take)

    def _native(self, column, values):
        if column.code in "AL":
            return values if column.code == "A" else values == b"T"
        values = values.astype(values.dtype.newbyteorder("="))
        return values if self._is_plain else self._scaled(column, values)

    def _scaled(self, column, values):
        null = self.get(f"TNULL{column.n}") if values.dtype.kind in "iu" else None
        scale, zero = self.get(f"TSCAL{column.n}", 1), self.get(f"TZERO{column.n}", 0)
        plain = scale == 1 and zero == 0
        if null is None and plain:
            return values
        if isinstance(scale, str) or isinstance(zero, str) or not math.isfinite(zero):
            raise self.fail(f"TSCAL{column.n} or TZERO{column.n} is not a number")
        missing = values == null if isinstance(null, int) else np.zeros(1, bool)
        if not plain:
            whole = values.dtype.kind in "iu" and scale == 1 and abs(zero) < 2**53
            whole = whole and zero == int(zero)
            values = (
                values.astype(np.int64) + int(zero)
                if whole
                else values * float(scale) + float(zero)
            )
        return np.where(missing, np.nan, values) if missing.any() else values

    def ragged(self, name, take, native=True):
        """First ``take[i]`` values of every row, joined; rows may hold more.

        Parameters
        ----------
        name : str
            A scalar, fixed-width or variable-length column.
        take : (rows,) int
        native : bool
            Whether the byte order must be the machine's. Else what lies in one piece is a view of
            the bytes of the file, which costs no memory.

        Returns
        -------
        (take.sum(),) array
        """
        column = self.columns[name]
        if column.element is None:
            values = self.column(name).reshape(self.n_rows, -1)
            self._enough(name, np.full(self.n_rows, values.shape[1]), take)
            return values[np.arange(values.shape[1]) < take[:, None]]
        if column.element not in "BIJKED":
            raise self.fail(f"arrays of type {column.element} are not numbers", name)
        count, offset = self._view(column).T.astype(np.int64)
        self._enough(name, count, take)
        size, heap = _BYTES[column.element], self._heap
        if len(take) and np.any(
            (take > 0) & ((offset < 0) | (offset > len(heap)) | (offset + take * size > len(heap)))
        ):
            raise self.fail("a row points outside the data of this extension", name)
        used = take > 0
        first, stop = offset[used], (offset + take * size)[used]
        if first.size and np.array_equal(first[1:], stop[:-1]):
            data = heap[first[0] : stop[-1]]
        else:
            data = b"".join([heap[a:b] for a, b in zip(first.tolist(), stop.tolist(), strict=True)])
        values = np.frombuffer(data, _DTYPE[column.element])
        return self._native(column, values) if native or not self._is_plain else values

    @property
    def _heap(self):
        table = self.integer("NAXIS1") * self.n_rows
        theap = self.integer("THEAP", table)
        if not table <= theap <= self.size:
            raise self.fail(f"THEAP is {theap}, outside the data of this extension")
        return memoryview(self.raw)[self.start + theap : self.start + self.size]

    def _enough(self, name, there, take):
        short = np.flatnonzero(there < take)
        if short.size:
            row = short[0]
            raise self.fail(f"row {row + 1} has {there[row]} values instead of {take[row]}", name)


def card_value(raw, at):
    """Value of the header card that starts at byte ``at``; None if it has no value."""
    if raw[at + 10 : at + 11] == b"'":  # the usual text, without doubled quotes or CONTINUE
        end = raw.find(b"'", at + 11, at + 79)
        text = raw[at + 11 : end].rstrip()
        if end > 0 and raw[end + 1] != 39 and text[-1:] != b"&" and raw[at + 8] == 61:
            return text.decode("latin-1")
    card = raw[at + 8 : at + 80]
    if card[:1] != b"=":
        return None
    field = card[1:].lstrip()
    if field[:1] == b"'":
        text = _quoted(field)
        while text[-1:] == "&" and raw[at + 80 : at + 88] == b"CONTINUE":
            at += 80
            more = raw[at + 8 : at + 80].strip()
            if more[:1] != b"'":
                break
            text = text[:-1] + _quoted(more)
        return text
    field = field.partition(b"/")[0].rstrip()
    if field.isdigit():
        return int(field)
    if field in (b"T", b"F"):
        return field == b"T"
    if _NUMBER.fullmatch(field) is None:
        return field.decode("latin-1") or None
    if field[1:].isdigit():
        return int(field)
    return float(field.upper().replace(b"D", b"E"))


def _quoted(field):
    end = field.find(b"'", 1)
    if field[end + 1 : end + 2] == b"'" or end < 0:
        while end >= 0 and field[end + 1 : end + 2] == b"'":
            end = field.find(b"'", end + 2)
        field, end = field[: end if end > 0 else None].replace(b"''", b"'"), None
    return field[1:end].rstrip().decode("latin-1")


def _another(raw, at, end):
    """Whether an extension begins in a header: its own end was damaged, and both would be one."""
    return any(raw[i : i + 9] == b"XTENSION=" for i in range(at, end, 2880))


def open_hdus(raw: bytes, file: str, ascii_tables: bool = True) -> list[HDU]:
    """Find the headers and data units in the bytes of a FITS file.

    Parameters
    ----------
    raw : bytes
        Uncompressed file.
    file : str
        Name for messages.
    ascii_tables : bool
        Whether ASCII tables are converted to binary tables (by astropy).

    Returns
    -------
    list of HDU
        What comes before the first damaged header; an extension that the file cuts off is
        kept, and raises when its columns are asked for.

    Raises
    ------
    InputError
        If this is not a FITS file.
    """
    if raw[:6] != b"SIMPLE":
        found = "is empty" if not raw else f"is not a FITS file (it starts with {raw[:20]!r})"
        raise InputError(found, file=file, remedy="give a FITS file, plain or gzipped")
    hdus, start = [], 0
    while start < len(raw):
        if hdus and raw[start : start + 8] != b"XTENSION":
            break
        end = raw.find(b"END", start)
        while end >= 0 and ((end - start) % 80 or raw[end + 3 : end + 80] != _BLANK):
            end = raw.find(b"END", end + 1)
        if end < 0 or _another(raw, start + 2880, end):
            break
        hdu = HDU(raw, file, len(hdus), start, end)
        hdus.append(hdu)
        start = hdu.start + hdu.size + -hdu.size % 2880
    if not hdus:
        raise InputError("the first header has no end", file=file, remedy="fetch the file again")
    if ascii_tables and any(card_value(raw, h.begin) == "TABLE" for h in hdus):
        from jaxspec.read.ascii import binary_tables

        return open_hdus(binary_tables(raw, file), file, ascii_tables=False)
    return hdus
