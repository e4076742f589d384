"""rescale="standard" is a StandardScaler before the classifier, without a copy of X."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests import problems
from tests.assertions import assert_same_bits
from tests.problems import classic, mostly_slow
from tests.searches import both
from tfsoftmax import (
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
    dual_gap,
)
from tfsoftmax.fitting import prepare

views = pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_fitted_attr_html"),
    reason="the HTML view has fitted attributes since scikit-learn 1.9",
)

BY_EPOCHS = ["sgd", "momentum", "nesterov", "adam"]
UNITS, ORIGIN = np.array([1.0, 30, 0.01, 5, 1]), np.array([0.0, 100, -3, 7, 0.5])
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def problem(n_samples=203, n_classes=3, **options):
    """Features of different units, the last one mostly zeros."""
    X, y, s = problems.problem(n_samples, n_classes=n_classes, **options)
    X = X.astype(np.float64) * UNITS + ORIGIN
    X[:, 4] *= X[:, 4] > 1
    return X, y, s


X, Y, S = problem()
CENTRED = X - ORIGIN
FACTORS = 2.0 ** np.array([0, -5, 6, -2, 1])  # which round nothing


def estimator(optimizer="sgd", **parameters):
    """A classifier; lbfgs is to find the optimum, of which there is one."""
    if optimizer == "lbfgs":
        parameters = {"alpha": 0.01, "epochs": 100} | parameters
    return problems.estimator(optimizer=optimizer, **parameters)


def standard(*arguments, **parameters):
    return estimator(*arguments, rescale="standard", **parameters)


class Piped:
    """What users do without rescale="standard"."""

    def __init__(self, *arguments, **parameters):
        self.pipeline = make_pipeline(
            StandardScaler(), estimator(*arguments, **parameters)
        )
        self.scaler, self.clf = self.pipeline[0], self.pipeline[-1]

    def fit(self, X, y, sample_weight=None, **arguments):
        rows = self.scaler.fit(X, sample_weight=sample_weight).transform(X)
        if "X_val" in arguments:
            arguments["X_val"] = self.scaler.transform(arguments["X_val"])
        self.clf.fit(rows, y, sample_weight, **arguments)
        return self


def assert_equal_models(clf, piped, X=X, *, precision=DOUBLE, optimum=False):
    """The statistics, the weights, the losses and the probabilities are the same.

    Two searches for an optimum end where it is flat: probabilities tell them apart less
    than the weights.
    """
    scaler, theirs = piped.scaler, piped.clf
    tolerance = 1e-5 if precision == SINGLE else 1e-8 if optimum else 1e-10
    np.testing.assert_allclose(clf.mean_, scaler.mean_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(clf.scale_, scaler.scale_, rtol=1e-12)
    dense = X.toarray() if sparse.issparse(X) else X
    expected = theirs.predict_proba(scaler.transform(dense))
    np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=0, atol=tolerance)
    if not optimum:
        W = clf.coef_ * clf.scale_
        b = clf.intercept_ + clf.coef_.astype(np.float64) @ clf.mean_
        size = {"rtol": 0, "atol": tolerance * abs(theirs.coef_).max()}
        np.testing.assert_allclose(W, theirs.coef_, **size)
        np.testing.assert_allclose(b, theirs.intercept_, **size)
        losses = theirs.history_.filter(like="loss")
        ours = clf.history_[losses.columns]
        np.testing.assert_allclose(ours, losses, rtol=10 * tolerance)


# One fit


@pytest.mark.parametrize(
    "optimizer", mostly_slow(["sgd", "lbfgs"], ("momentum",), ("nesterov",), ("adam",))
)
@pytest.mark.parametrize("fit_intercept", mostly_slow([True], (False,)))
@pytest.mark.parametrize("n_classes", mostly_slow([3], (2,)))
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_it_equals_a_pipeline(optimizer, fit_intercept, n_classes, kind):
    X, y, s = problem(n_classes=n_classes)
    options = {"fit_intercept": fit_intercept, "alpha": 0.01}
    clf = standard(optimizer, **options).fit(kind(X), y, s)
    piped = Piped(optimizer, **options).fit(X, y, s)
    assert_equal_models(clf, piped, kind(X), optimum=optimizer == "lbfgs")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize(
    "dtype", mostly_slow([np.uint8], (np.float32,), (bool,), (np.int64,), (np.int16,))
)
def test_every_dtype_is_standardised(optimizer, kind, dtype):
    rows = (40 * (X - ORIGIN) / UNITS + 60).clip(0, 255).astype(dtype)
    if dtype is bool:
        rows = X.mean(axis=0) < X
    clf = standard(optimizer).fit(kind(rows), Y)
    assert clf.coef_.dtype == clf.intercept_.dtype
    is_long = dtype == np.int64 and optimizer == "lbfgs"
    assert clf.coef_.dtype == (np.float64 if is_long else np.float32)
    assert clf.mean_.dtype == clf.scale_.dtype == np.float64
    piped = Piped(optimizer).fit(rows.astype(np.float64), Y)
    optimum = optimizer == "lbfgs"
    assert_equal_models(clf, piped, kind(rows), precision=SINGLE, optimum=optimum)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
@pytest.mark.parametrize("kind", mostly_slow([np.asarray], (sparse.csr_array,)))
def test_features_that_do_not_vary_have_no_part(optimizer, kind):
    rows = np.column_stack([X, np.full((len(X), 2), [0.0, 0.1])])
    clf = standard(optimizer).fit(kind(rows), Y)
    piped = Piped(optimizer).fit(rows, Y)
    assert_equal_models(clf, piped, kind(rows), optimum=optimizer == "lbfgs")
    np.testing.assert_array_equal(clf.scale_[-2:], 1)
    np.testing.assert_allclose(clf.coef_[:, -2:], 0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_soft_labels_are_standardised_alike(optimizer):
    soft = np.random.default_rng(0).dirichlet(np.ones(3), len(X))
    clf = standard(optimizer).fit(X, soft, S)
    piped = Piped(optimizer).fit(X, soft, S)
    assert_equal_models(clf, piped, optimum=optimizer == "lbfgs")


@pytest.mark.parametrize("kind", mostly_slow([np.asarray], (sparse.csr_array,)))
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_weights_equal_repetition(optimizer, kind):
    weights = np.arange(len(X)) % 3
    options = {"batch_size": 1000, "epochs": 20, "shuffle": False}
    clf = standard(optimizer, **options).fit(kind(X), Y, weights)
    rows, labels = (np.repeat(each, weights, axis=0) for each in (X, Y))
    same = standard(optimizer, **options).fit(kind(rows), labels)
    np.testing.assert_allclose(clf.mean_, same.mean_, rtol=1e-12)
    np.testing.assert_allclose(clf.scale_, same.scale_, rtol=1e-12)
    probabilities = [each.predict_proba(X) for each in (clf, same)]
    np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-8)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 5.0}])
@pytest.mark.parametrize("weights", [None, S], ids=["none", "weights"])
def test_class_weights_have_no_part_in_the_statistics(class_weight, weights):
    clf = standard(class_weight=class_weight).fit(X, Y, weights)
    plain = standard().fit(X, Y, weights)
    np.testing.assert_array_equal(clf.mean_, plain.mean_)
    np.testing.assert_array_equal(clf.scale_, plain.scale_)
    assert_equal_models(clf, Piped(class_weight=class_weight).fit(X, Y, weights))


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_held_out_rows_are_scaled_as_the_training_rows(optimizer):
    X_val, y_val, s_val = problem(97, seed=1)
    held_out = {"X_val": X_val, "y_val": y_val, "sample_weight_val": s_val}
    clf = standard(optimizer).fit(X, Y, **held_out)
    piped = Piped(optimizer).fit(X, Y, **held_out)
    assert_equal_models(clf, piped, optimum=optimizer == "lbfgs")
    losses = [each.history_.val_loss.iloc[-1] for each in (clf, piped.clf)]
    np.testing.assert_allclose(*losses, rtol=1e-8)


def test_early_stopping_takes_the_statistics_of_the_rows_trained_on():
    clf = standard(early_stopping=True, shuffle=False, epochs=60, tol=0.01)
    clf.fit(X, Y, S)
    problem = prepare([clf], X, Y, S)
    train, held_out = problem.dataset.index, problem.held_out.index
    assert set(train).isdisjoint(held_out)
    piped = Piped(early_stopping=True, shuffle=False, epochs=60, tol=0.01).fit(
        X[train],
        Y[train],
        S[train],
        X_val=X[held_out],
        y_val=Y[held_out],
        sample_weight_val=S[held_out],
    )
    assert_equal_models(clf, piped)


# Fits that resume


@pytest.mark.slow
@pytest.mark.parametrize("kind", mostly_slow([np.asarray], (sparse.csr_array,)))
@pytest.mark.parametrize("optimizer", mostly_slow(["adam"], ("sgd",), ("nesterov",)))
def test_partial_fit_keeps_the_statistics_of_the_first_call(optimizer, kind):
    clf, piped = standard(optimizer), Piped(optimizer)
    for part in (slice(0, 80), slice(80, 100), slice(100, None)):
        clf.partial_fit(kind(X[part]), Y[part], [0, 1, 2], S[part])
        if part.start == 0:
            piped.scaler.fit(X[part], sample_weight=S[part])
        rows = piped.scaler.transform(X[part])
        piped.clf.partial_fit(rows, Y[part], [0, 1, 2], S[part])
    assert_equal_models(clf, piped)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_warm_start_keeps_the_statistics_of_the_first_fit(optimizer):
    first, then = slice(0, 120), slice(120, None)
    clf, piped = standard(optimizer, warm_start=True), Piped(optimizer, warm_start=True)
    clf.fit(X[first], Y[first])
    piped.fit(X[first], Y[first])
    piped.clf.fit(piped.scaler.transform(X[then]), Y[then])
    mean = clf.mean_
    clf.fit(X[then], Y[then])
    np.testing.assert_array_equal(clf.mean_, mean)
    assert_equal_models(clf, piped, optimum=optimizer == "lbfgs")


def test_a_new_fit_has_new_statistics():
    other, labels, _ = problem(150, seed=3)
    clf = standard().fit(X, Y).fit(other, labels)
    assert_same_bits(clf, standard().fit(other, labels))
    np.testing.assert_allclose(clf.mean_, other.mean(axis=0))


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("standard", None, r"it was 'standard' and is now 1\.0"),
        (0.5, "standard", r"it was 0\.5 and is now 'standard'"),
        (
            "standard",
            FACTORS,
            r"it was 'standard' and is now \(1\.0, 0\.03125, 64\.0, ",
        ),
        (FACTORS, FACTORS / 2, r"it was \(1\.0, 0\..* is now \(0\.5, 0\.015625, 32"),
    ],
    ids=["None", "'standard'", "an array", "another array"],
)
def test_another_scaling_cannot_resume(before, now, words):
    clf = estimator(rescale=before, warm_start=True, learning_rate=1e-4)
    clf.fit(CENTRED, Y).set_params(rescale=now)
    for resume in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError, match=f"rescale can't change .* {words}"):
            resume(CENTRED, Y)


def test_the_same_factors_in_another_container_resume():
    once = estimator(rescale=FACTORS, epochs=6).fit(CENTRED, Y)
    clf = estimator(rescale=list(FACTORS), warm_start=True).fit(CENTRED, Y)
    assert_same_bits(clf.set_params(rescale=pd.Series(FACTORS)).fit(CENTRED, Y), once)


# A factor for each feature


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("container", [np.asarray, list, tuple, pd.Series])
def test_a_factor_for_each_feature_equals_scaled_rows(optimizer, container):
    clf = estimator(optimizer, rescale=container(FACTORS)).fit(CENTRED, Y, S)
    theirs = estimator(optimizer).fit(CENTRED * FACTORS, Y, S)
    assert clf.mean_ is None
    np.testing.assert_array_equal(clf.scale_, 1 / FACTORS)
    optimum = {"rtol": 0, "atol": 1e-8 if optimizer == "lbfgs" else 1e-10}
    expected = theirs.predict_proba(CENTRED * FACTORS)
    np.testing.assert_allclose(clf.predict_proba(CENTRED), expected, **optimum)
    np.testing.assert_allclose(clf.coef_ / FACTORS, theirs.coef_, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", mostly_slow([np.asarray], (sparse.csr_array,)))
def test_equal_factors_are_one_number(optimizer, kind):
    rows = kind(CENTRED)
    clf = estimator(optimizer, rescale=np.full(5, 0.25)).fit(rows, Y)
    number = estimator(optimizer, rescale=0.25).fit(rows, Y)
    np.testing.assert_allclose(clf.coef_, number.coef_, rtol=1e-6, atol=1e-9)
    assert number.scale_ == 4


def test_factors_of_another_length_are_an_error_of_fit():
    clf = estimator(rescale=[1.0, 2.0])
    words = r"rescale must be a number or an array .* 5 features; got 2 numbers"
    for fit in (clf.fit, lambda X, y: clf.partial_fit(X, y, [0, 1, 2])):
        with pytest.raises(ValueError, match=words):
            fit(X, Y)


def test_factors_too_small_for_a_scale_warn_of_nothing():
    clf = estimator(rescale=[5e-324] * 5).fit(X, Y)
    np.testing.assert_array_equal(clf.scale_, np.inf)


# The optimum


@pytest.mark.parametrize("fit_intercept", mostly_slow([True], (False,)))
@pytest.mark.parametrize("kind", mostly_slow([np.asarray], (sparse.csr_array,)))
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_dual_gap_is_that_of_the_standardised_rows(optimizer, kind, fit_intercept):
    options = {"alpha": 0.01, "fit_intercept": fit_intercept}
    clf = standard(optimizer, **options).fit(kind(X), Y, S)
    gap = dual_gap(clf, kind(X), Y, S)
    scaled = (X - clf.mean_) / clf.scale_
    theirs = estimator(optimizer, **options).fit(scaled, Y)
    theirs.coef_ = clf.coef_ * clf.scale_
    theirs.intercept_ = clf.intercept_ + clf.coef_ @ clf.mean_
    expected = dual_gap(theirs, scaled, Y, S)
    if optimizer == "lbfgs":
        assert max(gap, expected, clf.dual_gap_) < 1e-9
    else:
        assert gap == pytest.approx(expected, rel=1e-8)


# Searches


GRID = {"learning_rate": [0.01, 0.1, 1.0], "alpha": [0.0, 0.01]}
OFFSET = {"rescale": [None, "standard"], "learning_rate": [1e-5, 0.1]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", mostly_slow([np.asarray], (sparse.csr_array,)))
def test_searches_score_as_those_of_scikit_learn(kind):
    # Lazy steps on sparse rows round with the models beside them.
    both(standard(), GRID, kind(X), return_train_score=True, atol=1e-10)
    weighted = {"fit_params": {"sample_weight": S}}
    both(estimator(epochs=2), OFFSET, kind(X), **weighted, atol=1e-10)
    spread = {"learning_rate": loguniform(0.01, 1)}
    both(standard(), spread, kind(X), n_iter=3, random_state=0, atol=1e-10)
    both(standard("lbfgs", tol=1e-3), {"alpha": [0.01, 0.1]}, kind(X), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "search",
    [
        TFSoftmaxGridSearchCV,
        lambda clf, grid, **options: TFSoftmaxRandomizedSearchCV(
            clf, grid, n_iter=6, random_state=0, **options
        ),
        GridSearchCV,
    ],
    ids=["grid", "randomized", "scikit-learn"],
)
def test_each_fold_has_its_own_statistics(search):
    """Otherwise scores would differ from those of a pipeline, which has no leak."""
    # In order, so that the folds have different means.
    order = np.argsort(X[:, 1])
    options = {"scoring": "neg_log_loss", "refit": False, "cv": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = search(standard(), GRID, **options).fit(X[order], Y[order])
        grid = {f"tfsoftmaxclassifier__{name}": GRID[name] for name in GRID}
        pipeline = Piped().pipeline
        theirs = search(pipeline, grid, **options).fit(X[order], Y[order])
    key = "split{}_test_score"
    for fold in range(3):
        scores = [each.cv_results_[key.format(fold)] for each in (ours, theirs)]
        np.testing.assert_allclose(*map(np.sort, scores), rtol=1e-9)


@pytest.mark.slow
def test_arrays_are_searched_over_as_anything_else():
    factors = [1 / UNITS, np.full(5, 0.02), 0.02, "standard", None]
    grid = {"rescale": factors, "learning_rate": [1e-5, 1e-3]}
    ours, _ = both(estimator(epochs=2), grid)
    assert ours.best_params_["rescale"] is not None


# Parameters


@pytest.mark.parametrize(
    "rescale", ["standard", FACTORS, FACTORS.tolist()], ids=["word", "array", "list"]
)
def test_it_is_a_parameter_like_any_other(rescale):
    clf = estimator(rescale=rescale)
    assert clf.get_params()["rescale"] is rescale
    assert "rescale=" in repr(clf)
    copy = clone(clf)
    np.testing.assert_array_equal(copy.rescale, rescale)
    copy.fit(CENTRED, Y)
    again = clone(copy.set_params(rescale=0.5).set_params(rescale=rescale))
    assert_same_bits(again.fit(CENTRED, Y), copy)


@views
@pytest.mark.parametrize("rescale", ["standard", FACTORS], ids=["word", "array"])
def test_the_html_view_shows_it(rescale):
    clf = estimator(rescale=rescale)
    assert "rescale" in clf._repr_html_()
    view = clf.fit(CENTRED, Y)._repr_html_()
    assert "mean_" in view
    assert "scale_" in view


def test_an_array_is_neither_changed_nor_shared():
    factors = FACTORS.copy()
    clf = estimator(rescale=factors).fit(CENTRED, Y)
    np.testing.assert_array_equal(factors, FACTORS)
    factors *= 2
    clf.set_params(rescale=FACTORS).partial_fit(CENTRED, Y)
    once = estimator(rescale=FACTORS, epochs=4).fit(CENTRED, Y)
    assert_same_bits(clf, once)


def test_the_defaults_fit_of_standardised_bytes_learns(digits):
    rows, y = (digits[0] * 16).astype(np.uint8), digits[1]
    clf = classic(rescale="standard", random_state=0).fit(rows, y)
    assert clf.score(rows, y) > 0.9
