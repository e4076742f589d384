"""Pieces: parts of a dataset, or objects made from them, to be processed in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any

from tfsoftmax.utils.parallel import map_in_threads


class Pieces:
    """Items on which functions of NumPy run, in up to `n_threads` threads."""

    def __init__(self, items: Sequence[Any], n_threads: int = 1) -> None:
        self._items, self._n_threads = items, n_threads

    def fold(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any:
        """Call a function with each item; combine the results in order."""
        return reduce(combine, self._each(function, arguments))

    def bind(self, make: Callable[..., Any], *arguments: Any) -> Pieces:
        """Create an object from each item, to fold their methods."""
        return Pieces(list(self._each(make, arguments)), self._n_threads)

    def _each(
        self, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Iterator[Any]:
        return map_in_threads(
            lambda item: function(item, *arguments), self._items, self._n_threads
        )
