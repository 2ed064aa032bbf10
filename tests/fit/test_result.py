"""What a fit hands back: tables, files, text."""

import numpy as np
import pyarrow.parquet
import pytest
from astropy.table import QTable
from toy import toy_response, toy_spectrum

import jaxspec as js
from jaxspec.errors import InputError

RESPONSE = toy_response(n_channel=40, n_energy=60, fwhm=3.0)
EMPTY = toy_spectrum(np.zeros(40), name="sky")
SPARSE = [
    toy_spectrum(counts, background=EMPTY, response=RESPONSE)
    for counts in (np.arange(40) % 5 == 0, np.full(40, 3))
]


@pytest.fixture(scope="module")
def result():
    model = js.Model("constant*powerlaw")
    model["factor"].freeze(0.5)
    spectra = js.fake(
        js.Model("powerlaw"),
        RESPONSE,
        exposure=2000.0,
        params={"PhoIndex": np.array([1.5, 2.0, 2.5])},
        seed=1,
    )
    header = {"TSTART": 86400.0, "MJDREF": 50000.0, "TIMESYS": "TT"}
    spectra = [s.replace(header=header, name=f"obs {k}") for k, s in enumerate(spectra)]
    empty = toy_spectrum(np.ones(40), name="empty", quality=np.full(40, 1, dtype=np.int16))
    return js.fit(model, js.SpectrumList([*spectra, empty]), stat="cstat")


def test_table(result):
    table = result.table
    assert isinstance(table, QTable)
    assert list(table["name"]) == ["obs 0", "obs 1", "obs 2", "empty"]
    assert list(table["status"]) == ["OK", "OK", "OK", "NO_DATA"]
    assert table["time"][0].to_value("d") == 50001.0
    assert table["exposure"].unit == "s"
    np.testing.assert_allclose(table["PhoIndex"][:3], [1.5, 2.0, 2.5], atol=0.05)
    assert (table["PhoIndex_err"][:3] > 0).all()
    assert str(table["norm"].unit) in ("1 / (keV s cm2)", "1 / (keV cm2 s)")
    assert np.isnan(table["PhoIndex"][3])
    assert list(table["dof"]) == [38, 38, 38, 0]
    assert table.meta["MODEL"] == "constant*powerlaw"
    assert table.meta["FROZEN"] == {"constant.factor": 0.5}


@pytest.mark.parametrize("ending", ["ecsv", "fits"])
def test_written_tables_read_back(result, tmp_path, ending):
    path = result.write(tmp_path / f"out.{ending}")
    back = QTable.read(path)
    assert list(back.colnames)[: len(result.table.colnames)] == list(result.table.colnames)
    np.testing.assert_array_equal(np.asarray(back["stat"]), result.stat)
    np.testing.assert_array_equal(np.asarray(back["PhoIndex_err"], float), result.error("PhoIndex"))
    assert [str(s) for s in back["status"]] == ["OK", "OK", "OK", "NO_DATA"]
    assert back["exposure"].unit == "s"


def test_parquet(result, tmp_path):
    back = pyarrow.parquet.read_table(result.write(tmp_path / "out.parquet"))
    assert back.column_names[: len(result.table.colnames)] == list(result.table.colnames)
    np.testing.assert_array_equal(back["stat"].to_numpy(), result.stat)
    assert back["status"].to_pylist() == ["OK", "OK", "OK", "NO_DATA"]
    assert b"constant*powerlaw" in b"".join(back.schema.metadata.values())


def test_write_refuses_what_it_cannot_do(result, tmp_path):
    with pytest.raises(InputError, match="ecsv"):
        result.write(tmp_path / "out.txt")
    with pytest.raises(InputError, match="folder"):
        result.write(tmp_path / "nowhere" / "out.ecsv")
    result.write(tmp_path / "out.ecsv")
    with pytest.raises(InputError, match="exists"):
        result.write(tmp_path / "out.ecsv", overwrite=False)


def test_best_gives_a_model_with_the_values(result):
    best = result.best(1)
    assert best["PhoIndex"].value == result.value("PhoIndex")[1]
    assert best["factor"].value == 0.5
    assert result.best("obs 1") == best
    with pytest.raises(InputError, match="No usable channel"):
        result.best(3)
    with pytest.raises(InputError, match="no row"):
        result.best("obs 9")
    again = js.fit(best, result.spectra, stat="cstat")
    assert again.stat[1] == pytest.approx(result.stat[1], rel=1e-10)


def test_text_and_html(result):
    text = result.summary()
    assert "constant*powerlaw fitted to 4 spectra: 3 OK, 1 NO_DATA" in text
    assert "PhoIndex" in text
    assert repr(result) == text
    assert "<table" in result._repr_html_()


def test_kinds_of_covariance(result):
    assert result.covariance(0).shape == (2, 2)
    assert result.error("norm", "expected")[0] > 0
    with pytest.raises(InputError, match="observed"):
        result.error("norm", "guess")


def test_what_a_fit_is_worth_is_said():
    """A power law fitted to a line on it: small errors, and a sentence that says what they mean."""
    params = {"PhoIndex": 2.0, "powerlaw.norm": 1.0, "LineE": 5.0, "Sigma": 0.3}
    params["gaussian.norm"] = np.array([0.0, 1.0, 1.0])
    spectra = js.fake("powerlaw+gaussian", RESPONSE, exposure=2000.0, params=params, seed=3)
    result = js.fit("powerlaw", spectra, stat="cstat")
    expected = (result.stat - result.stat_expected) / np.sqrt(result.stat_variance)
    np.testing.assert_array_equal(result.excess, expected)
    np.testing.assert_array_equal(result.table["stat_excess"], expected)
    assert abs(result.excess[0]) < 3 < result.excess[1]
    assert "2 of 3 rows more than 3 sigma above what the model expects" in result.summary()
    assert "2 of 3 rows more than 3 sigma above" in result.table.meta["VERDICT"][0]
    assert "errors mean little" in result.row(1).summary()
    assert "errors mean little" not in result.row(0).summary()


def test_an_amplitude_has_its_interval_in_the_logarithm():
    params = {"PhoIndex": 2.0, "norm": 0.003}
    spectra = js.fake("powerlaw", RESPONSE, exposure=[300.0] * 3, params=params, seed=1)
    result = js.fit("powerlaw", spectra)
    value, error = result.value("norm")[0], result.error("norm")[0]
    low, high = result.interval("norm", 0.9)[0]
    np.testing.assert_allclose(
        [low, high], value * np.exp([-1.6449 * error / value, 1.6449 * error / value]), rtol=1e-4
    )
    low, high = result.interval("PhoIndex", 0.9)[0]
    np.testing.assert_allclose(high - low, 2 * 1.6449 * result.error("PhoIndex")[0], rtol=1e-4)
    np.testing.assert_allclose(result.table["norm_hi"][0].value, result.interval("norm")[0, 1])


def test_a_level_is_a_probability(result):
    with pytest.raises(InputError, match=r"level: is 90, no probability; give 0.9 for 90 %"):
        result.interval("norm", 90)


def test_of_sparse_counts_w_stat_expects_nothing():
    """Data of the very model were 4 sigma above: the model was said not to describe them."""
    result = js.fit("powerlaw", SPARSE, stat="wstat")
    assert np.isnan(result.stat_expected[0]) and np.isnan(result.table["stat_excess"][0])
    assert np.isfinite(result.stat_expected[1]) and np.isfinite(result.excess[1])
    assert {n for text, n in result.notes.items() if "W-stat" in text} == {1, 2}
    assert "does not tell how well the model fits" in result.summary()


def test_links_beyond_the_limits_of_a_parameter_are_said():
    model = js.Model("powerlaw")
    model["norm"].set(0.003, max=1.0)
    model["PhoIndex"].link_to("p2 + 20")
    found = js.fit(model, SPARSE, stat="wstat")
    assert found.notes["powerlaw.PhoIndex follows its link beyond its limits, -3 to 10."] == 2


def test_why_a_fit_did_not_converge_is_said():
    params = {"PhoIndex": 2.0, "norm": 1.0}
    spectra = js.fake("powerlaw", RESPONSE, exposure=[300.0] * 3, params=params, seed=1)
    model = js.Model("powerlaw")
    model["PhoIndex"].set(4.0)
    result = js.fit(model, spectra, max_iter=1)
    assert result.status[0] == js.Status.NOT_CONVERGED
    assert "iteration limit was reached" in result.messages[0]
    assert "powerlaw." in result.messages[0]
