"""What a task knows of the worker that runs it."""

from __future__ import annotations

import sys


def n_threads_of_task() -> int | None:
    """Return how many threads a task may use; None outside of Dask's workers.

    It is one: a worker runs as many tasks at once as it has threads.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        distributed.get_worker()
    except ValueError:
        return None
    return 1
