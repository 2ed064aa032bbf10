"""Bin counts of many spectra at once, for those that share a plan."""

from __future__ import annotations

import numpy as np

from jaxspec.reduce.bins import BinCounts, bin_counts, channel_variance, exposures, make_bins


def stack_counts(spectra, plan) -> BinCounts:
    """`BinCounts` of (n_spectrum, n_bin) arrays.

    Spectra with scalar AREASCAL and BACKSCAL, without SYS_ERR and CORRFILE, are summed in one go;
    any other is handed to `jaxspec.reduce.bins.bin_counts` by itself.
    """
    with_background = spectra[0].background is not None
    if not all(_plain(s, with_background) for s in spectra):
        rows = [bin_counts(s, plan.index, plan.n_bins) for s in spectra]
        return BinCounts(*(np.stack(field) for field in zip(*rows, strict=True)))
    kept = np.flatnonzero(plan.index >= 0)
    starts = np.flatnonzero(np.diff(plan.index[kept], prepend=-1))
    alone = len(starts) == len(kept)

    def total(rows):
        values = np.stack(rows)[:, kept].astype(float)
        return values if alone else np.add.reduceat(values, starts, axis=1)

    times = np.array([exposures(s) for s in spectra], dtype=float)
    background, background_variance = 0.0, 0.0
    if with_background:
        background = total([s.background.counts for s in spectra])
        background_variance = total([channel_variance(s.background) for s in spectra])
    return make_bins(
        total([s.counts for s in spectra]),
        t_s=times[:, :1],
        variance=total([channel_variance(s) for s in spectra]),
        background=background,
        background_variance=background_variance,
        t_b=times[:, 1:],
    )


def _plain(spectrum, with_background):
    background = spectrum.background
    return (
        spectrum.sys_err is None
        and spectrum.correction is None
        and np.ndim(spectrum.areascal) == 0
        and np.ndim(spectrum.backscal) == 0
        and (background is not None) == with_background
        and (
            background is None
            or (np.ndim(background.areascal) == 0 and np.ndim(background.backscal) == 0)
        )
    )
