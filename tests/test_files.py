"""What is there stays there: nothing is overwritten unasked, and no half file is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxspec._files import check_free, make_folder, write_bytes
from jaxspec.errors import InputError

HERE = Path(__file__).parent


def test_every_writer_leaves_whole_files():
    """A full disk, an end in the middle of a write and a kill before every step: old or new."""
    pytest.importorskip("xarray")
    pytest.importorskip("resource", reason="needs the limits of POSIX")
    path = os.pathsep.join([str(HERE), *sys.path])
    done = subprocess.run(
        [sys.executable, HERE / "every_writer.py"],
        env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 15
    for name, kills, *wrong in rows:
        assert not wrong, (name, wrong)
        assert int(kills) >= 3, name  # making the file, giving it its name, and what is between


@pytest.mark.parametrize("place", ["{}/a.txt", "file://{}/a.txt", "memory://files{}/a.txt"])
def test_nothing_is_overwritten_unasked(tmp_path, place):
    path = place.format(tmp_path)
    write_bytes(path, "one")
    with pytest.raises(InputError, match=r"a.txt: the file exists already; .*overwrite=True"):
        write_bytes(path, "two")
    write_bytes(path, b"three", overwrite=True)
    if "memory" in place:
        import fsspec

        with fsspec.open(path) as stream:
            assert stream.read() == b"three"
    else:
        assert (tmp_path / "a.txt").read_text() == "three"
        assert os.listdir(tmp_path) == ["a.txt"]


def test_links_and_permissions_stay(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with pytest.raises(InputError, match="exists already"):
        write_bytes(link, "new")
    write_bytes(link, "new", overwrite=True)
    assert link.is_symlink() and target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    (tmp_path / "broken.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match="exists already"):
        write_bytes(tmp_path / "broken.txt", "new")
    write_bytes(tmp_path / "fresh.txt", "new")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "fresh.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_device_is_not_replaced(tmp_path):
    """Root may rename a file to /dev/null, after which there is no such device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(pipe, "through")
    assert os.read(reader, 100) == b"through" and pipe.is_fifo()
    os.close(reader)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("{}/nowhere/a.txt", "folder does not exist"),
        ("{}", "is a folder"),
        ("nosuch://a/b.txt", "cannot be written"),
        ("{}/file/a.txt", "folder does not exist"),
        ("{}/" + "n" * 300, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_an_input_error(tmp_path, path, says):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=says):
        write_bytes(path.format(tmp_path), "x")
    assert os.listdir(tmp_path) == ["file"]


def test_two_processes_do_not_overwrite_each_other(tmp_path, monkeypatch):
    """A file that appears after the check is not replaced."""
    monkeypatch.setattr("jaxspec._files.check_free", lambda *_: None)
    (tmp_path / "a.txt").write_text("other")
    with pytest.raises(InputError, match="exists already"):
        write_bytes(tmp_path / "a.txt", "mine")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(InputError, match="exists already"):
        write_bytes(tmp_path / "a.txt", "mine")
    write_bytes(tmp_path / "b.txt", "mine")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]
    assert (tmp_path / "a.txt").read_text() == "other"


def test_protected_files_are_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("mine")
    monkeypatch.setattr(os, "access", lambda name, mode: Path(name) != path)  # root may all
    with pytest.raises(InputError, match="protected against writing"):
        check_free(path, overwrite=True)


def test_folders(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    for path, says in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "c", "cannot be made"),
    ):
        with pytest.raises(InputError, match=says):
            make_folder(path)
