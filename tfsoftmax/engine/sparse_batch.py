"""SparseFullBatch: the loss and its gradient over all rows of a sparse dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.buffers import Buffers
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.gather import aligned
from tfsoftmax.data.tiles import SparseTiles
from tfsoftmax.data.widths import next_width
from tfsoftmax.engine.full_batch import AllRows, Sums
from tfsoftmax.engine.placement import MAX_THREADS
from tfsoftmax.engine.runtime import import_tensorflow
from tfsoftmax.engine.spec import SparseTileSpec
from tfsoftmax.utils.threads import ThreadPool


class SparseFullBatch(AllRows):
    """Evaluates one model on all rows, like :class:`~.full_batch.FullBatch`.

    Rows are never made dense. The mean is subtracted from sums over all rows:

        W x̂ = W (r ∘ x) − W (r ∘ c)        e x̂ᵀ = e (r ∘ x)ᵀ − e (r ∘ c)ᵀ

    Parameters and attributes are those of `FullBatch`.
    """

    def __init__(self, dataset: Dataset, n_classes: int, **parameters: Any) -> None:
        super().__init__(dataset, n_classes, **parameters)
        import_tensorflow()
        from tfsoftmax.engine.compilation import share_all
        from tfsoftmax.engine.device import n_threads

        factor = np.broadcast_to(self.features.factor, self.features.centre.shape)
        self._centre = factor * self.features.centre
        self._width = next_width(dataset.n_features)
        n_at_once = min(self._n_threads or n_threads(), MAX_THREADS)
        self._tiles = SparseTiles(dataset, factor, self.precision, n_at_once)
        n_at_once = min(n_at_once, len(self._tiles))
        if n_at_once > 1:
            self._pool = ThreadPool(n_at_once, "tfsoftmax-sparse-batch")
        self._share = share_all
        self._kept: list[Any] = []
        self._buffers = Buffers(self._tiles.new_buffer)
        if self._tiles.kept:
            tiles = map(self._tiles.tile, range(len(self._tiles)))
            self._kept = list(map(self._share, tiles))

    def sums(self, U: NDArray[np.float64], precision: np.dtype[Any]) -> Sums:
        """Evaluate at the weights Û of the centred features, in `precision`."""
        W = U[:, :-1]
        b = U[:, -1] - W @ self._centre
        n_features = self.dataset.n_features
        arrays = aligned((len(W), self._width), precision), aligned(b.shape, precision)
        with np.errstate(over="ignore"):  # the loss shows inf
            arrays[0][:, :n_features], arrays[1][...] = W, b
        arguments = self._share(arrays)

        def evaluate(number: int) -> tuple[NDArray[Any], NDArray[Any]]:
            if self._kept:
                return self._evaluate(arguments, self._kept[number], precision)
            with self._buffers.take() as buffer:
                tile = self._share(self._tiles.tile(number, buffer))
                return self._evaluate(arguments, tile, precision)

        numbers = range(len(self._tiles))
        gradient = np.zeros(self.shape)
        totals = np.zeros(2)
        for sums, G in self._map(evaluate, numbers):
            totals += sums[:2]
            gradient[:, -1] += sums[2:]
            gradient[:, :-1] += G[:, :n_features]
        gradient[:, :-1] -= np.outer(gradient[:, -1], self._centre)
        if not self.features.fit_intercept:
            gradient[:, -1] = 0
        return Sums(totals, gradient)

    def _evaluate(
        self, arguments: Any, tile: Any, precision: np.dtype[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        from tfsoftmax.engine.compilation import compiled
        from tfsoftmax.engine.tile_program import evaluate_sparse_tile

        if precision.name not in self._functions:
            spec = SparseTileSpec(
                n_classes=self._n_classes,
                n_features=self._width,
                n_tile_rows=self._tiles.n_rows,
                soft_labels=self.dataset.y.ndim == 2,
                precision=precision.name,
            )
            function = compiled(evaluate_sparse_tile, spec, (*arguments, *tile))
            self._functions[precision.name] = function
        sums, G = self._functions[precision.name](*arguments, *tile)
        return sums.numpy(), G.numpy()
