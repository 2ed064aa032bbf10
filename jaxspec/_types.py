"""Spectrum and Response: what the readers give and everything else takes.

Both are frozen NumPy dataclasses on the host. Axis words: ``channel`` (detector channels, as
in the file), ``bin`` (channels summed by grouping and kept by the filters), ``energy`` (the
model's true-energy bins). Energies are keV, times seconds, areas cm2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from jaxspec._ask import changed
from jaxspec._checks import bounds_ascend, response_arrays, spectrum_arrays
from jaxspec._units import seconds_in


class Filter(NamedTuple):
    """One notice or ignore step; steps are replayed on the bins of the moment.

    ``kind`` is "notice" or "ignore"; ``unit`` is "keV", "channel" (CHANNEL values of the file)
    or "bin" (XSPEC's ordinals, from 1, of the grouped bins) or "bad" (QUALITY 2);
    ``ranges`` holds closed (lo, hi) pairs, -inf and inf where a range is open.
    """

    kind: str
    unit: str
    ranges: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Wide:
    """Redistribution on energy bins that each hold several of the response's, as runs of channels.

    Spread over the energies of a response of 60 000, the loss tail of a calorimeter has 2e9
    elements; on its own energy bins it has 1e8, and without their indices they take 450 MB.

    Parameters
    ----------
    row : (n_energy,) int, ascending: the row that acts at each energy of the response.
    n_row : int
    run_row, first, width, start : (n_run,) int
        Row of each run, its first stored channel, how many there are, and where in ``data``.
    column : (n_stored,) int, place of each stored channel in the response; -1 for none.
    data : (n_value,) float, in the byte order of the file; several runs on one channel add up.

    The arrays are taken over: nobody can change them any more.
    """

    row: np.ndarray
    n_row: int
    run_row: np.ndarray
    first: np.ndarray
    width: np.ndarray
    start: np.ndarray
    column: np.ndarray
    data: np.ndarray

    def __post_init__(self):
        for values in (self.row, self.run_row, self.first, self.width, self.start, self.column):
            values.flags.writeable = False
        self.data.flags.writeable = False

    def dense(self, begin, end) -> np.ndarray:
        """Rows ``begin`` to ``end`` of the stored channels: (end - begin, n_stored) float64."""
        made = np.zeros((end - begin, len(self.column)))
        runs = slice(*np.searchsorted(self.run_row, (begin, end)))
        parts = (self.run_row, self.first, self.width, self.start)
        for row, first, width, at in zip(*(p[runs].tolist() for p in parts), strict=True):
            made[row - begin, first : first + width] += self.data[at : at + width]
        return made

    def blocks(self, elements=2**21):
        """Yield (begin, end, `dense` rows) of all rows, so many elements at a time."""
        step = max(1, elements // max(len(self.column), 1))
        for begin in range(0, self.n_row, step):
            end = min(begin + step, self.n_row)
            yield begin, end, self.dense(begin, end)


def _hash(arrays, begin=b"") -> bytes:
    digest = sha256(begin)
    for values in arrays:
        digest.update(f"{values.dtype.str}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.digest()


@dataclass(frozen=True, eq=False)
class Response:
    """Redistribution matrix and effective area on one true-energy grid.

    Parameters
    ----------
    e_lo, e_hi : (n_energy,) float64 keV, ascending and positive.
    matrix : scipy.sparse.csr_array, (n_energy, n_channel)
        Redistribution as in the file (rows are energies); holds the effective area too when
        the file was a full response (.rsp).
    area : (n_energy,) float64 cm2
        Effective area from the ARF, ones when the matrix is a full response.
    channel : (n_channel,) int, channel numbers of EBOUNDS, ascending.
    e_min, e_max : (n_channel,) float64 keV, nominal (reconstructed) energy bounds of EBOUNDS.
    name : str, file name(s) for messages.
    diagnostics : tuple of str, what was assumed while reading.
    wide : tuple of Wide, redistribution on wider energy bins that adds to ``matrix``.
    doubtful : tuple of (lo, hi) keV, where the ARF has other energy bins; no fit may use them.
    full : bool, whether the file said that the matrix holds the effective area (HDUCLAS3 FULL).
    telescope : str, TELESCOP of the file.

    The arrays cannot be changed: `replace` makes another response.

    Raises
    ------
    InputError
        Shapes that do not belong together, energies that do not ascend or overlap, a negative area.
    """

    e_lo: np.ndarray
    e_hi: np.ndarray
    matrix: Any
    area: np.ndarray
    channel: np.ndarray
    e_min: np.ndarray
    e_max: np.ndarray
    name: str = ""
    diagnostics: tuple[str, ...] = ()
    wide: tuple[Wide, ...] = ()
    doubtful: tuple[tuple[float, float], ...] = ()
    full: bool = False
    telescope: str = ""

    def __post_init__(self):
        for name, value in response_arrays(self).items():
            object.__setattr__(self, name, value)

    def replace(self, **changes) -> Response:
        """Return a copy with some fields changed."""
        made = changed(self, changes)
        known = self.__dict__.get("_matrix_key")  # as `replace` of dataclasses, but not hashed anew
        if known is not None and not changes.keys() & {"matrix", "wide"}:
            made.__dict__["_matrix_key"] = known
        return made

    @cached_property
    def key(self) -> bytes:
        """Hash of the content; responses of equal keys are interchangeable."""
        parts = [self.e_lo, self.e_hi, self.area, self.channel, self.e_min, self.e_max]
        mark = repr((self.doubtful, self.full)).encode()
        return _hash(parts, self._matrix_key + mark)

    @cached_property
    def _matrix_key(self) -> bytes:
        matrix = self.matrix
        parts = [matrix.indptr, matrix.indices, matrix.data]
        for p in self.wide:
            parts += [p.row, p.run_row, p.first, p.width, p.start, p.column, p.data]
        return _hash(parts, repr(matrix.shape).encode())

    @cached_property
    def bounds_ascend(self) -> bool:
        """Whether EBOUNDS goes one way, up or down, so that ranges of energies have a meaning."""
        return bounds_ascend(self.e_min, self.e_max)

    def __repr__(self):
        return (
            f"Response({self.name or 'unnamed'}: {len(self.e_lo)} energies "
            f"{self.e_lo[0]:.4g}-{self.e_hi[-1]:.4g} keV, {len(self.channel)} channels)"
        )


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One OGIP spectrum with its background, its response and the chosen bins.

    Parameters
    ----------
    name : str, shown in tables (file stem unless given).
    channel : (n_channel,) int, CHANNEL values.
    counts : (n_channel,) float64 counts (RATE files are multiplied by the exposure).
    exposure : float, seconds.
    stat_err : (n_channel,) float64 counts, or None; used only where ``poisserr`` is False.
    sys_err : (n_channel,) float64 fraction, or None for zero.
    quality, grouping : (n_channel,) int16, or None for QUALITY 0 and GROUPING 1 everywhere.
    areascal, backscal : float or (n_channel,) float64.
    poisserr : bool, POISSERR of the file.
    background : Spectrum or None.
    correction : Spectrum or None, of CORRFILE: its count rate times ``corrscal`` is subtracted.
    corrscal : float, CORRSCAL.
    response : Response or None.
    filters : tuple of Filter, replayed on the grouped bins, so that they survive regrouping.
    path : str, where it was read from.
    header : dict with the header keywords worth keeping (TELESCOP, INSTRUME, OBJECT, DATE-OBS,
        TSTART, TSTOP, MJDREF, TIMESYS, OBS_ID, ...), values as in the file; type II row values.
    diagnostics : tuple of str, what was assumed while reading.
    sha256 : str, hash of the unpacked file that it was read from, as hexadecimal digits.

    The arrays cannot be changed: `replace` makes another spectrum.

    Raises
    ------
    InputError
        Lengths that differ, an exposure or scales that are not above 0, a channel number twice.
    """

    name: str
    channel: np.ndarray
    counts: np.ndarray
    exposure: float
    stat_err: np.ndarray | None = None
    sys_err: np.ndarray | None = None
    quality: np.ndarray | None = None
    grouping: np.ndarray | None = None
    areascal: float | np.ndarray = 1.0
    backscal: float | np.ndarray = 1.0
    poisserr: bool = True
    background: Spectrum | None = None
    response: Response | None = None
    filters: tuple[Filter, ...] = ()
    path: str = ""
    header: dict | None = None
    diagnostics: tuple[str, ...] = ()
    correction: Spectrum | None = None
    corrscal: float = 1.0
    sha256: str = ""

    def __post_init__(self):
        for name, value in spectrum_arrays(self).items():
            object.__setattr__(self, name, value)

    def replace(self, **changes) -> Spectrum:
        """Return a copy with some fields changed."""
        return changed(self, changes)

    @cached_property
    def time_start(self):
        """Start of the observation as `astropy.time.Time`, or None (TSTART, else DATE-OBS)."""
        return _time(self.header or {}, "TSTART", "DATE-OBS")

    @cached_property
    def time_stop(self):
        """End of the observation as `astropy.time.Time`, or None (TSTOP, else DATE-END)."""
        return _time(self.header or {}, "TSTOP", "DATE-END")

    def __repr__(self):
        parts = [f"{len(self.channel)} channels", f"{self.counts.sum():.6g} counts"]
        parts.append(f"{self.exposure:.6g} s")
        if self.background is not None:
            parts.append("background")
        if self.correction is not None:
            parts.append("correction")
        if self.response is None:
            parts.append("no response")
        return f"Spectrum({self.name}: {', '.join(parts)})"


def mjd_start(header: dict) -> float:
    """MJD of TSTART, else of DATE-OBS, in the file's own time scale; NaN if unknown.

    TSTART may be split (TSTARTI + TSTARTF), as may MJDREF; TIMEZERO is added (OGIP 93-003).
    """
    start = _met(header, "TSTART")
    ref = _mjdref(header)
    if start is not None and ref is not None:
        return ref + start / 86400.0
    time = _time(header, "TSTART", "DATE-OBS") if header.get("DATE-OBS") else None
    return np.nan if time is None else float(time.mjd)


def observed_seconds(header) -> float | None:
    """Seconds from TSTART to TSTOP of a header, None if they are not there."""
    start, stop = _met(header, "TSTART"), _met(header, "TSTOP")
    return None if start is None or stop is None else stop - start


def start_times(items) -> np.ndarray:
    """MJD (n,) of the start of each spectrum or image, NaN where unknown or unreadable."""
    headers = [getattr(item, "header", None) or {} for item in items]
    return np.array([mjd_start(header) for header in headers], dtype=float)


def _met(header, key):
    value = header.get(key)
    if value is None and f"{key}I" in header:
        value = header[f"{key}I"] + header.get(f"{key}F", 0.0)
    if value is None:
        return None
    factor = seconds_in(str(header.get("TIMEUNIT", "")).strip() or "s")
    return None if factor is None else (value + header.get("TIMEZERO", 0.0)) * factor


def _mjdref(header):
    whole = header.get("MJDREFI")
    if header.get("MJDREF") and (whole is None or header["MJDREF"] != 0):
        return header["MJDREF"]
    if whole is not None:
        return whole + header.get("MJDREFF", 0.0)
    return header.get("MJDREF")


def _time(header, met_key, date_key):
    from astropy.time import Time

    met, ref = _met(header, met_key), _mjdref(header)
    scale = str(header.get("TIMESYS", "tt")).strip().lower()
    if scale not in Time.SCALES:
        scale = "tt"
    if met is not None and ref is not None:
        return Time(ref, met / 86400.0, format="mjd", scale=scale)
    date = _date(header, date_key)
    if not date:
        return None
    try:
        return Time(date, format="isot" if "T" in date else "iso", scale=scale)
    except ValueError:
        return None


def _date(header, key):
    """Date and time of a keyword as ISO text, empty if there is none."""
    date = str(header.get(key, "")).strip().rstrip("Zz")
    if len(date) == 8 and date[2] == "/":  # dd/mm/yy, the FITS convention before 1999
        date = f"19{date[6:]}-{date[3:5]}-{date[:2]}"
    clock = str(header.get(key.replace("DATE", "TIME"), "")).strip()  # before 1999
    return f"{date}T{clock}" if date and "T" not in date and clock else date
