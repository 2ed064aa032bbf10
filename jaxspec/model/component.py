"""What one model component is: its kernel, its parameters, its limits.

A kernel is a pure function of arrays for one lane:

========== =============================================== ==================================
kind       call                                            gives
========== =============================================== ==================================
"add"      ``kernel(e_lo, e_hi, *parameters)``             photons/cm2/s in each bin, norm 1
"mul"      ``kernel(e_lo, e_hi, *parameters)``             factor for each bin
"mul",     ``kernel(e_lo, e_hi, *parameters, table)``      the same; ``table`` is what
prepared                                                   ``prepare`` made for these bins
"con"      ``kernel(inner, e_lo, e_hi, *parameters)``      ``inner(e_lo, e_hi)`` convolved
"add",     ``kernel(x, y, *parameters)``                   counts/s/cm2/pixel at these points,
image                                                      counts/pixel where not vignetted
========== =============================================== ==================================

``e_lo, e_hi`` are (n_energy,) keV, positive and ascending; every parameter is a scalar array.
The ``norm`` of an additive spectral component is applied by the tree and never reaches the kernel.
Image components have no norm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Parameter(NamedTuple):
    """One parameter as XSPEC's model.dat defines it.

    ``starts`` are the values from which the data-driven start of a fit may choose when the user
    has not set the parameter; empty means: use ``default``. ``switch`` marks what is never fitted,
    ``scale`` a positive quantity such as a temperature, which fits step in its logarithm: at zero,
    where the component is gone and has no gradient, there would be no way back.
    """

    name: str
    default: float
    soft_min: float
    soft_max: float
    hard_min: float
    hard_max: float
    unit: str = ""
    frozen: bool = False
    switch: bool = False
    starts: tuple[float, ...] = ()
    scale: bool = False


class Component(NamedTuple):
    """One entry of the catalogue.

    Parameters
    ----------
    name : str, XSPEC's spelling.
    kind : "add", "mul" or "con".
    parameters : tuple of Parameter, in XSPEC's order, ``norm`` last for additive ones (spectra).
    kernel : callable, see the module docstring.
    prepare : callable or None
        ``prepare(e_lo, e_hi, abund, xsect) -> (n_energy,) NumPy array`` computed once per energy
        grid on the host (cross sections), handed to the kernel as its last argument.
    lookup : callable or None
        ``lookup(abund, xsect) -> function(e_lo, e_hi) -> (n_energy,)`` in JAX: the same quantity on
        energies that depend on a parameter (a redshift); required where ``prepare`` is.
    summary : str, one line for ``jaxspec models`` and the docs.
    reference : str, the paper or memo of the formula.
    domain : "spectrum" or "image", what the component describes.
    vignetted : bool
        For images: True where the brightness is multiplied by the exposure map, False where it
        adds counts per pixel as they are.
    """

    name: str
    kind: str
    parameters: tuple[Parameter, ...]
    kernel: Callable
    prepare: Callable | None = None
    lookup: Callable | None = None
    summary: str = ""
    reference: str = ""
    domain: str = "spectrum"
    vignetted: bool = True
