"""ChunkLoader: rows of X, gathered into chunks while the program works.

X is gathered into a few aligned buffers: one is filled while the program processes
another. X is never copied, cast or scaled as a whole.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.batches import ACCUMULATE, APPLY, UNUSED, Layout
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.gather import aligned, gatherer
from tfsoftmax.data.padded_csr import PaddedCSR, most_slots
from tfsoftmax.utils.threads import Task, ThreadPool

# A permutation of the rows, of shape (n_samples,); None keeps their order.
Order = NDArray[np.integer[Any]] | None


@dataclass(frozen=True, eq=False)
class Chunk:
    """Gathered micro-batches: the input of one call of the program.

    A loader has a few chunks, which it refills.

    Attributes
    ----------
    X : ndarray of shape (rows_per_chunk, n_features), or PaddedCSR
    y : ndarray of shape (rows_per_chunk,) or (rows_per_chunk, n_classes)
        The class indices (int32) or probabilities.
    weights : ndarray of shape (1, rows_per_chunk) or (n_models, rows_per_chunk)
        n·s_i / (Σs · rows in the batch), so that their sum over a batch of the
        gradients of the cross-entropy is the batch's gradient; 0 in empty slots.
    actions : ndarray of shape (micro_batches_per_chunk,), int32
        UNUSED, ACCUMULATE or APPLY; the unused micro-batches come last.
    is_reused : bool
        Whether the arrays will be refilled with other rows.
    """

    X: NDArray[Any] | PaddedCSR
    y: NDArray[Any]
    weights: NDArray[Any]
    actions: NDArray[np.int32]
    is_reused: bool = True

    @property
    def n_micro_batches(self) -> int:
        """Number of micro-batches in use."""
        return int(np.count_nonzero(self.actions))

    def for_models(self, models: slice) -> Chunk:
        """Return the same chunk with the weights of some models."""
        if len(self.weights) == 1:
            return self
        weights = aligned(self.weights[models].shape, self.weights.dtype)
        weights[...] = self.weights[models]
        return replace(self, weights=weights, is_reused=False)


def prefetch(calls: Iterable[Callable[[], Any]], pool: ThreadPool) -> Iterator[Any]:
    """Yield the result of each call, while the pool runs the next one."""
    task: Task | None = None
    for call in calls:
        following = pool.submit(call)
        if task is not None:
            yield task.result()
        task = following
    if task is not None:
        yield task.result()


class ChunkLoader:
    """Gathers the chunks of a dataset, epoch after epoch, in a few reused buffers.

    Use it as a context manager, which ends the thread that fills the next chunk.
    `n_in_use` chunks may be in use while the next one is filled. Dense chunks have
    `width` columns, by default as many as X; additional columns are zeros.
    """

    def __init__(
        self,
        dataset: Dataset,
        layout: Layout,
        dtypes: tuple[np.dtype[Any], np.dtype[Any]],
        n_in_use: int = 1,
        width: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.layout = layout
        self.micro_batches = layout.micro_batches(len(dataset))
        n_micro_batches = len(self.micro_batches)
        self._firsts = range(0, n_micro_batches, layout.micro_batches_per_chunk)
        storage, precision = dtypes
        n_buffers = min(n_in_use + 1, len(self._firsts))
        self._is_sparse = sparse.issparse(dataset.X)
        self._width = width or dataset.n_features
        self._buffers = [self._new_chunk(storage, precision) for _ in range(n_buffers)]
        self._n_filled = 0
        if not self._is_sparse:
            self._gather = gatherer(dataset.X, storage)

    def __len__(self) -> int:
        return len(self._firsts)

    def __enter__(self) -> ChunkLoader:
        self._pool = ThreadPool(1, "tfsoftmax-loader")
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def epoch(self) -> Iterator[Chunk]:
        """Return the chunks of one epoch, in the order of the rows."""
        return next(self.epochs(lambda: None, 1))

    def epochs(
        self, draw_order: Callable[[], Order], n_epochs: int
    ) -> Iterator[Iterator[Chunk]]:
        """Yield, for each epoch, an iterator over its chunks.

        A chunk is valid until `n_in_use` more are requested. While the last chunk of an
        epoch is in use, the first chunk of the next epoch is filled.

        Parameters
        ----------
        draw_order : callable
            Draws the order of an epoch. The filling thread calls it once per epoch, at
            most one epoch ahead.
        n_epochs : int
            Number of epochs.
        """
        calls = self._calls(draw_order, n_epochs)
        chunks: Iterator[Chunk]
        if len(self) == 1:  # one buffer, and nothing to fill ahead
            chunks = (call() for call in calls)
        else:
            chunks = prefetch(calls, self._pool)
        for _ in range(n_epochs):
            yield itertools.islice(chunks, len(self))

    def _calls(
        self, draw_order: Callable[[], Order], n_epochs: int
    ) -> Iterator[Callable[[], Chunk]]:
        for _ in range(n_epochs):
            order = functools.cache(draw_order)  # drawn by the first call of the epoch
            for number in range(len(self)):
                yield functools.partial(self._fill, number, order)

    def _new_chunk(self, storage: np.dtype[Any], precision: np.dtype[Any]) -> Chunk:
        n_rows, data = self.layout.rows_per_chunk, self.dataset
        X: NDArray[Any] | PaddedCSR
        if self._is_sparse:
            n_micro_batches = self.layout.micro_batches_per_chunk
            X = PaddedCSR.empty(most_slots(data, n_rows), n_micro_batches, precision)
        else:
            X = aligned((n_rows, self._width), storage)
        return Chunk(
            X,
            aligned(
                (n_rows, *data.y.shape[1:]), np.int32 if data.y.ndim == 1 else precision
            ),
            aligned((data.n_weight_rows, n_rows), precision),
            aligned((self.layout.micro_batches_per_chunk,), np.int32),
        )

    @np.errstate(over="ignore")  # `check_epoch` catches inf
    def _fill(self, number: int, draw_order: Callable[[], Order]) -> Chunk:
        order, data = draw_order(), self.dataset
        size, micro_batches = self.layout.micro_batch_size, self.micro_batches
        self._n_filled += 1
        chunk = self._buffers[self._n_filled % len(self._buffers)]
        X, y, weights, actions = chunk.X, chunk.y, chunk.weights, chunk.actions
        first = self._firsts[number]
        last = min(first + self.layout.micro_batches_per_chunk, len(micro_batches))
        used = slice(first, last)
        for slot, start, stop in _runs(
            micro_batches.start[used], micro_batches.stop[used], size
        ):
            positions = slice(start, stop)
            rows = positions if order is None else order[positions]
            slots = slice(slot, slot + stop - start)
            if not isinstance(X, PaddedCSR):
                index = rows if data.index is None else data.index[rows]
                self._gather(index, X[slots, : data.n_features])
            y[slots] = data.y[rows]
            weights[:, slots] = 1 if data.weights is None else data.weights[..., rows]
            # The remaining slots in the last micro-batch of this run.
            rest = slice(slots.stop, slot + _round_up(stop - start, size))
            if not isinstance(X, PaddedCSR):
                X[rest] = 0
            y[rest] = 0
            weights[:, rest] = 0
        if isinstance(X, PaddedCSR):
            begin, end = micro_batches.start[first], micro_batches.stop[last - 1]
            positions = slice(begin, end)
            rows = positions if order is None else order[positions]
            index = rows if data.index is None else data.index[rows]
            X.fill(data.X[index], micro_batches.stop[used] - begin)
        n = last - first
        by_micro_batch = weights[:, : n * size].reshape(-1, n, size)
        by_micro_batch /= micro_batches.batch_rows[used, None]
        actions[:n] = np.where(micro_batches.ends_batch[used], APPLY, ACCUMULATE)
        actions[n:] = UNUSED
        return chunk


def _runs(
    starts: NDArray[np.int64], stops: NDArray[np.int64], size: int
) -> Iterator[tuple[int, int, int]]:
    """Join micro-batches with no empty slots between: (first slot, start, stop)."""
    first = 0
    for i in range(len(starts)):
        is_last = i + 1 == len(starts)
        if is_last or stops[i] - starts[i] < size:
            yield first * size, int(starts[first]), int(stops[i])
            first = i + 1


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
