"""The worker of Dask that runs this thread's task."""

from __future__ import annotations

import sys
from typing import Any


def current_worker() -> Any:
    """Return the worker; None outside of Dask's tasks. It imports nothing of Dask."""
    distributed = sys.modules.get("distributed")  # without which there is none
    if distributed is None:
        return None
    try:
        return distributed.get_worker()
    except ValueError:
        return None
