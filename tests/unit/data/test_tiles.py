"""Tiles: views of X where they can be, and what they hold where they can't."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tests.layouts import dense_rows
from tfsoftmax.data import tiles as tiles_module
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.dtypes import full_batch_dtypes_for
from tfsoftmax.data.gather import ALIGNMENT, aligned
from tfsoftmax.data.padded_csr import RUN
from tfsoftmax.data.tiles import SparseTiles, Tiles

N, N_FEATURES = 45, 6  # five tiles of 8 rows and 5 rows of the sixth
LABELS = np.arange(N, dtype=np.int32) % 7
WEIGHTS = np.linspace(0.5, 1.5, N)


@pytest.fixture
def eight_rows(monkeypatch):
    """Tiles have 8 rows."""
    monkeypatch.setattr(tiles_module, "MIN_ROWS", 8)
    monkeypatch.setattr(tiles_module, "MAX_ROWS", 8)


@pytest.fixture
def in_place(monkeypatch, eight_rows):
    """Tiles have 8 rows, and X is handed over where it lies, however small it is."""
    monkeypatch.setattr(tiles_module, "MAX_SHARED_BYTES", 0)


def tiles_of(X, alignment=16, y=LABELS, weights=WEIGHTS, index=None):
    return Tiles(Dataset(X, y, weights, index), *full_batch_dtypes_for(X), alignment)


def aligned_copy(values, dtype=np.float64, offset=0):
    """An array whose address is a multiple of 64, plus an offset in bytes."""
    memory = aligned((values.size * np.dtype(dtype).itemsize + offset,), np.uint8)
    X = memory[offset:].view(dtype).reshape(values.shape)
    X[...] = values
    return X


def numbered(dtype=np.float64, n_features=N_FEATURES):
    """Rows that differ from each other, and from the zeros of an empty slot."""
    values = 1 + np.arange(N * n_features).reshape(N, n_features) % 250
    return aligned_copy(values, dtype)


def read_only(X):
    X.setflags(write=False)
    return X


def memmap(mode):
    def of(X, folder):
        X.tofile(folder / "X")
        return np.memmap(folder / "X", X.dtype, mode, shape=X.shape)

    return of


IN_PLACE = {
    "array": lambda X, _: X,
    "read-only array": lambda X, _: read_only(X),
    "memmap": memmap("r+"),
    "read-only memmap": memmap("r"),
    "some of the rows": lambda X, _: np.repeat(X, 2, axis=0)[N : 2 * N],
}


@pytest.mark.parametrize("kind", IN_PLACE.values(), ids=IN_PLACE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32])
def test_tiles_are_views_of_rows_that_lie_one_after_the_other(
    in_place, kind, dtype, tmp_path
):
    X = kind(numbered(dtype), tmp_path)
    tiles = tiles_of(X, alignment=8)
    assert tiles.keeps(0)
    for number in range(5):
        view = tiles.tile(number).X
        assert np.shares_memory(view, X)
        np.testing.assert_array_equal(view, X[8 * number : 8 * number + 8])
        view.__dlpack__()  # NumPy refuses to export what is read-only
    last = tiles.tile(5).X
    assert not np.shares_memory(last, X)
    np.testing.assert_array_equal(last[:5, :N_FEATURES], X[40:])
    assert not last[5:].any()


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_bytes_and_booleans_are_handed_over_as_bytes(in_place, dtype):
    X = aligned_copy(numbered() % 2, dtype)
    tile = tiles_of(X).tile(1)
    assert np.shares_memory(tile.X, X)
    assert tile.X.dtype == np.uint8
    np.testing.assert_array_equal(tile.X, X[8:16])


def test_a_view_keeps_read_only_memory_alive(in_place):
    view = tiles_of(read_only(numbered())).tile(0).X
    others = [np.full((N, N_FEATURES), -1.0) for _ in range(20)]
    np.testing.assert_array_equal(view, numbered()[:8])
    assert len(others) == 20


GATHERED = {
    "Fortran order": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "wrong byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "float16": lambda X: X.astype(np.float16),
    "at an odd address": lambda X: aligned_copy(X, np.uint8, offset=1),
    "at a multiple of 8": lambda X: aligned_copy(X, offset=8),
}


@pytest.mark.parametrize("kind", GATHERED.values(), ids=GATHERED)
def test_other_rows_are_gathered(in_place, kind):
    X = kind(numbered())
    tiles = tiles_of(X)
    for number in range(6):
        tile = tiles.tile(number).X
        rows = X[8 * number : 8 * number + 8]
        assert not np.shares_memory(tile, X)
        assert tile.ctypes.data % ALIGNMENT == 0
        assert tile.dtype.isnative
        np.testing.assert_array_equal(tile[: len(rows), :N_FEATURES], rows)
        assert not tile[len(rows) :].any()
        assert not tile[:, N_FEATURES:].any()


def test_rows_of_an_index_are_gathered(in_place):
    X, index = numbered(), np.random.default_rng(0).permutation(N)[:19]
    tiles = tiles_of(X, y=LABELS[index], weights=WEIGHTS[index], index=index)
    assert len(tiles) == 3
    for number in range(3):
        tile, rows = tiles.tile(number), index[8 * number : 8 * number + 8]
        assert not np.shares_memory(tile.X, X)
        np.testing.assert_array_equal(tile.X[: len(rows), :N_FEATURES], X[rows])
        np.testing.assert_array_equal(tile.y[: len(rows)], LABELS[rows])
        np.testing.assert_array_equal(tile.weights[: len(rows)], WEIGHTS[rows])


@pytest.mark.parametrize(("dtype", "n_features"), [(np.uint8, 7), (np.float32, 5)])
def test_rows_are_gathered_where_only_the_first_tile_would_be_aligned(
    in_place, dtype, n_features
):
    X = numbered(dtype, n_features)
    assert not np.shares_memory(tiles_of(X, alignment=64).tile(0).X, X)
    assert np.shares_memory(tiles_of(X, alignment=8).tile(0).X, X)


def test_small_data_are_gathered_in_a_width_of_the_ladder(eight_rows):
    X = numbered()
    tiles = tiles_of(X)
    assert (tiles.n_rows, tiles.n_columns) == (8, 8)
    for number in range(6):
        tile, rows = tiles.tile(number).X, X[8 * number : 8 * number + 8]
        assert tile.shape == (8, 8)
        assert not np.shares_memory(tile, X)
        np.testing.assert_array_equal(tile[: len(rows), :6], rows)
        assert not tile[len(rows) :].any()
        assert not tile[:, 6:].any()


def test_a_buffer_is_filled_anew_for_each_tile(eight_rows):
    tiles = tiles_of(numbered())
    buffer = tiles.new_buffer()
    for number in (0, 5, 1):
        buffer[...] = np.nan
        tile = tiles.tile(number, buffer)
        assert tile.X is buffer
        np.testing.assert_array_equal(buffer, tiles.tile(number).X)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["none", "weights"])
def test_weights_and_labels_are_zero_in_empty_slots(eight_rows, precision, weights):
    X = numbered(precision)
    soft = np.random.default_rng(0).dirichlet(np.ones(3), N)
    expected = np.ones(N) if weights is None else weights
    for y, dtype in ((LABELS, np.int32), (soft, precision)):
        tile = tiles_of(X, y=y, weights=weights).tile(5)
        assert (tile.y.dtype, tile.weights.dtype) == (dtype, precision)
        np.testing.assert_array_equal(tile.y[:5], y[40:].astype(dtype))
        np.testing.assert_array_equal(tile.weights[:5], expected[40:].astype(precision))
        assert not tile.y[5:].any()
        assert not tile.weights[5:].any()
        assert all(array.ctypes.data % ALIGNMENT == 0 for array in tile)


def test_only_what_is_gathered_and_large_is_not_kept(in_place, monkeypatch):
    X = numbered()
    assert tiles_of(np.asfortranarray(X)).keeps(0)
    monkeypatch.setattr(tiles_module, "MAX_KEPT_BYTES", X.nbytes - 1)
    assert not tiles_of(np.asfortranarray(X)).keeps(0)
    assert tiles_of(X).keeps(0)


@pytest.mark.parametrize(
    ("n", "n_features", "n_rows"),
    [
        (1, 4, 256),
        (256, 4, 256),
        (257, 4, 512),
        (10_000, 4, 16_384),
        (100_000, 4, 16_384),
        (10_000, 64, 16_384),
        (10_000, 65, 8192),
        (10_000, 1024, 1024),
        (10_000, 16_384, 256),
        (10_000, 16_385, 128),
        (10_000, 1 << 22, 1),
        (10_000, 1 << 23, 1),  # one row alone is too large
    ],
)
def test_a_tile_holds_a_power_of_two_of_rows_within_limits(n, n_features, n_rows):
    X, y = np.broadcast_to(0.0, (n, n_features)), np.zeros(n, np.int32)
    tiles = tiles_of(X, y=y, weights=None)
    assert tiles.n_rows == n_rows
    assert len(tiles) == -(-n // n_rows)


# Tiles of sparse rows

FACTOR = np.linspace(0.5, 2, N_FEATURES)


def sparse_tiles(X, n_threads=1, y=LABELS, precision=np.float64, index=None):
    dataset = Dataset(X, y, WEIGHTS)
    dataset = dataset if index is None else dataset.take(index)
    return SparseTiles(dataset, FACTOR, np.dtype(precision), n_threads)


def mostly_zeros():
    X = numbered() * (np.random.default_rng(0).random((N, N_FEATURES)) < 0.5)
    X[10] = 0
    return X


@pytest.fixture
def many_sparse_tiles(monkeypatch, eight_rows):
    """Tiles of sparse rows have 8 rows."""
    monkeypatch.setattr(tiles_module, "MAX_SPARSE_TILE_BYTES", 1)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float64, np.uint8, bool])
def test_sparse_tiles_have_the_rows_times_the_factor(
    many_sparse_tiles, precision, dtype
):
    X = (mostly_zeros() % 256).astype(dtype)
    tiles = sparse_tiles(sparse.csr_array(X), precision=precision)
    assert (len(tiles), tiles.n_rows) == (6, 8)
    assert tiles.kept
    for number in range(6):
        rows = slice(8 * number, min(8 * number + 8, N))
        tile, n = tiles.tile(number), rows.stop - rows.start
        scaled = dense_rows(tile.X, 8, N_FEATURES)
        expected = X[rows] * FACTOR
        np.testing.assert_allclose(scaled[:n], expected, rtol=1e-6)
        assert not scaled[n:].any()
        assert tile.X.values.dtype == tile.weights.dtype == precision
        np.testing.assert_array_equal(tile.y[:n], LABELS[rows])
        np.testing.assert_array_equal(tile.weights[:n], WEIGHTS[rows].astype(precision))
        assert not tile.weights[n:].any()


def test_sparse_tiles_of_an_index_have_its_rows(many_sparse_tiles):
    X, index = mostly_zeros(), np.random.default_rng(0).permutation(N)[:19]
    tiles = sparse_tiles(sparse.csr_array(X), index=index)
    assert len(tiles) == 3
    rows = dense_rows(tiles.tile(2).X, 8, N_FEATURES)
    np.testing.assert_allclose(rows[:3], X[index[16:]] * FACTOR, rtol=1e-15)


@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft labels"])
def test_a_sparse_buffer_is_filled_anew_for_each_tile(many_sparse_tiles, soft):
    y = np.random.default_rng(0).dirichlet(np.ones(3), N) if soft else LABELS
    tiles = sparse_tiles(sparse.csr_array(mostly_zeros()), y=y)
    buffer = tiles.new_buffer()
    for number in (0, 5, 1, 5):
        tile, new = tiles.tile(number, buffer), tiles.tile(number)
        assert tile.X is buffer.X
        rows = [dense_rows(each.X, 8, N_FEATURES) for each in (tile, new)]
        np.testing.assert_array_equal(*rows)
        np.testing.assert_array_equal(tile.weights, new.weights)
        used = new.weights > 0
        np.testing.assert_array_equal(tile.y[used], new.y[used])


@pytest.mark.parametrize(
    ("n_threads", "max_bytes", "n_rows"),
    [(1, 1 << 20, 64), (2, 1 << 20, 32), (2, 45 * 6 * 16 // 3, 16), (99, 1, 8)],
)
def test_there_is_a_sparse_tile_for_each_thread_and_more_where_one_is_large(
    eight_rows, monkeypatch, n_threads, max_bytes, n_rows
):
    monkeypatch.setattr(tiles_module, "MAX_SPARSE_TILE_BYTES", max_bytes)
    tiles = sparse_tiles(sparse.csr_array(numbered()), n_threads)
    assert tiles.n_rows == n_rows
    assert len(tiles) == -(-N // n_rows)


def test_only_large_sparse_rows_are_not_kept(monkeypatch):
    X = sparse.csr_array(mostly_zeros())
    n_bytes = sum(-(-np.diff(X.indptr) // RUN)) * RUN * 13
    monkeypatch.setattr(tiles_module, "MAX_KEPT_BYTES", n_bytes)
    assert sparse_tiles(X).kept
    monkeypatch.setattr(tiles_module, "MAX_KEPT_BYTES", n_bytes - 1)
    assert not sparse_tiles(X).kept


def test_a_factor_too_large_for_the_precision_makes_infinities(many_sparse_tiles):
    X = sparse.csr_array(mostly_zeros().astype(np.float32) * np.float32(1e36))
    values = sparse_tiles(X, precision=np.float32).tile(5).X.values
    assert np.isinf(values).any()
    assert not np.isnan(values).any()
