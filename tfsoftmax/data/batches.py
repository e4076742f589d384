"""The layout of an epoch's rows in batches, micro-batches and chunks.

An epoch visits the rows in some order, batch by batch. A batch is one *micro-batch*,
the rows of one matrix product, or several with accumulated gradients if it is too large
for one. A chunk is a fixed number of micro-batches, since a compiled program needs a
fixed shape. Only the last micro-batch of a batch can have fewer rows than slots; the
remaining slots have weight 0.

    rows of X in the epoch's order   0 1 2 3 4 | 5 6 7 8 9 | 10 11      batches of 5
    micro-batches of a chunk        [0 1 2 3 4] [5 6 7 8 9] [10 11 . . .]
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.widths import next_power_of_two, next_width

# Maximum number of rows in one matrix product, and of their bytes.
MAX_MICRO_BATCH = 1024
MAX_MICRO_BATCH_BYTES = 32 << 20
# With fewer rows than this, empty slots cost less than another compilation.
MIN_MICRO_BATCH = 256
# A chunk contains as many micro-batches as both limits allow. Two chunks of 8 MB fit in
# the last-level cache of most machines, and with 10 chunks per epoch of MNIST the 0.15
# ms per call of the program are negligible.
MAX_CHUNK_BYTES = 8 << 20
MAX_CHUNK_ROWS = 8192
# The action for a micro-batch: none, since it has no rows; adding to the gradient of
# its batch; or that and the update, since it is the last of its batch.
UNUSED, ACCUMULATE, APPLY = range(3)


@dataclass(frozen=True)
class Layout:
    """The layout of rows in micro-batches, and of micro-batches in chunks."""

    batch_size: int
    micro_batch_size: int
    micro_batches_per_chunk: int

    @classmethod
    def choose(
        cls,
        batch_size: int,
        n_samples: int,
        row_bytes: int,
        *,
        shares_programs: bool = False,
    ) -> Layout:
        """Return a layout that data sets of similar size share.

        Programs are compiled for the sizes of micro-batches and chunks, so these depend
        on `n_samples` as little as possible: only if all rows are one batch, and then
        by powers of two. Micro-batches of similar sizes share a program, if that is
        requested; they then have a few empty slots.
        """
        largest = max(1, min(MAX_MICRO_BATCH, MAX_MICRO_BATCH_BYTES // row_bytes))
        chunk_rows = min(MAX_CHUNK_ROWS, MAX_CHUNK_BYTES // row_bytes)
        if n_samples <= batch_size:
            n_rows = next_power_of_two(n_samples)
            size = min(batch_size, max(MIN_MICRO_BATCH, n_rows), largest)
            # Enough chunks for several threads to process one each.
            chunk_rows = min(chunk_rows, n_rows // 8)
        else:
            size = math.ceil(batch_size / math.ceil(batch_size / largest))
        if shares_programs:
            size = next_width(size)
        return cls(min(batch_size, n_samples), size, max(1, chunk_rows // size))

    def evenly(self, n_samples: int) -> Layout:
        """Return a layout of as many batches, all of about the same number of rows.

        For successive small data sets, each of which would end with a batch of few
        rows. Micro-batches have empty slots instead.
        """
        n_batches = math.ceil(n_samples / self.batch_size)
        return replace(self, batch_size=math.ceil(n_samples / n_batches))

    @property
    def micro_batches_per_batch(self) -> int:
        """Number of micro-batches that a whole batch fills."""
        return math.ceil(self.batch_size / self.micro_batch_size)

    @property
    def rows_per_chunk(self) -> int:
        """Number of slots for rows in a chunk."""
        return self.micro_batch_size * self.micro_batches_per_chunk

    def micro_batches(self, n_samples: int) -> MicroBatches:
        """Lay out an epoch of `n_samples` rows."""
        full, rest = divmod(n_samples, self.batch_size)
        n = full * self.micro_batches_per_batch + math.ceil(
            rest / self.micro_batch_size
        )
        batch, within = np.divmod(np.arange(n), self.micro_batches_per_batch)
        first = batch * self.batch_size
        end = np.minimum(first + self.batch_size, n_samples)
        start = first + within * self.micro_batch_size
        stop = np.minimum(start + self.micro_batch_size, end)
        return MicroBatches(start, stop, end - first, ends_batch=stop == end)


@dataclass(frozen=True)
class MicroBatches:
    """The micro-batches of an epoch.

    Attributes
    ----------
    start, stop : ndarray of shape (n_micro_batches,)
        Positions of its rows in the order of the epoch.
    batch_rows : ndarray of shape (n_micro_batches,)
        Number of rows in the whole batch.
    ends_batch : ndarray of shape (n_micro_batches,)
        Whether it is the last of its batch.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    batch_rows: NDArray[np.int64]
    ends_batch: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)
