"""What is passed to a fit becomes rows: validated, encoded and weighted.

Dask collections are read where they are, by :mod:`tfsoftmax.distributed`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfsoftmax.data.dataset import Dataset, Rows, dtypes_for
from tfsoftmax.data.gather import copy_by_rows, lies_by_columns
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.result import Result
from tfsoftmax.validation.arrays import check_rows
from tfsoftmax.validation.collections import is_dask
from tfsoftmax.validation.labels import (
    check_labels,
    encode,
    find_classes,
    same_classes,
)
from tfsoftmax.validation.weights import row_weights, total_weight


class Passed(NamedTuple):
    """The rows that are passed to a fit.

    Attributes
    ----------
    dataset : Rows
        With the weights of each model.
    by_sample : Rows
        The same with sample weights alone, which are the same for all models.
    totals : ndarray of shape (n_models,)
        Σs of each model.
    classes : ndarray of shape (n_classes,)
    """

    dataset: Rows
    by_sample: Rows
    totals: NDArray[np.float64]
    classes: NDArray[Any]


def read(
    estimators: Sequence[Any],
    X: Any,
    y: Any,
    sample_weight: Any,
    classes: NDArray[Any] | None,
    previous: Result | None,
) -> Passed:
    """Validate the training rows; the parameters are those of `prepare`."""
    if is_dask(X) or is_dask(y) or is_dask(sample_weight):
        return _read_collections(estimators[0], X, y, sample_weight, classes, previous)
    first = estimators[0]
    X = check_rows(first, X, reset=previous is None)
    y = check_labels(y, X.shape[0])
    classes = _known_classes(first, y, classes, previous)
    codes = encode(y, classes)
    X = _by_rows(X, first.optimizer)
    return Passed(
        Dataset(X, codes, _weights_of(estimators, sample_weight, codes, classes)),
        Dataset(X, codes, row_weights(sample_weight, len(codes))),
        _total_weights(estimators, sample_weight, codes, classes),
        classes,
    )


def read_held_out(
    estimator: Any,
    classes: NDArray[Any],
    X_val: Any,
    y_val: Any,
    sample_weight_val: Any,
) -> Rows | None:
    """Validate the held-out rows, if any; return a dataset."""
    if X_val is None and y_val is None and sample_weight_val is None:
        return None
    if X_val is None or y_val is None:
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"X_val and y_val go together; got no {missing}.")
    if is_dask(X_val) or is_dask(y_val) or is_dask(sample_weight_val):
        from tfsoftmax.distributed import reading

        names = "X_val", "y_val", "sample_weight_val"
        found = reading.read(
            estimator, X_val, y_val, sample_weight_val, names, reset=False
        )
        with found.closing:
            return reading.encode_parts(found, classes, names=names)[0]
    X_val = check_rows(estimator, X_val, "X_val", reset=False)
    y_val = check_labels(y_val, X_val.shape[0], "y_val", "X_val")
    codes = encode(y_val, classes, "y_val")
    weights = row_weights(sample_weight_val, X_val.shape[0], name="sample_weight_val")
    return Dataset(_by_rows(X_val, estimator.optimizer), codes, weights)


def _read_collections(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    classes: NDArray[Any] | None,
    previous: Result | None,
) -> Passed:
    """Have the workers of a cluster read Dask collections."""
    from tfsoftmax.distributed import reading

    found = reading.read(estimator, X, y, sample_weight, reset=previous is None)
    with found.closing:
        labels = found.labels
        known = _known_classes(estimator, labels, classes, previous)
        dataset, total = reading.encode_parts(found, known, estimator.class_weight)
    return Passed(dataset, dataset.weighted_by_sample(), np.array([total]), known)


def _by_rows(X: Any, optimizer: str) -> Any:
    """Return X, or a copy by rows where it lies by columns.

    The copy is of the dtype of X, but wide integers that mini-batches compute in
    float32 are copied in that, which holds them exactly.
    """
    if not lies_by_columns(X):
        return X
    dtype = X.dtype
    if dtype.kind in "iu" and SOLVERS[optimizer].by_epochs:
        dtype = min(dtype, dtypes_for(X)[0], key=lambda dtype: dtype.itemsize)
    return copy_by_rows(X, dtype)


def _known_classes(
    estimator: Any, y: Any, classes: NDArray[Any] | None, previous: Result | None
) -> NDArray[Any]:
    """Return the classes, in the order of those of a previous fit."""
    found = find_classes(y) if classes is None else classes
    if previous is None:
        return found
    known: NDArray[Any] = estimator.classes_
    if not same_classes(found, known, y):
        name = "y" if classes is None else "classes"
        raise ValueError(
            f"{name} has other classes than the fit that training resumes: they were "
            f"{reprlib.repr(known.tolist())} and are now "
            f"{reprlib.repr(found.tolist())}."
        )
    return known


def _weights_of(
    estimators: Sequence[Any],
    sample_weight: ArrayLike | None,
    codes: NDArray[Any],
    classes: NDArray[Any],
) -> NDArray[np.float64] | None:
    """Return the rows' weights: one array for all estimators, or a row for each."""
    n_samples = len(codes)
    weights = [
        row_weights(
            sample_weight,
            n_samples,
            class_weight=estimator.class_weight,
            y=codes,
            classes=classes,
        )
        for estimator in estimators
    ]
    if len(weights) == 1 or all(e.class_weight is None for e in estimators):
        return weights[0]
    return np.stack([np.ones(n_samples) if w is None else w for w in weights])


def _total_weights(
    estimators: Sequence[Any],
    sample_weight: ArrayLike | None,
    codes: NDArray[Any],
    classes: NDArray[Any],
) -> NDArray[np.float64]:
    """Return Σs of each estimator, over all rows that were passed."""
    return np.array(
        [
            total_weight(
                sample_weight,
                len(codes),
                class_weight=estimator.class_weight,
                y=codes,
                classes=classes,
            )
            for estimator in estimators
        ]
    )
