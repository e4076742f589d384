"""Scoring the candidates of a search: as scikit-learn scores each of them alone."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import accuracy_score, confusion_matrix, make_scorer
from sklearn.pipeline import make_pipeline

from tests.problems import estimator
from tests.searches import (
    OURS_AND_THEIRS,
    PIPELINES_ROUTE_TO_SCORE,
    RATES,
    TWO_SCORES,
    S,
    X,
    Y,
    accuracy_and_size,
    both,
)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [[0, 1], ["ham", "spam"], [False, True]])
def test_results_equal_grid_search_for_two_classes(labels):
    y = np.array(labels)[(Y > 0).astype(int)]
    scoring = [*TWO_SCORES, "roc_auc", "average_precision", "balanced_accuracy"]
    if labels == ["ham", "spam"]:
        scoring.remove("average_precision")
    both(estimator(), {"learning_rate": RATES}, y=y, scoring=scoring)


def test_one_score_by_name_equals_grid_search():
    for scoring in (None, "accuracy", "neg_log_loss", "f1_macro"):
        ours, _ = both(
            estimator(), {"learning_rate": RATES}, scoring=scoring, refit=True
        )
        assert not ours.multimetric_


def number_of_rows(estimator, X, y):
    return len(X)


@pytest.mark.parametrize(
    "scoring",
    [
        ("accuracy", "neg_log_loss"),
        {"accuracy": "accuracy", "mine": make_scorer(accuracy_score)},
        {"accuracy": number_of_rows, "neg": "neg_brier_score"},
        accuracy_and_size,
    ],
)
@pytest.mark.parametrize("refit", ["accuracy", False])
def test_several_scores_equal_grid_search(scoring, refit):
    ours, _ = both(
        estimator(),
        {"learning_rate": RATES},
        scoring=scoring,
        refit=refit,
        return_train_score=True,
    )
    assert ours.multimetric_


def test_a_callable_may_choose_the_best():
    ours, _ = both(
        estimator(),
        {"learning_rate": RATES},
        refit=lambda results: int(results["mean_test_accuracy"].argmin()),
    )
    assert ours.best_index_ == 0
    assert not hasattr(ours, "best_score_")


def test_ties_share_the_smallest_rank():
    grid = {"alpha": [0, 1e-15], "class_weight": [{0: 100}, None]}
    ours, _ = both(estimator(), grid, scoring="accuracy", refit=True)
    assert ours.cv_results_["rank_test_score"].tolist() == [3, 1, 3, 1]
    assert ours.best_index_ == 1


def test_an_undefined_score_ranks_last():
    def score(estimator, X, y):
        return np.nan if estimator.alpha == 0.1 else estimator.score(X, y)

    grid = {"alpha": [0.1, 0, 0.01]}
    ours, _ = both(estimator(), grid, scoring=score, refit=True)
    assert ours.cv_results_["rank_test_score"][0] == 3


def failing_score(estimator, X, y):
    if estimator.alpha:
        raise RuntimeError("no score for penalties")
    return estimator.score(X, y)


@pytest.mark.parametrize(
    "scoring",
    [failing_score, {"accuracy": "accuracy", "mine": failing_score}],
)
def test_a_scorer_that_raises_scores_the_error_score(scoring):
    refit = "accuracy" if isinstance(scoring, dict) else True
    options = {"scoring": scoring, "refit": refit, "return_train_score": True}
    both(estimator(), {"alpha": [0, 0.1]}, error_score=-1.0, **options)
    for kind in OURS_AND_THEIRS[0]:
        search = kind(estimator(), {"alpha": [0, 0.1]}, error_score="raise", **options)
        with pytest.raises(RuntimeError, match="no score for penalties"):
            search.fit(X, Y)


def test_confusion_matrices_as_scores_equal_grid_search():
    def counts(estimator, X, y):
        matrix = confusion_matrix(y, estimator.predict(X))
        return {f"n{i}{j}": matrix[i, j] for i in range(3) for j in range(3)}

    both(estimator(), {"learning_rate": RATES}, scoring=counts, refit="n11")


def test_a_fold_with_nothing_to_test_scores_the_error_score():
    folds = [(np.arange(100), np.arange(100, 203)), (np.arange(100), np.arange(0))]
    both(
        estimator(),
        {"learning_rate": RATES},
        cv=folds,
        scoring="accuracy",
        refit=True,
        error_score=0.0,
    )


class ShiftsByWeight(TransformerMixin, BaseEstimator):
    """Uses metadata when it transforms, too."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def fit_transform(self, X, y=None, sample_weight=None):
        return self.fit(X).transform(X, sample_weight)

    def transform(self, X, sample_weight=None):
        return X if sample_weight is None else X * sample_weight[:, None]


class FailsOnFewRows(TransformerMixin, BaseEstimator):
    """Transforms what it is fitted to, and nothing shorter."""

    def fit(self, X, y=None):
        self.n_rows_, self.n_features_in_ = X.shape
        return self

    def transform(self, X):
        if len(X) < self.n_rows_:
            raise ValueError("too few rows")
        return X


def test_a_step_that_fails_to_transform_the_test_rows_scores_the_error_score():
    folds = [
        (np.arange(100), np.arange(100, 203)),
        (np.arange(103), np.arange(103, 203)),
    ]
    ours, _ = both(
        make_pipeline(FailsOnFewRows(), estimator()),
        {"tfsoftmaxclassifier__learning_rate": RATES},
        cv=folds,
        error_score=-1.0,
        return_train_score=True,
    )
    for score in TWO_SCORES:
        assert (ours.cv_results_[f"split0_test_{score}"] != -1).all()
        assert (ours.cv_results_[f"split1_test_{score}"] == -1).all()


@pytest.mark.skipif(not PIPELINES_ROUTE_TO_SCORE, reason="since scikit-learn 1.8")
def test_metadata_go_to_the_transform_of_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        step = ShiftsByWeight().set_transform_request(sample_weight=True)
        clf = estimator().set_fit_request(sample_weight=True)
        clf.set_score_request(sample_weight=True)
        both(
            make_pipeline(step, clf),
            {"tfsoftmaxclassifier__learning_rate": RATES},
            scoring=None,
            refit=True,
            fit_params={"sample_weight": S},
        )


def test_a_scorer_without_weights_is_warned_of():
    def score(estimator, X, y):
        return estimator.score(X, y)

    fit_params = {"sample_weight": S}
    both(
        estimator(),
        {"learning_rate": RATES},
        scoring=score,
        refit=True,
        fit_params=fit_params,
    )
