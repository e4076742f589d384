"""A fold whose result doesn't depend on where its parts are.

The parts are the leaves of a binary tree, in order. The result of a node is combined
from those of its two children, on whichever machine has both. Floating-point sums are
therefore the same bits, whichever machine has computed them.

    level 2                0
    level 1         0             1
    level 0      0     1       2            a node without a sibling moves up unchanged
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

# The result of the leaves below a node, by the node's level and number.
Nodes = dict[tuple[int, int], Any]


def combine_nodes(
    nodes: Iterable[Nodes], n_leaves: int, combine: Callable[[Any, Any], Any]
) -> Nodes:
    """Combine nodes with their siblings, as far up as these are available."""
    found: Nodes = {}
    for each in nodes:
        found |= each
    level, width = 0, n_leaves
    while width > 1:
        for number in sorted(i for at, i in found if at == level and i % 2 == 0):
            key, sibling = (level, number), (level, number + 1)
            if number + 1 == width:
                found[level + 1, number // 2] = found.pop(key)
            elif sibling in found:
                both = combine(found.pop(key), found.pop(sibling))
                found[level + 1, number // 2] = both
        level, width = level + 1, (width + 1) // 2
    return found


def root(nodes: Nodes) -> Any:
    """Return the result of all leaves, the only node that is left."""
    (result,) = nodes.values()
    return result
