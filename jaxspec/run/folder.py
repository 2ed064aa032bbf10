"""A folder of results: made with care, its summary, seconds by step."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np

from jaxspec.errors import InputError

SUMMARY = "summary.json"


def make_room(out, command) -> Path:
    """Make a folder for results; it must be new, empty, or from an earlier run of ``command``.

    Raises
    ------
    InputError
        It is a file, or holds files that are not of such a run.
    """
    out = Path(out)
    remedy = "give another --out"
    if out.exists() and not out.is_dir():
        raise InputError("is a file", file=out, remedy=remedy)
    if out.is_dir() and any(out.iterdir()) and not _is_of(out, command):
        raise InputError(f"holds files that are not of {_called(command)}", file=out, remedy=remedy)
    out.mkdir(parents=True, exist_ok=True)
    return out


def _called(command):
    return "a demonstration" if "demo" in command else f"`{command}`"


def _is_of(out, command):
    try:
        return json.loads((out / SUMMARY).read_text(encoding="utf-8"))["command"] == command
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_json(out, content):
    """Write ``summary.json``; NaN becomes null, which JSON knows."""
    text = json.dumps(plain(content), indent=2, ensure_ascii=False)
    (Path(out) / SUMMARY).write_text(text + "\n", encoding="utf-8")


def plain(value):
    """What JSON can hold: dicts, lists, text and Python's numbers.

    Examples
    --------
    >>> plain({"a": np.array([1.0, np.nan]), 2: np.int64(3), "p": Path("x")})
    {'a': [1.0, None], '2': 3, 'p': 'x'}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def timed(seconds, step, work, *arguments, **options):
    """Call ``work`` and note in ``seconds`` how long it took."""
    began = time.perf_counter()
    value = work(*arguments, **options)
    seconds[step] = time.perf_counter() - began
    return value
