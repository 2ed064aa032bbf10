"""Which MATRIX and EBOUNDS extensions of a file make the response that is meant.

A file may hold one response in several parts, to be summed (CAL/GEN/92-002 of 2020), or several
responses, of which one is meant: those of Fermi GBM (``.rsp2``) belong to intervals of time.
"""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError
from jaxspec.read.extensions import find_hdu, listed, names_of
from jaxspec.read.paths import Address, chosen

_KINDS = ("MATRIX", "SPECRESP MATRIX")
_COLUMNS = (("MATRIX",), ("ENERG_LO",))
# What parts of one response have in common, each where it is given
_COMMON = (
    "RSP_NUM TSTART TSTOP DATE-OBS DATE-END TELESCOP INSTRUME DETNAM FILTER GRATING TG_M TG_PART "
    "ORDER HDUCLAS3"
).split()
_TOLD = ("RSP_NUM", "TSTART", "TSTOP")
_SHARED = ("RSP_NUM", "TSTART")  # stated and equal, they say that matrices are parts
WHOLE = 1.1  # sum of a row of a redistribution above which it is more than one


def choose_matrices(hdus, address: Address) -> list:
    """MATRIX extensions that an address means.

    Parameters
    ----------
    hdus : list of HDU
    address : Address
        ``[...]`` names the extension; numbers in braces are EXTVER, or RSP_NUM where EXTVER does
        not tell them apart, or else places in the file.

    Returns
    -------
    list of HDU
        Parts of one response, or those whose numbers were given.

    Raises
    ------
    InputError
        If there are none, or several responses and no choice among them.
    """
    found = find_hdu(hdus, address.hdu, _KINDS, (("HDUCLAS2", "RSP_MATRIX"),), _COLUMNS)
    if not found:
        raise InputError(
            f"has no MATRIX extension, only {names_of(hdus)}",
            file=hdus[0].file,
            remedy="give an RMF or RSP file as the response (an ARF is passed as arf=...)",
        )
    if address.numbers is None:
        _refuse(found, [key for key in _COMMON if _differs(found, key)])
        return found
    versions = numbers_of(found)
    numbers = chosen(address, versions)
    missing = [n for n in numbers if n not in versions]
    if missing or not numbers:
        wrong = f"no response number {missing[0]}" if missing else "no such response"
        remedy = f"choose one of {listed(found, _TOLD)}"
        raise InputError(f"has {wrong}", file=hdus[0].file, remedy=remedy)
    taken = [h for h, v in zip(found, versions, strict=True) if v in numbers]
    if len(numbers) == 1:
        _refuse(taken, [key for key in _COMMON if _differs(taken, key)])
    return taken


def numbers_of(found) -> list[int]:
    """Number of each extension by which braces choose it."""
    versions = [h.stated_version for h in found]
    if len(found) > 1 and len(set(versions)) == 1:
        versions = [h.get("RSP_NUM") for h in found]
    if all(type(v) is int for v in versions):
        return versions
    return [h.version for h in found] if len(set(versions)) > 1 else list(range(1, len(found) + 1))


def _differs(found, key):
    values = {h.get(key) for h in found} - {None}
    return len({v.strip().upper() if isinstance(v, str) else v for v in values}) > 1


def _refuse(found, keys):
    if keys:
        raise InputError(
            f"holds several responses, which differ in {', '.join(keys)}: {listed(found, keys)}",
            file=found[0].file,
            remedy="choose one as in file.rsp2{1} or file.rsp2[3]; {1-2} sums those named",
        )


def refuse_wholes(parts):
    """Raise `InputError` if matrices that say nothing of it cannot be parts of one response.

    The rows of a whole redistribution add up to one, so that two of them are too many. Matrices
    with EXTVER of their own, on the same energies and in each on almost the same channels, are of
    other times or places: parts are stored apart since they fill other channels.

    Parameters
    ----------
    parts : sequence with ``hdu, e_lo, indptr, data, row, first, width``
    """
    found = [part.hdu for part in parts]
    if any(all(h.get(key) is not None for h in found) for key in _SHARED):
        return
    first = parts[0]
    if not all(_same_energies(first, other) for other in parts[1:]):
        return  # the wide wings of a line are stored on a coarser grid than its core
    if any(_equal(first, other) for other in parts[1:]):
        _refuse(found, ["nothing: one is a copy of another"])
    if all(str(h.get("HDUCLAS3", "")).strip().upper() == "REDIST" for h in found):
        sums = [_typical_sum(part) for part in parts]
        if max(sums) < WHOLE < sum(sums):
            _refuse(found, ["EXTVER, and add up to more than one count for a photon"])
    versions = [h.stated_version for h in found]
    if None not in versions and len(set(versions)) == len(parts):
        if all(_alike(first, other) for other in parts[1:]):
            _refuse(found, ["EXTVER, and fill the same channels"])


def _equal(one, other):
    """Whether two matrices are the same ones."""
    names = ("indptr", "first", "width", "data")
    return all(np.array_equal(getattr(one, n), getattr(other, n)) for n in names)


def _typical_sum(part):
    """Median over the energies of the sum of a row."""
    rows = np.flatnonzero(np.diff(part.indptr))
    rows = rows[:: max(1, len(rows) // 256)]
    sums = [float(np.sum(part.data[part.indptr[r] : part.indptr[r + 1]])) for r in rows]
    return float(np.median(sums)) if sums else 0.0


def _same_energies(one, other):
    return len(one.e_lo) == len(other.e_lo) and np.allclose(one.e_lo, other.e_lo, rtol=1e-6)


def _alike(one, other):
    """Whether two matrices on the same energies fill nearly the same channels in nine of ten."""
    (low_a, high_a), (low_b, high_b) = _span(one), _span(other)
    both = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
    either = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
    filled = either > 0
    return bool(filled.any() and np.mean(both[filled] > 0.8 * either[filled]) > 0.9)


def _span(part):
    """First channel and that after the last of each row; 0 and 0 of an empty one."""
    n, used = len(part.e_lo), part.width > 0
    low, high = np.full(n, np.iinfo(np.int64).max), np.zeros(n, np.int64)
    np.minimum.at(low, part.row[used], part.first[used])
    np.maximum.at(high, part.row[used], (part.first + part.width)[used])
    return np.where(high > 0, low, 0), high


def area_in(hdus, matrices) -> bool:
    """Whether a file holds an effective area of its own, apart from its matrices."""
    found = find_hdu(hdus, None, ("SPECRESP",), (("HDUCLAS2", "SPECRESP"),), (("SPECRESP",),))
    return any(h not in matrices and h.has("SPECRESP") for h in found)


def choose_ebounds(hdus, matrices, spare=None):
    """EBOUNDS that belong to the matrices: of their EXTVER if there are several.

    Raises
    ------
    InputError
        If there are none and no ``spare``.
    """
    found = find_hdu(hdus, None, ("EBOUNDS",), (("HDUCLAS2", "EBOUNDS"),), (("E_MIN",),))
    if not found and spare is None:
        raise InputError(
            f"has no EBOUNDS extension, only {names_of(hdus)}",
            file=hdus[0].file,
            remedy="use a response with EBOUNDS",
        )
    if not found:
        return spare
    same = [h for h in found if h.stated_version == matrices[0].stated_version]
    return same[0] if len(same) == 1 and len(found) > 1 else found[0]
