"""The mathematics of softmax regression, against NumPy's in float64."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from tests import reference
from tfsoftmax.engine import softmax
from tfsoftmax.engine.softmax import MicroBatch

N = 20


def micro_batch(target, weights):
    """Targets of shape (n, n_classes), and weights."""
    return MicroBatch(
        tf.constant(target.T),
        tf.constant(target.argmax(axis=1).astype(np.int32)),
        tf.constant(weights),
    )


def with_ones(X):
    return np.column_stack([X, np.ones(len(X), X.dtype)])


def logits_of(V, X, n_classes):
    """The logits z (M, K, n) of rows X with the intercept's constant."""
    return softmax.logits(tf.constant(V @ with_ones(X).T), n_classes)


def gradient_and_sums(V, X, target, weights):
    """The gradient in V of each model, and the row sums."""
    z = logits_of(V, X, target.shape[1])
    errors, sums = softmax.errors_and_sums(z, micro_batch(target, weights))
    return errors[:, -V.shape[1] :] @ with_ones(X), sums


def random_models(n_models, n_classes, n_features=4):
    n_rows = 1 if n_classes == 2 else n_classes
    return np.random.default_rng(1).normal(size=(n_models, n_rows, n_features + 1))


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("n_models", [1, 3])
@pytest.mark.parametrize("per_model", [False, True])
def test_gradient_and_losses_equal_the_reference(n_classes, n_models, per_model):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N, 4)), rng.integers(0, n_classes, N)
    V = random_models(n_models, n_classes)
    weights = rng.uniform(0.1, 3, (n_models if per_model else 1, N))
    gradient, sums = gradient_and_sums(V, X, np.eye(n_classes)[y], weights)
    assert gradient.shape == V.shape
    assert sums.shape == (2, n_models, N)
    for m in range(n_models):
        W, b, s = V[m, :, :-1], V[m, :, -1], weights[m if per_model else 0]
        expected = np.column_stack(reference.gradient(X, y, s, W, b, n_classes))
        np.testing.assert_allclose(gradient[m], expected, rtol=1e-12, atol=1e-14)
        losses = reference.cross_entropy(X, y, W, b, n_classes)
        np.testing.assert_allclose(sums[0, m], s * losses, rtol=1e-12, atol=1e-14)
        correct = reference.logits(X, W, b, n_classes).argmax(axis=1) == y
        np.testing.assert_array_equal(sums[1, m], s * correct)


def test_sums_without_a_gradient_are_the_same_to_the_bit():
    rng = np.random.default_rng(0)
    rows = micro_batch(np.eye(3)[rng.integers(0, 3, N)], rng.uniform(0.1, 3, (1, N)))
    z = logits_of(random_models(2, 3), rng.normal(size=(N, 4)), 3)
    expected = softmax.errors_and_sums(z, rows)[1]
    np.testing.assert_array_equal(softmax.sums(z, rows), expected)


# For one model and one-hot targets


def errors_and_sums(z, y, weights, dtype, function=softmax.precise_errors_and_sums):
    """What a function makes of the logits z (n, n_classes)."""
    target = np.eye(z.shape[1], dtype=dtype)[y]
    rows = micro_batch(target, weights.astype(dtype)[None])
    errors, sums = function(tf.constant(z.T[None], dtype), rows)
    assert errors.dtype == sums.dtype == dtype
    return errors.numpy()[0].T, sums.numpy()[:, 0]


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_precise_sums_equal_the_others(n_classes, scale):
    rng = np.random.default_rng(0)
    z, y = scale * rng.normal(size=(N, n_classes)), rng.integers(0, n_classes, N)
    weights = rng.uniform(0, 3, N) * (np.arange(N) > 2)
    actual = errors_and_sums(z, y, weights, np.float64)
    expected = errors_and_sums(z, y, weights, np.float64, softmax.errors_and_sums)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_precise_sums_keep_their_relative_precision_near_certainty(n_classes, dtype):
    lead = np.linspace(-80, 80, 41, dtype=dtype)  # of the label over each other class
    z = np.zeros((41, n_classes), dtype)
    z[:, 1] = lead
    errors, (losses, _) = errors_and_sums(z, np.ones(41, int), np.ones(41), dtype)
    others = (n_classes - 1) * np.exp(-np.float64(lead))
    rtol = 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(losses, np.log1p(others), rtol=rtol)
    np.testing.assert_allclose(errors[:, 1], -others / (1 + others), rtol=rtol)
    each = others / (1 + others) / (n_classes - 1)
    for k in {*range(n_classes)} - {1}:
        np.testing.assert_allclose(errors[:, k], each, rtol=rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precise_sums_of_huge_logits_overflow_nothing(dtype):
    z, y = np.array([[1e6, -1e6, 0], [1e6, -1e6, 0]]), np.array([0, 1])
    errors, sums = errors_and_sums(z, y, np.ones(2), dtype)
    np.testing.assert_array_equal(errors, [[0, 0, 0], [1, -1, 0]])
    np.testing.assert_array_equal(sums, [[0, 2e6], [1, 0]])


@pytest.mark.parametrize("n_classes", [2, 4])
def test_soft_targets_are_means_over_the_classes(n_classes):
    rng = np.random.default_rng(0)
    X, V = rng.normal(size=(N, 4)), random_models(1, n_classes)
    target, ones = rng.dirichlet(np.ones(n_classes), N), np.ones((1, N))
    gradient, sums = gradient_and_sums(V, X, target, ones)
    W, b = V[0, :, :-1], V[0, :, -1]
    losses, expected = np.zeros(N), np.zeros(V.shape[1:])
    for k in range(n_classes):
        y, t = np.full(N, k), target[:, k]
        losses += t * reference.cross_entropy(X, y, W, b, n_classes)
        expected += np.column_stack(reference.gradient(X, y, t, W, b, n_classes))
    np.testing.assert_allclose(sums[0, 0], losses, rtol=1e-12)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-12, atol=1e-14)


def test_rows_of_weight_zero_add_nothing():
    rng = np.random.default_rng(0)
    X, target = rng.normal(size=(N, 4)), np.eye(3)[rng.integers(0, 3, N)]
    weights = np.where(np.arange(N) < 15, 1.0, 0.0)[None]
    V, some = random_models(2, 3), (X[:15], target[:15], weights[:, :15])
    gradient, sums = gradient_and_sums(V, X, target, weights)
    expected, expected_sums = gradient_and_sums(V, *some)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(sums[..., :15], expected_sums, rtol=1e-12)
    assert not np.any(sums[..., 15:])


def test_a_constant_added_to_all_logits_changes_nothing():
    rng = np.random.default_rng(0)
    target = np.eye(3)[rng.integers(0, 3, N)]
    rows = rng.normal(size=(N, 4)), target, np.ones((1, N))
    V = random_models(1, 3)
    shifted = V + rng.normal(size=(1, 1, 5))
    for actual, expected in zip(
        gradient_and_sums(shifted, *rows), gradient_and_sums(V, *rows), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_overflow_nothing(dtype):
    X, ones = np.array([[1.0], [-1.0]], dtype), np.ones((1, 2), dtype)
    V = np.array([[[1e6, 0], [-1e6, 0], [0, 0]]], dtype)
    right, wrong = np.eye(3, dtype=dtype)[[0, 1]], np.eye(3, dtype=dtype)[[1, 0]]
    gradient, sums = gradient_and_sums(V, X, right, ones)
    assert not np.any(gradient)
    np.testing.assert_array_equal(sums, [[[0, 0]], [[1, 1]]])
    gradient, sums = gradient_and_sums(V, X, wrong, ones)
    np.testing.assert_array_equal(gradient, [[[2, 0], [-2, 0], [0, 0]]])
    np.testing.assert_array_equal(sums, [[[2e6, 2e6]], [[0, 0]]])


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e300])
def test_logsumexp_equals_scipys(scale):
    z = np.random.default_rng(0).normal(size=(2, 3, N)) * scale
    actual = softmax.logsumexp(tf.constant(z))
    expected = special.logsumexp(z, axis=1, keepdims=True)
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


@given(hnp.arrays(np.float64, (2, 4, 5), elements=st.integers(-1, 1)))
def test_of_the_largest_logits_the_first_is_predicted_as_in_numpy(z):
    actual = softmax.first_argmax(tf.constant(z))
    np.testing.assert_array_equal(actual, z.argmax(axis=1))
