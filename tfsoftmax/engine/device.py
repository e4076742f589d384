"""What TensorFlow can do on this machine: its threads, XLA, and eager execution."""

from __future__ import annotations

import os
from functools import cache

import tensorflow as tf
from joblib import cpu_count


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
    """Whether operations run at once, rather than become parts of a graph."""
    return bool(tf.executing_eagerly())


@cache
def xla_works() -> bool:
    """Whether XLA can compile on this machine; some platforms lack it."""
    try:
        # An exponential, since that is what starts up all of XLA's CPU compiler.
        tf.function(tf.exp, jit_compile=True)(tf.constant(0.0))
    except (tf.errors.OpError, NotImplementedError, ValueError):
        return False
    return True
