"""A response of two energy grids, as those of calorimeters: a core, and a tail on wider bins.

The right values come from scipy.sparse on the arrays that went into the files.
"""

import numpy as np
import pytest
import scipy.sparse
from astropy.io import fits

import jaxspec as js
from jaxspec.errors import InputError
from jaxspec.estimate.simulate import expected_rates
from jaxspec.likelihood.forward import predict
from jaxspec.read import response as reading
from jaxspec.read.write import write_response, write_rmf
from jaxspec.reduce import fold
from jaxspec.reduce.bins import spectrum_bins
from jaxspec.report.describe import response_rows

N, FACTOR = 640, 16
EDGES = np.linspace(0.5, 12.5, N + 1)
AREA = 200.0 * np.exp(-((EDGES[:-1] - 4.0) ** 2) / 30.0) * (EDGES[:-1] > 0.8)
TRUTH = {"PhoIndex": 1.8, "norm": 0.1}


def core():
    """Gaussian lines of a few channels."""
    at = np.arange(N)
    made = np.exp(-0.5 * ((at[:, None] - at) / 1.5) ** 2)
    return scipy.sparse.csr_array(np.where(made > 1e-3, 0.27 * made, 0.0).astype(np.float32))


def tail():
    """What a photon leaves below its energy, on bins 16 times as wide: half of all counts."""
    top = (np.arange(N // FACTOR) + 1) * FACTOR - 1
    shape = np.random.default_rng(4).uniform(0.5, 1.5, (len(top), N)).astype(np.float32)
    return np.where(np.arange(N) < top[:, None], shape / np.float32(N), np.float32(0.0))


def spread():
    """Both on the finer bins."""
    return core().astype(float) + scipy.sparse.csr_array(tail()[np.arange(N) // FACTOR]).astype(
        float
    )


def matrix_hdu(rows, edges):
    values = np.empty(rows.shape[0], object)
    first, width = [], []
    for i, row in enumerate(np.asarray(rows.todense() if hasattr(rows, "todense") else rows)):
        used = np.flatnonzero(row)
        first.append(used[0] if len(used) else 0)
        width.append(used[-1] - used[0] + 1 if len(used) else 0)
        values[i] = row[first[-1] : first[-1] + width[-1]]
    columns = [
        fits.Column("ENERG_LO", "D", unit="keV", array=edges[:-1]),
        fits.Column("ENERG_HI", "D", unit="keV", array=edges[1:]),
        fits.Column("N_GRP", "I", array=np.ones(len(values))),
        fits.Column("F_CHAN", "J", array=first),
        fits.Column("N_CHAN", "J", array=width),
        fits.Column("MATRIX", "PE()", array=values),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="MATRIX")
    hdu.header.update(HDUCLAS1="RESPONSE", HDUCLAS2="RSP_MATRIX", HDUCLAS3="REDIST", TLMIN4=0)
    return hdu


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """RMF with both extensions, and an ARF."""
    folder = tmp_path_factory.mktemp("grids")
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "J", array=np.arange(N)),
            fits.Column("E_MIN", "D", unit="keV", array=EDGES[:-1]),
            fits.Column("E_MAX", "D", unit="keV", array=EDGES[1:]),
        ],
        name="EBOUNDS",
    )
    both = [matrix_hdu(core(), EDGES), matrix_hdu(tail(), EDGES[::FACTOR])]
    fits.HDUList([fits.PrimaryHDU(), *both, bounds]).writeto(folder / "two.rmf")
    js.write_arf((EDGES[:-1], EDGES[1:], AREA), folder / "two.arf")
    return str(folder / "two.rmf"), str(folder / "two.arf")


@pytest.fixture(params=["double", "single"])
def response(files, monkeypatch, request):
    """The tail kept apart, as it is where it is large; its matrix in double and in single."""
    monkeypatch.setattr(reading, "SPREAD", 0)
    monkeypatch.setattr(fold, "SINGLE", 0 if request.param == "single" else 2**40)
    made = js.read_response(*files)
    assert len(made.wide) == 1 and made.matrix.nnz == core().nnz
    return made


def rates(parameters=(1.8, 0.1)):
    """Counts/s in each channel: power law in closed form, folded by scipy."""
    index, norm = parameters
    power = 1.0 - index
    flux = norm * (EDGES[1:] ** power - EDGES[:-1] ** power) / power
    return (flux * AREA) @ spread()


def spectrum(response, **group):
    made = js.fake("powerlaw", response, 2000.0, TRUTH, seed=3)[0]
    made = js.SpectrumList([made]).notice("2-10")
    return (made.group(**group) if group else made)[0]


def test_simulations_fold_both_parts(response):
    np.testing.assert_allclose(expected_rates("powerlaw", response, TRUTH)[0], rates(), rtol=1e-10)


@pytest.mark.parametrize("rule", [{}, {"min_counts": 25}, {"factor": 7}, {"optimal": True}])
def test_bins_hold_what_scipy_folds(response, rule):
    data = spectrum(response, **rule)
    index, n_bin = spectrum_bins(data)
    kept = index >= 0
    right = np.bincount(index[kept], rates()[kept], n_bin)
    found = predict(js.Model("powerlaw"), data, np.array([1.8, 0.1]))
    np.testing.assert_allclose(found, right, rtol=1e-10)


def test_fits_are_those_of_the_spread_matrix(files, response, monkeypatch):
    rule = {"min_counts": 25}
    monkeypatch.setattr(reading, "SPREAD", 2**24)
    whole = js.read_response(*files)
    assert not whole.wide
    apart = js.fit("TBabs*powerlaw", spectrum(response, **rule), "cstat")
    summed = js.fit("TBabs*powerlaw", spectrum(whole, **rule), "cstat")
    np.testing.assert_allclose(apart.params, summed.params, rtol=1e-6)
    np.testing.assert_allclose(
        apart.covariances["observed"], summed.covariances["observed"], rtol=1e-5
    )
    simple = js.Model("TBabs*powerlaw")
    simple["nH"].freeze(0.0)
    fit = js.fit(simple, spectrum(response, **rule), "cstat")
    for name, true in TRUTH.items():
        assert abs(fit.value(name)[0] - true) < 4 * fit.error(name)[0]
    assert fit.ok.all()


def test_many_with_areas_of_their_own_share_the_tail(files, response):
    from dataclasses import replace

    data = []
    for i in range(3):
        own = replace(response, area=response.area * (1 + 0.2 * i))
        data.append(spectrum(own))
    result = js.fit("powerlaw", js.SpectrumList(data), "cstat")
    off = (result.params - [1.8, 0.1]) / np.sqrt(
        np.diagonal(result.covariances["observed"], axis1=1, axis2=2)
    )
    assert result.ok.all() and np.all(abs(off) < 4)


def test_resolution_is_that_of_the_spread_matrix(files, response, monkeypatch):
    from jaxspec.reduce.group import resolution

    monkeypatch.setattr(reading, "SPREAD", 2**24)
    np.testing.assert_allclose(resolution(response), resolution(js.read_response(*files)))


def test_channels_can_be_left_out(response):
    index = np.array([5, 9, 100, 101, 400])
    fewer = reading.select_channels(response, index, response.channel[index])
    found = expected_rates("powerlaw", fewer, TRUTH)[0]
    np.testing.assert_allclose(found, rates()[index], rtol=1e-10)


def test_written_and_read_again(response, tmp_path):
    write_rmf(response, tmp_path / "again.rmf")
    again = js.read_response(tmp_path / "again.rmf", (EDGES[:-1], EDGES[1:], AREA))
    assert len(again.wide) == 1
    np.testing.assert_allclose(expected_rates("powerlaw", again, TRUTH), rates()[None], rtol=1e-10)
    with pytest.raises(InputError, match="wider energy bins"):
        write_response(response, tmp_path / "full.rsp")


def test_described_with_both_parts(response):
    (text,) = [text for name, text in response_rows(response) if name == "matrix"]
    assert f"largest area {(AREA * spread().sum(axis=1)).max():.5g} cm2" in text


def test_numbers_that_are_not_finite_are_found(files, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "SPREAD", 0)
    monkeypatch.setattr(reading, "BLOCK", 100)
    with fits.open(files[0]) as hdus:
        hdus[2].data["MATRIX"][7][20] = np.nan
        hdus.writeto(tmp_path / "bad.rmf")
    with pytest.raises(InputError, match=r"row 8 holds NaN"):
        js.read_response(tmp_path / "bad.rmf")
