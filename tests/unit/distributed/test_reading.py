"""Parts of Dask collections: which blocks they are of, and what is known of them."""

from __future__ import annotations

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.problems import estimator, problem
from tfsoftmax.data.gather import aligned
from tfsoftmax.distributed import reading
from tfsoftmax.distributed.checking import (
    ALIGNMENT,
    NAMES,
    about_of,
    check,
    this_version,
)
from tfsoftmax.distributed.reading import MAX_PARTS, neighbours

X, Y, S = problem()


def reader():
    clf = estimator()
    clf.n_features_in_ = X.shape[1]
    return clf


def checked(*blocks, first=0, names=NAMES, version=None):
    return check(blocks, first, reader(), names, version or this_version())


# Which blocks


def rows_of(sizes):
    return da.zeros((sum(sizes), 2), chunks=(tuple(sizes), 2))


def slices(X, n_blocks):
    return [(some.start, some.stop) for some in neighbours(X, n_blocks)]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=1000))
def test_parts_are_neighbours_and_at_most_256(sizes):
    found = slices(rows_of(sizes), len(sizes))
    assert 1 <= len(found) <= MAX_PARTS
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == len(sizes)
    assert all(start < stop for start, stop in found)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=MAX_PARTS))
def test_a_part_ends_where_it_has_its_share_of_the_rows(sizes):
    found = slices(rows_of(sizes), len(sizes))
    share = sum(sizes) / MAX_PARTS
    n_rows = [sum(sizes[start:stop]) for start, stop in found]
    assert min(n_rows[:-1], default=share) >= share
    for start, stop in found:
        assert sum(sizes[start : stop - 1]) < share


def test_few_blocks_are_a_part_each():
    assert slices(rows_of([5, 5, 5]), 3) == [(0, 1), (1, 2), (2, 3)]


def test_blocks_of_unknown_size_count_alike():
    rows = rows_of([1] * 1000)
    unknown = rows[da.ones(1000, chunks=1) > 0]
    assert np.isnan(unknown.chunks[0]).all()
    expected = slices(rows, 1000)
    assert slices(unknown, 1000) == expected
    frame = dd.from_pandas(pd.DataFrame({"a": np.arange(1000)}), npartitions=1000)
    assert slices(frame, 1000) == expected


def test_rows_that_are_none_are_a_part():
    assert slices(rows_of([0]), 1) == [(0, 1)]


# What is known


def test_a_part_is_described():
    about = checked((X[:70], Y[:70], S[:70]), (X[70:90], Y[70:90], S[70:90])).about
    assert (about.n_rows, about.n_values) == (90, 90 * X.shape[1])
    assert about.dtypes == (np.float64, np.float64)
    assert not about.is_sparse
    assert about.soft is None
    assert about.classes.tolist() == [0, 1, 2]
    totals = np.bincount(Y[:90], S[:90])
    np.testing.assert_allclose(about.totals * about.largest, totals, rtol=1e-14)
    assert about.largest == S[:90].max()
    assert about.largest_integer == 0


def test_sparse_values_integers_and_soft_labels_are_described():
    some = sparse.csr_array(np.eye(4, 5, dtype="i4") * 7)
    about = checked((some, np.eye(3)[[0, 1, 2, 0]], None)).about
    assert about.is_sparse
    assert about.n_values == 4
    assert about.largest_integer == 7
    assert about.totals.tolist() == [2, 1, 1]
    assert len(about.soft) == 1


def test_the_largest_integer_is_that_of_every_block():
    one, other = np.full((2, 5), -(2**40)), np.full((2, 5), 3)
    about = checked((one, Y[:2], None), (other, Y[:2], None)).about
    assert about.largest_integer == 2**40


def test_blocks_without_rows_are_left_out():
    found = checked((X[:0], Y[:0], None), (X[:9], Y[:9], None), (X[:0], Y[:0], None))
    assert len(found.blocks) == 1
    assert found.about.n_rows == 9
    nothing = checked((X[:0], Y[:0], None))
    assert nothing == ([], None)
    assert about_of(nothing) is None


def test_weights_that_are_all_zero_are_described_as_such():
    about = checked((X[:9], Y[:9], np.zeros(9))).about
    assert about.largest == 0
    assert not about.totals.any()


def test_a_block_lies_as_the_program_takes_it():
    odd = aligned((100, 5), np.float64).view(np.uint8).reshape(-1)
    rows = odd[8 : 8 + 90 * 5 * 8].view(np.float64).reshape(90, 5)
    assert rows.ctypes.data % ALIGNMENT
    rows[...] = X[:90]
    for given_ in (rows, np.asfortranarray(rows), rows[::-1][::-1]):
        (found,) = checked((given_, Y[:90], None)).blocks
        assert found.X.flags.c_contiguous
        assert found.X.ctypes.data % ALIGNMENT == 0
        np.testing.assert_array_equal(found.X, rows)
    fitting = aligned((90, 5), np.float64)
    assert checked((fitting, Y[:90], None)).blocks[0].X is fitting


# What is refused


def with_nan(number):
    blocks = [(X[i : i + 20].copy(), Y[i : i + 20], None) for i in (0, 20, 40)]
    blocks[number][0][3] = np.nan
    return blocks


def test_an_error_says_in_which_block_it_is():
    for number in range(3):
        with pytest.raises(ValueError, match="NaN") as caught:
            checked(*with_nan(number), first=7)
        note = f"In block {7 + number} of X, counted from 0."
        assert caught.value.__notes__ == [note]


def test_an_error_of_labels_says_in_which_blocks_they_are():
    soft = np.full((20, 3), 0.5)
    with pytest.raises(ValueError, match="y_val with 3 columns must contain") as caught:
        checked((X[:20], soft, None), first=7, names=("X_val", "y_val", "w"))
    assert caught.value.__notes__ == ["In block 7 of X_val, counted from 0."]
    one, other = (X[:20], S[:20], None), (X[:20], S[:20], None)
    with pytest.raises(ValueError, match="y must contain classes") as caught:
        checked(one, other, first=7)
    assert caught.value.__notes__ == ["In blocks 7 to 8 of X, counted from 0."]


def test_a_worker_of_another_version_is_refused():
    with pytest.raises(RuntimeError, match=r"worker has .* but this process has 0\.0"):
        checked((X, Y, None), version="0.0")


MIXTURES = [
    ((X[:50], sparse.csr_array(X[50:100])), (Y[:50], Y[50:100])),
    ((X[:50], X[50:100]), (Y[:50], np.eye(3)[Y[50:100]])),
]


@pytest.mark.parametrize(("rows", "labels"), MIXTURES)
def test_a_part_of_two_kinds_is_refused(rows, labels):
    one, other = ((x, y, None) for x, y in zip(rows, labels, strict=True))
    with pytest.raises(ValueError, match="sparse in all blocks or in none") as caught:
        checked(one, other, first=7)
    assert caught.value.__notes__ == ["In blocks 7 to 8 of X, counted from 0."]


@pytest.mark.parametrize("max_parts", [1, 2])
def test_blocks_of_two_kinds_are_refused_in_one_part_or_in_two(max_parts, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PARTS", max_parts)
    rows = da.from_array(X[:100], chunks=50).map_blocks(
        lambda block, block_id: sparse.csr_array(block) if block_id[0] else block,
        meta=np.zeros((0, 0)),
    )
    with pytest.raises(ValueError, match="sparse in all blocks or in none"):
        estimator().fit(rows, da.from_array(Y[:100], chunks=50))
