"""The epoch loop for one model, against NumPy in float64."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sklearn.utils import check_random_state

from tests import reference
from tests.interruptions import interrupt_in_epoch
from tests.problems import classic, mostly_slow, problem, settings_of
from tfsoftmax.data import batches
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.solvers import sgd


def assert_relatively_close(actual, expected, rtol):
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=rtol * abs(expected).max()
    )


def orders(n_samples, epochs, *, seed=None):
    if seed is None:
        return [np.arange(n_samples)] * epochs
    rng = check_random_state(seed)
    return [rng.permutation(n_samples) for _ in range(epochs)]


# A program is compiled for each; a quick case for each value will do.
KINDS = mostly_slow(
    [
        (np.float64, 3, True),
        (np.float64, 2, False),
        (np.float32, 10, True),
        (np.uint8, 2, True),
    ],
    *((np.float64, n, True) for n in (2, 10)),
    *((np.float32, n, True) for n in (2, 3)),
    *((np.uint8, n, True) for n in (3, 10)),
    *((np.float64, n, False) for n in (3, 10)),
    *((dtype, n, False) for dtype in (np.float32, np.uint8) for n in (2, 3, 10)),
)


@pytest.mark.parametrize(("dtype", "n_classes", "fit_intercept"), KINDS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_coefficients_equal_the_numpy_reference(
    dtype, n_classes, fit_intercept, weighted, shuffle
):
    rtol = 1e-10 if dtype == np.float64 else 1e-4
    X, y, s = problem(333, 20, n_classes, dtype=dtype)
    s = s if weighted else None
    rescale = 1 / 255 if dtype == np.uint8 else 1.0
    clf = classic(
        batch_size=50,
        learning_rate=0.3,
        epochs=4,
        fit_intercept=fit_intercept,
        rescale=rescale,
        shuffle=shuffle,
        random_state=7,
    ).fit(X, y, sample_weight=s)
    coef, intercept, history = reference.fit(
        X,
        y,
        n_classes,
        orders(len(X), 4, seed=7 if shuffle else None),
        batch_size=50,
        learning_rate=0.3,
        sample_weight=s,
        fit_intercept=fit_intercept,
        rescale=rescale,
    )
    assert clf.coef_.dtype == (np.float64 if dtype == np.float64 else np.float32)
    assert clf.intercept_.dtype == clf.coef_.dtype
    assert_relatively_close(clf.coef_, coef, rtol)
    assert_relatively_close(clf.intercept_, intercept, rtol)
    np.testing.assert_allclose(clf.history_[["loss", "accuracy"]], history, rtol=rtol)


@pytest.mark.parametrize(
    "batch_size", mostly_slow([1, 150], (32,), (33,), (100,), (1000,))
)
def test_batches_larger_than_a_micro_batch_are_added_up(batch_size, monkeypatch):
    monkeypatch.setattr(batches, "MAX_MICRO_BATCH", 32)
    X, y, s = problem(317, 5, 4)
    clf = classic(batch_size, 0.3, 3, random_state=1).fit(X, y, s)
    coef, intercept, _ = reference.fit(
        X,
        y,
        4,
        orders(len(X), 3, seed=1),
        batch_size=batch_size,
        learning_rate=0.3,
        sample_weight=s,
    )
    assert_relatively_close(clf.coef_, coef, 1e-10)
    assert_relatively_close(clf.intercept_, intercept, 1e-10)


def test_a_batch_of_all_rows_takes_the_gradient_of_the_objective():
    X, y, s = problem(60, 6, 3)

    def objective(V):
        losses = reference.cross_entropy(X, y, V[:, :-1], V[:, -1], 3)
        return s @ losses / s.sum()

    step = 1e-6
    numeric = np.zeros((3, 7))
    for index in np.ndindex(numeric.shape):
        V = np.zeros((3, 7))
        V[index] = step
        numeric[index] = (objective(V) - objective(-V)) / (2 * step)
    clf = classic(len(X), learning_rate=1.0, epochs=1).fit(X, y, s)
    np.testing.assert_allclose(clf.coef_, -numeric[:, :-1], atol=1e-9)
    np.testing.assert_allclose(clf.intercept_, -numeric[:, -1], atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "batch_size"),
    mostly_slow(
        [(np.uint8, 7), (np.float64, 400)],
        *[(np.uint8, 40), (np.float32, 400), (np.float64, 7)],
        *[(np.uint8, 400), (np.float32, 7), (np.float64, 40), (np.float32, 40)],
    ),
)
def test_chunk_size_changes_no_bit(dtype, batch_size, monkeypatch):
    X, y, s = problem(333, 20, 3, dtype=dtype)
    rescale = 0.01 if dtype == np.uint8 else None
    monkeypatch.setattr(batches, "MAX_MICRO_BATCH", 64)

    def fit(max_rows):
        monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", max_rows)
        clf = classic(batch_size, epochs=3, rescale=rescale, random_state=0).fit(
            X, y, s, X_val=X[:50], y_val=y[:50]
        )
        return clf.coef_, clf.intercept_, clf.history_.drop(columns="seconds").values

    whole = fit(8192)
    for max_rows in (1, 170):
        for one, other in zip(whole, fit(max_rows), strict=True):
            np.testing.assert_array_equal(one, other)


def test_two_fits_give_the_same_bits(digits):
    X, y = digits
    one, other = (classic(random_state=3).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert one.loss_curve_ == other.loss_curve_
    different = classic(random_state=4).fit(X, y)
    assert (one.coef_ != different.coef_).any()


@pytest.mark.slow
def test_two_processes_give_the_same_bits():
    code = (
        "from sklearn.datasets import load_digits\n"
        "from tfsoftmax import TFSoftmaxClassifier\n"
        "X, y = load_digits(return_X_y=True)\n"
        "for dtype in ('float64', 'float32', 'uint8'):\n"
        "    clf = TFSoftmaxClassifier(rescale=1 / 16, random_state=3)\n"
        "    print(clf.fit(X.astype(dtype), y).coef_.tobytes().hex())\n"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    one, other = (run.communicate()[0] for run in runs)
    assert len(one) > 1000
    assert one == other


def test_the_order_of_rows_is_the_generators_permutation():
    theirs, ours = np.random.RandomState(5), np.random.RandomState(5)
    for _ in range(2):
        order = Dataset(np.zeros((12_345, 1)), np.zeros(12_345)).draw_order(ours)
        np.testing.assert_array_equal(order, theirs.permutation(12_345))
        assert order.dtype == np.int32
    assert pickle.dumps(ours) == pickle.dumps(theirs)


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_generator_afterwards_has_drawn_an_order_for_each_epoch(epochs):
    X, y, _ = problem(300, 3, 3)
    clf = classic(20, 0.1, epochs, random_state=5).fit(X, y)
    expected = np.random.RandomState(5)
    for _ in range(epochs):
        expected.permutation(300)
    assert clf._result.rng.randint(10**9) == expected.randint(10**9)


@pytest.mark.parametrize(
    ("name", "used_with"),
    [
        ("momentum", [{"optimizer": "momentum"}, {"optimizer": "nesterov"}]),
        ("power_t", [{"learning_rate_schedule": "invscaling"}]),
        ("l1_ratio", [{"alpha": 0.1}]),
        (
            "n_iter_no_change",
            [
                {"tol": 0.1},
                {"tol": 0.1, "learning_rate_schedule": "adaptive"},
                {"early_stopping": True},
                {"learning_rate_schedule": "adaptive"},
            ],
        ),
    ],
)
def test_settings_that_have_no_effect_make_no_difference_and_others_do(name, used_with):
    def differ(**others):
        one, other = (
            sgd._effective(settings_of(classic(**others | {name: value})))
            for value in ((2, 3) if name == "n_iter_no_change" else (0.2, 0.3))
        )
        return one != other

    assert not differ()
    for others in used_with:
        assert differ(**others)


def test_the_seconds_of_all_epochs_are_no_more_than_have_passed(digits):
    began = time.perf_counter()
    clf = classic(epochs=3).fit(*digits)
    passed = time.perf_counter() - began
    assert (clf.history_["seconds"] > 0).all()
    assert clf.history_["seconds"].sum() < passed


def test_unshuffled_rows_draw_nothing():
    X, y, _ = problem(300, 3, 3)
    clf = classic(20, 0.1, shuffle=False, random_state=5).fit(X, y)
    assert clf._result.rng.randint(10**9) == np.random.RandomState(5).randint(10**9)


@settings(max_examples=15)
@given(
    repeats=st.lists(st.integers(0, 4), min_size=12, max_size=12),
    seed=st.integers(0, 100),
)
@example(repeats=[0] * 6 + [1] * 6, seed=0)
def test_weights_equal_repetition_where_a_batch_holds_all_rows(repeats, seed):
    X, y, _ = problem(12, 4, 3, seed=seed)
    y[:3] = y[6:9] = np.arange(3)  # so that no class is rare
    repeated = np.repeat(np.arange(12), repeats)
    assume(len(np.unique(y[repeated])) == 3)
    clf = classic(100, 0.5, random_state=0)
    weighted = clf.fit(X, y, sample_weight=repeats).coef_
    np.testing.assert_allclose(
        clf.fit(X[repeated], y[repeated]).coef_, weighted, rtol=1e-9, atol=1e-12
    )


def test_only_the_ratios_of_weights_matter():
    X, y, s = problem(100, 5, 3)
    clf = classic(30, random_state=0)
    one = clf.fit(X, y, s).coef_
    for factor in (1e-300, 1e-3, 7.0, 1e300):
        other = clf.fit(X, y, s * factor).coef_
        np.testing.assert_allclose(other, one, rtol=1e-12)


def test_equal_weights_are_no_weights():
    X, y, _ = problem(100, 5, 3)
    clf = classic(30, random_state=0)
    plain = clf.fit(X, y).coef_
    np.testing.assert_array_equal(clf.fit(X, y, np.ones(100)).coef_, plain)


def test_order_of_classes_does_not_matter():
    X, y, _ = problem(200, 5, 4)
    renamed = np.array(["d", "b", "a", "c"])[y]
    one = classic(30, random_state=0).fit(X, y)
    other = classic(30, random_state=0).fit(X, renamed)
    np.testing.assert_allclose(
        other.coef_, one.coef_[[2, 1, 3, 0]], rtol=1e-10, atol=1e-14
    )


def test_rescaling_equals_scaling_the_features():
    X, y, _ = problem(200, 5, 3)
    inside = classic(rescale=0.25, random_state=0).fit(X, y)
    outside = classic(random_state=0).fit(X * 0.25, y)
    np.testing.assert_allclose(inside.coef_, outside.coef_ * 0.25, rtol=1e-12)
    np.testing.assert_allclose(
        inside.decision_function(X), outside.decision_function(X * 0.25), rtol=1e-10
    )


def test_held_out_rows_are_measured_after_each_epoch():
    X, y, _ = problem(300, 5, 3)
    X_val, y_val, _ = problem(70, 5, 3, seed=1)
    clf = classic(30, 0.3, 3, random_state=0)
    history = clf.fit(X, y, X_val=X_val, y_val=y_val).history_
    for epoch in (1, 2, 3):
        shorter = classic(30, 0.3, epoch, random_state=0).fit(X, y)
        losses = reference.cross_entropy(
            X_val, y_val, shorter.coef_, shorter.intercept_, 3
        )
        assert history.val_loss[epoch] == pytest.approx(losses.mean(), rel=1e-12)
        assert history.val_accuracy[epoch] == pytest.approx(shorter.score(X_val, y_val))


def test_measuring_held_out_rows_changes_nothing():
    X, y, _ = problem(300, 5, 3)
    clf = classic(random_state=0)
    plain = clf.fit(X, y).coef_
    np.testing.assert_array_equal(clf.fit(X, y, X_val=X, y_val=y).coef_, plain)


@pytest.mark.parametrize("interrupted_epoch", [2, 5])
def test_interrupted_training_keeps_the_last_finished_epoch(
    interrupted_epoch, monkeypatch
):
    X, y, _ = problem(300, 3, 3)
    expected = classic(
        learning_rate=0.1, epochs=interrupted_epoch - 1, random_state=0
    ).fit(X, y)
    interrupt_in_epoch(interrupted_epoch, monkeypatch)
    clf = classic(learning_rate=0.1, random_state=0)
    with pytest.warns(UserWarning, match=f"interrupted in epoch {interrupted_epoch}"):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.coef_, expected.coef_)
    assert clf.n_iter_ == interrupted_epoch - 1
    assert clf.score(X, y) == expected.score(X, y)


def test_training_interrupted_before_any_epoch_leaves_the_estimator_as_it_was(
    monkeypatch,
):
    X, y, _ = problem(300, 3, 3)
    clf = classic(random_state=0).fit(X, y)
    coef = clf.coef_.copy()
    interrupt_in_epoch(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:, :2], y)
    np.testing.assert_array_equal(clf.coef_, coef)
    assert clf.n_features_in_ == 3
