"""The products V x̃ and e x̃ᵀ of dense and of sparse rows, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tests.problems import program_spec
from tfsoftmax.data.padded_csr import BLOCK, PaddedCSR
from tfsoftmax.engine import products
from tfsoftmax.engine.features import Scaling

DOUBLE = np.dtype(np.float64)
N, N_FEATURES = 30, 7
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, N_FEATURES)) * (RNG.random((N, N_FEATURES)) < 0.4)
X[::5], X[:, 3] = 0, 0
FACTOR, MEAN = RNG.uniform(0.5, 2, N_FEATURES), RNG.normal(size=N_FEATURES)
SCALINGS = {
    "plain": Scaling(),
    "a number": Scaling(0.7),
    "one for each feature": Scaling(FACTOR),
    "standard": Scaling(FACTOR, MEAN),
}


def spec_for(scaling, n_models=1, n_classes=3, *, size=N, intercept=True, X=X):
    return program_spec(
        n_models=n_models,
        n_classes=n_classes,
        n_features=X.shape[1],
        fit_intercept=intercept,
        micro_batch_size=size,
        n_micro_batches=1,
        centred=scaling.mean is not None,
    )


def padded(X, ends):
    rows = sparse.csr_array(X)
    buffer = PaddedCSR.empty(rows.nnz, len(ends), DOUBLE)
    buffer.fill(rows, np.asarray(ends))
    return tuple(map(tf.constant, buffer))


def augmented(X, scaling, intercept):
    mean = 0 if scaling.mean is None else scaling.mean
    x = (X - mean) * scaling.factor
    return np.column_stack([x, np.ones(len(X))]) if intercept else x


def both_products(kind, spec, scaling, rows, i, V, errors):
    """V x̃ (M, R, n) and e x̃ᵀ (M, R, D) of micro-batch i."""
    features = kind(spec, tuple(map(tf.constant, scaling.arrays(DOUBLE))))
    x = features.rows(rows, tf.constant(i))
    z = features.matmul(tf.constant(V.transpose(kind.to_layout)), x)
    G = features.rmatmul(tf.constant(errors), x)
    return z.numpy(), G.numpy().transpose(kind.from_layout)


def check(kind, spec, scaling, rows, i, x):
    """Compare both products of rows x̃ (n, D) with NumPy's."""
    rng = np.random.default_rng(1)
    V = rng.normal(size=spec.weights)
    errors = rng.normal(size=(spec.n_models, spec.n_rows, spec.micro_batch_size))
    errors[:, :, len(x) :] = 0  # which empty slots have, by their weight
    z, G = both_products(kind, spec, scaling, rows, i, V, errors)
    assert z.shape == errors.shape
    assert G.shape == V.shape
    tolerance = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(z[..., : len(x)], V @ x.T, **tolerance)
    np.testing.assert_allclose(G, errors[..., : len(x)] @ x, **tolerance)


@pytest.mark.parametrize("kind", [products.Dense, products.Sparse])
@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_models", [1, 3])
def test_products_equal_numpys(kind, scaling, intercept, n_classes, n_models):
    spec = spec_for(scaling, n_models, n_classes, intercept=intercept)
    rows = tf.constant(X) if kind is products.Dense else padded(X, [N])
    check(kind, spec, scaling, rows, 0, augmented(X, scaling, intercept))


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
@pytest.mark.parametrize("n_models", [1, 2])
def test_a_micro_batch_has_its_rows_alone(scaling, n_models):
    spec = spec_for(scaling, n_models, size=12)
    ends = [12, 24, 30]  # the last with 6 rows
    for i, (start, stop) in enumerate([(0, 12), (12, 24), (24, 30)]):
        x = augmented(X[start:stop], scaling, intercept=True)
        check(products.Sparse, spec, scaling, padded(X, ends), i, x)
        if stop - start == 12:
            rows = tf.constant(X)
            check(products.Dense, spec, scaling, rows, i, x)


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_rows_of_more_values_than_a_block_are_added_up(scaling):
    """The first block ends in the middle of a row, and so does the micro-batch's."""
    width = BLOCK // 3 * 2
    X = np.random.default_rng(2).normal(size=(5, width))
    wide = Scaling(
        scaling.factor if isinstance(scaling.factor, float) else np.full(width, 0.5),
        None if scaling.mean is None else np.linspace(-1, 1, width),
    )
    assert width < BLOCK < 2 * width < 2 * BLOCK
    spec = spec_for(wide, 2, size=3, X=X)
    for i, (start, stop) in enumerate([(0, 2), (2, 5)]):
        x = augmented(X[start:stop], wide, intercept=True)
        check(products.Sparse, spec, wide, padded(X, [2, 5]), i, x)


@pytest.mark.parametrize("n_values", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_a_micro_batch_may_end_where_a_block_does(n_values):
    """The values after it, those of the next one, don't count."""
    X = np.ones((2, n_values))
    X[1] = 1e6
    spec = spec_for(Scaling(), size=1, X=X)
    x = augmented(X[:1], Scaling(), intercept=True)
    check(products.Sparse, spec, Scaling(), padded(X, [1, 2]), 0, x)


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_without_any_value_the_mean_and_the_intercept_are_left(scaling):
    empty = np.zeros_like(X)
    x = augmented(empty, scaling, intercept=True)
    check(products.Sparse, spec_for(scaling), scaling, padded(empty, [N]), 0, x)


@pytest.mark.parametrize("kind", [products.Dense, products.Sparse])
@pytest.mark.parametrize("intercept", [True, False])
def test_numbers_of_models_and_what_is_penalized_lie_as_the_weights_do(kind, intercept):
    spec = spec_for(Scaling(), 2, intercept=intercept)
    V = np.ones(spec.weights).transpose(kind.to_layout)
    features = kind(spec, (tf.constant(1.0, tf.float64),))
    numbers = features.by_model(tf.constant([2.0, 3.0], tf.float64))
    scaled = (numbers * features.penalized() * V).numpy().transpose(kind.from_layout)
    expected = np.ones(spec.weights) * np.array([2, 3])[:, None, None]
    expected[..., N_FEATURES:] = 0
    np.testing.assert_array_equal(scaled, expected)
