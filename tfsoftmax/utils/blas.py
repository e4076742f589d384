"""One thread for NumPy's and SciPy's linear algebra during many small products.

OpenBLAS splits even products of 60 × 60 numbers between threads, which then spin for
some 20 ms to wait for the next product. They thus block the cores that TensorFlow's
threads, or other programs, need. On two cores, a fit of scikit-learn's digits takes
240 ms, and 100 with one thread. Large products are split by rows, between threads of
:mod:`.parallel` with one BLAS thread each.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import OpenBLASController, ThreadpoolController

# Number of threads inside the context, the limit to restore after the last, and BLAS's
# number of threads outside.
_lock = threading.Lock()
_n_within = 0
_limiter: Any = None
_n_threads = 1


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit BLAS to one thread, for the whole process; restore it after the last exit.

    Counted, since an inner or a concurrent context would restore a single thread.
    """
    global _n_within, _limiter, _n_threads
    with _lock:
        if _n_within == 0:
            _n_threads = _present_threads()
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


def blas_threads() -> int:
    """Return BLAS's number of threads outside the context."""
    with _lock:
        return _n_threads if _n_within else _present_threads()


def _present_threads() -> int:
    libraries = _controller().select(user_api="blas").lib_controllers
    return max((each.num_threads for each in libraries), default=1)


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # inspects all libraries, which takes milliseconds


def _let_any_thread_restore() -> None:
    """Release the control of OpenBLAS held by the first thread that set a limit.

    Since threadpoolctl 3.8, limits set by other threads meanwhile are silently ignored.
    """
    give_up = getattr(OpenBLASController, "clear_controlling_thread", None)
    if give_up is not None:
        give_up()
