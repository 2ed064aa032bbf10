"""Which statistic a spectrum gets, and the sentence that says so."""

from __future__ import annotations

import numpy as np

from jaxspec.likelihood.statistics import STATISTICS, statistic_name
from jaxspec.read.paths import is_set
from jaxspec.reduce.bins import bin_counts
from jaxspec.reduce.channels import in_use

FEW = 20  # counts in a bin, below which chi-square is biased: by 1/20 and more
CLOSE = 1e-3  # relative; STAT_ERR this close to sqrt(counts) is Poisson


def is_poisson(spectrum) -> bool:
    """Whether the counts of a spectrum can be treated as Poisson.

    POISSERR says so; or POISSERR is false but the counts are non-negative integers whose STAT_ERR
    is sqrt(counts) within 1e-3. Channels of QUALITY 1 and 5 do not matter; channels without counts
    may carry any STAT_ERR (0, 1, 1.87 and others are in use).
    """
    counts = in_use(spectrum.counts, spectrum.quality)
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        return False
    if spectrum.poisserr:
        return True
    if spectrum.stat_err is None or _has_fractions(counts):
        return False
    seen = counts > 0
    root = np.sqrt(counts[seen])
    errors = in_use(spectrum.stat_err, spectrum.quality)[seen]
    return bool((np.abs(errors - root) <= CLOSE * root).all())


def choose_statistic(spectrum, requested="auto"):
    """Statistic for one spectrum and why.

    Parameters
    ----------
    spectrum : Spectrum
    requested : str
        A name for `jaxspec.likelihood.statistics.statistic_name`, or "auto": Poisson counts get
        cstat without a background, wstat with a Poisson background and pgstat with a modelled one
        (POISSERR=F and STAT_ERR); everything else gets chi2, as do spectra with a systematic error
        (SYS_ERR), which no Poisson statistic knows. "cstat" becomes wstat where a
        background is loaded, as in XSPEC; "cash" leaves the background out.

    Returns
    -------
    name : str, a key of ``STATISTICS``
    note : str, one or more sentences for the result.

    Raises
    ------
    InputError
        Unknown name, or a statistic that needs a background where none is loaded.
    """
    if str(requested).strip().lower() == "auto":
        name, note = _automatic(spectrum)
    else:
        name, note = _asked(spectrum, statistic_name(requested))
    if STATISTICS[name].poisson and _systematic(spectrum):
        note += " SYS_ERR is left out: it has no place in a Poisson statistic."
    behind = spectrum.background
    if name == "pgstat" and _is_exact(behind):
        note += " STAT_ERR of the background is 0 throughout: it counts as known exactly."
    if name in ("chi2-gehrels", "chi2-churazov") and behind is not None and _systematic(behind):
        note += f" SYS_ERR of the background is left out: {name} sets its errors anew."
    if STATISTICS[name].poisson and _was_subtracted(spectrum):
        note += " HDUCLAS2 is NET and the counts are not whole: a background was subtracted"
        note += " already, of which no Poisson statistic knows."
    if spectrum.background is None and is_set((spectrum.header or {}).get("BACKFILE")):
        note += " BACKFILE names a background that is not loaded."
    if spectrum.correction is not None:
        note += " CORRFILE times CORRSCAL is taken into account."
    return name, note


def _is_exact(background):
    """Whether a background says that it has no errors."""
    errors = None if background.poisserr else background.stat_err
    return errors is not None and not in_use(errors, background.quality).any()


def _was_subtracted(spectrum):
    """Whether the counts are what is left of others."""
    kind = str((spectrum.header or {}).get("HDUCLAS2", "")).strip().upper()
    counts = in_use(spectrum.counts, spectrum.quality)
    return kind == "NET" and _has_fractions(counts)


def _has_fractions(counts):
    """Whether not all numbers are whole, to what rounding leaves."""
    return bool((np.abs(counts - np.rint(counts)) > 1e-3).any())


def _systematic(spectrum):
    """Whether a channel that may be used has a systematic error."""
    return spectrum.sys_err is not None and bool(in_use(spectrum.sys_err, spectrum.quality).any())


def _automatic(spectrum):
    background = spectrum.background
    if (in_use(spectrum.counts, spectrum.quality) < 0).any():
        return "chi2", "chi2: negative counts are not Poisson."
    if _systematic(spectrum):
        note = "chi2: no Poisson statistic knows the systematic error (SYS_ERR)."
        bins = bin_counts(spectrum).counts
        if is_poisson(spectrum) and bins.size and bins.min() < FEW:
            note += f" Bins of fewer than {FEW} counts bias it: group(min_counts={FEW})."
        return "chi2", note
    if not is_poisson(spectrum):
        own = "with their own STAT_ERR" if spectrum.stat_err is not None else "without a STAT_ERR"
        return "chi2", f"chi2: the counts are not Poisson (POISSERR=F {own})."
    if background is None:
        return "cstat", "cstat: Poisson counts, no background."
    if is_poisson(background):
        return "wstat", "wstat: Poisson counts with a Poisson background."
    if background.stat_err is not None:
        return "pgstat", (
            "pgstat: Poisson counts with a modelled background (POISSERR=F, with STAT_ERR)."
        )
    return "chi2", "chi2: the background is neither Poisson nor has it STAT_ERR."


def _asked(spectrum, name):
    from jaxspec.errors import InputError

    background = spectrum.background
    if STATISTICS[name].background and background is None:
        raise InputError(
            f"{name} needs a background and none is loaded",
            file=spectrum.path or spectrum.name,
            remedy="load one (background=) or use cstat or auto",
        )
    if background is None:
        return name, f"{name}, as asked."
    if name == "cash":
        return name, "cash, as asked: the background that is loaded is left out."
    if name == "cstat":
        name, note = "wstat", "wstat: cstat with a background, as in XSPEC."
    else:
        note = f"{name}, as asked."
    if name == "wstat" and not is_poisson(background):
        note += (
            " The background has POISSERR=F but is treated as Poisson counts;"
            " pgstat (or auto) uses its STAT_ERR."
        )
    if name == "pgstat" and background.poisserr:
        note += " The background is Poisson; sqrt(counts) is taken for its error."
    elif name == "pgstat" and background.stat_err is None:
        note += " The background has no STAT_ERR; sqrt(counts) is taken for its error."
    return name, note
