"""The compiled programs of full batches: the loss and its gradient over one tile."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfsoftmax.engine import softmax
from tfsoftmax.engine.products import SparseRows, sparse_add, sparse_sums
from tfsoftmax.engine.softmax import MicroBatch
from tfsoftmax.engine.spec import SparseTileSpec, TileSpec

Tensor = Any


def evaluate_tile(
    spec: TileSpec,
    U: Tensor,
    centre: Tensor,
    factor: Tensor,
    X: Tensor,
    y: Tensor,
    weights: Tensor,
) -> Tensor:
    """Compute the loss, the accuracy and the gradient over one tile, at Û = (W, b).

    The logits are W (r ∘ (x − c)) + b, where r is a number or one number per column.
    All results are returned as one float64 vector, since fetching each takes time: Σ w
    CE, Σ w [predicted = y], ∂/∂b (R) and ∂/∂W (R · n_columns).
    """
    x = tf.cast((tf.cast(X, spec.centring) - centre) * factor, spec.precision)
    W, b = U[:, :-1], U[:, -1]
    products = tf.matmul(W, x, transpose_b=True) + b[:, None]
    errors, row_sums = _precise_errors_and_sums(spec, products, y, weights)
    parts = (
        tf.reduce_sum(tf.cast(row_sums, tf.float64), axis=-1),
        tf.reduce_sum(errors[:, -U.shape[0] :], axis=-1),
        tf.matmul(errors[0, -U.shape[0] :], x),
    )
    return tf.concat(
        [tf.reshape(tf.cast(part, tf.float64), [-1]) for part in parts], axis=0
    )


def evaluate_sparse_tile(
    spec: SparseTileSpec,
    W: Tensor,
    b: Tensor,
    X: tuple[Tensor, ...],
    y: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute the same as `evaluate_tile` over a tile of sparse rows.

    Returns
    -------
    sums : tensor of shape (2 + R,), float64
        Σ w CE, Σ w [predicted = y] and ∂/∂b.
    gradient : tensor of shape (R, n_features)
    """
    values, columns, numbers, starts = X
    values = tf.cast(values, spec.precision)
    rows = SparseRows((values, columns, numbers), starts[0], starts[1])
    z = sparse_sums(tf.transpose(W), rows, spec.n_tile_rows)
    products = tf.transpose(z) + b[:, None]
    errors, row_sums = _precise_errors_and_sums(spec, products, y, weights)
    errors = errors[0, -W.shape[0] :]
    zeros = tf.zeros((spec.n_features, W.shape[0]), W.dtype)
    G = sparse_add(zeros, rows, tf.transpose(errors))
    totals = tf.reduce_sum(tf.cast(row_sums, tf.float64), axis=-1)
    by_class = tf.reduce_sum(tf.cast(errors, tf.float64), axis=-1)
    return tf.concat([tf.reshape(totals, [-1]), by_class], axis=0), tf.transpose(G)


def _precise_errors_and_sums(
    spec: TileSpec | SparseTileSpec, products: Tensor, y: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the errors (1, K, n) of a tile's rows and their sums, from V x̃ (R, n)."""
    target, labels = softmax.targets(spec, y)
    rows = MicroBatch(target, labels, tf.cast(weights, spec.precision)[None])
    z = softmax.logits(products[None], spec.n_classes)
    if spec.soft_labels:
        return softmax.errors_and_sums(z, rows)
    return softmax.precise_errors_and_sums(z, rows)
