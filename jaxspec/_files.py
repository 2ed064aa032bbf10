"""The one place that writes files: whole or not at all, and over nothing without being told."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from typing import Any

from jaxspec.errors import InputError

PART = ".jaxspec-"  # a file that is being written; one is left behind only by a killed process
_TOLD = "choose another name, or pass overwrite=True (--overwrite)"


def write_bytes(path, content, overwrite=False) -> None:
    """Write a file in one step: it is there whole, or what was there before is.

    The bytes go to a new file in the same folder, which then takes the name; neither a full disk
    nor the end of the process leaves half a file under it. A link is followed; its target is
    replaced. Devices and pipes are written to directly.

    Parameters
    ----------
    path : str or os.PathLike, local or any address that fsspec can write to
    content : bytes-like, or str, which is encoded as UTF-8
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        The file exists and may not be replaced, is protected against writing, or cannot be written.

    Examples
    --------
    >>> write_bytes("memory://doc/note.txt", "text")
    >>> write_bytes("memory://doc/note.txt", "other")
    Traceback (most recent call last):
    ...
    jaxspec.errors.InputError: memory://doc/note.txt: the file exists already; choose another ...
    """
    raw = content.encode() if isinstance(content, str) else content
    file = _plain(path)
    try:
        if "://" in file:
            _send(file, raw, overwrite)
        else:
            _replace(file, raw, overwrite)
    except FileExistsError:
        raise InputError("the file exists already", file=file, remedy=_TOLD) from None
    except (OSError, ImportError, ValueError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot be written: {error}", file=file) from error


def check_free(path, overwrite=False) -> None:
    """Find out before long work whether `write_bytes` may write to a path.

    Raises
    ------
    InputError
        The folder does not exist or takes no files; or the file exists, and may not be replaced.
    """
    file = _plain(path)
    if "://" in file:
        return
    folder = os.path.dirname(file) or "."
    if not os.path.isdir(folder):
        raise InputError("the folder does not exist", file=file, remedy="create it first")
    if os.path.isdir(file):
        raise InputError("is a folder", file=file, remedy="name a file in it")
    if _is_special(file):
        return
    if os.path.lexists(file) and not overwrite:
        raise InputError("the file exists already", file=file, remedy=_TOLD)
    for target in (folder, file):
        if os.path.exists(target) and not os.access(target, os.W_OK):
            raise InputError(f"cannot be written: {target} is protected against writing", file=file)


def make_folder(path) -> None:
    """Make a folder and those above it; nothing if it is there.

    Raises
    ------
    InputError
        It cannot be made.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        what = "is a file" if isinstance(error, FileExistsError) else f"cannot be made: {error}"
        raise InputError(what, file=path, remedy="give another folder") from None


def _plain(path) -> str:
    """Path as text, ``~`` and ``file://`` resolved."""
    file = os.fsdecode(path)
    if file.startswith("file://"):
        file = file[len("file://") :]
    return file if "://" in file else os.path.expanduser(file)


def _is_special(file):
    """Whether it is a device or a pipe, which must keep its name."""
    return os.path.exists(file) and not os.path.isfile(file) and not os.path.isdir(file)


def _replace(file, raw, overwrite):
    """Write a local file under another name and let it take its own."""
    check_free(file, overwrite)
    if _is_special(file):
        with open(file, "wb") as stream:
            stream.write(raw)
        return
    file = os.path.realpath(file)  # a link stays a link
    part = os.path.join(os.path.dirname(file), f"{PART}{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        if os.path.exists(file):
            shutil.copymode(file, part)
        if overwrite:
            os.replace(part, file)
        else:
            _take_name(part, file)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)


def _take_name(part, file):
    """Rename, unless another process made a file of this name in the meantime."""
    try:
        os.link(part, file)  # in one step: fails where the name is taken
    except FileExistsError:
        raise
    except OSError:  # file systems without links
        if os.path.lexists(file):
            raise FileExistsError(file) from None
        os.replace(part, file)


def _send(file, raw, overwrite):
    """Write to a remote address; it appears when all of it was sent."""
    import fsspec

    fs: Any
    fs, name = fsspec.core.url_to_fs(file)
    try:
        if not overwrite and fs.exists(name):
            raise FileExistsError(file)
        with fs.transaction, fs.open(name, "wb") as stream:
            stream.write(raw)
    except (OSError, ImportError, ValueError, NotImplementedError):
        raise
    except Exception as error:  # each storage library has its own exceptions
        raise OSError(f"{type(error).__name__}: {error}") from error
