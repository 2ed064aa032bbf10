"""How a lane (one spectrum, one image) ended: a code and a sentence."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """End state of one row of a result; ``Status(3).sentence`` explains it."""

    OK = 0
    NO_DATA = 1
    FEW_COUNTS = 2
    NOT_CONVERGED = 3
    AT_LIMIT = 4
    HESSIAN_NOT_PD = 5
    NAN_MODEL = 6
    IO_ERROR = 7
    NO_RESPONSE = 8
    BAD_DATA = 9
    DEGENERATE = 10

    @property
    def sentence(self) -> str:
        """What the code means and what to do about it."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.OK: "The fit converged; the errors are from the curvature of the statistic.",
    Status.NO_DATA: "No usable channel is left after quality, grouping and ranges.",
    Status.FEW_COUNTS: "Fewer usable bins than free parameters; nothing was fitted.",
    Status.NOT_CONVERGED: "The fit ended before the minimum.",
    Status.AT_LIMIT: "The minimum lies on a parameter limit, or a parameter no longer acts on "
    "the model there; its error is not defined, and those of the others hold while it stays there.",
    Status.HESSIAN_NOT_PD: "The statistic is not curved upwards in every direction at the end "
    "point; some errors are not defined.",
    Status.NAN_MODEL: "The model, or the response, gave a number that is not finite at the start.",
    Status.IO_ERROR: "The file, or a file that it needs, could not be read.",
    Status.NO_RESPONSE: "No response is loaded for this spectrum, so that nothing can be folded.",
    Status.DEGENERATE: "Parameters can be changed together without any effect on the model: there "
    "is no single minimum, and their errors are not defined; freeze one of them.",
    Status.BAD_DATA: "The data hold numbers that are not finite or cannot be counts.",
}
