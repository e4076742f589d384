"""The records that go into a solver and come out of it, and what they refuse."""

from __future__ import annotations

import math
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.problems import estimator, problem, settings_of, solver_problem
from tfsoftmax.engine.features import Scaling
from tfsoftmax.solvers import result
from tfsoftmax.solvers.result import (
    Result,
    append_epochs,
    check_epoch,
    check_held_out,
)
from tfsoftmax.solvers.schedules import Progress

X, Y, S = problem()
SETTINGS = settings_of(estimator(learning_rate=5.0))
METRICS = {"loss": 1.0, "accuracy": 0.5, "learning_rate": 5.0}


def test_a_new_schedule_is_all_that_starts_over():
    progress = Progress(epochs=3, n_seen=600, cuts=1, best=0.4, stale=2)
    trained = Result(
        np.ones((1, 3, 6)),
        (),
        {"loss": [0.6, 0.5, 0.4]},
        3,
        None,
        progress,
        SETTINGS,
        Scaling(),
        np.random.RandomState(0),
        "epochs",
    )
    renewed = trained.with_new_schedule()
    assert renewed.progress == replace(progress, epochs=0)
    assert replace(renewed, progress=progress) == trained


@pytest.mark.parametrize("per_model", [False, True])
def test_a_problem_for_some_models_has_their_settings_and_weights(per_model):
    weights = np.stack([S, 2 * S, 3 * S]) if per_model else S
    rates = [0.1, 0.2, 0.3]
    whole = solver_problem([{"learning_rate": rate} for rate in rates], X, Y, weights)
    part = whole.for_models(slice(1, 3))
    assert [s.learning_rate for s in part.settings] == rates[1:]
    expected = weights[1:] if per_model else weights
    np.testing.assert_array_equal(part.dataset.weights, expected)
    assert part.n_classes == whole.n_classes == 3
    rest = replace(part, dataset=whole.dataset, settings=whole.settings)
    assert rest == whole


# The history


def test_epochs_are_appended_to_each_quantity():
    history = append_epochs({}, [{"loss": 3.0, "seconds": 1.0}])
    assert history == {"loss": [3.0], "seconds": [1.0]}
    longer = append_epochs(history, [{"loss": 2.0, "seconds": 0.5}] * 2)
    assert longer == {"loss": [3.0, 2.0, 2.0], "seconds": [1.0, 0.5, 0.5]}
    assert history == {"loss": [3.0], "seconds": [1.0]}
    assert append_epochs(history, []) == history


def test_what_is_measured_in_some_epochs_only_is_nan_in_the_others():
    history = append_epochs({"loss": [3.0]}, [{"loss": 2.0, "val_loss": 2.5}])
    history = append_epochs(history, [{"loss": 1.0}])
    assert list(history) == ["loss", "val_loss"]
    np.testing.assert_array_equal(history["val_loss"], [math.nan, 2.5, math.nan])


def test_an_unmeasured_epoch_has_nan_in_a_classifiers_history():
    clf = estimator(epochs=2).fit(X, Y, X_val=X, y_val=Y).partial_fit(X, Y)
    assert clf.history_.val_loss.isna().tolist() == [False, False, True]
    assert clf.history_.index.tolist() == [1, 2, 3]
    assert clf.n_iter_ == 1


def test_the_history_of_a_stream_has_its_last_epochs(monkeypatch):
    monkeypatch.setattr(result, "MAX_STREAM_HISTORY", 5)
    clf = estimator(epochs=4, warm_start=True).fit(X, Y)
    losses = list(clf.loss_curve_)
    for n in range(5, 12):
        losses.append(clf.partial_fit(X, Y).loss_curve_[-1])
        assert clf.history_.index.tolist() == list(range(n - 4, n + 1))
        assert clf.history_.loss.tolist() == clf.loss_curve_ == losses[-5:]
    assert clf.fit(X, Y).history_.index.tolist() == list(range(7, 16))  # fit keeps all
    assert clf.set_params(warm_start=False).fit(X, Y).history_.index[0] == 1


def test_the_pickle_of_a_stream_does_not_grow(monkeypatch):
    monkeypatch.setattr(result, "MAX_STREAM_HISTORY", 10)
    clf = estimator().partial_fit(X, Y, classes=[0, 1, 2])
    for _ in range(15):
        clf.partial_fit(X, Y)
    size = len(pickle.dumps(clf))
    for _ in range(15):
        clf.partial_fit(X, Y)
    assert len(pickle.dumps(clf)) == pytest.approx(size, abs=10)


# Numbers that are too large


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_an_error_naming_the_epoch(loss):
    message = "loss became non-finite in epoch 4. Lower learning_rate (now 5) or scale"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_epoch(4, 1.0, np.dtype(np.float64), METRICS | {"loss": loss})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_whose_square_overflows_are_an_error(dtype):
    limit = math.sqrt(np.finfo(dtype).max)
    check_epoch(4, limit / 2, np.dtype(dtype), METRICS)
    for largest in (2 * limit, math.inf, math.nan):
        with pytest.raises(ValueError, match="weights became too large in epoch 4"):
            check_epoch(4, largest, np.dtype(dtype), METRICS)


def test_a_penalty_is_named_where_there_is_one():
    metrics = METRICS | {"loss": math.nan}
    message = "Lower learning_rate (now 5) or scale"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_epoch(1, 1.0, np.dtype(np.float64), metrics)


def test_a_loss_on_held_out_rows_that_is_not_finite_is_an_error():
    check_held_out(METRICS)
    check_held_out(METRICS | {"val_loss": 2.0})
    metrics = METRICS | {"val_loss": math.inf}
    with pytest.raises(ValueError, match=r"held-out rows is not finite\. Scale X_val"):
        check_held_out(metrics)
    with pytest.raises(ValueError, match=r"held-out rows is not finite\. Scale X_val"):
        check_epoch(1, 1.0, np.dtype(np.float64), metrics)


@pytest.mark.filterwarnings("ignore:X_val does not seem to be scaled like X")
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_held_out_rows_on_another_scale_are_an_error_of_fit(optimizer):
    clf = estimator(optimizer=optimizer, alpha=0.001, learning_rate=1.0)
    X_val = np.sign(X) * 3e38  # which float32 holds
    with pytest.raises(ValueError, match="loss on the held-out rows is not finite"):
        clf.fit(X.astype(np.float32), Y, X_val=X_val, y_val=Y)


def test_features_too_large_for_the_loss_are_an_error_of_fit():
    rows = X.astype(np.float32) * np.float32(1e30)
    with pytest.raises(ValueError, match=r"loss became non-finite in epoch 1\."):
        estimator().fit(rows, Y)


def test_steps_too_long_for_the_weights_are_an_error_of_fit():
    with pytest.raises(ValueError, match="weights became too large in epoch 1"):
        # The one step comes after the loss is measured.
        estimator(batch_size=len(X), learning_rate=1e300, epochs=1).fit(X, Y)
