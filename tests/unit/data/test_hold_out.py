"""What early stopping holds out, by the values of rows and not by their positions."""

from __future__ import annotations

import math
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.problems import classic, estimator
from tfsoftmax.data import hold_out as module
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.hold_out import hold_out


def dataset_of(y, X=None, weights=None):
    """Return rows that are all different, unless X is passed."""
    y = np.asarray(y, dtype=np.int32)
    if X is None:
        X = np.random.default_rng(0).normal(size=(len(y), 3))
    if weights is not None:
        weights = np.asarray(weights, dtype=float)
        weights = weights / weights.mean()
    return Dataset(X, y, weights)


def split(rows, fraction=0.25, seed=0):
    """Return the indices of the rows to train on and of those held out."""
    return hold_out(rows, fraction, np.random.RandomState(seed))


def both_sides(rows, fraction=0.25, rng=None):
    """Return the rows to train on and those held out, as datasets."""
    sides = hold_out(rows, fraction, rng or np.random.RandomState(0))
    return tuple(rows.take(side) for side in sides)


def contents(rows):
    """Return the different (row, label) pairs of some rows with a weight."""
    X = rows.X[rows.index]
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    return {
        (*x, label)
        for x, label, weight in zip(
            X.tolist(), rows.y.tolist(), weights.tolist(), strict=True
        )
        if weight
    }


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_the_fraction_is_held_out_of_each_class(fraction):
    sizes = [2, 3, 4, 7, 10, 11, 20, 99, 100, 101, 1000]
    y = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    training, held_out = split(dataset_of(y), fraction)
    for label, size in enumerate(sizes):
        expected = min(size - 1, math.ceil(round(fraction * size, 9)))
        assert (y[held_out] == label).sum() == expected
        assert (y[training] == label).sum() == size - expected


@settings(max_examples=50)
@given(
    y=st.lists(st.integers(0, 3), min_size=2, max_size=40),
    fraction=st.floats(0.001, 0.999),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_row_is_on_one_side_and_rows_keep_their_order(y, fraction, seed):
    counts = np.bincount(y, minlength=4)
    if counts.max() < 2:
        return
    training, held_out = split(dataset_of(y), fraction, seed)
    np.testing.assert_array_equal(np.sort(np.r_[training, held_out]), np.arange(len(y)))
    assert (np.diff(training) > 0).all()
    assert (np.diff(held_out) > 0).all()
    y = np.array(y)
    for label in range(4):
        n_held_out, n_left = ((y[side] == label).sum() for side in (held_out, training))
        if counts[label] < 2:
            assert (n_held_out, n_left) == (0, counts[label])
        else:
            assert min(n_held_out, n_left) >= 1


# Few different rows, so that many are equal.
SOME_ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 4)),
    min_size=4,
    max_size=30,
)


def rows_from(table):
    """Rows from triples (what X holds, label, weight); None if too few differ."""
    values, labels, weights = (np.array(column) for column in zip(*table, strict=True))
    seen = {(x, label) for x, label, weight in table if weight}
    if len(seen) == len({label for _, label in seen}):
        return None  # nothing can be held out
    return dataset_of(labels, values[:, None].astype(float), weights)


@pytest.mark.slow
@settings(max_examples=100)
@given(table=SOME_ROWS, fraction=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_equal_rows_stay_together(table, fraction, seed):
    rows = rows_from(table)
    if rows is None:
        return
    generator = np.random.RandomState(seed)
    training, held_out = both_sides(rows, fraction, generator)
    assert not contents(training) & contents(held_out)
    assert contents(held_out)


@settings(max_examples=100)
@given(
    table=SOME_ROWS,
    fraction=st.sampled_from([0.1, 1 / 3, 0.25, 0.5, 0.9]),
    seed=st.integers(0, 99),
    order=st.randoms(use_true_random=False),
)
def test_weighting_repeating_and_reordering_hold_out_the_same_rows(
    table, fraction, seed, order
):
    rows = rows_from(table)
    if rows is None:
        return
    repeated = [(x, y, 1) for x, y, weight in table for _ in range(weight)]
    shuffled = repeated.copy()
    order.shuffle(shuffled)
    sides = []
    for other in (rows, rows_from(repeated), rows_from(shuffled)):
        parts = both_sides(other, fraction, np.random.RandomState(seed))
        sides.append([contents(part) for part in parts])
    assert sides[0] == sides[1] == sides[2]


def test_rows_of_weight_zero_are_never_held_out():
    y = np.arange(200) % 2
    weights = np.random.default_rng(0).integers(0, 2, 200)
    training, held_out = split(dataset_of(y, weights=weights), 0.5)
    assert weights[held_out].all()
    assert set(np.flatnonzero(weights == 0)) <= set(training)


def test_weights_of_both_sides_have_a_mean_of_one():
    s = np.random.default_rng(0).uniform(0, 5, 100)
    rows = dataset_of(np.arange(100) % 2, weights=s)
    for part in both_sides(rows, 0.2):
        assert part.weights.mean() == pytest.approx(1, rel=1e-12)
        np.testing.assert_allclose(
            part.weights / part.weights[0], s[part.index] / s[part.index[0]]
        )


def test_the_weight_of_a_class_is_what_the_fraction_is_taken_of():
    # One of the ten rows has half of the weight: alone it is enough, or too much.
    weights = [9] + [1] * 9
    for seed in range(20):
        _, held_out = split(dataset_of([0] * 10, weights=weights), 0.5, seed)
        of_weight = np.array(weights)[held_out].sum()
        without_the_last = of_weight - np.array(weights)[held_out].max()
        assert of_weight >= 9
        assert without_the_last < 9


@pytest.mark.parametrize("weight", [0.1, 0.3, 1.1, 7.0])
def test_rounding_holds_out_no_row_too_many(weight):
    for n_tenths in range(1, 10):
        y = np.repeat([0, 1], [10, 7])
        rows = dataset_of(y, weights=np.where(y == 0, weight, 1.0))
        _, held_out = split(rows, n_tenths / 10)
        assert (y[held_out] == 0).sum() == n_tenths


def test_a_seed_gives_one_split_and_another_seed_another():
    rows = dataset_of(np.arange(100) % 3)
    np.testing.assert_array_equal(split(rows, seed=1)[1], split(rows, seed=1)[1])
    assert split(rows, seed=1)[1].tolist() != split(rows, seed=2)[1].tolist()


def test_the_generator_moves_on():
    rows, generator = dataset_of(np.arange(100) % 3), np.random.RandomState(0)
    first, second = (hold_out(rows, 0.25, generator)[1] for _ in range(2))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, bool])
@pytest.mark.parametrize(
    "arrange", [np.ascontiguousarray, np.asfortranarray, lambda X: X[::-1][::-1]]
)
def test_layout_of_the_rows_changes_nothing(dtype, arrange):
    X = np.random.default_rng(0).integers(0, 2, (60, 20)).astype(dtype)
    y = np.arange(60) % 3
    plain = split(dataset_of(y, X))
    np.testing.assert_array_equal(split(dataset_of(y, arrange(X)))[1], plain[1])


def test_x_is_not_copied():
    X = np.random.default_rng(0).normal(size=(2000, 500))
    rows = dataset_of(np.arange(2000) % 2, X)
    tracemalloc.start()
    try:
        parts = both_sides(rows, 0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(part.X is X for part in parts)
    assert peak < X.nbytes / 10


def test_sparse_rows_are_split_too_and_not_copied():
    X = sparse.random_array((300, 50), density=0.1, rng=np.random.default_rng(0))
    X = X.tocsr()
    parts = both_sides(dataset_of(np.arange(300) % 3, X), 0.1)
    assert all(part.X is X for part in parts)
    training, held_out = parts
    assert (np.bincount(held_out.y) == 10).all()
    assert (np.bincount(training.y) == 90).all()
    seen = {row.tobytes() for row in X[training.index].toarray()}
    assert not any(row.tobytes() in seen for row in X[held_out.index].toarray())


@pytest.mark.parametrize("seed", range(5))
def test_the_format_of_the_rows_changes_nothing(seed):
    dense = np.random.default_rng(0).integers(0, 3, (60, 8)).astype(float)
    # Each entry in two halves, and explicit zeros.
    columns = np.tile(np.arange(8), 60).repeat(2)
    halves = dense.ravel().repeat(2) / 2
    indptr = np.arange(0, 60 * 16 + 1, 16)
    X = sparse.csr_array((halves, columns, indptr), dense.shape)
    assert not X.has_canonical_format
    y = np.arange(60) % 3
    expected = split(dataset_of(y, dense), seed=seed)
    for same in (sparse.csr_array(dense), X):
        actual = split(dataset_of(y, same), seed=seed)
        np.testing.assert_array_equal(actual[0], expected[0])
        np.testing.assert_array_equal(actual[1], expected[1])
    assert X.nnz == 2 * dense.size  # as it was


def test_equal_sparse_rows_stay_together():
    X = sparse.csr_array(np.repeat(np.eye(8), 5, axis=0))
    held_out = split(dataset_of([0] * 40, X), 0.5)[1]
    assert (np.bincount(held_out // 5) % 5 == 0).all()
    assert len(held_out) == 20


def test_soft_labels_count_for_their_most_probable_class():
    hard = np.arange(90) % 3
    X = np.random.default_rng(0).normal(size=(90, 3))
    soft = Dataset(X, np.eye(3)[hard] * 0.7 + 0.1)
    expected = split(dataset_of(hard, X))
    for actual, hard_side in zip(split(soft), expected, strict=True):
        np.testing.assert_array_equal(actual, hard_side)


def test_a_split_of_a_part_refers_to_the_whole():
    rows = dataset_of(np.arange(100) % 2)
    part = rows.take(np.arange(0, 100, 3))
    training, held_out = both_sides(part)
    assert set(training.index) | set(held_out.index) == set(range(0, 100, 3))


@pytest.mark.parametrize(
    "rows",
    [
        dataset_of([0, 1]),
        dataset_of([0] * 5 + [1] * 5, X=np.repeat(np.eye(2), 5, axis=0)),
        dataset_of([0] * 5 + [1] * 5, weights=[0, 0, 0, 0, 1, 1, 0, 0, 0, 0]),
    ],
    ids=["one row each", "equal rows", "one row with a weight each"],
)
def test_where_nothing_can_be_held_out_there_is_an_error(rows):
    with pytest.raises(ValueError, match=r"no class has two different rows\. Pass X_v"):
        split(rows)


@pytest.fixture
def splits(monkeypatch):
    """A list that keeps the indices of both sides, split by split."""
    made = []

    def watched(*arguments):
        parts = hold_out(*arguments)
        made.append([part.tolist() for part in parts])
        return parts

    monkeypatch.setattr(module, "hold_out", watched)
    return made


def learnable():
    X, y = np.random.default_rng(0).normal(size=(203, 5)), np.arange(203) % 3
    X[:, 0] += y
    return X, y


def test_early_stopping_trains_on_one_side_and_measures_on_the_other(splits):
    X, y = learnable()
    stopping = {"early_stopping": True, "validation_fraction": 0.2}
    clf = estimator(shuffle=False, random_state=5, **stopping).fit(X, y)
    [(rows, held_out)] = splits
    assert len(held_out) == 14 * 3
    by_hand = estimator(shuffle=False, random_state=5)
    by_hand.fit(X[rows], y[rows], X_val=X[held_out], y_val=y[held_out])
    columns = ["loss", "accuracy", "val_loss", "val_accuracy"]
    np.testing.assert_array_equal(clf.history_[columns], by_hand.history_[columns])


def test_fits_hold_out_by_their_seed_and_resume_with_the_same_rows(splits):
    X, y = learnable()
    clf = estimator(early_stopping=True, warm_start=True).fit(X, y)
    pickle.loads(pickle.dumps(clf)).fit(X, y)
    clf.fit(X, y)
    estimator(early_stopping=True).fit(X, y)
    assert splits[0] == splits[1] == splits[2] == splits[3]
    estimator(early_stopping=True, random_state=6).fit(X, y)
    assert splits[4] != splits[0]


def test_early_stopping_says_so_where_it_can_hold_nothing_out():
    with pytest.raises(ValueError, match="early_stopping needs rows to hold out"):
        classic(early_stopping=True).fit(np.eye(2), [0, 1])
