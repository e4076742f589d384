"""Placement: which models are worked on at once."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfsoftmax.engine import placement


@given(st.integers(1, 300), st.integers(1, 64))
@settings(max_examples=200)
@example(1, 1)
@example(16, 1)
@example(17, 1)
@example(33, 2)
@example(5, 64)
def test_blocks_cover_the_models_evenly(n_models, n_threads):
    blocks = placement.model_blocks(n_models, n_threads)
    assert [m for b in blocks for m in range(b.start, b.stop)] == list(range(n_models))
    sizes = [block.stop - block.start for block in blocks]
    assert min(sizes) >= 1
    assert max(sizes) <= placement.MAX_MODELS_PER_BLOCK
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("n_models", "n_threads", "n_blocks"),
    [(1, 2, 1), (4, 2, 1), (5, 2, 2), (16, 1, 1), (17, 1, 2), (32, 2, 2), (40, 2, 4)],
)
def test_there_are_as_many_blocks_as_threads_where_there_are_several(
    n_models, n_threads, n_blocks
):
    assert len(placement.model_blocks(n_models, n_threads)) == n_blocks


@pytest.mark.parametrize(
    ("n_models", "n_threads", "model_bytes", "n_blocks"),
    [
        (8, 2, 1000, 2),  # as with dense rows
        (16, 2, 1 << 18, 4),
        (8, 2, 1 << 20, 8),
        (8, 2, 1 << 24, 8),
        (1, 4, 1 << 24, 1),
    ],
)
def test_blocks_of_models_on_sparse_rows_stay_in_a_cache(
    n_models, n_threads, model_bytes, n_blocks
):
    blocks = placement.sparse_model_blocks(n_models, n_threads, model_bytes)
    assert [m for b in blocks for m in range(b.start, b.stop)] == list(range(n_models))
    assert len(blocks) == n_blocks
