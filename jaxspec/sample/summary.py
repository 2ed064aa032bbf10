"""A posterior as a table, in a few lines of text, and what to warn of."""

from __future__ import annotations

import numpy as np

from jaxspec._environment import devices, versions
from jaxspec._text import align, digits
from jaxspec.fit.priors import prior_text
from jaxspec.model.record import model_record
from jaxspec.sample.predictive import sentence

MAX_RHAT = 1.01
MIN_ESS = 100  # per chain; both limits: Vehtari et al. 2021
MIN_ACCEPTANCE = 0.5
PILED = 0.02

_HEADER = ("parameter", "mean", "sd", "median", "16 %", "84 %", "R-hat", "ESS bulk", "ESS tail")


def table(posterior):
    """QTable with one row per parameter; see `Posterior.table`."""
    from astropy.table import QTable

    low, high = posterior.quantiles([0.16, 0.84])
    out = QTable(
        {
            "name": list(posterior.names),
            "unit": list(posterior.units),
            "mean": posterior.mean,
            "sd": posterior.std,
            "median": posterior.median,
            "q16": low,
            "q84": high,
            "rhat": posterior.rhat,
            "ess_bulk": posterior.ess,
            "ess_tail": posterior.ess_tail,
            "mcse": posterior.mcse,
        }
    )
    shown = [posterior.parameter(name) for name in posterior.names]
    out["prior"] = [prior_of(posterior, p) for p in shown]
    out["min"], out["max"] = [float(p.min) for p in shown], [float(p.max) for p in shown]
    out.meta.update(made_by(posterior))
    out.meta.update(
        DATA=dict(posterior.fingerprint),
        CHAINS=posterior.chains.shape[0],
        DRAWS=posterior.chains.shape[1],
        DIVERGENT=posterior.n_divergent,
        WARNINGS=list(posterior.warnings),
    )
    return out


def made_by(posterior) -> dict:
    """What made the draws of a posterior: model with its limits and priors, settings, versions."""
    from jaxspec.fit.store import plain

    pars = posterior.model.parameters
    return {
        "MODEL": posterior.model.expression,
        "ABUND": posterior.model.abund,
        "XSECT": posterior.model.xsect,
        "PARAMS": model_record(posterior.model, prior_text)["parameters"],
        "FROZEN": {p.full_name: float(p.value) for p in pars if p.frozen},
        "LINKS": {p.full_name: p.link for p in pars if p.link is not None},
        "SEED": posterior.settings.get("seed"),
        "SETTINGS": plain(posterior.settings),
        "VERSIONS": versions(),
        "DEVICES": devices(),
    }


def summary(posterior) -> str:
    """What was sampled, the parameters, and the warnings or that there are none."""
    low, high = posterior.quantiles([0.16, 0.84])
    columns = (posterior.mean, posterior.median, low, high)
    rows = [_HEADER]
    for i, (name, unit, sd) in enumerate(
        zip(posterior.names, posterior.units, posterior.std, strict=True)
    ):
        mean, median, *edges = (digits(column[i], sd) for column in columns)
        mixed = (f"{posterior.rhat[i]:.3f}", f"{posterior.ess[i]:.0f}")
        label = f"{name} [{unit}]" if unit else name
        rows.append((label, mean, digits(sd, sd), median, *edges, *mixed))
        rows[-1] += (f"{posterior.ess_tail[i]:.0f}",)
    right = range(1, len(_HEADER))
    lines = [_title(posterior), *align(rows, right), sentence(posterior), *_verdict(posterior)]
    return "\n".join(filter(None, lines))


def _title(posterior):
    n_chain, n_draw = posterior.chains.shape[:2]
    on = posterior.fingerprint.get("name", "")
    text = posterior.model.expression + (f" on {on}" if on else "")
    text += f": {n_chain} chain{'s' * (n_chain > 1)} of {n_draw} draws"
    seconds = posterior.settings.get("seconds")
    if isinstance(seconds, dict):
        seconds = sum(seconds.values())
    return text if seconds is None else f"{text}, {seconds:.1f} s"


def _verdict(posterior):
    if posterior.warnings:
        return [f"warning: {sentence}" for sentence in posterior.warnings]
    return ["no warnings: R-hat, effective sample sizes and divergences are as they should be"]


def warnings_of(posterior) -> list[str]:
    """Sentences on the chains; see `Posterior.warnings`."""
    n_chain, n_draw = posterior.chains.shape[:2]
    names, unknown = np.array(posterior.names), np.isnan(posterior.rhat)
    found = []
    if unknown.any():
        found.append(
            f"R-hat is not defined for {', '.join(names[unknown])}: there is one chain only, or "
            "the chains are too short, do not move, or hold numbers that are not finite"
        )
    if (bad := posterior.rhat > MAX_RHAT).any():
        found.append(
            f"R-hat of {_each(names, posterior.rhat, bad, '.3f')} is above {MAX_RHAT}: the chains "
            "do not agree yet; draw more, or look at the traces"
        )
    least = MIN_ESS * n_chain
    for kind, values in (("bulk", posterior.ess), ("tail", posterior.ess_tail)):
        if (bad := values < least).any():
            found.append(
                f"{kind} ESS of {_each(names, values, bad, '.0f')} is below {least} ({MIN_ESS} "
                "per chain): means and quantiles are uncertain; draw more"
            )
    if count := posterior.n_divergent:
        found.append(
            f"{count} of {n_chain * n_draw} draws diverged: a part of the posterior may have been "
            "missed; use a higher target acceptance or tighter priors"
        )
    if posterior.acceptance < MIN_ACCEPTANCE:
        found.append(
            f"only {posterior.acceptance:.0%} of the proposals passed the correction to full "
            "resolution: the draws are right but few are new; merge fewer pixels"
        )
    return found


def prior_of(posterior, parameter) -> str:
    """Prior of a parameter in words; its limits cut it off."""
    if parameter.link is not None:
        return "linked"
    return posterior.settings.get("priors", {}).get(parameter.full_name, "flat")


def limits_of(posterior) -> list[str]:
    """Sentences on parameters whose draws pile up at a limit.

    More than `PILED` of the draws within a quarter of their standard deviation of it: a Gaussian
    that a limit cuts 1.8 standard deviations from its mean has as many.
    """
    found = []
    for name, values in zip(posterior.names, posterior.flat.T, strict=True):
        p = posterior.parameter(name)
        if p.link is not None or p.period > 0:
            continue
        reach = 0.25 * values.std()
        for limit, side in ((p.min, "lower"), (p.max, "upper")):
            share = float(np.mean(np.abs(values - limit) < reach)) if reach > 0 else 0.0
            if np.isfinite(limit) and share > PILED:
                found.append(
                    f"{name} piles up at its {side} limit {limit:g} ({share:.0%} of the draws "
                    f"within a quarter of a standard deviation, prior {prior_of(posterior, p)}): "
                    "its mean and width follow from the limit; quote a bound, or widen the limits"
                )
    return found


def _each(names, values, bad, form):
    pairs = zip(names[bad], values[bad], strict=True)
    return ", ".join(f"{name} ({value:{form}})" for name, value in pairs)
