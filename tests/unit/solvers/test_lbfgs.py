"""The optimum and the penalties, against scikit-learn's LogisticRegression."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sklearn
from scipy import sparse
from scipy.special import expit
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.fixes import parse_version
from threadpoolctl import threadpool_limits

from tests import reference
from tests.problems import classic, mostly_slow, problem
from tfsoftmax.engine.full_batch import FullBatch

X, Y, S = problem(300, 6)

# From 1.8 on, l1_ratio alone says which penalty.
OLD_API = parse_version(sklearn.__version__) < parse_version("1.8")


def objective(clf, X, y, s=None, *, alpha=0.0, l1_ratio=0.0, rescale=1.0):
    """F of the design, in float64; coef_ is `rescale` times the W that is penalised."""
    s = np.ones(len(X)) if s is None else s
    # np.float64 of one number is a scalar in NumPy 2.0, whatever its shape.
    coef, intercept = (a.astype(np.float64) for a in (clf.coef_, clf.intercept_))
    W, n_classes = coef / rescale, len(clf.classes_)
    losses = reference.cross_entropy(np.float64(X), y, coef, intercept, n_classes)
    penalty = (1 - l1_ratio) / 2 * (W**2).sum() + l1_ratio * abs(W).sum()
    return s @ losses / s.sum() + alpha * penalty


def assert_same_optimum(one, other, rtol):
    size = abs(other.coef_).max()
    assert abs(one.coef_ - other.coef_).max() <= rtol * size
    difference = one.intercept_ - other.intercept_
    if len(one.classes_) > 2:  # a constant on all changes no probability
        difference -= difference.mean()
    assert abs(difference).max() <= rtol * size


def lbfgs(alpha, **parameters):
    return classic(
        **{"optimizer": "lbfgs", "alpha": alpha, "epochs": 10_000, **parameters}
    )


def logistic_regression(C, X, y, s=None, **parameters):
    parameters = {"C": C, "tol": 1e-8, "max_iter": 10_000, **parameters}
    # On two busy cores its small products take ten times as long in two threads.
    with threadpool_limits(1):
        return LogisticRegression(**parameters).fit(X, y, s)


@pytest.fixture(scope="module")
def problems(digits, mnist):
    X, y = digits
    images, labels = mnist[0][:2000] / 255, mnist[1][:2000]
    three_or_eight = np.isin(labels, (3, 8))
    return {
        "digits": (X, y),
        "digits, two classes": (X, (y >= 5).astype(int)),
        "MNIST": (images, labels),
        "MNIST, two classes": (
            images[three_or_eight],
            (labels[three_or_eight] == 8).astype(int),
        ),
    }


CASES = mostly_slow(
    [("digits", 0.01, True), ("digits, two classes", 1, True)],
    *(("digits", 1, False), ("digits", 100, True)),
    *(
        (f"{data}, two classes", C, weighted)
        for data in ("digits", "MNIST")
        for C in (0.01, 1, 100)
        for weighted in (False, True)
        if (data, C, weighted) != ("digits", 1, True)
    ),
    # One case is enough of what takes seconds; two would show no more.
    ("MNIST", 0.01, True),
)


@pytest.mark.parametrize(("data", "C", "weighted"), CASES)
def test_the_optimum_is_that_of_logistic_regression(
    problems,
    data,
    C,
    weighted,
):
    X, y = problems[data]
    s = np.random.default_rng(0).uniform(0.1, 3.0, len(X)) if weighted else None
    alpha = 1 / (C * (len(X) if s is None else s.sum()))
    clf = lbfgs(alpha).fit(X, y, s)
    # On MNIST with C=100, tol=1e-8 leaves scikit-learn's coef_ up to 1.4e-4 from the
    # optimum, and ours 1e-5.
    tol = 1e-9 if (data, C) == ("MNIST, two classes", 100) else 1e-8
    expected = logistic_regression(C, X, y, s, tol=tol)
    assert abs(clf.coef_ - expected.coef_).max() <= 1e-4 * abs(expected.coef_).max()
    difference = objective(clf, X, y, s, alpha=alpha) - objective(
        expected, X, y, s, alpha=alpha
    )
    assert abs(difference) < 1e-8


@pytest.mark.parametrize("n_classes", mostly_slow([3], (2,)))
def test_the_optimum_without_an_intercept(n_classes):
    y = np.minimum(Y, n_classes - 1)
    clf = lbfgs(1 / S.sum(), fit_intercept=False).fit(X, y, S)
    expected = logistic_regression(1.0, X, y, S, fit_intercept=False)
    assert_same_optimum(clf, expected, 1e-6)
    np.testing.assert_array_equal(clf.intercept_, 0)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_penalty_is_on_the_weights_of_the_rescaled_features(n_classes):
    y = np.minimum(Y, n_classes - 1)
    clf = lbfgs(0.1, rescale=0.25).fit(X, y, S)
    expected = logistic_regression(10 / S.sum(), X * 0.25, y, S)
    np.testing.assert_allclose(clf.coef_, expected.coef_ * 0.25, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(clf.intercept_, expected.intercept_, atol=1e-6)


def test_the_intercept_is_not_penalised():
    clf = lbfgs(1e6).fit(X, Y, S)
    assert abs(clf.coef_).max() < 1e-5
    shares = np.bincount(Y, S) / S.sum()
    np.testing.assert_allclose(clf.predict_proba(X[:1])[0], shares, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_full_batch_optimizer_ends_at_the_optimum_of_lbfgs(optimizer, n_classes):
    y = np.minimum(Y, n_classes - 1)
    shared = {"alpha": 0.05, "rescale": 0.5}
    clf = classic(
        300,
        0.05 if optimizer == "adam" else 2.0,
        1500,
        optimizer=optimizer,
        momentum=0.5,
        learning_rate_schedule="cosine",
        **shared,
    ).fit(X, y, S)
    expected = lbfgs(**shared).fit(X, y, S)
    assert_same_optimum(clf, expected, 1e-6)


@pytest.fixture(scope="module")
def lasso(digits):
    """Digits without their mean, and what saga makes of them, as a function."""
    X, y = digits
    X, C = X - X.mean(axis=0), 0.1
    penalty = {"penalty": "elasticnet"} if OLD_API else {}

    @cache
    def optimum(l1_ratio):
        shared = {"alpha": 1 / (C * len(X)), "l1_ratio": l1_ratio}
        options = {"solver": "saga", "l1_ratio": l1_ratio, **penalty}
        return logistic_regression(C, X, y, **options), shared

    return X, y, optimum


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "rate", "epochs", "l1_ratio"),
    mostly_slow(
        [("nesterov", 1.0, 300, 0.5)],
        ("sgd", 4.0, 1200, 1),
        ("momentum", 1.0, 500, 1),
        ("nesterov", 1.0, 500, 1),
        ("adam", 0.1, 1000, 1),
    ),
)
def test_l1_gives_the_optimum_and_the_zeros_of_saga(
    lasso, optimizer, rate, epochs, l1_ratio
):
    X, y, optimum_of = lasso
    expected, shared = optimum_of(l1_ratio)
    clf = classic(
        len(X),
        rate,
        epochs,
        optimizer=optimizer,
        learning_rate_schedule="cosine" if optimizer == "adam" else "constant",
        **shared,
    ).fit(X, y)
    reached, optimum = (objective(m, X, y, **shared) for m in (clf, expected))
    assert abs(reached - optimum) < 1e-4
    assert 400 < (expected.coef_ == 0).sum() < 600
    assert ((clf.coef_ == 0) != (expected.coef_ == 0)).sum() <= 3


def test_lbfgs_refuses_an_l1_penalty():
    with pytest.raises(
        ValueError,
        match=r"can't minimise an L1 .*'sgd', 'momentum', 'nesterov', 'adam'",
    ):
        lbfgs(0.1, l1_ratio=0.1).fit(X, Y, S)


def test_lbfgs_refuses_early_stopping():
    with pytest.raises(ValueError, match="early_stopping=True compares epochs, but"):
        lbfgs(0.1, early_stopping=True).fit(X, Y, S)


def test_lbfgs_has_no_partial_fit():
    assert not hasattr(lbfgs(0.1), "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit") as raised:
        lbfgs(0.1).partial_fit(X, Y)
    assert "optimizer='lbfgs' has no epochs" in str(raised.value.__cause__)


def test_the_history_has_an_entry_for_each_iteration():
    clf = lbfgs(0.01).fit(X, Y, S, X_val=X[:50], y_val=Y[:50])
    history = clf.history_
    assert history.index.tolist() == list(range(1, clf.n_iter_ + 1))
    assert history.loss.tolist() == clf.loss_curve_
    assert (history.seconds > 0).all()
    assert "learning_rate" not in history
    assert history.loss.iloc[-1] == pytest.approx(objective(clf, X, Y, S), rel=1e-12)
    assert history.accuracy.iloc[-1] == pytest.approx(clf.score(X, Y, S))
    val_loss = objective(clf, X[:50], Y[:50])
    assert history.val_loss.iloc[-1] == pytest.approx(val_loss, rel=1e-12)
    score = clf.score(X[:50], Y[:50])
    assert history.val_accuracy.iloc[-1] == pytest.approx(score, rel=1e-12)


def test_features_too_large_for_the_loss_are_an_error():
    with pytest.raises(ValueError, match="loss or its gradient became non-finite"):
        lbfgs(0.01).fit(X * 1e300, Y)


def test_epochs_is_the_limit_of_iterations():
    whole = lbfgs(0.01).fit(X, Y, S)
    with pytest.warns(ConvergenceWarning, match="has not converged .* in 3 iterations"):
        clf = lbfgs(0.01, epochs=3).fit(X, Y, S)
    assert clf.n_iter_ == 3 < whole.n_iter_
    assert clf.loss_curve_ == whole.loss_curve_[:3]


def test_tol_bounds_the_gradients_components():
    def largest_component(tol):
        clf = lbfgs(0.01, tol=tol).fit(X, Y, S)
        dW, db = reference.gradient(X, Y, S, clf.coef_, clf.intercept_, 3)
        dW = dW / S.sum() + 0.01 * clf.coef_
        return max(abs(dW).max(), abs(db / S.sum()).max()), clf.n_iter_

    loose, few = largest_component(1e-3)
    tight, more = largest_component(None)
    assert 1e-9 < loose <= 1e-3
    assert tight <= 1e-9
    assert few < more


def newton(X, y, s, alpha, n_iterations=100):
    """min F for two classes in float64, by Newton's method on standardised columns."""
    X = np.asarray(X, np.float64)
    s = np.ones(len(X)) / len(X) if s is None else s / s.sum()
    mean = s @ X
    scale = np.sqrt(s @ (X - mean) ** 2)
    scale[scale <= 1e-12 * abs(mean)] = np.inf  # constant: its weight is 0
    Z = np.column_stack([(X - mean) / scale, np.ones(len(X))])
    penalty = np.append(alpha / scale**2, 0.0)
    sign, v = 2 * y - 1, np.zeros(Z.shape[1])

    def value(v):
        return s @ np.logaddexp(0, -sign * (Z @ v)) + penalty @ v**2 / 2

    for _ in range(n_iterations):
        q = expit(-sign * (Z @ v))  # 1 − p of the label
        gradient = penalty * v - Z.T @ (s * sign * q)
        H = Z.T @ (Z * (s * q * (1 - q))[:, None]) + np.diag(penalty)
        d = H.diagonal()
        r = np.divide(1, np.sqrt(d), out=np.zeros_like(d), where=d > 0)
        H = H * r * r[:, None] + 1e-14 * np.eye(len(d))
        step = r * np.linalg.lstsq(H, r * gradient)[0]
        length = 1.0
        while value(v - length * step) > value(v) and length > 1e-9:
            length /= 2
        if not value(v - length * step) < value(v):
            break
        v = v - length * step
    return value(v)


def ten_tables():
    """X, y and weights by name: two classes and many, raw, wide, rare, few."""
    rng = np.random.default_rng(0)
    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast cancer": datasets.load_breast_cancer,
    }
    tables = {name: load(return_X_y=True) for name, load in loaders.items()}
    X, y = datasets.load_digits(return_X_y=True)
    tables["four digits"] = X[y < 4], y[y < 4]
    tables["two digits"] = X[y < 2], y[y < 2]
    for n_classes, n_features in ((2, 5), (4, 8), (6, 3)):
        made = problem(400, n_features, n_classes, seed=n_classes)
        tables[f"{n_classes} classes"] = made[:2]
    X, y = problem(40, 60, 3)[:2]
    tables["more columns than rows"] = X, y
    X, y = problem(500, 4, 3)[:2]
    tables["a rare class"] = X, np.where(np.arange(500) < 490, y % 2, 2)
    return {
        name: (X, y, rng.uniform(0.1, 3.0, len(y))) for name, (X, y) in tables.items()
    }


@pytest.mark.parametrize("weights", [None, "samples", "balanced"])
@pytest.mark.parametrize(
    "name",
    mostly_slow(
        ["iris", "wine", "2 classes", "a rare class"],
        *(
            (name,)
            for name in ten_tables()
            if name not in ("iris", "wine", "2 classes", "a rare class")
        ),
    ),
)
def test_probabilities_are_those_of_newtons_method(name, weights):
    X, y, s = ten_tables()[name]
    s = s if weights == "samples" else None
    class_weight = "balanced" if weights == "balanced" else None
    total = len(y) if s is None else s.sum()
    clf = lbfgs(1 / total, class_weight=class_weight, epochs=1000).fit(X, y, s)
    expected = logistic_regression(
        1.0,
        X,
        y,
        s,
        solver="newton-cholesky",
        class_weight=class_weight,
        tol=1e-12,
        max_iter=1000,
    )
    difference = clf.predict_proba(X) - expected.predict_proba(X)
    assert abs(difference).max() < 1e-6


@pytest.fixture(scope="module")
def mixed_table():
    """Integers of very different units, and two columns of which one is always 1."""
    rng = np.random.default_rng(0)
    n = 5_000
    sex = rng.integers(0, 2, n)
    X = np.column_stack(
        [
            rng.integers(18, 90, n),
            rng.integers(10_000, 1_000_000, n),
            rng.integers(0, 100_000, n) * (rng.random(n) < 0.1),
            rng.integers(1, 99, n),
            sex,
            1 - sex,
        ]
    )
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ [1.0, 0.1, 2.0, 0.5, 0.4, -0.4]
    return X, (z - 1 + rng.logistic(size=n) > 0).astype(int)


@pytest.mark.parametrize("dtype", mostly_slow([np.int64, np.float32], (np.float64,)))
def test_a_table_of_mixed_units_needs_no_scaling(mixed_table, dtype):
    X, y = mixed_table
    alpha = 1 / len(X)
    clf = lbfgs(alpha, epochs=1000).fit(X.astype(dtype), y)
    single = dtype == np.float32
    assert clf.coef_.dtype == (np.float32 if single else np.float64)
    best = newton(X, y, None, alpha)
    assert objective(clf, X, y, alpha=alpha) <= best * (1 + (1e-6 if single else 1e-10))
    assert clf.n_iter_ < 100


def test_columns_far_out_do_not_end_the_training_early():
    # The row with 1e7 has all curvature, and leaves its boundary in a few iterations.
    rng = np.random.default_rng(0)
    X = rng.standard_cauchy((200, 3)) ** 3 * [1e3, 1.0, 1e-6]
    y = (rng.normal(size=200) + np.sign(X[:, 0]) + np.sign(X[:, 2]) > 0).astype(int)
    best = newton(X, y, None, 1e-10)
    for tol in (None, 1e-4, 1e-2):
        clf = lbfgs(1e-10, epochs=1000, tol=tol).fit(X, y)
        assert objective(clf, X, y, alpha=1e-10) <= best * (1 + 1e-4)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, None])
def test_tol_bounds_how_far_f_is_above_its_minimum(tol):
    clf = lbfgs(1e-3, tol=tol).fit(X, Y, S)
    best = objective(lbfgs(1e-3).fit(X, Y, S), X, Y, S, alpha=1e-3)
    excess = objective(clf, X, Y, S, alpha=1e-3) / best - 1
    assert excess <= max((tol or 0) ** 2, 1e-12)


@pytest.mark.parametrize("weights", [None, S])
def test_separated_rows_are_named_as_the_reason(weights):
    y = (X[:, 0] > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="every row is classified correctly"):
        clf = lbfgs(0.0).fit(X, y, weights)
    assert clf._result.ended == "separated"
    lbfgs(1e-6).fit(X, y, weights)


def test_a_single_class_with_weight_is_named_as_the_reason():
    with pytest.warns(ConvergenceWarning, match="all rows with nonzero weight are of"):
        lbfgs(0.1).fit(X, Y, (Y == 1).astype(float))


def test_no_penalty_needs_no_warning_where_rows_overlap():
    clf = lbfgs(0.0).fit(X, Y, S)
    dW, db = reference.gradient(X, Y, S, clf.coef_, clf.intercept_, 3)
    assert max(abs(dW).max(), abs(db).max()) / S.sum() < 1e-8


def test_a_tol_below_rounding_stalls():
    with pytest.warns(ConvergenceWarning, match="rounding errors prevent any further"):
        clf = lbfgs(0.01, tol=1e-30).fit(X, Y, S)
    assert clf._result.ended == "stalled"


def test_weights_that_float32_does_not_hold_are_named_as_the_reason():
    rng = np.random.default_rng(0)
    x = np.float32(1e8 + 8 * rng.integers(-2, 3, (200, 1)))
    y = (x[:, 0] - 1e8 + rng.normal(size=200) * 8 > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="can't be rounded to float32"):
        lbfgs(1e-4).fit(x, y)
    clf = lbfgs(1e-4).fit(x.astype(np.float64), y)
    F = objective(clf, x, y, alpha=1e-4)
    assert pytest.approx(newton(x, y, None, 1e-4), rel=1e-6) == F


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_weights_that_float64_does_not_hold_are_named_as_the_reason(alpha):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = (x.sum(axis=1) + rng.normal(size=300) > 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="can't be rounded to float64"):
        lbfgs(alpha).fit(x + 1e15, y)
    assert lbfgs(alpha).fit(x + 1e8, y)._result.ended == "converged"


def separable(seed):
    """A dummy, an amount that determines the class, and an age: different scales."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 200))
    dummy, amount = rng.integers(0, 2, n), rng.integers(10**9, 5 * 10**9, n)
    table = np.column_stack([dummy, amount, rng.integers(18, 90, n)])
    return table, (amount > 3 * 10**9).astype(int)


@pytest.mark.parametrize(
    ("seed", "alpha"), [(1, 1e-6), (4, 1e-6), (14, None), (15, None), (16, 1e-6)]
)
def test_rows_that_are_all_certain_at_once_are_fitted(seed, alpha):
    x, y = separable(seed)
    alpha = 1 / len(x) if alpha is None else alpha
    clf = lbfgs(alpha).fit(x, y)
    z = (2 * y - 1) * clf.decision_function(x)
    F = np.logaddexp(0, -z).mean() + alpha / 2 * (clf.coef_**2).sum()
    assert pytest.approx(newton(x, y, None, alpha), rel=1e-6, abs=0) == F


def test_sparse_rows_have_the_optimum_of_dense_ones():
    for n_features in (5, 6):  # not as many as a tile has columns
        A = np.where(abs(X) > 0.5, X, 0)[:, :n_features]
        one, other = (lbfgs(0.01).fit(B, Y, S) for B in (A, sparse.csr_array(A)))
        np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-6, atol=1e-9)


def test_columns_that_do_not_vary_change_nothing():
    constant = np.full((len(X), 1), 0.1)
    A = np.hstack([X, constant, 0 * constant, constant * 1e9])
    for alpha in (0.0, 0.01):
        clf, expected = (lbfgs(alpha).fit(B, Y, S) for B in (A, X))
        p, q = clf.predict_proba(A), expected.predict_proba(X)
        np.testing.assert_allclose(p, q, atol=1e-6)


def test_a_warm_start_at_the_optimum_takes_few_iterations():
    clf = lbfgs(0.01, warm_start=True).fit(X, Y, S)
    coef, n_iter = clf.coef_, clf.n_iter_
    clf.fit(X, Y, S)
    assert clf.n_iter_ <= 2
    np.testing.assert_allclose(clf.coef_, coef, rtol=1e-6)
    clf.set_params(alpha=0.011).fit(X, Y, S)
    assert clf.n_iter_ < n_iter
    cold = lbfgs(0.011).fit(X, Y, S)
    assert_same_optimum(clf, cold, 1e-6)


@pytest.mark.parametrize("dtype", mostly_slow([np.uint8], (np.float32,)))
def test_data_that_float32_holds_train_in_float32(digits, dtype):
    X, y = digits
    X = (X * 16).astype(dtype)
    alpha, rescale = 10 / len(X), 1 / 16
    clf = lbfgs(alpha, rescale=rescale).fit(X, y)
    assert clf.coef_.dtype == clf.intercept_.dtype == np.float32
    optimum = lbfgs(alpha, rescale=rescale).fit(X.astype(np.float64), y)
    assert optimum.coef_.dtype == np.float64
    reached, best = (
        objective(m, X, y, alpha=alpha, rescale=rescale) for m in (clf, optimum)
    )
    assert -1e-12 < reached - best < 1e-6


def test_nothing_is_random():
    generator = np.random.RandomState(0)
    state = generator.get_state()[1].copy()
    one = lbfgs(0.01, random_state=generator).fit(X, Y, S)
    other = lbfgs(0.01, random_state=1, shuffle=False, batch_size=7).fit(X, Y, S)
    np.testing.assert_array_equal(one.coef_, other.coef_)
    np.testing.assert_array_equal(generator.get_state()[1], state)


def interrupt_evaluation(number, monkeypatch):
    """Have Ctrl-C come in the middle of an evaluation of the objective."""
    original, count = FullBatch.__call__, 0

    def evaluate(self, *arguments):
        nonlocal count
        count += 1
        result = original(self, *arguments)
        if count == number:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(FullBatch, "__call__", evaluate)


@pytest.mark.filterwarnings("ignore:Training has not converged")
def test_an_interrupted_fit_keeps_the_last_finished_iteration(monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_evaluation(8, patch)
        with pytest.warns(UserWarning, match="Training was interrupted in epoch"):
            clf = lbfgs(0.01).fit(X, Y, S)
    assert 1 < clf.n_iter_ < 8
    finished = lbfgs(0.01, epochs=clf.n_iter_).fit(X, Y, S)
    np.testing.assert_array_equal(clf.coef_, finished.coef_)
    assert clf.loss_curve_ == finished.loss_curve_
    assert clf.score(X, Y) == finished.score(X, Y)


def test_a_fit_interrupted_before_any_iteration_leaves_the_estimator_as_it_was(
    monkeypatch,
):
    clf = lbfgs(0.01).fit(X, Y, S)
    coef = clf.coef_
    interrupt_evaluation(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:, :2], Y)
    assert clf.coef_ is coef
    assert clf.n_features_in_ == 6


@pytest.mark.slow
def test_adam_with_a_cosine_schedule_on_all_of_mnist(mnist, mnist_test):
    """In ten epochs lower than LogisticRegression() gets, which ends at 0.2424."""
    shared = {"alpha": 1 / 60_000, "rescale": 1 / 255}
    clf = classic(
        optimizer="adam",
        learning_rate=0.01,
        learning_rate_schedule="cosine",
        epochs=10,
        random_state=0,
        **shared,
    ).fit(*mnist)
    assert objective(clf, *mnist, **shared) <= 0.2400
    assert clf.score(*mnist_test) >= 0.927


@pytest.mark.parametrize("shift", [0, 1], ids=["right", "wrong"])
def test_a_warm_start_that_is_certain_of_each_row_comes_to_the_optimum(shift):
    far_apart = X / 10 + 5 * np.eye(3, 6)[Y]
    clf = lbfgs(0.01, warm_start=True).fit(far_apart, Y)
    large, y = 1e4 * far_apart, (Y + shift) % 3
    certain = np.sort(clf.decision_function(large), axis=1)
    assert (certain[:, -1] - certain[:, -2]).min() > 1e4
    clf.fit(large, y)
    assert_same_optimum(clf, lbfgs(0.01).fit(large, y), 1e-3)
