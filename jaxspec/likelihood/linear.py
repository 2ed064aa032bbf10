"""A forward model around one point, and data of one lane: what every kind of data shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Lane(NamedTuple):
    """All numbers of one datum: a spectrum, an image, a profile.

    Parameters
    ----------
    inputs : what its forward model needs, `SpectrumInputs` or `ImageInputs`.
    bins : BinCounts of (n_bin,) arrays; images count as exposed for one second.
    mask : (n_bin,) float64, 1 for bins and 0 for padding.
        To be multiplied with: XLA's code for a choice by truth values is not vectorised, and the
        likelihood of 240 000 pixels takes 3.4 ms with them and 1.4 ms with numbers.
    """

    inputs: Any
    bins: Any
    mask: jax.Array

    @classmethod
    def of(cls, inputs, bins, there) -> Lane:
        """Lane from truth values ``there`` (..., n_bin), False for padding."""
        return cls(inputs, bins, there.astype(float))


class Linear(NamedTuple):
    """The mean of the data around one vector of parameters.

    ``mean`` (n_bin,); ``jacobian`` (n_par, n_bin); ``curve(weight (n_bin,)) -> (n_par, n_par)``,
    the second derivatives of ``sum(weight * mean)``.
    """

    mean: jax.Array
    jacobian: jax.Array
    curve: Callable
