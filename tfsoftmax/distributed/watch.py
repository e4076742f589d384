"""Watch: waits for a Dask cluster only as long as there is something to wait for.

Every wait checks the scheduler and the workers about once a second. If it can't end, or
a task fails, the error says what has happened and what to do.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence, Set
from concurrent.futures import CancelledError
from typing import Any, TypeVar

# Seconds between two checks, and seconds to wait for workers if there are none.
TICK, PATIENCE = 1.0, 60.0

Method = TypeVar("Method", bound=Callable[..., Any])


class WorkerLostError(Exception):
    """A worker that was to run tasks has been lost."""


class Watch:
    """Waits for the futures of a client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def wait(self, futures: Sequence[Any], needed: Set[str] = frozenset()) -> None:
        """Wait for futures as long as they can finish; raise the error of a task.

        If one of the `needed` workers is lost, raise WorkerLostError.
        """
        from distributed import wait

        last_seen = time.monotonic()
        while True:
            try:
                wait(futures, timeout=TICK)
                break
            except TimeoutError:
                if any(future.status == "error" for future in futures):
                    break
                last_seen = self._look(needed, last_seen)
        for future in futures:
            if future.status == "error":
                raise explained(future.exception())

    def workers(self) -> dict[str, Any]:
        """Return the scheduler's information on each worker, by its address."""
        self.check_connection()
        try:
            info = self._client.scheduler_info(n_workers=-1)
        except TypeError:  # older versions have no limit
            info = self._client.scheduler_info()
        return dict(info["workers"])

    def check_connection(self) -> None:
        """Raise ConnectionError unless the client is connected.

        A client that tries to connect again has lost all that it was waiting for.
        """
        if self._client.status != "running":
            raise self._disconnected()

    def _disconnected(self) -> ConnectionError:
        status = self._client.status
        about = (
            "it does not answer" if status == "running" else f"the client is {status}"
        )
        return ConnectionError(
            f"The connection to Dask's scheduler was lost ({about}). Start a cluster "
            "and a Client, and fit again."
        )

    def _look(self, needed: Set[str], last_seen: float) -> float:
        """Return when a worker was last running; raise if there is none to wait for."""
        try:
            workers = self.workers()
        except Exception as error:
            raise self._disconnected() from error
        if needed - workers.keys():
            raise WorkerLostError
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


def needs_scheduler(method: Method) -> Method:
    """Decorate a method so that its errors say if the scheduler or data are lost.

    Its object has a Watch, as `watch`.
    """

    @functools.wraps(method)
    def wrapped(self: Any, *arguments: Any) -> Any:
        try:
            return method(self, *arguments)
        except ConnectionError:
            raise
        except Exception as error:
            try:
                self.watch.check_connection()
            except ConnectionError as lost:
                raise lost from error
            if isinstance(error, CancelledError):
                raise RuntimeError(
                    "Part of the data was lost with its worker, or cancelled, and no "
                    "task can compute it again. Pass collections that tasks read or "
                    "compute, not data that client.scatter put on the workers."
                ) from error
            raise

    return wrapped  # type: ignore[return-value]


def explained(error: BaseException) -> BaseException:
    """Return the error to raise if a task has failed."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        clear: BaseException = RuntimeError(
            "Dask workers died repeatedly while they ran the same task. See their "
            "logs; the usual cause is a lack of memory."
        )
    elif isinstance(error, ModuleNotFoundError) and error.name == "tfsoftmax":
        clear = ImportError(
            "A Dask worker can't import tfsoftmax. Install the same version on the "
            "workers as in this process."
        )
    else:
        return error
    clear.__cause__ = error
    return clear
