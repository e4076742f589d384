"""Columns of a sparse matrix that have a value in some row.

If a feature is 0 in all rows, its weights have no gradient and stay 0, whatever the
optimizer, the penalty and the scaling, which does not change such a column. Hashed text
has many of them: in 2,000 rows of 96 words, 143,000 of 2²⁰ columns occur.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# If more than this fraction of the columns occur, X is used unchanged.
MAX_FRACTION = 0.5


def occurring_columns(
    X: Any, known: NDArray[np.int64] | None = None
) -> NDArray[np.int64] | None:
    """Return the columns that occur or are known, or None if these are most of X."""
    if not sparse.issparse(X):
        return None
    occurs = np.zeros(X.shape[1], dtype=bool)
    occurs[X.indices] = True
    if known is not None:
        occurs[known] = True
    n_occurring = np.count_nonzero(occurs)
    # Programs have at least one column; a scalar slot must not look like one column.
    if n_occurring < 2 or n_occurring > MAX_FRACTION * len(occurs):
        return None
    return np.flatnonzero(occurs)


def take_columns(X: Any, columns: NDArray[np.int64]) -> Any:
    """Return some columns of X; a CSR array shares its values if none are dropped."""
    if not sparse.issparse(X):
        return X[:, columns]
    numbers = np.full(X.shape[1], -1, X.indices.dtype)
    numbers[columns] = np.arange(len(columns))
    data, indices, indptr = X.data, numbers[X.indices], X.indptr
    is_other = indices < 0
    if is_other.any():
        others_before = np.concatenate([[0], np.cumsum(is_other)])
        indptr = (indptr - others_before[indptr]).astype(indptr.dtype)
        data, indices = data[~is_other], indices[~is_other]
    shape = X.shape[0], len(columns)
    return sparse.csr_array((data, indices, indptr), shape=shape)


def spread(V: NDArray[Any], columns: NDArray[np.int64], n: int) -> NDArray[Any]:
    """Expand the weights (…, D) of some columns to n columns, with 0 for the others.

    An intercept stays at the end. The result is column-major, so that the weights of
    a column are contiguous.
    """
    n_columns = len(columns)
    rest = V.shape[-1] - n_columns
    by_column = np.zeros((n + rest, *V.shape[:-1]), V.dtype)
    source = np.moveaxis(V, -1, 0)
    by_column[columns] = source[:n_columns]
    by_column[n:] = source[n_columns:]
    return np.moveaxis(by_column, 0, -1)
