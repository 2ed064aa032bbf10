"""Figures into files, without pyplot and its state."""

from __future__ import annotations

import io
import re
from pathlib import Path

from jaxspec._files import write_bytes
from jaxspec.fit.result import FitResult
from jaxspec.likelihood.forward import kind_of
from jaxspec.report import draw, plot
from jaxspec.sample.posterior import Posterior

#: What there is to draw of each kind of thing: the name of the file and the function.
FIGURES = {
    "spectra": {"spectra": plot.spectra},
    "fits": {"models": plot.models, "histograms": plot.histograms, "timeline": plot.timeline},
    "fit": {"fit": plot.fit, "unfolded": plot.unfolded},
    "image": {"image": plot.overview, "masks": plot.masks},
    "profile": {"profile": plot.profile},
    "image fit": {"profile": plot.profile, "residuals": plot.residuals},
    "chains": {"traces": plot.traces, "triangle": plot.triangle},
    "comparison": {"comparison": plot.compare},
}


#: What a figure of ours says of its maker, so that a later run knows it again.
_MAKER = "jaxspec"


def save(thing, folder, prefix="", row=None, overwrite=False) -> list[str]:
    """Draw everything that there is to draw of a thing into PNG files.

    Parameters
    ----------
    thing : SpectrumList, Image, FitResult, Posterior; or dict of results that are compared
    folder : path, which exists.
    prefix : str, put in front of the names.
    row : int or name, optional; of a FitResult, of which this row alone is drawn.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    list of str
        Names of the files; none where nothing is usable.

    Raises
    ------
    InputError
        A file exists and may not be replaced, or cannot be written.
    """
    options, names = ({} if row is None else {"row": row}), []
    for kind in _kinds(thing, row):
        for name, make in FIGURES[kind].items():
            with draw.style(), draw.off_screen():
                stream = io.BytesIO()
                make(thing, **options).savefig(stream, format="png", metadata={"Software": _MAKER})
            write_bytes(Path(folder) / f"{prefix}{name}.png", stream.getvalue(), overwrite)
            names.append(f"{prefix}{name}.png")
    return names


def figure_names(*kinds, prefix="") -> list[str]:
    """Names of all files that `save` may write for the rows of `FIGURES` that are named."""
    return [f"{prefix}{name}.png" for kind in kinds for name in FIGURES[kind]]


def drawn_before(folder) -> list[str]:
    """Names of the figures in a folder that `save` wrote in an earlier run, sorted."""
    found = []
    for path in sorted(Path(folder).glob("*.png")):
        with path.open("rb") as stream:  # the text stands in front of the pixels
            if b"Software\0" + _MAKER.encode() in stream.read(300):
                found.append(path.name)
    return found


def file_name(name) -> str:
    """Name of a spectrum as part of a file name.

    Examples
    --------
    >>> file_name("obs 1/src{3}.pha")
    'obs_1_src_3_.pha'
    """
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "spectrum"


def _kinds(thing, row):
    """Rows of the table that belong to a thing."""
    if isinstance(thing, dict):
        return ["comparison"]
    if isinstance(thing, Posterior):
        return [*_of_image(thing.data), "chains"]
    if hasattr(thing, "pixels"):
        return ["image"]
    if not isinstance(thing, FitResult):
        return ["spectra"] if any(hasattr(item, "channel") for item in thing) else []
    if hasattr(thing.spectra[0], "pixels"):
        return _of_image(thing.spectra[0])
    if row is not None:
        return ["fit"]
    return ["fits"] if thing.usable.any() else []


def _of_image(data):
    """A profile has no residual image; a posterior may have no data, or those of a spectrum."""
    if not hasattr(data, "pixels"):
        return []
    return ["image fit" if kind_of(data).has_pixels else "profile"]
