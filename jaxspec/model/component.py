"""What one model component is: its kernel, its parameters, and what they mean.

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
The norm of a component that has one is applied by the tree and never reaches the kernel.

Names are for people: nothing outside the catalogues asks for a parameter or a component by its
name. What starts, limits, figures and samplers need to know of them are the fields below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

ROLES = (
    "",
    "amplitude",
    "log amplitude",
    "positive",
    "slope",
    "energy",
    "position",
    "length",
    "angle",
    "ellipticity",
)


class Parameter(NamedTuple):
    """One parameter as XSPEC's model.dat defines it, and what it means.

    ``starts`` are the values from which the data-driven start of a fit may choose when the user
    has not set the parameter; empty means: use ``default``. ``switch`` marks what is never fitted.
    ``symbol`` is its name in figures, as mathtext; empty means: the name. An "angle" repeats
    after ``period``, in its own unit. ``role`` is one of `ROLES`:

    ================= ==========================================================================
    "amplitude"       the model is proportional to it; starts follow from the data
    "log amplitude"   the model is proportional to 10 to its power
    "positive"        such as a temperature: fits step in its logarithm, for at zero the
                      component is gone and has no gradient that leads back
    "slope"           an exponent
    "energy"          where on the energy axis something begins or lies: a break, an edge, a line;
                      a statistic has many minima along it. Its ``starts`` are parts of the band of
                      the data, in the logarithm: 0 the lowest energy, 1 the highest
    "position"        a coordinate on the image, pixels; of each two the first is x, the second y
    "length"          a positive size on the image, pixels, such as a core radius
    "angle"           on the image, of what is not round
    "ellipticity"     0 for what is round
    ================= ==========================================================================
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
    role: str = ""
    period: float = 0.0
    symbol: str = ""

    @property
    def positive(self) -> bool:
        """Whether fits step in the logarithm of this parameter, amplitudes apart."""
        return self.role in ("positive", "length", "ellipticity")


class Natural(NamedTuple):
    """A coordinate in which the posterior of a component is nearly Gaussian.

    A sampler moves ``to(p)`` instead of the parameter p called ``of``; ``back`` is the inverse.
    Both are monotone functions of scalars in JAX. Where ``carried`` names a second parameter, the
    unlimited coordinate of that one is moved by ``shift(to(p))`` as well: it ties a length to a
    slope.

    ``rival`` names a third parameter with a natural coordinate of its own, where data know the
    larger of the two coordinates well and the smaller one badly, whichever it is. The sampler
    moves their difference and their maximum, rounded over ``corner`` (in units of ``to(p)``).
    """

    of: str
    to: Callable
    back: Callable
    carried: str = ""
    shift: Callable | None = None
    rival: str = ""
    corner: float = 0.0


class Exchangeable(NamedTuple):
    """Parts of a component that are the same model when exchanged.

    ``parts`` holds the parameter names of each part, in the same order; draws are sorted by
    ``order(*parameters of a part)``, ascending (NumPy arrays in and out).
    """

    parts: tuple[tuple[str, ...], ...]
    order: Callable


class Source(NamedTuple):
    """A file that a component reads; equal contents are equal sources wherever they lie."""

    sha256: str
    path: str

    def __eq__(self, other):
        return isinstance(other, Source) and self.sha256 == other.sha256

    def __hash__(self):
        return hash(self.sha256)


class Settings(NamedTuple):
    """What a model is told beside its parameters: abundances and cross sections, XSPEC's names."""

    abund: str = "angr"
    xsect: str = "vern"


class Component(NamedTuple):
    """One entry of the catalogue.

    Parameters
    ----------
    name : str, XSPEC's spelling.
    kind : "add", "mul" or "con".
    parameters : tuple of Parameter, in XSPEC's order, the norm last for additive ones (spectra).
    kernel : callable, see the module docstring.
    prepare : callable or None
        ``prepare(e_lo, e_hi, settings, source) -> (..., n_energy) NumPy array`` computed once per
        energy grid on the host (cross sections), handed to the kernel as its last argument.
    lookup : callable or None
        ``lookup(settings, source) -> function(e_lo, e_hi) -> (..., n_energy)`` in JAX: the same
        quantity on energies that depend on a parameter (a redshift); required where ``prepare`` is.
    summary : str, one line for ``jaxspec models`` and the docs.
    reference : str, the paper or memo of the formula.
    domain : "spectrum" or "image", what the component describes.
    vignetted : bool
        For images: True where the brightness is multiplied by the exposure map, False where it
        adds counts per pixel as they are.
    norm : str
        Name of the parameter that the tree multiplies the kernel by, the last one; empty for none.
    grid : "noticed" or "whole"
        Which energies it wants: those that act on the noticed bins, or all of the response (what
        mixes energies does).
    source : Source or None, the file that ``prepare`` and ``lookup`` read.
    natural : tuple of Natural, coordinates for sampling.
    exchangeable : Exchangeable or None
    point : bool
        For images: a source without extent, which takes the shape of the PSF; its parameters are
        x, y and the flux.
    flux : callable or None
        For images: ``flux(parameters, radius) -> {name: (...,)}``, the light inside ``radius``
        (pixels, may be infinite), from a dict of parameter name to array; NumPy.
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
    norm: str = ""
    grid: str = "noticed"
    source: Source | None = None
    natural: tuple[Natural, ...] = ()
    exchangeable: Exchangeable | None = None
    point: bool = False
    flux: Callable | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(p.name for p in self.parameters)

    def places(self, role: str) -> tuple[int, ...]:
        """Where the parameters with a role stand among the component's own."""
        return tuple(i for i, p in enumerate(self.parameters) if p.role == role)
