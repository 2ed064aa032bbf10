"""What is fitted is what the objects hold, however they were made; bad ones are refused or rows."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from astropy import units
from toy import toy_response, toy_spectrum

import jaxspec as js
from jaxspec._status import Status
from jaxspec._types import Wide
from jaxspec.errors import InputError
from jaxspec.likelihood.spectrum_prepare import make_batches

RESPONSE = toy_response(24, fwhm=3.0)
SPECTRUM = js.fake("powerlaw", RESPONSE, 1000.0, {"PhoIndex": 1.8, "norm": 0.3}, seed=1)[0]


def changed(response, how):
    """The response with twice its area, in one of the ways in which people write that."""
    if how == "replace":
        return replace(response, area=2 * response.area)
    if how == "method":
        return response.replace(area=2 * response.area)
    if how == "matrix":
        return replace(response, matrix=2 * response.matrix)
    fields = {k: getattr(response, k) for k in response.__dataclass_fields__}
    return js.Response(**fields | {"area": 2 * response.area})


@pytest.mark.parametrize("how", ["replace", "method", "matrix", "by hand"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_perturbed_response_beside_the_original(how, first):
    assert RESPONSE.key  # hashed before
    both = [SPECTRUM, SPECTRUM.replace(response=changed(RESPONSE, how))]
    if first:
        both = both[::-1]
    result = js.fit("powerlaw", both)
    assert result.ok.all()
    norm = result.value("norm")
    assert norm[first] / norm[1 - first] == pytest.approx(2.0, rel=1e-6)


def test_other_fields_make_another_response():
    keys = {RESPONSE.key}
    for field in ("e_min", "e_max", "channel"):
        keys.add(replace(RESPONSE, **{field: getattr(RESPONSE, field) + 1}).key)
    keys.add(replace(RESPONSE, e_lo=RESPONSE.e_lo * 2, e_hi=RESPONSE.e_hi * 2).key)
    keys.add(RESPONSE.replace(doubtful=((1.0, 2.0),)).key)
    assert len(keys) == 6
    assert RESPONSE.replace(name="another", diagnostics=("x",)).key == RESPONSE.key
    again = toy_response(24, fwhm=3.0)
    assert again is not RESPONSE and again.key == RESPONSE.key


def test_nobody_can_change_what_was_hashed():
    area = np.full(40, 10.0)
    response = RESPONSE.replace(area=area)
    before = response.key
    area *= 2  # the caller's own array
    assert response.area[0] == 10.0 and response.key == before
    for values in (response.area, response.matrix.data, response.e_lo):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0
    with pytest.raises(FrozenInstanceError):
        response.area = area  # ty: ignore


def test_parts_of_one_response_are_not_each_other():
    """Spectra on other channels of one response, whose bins are numbered alike."""
    whole = SPECTRUM
    halves = [
        whole.replace(channel=whole.channel[part], counts=whole.counts[part])
        for part in (slice(0, 12), slice(12, 24))
    ]
    both = js.fit("powerlaw", halves)
    alone = [js.fit("powerlaw", [half]) for half in halves]
    noticed = [
        js.fit("powerlaw", js.SpectrumList([whole]).notice(channels=c)) for c in ("0-11", "12-23")
    ]
    for i in range(2):
        assert np.allclose(both.params[i], alone[i].params[0], rtol=1e-10)
        assert np.allclose(both.params[i], noticed[i].params[0], rtol=1e-6)


SPECTRA = {
    "counts": (dict(counts=np.ones(5)), "counts: has 5 values for 24 channels"),
    "counts of two dimensions": (dict(counts=np.ones((2, 12))), "has the shape"),
    "no counts": (dict(counts=None), "counts"),
    "errors": (dict(stat_err=np.ones(3)), "stat_err: has 3 values"),
    "quality": (dict(quality=np.zeros(3, int)), "quality: has 3 values"),
    "grouping": (dict(grouping=[1, -1]), "grouping: has 2 values"),
    "areascal": (dict(areascal=np.ones(3)), "areascal: has 3 values"),
    "exposure 0": (dict(exposure=0.0), "exposure: is 0.0; give seconds, above 0"),
    "exposure nan": (dict(exposure=np.nan), "exposure: is nan"),
    "exposure of many": (dict(exposure=np.ones(24)), "exposure: is array"),
    "backscal 0": (dict(backscal=0.0), "backscal: is 0.0"),
    "backscal nan": (dict(backscal=np.nan), "backscal: is nan"),
    "backscal 0 in all": (dict(backscal=np.zeros(24)), "backscal: holds 0"),
    "nan in backscal": (dict(backscal=np.where(np.arange(24) == 2, np.nan, 1)), "holds nan"),
    "channel twice": (dict(channel=np.r_[0, 0:23]), "channel: holds a channel number twice"),
    "channel of text": (dict(channel=np.array(["a"] * 24)), "no channel number"),
    "masked counts": (dict(counts=np.ma.masked_equal(np.arange(24), 3)), "counts: is masked in 1"),
    "complex counts": (dict(counts=np.ones(24) + 0j), "counts: holds array"),
    "an exposure with a unit": (dict(exposure=2 * units.ks), "has the unit ks; give seconds"),
    "quality nan": (
        dict(quality=np.full(24, np.nan)),
        "quality: holds numbers that are not finite",
    ),
    "a background of numbers": (dict(background=np.ones(24)), "background: is a ndarray"),
    "a header that is none": (dict(header=["OBJECT"]), "header: is a list"),
    "background": (dict(background=toy_spectrum(np.ones(3), response=None)), "has 3 channels"),
}


@pytest.mark.parametrize("kind", SPECTRA)
def test_spectra_that_cannot_be_are_refused_or_rows(kind):
    changes, words = SPECTRA[kind]
    with pytest.raises(InputError, match=f"fake parameter .*{words}"):
        SPECTRUM.replace(**changes)
    both = js.SpectrumList([SPECTRUM, SPECTRUM.replace(name="b")])
    both = both.map(lambda s: s.replace(**changes) if s.name == "b" else s)
    result = js.fit("powerlaw", both)
    assert result.ok[0] and result.status[1] == Status.BAD_DATA and result.messages[1]


RESPONSES = {
    "short area": (dict(area=np.ones(3)), "area: has 3 values; the matrix has 40 energies"),
    "short e_min": (dict(e_min=np.ones(3)), "e_min: has 3 values; the matrix has 24 channels"),
    "one number": (dict(area=10.0), "area: has the shape"),
    "descending": (dict(e_lo=RESPONSE.e_lo[::-1], e_hi=RESPONSE.e_hi[::-1]), "e_lo: row 2 is"),
    "nan": (dict(e_hi=RESPONSE.e_hi * np.nan), "e_lo: row 1 is"),
    "from 0": (dict(e_lo=RESPONSE.e_lo - RESPONSE.e_lo[0]), "row 1 is 0-"),
    "overlap": (dict(e_hi=RESPONSE.e_hi + 0.2), "energy bins overlap: row 1"),
    "negative area": (dict(area=-RESPONSE.area), "area: holds -10 cm2"),
    "nan area": (dict(area=RESPONSE.area * np.nan), "area: holds nan cm2"),
    "turned matrix": (dict(matrix=RESPONSE.matrix.T), "the matrix has 24 energies"),
}


@pytest.mark.parametrize("kind", RESPONSES)
def test_responses_that_cannot_be_are_refused(kind):
    changes, words = RESPONSES[kind]
    with pytest.raises(InputError, match=f"toy.rsp parameter .*{words}"):
        replace(RESPONSE, **changes)


def test_lists_and_dense_matrices_are_taken():
    response = RESPONSE.replace(matrix=RESPONSE.matrix.toarray(), area=list(RESPONSE.area))
    one = SPECTRUM.replace(response=response, counts=list(SPECTRUM.counts))
    made = js.fit("powerlaw", [one, SPECTRUM])
    assert np.array_equal(*made.params)


def test_bad_elements_and_errors_by_hand_are_rows():
    values = RESPONSE.matrix.copy()
    values.data = -values.data
    errors = np.where(np.arange(24) == 5, 0.0, 3.0)
    rows = [
        SPECTRUM,
        SPECTRUM.replace(response=RESPONSE.replace(matrix=values)),
        SPECTRUM.replace(poisserr=False, stat_err=errors),
    ]
    result = js.fit("powerlaw", rows, ["cstat", "cstat", "chi2"])
    assert result.ok.tolist() == [True, False, False]
    assert "mostly negative at" in result.messages[1]
    assert "STAT_ERR is 0 in channels 5 and real in others" in result.messages[2]
    quality = np.where(np.arange(24) == 5, 5, 0)
    assert js.fit("powerlaw", [rows[2].replace(quality=quality)], "chi2").ok[0]


def test_backgrounds_that_cannot_be_counts_are_rows():
    """In every channel that the spectrum uses, whatever the quality of the background says."""
    counts = np.where(np.arange(24) == 5, -3.0, 4.0)
    errors, bad = np.full(24, 2.0), np.where(np.arange(24) == 5, 5, 0)
    behind = toy_spectrum(counts, response=None, poisserr=False, stat_err=errors, quality=bad)
    spectrum = SPECTRUM.replace(background=behind)
    nan = behind.replace(counts=np.where(counts < 0, np.nan, counts))
    rows = [spectrum, spectrum, SPECTRUM.replace(background=nan), spectrum.replace(quality=bad)]
    result = js.fit("powerlaw", rows, ["wstat", "pgstat", "pgstat", "wstat"])
    assert result.ok.tolist() == [False, True, False, True]
    assert "The background's counts reach -3, which cannot be Poisson" in result.messages[0]
    assert "The background's counts hold numbers that are not finite" in result.messages[2]


def test_what_was_assumed_is_in_the_result():
    """Once for sentences that differ in numbers alone, with how many data they are of."""
    spectra = [
        SPECTRUM.replace(name=f"s{i}", diagnostics=(f"COUNTS is odd in {i} channels",))
        for i in range(3)
    ]
    odd = RESPONSE.replace(diagnostics=("toy.rsp: the bins leave 2 gaps",))
    sky = toy_spectrum(np.ones(24), response=None, diagnostics=("BACKSCAL is 0",))
    spectra[2] = spectra[2].replace(response=odd, background=sky)
    notes = js.fit("powerlaw", spectra, "cash").notes
    said = {text: n for text, n in notes.items() if "as asked" not in text}
    assert said == {
        "COUNTS is odd in 0 channels (in s0; others differ in the numbers).": 3,
        "background: BACKSCAL is 0.": 1,
        "response: the bins leave 2 gaps.": 1,
    }


def test_numpy_that_raises_does_not_end_a_batch():
    empty = SPECTRUM.replace(counts=np.zeros(24), stat_err=np.zeros(24), poisserr=False)
    sky = toy_spectrum(np.zeros(24), response=None, backscal=np.r_[0.0, np.ones(23)])
    rows = js.SpectrumList([SPECTRUM, empty, SPECTRUM.replace(background=sky)])
    with np.errstate(all="raise"):
        made = js.fake("TBabs*powerlaw", RESPONSE, 1e-5, {"nH": 1e4}, seed=2)
        grouped = rows.group(min_counts=5).notice("1-10")
        for stat in ("auto", "chi2", "chi2-churazov"):
            result = js.fit("powerlaw", js.SpectrumList([*rows, *grouped, *made]), stat)
            assert result.ok[0] and len(result.table) == 7 and str(result)
    assert result.ok[0]


def test_too_little_memory_ends_one_row(monkeypatch):
    from jaxspec.reduce import batch, fold

    true = batch.spectrum_bins

    def bins(spectrum):
        if spectrum.name == "b":
            raise MemoryError
        return true(spectrum)

    monkeypatch.setattr(batch, "spectrum_bins", bins)
    pattern = fold.find_pattern

    def find(plan, *args):
        if plan.response.name == "huge.rsp":
            raise MemoryError
        return pattern(plan, *args)

    monkeypatch.setattr(fold, "find_pattern", find)
    other = SPECTRUM.replace(name="b", filters=js.SpectrumList([SPECTRUM]).notice("1-9")[0].filters)
    huge = SPECTRUM.replace(response=toy_response(24).replace(name="huge.rsp"))
    result = js.fit("powerlaw", [SPECTRUM, other, huge])
    assert result.ok.tolist() == [True, False, False]
    assert set(result.status[1:]) == {Status.BAD_DATA}
    assert "do not fit into memory" in result.messages[1]
    assert "huge.rsp does not fit into memory" in result.messages[2]


def test_equal_responses_are_folded_once():
    same = [SPECTRUM, SPECTRUM.replace(response=toy_response(24, fwhm=3.0))]
    model = js.Model("powerlaw")
    (batch,) = make_batches(model, same, ["cstat"] * 2, 1, lambda *_: None)
    assert batch.n_inputs == 1


def test_a_response_without_area_is_a_row_with_a_status():
    spectrum = toy_spectrum(np.full(32, 50))
    blind = spectrum.replace(response=spectrum.response.replace(area=np.zeros(40)))
    shifted = spectrum.replace(channel=spectrum.channel + 1)  # equally many as in its response
    result = js.fit("powerlaw", [spectrum, blind, shifted], stat="cstat")
    assert result.status[0] == Status.OK and (result.status[1:] == Status.BAD_DATA).all()
    assert "no effective area" in result.messages[1]
    assert "response toy.rsp 32, 0 to 31: channel 32 is not there" in result.messages[2]


def test_the_statistic_of_given_values(tmp_path):
    """With nothing free, what XSPEC's ``statistic`` says after ``newpar``, for one and for many."""
    model = js.Model("powerlaw")
    model["PhoIndex"].freeze(1.5)
    model["norm"].freeze(0.02)
    data = [toy_spectrum(np.arange(32.0)), toy_spectrum(np.full(32, 50), name="flat")]
    response = data[0].response
    edges = np.append(response.e_lo, response.e_hi[-1])
    photons = 0.02 * js.evaluate("powerlaw", edges, [1.5])
    rate = response.matrix.T @ (response.area * photons)
    terms = [js.statistic("cash", counts=s.counts, exposure=1000.0, rate=rate) for s in data]
    result = js.fit(model, data, stat="cstat")
    np.testing.assert_allclose(result.stat, np.sum(terms, axis=1), rtol=1e-12)
    assert result.ok.all() and list(result.table["dof"]) == [32, 32] and result.n_free == 0
    assert np.isfinite(result.stat_expected).all() and result.columns == []
    assert result.messages[0].startswith("Nothing is free")
    said = result.summary()
    assert "evaluated for 2 spectra: 2 OK" in said and "errors mean" not in said
    back = js.read_result(result.write(tmp_path / "a.ecsv"), data)
    np.testing.assert_array_equal(back.stat, result.stat)
    together = js.fit(model, data, joint=True, stat="cstat")
    np.testing.assert_allclose(together.total[0], np.sum(terms), rtol=1e-12)


def test_a_response_of_another_detector_is_refused():
    """As in files: a response of 4096 channels was folded with a spectrum of 1024."""
    header = {"DETCHANS": 24}
    for limits, n in (({}, 24), ({}, 32), ({"TLMIN1": 0, "TLMAX1": 31}, 32)):
        response = toy_response(n, fwhm=3.0)
        part = SPECTRUM.replace(response=None, header=header | limits)
        if n == 24 or limits:
            assert part.replace(response=response).response is response
        else:
            with pytest.raises(InputError, match="has 32 channels, and the spectrum .* of 24"):
                part.replace(response=response)


def test_a_response_is_no_path():
    with pytest.raises(InputError, match="response: is a str"):
        toy_spectrum(np.full(32, 50)).replace(response="a.rsp")


def arrays_of(item):
    """All arrays in the fields of a dataclass, and those in their tuples."""
    found = {}
    for name, value in vars(item).items():
        for i, part in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(part, np.ndarray):
                found[f"{type(item).__name__}.{name}.{i}"] = part
    return found


def test_arrays_of_data_cannot_be_changed():
    """Copies share them: what is changed in one would be changed in all."""
    counts, mask = np.full((21, 21), 3.0), np.zeros((21, 21), bool)
    image = js.Image("a", counts, np.full((21, 21), 9.0), mask, background=counts, area=counts)
    own = np.arange(6.0)
    spectrum = toy_spectrum(own, stat_err=own + 1, quality=np.zeros(6, int), areascal=own + 1)
    ring = js.profile(image, center=(10, 10), bins="linear", n_bins=3)
    psf = js.gaussian_psf(fwhm=3.0)
    hand = replace(psf, kernel=np.array(psf.kernel))
    places = np.arange(3)
    wide = Wide(places, 3, places, places, places, places, places, own[:3])
    for item in (image, image.masked(where=counts > 5), image.rebin(3), ring, psf, hand, wide):
        bad = [name for name, values in arrays_of(item).items() if values.flags.writeable]
        assert not bad, bad
    copy = spectrum.replace(name="b")
    for name, values in arrays_of(spectrum).items():
        assert not values.flags.writeable and values is arrays_of(copy)[name]
    for name, values in arrays_of(SPECTRUM).items():
        assert not values.flags.writeable, name
    with pytest.raises(ValueError, match="read-only"):
        copy.counts[2] = 7.0
    counts[0, 0], own[1], mask[0] = 99.0, 99.0, True  # what the user holds is another array
    assert image.counts[0, 0] == 3 and image.background[0, 0] == 3 and not image.mask.any()
    assert spectrum.counts[1] == 1


KINDS = {  # calls with a thing of the wrong kind, and what is said
    "exposur": (
        lambda: SPECTRUM.replace(exposur=1),
        "Spectrum has no field 'exposur'; .*'exposure'",
    ),
    "are": (lambda: RESPONSE.replace(are=1), "no field 'are'; did you mean 'area'"),
    "no matrix": (lambda: RESPONSE.replace(matrix=None), "matrix: is None; give a matrix"),
    "a vector": (lambda: RESPONSE.replace(matrix=np.ones(3)), "matrix: has 1 dimensions|has 24"),
    "filters": (lambda: SPECTRUM.replace(filters=None), "filters: is None; give a tuple"),
    "pha": (lambda: js.read_pha(5), "path: is 5; give a path"),
    "phas": (lambda: js.read_pha([None]), "path: is None; give a path"),
    "response": (lambda: js.read_response(None), "response is a NoneType; give a path or"),
    "arf": (lambda: js.read_arf(None), "path: is None"),
    "image": (lambda: js.read_image(3), "path: is 3"),
    "psf": (lambda: js.read_psf(3), "path: is 3"),
    "result": (lambda: js.read_result(3), "path: is 3"),
    "posterior": (lambda: js.read_posterior(3), "path: is 3"),
    "write": (lambda: js.write_pha(3, "a.pha"), "spectrum: is 3; give a Spectrum"),
    "write arf": (lambda: js.write_arf(3, "a.arf"), "response: is 3; give a Response, or"),
    "write image": (lambda: js.write_image(3, "a.fits"), "image: is 3; give an Image"),
    "tol": (lambda: js.fit("powerlaw", SPECTRUM, tol=None), "tol: None is not a positive"),
    "fit": (lambda: js.fit(None), "None is neither a spectrum nor"),
    "counts": (lambda: js.statistic("cash", counts=None, exposure=1, rate=1), "counts: is missing"),
    "fake": (lambda: js.fake("powerlaw", None, 1.0), "response: is None; give a Response"),
    "fake model": (lambda: js.fake(3, RESPONSE, 1.0), "model: is 3; give a Model"),
    "fake params": (lambda: js.fake("powerlaw", RESPONSE, 1.0, 3), "params: is 3; give a dict"),
    "fake value": (lambda: js.fake("powerlaw", RESPONSE, 1.0, {"norm": "x"}), "norm: is 'x'"),
    "fake exposure": (lambda: js.fake("powerlaw", RESPONSE, "x"), "exposure: is 'x'; give seconds"),
    "seed": (lambda: js.fake("powerlaw", RESPONSE, 1.0, seed="x"), "seed: is 'x'"),
    "list": (lambda: js.SpectrumList(None), "items: is None; give a list"),
    "profile": (lambda: js.profile(3), "image: is 3; give an Image"),
    "peak": (lambda: js.peak(3), "image: is 3; give an Image"),
    "psf kernel": (lambda: js.Psf(None), "kernel: has 0 dimensions, not 2"),
    "limit": (
        lambda: setattr(js.Model("powerlaw")["norm"], "min", None),
        "min None is not a number",
    ),
    "max": (lambda: setattr(js.Model("powerlaw")["norm"], "max", 0.5), "1 is outside the limits"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_of_the_wrong_kind_is_named_with_a_remedy(kind):
    call, said = KINDS[kind]
    with pytest.raises(InputError, match=said):
        call()
