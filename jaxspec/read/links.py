"""Files that a header names, and what the caller gives in their place."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxspec.errors import InputError
from jaxspec.read.paths import Address, is_set, read_bytes, split_selectors, stem, twins

ARGUMENT = {
    "BACKFILE": "background",
    "RESPFILE": "response",
    "ANCRFILE": "arf",
    "CORRFILE": "correction",
}
_MATCH = {"BACKFILE": (".bkg", ".bck"), "RESPFILE": (".rsp", ".rmf"), "ANCRFILE": (".arf",)}
_BLANKS = "\0 \t\r\n"


class Found(NamedTuple):
    """A file that was fetched, with what of it is asked for."""

    raw: bytes
    file: str
    address: Address


def fetch(path) -> Found:
    """Fetch what a path names.

    Raises
    ------
    InputError
        If it does not exist or cannot be read.
    """
    address = split_selectors(path)
    try:
        return Found(*read_bytes(address.file), address)
    except FileNotFoundError:
        raise InputError("does not exist", file=address.file, remedy="check the path") from None


class Places:
    """Folders in which files are looked for by name; each is listed once.

    Parameters
    ----------
    root : str, os.PathLike or None
        Folder that links may not leave, in place of that of the spectrum.
    """

    def __init__(self, root=None):
        self.root = None if root is None else os.fspath(root)
        if self.root is not None and "://" not in self.root:
            self.root = os.path.expanduser(self.root)
            if not os.path.isdir(self.root):
                raise InputError("is no folder", file=self.root, parameter="root")
        self._listings = {}

    def search(self, folder: str, name: str) -> list[str]:
        """Files at any depth below a folder that have a name, or its compressed twin.

        Of several, those whose folders are most like those in ``name``.
        """
        if folder not in self._listings:
            self._listings[folder] = _listing(folder)
        parts = [p for p in re.split(r"[/\\]", name) if p not in ("", ".", "..")]
        if not parts:
            return []
        files = (self._listings[folder].get(n) for n in (parts[-1], *twins(parts[-1])))
        found = next((f for f in files if f), [])
        alike = [_common(f, parts) for f in found]
        return [f for f, n in zip(found, alike, strict=True) if n == max(alike)]


def _common(file, parts):
    """How many of the last folders of ``file`` are those of ``parts``."""
    folders, wanted, n = file.replace("\\", "/").split("/")[-2::-1], parts[-2::-1], 0
    while n < min(len(folders), len(wanted)) and folders[n] == wanted[n]:
        n += 1
    return n


def _listing(folder):
    """Files below a folder by name."""
    names = {}
    if "://" in folder:
        import fsspec

        fs, path = fsspec.core.url_to_fs(folder)
        files = [fs.unstrip_protocol(file) for file in sorted(fs.find(path))]
    else:
        walk = os.walk(folder)
        files = sorted(os.path.join(where, name) for where, _, inside in walk for name in inside)
    for file in files:
        names.setdefault(file.replace("\\", "/").rpartition("/")[2], []).append(file)
    return names


def follow(given, keyword: str, spectrum, places: Places) -> tuple[Any, tuple[str, ...]]:
    """What stands for a link of a spectrum, and what was assumed.

    Parameters
    ----------
    given : "auto", "optional", None or "none", path, folder, mapping, function or object
        "auto" follows the keyword, "optional" too, but a file that does not exist is none. In a
        folder (a remote one has no dot in its last name) the file is looked for that the keyword
        names. The keys of a mapping are paths or names of spectra, file names, OBS_ID or values of
        the keyword; a function takes the `Spectrum`. What they give is any of the others.
    keyword : str
        BACKFILE, RESPFILE, ANCRFILE or CORRFILE.
    spectrum : Spectrum
    places : Places

    Returns
    -------
    `Found`, None or the object
    """
    given = asked(given, keyword, spectrum)
    if not isinstance(given, str | os.PathLike):
        return given, ()
    text = os.fspath(given)
    if text.strip().lower() == "none":
        return None, ()
    optional = text == "optional" and keyword in ("BACKFILE", "CORRFILE")
    if text == "auto" or optional:
        return _follow_link(keyword, spectrum, places, optional)
    if "." not in _last(text) if "://" in text else os.path.isdir(os.path.expanduser(text)):
        return _in_folder(os.path.expanduser(text), keyword, spectrum, places)
    return fetch(given), ()


def asked(given, keyword, spectrum):
    """What a mapping or a function gives for a spectrum; anything else as it is."""
    if callable(given):
        return _called(given, keyword, spectrum)
    return _entry(given, keyword, spectrum) if isinstance(given, Mapping) else given


def _called(given, keyword, spectrum):
    try:
        return given(spectrum)
    except InputError:
        raise
    except Exception as error:  # any: it is the caller's, and must not end a batch
        raise InputError(
            f"the function {ARGUMENT[keyword]}= ended in {type(error).__name__}: {error}",
            file=spectrum.path,
        ) from error


def _link_of(keyword, spectrum):
    link = str((spectrum.header or {}).get(keyword, ""))
    # "&" announces a continuation of the text, which some writers then leave out
    return link.strip(_BLANKS).rstrip("&") if is_set(link) else None


def _entry(given, keyword, spectrum):
    link = _link_of(keyword, spectrum)
    names = [spectrum.path, _last(spectrum.path), spectrum.name, stem(spectrum.path)]
    names += [(spectrum.header or {}).get("OBS_ID")]
    names += [] if link is None else [link, _last(link), stem(link)]
    for name in filter(None, names):
        for key in (name, Path(name)):
            if key in given:
                return given[key]
    raise InputError(
        f"{ARGUMENT[keyword]}= has no entry for this spectrum",
        file=spectrum.path,
        remedy=f"add {spectrum.name!r}, its path or its file name as a key",
    )


def _last(file):
    return file.replace("\\", "/").rpartition("/")[2]


def _in_folder(folder, keyword, spectrum, places):
    link = _link_of(keyword, spectrum)
    if link is None:
        return None, (f"{keyword} names no file, so that none is looked for in {folder}",)
    for target in _targets(link, keyword, spectrum):
        file = _the_one(places.search(folder, target.file), keyword, spectrum)
        if file is not None:
            return Found(*read_bytes(file), target._replace(file=file)), ()
    raise InputError(
        f"{keyword} is {link!r}, and there is no such file in {folder} or its folders",
        file=spectrum.path,
        remedy=f"check the folder, or give a mapping of names as {ARGUMENT[keyword]}=",
    )


def _targets(link, keyword, spectrum):
    """Addresses that a link may stand for."""
    if link.lower() == "%match%" and keyword in _MATCH:
        return [Address(stem(spectrum.path) + ending) for ending in _MATCH[keyword]]
    folder = spectrum.path[: -len(_last(spectrum.path)) or None]
    return [split_selectors(link, folder)]


def _the_one(files, keyword, spectrum):
    """One of the files, if they are all the same; None if there are none."""
    if len(files) > 1:
        first = read_bytes(files[0])[0]
        if any(read_bytes(file)[0] != first for file in files[1:]):
            raise InputError(
                f"{keyword} may be any of {len(files)} files: {', '.join(files[:5])}",
                file=spectrum.path,
                remedy=f"give a nearer folder, a path, or a mapping as {ARGUMENT[keyword]}=",
            )
    return files[0] if files else None


def _follow_link(keyword, spectrum, places, optional):
    link, parent = _link_of(keyword, spectrum), spectrum.path
    if link is None:
        return None, ()
    targets, refused = _targets(link, keyword, spectrum), None
    for target in targets:
        try:
            file = resolve_link(target.file, parent, keyword, places.root)
        except InputError as error:
            refused = error
            continue
        try:
            return Found(*read_bytes(file), target._replace(file=file)), ()
        except FileNotFoundError:
            continue
    if places.root is not None:
        for target in targets:
            file = _the_one(places.search(places.root, target.file), keyword, spectrum)
            if file is not None:
                note = f"{keyword} {link!r} was found as {file}"
                return Found(*read_bytes(file), target._replace(file=file)), (note,)
    if refused is not None and not (optional and _is_nowhere(targets[0].file, parent)):
        raise refused
    tried = " or ".join(_beside(t.file, parent) for t in targets)
    if optional:
        without = ARGUMENT[keyword]
        return None, (f"{keyword} is {link!r}, but {tried} does not exist: read without {without}",)
    below = "" if places.root is None else f", and no file of that name is below {places.root}"
    also = ", or 'optional'" if keyword in ("BACKFILE", "CORRFILE") else ""
    raise InputError(
        f"{keyword} is {link!r}, but {tried} does not exist (nor a compressed one){below}",
        file=parent,
        hdu="SPECTRUM",
        remedy=f"put the file there, or read with {ARGUMENT[keyword]}=None{also}, a path or a "
        "folder",
    )


def _is_nowhere(link, parent):
    """Whether a link that is not followed leads to no local file anyway."""
    return "://" not in parent + link and not os.path.exists(
        os.path.join(os.path.dirname(parent), link)
    )


def _beside(link, parent):
    """Name of a file beside another, for messages."""
    if "://" in parent:
        return parent.rpartition("/")[0] + "/" + link
    return os.path.join(os.path.dirname(parent), link)


def resolve_link(link: str, parent: str, keyword: str, root: str | None = None) -> str:
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
    root : str, optional
        A folder of the user's, anywhere below which the link may lead.

    Raises
    ------
    InputError
        If the link leads out of the folder of ``parent`` and of ``root``: a header is data, and
        must not make us open any file it likes. Paths that the user gives are not restricted.

    Examples
    --------
    >>> resolve_link("bkg.pha", "s3://bucket/obs/src.pha", "BACKFILE")
    's3://bucket/obs/bkg.pha'
    >>> resolve_link("../rsp/a.rsp", "s3://bucket/obs/src.pha", "RESPFILE", "s3://bucket")
    's3://bucket/rsp/a.rsp'
    """
    resolve = _resolve_remote if "://" in parent else _resolve_local
    target = resolve(link, parent, root)
    if target is None:
        of = "the spectrum" if root is None else f"the spectrum and of {root}"
        raise InputError(
            f"{keyword} {link!r} leads out of the folder of {of} and is not followed",
            file=parent,
            remedy=f"pass the file or its folder as {ARGUMENT[keyword]}=..., a folder that holds "
            f"both as root=..., or {ARGUMENT[keyword]}=None",
        )
    return target


def _resolve_remote(link, parent, root):
    from urllib.parse import unquote

    folder = parent.rpartition("/")[0] + "/"
    inner = link[len(folder) :] if link.startswith(folder) else link
    plain = unquote(inner)
    if "::" in plain or "://" in plain or plain.startswith("/"):
        return None
    if ".." not in plain.split("/"):
        return folder + inner
    if root is None or "://" not in root or plain != inner:
        return None
    protocol, _, place = folder.partition("://")
    target = f"{protocol}://{posixpath.normpath(place + inner)}"
    return target if target.startswith(root.rstrip("/") + "/") else None


def _resolve_local(link, parent, root):
    folder = os.path.dirname(parent)
    if "::" in link or "://" in link or not link.isprintable() or os.path.splitdrive(link)[0]:
        return None
    # "~" in a header is text, and no home
    target = os.path.join(folder or (os.curdir if link.startswith("~") else ""), link)
    if os.path.isabs(link) or ".." in re.split(r"[/\\]", link):
        real = os.path.realpath(target)
        tops = [os.path.realpath(top or ".") for top in (folder, root) if top is not None]
        if not any(os.path.commonpath([top, real]) == top for top in tops):
            return None
    return target
