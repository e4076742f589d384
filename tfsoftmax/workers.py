"""A few threads that do what they are given, and that Ctrl-C can't lock up.

`concurrent.futures` waits in Python code, under locks that a KeyboardInterrupt in the
wrong place leaves locked for ever. A `SimpleQueue` is written in C: its `put` and `get`
are done, or not begun.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any


class Task:
    """A call under way, and what comes of it."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self._call: Callable[[], Any] | None = lambda: call(*args)
        self._outcomes: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._outcome: tuple[Any, BaseException | None] | None = None

    def run(self) -> None:
        """Call, in a worker."""
        assert self._call is not None
        try:
            self._outcomes.put((self._call(), None))
        except BaseException as error:  # which is the caller's, whatever it is
            self._outcomes.put((None, error))
        self._call = None  # and with it the arguments

    def result(self) -> Any:
        """Wait for the call to end: give what it gave, or raise what it raised."""
        if self._outcome is None:
            self._outcome = self._outcomes.get()
        value, error = self._outcome
        if error is not None:
            raise error
        return value


class Workers:
    """Up to some threads, each started when there is something for it to do."""

    def __init__(self, n_threads: int, name: str) -> None:
        self._n_threads, self._name = n_threads, name
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._threads: list[tuple[threading.Thread, SimpleQueue[None]]] = []

    def submit(self, call: Callable[..., Any], *args: Any) -> Task:
        """Have a thread call, with some arguments."""
        if len(self._threads) < self._n_threads:
            name = f"{self._name}_{len(self._threads)}"
            end: SimpleQueue[None] = SimpleQueue()
            # A daemon, so that one that an interruption has orphaned holds up nothing.
            thread = threading.Thread(
                target=_work, args=(self._tasks, end), name=name, daemon=True
            )
            self._threads.append((thread, end))
            thread.start()
        task = Task(call, *args)
        self._tasks.put(task)
        return task

    def map(self, call: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        """Call with the arguments of each place, all at once; give the results."""
        under_way = [self.submit(call, *args) for args in zip(*iterables, strict=False)]
        return (task.result() for task in under_way)

    def close(self) -> None:
        """Drop what is not begun, and wait for the threads to end."""
        with contextlib.suppress(Empty):
            while True:
                self._tasks.get_nowait()
        for _ in self._threads:
            self._tasks.put(None)
        with contextlib.ExitStack() as waiting:
            for thread, end in self._threads:
                if thread.is_alive():  # and not one that could not be started
                    waiting.callback(thread.join)
                    # Before that, for Python's `join` won't wait again, once a Ctrl-C
                    # has ended it; this may end early, and `join` waits.
                    waiting.callback(end.get)

    def __del__(self) -> None:
        """End the threads, too, where an interruption came before `close`, or in it."""
        for _ in self._threads:
            self._tasks.put(None)


def _work(tasks: SimpleQueue[Task | None], end: SimpleQueue[None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
        del task  # or the next wait would hold on to what it gave
    end.put(None)
