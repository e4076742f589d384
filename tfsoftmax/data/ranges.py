"""A check that two sets of rows are scaled alike, by the ranges of their values.

It detects a scaler that was applied to only one of them. Of m + 1 values from the same
distribution, the last is the largest or the smallest with probability 2 / (m + 1),
whatever the distribution, so that the share of values outside the range of m others is
small. Zeros are left out, so that rare features of sparse rows count like the others.

Measured on iris, wine, breast cancer, digits, MNIST, counts of words, one-hot, uniform
and log-normal features, each with up to seven scalers: 0 to 6 % if both sides are
scaled alike, 50 to 100 % if not, unless the scaler has almost no effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import MAX_BLOCK_BYTES
from tfsoftmax.data.rows import Rows

# Larger shares are not random, but due to a different scale.
MAX_SHARE_BEYOND = 0.25

_MAX_ROWS = 1000
# The range or the share of fewer values is not informative.
_MIN_VALUES = 20


def share_beyond(one: Rows, other: Rows) -> float:
    """Return the share of values of one side that are outside the range of the other.

    It is the larger of both shares, in [0, 1], of up to 1,000 rows from each side.
    """
    rows, others = _sample(one), _sample(other)
    return max(_share_beyond(rows, others), _share_beyond(others, rows))


def _sample(dataset: Rows) -> sparse.csc_array:
    """Return evenly spaced rows, column by column, without zeros."""
    n_rows = _MAX_ROWS
    if not sparse.issparse(dataset.X):
        n_rows = min(n_rows, max(1, MAX_BLOCK_BYTES // (8 * dataset.n_features)))
    some = dataset.sample(n_rows)
    X = some.X if some.index is None else some.X[some.index]
    sample = sparse.csc_array(X.astype(np.float64))
    sample.sum_duplicates()
    sample.eliminate_zeros()
    return sample


def _share_beyond(X: sparse.csc_array, others: sparse.csc_array) -> float:
    lowest, highest = _ranges(others)
    n_values = np.diff(X.indptr)
    is_known = np.repeat(lowest <= highest, n_values)
    if np.count_nonzero(is_known) < _MIN_VALUES:
        return 0.0
    is_beyond = X.data < np.repeat(lowest, n_values)
    is_beyond |= X.data > np.repeat(highest, n_values)
    return float(is_beyond[is_known].mean())


def _ranges(X: sparse.csc_array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the lowest and highest value of each column, or ∞ and −∞ if it has few."""
    lowest, highest = np.full((2, X.shape[1]), [[np.inf], [-np.inf]])
    known = np.flatnonzero(np.diff(X.indptr) >= _MIN_VALUES)
    if len(known):
        columns = X[:, known]
        lowest[known] = np.minimum.reduceat(columns.data, columns.indptr[:-1])
        highest[known] = np.maximum.reduceat(columns.data, columns.indptr[:-1])
    return lowest, highest
