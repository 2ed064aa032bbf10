"""JAX's persistent compilation cache, on request."""

from __future__ import annotations

import os
from pathlib import Path


def use_compilation_cache(folder=None):
    """Keep compiled code on disk, so that the next process need not compile again.

    This changes a global setting of JAX for the running process; the ``jaxspec`` command calls it,
    the library never does by itself.

    Parameters
    ----------
    folder : path, optional
        Default: ``jaxspec`` in the user's cache folder (XDG_CACHE_HOME or ``~/.cache``).

    Returns
    -------
    pathlib.Path
        The folder in use.
    """
    import jax

    if folder is None:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "jaxspec"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return folder
