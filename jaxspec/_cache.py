"""JAX's persistent compilation cache, on request."""

from __future__ import annotations

import hashlib
import logging
import platform
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def use_compilation_cache(folder=None):
    """Keep compiled code on disk, so that the next process need not compile it again.

    This changes a global setting of JAX for the running process; the ``jaxspec`` command calls it,
    the library never does by itself.

    Parameters
    ----------
    folder : path, optional
        Default: ``jaxspec`` in the user's cache folder (``~/.cache`` on Linux, or XDG_CACHE_HOME;
        ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows). The code is kept in a folder
        below it, see `machine`: machines that share a home do not run each other's code.

    Returns
    -------
    pathlib.Path or None
        The folder in use. None where nothing can be written to it, or there is no home: a warning
        is logged, no setting is changed, and everything works as without a cache.
    """
    import jax

    try:
        folder = (_user_folder() if folder is None else Path(folder)) / machine()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        where = f"cannot write to {folder} ({error.strerror})" if error.strerror else str(error)
        text = "jaxspec: warning: compiled code is not kept: %s"
        logging.getLogger(__name__).warning(text, where)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return folder


def _user_folder() -> Path:
    """Cache folder of the user; an OSError where there is no home."""
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("jaxspec", appauthor=False)
    except RuntimeError as error:  # newer versions of platformdirs
        raise OSError(f"there is no home folder ({error})") from None
    if not folder.is_absolute():  # older ones: "~" itself
        raise OSError("there is no home folder (set HOME or XDG_CACHE_HOME)")
    return folder


def machine() -> str:
    """Name for what compiled code is good for: the version of jaxlib, and the processor.

    Code for a processor with more instructions (AVX-512) ends a process on one that lacks them.

    Examples
    --------
    >>> machine().startswith("jaxlib-") and machine() == machine()
    True
    """
    try:
        release = version("jaxlib")
    except PackageNotFoundError:
        release = "unknown"
    parts = [platform.system(), platform.machine(), platform.processor(), *_features()]
    return f"jaxlib-{release}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}"


def _features() -> list[str]:
    """Instruction sets of the first processor, as Linux lists them; none elsewhere."""
    with suppress(OSError):
        for line in _CPU_INFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() in ("flags", "features"):
                return sorted(value.split())
    return []
