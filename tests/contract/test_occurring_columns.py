"""Columns that don't occur are left out of training, and nothing else changes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import sparse

from tests.problems import estimator, mostly_slow, problem
from tfsoftmax import TFSoftmaxGridSearchCV, dual_gap
from tfsoftmax.data import columns as columns_module

N_FEATURES = 40
OCCURRING = np.array([3, 4, 11, 17, 30])


def wide_problem(seed=0):
    """Sparse rows of 40 columns, of which 5 occur, and their labels."""
    few, y, _ = problem(n_samples=120, seed=seed)
    X = np.zeros((len(few), N_FEATURES))
    X[:, OCCURRING] = few * (np.random.default_rng(1).random(few.shape) < 0.6)
    return sparse.csr_array(X), y


def with_all_columns(monkeypatch):
    monkeypatch.setattr(columns_module, "MAX_FRACTION", 0)


def assert_same(clf, other):
    """Up to rounding; and up to `tol`, where that is what ends a solver."""
    close = {"rtol": 1e-9, "atol": 1e-12}
    if clf.optimizer == "lbfgs":
        close = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(clf.coef_, other.coef_, **close)
    np.testing.assert_allclose(clf.intercept_, other.intercept_, **close)
    np.testing.assert_allclose(clf.loss_curve_[-1], other.loss_curve_[-1], **close)


def converging(**parameters):
    many = {"epochs": 200, "tol": 1e-6}
    return estimator(
        **parameters | (many if parameters["optimizer"] == "lbfgs" else {})
    )


FACTORS = np.linspace(0.5, 2, N_FEATURES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "rescale"),
    mostly_slow(
        [("sgd", "standard"), ("lbfgs", FACTORS)],
        *(("sgd", None), ("sgd", FACTORS), ("lbfgs", None), ("lbfgs", "standard")),
        *(("adam", rescale) for rescale in (None, "standard", FACTORS)),
        *(("momentum", rescale) for rescale in (None, "standard", FACTORS)),
    ),
)
def test_the_model_is_the_same(optimizer, rescale, monkeypatch):
    X, y = wide_problem()
    parameters = {"optimizer": optimizer, "rescale": rescale, "alpha": 0.01}
    held_out = {"X_val": X[::3] + 0.5 * sparse.eye_array(40, 40), "y_val": y[::3]}
    clf = converging(**parameters).fit(X, y, **held_out)
    with_all_columns(monkeypatch)
    everything = converging(**parameters).fit(X, y, **held_out)
    assert clf._result.V.shape[-1] == len(OCCURRING) + 1
    assert everything._result.V.shape[-1] == N_FEATURES + 1
    assert clf.coef_.shape == (3, N_FEATURES)
    assert not np.delete(clf.coef_, OCCURRING, axis=1).any()
    assert_same(clf, everything)
    val_losses = [each.history_.val_loss.iloc[-1] for each in (clf, everything)]
    assert val_losses[0] == pytest.approx(val_losses[1], rel=1e-5)


@pytest.mark.slow
def test_early_stopping_holds_out_the_same_rows(monkeypatch):
    X, y = wide_problem()
    parameters = {"early_stopping": True, "epochs": 5, "rescale": "standard"}
    clf = estimator(**parameters).fit(X, y)
    with_all_columns(monkeypatch)
    assert_same(clf, estimator(**parameters).fit(X, y))


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer", mostly_slow(["adam", "lbfgs"], ("sgd",), ("momentum",))
)
def test_a_warm_start_takes_columns_that_occur_later(optimizer, monkeypatch):
    X, y = wide_problem()
    later = sparse.csr_array(np.roll(X.toarray(), 2, axis=1))

    def fit_twice():
        clf = converging(optimizer=optimizer, alpha=0.01, warm_start=True)
        return clf.fit(X, y).fit(later, y)

    clf = fit_twice()
    assert clf._result.columns.tolist() == sorted({*OCCURRING, *(OCCURRING + 2)})
    with_all_columns(monkeypatch)
    assert_same(clf, fit_twice())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "l1_ratio"),
    mostly_slow([("sgd", 0.5)], ("sgd", 0.0), ("adam", 0.0), ("adam", 0.5)),
)
def test_a_stream_takes_columns_that_occur_later(optimizer, l1_ratio, monkeypatch):
    X, y = wide_problem()
    parts = [X, sparse.csr_array(np.roll(X.toarray(), 2, axis=1)), X.toarray()]

    def stream():
        clf = estimator(optimizer=optimizer, alpha=0.01, l1_ratio=l1_ratio)
        for part in parts:
            clf.partial_fit(part, y, classes=[0, 1, 2])
            clf = pickle.loads(pickle.dumps(clf))
        return clf

    clf = stream()
    with_all_columns(monkeypatch)
    assert_same(clf, stream())


def test_the_dual_gap_is_that_of_all_columns():
    X, y = wide_problem()
    clf = converging(optimizer="lbfgs", alpha=0.01, rescale="standard").fit(X, y)
    assert clf.dual_gap_ == pytest.approx(dual_gap(clf, X, y), rel=1e-6)


@pytest.mark.slow
def test_a_search_scores_as_with_all_columns(monkeypatch):
    X, y = wide_problem()
    grid = {"alpha": [0.01, 0.1], "learning_rate": [0.1, 0.5]}
    search = TFSoftmaxGridSearchCV(estimator(), grid, cv=3).fit(X, y)
    with_all_columns(monkeypatch)
    everything = TFSoftmaxGridSearchCV(estimator(), grid, cv=3).fit(X, y)
    for name in ("split0_test_score", "mean_test_score"):
        np.testing.assert_array_equal(
            search.cv_results_[name], everything.cv_results_[name]
        )
    assert_same(search.best_estimator_, everything.best_estimator_)
