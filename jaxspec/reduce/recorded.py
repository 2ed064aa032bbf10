"""Data of which a table of results tells: their place in a result that was read back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jaxspec._status import Status
from jaxspec.errors import InputError
from jaxspec.reduce.spectra import Failure


class NotReadError(InputError, AttributeError):
    """What is asked of data was not read again with the result."""


@dataclass(frozen=True)
class Recorded(Failure):
    """A datum known by what a table says of it; its counts were not read again.

    Parameters
    ----------
    name, path : str
    status, message : as fits see it, if it is fitted.
    facts : (start (MJD), exposure (s), counts)
    origin : dict, what the datum was made from.
    kind : "spectrum", "image" or "profile"
    """

    facts: tuple = (np.nan, np.nan, np.nan)
    origin: dict = field(default_factory=dict)
    kind: str = "spectrum"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotReadError(*self._unread)

    @property
    def _unread(self):
        return (
            f"{self.name}: its data were not read again with the result; read them, and give them: "
            "read_result(path, data=...)",
        )

    @property
    def response(self):
        """Not known; nor is it absent, as a spectrum without one would have it."""
        raise InputError(*self._unread)

    @property
    def header(self) -> dict:
        """Start of the observation, as a header would say it."""
        return {"MJDREF": self.facts[0], "TSTART": 0.0} if np.isfinite(self.facts[0]) else {}


class RecordedImage(Recorded):
    """An image of which a table tells."""


class RecordedProfile(Recorded):
    """A radial profile of which a table tells."""


_CLASSES = {"spectrum": Recorded, "image": RecordedImage, "profile": RecordedProfile}


def recorded(kind, name, facts, origin) -> Recorded:
    """`Recorded` datum of a kind.

    Examples
    --------
    >>> recorded("spectrum", "obs 1", (50000.0, 1e3, 25.0), {"file": "a.pha"}).path
    'a.pha'
    """
    message = "Its data were not read again; give them: read_result(path, data=...)."
    path = str(origin.get("file", ""))
    return _CLASSES[kind](name, path, Status.NO_DATA, message, tuple(facts), dict(origin), kind)
