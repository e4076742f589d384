"""The estimator inside scikit-learn: its checks, its searches, its pipelines."""

from __future__ import annotations

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.problems import classic
from tfsoftmax import TFSoftmaxClassifier

# Of the classic recipe a variant is quick; the defaults are what must pass.
SHORT = classic(7, epochs=3, fit_intercept=False)
MORE_VARIANTS = [
    TFSoftmaxClassifier(epochs=100, fit_intercept=False, optimizer="nesterov"),
    TFSoftmaxClassifier(epochs=100, optimizer="sgd"),
    TFSoftmaxClassifier(optimizer="lbfgs"),
    TFSoftmaxClassifier(epochs=100, alpha=0.01, l1_ratio=0.5),
    TFSoftmaxClassifier(epochs=100, class_weight="balanced"),
    TFSoftmaxClassifier(epochs=100, early_stopping=True),
]
PARTIAL_FIT_CHECKS = [
    "check_estimators_partial_fit_n_features",
    "check_fit_score_takes_y",
    "check_n_features_in_after_fitting",
]


def failures_of_a_feature(estimator):
    """Name the checks that a feature can't pass.

    Three call partial_fit, which is refused, as by SGDClassifier, with early stopping
    or with balanced classes. One wants class weights to rule what is predicted, where
    early stopping listens to held-out rows, which they don't weigh, and where a model
    without an intercept can't predict one class for rows on all sides of 0.
    """
    is_refused = estimator.early_stopping or estimator.class_weight
    reason = "partial_fit is refused, as that of SGDClassifier"
    failures = dict.fromkeys(PARTIAL_FIT_CHECKS if is_refused else [], reason)
    if estimator.early_stopping:
        failures["check_class_weight_classifiers"] = "stops by rows without the weights"
    if not estimator.fit_intercept:
        failures["check_class_weight_classifiers"] = "at 0, all classes are as probable"
    return failures


def failures_of_a_short_fit(estimator):
    """Name the checks that three epochs of batches of 7 can't pass.

    One wants class weights of 1000 and 0.0001 to rule what is predicted, on 50 rows.
    The others compare 15 rows that have weights with the same rows repeated, which are
    more batches of 7, of other rows.
    """
    repeated = "repeated rows fill more batches than weighted ones"
    return {
        "check_class_weight_classifiers": "needs a thousand steps",
        "check_sample_weight_equivalence_on_dense_data": repeated,
        "check_sample_weight_equivalence_on_sparse_data": repeated,
    }


# The data that the checks fit to are in part too wild for any rate.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([TFSoftmaxClassifier()])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([SHORT], expected_failed_checks=failures_of_a_short_fit)
def test_scikit_learns_checks_pass_after_a_short_fit(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(MORE_VARIANTS, expected_failed_checks=failures_of_a_feature)
def test_scikit_learns_checks_pass_for_each_feature(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def few_digits(mnist):
    X, y = mnist
    return X[:3000], y[:3000]


def recipe(**parameters):
    return classic(
        learning_rate=0.1, epochs=3, rescale=1 / 255, random_state=0, **parameters
    )


def test_a_pipeline_is_its_steps(few_digits):
    X, y = few_digits
    pipe = make_pipeline(StandardScaler(), recipe().set_params(rescale=None))
    pipe.fit(X[:2000], y[:2000])
    scaler = StandardScaler().fit(X[:2000])
    alone = recipe().set_params(rescale=None).fit(scaler.transform(X[:2000]), y[:2000])
    np.testing.assert_array_equal(pipe[-1].coef_, alone.coef_)
    assert pipe.score(X[2000:], y[2000:]) > 0.8


@pytest.mark.slow
def test_grid_search_in_two_processes_finds_the_better_rate(few_digits):
    X, y = few_digits
    grid = {"learning_rate": [1e-4, 0.1], "batch_size": [50, 100]}
    # New workers: those of a test minutes ago may be about to end for idleness.
    get_reusable_executor().shutdown()
    search = GridSearchCV(recipe(), grid, cv=3, n_jobs=2).fit(X, y)
    assert search.best_params_["learning_rate"] == 0.1
    assert search.best_score_ > 0.83
    best = recipe().set_params(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.best_estimator_.coef_, best.coef_)


@pytest.mark.slow
def test_grid_search_reaches_into_a_pipeline(few_digits):
    X, y = few_digits
    pipe = make_pipeline(StandardScaler(), recipe().set_params(rescale=None))
    grid = {
        "standardscaler__with_mean": [True, False],
        "tfsoftmaxclassifier__epochs": [1, 4],
    }
    search = GridSearchCV(pipe, grid, cv=3).fit(X, y)
    assert search.best_params_["tfsoftmaxclassifier__epochs"] == 4
    assert search.cv_results_["mean_test_score"].shape == (4,)


def test_cross_val_score_is_fitting_and_scoring_by_hand(few_digits):
    X, y = few_digits
    folds = StratifiedKFold(3)
    scores = cross_val_score(recipe(), X, y, cv=folds)
    by_hand = [
        recipe().fit(X[train], y[train]).score(X[test], y[test])
        for train, test in folds.split(X, y)
    ]
    assert scores.tolist() == by_hand
    assert min(scores) > 0.8


def test_cross_val_predict_returns_out_of_fold_probabilities(few_digits):
    X, y = few_digits
    folds = StratifiedKFold(3)
    p = cross_val_predict(recipe(), X, y, cv=folds, method="predict_proba")
    assert p.shape == (len(X), 10)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    train, test = next(folds.split(X, y))
    expected = recipe().fit(X[train], y[train]).predict_proba(X[test])
    np.testing.assert_array_equal(p[test], expected)


def test_cross_validation_trains_every_epoch_of_a_clone(few_digits):
    """Keras' wrapper loses its fit arguments here and trains a single epoch."""
    assert clone(recipe()).fit(*few_digits).n_iter_ == 3


@pytest.mark.slow
def test_the_classic_recipe_reaches_its_accuracy(mnist, mnist_test):
    """TensorFlow 1's graph reaches 0.854 after one epoch and 0.903 after ten."""
    clf = classic(rescale=1 / 255, random_state=0)
    clf.fit(*mnist, X_val=mnist_test[0], y_val=mnist_test[1])
    assert clf.history_.val_accuracy[1] == pytest.approx(0.854, abs=0.005)
    assert clf.history_.val_accuracy[10] == pytest.approx(0.903, abs=0.003)
    assert clf.score(*mnist_test) == pytest.approx(clf.history_.val_accuracy[10])
