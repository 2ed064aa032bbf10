"""Versions and devices, for ``jaxspec info`` and for what results say of how they were made."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

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


def devices() -> list[str]:
    """List what JAX computes on."""
    import jax

    return [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()]
