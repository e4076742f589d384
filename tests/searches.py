"""Searches of this package and scikit-learn's, and what they have in common."""

from __future__ import annotations

import re
import warnings
from collections import Counter

import numpy as np
import pytest
import sklearn
from scipy.stats import rankdata
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.fixes import parse_version

from tests.problems import estimator, problem
from tfsoftmax import (
    TFSoftmaxClassifier,
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
)

X, Y, S = problem()
OURS_AND_THEIRS = [
    (TFSoftmaxGridSearchCV, GridSearchCV),
    (TFSoftmaxRandomizedSearchCV, RandomizedSearchCV),
]
TWO_SCORES = ["accuracy", "neg_log_loss"]
RATES = [0.01, 0.1, 1.0]


class Named(TFSoftmaxClassifier):
    """Trains as its parent does."""


class Halved(TFSoftmaxClassifier):
    """Trains on the first half of its rows."""

    def fit(self, X, y):
        return super().fit(X[: len(X) // 2], y[: len(y) // 2])


def pipeline(*steps, **parameters):
    steps = [(f"step{i}", step) for i, step in enumerate(steps)]
    return Pipeline([*steps, ("clf", estimator(**parameters))])


def accuracy_and_size(estimator, X, y):
    return {"accuracy": estimator.score(X, y), "rows": len(X)}


def fitted(search, X, y, **fit_params):
    """Fit; return the search, and how many warnings of each kind there were."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # A pipeline's cache warns on a busy machine, where this takes half a second.
        warnings.filterwarnings("ignore", "Persisting input arguments")
        search.fit(X, y, **fit_params)
    kinds = (warning.category for warning in caught)
    # Something old, at its first import, may do what pyparsing calls deprecated.
    return search, Counter(k for k in kinds if not k.__module__.startswith("pyparsing"))


# With an older scikit-learn, the score of a pipeline takes no metadata.
PIPELINES_ROUTE_TO_SCORE = parse_version(sklearn.__version__) >= parse_version("1.8")


def both(estimator, grid, X=X, y=Y, *, fit_params=None, atol=1e-12, **options):
    """Search with ours and theirs; check that all results are the same."""
    n_iter = options.get("n_iter")
    kinds = OURS_AND_THEIRS[n_iter is not None]
    options = {"cv": 2, "scoring": TWO_SCORES, "refit": "neg_log_loss"} | options
    (ours, our_warnings), (theirs, their_warnings) = (
        fitted(kind(estimator, grid, **options), X, y, **fit_params or {})
        for kind in kinds
    )
    assert our_warnings == their_warnings
    assert_same_results(ours.cv_results_, theirs.cv_results_, atol)
    assert_same_choice(ours, theirs, atol)
    return ours, theirs


def both_refuse(estimator, grid, X=X, y=Y, *, fit_params=None, **options):
    """Search with ours and theirs; check that both raise the same error, return it.

    The frames of a traceback, in the message of a search all of whose fits failed, are
    not compared.
    """
    kinds = OURS_AND_THEIRS["n_iter" in options]
    errors = []
    for kind in kinds:
        search = kind(estimator, grid, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(Exception) as caught:  # noqa: PT011
                search.fit(X, y, **fit_params or {})
        errors.append(caught.value)
    ours, theirs = errors
    assert type(ours) is type(theirs)
    our_words = re.sub(r"TFSoftmax(?=\w+SearchCV)", "", without_frames(ours))
    assert our_words == without_frames(theirs)
    return ours


def without_frames(error):
    words = re.sub(r"^  .*\n", "", str(error), flags=re.MULTILINE)
    # As scikit-learn had it before 1.9.
    return words.replace("returned inconsistent", "return inconsistent")


def assert_same_results(ours, theirs, atol):
    assert list(ours) == list(theirs)
    for key, expected in theirs.items():
        actual = ours[key]
        assert type(actual) is type(expected), key
        if key == "params":
            assert [list(params) for params in actual] == [list(e) for e in expected]
            assert actual == expected
            continue
        assert actual.dtype == expected.dtype, key
        assert actual.shape == expected.shape, key
        if key.startswith("param_"):
            np.testing.assert_array_equal(actual.mask, expected.mask)
            assert actual.compressed().tolist() == expected.compressed().tolist()
        elif key.endswith("_time"):
            assert (actual >= 0).all()
        elif key.startswith("rank_"):
            # Two scores that differ by rounding alone may come in either order.
            means = theirs["mean" + key.removeprefix("rank")]
            near = abs(means[:, None] - means) <= atol
            alone = near.sum(axis=1) <= 1
            np.testing.assert_array_equal(actual[alone], expected[alone], key)
            our_means = ours["mean" + key.removeprefix("rank")]
            if np.isfinite(our_means).all():
                ranks = rankdata(-our_means, "min")
                np.testing.assert_array_equal(actual, ranks, key)
        elif "accuracy" in key:
            np.testing.assert_array_equal(actual, expected, err_msg=key)
        else:
            np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=key)


def assert_same_choice(ours, theirs, atol=1e-12):
    for name in ("n_splits_", "multimetric_", "best_index_", "best_params_"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
        assert getattr(ours, name, None) == getattr(theirs, name, None), name
    assert type(ours.scorer_) is type(theirs.scorer_)
    if isinstance(ours.scorer_, dict):
        assert list(ours.scorer_) == list(theirs.scorer_)
    assert hasattr(ours, "best_score_") == hasattr(theirs, "best_score_")
    if hasattr(theirs, "best_score_"):
        np.testing.assert_allclose(
            ours.best_score_, theirs.best_score_, rtol=0, atol=atol
        )
    assert hasattr(ours, "best_estimator_") == hasattr(theirs, "best_estimator_")
    if hasattr(theirs, "best_estimator_"):
        assert ours.refit_time_ > 0
        if hasattr(theirs, "classes_"):
            np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        first = getattr(theirs.best_estimator_, "steps", [("", None)])[0][1]
        if first != "passthrough":  # of which scikit-learn asks the number, too
            assert ours.n_features_in_ == theirs.n_features_in_
        named = hasattr(theirs, "feature_names_in_")
        assert hasattr(ours, "feature_names_in_") == named
        if named:
            np.testing.assert_array_equal(
                ours.feature_names_in_, theirs.feature_names_in_
            )
        np.testing.assert_array_equal(coef_of(ours), coef_of(theirs))


def coef_of(search):
    """Return the best estimator's weights; None if it has none."""
    best = search.best_estimator_
    while isinstance(best, Pipeline):
        best = best[-1]
    return getattr(best, "coef_", None)
