"""What a file holds, in lines of text."""

from __future__ import annotations

import numpy as np

from jaxspec._text import align
from jaxspec.errors import InputError
from jaxspec.reduce.bins import bin_counts, net_rate, spectrum_bins

_ORIGIN = ("TELESCOP", "INSTRUME", "DETNAM", "FILTER", "OBJECT", "OBS_ID")
_LINKS = (
    ("BACKFILE", "background"),
    ("RESPFILE", "response"),
    ("ANCRFILE", "arf"),
    ("CORRFILE", "correction"),
)


def describe_file(path) -> str:
    """Describe a PHA (I or II), RMF, RSP or ARF file, or a table of results.

    Raises
    ------
    InputError
        A file that is missing or damaged, or none of these.
    """
    from jaxspec.read.fits import open_hdus
    from jaxspec.read.paths import decompress, read_bytes, split_selectors

    address = split_selectors(path)
    try:
        raw, file = read_bytes(address.file)
    except FileNotFoundError:
        raise InputError("does not exist", file=address.file, remedy="check the path") from None
    if raw[:6] == b"# %ECS" or raw[:4] == b"PAR1":
        return _describe_result(file)
    if raw[:4] == b"\x89HDF":
        raise InputError(
            "is a file of HDF5, no spectrum", file=file,
            remedy="jaxspec.read_posterior reads a posterior that jaxspec saved",
        )  # fmt: skip
    hdus = open_hdus(decompress(raw, file), file)
    if any(hdu.get("RESULT") is not None for hdu in hdus):
        return _describe_result(file)
    table = [hdu for hdu in hdus if hdu.columns]
    kinds = {_kind(hdu) for hdu in table}
    if "SPECTRUM" in kinds:
        return _describe_spectra(path)
    if "MATRIX" in kinds:
        from jaxspec.read.ogip import read_response

        return "\n".join([f"{file}: response", *_lines(response_rows(read_response(path)))])
    if "SPECRESP" in kinds:
        return "\n".join([f"{file}: effective area (ARF)", *_lines(area_rows(path, table))])
    names = ", ".join(hdu.label for hdu in hdus)
    raise InputError(
        f"holds neither a spectrum nor a response, only {names}",
        file=file,
        remedy="give a PHA, RMF, RSP or ARF file",
    )


def _describe_result(file):
    from jaxspec.fit.read_back import read_result

    result = read_result(file)
    return f"{file}: table of results of a fit; jaxspec.read_result reads it\n\n{result.summary()}"


def _kind(hdu):
    name = hdu.name.upper()
    columns = hdu.columns
    if name == "SPECTRUM" or str(hdu.get("HDUCLAS1", "")).strip().upper() == "SPECTRUM":
        return "SPECTRUM"
    if "MATRIX" in columns and "N_GRP" in columns:
        return "MATRIX"
    return "SPECRESP" if "SPECRESP" in columns else name


def _describe_spectra(path):
    from jaxspec.read.ogip import read_spectra

    links = ("background", "response", "arf", "correction")
    left_out, missing = {}, []
    try:
        spectra = read_spectra(path)
    except InputError:  # often a link that leads nowhere: the rest may be good
        read_spectra(path, **dict.fromkeys(links))
        for link in links:
            others = dict.fromkeys(k for k in links if k != link)
            if link == "arf":
                others.pop("response")
            try:
                read_spectra(path, **(others | left_out))
            except InputError as error:
                left_out[link] = None
                missing.append(str(error))
        spectra = read_spectra(path, **left_out)
    kind = f"{len(spectra)} spectra (PHA type II)" if len(spectra) > 1 else "spectrum (PHA)"
    lines = [f"{spectra[0].path or path}: {kind}"]
    for spectrum in spectra[:12]:
        if len(spectra) > 1:
            lines += ["", f"-- {spectrum.name}"]
        lines += _lines(spectrum_rows(spectrum))
    if len(spectra) > 12:
        lines += ["", f"... {len(spectra) - 12} more spectra"]
    return "\n".join(lines + _lines(("problem", text) for text in missing))


def spectrum_rows(spectrum) -> list[tuple[str, str]]:
    """Facts of one spectrum: origin, times, channels, links, rates, what was assumed."""
    from jaxspec.likelihood.choose import choose_statistic, is_poisson
    from jaxspec.likelihood.spectrum_prepare import said
    from jaxspec.reduce.sane import bad_data

    header = spectrum.header or {}
    counts = spectrum.counts[np.isfinite(spectrum.counts)]
    chosen, statistic = choose_statistic(spectrum)
    errors = "none" if spectrum.stat_err is None else "STAT_ERR"
    errors = "Poisson" if is_poisson(spectrum) else errors
    whole = "" if np.all(counts == np.rint(counts)) else ", not whole numbers"
    rows = [
        ("origin", ", ".join(str(header[k]) for k in _ORIGIN if _told(header.get(k)))),
        ("start", _time_text(spectrum.time_start)),
        ("stop", _time_text(spectrum.time_stop)),
        ("exposure", f"{spectrum.exposure:.6g} s"),
        ("channels", _channel_text(spectrum)),
        ("counts", f"{counts.sum():.6g}{whole}; errors: {errors}"),
        ("systematic", _span(spectrum.sys_err)),
        ("AREASCAL", _span(spectrum.areascal)),
        ("BACKSCAL", _span(spectrum.backscal)),
        ("quality", _flags(spectrum.quality)),
        ("grouping", _grouping_text(spectrum)),
    ]
    rows += [(word, _link_text(header.get(key))) for key, word in _LINKS]
    background = spectrum.background
    if background is not None:
        total = bin_counts(spectrum).background.sum()
        kind = "Poisson" if is_poisson(background) else "modelled, with its own errors"
        rows.append(("", f"{total:.6g} counts in {background.exposure:.6g} s ({kind})"))
    if spectrum.correction is not None:
        correction = spectrum.correction
        rate = correction.counts.sum() / correction.exposure
        rows.append(("", f"{spectrum.corrscal:g} times {rate:.6g} counts/s are subtracted"))
    rate, error = net_rate(spectrum)
    rows.append(("net rate", f"{rate:.6g} ± {error:.4g} counts/s (all channels of good quality)"))
    rows.append(("statistic", f"auto takes {statistic}"))
    if spectrum.response is not None:
        rows += response_rows(spectrum.response, assumed=False)
    rows += [("assumed", text) for text in said(spectrum)]
    problem = bad_data(spectrum, not chosen.startswith("chi2"), chosen != "cash", chosen == "wstat")
    return rows + ([("problem", problem)] if problem else [])


def response_rows(response, assumed=True) -> list[tuple[str, str]]:
    """Facts of a response: energies, channels, area, what was assumed."""
    ends = np.concatenate([response.e_min, response.e_max])
    matrix = response.matrix
    rows, held = np.asarray(matrix.sum(axis=1)).ravel(), matrix.nnz
    for part in response.wide:
        sums = np.concatenate([block.sum(axis=1) for _, _, block in part.blocks()])
        rows, held = rows + sums[part.row], held + len(part.data)
    area = response.area * rows
    filled = 100 * held / max(matrix.shape[0] * matrix.shape[1], 1)
    full = ", with the area in it (HDUCLAS3 FULL)" if response.full else ""
    what, unit = ("area", " cm2") if area.max() > 1.5 else ("sum of a row", "")
    largest = _largest(response.e_lo, response.e_hi, area, unit)
    rows = [
        ("energies", _energies(response.e_lo, response.e_hi)),
        ("EBOUNDS", f"{len(response.e_min)} channels, {ends.min():.5g} to {ends.max():.5g} keV"),
        ("matrix", f"{filled:.3g} % filled; largest {what} {largest}{full}"),
    ]
    return rows + [("assumed", text) for text in response.diagnostics if assumed]


def area_rows(path, table) -> list[tuple[str, str]]:
    """Facts of an ARF file."""
    from jaxspec.read.cache import ResponseCache
    from jaxspec.read.links import fetch

    found = fetch(path)
    with np.errstate(all="ignore"):
        (e_lo, e_hi, area), notes = ResponseCache().arf(found.raw, found.file, found.address)
    hdu = next(h for h in table if "SPECRESP" in h.columns)
    return [
        ("origin", ", ".join(str(hdu.get(k)).strip() for k in _ORIGIN[:2] if _told(hdu.get(k)))),
        ("energies", _energies(e_lo, e_hi)),
        ("area", f"largest {_largest(e_lo, e_hi, area, ' cm2')}"),
        *(("assumed", text) for text in notes),
    ]


def _lines(rows):
    """Facts as lines, without those that say nothing."""
    return align((f"  {word:<10}", text) for word, text in rows if text)


def _energies(e_lo, e_hi):
    return f"{len(e_lo)}, {e_lo[0]:.5g} to {e_hi[-1]:.5g} keV"


def _largest(e_lo, e_hi, area, unit):
    at = int(area.argmax())
    return f"{area[at]:.5g}{unit} at {0.5 * (e_lo + e_hi)[at]:.4g} keV"


def _told(value):
    return value is not None and str(value).strip().upper() not in ("", "NONE", "UNKNOWN")


def _link_text(value):
    from jaxspec.read.paths import is_set

    return str(value).strip() if is_set(value) else "none"


def _time_text(time):
    if time is None:
        return ""
    try:
        date = f"{time.isot[:19]} {time.scale.upper()} "
    except Exception:  # erfa's own, for dates beyond its calendar
        date = ""
    return f"{date}(MJD {time.mjd:.5f})"


def _span(values):
    if values is None:
        return ""
    low, high = np.min(values), np.max(values)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}, by channel"


def _flags(values):
    if values is None:
        return ""
    value, number = np.unique(values, return_counts=True)
    return ", ".join(f"{n} channels with {v}" for v, n in zip(value, number, strict=True))


def _channel_text(spectrum):
    channel = spectrum.channel
    return f"{len(channel)}, numbered {channel[0]} to {channel[-1]}" if len(channel) else "none"


def _grouping_text(spectrum):
    if spectrum.grouping is None:
        return ""
    return f"{spectrum_bins(spectrum)[1]} bins"
