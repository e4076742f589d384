"""What "auto" stands for, parameter by parameter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from tests.problems import mostly_slow, problem
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.fitting import prepare
from tfsoftmax.solvers.automatic import automatic_rescale

X, Y, S = problem()


def settings(X=X, y=Y, sample_weight=None, n_epochs=None, **parameters):
    clf = TFSoftmaxClassifier(random_state=0, **parameters)
    (chosen,) = prepare([clf], X, y, sample_weight, n_epochs=n_epochs).settings
    return chosen


# The penalty


def test_the_penalty_is_that_of_logistic_regression():
    assert settings().alpha == 1 / len(X)
    assert settings(sample_weight=S).alpha == pytest.approx(1 / S.sum())
    by_class = settings(sample_weight=S, class_weight={0: 3.0}).alpha
    assert by_class == pytest.approx(1 / (S * np.where(Y == 0, 3, 1)).sum())
    balanced = settings(sample_weight=S, class_weight="balanced").alpha
    assert balanced == pytest.approx(1 / S.sum())


def test_the_penalty_counts_the_rows_that_are_trained_on():
    clf = TFSoftmaxClassifier(early_stopping=True, random_state=0)
    prepared = prepare([clf], X, Y, S)
    trained_on = S[prepared.dataset.index].sum()
    assert prepared.settings[0].alpha == pytest.approx(1 / trained_on)


# Epochs, and the schedule


@pytest.mark.parametrize(
    ("n", "batch_size", "epochs"),
    [(203, 100, 334), (203, 203, 1000), (200, 2, 10), (200, 1, 10), (101, 100, 500)],
)
def test_there_are_ten_epochs_and_a_thousand_steps_at_least(n, batch_size, epochs):
    assert settings(X[:n], Y[:n], batch_size=batch_size).epochs == epochs


def test_the_schedule_falls_where_adam_has_the_rate_that_is_chosen():
    assert settings().learning_rate_schedule == "cosine"
    assert settings(learning_rate=0.1).learning_rate_schedule == "constant"
    assert settings(optimizer="sgd").learning_rate_schedule == "constant"
    given = settings(optimizer="sgd", learning_rate_schedule="adaptive")
    assert given.learning_rate_schedule == "adaptive"


def test_a_stream_has_one_epoch_at_a_constant_rate_and_no_penalty():
    chosen = settings(n_epochs=1)
    assert (chosen.epochs, chosen.learning_rate, chosen.alpha) == (1, 0.01, 0.0)
    assert chosen.learning_rate_schedule == "constant"
    assert chosen.rescale == "standard"


def test_lbfgs_has_the_objective_of_logistic_regression():
    chosen = settings(optimizer="lbfgs")
    assert chosen.rescale == 1.0
    assert chosen.alpha == 1 / len(X)
    assert chosen.epochs >= 10_000


# The rate of Adam


@pytest.mark.parametrize("factor", [1e-6, 1, 1e6])
def test_adams_rate_is_smaller_where_rows_are_long(factor):
    rows = np.tile(X, 20)
    chosen = settings(rows * factor)
    assert chosen.rescale == "standard" if factor > 1e-6 else 1.0
    if factor > 1e-6:
        assert chosen.learning_rate == pytest.approx(0.15 / np.sqrt(100))
    else:
        assert chosen.learning_rate == 0.05


def test_adams_rate_goes_by_weighted_rows():
    repeated = np.repeat(np.arange(len(X)), 1 + np.arange(len(X)) % 3)
    weights = 1.0 + np.arange(len(X)) % 3
    wide = np.tile(X, 20)
    by_weight = settings(wide, sample_weight=weights, rescale=0.1).learning_rate
    by_repetition = settings(wide[repeated], Y[repeated], rescale=0.1).learning_rate
    assert by_weight == pytest.approx(by_repetition, rel=1e-12)


@pytest.mark.parametrize("rescale", [0.3, "standard", np.linspace(0.1, 1, 5)])
def test_adams_rate_is_the_same_for_sparse_rows(rescale):
    rows = X * (X > 0) * 50
    dense = settings(rows, rescale=rescale)
    chosen = settings(sparse.csr_array(rows), rescale=rescale)
    assert chosen.learning_rate == pytest.approx(dense.learning_rate, rel=1e-9)


# The scaling


def rescale(rows, optimizer="adam", weights=None, intercept=True):
    y = np.zeros(rows.shape[0], np.int32)
    dataset = Dataset(rows, y, weights)
    return automatic_rescale(dataset, optimizer, fit_intercept=intercept)


def test_bytes_are_brought_to_one():
    rows = np.array([[0, 10], [200, 3]], np.uint8)
    assert rescale(rows) == 1 / 200
    assert rescale(sparse.csr_array(rows)) == 1 / 200
    assert rescale(rows > 5) == rescale(rows * np.uint8(0)) == 1.0
    assert rescale(rows, "lbfgs") == 1.0


def test_rows_beyond_one_are_standardised_and_others_are_left_alone():
    rows = np.array([[0, 0.5], [-1, 1]])
    assert rescale(rows) == 1.0
    assert rescale(rows * 1.01) == rescale(rows.astype(int) * 2) == "standard"
    assert rescale(sparse.csr_array(rows * 9)) == 1.0
    assert rescale(rows * 9, "lbfgs") == 1.0


def test_without_an_intercept_features_are_scaled_and_not_centred():
    rows = np.array([[3.0, 0, 0.5], [-4, 0, 0.5]])
    factors = rescale(rows, intercept=False)
    np.testing.assert_allclose(factors, [1 / np.sqrt(12.5), 1, 2])
    assert rescale(rows / 4, intercept=False) == 1.0
    clf = TFSoftmaxClassifier(fit_intercept=False, random_state=0).fit(X * 9, Y)
    assert not clf.intercept_.any()


def test_rows_without_weight_do_not_count():
    rows = np.array([[0, 10], [200, 3]], np.uint8)
    assert rescale(rows, weights=np.array([2.0, 0.0])) == 1 / 10
    assert rescale(rows / 10, weights=np.array([2.0, 0.0])) == 1.0


# Fitted attributes


def test_what_was_chosen_is_a_fitted_attribute():
    clf = TFSoftmaxClassifier(batch_size=10, random_state=0).fit(X, Y)
    assert clf.learning_rate_ == 0.05
    assert clf.learning_rate_schedule_ == "cosine"
    assert clf.epochs_ == clf.n_iter_ == 48
    assert clf.alpha_ == 1 / len(X)
    assert clf.rescale_ == "standard"
    assert clf.learning_rate == clf.epochs == clf.alpha == clf.rescale == "auto"
    clf.set_params(optimizer="lbfgs", rescale=np.arange(1.0, 6)).fit(X, Y)
    assert not hasattr(clf, "learning_rate_")
    assert clf.rescale_.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_stream_keeps_the_scaling_of_its_first_rows():
    clf = TFSoftmaxClassifier(random_state=0)
    clf.partial_fit(X[:50] * 9, Y[:50], classes=[0, 1, 2])
    mean = clf.mean_
    clf.partial_fit(X[50:] / 100, Y[50:])
    assert clf.rescale_ == "standard"
    np.testing.assert_array_equal(clf.mean_, mean)


def test_a_warm_start_chooses_anew_but_for_the_scaling():
    clf = TFSoftmaxClassifier(50, warm_start=True, random_state=0)
    clf.fit(X * 9, Y)
    clf.fit(X[:100], Y[:100])
    assert clf.alpha_ == 1 / 100
    assert clf.rescale_ == "standard"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "grid"),
    mostly_slow(
        [({}, {"alpha": ["auto", 0.1], "learning_rate": ["auto", 0.01]})],
        ({"optimizer": "sgd"}, {"learning_rate": ["auto", 0.3], "alpha": ["auto"]}),
        (
            {"optimizer": "nesterov"},
            {"momentum": [0.5, 0.9], "class_weight": [None, "balanced", {0: 3.0}]},
        ),
        ({}, {"rescale": ["auto", None], "epochs": ["auto", 5]}),
        ({"early_stopping": True}, {"learning_rate_schedule": ["auto", "constant"]}),
    ),
)
def test_a_fused_search_chooses_what_separate_fits_choose(parameters, grid):
    clf = TFSoftmaxClassifier(20, random_state=0, **parameters)
    rows = X * [1, 10, 0.1, 2, 1]
    fused, alone = (
        search(clf, grid, cv=2).fit(rows, Y, sample_weight=S)
        for search in (TFSoftmaxGridSearchCV, GridSearchCV)
    )
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(fused.cv_results_[name], alone.cv_results_[name])
    best, other = fused.best_estimator_, alone.best_estimator_
    assert best.alpha_ == other.alpha_
    assert best.learning_rate_ == pytest.approx(other.learning_rate_, rel=1e-6)
    np.testing.assert_allclose(best.coef_, other.coef_, rtol=1e-6, atol=1e-9)
