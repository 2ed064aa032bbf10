"""Which extensions and rows of a file are meant: numbers in braces, EXTVER, source or background.

OGIP 92-007 lets a file hold many spectra, as extensions or as rows (type II), and says with HDUCLAS2
what each of them is: TOTAL, NET or BKG.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.extensions import find_hdu, listed, names_of
from jaxspec.read.fits import HDU
from jaxspec.read.paths import Address, chosen

COUNTED = ("COUNTS", "RATE", "RATES")
_BEHIND = ("BKG", "BACKGROUND")


class Place(NamedTuple):
    """Where one spectrum lies: its extension, and its row from 0 in one of type II."""

    hdu: HDU
    row: int | None

    @property
    def text(self):
        """For messages."""
        row = "" if self.row is None else f", row {self.row + 1}"
        return f"{self.hdu.label} (extension {self.hdu.index}{row})"


def n_spectra(hdu: HDU) -> int | None:
    """Count the spectra of a type II extension; None for type I."""
    columns = hdu.columns
    values = next((columns[name] for name in COUNTED if name in columns), None)
    kinds = f"{hdu.get('HDUCLAS3')} {hdu.get('HDUCLAS4')}".upper().split()
    if values is not None and (values.is_vector or ("TYPE:II" in kinds and "SPEC_NUM" in columns)):
        return hdu.n_rows
    return None


def is_background(place: Place) -> bool:
    """Whether HDUCLAS2 (a keyword or a column) says that this is a background."""
    hdu, row = place
    value = hdu.row("HDUCLAS2", row) if row is not None and hdu.has("HDUCLAS2") else None
    value = hdu.get("HDUCLAS2") if value is None else value
    if isinstance(value, bytes | np.bytes_):
        value = value.decode("latin-1")
    if value is None and row is None and hdu.name == "BACKGROUND":
        return True
    return str(value).strip().upper() in _BEHIND


def spectrum_hdus(hdus, wanted=None) -> list[HDU]:
    """SPECTRUM extensions of a PHA file, or those that the user named.

    Raises
    ------
    InputError
        If there are none.
    """
    found = find_hdu(hdus, wanted, ("SPECTRUM",), (("HDUCLAS1", "SPECTRUM"),), (COUNTED,))
    if found:
        return found
    remedy = "give a PHA file, or name its extension as in file.pha[1]"
    if len(hdus) == 1:
        remedy = "the file may be cut off: fetch it again, or give a PHA file"
    raise InputError(
        f"has no SPECTRUM extension, only {names_of(hdus)}", file=hdus[0].file, remedy=remedy
    )


def places_of(hdu: HDU) -> list[Place]:
    """Every spectrum of an extension."""
    n = n_spectra(hdu)
    return [Place(hdu, None)] if n is None else [Place(hdu, row) for row in range(n)]


def choose_spectra(hdus, address: Address) -> list[Place]:
    """Spectra that an address means: the numbers in its braces, else all sources of an extension.

    Returns
    -------
    list of Place
        Without braces: the rows, or the one spectrum, of the first extension that holds a source.
    """
    spectra = spectrum_hdus(hdus, address.hdu)
    if address.numbers is None:
        sources = [[p for p in places_of(h) if not is_background(p)] for h in spectra]
        return next((places for places in sources if places), places_of(spectra[0]))
    return _numbered(spectra, address, behind=False)


def _numbered(spectra, address, behind):
    """Spectra by the numbers in braces: rows of type II, or extensions."""
    of_role = [h for h in spectra if any(is_background(p) == behind for p in places_of(h))]
    if any(n_spectra(h) is not None for h in spectra):
        hdu = (of_role or spectra)[0]
        places = {place.row or 0: place for place in places_of(hdu)}
        places = {row + 1: place for row, place in places.items()}
        kind = "type I" if n_spectra(hdu) is None else "type II"
        where, remedy = f"holds {_count(len(places), 'spectrum')} ({kind})", "choose another number"
    else:
        versions = [h.stated_version for h in spectra]
        if any(versions) and len(set(versions)) < len(spectra) and of_role:
            spectra, versions = of_role, [h.stated_version for h in of_role]
        if None in versions or len(set(versions)) < len(spectra):
            versions = range(1, len(spectra) + 1)
        places = {v: Place(h, None) for v, h in zip(versions, spectra, strict=True)}
        hdu = spectra[0]
        kind = " (type I)" if len(spectra) == 1 else ""
        where = f"holds {_count(len(spectra), 'spectrum')}{kind}"
        remedy = "omit {n}" if len(spectra) == 1 else f"there are {listed(spectra)}"
    numbers = chosen(address, list(places))
    missing = [n for n in numbers if n not in places]
    if missing or not numbers:
        wrong = f"no number {missing[0]}" if missing else f"none in {{{address.numbers}}}"
        raise hdu.fail(f"{where} and {wrong}", remedy=remedy)
    return [places[n] for n in numbers]


def _count(n, what):
    return f"{n} {what}" if n == 1 else f"{n} {what.replace('spectrum', 'spectra')}"


def only_one(places, remedy) -> Place:
    """Return the only one of the spectra that an address means.

    Raises
    ------
    InputError
        If there are several.
    """
    if len(places) == 1:
        return places[0]
    raise places[0].hdu.fail(
        f"holds {len(places)} spectra (type II)"
        if len({p.hdu.index for p in places}) == 1
        else f"{len(places)} spectra are chosen",
        remedy=remedy,
    )


def others(hdus, places) -> list[Place]:
    """Sources of a file beside those that were chosen."""
    taken = {(p.hdu.index, p.row) for p in places}
    found = (p for h in spectrum_hdus(hdus) for p in places_of(h))
    return [p for p in found if (p.hdu.index, p.row) not in taken and not is_background(p)]


def background_in(hdus, source: Place, address=None, own=False) -> tuple[Place | None, str]:
    """Background of a spectrum among the spectra of a file, and what was assumed.

    Parameters
    ----------
    hdus : list of HDU
    source : Place
    address : Address or None
        What BACKFILE or the user names; None to look for what HDUCLAS2 calls a background.
    own : bool
        Whether ``hdus`` is the file of the source.

    Returns
    -------
    Place or None, str
        None only without an address.

    Raises
    ------
    InputError
        If it cannot be told which one is meant.
    """
    spectra = spectrum_hdus(hdus, None if address is None else address.hdu)
    itself = source.hdu.index, source.row
    if address is not None and address.numbers is not None:
        remedy = "choose one, as in file.pha{2}"
        found, note = only_one(_numbered(spectra, address, behind=True), remedy), ""
    else:
        pool = [p for h in spectra for p in places_of(h)]
        marked = [p for p in pool if is_background(p)]
        if address is None and not marked:
            return None, ""
        if own and not marked and len({p.hdu.index for p in pool}) > 1:
            marked = [p for p in pool if p.hdu.index != itself[0]]
        found, note = _partner(marked or pool, source)
    if own and (found.hdu.index, found.row) == itself:
        if address is None:
            return None, ""
        raise source.hdu.fail(
            "BACKFILE names the spectrum itself",
            remedy="read it with background=None, or name the background as in file.pha{2}",
        )
    if own:
        note = f"the background is {found.text} of the same file" + (note and f"; {note}")
    return found, note


class SourceRow(NamedTuple):
    """A row of a type II file, from 0, among the rows that hold sources, and its SPEC_NUM."""

    row: int
    siblings: tuple[int, ...]
    number: int | None


def source_row(source: Place) -> SourceRow | None:
    """What is needed to find the rows that belong to a source; None for type I."""
    if source.row is None:
        return None
    rows = [p.row for p in places_of(source.hdu) if p.row is not None]
    sources = tuple(r for r in rows if not is_background(Place(source.hdu, r)))
    return SourceRow(source.row, sources or tuple(rows), _spec_num(source.hdu, source.row))


def partner_row(hdu, source: SourceRow, rows) -> int | None:
    """Row of another type II file, among ``rows``, that belongs to a source; None if unknown.

    Row by row, as in XSPEC, if both have equally many, else by SPEC_NUM.
    """
    if len(rows) == len(source.siblings) and source.row in source.siblings:
        return rows[source.siblings.index(source.row)]
    if source.number is None:
        return None
    match = [row for row in rows if _spec_num(hdu, row) == source.number]
    return match[0] if len(match) == 1 else None


def _partner(pool, source):
    """Member of ``pool`` that belongs to a source, by extension and then by row."""
    hdus = list({p.hdu.index: p.hdu for p in pool}.values())
    hdu = hdus[0]
    if len(hdus) > 1:
        same = [h for h in hdus if h.stated_version == source.hdu.stated_version]
        if len(same) != 1 or source.hdu.stated_version is None:
            raise hdu.fail(
                f"any of {listed(hdus, ('HDUCLAS2',))} may be the background",
                remedy="choose one with background='file.pha[n]'",
            )
        hdu = same[0]
    rows = [p.row for p in pool if p.hdu is hdu]
    if len(rows) == 1:
        return Place(hdu, rows[0]), ""
    own = source_row(source)
    row = None if own is None else partner_row(hdu, own, rows)
    if row is None:
        raise hdu.fail(
            f"holds {len(rows)} spectra (type II), and none of them is known to be the background",
            remedy="choose one with background='file.pha{n}'",
        )
    theirs = _spec_num(hdu, row)
    note = f"the background of SPEC_NUM {own.number} is row {row + 1}, which has SPEC_NUM {theirs}"
    return Place(hdu, row), "" if None in (own.number, theirs) or own.number == theirs else note


def _spec_num(hdu, row):
    if not hdu.has("SPEC_NUM"):
        return None
    value = hdu.row("SPEC_NUM", row)
    return int(value) if np.ndim(value) == 0 else None
