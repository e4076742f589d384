"""Fits on a cluster that loses workers, data or its scheduler; and Ctrl-C there.

The weights are the same bits, or there is an error that says what was lost, and the
estimator keeps its state. Nothing hangs: whoever waits too long ends the process.
"""

from __future__ import annotations

import copy
import faulthandler
import os
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager

import dask
import dask.array as da
import distributed
import joblib
import numpy as np
import pytest

from tests import clusters
from tests.assertions import assert_same_bits
from tests.clusters import eventually, is_clean, start
from tests.problems import problem
from tests.robustness.common import PATIENCE
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
from tfsoftmax.callbacks import EpochLogger
from tfsoftmax.distributed import watch
from tfsoftmax.distributed.dask_cluster import DaskCluster
from tfsoftmax.model_selection.dask_backend import call_with_rows, received
from tfsoftmax.model_selection.jobs import SearchRows

X, Y, S = problem(400)
SIZES = (50,) * 8

pytestmark = pytest.mark.usefixtures("without_a_scheduler_afterwards")


def blocks(values):
    return clusters.blocks(values, SIZES)


def optimum(**parameters):
    return TFSoftmaxClassifier(optimizer="lbfgs", **parameters)


def by_batches(**parameters):
    return TFSoftmaxClassifier(**{"epochs": 8, "random_state": 0} | parameters)


@pytest.fixture(scope="module")
def expected():
    """What each model is, without a cluster."""
    return {model: fit(model()) for model in (optimum, by_batches)}


@pytest.fixture(scope="module")
def cluster(expected):
    with start() as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with dies_of_hanging(), distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def client_alone(expected):
    """The client of a cluster that a test may end."""
    with dies_of_hanging(), start() as cluster, distributed.Client(cluster) as client:
        yield client


@contextmanager
def dies_of_hanging():
    """End the process where all is said to hang: workers start slowly under load."""
    faulthandler.dump_traceback_later(5 * PATIENCE, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def fit(clf, rows=None):
    return clf.fit(blocks(X) if rows is None else rows, blocks(Y), blocks(S))


def kill(client, number=0):
    """Kill a worker by SIGKILL; its nanny starts another one."""
    client.wait_for_workers(2)
    os.kill(sorted(client.run(os.getpid).values())[number], signal.SIGKILL)


def in_epoch(number, act, monkeypatch):
    """Have something done when this epoch, or iteration, has ended; for once."""
    on_epoch_end, done = EpochLogger.on_epoch_end, []

    def acting(self, epoch, *arguments):
        if epoch == number and not done:
            done.append(epoch)
            act()
        return on_epoch_end(self, epoch, *arguments)

    monkeypatch.setattr(EpochLogger, "on_epoch_end", acting)
    return done


def later(act, seconds=0.3):
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


# A worker is lost


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
def test_a_worker_killed_between_epochs_changes_no_bit(
    model, client, expected, monkeypatch
):
    killed = in_epoch(3, lambda: kill(client), monkeypatch)
    assert_same_bits(fit(model()), expected[model])
    assert killed
    assert eventually(lambda: is_clean(client))


def slow_block(block, path):
    """Return a block, so slowly that it is known when it is read."""
    with open(path, "a") as file:
        file.write("read\n")
    time.sleep(0.5)
    return block


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
def test_a_worker_killed_in_the_midst_of_tasks_changes_no_bit(
    model, client, expected, tmp_path
):
    path = tmp_path / "reads"
    rows = blocks(X).map_blocks(slow_block, path, dtype=float, meta=np.zeros((0, 0)))

    def kill_when_some_are_read():
        eventually(lambda: path.exists() and len(path.read_text().split()) >= 4)
        kill(client)

    timer = later(kill_when_some_are_read, 0)
    assert_same_bits(fit(model(), rows), expected[model])
    timer.join()
    assert len(path.read_text().split()) > len(SIZES)
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
def test_workers_killed_one_after_the_other_change_no_bit(
    client, expected, monkeypatch
):
    on_epoch_end, killed = EpochLogger.on_epoch_end, []

    def acting(self, epoch, *arguments):
        if epoch in (2, 4):
            kill(client, len(killed))
            killed.append(epoch)
        return on_epoch_end(self, epoch, *arguments)

    monkeypatch.setattr(EpochLogger, "on_epoch_end", acting)
    assert_same_bits(fit(optimum()), expected[optimum])
    assert killed == [2, 4]


@pytest.mark.slow
def test_both_workers_killed_at_once_change_no_bit(client, expected, monkeypatch):
    def kill_both():
        client.wait_for_workers(2)
        for pid in client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)

    in_epoch(3, kill_both, monkeypatch)
    assert_same_bits(fit(by_batches()), expected[by_batches])


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
def test_scattered_rows_lost_with_their_worker_are_an_error(
    model, client, expected, monkeypatch
):
    clf = copy.copy(expected[model])
    before = dict(vars(clf))
    client.wait_for_workers(2)
    scattered = [client.scatter(X[i : i + 50], hash=False) for i in range(0, 400, 50)]
    rows = da.concatenate([da.from_delayed(each, (50, 5), float) for each in scattered])
    in_epoch(3, lambda: kill(client), monkeypatch)
    with pytest.raises(RuntimeError, match="Part of the data was lost") as caught:
        fit(clf, rows)
    assert vars(clf) == before
    del caught, scattered, rows
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
def test_all_workers_gone_for_good_are_an_error(
    model, client_alone, expected, monkeypatch
):
    monkeypatch.setattr(watch, "PATIENCE", 2.0)
    clf = copy.copy(expected[model])
    before = dict(vars(clf))
    in_epoch(3, lambda: client_alone.cluster.scale(0), monkeypatch)
    with pytest.raises(RuntimeError, match="has had no workers for 2 seconds"):
        fit(clf)
    assert vars(clf) == before


@pytest.mark.slow
def test_a_worker_that_dies_of_its_task_again_and_again_is_an_error(client):
    def die(block):
        os.kill(os.getpid(), signal.SIGKILL)

    rows = blocks(X).map_blocks(die, dtype=float, meta=np.zeros((0, 0)))
    with pytest.raises(RuntimeError, match="Dask workers died repeatedly"):
        fit(optimum(), rows)


# A worker is lost in a search


GRID = {"alpha": [0.001, 0.01, 0.1], "momentum": [0.0, 0.9]}


def search_on(values, labels, **options):
    """Search with one job for each fold, or with blocks in this process's fits."""
    model = by_batches(optimizer="sgd", learning_rate=0.05)
    return TFSoftmaxGridSearchCV(model, GRID, cv=4, **options).fit(values, labels)


def assert_same_search(search, expected):
    for name, values in expected.cv_results_.items():
        if name.startswith(("split", "mean_test")):
            np.testing.assert_array_equal(search.cv_results_[name], values, name)
    assert_same_bits(search.best_estimator_, expected.best_estimator_)


class SlowAccuracy:
    """A scorer that takes its time, and says in which process it is called."""

    def __init__(self, path):
        self.path = path

    def __call__(self, model, X, y):
        with self.path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.1)
        return model.score(X, y)

    def called_by(self):
        """The numbers of the processes that have called it, in order."""
        complete = self.path.exists() and self.path.read_text().endswith("\n")
        return list(map(int, self.path.read_text().split())) if complete else []


@contextmanager
def killed_when_called(scorer):
    """Kill the process that is the first to call a scorer."""

    def kill_the_first():
        assert eventually(scorer.called_by)
        assert scorer.called_by()[0] != os.getpid()  # but a worker
        os.kill(scorer.called_by()[0], signal.SIGKILL)

    timer = later(kill_the_first, 0)
    try:
        yield
    finally:
        timer.join()


@pytest.fixture
def client_of_one_worker():
    """With two threads; with one, joblib would run the jobs here."""
    with (
        dies_of_hanging(),
        start(n_workers=1, n_threads=2) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def search_of_joblib_survives(client, path, **options):
    """Search by jobs, kill the worker that scores first, and compare the results."""
    scorer = SlowAccuracy(path / "scores")
    expected = search_on(X, Y, scoring=SlowAccuracy(path / "here"))
    with joblib.parallel_config("dask", **options), killed_when_called(scorer):
        found = search_on(X, Y, scoring=scorer)
    first, *others = scorer.called_by()
    assert len(others) >= 23
    assert others[-1] != first  # the search went on without it
    assert_same_search(found, expected)
    options.clear()
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"scatter": [X, Y]}, {"scatter": [X]}])
def test_a_worker_killed_in_a_search_by_joblib_changes_no_bit(
    options, client, tmp_path
):
    client.wait_for_workers(2)
    search_of_joblib_survives(client, tmp_path, **options)


@pytest.mark.slow
def test_a_search_starts_again_if_all_that_joblib_scattered_is_lost(
    client_of_one_worker, tmp_path
):
    search_of_joblib_survives(client_of_one_worker, tmp_path, scatter=[X, Y])


@pytest.mark.slow
def test_scattered_rows_lost_before_a_search_are_sent_again(client_of_one_worker):
    expected = search_on(X, Y)
    with joblib.parallel_config("dask", scatter=[X, Y]):
        (pid,) = client_of_one_worker.run(os.getpid).values()
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not client_of_one_worker.who_has())
        assert_same_search(search_on(X, Y), expected)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["restart", "close"])
def test_a_search_cancelled_for_another_reason_blames_no_worker(
    end, client_of_one_worker, tmp_path
):
    scorer = SlowAccuracy(tmp_path / "scores")

    def end_it():
        eventually(scorer.called_by)
        getattr(client_of_one_worker, end)()

    timer = later(end_it, 0)
    with (
        joblib.parallel_config("dask", scatter=[X, Y]),
        pytest.raises(CancelledError),
    ):
        search_on(X, Y, scoring=scorer)
    timer.join()


@pytest.mark.slow
def test_the_rows_of_a_search_outlive_the_worker_that_holds_them(client):
    client.wait_for_workers(2)
    with joblib.parallel_config("dask"):
        rows = SearchRows(X, Y, {}, {})
        arguments = call_with_rows(lambda *arguments: arguments, rows)
    distributed.wait(arguments)
    (address,) = client.who_has(arguments[:1])[arguments[0].key]
    os.kill(client.run(os.getpid)[address], signal.SIGKILL)
    assert eventually(lambda: address not in client.scheduler_info()["workers"])
    np.testing.assert_array_equal(received(*arguments).X, X)


@pytest.mark.slow
def test_a_worker_killed_in_a_search_of_dask_arrays_changes_no_bit(client, monkeypatch):
    with dask.config.set(scheduler="threads"):
        expected = search_on(blocks(X), blocks(Y))
    killed = in_epoch(3, lambda: kill(client), monkeypatch)
    found = search_on(blocks(X), blocks(Y))
    assert killed
    assert_same_search(found, expected)
    assert eventually(lambda: is_clean(client))


# The scheduler is lost


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "seconds"), [(optimum, 0.1), (by_batches, 0.0), (by_batches, 0.3)]
)
def test_a_scheduler_that_ends_is_an_error(
    model, seconds, client_alone, expected, monkeypatch
):
    clf = copy.copy(expected[model]).set_params(epochs=10_000)
    before, timers = dict(vars(clf)), []
    fold = DaskCluster.fold

    def slowly(self, *arguments):  # or the optimum would be found before
        time.sleep(0.05)
        return fold(self, *arguments)

    monkeypatch.setattr(DaskCluster, "fold", slowly)
    close = client_alone.cluster.close
    in_epoch(3, lambda: timers.append(later(close, seconds)), monkeypatch)
    with pytest.raises(
        ConnectionError, match="connection to Dask's scheduler was lost"
    ):
        fit(clf)
    timers[0].join()
    assert vars(clf) == before


# Ctrl-C


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def hears_ctrl_c():
    """Heed SIGINT, also where a shell has started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGINT to send")
def test_ctrl_c_keeps_the_last_whole_epoch_and_frees_the_workers(
    client, hears_ctrl_c, monkeypatch
):
    timers = []
    in_epoch(3, lambda: timers.append(later(interrupt)), monkeypatch)
    numbers = {"learning_rate": 0.05, "learning_rate_schedule": "constant"}
    clf = by_batches(epochs=10_000, **numbers)
    with pytest.warns(UserWarning, match="interrupted in epoch"):
        fit(clf)
    timers[0].join()
    assert 3 <= clf.n_iter_ < 10_000
    assert eventually(lambda: is_clean(client))
    assert_same_bits(clf, fit(by_batches(epochs=clf.n_iter_, **numbers)))


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_iteration(client, expected, hears_ctrl_c, monkeypatch):
    fold = DaskCluster.fold

    def slowly(self, parts, call):
        if call.name:
            time.sleep(0.05)
        return fold(self, parts, call)

    monkeypatch.setattr(DaskCluster, "fold", slowly)
    timers = []
    in_epoch(3, lambda: timers.append(later(interrupt, 0.12)), monkeypatch)
    with pytest.warns(UserWarning, match="interrupted in"):
        clf = fit(optimum())
    timers[0].join()
    assert 3 <= clf.n_iter_ < expected[optimum].n_iter_
    assert clf.loss_curve_ == expected[optimum].loss_curve_[: clf.n_iter_]
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
@pytest.mark.parametrize("warm", [False, True])
def test_ctrl_c_while_rows_are_read_leaves_all_as_it_was(
    warm, client, expected, hears_ctrl_c, tmp_path
):
    clf = copy.copy(expected[by_batches]).set_params(warm_start=warm)
    before = dict(vars(clf))
    rows = blocks(X).map_blocks(
        slow_block, tmp_path / "reads", dtype=float, meta=np.zeros((0, 0))
    )
    timer = later(interrupt, 0.5)
    with pytest.raises(KeyboardInterrupt):
        fit(clf, rows)
    timer.join()
    assert vars(clf) == before
    del rows
    assert eventually(lambda: is_clean(client))
