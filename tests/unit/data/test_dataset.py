"""Datasets: rows, labels and weights, and some of them."""

from __future__ import annotations

import numpy as np
import pytest

from tfsoftmax.data.dataset import Dataset, add_each


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
