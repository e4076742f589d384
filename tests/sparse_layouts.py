"""Valid but unusual ways to store sparse rows."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def with_long_indices(X):
    """Store 64-bit indices."""
    packed = sparse.csr_array(X)
    packed.indices = packed.indices.astype(np.int64)
    packed.indptr = packed.indptr.astype(np.int64)
    return packed


def with_explicit_zeros(X):
    """Store every value, zero or not."""
    rows, columns = np.indices(X.shape).reshape(2, -1)
    return sparse.csr_array((X.ravel(), (rows, columns)), X.shape)


def with_unsorted_indices(X):
    """Store each row from its last column to its first."""
    packed = sparse.csr_array(X)
    for i, j in zip(packed.indptr[:-1], packed.indptr[1:], strict=True):
        packed.indices[i:j] = packed.indices[i:j][::-1].copy()
        packed.data[i:j] = packed.data[i:j][::-1].copy()
    packed.has_sorted_indices = False
    return packed


def with_duplicates(X):
    """Store each value as two, which are exact, one after the other."""
    packed = sparse.csr_array(X)
    data = np.repeat(packed.data, 2)
    data[::2] = packed.data // 2 if X.dtype.kind in "iu" else packed.data / 2
    data[1::2] = packed.data - data[::2]
    return sparse.csr_array(
        (data, np.repeat(packed.indices, 2), packed.indptr * 2), X.shape
    )


def with_duplicated_coordinates(X):
    """Store each value as two halves, in coordinates."""
    packed = sparse.coo_array(X)
    doubled = [np.tile(indices, 2) for indices in packed.coords]
    return sparse.coo_array((np.tile(packed.data / 2, 2), doubled), X.shape)


def unsorted_with_duplicates(X):
    """Store each value as two halves: each row's columns in order, then backward."""
    half = sparse.coo_array(X / 2)
    rows, columns, data = (
        np.concatenate([a, a[::-1]]) for a in (*half.coords, half.data)
    )
    order = np.argsort(rows, kind="stable")
    indptr = np.concatenate([[0], np.bincount(rows, minlength=len(X)).cumsum()])
    packed = sparse.csr_array((data[order], columns[order], indptr), X.shape)
    assert not packed.has_canonical_format
    return packed
