"""What goes wrong around a fit: signals, threads, forks, failing parts, full memory.

After each fault an estimator is as it was, or at an epoch that it has finished.
"""

from __future__ import annotations

import collections
import faulthandler
import gc
import itertools
import json
import math
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold, ParameterGrid
from sklearn.pipeline import make_pipeline

import tfsoftmax
from tests.problems import problem
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV, callbacks
from tfsoftmax.data import batches, loader

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds after which what should end has hung

X, Y, S = problem(403)
HELD_OUT = dict(zip(("X_val", "y_val"), problem(203, seed=1), strict=False))
EPOCHS = 6
GRID = {"learning_rate": [0.02, 0.05, 0.1, 0.2], "alpha": [0.0, 0.01, 0.1]}


def estimator(**parameters):
    defaults = {
        "batch_size": 50,
        "learning_rate": 0.1,
        "epochs": EPOCHS,
        "random_state": 0,
    }
    return TFSoftmaxClassifier(**defaults | parameters)


def search(model=None, **options):
    options = {"cv": 2, "error_score": "raise"} | options
    return TFSoftmaxGridSearchCV(model or estimator(epochs=2), GRID, **options)


def assert_same_bits(one, other):
    assert one.n_iter_ == other.n_iter_
    assert one.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(one.coef_, other.coef_)
    np.testing.assert_array_equal(one.intercept_, other.intercept_)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@cache
def fitted_for(epochs, **parameters):
    return estimator(epochs=epochs, **parameters).fit(X, Y)


def own_threads():
    return [t for t in threading.enumerate() if t.name.startswith("tfsoftmax")]


LIMITS = {"MAX_CHUNK_ROWS": 64, "MAX_MICRO_BATCH": 64}


@pytest.fixture
def several_chunks(monkeypatch):
    """Have the rows fill several chunks, so that threads take part."""
    for name, limit in LIMITS.items():
        monkeypatch.setattr(batches, name, limit)


def in_child(function, *arguments, limits=LIMITS):
    """Call a function of this module in an interpreter of its own: what it gives."""
    call = f"faults.{function.__name__}(*{arguments!r})"
    program = (
        "import json; from tests import test_faults as faults; "
        f"vars(faults.chunks).update({limits}); "
        f"print(json.dumps({call})); "
        f"faults.faulthandler.dump_traceback_later({PATIENCE}, exit=True)"
    )
    child = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


class DiesOfHanging:
    """A context that ends the process, with a traceback, when it takes too long."""

    def __enter__(self):
        faulthandler.dump_traceback_later(PATIENCE, exit=True)

    def __exit__(self, *_):
        faulthandler.cancel_dump_traceback_later()


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return condition()


# Ctrl-C


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
    former = signal.signal(signal.SIGINT, interrupt)
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
        signal.signal(signal.SIGINT, former)
    return struck


class OfFit:
    """What to interrupt, how to tell where it stands, and how it goes on."""

    epochs = 60  # so many that most moments lie between two of them

    def make(self):
        return estimator(epochs=self.epochs)

    def call(self, model):
        model.fit(X, Y)

    def check(self, model):
        """Check the bits of what has trained; the epochs that it stands at."""
        assert_same_bits(model, fitted_for(model.n_iter_))
        return model.n_iter_

    def go_on(self, model):
        assert_same_bits(model.fit(X, Y), fitted_for(self.epochs))


class OfWarmFit(OfFit):
    def make(self):
        begun = estimator(epochs=2, warm_start=True).fit(X, Y)
        return begun.set_params(epochs=self.epochs - 2)

    def go_on(self, model):
        while model.n_iter_ < self.epochs:
            model.set_params(epochs=self.epochs - model.n_iter_).fit(X, Y)
        assert_same_bits(model, fitted_for(self.epochs))


class OfPartialFit(OfFit):
    epochs = 3

    def make(self):
        return estimator(epochs=1).fit(X, Y)

    def call(self, model):
        model.partial_fit(X, Y)

    def go_on(self, model):
        while model.n_iter_ < self.epochs:
            model.partial_fit(X, Y)
        assert_same_bits(model, fitted_for(self.epochs))


class OfFirstPartialFit(OfPartialFit):
    def make(self):
        return estimator()

    def call(self, model):
        model.partial_fit(X, Y, classes=[0, 1, 2])

    def go_on(self, model):
        self.call(model)
        super().go_on(model)


class OfSearch(OfFit):
    def make(self):
        return search()

    def check(self, model):
        best = model.best_estimator_
        assert model.best_params_ == complete_search().best_params_
        assert_same_bits(best, fitted_for(best.n_iter_, **model.best_params_))
        np.testing.assert_array_equal(model.predict(X), best.predict(X))
        return best.n_iter_

    def go_on(self, model):
        scores = model.fit(X, Y).cv_results_["mean_test_score"]
        expected = complete_search()
        assert scores.tolist() == expected.cv_results_["mean_test_score"].tolist()
        assert_same_bits(model.best_estimator_, expected.best_estimator_)


class OfFittedSearch(OfSearch):
    def make(self):
        return search(cv=3).fit(X, Y).set_params(cv=2)


@cache
def complete_search():
    return search().fit(X, Y)


KINDS = {
    "fit": OfFit,
    "warm fit": OfWarmFit,
    "partial_fit": OfPartialFit,
    "first partial_fit": OfFirstPartialFit,
    "search": OfSearch,
    "fitted search": OfFittedSearch,
}


def check_after_interruption(kind, model, former, complete):
    """Check that the model is as it was or at an epoch's end; say which."""
    is_as_before = pickle.dumps(model) == former
    n_epochs = None if is_as_before else kind.check(model)
    assert eventually(lambda: not own_threads())
    if is_as_before:
        return "as before"
    return "complete" if n_epochs == complete else "partial"


def interrupt_each_kind(n_moments, seed):
    """Interrupt each kind that often; how often each outcome was seen, by its name."""
    warnings.simplefilter("ignore")
    rng = random.Random(seed)
    return {
        name: interrupt_at_random_moments(kind(), n_moments, rng)
        for name, kind in KINDS.items()
    }


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
        former = pickle.dumps(model)
        moment = (outcomes.total() + rng.random()) / n_moments * duration
        with DiesOfHanging():
            if struck_after(moment, lambda model=model: kind.call(model)):
                where = check_after_interruption(kind, model, former, complete)
                outcomes[where] += 1
            else:
                duration = min(duration, moment)  # it was faster this time
            kind.go_on(model)
        if outcomes.total() == n_moments:
            break
    return outcomes


@pytest.mark.slow
def test_ctrl_c_at_any_moment_leaves_a_whole_estimator():
    outcomes_of = in_child(interrupt_each_kind, 10, 0)
    for name, outcomes in outcomes_of.items():
        assert sum(outcomes.values()) == 10, (name, outcomes)
        # An epoch and a search are kept as a whole, and of many epochs those finished.
        expected = "partial" if name in ("fit", "warm fit") else "as before"
        assert outcomes.get(expected, 0) > 0, (name, outcomes)


class InterruptsAt:
    """Profiles: sends SIGINT after so many calls by this package and what it waits in.

    The interpreter looks for signals where a Python function begins and where one in C
    ends, so that a signal at any other time is handled there.
    """

    FILES = (str(Path(tfsoftmax.__file__).parent), threading.__file__)
    FILES = (*FILES, str(Path(sys.modules["concurrent.futures"].__file__).parent))

    def __init__(self, number):
        self.number, self.seen, self.place = number, 0, None

    def __call__(self, frame, event, _):
        code = frame.f_code
        if event in ("call", "c_return") and code.co_filename.startswith(self.FILES):
            self.seen += 1
            if self.seen == self.number:
                self.place = f"{code.co_filename}:{frame.f_lineno} ({event})"
                sys.setprofile(None)
                print("interrupting at", self.place, file=sys.stderr, flush=True)
                signal.raise_signal(signal.SIGINT)


def interrupt_after_every_call(step):
    """Interrupt a short fit after each step-th call; how often it was done."""
    warnings.simplefilter("ignore")
    fitted_for(2)
    number, n_done = 1, 0
    while True:
        model, interrupts = estimator(epochs=2), InterruptsAt(number)
        former = pickle.dumps(model)
        with DiesOfHanging():
            try:
                sys.setprofile(interrupts)
                try:
                    model.fit(X[:150], Y[:150])
                finally:
                    sys.setprofile(None)
            except KeyboardInterrupt:
                pass
            except RuntimeError as error:
                # What the standard library makes of it where a thread is started.
                if "release unlocked lock" not in str(error):
                    raise
            if interrupts.place is None:
                return n_done
            if pickle.dumps(model) != former:
                complete = estimator(epochs=model.n_iter_).fit(X[:150], Y[:150])
                assert_same_bits(model, complete)
        number, n_done = number + step, n_done + 1


@pytest.mark.slow
def test_ctrl_c_between_threads_that_hand_over_never_hangs():
    # How many calls there are varies with the turns that threads take.
    assert in_child(interrupt_after_every_call, 1) >= 100


def interrupt_the_first_import(delay):
    """Interrupt while TensorFlow is being imported; (the outcome, that of a retry)."""
    assert "tensorflow" not in sys.modules
    model, stderr = estimator(), os.fstat(2).st_ino
    former = pickle.dumps(model)
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
        assert "(" not in outcomes[0] or pickle.dumps(model) == former
        outcomes.append(outcome())
    assert os.fstat(2).st_ino == stderr
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.1, 1.0])
def test_ctrl_c_while_tensorflow_is_imported_is_raised(delay):
    first, second = in_child(interrupt_the_first_import, delay)
    assert first == "KeyboardInterrupt()"
    # TensorFlow can't always be imported again where an import was cut short.
    assert second == str(EPOCHS) or "and start Python anew" in second


# Threads and processes


def test_eight_threads_that_fit_at_once_give_the_serial_bits(several_chunks):
    from tfsoftmax.engine import program

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

    program._compile.cache_clear()
    expected = [fit(job) for job in jobs]
    compiled = program._compile.cache_info().misses
    program._compile.cache_clear()
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
    assert program._compile.cache_info().misses == compiled


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
    """Have a worker of a search killed; (the error's type, whether all is as before).

    A search that was never fitted, then one that was.
    """
    model = make_pipeline(KillsItsWorker(os.getpid()), estimator(epochs=2))
    grid = {"tfsoftmaxclassifier__alpha": [0.0, 0.1]}
    outcomes = []
    for fitted in (False, True):
        tried = TFSoftmaxGridSearchCV(model, grid, cv=2)
        if fitted:
            tried.fit(X, Y)
        former = pickle.dumps(tried.set_params(n_jobs=2))
        with DiesOfHanging():
            try:
                tried.fit(X, Y)
            except Exception as error:
                is_loss = isinstance(error, TerminatedWorkerError)
                outcomes.append([is_loss, pickle.dumps(tried) == former])
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
    from tfsoftmax.engine import program

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
    program.xla_works()  # which compiles something to find out
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


# Parts that fail


class OwnError(Exception):
    """What nobody but these tests raises."""


class OddValueError(ValueError):
    """A ValueError that is not made of a message, like UnicodeDecodeError."""

    def __init__(self, what, where, why):
        super().__init__(f"{what} {where} {why}")


FAULTS = [
    OwnError("on purpose"),
    OddValueError("on", "purpose", "here"),
    TypeError("on purpose"),
    MemoryError("on purpose"),
]


class Faulty:
    """An array-like of a shape, which fails when its numbers are asked for."""

    def __init__(self, shape, fault):
        self.shape, self.ndim, self._fault = shape, len(shape), fault

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return Faulty((len(rows), *self.shape[1:]), self._fault)

    def __array__(self, dtype=None, copy=None):
        raise self._fault


@pytest.fixture
def buffers(monkeypatch, several_chunks):
    """Give what chunks are gathered in, as weak references to the memory."""
    made, aligned = [], loader._aligned

    def watched(*arguments):
        array = aligned(*arguments)
        made.append(weakref.ref(array.base))
        return array

    monkeypatch.setattr(loader, "_aligned", watched)
    gc.freeze()  # so that collecting what is new takes no time
    yield made
    gc.unfreeze()


def nothing_remains_of(call, fault, model, buffers):
    """Check that a fault leaves all as before; the error that came through."""
    former, running = pickle.dumps(model), set(threading.enumerate())
    buffers.clear()
    raised = None
    try:
        call()
    except BaseException as error:
        raised = error
    if raised is not None:
        assert pickle.dumps(model) == former
        raised.__traceback__ = fault.__traceback__ = fault.__context__ = None
    assert set(threading.enumerate()) <= running
    gc.collect()
    assert not [buffer for buffer in buffers if buffer() is not None]
    return raised


def with_name(values):
    return pytest.mark.parametrize("fault", values, ids=lambda f: type(f).__name__)


@pytest.mark.slow
@with_name(FAULTS)
@pytest.mark.parametrize("fitted", [True, False])
def test_a_fault_of_an_array_like_comes_through(fault, fitted, buffers):
    model = estimator().fit(X, Y) if fitted else estimator()
    faulty_X, faulty_y = Faulty(X.shape, fault), Faulty(Y.shape, fault)
    classes = {"classes": [0, 1, 2]}
    for call in (
        lambda: model.fit(faulty_X, Y),
        lambda: model.fit(X, faulty_y),
        lambda: model.fit(X, Y, Faulty(Y.shape, fault)),
        lambda: model.partial_fit(faulty_X, Y, **classes),
        lambda: model.partial_fit(X, faulty_y, **classes),
    ):
        assert nothing_remains_of(call, fault, model, buffers) is fault


@pytest.mark.slow
@with_name(FAULTS)
@pytest.mark.parametrize("argument", ["X_val", "y_val"])
def test_a_fault_of_held_out_rows_comes_through_or_is_the_cause(
    fault, argument, buffers
):
    model = estimator().fit(X, Y)
    faulty = HELD_OUT | {argument: Faulty(HELD_OUT[argument].shape, fault)}
    raised = nothing_remains_of(
        lambda: model.fit(X, Y, **faulty), fault, model, buffers
    )
    assert fault in (raised, raised.__cause__)
    is_renamed = isinstance(fault, (TypeError, ValueError))
    assert isinstance(raised, ValueError if is_renamed else type(fault)) or (
        isinstance(fault, TypeError) and isinstance(raised, TypeError)
    )


@pytest.mark.slow
@with_name(FAULTS)
def test_a_fault_of_an_array_like_comes_through_a_search(fault, buffers):
    model = search(cv=3).fit(X, Y).set_params(cv=2)
    for call in (
        lambda: model.fit(Faulty(X.shape, fault), Y),
        lambda: model.fit(X, Faulty(Y.shape, fault)),
    ):
        assert nothing_remains_of(call, fault, model, buffers) is fault


class Scorer:
    """Fails at its n-th score, or never."""

    fault: Exception | None = None
    n_left = 0

    def __call__(self, model, X, y):
        if Scorer.fault is not None:
            Scorer.n_left -= 1
            if Scorer.n_left < 0:
                raise Scorer.fault
        return model.score(X, y)


@with_name(FAULTS)
def test_a_fault_of_a_scorer_comes_through_a_fused_search(fault, buffers, monkeypatch):
    model = search(scoring=Scorer(), cv=3).fit(X, Y).set_params(cv=2)
    monkeypatch.setattr(Scorer, "fault", fault)
    for n_scored in (0, 1, 23):
        monkeypatch.setattr(Scorer, "n_left", n_scored)
        assert (
            nothing_remains_of(lambda: model.fit(X, Y), fault, model, buffers) is fault
        )
        assert buffers


class Callback:
    """Fails at a hook of a task, or never."""

    fault: Exception | None = None
    place = ("", "")

    def setup(self, estimator, context):
        self._pass("setup", context)

    def on_fit_task_begin(self, estimator, context):
        self._pass("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._pass("end", context)

    def teardown(self, estimator, context):
        self._pass("teardown", context)

    def _pass(self, hook, context):
        if Callback.fault is not None and Callback.place == (hook, context.task_name):
            raise Callback.fault


@pytest.mark.slow
@pytest.mark.skipif(not callbacks.SUPPORTED, reason="no callbacks that are known")
@pytest.mark.parametrize("kind", ["sgd", "lbfgs", "search"])
@pytest.mark.parametrize(
    "place",
    [
        ("setup", "fit"),
        ("begin", "fit"),
        ("begin", "epoch"),
        ("end", "epoch"),
        ("end", "fit"),
        ("teardown", "fit"),
    ],
    ids=" of ".join,
)
def test_a_fault_of_a_callback_comes_through(kind, place, buffers, monkeypatch):
    if kind == "search":
        model = search(estimator(epochs=2).set_callbacks(Callback()))
    else:
        model = estimator(optimizer=kind, alpha=0.01, epochs=100)
        model.set_callbacks(Callback())
    model.fit(X, Y)
    fault = OwnError("on purpose")
    monkeypatch.setattr(Callback, "fault", fault)
    monkeypatch.setattr(Callback, "place", place)
    raised = nothing_remains_of(lambda: model.fit(X, Y), fault, model, buffers)
    assert raised is fault
    assert bool(buffers) or place in [("setup", "fit"), ("begin", "fit")]


def fail_at(number, function, fault, is_meant):
    """Make a function that does the same, but for a call of that number."""
    numbers = itertools.count(1)

    def failing(*args):
        if is_meant(*args) and next(numbers) == number:
            raise fault
        return function(*args)

    return failing


def is_own(thread):
    return thread.name.startswith("tfsoftmax")


def is_any(*_):
    return True


SCARCE = {
    "threads": (threading.Thread, "start", is_own, RuntimeError("can't start")),
    "buffers": (loader, "_aligned", is_any, MemoryError("on purpose")),
}
CALLS = {
    "fit": (estimator, lambda model: model.fit(X, Y)),
    "fit with held-out rows": (estimator, lambda model: model.fit(X, Y, **HELD_OUT)),
    "partial_fit": (estimator, lambda model: model.partial_fit(X, Y)),
    "warm fit": (lambda: estimator(warm_start=True), lambda model: model.fit(X, Y)),
    "lbfgs": (
        lambda: estimator(optimizer="lbfgs", alpha=0.1, epochs=99),
        lambda model: model.fit(X, Y),
    ),
    "search": (search, lambda model: model.fit(X, Y)),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", SCARCE)
@pytest.mark.parametrize("call", CALLS)
def test_where_threads_or_memory_run_out_all_stays_as_it_was(
    call, what, buffers, monkeypatch
):
    make, fit = CALLS[call]
    owner, name, is_meant, fault = SCARCE[what]
    begun = make().fit(X, Y)
    for number in itertools.count(1):
        model = pickle.loads(pickle.dumps(begun))
        failing = fail_at(number, getattr(owner, name), fault, is_meant)
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing)
            raised = nothing_remains_of(lambda m=model: fit(m), fault, model, buffers)
        if raised is None:
            break
        assert raised is fault
    assert number > 1
    fit(begun)
    assert_same_bits(*(getattr(m, "best_estimator_", m) for m in (model, begun)))


# The thread that fills chunks


@pytest.fixture
def fillers(monkeypatch, several_chunks):
    """Give the threads that have filled chunks, slowly, beside the main one."""
    threads, fill = set(), loader.ChunkLoader._fill

    def slow_fill(self, *arguments):
        if threading.current_thread() is not threading.main_thread():
            threads.add(threading.current_thread())
            time.sleep(0.005)
        return fill(self, *arguments)

    monkeypatch.setattr(loader.ChunkLoader, "_fill", slow_fill)
    return threads


def interrupt(monkeypatch, number):
    """Raise KeyboardInterrupt when so many chunks have been used."""
    original, n_used = loader.ChunkLoader.epochs, 0

    def counting(chunks):
        nonlocal n_used
        for chunk in chunks:
            yield chunk
            n_used += 1
            if n_used == number:
                raise KeyboardInterrupt

    def interrupting(self, draw_order, n_epochs):
        for chunks in original(self, draw_order, n_epochs):
            yield counting(chunks)

    monkeypatch.setattr(loader.ChunkLoader, "epochs", interrupting)


N_CHUNKS = 9


def test_the_rows_fill_so_many_chunks(several_chunks):
    layout = batches.Layout.choose(50, len(X), X.itemsize * X.shape[1])
    n_micro_batches = len(layout.micro_batches(len(X)))
    assert (n_micro_batches, layout.micro_batches_per_chunk) == (N_CHUNKS, 1)


@pytest.mark.parametrize(
    "model",
    [
        estimator(),
        estimator(early_stopping=True, tol=1.0, n_iter_no_change=1, epochs=50),
        estimator(tol=10.0, n_iter_no_change=1, epochs=50),
        estimator(optimizer="lbfgs", alpha=0.1, epochs=99),
        search(estimator(epochs=2)),
        search(estimator(epochs=2, early_stopping=True)),
    ],
    ids=["epochs", "early stopping", "tol", "lbfgs", "search", "search that stops"],
)
def test_no_filling_thread_outlives_a_fit(model, fillers):
    model.fit(X, Y)
    assert getattr(model, "n_iter_", 2) < 50 or model.optimizer == "lbfgs"
    assert fillers
    assert not [thread for thread in fillers if thread.is_alive()]
    assert not own_threads()


@pytest.mark.parametrize("fit", ["fit", "partial_fit"])
@pytest.mark.parametrize("held_out", [{}, HELD_OUT], ids=["alone", "held out"])
def test_no_filling_thread_outlives_a_loss_that_is_not_finite(fit, held_out, fillers):
    given = held_out if fit == "fit" else {"classes": [0, 1, 2]}
    with pytest.raises(ValueError, match="non-finite in epoch 1"):
        getattr(estimator(), fit)(X * 1e300, Y, **given)
    assert fillers
    assert not [thread for thread in fillers if thread.is_alive()]


@pytest.mark.parametrize("n_used", [1, 4, N_CHUNKS, N_CHUNKS + 1, 3 * N_CHUNKS - 1])
@pytest.mark.parametrize("make", [estimator, search], ids=["fit", "search"])
def test_no_filling_thread_outlives_an_interruption(make, n_used, fillers, monkeypatch):
    interrupt(monkeypatch, n_used)
    if make is estimator and n_used > N_CHUNKS:
        with pytest.warns(UserWarning, match="interrupted in epoch"):
            assert make().fit(X, Y).n_iter_ == n_used // N_CHUNKS
    else:
        with pytest.raises(KeyboardInterrupt):
            make().fit(X, Y)
    assert fillers
    assert not [thread for thread in fillers if thread.is_alive()]
    assert not own_threads()
