"""Many spectra as one value: read them, select and group them all at once."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

import numpy as np

from jaxspec._ask import expect, path_text
from jaxspec._status import Status
from jaxspec._types import Spectrum
from jaxspec.errors import InputError
from jaxspec.read.ogip import ResponseCache, read_spectra
from jaxspec.read.paths import split_selectors
from jaxspec.reduce import group as grouping
from jaxspec.reduce import select
from jaxspec.reduce.data import distinct

BAR_FROM = 200  # spectra; below, reading ends before a progress bar could be read


@dataclass(frozen=True)
class Failure:
    """The place of a spectrum that could not be read or prepared: a row with a status."""

    name: str
    path: str
    status: Status
    message: str


class SpectrumList(Sequence):
    """An immutable list of `Spectrum`, with the places of those that failed.

    Selecting and grouping return a new list; slices, index arrays and masks work as in NumPy.

    Examples
    --------
    >>> import jaxspec as js
    >>> spectra = js.read_pha("obs/*/stdprod/xp*_s2.pha*")    # doctest: +SKIP
    >>> spectra.notice("3-25").group(min_counts=20)           # doctest: +SKIP
    """

    def __init__(self, items: Iterable[Spectrum | Failure]):
        expect(items, "__iter__", "items", "a list of Spectrum objects")
        self._items = tuple(items)
        for item in self._items:
            if not isinstance(item, Spectrum | Failure):
                raise InputError(
                    f"a SpectrumList holds Spectrum objects, not {type(item).__name__}",
                    remedy="read files with jaxspec.read_pha",
                )

    def __len__(self):
        return len(self._items)

    def __getitem__(self, index):
        if isinstance(index, int | np.integer):
            return self._items[index]
        return SpectrumList(self._items[i] for i in np.arange(len(self))[index])

    def __add__(self, other):
        return SpectrumList((*self, *other))

    @property
    def failures(self) -> list[Failure]:
        """The entries that could not be read or prepared."""
        return [item for item in self if isinstance(item, Failure)]

    @property
    def names(self) -> list[str]:
        """One name per entry, each another; see `jaxspec.reduce.data.distinct`."""
        return distinct([item.name for item in self])

    def map(self, change: Callable[[Spectrum], Spectrum]) -> SpectrumList:
        """Apply a function to each spectrum; what raises `InputError` becomes a `Failure`."""
        return SpectrumList(_guarded(change, item) for item in self)

    def notice(self, energies=None, *, channels=None, bins=None) -> SpectrumList:
        """Keep only what lies in the ranges; see `jaxspec.reduce.select.notice`."""
        step = select.make_filter("notice", energies, channels=channels, bins=bins)
        return self.map(lambda s: select.append(s, step))

    def ignore(self, energies=None, *, channels=None, bins=None) -> SpectrumList:
        """Drop what lies in the ranges; see `jaxspec.reduce.select.ignore`."""
        step = select.make_filter("ignore", energies, channels=channels, bins=bins)
        return self.map(lambda s: select.append(s, step))

    def ignore_bad(self) -> SpectrumList:
        """Drop the channels of QUALITY 2 as well (1 and 5 are always dropped)."""
        return self.map(select.ignore_bad)

    def systematic(self, fraction) -> SpectrumList:
        """Give all a systematic error; see `jaxspec.reduce.select.systematic`."""
        fraction = select.as_fraction(fraction)
        return self.map(lambda s: select.systematic(s, fraction))

    def notice_all(self) -> SpectrumList:
        """Forget all notice and ignore steps."""
        return self.map(select.notice_all)

    def group(self, *, min_counts=None, min_snr=None, factor=None, optimal=False) -> SpectrumList:
        """Group channels into bins; see `jaxspec.reduce.group.group` for the rules."""
        rule = {"min_counts": min_counts, "min_snr": min_snr, "factor": factor, "optimal": optimal}
        grouping.check_rule(**rule)
        return self.map(lambda s: grouping.group(s, **rule))

    def ungroup(self) -> SpectrumList:
        """Make every channel its own bin again."""
        return self.map(grouping.ungroup)

    def __repr__(self):
        return f"<SpectrumList: {self._describe()}>"

    def _describe(self):
        good = [s for s in self if isinstance(s, Spectrum)]
        parts = [f"{len(good)} spectra"]
        origin = Counter(
            " ".join(str((s.header or {}).get(k, "")) for k in ("TELESCOP", "INSTRUME")).strip()
            for s in good
        )
        parts += [f"{n} {what}" for what, n in origin.most_common(3) if what]
        if good:
            shared = len({id(s.response) for s in good if s.response is not None})
            parts.append(f"{shared} distinct responses")
            parts.append(f"{sum(s.exposure for s in good):.4g} s in total")
        if self.failures:
            parts.append(f"{len(self.failures)} unreadable")
        return ", ".join(parts)

    def _repr_html_(self):
        rows = "".join(_html_row(item) for item in self._items[:20])
        more = f"<p>... {len(self) - 20} more</p>" if len(self) > 20 else ""
        head = "<tr><th>name</th><th>channels</th><th>counts</th><th>exposure [s]</th></tr>"
        return f"<p>{escape(self._describe())}</p><table>{head}{rows}</table>{more}"


def _html_row(item):
    if isinstance(item, Failure):
        return f"<tr><td>{escape(item.name)}</td><td colspan=3>{escape(item.message)}</td></tr>"
    cells = (item.name, len(item.channel), f"{item.counts.sum():.6g}", f"{item.exposure:.6g}")
    return "<tr>" + "".join(f"<td>{escape(str(c))}</td>" for c in cells) + "</tr>"


def _guarded(change, item):
    if isinstance(item, Failure):
        return item
    try:
        with np.errstate(all="ignore"):
            return change(item)
    except MemoryError:
        status, problem = Status.BAD_DATA, "it does not fit into memory"
    except InputError as error:
        status, problem = Status.BAD_DATA, str(error)
        if item.response is None:
            status = Status.NO_RESPONSE
    return Failure(item.name, item.path, status, problem)


def read_pha(paths, *, on_error="raise", progress=None, **options) -> SpectrumList:
    """Read OGIP spectra with the backgrounds and responses that they name.

    Parameters
    ----------
    paths : str, path, or list of them
        A file, a folder pattern with ``*`` and ``**``, rows of type II or extensions by EXTVER
        ``file.pha{3}``, ``file.pha{1-3,5}``, an extension ``file.pha[1]``, or an fsspec URL.
        Patterns may have these too. All rows of a type II file are read.
    on_error : {"raise", "status"}
        Whether a file that cannot be read raises, or becomes a row with status IO_ERROR.
    progress : bool, optional
        Progress bar; by default for 200 files and more, on a terminal or in a notebook.
    **options
        ``background``, ``response``, ``arf``, ``correction`` (paths, folders, mappings, functions
        of the spectrum, objects, None; ``background="optional"``), ``root``, ``exposure``,
        ``poisserr``, as in `jaxspec.read.ogip.read_spectrum`.

    Returns
    -------
    SpectrumList
        In the order given; the matches of a pattern are sorted by name. Spectra with the same
        response (by content) share one object.

    Raises
    ------
    InputError
        If nothing matches, or with ``on_error="raise"`` if a file cannot be used.

    Examples
    --------
    >>> import jaxspec as js
    >>> js.read_pha("stdprod/xp*_s2.pha.gz", on_error="status")    # doctest: +SKIP

    Responses in a folder of their own, and backgrounds by name:

    >>> js.read_pha("spectra/*.pha", response="rsp")               # doctest: +SKIP
    >>> js.read_pha("spectra/*.pha", background={"a": "sky.pha"})   # doctest: +SKIP
    """
    if on_error not in ("raise", "status"):
        raise InputError(
            f"{on_error!r} is not a choice", parameter="on_error", remedy="use 'raise' or 'status'"
        )
    files = find_files(paths)
    items, cache = [], options.pop("cache", None) or ResponseCache()
    for path in bar(files, "reading", progress):
        try:
            items.extend(read_spectra(path, cache=cache, **options))
        except InputError as error:
            if on_error == "raise":
                raise
            items.append(Failure(_stem(path), str(path), Status.IO_ERROR, str(error)))
    return SpectrumList(_with_folders(items))


def bar(items, label, progress=None, total=None):
    """Wrap an iterable in a progress bar if it is long and somebody can see it."""
    total = len(items) if total is None else total
    if progress is None:
        progress = total >= BAR_FROM
    if not progress:
        return items
    from tqdm.auto import tqdm

    return tqdm(items, desc=label, total=total, disable=None, leave=False)


def find_files(paths) -> list[str]:
    """Paths of all files that a path, a pattern or a list of them names; patterns are sorted."""
    if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable):
        paths = [paths]
    files = []
    for path in [path_text(path) for path in paths]:
        if "://" in path or not glob.has_magic(path) or os.path.exists(path):
            files.append(path)
            continue
        matches = sorted(glob.glob(path, recursive=True)) or _selected(path)
        if not matches:
            raise InputError(
                "no file matches this pattern",
                file=path,
                remedy="check the folder; ** matches any number of folders",
            )
        files.extend(matches)
    if not files:
        raise InputError("no file was given", remedy="give a path, a pattern or a list of them")
    return files


def _selected(path):
    """Files of a pattern with selectors behind it, each with these; file.pha[1] is one file."""
    address = split_selectors(path)
    if not glob.has_magic(address.file):
        return [path] if address.file != path else []
    files = sorted(glob.glob(address.file, recursive=True))
    return [str(address._replace(file=file)) for file in files] if address.file != path else []


def _stem(path):
    return PurePath(str(path)).name.split(".pha")[0].split(".pi")[0]


def _with_folders(items):
    """Make names unique: equal file names get their folder in front."""
    seen = Counter(item.name for item in items)
    out = []
    for item in items:
        folder = PurePath(item.path).parent.name
        if seen[item.name] > 1 and folder:
            name = f"{folder}/{item.name}"
            item = (
                Failure(name, item.path, item.status, item.message)
                if isinstance(item, Failure)
                else item.replace(name=name)
            )
        out.append(item)
    return out
