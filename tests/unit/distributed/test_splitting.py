"""Rows of parts that are held out: some of each class, by their hashes alone."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from tests import clusters
from tests.problems import problem
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.distributed.cluster import ThisProcess
from tfsoftmax.distributed.part import Part
from tfsoftmax.fitting import prepare

X, Y, S = problem(2000)
SIZES = (700, 1, 999, 0, 300)
FRACTION = 0.25


def blocks(values, sizes=SIZES):
    return clusters.blocks(values, sizes)


def prepared(X=X, y=Y, weights=None, sizes=SIZES, seed=0, **parameters):
    clf = TFSoftmaxClassifier(
        early_stopping=True,
        validation_fraction=FRACTION,
        random_state=seed,
        **parameters,
    )
    if weights is not None:
        weights = blocks(weights, sizes)
    if not isinstance(X, da.Array):
        X = blocks(X, sizes)
    return prepare([clf], X, blocks(y, sizes), weights)


def contents(rows):
    """The rows, labels and weights of all parts, sorted by the rows."""
    found = [
        (
            part_block.X
            if part_block.index is None
            else part_block.X[part_block.index],
            part_block.y,
            part_block.row_weights(),
        )
        for part in rows.items
        for part_block in (part.by_sample if rows.by_sample else part.blocks)
    ]
    X, y, weights = (
        np.concatenate(each)
        for each in zip(
            *((x.toarray() if sparse.issparse(x) else x, y, w) for x, y, w in found),
            strict=True,
        )
    )
    order = np.lexsort(X.T)
    return X[order], y[order], weights[order]


def both_sides(**given):
    problem = prepared(**given)
    return contents(problem.dataset), contents(problem.held_out)


def assert_same(one, other):
    for each, expected in zip(one, other, strict=True):
        np.testing.assert_allclose(each, expected, rtol=1e-12)


def test_each_row_is_trained_on_or_held_out():
    (train, y, _), (out, y_out, _) = both_sides()
    both = np.vstack([train, out])
    order = np.lexsort(both.T)
    np.testing.assert_array_equal(both[order], X[np.lexsort(X.T)])
    labels = np.concatenate([y, y_out])[order]
    np.testing.assert_array_equal(labels, Y[np.lexsort(X.T)])


def test_about_the_fraction_is_held_out_of_each_class():
    _, (_, y, _) = both_sides()
    expected = FRACTION * np.bincount(Y)
    np.testing.assert_allclose(np.bincount(y), expected, atol=3 * expected.max() ** 0.5)


def test_the_numbers_of_rows_are_known():
    problem = prepared()
    train, held_out = contents(problem.dataset), contents(problem.held_out)
    assert len(problem.dataset) == len(train[0])
    assert len(problem.held_out) == len(held_out[0])
    for rows, (_, y, _) in ((problem.dataset, train), (problem.held_out, held_out)):
        np.testing.assert_allclose(rows.class_totals.sum(axis=0), np.bincount(y))


@pytest.mark.parametrize("sizes", [(2000,), (1,) * 5 + (1995,), (400,) * 5])
def test_the_blocks_do_not_matter(sizes):
    weights = np.round(S, 2)
    for side, expected in zip(
        both_sides(weights=weights, sizes=sizes),
        both_sides(weights=weights),
        strict=True,
    ):
        assert_same(side, expected)


def test_sparse_rows_are_held_out_as_dense_ones():
    rows = X * (abs(X) > 0.7)
    as_sparse = blocks(rows).map_blocks(sparse.csr_array)
    for side, expected in zip(both_sides(X=as_sparse), both_sides(X=rows), strict=True):
        assert_same(side, expected)


def test_another_seed_holds_out_other_rows():
    (_, held_out), (_, other) = both_sides(), both_sides(seed=1)
    assert held_out[0].shape != other[0].shape or (held_out[0] != other[0]).any()


def test_equal_rows_stay_together_in_whatever_parts_they_are():
    rows = np.tile(X[:20], (100, 1))
    (train, *_), (out, *_) = both_sides(X=rows, y=np.tile(Y[:20], 100))
    assert not set(map(tuple, train)) & set(map(tuple, out))


def test_weights_have_a_mean_of_one_and_keep_their_ratios():
    weight_of = {tuple(row): s for row, s in zip(X, S, strict=True)}
    for rows, _, weights in both_sides(weights=S):
        assert weights.mean() == pytest.approx(1)
        passed = np.array([weight_of[tuple(row)] for row in rows])
        np.testing.assert_allclose(weights / passed, weights[0] / passed[0])


def test_held_out_rows_have_no_class_weights():
    (_, y, weights), (_, _, out) = both_sides(class_weight={0: 5.0})
    np.testing.assert_allclose(out, 1)
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(weights[y == 0].mean(), 5 * weights[y == 1].mean())


def test_the_penalty_goes_by_the_weight_of_the_rows_trained_on():
    weights = np.where(np.arange(len(X)) % 2, 100.0, 0.01)
    weight_of = {tuple(row): s for row, s in zip(X, weights, strict=True)}
    problem = prepared(weights=weights)
    rows, _, _ = contents(problem.dataset)
    trained_on = sum(weight_of[tuple(row)] for row in rows)
    assert problem.settings[0].alpha == pytest.approx(1 / trained_on)


def test_rows_without_weight_are_not_held_out():
    weights = S * (Y > 0)
    _, (_, y, _) = both_sides(weights=weights)
    assert set(y) == {1, 2}


def test_classes_without_weight_are_held_out():
    problem = prepared(y=np.minimum(Y, 1), class_weight={0: 0.0})
    assert set(contents(problem.held_out)[1]) == {0, 1}
    _, y, weights = contents(problem.dataset)
    assert not weights[y == 0].any()
    assert weights.mean() == pytest.approx(1)


def test_soft_labels_are_held_out_with_their_rows():
    soft = 0.9 * np.eye(3)[Y] + 0.1 / 3
    for (rows, y, _), (rows_of_hard, labels, _) in zip(
        both_sides(y=soft), both_sides(), strict=True
    ):
        np.testing.assert_array_equal(rows, rows_of_hard)
        np.testing.assert_array_equal(y.argmax(axis=1), labels)


@pytest.mark.parametrize("seed", range(8))  # whether they are all held out, or none
@pytest.mark.parametrize(
    "given",
    [{"X": np.ones_like(X)}, {"weights": (np.arange(len(X)) == 5) * 1.0}],
    ids=["equal rows", "a row with weight"],
)
def test_too_few_different_rows_are_refused(given, seed):
    with pytest.raises(ValueError, match="early_stopping needs rows to hold out"):
        prepared(seed=seed, **given)


def test_a_training_without_the_only_row_of_weight_is_refused():
    y = np.where(np.arange(len(X)) == 5, 1, 0)
    held_out = []
    for seed in range(16):
        try:
            problem = prepared(y=y, class_weight={0: 0.0}, seed=seed)
        except ValueError:
            held_out.append(True)
        else:
            assert 1 not in contents(problem.held_out)[1]
            held_out.append(False)
    assert set(held_out) == {False, True}


def test_the_end_of_a_problem_frees_the_rows_taken_and_those_they_are_from(monkeypatch):
    made, released = [], []
    derive = ThisProcess.derive

    def recording(self, function, items, *arguments):
        results = derive(self, function, items, *arguments)
        made.extend(result for result in results if isinstance(result, Part))
        return results

    monkeypatch.setattr(ThisProcess, "derive", recording)
    monkeypatch.setattr(ThisProcess, "release", lambda _, items: released.extend(items))
    with prepared() as problem:
        kept = [*problem.dataset.items, *problem.held_out.items]
        assert not any(part in released for part in kept)
    assert len(made) > len(kept) > len(SIZES)
    assert all(part in released for part in made)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_few_rows_held_out_do_not_hold_all(class_weight):
    problem = prepared(sizes=(2000,), class_weight=class_weight)
    (part,), (most,) = problem.held_out.items, problem.dataset.items
    (block,) = part.blocks
    assert len(block.X) == len(block) < FRACTION * 1.2 * len(X)
    assert part.by_sample[0].X is block.X
    assert len(most.blocks[0].X) == len(X)  # the others are not copied
