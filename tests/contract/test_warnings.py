"""Which fits warn: those that have hardly begun or went wrong, and no good one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from tests.problems import classic
from tfsoftmax import TFSoftmaxClassifier

LOADERS = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
}


def rows_of(name, mnist):
    """Return X and y of a data set; its name may begin with "scaled"."""
    if name == "mnist":
        return mnist[0][:20_000], mnist[1][:20_000]
    if name in MADE_UP:
        return MADE_UP[name]()
    is_scaled, name = name.startswith("scaled "), name.removeprefix("scaled ")
    X, y = LOADERS[name](return_X_y=True)
    return StandardScaler().fit_transform(X) if is_scaled else X, y


def mixed_table():
    """A table of large and small numbers, as people have it, of which two matter."""
    rng = np.random.default_rng(0)
    n = 15_000
    age, hours = rng.integers(17, 90, n), rng.integers(1, 99, n)
    weight = np.exp(rng.normal(11.5, 0.8, n)).astype(int)
    dummies = rng.integers(0, 2, (n, 2))
    z = 0.04 * (age - 40) + 0.03 * (hours - 40) + dummies @ [0.8, -0.5]
    y = rng.random(n) < 1 / (1 + np.exp(-z))
    return np.column_stack([age, weight, hours, dummies]), y.astype(int)


def text():
    """Rows of 40 words of 5,000, of which each of 10 classes prefers some."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 2000)
    words = (5000 * rng.random((2000, 40)) ** 3).astype(int)
    topical = rng.random(words.shape) < 0.4
    words = np.where(topical, words // 10 * 10 + y[:, None], words)
    rows = np.repeat(np.arange(2000), 40)
    X = sparse.csr_array((np.ones(rows.size), (rows, words.ravel())), (2000, 5000))
    return X.multiply(1 / np.sqrt(X.power(2).sum(axis=1))[:, None]).tocsr(), y


def noise():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2000, 20)), rng.integers(0, 3, 2000)


def rare():
    X, y = make_classification(
        3000, 20, n_informative=6, weights=[0.98], random_state=1
    )
    return X, y


MADE_UP = {"mixed table": mixed_table, "text": text, "noise": noise, "rare": rare}

ADAM = {"optimizer": "adam"}
BAD = {
    "iris": [{}],
    "wine": [
        {},
        ADAM,
        {"optimizer": "momentum", "learning_rate": 1e-6},
        {"optimizer": "momentum", "learning_rate": 1e-6, "epochs": 200},
        ADAM | {"learning_rate": 1e-3, "epochs": 100},
    ],
    "breast cancer": [
        {},
        ADAM | {"learning_rate": 1e-4},
        {"learning_rate": 1e-7, "epochs": 200},
    ],
    "scaled iris": [{}],
    "scaled wine": [{}],
    "scaled breast cancer": [{}],
    "scaled digits": [{}],
    "digits": [ADAM | {"learning_rate": 1e-4, "rescale": 1 / 16}],
    "text": [{}, {"learning_rate": 0.1}],
    "mixed table": [{"learning_rate": 1e-7}, ADAM | {"learning_rate": 1e-3}],
    "mnist": [{}, {"rescale": 1 / 255**2}],
}
GOOD = {
    "mnist": [
        {"rescale": 1 / 255},
        ADAM | {"rescale": 1 / 255, "learning_rate": 1e-3, "epochs": 5},
    ],
    "digits": [{"rescale": 1 / 16, "learning_rate": 0.5}],
    "scaled wine": [{"learning_rate": 0.5, "epochs": 100}],
    "noise": [{"learning_rate": 0.1, "epochs": 20}],
}
GOOD_BY_DEFAULT = {
    **{name: [{}, {"optimizer": "sgd"}, {"optimizer": "lbfgs"}] for name in LOADERS},
    "mnist": [{}, {"optimizer": "sgd"}],
    "mixed table": [{}, {"optimizer": "sgd"}],
    "text": [{}],
    "noise": [{}],
    "rare": [{}, {"alpha": 0.01, "l1_ratio": 1.0}],
    "scaled digits": [{"early_stopping": True}],
}
LONG = {"mnist", "mixed table", "text"}


def cases(table):
    return [
        pytest.param(
            name,
            parameters,
            marks=[pytest.mark.slow] * (name in LONG),
            id=f"{name} {parameters}",
        )
        for name, each in table.items()
        for parameters in each
    ]


@pytest.mark.parametrize(("name", "parameters"), cases(BAD))
def test_a_bad_fit_says_what_to_change(name, parameters, mnist):
    clf = classic(random_state=0, **parameters)
    with pytest.warns(ConvergenceWarning, match="(learning_rate|rescale=)"):
        clf.fit(*rows_of(name, mnist))


def assert_silent(clf, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.fit(X, y)


@pytest.mark.parametrize(("name", "parameters"), cases(GOOD))
def test_a_good_fit_is_silent(name, parameters, mnist):
    assert_silent(classic(random_state=0, **parameters), *rows_of(name, mnist))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameters"), cases(GOOD_BY_DEFAULT))
def test_the_defaults_are_silent(name, parameters, mnist):
    clf = TFSoftmaxClassifier(random_state=0, **parameters)
    assert_silent(clf, *rows_of(name, mnist))


def test_a_stream_warns_where_the_loss_is_worse_than_untrained(mnist):
    X, y = mnist[0][:1000], mnist[1][:1000]
    clf = classic(random_state=0)
    with pytest.warns(ConvergenceWarning, match="too large for features"):
        clf.partial_fit(X, y, classes=range(10))
    scaled = classic(random_state=0, rescale=1 / 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled.partial_fit(X[:100], y[:100], classes=range(10)).partial_fit(
            X[100:], y[100:]
        )


def test_a_feature_that_another_holds_up_is_named():
    import pandas as pd

    X, y = load_wine(return_X_y=True, as_frame=True)
    assert isinstance(X, pd.DataFrame)
    clf = classic(random_state=0, optimizer="momentum", learning_rate=1e-6)
    with pytest.warns(ConvergenceWarning, match="feature, 'od280"):
        clf.fit(X, y)
    with pytest.warns(ConvergenceWarning, match="feature, number 11,"):
        clf.fit(X.to_numpy(), y)


# Of full batches


def unbalanced():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 4)), (rng.random(300) < 0.1).astype(int)


def uninformative():
    """Rows that occur with both labels."""
    X, y = unbalanced()
    return np.vstack([X, X]), np.concatenate([y, 1 - y])


@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_an_optimum_without_an_intercept_may_be_worse_than_a_constant(alpha):
    clf = TFSoftmaxClassifier(optimizer="lbfgs", fit_intercept=False, alpha=alpha)
    assert_silent(clf, *unbalanced())
    assert_silent(clf.set_params(rescale="standard"), *unbalanced())


@pytest.mark.parametrize("alpha", [0.0, "auto"])
def test_a_constant_is_the_optimum_of_features_that_say_nothing(alpha):
    clf = TFSoftmaxClassifier(optimizer="lbfgs", alpha=alpha)
    assert_silent(clf, *uninformative())
    assert_silent(clf, np.ones((150, 3)), np.arange(150) % 3)


@pytest.mark.parametrize("parameters", [{"alpha": 1e6}, {"tol": 1e10}])
def test_a_constant_is_no_good_model_of_features_that_say_something(parameters):
    X, _ = unbalanced()
    clf = TFSoftmaxClassifier(optimizer="lbfgs", **parameters)
    with pytest.warns(ConvergenceWarning, match="alpha or tol is too large"):
        clf.fit(X, X[:, 0] > 0)


def test_nor_is_it_of_many_features_that_say_a_little_each():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 2000)
    X = rng.normal(size=(2000, 400)) + 0.15 * rng.normal(size=(10, 400))[y]
    clf = TFSoftmaxClassifier(optimizer="lbfgs", alpha=1e6)
    with pytest.warns(ConvergenceWarning, match="alpha or tol is too large"):
        clf.fit(X, y)
