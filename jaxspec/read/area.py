"""The effective area of an ARF on the energies of a response."""

from __future__ import annotations

import numpy as np

from jaxspec._types import Response
from jaxspec.errors import InputError
from jaxspec.read.plausible import ONE_COUNT

CLOSE = 0.1  # of the width of a bin: grids that are written with other digits differ by less


def with_area(response: Response, arf, name: str = "", said=()) -> Response:
    """Return the response with an effective area on the same energy grid.

    Parameters
    ----------
    response : Response
        Its area is multiplied (it is one for a redistribution matrix).
    arf : tuple of (n_energy,) arrays
        ``e_lo, e_hi`` in keV, area in cm2.
    name : str
        Name of the ARF for messages.
    said : tuple of str
        What was assumed while the ARF was read.

    Returns
    -------
    Response
        Where some energy bins are not those of the ARF, ``doubtful`` says which: the mean of the
        ARF over the bin is taken there, 0 outside of the ARF, and no fit may use these energies.

    Raises
    ------
    InputError
        If most bins differ: an ARF is not interpolated unasked.
    """
    e_lo, e_hi, area = (np.asarray(a, float) for a in arf)
    at, off = _matched(response, e_lo, e_hi)
    close = off <= CLOSE
    notes, doubtful = tuple(f"{name or 'the ARF'}: {text}" for text in said), ()
    if not close.all():
        if close.mean() < 0.5:
            raise _other_grid(response, e_lo, e_hi, at, off, name)
        doubtful = _ranges(response, ~close)
        text = ", ".join(f"{lo:.4g}-{hi:.4g}" for lo, hi in doubtful[:3])
        more = " and others" if len(doubtful) > 3 else ""
        notes += (f"{name or 'the ARF'} has other energy bins at {text} keV{more}: not to be used",)
    if response.full:
        notes += (f"{response.name} is a full response; {name or 'the ARF'} multiplies its area",)
    elif (largest := _largest_sum(response)) > ONE_COUNT:
        notes += (
            f"{response.name} has a row that adds up to {largest:.4g}, and {name or 'the ARF'} "
            "multiplies it: does it hold the area already?",
        )
    area = np.where(close, area[at], _mean(response, e_lo, e_hi, area))
    area = np.ascontiguousarray(area * response.area)
    return response.replace(
        area=area,
        name=f"{response.name} + {name}" if name else response.name,
        diagnostics=response.diagnostics + notes,
        doubtful=response.doubtful + doubtful,
    )


def _largest_sum(response):
    """Largest sum of a row of the redistribution, counts for a photon if it is one."""
    return float(response.matrix.sum(axis=1).max(initial=0.0))


def _matched(response, e_lo, e_hi):
    """The bin of the ARF around the middle of each energy bin, and by how many widths it is off."""
    middle = 0.5 * (response.e_lo + response.e_hi)
    at = np.clip(np.searchsorted(e_lo, middle, "right") - 1, 0, len(e_lo) - 1)
    shift = np.maximum(abs(e_lo[at] - response.e_lo), abs(e_hi[at] - response.e_hi))
    return at, shift / (response.e_hi - response.e_lo)


def _mean(response, e_lo, e_hi, area):
    """Mean of the area over each energy bin of the response."""
    edges = np.append(e_lo, e_hi[-1])
    running = np.concatenate([[0.0], np.cumsum(area * np.diff(edges))])
    low, high = (np.interp(e, edges, running) for e in (response.e_lo, response.e_hi))
    return (high - low) / (response.e_hi - response.e_lo)


def _ranges(response, which):
    """Energies (lo, hi) of unbroken stretches of bins."""
    at = np.flatnonzero(which)
    runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
    return tuple((float(response.e_lo[r[0]]), float(response.e_hi[r[-1]])) for r in runs)


def _other_grid(response, e_lo, e_hi, at, off, name):
    problem = f"has {len(e_lo)} energies but {response.name} has {len(response.e_lo)}"
    if len(e_lo) == len(response.e_lo):
        i = int(np.argmax(off))
        problem = (
            f"bin {at[i] + 1} is {e_lo[at[i]]:g}-{e_hi[at[i]]:g} keV but "
            f"{response.e_lo[i]:g}-{response.e_hi[i]:g} keV in {response.name}"
        )
    return InputError(problem, file=name or "ARF", remedy="use the ARF that was made for this RMF")
