"""Fits in many threads, in forks, beside a worker that dies, and many in a row."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold, ParameterGrid
from sklearn.pipeline import make_pipeline

from tests.assertions import assert_same_bits
from tests.problems import estimator, problem
from tests.robustness.common import PATIENCE, DiesOfHanging, X, Y, in_child
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV


@pytest.mark.slow
def test_eight_threads_that_fit_at_once_give_the_serial_bits(
    several_chunks, no_programs
):
    from tfsoftmax.engine import compilation

    wide, wide_y, _ = problem(503, n_features=7, n_classes=4, seed=2)
    jobs = [
        (estimator(epochs=2), X, Y),
        (estimator(epochs=2, optimizer="adam"), wide, wide_y),
        (estimator(epochs=2, random_state=1), X, Y),
        (estimator(epochs=2, early_stopping=True), X, Y),
    ] * 2

    def fit(job):
        model, X, y = job
        return pickle.loads(pickle.dumps(model)).fit(X, y)

    expected = [fit(job) for job in jobs]
    compiled = compilation._compile.cache_info().misses
    compilation._compile.cache_clear()
    together = threading.Barrier(8, timeout=PATIENCE)

    def fit_at_once(job):
        together.wait()
        return fit(job)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            for model, serial in zip(
                pool.map(fit_at_once, jobs), expected, strict=True
            ):
                assert model.loss_curve_ == serial.loss_curve_
                np.testing.assert_array_equal(model.coef_, serial.coef_)
                np.testing.assert_array_equal(model.intercept_, serial.intercept_)
    assert compilation._compile.cache_info().misses == compiled


def outcome_of_fork(work):
    """Do the work in a fork of this process: "right", or what went wrong."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def answer():
        try:
            work()
        except Exception as error:
            answers.put(f"{type(error).__name__}: {error}")
        else:
            answers.put("right")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that a fork does not have
        process = context.Process(target=answer)
        process.start()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        return "hung"
    return f"died with {process.exitcode}" if answers.empty() else answers.get()


def fork_before_and_after_a_fit():
    """Fork, and see what the forks can do: the outcomes by the work's name."""
    plain = problem(1003, n_features=40, n_classes=10)[:2]

    def predict():
        assert model.predict(X).tolist() == predicted

    def fit():
        assert_same_bits(estimator().fit(X, Y), model)

    def fit_first():
        assert estimator().fit(X, Y).score(X, Y) > 0.5

    def fit_another_shape():
        assert estimator(rescale=0.1).fit(*plain).score(*plain) > 0.2

    def lbfgs():
        model = estimator(optimizer="lbfgs", alpha=0.1, epochs=100).fit(X, Y)
        assert model.score(X, Y) > 0.5

    with ThreadPoolExecutor() as pool:
        outcomes = {"before": pool.submit(outcome_of_fork, fit_first).result()}
        model = estimator().fit(X, Y)
        predicted = model.predict(X).tolist()
        works = (predict, fit, fit_another_shape, lbfgs)
        names = [work.__name__ for work in works]
        outcomes |= zip(names, pool.map(outcome_of_fork, works), strict=True)
    return outcomes


@pytest.fixture(scope="module")
def forks():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this platform does not fork")
    return in_child(fork_before_and_after_a_fit)


@pytest.mark.slow
def test_forks_of_a_process_that_has_not_fitted_fit(forks):
    assert forks["before"] == "right"


@pytest.mark.slow
def test_forks_of_a_process_that_has_fitted_predict(forks):
    assert forks["predict"] == "right"


@pytest.mark.slow
@pytest.mark.parametrize("work", ["fit", "fit_another_shape", "lbfgs"])
def test_forks_of_a_process_that_has_fitted_fit_or_say_why_not(forks, work):
    assert forks[work] == "right" or "fork" in forks[work], forks
    assert forks[work].startswith(("right", "RuntimeError: ", "ImportError: ")), forks


class KillsItsWorker(TransformerMixin, BaseEstimator):
    """Kills the process that fits it, unless that is the one given."""

    def __init__(self, spared=None):
        self.spared = spared

    def fit(self, X, y=None):
        if self.spared not in (None, os.getpid()):
            os.kill(os.getpid(), signal.SIGKILL)
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


def lose_a_worker():
    """Kill a worker of a search; (whether the error says so, whether all is as before).

    A search that was never fitted, then one that was.
    """
    model = make_pipeline(KillsItsWorker(os.getpid()), estimator(epochs=2))
    grid = {"tfsoftmaxclassifier__alpha": [0.0, 0.1]}
    outcomes = []
    for fitted in (False, True):
        tried = TFSoftmaxGridSearchCV(model, grid, cv=2)
        if fitted:
            tried.fit(X, Y)
        previous = pickle.dumps(tried.set_params(n_jobs=2))
        with DiesOfHanging():
            try:
                tried.fit(X, Y)
            except Exception as error:
                is_loss = isinstance(error, TerminatedWorkerError)
                outcomes.append([is_loss, pickle.dumps(tried) == previous])
    with DiesOfHanging():
        tried.set_params(n_jobs=None).fit(X, Y)
    return [*outcomes, tried.best_estimator_[-1].n_iter_]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_search_whose_worker_is_killed_says_so_and_stays_as_it_was():
    assert in_child(lose_a_worker) == [[True, True], [True, True], 2]


# Memory


def resident_megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def fit_three_hundred_times():
    """Fit on five folds with sixty candidates; the megabytes after 50 fits and 300.

    Each fit writes to more than 2 MB of buffers, so that it shows if they are kept.
    """
    from tfsoftmax.engine import device, program

    X, y = (array[:500] for array in load_digits(return_X_y=True))
    X = np.tile(X, 8)
    grid = ParameterGrid(
        {
            "learning_rate": [0.01, 0.02, 0.05, 0.1, 0.2],
            "alpha": [0.0, 0.001, 0.01],
            "class_weight": [None, "balanced"],
            "random_state": [0, 1],
        }
    )
    warnings.simplefilter("ignore")
    device.xla_works()  # which compiles something to find out
    seen, n_fits = [], 0
    with mock.patch.object(program.tf, "function", wraps=program.tf.function) as made:
        for params in grid:
            for train, test in KFold(5).split(X):
                model = TFSoftmaxClassifier(epochs=2, rescale=1 / 16, **params)
                model.fit(X[train], y[train], X_val=X[test], y_val=y[test]).predict(X)
                # One takes steps, and one measures.
                assert made.call_count == 2, "programs were compiled anew"
                n_fits += 1
                if n_fits in (50, 300):
                    seen.append(resident_megabytes())
    return seen


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_and_programs_stay_as_they_are_through_three_hundred_fits():
    early, late = in_child(fit_three_hundred_times, limits={})
    assert abs(late - early) < 10
