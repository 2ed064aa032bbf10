"""A folder of results: made with care, its summary, seconds by step."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import numpy as np

from jaxspec._files import PART, make_folder, write_bytes
from jaxspec.errors import InputError

SUMMARY = "summary.json"


def make_room(out, command, say=lambda line: None) -> Path:
    """Make a folder for results; it must be new, empty, or from an earlier run of ``command``.

    Parameters
    ----------
    out : path
    command : str, as it stands in ``summary.json``.
    say : callable, gets a line about what is in the folder already.

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
    if files := earlier_files(out):
        say(_told(out, command, files))
    make_folder(out)
    return out


def claim(out, command, names, overwrite=False, say=lambda line: None) -> Path:
    """Make a folder for results, and see that nothing in it is lost.

    Parameters
    ----------
    out : path
    command : str, as it stands in ``summary.json``.
    names : list of str, all files that may be written.
    overwrite : bool, whether they may replace what is there.
    say : callable, gets the lines about what is in the folder already.

    Raises
    ------
    InputError
        The folder cannot be made, is of another command, or holds an earlier run or files of these
        names, which may not be replaced.
    """
    out, remedy = Path(out), "give another --out, or --overwrite to replace them"
    make_folder(out)
    old = earlier_files(out)
    if (out / SUMMARY).exists() and not _is_of(out, command):
        raise InputError(
            f"its {SUMMARY} is not of {_called(command)}", file=out, remedy="give another --out"
        )
    if _is_of(out, command):
        if not overwrite:
            raise InputError(
                f"holds an earlier run of {_called(command)} ({_listed([SUMMARY, *old])})",
                file=out,
                remedy=remedy,
            )
        say(_told(out, command, old))
    others = sorted({p.name for p in out.iterdir() if p.name[0] != "."} - {SUMMARY, *old})
    clash = [name for name in others if name in names]
    if clash and not overwrite:
        raise InputError(f"holds {_listed(clash)} already", file=out, remedy=remedy)
    if others:
        say(f"{out}/ also holds {_listed(others)}, not of this run")
    return out


def earlier_files(out) -> list[str]:
    """Files of the run that was last in a folder and is told of in its summary, if they exist."""
    names = _summary(out).get("files", [])
    names = names if isinstance(names, list) else []
    # what the file says is data: only names in this very folder are taken from it
    own = [n for n in names if isinstance(n, str) and n == Path(n).name and n != SUMMARY]
    # os.path: a name that is too long is no file, and no error
    return [name for name in dict.fromkeys(own) if os.path.isfile(Path(out) / name)]


def begin_writing(out, command, names, **content):
    """Say in ``summary.json`` that what it holds is not finished, and which files may be there."""
    files = list(dict.fromkeys([*earlier_files(out), *names]))
    write_json(out, {"command": command, "finished": False, **content, "files": files})


def finish(out, summary, say=lambda line: None):
    """Write ``summary.json``, and remove files of an earlier run that this one did not replace."""
    old = [name for name in earlier_files(out) if name not in summary["files"]]
    for name in old:
        (Path(out) / name).unlink()
    for part in Path(out).glob(f"{PART}*"):  # of a process that was ended while it wrote
        part.unlink()
    if old:
        say(f"removed what an earlier run had left in {out}/: {_listed(old)}")
    write_json(out, {"finished": True} | summary)


def _told(out, command, files):
    what = _called(command).replace("a demo", "an earlier demo")
    what = what if "demo" in command else f"an earlier run of {what}"
    return f"{out}/ holds {what}: its {len(files)} files are replaced"


def _listed(names, most=4):
    """Some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _called(command):
    return "a demonstration" if "demo" in command else f"`{command}`"


def _is_of(out, command):
    return _summary(out).get("command") == command


def _summary(out) -> dict:
    """What ``summary.json`` holds; nothing where there is none that can be read."""
    try:
        content = json.loads((Path(out) / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(out, content):
    """Write ``summary.json``; NaN becomes null, which JSON knows."""
    text = json.dumps(plain(content), indent=2, ensure_ascii=False)
    write_bytes(Path(out) / SUMMARY, text + "\n", overwrite=True)


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
