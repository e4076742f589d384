"""From what a user passes to what is trained on: rows, labels, weights, or an error.

Labels come as one per row, of any kind that scikit-learn takes, or as soft labels:
a row of class probabilities for each row of X, one-hot rows among them.
"""

from __future__ import annotations

import contextlib
import re
import reprlib
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import (
    assert_all_finite,
    check_array,
    column_or_1d,
)
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import _num_samples, validate_data

# Labels that are encoded at a time: of many millions, the numbers on the way to the
# codes would take several times what the codes do.
_LABELS_PER_BLOCK = 1 << 16
# How far from 1 the probabilities of a soft label may add up to: float32 rounding.
_SUM_TOLERANCE = 1e-4
# Packages whose errors may lack the name of the argument.
_COMMON_ERRORS = (
    *("builtins", "numpy", "scipy", "sklearn"),
    *("pandas", "narwhals", "polars", "pyarrow"),
)


@contextlib.contextmanager
def naming(name: str, *others: type[Exception]) -> Iterator[None]:
    """Have an error name the argument it is about, as NumPy's and others' often don't.

    Some are of the wrong kind: an int that is too large raises OverflowError. Such
    errors, and the `others`, become a ValueError. An error of the caller's own kind
    stays what it is.
    """
    kinds: tuple[type[Exception], ...]
    kinds = (TypeError, ValueError, OverflowError, *others)
    try:
        with np.errstate(all="ignore"):  # a value out of range is told by an error
            yield
    except NotFittedError:
        raise
    except kinds as error:
        is_named = re.search(rf"\b{re.escape(name)}\b", str(error))
        is_own = type(error).__module__.partition(".")[0] not in _COMMON_ERRORS
        if is_own or (is_named and isinstance(error, (TypeError, ValueError))):
            raise
        message = f"{name} can't be used: {error}"
        if type(error) in (TypeError, ValueError):
            error.args = (message,)  # the same error, which a caller may look for
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(message) from error


def check_rows(estimator: Any, X: Any, name: str = "X", *, reset: bool) -> Any:
    """Validate rows of features for an estimator; `reset` learns their names.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Not a copy, where X is of such a kind.
    """
    with naming(name):
        X = check_structure(X, name)
        X = validate_data(estimator, X, accept_sparse="csr", reset=reset)
        check_real(X, name)
    return X


def check_real(X: Any, name: str = "X") -> None:
    """Refuse what scikit-learn lets pass and no model can use: dates, for one."""
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers; got dtype {X.dtype}.")
    if X.dtype.kind == "f" and X.dtype.itemsize > 8:
        values = X.data if sparse.issparse(X) else X
        if not np.isfinite(values.astype(np.float64)).all():
            raise ValueError(f"{name} has values that are too large for float64.")


def check_structure(X: Any, name: str = "X") -> Any:
    """Check that all of X is there, before anything reads it.

    SciPy reads anywhere in memory where a sparse matrix's indices say so.

    Returns
    -------
    X : object
        What was passed; of the sparse formats that are lists or dicts, a CSR copy.
    """
    with naming(name):
        refuse_masked(X, name)
        if not sparse.issparse(X):
            return X
        if X.ndim != 2:
            raise ValueError(f"{name} must have two dimensions; it has {X.ndim}.")
        if X.format == "lil" and list(map(len, X.rows)) != list(map(len, X.data)):
            raise ValueError("A row has another number of values than of indices.")
        if X.format in ("lil", "dok", "dia"):
            X = X.tocsr()
        if X.format == "coo":
            type(X)((X.data, X.coords), shape=X.shape)
        else:
            # Of one with the same arrays, since the check may trim them.
            same = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
            same.check_format(full_check=True)
    return X


def refuse_masked(values: Any, name: str) -> None:
    """Refuse an array with masked values; scikit-learn takes what is under the mask."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} must have all its values; some are masked.")


def check_labels(y: Any, n_samples: int, name: str = "y", rows: str = "X") -> Any:
    """Validate that y has a label for each of n rows, or a row of probabilities."""
    check_length(y, n_samples, name, rows)
    if is_soft(y):
        return y
    with naming(name):
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name=name)
    return y


def check_length(y: Any, n_samples: int, name: str = "y", rows: str = "X") -> None:
    """Check that y has a label for each row of X."""
    if y is None:
        raise ValueError(
            "TFSoftmaxClassifier requires y to be passed, but the target "
            f"{name} is None."
        )
    with naming(name):
        n_labels = _num_samples(y)
    if n_labels != n_samples:
        raise ValueError(
            f"{name} must have a label for each of the {n_samples} rows of {rows}; it "
            f"has {n_labels}."
        )
    refuse_masked(y, name)


def is_soft(y: Any) -> bool:
    """Tell whether y has a row of probabilities for each row of X."""
    try:
        shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    except ValueError:  # ragged, which the validation to come refuses
        return False
    return len(shape) == 2 and shape[1] is not None and shape[1] > 1


def classes_of(y: Any, name: str = "y") -> NDArray[Any]:
    """Find the classes in y; there must be two.

    Those of soft labels are the columns' names, or 0 … n_classes − 1.
    """
    if is_soft(y):
        return _classes_of_columns(y, name)
    classes = _sorted_classes(y, name)
    _check_two(classes, name)
    return classes


def _sorted_classes(y: Any, name: str) -> NDArray[Any]:
    with naming(name):
        try:
            check_classification_targets(y)
            classes = LabelEncoder().fit(y).classes_
        except ValueError as error:
            got = reprlib.repr(np.asarray(y).tolist())
            raise ValueError(f"{name} must hold classes; got {got}. {error}") from error
        except TypeError as error:
            raise TypeError(f"{name} must hold labels of one kind. {error}") from error
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
    """Validate the classes that a user names: sorted, or as they are known.

    Columns of soft labels that have no names stand for them in this order.
    """
    name = "classes"
    with naming(name):
        refuse_masked(classes, name)
        given = column_or_1d(classes)
        assert_all_finite(given, input_name=name)
        # Twice, for many that come once are a regression to older scikit-learns.
        own = np.asarray(unique_labels(np.repeat(given, 2))) if len(given) else given
    if len(own) == 0:
        raise ValueError("classes must hold at least two classes; it is empty.")
    _check_two(own, name)
    if known is not None and same_classes(own, known):
        own = known
    if _is_nameless(y) and given.tolist() != own.tolist():
        raise ValueError(
            "classes must be in the order of predict_proba's columns, "
            f"{reprlib.repr(own.tolist())}, where the columns of y have no names; got "
            f"{reprlib.repr(given.tolist())}."
        )
    return own


def same_classes(own: NDArray[Any], known: NDArray[Any], y: Any = None) -> bool:
    """Tell whether these are the classes known: in any order, where y names them."""
    if _is_nameless(y):
        return np.array_equal(own, known)
    return set(own.tolist()) == set(known.tolist())


def encode(y: Any, classes: NDArray[Any], name: str = "y") -> NDArray[Any]:
    """Give each label the number of its class; soft labels stay rows.

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
            # Integers of two kinds would both become floats, and some the same one.
            are_integers = classes.dtype.kind in "iu" and y.dtype.kind in "iu"
            keys = y[block].astype(classes.dtype) if are_integers else y[block]
            places = np.searchsorted(classes, keys, sorter=by_value)
            codes[block] = by_value[places.clip(max=len(classes) - 1)]
            unseen += y[block][classes[codes[block]] != y[block]].tolist()
    except TypeError:  # labels that don't compare with the classes
        unseen = y.tolist()
    if unseen:
        with naming(name):
            labels = reprlib.repr(list(dict.fromkeys(unseen)))
        known = reprlib.repr(classes.tolist())
        raise ValueError(
            f"{name} has labels that are not among the classes {known}: {labels}."
        )
    return codes


def hard_labels(y: Any, classes: NDArray[Any]) -> Any:
    """Give the most probable class of each soft label, and hard labels as they are."""
    return classes[encode(y, classes).argmax(axis=1)] if is_soft(y) else y


def row_weights(
    sample_weight: ArrayLike | None,
    n_samples: int,
    *,
    class_weight: Mapping[Any, float] | str | None = None,
    y: NDArray[Any] | None = None,
    classes: NDArray[Any] | None = None,
    name: str = "sample_weight",
) -> NDArray[np.float64] | None:
    """Multiply sample weights and class weights, and bring their mean to 1.

    A soft label has the mean of its classes' weights.

    Returns
    -------
    weights : ndarray of shape (n_samples,), or None where none are given
    """
    weights = None
    if sample_weight is not None:
        weights = check_weights(sample_weight, n_samples, name)
        weights = weights / weights.max()  # so that huge ones don't overflow below
    if class_weight is not None and y is not None and classes is not None:
        own = np.ones(n_samples) if weights is None else weights
        with naming("class_weight"):
            by_class = _class_weights(class_weight, classes, y, own)
        weights = own * (by_class[y] if y.ndim == 1 else y @ by_class)
        if not weights.any():
            raise ValueError(
                "class_weight and sample_weight leave every row with weight 0."
            )
    if weights is None:
        return None
    weights = weights / weights.max()  # so that huge ones don't overflow in the sum
    return weights * (n_samples / weights.sum())  # type: ignore[no-any-return]


def _columns(y: Any) -> list[Any] | None:
    """Give the columns' names of a DataFrame, pandas' or another."""
    columns = getattr(y, "columns", None)
    return None if columns is None else list(columns)


def _is_nameless(y: Any) -> bool:
    """Tell whether y has soft labels, and nothing says of which classes."""
    return y is not None and is_soft(y) and _columns(y) is None


def _classes_of_columns(y: Any, name: str) -> NDArray[Any]:
    names = _columns(y)
    if names is None:
        return np.arange(np.shape(y)[1])
    if len(set(names)) < len(names):
        raise ValueError(
            f"{name} must not have two columns for one class: {reprlib.repr(names)}."
        )
    with naming(name):
        classes = np.asarray(names)
    if classes.ndim != 1 or classes.tolist() != names:
        raise TypeError(
            f"{name} must have columns named by labels of one kind; got "
            f"{reprlib.repr(names)}."
        )
    _sorted_classes(np.repeat(classes, 2), name)  # which refuses what are no labels
    return classes


def _check_soft(y: Any, classes: NDArray[Any], name: str) -> NDArray[np.float64]:
    names, known = _columns(y), classes.tolist()
    if names is not None:
        if len(names) != len(known) or set(names) != set(known):
            raise ValueError(
                f"{name} must have a column for each of the classes "
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
            f"{name} with {rows.shape[1]} columns must hold the classes' "
            "probabilities, none negative, each row with a sum of 1; row "
            f"{row} is {reprlib.repr(rows[row].tolist())}."
        )
    return rows / sums[:, None]  # type: ignore[no-any-return]


def check_weights(
    sample_weight: ArrayLike, n_samples: int, name: str = "sample_weight"
) -> NDArray[np.float64]:
    """Validate that there is a weight for each of n rows; a number is that of all."""
    if np.isscalar(sample_weight):
        sample_weight = np.full(n_samples, sample_weight)
    weights = check_numbers(sample_weight, name, ensure_2d=False, ensure_min_samples=0)
    if weights.shape != (n_samples,):
        raise ValueError(
            f"{name} must have a weight for each of the {n_samples} rows, shape "
            f"({n_samples},); got shape {weights.shape}."
        )
    if (weights < 0).any():
        raise ValueError(f"{name} must not be negative; got {weights.min()}.")
    if not weights.any():
        raise ValueError(f"{name} must not be zero for all rows.")
    return weights


def check_numbers(values: Any, name: str, **options: Any) -> NDArray[np.float64]:
    """Validate finite real numbers, as `check_array` with options, and as float64."""
    with naming(name):
        refuse_masked(values, name)
        array = check_array(values, input_name=name, **options)
        check_real(array, name)
        return array.astype(np.float64, copy=False)  # type: ignore[no-any-return]


def _class_weights(
    class_weight: Mapping[Any, float] | str,
    classes: NDArray[Any],
    y: NDArray[Any],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    if isinstance(class_weight, str):  # "balanced"
        # n / (n_classes · n_k), as scikit-learn has it; n_k may count soft labels.
        soft = y.ndim == 2
        counts = weights @ y if soft else np.bincount(y, weights, len(classes))
        inverse = np.divide(1, counts, out=np.zeros(len(classes)), where=counts > 0)
        return counts.sum() * inverse / len(classes)  # type: ignore[no-any-return]
    given = dict(class_weight)
    if not all(
        isinstance(weight, Real) and not isinstance(weight, np.timedelta64)
        for weight in given.values()
    ):
        raise TypeError(f"class_weight must hold numbers; got {reprlib.repr(given)}.")
    labels = classes.tolist()
    unknown = [label for label in given if label not in labels]
    if unknown and not given.keys() >= set(labels):  # as scikit-learn has it
        raise ValueError(
            "class_weight has labels that are not among the classes "
            f"{reprlib.repr(labels)}: {reprlib.repr(unknown)}."
        )
    by_class = np.array([float(given.get(label, 1)) for label in labels])
    if not np.isfinite(by_class).all() or (by_class < 0).any():
        raise ValueError(
            "class_weight must hold finite, non-negative weights; got "
            f"{reprlib.repr(given)}."
        )
    return by_class
