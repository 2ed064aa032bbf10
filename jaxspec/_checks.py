"""What a `Spectrum` and a `Response` must be like, asked where they are made.

What cannot be told without going through all numbers of a matrix, and counts, which may be anything
in channels that are never used, are asked when they are to be fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxspec._ask import numbers
from jaxspec.errors import InputError

SLACK = 0.01  # of the width of an energy bin, by which neighbours may overlap
ROUNDING = 1e-6  # of the energy, which single precision may add to that
_FLAGS = ("quality", "grouping")
_PER_CHANNEL = ("counts", "stat_err", "sys_err", *_FLAGS)


def spectrum_arrays(spectrum) -> dict:
    """Fields that must be arrays that nobody can change, as such arrays; {} where they are.

    Raises
    ------
    InputError
        Lengths, an exposure or scales that cannot be those of a spectrum.
    """
    made: dict[str, Any] = {}
    for name in ("channel", *_PER_CHANNEL, "areascal", "backscal", "exposure"):
        value = getattr(spectrum, name)
        if value is None or type(value) is float:
            continue
        if type(value) is not np.ndarray or value.dtype.kind not in "biuf":
            made[name] = kept(_plain(spectrum, name, value), value)
        elif value.flags.writeable:
            made[name] = fixed(value)
    n = np.shape(made.get("channel", spectrum.channel))
    if len(n) != 1:
        raise _wrong(spectrum, "channel", f"has {len(n)} dimensions, not one")
    for name in _PER_CHANNEL:
        value = made[name] if name in made else getattr(spectrum, name)
        shape = () if value is None else np.shape(value)
        if (value is not None or name == "counts") and shape != n:
            raise _wrong(spectrum, name, f"has {_size(value)} for {n[0]} channels")
        if name in _FLAGS:
            _check_flags(spectrum, name, value)
    _check_numbers(spectrum, made.get("channel", spectrum.channel))
    exposure = made.get("exposure", spectrum.exposure)
    if exposure is None or np.ndim(exposure) or not 0 < exposure < np.inf:
        raise _wrong(spectrum, "exposure", f"is {exposure!r}", "give seconds, above 0")
    for name in ("areascal", "backscal"):
        _check_scale(spectrum, name, made.get(name, getattr(spectrum, name)), n)
    _check_parts(spectrum, made.get("channel", spectrum.channel))
    return made


def _check_parts(spectrum, channel):
    response = spectrum.response
    if response is not None and not hasattr(response, "e_min"):
        found = f"is a {type(response).__name__}"
        raise _wrong(spectrum, "response", found, "give what jaxspec.read_response returns")
    if response is not None:
        _check_detector(spectrum, channel, response.channel)
    for name in ("background", "correction"):
        other = getattr(spectrum, name)
        if other is not None and not hasattr(other, "counts"):
            raise _wrong(spectrum, name, f"is a {type(other).__name__}", "give a Spectrum")
        if other is None or other.channel is channel or np.array_equal(other.channel, channel):
            continue
        remedy, theirs = "use the file that was made for this spectrum", other.channel
        if len(theirs) != len(channel):
            problem = f"has {len(theirs)} channels and the spectrum {len(channel)}"
            raise _wrong(spectrum, name, problem, remedy)
        i = int(np.argmax(theirs != channel))
        problem = f"has channel {theirs[i]} where the spectrum has {channel[i]}"
        remedy += f", or {name}.replace(channel=...) if only the numbers differ"
        raise _wrong(spectrum, name, problem, remedy)
    if not isinstance(spectrum.filters, tuple):
        found = f"is {spectrum.filters!r:.60}"
        raise _wrong(spectrum, "filters", found, "give a tuple of Filter, () for none")
    if spectrum.header is not None and not isinstance(spectrum.header, Mapping):
        raise _wrong(spectrum, "header", f"is a {type(spectrum.header).__name__}", "give a dict")


def _check_detector(spectrum, channel, theirs):
    """Refuse a response for a detector of another number of channels than the file said."""
    header = spectrum.header if isinstance(spectrum.header, Mapping) else {}
    detchans, first, last = (header.get(key) for key in ("DETCHANS", "TLMIN1", "TLMAX1"))
    whole = int(theirs[-1] - theirs[0]) + 1 if len(theirs) else 0
    part = first is not None and last is not None and last - first + 1 == whole
    if detchans is None or part or len(theirs) == len(channel) or detchans in (len(theirs), whole):
        return
    problem = f"has {len(theirs)} channels, and the spectrum is of a detector of {detchans:g}"
    remedy = f"use the response that was made for it, or set DETCHANS in the header to {whole}"
    raise _wrong(spectrum, "response", f"{problem} (DETCHANS)", remedy)


def _plain(spectrum, name, value):
    """A number, or an array of numbers, without any unit and mask."""
    if hasattr(value, "unit"):
        what = "seconds as a number" if name == "exposure" else "plain numbers"
        raise _wrong(spectrum, name, f"has the unit {value.unit}", f"give {what}")
    if np.ma.is_masked(value):
        remedy = "mark bad channels by their quality, and give numbers for them too"
        raise _wrong(spectrum, name, f"is masked in {np.ma.getmaskarray(value).sum()}", remedy)
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" and name != "channel":
            if array.dtype.kind == "c":
                raise TypeError
            array = array.astype(float)
    except (TypeError, ValueError):
        raise _wrong(spectrum, name, f"holds {value!r:.60}", "give numbers") from None
    return array if array.ndim else float(array)


def _check_flags(spectrum, name, values):
    if values is not None and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise _wrong(spectrum, name, "holds numbers that are not finite", "give whole numbers")


def _check_scale(spectrum, name, value, n):
    if np.ndim(value) == 0:
        if not 0 < value < np.inf:
            raise _wrong(spectrum, name, f"is {value!r}", "give a number above 0")
    elif np.shape(value) != n:
        raise _wrong(spectrum, name, f"has {_size(value)} for {n[0]} channels")
    elif not np.all((value >= 0) & (value < np.inf)) or (n[0] and not np.any(value)):
        bad = value[np.argmin((value > 0) & (value < np.inf))]
        remedy = "give numbers above 0; mark bad channels by their quality"
        raise _wrong(spectrum, name, f"holds {bad:g}", remedy)


def _check_numbers(spectrum, channel):
    if channel.dtype.kind not in "iu":
        whole = channel.dtype.kind == "f" and np.all(channel == np.rint(channel))
        if not whole:
            raise _wrong(spectrum, "channel", "holds what is no channel number")
    step = channel[1:] > channel[:-1]
    if not step.all() and len(np.unique(channel)) < len(channel):
        raise _wrong(spectrum, "channel", "holds a channel number twice")


def _size(value):
    return f"{len(value)} values" if np.ndim(value) == 1 else f"the shape {np.shape(value)}"


def _wrong(spectrum, name, problem, remedy="give one value for each channel"):
    file = spectrum.path or spectrum.name
    return InputError(problem, file=file, parameter=name, remedy=remedy)


def response_arrays(response) -> dict:
    """Fields that must be arrays that nobody can change, as such arrays; {} where they are.

    Raises
    ------
    InputError
        Shapes, energies or an area that cannot be those of a response.
    """
    made: dict[str, Any] = {}
    for name in ("e_lo", "e_hi", "area", "channel", "e_min", "e_max"):
        value = getattr(response, name)
        if not isinstance(value, np.ndarray) or value.flags.writeable:
            made[name] = fixed(value)
    matrix: Any = response.matrix
    if not _is_fixed(matrix):
        made["matrix"] = matrix = fixed_matrix(matrix)
    e_lo, e_hi, area, channel, e_min, e_max = (
        made.get(name, getattr(response, name))
        for name in ("e_lo", "e_hi", "area", "channel", "e_min", "e_max")
    )
    sizes = {"e_lo": e_lo, "e_hi": e_hi, "area": area}
    for name, value in (*sizes.items(), ("channel", channel), ("e_min", e_min), ("e_max", e_max)):
        wanted = matrix.shape[0] if name in sizes else matrix.shape[1]
        if value.shape != (wanted,):
            of = "energies" if name in sizes else "channels"
            raise _no_response(response, name, f"has {_size(value)}; the matrix has {wanted} {of}")
    if not len(e_lo):
        raise _no_response(response, "e_lo", "holds no energies")
    if problem := energy_problem(e_lo, e_hi):
        raise _no_response(response, "e_lo", problem, "give ascending energies above 0, in keV")
    if not np.all((area >= 0) & (area < np.inf)):
        bad = area[np.argmin((area >= 0) & (area < np.inf))]
        raise _no_response(response, "area", f"holds {bad:g} cm2", "give areas of 0 and above")
    return made


def _no_response(response, name, problem, remedy="give arrays that belong together"):
    return InputError(problem, file=response.name or None, parameter=name, remedy=remedy)


def fixed(values) -> np.ndarray:
    """A copy of an array that cannot be changed."""
    made = np.array(values)
    made.flags.writeable = False
    return made


def kept(made, given):
    """``made`` so that nobody can change it: itself, or a copy if ``given`` holds the same numbers.

    What is no array is returned as it is.
    """
    if not isinstance(made, np.ndarray) or not made.flags.writeable:
        return made
    if isinstance(given, np.ndarray) and np.may_share_memory(made, given):
        return fixed(made)
    made.flags.writeable = False
    return made


def fix_arrays(item, names, ndim):
    """Make fields of a frozen dataclass float arrays of ``ndim`` axes that nobody can change."""
    for name in names:
        given = getattr(item, name)
        values = numbers(given, name, "give an array")
        if values.ndim != ndim:
            raise InputError(f"has {values.ndim} dimensions, not {ndim}", parameter=name)
        object.__setattr__(item, name, kept(values, given))


def _is_fixed(matrix):
    if getattr(matrix, "format", None) != "csr":
        return False
    return not any(a.flags.writeable for a in (matrix.data, matrix.indices, matrix.indptr))


def fixed_matrix(matrix, copy=True):
    """A csr_array that cannot be changed, of any matrix; ``copy=False`` takes its arrays over."""
    from scipy.sparse import csr_array

    if getattr(matrix, "format", None) != "csr":
        try:
            matrix, copy = csr_array(matrix), False
        except (TypeError, ValueError):
            raise InputError(
                f"is {matrix!r:.60}",
                parameter="matrix",
                remedy="give a matrix (n_energy, n_channel)",
            ) from None
        if matrix.ndim != 2:
            raise InputError(f"has {matrix.ndim} dimensions", parameter="matrix", remedy="give two")
    made = csr_array(matrix, copy=copy)
    for values in (made.data, made.indices, made.indptr):
        values.flags.writeable = False
    return made


def energy_problem(e_lo, e_hi) -> str:
    """Why energies (n_energy,) keV cannot be a grid, or an empty text."""
    width = e_hi - e_lo
    bad = ~((e_lo > 0) & (width > 0) & (e_hi < np.inf))
    bad[1:] |= ~(e_lo[1:] > e_lo[:-1])
    if bad.any():
        i = int(np.argmax(bad))
        return f"row {i + 1} is {e_lo[i]:g}-{e_hi[i]:g} keV"
    over = e_hi[:-1] - e_lo[1:]
    wide = over > SLACK * np.minimum(width[1:], width[:-1]) + ROUNDING * e_hi[:-1]
    if not wide.any():
        return ""
    i = int(np.argmax(wide))
    return (
        f"energy bins overlap: row {i + 1} is {e_lo[i]:.6g}-{e_hi[i]:.6g} keV and row {i + 2} "
        f"{e_lo[i + 1]:.6g}-{e_hi[i + 1]:.6g}"
    )


def energy_gaps(e_lo, e_hi) -> str:
    """Where an energy grid that ascends leaves gaps, or an empty text."""
    width, gap = e_hi - e_lo, e_lo[1:] - e_hi[:-1]
    open_ = gap > SLACK * np.minimum(width[1:], width[:-1]) + ROUNDING * e_hi[:-1]
    if not open_.any():
        return ""
    i = int(np.argmax(np.where(open_, gap, 0.0)))
    return (
        f"the energy bins leave {open_.sum()} gaps, the widest at {e_hi[i]:.6g}-{e_lo[i + 1]:.6g} "
        "keV: photons there are not counted"
    )


def bounds_ascend(e_min, e_max) -> bool:
    """Whether the energies of channels go one way, up or down, and any channel has a width."""
    e_min, e_max = np.minimum(e_min, e_max), np.maximum(e_min, e_max)
    if not np.any(e_max > e_min):
        return False
    up = np.all(e_min[1:] >= e_min[:-1]) and np.all(e_max[1:] >= e_max[:-1])
    return bool(up or (np.all(e_min[1:] <= e_min[:-1]) and np.all(e_max[1:] <= e_max[:-1])))
