"""Moments: the mean and the variance of each feature, against other ways to them."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from tests.problems import problem
from tests.sparse_layouts import (
    unsorted_with_duplicates,
    with_explicit_zeros,
    with_long_indices,
)
from tfsoftmax.data import dataset as dataset_module
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.moments import moments

X, _, S = problem()
N, N_FEATURES = X.shape
INDEX = np.random.default_rng(3).permutation(N)[:150]


KINDS = {
    "rows in memory": np.ascontiguousarray,
    "columns in memory": np.asfortranarray,
    "read-only": lambda X: np.broadcast_to(X, X.shape),
    "csr_array": sparse.csr_array,
    "csr_matrix": sparse.csr_matrix,
    "duplicates": unsorted_with_duplicates,
    "int64 indices": with_long_indices,
    "explicit zeros": with_explicit_zeros,
}
WITH_KINDS = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def moments_of(X, weights=None, index=None):
    n = X.shape[0] if index is None else len(index)
    return moments(Dataset(X, np.zeros(n, np.int32), weights, index))


def by_sums(X, weights=None):
    """The mean and the variance of each feature, by sums that don't round."""
    weights = np.ones(len(X)) if weights is None else weights
    total, result = math.fsum(weights), []
    for column in np.asarray(X, dtype=np.float64).T:
        mean = math.fsum(weights * column) / total
        result.append((mean, math.fsum(weights * (column - mean) ** 2) / total))
    return np.array(result).T


def assert_close(actual, expected, rtol=1e-13):
    mean, variance = expected
    deviation = np.sqrt(variance)
    np.testing.assert_allclose(actual.mean, mean, rtol=rtol, atol=1e-13)
    np.testing.assert_allclose(np.sqrt(actual.variance), deviation, rtol=rtol)


def set_block_rows(monkeypatch, n_rows):
    n_bytes = n_rows * 8 * N_FEATURES
    monkeypatch.setattr(dataset_module, "MAX_BLOCK_BYTES", n_bytes)


@WITH_KINDS
@pytest.mark.parametrize("index", [None, INDEX], ids=["all rows", "index"])
@pytest.mark.parametrize("weighted", [False, True])
def test_they_are_those_of_the_weighted_rows(kind, index, weighted):
    some = np.where(abs(X) > 1, X, 0)
    some[::7] = 0  # rows without a value
    rows = some if index is None else some[index]
    weights = S[: len(rows)] if weighted else None
    actual = moments_of(kind(some), weights, index)
    assert [each.dtype for each in actual] == [np.float64] * 2
    assert_close(actual, by_sums(rows, weights))
    scaler = StandardScaler().fit(rows, sample_weight=weights)
    assert_close(actual, (scaler.mean_, scaler.var_), 1e-12)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((np.asarray, dtype) for dtype in "?bBhHiIlLefdg"),
        *((sparse.csr_array, dtype) for dtype in "?bBhHiIlLfd"),  # all that SciPy has
    ],
)
@pytest.mark.parametrize("weights", [None, S], ids=["none", "weights"])
def test_they_are_computed_in_float64_whatever_the_dtype(dtype, kind, weights):
    rows = np.clip(40 * X + 60, 0, 127).astype(dtype)
    actual = moments_of(kind(rows), weights)
    assert [each.dtype for each in actual] == [np.float64] * 2
    assert_close(actual, by_sums(rows, weights))


@pytest.mark.parametrize("weights", [None, S], ids=["none", "weights"])
@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.int64])
def test_the_size_of_the_blocks_changes_nothing_but_rounding(
    kind, weights, dtype, monkeypatch
):
    rows = kind((40 * X + 128).clip(0, 255).astype(dtype))
    expected = moments_of(rows, weights)
    for n_rows in (1, 7, 64):
        set_block_rows(monkeypatch, n_rows)
        actual = moments_of(rows, weights)
        if dtype != np.float64 and weights is None and kind is not sparse.csr_array:
            np.testing.assert_array_equal(actual, expected)
        else:
            assert_close(actual, expected)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_weights_equal_repetition_and_zeros_leave_rows_out(kind):
    weights = np.arange(N) % 4.0
    repeated = np.repeat(X, weights.astype(int), axis=0)
    assert_close(moments_of(kind(X), weights), moments_of(repeated))
    rows = X.copy()
    rows[weights == 0] = 1e8
    assert_close(moments_of(kind(rows), weights), moments_of(repeated))


def test_rows_without_a_weight_may_fill_a_block(monkeypatch):
    set_block_rows(monkeypatch, 50)
    weights = np.where(np.arange(N) < 100, 0, S)
    assert_close(moments_of(X, weights), by_sums(X[100:], S[100:]))


# Integers


def exactly(X):
    """The mean and the variance by fractions, rounded once."""
    n, result = len(X), []
    for column in X.T.tolist():
        total, squares = sum(column), sum(value**2 for value in column)
        variance = Fraction(n * squares - total**2, n**2)
        result.append((float(Fraction(total, n)), float(variance)))
    return np.array(result).T


@pytest.mark.parametrize("n_rows", [2, 50, 10_000])
@given(
    rows=hnp.arrays(st.sampled_from("?bBhH"), (60, 2))
    | hnp.arrays("l", (60, 2), elements=st.integers(-(2**28), 2**28))
)
def test_those_of_integers_are_rounded_once(n_rows, rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_module, "MAX_BLOCK_BYTES", n_rows * 8 * 2)
        actual = moments_of(rows)
    np.testing.assert_array_equal(actual, exactly(rows))


@pytest.mark.parametrize(
    ("dtype", "largest"),
    [("B", 255), ("h", 2**15 - 1), ("H", 2**16 - 1), ("i", 2**28), ("l", 2**28)],
)
def test_sums_are_exact_up_to_the_largest_values(dtype, largest, monkeypatch):
    rows = np.full((100, 2), largest, dtype)
    rows[7, 0] -= 1
    np.testing.assert_array_equal(moments_of(rows), exactly(rows))


@pytest.mark.parametrize("offset", [2**31, 2**53, 2**62])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_whose_squares_64_bits_cannot_hold_are_rounded(dtype, offset):
    rows = np.array([[0], [1], [0], [1]], dtype) * 4096 + dtype(offset)
    actual = moments_of(rows)
    np.testing.assert_allclose(actual, exactly(rows), rtol=1e-15)


# Rounding


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("n_rows", [7, 10_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_differences_survive_beside_large_values(kind, n_rows, weighted, monkeypatch):
    set_block_rows(monkeypatch, n_rows)
    signs = np.where(np.arange(1000)[:, None] % [2, 5], 1.0, -1.0)
    rows, weights = np.array([1e8, -1e8]) + signs, None
    if weighted:
        weights = np.random.default_rng(0).uniform(0.1, 3, 1000)
        weights[::9] = 0
        rows[::9] = 0
    expected = by_sums(signs, weights)[1]
    actual = moments_of(kind(rows), weights)
    np.testing.assert_allclose(actual.variance, expected, rtol=1e-7)
    assert not actual.is_constant(1000).any()
    if not weighted:
        scaler = StandardScaler().fit(rows)
        np.testing.assert_allclose(actual.variance, scaler.var_, rtol=1e-7)


CONSTANTS = np.array([0.0, 1.0, 0.1, -1e8 / 3, 1e-300, 1e150, 255])


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("n_rows", [7, 10_000])
@pytest.mark.parametrize("weights", [None, S], ids=["none", "weights"])
def test_what_does_not_vary_is_constant(kind, n_rows, weights, monkeypatch):
    set_block_rows(monkeypatch, n_rows)
    rows = np.column_stack([np.tile(CONSTANTS, (N, 1)), X])
    actual = moments_of(kind(rows), weights)
    expected = [True] * len(CONSTANTS) + [False] * N_FEATURES
    np.testing.assert_array_equal(actual.is_constant(N), expected)
    if weights is None:  # with weights, scikit-learn's variance of 1e150 is negative
        np.testing.assert_array_equal(StandardScaler().fit(rows).scale_ == 1, expected)
    if kind is not sparse.csr_array:
        np.testing.assert_array_equal(actual.mean[: len(CONSTANTS)], CONSTANTS)


def test_constant_integers_are_constant():
    rows = np.full((100, 3), [0, 7, 255], np.uint8)
    actual = moments_of(rows)
    np.testing.assert_array_equal(actual, [[0, 7, 255], [0, 0, 0]])
    assert actual.is_constant(100).all()


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_a_variance_that_overflows_warns_of_nothing(kind):
    rows = np.where(np.arange(40)[:, None] % 2, 1.0, -1.0) * [1e160, 1.0]
    actual = moments_of(kind(rows))
    assert not np.isfinite(actual.variance[0])
    assert actual.variance[1] == pytest.approx(1)


# Memory


@pytest.mark.parametrize(
    ("dtype", "weighted"),
    [(np.uint8, False), (np.uint8, True), (np.int32, False), (np.float32, False)],
)
@pytest.mark.parametrize("order", "CF")
def test_no_more_than_some_blocks_is_ever_cast(dtype, weighted, order, monkeypatch):
    n_bytes = 64 << 10
    monkeypatch.setattr(dataset_module, "MAX_BLOCK_BYTES", n_bytes)
    rows = np.ones((20_000, 50), dtype, order=order)  # 8 MB in float64
    rows[0] = 0
    dataset = Dataset(rows, np.zeros(len(rows), np.int32), np.ones(20_000))
    if not weighted:
        dataset = Dataset(rows, dataset.y)
    tracemalloc.start()
    try:
        moments(dataset)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * n_bytes
