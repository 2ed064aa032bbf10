"""Whether an image and its maps can be fitted: counts, of one field, on good pixels."""

from __future__ import annotations

import numpy as np

from jaxspec._checks import kept
from jaxspec.errors import InputError
from jaxspec.read.plausible import LONELY
from jaxspec.reduce.units import counts_scale

LEAST_EXPOSURE = 1e-9  # of the largest; a pixel of less has seen nothing
LEAST_RMS = 1e-6  # of the median; a pixel of less would outweigh all others
UNITS = ("cm2 s", "s", "cm2", "")


def as_maps(image) -> dict:
    """Arrays of an image as they must be: 2-D, of one shape, float64, unchangeable; the mask bool.

    What NumPy's masked arrays mask is left out.

    Raises
    ------
    InputError
        Arrays of another shape or kind, a unit that is not known, something that is no PSF.
    """
    counts = _numbers(image, "counts")
    if counts.ndim != 2 or not counts.size:
        raise _odd(image, "counts", f"has shape {counts.shape}", "give an array (ny, nx)")
    made = {"counts": counts}
    for key in ("exposure", "background", "rms", "area"):
        if getattr(image, key) is not None or key == "exposure":
            made[key] = _numbers(image, key)
    made["mask"] = mask = np.asarray(image.mask)
    for key, values in made.items():
        if values.shape != counts.shape:
            wanted = f"has shape {values.shape}, and the counts {counts.shape}"
            raise _odd(image, key, wanted, "give one number per pixel")
    if mask.dtype != bool:
        raise _odd(image, "mask", f"is {mask.dtype}, not bool", "give True where left out")
    for key in made.keys() - {"mask"}:
        hidden = np.ma.getmask(getattr(image, key))
        if np.any(hidden):
            made["mask"] = made["mask"] | hidden
    if image.exposure_unit not in UNITS:
        known = ", ".join(map(repr, UNITS))
        raise _odd(image, "exposure_unit", f"is {image.exposure_unit!r}", f"use one of {known}")
    for key, needs in (("psf", "rebinned"), ("wcs", "pixel_to_world")):
        value = getattr(image, key)
        if value is not None and not hasattr(value, needs):
            made_by = "jaxspec.read_psf, ..." if key == "psf" else "astropy.wcs.WCS"
            raise _odd(image, key, f"is {type(value).__name__}", f"make it by {made_by}")
    return {key: kept(values, getattr(image, key)) for key, values in made.items()}


def _numbers(image, key):
    """(ny, nx) float64 of a field; the same array if it is one."""
    values = getattr(image, key)
    if getattr(values, "unit", None) is not None:
        raise _odd(image, key, f"has the unit {values.unit}", "give numbers, and exposure_unit=")
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers")
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _odd(image, key, f"is no array of numbers ({error})", "give (ny, nx)") from None


def _odd(image, key, problem, remedy):
    return InputError(problem, file=str(image.name), parameter=key, remedy=remedy)


def in_counts(found, what, unit=None):
    """A map in counts per pixel, with a word on it if its unit was odd."""
    whole = not np.any(found.data[np.isfinite(found.data)] % 1)
    scale, note = counts_scale(found.header, unit, found.file, what, whole)
    data = found.data if scale == 1 else found.data * scale
    return found._replace(data=data, diagnostics=(*found.diagnostics, *([note] if note else [])))


def check_apart(counts, found, what):
    """Refuse the image itself in place of a map that belongs to it."""
    if (found.file, found.hdu) == (counts.file, counts.hdu):
        raise found.fail(
            f"the {what} map is the image itself",
            remedy=f"give another file, or {what}='file.fits[NAME]' for an extension of this one",
        )


def check_swapped(counts, mask, found):
    """Refuse an image whose counts lie where nothing was exposed."""
    values = np.where(np.isfinite(counts.data), counts.data, 0.0)
    lost, total = values[mask].sum(), values.sum()
    if total > 0 and lost > 0.5 * total:
        raise counts.fail(
            f"{lost:.6g} of {total:.6g} counts are where {found.file} has no exposure",
            remedy="check that image and exposure map are not swapped, and belong together",
        )


def seconds_given(exposure_time, counts):
    """The exposure time if the user gave a number, else None."""
    if isinstance(exposure_time, bool | np.bool_) or exposure_time == "auto":
        return None
    try:
        seconds = float(exposure_time)
    except (TypeError, ValueError):
        seconds = np.nan
    if not 0 < seconds < np.inf:
        raise InputError(
            f"is {exposure_time!r}",
            file=counts.file,
            parameter="exposure_time",
            remedy="use 'auto', True, False, or a positive number of seconds",
        )
    return seconds


def unexposed(exposed, counts, found):
    """Pixels without exposure, and what there is to say about them."""
    if (exposed < 0).any() or np.isposinf(exposed).any():
        y, x = np.argwhere((exposed < 0) | np.isposinf(exposed))[0]
        raise found.fail(
            f"the exposure is {exposed[y, x]} at x={x}, y={y}", remedy="mend the exposure map"
        )
    blank, dark, notes = np.isnan(exposed), ~(exposed > 0), []
    mask = ~(exposed > LEAST_EXPOSURE * np.max(exposed, initial=0.0, where=~blank))
    if few := (mask & ~dark).sum():
        notes.append(
            f"exposure map: {few} pixels below {LEAST_EXPOSURE:g} of the largest taken as unexposed"
        )
    if blank.any():
        notes.append(f"exposure map: {blank.sum()} NaN pixels taken as unexposed")
    if mask.any():
        lost = np.nansum(counts.data[mask])
        notes.append(f"{mask.sum()} unexposed pixels left out, with {lost:.6g} counts on them")
    return mask, notes


def checked(image):
    """Refuse good pixels that cannot be data; blank what is masked."""
    notes, good, changes = [], image.good, {}
    if image.rms is None:
        _refuse(image, good & ~(np.isfinite(image.counts) & (image.counts >= 0)), "counts")
        odd = int((image.counts[good] % 1 != 0).sum())
        if odd:
            notes.append(f"{odd} good pixels hold fractions of counts")
        notes += _lonely(image, good)
    else:
        _refuse(image, good & ~np.isfinite(image.counts), "counts")
        _refuse(image, good & ~(np.isfinite(image.rms) & (image.rms > 0)), "rms")
        typical = float(np.median(image.rms[good])) if good.any() else 0.0
        _refuse(image, good & (image.rms < LEAST_RMS * typical), "rms")
        notes.append("rms: a fit uses chi2")
    if image.area is not None:
        _refuse(image, good & ~((image.area > 0) & (image.area <= 1)), "area")
        changes["area"] = np.where(good, image.area, 0.0)
    if image.background is not None:
        values = image.background
        tiny = good & (values < 0) & (values > -1e-3 * np.nanmax(values))
        _refuse(image, good & ~tiny & ~(np.isfinite(values) & (values >= 0)), "background")
        if tiny.any():
            notes.append(f"background: {tiny.sum()} pixels slightly below zero set to zero")
        changes["background"] = np.where(tiny, 0.0, values)
    for key in ("counts", "background", "rms"):
        values = changes.get(key, getattr(image, key))
        if values is not None and not np.isfinite(values).all():
            changes[key] = np.where(np.isfinite(values), values, 0.0)  # masked, all of them
    return image.replace(diagnostics=(*image.diagnostics, *notes), **changes)


def _lonely(image, good):
    """What to say of a pixel that outshines all others."""
    counts = np.where(good, image.counts, 0.0)
    y, x = np.unravel_index(np.argmax(counts), counts.shape)
    most, total = counts[y, x], counts.sum()
    if not most > max(LONELY * (total - most), 1000.0):
        return []
    others = f"{total - most:.6g}"
    return [f"the pixel x={x}, y={y} holds {most:.6g} counts, all others {others}: is it damaged?"]


def _refuse(image, bad, key):
    if bad.any():
        y, x = np.argwhere(bad)[0]
        limit = {
            "rms": f"positive, and not below {LEAST_RMS:g} of the others",
            "area": "above 0 and at most 1",
        }.get(key, "zero or more")
        if key == "counts" and image.rms is not None:
            limit = "finite"
        raise InputError(
            f"the {key} of {bad.sum()} good pixels cannot be used: {getattr(image, key)[y, x]} at "
            f"x={x}, y={y}, where a number that is {limit} is needed",
            file=image.path,
            remedy="leave these pixels out with regions=, keep= or min_exposure=, or mend the file",
        )
