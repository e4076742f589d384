"""The chunks of a dataset, against lists cut batch by batch."""

from __future__ import annotations

import math
import threading
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfsoftmax.data import batches
from tfsoftmax.data import loader as loader_module
from tfsoftmax.data.batches import ACCUMULATE, APPLY, UNUSED, Layout
from tfsoftmax.data.dataset import Dataset, dtypes_for
from tfsoftmax.data.loader import ALIGNMENT, ChunkLoader

SINGLE = np.dtype(np.float32)
DOUBLE = np.dtype(np.float64)
DOUBLES = (DOUBLE, DOUBLE)
BYTES = np.dtype(np.uint8)


def dataset_of(X, weights=None):
    return Dataset(X, np.arange(len(X), dtype=np.int32) % 7, weights)


def numbered(n_samples, n_features=2):
    """Rows that differ from each other, and from the zeros of an empty slot."""
    return 1.0 + np.arange(n_samples * n_features).reshape(n_samples, n_features)


def layout_with(batch_size, n_samples, row_bytes=8, **limits):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(batches, name, value)
        return Layout.choose(batch_size, n_samples, row_bytes)


def expected_micro_batches(order, batch_size, size):
    """Yield each micro-batch's rows, its batch's size, and if it is the last."""
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        for i in range(0, len(batch), size):
            yield batch[i : i + size], len(batch), i + size >= len(batch)


def collect(stream):
    """Copy chunks, which are valid for one step only."""
    return [
        (c.X.copy(), c.y.copy(), c.weights[0].copy(), c.actions.copy()) for c in stream
    ]


def epoch_in(loader, order):
    return next(loader.epochs(lambda: order, 1))


def run(dataset, layout, order, dtypes=DOUBLES):
    with ChunkLoader(dataset, layout, dtypes) as loader:
        return collect(epoch_in(loader, order))


def assert_chunks_are(collected, dataset, layout, order, values):
    """Compare an epoch's chunks, slot by slot, with the expected micro-batches."""
    n_samples = len(dataset)
    order = range(n_samples) if order is None else [int(i) for i in order]
    s = np.ones(n_samples) if dataset.weights is None else dataset.weights
    size, per_chunk = layout.micro_batch_size, layout.micro_batches_per_chunk
    expected = list(
        expected_micro_batches(order, min(layout.batch_size, n_samples), size)
    )
    assert len(collected) == math.ceil(len(expected) / per_chunk)
    for number, (X, y, weights, actions) in enumerate(collected):
        of_chunk = expected[number * per_chunk : (number + 1) * per_chunk]
        assert len(X) == len(y) == len(weights) == size * per_chunk
        kinds = [APPLY if closes else ACCUMULATE for *_, closes in of_chunk]
        assert actions.tolist() == kinds + [UNUSED] * (per_chunk - len(of_chunk))
        for t, (indices, n_batch, _) in enumerate(of_chunk):
            used = slice(t * size, t * size + len(indices))
            empty = slice(used.stop, (t + 1) * size)
            np.testing.assert_array_equal(X[used], values[list(indices)])
            np.testing.assert_array_equal(y[used], dataset.y[list(indices)])
            exact = s[list(indices)] / n_batch
            rtol = 2 * np.finfo(weights.dtype).eps
            np.testing.assert_allclose(weights[used], exact, rtol=rtol)
            assert not X[empty].any()
            assert not y[empty].any()
            assert not weights[empty].any()


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("tfsoftmax-loader")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    assert not threads()
    yield
    assert not threads()


# Layout and micro-batches

SIZES = {
    "n_samples": st.integers(1, 60),
    "batch_size": st.integers(1, 70),
    "largest": st.integers(1, 16),
    "max_rows": st.integers(1, 64),
}


@settings(deadline=None)
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
    got = [
        (list(range(start, stop)), n_batch, closes)
        for start, stop, n_batch, closes in zip(
            laid_out.start.tolist(),
            laid_out.stop.tolist(),
            laid_out.batch_rows.tolist(),
            laid_out.ends_batch.tolist(),
            strict=True,
        )
    ]
    order = list(range(n_samples))
    assert got == list(
        expected_micro_batches(order, batch_size, layout.micro_batch_size)
    )
    assert len(laid_out) == len(got)


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
    assert (
        layout.rows_per_chunk
        == layout.micro_batch_size * layout.micro_batches_per_chunk
    )
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
    one, other = (Layout.choose(batch_size, batch_size + m, 784) for m in more)
    assert one == other


def test_data_sets_within_one_batch_share_few_layouts():
    layouts = [Layout.choose(10**6, n, 784) for n in range(1, 5000)]
    shapes = {
        (layout.micro_batch_size, layout.micro_batches_per_chunk) for layout in layouts
    }
    assert len(shapes) <= 1 + math.log2(batches.MAX_MICRO_BATCH)
    for n_samples, layout in enumerate(layouts, start=1):
        assert len(layout.micro_batches(n_samples)) == math.ceil(
            n_samples / batches.MAX_MICRO_BATCH
        )


def test_the_classic_recipe_has_its_layout():
    layout = Layout.choose(100, 60_000, 784)
    assert (
        layout.batch_size,
        layout.micro_batch_size,
        layout.micro_batches_per_batch,
    ) == (
        100,
        100,
        1,
    )
    assert len(layout.micro_batches(60_000)) == 600
    assert layout.micro_batches(60_000).ends_batch.all()


def test_the_limits_are_8_mb_a_chunk_and_32_mb_and_256_to_1024_rows_a_micro_batch():
    megabyte = 1 << 20
    wide = Layout.choose(100, 10**6, megabyte)  # a batch in four micro-batches of 25 MB
    assert (
        wide.micro_batch_size,
        wide.micro_batches_per_batch,
        wide.micro_batches_per_chunk,
    ) == (
        25,
        4,
        1,
    )
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


# What the chunks of an epoch hold


@settings(deadline=None, max_examples=200)
@given(**SIZES, shuffled=st.booleans(), weighted=st.booleans(), seed=st.integers(0, 99))
@example(60, 7, 3, 10, True, True, 0)  # a batch that goes on in the next chunk
@example(
    60, 70, 16, 64, True, True, 0
)  # one batch of all rows, over four micro-batches
@example(1, 1, 1, 1, True, True, 0)
def test_every_row_comes_once_in_its_place(
    n_samples, batch_size, largest, max_rows, shuffled, weighted, seed
):
    rng = np.random.default_rng(seed)
    order = rng.permutation(n_samples).astype(np.int32) if shuffled else None
    s = rng.integers(0, 4, n_samples) + rng.random() if weighted else None
    weights = None if s is None else n_samples * s / s.sum()
    rows = dataset_of(numbered(n_samples), weights)
    layout = layout_with(
        batch_size, n_samples, MAX_MICRO_BATCH=largest, MAX_CHUNK_ROWS=max_rows
    )
    collected = run(rows, layout, order)
    assert_chunks_are(collected, rows, layout, order, rows.X)

    # In the formula's own terms: n·s_i / (Σs · rows in the batch), once each.
    taken = np.concatenate(
        [c[0][: np.count_nonzero(c[3]) * layout.micro_batch_size, 0] for c in collected]
    )
    scaled = np.concatenate(
        [c[2][: np.count_nonzero(c[3]) * layout.micro_batch_size] for c in collected]
    )
    sequence = np.arange(n_samples) if order is None else order
    assert taken[taken > 0].tolist() == rows.X[sequence, 0].tolist()
    s = np.ones(n_samples) if s is None else s
    batches = [sequence[i : i + batch_size] for i in range(0, n_samples, batch_size)]
    by_hand = [
        n_samples * s[i] / (s.sum() * len(batch)) for batch in batches for i in batch
    ]
    np.testing.assert_allclose(scaled[taken > 0], by_hand, rtol=1e-14)


def test_no_weights_are_weights_of_one():
    X = numbered(23)
    layout = Layout(batch_size=5, micro_batch_size=3, micro_batches_per_chunk=2)
    order = np.random.default_rng(0).permutation(23)
    without, with_ones = (
        run(dataset_of(X, weights), layout, order, (SINGLE, SINGLE))
        for weights in (None, np.ones(23))
    )
    for one, other in zip(without, with_ones, strict=True):
        used = slice(np.count_nonzero(one[3]) * layout.micro_batch_size)
        assert one[2].dtype == np.float32
        assert one[2][used].tobytes() == other[2][used].tobytes()


def test_a_dataset_knows_its_shape():
    rows = dataset_of(np.zeros((5, 3)))
    assert len(rows) == 5
    assert rows.n_features == 3


def test_epochs_and_abandoned_epochs_do_not_mix():
    rows = dataset_of(numbered(40))
    layout = Layout(batch_size=4, micro_batch_size=4, micro_batches_per_chunk=2)
    rng = np.random.default_rng(0)
    with ChunkLoader(rows, layout, DOUBLES) as loader:
        for n_taken in (5, 1, 2, 5, 4):
            stream = epoch_in(loader, rng.permutation(40))
            collect(next(stream) for _ in range(n_taken))
            order = rng.permutation(40)
            collected = collect(epoch_in(loader, order))
            assert_chunks_are(collected, rows, layout, order, rows.X)


# Kinds of X

DTYPES = [
    *["u1", "?", "i1", "<i2", ">i2", "<u2", "<i4", "<i8", ">i8", "<u8"],
    *["<f2", "<f4", ">f4", "<f8", ">f8", "g"],
]


def of_dtype(dtype, shape=(23, 3)):
    rng = np.random.default_rng(1)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    low = 0 if np.dtype(dtype).kind in "bu" else -100
    return rng.integers(low, 2 if dtype == "?" else 100, shape).astype(dtype)


def strided(X, row_step=2, column_step=2):
    """The same values, as rows and columns of a larger array."""
    n_samples, n_features = X.shape
    larger = np.zeros((n_samples * row_step, n_features * column_step), X.dtype)
    part = larger[::row_step, ::column_step]
    part[...] = X
    return part


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "strided": strided,
    "every second row": lambda X: strided(X, column_step=1),
}


def assert_gathers(X, values, dtypes=None):
    rows = dataset_of(X)
    layout = Layout(batch_size=5, micro_batch_size=3, micro_batches_per_chunk=2)
    storage, precision = dtypes or dtypes_for(X)
    for order in (np.random.default_rng(0).permutation(len(X)), None):
        collected = run(rows, layout, order, (storage, precision))
        assert collected[0][0].dtype == storage
        assert collected[0][1].dtype == np.int32
        assert collected[0][2].dtype == precision
        assert_chunks_are(collected, rows, layout, order, values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory", LAYOUTS)
def test_any_array_of_numbers_is_gathered(dtype, memory):
    values = of_dtype(dtype)
    X = LAYOUTS[memory](values)
    X.setflags(write=False)
    assert_gathers(X, values)
    np.testing.assert_array_equal(X, values, strict=True)


@pytest.mark.parametrize("dtype", ["u1", "?", "<f4", ">f4", "<i2", "<f8"])
@pytest.mark.parametrize("memory", ["C", "F"])
def test_a_memmap_is_gathered(tmp_path, dtype, memory):
    values = of_dtype(dtype)
    path = tmp_path / "X.dat"
    values.ravel(order=memory).tofile(path)
    X = np.memmap(path, dtype, mode="r", shape=values.shape, order=memory)
    assert_gathers(X, values)


def test_a_precision_given_is_the_one_handed_over():
    values = of_dtype("<f8")
    assert_gathers(values, values.astype(np.float32), dtypes_for(values, SINGLE))
    values = of_dtype("<f4")
    assert_gathers(values, values, dtypes_for(values, DOUBLE))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("memory", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "?", "<i8", ">f4", "<f4", "<f8"])
def test_x_is_never_copied_as_a_whole(dtype, memory, ordered):
    X = LAYOUTS[memory](of_dtype(dtype, (8192, 64)))
    layout = Layout(batch_size=64, micro_batch_size=64, micro_batches_per_chunk=1)
    order = np.random.default_rng(0).permutation(len(X)) if ordered else None
    dtypes = dtypes_for(X)
    tracemalloc.start()
    try:
        with ChunkLoader(dataset_of(X), layout, dtypes) as loader:
            for _ in epoch_in(loader, order):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 2


@pytest.mark.parametrize("dtype", ["u1", "?", "<f4", "<f8"])
def test_a_contiguous_array_is_gathered_without_a_temporary(dtype):
    X = of_dtype(dtype, (4096, 256))
    layout = Layout(batch_size=64, micro_batch_size=64, micro_batches_per_chunk=16)
    order = np.random.default_rng(0).permutation(len(X))
    with ChunkLoader(dataset_of(X), layout, dtypes_for(X)) as loader:
        tracemalloc.start()
        try:
            for chunk in epoch_in(loader, order):
                of_a_chunk = chunk.X.nbytes
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < of_a_chunk / 2


# The dtypes handed over


@pytest.mark.parametrize(
    ("dtype", "storage", "precision"),
    [
        (np.uint8, BYTES, SINGLE),
        (bool, BYTES, SINGLE),
        (np.int8, SINGLE, SINGLE),
        (np.int16, SINGLE, SINGLE),
        (np.uint16, SINGLE, SINGLE),
        (np.float16, SINGLE, SINGLE),
        (np.float32, SINGLE, SINGLE),
        (">f4", SINGLE, SINGLE),
        (np.float64, DOUBLE, DOUBLE),
        (">f8", DOUBLE, DOUBLE),
        (np.longdouble, DOUBLE, DOUBLE),
    ],
)
def test_a_dtype_settles_what_is_handed_over(dtype, storage, precision):
    got = dtypes_for(np.zeros((2, 2), dtype))
    assert got == (storage, precision)
    assert all(dtype.isnative for dtype in got)


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<u4", "<i8", ">i8", "<u8"])
@pytest.mark.parametrize(
    ("largest", "expected"),
    [(0, SINGLE), (2**24, SINGLE), (2**24 + 1, DOUBLE), (2**31 - 1, DOUBLE)],
)
def test_the_largest_integer_settles_the_precision(dtype, largest, expected):
    X = np.array([[0, 3], [largest, 1]], dtype)
    assert dtypes_for(X) == (expected, expected)
    if X.dtype.kind == "i":
        assert dtypes_for(-X) == (expected, expected)


@pytest.mark.parametrize(
    ("dtype", "extreme"), [("i4", -(2**31)), ("i8", -(2**63)), ("u8", 2**64 - 1)]
)
def test_extreme_integers_are_handed_over_in_double(dtype, extreme):
    assert dtypes_for(np.array([[extreme]], dtype)) == (DOUBLE, DOUBLE)


@pytest.mark.parametrize("precision", [SINGLE, DOUBLE])
def test_a_precision_given_overrules_all_but_bytes(precision):
    for dtype in ("f4", "f8", "i8", ">f4"):
        got = dtypes_for(np.ones((2, 2), dtype), precision)
        assert got == (precision, precision)
    for dtype in ("u1", "?"):
        assert dtypes_for(np.ones((2, 2), dtype), precision) == (BYTES, precision)


@given(
    st.sampled_from(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            (2, 3),
            elements=st.integers(
                max(np.iinfo(dtype).min, -(2**53)), min(np.iinfo(dtype).max, 2**53)
            ),
        )
    )
)
def test_no_integer_is_changed_by_handing_it_over(X):
    storage, precision = dtypes_for(X)
    handed_over = X.astype(storage).astype(precision)
    assert handed_over.astype(object).tolist() == X.astype(object).tolist()


# Buffers


@pytest.mark.parametrize(
    ("n_samples", "n_chunks"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3), (40, 5)]
)
@pytest.mark.parametrize("dtype", ["u1", "<f4", "<f8"])
def test_two_aligned_buffers_serve_every_epoch(n_samples, n_chunks, dtype):
    X = np.zeros((n_samples, 3), dtype)
    layout = Layout(batch_size=4, micro_batch_size=4, micro_batches_per_chunk=2)
    rng = np.random.default_rng(0)
    epochs = []
    with ChunkLoader(dataset_of(X), layout, dtypes_for(X)) as loader:
        for _ in range(3):
            epochs.append([])
            for chunk in epoch_in(loader, rng.permutation(n_samples)):
                arrays = (chunk.X, chunk.y, chunk.weights)
                assert all(array.flags.c_contiguous for array in arrays)
                epochs[-1].append(tuple(array.ctypes.data for array in arrays))
    assert [len(epoch) for epoch in epochs] == [n_chunks] * 3
    in_turn = [buffers for epoch in epochs for buffers in epoch]
    assert len(set(in_turn)) == min(2, n_chunks)
    if n_chunks > 1:
        assert all(one != other for one, other in pairwise(in_turn))
    assert all(address % ALIGNMENT == 0 for buffers in in_turn for address in buffers)


@pytest.mark.parametrize("n_samples", [3, 17, 40])
def test_epochs_follow_each_other_each_in_the_order_drawn_for_it(n_samples):
    X = numbered(n_samples)
    layout = Layout(batch_size=4, micro_batch_size=4, micro_batches_per_chunk=2)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(n_samples) for _ in range(4)]
    drawn = iter(orders)
    with ChunkLoader(dataset_of(X), layout, dtypes_for(X)) as loader:
        epochs = loader.epochs(lambda: next(drawn), 4)
        for order, chunks in zip(orders, epochs, strict=True):
            assert_chunks_are(collect(chunks), dataset_of(X), layout, order, X)
        assert loader._n_filled == 4 * len(loader)  # and none of them twice
    assert list(drawn) == []


def test_the_next_epoch_is_begun_while_the_last_chunk_is_in_use():
    drawn = []

    def draw_order():
        drawn.append(threading.current_thread().name)
        second.set() if len(drawn) == 2 else None
        return np.arange(40)

    second = threading.Event()
    with ChunkLoader(dataset_of(numbered(40)), EIGHT_A_CHUNK, DOUBLES) as loader:
        chunks = next(loader.epochs(draw_order, 3))
        for _ in range(4):
            next(chunks)
        assert len(drawn) == 1
        last = next(chunks)
        assert second.wait(timeout=60)
        assert len(drawn) == 2  # one epoch ahead, and no more
        np.testing.assert_array_equal(last.X, numbered(40)[32:])
    assert set(drawn) == {"tfsoftmax-loader_0"}


def test_the_last_epoch_begins_no_other():
    drawn = []
    with ChunkLoader(dataset_of(numbered(40)), EIGHT_A_CHUNK, DOUBLES) as loader:
        for chunks in loader.epochs(lambda: drawn.append(None), 2):
            collect(chunks)
    assert len(drawn) == 2


@pytest.mark.parametrize("dtype", ["u1", "<f4", "<f8"])
def test_each_row_is_copied_once_an_epoch_and_nothing_else_is(dtype, monkeypatch):
    X = np.zeros((60, 5), dtype)
    copied = 0
    original = loader_module._gatherer

    def counting(X, storage):
        gather = original(X, storage)

        def count(rows, out):
            nonlocal copied
            copied += out.nbytes
            gather(rows, out)

        return count

    monkeypatch.setattr(loader_module, "_gatherer", counting)
    layout = Layout(batch_size=4, micro_batch_size=4, micro_batches_per_chunk=2)
    rng = np.random.default_rng(0)
    with ChunkLoader(dataset_of(X), layout, dtypes_for(X)) as loader:
        for _ in range(3):
            collect(epoch_in(loader, rng.permutation(60)))
    assert copied == 3 * X.nbytes


def test_buffers_are_aligned_to_64_bytes():
    assert ALIGNMENT == 64


@pytest.mark.parametrize(("n_chunks", "n_buffers"), [(1, 1), (2, 2), (3, 2), (10, 2)])
def test_no_more_than_two_buffers_are_allocated(n_chunks, n_buffers):
    layout = Layout(batch_size=100, micro_batch_size=100, micro_batches_per_chunk=2)
    rows = dataset_of(np.zeros((200 * n_chunks, 50), np.float32))
    of_a_buffer = 200 * (50 * 4 + 4 + 4)
    tracemalloc.start()
    try:
        loader = ChunkLoader(rows, layout, (SINGLE, SINGLE))
        allocated = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(loader.micro_batches) == 2 * n_chunks
    assert n_buffers <= allocated / of_a_buffer < n_buffers + 0.5


# The thread


class Watched(np.ndarray):
    """Rows that call `watch` with the indices asked for, before they are read."""

    watch = None

    def __getitem__(self, indices):
        if self.watch is not None:
            of_rows = indices if isinstance(indices, slice) else list(indices)
            self.watch(np.arange(len(self))[of_rows].tolist())
        return np.asarray(self)[indices]


def watched(watch, n_samples=40):
    X = numbered(n_samples).astype(np.int16).view(Watched)
    X.watch = watch
    return dataset_of(X)


EIGHT_A_CHUNK = Layout(batch_size=4, micro_batch_size=4, micro_batches_per_chunk=2)


def test_the_next_chunk_is_filled_while_this_one_is_in_use():
    begun = threading.Event()
    rows = watched(lambda indices: begun.set() if 8 in indices else None)
    with ChunkLoader(rows, EIGHT_A_CHUNK, (SINGLE, SINGLE)) as loader:
        stream = epoch_in(loader, np.arange(40))
        first = next(stream)
        assert begun.wait(timeout=60)
    # The filler has done its work by now, and left the chunk in use alone.
    np.testing.assert_array_equal(first.X, numbered(40)[:8])


def test_at_most_one_chunk_is_filled_ahead():
    asked_for = set()
    rows = watched(asked_for.update)
    with ChunkLoader(rows, EIGHT_A_CHUNK, (SINGLE, SINGLE)) as loader:
        stream = epoch_in(loader, np.arange(40))
        next(stream)
        next(stream)
    assert asked_for <= set(range(24))


def test_full_micro_batches_are_gathered_at_one_go():
    asked_for = []
    rows = watched(asked_for.append, 23)
    layout = Layout(batch_size=5, micro_batch_size=5, micro_batches_per_chunk=3)
    with ChunkLoader(rows, layout, (SINGLE, SINGLE)) as loader:
        for _ in epoch_in(loader, np.arange(23)):
            pass
    assert asked_for == [list(range(15)), list(range(15, 23))]


def test_one_thread_fills_and_ends_with_the_context():
    rows = dataset_of(numbered(40))
    with ChunkLoader(rows, EIGHT_A_CHUNK, DOUBLES) as loader:
        for _ in range(3):
            for _ in loader.epoch():
                assert len(threads()) == 1
    assert not threads()


def test_one_chunk_needs_no_thread():
    rows = dataset_of(numbered(8))
    with ChunkLoader(rows, EIGHT_A_CHUNK, DOUBLES) as loader:
        for _ in loader.epoch():
            assert not threads()


def test_a_consumer_that_raises_leaves_no_thread():
    loader = ChunkLoader(dataset_of(numbered(40)), EIGHT_A_CHUNK, DOUBLES)

    def consume():
        with loader:
            for _ in loader.epoch():
                assert threads()
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not threads()


@pytest.mark.parametrize("n_taken", [0, 1, 2, 4, 5])
def test_an_abandoned_epoch_leaves_no_thread(n_taken):
    rows = dataset_of(numbered(40))
    with ChunkLoader(rows, EIGHT_A_CHUNK, DOUBLES) as loader:
        stream = loader.epoch()
        for _ in range(n_taken):
            next(stream)
        assert len(threads()) == min(n_taken, 1)
    assert not threads()


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("n_samples", [8, 40])
@pytest.mark.parametrize("torn", [0, 7, 19, 39])
def test_an_error_in_gathering_reaches_the_consumer(n_samples, torn, ordered):
    torn = min(torn, n_samples - 1)

    def tear(indices):
        if torn in indices:
            raise OSError(f"row {torn} can't be read")

    rows = watched(tear, n_samples)
    received = []

    def consume():
        with ChunkLoader(rows, EIGHT_A_CHUNK, (SINGLE, SINGLE)) as loader:
            order = np.arange(n_samples) if ordered else None
            for chunk in epoch_in(loader, order):
                received.append(chunk.X.copy())  # noqa: PERF401

    with pytest.raises(OSError, match=f"row {torn} can't be read"):
        consume()
    assert len(received) == torn // 8
    if received:
        np.testing.assert_array_equal(
            np.concatenate(received), numbered(n_samples)[: 8 * len(received)]
        )
    assert not threads()


def test_a_micro_batch_of_wide_rows_stays_small():
    """Memory is bounded by a chunk also where a batch is not."""
    row_bytes = 400_000
    for batch_size, n_samples in ((1000, 5000), (10**6, 10**6), (100, 10**6)):
        layout = Layout.choose(batch_size, n_samples, row_bytes)
        assert layout.micro_batch_size * row_bytes <= batches.MAX_MICRO_BATCH_BYTES
        assert layout.micro_batches_per_batch * layout.micro_batch_size >= min(
            batch_size, n_samples
        )
    assert (
        Layout.choose(100, 1000, 10 * batches.MAX_MICRO_BATCH_BYTES).micro_batch_size
        == 1
    )
