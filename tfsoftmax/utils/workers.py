"""The Dask worker that runs the current task."""

from __future__ import annotations

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
