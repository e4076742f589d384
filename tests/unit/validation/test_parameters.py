"""What each parameter may be, and what is said of all else."""

from __future__ import annotations

import inspect
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.engine.optimizers import OPTIMIZERS
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.schedules import SCHEDULES
from tfsoftmax.validation.parameters import RULES, check_parameters


class Kind(NamedTuple):
    """Words that a message must hold, and values: allowed, mistyped, out of range."""

    words: tuple[str, ...]
    allowed: list[Any]
    mistyped: list[Any]
    out_of_range: list[Any]


DEFAULTS = TFSoftmaxClassifier().get_params()
BOOLS = [True, False, np.True_]
NO_NUMBERS = [
    *["1", b"1", "auto", [1], (1,), {}, 1j, np.array(1), np.array([1, 2]), int],
    # Whatever Python and NumPy call integers and numbers.
    *[np.timedelta64(1, "s"), np.datetime64("2020"), Decimal("0.5"), pd.NA],
]
ULONG_MAX = np.uint64(2**64 - 1)

POSITIVE_INTEGER = Kind(
    words=("a positive integer",),
    allowed=[1, 100, 10**9, np.int64(7), np.uint8(3), np.int8(1)],
    mistyped=[*NO_NUMBERS, *BOOLS, None, 1.0, 0.5, math.nan, math.inf, np.float64(2)],
    out_of_range=[0, -1, -(10**9), np.int64(0), np.int8(-5), np.uint8(0)],
)
POSITIVE_NUMBER = Kind(
    words=("a positive finite number",),
    allowed=[1, 0.01, 1e-300, 1e300, np.float32(0.5), np.float16(0.1), np.int64(2)],
    mistyped=[*NO_NUMBERS, *BOOLS, None],
    out_of_range=[
        *[10**400, Fraction(1, 10**400)],
        *[np.longdouble("1e4000"), np.longdouble("1e-4000")],
        *[0, 0.0, -0.0, -1, -1e-300, math.nan, math.inf, -math.inf],
        *[np.float32(0), np.float64(-1), np.float32("nan"), np.float16("inf")],
    ],
)
NON_NEGATIVE_NUMBER = Kind(
    words=("a non-negative finite number",),
    allowed=[*POSITIVE_NUMBER.allowed, 0, 0.0, np.float32(0), Fraction(1, 10**400)],
    mistyped=[*NO_NUMBERS, *BOOLS, None],
    out_of_range=[-1, -1e-300, math.nan, math.inf, -math.inf, 10**400],
)
FLAG = Kind(
    words=("True or False",),
    allowed=[*BOOLS, np.False_],
    mistyped=[*NO_NUMBERS, None, 0, 1, 1.0, np.int64(1), "True", math.nan],
    out_of_range=[],
)


def or_auto(kind):
    """Which may also be left to the training rows; other words are out of range."""
    words = {"1", "auto"}
    return Kind(
        (*kind.words, "'auto'"),
        [*kind.allowed, "auto", np.str_("auto")],
        [v for v in kind.mistyped if not (isinstance(v, str) and v in words)],
        [*kind.out_of_range, "1", "Auto", ""],
    )


KINDS = {
    "batch_size": POSITIVE_INTEGER,
    "learning_rate": or_auto(POSITIVE_NUMBER),
    "epochs": or_auto(POSITIVE_INTEGER),
    "optimizer": Kind(
        words=tuple(map(repr, SOLVERS)),
        allowed=[*SOLVERS, np.str_("sgd")],
        mistyped=[None, 0, 1.0, True, b"sgd", ["sgd"], dict, np.array("sgd")],
        out_of_range=["", "SGD", "sgd ", "newton-cg"],
    ),
    "momentum": Kind(
        words=("a number in [0, 1)",),
        allowed=[0, 0.0, 0.9, np.float32(0.5)],
        mistyped=[*NO_NUMBERS, *BOOLS, None],
        out_of_range=[1, 1.0, -0.1, math.nan, math.inf],
    ),
    "learning_rate_schedule": Kind(
        words=tuple(map(repr, ["auto", *SCHEDULES])),
        allowed=["auto", *SCHEDULES],
        mistyped=[None, 0, 1.0, True, b"constant", ["constant"]],
        out_of_range=["", "Constant", "optimal"],
    ),
    "power_t": NON_NEGATIVE_NUMBER,
    "alpha": or_auto(NON_NEGATIVE_NUMBER),
    "l1_ratio": Kind(
        words=("a number in [0, 1]",),
        allowed=[0, 1, 0.5, np.float64(1)],
        mistyped=[*NO_NUMBERS, *BOOLS, None],
        out_of_range=[1.1, -0.1, math.nan, math.inf],
    ),
    "class_weight": Kind(
        words=("a dict of class weights", "'balanced'", "None"),
        allowed=[None, "balanced", {}, {0: 1.0}],
        mistyped=[0, 1.0, True, [1, 2], np.ones(2)],
        out_of_range=["", "Balanced", "auto"],
    ),
    "early_stopping": FLAG,
    "validation_fraction": Kind(
        words=("a number in (0, 1)",),
        allowed=[0.1, 0.999, np.float32(0.5)],
        mistyped=[*NO_NUMBERS, *BOOLS, None],
        out_of_range=[0, 1, 0.0, 1.0, -0.1, math.nan, math.inf],
    ),
    "scoring": Kind(
        words=("one of 'loss', 'accuracy'",),
        allowed=["loss", "accuracy", np.str_("loss")],
        mistyped=[None, 0, True, len],
        out_of_range=["", "Loss", "val_loss", "neg_log_loss"],
    ),
    "tol": Kind(
        words=("a non-negative finite number or None",),
        allowed=[*NON_NEGATIVE_NUMBER.allowed, None],
        mistyped=[value for value in NON_NEGATIVE_NUMBER.mistyped if value is not None],
        out_of_range=NON_NEGATIVE_NUMBER.out_of_range,
    ),
    "n_iter_no_change": POSITIVE_INTEGER,
    "warm_start": FLAG,
    "fit_intercept": FLAG,
    "rescale": Kind(
        words=(
            "a positive finite number",
            "an array of them",
            "'standard', 'auto'",
        ),
        allowed=[
            *[*POSITIVE_NUMBER.allowed, 1 / 255, None, "standard", np.str_("standard")],
            "auto",
            *[[1], (0.5, 2), range(1, 4), [np.float32(1), 2], np.array([1, 2], "u1")],
            *[np.full(3, 0.5, "f2"), np.full(3, 0.5, "g"), pd.Series([1.0, 2.0])],
        ],
        mistyped=[
            *[{}, {1: 2}, {1}, 1j, int, Decimal("0.5"), pd.NA, np.complex128(1)],
            *[np.timedelta64(1, "s"), np.datetime64("2020"), iter([1]), *BOOLS],
        ],
        out_of_range=[
            *[*POSITIVE_NUMBER.out_of_range, "", "scale", "Standard", "1", b"1", b"12"],
            *[[], (), np.array(0.5), np.array("standard"), np.ones((2, 2)), [[1], [2]]],
            *[[1, 0], [1, -1], [1, math.nan], [math.inf, 1], [1, None], [[1], [1, 2]]],
            *[["1", "2"], ["a"], ["standard"], [True], np.ones(2, bool), [1, 10**400]],
            *[np.array([1j]), np.array([1], "m8[s]"), np.array(["2020"], "M8[Y]")],
            *[np.array([1, "4"], object), np.full(2, np.longdouble("1e4000"))],
        ],
    ),
    "shuffle": FLAG,
    "random_state": Kind(
        words=("an integer from 0 to 2**32 - 1", "numpy.random.RandomState", "None"),
        allowed=[
            *[None, 0, 42, 2**32 - 1, np.int64(3), np.uint32(2**32 - 1), np.int8(1)],
            np.random.RandomState(0),
        ],
        mistyped=[
            *[*NO_NUMBERS, *BOOLS, 1.0, np.float64(1), math.nan],
            *[np.random.default_rng(0), np.random],
        ],
        out_of_range=[-1, 2**32, 10**30, np.int64(-1), np.int64(2**32), ULONG_MAX],
    ),
    "verbose": Kind(
        words=("a non-negative integer",),
        allowed=[0, 1, 10, *BOOLS, np.int64(1), np.uint8(0)],
        mistyped=[*NO_NUMBERS, None, 0.0, 1.5, math.nan],
        out_of_range=[-1, np.int64(-2)],
    ),
}


def cases(which):
    return [
        pytest.param(name, value, id=f"{name}-{value!r}".split(" ")[0])
        for name, kind in KINDS.items()
        for value in getattr(kind, which)
    ]


def check(name, value):
    check_parameters(DEFAULTS | {name: value})


def assert_says(error, name, value):
    message = str(error.value)
    assert message.startswith(f"{name} must be ")
    assert message.endswith(f"; got {value!r}.")
    assert all(words in message for words in KINDS[name].words)


def test_every_rule_is_tested():
    assert KINDS.keys() == RULES.keys()


def test_every_parameter_has_a_rule():
    parameters = inspect.signature(TFSoftmaxClassifier).parameters
    assert set(parameters) == set(RULES)
    assert set(DEFAULTS) == set(RULES)


def test_the_defaults_are_allowed():
    check_parameters(DEFAULTS)


def test_every_optimizer_has_a_solver():
    assert sorted(SOLVERS) == sorted([*OPTIMIZERS, "lbfgs"])


@pytest.mark.parametrize(("name", "value"), cases("allowed"))
def test_an_allowed_value_passes(name, value):
    check(name, value)


@pytest.mark.parametrize(("name", "value"), cases("mistyped"))
def test_a_value_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(TypeError) as error:
        check(name, value)
    assert_says(error, name, value)


@pytest.mark.parametrize(("name", "value"), cases("out_of_range"))
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match="must be") as error:
        check(name, value)
    assert_says(error, name, value)


def test_an_integer_too_long_to_be_written_is_refused_by_name():
    with pytest.raises(ValueError, match="learning_rate can't be used: Exceeds the li"):
        check("learning_rate", 10**5000)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"l1_ratio": 0.5}, "'lbfgs' can't minimise an L1 penalty .*one of 'sgd', 'mo"),
        ({"early_stopping": True}, "'lbfgs' has none; use one of 'sgd', 'momentum', "),
    ],
)
def test_what_a_solver_cannot_do_is_refused(parameter, message):
    check_parameters(DEFAULTS | parameter)
    with pytest.raises(ValueError, match=message):
        check_parameters(DEFAULTS | parameter | {"optimizer": "lbfgs"})


def test_a_random_state_is_left_as_it_is():
    generator, untouched = (np.random.RandomState(5) for _ in range(2))
    check("random_state", generator)
    assert generator.randint(2**31) == untouched.randint(2**31)
