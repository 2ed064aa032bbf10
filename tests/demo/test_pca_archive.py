"""The simulated archive: layout, keywords, determinism, and files that every reader takes."""

import gzip
import hashlib
import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from jaxspec import InputError, read_pha, simulate_archive
from jaxspec.demo import pca_response
from jaxspec.demo.pca_archive import FLAWS, PARAMETERS
from jaxspec.demo.pca_files import iso_date
from jaxspec.read.write import put_keywords


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    return folder, simulate_archive(folder, n=40, seed=5)


@pytest.fixture(scope="module")
def flawed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flawed")
    return folder, simulate_archive(folder, n=40, seed=5, flaws=True)


def file_of(folder, obsid, ending):
    return folder / obsid / "stdprod" / f"xp{obsid.replace('-', '')}{ending}"


def test_layout_and_names(archive):
    folder, truth = archive
    assert len(set(truth["obsid"])) == len(truth) == 40
    for obsid in truth["obsid"]:
        assert re.fullmatch(r"\d{5}-\d\d-\d\d-\d\d", obsid)
        names = {path.name for path in (folder / obsid / "stdprod").iterdir()}
        stem = "xp" + obsid.replace("-", "")
        assert names == {f"{stem}_s2.pha.gz", f"{stem}_b2.pha.gz", f"{stem}.rsp.gz"}


def test_every_file_is_good_fits(archive):
    folder, truth = archive
    for path in folder.glob("*/stdprod/*"):
        with fits.open(path) as hdus:
            hdus.verify("exception")
            names = [hdu.name for hdu in hdus]
            if ".rsp" in path.name:
                assert sorted(names[1:]) == ["EBOUNDS", "SPECRESP MATRIX"]
                assert len(hdus["EBOUNDS"].data) == 129
                assert len(hdus["SPECRESP MATRIX"].data) == 300
            else:
                assert names == ["PRIMARY", "SPECTRUM", "STDGTI"]
                assert hdus[1].header["DETCHANS"] == len(hdus[1].data) == 129
    assert len(list(folder.glob("*/stdprod/*"))) == 3 * len(truth)


def test_keywords_tell_the_truth(archive):
    folder, truth = archive
    for row in truth:
        with fits.open(file_of(folder, row["obsid"], "_s2.pha.gz")) as hdus:
            header, data = hdus["SPECTRUM"].header, hdus["SPECTRUM"].data
            on = {header[k][-1] for k in header if k.startswith("ROWID")}
            good = hdus["STDGTI"].data
            assert good["STOP"][-1] == header["TSTOP"] and good["START"][0] == header["TSTART"]
        assert header["POISSERR"] is False and header["OBJECT"] == "SIM_J1712-352"
        assert header["EXPOSURE"] == row["exposure"].value == np.sum(good["STOP"] - good["START"])
        mjd = header["MJDREFI"] + header["MJDREFF"] + header["TSTART"] / 86400.0
        assert abs(mjd - row["mjd"]) < 1.0 / 86400.0
        assert on == set(row["pcus"])
        np.testing.assert_allclose(data["STAT_ERR"], np.sqrt(data["COUNTS"]), rtol=1e-15)
        date = header["DATE-OBS"]
        assert re.fullmatch(r"\d\d/\d\d/9[678]" if mjd < 51179 else r"\d{4}-.*T.*", date)


def test_extension_order_follows_the_number_of_units(archive):
    folder, truth = archive
    orders = {}
    for row in truth:
        with fits.open(file_of(folder, row["obsid"], ".rsp.gz")) as hdus:
            orders.setdefault(len(row["pcus"]) == 1, set()).add(hdus[1].name)
            # F_CHAN counts from 0, and TLMIN says so.
            assert hdus["SPECRESP MATRIX"].header["TLMIN4"] == 0
            assert hdus["SPECRESP MATRIX"].data["F_CHAN"].min() == 0
    assert orders == {True: {"SPECRESP MATRIX"}, False: {"EBOUNDS"}}


def test_our_reader_takes_it(archive):
    folder, truth = archive
    spectra = read_pha(str(folder / "*/stdprod/xp*_s2.pha.gz"))
    assert len(spectra) == len(truth)
    for spectrum, row in zip(spectra, truth, strict=True):
        assert not spectrum.poisserr and not spectrum.background.poisserr
        assert spectrum.channel[0] == 0 and len(spectrum.response.channel) == 129
        matrix = pca_response.response_matrix(row["epoch"], tuple(map(int, row["pcus"])))
        np.testing.assert_array_equal(spectrum.response.matrix.toarray(), matrix)
        edges = pca_response.channel_edges(row["epoch"])
        np.testing.assert_allclose(spectrum.response.e_max, edges[1:], rtol=1e-6)
    kinds = {(row["epoch"], row["pcus"]) for row in truth}
    assert len({spectrum.response.key for spectrum in spectra}) == len(kinds) < len(truth)


def test_counts_follow_the_truth(archive):
    folder, truth = archive
    spectra = read_pha(str(folder / "*/stdprod/xp*_s2.pha.gz"))
    pulls = []
    for spectrum, row in zip(spectra, truth, strict=True):
        middle = 0.5 * (spectrum.response.e_min + spectrum.response.e_max)
        band = (middle > 3) & (middle < 25)
        expected = (row["source_rate"] + row["background_rate"]).value * spectrum.exposure
        pulls.append((spectrum.counts[band].sum() - expected) / np.sqrt(expected))
        back = row["background_rate"].value * spectrum.exposure
        pulls.append((spectrum.background.counts[band].sum() - back) / np.sqrt(back))
    assert abs(np.mean(pulls)) < 0.5 and 0.7 < np.std(pulls) < 1.3


def test_epochs_states_and_truth_table(archive):
    folder, truth = archive
    assert set(truth["epoch"]) == {1, 2, 3, 4, 5}
    assert set(truth["regime"]) == {"hard", "intermediate", "soft", "faint"}
    assert np.all(np.diff(truth["mjd"]) > 0)
    assert {len(pcus) for pcus in truth["pcus"]} >= {1, 2, 5}
    disk = truth["diskbb.norm"] > 0
    assert np.all(np.isfinite(truth["Tin"]) == disk)
    stored = QTable.read(folder / "truth.ecsv")
    assert stored["exposure"].unit == "s" and stored.meta["model"] == "TBabs*(diskbb+powerlaw)"
    for name in PARAMETERS:
        np.testing.assert_allclose(stored[name].value, truth[name].value, rtol=1e-12)


def digest(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).digest() for path in paths}


def test_seed_decides_every_byte(archive, tmp_path):
    folder, _ = archive
    simulate_archive(tmp_path / "again", n=40, seed=5)
    assert digest(tmp_path / "again") == digest(folder)
    simulate_archive(tmp_path / "other", n=40, seed=6)
    assert digest(tmp_path / "other") != digest(folder)


def test_flaws_spoil_four_and_leave_the_rest(archive, flawed):
    (folder, _), (spoilt, truth) = archive, flawed
    chosen = truth[truth["flaw"] != ""]
    assert sorted(chosen["flaw"]) == sorted(FLAWS)
    good = digest(folder)
    same = [name for name, value in digest(spoilt).items() if good.get(name) == value]
    # Three files each; only those of a flaw differ (and truth.ecsv).
    assert len(same) >= 3 * 36

    by_flaw = {row["flaw"]: row["obsid"] for row in chosen}
    spectra = read_pha(str(spoilt / "*/stdprod/xp*_s2.pha.gz"), on_error="status")
    broken = {failure.name for failure in spectra.failures}
    stems = {flaw: file_of(spoilt, obsid, "_s2").name for flaw, obsid in by_flaw.items()}
    assert broken == {stems["truncated file"], stems["no response"]}
    by_name = {spectrum.name: spectrum for spectrum in spectra}
    assert by_name[stems["zero counts"]].counts.sum() == 0
    assert by_name[stems["short exposure"]].exposure == 16.0


def test_bad_arguments(tmp_path, archive):
    with pytest.raises(InputError, match="n is 0"):
        simulate_archive(tmp_path, n=0)
    with pytest.raises(InputError, match="exposure"):
        simulate_archive(tmp_path, n=2, exposure=(100.0, 10.0))
    with pytest.raises(InputError, match="holds an archive already"):
        simulate_archive(archive[0], n=2)


def test_a_damaged_list_removes_nothing(tmp_path):
    head = ["%ECSV 1.0", "---", "datatype:", "- {name: obsid, datatype: string}"]
    head += ["- {name: t, datatype: float64}", "meta: !!omap", "- __serialized_columns__:"]
    text = "".join(f"# {line}\n" for line in [*head, "    t:", "schema: astropy-2.0"])
    (tmp_path / "truth.ecsv").write_text(text + "obsid t\n1-2 3\n")  # AttributeError of astropy
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="lists no simulated observations"):
        simulate_archive(tmp_path, n=1, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 2


def test_cards_are_what_astropy_reads():
    values = {"NAME": "it's", "YES": True, "N": -7, "X": 6.965740740000000e-04, "Y": -1.5e300}
    header = fits.Header()
    put_keywords(header, values)
    text = header.tostring()
    assert dict(fits.Header.fromstring(text)) == values
    assert len(text) == 2880


def test_dates():
    # TSTART of ObsID 10255-01-03-00, whose DATE-OBS is 25/07/96 (its clock correction is 3 s).
    assert iso_date(80901110.378 - 3.4).startswith("1996-07-25T08:32:4")


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5])
def test_channel_energies_match_the_public_table(epoch):
    # Upper energies (keV) of detector channels 10, 30 and 237, HEASARC energy-channel table.
    table = {1: (3.04, 8.21, 68.89), 2: (3.44, 9.63, 82.20), 3: (4.05, 11.19, 94.80)}
    table |= {4: (4.63, 13.06, 112.02), 5: (4.49, 12.69, 108.32)}
    edges = pca_response.channel_edges(epoch)
    place = np.searchsorted(pca_response.STD2_EDGES, [11, 31, 238])
    np.testing.assert_allclose(edges[place], table[epoch], atol=0.03)
    assert np.all(np.diff(edges) > 0)


def test_epoch_boundaries():
    days = [pca_response.mjd_of(f"{date}T12:00:00") for date in ("1996-02-01", "1996-04-01")]
    days += [pca_response.mjd_of(f"{date}T12:00:00") for date in ("1998-01-01", "1999-12-01")]
    assert list(pca_response.epoch_of(np.array([*days, 53000.0]))) == [1, 2, 3, 4, 5]


def test_response_looks_like_the_instrument():
    area = pca_response.effective_area(np.array([3.0, 6.0, 10.0, 20.0, 34.0, 35.0, 50.0]))
    # One PCU of ObsID 90058-11-03-00: 341, 1084, 1272, 544, 122, 442 and 246 cm2.
    np.testing.assert_allclose(area, [341, 1084, 1272, 544, 122, 442, 246], rtol=0.2)
    matrix = pca_response.redistribution(5)
    energy = np.sqrt(pca_response.ENERGY_EDGES[1:] * pca_response.ENERGY_EDGES[:-1])
    edges = pca_response.channel_edges(5)
    middle = 0.5 * (edges[1:] + edges[:-1])
    place = np.argmin(abs(energy - 6.0))
    row = matrix[place]
    near = abs(middle - 6.0) < 1.8
    mean = np.average(middle[near], weights=row[near])
    width = np.sqrt(np.average((middle[near] - mean) ** 2, weights=row[near]))
    assert abs(mean - energy[place]) < 0.05 and abs(2.355 * width / 6.0 - 0.18) < 0.015
    # K escape: 50 keV photons leave a second peak near 20 keV.
    row = matrix[np.searchsorted(energy, 50.0)] / np.diff(edges)
    assert row[np.argmin(abs(middle - 20.3))] > 5 * row[np.argmin(abs(middle - 28.0))]


def test_files_are_reproducible_gzip(archive):
    folder, truth = archive
    path = file_of(folder, truth["obsid"][0], "_b2.pha.gz")
    raw = path.read_bytes()
    assert raw[4:8] == b"\0\0\0\0", "no time stamp in the gzip header"
    assert len(gzip.decompress(raw)) % 2880 == 0


def test_keywords_are_those_of_the_real_products(archive, data_dir):
    folder, truth = archive
    real = sorted((data_dir / "rxte_pca" / "sample").rglob("xp*_s2.pha*"))
    if not real:
        pytest.skip("no standard product among the unpacked samples")
    ours = fits.getheader(file_of(folder, truth["obsid"][0], "_s2.pha.gz"), 1)
    theirs = fits.getheader(real[0], 1)
    unimportant = re.compile(r"COMMENT|HISTORY|LONGSTRN|CPIX|ROWID|FILEN|CONTINUE|CHECKSUM|DATASUM")
    missing = {k for k in theirs if not unimportant.match(k)} - set(ours)
    assert missing <= {"CREATOR", "DATE", "RADECSYS", "DROLLANG", "GAINAPP", "RXTESP", ""}
    columns = [(ours[f"TTYPE{i}"], ours[f"TFORM{i}"]) for i in (1, 2, 3)]
    assert columns == [
        (theirs[f"TTYPE{i}"].strip(), theirs[f"TFORM{i}"].strip()) for i in (1, 2, 3)
    ]
