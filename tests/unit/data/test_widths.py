"""Widths of programs, which several widths of X share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tfsoftmax.data.widths import (
    MAX_SHARED_BYTES,
    narrow,
    next_width,
    shared_width,
    widen,
)

DOUBLE = np.dtype(np.float64)


def test_widths_are_rungs_of_a_ladder():
    rungs = [4, 8, 16, 32, *range(64, 128, 8), *range(128, 256, 16), 256]
    for n_features in range(1, 257):
        assert next_width(n_features) == min(r for r in rungs if r >= n_features)


def test_small_and_sparse_rows_share_widths():
    n_rows = MAX_SHARED_BYTES // (8 * 50)
    X = np.broadcast_to(0.0, (n_rows + 1, 50))
    assert shared_width(X, n_rows, DOUBLE) == 64
    assert shared_width(X, n_rows + 1, DOUBLE) == 50
    assert shared_width(sparse.csr_array((n_rows + 1, 50)), n_rows + 1, DOUBLE) == 64


@pytest.mark.parametrize("n_features", [3, 4], ids=["with intercept", "without"])
def test_zeros_go_between_the_features_and_the_intercept(n_features):
    V = np.arange(1.0, 9).reshape(1, 2, 4)
    wide = widen(V, n_features, 5)
    assert wide.shape == (1, 2, 5 + 4 - n_features)
    assert not wide[..., n_features:5].any()
    np.testing.assert_array_equal(wide[..., 5:], V[..., n_features:])
    np.testing.assert_array_equal(narrow(wide, n_features, 5), V)
    assert widen(V, 5, 5) is V
