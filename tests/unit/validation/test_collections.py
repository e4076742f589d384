"""Dask collections: what is refused, and what lies in which block."""

from __future__ import annotations

from collections import Counter

import dask
import dask.array as da
import dask.bag
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tests.clusters import unknown
from tfsoftmax.validation.collections import (
    check_blocks,
    is_dask,
    n_rows_known,
    refuse_other_collections,
    rows_in_blocks,
)

SIZES = (4, 3, 5)
N = sum(SIZES)
ENDS = np.cumsum(SIZES)
BLOCKS = [slice(end - size, end) for size, end in zip(SIZES, ENDS, strict=True)]
VALUES = np.arange(4.0 * N).reshape(N, 4)
Y = np.arange(N) % 3
S = np.linspace(1, 2, N)
X = da.from_array(VALUES, chunks=(SIZES, (4,)))
DY = da.from_array(Y, chunks=(SIZES,))
DS = da.from_array(S, chunks=(SIZES,))
TABLE = pd.DataFrame(VALUES, columns=list("abcd")).assign(y=Y, weight=S)
FRAME = dd.from_pandas(TABLE, npartitions=3)


def computed(*arguments):
    return dask.compute(rows_in_blocks(*arguments), scheduler="sync")[0]


def assert_cut(blocks, *expected):
    """Blocks hold these arrays, cut by the sizes."""
    assert len(blocks) == len(SIZES)
    for block, rows in zip(blocks, BLOCKS, strict=True):
        for actual, values in zip(block, expected, strict=True):
            if values is None:
                assert actual is None
            else:
                np.testing.assert_array_equal(actual, np.asarray(values)[rows])


# What is a collection


def test_arrays_and_frames_are_taken_and_nothing_else():
    for values in (X, DY, FRAME, FRAME["y"]):
        assert is_dask(values)
    others = [dask.delayed(VALUES), dask.bag.from_sequence([1, 2])]
    for values in (VALUES, TABLE, [1], None, "spam", *others):
        assert not is_dask(values)


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (dask.delayed(VALUES), "dask.delayed"),
        (dask.delayed(len)(VALUES), "dask.delayed.Delayed"),
        (dask.bag.from_sequence([1, 2]), "dask.bag.core.Bag"),
    ],
)
def test_other_collections_are_refused_by_name(other, kind):
    with pytest.raises(TypeError, match=rf"^X_val must be .* got a {kind}"):
        refuse_other_collections(other, "X_val")
    for arguments, name in (((other,), "X"), ((X, other), "y"), ((X, DY, other), "s")):
        with pytest.raises(TypeError, match=rf"^{name}.* must be in memory, or a Dask"):
            rows_in_blocks(*arguments)


@pytest.mark.parametrize("values", [X, DY, FRAME, VALUES, TABLE, [1], None])
def test_what_can_be_used_is_not_refused(values):
    refuse_other_collections(values, "X")


# The blocks of X


@pytest.mark.parametrize("rows", [X, unknown(X), FRAME, X.rechunk((N, 4))])
def test_whole_rows_are_taken(rows):
    check_blocks(rows)


def test_a_remedy_for_columns_in_several_chunks_works():
    cut = X.rechunk({0: SIZES, 1: 2})
    remedy = 'X_val = X_val.rechunk({0: "auto", 1: -1})'
    with pytest.raises(ValueError, match="X_val must have all columns") as caught:
        check_blocks(cut, "X_val")
    assert remedy in str(caught.value)
    check_blocks(eval(remedy.partition("= ")[2], {"X_val": cut}))
    with pytest.raises(ValueError, match="y must have all columns"):
        rows_in_blocks(X, cut)


@pytest.mark.parametrize("rows", [DY, FRAME["y"], X[:, :, None]])
def test_rows_of_other_than_two_dimensions_are_refused(rows):
    with pytest.raises(ValueError, match=f"X must have two dim.*; it has {rows.ndim}"):
        check_blocks(rows)
    with pytest.raises(ValueError, match="X must have two dimensions"):
        rows_in_blocks(rows)


def test_the_number_of_rows_is_known_from_the_chunks():
    assert n_rows_known(X) == n_rows_known(DY) == N
    assert n_rows_known(unknown(X)) is None
    assert n_rows_known(FRAME) is None


# Rows in blocks

SOFT = np.eye(3)[Y]


@pytest.mark.parametrize(
    ("rows", "y", "weights"),
    [
        (X, None, None),
        (X, DY, None),
        (X, DY, DS),
        (X, None, DS),
        (X, Y, S),
        (X, Y.tolist(), DS),
        (X, TABLE["y"], TABLE["weight"]),
        (X, pd.Series(list("abcabcabcabc"), dtype="category"), None),
        (X, pd.DataFrame(SOFT), None),
        (X, DY[:, None], None),
        (X, da.from_array(SOFT, chunks=(SIZES, (3,))), DS),
        (unknown(X), DY, unknown(DS)),
        (unknown(X), unknown(DY[:, None]), DS),
    ],
)
def test_arrays_are_cut_by_the_chunks_of_rows(rows, y, weights):
    expected = [
        values if values is None or not is_dask(values) else values.compute()
        for values in (y, weights)
    ]
    assert_cut(computed(rows, y, weights), VALUES, *expected)


def test_a_single_weight_is_that_of_each_block():
    for rows in (X, FRAME):
        assert [block[2] for block in computed(rows, None, 2.0)] == [2.0] * 3


@pytest.mark.parametrize("y", [FRAME["y"], FRAME[["y"]], FRAME["y"].to_dask_array()])
def test_the_partitions_of_frames_are_frames(y):
    rows = FRAME[list("abcd")]
    blocks = computed(rows, y, FRAME["weight"])
    theirs = dask.compute(rows.to_delayed(), FRAME["weight"].to_delayed())
    labels = np.concatenate([np.ravel(block[1]) for block in blocks])
    np.testing.assert_array_equal(labels, Y)
    for (part, _, weights), *expected in zip(blocks, *theirs, strict=True):
        pd.testing.assert_frame_equal(part, expected[0])
        pd.testing.assert_series_equal(weights, expected[1])


def test_an_array_goes_with_labels_of_a_frame():
    sizes = tuple(FRAME.map_partitions(len).compute())
    blocks = computed(X.rechunk({0: sizes}), FRAME["y"], FRAME["weight"])
    for i, values in enumerate((VALUES, Y, S)):
        together = np.concatenate([np.asarray(block[i]) for block in blocks])
        np.testing.assert_array_equal(together, values)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_blocks_stay_sparse(kind):
    for rows in (
        X.map_blocks(kind, dtype=X.dtype, meta=kind((0, 0))),
        X.map_blocks(kind, dtype=X.dtype, meta=np.empty((0, 0))),
    ):
        blocks = computed(rows, DY)
        assert all(isinstance(block[0], kind) for block in blocks)
        dense = [(block[0].toarray(), block[1]) for block in blocks]
        assert_cut(dense, VALUES, Y)


# What is shared is computed once


def read(number, counts):
    counts[number] += 1
    return TABLE.iloc[BLOCKS[number]]


def arrays_of_one_source(counts):
    parts = [
        da.from_delayed(
            dask.delayed(read, traverse=False)(i, counts), (size, 6), dtype=np.float64
        ).map_blocks(np.asarray)
        for i, size in enumerate(SIZES)
    ]
    source = da.concatenate(parts)
    return source[:, :4] + 0.0, source[:, 4] + 0.0, source[:, 5] * 1.0


def frames_of_one_source(counts):
    source = dd.from_map(read, range(3), counts=counts, meta=TABLE.iloc[:0])
    return source[list("abcd")], source["y"], source["weight"]


@pytest.mark.parametrize("make", [arrays_of_one_source, frames_of_one_source])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_a_block_that_rows_labels_and_weights_share_is_read_once(make, scheduler):
    counts = Counter()
    blocks = rows_in_blocks(*make(counts))
    assert not counts
    (blocks,) = dask.compute(blocks, scheduler=scheduler)
    assert counts == Counter(range(3))
    assert_cut(blocks, VALUES, Y, S)


def test_columns_that_nobody_needs_are_not_read_and_the_others_once():
    asked = []

    def read_columns(number, columns=None):
        asked.append(columns)
        return TABLE.iloc[BLOCKS[number]][columns]

    table = dd.from_map(read_columns, range(3), meta=TABLE.iloc[:0])
    computed(table[["a", "b"]], table["y"])
    assert [sorted(columns) for columns in asked] == [["a", "b", "y"]] * 3


# What does not fit together


@pytest.mark.parametrize(
    ("rows", "y"),
    [
        (X, DY.rechunk(4)),
        (X, DY.rechunk(6)),
        (X, FRAME["y"].repartition(npartitions=2)),
        (unknown(X), FRAME["y"].repartition(npartitions=1).to_dask_array()),
        (FRAME[list("abcd")], DY.rechunk(6)),
        (FRAME[list("abcd")], FRAME["y"].repartition(divisions=[0, 2, 5, 11])),
        (FRAME[list("abcd")], FRAME["y"].repartition(npartitions=2)),
    ],
)
def test_a_remedy_for_other_blocks_works(rows, y):
    with pytest.raises(
        ValueError, match="y must have the same blocks of rows"
    ) as error:
        rows_in_blocks(rows, y)
    remedy = str(error.value).rpartition("Call ")[2].removesuffix(".")
    names = {"X": rows, "y": y}
    exec(remedy, names)
    blocks = computed(names["X"], names["y"])
    together = np.concatenate([np.asarray(block[1]) for block in blocks])
    np.testing.assert_array_equal(together, Y)


def test_other_blocks_are_refused_by_name_and_numbers():
    with pytest.raises(ValueError, match=r"w must .* as Z; it has 2 blocks, and Z has"):
        rows_in_blocks(X, DY, DS.rechunk(6), names=("Z", "t", "w"))
    with pytest.raises(ValueError, match=r"t .*has blocks of \(4, 4, 4\) rows, and Z "):
        rows_in_blocks(X, DY.rechunk(4), names=("Z", "t", "w"))


def test_frames_without_divisions_are_to_be_taken_from_one():
    rows = FRAME[list("abcd")].clear_divisions()
    with pytest.raises(ValueError, match="Take X and y from the same DataFrame"):
        rows_in_blocks(rows, FRAME["y"].repartition(npartitions=2))


@pytest.mark.parametrize("y", [DY[:-1], Y[:-1], Y[:-1].tolist(), TABLE["y"][:-1]])
def test_another_number_of_rows_is_refused(y):
    with pytest.raises(
        ValueError, match=f"y must have .* the {N} rows of X; it has 11"
    ):
        rows_in_blocks(X, y)


@pytest.mark.parametrize("rows", [unknown(X), FRAME])
def test_labels_in_memory_need_the_sizes_of_blocks_and_the_remedy_works(rows):
    with pytest.raises(ValueError, match="y is in memory and can't be split") as error:
        rows_in_blocks(rows, Y)
    remedy = str(error.value).rpartition("or first call ")[2].removesuffix(".")
    names = {"X": rows}
    exec(remedy, names)
    sizes = n_rows_known(names["X"])
    assert sizes == N
    blocks = computed(names["X"], Y)
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), Y)


@pytest.mark.parametrize("arguments", [(VALUES, DY), (VALUES, Y, DS), (TABLE, DY)])
def test_rows_in_memory_are_refused_with_labels_that_are_not(arguments):
    with pytest.raises(TypeError, match="X must be a Dask collection if y or sample"):
        rows_in_blocks(*arguments)


def test_labels_of_three_dimensions_are_refused():
    with pytest.raises(ValueError, match="y must have one or two dimensions; it has 3"):
        rows_in_blocks(X, DY[:, None, None])
