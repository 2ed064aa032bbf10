"""Read OGIP spectra with their backgrounds and responses."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

from jaxspec._types import Response, Spectrum
from jaxspec.errors import InputError
from jaxspec.read.cache import ResponseCache
from jaxspec.read.fits import find_hdu, open_hdus
from jaxspec.read.paths import (
    Address,
    decompress,
    is_set,
    read_bytes,
    resolve_link,
    split_selectors,
    stem,
)
from jaxspec.read.pha import (
    builtin_background,
    n_spectra,
    parse_pha,
    row_index,
    spectrum_hdu,
    take_channels,
)
from jaxspec.read.repair import NEVER
from jaxspec.read.response import holds_area

_MATCH = {"BACKFILE": (".bkg", ".bck"), "RESPFILE": (".rsp", ".rmf"), "ANCRFILE": (".arf",)}
_ARGUMENT = {"BACKFILE": "background", "RESPFILE": "response", "ANCRFILE": "arf"}


def read_spectrum(
    path,
    *,
    row=None,
    background="auto",
    response="auto",
    arf="auto",
    exposure=None,
    poisserr=None,
    cache=None,
) -> Spectrum:
    """Read one spectrum (PHA type I, or one row of type II) and the files that it links to.

    Parameters
    ----------
    path : str or os.PathLike
        A local file or any fsspec address (``s3://``, ``https://``, ``memory://``), gzipped or
        not; ``file.pha{3}`` chooses a type II spectrum by SPEC_NUM (or row, from 1),
        ``file.pha[1]`` and ``file.pha[SPECTRUM]`` an extension. Where the name does not exist,
        ``name.gz`` (or the name without it) is tried; so for links.
    row : int, optional
        SPEC_NUM (or row, from 1) in a type II file; same as ``{row}``.
    background, response, arf : "auto", None, path or object
        "auto" follows BACKFILE, RESPFILE and ANCRFILE, relative to the file and never out of
        its folder; None loads none. A path is used as it is; ``background`` may be a
        `Spectrum`, ``response`` a `Response`, ``arf`` the tuple from `read_arf`.
    exposure : float, optional
        Seconds, in place of EXPOSURE.
    poisserr : bool, optional
        In place of POISSERR.
    cache : ResponseCache, optional
        Share it between calls, and equal responses are parsed and held once.

    Returns
    -------
    Spectrum
        Arrays over the channels of the spectrum. Its background and its response are brought
        onto the same channels: by CHANNEL number where these are among the channels of the
        response (whose other columns are dropped), else by position if both count equally
        many channels (DETCHANS) from a different first number. ``diagnostics`` says what was
        assumed.

    Raises
    ------
    InputError
        If a file is missing or damaged, or holds what cannot be right.

    Notes
    -----
    OGIP 92-007 and 92-007a (PHA), CAL/GEN/92-002 and 92-002a (RMF, ARF).

    Examples
    --------
    >>> from jaxspec.read.write import write_pha
    >>> s = Spectrum("a", channel=np.arange(3), counts=np.array([1.0, 4, 2]), exposure=10.0)
    >>> write_pha(s, "memory://doc/a.pha.gz")
    >>> read_spectrum("memory://doc/a.pha")
    Spectrum(a: 3 channels, 7 counts, 10 s, no response)
    """
    address = split_selectors(path)
    row = address.row if row is None else row
    options = (background, response, arf, exposure, poisserr)
    with np.errstate(all="ignore"):
        hdus, hdu = _open(address)
        return _assemble(
            hdus, hdu, row_index(hdu, row), options, ResponseCache() if cache is None else cache
        )


def read_spectra(path, *, row=None, cache=None, **options) -> list[Spectrum]:
    """Read all spectra of a file: every row of a type II file, the one of type I.

    Parameters
    ----------
    path : str or os.PathLike
        As for `read_spectrum`; ``{n}`` and ``row`` choose a single one.
    row, cache, **options
        As for `read_spectrum`.

    Returns
    -------
    list of Spectrum
        Those with equal responses share one `Response`.

    Raises
    ------
    InputError
        As for `read_spectrum`.

    Examples
    --------
    >>> from jaxspec.read.write import write_pha
    >>> s = Spectrum("a", channel=np.arange(3), counts=np.array([1.0, 4, 2]), exposure=10.0)
    >>> write_pha(s, "memory://doc/b.pha")
    >>> [s.name for s in read_spectra("memory://doc/b.pha")]
    ['b']
    """
    address = split_selectors(path)
    row = address.row if row is None else row
    given = {"background": "auto", "response": "auto", "arf": "auto", "exposure": None}
    given |= {"poisserr": None}
    if unknown := set(options) - set(given):
        raise TypeError(f"read_spectra has no argument {', '.join(sorted(unknown))}")
    chosen = tuple((given | options).values())
    cache = ResponseCache() if cache is None else cache
    with np.errstate(all="ignore"):
        hdus, hdu = _open(address)
        count = n_spectra(hdu)
        rows = [row_index(hdu, row)] if count is None or row is not None else range(count)
        return [_assemble(hdus, hdu, r, chosen, cache) for r in rows]


def read_response(rmf, arf=None, cache=None) -> Response:
    """Read an RMF or RSP file, and an ARF if there is one.

    Parameters
    ----------
    rmf : str, os.PathLike or Response
        All MATRIX extensions are summed unless one is chosen by ``file.rmf[n]``.
    arf : str, os.PathLike, tuple from `read_arf`, or None
        Must be on the energy grid of the RMF; without it the area is one.
    cache : ResponseCache, optional
        Where equal responses are found again.

    Returns
    -------
    Response

    Raises
    ------
    InputError
        If a file is missing or damaged, holds NaN, or the grids differ.

    Examples
    --------
    >>> read_response("memory://nowhere/a.rmf")
    Traceback (most recent call last):
    ...
    jaxspec.errors.InputError: memory://nowhere/a.rmf: does not exist; ...
    """
    with np.errstate(all="ignore"):
        return _response(rmf, arf, ResponseCache() if cache is None else cache)


def read_arf(path):
    """Read an ARF file.

    Parameters
    ----------
    path : str or os.PathLike
        ``file.arf{n}`` chooses a row of a type II ARF.

    Returns
    -------
    e_lo, e_hi : (n_energy,) float64 keV, ascending
    area : (n_energy,) float64 cm2

    Raises
    ------
    InputError
        If the file is missing or damaged or holds no area.

    Examples
    --------
    >>> from jaxspec.read.write import write_arf
    >>> write_arf((np.array([1.0, 2]), np.array([2.0, 3]), np.array([10.0, 20])), "memory://a.arf")
    >>> read_arf("memory://a.arf")[2]
    array([10., 20.])
    """
    with np.errstate(all="ignore"):
        address = split_selectors(path)
        raw, file = _fetch(address.file)
        return ResponseCache().arf(raw, file, address.hdu, address.row)


# ---------------------------------------------------------------------------- files


def _fetch(file):
    try:
        return read_bytes(file)
    except FileNotFoundError:
        raise InputError("does not exist", file=file, remedy="check the path") from None


def _open(address):
    raw, file = _fetch(address.file)
    hdus = open_hdus(decompress(raw, file), file)
    return hdus, spectrum_hdu(hdus, address.hdu)


class _File(NamedTuple):
    """A file that was fetched, with the extension and row that are asked for."""

    raw: bytes
    file: str
    hdu: str | None
    row: int | None


def _load(path):
    address = split_selectors(path)
    return _File(*_fetch(address.file), address.hdu, address.row)


def _follow(given, keyword, spectrum):
    """Turn an argument ("auto", None, path or object) into a file or an object."""
    if not isinstance(given, str | os.PathLike):
        return given
    if given != "auto":
        return _load(given)
    link = spectrum.header.get(keyword)
    if not is_set(link):
        return None
    link, parent = link.strip(), spectrum.path
    if link.lower() == "%match%":
        root = parent[: -len(parent.rpartition("/")[2])] + stem(parent)
        targets = [Address(root + ending) for ending in _MATCH[keyword]]
    else:
        inner = split_selectors(link)
        targets = [inner._replace(file=resolve_link(inner.file, parent, keyword))]
    for target in targets:
        try:
            return _File(*read_bytes(target.file), target.hdu, target.row)
        except FileNotFoundError:
            continue
    tried = " or ".join(t.file for t in targets)
    raise InputError(
        f"{keyword} is {link!r}, but {tried} does not exist (nor a gzipped one)",
        file=parent,
        hdu="SPECTRUM",
        remedy=f"put the file there, or read with {_ARGUMENT[keyword]}=None or a path",
    )


# ---------------------------------------------------------------------------- parts


def _assemble(hdus, hdu, row, options, cache):
    background, response, arf, exposure, poisserr = options
    name = stem(hdu.file)
    if row is not None:
        number = hdu.row("SPEC_NUM", row) if hdu.has("SPEC_NUM") else row + 1
        name = f"{name}{{{number}}}"
    spectrum = parse_pha(hdus, hdu, row, name, exposure=exposure, poisserr=poisserr)
    background, notes = _background(background, spectrum, hdu, row)
    response, more = _spectrum_response(response, arf, spectrum, hdus, hdu, cache)
    return spectrum.replace(
        background=background,
        response=response,
        diagnostics=spectrum.diagnostics + notes + more,
    )


def _background(given, spectrum, hdu, row):
    found = _follow(given, "BACKFILE", spectrum)
    if isinstance(given, str) and given == "auto" and found is None and row is not None:
        found = builtin_background(hdu, row, spectrum)
    if isinstance(found, _File):
        hdus = open_hdus(decompress(found.raw, found.file), found.file)
        inner = spectrum_hdu(hdus, found.hdu)
        number = found.row
        if number is None and row is not None and n_spectra(inner) == n_spectra(hdu):
            number = int(hdu.row("SPEC_NUM", row)) if hdu.has("SPEC_NUM") else row + 1
        unused = None if spectrum.quality is None else np.isin(spectrum.quality, NEVER)
        index = row_index(inner, number)
        found = parse_pha(hdus, inner, index, stem(found.file), unused=unused)
    if found is None:
        return None, ()
    if not isinstance(found, Spectrum):
        raise TypeError(f"background is a {type(found).__name__}; give a path or a Spectrum")
    header = found.header or {}
    limits = (header["TLMIN1"], header["TLMAX1"]) if "TLMIN1" in header else None
    index, notes = _positions(spectrum, hdu, found.channel, found.path or "background", limits)
    return (found if index is None else take_channels(found, index)), notes


def _spectrum_response(given, arf, spectrum, hdus, hdu, cache):
    found = _follow(given, "RESPFILE", spectrum)
    if found is None:
        return None, ()
    arf = _follow(arf, "ANCRFILE", spectrum)
    spare = find_hdu(hdus, None, ("EBOUNDS",)) or [None]
    response = _response(found, arf, cache, spare[0])
    notes = ()
    if arf is None and np.all(response.area == 1.0) and not holds_area(response):
        notes = (f"no ARF is loaded: {response.name} is taken to hold the effective area",)
    index, more = _positions(spectrum, hdu, response.channel, response.name)
    if index is not None:
        response = cache.select(response, index)
    return response, notes + more


def _response(rmf, arf, cache, spare_ebounds=None):
    if isinstance(rmf, str | os.PathLike):
        rmf = _load(rmf)
    if isinstance(rmf, _File):
        rmf = cache.rmf(rmf.raw, rmf.file, rmf.hdu, spare_ebounds)
    if not isinstance(rmf, Response):
        raise TypeError(f"response is a {type(rmf).__name__}; give a path or a Response")
    if arf is None:
        return rmf
    if isinstance(arf, str | os.PathLike):
        arf = _load(arf)
    name = "ARF"
    if isinstance(arf, _File):
        name = arf.file.replace("\\", "/").rpartition("/")[2]
        arf = cache.arf(arf.raw, arf.file, arf.hdu, arf.row)
    return cache.combine(rmf, arf, name)


def _positions(spectrum, hdu, channel, name, limits=None):
    """Index of the channels of the spectrum among ``channel``; None if they are the same.

    TLMIN and TLMAX say of which channels those of the spectrum are a part. Where there are as many
    as in ``channel``, the first is the first one there, whatever their numbers. ``limits`` are
    TLMIN and TLMAX of ``channel`` where it is a part as well, as a background's.
    """
    wanted, header = spectrum.channel, spectrum.header
    first, last = header.get("TLMIN1"), header.get("TLMAX1")
    lowest, highest = (int(channel[0]), int(channel[-1])) if limits is None else limits
    if first is not None and first != lowest and last - first == highest - lowest:
        shift = first - lowest
        place = _places(wanted - shift, channel)
        if place is not None:
            note = f"channels {wanted[0]}-{wanted[-1]} are those from {wanted[0] - shift} in {name}"
            return place, (note,)
    if np.array_equal(wanted, channel):
        return None, ()
    place = _places(wanted, channel)
    if place is not None:
        return place, ()
    detchans = header.get("DETCHANS")
    place = wanted - wanted[0]
    if len(channel) != len(wanted) and len(channel) == detchans:
        place = wanted - hdu.integer(f"TLMIN{_column(hdu)}", int(wanted[0] > 0))
    counted = len(channel) in (len(wanted), detchans)
    if counted and place.min() >= 0 and place.max() < len(channel):
        note = f"channels {wanted[0]}-{wanted[-1]} are those from {channel[0]} in {name}"
        return place, (note,)
    raise InputError(
        f"has {len(wanted)} channels ({wanted[0]}-{wanted[-1]}) but {name} has "
        f"{len(channel)} ({channel[0]}-{channel[-1]})",
        file=spectrum.path,
        hdu=hdu.label,
        column="CHANNEL",
        remedy="use files that were made for each other",
    )


def _column(hdu):
    return hdu.columns["CHANNEL"].n if hdu.has("CHANNEL") else 0


def _places(wanted, channel):
    """Where each of ``wanted`` is in ``channel``, or None."""
    order = np.argsort(channel, kind="stable")
    place = order[np.minimum(np.searchsorted(channel, wanted, sorter=order), len(channel) - 1)]
    return place if np.array_equal(channel[place], wanted) else None
