"""Which channels make which bin: quality, grouping and filters, in the order of XSPEC.

Channels of QUALITY 1 are as if they were not in the file, inside groups too; GROUPING joins the
rest (+1 starts a bin, -1 continues it, any other number is a bin of its own); a group is split
where channels of QUALITY 2 to 5 begin and end. QUALITY 5 is dropped, QUALITY 2 to 4 only after
`jaxspec.reduce.select.ignore_bad`; ranges act on the bins.
"""

from __future__ import annotations

import numpy as np

from jaxspec.errors import InputError


def in_use(values, quality):
    """Values (n_channel,) without those of channels that are always dropped, QUALITY 1 and 5."""
    if quality is None or len(quality) != len(values):
        return values
    return values[(quality != 1) & (quality != 5)]


def bin_index(grouping, quality, filters, e_min, e_max, channel):
    """Bin number of each channel.

    It depends on nothing else than its arguments, so that spectra of one instrument share it.

    Parameters
    ----------
    grouping, quality : (n_channel,) int, or None for GROUPING 1 and QUALITY 0 everywhere.
    filters : tuple of Filter
    e_min, e_max : (n_channel,) keV, or None where no energies are known.
    channel : (n_channel,) int, CHANNEL values.

    Returns
    -------
    index : (n_channel,) int64, -1 for dropped channels, else 0 .. n_bin - 1 in channel order.
    n_bin : int

    Raises
    ------
    InputError
        An energy range without energies; flags that are not one for each channel.

    Examples
    --------
    >>> bin_index(np.array([1, -1, 1, -1]), np.array([0, 5, 0, 0]), (), None, None, np.arange(4))
    (array([ 0, -1,  1,  1]), 2)
    """
    for name, flags in (("GROUPING", grouping), ("QUALITY", quality)):
        if flags is not None and len(flags) != len(channel):
            raise InputError(f"{name} has {len(flags)} values for {len(channel)} channels")
    there = np.arange(len(channel)) if quality is None else np.flatnonzero(quality != 1)
    index = np.full(len(channel), -1)
    if not len(there):
        return index, 0
    opens = _opens(grouping, quality, there)
    start = np.flatnonzero(opens)
    usable = _usable(quality, filters, there)[start]  # channels of one group have one quality

    def spans_of(unit):
        return _spans(unit, start, e_min, e_max, channel, there)

    keep = _selected(usable, filters, spans_of)
    number = np.where(keep, np.cumsum(keep) - 1, -1)
    index[there] = number[np.cumsum(opens) - 1]
    return index, int(keep.sum())


def _opens(grouping, quality, there):
    """Whether each channel of ``there`` begins a group."""
    opens = np.ones(len(there), bool)
    if grouping is not None:
        opens[1:] = grouping[there[1:]] != -1
    if grouping is not None and quality is not None:
        kind = np.maximum(quality[there], 0)
        opens[1:] |= kind[1:] != kind[:-1]
    return opens


def _usable(quality, filters, there):
    if quality is None:
        return np.ones(len(there), bool)
    if any(step.unit == "bad" for step in filters):
        return quality[there] <= 0
    return quality[there] != 5


def _selected(usable, filters, spans_of):
    """Which groups the steps leave.

    A notice narrows what is left; where an ignore has left nothing, all that follow add, as in
    XSPEC's ``ignore **-**`` and ``notice 0.3-8``.
    """
    keep, adds, spans = usable, False, {}
    for step in filters:
        if step.unit == "bad":
            continue
        if step.unit not in spans:
            spans[step.unit] = spans_of(step.unit)
        inside = _inside(step, *spans[step.unit])
        if step.kind == "ignore":
            keep = keep & ~inside
            adds = adds or not keep.any()
        else:
            keep = (keep | (inside & usable)) if adds else keep & inside
    return keep


def _spans(unit, start, e_min, e_max, channel, there):
    """Lower and upper end of each group."""
    if unit == "bin":
        ordinal = np.arange(1, len(start) + 1)
        return ordinal, ordinal
    if unit == "channel":
        low = high = channel[there]
    elif e_min is None:
        raise InputError(
            "no response is loaded, so that channels have no energies",
            remedy="load a response, or select with channels= or bins=",
        )
    else:
        low, high = np.minimum(e_min, e_max)[there], np.maximum(e_min, e_max)[there]
    return np.minimum.reduceat(low, start), np.maximum.reduceat(high, start)


def _inside(step, low, high):
    """Whether each group overlaps a range; bins that share no more than an edge do not."""
    inside = np.zeros(len(low), bool)
    for lo, hi in step.ranges:
        if step.unit == "keV":
            inside |= (high > lo) & (low < hi)
        else:
            inside |= (high >= lo) & (low <= hi)
    return inside
