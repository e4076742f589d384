"""Fits on Dask collections: the model of the same rows in memory.

Most run without a cluster, by Dask's local scheduler, which takes the same steps. The
optimum doesn't depend on the order of sums, but for rounding; and mini-batches without
a shuffle are those of memory where blocks end with a batch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import dask
import dask.array as da
import dask.dataframe as dd
import distributed
import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests import clusters
from tests.assertions import assert_same_bits
from tests.clusters import eventually, is_clean, start, unknown
from tests.problems import EACH_OPTIMIZER, mostly_slow, problem
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV, dual_gap
from tfsoftmax.distributed import reading
from tfsoftmax.solvers import SOLVERS, lbfgs

X, Y, S = problem(200)
N, N_FEATURES = X.shape
SIZES = (75, 25, 100)
NAMES = ["a", "b", "c", "d", "e"]
LETTERS = np.array(["spam", "eggs", "ham"])
SOFT = 0.9 * np.eye(3)[Y] + 0.1 / 3
BYTES = (X * 40 + 128).clip(0, 255).astype("u1")
FEW = X * (abs(X) > 0.7)
TABLE = pd.DataFrame(X, columns=NAMES).assign(y=LETTERS[Y], weight=S)
FRAME = dd.from_pandas(TABLE, npartitions=4)

pytestmark = pytest.mark.usefixtures("without_a_scheduler_afterwards")


def blocks(values, sizes=SIZES):
    return clusters.blocks(values, sizes)


def optimum(**parameters):
    return TFSoftmaxClassifier(**{"optimizer": "lbfgs", "tol": 1e-11} | parameters)


def by_batches(**parameters):
    usual = {"batch_size": 25, "epochs": 4, "random_state": 0}
    return TFSoftmaxClassifier(**usual | parameters)


def assert_same_model(clf, expected, rtol=1e-10):
    np.testing.assert_array_equal(clf.classes_, expected.classes_, strict=True)
    for name in ("coef_", "intercept_"):
        actual, wanted = getattr(clf, name), getattr(expected, name)
        assert actual.dtype == wanted.dtype
        # Intercepts may cancel out, and then have the rounding of what they are of.
        scale = max(abs(wanted).max(), 1) if name == "intercept_" else abs(wanted).max()
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=rtol * scale)
    assert clf.alpha_ == pytest.approx(expected.alpha_, rel=1e-12)
    assert clf.n_features_in_ == expected.n_features_in_
    names = [getattr(each, "feature_names_in_", None) for each in (clf, expected)]
    np.testing.assert_array_equal(*names)


# The optimum

KINDS = mostly_slow(
    [X, BYTES, (X * 2.0**40).astype("i8")],
    (X.astype("f4"),),
    (X.astype("f2"),),
    ((X * 10).astype("i2"),),
    ((X * 10).astype("i8"),),
    (X > 0,),
    (X.astype(object),),
)


@pytest.mark.parametrize("rescale", mostly_slow(["auto"], ("standard",)))
@pytest.mark.parametrize("rows", KINDS)
def test_rows_of_each_dtype_have_the_optimum_of_memory(rows, rescale):
    is_single = rows.dtype.itemsize <= 4 and rows.dtype != object
    clf = optimum(rescale=rescale, alpha=0.01, tol=None if is_single else 1e-11)
    expected = optimum(**clf.get_params()).fit(rows, Y, S)
    clf.fit(blocks(rows), blocks(Y), blocks(S))
    assert_same_model(clf, expected, 1e-3 if is_single else 1e-10)
    assert clf.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(clf.loss_curve_, expected.loss_curve_, rtol=1e-5)


def test_blocks_in_fortran_order_have_the_bits_of_others():
    by_rows = optimum().fit(blocks(X), blocks(Y))
    by_columns = blocks(X).map_blocks(np.asfortranarray)
    assert_same_bits(optimum().fit(by_columns, blocks(Y)), by_rows)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("rescale", ["auto", "standard"])
def test_sparse_blocks_have_the_optimum_of_memory(kind, rescale):
    clf = optimum(rescale=rescale).fit(
        blocks(FEW).map_blocks(kind), blocks(Y), blocks(S)
    )
    expected = optimum(rescale=rescale).fit(sparse.csr_array(FEW), Y, S)
    assert_same_model(clf, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"class_weight": "balanced"},
        {"class_weight": {0: 3.0, 2: 0.5}},
        {"class_weight": {0: 1e308, 1: 1e308, 2: 1e307}, "alpha": 0.01},
        {"fit_intercept": False},
        {"alpha": 1.0},
        {"rescale": [1, 2, 3, 4, 5]},
    ],
    ids=str,
)
@pytest.mark.parametrize("weights", [None, S], ids=["unweighted", "weighted"])
def test_parameters_mean_what_they_mean_in_memory(parameters, weights):
    clf, expected = optimum(**parameters), optimum(**parameters).fit(X, Y, weights)
    clf.fit(blocks(X), blocks(Y), None if weights is None else blocks(weights))
    assert_same_model(clf, expected)
    assert clf.dual_gap_ == pytest.approx(expected.dual_gap_, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e300, 5e307])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_weights_of_any_size_count_by_their_ratios(scale, class_weight):
    parameters = {"class_weight": class_weight, "alpha": 0.01}
    clf = optimum(**parameters).fit(blocks(X), blocks(Y), blocks(scale * S))
    assert_same_model(clf, optimum(**parameters).fit(X, Y, scale * S))


def test_standard_scaling_has_the_means_of_all_rows():
    clf = optimum(rescale="standard").fit(blocks(X), blocks(Y), blocks(S))
    mean = np.average(X, axis=0, weights=S)
    np.testing.assert_allclose(clf.mean_, mean, rtol=1e-12)
    deviations = np.average((X - mean) ** 2, axis=0, weights=S) ** 0.5
    np.testing.assert_allclose(clf.scale_, deviations, rtol=1e-12)


# Labels


@pytest.mark.parametrize(
    "y",
    [
        LETTERS[Y],
        LETTERS[Y].astype(object),
        Y > 0,
        Y.astype("i1"),
        Y.astype("u8") + np.uint64(2**63),
        Y - 1.0,
        np.array(["2020", "2021", "2022"], "M8[Y]")[Y],
        SOFT,
        SOFT.astype("f4"),
    ],
    ids=lambda y: f"{y.dtype}-{y.ndim}",
)
def test_labels_of_any_kind_are_taken(y):
    expected = optimum().fit(X, y, S)
    assert_same_model(optimum().fit(blocks(X), blocks(y), blocks(S)), expected)
    assert_same_model(optimum().fit(blocks(X), y, blocks(S)), expected)


def test_soft_labels_are_weighted_by_class():
    clf = optimum(class_weight="balanced").fit(blocks(X), blocks(SOFT), blocks(S))
    assert_same_model(clf, optimum(class_weight="balanced").fit(X, SOFT, S))


def test_each_block_may_have_a_single_class():
    order = np.argsort(Y, kind="stable")
    sizes = tuple(np.bincount(Y).tolist())
    clf = optimum().fit(blocks(X[order], sizes), blocks(LETTERS[Y[order]], sizes))
    assert_same_model(clf, optimum().fit(X[order], LETTERS[Y[order]]))


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_block_may_have_no_weight(class_weight):
    weights = S.copy()
    weights[75:100] = 0
    clf = optimum(class_weight=class_weight)
    expected = optimum(class_weight=class_weight).fit(X, Y, weights)
    assert_same_model(clf.fit(blocks(X), blocks(Y), blocks(weights)), expected)


def test_blocks_may_be_empty():
    sizes = (0, 75, 0, 0, 125, 0)
    lazy = [blocks(each, sizes) for each in (X, Y, S)]
    assert_same_model(optimum().fit(*lazy), optimum().fit(X, Y, S))
    some = X[:, 0] > 1.5
    lazy = [blocks(each, (20,) * 10)[blocks(some, (20,) * 10)] for each in (X, Y, S)]
    assert 0 in [len(lazy[0].blocks[i].compute()) for i in range(10)]
    assert_same_model(optimum().fit(*lazy), optimum().fit(X[some], Y[some], S[some]))


def test_many_small_blocks_are_few_parts_with_the_same_optimum(monkeypatch):
    monkeypatch.setattr(reading, "MAX_PARTS", 8)
    clf = optimum().fit(blocks(X, (5,) * 40), blocks(Y, (5,) * 40))
    assert_same_model(clf, optimum().fit(X, Y))


# Searches


def search(model, grid, **options):
    return TFSoftmaxGridSearchCV(model, grid, **{"cv": 3} | options)


def test_a_search_on_blocks_finds_the_scores_of_memory():
    grid = {"alpha": [0.001, 0.1], "fit_intercept": [True, False]}
    options = {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"}
    model = optimum(rescale="standard")
    here = search(model, grid, return_train_score=True, **options).fit(X, Y)
    there = search(model, grid, return_train_score=True, **options)
    there.fit(blocks(X), blocks(Y))
    for name, values in here.cv_results_.items():
        if "_test_" in name or "_train_" in name:
            actual = there.cv_results_[name]
            np.testing.assert_allclose(actual, values, rtol=1e-7, err_msg=name)
    assert there.best_params_ == here.best_params_
    assert_same_model(there.best_estimator_, here.best_estimator_)


@pytest.mark.slow
def test_a_search_by_batches_is_that_of_each_candidate_alone():
    grid = {"learning_rate": [0.01, 0.1]}
    together = search(by_batches(), grid).fit(blocks(X), blocks(Y))
    for i, rate in enumerate(grid["learning_rate"]):
        alone = search(by_batches(), {"learning_rate": [rate]})
        alone.fit(blocks(X), blocks(Y))
        name = "mean_test_score"
        assert together.cv_results_[name][i] == alone.cv_results_[name][0]


def test_a_search_computes_each_block_once():
    counts = Counter()

    def read(block, block_info=None):
        counts[block_info[0]["chunk-location"]] += 1
        return block

    rows = blocks(X).map_blocks(read, dtype=X.dtype, meta=np.zeros((0, 0)))
    search(optimum(), {"alpha": [0.01, 0.1]}).fit(rows, blocks(Y))
    assert counts == {(i, 0): 1 for i in range(len(SIZES))}


def test_a_search_finds_out_how_many_rows_are_in_each_block():
    known = search(optimum(), {"alpha": [0.01, 0.1]}).fit(blocks(X), blocks(Y))
    rows, labels = unknown(blocks(X)), unknown(blocks(Y))
    found = search(optimum(), {"alpha": [0.01, 0.1]}).fit(rows, labels)
    name = "mean_test_score"
    np.testing.assert_array_equal(found.cv_results_[name], known.cv_results_[name])
    assert np.isnan(rows.chunks[0]).all()  # the user's array is as it was


def test_a_search_takes_the_values_of_a_frame_and_a_column_of_labels():
    model, grid = optimum(rescale="standard"), {"alpha": [0.01, 0.1]}
    here = search(model, grid).fit(TABLE[NAMES].to_numpy(), TABLE["y"])
    there = search(model, grid).fit(FRAME[NAMES].to_dask_array(), FRAME["y"])
    assert_same_model(there.best_estimator_, here.best_estimator_)
    with pytest.raises(TypeError, match=r"Convert X with X\.to_dask_array\(\)"):
        search(model, grid).fit(FRAME[NAMES], FRAME["y"])


def test_a_candidate_that_fails_on_blocks_fails_alone(monkeypatch):
    grid = {"alpha": [0.01, 0.1]}
    expected = search(optimum(), grid).fit(blocks(X), blocks(Y))
    failing, solver = [], lbfgs.solve

    def solve(problem, callbacks):
        if problem.settings[0].alpha == 0.1:
            failing.append(problem)
            raise ValueError("no luck")
        return solver(problem, callbacks)

    monkeypatch.setitem(SOLVERS, "lbfgs", replace(SOLVERS["lbfgs"], solve=solve))
    with (
        pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 6"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        found = search(optimum(), grid, refit=False).fit(blocks(X), blocks(Y))
    name = "mean_test_score"
    assert found.cv_results_[name][0] == expected.cv_results_[name][0]
    assert np.isnan(found.cv_results_[name][1])
    assert len(failing) == 3


def test_a_search_takes_weights_wherever_they_are():
    grid = {"alpha": [0.01, 0.1]}
    here = search(optimum(), grid).fit(X, Y, sample_weight=S)
    for weights in (S, blocks(S), unknown(blocks(S)), dd.from_pandas(pd.Series(S), 3)):
        there = search(optimum(), grid)
        there.fit(blocks(X), blocks(Y), sample_weight=weights)
        assert_same_model(there.best_estimator_, here.best_estimator_)


def test_a_search_on_blocks_heeds_no_backend_of_joblib():
    expected = search(optimum(), {"alpha": [0.01, 0.1]}).fit(blocks(X), blocks(Y))
    with joblib.parallel_config("loky", n_jobs=2):
        found = search(optimum(), {"alpha": [0.01, 0.1]}, n_jobs=2)
        found.fit(blocks(X), blocks(Y))
    assert_same_bits(found.best_estimator_, expected.best_estimator_)


# Arrays, DataFrames, and what is in memory


def test_blocks_of_unknown_size_have_the_bits_of_others():
    known = optimum().fit(blocks(X), blocks(Y), blocks(S))
    clf = optimum().fit(*(unknown(blocks(each)) for each in (X, Y, S)))
    assert_same_bits(clf, known)


def test_blocks_of_unknown_size_are_read_once():
    counts = Counter()

    def read(some):
        counts[some.start] += 1
        return X[some]

    starts = (0, 75, 100)
    read_later = [
        dask.delayed(read, traverse=False)(slice(start, start + size))
        for start, size in zip(starts, SIZES, strict=True)
    ]
    rows = da.concatenate(
        [da.from_delayed(each, (np.nan, N_FEATURES), float) for each in read_later]
    )
    optimum().fit(rows, blocks(Y))
    assert counts == dict.fromkeys(starts, 1)


@pytest.mark.parametrize("kind", ["object", "category", "string"])
def test_frames_are_taken(kind):
    y = TABLE["y"].astype(kind)
    expected = optimum().fit(TABLE[NAMES], y, TABLE["weight"])
    clf = optimum().fit(FRAME[NAMES], FRAME["y"].astype(kind), FRAME["weight"])
    assert_same_model(clf, expected)
    assert clf.feature_names_in_.tolist() == NAMES


def test_some_rows_of_a_frame_are_taken():
    some, rows = FRAME[FRAME["a"] > 0.5], TABLE[TABLE["a"] > 0.5]
    clf = optimum().fit(some[NAMES], some["y"], some["weight"])
    assert_same_model(clf, optimum().fit(rows[NAMES], rows["y"], rows["weight"]))


def test_columns_of_soft_labels_name_the_classes():
    names = ["spam", "eggs", "ham"]
    table = TABLE.join(pd.DataFrame(SOFT, columns=names))
    frame = dd.from_pandas(table, npartitions=3)
    clf = optimum().fit(frame[NAMES], frame[names])
    assert_same_model(clf, optimum().fit(table[NAMES], table[names]))
    assert clf.classes_.tolist() == names


def test_frames_and_arrays_go_together():
    expected = optimum().fit(X, Y, S)
    rows = FRAME[NAMES].to_dask_array(lengths=True)
    labels = dd.from_pandas(pd.Series(Y), npartitions=4)
    assert_same_model(optimum().fit(rows, labels, FRAME["weight"]), expected)
    weights = blocks(S, rows.chunks[0])
    clf = optimum().fit(FRAME[NAMES], blocks(Y, rows.chunks[0]), weights)
    assert_same_model(clf, optimum().fit(TABLE[NAMES], Y, S))


def test_labels_and_weights_may_be_in_memory():
    expected = optimum().fit(blocks(X), blocks(Y), blocks(S))
    assert_same_bits(optimum().fit(blocks(X), Y, S), expected)
    assert_same_bits(optimum().fit(blocks(X), Y.tolist(), S.tolist()), expected)
    assert_same_bits(optimum().fit(blocks(X), blocks(Y), S), expected)
    twice = optimum().fit(blocks(X), Y, 2.0)
    assert_same_model(twice, optimum().fit(X, Y, np.full(N, 2.0)))


@pytest.mark.slow
@pytest.mark.parametrize("model", [optimum, by_batches])
def test_held_out_rows_are_measured_wherever_they_are(model):
    held_out, y_val, weights = problem(120, seed=1)
    clf = model(shuffle=False)
    in_memory = {"X_val": held_out, "y_val": y_val, "sample_weight_val": weights}
    sizes = (50, 0, 70)
    as_blocks = {name: blocks(each, sizes) for name, each in in_memory.items()}
    expected = clf.fit(X, Y, **in_memory).history_
    for rows, y in ((X, Y), (blocks(X), blocks(Y))):
        for val in (in_memory, as_blocks, as_blocks | {"y_val": y_val}):
            history = clf.fit(rows, y, **val).history_
            for name in ("val_loss", "val_accuracy"):
                np.testing.assert_allclose(
                    history[name], expected[name], rtol=1e-7, atol=0
                )


def test_a_pipeline_takes_them():
    pipeline = make_pipeline(FunctionTransformer(), optimum())
    pipeline.fit(blocks(X), blocks(Y))
    assert_same_model(pipeline[-1], optimum().fit(X, Y))
    predicted = pipeline.predict(blocks(X))
    assert isinstance(predicted, da.Array)
    np.testing.assert_array_equal(predicted.compute(), pipeline.predict(X))


def test_a_fit_resumes_where_one_in_memory_ended():
    clf = optimum(warm_start=True).fit(X, Y)
    assert clf.fit(blocks(X), blocks(Y)).n_iter_ <= 1
    assert clf.fit(X, Y).n_iter_ <= 1


# Mini-batches


def assert_same_training(clf, expected, rtol=1e-12):
    assert_same_model(clf, expected, rtol)
    columns = ["loss", "accuracy", "learning_rate"]
    np.testing.assert_allclose(clf.history_[columns], expected.history_[columns])
    assert clf.learning_rate_ == pytest.approx(expected.learning_rate_, rel=1e-12)
    for name in ("epochs_", "learning_rate_schedule_", "n_iter_"):
        assert getattr(clf, name) == getattr(expected, name)


def assert_trained_as_in_memory(rows=X, lazy=None, y=Y, rtol=1e-12, **parameters):
    clf = by_batches(shuffle=False, **parameters)
    expected = by_batches(shuffle=False, **parameters).fit(rows, y, S)
    clf.fit(blocks(rows) if lazy is None else lazy, blocks(y), blocks(S))
    assert_same_training(clf, expected, rtol)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"alpha": 0.1, "l1_ratio": 0.7, "learning_rate": 0.1},
        {"rescale": "standard", "class_weight": "balanced"},
    ],
    ids=["auto", "l1", "standard"],
)
def test_the_steps_are_those_of_memory(optimizer, parameters):
    assert_trained_as_in_memory(optimizer=optimizer, **parameters)


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer", mostly_slow(["adam"], ("sgd",), ("momentum",), ("nesterov",))
)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        pytest.param({"rescale": "standard"}, marks=pytest.mark.slow),
        pytest.param({"alpha": 0.1, "l1_ratio": 0.7}, marks=pytest.mark.slow),
    ],
    ids=["auto", "standard", "l1"],
)
def test_the_steps_on_sparse_rows_are_those_of_memory(optimizer, parameters):
    lazy = blocks(FEW).map_blocks(sparse.csr_array)
    assert_trained_as_in_memory(
        sparse.csr_array(FEW), lazy, optimizer=optimizer, **parameters
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Training has not converged")
@pytest.mark.parametrize("schedule", ["constant", "cosine", "invscaling", "adaptive"])
def test_a_schedule_goes_by_all_rows(schedule):
    assert_trained_as_in_memory(
        optimizer="sgd", learning_rate_schedule=schedule, epochs=40, tol=1e-3
    )


def test_epochs_are_as_many_as_in_memory():
    assert_trained_as_in_memory(epochs="auto")
    assert_trained_as_in_memory(epochs=200, tol=1e-2, n_iter_no_change=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows",
    [BYTES, (X * 2.0**40).astype("i8"), X > 0, (X * 100).astype("i8")],
    ids=["bytes", "large integers", "booleans", "integers"],
)
def test_the_steps_on_rows_of_any_dtype_are_those_of_memory(rows):
    assert_trained_as_in_memory(rows, rtol=1e-6 if rows.dtype != "i8" else 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("y", [Y > 0, SOFT, LETTERS[Y]], ids=["two", "soft", "words"])
def test_the_steps_for_any_labels_are_those_of_memory(y):
    assert_trained_as_in_memory(y=y)


def test_the_random_state_determines_the_order():
    one, same, other = (
        by_batches(random_state=seed).fit(blocks(X), blocks(Y)) for seed in (0, 0, 1)
    )
    assert_same_bits(one, same)
    assert (one.coef_ != other.coef_).any()


def test_each_epoch_is_shuffled_anew():
    rows = blocks(X, (25,) * 8)
    y = blocks(Y, (25,) * 8)
    clf = by_batches(learning_rate=0.01, alpha=0.0, optimizer="sgd", epochs=2)
    clf.fit(rows, y)
    again = by_batches(**clf.get_params() | {"epochs": 1, "warm_start": True})
    again.fit(rows, y).fit(rows, y)
    assert_same_bits(again, clf)


NUMBERS = {"learning_rate": 0.05, "alpha": 0.1, "learning_rate_schedule": "constant"}


def test_partial_fit_is_an_epoch_of_fit():
    clf = by_batches(**NUMBERS)
    for _ in range(4):
        clf.partial_fit(blocks(X), blocks(Y), classes=[0, 1, 2])
    expected = by_batches(**NUMBERS).fit(blocks(X), blocks(Y))
    np.testing.assert_array_equal(clf.coef_, expected.coef_)
    assert clf.loss_curve_ == expected.loss_curve_


def test_partial_fit_takes_rows_wherever_they_are():
    clf, expected = by_batches(shuffle=False), by_batches(shuffle=False)
    for rows, y in ((X, Y), (blocks(X), blocks(Y)), (blocks(X), Y), (X, Y)):
        clf.partial_fit(rows, y, classes=[0, 1, 2])
        expected.partial_fit(X, Y, classes=[0, 1, 2])
    assert_same_model(clf, expected, 1e-12)


def test_early_stopping_keeps_the_best_epoch():
    clf = by_batches(early_stopping=True, epochs=50, n_iter_no_change=2)
    history = clf.fit(blocks(X), blocks(Y), blocks(S)).history_
    assert history.val_loss[history.kept].tolist() == [history.val_loss.min()]
    again = by_batches(**clf.get_params()).fit(blocks(X), blocks(Y), blocks(S))
    assert_same_bits(again, clf)


def test_early_stopping_goes_by_held_out_rows_that_are_passed():
    held_out = dict(zip(("X_val", "y_val"), problem(120, seed=1), strict=False))
    parameters = {"early_stopping": True, "epochs": 50, "shuffle": False}
    expected = by_batches(**parameters).fit(X, Y, **held_out)
    clf = by_batches(**parameters).fit(blocks(X), blocks(Y), **held_out)
    assert_same_training(clf, expected)
    assert clf.history_.kept.tolist() == expected.history_.kept.tolist()


def test_sorted_rows_are_warned_of():
    order = np.argsort(Y, kind="stable")
    rows, y = blocks(X[order], (20,) * 10), blocks(Y[order], (20,) * 10)
    with pytest.warns(UserWarning, match="sorted by class"):
        by_batches().fit(rows, y)
    optimum().fit(rows, y)


def test_the_dual_gap_is_measured_of_any_model():
    clf = by_batches().fit(blocks(X), blocks(Y))
    actual = dual_gap(clf, blocks(X), blocks(Y))
    assert actual == pytest.approx(dual_gap(clf, X, Y), rel=1e-7)


# What is refused

WITH_NAN = X.copy()
WITH_NAN[80, 2] = np.nan
NEITHER = np.where(Y == 0, np.nan, Y)

REFUSED = {
    "NaN": ((blocks(WITH_NAN), blocks(Y)), (WITH_NAN, Y), "In block 1 of X"),
    "NaN in y": ((blocks(X), blocks(NEITHER)), (X, NEITHER), "In block . of X"),
    "complex": ((blocks(X * 1j), blocks(Y)), (X * 1j, Y), "In block . of X"),
    "no rows": ((blocks(X)[:0], blocks(Y)[:0]), (X[:0], Y[:0]), None),
    "no y": ((blocks(X), None), (X, None), None),
    "one class": ((blocks(X), blocks(0 * Y)), (X, 0 * Y), None),
    "y short": ((blocks(X), Y[:150]), (X, Y[:150]), None),
    "no weight": ((blocks(X), blocks(Y), blocks(0 * S)), (X, Y, 0 * S), None),
    "weights": ((blocks(X), blocks(Y), blocks(-S)), (X, Y, -S), "In block . of X"),
    "scores": ((blocks(X), blocks(S)), (X, S), "In block . of X"),
    "no labels": ((blocks(X), blocks(2 * SOFT)), (X, 2 * SOFT), "In block . of X"),
}


def message(error):
    """What it says, without the numbers that a block doesn't share with all rows."""
    return (
        str(error).split("; got")[0].split("[")[0].split("(shape")[0].split("row ")[0]
    )


@pytest.mark.parametrize("model", [optimum, by_batches])
@pytest.mark.parametrize(("lazy", "rows", "note"), REFUSED.values(), ids=REFUSED)
def test_what_memory_refuses_is_refused_alike(lazy, rows, note, model):
    with pytest.raises((TypeError, ValueError)) as expected:
        model().fit(*rows)
    clf = model().fit(blocks(X), blocks(Y))
    before = dict(vars(clf))
    with pytest.raises(type(expected.value)) as caught:
        clf.fit(*lazy)
    assert message(caught.value) == message(expected.value)
    assert vars(clf) == before
    notes = getattr(caught.value, "__notes__", [])
    assert len(notes) == (note is not None)
    if note is not None:
        assert notes[0].startswith(note.partition(".")[0])


@pytest.mark.parametrize(
    ("rows", "y", "kind", "words"),
    [
        (blocks(X), blocks(Y, (100, 100)), ValueError, r"rechunk\(\{0: X.chunks"),
        (blocks(X), blocks(Y)[:150], ValueError, "each of the 200 rows of X; it has"),
        (blocks(X).rechunk((75, 2)), blocks(Y), ValueError, r"X.rechunk\(\{0: \"aut"),
        (X, blocks(Y), TypeError, "X must be a Dask collection"),
        (blocks(X)[:, 0], blocks(Y), ValueError, "X must have two dimensions"),
        (dask.delayed(X), blocks(Y), TypeError, "got a dask.delayed"),
        (unknown(blocks(X)), Y, ValueError, "y is in memory and can't be split"),
        (
            unknown(blocks(X)),
            blocks(Y)[blocks(Y > 0)],
            ValueError,
            "y must have a label for",
        ),
    ],
)
def test_collections_that_do_not_fit_are_refused(rows, y, kind, words):
    clf = optimum()
    with pytest.raises(kind, match=words):
        clf.fit(rows, y)
    assert not hasattr(clf, "coef_")


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        ({"X_val": blocks(WITH_NAN), "y_val": blocks(Y)}, "X_val .* contains NaN"),
        ({"X_val": blocks(X[:, :3]), "y_val": blocks(Y)}, "X_val .* has 3 features"),
        ({"X_val": blocks(X)[:0], "y_val": blocks(Y)[:0]}, "X_val .* 0 sample"),
        ({"X_val": blocks(X), "y_val": blocks(Y + 1)}, "y_val has labels .*3"),
        (
            {"X_val": blocks(X), "y_val": blocks(Y), "sample_weight_val": 0.0},
            "sample_weight_val must not be zero",
        ),
    ],
)
def test_held_out_rows_are_refused_by_their_names(held_out, words):
    with pytest.raises(ValueError, match=words):
        optimum().fit(blocks(X), blocks(Y), **held_out)


def test_a_frame_without_rows_is_refused_and_nothing_warned_of():
    none = FRAME[FRAME["a"] > 99]
    with pytest.raises(ValueError, match="0 sample"):
        optimum().fit(none[NAMES], none["y"])


def test_other_classes_than_before_are_refused():
    clf = by_batches(warm_start=True).fit(blocks(X), blocks(Y))
    with pytest.raises(ValueError, match="The classes in y can't change when"):
        clf.fit(blocks(X), blocks(Y + 1))
    clf = by_batches()
    with pytest.raises(ValueError, match="classes must be passed to the first call"):
        clf.partial_fit(blocks(X), blocks(Y))
    with pytest.raises(ValueError, match=r"not among the classes \[0, 1\]: \[2\]"):
        clf.partial_fit(blocks(X), blocks(Y), classes=[0, 1])
    assert not hasattr(clf, "coef_")


# On workers


@pytest.fixture(scope="module")
def cluster():
    with start() as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        yield client


TRAININGS = {
    "optimum": (optimum, X),
    "adam": (by_batches, X),
    "held out": (lambda: by_batches(early_stopping=True, rescale="standard"), X),
    "sparse": (optimum, FEW),
    "sparse batches": (lambda: by_batches(optimizer="sgd"), FEW),
}


def trained(name):
    make, rows = TRAININGS[name]
    rows = blocks(rows, (30,) * 6 + (20,))
    if name.startswith("sparse"):
        rows = rows.map_blocks(sparse.csr_array)
    return make().fit(rows, *(blocks(each, rows.chunks[0]) for each in (Y, S)))


@pytest.mark.parametrize("name", mostly_slow(["optimum"], ("held out",)))
def test_workers_find_the_bits_of_this_process_and_keep_nothing(name, cluster):
    expected = trained(name)
    with distributed.Client(cluster) as client:
        assert_same_bits(trained(name), expected)
        assert eventually(lambda: is_clean(client))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_workers", "n_threads"), [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2)]
)
def test_the_bits_depend_on_no_worker_and_no_thread(n_workers, n_threads):
    expected = {name: trained(name) for name in TRAININGS}
    with start(n_workers, n_threads) as cluster, distributed.Client(cluster):
        for name, clf in expected.items():
            assert_same_bits(trained(name), clf)


@pytest.fixture
def bytes_loaded(monkeypatch):
    """The bytes of all that the client has gathered."""
    sizes, gather = [], distributed.Client._gather

    async def counting(self, *arguments, **options):
        found = await gather(self, *arguments, **options)
        sizes.append(dask.sizeof.sizeof(found))
        return found

    monkeypatch.setattr(distributed.Client, "_gather", counting)
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_client_loads_no_partition(early_stopping, client, bytes_loaded):
    n = 50_000
    rows = da.random.default_rng(0).normal(size=(4 * n, 5), chunks=(n, 5))
    y = (rows[:, 0] > 0).astype(int)
    if early_stopping:
        by_batches(early_stopping=True, epochs=1, batch_size=5000).fit(rows, y)
    else:
        model = optimum(rescale="standard", class_weight="balanced", tol=1e-3)
        model.fit(rows, y, X_val=rows, y_val=y)
    assert len(bytes_loaded) > 3
    assert sum(bytes_loaded) < 8 * n


REFUSED_BY_WORKERS = {
    "in a block": (blocks(WITH_NAN), blocks(Y), {}),
    "of all blocks": (blocks(X), blocks(0 * Y), {}),
    "held out": (blocks(X), blocks(Y), {"X_val": blocks(X), "y_val": blocks(Y + 1)}),
}


@pytest.mark.parametrize(("X", "y", "held_out"), REFUSED_BY_WORKERS.values())
def test_a_fit_that_fails_leaves_nothing_on_the_workers(X, y, held_out, client):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        optimum().fit(X, y, **held_out)
    del caught
    assert eventually(lambda: is_clean(client))


@pytest.mark.slow
def test_a_training_that_diverges_leaves_nothing_on_the_workers(client):
    with pytest.raises(ValueError, match="Lower learning_rate"):
        by_batches(optimizer="sgd", learning_rate=1e300).fit(blocks(X), blocks(Y))
    assert eventually(lambda: is_clean(client))


def fit_in_task(weight):
    """Fit, and return the coefficients or what was refused."""
    held_out = {"X_val": blocks(X), "y_val": blocks(Y), "sample_weight_val": weight}
    try:
        return optimum().fit(blocks(X), blocks(Y), **held_out).coef_
    except ValueError as error:
        return str(error)


@pytest.mark.slow
def test_a_task_fits_on_the_workers_of_its_cluster(cluster):
    expected = fit_in_task(1.0)
    with distributed.Client(cluster) as client:
        coef, refused, again = client.gather(
            [client.submit(fit_in_task, each, pure=False) for each in (1.0, 0.0, 1.0)]
        )
        assert eventually(lambda: is_clean(client))
    np.testing.assert_array_equal(coef, expected)
    np.testing.assert_array_equal(again, expected)
    assert refused == "sample_weight_val must not be zero for all rows."


def test_a_worker_of_another_version_is_refused(client, monkeypatch):
    monkeypatch.setattr(reading, "this_version", lambda: "0.0")
    clf = optimum()
    with pytest.raises(RuntimeError, match=r"this process has 0\.0\. Install the same"):
        clf.fit(blocks(X), blocks(Y))
    assert not hasattr(clf, "coef_")
    assert eventually(lambda: is_clean(client))


def test_an_asynchronous_client_is_refused(client):
    async def fit():
        async with distributed.Client(
            client.cluster, asynchronous=True, set_as_default=True
        ):
            optimum().fit(blocks(X), blocks(Y))

    with pytest.raises(RuntimeError, match="needs a synchronous Dask client"):
        client.sync(fit)


@pytest.mark.slow
def test_a_client_that_is_closed_is_refused(cluster):
    with distributed.Client(cluster) as client:
        client.close()
        with pytest.raises(ConnectionError, match="the client is closed"):
            optimum().fit(blocks(X), blocks(Y))
