"""From what a user passes to what is trained on: labels to numbers, weights to weights.

Labels come as one per row, of any kind that scikit-learn takes, or as soft labels:
a row of class probabilities for each row of X, one-hot rows among them.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

# Labels that are encoded at a time: of many millions, the numbers on the way to the
# codes would take several times what the codes do.
_LABELS_PER_BLOCK = 1 << 16
# How far from 1 the probabilities of a soft label may add up to: float32 rounding.
_SUM_TOLERANCE = 1e-4


def check_real(X: Any, name: str = "X") -> None:
    """Refuse what scikit-learn lets pass and no model can use: dates, for one."""
    if X.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers; got dtype {X.dtype}.")


def is_soft(y: Any) -> bool:
    """Tell whether y has a row of probabilities for each row of X."""
    try:
        shape = y.shape if hasattr(y, "shape") else np.asarray(y).shape
    except ValueError:  # ragged, which the validation to come refuses
        return False
    return len(shape) == 2 and shape[1] > 1


def classes_of(y: Any, name: str = "y") -> NDArray[Any]:
    """Find the classes in y; there must be two.

    Those of soft labels are the columns' names, or 0 … n_classes − 1.
    """
    if is_soft(y):
        names = _columns(y)
        if names is None:
            return np.asarray(range(np.shape(y)[1]))
        if len(set(names)) < len(names):
            raise ValueError(
                f"{name} must not have two columns for one class: {names}."
            )
        return np.asarray(names)
    try:
        check_classification_targets(y)
        classes = LabelEncoder().fit(y).classes_
    except TypeError as error:
        raise TypeError(f"{name} must hold labels of one kind. {error}") from error
    if len(classes) < 2:
        raise ValueError(
            f"TFSoftmaxClassifier needs at least two classes; {name} has only one "
            f"class: {classes.tolist()[0]!r}."
        )
    return np.asarray(classes)


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
            places = np.searchsorted(classes, y[block], sorter=by_value)
            codes[block] = by_value[places.clip(max=len(classes) - 1)]
            unseen += y[block][classes[codes[block]] != y[block]].tolist()
    except TypeError:  # labels that don't compare with the classes
        unseen = y.tolist()
    if unseen:
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
    weights : ndarray of shape (n_samples,), or None where all are equal
    """
    weights = None
    if sample_weight is not None:
        weights = _check_weights(sample_weight, n_samples, name)
    if class_weight is not None and y is not None and classes is not None:
        own = np.ones(n_samples) if weights is None else weights
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


def _check_soft(y: Any, classes: NDArray[Any], name: str) -> NDArray[np.float64]:
    names, known = _columns(y), classes.tolist()
    if names is not None:
        if len(names) != len(known) or set(names) != set(known):
            raise ValueError(
                f"{name} must have a column for each of the classes "
                f"{reprlib.repr(known)}; it has {reprlib.repr(names)}."
            )
        y = np.asarray(y)[:, [names.index(label) for label in known]]
    rows = check_array(y, dtype=np.float64, input_name=name)
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


def _check_weights(
    sample_weight: ArrayLike, n_samples: int, name: str
) -> NDArray[np.float64]:
    if np.isscalar(sample_weight):
        sample_weight = np.full(n_samples, sample_weight)
    weights = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name=name
    )
    if weights.shape != (n_samples,):
        raise ValueError(
            f"{name} must have a weight for each of the {n_samples} rows, shape "
            f"({n_samples},); got shape {weights.shape}."
        )
    if (weights < 0).any():
        raise ValueError(f"{name} must not be negative; got {weights.min()}.")
    if not weights.any():
        raise ValueError(f"{name} must not be zero for all rows.")
    return weights / weights.max()  # type: ignore[no-any-return]


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
    if not all(isinstance(weight, Real) for weight in given.values()):
        raise TypeError(f"class_weight must hold numbers; got {given!r}.")
    by_class = compute_class_weight(given, classes=classes, y=classes)
    if not np.isfinite(by_class).all() or (by_class < 0).any():
        raise ValueError(
            f"class_weight must hold finite, non-negative weights; got {given!r}."
        )
    return by_class  # type: ignore[no-any-return]
