"""`models`, one callable for each component of the catalogue, and `component` for your own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from jaxspec.errors import InputError
from jaxspec.model.catalogue import CATALOGUE
from jaxspec.model.component import Component, Parameter, Source
from jaxspec.model.expression import Leaf
from jaxspec.model.model import Model
from jaxspec.model.own import (
    KINDS,
    check_meaning,
    check_result,
    check_signature,
    name_of,
    parameters_of,
)
from jaxspec.model.surface_catalogue import BACKGROUND, SURFACES

NORM = Parameter("norm", 1.0, 0.0, 1e24, 0.0, 1e24, role="amplitude")


@dataclass(frozen=True)
class Maker:
    """Makes a `Model` of one component: ``powerlaw(PhoIndex=2.0)``.

    A convolution also takes the model that it acts on: ``cflux(powerlaw(), Emin=2, Emax=10)``.
    """

    component: Component

    def __call__(self, inner: Model | None = None, /, **values) -> Model:
        """Return a model with these parameter values, applied to ``inner`` if that is given."""
        model = Model.of(Leaf(self.component, 1))
        for name, value in values.items():
            model[name].set(value)
        return model if inner is None else model(inner)

    def __repr__(self):
        names = ", ".join(p.name for p in self.component.parameters)
        c = self.component
        what = f"{c.name}({names}): {KINDS['image' if c.domain == 'image' else c.kind]}"
        return f"{what}; {self.component.summary}" if self.component.summary else what


models = SimpleNamespace(**{c.name: Maker(c) for c in (*CATALOGUE, *SURFACES)})


def component(
    function: Callable,
    *,
    kind: str = "add",
    name: str | None = None,
    parameters=(),
    vignetted: bool = True,
    prepare: Callable | None = None,
    lookup: Callable | None = None,
    source=None,
    **meaning,
) -> Maker:
    """Make a model component of your own from one pure function.

    Parameters
    ----------
    function : callable
        ``f(e_lo, e_hi, *parameters)`` in JAX. ``e_lo, e_hi`` are (n_energy,) keV; each parameter
        is a scalar array. It gives (n_energy,) photons/cm2/s per bin ("add", for a norm of 1) or
        factors ("mul"). A convolution ("con") is ``f(inner, e_lo, e_hi, *parameters)``, where
        ``inner(e_lo, e_hi)`` evaluates what it acts on. Part of an image ("image") is
        ``f(x, y, *parameters)``: counts/s/cm2/pixel at arrays of points, in pixels.
    kind : "add", "mul", "con" or "image"
    name : str, name in expressions; the function's own by default.
    parameters : dict of name to (value, min, max[, role]), or list of `Parameter`
        In the order of the arguments. Names mean nothing to jaxspec; a role says what a parameter
        is, so that fits start it from the data and keep it in place: "amplitude" (the component is
        proportional to it), "positive", "slope", "energy" (of a break or a line, looked for all
        over the band), and for images "position" (in pairs, x then y),
        "length", "angle" (which repeats after 360; a `Parameter` may say another ``period``),
        "ellipticity". A norm is added to additive components of spectra and applied for you.
    vignetted : bool
        False for a part of an image that the exposure map does not act on; it is in counts/pixel.
    prepare, lookup : callable, optional
        What depends on the energies alone, computed once per grid and handed to the function as
        its last argument; see `jaxspec.model.component.Component`.
    source : str or os.PathLike, optional
        A file that they read; its content becomes part of the component's identity.
    **meaning
        ``grid``, ``natural``, ``exchangeable``, ``flux``: see
        `jaxspec.model.component.Component`.

    Returns
    -------
    Maker
        Call it for a model; pass it as ``Model("TBabs*name", components=[it])``.

    Raises
    ------
    InputError
        Parameters that are not those of the function, limits that exclude the value, an unknown
        role.

    Examples
    --------
    >>> def flat(e_lo, e_hi, level):
    ...     return level * (e_hi - e_lo)
    >>> flat = component(flat, parameters={"level": (1.0, 0.0, 10.0)})
    >>> [p.full_name for p in flat()]
    ['flat.level', 'flat.norm']
    >>> def ramp(x, y, slope):
    ...     return slope * x
    >>> ramp = component(ramp, kind="image", parameters={"slope": (1e-8, 0.0, 1.0, "amplitude")})
    >>> ramp().expression
    'ramp+background'
    """
    if kind not in KINDS:
        raise InputError(f"kind={kind!r} is not known", remedy=f"use {', '.join(KINDS)}")
    image = kind == "image"
    name = name_of(function, name)
    if image and name.lower() == BACKGROUND.name:
        raise InputError(
            "every image model has a background already", remedy="give name= another word"
        )
    if not vignetted and not image:
        raise InputError(f"{name}: vignetted=False is for kind='image'")
    made = parameters_of(name, parameters, image)
    check_signature(function, kind, name, [p.name for p in made], ["table"] if prepare else [])
    if kind == "add":
        if any(p.name.lower() == NORM.name for p in made):
            raise InputError(
                "is added and applied for you", parameter=f"{name}.norm", remedy="leave it out"
            )
        made.append(NORM)
    known: dict[str, Any] = {"grid": "whole" if kind == "con" else "noticed"} | meaning
    if unknown := known.keys() - {"grid", "natural", "exchangeable", "flux"}:
        raise InputError(f"{name}: component() has no argument {', '.join(sorted(unknown))}")
    made = Component(
        name,
        "add" if image else kind,
        tuple(made),
        function,
        prepare,
        lookup,
        domain="image" if image else "spectrum",
        vignetted=vignetted,
        norm=NORM.name if kind == "add" else "",
        source=None if source is None else read_source(source),
        **known,
    )
    if (prepare is None) != (lookup is None):
        raise InputError(f"{name}: prepare and lookup belong together")
    check_meaning(made)
    if prepare is None:
        check_result(function, kind, name, len(made.parameters) - bool(made.norm))
    return Maker(made)


def read_source(path) -> Source:
    """Name a file by its content."""
    import hashlib

    from jaxspec.read.paths import read_bytes

    try:
        content, _ = read_bytes(os.fspath(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error}", file=path) from None
    return Source(hashlib.sha256(content).hexdigest(), str(path))
