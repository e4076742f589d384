"""Tiles: all rows of a dataset in their original order, for full batches.

Full batches process the same rows in the same order each time, without shuffling. A
*tile* contains the rows of one call of the program. If the rows of X are contiguous in
memory, in a dtype that the program accepts, a tile is a view of them: X is neither
copied nor cast. Otherwise it is gathered, once if all tiles together are small enough
to be kept, else in each evaluation.

    rows of X    0 … 1023 | 1024 … 2047 | 2048 … 2500 and empty slots of weight 0
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.gather import aligned, gatherer
from tfsoftmax.data.padded_csr import PaddedCSR, most_slots, slot_bytes
from tfsoftmax.data.widths import MAX_SHARED_BYTES, next_power_of_two, next_width

# Rows and numbers per tile: enough that the 50 µs of a call are negligible. On two
# cores, 10,000 rows of 784 features took 7.5, 6.5 and 7.6 ms in tiles of 512, 1,024 and
# 2,048 rows, and 15,000 rows of 6 took 1.3, 0.9 and 0.5 ms in 1,024, 2,048 and 16,384.
MIN_ROWS = 256
MAX_ROWS = 16_384
TILE_SIZE = 1 << 20
# With so many features that MIN_ROWS have more.
MAX_TILE_SIZE = 1 << 22
# A tile of sparse rows.
MAX_SPARSE_TILE_BYTES = 128 << 20
# Maximum size of gathered tiles that are kept.
MAX_KEPT_BYTES = 512 << 20


class Tile(NamedTuple):
    """Some rows, in the form that the program needs.

    Attributes
    ----------
    X : ndarray of shape (tile_rows, n_columns)
    y : ndarray of shape (tile_rows,) or (tile_rows, n_classes)
        The class indices (int32) or probabilities.
    weights : ndarray of shape (tile_rows,)
        s_i, whose mean is 1; 0 in empty slots.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[Any]


class Tiles:
    """Cuts a dataset of dense rows into tiles of one shape.

    Parameters
    ----------
    dataset : Dataset
        The rows, with the same weights for all models.
    storage : dtype
        The dtype in which X is passed on.
    precision : dtype
        The dtype of the weights, and of soft labels.
    alignment : int
        The alignment of views of X, in bytes.
    keeps_copies : bool, default=True
        Whether to keep tiles that are not views of X, if they are small in total.

    Attributes
    ----------
    n_rows, n_columns : int
        The shape of a tile; additional columns are zeros.
    """

    def __init__(
        self,
        dataset: Dataset,
        storage: np.dtype[Any],
        precision: np.dtype[Any],
        alignment: int,
        *,
        keeps_copies: bool = True,
    ) -> None:
        n, n_features = len(dataset), dataset.n_features
        self._dataset, self._storage, self._precision = dataset, storage, precision
        n_bytes = n * n_features * storage.itemsize
        self.n_rows = _tile_rows(n, n_features)
        # If X is small, it is copied even if views are possible, so that several widths
        # share a program.
        is_small = keeps_copies and n_bytes <= MAX_SHARED_BYTES
        rows = None if is_small else _rows_in_place(dataset, storage)
        if rows is not None:
            tile_bytes = self.n_rows * n_features * storage.itemsize
            if rows.ctypes.data % alignment or tile_bytes % alignment:
                rows = None
        self._rows = rows
        # Without copies, whether rows lie as the program needs them is an accident of
        # where they came from; the bits must not depend on it.
        is_exact = rows is not None or not keeps_copies
        self.n_columns = n_features if is_exact else next_width(n_features)
        self._keeps_copies = keeps_copies and (
            rows is not None or n_bytes <= MAX_KEPT_BYTES
        )
        self._gather = gatherer(dataset.X, storage)

    def __len__(self) -> int:
        return math.ceil(len(self._dataset) / self.n_rows)

    def keeps(self, number: int) -> bool:
        """Whether to keep a tile: it is a view of X or a small copy."""
        is_whole = (number + 1) * self.n_rows <= len(self._dataset)
        return self._keeps_copies or (self._rows is not None and is_whole)

    def tile(self, number: int, buffer: NDArray[Any] | None = None) -> Tile:
        """Return a tile, gathered in `buffer` (from `new_buffer`) if necessary."""
        n, data = self.n_rows, self._dataset
        rows = slice(number * n, min((number + 1) * n, len(data)))
        size = rows.stop - rows.start
        label_dtype = np.dtype(np.int32) if data.y.ndim == 1 else self._precision
        y = aligned((n, *data.y.shape[1:]), label_dtype)
        y[:size] = data.y[rows]
        weights = aligned((n,), self._precision)
        weights[:size] = 1 if data.weights is None else data.weights[rows]
        if self._rows is not None and size == n:
            return Tile(self._rows[rows], y, weights)
        X = self.new_buffer() if buffer is None else buffer
        index = rows if data.index is None else data.index[rows]
        self._gather(index, X[:size, : data.n_features])
        X[size:] = 0
        X[:, data.n_features :] = 0
        return Tile(X, y, weights)

    def new_buffer(self) -> NDArray[Any]:
        """Return an aligned array for the rows of one tile."""
        return aligned((self.n_rows, self.n_columns), self._storage)


class SparseTile(NamedTuple):
    """Some rows of a sparse matrix, in the form that the program needs; see `Tile`."""

    X: PaddedCSR
    y: NDArray[Any]
    weights: NDArray[Any]


class SparseTiles:
    """Cuts a sparse dataset into tiles of one shape, at least one per thread.

    Each tile has a separate gradient, as large as the weights, so there are only a few.

    Parameters
    ----------
    dataset : Dataset
        The rows, with the same weights for all models.
    factor : ndarray of shape (n_features,)
        The factors of the features.
    precision : dtype
        The dtype of the values.
    n_threads : int

    Attributes
    ----------
    n_rows : int
        Rows of a tile.
    kept : bool
        Whether all are small enough together to be kept.
    """

    def __init__(
        self,
        dataset: Dataset,
        factor: NDArray[np.float64],
        precision: np.dtype[Any],
        n_threads: int,
    ) -> None:
        self._dataset, self._factor, self._precision = dataset, factor, precision
        n = len(dataset)
        n_bytes = most_slots(dataset, n) * slot_bytes(precision)
        self.kept = n_bytes <= MAX_KEPT_BYTES
        n_tiles = max(n_threads, math.ceil(n_bytes / MAX_SPARSE_TILE_BYTES))
        self.n_rows = next_width(max(MIN_ROWS, math.ceil(n / n_tiles)))
        self._capacity = most_slots(dataset, self.n_rows)

    def __len__(self) -> int:
        return math.ceil(len(self._dataset) / self.n_rows)

    @np.errstate(over="ignore")  # overflow to inf shows in the loss
    def tile(self, number: int, buffer: SparseTile | None = None) -> SparseTile:
        """Return a tile, gathered in `buffer` (from `new_buffer`)."""
        tile = self.new_buffer() if buffer is None else buffer
        n, data = self.n_rows, self._dataset
        rows = slice(number * n, min((number + 1) * n, len(data)))
        size = rows.stop - rows.start
        X = data.X[rows if data.index is None else data.index[rows]]
        tile.X.fill(X, np.array([size]))
        used = slice(0, tile.X.starts[-1])
        tile.X.values[used] *= self._factor[tile.X.columns[used]]
        tile.y[:size] = data.y[rows]
        tile.weights[:size] = data.row_weights(rows)
        tile.weights[size:] = 0
        return tile

    def new_buffer(self) -> SparseTile:
        """Return arrays for one tile."""
        y = self._dataset.y
        label_dtype = np.dtype(np.int32) if y.ndim == 1 else self._precision
        return SparseTile(
            PaddedCSR.empty(self._capacity, 1, self._precision),
            aligned((self.n_rows, *y.shape[1:]), label_dtype),
            aligned((self.n_rows,), self._precision),
        )


def _tile_rows(n_samples: int, n_features: int) -> int:
    """Return a power of 2, so that data sets of similar size share a program."""
    most = max(TILE_SIZE // n_features, min(MIN_ROWS, MAX_TILE_SIZE // n_features), 1)
    most = min(MAX_ROWS, 1 << (most.bit_length() - 1))
    return min(most, max(MIN_ROWS, next_power_of_two(n_samples)))


def _rows_in_place(dataset: Dataset, storage: np.dtype[Any]) -> NDArray[Any] | None:
    """Return X as an array whose rows can be passed without a copy, or None."""
    X = dataset.X
    if dataset.index is not None or not X.flags.c_contiguous:
        return None
    if X.dtype.kind == "b":
        X = X.view(np.uint8)
    if X.dtype != storage or not X.dtype.isnative:
        return None
    return _exportable(X)


def _exportable(X: NDArray[Any]) -> NDArray[Any]:
    """Return a view that DLPack can export even if X is read-only.

    DLPack can't express that memory is read-only, so NumPy refuses to export it. The
    program only reads it.
    """
    if X.flags.writeable:
        return X
    return np.asarray(_WritableView(X))


class _WritableView:
    """An array's memory, declared writable in NumPy's array interface."""

    def __init__(self, X: NDArray[Any]) -> None:
        self._X = X  # keeps the memory alive
        address, _ = X.__array_interface__["data"]
        self.__array_interface__ = X.__array_interface__ | {"data": (address, False)}
