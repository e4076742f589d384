"""Rows of X and weights: what is refused before anything reads it, and by what name."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.utils.fixes import parse_version

from tests.assertions import assert_same_model
from tests.problems import estimator, problem
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.validation import arrays
from tfsoftmax.validation.arrays import check_numbers, check_rows, check_weights

X, Y, S = problem()


# Rows


@pytest.mark.parametrize("rows", [X, X.astype("u1"), sparse.csr_array(X)])
def test_rows_of_a_kind_that_can_be_used_are_not_copied(rows):
    assert check_rows(estimator(), rows, reset=True) is rows


def test_finite_rows_whose_sums_overflow_are_taken_without_a_warning():
    rows = np.tile([1e308, -1e308], (20, 1))  # as infinity minus infinity
    assert check_rows(estimator(), rows, reset=True) is rows


COLUMNS = {
    "text": list("wxyz"),
    "objects": np.array(list("wxyz"), object),
    "categories": pd.Series(list("wxyz"), dtype="category"),
    "dates": pd.date_range("2020", periods=4),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_that_are_no_numbers_are_named(kind):
    counts = pd.Series([1, 2, 3, 4], dtype=object)
    table = pd.DataFrame({"age": [1, 2, 3, 4], "count": counts, "b": COLUMNS[kind]})
    with pytest.raises(ValueError, match=r"X must .*columns \['b'\] do not. Encode"):
        check_rows(estimator(), table, reset=True)
    numbers = table.drop(columns="b")
    assert check_rows(estimator(), numbers, reset=True).shape == (4, 2)
    with pytest.raises(ValueError, match="unseen at fit time:\n- b"):
        check_rows(estimator().fit(numbers, [0, 1, 0, 1]), table, reset=False)
    numbers.loc[0, "age"] = np.nan  # another reason
    with pytest.raises(ValueError, match="contains NaN"):
        check_rows(estimator(), numbers, reset=True)


@pytest.mark.parametrize("values", ["c16", "M8[s]", "m8[D]", "S3", "V8"])
def test_rows_that_are_no_real_numbers_are_refused_by_name(values):
    with pytest.raises(ValueError, match=r"\bX_val\b"):
        check_rows(estimator().fit(X, Y), X.astype(values), "X_val", reset=False)


@pytest.mark.parametrize(
    ("dtype", "wrap"),
    [
        (np.longdouble, np.asarray),
        (np.longdouble, sparse.csr_array),
        (object, np.asarray),
    ],
)
def test_rows_beyond_the_largest_float64_are_refused_without_a_warning(dtype, wrap):
    rows = X.astype(np.longdouble)
    rows[3, 1] = np.longdouble("1e4000")
    with pytest.raises(ValueError, match=r"X .*too large for"):
        check_rows(estimator(), wrap(rows.astype(dtype)), reset=True)
    assert check_rows(estimator(), wrap(X.astype(dtype)), reset=True).shape == X.shape


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_sparse_rows_whose_indices_lie_outside_are_refused(kind):
    rows, clf = kind(X), estimator().fit(X, Y)
    before = rows.copy()
    places = rows.coords[1] if kind is sparse.coo_array else rows.indices
    places[0] = 10**6
    for method in (clf.predict, lambda rows: clf.fit(rows, Y)):
        with pytest.raises(ValueError, match=r"X can.t be used: .*ind(ex|ices)"):
            method(rows)
    places[0] = before.coords[1][0] if kind is sparse.coo_array else before.indices[0]
    assert (rows != before).nnz == 0
    clf.predict(rows)


@pytest.mark.parametrize("value", [-1, X.shape[1], 10**7])
def test_sparse_lists_whose_indices_lie_outside_are_refused(value):
    rows, clf = sparse.lil_array(X), estimator().fit(X, Y)
    rows.rows[0][-1] = value
    for method in (clf.predict, lambda rows: clf.fit(rows, Y)):
        with pytest.raises(ValueError, match=r"X can.t be used: .*ind(ex|ices)"):
            method(rows)


def test_sparse_lists_without_a_value_are_refused():
    rows = sparse.lil_array(X)
    rows.data[3] = rows.data[3][:-1]
    with pytest.raises(
        ValueError, match="X can't be used: A row has different numbers"
    ):
        estimator().fit(rows, Y)


def test_masked_values_are_refused_by_name():
    rows, weights = np.ma.masked_greater(X, 1), np.ma.masked_greater(S, 1)
    clf = estimator()
    for masked in [(rows, Y), (X, np.ma.masked_equal(Y, 1)), (X, Y, weights)]:
        with pytest.raises(ValueError, match="must not have masked values"):
            clf.fit(*masked)
    unmasked = np.ma.masked_array(X), Y, np.ma.masked_array(S)
    assert_same_model(clf.fit(*unmasked), estimator().fit(X, Y, S))


# DataFrames


def frame(*dtypes, n=203):
    """Columns "a", "b", … of these dtypes, of numbers that each of them holds."""
    columns = {
        name: pd.Series(np.arange(n) * (i + 1) % (2 if dtype in BOOLEANS else 100))
        for i, (name, dtype) in enumerate(zip("abcdefgh", dtypes, strict=False))
    }
    return pd.DataFrame(columns).astype(dict(zip("abcdefgh", dtypes, strict=False)))


BOOLEANS = {"?", "boolean"}
COMBINATIONS = [
    ("u1", "f8"),
    ("?", "u1"),
    ("u1", "?", "u1", "u1", "?"),
    ("f4", "i8"),
    ("i8", "u8"),
    ("i1", "u1", "f2"),
    ("f4", "?", "f4"),
    ("g", "i4"),
]


@pytest.fixture
def small_blocks(monkeypatch):
    """Frames count as large, and are copied a few rows at a time."""
    monkeypatch.setattr(arrays, "MIN_FRAME_SIZE", 0)
    monkeypatch.setattr(arrays, "FRAME_ROWS", 30)


@pytest.mark.parametrize("dtypes", COMBINATIONS, ids="+".join)
def test_columns_of_several_dtypes_have_the_common_one(small_blocks, dtypes):
    table, clf = frame(*dtypes), estimator()
    rows = check_rows(clf, table, reset=True)
    assert rows.dtype == np.result_type(*dtypes)
    assert rows.flags.c_contiguous
    for column, values in zip(rows.T, table.to_dict("list").values(), strict=True):
        np.testing.assert_array_equal(column, values)
    assert clf.feature_names_in_.tolist() == list(table.columns)


FRAMES = {
    "one dtype": frame("f8", "f8"),
    "booleans": frame("?", "?"),
    "several dtypes": frame("u1", "f8", "?"),
    "nullable": frame("Int64", "f8", "boolean"),
    "missing": frame("u1", "f8").where(lambda table: table < 90),
    "missing, nullable": frame("Int64", "f8").where(lambda table: table < 90),
    "infinite": frame("u1", "f8").replace({"b": {4.0: np.inf}}),
    "words": frame("u1", "f8").assign(c="spam"),
    "words of digits": frame("u1", "f8").assign(c="7"),
    "objects": frame("u1", "O"),
    "categories": frame("u1", "category"),
    "dates": frame("u1", "M8[ns]"),
    "complex": frame("u1", "c16"),
    "sparse": frame("u1", "f8").astype(pd.SparseDtype("f8")),
    "names of two kinds": frame("u1", "f8").rename(columns={"a": 1}),
    "names that are numbers": frame("u1", "f8").rename(columns={"a": 0, "b": 1}),
    "two columns of one name": frame("u1", "f8").rename(columns={"a": "b"}),
    "no rows": frame("u1", "f8").iloc[:0],
    "no columns": frame("u1", "f8").iloc[:, :0],
    "polars": pl.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]}),
}


def outcome(table):
    """What the check returns and stores, or the error that it raises."""
    clf = estimator()
    try:
        rows = check_rows(clf, table, reset=True)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    if sparse.issparse(rows):
        rows = rows.toarray()
    return (
        rows.dtype,
        rows.tolist(),
        {name: np.asarray(value).tolist() for name, value in vars(clf).items()},
    )


@pytest.mark.parametrize("table", FRAMES.values(), ids=FRAMES)
def test_a_large_frame_is_checked_as_a_small_one(small_blocks, monkeypatch, table):
    large = outcome(table)
    monkeypatch.setattr(arrays, "MIN_FRAME_SIZE", 10**6)
    assert large == outcome(table)


@pytest.mark.skipif(
    parse_version(pd.__version__) < parse_version("3.0"),
    reason="older versions copy the columns that they are asked for",
)
@pytest.mark.parametrize("dtypes", [("u1", "f8"), ("?", "u1"), ("f4", "?", "u1")])
def test_a_large_frame_of_several_dtypes_is_copied_once(monkeypatch, dtypes):
    monkeypatch.setattr(arrays, "MIN_FRAME_SIZE", 10**5)
    table = frame(*dtypes, n=10**6)
    n_bytes = table.size * np.result_type(*dtypes).itemsize
    check_rows(estimator(), table[:100], reset=True)
    tracemalloc.start()
    try:
        rows = check_rows(estimator(), table, reset=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows.flags.c_contiguous  # with nothing left to copy
    assert n_bytes < peak < 1.3 * n_bytes


# Weights


def test_a_number_is_a_weight_for_every_row():
    plain = estimator().fit(X, Y).coef_
    np.testing.assert_array_equal(estimator().fit(X, Y, 2.0).coef_, plain)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(60), "sample_weight_val must not be zero for all rows"),
        (-S[:60], "sample_weight_val must not be negative; got -"),
        (S[:59], r"sample_weight_val must have one weight .* 60 rows.* shape \(59,\)"),
        (np.where(S[:60] > 2, np.nan, 1), "sample_weight_val contains NaN"),
        (np.where(S[:60] > 2, np.inf, 1), "sample_weight_val contains infinity"),
    ],
)
def test_bad_held_out_weights_are_refused_by_name(weights, message):
    with pytest.raises(ValueError, match=message):
        estimator().fit(X, Y, X_val=X[:60], y_val=Y[:60], sample_weight_val=weights)


def test_weights_are_float64_of_any_numbers():
    weights = check_weights(np.float16([1, 2, 3]), 3)
    assert weights.dtype == np.float64
    assert weights.tolist() == [1, 2, 3]


IMAGES = X[:, :4].reshape(-1, 2, 2)
CALLS = {
    "fit": lambda clf, X: clf.fit(X, Y),
    "partial_fit": lambda clf, X: clf.partial_fit(X, Y),
    "predict": lambda clf, X: clf.predict(X),
    "X_val": lambda clf, X: clf.fit(X.reshape(len(X), -1), Y, X_val=X, y_val=Y),
    "a search": lambda clf, X: TFSoftmaxGridSearchCV(clf, {}, cv=2).fit(X, Y),
    "a searched model": lambda clf, X: (
        TFSoftmaxGridSearchCV(clf, {}, cv=2).fit(X.reshape(len(X), -1), Y).predict(X)
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_images_are_refused_with_the_reshape_that_they_need(call):
    clf = estimator().fit(IMAGES.reshape(len(IMAGES), -1), Y)
    name = "X_val" if call == "X_val" else "X"
    with pytest.raises(ValueError, match=r"got shape \(\d+, 2, 2\)\.") as error:
        CALLS[call](clf, IMAGES)
    advice = f"Flatten the images with {name}.reshape(len({name}), -1)."
    assert str(error.value).strip().endswith(advice)


def test_a_list_of_images_is_refused_as_an_array_of_them_is():
    with pytest.raises(ValueError, match=r"got shape \(203, 2, 2\)"):
        check_rows(estimator(), list(IMAGES), reset=True)


def test_a_ragged_list_is_no_list_of_images():
    with pytest.raises(ValueError, match=r"X can't be used: .*inhomogeneous"):
        check_rows(estimator(), [[[1, 2]], [[1], [2]]], reset=True)


@pytest.mark.parametrize("dtype", [np.longdouble, object])
def test_numbers_beyond_the_largest_float64_are_refused_without_a_warning(dtype):
    values = np.array([1, np.longdouble("1e4000")], dtype)
    with pytest.raises(ValueError, match=r"weights .*too large for"):
        check_numbers(values, "weights", ensure_2d=False)
