"""The rows of a search on joblib's Dask backend.

A job that carries the rows sends them twice, to the scheduler and to a worker. What
joblib scatters is sent once, but is lost with the worker that holds it. So a task holds
the rows: they are sent to the scheduler once, which runs the task again if its worker
is lost.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from joblib.parallel import get_active_backend

from tfsoftmax.model_selection.jobs import SearchRows

T = TypeVar("T")


def call_with_rows(call: Callable[..., T], rows: SearchRows) -> T:
    """Call a function with X, y and the parameters as joblib's jobs get them.

    On Dask they are futures, unless the user has scattered the same objects by
    ``joblib.parallel_config("dask", scatter=[X, y])``, which joblib recognizes. If what
    is scattered is lost with a worker, the function is called again, with futures.
    """
    values = rows.X, rows.y, (rows.fit_params, rows.score_params)
    backend, _ = get_active_backend()
    module = sys.modules.get("joblib._dask")  # without which this is another backend
    if module is None or not isinstance(backend, module.DaskDistributedBackend):
        return call(*values)
    scattered = backend.data_futures
    try:
        return call(*(v if id(v) in scattered else _held(v, backend) for v in values))
    except CancelledError as error:
        if not _has_lost_rows(backend, error):
            raise
    return call(*(_held(value, backend) for value in values))


def _has_lost_rows(backend: Any, error: CancelledError) -> bool:
    """Whether jobs were cancelled because scattered rows are lost with a worker.

    Dask's memory manager soon drops all copies but one, so any worker may be the last.
    """
    if all(future.status == "finished" for future in backend.data_futures.values()):
        return False
    # Everything is cancelled if the client is closed or the scheduler restarts.
    reason = str(getattr(error, "reason", ""))
    return backend.client.status == "running" and not reason.startswith("scheduler")


def received(X: Any, y: Any, params: Any) -> SearchRows:
    """Return the rows of a job's arguments.

    joblib calls a job on a cluster with a single core in this process, where nothing
    replaces futures.
    """
    X, y, params = map(_value, (X, y, params))
    return SearchRows(X, y, *params)


def _held(value: Any, backend: Any) -> Any:
    """Submit a task that holds a value and return its future; return None unchanged."""
    import dask

    if value is None:
        return None
    # Without Dask's warning about large graphs: the rows are sent on purpose.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"}):
        return backend.client.submit(
            _identity, value, key=f"tfsoftmax-rows-{uuid.uuid4().hex}", pure=False
        )


def _identity(value: Any) -> Any:
    return value


def _value(argument: Any) -> Any:
    """Return the result of a future, or the argument if it is none."""
    distributed = sys.modules.get("distributed")  # without which there are no futures
    is_future = distributed is not None and isinstance(argument, distributed.Future)
    return argument.result() if is_future else argument
