"""Calls in threads, for NumPy code that releases Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from tfsoftmax.utils.blas import available_threads, single_threaded_blas
from tfsoftmax.utils.threads import ThreadPool


def map_in_threads(call: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Yield the results of a call with each item, in order.

    As many threads as BLAS may use call at the same time, with one BLAS thread each.
    """
    n_threads = min(available_threads(), len(items)) if len(items) > 1 else 1
    if n_threads == 1:
        yield from map(call, items)
        return
    with (
        single_threaded_blas(),
        closing(ThreadPool(n_threads, "tfsoftmax-pieces")) as pool,
    ):
        tasks = deque(pool.submit(call, item) for item in items)
        while tasks:
            yield tasks.popleft().result()  # which may be large: nothing keeps it
