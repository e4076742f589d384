"""Pools of threads, their tasks, and what Ctrl-C leaves of them."""

from __future__ import annotations

import gc
import signal
import threading
import time
import weakref

import pytest

from tfsoftmax.utils.threads import ThreadPool


def pool_threads():
    return [t for t in threading.enumerate() if t.name.startswith("test-pool")]


@pytest.fixture
def pool():
    pool = ThreadPool(2, "test-pool")
    yield pool
    pool.close()
    assert pool_threads() == []


def test_tasks_return_what_their_calls_return_or_raise_what_they_raise(pool):
    good, bad = pool.submit(divmod, 7, 2), pool.submit(divmod, 7, 0)
    for _ in range(2):  # a result can be asked for again
        assert good.result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            bad.result()


def test_there_are_no_more_threads_than_asked_for_and_none_before_a_task(pool):
    assert pool_threads() == []
    pool.submit(abs, -1).result()
    assert len(pool_threads()) == 1
    assert list(pool.map(pow, range(5), [2] * 5)) == [0, 1, 4, 9, 16]
    assert len(pool_threads()) == 2


def test_two_tasks_run_at_once(pool):
    meet = threading.Barrier(2)
    tasks = [pool.submit(meet.wait, 60) for _ in range(2)]
    assert {task.result() for task in tasks} == {0, 1}


def test_an_error_in_a_map_comes_where_its_result_would(pool):
    results = pool.map(divmod, [7, 7, 7], [2, 0, 7])
    assert next(results) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_drops_tasks_that_have_not_begun():
    pool, begun, calls = ThreadPool(1, "test-pool"), threading.Event(), []
    first = pool.submit(lambda: begun.set() or time.sleep(0.2))
    pool.submit(calls.append, 1)
    begun.wait()
    pool.close()
    assert first.result() is None
    assert calls == []
    assert pool_threads() == []


def test_a_task_that_is_submitted_after_closing_starts_a_thread_anew(pool):
    for _ in range(3):
        assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
        assert len(pool_threads()) == 2
        pool.close()
        assert pool_threads() == []


def test_closing_waits_for_the_threads_though_ctrl_c_comes_meanwhile():
    pool, begun = ThreadPool(1, "test-pool"), threading.Event()
    pool.submit(lambda: begun.set() or time.sleep(1))
    begun.wait()
    main = threading.main_thread().ident
    # A process that was started in the background may ignore the signal.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            pool.close()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert pool_threads() == []


def test_closing_waits_for_no_thread_that_failed_to_start(monkeypatch):
    pool = ThreadPool(2, "test-pool")
    assert pool.submit(abs, -1).result() == 1

    def fail(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start"):
            pool.submit(abs, -1)
    pool.close()
    assert pool_threads() == []


def test_threads_end_where_closing_never_came():
    pool = ThreadPool(2, "test-pool")
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    threads = pool_threads()
    del pool
    gc.collect()
    for thread in threads:
        thread.join(60)
    assert pool_threads() == []


def test_no_thread_keeps_the_interpreter_from_exiting(pool):
    pool.submit(abs, -1).result()
    assert all(thread.daemon for thread in pool_threads())


def test_a_task_that_is_done_holds_on_to_no_argument(pool):
    class Argument:
        pass

    argument = Argument()
    is_held = weakref.ref(argument)
    task = pool.submit(id, argument)
    task.result()
    pool.submit(abs, 0).result()
    pool.submit(abs, 0).result()
    del argument
    gc.collect()
    assert is_held() is None


@pytest.mark.parametrize(("n_items", "n_at_once"), [(0, 2), (1, 2), (7, 1), (7, 3)])
def test_results_come_in_order_and_no_more_items_are_worked_on_at_once(
    n_items, n_at_once
):
    taken = []

    def items():
        for i in range(n_items):
            taken.append(i)
            yield i

    pool = ThreadPool(4, "test-pool")
    results = pool.map_at_most(lambda i: i * i, items(), n_at_once)
    for i, result in enumerate(results):
        assert result == i * i
        assert len(taken) <= i + n_at_once
    assert len(taken) == n_items
    pool.close()


def test_several_items_are_worked_on_at_once():
    meet = threading.Barrier(2)
    pool = ThreadPool(2, "test-pool")
    ranks = pool.map_at_most(lambda _: meet.wait(60), range(2), 2)
    assert sorted(ranks) == [0, 1]
    pool.close()
