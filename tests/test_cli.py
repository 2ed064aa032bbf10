"""The command: outputs, exit codes, one-line errors, help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from astropy.table import QTable, Table
from click.testing import CliRunner

import jaxspec as js
from jaxspec._cache import use_compilation_cache
from jaxspec.cli import main
from jaxspec.reduce.spectra import read_pha
from jaxspec.report import save as figures

MODEL = ["--model", "powerlaw", "--band", "3-25", "--no-cache"]


def call(*arguments, code=0):
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done


def one_line(done):
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("jaxspec: error: "), done.stderr
    assert "Traceback" not in done.output
    return lines[0]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("obs") / "archive"
    done = call("simulate", folder, "-n", 8, "--seed", 4, "--flaws", "--no-cache")
    assert "wrote 8 observations" in done.output and "jaxspec fit" in done.output
    return folder


@pytest.fixture(scope="module")
def fits(archive, tmp_path_factory):
    """One run of fit with everything that it can write."""
    out = tmp_path_factory.mktemp("out")
    tables = [f"-o{out / ('t' + end)}" for end in (".ecsv", ".fits", ".parquet")]
    pattern = archive / "*/stdprod/xp*_s2.pha*"
    done = call("fit", pattern, *MODEL, *tables, "--plots", out / "figures", "--max-plots", 1)
    return out, done


def test_fit_prints_a_table_and_the_statuses(fits):
    _, done = fits
    lines = done.output.splitlines()
    assert lines[0].split()[:3] == ["spectrum", "MJD", "PhoIndex"]
    spectra = [line for line in lines if line.startswith("xp")]
    assert len([line for line in spectra if ": " not in line]) == 8
    assert len([line for line in spectra if "gzip data end too early" in line]) == 1
    assert "8 rows: " in done.output and "2 IO_ERROR" in done.output and "pgstat" in done.output
    assert "stat/dof median" in done.output and "above what the model expects" in done.output
    assert max(map(len, lines[:9])) <= 120


def test_fit_writes_equal_tables(fits):
    out, _ = fits
    ecsv = QTable.read(out / "t.ecsv")
    assert len(ecsv) == 8 and {"PhoIndex", "PhoIndex_err", "stat", "status"} <= set(ecsv.colnames)
    fits = Table.read(out / "t.fits")
    parquet = pyarrow.parquet.read_table(out / "t.parquet").to_pydict()
    for other in (fits, parquet):
        values = np.ma.filled(np.ma.asarray(other["PhoIndex"], dtype=float), np.nan)
        np.testing.assert_allclose(values, np.ma.filled(ecsv["PhoIndex"], np.nan))


def test_fit_draws_the_overview_and_some_rows(fits):
    out, done = fits
    names = sorted(p.name for p in (out / "figures").iterdir())
    assert {"spectra.png", "models.png", "histograms.png", "timeline.png"} <= set(names)
    assert sum(n.endswith("_fit.png") for n in names) == 1 and "wrote 6 figures" in done.output


def test_fit_overwrites_nothing_unasked(archive, tmp_path):
    file = next(archive.glob("*/stdprod/*_s2.pha.gz"))
    table, figures = tmp_path / "t.ecsv", tmp_path / "figures"
    command = ["fit", file, *MODEL, "-o", table, "--plots", figures, "--max-plots", 0]
    figures.mkdir()
    (figures / "models.png").write_bytes(b"mine")
    assert "models.png: the file exists already" in one_line(call(*command, code=1))
    assert not table.exists() and os.listdir(figures) == ["models.png"]
    (figures / "models.png").unlink()
    (figures / "mine.png").write_bytes(b"mine")
    call(*command, "--max-plots", 1)
    first = set(os.listdir(figures))
    table.write_text("old")
    assert "t.ecsv: the file exists already" in one_line(call(*command, code=1))
    assert table.read_text() == "old"
    table.unlink()
    assert "holds 6 figures of an earlier run" in one_line(call(*command, code=1))
    assert not table.exists()
    assert "they are replaced" in call(*command, "--overwrite").output
    left = set(os.listdir(figures))
    assert len(first) == 7 and len(left) == 5 and "mine.png" in left  # none of the row's own
    assert len(QTable.read(table)) == 1


def test_fit_with_parameters_set_and_frozen(archive):
    file = next(archive.glob("*/stdprod/*_s2.pha.gz"))
    frozen = call("fit", file, *MODEL, "--freeze", "PhoIndex=1.9", "--set", "norm=0.3")
    assert "PhoIndex" not in frozen.output and "norm" in frozen.output
    quiet = call("fit", file, *MODEL, "--freeze", "PhoIndex=1.9", "--quiet")
    assert quiet.output == ""
    twice = ["--freeze", "PhoIndex=1.9", "--set", "PhoIndex=2"]
    for command in (["fit", file, *MODEL], ["image", file]):
        refused = call(*command, *twice, code=2)
        assert "PhoIndex has a value by --set and another by --freeze" in refused.output


def test_fit_with_a_systematic_error(archive):
    """--stat auto takes chi2 then, and says why."""
    file = next(archive.glob("*/stdprod/*_s2.pha.gz"))
    done = call("fit", file, *MODEL, "--systematic", "0.01", "--ignore-bad", "--group-min", 20)
    assert "chi2: no Poisson statistic knows the systematic error (SYS_ERR)." in done.output
    usage = call("fit", file, *MODEL, "--systematic", "1.5", code=2)
    assert "1.5 is not in the range 0<=x<1" in usage.output
    assert "ignore_bad() (--ignore-bad)" in one_line(
        call("fit", file, *MODEL, "--ignore", "bad", code=1)
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing*.pha", "--model", "powerlaw"], "no file matches"),
        (["x.pha", "--model", "powe^rlaw"], "powe^rlaw (character 5)"),
        (["x.pha", "--model", "powerlaw", "--set", "nH=1"], "no parameter 'nH'"),
        (["x.pha", "--model", "powerlaw", "-o", "x.txt"], "'.txt' is not known"),
        (["x.pha", "--model", "powerlaw", "-o", "nowhere/x.ecsv"], "folder does not exist"),
        (["x.pha", "--model", "powerlaw"], "no usable row: x: x.pha: does not exist"),
        (["x.pha", "--model", "phabs*powerlaw", "--abund", "mine"], "abund='mine'"),
    ],
)
def test_errors_of_fit_are_one_line(arguments, says):
    done = call("fit", "--no-cache", "--quiet", *arguments, code=1)
    assert says in one_line(done)


def test_bad_band_is_an_error(archive):
    file = next(archive.glob("*/stdprod/*_s2.pha.gz"))
    assert "25-3" in one_line(
        call("fit", file, "--model", "powerlaw", "--no-cache", "--band", "25-3", code=1)
    )


@pytest.fixture(scope="module")
def scattered(archive, tmp_path_factory):
    """One observation of the archive, its files in folders of their own."""
    top = tmp_path_factory.mktemp("scattered")
    found = sorted(archive.glob("*/stdprod/*"))
    spectra = read_pha(str(archive / "*/stdprod/xp*_s2.pha.gz"), on_error="status")
    name = next(s.name for s in spectra if s not in spectra.failures).split("_")[0]
    for file in (f for f in found if f.name.startswith(name)):
        folder = "obs" if "_s2" in file.name else "bkg" if "_b2" in file.name else "rsp"
        (top / folder).mkdir(exist_ok=True)
        (top / folder / file.name).write_bytes(file.read_bytes())
    return top


def fitted(tmp_path, *arguments):
    call("fit", *arguments, *MODEL, "--quiet", "-o", tmp_path / "t.ecsv", "--overwrite")
    row = Table.read(tmp_path / "t.ecsv")[0]
    return row["stat_name"], float(row["stat"])


def test_files_in_place_of_links(scattered, tmp_path):
    file = scattered / "obs/*.pha.gz"
    (response,), (behind,) = (list((scattered / d).iterdir()) for d in ("rsp", "bkg"))
    whole = fitted(tmp_path, file, "--root", scattered)
    assert whole[0] == "pgstat"
    name = response.name.split(".")[0]
    for more in (
        ["--response", scattered / "rsp", "--background", scattered / "bkg"],
        ["--response", f"{name}_s2={response}", "--background", f"{name}_s2={behind}"],
    ):
        assert fitted(tmp_path, file, *more) == whole
    for more in (["--background", "optional"], ["--background", "none"]):
        assert fitted(tmp_path, file, "--response", response, *more)[0] != "pgstat"
    done = call("fit", file, *MODEL, "--response", "a=b", "--response", "c", code=2)
    assert "give one path, or NAME=PATH" in done.output


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback(place):
    command = ["fit", "nothing*.pha", "--model", "powerlaw", "--no-cache"]
    command = ["--debug", *command] if place == "before" else [*command, "--debug"]
    done = call(*command, code=1)
    assert "Traceback" in done.stderr and "InputError" in done.stderr


def test_unexpected_errors_are_one_line_too(monkeypatch):
    from jaxspec.report import models

    monkeypatch.setattr(models, "list_models", lambda: 1 / 0)
    assert "ZeroDivisionError" in one_line(call("models", code=1))


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit"],
        ["fit", "x.pha"],
        ["fit", "x.pha", "--model", "powerlaw", "--untie", "norm", "--no-cache"],
        ["fit", "x.pha", "--model", "powerlaw", "--set", "norm=big"],
        ["fit", "x.pha", "--model", "powerlaw", "--set", "norm"],
        ["demo", "gamma"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    done = call(*arguments, code=2)
    assert "Error:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], *[[name] for name in sorted(main.commands)]])
def test_every_help_has_examples_and_exit_codes(command):
    done = call(*command, "--help")
    assert "Examples\n  " in done.output and "Exit codes\n" in done.output
    assert "--debug" in done.output


def test_inspect_spectrum_and_response(archive):
    file = next(f for f in sorted(archive.glob("*/stdprod/*_s2.pha.gz")) if _whole(f))
    done = call("inspect", file)
    assert "129, numbered 0 to 128" in done.output and "SIM_J1712-352" in done.output
    assert "pgstat" in done.output and "_b2.pha" in done.output
    response = next(archive.glob("*/stdprod/*.rsp.gz"))
    assert "response" in call("inspect", response).output


def _whole(file):
    truth = QTable.read(file.parents[2] / "truth.ecsv")
    flaw = np.ma.filled(truth["flaw"], "")
    return file.parents[1].name in list(truth["obsid"][flaw == ""])


def test_inspect_of_bad_files(archive, tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert "not a FITS file" in one_line(call("inspect", tmp_path / "a.txt", code=1))
    response = next(archive.glob("*/stdprod/*.rsp.gz"))
    done = call("inspect", tmp_path / "a.txt", response, code=1)
    assert "not a FITS file" in one_line(done) and "EBOUNDS" in done.stdout
    (tmp_path / "a.nc").write_bytes(b"\x89HDF\r\n")
    assert "jaxspec.read_posterior reads" in one_line(call("inspect", tmp_path / "a.nc", code=1))


def test_simulate_does_not_write_over_an_archive(archive):
    assert "holds an archive" in one_line(call("simulate", archive, "--no-cache", code=1))


def test_models():
    assert "powerlaw" in call("models").output
    assert "Tin" in call("models", "diskbb").output
    assert "did you mean" in one_line(call("models", "diksbb", code=1))


def test_info(monkeypatch, tmp_path):
    import jax

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = {
        name: getattr(jax.config, name)
        for name in ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    }
    try:
        done = call("info")
    finally:
        for name, value in kept.items():
            jax.config.update(name, value)
    assert "jax " in done.output and "cpu" in done.output and str(tmp_path) in done.output


def test_a_cache_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "jaxspec.cli", "info"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "file")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("jaxspec: warning: compiled code is not kept: cannot write to")
    assert "none (0 files" in done.stdout


@pytest.mark.parametrize("fault", [RuntimeError("could not determine the home"), None])
def test_no_home_is_one_line(monkeypatch, tmp_path, caplog, fault):
    """Newer versions of platformdirs raise, older ones give a path that starts with ~."""
    import platformdirs

    def no_home(*_, **__):
        if fault:
            raise fault
        return Path("~/.cache/jaxspec")

    monkeypatch.setattr(platformdirs, "user_cache_path", no_home)
    monkeypatch.chdir(tmp_path)
    assert use_compilation_cache() is None
    assert call("info").exit_code == 0
    assert "compiled code is not kept: there is no home folder" in caplog.records[0].getMessage()
    assert not list(tmp_path.iterdir())


def test_commands_work_without_any_home(monkeypatch):
    """As a user of a container, of whom the system knows nothing: astropy needs a home."""
    import pwd

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setenv("HOME", "")  # what the command sets is undone
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    done = call("models", "diskbb")
    assert "Tin" in done.stdout and Path(os.environ["HOME"]).is_dir()
    (line,) = done.stderr.splitlines()
    assert line.startswith("jaxspec: warning: there is no home folder")


def test_compiled_code_is_kept_by_version_and_processor(monkeypatch, tmp_path):
    from jaxspec import _cache

    def named(flags, release="0.9"):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\nprocessor : 1\n")
        monkeypatch.setattr(_cache, "_CPU_INFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(_cache, "version", lambda name: release)
        return _cache.machine()

    assert named("avx2 fma") == named("fma avx2") != named("avx2 fma avx512f")
    assert named("avx2") != named("avx2", "0.10") and "jaxlib-0.9-" in named("avx2")
    monkeypatch.setattr(_cache, "_CPU_INFO", tmp_path / "nowhere")
    assert _cache.machine().startswith("jaxlib-0.9-")


def test_demo_refuses_foreign_folders(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    assert "not of a demonstration" in one_line(call("demo", "--out", tmp_path, code=1))
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    assert "is a file" in one_line(call("demo", "--out", tmp_path / "thesis.tex", code=1))


def test_demo_twice_into_one_folder(tmp_path, monkeypatch):
    one_each = {kind: dict([next(iter(of.items()))]) for kind, of in figures.FIGURES.items()}
    monkeypatch.setattr(figures, "FIGURES", one_each)  # half of the time is drawing
    out = tmp_path / "demo"
    done = call("demo", "rxte", "--out", out, "-n", 24, "--no-cache")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["finished"] and summary["n"] == 24
    assert all((out / name).stat().st_size > 500 for name in summary["files"])
    assert {"fit power law", "total"} <= set(summary["seconds"])
    assert summary["status"]["powerlaw"]["IO_ERROR"] == 2
    assert {"PhoIndex", "Tin"} <= set(summary["truths"])
    assert 0.3 < summary["truths"]["PhoIndex"]["within_one_error"] < 0.95
    assert "truncated file" in done.output and "Regimes: " in done.output
    (out / "notes.txt").write_text("keep me")
    old = {path.name for path in out.glob("archive/*")}
    js.simulate_archive(out / "archive", n=2, seed=9, overwrite=True)  # as the next run does
    assert (out / "notes.txt").exists()
    new = {path.name for path in out.glob("archive/*")}
    assert len(new) == 3 and len(list(out.glob("archive/*/stdprod/*"))) == 6 and len(old) == 25


def test_an_archive_is_replaced_by_its_own_list_alone(tmp_path):
    """What simulate did not write stays, be it named like it."""
    js.simulate_archive(tmp_path, n=2, seed=1)
    mine = tmp_path / "90001-01-01-00" / "stdprod" / "xp90001010100_s2.pha.gz"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"real")
    with pytest.raises(js.InputError, match="holds an archive already"):
        js.simulate_archive(tmp_path, n=2, seed=2, overwrite=True)
    assert mine.read_bytes() == b"real"


def test_help_is_fast_and_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from jaxspec.cli import main\n"
        "try: main(['fit', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'jax', 'numpy', 'astropy', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
