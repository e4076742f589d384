"""The dtypes in which rows are handed over and computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from tfsoftmax.data.dtypes import dtypes_for, full_batch_dtypes_for

BYTES, SINGLE, DOUBLE = map(np.dtype, (np.uint8, np.float32, np.float64))


@pytest.mark.parametrize(
    ("dtype", "storage", "precision"),
    [
        (np.uint8, BYTES, SINGLE),
        (bool, BYTES, SINGLE),
        (np.int8, SINGLE, SINGLE),
        (np.int16, SINGLE, SINGLE),
        (np.uint16, SINGLE, SINGLE),
        (np.float16, SINGLE, SINGLE),
        (np.float32, SINGLE, SINGLE),
        (">f4", SINGLE, SINGLE),
        (np.float64, DOUBLE, DOUBLE),
        (">f8", DOUBLE, DOUBLE),
        (np.longdouble, DOUBLE, DOUBLE),
    ],
)
def test_a_dtype_settles_what_is_handed_over(dtype, storage, precision):
    actual = dtypes_for(np.zeros((2, 2), dtype))
    assert actual == (storage, precision)
    assert all(dtype.isnative for dtype in actual)


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<u4", "<i8", ">i8", "<u8"])
@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0, SINGLE), (2**24, SINGLE), (2**24 + 1, DOUBLE), (2**31 - 1, DOUBLE)],
)
def test_the_largest_integer_settles_the_precision(dtype, largest, expected):
    X = np.array([[0, 3], [largest, 1]], dtype)
    assert dtypes_for(X) == (expected, expected)
    if X.dtype.isnative:
        assert dtypes_for(sparse.csr_array(X)) == (expected, expected)
    if X.dtype.kind == "i":
        assert dtypes_for(-X) == (expected, expected)


@pytest.mark.parametrize(
    ("dtype", "extreme"), [("i4", -(2**31)), ("i8", -(2**63)), ("u8", 2**64 - 1)]
)
def test_extreme_integers_are_handed_over_in_double(dtype, extreme):
    assert dtypes_for(np.array([[extreme]], dtype)) == (DOUBLE, DOUBLE)


@pytest.mark.parametrize("precision", [SINGLE, DOUBLE])
def test_a_precision_given_overrules_all_but_bytes(precision):
    for dtype in ("f4", "f8", "i8", ">f4"):
        actual = dtypes_for(np.ones((2, 2), dtype), precision)
        assert actual == (precision, precision)
    for dtype in ("u1", "?"):
        assert dtypes_for(np.ones((2, 2), dtype), precision) == (BYTES, precision)


@pytest.mark.slow
@given(
    st.sampled_from(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            (2, 3),
            elements=st.integers(
                max(np.iinfo(dtype).min, -(2**53)), min(np.iinfo(dtype).max, 2**53)
            ),
        )
    )
)
def test_no_integer_is_changed_by_handing_it_over(X):
    storage, precision = dtypes_for(X)
    handed_over = X.astype(storage).astype(precision)
    assert handed_over.astype(object).tolist() == X.astype(object).tolist()


def test_a_sparse_array_of_zeros_is_handed_over_in_single():
    assert dtypes_for(sparse.csr_array((2, 2), dtype=int)) == (SINGLE, SINGLE)


@pytest.mark.parametrize(
    ("dtype", "storage", "precision"),
    [
        (bool, np.uint8, SINGLE),
        (np.uint8, np.uint8, SINGLE),
        (np.int8, np.int8, SINGLE),
        (np.int16, np.int16, SINGLE),
        (">u2", np.uint16, SINGLE),
        (np.int32, np.int32, DOUBLE),
        (np.uint32, np.uint32, DOUBLE),
        (">i8", np.int64, DOUBLE),
        (np.uint64, np.uint64, DOUBLE),
        (np.float16, np.float32, SINGLE),
        (">f4", np.float32, SINGLE),
        (np.float32, np.float32, SINGLE),
        (np.float64, np.float64, DOUBLE),
        (np.longdouble, np.float64, DOUBLE),
    ],
)
def test_full_batches_are_handed_over_in_their_dtype(dtype, storage, precision):
    X = np.ones((2, 2), dtype)
    actual = full_batch_dtypes_for(X)
    assert actual == (storage, precision)
    assert all(dtype.isnative for dtype in actual)
    is_cast = X.dtype.kind == "f" and X.dtype.itemsize not in (4, 8)
    for other in (SINGLE, DOUBLE):
        expected = (other if is_cast else storage, other)
        assert full_batch_dtypes_for(X, other) == expected
