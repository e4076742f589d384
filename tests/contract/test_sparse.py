"""Sparse X: the same model as dense X, to rounding, and never made dense.

How the rows of X are stored changes no bit where the values are in the same order.
"""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from tests import problems, reference
from tests.assertions import assert_same_bits, assert_same_model
from tests.generated import run
from tests.problems import classic, mostly_slow
from tests.searches import both
from tests.sparse_layouts import (
    with_duplicated_coordinates,
    with_duplicates,
    with_explicit_zeros,
    with_long_indices,
    with_unsorted_indices,
)
from tfsoftmax import dual_gap
from tfsoftmax.data import batches
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.moments import moments
from tfsoftmax.engine.features import CentredFeatures, Scaling
from tfsoftmax.engine.sparse_batch import SparseFullBatch
from tfsoftmax.solvers import curvature
from tfsoftmax.solvers.curvature import curvature_sums

FORMATS = ["csr", "csc", "coo"]
CONTAINERS = [
    getattr(sparse, f"{name}_{kind}")
    for name in FORMATS
    for kind in ("array", "matrix")
]
DTYPES = [np.float64, np.float32, np.uint8, np.int64, bool]
RTOL = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}


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


def assert_like_dense(clf, dense):
    """The losses of each epoch and the weights are those of a fit on dense rows."""
    assert clf.coef_.dtype == dense.coef_.dtype
    assert_same_model(clf, dense, RTOL[dense.coef_.dtype])


def objective(clf, X, y, weights):
    """F of a fitted classifier, in float64."""
    settings, scaling = clf._result.settings, clf._result.scaling
    coef = np.float64(clf.coef_)
    losses = reference.cross_entropy(
        np.float64(X), y, coef, np.float64(clf.intercept_), len(clf.classes_)
    )
    W, r = coef / scaling.factor, settings.l1_ratio
    penalty = (1 - r) / 2 * (W**2).sum() + r * abs(W).sum()
    return weights @ losses / weights.sum() + settings.alpha * penalty


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_format_and_dtype_trains_like_dense_rows(container, dtype):
    X, y, s = problem(dtype=dtype)
    dense = estimator().fit(X, y, s)
    packed = container(X)
    clf = estimator().fit(packed, y, s)
    assert_like_dense(clf, dense)
    assert_same_bits(clf, estimator().fit(sparse.csr_array(X), y, s))
    assert clf.n_features_in_ == 20
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        expected = getattr(dense, method)(X)
        np.testing.assert_allclose(getattr(clf, method)(packed), expected, **tolerance)
        assert isinstance(getattr(clf, method)(packed), np.ndarray)
    np.testing.assert_array_equal(clf.predict(packed), dense.predict(X))
    assert clf.score(packed, y, s) == dense.score(X, y, s)
    assert clf.score(packed, np.eye(3)[y]) == dense.score(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", mostly_slow([np.float32], (np.float64,)))
def test_two_classes(dtype):
    X, y, _ = problem(dtype=dtype)
    packed = sparse.csr_array(X)
    clf = estimator().fit(packed, y > 0)
    assert_like_dense(clf, estimator().fit(X, y > 0))
    assert clf.decision_function(packed).shape == (len(y),)
    assert clf.predict_proba(packed).shape == (len(y), 2)
    np.testing.assert_array_equal(clf.predict(packed), clf.predict(X))


@pytest.mark.slow
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
    assert_same_bits(clf, estimator().fit(sparse.csr_array(X), y))
    np.testing.assert_array_equal(clf.predict(packed), clf.predict(X))


ORDERED = {
    "int64 indices": with_long_indices,
    "every other row": lambda X: sparse.csr_array(np.repeat(X, 2, axis=0))[::2],
    "stacked": lambda X: sparse.vstack(
        [sparse.csr_array(X[:100]), sparse.csr_array(X[100:])]
    ),
    "duplicated coordinates": with_duplicated_coordinates,  # which SciPy adds up
}
OTHERS = {
    "explicit zeros": with_explicit_zeros,
    "unsorted": with_unsorted_indices,
    "duplicates": with_duplicates,
}


@pytest.mark.slow
@pytest.mark.parametrize("arrange", [*ORDERED.values(), *OTHERS.values()])
@pytest.mark.parametrize("rescale", mostly_slow(["standard"], (0.2,)))
def test_how_the_rows_are_stored_changes_nothing(arrange, rescale):
    X, y, _ = problem()
    packed = arrange(X)
    np.testing.assert_array_equal(packed.toarray(), X)
    clf, expected = (
        estimator(rescale=rescale).fit(rows, y, X_val=rows, y_val=y)
        for rows in (packed, sparse.csr_array(X))
    )
    if arrange in ORDERED.values():
        assert_same_bits(clf, expected)
    assert_like_dense(clf, expected)
    for name in ("val_loss", "val_accuracy"):
        np.testing.assert_allclose(clf.history_[name], expected.history_[name])
    np.testing.assert_allclose(
        clf.decision_function(packed), clf.decision_function(X), rtol=1e-12
    )


@pytest.mark.parametrize(
    "arrange", [with_long_indices, with_unsorted_indices, with_duplicates]
)
def test_how_the_rows_are_stored_does_not_change_the_way_to_the_optimum(arrange):
    X, y, _ = problem(n_features=40, density=0.1)  # whose curvature is its diagonal
    parameters = {"optimizer": "lbfgs", "alpha": 0.001, "epochs": 1000}
    assert np.count_nonzero(X) < 41**2
    clf = estimator(**parameters).fit(arrange(X), y)
    expected = estimator(**parameters).fit(sparse.csr_array(X), y)
    assert clf.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(clf.loss_curve_, expected.loss_curve_, rtol=1e-10)


def test_empty_rows_and_columns_have_the_intercept_alone():
    X, y, _ = problem()
    X[::3] = 0
    X[:, 7] = 0
    packed = sparse.csr_array(X)
    clf = estimator().fit(packed, y)
    assert_like_dense(clf, estimator().fit(X, y))
    assert not clf.coef_[:, 7].any()
    empty = np.tile(clf.intercept_, (len(X[::3]), 1))
    np.testing.assert_array_equal(clf.decision_function(packed[::3]), empty)


def test_x_without_any_value_trains_the_intercept():
    X, y, _ = problem()
    clf = estimator(learning_rate=0.5).fit(sparse.csr_array(X.shape), y)
    assert_like_dense(clf, estimator(learning_rate=0.5).fit(X * 0, y))
    assert not clf.coef_.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "columns"),
    mostly_slow(
        [(slice(1, 2), slice(None))],
        (slice(None), slice(1)),
    ),
    ids=["row", "column"],
)
def test_a_single_row_or_column_trains_like_a_dense_one(rows, columns):
    X, y, _ = problem()
    X, y = X[rows, columns], y[rows]
    assert X.any()
    clf, dense = (
        estimator().partial_fit(A, y, classes=[0, 1, 2])
        for A in (sparse.csr_array(X), X)
    )
    assert_like_dense(clf, dense)


# Problems that are drawn

# (dtypes of X, n_classes, fit_intercept, optimizer, l1_ratio, rescale): few, since each
# is compiled for.
FLOATS, SINGLES, BYTES = (np.float64,), (np.float32, np.int64), (np.uint8, bool)
KINDS = [
    (FLOATS, 3, True, "sgd", 0.0, "standard"),
    (FLOATS, 2, False, "nesterov", 0.5, "standard"),
    (SINGLES, 3, True, "sgd", 0.0, "array"),
    (BYTES, 3, True, "lbfgs", 0.0, 0.2),
    (FLOATS, 3, True, "lbfgs", 0.0, "standard"),
    (FLOATS, 3, True, "sgd", 0.0, None),
    (BYTES, 3, False, "sgd", 0.0, 0.2),
    (SINGLES, 2, True, "sgd", 0.0, "standard"),
    (FLOATS, 3, False, "sgd", 0.0, "standard"),
    (FLOATS, 3, True, "sgd", 0.5, "array"),
    (SINGLES, 3, True, "momentum", 0.0, 0.2),
    (FLOATS, 3, True, "momentum", 0.5, "standard"),
    (BYTES, 3, True, "nesterov", 0.0, "array"),
    (FLOATS, 3, True, "adam", 0.5, "array"),
    (FLOATS, 2, True, "adam", 0.0, "standard"),
    (SINGLES, 2, False, "lbfgs", 0.0, "array"),
    (FLOATS, 2, False, "lbfgs", 0.0, "standard"),
]
N_QUICK_KINDS = 2


@st.composite
def tables(draw, kinds):
    """X as an array, a way to store it, labels, weights, and a classifier."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtypes, n_classes, fit_intercept, optimizer, l1_ratio, rescale = draw(
        st.sampled_from(kinds)
    )
    dtype = draw(st.sampled_from(dtypes))
    n_samples, n_features = draw(st.sampled_from([40, 23])), 6
    X = rng.integers(1, 4, (n_samples, n_features)).astype(dtype)
    if X.dtype.kind == "f":
        X *= rng.uniform(-1, 1, X.shape).astype(dtype)
    X[rng.random(X.shape) >= draw(st.sampled_from([0.0, 0.1, 0.4, 1.0]))] = 0
    X[rng.random(n_samples) < draw(st.sampled_from([0.0, 0.3]))] = 0
    X[:, rng.random(n_features) < draw(st.sampled_from([0.0, 0.3]))] = 0
    y = rng.integers(0, n_classes, n_samples)
    y[:n_classes] = np.arange(n_classes)
    if rescale == "array":
        rescale = rng.uniform(0.2, 1, n_features)
    clf = classic(
        batch_size=10,
        learning_rate=draw(st.sampled_from([0.01, 0.1])),
        epochs=1000 if optimizer == "lbfgs" else 3,
        optimizer=optimizer,
        alpha=draw(st.sampled_from([0.01, 1.0] if l1_ratio else [0.01, 0.5, 30.0])),
        l1_ratio=l1_ratio,
        fit_intercept=fit_intercept,
        rescale=rescale,
        shuffle=draw(st.booleans()),
        random_state=0,
    )
    stored = st.sampled_from([*CONTAINERS, *ORDERED.values(), *OTHERS.values()])
    return X, draw(stored), y, rng.uniform(0.1, 3, n_samples), clf


def sparse_rows_train_like_dense_ones(table):
    X, store, y, weights, clf = table
    is_in_parts = store in (with_duplicates, with_duplicated_coordinates)
    if is_in_parts and X.dtype.kind != "f":
        store = with_duplicates if X.dtype.kind in "iu" else sparse.csr_array
    rows = store(X)
    assert rows.dtype == X.dtype
    packed, dense = (clone(clf).fit(A, y, weights) for A in (rows, X))
    if store not in OTHERS.values():
        assert_same_bits(packed, clone(clf).fit(sparse.csr_array(X), y, weights))
    assert_same_bits(packed, clone(clf).fit(rows, y, weights))
    F, expected = (objective(each, X, y, weights) for each in (packed, dense))
    rtol = RTOL[dense.coef_.dtype]
    assert packed.coef_.dtype == dense.coef_.dtype
    if clf.optimizer == "lbfgs":
        # The way to the optimum is another: the curvature may be its diagonal.
        gaps = max(dual_gap(each, X, y, weights) for each in (packed, dense))
        assert gaps < 1e-4 * expected
        assert abs(F - expected) <= gaps + rtol * expected
    else:
        np.testing.assert_allclose(F, expected, rtol=rtol)
        assert packed.loss_curve_ == pytest.approx(dense.loss_curve_, rel=rtol)
        assert_same_model(packed, dense, 10 * rtol)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("kinds", "n_tables"),
    [
        (KINDS[:N_QUICK_KINDS], 6),
        pytest.param(KINDS, 150, marks=pytest.mark.slow),
    ],
    ids=["some", "all"],
)
def test_sparse_rows_train_like_dense_ones(kinds, n_tables):
    run(tables(kinds), sparse_rows_train_like_dense_ones, n_tables)


# Ways to train


def test_partial_fit_takes_sparse_and_dense_rows_in_turn():
    X, y, s = problem()
    packed = sparse.csr_array(X)
    once = estimator().fit(X, y, s)
    for turns in ([packed] * 3, [packed, X, packed], [X, packed.tocsc(), X]):
        clf = estimator()
        for rows in turns:
            clf.partial_fit(rows, y, classes=[0, 1, 2], sample_weight=s)
        assert_like_dense(clf, once)


@pytest.mark.slow
def test_partial_fits_on_sparse_rows_are_one_fit():
    X, y, s = problem()
    packed = sparse.csr_array(X)
    for parameters in ({"alpha": 0.5}, {"alpha": 0.5, "rescale": "standard"}):
        clf = estimator(**parameters)
        for _ in range(3):
            clf.partial_fit(packed, y, classes=[0, 1, 2], sample_weight=s)
        assert_same_bits(clf, estimator(**parameters).fit(packed, y, s))


def test_a_warm_start_goes_on_from_sparse_rows():
    X, y, s = problem()
    models = []
    for rows in (sparse.csr_array(X), X):
        clf = estimator(alpha=0.5, rescale="standard", warm_start=True)
        models.append(clf.fit(rows, y, s).fit(rows, y, s))
    assert len(models[0].loss_curve_) == 6
    assert_like_dense(*models)


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
    assert_like_dense(clf, dense)
    np.testing.assert_allclose(clf.history_.val_loss, dense.history_.val_loss)
    np.testing.assert_array_equal(
        clf.history_.val_accuracy, dense.history_.val_accuracy
    )


def test_early_stopping_holds_out_sparse_rows():
    """The penalty's factor is part of the weights that are measured and kept."""
    X, y, _ = problem(n_samples=400, density=0.5)
    packed = sparse.csr_array(X)
    clf = estimator(early_stopping=True, epochs=20, n_iter_no_change=3, alpha=1.0)
    dense = clone(clf.set_params(scoring="accuracy")).fit(X, y)
    best = clf.fit(packed, y).history_.val_accuracy.max()
    assert clf.n_iter_ < 20
    assert_like_dense(clf, dense)
    np.testing.assert_allclose(clf.history_.val_loss, dense.history_.val_loss)
    assert best > 0.5
    n_held_out = sum(-(-n // 10) for n in np.bincount(y))
    assert (best * n_held_out) == pytest.approx(round(best * n_held_out))


def test_lbfgs_finds_the_same_optimum():
    X, y, s = problem()
    parameters = {"optimizer": "lbfgs", "alpha": 0.01, "epochs": 1000}
    clf = estimator(**parameters).fit(sparse.csr_array(X), y, s)
    dense = estimator(**parameters).fit(X, y, s)
    np.testing.assert_allclose(clf.coef_, dense.coef_, atol=1e-8)


@pytest.mark.parametrize(
    "optimizer", mostly_slow(["adam"], ("sgd",), ("momentum",), ("nesterov",))
)
def test_every_optimizer_takes_sparse_rows(optimizer):
    X, y, s = problem()
    parameters = {"optimizer": optimizer, "alpha": 0.01, "l1_ratio": 0.5}
    parameters["learning_rate"] = 0.01
    soft = np.eye(3)[y]
    clf = estimator(**parameters).fit(sparse.csr_array(X), soft, s)
    assert_like_dense(clf, estimator(**parameters).fit(X, soft, s))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "n_classes"),
    mostly_slow([("sgd", 3), ("lbfgs", 2)], ("sgd", 2), ("lbfgs", 3)),
)
def test_soft_labels_train_on_sparse_rows(optimizer, n_classes):
    X, _, s = problem()
    soft = np.random.default_rng(1).dirichlet(np.ones(n_classes), len(X))
    parameters = {"optimizer": optimizer, "alpha": 0.5, "rescale": "standard"}
    clf, dense = (
        estimator(**parameters, epochs=50).fit(rows, soft, s)
        for rows in (sparse.csr_array(X), X)
    )
    if optimizer == "sgd":
        assert_like_dense(clf, dense)
    np.testing.assert_allclose(clf.coef_, dense.coef_, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", mostly_slow(["sgd"], ("adam",)))
def test_batches_of_several_micro_batches_train_on_sparse_rows(optimizer, monkeypatch):
    monkeypatch.setattr(batches, "MAX_MICRO_BATCH", 16)
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 64)
    X, y, s = problem()
    parameters = {"optimizer": optimizer, "alpha": 0.5, "rescale": "standard"}
    clf = estimator(**parameters).fit(sparse.csr_array(X), y, s)
    assert_like_dense(clf, estimator(**parameters).fit(X, y, s))


@pytest.mark.slow
def test_chunk_size_changes_nothing_but_where_the_penalty_is_multiplied_in(monkeypatch):
    X, y, s = problem()
    packed = sparse.csr_array(X)
    plain, penalized = estimator(), estimator(alpha=0.5, rescale="standard")
    whole = plain.fit(packed, y, s), penalized.fit(packed, y, s)
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    assert_same_bits(clone(plain).fit(packed, y, s), whole[0])
    assert_like_dense(clone(penalized).fit(packed, y, s), whole[1])


@pytest.mark.slow
@pytest.mark.parametrize("rescale", mostly_slow(["standard"], (0.2,)))
def test_a_search_on_sparse_rows_has_the_scores_of_separate_fits(rescale):
    X, y, s = problem()
    grid = {"learning_rate": [0.01, 0.1], "alpha": [0.0, 0.5, 1e4]}
    both(
        estimator(rescale=rescale, optimizer="sgd"),
        grid,
        sparse.csr_array(X),
        y,
        fit_params={"sample_weight": s},
        atol=1e-11,
    )


# Never made dense

N_COLUMNS = 2**20
# Of 100 rows in float32, which is what a batch of them would take.
DENSE_BATCH = 100 * N_COLUMNS * 4


def wide_rows():
    """2,000 rows of 10 values, of which the first tells the class, one of three."""
    rng = np.random.default_rng(0)
    y = (np.arange(2000) % 3).astype(np.int32)
    row, column = np.repeat(np.arange(2000), 10), rng.integers(0, N_COLUMNS, 20_000)
    column[::10] = y
    values = rng.random(20_000).astype(np.float32)
    return sparse.csr_array((values, (row, column)), (2000, N_COLUMNS)), y


def peak_of(call):
    """The most bytes that NumPy had at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_nothing_outside_the_programs_takes_as_much_as_a_dense_batch():
    X, y = wide_rows()
    dataset = Dataset(X, y)
    precision = np.dtype(np.float32)
    clf = classic(learning_rate=0.1, epochs=1, alpha=1e-3)

    def curvature():
        features = CentredFeatures.of(
            dataset,
            scaling=Scaling.of("standard", dataset),
            fit_intercept=True,
            precision=precision,
        )
        U = np.zeros((3, N_COLUMNS + 1))
        curvature_sums(U, dataset, features, precision)

    def evaluate():
        options = {"fit_intercept": True, "scaling": Scaling()}
        with SparseFullBatch(dataset, 3, **options) as rows:
            rows(np.zeros(rows.shape), precision)

    for call in (
        lambda: clf.fit(X, y),
        lambda: clf.predict(X),
        lambda: clf.predict_proba(X),
        lambda: dual_gap(clf, X, y),
        lambda: moments(dataset),
        curvature,
        evaluate,
    ):
        assert peak_of(call) < DENSE_BATCH / 2


FIT_WIDE_ROWS = """
import resource

from tests.contract.test_sparse import wide_rows
from tests.problems import classic

X, y = wide_rows()
parameters = {"learning_rate": 0.1, "epochs": 2, "alpha": 1e-3}
for rescale in (1.0, "standard"):
    clf = classic(**parameters, rescale=rescale)
    clf.fit(X[:300, :50], y[:300])  # TensorFlow imported, the compiler started up
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clf.fit(X, y, X_val=X[:200], y_val=y[:200])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units there")
def test_the_programs_do_not_take_as_much_as_a_dense_batch():
    command = [sys.executable, "-W", "ignore", "-c", FIT_WIDE_ROWS]
    printed = subprocess.check_output(
        command, text=True, stderr=subprocess.DEVNULL, timeout=300
    )
    plain, standard = (int(kilobytes) * 1024 for kilobytes in printed.split())
    assert plain < DENSE_BATCH / 2
    assert standard < DENSE_BATCH / 2


@pytest.mark.parametrize("optimizer", mostly_slow(["sgd", "lbfgs"], ("adam",)))
def test_no_row_is_made_dense(optimizer, monkeypatch):
    """Not by SciPy, that is; lbfgs has a dense curvature, of few columns."""
    monkeypatch.setattr(curvature, "ALWAYS_DENSE", 0)
    # For lbfgs of which the curvature is its diagonal.
    X, y, _ = problem() if optimizer == "sgd" else problem(n_features=40, density=0.1)
    made_dense = []
    for kind in CONTAINERS:
        for name in ("toarray", "todense"):
            method = getattr(kind, name)

            def counted(self, *args, method=method, **kwargs):
                made_dense.append(self.shape)
                return method(self, *args, **kwargs)

            monkeypatch.setattr(kind, name, counted)
    packed = sparse.csc_array(X)
    clf = estimator(optimizer=optimizer, alpha=0.1, epochs=100, rescale="standard")
    clf.fit(packed, y, X_val=packed, y_val=y)
    clf.predict_proba(packed)
    clf.fit(packed.astype(np.int64), y).predict(packed)
    dual_gap(clf, packed, y)
    assert made_dense == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The last epoch's loss")
def test_memory_of_many_short_rows_is_that_of_a_chunk(monkeypatch):
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    rng = np.random.default_rng(0)
    X = sparse.random_array((20_000, 2000), density=5e-4, rng=rng, format="csr")
    y = np.arange(20_000) % 3
    for early_stopping in (False, True):
        clf = estimator(epochs=1, early_stopping=early_stopping, learning_rate=1e-3)
        clf.fit(X[:300], y[:300])  # TensorFlow imported, the program compiled
        as_dense = X.shape[0] * X.shape[1] * X.dtype.itemsize
        peak = peak_of(lambda clf=clf: clf.fit(X, y))
        assert peak < as_dense / 16


# What is refused


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


@pytest.mark.slow
def test_integers_that_float32_would_lose_train_in_float64():
    X = sparse.csr_array([[2**40 + 1], [0], [2**40], [3]])
    clf = estimator(rescale=2.0**-40, epochs=1).fit(X, [0, 1, 0, 1])
    assert clf.coef_.dtype == np.float64
    X.data >>= 30
    assert estimator(epochs=1).fit(X, [0, 1, 0, 1]).coef_.dtype == np.float32
