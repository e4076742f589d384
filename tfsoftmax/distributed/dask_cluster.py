"""DaskCluster: runs tasks on the workers of a Dask cluster.

Nothing is pinned to a worker, and all input of a task comes from other tasks, which
read the rows. If a worker is lost, Dask can therefore compute its results again on
another.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from tfsoftmax.distributed.cluster import Cluster, ThisProcess, run_parts
from tfsoftmax.distributed.part import Call
from tfsoftmax.distributed.tree import combine_nodes, root
from tfsoftmax.distributed.watch import Watch, WorkerLostError, needs_scheduler
from tfsoftmax.utils.workers import current_worker

# How often workers may be lost during one fold.
MAX_LOSSES = 5
# From this many bytes, arguments are sent only once, and workers combine results.
LARGE = 1 << 20
FAN_IN = 8
# The share of a worker's memory that the tasks of its threads may read back together.
MAX_TASK_SHARE = 0.25


@contextmanager
def current_cluster() -> Iterator[Cluster]:
    """Return the cluster of Dask's current client or, without one, this process."""
    try:
        from distributed import default_client, worker_client
    except ImportError:
        yield ThisProcess()
        return
    if current_worker() is not None:
        # In a task, whose thread runs other tasks while it waits.
        with worker_client() as client:
            yield DaskCluster(client)
        return
    try:
        client = default_client()
    except ValueError:
        yield ThisProcess()
        return
    if client.asynchronous:
        raise RuntimeError(
            "TFSoftmaxClassifier needs a synchronous Dask client, but the current one "
            "is asynchronous. In another thread, create a Client without "
            "asynchronous=True, and fit there."
        )
    yield DaskCluster(client)


class _Group(NamedTuple):
    """The parts that one thread of a worker processes."""

    numbers: list[int]
    worker: str


class DaskCluster:
    """Runs tasks on the workers of a client's cluster; handles are futures."""

    def __init__(self, client: Any) -> None:
        self._client, self._fit = client, uuid.uuid4().hex[:8]
        self.watch = Watch(client)
        self._groups: dict[str, list[_Group]] = {}
        self._sizes: dict[Callable[..., Any], int] = {}
        self._fetched: list[Any] = []

    @needs_scheduler
    def start(self, tasks: Sequence[Any]) -> list[Any]:
        """Compute Delayed objects."""
        return self._finished(self._client.compute(list(tasks)))

    @needs_scheduler
    def derive(
        self, function: Callable[..., Any], items: Sequence[Any], *arguments: Any
    ) -> list[Any]:
        """Call a function with each item; its results stay on the workers."""
        if not items:  # which Client.map refuses
            return []
        calls = [(item, *arguments) for item in items]
        return self._finished(self._submit(function, calls))

    @needs_scheduler
    def collect(
        self, function: Callable[..., Any], items: Sequence[Any], *arguments: Any
    ) -> list[Any]:
        """Call a function with each item."""
        return self._gathered(self.derive(function, items, *arguments))

    @needs_scheduler
    def fold(self, parts: Sequence[Any], call: Call) -> Any:
        """Run a call on each part, in a task per thread or, if large, in a tree."""
        return self._retried(lambda: self._fold(parts, call))

    def _fold(self, parts: Sequence[Any], call: Call) -> Any:
        n, groups = len(parts), self._placed(parts)
        size = self._sizes.get(call.function, LARGE)
        argument = self._sent(call)
        if size * len(groups) >= FAN_IN * LARGE:
            numbers, workers = [[i] for i in range(n)], set()
        else:
            numbers = [group.numbers for group in groups]
            workers = {group.worker for group in groups}
        name = call.function.__name__.strip("_")
        calls = [([parts[i] for i in some], some, n, argument) for some in numbers]
        futures = self._submit(run_parts, calls, name)
        while len(futures) > FAN_IN and not workers:
            neighbours = [
                futures[i : i + FAN_IN] for i in range(0, len(futures), FAN_IN)
            ]
            merges = [(some, n, call.combine) for some in neighbours]
            futures = self._submit(combine_nodes, merges)
        is_scattered = argument is not call
        nodes = self._gathered(self._finished(futures, workers, is_scattered))
        self._sizes[call.function] = max(map(_n_bytes, nodes[0].values()))
        return root(combine_nodes(nodes, n, call.combine))

    @needs_scheduler
    def chain(
        self,
        function: Callable[..., Any],
        parts: Sequence[Any],
        state: Any,
        arguments: Sequence[Any],
    ) -> Any:
        """Update a state with one part after another, from worker to worker."""

        def go_through() -> Any:
            future = first = self._sent(state)
            for part, argument in zip(parts, arguments, strict=True):
                (future,) = self._submit(function, [(part, future, argument)])
            is_scattered = first is not state
            futures = self._finished([future], is_scattered=is_scattered)
            return self._gathered(futures)[0]

        return self._retried(go_through)

    def release(self, items: Sequence[Any]) -> None:
        """Tell the scheduler that this process no longer needs the items."""
        self._fetched = []
        for item in items:
            item.release()  # not `cancel`, which would end what depends on them, too

    def _retried(self, attempt: Callable[[], Any]) -> Any:
        """Return the result of the first attempt during which no worker is lost."""
        for _ in range(MAX_LOSSES):
            try:
                return attempt()
            except WorkerLostError:
                self._groups.clear()
        raise RuntimeError(
            f"Dask workers were lost {MAX_LOSSES} times during one pass over the rows. "
            "See their logs; the usual cause is a lack of memory."
        )

    def _gathered(self, futures: list[Any]) -> list[Any]:
        """Fetch the results of finished futures, which are then no longer needed."""
        results: list[Any] = self._client.gather(futures)
        # Released with the next message: a message sent now would delay the next by
        # the client's interval between messages, 10 ms.
        self._fetched = futures
        return results

    def _submit(
        self,
        function: Callable[..., Any],
        calls: Sequence[tuple[Any, ...]],
        name: str | None = None,
    ) -> list[Any]:
        """Submit a task for each tuple of arguments, all in a single message."""
        name = (name or function.__name__.strip("_")).replace("_", "-")
        keys = [f"tfsoftmax-{name}-{self._fit}-{uuid.uuid4().hex}" for _ in calls]
        columns = map(list, zip(*calls, strict=True))
        futures: list[Any] = self._client.map(function, *columns, key=keys, pure=False)
        self._fetched = []
        return futures

    def _sent(self, argument: Any) -> Any:
        """Return an argument of several tasks or, if it is large, its future."""
        if _n_bytes(argument) < LARGE:
            return argument
        return self._client.scatter(argument, hash=False)

    def _placed(self, parts: Sequence[Any]) -> list[_Group]:
        """Group the parts by worker, with at least one group per thread."""
        key = parts[0].key
        if key not in self._groups:
            self.watch.wait(list(parts))
            having = self._client.who_has(parts)
            by_worker: dict[str, list[int]] = {}
            for number, part in enumerate(parts):
                if not (workers := having[part.key]):
                    raise WorkerLostError
                by_worker.setdefault(min(workers), []).append(number)
            sizes = self._client.nbytes([part.key for part in parts], summary=False)
            n_bytes = [sizes.get(part.key, 0) for part in parts]
            about = self.watch.workers()
            self._groups[key] = [
                _Group(numbers, worker)
                for worker, its in by_worker.items()
                for numbers in _cut(its, n_bytes, about.get(worker, {}))
            ]
        return self._groups[key]

    def _finished(
        self,
        futures: list[Any],
        workers: Set[str] = frozenset(),
        is_scattered: bool = False,
    ) -> list[Any]:
        """Wait for futures and return them; if one fails, cancel the others.

        If they use data that is scattered, which no task can compute again, and that is
        lost with a worker, raise `WorkerLostError`: another attempt sends it again.
        """
        try:
            self.watch.wait(futures, workers)
        except BaseException as error:
            with suppress(Exception):  # without a scheduler there is nothing to end
                self._client.cancel(futures)
            if isinstance(error, CancelledError) and is_scattered:
                self.watch.check_connection()
                raise WorkerLostError from error
            raise
        return futures


def _cut(
    numbers: Sequence[int], n_bytes: Sequence[int], worker: Mapping[str, Any]
) -> list[list[int]]:
    """Divide the parts of a worker into groups, each of which is a task.

    There is a group per thread, or more if the parts are large compared with the
    worker's memory: a task reads all of its parts into memory, also from disk.
    """
    n_threads = worker.get("nthreads", 1)
    limit = (worker.get("memory_limit") or math.inf) * MAX_TASK_SHARE / n_threads
    total = sum(n_bytes[number] for number in numbers)
    n_groups = max(n_threads, math.ceil(total / limit))
    return [some.tolist() for some in np.array_split(numbers, n_groups) if some.size]


def _n_bytes(value: Any) -> int:
    """Return the approximate size of the arrays in a value."""
    if isinstance(value, Call):
        value = value.arguments, value.made_of
    if isinstance(value, tuple | list):
        return sum(map(_n_bytes, value))
    if isinstance(value, dict):
        return sum(map(_n_bytes, value.values()))
    if hasattr(value, "__dataclass_fields__"):
        return sum(map(_n_bytes, vars(value).values()))
    return int(getattr(value, "nbytes", 0))
