"""Does every call give a right result, or an error that names the argument?

Generated calls of fit, partial_fit, the predicting methods, score and a search, with
data and parameters that are odd or bad.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import log_softmax
from sklearn.exceptions import NotFittedError

from tests import reference
from tests.assertions import assert_same_model
from tests.generated import N_CALLS, run
from tests.robustness.odd_values import (
    ARGUMENTS,
    BAD,
    CLASSES,
    EITHER,
    GOOD,
    KNOWN_LABELS,
    LABELS,
    MADE_UP_ROWS,
    MADE_UP_WEIGHTS,
    NAMELESS_COLUMNS,
    OTHER_LABELS,
    PLAIN,
    ROWS,
    SAME_LABELS,
    UNEXPECTED,
    UNSEEN_LABELS,
    WEIGHTS,
    WIDTHS,
    Arguments,
    Call,
    Odd,
    always,
    calls,
    estimator,
    fitted,
    judged_as,
    one_of,
    quietly,
    table,
)
from tests.robustness.oracle import (
    assert_sound,
    outcome,
    plain_labels,
    plain_rows,
    plain_weights,
    tolerance,
)
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV

# Training


class Training(NamedTuple):
    """A call that trains, and the estimator that it is made on."""

    call: Call
    number: int
    is_fitted: bool
    parameters: dict[str, Any]

    @property
    def arguments(self) -> Arguments:
        """The good arguments."""
        return ARGUMENTS[self.number]

    @property
    def resumes(self) -> bool:
        return self.is_fitted and "warm_start" in self.parameters

    def model(self) -> TFSoftmaxClassifier:
        clf = fitted(self.number) if self.is_fitted else estimator()
        return clf.set_params(**self.parameters)


VARIANTS: list[dict[str, Any]] = [
    {"shuffle": False},
    {"class_weight": "balanced"},
    {"rescale": 0.5, "fit_intercept": False},
    {"rescale": "standard"},
    {"early_stopping": True},
    {"optimizer": "lbfgs", "rescale": "standard", "alpha": 0.01},
    {"optimizer": "lbfgs", "alpha": 0.01},
    {"warm_start": True},
]
# A warm start takes the classes that it knows, where truth is equal to 0 and 1.
LABELS_TO_RESUME_WITH = [
    odd._replace(verdict=EITHER if "truth" in odd.name else BAD)
    if odd.name in OTHER_LABELS
    else odd
    for odd in LABELS
]


@st.composite
def fits(draw: Any) -> Training:
    number, is_fitted = draw(st.integers(0, 1)), draw(st.booleans())
    parameters = draw(st.sampled_from(VARIANTS))
    resumes = is_fitted and "warm_start" in parameters
    X, y, weights = ARGUMENTS[number]
    good = {"X": X, "y": y, "sample_weight": weights}
    odd = {
        "X": one_of(ROWS, MADE_UP_ROWS, *[WIDTHS] * resumes),
        "y": one_of(LABELS_TO_RESUME_WITH if resumes else LABELS),
        "sample_weight": one_of(WEIGHTS, MADE_UP_WEIGHTS),
    }
    if "early_stopping" not in parameters and draw(st.booleans()):
        good |= {f"{name}_val": value.copy() for name, value in good.items()}
        # A model that is trained in float32 measures held-out rows in float32, too.
        rows = judged_as(EITHER, ROWS, "too large for float32", "huge rows")
        odd |= {
            "X_val": one_of(rows, MADE_UP_ROWS, WIDTHS),
            "y_val": one_of(KNOWN_LABELS, UNSEEN_LABELS),
            "sample_weight_val": one_of(WEIGHTS, MADE_UP_WEIGHTS),
            "epochs": one_of(UNEXPECTED),
        }
    call = draw(calls(good, odd))
    verdicts = dict(call.verdicts)
    others = call.names.get("y") not in (None, *SAME_LABELS)
    if others and "X_val" in good and verdicts.get("y_val", GOOD) == GOOD:
        verdicts["y_val"] = EITHER  # whose labels are no longer the same
    if "early_stopping" in parameters:
        verdicts["early_stopping"] = EITHER  # which needs different rows of a class
    if "class_weight" in parameters and call.names.get("sample_weight") == "made up":
        verdicts["class_weight"] = EITHER  # which tiny weights make overflow
    if EITHER in (verdicts.get("X"), verdicts.get("X_val")):
        verdicts["learning_rate"] = EITHER
    return Training(call._replace(verdicts=verdicts), number, is_fitted, parameters)


def check_fit(training: Training) -> None:
    clf, given = training.model(), training.call.arguments
    if outcome(clf.fit, training.call, owner=clf) is None:
        return
    X = plain_rows(given["X"], clf.optimizer)
    classes, y = plain_labels(given["y"])
    s = plain_weights(given["sample_weight"])
    assert_sound(clf, classes, X.shape[1])
    plain = training.model() if training.resumes else estimator(**training.parameters)
    quietly(plain.fit, X, y, s)
    assert_same_model(clf, plain, tolerance(given["X"], given["y"], X))
    predicted = quietly(clf.predict, given["X"])
    assert set(predicted.tolist()) <= set(clf.classes_.tolist())
    if "shuffle" in training.parameters and abs(X).max() < 20:
        assert_is_gradient_descent(clf, X, y, s)
    if "X_val" in given and training.call.verdicts.get("y_val", GOOD) == GOOD:
        assert_held_out_loss(clf, given)


def assert_is_gradient_descent(clf: Any, X: Any, y: Any, s: Any) -> None:
    W, b, _ = reference.fit(
        X,
        y,
        len(clf.classes_),
        [np.arange(len(X))] * 2,
        batch_size=5,
        learning_rate=0.02,
        sample_weight=s,
    )
    close = {"rtol": 1e-4, "atol": 1e-5} if X.dtype == "f4" else {"rtol": 1e-9}
    np.testing.assert_allclose(clf.coef_, W, **{"atol": 1e-12} | close)
    np.testing.assert_allclose(clf.intercept_, b, **{"atol": 1e-12} | close)


def assert_held_out_loss(clf: Any, given: dict[str, Any]) -> None:
    X, (_, y) = plain_rows(given["X_val"]), plain_labels(given["y_val"])
    if abs(X).max() > 1e3 or len(np.unique(y)) < len(clf.classes_):
        return
    s = plain_weights(given["sample_weight_val"])
    W, b = clf.coef_.astype("f8"), clf.intercept_.astype("f8")
    log_p = log_softmax(reference.logits(X.astype("f8"), W, b, len(clf.classes_)), 1)
    losses = -log_p[np.arange(len(y)), y]
    rtol = 1e-9 if clf.coef_.dtype == X.dtype == "f8" else 1e-4
    expected = np.average(losses, weights=s)
    np.testing.assert_allclose(clf.history_.val_loss.iloc[-1], expected, rtol=rtol)


@N_CALLS
def test_fit(n_calls):
    run(fits(), check_fit, n_calls)


@pytest.mark.filterwarnings("ignore:X_val does not seem to be scaled like X")
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_held_out_rows_of_another_scale_are_refused(optimizer):
    X, y, _ = ARGUMENTS[0]
    clf = estimator(optimizer=optimizer, alpha=0.1)
    with pytest.raises(ValueError, match="Scale X_val like X"):
        clf.fit(X.astype("f4"), y, X_val=X * 1e200, y_val=y)


# Of classes, which labels of numbers don't have, and columns without names may have.
OTHER_NAMES = ("words", "halves")


@st.composite
def partial_fits(draw: Any) -> Training:
    number, is_fitted = draw(st.integers(0, 1)), draw(st.booleans())
    X, y, weights = ARGUMENTS[number]
    good = {"X": X, "y": y, "classes": np.unique(y), "sample_weight": weights}
    no_classes = Odd("None", PLAIN if is_fitted else EITHER, always(None))
    odd = {
        "X": one_of(ROWS, MADE_UP_ROWS, *[WIDTHS] * is_fitted),
        "y": one_of(KNOWN_LABELS, UNSEEN_LABELS),
        "classes": one_of(CLASSES, [no_classes]),
        "sample_weight": one_of(WEIGHTS, MADE_UP_WEIGHTS),
        "epochs": one_of(UNEXPECTED),
    }
    call = draw(calls(good, odd))
    verdicts = dict(call.verdicts)
    are_unsorted = call.names.get("classes") in ("backward", "repeated")
    is_nameless = call.names.get("y") in NAMELESS_COLUMNS
    if are_unsorted and is_nameless:
        verdicts["classes"] = BAD
    if not is_fitted and is_nameless and call.names.get("classes") in OTHER_NAMES:
        verdicts["classes"] = EITHER  # whatever columns without names are called
    are_first_names = not is_fitted and call.names.get("classes") == "None"
    if are_first_names and call.names.get("y") == "more columns than classes":
        verdicts["y"] = EITHER  # whose columns say what the classes are
    if verdicts.get("X") == EITHER:
        verdicts["learning_rate"] = EITHER
    return Training(call._replace(verdicts=verdicts), number, is_fitted, {})


def check_partial_fit(training: Training) -> None:
    clf, plain, given = training.model(), training.model(), training.call.arguments
    if outcome(clf.partial_fit, training.call, owner=clf) is None:
        return
    X, s = plain_rows(given["X"]), plain_weights(given["sample_weight"])
    if {EITHER} & {training.call.verdicts.get(name) for name in ("y", "classes")}:
        assert_sound(clf, clf.classes_, X.shape[1])
        return
    known = np.unique(training.arguments.y)
    assert_sound(clf, known, X.shape[1])
    labels, codes = plain_labels(given["y"])
    quietly(plain.partial_fit, X, labels[codes], known, s)
    assert_same_model(clf, plain, tolerance(given["X"], given["y"], X))


@N_CALLS
def test_partial_fit(n_calls):
    run(partial_fits(), check_partial_fit, n_calls)


# Prediction

PREDICTED_ROWS = [
    *judged_as(GOOD, ROWS, "rows too few", "rows too many"),
    *table(
        good={
            "one row": lambda X: X[:1],
            "a sparse row": lambda X: sparse.csr_array(X[:1]),
        }
    ),
    *WIDTHS,
]


@st.composite
def predictions(draw: Any) -> tuple[int, str | None, Call]:
    number = draw(st.integers(0, 1))
    dtype = draw(st.sampled_from(["f8", "f8", "f4", None]))
    odd = {"X": one_of(PREDICTED_ROWS, MADE_UP_ROWS)}
    call = draw(calls({"X": ARGUMENTS[number].X}, odd))
    if dtype is None:  # not fitted
        call = call._replace(verdicts=call.verdicts | {"fit": BAD})
    return number, dtype, call


def assert_predicts(method: str, clf: Any, X: Any, result: Any) -> None:
    """Compare with the logits in long doubles, as far as rounding may take them."""
    X, W, b = (np.asarray(a, np.longdouble) for a in (X, clf.coef_, clf.intercept_))
    dtype = clf.coef_.dtype if method == "predict" else result.dtype
    eps = np.finfo(np.result_type(dtype, "f4")).eps
    logits = X @ W.T + b
    room = 50 * eps * (abs(X) @ abs(W).T + abs(b)) + np.finfo("f4").tiny
    if method == "decision_function":
        of_each = logits if logits.shape[1] > 1 else logits[:, 0]
        assert np.isfinite(result).all()
        np.testing.assert_array_less(abs(result - of_each), room.reshape(result.shape))
        return
    if logits.shape[1] == 1:
        logits = np.c_[np.zeros_like(logits), logits]
    room = room.max(axis=1, keepdims=True)
    if method == "predict":
        predicted = logits[np.arange(len(X)), np.searchsorted(clf.classes_, result)]
        assert (logits.max(axis=1) - predicted <= 2 * room[:, 0]).all()
        return
    assert result.shape == logits.shape
    assert np.isfinite(result).all()
    p = result if method == "predict_proba" else np.exp(result)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    error = abs(p - np.exp(log_softmax(logits, axis=1)))
    assert (error <= 4 * np.minimum(room, 1) + 50 * eps).all()


@N_CALLS
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function"]
)
def test_predicting(method, n_calls):
    def check(drawn: tuple[int, str | None, Call]) -> None:
        number, dtype, call = drawn
        clf = fitted(number, dtype) if dtype else estimator()
        errors = () if dtype else (NotFittedError,)
        predict = getattr(clf, method)
        result = outcome(predict, call, owner=clf, reads_only=True, also_allowed=errors)
        if result is not None:
            assert_predicts(method, clf, plain_rows(call.arguments["X"]), result)

    run(predictions(), check, n_calls)


@st.composite
def scorings(draw: Any) -> tuple[int, Call]:
    number = draw(st.integers(0, 1))
    X, y, weights = ARGUMENTS[number]
    unknown = ("negative labels", "a label that is not among the classes")
    unseen = judged_as(EITHER, UNSEEN_LABELS, *unknown, "labels beyond int32")
    # An older scikit-learn calls words for numbers wrong, and doesn't refuse them.
    known = judged_as(EITHER, KNOWN_LABELS, "words", "categories")
    odd = {
        "X": one_of(ROWS, MADE_UP_ROWS, WIDTHS),
        "y": one_of(known, unseen),
        "sample_weight": one_of(WEIGHTS, MADE_UP_WEIGHTS),
    }
    return number, draw(calls({"X": X, "y": y, "sample_weight": weights}, odd))


def check_score(drawn: tuple[int, Call]) -> None:
    number, call = drawn
    clf, given = fitted(number), call.arguments
    result = outcome(clf.score, call, owner=clf, reads_only=True)
    if result is None:
        return
    labels, codes = plain_labels(given["y"])
    predicted = clf.predict(plain_rows(given["X"]))
    hits = [p == label for p, label in zip(predicted, labels[codes], strict=True)]
    s = plain_weights(given["sample_weight"])
    assert result == pytest.approx(np.average(hits, weights=s), rel=1e-9)


@N_CALLS
def test_score(n_calls):
    run(scorings(), check_score, n_calls)


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


def numbers_in(allows: Callable[[float], bool]) -> Callable[[Any], bool]:
    return lambda value: is_number(value) and allows(as_float(value))


def or_none(allows: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or allows(value)


def among(*names: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in names


def is_class_weight(value: Any) -> bool:
    if not isinstance(value, dict):
        return value is None or among("balanced")(value)
    weights = list(value.values())
    is_weight = numbers_in(lambda x: 0 <= x < math.inf)
    all_zero = len(value) == 3 and not any(weights)
    return set(value) <= {0, 1, 2} and all(map(is_weight, weights)) and not all_zero


def is_factors(value: Any) -> bool:
    """Whether it is a positive number for each of three features, or "standard"."""
    if isinstance(value, str):
        return value == "standard"
    is_vector = isinstance(value, list | tuple | np.ndarray) and np.ndim(value) == 1
    return is_vector and len(value) == 3 and all(map(is_positive, value))


is_count = numbers_in(lambda x: x >= 1)
is_positive = numbers_in(lambda x: 0 < x < math.inf)
is_non_negative = numbers_in(lambda x: 0 <= x < math.inf)


# What the documentation allows.
def or_auto(allows: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (isinstance(value, str) and value == "auto") or allows(value)


ALLOWED: dict[str, Callable[[Any], bool]] = {
    "batch_size": lambda value: is_integer(value) and is_count(value),
    "learning_rate": or_auto(is_positive),
    "epochs": or_auto(lambda value: is_integer(value) and is_count(value)),
    "optimizer": among("sgd", "momentum", "nesterov", "adam", "lbfgs"),
    "momentum": numbers_in(lambda x: 0 <= x < 1),
    "learning_rate_schedule": or_auto(
        among("constant", "cosine", "invscaling", "adaptive")
    ),
    "power_t": is_non_negative,
    "alpha": or_auto(is_non_negative),
    "l1_ratio": numbers_in(lambda x: 0 <= x <= 1),
    "fit_intercept": is_flag,
    "rescale": or_auto(
        lambda value: value is None or is_positive(value) or is_factors(value)
    ),
    "class_weight": is_class_weight,
    "shuffle": is_flag,
    "random_state": or_none(
        lambda value: (
            isinstance(value, np.random.RandomState)
            or (is_integer(value) and 0 <= value < 2**32)
        )
    ),
    "early_stopping": is_flag,
    "validation_fraction": numbers_in(lambda x: 0 < x < 1),
    "scoring": among("loss", "accuracy"),
    "tol": or_none(is_non_negative),
    "n_iter_no_change": lambda value: is_integer(value) and is_count(value),
    "warm_start": is_flag,
    "verbose": lambda value: is_flag(value) or (is_integer(value) and value >= 0),
}
ODD_VALUES: list[Any] = [
    *[None, True, False, np.True_, "", "1", "balanced", "SGD", b"sgd", (), [1], {1}],
    *["sgd", "momentum", "nesterov", "adam", "lbfgs", np.str_("adam"), np.array("sgd")],
    *[
        "auto",
        "constant",
        "cosine",
        "invscaling",
        "adaptive",
        int,
        1j,
        np.random.RandomState(1),
    ],
    *[0, 1, 2, -1, 10**18, 10**30, 10**400, 2**32, np.int8(3), np.uint64(2**64 - 1)],
    *[0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf, 5e-324, 1e-300, 1e300],
    *[np.float16(0.5), np.float32(0.1), np.float32("nan"), np.longdouble("1e4000")],
    *[
        np.timedelta64(1, "s"),
        np.array([1.0]),
        np.random.default_rng(0),
        Fraction(1, 3),
    ],
    *["standard", "Standard", [0.5, 1, 2], (1, 2, 0.1), np.array([0.1, 0.2, 0.3])],
    *[[1, 1], [0.5, 0, 2], [1, 2, math.nan], ["1", "2", "3"], [True] * 3, [[1, 2, 3]]],
    *[np.array([1, 2, 1j]), np.array([0.1, 0.2, math.inf]), np.ones((1, 3))],
]
CLASS_WEIGHTS: list[Any] = [
    *[{}, {0: 2.0}, {0: 1, 1: 2, 2: 3}, {0: 0}, {1: 5e-324}, {1: 1e308}],
    *[{0: -1.0}, {0: math.nan}, {1: math.inf}, {0: None}, {0: "1"}, {0: [1]}],
    *[{0: 0, 1: 0, 2: 0}, {0: 10**400}, {7: 1.0}, {"a": 1.0}, {0: np.array(1.0)}],
]


def verdict_of(name: str, value: Any) -> str:
    if not ALLOWED[name](value):
        return BAD
    may_diverge = is_number(value) and as_float(value) > 100
    excludes_others = isinstance(value, str) and value == "lbfgs"
    return (
        EITHER
        if excludes_others
        or (may_diverge and not name.startswith(("batch_size", "n_iter", "random")))
        or name in ("early_stopping", "validation_fraction")
        else GOOD
    )


@st.composite
def parameters(draw: Any) -> Training:
    names = draw(
        st.lists(st.sampled_from(sorted(ALLOWED)), min_size=1, max_size=4, unique=True)
    )
    values = st.one_of(
        *[st.sampled_from(ODD_VALUES)] * 2,
        *[st.integers(-2, 40), st.floats(), st.floats(0, 1), st.text(max_size=3)],
    )
    given = {}
    for name in sorted(names):
        is_weight = name == "class_weight"
        value = draw(values | st.sampled_from(CLASS_WEIGHTS) if is_weight else values)
        takes_for_ever = name == "epochs" and is_integer(value) and value > 40
        given[name] = 2 if takes_for_ever else value
    verdicts = {name: verdict_of(name, value) for name, value in given.items()}
    if EITHER in verdicts.values():
        verdicts = {"learning_rate": EITHER, "early_stopping": EITHER} | verdicts
    described = {name: repr(value)[:80] for name, value in given.items()}
    return Training(Call({}, verdicts, described), 0, draw(st.booleans()), given)


def plain_parameter(value: Any) -> Any:
    for is_kind, kind in ((is_integer, int), (is_flag, bool), (is_number, float)):
        if is_kind(value):
            return kind(value)
    return value


def check_parameters(training: Training) -> None:
    clf, given = training.model(), training.parameters
    assert all(clf.get_params()[name] is value for name, value in given.items())
    X, y, _ = training.arguments
    if outcome(functools.partial(clf.fit, X, y), training.call, owner=clf) is None:
        return
    assert_sound(clf, np.arange(3), 3)
    is_random = isinstance(clf.random_state, np.random.RandomState | None)
    if is_random or (training.is_fitted and clf.warm_start):
        return
    plain = estimator(**{name: plain_parameter(value) for name, value in given.items()})
    plain.set_params(batch_size=min(12, plain.batch_size), verbose=0)
    assert_same_model(clf, quietly(plain.fit, X, y), 0)


@N_CALLS
def test_parameters(n_calls):
    assert set(ALLOWED) == set(inspect.signature(TFSoftmaxClassifier).parameters)
    run(parameters(), check_parameters, n_calls)


# A search: the errors of its estimator come through


@st.composite
def searches(draw: Any) -> tuple[int, Call]:
    number = draw(st.integers(0, 1))
    X, y, weights = ARGUMENTS[number]
    odd = {"X": MADE_UP_ROWS, "sample_weight": MADE_UP_WEIGHTS}
    call = draw(calls({"X": X, "y": y, "sample_weight": weights}, odd))
    verdicts = dict(call.verdicts)
    if "X" in verdicts:
        verdicts["learning_rate"] = EITHER  # a fold may lack the cell that is worse
    if "sample_weight" in verdicts and verdicts["sample_weight"] == GOOD:
        verdicts["sample_weight"] = EITHER  # a fold may be left with zeros alone
    return number, call._replace(verdicts=verdicts)


def check_search(drawn: tuple[int, Call]) -> None:
    _, call = drawn
    grid = {"alpha": [0.0, 0.1]}
    search = TFSoftmaxGridSearchCV(estimator(), grid, cv=2, error_score="raise")
    if outcome(search.fit, call, owner=search) is None:
        return
    scores = search.cv_results_["mean_test_score"]
    assert search.best_score_ == scores.max()
    given = call.arguments
    X, s = plain_rows(given["X"]), plain_weights(given["sample_weight"])
    plain = quietly(estimator(**search.best_params_).fit, X, given["y"], s)
    assert_same_model(search.best_estimator_, plain, 0)


@N_CALLS
def test_search(n_calls):
    run(searches(), check_search, n_calls)
