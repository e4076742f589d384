"""What holds for every problem: the estimator as a whole, on problems that are drawn.

A property is a function of a `Case`; each is tried on many. Coefficients are compared
to the bit where the arithmetic is the same, and to rounding where it is in another
order.
"""

from __future__ import annotations

import dataclasses
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tests import reference
from tests.assertions import assert_same_bits, assert_same_model
from tests.generated import run
from tests.problems import classic

N_SAMPLES, N_FEATURES = 24, 3
ALL_ROWS = {"batch_size": 10_000}  # at least as many as there ever are
# Adam's steps have a gradient's size divided out: they make more of its rounding.
RTOL = {"float64": 1e-10, "float32": 2e-3, "uint8": 2e-3}

# (dtype of X, n_classes, fit_intercept, optimizer): few, for each is compiled for.
KINDS = [
    ("float64", 3, True, "adam"),
    ("float64", 2, True, "momentum"),
    ("float32", 3, False, "nesterov"),
    ("uint8", 3, True, "sgd"),
    ("float64", 3, True, "sgd"),
    ("float64", 4, False, "nesterov"),
    ("float32", 2, False, "adam"),
]
PARAMETERS = st.fixed_dictionaries(
    {
        "batch_size": st.sampled_from([7, 10_000]),
        "learning_rate": st.sampled_from([0.5, 0.1, 0.01]),
        "learning_rate_schedule": st.sampled_from(["constant", "cosine"]),
        "alpha": st.sampled_from([0.0, 0.01, 1.0]),
        "l1_ratio": st.sampled_from([0.0, 0.5]),
        "shuffle": st.booleans(),
        "random_state": st.integers(0, 2**32 - 1),
        "epochs": st.just(3),
    }
)


PROPERTIES = []


def holds_always(function):
    PROPERTIES.append(function)
    return function


@dataclasses.dataclass(frozen=True)
class Case:
    """A problem, parameters to solve it with, and what else is drawn."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    n_classes: int
    parameters: dict
    rng: np.random.Generator

    @property
    def rtol(self):
        return RTOL[self.X.dtype.name]

    def model(self, **changes):
        return classic(**self.parameters | changes)

    def fitted(self, **changes):
        return self.model(**changes).fit(self.X, self.y, self.weights)


@st.composite
def cases(draw, kinds):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype, n_classes, fit_intercept, optimizer = draw(st.sampled_from(kinds))
    X = rng.normal(size=(N_SAMPLES, N_FEATURES))
    scores = X @ rng.normal(size=(N_FEATURES, n_classes))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)  # so that there is one of each
    parameters = draw(PARAMETERS) | {"optimizer": optimizer}
    parameters["fit_intercept"] = fit_intercept
    if dtype == "uint8":
        X = rng.integers(0, 64, X.shape)
        parameters |= {"rescale": 1 / 32}
    equal, unequal = np.ones(len(X)), rng.uniform(0.1, 3, len(X))
    weights = draw(st.sampled_from([equal, unequal]))
    if optimizer == "adam":
        # Classes that are equally frequent have intercepts with no gradient but for
        # its rounding, of which Adam, dividing by its size, makes whole steps.
        weights = unequal
    return Case(X.astype(dtype), y, weights, n_classes, parameters, rng)


def assert_close(actual, expected, rtol, atol=0.0):
    """Every number is as expected, to a share of the largest."""
    size = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * size + atol)


def with_huge_logits(case):
    """A model that was fitted, with weights set by hand: logits of up to 1e6."""
    clf, size = case.fitted(), 10 ** case.rng.uniform(-3, 6)
    coef = case.rng.normal(size=clf.coef_.shape)
    logits = np.abs(case.X @ coef.T).max()
    clf.coef_ = (coef * (size / logits)).astype(clf.coef_.dtype)
    return clf


# Predicting


@holds_always
def probabilities_are_probabilities(case):
    clf = with_huge_logits(case)
    p, log_p = clf.predict_proba(case.X), clf.predict_log_proba(case.X)
    eps = np.finfo(p.dtype).eps
    assert p.dtype == log_p.dtype == clf.coef_.dtype
    assert (p >= 0).all()
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=8 * eps)
    z = clf.decision_function(case.X).astype(np.float64)
    z = np.column_stack([0 * z, z]) if case.n_classes == 2 else z
    expected = log_softmax(z, axis=1)
    np.testing.assert_allclose(log_p, expected, rtol=8 * eps, atol=8 * eps)
    rounding = eps * (8 - 4 * expected) * np.exp(expected)
    assert (np.abs(p - np.exp(expected)) <= rounding + 1e-37).all()
    assert (clf.predict(case.X) == expected.argmax(axis=1)).all()


@holds_always
def decisions_are_a_matrix_product(case):
    clf = case.fitted()
    expected = np.float64(case.X) @ np.float64(clf.coef_.T) + clf.intercept_
    expected = expected[:, 0] if case.n_classes == 2 else expected
    assert_close(
        clf.decision_function(case.X), expected, 1e-5 * (case.rtol > 1e-5), 1e-5
    )


@holds_always
def a_constant_on_all_logits_changes_no_probability(case):
    clf, moved = case.fitted(), case.fitted()
    if case.n_classes > 2:  # with two, the first class's logit is 0
        moved.intercept_ += clf.coef_.dtype.type(case.rng.uniform(-100, 100))
    eps = np.finfo(clf.coef_.dtype).eps
    before, after = (c.predict_proba(case.X) for c in (clf, moved))
    np.testing.assert_allclose(after, before, rtol=500 * eps)


@holds_always
def a_row_is_predicted_as_it_is_among_others(case):
    clf, i = with_huge_logits(case), case.rng.integers(N_SAMPLES)
    rows = slice(i, i + case.rng.integers(1, 5))
    for method in (clf.decision_function, clf.predict_log_proba):
        assert_close(method(case.X[rows]), method(case.X)[rows], 8 * case.rtol / 1e3)


@holds_always
def sparse_rows_are_predicted_like_dense_ones(case):
    clf = with_huge_logits(case)
    X = case.X * (case.rng.random(case.X.shape) < 0.5)
    X = X.astype(case.X.dtype)
    for method in (clf.decision_function, clf.predict_log_proba):
        assert_close(method(sparse.csr_array(X)), method(X), case.rtol / 1e3, 1e-5)


# Fitting


@holds_always
def the_order_of_classes_permutes_the_answer(case):
    order = case.rng.permutation(case.n_classes)
    one, other = case.fitted(), case.model().fit(case.X, order[case.y], case.weights)
    sign = [1, -1][order[0]] if case.n_classes == 2 else 1
    rows = order if case.n_classes > 2 else [0]
    assert_close(sign * other.coef_[rows], one.coef_, case.rtol)
    assert_close(sign * other.intercept_[rows], one.intercept_, case.rtol)
    p, q = one.predict_proba(case.X), other.predict_proba(case.X)
    assert_close(q[:, order], p, case.rtol)


@holds_always
def names_of_classes_change_no_bit(case):
    names = np.array([f"class {k}" for k in range(case.n_classes)])  # in their order
    one, other = case.fitted(), case.model().fit(case.X, names[case.y], case.weights)
    assert (other.predict(case.X) == names[one.predict(case.X)]).all()
    other.classes_ = one.classes_
    assert_same_bits(other, one)


@holds_always
def weights_equal_repetition(case):
    """Where one batch holds all rows; a row of weight 0 is one left out."""
    repeats = np.ones(N_SAMPLES, int)
    others = np.arange(N_SAMPLES - case.n_classes) % 4
    repeats[case.n_classes :] = case.rng.permutation(others)
    weighted = case.model(**ALL_ROWS).fit(case.X, case.y, repeats)
    X, y = (np.repeat(a, repeats, axis=0) for a in (case.X, case.y))
    repeated = case.model(**ALL_ROWS).fit(X, y)
    assert_same_model(weighted, repeated, case.rtol)


@holds_always
def only_ratios_of_weights_matter(case):
    doubled = case.model().fit(case.X, case.y, case.weights * 2)
    assert_same_bits(doubled, case.fitted())
    times_three = case.model().fit(case.X, case.y, case.weights * 3)
    assert_same_model(times_three, case.fitted(), case.rtol)


@holds_always
def a_column_of_zeros_changes_nothing(case):
    # A constant other than 0 does: its weight is a second intercept, which learns at
    # another rate, and is penalised.
    column = case.rng.integers(N_FEATURES + 1)
    X = np.insert(case.X, column, 0, axis=1)
    wider, one = case.model().fit(X, case.y, case.weights), case.fitted()
    assert (wider.coef_[:, column] == 0).all()
    wider.coef_ = np.delete(wider.coef_, column, axis=1)
    # Not to the bit: four products are added up in another order than three.
    assert_same_model(wider, one, case.rtol)


@holds_always
def a_column_of_ones_is_an_intercept(case):
    """Where nothing is penalised; ones are 1/rescale in the units of X."""
    rescale = case.parameters.get("rescale", 1.0)
    plain = {"optimizer": "sgd", "alpha": 0.0}
    one = case.fitted(**plain, fit_intercept=True)
    X = np.insert(case.X, N_FEATURES, 1 / rescale, axis=1)
    other = case.model(**plain, fit_intercept=False).fit(X, case.y, case.weights)
    assert (other.intercept_ == 0).all()
    other.intercept_ = other.coef_[:, N_FEATURES] / rescale
    other.coef_ = other.coef_[:, :N_FEATURES]
    assert_same_model(other, one, case.rtol)


@holds_always
def a_scale_by_a_power_of_two_changes_no_bit(case):
    c = case.rng.choice([2, 4] if case.X.dtype == np.uint8 else [2**-9, 0.5, 2, 2**7])
    rescale = case.parameters.get("rescale", 1.0)
    X = (case.X * c).astype(case.X.dtype)
    other = case.model(rescale=rescale / c).fit(X, case.y, case.weights)
    p = other.predict_proba(X)
    other.coef_ = (other.coef_ * c).astype(other.coef_.dtype)
    assert_same_bits(other, case.fitted())
    np.testing.assert_array_equal(p, case.fitted().predict_proba(case.X))


@holds_always
def a_scale_changes_nothing_but_the_unit(case):
    c = 3 if case.X.dtype == np.uint8 else case.rng.uniform(0.01, 100)
    rescale = case.parameters.get("rescale", 1.0)
    X = (case.X * c).astype(case.X.dtype)
    other = case.model(rescale=rescale / c).fit(X, case.y, case.weights)
    other.coef_ = other.coef_ * c
    assert_same_model(other, case.fitted(), case.rtol)


@holds_always
def the_order_of_rows_does_not_matter_to_a_full_batch(case):
    order = case.rng.permutation(N_SAMPLES)
    rows = (a[order] for a in (case.X, case.y, case.weights))
    assert_same_model(
        case.model(**ALL_ROWS).fit(*rows), case.fitted(**ALL_ROWS), case.rtol
    )


@holds_always
def the_same_seed_gives_the_same_bits(case):
    clf = case.fitted()
    assert_same_bits(case.fitted(), clf)
    assert_same_bits(clone(clf).fit(case.X, case.y, case.weights), clf)
    assert_same_bits(pickle.loads(pickle.dumps(clf)), clf)


@holds_always
def a_pickle_resumes_to_the_bit(case):
    clf = case.fitted(learning_rate_schedule="constant")
    other = pickle.loads(pickle.dumps(clf))
    for model in (clf, other):
        model.partial_fit(case.X, case.y, sample_weight=case.weights)
    assert_same_bits(other, clf)


@holds_always
def partial_fits_are_one_fit(case):
    streamed = case.model()
    for _ in range(case.parameters["epochs"]):
        streamed.partial_fit(case.X, case.y, range(case.n_classes), case.weights)
    assert_same_bits(streamed, case.fitted())


@holds_always
def sparse_rows_train_like_dense_ones(case):
    X = (case.X * (case.rng.random(case.X.shape) < 0.5)).astype(case.X.dtype)
    both = (case.model().fit(A, case.y, case.weights) for A in (sparse.csr_array(X), X))
    assert_same_model(*both, case.rtol)


@holds_always
def the_dtype_changes_only_the_rounding(case):
    # Adam divides a gradient by its size, also one that is all rounding.
    is_adam = case.parameters["optimizer"] == "adam"
    model = case.model(optimizer="sgd") if is_adam else case.model()
    X = case.X.astype(np.float32)
    single = clone(model).fit(X, case.y, case.weights)
    double = clone(model).fit(X.astype(np.float64), case.y, case.weights)
    assert_same_model(single, double, RTOL["float32"])


@holds_always
def lbfgs_finds_the_optimum(case):
    alpha, rescale = case.rng.choice([0.01, 0.1, 1]), case.parameters.get("rescale")
    clf = classic(optimizer="lbfgs", alpha=alpha, epochs=1000, rescale=rescale)
    X, s = case.X.astype(np.float64), case.weights
    clf.fit(X, case.y, s)
    r = rescale or 1.0
    dW, db = reference.gradient(
        X * r, case.y, s, clf.coef_ / r, clf.intercept_, case.n_classes
    )
    # F is flat to its last bit where its gradient is about the root of that.
    assert_close(dW / s.sum() + alpha * clf.coef_ / r, 0, 0, 1e-7)
    assert_close(db / s.sum(), 0, 0, 1e-7)
    other = LogisticRegression(C=1 / (alpha * s.sum()), tol=1e-8, max_iter=10_000)
    with threadpool_limits(1):  # two threads take ten times as long on busy cores
        other.fit(X * r, case.y, s)
    assert_close(clf.coef_ / r, other.coef_, 1e-4, 1e-6)
    assert_close(clf.predict_proba(X), other.predict_proba(X * r), 1e-5)


UNITS = [
    "plain",
    "tiny",
    "huge",
    "far from 0",
    "heavy tails",
    "constant",
    "copy",
    "rare",
]


@st.composite
def badly_scaled_tables(draw):
    """X, y, weights and alpha: columns of any unit, also collinear ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_features, n_classes = draw(st.sampled_from([(40, 3, 2), (60, 4, 3)]))
    X = rng.normal(size=(n, n_features))
    for j in range(n_features):
        unit = draw(st.sampled_from(UNITS))
        if unit == "tiny":
            X[:, j] *= 1e-8
        elif unit == "huge":
            X[:, j] *= 1e8
        elif unit == "far from 0":
            X[:, j] += 1e8
        elif unit == "heavy tails":
            X[:, j] = np.exp(3 * X[:, j])
        elif unit == "constant":
            X[:, j] = draw(st.sampled_from([0.0, 0.1, 1e8]))
        elif unit == "copy":
            X[:, j] = X[:, 0] * draw(st.sampled_from([1.0, -3.0]))
        elif unit == "rare":
            X[:, j] = np.arange(n) == rng.integers(n)
    size = np.where(np.ptp(X, axis=0) > 0, X.std(axis=0), 1)
    scores = (X - X.mean(axis=0)) / size @ rng.normal(size=(n_features, n_classes))
    scores *= draw(st.sampled_from([0.3, 3.0]))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    weights = draw(st.sampled_from([np.ones(n), 10 ** rng.uniform(-3, 3, n)]))
    alpha = 1 / (draw(st.sampled_from([0.01, 1.0, 100.0, 1e6])) * weights.sum())
    return X, y, weights, alpha, draw(st.sampled_from([None, 1e-4, 1e-2]))


def newton(X, y, s, alpha, n_classes):
    """min F by damped Newton steps on standardised columns, and R weight rows."""
    s, n_rows = s / s.sum(), 1 if n_classes == 2 else n_classes
    Z = X - X[0]  # exactly 0 where X is constant
    Z -= s @ Z
    scale = np.sqrt(s @ Z**2)
    varies = scale > 1e-12 * abs(X).max(axis=0)
    Z = np.column_stack([Z[:, varies] / scale[varies], np.ones(len(X))])
    penalty = np.tile(np.append(alpha / scale[varies] ** 2, 0.0), n_rows)
    T, v = np.eye(n_classes)[y], np.zeros(len(penalty))

    def log_p(v):
        z = Z @ v.reshape(n_rows, -1).T
        return log_softmax(np.column_stack([0 * z, z]) if n_rows == 1 else z, axis=1)

    def value(v):
        return -s @ (T * log_p(v)).sum(axis=1) + penalty @ v**2 / 2

    for _ in range(200):
        P = np.exp(log_p(v))
        gradient = (((P - T) * s[:, None])[:, -n_rows:].T @ Z).ravel() + penalty * v
        P = P[:, -n_rows:]
        curvature = P[:, :, None] * (np.eye(n_rows) - P[:, None, :]) * s[:, None, None]
        H = np.einsum("nij,nk,nl->ikjl", curvature, Z, Z).reshape(2 * (len(v),))
        H += np.diag(penalty)
        size = np.sqrt(np.maximum(H.diagonal(), 1e-300))
        scaled = H / size / size[:, None] + 1e-12 * np.eye(len(v))
        step, length = np.linalg.solve(scaled, gradient / size) / size, 1.0
        while not value(v - length * step) < value(v) and length > 1e-9:
            length /= 2
        if length <= 1e-9:
            break
        v = v - length * step
    return value(v)


def lbfgs_ends_at_the_minimum_or_warns(table):
    """Whatever ended it: without a warning, F is at most 1e-4 above its minimum."""
    X, y, s, alpha, tol = table
    clf = classic(optimizer="lbfgs", alpha=alpha, epochs=1000, tol=tol)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        clf.fit(X, y, s)
    assert {each.category for each in warned} <= {ConvergenceWarning}
    n_classes = len(clf.classes_)
    z = reference.logits(X, clf.coef_, clf.intercept_, n_classes)
    losses = -log_softmax(z, axis=1)[np.arange(len(y)), y]
    F = s @ losses / s.sum() + alpha / 2 * (clf.coef_**2).sum()
    with threadpool_limits(1):
        best = newton(X, y, s, alpha, n_classes)
    # Logits of several columns of 1e8 ± 1 with large weights have 1e-6 of rounding, as
    # they are computed here, not centred; losses have 1e-16.
    rounding = 1e-5 * F + 1e-13
    assert F - best <= clf.dual_gap_ + rounding
    assert warned or F - best <= 1e-4 * best + 1e-13


@pytest.mark.parametrize("n_tables", [25, pytest.param(400, marks=pytest.mark.slow)])
def test_lbfgs_ends_at_the_minimum_or_warns(n_tables):
    run(badly_scaled_tables(), lbfgs_ends_at_the_minimum_or_warns, n_tables)


N_CASES = 100


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.slow
@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda holds: holds.__name__)
def test_a_property_holds(holds):
    run(cases(KINDS), holds, N_CASES)
