"""Warnings point to the user's line, through however many calls of libraries."""

from __future__ import annotations

import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator, problem
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.utils.warn import warn

X, Y, _ = problem()
CLF = estimator(tol=1e-9, epochs=2)  # with a tol, it warns if it does not converge
GRID = {"alpha": [0.0]}


def in_module(name, function, *arguments):
    """A function of a module with this name, which calls another one."""
    namespace = {"__name__": name, "function": function, "arguments": arguments}
    exec("def call():\n    function(*arguments)", namespace)
    return namespace["call"]


@pytest.mark.parametrize("modules", [[], ["tfsoftmax"], ["sklearn.base", "joblib.a"]])
def test_the_line_is_that_of_the_first_caller_outside_of_the_libraries(modules):
    call = in_module("tfsoftmax.fitting", warn, "a message", ConvergenceWarning)
    for module in modules:
        call = in_module(module, call)
    with pytest.warns(ConvergenceWarning, match="^a message$") as caught:
        call()
    assert [warning.filename for warning in caught] == [__file__]


def test_a_module_with_a_similar_name_is_the_users():
    call = in_module("tfsoftmax_extras", in_module("tfsoftmax", warn, "a message"))
    with pytest.warns(UserWarning, match="a message") as caught:
        call()
    assert [warning.filename for warning in caught] == ["<string>"]


@pytest.mark.parametrize(
    "clf",
    [
        CLF,
        make_pipeline(StandardScaler(), CLF),
        GridSearchCV(CLF, GRID, cv=2),
        TFSoftmaxGridSearchCV(CLF, GRID, cv=2),
    ],
    ids=["alone", "pipeline", "search", "fused search"],
)
def test_a_warning_points_to_the_line_that_called_fit(clf):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(X, Y)
    filenames = [w.filename for w in caught if w.category is ConvergenceWarning]
    assert set(filenames) == {__file__}
