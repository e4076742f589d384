"""Full batches of sparse rows, against those of the same rows, dense."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy import sparse

from tests.problems import mostly_slow
from tests.sparse_layouts import with_duplicates
from tfsoftmax.data import tiles
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.gather import ALIGNMENT
from tfsoftmax.engine import compilation, device
from tfsoftmax.engine.features import CentredFeatures, Scaling
from tfsoftmax.engine.full_batch import FullBatch
from tfsoftmax.engine.sparse_batch import SparseFullBatch

N, N_FEATURES = 203, 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, N_FEATURES)) * (RNG.random((N, N_FEATURES)) < 0.4)
X[::7], X[:, 3] = 0, 0
Y = np.arange(N, dtype=np.int32) % 3
S = RNG.uniform(0.1, 3, N)
S /= S.mean()
SOFT = RNG.dirichlet(np.ones(3), N)
FACTOR, MEAN = RNG.uniform(0.5, 2, N_FEATURES), RNG.normal(size=N_FEATURES)
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
SCALINGS = {
    "plain": Scaling(),
    "one for each feature": Scaling(FACTOR),
    "standard": Scaling(FACTOR, MEAN),
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Four tiles, of 64 rows, for three threads."""
    monkeypatch.setattr(tiles, "MIN_ROWS", 64)
    monkeypatch.setattr(device, "n_threads", lambda: 3)
    monkeypatch.setattr(tiles, "MAX_SPARSE_TILE_BYTES", 1)


def evaluate(
    kind,
    X,
    *,
    y=Y,
    weights=S,
    n_classes=3,
    fit_intercept=True,
    scaling=SCALINGS["standard"],
    index=None,
    precision=None,
    size=1.0,
):
    """The sums at random weights, and the object that computed them."""
    dataset = Dataset(X, y, weights)
    dataset = dataset if index is None else dataset.take(index)
    options = {"fit_intercept": fit_intercept, "scaling": scaling}
    with kind(dataset, n_classes, **options) as rows:
        U = size * np.random.default_rng(2).normal(size=rows.shape)
        U[:, -1] *= fit_intercept
        return rows(U, precision or rows.precision), rows


def compare(X=X, *, rtol=1e-13, **options):
    """Check that sparse rows have the sums of dense ones, and return the former."""
    actual, rows = evaluate(SparseFullBatch, sparse.csr_array(X), **options)
    expected, of_dense = evaluate(FullBatch, X, **options)
    assert rows.shape == of_dense.shape
    assert rows.precision == of_dense.precision
    np.testing.assert_allclose(actual.loss, expected.loss, rtol=rtol)
    np.testing.assert_allclose(actual.accuracy, expected.accuracy, rtol=max(rtol, 1e-6))
    atol = rtol * abs(expected.gradient).max()
    np.testing.assert_allclose(actual.gradient, expected.gradient, rtol=0, atol=atol)
    return actual


@pytest.mark.parametrize(
    ("scaling", "fit_intercept"),
    mostly_slow(
        [("plain", True), ("standard", False)],
        *(("plain", False), ("standard", True)),
        *(("one for each feature", fit_intercept) for fit_intercept in (True, False)),
    ),
)
def test_sums_are_those_of_dense_rows(scaling, fit_intercept):
    compare(scaling=SCALINGS[scaling], fit_intercept=fit_intercept)


@pytest.mark.parametrize(
    ("soft", "n_classes"),
    mostly_slow([(False, 2), (True, 3)], (False, 3), (True, 2)),
)
@pytest.mark.parametrize("weights", [None, S], ids=["none", "weights"])
def test_any_labels_and_weights_have_their_sums(soft, n_classes, weights):
    y = np.minimum(Y, n_classes - 1)
    if soft:
        y = SOFT if n_classes == 3 else np.column_stack([1 - SOFT[:, 2], SOFT[:, 2]])
    compare(y=y, n_classes=n_classes, weights=weights)


def test_rows_of_an_index_have_their_sums():
    compare(index=np.random.default_rng(0).permutation(N)[:120])


@pytest.mark.parametrize(
    "dtype", mostly_slow([np.float32, np.uint8], (bool,), (np.int64,))
)
def test_every_dtype_has_the_sums_of_dense_rows(dtype):
    compare(np.round(9 * abs(X)).astype(dtype), rtol=3e-6)


def test_float32_serves_on_the_way():
    compare(precision=SINGLE, rtol=3e-6)


def test_sums_depend_neither_on_tiles_nor_on_threads(monkeypatch):
    rows = sparse.csr_array(X)
    expected = compare()
    for n_threads in (1, 3):
        monkeypatch.setattr(device, "n_threads", lambda n=n_threads: n)
        actual, _ = evaluate(SparseFullBatch, rows)
        assert actual[:2] == expected[:2]
        np.testing.assert_array_equal(actual.gradient, expected.gradient)
    monkeypatch.setattr(tiles, "MIN_ROWS", 256)
    whole, batch = evaluate(SparseFullBatch, rows)
    assert len(batch._tiles) == 1
    np.testing.assert_allclose(whole.loss, expected.loss, rtol=1e-13)
    np.testing.assert_allclose(whole.gradient, expected.gradient, atol=1e-14)


@pytest.mark.parametrize("y", [Y, SOFT], ids=["labels", "soft labels"])
def test_tiles_that_are_not_kept_are_filled_anew_in_each_evaluation(y, monkeypatch):
    kept = compare(y=y)
    monkeypatch.setattr(tiles, "MAX_KEPT_BYTES", 0)
    dataset = Dataset(sparse.csr_array(X), y, S)
    options = {"fit_intercept": True, "scaling": SCALINGS["standard"]}
    with SparseFullBatch(dataset, 3, **options) as rows:
        assert len(rows._tiles) == 4
        assert not rows._kept
        U = np.random.default_rng(2).normal(size=rows.shape)
        for _ in range(3):
            actual = rows(U, DOUBLE)
            assert actual[:2] == kept[:2]
            np.testing.assert_array_equal(actual.gradient, kept.gradient)


def test_rows_without_any_value_have_the_sums_of_zeros():
    compare(np.zeros_like(X))


def test_a_single_row_and_a_single_column_have_their_sums():
    compare(X[1:2, :1], y=Y[1:2], weights=None, scaling=Scaling(0.5))


def test_what_tensorflow_gets_is_aligned(monkeypatch):
    """For without XLA it ends the process where an address is not."""
    addresses, share = [], compilation.share

    def watched(array):
        addresses.append(array.ctypes.data)
        return share(array)

    monkeypatch.setattr(compilation, "share", watched)
    held = []
    for n_features in range(1, 4):
        held += [np.ones(n) for n in range(20)]  # so that memory is not always new
        scaling = Scaling(FACTOR[:n_features], MEAN[:n_features])
        evaluate(SparseFullBatch, sparse.csr_array(X[:, :n_features]), scaling=scaling)
    assert len(addresses) > 3 * 6
    assert all(address % ALIGNMENT == 0 for address in addresses)


def test_without_xla_the_sums_are_the_same(monkeypatch):
    monkeypatch.setattr(device, "xla_works", lambda: False)
    compare()


def test_numbers_too_large_for_the_precision_show_in_the_loss():
    for precision, huge in ((SINGLE, 1e300), (DOUBLE, 1e307)):
        sums, _ = evaluate(
            SparseFullBatch, sparse.csr_array(X), precision=precision, size=huge
        )
        assert not np.isfinite(sums.loss)


def test_a_factor_too_large_for_the_precision_shows_in_the_loss():
    rows = sparse.csr_array(X.astype(np.float32) * np.float32(1e30))
    sums, _ = evaluate(SparseFullBatch, rows, scaling=Scaling(1e10))
    assert not np.isfinite(sums.loss)


def test_a_value_in_two_parts_is_squared_as_one():
    rows = sparse.csr_array(X)
    in_parts = with_duplicates(X)
    dataset = Dataset(rows, Y, S)
    features = CentredFeatures.of(
        dataset, scaling=SCALINGS["standard"], fit_intercept=True, precision=DOUBLE
    )
    expected = S @ features.rows(X, DOUBLE) ** 2
    for kind in (rows, in_parts):
        squares = features.rows(kind, DOUBLE).squares(S)
        np.testing.assert_allclose(squares, expected, rtol=1e-12)
    assert in_parts.nnz == 2 * rows.nnz


def test_the_work_is_that_of_the_values():
    _, rows = evaluate(SparseFullBatch, sparse.csr_array(X))
    assert rows.work == 2 * np.count_nonzero(X) * 3


def test_threads_are_gone_afterwards():
    evaluate(SparseFullBatch, sparse.csr_array(X))
    assert not [t for t in threading.enumerate() if "sparse-batch" in t.name]
