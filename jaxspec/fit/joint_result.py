"""What a joint fit of several models hands back: a result for each, and what they share."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from jaxspec.errors import InputError
from jaxspec.fit.result import where_known
from jaxspec.fit.sets import layouts_of


class JointResult(dict):
    """`FitResult` of each model by name, from one joint fit.

    ``result["gas"]`` is the result of that model with its own data; ``table`` holds every free
    parameter once.
    """

    @classmethod
    def of(cls, models, own, share, results) -> JointResult:
        """Result from what `jaxspec.fit.joint.fit_joint` took and gave."""
        made = cls(results)
        layouts, made.slots = layouts_of(models, {n: u.own for n, u in own.items()}, share)
        made.layouts, made.own = layouts, own
        made.settings = {}
        return made

    @property
    def total(self) -> tuple[float, int]:
        """Statistic and degrees of freedom of everything together."""
        stat = sum(float(np.nansum(r.stat)) for r in self.values())
        return stat, int(sum(r.n_bins.sum() for r in self.values())) - self.n_free

    @cached_property
    def n_free(self) -> int:
        """Free parameters, shared ones counted once."""
        shared = sum(
            any(self[name].model.parameters[i].free for name, i in members)
            for members in self.slots
        )
        single = 0
        for name, untied in self.own.items():
            used = self[name].n_bins > 0  # a datum that was rejected has no parameters
            single += int((untied.own & np.isnan(untied.fixed))[used].sum())
        return shared + single

    def covariance(self, a, b) -> np.ndarray:
        """Covariance between the parameters of two rows.

        Parameters
        ----------
        a, b : (name, row)

        Returns
        -------
        (n_column of a, n_column of b), over the ``columns`` of both results

        Raises
        ------
        InputError
            A name or row that is not there.
        """
        (one, i), (other, j) = self._place(a), self._place(b)
        if one == other:
            return self[one].covariance(i, other=j)
        left, right = self[one].together, self[other].together
        whole = left.levers[i] @ left.shared[left.label[i]] @ right.levers[j].T
        whole = whole[np.ix_(self[one].shown, self[other].shown)]
        return where_known(whole, (self[one], i), (self[other], j))

    def _place(self, row):
        """(name, number) of a row."""
        if not isinstance(row, tuple) or len(row) != 2 or row[0] not in self:
            raise InputError(
                f"{row!r} is no row", remedy=f"give (name, row), a name of {', '.join(self)}"
            )
        name, number = row
        if number not in range(len(self[name])):
            raise InputError(f"{name!r} has {len(self[name])} rows, and {number!r} is none of them")
        return name, int(number)

    @cached_property
    def table(self):
        """`astropy.table.QTable`, one row per free parameter: name, value, error, unit, of.

        A parameter that several models share stands once; ``of`` names the models.
        """
        from astropy.table import QTable

        rows = []
        for members in self.slots:
            name, index = members[0]
            if self[name].model.parameters[index].free:
                rows.append(self._row(name, index, 0, [n for n, _ in members]))
        for name, untied in self.own.items():
            for index in np.flatnonzero(untied.own):
                for row in np.flatnonzero(np.isnan(untied.fixed[:, index])):
                    rows.append(self._row(name, index, row, [self[name].names[row]]))
        names = ("name", "value", "error", "unit", "of")
        table = QTable(rows=rows, names=names) if rows else QTable(names=names)
        stat, dof = self.total
        table.meta.update(stat=stat, dof=dof)
        return table

    def _row(self, name, index, row, of):
        from jaxspec.fit.tables import astropy_unit  # astropy's tables take 0.6 s to import

        result = self[name]
        p = result.model.parameters[index]
        unit = astropy_unit(p.unit)
        value, error = result.value(p.full_name)[row], result.error(p.full_name)[row]
        return p.full_name, value, error, "" if unit is None else str(unit), ", ".join(of)

    def write(self, path, overwrite=False):
        """Write the table; see `jaxspec.fit.result.FitResult.write`."""
        from jaxspec.fit.store import joint_table, refuse_inputs
        from jaxspec.fit.tables import check_path, write_table

        check_path(path, overwrite)
        refuse_inputs(path, [item for result in self.values() for item in result.data])
        return write_table(joint_table(self), path, overwrite)

    def summary(self) -> str:
        """A few lines of text for each model, and the total."""
        stat, dof = self.total
        parts = [f"{name}: {result.summary()}" for name, result in self.items()]
        return "\n".join([*parts, f"together: stat / dof  {stat:.2f} / {dof}"])

    def __repr__(self):
        return self.summary()
