"""Read OGIP spectra with their backgrounds and responses."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from jaxspec._types import Response, Spectrum
from jaxspec.errors import InputError
from jaxspec.read.cache import ResponseCache
from jaxspec.read.choose import (
    background_in,
    choose_spectra,
    only_one,
    rows_of,
    source_row,
    unread,
)
from jaxspec.read.extensions import find_hdu
from jaxspec.read.fits import open_hdus
from jaxspec.read.links import Found, asked, fetch, follow
from jaxspec.read.match import positions, take_channels
from jaxspec.read.paths import decompress, split_selectors, stem
from jaxspec.read.pha import builtin_background, parse_pha
from jaxspec.read.plausible import scales_note
from jaxspec.read.repair import NEVER


def read_spectrum(path, *, row=None, root=None, cache=None, **options) -> Spectrum:
    """Read one spectrum (PHA type I, or one row of type II) and the files that it links to.

    Parameters
    ----------
    path : str or os.PathLike
        A local file or any fsspec address (``s3://``, ``https://``, ``memory://``), plain or
        compressed (``.gz``, ``.Z``); ``file.pha{3}`` chooses a row of type II, from 1, or an
        extension by EXTVER, ``file.pha[1]``, ``file.pha[SPECTRUM]`` and ``file.pha[SPECTRUM,2]`` an
        extension. Where the name does not exist, ``name.gz``, ``name.Z`` (or the name without it)
        are tried; so for links.
    row : int, optional
        Row in a type II file, from 1; same as ``{row}``.
    background, response, arf, correction : "auto", None, path, folder, mapping, function or object
        "auto" follows BACKFILE, RESPFILE, ANCRFILE and CORRFILE, relative to the file and never
        out of its folder, or of ``root``; None loads none. A path is used as it is; in a folder
        (and those in it) the file is looked for that the keyword names. A mapping is asked for the
        path, file name or name of the spectrum, its OBS_ID or the value of the keyword; a function
        gets the `Spectrum`; both give any of the others. ``background`` and ``correction`` may be
        a `Spectrum`, ``response`` a `Response`, ``arf`` the tuple from `read_arf`.
        ``background="optional"`` is "auto", but the spectrum is read without one whose file does
        not exist.
    exposure : float, optional
        Seconds, in place of EXPOSURE.
    poisserr : bool, optional
        In place of POISSERR.
    root : str or os.PathLike, optional
        Folder of the archive: links may lead anywhere in it, and files that are not where a link
        says are looked for by name in all of its folders.
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
    OGIP 92-007 and 92-007a (PHA), CAL/GEN/92-002 and 92-002a (RMF, ARF). Without braces, a spectrum
    whose HDUCLAS2 is BKG is no source: it is the background of the others in its file, unless
    BACKFILE names another. CORRFILE is a spectrum whose count rate times CORRSCAL is subtracted
    (XSPEC manual, corfile), and adds nothing to the errors.

    Examples
    --------
    >>> from jaxspec.read.write import write_pha
    >>> s = Spectrum("a", channel=np.arange(3), counts=np.array([1.0, 4, 2]), exposure=10.0)
    >>> write_pha(s, "memory://doc/a.pha.gz")
    >>> read_spectrum("memory://doc/a.pha")
    Spectrum(a: 3 channels, 7 counts, 10 s, no response)
    """
    remedy = "choose one with file.pha{n} or row=n, or read them all with read_spectra"
    return _read(path, row, root, cache, options, remedy)[0]


def read_spectra(path, *, row=None, root=None, cache=None, **options) -> list[Spectrum]:
    """Read all spectra of a file: every row of a type II file, the one of type I.

    Parameters
    ----------
    path : str or os.PathLike
        As for `read_spectrum`; ``{n}``, ``{1-3}``, ``{1,4-}`` and ``row`` choose some.
    row, root, cache, **options
        As for `read_spectrum`.

    Returns
    -------
    list of Spectrum
        Those with equal responses share one `Response`. Of several extensions with sources the
        first is read; ``diagnostics`` names the others.

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
    return _read(path, row, root, cache, options)


def _read(path, row, root, cache, options, only=None):
    """Spectra that a path means; with a remedy ``only``, there must be one."""
    if unknown := set(options) - set(_Options._fields):
        raise TypeError(f"there is no argument {', '.join(sorted(unknown))}")
    address = split_selectors(path)
    if row is not None:
        address = address._replace(numbers=str(_whole(row)))
    cache = ResponseCache() if cache is None else cache
    with _within(address.file):
        hdus = _open(address)
        places = choose_spectra(hdus, address)
        if only is not None:
            only_one(places, only)
        chosen, given, notes = _Options(**options), cache.places(root), _said(hdus, places)
        return [_assemble(hdus, place, notes, chosen, cache, given) for place in places]


def read_response(rmf, arf=None, cache=None) -> Response:
    """Read an RMF or RSP file, and an ARF if there is one.

    Parameters
    ----------
    rmf : str, os.PathLike or Response
        MATRIX extensions that are parts of one response are summed. Of several responses one is
        chosen as in ``file.rsp2{2}`` (EXTVER), ``file.rsp2[3]`` or ``file.rsp2[MATRIX,2]``.
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
        If a file is missing or damaged, holds NaN or several responses, or the grids differ.

    Examples
    --------
    >>> read_response("memory://nowhere/a.rmf")
    Traceback (most recent call last):
    ...
    jaxspec.errors.InputError: memory://nowhere/a.rmf: does not exist; ...
    """
    with _within(rmf):
        return _response(rmf, arf, ResponseCache() if cache is None else cache)


def read_arf(path):
    """Read an ARF file.

    Parameters
    ----------
    path : str or os.PathLike
        ``file.arf{n}`` chooses a row of a type II ARF, or an extension by EXTVER.

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
    with _within(path):
        found = fetch(path)
        return ResponseCache().arf(found.raw, found.file, found.address)[0]


# ---------------------------------------------------------------------------- parts


@contextmanager
def _within(file):
    """Whatever NumPy is told to raise on is ours here; a lack of memory is that of this file."""
    try:
        with np.errstate(all="ignore"):
            yield
    except MemoryError:
        raise InputError(
            "does not fit into memory", file=str(file), remedy="use a machine with more of it"
        ) from None


def _whole(row):
    if isinstance(row, bool) or not isinstance(row, int | np.integer) or row < 1:
        raise InputError(f"is {row!r}", parameter="row", remedy="give a whole number, from 1 on")
    return int(row)


class _Options(NamedTuple):
    """What the caller may say of every spectrum."""

    background: Any = "auto"
    response: Any = "auto"
    arf: Any = "auto"
    correction: Any = "auto"
    exposure: Any = None
    poisserr: Any = None


def _open(address):
    found = fetch(address)
    return open_hdus(decompress(found.raw, found.file), found.file)


def _assemble(hdus, place, notes, options, cache, places):
    hdu, row = place
    name = stem(hdu.file) + ("" if row is None else f"{{{row + 1}}}")
    spectrum = parse_pha(hdus, hdu, row, name, exposure=options.exposure, poisserr=options.poisserr)
    background, link, more = _background(options.background, spectrum, hdus, place, places)
    if background is not None:
        spectrum, background, lost = _without_lost(spectrum, background, "background")
        more += lost
    if link is not None:  # so that a spectrum that is written finds its background again
        spectrum = spectrum.replace(header={**(spectrum.header or {}), "BACKFILE": link})
    correction, other = _correction(options.correction, spectrum, hdu, places)
    if correction is not None:
        spectrum, correction, lost = _without_lost(spectrum, correction, "correction")
        other += lost
    response, last = _spectrum_response(options, spectrum, hdus, place, cache, places)
    return spectrum.replace(
        background=background,
        correction=correction,
        corrscal=1.0 if correction is None else _corrscal(spectrum),
        response=response,
        diagnostics=spectrum.diagnostics + notes + more + other + last,
    )


def _said(hdus, places):
    """What to say of a file that is read only in part."""
    rest = unread(hdus, places)
    if not rest:
        return ()
    hdu = rest[0].hdu
    if all(p.hdu is hdu for p in (*rest, *places)):
        return (f"{len(rest)} more spectra of {hdu.label} are not read; {{n}} chooses rows",)
    texts = ", ".join(p.text for p in rest[:3]) + (", ..." if len(rest) > 3 else "")
    return (f"other spectra in the file are not read: {texts}; file[n] chooses an extension",)


def _background(given, spectrum, hdus, place, places):
    """Background, the link that names it if that of the file does not, and what was assumed."""
    hdu, row = place
    link, file = None, hdu.file.replace("\\", "/").rpartition("/")[2]
    unused = None if spectrum.quality is None else np.isin(spectrum.quality, NEVER)
    given = asked(given, "BACKFILE", spectrum)
    found, notes = follow(given, "BACKFILE", spectrum, places)
    follows = isinstance(given, str) and given in ("auto", "optional")
    net = str(spectrum.header.get("HDUCLAS2", "")).strip().upper() == "NET"
    if follows and found is None and not notes and row not in rows_of(hdu, behind=True):
        behind, note = background_in(hdus, place, own=True)
        if behind is not None and net:
            notes = (f"HDUCLAS2 is NET: {behind.text} was subtracted already, and is not loaded",)
        elif behind is not None:
            found, notes = _other(hdus, behind, "background", unused), (note,)
            link = f"{file}[{behind.hdu.index}]" + _braces(behind.row)
        elif row is not None:
            found = builtin_background(hdu, row, spectrum)
    if isinstance(found, Found):
        own = _is_same(found.file, hdu.file)
        inside = hdus if own else open_hdus(decompress(found.raw, found.file), found.file)
        behind, note = background_in(inside, place, found.address, own)
        notes += (note,) if note else ()
        if follows and own and found.address[1:] == (None, None):
            link = f"{file}[{behind.hdu.index}]" + _braces(behind.row)
        elif follows and found.address.numbers is None and behind.row is not None:
            link = spectrum.header["BACKFILE"].strip() + _braces(behind.row)
        notes += _no_backscal(hdu, "") + _no_backscal(behind.hdu, " of the background")
        found = _other(inside, behind, "background", unused)
    if found is None:
        return None, None, notes
    if not isinstance(found, Spectrum):
        raise InputError(
            f"background is a {type(found).__name__}", remedy="give a path or a Spectrum"
        )
    if net:
        notes += ("HDUCLAS2 is NET: was the background subtracted already? It is loaded as well",)
    found, more = _on_channels(found, spectrum, hdu, "background")
    return found, link, notes + more


def _no_backscal(hdu, whose):
    stated = hdu.has("BACKSCAL") or hdu.get("BACKSCAL") is not None
    return () if stated else (f"BACKSCAL{whose} is missing; 1 is assumed",)


def _without_lost(spectrum, other, name):
    """Both without the channels in which the other has no numbers, and what was left out."""
    lost = ~np.isfinite(other.counts)
    if not lost.any():
        return spectrum, other, ()
    quality = np.zeros(len(lost), np.int16) if spectrum.quality is None else spectrum.quality
    note = f"the {name} has no numbers in {lost.sum()} channels; these are left out"
    spectrum = spectrum.replace(quality=np.where(lost, 5, quality).astype(np.int16))
    return spectrum, other.replace(counts=np.where(lost, 0.0, other.counts)), (note,)


def _on_channels(other, spectrum, hdu, name):
    """Background or correction on the channels of the spectrum, and what was assumed."""
    header = other.header or {}
    limits = (header["TLMIN1"], header["TLMAX1"]) if "TLMIN1" in header else None
    index, notes = positions(spectrum, hdu, other.channel, other.path or name, limits)
    notes += _other_telescope(spectrum, header.get("TELESCOP"), f"the {name}")
    notes += scales_note(spectrum.areascal, other.areascal, name)
    if index is not None:
        other = take_channels(other, index).replace(channel=spectrum.channel)
    return other, notes


def _other_telescope(spectrum, found, what):
    """Note where a file says that it is of another mission than the spectrum."""
    own, found = (str(x or "").strip() for x in ((spectrum.header or {}).get("TELESCOP"), found))
    names = {own.upper(), found.upper()}
    if len(names) == 1 or names & {"", "NONE"}:
        return ()
    return (f"{what} is of {found} (TELESCOP), the spectrum of {own}: do they belong together?",)


def _braces(row):
    return "" if row is None else f"{{{row + 1}}}"


def _correction(given, spectrum, hdu, places):
    given = asked(given, "CORRFILE", spectrum)
    if isinstance(given, str) and given == "auto" and _corrscal(spectrum) == 0:
        return None, ()  # as XSPEC has it, the file has no effect, and is often not there
    found, notes = follow(given, "CORRFILE", spectrum, places)
    if isinstance(found, Found):
        hdus = open_hdus(decompress(found.raw, found.file), found.file)
        remedy = "choose one with correction='file.pha{n}'"
        found = _other(hdus, only_one(choose_spectra(hdus, found.address), remedy), "correction")
    if found is None:
        return None, notes
    if not isinstance(found, Spectrum):
        raise InputError(
            f"correction is a {type(found).__name__}", remedy="give a path or a Spectrum"
        )
    scale = _corrscal(spectrum)
    if "CORRSCAL" not in (spectrum.header or {}):
        notes += ("CORRSCAL is missing; the correction is subtracted once",)
    if scale == 0:
        notes += ("CORRSCAL is 0: the correction has no effect",)
    found, more = _on_channels(found, spectrum, hdu, "correction")
    return found, notes + more


def _corrscal(spectrum):
    return float((spectrum.header or {}).get("CORRSCAL", 1.0))


def _other(hdus, place, argument, unused=None):
    """Spectrum that is no source: a background or a correction."""
    name = stem(place.hdu.file)
    return parse_pha(hdus, place.hdu, place.row, name, argument=argument, unused=unused)


def _is_same(one, other):
    if one == other:
        return True
    return "://" not in one + other and os.path.realpath(one) == os.path.realpath(other)


def _spectrum_response(options, spectrum, hdus, place, cache, places):
    found, notes = follow(options.response, "RESPFILE", spectrum, places)
    if found is None:
        return None, notes
    arf, more = follow(options.arf, "ANCRFILE", spectrum, places)
    notes += more
    spare = find_hdu(hdus, None, ("EBOUNDS",)) or [None]
    response = _response(found, arf, cache, spare[0], source_row(place))
    if arf is None and np.all(response.area == 1.0) and not response.full:
        notes += (f"no ARF is loaded: {response.name} is taken to hold the effective area",)
    index, more = positions(spectrum, place.hdu, response.channel, response.name)
    more += _other_telescope(spectrum, response.telescope, f"the response {response.name}")
    if index is not None:
        response = cache.select(response, index, spectrum.channel)
    return response, notes + more


def _response(rmf, arf, cache, spare_ebounds=None, source=None):
    if isinstance(rmf, str | os.PathLike):
        rmf = fetch(rmf)
    if isinstance(rmf, Found):
        rmf = cache.rmf(rmf.raw, rmf.file, rmf.address, spare_ebounds)
    if not isinstance(rmf, Response):
        raise InputError(f"response is a {type(rmf).__name__}", remedy="give a path or a Response")
    if arf is None:
        return rmf
    if isinstance(arf, str | os.PathLike):
        arf = fetch(arf)
    name, said = "ARF", ()
    if isinstance(arf, Found):
        name = arf.file.replace("\\", "/").rpartition("/")[2]
        arf, said = cache.arf(arf.raw, arf.file, arf.address, source)
    return cache.combine(rmf, arf, name, said)
