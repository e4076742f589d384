"""Loaders: the chunks of a dataset, against lists cut batch by batch."""

from __future__ import annotations

import math
import threading
import tracemalloc
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.layouts import SIZES, dense_rows, expected_micro_batches, layout_with
from tfsoftmax.data import loader as loader_module
from tfsoftmax.data.batches import ACCUMULATE, APPLY, UNUSED, Layout
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.dtypes import dtypes_for
from tfsoftmax.data.gather import ALIGNMENT
from tfsoftmax.data.loader import ChunkLoader, prefetch
from tfsoftmax.data.padded_csr import PaddedCSR
from tfsoftmax.utils.threads import ThreadPool

SINGLE = np.dtype(np.float32)
DOUBLE = np.dtype(np.float64)
DOUBLES = (DOUBLE, DOUBLE)

# Rows 0 to 7 in the first chunk, in two batches, and so on.
EIGHT_A_CHUNK = Layout(batch_size=4, micro_batch_size=4, micro_batches_per_chunk=2)


def dataset_of(X, weights=None):
    return Dataset(X, np.arange(X.shape[0], dtype=np.int32) % 7, weights)


def numbered(n_samples, n_features=2):
    """Rows that differ from each other, and from the zeros of an empty slot."""
    return 1.0 + np.arange(n_samples * n_features).reshape(n_samples, n_features)


def collect(stream, n_features=2):
    """Copy the arrays of chunks, which are valid until the next is asked for.

    Sparse rows, of so many features, are made dense.
    """
    return [
        (
            rows_of(c, n_features).copy(),
            c.y.copy(),
            c.weights[0].copy(),
            c.actions.copy(),
        )
        for c in stream
    ]


def rows_of(chunk, n_features):
    if isinstance(chunk.X, PaddedCSR):
        size = chunk.weights.shape[1] // len(chunk.actions)
        return dense_rows(chunk.X, size, n_features)
    return chunk.X


def epoch_in(loader, order):
    return next(loader.epochs(lambda: order, 1))


def run(dataset, layout, order, dtypes=DOUBLES):
    with ChunkLoader(dataset, layout, dtypes) as loader:
        return collect(epoch_in(loader, order), dataset.n_features)


def assert_chunks_are(collected, dataset, layout, order, values):
    """Compare an epoch's chunks, slot by slot, with the expected micro-batches."""
    n_samples = len(dataset)
    order = range(n_samples) if order is None else [int(i) for i in order]
    s = np.ones(n_samples) if dataset.weights is None else dataset.weights
    size, per_chunk = layout.micro_batch_size, layout.micro_batches_per_chunk
    batch_size = min(layout.batch_size, n_samples)
    expected = list(expected_micro_batches(order, batch_size, size))
    assert len(collected) == math.ceil(len(expected) / per_chunk)
    for number, (X, y, weights, actions) in enumerate(collected):
        in_chunk = expected[number * per_chunk : (number + 1) * per_chunk]
        assert len(X) == len(y) == len(weights) == size * per_chunk
        used = [APPLY if ends_batch else ACCUMULATE for *_, ends_batch in in_chunk]
        assert actions.tolist() == used + [UNUSED] * (per_chunk - len(in_chunk))
        for i, (indices, n_batch, _) in enumerate(in_chunk):
            used = slice(i * size, i * size + len(indices))
            empty = slice(used.stop, (i + 1) * size)
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


# Results that are made ahead


@pytest.fixture
def pool():
    pool = ThreadPool(1, "test-prefetch")
    yield pool
    pool.close()


@pytest.mark.parametrize("n_calls", [0, 1, 2, 5])
def test_results_of_calls_come_in_order(pool, n_calls):
    calls = [lambda i=i: i * i for i in range(n_calls)]
    assert list(prefetch(calls, pool)) == [i * i for i in range(n_calls)]


def test_the_next_call_is_made_while_a_result_is_in_use_and_no_other(pool):
    taken = []

    def calls():
        for i in range(5):
            taken.append(i)
            yield made[i].set

    made = [threading.Event() for _ in range(5)]
    results = prefetch(calls(), pool)
    assert taken == []
    for i, _ in enumerate(results):
        ahead = min(i + 2, 5)
        assert made[ahead - 1].wait(timeout=60)
        assert taken == list(range(ahead))


def test_an_error_of_a_call_comes_instead_of_its_result(pool):
    results = prefetch([lambda: 1, lambda: 1 // 0, lambda: 3], pool)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


# What the chunks of an epoch hold


@settings(deadline=None, max_examples=200)
@given(**SIZES, shuffled=st.booleans(), weighted=st.booleans(), seed=st.integers(0, 99))
@example(60, 7, 3, 10, True, True, 0)  # a batch that goes on in the next chunk
@example(60, 70, 16, 64, True, True, 0)  # one batch of all rows, in four micro-batches
@example(1, 1, 1, 1, True, True, 0)
def test_every_row_comes_once_in_the_order_of_the_epoch(
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
    n_slots = [np.count_nonzero(c[3]) * layout.micro_batch_size for c in collected]
    chunks = list(zip(collected, n_slots, strict=True))
    taken = np.concatenate([X[:n, 0] for (X, *_), n in chunks])
    scaled = np.concatenate([weights[:n] for (_, _, weights, _), n in chunks])
    sequence = np.arange(n_samples) if order is None else order
    assert taken[taken > 0].tolist() == rows.X[sequence, 0].tolist()
    s = np.ones(n_samples) if s is None else s
    starts = range(0, n_samples, batch_size)
    batches = [sequence[start : start + batch_size] for start in starts]
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
    for (_, _, none, actions), (_, _, ones, _) in zip(without, with_ones, strict=True):
        used = slice(np.count_nonzero(actions) * layout.micro_batch_size)
        assert none.dtype == np.float32
        assert none[used].tobytes() == ones[used].tobytes()


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_some_of_the_rows_are_gathered_by_their_index(kind, ordered):
    rng = np.random.default_rng(0)
    X, index = numbered(40), rng.permutation(40)[:23]
    part = dataset_of(kind(X), rng.uniform(1, 3, 40)).take(index)
    order = rng.permutation(23) if ordered else None
    collected = run(part, EIGHT_A_CHUNK, order)
    assert_chunks_are(collected, part, EIGHT_A_CHUNK, order, X[index])


def test_each_model_has_its_weights_in_a_chunk():
    rng = np.random.default_rng(0)
    weights, order = rng.uniform(1, 3, (3, 23)), rng.permutation(23)
    dataset = dataset_of(numbered(23), weights)
    n_slots, last = EIGHT_A_CHUNK.rows_per_chunk, order[16:]
    with ChunkLoader(dataset, EIGHT_A_CHUNK, DOUBLES) as loader:
        *_, chunk = epoch_in(loader, order)
        assert chunk.weights.shape == (3, n_slots)
        n_batch = np.repeat([4, 3], [4, 3])
        np.testing.assert_allclose(chunk.weights[:, :7], weights[:, last] / n_batch)
        assert not chunk.weights[:, 7:].any()

        many = [chunk.for_models(slice(1, 3)) for _ in range(20)]
        for some in many:  # all alive, so that not each is aligned by chance
            np.testing.assert_array_equal(some.weights, chunk.weights[1:3])
            assert some.weights.ctypes.data % ALIGNMENT == 0
            assert not np.shares_memory(some.weights, chunk.weights)
            assert some.X is chunk.X


def test_a_chunk_with_shared_weights_is_the_same_for_any_models():
    with ChunkLoader(dataset_of(numbered(8)), EIGHT_A_CHUNK, DOUBLES) as loader:
        chunk = next(loader.epoch())
    assert chunk.for_models(slice(1, 3)) is chunk


def test_probabilities_of_classes_are_gathered_as_labels():
    rng = np.random.default_rng(0)
    y, order = rng.dirichlet(np.ones(3), 23), rng.permutation(23)
    dataset = Dataset(numbered(23), y)
    *_, (_, actual, _, _) = run(dataset, EIGHT_A_CHUNK, order, (DOUBLE, SINGLE))
    assert actual.dtype == SINGLE
    np.testing.assert_array_equal(actual[:7], y[order[16:]].astype(SINGLE))
    assert not actual[7:].any()


def test_epochs_and_abandoned_epochs_do_not_mix():
    rows = dataset_of(numbered(40))
    rng = np.random.default_rng(0)
    with ChunkLoader(rows, EIGHT_A_CHUNK, DOUBLES) as loader:
        for n_taken in (5, 1, 2, 5, 4):
            stream = epoch_in(loader, rng.permutation(40))
            collect(next(stream) for _ in range(n_taken))
            order = rng.permutation(40)
            collected = collect(epoch_in(loader, order))
            assert_chunks_are(collected, rows, EIGHT_A_CHUNK, order, rows.X)


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
    for order in (np.random.default_rng(0).permutation(len(rows)), None):
        collected = run(rows, layout, order, (storage, precision))
        # Of sparse rows the values alone, so that bytes would save little.
        handed_over = precision if sparse.issparse(X) else storage
        assert collected[0][0].dtype == handed_over
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


@pytest.mark.parametrize("dtype", ["u1", "?", "<i8", "<f4", "<f8"])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_sparse_rows_are_gathered(dtype, is_sorted):
    values = of_dtype(dtype)
    X = sparse.csr_array(values)
    if not is_sorted:  # each row's entries from its last column to its first
        backwards = sparse.csr_array(values[:, ::-1])
        columns = X.shape[1] - 1 - backwards.indices
        X = sparse.csr_array((backwards.data, columns, backwards.indptr), X.shape)
        assert not X.has_sorted_indices
    assert_gathers(X, values)


def test_sparse_rows_of_many_lengths_follow_each_other_in_the_same_buffers():
    """The longest of them in any order, and chunks of fewer values after them."""
    rng = np.random.default_rng(0)
    X = numbered(40, 6) * (np.arange(6) < rng.integers(0, 7, 40)[:, None])
    rows = dataset_of(sparse.csr_array(X))
    longest_first = np.argsort(-np.count_nonzero(X, axis=1))
    orders = [longest_first, longest_first[::-1], None, rng.permutation(40)]
    for layout in (EIGHT_A_CHUNK, Layout(7, 3, 4)):  # with and without empty slots
        drawn = iter(orders)
        with ChunkLoader(rows, layout, DOUBLES) as loader:
            epochs = loader.epochs(lambda it=drawn: next(it), len(orders))
            for order, chunks in zip(orders, epochs, strict=True):
                assert_chunks_are(collect(chunks, 6), rows, layout, order, X)


def test_sparse_rows_have_buffers_for_the_longest_of_a_chunk():
    X = np.zeros((5000, 4096))
    X[7], X[8, :10] = 1, 1
    rows = dataset_of(sparse.csr_array(X))
    with ChunkLoader(rows, EIGHT_A_CHUNK, DOUBLES) as loader:
        chunk = next(epoch_in(loader, None))
    assert chunk.X.starts.tolist() == [0, 0, 4096]
    assert len(chunk.X.values) == 8192  # of the powers of 2, that for 4106 and a block


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
                chunk_bytes = chunk.X.nbytes
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < chunk_bytes / 2


# Buffers


@pytest.mark.parametrize(
    ("n_samples", "n_chunks"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3), (40, 5)]
)
@pytest.mark.parametrize("dtype", ["u1", "<f4", "<f8"])
def test_two_aligned_buffers_serve_every_epoch(n_samples, n_chunks, dtype):
    X = np.zeros((n_samples, 3), dtype)
    rng = np.random.default_rng(0)
    epochs = []
    with ChunkLoader(dataset_of(X), EIGHT_A_CHUNK, dtypes_for(X)) as loader:
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
        assert all(previous != this for previous, this in pairwise(in_turn))
    assert all(address % ALIGNMENT == 0 for buffers in in_turn for address in buffers)


@pytest.mark.parametrize("n_in_use", [1, 2, 3, 9])
def test_as_many_chunks_as_asked_for_may_be_in_use(n_in_use):
    X, in_use = numbered(40), deque(maxlen=n_in_use)
    with ChunkLoader(dataset_of(X), EIGHT_A_CHUNK, DOUBLES, n_in_use) as loader:
        for _ in range(2):
            in_use.clear()
            for number, chunk in enumerate(loader.epoch()):
                in_use.append(chunk)
                held = np.concatenate([chunk.X for chunk in in_use])
                stop = 8 * (number + 1)
                np.testing.assert_array_equal(held, X[stop - len(held) : stop])
        assert loader._n_filled == 2 * len(loader)


@pytest.mark.parametrize("dtype", ["u1", "<f4", "<f8"])
def test_each_row_is_copied_once_an_epoch_and_nothing_else_is(dtype, monkeypatch):
    X = np.zeros((60, 5), dtype)
    copied = 0
    original = loader_module.gatherer

    def counting(X, storage):
        gather = original(X, storage)

        def count(rows, out):
            nonlocal copied
            copied += out.nbytes
            gather(rows, out)

        return count

    monkeypatch.setattr(loader_module, "gatherer", counting)
    rng = np.random.default_rng(0)
    with ChunkLoader(dataset_of(X), EIGHT_A_CHUNK, dtypes_for(X)) as loader:
        for _ in range(3):
            collect(epoch_in(loader, rng.permutation(60)))
    assert copied == 3 * X.nbytes


def test_buffers_are_aligned_to_64_bytes():
    assert ALIGNMENT == 64


@pytest.mark.parametrize(("n_chunks", "n_buffers"), [(1, 1), (2, 2), (3, 2), (10, 2)])
def test_no_more_than_two_buffers_are_allocated(n_chunks, n_buffers):
    layout = Layout(batch_size=100, micro_batch_size=100, micro_batches_per_chunk=2)
    rows = dataset_of(np.zeros((200 * n_chunks, 50), np.float32))
    buffer_bytes = 200 * (50 * 4 + 4 + 4)
    tracemalloc.start()
    try:
        loader = ChunkLoader(rows, layout, (SINGLE, SINGLE))
        allocated = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(loader.micro_batches) == 2 * n_chunks
    assert n_buffers <= allocated / buffer_bytes < n_buffers + 0.5


# What is gathered, and when


class Watched(np.ndarray):
    """Rows that call `watch` with the indices asked for, before they are read."""

    watch = None

    def __getitem__(self, indices):
        if self.watch is not None:
            rows = indices if isinstance(indices, slice) else list(indices)
            self.watch(np.arange(len(self))[rows].tolist())
        return np.asarray(self)[indices]


def watched(watch, n_samples=40):
    X = numbered(n_samples).astype(np.int16).view(Watched)
    X.watch = watch
    return dataset_of(X)


def test_the_next_chunk_is_filled_while_this_one_is_in_use():
    begun = threading.Event()
    rows = watched(lambda indices: begun.set() if 8 in indices else None)
    with ChunkLoader(rows, EIGHT_A_CHUNK, (SINGLE, SINGLE)) as loader:
        stream = epoch_in(loader, np.arange(40))
        first = next(stream)
        assert begun.wait(timeout=60)
    # The next chunk is filled by now, and this one as it was.
    np.testing.assert_array_equal(first.X, numbered(40)[:8])


def test_at_most_one_chunk_is_filled_ahead():
    gathered = set()
    rows = watched(gathered.update)
    with ChunkLoader(rows, EIGHT_A_CHUNK, (SINGLE, SINGLE)) as loader:
        stream = epoch_in(loader, np.arange(40))
        next(stream)
        next(stream)
    assert gathered <= set(range(24))


def test_full_micro_batches_are_gathered_at_once():
    gathered = []
    rows = watched(gathered.append, 23)
    layout = Layout(batch_size=5, micro_batch_size=5, micro_batches_per_chunk=3)
    with ChunkLoader(rows, layout, (SINGLE, SINGLE)) as loader:
        for _ in epoch_in(loader, np.arange(23)):
            pass
    assert gathered == [list(range(15)), list(range(15, 23))]


# Epochs


@pytest.mark.parametrize("n_samples", [3, 17, 40])
def test_epochs_follow_each_other_each_in_the_order_drawn_for_it(n_samples):
    X = numbered(n_samples)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(n_samples) for _ in range(4)]
    drawn = iter(orders)
    with ChunkLoader(dataset_of(X), EIGHT_A_CHUNK, dtypes_for(X)) as loader:
        epochs = loader.epochs(lambda: next(drawn), 4)
        for order, chunks in zip(orders, epochs, strict=True):
            collected = collect(chunks)
            assert_chunks_are(collected, dataset_of(X), EIGHT_A_CHUNK, order, X)
        assert loader._n_filled == 4 * len(loader)  # and none of them twice
    assert list(drawn) == []


def test_the_next_epochs_first_chunk_is_filled_while_the_last_is_in_use():
    orders = iter([np.arange(40), np.arange(40)[::-1]])
    filled = threading.Event()
    rows = watched(lambda indices: filled.set() if indices[0] == 39 else None)
    with ChunkLoader(rows, EIGHT_A_CHUNK, (SINGLE, SINGLE)) as loader:
        first, second = loader.epochs(lambda: next(orders), 2)
        for _ in range(4):
            next(first)
        assert not filled.is_set()
        last = next(first)
        assert filled.wait(timeout=60)
        np.testing.assert_array_equal(last.X, numbered(40)[32:])
        np.testing.assert_array_equal(next(second).X, numbered(40)[:31:-1])


@pytest.mark.parametrize("n_samples", [8, 16, 40])
def test_orders_are_drawn_once_an_epoch_and_at_most_one_epoch_ahead(n_samples):
    drawn = []

    def draw_order():
        drawn.append(threading.current_thread().name)
        return np.arange(n_samples)

    rows, n_epochs = dataset_of(numbered(n_samples)), 4
    with ChunkLoader(rows, EIGHT_A_CHUNK, DOUBLES) as loader:
        epochs = loader.epochs(draw_order, n_epochs)
        assert drawn == []
        for epoch, chunks in enumerate(epochs, start=1):
            for left in reversed(range(len(loader))):
                next(chunks)
                # The last of several chunks may find the next order drawn.
                is_ahead = left == 0 and len(loader) > 1 and epoch < n_epochs
                assert epoch <= len(drawn) <= epoch + is_ahead
    assert len(drawn) == n_epochs
    by = "MainThread" if len(loader) == 1 else "tfsoftmax-loader_0"
    assert set(drawn) == {by}


# The thread


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
