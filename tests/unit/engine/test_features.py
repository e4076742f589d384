"""Features: what the model sees, and its weights in the units of X."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tests import reference
from tfsoftmax.data import dataset as dataset_module
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.moments import weighted_mean
from tfsoftmax.engine.features import (
    CentredFeatures,
    CentredRows,
    Scaling,
    augment,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4))
WEIGHTS = RNG.uniform(0.1, 3, len(X))
WEIGHTS /= WEIGHTS.mean()
FACTORS = np.array([0.5, 2.0, 0.25, 1.5])
MEAN = np.array([0.0, 1.0, -3.0, 0.5])
SCALINGS = {
    "number": Scaling(0.3),
    "vector": Scaling(FACTORS),
    "mean": Scaling(FACTORS, MEAN),
    "mean alone": Scaling(1.0, MEAN),
}
WITH_SCALINGS = pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
# Not all of them are as they are in float32.
PRECISIONS = pytest.mark.parametrize("precision", [np.float32, np.float64])


def by_numpy(X, scaling):
    """x̃ in float64."""
    m = 0 if scaling.mean is None else scaling.mean
    return (np.float64(X) - m) * scaling.factor


def dataset_of(X, weights=WEIGHTS, index=None):
    n = X.shape[0] if index is None else len(index)
    return Dataset(X, np.zeros(n, np.int32), weights, index)


# How x̃ comes from x


@pytest.mark.parametrize(
    ("scaling", "is_identity"),
    [(Scaling(), True), (Scaling(0.5), False), (Scaling(1.0, MEAN), False)],
)
def test_only_a_factor_of_1_and_no_mean_are_the_identity(scaling, is_identity):
    assert scaling.is_identity is is_identity


def test_a_number_or_one_for_each_feature_is_the_factor():
    rows = dataset_of(X)
    assert Scaling.of(0.5, rows).factor == 0.5
    factor = Scaling.of((0.5, 2.0, 0.25, 1.5), rows).factor
    np.testing.assert_array_equal(factor, FACTORS, strict=True)
    assert Scaling.of(0.5, rows).mean is None


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["none", "weights"])
def test_standard_is_the_mean_and_the_deviation_of_the_weighted_rows(weights):
    scaling = Scaling.of("standard", dataset_of(X, weights))
    mean = np.average(X, axis=0, weights=weights)
    variance = np.average((X - mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(scaling.mean, mean, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(scaling.factor, 1 / np.sqrt(variance), rtol=1e-13)


def test_a_feature_that_does_not_vary_is_only_centred():
    rows = X.copy()
    rows[:, 2] = 0.1
    scaling = Scaling.of("standard", dataset_of(rows))
    assert scaling.factor[2] == 1
    assert scaling.mean[2] == 0.1


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_a_variance_that_overflows_is_an_error(kind):
    rows = kind(np.sign(X) * 1e200)
    with pytest.raises(ValueError, match="too large to be standardised"):
        Scaling.of("standard", dataset_of(rows))


@WITH_SCALINGS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_are_scaled_and_the_constant_is_one(dtype, scaling):
    x, numbers = tf.constant(X, dtype), scaling.arrays(np.dtype(dtype))
    assert [each.dtype for each in numbers] == [dtype] * len(numbers)
    without = augment(x, numbers, fit_intercept=False).numpy()
    assert without.dtype == dtype
    atol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(without, by_numpy(X, scaling), rtol=0, atol=4 * atol)
    augmented = augment(x, numbers, fit_intercept=True).numpy()
    ones = np.ones((20, 1), dtype)
    np.testing.assert_array_equal(augmented, np.hstack([without, ones]), strict=True)


def test_a_number_alone_is_one_product():
    (factor,) = Scaling(0.5).arrays(np.dtype(np.float32))
    assert factor.shape == ()
    mean, factor = Scaling(FACTORS).arrays(np.dtype(np.float32))
    assert not mean.any()
    assert factor.shape == mean.shape == (4,)


# The weights of x


@WITH_SCALINGS
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_rows", [1, 3])
def test_coef_and_intercept_have_the_logits_of_the_weights(
    n_rows, fit_intercept, scaling
):
    V = RNG.normal(size=(n_rows, 4 + fit_intercept))
    numbers = scaling.arrays(np.dtype(np.float64))
    features = augment(tf.constant(X), numbers, fit_intercept)
    coef, intercept = scaling.coef_and_intercept(V, fit_intercept=fit_intercept)
    assert (coef.shape, intercept.shape) == ((n_rows, 4), (n_rows,))
    logits = X @ coef.T + intercept
    np.testing.assert_allclose(logits, features.numpy() @ V.T, rtol=1e-12, atol=1e-14)
    assert intercept.any() == (fit_intercept or scaling.mean is not None)
    np.testing.assert_allclose(scaling.weights(coef), V[:, :4], rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_they_are_new_arrays_of_the_weights_dtype(dtype, fit_intercept):
    V = np.ones((3, 5), dtype)
    n_features = 5 - fit_intercept
    means = np.ones(n_features)
    for scaling in (Scaling(), Scaling(means), Scaling(means, means)):
        arrays = scaling.coef_and_intercept(V, fit_intercept=fit_intercept)
        for array in arrays:
            assert array.dtype == dtype
            assert not np.shares_memory(array, V)


def test_the_intercept_makes_up_for_the_means_as_the_program_rounds_them():
    offset = 1e5 + 0.1  # of which float32 has a hundredth
    scaling = Scaling(1.0, np.full(4, offset))
    V = RNG.normal(size=(3, 5)).astype(np.float32)
    coef, intercept = scaling.coef_and_intercept(V, fit_intercept=True)
    rounded = np.float64(np.float32(offset))
    expected = V[:, -1] - np.float64(V[:, :4]) @ np.full(4, rounded)
    np.testing.assert_array_equal(intercept, expected.astype(np.float32))
    np.testing.assert_array_equal(coef, V[:, :4])


def test_weights_too_large_for_their_dtype_are_refused():
    V = np.full((3, 5), 1e10, np.float32)
    with pytest.raises(ValueError, match=r"rescale=1e\+30 makes coef_ too .* float32"):
        Scaling(1e30).coef_and_intercept(V, fit_intercept=True)
    with pytest.raises(ValueError, match=r"rescale=1e\+30 makes coef_ too .* float32"):
        Scaling(np.array([1, 1, 1, 1e30])).coef_and_intercept(V, fit_intercept=True)
    coef, _ = Scaling(1e30).coef_and_intercept(V.astype(float), fit_intercept=True)
    np.testing.assert_allclose(coef, 1e40)


# Centred features


def centred(dataset, precision=np.float64, *, fit_intercept=True, scaling=None):
    return CentredFeatures.of(
        dataset,
        scaling=scaling or Scaling(0.3),
        fit_intercept=fit_intercept,
        precision=np.dtype(precision),
    )


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three rows of four features."""
    monkeypatch.setattr(dataset_module, "MAX_BLOCK_BYTES", 3 * 4 * 8)


@PRECISIONS
@WITH_SCALINGS
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["none", "weights"])
def test_the_centre_is_the_mean_of_the_weighted_rows(
    small_blocks, kind, weights, precision, scaling
):
    rows = dataset_of(kind(X), weights)
    features = centred(rows, precision, scaling=scaling)
    expected = np.average(X, axis=0, weights=weights)
    np.testing.assert_allclose(weighted_mean(rows), expected, rtol=1e-13)
    assert features.dtype == features.centre.dtype == precision
    rtol = 4 * np.finfo(precision).eps
    np.testing.assert_allclose(features.centre, expected, rtol=rtol, atol=rtol)


@WITH_SCALINGS
@PRECISIONS
def test_without_an_intercept_the_scaling_s_mean_is_the_centre(scaling, precision):
    features = centred(dataset_of(X), precision, scaling=scaling, fit_intercept=False)
    expected = np.zeros(4) if scaling.mean is None else scaling.mean
    expected = expected.astype(precision)
    np.testing.assert_array_equal(features.centre, expected, strict=True)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("scaling", [Scaling(), *SCALINGS.values()])
@PRECISIONS
def test_centred_rows_are_those_of_the_program(dtype, scaling, precision):
    rows = (4 * abs(X)).astype(dtype)
    features = centred(dataset_of(rows), scaling=scaling)
    scaled = by_numpy(rows, scaling)
    expected = scaled - np.average(scaled, axis=0, weights=WEIGHTS)
    actual = features.rows(rows, np.dtype(precision))
    assert actual.dtype == precision
    atol = 20 * np.finfo(precision).eps
    np.testing.assert_allclose(actual, expected, atol=atol)


def test_rows_are_centred_before_they_are_cast():
    signs = np.sign(X)
    features = centred(dataset_of(1e8 + signs), scaling=Scaling())
    expected = signs - np.average(signs, axis=0, weights=WEIGHTS)
    actual = features.rows(1e8 + signs, np.dtype(np.float32))
    np.testing.assert_allclose(actual, expected, atol=3e-7)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("index", [None, np.array([7, 0, 3, 19, 5])])
def test_blocks_hold_all_centred_rows_in_order(small_blocks, kind, index):
    weights = None if index is None else np.ones(5)
    rows = dataset_of(kind(X), weights, index)
    features = centred(rows, scaling=SCALINGS["mean"])
    dense = X if index is None else X[index]
    expected = features.rows(dense, np.dtype(np.float64))
    identity = np.eye(4)
    for each, block in features.blocks(rows):
        part = block @ identity if kind is sparse.csr_array else block
        assert isinstance(part, np.ndarray)
        assert len(part) <= 3
        np.testing.assert_allclose(part, expected[each], atol=1e-14)
    assert each.stop == len(rows)


@WITH_SCALINGS
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logits_are_the_same_of_centred_features_and_of_x(
    n_classes, fit_intercept, scaling
):
    features = centred(dataset_of(X), fit_intercept=fit_intercept, scaling=scaling)
    V = RNG.normal(size=(n_classes - (n_classes == 2), 4 + fit_intercept))
    coef, intercept = scaling.coef_and_intercept(V, fit_intercept=fit_intercept)
    expected = reference.logits(X, coef, intercept, n_classes)[:, -len(V) :]
    U = features.centre_weights(V)
    x = features.rows(X, np.dtype(np.float64))
    close = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(x @ U[:, :-1].T + U[:, -1], expected, **close)
    np.testing.assert_allclose(features.logits(X, U).T, expected, **close)
    np.testing.assert_allclose(features.uncentre_weights(U), V, **close)


@WITH_SCALINGS
def test_weights_are_centred_in_double(scaling):
    features = centred(dataset_of(X), np.float32, scaling=scaling)
    V = RNG.normal(size=(3, 5)).astype(np.float32)
    U = features.centre_weights(V)
    assert U.dtype == np.float64
    np.testing.assert_allclose(features.uncentre_weights(U), V, rtol=1e-12)


def test_a_centre_too_large_for_its_dtype_warns_of_nothing():
    features = centred(dataset_of(1e30 * abs(X) * 1e30), np.float32)
    assert np.isinf(features.centre).all()


# Sparse rows, of which none is made dense


@pytest.fixture
def no_dense_rows(monkeypatch):
    """Make it an error that a sparse matrix with X's rows is made dense."""
    original = sparse.csr_array.toarray

    def toarray(self, *args, **kwargs):
        assert self.shape != X.shape
        return original(self, *args, **kwargs)

    monkeypatch.setattr(sparse.csr_array, "toarray", toarray)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
@PRECISIONS
def test_products_with_sparse_rows_are_those_with_dense_ones(
    kind, precision, no_dense_rows
):
    precision = np.dtype(precision)
    features = centred(dataset_of(X), precision, scaling=SCALINGS["mean"])
    rows, dense = features.rows(kind(X), precision), features.rows(X, precision)
    assert isinstance(rows, CentredRows)
    close = {"rtol": 0, "atol": 500 * np.finfo(precision).eps}
    s = WEIGHTS.astype(precision)
    A, B = RNG.normal(size=(4, 3)), RNG.normal(size=(2, 20))
    for right in (A, A[:, 0]):
        right = right.astype(precision)
        np.testing.assert_allclose(rows @ right, dense @ right, **close)
    for left in (B, B[0], s):
        left = left.astype(precision)
        np.testing.assert_allclose(left @ rows, left @ dense, **close)
    np.testing.assert_allclose(rows.squares(s), s @ dense**2, **close)
    gram = (dense * s[:, None]).T @ dense
    np.testing.assert_allclose(rows.gram(s), gram, **close)
    assert (rows @ A.astype(precision)).dtype == rows.gram(s).dtype == precision
