"""TensorFlow's capabilities here: threads, XLA and eager execution."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache

import tensorflow as tf
from joblib import cpu_count

from tfsoftmax.data.gather import ALIGNMENT


def limit_threads(n: int) -> None:
    """Set the number of TensorFlow's threads, unless the user has set it."""
    threading = tf.config.threading
    variables = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    if (
        threading.get_intra_op_parallelism_threads() == 0
        and threading.get_inter_op_parallelism_threads() == 0
        and not any(os.environ.get(name) for name in variables)
    ):
        threading.set_intra_op_parallelism_threads(n)
        threading.set_inter_op_parallelism_threads(n)


def n_threads() -> int:
    """Return how many threads TensorFlow may use for one operation."""
    return int(tf.config.threading.get_intra_op_parallelism_threads() or cpu_count())


def is_eager() -> bool:
    """Whether execution is eager, rather than building a graph."""
    return bool(tf.executing_eagerly())


def xla_works() -> bool:
    """Whether XLA can compile what is traced now; some platforms lack XLA."""
    return not is_debugged() and _xla_compiles()


@cache
def _xla_compiles() -> bool:
    try:
        # An exponential, since it starts up all of XLA's CPU compiler. Wait for its
        # value, and keep the function until then: with asynchronous execution, it could
        # be freed before it runs.
        function = tf.function(tf.exp, jit_compile=True)
        function(tf.constant(0.0)).numpy()
    except (tf.errors.OpError, NotImplementedError, ValueError):
        return False
    return True


def is_debugged() -> bool:
    """Whether a debugger adds operations to what is traced, for which XLA has no code.

    `tf.debugging.enable_check_numerics` is one.
    """
    try:
        # TensorFlow has no public name for it.
        from tensorflow.python.framework import op_callbacks
    except ImportError:
        return False
    return bool(op_callbacks.should_invoke_op_callbacks())


def alignment() -> int:
    """Return the number of bytes of which the addresses of buffers must be multiples.

    XLA's code accepts the alignment of C's malloc, 16. But with a single thread, its
    loops are compiled into a function with their arguments, and read whole cache lines:
    rows of 5 or 8 columns at a multiple of 16 crashed the process. Eigen's kernels also
    need the alignment of a cache line.
    """
    return 16 if xla_works() and n_threads() > 1 else ALIGNMENT


def trim_memory() -> None:
    """Return free memory to the system, if the C library can.

    Otherwise the library keeps the memory of a compilation, three quarters of 13 MB.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
