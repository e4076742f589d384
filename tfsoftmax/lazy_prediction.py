"""Lazy predictions on Dask collections, block by block.

To predict for a block takes only NumPy and the model, which is a single task of the
graph: a worker receives it once, not with each block.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score

from tfsoftmax.utils.sklearn_compat import _safe_indexing
from tfsoftmax.validation.arrays import check_weights
from tfsoftmax.validation.collections import is_dask_array
from tfsoftmax.validation.errors import errors_name, errors_note, silent_checks
from tfsoftmax.validation.labels import check_length, hard_labels

if TYPE_CHECKING:
    from dask.delayed import Delayed


def predict_blocks(model: Any, X: Any, method: str) -> Any:
    """Return the lazy result of a model's method for the rows of a Dask collection.

    Parameters
    ----------
    model : object
        A model whose method accepts rows in memory, and whose `n_features_in_` and
        `feature_names_in_` match X.
    X : Dask array or DataFrame of shape (n_samples, n_features)
        The rows, with all columns in each block.
    method : str
        The name of the method.

    Returns
    -------
    predictions : Dask array, DataFrame or Series
        With the same blocks as X, and the index of a DataFrame.
    """
    by_blocks = _predict_array if is_dask_array(X) else _predict_frame
    return by_blocks(model, X, method)


def score_blocks(model: Any, blocks: Iterable[tuple[Any, ...]]) -> float:
    """Compute a model's accuracy from blocks of rows, labels and weights.

    The accuracy is Σ s_i [y_i is predicted] / Σ s_i. The sums of the blocks are added
    as exact fractions, which can't overflow.
    """
    import dask

    blocks, its_key = list(blocks), _as_one_task(model)
    token = dask.base.tokenize(its_key, blocks)
    sums = [
        dask.delayed(_correct_and_total)(
            its_key, i, *block, dask_key_name=(f"tfsoftmax_score-{token}", i)
        )
        for i, block in enumerate(blocks)
    ]
    (computed,) = dask.compute(sums)
    correct, total = map(sum, zip(*computed, strict=True))
    if not total:
        raise ValueError("X must have at least one row with a nonzero weight.")
    return float(correct / total)


def _predict_array(model: Any, X: Any, method: str) -> Any:
    """Predict for the blocks of a Dask array."""
    import dask.array as da

    one = _predict(model, _row_of_zeros(X, model.n_features_in_), method)
    # The result for a row replaces the axis of columns, or drops it if it is a number.
    has_columns = one.ndim == 2
    return da.blockwise(
        _predict_array_block,
        "ij" if has_columns else "i",
        X,
        "ij",
        _as_one_task(model),
        None,
        method=method,
        adjust_chunks={"j": one.shape[1]} if has_columns else None,
        token=f"tfsoftmax_{method}",
        meta=np.empty((0,) * one.ndim, one.dtype),
    )


def _predict_array_block(block: Any, model: Any, method: str) -> Any:
    # If the result lacks an axis, Dask passes a list of blocks along it: here, of one.
    (block,) = block if isinstance(block, list) else [block]
    return _predict(model, block, method)


def _predict_frame(model: Any, X: Any, method: str) -> Any:
    """Predict for the partitions of a Dask DataFrame."""
    return X.map_partitions(
        _predict_partition,
        _as_one_task(model),
        method,
        meta=_predict_partition(X._meta, model, method),
        token=f"tfsoftmax_{method}",
    )


def _predict_partition(frame: Any, model: Any, method: str) -> Any:
    """Predict for the rows of a DataFrame; keep its index."""
    import pandas as pd

    predicted = _predict(model, frame, method)
    if predicted.ndim == 1:
        dtype = predicted.dtype
        if dtype.kind in "OU":  # or pandas would infer a dtype for each partition
            dtype = pd.Series(model.classes_).dtype
        return pd.Series(predicted, index=frame.index, dtype=dtype)
    return pd.DataFrame(predicted, index=frame.index, columns=model.classes_)


def _predict(model: Any, rows: Any, method: str) -> Any:
    """Predict for rows in memory, possibly none."""
    if rows.shape[0] > 0:
        return getattr(model, method)(rows)
    one = _row_of_zeros(rows, model.n_features_in_)
    return getattr(model, method)(one)[:0]


def _row_of_zeros(rows: Any, n_features: int) -> Any:
    """Return a row of zeros with the dtype, or dtypes, of these rows."""
    if not hasattr(rows, "columns"):
        return np.zeros((1, n_features), rows.dtype)
    import pandas as pd

    is_numeric = pd.api.types.is_numeric_dtype
    dtypes = [dtype if is_numeric(dtype) else object for dtype in rows.dtypes]
    zeros = pd.concat([pd.Series([0], dtype=dtype) for dtype in dtypes], axis=1)
    return zeros.set_axis(rows.columns, axis=1)


def _correct_and_total(
    model: Any, number: int, X: Any, y: Any, sample_weight: Any
) -> tuple[Fraction, Fraction]:
    """Return the weight of a block's correctly predicted rows, and of all its rows."""
    with errors_note(number, number):
        return _count(model, X, y, sample_weight)


def _count(model: Any, X: Any, y: Any, sample_weight: Any) -> tuple[Fraction, Fraction]:
    n_samples = X.shape[0]
    check_length(y, n_samples)
    weights, unit = np.ones(n_samples), Fraction(1)
    if sample_weight is not None:
        weights = check_weights(sample_weight, n_samples, may_be_zero=True)
        weights, unit = _scaled(weights)
    if n_samples == 0:
        return Fraction(0), Fraction(0)
    # Each row twice: scikit-learn warns if most labels in a block are distinct.
    twice = np.repeat(np.arange(n_samples), 2)
    predicted = model.predict(X)[twice]
    with errors_name("y"), silent_checks():
        labels = _safe_indexing(hard_labels(y, model.classes_), twice)
        correct = accuracy_score(
            labels, predicted, sample_weight=weights[twice], normalize=False
        )
    return unit * Fraction(float(correct)), unit * Fraction(2 * float(weights.sum()))


def _scaled(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], Fraction]:
    """Return weights of at most 1, whose sum can't overflow, and their unit.

    The unit is a power of two. If all weights are zero, the unit is 0 and they are 1.
    """
    if not weights.any():
        return np.ones_like(weights), Fraction(0)
    exponent = int(np.frexp(weights.max())[1])
    return np.ldexp(weights, -exponent), Fraction(2) ** exponent


def _as_one_task(model: Any) -> Delayed:
    """Return a model as a single task of the graph, whatever the number of blocks."""
    import dask

    name = f"tfsoftmax_model-{dask.base.tokenize(vars(model))}"
    return dask.delayed(model, name=name, traverse=False)
