"""PaddedCSR: rows of a sparse matrix in arrays of one shape, against dense rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tests.layouts import dense_rows
from tests.sparse_layouts import (
    with_duplicates,
    with_explicit_zeros,
    with_long_indices,
    with_unsorted_indices,
)
from tfsoftmax.data import padded_csr
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.gather import ALIGNMENT
from tfsoftmax.data.padded_csr import (
    BLOCK,
    RUN,
    PaddedCSR,
    most_slots,
    next_power_of_two,
    row_bytes,
)

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# 7 rows, the first, the fifth and the last of them empty, and an empty column.
X = np.array(
    [
        [0, 0, 0, 0, 0],
        [1, 2, 0, 3, 4],
        [0, 5, 0, 0, 0],
        [6, 0, 0, 0, 7],
        [0, 0, 0, 0, 0],
        [0, 8, 0, 9, 0],
        [0, 0, 0, 0, 0],
    ],
    dtype=float,
)
# Of micro-batches of 3 rows, the last with 1 of them.
ENDS = np.array([3, 6, 7])
EXPECTED = np.concatenate([X, np.zeros((2, 5))])


def filled(rows, ends=ENDS, buffer=None, n_micro_batches=3):
    padded = buffer or PaddedCSR.empty(20 * RUN, n_micro_batches, DOUBLE)
    padded.fill(rows, np.asarray(ends))
    return padded


STORED = {
    "canonical": sparse.csr_array,
    "matrix": sparse.csr_matrix,
    "unsorted": with_unsorted_indices,
    "explicit zeros": with_explicit_zeros,
    "duplicates": with_duplicates,
    "int64 indices": with_long_indices,
    "bytes": lambda X: sparse.csr_array(X.astype(np.uint8)),
    "booleans": lambda X: sparse.csr_array(X > 0),
}


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
def test_the_rows_are_those_of_x_however_they_are_stored(store):
    rows = store(X)
    padded = filled(rows)
    expected = EXPECTED > 0 if rows.dtype == bool else EXPECTED
    np.testing.assert_array_equal(dense_rows(padded, 3, 5), expected)
    n_runs = np.ceil(np.diff(rows.indptr) / RUN).sum()
    assert padded.starts[-1] == RUN * n_runs


def test_a_row_takes_whole_runs_and_micro_batches_begin_where_one_ends(monkeypatch):
    monkeypatch.setattr(padded_csr, "RUN", 2)
    padded = filled(sparse.csr_array(X))
    assert padded.values[:12].tolist() == [1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 0, 0]
    assert padded.columns[:10].tolist() == [0, 1, 3, 4, 1, 0, 0, 4, 1, 3]
    assert padded.rows[:5].tolist() == [1, 1, 2, 0, 2]
    assert padded.starts.tolist() == [0, 6, 10, 10]


def test_a_buffer_is_filled_anew_with_fewer_values_and_fewer_micro_batches():
    padded = filled(sparse.csr_array(np.ones((9, 5))), [3, 6, 9])
    filled(sparse.csr_array(X[:4]), [3, 4], buffer=padded)
    assert padded.starts.tolist() == [0, 2 * RUN, 3 * RUN, 3 * RUN]
    expected = np.concatenate([X[:4], np.zeros((5, 5))])
    np.testing.assert_array_equal(dense_rows(padded, 3, 5), expected)
    filled(sparse.csr_array((2, 5)), [2], buffer=padded)
    assert not dense_rows(padded, 3, 5).any()


def test_a_micro_batch_may_end_before_it_is_full():
    """As the last of each batch does, where batches are not a multiple of it."""
    padded = filled(sparse.csr_array(X[1:5]), [2, 4])
    expected = np.zeros((9, 5))
    expected[[0, 1]], expected[[3, 4]] = X[[1, 2]], X[[3, 4]]
    np.testing.assert_array_equal(dense_rows(padded, 3, 5), expected)


@pytest.mark.parametrize("precision", [SINGLE, DOUBLE])
@pytest.mark.parametrize("n_values", [0, 1, BLOCK, BLOCK + 1, 10 * BLOCK])
def test_a_whole_block_can_be_taken_from_wherever_values_begin(n_values, precision):
    padded = PaddedCSR.empty(n_values, 4, precision)
    assert len(padded.values) >= n_values + BLOCK
    assert len(padded.values) == next_power_of_two(len(padded.values))
    assert len(padded.values) == len(padded.columns) == len(padded.rows) * RUN
    assert len(padded.starts) == 5
    assert [a.dtype for a in padded] == [precision, *[np.dtype(np.int32)] * 3]
    assert all(a.ctypes.data % ALIGNMENT == 0 for a in padded)
    assert not any(a.any() for a in padded)


def dataset_of(lengths, index=None):
    """Rows with so many values each, or some of them."""
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    columns = np.concatenate([np.arange(n) for n in lengths])
    shape = len(lengths), max(*lengths, 1)
    rows = sparse.csr_array((np.ones(len(columns)), columns, indptr), shape)
    y = np.zeros(len(lengths), np.int32)
    dataset = Dataset(rows, y)
    return dataset if index is None else dataset.take(np.array(index))


@pytest.mark.parametrize(
    ("n_rows", "most"), [(1, 3), (2, 5), (3, 6), (4, 7), (6, 7), (100, 7)]
)
def test_the_most_slots_are_those_of_the_longest_rows(n_rows, most):
    lengths = [0, RUN, 3 * RUN, 1, 0, RUN + 1]
    assert most_slots(dataset_of(lengths), n_rows) == most * RUN


def test_the_most_slots_are_of_the_datasets_rows_alone():
    lengths = [0, 1, 3 * RUN, 1, 0, RUN + 1]
    assert most_slots(dataset_of(lengths, index=[5, 0, 1]), 2) == 3 * RUN


@pytest.mark.parametrize(
    ("lengths", "single", "double"),
    [([0, 0], 128, 128), ([1, 0], 128, 128), ([8, 8], 128, 128), ([9, 9], 256, 256)],
)
def test_bytes_of_a_row_are_a_power_of_two_of_the_mean(lengths, single, double):
    """A slot takes 9 bytes or 13, with its column and its part of a row's number."""
    assert row_bytes(dataset_of(lengths), SINGLE) == single
    assert row_bytes(dataset_of(lengths), DOUBLE) == double


def test_parts_of_the_same_rows_have_the_same_bytes_a_row():
    lengths = [0, 4, 90, 2, 0, 7]
    whole = row_bytes(dataset_of(lengths), SINGLE)
    assert row_bytes(dataset_of(lengths, index=[0, 1, 4]), SINGLE) == whole
