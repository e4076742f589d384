"""Block shuffle: an order of parts and of rows, for each epoch anew."""

from __future__ import annotations

import warnings
from itertools import chain

import numpy as np
import pytest

from tests import clusters
from tests.problems import estimator, problem
from tfsoftmax.data.rows import precision_of
from tfsoftmax.distributed import block_shuffle
from tfsoftmax.engine.engine import Engine
from tfsoftmax.fitting import prepare

X, Y, S = problem(200)
SIZES = (50, 100, 50)


def blocks(values, sizes=SIZES):
    return clusters.blocks(values, sizes)


def parts_of(X=X, y=Y, sizes=SIZES, **parameters):
    clf = estimator(**parameters)
    return prepare([clf], blocks(X, sizes), blocks(y, sizes)).dataset


# The order


def test_an_order_has_each_part_once_and_seeds():
    order, seeds = parts_of().draw_order(np.random.RandomState(0))
    assert sorted(order) == [0, 1, 2]
    assert len(set(seeds.tolist())) == 3


def test_orders_differ_between_epochs_and_seeds():
    parts, rng = parts_of(sizes=(20,) * 10), np.random.RandomState(0)
    drawn = [parts.draw_order(rng) for _ in range(2)]
    drawn.append(parts.draw_order(np.random.RandomState(1)))
    assert len({tuple(order) for order, _ in drawn}) == 3
    assert len({tuple(seeds) for _, seeds in drawn}) == 3


@pytest.fixture
def rows_trained(monkeypatch):
    """The numbers of the rows of each epoch, in order; the rows are numbered in X."""
    found, epochs = [], Engine.epochs

    def recording(self, draw, n_epochs):
        def order():
            rows = draw()
            found.append((self.numbers_of_rows, rows))
            return rows

        return epochs(self, order, n_epochs)

    monkeypatch.setattr(Engine, "epochs", recording)
    init = Engine.__init__

    def keeping(self, dataset, *arguments, **parameters):
        init(self, dataset, *arguments, **parameters)
        self.numbers_of_rows = dataset.X[:, 0]

    monkeypatch.setattr(Engine, "__init__", keeping)

    def numbers():
        return [
            (block if rows is None else block[rows]).astype(int).tolist()
            for block, rows in found
        ]

    return numbers


def numbered(n=200):
    rows = X[:n].copy()
    rows[:, 0] = np.arange(n)
    return rows


def test_an_epoch_trains_each_row_once(rows_trained):
    clf = estimator(epochs=2, learning_rate=1e-6)
    clf.fit(blocks(numbered()), blocks(Y))
    trained = rows_trained()
    assert len(trained) == 2 * 3
    epochs = list(chain(*trained[:3])), list(chain(*trained[3:]))
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert sorted(epoch) == list(range(200))


def test_blocks_of_a_part_are_shuffled_too(rows_trained, monkeypatch):
    monkeypatch.setattr("tfsoftmax.distributed.reading.MAX_PARTS", 2)
    clf = estimator(epochs=6, learning_rate=1e-6)
    clf.fit(blocks(numbered(), (20,) * 10), blocks(Y, (20,) * 10))
    trained = rows_trained()
    of_block = [rows[0] // 20 for rows in trained]
    orders = {tuple(of_block[i : i + 10]) for i in range(0, 60, 10)}
    assert len(orders) == 6
    for order in orders:
        assert sorted(order) == list(range(10))
        # A part is finished before the next one begins.
        assert {frozenset(order[:5]), frozenset(order[5:])} == {
            frozenset(range(5)),
            frozenset(range(5, 10)),
        }


def test_rows_are_trained_as_they_stand_without_a_shuffle(rows_trained):
    clf = estimator(epochs=1, learning_rate=1e-6, shuffle=False)
    clf.fit(blocks(numbered()), blocks(Y))
    assert list(chain(*rows_trained())) == list(range(200))


# The dtype to compute in


@pytest.mark.parametrize(
    ("dtype", "largest", "expected"),
    [
        ("f4", 1, "f4"),
        ("f8", 1, "f8"),
        ("u1", 255, "f4"),
        ("?", 1, "f4"),
        ("i2", 2**15 - 1, "f4"),
        ("i4", 2**24, "f4"),
        ("i4", 2**24 + 1, "f8"),
        ("i8", 2**24, "f4"),
        ("i8", -(2**40), "f8"),
    ],
)
def test_the_precision_is_that_of_rows_in_memory(dtype, largest, expected):
    rows = (X > 0).astype(dtype)
    rows[150, 2] = largest
    assert precision_of(parts_of(rows)) == expected
    with Engine(
        prepare([estimator()], rows, Y).dataset,
        3,
        optimizer="sgd",
        fit_intercept=True,
        scaling=prepare([estimator()], rows, Y).scaling,
        batch_size=50,
    ) as engine:
        assert engine.precision == expected


# Sorted rows

SORTED = np.sort(Y, kind="stable")


def assert_warns(parts, *, warned):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not warned:
            block_shuffle._warn_of_sorted_rows(parts)
            return
        with pytest.raises(UserWarning, match="are sorted by class, or nearly"):
            block_shuffle._warn_of_sorted_rows(parts)


def test_parts_that_are_sorted_by_class_are_warned_of():
    assert_warns(parts_of(y=SORTED, sizes=(20,) * 10), warned=True)
    assert_warns(parts_of(y=SORTED > 0, sizes=(20,) * 10), warned=True)


def test_parts_that_are_not_are_not():
    assert_warns(parts_of(sizes=(20,) * 10), warned=False)
    assert_warns(parts_of(y=SORTED, sizes=(200,)), warned=False)
    mixed = SORTED.copy()
    mixed[::3] = np.random.default_rng(0).permutation(mixed[::3])
    mixed[1::3] = np.random.default_rng(0).permutation(mixed[1::3])
    assert_warns(parts_of(y=mixed, sizes=(20,) * 10), warned=False)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1,) * 200, (5,) * 40, (20,) * 10])
@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_few_rows_in_a_part_do_not_look_sorted(sizes, n_classes):
    y = np.random.default_rng(0).permutation(np.arange(200) % n_classes)
    assert_warns(parts_of(y=y, sizes=sizes), warned=False)


def test_a_small_part_of_a_single_class_is_not_warned_of():
    y = Y.copy()
    y[:5] = 0
    assert_warns(parts_of(y=y, sizes=(5, 95, 100)), warned=False)
