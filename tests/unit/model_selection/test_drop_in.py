"""Candidates that are not fused, or not alone: all as with GridSearchCV."""

from __future__ import annotations

import re
import warnings
from collections import Counter

import numpy as np
import pytest
import sklearn
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tests.problems import estimator, mostly_slow
from tests.searches import (
    OURS_AND_THEIRS,
    RATES,
    TWO_SCORES,
    Halved,
    Named,
    S,
    X,
    Y,
    accuracy_and_size,
    assert_same_results,
    both,
    both_refuse,
    pipeline,
)
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
from tfsoftmax.model_selection import evaluation


class ByC(TFSoftmaxClassifier):
    """Has parameters of its own, which set those of its parent."""

    def __init__(self, C=1.0, random_state=0):
        super().__init__(alpha=1 / C / 200, epochs=2, random_state=random_state)
        self.C = C

    @property
    def alpha(self):
        return 1 / self.C / 200

    @alpha.setter
    def alpha(self, value):
        pass


class First(TFSoftmaxClassifier):
    """Trains as its parent does, and predicts the first class."""

    def predict_proba(self, X):
        return np.tile(np.eye(len(self.classes_))[0], (len(X), 1))

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


SWAPPED = [
    {
        "clf": [estimator(), estimator(alpha=0.1), LogisticRegression()],
        "step0": [StandardScaler(), "passthrough"],
    },
    {"clf": [estimator()], "clf__learning_rate": RATES},
    {"clf": [LogisticRegression()], "clf__C": [0.1, 1.0]},
]
NESTED = make_pipeline(MinMaxScaler(), pipeline(StandardScaler()))
CASES = {
    "swapped last steps": (pipeline(StandardScaler()), SWAPPED),
    "from passthrough": (
        Pipeline([("step0", "passthrough"), ("clf", "passthrough")]),
        SWAPPED[0],
    ),
    "nested pipelines": (
        NESTED,
        {"pipeline__clf__alpha": [0, 0.1], "pipeline__step0__with_mean": [True, False]},
    ),
    "swapped pipelines": (
        NESTED,
        {
            "pipeline": [
                pipeline(MinMaxScaler()),
                make_pipeline(PCA(2), LogisticRegression()),
                estimator(),
            ],
            "minmaxscaler__clip": [True, False],
        },
    ),
    "a subclass": (Named(epochs=2, random_state=0), {"learning_rate": RATES}),
    "a subclass with parameters": (ByC(), {"C": [0.01, 1.0], "random_state": [0, 1]}),
    "a subclass with a fit": (
        Halved(epochs=2, random_state=0),
        {"learning_rate": RATES},
    ),
    "a subclass with predictions": (
        First(epochs=2, random_state=0),
        {"learning_rate": [0.1, 1.0]},
    ),
    "subclasses together": (
        pipeline(),
        {
            "clf": [kind(epochs=2, random_state=0) for kind in (Named, Halved, First)],
            "clf__alpha": [0, 0.1],
        },
    ),
    "another estimator": (LogisticRegression(), {"C": [0.1, 1.0]}),
    "around the classifier": (
        OneVsRestClassifier(estimator()),
        {"estimator__alpha": [0, 0.1]},
    ),
}


QUICK = ["from passthrough", "nested pipelines"]


@pytest.mark.parametrize(
    "case",
    mostly_slow(
        QUICK,
        *((case,) for case in CASES if case not in QUICK),
    ),
)
def test_results_equal_grid_search(case):
    model, grid = CASES[case]
    both(model, grid, return_train_score=True)


def test_weights_reach_fused_candidates_and_others():
    grid = {"clf": [estimator(), LogisticRegression()]}
    weights = {"clf__sample_weight": S}
    both(pipeline(StandardScaler()), grid, fit_params=weights)
    with sklearn.config_context(enable_metadata_routing=True):
        clfs = [estimator(), LogisticRegression()]
        for clf in clfs:
            clf.set_fit_request(sample_weight=True)
        pipe = pipeline(StandardScaler().set_fit_request(sample_weight=False))
        pipe.set_params(clf=clfs[0])
        scorer = get_scorer("accuracy").set_score_request(sample_weight=True)
        options = {"scoring": scorer, "refit": True}
        both(pipe, {"clf": clfs}, fit_params={"sample_weight": S}, **options)


@pytest.fixture
def fits(monkeypatch):
    """Count the candidates that are fused, and those that scikit-learn fits."""
    counts = Counter()
    fuse, alone = evaluation.fit_group, evaluation._fit_and_score

    def counting_group(group, *arguments):
        counts["fused"] += len(group)
        counts["groups"] += 1
        return fuse(group, *arguments)

    def counting_one(*arguments, **options):
        counts["alone"] += 1
        return alone(*arguments, **options)

    monkeypatch.setattr(evaluation, "fit_group", counting_group)
    monkeypatch.setattr(evaluation, "_fit_and_score", counting_one)
    return counts


@pytest.mark.parametrize(
    ("model", "grid", "expected"),
    [
        (
            pipeline(StandardScaler()),
            {
                "clf": [estimator(), LogisticRegression(), estimator(alpha=1.0)],
                "step0__with_mean": [True, False],
            },
            {"fused": 4, "groups": 2, "alone": 2},
        ),
        (NESTED, {"pipeline__clf__alpha": [0, 0.1]}, {"fused": 2, "groups": 1}),
        (ByC(), {"C": [0.01, 1.0]}, {"fused": 2, "groups": 1}),
        (
            pipeline(),
            {"clf": [estimator(), Named(**estimator().get_params())]},
            {"fused": 2, "groups": 2},
        ),
        (Halved(epochs=1), {"alpha": [0, 0.1]}, {"alone": 2}),
    ],
    ids=["swapped", "nested", "subclass", "class and subclass", "own fit"],
)
def test_only_what_cannot_be_fused_is_fitted_by_scikit_learn(
    model, grid, expected, fits
):
    TFSoftmaxGridSearchCV(model, grid, cv=2, refit=False).fit(X, Y)
    assert fits == {name: 2 * count for name, count in expected.items()}


@pytest.mark.parametrize("n_jobs", mostly_slow([None], (2,)))
def test_a_search_without_labels_equals_grid_search(n_jobs):
    grid = {"n_clusters": [2, 3]}
    searches = [
        kind(KMeans(random_state=0, n_init=1), grid, cv=2, n_jobs=n_jobs).fit(X)
        for kind in OURS_AND_THEIRS[0]
    ]
    assert_same_results(*(search.cv_results_ for search in searches), atol=0)
    assert searches[0].best_index_ == searches[1].best_index_


# What is printed


def printed(search, capsys, **fit_params):
    """Search; return the lines that it prints, without the times."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y, **fit_params)
    lines = capsys.readouterr().out.splitlines()
    return [re.sub(r"\.{2,}| +[0-9.]+(s|min)$", " ", line) for line in lines]


BOTH = {"scoring": TWO_SCORES, "refit": False}


@pytest.mark.parametrize(
    ("verbose", "options"),
    mostly_slow(
        [(2, {}), (3, BOTH | {"return_train_score": True})],
        (3, {}),
        (3, {"return_train_score": True}),
        (3, BOTH),
        (10, {"scoring": accuracy_and_size, "refit": False}),
    ),
)
def test_the_lines_of_grid_search_are_printed(verbose, options, capsys):
    grid = [
        {"clf__alpha": [0.1, 0, -1], "clf__batch_size": [50, 60]},
        {"clf": [DecisionTreeClassifier(max_depth=2, random_state=0)]},
        {},
    ]
    ours, theirs = (
        printed(
            kind(pipeline(StandardScaler()), grid, cv=2, verbose=verbose, **options),
            capsys,
        )
        for kind in OURS_AND_THEIRS[0]
    )
    assert ours[0] == theirs[0]
    # Fold by fold, as they end, and not candidate by candidate.
    assert sorted(ours) == sorted(theirs)


@pytest.mark.slow
def test_steps_that_fail_are_printed_as_by_grid_search(capsys):
    grid = {"step0__n_components": [99, 2], "clf__alpha": [0, 0.1]}
    ours, theirs = (
        printed(kind(pipeline(PCA()), grid, cv=2, verbose=10), capsys)
        for kind in OURS_AND_THEIRS[0]
    )
    assert sorted(ours) == sorted(theirs)


def test_lines_are_as_wide_as_those_of_grid_search(capsys):
    for kind in OURS_AND_THEIRS[0]:
        kind(estimator(), {"alpha": [0, 0.1]}, cv=2, verbose=10).fit(X, Y)
        lines = capsys.readouterr().out.splitlines()
        assert {len(line) for line in lines[1:]} == {80}


# Errors and choices


@pytest.mark.parametrize("error_score", [np.nan, -1.0])
def test_failures_of_all_kinds_of_candidates_equal_grid_search(error_score):
    grid = [
        {"clf__alpha": [0, -1], "clf__batch_size": [50, 0]},
        {"clf": [LogisticRegression(C=-1.0), LogisticRegression()]},
        {"step0": [PCA(99)], "clf__alpha": [0, 0.1]},
    ]
    pipe = pipeline(StandardScaler())
    both(pipe, grid, error_score=error_score, refit=False)


def test_the_words_of_a_failure_equal_grid_search():
    grid = {"alpha": [0, -1], "batch_size": [50, 0]}
    words = []
    for kind in OURS_AND_THEIRS[0]:
        with pytest.warns() as caught:
            kind(estimator(), grid, cv=2).fit(X, Y)
        failed = [str(w.message) for w in caught if "Traceback" in str(w.message)]
        words.append([re.sub(r"(?m)^  .*\n", "", each) for each in failed])
    assert words[0] == words[1]


@pytest.mark.parametrize("name", ["pace", "classes", "previous"])
@pytest.mark.parametrize("kind", OURS_AND_THEIRS[0])
def test_an_unknown_argument_is_answered_by_fit(kind, name):
    words = rf"TFSoftmaxClassifier\.fit\(\) got an unexpected keyword argument '{name}'"
    for options in ({}, {"error_score": "raise"}):
        search = kind(estimator(), {"alpha": [0, 0.1]}, cv=2, **options)
        with pytest.raises((TypeError, ValueError), match=words):
            search.fit(X, Y, **{name: 1})


def test_labels_are_required_as_by_grid_search():
    for error_score in (np.nan, "raise"):
        errors = []
        for kind in OURS_AND_THEIRS[0]:
            search = kind(estimator(), {"alpha": [0]}, cv=2, error_score=error_score)
            with pytest.raises((TypeError, ValueError)) as caught:
                search.fit(X)
            errors.append(caught.value)
        assert type(errors[0]) is type(errors[1])
        assert str(errors[0])[-70:] == str(errors[1])[-70:]
        assert "required positional argument: 'y'" in str(errors[0])


def test_a_callable_refit_equals_grid_search():
    def worst(results):
        return int(results["mean_test_accuracy"].argmin())

    grid = {"clf": [estimator(), GaussianNB(), LogisticRegression(C=1e-6)]}
    ours, _ = both(pipeline(StandardScaler()), grid, refit=worst)
    assert ours.best_index_ == 2
    assert not hasattr(ours, "best_score_")


@pytest.mark.parametrize("best", [-1, 3, 1.5, None])
def test_an_index_that_is_none_of_a_candidate_is_refused_as_by_grid_search(best):
    grid = {"clf": [estimator(), GaussianNB()]}
    both_refuse(pipeline(), grid, refit=lambda results: best, cv=2)


def test_models_without_classes_are_refused_as_by_grid_search():
    both_refuse(Pipeline([]), {}, cv=2)
    both_refuse(pipeline(StandardScaler()), {"steps": [[], 7]}, cv=2)
    both_refuse(make_pipeline(estimator(), StandardScaler()), {}, cv=2)
