"""What a search refuses: what GridSearchCV refuses, with the same error."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold, KFold
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator
from tests.searches import OURS_AND_THEIRS, TWO_SCORES, S, X, Y, both_refuse, pipeline
from tfsoftmax import TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV

GRID = {"alpha": [0, 0.1]}

both_kinds = pytest.mark.parametrize(
    "options", [{}, {"n_iter": 2, "random_state": 0}], ids=["grid", "randomized"]
)


@pytest.mark.parametrize(
    ("estimator", "grid"),
    [
        (estimator(), {"rate": [0.1]}),
        (estimator(), {"clf__alpha": [0.1]}),
        (pipeline(StandardScaler()), {"alpha": [0.1]}),
        (pipeline(StandardScaler()), {"clf__rate": [0.1]}),
        (pipeline(StandardScaler()), {"step0__centre": [True]}),
        (
            pipeline(StandardScaler()),
            {"step0": [PCA(2), StandardScaler()], "step0__with_mean": [False]},
        ),
        (
            pipeline(StandardScaler()),
            {"step0": ["passthrough"], "step0__with_mean": [False]},
        ),
        (estimator(), {"alpha": 0.1}),
        (estimator(), {"alpha": []}),
        (estimator(), {"alpha": "abc"}),
        (estimator(), {"alpha": np.ones((2, 2))}),
        (estimator(), [{"alpha": [0]}, 7]),
        (estimator(), []),
        (estimator(), 7),
        (None, {}),
    ],
)
def test_grids_are_refused_as_by_grid_search(estimator, grid):
    both_refuse(estimator, grid)


@pytest.mark.parametrize(
    ("distributions", "n_iter"),
    [
        ({"alpha": []}, 2),
        ({"alpha": 0.1}, 2),
        ({"alpha": np.array(3)}, 2),
        ([{"alpha": [0]}, {"alpha": 3}], 2),
        ([], 2),
        ({"rate": [0.1]}, 1),
        ({"alpha": [0]}, 0),
    ],
)
def test_distributions_are_refused_as_by_randomized_search(distributions, n_iter):
    both_refuse(estimator(), distributions, n_iter=n_iter, random_state=0)


class Inconsistent(KFold):
    def get_n_splits(self, *args, **kwargs):
        return 7


@pytest.mark.parametrize(
    "cv",
    [
        1,
        "three",
        1000,
        [],
        Inconsistent(3),
        GroupKFold(2),
        [([0, 1, 2],)],
        [([0, 1, 2], [500])],
    ],
)
@both_kinds
def test_folds_are_refused_as_by_grid_search(cv, options):
    both_refuse(estimator(), GRID, cv=cv, **options)


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_an_iterator_without_folds_is_refused_as_by_grid_search(ours, theirs):
    messages = []
    for kind in (ours, theirs):
        with pytest.raises(ValueError, match="No fits were performed") as caught:
            kind(estimator(), {"alpha": [0.1] * 10}, cv=iter(())).fit(X, Y)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def no_number(estimator, X, y):
    return "good"


def names_of_its_alpha(estimator, X, y):
    return {f"score of {estimator.alpha}": 1.0}


@pytest.mark.parametrize(
    ("scoring", "refit"),
    [
        ("beauty", True),
        ([], True),
        ({}, True),
        ([1, 2], True),
        (["accuracy", "accuracy"], True),
        (no_number, True),
        (names_of_its_alpha, False),
        (None, None),
        (TWO_SCORES, True),
        (TWO_SCORES, "recall"),
        ("accuracy", lambda results: -1),
        ("accuracy", lambda results: 3),
        ("accuracy", lambda results: None),
    ],
)
@both_kinds
def test_scores_and_refits_are_refused_as_by_grid_search(scoring, refit, options):
    both_refuse(estimator(), GRID, scoring=scoring, refit=refit, cv=2, **options)


@pytest.mark.parametrize(
    "option",
    [
        {"error_score": "warn"},
        {"verbose": -1},
        {"n_jobs": "many"},
        {"return_train_score": "yes"},
        {"n_jobs": 2, "pre_dispatch": "much"},
        {"n_jobs": 2, "pre_dispatch": "1/0"},
        {"n_jobs": 2, "pre_dispatch": -1},
        {"n_jobs": 2, "pre_dispatch": 0},
    ],
    ids=str,
)
def test_other_options_are_refused_as_by_grid_search(option):
    both_refuse(estimator(), GRID, **option)


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


@pytest.mark.parametrize(
    "data",
    [
        {"y": Y[:-1]},
        {"y": np.zeros(len(X))},
        {"X": X[:0], "y": Y[:0]},
        {"X": X[:, 0]},
        {"X": X * np.nan},
        {"X": None},
        {"X": NoRows(X)},
        {"y": NoRows(Y)},
        {"fit_params": {"sample_weight": NoRows(S)}},
        {"fit_params": {"sample_weight": S[:-1]}},
        {"fit_params": {"groups": S[:-1]}},
        {"fit_params": {"X_val": X}},
    ],
    ids=[
        "too few labels",
        "one class",
        "no rows",
        "one dimension",
        "NaN",
        "None",
        "X without rows",
        "y without rows",
        "weights without rows",
        "too few weights",
        "too few groups",
        "X_val without y_val",
    ],
)
def test_data_are_refused_as_by_grid_search(data):
    both_refuse(estimator(), GRID, cv=2, **data)


# What SciPy reads without a check


def csr_beyond(n_columns):
    rows = sparse.csr_array(X)
    rows.indices[3] = n_columns
    return rows


def lists_beyond(n_columns):
    rows = sparse.lil_array(X)
    rows.rows[0][-1] = n_columns
    return rows


def coordinates_beyond(n_columns):
    rows = sparse.coo_array(X)
    rows.coords[1][0] = n_columns
    return rows


@pytest.mark.parametrize("make", [csr_beyond, lists_beyond, coordinates_beyond])
@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
def test_sparse_indices_out_of_bounds_are_refused_before_any_row_is_taken(
    kind, make, monkeypatch
):
    def no_split(*args, **kwargs):
        raise AssertionError("the rows are read")

    monkeypatch.setattr("tfsoftmax.model_selection.evaluation._safe_split", no_split)
    search = kind(pipeline(StandardScaler(with_mean=False)), {"clf__alpha": [0, 0.1]})
    if kind is TFSoftmaxRandomizedSearchCV:
        search.set_params(n_iter=2)
    # Not far, so that nothing breaks where it is not found.
    with pytest.raises(ValueError, match=r"^X can.t be used: .*ind(ex|ices)"):
        search.fit(make(X.shape[1]), Y)


@pytest.mark.parametrize("name", ["X", "sample_weight"])
def test_masked_values_are_refused_as_by_the_estimator(name):
    masked = {"X": X, "sample_weight": S}[name]
    masked = np.ma.masked_array(masked, masked == masked.flat[0])
    data = {"X": masked} if name == "X" else {"fit_params": {name: masked}}
    error = both_refuse(estimator(), GRID, **data)
    assert f"{name} must not have masked values;" in str(error)
