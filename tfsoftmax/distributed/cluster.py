"""The interface to run tasks, and its implementation in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tfsoftmax.distributed.part import Call, Part
from tfsoftmax.distributed.tree import Nodes, combine_nodes, root


class Cluster(Protocol):
    """Runs tasks. A result, an *item*, stays where it is; callers have its handle."""

    def start(self, tasks: Sequence[Any]) -> list[Any]:
        """Compute Delayed objects; return the handles of their results."""

    def derive(
        self, function: Callable[..., Any], items: Sequence[Any], *arguments: Any
    ) -> list[Any]:
        """Call a function with each item; return the handles of the results."""

    def collect(
        self, function: Callable[..., Any], items: Sequence[Any], *arguments: Any
    ) -> list[Any]:
        """Call a function with each item; return the results."""

    def fold(self, parts: Sequence[Any], call: Call) -> Any:
        """Run a call on each part, and combine the results in a tree."""

    def chain(
        self,
        function: Callable[..., Any],
        parts: Sequence[Any],
        state: Any,
        arguments: Sequence[Any],
    ) -> Any:
        """Update a state with each part: state ← function(part, state, argument)."""

    def release(self, items: Sequence[Any]) -> None:
        """Free items."""


class ThisProcess:
    """Runs tasks in this process, if there is no Dask client."""

    def start(self, tasks: Sequence[Any]) -> list[Any]:
        """Compute them with Dask's current scheduler."""
        import dask

        return list(dask.compute(*tasks))

    def derive(
        self, function: Callable[..., Any], items: Sequence[Any], *arguments: Any
    ) -> list[Any]:
        """Call the function with each item."""
        return [function(item, *arguments) for item in items]

    def collect(
        self, function: Callable[..., Any], items: Sequence[Any], *arguments: Any
    ) -> list[Any]:
        """Call the function with each item."""
        return self.derive(function, items, *arguments)

    def fold(self, parts: Sequence[Any], call: Call) -> Any:
        """Run the call on one part after another."""
        return root(run_parts(parts, range(len(parts)), len(parts), call))

    def chain(
        self,
        function: Callable[..., Any],
        parts: Sequence[Any],
        state: Any,
        arguments: Sequence[Any],
    ) -> Any:
        """Update the state with one part after another."""
        for part, argument in zip(parts, arguments, strict=True):
            state = function(part, state, argument)
        return state

    def release(self, items: Sequence[Any]) -> None:
        """Do nothing: an item lives as long as its handle."""


def run_parts(
    parts: Sequence[Part], numbers: Sequence[int], n_parts: int, call: Call
) -> Nodes:
    """Run a call on some parts, and combine results whose siblings are there."""
    nodes: Nodes = {}
    for number, part in zip(numbers, parts, strict=True):
        nodes[0, number] = part.run(call)
        nodes = combine_nodes([nodes], n_parts, call.combine)
    return nodes
