"""Full batches: loss, accuracy and gradient over all rows, against NumPy's."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests import reference
from tests.problems import problem
from tfsoftmax.data import tiles
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine import compilation, device
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.full_batch import FullBatch
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem()
N, N_FEATURES = X.shape
S = row_weights(S, N)
SOFT = np.random.default_rng(1).dirichlet(np.ones(3), N)
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# Relative to the largest component of the gradient.
RTOL = {SINGLE: 3e-6, DOUBLE: 1e-13}


def weights_for(n_classes, fit_intercept=True):
    """Random Û, with 0 for an intercept that is not fitted."""
    n_rows = 1 if n_classes == 2 else n_classes
    U = np.random.default_rng(2).normal(size=(n_rows, N_FEATURES + 1))
    U[:, -1] *= fit_intercept
    return U


def full_batch(X, y=Y, weights=S, n_classes=3, *, fit_intercept=True, rescale=1.0):
    dataset = Dataset(X, y.astype(np.int32) if y.ndim == 1 else y, weights)
    scaling = Scaling(rescale)
    return FullBatch(dataset, n_classes, fit_intercept=fit_intercept, scaling=scaling)


def evaluate(*arguments, U=None, precision=None, **options):
    with full_batch(*arguments, **options) as rows:
        U = weights_for(options.get("n_classes", 3)) if U is None else U
        return rows(U, precision or rows.precision)


def by_numpy(x, y, s, U, n_classes):
    """The same for rows x̂ in float64; soft labels are means over the classes."""
    target = np.eye(n_classes)[y] if y.ndim == 1 else y
    W, b = U[:, :-1], U[:, -1]
    predicted = reference.logits(x, W, b, n_classes).argmax(axis=1)
    loss, gradient = 0.0, np.zeros_like(U)
    for k in range(n_classes):
        labels, shares = np.full(len(x), k), s * target[:, k] / s.sum()
        loss += shares @ reference.cross_entropy(x, labels, W, b, n_classes)
        parts = reference.gradient(x, labels, shares, W, b, n_classes)
        gradient += np.column_stack(parts)
    return loss, s @ (predicted == target.argmax(axis=1)) / s.sum(), gradient


def centred(X, rescale=1.0, weights=S):
    x = np.float64(X) * rescale
    return x - np.average(x, axis=0, weights=weights)


def assert_close(actual, expected, rtol):
    loss, accuracy, gradient = expected
    np.testing.assert_allclose(actual.loss, loss, rtol=rtol)
    np.testing.assert_allclose(actual.accuracy, accuracy, rtol=1e-6)
    atol = rtol * abs(gradient).max()
    np.testing.assert_allclose(actual.gradient, gradient, rtol=0, atol=atol)


def assert_same_bits(one, other):
    assert one[:2] == other[:2]
    np.testing.assert_array_equal(one.gradient, other.gradient)


@pytest.fixture
def small_tiles(monkeypatch):
    """Four tiles, of 64 rows."""
    monkeypatch.setattr(tiles, "MIN_ROWS", 64)
    monkeypatch.setattr(tiles, "MAX_ROWS", 64)


@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft labels"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sums_equal_the_reference(n_classes, soft):
    y = np.minimum(Y, n_classes - 1)
    if soft:
        y = SOFT if n_classes == 3 else np.column_stack([1 - SOFT[:, 2], SOFT[:, 2]])
    U = weights_for(n_classes)
    for weights, s in ((S, S), (None, np.ones(N))):
        actual = evaluate(X, y, weights, n_classes=n_classes, rescale=0.7)
        expected = by_numpy(centred(X, 0.7, s), y, s, U, n_classes)
        assert actual.gradient.shape == U.shape
        assert_close(actual, expected, 1e-13)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_an_intercept_nothing_is_centred(n_classes):
    y, U = np.minimum(Y, n_classes - 1), weights_for(n_classes, fit_intercept=False)
    actual = evaluate(X, y, n_classes=n_classes, U=U, fit_intercept=False, rescale=0.7)
    expected = by_numpy(0.7 * X, y, S, U, n_classes)
    expected[2][:, -1] = 0
    assert_close(actual, expected, 1e-13)


def rounded(dtype, offset=0):
    return np.round(10 * X + offset).astype(dtype)


@pytest.mark.parametrize(
    "X",
    [X.astype(np.float32), rounded(np.uint8, 100), X > 0],
    ids=lambda X: X.dtype.name,
)
def test_what_float32_holds_is_computed_in_it(X):
    rescale = 0.125 if X.dtype.kind in "iu" else 1.0
    with full_batch(X, rescale=rescale) as rows:
        assert rows.precision == SINGLE
        actual = rows(weights_for(3), SINGLE)
    expected = by_numpy(centred(X, rescale), Y, S, weights_for(3), 3)
    assert_close(actual, expected, 3e-6)


@pytest.mark.parametrize(
    "X",
    [rounded(np.int32, 2**30), rounded(np.int64, 2**40)],
    ids=lambda X: X.dtype.name,
)
def test_longer_integers_are_computed_in_float64(X):
    rescale = 0.125  # exact
    with full_batch(X, rescale=rescale) as rows:
        assert rows.precision == DOUBLE
        actual, mean = rows(weights_for(3), DOUBLE), rows.features.centre
    # From the mean as it is, which is rounded at the size of X.
    x = np.float64(X - X[0]) * rescale
    shift = (mean - X[0]) * rescale
    np.testing.assert_allclose(shift, S @ x / N, atol=1e-3)
    x -= shift
    assert_close(actual, by_numpy(x, Y, S, weights_for(3), 3), 1e-13)


@pytest.mark.parametrize(
    ("dtype", "offset", "precision", "rtol"),
    [
        (np.float64, 1e8, DOUBLE, 1e-13),
        (np.float64, 1e8, SINGLE, 1e-6),
        (np.float32, 2**20, SINGLE, 1e-6),
    ],
)
def test_differences_survive_beside_large_values(dtype, offset, precision, rtol):
    signs = np.where(np.arange(N) % 3, 1.0, -1.0)
    large = X.astype(dtype)
    large[:, 2] = offset + signs
    with full_batch(large) as rows:
        actual, mean = rows(weights_for(3), precision), rows.features.centre
    assert mean[2] == pytest.approx(offset + np.average(signs, weights=S), abs=0.1)
    x = X.astype(dtype) - np.float64(mean)
    x[:, 2] = signs - (float(mean[2]) - offset)
    assert_close(actual, by_numpy(x, Y, S, weights_for(3), 3), rtol)


KINDS = {
    "Fortran order": np.asfortranarray,
    "read-only": lambda X: np.broadcast_to(X, X.shape),
    "wrong byte order": lambda X: X.astype(">f8"),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_rows_of_any_kind_have_the_same_sums(kind):
    assert_close(evaluate(kind(X)), evaluate(X), 1e-13)


def test_rows_of_an_index_have_their_sums():
    index = np.random.default_rng(0).permutation(N)[:120]
    part = Dataset(X, Y.astype(np.int32), S).take(index)
    with FullBatch(part, 3, fit_intercept=True, scaling=Scaling()) as rows:
        actual = rows(weights_for(3), DOUBLE)
    expected = evaluate(X[index], Y[index], part.weights)
    assert_close(actual, expected, 1e-13)


def test_sums_depend_neither_on_tiles_nor_on_threads(small_tiles, monkeypatch):
    U, results = weights_for(3), []
    for n_threads in (1, 3):
        monkeypatch.setattr(device, "n_threads", lambda n=n_threads: n)
        with full_batch(X) as rows:
            results += [rows(U, DOUBLE) for _ in range(5)]
    assert_close(results[0], by_numpy(centred(X), Y, S, U, 3), 1e-13)
    for result in results[1:]:
        assert_same_bits(result, results[0])


def test_tiles_that_are_views_kept_or_gathered_each_time_have_the_same_sums(
    small_tiles, monkeypatch
):
    monkeypatch.setattr(device, "n_threads", lambda: 3)
    expected = evaluate(X)
    monkeypatch.setattr(tiles, "MAX_SHARED_BYTES", 0)
    for rows in (X, np.asfortranarray(X)):
        assert_close(evaluate(rows), expected, 1e-13)
    kept = evaluate(np.asfortranarray(X))
    monkeypatch.setattr(tiles, "MAX_KEPT_BYTES", 0)
    with full_batch(np.asfortranarray(X)) as rows:
        assert not rows._kept
        for _ in range(3):
            assert_same_bits(rows(weights_for(3), DOUBLE), kept)


def test_rows_are_handed_over_where_they_lie(small_tiles, monkeypatch):
    monkeypatch.setattr(tiles, "MAX_SHARED_BYTES", 0)
    start = X.ctypes.data
    with full_batch(X) as rows:
        addresses = [
            np.asarray(memoryview(t)).ctypes.data for t, *_ in rows._kept.values()
        ]
    assert addresses[:3] == [start + i * 64 * X.strides[0] for i in range(3)]
    assert not start <= addresses[3] < start + X.nbytes  # with empty slots


def test_bytes_at_an_odd_address_do_not_end_the_process(monkeypatch):
    monkeypatch.setattr(tiles, "MAX_SHARED_BYTES", 0)
    memory = np.zeros(256 * 8 + 16, np.uint8)
    offset = -memory.ctypes.data % 16 + 1
    X = memory[offset : offset + 256 * 8].reshape(256, 8)
    X[...] = np.random.default_rng(0).integers(0, 9, X.shape)
    y, U = np.arange(256) % 3, np.ones((3, 9)) * np.arange(3)[:, None]
    actual = evaluate(X, y, None, U=U)
    expected = by_numpy(centred(X, weights=None), y, np.ones(256), U, 3)
    assert_close(actual, expected, 3e-6)


def test_similar_widths_and_numbers_of_rows_share_a_program():
    evaluate(X)
    compilations = compilation._compile.cache_info().misses
    for n_rows, n_features in ((203, 8), (150, 7), (256, 5)):
        rows, U = np.ones((n_rows, n_features)), np.zeros((3, n_features + 1))
        sums = evaluate(rows, np.arange(n_rows) % 3, None, U=U)
        assert sums.loss == pytest.approx(np.log(3))
    assert compilation._compile.cache_info().misses == compilations


def test_without_xla_the_sums_are_the_same(monkeypatch):
    expected = evaluate(X)
    monkeypatch.setattr(device, "xla_works", lambda: False)
    assert_close(evaluate(X), expected, 1e-13)


def test_numbers_too_large_for_the_precision_show_in_the_loss():
    for precision, huge in ((SINGLE, 1e300), (DOUBLE, 1e307)):
        sums = evaluate(X, U=weights_for(3) * huge, precision=precision)
        assert not np.isfinite(sums.loss)


def test_the_shape_and_the_work_follow_from_the_rows():
    for n_classes, n_rows in ((2, 1), (3, 3)):
        y = np.minimum(Y, n_classes - 1)
        for fit_intercept in (True, False):
            rows = full_batch(X, y, n_classes=n_classes, fit_intercept=fit_intercept)
            with rows:
                assert rows.shape == (n_rows, N_FEATURES + 1)
                assert rows.work == 2 * N * n_rows * N_FEATURES


def test_threads_are_gone_after_an_error(small_tiles, monkeypatch):
    monkeypatch.setattr(device, "n_threads", lambda: 3)

    def left():
        return [t for t in threading.enumerate() if "full-batch" in t.name]

    def fail(rows):
        with rows:
            rows(weights_for(3), DOUBLE)
            assert left()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(full_batch(X))
    assert not left()
