"""A thread pool that can't hang after Ctrl-C.

`concurrent.futures` waits in Python code, holding locks that a KeyboardInterrupt at the
wrong moment leaves locked forever. A `SimpleQueue` is written in C: its `put` and `get`
are either complete or not started.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any


class Task:
    """A submitted call and its outcome."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self._call: Callable[[], Any] | None = lambda: call(*args)
        self._outcomes: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._outcome: tuple[Any, BaseException | None] | None = None

    def run(self) -> None:
        """Make the call, in a thread of the pool."""
        assert self._call is not None
        try:
            self._outcomes.put((self._call(), None))
        except BaseException as error:  # raised again by `result`
            self._outcomes.put((None, error))
        self._call = None  # frees the arguments

    def result(self) -> Any:
        """Wait for the call to end; return its result, or raise its error."""
        if self._outcome is None:
            self._outcome = self._outcomes.get()
        value, error = self._outcome
        if error is not None:
            raise error
        return value


class ThreadPool:
    """Up to `n_threads` threads, each started when the first task needs it."""

    def __init__(self, n_threads: int, name: str) -> None:
        self._n_threads, self._name = n_threads, name
        self._tasks: SimpleQueue[Any] = SimpleQueue()  # a non-Task ends a thread
        self._threads: list[tuple[threading.Thread, SimpleQueue[None]]] = []

    def submit(self, call: Callable[..., Any], *args: Any) -> Task:
        """Submit a call with these arguments to the threads; return its task."""
        if len(self._threads) < self._n_threads:
            name = f"{self._name}_{len(self._threads)}"
            end: SimpleQueue[None] = SimpleQueue()
            # Ends the thread if Ctrl-C came before or during `close`. Since it is
            # written in C, it can't swallow another Ctrl-C, as `__del__` would.
            pool = weakref.ref(self, self._tasks.put)
            # Daemon: an orphaned thread must not block the interpreter's exit.
            thread = threading.Thread(
                target=_work, args=(self._tasks, end, pool), name=name, daemon=True
            )
            self._threads.append((thread, end))
            _start(thread)
        task = Task(call, *args)
        self._tasks.put(task)
        return task

    def map(self, call: Callable[..., Any], *iterables: Iterable[Any]) -> Iterator[Any]:
        """Submit a call for each tuple of arguments; return the results in order."""
        tasks = [self.submit(call, *args) for args in zip(*iterables, strict=False)]
        return (task.result() for task in tasks)

    def map_at_most(
        self, call: Callable[[Any], Any], items: Iterable[Any], n_at_once: int
    ) -> Iterator[Any]:
        """Yield the results of a call with each item, in order.

        No more than `n_at_once` run or wait to be yielded.
        """
        tasks: deque[Task] = deque()
        for item in items:
            tasks.append(self.submit(call, item))
            if len(tasks) == n_at_once:
                yield tasks.popleft().result()
        while tasks:
            yield tasks.popleft().result()

    def close(self) -> None:
        """Drop the tasks that have not started, and wait for the threads to end.

        A task that is submitted later starts a new thread.
        """
        with contextlib.suppress(Empty):
            while True:
                self._tasks.get_nowait()
        for _ in self._threads:
            self._tasks.put(None)
        with contextlib.ExitStack() as waiting:
            for thread, end in self._threads:
                if thread.is_alive():  # it may have failed to start
                    waiting.callback(thread.join)
                    # Waited for first: after Ctrl-C has interrupted `join`, it does not
                    # wait again. If this wait is interrupted, `join` waits.
                    waiting.callback(end.get)
        self._tasks, self._threads = SimpleQueue(), []


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        # `threading` raises this after Ctrl-C between its locks.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


def _work(tasks: SimpleQueue[Any], end: SimpleQueue[None], _: weakref.ref[Any]) -> None:
    while isinstance(task := tasks.get(), Task):
        task.run()
        del task  # otherwise its result would live until the next task arrives
    end.put(None)
