"""Rows in parts, with the interface that the solvers need."""

from __future__ import annotations

import numpy as np

from tfsoftmax.distributed.block_shuffle import (
    BlockShuffle,
    HeldOutParts,
    PartOrder,
    draw_order,
)
from tfsoftmax.distributed.full_batch import FullBatchOfParts
from tfsoftmax.distributed.parts import Parts
from tfsoftmax.distributed.splitting import split


class RowsInParts(Parts):
    """Parts in the place of a :class:`~tfsoftmax.data.dataset.Dataset`."""

    full_batch = FullBatchOfParts
    engine = BlockShuffle
    evaluator = HeldOutParts

    def draw_order(self, rng: np.random.RandomState) -> PartOrder:
        """Draw the order of an epoch's rows."""
        return draw_order(self, rng)

    def split(
        self, fraction: float, seed: int
    ) -> tuple[RowsInParts, RowsInParts, RowsInParts]:
        """Split the rows, as :func:`tfsoftmax.data.hold_out.split` does."""
        return split(self, fraction, seed)
