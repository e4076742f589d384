"""Ctrl-C at any moment: an estimator is as it was, or at an epoch that has ended.

A Ctrl-C is never swallowed: it is raised, or a fit that keeps its epochs warns of it.
"""

from __future__ import annotations

import collections
import inspect
import math
import os
import pickle
import random
import signal
import sys
import threading
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tfsoftmax
from tests.assertions import assert_same_bits
from tests.clusters import eventually
from tests.problems import estimator
from tests.robustness.common import (
    N_CHUNKS,
    DiesOfHanging,
    X,
    Y,
    in_child,
    search,
    tfsoftmax_threads,
)
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.callbacks import EpochLogger
from tfsoftmax.data import loader
from tfsoftmax.model_selection import fusion
from tfsoftmax.solvers import sgd

# At a chosen call


def raise_interruption(*_):
    raise KeyboardInterrupt


def interrupt_after(n_chunks, monkeypatch):
    """Raise KeyboardInterrupt when so many chunks have been used; return their list."""
    original, used = loader.ChunkLoader.epochs, []

    def counting(chunks):
        for chunk in chunks:
            yield chunk
            used.append(chunk)
            if len(used) == n_chunks:
                raise KeyboardInterrupt

    def interrupting(self, draw_order, n_epochs):
        for chunks in original(self, draw_order, n_epochs):
            yield counting(chunks)

    monkeypatch.setattr(loader.ChunkLoader, "epochs", interrupting)
    return used


@pytest.mark.parametrize("n_used", [1, 4, N_CHUNKS, N_CHUNKS + 1, 3 * N_CHUNKS - 1])
@pytest.mark.parametrize("make", [estimator, search], ids=["fit", "search"])
def test_no_thread_of_a_loader_outlives_an_interruption(
    make, n_used, loader_threads, monkeypatch
):
    interrupt_after(n_used, monkeypatch)
    if make is estimator and n_used > N_CHUNKS:
        with pytest.warns(UserWarning, match="interrupted in epoch"):
            assert make().fit(X, Y).n_iter_ == n_used // N_CHUNKS
    else:
        with pytest.raises(KeyboardInterrupt):
            make().fit(X, Y)
    assert loader_threads
    assert not [thread for thread in loader_threads if thread.is_alive()]
    assert not tfsoftmax_threads()


def test_a_search_ends_at_once_though_its_models_are_trained_in_parts(
    several_chunks, monkeypatch
):
    monkeypatch.setattr(fusion, "MAX_GROUP_BYTES", 1)  # each model is a part
    n_chunks = 6  # of an epoch on half of the rows
    used = interrupt_after(n_chunks, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        search().fit(X, Y)
    assert len(used) == n_chunks


def test_an_interruption_of_a_candidates_last_callback_ends_the_search(monkeypatch):
    monkeypatch.setattr(EpochLogger, "on_fit_end", raise_interruption)
    model = search()
    previous = pickle.dumps(model)
    with (
        pytest.warns(UserWarning, match="interrupted in epoch 3"),
        pytest.raises(KeyboardInterrupt),
    ):
        model.fit(X, Y)
    assert pickle.dumps(model) == previous


def test_an_interruption_when_all_candidates_have_diverged_ends_the_search(monkeypatch):
    active, interrupted = sgd._active, []

    def interrupt_once(group):
        (run,) = group
        if isinstance(run.outcome, ValueError) and not interrupted:
            interrupted.append(run._position.n_epochs)
            raise KeyboardInterrupt
        return active(group)

    def check_epoch(epoch, largest_weight, dtype, metrics):
        if epoch == 2 and metrics["learning_rate"] == 1.0:
            raise ValueError("The loss became non-finite in epoch 2.")

    monkeypatch.setattr(sgd, "_active", interrupt_once)
    monkeypatch.setattr(sgd, "check_epoch", check_epoch)
    grid = [{"learning_rate": [1.0]}, {"optimizer": ["momentum"]}]
    model = estimator(batch_size=20, learning_rate=0.1)
    with pytest.raises(KeyboardInterrupt):
        TFSoftmaxGridSearchCV(model, grid, cv=2, error_score=0.0).fit(X, Y)
    assert interrupted == [1]


def test_an_interruption_of_a_thread_that_starts_is_raised_as_what_it_is(
    several_chunks, monkeypatch
):
    def interrupted(thread):
        try:
            raise KeyboardInterrupt
        finally:  # what `threading.Condition` does
            raise RuntimeError("release unlocked lock")

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search().fit(X, Y)


# What is interrupted at many moments


@cache
def fitted_for(epochs, **parameters):
    return estimator(epochs=epochs, **parameters).fit(X, Y)


@cache
def complete_search():
    return search().fit(X, Y)


class Fit:
    """What to interrupt, how to check where it stopped, and how to resume it."""

    def __init__(self, epochs, **parameters):
        self.epochs, self.parameters = epochs, parameters

    def make(self):
        return estimator(epochs=self.epochs, **self.parameters)

    def call(self, model):
        model.fit(X, Y)

    def check(self, model):
        """Check the bits of what was trained; return the number of epochs."""
        n_epochs = len(model.loss_curve_)
        assert_same_bits(model, fitted_for(n_epochs, **self.parameters))
        return n_epochs

    def resume(self, model):
        assert_same_bits(model.fit(X, Y), fitted_for(self.epochs, **self.parameters))


class WarmFit(Fit):
    def make(self):
        begun = estimator(epochs=1, warm_start=True).fit(X, Y)
        return begun.set_params(epochs=self.epochs - 1)

    def resume(self, model):
        while (n_left := self.epochs - len(model.loss_curve_)) > 0:
            model.set_params(epochs=n_left).fit(X, Y)
        assert_same_bits(model, fitted_for(self.epochs))


class PartialFit(Fit):
    def make(self):
        return estimator(epochs=1).fit(X, Y)

    def call(self, model):
        model.partial_fit(X, Y, classes=[0, 1, 2])

    def resume(self, model):
        while len(getattr(model, "loss_curve_", [])) < 3:
            self.call(model)
        assert_same_bits(model, fitted_for(3))


class FirstPartialFit(PartialFit):
    def make(self):
        return estimator()


class Search(Fit):
    def make(self):
        return search()

    def check(self, model):
        best = model.best_estimator_
        assert model.best_params_ == complete_search().best_params_
        assert_same_bits(best, fitted_for(best.n_iter_, **model.best_params_))
        np.testing.assert_array_equal(model.predict(X), best.predict(X))
        return best.n_iter_

    def resume(self, model):
        scores = model.fit(X, Y).cv_results_["mean_test_score"]
        expected = complete_search()
        assert scores.tolist() == expected.cv_results_["mean_test_score"].tolist()
        assert_same_bits(model.best_estimator_, expected.best_estimator_)


class FittedSearch(Search):
    def make(self):
        return search(cv=3).fit(X, Y).set_params(cv=2)


def check_interrupted(kind, model, previous):
    """Check that the model is as it was or at an epoch's end; return which."""
    if pickle.dumps(model) == previous:
        return "as before"
    return kind.check(model)


# At a random moment


def struck_after(delay, call):
    """Call, and send this process a SIGINT meanwhile; True if the call was struck.

    A signal that comes when the call has ended does nothing, and doesn't count.
    """
    ended, struck = threading.Event(), False

    def strike():
        if not ended.wait(delay):
            os.kill(os.getpid(), signal.SIGINT)

    def interrupt(number, frame):
        nonlocal struck
        if not ended.is_set():
            struck = True
            signal.default_int_handler(number, frame)

    striker = threading.Thread(target=strike)
    handler = signal.signal(signal.SIGINT, interrupt)
    try:
        striker.start()
        call()
        ended.set()  # in here, so that a signal just before it is caught
    except KeyboardInterrupt:
        assert struck
    finally:
        ended.set()
        striker.join()
        time.sleep(0.01)  # the signal may arrive after it was sent
        signal.signal(signal.SIGINT, handler)
    return struck


def interrupt_at_random_moments(kind, n_moments, rng):
    """Strike while the call is under way, at moments spread over all that it takes."""
    duration = math.inf
    for _ in range(4):
        model = kind.make()
        began = time.perf_counter()
        kind.call(model)
        duration = min(duration, time.perf_counter() - began)
        complete = kind.check(model)
    outcomes = collections.Counter()
    for _ in range(10 * n_moments):
        model = kind.make()
        previous = pickle.dumps(model)
        moment = (outcomes.total() + rng.random()) / n_moments * duration
        with DiesOfHanging():
            if struck_after(moment, lambda model=model: kind.call(model)):
                where = check_interrupted(kind, model, previous)
                assert eventually(lambda: not tfsoftmax_threads())
                where = "complete" if where == complete else where
                outcomes["partial" if isinstance(where, int) else where] += 1
            else:
                duration = min(duration, moment)  # it was faster this time
            kind.resume(model)
        if outcomes.total() == n_moments:
            break
    return outcomes


MANY = 60  # epochs: so many that most moments lie between two of them
AT_RANDOM = {
    "fit": Fit(MANY),
    "warm fit": WarmFit(MANY),
    "partial_fit": PartialFit(2),
    "first partial_fit": FirstPartialFit(1),
    "search": Search(2),
    "fitted search": FittedSearch(2),
}


def interrupt_each_at_random_moments(n_moments, seed):
    warnings.simplefilter("ignore")
    rng = random.Random(seed)
    return {
        name: interrupt_at_random_moments(kind, n_moments, rng)
        for name, kind in AT_RANDOM.items()
    }


@pytest.mark.slow
def test_ctrl_c_at_any_moment_leaves_a_whole_estimator():
    outcomes_of = in_child(interrupt_each_at_random_moments, 10, 0)
    for name, outcomes in outcomes_of.items():
        assert sum(outcomes.values()) == 10, (name, outcomes)
        # An epoch and a search are kept as a whole, and of many epochs those finished.
        expected = "partial" if name in ("fit", "warm fit") else "as before"
        assert outcomes.get(expected, 0) > 0, (name, outcomes)


# At one call after another


class InterruptsAt:
    """Profiles: sends SIGINT after so many calls by this package and what it waits in.

    The interpreter looks for signals where a Python function begins and where one in C
    ends, so that a signal at any other time is handled there. Generators are left out,
    as the profiler calls one also where it is closed, which looks for no signal.
    """

    FILES = (str(Path(tfsoftmax.__file__).parent), threading.__file__)

    def __init__(self, number):
        self.number, self.seen, self.where = number, 0, None

    def __call__(self, frame, event, _):
        code = frame.f_code
        if (
            event in ("call", "c_return")
            and code.co_filename.startswith(self.FILES)
            and not code.co_flags & inspect.CO_GENERATOR
        ):
            self.seen += 1
            if self.seen == self.number:
                self.where = f"{code.co_filename}:{frame.f_lineno} ({event})"
                sys.setprofile(None)
                print("interrupting at", self.where, file=sys.stderr, flush=True)
                signal.raise_signal(signal.SIGINT)


def interrupt_after_every_call(kind, step):
    """Interrupt after each step-th call; return how often each outcome was seen."""
    kind.call(kind.make())
    outcomes = collections.Counter()
    number = 1
    while True:
        model, interrupts = kind.make(), InterruptsAt(number)
        previous, running = pickle.dumps(model), tfsoftmax_threads()
        with DiesOfHanging(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                sys.setprofile(interrupts)
                try:
                    kind.call(model)
                finally:
                    sys.setprofile(None)
                ended = (
                    "kept" if any("interr" in str(w.message) for w in caught) else ""
                )
            except KeyboardInterrupt:
                ended = "raised"
        if interrupts.where is None:
            return outcomes
        assert ended, "swallowed"
        where = check_interrupted(kind, model, previous)
        assert where == "as before" or ended == "kept"
        # Where `Thread.start` is interrupted, the thread may wait for ever for a lock.
        if not interrupts.where.startswith(threading.__file__):
            assert eventually(lambda running=running: tfsoftmax_threads() <= running)
        outcomes[ended] += 1
        number += step


# How many calls there are varies with the turns that threads take.
STEPS = {
    "fit": (Fit(2), 3),
    "early stopping": (Fit(2, early_stopping=True), 17),
    "lbfgs": (Fit(3, optimizer="lbfgs", alpha=0.1), 11),
    "warm fit": (WarmFit(2), 5),
    "partial_fit": (PartialFit(2), 7),
    "first partial_fit": (FirstPartialFit(1), 7),
    "search": (Search(2), 151),
    "fitted search": (FittedSearch(2), 191),
}


def interrupt_each_after_every_call():
    warnings.simplefilter("ignore")
    return {
        name: interrupt_after_every_call(kind, step)
        for name, (kind, step) in STEPS.items()
    }


@pytest.mark.slow
def test_ctrl_c_after_any_call_is_raised_or_warned_of():
    outcomes_of = in_child(interrupt_each_after_every_call)
    for name, outcomes in outcomes_of.items():
        assert outcomes["raised"] >= 40, (name, outcomes)
        assert outcomes.get("kept", 0) > 0 or "search" in name, (name, outcomes)


# During the first import


def interrupt_the_first_import(delay):
    """Interrupt while TensorFlow is being imported; (the outcome, that of a retry)."""
    assert "tensorflow" not in sys.modules
    model, stderr = estimator(), os.fstat(2).st_ino
    previous = pickle.dumps(model)
    warnings.simplefilter("ignore")

    def strike():
        while "tensorflow" not in sys.modules:
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)

    def outcome():
        try:
            return str(model.fit(X, Y).n_iter_)
        except (KeyboardInterrupt, ImportError) as error:
            return repr(error)

    with DiesOfHanging():
        threading.Thread(target=strike, daemon=True).start()
        outcomes = [outcome()]
        assert "(" not in outcomes[0] or pickle.dumps(model) == previous
        outcomes.append(outcome())
    assert os.fstat(2).st_ino == stderr
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.1, 1.0])
def test_ctrl_c_while_tensorflow_is_imported_is_raised(delay):
    first, second = in_child(interrupt_the_first_import, delay)
    assert first == "KeyboardInterrupt()"
    # TensorFlow can't always be imported again where an import was cut short.
    assert second == "3" or "and restart Python" in second
