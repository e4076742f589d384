"""Layouts under small limits, and what the micro-batches in them are to have."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st

from tfsoftmax.data import batches
from tfsoftmax.data.batches import Layout
from tfsoftmax.data.padded_csr import RUN

# Arguments of tests with hypothesis: `largest` and `max_rows` for `layout_with`.
SIZES = {
    "n_samples": st.integers(1, 60),
    "batch_size": st.integers(1, 70),
    "largest": st.integers(1, 16),
    "max_rows": st.integers(1, 64),
}


def layout_with(batch_size, n_samples, row_bytes=8, **limits):
    """The layout that is chosen where the module's limits are these."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(batches, name, value)
        return Layout.choose(batch_size, n_samples, row_bytes)


def expected_micro_batches(order, batch_size, size):
    """Yield each micro-batch's rows, its batch's size, and whether it is the last."""
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        for i in range(0, len(batch), size):
            yield batch[i : i + size], len(batch), i + size >= len(batch)


def dense_rows(X, size, n_features):
    """The rows of a PaddedCSR as an array, `size` of them for each micro-batch."""
    rows = np.zeros((size * (len(X.starts) - 1), n_features), X.values.dtype)
    for i, (start, stop) in enumerate(pairwise(X.starts)):
        used = slice(start, stop)
        places = i * size + np.repeat(X.rows, RUN)[used], X.columns[used]
        np.add.at(rows, places, X.values[used])
    return rows
