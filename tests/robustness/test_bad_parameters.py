"""Is a parameter that makes no sense refused, and by its name?

Thousands of odd values, for the constructor's parameters and for the methods that take
few arguments or none. What is allowed is a table, written from the documentation.
"""

from __future__ import annotations

import datetime
import functools
import inspect
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from tests.generated import N_CALLS, run
from tests.robustness.odd_values import (
    BAD,
    EITHER,
    GOOD,
    PROBLEMS,
    Call,
    estimator,
    fitted,
    quietly,
)
from tests.robustness.oracle import assert_same_model, assert_sound, outcome
from tfsoftmax import TFSoftmaxClassifier, callbacks

# The parameters


def is_integer(value: Any) -> bool:
    no_integer = bool | np.timedelta64  # which NumPy calls a signed integer
    return isinstance(value, int | np.integer) and not isinstance(value, no_integer)


def is_number(value: Any) -> bool:
    return is_integer(value) or isinstance(value, float | np.floating | Fraction)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def numbers_in(
    allows: Callable[[float], bool], or_none: bool = False
) -> Callable[[Any], bool]:
    return lambda value: (
        (is_number(value) and allows(as_float(value))) or (or_none and value is None)
    )


def positive_integers(value: Any) -> bool:
    return is_integer(value) and value >= 1


def is_class_weight(value: Any) -> bool:
    if isinstance(value, dict):
        weights = list(value.values())
        return (
            set(value) <= {0, 1, 2}
            and all(map(numbers_in(lambda x: 0 <= x < math.inf), weights))
            and (len(value) < 3 or any(weights))
        )
    return value is None or (isinstance(value, str) and value == "balanced")


positive = numbers_in(lambda x: 0 < x < math.inf)
non_negative = numbers_in(lambda x: 0 <= x < math.inf)
OPTIMIZERS = ["sgd", "momentum", "nesterov", "adam", "lbfgs"]
SCHEDULES = ["constant", "cosine", "invscaling", "adaptive"]
# What the documentation allows.
ALLOWED: dict[str, Callable[[Any], bool]] = {
    "batch_size": positive_integers,
    "learning_rate": positive,
    "epochs": positive_integers,
    "optimizer": lambda value: isinstance(value, str) and value in OPTIMIZERS,
    "momentum": numbers_in(lambda x: 0 <= x < 1),
    "learning_rate_schedule": lambda v: isinstance(v, str) and v in SCHEDULES,
    "power_t": non_negative,
    "alpha": non_negative,
    "l1_ratio": numbers_in(lambda x: 0 <= x <= 1),
    "fit_intercept": is_flag,
    "rescale": numbers_in(lambda x: 0 < x < math.inf, or_none=True),
    "class_weight": is_class_weight,
    "shuffle": is_flag,
    "random_state": lambda value: (
        value is None
        or isinstance(value, np.random.RandomState)
        or (is_integer(value) and 0 <= value < 2**32)
    ),
    "early_stopping": is_flag,
    "validation_fraction": numbers_in(lambda x: 0 < x < 1),
    "tol": numbers_in(lambda x: 0 <= x < math.inf, or_none=True),
    "n_iter_no_change": positive_integers,
    "warm_start": is_flag,
    "verbose": lambda value: is_flag(value) or (is_integer(value) and value >= 0),
}
ODD_VALUES: list[Any] = [
    *[
        None,
        True,
        False,
        np.True_,
        "",
        "1",
        "balanced",
        "auto",
        "SGD",
        b"sgd",
        *OPTIMIZERS,
    ],
    *[*SCHEDULES, 1j, (), [], [1], (1,), {1}, int, len, object(), Ellipsis],
    *[0, 1, 2, -1, 10**18, 10**30, 10**400, -(10**400), 2**32, 2**31 - 1],
    *[0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf, 5e-324, 1e-300, 1e300, 1e308],
    *[Fraction(1, 3), Fraction(1, 10**400), Decimal("0.5"), Decimal("NaN")],
    *[np.float16(0.5), np.float16("nan"), np.float32(0.1), np.float32("inf")],
    *[np.longdouble("0.5"), np.longdouble("1e4000"), np.longdouble("1e-4000")],
    *[np.int8(3), np.uint8(0), np.uint64(2**64 - 1), np.int64(-1), np.complex64(1)],
    *[
        np.array(1),
        np.array([1.0]),
        np.array("sgd"),
        np.str_("adam"),
        np.bytes_("adam"),
    ],
    *[np.datetime64("2020"), np.timedelta64(1, "s"), datetime.date(2020, 1, 1)],
    *[pd.NA, pd.NaT, pd.Series([1.0]), LogisticRegression(), np.random.RandomState(1)],
    *[np.random.default_rng(0), SimpleNamespace(value=1)],
]
CLASS_WEIGHTS: list[Any] = [
    *[
        {},
        {0: 2.0},
        {0: 1, 1: 2, 2: 3},
        {0: 0},
        {1: 5e-324},
        {1: 1e308},
        {0: Fraction(1, 2)},
    ],
    *[{0: -1.0}, {0: math.nan}, {1: math.inf}, {0: None}, {0: "1"}, {0: 1j}, {0: [1]}],
    *[{0: 0, 1: 0, 2: 0}, {0: 10**400}, {7: 1.0}, {"a": 1.0}, {None: 1}, {(0,): 1}],
    *[{0: np.array(1.0)}, {0: pd.NA}, {0: np.longdouble("1e4000")}, {0: Decimal(1)}],
]


def parameter_verdict(name: str, value: Any) -> str:
    if not ALLOWED[name](value):
        return BAD
    huge = is_number(value) and abs(as_float(value)) > 100 and not is_integer(value)
    unclear = (
        huge
        or value == "lbfgs"  # which excludes some others
        or (
            name in ("learning_rate", "alpha", "rescale", "power_t")
            and value is not None
            and as_float(value) > 100
        )
        or (name in ("early_stopping", "validation_fraction"))
    )
    return EITHER if unclear else GOOD


def is_plain(name: str, value: Any) -> bool:
    """Tell whether it is what people give every day."""
    if isinstance(value, dict):
        return all(is_plain("alpha", one) for one in (*value, *value.values()))
    if type(value) not in (bool, int, float, str, type(None)):
        return False
    is_odd_number = is_number(value) and value != 0 and not 1e-4 <= value <= 100
    return ALLOWED[name](value) and not is_odd_number


@st.composite
def parameters(draw: Any) -> tuple[bool, dict[str, Any], dict[str, str]]:
    names = st.lists(
        st.sampled_from(sorted(ALLOWED)), min_size=1, max_size=4, unique=True
    )
    values = st.one_of(
        st.sampled_from(ODD_VALUES),
        st.sampled_from(ODD_VALUES),
        st.integers(-2, 40),
        st.floats(),
        st.floats(0, 1),
        st.text(max_size=3),
    )
    given = {}
    for name in sorted(draw(names)):
        own = (
            values | st.sampled_from(CLASS_WEIGHTS)
            if name == "class_weight"
            else values
        )
        value = draw(own)
        if name == "epochs" and is_integer(value) and value > 40:
            value = 2
        given[name] = value
    assume(not all(is_plain(name, value) for name, value in given.items()))
    verdicts = {name: parameter_verdict(name, value) for name, value in given.items()}
    if EITHER in verdicts.values():
        verdicts = {"learning_rate": EITHER, "early_stopping": EITHER} | verdicts
    return draw(st.booleans()), given, verdicts


def plain_parameter(value: Any) -> Any:
    if is_integer(value):
        return int(value)
    return (
        bool(value) if is_flag(value) else float(value) if is_number(value) else value
    )


def check_parameters(drawn: tuple[bool, dict[str, Any], dict[str, str]]) -> None:
    former, given, verdicts = drawn
    X, y, _ = PROBLEMS[0]
    clf = fitted(0).set_params(**given) if former else estimator(**given)
    assert all(clf.get_params()[name] is value for name, value in given.items())
    described = {name: repr(value)[:80] for name, value in given.items()}
    fit = functools.partial(clf.fit, X, y)
    if outcome(fit, Call({}, verdicts, described), owner=clf) is None:
        return
    assert_sound(clf, np.arange(3), 3)
    random = isinstance(clf.random_state, np.random.RandomState | None)
    if random or (former and clf.warm_start):
        return
    plain = estimator(**{name: plain_parameter(value) for name, value in given.items()})
    plain.set_params(batch_size=min(12, plain.batch_size), verbose=0)
    assert_same_model(clf, quietly(plain.fit, X, y))


@N_CALLS
def test_parameters(n_calls):
    assert set(ALLOWED) == set(inspect.signature(TFSoftmaxClassifier).parameters)
    run(parameters(), check_parameters, n_calls)


# What a fitted classifier becomes, and its callbacks

ODD_ARGUMENTS = st.one_of(
    st.sampled_from(ODD_VALUES), st.integers(), st.floats(), st.text(), st.binary()
)


CONVERTING = pytest.mark.parametrize("method", ["to_sklearn", "to_keras"])


@CONVERTING
def test_converting(method):
    clf, call = fitted(0), Call({}, {}, {})
    assert outcome(getattr(clf, method), call, owner=clf, reads_only=True) is not None
    clf, call = estimator(), Call({}, {"fit": BAD}, {})
    convert, errors = getattr(clf, method), (NotFittedError,)
    assert outcome(convert, call, owner=clf, also_allowed=errors) is None


@N_CALLS
@CONVERTING
def test_converting_with_arguments(method, n_calls):
    """None is taken, whether the estimator is fitted or not."""

    def check(drawn: tuple[bool, list[Any], dict[str, Any]]) -> None:
        is_fitted, positional, named = drawn
        clf = fitted(0) if is_fitted else estimator()
        convert = functools.partial(getattr(clf, method), *positional)
        verdicts = dict.fromkeys([*named, *[method][: len(positional)]], BAD)
        assert outcome(convert, Call(named, verdicts, {}), owner=clf) is None

    arguments = st.lists(ODD_ARGUMENTS, max_size=2)
    names = st.sampled_from(["X", "y", "path", "name", "rescale", "dtype"])
    named = st.dictionaries(names, ODD_ARGUMENTS, max_size=2)
    drawn = st.tuples(st.booleans(), arguments, named)
    cases = drawn.filter(lambda drawn: drawn[1] or drawn[2])
    run(cases, check, n_calls)


@pytest.mark.skipif(not callbacks.SUPPORTED, reason="scikit-learn has no callbacks")
@N_CALLS
def test_set_callbacks(n_calls):
    hooks = ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown")

    def check(given: list[Any]) -> None:
        clf = fitted(0)
        verdicts, described = {"callbacks": BAD}, {"callbacks": repr(given)}
        call = Call({"callbacks": given}, verdicts, described)
        outcome(lambda callbacks: clf.set_callbacks(*callbacks), call, owner=clf)
        np.testing.assert_array_equal(
            quietly(clf.fit, *PROBLEMS[0][:2]).coef_, fitted(0).coef_
        )

    partly = st.sets(st.sampled_from(hooks), max_size=3).map(
        lambda names: SimpleNamespace(**dict.fromkeys(names, print))
    )
    cases = st.lists(ODD_ARGUMENTS | partly, min_size=1, max_size=3)
    run(cases, check, n_calls)
