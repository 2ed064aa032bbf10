"""The posterior of a joint fit: chains of shared and own parameters, and each datum's part."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from jaxspec._ask import row_number
from jaxspec.errors import InputError
from jaxspec.likelihood.forward import log_constant, log_likelihoods
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
    modes : dict of (model name, row) to (n_par,), the same at the mode.
    items : dict of model name to the data; fits : dict of model name to FitResult
    parameters : tuple of ModelParameter, one for each of ``names``.
    integrated : dict of (model name, row) to bool, whether the mean over pixels was taken.
    """

    members: dict = field(default_factory=dict)
    modes: dict = field(default_factory=dict)
    items: dict = field(default_factory=dict)
    fits: dict = field(default_factory=dict)
    parameters: tuple = ()
    integrated: dict = field(default_factory=dict)

    def __getitem__(self, name):
        """Draws (n_chain, n_draw) of one parameter by its name in ``names``."""
        if name not in self.names:
            raise InputError(f"there is no parameter {name!r}", remedy=f"use {self.names}")
        return self.chains[:, :, self.names.index(name)]

    def parameter(self, name):
        """Parameter that a name in ``names`` stands for."""
        self[name]  # says which names there are
        return self.parameters[self.names.index(name)]

    @property
    def data_names(self) -> list[str]:
        """Names of the data that have a part in it."""
        names = {name: some.names for name, some in self.items.items()}
        return [names[name][row] for name, row in self.members]

    @cached_property
    def fingerprint(self) -> dict:
        """Names of the data, their number of bins and counts together."""
        found = [fingerprint(self.items[name][row]) for name, row in self.members]
        return {
            "name": ", ".join(self.data_names),
            "n_pix": sum(f["n_pix"] for f in found),
            "counts": sum(f["counts"] for f in found),
            "sha256": "".join(f["sha256"][:8] for f in found),
        }

    @cached_property
    def deviance_at_mean(self) -> float:
        """-2 ln L of all data at the posterior means, with all constants."""
        total = 0.0
        for (name, row), full in self.members.items():
            mean = self.fits[name].model.linked(full.mean(axis=(0, 1)))[None]
            total -= 2.0 * float(
                log_likelihoods(*self._datum(name, row), mean, **self._how(name, row))[0]
            )
        return total

    def _datum(self, name, row):
        return self.fits[name].model, self.items[name][row]

    def _how(self, name, row):
        """Options with which the likelihood of one datum is computed."""
        return {"integrate": self.integrated[name, row], "stat": self.fits[name].stat_names[row]}

    def _need_data(self, what):
        raise InputError(f"{what} is that of one datum", remedy="use .of(row)")

    def of(self, row=0, model="") -> Posterior:
        """What the chains say of one datum.

        Parameters
        ----------
        row : int or str
            Number or name of the datum, or name of a model that was joined with one datum; or
            (model, row).
        model : str, name of the model where several were joined.

        Returns
        -------
        Posterior
            Given all data, with the parameters and the likelihood of this one.
        """
        if isinstance(row, tuple) and len(row) == 2:
            model, row = row
        if model == "" and isinstance(row, str) and row in self.items and len(self.items[row]) == 1:
            row, model = 0, row
        items = self._items(model)
        row = row_number(items.names, row)
        if (model, row) not in self.members:
            raise InputError(
                f"{items.names[row]} has no part in it: {self.fits[model].messages[row]}",
                remedy=f"choose one of {', '.join(self.data_names)}",
            )
        own = self.fits[model].model
        places, names, units = columns(own)
        full, how = self.members[model, row], self._how(model, row)
        draws = full.reshape(-1, full.shape[-1])
        value = log_likelihoods(own, items[row], draws, **how).reshape(full.shape[:2])
        return Posterior(
            model=own, data=items[row], names=names, units=units, chains=full[..., places],
            full=full, log_likelihood=value, log_constant=log_constant(own, items[row], **how),
            log_prior=self.log_prior, diverging=self.diverging, accepted=self.accepted,
            steps=self.steps, best=self.modes[model, row][places], settings=self.settings | how,
            fit=self.fits[model].row(row),
        )  # fmt: skip

    def derived(self, radius=None) -> dict:
        """Derived quantities are those of one datum: use ``.of(row).derived()``."""
        raise InputError("derived quantities are those of one datum", remedy="use .of(row)")

    def _items(self, model):
        if model not in self.items:
            raise InputError(
                f"there is no model {model!r}" if model != "" else "several models were joined",
                remedy=f"use .of(row, model), as .of(0, {next(iter(self.items))!r}); there are "
                + ", ".join(map(str, self.items)),
            )
        return self.items[model]

    def save(self, path, overwrite=False):
        """Joint posteriors have no file format; save ``.of(row)``, or ``.table``."""
        raise InputError("is a joint posterior", file=path, remedy="save .of(row), or its table")
