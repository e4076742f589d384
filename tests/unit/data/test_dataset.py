"""Datasets: rows, labels and weights, some of them, and the dtypes handed over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from tfsoftmax.data.dataset import (
    Dataset,
    add_each,
    dtypes_for,
    full_batch_dtypes_for,
)

BYTES, SINGLE, DOUBLE = map(np.dtype, (np.uint8, np.float32, np.float64))


def dataset_of(n_samples, weights=None):
    return Dataset(np.ones((n_samples, 3)), np.arange(n_samples, dtype="i4"), weights)


def test_a_dataset_knows_its_shape():
    dataset = dataset_of(5)
    assert len(dataset) == 5
    assert dataset.n_features == 3


@pytest.mark.parametrize(
    ("weights", "per_model", "n_rows"),
    [(None, False, 1), (np.ones(5), False, 1), (np.ones((4, 5)), True, 4)],
    ids=["none", "shared", "per model"],
)
def test_weights_are_shared_unless_they_have_an_axis_for_the_models(
    weights, per_model, n_rows
):
    dataset = dataset_of(5, weights)
    assert dataset.per_model_weights is per_model
    assert dataset.n_weight_rows == n_rows


@pytest.mark.parametrize("weights", [None, np.ones(5)], ids=["none", "shared"])
def test_any_models_have_the_shared_weights(weights):
    dataset = dataset_of(5, weights)
    assert dataset.for_models(slice(1, 3)) is dataset


@pytest.mark.parametrize("models", [slice(1, 3), [2, 0]], ids=["slice", "list"])
def test_some_models_have_their_weights_for_the_same_rows(models):
    weights = np.arange(20.0).reshape(4, 5)
    dataset = dataset_of(5, weights)
    part = dataset.for_models(models)
    assert part.X is dataset.X
    assert part.y is dataset.y
    np.testing.assert_array_equal(part.weights, weights[models])


@pytest.mark.parametrize("shape", [(6,), (2, 6)], ids=["shared", "per model"])
def test_some_of_the_rows_keep_their_labels_and_the_ratios_of_their_weights(shape):
    weights = np.random.default_rng(0).uniform(1, 3, shape)
    dataset, index = dataset_of(6, weights), np.array([4, 0, 3])
    part = dataset.take(index)
    assert part.X is dataset.X  # and not a copy
    np.testing.assert_array_equal(part.index, index)
    np.testing.assert_array_equal(part.y, index)
    np.testing.assert_allclose(part.weights.mean(axis=-1), np.ones(shape[:-1]))
    ratios = part.weights / part.weights[..., :1]
    expected = weights[..., index] / weights[..., index[:1]]
    np.testing.assert_allclose(ratios, expected)


def test_rows_taken_of_some_rows_refer_to_the_whole():
    part = dataset_of(6).take(np.array([4, 0, 3])).take(np.array([2, 0]))
    assert part.weights is None
    np.testing.assert_array_equal(part.index, [3, 4])
    np.testing.assert_array_equal(part.y, [3, 4])


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


# Folds, as of rows that lie in parts


def combine_nothing(one, other):
    raise AssertionError("there is one dataset")


def test_a_fold_over_rows_in_memory_is_a_call():
    dataset = dataset_of(5)
    found = dataset.fold(lambda *given: given, 1, 2, combine=combine_nothing)
    assert found == (dataset, 1, 2)


def test_what_is_bound_is_made_once_from_the_rows():
    class Made:
        n_made = 0

        def __init__(self, dataset, factor):
            Made.n_made += 1
            self.product = len(dataset) * factor

        def plus(self, more):
            return self.product + more

    bound = dataset_of(5).bind(Made, 10)
    assert bound.fold(Made.plus, 1, combine=combine_nothing) == 51
    assert bound.fold(Made.plus, 2, combine=combine_nothing) == 52
    assert Made.n_made == 1


def test_sums_are_added_element_by_element():
    both = add_each((1, np.ones(2)), (2, np.arange(2)))
    assert both[0] == 3
    np.testing.assert_array_equal(both[1], [1, 2])
    with pytest.raises(ValueError, match="zip"):
        add_each((1, 2), (1,))


def test_rows_in_memory_have_nothing_to_free():
    dataset = dataset_of(5)
    dataset.close()
    assert len(dataset.X) == 5
