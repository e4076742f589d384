"""X by columns in memory, as most DataFrames are: the same bits as X by rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests import problems
from tests.assertions import assert_same_bits
from tests.problems import mostly_slow, problem
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.data import gather, tiles
from tfsoftmax.solvers import SOLVERS

DTYPES = mostly_slow(["u1", "i8", "f8"], ("?",), ("f4",), ("f2",), (">f8",))


def estimator(**parameters):
    return problems.estimator(**{"rescale": 1 / 255} | parameters)


def named(X):
    return [f"column {i}" for i in range(X.shape[1])]


def frame(X):
    """A frame whose memory is by columns."""
    table = pd.DataFrame(np.asfortranarray(X), columns=named(X), copy=False)
    assert not table.to_numpy().flags.c_contiguous
    return table


def memmap_in(folder):
    def memmap(X):
        X.T.tofile(folder / "X")
        return np.memmap(folder / "X", X.dtype, "r", shape=X.shape, order="F")

    return memmap


BY_COLUMNS = {
    "array": np.asfortranarray,
    "frame": frame,
    "part of a frame": lambda X: frame(np.repeat(X, 2, axis=0)).iloc[::2],
}


def rows(dtype):
    """X by rows and labels, whose values every dtype but bool holds."""
    X, y, s = problem(dtype=np.uint8)
    return (X % 2 if dtype == "?" else X).astype(dtype), y, s


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*has not converged")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "optimizer", mostly_slow(["sgd", "lbfgs"], ("momentum",), ("nesterov",), ("adam",))
)
def test_every_optimizer_gives_the_same_bits(optimizer, dtype, monkeypatch):
    monkeypatch.setattr(gather, "COPIED_ROWS", 40)
    monkeypatch.setattr(tiles, "MAX_SHARED_BYTES", 0)
    X, y, s = rows(dtype)
    parameters = {"optimizer": optimizer, "alpha": 0.01, "learning_rate": 0.01}
    by_rows = estimator(**parameters).fit(X, y, s, X_val=X, y_val=y)
    for arrange in BY_COLUMNS.values():
        table = arrange(X)
        clf = estimator(**parameters).fit(table, y, s, X_val=table, y_val=y)
        assert_same_bits(clf, by_rows)
        assert getattr(clf, "dual_gap_", 0) == getattr(by_rows, "dual_gap_", 0)


def test_every_optimizer_is_tried():
    assert set(SOLVERS) == {"sgd", "momentum", "nesterov", "adam", "lbfgs"}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_early_stopping_holds_out_the_same_rows(dtype):
    X, y, s = rows(dtype)
    parameters = {"early_stopping": True, "n_iter_no_change": 1}
    by_rows = estimator(**parameters).fit(X, y, s)
    assert_same_bits(estimator(**parameters).fit(np.asfortranarray(X), y, s), by_rows)


@pytest.mark.parametrize("later", ["i8", "f8", "u1"])
@pytest.mark.parametrize("first", ["i8", "f8", "u1"])
def test_training_is_resumed_with_the_same_bits(first, later):
    y = rows("u1")[1]
    wide = rows(first)[0], rows(later)[0] * (1 if later == "u1" else 2**20 + 1)
    clf = estimator().fit(wide[0], y).partial_fit(wide[1], y)
    other = estimator().fit(np.asfortranarray(wide[0]), y)
    assert_same_bits(other.partial_fit(np.asfortranarray(wide[1]), y), clf)


@pytest.mark.parametrize("limit", [0, 10**6], ids=["too large", "small"])
@pytest.mark.parametrize("dtype", ["u1", "i8", "f8"])
def test_a_file_by_columns_gives_the_same_bits(dtype, limit, tmp_path, monkeypatch):
    monkeypatch.setattr(gather, "MAX_COPIED_FILE", limit)
    X, y, s = rows(dtype)
    by_rows = estimator(early_stopping=True).fit(X, y, s)
    clf = estimator(early_stopping=True).fit(memmap_in(tmp_path)(X), y, s)
    assert_same_bits(clf, by_rows)


def test_polars_frames_give_the_same_bits():
    X, y, s = rows("f8")
    table = pl.DataFrame(dict(zip(named(X), X.T, strict=True)))
    assert_same_bits(estimator().fit(table, y, s), estimator().fit(X, y, s))


def test_a_search_finds_the_same_scores():
    X, y, _ = rows("u1")
    grid = {"learning_rate": [0.1, 0.5], "alpha": [0.0, 0.1]}
    by_rows, by_columns = (
        TFSoftmaxGridSearchCV(estimator(), grid, cv=3).fit(table, y)
        for table in (X, frame(X))
    )
    for name, scores in by_rows.cv_results_.items():
        if name.startswith(("split", "mean_test", "rank")):
            np.testing.assert_array_equal(by_columns.cv_results_[name], scores)
    assert_same_bits(by_columns.best_estimator_, by_rows.best_estimator_)


def test_predictions_are_the_same():
    X, y, _ = rows("f8")
    clf = estimator().fit(X, y)
    for arrange in (np.asfortranarray, lambda X: np.asfortranarray(X.astype("u1"))):
        table = arrange(X)
        np.testing.assert_allclose(
            clf.decision_function(table), clf.decision_function(X), rtol=1e-12
        )
        np.testing.assert_array_equal(clf.predict(table), clf.predict(X))


@pytest.mark.filterwarnings("ignore:The last epoch's loss")
@pytest.mark.parametrize(
    ("dtype", "optimizer", "n_copied"),
    mostly_slow(
        [("i8", "sgd", 4), ("i8", "lbfgs", 8)], ("u1", "sgd", 1), ("f8", "sgd", 8)
    ),
)
def test_a_fit_copies_x_once(dtype, optimizer, n_copied):
    X = np.asfortranarray(np.random.default_rng(0).integers(0, 9, (20_000, 300)))
    X, y = X.astype(dtype), np.arange(len(X)) % 2
    clf = estimator(optimizer=optimizer, epochs=1, learning_rate=1e-4)
    if optimizer == "lbfgs":
        clf.set_params(alpha=1.0, tol=1.0)
    clf.fit(np.ascontiguousarray(X), y)  # compiled
    peaks = []
    for arrange in (np.ascontiguousarray, np.asfortranarray):
        table = arrange(X)
        tracemalloc.start()
        try:
            clf.fit(table, y)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1.1 * n_copied * X.size
