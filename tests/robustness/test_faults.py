"""Parts that fail during a fit: arrays, scorers, callbacks, threads, memory, the loss.

After each fault the estimator is as it was, and no thread and no buffer is left.
"""

from __future__ import annotations

import gc
import itertools
import pickle
import threading
import weakref

import pytest

from tests.assertions import assert_same_bits
from tests.problems import estimator
from tests.robustness.common import HELD_OUT, N_CHUNKS, X, Y, search, tfsoftmax_threads
from tfsoftmax import callbacks
from tfsoftmax.data import batches, gather, loader, tiles


class ForeignError(Exception):
    """What nobody but these tests raises."""


class OddValueError(ValueError):
    """A ValueError that is not made of a message, like UnicodeDecodeError."""

    def __init__(self, what, where, why):
        super().__init__(f"{what} {where} {why}")


FAULTS = [
    ForeignError("on purpose"),
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
    """What rows are gathered in, as weak references to the memory."""
    made, aligned = [], gather.aligned

    def recorded(*arguments):
        array = aligned(*arguments)
        made.append(weakref.ref(array.base))
        return array

    for module in (loader, tiles):
        monkeypatch.setattr(module, "aligned", recorded)
    gc.freeze()  # so that collecting what is new takes no time
    yield made
    gc.unfreeze()


def raised_without_trace(call, fault, model, buffers):
    """Check that a fault leaves all as before; return the error that came through."""
    previous, running = pickle.dumps(model), set(threading.enumerate())
    buffers.clear()
    raised = None
    try:
        call()
    except BaseException as error:
        raised = error
    if raised is not None:
        assert pickle.dumps(model) == previous
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
    faulty_X_val = HELD_OUT | {"X_val": Faulty(HELD_OUT["X_val"].shape, fault)}
    faulty_y_val = HELD_OUT | {"y_val": Faulty(HELD_OUT["y_val"].shape, fault)}
    classes = {"classes": [0, 1, 2]}
    for call in (
        lambda: model.fit(faulty_X, Y),
        lambda: model.fit(X, faulty_y),
        lambda: model.fit(X, Y, Faulty(Y.shape, fault)),
        lambda: model.fit(X, Y, **faulty_X_val),
        lambda: model.fit(X, Y, **faulty_y_val),
        lambda: model.partial_fit(faulty_X, Y, **classes),
        lambda: model.partial_fit(X, faulty_y, **classes),
    ):
        assert raised_without_trace(call, fault, model, buffers) is fault


@pytest.mark.slow
@with_name(FAULTS)
def test_a_fault_of_an_array_like_comes_through_a_search(fault, buffers):
    model = search(cv=3).fit(X, Y).set_params(cv=2)
    for call in (
        lambda: model.fit(Faulty(X.shape, fault), Y),
        lambda: model.fit(X, Faulty(Y.shape, fault)),
    ):
        assert raised_without_trace(call, fault, model, buffers) is fault


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
            raised_without_trace(lambda: model.fit(X, Y), fault, model, buffers)
            is fault
        )
        assert buffers


class Callback:
    """Fails at a hook of a task, or never."""

    fault: Exception | None = None
    fails_at = ("", "")

    def setup(self, estimator, context):
        self._run("setup", context)

    def on_fit_task_begin(self, estimator, context):
        self._run("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._run("end", context)

    def teardown(self, estimator, context):
        self._run("teardown", context)

    def _run(self, hook, context):
        is_due = Callback.fails_at == (hook, context.task_name)
        if Callback.fault is not None and is_due:
            raise Callback.fault


@pytest.mark.slow
@pytest.mark.skipif(not callbacks.SUPPORTED, reason="no callbacks that are known")
@pytest.mark.parametrize("kind", ["sgd", "lbfgs", "search"])
@pytest.mark.parametrize(
    "fails_at",
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
def test_a_fault_of_a_callback_comes_through(kind, fails_at, buffers, monkeypatch):
    if kind == "search":
        model = search(estimator(epochs=2).set_callbacks(Callback()))
    else:
        model = estimator(optimizer=kind, alpha=0.01, epochs=100)
        model.set_callbacks(Callback())
    model.fit(X, Y)
    fault = ForeignError("on purpose")
    monkeypatch.setattr(Callback, "fault", fault)
    monkeypatch.setattr(Callback, "fails_at", fails_at)
    raised = raised_without_trace(lambda: model.fit(X, Y), fault, model, buffers)
    assert raised is fault
    assert bool(buffers) or fails_at in [("setup", "fit"), ("begin", "fit")]


def fail_at(number, function, fault, is_meant):
    """Return a function that does the same, but for a call of that number."""
    numbers = itertools.count(1)

    def failing(*args):
        if is_meant(*args) and next(numbers) == number:
            raise fault
        return function(*args)

    return failing


SCARCE = {
    "threads": (
        [threading.Thread],
        "start",
        lambda thread: thread.name.startswith("tfsoftmax"),
        RuntimeError("can't start"),
    ),
    "buffers": (
        [loader, tiles],
        "aligned",
        lambda *_: True,
        MemoryError("on purpose"),
    ),
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
    owners, name, is_meant, fault = SCARCE[what]
    begun = make().fit(X, Y)
    for number in itertools.count(1):
        model = pickle.loads(pickle.dumps(begun))
        failing = fail_at(number, getattr(owners[0], name), fault, is_meant)
        with monkeypatch.context() as patched:
            for owner in owners:
                patched.setattr(owner, name, failing)
            raised = raised_without_trace(lambda m=model: fit(m), fault, model, buffers)
        if raised is None:
            break
        assert raised is fault
    assert number > 1
    fit(begun)
    assert_same_bits(*(getattr(m, "best_estimator_", m) for m in (model, begun)))


# The loader's thread


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
        search(estimator(epochs=2)),
        search(estimator(epochs=2, early_stopping=True)),
    ],
    ids=["epochs", "early stopping", "tol", "search", "search that stops"],
)
def test_no_thread_of_a_loader_outlives_a_fit(model, loader_threads):
    model.fit(X, Y)
    assert getattr(model, "n_iter_", 2) < 50
    assert loader_threads
    assert not [thread for thread in loader_threads if thread.is_alive()]
    assert not tfsoftmax_threads()


@pytest.mark.filterwarnings("ignore:X_val does not seem to be scaled like X")
@pytest.mark.parametrize("fit", ["fit", "partial_fit"])
@pytest.mark.parametrize("held_out", [{}, HELD_OUT], ids=["alone", "held out"])
def test_no_thread_of_a_loader_outlives_a_loss_that_is_not_finite(
    fit, held_out, loader_threads
):
    given = held_out if fit == "fit" else {"classes": [0, 1, 2]}
    with pytest.raises(ValueError, match="non-finite in epoch 1"):
        getattr(estimator(), fit)(X * 1e300, Y, **given)
    assert loader_threads
    assert not [thread for thread in loader_threads if thread.is_alive()]
