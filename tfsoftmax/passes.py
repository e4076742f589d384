"""A pass over rows: their chunks, and the compiled programs for chunks of that shape.

Models that are trained side by side share each chunk. Past a number of them, one
matrix product for all no longer gains, and cores idle where a product does not split
well: so models go in blocks, each a program of its own, on as many threads as there
are cores. Where no steps are taken, chunks don't depend on each other, and are worked
on in several threads at once instead.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax import backend
from tfsoftmax.chunks import Chunk, Chunks, Layout, Order, Rows, dtypes_for
from tfsoftmax.workers import Task, Workers

States = list[Any]  # of each block of models, a program.State

# Models of one program. On two cores, 32 models on MNIST took 17 ms a model and epoch
# as one program, 12.5 as two of 16 and 16.6 as four of 8.
MAX_MODELS_PER_BLOCK = 16
MIN_MODELS_PER_BLOCK = 4
# Threads that work at once; each needs a buffer of its own where no steps are taken.
MAX_THREADS = 8


class Pass:
    """Takes rows through the program; a context, since threads work for it.

    Parameters
    ----------
    rows : Rows
    n_classes : int
    batch_size : int
        Rows in a batch; `len(rows)` makes all rows one batch.
    fit_intercept : bool
    rescale : float
        The factor on every feature.
    precision : dtype, default=None
        What to compute in; by default as the rows demand.
    optimizer : str, default=None
        The update rule, for `train`.
    n_models : int, default=1
        Models that are trained side by side.
    """

    def __init__(
        self,
        rows: Rows,
        n_classes: int,
        *,
        batch_size: int,
        fit_intercept: bool,
        rescale: float,
        precision: np.dtype[Any] | None = None,
        optimizer: str | None = None,
        n_models: int = 1,
    ) -> None:
        program = backend.load_program()
        storage, self.precision = dtypes_for(rows.X, precision)
        row_bytes = rows.n_features * storage.itemsize
        layout = Layout.of(batch_size, len(rows), row_bytes)
        n_threads = min(program.n_threads(), MAX_THREADS)
        self._at_once = 1 if optimizer else n_threads
        self._chunks = Chunks(rows, layout, (storage, self.precision), self._at_once)
        self._blocks = _blocks(n_models, n_threads)
        self._programs = [
            program.Program(
                program.Shape(
                    n_models=block.stop - block.start,
                    n_classes=n_classes,
                    n_features=rows.n_features,
                    fit_intercept=fit_intercept,
                    tile=layout.tile,
                    n_tiles=layout.tiles_per_chunk,
                    batch_spans_tiles=layout.tiles_per_batch > 1,
                    soft_labels=rows.y.ndim == 2,
                    own_weights=rows.n_weightings > 1,
                    storage=storage.name,
                    precision=self.precision.name,
                    optimizer=optimizer,
                )
            )
            for block in self._blocks
        ]
        self._rescale = self._programs[0].numbers(rescale)
        self._map: Callable[..., Iterable[Any]] = map
        self._workers = Workers(n_threads, "tfsoftmax-models")

    def __enter__(self) -> Pass:
        if len(self._blocks) > 1:
            self._map = self._workers.map
        self._chunks.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._chunks.__exit__(*exception)
        self._workers.close()

    def start(
        self, V: NDArray[Any] | None = None, slots: tuple[NDArray[Any], ...] = ()
    ) -> States:
        """Bring weights (n_models, n_rows, n_columns) and slots to the programs.

        Without any, all start at zero.
        """
        if V is None:
            return [program.start() for program in self._programs]
        return [
            program.start(V[block], tuple(slot[block] for slot in slots))
            for program, block in zip(self._programs, self._blocks, strict=True)
        ]

    def finish(self, states: States) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
        """Bring weights and slots back, as arrays of their own."""
        V = np.concatenate([state.V for state in states])
        slots = zip(*(state.slots for state in states), strict=True)
        return V, tuple(np.concatenate(slot) for slot in slots)

    def weights_of(
        self, states: States, model: int
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
        """Bring back the weights and slots of one model, as `finish` those of all."""
        for state, block in zip(states, self._blocks, strict=True):
            if block.start <= model < block.stop:
                own = slice(model - block.start, model - block.start + 1)
                V, *slots = (
                    np.array(np.asarray(t)[own]) for t in (state.V, *state.slots)
                )
                return V, tuple(slots)
        raise IndexError(model)

    def train(
        self,
        states: States,
        order: Order,
        hyper: NDArray[Any],
        following: Callable[[], Order] | None = None,
    ) -> tuple[States, NDArray[np.float64], NDArray[np.float64]]:
        """Take the steps of an epoch.

        Parameters
        ----------
        states : States
        order : ndarray of shape (n_samples,), or None
            A permutation of the rows; None takes them as they stand.
        hyper : ndarray of shape (4, n_models)
            As `program.HYPERPARAMETERS` names them.
        following : callable, default=None
            Gives the order of the epoch after this one, where there is one.

        Returns
        -------
        states : States
        loss, accuracy : ndarray of shape (n_models,)
            Means over the rows, each before its batch's step.
        """
        numbers = [
            program.numbers(hyper[:, block])
            for program, block in zip(self._programs, self._blocks, strict=True)
        ]
        sums = []
        for chunk in self._chunks.epoch(order, following):

            def step(
                program: Any, block: slice, state: Any, hyper: Any, chunk: Chunk = chunk
            ) -> tuple[Any, NDArray[Any]]:
                return program.train(  # type: ignore[no-any-return]
                    state, chunk.of_models(block), hyper, self._rescale
                )

            done = self._map(step, self._programs, self._blocks, states, numbers)
            advanced, of_tiles = zip(*done, strict=True)
            states = list(advanced)
            sums.append(np.concatenate(of_tiles, axis=-1))
        return states, *self._means(sums)

    def measure(
        self, states: States
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the loss and the accuracy of each model, of shape (n_models,)."""

        def evaluate(chunk: Chunk) -> NDArray[Any]:
            blocks = zip(self._programs, self._blocks, states, strict=True)
            sums = [
                program.evaluate(state.V, chunk.of_models(block), self._rescale)
                for program, block, state in blocks
            ]
            return np.concatenate(sums, axis=-1)

        return self._means(list(self._over_chunks(evaluate)))

    def gradient(self, V: NDArray[Any]) -> tuple[NDArray[Any], float, float]:
        """Compute the mean cross-entropy's gradient, its value, and the accuracy.

        For a pass of one model, with all rows in one batch.
        """
        (program,) = self._programs
        weights, zeros = program.start(V).V, program.start().V

        def accumulate(chunk: Chunk) -> tuple[NDArray[Any], NDArray[Any]]:
            gradient, sums = program.accumulate(weights, zeros, chunk, self._rescale)
            return np.asarray(gradient), sums

        gradient, sums = np.zeros(V.shape), []
        for of_chunk, of_tiles in self._over_chunks(accumulate):
            gradient += of_chunk
            sums.append(of_tiles)
        (loss,), (accuracy,) = self._means(sums)
        return gradient, float(loss), float(accuracy)

    def _over_chunks(self, work: Callable[[Chunk], Any]) -> Iterator[Any]:
        """Do work on each chunk, on several at once; what it gives, in their order."""
        if len(self._chunks) == 1:
            yield from map(work, self._chunks.epoch(order=None))
            return
        under_way: deque[Task] = deque()
        for chunk in self._chunks.epoch(order=None):
            under_way.append(self._workers.submit(work, chunk))
            if len(under_way) == self._at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def _means(
        self, sums: list[NDArray[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # A chunk's weights are divided by the rows in their batch. All tiles are
        # added up at once, so that the result does not depend on the chunks.
        rows_of_batch = self._chunks.tiles.rows_of_batch[:, None, None]
        by_tile = np.concatenate(sums, dtype=np.float64) * rows_of_batch
        loss, accuracy = by_tile.sum(axis=0) / len(self._chunks.rows)
        return loss, accuracy


def _blocks(n_models: int, n_threads: int) -> list[slice]:
    """Split models evenly into blocks; where there are several, one for each thread."""
    n_blocks = min(n_threads, math.ceil(n_models / MIN_MODELS_PER_BLOCK))
    while n_models / n_blocks > MAX_MODELS_PER_BLOCK:
        n_blocks += n_threads
    return evenly(n_models, n_blocks)


def evenly(n: int, n_parts: int) -> list[slice]:
    """Cut n into so many slices of nearly the same length."""
    bounds = np.linspace(0, n, n_parts + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
