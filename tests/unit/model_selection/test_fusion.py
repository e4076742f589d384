"""Which candidates are fused, and that each is the model that it is alone."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV

from tests.assertions import assert_same_model
from tests.problems import estimator, mostly_slow, solver_problem
from tests.searches import (
    OURS_AND_THEIRS,
    RATES,
    TWO_SCORES,
    S,
    X,
    Y,
    accuracy_and_size,
    both,
)
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
from tfsoftmax.callbacks import EpochLogger
from tfsoftmax.engine import compilation, device, placement, program
from tfsoftmax.model_selection import fusion
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.validation.parameters import RULES


@pytest.mark.parametrize("error_score", [np.nan, 0, -3.5])
@pytest.mark.parametrize(
    "scoring", [None, "neg_log_loss", TWO_SCORES, accuracy_and_size]
)
def test_candidates_that_fail_score_the_error_score(error_score, scoring):
    several = scoring in (TWO_SCORES, accuracy_and_size)
    ours, _ = both(
        estimator(),
        {"batch_size": [50, 0], "learning_rate": [0.1, -1.0, 1e300, 0.01]},
        X * 1e10,
        scoring=scoring,
        refit=False,  # else the best may be one that can't be fitted
        error_score=error_score,
        return_train_score=True,
    )
    key = "mean_test_accuracy" if several else "mean_test_score"
    failed = [1, 2, 4, 5, 6, 7]
    expected = np.full(len(failed), error_score, dtype=float)
    np.testing.assert_array_equal(ours.cv_results_[key][failed], expected)
    assert np.isfinite(ours.cv_results_[key][[0, 3]]).all()


def test_a_diverging_candidate_does_not_disturb_the_others():
    large, small_rates = X * 1e10, [1e-21, 1e-20]
    grid = {"learning_rate": [1e-21, 1e300, 1e-20, 1e299]}
    ours, _ = both(estimator(), grid, large)
    alone, _ = both(estimator(), {"learning_rate": small_rates}, large)
    assert np.isnan(ours.cv_results_["mean_test_accuracy"][[1, 3]]).all()
    for score in TWO_SCORES:
        key = f"mean_test_{score}"
        np.testing.assert_allclose(
            ours.cv_results_[key][[0, 2]], alone.cv_results_[key], rtol=1e-12
        )


def test_the_warning_names_the_failures():
    search = TFSoftmaxGridSearchCV(estimator(), {"alpha": [0, -1]}, cv=3)
    with pytest.warns() as caught:
        search.fit(X, Y)
    kinds = {warning.category: str(warning.message) for warning in caught}
    assert "3 fits failed out of a total of 6" in kinds[FitFailedWarning]
    assert "alpha must be a non-negative finite number" in kinds[FitFailedWarning]
    assert "non-finite" in kinds[UserWarning]


def test_when_all_fits_fail_the_search_does():
    for kind in OURS_AND_THEIRS[0]:
        search = kind(estimator(), {"alpha": [-1, -2], "epochs": [1, 2]}, cv=3)
        with pytest.raises(ValueError, match="All the 12 fits failed"):
            search.fit(X, Y)
        search = kind(estimator(), {"alpha": [0, 1]}, cv=3, scoring=accuracy_and_size)
        with pytest.raises(ValueError, match="All the 6 fits failed"):
            search.set_params(refit=False).fit(X * np.nan, Y)


@pytest.mark.parametrize(
    ("grid", "error"),
    [
        ({"alpha": [0, -1]}, ValueError),
        ({"alpha": [0, "much"]}, ValueError),
        ({"learning_rate": [1e-21, 1e300]}, ValueError),
        ({"batch_size": [50, 0]}, ValueError),
    ],
)
def test_errors_are_raised_where_that_is_asked_for(grid, error):
    messages = []
    for kind in OURS_AND_THEIRS[0]:
        clf = estimator(learning_rate=1e-21)
        search = kind(clf, grid, error_score="raise", cv=2)
        with pytest.raises(error) as caught:
            search.fit(X * 1e10, Y)
        assert not hasattr(search, "cv_results_")
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_warning_made_an_error_fails_its_candidate_alone():
    """Each candidate of GridSearchCV meets the warnings of no fit but its."""
    grid = {"learning_rate": [0.1, 1e4, 0.2]}
    scores = []
    for kind in OURS_AND_THEIRS[0]:
        search = kind(estimator(epochs=40), grid, cv=2, error_score=-1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", FitFailedWarning)
            scores.append(search.fit(X, Y).cv_results_["mean_test_score"].tolist())
    assert [score == -1 for score in scores[1]] == [False, True, False]
    assert scores[0] == scores[1]


@pytest.fixture
def program_calls(monkeypatch):
    """Count the calls of the compiled program, by the number of their models."""
    calls = Counter()
    train = program.Program.train

    def counting(self, *arguments, **options):
        calls[self.spec.n_models] += 1
        return train(self, *arguments, **options)

    monkeypatch.setattr(program.Program, "train", counting)
    return calls


@pytest.mark.parametrize("kind", mostly_slow([np.asarray], (sparse.csr_array,)))
def test_candidates_share_the_calls_of_the_program(kind, program_calls, monkeypatch):
    monkeypatch.setattr(device, "n_threads", lambda: 2)
    grid = {"learning_rate": np.logspace(-2, 0, 4), "alpha": [0, 1e-3, 1e-2, 0.1]}
    options = {"cv": 2, "refit": False}
    TFSoftmaxGridSearchCV(estimator(), grid, **options).fit(kind(X), Y)
    ours = program_calls.total()
    assert 1 not in program_calls
    program_calls.clear()
    GridSearchCV(estimator(), grid, **options).fit(kind(X), Y)
    assert program_calls == {1: 16 * 2 * 3}
    # Two blocks of eight models in each fold and epoch.
    assert ours == 2 * 2 * 3


def test_equal_scalings_share_the_calls_of_the_program(
    program_calls, no_programs, monkeypatch
):
    monkeypatch.setattr(device, "n_threads", lambda: 1)
    scalings = ["standard", [0.5] * 5, np.full(5, 0.5), 0.5]
    grid = {"rescale": scalings, "learning_rate": RATES}
    TFSoftmaxGridSearchCV(estimator(), grid, cv=2, refit=False).fit(X, Y)
    # A call of three models in each epoch of each fold, for each of the scalings.
    assert program_calls == {3: len(scalings) * 2 * 3}
    # A program with a number, and one with numbers for each feature.
    assert compilation._compile.cache_info().misses == 2


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("class_weight", [None, {9: 1.0}, "balanced", {0: 2.0}]),
        ("alpha", [0.0, -1.0, 0.1, 0.2]),
    ],
)
def test_an_invalid_candidate_fails_alone_and_the_others_stay_fused(
    name, values, program_calls, no_programs, monkeypatch
):
    monkeypatch.setattr(device, "n_threads", lambda: 1)
    options = {"scoring": "neg_log_loss", "refit": False, "cv": 2}
    search = TFSoftmaxGridSearchCV(estimator(), {name: values}, **options)
    with (
        pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 8"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        results = search.fit(X, Y).cv_results_
    assert np.isnan(results["mean_test_score"]).tolist() == [False, True, False, False]
    # One program, of three models; one call of it in each epoch of each fold.
    assert program_calls == {3: 2 * 3}
    assert compilation._compile.cache_info().misses == 1
    both(estimator(), {name: values}, **options)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_all_folds_and_a_second_search_find_the_program_compiled(kind, no_programs):
    def search(rates):
        grid = {"learning_rate": rates, "class_weight": [None]}
        TFSoftmaxGridSearchCV(estimator(), grid, cv=3, refit=False).fit(kind(X), Y)
        return compilation._compile.cache_info().misses

    blocks = len(placement.model_blocks(3, device.n_threads()))
    first = search(RATES)
    assert first <= blocks
    assert search([0.02, 0.2, 2.0]) == first


# Which candidates are fused


PER_MODEL = {
    "learning_rate": [0.01, 0.1],
    "learning_rate_schedule": ["constant", "cosine"],
    "power_t": [0.1, 0.5],
    "momentum": [0.5, 0.9],
    "alpha": [0.0, 0.1],
    "l1_ratio": [0.0, 1.0],
    "epochs": [2, 3],
    "class_weight": [None, "balanced"],
    "scoring": ["loss", "accuracy"],
    "tol": [None, 0.1],
    "n_iter_no_change": [1, 5],
}
SHARED = {
    "batch_size": [20, 50],
    "optimizer": ["sgd", "adam"],
    "fit_intercept": [True, False],
    "rescale": [None, 0.5],
    "shuffle": [True, False],
    "random_state": [0, 1],
    "early_stopping": [True, False],
    "validation_fraction": [0.1, 0.2],
}


def test_each_parameter_says_whether_models_may_differ_in_it():
    assert set(RULES) == set(TFSoftmaxClassifier().get_params())
    assert {name for name, rule in RULES.items() if rule.per_model} == set(PER_MODEL)
    assert set(RULES) - set(PER_MODEL) == {*SHARED, "warm_start", "verbose"}


@pytest.mark.parametrize("name", [*PER_MODEL, *SHARED])
def test_fused_models_differ_in_per_model_parameters_only(name):
    values = (PER_MODEL | SHARED)[name]
    classifiers = [estimator(**{name: value}) for value in values * 2]
    groups = [[0, 1, 2, 3]] if name in PER_MODEL else [[0, 2], [1, 3]]
    assert fusion.fusion_groups(classifiers) == groups


@pytest.mark.parametrize(
    "parameters", [{"optimizer": "lbfgs"}, {"verbose": 1}, {"epochs": 0}]
)
def test_without_epochs_or_verbose_or_invalid_they_are_fitted_alone(parameters):
    classifiers = [estimator(alpha=alpha, **parameters) for alpha in (0.1, 0.1)]
    assert fusion.fusion_groups(classifiers) == [[0], [1]]


def test_generators_are_equal_if_their_states_are():
    seeds = [np.random.RandomState(seed) for seed in (0, 1, 0, 0)]
    seeds[3].uniform()
    classifiers = [estimator(random_state=seed) for seed in seeds]
    assert fusion.fusion_groups(classifiers) == [[0, 2], [1], [3]]


@pytest.mark.parametrize("container", [np.array, list, tuple])
def test_factors_are_equal_if_their_numbers_are(container):
    factors = [[0.5] * 5, [0.25] * 5, [0.5] * 5, [0.5] * 4]
    classifiers = [clone(estimator(rescale=container(each))) for each in factors]
    assert fusion.fusion_groups(classifiers) == [[0, 2], [1], [3]]


def test_true_and_one_are_not_the_same_value():
    """Of the two, only the one is allowed for the size of a batch."""
    classifiers = [estimator(batch_size=1), estimator(batch_size=True)]
    assert fusion.fusion_groups(classifiers) == [[0], [1]]
    both(estimator(epochs=1), {"batch_size": [1, True], "alpha": [0, 0.1]}, cv=2)


def fit_fused(classifiers, *arguments, **fit_params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fusion.fit_group(classifiers, *arguments, fit_params)


def fit_in_groups(classifiers, *arguments):
    errors = {}
    for group in fusion.fusion_groups(classifiers):
        of_group = fit_fused([classifiers[i] for i in group], *arguments)
        errors |= zip(group, of_group, strict=True)
    return [errors[i] for i in range(len(classifiers))]


def assert_as_alone(clf, *arguments, rtol=1e-10, **fit_params):
    """Compare a model of a group with a separate fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        alone = clone(clf).fit(*arguments, **fit_params)
    assert_same_model(clf, alone, rtol)
    assert clf.coef_.dtype == alone.coef_.dtype
    assert (clf.n_iter_, clf.n_features_in_) == (alone.n_iter_, alone.n_features_in_)
    np.testing.assert_array_equal(clf.classes_, alone.classes_)
    history, expected = (each.history_.drop(columns="seconds") for each in (clf, alone))
    assert history.columns.tolist() == expected.columns.tolist()
    history, expected = history.astype(float), expected.astype(float)
    np.testing.assert_allclose(history, expected, rtol=10 * rtol, atol=rtol)


WEIGHTS = [None, "balanced", {0: 2, 1: 0.5, 2: 0}]


@pytest.mark.parametrize("optimizer", mostly_slow(["sgd"], ("adam",)))
@pytest.mark.parametrize("weighted", [True, False])
def test_class_weights_hold_for_their_model_alone(optimizer, weighted):
    group = [estimator(class_weight=w, optimizer=optimizer) for w in WEIGHTS]
    weights = {"sample_weight": S} if weighted else {}
    assert fit_fused(group, X, Y, **weights) == [None] * 3
    for clf in group:
        assert_as_alone(clf, X, Y, **weights)


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows", mostly_slow([sparse.csr_array(X)], (X.astype(np.float32),))
)
def test_class_weights_of_single_or_sparse_rows_hold_for_their_model_alone(rows):
    group = [estimator(class_weight=w, early_stopping=True) for w in WEIGHTS]
    assert fit_fused(group, rows, Y) == [None] * 3
    for clf in group:
        assert_as_alone(clf, rows, Y, rtol=1e-10 if rows.dtype == X.dtype else 1e-4)


def test_class_weights_of_soft_labels_hold_for_their_model_alone():
    soft = np.random.default_rng(0).dirichlet(np.ones(3), len(X))
    group = [estimator(class_weight=w) for w in WEIGHTS]
    assert fit_fused(group, X, soft) == [None] * 3
    for clf in group:
        assert_as_alone(clf, X, soft)


def test_a_class_weight_that_is_wrong_fails_its_model_alone():
    wrong = [{9: 1.0}, {0: -1.0}, {0: "much"}, "heavy", {0: 0, 1: 0, 2: 0}]
    group = [estimator(class_weight=w) for w in [*wrong, None, "balanced"]]
    errors = fit_in_groups(group, X, Y)
    for clf, error in zip(group[:5], errors, strict=False):
        with pytest.raises(type(error)) as alone:
            clone(clf).fit(X, Y)
        assert str(error) == str(alone.value)
    assert errors[5:] == [None, None]
    for clf in group[5:]:
        assert_as_alone(clf, X, Y)


def test_a_parameter_that_is_wrong_fails_its_model_alone():
    wrong = [{"learning_rate": 0}, {"alpha": "x"}, {"epochs": 1.5}, {"l1_ratio": 2}]
    group = [estimator(**parameters) for parameters in [*wrong, {}, {"alpha": 0.1}]]
    errors = fit_in_groups(group, X, Y)
    for clf, error in zip(group[:4], errors, strict=False):
        with pytest.raises(type(error)) as alone:
            clone(clf).fit(X, Y)
        assert str(error) == str(alone.value)
        assert not hasattr(clf, "coef_")
    assert errors[4:] == [None, None]
    for clf in group[4:]:
        assert_as_alone(clf, X, Y)


@pytest.mark.parametrize("alphas", [[0], [0, 0.1]])
def test_an_error_of_what_all_share_fails_all(alphas):
    group = [estimator(alpha=alpha) for alpha in alphas]
    errors = fit_fused(group, X * np.nan, Y)
    assert [type(error) for error in errors] == [ValueError] * len(group)
    errors = fit_fused(group, X, Y, sample_weight=-S)
    assert all("sample_weight" in str(error) for error in errors)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_missing_package_ends_the_search_and_says_what_to_install(
    optimizer, monkeypatch
):
    def no_tensorflow(problem, callbacks):
        raise ImportError("install TensorFlow")

    solver = replace(SOLVERS[optimizer], solve=no_tensorflow)
    monkeypatch.setitem(SOLVERS, optimizer, solver)
    search = TFSoftmaxGridSearchCV(estimator(optimizer=optimizer), {"alpha": [0, 0.1]})
    with pytest.raises(ImportError, match="install TensorFlow"):
        search.fit(X, Y)


def test_an_error_of_the_shared_training_fails_all(monkeypatch):
    def no_memory(problem, callbacks):
        raise MemoryError("too many models")

    monkeypatch.setitem(SOLVERS, "sgd", replace(SOLVERS["sgd"], solve=no_memory))
    group = [estimator(alpha=alpha) for alpha in (0, 0.1)]
    errors = fit_fused(group, X, Y)
    assert [str(error) for error in errors] == ["too many models"] * 2
    assert not any(hasattr(clf, "coef_") for clf in group)


def test_a_group_too_wide_for_memory_is_trained_in_parts(monkeypatch):
    def fit_all():
        grid = [(r, w) for r in (0.01, 0.1, 1.0) for w in (None, "balanced")]
        group = [
            estimator(learning_rate=r, class_weight=w, random_state=None)
            for r, w in grid
        ]
        np.random.seed(5)
        assert fit_fused(group, X, Y) == [None] * 6
        return group

    whole = fit_all()
    widths = []
    original = SOLVERS["sgd"]

    def counting(problem, callbacks):
        widths.append(len(problem.settings))
        return original.solve(problem, callbacks)

    monkeypatch.setitem(SOLVERS, "sgd", replace(original, solve=counting))
    monkeypatch.setattr(fusion, "MAX_GROUP_BYTES", 8 * 1024)
    for clf, expected in zip(fit_all(), whole, strict=True):
        np.testing.assert_allclose(clf.coef_, expected.coef_, rtol=1e-10)
    assert len(widths) > 1
    assert sum(widths) == 6
    monkeypatch.setattr(fusion, "MAX_GROUP_BYTES", 1)
    widths.clear()
    fit_all()
    assert widths == [1] * 6


def test_the_memory_of_a_model_counts_what_an_l1_penalty_remembers():
    def n_bytes(**changes):
        parameters = [{"alpha": 0.1}, {"alpha": 0.1} | changes]
        return fusion._model_bytes(solver_problem(parameters, X, Y))

    V_bytes = 8 * 3 * (X.shape[1] + 1)
    assert n_bytes() == 3 * V_bytes
    assert n_bytes(l1_ratio=0.5) == 7 * V_bytes


def test_each_model_of_a_group_resumes_by_itself():
    group = [estimator(alpha=alpha) for alpha in (0, 0.1)]
    fit_fused(group, X, Y)
    for clf in group:
        alone = clone(clf).fit(X, Y).partial_fit(X, Y)
        clf.partial_fit(X, Y)
        np.testing.assert_allclose(clf.coef_, alone.coef_, rtol=1e-10)


def test_the_warnings_are_those_of_separate_fits():
    parameters = [{"tol": 1e-9}, {"learning_rate": 1e-300}, {}, {"tol": 5.0}]
    parameters = [p | {"n_iter_no_change": 1} for p in parameters]
    messages = []
    for fit in (
        lambda group: fusion.fit_group(group, X, Y, {}),
        lambda group: [clf.fit(X, Y) for clf in group],
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit([estimator(**p) for p in parameters])
        messages.append([str(warning.message) for warning in caught])
    assert len(messages[0]) == 4
    assert messages[0] == messages[1]


@pytest.fixture
def interrupted_in_third_epoch(monkeypatch):
    """Have Ctrl-C come when so many epochs of all candidates have ended; count them."""
    on_epoch_end, ended = EpochLogger.on_epoch_end, []

    def interrupting(self, epoch, metrics, result):
        ended.append(epoch)
        if len(ended) == 3:
            raise KeyboardInterrupt
        return on_epoch_end(self, epoch, metrics, result)

    monkeypatch.setattr(EpochLogger, "on_epoch_end", interrupting)
    return ended


@pytest.mark.parametrize(
    ("parameters", "grid"),
    [
        ({}, {"alpha": [0.1, 0.2]}),
        ({}, {"alpha": [0.1]}),
        ({}, {"batch_size": [20, 50]}),
        ({"verbose": 1}, {"alpha": [0.1, 0.2]}),
        ({"optimizer": "lbfgs", "tol": 1e-9, "alpha": 0.1}, {"alpha": [0.1, 0.2]}),
    ],
    ids=["fused", "one candidate", "not fused", "verbose", "lbfgs"],
)
@pytest.mark.parametrize("error_score", [np.nan, "raise"])
def test_a_keyboard_interrupt_in_one_candidate_ends_the_search(
    parameters, grid, error_score, interrupted_in_third_epoch
):
    search = TFSoftmaxGridSearchCV(estimator(**parameters), grid, cv=2)
    search.set_params(error_score=error_score)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    assert len(interrupted_in_third_epoch) == 3
    assert not hasattr(search, "cv_results_")


def test_a_keyboard_interrupt_ends_a_group_trained_in_parts(
    interrupted_in_third_epoch, monkeypatch
):
    monkeypatch.setattr(fusion, "MAX_GROUP_BYTES", 1)
    search = TFSoftmaxGridSearchCV(estimator(), {"alpha": [0.1, 0.2]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    assert interrupted_in_third_epoch == [1, 2, 3]  # of the first part's only model
    assert not hasattr(search, "cv_results_")
