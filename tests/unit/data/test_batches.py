"""Layouts: how the rows of an epoch lie in batches, micro-batches and chunks."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.layouts import SIZES, expected_micro_batches, layout_with
from tfsoftmax.data import batches
from tfsoftmax.data.batches import Layout


@given(**SIZES, max_bytes=st.integers(1, 500))
def test_micro_batches_cut_the_order_into_batches(
    n_samples, batch_size, largest, max_rows, max_bytes
):
    layout = layout_with(
        batch_size,
        n_samples,
        MAX_MICRO_BATCH=largest,
        MAX_CHUNK_ROWS=max_rows,
        MAX_CHUNK_BYTES=max_bytes,
    )
    laid_out = layout.micro_batches(n_samples)
    columns = (
        map(range, laid_out.start.tolist(), laid_out.stop.tolist()),
        laid_out.batch_rows.tolist(),
        laid_out.ends_batch.tolist(),
    )
    actual = list(zip(*columns, strict=True))
    assert actual == list(
        expected_micro_batches(range(n_samples), batch_size, layout.micro_batch_size)
    )
    assert len(laid_out) == len(actual)


@given(**SIZES, row_bytes=st.integers(1, 100), max_bytes=st.integers(1, 500))
def test_a_layout_keeps_its_limits(
    n_samples, batch_size, largest, max_rows, max_bytes, row_bytes
):
    layout = layout_with(
        batch_size,
        n_samples,
        row_bytes,
        MAX_MICRO_BATCH=largest,
        MAX_CHUNK_ROWS=max_rows,
        MAX_CHUNK_BYTES=max_bytes,
    )
    assert 1 <= layout.micro_batch_size <= min(batch_size, largest)
    assert layout.batch_size == min(batch_size, n_samples)
    assert layout.micro_batches_per_batch == math.ceil(
        layout.batch_size / layout.micro_batch_size
    )
    slots = layout.micro_batch_size * layout.micro_batches_per_chunk
    assert layout.rows_per_chunk == slots
    within = min(max_rows, max_bytes // row_bytes)
    if n_samples <= batch_size:  # several chunks, for several threads
        within = min(within, 2 ** math.ceil(math.log2(n_samples)) // 8)
    assert layout.micro_batches_per_chunk == 1 or layout.rows_per_chunk <= within
    # And as many micro-batches as fit.
    assert layout.rows_per_chunk + layout.micro_batch_size > within


@given(batch_size=st.integers(1, 100_000))
def test_micro_batches_of_a_large_batch_are_nearly_full(batch_size):
    layout = Layout.choose(batch_size, batch_size + 1, 784)
    empty = layout.micro_batches_per_batch * layout.micro_batch_size - batch_size
    assert 0 <= empty < layout.micro_batches_per_batch
    assert layout.micro_batches_per_batch == math.ceil(
        batch_size / batches.MAX_MICRO_BATCH
    )


@given(
    batch_size=st.integers(1, 5000),
    more=st.lists(st.integers(1, 10**7), min_size=2, max_size=2),
)
def test_larger_data_sets_share_a_layout(batch_size, more):
    first, second = (Layout.choose(batch_size, batch_size + m, 784) for m in more)
    assert first == second


def test_data_sets_within_one_batch_share_few_layouts():
    layouts = [Layout.choose(10**6, n, 784) for n in range(1, 5000)]
    shapes = {(a.micro_batch_size, a.micro_batches_per_chunk) for a in layouts}
    assert len(shapes) <= 1 + math.log2(batches.MAX_MICRO_BATCH)
    for n_samples, layout in enumerate(layouts, start=1):
        assert len(layout.micro_batches(n_samples)) == math.ceil(
            n_samples / batches.MAX_MICRO_BATCH
        )


def test_the_classic_recipe_has_its_layout():
    layout = Layout.choose(100, 60_000, 784)
    assert layout.batch_size == layout.micro_batch_size == 100
    assert layout.micro_batches_per_batch == 1
    assert len(layout.micro_batches(60_000)) == 600
    assert layout.micro_batches(60_000).ends_batch.all()


def test_the_limits_are_8_mb_a_chunk_and_32_mb_and_256_to_1024_rows_a_micro_batch():
    megabyte = 1 << 20
    wide = Layout.choose(100, 10**6, megabyte)  # a batch in four micro-batches of 25 MB
    assert (wide.micro_batch_size, wide.micro_batches_per_batch) == (25, 4)
    assert wide.micro_batches_per_chunk == 1
    assert Layout.choose(32, 10**6, megabyte).micro_batch_size == 32
    assert Layout.choose(33, 10**6, megabyte).micro_batch_size == 17
    assert Layout.choose(1, 10**6, megabyte).micro_batches_per_chunk == 8
    assert Layout.choose(1, 10**6, 1).micro_batches_per_chunk == 8192
    assert Layout.choose(1024, 10**6, 1).micro_batch_size == 1024
    assert Layout.choose(1025, 10**6, 1).micro_batch_size == 513
    assert Layout.choose(1000, 10, 8).micro_batch_size == 256
    # Rows of one batch make eight chunks.
    one_batch = Layout.choose(10**6, 1 << 15, 1)
    assert (one_batch.micro_batch_size, one_batch.micro_batches_per_chunk) == (1024, 4)


@given(batch_size=st.integers(1, 10**9), n_samples=st.integers(1, 10**9))
def test_rows_larger_than_a_chunk_get_one_micro_batch_a_chunk(batch_size, n_samples):
    row_bytes = batches.MAX_CHUNK_BYTES + 1
    assert Layout.choose(batch_size, n_samples, row_bytes).micro_batches_per_chunk == 1


def test_a_micro_batch_of_wide_rows_stays_small():
    """Memory is bounded by a chunk also where a batch is not."""
    row_bytes = 400_000
    for batch_size, n_samples in ((1000, 5000), (10**6, 10**6), (100, 10**6)):
        layout = Layout.choose(batch_size, n_samples, row_bytes)
        assert layout.micro_batch_size * row_bytes <= batches.MAX_MICRO_BATCH_BYTES
        slots = layout.micro_batches_per_batch * layout.micro_batch_size
        assert slots >= min(batch_size, n_samples)
    huge = Layout.choose(100, 1000, 10 * batches.MAX_MICRO_BATCH_BYTES)
    assert huge.micro_batch_size == 1
