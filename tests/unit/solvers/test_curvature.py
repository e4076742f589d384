"""The curvature model, against the explicit Hessian and dense inverses by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, sparse

from tests import reference
from tests.problems import problem
from tfsoftmax.data import dataset as dataset_module
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import CentredFeatures, Scaling
from tfsoftmax.solvers import curvature
from tfsoftmax.solvers.curvature import Curvature, curvature_sums
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem()
S = row_weights(S, len(X))
N_COLUMNS = X.shape[1] + 1
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# What the penalty bends: all columns but the intercept's.
PENALIZED = np.diag([1.0] * X.shape[1] + [0.0])


def random(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def weights_for(n_classes, n_columns=N_COLUMNS):
    return random(n_classes - (n_classes == 2), n_columns)


def centred(X, *, fit_intercept=True):
    dataset = Dataset(X, Y.astype(np.int32), S)
    return dataset, CentredFeatures.of(
        dataset,
        scaling=Scaling(0.5),
        fit_intercept=fit_intercept,
        precision=DOUBLE,
    )


def with_ones(X, *, fit_intercept=True):
    """Rows (x̂, 1) by NumPy."""
    x = X * 0.5
    mean = np.average(x, axis=0, weights=S) if fit_intercept else 0
    return np.column_stack([x - mean, np.ones(len(x))])


def probabilities(x, U):
    """Of all classes of which Û has a row."""
    n_classes = 2 if len(U) == 1 else len(U)
    z = reference.logits(x[:, :-1], U[:, :-1], U[:, -1], n_classes)
    return reference.softmax(z)


def by_numpy(x, U):
    """E[T], E[τ] and E[τ x̂ x̂ᵀ], row by row."""
    P = probabilities(x, U)
    A, weight, B = 0.0, 0.0, 0.0
    for row, p, s in zip(x, P, S, strict=True):
        T = np.diag(p) - np.outer(p, p)
        A += s * T[-len(U) :, -len(U) :]
        weight += s * np.trace(T)
        B += s * np.trace(T) * np.outer(row, row)
    return A / len(x), weight / len(x), B / len(x)


def model_of(X, U, alpha, *, fit_intercept=True, jitter=0.0):
    dataset, features = centred(X, fit_intercept=fit_intercept)
    sums = curvature_sums(U, dataset, features, DOUBLE)
    return Curvature(sums, features, alpha, jitter)


# The sums


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sparse.csr_array])
@pytest.mark.parametrize("n_block_rows", [10_000, 16])
def test_sums_equal_those_row_by_row(n_classes, kind, n_block_rows, monkeypatch):
    n_bytes = n_block_rows * X.shape[1] * 8
    monkeypatch.setattr(dataset_module, "MAX_BLOCK_BYTES", n_bytes)
    U = weights_for(n_classes)
    expected = by_numpy(with_ones(X), U)
    for precision, rtol in ((DOUBLE, 1e-12), (SINGLE, 1e-5)):
        sums = curvature_sums(U, *centred(kind(X)), precision)
        for actual, value in zip(sums, expected, strict=True):
            assert np.asarray(actual).dtype == np.float64
            atol = rtol * np.abs(value).max()
            np.testing.assert_allclose(actual, value, rtol=0, atol=atol)
        np.testing.assert_array_equal(sums.features, sums.features.T)
    mean = expected[2] / expected[1]
    np.testing.assert_allclose(sums.mean_features, mean, atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_curvature_of_certain_rows_is_not_lost_by_rounding(n_classes):
    p = 10.0 ** -np.arange(12, 30, 6)[:n_classes]
    P = np.zeros((n_classes, 2))
    P[0], P[1, 0] = 1, p[0]
    P[-1, 1] = p[1]
    np.testing.assert_allclose(curvature._trace(P), 2 * p[:2], rtol=1e-12)
    U = np.zeros((1, N_COLUMNS))
    for sign in (1, -1):
        U[0, -1] = sign * 50.0
        sums = curvature_sums(U, *centred(X), DOUBLE)
        assert sums.classes.item() == pytest.approx(np.exp(-50.0), rel=1e-12)
        assert sums.weight == pytest.approx(2 * np.exp(-50.0), rel=1e-12)


def test_the_curvature_of_rare_classes_is_not_lost_by_rounding():
    U = np.zeros((3, N_COLUMNS))
    U[:, -1] = -50.0, 0.0, -60.0
    sums = curvature_sums(U, *centred(X), DOUBLE)
    rare, rarer = np.exp(-50.0), np.exp(-60.0)
    expected = [rare, rare + rarer, rarer]
    np.testing.assert_allclose(sums.classes.diagonal(), expected, rtol=1e-12)
    assert sums.weight == pytest.approx(2 * (rare + rarer), rel=1e-12)


def test_few_columns_of_sparse_rows_have_a_dense_curvature():
    packed = sparse.csr_array(np.where(abs(X) > 2.2, X, 0))
    assert packed.nnz < N_COLUMNS**2
    sums = curvature_sums(weights_for(3), *centred(packed), DOUBLE)
    assert sums.features.shape == (N_COLUMNS, N_COLUMNS)


def test_beyond_some_columns_the_sums_are_the_diagonal(monkeypatch):
    U = weights_for(3)
    full = curvature_sums(U, *centred(X), DOUBLE)
    monkeypatch.setattr(curvature, "MAX_DENSE", N_COLUMNS - 1)
    sums = curvature_sums(U, *centred(X), DOUBLE)
    np.testing.assert_allclose(sums.features, full.features.diagonal(), rtol=1e-12)
    np.testing.assert_allclose(sums.classes, full.classes, rtol=1e-12)


@pytest.mark.parametrize("max_dense", [100, 3])
def test_where_tau_is_small_a_typical_row_counts(max_dense, monkeypatch):
    monkeypatch.setattr(curvature, "MAX_DENSE", max_dense)
    U, x = 5 * weights_for(3), with_ones(X)
    P = probabilities(x, U)
    tau = 1 - (P**2).sum(axis=1)
    counts = tau > 0.1 * tau.max()  # however a row is weighted
    tau = S * tau / len(x)
    assert 20 < counts.sum() < len(x) - 20
    outer = x[:, :, None] * x[:, None, :]
    typical = outer.mean(axis=0)
    outer[~counts] = typical
    expected = np.einsum("i,ijk->jk", tau, outer)
    if max_dense == 3:
        typical, expected = typical.diagonal(), expected.diagonal()
    sums = curvature_sums(U, *centred(X), DOUBLE, typical)
    np.testing.assert_allclose(sums.features, expected, rtol=1e-12, atol=1e-13)
    assert sums.weight == pytest.approx(tau.sum())


def test_rows_that_all_count_leave_a_typical_one_out():
    U = np.zeros((3, N_COLUMNS))
    dataset, features = centred(X)
    dataset = Dataset(X, dataset.y)  # without weights, τ is the same for all
    expected = curvature_sums(U, dataset, features, DOUBLE)
    typical = np.full((N_COLUMNS, N_COLUMNS), 9.0)
    actual = curvature_sums(U, dataset, features, DOUBLE, typical)
    np.testing.assert_array_equal(actual.features, expected.features)


# The model


def hessian(x, U, alpha):
    """The explicit one, of (W, b) class by class, penalty included."""
    P = probabilities(x, U)[:, -len(U) :]
    H = alpha * np.kron(np.eye(len(U)), PENALIZED)
    for row, p, s in zip(x, P, S, strict=True):
        T = np.diag(p) - np.outer(p, p)
        H += s / len(x) * np.kron(T, np.outer(row, row))
    return H


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 10.0])
def test_with_two_classes_the_model_is_the_hessian(alpha):
    U, G = weights_for(2), random(1, N_COLUMNS, seed=2)
    expected = np.linalg.solve(hessian(with_ones(X), U, alpha), G[0])
    actual = model_of(X, U, alpha).solve(G)
    np.testing.assert_allclose(actual, expected[None], rtol=1e-10)


def test_with_two_classes_changes_of_the_gradient_are_solved_to_the_step():
    U, step, alpha = weights_for(2), random(1, N_COLUMNS, seed=2), 0.1
    x, y = with_ones(X), np.minimum(Y, 1)

    def gradient(U):
        parts = reference.gradient(x[:, :-1], y, S, U[:, :-1], U[:, -1], 2)
        return np.column_stack(parts) / len(x) + alpha * U @ PENALIZED

    change = (gradient(U + 1e-5 * step) - gradient(U - 1e-5 * step)) / 2e-5
    actual = model_of(X, U, alpha).solve(change)
    np.testing.assert_allclose(actual, step, rtol=1e-6, atol=1e-7)


def zero_sum_gradients(*shape):
    """Gradients add up to zero over the classes."""
    G = random(*shape, seed=2)
    return G - G.mean(axis=-2, keepdims=True)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 100.0])
@pytest.mark.parametrize("n_classes", [3, 5])
def test_with_more_classes_the_model_is_a_kronecker_product(
    alpha, n_classes, monkeypatch
):
    monkeypatch.setattr(curvature, "MAX_RATIO", 1.0)  # an exact δ for each mode
    U = weights_for(n_classes)
    A, weight, B = by_numpy(with_ones(X), U)
    M = np.kron(A, B / weight) + alpha * np.kron(np.eye(n_classes), PENALIZED)
    G = zero_sum_gradients(n_classes, N_COLUMNS)
    expected = linalg.lstsq(M, G.ravel(), cond=1e-12)[0].reshape(G.shape)
    actual = model_of(X, U, alpha).solve(G)
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(actual.sum(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 100.0])
def test_close_eigenvalues_share_the_least_ones_penalty(alpha):
    U = weights_for(5)
    A, weight, B = by_numpy(with_ones(X), U)
    a, vectors = np.linalg.eigh(A + np.trace(A) / 25)
    M, least = 0.0, a[0]
    for value, v in zip(a, vectors.T, strict=True):
        least = value if value > 4 * least else least
        penalty = alpha * value / least * PENALIZED
        M += np.kron(np.outer(v, v), value * B / weight + penalty)
    G = zero_sum_gradients(5, N_COLUMNS)
    expected = np.linalg.solve(M, G.ravel()).reshape(G.shape)
    actual = model_of(X, U, alpha).solve(G)
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)


def test_groups_hold_eigenvalues_up_to_a_ratio():
    groups = list(curvature._groups(np.array([1.0, 2, 4, 5, 19, 21])))
    assert groups == [(slice(0, 3), 1), (slice(3, 5), 5), (slice(5, 6), 21)]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_several_gradients_are_solved_at_once(n_classes):
    G = zero_sum_gradients(4, 3, N_COLUMNS)[:, -n_classes + (n_classes == 2) :]
    before = G.copy()
    model = model_of(X, weights_for(n_classes), 0.1)
    expected = [model.solve(each) for each in G]
    np.testing.assert_allclose(model.solve(G), expected, rtol=1e-12)
    np.testing.assert_array_equal(G, before)


def test_beyond_some_columns_the_model_has_the_diagonal(monkeypatch):
    monkeypatch.setattr(curvature, "MAX_DENSE", N_COLUMNS - 1)
    monkeypatch.setattr(curvature, "MAX_RATIO", 1.0)
    U, G = weights_for(3), zero_sum_gradients(3, N_COLUMNS)
    A, weight, B = by_numpy(with_ones(X), U)
    for alpha in (0.0, 0.1):
        M = np.kron(A, np.diag(np.diag(B)) / weight)
        M += alpha * np.kron(np.eye(3), PENALIZED)
        expected = linalg.lstsq(M, G.ravel(), cond=1e-12)[0].reshape(G.shape)
        actual = model_of(X, U, alpha).solve(G)
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("max_dense", [100, 3])
@pytest.mark.parametrize("value", [0.0, 7.3, 1e8])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_only_a_penalty_moves_the_weight_of_a_constant_column(
    n_classes, value, max_dense, monkeypatch
):
    monkeypatch.setattr(curvature, "MAX_DENSE", max_dense)
    monkeypatch.setattr(curvature, "MAX_RATIO", 1.0)
    constant = X.copy()
    constant[:, 2] = value
    U, others = weights_for(n_classes), [0, 1, 3, 4, 5]
    U[:, 2] = 0
    G = zero_sum_gradients(3, N_COLUMNS)[-len(U) :]
    for alpha in (0.0, 0.1):
        actual = model_of(constant, U, alpha).solve(G)
        without = model_of(X[:, [0, 1, 3, 4]], U[:, others], alpha)
        expected = without.solve(G[:, others])
        np.testing.assert_allclose(actual[:, others], expected, rtol=1e-6, atol=1e-9)
        moved = G[:, 2] / alpha if alpha else 0 * G[:, 2]
        np.testing.assert_allclose(actual[:, 2], moved, rtol=1e-10)


def test_a_small_difference_beside_a_large_value_is_no_constant():
    varying = X.copy()
    varying[:, 2] = 1e8 + np.sign(X[:, 2])
    U, G = weights_for(2) / 10, random(1, N_COLUMNS, seed=2)
    U[:, 2] = 0
    expected = np.linalg.solve(hessian(with_ones(varying), U, 0.0), G[0])
    actual = model_of(varying, U, 0.0).solve(G)
    np.testing.assert_allclose(actual, expected[None], rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_an_intercept_its_weight_stays(n_classes, monkeypatch):
    monkeypatch.setattr(curvature, "MAX_RATIO", 1.0)
    U, G = weights_for(n_classes), zero_sum_gradients(3, N_COLUMNS)
    U[:, -1] = 0
    G = G[-len(U) :]
    A, weight, B = by_numpy(with_ones(X, fit_intercept=False), U)
    H = B[:-1, :-1] / weight
    M = np.kron(A, H) + 0.1 * np.eye(len(U) * len(H))
    actual = model_of(X, U, 0.1, fit_intercept=False).solve(G)
    np.testing.assert_array_equal(actual[:, -1], 0)
    solved = np.linalg.solve(M, G[:, :-1].ravel()).reshape(len(U), -1)
    np.testing.assert_allclose(actual[:, :-1], solved, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("precision", [SINGLE, DOUBLE])
def test_collinear_columns_are_solved_where_the_gradient_can_be(precision):
    collinear = X.copy()
    collinear[:, 3] = 2 * X[:, 0]
    U, step = weights_for(2), random(1, N_COLUMNS, seed=2)
    H = hessian(with_ones(collinear), U, 0.0)
    dataset, features = centred(collinear)
    sums = curvature_sums(U, dataset, features, precision)
    model = Curvature(sums, features, 0.0, curvature.JITTER[precision])
    solved = model.solve(step @ H)
    assert abs(solved).max() < 100 * abs(step).max()
    rtol = 1e-2 if precision == SINGLE else 1e-4
    np.testing.assert_allclose(solved @ H, step @ H, atol=rtol * abs(H).max())


def test_a_matrix_that_is_not_positive_definite_gets_more_jitter():
    n = 6
    correlations = np.full((n, n), 1 + 1e-7)  # by rounding more than 1
    L = np.tril(curvature._cholesky(correlations, 1e-10))
    jitter = (L @ L.T).diagonal() - 1
    np.testing.assert_allclose(jitter, 1e-6, rtol=1e-3)


def test_a_class_that_hardly_any_row_has_is_taken_to_have_more():
    U = np.zeros((3, N_COLUMNS))
    U[2, -1] = -60
    step = model_of(X, U, 0.0).solve(zero_sum_gradients(3, N_COLUMNS))
    assert abs(step).max() < 1e8
