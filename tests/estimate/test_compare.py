"""Comparison of models by each criterion, and what it says in words."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import QTable
from toy_posterior import flat_posterior, tilted_posterior, toy_image

from jaxspec.errors import InputError
from jaxspec.estimate.compare import compare, ranked
from jaxspec.sample.information import Dic, Predictive


@pytest.fixture(scope="module")
def pair():
    image = toy_image(slope=1.5)
    return {"flat": flat_posterior(image), "tilted": tilted_posterior(image)}


def test_dic(pair):
    found = compare(pair)
    assert found.criterion == "dic" and found.names == ("tilted", "flat")
    difference = pair["flat"].dic() - pair["tilted"].dic()
    np.testing.assert_allclose(found.differences, [0.0, difference])
    np.testing.assert_allclose(found.p, [2.0, 1.0], atol=0.3)
    assert np.isnan(found.errors).all() and difference > 10
    assert found.sentence == (
        f"tilted is strongly preferred to flat: its DIC is lower by {difference:.1f}"
    )
    table = found.table
    assert isinstance(table, QTable) and list(table["name"]) == ["tilted", "flat"]
    assert table.colnames == ["name", "dic", "difference", "p", "note"]
    assert table["dic"][1] == pair["flat"].dic()
    other = compare(pair, form="variance", constant=False)
    assert other.results["flat"] == pair["flat"].dic("variance", constant=False)
    assert "constant terms excluded" in repr(other)


@pytest.mark.parametrize("criterion", ["waic", "loo"])
def test_predictive(pair, criterion):
    found = compare(pair, criterion, max_draws=400)
    assert found.names == ("tilted", "flat")
    one, other = (getattr(pair[n], criterion)(max_draws=400) for n in ("tilted", "flat"))
    assert found.values[0] == one.deviance
    terms = -2 * (other.pointwise - one.pointwise)
    assert found.differences[1] == pytest.approx(terms.sum())
    assert found.errors[1] == pytest.approx(np.sqrt(len(terms)) * terms.std())
    assert found.errors[0] == 0.0
    assert found.errors[1] < other.se  # the pixels have most of their scatter in common
    assert list(found.table["difference_err"]) == list(found.errors)
    assert "+-" in repr(found) and "400 of 4000 draws" in repr(found)


def test_annuli_are_shared(pair):
    found = compare(pair, "loo", by="annuli", center=(4, 4))
    assert {len(r.pointwise) for r in found.results.values()} == {45}
    with pytest.raises(InputError, match="no centre"):
        compare(pair, "loo", by="annuli")


def test_models_that_the_data_cannot_tell_apart():
    image = toy_image(slope=0.0)
    pair = {"a": flat_posterior(image), "b": tilted_posterior(image)}
    for criterion in ("dic", "waic"):
        found = compare(pair, criterion)
        assert "hardly preferred" in found.sentence and "tell them apart" in found.sentence


def predictive(terms):
    terms = np.asarray(terms, float)
    return Predictive("loo", terms.sum(), 1.0, 2.0, terms, "pixels", 100, None, 0, "")


@pytest.mark.parametrize(
    "difference, word", [(1.9, "hardly"), (2, "slightly"), (9.9, "clearly"), (10, "strongly")]
)
def test_words_for_dic(difference, word):
    results = {
        name: Dic(value, 1.0, 0.0, 0.0, "mean", True, "")
        for name, value in (("b", 100.0 + difference), ("a", 100.0), ("c", 300.0))
    }
    found = ranked("dic", results)
    assert found.names == ("a", "b", "c")
    assert found.sentence.startswith(f"a is {word} preferred to b: ")


@pytest.mark.parametrize(
    "shift, scatter, word",
    [(0.03, 0.0, "hardly"), (0.1, 0.1, "strongly"), (0.1, 0.3, "clearly"), (0.1, 0.9, "hardly")],
)
def test_words_for_loo(shift, scatter, word):
    # 100 terms: the difference is 200 shift, its error 20 scatter
    wave = scatter * np.where(np.arange(100) % 2, 1.0, -1.0)
    found = ranked("loo", {"b": predictive(np.zeros(100)), "a": predictive(shift + wave)})
    np.testing.assert_allclose(found.differences, [0.0, 200 * shift])
    np.testing.assert_allclose(found.errors, [0.0, 20 * scatter], atol=1e-12)
    assert found.sentence.startswith(f"a is {word} preferred to b")


def test_text_is_aligned(pair):
    for criterion in ("dic", "loo"):
        lines = repr(compare(pair, criterion)).splitlines()
        assert len({len(line) for line in lines[:3]}) == 1
        assert lines[0].split()[:2] == ["model", criterion.upper()]
        assert lines[3].startswith("tilted is ")
    assert compare(pair)._repr_html_().startswith("<pre>model")


def test_refusals(pair):
    with pytest.raises(InputError, match="use dic, waic, loo"):
        compare(pair, "bic")
    for few in ({"flat": pair["flat"]}, list(pair.values()), {}):
        with pytest.raises(InputError, match="two posteriors or more"):
            compare(few)
    image = pair["flat"].data
    other = flat_posterior(image.masked(where=image.counts > 9))
    with pytest.raises(InputError, match=r"flat and other .* toy with 69 pixels and .* toy with"):
        compare({**pair, "other": other})
    with pytest.raises(InputError, match="flat is a Posterior, fit is a str") as raised:
        compare({"flat": pair["flat"], "fit": "beta"})
    assert "results of js.sample" in str(raised.value)
    lost = replace(pair["flat"], data=None)
    with pytest.raises(InputError, match="unknown data"):
        compare({"flat": lost, "tilted": pair["tilted"]})


def test_after_reading_without_data(pair):
    read = {
        name: replace(
            p,
            data=None,
            settings={"data": p.fingerprint, "deviance_at_mean": p.deviance_at_mean},
        )
        for name, p in pair.items()
    }
    np.testing.assert_allclose(compare(read).values, compare(pair).values)
