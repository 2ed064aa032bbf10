"""Which of several models of the same data is to be preferred."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxspec._text import align
from jaxspec.errors import InputError
from jaxspec.estimate.compare_fits import FitComparison, compare_fits, in_words, preferred
from jaxspec.fit.joint_result import JointResult
from jaxspec.fit.result import FitResult
from jaxspec.likelihood.forward import kind_of
from jaxspec.sample.information import center_of
from jaxspec.sample.posterior import Posterior

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


@np.errstate(all="ignore")
def compare(results, criterion: str | None = None, **options) -> Comparison | FitComparison:
    """Compare models that were sampled on, or fitted to, the same data.

    Parameters
    ----------
    results : dict of name to Posterior, or to FitResult or JointResult; two or more.
    criterion : {"dic", "waic", "loo"} for posteriors, {"aic", "bic"} for fits
        By default "dic" or "aic". "waic" and "loo" also give the standard error of each
        difference, from its terms for the single pixels or annuli. With k free parameters and n
        bins or pixels, AIC is -2 ln L + 2 k (Akaike 1974), BIC is -2 ln L + k ln n (Schwarz 1978).
    **options
        Of posteriors: ``form, constant`` of `Posterior.dic` (by default "mean", but "variance" for
        all models if one of them has a negative pD); ``by, max_draws, center`` of `Posterior.waic`
        and `Posterior.loo`. All models get the same annuli, about the centre of the first.

    Returns
    -------
    Comparison or FitComparison
        Lower is better. Of fits, -2 ln L is the statistic: it leaves out a constant of the data.
        Fits of many data are compared row by row, joint fits as a whole or label by label; where a
        fit has no usable result, the row says so and has no value. A parameter on a limit counts
        as free, and is noted.

    Raises
    ------
    InputError
        Fewer than two results, results of different kinds, an unknown criterion, different data,
        bins or statistics, or chi2-model, which is no likelihood.

    Examples
    --------
    >>> import numpy as np
    >>> import jaxspec as js
    >>> dark = np.zeros((20, 20))
    >>> empty = js.Image("toy", dark, dark + 4e6, dark > 0, exposure_unit="cm2 s")
    >>> truth = {"x0": 9.0, "y0": 9.5, "S0": 1e-5, "rc": 2.0, "beta": 0.7, "B": 0.1}
    >>> image = js.fake("beta", empty, params=truth, seed=1)
    >>> found = js.compare({name: js.fit(name, image) for name in ("gauss2d", "beta")}, "bic")
    >>> found.best
    ['beta']
    >>> [str(name) for name in found.table["name"]]
    ['beta', 'gauss2d']
    >>> js.compare({"single": a, "double": b}, "loo", by="annuli")      # doctest: +SKIP
    """
    if not isinstance(results, dict) or len(results) < 2:
        raise InputError(
            "a comparison takes a dict of two posteriors or more, or two fits",
            remedy='compare({"single": a, "double": b})',
        )
    if _all_of(results, FitResult | JointResult):
        if options:
            raise InputError("have no meaning for fits", parameter=", ".join(options))
        return compare_fits(results, criterion or "aic")
    if _all_of(results, Posterior):
        return _compare_posteriors(results, criterion or "dic", options)
    found = ", ".join(f"{name} is a {type(r).__name__}" for name, r in results.items())
    raise InputError(
        f"a comparison takes posteriors of one datum, or fits, and {found}",
        remedy="give results of js.sample, or of js.fit; of many posteriors, one row of each",
    )


def _all_of(results, kind):
    return all(isinstance(result, kind) for result in results.values())


def _compare_posteriors(posteriors, criterion, options) -> Comparison:
    if criterion not in CRITERIA:
        raise InputError(
            f"is {criterion!r}, and these are posteriors", parameter="criterion",
            remedy=f"use {', '.join(CRITERIA)}",
        )  # fmt: skip
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
    if criterion == "dic":
        return in_words(criterion, names, difference)
    # below 4 in elpd the standard error says little (Sivula, Magnusson & Vehtari 2020)
    small = difference < 8.0 or difference < 2.0 * error
    word = "hardly" if small else "clearly" if difference < 4.0 * error else "strongly"
    return preferred(word, criterion, names, f"{difference:.1f} +- {error:.1f}")


def _check_same_data(posteriors):
    (first, one), *others = posteriors.items()
    for name, posterior in others:
        mine, theirs = one.fingerprint, posterior.fingerprint
        if not mine.get("sha256") or mine.get("sha256") != theirs.get("sha256"):
            raise InputError(
                f"{first} and {name} were not sampled on the same data: {_describe(one)} and "
                f"{_describe(posterior)}",
                remedy="sample both models on one datum, with the same bins or the same mask",
            )


def _describe(posterior):
    data = posterior.fingerprint
    if not data:
        return "unknown data"
    bins = "bins" if posterior.data is None else kind_of(posterior.data).bins
    return f"{data['name']} with {data['n_pix']} {bins} and {data['counts']:.10g} counts"
