"""Gathering rows of X into aligned buffers, against NumPy's indexing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tfsoftmax.data import gather
from tfsoftmax.data.gather import (
    ALIGNMENT,
    aligned,
    copy_by_rows,
    gatherer,
    lies_by_columns,
)

VALUES = np.arange(1.0, 43).reshape(14, 3)


@pytest.mark.parametrize("shape", [(), (5,), (7, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_buffers_are_aligned_arrays_of_zeros(shape, dtype):
    many = [aligned(shape, dtype) for _ in range(20)]  # not each aligned by chance
    for buffer in many:
        assert buffer.ctypes.data % ALIGNMENT == 0
        np.testing.assert_array_equal(buffer, np.zeros(shape, dtype), strict=True)
        assert buffer.flags.c_contiguous
        assert buffer.flags.writeable


KINDS = {
    "contiguous": lambda X: X,
    "Fortran order": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "wrong byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "another dtype": lambda X: X.astype(np.int64),
}
ROWS = {
    "a slice": slice(2, 8),
    "an index": np.array([9, 0, 3, 3, 13, 5]),
}


@pytest.mark.parametrize("wide", [False, True], ids=["contiguous", "wider"])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("storage", [np.float32, np.float64, np.uint8])
def test_rows_of_any_kind_are_gathered(kind, rows, storage, wide):
    X = kind(VALUES.astype(storage))
    buffer = np.full((6, 5 if wide else 3), 99, storage)
    gatherer(X, np.dtype(storage))(rows, buffer[:, :3])
    np.testing.assert_array_equal(buffer[:, :3], VALUES[rows])
    assert (buffer[:, 3:] == 99).all()


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_booleans_are_gathered_as_bytes(rows):
    X = VALUES % 2 == 0
    buffer = np.full((6, 3), 99, np.uint8)
    gatherer(X, buffer.dtype)(rows, buffer)
    np.testing.assert_array_equal(buffer, X[rows])


# Columns

BY_COLUMNS = {
    "Fortran order": np.asfortranarray,
    "a part of the columns": lambda X: np.asfortranarray(np.tile(X, (2, 2)))[:14, :3],
    "every other row": lambda X: np.asfortranarray(np.repeat(X, 2, axis=0))[::2],
    "backwards": lambda X: np.asfortranarray(X[::-1, ::-1])[::-1, ::-1],
}
BY_ROWS = {
    "C order": lambda X: X,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: X[::-1, ::-1],
    "one row": lambda X: np.asfortranarray(X[:1]),
    "one column": lambda X: np.asfortranarray(X[:, :1]),
    "one row, broadcast": lambda X: np.broadcast_to(X[0], X.shape),
    "one column, broadcast": lambda X: np.broadcast_to(X[:, :1], X.shape),
    "sparse columns": sparse.csc_array,
}


@pytest.mark.parametrize("kind", BY_ROWS.values(), ids=BY_ROWS)
def test_rows_that_lie_together_need_no_copy(kind):
    assert not lies_by_columns(kind(VALUES))


@pytest.mark.parametrize("dtype", [np.uint8, bool, ">f8", np.int64])
@pytest.mark.parametrize("block", [5, 14, 100])
@pytest.mark.parametrize("kind", BY_COLUMNS.values(), ids=BY_COLUMNS)
def test_columns_are_copied_by_rows_block_by_block(monkeypatch, kind, block, dtype):
    monkeypatch.setattr(gather, "COPIED_ROWS", block)
    X = kind(VALUES.astype(dtype))
    assert lies_by_columns(X)
    copy = copy_by_rows(X, X.dtype)
    assert copy.flags.c_contiguous
    assert copy.ctypes.data % ALIGNMENT == 0
    np.testing.assert_array_equal(copy, VALUES.astype(dtype), strict=True)


def test_columns_are_cast_while_they_are_copied():
    copy = copy_by_rows(np.asfortranarray(VALUES.astype(int)), np.dtype(np.float32))
    np.testing.assert_array_equal(copy, VALUES.astype(np.float32), strict=True)


def test_a_file_by_columns_is_copied_unless_it_is_too_large(tmp_path, monkeypatch):
    VALUES.T.tofile(tmp_path / "X")
    on_disk = np.memmap(tmp_path / "X", np.float64, "r", shape=(14, 3), order="F")
    in_memory = np.asfortranarray(VALUES)
    kinds = [on_disk, np.asarray(on_disk), on_disk[2:], np.asarray(on_disk)[:, 1:]]
    for X in kinds:
        copy = copy_by_rows(X, X.dtype)
        assert copy.flags.c_contiguous
        np.testing.assert_array_equal(copy, X)
    monkeypatch.setattr(gather, "MAX_COPIED_FILE", VALUES.nbytes // 2)
    for X in kinds:
        assert copy_by_rows(X, X.dtype) is X
        assert copy_by_rows(X, np.dtype(np.uint8)).flags.c_contiguous
    assert copy_by_rows(in_memory, in_memory.dtype).flags.c_contiguous
