"""Does a search refuse bad data and bad options, and name which?

Thousands of bad calls: each finds the best model, or gives an error that names why.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from tests.generated import N_CALLS, run
from tests.robustness.odd_values import (
    BAD,
    EITHER,
    GOOD,
    LABELS,
    ODD_ROWS,
    PLAIN,
    PROBLEMS,
    UNEXPECTED,
    WEIGHTS,
    Call,
    Odd,
    always,
    arrays,
    calls,
    estimator,
    from_tables,
    judge_weights,
    quietly,
    sprinkled,
)
from tests.robustness.oracle import (
    assert_same_model,
    assert_sound,
    outcome,
    plain_labels,
    plain_rows,
    plain_weights,
    tolerance,
)
from tfsoftmax import (
    TFSoftmaxClassifier,
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
)


def judge_search_weights(s: Any) -> str:
    """A fold may be left with zeros alone."""
    return EITHER if judge_weights(s) == GOOD else BAD


GRIDS = {
    PLAIN: [{"alpha": [0.0, 0.1]}],
    GOOD: [{}, [{"epochs": [1]}, {}], {"alpha": (0,)}],
    BAD: [
        *[None, 5, "alpha", b"", 1.5, len, TFSoftmaxClassifier, [], [None], [5]],
        *[{"alpha": 1}, {"alpha": []}, {"alpha": "abc"}, {"alpha": None}, {1: [2]}],
        *[{"alpha": np.ones((2, 2))}, {"alpha": {"a": 1}}, {"alpha": {0.1, 0.2}}],
        *[{"nothing": [1]}, {"alpha__beta": [1]}, {"alpha": [-1.0]}, {"alpha": ["a"]}],
        *[{"alpha": [0.1, math.nan]}, {"epochs": [1, 1.5]}, {"epochs": [0]}],
        *[{"optimizer": ["sgd", "SGD"]}, {"batch_size": [None]}, {"tol": [[1]]}],
        *[{"learning_rate": [10**400]}, {"class_weight": [{7: 1.0}, {8: 2.0}]}],
        *[{"rescale": [np.array([1.0])]}, {"random_state": [object()]}],
    ],
}
SEARCH_ARGUMENTS: dict[str, dict[str, list[Any]]] = {
    "estimator": {
        PLAIN: [estimator()],
        GOOD: [estimator(verbose=True)],
        BAD: [
            *[None, 5, "clf", TFSoftmaxClassifier, LogisticRegression(), {}, object()],
            *[[estimator()], make_pipeline(LogisticRegression()), len],
        ],
    },
    "cv": {
        PLAIN: [2, 3, KFold(2)],
        GOOD: [
            [(range(6), range(6, 12))],
            [([0, 1, 2, 3], [4, 5]), ([7, 6, 5], [0])],
        ],
        EITHER: [None],
        BAD: [
            *[0, 1, -3, 1.5, "2", object, [], [0], [([], [])], 100, 10**30, math.nan],
            *[[([0, 1, 2], [99])], [([0, -99, 2], [1])], [(["a"], ["b"])], [(0, 1)]],
            *[[([0.5, 1.5, 2.5], [1])], iter([]), [([0, 1, 2],)], {"a": 1}],
        ],
    },
    "scoring": {
        PLAIN: ["accuracy", "neg_log_loss", None],
        BAD: [5, "accurate", b"accuracy", [], {}, ["accuracy", 5], {"a": 1}, (1,)],
    },
    "refit": {
        PLAIN: [True],
        EITHER: ["accurate"],  # with one score any name will do
        BAD: [5, 1.5, None, [], b"accuracy"],
    },
    "error_score": {BAD: [None, "ignore", [], b"raise", 1j]},
    "n_jobs": {PLAIN: [1, None], BAD: ["two", 1.5, [], 0, math.nan]},
    "verbose": {PLAIN: [0, 1], BAD: [-1, "much", None, 1.5]},
    "return_train_score": {PLAIN: [True], BAD: ["yes", None, 5]},
}
SEARCHES = {
    "grid": (TFSoftmaxGridSearchCV, "param_grid", {}),
    "randomized": (
        TFSoftmaxRandomizedSearchCV,
        "param_distributions",
        {
            "n_iter": {PLAIN: [2], GOOD: [100], BAD: [0, -1, 1.5, None, "2", 1j]},
            "random_state": {PLAIN: [0], BAD: [-1, "seed", 1.5, 2**32, object()]},
        },
    ),
}


@st.composite
def searches(
    draw: Any, kind: type, grid: str, more: dict[str, Any]
) -> tuple[Any, Call]:
    X, y, weights = PROBLEMS[draw(st.integers(0, 1))]
    made_up = sprinkled(judge_search_weights) | arrays(judge_search_weights)
    odd = {
        "X": from_tables(*ODD_ROWS),
        "y": from_tables(LABELS),
        "sample_weight": from_tables(WEIGHTS, made_up),
        "epochs": from_tables(UNEXPECTED),
    }
    own = {grid: GRIDS} | SEARCH_ARGUMENTS | more
    constructor = {
        name: st.sampled_from(
            [
                Odd(repr(value), verdict, always(value))
                for verdict, values in values.items()
                for value in values
            ]
        )
        for name, values in own.items()
    }
    options = {"estimator": estimator(), grid: {"alpha": [0.0, 0.1]}, "cv": 2}
    options |= {"error_score": "raise"}
    call = draw(
        calls({"X": X, "y": y, "sample_weight": weights} | options, odd | constructor)
    )
    given = call.arguments
    of_fit = {name: given.pop(name) for name in odd if name in given}
    verdicts = dict(call.verdicts)
    if call.names.get("X") == "made up" or verdicts.get("X") == EITHER:
        verdicts["learning_rate"] = EITHER  # a fold may lack the cell that is worse
    if verdicts.get(grid) == BAD:  # the parameters in it may be named, too
        entries = given[grid] if isinstance(given[grid], list) else [given[grid]]
        keys = [
            str(key) for entry in entries if isinstance(entry, dict) for key in entry
        ]
        verdicts |= {grid: EITHER} | dict.fromkeys(keys, BAD) if keys else {}
    return kind(**given), Call(of_fit, verdicts, call.names)


def check_search(drawn: tuple[Any, Call]) -> None:
    search, call = drawn
    if outcome(search.fit, call, owner=search) is None:
        return
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max()
    X, (classes, y) = plain_rows(call.arguments["X"]), plain_labels(call.arguments["y"])
    assert_sound(search.best_estimator_, classes, X.shape[1])
    plain = estimator(**search.best_params_)
    quietly(plain.fit, X, y, plain_weights(call.arguments["sample_weight"]))
    rtol = tolerance(call.arguments["X"], call.arguments["y"], X)
    assert_same_model(search.best_estimator_, plain, rtol)


@N_CALLS
@pytest.mark.parametrize("kind", SEARCHES)
def test_searching(kind, n_calls):
    run(searches(*SEARCHES[kind]), check_search, n_calls)
