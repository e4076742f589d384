"""Features: what the model sees, and its weights in the units of X."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfsoftmax.engine.features import augment, coef_and_intercept

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
