"""Predictions on Dask collections: what is known before, and what comes out."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections import Counter

import cloudpickle
import dask
import dask.array as da
import dask.bag
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import pytest
from dask.utils import key_split
from scipy import sparse
from sklearn.exceptions import NotFittedError

from tests import clusters
from tests.clusters import unknown
from tests.problems import estimator, problem

METHODS = ["decision_function", "predict", "predict_proba", "predict_log_proba"]
SIZES = (70, 1, 90, 42)
ROWS, _, S = problem()
N, N_FEATURES = ROWS.shape
NAMES = ["a", "b", "c", "d", "e"]
LETTERS = np.array(["spam", "eggs", "ham"])
CHUNKS = (SIZES, (N_FEATURES,))
X = da.from_array(ROWS, chunks=CHUNKS)


def fitted(n_classes=3, *, classes=LETTERS, names=None, n_features=N_FEATURES):
    """A classifier as if trained, with classes in this order."""
    clf, rng = estimator(), np.random.default_rng(n_classes)
    n_rows = 1 if n_classes == 2 else n_classes
    clf.classes_ = np.asarray(classes)[:n_classes]
    clf.coef_ = rng.normal(size=(n_rows, n_features))
    clf.intercept_ = rng.normal(size=n_rows)
    clf.n_features_in_ = n_features
    if names is not None:
        clf.feature_names_in_ = np.array(names, dtype=object)
    return clf


def assert_close(actual, expected):
    """Equal, numbers up to the rounding of a product of other rows."""
    assert type(actual) is type(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(actual, expected, rtol=1e-6)
    elif isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(actual, expected, rtol=1e-6)
    elif expected.dtype.kind == "f":
        rtol = 1e-5 if expected.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol, strict=True)
    else:
        np.testing.assert_array_equal(actual, expected, strict=True)


def assert_lazily(lazy, expected):
    """A collection is as announced, and its values as expected."""
    computed = lazy.compute(scheduler="sync")
    if isinstance(lazy, da.Array):
        assert type(lazy._meta) is np.ndarray
        assert (lazy.dtype, lazy.ndim) == (computed.dtype, computed.ndim)
        da.utils.assert_eq(lazy, computed)
    else:
        dd.utils.assert_eq(lazy, computed)
    assert_close(computed, expected)


# Arrays

KINDS = {
    "doubles": ROWS,
    "floats": ROWS.astype("f4"),
    "halves": ROWS.astype("f2"),
    "bytes": (ROWS * 40 + 128).clip(0, 255).astype("u1"),
    "integers": (ROWS * 10).astype("i8"),
    "booleans": ROWS > 0,
    "objects": ROWS.astype(object),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("precision", ["f4", "f8"])
def test_arrays_are_predicted_as_in_memory(method, kind, n_classes, precision):
    clf, rows = fitted(n_classes), KINDS[kind]
    clf.coef_ = clf.coef_.astype(precision)
    clf.intercept_ = clf.intercept_.astype(precision)
    expected = getattr(clf, method)(rows)
    lazy = getattr(clf, method)(da.from_array(rows, chunks=CHUNKS))
    assert lazy.shape == expected.shape
    assert lazy.chunks == (SIZES, *((size,) for size in expected.shape[1:]))
    assert_lazily(lazy, expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_chunks_of_unknown_size_stay_so(method, n_classes):
    clf = fitted(n_classes)
    expected = getattr(clf, method)(ROWS)
    lazy = getattr(clf, method)(unknown(X))
    assert np.isnan(lazy.chunks[0]).all()
    assert lazy.numblocks[0] == len(SIZES)
    assert lazy.shape[1:] == expected.shape[1:]
    assert_lazily(lazy, expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
@pytest.mark.parametrize("meta", ["right", "dense"])
def test_sparse_blocks_are_predicted(method, kind, meta):
    clf = fitted()
    meta = kind((0, 0)) if meta == "right" else np.empty((0, 0))
    rows = X.map_blocks(kind, dtype=X.dtype, meta=meta)
    expected = getattr(clf, method)(kind(ROWS))
    assert_lazily(getattr(clf, method)(rows), expected)
    assert_lazily(
        getattr(clf, method)(unknown(X).map_blocks(kind, meta=meta)), expected
    )


@pytest.mark.parametrize("n_blocks", [1, 29])
def test_any_number_of_blocks_will_do(n_blocks):
    clf, rows = fitted(), X.rechunk((N // n_blocks, N_FEATURES))
    assert clf.predict_proba(rows).numblocks == (n_blocks, 1)
    for method in METHODS:
        assert_lazily(getattr(clf, method)(rows), getattr(clf, method)(ROWS))


@pytest.mark.parametrize(
    "classes",
    [
        [3, 1, 2],
        np.array([0.0, 1.0, 5.0], dtype="f4"),
        np.array(["a", "b", "c"], dtype=object),
        np.array([b"a", b"b", b"c"]),
        [False, True],
    ],
)
def test_predicted_classes_have_the_dtype_of_the_classes(classes):
    clf = fitted(len(classes), classes=classes)
    lazy = clf.predict(X)
    assert lazy.dtype == clf.classes_.dtype
    assert_lazily(lazy, clf.predict(ROWS))


@pytest.mark.parametrize("method", METHODS)
def test_a_sparse_coef_predicts_blocks(method):
    clf = fitted()
    expected = getattr(clf, method)(ROWS)
    clf.sparsify()
    assert_lazily(getattr(clf, method)(X), expected)
    assert_lazily(getattr(clf, method)(X.map_blocks(sparse.csr_array)), expected)


# DataFrames

INDEX = pd.Index(np.arange(N) * 2 + 5, name="number")
TABLE = pd.DataFrame(ROWS, columns=NAMES, index=INDEX)
FRAME = dd.from_pandas(TABLE, npartitions=4)
TABLES = {
    "doubles": TABLE,
    "floats": TABLE.astype("f4"),
    "mixed": (TABLE * 9).astype({"a": "f4", "b": "i8", "c": "i1", "d": "?"}),
    "nullable": TABLE.round()
    .abs()
    .clip(upper=1)
    .astype({"a": "Int64", "c": "Float32", "d": "boolean"}),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_frames_keep_their_index_and_get_the_classes_as_columns(
    method, kind, n_classes
):
    clf, table = fitted(n_classes, names=NAMES), TABLES[kind]
    expected = getattr(clf, method)(table)
    if expected.ndim == 1:
        expected = pd.Series(expected, index=INDEX)
    else:
        expected = pd.DataFrame(expected, index=INDEX, columns=clf.classes_)
    rows = dd.from_pandas(table, npartitions=4)
    lazy = getattr(clf, method)(rows)
    assert lazy.divisions == rows.divisions
    assert_lazily(lazy, expected)
    cleared = getattr(clf, method)(rows.clear_divisions())
    assert not cleared.known_divisions
    assert_lazily(cleared, expected)


@pytest.mark.parametrize(
    "classes", [[3, 1, 2], [0.5, 1, 2], list("abc"), [True, False]]
)
def test_a_predicted_series_has_the_dtype_of_the_classes(classes):
    clf = fitted(len(classes), classes=classes, names=NAMES)
    lazy = clf.predict(FRAME)
    assert lazy.name is None
    assert lazy.dtype == pd.Series(clf.classes_).dtype
    assert_lazily(lazy, pd.Series(clf.predict(TABLE), index=INDEX))


def test_all_partitions_have_the_dtype_of_labels_that_are_objects():
    classes = np.array(list("abc"), dtype=object)
    clf = fitted(3, classes=classes, names=NAMES)
    clf.classes_ = classes
    lazy = clf.predict(FRAME[FRAME["a"] > 1.5])
    dtypes = set(lazy.map_partitions(lambda part: part.dtype).compute())
    assert dtypes == {lazy.dtype} == {pd.Series(classes).dtype}
    assert lazy.compute().dtype == lazy.dtype


def test_a_block_without_rows_has_no_predictions():
    clf = fitted(names=NAMES)
    none = FRAME[FRAME["a"] > 1.5]
    some = TABLE[TABLE["a"] > 1.5]
    sizes = none.map_partitions(len).compute()
    assert_lazily(clf.predict(none), pd.Series(clf.predict(some), index=some.index))
    none = FRAME[FRAME["a"] > 100]
    assert (none.map_partitions(len).compute() == 0).all()
    assert sizes.sum() == len(some)
    for method in METHODS:
        assert len(getattr(clf, method)(none).compute()) == 0
    rows = X[X[:, 0] > 100]
    clf = fitted()
    for method in METHODS:
        for blocks in (rows, rows.map_blocks(sparse.csr_array)):
            lazy = getattr(clf, method)(blocks)
            assert_lazily(lazy, getattr(clf, method)(ROWS)[:0])


# What is refused, and when


@pytest.mark.parametrize("method", METHODS)
def test_columns_that_do_not_fit_are_refused_at_once(method):
    predict = getattr(fitted(names=NAMES), method)
    for rows, words in [
        (FRAME[["b", "a", "c", "d", "e"]], "in the same order as they were in fit"),
        (FRAME.rename(columns={"a": "z"}), "Feature names unseen at fit time:\n- z"),
        (FRAME[["a", "b"]], "Feature names seen at fit time, yet now missing"),
    ]:
        with pytest.raises(ValueError, match=words):
            predict(rows)
    predict = getattr(fitted(), method)
    for rows, words in [
        (X[:, :3], "X has 3 features, but TFSoftmaxClassifier is expecting 5 feature"),
        (X.rechunk((100, 2)), "X must have all columns in each chunk"),
        (X[:, 0], "X must have two dimensions; it has 1"),
        (X.astype("c16"), "Complex data not supported"),
        (X.astype("M8[s]"), "X must contain real numbers"),
    ]:
        with pytest.raises(ValueError, match=words):
            predict(rows)


def test_an_error_of_a_block_names_the_estimator_and_a_score_the_block():
    rows = ROWS.copy()
    rows[-1, 0] = np.nan
    rows = da.from_array(rows, chunks=CHUNKS)
    match = "X contains NaN.\nTFSoftmaxClassifier does not accept"
    with pytest.raises(ValueError, match=match):
        fitted().predict(rows).compute(scheduler="sync")
    with pytest.raises(ValueError, match=match) as caught:
        fitted().score(rows, LABELS)
    note = f"In block {len(SIZES) - 1} of X, counted from 0."
    assert caught.value.__notes__ == [note]


@pytest.mark.parametrize("method", METHODS)
def test_a_delayed_or_a_bag_is_refused(method):
    for rows in (dask.delayed(ROWS), dask.bag.from_sequence(ROWS)):
        with pytest.raises(TypeError, match="X must be in memory, or a Dask array"):
            getattr(fitted(), method)(rows)


@pytest.mark.parametrize("method", METHODS)
def test_an_estimator_that_is_not_fitted_says_so_at_once(method):
    for rows in (X, FRAME):
        with pytest.raises(NotFittedError):
            getattr(estimator(), method)(rows)
    with pytest.raises(NotFittedError):
        estimator().score(X, np.ones(N))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "Input X contains NaN"), (1e308, "X has values too large for this mod")],
)
def test_rows_that_can_not_be_used_are_refused_when_they_are_read(method, value, words):
    rows = ROWS.copy()
    rows[100] = value * np.sign(fitted().coef_[0])
    lazy = getattr(fitted(), method)(da.from_array(rows, chunks=CHUNKS))
    lazy.blocks[0].compute()
    # Here, or other threads would still run in the next test, and change its warnings.
    with pytest.raises(ValueError, match=words):
        lazy.compute(scheduler="sync")


@pytest.mark.parametrize("method", METHODS)
def test_a_column_of_words_is_refused_when_it_is_read(method):
    rows = dd.from_pandas(TABLE.assign(c="spam"), npartitions=2)
    lazy = getattr(fitted(names=NAMES), method)(rows)
    with pytest.raises(
        ValueError, match=r"X (can't be used|must contain real numbers)"
    ):
        lazy.compute(scheduler="sync")


def test_names_that_the_model_does_not_know_are_warned_of_once():
    for clf, rows in ((fitted(names=NAMES), X), (fitted(), FRAME)):
        with pytest.warns(UserWarning, match="feature names") as caught:
            lazy = clf.predict(rows)
        assert len(caught) == 1
        lazy.compute(scheduler="sync")


# What is computed, where and from what


def read(counts, number):
    counts[number] += 1
    return ROWS[:50]


def test_nothing_is_computed_before_it_is_asked_for():
    counts, clf = Counter(), fitted()
    parts = [
        da.from_delayed(
            dask.delayed(read, traverse=False)(counts, i), (50, N_FEATURES), float
        )
        for i in range(3)
    ]
    rows = da.concatenate(parts)
    lazy = [getattr(clf, method)(rows) for method in METHODS]
    assert not counts
    dask.compute(lazy)
    assert counts == Counter(range(3))
    lazy[1].blocks[1].compute()
    assert counts == {0: 1, 1: 2, 2: 1}


class OnDisk:
    """Rows that are read when a block is asked for."""

    shape, ndim, dtype = (1000, 500), 2, np.dtype(float)

    def __getitem__(self, index):
        return np.zeros(self.shape)[index]


def large_model():
    clf = fitted(n_classes=100, classes=np.arange(100), n_features=500)
    clf._result = np.ones(10**6)  # as the state of an optimizer
    return clf


@pytest.mark.parametrize("method", METHODS)
def test_the_graph_has_the_coefficients_once_and_nothing_else_of_the_model(method):
    clf = large_model()
    source = da.zeros((1000, 500), chunks=(100, 500))
    on_disk = da.from_array(OnDisk(), chunks=(100, 500))
    for rows in (source, source + 1, on_disk, source.to_dask_dataframe()):
        lazy = getattr(clf, method)(rows)
        is_array = isinstance(lazy, da.Array)
        (lazy,) = dask.optimize(lazy) if is_array else (lazy.optimize(),)
        tasks = dict(lazy.dask)
        sizes = {key: len(cloudpickle.dumps(task)) for key, task in tasks.items()}
        assert sorted(sizes.values())[-2] < 20_000
        assert sum(sizes.values()) < 1.5 * clf.coef_.nbytes


@pytest.mark.parametrize("method", METHODS)
def test_tasks_have_names_that_say_what_they_do(method):
    for rows in (X, FRAME):
        lazy = getattr(fitted(names=NAMES if rows is FRAME else None), method)(rows)
        graph = lazy.optimize(fuse=False).dask if rows is FRAME else lazy.dask
        names = {key_split(key) for key in dict(graph)}
        assert {f"tfsoftmax_{method}", "tfsoftmax_model"} <= names


def test_other_coefficients_are_other_tasks():
    clf = fitted()
    name = clf.predict(X).name
    assert clf.predict(X).name == name
    clf.coef_ = clf.coef_ * -1
    assert clf.predict(X).name != name


def test_without_dask_collections_nothing_of_dask_is_imported():
    program = (
        "import pickle, sys; clf, X, y = pickle.load(sys.stdin.buffer);"
        f"[getattr(clf, method)(X) for method in {METHODS}]; clf.score(X, y);"
        "found = {name.split('.')[0] for name in sys.modules};"
        "print(found & {'dask', 'distributed', 'tensorflow'})"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((fitted(), ROWS, LETTERS[np.arange(N) % 3])),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert printed.decode().strip() == "set()"


@pytest.mark.slow
def test_workers_predict_without_tensorflow():
    clf, labels = estimator(), LETTERS[problem()[1]]
    clf.fit(ROWS, labels)
    y = da.from_array(labels, chunks=(SIZES,))
    with clusters.start() as cluster, distributed.Client(cluster) as client:
        for method in METHODS:
            assert_close(getattr(clf, method)(X).compute(), getattr(clf, method)(ROWS))
        assert clf.score(X, y) == clf.score(ROWS, labels)
        table = dd.from_pandas(TABLE.rename(columns=str), npartitions=4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert_close(
                clf.predict(table).compute(),
                pd.Series(clf.predict(ROWS), index=INDEX),
            )
        loaded = client.run(lambda: "tensorflow" in sys.modules)
        used = client.run(lambda: "tfsoftmax.prediction" in sys.modules)
    assert list(loaded.values()) == [False, False]
    assert list(used.values()) == [True, True]


# The score

LABELS = np.where(S < 2, fitted().predict(ROWS), "ham")
SOFT = 0.9 * np.eye(3)[(LABELS[:, None] == LETTERS).argmax(axis=1)] + 0.1 / 3


def blocks(values):
    return clusters.blocks(values, SIZES)


@pytest.mark.parametrize("weights", [None, S, S * 5e307, S * 1e-310, (S > 1.5) * 1.0])
@pytest.mark.parametrize("y", [LABELS, SOFT, LABELS == "ham"])
def test_the_score_is_that_of_the_same_rows_in_memory(y, weights):
    clf = fitted() if y.dtype != bool else fitted(2, classes=[False, True])
    expected = clf.score(ROWS, y, weights)
    assert 0 < expected < 1
    lazy_weights = None if weights is None else blocks(weights)
    for labels in (blocks(y), y):
        for its_weights in (lazy_weights, weights):
            score = clf.score(X, labels, sample_weight=its_weights)
            assert type(score) is float
            assert score == pytest.approx(expected, rel=1e-14)
            if weights is None:
                assert score == expected


def test_the_score_of_columns_unknown_sizes_sparse_blocks_and_frames():
    clf, y, weights = fitted(), blocks(LABELS), blocks(S)
    expected = pytest.approx(clf.score(ROWS, LABELS, S), rel=1e-14)
    assert clf.score(X, y[:, None], weights) == expected
    assert clf.score(X.map_blocks(sparse.csr_array), y, weights) == expected
    assert clf.score(unknown(X), unknown(y), weights) == expected
    table = dd.from_pandas(TABLE.assign(y=LABELS, weight=S), npartitions=4)
    clf = fitted(names=NAMES)
    assert clf.score(table[NAMES], table["y"], table["weight"]) == expected
    dropped = table[table["a"] > 1.5]
    some = TABLE["a"] > 1.5
    score = clf.score(dropped[NAMES], dropped["y"])
    assert score == clf.score(TABLE[some], LABELS[some])


def test_a_label_that_the_model_does_not_know_is_wrong():
    clf = fitted()
    y = LABELS.astype(object)
    y[:30] = "beans"
    score = clf.score(X, blocks(y))
    assert score == clf.score(ROWS, y) < clf.score(ROWS, LABELS)


@pytest.mark.parametrize("label", [0.5, np.nan])
def test_labels_that_are_no_classes_are_refused(label):
    clf = fitted(classes=[0, 1, 2])
    y = np.where(LABELS == "ham", label, 1.0)
    for labels in (y, blocks(y)):
        with pytest.raises(ValueError, match=r"\by\b"):
            clf.score(X, labels)


def test_blocks_with_most_labels_different_are_no_regression():
    classes = np.arange(40)
    clf = fitted(40, classes=classes)
    y = np.arange(N) % 40
    rows = X.rechunk((40, N_FEATURES))
    score = clf.score(rows, da.from_array(y, chunks=40))
    assert score == clf.score(ROWS, y)


def test_a_block_may_have_weights_of_zero_and_all_of_them_may_not():
    clf, weights = fitted(), S.copy()
    weights[: SIZES[0]] = 0
    expected = clf.score(ROWS, LABELS, weights)
    assert clf.score(X, LABELS, blocks(weights)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least one row with a nonzero weight"):
        clf.score(X, LABELS, blocks(weights * 0))
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        clf.score(X, LABELS, blocks(1 - weights))


def test_lengths_are_compared_when_they_are_known():
    y = da.from_array(LABELS[:-1], chunks=((70, 1, 90, 41),))
    with pytest.raises(ValueError, match=r"y must have .* 203 rows of X; it has 202"):
        fitted().score(X, y)
    with pytest.raises(ValueError, match=r"y must have a lab.* 42 rows of X; it has 4"):
        fitted().score(unknown(X), unknown(y))


def test_rows_in_memory_have_labels_and_weights_in_memory():
    clf = fitted()
    for arguments in ((blocks(LABELS),), (LABELS, blocks(S))):
        with pytest.raises(TypeError, match="X must be a Dask collection if y or sa"):
            clf.score(ROWS, *arguments)


def test_no_labels_are_no_score():
    with pytest.raises(ValueError, match="requires y to be passed"):
        fitted().score(X, None)


def test_a_score_has_tasks_of_its_name_and_reads_a_shared_block_once():
    counts, keys = Counter(), []
    table = np.column_stack([ROWS, (LABELS[:, None] == LETTERS).argmax(axis=1)])

    def read_table(block, block_info=None):
        number = block_info[0]["chunk-location"][0]
        counts[number] += 1
        return block

    source = da.from_array(table, chunks=(SIZES, (6,))).map_blocks(
        read_table, dtype=float, meta=np.empty((0, 0))
    )
    clf = fitted(classes=[0, 1, 2])
    note = dask.callbacks.Callback(pretask=lambda key, *_: keys.append(key_split(key)))
    with note:
        score = clf.score(source[:, :5], source[:, 5])
    assert score == clf.score(ROWS, table[:, 5])
    assert counts == Counter(range(len(SIZES)))
    assert Counter(keys)["tfsoftmax_score"] == len(SIZES)
    assert Counter(keys)["tfsoftmax_model"] <= 1
