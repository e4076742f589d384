"""Parts: calls of functions with their blocks, and what is kept beside these."""

from __future__ import annotations

import pickle
from operator import add

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.distributed.part import Call, Part


def block(*rows, weights=None):
    X = np.array(rows, dtype=float)[:, None]
    return Dataset(X, np.zeros(len(X), np.int32), weights)


def values(dataset, factor=1):
    return (factor * dataset.X).ravel().tolist()


def weights(dataset):
    return dataset.row_weights().tolist()


BLOCKS = [block(1, 2), block(3), block(4, 5)]


def test_a_call_is_combined_in_the_order_of_the_blocks():
    assert Part(BLOCKS).run(Call(values, (10,), add)) == [10, 20, 30, 40, 50]


def test_rows_have_class_weights_unless_they_are_weighted_by_sample():
    part = Part([block(1, weights=np.array([6.0]))], [block(1)])
    assert part.run(Call(weights, (), add)) == [6.0]
    assert part.run(Call(weights, (), add, by_sample=True)) == [1.0]
    assert Part(BLOCKS).run(Call(weights, (), add, by_sample=True)) == [1.0] * 5


class Made:
    n_made = 0

    def __init__(self, dataset, factor):
        type(self).n_made += 1
        self.values = values(dataset, factor)

    def first(self, more):
        return [self.values[0] + more]


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(Made, "n_made", 0)
    return Made


def bound(name, factor, more=0, make=Made):
    return Call(Made.first, (more,), add, make=make, made_of=(factor,), name=name)


def test_what_is_made_is_made_once_for_its_name(made):
    part = Part(BLOCKS)
    assert part.run(bound("a", 10)) == [10, 30, 40]
    assert part.run(bound("a", 10, more=5)) == [15, 35, 45]
    assert made.n_made == 3
    assert part.run(bound("b", 100)) == [100, 300, 400]
    assert made.n_made == 6


def test_what_another_makes_is_kept_too(made):
    class Other(Made):
        pass

    part = Part(BLOCKS)
    part.run(bound("a", 10))
    part.run(bound("b", 10, make=Other))
    part.run(bound("a", 10))
    assert (Made.n_made, Other.n_made) == (3, 3 + 3)


def test_what_failed_to_be_made_is_made_anew(made):
    def failing(dataset, factor):
        raise MemoryError

    part = Part(BLOCKS)
    with pytest.raises(MemoryError):
        part.run(bound("a", 10, make=failing))
    assert part.run(bound("a", 10)) == [10, 30, 40]


def test_a_copy_makes_its_things_itself(made):
    part = Part(BLOCKS)
    part.run(bound("a", 10))
    copied = pickle.loads(pickle.dumps(part))
    assert made.n_made == 3
    assert copied.run(bound("a", 10)) == [10, 30, 40]
    assert made.n_made == 6


def test_calls_have_one_thread_of_blas():
    def n_threads(dataset):
        return {
            each["num_threads"] for each in threadpool_info() if "blas" in str(each)
        }

    assert Part(BLOCKS).run(Call(n_threads, (), set.union)) == {1}


def test_dask_is_told_how_many_bytes_the_rows_have():
    dense = Dataset(np.zeros((100, 3)), np.zeros(100, np.int32), np.ones(100))
    assert Part([dense, dense]).__sizeof__() == 2 * (2400 + 400 + 800)
    X = sparse.csr_array(np.eye(100))
    n_bytes = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    assert Part([Dataset(X, np.zeros((100, 2)))]).__sizeof__() == n_bytes + 1600
