"""What a candidate ends in, and whether its fit can be shared."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator
from tests.searches import OURS_AND_THEIRS, Halved, Named, X, Y, pipeline
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.model_selection.candidates import can_be_fused, classifier_of


class OtherPipeline(Pipeline):
    """May do anything before the fit, and after it."""

    def fit(self, X, y=None):
        return super().fit(X, y)


@pytest.mark.parametrize(
    ("model", "fused"),
    [
        (estimator(), True),
        (pipeline(StandardScaler()), True),
        (make_pipeline(StandardScaler(), pipeline(PCA(2))), True),
        (Named(), True),
        (Halved(), False),
        (make_pipeline(Halved()), False),
        (OtherPipeline([("clf", estimator())]), False),
        (make_pipeline(OtherPipeline([("clf", estimator())])), False),
        (OneVsRestClassifier(estimator()), False),
        (make_pipeline(estimator(), StandardScaler()), False),
        (make_pipeline(StandardScaler(), "passthrough"), False),
        (LogisticRegression(), False),
        (Pipeline([]), False),
        (Pipeline([StandardScaler(), estimator()]), False),
        (Pipeline(None), False),
    ],
)
def test_only_fits_of_the_classifier_are_fused(model, fused):
    assert can_be_fused(model) == fused


def test_a_candidate_ends_in_the_last_of_its_last_steps():
    clf = estimator()
    assert classifier_of(clf) is clf
    assert classifier_of(make_pipeline(PCA(), make_pipeline(PCA(), clf))) is clf
    assert classifier_of(Pipeline([])) is None


def test_candidates_draw_from_a_generator_of_any_kind():
    generator = np.random.RandomState(np.random.PCG64(0))
    searches = [
        kind(estimator(random_state=generator), {"alpha": [0, 0.1]}, cv=2).fit(X, Y)
        for kind in OURS_AND_THEIRS[0]
    ]
    ours, theirs = (search.cv_results_["mean_test_score"] for search in searches)
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_a_candidate_that_has_another_kind_of_value_fails_alone():
    grid = {"optimizer": [np.array(["sgd", "adam"]), "sgd"], "alpha": [0, 0.1]}
    with (
        pytest.warns(FitFailedWarning),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search = TFSoftmaxGridSearchCV(estimator(), grid, cv=2).fit(X, Y)
    failed = np.isnan(search.cv_results_["mean_test_score"])
    assert failed.tolist() == [
        not isinstance(params["optimizer"], str)
        for params in search.cv_results_["params"]
    ]
