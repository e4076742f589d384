"""The rows of a search on joblib's Dask backend.

A job that carries the rows sends them twice, to the scheduler and to a worker. What
joblib scatters is sent once, but is lost with the worker that holds it. So a task holds
the rows: they are sent to the scheduler once, which runs the task again if its worker
is lost.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from joblib.parallel import get_active_backend

from tfsoftmax.model_selection.jobs import SearchRows


def sent(rows: SearchRows) -> tuple[Any, Any, Any]:
    """Return X, y and the parameters as jobs on the active joblib backend get them.

    On Dask they are futures, unless the user has scattered the same objects by
    ``joblib.parallel_config("dask", scatter=[X, y])``, which joblib recognizes.
    """
    values = rows.X, rows.y, (rows.fit_params, rows.score_params)
    backend, _ = get_active_backend()
    module = sys.modules.get("joblib._dask")  # without which this is another backend
    if module is None or not isinstance(backend, module.DaskDistributedBackend):
        return values
    scattered = backend.data_futures
    X, y, params = (
        value if value is None or id(value) in scattered else _held(value, backend)
        for value in values
    )
    return X, y, params


@contextmanager
def lost_rows_explained() -> Iterator[None]:
    """Explain the error if rows that joblib has scattered are lost with a worker."""
    try:
        yield
    except CancelledError as error:
        if not _has_lost_rows(error):
            raise
        raise RuntimeError(
            "The rows that joblib has scattered were lost with the last Dask worker "
            'that held them. Use joblib.parallel_config("dask") without scatter: the '
            "search then sends rows that Dask can restore."
        ) from error


def _has_lost_rows(error: CancelledError) -> bool:
    """Whether jobs were cancelled because scattered rows are lost with a worker."""
    backend, _ = get_active_backend()
    scattered = getattr(backend, "data_futures", {}).values()
    if all(future.status == "finished" for future in scattered):
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
    """Return the future of a task that holds a value."""
    import dask

    # That it is sent is intended: Dask would warn of it.
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
