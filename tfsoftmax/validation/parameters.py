"""The values allowed for each parameter of the estimator, checked by every fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.automatic import is_auto
from tfsoftmax.solvers.schedules import SCHEDULES
from tfsoftmax.validation.errors import errors_name


class Constraint(NamedTuple):
    """The allowed values: their types, a predicate, and a description of both.

    `per_model` states whether models that are trained on the same batches may differ
    in the parameter.
    """

    types: tuple[type, ...]
    allows: Callable[[Any], bool]
    words: str
    per_model: bool = False


def _words(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _one_of(*names: str) -> Constraint:
    words = f"one of {_words(names)}"
    return Constraint((str,), names.__contains__, words)


def _or_none(constraint: Constraint) -> Constraint:
    return Constraint(
        (*constraint.types, type(None)),
        lambda value: value is None or constraint.allows(value),
        f"{constraint.words} or None",
    )


def _or_auto(constraint: Constraint) -> Constraint:
    """Return a constraint that also allows "auto"."""

    def allows(value: Any) -> bool:
        return is_auto(value) or (
            isinstance(value, constraint.types) and constraint.allows(value)
        )

    types = (*constraint.types, str)
    return constraint._replace(
        types=types, allows=allows, words=f"{constraint.words} or 'auto'"
    )


def _per_model(constraint: Constraint) -> Constraint:
    return constraint._replace(per_model=True)


def _number(allows: Callable[[float], bool], words: str) -> Constraint:
    """Return a constraint on a number, checked after its conversion to float."""

    def allows_as_float(value: Any) -> bool:
        try:
            return allows(float(value))
        except OverflowError:
            return False

    return Constraint((Real,), allows_as_float, words)


_POSITIVE_INTEGER = Constraint(
    (Integral,), lambda value: value >= 1, "a positive integer"
)
_POSITIVE_NUMBER = _number(lambda x: 0 < x < math.inf, "a positive finite number")
_NON_NEGATIVE_NUMBER = _number(
    lambda x: 0 <= x < math.inf, "a non-negative finite number"
)
_FLAG = Constraint((bool, np.bool_), lambda _: True, "True or False")
_VERBOSITY = Constraint(
    (Integral, bool, np.bool_), lambda value: value >= 0, "a non-negative integer"
)


@runtime_checkable
class Array(Protocol):
    """An object that NumPy can convert to an array, such as a pandas Series."""

    def __len__(self) -> int: ...

    def __array__(self) -> NDArray[Any]: ...


def _allows_rescale(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return value in (None, "standard", "auto")
    if isinstance(value, Real):
        return _POSITIVE_NUMBER.allows(value)
    try:
        factors = np.asarray(value)
    except (TypeError, ValueError):  # a ragged list
        return False
    if factors.dtype.kind not in "iuf" or factors.ndim != 1 or not factors.size:
        return False
    with np.errstate(over="ignore"):  # long doubles beyond the range of doubles
        factors = factors.astype(np.float64)
    return bool(((factors > 0) & (factors < math.inf)).all())


RULES: dict[str, Constraint] = {
    "batch_size": _POSITIVE_INTEGER,
    "learning_rate": _per_model(_or_auto(_POSITIVE_NUMBER)),
    "epochs": _per_model(_or_auto(_POSITIVE_INTEGER)),
    "optimizer": _one_of(*SOLVERS),
    "momentum": _per_model(_number(lambda x: 0 <= x < 1, "a number in [0, 1)")),
    "learning_rate_schedule": _per_model(_one_of("auto", *SCHEDULES)),
    "power_t": _per_model(_NON_NEGATIVE_NUMBER),
    "alpha": _per_model(_or_auto(_NON_NEGATIVE_NUMBER)),
    "l1_ratio": _per_model(_number(lambda x: 0 <= x <= 1, "a number in [0, 1]")),
    "fit_intercept": _FLAG,
    "rescale": Constraint(
        (Real, str, Sequence, Array, type(None)),
        _allows_rescale,
        "a positive finite number, an array of them, 'standard', 'auto', or None",
    ),
    "class_weight": Constraint(
        (Mapping, str, type(None)),
        lambda value: not isinstance(value, str) or value == "balanced",
        "a dict of class weights, 'balanced', or None",
        per_model=True,
    ),
    "shuffle": _FLAG,
    "random_state": Constraint(
        (Integral, np.random.RandomState, type(None)),
        lambda value: not isinstance(value, Integral) or 0 <= int(value) < 2**32,
        "an integer from 0 to 2**32 - 1, a numpy.random.RandomState, or None",
    ),
    "early_stopping": _FLAG,
    "validation_fraction": _number(lambda x: 0 < x < 1, "a number in (0, 1)"),
    "scoring": _per_model(_one_of("loss", "accuracy")),
    "tol": _per_model(_or_none(_NON_NEGATIVE_NUMBER)),
    "n_iter_no_change": _per_model(_POSITIVE_INTEGER),
    "warm_start": _FLAG,
    "verbose": _VERBOSITY,
}


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check each parameter against its constraint, and refuse invalid combinations.

    Raises
    ------
    TypeError
        If a value has the wrong type.
    ValueError
        If a value has the right type but is out of range. Both messages name the
        parameter, its value and the allowed values.
    """
    for name in RULES:
        _check_parameter(name, parameters[name])
    _check_solver(parameters)


def check_partial_fit(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that need all epochs or all rows.

    Raises
    ------
    ValueError
        If there is one; the message says what to do instead.
    """
    if parameters["early_stopping"]:
        raise ValueError(
            "early_stopping=True compares epochs, but partial_fit trains for only one. "
            "Set early_stopping=False and compare the scores on held-out rows after "
            "each call."
        )
    if isinstance(parameters["class_weight"], str):
        raise ValueError(
            "class_weight='balanced' counts the classes of all rows, but partial_fit "
            "sees only those of one call. Pass the weights as a dict, for instance "
            "dict(zip(classes, compute_class_weight('balanced', classes=classes, y=y)))"
            " from sklearn.utils.class_weight, with y of all rows or of a sample."
        )


def _check_parameter(name: str, value: Any) -> None:
    constraint = RULES[name]
    # bool and timedelta64 are Integrals in Python, but not numbers here.
    is_flag = isinstance(value, (bool, np.bool_))
    is_other = isinstance(value, np.timedelta64) or (
        is_flag and bool not in constraint.types
    )
    is_wrong_type = is_other or not isinstance(value, constraint.types)
    if is_wrong_type or not constraint.allows(value):
        with errors_name(name):  # an integer may be too long for repr
            got = repr(value)
        kind = TypeError if is_wrong_type else ValueError
        raise kind(f"{name} must be {constraint.words}; got {got}.")


def _check_solver(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the solver of an optimizer does not support."""
    optimizer = parameters["optimizer"]
    solver = SOLVERS[optimizer]
    if parameters["l1_ratio"] > 0 and not solver.l1:
        others = _words(name for name, other in SOLVERS.items() if other.l1)
        raise ValueError(
            f"optimizer={optimizer!r} can't minimise an L1 penalty (l1_ratio="
            f"{parameters['l1_ratio']!r}); use one of {others}, or l1_ratio=0."
        )
    if parameters["early_stopping"] and not solver.by_epochs:
        others = _words(name for name, other in SOLVERS.items() if other.by_epochs)
        raise ValueError(
            f"early_stopping=True compares epochs, but optimizer={optimizer!r} has "
            f"none; use one of {others}, or early_stopping=False."
        )
