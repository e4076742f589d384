"""The loss and its gradient over rows in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset, add_each
from tfsoftmax.distributed.parts import Parts
from tfsoftmax.engine.full_batch import AllRows, Sums
from tfsoftmax.solvers.engines import all_rows
from tfsoftmax.utils.workers import current_worker


@all_rows.register(Parts)
class FullBatchOfParts(AllRows):
    """Evaluates one model on all rows, by adding the sums of the parts.

    Parameters and attributes are those of `AllRows`; the dataset is a `Parts` object.
    """

    def __init__(self, dataset: Any, n_classes: int, **parameters: Any) -> None:
        super().__init__(dataset, n_classes, **parameters)
        self._blocks = dataset.bind(
            make_block, n_classes, self.features, self.precision
        )

    def sums(self, U: NDArray[np.float64], precision: np.dtype[Any]) -> Sums:
        """Evaluate at the weights Û of the centred features, in `precision`."""
        found = self._blocks.fold(loss_and_gradient, U, precision, combine=add_each)
        return Sums(*found)


def make_block(
    dataset: Dataset, n_classes: int, features: Any, precision: np.dtype[Any]
) -> AllRows:
    """Return an evaluator of a block of rows that copies only sparse rows."""
    return all_rows(
        dataset,
        n_classes,
        fit_intercept=features.fit_intercept,
        scaling=features.scaling,
        precision=precision,
        features=features,
        # A worker runs as many tasks at once as it has threads.
        n_threads=None if current_worker() is None else 1,
        keeps_copies=False,
    )


def loss_and_gradient(
    block: AllRows, U: NDArray[np.float64], precision: np.dtype[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Evaluate one block."""
    return tuple(block.sums(U, precision))  # type: ignore[return-value]
