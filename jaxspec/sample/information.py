"""Information criteria of a posterior: DIC, WAIC, and leave-one-out cross-validation.

All are on the deviance scale, -2 times a log-likelihood: lower is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxspec.errors import InputError
from jaxspec.likelihood.forward import content, kind_of, pointwise_log_likelihood
from jaxspec.likelihood.image_prepare import source_places
from jaxspec.sample.diagnostics import ess_bulk
from jaxspec.sample.psis import smooth_sorted

N_ANNULI = 50
NUMBERS = 5_000_000  # of log-likelihood terms that are asked for at a time
ROWS = 200  # pixels whose weights are smoothed at a time; more would leave the cache
MAX_K = 0.7
MAX_VARIANCE = 0.4


@dataclass(frozen=True, eq=False, repr=False)
class Dic(float):
    """A deviance information criterion; a number with its parts.

    Parameters
    ----------
    dic : float, the value: ``deviance_mean + p_d``.
    p_d : float, effective number of parameters.
    deviance_mean, deviance_at_mean : float
        Mean of -2 ln L over the posterior, and -2 ln L at the posterior mean (NaN for the form
        "variance", which does not need it).
    form : "mean" or "variance"
    constant : bool, whether the terms without parameters (ln N!) are included.
    sentence : str, what was computed, and what is wrong with it if anything is.
    """

    dic: float
    p_d: float
    deviance_mean: float
    deviance_at_mean: float
    form: str
    constant: bool
    sentence: str

    def __new__(cls, dic, *_, **__):
        """Make the number; the dataclass adds its parts."""
        return super().__new__(cls, dic)

    def __repr__(self):
        return f"{self.dic:.2f} ({self.sentence})"


@dataclass(frozen=True, eq=False, repr=False)
class Predictive:
    """Expected log predictive density, by WAIC or by leave-one-out cross-validation.

    Parameters
    ----------
    criterion : "waic" or "loo"
    elpd, se : float, the sum over all pixels or annuli, and its standard error.
    p : float, effective number of parameters.
    pointwise : (n,), terms of ``elpd``.
    by : "pixels", "annuli" or "bins"
    n_draws : int, draws that were used.
    pareto_k : (n,), shape of the tail of the weights for "loo"; None for "waic".
    n_bad : int, entries with k above 0.7, or for "waic" with a variance above 0.4.
    sentence : str, what was computed and whether to trust it.
    """

    criterion: str
    elpd: float
    se: float
    p: float
    pointwise: np.ndarray
    by: str
    n_draws: int
    pareto_k: np.ndarray | None
    n_bad: int
    sentence: str

    @property
    def deviance(self) -> float:
        """The criterion on the deviance scale, -2 elpd."""
        return -2.0 * self.elpd

    def __repr__(self):
        return (
            f"{self.criterion.upper()} {self.deviance:.2f} +- {2 * self.se:.2f}, "
            f"elpd {self.elpd:.2f} +- {self.se:.2f}, p {self.p:.2f} ({self.sentence})"
        )


def dic(posterior, form: str = "mean", constant: bool = True) -> Dic:
    """Deviance information criterion: the mean of D = -2 ln L, plus the effective parameters.

    Parameters
    ----------
    posterior : Posterior
    form : {"mean", "variance"}
        Effective number of parameters: ``mean(D) - D(posterior mean)`` (Spiegelhalter et al.
        2002, JRSS B 64, 583), or ``var(D)/2`` (Gelman et al. 2004, Bayesian Data Analysis), which
        depends on no parametrisation, is never negative, and is noisier.
    constant : bool
        Whether D includes the terms without parameters. With them, Poisson data have D > 0
        always; a negative DIC, as in courses that code ``sum(N ln mu - mu)``, has
        been computed without. Differences between models of the same data do not depend on it.

    Returns
    -------
    Dic
        A float with ``p_d``, ``deviance_mean``, ``deviance_at_mean``, ``sentence``.

    Raises
    ------
    InputError
        An unknown form, or the likelihood at the mean is not known without the data.
    """
    if form not in ("mean", "variance"):
        raise InputError(
            f"{form!r} is not a form of the effective number of parameters",
            parameter="form",
            remedy="use 'mean' or 'variance'",
        )
    shift = 0.0 if constant else 2.0 * posterior.log_constant
    deviance = -2.0 * posterior.log_likelihood + shift
    at_mean = posterior.deviance_at_mean + shift if form == "mean" else np.nan
    mean = float(deviance.mean())
    p_d = mean - at_mean if form == "mean" else float(deviance.var(ddof=1)) / 2
    what = "mean(D) - D(mean)" if form == "mean" else "var(D)/2"
    sentence = f"pD {p_d:.2f} from {what}, constant terms {'in' if constant else 'ex'}cluded"
    if p_d < 0:
        sentence += "; a negative pD means that the posterior mean is no fair summary (several "
        sentence += "modes, a curved posterior): use form='variance', or WAIC"
    return Dic(mean + p_d, p_d, mean, at_mean, form, constant, sentence)


def waic(posterior, by="pixels", max_draws=500, center=None) -> Predictive:
    """Widely applicable information criterion (Watanabe 2010, JMLR 11, 3571).

    Parameters
    ----------
    posterior : Posterior, with data.
    by : {"pixels", "annuli"}
        What is predicted: each pixel (or bin of a spectrum), or each of 50 annuli of about equal
        counts.
    max_draws : int
        Draws to use, evenly thinned.
    center : (x, y) pixels, of the annuli; by default the posterior median of x0 and y0.

    Returns
    -------
    Predictive

    Raises
    ------
    InputError
        No data, unknown ``by``, or annuli without a centre.
    """
    terms, total, _ = pointwise(posterior, by, max_draws, center)
    parts = [waic_terms(rows) for rows in _blocks(terms)]
    elpd, p = (np.concatenate(column) for column in zip(*parts, strict=True))
    bad = int((p > MAX_VARIANCE).sum())
    note = f"; {bad} have a posterior variance above {MAX_VARIANCE}: prefer loo" if bad else ""
    return _predictive(
        "waic", elpd, p, _unit(posterior, by), terms.shape[1], total, None, bad, note
    )


def loo(posterior, by="pixels", max_draws=500, center=None) -> Predictive:
    """Leave-one-out cross-validation by Pareto-smoothed importance sampling.

    Vehtari, Gelman & Gabry 2017, Statistics and Computing 27, 1413. Parameters, result and errors
    as for `waic`; ``pareto_k`` says how far each term can be trusted.
    """
    terms, total, r_eff = pointwise(posterior, by, max_draws, center)
    parts = [loo_terms(rows, r_eff) for rows in _blocks(terms)]
    elpd, p, k = (np.concatenate(column) for column in zip(*parts, strict=True))
    bad = int((k > MAX_K).sum())
    note = f"; largest Pareto k {k.max():.2f}"
    note += f", {bad} above {MAX_K}: not to be trusted" if bad else f", none above {MAX_K}"
    return _predictive("loo", elpd, p, _unit(posterior, by), terms.shape[1], total, k, bad, note)


def waic_terms(log_lik) -> tuple[np.ndarray, np.ndarray]:
    """Terms of WAIC from log-likelihoods (n, n_draw): elpd (n,) and effective parameters (n,)."""
    p = log_lik.var(axis=1, ddof=1)
    return _log_mean(log_lik) - p, p


def loo_terms(log_lik, r_eff=1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Terms of PSIS-LOO from log-likelihoods (n, n_draw): elpd, effective parameters, k; (n,)."""
    ratios = np.sort(-log_lik, axis=1)
    weights, k = smooth_sorted(ratios, r_eff)
    weighted = weights - ratios
    top = weighted.max(axis=1, keepdims=True)
    elpd = top[:, 0] + np.log(np.exp(weighted - top).sum(axis=1))
    return elpd, _log_mean(log_lik) - elpd, k


def _log_mean(log_lik):
    top = log_lik.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(log_lik - top).mean(axis=1))


def _predictive(criterion, elpd, p, by, n_draws, total, k, bad, note):
    se = float(np.sqrt(len(elpd) * elpd.var()))
    thinned = f"{n_draws} of {total} draws" if n_draws < total else f"all {total} draws"
    sentence = f"{len(elpd)} {by}, {thinned}, constant terms included{note}"
    return Predictive(
        criterion, float(elpd.sum()), se, float(p.sum()), elpd, by, n_draws, k, bad, sentence
    )


def _unit(posterior, by):
    """What the terms are of: spectra and profiles have bins, whatever was asked for."""
    return by if kind_of(posterior.data).has_pixels else "bins"


def _blocks(terms):
    return (terms[i : i + ROWS] for i in range(0, len(terms), ROWS))


def pointwise(posterior, by, max_draws, center):
    """Log-likelihoods (n, n_draw) of pixels or annuli for evenly thinned draws.

    Returns
    -------
    terms : (n, n_draw); 240 000 pixels and 500 draws take 1 GB.
    total : int, draws before thinning.
    r_eff : float, effective draws per draw that was kept.
    """
    if by not in ("pixels", "annuli"):
        raise InputError(f"is {by!r}", parameter="by", remedy="use 'pixels' or 'annuli'")
    if max_draws < 2:
        raise InputError(f"is {max_draws}", parameter="max_draws", remedy="use hundreds")
    posterior._need_data("a pointwise likelihood")
    n_pix, total = len(content(posterior.data)[0]), len(posterior)
    params = posterior.full.reshape(total, -1)
    n_draw = min(max_draws, total)
    chunk = min(max(NUMBERS // n_pix, 1), n_draw)
    n_draw -= n_draw % chunk  # calls of one shape are compiled once
    params = params[np.linspace(0, total - 1, n_draw).round().astype(int)]
    merge = _merger(posterior, by, center)
    terms = None
    how = posterior.settings.get("integrate"), posterior.settings.get("stat")
    for start in range(0, n_draw, chunk):
        some = params[start : start + chunk]
        found = merge(pointwise_log_likelihood(posterior.model, posterior.data, some, *how))
        if terms is None:
            terms = np.empty((found.shape[1], n_draw))
        terms[:, start : start + chunk] = found.T
    if not np.isfinite(terms).all():
        raise InputError(
            f"the log-likelihood of {(~np.isfinite(terms)).any(axis=1).sum()} {by} is not finite",
            remedy="mask pixels where the model expects nothing but counts were seen",
        )
    effective = ess_bulk(posterior.chains)
    effective = effective[np.isfinite(effective)]
    return terms, total, min(effective.mean() / n_draw, 1.0) if effective.size else 1.0


def _merger(posterior, by, center):
    """Function that sums log-likelihoods (n_draw, n_pix) over annuli, or leaves them."""
    # an annulus of a radial profile is a pixel already, and spectra have none
    if by == "pixels" or not kind_of(posterior.data).has_pixels:
        return np.asarray
    order, starts = annuli(posterior.data.pixels, center_of(posterior, center))
    return lambda values: np.add.reduceat(np.asarray(values)[:, order], starts, axis=1)


def center_of(posterior, center=None) -> tuple[float, float]:
    """Centre (x, y) of the annuli: the one given, or the median of the first x0 and y0."""
    if center is not None:
        return tuple(map(float, center))
    for pair in source_places(posterior.model):
        names = (posterior.model.parameters[i].full_name for i in pair)
        return tuple(float(np.median(posterior[name])) for name in names)
    raise InputError(
        f"{posterior.model.expression} has no centre x0, y0", remedy="give center=(x, y)"
    )


def annuli(pixels, center, n: int = N_ANNULI) -> tuple[np.ndarray, np.ndarray]:
    """Order of the pixels by radius, and where in it each annulus starts.

    The annuli hold about equal counts; where one pixel has more than its share there are fewer.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> row = SimpleNamespace(counts=np.ones(6), x=np.array([5, 1, 0, 3, 2, 4.0]), y=np.zeros(6))
    >>> order, starts = annuli(row, (0, 0), 3)
    >>> row.x[order].tolist(), starts.tolist()
    ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0, 2, 4])
    """
    order = np.argsort(np.hypot(pixels.x - center[0], pixels.y - center[1]), kind="stable")
    before = np.cumsum(pixels.counts[order]) - pixels.counts[order]
    label = np.floor(n * before / max(pixels.counts.sum(), 1.0))
    return order, np.flatnonzero(np.diff(label, prepend=-1.0))
