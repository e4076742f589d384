"""The assignment of models and chunks to threads.

Models that are trained on the same batches share each chunk. Beyond a certain number of
models, one matrix product for all saves nothing more, and cores idle if the product
can't be split well. So models are processed in blocks, each by a separate program, on
as many threads as there are cores. Without training, chunks are independent, and each
thread processes a different one.
"""

from __future__ import annotations

import math

from tfsoftmax.utils.slices import split_evenly

# Models per program. On two cores, 32 models on MNIST took 17 ms per model and epoch as
# one program, 12.5 as two of 16 and 16.6 as four of 8.
MAX_MODELS_PER_BLOCK = 16
MIN_MODELS_PER_BLOCK = 4
# Weights per program on sparse rows: more do not fit in a cache, and the time per value
# is then proportional to the number of models.
MAX_SPARSE_BLOCK_BYTES = 1 << 20
# Maximum number of threads; without training, each needs a separate buffer.
MAX_THREADS = 8


def model_blocks(n_models: int, n_threads: int) -> list[slice]:
    """Split models evenly into blocks, enough for all threads if there are many."""
    n_blocks = min(n_threads, math.ceil(n_models / MIN_MODELS_PER_BLOCK))
    while n_models / n_blocks > MAX_MODELS_PER_BLOCK:
        n_blocks += n_threads
    return split_evenly(n_models, n_blocks)


def sparse_model_blocks(n_models: int, n_threads: int, model_bytes: int) -> list[slice]:
    """Split models of sparse rows into blocks whose weights stay in a core's cache.

    A value of a row is multiplied only by the weights of its column, so more models in
    one product would not be faster.
    """
    per_block = max(1, MAX_SPARSE_BLOCK_BYTES // model_bytes)
    least = len(model_blocks(n_models, n_threads))
    return split_evenly(n_models, max(least, math.ceil(n_models / per_block)))
