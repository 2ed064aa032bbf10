"""Versions and devices, for ``jaxspec info`` and for results; packages imported in silence."""

from __future__ import annotations

import importlib
import platform
import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from jaxspec.errors import InputError

PACKAGES = ("jaxspec-engine", "jax", "jaxlib", "numpy", "scipy", "astropy", "matplotlib", "pyarrow")


def versions() -> dict[str, str]:
    """Version of Python and of the packages that matter."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


@cache  # 3 ms for all of them
def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def imported(name):
    """Import a package that may speak of its own future, and write, while it is imported.

    ArviZ (which corner imports) tells of its next version on the first import of a day, and
    remembers the day in the user's cache. That is no matter of those who draw a posterior, and
    would end programs that take warnings for errors.

    Raises
    ------
    ImportError
        It is not installed.
    InputError
        It cannot write where it wants to.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return importlib.import_module(name)
    except OSError as error:
        raise InputError(
            f"{name} cannot be imported: {error}",
            remedy="set XDG_CACHE_HOME to a folder that can be written",
        ) from error


def devices() -> list[str]:
    """List what JAX computes on."""
    import jax

    return [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()]
