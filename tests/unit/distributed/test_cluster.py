"""Where tasks run, without a cluster; and what is said where tasks fail."""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import dataclass
from operator import add

import dask
import distributed
import numpy as np
import pytest

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.distributed import dask_cluster, watch
from tfsoftmax.distributed.cluster import ThisProcess
from tfsoftmax.distributed.dask_cluster import DaskCluster, current_cluster
from tfsoftmax.distributed.part import Call, Part
from tfsoftmax.distributed.watch import Watch


def parts_of(*numbers):
    return [Part([Dataset(np.array([[n]]), np.zeros(1, np.int32))]) for n in numbers]


def value(dataset, factor=1.0):
    return factor * dataset.X[0, 0]


def nested(one, other):
    return f"({one}+{other})"


# In this process


def test_without_a_client_tasks_run_in_this_process():
    with current_cluster() as found:
        assert isinstance(found, ThisProcess)


def test_dask_computes_what_a_fit_starts_by_its_scheduler():
    used = []

    def get(graph, keys, **options):
        used.append(len(keys))
        return dask.get(graph, keys, **options)

    tasks = [dask.delayed(add)(i, i) for i in range(3)]
    with dask.config.set(scheduler=get):
        assert ThisProcess().start(tasks) == [0, 2, 4]
    assert used == [3]


def test_a_function_is_called_with_each_item():
    assert ThisProcess().derive(add, [1, 2], 10) == [11, 12]
    assert ThisProcess().collect(str, [1, 2]) == ["1", "2"]
    ThisProcess().release([1, 2])


def test_parts_are_folded_by_the_tree():
    call = Call(lambda dataset: int(value(dataset)), (), nested)
    assert ThisProcess().fold(parts_of(0, 1, 2), call) == "((0+1)+2)"
    assert ThisProcess().fold(parts_of(7), call) == 7


def test_a_state_goes_through_the_parts_in_order():
    def append(part, state, argument):
        return [*state, (part, argument)]

    found = ThisProcess().chain(append, ["b", "a"], [], [1, 2])
    assert found == [("b", 1), ("a", 2)]
    with pytest.raises(ValueError, match="zip"):
        ThisProcess().chain(append, ["b", "a"], [], [1])


# On a cluster, without one


class NoScheduler:
    """A client, as far as a cluster looks at it."""

    status = "running"

    def __init__(self, workers=None):
        self.workers = workers

    def scheduler_info(self, n_workers=5):
        if self.workers is None:
            raise OSError("no scheduler")
        return {"workers": {at: {"status": s} for at, s in self.workers.items()}}


def test_a_wait_ends_where_the_scheduler_is_gone():
    client = NoScheduler()
    client.status = "closed"
    with pytest.raises(ConnectionError, match="the client is closed"):
        Watch(client)._look(set(), 0.0)


@pytest.mark.parametrize(
    ("workers", "kind", "words"),
    [
        ({}, RuntimeError, "has had no workers for 60 seconds"),
        ({"a": "paused", "b": "paused"}, MemoryError, "paused for 60 seconds"),
    ],
)
def test_a_wait_ends_where_no_worker_has_run_for_a_minute(
    workers, kind, words, monkeypatch
):
    now = 0.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    waiting = Watch(NoScheduler({"a": "running"}))
    now = 50.0
    assert waiting._look(set(), 0.0) == 50.0
    waiting._client.workers = workers
    now = 109.0
    assert waiting._look(set(), 50.0) == 50.0
    now = 111.0
    with pytest.raises(kind, match=words):
        waiting._look(set(), 50.0)


def test_nothing_is_submitted_for_no_items():
    cluster = DaskCluster(NoScheduler())
    assert cluster.derive(value, []) == []


def test_a_client_that_connects_again_has_lost_what_it_waited_for():
    cluster = DaskCluster(NoScheduler())
    cluster.watch._client.status = "connecting"

    def cancelled():
        raise CancelledError

    cluster._submit = lambda *_: cancelled()
    with pytest.raises(ConnectionError, match="the client is connecting"):
        cluster.derive(value, [1])


def test_a_wait_ends_where_the_scheduler_does_not_answer():
    with pytest.raises(ConnectionError, match="was lost \\(it does not answer\\)"):
        Watch(NoScheduler())._look(set(), 0.0)


def test_a_wait_for_a_worker_that_is_gone_is_given_up():
    waiting = Watch(NoScheduler({"a": "running"}))
    waiting._look({"a"}, 0.0)
    with pytest.raises(watch.WorkerLostError):
        waiting._look({"a", "b"}, 0.0)


def test_old_schedulers_are_asked_without_a_limit():
    class Old(NoScheduler):
        def scheduler_info(self):
            return super().scheduler_info()

    assert Watch(Old({"a": "running"})).workers() == {"a": {"status": "running"}}


def test_workers_lost_again_and_again_end_a_fold(monkeypatch):
    n_tries = 0

    def lose(self, parts, call):
        nonlocal n_tries
        n_tries += 1
        raise watch.WorkerLostError

    monkeypatch.setattr(DaskCluster, "_fold", lose)
    with pytest.raises(RuntimeError, match="Dask workers were lost 5 times"):
        DaskCluster(NoScheduler()).fold([], Call(value, (), add))
    assert n_tries == 5


def test_errors_of_dask_are_explained():
    killed = distributed.KilledWorker("task", None, 3)
    explained = watch.explained(killed)
    assert isinstance(explained, RuntimeError)
    assert "lack of memory" in str(explained)
    assert explained.__cause__ is killed
    missing = ModuleNotFoundError("No module", name="tfsoftmax")
    assert "can't import tfsoftmax" in str(watch.explained(missing))
    for error in (ModuleNotFoundError("No module", name="pandas"), ValueError("X")):
        assert watch.explained(error) is error


@dataclass
class Record:
    one: np.ndarray
    other: object


def test_bytes_are_counted_of_all_arrays_within():
    ones = np.ones(10)
    assert dask_cluster._n_bytes(None) == 0
    assert dask_cluster._n_bytes([ones, (ones, {"a": ones})]) == 240
    assert dask_cluster._n_bytes(Record(ones, Record(ones, 3))) == 160
    call = Call(value, (ones,), add, made_of=(ones, ones))
    assert dask_cluster._n_bytes(call) == 240


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        ({}, [[0, 2, 3, 5]]),
        ({"nthreads": 2}, [[0, 2], [3, 5]]),
        ({"nthreads": 2, "memory_limit": 0}, [[0, 2], [3, 5]]),
        ({"nthreads": 1, "memory_limit": 160}, [[0, 2, 3, 5]]),
        ({"nthreads": 1, "memory_limit": 80}, [[0, 2], [3, 5]]),
        ({"nthreads": 2, "memory_limit": 80}, [[0], [2], [3], [5]]),
        ({"nthreads": 9, "memory_limit": 1}, [[0], [2], [3], [5]]),
    ],
)
def test_a_task_brings_no_more_than_a_quarter_of_the_memory_in(worker, expected):
    assert dask_cluster._cut([0, 2, 3, 5], [10] * 6, worker) == expected
