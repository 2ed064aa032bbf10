"""Which of several models of the same data is to be preferred."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxspec._text import align
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import kind_of
from jaxspec.sample.information import center_of

CRITERIA = ("dic", "waic", "loo")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Models by an information criterion on the deviance scale, the best one first.

    Parameters
    ----------
    criterion : "dic", "waic" or "loo"
    names : tuple of str
    values : (n,), the criterion; lower is better.
    differences : (n,), to the best one.
    errors : (n,), standard errors of the differences; NaN for the DIC, which has none.
    p : (n,), effective numbers of parameters.
    results : dict from name to `Dic` or `Predictive`
    sentence : str, what is preferred and how strongly.
    """

    criterion: str
    names: tuple[str, ...]
    values: np.ndarray
    differences: np.ndarray
    errors: np.ndarray
    p: np.ndarray
    results: dict
    sentence: str

    @cached_property
    def table(self):
        """`astropy.table.QTable`: name, criterion, difference, (its error,) p, note."""
        from astropy.table import QTable

        out = QTable({"name": list(self.names), self.criterion: self.values})
        out["difference"] = self.differences
        if self.criterion != "dic":
            out["difference_err"] = self.errors
        out["p"] = self.p
        out["note"] = [self.results[name].sentence for name in self.names]
        out.meta["SENTENCE"] = self.sentence
        return out

    def __repr__(self):
        head = ["model", self.criterion.upper(), "difference", "p"]
        rows = [
            [name, f"{value:.2f}", f"{difference:.2f}", f"{p:.2f}"]
            for name, value, difference, p in zip(
                self.names, self.values, self.differences, self.p, strict=True
            )
        ]
        if self.criterion != "dic":
            head.insert(3, "+-")
            for row, error in zip(rows, self.errors, strict=True):
                row.insert(3, f"{error:.2f}")
        lines = align([head, *rows], right=range(1, len(head)))
        notes = [f"{name}: {self.results[name].sentence}" for name in self.names]
        return "\n".join([*lines, self.sentence, *notes])

    def _repr_html_(self):
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"


def compare(posteriors, criterion: str = "dic", **options) -> Comparison:
    """Compare models that were sampled on the same data.

    Parameters
    ----------
    posteriors : dict from name to Posterior, two or more.
    criterion : {"dic", "waic", "loo"}
        "waic" and "loo" also give the standard error of each difference, from its terms for the
        single pixels or annuli.
    **options
        ``form, constant`` of `Posterior.dic` (by default "mean", but "variance" for all models if
        one of them has a negative pD); ``by, max_draws, center`` of `Posterior.waic` and
        `Posterior.loo`. All models get the same annuli, about the centre of the first.

    Returns
    -------
    Comparison
        On the deviance scale (-2 ln L): lower is better.

    Raises
    ------
    InputError
        Fewer than two posteriors, an unknown criterion, or different data.

    Examples
    --------
    >>> import jaxspec as js
    >>> js.compare({"single": a, "double": b})                          # doctest: +SKIP
    >>> js.compare({"single": a, "double": b}, "loo", by="annuli")      # doctest: +SKIP
    """
    if criterion not in CRITERIA:
        raise InputError(
            f"is {criterion!r}", parameter="criterion", remedy=f"use {', '.join(CRITERIA)}"
        )
    if not isinstance(posteriors, dict) or len(posteriors) < 2:
        raise InputError(
            "a comparison takes a dict of two posteriors or more",
            remedy='compare({"single": a, "double": b})',
        )
    _check_same_data(posteriors)
    first = next(iter(posteriors.values()))
    has_pixels = first.data is not None and kind_of(first.data).has_pixels
    if options.get("by") == "annuli" and has_pixels:
        options["center"] = center_of(first, options.get("center"))
    results = {n: getattr(p, criterion)(**options) for n, p in posteriors.items()}
    if criterion == "dic" and "form" not in options and any(r.p_d < 0 for r in results.values()):
        # the mean of a curved posterior lies outside of it: the other form knows no mean
        results = {n: p.dic("variance", **options) for n, p in posteriors.items()}
    return ranked(criterion, results)


def ranked(criterion, results) -> Comparison:
    """Comparison of the results of one criterion, a dict from name to `Dic` or `Predictive`."""
    values = {n: float(r) if criterion == "dic" else r.deviance for n, r in results.items()}
    names = tuple(sorted(results, key=values.get))
    best = results[names[0]]
    value = np.array([values[n] for n in names])
    if criterion == "dic":
        errors = np.full(len(names), np.nan)
        p = np.array([results[n].p_d for n in names])
    else:
        terms = [results[n].pointwise - best.pointwise for n in names]
        errors = np.array([2.0 * np.sqrt(t.size * t.var()) for t in terms])
        p = np.array([results[n].p for n in names])
    differences = value - value[0]
    sentence = _sentence(criterion, names, differences[1], errors[1])
    return Comparison(criterion, names, value, differences, errors, p, results, sentence)


def _sentence(criterion, names, difference, error):
    """Say what is preferred to the next best model; DIC by the usual rule of thumb."""
    best, other = names[:2]
    if criterion == "dic":
        words = ["hardly", "slightly", "clearly", "strongly"]
        word = words[np.searchsorted([2.0, 5.0, 10.0], difference, side="right")]
        by = f"{difference:.1f}"
    else:
        # below 4 in elpd the standard error says little (Sivula, Magnusson & Vehtari 2020)
        by = f"{difference:.1f} +- {error:.1f}"
        small = difference < 8.0 or difference < 2.0 * error
        word = "hardly" if small else "clearly" if difference < 4.0 * error else "strongly"
    text = f"{best} is {word} preferred to {other}: its {criterion.upper()} is lower by {by}"
    return text + ("; the data do not tell them apart" if word == "hardly" else "")


def _check_same_data(posteriors):
    (first, one), *others = posteriors.items()
    for name, posterior in others:
        mine, theirs = one.fingerprint, posterior.fingerprint
        if not mine.get("sha256") or mine.get("sha256") != theirs.get("sha256"):
            raise InputError(
                f"{first} and {name} were not sampled on the same data: {_describe(mine)} and "
                f"{_describe(theirs)}",
                remedy="sample both models on one image with one mask",
            )


def _describe(data):
    if not data:
        return "unknown data"
    return f"{data['name']} with {data['n_pix']} pixels and {data['counts']:.10g} counts"
