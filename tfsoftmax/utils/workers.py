"""Workers of joblib and Dask: whether this is one, and its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any


def current_worker() -> Any:
    """Return the Dask worker of the current task, or None; never import Dask."""
    distributed = sys.modules.get("distributed")  # if not imported, there is none
    if distributed is None:
        return None
    try:
        return distributed.get_worker()
    except ValueError:
        return None


def threads_of_worker() -> int | None:
    """Return how many cores a joblib or Dask worker may use, or None outside of one.

    joblib's loky and Dask set OMP_NUM_THREADS in their workers, which TensorFlow
    ignores: each worker would use all cores. A Dask worker runs as many tasks at once
    as it has threads, so each task has one core.
    """
    is_loky = multiprocessing.current_process().name.startswith("LokyProcess")
    if not is_loky and not _is_dask_worker():
        return None
    share = os.environ.get("OMP_NUM_THREADS", "")
    if share.isdigit() and int(share) > 0:
        return int(share)
    return None if is_loky else 1


def _is_dask_worker() -> bool:
    """Whether this is the process of a Dask worker, not a worker in a thread of it."""
    worker = current_worker()
    return worker is not None and not str(worker.address).startswith("inproc")
