import gc
import signal
import threading
import time

import pytest

from tfsoftmax.utils.threads import ThreadPool


def own_threads():
    return [t for t in threading.enumerate() if t.name.startswith("test-workers")]


@pytest.fixture
def workers():
    workers = ThreadPool(2, "test-workers")
    yield workers
    workers.close()
    assert own_threads() == []


def test_tasks_give_what_they_gave_or_raise_what_they_raised(workers):
    good, bad = workers.submit(divmod, 7, 2), workers.submit(divmod, 7, 0)
    for _ in range(2):  # as often as one asks
        assert good.result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            bad.result()


def test_there_are_no_more_threads_than_asked_for_and_none_before(workers):
    assert own_threads() == []
    assert list(workers.map(pow, range(5), [2] * 5)) == [0, 1, 4, 9, 16]
    assert len(own_threads()) == 2


def test_two_tasks_are_under_way_at_once(workers):
    meet = threading.Barrier(2)
    tasks = [workers.submit(meet.wait, 60) for _ in range(2)]
    assert {task.result() for task in tasks} == {0, 1}


def test_what_is_not_begun_is_dropped_by_closing():
    workers, begun, go_on = ThreadPool(1, "test-workers"), threading.Event(), []
    first = workers.submit(lambda: begun.set() or time.sleep(0.2))
    workers.submit(go_on.append, 1)
    begun.wait()
    workers.close()
    assert first.result() is None
    assert go_on == []
    assert own_threads() == []


def test_closing_waits_for_the_threads_though_ctrl_c_comes_meanwhile():
    workers, begun = ThreadPool(1, "test-workers"), threading.Event()
    workers.submit(lambda: begun.set() or time.sleep(1))
    begun.wait()
    main = threading.main_thread().ident
    # A process that was started in the background may ignore the signal.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            workers.close()
    finally:
        signal.signal(signal.SIGINT, former)
    assert own_threads() == []


def test_threads_end_where_closing_never_came():
    workers = ThreadPool(2, "test-workers")
    assert list(workers.map(abs, [-1, -2])) == [1, 2]
    threads = own_threads()
    del workers
    gc.collect()
    for thread in threads:
        thread.join(60)
    assert own_threads() == []


def test_a_task_that_is_done_holds_on_to_no_argument(workers):
    class Argument:
        pass

    argument = Argument()
    task = workers.submit(id, argument)
    task.result()
    workers.submit(abs, 0).result()
    workers.submit(abs, 0).result()
    del argument
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) is Argument]
