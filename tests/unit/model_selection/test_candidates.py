"""What a search is to evaluate: what is refused is what GridSearchCV refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.test_search import OURS_AND_THEIRS, X, Y, classifier, pipeline
from tfsoftmax import TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV


class Inconsistent(KFold):
    def get_n_splits(self, *args, **kwargs):
        return 7


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_a_splitter_that_breaks_its_promise_is_refused(ours, theirs):
    for kind in (ours, theirs):
        with pytest.raises(ValueError, match="get_n_splits"):
            kind(classifier(), {"alpha": [0.1] * 10}, cv=Inconsistent(3)).fit(X, Y)


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_no_folds_are_refused(ours, theirs):
    for kind in (ours, theirs):
        with pytest.raises(ValueError, match="No fits were performed"):
            kind(classifier(), {"alpha": [0.1] * 10}, cv=iter(())).fit(X, Y)


@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(classifier(), StandardScaler()),
        StandardScaler(),
    ],
)
def test_other_estimators_are_sent_to_grid_search(kind, estimator):
    with pytest.raises(TypeError, match="GridSearchCV"):
        kind(estimator, {}).fit(X, Y)


def test_a_candidate_that_is_another_estimator_is_sent_to_grid_search():
    grid = {"clf": [classifier(), LogisticRegression()]}
    with pytest.raises(TypeError, match="GridSearchCV"):
        TFSoftmaxGridSearchCV(pipeline(StandardScaler()), grid).fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "grid", "options"),
    [
        (classifier(), {"rate": [0.1]}, {}),
        (classifier(), {"clf__alpha": [0.1]}, {}),
        (pipeline(StandardScaler()), {"alpha": [0.1]}, {}),
        (pipeline(StandardScaler()), {"clf__rate": [0.1]}, {}),
        (pipeline(StandardScaler()), {"step0__centre": [True]}, {}),
        (classifier(), {"alpha": 0.1}, {}),
        (classifier(), {"alpha": []}, {}),
        (classifier(), {"alpha": "abc"}, {}),
        (classifier(), {"alpha": np.ones((2, 2))}, {}),
        (classifier(), [{"alpha": [0]}, 7], {}),
        (classifier(), {"alpha": [0]}, {"scoring": "beauty"}),
        (classifier(), {"alpha": [0]}, {"scoring": []}),
        (classifier(), {"alpha": [0]}, {"scoring": ["accuracy", "accuracy"]}),
        (classifier(), {"alpha": [0]}, {"cv": 1}),
        (classifier(), {"alpha": [0]}, {"cv": "three"}),
        (classifier(), {"alpha": [0]}, {"cv": 1000}),
        (classifier(), {"alpha": [0]}, {"error_score": "warn"}),
        (classifier(), {"alpha": [0]}, {"verbose": -1}),
        (classifier(), {"alpha": [0]}, {"n_jobs": "many"}),
        (classifier(), {"alpha": [0]}, {"return_train_score": "yes"}),
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
    # It may have the name of the argument before it.
    own_words = str(own).replace("TFSoftmaxGridSearchCV", "GridSearchCV")
    assert own_words.endswith(str(their))


@pytest.mark.parametrize(
    ("rows", "y"),
    [(X, Y[:-1]), (X, None), (X, np.zeros(len(X))), (X[:0], Y[:0]), (X[:, 0], Y)],
    ids=["too few labels", "no labels", "one class", "no rows", "one dimension"],
)
def test_data_that_grid_search_refuses_are_refused_with_its_error(rows, y):
    kinds = []
    for kind in OURS_AND_THEIRS[0]:
        with pytest.raises((TypeError, ValueError)) as caught:
            kind(classifier(), {"alpha": [0, 0.1]}).fit(rows, y)
        kinds.append(type(caught.value))
    assert kinds[0] is kinds[1]


@pytest.mark.parametrize("name", ["groups", "sample_weight"])
def test_too_few_values_for_the_rows_are_refused_by_name(name):
    search = TFSoftmaxGridSearchCV(classifier(), {"alpha": [0, 0.1]}, cv=GroupKFold(2))
    params = {"groups": np.arange(len(X)), name: np.ones(len(X) - 1)}
    with pytest.raises(ValueError, match=f"^{name} can't be used: .*inconsistent"):
        search.fit(X, Y, **params)


@pytest.mark.parametrize("steps", [[PCA(2), StandardScaler()], ["passthrough", None]])
def test_a_parameter_that_only_some_steps_have_is_refused_by_name(steps):
    grid = {"step0": [*steps, StandardScaler()], "step0__with_mean": [False]}
    search = TFSoftmaxGridSearchCV(pipeline(StandardScaler()), grid, cv=2)
    with pytest.raises(ValueError, match="param_grid"):
        search.fit(X, Y)


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


@pytest.mark.parametrize("name", ["X", "sample_weight"])
def test_masked_values_are_refused_by_name(name):
    given = {"X": X, "y": Y, "sample_weight": np.ones(len(X))}
    given[name] = np.ma.masked_array(given[name], given[name] == given[name].flat[0])
    with pytest.raises(ValueError, match=f"^{name} must have all its values"):
        TFSoftmaxGridSearchCV(classifier(), {"alpha": [0, 0.1]}).fit(**given)


class NoRows:
    """Has a length and a shape, and no rows to take, as TensorFlow's tensors."""

    def __init__(self, values):
        self.values, self.shape, self.ndim = values, values.shape, values.ndim
        self.dtype = values.dtype

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __getitem__(self, key):
        raise TypeError("Only integers, slices and the like are valid indices.")


@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
def test_what_has_no_rows_to_take_is_refused_by_name(name):
    given = {"X": X, "y": Y, "sample_weight": np.ones(len(X))}
    given[name] = NoRows(given[name])
    with pytest.raises(TypeError, match=f"^{name} can't be used: Only integers"):
        TFSoftmaxGridSearchCV(classifier(), {"alpha": [0, 0.1]}).fit(**given)


@pytest.mark.parametrize(
    "estimator", [Pipeline([]), Pipeline([("a",)]), Pipeline({"a": classifier()})]
)
def test_a_malformed_pipeline_is_refused_by_name(estimator):
    with pytest.raises(ValueError, match=r"^estimator can't be used"):
        TFSoftmaxGridSearchCV(estimator, {}).fit(X, Y)


def test_a_candidate_without_steps_is_refused_by_name():
    search = TFSoftmaxGridSearchCV(pipeline(StandardScaler()), {"steps": [[]]})
    with pytest.raises(ValueError, match=r"^param_grid can't be used"):
        search.fit(X, Y)


def test_candidates_draw_from_a_generator_of_any_kind():
    generator = np.random.RandomState(np.random.PCG64(0))
    searches = [
        kind(classifier(random_state=generator), {"alpha": [0, 0.1]}, cv=2).fit(X, Y)
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
        search = TFSoftmaxGridSearchCV(classifier(), grid, cv=2).fit(X, Y)
    failed = np.isnan(search.cv_results_["mean_test_score"])
    assert failed.tolist() == [
        not isinstance(params["optimizer"], str)
        for params in search.cv_results_["params"]
    ]


def test_scores_with_other_names_for_each_candidate_are_refused():
    def scorer(estimator, X, y):
        return {f"score of {estimator.alpha}": 1.0}

    search = TFSoftmaxGridSearchCV(
        classifier(), {"alpha": [0, 0.1]}, scoring=scorer, refit=False
    )
    with pytest.raises(ValueError, match=r"^scoring can't be used"):
        search.fit(X, Y)


@pytest.mark.parametrize("value", ["much", "", "1/0", 0, -1, 10**30])
def test_a_pre_dispatch_that_joblib_refuses_is_refused_by_name(value):
    search = TFSoftmaxGridSearchCV(
        classifier(), {"alpha": [0, 0.1]}, n_jobs=2, pre_dispatch=value
    )
    with pytest.raises(ValueError, match=r"^pre_dispatch can't be used"):
        search.fit(X, Y)


def test_a_distribution_without_a_length_is_refused_by_name():
    search = TFSoftmaxRandomizedSearchCV(classifier(), {"alpha": np.array(3)}, n_iter=2)
    with pytest.raises(TypeError, match=r"^param_distributions can't be used"):
        search.fit(X, Y)
