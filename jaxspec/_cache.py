"""JAX's persistent compilation cache, on request."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path


def use_compilation_cache(folder=None):
    """Keep compiled code on disk, so that the next process need not compile again.

    This changes a global setting of JAX for the running process; the ``jaxspec`` command calls it,
    the library never does by itself.

    Parameters
    ----------
    folder : path, optional
        Default: ``jaxspec`` in the user's cache folder (``~/.cache`` on Linux, or XDG_CACHE_HOME;
        ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on Windows).

    Returns
    -------
    pathlib.Path or None
        The folder in use. None where nothing can be written to it: a warning is logged, no
        setting is changed, and everything works as without a cache.
    """
    import jax
    from platformdirs import user_cache_path

    folder = user_cache_path("jaxspec", appauthor=False) if folder is None else Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        logging.getLogger(__name__).warning(
            "jaxspec: warning: compiled code is not kept: cannot write to %s (%s)",
            folder,
            error.strerror or error,
        )
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return folder
