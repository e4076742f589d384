"""The jobs of a search; what it refuses is what GridSearchCV refuses, in its words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator
from tests.searches import OURS_AND_THEIRS, X, Y, pipeline
from tfsoftmax import TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV


class Inconsistent(KFold):
    def get_n_splits(self, *args, **kwargs):
        return 7


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_a_splitter_that_breaks_its_promise_is_refused(ours, theirs):
    for kind in (ours, theirs):
        with pytest.raises(ValueError, match="get_n_splits"):
            kind(estimator(), {"alpha": [0.1] * 10}, cv=Inconsistent(3)).fit(X, Y)


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_no_folds_are_refused(ours, theirs):
    for kind in (ours, theirs):
        with pytest.raises(ValueError, match="No fits were performed"):
            kind(estimator(), {"alpha": [0.1] * 10}, cv=iter(())).fit(X, Y)


@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(estimator(), StandardScaler()),
        StandardScaler(),
    ],
)
def test_other_estimators_are_sent_to_grid_search(kind, estimator):
    with pytest.raises(TypeError, match="GridSearchCV"):
        kind(estimator, {}).fit(X, Y)


def test_a_candidate_that_is_another_estimator_is_sent_to_grid_search():
    grid = {"clf": [estimator(), LogisticRegression()]}
    with pytest.raises(TypeError, match="GridSearchCV"):
        TFSoftmaxGridSearchCV(pipeline(StandardScaler()), grid).fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "grid", "options"),
    [
        (estimator(), {"rate": [0.1]}, {}),
        (estimator(), {"clf__alpha": [0.1]}, {}),
        (pipeline(StandardScaler()), {"alpha": [0.1]}, {}),
        (pipeline(StandardScaler()), {"clf__rate": [0.1]}, {}),
        (pipeline(StandardScaler()), {"step0__centre": [True]}, {}),
        (estimator(), {"alpha": 0.1}, {}),
        (estimator(), {"alpha": []}, {}),
        (estimator(), {"alpha": "abc"}, {}),
        (estimator(), {"alpha": np.ones((2, 2))}, {}),
        (estimator(), [{"alpha": [0]}, 7], {}),
        (estimator(), {"alpha": [0]}, {"scoring": "beauty"}),
        (estimator(), {"alpha": [0]}, {"scoring": []}),
        (estimator(), {"alpha": [0]}, {"scoring": ["accuracy", "accuracy"]}),
        (estimator(), {"alpha": [0]}, {"cv": 1}),
        (estimator(), {"alpha": [0]}, {"cv": "three"}),
        (estimator(), {"alpha": [0]}, {"cv": 1000}),
        (estimator(), {"alpha": [0]}, {"error_score": "warn"}),
        (estimator(), {"alpha": [0]}, {"verbose": -1}),
        (estimator(), {"alpha": [0]}, {"n_jobs": "many"}),
        (estimator(), {"alpha": [0]}, {"return_train_score": "yes"}),
    ],
)
def test_what_grid_search_refuses_is_refused_with_its_error(estimator, grid, options):
    errors = []
    for kind in OURS_AND_THEIRS[0]:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            kind(estimator, grid, **options).fit(X, Y)
        errors.append(caught.value)
    own, their = errors
    assert type(own) is type(their)
    own_words = str(own).replace("TFSoftmaxGridSearchCV", "GridSearchCV")
    assert own_words == str(their)


@pytest.mark.parametrize(
    ("rows", "y"),
    [(X, Y[:-1]), (X, None), (X, np.zeros(len(X))), (X[:0], Y[:0]), (X[:, 0], Y)],
    ids=["too few labels", "no labels", "one class", "no rows", "one dimension"],
)
def test_data_that_grid_search_refuses_are_refused_with_its_error(rows, y):
    kinds = []
    for kind in OURS_AND_THEIRS[0]:
        with pytest.raises((TypeError, ValueError)) as caught:
            kind(estimator(), {"alpha": [0, 0.1]}).fit(rows, y)
        kinds.append(type(caught.value))
    assert kinds[0] is kinds[1]


@pytest.mark.parametrize(
    "fit_params",
    [{"groups": np.ones(len(X) - 1)}, {"sample_weight": np.ones(len(X) - 1)}],
    ids=["groups", "sample weights"],
)
def test_too_few_values_for_the_rows_fail_as_in_grid_search(fit_params):
    messages = []
    for kind in OURS_AND_THEIRS[0]:
        search = kind(estimator(), {"alpha": [0, 0.1]}, cv=GroupKFold(2))
        with pytest.raises(ValueError, match=r"\d") as caught:
            search.fit(X, Y, **{"groups": np.arange(len(X)) % 2} | fit_params)
        messages.append(str(caught.value).splitlines()[0])
    assert messages[0] == messages[1]


def csr_beyond(places):
    rows = sparse.csr_array(X)
    rows.indices[3] = places
    return rows


def lists_beyond(places):
    rows = sparse.lil_array(X)
    rows.rows[0][-1] = places
    return rows


def coordinates_beyond(places):
    rows = sparse.coo_array(X)
    rows.coords[1][0] = places
    return rows


@pytest.mark.parametrize("make", [csr_beyond, lists_beyond, coordinates_beyond])
@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
def test_sparse_rows_whose_indices_lie_outside_are_refused(kind, make):
    search = kind(pipeline(StandardScaler(with_mean=False)), {"clf__alpha": [0, 0.1]})
    if kind is TFSoftmaxRandomizedSearchCV:
        search.set_params(n_iter=2)
    # Not far, so that nothing breaks where it is not found.
    with pytest.raises(ValueError, match=r"^X can.t be used: .*ind(ex|ices)"):
        search.fit(make(X.shape[1]), Y)


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
