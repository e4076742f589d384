"""DaskCluster: runs tasks on the workers of a Dask cluster.

Nothing is pinned to a worker, and all input of a task comes from other tasks, which
read the rows. If a worker is lost, Dask can therefore compute its results again on
another. Every wait checks the scheduler and the workers about once a second, and raises
an error if there are none to wait for.
"""

from __future__ import annotations

import functools
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tfsoftmax.distributed.cluster import Cluster, ThisProcess, run_parts
from tfsoftmax.distributed.part import Call
from tfsoftmax.distributed.tree import combine_nodes, root

# Seconds between two checks, and seconds to wait for workers if there are none.
TICK, PATIENCE = 1.0, 60.0
# How often workers may be lost during one fold.
MAX_LOSSES = 5
# From this many bytes, arguments are sent only once, and workers combine results.
LARGE = 1 << 20
FAN_IN = 8
# The share of a worker's memory that the tasks of its threads may read back together.
MAX_TASK_SHARE = 0.25

Method = TypeVar("Method", bound=Callable[..., Any])


@contextmanager
def current_cluster() -> Iterator[Cluster]:
    """Return the cluster of Dask's current client or, without one, this process."""
    try:
        from distributed import default_client, get_worker, worker_client
    except ImportError:
        yield ThisProcess()
        return
    try:
        get_worker()
    except ValueError:
        pass
    else:  # in a task, whose thread runs other tasks while it waits
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


class _WorkerLostError(Exception):
    """A worker that was to run tasks has been lost."""


def _needs_scheduler(method: Method) -> Method:
    """Decorate a method so that its errors say if the scheduler is gone."""

    @functools.wraps(method)
    def explained(self: DaskCluster, *arguments: Any) -> Any:
        try:
            return method(self, *arguments)
        except ConnectionError:
            raise
        except Exception as error:
            if self._client.status != "running" or isinstance(error, CancelledError):
                raise self._lost() from error
            raise

    return explained  # type: ignore[return-value]


class DaskCluster:
    """Runs tasks on the workers of a client's cluster; handles are futures."""

    def __init__(self, client: Any) -> None:
        self._client, self._fit = client, uuid.uuid4().hex[:8]
        self._groups: dict[str, list[_Group]] = {}
        self._sizes: dict[Callable[..., Any], int] = {}
        self._fetched: list[Any] = []
        self._has_scattered = False

    @_needs_scheduler
    def start(self, tasks: Sequence[Any]) -> list[Any]:
        """Compute Delayed objects."""
        return self._finished(self._client.compute(list(tasks)))

    @_needs_scheduler
    def derive(
        self, function: Callable[..., Any], items: Sequence[Any], *arguments: Any
    ) -> list[Any]:
        """Call a function with each item; its results stay on the workers."""
        calls = [(item, *arguments) for item in items]
        return self._finished(self._submit(function, calls))

    @_needs_scheduler
    def collect(self, function: Callable[..., Any], items: Sequence[Any]) -> list[Any]:
        """Call a function with each item."""
        return self._gathered(self.derive(function, items))

    @_needs_scheduler
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
        nodes = self._gathered(self._finished(futures, workers))
        self._sizes[call.function] = max(map(_n_bytes, nodes[0].values()))
        return root(combine_nodes(nodes, n, call.combine))

    @_needs_scheduler
    def chain(
        self,
        function: Callable[..., Any],
        parts: Sequence[Any],
        state: Any,
        arguments: Sequence[Any],
    ) -> Any:
        """Update a state with one part after another, from worker to worker."""

        def go_through() -> Any:
            future = self._sent(state)
            for part, argument in zip(parts, arguments, strict=True):
                (future,) = self._submit(function, [(part, future, argument)])
            return self._gathered(self._finished([future]))[0]

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
            except _WorkerLostError:
                self._groups.clear()
            finally:
                self._has_scattered = False
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
        """Send a large argument of several tasks to a worker, only once."""
        if _n_bytes(argument) < LARGE:
            return argument
        self._has_scattered = True  # no task can compute it again
        return self._client.scatter(argument, hash=False)

    def _placed(self, parts: Sequence[Any]) -> list[_Group]:
        """Group the parts by worker, with at least one group per thread."""
        key = parts[0].key
        if key not in self._groups:
            self._wait(list(parts))
            having = self._client.who_has(parts)
            by_worker: dict[str, list[int]] = {}
            for number, part in enumerate(parts):
                if not (workers := having[part.key]):
                    raise _WorkerLostError
                by_worker.setdefault(min(workers), []).append(number)
            sizes = self._client.nbytes([part.key for part in parts], summary=False)
            n_bytes = [sizes.get(part.key, 0) for part in parts]
            about = self._workers()
            self._groups[key] = [
                _Group(numbers, worker)
                for worker, its in by_worker.items()
                for numbers in _cut(its, n_bytes, about.get(worker, {}))
            ]
        return self._groups[key]

    def _finished(
        self, futures: list[Any], workers: set[str] | None = None
    ) -> list[Any]:
        """Wait for futures and return them; if one fails, cancel the others."""
        try:
            self._wait(futures, workers)
        except BaseException:
            with suppress(Exception):  # without a scheduler there is nothing to end
                self._client.cancel(futures)
            raise
        return futures

    def _wait(self, futures: list[Any], workers: set[str] | None = None) -> None:
        """Wait for futures as long as they can finish; raise the error of a task."""
        from distributed import wait

        last_seen = time.monotonic()
        while True:
            try:
                wait(futures, timeout=TICK)
                break
            except TimeoutError:
                if any(future.status == "error" for future in futures):
                    break
                last_seen = self._look(workers or set(), last_seen)
            except CancelledError as error:
                if self._has_scattered and self._client.status == "running":
                    raise _WorkerLostError from error
                raise self._lost() from error
        for future in futures:
            if future.status == "error":
                raise _explained(future.exception())

    def _look(self, needed: set[str], last_seen: float) -> float:
        """Return when a worker was last running; raise if there is none to wait for."""
        try:
            workers = self._workers()
        except Exception as error:
            raise self._lost() from error
        if needed - workers.keys():
            raise _WorkerLostError
        now = time.monotonic()
        if any(worker["status"] == "running" for worker in workers.values()):
            return now
        if now - last_seen > PATIENCE:
            if workers:
                raise MemoryError(
                    f"All Dask workers have been paused for {PATIENCE:.0f} seconds, "
                    "because they are short of memory. A fit keeps all of X in the "
                    "workers' memory: use more workers, or give them more memory."
                )
            raise RuntimeError(
                f"The Dask cluster has had no workers for {PATIENCE:.0f} seconds. "
                "Start workers, and fit again."
            )
        return last_seen

    def _workers(self) -> dict[str, Any]:
        """Return the scheduler's information on each worker, by its address."""
        if self._client.status not in ("running", "connecting"):
            raise ConnectionError(self._client.status)
        try:
            info = self._client.scheduler_info(n_workers=-1)
        except TypeError:  # older versions have no limit
            info = self._client.scheduler_info()
        return dict(info["workers"])

    def _lost(self) -> Exception:
        if self._client.status != "running":
            return ConnectionError(
                "The connection to Dask's scheduler was lost (the client is "
                f"{self._client.status}). Start a cluster and a Client, and fit again."
            )
        return RuntimeError(
            "Part of the data was lost with its worker, or cancelled, and no task can "
            "compute it again. Pass collections that tasks read or compute, not data "
            "that client.scatter put on the workers."
        )


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


def _explained(error: BaseException) -> BaseException:
    """Return the error to raise if a task has failed."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        explained: BaseException = RuntimeError(
            "Dask workers died repeatedly while they ran the same task. See their "
            "logs; the usual cause is a lack of memory."
        )
    elif isinstance(error, ModuleNotFoundError) and error.name == "tfsoftmax":
        explained = ImportError(
            "A Dask worker can't import tfsoftmax. Install the same version on the "
            "workers as in this process."
        )
    else:
        return error
    explained.__cause__ = error
    return explained
