"""Whether another package takes the name of this one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

NAMESAKE = "jaxspec"  # an unrelated distribution on PyPI with the same import name


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
