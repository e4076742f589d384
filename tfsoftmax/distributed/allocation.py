"""Reuse of freed memory while a worker computes.

Dask starts its workers with MALLOC_TRIM_THRESHOLD_=65536, so that glibc returns freed
memory. Each array beyond 128 KB then comes from the system, page by page, and goes back
when it is freed. An evaluation of 30,000 digits takes 63 ms instead of 23, because each
call of a program allocates a few MB.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VARIABLE = "MALLOC_TRIM_THRESHOLD_"
# The parameters of glibc's `mallopt`, and what they are within the context.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT, LARGEST = 64 << 20, 32 << 20
DEFAULT_MMAP_THRESHOLD = 128 << 10

_lock = threading.Lock()
_n_within = 0


@contextmanager
def reuses_freed_memory() -> Iterator[None]:
    """Let glibc reuse freed memory within the context, despite the environment.

    Entries are counted, since several threads may be in the context at once.
    """
    threshold = os.environ.get(VARIABLE, "")
    if not threshold.isdigit():
        yield
        return
    _enter()
    try:
        yield
    finally:
        _leave(int(threshold))


def _enter() -> None:
    global _n_within
    with _lock:
        if _n_within == 0:
            _set(TRIM_THRESHOLD, KEPT)
            _set(MMAP_THRESHOLD, LARGEST)
        _n_within += 1


def _leave(threshold: int) -> None:
    global _n_within
    with _lock:
        _n_within -= 1
        if _n_within == 0:
            _set(MMAP_THRESHOLD, DEFAULT_MMAP_THRESHOLD)
            _set(TRIM_THRESHOLD, threshold)


def _set(parameter: int, value: int) -> None:
    with suppress(AttributeError, OSError, TypeError):  # another library
        ctypes.CDLL(None).mallopt(parameter, value)
