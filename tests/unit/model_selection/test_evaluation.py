"""The evaluation of a job: one preprocessing for all, routed as by a pipeline."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator
from tests.searches import PIPELINES_ROUTE_TO_SCORE, RATES, S, X, Y, both, pipeline
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.model_selection import evaluation


class Counting(TransformerMixin, BaseEstimator):
    """Multiplies by a factor, and keeps what it was fitted and asked to transform."""

    fits: list = []  # noqa: RUF012
    transforms: list = []  # noqa: RUF012

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        self.fits.append((self.factor, X.tobytes()))
        self.fitted_ = True
        return self

    def transform(self, X):
        self.transforms.append((self.factor, X.tobytes()))
        return X * self.factor


@pytest.fixture
def counting():
    Counting.fits.clear()
    Counting.transforms.clear()
    return Counting


def test_each_preprocessing_is_fitted_once_a_fold(counting):
    grid = {
        "step0__factor": [1.0, 2.0],
        "clf__learning_rate": RATES,
        "clf__batch_size": [50, 100],
        "clf__class_weight": [None, "balanced"],
    }
    TFSoftmaxGridSearchCV(pipeline(Counting()), grid, cv=3, refit=False).fit(X, Y)
    assert len(counting.fits) == 2 * 3
    assert max(Counter(counting.fits).values()) == 1


def test_each_preprocessing_is_fitted_once_a_fold_and_for_the_refit(counting):
    grid = {"step0": [Counting(), "passthrough"], "clf__learning_rate": [0.01, 0.1]}
    TFSoftmaxGridSearchCV(pipeline("passthrough"), grid, cv=2).fit(X, Y)
    of_folds = [rows for _, rows in counting.fits if len(rows) < X.nbytes]
    assert len(of_folds) == 2


def test_the_rows_of_a_fold_are_transformed_once_for_all_candidates(counting):
    grid = {"clf__learning_rate": RATES}
    TFSoftmaxGridSearchCV(pipeline(Counting()), grid, cv=3, refit=False).fit(X, Y)
    assert len(counting.transforms) == 3 * 2  # to train, and to score
    assert max(Counter(counting.transforms).values()) == 1


@pytest.mark.slow
def test_failures_of_a_pipeline_equal_grid_search():
    grid = {"step0__n_components": [2, 99], "clf__learning_rate": [0.1, "fast", 0.5]}
    both(pipeline(PCA()), grid, error_score=-7.0)
    grid = {"clf__class_weight": [{7: 1}, None, "heavy", "balanced", {0: -1.0}]}
    both(pipeline(PCA()), grid, error_score=-7.0)


# What the classifier's fit is passed


HELD_OUT = {"X_val": X[:40] * 1.1 - 0.1, "y_val": Y[:40], "sample_weight_val": S[:40]}


@pytest.fixture
def arguments(monkeypatch):
    """Keep what groups are fitted with: a list of X, y and the other arguments."""
    seen = []
    fit_group = evaluation.fit_group

    def keeping(group, X, y, params):
        seen.append((X, y, params))
        return fit_group(group, X, y, params)

    monkeypatch.setattr(evaluation, "fit_group", keeping)
    return seen


def routed_pipeline(**parameters):
    """Scale, then classify; weights and held-out rows go where they are of use."""
    clf = estimator(**parameters).set_fit_request(
        sample_weight=True, X_val=True, y_val=True, sample_weight_val=True
    )
    clf.set_score_request(sample_weight=False)
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    return Pipeline([("scale", scaler), ("clf", clf)], transform_input=["X_val"])


@pytest.mark.skipif(not PIPELINES_ROUTE_TO_SCORE, reason="since scikit-learn 1.8")
def test_routed_arguments_reach_the_classifier_as_in_a_pipeline(arguments):
    folds = StratifiedKFold(2)
    with sklearn.config_context(enable_metadata_routing=True):
        search = TFSoftmaxGridSearchCV(
            routed_pipeline(), {"clf__alpha": [0, 0.1]}, cv=folds, refit=False
        )
        search.fit(X, Y, sample_weight=S, **HELD_OUT)
    assert len(arguments) == 2
    for (train, _), (rows, y, params) in zip(folds.split(X, Y), arguments, strict=True):
        scaler = StandardScaler().fit(X[train], sample_weight=S[train])
        np.testing.assert_array_equal(rows, scaler.transform(X[train]))
        np.testing.assert_array_equal(y, Y[train])
        assert params.keys() == {"sample_weight", *HELD_OUT}
        np.testing.assert_array_equal(params["sample_weight"], S[train])
        X_val = scaler.transform(HELD_OUT["X_val"])
        np.testing.assert_array_equal(params["X_val"], X_val)
        for name in ("y_val", "sample_weight_val"):
            np.testing.assert_array_equal(params[name], HELD_OUT[name])


@pytest.mark.slow
def test_routed_arguments_equal_grid_search():
    clf = {"early_stopping": True, "epochs": 8, "n_iter_no_change": 1, "tol": 0.01}
    grid = {
        "scale__with_mean": [True, False],
        "clf__learning_rate": [0.01, 1.0],
        "clf__class_weight": [None, "balanced"],
    }
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_scorer("neg_log_loss").set_score_request(sample_weight=True)
        ours, _ = both(
            routed_pipeline(**clf),
            grid,
            scoring=scorer,
            refit=True,
            fit_params={"sample_weight": S, **HELD_OUT},
        )
    assert ours.best_estimator_[-1].n_iter_ < 8


def test_without_routing_arguments_reach_the_step_that_they_name(arguments):
    search = TFSoftmaxGridSearchCV(
        pipeline(StandardScaler()), {"clf__alpha": [0, 0.1]}, cv=2, refit=False
    )
    search.fit(X, Y, clf__sample_weight=S, step0__sample_weight=S)
    for _, y, params in arguments:
        assert params.keys() == {"sample_weight"}
        assert len(params["sample_weight"]) == len(y)
