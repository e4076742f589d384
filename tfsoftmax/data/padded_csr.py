"""PaddedCSR: rows of a sparse matrix in arrays of a fixed shape.

Values are stored in runs of slots of equal length, together with their columns. A row
takes as many runs as it needs and pads the last one with zeros, so that each run
belongs to one row: its products are summed before they are added to the sum of the row.
Micro-batch i has the slots from starts[i] to starts[i + 1], and its rows are counted
from 0. In runs of 2:

    rows of X    a . b | . . . | . c . | d e f      micro-batches of 2 rows
    values       a b c 0 d e f 0 . .                columns  0 2 1 0 0 1 2 0 . .
    starts       0 2 8                              rows     0   0   1   1   .
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.gather import aligned
from tfsoftmax.data.widths import next_power_of_two

# Slots per run.
RUN = 8
# Slots that the program processes at once; capacities are multiples of it. On two
# cores, an epoch of 11,314 rows with 94 values each took 72, 55 and 69 ms with 512,
# 2,048 and 8,192.
BLOCK = 2048


class PaddedCSR(NamedTuple):
    """Some rows, in the form that the program needs.

    Attributes
    ----------
    values : ndarray of shape (capacity,)
    columns : ndarray of shape (capacity,), int32
        The column of each value.
    rows : ndarray of shape (capacity / RUN,), int32
        The row of each run in its micro-batch.
    starts : ndarray of shape (n_micro_batches + 1,), int32
        The first slot of each micro-batch, and the end of the last.
    """

    values: NDArray[Any]
    columns: NDArray[np.int32]
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]

    @classmethod
    def empty(
        cls, capacity: int, n_micro_batches: int, precision: np.dtype[Any]
    ) -> PaddedCSR:
        """Return new arrays for at least `capacity` slots."""
        capacity = next_power_of_two(capacity + BLOCK)
        index = np.dtype(np.int32)
        return cls(
            aligned((capacity,), precision),
            aligned((capacity,), index),
            aligned((capacity // RUN,), index),
            aligned((n_micro_batches + 1,), index),
        )

    def fill(self, X: Any, ends: NDArray[np.int64]) -> None:
        """Copy rows of a CSR array, of which micro-batch i ends before row ends[i]."""
        lengths = np.diff(X.indptr)
        n_runs = _runs(lengths)
        first_slots = np.concatenate([[0], np.cumsum(n_runs)]) * RUN
        n = first_slots[-1]
        slots = np.repeat(first_slots[:-1] - X.indptr[:-1], lengths)
        slots += np.arange(len(slots))
        for array, source in ((self.values, X.data), (self.columns, X.indices)):
            array[:n] = 0
            array[slots] = source
        begins = np.concatenate([[0], ends[:-1]])
        numbers = np.arange(len(lengths)) - np.repeat(begins, ends - begins)
        self.rows[: n // RUN] = np.repeat(numbers, n_runs)
        self.starts[0] = 0
        self.starts[1 : len(ends) + 1] = first_slots[ends]
        self.starts[len(ends) + 1 :] = n


def row_bytes(dataset: Dataset, precision: np.dtype[Any]) -> int:
    """Return the mean number of bytes per row, rounded up to a power of 2.

    Folds of the same data thus share a layout and a program.
    """
    slots = _runs(max(1, dataset.X.nnz // dataset.X.shape[0])) * RUN
    return next_power_of_two(slots * slot_bytes(precision))


def slot_bytes(precision: np.dtype[Any]) -> int:
    """Return the bytes per slot, with its column and its part of the run's row."""
    return precision.itemsize + 4 + math.ceil(4 / RUN)


def most_slots(dataset: Dataset, n_rows: int) -> int:
    """Return the maximum number of slots of this many rows."""
    n_runs = _runs(np.diff(dataset.X.indptr))
    if dataset.index is not None:
        n_runs = n_runs[dataset.index]
    if n_rows < len(n_runs):
        n_runs = np.partition(n_runs, -n_rows)[-n_rows:]
    return int(n_runs.sum()) * RUN


def _runs(lengths: Any) -> Any:
    """Return the number of runs of rows with these numbers of values."""
    return -(-lengths // RUN)
