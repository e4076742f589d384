"""Reading the rows that are passed to a fit: validated, encoded and weighted.

Dask collections are read on the workers, by :mod:`tfsoftmax.distributed`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.dtypes import dtypes_for
from tfsoftmax.data.gather import copy_by_rows, lies_by_columns
from tfsoftmax.data.rows import Rows
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
        The same with sample weights only, which are the same for all models.
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
        return _read_collections(estimators, X, y, sample_weight, classes, previous)
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
        raise ValueError(f"X_val and y_val must be passed together; got no {missing}.")
    names = "X_val", "y_val", "sample_weight_val"
    held_out = read_known(
        estimator, classes, X_val, y_val, sample_weight_val, names=names
    )
    if isinstance(held_out, Dataset):
        return replace(held_out, X=_by_rows(held_out.X, estimator.optimizer))
    return held_out


def read_known(
    estimator: Any,
    classes: NDArray[Any],
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    class_weight: Any = None,
    names: tuple[str, str, str] = ("X", "y", "sample_weight"),
) -> Rows:
    """Validate rows whose features and classes are known; return a dataset.

    `names` are the names of the arguments in errors.
    """
    if is_dask(X) or is_dask(y) or is_dask(sample_weight):
        from tfsoftmax.distributed import reading

        found = reading.read(estimator, X, y, sample_weight, names, reset=False)
        with found.closing:
            return reading.encode_parts(found, classes, class_weight, names)[0]
    X = check_rows(estimator, X, names[0], reset=False)
    codes = encode(check_labels(y, X.shape[0], *names[1::-1]), classes, names[1])
    weights = row_weights(
        sample_weight,
        X.shape[0],
        class_weight=class_weight,
        y=codes,
        classes=classes,
        name=names[2],
    )
    return Dataset(X, codes, weights)


def _read_collections(
    estimators: Sequence[Any],
    X: Any,
    y: Any,
    sample_weight: Any,
    classes: NDArray[Any] | None,
    previous: Result | None,
) -> Passed:
    """Let the workers of a cluster read Dask collections.

    All estimators have the same class weights.
    """
    from tfsoftmax.distributed import reading

    estimator = estimators[0]
    found = reading.read(estimator, X, y, sample_weight, reset=previous is None)
    with found.closing:  # unless there is an error, the parts take it over
        known = _known_classes(estimator, found.labels, classes, previous)
        dataset, total = reading.encode_parts(found, known, estimator.class_weight)
    return Passed(
        dataset, dataset.weighted_by_sample(), np.full(len(estimators), total), known
    )


def _by_rows(X: Any, optimizer: str) -> Any:
    """Return X, or a copy in row order if X is stored by columns.

    The copy has the dtype of X, except that wide integers that mini-batches compute in
    float32 are copied as float32, which represents them exactly.
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
        what = "The classes in y" if classes is None else "classes"
        raise ValueError(
            f"{what} can't change when training continues: they were "
            f"{reprlib.repr(known.tolist())} and are now "
            f"{reprlib.repr(found.tolist())}. To start over, call fit with "
            "warm_start=False."
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
