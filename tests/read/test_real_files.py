"""Real files of many missions: values as astropy reads them, or an error that gives the reason."""

import gzip
import io
import warnings

import numpy as np
import pytest
from astropy.io import fits

from jaxspec.errors import InputError
from jaxspec.read.cache import ResponseCache
from jaxspec.read.ogip import read_arf, read_response, read_spectra, read_spectrum

FOLDERS = (
    "rxte_pca/sample/stdprod/*",
    "rxte_pca/sample/grs1915/*",
    "rxte_pca/misc",
    "xray_spectra/*",
    "gamma/joint-crab/spectra/hess",
)
# Links in the headers to files that the collection does not hold.
DANGLING = {
    "s0_mar24_bin.pha": "BACKFILE",
    "r1grspec.pha": "BACKFILE",
    "pn_pi_src_bin10.ds": "BACKFILE",
    "xh92035010400_b1.pha": "RESPFILE",
    "xh92035010400_s0.pha": "RESPFILE",
    "xh92035010400_s1.pha": "RESPFILE",
}


def files(data_dir, *kinds):
    """Files whose second extension is one of ``kinds``."""
    for folder in FOLDERS:
        for path in sorted(data_dir.glob(folder + "/*")):
            if not path.is_file() or path.suffix in (".txt", ".csv", ".md", ".dat"):
                continue
            if "nustar_fpma.rmf" in path.name:  # 34 MB, a second; one like it is enough
                continue
            if {h.name for h in opened(path)} & set(kinds):
                yield path


def opened(path):
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(fits.open(io.BytesIO(raw))) if raw[:6] == b"SIMPLE" else []


def astropy_table(path, *names):
    return next(h for h in opened(path) if h.name in names)


def test_spectra(data_dir):
    seen = 0
    for path in files(data_dir, "SPECTRUM"):
        if path.name in DANGLING:
            with pytest.raises(InputError, match=DANGLING[path.name]) as error:
                read_spectra(path)
            assert path.name in str(error.value)
        hdu = astropy_table(path, "SPECTRUM")
        spectra = read_spectra(path, background=None, response=None)
        data, header = hdu.data, hdu.header
        assert len(spectra) == (len(data) if np.ndim(data["CHANNEL"]) == 2 else 1)
        for i, s in enumerate(spectra):
            row = data[i] if len(spectra) > 1 else data
            exposure = header["EXPOSURE"]
            counts = row["COUNTS"] if "COUNTS" in data.names else row["RATE"] * exposure
            assert np.array_equal(s.channel, row["CHANNEL"])
            assert np.allclose(s.counts, counts, rtol=1e-6) and s.exposure == exposure
            if "STAT_ERR" in data.names:
                factor = 1 if "COUNTS" in data.names else exposure
                assert np.allclose(s.stat_err, row["STAT_ERR"] * factor, rtol=1e-6)
            if "GROUPING" in data.names:
                assert np.array_equal(s.grouping, row["GROUPING"])
            if "QUALITY" in data.names:
                assert np.array_equal(s.quality, row["QUALITY"])
            if "BACKSCAL" in header:
                assert s.backscal == header["BACKSCAL"]
            for key in ("TELESCOP", "INSTRUME", "OBJECT", "DATE-OBS", "TSTART", "MJDREFF"):
                if key in header:
                    assert s.header[key] == header[key], key
            seen += 1
    assert seen > 50


def dense(hdu, n_channel):
    """The matrix by a plain loop over astropy's rows."""
    offset = hdu.header.get(f"TLMIN{hdu.columns.names.index('F_CHAN') + 1}", 1)
    out = np.zeros((len(hdu.data), n_channel), np.float32)
    for i, row in enumerate(hdu.data):
        begin, used = np.atleast_1d(row["F_CHAN"]), 0
        for first, n in zip(begin[: row["N_GRP"]], np.atleast_1d(row["N_CHAN"]), strict=False):
            out[i, first - int(offset) :][:n] = row["MATRIX"][used : used + n]
            used += n
    return out


def test_responses(data_dir):
    seen = 0
    for path in files(data_dir, "MATRIX", "SPECRESP MATRIX"):
        r = read_response(path)
        bounds = astropy_table(path, "EBOUNDS")
        hdu = astropy_table(path, "MATRIX", "SPECRESP MATRIX")
        assert np.array_equal(r.matrix.toarray(), dense(hdu, len(bounds.data))), path
        assert np.array_equal(r.e_min, bounds.data["E_MIN"].astype(float))
        assert np.array_equal(r.e_max, bounds.data["E_MAX"].astype(float))
        if path.name != "9774.rmf.gz":
            assert np.array_equal(r.channel, bounds.data["CHANNEL"])
        first = 1 if path.name == "s54405.rsp" else 0  # whose first row is upside down
        assert np.array_equal(r.e_lo[first:], hdu.data["ENERG_LO"][first:].astype(float))
        assert np.array_equal(r.e_hi, hdu.data["ENERG_HI"].astype(float))
        seen += 1
    assert seen > 25


def test_arfs(data_dir):
    seen = 0
    for path in files(data_dir, "SPECRESP"):
        data = astropy_table(path, "SPECRESP").data
        for ours, name in zip(read_arf(path), ("ENERG_LO", "ENERG_HI", "SPECRESP"), strict=True):
            assert np.array_equal(ours, data[name].astype(float))
        seen += 1
    assert seen > 10


def test_linked_files(data_dir):
    chandra = data_dir / "xray_spectra" / "chandra"
    s = read_spectrum(chandra / "3c273.pi")
    assert s.background.backscal == 1.872535141462e-05 and s.response.area.max() > 100
    walk = read_spectrum(data_dir / "xray_spectra" / "xspec_walkthrough" / "s54405.pha")
    assert walk.response.name == "s54405.rsp" and walk.areascal == 1668.763306
    assert walk.channel[0] == 4 and np.array_equal(walk.response.channel, walk.channel)
    assert walk.poisserr is False and walk.time_start.iso == "1985-06-20 03:08:00.000"
    crab = read_spectrum(data_dir / "gamma/joint-crab/spectra/hess/pha_obs23523.fits")
    assert crab.background.backscal.tolist() == [12.0] * 80
    assert np.isclose(crab.response.e_hi[-1], 1e11)
    xte = read_spectrum(data_dir / "rxte_pca/sample/stdprod/30188-06-03-00/xp30188060300_s2.pha")
    assert xte.background.name == "xp30188060300_b2" and xte.response.matrix.shape == (300, 129)
    assert xte.time_start.iso.startswith("1998-09-08 00:0")


def test_grating_file(data_dir):
    spectra = read_spectra(data_dir / "xray_spectra/chandra/3c120_pha2.gz")
    assert [int(s.counts.sum()) for s in spectra[:3]] == [254, 703, 16298]
    assert np.isclose(spectra[0].background.backscal, 2 * 4.0188284)
    assert spectra[4].name == "3c120_pha2{5}"


def test_walkthrough_net_rate(data_dir):
    s = read_spectrum(data_dir / "xray_spectra/xspec_walkthrough/s54405.pha")
    rate = s.counts.sum() / s.exposure  # XSPEC's "net count rate" on loading
    error = np.sqrt((s.stat_err**2).sum()) / s.exposure
    assert np.isclose(rate, 3.783, atol=5e-4) and np.isclose(error, 0.1367, atol=5e-5)


def test_shared_responses_of_the_sample(data_dir):
    cache = ResponseCache()
    paths = sorted((data_dir / "rxte_pca/sample/grs1915").glob("*/src_pcu2.pha"))
    first = [read_spectrum(p, cache=cache).response for p in paths]
    again = [read_spectrum(p, cache=cache).response for p in paths]
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert len(cache) == len({r.key for r in first}) == len(paths)
