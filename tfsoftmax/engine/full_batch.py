"""FullBatch: the loss and its gradient over all rows of a dataset, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.buffers import Buffers, shared_buffers
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.dtypes import full_batch_dtypes_for
from tfsoftmax.data.gather import aligned
from tfsoftmax.data.rows import Rows
from tfsoftmax.data.tiles import Tile, Tiles
from tfsoftmax.engine.features import CentredFeatures, Scaling
from tfsoftmax.engine.placement import MAX_THREADS
from tfsoftmax.engine.runtime import import_tensorflow
from tfsoftmax.engine.spec import TileSpec, weight_rows
from tfsoftmax.utils.threads import ThreadPool


class Means(NamedTuple):
    """The mean cross-entropy, the accuracy, and the gradient of the former in Û."""

    loss: float
    accuracy: float
    gradient: NDArray[np.float64]


class Sums(NamedTuple):
    """The same as sums over the rows: the first two in one array, and the gradient."""

    totals: NDArray[np.float64]
    gradient: NDArray[np.float64]


class AllRows:
    """Evaluates one model on all rows of a dataset, at any weights.

    The subclasses do this for dense rows, sparse rows and rows in other processes.

    Use it as a context manager, which ends its threads. Tiles are processed in
    parallel, and their sums are added in the order of the rows.

    Parameters
    ----------
    dataset : Dataset
    n_classes : int
    fit_intercept : bool
    scaling : Scaling
        The map from x to x̃.
    precision : dtype, default=None
        The dtype in which the rows are centred; None means the one that the dataset
        needs.
    features : CentredFeatures, default=None
        The features of the weights Û; None means features centred at the mean of the
        rows.
    n_threads : int, default=None
        Number of tiles processed in parallel; None means TensorFlow's number of
        threads.
    keeps_copies : bool, default=True
        Whether to keep tiles of dense rows that are not views of X, if they are small.
        Those of sparse rows are always kept, up to a limit.

    Attributes
    ----------
    shape : tuple of int
        The shape of Û: (n_rows, n_features + 1), always with an intercept.
    """

    def __init__(
        self,
        dataset: Rows,
        n_classes: int,
        *,
        fit_intercept: bool,
        scaling: Scaling,
        precision: np.dtype[Any] | None = None,
        features: CentredFeatures | None = None,
        n_threads: int | None = None,
        keeps_copies: bool = True,
    ) -> None:
        self._storage, self.precision = full_batch_dtypes_for(dataset.X, precision)
        self.dataset, self._n_classes = dataset, n_classes
        self.features = features or CentredFeatures.of(
            dataset,
            scaling=scaling,
            fit_intercept=fit_intercept,
            precision=self.precision,
        )
        self._n_threads, self._keeps_copies = n_threads, keeps_copies
        self.shape = weight_rows(n_classes), dataset.n_features + 1
        self._functions: dict[str, Callable[..., Any]] = {}

    _pool: ThreadPool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.close()

    @property
    def work(self) -> int:
        """Number of multiplications in one evaluation."""
        return 2 * self.dataset.n_values * self.shape[0]

    def __call__(self, U: NDArray[np.float64], precision: np.dtype[Any]) -> Means:
        """Evaluate at the weights Û of the centred features, in `precision`."""
        totals, gradient = self.sums(U, precision)
        totals, gradient = totals / len(self.dataset), gradient / len(self.dataset)
        return Means(float(totals[0]), float(totals[1]), gradient)

    def sums(self, U: NDArray[np.float64], precision: np.dtype[Any]) -> Sums:
        """Evaluate the same, but return sums over the rows."""
        raise NotImplementedError

    def _map(self, evaluate: Callable[[int], Any], numbers: range) -> Iterator[Any]:
        """Evaluate tiles by their numbers, and yield the results in order."""
        if self._pool is None or len(numbers) == 1:
            return map(evaluate, numbers)
        return self._pool.map(evaluate, numbers)


class FullBatch(AllRows):
    """Evaluates one model on all rows of a dense dataset."""

    def __init__(self, dataset: Dataset, n_classes: int, **parameters: Any) -> None:
        super().__init__(dataset, n_classes, **parameters)
        import_tensorflow()
        from tfsoftmax.engine.compilation import share
        from tfsoftmax.engine.device import alignment, n_threads

        self._share = share
        self._tiles = tiles = Tiles(
            dataset,
            self._storage,
            self.precision,
            alignment(),
            keeps_copies=self._keeps_copies,
        )
        n_at_once = min(self._n_threads or n_threads(), MAX_THREADS, len(tiles))
        if n_at_once > 1:
            self._pool = ThreadPool(n_at_once, "tfsoftmax-full-batch")
        constants = self.features.centre, np.asarray(self.features.factor)
        self._constants = tuple(share(self._widened(each)) for each in constants)
        self._kept = {
            number: self._tensors(tiles.tile(number))
            for number in range(len(tiles))
            if tiles.keeps(number)
        }
        if self._keeps_copies:
            self._buffers = Buffers(tiles.new_buffer)
        else:
            kind = tiles.n_rows, tiles.n_columns, self._storage
            self._buffers = shared_buffers(kind, tiles.new_buffer)

    def _widened(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return a number, or one per column of a tile, as the program needs it."""
        widened = aligned((self._tiles.n_columns,) * numbers.ndim, self.precision)
        columns = slice(self.dataset.n_features) if numbers.ndim else ...
        widened[columns] = numbers
        return widened

    def sums(self, U: NDArray[np.float64], precision: np.dtype[Any]) -> Sums:
        """Evaluate at the weights Û of the centred features, in `precision`."""
        n_rows, n_columns = self.shape
        weights = aligned((n_rows, self._tiles.n_columns + 1), precision)
        with np.errstate(over="ignore"):  # the loss shows inf
            weights[:, : n_columns - 1] = U[:, :-1]
            weights[:, -1] = U[:, -1]
        arguments = self._share(weights), *self._constants
        function = self._function(arguments)

        def evaluate(number: int) -> NDArray[np.float64]:
            if number in self._kept:
                (sums,) = function(*arguments, *self._kept[number])
                return sums.numpy()  # type: ignore[no-any-return]
            with self._buffers.take() as buffer:
                tile = self._tensors(self._tiles.tile(number, buffer))
                (sums,) = function(*arguments, *tile)
                return sums.numpy()  # type: ignore[no-any-return]

        numbers = range(len(self._tiles))
        total = sum(self._map(evaluate, numbers), np.zeros(2 + weights.size))
        gradient = np.zeros(self.shape)
        if self.features.fit_intercept:
            gradient[:, -1] = total[2 : 2 + n_rows]
        by_column = total[2 + n_rows :].reshape(n_rows, -1)
        gradient[:, :-1] = by_column[:, : n_columns - 1]
        return Sums(total[:2], gradient)

    def _function(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """Return the program for the dtype of the weights among its arguments."""
        precision = arguments[0].dtype.name
        if precision not in self._functions:
            from tfsoftmax.engine.compilation import compiled
            from tfsoftmax.engine.tile_program import evaluate_tile

            spec = TileSpec(
                n_classes=self._n_classes,
                n_columns=self._tiles.n_columns,
                n_tile_rows=self._tiles.n_rows,
                soft_labels=self.dataset.y.ndim == 2,
                storage=self._storage.name,
                centring=self.precision.name,
                precision=precision,
            )
            tile = self._kept.get(0) or self._tensors(self._tiles.tile(0))
            function = compiled(evaluate_tile, spec, (*arguments, *tile))
            self._functions[precision] = function
        return self._functions[precision]

    def _tensors(self, tile: Tile) -> tuple[Any, ...]:
        return tuple(map(self._share, tile))
