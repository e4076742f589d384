"""Errors that name their argument; a user's errors and warnings are left alone."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from tests.problems import estimator, problem
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.validation.errors import errors_name

X, Y, _ = problem()


def raised_through(error, *others):
    """The error that comes of this one, where X is the argument."""
    with pytest.raises(BaseException) as caught, errors_name("X", *others):  # noqa: PT011
        raise error
    return caught.value


def error_of_a_ufunc():
    try:
        np.add(np.array(["a"]), 1)
    except TypeError as error:
        return error


class ForeignError(ValueError):
    """A ValueError of another package."""


# What is named


@pytest.mark.parametrize("kind", [TypeError, ValueError])
def test_an_error_without_the_argument_gets_its_name_and_stays_the_same_object(kind):
    error = kind("can't be cast")
    assert raised_through(error) is error
    assert str(error) == "X can't be used: can't be cast"


@pytest.mark.parametrize("message", ["X is empty", "Input X contains NaN."])
def test_an_error_with_the_name_keeps_its_message(message):
    error = ValueError(message)
    assert raised_through(error) is error
    assert str(error) == message


def test_a_longer_name_is_not_the_arguments():
    assert str(raised_through(ValueError("X_val is empty"))).startswith("X can't be")


@pytest.mark.parametrize(
    ("error", "others", "kind"),
    [
        (OverflowError("too large"), (), ValueError),
        (OverflowError("X is too large"), (), ValueError),
        (KeyError("alpha"), (KeyError,), ValueError),
        # Of other classes, whose arguments may be no message.
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), (), ValueError),
        (np.exceptions.AxisError(2, 1), (), ValueError),
        (error_of_a_ufunc(), (), TypeError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_another_class_becomes_the_cause_of_one_that_names(
    error, others, kind
):
    named = raised_through(error, *others)
    assert type(named) is kind
    assert str(named) == f"X can't be used: {error}"
    assert named.__cause__ is error


# What is left alone


@pytest.mark.parametrize(
    "error",
    [
        ForeignError("none today"),
        NotFittedError("not fitted yet"),
        KeyError("alpha"),
        RuntimeError("on fire"),
        MemoryError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_stay_what_they_are(error):
    arguments = error.args
    assert raised_through(error) is error
    assert error.args == arguments
    assert error.__cause__ is None


def test_an_array_like_raises_its_error_out_of_a_fit():
    class Rows:
        def __array__(self, dtype=None, copy=None):
            raise ForeignError("none today")

    with pytest.raises(ForeignError, match=r"^none today$"):
        estimator().fit(Rows(), Y)


def test_numpy_warns_inside_as_outside():
    with pytest.warns(RuntimeWarning, match="divide by zero"), errors_name("X"):
        np.log(np.float64(0))
    with np.errstate(all="raise"), pytest.raises(FloatingPointError), errors_name("X"):
        np.log(np.float64(0))


# A user's code in a search warns as in scikit-learn's search


def warns():
    np.log(np.float64(0))


def best_index(results):
    warns()
    return int(results["mean_test_score"].argmax())


def accuracy(model, X, y):
    warns()
    return model.score(X, y)


class Folds(KFold):
    def split(self, X, y=None, groups=None):
        warns()
        return super().split(X, y, groups)


class Logarithm(TransformerMixin, BaseEstimator):
    def __init__(self, scale=1.0):
        self.scale = scale

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        warns()
        return X * self.scale


@pytest.mark.parametrize(
    ("model", "grid", "options"),
    [
        (estimator(), {"alpha": [0.0, 0.1]}, {"refit": best_index}),
        (estimator(), {"alpha": [0.0, 0.1]}, {"scoring": accuracy}),
        (estimator(), {"alpha": [0.0, 0.1]}, {"cv": Folds(2)}),
        # Equal preprocessings are fitted once, and so warn once; these differ.
        (
            Pipeline([("log", Logarithm()), ("clf", estimator())]),
            {"log__scale": [1, 2]},
            {},
        ),
    ],
    ids=["refit", "scoring", "cv", "transformer"],
)
def test_numpy_warns_of_a_users_code_in_a_search(model, grid, options):
    counts = []
    for kind in (TFSoftmaxGridSearchCV, GridSearchCV):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind(model, grid, **{"cv": 2} | options).fit(X, Y)
        counts.append(Counter((w.category, str(w.message)) for w in caught))
    ours, theirs = counts
    assert ours == theirs
    assert ours[RuntimeWarning, "divide by zero encountered in log"] > 0
