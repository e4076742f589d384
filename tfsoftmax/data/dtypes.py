"""The dtypes in which rows are passed to a program, and in which it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse


def dtypes_for(
    X: Any, precision: np.dtype[Any] | None = None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype in which rows of X are passed on, and that of the computation.

    Bytes stay bytes until the program casts a micro-batch of them. Everything else is
    passed on in the dtype of the computation: that of X for floats; for other integers
    float32 if it represents each of them exactly, otherwise float64. A `precision`
    overrides the dtype of the computation.
    """
    if precision is None:
        precision = precision_for(X.dtype, lambda: largest_magnitude(X))
    is_bytes = X.dtype.kind == "b" or X.dtype == np.uint8
    return np.dtype(np.uint8) if is_bytes else precision, precision


def full_batch_dtypes_for(
    X: Any, precision: np.dtype[Any] | None = None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtypes of :func:`dtypes_for` for full batches, without noise.

    Integers of 32 and 64 bits are computed in float64, as in scikit-learn: float32
    would stop short of the optimum. Shorter integers, bytes and booleans are computed
    in float32, which represents them exactly; floats keep their dtype. X is passed on
    in its original dtype if the program can cast it.
    """
    kind, n_bytes = X.dtype.kind, X.dtype.itemsize
    if precision is None:
        single = n_bytes <= (4 if kind == "f" else 2)
        precision = np.dtype(np.float32 if single else np.float64)
    if kind == "b":
        return np.dtype(np.uint8), precision
    is_plain = kind in "iu" or n_bytes in (4, 8)
    return (X.dtype.newbyteorder("=") if is_plain else precision), precision


def precision_for(dtype: np.dtype[Any], largest: Callable[[], int]) -> np.dtype[Any]:
    """Return the dtype to compute in.

    `largest` finds the largest absolute value, in a pass over the rows; it is called
    only for integers of 32 and 64 bits.
    """
    if dtype.kind == "f":
        single = dtype.itemsize <= 4
    else:
        single = dtype.itemsize <= 2 or largest() <= 2**24
    return np.dtype(np.float32 if single else np.float64)


def largest_magnitude(X: Any) -> int:
    """Return the largest absolute value of integers, or of their dtype if short."""
    if X.dtype.itemsize <= 2:
        if X.dtype.kind == "b":
            return 1
        limits = np.iinfo(X.dtype)
        return max(-int(limits.min), int(limits.max))
    values = X.data if sparse.issparse(X) else X
    return max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))
