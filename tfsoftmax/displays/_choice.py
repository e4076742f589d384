"""Which rows PredictionsDisplay shows: their validation, and the choice."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_random_state, column_or_1d

from tfsoftmax.displays._figures import check_image_shape, is_positive_integer
from tfsoftmax.inputs import (
    check_length,
    check_numbers,
    check_real,
    naming,
)
from tfsoftmax.utils.sklearn_compat import _safe_indexing


def checked(
    X: Any, y_true: Any, y_proba: Any, classes: Any, name: str
) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    """Validate rows and predictions of them; `name` is what a caller calls y_true.

    Sparse rows have been through `check_structure`.
    """
    if sparse.issparse(X):
        X = X.tocsr()
    elif not hasattr(X, "shape"):
        with naming("X"):
            X = np.array(X)
    if len(X.shape) != 2 or 0 in X.shape:
        raise ValueError(
            "X must have a row for each picture, and at least one; its shape is "
            f"{X.shape}."
        )
    with naming(name):
        y_true = np.asarray(y_true)
    if y_true.ndim != 1:
        raise ValueError(
            f"{name} must have one class a row; its shape is {y_true.shape}."
        )
    check_length(y_true, X.shape[0], name)
    y_proba = check_numbers(y_proba, "y_proba", ensure_2d=False)
    if y_proba.ndim != 2 or len(y_proba) != len(y_true):
        raise ValueError(
            f"y_proba must have a row for each of the {len(y_true)} rows of X, and a "
            f"column for each class; its shape is {y_proba.shape}."
        )
    # A little beyond comes of rounding.
    if y_proba.min() < -1e-6 or y_proba.max() > 1 + 1e-6:
        raise ValueError(
            "y_proba must hold probabilities, from 0 to 1; got numbers from "
            f"{y_proba.min():g} to {y_proba.max():g}."
        )
    classes = _checked_classes(classes, y_true, y_proba, name)
    return X, y_true, y_proba, classes, _columns_of(y_true, classes, name)


def _checked_classes(
    classes: Any, y_true: NDArray[Any], y_proba: NDArray[Any], name: str
) -> NDArray[Any]:
    n_columns = y_proba.shape[1]
    if classes is None:
        with naming(name):
            found: NDArray[Any] = np.unique(y_true)
        if len(found) != n_columns:
            raise ValueError(
                f"y_proba has {n_columns} columns, and {name} has {len(found)} classes:"
                f" {reprlib.repr(found.tolist())}. Pass classes, in the order of the "
                "columns."
            )
        return found
    with naming("classes"):
        classes = column_or_1d(classes)
        n_different = len(set(classes.tolist()))
    if n_different != len(classes):
        raise ValueError(
            "classes must not name a class twice; got "
            f"{reprlib.repr(classes.tolist())}."
        )
    if len(classes) != n_columns:
        raise ValueError(
            f"y_proba must have a column for each of the {len(classes)} classes; it "
            f"has {n_columns}."
        )
    return classes  # type: ignore[no-any-return]


def _columns_of(y: NDArray[Any], classes: NDArray[Any], name: str) -> NDArray[np.intp]:
    """Find the column of each row's class."""
    columns = {label: column for column, label in enumerate(classes.tolist())}
    with naming(name):
        unknown = sorted({str(label) for label in y.tolist() if label not in columns})
    if unknown:
        raise ValueError(
            f"{name} has classes that the predictions don't have: {unknown}; they have "
            f"{list(columns)}."
        )
    return np.array([columns[label] for label in y.tolist()], dtype=np.intp)


def chosen(
    X: Any,
    y_true: NDArray[Any],
    y_proba: NDArray[Any],
    classes: NDArray[Any],
    columns: NDArray[np.intp],
    *,
    image_shape: Sequence[int] | None,
    kind: str,
    n_pictures: int,
    random_state: Any,
) -> dict[str, NDArray[Any]]:
    """Choose rows, and give what a display shows of them."""
    shape = check_image_shape(image_shape, X.shape[1], may_have_colors=True)
    of_true = y_proba[np.arange(len(y_true)), columns]
    index = _order(of_true, kind, n_pictures, random_state)[:n_pictures]
    pictures = _numbers(_safe_indexing(X, index))
    return {
        "images": pictures.reshape(-1, *shape),
        "y_true": y_true[index],
        "y_pred": classes[y_proba[index].argmax(axis=1)],
        "probability": y_proba[index].max(axis=1),
        "index": index,
    }


def _order(
    of_true: NDArray[Any], kind: str, n_pictures: Any, random_state: Any
) -> NDArray[Any]:
    """Order rows by the probability of their true class, the ones to show first."""
    if not is_positive_integer(n_pictures):
        raise ValueError(f"n_pictures must be a positive integer; got {n_pictures!r}.")
    if not isinstance(kind, str) or kind not in ("worst", "best", "random"):
        raise ValueError(f"kind must be 'worst', 'best' or 'random'; got {kind!r}.")
    if kind == "random":
        with naming("random_state"):
            return check_random_state(random_state).permutation(len(of_true))  # type: ignore[no-any-return]
    return np.argsort(of_true if kind == "worst" else -of_true, kind="stable")


def _numbers(rows: Any) -> NDArray[Any]:
    """Make an array of numbers of rows, whatever they came in."""
    values: NDArray[Any] = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    with naming("X"):
        values = values.astype(float) if values.dtype == object else values
        check_real(values)
    return values
