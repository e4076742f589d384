"""Fits on a cluster that loses workers, data or its scheduler; and Ctrl-C there.

The weights are the same bits, or there is an error that says what was lost, and the
estimator keeps its state. Nothing hangs: whoever waits too long ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import dask.array as da
import distributed
import numpy as np
import pytest

from tests.assertions import assert_same_bits
from tests.problems import problem
from tests.robustness.common import DiesOfHanging, eventually
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.callbacks import EpochLogger
from tfsoftmax.distributed import cluster as clusters
from tfsoftmax.distributed.cluster import DaskCluster

X, Y, S = problem(400)
SIZES = (50,) * 8


def blocks(values):
    return da.from_array(values, chunks=(SIZES, *((n,) for n in values.shape[1:])))


def optimum(**parameters):
    return TFSoftmaxClassifier(optimizer="lbfgs", **parameters)


def by_batches(**parameters):
    return TFSoftmaxClassifier(**{"epochs": 8, "random_state": 0} | parameters)


@pytest.fixture
def client():
    with (
        DiesOfHanging(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def is_clean(client):
    return not (client.futures or client.who_has() or any(client.processing().values()))


def kill(client, number=0):
    """Kill a worker by SIGKILL; its nanny starts another one."""
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
def test_a_worker_killed_between_epochs_changes_no_bit(model, client, monkeypatch):
    expected = model().fit(blocks(X), blocks(Y), blocks(S))
    killed = in_epoch(3, lambda: kill(client), monkeypatch)
    assert_same_bits(model().fit(blocks(X), blocks(Y), blocks(S)), expected)
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
def test_a_worker_killed_in_the_midst_of_tasks_changes_no_bit(model, client, tmp_path):
    expected = model().fit(blocks(X), blocks(Y))
    path = tmp_path / "reads"
    rows = blocks(X).map_blocks(slow_block, path, dtype=float, meta=np.zeros((0, 0)))

    def kill_when_some_are_read():
        eventually(lambda: path.exists() and len(path.read_text().split()) >= 4)
        kill(client)

    timer = later(kill_when_some_are_read, 0)
    assert_same_bits(model().fit(rows, blocks(Y)), expected)
    timer.join()
    assert len(path.read_text().split()) > len(SIZES)
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
def test_workers_killed_one_after_the_other_change_no_bit(client, monkeypatch):
    expected = optimum().fit(blocks(X), blocks(Y))
    on_epoch_end, n_killed = EpochLogger.on_epoch_end, 0

    def acting(self, epoch, *arguments):
        nonlocal n_killed
        if epoch in (2, 4, 6):
            kill(client, n_killed % 2)
            n_killed += 1
        return on_epoch_end(self, epoch, *arguments)

    monkeypatch.setattr(EpochLogger, "on_epoch_end", acting)
    assert_same_bits(optimum().fit(blocks(X), blocks(Y)), expected)
    assert n_killed == 3


@pytest.mark.slow
def test_both_workers_killed_at_once_change_no_bit(client, monkeypatch):
    expected = by_batches().fit(blocks(X), blocks(Y))

    def kill_both():
        for pid in client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)

    in_epoch(3, kill_both, monkeypatch)
    assert_same_bits(by_batches().fit(blocks(X), blocks(Y)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
def test_scattered_rows_lost_with_their_worker_are_an_error(model, client, monkeypatch):
    clf = model().fit(blocks(X), blocks(Y))
    before = dict(vars(clf))
    scattered = [client.scatter(X[i : i + 50], hash=False) for i in range(0, 400, 50)]
    rows = da.concatenate([da.from_delayed(each, (50, 5), float) for each in scattered])
    in_epoch(3, lambda: kill(client), monkeypatch)
    with pytest.raises(RuntimeError, match="A part of the data is lost") as caught:
        clf.fit(rows, blocks(Y))
    assert vars(clf) == before
    del caught, scattered, rows
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
def test_all_workers_gone_for_good_are_an_error(model, client, monkeypatch):
    monkeypatch.setattr(clusters, "PATIENCE", 2.0)
    clf = model().fit(blocks(X), blocks(Y))
    before = dict(vars(clf))
    in_epoch(3, lambda: client.cluster.scale(0), monkeypatch)
    with pytest.raises(RuntimeError, match="All Dask workers have been gone for 2 sec"):
        clf.fit(blocks(X), blocks(Y))
    assert vars(clf) == before


@pytest.mark.slow
def test_a_worker_that_dies_of_its_task_again_and_again_is_an_error(client):
    def die(block):
        os.kill(os.getpid(), signal.SIGKILL)

    rows = blocks(X).map_blocks(die, dtype=float, meta=np.zeros((0, 0)))
    with pytest.raises(RuntimeError, match="Workers have died again and again"):
        optimum().fit(rows, blocks(Y))


# The scheduler is lost


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3])
def test_a_scheduler_that_ends_is_an_error(model, seconds, client, monkeypatch):
    clf = model().fit(blocks(X), blocks(Y))
    before = dict(vars(clf))
    clf.set_params(epochs=10_000, tol=0.0 if model is by_batches else 1e-300)
    timers = []
    in_epoch(
        3, lambda: timers.append(later(client.cluster.close, seconds)), monkeypatch
    )
    if model is optimum:  # which would end before
        fold = DaskCluster.fold

        def slowly(self, *arguments):
            time.sleep(0.05)
            return fold(self, *arguments)

        monkeypatch.setattr(DaskCluster, "fold", slowly)
    with pytest.raises(ConnectionError, match="connection to Dask's scheduler is lost"):
        clf.fit(blocks(X), blocks(Y))
    timers[0].join()
    clf.set_params(**{name: before[name] for name in ("epochs", "tol")})
    assert vars(clf) == before


# Ctrl-C


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGINT to send")
def test_ctrl_c_keeps_the_last_whole_epoch_and_frees_the_workers(client, monkeypatch):
    timers = []
    in_epoch(3, lambda: timers.append(later(interrupt)), monkeypatch)
    numbers = {"learning_rate": 0.05, "learning_rate_schedule": "constant"}
    clf = by_batches(epochs=10_000, **numbers)
    with pytest.warns(UserWarning, match="interrupted in epoch"):
        clf.fit(blocks(X), blocks(Y))
    timers[0].join()
    assert 3 <= clf.n_iter_ < 10_000
    assert eventually(lambda: is_clean(client))
    expected = by_batches(epochs=clf.n_iter_, **numbers).fit(blocks(X), blocks(Y))
    assert_same_bits(clf, expected)


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_iteration(client, monkeypatch):
    fold = DaskCluster.fold
    expected = optimum().fit(blocks(X), blocks(Y))

    def slowly(self, parts, call):
        if call.name:
            time.sleep(0.05)
        return fold(self, parts, call)

    monkeypatch.setattr(DaskCluster, "fold", slowly)
    timers = []
    in_epoch(3, lambda: timers.append(later(interrupt, 0.12)), monkeypatch)
    clf = optimum()
    with pytest.warns(UserWarning, match="interrupted in"):
        clf.fit(blocks(X), blocks(Y))
    timers[0].join()
    assert 3 <= clf.n_iter_ < expected.n_iter_
    assert clf.loss_curve_ == expected.loss_curve_[: clf.n_iter_]
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
@pytest.mark.parametrize("warm", [False, True])
def test_ctrl_c_while_rows_are_read_leaves_all_as_it_was(warm, client, tmp_path):
    clf = by_batches(warm_start=warm).fit(blocks(X), blocks(Y))
    before = dict(vars(clf))
    rows = blocks(X).map_blocks(
        slow_block, tmp_path / "reads", dtype=float, meta=np.zeros((0, 0))
    )
    timer = later(interrupt, 0.5)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(rows, blocks(Y))
    timer.join()
    assert vars(clf) == before
    del rows
    assert eventually(lambda: is_clean(client))
