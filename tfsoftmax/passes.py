"""A pass over rows: their chunks, and the compiled program for chunks of that shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax import backend
from tfsoftmax.chunks import Chunks, Layout, Rows, dtypes_for


class Pass:
    """Takes rows through the program; a context, since a thread fills the chunks.

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
    ) -> None:
        program = backend.load_program()
        storage, self.precision = dtypes_for(rows.X, precision)
        row_bytes = rows.n_features * storage.itemsize
        layout = Layout.of(batch_size, len(rows), row_bytes)
        self._hyperparameters = program.Hyperparameters
        self._rescale = rescale
        self._chunks = Chunks(rows, layout, (storage, self.precision))
        self._program = program.Program(
            program.Shape(
                n_models=1,
                n_classes=n_classes,
                n_features=rows.n_features,
                fit_intercept=fit_intercept,
                tile=layout.tile,
                n_tiles=layout.tiles_per_chunk,
                batch_spans_tiles=layout.tiles_per_batch > 1,
                soft_labels=rows.y.ndim == 2,
                storage=storage.name,
                precision=self.precision.name,
                optimizer=optimizer,
            )
        )
        self.start = self._program.start
        self.finish = self._program.finish

    def __enter__(self) -> Pass:
        self._chunks.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._chunks.__exit__(*exception)

    def train(
        self,
        state: Any,
        order: NDArray[Any] | None,
        *,
        rate: float,
        momentum: float,
        l2: float,
        l1: float,
    ) -> tuple[Any, float, float]:
        """Take the steps of an epoch: (new state, loss, accuracy before the steps)."""
        hyper = self._hyperparameters(
            *(np.array([value]) for value in (rate, momentum, l2, l1))
        )
        sums = []
        for chunk in self._chunks.epoch(order):
            state, of_tiles = self._program.train(state, chunk, hyper, self._rescale)
            sums.append(of_tiles)
        return state, *self._means(sums)

    def measure(self, state: Any) -> tuple[float, float]:
        """Compute the loss and the accuracy of a state."""
        sums = [
            self._program.evaluate(state, chunk, self._rescale)
            for chunk in self._chunks.epoch(order=None)
        ]
        return self._means(sums)

    def gradient(self, V: NDArray[Any]) -> tuple[NDArray[Any], float, float]:
        """Compute the mean cross-entropy's gradient, its value, and the accuracy.

        For a pass with all rows in one batch.
        """
        state, sums = self.start(V), []
        for chunk in self._chunks.epoch(order=None):
            state, of_tiles = self._program.accumulate(state, chunk, self._rescale)
            sums.append(of_tiles)
        return np.array(state.gradient), *self._means(sums)

    def _means(self, sums: list[NDArray[Any]]) -> tuple[float, float]:
        # A chunk's weights are divided by the rows in their batch. All tiles are
        # added up at once, so that the result does not depend on the chunks.
        rows_of_batch = self._chunks.tiles.rows_of_batch[:, None]
        by_tile = np.concatenate(sums, dtype=np.float64)[:, :, 0] * rows_of_batch
        loss, accuracy = by_tile.sum(axis=0) / len(self._chunks.rows)
        return float(loss), float(accuracy)
