"""Calls in threads: their order, their errors, and what is left of them."""

from __future__ import annotations

import gc
import signal
import threading
import time
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tfsoftmax.utils import parallel
from tfsoftmax.utils.parallel import map_in_threads


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    """Three threads, however many cores there are; none is left."""
    monkeypatch.setattr(parallel, "blas_threads", lambda: 3)
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("tfsoftmax")]


def test_as_many_calls_as_there_are_threads_run_at_once_and_results_keep_the_order():
    together = threading.Barrier(3)

    def call(item):
        together.wait(timeout=30)
        return item, threading.current_thread().name

    results = list(map_in_threads(call, range(6), 8))
    assert [item for item, _ in results] == list(range(6))
    assert len({name for _, name in results}) == 3


@pytest.mark.parametrize(
    ("n_items", "most", "available", "share"),
    [(1, 3, 3, None), (3, 1, 3, None), (3, 3, 1, None), (3, 3, 3, 1)],
    ids=["one item", "one asked for", "one for BLAS", "a worker's share"],
)
def test_a_single_item_or_thread_needs_no_other_thread(
    n_items, most, available, share, monkeypatch
):
    monkeypatch.setattr(parallel, "blas_threads", lambda: available)
    monkeypatch.setattr(parallel, "threads_of_worker", lambda: share)
    threads = set(
        map_in_threads(lambda _: threading.current_thread(), range(n_items), most)
    )
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("n_threads", [1, 3])
def test_blas_has_one_thread_in_each_call(n_threads):
    def blas_threads(_=None):
        return [
            each["num_threads"]
            for each in threadpool_info()
            if each["user_api"] == "blas"
        ]

    with threadpool_limits(2, "blas"):
        if set(blas_threads()) != {2}:
            pytest.skip("no BLAS whose threads can be set")
        for found in map_in_threads(blas_threads, range(3), n_threads):
            assert set(found) == {1}
        assert set(blas_threads()) == {2}


def test_calls_have_the_settings_for_errors_of_numpy_here():
    def overflow(_):
        return np.float64(1e300) * 1e300

    with np.errstate(over="ignore"):
        assert list(map_in_threads(overflow, range(3), 3)) == [np.inf] * 3
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        list(map_in_threads(overflow, range(3), 3))


def test_an_error_is_raised_and_ends_the_threads():
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda item: 1 / item, [1, 0, 2], 3))


def test_no_more_than_a_few_results_wait():
    started, go_on = [], threading.Event()

    def call(item):
        started.append(item)
        if item == 0:
            go_on.wait(timeout=30)

    threading.Timer(0.5, go_on.set).start()
    results = map_in_threads(call, range(100), 3)
    next(results)
    assert len(started) <= 5
    assert len(list(results)) == 99


@pytest.fixture
def _ctrl_c():
    """Ctrl-C raises KeyboardInterrupt, though a shell may have had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_waits_for_the_running_calls_alone():
    calls = []

    def call(item):
        calls.append(item)
        if item == 0:
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)

    with pytest.raises(KeyboardInterrupt):
        list(map_in_threads(call, range(100), 3))
    assert len(calls) < 50


def test_results_are_not_kept_until_the_last():
    class Result:
        pass

    results = map_in_threads(lambda _: Result(), range(3), 3)
    first = weakref.ref(next(results))
    for _ in range(500):  # a thread may still be about to let go of it
        gc.collect()
        if first() is None:
            break
        time.sleep(0.01)
    assert first() is None
    assert len(list(results)) == 2
