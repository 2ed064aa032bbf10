"""File names: selectors, compressed twins, remote addresses, links that stay in their folder."""

from __future__ import annotations

import io
import math
import os
import re
import zlib
from typing import Any, NamedTuple

from jaxspec._ask import path_text
from jaxspec.errors import InputError

_SELECTOR = re.compile(r"(?P<file>.*?)(?:\[(?P<hdu>[^\[\]]*)\])?(?:\{(?P<n>[^{}]*)\})?", re.S)
_RANGE = re.compile(r"(?P<low>\d{1,9}|\*{0,2})(?:-(?P<high>\d{1,9}|\*{0,2}))?")
_NONE = re.compile(r"(none(?![\w.-]*\.\w)\b.*)?", re.I | re.S)
# Bytes of a file once unpacked. The largest responses, of calorimeters, have 1e9; a gzip file of
# 6 MB may hold 6 GB of zeros, which would take all memory before anything could be said of them.
LARGEST = 2**31
_PIECE = 2**24
_PLUS = re.compile(r"(.+)\+(\d{1,3})", re.S)


class Address(NamedTuple):
    """A file with the extension (``[1]``, ``[SPECTRUM]``) and the numbers (``{3}``) asked for.

    ``numbers`` are those of rows of type II, or of extensions (EXTVER), as text: ``"1-2,4"``.
    """

    file: str
    hdu: str | None = None
    numbers: str | None = None

    def __str__(self):
        hdu = "" if self.hdu is None else f"[{self.hdu}]"
        return self.file + hdu + ("" if self.numbers is None else f"{{{self.numbers}}}")


def split_selectors(path, folder="") -> Address:
    """Take ``file.pha[SPECTRUM]{3}`` apart.

    Parameters
    ----------
    path : str or os.PathLike
    folder : str
        Folder or remote prefix of a path that is a link; what exists there is one name.

    Returns
    -------
    Address
        ``hdu`` is a number, a name or a name with EXTVER, as text; CFITSIO's ``file.pha+1`` is
        ``file.pha[1]``.

    Raises
    ------
    InputError
        If the braces hold no numbers.

    Examples
    --------
    >>> split_selectors("src.pha[1]{3}")
    Address(file='src.pha', hdu='1', numbers='3')
    """
    if isinstance(path, Address):
        return path
    text = path_text(path)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    remote = "://" in folder + text

    def exists(name):
        return not remote and os.path.exists(os.path.join(folder, name))

    match = _SELECTOR.fullmatch(text) if text.endswith(("]", "}")) else None
    if match is not None and not exists(text):
        address = Address(match["file"], match["hdu"], match["n"])
        chosen(address, ())  # whether it can be understood
        return address
    plus = _PLUS.fullmatch(text)
    if plus is not None and exists(plus[1]) and not exists(text):
        return Address(plus[1], plus[2])
    return Address(text)


def chosen(address: Address, available) -> list[int]:
    """Numbers that the braces of an address choose.

    Commas part them, a hyphen makes a range of what is available, and a missing end or ``*`` is the
    first or the last.

    Parameters
    ----------
    address : Address
    available : sequence of int

    Returns
    -------
    list of int, in the order of the text; numbers that are named count even if they are not
    available.

    Raises
    ------
    InputError
        If the text in the braces is none of these.

    Examples
    --------
    >>> chosen(Address("a.pha", None, "1-2,4-"), range(1, 6))
    [1, 2, 4, 5]
    """
    numbers = []
    for part in (address.numbers or "").replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None or part in ("", "-"):
            if address.numbers is None:
                break
            raise InputError(
                f"{{{address.numbers}}} is no choice of numbers",
                file=address.file,
                remedy="choose as in {2}, {1-3} or {1,4}",
            )
        low, high = match["low"], match["high"]
        if low.isdigit() and high and high.isdigit() and int(low) > int(high):
            raise InputError(
                f"{{{address.numbers}}} runs from {low} down to {high}",
                file=address.file,
                remedy=f"choose as in {{{high}-{low}}}",
            )
        ends = [int(end) for end in (low, high) if end and end.isdigit()]
        if high is not None or not ends:
            first = int(low) if low.isdigit() else -math.inf
            last = int(high) if high and high.isdigit() else math.inf
            ends = sorted({*ends, *(n for n in available if first <= n <= last)})
        numbers += ends
    return list(dict.fromkeys(numbers))


def stem(file: str) -> str:
    """Name of a file without folder and endings, for tables.

    Examples
    --------
    >>> stem("s3://bucket/P1/xp10255010300_s2.pha.gz")
    'xp10255010300_s2'
    """
    name = file.replace("\\", "/").rpartition("/")[2]
    if name.endswith((".gz", ".Z")):
        name = name.rpartition(".")[0]
    return name.rpartition(".")[0] or name


def read_bytes(file: str) -> tuple[bytes, str]:
    """Read a whole local or remote file, as it is stored.

    If the name does not exist, its compressed or uncompressed twins are tried
    (``x``, ``x.gz``, ``x.Z``, and ``.FTZ`` in place of the ending).

    Parameters
    ----------
    file : str
        A local path, or any address that fsspec opens (``s3://``, ``https://``, ``memory://``).

    Returns
    -------
    raw : bytes
        Still compressed where the file is.
    file : str
        The name that was found.

    Raises
    ------
    FileNotFoundError
        If neither the name nor a twin exists.
    InputError
        If the file exists but cannot be read.
    """
    fetch = _fetch_remote if "://" in file else _fetch_local
    for name in (file, *twins(file)):
        try:
            return fetch(name), name
        except FileNotFoundError:
            continue
        except IsADirectoryError:
            raise InputError("is a folder", file=file, remedy="name a file in it") from None
        except ImportError as error:
            raise InputError(f"cannot be opened: {error}", file=file) from error
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: {error}", file=file) from error
    raise FileNotFoundError(file)


def twins(file: str) -> tuple[str, ...]:
    """Names under which a file may be found instead."""
    if file.endswith(".FTZ"):
        root = file[:-4]
        return (f"{root}.FIT", f"{root}.fits", f"{root}.ds")
    for ending in (".gz", ".Z"):
        if file.endswith(ending):
            root, other = file[: -len(ending)], {".gz": ".Z", ".Z": ".gz"}[ending]
            return (root, root + other)
    folder, slash, name = file.rpartition("/")
    root, dot, _ = name.rpartition(".")
    twins = (f"{file}.gz", f"{file}.Z")
    return (*twins, f"{folder}{slash}{root}.FTZ") if dot and root else twins


def _fetch_local(file: str) -> bytes:
    with open(os.path.expanduser(file), "rb") as stream:
        return stream.read()


def _fetch_remote(file: str) -> bytes:
    import fsspec

    try:
        remote: Any = fsspec.open(file, "rb")
        with remote as stream:
            return stream.read()
    except (OSError, ImportError, ValueError):
        raise
    except Exception as error:  # each storage library has its own exceptions
        raise OSError(f"{type(error).__name__}: {error}") from error


def decompress(raw: bytes, file: str) -> bytes:
    """Undo gzip or compress, which are recognised by the first bytes and not by the name."""
    if raw[:2] == b"\x1f\x9d":
        return _undo_lzw(raw, file)
    if raw[:2] != b"\x1f\x8b":
        return raw
    parts, size = [], 0
    while raw[:2] == b"\x1f\x8b":
        engine, rest = zlib.decompressobj(31), raw
        while not engine.eof:
            try:
                part = engine.decompress(rest, _PIECE)
            except zlib.error as error:
                raise InputError(
                    f"the gzip data are damaged ({error})", file=file, remedy="fetch the file again"
                ) from None
            if not part:
                break
            parts.append(part)
            size, rest = size + len(part), engine.unconsumed_tail
            if size > LARGEST:
                raise _too_large(file)
        if not engine.eof:
            raise InputError(
                "the gzip data end too early", file=file, remedy="fetch the file again"
            )
        raw = engine.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(file):
    return InputError(
        f"holds more than {LARGEST / 2**30:.3g} GiB once it is unpacked",
        file=file,
        remedy="if it is meant to be so large, unpack it with gunzip and give the plain file",
    )


def _undo_lzw(raw, file):
    import uncompresspy

    try:
        with uncompresspy.LZWFile(io.BytesIO(raw)) as stream:
            made = stream.read(LARGEST + 1)
        if len(made) > LARGEST:
            raise _too_large(file)
        return made
    except InputError:
        raise
    except (ValueError, EOFError, OSError, LookupError) as error:
        raise InputError(
            f"the data of compress (.Z) are damaged ({error})",
            file=file,
            remedy="fetch the file again",
        ) from None


def is_set(link) -> bool:
    """Whether the value of BACKFILE, RESPFILE or ANCRFILE names a file.

    As in XSPEC, a value that begins with the word none names none ("none given").

    Examples
    --------
    >>> is_set("none given"), is_set("nonesuch.rsp"), is_set("  ")
    (False, True, False)
    """
    return isinstance(link, str) and _NONE.fullmatch(link.strip("\0 \t\r\n")) is None
