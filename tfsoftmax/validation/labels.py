"""Validation and encoding of labels.

There is either one label per row, of any type that scikit-learn accepts, or there are
soft labels: one row of class probabilities, possibly one-hot, for each row of X.
"""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from tfsoftmax.utils.sklearn_compat import _num_samples
from tfsoftmax.validation.arrays import check_numbers, refuse_masked
from tfsoftmax.validation.errors import errors_name, silent_checks

# Number of labels encoded at a time: for many millions, the intermediate numbers would
# take several times the memory of the codes.
_LABELS_PER_BLOCK = 1 << 16
# Tolerance for the sum of the probabilities of a soft label: float32 rounding.
_SUM_TOLERANCE = 1e-4


def check_labels(y: Any, n_samples: int, name: str = "y", rows: str = "X") -> Any:
    """Validate one label, or one row of probabilities, for each of n rows."""
    check_length(y, n_samples, name, rows)
    if is_soft(y):
        return y
    with errors_name(name), silent_checks():
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name=name)
    return y


def check_length(y: Any, n_samples: int, name: str = "y", rows: str = "X") -> None:
    """Check that y has one label for each row of X."""
    if y is None:
        raise ValueError(
            "TFSoftmaxClassifier requires y to be passed, but the target "
            f"{name} is None."
        )
    with errors_name(name):
        n_labels = _num_samples(y)
    if n_labels != n_samples:
        raise ValueError(
            f"{name} must have a label for each of the {n_samples} rows of {rows}; it "
            f"has {n_labels}."
        )
    refuse_masked(y, name)


def is_soft(y: Any) -> bool:
    """Whether y has one row of probabilities for each row of X."""
    try:
        shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    except ValueError:  # ragged: the validation that follows refuses it
        return False
    return len(shape) == 2 and shape[1] is not None and shape[1] > 1


def find_classes(y: Any, name: str = "y") -> NDArray[Any]:
    """Return the classes in y; there must be at least two.

    For soft labels, they are the column names, or 0 … n_classes − 1.
    """
    if is_soft(y):
        return _classes_of_columns(y, name)
    classes = sorted_classes(y, name)
    _check_two(classes, name)
    return classes


def sorted_classes(y: Any, name: str = "y") -> NDArray[Any]:
    """Return the sorted distinct labels in y."""
    with errors_name(name):
        try:
            with silent_checks():
                check_classification_targets(y)
            classes = LabelEncoder().fit(y).classes_
        except ValueError as error:
            got = reprlib.repr(np.asarray(y).tolist())
            message = f"{name} must contain classes; got {got}. {error}"
            raise ValueError(message) from error
        except TypeError as error:
            message = f"{name} must contain labels of one type. {error}"
            raise TypeError(message) from error
    return np.asarray(classes)


def _check_two(classes: NDArray[Any], name: str) -> None:
    if len(classes) < 2:
        raise ValueError(
            f"TFSoftmaxClassifier needs at least two classes; {name} has only one "
            f"class: {classes.tolist()[0]!r}."
        )


def check_classes(
    classes: Any, y: Any, known: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Validate classes passed by the user; return them sorted, or in `known` order.

    If the columns of soft labels have no names, the classes must be in that order.
    """
    name = "classes"
    with errors_name(name), silent_checks():
        refuse_masked(classes, name)
        passed = column_or_1d(classes)
        assert_all_finite(passed, input_name=name)
        # Repeated: older scikit-learns mistake many distinct values for a regression.
        distinct: NDArray[Any] = passed
        if len(passed):
            distinct = np.asarray(unique_labels(np.repeat(passed, 2)))
    if len(distinct) == 0:
        raise ValueError("classes must contain at least two classes; it is empty.")
    _check_two(distinct, name)
    if known is not None and same_classes(distinct, known):
        distinct = known
    if _is_nameless(y) and passed.tolist() != distinct.tolist():
        raise ValueError(
            "classes must be in the order of predict_proba's columns, "
            f"{reprlib.repr(distinct.tolist())}, if the columns of y have no names; "
            f"got {reprlib.repr(passed.tolist())}."
        )
    return distinct


def same_classes(classes: NDArray[Any], known: NDArray[Any], y: Any = None) -> bool:
    """Whether these are the known classes, in an order that the columns of y allow."""
    if _is_nameless(y):
        return np.array_equal(classes, known)
    return set(classes.tolist()) == set(known.tolist())


def encode(y: Any, classes: NDArray[Any], name: str = "y") -> NDArray[Any]:
    """Convert each label to the index of its class; validate soft labels.

    Returns
    -------
    y : ndarray of shape (n_samples,), int32; or (n_samples, n_classes), float64
    """
    if is_soft(y):
        return _check_soft(y, classes, name)
    y = np.asarray(y)
    codes = np.empty(len(y), dtype=np.int32)
    unseen: list[Any] = []
    try:
        by_value = np.argsort(classes)
        for start in range(0, len(y), _LABELS_PER_BLOCK):
            block = slice(start, start + _LABELS_PER_BLOCK)
            # Different integer types would become floats, and some values equal.
            are_integers = classes.dtype.kind in "iu" and y.dtype.kind in "iu"
            keys = y[block].astype(classes.dtype) if are_integers else y[block]
            ranks = np.searchsorted(classes, keys, sorter=by_value)
            codes[block] = by_value[ranks.clip(max=len(classes) - 1)]
            unseen += y[block][classes[codes[block]] != y[block]].tolist()
    except TypeError:  # labels that can't be compared with the classes
        unseen = y.tolist()
    if unseen:
        with errors_name(name):
            labels = reprlib.repr(list(dict.fromkeys(unseen)))
        known = reprlib.repr(classes.tolist())
        raise ValueError(
            f"{name} has labels that are not among the classes {known}: {labels}."
        )
    return codes


def hard_labels(y: Any, classes: NDArray[Any]) -> Any:
    """Return the most probable class of each soft label, or hard labels unchanged."""
    return classes[encode(y, classes).argmax(axis=1)] if is_soft(y) else y


def _columns(y: Any) -> list[Any] | None:
    """Return the column names of a DataFrame, of pandas or another library."""
    columns = getattr(y, "columns", None)
    return None if columns is None else list(columns)


def _is_nameless(y: Any) -> bool:
    """Whether y has soft labels in unnamed columns."""
    return y is not None and is_soft(y) and _columns(y) is None


def _classes_of_columns(y: Any, name: str) -> NDArray[Any]:
    names = _columns(y)
    if names is None:
        return np.arange(np.shape(y)[1])
    if len(set(names)) < len(names):
        raise ValueError(
            f"{name} must have only one column per class; got {reprlib.repr(names)}."
        )
    with errors_name(name):
        classes = np.asarray(names)
    if classes.ndim != 1 or classes.tolist() != names:
        raise TypeError(
            f"{name} must have column names that are labels of one type; got "
            f"{reprlib.repr(names)}."
        )
    sorted_classes(np.repeat(classes, 2), name)  # refuses names that are not labels
    return classes


def _check_soft(y: Any, classes: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Validate soft labels; return their columns in the order of the classes."""
    names, known = _columns(y), classes.tolist()
    if names is not None:
        if len(names) != len(known) or set(names) != set(known):
            raise ValueError(
                f"{name} must have one column for each of the classes "
                f"{reprlib.repr(known)}; it has {reprlib.repr(names)}."
            )
        y = np.asarray(y)[:, [names.index(label) for label in known]]
    rows = check_numbers(y, name)
    if rows.shape[1] != len(classes):
        raise ValueError(
            f"{name} has {rows.shape[1]} columns of probabilities, but there are "
            f"{len(classes)} classes."
        )
    sums = rows.sum(axis=1)
    wrong = (rows < 0).any(axis=1) | (abs(sums - 1) > _SUM_TOLERANCE)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} with {rows.shape[1]} columns must contain class probabilities, "
            "non-negative and with a sum of 1 in each row; row "
            f"{row} is {reprlib.repr(rows[row].tolist())}."
        )
    return rows / sums[:, None]  # type: ignore[no-any-return]
