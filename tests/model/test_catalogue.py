"""The catalogue: XSPEC's names, order, defaults and limits."""

import json

import pytest

from jaxspec.model.catalogue import ALIASES, CATALOGUE
from jaxspec.model.component import ROLES
from jaxspec.model.own import ON_IMAGES
from jaxspec.model.surface_catalogue import SURFACES

NAMES = {
    "powerlaw": "PhoIndex norm",
    "cutoffpl": "PhoIndex HighECut norm",
    "bknpower": "PhoIndx1 BreakE PhoIndx2 norm",
    "logpar": "alpha beta pivotE norm",
    "gaussian": "LineE Sigma norm",
    "bbody": "kT norm",
    "bbodyrad": "kT norm",
    "diskbb": "Tin norm",
    "bremss": "kT norm",
    "constant": "factor",
    "edge": "edgeE MaxTau",
    "highecut": "cutoffE foldE",
    "phabs": "nH",
    "TBabs": "nH",
    "wabs": "nH",
    "zashift": "Redshift",
    "cflux": "Emin Emax lg10Flux",
}


def test_names_and_order():
    assert {c.name: " ".join(p.name for p in c.parameters) for c in CATALOGUE} == NAMES


@pytest.mark.parametrize("component", CATALOGUE, ids=lambda c: c.name)
def test_entry_is_complete(component):
    assert component.kind in ("add", "mul", "con")
    assert component.summary
    assert component.reference
    assert (component.prepare is None) == (component.lookup is None)
    names = [p.name for p in component.parameters]
    assert len(set(names)) == len(names)
    assert ("norm" in names) == (component.kind == "add")
    for p in component.parameters:
        assert p.hard_min <= p.soft_min <= p.default <= p.soft_max <= p.hard_max, p.name
        if p.role == "energy":  # parts of a band, and one on either side of it
            assert min(p.starts) < 0 < 1 < max(p.starts), p.name
        else:
            assert all(p.soft_min <= s <= p.soft_max for s in p.starts), p.name
    if component.kind == "add":
        norm = component.parameters[-1]
        assert norm[:6] == ("norm", 1.0, 0.0, 1e24, 0.0, 1e24)
        assert norm.unit


def test_every_free_shape_parameter_has_starts():
    free = [p for c in CATALOGUE for p in c.parameters if not (p.frozen or p.switch)]
    assert {p.name for p in free if not p.starts} == {"norm", "lg10Flux"}


def test_what_is_frozen():
    frozen = {p.name for c in CATALOGUE for p in c.parameters if p.frozen}
    assert frozen == {"pivotE", "Redshift", "Emin", "Emax"}
    assert {p.name for c in CATALOGUE for p in c.parameters if p.switch} == {"pivotE"}


def test_aliases():
    assert set(ALIASES.values()) <= {c.name for c in CATALOGUE}
    assert all(a == a.lower() for a in ALIASES)
    for alias, name in (("po", "powerlaw"), ("gauss", "gaussian"), ("tbabs", "TBabs")):
        assert ALIASES[alias] == name
    assert {"ga", "wa", "pha", "const", "bb", "bbod"} <= set(ALIASES)


@pytest.mark.parametrize("component", (*CATALOGUE, *SURFACES), ids=lambda c: c.name)
def test_meaning_stands_on_the_objects(component):
    for p in component.parameters:
        assert p.role in ROLES, p.name
        assert (p.role == "angle") == (p.period > 0), p.name
        assert not p.symbol or p.symbol.count("$") == 2, p.name
        if component.domain == "spectrum":
            assert p.role not in ON_IMAGES, p.name
    assert len(component.places("position")) in (0, 2)
    assert component.norm == (
        "norm" if component.kind == "add" and not component.domain == "image" else ""
    )
    names = set(component.names)
    tied = {n for one in component.natural for n in (one.of, one.carried, one.rival)}
    assert tied - {""} <= names
    if component.exchangeable:
        assert {n for part in component.exchangeable.parts for n in part} <= names


def test_against_xspec(reference_dir):
    with open(reference_dir / "xspec" / "parameters.json") as f:
        models = json.load(f)
    for component in CATALOGUE:
        listed = models[component.name]
        assert listed["type"] == component.kind
        own = [p for p in component.parameters if p.name != "norm"]
        for p, theirs in zip(own, listed["pars"], strict=True):
            assert theirs["name"].lstrip("*") == p.name
            numbers = [float(x) for x in theirs["default_hmin_smin_smax_hmax_delta"]]
            assert numbers[0] == p.default
            if len(numbers) == 6:
                assert numbers[1:5] == [p.hard_min, p.soft_min, p.soft_max, p.hard_max], p.name
                assert (numbers[5] < 0) == p.frozen, p.name
