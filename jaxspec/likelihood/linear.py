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
    mask : (n_bin,) bool, False for padding.
    """

    inputs: Any
    bins: Any
    mask: jax.Array


class Linear(NamedTuple):
    """The mean of the data around one vector of parameters.

    ``mean`` (n_bin,); ``jacobian`` (n_par, n_bin); ``curve(weight (n_bin,)) -> (n_par, n_par)``,
    the second derivatives of ``sum(weight * mean)``.
    """

    mean: jax.Array
    jacobian: jax.Array
    curve: Callable
