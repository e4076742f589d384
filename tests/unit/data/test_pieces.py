"""Pieces: neighbouring rows of a dataset, for passes of NumPy in threads."""

from __future__ import annotations

from operator import add

import numpy as np
import pytest
from scipy import sparse

from tfsoftmax.data import dataset as dataset_module
from tfsoftmax.data import pieces as pieces_module
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import CentredFeatures, Scaling
from tfsoftmax.solvers.curvature import curvature_sums
from tfsoftmax.solvers.duality import duality_gap
from tfsoftmax.solvers.newton import Hessian
from tfsoftmax.utils import parallel

RNG = np.random.default_rng(0)


def dataset_of(X, weights=None, index=None):
    n = len(X) if index is None else len(index)
    return Dataset(X, (np.arange(n) % 3).astype(np.int32), weights, index)


def sizes(dataset):
    """The numbers of rows of the pieces."""
    return dataset.in_pieces().fold(lambda piece: [len(piece)], combine=add)


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of ten rows of three columns, and blocks of four."""
    monkeypatch.setattr(dataset_module, "MIN_PIECE_BYTES", 8 * 3 * 10)
    monkeypatch.setattr(dataset_module, "MIN_BLOCK_ROWS", 1)
    monkeypatch.setattr(dataset_module, "MAX_BLOCK_BYTES", 8 * 3 * 4)


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray], ids=["C", "F"])
@pytest.mark.parametrize("index", [None, RNG.permutation(50)[:40]], ids=["all", "some"])
@pytest.mark.parametrize("n_weights", [None, 1, 2])
def test_pieces_are_the_rows_in_order(kind, index, n_weights, small_pieces):
    X = kind(RNG.normal(size=(50, 3)))
    chosen = X if index is None else X[index]
    shape = (len(chosen),) if n_weights == 1 else (n_weights, len(chosen))
    weights = None if n_weights is None else RNG.random(shape)
    dataset = dataset_of(X, weights, index)

    def contents(piece):
        rows = np.concatenate([block for _, block in piece.blocks()])
        return [(rows, piece.y, piece.row_weights())]

    pieces = dataset.in_pieces().fold(contents, combine=add)
    assert len(pieces) > 1
    X_of, y_of, weights_of = zip(*pieces, strict=True)
    np.testing.assert_array_equal(np.concatenate(X_of), chosen)
    np.testing.assert_array_equal(np.concatenate(y_of), dataset.y)
    np.testing.assert_array_equal(
        np.concatenate(weights_of, axis=-1), dataset.row_weights()
    )


def test_pieces_share_the_memory_of_x(small_pieces):
    dataset = dataset_of(np.ones((50, 3)))
    pieces = dataset.in_pieces().fold(lambda piece: [piece.X], combine=add)
    assert len(pieces) == 5
    assert all(np.shares_memory(piece, dataset.X) for piece in pieces)


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "expected"),
    [
        (1_000, 100, 1),  # small
        (20_000, 100, 3),
        (1_000_000, 100, 12),  # or Ctrl-C would wait for long
        (10_000, 4_000, 8),
        (60, 200_000, 1),  # few rows
    ],
)
def test_the_number_of_pieces_depends_on_the_shape(n_rows, n_columns, expected):
    X = np.broadcast_to(np.uint8(1), (n_rows, n_columns))
    assert len(sizes(dataset_of(X))) == expected


def test_sparse_rows_are_one_piece(small_pieces):
    X = sparse.csr_array(np.ones((50, 3)))
    assert sizes(Dataset(X, np.zeros(50, np.int32))) == [50]


def test_objects_are_made_from_each_piece_once(small_pieces):
    class Made:
        made = 0

        def __init__(self, piece, factor):
            Made.made += 1
            self.product = len(piece) * factor

        def plus(self, more):
            return self.product + more

    bound = dataset_of(np.ones((50, 3))).in_pieces().bind(Made, 10)
    assert bound.fold(Made.plus, 1, combine=add) == 505
    assert bound.fold(Made.plus, 2, combine=add) == 510
    assert Made.made == 5


def test_a_piece_is_no_smaller_than_its_result():
    dataset = dataset_of(np.broadcast_to(np.uint8(1), (10_000, 4_000)))
    pieces = dataset.in_pieces(8 * 4_000**2)
    assert pieces.fold(lambda piece: [len(piece)], combine=add) == [5_000, 5_000]


def test_large_results_are_computed_in_few_threads(monkeypatch):
    asked_for = []

    def recording(call, items, n_threads):
        asked_for.append(n_threads)
        return map(call, items)

    monkeypatch.setattr(pieces_module, "map_in_threads", recording)
    dataset = dataset_of(np.broadcast_to(np.uint8(1), (1_000_000, 100)))
    for result_bytes in (1 << 20, 50 << 20, 300 << 20):
        dataset.in_pieces(result_bytes).fold(len, combine=add)
    assert asked_for == [128, 2, 1]


def numbers(X, y, weights):
    """What the solvers compute in pieces, at some weights."""
    dataset = Dataset(X, y, weights)
    features = CentredFeatures.of(
        dataset,
        scaling=Scaling(1.0),
        fit_intercept=True,
        precision=np.dtype(np.float64),
    )
    U = np.random.default_rng(1).normal(size=(3, X.shape[1] + 1))
    single = np.dtype(np.float32)
    sums = curvature_sums(U, dataset, features, single)
    gap = duality_gap(
        dataset,
        U[:, :-1],
        U[:, -1],
        n_classes=3,
        fit_intercept=True,
        scaling=Scaling(1.0),
        alpha=0.1,
        l1_ratio=0.0,
    )
    hessian = Hessian(U, dataset, features, 0.1)
    return (
        features.centre,
        *sums,
        gap,
        hessian(U),
        hessian.largest_change(U),
        curvature_sums(U, dataset, features, single, sums.mean_features).features,
    )


@pytest.mark.parametrize("kind", [np.float64, np.uint8])
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_bits_depend_on_pieces_not_on_threads(kind, soft, small_pieces, monkeypatch):
    X = (20 * RNG.random((200, 3))).astype(kind)
    y = RNG.dirichlet(np.ones(3), 200) if soft else RNG.integers(0, 3, 200, np.int32)
    weights = RNG.random(200)
    weights /= weights.mean()
    found = []
    for n_threads in (1, 2, 3):
        monkeypatch.setattr(parallel, "blas_threads", lambda n=n_threads: n)
        found.append(numbers(X, y, weights))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)
    monkeypatch.setattr(dataset_module, "MIN_PIECE_BYTES", 1 << 30)
    # The last is an approximation that depends on the blocks.
    for one, close in zip(found[0][:-1], numbers(X, y, weights)[:-1], strict=True):
        np.testing.assert_allclose(one, close, rtol=1e-4, atol=1e-6)
