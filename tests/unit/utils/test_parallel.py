"""Calls in threads: their order, their errors, and what is left of them."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tfsoftmax.utils import parallel
from tfsoftmax.utils.parallel import map_in_threads


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    """Three threads, however many cores there are; none is left."""
    monkeypatch.setattr(parallel, "available_threads", lambda: 3)
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("tfsoftmax")]


def test_as_many_calls_as_there_are_threads_run_at_once_and_results_keep_the_order():
    together = threading.Barrier(3)

    def call(item):
        together.wait(timeout=30)
        return item, threading.current_thread().name

    results = list(map_in_threads(call, range(6)))
    assert [item for item, _ in results] == list(range(6))
    assert len({name for _, name in results}) == 3


@pytest.mark.parametrize("n_threads", [1, 3], ids=["one thread", "one item"])
def test_without_two_of_both_this_thread_calls(n_threads, monkeypatch):
    monkeypatch.setattr(parallel, "available_threads", lambda: n_threads)
    items = range(2 if n_threads == 1 else 1)
    names = {each.name for each in map_in_threads(_current, items)}
    assert names == {threading.current_thread().name}


def _current(_):
    return threading.current_thread()


def test_blas_has_one_thread_in_each():
    np.eye(2) @ np.eye(2)
    for libraries in map_in_threads(lambda _: threadpool_info(), range(3)):
        numbers = {
            each["num_threads"] for each in libraries if each["user_api"] == "blas"
        }
        assert numbers <= {1}


def test_an_error_is_raised_and_ends_the_threads():
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda item: 1 / item, [1, 0, 2]))


def test_results_are_not_kept_until_the_last():
    class Result:
        pass

    results = map_in_threads(lambda _: Result(), range(3))
    first = weakref.ref(next(results))
    gc.collect()
    assert first() is None
    assert len(list(results)) == 2
