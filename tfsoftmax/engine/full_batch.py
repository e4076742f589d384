"""FullBatch: the loss and its gradient over all rows of a dataset, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset, full_batch_dtypes_for
from tfsoftmax.data.gather import aligned
from tfsoftmax.data.tiles import Tile, Tiles
from tfsoftmax.engine.features import CentredFeatures, Scaling
from tfsoftmax.engine.placement import MAX_THREADS
from tfsoftmax.engine.runtime import import_tensorflow
from tfsoftmax.engine.spec import TileSpec
from tfsoftmax.utils.threads import ThreadPool


class Sums(NamedTuple):
    """The mean cross-entropy, the accuracy, and the gradient of the former in Û."""

    loss: float
    accuracy: float
    gradient: NDArray[np.float64]


class AllRows:
    """Evaluates one model on all rows of a dataset, at whatever weights.

    That is the task of its two subclasses, for dense and for sparse rows.

    Use it as a context manager: it owns threads. Tiles are worked on at once, and their
    sums added in the order of the rows.

    Parameters
    ----------
    dataset : Dataset
    n_classes : int
    fit_intercept : bool
    scaling : Scaling
        How x̃ comes from x.
    precision : dtype, default=None
        The dtype in which the rows are centred; by default what the dataset needs.

    Attributes
    ----------
    features : CentredFeatures
        What the weights Û are the weights of.
    shape : tuple of int
        That of Û: (n_rows, n_features + 1), with an intercept always.
    """

    def __init__(
        self,
        dataset: Dataset,
        n_classes: int,
        *,
        fit_intercept: bool,
        scaling: Scaling,
        precision: np.dtype[Any] | None = None,
    ) -> None:
        import_tensorflow()
        self._storage, self.precision = full_batch_dtypes_for(dataset.X, precision)
        self.dataset, self._n_classes = dataset, n_classes
        self.features = CentredFeatures.of(
            dataset,
            scaling=scaling,
            fit_intercept=fit_intercept,
            precision=self.precision,
        )
        n_rows = 1 if n_classes == 2 else n_classes
        self.shape = n_rows, dataset.n_features + 1
        self._functions: dict[str, Callable[..., Any]] = {}

    _pool: ThreadPool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.close()

    @property
    def work(self) -> int:
        """Number of multiplications in one evaluation."""
        raise NotImplementedError

    def __call__(self, U: NDArray[np.float64], precision: np.dtype[Any]) -> Sums:
        """Evaluate at the weights Û of the centred features, in `precision`."""
        raise NotImplementedError


class FullBatch(AllRows):
    """Evaluates one model on all rows of a dense dataset."""

    def __init__(self, dataset: Dataset, n_classes: int, **parameters: Any) -> None:
        super().__init__(dataset, n_classes, **parameters)
        from tfsoftmax.engine.compilation import share
        from tfsoftmax.engine.device import alignment, n_threads

        self._share = share
        self._tiles = tiles = Tiles(dataset, self._storage, self.precision, alignment())
        n_at_once = min(n_threads(), MAX_THREADS, len(tiles))
        self._pool = ThreadPool(n_at_once, "tfsoftmax-full-batch")
        constants = self.features.centre, np.asarray(self.features.factor)
        self._constants = tuple(share(self._widened(each)) for each in constants)
        self._kept: list[tuple[Any, ...]] = []
        self._buffers: SimpleQueue[NDArray[Any]] = SimpleQueue()
        if tiles.kept:
            self._kept = [self._tensors(tiles.tile(i)) for i in range(len(tiles))]
        else:
            for _ in range(n_at_once):
                self._buffers.put(tiles.new_buffer())

    def _widened(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return a number, or one for each column of a tile, as the program has it."""
        widened = aligned((self._tiles.n_columns,) * numbers.ndim, self.precision)
        own = slice(self.dataset.n_features) if numbers.ndim else ...
        widened[own] = numbers
        return widened

    @property
    def work(self) -> int:
        """Number of multiplications in one evaluation."""
        n_rows, n_columns = self.shape
        return 2 * len(self.dataset) * n_rows * n_columns

    def __call__(self, U: NDArray[np.float64], precision: np.dtype[Any]) -> Sums:
        """Evaluate at the weights Û of the centred features, in `precision`."""
        n_rows, n_columns = self.shape
        weights = aligned((n_rows, self._tiles.n_columns + 1), precision)
        with np.errstate(over="ignore"):  # overflow to inf shows in the loss
            weights[:, : n_columns - 1] = U[:, :-1]
            weights[:, -1] = U[:, -1]
        arguments = self._share(weights), *self._constants
        function = self._function(arguments)

        def evaluate(number: int) -> NDArray[np.float64]:
            if self._kept:
                (sums,) = function(*arguments, *self._kept[number])
                return sums.numpy()  # type: ignore[no-any-return]
            buffer = self._buffers.get()
            try:
                tile = self._tensors(self._tiles.tile(number, buffer))
                (sums,) = function(*arguments, *tile)
                return sums.numpy()  # type: ignore[no-any-return]
            finally:
                self._buffers.put(buffer)

        numbers = range(len(self._tiles))
        run = map if len(numbers) == 1 else self._pool.map
        total = sum(run(evaluate, numbers), np.zeros(2 + weights.size))
        total /= len(self.dataset)
        loss, accuracy = total[:2]
        gradient = np.zeros(self.shape)
        if self.features.fit_intercept:
            gradient[:, -1] = total[2 : 2 + n_rows]
        by_column = total[2 + n_rows :].reshape(n_rows, -1)
        gradient[:, :-1] = by_column[:, : n_columns - 1]
        return Sums(float(loss), float(accuracy), gradient)

    def _function(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """Return the program for the dtype of the weights among its arguments."""
        from tfsoftmax.engine.compilation import compiled
        from tfsoftmax.engine.tile_program import evaluate_tile

        precision = arguments[0].dtype.name
        if precision not in self._functions:
            spec = TileSpec(
                n_classes=self._n_classes,
                n_columns=self._tiles.n_columns,
                n_tile_rows=self._tiles.n_rows,
                soft_labels=self.dataset.y.ndim == 2,
                storage=self._storage.name,
                centring=self.precision.name,
                precision=precision,
            )
            tile = self._kept[0] if self._kept else self._tensors(self._tiles.tile(0))
            function = compiled(evaluate_tile, spec, (*arguments, *tile))
            self._functions[precision] = function
        return self._functions[precision]

    def _tensors(self, tile: Tile) -> tuple[Any, ...]:
        return tuple(map(self._share, tile))
