"""Joint fits as sets of lanes: which parameters are one, which every lane has for itself.

A set is what is fitted with one vector of parameters: ``[shared, own parameters of its lanes]``,
see `jaxspec.fit.arrow`. All sets of a call have the same number of places for lanes; a place that
a set does not fill holds a lane without data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxspec.errors import InputError


class Layout(NamedTuple):
    """Where the parameters of one model stand. Static: hashable.

    ``slots`` (n_par,), place in the shared vector, -1 for own parameters; ``n_shared``, length of
    that vector; ``own``, indices of the own parameters.
    """

    slots: tuple[int, ...]
    n_shared: int

    @property
    def own(self) -> tuple[int, ...]:
        """Indices of the parameters that every lane has for itself."""
        return tuple(i for i, slot in enumerate(self.slots) if slot < 0)

    @property
    def shared(self) -> tuple[int, ...]:
        """Indices of the parameters that lanes share."""
        return tuple(i for i, slot in enumerate(self.slots) if slot >= 0)

    @property
    def places(self) -> np.ndarray:
        """Places in the shared vector of the parameters in `shared`."""
        return np.array([slot for slot in self.slots if slot >= 0], dtype=int)


class Untied(NamedTuple):
    """Parameters that every datum has for itself.

    ``own`` (n_par,) bool; ``fixed`` (n_row, n_par), values at which they are frozen in single rows,
    NaN where they are free.
    """

    own: np.ndarray
    fixed: np.ndarray

    def names(self, model) -> list[str]:
        """Full names of the untied parameters of the model."""
        return [p.full_name for p, own in zip(model, self.own, strict=True) if own]


def untied(model, untie, n_row) -> Untied:
    """Read ``untie``: a name, a list of names, or a dict of name to one value or None per datum.

    Raises
    ------
    InputError
        A parameter that is frozen or linked, a list of another length, a value out of the limits.
    """
    if isinstance(untie, str):
        untie = [untie]
    if not isinstance(untie, dict | list | tuple | set):
        raise InputError(
            f"{untie!r} is no list of names",
            parameter="untie",
            remedy='give ["parameter"], or {"parameter": [1.0, None]}',
        )
    given = untie if isinstance(untie, dict) else dict.fromkeys(untie)
    own = np.zeros(len(model.parameters), dtype=bool)
    fixed = np.full((n_row, len(model.parameters)), np.nan)
    for name, values in given.items():
        parameter = model[name]
        if parameter.frozen or parameter.link is not None:
            raise InputError(
                "cannot be untied: it is frozen or linked", parameter=name, remedy="thaw it first"
            )
        if own[parameter.number - 1]:
            raise InputError(
                "is untied twice", parameter=parameter.full_name, remedy="name it once"
            )
        own[parameter.number - 1] = True
        if values is not None:
            fixed[:, parameter.number - 1] = _fixed(parameter, values, n_row)
    return Untied(own, fixed)


def _fixed(parameter, values, n_row):
    try:
        numbers = np.array([np.nan if v is None else float(v) for v in values])
        given = [v for v in values if v is not None]
        wrong = any(isinstance(v, bool | np.bool_ | str) or not np.isfinite(v) for v in given)
    except (TypeError, ValueError):
        numbers, wrong = np.zeros(0), False
    if len(numbers) != n_row or wrong:
        raise InputError(
            f"is untied with {values!r}",
            parameter=parameter.full_name,
            remedy=f"give a number (frozen there) or None (free there) for each of {n_row} data",
        )
    outside = numbers[(numbers < parameter.min) | (numbers > parameter.max)]
    if outside.size:
        raise InputError(
            f"is untied with {outside[0]:g}, outside the limits {parameter.min:g} to "
            f"{parameter.max:g}",
            parameter=parameter.full_name,
            remedy="change the limits or the value",
        )
    return numbers


def labels_of(items, joint) -> tuple[np.ndarray, list]:
    """Which joint set each datum belongs to.

    Parameters
    ----------
    items : sequence of data
    joint : True, str or array of one label per datum
        A word names an attribute of the data, or else a keyword of their headers.

    Returns
    -------
    number : (n_row,) int; names : list of the labels, in order of appearance.
    """
    if joint is True:
        return np.zeros(len(items), dtype=int), ["all"]
    if isinstance(joint, str):
        found = [_word(item, joint) for item in items]
    elif np.ndim(joint) == 1:
        found = list(joint)
    else:
        raise InputError(
            f"{joint!r} is no list of labels", parameter="joint",
            remedy="give True, a header keyword, or one label for each datum",
        )  # fmt: skip
    if any(label is None or label != label for label in found):
        raise InputError(
            "has labels that are missing", parameter="joint", remedy="give each datum a label"
        )
    if len(found) != len(items):
        raise InputError(
            f"{len(found)} labels for {len(items)} data", parameter="joint", remedy="give one each"
        )
    names = list(dict.fromkeys(found))
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[label] for label in found]), names


def _word(item, word):
    value = getattr(item, word, None)
    if value is None:
        header = getattr(item, "header", None) or {}
        value = header.get(word.upper())
    if value is None:
        kept = f" (of its header {', '.join(header)} are kept)" if header else ""
        raise InputError(
            f"{item.name} has no attribute {word!r}, and no keyword {word.upper()} was read{kept}",
            parameter="joint",
            remedy="give an array of labels, one for each datum",
        )
    return value


def layouts_of(models: dict, own: dict, share) -> tuple[dict[str, Layout], list]:
    """Layout of each model, and the names of the shared vector.

    Parameters
    ----------
    models : dict of name to Model
    own : dict of name to (n_par,) bool, parameters that are untied.
    share : str or dict, or list of them
        Parameters that are one in all models that have them; a dict says how each model calls it.

    Returns
    -------
    layouts : dict of name to Layout
    slots : list of list of (model name, parameter index), the members of each shared place.
    """
    slots, of = [], {}
    for entry in _entries(share):
        members = _members(models, entry)
        _check_alike(models, entry, members)
        for name, index in members:
            if own[name][index] or (name, index) in of:
                raise InputError(f"{entry!r} is shared twice, or untied", parameter="share")
            of[name, index] = len(slots)
        slots.append(members)
    for name, model in models.items():
        for index in range(len(model.parameters)):
            if not own[name][index] and (name, index) not in of:
                of[name, index] = len(slots)
                slots.append([(name, index)])
    slots = slots or [[]]  # a place that nobody fills, where everything is untied
    layouts = {
        name: Layout(tuple(of.get((name, i), -1) for i in range(len(model.parameters))), len(slots))
        for name, model in models.items()
    }
    return layouts, slots


def _entries(share) -> list:
    """Entries of ``share``: a name or a dict alone is one."""
    entries = [share] if isinstance(share, str | dict) else share
    if not isinstance(entries, list | tuple) or any(not isinstance(e, str | dict) for e in entries):
        raise InputError(
            f"{share!r} is no list of parameters", parameter="share",
            remedy='give ["kT"], or [{"a": "kT", "b": "apec.kT"}]',
        )  # fmt: skip
    return list(entries)


def _check_alike(models, entry, members):
    """Refuse to make one of parameters that cannot be equal."""
    found = {name: models[name].parameters[index] for name, index in members}
    each = list(found.values())

    def refuse(what, remedy):
        raise InputError(f"{entry!r} {what}", parameter="share", remedy=remedy)

    if linked := [name for name, p in found.items() if p.link is not None]:
        refuse(f"is linked in {linked[0]!r}", "share what it is linked to")
    if len({p.frozen for p in each}) > 1:
        frozen = [name for name, p in found.items() if p.frozen]
        refuse(f"is frozen in {frozen[0]!r} and free elsewhere", "freeze it everywhere, or nowhere")
    if each[0].frozen and len({p.value for p in each}) > 1:
        values = ", ".join(f"{p.value:g} in {name!r}" for name, p in found.items())
        refuse(f"is frozen at {values}", "freeze it at one value")
    for what in ("role", "unit"):
        if len({getattr(p, what) for p in each} - {""}) > 1:
            known = ", ".join(f"{getattr(p, what) or 'none'} in {n!r}" for n, p in found.items())
            refuse(f"stands for different things: its {what} is {known}", "share what is the same")
    if max(p.min for p in each) >= min(p.max for p in each):
        limits = ", ".join(f"{p.min:g} to {p.max:g} in {n!r}" for n, p in found.items())
        refuse(f"has limits that do not overlap, {limits}", "change the limits")


def _members(models, entry):
    """(model name, index) of the parameters that one entry of ``share`` makes one."""
    if isinstance(entry, dict):
        if unknown := [name for name in entry if name not in models]:
            raise InputError(
                f"there is no model {unknown[0]!r}", parameter="share",
                remedy=f"use {', '.join(map(str, models))}",
            )  # fmt: skip
        if len(entry) < 2:
            raise InputError(
                f"{entry!r} names one model alone", parameter="share", remedy="name two or more"
            )
        return [(name, models[name][key].number - 1) for name, key in entry.items()]
    members = []
    for name, model in models.items():
        try:
            members.append((name, model[entry].number - 1))
        except InputError:
            continue
    if len(members) < 2:
        raise InputError(
            f"{entry!r} is a parameter of {len(members)} of the models",
            parameter="share",
            remedy='name one that several have, or say {"a": "kT", "b": "apec.kT"}',
        )
    return members


def members(label, n_set, rows) -> np.ndarray:
    """Lanes of each set in one group: (n_set, n_place) positions in the group, -1 for none.

    Parameters
    ----------
    label : (n_row,) int, set of each row; n_set : int
    rows : (n_lane,) int, row of each lane of the group.
    """
    lists = [[] for _ in range(n_set)]
    for lane, row in enumerate(rows):
        lists[label[row]].append(lane)
    n_place = max(map(len, lists))
    return np.array([lanes + [-1] * (n_place - len(lanes)) for lanes in lists], dtype=int)
