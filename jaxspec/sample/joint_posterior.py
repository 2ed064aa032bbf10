"""The posterior of a joint fit: chains of shared and own parameters, and each datum's part."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from jaxspec.errors import InputError
from jaxspec.sample.posterior import Posterior, columns, fingerprint


@dataclass(frozen=True, eq=False, repr=False)
class JointPosterior(Posterior):
    """Chains of everything that was free in a joint fit.

    As a `Posterior`; ``names`` of parameters that every datum has for itself carry the name of the
    datum, ``"constant.factor[pn]"``. ``of`` gives what the chains say of one datum.

    Parameters
    ----------
    members : dict of (model name, row) to (n_chain, n_draw, n_par)
        All parameters of the model of each datum, links applied.
    items : dict of model name to the data; fits : dict of model name to FitResult
    """

    members: dict = field(default_factory=dict)
    items: dict = field(default_factory=dict)
    fits: dict = field(default_factory=dict)

    def __getitem__(self, name):
        """Draws (n_chain, n_draw) of one parameter by its name in ``names``."""
        if name not in self.names:
            raise InputError(f"there is no parameter {name!r}", remedy=f"use {self.names}")
        return self.chains[:, :, self.names.index(name)]

    @cached_property
    def fingerprint(self) -> dict:
        """Names of the data, their number of bins and counts together."""
        found = [fingerprint(self.items[name][row]) for name, row in self.members]
        return {
            "name": ", ".join(f["name"] for f in found),
            "n_pix": sum(f["n_pix"] for f in found),
            "counts": sum(f["counts"] for f in found),
            "sha256": "".join(f["sha256"][:8] for f in found),
        }

    @property
    def deviance_at_mean(self):
        """Not defined for several data at once; see `of`."""
        raise InputError(
            "the deviance at the posterior mean is that of one datum",
            remedy="use .of(row), or dic(form='variance')",
        )

    def of(self, row=0, model="") -> Posterior:
        """What the chains say of one datum.

        Parameters
        ----------
        row : int or str, number or name of the datum.
        model : str, name of the model where several were joined.

        Returns
        -------
        Posterior
            Of all data, with the parameters of this one; its likelihoods are those of all data.
        """
        items = self._items(model)
        if isinstance(row, str):
            row = items.names.index(row) if row in items.names else -1
        if (model, row) not in self.members:
            raise InputError(f"there is no datum {row!r} of model {model!r}", remedy=".members")
        own = self.fits[model].model
        places, names, units = columns(own)
        full = self.members[model, row]
        return Posterior(
            model=own, data=items[row], names=names, units=units, chains=full[..., places],
            full=full, log_likelihood=self.log_likelihood, log_constant=self.log_constant,
            log_prior=self.log_prior, diverging=self.diverging, accepted=self.accepted,
            steps=self.steps, best=full.mean(axis=(0, 1))[places], settings=self.settings,
            fit=self.fits[model].row(row),
        )  # fmt: skip

    def _items(self, model):
        if model not in self.items:
            raise InputError(
                f"there is no model {model!r}", remedy=f"use one of {', '.join(self.items)}"
            )
        return self.items[model]

    def save(self, path):
        """Joint posteriors have no file format; save ``.of(row)``, or ``.table``."""
        raise InputError("is a joint posterior", file=path, remedy="save .of(row), or its table")
