"""One thread for NumPy's and SciPy's linear algebra, while small products are many.

OpenBLAS shares out even products of 60 × 60 numbers, and its threads then wait for the
next one by spinning, for some 20 ms: beside TensorFlow's threads, or another program,
they take the cores from those that have work to do. On two cores a fit of
scikit-learn's digits takes 240 ms so, and 100 with one thread; the Gram matrices of
MNIST are no slower.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import OpenBLASController, ThreadpoolController

# Threads that are within, and how to restore what was before the first one.
_lock = threading.Lock()
_n_within = 0
_limiter: Any = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit BLAS to one thread, for the whole process; restore it after the last exit.

    Counted, since what an inner or a concurrent one would restore is a single thread.
    """
    global _n_within, _limiter
    with _lock:
        if _n_within == 0:
            _limiter = _controller().limit(limits=1, user_api="blas")
            _let_any_thread_restore()
        _n_within += 1
    try:
        yield
    finally:
        with _lock:
            _n_within -= 1
            if _n_within == 0:
                _limiter.restore_original_limits()
                _let_any_thread_restore()


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks at all libraries, which takes milliseconds


def _let_any_thread_restore() -> None:
    """Give up the control of OpenBLAS that the first thread to set a limit has.

    From threadpoolctl 3.8 on, what other threads set meanwhile is ignored silently.
    """
    give_up = getattr(OpenBLASController, "clear_controlling_thread", None)
    if give_up is not None:
        give_up()
