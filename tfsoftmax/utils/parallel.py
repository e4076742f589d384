"""Calls in threads, for functions of NumPy, which release Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from contextvars import copy_context
from typing import Any

from tfsoftmax.utils.blas import blas_threads, single_threaded_blas
from tfsoftmax.utils.threads import ThreadPool
from tfsoftmax.utils.workers import threads_of_worker


def map_in_threads(
    call: Callable[[Any], Any], items: Sequence[Any], n_threads: int
) -> Iterator[Any]:
    """Yield the results of a call with each item, in order.

    Up to `n_threads` threads call at the same time, but no more than BLAS may use, and
    in a worker no more than its share of the cores. With several items, each call has
    one BLAS thread, and this thread's settings for NumPy's errors.
    """
    if len(items) == 1:
        yield call(items[0])
        return
    with single_threaded_blas():
        share = threads_of_worker() or n_threads
        n_threads = min(n_threads, len(items), blas_threads(), share)
        if n_threads == 1:
            yield from map(call, items)
            return
        with closing(ThreadPool(n_threads, "tfsoftmax-pieces")) as pool:
            here = copy_context()
            # Results may be large: only a few wait.
            yield from pool.map_at_most(
                lambda item: here.copy().run(call, item), items, n_threads + 1
            )
