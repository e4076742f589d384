"""Where models and chunks are worked on: on which of a few threads.

Models that are trained on the same batches share each chunk. Past a number of them, one
matrix product for all no longer gains, and cores idle where a product does not split
well: so models go in blocks, each a program of its own, on as many threads as there
are cores. Where no steps are taken, chunks don't depend on each other, and several
threads work on one each.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tfsoftmax.utils.slices import split_evenly
from tfsoftmax.utils.threads import Task, ThreadPool

# Models of one program. On two cores, 32 models on MNIST took 17 ms a model and epoch
# as one program, 12.5 as two of 16 and 16.6 as four of 8.
MAX_MODELS_PER_BLOCK = 16
MIN_MODELS_PER_BLOCK = 4
# Weights of one program on sparse rows: more are in memory and no longer in a cache,
# where each value takes as long for each of the models.
MAX_SPARSE_BLOCK_BYTES = 1 << 20
# Threads that work at once; each needs a buffer of its own where no steps are taken.
MAX_THREADS = 8


def model_blocks(n_models: int, n_threads: int) -> list[slice]:
    """Split models evenly into blocks, enough for all threads if there are many."""
    n_blocks = min(n_threads, math.ceil(n_models / MIN_MODELS_PER_BLOCK))
    while n_models / n_blocks > MAX_MODELS_PER_BLOCK:
        n_blocks += n_threads
    return split_evenly(n_models, n_blocks)


def sparse_model_blocks(n_models: int, n_threads: int, model_bytes: int) -> list[slice]:
    """Split models of sparse rows into blocks whose weights stay in a core's cache.

    A value of a row is multiplied by the weights of its column alone, so that there is
    nothing to gain from more models in one product.
    """
    per_block = max(1, MAX_SPARSE_BLOCK_BYTES // model_bytes)
    least = len(model_blocks(n_models, n_threads))
    return split_evenly(n_models, max(least, math.ceil(n_models / per_block)))


def map_at_most(
    pool: ThreadPool, work: Callable[[Any], Any], items: Iterable[Any], n_at_once: int
) -> Iterator[Any]:
    """Yield the results of work on the items, in order; `n_at_once` run at once."""
    tasks: deque[Task] = deque()
    for item in items:
        tasks.append(pool.submit(work, item))
        if len(tasks) == n_at_once:
            yield tasks.popleft().result()
    while tasks:
        yield tasks.popleft().result()
