"""Bins of a spectrum joined for display, as XSPEC's ``setplot rebin`` does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jaxspec.errors import InputError


def joined(made, rebin):
    """Join neighbours until they reach (min_significance, max_bins); sums are added.

    Parameters
    ----------
    made : jaxspec.report.compared.Compared, of a spectrum.
    rebin : (float, int), or None, which changes nothing.

    Returns
    -------
    Compared
    """
    if rebin is None or not len(made.counts):
        return made
    if not isinstance(rebin, tuple | list) or len(rebin) != 2:
        raise InputError(
            f"is {rebin!r}", parameter="rebin", remedy="give (significance, most bins), as (5, 20)"
        )
    starts = _starts(made, *rebin)

    def total(values):
        return None if values is None else np.add.reduceat(values, starts)

    def quadratic(errors):
        return None if errors is None else np.sqrt(total(errors**2))

    low, high = made.edges[0][starts], np.maximum.reduceat(made.edges[1], starts)
    sums = ("per", "counts", "behind", "expected", "photons")
    return replace(
        made,
        x=0.5 * (low + high),
        edges=(low, high),
        sigma=quadratic(made.sigma),
        scatter=quadratic(made.scatter),
        parts={name: total(part) for name, part in made.parts.items()},
        **{name: total(getattr(made, name)) for name in sums},
    )


def _starts(made, least, most):
    """Where joined bins begin; none reaches over a gap."""
    starts, rate, variance, n = [], 0.0, 0.0, most
    low, high = made.edges
    for i, (more, sigma) in enumerate(zip(made.counts, made.sigma, strict=True)):
        gap = i > 0 and low[i] > high[i - 1] + 1e-3 * made.per[i]
        if n >= most or gap or rate > 0 and rate >= least * np.sqrt(variance):
            starts.append(i)
            rate = variance = n = 0
        rate, variance, n = rate + more, variance + sigma**2, n + 1
    return starts
