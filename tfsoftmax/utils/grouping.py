"""Groups of equal keys."""

from __future__ import annotations

from collections.abc import Hashable, Iterable


def group_by_key(keys: Iterable[Hashable]) -> list[list[int]]:
    """Group the indices of equal keys, in the order of their first."""
    groups: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())
