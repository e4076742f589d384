"""Buffers: arrays that are refilled, as many as are in use at the same time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakValueDictionary


class Buffers:
    """Lends arrays to threads, and creates one if none is left."""

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
    """Return the shared buffers of a kind.

    Many small blocks of rows, processed in succession, don't each need a buffer.
    """
    return _shared.setdefault(kind, Buffers(make))
