"""Damaged and impossible files end in one InputError that says where and what to do."""

import gzip
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ogip_files import (
    COUNTS,
    DENSE,
    E_LO,
    arf,
    ebounds_hdu,
    matrix_hdu,
    pha,
    rmf,
    table,
    to_bytes,
)

from jaxspec._types import Spectrum
from jaxspec.errors import InputError
from jaxspec.read.ogip import read_arf, read_response, read_spectra, read_spectrum

NAN = np.where(np.arange(6) == 2, np.nan, COUNTS)


def bad_matrix(change, **kwargs):
    hdu = matrix_hdu(**kwargs)
    change(hdu)
    return to_bytes(hdu, ebounds_hdu())


def set_rows(name, value):
    def change(hdu):
        hdu.data[name][1] = value

    return change


def edit(**keywords):
    def change(hdu):
        for key, value in keywords.items():
            hdu.header[key] = value

    return change


PHA = {
    "empty": (b"", "is empty"),
    "text": (b"<html>not found</html>", "not a FITS file"),
    "cut in the header": (pha()[:3000], "no SPECTRUM extension"),
    "cut in the data": (pha()[:-2880], "ends after"),
    "gzip cut": (gzip.compress(pha())[:-200], "end too early"),
    "gzip damaged": (gzip.compress(pha())[:40] + b"\0" * 300, "gzip data are damaged"),
    "no counts": (pha(columns={"COUNTS": None}), "COUNTS or RATE is missing"),
    "no counts and no channel": (
        pha(columns={"COUNTS": None, "CHANNEL": None}),
        "COUNTS or RATE is missing",
    ),
    "channels twice": (pha(channel=[0, 1, 1, 2, 3, 4]), "occurs twice"),
    "nan counts": (pha(columns={"COUNTS": ("D", NAN)}), "column COUNTS: row 3 is nan"),
    "nan errors": (
        pha(columns={"STAT_ERR": ("D", NAN)}, POISSERR=False),
        "column STAT_ERR: row 3 is nan.*poisserr=True",
    ),
    "negative errors": (
        pha(columns={"STAT_ERR": ("D", -COUNTS)}, POISSERR=False),
        "column STAT_ERR",
    ),
    "negative exposure": (pha(EXPOSURE=-3.0), "EXPOSURE is -3 s"),
    "zero exposure": (pha(EXPOSURE=0.0), "EXPOSURE is 0 s"),
    "a livetime": (pha(EXPOSURE=None, LIVETIME=90.0), r"EXPOSURE is missing \(LIVETIME is 90.0\)"),
    "no exposure": (pha(EXPOSURE=None), "EXPOSURE is missing; pass exposure="),
    "text exposure": (pha(EXPOSURE="long"), "EXPOSURE is 'long'"),
    "negative area": (pha(AREASCAL=-2.0), "AREASCAL is -2"),
    "negative backscal": (pha(columns={"BACKSCAL": ("D", -NAN)}), "column BACKSCAL"),
    "text column": (pha(columns={"COUNTS": ("3A", ["a"] * 6)}), "does not hold numbers"),
    "a response": (rmf(), "no SPECTRUM extension, only PRIMARY, MATRIX, EBOUNDS"),
    "no such link": (pha(RESPFILE="gone.rmf"), "RESPFILE is 'gone.rmf'.*response=None"),
    "no such background": (pha(BACKFILE="b.pha"), "BACKFILE is 'b.pha'.*background=None"),
    "no match": (pha(RESPFILE="%match%"), "bad.rsp or .*bad.rmf does not exist"),
    "no axes but rows": (
        pha().replace(b"NAXIS   =                    2", b"NAXIS   =                    0"),
        "NAXIS is not 2",
    ),
    "a shift beyond numbers": (
        pha(columns={"CHANNEL": ("I", np.arange(6))}, TZERO1=-1e30),
        "CHANNEL",
    ),
    "descending groups": (
        pha(channel=np.arange(6)[::-1], columns={"GROUPING": ("I", [1, -1, 1, 1, 1, 1])}),
        "does not ascend",
    ),
}

RMF = {
    "cut": (rmf()[: 2880 * 4], "no EBOUNDS|ends after"),
    "no ebounds": (to_bytes(matrix_hdu()), "no EBOUNDS extension"),
    "an arf": (arf(), "no MATRIX extension"),
    "nan": (rmf(dense=DENSE * np.nan), "MATRIX: row 1 holds NaN"),
    "n_grp": (bad_matrix(set_rows("N_GRP", 3)), "column F_CHAN: row 2 has 2 values instead of 3"),
    "negative n_grp": (bad_matrix(set_rows("N_GRP", -1)), "column N_GRP"),
    "n_chan": (bad_matrix(set_rows("N_CHAN", 5)), "column MATRIX: row 2 has 3"),
    "wide n_chan": (bad_matrix(set_rows("N_CHAN", 99)), "column N_CHAN: is 99 but EBOUNDS has 6"),
    "negative n_chan": (bad_matrix(set_rows("N_CHAN", -1)), "column N_CHAN"),
    "f_chan": (bad_matrix(set_rows("F_CHAN", 9)), "column F_CHAN.*span channels"),
    "energy": (rmf(e_lo=[0.5, 0.5, 2, 3]), "column ENERG_LO"),
    "nan energy": (rmf(e_lo=[np.nan, 1.0, 2, 3]), "column ENERG_LO: row 1 is nan"),
    "negative energy": (rmf(e_lo=[-1, 1.0, 2, 3]), "column ENERG_LO"),
    "unit": (rmf(unit="parsec"), "unit is 'parsec'"),
    "missing column": (
        to_bytes(table("MATRIX", dict(ENERG_LO=("E", E_LO))), ebounds_hdu()),
        "column ENERG_HI: the column is missing",
    ),
    "other grid": (
        to_bytes(matrix_hdu(), matrix_hdu(e_lo=E_LO * 9, e_hi=E_LO * 9 + 4), ebounds_hdu()),
        "do not contain",
    ),
}


@pytest.mark.parametrize("columns", [{}, {"CHANNEL": None}])
def test_a_background_without_rows(tmp_path, columns):
    raw = pha(columns=columns).replace(
        b"NAXIS2  =                    6", b"NAXIS2  =                    0"
    )
    (tmp_path / "b.pha").write_bytes(raw)
    (tmp_path / "s.pha").write_bytes(pha(BACKFILE="b.pha"))
    with pytest.raises(InputError, match="b.pha.*no channels"):
        read_spectrum(tmp_path / "s.pha")


@pytest.mark.parametrize("case", PHA)
def test_bad_spectrum(tmp_path, case):
    raw, words = PHA[case]
    (tmp_path / "bad.pha").write_bytes(raw)
    with pytest.raises(InputError, match=words) as error:
        read_spectrum(tmp_path / "bad.pha")
    assert str(error.value).startswith(str(tmp_path / "bad.pha"))


@pytest.mark.parametrize("case", RMF)
def test_bad_response(tmp_path, case):
    raw, words = RMF[case]
    (tmp_path / "bad.rmf").write_bytes(raw)
    with pytest.raises(InputError, match=words) as error:
        read_response(tmp_path / "bad.rmf")
    assert str(error.value).startswith(str(tmp_path / "bad.rmf"))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (arf(area=[1.0, np.nan, 3, 4]), "column SPECRESP: row 2 is nan"),
        (arf(area=[1.0, -2, 3, 4]), "column SPECRESP: row 2 is -2"),
        (rmf(), "no SPECRESP extension"),
        (arf()[:4000], "no SPECRESP extension|ends after"),
    ],
)
def test_bad_arf(tmp_path, raw, words):
    (tmp_path / "bad.arf").write_bytes(raw)
    with pytest.raises(InputError, match=words):
        read_arf(tmp_path / "bad.arf")


def test_paths(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_spectrum(tmp_path / "none.pha")
    with pytest.raises(InputError, match="is a folder"):
        read_spectrum(tmp_path)
    (tmp_path / "a.pha").write_bytes(pha())
    for selector in ("[7]", "[NOTHERE]", "[]"):
        with pytest.raises(InputError, match="has no extension"):
            read_spectrum(f"{tmp_path}/a.pha{selector}")
    with pytest.raises(InputError, match="type I"):
        read_spectrum(f"{tmp_path}/a.pha{{3}}")
    with pytest.raises(InputError, match="cannot be"):
        read_spectrum("nosuchprotocol://a.pha")
    with pytest.raises(InputError):
        read_spectrum("a\0.pha")
    with pytest.raises(TypeError, match="no argument bakground"):
        read_spectra(f"{tmp_path}/a.pha", bakground=None)


def test_files_that_do_not_belong_together(tmp_path):
    (tmp_path / "a.pha").write_bytes(pha(counts=np.ones(9, int)))
    (tmp_path / "b.pha").write_bytes(pha())
    (tmp_path / "a.rmf").write_bytes(rmf())
    (tmp_path / "a.arf").write_bytes(arf(E_LO[:1], E_LO[1:2], [1.0]))
    (tmp_path / "b.arf").write_bytes(arf(E_LO + 0.25, E_LO + 0.5))
    with pytest.raises(InputError, match=r"9 channels \(0-8\) but a.rmf has 6 \(0-5\)"):
        read_spectrum(tmp_path / "a.pha", response=tmp_path / "a.rmf")
    with pytest.raises(InputError, match="9 channels .* but .*b.pha has 6"):
        read_spectrum(tmp_path / "a.pha", background=tmp_path / "b.pha")
    bad = {"QUALITY": ("I", [5] + [0] * 8)}  # channels of which a background is not asked
    (tmp_path / "q.pha").write_bytes(pha(columns=bad, counts=np.ones(9, int)))
    with pytest.raises(InputError, match="9 channels .* but .*b.pha has 6"):
        read_spectrum(tmp_path / "q.pha", background=tmp_path / "b.pha")
    with pytest.raises(InputError, match="a.arf: has 1 energies but a.rmf has 4"):
        read_response(tmp_path / "a.rmf", tmp_path / "a.arf")
    with pytest.raises(InputError, match="b.arf: bin 4 is 3.25-3.5 keV but 3-5 keV in a.rmf"):
        read_response(tmp_path / "a.rmf", tmp_path / "b.arf")
    with pytest.raises(InputError, match="response is a int; give a path"):
        read_spectrum(tmp_path / "b.pha", response=3)


# ------------------------------------------------------------------ any damage at all

WHOLE = {
    "pha": pha(
        columns={"STAT_ERR": ("E", np.ones(6)), "GROUPING": ("I", [1, -1, 1, 1, -1, 1])},
        RESPFILE="s.rmf",
        TSTART=1.0,
        MJDREF=50814.0,
    ),
    "rmf": rmf(),
    "rmf variable": rmf(layout="variable"),
    "arf": arf(),
    "type II": to_bytes(
        table(
            "SPECTRUM",
            {
                "CHANNEL": ("6I", np.tile(np.arange(6), (2, 1))),
                "COUNTS": ("6J", [COUNTS, COUNTS]),
                "BACKGROUND_UP": ("6J", [COUNTS, COUNTS]),
            },
            dict(EXPOSURE=2.0, POISSERR=True),
        )
    ),
}
READ = {
    "pha": lambda path: [read_spectrum(path)],
    "type II": read_spectra,
    "rmf": read_response,
    "rmf variable": read_response,
    "arf": read_arf,
}


def damage(raw, cut, changes, compress):
    raw = bytearray(raw)
    for place, value in changes:
        raw[int(place * (len(raw) - 1))] = value
    raw = bytes(raw[: int(cut * len(raw))])
    return gzip.compress(raw, mtime=0) if compress else raw


# Bytes of headers matter most, and digits and letters do the most harm there.
changes = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.one_of(st.integers(0, 255), st.sampled_from(b"0123456789-'=&/ PQEIJTF(.")),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", WHOLE)
@settings(
    deadline=None,
    max_examples=int(os.environ.get("JAXSPEC_FUZZ", 80)),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes, st.one_of(st.just(1.0), st.floats(0, 1)), st.booleans())
def test_damaged_files(tmp_path, kind, changes, cut, compress):
    (tmp_path / "s.rmf").write_bytes(rmf())
    path = tmp_path / "damaged"
    path.write_bytes(damage(WHOLE[kind], cut, changes, compress))
    try:
        result = READ[kind](path)
    except InputError as error:
        assert str(error)
        return
    for item in result if isinstance(result, list) else []:
        assert isinstance(item, Spectrum) and np.isfinite(item.counts).all() and item.exposure > 0
        assert len(item.counts) == len(item.channel) == len(set(item.channel.tolist()))
        repr(item)
