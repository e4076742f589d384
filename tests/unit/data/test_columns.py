"""The columns of a sparse matrix that occur, and weights of some columns as of all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tfsoftmax.data.columns import occurring_columns, spread, take_columns

# Of 9 columns, 1, 4 and 7 occur.
X = np.zeros((4, 9))
X[0, [4, 1]], X[2, 7], X[3, [1, 7]] = [1, 2], 3, [4, 5]
ROWS = sparse.csr_array(X)


def test_columns_with_a_stored_value_occur():
    stored_zero = sparse.csr_array(([0.0, 1.0], [2, 5], [0, 0, 2, 2, 2]), (4, 9))
    assert occurring_columns(ROWS).tolist() == [1, 4, 7]
    assert occurring_columns(stored_zero).tolist() == [2, 5]


def test_known_columns_are_kept_beside_those_that_occur():
    assert occurring_columns(ROWS, np.array([0, 4])).tolist() == [0, 1, 4, 7]


@pytest.mark.parametrize(
    "rows",
    [
        X,
        sparse.csr_array((4, 9)),
        sparse.csr_array(np.eye(4, 9, 3)[:1]),
        sparse.csr_array(X[:, [1, 4, 7, 0, 2]]),
    ],
    ids=["dense", "none occurs", "one occurs", "most occur"],
)
def test_all_columns_are_trained_where_there_is_little_to_leave_out(rows):
    assert occurring_columns(rows) is None


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("columns", [[1, 4, 7], [0, 1, 4, 7, 8], [4], [1, 7], [3]])
def test_some_columns_are_those_of_dense_rows(columns, index):
    rows = ROWS.copy()
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    taken = take_columns(rows, np.array(columns))
    np.testing.assert_array_equal(taken.toarray(), X[:, columns])
    np.testing.assert_array_equal(take_columns(X, np.array(columns)), X[:, columns])


def test_values_are_not_copied_where_all_are_taken():
    taken = take_columns(ROWS, np.array([1, 4, 7]))
    assert np.shares_memory(taken.data, ROWS.data)


def test_weights_are_spread_over_all_columns_and_the_intercept_stays_last():
    V = np.arange(1.0, 17).reshape(2, 2, 4)
    V_all = spread(V, np.array([1, 4, 7]), 9)
    assert V_all.shape == (2, 2, 10)
    np.testing.assert_array_equal(V_all[..., [1, 4, 7, 9]], V)
    assert not np.delete(V_all, [1, 4, 7, 9], axis=-1).any()
