"""A list of data of any kind, with their names."""

from __future__ import annotations

from collections import Counter


class DataList(tuple):
    """Images, profiles or what else is fitted, in the order of the rows.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> DataList([SimpleNamespace(name="a"), SimpleNamespace(name="b")]).names
    ['a', 'b']
    """

    @property
    def names(self) -> list[str]:
        """One name per entry, each another; see `distinct`."""
        return distinct([item.name for item in self])


def distinct(names) -> list[str]:
    """Names of which each occurs once: equal ones are numbered.

    Examples
    --------
    >>> distinct(["fake", "pn", "fake"])
    ['fake_1', 'pn', 'fake_2']
    """
    names = list(names)
    if len(set(names)) == len(names):
        return names
    count, number, made = Counter(names), Counter(), {}
    for name in names:
        label = name
        while count[name] > 1 and (label in count or label in made):
            number[name] += 1
            label = f"{name}_{number[name]}"
        made[label] = None
    return list(made)
