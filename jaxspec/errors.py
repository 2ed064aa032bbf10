"""The exceptions that jaxspec raises for its users."""

from __future__ import annotations


class InputError(ValueError):
    """Input that cannot be used: a file, a column, a parameter, an expression.

    The message is one sentence that says what was found where, and how to mend it.

    Parameters
    ----------
    problem : str
        What is wrong, with the value that was found.
    file, hdu, column, parameter : str, optional
        Where it was found; whatever is known is put in front of the message.
    remedy : str, optional
        What to do about it.

    Examples
    --------
    >>> str(InputError("EXPOSURE is -3", file="a.pha", hdu="SPECTRUM", remedy="give exposure=..."))
    'a.pha[SPECTRUM]: EXPOSURE is -3; give exposure=...'
    """

    def __init__(self, problem, *, file=None, hdu=None, column=None, parameter=None, remedy=None):
        self.problem, self.remedy = problem, remedy
        self.file, self.hdu, self.column, self.parameter = file, hdu, column, parameter
        where = str(file) if file is not None else ""
        if hdu is not None:
            where += f"[{hdu}]"
        if column is not None:
            where += f" column {column}"
        if parameter is not None:
            where += f" parameter {parameter}"
        text = f"{where.strip()}: {problem}" if where.strip() else problem
        super().__init__(f"{text}; {remedy}" if remedy else text)


class FitError(RuntimeError):
    """A fit that ended without a usable result, raised only with ``on_error="raise"``."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message gives the pip command."""

    def __init__(self, package, extra):
        super().__init__(
            f'{package} is not installed; pip install "jaxspec-engine[{extra}]" brings it'
        )
