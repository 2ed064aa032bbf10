"""Tables on the screen, descriptions of files, the catalogue as text."""

from dataclasses import replace

import numpy as np
import pytest
from fitted_rows import spectrum
from toy import toy_response

from jaxspec._text import with_error, with_interval
from jaxspec.errors import InputError
from jaxspec.fit.summary import verdict
from jaxspec.model.catalogue import CATALOGUE
from jaxspec.model.surface_catalogue import SURFACES
from jaxspec.read.write import write_arf, write_pha, write_response
from jaxspec.reduce.spectra import SpectrumList
from jaxspec.report.describe import describe_file
from jaxspec.report.models import find_model, list_models, show_model
from jaxspec.report.text import screen_table, shorten, status_counts


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2.10712, 0.01482, "2.107 ± 0.015"),
        (1234.5, 99.6, "1234 ± 100"),
        (-0.5, 0.25, "-0.50 ± 0.25"),
        (3.36e-4, 9.1e-6, "3.360e-4 ± 9.1e-6"),
        (9.6e23, 1e22, "9.60e23 ± 1.0e22"),
        (0.0, 0.1, "0.00 ± 0.10"),
        (1.5, np.nan, "1.5"),
        (1e24, np.nan, "1e24"),
        (np.nan, 1.0, "-"),
    ],
)
def test_values_with_errors(value, error, text):
    assert with_error(value, error) == text


def test_names_are_cut_in_the_middle():
    assert shorten("short", 8) == "short"
    assert len(shorten("x" * 50, 22)) == 22


def test_screen_table_has_a_line_per_row_and_the_counts(result):
    lines = screen_table(result).splitlines()
    assert lines[0].split() == ["spectrum", "MJD", "PhoIndex", "norm", "stat", "dof", "status"]
    assert lines[1].split()[:2] == ["s0", "50000.0"] and lines[1].endswith("OK")
    assert lines[6].startswith("broken") and lines[6].endswith("IO_ERROR")
    assert lines[-2] == f"6 rows: {status_counts(result)}" and "4 OK" in lines[-2]
    assert lines[-1] == verdict(result)[0] and lines[-1].startswith("stat/dof median")
    (value,), (low, high) = result.value("norm")[:1], result.interval("norm")[0]
    shown = with_interval(value, result.error("norm")[0], low, high)
    assert shown in lines[1] and " -" in shown and " +" in shown  # as norm_lo, norm_hi of the file


def test_screen_table_is_narrow_and_short(result):
    some = np.arange(40) % 5
    some[-1] = 5
    fields = ("params", "stat", "n_bins", "stat_expected", "stat_variance", "status", "edm")
    many = replace(
        result,
        data=SpectrumList(result.spectra[int(i)] for i in some),
        covariances={k: v[some] for k, v in result.covariances.items()},
        **{k: getattr(result, k)[some] for k in fields},
    )
    lines = screen_table(many).splitlines()
    assert len(lines) == 25 + 4 and lines[-3] == "... 15 more rows"
    assert "IO_ERROR" in lines[-4]  # a late failure is among the rows shown
    narrow = screen_table(many, width=60).splitlines()
    assert max(map(len, narrow[:26])) <= 60 and "norm" in narrow[-3]


def test_all_models_are_listed():
    listed = [line.split()[0] for line in list_models().splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(c.name for c in (*CATALOGUE, *SURFACES))
    assert "double_beta (image)" in show_model("double_beta")
    assert find_model("shell").name == "shell2d" and find_model("gaussian").name == "gaussian"


def test_one_model_with_its_parameters():
    text = show_model("gauss")
    assert "gaussian (additive)" in text and "LineE" in text and "keV" in text
    assert "XSPEC manual" in show_model("edge")
    assert find_model("TBABS").name == "TBabs" and find_model("bkn").name == "bknpower"


@pytest.mark.parametrize(
    ("name", "says"),
    [("bbodx", "did you mean"), ("b", "may be any of"), ("xyzzy", "lists them"), ("", "no model")],
)
def test_unknown_models(name, says):
    with pytest.raises(InputError, match=says):
        find_model(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    s = spectrum("source", quality=np.r_[np.zeros(30), 5, 5].astype(np.int16))
    s = s.replace(grouping=np.where(np.arange(32) % 2, -1, 1).astype(np.int16))
    header = {**s.header, "TELESCOP": "TOY", "INSTRUME": "BOX", "OBJECT": "nothing"}
    write_pha(s.replace(header=header), folder / "source.pha")
    response = toy_response(32)
    write_response(response, folder / "toy.rsp")
    write_arf((response.e_lo, response.e_hi, response.area), folder / "toy.arf")
    (folder / "text.txt").write_text("no FITS file")
    return folder


def test_a_spectrum_is_described(folder):
    text = describe_file(folder / "source.pha")
    assert "spectrum (PHA)" in text and "TOY, BOX, nothing" in text
    assert "32, numbered 0 to 31" in text and "30 channels with 0, 2 channels with 5" in text
    assert "15 bins" in text and "1000 s" in text and "MJD 50000.0" in text
    assert "net rate" in text and "auto takes cstat" in text


def test_responses_and_areas_are_described(folder):
    text = describe_file(folder / "toy.rsp")
    assert "response" in text and "32 channels, 0 to 16 keV" in text and "0.02 to 16 keV" in text
    assert "largest 10 cm2" in describe_file(folder / "toy.arf")


def test_a_spectrum_whose_response_is_missing_is_described_with_the_problem(folder):
    s = spectrum("lost", background=0)
    write_pha(s.replace(header={"RESPFILE": "absent.rsp"}, response=None), folder / "lost.pha")
    text = describe_file(folder / "lost.pha")
    assert "net rate" in text
    assert "problem" not in text or "absent.rsp" in text


def test_what_can_be_read_beside_a_link_to_nothing_is_described(folder):
    """The response where the background is missing; and why nothing could be fitted."""
    s = spectrum("half", background=0)
    header = {"RESPFILE": "toy.rsp", "BACKFILE": "absent.pha"}
    zero = np.zeros(len(s.channel))
    bare = s.replace(header=header, response=None, poisserr=False, stat_err=zero)
    write_pha(bare, folder / "half.pha", respfile="toy.rsp", backfile="absent.pha")
    text = describe_file(folder / "half.pha")
    assert "32 channels, 0 to 16 keV" in text and "absent.pha does not exist" in text
    assert text.count("problem") == 2 and "STAT_ERR is 0 everywhere" in text


@pytest.mark.parametrize(
    ("name", "says"), [("text.txt", "not a FITS file"), ("absent.pha", "does not exist")]
)
def test_other_files_are_errors(folder, name, says):
    with pytest.raises(InputError, match=says):
        describe_file(folder / name)
