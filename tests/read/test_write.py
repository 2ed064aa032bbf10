"""What is written reads back identically, by us and by astropy."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from jaxspec._types import Response, Spectrum
from jaxspec.errors import InputError
from jaxspec.read.ogip import read_arf, read_response, read_spectrum
from jaxspec.read.write import write_arf, write_pha, write_response, write_rmf

PER_CHANNEL = ("channel", "counts", "stat_err", "sys_err", "quality", "grouping")


def same(a, b):
    return (a is None and b is None) or (np.array_equal(a, b) and np.ndim(a) == np.ndim(b))


def assert_same(a, b):
    for name in (*PER_CHANNEL, "areascal", "backscal"):
        assert same(getattr(a, name), getattr(b, name)), name
    assert a.exposure == b.exposure and a.poisserr == b.poisserr


def positive(n=None):
    value = st.floats(1e-30, 1e30)
    return value if n is None else st.one_of(value, arrays(float, n, elements=value))


@st.composite
def spectra(draw):
    n, first = draw(st.integers(1, 12)), draw(st.integers(0, 5))
    poisserr = draw(st.booleans())
    number = st.integers(0, 10**6) if poisserr else st.floats(-1e9, 1e9)
    error = arrays(float, n, elements=st.floats(1e3, 1e9))
    fraction = arrays(float, n, elements=st.floats(0, 0.5))
    flags = arrays(np.int16, n, elements=st.sampled_from([0, 1, 2, 5]))
    groups = arrays(np.int16, n, elements=st.sampled_from([1, -1]))
    return Spectrum(
        name="a",
        channel=np.arange(first, first + n),
        counts=draw(arrays(float, n, elements=number)),
        exposure=draw(st.floats(1e-30, 1e12)),
        stat_err=draw(st.none() if poisserr else error),
        sys_err=draw(st.one_of(st.none(), fraction)),
        quality=draw(st.one_of(st.none(), flags)),
        grouping=draw(st.one_of(st.none(), groups)),
        areascal=draw(positive()),
        backscal=draw(positive())
        if draw(st.booleans())
        else draw(arrays(float, n, elements=positive())),
        poisserr=poisserr,
        header={"TELESCOP": "TEST", "OBJECT": "it's é", "TSTART": 1.25, "OBS_ID": "1"},
    )


@settings(deadline=None, max_examples=60)
@given(spectra())
def test_spectra_round_trip(spectrum):
    write_pha(
        spectrum, "memory://write/a.pha.gz", respfile="x.rmf", backfile="b.pha", overwrite=True
    )
    back = read_spectrum("memory://write/a.pha.gz", background=None, response=None)
    assert_same(spectrum, back)
    assert back.header["RESPFILE"] == "x.rmf" and back.header["BACKFILE"] == "b.pha"
    assert back.header["ANCRFILE"] == "none" and back.header["OBJECT"] == "it's ?"
    assert back.header["TSTART"] == 1.25 and back.header["OBS_ID"] == "1"


def make_response(dense, area=None, first=0):
    dense = np.asarray(dense)
    n_energy, n_channel = dense.shape
    e_lo, e_hi = 0.1 + np.arange(n_energy) / 3, 0.1 + np.arange(1, n_energy + 1) / 3
    channel = np.arange(first, first + n_channel)
    e_min, e_max = np.arange(n_channel) / 7 - 0.0063, np.arange(1, n_channel + 1) / 7
    matrix = csr_array(dense)
    return Response(
        e_lo=e_lo,
        e_hi=e_hi,
        matrix=matrix,
        area=np.ones(n_energy) if area is None else area,
        channel=channel,
        e_min=e_min,
        e_max=e_max,
    )


def assert_same_response(a, b):
    for name in ("e_lo", "e_hi", "area", "channel", "e_min", "e_max"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.matrix.dtype == b.matrix.dtype
    assert np.array_equal(a.matrix.toarray(), b.matrix.toarray())


matrices = st.tuples(st.integers(1, 6), st.integers(1, 8), st.sampled_from([">f4", ">f8"])).flatmap(
    lambda s: arrays(
        np.dtype(s[2]).newbyteorder("="),
        s[:2],
        elements=st.one_of(st.just(0.0), st.floats(2**-20, 2**20, width=32)),
    )
)


@settings(deadline=None, max_examples=60)
@given(matrices, st.integers(0, 3), st.sampled_from([write_rmf, write_response]))
def test_responses_round_trip(dense, first, write):
    response = make_response(dense, first=first)
    write(response, "memory://write/a.rmf", overwrite=True)
    back = read_response("memory://write/a.rmf")
    assert_same_response(response, back)
    full = write is write_response
    said = [text for text in back.diagnostics if "adds up to" not in text]
    assert back.full == full and len(said) == (not dense.any())  # every element is 0


def test_rmf_and_arf_together(rng):
    response = make_response(rng.random((5, 7)), area=rng.random(5) * 100)
    write_rmf(response, "memory://write/b.rmf")
    write_arf(response, "memory://write/b.arf.gz")
    assert_same_response(response, read_response("memory://write/b.rmf", "memory://write/b.arf"))
    write_response(response, "memory://write/b.rsp")
    full = read_response("memory://write/b.rsp")
    assert np.allclose(full.matrix.toarray(), response.matrix.toarray() * response.area[:, None])
    assert np.array_equal(full.area, np.ones(5))


def test_writing_leaves_the_response_alone():
    matrix = csr_array(([1.0, 2], [3, 1], [0, 2]), shape=(1, 4))
    response = make_response(np.ones((1, 4)))
    object.__setattr__(response, "matrix", matrix)
    write_rmf(response, "memory://write/c.rmf")
    assert matrix.indices.tolist() == [3, 1]
    assert read_response("memory://write/c.rmf").matrix.toarray().tolist() == [[0, 2, 0, 1]]
    with fits.open("memory://write/c.rmf", use_fsspec=True) as hdus:
        assert hdus["MATRIX"].data["F_CHAN"].tolist() == [[1, 3]]  # groups ascend, as in the memo


def test_standard_keywords(tmp_path, rng):
    response = make_response(rng.random((5, 7)).astype(np.float32), first=1)
    s = Spectrum("a", np.arange(1, 8), np.arange(7.0), 10.0, quality=np.zeros(7, np.int16))
    write_pha(s, tmp_path / "a.pha")
    write_response(response.replace(telescope="XTE"), tmp_path / "a.rsp")
    assert read_response(tmp_path / "a.rsp").telescope == "XTE"  # was UNKNOWN, and a note
    write_arf((response.e_lo, response.e_hi, response.area), tmp_path / "a.arf")
    with fits.open(tmp_path / "a.pha") as hdus:
        hdus.verify("exception")
        header = hdus["SPECTRUM"].header
        for key in (
            "TELESCOP INSTRUME FILTER EXPOSURE AREASCAL BACKFILE BACKSCAL CORRFILE CORRSCAL "
            "RESPFILE ANCRFILE PHAVERSN POISSERR CHANTYPE DETCHANS GROUPING SYS_ERR"
        ).split():
            assert key in header, key
        assert header["TLMIN1"] == 1 and header["TLMAX1"] == 7 and header["HDUCLASS"] == "OGIP"
        assert hdus["SPECTRUM"].data["COUNTS"].tolist() == list(range(7))
        assert hdus["SPECTRUM"].columns["COUNTS"].format == "J"
    part = Spectrum("b", np.arange(3, 6), np.arange(3.0), 10.0, response=response)
    write_pha(part, tmp_path / "b.pha", respfile="a.rsp")  # its response is for more channels
    assert fits.getheader(tmp_path / "b.pha", 1)["DETCHANS"] == 7
    assert read_spectrum(tmp_path / "b.pha").response.channel.tolist() == [3, 4, 5]
    with fits.open(tmp_path / "a.rsp") as hdus:
        hdus.verify("exception")
        matrix = hdus["SPECRESP MATRIX"]
        assert matrix.header["TLMIN4"] == 1 and matrix.header["HDUCLAS3"] == "FULL"
        assert matrix.header["DETCHANS"] == 7 and hdus["EBOUNDS"].header["TLMIN1"] == 1
        assert np.array_equal(matrix.data["MATRIX"][2], response.matrix.toarray()[2])
    assert np.array_equal(read_arf(tmp_path / "a.arf")[0], response.e_lo)


def test_existing_and_impossible_files(tmp_path):
    s = Spectrum("a", np.arange(3), np.arange(3.0), 10.0)
    for path in (str(tmp_path / "a.pha"), "memory://write/once.pha"):
        write_pha(s, path)
        with pytest.raises(InputError, match="exists already"):
            write_pha(s.replace(counts=s.counts + 1), path)
        assert np.array_equal(read_spectrum(path).counts, s.counts)
        write_pha(s.replace(counts=s.counts + 1), path, overwrite=True)
        assert np.array_equal(read_spectrum(path).counts, s.counts + 1)
    with pytest.raises(InputError, match="folder does not exist"):
        write_pha(s, tmp_path / "no" / "folder" / "a.pha")
