"""The rows of a search on joblib's Dask backend.

A job that carries the rows sends them twice, to the scheduler and to a worker. What
joblib scatters is sent once, but is lost with the worker that holds it. So a task holds
the rows: they are sent to the scheduler once, which runs the task again if its worker
is lost.
"""

from __future__ import annotations

import sys
from typing import Any

from joblib.parallel import get_active_backend


def rows_to_send(X: Any, y: Any) -> tuple[Any, Any]:
    """Return the rows as the jobs of the active joblib backend should get them.

    On Dask they are futures, unless the user has scattered the same objects by
    ``joblib.parallel_config("dask", scatter=[X, y])``, which joblib recognizes.
    """
    backend, _ = get_active_backend()
    module = sys.modules.get("joblib._dask")  # without which this is another backend
    if module is None or not isinstance(backend, module.DaskDistributedBackend):
        return X, y
    scattered = backend.data_futures
    return tuple(
        values if values is None or id(values) in scattered else _held(values, backend)
        for values in (X, y)
    )


def _held(values: Any, backend: Any) -> Any:
    """Return the future of a task that holds these values."""
    import dask

    # That the rows are sent is intended: Dask would warn of it.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"}):
        return backend.client.submit(_identity, values, pure=False)


def _identity(values: Any) -> Any:
    return values
