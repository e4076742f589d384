"""Buffers: arrays that are filled again and again, as many as are in use at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakValueDictionary


class Buffers:
    """Lends arrays to threads, and makes one where none is left."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._free: SimpleQueue[Any] = SimpleQueue()

    @contextmanager
    def take(self) -> Iterator[Any]:
        """Lend an array within the context."""
        try:
            buffer = self._free.get_nowait()
        except Empty:
            buffer = self._make()
        try:
            yield buffer
        finally:
            self._free.put(buffer)


_shared: WeakValueDictionary[Hashable, Buffers] = WeakValueDictionary()


def shared_buffers(kind: Hashable, make: Callable[[], Any]) -> Buffers:
    """Return the buffers of a kind that all who hold them share.

    Many small blocks of rows, worked on one after another, need no buffer each.
    """
    return _shared.setdefault(kind, Buffers(make))
