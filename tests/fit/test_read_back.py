"""Results that were written come back the same, and say what they were made from."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import QTable
from toy import toy_response, toy_spectrum
from toy_images import simulated

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.read.write import write_rmf
from jaxspec.report.describe import describe_file

ROWS = "params stat n_bins stat_expected stat_variance status iterations edm".split()
ENDINGS = ["ecsv", "fits", "parquet"]


def fake(folder, **options):
    """Three spectra that were written and read, so that they have files, and one without data."""
    response = toy_response(n_channel=40, n_energy=60, fwhm=3.0)
    spectra = js.fake(
        "powerlaw",
        response,
        exposure=2000.0,
        params={"PhoIndex": np.array([1.5, 2.0, 2.5])},
        seed=1,
    )
    write_rmf(response, folder / "toy.rmf")
    js.write_arf(response, folder / "toy.arf")
    header = {"TSTART": 86400.0, "MJDREF": 50000.0, "TIMESYS": "TT", "OBJECT": "a"}
    for k, s in enumerate(spectra):
        links = {"respfile": "toy.rmf", "ancrfile": "toy.arf"}
        named = header | {"OBJECT": "ab"[k // 2]}
        js.write_pha(s.replace(header=named), folder / f"obs{k}.pha", **links, **options)
    read = js.read_pha(str(folder / "obs?.pha"))
    empty = toy_spectrum(np.ones(40), name="empty", quality=np.full(40, 1, dtype=np.int16))
    return js.SpectrumList([*read, empty.replace(header={"OBJECT": "b"})]).notice("1-12")


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    return fake(tmp_path_factory.mktemp("spectra"))


@pytest.fixture(scope="module")
def result(spectra):
    model = js.Model("constant*(powerlaw+powerlaw)")
    model["factor"].freeze(0.5)
    model["powerlaw.PhoIndex"].set(2.0, min=0.5, max=4.0)
    model["powerlaw_3.norm"].freeze(0.0)
    model["powerlaw_3.PhoIndex"].link_to("powerlaw.PhoIndex + 0.25")
    return js.fit(model, spectra, stat="cstat")


def same(one, other):
    """Two results are equal; covariances to the rounding of their two halves."""
    for name in ROWS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for kind in ("observed", "expected"):
        for row in range(len(one)):
            known, found = one.covariance(row, kind), other.covariance(row, kind)
            least = 1e-14 * np.nanmax(np.abs(known), initial=0.0)  # of sums that cancel
            np.testing.assert_allclose(known, found, rtol=1e-12, atol=least)
        for column in one.columns:
            np.testing.assert_array_equal(one.error(column, kind), other.error(column, kind))
    for name in ("stat_names", "messages", "notes", "n_free", "names", "columns"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.model == other.model and one.summary() == other.summary()
    assert one.total == other.total


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_result_comes_back(result, tmp_path, ending):
    path = result.write(tmp_path / f"out.{ending}")
    back = js.read_result(path)
    same(result, back)
    told = describe_file(path)  # as `jaxspec inspect` prints it
    assert "table of results of a fit; jaxspec.read_result" in told and result.summary() in told
    mine, theirs = result.table, back.table
    assert mine.colnames == theirs.colnames
    for name in mine.colnames:
        one, other = np.asarray(mine[name]), np.asarray(theirs[name])
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), name
    for name in ("min", "max", "frozen", "link", "unit"):
        values = [[getattr(p, name) for p in r.model.parameters] for r in (result, back)]
        assert values[0] == values[1], name
    again = js.read_result(back.write(tmp_path / f"again.{ending}"))
    same(result, again)
    if ending == "ecsv":
        assert (tmp_path / "again.ecsv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_odd_names_and_messages_come_back(result, tmp_path, ending):
    """A name that begins with # is no comment, which ECSV would leave out without a word."""
    odd = ["#c", '#d, "e"', "#", "a b"]
    data = [s.replace(name=name) for s, name in zip(result.spectra, odd, strict=True)]
    messages = ['# "two, of" them', *result.messages[1:]]
    other = replace(result, data=js.SpectrumList(data), messages=messages)
    other.write(tmp_path / f"r.{ending}")
    found = js.read_result(tmp_path / f"r.{ending}")
    assert found.names == odd and found.messages == messages
    np.testing.assert_array_equal(found.params, result.params)


def test_a_table_says_what_made_it(result, spectra, tmp_path):
    table = QTable.read(result.write(tmp_path / "out.ecsv"))
    for row in range(3):
        with open(table["file"][row], "rb") as stream:
            assert table["sha256"][row] == hashlib.sha256(stream.read()).hexdigest()
    assert list(table["file"][:3]) == [s.path for s in spectra[:3]]
    assert table.meta["DATA"]["band"] == "notice 1-12 keV"
    assert table.meta["DATA"]["grouping"] == "none" and table.meta["DATA"]["systematic"] == "0"
    assert "toy.rmf" in table["response"][0] and "toy.arf" in table["response"][0]
    assert table.meta["STATS"] == {"asked": "cstat", "used": {"cash": 4}} or (
        table.meta["STATS"]["asked"] == "cstat" and sum(table.meta["STATS"]["used"].values()) == 4
    )
    assert table.meta["LINKS"] == {"powerlaw_3.PhoIndex": "powerlaw.PhoIndex + 0.25"} or (
        "powerlaw_3.PhoIndex" in table.meta["LINKS"]
    )
    limits = {p["full_name"]: (p["min"], p["max"]) for p in table.meta["PARAMS"]}
    assert limits["powerlaw.PhoIndex"] == (0.5, 4.0)
    assert {"jax", "numpy", "jaxspec-engine"} <= set(table.meta["VERSIONS"])
    assert "cpu" in table.meta["DEVICES"][0] or table.meta["DEVICES"]
    assert "MJD" in table["time"].info.description and "fitted" in table["counts"].info.description


def test_counts_are_those_that_were_fitted(result, spectra):
    e_min, e_max = spectra[0].response.e_min, spectra[0].response.e_max
    kept = (e_max > 1.0) & (e_min < 12.0)
    assert kept.sum() == result.n_bins[0] < 40
    expected = [s.counts[kept].sum() for s in spectra[:3]]
    assert list(result.table["counts"]) == [*expected, 0.0]
    assert spectra[0].counts.sum() > expected[0]


def test_grouping_and_systematic_are_told(spectra, tmp_path):
    changed = [s.replace(sys_err=np.full(40, 0.01)) for s in spectra[:2].group(min_counts=3000)]
    result = js.fit("powerlaw", js.SpectrumList(changed), stat="chi2")
    path = result.write(tmp_path / "out.ecsv")
    table = QTable.read(path)
    assert table.meta["DATA"]["systematic"] == "0.01"
    assert table["grouping"][0].startswith("40 channels in ")
    assert table.meta["STATS"] == {"asked": "chi2", "used": {"chi2": 2}}
    same(result, js.read_result(path, js.SpectrumList(changed)))
    with pytest.raises(
        InputError, match="other data .*grouping was 40 .*; systematic was 0.01, is 0"
    ):
        js.read_result(path, spectra[:2])
    bare = [s.replace(sys_err=None) for s in changed]
    with pytest.raises(InputError, match=r"\(systematic was 0.01, is 0\).*same systematic errors"):
        js.read_result(path, bare)
    twice = [s.replace(counts=s.counts + 1) for s in changed]
    with pytest.raises(InputError, match=r"\(data_sha256 was \w+, is"):
        js.read_result(path, twice)


def test_data_are_given_again(result, spectra, tmp_path):
    path = result.write(tmp_path / "out.ecsv")
    back = js.read_result(path, spectra)
    assert back.data[0] is spectra[0]
    again = js.fit(back.best(0), back.data, stat="cstat")
    assert again.stat[0] == pytest.approx(result.stat[0], rel=1e-10)
    with pytest.raises(InputError, match=r"out.ecsv.*band was notice 1-12 keV, is notice 2-12"):
        js.read_result(path, spectra.notice_all().notice("2-12"))
    with pytest.raises(InputError, match="4 rows, and 3 data"):
        js.read_result(path, spectra[:3])
    other = toy_response(n_channel=40, n_energy=60, fwhm=4.0)
    changed = js.SpectrumList([spectra[0].replace(response=other), *spectra[1:]])
    with pytest.raises(InputError, match=r"response was toy.rmf \+ toy.arf, is toy.rsp"):
        js.read_result(path, changed)


def test_data_that_were_not_read_again_are_an_error(result, tmp_path):
    back = js.read_result(result.write(tmp_path / "out.ecsv"))
    assert back.data[0].path.endswith("obs0.pha") and back.table["time"][0].value == 50001.0
    with pytest.raises(InputError, match=r"obs0.*read_result\(path, data="):
        js.plot.fit(back, 0)
    with pytest.raises(InputError, match="not read again"):
        _ = back.data[0].counts
    js.plot.timeline(back)
    assert "not read again" in js.fit("powerlaw", back.data).messages[0]


def test_joint_fits_come_back(spectra, tmp_path):
    fixed = {"constant.factor": [1.0, None, None]}
    together = js.fit("constant*powerlaw", spectra[:3], "cstat", joint=True, untie=fixed)
    back = js.read_result(together.write(tmp_path / "joint.ecsv"))
    same(together, back)
    assert back.joint and back.is_fixed("factor").tolist() == [True, False, False]
    for row in (1, 2):
        expected = together.covariance(0, other=row)
        np.testing.assert_allclose(back.covariance(0, other=row), expected, rtol=1e-12)


@pytest.mark.parametrize("ending", ENDINGS)
def test_sets_come_back(spectra, tmp_path, ending):
    sets = js.fit("powerlaw", spectra[:3], "cstat", joint="OBJECT")
    back = js.read_result(sets.write(tmp_path / f"sets.{ending}"))
    same(sets, back)
    assert len(back.table) == 2 and list(back.table["name"]) == ["a", "b"]
    np.testing.assert_array_equal(back.table["stat"], sets.table["stat"])
    assert back.data[2].origin["file"] == spectra[2].path
    assert back.data[2].origin["band"] == "notice 1-12 keV"


def test_joint_fits_of_several_models_come_back(spectra, tmp_path):
    both = {"x": ("powerlaw", spectra[:2]), "y": ("constant*powerlaw", spectra[2])}
    both["y"] = (js.Model("constant*powerlaw"), spectra[2])
    both["y"][0]["factor"].freeze(1.0)
    joint = js.fit(both, joint=True, share=["PhoIndex"], stat="cstat")
    path = joint.write(tmp_path / "joint.fits")
    back = js.read_result(path)
    assert list(back) == ["x", "y"] and back.total == joint.total
    assert back.summary() == joint.summary()
    for name in joint:
        same(joint[name], back[name])
    pair = (("x", 0), ("y", 0))
    np.testing.assert_allclose(back.covariance(*pair), joint.covariance(*pair), rtol=1e-12)
    np.testing.assert_array_equal(back.table["value"], joint.table["value"])
    given = js.read_result(path, {"x": spectra[:2], "y": spectra[2]})
    assert given["y"].data[0] is spectra[2]
    with pytest.raises(InputError, match="data of x, y"):
        js.read_result(path, spectra)
    text = (joint.write(tmp_path / "joint.ecsv")).read_text()
    slots = '"slots": [[["x", 0], ["y", 1]]'
    assert slots in text
    of_y = '"y": {"meta"'
    assert of_y in text
    changes = [
        (slots, slots.replace("y", "z")),
        (slots, slots.replace("1", "9")),
        (of_y, of_y.replace("y", "z")),
    ]
    for there, damaged in changes:
        (tmp_path / "damaged.ecsv").write_text(text.replace(there, damaged))
        with pytest.raises(InputError, match="is damaged or was changed"):
            js.read_result(tmp_path / "damaged.ecsv")


def test_images_come_back(tmp_path):
    image = simulated("const2d")
    result = js.fit("const2d", image)
    path = result.write(tmp_path / "image.ecsv")
    back = js.read_result(path)
    same(result, back)
    assert js.read_result(path, image).data[0] is image
    flat = np.full(image.shape, 0.1)
    for other in (
        simulated("const2d", seed=4),
        image.replace(background=flat),  # these were taken for the same
        image.replace(rms=flat),
        image.replace(psf=js.gaussian_psf(fwhm=2.0)),
        image.replace(exposure_unit="s"),
    ):
        with pytest.raises(InputError, match="other data"):
            js.read_result(path, other)


def test_own_components_come_back(spectra, tmp_path):
    def line(e_lo, e_hi, slope):
        return (e_hi - e_lo) * (0.5 * (e_lo + e_hi)) ** slope

    own = js.component(line, parameters={"slope": (-1.5, -4.0, 1.0)})
    result = js.fit(own(), spectra[0], "cstat")
    path = result.write(tmp_path / "own.ecsv")
    same(result, js.read_result(path, components=[own]))
    with pytest.raises(InputError, match=r"own.ecsv: cannot be read back: .*line"):
        js.read_result(path)


def test_components_of_one_name_are_not_confused(spectra, tmp_path):
    """A file holds no code: another function of the name was believed, without a word."""

    def mine(times, name="powerlaw"):
        return js.component(
            lambda e_lo, e_hi, PhoIndex: times * (e_hi - e_lo) * e_lo**-PhoIndex,
            name=name,
            parameters={"PhoIndex": (1.5, -4.0, 9.0)},
        )

    given = mine(1.0)
    own, built_in = (js.fit(m, spectra[0], "cstat") for m in (given(), "powerlaw"))
    path = own.write(tmp_path / "own.fits")
    same(own, js.read_result(path, components=[given]))
    with pytest.raises(InputError, match="its powerlaw is a component of its own, and not"):
        js.read_result(path)
    with pytest.raises(InputError, match="its powerlaw gave other values"):
        js.read_result(path, components=[mine(1.1)])
    path = built_in.write(tmp_path / "built_in.fits")
    with pytest.raises(InputError, match="its powerlaw is of the catalogue, and not"):
        js.read_result(path, components=[given])
    same(built_in, js.read_result(path, components=[mine(1.0, "another")]))


def test_a_result_does_not_replace_what_it_was_made_from(tmp_path):
    spectra = fake(tmp_path)
    model = js.Model("powerlaw")
    spectrum = spectra[0].replace(path=str(tmp_path / "obs0.fits"))
    (tmp_path / "obs0.pha").rename(tmp_path / "obs0.fits")
    result = js.fit(model, spectrum.replace(quality=np.full(40, 1, np.int16)))
    before = (tmp_path / "obs0.fits").read_bytes()
    with pytest.raises(InputError, match="is the file of obs0"):
        result.write(tmp_path / "obs0.fits", overwrite=True)
    header = spectrum.header | {"RESPFILE": "toy.fits"}
    (tmp_path / "toy.rmf").rename(tmp_path / "toy.fits")
    result = js.fit(model, spectrum.replace(header=header, quality=np.full(40, 1, np.int16)))
    with pytest.raises(InputError, match="is the file of obs0"):
        result.write(tmp_path / "toy.fits", overwrite=True)
    assert (tmp_path / "obs0.fits").read_bytes() == before


def test_what_is_no_result_is_refused(result, tmp_path):
    path = result.write(tmp_path / "out.ecsv")
    text = path.read_text()
    with pytest.raises(InputError, match="does not exist"):
        js.read_result(tmp_path / "nowhere.ecsv")
    with pytest.raises(InputError, match="not known"):
        js.read_result(tmp_path / "out.txt")
    other = tmp_path / "other.ecsv"
    QTable({"a": [1.0]}).write(other)
    with pytest.raises(InputError, match="is not a result that jaxspec wrote"):
        js.read_result(other)
    changes = {
        "stat_name n_bins": "stat_nome n_bins",
        "MODEL: constant": "MODEL: constunt",
        "full_name: constant.factor": "full_name: constant.other",
        " OK ": " FINE ",
        "[": "(",
        '"kind": "spectrum"': '"kind": "cube"',
    }
    for old, new in changes.items():
        assert old in text
        other.write_text(text.replace(old, new))
        with pytest.raises(InputError, match="other.ecsv"):
            js.read_result(other)
    hashed = str(QTable.read(path)["data_sha256"][0])
    damaged = {  # a frozen value, a limit, an exposure, what the data were
        r"(full_name: constant.factor.*?value: )0.5\b": r"\g<1>0.6",
        r"(full_name: powerlaw.PhoIndex.*?max: )4.0\b": r"\g<1>5.0",
        r"(?<= )2000.0(?= )": "2001.0",
        r"(n_free\W+)\d": r"\g<1>9",
        hashed: hashed[::-1],
    }
    for pattern, new in damaged.items():
        changed, number = re.subn(pattern, new, text, count=1, flags=re.DOTALL)
        assert number == 1 and changed != text, pattern
        other.write_text(changed)
        with pytest.raises(InputError, match=r"other.ecsv: is damaged or was changed"):
            js.read_result(other)
    value = repr(float(result.stat[1]))
    assert value in text
    other.write_text(text.replace(value, repr(float(result.stat[1]) + 1e-9)))
    with pytest.raises(InputError, match=r"other.ecsv: is damaged or was changed"):
        js.read_result(other)
    for end in ENDINGS:
        whole = result.write(tmp_path / f"cut.{end}", overwrite=True).read_bytes()
        (tmp_path / f"cut.{end}").write_bytes(whole[: len(whole) // 3])
        with pytest.raises(InputError, match=f"cut.{end}"):
            js.read_result(tmp_path / f"cut.{end}")


def test_settings_are_those_of_the_call(spectra, tmp_path):
    # the last has no data: nothing is compiled for its statistic
    result = js.fit("powerlaw", spectra[2:], ["cstat", "chi2"], tol=1e-6)
    back = js.read_result(result.write(tmp_path / "out.parquet"))
    assert back.provenance() == json.loads(json.dumps(result.provenance()))
    assert back.settings["stat"] == ["cstat", "chi2"] and back.settings["tol"] == 1e-6
