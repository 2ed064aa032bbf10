"""Versions and devices, for ``jaxspec info`` and for what the demonstration writes down."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, distribution, version

PACKAGES = ("jaxspec-engine", "jax", "jaxlib", "numpy", "scipy", "astropy", "matplotlib", "pyarrow")
NAMESAKE = "jaxspec"  # an unrelated distribution on PyPI with the same import name


def versions() -> dict[str, str]:
    """Version of Python and of the packages that matter."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def devices() -> list[str]:
    """List what JAX computes on."""
    import jax

    return [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()]


def namesake_warning() -> str:
    """Sentence about the other package that is imported as jaxspec; blank if it is not there."""
    try:
        other = distribution(NAMESAKE)
    except PackageNotFoundError:
        return ""
    return (
        f"the unrelated package {NAMESAKE} {other.version} is installed too and takes the same "
        f"import name: pip uninstall {NAMESAKE} jaxspec-engine, then install jaxspec-engine again"
    )
