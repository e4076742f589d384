"""Features: what the model sees, and its weights in the units of X."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tests import reference
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine import features as features_module
from tfsoftmax.engine.features import (
    CentredFeatures,
    augment,
    blocks,
    coef_and_intercept,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_are_rescaled_and_the_constant_is_one(dtype):
    x, rescale = tf.constant(X, dtype), tf.constant(0.5, dtype)
    expected = X.astype(dtype) / 2
    without = augment(x, rescale, fit_intercept=False).numpy()
    np.testing.assert_array_equal(without, expected, strict=True)
    augmented = augment(x, rescale, fit_intercept=True).numpy()
    ones = np.ones((20, 1), dtype)
    np.testing.assert_array_equal(augmented, np.hstack([expected, ones]), strict=True)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_rows", [1, 3])
def test_coef_and_intercept_have_the_logits_of_the_weights(n_rows, fit_intercept):
    V = RNG.normal(size=(n_rows, 4 + fit_intercept))
    features = augment(tf.constant(X), tf.constant(1 / 255, tf.float64), fit_intercept)
    coef, intercept = coef_and_intercept(
        V, rescale=1 / 255, fit_intercept=fit_intercept
    )
    assert (coef.shape, intercept.shape) == ((n_rows, 4), (n_rows,))
    logits = X @ coef.T + intercept
    np.testing.assert_allclose(logits, features.numpy() @ V.T, rtol=1e-12)
    assert intercept.any() == fit_intercept


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_they_are_new_arrays_of_the_weights_dtype(dtype, fit_intercept):
    V = np.ones((3, 5), dtype)
    for array in coef_and_intercept(V, rescale=1.0, fit_intercept=fit_intercept):
        assert array.dtype == dtype
        assert not np.shares_memory(array, V)


def test_weights_too_large_for_their_dtype_are_refused():
    V = np.full((3, 5), 1e10, np.float32)
    with pytest.raises(ValueError, match=r"rescale=1e\+30 makes coef_ too .* float32"):
        coef_and_intercept(V, rescale=1e30, fit_intercept=True)
    coef, _ = coef_and_intercept(V.astype(float), rescale=1e30, fit_intercept=True)
    np.testing.assert_allclose(coef, 1e40)


# Centred features


WEIGHTS = RNG.uniform(0.1, 3, len(X))
WEIGHTS /= WEIGHTS.mean()


def dataset_of(X, weights=WEIGHTS, index=None):
    n = X.shape[0] if index is None else len(index)
    return Dataset(X, np.zeros(n, np.int32), weights, index)


def centred(dataset, precision=np.float64, *, fit_intercept=True, rescale=0.3):
    return CentredFeatures.of(
        dataset,
        rescale=rescale,
        fit_intercept=fit_intercept,
        precision=np.dtype(precision),
    )


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three rows of four features."""
    monkeypatch.setattr(features_module, "MAX_BLOCK_BYTES", 3 * 4 * 8)


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("index", [None, np.array([7, 0, 3, 19, 5])])
def test_blocks_hold_all_rows_in_order(small_blocks, kind, index):
    weights = None if index is None else np.ones(5)
    rows, parts = zip(*blocks(dataset_of(kind(X), weights, index)), strict=True)
    expected = X if index is None else X[index]
    assert all(type(part) is np.ndarray and len(part) <= 3 for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    for each, part in zip(rows, parts, strict=True):
        np.testing.assert_array_equal(part, expected[each])


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["none", "weights"])
def test_the_mean_is_that_of_the_weighted_and_rescaled_rows(
    small_blocks, kind, weights, precision
):
    features = centred(dataset_of(kind(X), weights), precision)
    expected = np.average(0.3 * X, axis=0, weights=weights)
    assert features.mean.dtype == precision
    rtol = 4 * np.finfo(precision).eps
    np.testing.assert_allclose(features.mean, expected, rtol=rtol, atol=rtol)
    without = centred(dataset_of(kind(X), weights), precision, fit_intercept=False)
    np.testing.assert_array_equal(without.mean, np.zeros(4, precision), strict=True)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("rescale", [1.0, 0.3])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_centred_rows_are_those_of_the_program(dtype, rescale, precision):
    rows = (4 * abs(X)).astype(dtype)
    features = centred(dataset_of(rows), rescale=rescale)
    scaled = np.float64(rows) * rescale
    expected = scaled - np.average(scaled, axis=0, weights=WEIGHTS)
    actual = features.rows(rows, np.dtype(precision))
    assert actual.dtype == precision
    np.testing.assert_allclose(actual, expected, atol=10 * np.finfo(precision).eps)


def test_rows_are_centred_before_they_are_cast():
    signs = np.sign(X)
    features = centred(dataset_of(1e8 + signs), rescale=1.0)
    expected = signs - np.average(signs, axis=0, weights=WEIGHTS)
    actual = features.rows(1e8 + signs, np.dtype(np.float32))
    np.testing.assert_allclose(actual, expected, atol=3e-7)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logits_are_the_same_of_centred_features_and_of_x(n_classes, fit_intercept):
    features = centred(dataset_of(X), fit_intercept=fit_intercept)
    V = RNG.normal(size=(n_classes - (n_classes == 2), 4 + fit_intercept))
    coef, intercept = coef_and_intercept(V, rescale=0.3, fit_intercept=fit_intercept)
    expected = reference.logits(X, coef, intercept, n_classes)[:, -len(V) :]
    U = features.centre(V)
    x = features.rows(X, np.dtype(np.float64))
    np.testing.assert_allclose(x @ U[:, :-1].T + U[:, -1], expected, rtol=1e-12)
    np.testing.assert_allclose(features.logits(X, U), expected, rtol=1e-12)
    np.testing.assert_allclose(features.uncentre(U), V, rtol=1e-12)


def test_weights_are_centred_in_double():
    features = centred(dataset_of(X), np.float32)
    V = RNG.normal(size=(3, 5)).astype(np.float32)
    U = features.centre(V)
    assert U.dtype == np.float64
    np.testing.assert_allclose(features.uncentre(U), V, rtol=1e-12)


def test_a_mean_too_large_for_its_dtype_warns_of_nothing():
    features = centred(dataset_of(1e30 * abs(X)), np.float32, rescale=1e30)
    assert np.isinf(features.mean).all()
