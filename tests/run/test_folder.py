"""Folders of results: what is old is said and removed, what is the user's stays."""

import json

import pytest

from jaxspec.errors import InputError
from jaxspec.run.folder import begin_writing, claim, earlier_files, finish, make_room

COMMAND = "jaxspec image"
NAMES = ["fit.ecsv", "profile.png"]


def an_earlier_run(folder, files=("fit.ecsv", "old.png")):
    folder.mkdir(exist_ok=True)
    for name in files:
        (folder / name).write_text("old")
    finish(folder, {"command": COMMAND, "files": list(files)})


def test_a_used_folder_is_refused_unless_told(tmp_path):
    said = []
    an_earlier_run(tmp_path)
    with pytest.raises(InputError, match=r"earlier run of `jaxspec image`.*--overwrite"):
        claim(tmp_path, COMMAND, NAMES, False, said.append)
    (tmp_path / "thesis.tex").write_text("mine")
    assert claim(tmp_path, COMMAND, NAMES, True, said.append) == tmp_path
    assert "its 2 files are replaced" in said[0] and "thesis.tex, not of this run" in said[1]


def test_what_is_replaced_is_removed_and_nothing_else(tmp_path):
    said = []
    an_earlier_run(tmp_path)
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / ".jaxspec-0123.part").write_text("half")
    claim(tmp_path, COMMAND, NAMES, True)
    begin_writing(tmp_path, COMMAND, NAMES)
    assert (tmp_path / "old.png").exists()  # until all of the new ones are there
    assert json.loads((tmp_path / "summary.json").read_text())["finished"] is False
    (tmp_path / "fit.ecsv").write_text("new")
    finish(tmp_path, {"command": COMMAND, "files": ["fit.ecsv"]}, said.append)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["fit.ecsv", "summary.json", "thesis.tex"]
    assert "old.png" in said[0] and json.loads((tmp_path / "summary.json").read_text())["finished"]


def test_a_run_that_was_ended_is_known_to_the_next(tmp_path):
    an_earlier_run(tmp_path)
    begin_writing(tmp_path, COMMAND, NAMES)
    (tmp_path / "profile.png").write_text("new")
    assert set(earlier_files(tmp_path)) == {"fit.ecsv", "old.png", "profile.png"}
    finish(tmp_path, {"command": COMMAND, "files": ["fit.ecsv"]})
    assert not (tmp_path / "profile.png").exists()


def test_foreign_files_stay_and_are_not_written_over(tmp_path):
    (tmp_path / "image.fits").write_text("data")
    claim(tmp_path, COMMAND, NAMES)  # beside the data, as with -o .
    (tmp_path / "profile.png").write_text("mine")
    with pytest.raises(InputError, match="holds profile.png already"):
        claim(tmp_path, COMMAND, NAMES)
    an_earlier_run(tmp_path / "demo")
    with pytest.raises(InputError, match="not of a demonstration"):
        make_room(tmp_path / "demo", "jaxspec demo")
    (tmp_path / "a.png").write_text("old")
    finish(tmp_path, {"command": "jaxspec demo", "files": ["a.png"]})
    said = []
    make_room(tmp_path, "jaxspec demo", said.append)
    assert "holds an earlier demonstration: its 1 files are replaced" in said[0]
    with pytest.raises(InputError, match="not of `jaxspec image`"):
        claim(tmp_path, COMMAND, NAMES, True)


def test_a_summary_names_no_files_elsewhere(tmp_path):
    """A summary is data: what it lists is removed only from its own folder."""
    out = tmp_path / "out"
    (tmp_path / "mine.txt").write_text("mine")
    an_earlier_run(out)
    elsewhere = ["../mine.txt", str(tmp_path / "mine.txt"), ".", "..", 3, "summary.json"]
    for files in (elsewhere, "abc", ["n" * 3000, "a\0b"]):
        text = json.dumps({"command": COMMAND, "files": files})
        (out / "summary.json").write_text(text)
        assert earlier_files(out) == []
        finish(out, {"command": COMMAND, "files": []})
    (out / "summary.json").write_text("[" * 100_000)
    assert earlier_files(out) == []
    assert (tmp_path / "mine.txt").read_text() == "mine" and (out / "fit.ecsv").exists()
