"""What data were made from: files, their hashes, and what was done to them, for tables."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from jaxspec.reduce.bins import bin_counts, spectrum_bins


def counts_in_band(spectrum) -> float:
    """Counts of the bins that are fitted; NaN where there are none to be found."""
    binned = _binned(spectrum)
    return np.nan if binned is None else float(binned[0].sum())


def _binned(spectrum):
    """Arrays of the bins that are fitted, counts first; None for what cannot be fitted.

    The row of such a spectrum has a status and says why; a table must not end at it.
    """
    try:
        index, n = spectrum_bins(spectrum)
        return (*bin_counts(spectrum, index, n), index)
    except (ValueError, TypeError, IndexError, AttributeError, ArithmeticError):
        return None


def spectrum_origin(spectrum) -> dict:
    """Files and hashes of a spectrum, its background and response; band, grouping, systematic.

    ``sha256`` is that of the unpacked file (``gzip -dc file | sha256sum``); ``data_sha256`` is that
    of the numbers that are fitted, by which a result that was read back knows its data again.
    """
    background, response = spectrum.background, spectrum.response
    return {
        "file": spectrum.path,
        "sha256": spectrum.sha256,
        "background": "none" if background is None else background.path or background.name,
        "background_sha256": "" if background is None else background.sha256,
        "correction": _correction_text(spectrum),
        "response": "none" if response is None else response.name,
        "response_key": "" if response is None else hashlib.sha256(response.key).hexdigest()[:16],
        "band": band_text(spectrum.filters),
        "grouping": _grouping_text(spectrum),
        "systematic": _systematic_text(spectrum.sys_err),
        "data_sha256": _spectrum_hash(spectrum),
    }


def spectrum_sources(spectrum) -> list[str]:
    """Paths of all files that a spectrum was read from, and of those that its header links to."""
    paths = [spectrum.path]
    for part in (spectrum, spectrum.background):
        folder = os.path.dirname(part.path) if part is not None else ""
        if part is not None:
            paths.append(part.path)
            links = [str((part.header or {}).get(key) or "") for key in _LINKS]
            paths += [os.path.join(folder, link.strip()) for link in links if link.strip()]
    return list(dict.fromkeys(path for path in paths if path))


_LINKS = ("BACKFILE", "RESPFILE", "ANCRFILE", "CORRFILE")


def image_origin(image) -> dict:
    """File of an image or profile, what was done to it, and a hash of what is fitted."""
    parts = {name: numbers_hash(arrays) for name, arrays in image_parts(image).items()}
    return {
        "file": getattr(image, "path", "") or "",
        "made": "; ".join(getattr(image, "diagnostics", ())),
        "data_sha256": hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:32],
    }


def image_parts(image) -> dict:
    """Everything in an image or profile on which its likelihood depends: name to arrays."""
    pixels = image.pixels
    found = {name: (values,) for name, values in zip(pixels._fields, pixels, strict=True)}
    if (psf := getattr(image, "psf", None)) is not None:
        found["psf"] = (psf.kernel, psf.center, (psf.scale,))
    if getattr(image, "nodes", None) is not None:
        found["nodes"] = image.nodes
    unit = getattr(image, "exposure_unit", getattr(image, "sb_unit", ""))
    return found | {"unit": (np.frombuffer(unit.encode(), np.uint8),)}


def failure_origin(item) -> dict:
    """File that could not be read."""
    return {"file": item.path}


def band_text(filters) -> str:
    """Notice and ignore steps in words.

    Examples
    --------
    >>> from jaxspec._types import Filter
    >>> band_text((Filter("notice", "keV", ((3.0, 25.0),)), Filter("ignore", "bad", ())))
    'notice 3-25 keV; ignore bad'
    """
    parts = []
    for step in filters:
        ranges = ", ".join(f"{_end(lo)}-{_end(hi)}" for lo, hi in step.ranges)
        parts.append(" ".join(filter(None, [step.kind, ranges, step.unit])))
    return "; ".join(parts) or "all"


def _end(value):
    return f"{value:.10g}" if np.isfinite(value) else "**"


def _grouping_text(spectrum):
    if spectrum.grouping is None:
        return "none"
    grouping = np.ascontiguousarray(spectrum.grouping, dtype="<i2")
    opens = int(np.count_nonzero(grouping != -1))
    digest = hashlib.sha256(grouping.tobytes()).hexdigest()[:8]
    return f"{len(grouping)} channels in {opens} groups ({digest})"


def _systematic_text(values):
    if values is None or not np.any(values):
        return "0"
    low, high = np.nanmin(values), np.nanmax(values)
    return f"{low:.10g}" if low == high else f"{low:.10g} to {high:.10g}"


def _correction_text(spectrum):
    found = spectrum.correction
    return "none" if found is None else f"{found.path or found.name} x {spectrum.corrscal:.10g}"


def _spectrum_hash(spectrum):
    binned = _binned(spectrum)
    return "" if binned is None else numbers_hash(binned)[:32]


def numbers_hash(arrays) -> str:
    """SHA-256 of arrays as float64, of whatever type they are."""
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return digest.hexdigest()
