"""What each parameter of the estimator may be: one table, checked by every fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from tfsoftmax.inputs import naming

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "lbfgs")
SCHEDULES = ("constant", "cosine", "invscaling", "adaptive")


class Rule(NamedTuple):
    """The values allowed: the types, a predicate on them, and both in words.

    `per_model` tells whether models that are trained side by side, on the same
    batches, may differ in it.
    """

    types: tuple[type, ...]
    allows: Callable[[Any], bool]
    words: str
    per_model: bool = False


def _one_of(*names: str) -> Rule:
    words = "one of " + ", ".join(map(repr, names))
    return Rule((str,), names.__contains__, words)


def _or_none(rule: Rule) -> Rule:
    return Rule(
        (*rule.types, type(None)),
        lambda value: value is None or rule.allows(value),
        f"{rule.words} or None",
    )


def _per_model(rule: Rule) -> Rule:
    return rule._replace(per_model=True)


def _number(allows: Callable[[float], bool], words: str) -> Rule:
    """Make a rule for numbers, judged by the float they will become."""

    def allows_as_float(value: Any) -> bool:
        try:
            return allows(float(value))
        except OverflowError:
            return False

    return Rule((Real,), allows_as_float, words)


_POSITIVE_INTEGER = Rule((Integral,), lambda value: value >= 1, "a positive integer")
_POSITIVE_NUMBER = _number(lambda x: 0 < x < math.inf, "a positive finite number")
_NON_NEGATIVE_NUMBER = _number(
    lambda x: 0 <= x < math.inf, "a non-negative finite number"
)
_FLAG = Rule((bool, np.bool_), lambda _: True, "True or False")
_VERBOSITY = Rule(
    (Integral, bool, np.bool_), lambda value: value >= 0, "a non-negative integer"
)

RULES: dict[str, Rule] = {
    "batch_size": _POSITIVE_INTEGER,
    "learning_rate": _per_model(_POSITIVE_NUMBER),
    "epochs": _per_model(_POSITIVE_INTEGER),
    "optimizer": _one_of(*OPTIMIZERS),
    "momentum": _per_model(_number(lambda x: 0 <= x < 1, "a number in [0, 1)")),
    "learning_rate_schedule": _per_model(_one_of(*SCHEDULES)),
    "power_t": _per_model(_NON_NEGATIVE_NUMBER),
    "alpha": _per_model(_NON_NEGATIVE_NUMBER),
    "l1_ratio": _per_model(_number(lambda x: 0 <= x <= 1, "a number in [0, 1]")),
    "fit_intercept": _FLAG,
    "rescale": _or_none(_POSITIVE_NUMBER),
    "class_weight": Rule(
        (Mapping, str, type(None)),
        lambda value: not isinstance(value, str) or value == "balanced",
        "a dict of class to weight, 'balanced', or None",
        per_model=True,
    ),
    "shuffle": _FLAG,
    "random_state": Rule(
        (Integral, np.random.RandomState, type(None)),
        lambda value: not isinstance(value, Integral) or 0 <= int(value) < 2**32,
        "an integer from 0 to 2**32 - 1, a numpy.random.RandomState, or None",
    ),
    "early_stopping": _FLAG,
    "validation_fraction": _number(lambda x: 0 < x < 1, "a number in (0, 1)"),
    "tol": _per_model(_or_none(_NON_NEGATIVE_NUMBER)),
    "n_iter_no_change": _per_model(_POSITIVE_INTEGER),
    "warm_start": _FLAG,
    "verbose": _VERBOSITY,
}


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check each parameter by its rule, and those that exclude each other.

    Raises
    ------
    TypeError
        If a value is of the wrong type.
    ValueError
        If it is of the right type and out of range. Both messages name the
        parameter, its value and what is allowed.
    """
    for name in RULES:
        _check_parameter(name, parameters[name])
    if parameters["optimizer"] == "lbfgs":
        _check_lbfgs(parameters)


def _check_parameter(name: str, value: Any) -> None:
    rule = RULES[name]
    # bool and timedelta64 are Integrals to Python, but not numbers as meant here.
    is_flag = isinstance(value, (bool, np.bool_))
    is_other = isinstance(value, np.timedelta64) or (is_flag and bool not in rule.types)
    kind = TypeError if is_other or not isinstance(value, rule.types) else ValueError
    if kind is TypeError or not rule.allows(value):
        with naming(name):  # an integer may be too long to be written
            got = repr(value)
        raise kind(f"{name} must be {rule.words}; got {got}.")


def _check_lbfgs(parameters: Mapping[str, Any]) -> None:
    by_epochs = ", ".join(repr(name) for name in OPTIMIZERS if name != "lbfgs")
    if parameters["l1_ratio"] > 0:
        raise ValueError(
            "optimizer='lbfgs' can't minimise an L1 penalty (l1_ratio="
            f"{parameters['l1_ratio']!r}); use one of {by_epochs}, or l1_ratio=0."
        )
    if parameters["early_stopping"]:
        raise ValueError(
            "early_stopping=True watches epochs, and optimizer='lbfgs' has none; use "
            f"one of {by_epochs}, or early_stopping=False."
        )
