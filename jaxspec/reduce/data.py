"""A list of data of any kind, with their names."""

from __future__ import annotations


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
        """One name per entry."""
        return [item.name for item in self]
