"""What cannot be the data of a fit, said in one sentence, so that it ends as a row."""

from __future__ import annotations

import numpy as np

from jaxspec.reduce.bins import bin_edges, exposures
from jaxspec.reduce.channels import in_use

COUNTABLE = 2.0**53  # beyond, doubles do not count one by one
SQUARED = 1e100  # largest scaled time, and least inverse one, whose squares are finite
USUAL = 1e20  # largest scale, and least inverse one, of which the product of four needs no look


def bad_data(spectrum, poisson, with_background, both_poisson=False) -> str | None:
    """Why a spectrum cannot be fitted, or None.

    Parameters
    ----------
    spectrum : Spectrum
    poisson : bool, whether the statistic is one of Poisson counts.
    with_background : bool, whether it looks at the background.
    both_poisson : bool, whether it takes the background for Poisson counts whatever POISSERR says.

    Raises
    ------
    InputError
        If the background has other channels.
    """
    background = spectrum.background if with_background else None
    n = len(spectrum.channel)
    if _usual(spectrum, n, not poisson) and (background is None or _usual(background, n, False)):
        return None
    found = (
        _bad_counts(spectrum, "The", poisson)
        or _bad_errors(spectrum, "The", not poisson)
        or _bad_scales(spectrum, "The")
    )
    if found is None and background is not None:
        whose = "The background's"
        used = background.replace(quality=spectrum.quality)  # its own has no part in the bins
        found = (
            _bad_counts(used, whose, poisson and (background.poisserr or both_poisson))
            or _bad_errors(used, whose, False)
            or _bad_scales(background, whose)
        )
    if found is None and spectrum.correction is not None:
        found = _bad_correction(spectrum)
    return found or _bad_times(spectrum, background)


def _usual(spectrum, n, weighs):
    """Whether nothing is out of the ordinary, found in 5 instead of 80 microseconds."""
    if spectrum.sys_err is not None or spectrum.correction is not None:
        return False
    for scale in (spectrum.exposure, spectrum.areascal, spectrum.backscal):
        if not (isinstance(scale, float) and 1 / USUAL < scale < USUAL):
            return False
    if spectrum.poisserr or spectrum.stat_err is None:
        return _within(spectrum.counts, n)
    errors = spectrum.stat_err
    least = 0.0 if weighs else -1.0
    return _within(spectrum.counts, n) and _within(errors, n) and errors.min(initial=1.0) > least


def _within(values, n):
    return (
        len(values) == n
        and np.minimum.reduce(values) >= 0
        and np.maximum.reduce(values) < COUNTABLE
    )


def _bad_counts(spectrum, whose, poisson):
    counts = spectrum.counts
    if len(counts) != len(spectrum.channel):
        return f"{whose} counts are {len(counts)} for {len(spectrum.channel)} channels."
    counts = in_use(counts, spectrum.quality)
    low, high = counts.min(initial=0.0), counts.max(initial=0.0)  # NaN if there is one
    if not np.isfinite(low + high):
        return f"{whose} counts hold numbers that are not finite."
    if max(-low, high) > COUNTABLE:
        return f"{whose} counts reach {max(-low, high):g}, where doubles no longer count."
    if poisson and low < 0:
        remedy = "chi2" if whose == "The" else "chi2, or pgstat if it has errors of its own"
        return f"{whose} counts reach {low:g}, which cannot be Poisson; use {remedy}."
    return None


def _bad_errors(spectrum, whose, weighs):
    used = {"SYS_ERR": spectrum.sys_err}
    if not spectrum.poisserr:
        used["STAT_ERR"] = spectrum.stat_err
    for name, values in used.items():
        if values is None:
            continue
        if len(values) != len(spectrum.counts):
            return f"{whose} {name} has {len(values)} values for {len(spectrum.counts)} channels."
        values = in_use(values, spectrum.quality)
        if not (values.min(initial=0.0) >= 0 and values.max(initial=0.0) < COUNTABLE):
            return f"{whose} {name} holds numbers that cannot be errors."
    errors = used.get("STAT_ERR")
    if errors is None or not weighs:
        return None
    if not errors.any() and spectrum.counts.any():
        return f"{whose} STAT_ERR is 0 everywhere, so that nothing can be weighted."
    lost = in_use((errors == 0) & (spectrum.counts != 0), spectrum.quality)
    if errors.any() and lost.any():
        names = in_use(spectrum.channel, spectrum.quality)[lost]
        text = ", ".join(str(c) for c in names[:3]) + (", ..." if len(names) > 3 else "")
        return f"{whose} STAT_ERR is 0 in channels {text} and real in others: set QUALITY 5 there."
    return None


def _bad_scales(spectrum, whose):
    if not 0 < spectrum.exposure < np.inf:
        return f"{whose} exposure is {spectrum.exposure:g}, not a positive time."
    for name, values in (("AREASCAL", spectrum.areascal), ("BACKSCAL", spectrum.backscal)):
        low, high = (values, values) if np.ndim(values) == 0 else (values.min(), values.max())
        if not 0 <= low <= high < np.inf:
            return f"{whose} {name} holds {low:g}, which cannot be a scale."
        if np.ndim(values) and len(values) != len(spectrum.counts):
            return f"{whose} {name} has {len(values)} values for {len(spectrum.counts)} channels."
    return None


def _bad_correction(spectrum):
    if not abs(spectrum.corrscal) < np.inf:
        return f"CORRSCAL is {spectrum.corrscal:g}, not a number to multiply with."
    whose = "The correction's"
    correction = spectrum.correction
    return _bad_counts(correction, whose, False) or _bad_scales(correction, whose)


def _bad_times(spectrum, background):
    """Exposures whose squares leave the range of doubles: nothing of the fit would be right."""
    if background is None:
        times = (spectrum.exposure * spectrum.areascal,)
    else:
        times = exposures(spectrum)
    for t, what in zip(times, ("The exposure", "The background's exposure"), strict=False):
        high = np.max(t, initial=0.0)
        low = np.min(np.where(np.asarray(t) > 0, t, 1.0), initial=1.0)
        if not (high < SQUARED and low > 1 / SQUARED):
            extreme = high if high >= SQUARED else low
            return f"{what} with its scales is {extreme:g} s, too far from any real one."
    if not np.any(times[0]):
        return "AREASCAL is 0 everywhere, so that there is no exposure."
    return None


def bad_area(spectrum) -> str | None:
    """Why the area of a response is not known in the bins of a spectrum, or None."""
    low, high = bin_edges(spectrum)
    for lo, hi in spectrum.response.doubtful:
        if np.any((high > lo) & (low < hi)):
            return (
                f"The ARF has other energy bins than the response at {lo:.4g}-{hi:.4g} keV, in "
                f"{spectrum.response.name}: ignore these energies, or use the ARF of this response."
            )
    return None


def bad_matrix(response) -> str | None:
    """Why the elements of a response cannot be a redistribution, or None."""
    matrix = response.matrix
    if not matrix.nnz or matrix.data.min() >= 0:
        return None
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    lost = np.asarray(abs(matrix).sum(axis=1)).ravel() - sums  # twice what is negative
    worst = int(np.argmax(lost - sums))
    if lost[worst] <= sums[worst]:
        return None
    at = 0.5 * (response.e_lo[worst] + response.e_hi[worst])
    return f"The response {response.name} is mostly negative at {at:.4g} keV."
