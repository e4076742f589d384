"""Engine: a dataset bound to the compiled programs for its shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data import padded_csr
from tfsoftmax.data.batches import Layout
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.dtypes import dtypes_for
from tfsoftmax.data.loader import Chunk, ChunkLoader, Order
from tfsoftmax.data.widths import MAX_SHARED_BYTES, narrow, shared_width, widen
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.placement import (
    MAX_THREADS,
    model_blocks,
    sparse_model_blocks,
)
from tfsoftmax.engine.runtime import import_tensorflow
from tfsoftmax.engine.spec import Hyperparameters, ProgramSpec, weight_rows
from tfsoftmax.utils.threads import ThreadPool

if TYPE_CHECKING:
    from tfsoftmax.engine.program import Program, State

# Logarithm of the largest factor by which a penalty may divide weights in a lazy chunk.
MAX_SHRINKING = 23.0
# The weights V of some models, and the optimizer's slots, as arrays.
Weights = tuple[NDArray[Any], tuple[NDArray[Any], ...]]
# The loss and the accuracy of each model.
LossAndAccuracy = tuple[NDArray[np.float64], NDArray[np.float64]]


class Engine:
    """Runs the compiled programs over the rows of a dataset.

    Use it as a context manager, which ends its threads.

    Parameters
    ----------
    dataset : Dataset
    n_classes : int
    batch_size : int
        Rows per batch; `len(dataset)` puts all rows in one batch.
    fit_intercept : bool
    scaling : Scaling
        The map from x to x̃.
    precision : dtype, default=None
        The dtype of the computation; None means the one that the dataset needs.
    optimizer : str, default=None
        The optimizer of `train_epoch`; None for an engine without training.
    l1 : bool, default=False
        Whether some model may have an L1 penalty.
    n_models : int, default=1
        Number of models that are trained on the same batches.
    even_batches : bool, default=False
        Whether batches have about the same number of rows, at most `batch_size`.
    """

    def __init__(
        self,
        dataset: Dataset,
        n_classes: int,
        *,
        batch_size: int,
        fit_intercept: bool,
        scaling: Scaling,
        precision: np.dtype[Any] | None = None,
        optimizer: str | None = None,
        l1: bool = False,
        n_models: int = 1,
        even_batches: bool = False,
    ) -> None:
        import_tensorflow()
        from tfsoftmax.engine.device import n_threads as available_threads
        from tfsoftmax.engine.program import Program

        storage, self.precision = dtypes_for(dataset.X, precision)
        self._is_sparse = sparse.issparse(dataset.X)
        self._n_features = dataset.n_features
        self._width = shared_width(dataset.X, len(dataset), storage)
        row_bytes = self._width * storage.itemsize
        if self._is_sparse:
            row_bytes = padded_csr.row_bytes(dataset, self.precision)
        layout = _layout(len(dataset), row_bytes, batch_size, evenly=even_batches)
        n_threads = min(available_threads(), MAX_THREADS)
        self._n_at_once = 1 if optimizer else n_threads
        self._loader = ChunkLoader(
            dataset, layout, (storage, self.precision), self._n_at_once, self._width
        )
        if self._is_sparse:
            model_bytes = weight_rows(n_classes) * self._width * self.precision.itemsize
            self._blocks = sparse_model_blocks(n_models, n_threads, model_bytes)
        else:
            self._blocks = model_blocks(n_models, n_threads)
        spec = ProgramSpec(
            n_models=n_models,
            n_classes=n_classes,
            n_features=self._width,
            fit_intercept=fit_intercept,
            micro_batch_size=layout.micro_batch_size,
            n_micro_batches=layout.micro_batches_per_chunk,
            accumulates=layout.micro_batches_per_batch > 1,
            soft_labels=dataset.y.ndim == 2,
            is_sparse=self._is_sparse,
            centred=self._is_sparse and scaling.mean is not None,
            per_model_weights=dataset.per_model_weights,
            storage=storage.name,
            precision=self.precision.name,
            optimizer=optimizer,
            l1=l1,
        )
        sizes = [block.stop - block.start for block in self._blocks]
        self._programs = [Program(replace(spec, n_models=size)) for size in sizes]
        arrays = scaling.arrays(self.precision)
        if arrays[-1].ndim:
            arrays = tuple(widen(a, self._n_features, self._width) for a in arrays)
        self._scaling = self._programs[0].to_tensors(arrays)
        self._pool = ThreadPool(n_threads, "tfsoftmax-engine")

    def __enter__(self) -> Engine:
        self._loader.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loader.__exit__(*exception)
        self._pool.close()

    def to_device(
        self, V: NDArray[Any] | None = None, slots: tuple[NDArray[Any], ...] = ()
    ) -> list[State]:
        """Return weights and slots as tensors, one state per block.

        Parameters
        ----------
        V : ndarray of shape (n_models, n_rows, n_columns), default=None
            The weights; None means the initial weights and slots.
        slots : tuple of ndarray
            The optimizer's slots, each with an axis for the models.
        """
        if V is None:
            return [program.to_device() for program in self._programs]
        V, slots = self._with_width(widen, (V, slots))
        return [
            program.to_device(V[block], tuple(slot[block] for slot in slots))
            for program, block in zip(self._programs, self._blocks, strict=True)
        ]

    def to_numpy(self, states: list[State]) -> Weights:
        """Return the weights and slots of all models, as new arrays."""
        pairs = zip(self._programs, states, strict=True)
        V, slots = zip(*(program.to_numpy(s) for program, s in pairs), strict=True)
        by_slot = zip(*slots, strict=True)
        weights = np.concatenate(V), tuple(map(np.concatenate, by_slot))
        return self._with_width(narrow, weights)

    def model_weights(self, states: list[State], model: int) -> Weights:
        """Return the weights and slots of one model, as new arrays (1, …)."""
        program, state, i = self._find(states, model)
        return self._with_width(narrow, program.model_weights(state, i))

    def largest_weight(self, states: list[State], model: int) -> float:
        """Return the largest absolute value of a model's weights."""
        program, state, i = self._find(states, model)
        return program.largest_weight(state, i)

    def _with_width(self, change: Callable[..., Any], weights: Weights) -> Weights:
        """Return weights, and slots of their shape, in the width of X or a program."""
        V, slots = weights

        def changed(array: NDArray[Any]) -> Any:
            if array.shape != V.shape:  # a number for all columns
                return array
            return change(array, self._n_features, self._width)

        return changed(V), tuple(map(changed, slots))

    def _find(self, states: list[State], model: int) -> tuple[Program, State, slice]:
        """Return the program and the state of a model, and its index there."""
        for program, state, block in zip(
            self._programs, states, self._blocks, strict=True
        ):
            if block.start <= model < block.stop:
                first = model - block.start
                return program, state, slice(first, first + 1)
        raise IndexError(model)

    def epochs(
        self, draw_order: Callable[[], Order], n_epochs: int
    ) -> Iterator[Iterator[Chunk]]:
        """Yield the chunks of each epoch, for `train_epoch`.

        The parameters are those of :meth:`tfsoftmax.data.loader.ChunkLoader.epochs`.
        """
        return self._loader.epochs(draw_order, n_epochs)

    def train_epoch(
        self, states: list[State], chunks: Iterable[Chunk], hyper: Hyperparameters
    ) -> tuple[list[State], LossAndAccuracy]:
        """Take the steps of an epoch.

        Parameters
        ----------
        states : list of State
        chunks : iterable of Chunk
            One of the iterators of `epochs`.
        hyper : Hyperparameters
            Each a sequence of `n_models` numbers.

        Returns
        -------
        states : list of State
        means : tuple of ndarray of shape (n_models,)
            The loss and the accuracy: means over the rows, each measured before its
            batch's step.
        """
        numbers = np.array(hyper)
        hypers = [
            program.to_tensor(numbers[:, block])
            for program, block in zip(self._programs, self._blocks, strict=True)
        ]
        lazy = self._is_lazy(hyper)
        if not lazy:
            states = self.whole(states)
        run: Callable[..., Iterable[Any]]
        run = map if len(self._blocks) == 1 else self._pool.map
        sums = []
        for chunk in chunks:

            def step(
                program: Program, block: slice, state: State, hyper: Any, chunk: Chunk
            ) -> tuple[State, NDArray[Any]]:
                return program.train(
                    state, chunk.for_models(block), hyper, self._scaling, lazy=lazy
                )

            same_chunk = [chunk] * len(self._blocks)
            done = run(step, self._programs, self._blocks, states, hypers, same_chunk)
            new_states, chunk_sums = zip(*done, strict=True)
            states = list(new_states)
            sums.append(np.concatenate(chunk_sums, axis=-1))
        return states, self._means(sums)

    def states_of(self, other: Any, states: list[Any]) -> list[State]:
        """Convert the weights of another engine with the same models for `evaluate`."""
        states = other.whole(states)
        is_engine = isinstance(other, Engine)
        if is_engine and (self._is_sparse, self._width) == (
            other._is_sparse,
            other._width,
        ):
            return states
        return self.to_device(other.to_numpy(states)[0])

    def whole(self, states: list[State]) -> list[State]:
        """Return the states with all factors multiplied into their weights."""
        pairs = zip(self._programs, states, strict=True)
        return [program.whole(state) for program, state in pairs]

    def _is_lazy(self, hyper: Hyperparameters) -> bool:
        """Whether the time of steps can depend only on the number of values in X.

        It can't if the penalty shrinks weights so much in a chunk that float32 would
        overflow.
        """
        spec = self._programs[0].spec
        with np.errstate(over="ignore"):  # inf is also too large
            shrinking = np.log1p(np.multiply(hyper.rate, hyper.l2))
        largest = float(shrinking.max()) * spec.n_micro_batches
        return spec.lazy and largest < MAX_SHRINKING

    def evaluate(self, states: list[State]) -> LossAndAccuracy:
        """Compute the loss and the accuracy of each model, of shape (n_models,)."""

        def evaluate_chunk(chunk: Chunk) -> NDArray[Any]:
            blocks = zip(self._programs, self._blocks, states, strict=True)
            sums = [
                program.evaluate(state.V, chunk.for_models(block), self._scaling)
                for program, block, state in blocks
            ]
            return np.concatenate(sums, axis=-1)

        return self._means(list(self._map_chunks(evaluate_chunk)))

    def gram(
        self, v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute X̃ᵀ S X̃ v / n, of shape (n_models, D), and each model's max s ‖x̃‖².

        The engine must have two classes and all rows in one batch.
        """
        n = len(self._loader.dataset)
        states = self.to_device(v[:, None].astype(self.precision))

        def gram_of_chunk(chunk: Chunk) -> tuple[NDArray[Any], NDArray[Any]]:
            blocks = zip(self._programs, self._blocks, states, strict=True)
            done = [
                program.gram(state.V, chunk.for_models(block), self._scaling)
                for program, block, state in blocks
            ]
            G, largest = zip(*done, strict=True)
            return np.concatenate(G), np.concatenate(largest)

        total, most = np.zeros(v.shape), np.zeros(len(v))
        for G, largest in self._map_chunks(gram_of_chunk):
            total += narrow(G[:, 0], self._n_features, self._width)
            most = np.maximum(most, largest)
        return total, most * n

    def _map_chunks(self, work: Callable[[Chunk], Any]) -> Iterator[Any]:
        """Yield the results of work on each chunk of an epoch, in order."""
        chunks = self._loader.epoch()
        if len(self._loader) == 1:
            return map(work, chunks)
        return self._pool.map_at_most(work, chunks, self._n_at_once)

    def _means(self, sums: list[NDArray[Any]]) -> LossAndAccuracy:
        # A chunk's weights are divided by the rows in their batch. All micro-batches
        # are summed at once, so that the result does not depend on the chunks.
        batch_rows = self._loader.micro_batches.batch_rows[:, None, None]
        by_micro_batch = np.concatenate(sums, dtype=np.float64) * batch_rows
        loss, accuracy = by_micro_batch.sum(axis=0) / len(self._loader.dataset)
        return loss, accuracy


def _layout(n_rows: int, row_bytes: int, batch_size: int, *, evenly: bool) -> Layout:
    """Return how the rows are divided into batches and chunks."""
    is_small = n_rows * row_bytes <= MAX_SHARED_BYTES
    layout = Layout.choose(batch_size, n_rows, row_bytes, shares_programs=is_small)
    return layout.evenly(n_rows) if evenly else layout
