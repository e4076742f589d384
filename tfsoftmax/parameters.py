"""What each parameter of the estimator may be: one table, checked by every fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

OPTIMIZERS = ("sgd",)


class Rule(NamedTuple):
    """The values allowed: the types, a predicate on them, and both in words."""

    types: tuple[type, ...]
    allows: Callable[[Any], bool]
    words: str


def _one_of(*names: str) -> Rule:
    words = "one of " + ", ".join(map(repr, names)) if len(names) > 1 else repr(*names)
    return Rule((str,), names.__contains__, words)


_POSITIVE_INTEGER = Rule((Integral,), lambda value: value >= 1, "a positive integer")
_POSITIVE_NUMBER = Rule(
    (Real,), lambda value: 0 < value < math.inf, "a positive finite number"
)
_FLAG = Rule((bool, np.bool_), lambda _: True, "True or False")

RULES: dict[str, Rule] = {
    "batch_size": _POSITIVE_INTEGER,
    "learning_rate": _POSITIVE_NUMBER,
    "epochs": _POSITIVE_INTEGER,
    "optimizer": _one_of(*OPTIMIZERS),
    "fit_intercept": _FLAG,
    "rescale": Rule(
        (Real, type(None)),
        lambda value: value is None or 0 < value < math.inf,
        "a positive finite number or None",
    ),
    "shuffle": _FLAG,
    "random_state": Rule(
        (Integral, np.random.RandomState, type(None)),
        lambda value: not isinstance(value, Integral) or 0 <= int(value) < 2**32,
        "an integer from 0 to 2**32 - 1, a numpy.random.RandomState, or None",
    ),
    "verbose": Rule(
        (Integral, np.bool_), lambda value: value >= 0, "a non-negative integer"
    ),
}


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check each parameter by its rule.

    Raises
    ------
    TypeError
        If a value is of the wrong type.
    ValueError
        If it is of the right type and out of range. Both messages name the
        parameter, its value and what is allowed.
    """
    for name, rule in RULES.items():
        value = parameters[name]
        message = f"{name} must be {rule.words}; got {value!r}."
        # bool is an Integral to Python, but not what is meant by a number.
        is_flag = isinstance(value, (bool, np.bool_))
        if not isinstance(value, rule.types) or (
            is_flag and rule is not _FLAG and name != "verbose"
        ):
            raise TypeError(message)
        if not rule.allows(value):
            raise ValueError(message)
