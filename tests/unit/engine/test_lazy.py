"""Lazy steps on sparse rows, against gradient descent on dense rows in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tests.problems import program_spec
from tfsoftmax.data.padded_csr import PaddedCSR
from tfsoftmax.engine import lazy
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.products import Sparse
from tfsoftmax.engine.spec import Hyperparameters

N, N_FEATURES, SIZE, N_STEPS = 40, 6, 8, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, N_FEATURES)) * (RNG.random((N, N_FEATURES)) < 0.4)
FACTOR = RNG.uniform(0.5, 2, N_FEATURES)
SCALINGS = {
    "plain": Scaling(),
    "one for each feature": Scaling(FACTOR),
    "standard": Scaling(FACTOR, RNG.normal(size=N_FEATURES)),
}
RATE, L2 = np.array([0.3, 0.01]), np.array([0.2, 40.0])
BEGUN = np.array([[0.25], [1.0]])  # what each model's weights were to be multiplied by


def spec_for(scaling, *, intercept=True):
    return program_spec(
        n_models=2,
        n_classes=3,
        n_features=N_FEATURES,
        fit_intercept=intercept,
        micro_batch_size=SIZE,
        n_micro_batches=N_STEPS,
        is_sparse=True,
        centred=scaling.mean is not None,
    )


def augmented(scaling, intercept):
    mean = 0 if scaling.mean is None else scaling.mean
    x = (X - mean) * scaling.factor
    return np.column_stack([x, np.ones(N)]) if intercept else x


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_steps_are_those_of_descent_on_dense_rows(scaling, intercept):
    spec = spec_for(scaling, intercept=intercept)
    arrays = tuple(map(tf.constant, scaling.arrays(np.dtype(np.float64))))
    features = Sparse(spec, arrays)
    numbers = Hyperparameters(
        *(features.by_model(tf.constant(a)) for a in (RATE, RATE * 0, L2, RATE * 0))
    )
    buffer = PaddedCSR.empty(X.size, N_STEPS, np.dtype(np.float64))
    buffer.fill(sparse.csr_array(X), SIZE * np.arange(1, N_STEPS + 1))
    rows = tuple(map(tf.constant, buffer))

    rng = np.random.default_rng(1)
    V = rng.normal(size=spec.weights)
    layout, tolerance = Sparse.to_layout, {"rtol": 1e-12, "atol": 1e-13}
    weights = lazy.factor(
        features, tf.constant(V.transpose(layout)), tf.constant(BEGUN)
    )
    np.testing.assert_array_equal(weights.a, np.ones((2, 1)))
    penalized = np.arange(V.shape[-1]) < N_FEATURES
    V = np.where(penalized, V * BEGUN[:, None], V)
    shrinkage = 1 + (RATE * L2)[:, None, None] * penalized
    x = augmented(scaling, intercept)
    for i in range(N_STEPS):
        part = slice(i * SIZE, (i + 1) * SIZE)
        micro_batch = features.rows(rows, tf.constant(i))
        z = lazy.matmul(features, weights, micro_batch)
        np.testing.assert_allclose(z, V @ x[part].T, **tolerance)
        errors = rng.normal(size=z.shape)
        weights = lazy.descend(
            features, weights, tf.constant(errors), micro_batch, numbers
        )
        V = (V - RATE[:, None, None] * (errors @ x[part])) / shrinkage
        np.testing.assert_allclose(weights.a[:, 0], (1 + RATE * L2) ** -(i + 1.0))
        whole = joined(features, weights)
        np.testing.assert_allclose(whole, V, **tolerance)


def joined(features, weights):
    """V (M, R, D), from the factors."""
    U, a = (part.numpy() for part in lazy.join(features, weights))
    is_feature = np.arange(len(U)) < N_FEATURES
    whole = U * np.where(is_feature[:, None, None], a, 1)
    return whole.transpose(Sparse.from_layout)


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_factors_that_are_joined_again_are_the_weights(scaling):
    spec = spec_for(scaling)
    arrays = tuple(map(tf.constant, scaling.arrays(np.dtype(np.float64))))
    V = np.random.default_rng(1).normal(size=spec.weights)
    features = Sparse(spec, arrays)
    ones = tf.ones((2, 1), tf.float64)
    weights = lazy.factor(features, tf.constant(V.transpose(Sparse.to_layout)), ones)
    np.testing.assert_array_equal(joined(features, weights), V)


def test_only_the_columns_of_values_change_where_nothing_is_centred():
    """That is what takes the time of the values alone."""
    spec = spec_for(Scaling())
    features = Sparse(spec, (tf.constant(1.0, tf.float64),))
    buffer = PaddedCSR.empty(4, N_STEPS, np.dtype(np.float64))
    some = np.zeros((SIZE, N_FEATURES))
    some[0, [1, 4]], some[3, 4] = 2, 3
    buffer.fill(sparse.csr_array(some), np.full(N_STEPS, SIZE))
    V = np.random.default_rng(1).normal(size=spec.weights).transpose(Sparse.to_layout)
    ones = tf.ones((2, 1), tf.float64)
    before = lazy.factor(features, tf.constant(V), ones)
    numbers = Hyperparameters(*(features.by_model(tf.constant(L2)),) * 4)
    after = lazy.descend(
        features,
        before,
        tf.ones((2, 3, SIZE), tf.float64),
        features.rows(tuple(map(tf.constant, buffer)), tf.constant(0)),
        numbers,
    )
    changed = (after.U.numpy() != before.U.numpy()).any(axis=(1, 2))
    assert changed.nonzero()[0].tolist() == [1, 4]
    assert after.q == after.p == ()
