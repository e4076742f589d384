"""One thread for BLAS: within, at once in several threads, and what is restored."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy import linalg
from threadpoolctl import threadpool_info, threadpool_limits

from tfsoftmax.utils import blas
from tfsoftmax.utils.blas import single_threaded_blas
from tfsoftmax.utils.threads import ThreadPool


def blas_threads():
    """The numbers of threads of all BLAS libraries."""
    return {
        each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"
    }


def set_blas_threads(number):
    """Set them in a thread that ends: who sets a limit may be the only one who can."""
    thread = threading.Thread(target=threadpool_limits, args=(number, "blas"))
    thread.start()
    thread.join()


@pytest.fixture(autouse=True)
def two_threads():
    """Two threads before and after, however many cores there are."""
    linalg.cholesky(np.eye(2))  # SciPy's library is loaded
    before = max(blas_threads(), default=1)
    set_blas_threads(2)
    if blas_threads() != {2}:
        pytest.skip("no BLAS whose threads can be set for all threads")
    yield
    assert blas_threads() == {2}
    set_blas_threads(before)


def test_within_there_is_one_thread_and_afterwards_as_many_as_before():
    for n_threads in (2, 3, 2):
        set_blas_threads(n_threads)
        with single_threaded_blas():
            assert blas_threads() == {1}
        assert blas_threads() == {n_threads}


def test_the_last_exit_of_nested_ones_restores():
    with single_threaded_blas():
        for _ in range(2):
            with single_threaded_blas():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_the_number_of_threads_outside_is_known_within():
    for n_threads in (2, 3):
        set_blas_threads(n_threads)
        assert blas.blas_threads() == n_threads
        with single_threaded_blas():
            assert blas.blas_threads() == n_threads
    set_blas_threads(2)


def test_an_error_restores():
    with pytest.raises(ZeroDivisionError), single_threaded_blas():
        raise ZeroDivisionError
    assert blas_threads() == {2}


@pytest.mark.parametrize("first_ends_first", [True, False])
def test_the_last_exit_among_threads_restores(first_ends_first):
    entered, leave, seen = threading.Event(), threading.Event(), []

    def other():
        with single_threaded_blas():
            entered.set()
            leave.wait(60)
            seen.append(blas_threads())

    thread = threading.Thread(target=other)
    with single_threaded_blas():
        thread.start()
        assert entered.wait(60)
        if not first_ends_first:
            leave.set()
            thread.join()
        assert blas_threads() == {1}
    if first_ends_first:
        assert blas_threads() == {1}  # the other thread is within
        leave.set()
        thread.join()
    assert seen == [{1}]
    assert blas_threads() == {2}


def test_threads_that_live_on_keep_no_other_from_setting_limits():
    pool = ThreadPool(2, "test-blas")
    meet = threading.Barrier(2)

    def enter(_):
        meet.wait(60)  # so that each thread of the pool takes one
        with single_threaded_blas():
            return blas_threads()

    try:
        assert list(pool.map(enter, range(2))) == [{1}, {1}]
        assert blas_threads() == {2}
        with threadpool_limits(3, "blas"):
            assert blas_threads() == {3}
    finally:
        pool.close()


def test_many_threads_at_once_leave_what_was_before():
    seen, start = [], threading.Barrier(8)

    def enter_often():
        start.wait(60)
        for _ in range(8):
            with single_threaded_blas():
                seen.append(blas_threads())

    threads = [threading.Thread(target=enter_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 64
    assert all(numbers == {1} for numbers in seen)
