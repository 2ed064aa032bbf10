"""File names: selectors, compressed twins, remote addresses, links that stay in their folder."""

from __future__ import annotations

import os
import re
import zlib
from typing import Any, NamedTuple

from jaxspec.errors import InputError

_SELECTOR = re.compile(r"(?P<file>.*?)(?:\[(?P<hdu>[^\[\]]*)\])?(?:\{(?P<row>\d{1,9})\})?", re.S)
_COMPRESSED = (".gz", ".FTZ")


class Address(NamedTuple):
    """A file with the extension (``[1]``, ``[SPECTRUM]``) and type II row (``{3}``) asked for."""

    file: str
    hdu: str | None = None
    row: int | None = None


def split_selectors(path) -> Address:
    """Take ``file.pha[SPECTRUM]{3}`` apart.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    Address
        ``hdu`` is a number or a name, as text; ``row`` counts from 1.

    Examples
    --------
    >>> split_selectors("src.pha[1]{3}")
    Address(file='src.pha', hdu='1', row=3)
    """
    if isinstance(path, Address):
        return path
    text = os.fspath(path)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    match = _SELECTOR.fullmatch(text) if text.endswith(("]", "}")) else None
    if match is None or ("://" not in text and os.path.exists(text)):
        return Address(text)
    hdu, row = match["hdu"], match["row"]
    return Address(match["file"], hdu, None if row is None else int(row))


def stem(file: str) -> str:
    """Name of a file without folder and endings, for tables.

    Examples
    --------
    >>> stem("s3://bucket/P1/xp10255010300_s2.pha.gz")
    'xp10255010300_s2'
    """
    name = file.replace("\\", "/").rpartition("/")[2]
    if name.endswith(".gz"):
        name = name[:-3]
    return name.rpartition(".")[0] or name


def read_bytes(file: str) -> tuple[bytes, str]:
    """Read a whole local or remote file, as it is stored.

    If the name does not exist, its compressed or uncompressed twin is tried
    (``x``, ``x.gz``, and ``.FTZ`` in place of the ending).

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
    for name in (file, *_twins(file)):
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


def _twins(file: str):
    for ending in _COMPRESSED:
        if file.endswith(ending):
            root = file[: -len(ending)]
            return (root,) if ending == ".gz" else (f"{root}.FIT", f"{root}.fits", f"{root}.ds")
    folder, slash, name = file.rpartition("/")
    root, dot, _ = name.rpartition(".")
    return (f"{file}.gz", f"{folder}{slash}{root}.FTZ") if dot and root else (f"{file}.gz",)


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
    """Undo gzip, which is recognised by its first bytes and not by the name."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    parts = []
    while raw[:2] == b"\x1f\x8b":
        engine = zlib.decompressobj(31)
        try:
            parts.append(engine.decompress(raw))
        except zlib.error as error:
            raise InputError(
                f"the gzip data are damaged ({error})", file=file, remedy="fetch the file again"
            ) from None
        if not engine.eof:
            raise InputError(
                "the gzip data end too early", file=file, remedy="fetch the file again"
            )
        raw = engine.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def is_set(link) -> bool:
    """Whether the value of BACKFILE, RESPFILE or ANCRFILE names a file."""
    return isinstance(link, str) and link.strip().lower() not in ("", "none")


def resolve_link(link: str, parent: str, keyword: str) -> str:
    """Address of a file that a header names, beside or below the file with that header.

    Parameters
    ----------
    link : str
        Value of the keyword; relative links are taken from the folder (or remote prefix) of
        ``parent``.
    parent : str
        The file whose header holds the link.
    keyword : str
        For the message.

    Raises
    ------
    InputError
        If the link leads out of the folder of ``parent``: a header is data, and must not make
        us open any file it likes. Paths that the user gives are not restricted.

    Examples
    --------
    >>> resolve_link("bkg.pha", "s3://bucket/obs/src.pha", "BACKFILE")
    's3://bucket/obs/bkg.pha'
    """
    if "://" in parent:
        target = _resolve_remote(link, parent)
    else:
        target = _resolve_local(link, parent)
    if target is None:
        raise InputError(
            f"{keyword} {link!r} leads out of the folder of the spectrum and is not followed",
            file=parent,
            remedy=f"pass the file as {_ARGUMENT[keyword]}=..., or {_ARGUMENT[keyword]}=None",
        )
    return target


_ARGUMENT = {"BACKFILE": "background", "RESPFILE": "response", "ANCRFILE": "arf"}


def _resolve_remote(link, parent):
    from urllib.parse import unquote

    folder = parent.rpartition("/")[0] + "/"
    inner = link[len(folder) :] if link.startswith(folder) else link
    plain = unquote(inner)
    if "::" in plain or "://" in plain or plain.startswith("/") or ".." in plain.split("/"):
        return None
    return folder + inner


def _resolve_local(link, parent):
    folder = os.path.dirname(parent)
    target = os.path.join(folder, link)
    if "::" in link or "://" in link or not link.isprintable() or os.path.splitdrive(link)[0]:
        return None
    if os.path.isabs(link) or ".." in re.split(r"[/\\]", link):
        below = os.path.realpath(folder or ".")
        if os.path.commonpath([below, os.path.realpath(target)]) != below:
            return None
    return target
