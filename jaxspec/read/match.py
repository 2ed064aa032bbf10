"""Where the channels of a spectrum stand among those of its response, background or correction."""

from __future__ import annotations

import numpy as np

from jaxspec._types import Spectrum
from jaxspec.errors import InputError

_PER_CHANNEL = "channel counts stat_err sys_err quality grouping areascal backscal".split()


def positions(spectrum, hdu, channel, name, limits=None):
    """Index of the channels of the spectrum among ``channel``; None if they are the same.

    TLMIN and TLMAX say of which channels those of the spectrum are a part, else DETCHANS says how
    many these are. Where there are as many as in ``channel``, the first is the first one there,
    whatever their numbers. ``limits`` are TLMIN and TLMAX of ``channel`` where it is a part as
    well, as a background's.

    Raises
    ------
    InputError
        The channels are not those of ``channel``, nor said to be a part of them.
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
    place, detchans = _places(wanted, channel), header.get("DETCHANS")
    theirs = f"but {name} has {len(channel)} ({channel[0]}-{channel[-1]})"
    if place is not None:
        if detchans is None and first is None:
            return place, (
                f"DETCHANS is missing and {name} has {len(channel)} channels: those of the same "
                "numbers are taken",
            )
        whole = highest - lowest + 1
        if detchans in (len(channel), whole) or (first, last) == (lowest, highest):
            return place, ()
        ours = len(wanted) if detchans is None else detchans
        raise _unlike(
            spectrum,
            hdu,
            f"is for a detector of {ours:g} channels (DETCHANS) {theirs}",
            f"; if it holds only a part of the channels, set DETCHANS to {whole}",
        )
    place = wanted - wanted[0]
    if len(channel) != len(wanted) and len(channel) == detchans:
        place = wanted - hdu.integer(f"TLMIN{_column(hdu)}", int(wanted[0] > 0))
    counted = len(channel) in (len(wanted), detchans)
    if counted and place.min() >= 0 and place.max() < len(channel):
        note = f"channels {wanted[0]}-{wanted[-1]} are those from {channel[0]} in {name}"
        return place, (note,)
    ours = f"has {len(wanted)} channels ({wanted[0]}-{wanted[-1]})"
    raise _unlike(spectrum, hdu, f"{ours} {theirs}")


def _unlike(spectrum, hdu, problem, or_else=""):
    return InputError(
        problem,
        file=spectrum.path,
        hdu=hdu.label,
        column="CHANNEL",
        remedy=f"use files that were made for each other{or_else}",
    )


def channel_limits(table, detchans=None) -> dict:
    """TLMIN and TLMAX of CHANNEL, as TLMIN1 and TLMAX1: what the channels are a part of.

    ``table`` is a row of `jaxspec.read.pha`; without TLMAX, ``detchans`` says how many there are.
    """
    if "CHANNEL" not in table.columns:
        return {}
    column, channel = table.columns["CHANNEL"].n, np.atleast_1d(table.get("CHANNEL"))
    first, last = (table.hdu.integer(f"{key}{column}") for key in ("TLMIN", "TLMAX"))
    if first is not None and last is None:
        last = None if detchans is None else int(first + detchans - 1)
    if first is None or last is None:
        return {}
    if channel.min() < first or channel.max() > last:
        table.notes.append(
            f"CHANNEL goes from {channel.min()} to {channel.max()}, outside of its TLMIN to TLMAX, "
            f"{first} to {last}; these are left out"
        )
        return {}
    return {"TLMIN1": first, "TLMAX1": last}


def _column(hdu):
    return hdu.columns["CHANNEL"].n if hdu.has("CHANNEL") else 0


def _places(wanted, channel):
    """Where each of ``wanted`` is in ``channel``, or None."""
    order = np.argsort(channel, kind="stable")
    place = order[np.minimum(np.searchsorted(channel, wanted, sorter=order), len(channel) - 1)]
    return place if np.array_equal(channel[place], wanted) else None


def take_channels(spectrum: Spectrum, index) -> Spectrum:
    """Return the spectrum with the channels at ``index``, in that order."""
    changes = {}
    for name in _PER_CHANNEL:
        value = getattr(spectrum, name)
        if np.ndim(value):
            changes[name] = value[index]
    return spectrum.replace(**changes)
