"""The searches, against scikit-learn's on the same estimator, folds and grid."""

from __future__ import annotations

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from scipy.stats import expon, loguniform, randint
from sklearn.base import clone, is_classifier
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

from tests.clusters import start
from tests.problems import classic, estimator, mostly_slow, problem
from tests.searches import (
    OURS_AND_THEIRS,
    PIPELINES_ROUTE_TO_SCORE,
    RATES,
    TWO_SCORES,
    S,
    X,
    Y,
    assert_same_choice,
    assert_same_results,
    both,
    fitted,
    pipeline,
)
from tfsoftmax import (
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
)

# The same results as GridSearchCV, whatever is searched


GRIDS = {
    "rates and penalties": ({}, {"learning_rate": RATES, "alpha": [0, 0.01]}),
    "one parameter": ({}, {"alpha": [0.0, 0.1]}),
    "one candidate": ({}, {"alpha": [0.1]}),
    "nothing searched": ({}, {}),
    "batch sizes": ({}, {"batch_size": [20, 50, 500], "learning_rate": RATES}),
    "numbers of epochs": ({}, {"epochs": [1, 2, 5], "learning_rate": [0.01, 0.1]}),
    "rescaling": ({}, {"rescale": [None, 0.1], "learning_rate": [0.1, 1.0]}),
    "seeds": (
        {},
        {"random_state": [0, 1, np.random.RandomState(2)], "alpha": [0, 0.1]},
    ),
    "flags": ({}, {"shuffle": [True, False], "fit_intercept": [True, False]}),
    "optimizers": (
        {"tol": 1e-2, "epochs": 20, "learning_rate": 0.05},
        {"optimizer": ["sgd", "momentum", "nesterov", "adam", "lbfgs"]},
    ),
    "nesterov": ({"optimizer": "nesterov"}, {"momentum": [0, 0.5, 0.9]}),
    "adam": (
        {"optimizer": "adam"},
        {"learning_rate": [0.01, 0.1], "epochs": [1, 4]},
    ),
    "lbfgs": (
        {"optimizer": "lbfgs", "epochs": 100, "tol": 1e-3},
        {"alpha": [0.01, 0.1]},
    ),
    "schedules": (
        {"epochs": 6, "n_iter_no_change": 1, "tol": 0.02},
        {"learning_rate_schedule": ["constant", "cosine", "invscaling", "adaptive"]},
    ),
    "exponents": (
        {"learning_rate_schedule": "invscaling"},
        {"power_t": [0.1, 0.5, 1]},
    ),
    "L1 and L2": ({"alpha": 0.1}, {"l1_ratio": [0, 0.5, 1]}),
    "class weights": (
        {},
        {"class_weight": [None, "balanced", {0: 1, 1: 5, 2: 0.5}]},
    ),
    "stopping by the loss": (
        {"epochs": 12},
        {"tol": [None, 0.05, 0.5], "n_iter_no_change": [1, 3]},
    ),
    "early stopping": (
        {"epochs": 12, "early_stopping": True, "class_weight": "balanced"},
        {"tol": [None, 0.01, 0.2], "scoring": ["loss", "accuracy"]},
    ),
    "early stopping or not": (
        {"epochs": 5, "n_iter_no_change": 1},
        {"early_stopping": [True, False], "validation_fraction": [0.1, 0.3]},
    ),
    "warm starts": ({}, {"warm_start": [True, False], "alpha": [0, 0.1]}),
    "equal candidates": ({}, {"alpha": [0.1, 0.1], "learning_rate": [0.1, 0.1]}),
    "a list of grids": (
        {},
        [{"learning_rate": RATES}, {"batch_size": [20], "alpha": [0, 0.1]}, {}],
    ),
    "a range": ({}, {"epochs": range(1, 4)}),
    "an array": ({}, {"learning_rate": np.logspace(-2, 0, 3)}),
}


QUICK = ["rates and penalties", "numbers of epochs", "class weights"]
QUICK += ["early stopping", "a list of grids"]


@pytest.mark.parametrize(
    "case", mostly_slow(QUICK, *((case,) for case in GRIDS if case not in QUICK))
)
def test_results_equal_grid_search(case):
    parameters, grid = GRIDS[case]
    both(estimator(**parameters), grid, return_train_score=True)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", mostly_slow([np.uint8], (np.float32,)))
def test_results_equal_grid_search_for_all_kinds_of_numbers(dtype):
    rows = np.clip(X * 40 + 128, 0, 255).astype(dtype)
    grid = {"learning_rate": RATES, "alpha": [0, 0.01]}
    rows_before, y_before = rows.copy(), Y.copy()
    both(estimator(rescale=1 / 255), grid, rows, return_train_score=True, atol=1e-5)
    np.testing.assert_array_equal(rows, rows_before)
    np.testing.assert_array_equal(Y, y_before)


def test_results_equal_grid_search_for_sparse_rows():
    rows = sparse.csc_matrix(np.where(abs(X) > 0.5, X, 0))
    both(estimator(), {"learning_rate": RATES}, rows)


def test_results_equal_grid_search_for_a_data_frame():
    frame = pd.DataFrame(X, columns=list("abcde"))
    labels = pd.Series(np.array(["no", "perhaps", "yes"])[Y])
    ours, _ = both(estimator(), {"learning_rate": RATES}, frame, labels)
    assert ours.feature_names_in_.tolist() == list("abcde")
    assert ours.classes_.tolist() == ["no", "perhaps", "yes"]
    pipe = pipeline(StandardScaler().set_output(transform="pandas"))
    both(pipe, {"clf__learning_rate": RATES, "step0__with_mean": [True, False]}, frame)


def test_results_equal_grid_search_for_lists():
    both(estimator(), {"learning_rate": RATES}, X.tolist(), Y.tolist())


def test_results_equal_grid_search_for_soft_labels():
    soft = np.random.default_rng(0).dirichlet(np.ones(3), len(X))
    grid = {"learning_rate": RATES, "class_weight": [None, {1: 3}]}
    both(estimator(), grid, y=soft, scoring=None, refit=True)


@pytest.mark.slow
def test_results_equal_grid_search_on_digits(digits):
    rows, y = digits
    grid = {"learning_rate": np.logspace(-2, 0, 4), "alpha": [0, 1e-2]}
    clf = classic(epochs=1, random_state=0)
    both(clf, grid, rows.astype(np.float32), y, atol=1e-5)


def test_a_generator_for_the_seed_is_left_as_it_is():
    clf = estimator(random_state=np.random.RandomState(3))
    both(clf, {"learning_rate": RATES, "batch_size": [20, 50]})
    state = np.random.RandomState(3).get_state()[1]
    np.testing.assert_array_equal(clf.random_state.get_state()[1], state)


def test_without_a_seed_each_search_draws_another_order():
    clf = estimator(random_state=None)
    grid = {"learning_rate": [0.05], "batch_size": [10]}
    first, second = (
        TFSoftmaxGridSearchCV(clf, grid, scoring="neg_log_loss", cv=2).fit(X, Y)
        for _ in range(2)
    )
    assert first.best_score_ != second.best_score_
    assert first.best_score_ == pytest.approx(second.best_score_, abs=0.2)


def test_the_grid_and_the_estimator_are_not_changed():
    scaler = StandardScaler()
    pipe = pipeline(scaler, verbose=0)
    values = {"step0": [scaler, MinMaxScaler(), "passthrough"], "clf__epochs": [1, 2]}
    grid = {name: list(of_name) for name, of_name in values.items()}
    before = repr(pipe)
    search = TFSoftmaxGridSearchCV(pipe, grid, cv=2).fit(X, Y)
    assert grid == values
    assert repr(pipe) == before
    assert search.estimator is pipe
    assert not hasattr(scaler, "scale_")
    assert not hasattr(grid["step0"][1], "scale_")
    assert not hasattr(pipe[-1], "coef_")


@pytest.mark.parametrize(
    "grid",
    [{"l1_ratio": [0, 0.5, 1]}, {"momentum": [0, 0.5, 0.9]}, {"power_t": [0, 0.1, 1]}],
    ids=["no penalty", "no momentum", "constant rate"],
)
def test_candidates_that_come_to_the_same_model_tie(grid):
    """Whatever rounding makes of them together, the first of them is the best."""
    rows, y, weights = problem(seed=7)
    clf = estimator(epochs=30, learning_rate=0.5, random_state=7)
    options = {"cv": 3, "fit_params": {"sample_weight": weights}}
    ours, _ = both(clf, grid, rows, y, **options)
    assert ours.best_index_ == 0


# Pipelines


PIPELINE_GRIDS = {
    "a flag": {"step0__with_mean": [True, False], "clf__learning_rate": RATES},
    "components": {"step1__n_components": [3, 5], "clf__learning_rate": RATES},
    "passthrough": {
        "step0": ["passthrough", StandardScaler(), MinMaxScaler()],
        "clf__learning_rate": [0.01, 0.1],
    },
    "several grids": [
        {"step0": ["passthrough"], "step1__n_components": [3, 5]},
        {"step0__with_std": [True, False], "clf__epochs": [1, 4]},
        {"clf__batch_size": [20]},
    ],
    "classifiers": {
        "clf": [estimator(), estimator(learning_rate=0.5), estimator(alpha=0.1)]
    },
    "classifiers and their parameters": {
        "clf": [estimator(), estimator(optimizer="adam")],
        "clf__learning_rate": [0.01, 0.1],
        "step1": [PCA(3), "passthrough"],
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PIPELINE_GRIDS)
def test_pipelines_equal_grid_search(case):
    pipe = pipeline(StandardScaler(), PCA(random_state=0))
    both(pipe, PIPELINE_GRIDS[case], return_train_score=True)


def test_a_pipeline_of_the_classifier_alone_equals_grid_search():
    both(make_pipeline(estimator()), {"tfsoftmaxclassifier__learning_rate": RATES})


def test_a_pipeline_with_a_cache_equals_grid_search(tmp_path):
    pipe = pipeline(StandardScaler()).set_params(memory=str(tmp_path))
    both(pipe, {"step0__with_mean": [True, False], "clf__learning_rate": RATES})


def test_a_preprocessing_that_draws_from_a_generator_equals_grid_search():
    pca = PCA(3, svd_solver="randomized", random_state=np.random.RandomState(0))
    grid = {"step0": [pca], "clf__learning_rate": RATES}
    both(pipeline("passthrough"), grid)


def test_a_pipeline_with_a_supervised_step_equals_grid_search():
    from sklearn.feature_selection import SelectKBest

    grid = {"step0__k": [2, 4], "clf__class_weight": [None, "balanced"]}
    both(pipeline(SelectKBest()), grid)


# Weights, groups, and what else goes to fit


def test_sample_weights_reach_training_and_scoring():
    grid = {"learning_rate": RATES, "class_weight": [None, "balanced"]}
    weighted, _ = both(estimator(), grid, fit_params={"sample_weight": S})
    plain, _ = both(estimator(), grid)
    assert weighted.best_score_ != plain.best_score_


def test_sample_weights_of_a_pipeline_reach_its_classifier():
    grid = {"clf__learning_rate": RATES, "step0__with_mean": [True, False]}
    both(pipeline(StandardScaler()), grid, fit_params={"clf__sample_weight": S})


@pytest.mark.parametrize(
    ("score_request", "fit_request"),
    mostly_slow([(True, False), (False, True)], (True, True), (False, False)),
)
def test_metadata_go_where_they_are_requested(fit_request, score_request):
    with sklearn.config_context(enable_metadata_routing=True):
        clf = estimator().set_fit_request(sample_weight=fit_request)
        clf.set_score_request(sample_weight=score_request)
        scorer = get_scorer("neg_log_loss").set_score_request(
            sample_weight=score_request
        )
        options = {"scoring": scorer, "refit": True, "cv": GroupKFold(3)}
        fit_params = {"groups": np.arange(len(X)) % 7}
        if fit_request or score_request:
            fit_params["sample_weight"] = S
        both(clf, {"learning_rate": RATES}, fit_params=fit_params, **options)
        grid = {
            "standardscaler__with_mean": [True, False],
            "tfsoftmaxclassifier__learning_rate": [0.01, 0.1],
        }
        scaler = StandardScaler().set_fit_request(sample_weight=fit_request)
        pipe = make_pipeline(scaler, clf)
        both(pipe, grid, fit_params=fit_params, **options)
        # Otherwise Pipeline.score refuses what it is given.
        if score_request and PIPELINES_ROUTE_TO_SCORE:
            both(pipe, grid, fit_params=fit_params, **options | {"scoring": None})


def test_metadata_nobody_asked_for_are_refused_as_by_grid_search():
    with sklearn.config_context(enable_metadata_routing=True):
        for kind in OURS_AND_THEIRS[0]:
            search = kind(estimator(), {"learning_rate": RATES})
            with pytest.raises(ValueError, match="sample_weight"):
                search.fit(X, Y, sample_weight=S)


def test_groups_reach_the_splitter():
    groups = np.arange(len(X)) % 5
    ours, _ = both(
        estimator(),
        {"learning_rate": RATES},
        cv=GroupKFold(5),
        fit_params={"groups": groups},
    )
    assert ours.n_splits_ == 5
    with pytest.raises(ValueError, match="groups"):
        ours.fit(X, Y)


def test_held_out_rows_are_passed_on():
    held_out = {"X_val": X[:40], "y_val": Y[:40], "sample_weight_val": S[:40]}
    grid = {"tol": [0.01, 0.2], "n_iter_no_change": [1, 3], "alpha": [0, 0.1]}
    clf = estimator(early_stopping=True, epochs=8)
    ours, _ = both(clf, grid, fit_params=held_out)
    assert "val_loss" in ours.best_estimator_.history_


# Folds


def test_splitters_of_all_kinds_equal_grid_search():
    halves = [(np.arange(100), np.arange(100, 203)), (np.arange(90, 203), [1, 5, 7])]
    masks = [(np.arange(203) >= 100, np.arange(203) < 100)]
    for cv in (None, 2, KFold(2), ShuffleSplit(2, random_state=0), halves, masks):
        both(estimator(), {"learning_rate": RATES}, cv=cv)


def test_folds_may_come_from_a_generator():
    def folds():
        yield from StratifiedKFold(3, shuffle=True, random_state=1).split(X, Y)

    options = {"scoring": "neg_log_loss"}
    searches = [
        kind(estimator(), {"learning_rate": RATES}, cv=folds(), **options).fit(X, Y)
        for kind in OURS_AND_THEIRS[0]
    ]
    assert_same_results(*(search.cv_results_ for search in searches), atol=1e-12)


def test_all_candidates_get_the_same_random_folds():
    folds = ShuffleSplit(3, test_size=0.3, random_state=np.random.RandomState(0))
    grid = {"learning_rate": [0.1, 0.1], "batch_size": [50, 50]}
    search = TFSoftmaxGridSearchCV(estimator(), grid, cv=folds, refit=False)
    results = search.fit(X, Y).cv_results_
    for split in range(3):
        assert len(set(results[f"split{split}_test_score"])) == 1


# The choice of the best


def test_without_refit_there_is_no_best_estimator():
    for options in ({}, {"scoring": TWO_SCORES}):
        search = TFSoftmaxGridSearchCV(
            estimator(), {"alpha": [0, 0.1]}, refit=False, cv=2, **options
        ).fit(X, Y)
        assert not hasattr(search, "best_estimator_")
        assert hasattr(search, "best_index_") == (not options)
        assert hasattr(search, "best_params_") == (not options)
        for method in ("predict", "predict_proba", "decision_function"):
            with pytest.raises(AttributeError, match=method) as caught:
                getattr(search, method)(X)
            assert "refit=False" in str(caught.value.__cause__)
        with pytest.raises((AttributeError, NotFittedError), match="refit=False"):
            search.score(X, Y)


def test_times_are_shares_of_what_a_group_took():
    grid = {"learning_rate": RATES, "alpha": [0, 0.1]}
    search = TFSoftmaxGridSearchCV(estimator(), grid, cv=2).fit(X, Y)
    for name in ("fit", "score"):
        means = search.cv_results_[f"mean_{name}_time"]
        assert (means > 0).all()
        assert len(set(means)) == 1
    apart = {"batch_size": [20, 50]}
    search = TFSoftmaxGridSearchCV(estimator(), apart, cv=2).fit(X, Y)
    assert len(set(search.cv_results_["mean_fit_time"])) == 2


# The search as an estimator


def search_of(**options):
    grid = {"learning_rate": RATES}
    return TFSoftmaxGridSearchCV(estimator(), grid, **{"cv": 2} | options)


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_constructors_have_the_same_parameters_and_defaults(ours, theirs):
    search, expected = (kind(estimator(), {}) for kind in (ours, theirs))
    parameters = expected.get_params(deep=False)
    assert list(search.get_params(deep=False)) == list(parameters)
    for name, value in parameters.items():
        if name == "error_score":
            assert np.isnan(search.error_score)
        elif name != "estimator":
            assert getattr(search, name) == value
    public = [name for name in dir(expected) if not name.startswith("_")]
    ours_alone = {name for name in dir(search) if not name.startswith("_")} - {*public}
    assert ours_alone == {"onnx_parser"}  # GridSearchCV's is in skl2onnx
    assert {*public} <= {*dir(search)}


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_tags_and_routing_are_those_of_grid_search(ours, theirs):
    for model in (estimator(), pipeline(StandardScaler())):
        search, expected = (kind(model, {}) for kind in (ours, theirs))
        assert get_tags(search) == get_tags(expected)
        assert is_classifier(search)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = estimator().set_fit_request(sample_weight=True)
        routing, expected = (
            repr(kind(clf, {}).get_metadata_routing()) for kind in (ours, theirs)
        )
        assert routing.replace(ours.__name__, theirs.__name__) == expected


@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
def test_a_search_is_cloned_and_changed_like_any_estimator(kind):
    search = kind(estimator(), {"learning_rate": RATES}, cv=2)
    copied = clone(search)
    assert type(copied) is kind
    assert repr(copied) == repr(search)
    assert copied.estimator is not search.estimator
    copied.set_params(estimator__epochs=7, cv=3)
    assert (copied.estimator.epochs, copied.cv) == (7, 3)
    assert search.estimator.epochs == 3
    with pytest.raises(ValueError, match="Invalid parameter"):
        search.set_params(speed=3)


@pytest.mark.parametrize("fit", [True, False])
def test_a_notebook_shows_the_search(fit):
    search = search_of()
    if fit:
        search.fit(X, Y)
    html = search._repr_html_()
    assert "TFSoftmaxGridSearchCV" in html
    assert "TFSoftmaxClassifier" in html
    assert ("best_estimator_" in html) == fit


def test_a_fitted_search_is_pickled(tmp_path):
    search = search_of().fit(X, Y)
    joblib.dump(search, tmp_path / "search")
    for copied in (
        pickle.loads(pickle.dumps(search)),
        joblib.load(tmp_path / "search"),
    ):
        np.testing.assert_array_equal(copied.predict_proba(X), search.predict_proba(X))
        assert copied.best_params_ == search.best_params_
        assert copied.cv_results_["params"] == search.cv_results_["params"]


def test_predictions_are_those_of_the_best_estimator():
    search = search_of().fit(X, Y)
    best = search.best_estimator_
    for method in (
        "predict",
        "predict_proba",
        "predict_log_proba",
        "decision_function",
    ):
        predicted = getattr(search, method)(X)
        np.testing.assert_array_equal(predicted, getattr(best, method)(X))
    assert search.score(X, Y) == best.score(X, Y)
    assert not hasattr(search, "transform")
    by_loss = search_of(scoring="neg_log_loss").fit(X, Y)
    expected = get_scorer("neg_log_loss")(by_loss.best_estimator_, X, Y)
    assert by_loss.score(X, Y) == expected


def test_before_fit_there_is_nothing_to_predict_by():
    search = search_of()
    for method in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(search, method)(X)
    with pytest.raises(NotFittedError):
        search.score(X, Y)
    assert not hasattr(search, "n_features_in_")
    assert not hasattr(search, "classes_")
    assert search.fit(X, Y).n_features_in_ == X.shape[1]


@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
def test_fit_returns_the_search_and_can_be_repeated(kind):
    search = kind(estimator(), {"learning_rate": [0.1] * 10}, cv=2)
    assert search.fit(X, Y) is search
    first = search.cv_results_["mean_test_score"]
    search.fit(X, Y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], first)


def test_a_failed_fit_keeps_the_previous_results():
    search = search_of().fit(X, Y)
    before = search.cv_results_
    with pytest.raises(ValueError, match="fits failed"):
        search.fit(X * np.nan, Y)
    assert search.cv_results_ is before
    assert search.score(X, Y) > 0.5


def test_nothing_of_a_previous_search_is_left():
    grid = {"learning_rate": RATES}
    search = TFSoftmaxGridSearchCV(estimator(), grid, cv=2)
    search.fit(pd.DataFrame(X).rename(columns=str), Y)
    assert hasattr(search, "feature_names_in_")
    search.set_params(refit=lambda results: 0).fit(X, Y)
    assert search.best_index_ == 0
    assert not hasattr(search, "best_score_")
    assert not hasattr(search, "feature_names_in_")
    search.set_params(refit=False).fit(X, Y)
    assert not hasattr(search, "best_estimator_")
    assert not hasattr(search, "refit_time_")


@pytest.mark.slow
def test_a_search_can_be_nested():
    scores = cross_val_score(search_of(), X, Y, cv=2)
    theirs = GridSearchCV(estimator(), {"learning_rate": RATES}, cv=2)
    np.testing.assert_array_equal(scores, cross_val_score(theirs, X, Y, cv=2))
    outer = make_pipeline(StandardScaler(), search_of()).fit(X, Y)
    assert outer.score(X, Y) > 0.5
    around = GridSearchCV(search_of(), {"estimator__epochs": [1, 2]}, cv=2)
    fitted(around, X, Y)
    assert isinstance(around.best_estimator_, TFSoftmaxGridSearchCV)
    assert np.isfinite(around.best_score_)


def test_scikit_learns_checks_pass():
    """Those that scikit-learn's searches pass; the data are too wild for a few."""
    search = search_of(error_score="raise", cv=2)
    names = {
        "check_no_attributes_set_in_init",
        "check_dict_unchanged",
        "check_dont_overwrite_attributes",
        "check_n_features_in",
        "check_estimators_unfitted",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for estimator, check in estimator_checks_generator(search):
            if check.func.__name__ in names:
                check(estimator)


# The best estimator


@pytest.mark.slow
@pytest.mark.parametrize("dtype", mostly_slow([np.float32], (np.float64,), (np.uint8,)))
def test_the_best_estimator_is_a_separate_fit_to_the_bit(dtype):
    rows = np.clip(X * 40 + 128, 0, 255).astype(dtype)
    clf = estimator(rescale=1 / 255)
    grid = {"learning_rate": RATES, "optimizer": ["sgd", "adam"], "alpha": [0, 0.01]}
    search, _ = fitted(TFSoftmaxGridSearchCV(clf, grid, cv=2), rows, Y, sample_weight=S)
    alone = clone(clf).set_params(**search.best_params_)
    alone.fit(rows, Y, sample_weight=S)
    best = search.best_estimator_
    np.testing.assert_array_equal(best.coef_, alone.coef_)
    np.testing.assert_array_equal(best.intercept_, alone.intercept_)
    assert best.loss_curve_ == alone.loss_curve_
    assert repr(best) == repr(alone)


def test_the_best_pipeline_is_a_separate_fit_to_the_bit():
    pipe = pipeline(StandardScaler(), PCA())
    grid = {"step1": [PCA(3), "passthrough"], "clf__learning_rate": RATES}
    search = TFSoftmaxGridSearchCV(pipe, grid, cv=2).fit(X, Y)
    alone = clone(pipe).set_params(**search.best_params_).fit(X, Y)
    np.testing.assert_array_equal(search.best_estimator_[-1].coef_, alone[-1].coef_)
    np.testing.assert_array_equal(search.predict_proba(X), alone.predict_proba(X))


# Candidates drawn at random


def test_results_equal_randomized_search():
    distributions = {"learning_rate": loguniform(1e-3, 1), "epochs": randint(1, 5)}
    ours, _ = both(
        estimator(), distributions, n_iter=8, random_state=5, return_train_score=True
    )
    assert len(ours.cv_results_["params"]) == 8
    pipe = pipeline(StandardScaler())
    distributions = [
        {"clf__alpha": expon(scale=0.1), "step0__with_mean": [True, False]},
        {"step0": ["passthrough"], "clf__batch_size": randint(20, 22)},
    ]
    both(pipe, distributions, n_iter=6, random_state=1)


def test_the_drawing_follows_its_seed():
    def draw(seed):
        search = TFSoftmaxRandomizedSearchCV(
            estimator(epochs=1),
            {"learning_rate": loguniform(1e-3, 1)},
            n_iter=3,
            cv=2,
            random_state=seed,
            refit=False,
        )
        return search.fit(X, Y).cv_results_["params"]

    assert draw(0) == draw(0) == draw(np.random.RandomState(0))
    assert draw(0) != draw(1)


def test_a_list_is_drawn_from_without_replacement():
    search = TFSoftmaxRandomizedSearchCV(
        estimator(epochs=1), {"alpha": [0, 0.1, 0.2]}, n_iter=3, cv=2, random_state=0
    ).fit(X, Y)
    assert sorted(search.cv_results_["param_alpha"]) == [0, 0.1, 0.2]
    both(
        estimator(epochs=1), {"alpha": [0, 0.1]}, n_iter=5, random_state=0
    )  # which warns that there are but two


# Spread over workers


@pytest.mark.slow
def test_threads_and_processes_change_nothing():
    grid = {"learning_rate": RATES, "batch_size": [20, 50]}
    options = {"cv": 2, "scoring": TWO_SCORES, "refit": "neg_log_loss"}
    alone = TFSoftmaxGridSearchCV(estimator(), grid, **options).fit(X, Y)
    for backend in ("threading", "loky"):
        search = TFSoftmaxGridSearchCV(estimator(), grid, n_jobs=2, **options)
        with joblib.parallel_config(backend):
            search.fit(X, Y)
        assert_same_results(search.cv_results_, alone.cv_results_, atol=1e-12)
        assert_same_choice(search, alone)


def test_dask_carries_the_search():
    distributed = pytest.importorskip("distributed")
    grid = {
        "step0": ["passthrough", StandardScaler()],
        "clf__learning_rate": [0.01, 0.1],
    }
    options = {"cv": 2, "scoring": TWO_SCORES, "refit": "neg_log_loss"}
    alone = TFSoftmaxGridSearchCV(pipeline("passthrough"), grid, **options).fit(X, Y)
    cluster = start(n_workers=1, n_threads=2, processes=False)
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        search = TFSoftmaxGridSearchCV(pipeline("passthrough"), grid, **options)
        search.fit(X, Y)
    assert_same_results(search.cv_results_, alone.cv_results_, atol=1e-12)
    assert_same_choice(search, alone)


# What is printed


def test_the_search_prints_what_it_is_asked_to(capsys):
    search_of(verbose=0).fit(X, Y)
    assert capsys.readouterr().out == ""
    search_of(verbose=1).fit(X, Y)
    line = "Fitting 2 folds for each of 3 candidates, totalling 6 fits\n"
    assert capsys.readouterr().out == line
    search_of(verbose=2).fit(X, Y)
    printed = capsys.readouterr().out
    assert printed.startswith(line)
    assert len(printed.splitlines()) == 1 + 2 * 3


def test_an_estimator_that_prints_does_so_in_a_search(capsys):
    printed = []
    for kind in OURS_AND_THEIRS[0]:
        kind(estimator(verbose=1), {"alpha": [0, 0.1]}, cv=2).fit(X, Y)
        printed.append(sorted(capsys.readouterr().out.splitlines()))
    assert len(printed[0]) == (2 * 2 + 1) * 3
    assert printed[0] == printed[1]


@pytest.mark.slow
def test_rows_are_not_copied_for_each_candidate():
    import tracemalloc

    rows = np.random.default_rng(0).normal(size=(20_000, 50))
    y = np.arange(20_000) % 3
    clf = classic(batch_size=1000, epochs=1, random_state=0)

    def peak(grid):
        search = TFSoftmaxGridSearchCV(clf, grid, cv=2, refit=False)
        tracemalloc.start()
        search.fit(rows, y)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rates = np.logspace(-3, 0, 16)
        peak({"learning_rate": rates})  # compiles
        assert peak({"learning_rate": rates}) < 3 * rows.nbytes


def test_a_fit_that_fails_leaves_the_search_as_it_was():
    search = TFSoftmaxGridSearchCV(estimator(), {"alpha": [0, 0.1]}).fit(X, Y)
    before = pickle.dumps(search)
    with pytest.raises(ValueError, match="All the 10 fits failed"):
        search.set_params(param_grid={"alpha": [-1, -2]}).fit(X, Y)
    search.set_params(param_grid={"alpha": [0, 0.1]})
    assert pickle.dumps(search) == before
    never_fitted = TFSoftmaxGridSearchCV(estimator(), {"alpha": [-1]})
    with pytest.raises(ValueError, match="All the 5 fits failed"):
        never_fitted.fit(X, Y)
    assert set(vars(never_fitted)) == set(never_fitted.get_params(deep=False))
