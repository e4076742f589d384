"""Rows of X, in any order, as chunks of one fixed shape.

An epoch takes the rows in some order, batch by batch. A batch fills one *tile*, or
several where it is too large for one; a chunk is a fixed number of tiles, and a
fixed shape is what a compiled program needs. Only the last tile of a batch can have
fewer rows than slots; the slots left over have weight 0.

    rows of X in the epoch's order   0 1 2 3 4 | 5 6 7 8 9 | 10 11      batches of 5
    tiles of a chunk                [0 1 2 3 4] [5 6 7 8 9] [10 11 . . .]

X is gathered into two buffers in turn, one being filled while the program works on
the other; it is never copied, cast or scaled as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from tfsoftmax.workers import Task, Workers

# Rows in one matrix product at most, and their bytes. A larger batch is added up from
# several.
MAX_TILE = 1024
MAX_TILE_BYTES = 32 << 20
# With fewer rows than this, empty slots cost less than a program of its own would.
MIN_TILE = 256
# A chunk is as many tiles as fit both limits. Two chunks of 8 MB stay within the
# last-level cache of most machines, and at 10 chunks an epoch of MNIST the 0.15 ms
# that a call of the program costs don't show.
MAX_CHUNK_BYTES = 8 << 20
MAX_CHUNK_ROWS = 8192
# What a tile is: without rows, part of a batch, or a batch's last.
UNUSED, OPEN_BATCH, CLOSES_BATCH = range(3)
# What XLA and Eigen want of a buffer in order to take it without a copy.
ALIGNMENT = 64


Order = NDArray[np.integer[Any]] | None


@dataclass(frozen=True)
class Layout:
    """How the rows of an epoch lie in tiles, and the tiles in chunks."""

    batch_size: int
    tile: int
    tiles_per_chunk: int

    @classmethod
    def of(cls, batch_size: int, n_samples: int, row_bytes: int) -> Layout:
        """Choose a layout that data sets of similar size share.

        `tile` and `tiles_per_chunk` are part of what a program is compiled for,
        so they depend on `n_samples` as little as can be: only where all rows
        are one batch, and then by powers of two.
        """
        max_tile = max(1, min(MAX_TILE, MAX_TILE_BYTES // row_bytes))
        fitting = min(MAX_CHUNK_ROWS, MAX_CHUNK_BYTES // row_bytes)
        if n_samples <= batch_size:
            next_power_of_two = 1 << (n_samples - 1).bit_length()
            tile = min(batch_size, max(MIN_TILE, next_power_of_two), max_tile)
            # Enough chunks for several threads to work on one each.
            fitting = min(fitting, next_power_of_two // 8)
        else:
            tile = math.ceil(batch_size / math.ceil(batch_size / max_tile))
        return cls(min(batch_size, n_samples), tile, max(1, fitting // tile))

    @property
    def tiles_per_batch(self) -> int:
        """Tiles that a whole batch fills."""
        return math.ceil(self.batch_size / self.tile)

    @property
    def rows_per_chunk(self) -> int:
        """Slots for rows in a chunk."""
        return self.tile * self.tiles_per_chunk

    def tiles(self, n_samples: int) -> Tiles:
        """Lay out an epoch of n_samples rows."""
        full, rest = divmod(n_samples, self.batch_size)
        n_tiles = full * self.tiles_per_batch + math.ceil(rest / self.tile)
        index = np.arange(n_tiles)
        batch, within = np.divmod(index, self.tiles_per_batch)
        first = batch * self.batch_size
        end = np.minimum(first + self.batch_size, n_samples)
        start = first + within * self.tile
        stop = np.minimum(start + self.tile, end)
        return Tiles(start, stop, end - first, closes_batch=stop == end)


@dataclass(frozen=True)
class Tiles:
    """The tiles of an epoch: the ranks of their rows in the order, and their batch."""

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    rows_of_batch: NDArray[np.int64]
    closes_batch: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Chunk:
    """A number of tiles, gathered: what the program takes in one call.

    Attributes
    ----------
    X : ndarray of shape (rows_per_chunk, n_features)
    y : ndarray of shape (rows_per_chunk,) or (rows_per_chunk, n_classes)
        The classes' numbers (int32) or probabilities.
    weights : ndarray of shape (1, rows_per_chunk) or (n_models, rows_per_chunk)
        n·s_i / (Σs · rows in the batch), so that their sum over a batch of the
        gradients of the cross-entropy is the batch's gradient; 0 in empty slots.
    tiles : ndarray of shape (tiles_per_chunk,), int32
        UNUSED, OPEN_BATCH or CLOSES_BATCH; the unused ones come last.
    """

    X: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[Any]
    tiles: NDArray[np.int32]

    @property
    def n_tiles(self) -> int:
        """Tiles in use."""
        return int(np.count_nonzero(self.tiles))

    def of_models(self, models: slice) -> Chunk:
        """Give the same chunk with the weights that these models have."""
        if len(self.weights) == 1:
            return self
        weights = _aligned(self.weights[models].shape, self.weights.dtype)
        weights[...] = self.weights[models]
        return replace(self, weights=weights)


@dataclass(frozen=True)
class Rows:
    """The data of a fit: rows of X, their labels and their weights.

    Attributes
    ----------
    X : array of shape (n, n_features)
        An array, a memmap or a CSR array of real numbers, in any layout.
    y : ndarray of shape (n_samples,), int32; or (n_samples, n_classes), floating
        The number of each row's class, or the probability of each class.
    weights : ndarray of shape (n_samples,) or (n_models, n_samples), or None
        Weights with a mean of 1, shared by all models or each one's own; None
        stands for ones.
    index : ndarray of shape (n_samples,), or None
        Which rows of X these are; None stands for all, as they are.
    """

    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64] | None = None
    index: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return int(self.X.shape[1])

    @property
    def n_weightings(self) -> int:
        """Weights of one row: 1, or one for each model."""
        return 1 if self.weights is None else len(np.atleast_2d(self.weights))

    def of_models(self, models: slice | list[int]) -> Rows:
        """Give the same rows with the weights that these models have."""
        if self.weights is None or self.weights.ndim == 1:
            return self
        return replace(self, weights=self.weights[models])

    def take(self, index: NDArray[np.int64]) -> Rows:
        """Give some of the rows, X not copied."""
        weights = None if self.weights is None else self.weights[..., index]
        if weights is not None:
            weights = weights / weights.mean(axis=-1, keepdims=True)
        return Rows(
            self.X,
            self.y[index],
            weights,
            index if self.index is None else self.index[index],
        )


def dtypes_for(
    X: Any, precision: np.dtype[Any] | None = None
) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Choose the dtype in which rows of X are handed over, and that of computing.

    Bytes stay bytes until the program casts a tile of them. All else is handed
    over in the precision of computing: that of X for floats; for other integers
    float32 where that holds each of them exactly, and float64 where it doesn't.
    With a `precision`, that is the one taken.
    """
    if precision is None:
        precision = _precision_for(X)
    is_bytes = X.dtype.kind == "b" or X.dtype == np.uint8
    return np.dtype(np.uint8) if is_bytes else precision, precision


def _precision_for(X: Any) -> np.dtype[Any]:
    if X.dtype.kind == "f":
        single = X.dtype.itemsize <= 4
    else:
        single = X.dtype.itemsize <= 2 or _largest_magnitude(X) <= 2**24
    return np.dtype(np.float32 if single else np.float64)


def _largest_magnitude(X: Any) -> int:
    values = X.data if sparse.issparse(X) else X
    return max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))


class Chunks:
    """Gathers chunks of some rows, epoch after epoch, into the same few buffers.

    Use it as a context: a thread fills the next chunk, and ends with the context.
    `n_in_use` chunks at once may be in use, while the one after them is filled.
    """

    def __init__(
        self,
        rows: Rows,
        layout: Layout,
        dtypes: tuple[Any, Any],
        n_in_use: int = 1,
    ) -> None:
        self.rows = rows
        self.layout = layout
        self.tiles = layout.tiles(len(rows))
        self._starts = range(0, len(self.tiles), layout.tiles_per_chunk)
        storage, precision = dtypes
        n_buffers = min(n_in_use + 1, len(self._starts))
        self._buffers = [self._buffer(storage, precision) for _ in range(n_buffers)]
        self._n_filled = 0
        self._begun: Task | None = None
        self._gather = _gatherer(rows.X, np.dtype(storage))

    def __len__(self) -> int:
        return len(self._starts)

    def __enter__(self) -> Chunks:
        self._filler = Workers(1, "tfsoftmax-chunks")
        return self

    def __exit__(self, *_: object) -> None:
        self._filler.close()

    def epoch(
        self, order: Order, following: Callable[[], Order] | None = None
    ) -> Iterator[Chunk]:
        """Give the chunks of an epoch, each valid until `n_in_use` more are asked for.

        Parameters
        ----------
        order : ndarray of shape (n_samples,), or None
            A permutation of the rows; None takes them as they stand.
        following : callable, default=None
            Gives the order of the epoch after this one, which is then begun while
            the last chunk of this one is in use.
        """
        if len(self._starts) == 1:
            yield self._fill(0, order)
            return
        begun, self._begun = self._begun, None
        if begun is None or begun.result()[0] is not order:
            begun = self._filler.submit(self._begin, lambda: order)
        ahead = begun
        for number in range(1, len(self._starts)):
            chunk = ahead.result()[1]
            ahead = self._filler.submit(self._go_on, number, order)
            yield chunk
        chunk = ahead.result()[1]
        if following is not None:
            self._begun = self._filler.submit(self._begin, following)
        yield chunk
        if self._begun is not None:
            self._begun.result()

    def _begin(self, give_order: Callable[[], Order]) -> tuple[Order, Chunk]:
        order = give_order()
        return order, self._fill(0, order)

    def _go_on(self, number: int, order: Order) -> tuple[Order, Chunk]:
        return order, self._fill(number, order)

    def _buffer(self, storage: DTypeLike, precision: DTypeLike) -> tuple[Any, ...]:
        n_rows, rows = self.layout.rows_per_chunk, self.rows
        return (
            _aligned((n_rows, rows.n_features), storage),
            _aligned(
                (n_rows, *rows.y.shape[1:]), np.int32 if rows.y.ndim == 1 else precision
            ),
            _aligned((rows.n_weightings, n_rows), precision),
            _aligned((self.layout.tiles_per_chunk,), np.int32),
        )

    @np.errstate(over="ignore")  # the loss tells of what is too large for a float32
    def _fill(self, number: int, order: Order) -> Chunk:
        layout, tiles = self.layout, self.tiles
        self._n_filled += 1
        X, y, weights, kinds = self._buffers[self._n_filled % len(self._buffers)]
        first = self._starts[number]
        last = min(first + layout.tiles_per_chunk, len(tiles))
        used = slice(first, last)
        index = self.rows.index
        for slot, start, stop in _runs(
            tiles.start[used], tiles.stop[used], layout.tile
        ):
            ranks = slice(start, stop)
            rows = ranks if order is None else order[ranks]
            slots = slice(slot, slot + stop - start)
            self._gather(rows if index is None else index[rows], X[slots])
            y[slots] = self.rows.y[rows]
            own = self.rows.weights
            weights[:, slots] = 1 if own is None else own[..., rows]
            # The slots left over in this run's last tile.
            rest = slice(slots.stop, slot + _round_up(stop - start, layout.tile))
            X[rest] = 0
            y[rest] = 0
            weights[:, rest] = 0
        n_tiles = last - first
        by_tile = weights[:, : n_tiles * layout.tile].reshape(-1, n_tiles, layout.tile)
        by_tile /= tiles.rows_of_batch[used, None]
        kinds[:n_tiles] = np.where(tiles.closes_batch[used], CLOSES_BATCH, OPEN_BATCH)
        kinds[n_tiles:] = UNUSED
        return Chunk(X, y, weights, kinds)


def _gatherer(X: Any, storage: np.dtype[Any]) -> Callable[[Any, NDArray[Any]], None]:
    """Choose how rows of X get into a buffer of dtype `storage`."""

    def take(rows: Any, out: NDArray[Any]) -> None:
        if isinstance(rows, slice):
            out[...] = X[rows]
        else:
            # mode="clip" writes straight into `out`; the default buffers.
            np.take(X, rows, axis=0, out=out, mode="clip")

    def assign(rows: Any, out: NDArray[Any]) -> None:
        out[...] = X[rows]

    def unpack(rows: Any, out: NDArray[Any]) -> None:
        X[rows].astype(out.dtype).toarray(out=out)

    if sparse.issparse(X):
        return unpack
    if X.dtype.kind == "b":
        X = X.view(np.uint8)  # the same bytes, and take needs equal dtypes
    # np.take copies an array that is not contiguous, as a whole, each time.
    return take if X.dtype == storage and X.flags.c_contiguous else assign


def _runs(
    starts: NDArray[np.int64], stops: NDArray[np.int64], tile: int
) -> Iterator[tuple[int, int, int]]:
    """Join tiles that follow each other without a gap: (first slot, start, stop)."""
    begin = 0
    for i in range(len(starts)):
        last = i + 1 == len(starts)
        if last or stops[i] - starts[i] < tile:
            yield begin * tile, int(starts[begin]), int(stops[i])
            begin = i + 1


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(n_bytes + ALIGNMENT, dtype=np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + n_bytes].view(dtype).reshape(shape)
