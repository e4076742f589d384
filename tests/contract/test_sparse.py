"""Sparse X: the same model as dense X, and never made dense as a whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests import problems
from tests.assertions import assert_same_bits
from tests.problems import mostly_slow
from tfsoftmax.data import batches, dataset, tiles

FORMATS = ["csr", "csc", "coo"]
CONTAINERS = [
    getattr(sparse, f"{name}_{kind}")
    for name in FORMATS
    for kind in ("array", "matrix")
]
DTYPES = [np.float64, np.float32, np.uint8, np.int64, bool]


def problem(n_samples=203, n_features=20, n_classes=3, dtype=np.float64, density=0.2):
    """X of mostly zeros, else 1 to 9, which every dtype holds; labels and weights."""
    rng = np.random.default_rng(0)
    X = rng.integers(1, 10, (n_samples, n_features))
    X = (X * (rng.random(X.shape) < density)).astype(dtype)
    scores = X.astype(float) @ rng.normal(size=(n_features, n_classes)) / 5
    y = (scores + rng.gumbel(size=scores.shape) / 5).argmax(axis=1)
    return X, y, rng.uniform(0.1, 3.0, n_samples)


def estimator(**parameters):
    return problems.estimator(**{"rescale": 0.2} | parameters)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_format_and_dtype_trains_like_dense_rows(container, dtype):
    X, y, s = problem(dtype=dtype)
    dense = estimator().fit(X, y, s)
    packed = container(X)
    clf = estimator().fit(packed, y, s)
    assert_same_bits(clf, dense)
    assert clf.n_features_in_ == 20
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        expected = getattr(dense, method)(X)
        np.testing.assert_allclose(getattr(clf, method)(packed), expected, **tolerance)
        assert isinstance(getattr(clf, method)(packed), np.ndarray)
    np.testing.assert_array_equal(clf.predict(packed), dense.predict(X))
    assert clf.score(packed, y, s) == dense.score(X, y, s)
    assert clf.score(packed, np.eye(3)[y]) == dense.score(X, y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_two_classes(dtype):
    X, y, _ = problem(dtype=dtype)
    packed = sparse.csr_array(X)
    clf = estimator().fit(packed, y > 0)
    assert_same_bits(clf, estimator().fit(X, y > 0))
    assert clf.decision_function(packed).shape == (len(y),)
    assert clf.predict_proba(packed).shape == (len(y), 2)
    np.testing.assert_array_equal(clf.predict(packed), clf.predict(X))


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_input_is_not_changed(container):
    X, y, _ = problem()
    packed, kept = container(X), container(X)
    estimator(early_stopping=True).fit(packed, y, X_val=packed, y_val=y)
    estimator().fit(packed, y).partial_fit(packed, y).predict(packed)
    assert type(packed) is type(kept)
    for name in ("data", "indices", "indptr", "row", "col"):
        if hasattr(kept, name):
            np.testing.assert_array_equal(getattr(packed, name), getattr(kept, name))


@pytest.mark.parametrize("container", CONTAINERS)
def test_read_only_arrays_do(container):
    X, y, _ = problem()
    packed = container(X)
    for name in ("data", "indices", "indptr"):
        if hasattr(packed, name):
            getattr(packed, name).setflags(write=False)
    clf = estimator().fit(packed, y)
    assert_same_bits(clf, estimator().fit(X, y))
    np.testing.assert_array_equal(clf.predict(packed), clf.predict(X))


def with_explicit_zeros(X):
    everything = np.ones_like(X, dtype=bool)
    row, column = everything.nonzero()
    return sparse.csr_array((X.ravel(), (row, column)), X.shape)


def with_unsorted_indices(X):
    packed = sparse.csr_array(X)
    for i, j in zip(packed.indptr[:-1], packed.indptr[1:], strict=True):
        packed.indices[i:j] = packed.indices[i:j][::-1].copy()
        packed.data[i:j] = packed.data[i:j][::-1].copy()
    packed.has_sorted_indices = False
    return packed


def with_duplicates(X):
    """Store each value as two halves, exact in binary."""
    packed = sparse.csr_array(X)
    return sparse.csr_array(
        (
            np.repeat(packed.data / 2, 2),
            np.repeat(packed.indices, 2),
            packed.indptr * 2,
        ),
        X.shape,
    )


def with_duplicated_coordinates(X):
    packed = sparse.coo_array(X)
    doubled = [np.tile(indices, 2) for indices in packed.coords]
    return sparse.coo_array((np.tile(packed.data / 2, 2), doubled), X.shape)


def with_long_indices(X):
    packed = sparse.csr_array(X)
    packed.indices = packed.indices.astype(np.int64)
    packed.indptr = packed.indptr.astype(np.int64)
    return packed


@pytest.mark.parametrize(
    "arrange",
    [
        with_explicit_zeros,
        with_unsorted_indices,
        with_duplicates,
        with_duplicated_coordinates,
        with_long_indices,
        lambda X: sparse.csr_array(np.repeat(X, 2, axis=0))[::2],
        lambda X: sparse.vstack([sparse.csr_array(X[:100]), sparse.csr_array(X[100:])]),
    ],
)
def test_how_the_rows_are_stored_changes_nothing(arrange):
    X, y, _ = problem()
    packed = arrange(X)
    np.testing.assert_array_equal(packed.toarray(), X)
    clf = estimator().fit(packed, y, X_val=arrange(X), y_val=y)
    assert_same_bits(clf, estimator().fit(X, y, X_val=X, y_val=y))
    np.testing.assert_allclose(
        clf.decision_function(packed), clf.decision_function(X), rtol=1e-12
    )


def test_empty_rows_and_columns_have_the_intercept_alone():
    X, y, _ = problem()
    X[::3] = 0
    X[:, 7] = 0
    packed = sparse.csr_array(X)
    clf = estimator().fit(packed, y)
    assert_same_bits(clf, estimator().fit(X, y))
    assert not clf.coef_[:, 7].any()
    empty = np.tile(clf.intercept_, (len(X[::3]), 1))
    np.testing.assert_array_equal(clf.decision_function(packed[::3]), empty)


def test_x_without_any_value_trains_the_intercept():
    X, y, _ = problem()
    clf = estimator(learning_rate=0.5).fit(sparse.csr_array(X.shape), y)
    assert_same_bits(clf, estimator(learning_rate=0.5).fit(X * 0, y))


@pytest.mark.filterwarnings("ignore:The last epoch's loss")
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    density=st.floats(0, 1),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_sparse_and_dense_rows_are_the_same_rows(seed, density, dtype):
    rng = np.random.default_rng(seed)
    packed = sparse.random_array((30, 20), density=density, rng=rng, dtype=dtype)
    y = np.arange(30) % 3
    parameters = {"learning_rate": 1e-3, "rescale": 1.0}
    clf = estimator(**parameters).fit(packed, y)
    assert_same_bits(clf, estimator(**parameters).fit(packed.toarray(), y))


def test_partial_fit_takes_sparse_and_dense_rows_in_turn():
    X, y, s = problem()
    packed = sparse.csr_array(X)
    once = estimator().fit(X, y, s)
    for turns in ([packed] * 3, [packed, X, packed], [X, packed.tocsc(), X]):
        clf = estimator()
        for rows in turns:
            clf.partial_fit(rows, y, classes=[0, 1, 2], sample_weight=s)
        assert_same_bits(clf, once)


@pytest.mark.parametrize("of_training", [np.asarray, sparse.csc_array])
@pytest.mark.parametrize("of_held_out", [np.asarray, sparse.csr_array])
def test_held_out_rows_may_be_sparse_or_dense(of_training, of_held_out):
    X, y, s = problem()
    clf = estimator().fit(
        of_training(X[:150]),
        y[:150],
        X_val=of_held_out(X[150:]),
        y_val=y[150:],
        sample_weight_val=s[150:],
    )
    dense = estimator().fit(
        X[:150], y[:150], X_val=X[150:], y_val=y[150:], sample_weight_val=s[150:]
    )
    assert_same_bits(clf, dense)


def test_early_stopping_holds_out_sparse_rows():
    X, y, _ = problem(n_samples=400, density=0.5)
    packed = sparse.csr_array(X)
    clf = estimator(early_stopping=True, epochs=20, n_iter_no_change=3)
    best = clf.fit(packed, y).history_.val_accuracy.max()
    assert best > 0.5
    n_held_out = sum(-(-n // 10) for n in np.bincount(y))
    assert (best * n_held_out) == pytest.approx(round(best * n_held_out))


def test_lbfgs_finds_the_same_optimum():
    X, y, s = problem()
    parameters = {"optimizer": "lbfgs", "alpha": 0.01, "epochs": 1000}
    clf = estimator(**parameters).fit(sparse.csr_array(X), y, s)
    dense = estimator(**parameters).fit(X, y, s)
    np.testing.assert_allclose(clf.coef_, dense.coef_, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam"])
def test_every_optimizer_takes_sparse_rows(optimizer):
    X, y, s = problem()
    parameters = {"optimizer": optimizer, "alpha": 0.01, "l1_ratio": 0.5}
    parameters["learning_rate"] = 0.01
    soft = np.eye(3)[y]
    clf = estimator(**parameters).fit(sparse.csr_array(X), soft, s)
    assert_same_bits(clf, estimator(**parameters).fit(X, soft, s))


@pytest.mark.parametrize("optimizer", mostly_slow(["lbfgs"], ("sgd",)))
def test_no_more_than_a_chunk_is_ever_made_dense(optimizer, monkeypatch):
    monkeypatch.setattr(batches, "MAX_MICRO_BATCH", 50)
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    for name in ("MIN_ROWS", "MAX_ROWS"):
        monkeypatch.setattr(tiles, name, 64)
    for name in ("MAX_SHARED_BYTES", "MAX_KEPT_BYTES"):
        monkeypatch.setattr(tiles, name, 0)
    monkeypatch.setattr(dataset, "MAX_BLOCK_BYTES", 100 * 5 * 8)
    X, y, _ = problem(n_samples=1003)
    clf = estimator(optimizer=optimizer, alpha=0.1, epochs=50)
    if optimizer == "lbfgs":
        clf.set_params(tol=1e-4)
    expected = clf.fit(X, y).coef_
    made_dense = []

    def counting(method):
        def counted(self, *args, **kwargs):
            made_dense.append(self.shape[0])
            return method(self, *args, **kwargs)

        return counted

    for base in (sparse.csr_array, sparse.csc_array, sparse.coo_array):
        for name in ("toarray", "todense"):
            monkeypatch.setattr(base, name, counting(getattr(base, name)))
    packed = sparse.csc_array(X)
    clf.fit(packed, y, X_val=packed, y_val=y)
    # The curvature that lbfgs goes by is summed up over sparse rows.
    rounding = {"rtol": 0, "atol": 1e-12 if optimizer == "lbfgs" else 0}
    np.testing.assert_allclose(clf.coef_, expected, **rounding)
    assert max(made_dense) <= 100
    assert sum(made_dense) >= 2 * clf.n_iter_ * len(y)  # training and measuring
    integers = packed.astype(np.int64)
    clf.fit(integers, y)
    assert max(made_dense) <= 100
    made_dense.clear()
    clf.predict_proba(packed)
    clf.predict_proba(integers)
    assert made_dense == []


@pytest.mark.filterwarnings("ignore:The last epoch's loss")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_memory_is_bounded_by_a_chunk(early_stopping, monkeypatch):
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    rng = np.random.default_rng(0)
    X = sparse.random_array((20_000, 2000), density=5e-4, rng=rng, format="csr")
    y = np.arange(20_000) % 3
    clf = estimator(epochs=1, early_stopping=early_stopping, learning_rate=1e-3)
    clf.fit(X[:300], y[:300])  # TensorFlow imported, the program compiled
    as_dense = X.shape[0] * X.shape[1] * X.dtype.itemsize
    tracemalloc.start()
    try:
        clf.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < as_dense / 16


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "Input X contains NaN"), (np.inf, "Input X contains infinity")],
)
def test_values_that_are_not_finite_are_refused(value, message):
    X, y, _ = problem()
    X[3, 4] = value
    for container in CONTAINERS:
        with pytest.raises(ValueError, match=message):
            estimator().fit(container(X), y)


def test_complex_and_wrongly_shaped_x_are_refused():
    X, y, _ = problem()
    clf = estimator().fit(sparse.csr_array(X), y)
    with pytest.raises(ValueError, match="Complex data not supported"):
        clf.fit(sparse.csr_array(X + 1j), y)
    with pytest.raises(ValueError, match=r"X has 19 features, but .* expecting 20"):
        clf.predict(sparse.csr_array(X[:, 1:]))
    with pytest.raises(ValueError, match=r"y must have a label for each"):
        clf.fit(sparse.csr_array(X), y[1:])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        clf.fit(sparse.csr_array((0, 20)), [])


def test_integers_that_float32_would_lose_train_in_float64():
    X = sparse.csr_array([[2**40 + 1], [0], [2**40], [3]])
    clf = estimator(rescale=2.0**-40, epochs=1).fit(X, [0, 1, 0, 1])
    assert clf.coef_.dtype == np.float64
    X.data >>= 30
    assert estimator(epochs=1).fit(X, [0, 1, 0, 1]).coef_.dtype == np.float32
