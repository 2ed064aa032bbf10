"""Extensions of a FITS file: found by kind, name, number or EXTVER, and listed in messages."""

from __future__ import annotations

from jaxspec.errors import InputError

SHOWN = 12  # extensions that a message lists


def find_hdu(hdus, wanted, extname=(), hduclass=(), needs=()):
    """All HDUs of one kind, by number or name if the user gave one, else by EXTNAME or HDUCLASn.

    Parameters
    ----------
    hdus : list of HDU
    wanted : str or None
        Number, name, or name and EXTVER, from ``file[1]``, ``file[SPECTRUM]``, ``file[MATRIX,2]``.
    extname : tuple of str
    hduclass : tuple of (keyword, value)
    needs : tuple of tuple of str
        Columns, one of each of which an HDU that is known by its HDUCLASn alone must have, beside
        others that are known by their name.

    Returns
    -------
    list of HDU, maybe empty

    Raises
    ------
    InputError
        If the user asked for an extension that is not there.
    """
    if wanted is not None:
        return _wanted(hdus, wanted)
    named = [h for h in hdus[1:] if h.name in extname]
    return [h for h in hdus[1:] if h in named or (_is_of(h, hduclass) and _fits(h, needs, named))]


def _wanted(hdus, wanted):
    name, _, version = wanted.partition(",")
    name, version = name.strip(), version.partition(",")[0].strip()
    number = int(name) if name.isdigit() and len(name) < 6 else None
    found = [h for h in hdus if h.index == number or (h.name == name.upper() and name)]
    named = found
    if version:
        found = [h for h in found if str(h.version) == version.lstrip("0")]
    if not found:
        raise InputError(
            f"has no extension {wanted!r}, only {listed(named) or names_of(hdus)}",
            file=hdus[0].file,
            remedy="name one of these, or its number, in the brackets",
        )
    return found


def _is_of(hdu, hduclass):
    return any(str(hdu.get(key, "")).strip().upper() == value for key, value in hduclass)


def _fits(hdu, needs, named):
    return not named or all(any(hdu.has(c) for c in columns) for columns in needs)


def names_of(hdus):
    """Extensions of a file, for messages."""
    return ", ".join(h.label for h in hdus)


def listed(hdus, keys=()):
    """Extensions with their numbers and what tells them apart, for messages.

    Parameters
    ----------
    hdus : list of HDU
    keys : tuple of str, keywords beside EXTVER.
    """
    lines = []
    for hdu in hdus[:SHOWN]:
        said = [f"extension {hdu.index}"]
        said += [f"{k} {hdu.get(k)}" for k in ("EXTVER", *keys) if hdu.get(k) is not None]
        lines.append(f"{hdu.label} ({', '.join(said)})")
    more = [f"{len(hdus) - SHOWN} more"] if len(hdus) > SHOWN else []
    return "; ".join(lines + more)
