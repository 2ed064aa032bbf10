"""Which extensions and rows of a file are meant: numbers in braces, EXTVER, source or background.

OGIP 92-007 lets a file hold many spectra, as extensions or as rows (type II), and says with
HDUCLAS2 what each of them is: TOTAL, NET or BKG.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.extensions import find_hdu, listed, names_of
from jaxspec.read.fits import HDU
from jaxspec.read.paths import Address, chosen

COUNTED = ("RATE", "RATES", "COUNTS")  # the first one counts, as in XSPEC
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


def rows_of(hdu: HDU, behind: bool | None = None) -> Sequence[int | None]:
    """Rows of an extension that hold a background, or not, or any; [None] stands for type I.

    HDUCLAS2 says what they hold, as a keyword or as a column of type II.
    """
    n = n_spectra(hdu)
    rows = [None] if n is None else range(n)
    if behind is None:
        return rows
    if n is not None and hdu.has("HDUCLAS2") and hdu.columns["HDUCLAS2"].code == "A":
        roles = (str(value, "latin-1").strip().upper() for value in hdu.column("HDUCLAS2"))
        return [row for row, role in enumerate(roles) if (role in _BEHIND) == behind]
    role = str(hdu.get("HDUCLAS2", "BKG" if hdu.name == "BACKGROUND" else "")).strip().upper()
    return rows if (role in _BEHIND) == behind else []


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


def choose_spectra(hdus, address: Address) -> list[Place]:
    """Spectra that an address means: the numbers in its braces, else all sources of an extension.

    Returns
    -------
    list of Place
        Without braces: the rows, or the one spectrum, of the first extension that holds a source.
        There is at least one.

    Raises
    ------
    InputError
        If there is none, or not the one that is asked for.
    """
    spectra = spectrum_hdus(hdus, address.hdu)
    if address.numbers is not None:
        return _numbered(spectra, address, behind=False)
    hdu = next((h for h in spectra if len(rows_of(h, behind=False))), None)
    # else backgrounds alone
    rows = rows_of(spectra[0]) if hdu is None else rows_of(hdu, behind=False)
    if not len(rows):
        raise spectra[0].fail("holds no spectrum: its table has no rows", remedy="remake the file")
    return [Place(hdu or spectra[0], row) for row in rows]


def _numbered(spectra, address, behind):
    """Spectra by the numbers in braces: rows of type II, or extensions."""
    of_role = [h for h in spectra if len(rows_of(h, behind))]
    if any(n_spectra(h) is not None for h in spectra) or len(spectra) == 1:
        hdu = (of_role or spectra)[0]
        rows = rows_of(hdu)
        places = {i + 1: Place(hdu, row) for i, row in enumerate(rows)}
        kind = "type I" if n_spectra(hdu) is None else "type II"
        remedy = "omit {n}" if kind == "type I" else f"choose among 1-{len(places)}"
    else:
        versions = [h.stated_version for h in spectra]
        if any(versions) and len(set(versions)) < len(spectra) and of_role:
            spectra, versions = of_role, [h.stated_version for h in of_role]
        if None in versions or len(set(versions)) < len(spectra):
            versions = range(1, len(spectra) + 1)
        places = {v: Place(h, None) for v, h in zip(versions, spectra, strict=True)}
        hdu, kind, remedy = spectra[0], "type I", f"choose one of {listed(spectra)}"
    numbers = chosen(address, list(places))
    missing = [n for n in numbers if n not in places]
    if missing or not numbers:
        n = "one spectrum" if len(places) == 1 else f"{len(places)} spectra"
        wrong = f"no number {missing[0]}" if missing else f"none in {{{address.numbers}}}"
        raise hdu.fail(f"holds {n} ({kind}) and {wrong}", remedy=remedy)
    return [places[n] for n in numbers]


def only_one(places, remedy) -> Place:
    """Return the only one of the spectra that an address means, of which there is at least one.

    Raises
    ------
    InputError
        If there are several.
    """
    if len(places) == 1:
        return places[0]
    kind = "I" if places[0].row is None else "II"
    raise places[0].hdu.fail(f"holds {len(places)} spectra (type {kind})", remedy=remedy)


def unread(hdus, places) -> list[Place]:
    """Sources of a file beside those that were chosen."""
    taken = {(p.hdu.index, p.row) for p in places}
    found = (Place(h, row) for h in spectrum_hdus(hdus) for row in rows_of(h, behind=False))
    return [p for p in found if (p.hdu.index, p.row) not in taken]


# ---------------------------------------------------------------------------- partners


class SourceRow(NamedTuple):
    """Which of ``count`` sources of a type II extension a row is, from 0, and its SPEC_NUM."""

    position: int
    count: int
    number: int | None


def source_row(source: Place) -> SourceRow | None:
    """What is needed to find the rows that belong to a source; None for type I."""
    if source.row is None:
        return None
    rows = rows_of(source.hdu, behind=False)
    rows = rows if source.row in rows else rows_of(source.hdu)
    return SourceRow(rows.index(source.row), len(rows), spec_num(source.hdu, source.row))


def partner_row(hdu, source: SourceRow, rows) -> int | None:
    """Row of a type II extension, among ``rows``, that belongs to a source; None if unknown.

    Row by row, as in XSPEC, if both have equally many, else by SPEC_NUM.
    """
    if len(rows) == source.count:
        return rows[source.position]
    if source.number is None:
        return None
    match = [row for row in rows if spec_num(hdu, row) == source.number]
    return match[0] if len(match) == 1 else None


def spec_num(hdu, row):
    """SPEC_NUM of a row; None if there is none, or it is no number."""
    if not hdu.has("SPEC_NUM"):
        return None
    value = hdu.row("SPEC_NUM", row)
    try:
        return int(value) if np.ndim(value) == 0 else None
    except (ValueError, OverflowError):  # text, NaN where it is TNULL, infinite
        return None


def background_in(hdus, source: Place, address=None, own=False) -> tuple[Any, str]:
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
    if address is not None and address.numbers is not None:
        remedy = "choose one, as in file.pha{2}"
        found, note = only_one(_numbered(spectra, address, behind=True), remedy), ""
    else:
        pool = [h for h in spectra if len(rows_of(h, behind=True))]
        if address is None and not pool:
            return None, ""
        role = True if pool else None
        if own and not pool:
            pool = [h for h in spectra if h.index != source.hdu.index]
        found, note = _partner(pool or spectra, role, source)
    if own and (found.hdu.index, found.row) == (source.hdu.index, source.row):
        raise source.hdu.fail(
            "BACKFILE names the spectrum itself",
            remedy="read it with background=None, or name the background as in file.pha{2}",
        )
    if own:
        note = f"the background is {found.text} of the same file" + (note and f"; {note}")
    return found, note


def _partner(pool, role, source):
    """Spectrum in the extensions ``pool`` that belongs to a source: by EXTVER, then by row."""
    hdu = pool[0]
    if len(pool) > 1:
        same = [h for h in pool if h.stated_version == source.hdu.stated_version]
        if len(same) != 1 or source.hdu.stated_version is None:
            raise hdu.fail(
                f"may be the background, as any of {listed(pool, ('HDUCLAS2',))}",
                remedy="choose one with background='file.pha[n]'",
            )
        hdu = same[0]
    rows, ours = rows_of(hdu, role), source_row(source)
    if len(rows) == 1:
        return Place(hdu, rows[0]), ""
    row = None if ours is None else partner_row(hdu, ours, rows)
    if ours is None or row is None:
        raise hdu.fail(
            f"holds {len(rows)} spectra (type II), and none of them is known to be the background",
            remedy="choose one with background='file.pha{n}'",
        )
    theirs = spec_num(hdu, row)
    note = f"the background of SPEC_NUM {ours.number} is row {row + 1}, which has SPEC_NUM {theirs}"
    return Place(hdu, row), "" if None in (ours.number, theirs) or ours.number == theirs else note
