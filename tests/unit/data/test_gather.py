"""Gathering rows of X into aligned buffers, against NumPy's indexing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tfsoftmax.data.gather import ALIGNMENT, aligned, gatherer

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
    "sparse": sparse.csr_array,
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
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_booleans_are_gathered_as_bytes(kind, rows):
    X = VALUES % 2 == 0
    buffer = np.full((6, 3), 99, np.uint8)
    gatherer(kind(X), buffer.dtype)(rows, buffer)
    np.testing.assert_array_equal(buffer, X[rows])
