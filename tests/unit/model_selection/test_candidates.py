"""The jobs of a search, and which candidates share their preprocessing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator
from tests.searches import OURS_AND_THEIRS, X, Y, pipeline
from tfsoftmax import (
    TFSoftmaxClassifier,
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
)
from tfsoftmax.model_selection.candidates import EvaluationJob, make_jobs

FOLDS = [([0, 1], [2]), ([1, 2], [0]), ([0, 2], [1])]


def jobs(model, candidates):
    """Make the jobs of a search in which only its estimator matters."""
    template = EvaluationJob(model, X, Y, {}, {}, None, np.nan, False, 0, None)
    contexts = [f"context {i}" for i in range(len(candidates) * len(FOLDS))]
    return list(make_jobs(template, candidates, FOLDS, contexts))


def test_without_a_pipeline_all_candidates_of_a_fold_are_one_job():
    candidates = [{"alpha": 0}, {"batch_size": 20}]
    made = jobs(estimator(), candidates)
    assert [positions for _, positions in made] == [[0, 3], [1, 4], [2, 5]]
    for fold, (job, positions) in enumerate(made):
        assert (job.train, job.test) == FOLDS[fold]
        assert job.name == f"fold {fold + 1}/3"
        assert job.candidates == candidates
        assert job.contexts == [f"context {i}" for i in positions]
        assert job.X is X


def test_each_preprocessing_is_a_job_of_each_fold():
    scaler = StandardScaler()
    candidates = [
        {"step0__with_mean": True, "clf__alpha": 0},
        {"clf__alpha": 0.1, "step0__with_mean": False},
        {"step0__with_mean": True, "clf__alpha": 0.1, "clf": estimator()},
        {"step0": scaler},
        {"step0": scaler, "clf__alpha": 0.1},
    ]
    made = jobs(pipeline(StandardScaler()), candidates)
    first_fold = [positions for _, positions in made[:3]]
    assert first_fold == [[0, 6], [3], [9, 12]]
    for job, positions in made:
        assert job.candidates == [candidates[position // 3] for position in positions]
    positions = [position for _, positions in made for position in positions]
    assert sorted(positions) == list(range(3 * 5))


@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(estimator(), StandardScaler()),
        DummyClassifier(),
        StandardScaler(),
    ],
)
def test_other_estimators_are_sent_to_grid_search(kind, estimator):
    with pytest.raises(TypeError, match=r"sklearn\.model_selection\.GridSearchCV"):
        kind(estimator, {}).fit(X, Y)


def test_a_candidate_that_is_another_estimator_is_sent_to_grid_search():
    grid = {"clf": [estimator(), LogisticRegression()]}
    with pytest.raises(TypeError, match=r"sklearn\.model_selection\.GridSearchCV"):
        TFSoftmaxGridSearchCV(pipeline(StandardScaler()), grid).fit(X, Y)


class Halved(TFSoftmaxClassifier):
    """Trains on the first half of its rows."""

    def fit(self, X, y):
        return super().fit(X[: len(X) // 2], y[: len(y) // 2])


def test_a_subclass_which_may_train_otherwise_is_sent_to_grid_search():
    search = TFSoftmaxGridSearchCV(Halved(), {"learning_rate": [0.01, 0.1]})
    with pytest.raises(TypeError, match=r"sklearn\.model_selection\.GridSearchCV"):
        search.fit(X, Y)


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
