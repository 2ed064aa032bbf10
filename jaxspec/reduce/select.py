"""Notice and ignore: steps kept in ``Spectrum.filters`` and replayed on the bins of the moment.

Because the steps are replayed, they survive regrouping. A bin is inside a range when the two
overlap: the bin that holds the boundary energy belongs to the range, so that notice keeps it and
ignore drops it.
"""

from __future__ import annotations

import numpy as np

from jaxspec._types import Filter, Spectrum
from jaxspec.errors import InputError
from jaxspec.reduce.ranges import parse_ranges

_UNITS = {"energies": "keV", "channels": "channel", "bins": "bin"}


def make_filter(kind, energies=None, *, channels=None, bins=None) -> Filter:
    """One step from exactly one of energies, channels and bins; see `notice`.

    Examples
    --------
    >>> make_filter("ignore", channels="1-3")
    Filter(kind='ignore', unit='channel', ranges=((1.0, 3.0),))
    """
    given = {"energies": energies, "channels": channels, "bins": bins}
    given = {what: ranges for what, ranges in given.items() if ranges is not None}
    if len(given) != 1:
        raise InputError(
            f"{kind} takes one of energies, channels and bins, not {len(given)}",
            remedy="call it once for each",
        )
    ((what, ranges),) = given.items()
    return Filter(kind, _UNITS[what], parse_ranges(ranges, what=what))


def append(spectrum: Spectrum, step: Filter) -> Spectrum:
    """Return the spectrum with one more step."""
    if step.unit == "keV" and spectrum.response is None:
        raise InputError(
            "no response is loaded, so that channels have no energies",
            file=spectrum.path or spectrum.name,
            remedy="load a response, or select with channels= or bins=",
        )
    return spectrum.replace(filters=(*spectrum.filters, step))


def notice(spectrum, energies=None, *, channels=None, bins=None) -> Spectrum:
    """Keep only what lies in the ranges, out of what is left by earlier steps.

    Where an ignore has left nothing, as ``**-**`` does, this and all that follow add their ranges.

    Parameters
    ----------
    spectrum : Spectrum
    energies : ranges in keV unless a unit is given, see `jaxspec.reduce.ranges.parse_ranges`.
        Whole numbers are energies too.
    channels : ranges of CHANNEL values of the file, ends included.
    bins : ranges of ordinals of the grouped bins from 1, bad ones counted, as XSPEC numbers them.

    Returns
    -------
    Spectrum
        The same data with one more filter.

    Raises
    ------
    InputError
        Unreadable ranges, or energies without a response.

    Examples
    --------
    >>> import numpy as np
    >>> spectrum = Spectrum("a", channel=np.arange(8), counts=np.ones(8), exposure=1.0)
    >>> notice(spectrum, channels="2-5").filters
    (Filter(kind='notice', unit='channel', ranges=((2.0, 5.0),)),)
    """
    return append(spectrum, make_filter("notice", energies, channels=channels, bins=bins))


def ignore(spectrum, energies=None, *, channels=None, bins=None) -> Spectrum:
    """Drop what lies in the ranges; arguments as for `notice`."""
    return append(spectrum, make_filter("ignore", energies, channels=channels, bins=bins))


def ignore_bad(spectrum) -> Spectrum:
    """Drop every channel whose QUALITY is above 0 (1 and 5 are dropped in any case)."""
    return append(spectrum, Filter("ignore", "bad", ()))


def systematic(spectrum, fraction) -> Spectrum:
    """Give all channels a systematic error, in place of SYS_ERR of the file.

    Parameters
    ----------
    spectrum : Spectrum
    fraction : float, of the counts: 0.01 is one per cent; 0 takes the error away.

    Returns
    -------
    Spectrum
        The same data with another ``sys_err``. It acts on chi-square alone: the variance of a bin
        grows by (fraction x counts)^2.

    Raises
    ------
    InputError
        A fraction below 0, or of 1 and more.

    Examples
    --------
    >>> import numpy as np
    >>> spectrum = Spectrum("a", channel=np.arange(2), counts=np.ones(2), exposure=1.0)
    >>> systematic(spectrum, 0.01).sys_err
    array([0.01, 0.01])
    """
    fraction = as_fraction(fraction)
    sys_err = np.full(len(spectrum.channel), fraction) if fraction else None
    return spectrum.replace(sys_err=sys_err)


def as_fraction(fraction) -> float:
    """A systematic error as a number; raises InputError unless it is from 0 to below 1."""
    try:
        number = float(fraction)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 <= number < 1:
        raise InputError(
            f"{fraction!r} is not a fraction", parameter="systematic", remedy="0.01 is one per cent"
        )
    return number


def notice_all(spectrum) -> Spectrum:
    """Forget all steps; channels of QUALITY 1 and 5 stay dropped."""
    return spectrum.replace(filters=())
